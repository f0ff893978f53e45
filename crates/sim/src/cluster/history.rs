//! What the clients saw, and whether it can be true.
//!
//! Rules that one observation can break are checked as it is recorded; those that need the whole
//! log, when a fresh client has read it at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ottla_types::{Timestamp, Uuid};

use super::keeps::{Keeps, Starts};
use super::values::{Value, Writer};

/// A partition, by the number of its topic in the order of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Partition {
    pub(super) topic: usize,
    pub(super) index: i32,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.index)
    }
}

/// A topic whose creation was confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) id: Uuid,
    pub(super) partitions: i32,
    pub(super) keeps: Keeps,
}

/// What a writer was promised when a record of it was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// acks=all with a producer id: there, once, for ever.
    ExactlyOnce,
    /// acks=1: there unless the machine lost its power.
    WhilePowered,
    /// acks=0: nothing.
    Nothing,
}

/// A partition's log, as a fresh client found it.
#[derive(Clone, Copy, Debug)]
pub(super) struct WholeLog {
    pub(super) start: i64,
    pub(super) end: i64,
    /// What its batches take.
    pub(super) bytes: u64,
}

#[derive(Debug)]
struct Write {
    partition: Partition,
    promise: Promise,
    timestamp: Timestamp,
    acked_at: Option<i64>,
}

/// All that was observed in a run.
#[derive(Debug, Default)]
pub(super) struct History {
    topics: Vec<Topic>,
    writes: BTreeMap<Value, Write>,
    seen: BTreeMap<(Partition, i64), Value>,
    power_lost: bool,
    /// Partitions, by topic and number, whose files do not hold what was promised: none of it may
    /// be served as anything else, but it may be missing.
    written_off: BTreeSet<(String, i32)>,
    starts: Starts,
    /// Which of the node's lives is going on.
    life: u32,
    acked: u64,
    read: u64,
    violations: Vec<String>,
}

impl History {
    /// Something was seen that must not be.
    pub(super) fn violate(&mut self, what: String) {
        self.violations.push(what);
    }

    pub(super) fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Records acknowledged, and records read.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.acked, self.read)
    }

    /// From here on what was not synced may be gone.
    pub(super) fn on_power_loss(&mut self) {
        self.power_lost = true;
    }

    /// The disk has broken its word about a partition.
    pub(super) fn write_off(&mut self, partition: Option<(String, i32)>) {
        self.written_off.extend(partition);
    }

    pub(super) fn is_written_off(&self, partition: Partition) -> bool {
        let is = |(topic, index): &(String, i32)| {
            *index == partition.index && *topic == self.topics[partition.topic].name
        };
        self.written_off.iter().any(is)
    }

    /// Something was seen that must not be, unless the disk has broken its word.
    pub(super) fn violate_of(&mut self, partition: Partition, what: String) {
        if !self.is_written_off(partition) {
            self.violate(what);
        }
    }

    pub(super) fn on_life(&mut self, life: u32) {
        self.life = life;
    }

    pub(super) fn starts(&self) -> &Starts {
        &self.starts
    }

    pub(super) fn on_deletion_asked(&mut self, partition: Partition, to: i64) {
        self.starts.on_deletion_asked(partition, to);
    }

    pub(super) fn on_wall_jump(&mut self, ms: i64) {
        self.starts.on_wall_jump(ms);
    }

    /// An answer shows where a log starts: `before` was the furthest that anybody had been shown
    /// when it was asked for.
    pub(super) fn on_start(
        &mut self,
        partition: Partition,
        (before, start): (i64, i64),
        now: Timestamp,
    ) {
        self.check_gone(partition, (self.starts.shown(partition), start), now);
        if let Some(what) = self.starts.on_shown(partition, (before, start), self.life) {
            self.violate_of(partition, what);
        }
    }

    /// What has gone between two starts of a log was to go, as of now. In the end all is old.
    fn check_gone(&mut self, partition: Partition, (from, to): (i64, i64), now: Timestamp) {
        if from >= to {
            return;
        }
        let keeps = self.topics[partition.topic].keeps;
        let gone = self.seen.range((partition, from)..(partition, to));
        let too_early = |((_, offset), value): (&(Partition, i64), &Value)| {
            let written = self.writes.get(value)?.timestamp;
            let may = self.starts.may_be_gone(keeps, (partition, *offset), written, now);
            (!may).then(|| format!("{value:?} at {partition}@{offset} is gone too early"))
        };
        let found: Vec<String> = gone.filter_map(too_early).collect();
        found.into_iter().for_each(|what| self.violate_of(partition, what));
    }

    /// The node has set partitions aside as damaged: somebody must have harmed their files.
    pub(super) fn on_quarantine(&mut self) {
        if self.written_off.is_empty() {
            self.violate("a partition is offline whose files nobody has harmed".to_owned());
        }
    }

    pub(super) fn on_topic(&mut self, topic: Topic) {
        self.topics.push(topic);
    }

    pub(super) fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// Every partition of every topic that is not written off.
    pub(super) fn sound_partitions(&self) -> Vec<Partition> {
        let sound = |partition: &Partition| !self.is_written_off(*partition);
        self.partitions().into_iter().filter(sound).collect()
    }

    /// Every partition of every topic.
    pub(super) fn partitions(&self) -> Vec<Partition> {
        let of = |(topic, each): (usize, &Topic)| {
            (0..each.partitions).map(move |index| Partition { topic, index })
        };
        self.topics.iter().enumerate().flat_map(of).collect()
    }

    pub(super) fn on_sent(
        &mut self,
        value: Value,
        partition: Partition,
        promise: Promise,
        timestamp: Timestamp,
    ) {
        let write = Write { partition, promise, timestamp, acked_at: None };
        let before = self.writes.insert(value, write);
        assert!(before.is_none(), "values are sent under one name once");
    }

    pub(super) fn on_acked(&mut self, value: Value, offset: i64) {
        self.acked += 1;
        let write = self.writes.get_mut(&value).expect("what is acknowledged was sent");
        let partition = write.partition;
        if write.acked_at.is_some_and(|before| before != offset) {
            let before = write.acked_at;
            let what = format!("{value:?} acknowledged at {before:?} and at {offset}");
            self.violate_of(partition, what);
            return;
        }
        write.acked_at = Some(offset);
        if let Some(other) = self.seen.get(&(partition, offset))
            && *other != value
        {
            let other = *other;
            let what = format!("{value:?} acknowledged at {partition}@{offset}: {other:?}");
            self.violate_of(partition, what);
        }
    }

    /// A reader found `bytes` as a record's value.
    pub(super) fn on_read(&mut self, partition: Partition, offset: i64, bytes: Option<&[u8]>) {
        self.read += 1;
        let Some(value) = bytes.and_then(Value::parse) else {
            return self.violate(format!("{partition}@{offset} holds what nobody wrote"));
        };
        match self.writes.get(&value) {
            None => self.violate(format!("{partition}@{offset} holds {value:?}, never sent")),
            Some(write) if write.partition != partition => {
                let right = write.partition;
                self.violate(format!("{partition}@{offset} holds {value:?} of {right}"));
            }
            Some(_) => {}
        }
        let before = *self.seen.entry((partition, offset)).or_insert(value);
        if before != value {
            let what = format!("{partition}@{offset} was {before:?} and is {value:?}");
            self.violate_of(partition, what);
        }
    }

    /// A fresh client has read all of a partition: every rule about its log.
    pub(super) fn on_whole_log(&mut self, partition: Partition, whole: WholeLog, now: Timestamp) {
        let WholeLog { start, end, bytes } = whole;
        let range = (partition, start)..(partition, i64::MAX);
        let log: Vec<(i64, Value)> =
            self.seen.range(range).map(|((_, offset), value)| (*offset, *value)).collect();
        let mut found = Vec::new();
        let dense = (start..).zip(&log).all(|(at, (offset, _))| *offset == at);
        if !dense || i64::try_from(log.len()) != Ok(end - start) {
            let count = log.len();
            found.push(format!("{partition} has {count} records, from {start}, its end is {end}"));
        }
        if let Keeps::Bytes(least) = self.topics[partition.topic].keeps
            && start > 0
            && bytes < least
        {
            found.push(format!("{partition} has {bytes} bytes left of {least}"));
        }
        found.extend(self.out_of_order(partition, &log));
        found.extend(self.missing((partition, start), &log, now));
        found.into_iter().for_each(|what| self.violate_of(partition, what));
    }

    /// Writers send what they number to each partition in order, and nothing twice under two
    /// numbers. What was sent without a sequence over a connection that broke may come late.
    fn out_of_order(&self, partition: Partition, log: &[(i64, Value)]) -> Vec<String> {
        let (mut last, mut met) = (BTreeMap::<Writer, u32>::new(), BTreeSet::new());
        let mut found = Vec::new();
        for (offset, value) in log {
            let twice = !met.insert(*value);
            let before = last.get(&value.writer).copied();
            match before.filter(|before| *before >= value.number) {
                None => drop(last.insert(value.writer, value.number)),
                Some(_) if !twice && self.may_come_late(*value) => {}
                Some(before) => {
                    let what = if twice { "twice" } else { "out of order" };
                    found.push(format!("{value:?} at {partition}@{offset} after {before}: {what}"));
                }
            }
        }
        found
    }

    fn may_come_late(&self, value: Value) -> bool {
        self.writes
            .get(&value)
            .is_some_and(|write| write.promise != Promise::ExactlyOnce && write.acked_at.is_none())
    }

    fn missing(
        &self,
        (partition, start): (Partition, i64),
        log: &[(i64, Value)],
        now: Timestamp,
    ) -> Vec<String> {
        let keeps = self.topics[partition.topic].keeps;
        let at: BTreeMap<Value, i64> =
            log.iter().map(|(offset, value)| (*value, *offset)).collect();
        let lost = |(value, write): (&Value, &Write)| {
            let acked = write.acked_at.filter(|_| write.partition == partition)?;
            let gone = || {
                let place = (partition, acked);
                self.starts.may_be_gone(keeps, place, write.timestamp, now)
            };
            if acked < start && gone() {
                return None;
            }
            let promised = match write.promise {
                Promise::ExactlyOnce => true,
                Promise::WhilePowered => !self.power_lost,
                Promise::Nothing => false,
            };
            match at.get(value) {
                Some(offset) if *offset == acked => None,
                Some(offset) => Some(format!(
                    "{value:?} was acknowledged at {partition}@{acked} and is at {offset}"
                )),
                None if promised => {
                    Some(format!("{value:?} was acknowledged at {partition}@{acked} and is lost"))
                }
                None => None,
            }
        };
        self.writes.iter().filter_map(lost).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Partition = Partition { topic: 0, index: 0 };

    const fn value(number: u32) -> Value {
        Value { writer: 1, number }
    }

    /// A history in which values 0..3 were sent; then `more` happened, and the log was read.
    fn check(promise: Promise, log: &[u32], more: impl Fn(&mut History), expected: Option<&str>) {
        let mut history = History::default();
        let keeps = Keeps::UntilDeleted;
        history.on_topic(Topic { name: "t".to_owned(), id: Uuid::ZERO, partitions: 1, keeps });
        let now = Timestamp::from_millis(0);
        (0..3).for_each(|number| history.on_sent(value(number), HERE, promise, now));
        more(&mut history);
        for (offset, number) in (0..).zip(log) {
            history.on_read(HERE, offset, Some(&value(*number).bytes()));
        }
        let end = i64::try_from(log.len()).unwrap();
        let start = history.starts().shown(HERE);
        history.on_whole_log(HERE, WholeLog { start, end, bytes: 0 }, now);
        match expected {
            None => assert_eq!(history.violations(), [""; 0]),
            Some(expected) => {
                let found = history.violations().iter().any(|what| what.contains(expected));
                assert!(found, "{expected} in {:?}", history.violations());
            }
        }
    }

    #[test]
    #[rustfmt::skip]
    fn a_bad_history_is_told_from_a_good_one() {
        use Promise::{ExactlyOnce, Nothing, WhilePowered};
        let none = |_: &mut History| ();
        let acked = |at| move |h: &mut History| h.on_acked(value(1), at);
        let read = |at, number: u32| {
            move |h: &mut History| h.on_read(HERE, at, Some(&value(number).bytes()))
        };
        let garbage = |h: &mut History| h.on_read(HERE, 0, Some(b"garbage!"));
        let twice = |h: &mut History| (0..2).for_each(|at| h.on_acked(value(0), at));
        let harmed = |h: &mut History| {
            h.on_acked(value(1), 1);
            h.write_off(Some(("t".to_owned(), 0)));
        };
        let deleted = |asked| {
            move |h: &mut History| {
                h.on_acked(value(0), 0);
                h.on_deletion_asked(HERE, asked);
                h.on_start(HERE, (0, 1), Timestamp::from_millis(0));
            }
        };
        let unpowered = |h: &mut History| {
            h.on_acked(value(1), 1);
            h.on_power_loss();
        };
        //    promise       log         more        expected
        check(ExactlyOnce,  &[0, 1, 2], none,       None);
        check(ExactlyOnce,  &[0, 2],    none,       None);
        check(ExactlyOnce,  &[0, 1, 2], acked(1),   None);
        check(ExactlyOnce,  &[0, 2],    acked(1),   Some("acknowledged at 0-0@1 and is lost"));
        check(ExactlyOnce,  &[0, 1, 2], acked(2),   Some("acknowledged at 0-0@2 and is at 1"));
        check(ExactlyOnce,  &[0, 1, 1], acked(1),   Some("twice"));
        check(ExactlyOnce,  &[0, 2, 1], none,       Some("out of order"));
        check(WhilePowered, &[0, 2, 1], none,       None);
        check(WhilePowered, &[0, 2, 1], acked(2),   Some("out of order"));
        check(WhilePowered, &[0, 1, 2, 1], none,    Some("twice"));
        check(WhilePowered, &[0, 2],    acked(1),   Some("is lost"));
        check(WhilePowered, &[0, 2],    unpowered,  None);
        check(ExactlyOnce,  &[0, 2],    harmed,     None);
        check(ExactlyOnce,  &[0, 1, 2], deleted(1), None);
        check(ExactlyOnce,  &[0, 1, 2], deleted(0), Some("is lost"));
        check(ExactlyOnce,  &[0, 7],    harmed,     Some("never sent"));
        check(Nothing,      &[],        none,       None);
        check(Nothing,      &[7],       none,       Some("never sent"));
        check(Nothing,      &[0],       read(0, 1), Some("was Value"));
        check(Nothing,      &[0],       read(5, 1), Some("its end is 1"));
        check(Nothing,      &[0],       garbage,    Some("nobody wrote"));
        check(Nothing,      &[0],       twice,      Some("acknowledged at Some(0) and at 1"));
    }
}
