//! The real world: ports over tokio loops, files and sockets.
//!
//! One current-thread runtime per event loop; loop 0 is the thread that calls [`RealEnv::start`].
//! Whatever may wait for a device goes to a pool of two threads. No thread is made before the
//! first thing to do for it, and nothing allocates per read or write of a socket or a page.

mod clock;
mod disk;
mod loops;
mod net;
mod pool;
mod process;
mod rng;

pub use loops::RealEnv;
pub use process::stop_requested;
