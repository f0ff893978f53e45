//! Clients that read.

use std::collections::BTreeMap;
use std::io;

use ottla_records::Batches;
use ottla_wire::ErrorCode;

use super::calls::{self, Fetched, Refused};
use super::client::{Client, Phase, decoded};
use super::connection::Connection;
use super::history::{Partition, WholeLog};
use super::keeps::Keeps;

/// Reads partitions from their beginning, and asks for their ends.
pub(super) struct Consumer {
    client: Client,
    /// The next offset of each partition that it reads.
    positions: BTreeMap<Partition, i64>,
    /// The furthest end that it has been told of.
    ends: BTreeMap<Partition, i64>,
    /// Where it began to read, and what it has read since.
    begun: BTreeMap<Partition, (i64, u64)>,
}

/// Reads of a partition whose files are harmed.
const PROBES: usize = 30;

/// More than any batch here inflates to.
const INFLATED_MAX: usize = 1 << 20;

impl Consumer {
    pub(super) fn new(client: Client) -> Self {
        Self { client, positions: BTreeMap::new(), ends: BTreeMap::new(), begun: BTreeMap::new() }
    }

    /// Follows any partitions for as long as the run lasts.
    pub(super) async fn run(mut self) {
        let mut connection = self.client.connect().await;
        while self.client.phase() < Phase::Draining {
            let Some(partition) = self.client.any_partition() else {
                self.client.pause_ms(10, 100).await;
                continue;
            };
            let asked = match self.client.draws.below(10) {
                0 | 1 => self.ask_for_the_end(&mut connection, partition).await.map(drop),
                2 => self.ask_for_the_start(&mut connection, partition).await.map(drop),
                _ => {
                    let max_wait_ms = *self.client.draws.pick(&[0, 10, 100, 500]);
                    self.fetch(&mut connection, partition, max_wait_ms).await
                }
            };
            if let Err(error) = asked {
                self.client.on_broken(&error);
                connection = self.client.connect().await;
            }
            self.client.pause_ms(0, 50).await;
        }
    }

    /// Reads a whole partition, once nothing is written any more.
    pub(super) async fn read_all(&mut self, partition: Partition) -> WholeLog {
        let mut connection = self.client.connect().await;
        loop {
            match self.read_to_the_end(&mut connection, partition).await {
                Ok(end) => {
                    let (start, bytes) = self.begun.get(&partition).copied().unwrap_or((0, 0));
                    return WholeLog { start, end, bytes };
                }
                Err(error) => self.client.on_broken(&error),
            }
            self.client.pause_ms(10, 50).await;
            connection = self.client.connect().await;
        }
    }

    async fn read_to_the_end(
        &mut self,
        connection: &mut Connection,
        partition: Partition,
    ) -> io::Result<i64> {
        loop {
            let end = self.ask_for_the_end(connection, partition).await?;
            let position = self.position(partition);
            match end {
                Some(end) if position >= end => return Ok(end),
                Some(_) => self.fetch(connection, partition, 100).await?,
                None => self.client.pause_ms(10, 50).await,
            }
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Where it reads on.
    pub(super) fn position(&self, partition: Partition) -> i64 {
        self.positions.get(&partition).copied().unwrap_or(0)
    }

    /// Where to read on. Of a partition whose files are harmed, anywhere: somewhere in it nobody
    /// may get past.
    fn next_position(&self, partition: Partition) -> i64 {
        let end = self.ends.get(&partition).copied().unwrap_or(0);
        match u64::try_from(end) {
            Ok(end) if end > 0 && self.client.is_written_off(partition) => {
                i64::try_from(self.client.draws.below(end)).expect("below an offset")
            }
            _ => self.position(partition),
        }
    }

    /// Reads here and there in a partition whose files are harmed: whatever is found is what was
    /// written.
    pub(super) async fn probe(&mut self, partition: Partition) {
        let mut connection = self.client.connect().await;
        for _ in 0..PROBES {
            if let Err(error) = self.fetch(&mut connection, partition, 0).await {
                self.client.on_broken(&error);
                connection = self.client.connect().await;
            }
        }
    }

    pub(super) async fn ask_for_the_end(
        &mut self,
        connection: &mut Connection,
        partition: Partition,
    ) -> io::Result<Option<i64>> {
        let topic = self.client.topic(partition);
        let version = *self.client.draws.pick(&[1, 3, 5, 6, 7, 9]);
        calls::list(connection, version, &topic, (partition.index, calls::LATEST));
        let answer = self.client.answer(connection).await?;
        match decoded(calls::listed(&answer))? {
            Ok(end) => {
                self.on_end(partition, end);
                Ok(Some(end))
            }
            Err(refused) => {
                self.client.expect_retriable_of(partition, "an end", refused);
                Ok(None)
            }
        }
    }

    async fn ask_for_the_start(
        &mut self,
        connection: &mut Connection,
        partition: Partition,
    ) -> io::Result<Option<i64>> {
        let topic = self.client.topic(partition);
        let before = self.shown_start(partition);
        let version = *self.client.draws.pick(&[1, 3, 5, 6, 7, 9]);
        calls::list(connection, version, &topic, (partition.index, calls::EARLIEST));
        let answer = self.client.answer(connection).await?;
        match decoded(calls::listed(&answer))? {
            Ok(start) => {
                self.client.on_start(partition, (before, start));
                Ok(Some(start))
            }
            Err(refused) => {
                self.client.expect_retriable_of(partition, "a start", refused);
                Ok(None)
            }
        }
    }

    /// Where anybody was shown the log to start.
    pub(super) fn shown_start(&self, partition: Partition) -> i64 {
        self.client.shared.history.borrow().starts().shown(partition)
    }

    /// Below its start a log has nothing: the reader goes on there.
    async fn on_out_of_range(
        &mut self,
        connection: &mut Connection,
        (partition, position): (Partition, i64),
    ) -> io::Result<()> {
        if self.client.topic(partition).keeps == Keeps::Everything {
            self.broken(partition, position, "out of range");
            return Ok(());
        }
        let Some(start) = self.ask_for_the_start(connection, partition).await? else {
            return Ok(());
        };
        if start <= position {
            let what = format!("out of range, but the log starts at {start}");
            self.broken(partition, position, &what);
        }
        self.positions.insert(partition, start);
        self.begun.insert(partition, (start, 0));
        Ok(())
    }

    /// Readers are shown what is durable, so an end that was shown is never taken back.
    fn on_end(&mut self, partition: Partition, end: i64) {
        let before = self.ends.insert(partition, end);
        if let Some(before) = before
            && before > end
        {
            let what = format!("the end of {partition} went back from {before} to {end}");
            self.client.violate_of(partition, what);
        }
    }

    async fn fetch(
        &mut self,
        connection: &mut Connection,
        partition: Partition,
        max_wait_ms: i32,
    ) -> io::Result<()> {
        let topic = self.client.topic(partition);
        let version = *self.client.draws.pick(&[4, 7, 11, 12, 13, 15, 17]);
        let position = self.next_position(partition);
        let before = self.shown_start(partition);
        let isolation_level = *self.client.draws.pick(&[0, 1]);
        let how = (max_wait_ms, isolation_level);
        calls::fetch(connection, version, &topic, (partition.index, position), how);
        let answer = self.client.answer(connection).await?;
        let fetched = decoded(calls::fetched(&answer))?;
        self.on_answered(connection, partition, (position, before), fetched).await
    }

    /// What a fetch at a position brought; `start`: where anybody had been shown the log to start
    /// when it was sent.
    pub(super) async fn on_answered(
        &mut self,
        connection: &mut Connection,
        partition: Partition,
        (position, start): (i64, i64),
        fetched: Result<Fetched, Refused>,
    ) -> io::Result<()> {
        match fetched {
            Ok(fetched) => self.on_fetched(partition, (position, start), &fetched),
            Err(refused) if refused.is(ErrorCode::OffsetOutOfRange) => {
                self.on_out_of_range(connection, (partition, position)).await?;
            }
            Err(refused) => self.client.expect_retriable_of(partition, "a fetch", refused),
        }
        Ok(())
    }

    fn on_fetched(
        &mut self,
        partition: Partition,
        (position, start): (i64, i64),
        fetched: &Fetched,
    ) {
        self.on_end(partition, fetched.high_watermark);
        if let Some(log_start) = fetched.log_start {
            self.client.on_start(partition, (start, log_start));
        }
        if position < start && !fetched.records.is_empty() {
            self.broken(partition, position, &format!("deleted, the log starts at {start}"));
        }
        self.begun.entry(partition).or_default().1 += fetched.records.len() as u64;
        let mut next = position;
        for batch in Batches::new(&fetched.records) {
            match batch {
                Ok(batch) if batch.crc_matches() => match self.on_batch(partition, next, batch) {
                    Some(after) => next = after,
                    None => return,
                },
                Ok(_) => return self.broken(partition, next, "a wrong checksum"),
                Err(error) => return self.broken(partition, next, &error.to_string()),
            }
        }
        if next > fetched.high_watermark {
            self.broken(partition, next, "records beyond the high watermark");
        }
        self.positions.insert(partition, next);
    }

    fn broken(&self, partition: Partition, at: i64, what: &str) {
        self.client.violate_of(partition, format!("read {partition}@{at}: {what}"));
    }

    /// Records a batch's values; the offset behind it, if all is well.
    fn on_batch(
        &self,
        partition: Partition,
        mut next: i64,
        batch: ottla_records::Batch<'_>,
    ) -> Option<i64> {
        let base = batch.header.base_offset.get();
        // The first batch may begin before what was asked for; no other may, nor leave a gap.
        if base > next || batch.header.last_offset().get() < next {
            self.broken(partition, next, &format!("a batch from {base}"));
            return None;
        }
        let records = match batch.records(INFLATED_MAX) {
            Ok(records) => records,
            Err(error) => {
                self.broken(partition, next, &error.to_string());
                return None;
            }
        };
        let mut history = self.client.shared.history.borrow_mut();
        for record in &records {
            match record {
                Ok(record) if record.offset.get() < next => {}
                Ok(record) if record.offset.get() == next => {
                    history.on_read(partition, next, record.value);
                    next += 1;
                }
                Ok(record) => {
                    let what = format!("{partition} jumps from {next} to {}", record.offset);
                    history.violate_of(partition, what);
                    return None;
                }
                Err(error) => {
                    history.violate_of(partition, format!("read {partition}@{next}: {error}"));
                    return None;
                }
            }
        }
        Some(next)
    }
}
