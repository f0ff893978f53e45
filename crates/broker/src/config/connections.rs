//! The properties of connections: how many there may be, and what they may hold.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ottla_metadata::{ConfigRule, Mismatch};
use ottla_types::limits::REQUEST_BYTES_MAX;

use super::property::{Described, Property, Reader, STRING, Update, int, long, whole};

/// What holds for the connections of one node, all of its clients' together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionsConfig {
    /// `max.connections`: how many there may be; further ones wait to be accepted.
    pub count_max: usize,
    /// `max.connections.per.ip`: how many one address may have; further ones are closed.
    pub per_address_max: usize,
    /// `max.connections.per.ip.overrides`: addresses that may have more of them, or fewer.
    pub of_address_max: BTreeMap<IpAddr, usize>,
    /// `max.connection.creation.rate`: how many may be made in a second; `None`: any number.
    pub made_per_second_max: Option<u32>,
    /// `connections.max.idle.ms`: how long one may be silent; `None`: for ever.
    pub idle_max: Option<Duration>,
    /// `socket.request.max.bytes`: the largest request.
    pub request_bytes_max: usize,
    /// `queued.max.request.bytes`: what they may hold together of requests that cannot be handled
    /// yet and of answers that nobody has taken; `None`: any number of bytes.
    pub memory_bytes_max: Option<u64>,
}

impl ConnectionsConfig {
    /// How many connections an address may have.
    pub(crate) fn of_address(&self, address: IpAddr) -> usize {
        self.of_address_max.get(&address.to_canonical()).copied().unwrap_or(self.per_address_max)
    }
}

/// 20,000 idle connections take some 40 MiB. Whoever has more clients says so; Kafka takes any
/// number.
static MAX_CONNECTIONS: Property<usize> = Property {
    name: "max.connections",
    synonym: None,
    default: Some("20000"),
    rule: int(0),
    update: Update::ClusterWide,
    doc: "How many connections clients may have at once, all together. Further ones are not \
          accepted before others end. Those on controllers' listeners are counted by themselves.",
    parse: whole,
};

static MAX_CONNECTIONS_PER_IP: Property<usize> = Property {
    name: "max.connections.per.ip",
    synonym: None,
    default: Some("2147483647"),
    rule: int(0),
    update: Update::ClusterWide,
    doc: "How many connections may come from one IP address. Further ones are closed.",
    parse: whole,
};

static MAX_CONNECTIONS_PER_IP_OVERRIDES: Property<BTreeMap<IpAddr, usize>> = Property {
    name: "max.connections.per.ip.overrides",
    synonym: None,
    default: Some(""),
    rule: STRING,
    update: Update::ClusterWide,
    doc: "How many connections may come from particular IP addresses: address:number, \
          comma-separated.",
    parse: parse_overrides,
};

static MAX_CONNECTION_CREATION_RATE: Property<Option<u32>> = Property {
    name: "max.connection.creation.rate",
    synonym: None,
    default: Some("2147483647"),
    rule: int(0),
    update: Update::ClusterWide,
    doc: "How many connections are accepted in a second; further ones wait.",
    parse: |text| whole(text).map(|rate: u32| (rate < i32::MAX.unsigned_abs()).then_some(rate)),
};

static CONNECTIONS_MAX_IDLE: Property<Option<Duration>> = Property {
    name: "connections.max.idle.ms",
    synonym: None,
    default: Some("600000"),
    rule: long(i64::MIN),
    update: Update::ReadOnly,
    doc: "After how many milliseconds without a byte in either direction a connection is closed. \
          A negative number: never.",
    parse: |text| whole(text).map(|idle: i64| u64::try_from(idle).ok().map(Duration::from_millis)),
};

const _: () = assert!(REQUEST_BYTES_MAX == 104_857_600, "no larger request may be set");

static REQUEST_MAX_BYTES: Property<usize> = Property {
    name: "socket.request.max.bytes",
    synonym: None,
    default: Some("104857600"),
    rule: ConfigRule::Int { min: 1, max: 104_857_600 },
    update: Update::ReadOnly,
    doc: "The largest request in bytes. Whoever announces a larger one is disconnected.",
    parse: whole,
};

/// Kafka takes any number of bytes unless told otherwise.
static QUEUED_MAX_REQUEST_BYTES: Property<Option<u64>> = Property {
    name: "queued.max.request.bytes",
    synonym: None,
    default: Some("268435456"),
    rule: long(i64::MIN),
    update: Update::ReadOnly,
    doc: "Bytes of memory that all connections together may hold for requests that have not \
          arrived as a whole, or wait for others, and for answers that their clients have not \
          taken. Once they are held, nothing more is read, and clients that keep the node waiting \
          are disconnected. No more than 0: any number.",
    parse: |text| {
        whole(text).map(|bytes: i64| u64::try_from(bytes).ok().filter(|bytes| *bytes > 0))
    },
};

/// What this file has of the registry.
pub(super) static PROPERTIES: &[&dyn Described] = &[
    &MAX_CONNECTIONS,
    &MAX_CONNECTIONS_PER_IP,
    &MAX_CONNECTIONS_PER_IP_OVERRIDES,
    &MAX_CONNECTION_CREATION_RATE,
    &CONNECTIONS_MAX_IDLE,
    &REQUEST_MAX_BYTES,
    &QUEUED_MAX_REQUEST_BYTES,
];

/// `None` where something is wrong, which the reader remembers.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<ConnectionsConfig> {
    let count_max = reader.read(&MAX_CONNECTIONS);
    let of_address_max = reader.read(&MAX_CONNECTIONS_PER_IP_OVERRIDES);
    let nobody_else = of_address_max.as_ref().is_none_or(BTreeMap::is_empty);
    let per_address_max = reader.read_if(&MAX_CONNECTIONS_PER_IP, |max| match max {
        0 if nobody_else => Err(Mismatch::Unreadable(locked_out())),
        _ => Ok(()),
    });
    let made_per_second_max = reader.read(&MAX_CONNECTION_CREATION_RATE);
    let idle_max = reader.read(&CONNECTIONS_MAX_IDLE);
    let request_bytes_max = reader.read(&REQUEST_MAX_BYTES);
    let memory_bytes_max = reader.read(&QUEUED_MAX_REQUEST_BYTES);
    let config = ConnectionsConfig {
        count_max: count_max?,
        per_address_max: per_address_max?,
        of_address_max: of_address_max?,
        made_per_second_max: made_per_second_max?,
        idle_max: idle_max?,
        request_bytes_max: request_bytes_max?,
        memory_bytes_max: memory_bytes_max?,
    };
    check(&config, reader);
    Some(config)
}

/// What only several of them together show, as in Kafka.
fn check(config: &ConnectionsConfig, reader: &mut Reader<'_>) {
    let request = config.request_bytes_max as u64;
    if let Some(bytes) = config.memory_bytes_max.filter(|bytes| *bytes < request) {
        let why = format!("the largest request has {request} ({})", REQUEST_MAX_BYTES.name);
        reader.refuse(QUEUED_MAX_REQUEST_BYTES.name, &bytes.to_string(), why);
    }
    // What is set while a node runs cannot stop it.
    if config.per_address_max == 0 && config.of_address_max.is_empty() && reader.is_start() {
        reader.refuse(MAX_CONNECTIONS_PER_IP.name, "0", locked_out());
    }
}

fn locked_out() -> String {
    format!("nobody could connect without {}", MAX_CONNECTIONS_PER_IP_OVERRIDES.name)
}

fn parse_overrides(text: &str) -> Result<BTreeMap<IpAddr, usize>, String> {
    let each = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    each.map(parse_override).collect()
}

/// Kafka resolves names, too; what a name means may change while the limit stays.
fn parse_override(item: &str) -> Result<(IpAddr, usize), String> {
    let (address, number) =
        item.rsplit_once(':').ok_or_else(|| format!("`{item}` is not address:number"))?;
    let address = address.trim().trim_start_matches('[').trim_end_matches(']');
    let address: IpAddr =
        address.parse().map_err(|_| format!("`{address}` is not an IP address"))?;
    let number: i32 = number.trim().parse().map_err(|_| format!("`{number}` is not a number"))?;
    let number = usize::try_from(number).map_err(|_| format!("`{number}` is negative"))?;
    Ok((address.to_canonical(), number))
}

#[cfg(test)]
mod tests {
    use super::super::tests::parse;
    use super::*;

    #[test]
    fn all_is_bounded_that_nobody_has_unbounded() {
        let config = parse(&[]).unwrap().connections;
        assert_eq!((config.count_max, config.per_address_max), (20_000, 2_147_483_647));
        assert_eq!(config.idle_max, Some(Duration::from_mins(10)));
        assert_eq!(config.made_per_second_max, None);
        assert_eq!(config.memory_bytes_max, Some(256 << 20));
        assert_eq!(config.request_bytes_max, REQUEST_BYTES_MAX);
        let open = [("connections.max.idle.ms", "-1"), ("queued.max.request.bytes", "-1")];
        let config = parse(&open).unwrap().connections;
        assert_eq!((config.idle_max, config.memory_bytes_max), (None, None));
    }

    #[test]
    fn an_address_may_have_a_number_of_its_own() {
        let given = "10.0.0.1:7, ::1:3,[fe80::1]:0,::ffff:10.0.0.2:9";
        let config = parse(&[
            ("max.connections.per.ip", "5"),
            ("max.connections.per.ip.overrides", given),
            ("max.connection.creation.rate", "100"),
        ]);
        let config = config.unwrap().connections;
        assert_eq!(config.made_per_second_max, Some(100));
        for (address, max) in [
            ("10.0.0.1", 7),
            ("::ffff:10.0.0.1", 7),
            ("10.0.0.2", 9),
            ("::1", 3),
            ("fe80::1", 0),
            ("10.0.0.3", 5),
        ] {
            assert_eq!(config.of_address(address.parse().unwrap()), max, "{address}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_in_plain_words() {
        let overrides = "max.connections.per.ip.overrides";
        refused(&[(overrides, "10.0.0.1")], "`10.0.0.1` is not address:number");
        refused(&[(overrides, "broker-1:7")], "`broker-1` is not an IP address");
        refused(&[(overrides, "10.0.0.1:many")], "`many` is not a number");
        refused(&[(overrides, "10.0.0.1:-1")], "`-1` is negative");
        refused(&[("max.connections", "-1")], "Value must be at least 0");
        refused(&[("max.connections.per.ip", "0")], "nobody could connect without");
        refused(&[("socket.request.max.bytes", "200000000")], "Value must be no more than");
        refused(&[("queued.max.request.bytes", "5")], "the largest request has 104857600");
        let small = [("queued.max.request.bytes", "5000"), ("socket.request.max.bytes", "5000")];
        assert!(parse(&small).is_ok());
    }

    fn refused(pairs: &[(&str, &str)], why: &str) {
        let errors = parse(pairs).unwrap_err();
        let told = &errors.mistakes;
        assert!(told.len() == 1 && told[0].why.contains(why), "{pairs:?}: {errors}");
    }
}
