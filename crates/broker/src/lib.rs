//! One node: everything above, hosted.

mod admission;
mod api;
mod broker;
mod clients;
mod config;
mod connection;
mod controller;
mod fetch_session;
mod format;
mod groups;
mod identity;
mod lanes;
mod node;
mod partition;
mod placement;
mod producer_ids;
mod publisher;
mod stopping;
mod watch;

pub use clients::ClientSoftware;
pub use config::{
    ConfigError, ConfigErrors, ConnectionsConfig, Described, Effective, GroupsConfig, Ignored,
    Listener, LogFormat, LogLevel, LogSettings, NodeConfig, PROFILE, Properties, Property, Update,
    WatchingConfig, escape_value, from_environment, parse_properties, reference, registry,
};
pub use format::{Formatted, format_folder};
pub use identity::{IdentityError, PropertiesError};
pub use node::{Node, StartError};
pub use partition::{Durability, partition_lock_waits_total};
pub use watch::{
    BrokerReport, ConnectionReport, DirectorySpace, ErrorReport, GroupReport, GroupsReport,
    LogReport, NodeReport, PartitionReport, QuorumReport, ReadReport, Readiness, RequestReport,
    TIME_BUCKETS, Times, TopicReport, TrafficReport, Watch,
};
