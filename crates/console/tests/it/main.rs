//! A node's HTTP side, in the simulator.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod http;
mod metrics;
mod world;
