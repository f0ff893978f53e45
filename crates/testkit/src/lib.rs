//! Fixtures for tests: golden vectors, and a reader for what they mean.
//!
//! `vectors/` holds messages as Apache Kafka writes them, `vectors/recorded/` frames that real
//! clients sent and were sent, `probes/` questions to a broker with Apache Kafka's answers. All of
//! it is made by `cargo xtask vectors`; nothing of it is written by hand.

pub mod trace;
mod value;
mod vectors;

pub use value::{ParseValueError, Value};
pub use vectors::{Recorded, Vector, messages, recorded, vectors_of};
