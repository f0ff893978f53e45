//! The node's own process.

use std::time::Duration;

/// What the process takes of its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Processor time of all its threads.
    pub cpu: Duration,
    /// Bytes of memory that are in use.
    pub resident_bytes: u64,
    /// Bytes of address space.
    pub virtual_bytes: u64,
    /// Bytes that storage devices were read for it; `None` where nobody counts them.
    pub device_read_bytes: Option<u64>,
    /// Bytes that it had storage devices write; `None` where nobody counts them.
    pub device_written_bytes: Option<u64>,
    /// Threads.
    pub threads: u64,
    /// Open files and sockets.
    pub open_files: u64,
    /// How many of them there may be.
    pub open_files_max: Option<u64>,
}

/// The port to the process.
pub trait Process: Send + Sync {
    /// Ends the node at once, as after a crash, because going on would be worse: a person has to
    /// act. Returns in the simulator only, where nothing the node does afterwards leaves it.
    fn halt(&self, why: &str);

    /// How many files and sockets the process may have open at once; `None`: nobody counts.
    fn descriptors_max(&self) -> Option<usize> {
        None
    }

    /// What the process takes; `None` in a world without such.
    fn usage(&self) -> Option<Usage> {
        None
    }
}
