//! Groups with their shard: scenarios, random histories, and the protocol changing under members.

mod migration;
mod mixed;
mod random;
mod scenarios;
mod world;
