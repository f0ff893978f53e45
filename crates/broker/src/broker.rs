//! What every connection of a node shares.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_env::Env;
use ottla_metadata::{CreateTopics, NewTopic};
use ottla_types::TopicName;

use crate::clients::Clients;
use crate::config::{LiveConfig, NodeConfig};
use crate::connection::RequestMemory;
use crate::controller::{ControllerHandle, Metadata};
use crate::fetch_session::FetchSessions;
use crate::groups::{GROUP_METADATA, Groups, make_group_metadata};
use crate::partition::Partitions;
use crate::producer_ids::ProducerIds;
use crate::watch::Counters;

/// Who a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Clients.
    Broker,
    /// Brokers and controllers.
    Controller,
}

/// One of the node's listeners.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) name: String,
    pub(crate) role: Role,
}

/// One node, as its connections see it.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) env: Env,
    /// What the node was started with.
    pub(crate) config: NodeConfig,
    /// The same, and what was set since over it.
    pub(crate) live: Arc<LiveConfig>,
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) controller: ControllerHandle,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) fetch_sessions: FetchSessions,
    pub(crate) groups: Arc<Groups>,
    pub(crate) counters: Counters,
    pub(crate) clients: Arc<Clients>,
    /// What all connections hold together.
    pub(crate) request_memory: Arc<RequestMemory>,
}

impl Broker {
    /// Makes topics that a client asked for by name, with the broker's defaults.
    pub(crate) async fn create_missing(&self, names: BTreeSet<TopicName>) {
        if !self.partitions.have_room() {
            // Said in the log when the directory became full.
            return;
        }
        if names.iter().any(|name| name.as_str() == GROUP_METADATA) {
            make_group_metadata(self).await;
        }
        let topics = names
            .into_iter()
            .filter(|name| name.as_str() != GROUP_METADATA)
            .map(|name| NewTopic { name: name.as_str().to_owned(), ..NewTopic::default() });
        let request = CreateTopics { topics: topics.collect(), validate_only: false };
        let refused = self.controller.create_topics(request).await;
        if !matches!(refused, Ok(Ok(_))) {
            tracing::warn!("topics were not made: the controller does not take requests");
        }
    }

    /// Whether the topic is one of Kafka's own.
    pub(crate) fn is_internal(name: &TopicName) -> bool {
        matches!(
            name.as_str(),
            "__consumer_offsets" | "__transaction_state" | "__share_group_state"
        )
    }
}
