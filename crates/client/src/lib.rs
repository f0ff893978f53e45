//! Producer, consumer and admin in pure Rust, on the ports.
