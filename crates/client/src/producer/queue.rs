//! What waits for one partition, and in which order it may go.
//!
//! An idempotent producer numbers its batches per partition. A batch that the broker could not
//! take is sent again with the number it had; those behind it are refused as out of order, and
//! follow it again. Only a batch that is given up leaves a gap: then everything behind it gets new
//! numbers, under a new producer id, as soon as it is certain that none of it was written.

use std::collections::VecDeque;

use ottla_env::Mono;
use ottla_records::ProducerStamp;
use ottla_types::{ProducerEpoch, ProducerId, Sequence};

use super::batch::{Batch, State};

/// Batches of one partition under way at once: what a broker remembers of a producer.
const IN_FLIGHT_MAX: usize = 5;

/// Who a producer is to one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: ProducerId,
    pub(super) epoch: ProducerEpoch,
}

/// The batches of one partition, oldest first.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) batches: VecDeque<Batch>,
    identity: Option<Identity>,
    next_sequence: Option<Sequence>,
    /// The broker has acknowledged something under the present identity: it knows the producer,
    /// and takes no other number than the next.
    known: bool,
    /// A batch was given up, or the broker has forgotten the producer: numbers begin anew.
    broken: bool,
    /// The identity that is not to be used again.
    spent: Option<ProducerId>,
}

/// What a queue is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing may go now.
    Nothing,
    /// Not before then.
    At(Mono),
    /// It needs another identity than this first.
    Identity { spent: Option<ProducerId> },
    /// The batch at this place may go.
    Send(usize),
}

impl Queue {
    /// What may go now. `idempotent` producers number their batches.
    pub(super) fn next(
        &self,
        now: Mono,
        idempotent: bool,
        ripe: impl Fn(&Batch) -> Option<Mono>,
    ) -> Next {
        let under_way = self.batches.iter().filter(|batch| batch.is_in_flight()).count();
        let limit = if idempotent && self.known && !self.broken { IN_FLIGHT_MAX } else { 1 };
        if under_way >= limit {
            return Next::Nothing;
        }
        let Some(at) = self.batches.iter().position(|batch| !batch.is_in_flight()) else {
            return Next::Nothing;
        };
        // What is behind may not overtake what is to be sent again.
        if self.batches.iter().skip(at).any(Batch::is_in_flight) && self.broken {
            return Next::Nothing;
        }
        let batch = &self.batches[at];
        let due = match batch.state {
            State::Open => ripe(batch),
            State::Waiting => (batch.not_before > now).then_some(batch.not_before),
            State::InFlight { .. } => return Next::Nothing,
        };
        if let Some(due) = due {
            return Next::At(due);
        }
        let anew = self.broken && !batch.uncertain;
        if idempotent && (self.identity.is_none() || anew) {
            return Next::Identity { spent: self.spent };
        }
        Next::Send(at)
    }

    /// Takes on an identity. Numbers begin at 0, also those of batches that had others before.
    pub(super) fn identify(&mut self, identity: Identity) {
        assert_ne!(self.spent, Some(identity.id), "a spent identity is not used again");
        self.identity = Some(identity);
        self.next_sequence = Some(Sequence::ZERO);
        (self.known, self.broken) = (false, false);
        self.spent = Some(identity.id);
        for batch in &mut self.batches {
            batch.stamp = None;
        }
    }

    /// The number that the batch at a place is sent with: the one it has, or the next.
    pub(super) fn stamp(&mut self, at: usize) -> Option<ProducerStamp> {
        let batch = &self.batches[at];
        if batch.stamp.is_some() {
            return batch.stamp;
        }
        let (identity, sequence) = (self.identity?, self.next_sequence?);
        self.next_sequence = Some(sequence.plus(batch.count()));
        let (id, epoch) = (identity.id, identity.epoch);
        Some(ProducerStamp { id, epoch, base_sequence: Some(sequence) })
    }

    /// The place of a batch.
    pub(super) fn position(&self, serial: u64) -> Option<usize> {
        self.batches.iter().position(|batch| batch.serial == serial)
    }

    /// A batch was written.
    pub(super) fn on_written(&mut self, at: usize) -> Option<Batch> {
        self.known = true;
        self.batches.remove(at)
    }

    /// A batch is given up.
    pub(super) fn give_up(&mut self, at: usize) -> Option<Batch> {
        let batch = self.batches.remove(at)?;
        // One that has no number yet leaves no gap.
        self.broken |= batch.stamp.is_some();
        Some(batch)
    }

    /// The broker has said for certain that the oldest batch was not written.
    pub(super) fn on_refused_number(&mut self) {
        self.broken = true;
        for batch in &mut self.batches {
            batch.uncertain = false;
        }
    }

    /// Whether numbers have to begin anew.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::producer::Record;
    use ottla_records::Compression;
    use ottla_types::Timestamp;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    fn queue(count: u64) -> Queue {
        let memory = Arc::new(Semaphore::new(100));
        let zero = Mono::from_nanos(0);
        let batch = |serial| {
            let memory = Arc::clone(&memory).try_acquire_owned().expect("enough");
            let mut batch = Batch::new(serial, Compression::None, memory, (zero, zero));
            let (reply, _) = ottla_env::reply();
            batch.push(&Record::to("t"), Timestamp::from_millis(0), None, reply);
            batch.state = State::Waiting;
            batch
        };
        Queue { batches: (0..count).map(batch).collect(), ..Queue::default() }
    }

    fn next(queue: &Queue) -> Next {
        queue.next(Mono::from_nanos(0), true, |_| None)
    }

    fn send(queue: &mut Queue, at: usize) -> i32 {
        assert_eq!(next(queue), Next::Send(at));
        let stamp = queue.stamp(at);
        drop(queue.batches[at].seal(stamp));
        queue.batches[at].state = State::InFlight { alone: at == 0 };
        stamp.expect("identified").base_sequence.expect("numbered").get()
    }

    fn identity(id: i64) -> Identity {
        Identity { id: ProducerId::new(id), epoch: ProducerEpoch::ZERO }
    }

    #[test]
    fn the_first_batch_goes_alone_and_five_go_together_later() {
        let mut queue = queue(8);
        assert_eq!(next(&queue), Next::Identity { spent: None });
        queue.identify(identity(1));
        assert_eq!(send(&mut queue, 0), 0);
        assert_eq!(next(&queue), Next::Nothing, "the broker does not know the producer yet");
        drop(queue.on_written(0));
        for at in 0..5 {
            assert_eq!(send(&mut queue, at), i32::try_from(at).expect("few") + 1);
        }
        assert_eq!(next(&queue), Next::Nothing);
    }

    #[test]
    fn a_batch_is_sent_again_with_its_number() {
        let mut queue = queue(3);
        queue.identify(identity(1));
        send(&mut queue, 0);
        drop(queue.on_written(0));
        assert_eq!([send(&mut queue, 0), send(&mut queue, 1)], [1, 2]);
        queue.batches[0].state = State::Waiting;
        assert_eq!(send(&mut queue, 0), 1);
    }

    #[test]
    fn numbers_begin_anew_once_it_is_certain_that_nothing_behind_a_gap_was_written() {
        let mut queue = queue(3);
        queue.identify(identity(1));
        send(&mut queue, 0);
        drop(queue.on_written(0));
        send(&mut queue, 0);
        send(&mut queue, 1);
        queue.batches[1].state = State::Waiting;
        queue.batches[1].uncertain = true;
        drop(queue.give_up(0));
        assert_eq!(send(&mut queue, 0), 2, "it may have been written, so it keeps its number");
        queue.on_refused_number();
        queue.batches[0].state = State::Waiting;
        assert_eq!(next(&queue), Next::Identity { spent: Some(ProducerId::new(1)) });
        queue.identify(identity(2));
        assert_eq!(send(&mut queue, 0), 0);
    }
}
