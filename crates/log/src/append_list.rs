//! A list that one writer appends to while any number of readers look at it, without a lock.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Entries in the first bucket; each bucket is twice as large as the one before.
const FIRST: usize = 64;

/// 64 * (2^20 - 1) entries: a segment of 2 GiB with one entry for every 32 bytes.
const BUCKETS: usize = 20;

type Bucket = OnceLock<Box<[AtomicU64]>>;

/// Entries of `WORDS` numbers. Takes 40 bytes until its first entry: most partitions are idle.
pub(crate) struct AppendList<const WORDS: usize> {
    len: AtomicUsize,
    buckets: OnceLock<Box<[Bucket; BUCKETS]>>,
}

impl<const WORDS: usize> AppendList<WORDS> {
    pub(crate) const fn new() -> Self {
        Self { len: AtomicUsize::new(0), buckets: OnceLock::new() }
    }

    /// Entries that may be read: all that were appended before this call.
    pub(crate) fn len(&self) -> usize {
        // Pairs with the store in `push`: who sees the length sees the entries below it.
        self.len.load(Ordering::Acquire)
    }

    /// Appends an entry. Only the list's one writer may call this.
    ///
    /// # Panics
    /// If the list is full; the owner of a segment rolls long before that.
    pub(crate) fn push(&self, entry: [u64; WORDS]) {
        let at = self.len.load(Ordering::Relaxed);
        let (bucket, within) = place(at);
        assert!(bucket < BUCKETS, "a segment's index never grows this large");
        let buckets = self.buckets.get_or_init(|| Box::new([const { OnceLock::new() }; BUCKETS]));
        let words = buckets[bucket]
            .get_or_init(|| (0..(FIRST << bucket) * WORDS).map(|_| AtomicU64::new(0)).collect());
        for (word, value) in words[within * WORDS..].iter().zip(entry) {
            word.store(value, Ordering::Relaxed);
        }
        self.len.store(at + 1, Ordering::Release);
    }

    /// The entry at `at`, which is below a length seen before.
    pub(crate) fn get(&self, at: usize) -> [u64; WORDS] {
        let (bucket, within) = place(at);
        let words = self.buckets.get().and_then(|buckets| buckets[bucket].get());
        let words = words.expect("an entry below the length has been written");
        let mut entry = [0; WORDS];
        for (value, word) in entry.iter_mut().zip(&words[within * WORDS..]) {
            *value = word.load(Ordering::Relaxed);
        }
        entry
    }

    /// How many entries at the front of the first `len` satisfy `before`, which holds for a
    /// prefix of the list.
    pub(crate) fn partition_point(
        &self,
        len: usize,
        before: impl Fn([u64; WORDS]) -> bool,
    ) -> usize {
        let (mut low, mut high) = (0, len);
        while low < high {
            let middle = low + (high - low) / 2;
            if before(self.get(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

impl<const WORDS: usize> fmt::Debug for AppendList<WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppendList").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Bucket, and entry within it.
const fn place(at: usize) -> (usize, usize) {
    let bucket = (at / FIRST + 1).ilog2() as usize;
    (bucket, at - FIRST * ((1 << bucket) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_their_place_across_buckets() {
        let list = AppendList::<2>::new();
        for n in 0..10_000 {
            list.push([n, n * n]);
        }
        assert_eq!(list.len(), 10_000);
        for n in 0..10_000 {
            assert_eq!(list.get(usize::try_from(n).unwrap()), [n, n * n]);
        }
        assert_eq!(list.partition_point(10_000, |[n, _]| n < 700), 700);
        assert_eq!(list.partition_point(10, |_| true), 10);
        assert_eq!(list.partition_point(0, |_| true), 0);
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut expected = (0, 0);
        for at in 0..FIRST * 15 {
            assert_eq!(place(at), expected);
            expected.1 += 1;
            if expected.1 == FIRST << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        assert_eq!(place(FIRST * ((1 << BUCKETS) - 1)).0, BUCKETS);
    }

    #[test]
    fn a_reader_sees_whole_entries_only() {
        let list = AppendList::<2>::new();
        std::thread::scope(|scope| {
            scope.spawn(|| (1..20_000).for_each(|n| list.push([n, !n])));
            scope.spawn(|| {
                while list.len() < 19_999 {
                    if let Some(last) = list.len().checked_sub(1) {
                        let [a, b] = list.get(last);
                        assert_eq!(a, !b);
                    }
                    std::hint::spin_loop();
                }
            });
        });
    }
}
