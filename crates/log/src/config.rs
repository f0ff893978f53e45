//! The settings of one log.

use std::path::Path;
use std::time::Duration;

use ottla_types::Offset;

/// Topic-level settings that a log needs itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A segment takes no more bytes than this: `segment.bytes`. At most 2^31-1.
    pub segment_bytes: u32,
    /// A segment takes no batch this much later than its first: `segment.ms`.
    pub segment_age: Duration,
    /// What that is shortened by, at the most, for each segment by another part of it, so that not
    /// all logs roll at once: `segment.jitter.ms`.
    pub segment_jitter: Duration,
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
            segment_jitter: Duration::ZERO,
            index_interval_bytes: 4 << 10,
            segment_index_bytes: 10 << 20,
        }
    }
}

/// How much sparser the index of a sealed segment is: a reader of old records walks over 64 KiB of
/// batches at the most instead of 4 KiB, once for each megabyte that it fetches.
const SEALED_SPARSER: u32 = 16;

impl LogConfig {
    /// How much later than its first batch the last one of a segment may be. Kafka draws the jitter
    /// anew whenever it opens a segment; here the log's name and the segment's decide.
    pub(crate) fn age_max(&self, directory: &Path, base: Offset) -> Duration {
        let jitter = self.segment_jitter.min(self.segment_age).as_millis();
        if jitter == 0 {
            return self.segment_age;
        }
        let name = directory.file_name().unwrap_or_default().as_encoded_bytes();
        let drawn = u128::from(spread(name.iter().copied().chain(base.get().to_be_bytes())));
        let millis = u64::try_from(drawn % jitter).expect("a remainder of a u64 is one");
        self.segment_age.saturating_sub(Duration::from_millis(millis))
    }

    /// Bytes between two index entries of a segment that nobody appends to.
    pub(crate) const fn sealed_interval_bytes(&self) -> u32 {
        self.index_interval_bytes.saturating_mul(SEALED_SPARSER)
    }
}

/// Spreads bytes over all 64-bit numbers: FNV-1a, and a finish that lets every bit of it count.
fn spread(bytes: impl Iterator<Item = u8>) -> u64 {
    let fold = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, fold);
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_spreads_rolls_over_its_span_and_no_further() {
        let config = LogConfig {
            segment_age: Duration::from_millis(10_000),
            segment_jitter: Duration::from_millis(4_000),
            ..LogConfig::default()
        };
        let age = |n: i64| {
            let log = format!("/data/t-{}", n % 100);
            config.age_max(Path::new(&log), Offset::new(n / 100)).as_millis()
        };
        let ages: Vec<u128> = (0..1_000).map(age).collect();
        assert!(ages.iter().all(|age| (6_001..=10_000).contains(age)));
        for quarter in 0..4 {
            let within =
                |age: &&u128| (6_001 + quarter * 1_000..=7_000 + quarter * 1_000).contains(*age);
            let share = ages.iter().filter(within).count();
            assert!((150..=350).contains(&share), "{share} of a thousand in quarter {quarter}");
        }
        let none = LogConfig { segment_jitter: Duration::ZERO, ..config };
        assert_eq!(none.age_max(Path::new("t-0"), Offset::ZERO), config.segment_age);
        let all = LogConfig { segment_jitter: Duration::from_hours(9), ..config };
        assert!(all.age_max(Path::new("t-0"), Offset::ZERO) <= config.segment_age);
    }
}
