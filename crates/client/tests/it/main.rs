//! The client against a node, in the simulator.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod admin;
mod consumer;
mod details;
mod groups;
mod node;
mod producer;
mod reach;
