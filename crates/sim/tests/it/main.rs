//! The fake world keeps the promises of the ports, and repeats itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod cluster;
mod compaction;
mod disk;
mod log;
mod world;
