//! What a partition shows its readers, without a lock.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use ottla_log::LogPosition;
use ottla_types::Offset;

/// The bounds of a partition as of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The first offset that may be read.
    pub(crate) log_start: Offset,
    /// Everything below is committed; consumers read up to here.
    pub(crate) high_watermark: LogPosition,
    /// The next offset to be written.
    pub(crate) log_end: LogPosition,
    /// Where the high watermark stood before it moved last: a batch begins there, the one that a
    /// consumer who keeps up asks for.
    pub(crate) newest: LogPosition,
    /// No transaction that is open, or whose end is not committed, has records below.
    pub(crate) last_stable: Offset,
}

/// What a consumer wants to see: `isolation.level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Everything below the high watermark.
    ReadUncommitted,
    /// What lies below the last stable offset, and the aborted transactions to skip there.
    ReadCommitted,
}

impl Isolation {
    /// Nobody sends any other number than 0 and 1.
    pub(crate) fn from_wire(raw: i8) -> Self {
        if raw == 1 { Self::ReadCommitted } else { Self::ReadUncommitted }
    }
}

impl Bounds {
    /// The first offset that a consumer may not read.
    pub(crate) fn readable_end(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::ReadUncommitted => self.high_watermark.offset,
            Isolation::ReadCommitted => self.last_stable,
        }
    }
}

const WORDS: usize = 11;

/// A sequence lock over [`Bounds`]: one writer at a time (under the partition's lock), readers that
/// never wait and never make the writer wait.
#[derive(Debug)]
pub(crate) struct Published {
    /// Odd while a write is going on.
    version: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl Published {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let words = to_words(bounds).map(AtomicU64::new);
        Self { version: AtomicU64::new(0), words }
    }

    /// Shows new bounds. Calls must not overlap: the partition's lock sees to that.
    pub(crate) fn store(&self, bounds: Bounds) {
        let version = self.version.load(Ordering::Relaxed);
        assert!(version.is_multiple_of(2), "two writers at once: the partition's lock is broken");
        self.version.store(version + 1, Ordering::Relaxed);
        // Readers that see any of the new words must see the odd version too.
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(to_words(bounds)) {
            word.store(value, Ordering::Relaxed);
        }
        self.version.store(version + 2, Ordering::Release);
    }

    /// The bounds of one moment, never a mixture of two.
    pub(crate) fn load(&self) -> Bounds {
        loop {
            let before = self.version.load(Ordering::Acquire);
            let words = self.words.each_ref().map(|word| word.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            let after = self.version.load(Ordering::Relaxed);
            if before == after && before.is_multiple_of(2) {
                return from_words(words);
            }
            std::hint::spin_loop();
        }
    }
}

fn to_words(bounds: Bounds) -> [u64; WORDS] {
    let Bounds { log_start, high_watermark: hw, log_end: end, newest, last_stable } = bounds;
    assert!(log_start <= end.offset, "the log ends before it starts");
    assert!(hw.offset <= end.offset, "committed beyond the end");
    assert!(newest.offset <= hw.offset, "the newest batch is not committed");
    assert!(last_stable <= hw.offset, "stable beyond what is committed");
    [
        log_start.get().cast_unsigned(),
        hw.offset.get().cast_unsigned(),
        hw.segment_base.get().cast_unsigned(),
        hw.position,
        end.offset.get().cast_unsigned(),
        end.segment_base.get().cast_unsigned(),
        end.position,
        newest.offset.get().cast_unsigned(),
        newest.segment_base.get().cast_unsigned(),
        newest.position,
        last_stable.get().cast_unsigned(),
    ]
}

fn from_words(words: [u64; WORDS]) -> Bounds {
    let [log_start, hw, hw_base, hw_at, end, end_base, end_at, newest, base, at, stable] = words;
    let offset = |word: u64| Offset::new(word.cast_signed());
    let place = |of, base, position| LogPosition {
        offset: offset(of),
        segment_base: offset(base),
        position,
    };
    Bounds {
        log_start: offset(log_start),
        high_watermark: place(hw, hw_base, hw_at),
        log_end: place(end, end_base, end_at),
        newest: place(newest, base, at),
        last_stable: offset(stable),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn bounds(n: i64) -> Bounds {
        let position = |n: i64| LogPosition {
            offset: Offset::new(n),
            segment_base: Offset::new(n),
            position: n.cast_unsigned(),
        };
        Bounds {
            log_start: Offset::new(n),
            high_watermark: position(n),
            log_end: position(n),
            newest: position(n),
            last_stable: Offset::new(n),
        }
    }

    #[test]
    fn readers_never_see_a_mixture() {
        let published = Arc::new(Published::new(bounds(0)));
        let writer = Arc::clone(&published);
        let writing = std::thread::spawn(move || {
            for n in 1..20_000 {
                writer.store(bounds(n));
            }
        });
        let mut newest = 0;
        while newest < 19_999 {
            let seen = published.load();
            let n = seen.log_start.get();
            assert_eq!(seen, bounds(n));
            assert!(n >= newest, "time went backwards");
            newest = n;
        }
        writing.join().unwrap();
    }
}
