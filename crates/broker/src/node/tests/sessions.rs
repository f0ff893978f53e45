//! Fetch sessions, as their clients see them.

use ottla_wire::messages::fetch_request::ForgottenTopic;

use super::*;
use crate::connection::{Closed, Ended};

const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;
const INVALID_FETCH_SESSION_EPOCH: i16 = 71;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;

/// A fetch of some partitions of the topic.
#[derive(Clone, Copy, Debug)]
struct Ask<'a> {
    session: (i32, i32),
    /// Partition and offset.
    partitions: &'a [(i32, i64)],
    forgotten: &'a [i32],
    wait_ms: i32,
    min_bytes: i32,
    max_bytes: i32,
}

impl Default for Ask<'_> {
    fn default() -> Self {
        let (min_bytes, max_bytes) = (1, 1 << 20);
        Self { session: (0, 0), partitions: &[], forgotten: &[], wait_ms: 0, min_bytes, max_bytes }
    }
}

#[derive(Debug, PartialEq)]
struct Answer {
    error: i16,
    session: i32,
    /// Partition, error, high watermark and whether there are records.
    partitions: Vec<(i32, i16, i64, bool)>,
    waited_ms: u128,
}

impl Client {
    async fn ask(&mut self, ask: Ask<'_>) -> Answer {
        let asked = self.env.clock.mono();
        self.send_ask(ask).await;
        let answer = self.answer(ApiKey::Fetch, FETCH).await;
        let waited_ms = self.env.clock.mono().since(asked).as_millis();
        let response = FetchResponse::decode(&mut answer.body(), FETCH).unwrap();
        let mut partitions = Vec::new();
        for topic in &response.responses {
            for partition in &topic.partitions {
                partitions.push((
                    partition.partition_index,
                    partition.error_code,
                    partition.high_watermark,
                    partition.records.is_some_and(|records| !records.is_empty()),
                ));
            }
        }
        Answer { error: response.error_code, session: response.session_id, partitions, waited_ms }
    }

    async fn send_ask(&mut self, ask: Ask<'_>) {
        let partition = |(partition, fetch_offset): &(i32, i64)| FetchPartition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        };
        let topic = FetchTopic {
            topic: TOPIC.into(),
            partitions: ask.partitions.iter().map(partition).collect::<Vec<_>>().into(),
            ..Default::default()
        };
        let forgotten = ForgottenTopic {
            topic: TOPIC.into(),
            partitions: ask.forgotten.to_vec().into(),
            ..Default::default()
        };
        let request = FetchRequest {
            max_wait_ms: ask.wait_ms,
            min_bytes: ask.min_bytes,
            max_bytes: ask.max_bytes,
            session_id: ask.session.0,
            session_epoch: ask.session.1,
            topics: vec![topic].into(),
            forgotten_topics_data: vec![forgotten].into(),
            ..Default::default()
        };
        self.send(ApiKey::Fetch, FETCH, |writer| request.encode(writer, FETCH)).await;
    }

    async fn append_to(&mut self, partition: i32) {
        assert_eq!(self.produce_to((TOPIC, partition), -1, &batch(100)).await.error, OK);
    }
}

async fn start(life: &Life, partitions: &str) -> (Node, Client) {
    let node = life.node(&[("num.partitions", partitions)]).await;
    let mut client = life.client().await;
    let topic = MetadataRequestTopic { name: Some(TOPIC.into()), ..Default::default() };
    let request = MetadataRequest {
        topics: Some(vec![topic].into()),
        allow_auto_topic_creation: true,
        ..Default::default()
    };
    client.send(ApiKey::Metadata, METADATA, |writer| request.encode(writer, METADATA)).await;
    client.answer(ApiKey::Metadata, METADATA).await;
    (node, client)
}

#[test]
fn a_session_is_told_what_is_news_and_nothing_else() {
    World::new(30).live(async |life| {
        let (_node, mut client) = start(&life, "3").await;
        let all = [(0, 0), (1, 0), (2, 0)];
        let opened = client.ask(Ask { partitions: &all, ..Ask::default() }).await;
        let quiet = |partition| (partition, OK, 0, false);
        assert_eq!(opened.partitions, [quiet(0), quiet(1), quiet(2)]);
        let id = opened.session;
        assert!(id > 0);
        let mut writer = life.client().await;
        // What happens, and what the next fetch says of it.
        let none = client.ask(Ask { session: (id, 1), ..Ask::default() }).await;
        assert_eq!((none.error, none.session, none.partitions), (OK, id, vec![]));
        writer.append_to(1).await;
        let news = client.ask(Ask { session: (id, 2), ..Ask::default() }).await;
        assert_eq!(news.partitions, [(1, OK, 1, true)]);
        // Not taken yet, so it comes again.
        let again = client.ask(Ask { session: (id, 3), ..Ask::default() }).await;
        assert_eq!(again.partitions, [(1, OK, 1, true)]);
        let ask = Ask { session: (id, 4), partitions: &[(1, 1)], ..Ask::default() };
        assert_eq!(client.ask(ask).await.partitions, []);
        // Read from another offset: the high watermark is known.
        let ask = Ask { session: (id, 5), partitions: &[(1, 0)], ..Ask::default() };
        assert_eq!(client.ask(ask).await.partitions, [(1, OK, 1, true)]);
        let ask = Ask { session: (id, 6), partitions: &[(1, 7)], ..Ask::default() };
        assert_eq!(client.ask(ask).await.partitions, [(1, OFFSET_OUT_OF_RANGE, -1, false)]);
        // The error has gone: the partition is told of anew, records or not.
        let ask = Ask { session: (id, 7), partitions: &[(1, 1)], ..Ask::default() };
        assert_eq!(client.ask(ask).await.partitions, [(1, OK, 1, false)]);
        let ask = Ask { session: (id, 8), forgotten: &[1], ..Ask::default() };
        assert_eq!(client.ask(ask).await.partitions, []);
        writer.append_to(1).await;
        assert_eq!(client.ask(Ask { session: (id, 9), ..Ask::default() }).await.partitions, []);
    });
}

#[test]
fn the_partitions_of_a_session_have_their_turns() {
    World::new(31).live(async |life| {
        let (_node, mut client) = start(&life, "3").await;
        for partition in [0, 1, 2] {
            client.append_to(partition).await;
        }
        let all = [(0, 0), (1, 0), (2, 0)];
        // One batch an answer; nothing is ever taken.
        let one = Ask { partitions: &all, max_bytes: 1, ..Ask::default() };
        let opened = client.ask(one).await;
        let with_records = |answer: &Answer| -> Vec<i32> {
            let served = answer.partitions.iter().filter(|(_, _, _, records)| *records);
            served.map(|(partition, ..)| *partition).collect()
        };
        assert_eq!(with_records(&opened), [0]);
        let mut turns = Vec::new();
        for epoch in 1..=6 {
            let ask = Ask { session: (opened.session, epoch), max_bytes: 1, ..Ask::default() };
            turns.extend(with_records(&client.ask(ask).await));
        }
        assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
    });
}

#[test]
fn a_session_that_waits_is_woken_by_any_of_its_partitions() {
    for (min_bytes, appends) in [(1, 1), (150, 1), (400, 3)] {
        World::new(32).live(async move |life| {
            let (_node, mut client) = start(&life, "3").await;
            let all = [(0, 0), (1, 0), (2, 0)];
            let id = client.ask(Ask { partitions: &all, ..Ask::default() }).await.session;
            for epoch in [1, 2] {
                let (mut writer, clock) = (life.client().await, Arc::clone(&life.env.clock));
                let writing = async move {
                    for _ in 0..appends {
                        clock.sleep(Duration::from_millis(1_000)).await;
                        writer.append_to(2).await;
                    }
                };
                life.env.spawn.spawn("writer", Box::pin(writing));
                let at = if epoch == 1 { 0 } else { i64::from(appends) };
                let partitions = &[(2, at)];
                let wait_ms = 30_000;
                let session = (id, epoch);
                let ask = Ask { session, partitions, wait_ms, min_bytes, ..Ask::default() };
                let answer = client.ask(ask).await;
                let expected = 1_000 * u128::try_from(appends).unwrap();
                let range = expected..expected + 500;
                assert!(range.contains(&answer.waited_ms), "{min_bytes} bytes: {answer:?}");
                let hw = at + i64::from(appends);
                assert_eq!(answer.partitions, [(2, OK, hw, true)]);
            }
        });
    }
}

#[test]
fn a_session_goes_on_over_another_connection() {
    World::new(33).live(async |life| {
        let (_node, mut client) = start(&life, "2").await;
        let all = [(0, 0), (1, 0)];
        let id = client.ask(Ask { partitions: &all, ..Ask::default() }).await.session;
        client.ask(Ask { session: (id, 1), ..Ask::default() }).await;
        // It waits, and is given up.
        client.send_ask(Ask { session: (id, 2), wait_ms: 5_000, ..Ask::default() }).await;
        life.pause(100).await;
        let mut other = life.client().await;
        other.append_to(0).await;
        let answer = other.ask(Ask { session: (id, 3), ..Ask::default() }).await;
        assert_eq!((answer.error, answer.session), (OK, id));
        // The one that was given up may have been answered first.
        let old = client.answer(ApiKey::Fetch, FETCH).await;
        let response = FetchResponse::decode(&mut old.body(), FETCH).unwrap();
        assert!([OK, INVALID_FETCH_SESSION_EPOCH].contains(&response.error_code));
        let repeated = other.ask(Ask { session: (id, 3), ..Ask::default() }).await;
        assert_eq!((repeated.error, repeated.session), (INVALID_FETCH_SESSION_EPOCH, 0));
        let closed = other.ask(Ask { session: (id, -1), ..Ask::default() }).await;
        assert_eq!((closed.error, closed.session), (OK, 0));
        let gone = other.ask(Ask { session: (id, 4), ..Ask::default() }).await;
        assert_eq!((gone.error, gone.session), (FETCH_SESSION_ID_NOT_FOUND, 0));
    });
}

#[test]
fn a_fetch_that_was_given_up_tells_nothing() {
    World::new(34).live(async |life| {
        let (_node, mut client) = start(&life, "1").await;
        let id = client.ask(Ask { partitions: &[(0, 0)], ..Ask::default() }).await.session;
        client.send_ask(Ask { session: (id, 1), wait_ms: 2_000, ..Ask::default() }).await;
        life.pause(100).await;
        let mut other = life.client().await;
        other.ask(Ask { session: (id, 2), ..Ask::default() }).await;
        let old = client.answer(ApiKey::Fetch, FETCH).await;
        let response = FetchResponse::decode(&mut old.body(), FETCH).unwrap();
        assert_eq!(response.error_code, INVALID_FETCH_SESSION_EPOCH);
        other.append_to(0).await;
        let news = other.ask(Ask { session: (id, 3), ..Ask::default() }).await;
        assert_eq!(news.partitions, [(0, OK, 1, true)]);
    });
}

#[test]
fn a_session_follows_a_topic_that_is_made_again() {
    World::new(35).live(async |life| {
        let (_node, mut client) = start(&life, "1").await;
        client.append_to(0).await;
        let id = client.ask(Ask { partitions: &[(0, 1)], ..Ask::default() }).await.session;
        client.ask(Ask { session: (id, 1), ..Ask::default() }).await;
        client.delete().await;
        let gone = client.ask(Ask { session: (id, 2), ..Ask::default() }).await;
        assert_eq!(gone.partitions, [(0, UNKNOWN_TOPIC_OR_PARTITION, -1, false)]);
        client.create(&[]).await;
        let ask = Ask { session: (id, 3), partitions: &[(0, 0)], ..Ask::default() };
        assert_eq!(client.ask(ask).await.partitions, [(0, OK, 0, false)]);
        client.append_to(0).await;
        let news = client.ask(Ask { session: (id, 4), ..Ask::default() }).await;
        assert_eq!(news.partitions, [(0, OK, 1, true)]);
    });
}

#[test]
fn without_room_for_sessions_there_are_none() {
    World::new(36).live(async |life| {
        let slots = ("max.incremental.fetch.session.cache.slots", "0");
        let _node = life.node(&[slots]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        let answer = client.ask(Ask { partitions: &[(0, 0)], ..Ask::default() }).await;
        assert_eq!((answer.error, answer.session), (OK, 0));
    });
}

#[test]
fn a_session_without_partitions_ends() {
    World::new(37).live(async |life| {
        let (_node, mut client) = start(&life, "1").await;
        let id = client.ask(Ask { partitions: &[(0, 0)], ..Ask::default() }).await.session;
        let ask = Ask { session: (id, 1), forgotten: &[0], wait_ms: 5_000, ..Ask::default() };
        let last = client.ask(ask).await;
        assert_eq!((last.error, last.session), (OK, 0));
        assert!(last.waited_ms < 1_000, "{last:?}");
        let gone = client.ask(Ask { session: (id, 2), ..Ask::default() }).await;
        assert_eq!(gone.error, FETCH_SESSION_ID_NOT_FOUND);
    });
}

#[test]
fn a_session_hears_of_deleted_records() {
    World::new(38).live(async |life| {
        let (_node, mut client) = start(&life, "1").await;
        for _ in 0..3 {
            client.append_to(0).await;
        }
        let id = client.ask(Ask { partitions: &[(0, 3)], ..Ask::default() }).await.session;
        let none = client.ask(Ask { session: (id, 1), ..Ask::default() }).await;
        assert_eq!(none.partitions, []);
        assert_eq!(client.delete_records(TOPIC, 2).await, (OK, 2));
        let news = client.ask(Ask { session: (id, 2), ..Ask::default() }).await;
        assert_eq!(news.partitions, [(0, OK, 3, false)]);
        let ask = Ask { session: (id, 3), partitions: &[(0, 1)], ..Ask::default() };
        assert_eq!(client.ask(ask).await.partitions, [(0, OFFSET_OUT_OF_RANGE, -1, false)]);
    });
}

#[test]
fn a_fetch_that_names_too_many_partitions_is_refused() {
    World::new(68).live(async |life| {
        let node = life.node(&[]).await;
        for (named, refused) in [(200_000, false), (200_001, true)] {
            let partition = FetchPartition { partition_max_bytes: 1, ..FetchPartition::default() };
            let topic = FetchTopic {
                topic: TOPIC.into(),
                partitions: vec![partition; named].into(),
                ..Default::default()
            };
            let request = FetchRequest { topics: vec![topic].into(), ..Default::default() };
            let asked = frame(ApiKey::Fetch, FETCH, 1, |w| request.encode(w, FETCH));
            let deaf = Deaf { asked, waited_max: Rc::new(Cell::new(0)) };
            let listening = Listening { name: "PLAINTEXT".to_owned(), role: Role::Broker };
            let (broker, listening) = (Arc::clone(&node.broker), Arc::new(listening));
            let connection = Connection::new(broker, listening, PEER, Lane::new(), Box::new(deaf));
            let ended = Rc::new(Cell::new(false));
            let end = Rc::clone(&ended);
            let run = async move {
                let closed = connection.run(|_| false).await;
                end.set(matches!(closed, Ended::Closed(Closed::Refused(_))));
            };
            life.env.spawn.spawn("greedy", Box::pin(run));
            life.pause(1_000).await;
            assert_eq!(ended.get(), refused, "{named} partitions");
        }
    });
}
