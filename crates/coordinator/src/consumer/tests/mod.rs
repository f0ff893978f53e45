//! Groups as machines.
