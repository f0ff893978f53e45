//! Kafka's protocol, byte for byte: primitives, every request, response and stored record, frames.
