//! Keyed randomness: every draw is a hash of the seed, the key and the number of the draw.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// One stream of draws. Draws from one stream never shift those from another.
#[derive(Debug)]
pub struct Draws {
    key: u64,
    count: AtomicU64,
}

impl Draws {
    /// The stream of `who` for `what`, of a seed.
    #[must_use]
    pub fn new(seed: u64, who: u64, what: &str) -> Self {
        let what = what.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
        Self { key: mix(seed ^ mix(who ^ mix(what))), count: AtomicU64::new(0) }
    }

    /// 64 random bits.
    pub fn next(&self) -> u64 {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        mix(self.key ^ mix(count))
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// If there is none.
    pub fn below(&self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below zero");
        // The bias of at most bound / 2^64 is of no consequence here.
        let wide = u128::from(self.next()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the upper half of 128 bits")
    }

    /// A number of the range.
    pub fn within(&self, range: Range<u64>) -> u64 {
        range.start + self.below(range.end - range.start)
    }

    /// An index into something with `len` items.
    pub fn index(&self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("below a usize")
    }

    /// True once in `n` draws.
    pub fn one_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of the items.
    pub fn pick<'a, T>(&self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }
}

/// A bijection of 64 bits that changes half of them for any changed one (the finalizer of
/// SplitMix64, after a step so that zero does not stay zero).
pub(crate) const fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_repeatable_and_differ_by_seed_who_and_what() {
        let first = |seed, who, what| {
            let draws = Draws::new(seed, who, what);
            (draws.next(), draws.next())
        };
        assert_eq!(first(1, 2, "net"), first(1, 2, "net"));
        let others = [first(2, 2, "net"), first(1, 3, "net"), first(1, 2, "disk")];
        assert!(others.iter().all(|other| *other != first(1, 2, "net")));
    }

    #[test]
    fn numbers_stay_within_their_bounds_and_reach_them() {
        let draws = Draws::new(7, 0, "bounds");
        let drawn: Vec<u64> = (0..200).map(|_| draws.within(3..7)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&3), Some(&6)));
    }
}
