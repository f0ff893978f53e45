//! Fixtures for tests: golden vectors, small builders.
