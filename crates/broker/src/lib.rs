//! One node: everything above, hosted.

mod api;
mod broker;
mod config;
mod connection;
mod controller;
mod fetch_session;
mod identity;
mod node;
mod partition;
mod producer_ids;
mod publisher;
mod stopping;

pub use config::{
    ConfigError, ConfigErrors, Effective, Kind, Listener, LogSettings, NodeConfig, Properties,
    Property, parse_properties,
};
pub use node::{Node, StartError};
pub use partition::{Durability, partition_lock_waits_total};
