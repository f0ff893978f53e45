//! The ports to the outside world, and their conformance suite.
//!
//! Everything a node does to the world goes through one [`Env`]: time, files, sockets, tasks,
//! randomness, its own end. `runtime` is the real world, `sim` the fake one; the same node runs on
//! both. Ports are object-safe and poll-based, and none of them is `async`: a call on the hot path
//! allocates nothing.

pub mod clock;
pub mod conformance;
pub mod disk;
pub mod first;
pub mod mailbox;
pub mod net;
pub mod process;
pub mod reply;
pub mod rng;
pub mod spawn;

use std::fmt;
use std::sync::Arc;

pub use clock::{Clock, Mono, Timer};
pub use disk::{
    CachedRead, DirEntry, Disk, DiskExt, File, FileLock, Glance, GlanceAt, Open, Space,
};
pub use first::{First, first};
pub use mailbox::{Full, Mailbox, Sender, mailbox};
pub use net::{Listener, Net, Outbound, Part, Socket, Stream};
pub use process::{Process, Usage};
pub use reply::{Answer, Reply, reply};
pub use rng::{Purpose, Rng};
pub use spawn::{LoopId, Spawn, Task};

/// The world of one node.
#[derive(Clone)]
pub struct Env {
    pub clock: Arc<dyn Clock>,
    pub disk: Arc<dyn Disk>,
    pub net: Arc<dyn Net>,
    pub spawn: Arc<dyn Spawn>,
    pub rng: Arc<dyn Rng>,
    pub process: Arc<dyn Process>,
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env").finish_non_exhaustive()
    }
}
