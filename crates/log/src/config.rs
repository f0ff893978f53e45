//! The settings of one log.

use std::time::Duration;

/// Topic-level settings that a log needs itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A segment takes no more bytes than this: `segment.bytes`. At most 2^31-1.
    pub segment_bytes: u32,
    /// A segment takes no batch this much later than its first: `segment.ms`, less its jitter.
    pub segment_age: Duration,
    /// Bytes between two index entries: `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// A segment takes no more index entries than fit into a file of so many bytes:
    /// `segment.index.bytes`.
    pub segment_index_bytes: u32,
}

impl Default for LogConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_age: Duration::from_hours(168),
            index_interval_bytes: 4 << 10,
            segment_index_bytes: 10 << 20,
        }
    }
}

/// How much sparser the index of a sealed segment is: a reader of old records walks over 64 KiB of
/// batches at the most instead of 4 KiB, once for each megabyte that it fetches.
const SEALED_SPARSER: u32 = 16;

impl LogConfig {
    /// Bytes between two index entries of a segment that nobody appends to.
    pub(crate) const fn sealed_interval_bytes(&self) -> u32 {
        self.index_interval_bytes.saturating_mul(SEALED_SPARSER)
    }
}
