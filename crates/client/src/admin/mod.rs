//! What operators ask of a cluster.

mod brokers;
mod cluster;
mod configs;
mod eligible;
mod features;
mod groups;
mod log_dirs;
mod offsets;
mod topics;

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use ottla_types::TopicPartition;
use ottla_wire::ErrorCode;

pub use brokers::RegisteredBroker;
pub use cluster::{
    ClusterDescription, FeatureLevels, QuorumDescription, QuorumListener, QuorumReplica,
};
pub use configs::{ConfigChange, ConfigEntry, ConfigResource, ConfigSource, ConfigSynonym};
pub use eligible::EligibleReplicas;
pub use features::FeatureChange;
pub use groups::{GroupDescription, GroupListing, GroupMember};
pub use log_dirs::LogDirDescription;
pub use offsets::{CommittedOffset, ListedOffset, OffsetSpec};
pub use topics::NewTopic;

use crate::cluster::{Cluster, Lane};
use crate::connection::Answer;
use crate::error::{BrokerError, RequestError};
use crate::metadata::Node;
use crate::request::Request;

/// How long an operation is tried again when nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Operators' requests. Each is tried again until it is served, refused for good, or the time for
/// it is over.
///
/// A request that changes something is not repeated where the first one may have been served: the
/// error is a [`CallError`](crate::CallError) then, and looking tells.
#[derive(Clone)]
pub struct Admin {
    cluster: Rc<Cluster>,
    timeout: Duration,
}

/// An operation that was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {what}: {source}")]
pub struct AdminError {
    /// What was to be done.
    pub what: String,
    /// Why it was not.
    pub source: RequestError,
}

impl AdminError {
    /// The broker's error, if it was the broker that refused.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.source.code()
    }
}

/// Whether a request may be sent again when the first one may have been served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    Always,
    UnlessServed,
}

impl Admin {
    pub(crate) const fn new(cluster: Rc<Cluster>) -> Self {
        Self { cluster, timeout: TIMEOUT }
    }

    /// How long operations are tried again. Default: 60 s.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What a broker is told to take at most for itself.
    fn timeout_ms(&self) -> i32 {
        i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX)
    }

    /// Tries until it is done, refused for good, or over.
    async fn persist<T>(
        &self,
        what: impl fmt::Display,
        repeat: Repeat,
        mut attempt: impl AsyncFnMut() -> Result<T, RequestError>,
    ) -> Result<T, AdminError> {
        let deadline = self.cluster.now().after(self.timeout);
        let mut tries = 0;
        loop {
            let source = match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let unserved = match &source {
                RequestError::Call(error) => error.is_unsent(),
                // These say that the request may have been served in part.
                RequestError::Refused(error) => !error.is(ErrorCode::RequestTimedOut),
            };
            let may_repeat = repeat == Repeat::Always || unserved;
            if !source.is_retriable() || !may_repeat || self.cluster.now() >= deadline {
                return Err(AdminError { what: what.to_string(), source });
            }
            self.cluster.back_off(tries).await;
            tries += 1;
        }
    }

    /// Asks any broker.
    async fn ask<R: Request, T>(
        &self,
        what: impl fmt::Display,
        repeat: Repeat,
        request: &R,
        read: impl Fn(&Answer<R>) -> Result<T, BrokerError>,
    ) -> Result<T, AdminError> {
        self.persist(what, repeat, async || {
            let answer = self.cluster.call_any(request).await?;
            Ok(read(&answer)?)
        })
        .await
    }

    /// Asks the coordinator of a group.
    async fn ask_coordinator<R: Request, T>(
        &self,
        what: impl fmt::Display,
        (repeat, group): (Repeat, &str),
        request: &R,
        read: impl Fn(&Answer<R>) -> Result<T, BrokerError>,
    ) -> Result<T, AdminError> {
        self.persist(what, repeat, async || {
            let node = self.cluster.find_coordinator(group).await?;
            let answer = self.cluster.call(node, Lane::COMMON, request).await?;
            Ok(read(&answer)?)
        })
        .await
    }

    /// Asks the leader of a partition.
    async fn ask_leader<R: Request, T>(
        &self,
        what: impl fmt::Display,
        (repeat, of): (Repeat, &TopicPartition),
        request: &R,
        read: impl Fn(&Answer<R>) -> Result<T, BrokerError>,
    ) -> Result<T, AdminError> {
        self.persist(what, repeat, async || {
            let topic = self.cluster.fresh_topic(&of.topic).await?;
            let missing = BrokerError::of(ErrorCode::UnknownTopicOrPartition);
            let partition = topic.partition(of.partition).ok_or(missing)?;
            let nobody = BrokerError::of(ErrorCode::LeaderNotAvailable);
            let leader = partition.leader.ok_or(nobody)?;
            let answer = self.cluster.call(leader, Lane::COMMON, request).await?;
            Ok(read(&answer)?)
        })
        .await
    }

    /// The brokers of the cluster, by their ids.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn nodes(&self) -> Result<Vec<Node>, AdminError> {
        self.persist("list the brokers", Repeat::Always, async || {
            self.cluster.refresh(Some(&[])).await?;
            Ok(self.cluster.described().0)
        })
        .await
    }

    /// The level that a feature has in this cluster, such as `group.version`; `None` for none.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn feature_level(&self, name: &str) -> Result<Option<i16>, AdminError> {
        self.persist(format_args!("look up the feature {name}"), Repeat::Always, async || {
            Ok(self.cluster.feature(name).await?)
        })
        .await
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// An answer that lacks what was asked for.
fn missing() -> BrokerError {
    BrokerError::of(ErrorCode::UnknownServerError)
}
