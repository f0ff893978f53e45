//! Topics that do not keep everything: where their logs start, and what may be missing.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_types::Timestamp;

use super::history::Partition;
use super::sometimes::{self, Event};
use crate::draws::Draws;

/// What a topic keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    Everything,
    /// `retention.ms`, and `segment.ms`.
    For {
        age: Duration,
        segment: Duration,
    },
    /// `retention.bytes`
    Bytes(u64),
    /// Whatever nobody has deleted.
    UntilDeleted,
}

impl Keeps {
    pub(super) fn draw(draws: &Draws) -> Self {
        match draws.below(6) {
            0 => Self::For {
                age: Duration::from_millis(draws.within(500..8_000)),
                segment: Duration::from_millis(draws.within(200..4_000)),
            },
            1 => Self::Bytes(draws.within(5_000..60_000)),
            2 => Self::UntilDeleted,
            _ => Self::Everything,
        }
    }

    /// The topic's configuration.
    pub(super) fn configs(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Everything | Self::UntilDeleted => Vec::new(),
            Self::For { age, segment } => vec![
                ("retention.ms", age.as_millis().to_string()),
                ("segment.ms", segment.as_millis().to_string()),
                ("file.delete.delay.ms", "500".to_owned()),
            ],
            Self::Bytes(bytes) => vec![
                ("retention.bytes", bytes.to_string()),
                ("file.delete.delay.ms", "500".to_owned()),
            ],
        }
    }
}

/// What is known of where logs start.
#[derive(Debug, Default)]
pub(super) struct Starts {
    shown: BTreeMap<Partition, Shown>,
    /// The furthest deletion that somebody asked for, whatever became of it.
    asked: BTreeMap<Partition, i64>,
    /// How far the node's wall clock was ahead at most.
    ahead_ms: i64,
}

/// The furthest start that a client was shown.
#[derive(Clone, Copy, Debug)]
struct Shown {
    start: i64,
    /// In which of the node's lives.
    life: u32,
}

impl Starts {
    /// The furthest start that anybody was shown so far.
    pub(super) fn shown(&self, partition: Partition) -> i64 {
        self.shown.get(&partition).map_or(0, |shown| shown.start)
    }

    pub(super) fn on_deletion_asked(&mut self, partition: Partition, to: i64) {
        let asked = self.asked.entry(partition).or_default();
        *asked = to.max(*asked);
    }

    pub(super) fn on_wall_jump(&mut self, ms: i64) {
        self.ahead_ms = self.ahead_ms.max(ms);
    }

    /// An answer shows a start; `before` is the furthest that anybody had been shown when the
    /// question was asked. What is wrong about it.
    pub(super) fn on_shown(
        &mut self,
        partition: Partition,
        (before, start): (i64, i64),
        life: u32,
    ) -> Option<String> {
        if start < before {
            return Some(format!("the start of {partition} went back from {before} to {start}"));
        }
        let shown = self.shown.entry(partition).or_insert(Shown { start: 0, life });
        if start > shown.start {
            *shown = Shown { start, life };
        } else if start > 0 && start == shown.start && life > shown.life {
            shown.life = life;
            sometimes::happens(Event::LogStartRestored);
        }
        None
    }

    /// Whether a record may be gone that is below the log's start.
    pub(super) fn may_be_gone(
        &self,
        keeps: Keeps,
        (partition, offset): (Partition, i64),
        written: Timestamp,
        now: Timestamp,
    ) -> bool {
        match keeps {
            Keeps::Everything => false,
            Keeps::UntilDeleted => self.asked.get(&partition).is_some_and(|asked| offset < *asked),
            Keeps::For { age, .. } => {
                let node_now = now.millis() + self.ahead_ms;
                let is = node_now.saturating_sub(written.millis());
                u64::try_from(is).is_ok_and(|is| Duration::from_millis(is) > age)
            }
            // The rest of the log says whether too much is gone.
            Keeps::Bytes(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Partition = Partition { topic: 0, index: 0 };

    #[test]
    fn a_start_that_was_shown_never_goes_back() {
        let mut starts = Starts::default();
        assert_eq!(starts.on_shown(HERE, (0, 5), 1), None);
        assert_eq!(starts.on_shown(HERE, (0, 3), 1), None, "an answer that came late");
        assert_eq!(starts.shown(HERE), 5);
        assert!(starts.on_shown(HERE, (5, 3), 2).is_some());
    }

    #[test]
    #[rustfmt::skip]
    fn only_what_may_go_is_allowed_to_be_gone() {
        let age = Keeps::For { age: Duration::from_secs(1), segment: Duration::from_secs(1) };
        let check = |keeps, offset, written, now, expected| {
            let mut starts = Starts::default();
            starts.on_deletion_asked(HERE, 5);
            starts.on_wall_jump(-100);
            let [written, now] = [written, now].map(Timestamp::from_millis);
            assert_eq!(starts.may_be_gone(keeps, (HERE, offset), written, now), expected);
        };
        //    keeps                offset  written  now    may be gone
        check(Keeps::Everything,   4,      0,       9_000, false);
        check(Keeps::UntilDeleted, 4,      0,       0,     true);
        check(Keeps::UntilDeleted, 5,      0,       9_000, false);
        check(age,                 4,      100,     1_100, false);
        check(age,                 4,      100,     1_101, true);
        check(Keeps::Bytes(1),     4,      100,     100,   true);
    }
}
