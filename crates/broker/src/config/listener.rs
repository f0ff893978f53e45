//! Listeners: `NAME://host:port`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

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
        write!(f, "{}://{}:{}", self.name, self.host, self.port)
    }
}

impl Listener {
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

/// Reads a comma-separated list of listeners.
pub(crate) fn parse_listeners(text: &str) -> Result<Vec<Listener>, String> {
    let listeners: Vec<Listener> =
        text.split(',').map(|one| parse_listener(one.trim())).collect::<Result<_, _>>()?;
    for (at, listener) in listeners.iter().enumerate() {
        if listeners[..at].iter().any(|other| other.name == listener.name) {
            return Err(format!("Each listener must have a different name, {}", listener.name));
        }
    }
    Ok(listeners)
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
            Ok("PLAINTEXT://:9092 CONTROLLER://::1:0"),
        );
        check("A://:1,A://:2", Err("Each listener must have a different name, A"));
        check("9092", Err("`9092` is not NAME://host:port"));
        check("A://h:70000", Err("`A://h:70000` is not NAME://host:port"));
    }

    fn check(text: &str, expected: Result<&str, &str>) {
        let read = parse_listeners(text).map(|listeners| {
            listeners.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        });
        assert_eq!(read.as_deref().map_err(String::as_str), expected);
    }
}
