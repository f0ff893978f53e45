//! Batches that were refused for want of room, while the next ones of their producers are on the
//! way already.
//!
//! A producer that a log has not seen before may begin at any sequence. So when its first batch
//! is refused and there is room again for the second, the second would be taken for its beginning,
//! and the first could never follow.

use std::time::Duration;

use ottla_env::Mono;
use ottla_records::ProducerStamp;
use ottla_types::Sequence;

/// Refused batches that one partition remembers, of a producer each: 32 bytes a piece, 2 KiB.
const REFUSED_MAX: usize = 64;

/// How long they are waited for: Kafka's default of `delivery.timeout.ms`, after which a producer
/// gives a batch up.
const WAITED_FOR: Duration = Duration::from_mins(2);

/// The oldest refused batch of each producer.
#[derive(Debug, Default)]
pub(super) struct RefusedBatches(Vec<Refused>);

#[derive(Debug)]
struct Refused {
    stamp: ProducerStamp,
    sequence: Sequence,
    until: Mono,
}

impl RefusedBatches {
    /// Nearly always: nobody need ask further, nor look at the time.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A batch was refused.
    pub(super) fn note(&mut self, stamp: Option<ProducerStamp>, now: Mono) {
        let Some((stamp, sequence)) = sequenced(stamp) else { return };
        if let Some(at) = self.position_of(stamp) {
            if self.0[at].sequence <= sequence && self.0[at].stamp.epoch == stamp.epoch {
                return;
            }
            self.0.remove(at);
        }
        if self.0.len() == REFUSED_MAX {
            self.0.remove(0);
        }
        self.0.push(Refused { stamp, sequence, until: now.after(WAITED_FOR) });
    }

    /// Whether a batch has to wait for one in front of it that was refused. That one itself has
    /// not, and is waited for no more.
    pub(super) fn are_in_front_of(&mut self, stamp: Option<ProducerStamp>, now: Mono) -> bool {
        self.0.retain(|refused| now < refused.until);
        let Some((stamp, sequence)) = sequenced(stamp) else { return false };
        let Some(at) = self.position_of(stamp) else { return false };
        let refused = &self.0[at];
        if refused.stamp.epoch == stamp.epoch && sequence != refused.sequence {
            return refused.sequence < sequence;
        }
        self.0.remove(at);
        false
    }

    fn position_of(&self, stamp: ProducerStamp) -> Option<usize> {
        self.0.iter().position(|refused| refused.stamp.id == stamp.id)
    }
}

fn sequenced(stamp: Option<ProducerStamp>) -> Option<(ProducerStamp, Sequence)> {
    stamp.and_then(|stamp| Some((stamp, stamp.base_sequence?)))
}

#[cfg(test)]
mod tests {
    use ottla_types::{ProducerEpoch, ProducerId};

    use super::*;

    fn stamp(id: i64, epoch: i16, sequence: i32) -> Option<ProducerStamp> {
        Some(ProducerStamp {
            id: ProducerId::new(id),
            epoch: ProducerEpoch::new(epoch),
            base_sequence: Some(Sequence::new(sequence)),
        })
    }

    const START: Mono = Mono::from_nanos(0);

    /// Batches of producer 7 that were refused, and then one that comes at `seconds`.
    fn check(refused: &[(i16, i32)], then: (i64, i16, i32), seconds: u64, waits: bool) {
        let mut batches = RefusedBatches::default();
        for (epoch, sequence) in refused {
            batches.note(stamp(7, *epoch, *sequence), START);
        }
        let (id, epoch, sequence) = then;
        let now = START.after(Duration::from_secs(seconds));
        let found = batches.are_in_front_of(stamp(id, epoch, sequence), now);
        assert_eq!(found, waits, "{then:?} after {refused:?}");
    }

    #[test]
    #[rustfmt::skip]
    fn a_batch_waits_for_the_one_in_front_of_it() {
        check(&[],               (7, 0, 2), 0,   false);
        check(&[(0, 0)],         (7, 0, 2), 0,   true);
        check(&[(0, 0)],         (7, 0, 0), 0,   false);
        check(&[(0, 0), (0, 2)], (7, 0, 2), 0,   true);
        check(&[(0, 2), (0, 0)], (7, 0, 2), 0,   true);
        check(&[(0, 2)],         (7, 0, 0), 0,   false);
        check(&[(0, 0)],         (8, 0, 2), 0,   false);   // another producer
        check(&[(0, 0)],         (7, 1, 0), 0,   false);   // it gave up, and began anew
        check(&[(0, 5), (1, 0)], (7, 1, 3), 0,   true);
        check(&[(0, 0)],         (7, 0, 2), 119, true);
        check(&[(0, 0)],         (7, 0, 2), 120, false);
    }

    #[test]
    fn a_batch_that_came_again_is_waited_for_no_more() {
        let mut batches = RefusedBatches::default();
        batches.note(stamp(7, 0, 0), START);
        assert!(!batches.are_in_front_of(stamp(7, 0, 0), START));
        assert!(!batches.are_in_front_of(stamp(7, 0, 2), START));
    }

    #[test]
    fn a_partition_remembers_so_many_producers_and_no_more() {
        let mut batches = RefusedBatches::default();
        for id in 0..100 {
            batches.note(stamp(id, 0, 0), START);
            batches.note(None, START);
        }
        assert_eq!(batches.0.len(), REFUSED_MAX);
        assert!(!batches.are_in_front_of(stamp(35, 0, 1), START), "forgotten");
        assert!(batches.are_in_front_of(stamp(36, 0, 1), START));
    }
}
