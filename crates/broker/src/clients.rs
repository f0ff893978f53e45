//! What connects: the software that clients say they are (KIP-511), and how many connections of it
//! there are now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Different names and versions that are told apart at once. A cluster has a few dozen; each takes
/// 128 bytes of text at the most and a node of the tree, so all of them stay below 64 KiB.
const SOFTWARE_MAX: usize = 256;

/// Bytes of a name, and of a version, that are kept. Kafka keeps all that its frame holds.
const NAME_BYTES_MAX: usize = 64;

/// What a client says that it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientSoftware {
    /// As `apache-kafka-java`; its first 64 bytes.
    pub name: String,
    /// As `4.3.1`; its first 64 bytes.
    pub version: String,
}

impl ClientSoftware {
    /// Both are plain ASCII by now: nothing is cut within a character.
    fn new(name: &str, version: &str) -> Self {
        let cut = |text: &str| text.chars().take(NAME_BYTES_MAX).collect();
        Self { name: cut(name), version: cut(version) }
    }
}

/// The software of all connections that are open.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    counts: Mutex<BTreeMap<ClientSoftware, usize>>,
}

/// A connection that was counted as that of some software, until this is dropped.
#[derive(Debug)]
pub(crate) struct Known {
    clients: Arc<Clients>,
    software: ClientSoftware,
}

impl Clients {
    /// Counts a connection whose client has said what it is. Software beyond what is told apart is
    /// counted together as `other`.
    pub(crate) fn introduce(self: &Arc<Self>, name: &str, version: &str) -> Known {
        let mut software = ClientSoftware::new(name, version);
        let mut counts = self.lock();
        if counts.len() >= SOFTWARE_MAX && !counts.contains_key(&software) {
            software = ClientSoftware::new("other", "");
        }
        *counts.entry(software.clone()).or_default() += 1;
        drop(counts);
        Known { clients: Arc::clone(self), software }
    }

    /// What is connected, and how many connections of each.
    pub(crate) fn connected(&self) -> Vec<(ClientSoftware, usize)> {
        self.lock().iter().map(|(software, count)| (software.clone(), *count)).collect()
    }

    /// A panic elsewhere leaves no count half done.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClientSoftware, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        let mut counts = self.clients.lock();
        let count = counts.get_mut(&self.software).expect("it was counted when it was introduced");
        *count -= 1;
        if *count == 0 {
            counts.remove(&self.software);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_is_counted_while_its_connections_are_open() {
        let clients = Arc::new(Clients::default());
        let java = clients.introduce("apache-kafka-java", "4.3.1");
        let again = clients.introduce("apache-kafka-java", "4.3.1");
        let older = clients.introduce("apache-kafka-java", "3.9.0");
        check(&clients, &["apache-kafka-java 3.9.0: 1", "apache-kafka-java 4.3.1: 2"]);
        drop((java, older));
        check(&clients, &["apache-kafka-java 4.3.1: 1"]);
        drop(again);
        check(&clients, &[]);
    }

    fn check(clients: &Clients, expected: &[&str]) {
        let connected = clients.connected();
        let told = connected
            .iter()
            .map(|(software, count)| format!("{} {}: {count}", software.name, software.version));
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn names_without_end_take_no_more_than_their_room() {
        let clients = Arc::new(Clients::default());
        let known: Vec<_> = (0..SOFTWARE_MAX + 5)
            .map(|number| clients.introduce(&format!("a{number}"), &"9".repeat(30_000)))
            .collect();
        let connected = clients.connected();
        assert_eq!(connected.len(), SOFTWARE_MAX + 1);
        assert!(connected.iter().all(|(software, _)| software.version.len() <= NAME_BYTES_MAX));
        let others = connected.iter().find(|(software, _)| software.name == "other");
        assert_eq!(others.map(|(_, count)| *count), Some(5));
        drop(known);
        assert!(clients.connected().is_empty());
    }
}
