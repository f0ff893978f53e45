//! Listeners: `NAME://host:port`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ottla_raft::{Endpoint, Voter, VoterSet};
use ottla_types::NodeId;

/// A listener's name, security protocol and address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Upper case, as Kafka keeps it.
    pub name: String,
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.name, self.authority())
    }
}

impl Listener {
    /// Host and port as a client types them.
    #[must_use]
    pub fn authority(&self) -> String {
        match (self.host.as_str(), self.port) {
            (v6, port) if v6.contains(':') => format!("[{v6}]:{port}"),
            (host, port) => format!("{host}:{port}"),
        }
    }

    /// Where to bind: an empty host means every interface.
    ///
    /// # Errors
    /// When the host is no address of a machine.
    pub fn address(&self) -> Result<SocketAddr, String> {
        let host = match self.host.as_str() {
            "" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            host => {
                host.parse().map_err(|_| format!("`{host}` is not an IP address or `localhost`"))?
            }
        };
        Ok(SocketAddr::new(host, self.port))
    }
}

/// Security protocols by listener name.
pub(crate) type Protocols = BTreeMap<String, String>;

/// Reads `NAME:PROTOCOL`, comma-separated.
pub(crate) fn parse_protocols(text: &str) -> Result<Protocols, String> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, protocol) =
            pair.split_once(':').ok_or_else(|| format!("`{pair}` is not NAME:PROTOCOL"))?;
        Ok((name.trim().to_ascii_uppercase(), protocol.trim().to_ascii_uppercase()))
    });
    pairs.collect()
}

/// Reads a comma-separated list of listeners.
pub(crate) fn parse_listeners(text: &str) -> Result<Vec<Listener>, String> {
    let listeners: Vec<Listener> =
        text.split(',').map(|one| parse_listener(one.trim())).collect::<Result<_, _>>()?;
    for (at, listener) in listeners.iter().enumerate() {
        if listeners[..at].iter().any(|other| other.name == listener.name) {
            return Err(format!("two listeners have the name {}", listener.name));
        }
    }
    Ok(listeners)
}

/// Reads the voters of a static quorum: `id@host:port`, comma-separated. Kafka names their only
/// listener after the first of `controller.listener.names`; the name is not stored anywhere.
pub(crate) fn parse_voters(text: &str) -> Result<VoterSet, String> {
    let mut voters = VoterSet::new();
    for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        let shape = || format!("`{one}` is not id@host:port");
        let (id, address) = one.split_once('@').ok_or_else(shape)?;
        let (host, port) = address.rsplit_once(':').ok_or_else(shape)?;
        let id = id.parse().ok().and_then(NodeId::from_wire).ok_or_else(shape)?;
        let port = port.parse().map_err(|_| shape())?;
        let endpoint = Endpoint { listener: "CONTROLLER".into(), host: host.to_owned(), port };
        let voter = Voter { directory: None, endpoints: vec![endpoint] };
        if voters.insert(id, voter).is_some() {
            return Err(format!("voter {id} is named twice"));
        }
    }
    if voters.is_empty() { Err("a quorum needs a voter".to_owned()) } else { Ok(voters) }
}

/// Reads `http://host:port`; nothing is nowhere.
pub(crate) fn parse_http(text: &str) -> Result<Option<Listener>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let shape = || format!("`{text}` is not http://host:port");
    let listener = parse_listener(text).map_err(|_| shape())?;
    listener.address()?;
    if listener.name == "HTTP" { Ok(Some(listener)) } else { Err(shape()) }
}

fn parse_listener(text: &str) -> Result<Listener, String> {
    let shape = || format!("`{text}` is not NAME://host:port");
    let (name, address) = text.split_once("://").ok_or_else(shape)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(shape)?;
    let port = port.parse().map_err(|_| shape())?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || !name.chars().all(legal) {
        return Err(shape());
    }
    Ok(Listener { name: name.to_ascii_uppercase(), host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_as_kafka_spells_them() {
        check("PLAINTEXT://127.0.0.1:9092", Ok("PLAINTEXT://127.0.0.1:9092"));
        check(
            "plaintext://:9092, CONTROLLER://[::1]:0",
            Ok("PLAINTEXT://:9092 CONTROLLER://[::1]:0"),
        );
        check("A://:1,A://:2", Err("two listeners have the name A"));
        check("9092", Err("`9092` is not NAME://host:port"));
        check("A://h:70000", Err("`A://h:70000` is not NAME://host:port"));
    }

    fn check(text: &str, expected: Result<&str, &str>) {
        let read = parse_listeners(text).map(|listeners| {
            listeners.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        });
        assert_eq!(read.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn http_is_served_at_an_address_or_nowhere() {
        http("", Ok(None));
        http("http://127.0.0.1:8080", Ok(Some("127.0.0.1:8080")));
        http("http://:0", Ok(Some(":0")));
        http("https://127.0.0.1:8080", Err("`https://127.0.0.1:8080` is not http://host:port"));
        http("8080", Err("`8080` is not http://host:port"));
        http("http://127.0.0.1:8080/", Err("`http://127.0.0.1:8080/` is not http://host:port"));
        http("http://me:1", Err("`me` is not an IP address or `localhost`"));
    }

    fn http(text: &str, expected: Result<Option<&str>, &str>) {
        let read = parse_http(text).map(|it| it.map(|listener| listener.authority()));
        let read = read.as_ref().map(Option::as_deref).map_err(String::as_str);
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn voters_are_read_as_kafka_spells_them() {
        voters("1@a:9093, 2@[::1]:9094", Ok(&[(1, "a", 9093), (2, "[::1]", 9094)]));
        voters("1@a", Err("`1@a` is not id@host:port"));
        voters("x@a:1", Err("`x@a:1` is not id@host:port"));
        voters("1@a:1,1@b:1", Err("voter 1 is named twice"));
        voters("", Err("a quorum needs a voter"));
    }

    fn voters(text: &str, expected: Result<&[(i32, &str, u16)], &str>) {
        let read = parse_voters(text);
        let read = read.as_ref().map(|set| {
            let endpoints = set.iter().map(|(id, voter)| (id.get(), &voter.endpoints[0]));
            endpoints.map(|(id, at)| (id, at.host.as_str(), at.port)).collect::<Vec<_>>()
        });
        assert_eq!(read.as_deref().map_err(|why| why.as_str()), expected);
    }
}
