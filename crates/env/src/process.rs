//! The node's own process.

/// The port to the process.
pub trait Process: Send + Sync {
    /// Ends the node at once, as after a crash, because going on would be worse: a person has to
    /// act. Returns in the simulator only, where nothing the node does afterwards leaves it.
    fn halt(&self, why: &str);

    /// How many files and sockets the process may have open at once; `None`: nobody counts.
    fn descriptors_max(&self) -> Option<usize> {
        None
    }
}
