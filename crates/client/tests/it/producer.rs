//! Writing.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_client::{
    Acks, Client, Compression, ConsumerRecord, NewTopic, OffsetReset, OffsetSpec, Partitioner,
    PouredRecord, ProduceError, Record, partition,
};
use ottla_env::Env;
use ottla_types::{PartitionId, TopicName};
use ottla_wire::ErrorCode;

use crate::node::with_node;

/// Everything in a topic, by partition, as texts.
async fn read_all(
    client: &Client,
    topic: &str,
    partitions: i32,
    count: usize,
) -> BTreeMap<i32, Vec<String>> {
    let all = (0..partitions).map(|at| partition(topic, at).unwrap());
    let mut consumer = client.consumer().offset_reset(OffsetReset::Earliest).assign(all).unwrap();
    let mut read = Vec::new();
    while read.len() < count {
        read.extend(consumer.poll(Duration::from_secs(20)).await.unwrap());
    }
    read.extend(consumer.poll(Duration::from_secs(1)).await.unwrap());
    assert_eq!(read.len(), count, "nothing is there twice");
    let mut texts: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for ConsumerRecord { partition, value, .. } in read {
        let text = String::from_utf8(value.unwrap().into()).unwrap();
        texts.entry(partition.partition.get()).or_default().push(text);
    }
    texts
}

#[test]
fn every_codec_brings_what_was_sent() {
    with_node(1, async |_, _, client| {
        client.admin().create_topic(NewTopic::new("t").partitions(1)).await.unwrap();
        for compression in Compression::ALL {
            let producer = client.producer().compression(compression).build();
            let record = Record::to("t").key("k").value(compression.name()).header("h", "v");
            let delivered = producer.send(record).await.unwrap().await.unwrap();
            assert!(delivered.offset.is_some());
        }
        let names = Compression::ALL.map(|each| each.name().to_owned()).to_vec();
        assert_eq!(read_all(&client, "t", 1, 5).await, BTreeMap::from([(0, names)]));
    });
}

/// Many records, a node that dies again and again, and connections that break.
async fn write_through_trouble(env: Env, machine: crate::node::Machine, client: Client) {
    client.admin().create_topic(NewTopic::new("t").partitions(2)).await.unwrap();
    let writing = client.clone();
    let (to, written) = ottla_env::reply();
    let clock = std::sync::Arc::clone(&env.clock);
    env.spawn.spawn(
        "writer",
        Box::pin(async move {
            let producer = writing.producer().linger(Duration::from_millis(1)).build();
            let mut deliveries = Vec::new();
            for number in 0..400 {
                let to = PartitionId::new(number % 2);
                let record = Record::to("t").partition(to).value(number.to_string());
                deliveries.push(producer.send(record).await.unwrap());
                if number % 5 == 0 {
                    clock.sleep(Duration::from_millis(20)).await;
                }
            }
            for delivery in deliveries {
                delivery.await.unwrap();
            }
            to.send(());
        }),
    );
    for _ in 0..3 {
        env.clock.sleep(Duration::from_millis(400)).await;
        machine.restart(&env, Duration::from_millis(100)).await;
    }
    written.await.unwrap();
    let texts = read_all(&client, "t", 2, 400).await;
    for (at, texts) in texts {
        let expected: Vec<String> =
            (0..400).filter(|n| n % 2 == at).map(|n| n.to_string()).collect();
        assert_eq!(texts, expected, "once, and in order");
    }
}

#[test]
fn records_are_written_once_and_in_order_whatever_happens_to_the_node() {
    for seed in 0..8 {
        with_node(seed, write_through_trouble);
    }
}

#[test]
fn a_record_too_large_for_the_topic_fails_and_those_behind_it_are_written() {
    with_node(4, async |_, _, client| {
        let small = NewTopic::new("t").partitions(1).config("max.message.bytes", "1000");
        client.admin().create_topic(small).await.unwrap();
        let producer = client.producer().linger(Duration::ZERO).build();
        let first = producer.send(Record::to("t").value("first")).await.unwrap().await;
        first.unwrap();
        let large = producer.send(Record::to("t").value(vec![7; 20_000])).await.unwrap();
        let behind = producer.send(Record::to("t").value("behind")).await.unwrap();
        let error = large.await.unwrap_err();
        let ProduceError::Refused { source, .. } = error else { panic!("{error}") };
        assert!(source.is(ErrorCode::MessageTooLarge));
        behind.await.unwrap();
        let texts = ["first", "behind"].map(str::to_owned).to_vec();
        assert_eq!(read_all(&client, "t", 1, 2).await, BTreeMap::from([(0, texts)]));
    });
}

#[test]
fn weaker_promises_are_kept_too() {
    with_node(5, async |_, _, client| {
        client.admin().create_topic(NewTopic::new("t").partitions(3)).await.unwrap();
        for acks in [Acks::Leader, Acks::None] {
            let producer =
                client.producer().acks(acks).partitioner(Partitioner::RoundRobin).build();
            for number in 0..6 {
                let delivery = producer.send(Record::to("t").value(number.to_string())).await;
                let delivered = delivery.unwrap().await.unwrap();
                assert_eq!(delivered.offset.is_some(), acks == Acks::Leader);
            }
        }
        let texts = read_all(&client, "t", 3, 12).await;
        assert!(texts.values().all(|texts| texts.len() == 4), "{texts:?}");
    });
}

#[test]
fn what_cannot_be_delivered_in_time_is_said_to_be_so() {
    with_node(6, async |env, machine, client| {
        client.admin().create_topic(NewTopic::new("t").partitions(1)).await.unwrap();
        let within = Duration::from_secs(3);
        let producer = client.producer().delivery_timeout(within).build();
        producer.send(Record::to("t").value("x")).await.unwrap().await.unwrap();
        machine.host.end(ottla_sim::Death::Kill);
        let sent = producer.send(Record::to("t").value("y")).await.unwrap();
        let error = sent.await.unwrap_err();
        assert!(matches!(error, ProduceError::TimedOut { .. }), "{error}");
        machine.start(&env).await;
        producer.send(Record::to("t").value("z")).await.unwrap().await.unwrap();
    });
}

#[test]
fn what_is_poured_is_written_once_and_counted() {
    with_node(41, async |env, machine, client| {
        client.admin().create_topic(NewTopic::new("t").partitions(8)).await.unwrap();
        // Less memory than one open batch for each partition takes.
        let producer = client.producer().batch_bytes(10_000).buffer_bytes(30_000).build();
        let topic = TopicName::parse("t").unwrap();
        let mut pour = producer.pour(&topic).await.unwrap();
        for number in 0..5_000_u32 {
            let key = number.to_string();
            let record = PouredRecord {
                partition: None,
                timestamp: None,
                key: (number % 2 == 0).then_some(key.as_bytes()),
                value: Some(&[7; 100]),
                headers: &[("n", Some(b"1"))],
            };
            pour.push(record).await.unwrap();
            if number == 2_500 {
                machine.restart(&env, Duration::from_millis(300)).await;
            }
        }
        let nowhere = PouredRecord {
            partition: Some(PartitionId::new(8)),
            timestamp: None,
            key: None,
            value: None,
            headers: &[],
        };
        let refused = pour.push(nowhere).await.unwrap_err();
        assert!(matches!(refused, ProduceError::NoPartition { count: 8, .. }), "{refused}");
        let poured = pour.finish().await;
        assert_eq!((poured.delivered, poured.failed, poured.error), (5_000, 0, None));
        assert!(poured.first.is_some());
        let partitions: Vec<_> = (0..8).map(|at| partition("t", at).unwrap()).collect();
        let ends = client.admin().list_offsets(&partitions, OffsetSpec::Latest).await.unwrap();
        assert!(ends.values().all(|end| end.offset.get() > 0), "every partition has some");
        assert_eq!(ends.values().map(|end| end.offset.get()).sum::<i64>(), 5_000);
    });
}

#[test]
fn what_is_poured_and_refused_is_counted() {
    with_node(42, async |_, _, client| {
        let small = NewTopic::new("t").partitions(1).config("max.message.bytes", "1000");
        client.admin().create_topic(small).await.unwrap();
        let producer = client.producer().batch_bytes(2_000).build();
        let topic = TopicName::parse("t").unwrap();
        let mut pour = producer.pour(&topic).await.unwrap();
        for value in [&[1; 10][..], &[2; 1_900], &[3; 1_900]] {
            let (key, partition, timestamp) = (None, None, None);
            let value = Some(value);
            let record = PouredRecord { partition, timestamp, key, value, headers: &[] };
            pour.push(record).await.unwrap();
            pour.hand_over_all().await;
        }
        let poured = pour.finish().await;
        assert_eq!((poured.delivered, poured.failed), (1, 2), "{poured:?}");
        assert!(matches!(poured.error, Some(ProduceError::Refused { .. })), "{poured:?}");
    });
}
