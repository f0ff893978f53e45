//! An append-only partition on disk that survives any crash.
