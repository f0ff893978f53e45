//! A node's configuration: Kafka's properties, as far as this node enforces them.

mod cleaner;
mod connections;
mod consumer_groups;
mod environment;
mod file;
mod groups;
mod kafkas;
mod legacy;
mod listener;
mod live;
mod log;
mod origin;
mod property;
mod reference;
mod registry;
mod watching;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ottla_metadata::{ConfigRule, InvalidValue};
use ottla_raft::VoterSet;
use ottla_types::BrokerId;

pub(crate) use cleaner::CleanerSettings;
pub use connections::ConnectionsConfig;
pub use environment::from_environment;
pub(crate) use file::escape;
pub use file::{escape_value, parse_properties};
pub use groups::GroupsConfig;
pub(crate) use groups::REPLICATION_FACTOR_DEFAULT;
pub use listener::Listener;
pub(crate) use live::{LiveConfig, as_set};
pub(crate) use log::CheckpointPace;
pub use log::LogSettings;
pub(crate) use origin::{Origin, origins};
pub use property::{
    ConfigError, ConfigErrors, Described, Effective, Ignored, Properties, Property, Update,
};
pub use reference::reference;
pub use registry::registry;
pub(crate) use registry::{Registry, find};
pub use watching::{LogFormat, LogLevel, WatchingConfig};

use crate::partition::Durability;
use listener::{Protocols, parse_listeners, parse_protocols, parse_voters};
use property::{LIST, Reader, STRING, boolean, int, long, whole};

/// The settings of one node. Holding one means that they are valid.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    pub node_id: BrokerId,
    /// For clients.
    pub broker_listeners: Vec<Listener>,
    /// For brokers and controllers.
    pub controller_listeners: Vec<Listener>,
    /// What clients are told to connect to, by listener name; the listener itself where absent.
    pub advertised_listeners: Vec<Listener>,
    pub log_dir: PathBuf,
    /// The voters of a static quorum (`kraft.version` 0); where absent, they are in the log.
    pub quorum_voters: Option<VoterSet>,
    pub durability: Durability,
    /// Bytes kept free of records; where absent, derived from the size of the file system.
    pub log_dir_reserve_bytes: Option<u64>,
    pub auto_create_topics: bool,
    pub partitions_default: i32,
    /// What holds for all its logs, but for the metadata's.
    pub logs: LogSettings,
    pub metadata_segment_bytes: u32,
    /// How long a producer may be silent before a partition forgets what it wrote last.
    pub producer_expiration: Duration,
    /// What holds for groups, and for the topic that they are kept in.
    pub groups: GroupsConfig,
    /// How many fetch sessions there may be; 0: none.
    pub fetch_session_slots: usize,
    /// What holds for connections.
    pub connections: ConnectionsConfig,
    /// What others see of it.
    pub watching: WatchingConfig,
    /// Clients are served that Kafka 4 no longer talks to.
    pub legacy_clients: bool,
    /// For an empty folder: the cluster's id, random where absent.
    pub cluster_id: Option<String>,
    /// Given, but not known or not supported: a warning names them.
    pub ignored: Ignored,
    /// Every property in force, by name.
    pub effective: Vec<Effective>,
    /// What the node was started with.
    pub given: Properties,
}

/// What holds without a configuration file, under everything that is given: a node for one's own
/// machine.
pub const PROFILE: [(&str, &str); 7] = [
    ("node.id", "1"),
    ("process.roles", "broker,controller"),
    ("listeners", "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"),
    ("controller.listener.names", "CONTROLLER"),
    ("log.dirs", "./ottla-data"),
    // Nobody waits for others to join whom there are not.
    ("group.initial.rebalance.delay.ms", "0"),
    ("ottla.http.listener", "http://127.0.0.1:8080"),
];

static NODE_ID: Property<i32> = Property {
    name: "node.id",
    synonym: Some("broker.id"),
    default: Some("1"),
    rule: int(0),
    update: Update::ReadOnly,
    doc: "The node's number in its cluster.",
    parse: whole,
};

static PROCESS_ROLES: Property<()> = Property {
    name: "process.roles",
    synonym: None,
    default: Some("broker,controller"),
    rule: LIST,
    update: Update::ReadOnly,
    doc: "What this process does. A node is broker and controller at once, for now.",
    parse: |text| {
        let mut roles: Vec<&str> = text.split(',').map(str::trim).collect();
        roles.sort_unstable();
        match roles.as_slice() {
            ["broker", "controller"] => Ok(()),
            _ => Err("only broker,controller is supported yet".to_owned()),
        }
    },
};

static LISTENERS: Property<Vec<Listener>> = Property {
    name: "listeners",
    synonym: None,
    default: Some("PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"),
    rule: LIST,
    update: Update::ReadOnly,
    doc: "Where the node listens: NAME://host:port, comma-separated.",
    parse: parse_listeners,
};

static ADVERTISED_LISTENERS: Property<Vec<Listener>> = Property {
    name: "advertised.listeners",
    synonym: None,
    default: None,
    rule: LIST,
    update: Update::ReadOnly,
    doc: "What clients are told to connect to; `listeners` where absent.",
    parse: parse_listeners,
};

static CONTROLLER_LISTENER_NAMES: Property<Vec<String>> = Property {
    name: "controller.listener.names",
    synonym: None,
    default: Some("CONTROLLER"),
    rule: LIST,
    update: Update::ReadOnly,
    doc: "Which listeners are for brokers and controllers, comma-separated.",
    parse: |text| Ok(text.split(',').map(|name| name.trim().to_ascii_uppercase()).collect()),
};

/// Kafka's, and the controller's listener, which Kafka maps so in silence.
static SECURITY_PROTOCOL_MAP: Property<Protocols> = Property {
    name: "listener.security.protocol.map",
    synonym: None,
    default: Some(
        "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,\
         CONTROLLER:PLAINTEXT",
    ),
    rule: STRING,
    update: Update::ReadOnly,
    doc: "Each listener's security protocol: NAME:PROTOCOL, comma-separated. Listeners in use \
          have PLAINTEXT, for now.",
    parse: parse_protocols,
};

static LOG_DIRS: Property<PathBuf> = Property {
    name: "log.dirs",
    synonym: Some("log.dir"),
    default: Some("./ottla-data"),
    rule: LIST,
    update: Update::ReadOnly,
    doc: "The folder that holds the data. One, for now.",
    parse: |text| match text {
        "" => Err("a folder is needed".to_owned()),
        text if text.contains(',') => Err("only one folder is supported yet".to_owned()),
        text => Ok(PathBuf::from(text)),
    },
};

static QUORUM_VOTERS: Property<VoterSet> = Property {
    name: "controller.quorum.voters",
    synonym: None,
    default: None,
    rule: LIST,
    update: Update::ReadOnly,
    doc: "The voters of the metadata quorum, the same on every node: id@host:port. Where absent, \
          the metadata log names them.",
    parse: parse_voters,
};

static DURABILITY: Property<Durability> = Property {
    name: "ottla.durability",
    synonym: None,
    default: Some("fsync"),
    rule: ConfigRule::Word { words: &["fsync", "page-cache"], served: &["fsync", "page-cache"] },
    update: Update::ReadOnly,
    doc: "When an append counts as committed: `fsync` once it is on stable storage, `page-cache` \
          once the kernel has it, as in Kafka.",
    parse: |text| match text {
        "fsync" => Ok(Durability::Fsync),
        "page-cache" => Ok(Durability::PageCache),
        _ => Err("fsync or page-cache is needed".to_owned()),
    },
};

static LOG_DIR_RESERVE: Property<u64> = Property {
    name: "ottla.log.dir.reserve.bytes",
    synonym: None,
    default: None,
    rule: long(0),
    update: Update::ReadOnly,
    doc: "Bytes of the log folder's file system that records leave free, for metadata and \
          checkpoints: below, Produce and CreateTopics are refused until there is room again. \
          Where absent, a twentieth of the file system, at most 1 GiB.",
    parse: whole,
};

static AUTO_CREATE_TOPICS: Property<bool> = Property {
    name: "auto.create.topics.enable",
    synonym: None,
    default: Some("true"),
    rule: ConfigRule::Boolean,
    update: Update::ReadOnly,
    doc: "Whether a topic is made when a client first asks for it.",
    parse: boolean,
};

static NUM_PARTITIONS: Property<i32> = Property {
    name: "num.partitions",
    synonym: None,
    default: Some("1"),
    rule: int(1),
    update: Update::ReadOnly,
    doc: "Partitions of a topic whose creator did not choose.",
    parse: whole,
};

static METADATA_SEGMENT_BYTES: Property<u32> = Property {
    name: "metadata.log.segment.bytes",
    synonym: None,
    default: Some("1073741824"),
    rule: int(8 << 20),
    update: Update::ReadOnly,
    doc: "The size in bytes at which a segment file of the metadata log is full.",
    parse: whole,
};

/// Kafka has the same back door, for tests; a segment must hold the largest batch of records that a
/// test writes.
static INTERNAL_METADATA_SEGMENT_BYTES: Property<u32> = Property {
    name: "internal.metadata.log.segment.bytes",
    synonym: None,
    default: None,
    rule: int(256),
    update: Update::ReadOnly,
    doc: "For tests: `metadata.log.segment.bytes` without its lower bound.",
    parse: whole,
};

static FETCH_SESSION_SLOTS: Property<usize> = Property {
    name: "max.incremental.fetch.session.cache.slots",
    synonym: None,
    default: Some("1000"),
    rule: int(0),
    update: Update::ReadOnly,
    doc: "How many fetch sessions are kept; consumers beyond that name all their partitions in \
          every fetch.",
    parse: whole,
};

static PRODUCER_ID_EXPIRATION: Property<Duration> = Property {
    name: "producer.id.expiration.ms",
    synonym: None,
    default: Some("86400000"),
    rule: int(1),
    update: Update::ClusterWide,
    doc: "How long in milliseconds a producer may be silent before a partition forgets what it \
          wrote last, and so recognises no batch of it any more.",
    parse: |text| whole(text).map(millis),
};

/// What this file has of the registry.
pub(super) static PROPERTIES: &[&dyn Described] = &[
    &NODE_ID,
    &PROCESS_ROLES,
    &LISTENERS,
    &ADVERTISED_LISTENERS,
    &CONTROLLER_LISTENER_NAMES,
    &SECURITY_PROTOCOL_MAP,
    &LOG_DIRS,
    &QUORUM_VOTERS,
    &DURABILITY,
    &LOG_DIR_RESERVE,
    &AUTO_CREATE_TOPICS,
    &NUM_PARTITIONS,
    &METADATA_SEGMENT_BYTES,
    &INTERNAL_METADATA_SEGMENT_BYTES,
    &FETCH_SESSION_SLOTS,
    &PRODUCER_ID_EXPIRATION,
];

fn millis(count: u32) -> Duration {
    Duration::from_millis(u64::from(count))
}

impl NodeConfig {
    /// Reads and checks a node's properties.
    ///
    /// # Errors
    /// Every value that cannot be.
    pub fn parse(
        properties: &Properties,
        cluster_id: Option<String>,
    ) -> Result<Self, ConfigErrors> {
        let none = Properties::new();
        let ignored = registry::ignored(properties);
        let mut reader = Reader::new(properties, &none, &none);
        let config = Self::read(&mut reader);
        // An image's script sets it to nothing where nobody chose one.
        let cluster_id = cluster_id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
        if let Some(id) = &cluster_id
            && id.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            reader.refuse("cluster.id", id, "an id has no spaces and spans no lines");
        }
        let config = reader.finish(config, &ignored)?;
        Ok(Self { cluster_id, ignored, given: properties.clone(), ..config })
    }

    /// The configuration once these properties were set, for this node and for all, while it ran;
    /// and those of them that have no effect, because they cannot be.
    ///
    /// # Panics
    /// If it cannot be: what may be set while a node runs is checked one by one.
    #[must_use]
    pub fn with_set(&self, own: &Properties, of_all: &Properties) -> (Self, Vec<InvalidValue>) {
        let mut reader = Reader::new(&self.given, own, of_all);
        let config = Self::read(&mut reader);
        let passed_over = reader.passed_over();
        let config = reader
            .finish(config, &self.ignored)
            .expect("what was given was checked, and what was set has been now");
        let (cluster_id, ignored) = (self.cluster_id.clone(), self.ignored.clone());
        (Self { cluster_id, ignored, given: self.given.clone(), ..config }, passed_over)
    }

    /// A property in force.
    #[must_use]
    pub fn effective(&self, name: &str) -> Option<&Effective> {
        let at = self.effective.binary_search_by_key(&name, |each| each.property.name());
        at.ok().map(|at| &self.effective[at])
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let node_id = reader.read(&NODE_ID);
        let roles = reader.read(&PROCESS_ROLES);
        let protocols = reader.read(&SECURITY_PROTOCOL_MAP);
        let controller_names = reader.read(&CONTROLLER_LISTENER_NAMES);
        let listeners = reader.read(&LISTENERS);
        let advertised_listeners = reader.read(&ADVERTISED_LISTENERS).unwrap_or_default();
        let log_dir = reader.read(&LOG_DIRS);
        let quorum_voters = reader.read(&QUORUM_VOTERS);
        let durability = reader.read(&DURABILITY);
        let log_dir_reserve_bytes = reader.read(&LOG_DIR_RESERVE);
        let auto_create_topics = reader.read(&AUTO_CREATE_TOPICS);
        let partitions_default = reader.read(&NUM_PARTITIONS);
        let logs = LogSettings::read(reader);
        let metadata_segment_bytes = reader.read(&METADATA_SEGMENT_BYTES);
        let internal_metadata_segment = reader.read(&INTERNAL_METADATA_SEGMENT_BYTES);
        let producer_expiration = reader.read(&PRODUCER_ID_EXPIRATION);
        let groups = GroupsConfig::read(reader);
        let fetch_session_slots = reader.read(&FETCH_SESSION_SLOTS);
        let connections = connections::read(reader);
        let watching = WatchingConfig::read(reader);
        let legacy_clients = reader.read(&legacy::LEGACY_CLIENTS);
        let effective = reader.effective();
        let ((), listeners) = (roles?, listeners?);
        check_listeners(reader, &listeners, &protocols?, &advertised_listeners);
        let (controller_listeners, broker_listeners) =
            split_listeners(reader, listeners, &controller_names?);
        let config = Self {
            node_id: BrokerId::new(node_id?),
            broker_listeners,
            controller_listeners,
            advertised_listeners,
            log_dir: log_dir?,
            quorum_voters,
            durability: durability?,
            log_dir_reserve_bytes,
            auto_create_topics: auto_create_topics?,
            partitions_default: partitions_default?,
            logs: logs?,
            metadata_segment_bytes: internal_metadata_segment.or(metadata_segment_bytes)?,
            producer_expiration: producer_expiration?,
            groups: groups?,
            fetch_session_slots: fetch_session_slots?,
            connections: connections?,
            watching: watching?,
            legacy_clients: legacy_clients?,
            effective,
            cluster_id: None,
            ignored: Ignored::default(),
            given: Properties::new(),
        };
        config.check_advertised(reader);
        Some(config)
    }

    /// An address that stands for every interface of a machine is none to connect to. Kafka
    /// refuses it, too.
    fn check_advertised(&self, reader: &mut Reader<'_>) {
        for listener in &self.broker_listeners {
            let advertised = self.advertised(listener);
            if advertised.host.parse().is_ok_and(|host: IpAddr| host.is_unspecified()) {
                let why = "no client can connect to this address: advertise one that they can \
                           reach, as in PLAINTEXT://my-host:9092";
                reader.refuse(ADVERTISED_LISTENERS.name, &advertised.to_string(), why);
            }
        }
    }

    /// What clients are told to connect to for one of the broker's listeners.
    #[must_use]
    pub fn advertised(&self, listener: &Listener) -> Listener {
        let named = self.advertised_listeners.iter().find(|other| other.name == listener.name);
        let mut advertised = named.unwrap_or(listener).clone();
        if advertised.host.is_empty() {
            "localhost".clone_into(&mut advertised.host);
        }
        advertised
    }
}

fn check_listeners(
    reader: &mut Reader<'_>,
    listeners: &[Listener],
    protocols: &Protocols,
    advertised: &[Listener],
) {
    for (at, listener) in listeners.iter().enumerate() {
        let address = listener.address();
        let same = |other: &&Listener| listener.port != 0 && other.address() == address;
        let wrong = match (&address, protocols.get(&listener.name).map(String::as_str)) {
            (Err(why), _) => Some(why.clone()),
            (_, None) => Some(format!("{} does not name it", SECURITY_PROTOCOL_MAP.name)),
            (_, Some("PLAINTEXT")) => listeners[..at]
                .iter()
                .find(same)
                .map(|other| format!("{} has this address already", other.name)),
            (_, Some(other)) => Some(format!("{other} is not supported yet, PLAINTEXT is")),
        };
        if let Some(why) = wrong {
            reader.refuse(LISTENERS.name, &listener.to_string(), why);
        }
    }
    for other in advertised {
        if !listeners.iter().any(|listener| listener.name == other.name) {
            let why = "no listener has this name";
            reader.refuse(ADVERTISED_LISTENERS.name, &other.to_string(), why);
        }
    }
}

/// The controllers' and the brokers'.
fn split_listeners(
    reader: &mut Reader<'_>,
    listeners: Vec<Listener>,
    controller_names: &[String],
) -> (Vec<Listener>, Vec<Listener>) {
    let (controller, broker): (Vec<_>, Vec<_>) =
        listeners.into_iter().partition(|listener| controller_names.contains(&listener.name));
    if broker.is_empty() {
        let given: Vec<String> = controller.iter().map(ToString::to_string).collect();
        let why = "clients need a listener that controller.listener.names does not name";
        reader.refuse(LISTENERS.name, &given.join(","), why);
    }
    (controller, broker)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn parse(pairs: &[(&str, &str)]) -> Result<NodeConfig, ConfigErrors> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        NodeConfig::parse(&pairs.iter().map(own).collect(), None)
    }

    #[test]
    fn the_bare_profile_needs_no_property() {
        let config = parse(&[]).unwrap();
        assert_eq!(config.node_id, BrokerId::new(1));
        assert_eq!(config.broker_listeners[0].to_string(), "PLAINTEXT://127.0.0.1:9092");
        assert_eq!(config.controller_listeners[0].to_string(), "CONTROLLER://127.0.0.1:9093");
        assert_eq!(config.durability, Durability::Fsync);
        assert!(config.auto_create_topics && config.ignored == Ignored::default());
    }

    /// A folder would be formatted for it that no later start can read.
    #[test]
    fn an_id_of_a_cluster_can_be_written_and_read_again() {
        let id = |given: &str| {
            let config = NodeConfig::parse(&Properties::new(), Some(given.to_owned()));
            config.map(|config| config.cluster_id).map_err(|errors| errors.to_string())
        };
        assert_eq!(id("MkU3OEVBNTcwNTJENDM2Qg"), Ok(Some("MkU3OEVBNTcwNTJENDM2Qg".to_owned())));
        assert_eq!(id(" x\n"), Ok(Some("x".to_owned())));
        assert_eq!((id(""), id(" ")), (Ok(None), Ok(None)));
        let refused = "cluster.id=a\nb: an id has no spaces and spans no lines";
        assert_eq!(id("a\nb"), Err(refused.to_owned()));
    }

    #[test]
    fn every_mistake_is_told_in_one_run() {
        let errors = parse(&[
            ("node.id", "-1"),
            ("ottla.durability", "maybe"),
            ("log.dirs", "a,b"),
            ("listeners", "nonsense"),
        ])
        .unwrap_err();
        let names: Vec<_> = errors.mistakes.iter().map(|error| error.name).collect();
        assert_eq!(names, ["node.id", "listeners", "log.dirs", "ottla.durability"]);
    }

    #[test]
    fn unknown_properties_are_named() {
        let config = parse(&[
            ("nonsense", "1"),
            ("log.retention.hour", "1"),
            ("broker.id", "7"),
            ("zookeeper.connect", "x"),
            ("num.io.threads", "8"),
        ]);
        let config = config.unwrap();
        assert_eq!(config.node_id, BrokerId::new(7));
        assert_eq!(
            config.ignored.warnings(),
            [
                "these properties have no effect in this version: num.io.threads",
                "no property has the name log.retention.hour; did you mean log.retention.hours?",
                "no property has the name nonsense",
                "no property has the name zookeeper.connect",
            ]
        );
    }

    #[test]
    fn a_listener_that_cannot_be_served_is_refused() {
        let plain = "PLAINTEXT://127.0.0.1:9092";
        refused(&[("listeners", "SSL://127.0.0.1:9092")], "SSL is not supported yet");
        refused(&[("listeners", "INSIDE://127.0.0.1:9092")], "does not name it");
        refused(&[("listeners", "PLAINTEXT://me:9092")], "`me` is not an IP address");
        let twice = "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9092";
        refused(&[("listeners", twice)], "PLAINTEXT has this address already");
        refused(&[("listeners", "CONTROLLER://:9093")], "clients need a listener");
        refused(&[("listeners", "PLAINTEXT://0.0.0.0:9092")], "no client can connect");
        refused(&[("advertised.listeners", "PLAINTEXT://[::]:1")], "no client can connect");
        refused(&[("listeners", plain), ("advertised.listeners", "X://a:1")], "has this name");
    }

    fn refused(pairs: &[(&str, &str)], why: &str) {
        let errors = parse(pairs).unwrap_err();
        let told = &errors.mistakes;
        assert!(told.len() == 1 && told[0].why.contains(why), "{pairs:?}: {errors}");
    }

    #[test]
    fn a_file_of_apache_kafka_is_taken_with_its_unused_protocols() {
        let config = parse(&[
            ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
            ("advertised.listeners", "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"),
            ("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL"),
        ]);
        let config = config.unwrap();
        let advertised = config.advertised(&config.broker_listeners[0]);
        assert_eq!(advertised.authority(), "localhost:9092");
    }
}
