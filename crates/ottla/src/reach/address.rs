//! Where clusters are: from what somebody typed to addresses.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

/// Kafka's port, where nobody names one.
const PORT: u16 = 9092;

/// A place to begin with: as it was typed, and where that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) typed: String,
    pub(crate) addresses: Vec<SocketAddr>,
}

/// The places of a list such as `one:9092,two`.
///
/// # Errors
/// When the list is none, or a host in it is not known.
pub(super) fn places(list: &str) -> Result<Vec<Place>, String> {
    let each = list.split(',').map(str::trim).filter(|each| !each.is_empty());
    let places: Vec<Place> = each.map(place).collect::<Result<_, _>>()?;
    if places.is_empty() {
        return Err(format!("`{list}` names no broker: write HOST:PORT, as in localhost:9092"));
    }
    Ok(places)
}

fn place(typed: &str) -> Result<Place, String> {
    let bare = typed.split_once("://").map_or(typed, |(_, rest)| rest).trim_end_matches('/');
    let (host, port) = split(bare)
        .ok_or_else(|| format!("`{typed}` is no broker: write HOST:PORT, as in localhost:9092"))?;
    let addresses = resolve(host, port).map_err(|why| {
        format!(
            "the host {host} of the broker {typed} is not known here: {why}. Is it spelled right? \
             Names inside of containers are often known inside only"
        )
    })?;
    Ok(Place { typed: typed.to_owned(), addresses })
}

/// Host and port; `None` where neither could be meant.
fn split(text: &str) -> Option<(&str, u16)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let port = if rest.is_empty() { Some(PORT) } else { rest.strip_prefix(':')?.parse().ok() };
        return Some((host, port?));
    }
    match text.rsplit_once(':') {
        // More than one colon, and no brackets: an IPv6 address without a port.
        Some((before, _)) if before.contains(':') => Some((text, PORT)),
        Some((host, port)) if !host.is_empty() => Some((host, port.parse().ok()?)),
        Some(_) => None,
        None => (!text.is_empty()).then_some((text, PORT)),
    }
}

/// What the system knows of a host; IPv4 first, which is what a bare node listens on.
fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found = (host, port).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut addresses: Vec<SocketAddr> = found.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.dedup();
    if addresses.is_empty() { Err("it has no address".to_owned()) } else { Ok(addresses) }
}

/// Finds the addresses of brokers that advertise names. Each is looked up once: a name that nobody
/// knows may take the system seconds, and the loop waits for it.
pub(super) fn resolver() -> impl Fn(&str) -> Option<IpAddr> {
    let known: RefCell<BTreeMap<String, Option<IpAddr>>> = RefCell::default();
    move |host| {
        let look_up = || resolve(host, PORT).ok().and_then(|found| Some(found.first()?.ip()));
        *known.borrow_mut().entry(host.to_owned()).or_insert_with(look_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (text, expected) in [
            ("localhost:9092", Some(("localhost", 9092))),
            ("localhost", Some(("localhost", 9092))),
            ("10.0.0.5:1", Some(("10.0.0.5", 1))),
            ("::1", Some(("::1", 9092))),
            ("[::1]:7", Some(("::1", 7))),
            ("[::1]", Some(("::1", 9092))),
            ("host:port", None),
            ("host:99999", None),
            (":9092", None),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }

    #[test]
    fn lists_are_places() {
        let found = places("127.0.0.1:1, PLAINTEXT://127.0.0.2").unwrap();
        let told: Vec<_> = found.iter().map(|each| each.addresses[0].to_string()).collect();
        assert_eq!(told, ["127.0.0.1:1", "127.0.0.2:9092"]);
        assert!(places(" , ").unwrap_err().contains("names no broker"));
        assert!(places("no.such.host.invalid").unwrap_err().contains("is not known here"));
    }
}
