//! Fixtures for tests: golden vectors, small builders.

pub mod trace;
