//! Small batches that come together are appended together, and nobody can tell.

use super::*;

/// Segments so small that a few requests fill one.
const SMALL_SEGMENTS: (&str, &str) = ("internal.segment.bytes", "6000");

/// As [`numbered`], with a value of so many bytes.
fn numbered_of(sequence: i32, len: usize) -> Vec<u8> {
    let producer = ProducerStamp {
        id: ProducerId::new(7),
        epoch: ProducerEpoch::new(0),
        base_sequence: Some(Sequence::new(sequence)),
    };
    build(Some(producer), &vec![b'x'; len])
}

#[test]
fn requests_of_a_connection_keep_their_order_whichever_way_they_go() {
    for (seed, durability) in [(1_201, "fsync"), (1_202, "page-cache")] {
        for acks in [1, -1] {
            World::new(seed).live(async move |life| {
                let node = life.node(&[("ottla.durability", durability)]).await;
                let mut client = life.client().await;
                client.create(&[SMALL_SEGMENTS]).await;
                // Small ones are gathered, large ones are not; a sequence that passes another one
                // is refused.
                let sizes = [100, 100, 3_000, 100, 2_500, 2_500, 100, 100, 100, 100];
                for n in 0..60 {
                    let len = sizes[usize::try_from(n).unwrap() % sizes.len()];
                    client.send_produce(acks, &numbered_of(n, len)).await;
                }
                for n in 0..60 {
                    assert_eq!(client.produced(n + 2).await, (0, i64::from(n)), "acks={acks}");
                }
                // A request of another kind waits for what is gathered in front of it.
                client.send_produce(acks, &numbered_of(60, 10)).await;
                client.send_fetch(60).await;
                assert_eq!(client.produced(62).await, (0, 60));
                // What is appended is visible once it is committed.
                let sees = client.fetched_bytes().await > 0;
                assert!(sees || (acks, durability) == (1, "fsync"), "acks={acks}, {durability}");
                node.stop().await;
            });
        }
    }
}

impl Client {
    async fn send_fetch(&mut self, offset: i64) {
        let partition = FetchPartition {
            fetch_offset: offset,
            partition_max_bytes: 1_000_000,
            ..Default::default()
        };
        let topic = FetchTopic {
            topic: TOPIC.into(),
            partitions: vec![partition].into(),
            ..Default::default()
        };
        let request = FetchRequest {
            max_bytes: 1_000_000,
            session_epoch: -1,
            topics: vec![topic].into(),
            ..Default::default()
        };
        self.send(ApiKey::Fetch, FETCH, |writer| request.encode(writer, FETCH)).await;
    }

    async fn fetched_bytes(&mut self) -> usize {
        let answer = self.answer(ApiKey::Fetch, FETCH).await;
        let response = FetchResponse::decode(&mut answer.body(), FETCH).unwrap();
        let topic = response.responses.first().unwrap();
        topic.partitions.first().unwrap().records.map_or(0, |records| records.len())
    }

    /// Error and offset of the next answer, which is that to the request of this number.
    async fn produced(&mut self, correlation: i32) -> (i16, i64) {
        let answer = self.answer(ApiKey::Produce, PRODUCE).await;
        assert_eq!(answer.frame[..4], correlation.to_be_bytes());
        let response = ProduceResponse::decode(&mut answer.body(), PRODUCE).unwrap();
        let topic = response.responses.first().unwrap();
        let partition = topic.partition_responses.first().unwrap();
        (partition.error_code, partition.base_offset)
    }
}

#[test]
fn batches_of_many_connections_get_offsets_of_their_own_across_rolls() {
    World::new(1_203).live(async |life| {
        let node = life.node(&[]).await;
        let mut first = life.client().await;
        first.create(&[SMALL_SEGMENTS]).await;
        let mut clients = vec![first];
        for _ in 1..7 {
            clients.push(life.client().await);
        }
        let mut offsets = Vec::new();
        for _ in 0..20 {
            for client in &mut clients {
                for _ in 0..5 {
                    client.send_produce(-1, &batch(200)).await;
                }
            }
            for client in &mut clients {
                let mut last = -1;
                let first = client.correlation - 4;
                for n in 0..5 {
                    let (error, offset) = client.produced(first + n).await;
                    assert_eq!(error, 0);
                    assert!(offset > last, "in the order in which they were sent");
                    last = offset;
                    offsets.push(offset);
                }
            }
        }
        offsets.sort_unstable();
        assert_eq!(offsets, (0..700).collect::<Vec<_>>());
        node.stop().await;
    });
}

#[test]
fn what_a_client_sent_before_it_closed_is_appended() {
    World::new(1_204).live(async |life| {
        let node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        for n in 0..10 {
            let mut leaving = life.client().await;
            leaving.send_produce(1, &numbered(n)).await;
            // It cannot be read, and ends the connection behind what is in front of it.
            leaving.stream.write_all(Bytes::from_static(&[0, 0, 0, 2, 0x7f, 0xff])).await.unwrap();
            // Gone only once that has arrived.
            life.pause(100).await;
        }
        assert_eq!(client.produce(1, &numbered(10)).await.base_offset, 10);
        node.stop().await;
    });
}

#[test]
fn batches_that_were_gathered_are_refused_one_by_one() {
    World::new(1_205).live(async |life| {
        let node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        let sent = [numbered(0), numbered(1), numbered(1), numbered(5), numbered(2), batch(10)];
        for batch in &sent {
            client.send_produce(-1, batch).await;
        }
        const OUT_OF_ORDER: i16 = 45;
        let told = [(0, 0), (0, 1), (0, 1), (OUT_OF_ORDER, -1), (0, 2), (0, 3)];
        for (n, told) in (2..).zip(told) {
            assert_eq!(client.produced(n).await, told);
        }
        node.stop().await;
    });
}

#[test]
fn a_topic_that_is_deleted_while_batches_wait_for_it_has_them_refused() {
    World::new(1_206).live(async |life| {
        let node = life.node(&[]).await;
        let (mut client, mut other) = (life.client().await, life.client().await);
        client.create(&[SMALL_SEGMENTS]).await;
        life.slow_disk(200);
        for n in 0..40 {
            client.send_produce(1, &numbered_of(n, 500)).await;
        }
        // A roll takes its time meanwhile.
        life.pause(50).await;
        other.delete().await;
        const NOT_LEADER: i16 = 6;
        const UNKNOWN_TOPIC: i16 = 3;
        let mut refused = 0;
        for n in 0..40 {
            let (error, offset) = client.produced(n + 2).await;
            refused += i32::from(error != 0);
            assert!(error == 0 || [NOT_LEADER, UNKNOWN_TOPIC].contains(&error), "{error}");
            assert_eq!(offset, if error == 0 { i64::from(n) } else { -1 });
            assert!(error != 0 || refused == 0, "none behind one that was refused");
        }
        assert!(refused > 0, "some waited");
        node.stop().await;
    });
}

#[test]
fn more_batches_than_may_wait_are_all_appended() {
    const PARTITIONS: i32 = 70;
    World::new(1_207).live(async |life| {
        let node = life.node(&[]).await;
        let mut clients = Vec::new();
        for _ in 0..5 {
            clients.push(life.client().await);
        }
        clients[0].create_topic(new_topic(TOPIC, PARTITIONS)).await;
        // Of each connection as many as may be under way, and a few more behind them.
        for client in &mut clients {
            for index in 0..PARTITIONS {
                client.send_batch(&produce_request((TOPIC, index), 1, &batch(20))).await;
            }
        }
        let mut ends = vec![Vec::new(); usize::try_from(PARTITIONS).unwrap()];
        for client in &mut clients {
            let first = client.correlation - PARTITIONS + 1;
            for n in 0..PARTITIONS {
                let (error, offset) = client.produced(first + n).await;
                assert_eq!(error, 0);
                ends[usize::try_from(n).unwrap()].push(offset);
            }
        }
        for mut offsets in ends {
            offsets.sort_unstable();
            assert_eq!(offsets, [0, 1, 2, 3, 4]);
        }
        node.stop().await;
    });
}
