//! Fixtures for tests: golden vectors, and a reader for what they mean.
//!
//! `vectors/` holds messages as Apache Kafka writes them, `vectors/recorded/` frames that real
//! clients sent and were sent, `vectors/files/` the log directory of a node, `probes/` questions to
//! a broker with Apache Kafka's answers. All of it is made by `cargo xtask vectors`, or by the
//! programs beside it; nothing of it is written by hand.

mod files;
pub mod trace;
mod value;
mod vectors;

pub use files::apache_folder;
pub use value::{ParseValueError, Value};
pub use vectors::{Recorded, Vector, messages, recorded, vectors_of};
