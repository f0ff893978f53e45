//! The cluster itself: its brokers, its metadata quorum, its features.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{Offset, Timestamp, Uuid};
use ottla_wire::messages::describe_quorum_request::{PartitionData, TopicData};
use ottla_wire::messages::describe_quorum_response::{Listener, Node, ReplicaState};
use ottla_wire::messages::{DescribeClusterRequest, DescribeQuorumRequest};

use super::{Admin, AdminError, Repeat, missing};
use crate::error::BrokerError;

/// Who a cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Tells it from every other cluster.
    pub id: String,
    /// The broker to send changes to; `None` while there is none.
    pub controller: Option<i32>,
}

/// How far the nodes of the metadata quorum are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumDescription {
    /// The voter that leads; `None` while nobody does.
    pub leader: Option<i32>,
    /// Counts the leaders.
    pub leader_epoch: i32,
    /// What is committed ends there; `None` where the leader does not know.
    pub high_watermark: Option<Offset>,
    /// Those who elect and are elected.
    pub voters: Vec<QuorumReplica>,
    /// Those who follow.
    pub observers: Vec<QuorumReplica>,
    /// Where its nodes listen for each other, as far as the leader knows.
    pub listeners: BTreeMap<i32, Vec<QuorumListener>>,
}

/// Where a node of the metadata quorum listens for the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumListener {
    /// The listener's name.
    pub name: String,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// A node of the metadata quorum, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumReplica {
    /// Its node id.
    pub id: i32,
    /// The directory of its metadata log; zero where it has said none.
    pub directory: Uuid,
    /// Where its log ends, as far as is known.
    pub log_end: Option<Offset>,
    /// When it had all that the leader had.
    pub caught_up: Option<Timestamp>,
    /// When it asked the leader for more.
    pub fetched: Option<Timestamp>,
}

/// A feature's levels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeatureLevels {
    /// Its name.
    pub name: String,
    /// The lowest and the highest level that the broker that was asked can serve; `None` where it
    /// does not know the feature.
    pub supported: Option<(i16, i16)>,
    /// The level that the cluster has; `None` for none.
    pub finalized: Option<i16>,
}

impl Admin {
    /// Who the cluster is.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, AdminError> {
        let request = DescribeClusterRequest::default();
        self.ask("describe the cluster", Repeat::Always, &request, |answer| {
            let answer = answer.get();
            BrokerError::check_with(answer.error_code, answer.error_message.as_deref())?;
            Ok(ClusterDescription {
                id: answer.cluster_id.into_owned(),
                controller: (answer.controller_id >= 0).then_some(answer.controller_id),
            })
        })
        .await
    }

    /// How far the metadata quorum is.
    ///
    /// # Errors
    /// When nobody answers in time, or the cluster has no such quorum.
    pub async fn describe_quorum(&self) -> Result<QuorumDescription, AdminError> {
        let request = DescribeQuorumRequest {
            topics: vec![TopicData {
                topic_name: "__cluster_metadata".into(),
                partitions: vec![PartitionData { partition_index: 0, ..PartitionData::default() }]
                    .into(),
                ..TopicData::default()
            }]
            .into(),
            ..DescribeQuorumRequest::default()
        };
        self.ask("describe the metadata quorum", Repeat::Always, &request, |answer| {
            let answer = answer.get();
            BrokerError::check_with(answer.error_code, answer.error_message.as_deref())?;
            let topic = answer.topics.first().ok_or_else(missing)?;
            let quorum = topic.partitions.first().ok_or_else(missing)?;
            BrokerError::check_with(quorum.error_code, quorum.error_message.as_deref())?;
            Ok(QuorumDescription {
                leader: (quorum.leader_id >= 0).then_some(quorum.leader_id),
                leader_epoch: quorum.leader_epoch,
                high_watermark: Offset::from_wire(quorum.high_watermark),
                voters: quorum.current_voters.iter().map(|each| replica_of(&each)).collect(),
                observers: quorum.observers.iter().map(|each| replica_of(&each)).collect(),
                listeners: answer.nodes.iter().map(|node| listeners_of(&node)).collect(),
            })
        })
        .await
    }

    /// The features that the broker knows that is asked, and those that the cluster has.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn features(&self) -> Result<Vec<FeatureLevels>, AdminError> {
        self.persist("list the features", Repeat::Always, async || {
            let versions = self.cluster.versions().await?;
            let (supported, finalized) = (versions.supported_features(), versions.features());
            let names: BTreeSet<&String> = supported.keys().chain(finalized.keys()).collect();
            let levels = |name: &String| FeatureLevels {
                name: name.clone(),
                supported: supported.get(name).copied(),
                finalized: finalized.get(name).copied(),
            };
            Ok(names.into_iter().map(levels).collect())
        })
        .await
    }
}

fn listeners_of(node: &Node<'_>) -> (i32, Vec<QuorumListener>) {
    let listener = |listener: Listener<'_>| QuorumListener {
        name: listener.name.into_owned(),
        host: listener.host.into_owned(),
        port: listener.port,
    };
    (node.node_id, node.listeners.iter().map(listener).collect())
}

fn replica_of(replica: &ReplicaState) -> QuorumReplica {
    QuorumReplica {
        id: replica.replica_id,
        directory: replica.replica_directory_id,
        log_end: Offset::from_wire(replica.log_end_offset),
        caught_up: Timestamp::from_wire(replica.last_caught_up_timestamp),
        fetched: Timestamp::from_wire(replica.last_fetch_timestamp),
    }
}
