//! Groups as machines over a log.
//!
//! Who is a member, who reads what, and how far everybody has read.
