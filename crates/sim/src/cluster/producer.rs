//! Clients that write.

use std::collections::VecDeque;
use std::io;

use ottla_env::Mono;
use ottla_records::{BatchBuilder, BatchOptions, Compression, NewRecord, ProducerStamp};
use ottla_types::{ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_wire::ErrorCode;

use super::calls::{self, ForPartition, Produced, Refused};
use super::client::{Client, Phase, REQUEST_TIMEOUT, decoded};
use super::connection::{Answered, Connection};
use super::history::{Partition, Promise};
use super::keeps::Keeps;
use super::values::{Value, Writer};

/// As many requests as Kafka's producer has under way, and as many batches as a partition
/// remembers of a producer.
const IN_FLIGHT_MAX: usize = 5;

/// Batches that a producer holds at once.
const PENDING_MAX: usize = 8;

/// Writes values, numbered, to any partitions.
pub(super) struct Producer {
    client: Client,
    writer: Writer,
    numbers: u32,
}

/// A batch that is not acknowledged yet.
struct Pending {
    partition: Partition,
    first: u32,
    count: u32,
    bytes: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Sent { correlation: i32, deadline: Mono },
}

/// An idempotent producer's identity, and the next sequence for each partition.
struct Identity {
    id: ProducerId,
    epoch: ProducerEpoch,
    sequences: std::collections::BTreeMap<Partition, Sequence>,
    /// The first number of the last batch that each partition has acknowledged.
    acked: std::collections::BTreeMap<Partition, u32>,
}

impl Producer {
    pub(super) fn new(client: Client, writer: Writer) -> Self {
        Self { client, writer, numbers: 0 }
    }

    /// Values for `count` records of one partition, and their bytes as one batch.
    fn batch(
        &mut self,
        partition: Partition,
        stamp: Option<ProducerStamp>,
        to: Promise,
    ) -> Pending {
        let draws = &self.client.draws;
        let count = u32::try_from(draws.within(1..6)).expect("a few");
        let compression = match draws.below(8) {
            0 => Compression::Gzip,
            1 => Compression::Snappy,
            2 => Compression::Lz4,
            _ => Compression::None,
        };
        let options = BatchOptions { compression, producer: stamp, ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        let timestamp: Timestamp = self.client.env.clock.wall();
        let first = self.numbers;
        self.numbers += count;
        let mut history = self.client.shared.history.borrow_mut();
        for number in first..self.numbers {
            let value = Value { writer: self.writer, number };
            history.on_sent(value, partition, to, timestamp);
            let bytes = value.bytes();
            builder.push(NewRecord { timestamp, key: None, value: Some(&bytes), headers: &[] });
        }
        let bytes = builder.build().into_bytes();
        Pending { partition, first, count, bytes, state: State::Waiting }
    }

    fn on_acked(&self, pending: &Pending, base_offset: i64) {
        let mut history = self.client.shared.history.borrow_mut();
        for (nth, number) in (pending.first..pending.first + pending.count).enumerate() {
            let offset = base_offset + i64::try_from(nth).expect("a few");
            history.on_acked(Value { writer: self.writer, number }, offset);
        }
    }

    /// Sends batches in one request.
    fn send(&self, connection: &mut Connection, acks: i16, batches: &[&Pending]) -> i32 {
        let version = *self.client.draws.pick(&[3, 7, 8, 9, 11, 12, 13]);
        let topics: Vec<_> =
            batches.iter().map(|pending| self.client.topic(pending.partition)).collect();
        let batches: Vec<_> = batches
            .iter()
            .zip(&topics)
            .map(|(pending, topic)| ForPartition {
                topic,
                index: pending.partition.index,
                batch: &pending.bytes,
            })
            .collect();
        calls::produce(connection, version, acks, &batches)
    }

    /// Writes with acks 0 or 1, each batch once, whatever comes of it.
    pub(super) async fn run_once_each(mut self, acks: i16) {
        let promise = if acks == 0 { Promise::Nothing } else { Promise::WhilePowered };
        let mut connection = self.client.connect().await;
        while self.client.phase() < Phase::Draining {
            let mut batches = Vec::new();
            for _ in 0..self.client.draws.within(1..4) {
                let Some(partition) = self.client.any_sound_partition() else { break };
                if batches
                    .iter()
                    .all(|pending: &Pending| pending.partition.topic != partition.topic)
                {
                    batches.push(self.batch(partition, None, promise));
                }
            }
            if !batches.is_empty()
                && let Err(error) = self.write_once(&mut connection, acks, &batches).await
            {
                self.client.on_broken(&error);
                connection = self.client.connect().await;
            }
            self.client.pause_ms(5, 300).await;
        }
    }

    async fn write_once(
        &self,
        connection: &mut Connection,
        acks: i16,
        batches: &[Pending],
    ) -> io::Result<()> {
        self.send(connection, acks, &batches.iter().collect::<Vec<_>>());
        if acks == 0 {
            return connection.flush(&self.client.env, REQUEST_TIMEOUT).await;
        }
        let answer = self.client.answer(connection).await?;
        for produced in decoded(calls::produced(&answer))? {
            let pending = batches.iter().find(|pending| self.is_about(&produced, pending));
            match (pending, produced.result) {
                (Some(pending), Ok(base_offset)) => self.on_acked(pending, base_offset),
                (Some(pending), Err(refused)) => {
                    self.client.expect_retriable_of(pending.partition, "acks=1", refused);
                }
                (None, _) => self.client.violate("an answer about another partition".to_owned()),
            }
        }
        Ok(())
    }

    fn is_about(&self, produced: &Produced, pending: &Pending) -> bool {
        let topic = self.client.topic(pending.partition);
        produced.index == pending.partition.index && produced.topic.is(&topic)
    }

    /// Writes with acks=all and a producer id, several requests under way, and sends everything
    /// again that was not acknowledged.
    pub(super) async fn run_exactly_once(mut self) {
        let mut identity = self.identify().await;
        let mut pending = VecDeque::new();
        loop {
            let mut connection = self.client.connect().await;
            let ended = self.session(&mut connection, &mut identity, &mut pending).await;
            match ended {
                Ok(()) => return,
                Err(error) => self.client.on_broken(&error),
            }
            for each in &mut pending {
                each.state = State::Waiting;
            }
        }
    }

    async fn identify(&self) -> Identity {
        loop {
            let mut connection = self.client.connect().await;
            match self.identify_once(&mut connection).await {
                Ok(Ok((id, epoch))) => {
                    let id = ProducerId::new(id);
                    let epoch = ProducerEpoch::new(epoch);
                    let sequences = std::collections::BTreeMap::new();
                    let acked = std::collections::BTreeMap::new();
                    return Identity { id, epoch, sequences, acked };
                }
                Ok(Err(refused)) => self.client.expect_retriable("a producer id", refused),
                Err(error) => self.client.on_broken(&error),
            }
            self.client.pause_ms(50, 300).await;
        }
    }

    async fn identify_once(
        &self,
        connection: &mut Connection,
    ) -> io::Result<Result<(i64, i16), Refused>> {
        calls::init_producer_id(connection, *self.client.draws.pick(&[0, 1, 2, 3, 4, 5]));
        let answer = self.client.answer(connection).await?;
        decoded(calls::producer_id(&answer))
    }

    /// One connection's time: until it breaks, or nothing is left to do.
    async fn session(
        &mut self,
        connection: &mut Connection,
        identity: &mut Identity,
        pending: &mut VecDeque<Pending>,
    ) -> io::Result<()> {
        let mut next_batch = self.client.env.clock.mono();
        loop {
            let now = self.client.env.clock.mono();
            let before = pending.len();
            pending.retain(|each| !self.client.is_written_off(each.partition));
            if pending.len() < before {
                // Nobody waits for the answers any more.
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            let draining = self.client.phase() == Phase::Draining;
            if draining && pending.is_empty() {
                return Ok(());
            }
            if !draining && now >= next_batch && pending.len() < PENDING_MAX {
                self.add_batch(identity, pending);
                let pause = self.client.draws.within(1..200);
                next_batch = now.after(std::time::Duration::from_millis(pause));
            }
            self.send_waiting(connection, identity, pending);
            let deadline = earliest_deadline(pending);
            let next = if next_batch > now { next_batch } else { now.after(PATIENCE) };
            let until = deadline.map_or(next, |deadline| deadline.min(next));
            match connection.answer_by(&self.client.env, until).await {
                Ok(answer) => self.on_answer(&answer, identity, pending)?,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    let now = self.client.env.clock.mono();
                    if let Some(deadline) = deadline.filter(|deadline| now >= *deadline) {
                        let timeout = REQUEST_TIMEOUT.as_nanos();
                        let asked = u128::from(deadline.nanos()).saturating_sub(timeout);
                        let asked = u64::try_from(asked).expect("before the deadline");
                        self.client.on_timeout(Mono::from_nanos(asked));
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn add_batch(&mut self, identity: &mut Identity, pending: &mut VecDeque<Pending>) {
        let Some(partition) = self.client.any_sound_partition() else { return };
        let sequence = identity.sequences.entry(partition).or_insert(Sequence::ZERO);
        let (id, epoch) = (identity.id, identity.epoch);
        let stamp = ProducerStamp { id, epoch, base_sequence: Some(*sequence) };
        let batch = self.batch(partition, Some(stamp), Promise::ExactlyOnce);
        *sequence = sequence.plus(i32::try_from(batch.count).expect("a few"));
        pending.push_back(batch);
    }

    /// Sends what waits, oldest first, sometimes two batches of different topics together.
    ///
    /// A partition that has acknowledged nothing yet has one batch at a time: a broker that does
    /// not know the producer takes any number for its first, also that of the second one when it
    /// has refused the first.
    fn send_waiting(
        &self,
        connection: &mut Connection,
        identity: &Identity,
        pending: &mut VecDeque<Pending>,
    ) {
        while connection.in_flight() < IN_FLIGHT_MAX {
            let may_go = |at: &usize| {
                let Some(each) = pending.get(*at) else { return false };
                let has_older = || pending.range(..*at).any(|old| old.partition == each.partition);
                let known = identity.acked.contains_key(&each.partition);
                each.state == State::Waiting && (known || !has_older())
            };
            let Some(first) = (0..pending.len()).find(may_go) else { return };
            let second = first + 1;
            let other = |next: &Pending| next.partition.topic != pending[first].partition.topic;
            let together = may_go(&second) && pending.get(second).is_some_and(other);
            let last = if together && self.client.draws.one_in(2) { second } else { first };
            let batches: Vec<&Pending> = pending.range(first..=last).collect();
            let correlation = self.send(connection, -1, &batches);
            let deadline = self.client.env.clock.mono().after(REQUEST_TIMEOUT);
            for each in pending.range_mut(first..=last) {
                each.state = State::Sent { correlation, deadline };
            }
        }
    }

    fn on_answer(
        &self,
        answer: &Answered,
        identity: &mut Identity,
        pending: &mut VecDeque<Pending>,
    ) -> io::Result<()> {
        for produced in decoded(calls::produced(answer))? {
            let asked = |each: &Pending| match each.state {
                State::Sent { correlation, .. } => correlation == answer.correlation,
                State::Waiting => false,
            };
            let at = pending.iter().position(|each| asked(each) && self.is_about(&produced, each));
            let Some(at) = at else {
                self.client.violate("an answer about another partition".to_owned());
                continue;
            };
            match produced.result {
                Ok(base_offset) => {
                    let done = pending.remove(at).expect("found there");
                    self.on_acked(&done, base_offset);
                    identity.acked.insert(done.partition, done.first);
                }
                Err(refused) if self.was_overtaken(refused, identity, &pending[at]) => {
                    drop(pending.remove(at));
                }
                Err(refused) => {
                    self.on_refused(refused, pending, at);
                    pending[at].state = State::Waiting;
                }
            }
        }
        Ok(())
    }

    /// Where records are deleted, a broker may forget a producer in the middle of its batches, if
    /// the files about it are harmed. It then takes any number for the first, and one that it has
    /// refused before for want of space comes too late: Kafka's protocol has no answer to that.
    fn was_overtaken(&self, refused: Refused, identity: &Identity, each: &Pending) -> bool {
        let deletes = self.client.topic(each.partition).keeps != Keeps::Everything;
        let later = identity.acked.get(&each.partition).is_some_and(|acked| *acked > each.first);
        refused.is(ErrorCode::OutOfOrderSequenceNumber) && deletes && later
    }

    fn on_refused(&self, refused: Refused, pending: &VecDeque<Pending>, at: usize) {
        let partition = pending[at].partition;
        let is_oldest = pending.iter().take(at).all(|each| each.partition != partition);
        // Behind a batch that was refused, the next one comes too early.
        if refused.is(ErrorCode::OutOfOrderSequenceNumber) && !is_oldest {
            return;
        }
        self.client.expect_retriable_of(partition, "acks=all", refused);
    }
}

/// How long a producer without anything to wait for looks away.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(100);

fn earliest_deadline(pending: &VecDeque<Pending>) -> Option<Mono> {
    let deadline = |each: &Pending| match each.state {
        State::Sent { deadline, .. } => Some(deadline),
        State::Waiting => None,
    };
    pending.iter().filter_map(deadline).min()
}
