//! The nodes of the cluster.

use ottla_types::{BrokerEpoch, BrokerId, NodeId, Uuid};

use crate::features::FeatureRange;

/// Where a node listens, as it told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name.
    pub listener: String,
    /// A host name or address, unresolved.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Kafka's number of the security protocol: 0 is PLAINTEXT.
    pub security_protocol: i16,
}

/// A broker's registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerImage {
    /// `node.id`.
    pub id: BrokerId,
    /// Which registration this is: the offset of its record.
    pub epoch: BrokerEpoch,
    /// Random for each run of the process.
    pub incarnation: Uuid,
    /// The listeners for clients and other brokers.
    pub endpoints: Vec<Endpoint>,
    /// What it supports.
    pub features: Vec<FeatureRange>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// It leads nothing, and clients do not see it.
    pub fenced: bool,
    /// It is leaving in good order.
    pub in_controlled_shutdown: bool,
    /// The directories that work, sorted.
    pub directories: Vec<Uuid>,
    /// The directories that get no new replicas; `None` if it did not tell yet.
    pub cordoned: Option<Vec<Uuid>>,
}

impl BrokerImage {
    /// Whether it may lead: registered, not fenced, not leaving.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// Whether none of its directories takes new replicas.
    #[must_use]
    pub fn is_cordoned(&self) -> bool {
        let cordoned = self.cordoned.as_deref().unwrap_or_default();
        !cordoned.is_empty() && self.directories.iter().all(|id| cordoned.contains(id))
    }

    /// The endpoint of a listener.
    #[must_use]
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.listener == listener)
    }
}

/// A controller's registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerImage {
    /// `node.id`.
    pub id: NodeId,
    /// Random for each run of the process.
    pub incarnation: Uuid,
    /// The controller listeners.
    pub endpoints: Vec<Endpoint>,
    /// What it supports.
    pub features: Vec<FeatureRange>,
}
