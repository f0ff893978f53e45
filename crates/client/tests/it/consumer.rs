//! Reading without a group.

use std::time::Duration;

use ottla_client::{ConsumeError, NewTopic, OffsetReset, OffsetSpec, Record, partition};
use ottla_types::{Offset, PartitionId};

use crate::node::with_node;

async fn write(client: &ottla_client::Client, count: u8) {
    client.admin().create_topic(NewTopic::new("t").partitions(2)).await.unwrap();
    let producer = client.producer().build();
    for number in 0..count {
        let to = PartitionId::new(i32::from(number) % 2);
        let sent = producer.send(Record::to("t").partition(to).value(vec![number])).await.unwrap();
        sent.await.unwrap();
    }
}

#[test]
fn a_consumer_seeks_pauses_and_goes_on() {
    with_node(1, async |_, _, client| {
        write(&client, 10).await;
        let both = [0, 1].map(|at| partition("t", at).unwrap());
        let mut consumer =
            client.consumer().offset_reset(OffsetReset::Earliest).assign(both.clone()).unwrap();
        let first = consumer.next().await.unwrap();
        assert_eq!(first.offset, Offset::ZERO);
        assert_eq!(consumer.position(&first.partition), Some(Offset::new(1)));

        consumer.pause(&both[0]).unwrap();
        consumer.seek(&both[1], Offset::new(3)).unwrap();
        let offsets: Vec<_> = [consumer.next().await.unwrap(), consumer.next().await.unwrap()]
            .map(|it| it.offset)
            .into();
        assert_eq!(offsets, [Offset::new(3), Offset::new(4)]);
        assert!(consumer.poll(Duration::from_secs(1)).await.unwrap().is_empty(), "paused");
        consumer.resume(&both[0]).unwrap();
        assert_eq!(consumer.next().await.unwrap().partition, both[0]);

        consumer.seek_to(&both[0], OffsetSpec::Latest).await.unwrap();
        assert_eq!(consumer.position(&both[0]), Some(Offset::new(5)));
        let other = partition("t", 7).unwrap();
        let error = consumer.seek(&other, Offset::ZERO).unwrap_err();
        assert_eq!(error, ConsumeError::NotAssigned { partition: other });
    });
}

#[test]
fn a_position_that_is_gone_is_reset() {
    with_node(2, async |_, _, client| {
        write(&client, 10).await;
        let one = partition("t", 0).unwrap();
        client.admin().delete_records(&one, Offset::new(3)).await.unwrap();
        for (reset, expected) in [(OffsetReset::Earliest, Some(3)), (OffsetReset::Fail, None)] {
            let mut consumer = client.consumer().offset_reset(reset).assign([one.clone()]).unwrap();
            consumer.seek(&one, Offset::new(1)).unwrap();
            match (consumer.next().await, expected) {
                (Ok(record), Some(expected)) => assert_eq!(record.offset, Offset::new(expected)),
                (Err(error), None) => {
                    assert_eq!(error, ConsumeError::NoOffset { partition: one.clone() });
                }
                (other, _) => panic!("{other:?} with {reset:?}"),
            }
        }
    });
}

#[test]
fn reading_goes_on_when_the_node_was_away() {
    for seed in 3..8 {
        with_node(seed, async |env, machine, client| {
            write(&client, 10).await;
            let both = [0, 1].map(|at| partition("t", at).unwrap());
            let mut consumer =
                client.consumer().offset_reset(OffsetReset::Earliest).assign(both).unwrap();
            for _ in 0..10 {
                consumer.next().await.unwrap();
            }
            machine.restart(&env, Duration::from_secs(1)).await;
            let producer = client.producer().build();
            let sent = producer.send(Record::to("t").value("new")).await.unwrap();
            sent.await.unwrap();
            assert_eq!(consumer.next().await.unwrap().value.unwrap(), "new");
        });
    }
}
