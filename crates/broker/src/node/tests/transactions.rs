//! What consumers of committed records are shown. Producers cannot write transactions yet, so the
//! batches go into the partition as another broker would have left them in its log.

use std::task::Waker;

use ottla_records::{BuiltBatch, ControlType, EndTransactionMarker};
use ottla_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_wire::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::*;

const LIST_OFFSETS: i16 = 7;
const LATEST: i64 = -1;
const MAX_TIMESTAMP: i64 = -3;

fn stamp(producer: i64, sequence: Option<i32>) -> Option<ProducerStamp> {
    Some(ProducerStamp {
        id: ProducerId::new(producer),
        epoch: ProducerEpoch::ZERO,
        base_sequence: sequence.map(Sequence::new),
    })
}

/// Two records of a transaction.
fn data(producer: i64) -> BuiltBatch {
    let producer = stamp(producer, Some(0));
    let options = BatchOptions { producer, transactional: true, ..Default::default() };
    of(options, None, b"value", 2)
}

fn plain() -> BuiltBatch {
    of(BatchOptions::default(), None, b"value", 1)
}

fn marker(producer: i64, kind: ControlType) -> BuiltBatch {
    let committed = kind == ControlType::Commit;
    let value = EndTransactionMarker { committed, coordinator_epoch: 0 }.value();
    let producer = stamp(producer, None);
    let options =
        BatchOptions { producer, transactional: true, control: true, ..Default::default() };
    of(options, Some(&kind.key()), &value, 1)
}

fn of(options: BatchOptions, key: Option<&[u8]>, value: &[u8], records: i64) -> BuiltBatch {
    let mut builder = BatchBuilder::new(options);
    for n in 0..records {
        let timestamp = Timestamp::from_millis(1_000 + n);
        builder.push(NewRecord { timestamp, key, value: Some(value), headers: &[] });
    }
    builder.build()
}

struct Written {
    env: Env,
    partition: Arc<Partition>,
}

impl Written {
    fn append(&self, batch: &BuiltBatch) {
        let appended = self.partition.append(&self.env, &batch.checked(), Waker::noop());
        appended.unwrap();
    }
}

async fn start(life: &Life, properties: &[(&str, &str)]) -> (Node, Client, Written) {
    let node = life.node(properties).await;
    let mut client = life.client().await;
    client.create(&[]).await;
    let topic = node.broker.partitions.topic(TOPIC).unwrap();
    let partition = Arc::clone(topic.partition(0).unwrap());
    partition.opened(&life.env).await.unwrap();
    let written = Written { env: life.env.clone(), partition };
    (node, client, written)
}

#[derive(Debug, PartialEq)]
struct Answer {
    high_watermark: i64,
    last_stable_offset: i64,
    /// Producer and first offset.
    aborted: Option<Vec<(i64, i64)>>,
    bytes: usize,
}

impl Client {
    async fn fetch_isolated(&mut self, offset: i64, isolation_level: i8, wait_ms: i32) -> Answer {
        let partition = FetchPartition {
            fetch_offset: offset,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        };
        let topic = FetchTopic {
            topic: TOPIC.into(),
            partitions: vec![partition].into(),
            ..Default::default()
        };
        let request = FetchRequest {
            max_wait_ms: wait_ms,
            min_bytes: 1,
            max_bytes: 1 << 20,
            isolation_level,
            session_epoch: -1,
            topics: vec![topic].into(),
            ..Default::default()
        };
        self.send(ApiKey::Fetch, FETCH, |writer| request.encode(writer, FETCH)).await;
        let answer = self.answer(ApiKey::Fetch, FETCH).await;
        let response = FetchResponse::decode(&mut answer.body(), FETCH).unwrap();
        let topic = response.responses.first().unwrap();
        let partition = topic.partitions.first().unwrap();
        assert_eq!(partition.error_code, OK);
        let aborted = partition.aborted_transactions.as_ref().map(|aborted| {
            aborted.iter().map(|entry| (entry.producer_id, entry.first_offset)).collect()
        });
        Answer {
            high_watermark: partition.high_watermark,
            last_stable_offset: partition.last_stable_offset,
            aborted,
            bytes: partition.records.map_or(0, |records| records.len()),
        }
    }

    async fn list(&mut self, timestamp: i64, isolation_level: i8) -> i64 {
        let partition = ListOffsetsPartition { timestamp, ..Default::default() };
        let topic = ListOffsetsTopic {
            name: TOPIC.into(),
            partitions: vec![partition].into(),
            ..Default::default()
        };
        let request = ListOffsetsRequest {
            replica_id: -1,
            isolation_level,
            topics: vec![topic].into(),
            ..Default::default()
        };
        let (key, version) = (ApiKey::ListOffsets, LIST_OFFSETS);
        self.send(key, version, |writer| request.encode(writer, version)).await;
        let answer = self.answer(key, version).await;
        let response = ListOffsetsResponse::decode(&mut answer.body(), version).unwrap();
        let topic = response.topics.first().unwrap();
        let partition = topic.partitions.first().unwrap();
        assert_eq!(partition.error_code, OK);
        partition.offset
    }
}

#[test]
fn committed_readers_stop_at_the_first_open_transaction() {
    World::new(20).live(async |life| {
        let page_cache = [("ottla.durability", "page-cache")];
        let (_node, mut client, written) = start(&life, &page_cache).await;
        // 0 of nobody, 1-2 of 1, 3-4 of 2, 5 aborts 1, 6 commits 2.
        let steps = [
            (plain(), 1, vec![]),
            (data(1), 1, vec![]),
            (data(2), 1, vec![]),
            (marker(1, ControlType::Abort), 3, vec![(1, 1)]),
            (marker(2, ControlType::Commit), 7, vec![(1, 1)]),
        ];
        let (mut sizes, mut end) = (Vec::new(), 0);
        for (batch, stable, aborted) in steps {
            written.append(&batch);
            end += i64::from(batch.checked().header().last_offset_delta) + 1;
            sizes.push((end, batch.checked().size() as usize));
            let all: usize = sizes.iter().map(|(_, size)| size).sum();
            let below = sizes.iter().filter(|(end, _)| *end <= stable);
            let bytes = below.map(|(_, size)| size).sum();
            let (high_watermark, last_stable_offset) = (end, stable);
            let committed =
                Answer { high_watermark, last_stable_offset, aborted: Some(aborted), bytes };
            assert_eq!(client.fetch_isolated(0, 1, 0).await, committed);
            let uncommitted = Answer { aborted: None, bytes: all, ..committed };
            assert_eq!(client.fetch_isolated(0, 0, 0).await, uncommitted);
            assert_eq!(client.list(LATEST, 1).await, stable);
            assert_eq!(client.list(LATEST, 0).await, end);
        }
    });
}

#[test]
fn what_is_behind_the_last_stable_offset_is_not_found_by_time() {
    World::new(21).live(async |life| {
        let page_cache = [("ottla.durability", "page-cache")];
        let (_node, mut client, written) = start(&life, &page_cache).await;
        written.append(&plain());
        written.append(&data(1));
        for (timestamp, isolation, found) in
            [(1_000, 1, 0), (1_001, 1, -1), (1_001, 0, 2), (MAX_TIMESTAMP, 1, -1)]
        {
            assert_eq!(client.list(timestamp, isolation).await, found, "{timestamp} {isolation}");
        }
        written.append(&marker(1, ControlType::Commit));
        assert_eq!(client.list(1_001, 1).await, 2);
    });
}

#[test]
fn a_partition_without_files_has_no_record_of_any_time() {
    World::new(24).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        for isolation in [0, 1] {
            for (timestamp, found) in [(0, -1), (MAX_TIMESTAMP, -1), (LATEST, 0)] {
                assert_eq!(client.list(timestamp, isolation).await, found, "{timestamp}");
            }
        }
    });
}

#[test]
fn a_committed_reader_is_woken_when_its_transaction_ends() {
    for durability in ["fsync", "page-cache"] {
        World::new(22).live(async move |life| {
            let (_node, mut client, written) =
                start(&life, &[("ottla.durability", durability)]).await;
            let asked = life.env.clock.mono();
            let writer = async {
                life.pause(100).await;
                written.append(&data(1));
                life.pause(1_000).await;
                written.append(&marker(1, ControlType::Commit));
            };
            let writer = Box::pin(writer);
            let reader = Box::pin(client.fetch_isolated(0, 1, 30_000));
            let (answer, ()) = both(reader, writer).await;
            let waited = life.env.clock.mono().since(asked).as_millis();
            assert_eq!((answer.last_stable_offset, answer.aborted), (3, Some(vec![])));
            assert!((1_100..2_000).contains(&waited), "{durability}: {waited}");
        });
    }
}

#[test]
fn an_open_transaction_whose_records_were_deleted_hides_what_is_behind() {
    World::new(23).live(async |life| {
        let page_cache = [("ottla.durability", "page-cache")];
        let (_node, mut client, written) = start(&life, &page_cache).await;
        written.append(&data(1));
        written.append(&plain());
        assert_eq!(client.delete_records(TOPIC, 1).await, (OK, 1));
        let answer = client.fetch_isolated(1, 1, 0).await;
        assert_eq!((answer.high_watermark, answer.last_stable_offset, answer.bytes), (3, 1, 0));
        written.append(&marker(1, ControlType::Abort));
        let answer = client.fetch_isolated(1, 1, 0).await;
        assert_eq!((answer.last_stable_offset, answer.aborted), (4, Some(vec![(1, 0)])));
    });
}

/// Both results, of futures that run side by side.
async fn both<A: Future + Unpin, B: Future + Unpin>(mut a: A, mut b: B) -> (A::Output, B::Output) {
    let (mut of_a, mut of_b) = (None, None);
    std::future::poll_fn(move |cx| {
        if of_a.is_none()
            && let Poll::Ready(output) = std::pin::Pin::new(&mut a).poll(cx)
        {
            of_a = Some(output);
        }
        if of_b.is_none()
            && let Poll::Ready(output) = std::pin::Pin::new(&mut b).poll(cx)
        {
            of_b = Some(output);
        }
        match (of_a.take(), of_b.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (of_a, of_b) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}
