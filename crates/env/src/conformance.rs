//! The conformance suite of the ports: run by both worlds, in their own tests.
