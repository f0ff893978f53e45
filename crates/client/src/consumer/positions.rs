//! How far each partition was read, and what waits to be handed out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ottla_types::{LeaderEpoch, Offset, TopicPartition};

use super::fetch::{Chunk, Wanted};
use super::{ConsumeError, ConsumerRecord};

/// The partitions of a consumer.
#[derive(Default)]
pub(super) struct Positions {
    partitions: BTreeMap<TopicPartition, State>,
    nonces: u64,
    /// Which partition is served next: each poll begins with another one.
    turn: usize,
    /// Leaders may have changed.
    doubts_leaders: bool,
    error: Option<ConsumeError>,
}

struct State {
    position: Place,
    /// Fetched, and not handed out.
    records: VecDeque<ConsumerRecord>,
    /// How many of them came with the newest answer: while there are others, too, no more are
    /// fetched, so two answers wait at most.
    newest: usize,
    /// Where to go on behind those records.
    next: Option<Offset>,
    last_epoch: Option<LeaderEpoch>,
    paused: bool,
    nonce: u64,
}

/// Records wait to be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordsWait;

impl State {
    /// Where the next answer begins; `None` before the position is known.
    fn fetches_from(&self) -> Option<Offset> {
        match (self.position, self.next) {
            (Place::At(_), Some(next)) if !self.records.is_empty() => Some(next),
            (Place::At(at), _) => Some(at),
            (Place::Unknown | Place::OutOfRange, _) => None,
        }
    }

    /// Whether no more than the newest answer is left.
    fn is_hungry(&self) -> bool {
        !self.paused && self.records.len() <= self.newest
    }
}

/// Where a partition is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Where the group has got to, or else where new readers begin.
    Unknown,
    /// What was committed is gone: where new readers begin.
    OutOfRange,
    /// The next record to be handed out.
    At(Offset),
}

impl Positions {
    pub(super) fn all(&self) -> BTreeSet<TopicPartition> {
        self.partitions.keys().cloned().collect()
    }

    fn nonce(&mut self) -> u64 {
        self.nonces += 1;
        self.nonces
    }

    /// Forgets all others, and begins with those that are new.
    pub(super) fn keep_only(&mut self, partitions: &BTreeSet<TopicPartition>) {
        self.partitions.retain(|partition, _| partitions.contains(partition));
        for partition in partitions {
            if !self.partitions.contains_key(partition) {
                let state = State {
                    position: Place::Unknown,
                    records: VecDeque::new(),
                    newest: 0,
                    next: None,
                    last_epoch: None,
                    paused: false,
                    nonce: self.nonce(),
                };
                self.partitions.insert(partition.clone(), state);
            }
        }
    }

    pub(super) fn remove(&mut self, partitions: &BTreeSet<TopicPartition>) {
        self.partitions.retain(|partition, _| !partitions.contains(partition));
    }

    pub(super) fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        match self.partitions.get(partition)?.position {
            Place::At(offset) => Some(offset),
            Place::Unknown | Place::OutOfRange => None,
        }
    }

    /// What may be committed: the positions that are known, with the epochs of what was read last.
    pub(super) fn committable(&self) -> BTreeMap<TopicPartition, (Offset, Option<LeaderEpoch>)> {
        let known = |(partition, state): (&TopicPartition, &State)| match state.position {
            Place::At(offset) => Some((partition.clone(), (offset, state.last_epoch))),
            Place::Unknown | Place::OutOfRange => None,
        };
        self.partitions.iter().filter_map(known).collect()
    }

    /// Goes on elsewhere; false for a partition that is not here.
    pub(super) fn seek(&mut self, partition: &TopicPartition, to: Offset) -> bool {
        let nonce = self.nonce();
        let Some(state) = self.partitions.get_mut(partition) else { return false };
        state.records.clear();
        (state.position, state.next, state.nonce) = (Place::At(to), None, nonce);
        state.last_epoch = None;
        true
    }

    /// The position is out of range.
    ///
    /// # Errors
    /// When records wait that were in range: the position is what follows them.
    pub(super) fn reset(&mut self, partition: &TopicPartition) -> Result<(), RecordsWait> {
        let Some(state) = self.partitions.get_mut(partition) else { return Ok(()) };
        if !state.records.is_empty() {
            return Err(RecordsWait);
        }
        (state.position, state.next) = (Place::OutOfRange, None);
        Ok(())
    }

    pub(super) fn set_paused(&mut self, partition: &TopicPartition, paused: bool) -> bool {
        let Some(state) = self.partitions.get_mut(partition) else { return false };
        state.paused = paused;
        true
    }

    /// Partitions whose position has to be found, and whether what was committed counts.
    pub(super) fn lost(&self) -> Vec<(TopicPartition, bool)> {
        let lost = |(partition, state): (&TopicPartition, &State)| match state.position {
            Place::At(_) => None,
            Place::Unknown => Some((partition.clone(), true)),
            Place::OutOfRange => Some((partition.clone(), false)),
        };
        self.partitions.iter().filter_map(lost).collect()
    }

    /// Partitions that have at most one answer left to hand out, where they go on, and their
    /// nonces.
    pub(super) fn hungry(&self) -> Vec<(TopicPartition, Offset, u64)> {
        let hungry = |(partition, state): (&TopicPartition, &State)| {
            let from = state.fetches_from().filter(|_| state.is_hungry())?;
            Some((partition.clone(), from, state.nonce))
        };
        self.partitions.iter().filter_map(hungry).collect()
    }

    /// Whether an answer still fits what is wanted.
    pub(super) fn is_current(&self, wanted: &Wanted) -> bool {
        self.partitions.get(&wanted.partition).is_some_and(|state| {
            state.nonce == wanted.nonce && state.fetches_from() == Some(wanted.from)
        })
    }

    /// Takes an answer that [is current](Self::is_current).
    pub(super) fn on_chunk(&mut self, partition: &TopicPartition, chunk: Chunk) {
        let Some(state) = self.partitions.get_mut(partition) else { return };
        if state.records.is_empty() && chunk.records.is_empty() {
            state.position = Place::At(chunk.next);
            return;
        }
        state.next = Some(chunk.next);
        if state.records.is_empty() {
            (state.newest, state.records) = (chunk.records.len(), chunk.records);
        } else if !chunk.records.is_empty() {
            state.newest = chunk.records.len();
            state.records.extend(chunk.records);
        }
    }

    /// Hands out records, in turns of the partitions.
    pub(super) fn take(&mut self, count: usize) -> Vec<ConsumerRecord> {
        let mut taken = Vec::new();
        let turn = self.turn % self.partitions.len().max(1);
        self.turn = turn + 1;
        let (later, first): (Vec<_>, Vec<_>) =
            self.partitions.values_mut().enumerate().partition(|(at, _)| *at < turn);
        for (_, state) in first.into_iter().chain(later).filter(|(_, state)| !state.paused) {
            while taken.len() < count {
                let Some(record) = state.records.pop_front() else { break };
                let behind = state.records.front().map(|next| next.offset).or(state.next);
                state.position = Place::At(behind.unwrap_or_else(|| record.offset.next()));
                state.last_epoch = record.leader_epoch;
                taken.push(record);
            }
        }
        taken
    }

    /// Leaders are to be asked for again.
    pub(super) const fn doubt_leaders(&mut self) {
        self.doubts_leaders = true;
    }

    pub(super) const fn take_doubts(&mut self) -> bool {
        std::mem::replace(&mut self.doubts_leaders, false)
    }

    pub(super) fn set_error(&mut self, error: ConsumeError) {
        self.error = Some(error);
    }

    pub(super) const fn take_error(&mut self) -> Option<ConsumeError> {
        self.error.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(partition: &TopicPartition, offsets: &[i64], next: i64) -> Chunk {
        let record = |offset: &i64| ConsumerRecord {
            partition: partition.clone(),
            offset: Offset::new(*offset),
            timestamp: None,
            key: None,
            value: None,
            headers: Vec::new(),
            leader_epoch: None,
        };
        Chunk {
            records: offsets.iter().map(record).collect(),
            next: Offset::new(next),
            high_watermark: None,
        }
    }

    #[test]
    fn positions_follow_what_is_handed_out() {
        let one = crate::partition("t", 0).expect("legal");
        let mut positions = Positions::default();
        positions.keep_only(&BTreeSet::from([one.clone()]));
        assert_eq!(positions.lost(), [(one.clone(), true)]);
        assert!(positions.seek(&one, Offset::new(3)));
        positions.on_chunk(&one, chunk(&one, &[3, 5], 9));
        assert_eq!(positions.take(1).len(), 1);
        assert_eq!(positions.position(&one), Some(Offset::new(5)), "offset 4 does not exist");
        assert_eq!(positions.take(9).len(), 1);
        assert_eq!(positions.position(&one), Some(Offset::new(9)), "behind what is not shown");
        positions.on_chunk(&one, chunk(&one, &[], 12));
        assert_eq!(positions.position(&one), Some(Offset::new(12)), "nothing to show");
    }

    #[test]
    fn one_answer_is_fetched_ahead_and_no_more() {
        let one = crate::partition("t", 0).expect("legal");
        let mut positions = Positions::default();
        positions.keep_only(&BTreeSet::from([one.clone()]));
        assert!(positions.seek(&one, Offset::ZERO));
        let hungry = |positions: &Positions| positions.hungry().first().map(|each| each.1.get());
        assert_eq!(hungry(&positions), Some(0));
        positions.on_chunk(&one, chunk(&one, &[0, 1], 2));
        assert_eq!(hungry(&positions), Some(2), "behind what waits");
        assert_eq!(positions.reset(&one), Err(RecordsWait));
        positions.on_chunk(&one, chunk(&one, &[2, 3, 4], 6));
        assert_eq!(hungry(&positions), None, "two answers wait");
        assert_eq!(positions.take(1).len(), 1);
        assert_eq!(hungry(&positions), None);
        assert_eq!(positions.take(1).len(), 1);
        assert_eq!(positions.position(&one), Some(Offset::new(2)));
        assert_eq!(hungry(&positions), Some(6));
        // An answer with nothing to show: behind what waits, there is less to ask for.
        positions.on_chunk(&one, chunk(&one, &[], 9));
        assert_eq!(hungry(&positions), Some(9));
        assert_eq!(positions.take(9).len(), 3);
        assert_eq!(positions.position(&one), Some(Offset::new(9)));
        assert_eq!(positions.reset(&one), Ok(()));
        assert_eq!(positions.lost(), [(one, false)]);
    }

    #[test]
    fn no_partition_starves() {
        let both = [0, 1].map(|at| crate::partition("t", at).expect("legal"));
        let mut positions = Positions::default();
        positions.keep_only(&both.clone().into());
        for one in &both {
            positions.on_chunk(one, chunk(one, &[0, 1, 2], 3));
        }
        let taken: Vec<_> = (0..4).flat_map(|_| positions.take(1)).map(|it| it.partition).collect();
        assert_eq!(taken, [both[0].clone(), both[1].clone(), both[0].clone(), both[1].clone()]);
    }

    #[test]
    fn paused_partitions_keep_what_they_have() {
        let one = crate::partition("t", 0).expect("legal");
        let mut positions = Positions::default();
        positions.keep_only(&BTreeSet::from([one.clone()]));
        positions.on_chunk(&one, chunk(&one, &[0], 1));
        assert!(positions.set_paused(&one, true));
        assert!(positions.take(9).is_empty() && positions.hungry().is_empty());
        assert!(positions.set_paused(&one, false));
        assert_eq!(positions.take(9).len(), 1);
    }
}
