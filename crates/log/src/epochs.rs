//! Where each leader epoch begins: what tells two diverged logs apart (KIP-101, KIP-279).

use ottla_types::{LeaderEpoch, Offset};

/// An epoch and the first offset that its leader wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    pub epoch: LeaderEpoch,
    pub start: Offset,
}

/// Where an epoch ends, as a log knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch asked for, or the nearest older one in the log.
    pub epoch: LeaderEpoch,
    /// The offset after the last of it.
    pub end: Offset,
}

/// A batch came from a leader that a later leader has replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("leader epoch {epoch} is older than {latest}, which has written already")]
pub struct StaleEpoch {
    pub epoch: LeaderEpoch,
    pub latest: LeaderEpoch,
}

/// The epochs of a log; epochs and offsets both grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEpochCache {
    entries: Vec<EpochEntry>,
}

impl LeaderEpochCache {
    /// All entries, the oldest first.
    #[must_use]
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The newest epoch that has written.
    #[must_use]
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// Takes note that `epoch` wrote at `offset`.
    ///
    /// # Errors
    /// When a later epoch has written before.
    pub fn assign(&mut self, epoch: LeaderEpoch, offset: Offset) -> Result<(), StaleEpoch> {
        match self.entries.last() {
            Some(last) if epoch < last.epoch => {
                return Err(StaleEpoch { epoch, latest: last.epoch });
            }
            Some(last) if epoch == last.epoch => return Ok(()),
            Some(last) => assert!(offset >= last.start, "offsets grow with epochs"),
            None => {}
        }
        // Of an epoch that begins here, all that it wrote was deleted.
        self.entries.pop_if(|last| last.start == offset);
        self.entries.push(EpochEntry { epoch, start: offset });
        Ok(())
    }

    /// The epoch that wrote `offset`, if it was written below `end`, the log's end.
    #[must_use]
    pub fn epoch_of(&self, offset: Offset, end: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|entry| entry.start <= offset);
        let entry = after.checked_sub(1).map(|at| self.entries[at]);
        entry.filter(|_| offset < end).map(|entry| entry.epoch)
    }

    /// Where `epoch` ends in a log that ends at `end`; `None` if the log cannot know: it is newer
    /// than all it has, or the log has none. An epoch older than all ends where the oldest begins.
    #[must_use]
    pub fn end_of(&self, epoch: LeaderEpoch, end: Offset) -> Option<EpochEnd> {
        if self.latest() == Some(epoch) {
            return Some(EpochEnd { epoch, end });
        }
        let newer = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let next = self.entries.get(newer)?;
        let known = newer.checked_sub(1).map_or(epoch, |at| self.entries[at].epoch);
        Some(EpochEnd { epoch: known, end: next.start })
    }

    /// Forgets what was written at `end` and after it.
    pub fn truncate_from_end(&mut self, end: Offset) {
        self.entries.retain(|entry| entry.start < end);
    }

    /// Forgets what was written before `start`; the epoch that wrote `start` now begins there.
    pub fn truncate_from_start(&mut self, start: Offset) {
        let after = self.entries.partition_point(|entry| entry.start <= start);
        if let Some(at) = after.checked_sub(1) {
            self.entries.drain(..at);
            self.entries[0].start = start;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: &[(i32, i64)]) -> LeaderEpochCache {
        let mut cache = LeaderEpochCache::default();
        for (epoch, start) in entries {
            cache.assign(LeaderEpoch::new(*epoch), Offset::new(*start)).unwrap();
        }
        cache
    }

    #[test]
    #[rustfmt::skip]
    fn an_epoch_ends_where_the_next_one_in_the_log_begins() {
        let log = &[(2, 10), (3, 20), (7, 30)];
        check(log, 1, Some((1, 10)));
        check(log, 2, Some((2, 20)));
        check(log, 3, Some((3, 30)));
        check(log, 5, Some((3, 30)));
        check(log, 7, Some((7, 50)));
        check(log, 8, None);
        check(&[], 0, None);
    }

    fn check(log: &[(i32, i64)], epoch: i32, expected: Option<(i32, i64)>) {
        let end = cache(log).end_of(LeaderEpoch::new(epoch), Offset::new(50));
        assert_eq!(end.map(|end| (end.epoch.get(), end.end.get())), expected, "{epoch}");
    }

    #[test]
    fn an_offset_belongs_to_the_epoch_that_began_before_it() {
        let cache = cache(&[(2, 10), (3, 20)]);
        let epoch_of = |offset| cache.epoch_of(Offset::new(offset), Offset::new(30));
        assert_eq!(epoch_of(9), None);
        assert_eq!(epoch_of(10), Some(LeaderEpoch::new(2)));
        assert_eq!(epoch_of(20), Some(LeaderEpoch::new(3)));
        assert_eq!(epoch_of(30), None);
    }

    #[test]
    fn truncation_forgets_what_is_gone() {
        let whole = cache(&[(2, 10), (3, 20), (7, 30)]);
        let mut cut = whole.clone();
        cut.truncate_from_end(Offset::new(20));
        assert_eq!(cut, cache(&[(2, 10)]));
        let mut cut = whole.clone();
        cut.truncate_from_start(Offset::new(25));
        assert_eq!(cut, cache(&[(3, 25), (7, 30)]));
        let mut cut = whole.clone();
        cut.truncate_from_start(Offset::new(5));
        assert_eq!(cut, whole);
    }

    #[test]
    fn an_epoch_of_which_nothing_is_left_gives_way_to_the_next() {
        let mut deleted = cache(&[(2, 10), (3, 20)]);
        deleted.truncate_from_start(Offset::new(30));
        assert_eq!(deleted, cache(&[(3, 30)]));
        deleted.assign(LeaderEpoch::new(3), Offset::new(30)).unwrap();
        assert_eq!(deleted, cache(&[(3, 30)]));
        deleted.assign(LeaderEpoch::new(4), Offset::new(30)).unwrap();
        assert_eq!(deleted, cache(&[(4, 30)]));
    }

    #[test]
    fn an_older_leader_is_refused() {
        let (epoch, latest) = (LeaderEpoch::new(1), LeaderEpoch::new(2));
        let refused = cache(&[(2, 0)]).assign(epoch, Offset::new(5));
        assert_eq!(refused, Err(StaleEpoch { epoch, latest }));
    }
}
