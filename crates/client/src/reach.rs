//! Whether a cluster can be reached at all, told before somebody waits for it.

use std::net::SocketAddr;

use crate::client::Client;
use crate::cluster::Lane;
use crate::error::CallError;
use crate::metadata::Node;

/// A broker that this client was told to use, and has never got through to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// As it advertises itself.
    pub broker: Node,
    /// Who told the client so.
    pub told_by: SocketAddr,
    /// How often it was tried.
    pub tries: u32,
    /// Why not.
    pub why: CallError,
}

impl Client {
    /// Connects to the first of the addresses to begin with that answers as a broker does, and
    /// says which. Each is tried once.
    ///
    /// # Errors
    /// When none does: for each, why.
    pub async fn reach(&self) -> Result<SocketAddr, Vec<CallError>> {
        let cluster = self.cluster();
        let mut refused = Vec::new();
        for address in &cluster.settings.bootstrap {
            match cluster.connection(*address, Lane::COMMON).await {
                Ok(_) => return Ok(*address),
                Err(why) => refused.push(why),
            }
        }
        if refused.is_empty() {
            refused.push(CallError::NoBootstrap);
        }
        Err(refused)
    }

    /// The brokers that it was told to use, has tried, and has never reached: usually they
    /// advertise an address that is meant for somebody else.
    #[must_use]
    pub fn unreached(&self) -> Vec<Unreached> {
        let cluster = self.cluster();
        let (nodes, Some(told_by)) = cluster.described() else { return Vec::new() };
        let unreached = |broker: Node| {
            let Some(address) = broker.address else {
                let why = CallError::Unresolved { host: broker.host.clone() };
                return Some(Unreached { broker, told_by, tries: 1, why });
            };
            let tries = cluster.tries_at(address);
            let why = tries.why.filter(|_| !tries.succeeded)?;
            Some(Unreached { broker, told_by, tries: tries.failed, why })
        };
        nodes.into_iter().filter_map(unreached).collect()
    }

    /// How many brokers it was told of.
    #[must_use]
    pub fn known_brokers(&self) -> usize {
        self.cluster().nodes().len()
    }

    /// Tries to connect to a broker, once.
    ///
    /// # Errors
    /// When its host has no address, or nobody answers there as a broker does.
    pub async fn try_broker(&self, broker: &Node) -> Result<(), CallError> {
        let unresolved = || CallError::Unresolved { host: broker.host.clone() };
        let address = broker.address.ok_or_else(unresolved)?;
        self.cluster().connection(address, Lane::COMMON).await.map(drop)
    }
}
