//! The real world: ports over tokio loops, files and sockets.
//!
//! One current-thread runtime per event loop; loop 0 is the thread that calls [`RealEnv::start`].
//! Whatever may wait for a device goes to small pools: one for syncs, one for reads, one for names.
//! No thread is made before the first thing to do for it, and those of the pools end when they
//! have had none for a while; nothing allocates per read or write of a socket or a page.

mod clock;
mod dirt;
mod disk;
mod file_system;
mod loops;
mod net;
mod pool;
mod process;
mod residency;
mod rng;
mod sync;
mod write_out;

pub use loops::RealEnv;
pub use process::{stop_requested, terminate};
