//! What time it is, as a core is told.

use std::time::Duration;

use ottla_types::Timestamp;

/// The clocks as of one event: sessions run on the first, stored timestamps on the second. Both
/// are told, never asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Since the start of the process; never goes back.
    pub mono: Duration,
    /// As the node's owner sees it; may jump.
    pub wall: Timestamp,
}
