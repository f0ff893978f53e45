//! The fake world: one thread, one seed, with its faults and its checkers.
//!
//! A [`Sim`] owns every task of every machine and picks the next one to poll at random among those
//! that are ready; when none is, time jumps to the next event. Everything random is a hash of the
//! seed, of who draws, and of how often it drew before, so that the same seed gives the same run,
//! and leaving one thing out of a run does not shift the draws of the others.

mod clock;
mod cluster;
mod disk;
mod draws;
mod executor;
mod host;
mod kernel;
mod net;

pub use cluster::{Counts, Event, Options, PlannedFault, Report, Workload, simulate};
pub use disk::{Damage, Damaged, DiskFault, Lie, ReadOnly};
pub use draws::Draws;
pub use executor::Sim;
pub use host::{Death, Host, HostId};
