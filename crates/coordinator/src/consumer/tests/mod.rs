//! Groups with their shard: scenarios, random histories, and the protocol changing under members.

mod migration;
mod random;
mod scenarios;
mod world;
