//! A node in the fake world, and clients that talk frames to it.

mod alter_configs;
mod bombs;
mod bounds;
mod clients;
mod cold;
mod compaction;
mod configs;
mod descriptors;
mod formatting;
mod full_disk;
mod gathered;
mod groups;
mod leaving;
mod legacy;
mod limits;
mod operations;
mod repeated;
mod replicas;
mod retention;
mod sessions;
mod start;
mod transactions;
mod unreadable;
mod unsynced;

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use bytes::Bytes;
use ottla_env::{DiskExt, Env, Outbound, Socket, Stream, reply};
use ottla_records::{BatchBuilder, BatchOptions, NewRecord, ProducerStamp};
use ottla_sim::{Death, DiskFault, Host as Machine, Sim};
use ottla_types::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_wire::messages::metadata_request::MetadataRequestTopic;
use ottla_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_wire::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, FetchRequest, FetchResponse,
    MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
};
use ottla_wire::{ApiKey, EncodeError, Reader, RequestHeader, ResponseHeader, Writer};

use super::Node;
use crate::broker::{Listening, Role};
use crate::config::{NodeConfig, Properties};
use crate::connection::{Connection, Lane};
use crate::partition::Partition;

const TOPIC: &str = "t";
/// Where clients are that have no socket.
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PRODUCE: i16 = 9;
const FETCH: i16 = 12;
const METADATA: i16 = 12;

/// One machine and its lives.
struct World {
    sim: Sim,
    machine: Machine,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut sim = Sim::new(seed);
        let machine = sim.host();
        Self { sim, machine }
    }

    /// What `life` comes to, on the machine; a former life ends by losing its power.
    fn live<T: 'static>(&mut self, life: impl AsyncFnOnce(Life) -> T + 'static) -> T {
        if self.machine.is_alive() {
            self.machine.end(Death::PowerLoss);
        }
        let (to, answer) = reply();
        let machine = self.machine.clone();
        self.machine
            .start(1, |env| Box::pin(async move { to.send(life(Life { env, machine }).await) }));
        let operator = self.sim.host();
        self.sim.run(&operator, |_| answer).expect("the machine lives on")
    }
}

/// A machine's life, on which nodes and clients run.
struct Life {
    env: Env,
    machine: Machine,
}

impl Life {
    async fn node(&self, properties: &[(&str, &str)]) -> Node {
        Node::start(self.env.clone(), self.config(properties)).await.unwrap()
    }

    fn config(&self, properties: &[(&str, &str)]) -> NodeConfig {
        let ip = self.machine.id().ip();
        let listeners = format!("PLAINTEXT://{ip}:9092,CONTROLLER://{ip}:9093");
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut all: Properties = properties.iter().map(own).collect();
        // Clients here rest for days, and go on over the same connection.
        all.entry("connections.max.idle.ms".to_owned()).or_insert_with(|| "-1".to_owned());
        all.insert("listeners".to_owned(), listeners);
        all.insert("log.dirs".to_owned(), "data".to_owned());
        NodeConfig::parse(&all, None).unwrap()
    }

    async fn client(&self) -> Client {
        let stream = self.env.net.connect(self.machine.address(9092)).await.unwrap();
        Client { env: self.env.clone(), stream, incoming: Vec::new(), correlation: 0 }
    }

    async fn pause(&self, millis: u64) {
        self.env.clock.sleep(Duration::from_millis(millis)).await;
    }

    fn slow_disk(&self, millis: u64) {
        self.machine.disk_fault(DiskFault::Slow(Duration::from_millis(millis)));
    }
}

struct Client {
    env: Env,
    stream: Box<dyn Stream>,
    incoming: Vec<u8>,
    correlation: i32,
}

struct Answered {
    key: ApiKey,
    version: i16,
    frame: Vec<u8>,
}

impl Answered {
    fn body(&self) -> Reader<'_> {
        let mut reader = Reader::new(&self.frame);
        ResponseHeader::decode(&mut reader, self.key.header_versions(self.version).response)
            .unwrap();
        reader
    }
}

fn new_topic(name: &str, num_partitions: i32) -> CreatableTopic<'_> {
    let name = name.into();
    CreatableTopic { name, num_partitions, replication_factor: 1, ..Default::default() }
}

fn produce_request<'a>(
    (topic, index): (&'a str, i32),
    acks: i16,
    batch: &'a [u8],
) -> ProduceRequest<'a> {
    let partition =
        PartitionProduceData { index, records: Some(batch.into()), ..Default::default() };
    let partition_data = vec![partition].into();
    let topic = TopicProduceData { name: topic.into(), partition_data, ..Default::default() };
    let topic_data = vec![topic].into();
    ProduceRequest { acks, timeout_ms: 10_000, topic_data, ..Default::default() }
}

#[derive(Debug, PartialEq)]
struct Produced {
    error: i16,
    base_offset: i64,
    append_time: i64,
}

#[derive(Debug, PartialEq)]
struct Fetched {
    error: i16,
    bytes: usize,
    waited_ms: u128,
}

impl Client {
    async fn send(
        &mut self,
        key: ApiKey,
        version: i16,
        body: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
    ) {
        self.correlation += 1;
        let frame = frame(key, version, self.correlation, body);
        self.stream.write_all(Bytes::from(frame)).await.unwrap();
    }

    async fn answer(&mut self, key: ApiKey, version: i16) -> Answered {
        let mut buffer = [0; 4096];
        loop {
            if let Some((len, rest)) = self.incoming.split_first_chunk::<4>() {
                let len = usize::try_from(u32::from_be_bytes(*len)).unwrap();
                if rest.len() >= len {
                    let frame = rest[..len].to_vec();
                    self.incoming.drain(..4 + len);
                    return Answered { key, version, frame };
                }
            }
            let count = self.stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "the node closed the connection");
            self.incoming.extend_from_slice(&buffer[..count]);
        }
    }

    async fn create(&mut self, configs: &[(&str, &str)]) {
        let config = |(name, value): &(&'static str, &'static str)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some((*value).into()),
            ..Default::default()
        };
        let configs: Vec<(&'static str, &'static str)> =
            configs.iter().map(|(n, v)| (leak(n), leak(v))).collect();
        let configs = configs.iter().map(config).collect();
        self.create_topic(CreatableTopic { configs, ..new_topic(TOPIC, 1) }).await;
    }

    /// Asks for a topic; the error code.
    async fn create_topic(&mut self, topic: CreatableTopic<'_>) -> i16 {
        let request = CreateTopicsRequest {
            topics: vec![topic].into(),
            timeout_ms: 10_000,
            ..Default::default()
        };
        self.send(ApiKey::CreateTopics, 7, |writer| request.encode(writer, 7)).await;
        let answer = self.answer(ApiKey::CreateTopics, 7).await;
        let response = CreateTopicsResponse::decode(&mut answer.body(), 7).unwrap();
        response.topics.first().unwrap().error_code
    }

    async fn delete(&mut self) {
        let request = DeleteTopicsRequest {
            topic_names: vec![TOPIC.into()].into(),
            timeout_ms: 10_000,
            ..Default::default()
        };
        self.send(ApiKey::DeleteTopics, 5, |writer| request.encode(writer, 5)).await;
        self.answer(ApiKey::DeleteTopics, 5).await;
    }

    async fn send_produce(&mut self, acks: i16, batch: &[u8]) {
        self.send_batch(&produce_request((TOPIC, 0), acks, batch)).await;
    }

    async fn send_batch(&mut self, request: &ProduceRequest<'_>) {
        self.send(ApiKey::Produce, PRODUCE, |writer| request.encode(writer, PRODUCE)).await;
    }

    async fn produce(&mut self, acks: i16, batch: &[u8]) -> Produced {
        self.produce_to((TOPIC, 0), acks, batch).await
    }

    async fn produce_to(&mut self, to: (&str, i32), acks: i16, batch: &[u8]) -> Produced {
        self.send_batch(&produce_request(to, acks, batch)).await;
        let answer = self.answer(ApiKey::Produce, PRODUCE).await;
        let response = ProduceResponse::decode(&mut answer.body(), PRODUCE).unwrap();
        let topic = response.responses.first().unwrap();
        let partition = topic.partition_responses.first().unwrap();
        Produced {
            error: partition.error_code,
            base_offset: partition.base_offset,
            append_time: partition.log_append_time_ms,
        }
    }

    async fn fetch(&mut self, offset: i64, (min, max): (i32, i32), wait_ms: i32) -> Fetched {
        let partition =
            FetchPartition { fetch_offset: offset, partition_max_bytes: max, ..Default::default() };
        let topic = FetchTopic {
            topic: TOPIC.into(),
            partitions: vec![partition].into(),
            ..Default::default()
        };
        let request = FetchRequest {
            max_wait_ms: wait_ms,
            min_bytes: min,
            max_bytes: max,
            session_epoch: -1,
            topics: vec![topic].into(),
            ..Default::default()
        };
        let asked = self.env.clock.mono();
        self.send(ApiKey::Fetch, FETCH, |writer| request.encode(writer, FETCH)).await;
        let answer = self.answer(ApiKey::Fetch, FETCH).await;
        let waited_ms = self.env.clock.mono().since(asked).as_millis();
        let response = FetchResponse::decode(&mut answer.body(), FETCH).unwrap();
        let topic = response.responses.first().unwrap();
        let partition = topic.partitions.first().unwrap();
        Fetched {
            error: partition.error_code,
            bytes: partition.records.map_or(0, |records| records.len()),
            waited_ms,
        }
    }
}

fn frame(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    body: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Vec<u8> {
    let header = RequestHeader {
        request_api_key: key.to_wire(),
        request_api_version: version,
        correlation_id,
        client_id: Some("test".into()),
        ..RequestHeader::default()
    };
    let mut frame = vec![0; 4];
    let mut writer = Writer::new(&mut frame);
    header.encode(&mut writer, key.header_versions(version).request).unwrap();
    body(&mut writer).unwrap();
    let len = u32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&len.to_be_bytes());
    frame
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn build(producer: Option<ProducerStamp>, value: &[u8]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions { producer, ..BatchOptions::default() });
    let timestamp = Timestamp::from_millis(1);
    builder.push(NewRecord { timestamp, key: None, value: Some(value), headers: &[] });
    builder.build().into_bytes()
}

fn batch(len: usize) -> Vec<u8> {
    build(None, &vec![b'x'; len])
}

fn numbered(sequence: i32) -> Vec<u8> {
    let producer = ProducerStamp {
        id: ProducerId::new(7),
        epoch: ProducerEpoch::new(0),
        base_sequence: Some(Sequence::new(sequence)),
    };
    build(Some(producer), b"value")
}

/// Kafka's error codes, as they stand in an answer.
const OK: i16 = 0;
const OFFSET_OUT_OF_RANGE: i16 = 1;
const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;

#[test]
fn a_fetch_at_the_end_of_a_segment_does_not_wait_for_what_lies_in_the_next() {
    World::new(1).live(async |life| {
        let _node = life.node(&[("internal.segment.bytes", "1000")]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        for offset in 0..4 {
            assert_eq!(client.produce(-1, &batch(400)).await.base_offset, offset);
        }
        // Two batches a segment, and 1,500 bytes are there: Kafka answers at once, too.
        let fetched = client.fetch(1, (1_400, 1 << 20), 30_000).await;
        assert_eq!((fetched.error, fetched.bytes), (OK, batch(400).len()));
        assert!(fetched.waited_ms < 1_000, "{fetched:?}");
    });
}

#[test]
fn a_fetch_does_not_wait_for_more_than_it_wants() {
    World::new(2).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        for _ in 0..4 {
            client.produce(-1, &batch(400)).await;
        }
        let fetched = client.fetch(0, (2_000, 1_000), 30_000).await;
        assert_eq!((fetched.error, fetched.bytes), (OK, 1_000));
        assert!(fetched.waited_ms < 1_000, "{fetched:?}");
    });
}

#[test]
fn a_fetch_waits_for_its_least_and_no_longer() {
    World::new(3).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.produce(-1, &batch(100)).await;
        let few = client.fetch(0, (100_000, 1 << 20), 3_000).await;
        assert_eq!((few.error, few.bytes), (OK, batch(100).len()));
        assert!((3_000..3_500).contains(&few.waited_ms), "{few:?}");
        let enough = client.fetch(0, (10, 1 << 20), 3_000).await;
        assert!(enough.waited_ms < 1_000, "{enough:?}");
        let none = client.fetch(2, (1, 1 << 20), 3_000).await;
        assert_eq!((none.error, none.bytes), (OFFSET_OUT_OF_RANGE, 0));
    });
}

#[test]
fn what_was_sent_without_acknowledgement_outlives_its_connection() {
    World::new(4).live(async |life| {
        let _node = life.node(&[("internal.segment.bytes", "1000")]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        for _ in 0..2 {
            client.produce(-1, &batch(400)).await;
        }
        // The third needs a roll, and while the disk makes it, the producer leaves.
        life.slow_disk(2_000);
        let mut leaving = life.client().await;
        leaving.send_produce(0, &batch(400)).await;
        life.pause(500).await;
        drop(leaving);
        life.pause(30_000).await;
        life.machine.disk_fault(DiskFault::Healed);
        life.slow_disk(0);
        assert_eq!(client.produce(-1, &batch(400)).await.base_offset, 3);
    });
}

#[test]
fn a_stop_leaves_all_that_was_appended_durable() {
    for seed in 0..10 {
        let mut world = World::new(50 + seed);
        world.live(async move |life| {
            let node = life.node(&[]).await;
            let mut client = life.client().await;
            client.create(&[]).await;
            life.slow_disk(100);
            // A sync of the first is under way when the second comes.
            for _ in 0..2 {
                assert_eq!(client.produce(1, &batch(400)).await.error, OK);
                life.pause(1 + seed * 3).await;
            }
            node.stop().await;
            life.slow_disk(0);
            let path = Path::new("data/t-0/leader-epoch-checkpoint");
            assert_eq!(life.env.disk.read_whole(path).await.unwrap(), b"0\n1\n0 0\n");
        });
        world.live(async |life| {
            let _node = life.node(&[]).await;
            let fetched = life.client().await.fetch(0, (1, 1 << 20), 0).await;
            assert_eq!((fetched.error, fetched.bytes), (OK, 2 * batch(400).len()));
        });
    }
}

#[test]
fn a_repeated_batch_is_answered_with_the_time_of_the_first() {
    World::new(5).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[("message.timestamp.type", "LogAppendTime")]).await;
        let first = client.produce(-1, &numbered(0)).await;
        assert!(first.append_time > 0);
        life.pause(5_000).await;
        assert_eq!(client.produce(-1, &numbered(0)).await, first);
    });
}

#[test]
fn a_producer_that_was_silent_for_a_day_is_forgotten() {
    World::new(6).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[("message.timestamp.type", "LogAppendTime")]).await;
        assert_eq!(client.produce(-1, &numbered(0)).await.error, OK);
        life.pause(23 * 3_600_000).await;
        assert_eq!(client.produce(-1, &numbered(9)).await.error, OUT_OF_ORDER_SEQUENCE_NUMBER);
        life.pause(2 * 3_600_000).await;
        assert_eq!(client.produce(-1, &numbered(9)).await.error, OK);
    });
}

#[test]
fn a_topic_that_is_named_twice_is_made_once() {
    World::new(7).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        let named = || MetadataRequestTopic { name: Some(TOPIC.into()), ..Default::default() };
        let request = MetadataRequest {
            topics: Some(vec![named(), named()].into()),
            allow_auto_topic_creation: true,
            ..Default::default()
        };
        client.send(ApiKey::Metadata, METADATA, |writer| request.encode(writer, METADATA)).await;
        let answer = client.answer(ApiKey::Metadata, METADATA).await;
        let response = MetadataResponse::decode(&mut answer.body(), METADATA).unwrap();
        assert!(response.topics.iter().all(|topic| topic.error_code == OK), "{response:?}");
    });
}

#[test]
fn a_roll_ends_before_a_namesake_takes_the_directory() {
    World::new(8).live(async |life| {
        let node = life.node(&[("internal.segment.bytes", "1000")]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        for _ in 0..2 {
            client.produce(-1, &batch(400)).await;
        }
        // The third needs a roll, whose first sync takes long; all else is quick.
        life.slow_disk(20_000);
        let mut rolling = life.client().await;
        rolling.send_produce(1, &batch(400)).await;
        life.pause(100).await;
        life.slow_disk(0);
        client.delete().await;
        client.create(&[]).await;
        assert_eq!(client.produce(-1, &batch(400)).await.base_offset, 0);
        life.pause(30_000).await;
        let files = life.env.disk.list(Path::new("data/t-0")).await.unwrap();
        let logs: Vec<_> = files.iter().filter(|file| file.name.ends_with(".log")).collect();
        assert_eq!(logs.len(), 1, "{logs:?}");
        node.stop().await;
    });
}

/// A peer that asks and asks and never reads.
struct Deaf {
    asked: Vec<u8>,
    /// The most that ever waited for it.
    waited_max: Rc<Cell<u64>>,
}

impl Stream for Deaf {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let count = self.asked.len().min(buffer.len());
        if count == 0 {
            return Poll::Pending;
        }
        buffer[..count].copy_from_slice(&self.asked[..count]);
        self.asked.drain(..count);
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, out: &mut Outbound) -> Poll<io::Result<()>> {
        self.waited_max.set(self.waited_max.get().max(out.len()));
        Poll::Pending
    }

    fn into_socket(self: Box<Self>) -> io::Result<Box<dyn Socket>> {
        unreachable!("it stays on its loop")
    }
}

#[test]
fn a_peer_that_does_not_read_is_not_answered_without_bounds() {
    World::new(9).live(async |life| {
        let node = life.node(&[("num.partitions", "100")]).await;
        let mut client = life.client().await;
        let topic = MetadataRequestTopic { name: Some(TOPIC.into()), ..Default::default() };
        let request = MetadataRequest {
            topics: Some(vec![topic].into()),
            allow_auto_topic_creation: true,
            ..Default::default()
        };
        client.send(ApiKey::Metadata, METADATA, |writer| request.encode(writer, METADATA)).await;
        let answer = client.answer(ApiKey::Metadata, METADATA).await.frame.len() as u64;
        let ask = |at| frame(ApiKey::Metadata, METADATA, at, |w| request.encode(w, METADATA));
        let asked: Vec<u8> = (0..2_000).flat_map(ask).collect();
        let waited_max = Rc::new(Cell::new(0));
        let deaf = Deaf { asked, waited_max: Rc::clone(&waited_max) };
        let listening = Listening { name: "PLAINTEXT".to_owned(), role: Role::Broker };
        let (broker, listening) = (Arc::clone(&node.broker), Arc::new(listening));
        let connection = Connection::new(broker, listening, PEER, Lane::new(), Box::new(deaf));
        life.env
            .spawn
            .spawn("deaf", Box::pin(async move { drop(connection.run(|_| false).await) }));
        life.pause(1_000).await;
        let waited_max = waited_max.get();
        assert!((256 * 1024..256 * 1024 + 2 * answer).contains(&waited_max), "{waited_max}");
    });
}

/// Looks at a partition in the very moment of being woken, as a connection on another loop may.
struct Looks {
    partition: Arc<Partition>,
    seen: AtomicI64,
}

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        let high_watermark = self.partition.bounds().high_watermark.offset;
        self.seen.store(high_watermark.get(), Ordering::Relaxed);
    }
}

#[test]
fn whoever_is_woken_finds_the_high_watermark_that_woke_it() {
    for durability in ["fsync", "page-cache"] {
        World::new(10).live(async move |life| {
            let node = life.node(&[("ottla.durability", durability)]).await;
            let mut client = life.client().await;
            client.create(&[]).await;
            let topic = node.broker.partitions.topic(TOPIC).unwrap();
            let partition = Arc::clone(topic.partition(0).unwrap());
            let looks = Arc::new(Looks { partition, seen: AtomicI64::new(-1) });
            looks.partition.park_produce(Offset::new(1), &Arc::clone(&looks).into());
            assert_eq!(client.produce(-1, &batch(10)).await.error, OK);
            assert_eq!(looks.seen.load(Ordering::Relaxed), 1, "{durability}");
        });
    }
}

#[test]
fn what_came_before_a_refused_frame_is_answered() {
    World::new(11).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        let batch = batch(10);
        let request = produce_request((TOPIC, 0), -1, &batch);
        let mut frames = frame(ApiKey::Produce, PRODUCE, 1, |w| request.encode(w, PRODUCE));
        // Ten bytes that begin with an API key nobody has.
        frames.extend_from_slice(b"\0\0\0\x0a\x7f\0\0\0\0\0\0\x02\xff\xff");
        client.stream.write_all(Bytes::from(frames)).await.unwrap();
        let answer = client.answer(ApiKey::Produce, PRODUCE).await;
        let response = ProduceResponse::decode(&mut answer.body(), PRODUCE).unwrap();
        let topic = response.responses.first().unwrap();
        assert_eq!(topic.partition_responses.first().unwrap().error_code, OK);
        assert_eq!(client.stream.read(&mut [0; 16]).await.unwrap(), 0, "closed afterwards");
    });
}

/// A peer that asks once and is gone.
struct Gone {
    asked: Vec<u8>,
}

impl Stream for Gone {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let count = self.asked.len();
        buffer[..count].copy_from_slice(&self.asked);
        self.asked.clear();
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, _: &mut Outbound) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn into_socket(self: Box<Self>) -> io::Result<Box<dyn Socket>> {
        unreachable!("it stays on its loop")
    }
}

#[test]
fn a_fetch_that_waits_does_not_keep_the_connection_of_a_peer_that_left() {
    World::new(12).live(async |life| {
        let node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        let partition =
            FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
        let topic = FetchTopic {
            topic: TOPIC.into(),
            partitions: vec![partition].into(),
            ..Default::default()
        };
        let request = FetchRequest {
            max_wait_ms: i32::MAX,
            min_bytes: i32::MAX,
            session_epoch: -1,
            topics: vec![topic].into(),
            ..Default::default()
        };
        let asked = frame(ApiKey::Fetch, FETCH, 1, |w| request.encode(w, FETCH));
        let listening = Listening { name: "PLAINTEXT".to_owned(), role: Role::Broker };
        let (broker, listening) = (Arc::clone(&node.broker), Arc::new(listening));
        let gone = Box::new(Gone { asked });
        let connection = Connection::new(broker, listening, PEER, Lane::new(), gone);
        let ended = Rc::new(Cell::new(false));
        let end = Rc::clone(&ended);
        let run = async move {
            drop(connection.run(|_| false).await);
            end.set(true);
        };
        life.env.spawn.spawn("gone", Box::pin(run));
        life.pause(1_000).await;
        assert!(ended.get(), "the fetch would have waited for 24 days");
    });
}
