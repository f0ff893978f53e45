//! An ordered map whose copies share what they have in common.
//!
//! Every change of the metadata makes a new image, and every topic that comes or goes a new list of
//! partitions, while readers keep the old one. A copy of a map of 10,000 topics costs a
//! millisecond, so 10,000 topics that come one by one would cost ten seconds. This map lies in
//! chunks behind pointers: a copy copies pointers, a change one chunk.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Entries of a chunk; one more, and it becomes two. A change copies up to this many, and a copy of
/// the map one pointer for each so many entries or the half of it.
const CHUNK_MAX: usize = 128;

/// Entries of two neighbours that become one: a map that shrinks does not keep its pointers.
const MERGED_MAX: usize = CHUNK_MAX / 2;

/// An ordered map. Chunks are never empty, and their keys ascend, also from one to the next.
#[derive(Clone)]
pub struct SharedMap<K, V>(Vec<Arc<Vec<(K, V)>>>);

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> SharedMap<K, V> {
    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let chunk = self.0.get(self.chunk_of(key))?;
        let at = position(chunk, key).ok()?;
        Some(&chunk[at].1)
    }

    /// Whether there is such a key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// The values, in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().flat_map(|chunk| chunk.iter().map(|(_, value)| value))
    }

    /// The chunk that holds the key if any does; the first for a key below all others.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        let begins_before = |chunk: &Arc<Vec<(K, V)>>| chunk[0].0.borrow() <= key;
        self.0.partition_point(begins_before).saturating_sub(1)
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// The value of a key, to be changed: other copies keep theirs.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let which = self.chunk_of(key);
        let chunk = self.0.get_mut(which)?;
        let at = position(chunk, key).ok()?;
        Some(&mut Arc::make_mut(chunk)[at].1)
    }

    /// Adds or replaces a value; the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let which = self.chunk_of(&key);
        let Some(chunk) = self.0.get_mut(which) else {
            self.0.push(Arc::new(vec![(key, value)]));
            return None;
        };
        match position(chunk, &key) {
            Ok(at) => Some(std::mem::replace(&mut Arc::make_mut(chunk)[at].1, value)),
            Err(at) => {
                let entries = Arc::make_mut(chunk);
                entries.insert(at, (key, value));
                if entries.len() > CHUNK_MAX {
                    let upper = entries.split_off(entries.len() / 2);
                    self.0.insert(which + 1, Arc::new(upper));
                }
                None
            }
        }
    }

    /// Takes a value away.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let which = self.chunk_of(key);
        let chunk = self.0.get_mut(which)?;
        let at = position(chunk, key).ok()?;
        let (_, removed) = Arc::make_mut(chunk).remove(at);
        self.merge(which);
        Some(removed)
    }

    /// After a removal from a chunk: it goes if it is empty, and takes its neighbour in if both are
    /// small.
    fn merge(&mut self, which: usize) {
        let left = self.0[which].len();
        if left == 0 {
            self.0.remove(which);
        } else if self.0.get(which + 1).is_some_and(|next| left + next.len() <= MERGED_MAX) {
            let next = self.0.remove(which + 1);
            Arc::make_mut(&mut self.0[which]).extend(next.iter().cloned());
        }
    }
}

fn position<K: Ord + Borrow<Q>, V, Q: Ord + ?Sized>(
    chunk: &[(K, V)],
    key: &Q,
) -> Result<usize, usize> {
    chunk.binary_search_by(|(own, _)| own.borrow().cmp(key))
}

/// Where chunks begin says how a map came about, and nothing of what is in it.
impl<K: PartialEq, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.entries().eq(other.entries())
    }
}

impl<K: Eq, V: Eq> Eq for SharedMap<K, V> {}

impl<K, V> SharedMap<K, V> {
    fn entries(&self) -> impl Iterator<Item = &(K, V)> {
        self.0.iter().flat_map(|chunk| chunk.iter())
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.entries().map(|(key, value)| (key, value))).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A small generator: the same numbers in every run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 33) % end
        }
    }

    #[test]
    fn it_is_an_ordered_map_and_copies_keep_what_they_had() {
        for seed in 0..20 {
            let mut random = Random(seed);
            let (mut map, mut model) = (SharedMap::default(), BTreeMap::new());
            let mut kept = Vec::new();
            for step in 0..3_000_u64 {
                // It grows at first and shrinks in the end.
                let key = random.below(2_000);
                if random.below(3_000) > step {
                    assert_eq!(map.insert(key, step), model.insert(key, step));
                } else {
                    assert_eq!(map.remove(&key), model.remove(&key));
                }
                if let Some(value) = map.get_mut(&(key / 2)) {
                    *value += 1;
                    *model.get_mut(&(key / 2)).unwrap() += 1;
                }
                if step % 500 == 0 {
                    kept.push((map.clone(), model.clone()));
                }
            }
            kept.push((map, model));
            kept.iter().for_each(|(map, model)| check(map, model));
        }
    }

    fn check(map: &SharedMap<u64, u64>, model: &BTreeMap<u64, u64>) {
        assert!(map.values().eq(model.values()));
        assert!((0..2_000).all(|key| map.get(&key) == model.get(&key)));
        assert!(map.0.iter().all(|chunk| (1..=CHUNK_MAX).contains(&chunk.len())));
        let chunks_max = 1 + 2 * model.len() / (MERGED_MAX / 2);
        assert!(map.0.len() <= chunks_max, "{} of {chunks_max}", map.0.len());
    }

    #[test]
    fn maps_are_equal_whatever_way_they_came_about() {
        let ascending: Vec<u64> = (0..1_000).collect();
        let of = |keys: &[u64]| {
            let mut map = SharedMap::default();
            for key in keys {
                assert_eq!(map.insert(*key, ()), None);
            }
            map
        };
        let descending: Vec<u64> = ascending.iter().rev().copied().collect();
        assert_eq!(of(&ascending), of(&descending));
        assert_ne!(of(&ascending), of(&ascending[1..]));
        assert_ne!(of(&ascending[..999]), of(&ascending));
    }
}
