//! Peers that keep connections and memory for nothing: what each may have, and for how long.

use super::*;

const KIB: usize = 1024;

/// What `queued.max.request.bytes` is here, and the largest request.
const MEMORY: usize = 4096 * KIB;
const REQUEST: usize = 1024 * KIB;

const SMALL_MEMORY: [(&str, &str); 2] =
    [("queued.max.request.bytes", "4194304"), ("socket.request.max.bytes", "1048576")];

impl Client {
    /// Whether the node closes the connection within `seconds`, on which it says nothing more.
    async fn is_closed_within(&mut self, seconds: u64) -> bool {
        let begun = self.env.clock.mono();
        let mut timer = self.env.clock.timer();
        timer.set(Some(begun.after(Duration::from_secs(seconds))));
        let mut buffer = [0; 256];
        let stream = &mut self.stream;
        std::future::poll_fn(|cx| match stream.poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(true),
            Poll::Ready(Ok(count)) => panic!("{count} bytes came"),
            Poll::Pending => timer.poll_expired(cx).map(|()| false),
        })
        .await
    }

    async fn write(&mut self, bytes: impl Into<Bytes>) {
        self.stream.write_all(bytes.into()).await.unwrap();
    }

    /// The first request, which every client sends at once.
    async fn greet(&mut self) {
        let request = ottla_wire::messages::ApiVersionsRequest::default();
        self.send(ApiKey::ApiVersions, 0, |writer| request.encode(writer, 0)).await;
        self.answer(ApiKey::ApiVersions, 0).await;
    }
}

impl Life {
    async fn introduced(&self) -> Client {
        let mut client = self.client().await;
        client.greet().await;
        client
    }
}

/// The beginning of a frame: its length, and so much of it.
fn half(announced: usize, come: usize) -> Vec<u8> {
    let mut frame = u32::try_from(announced).unwrap().to_be_bytes().to_vec();
    frame.resize(4 + come, 0);
    frame
}

#[test]
fn whoever_says_nothing_is_closed_after_ten_seconds() {
    World::new(401).live(async |life| {
        let _node = life.node(&[]).await;
        let mut silent = life.client().await;
        let mut begins = life.client().await;
        begins.write(half(100, 3)).await;
        let mut healthy = life.introduced().await;
        assert!(!silent.is_closed_within(9).await);
        assert!(silent.is_closed_within(2).await);
        assert!(begins.is_closed_within(2).await);
        assert!(!healthy.is_closed_within(60).await);
    });
}

#[test]
fn a_request_that_comes_byte_by_byte_is_not_awaited_for_ever() {
    World::new(402).live(async |life| {
        let _node = life.node(&[]).await;
        let mut slow = life.introduced().await;
        slow.write(half(1_000, 0)).await;
        for second in 0..50 {
            assert!(!slow.is_closed_within(1).await, "{second}");
            slow.write(vec![0]).await;
        }
        assert!(slow.is_closed_within(30).await);
    });
}

#[test]
fn a_large_request_on_a_slow_line_has_its_time() {
    World::new(403).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        // 40 KiB a second, for two minutes.
        let mut frame = produce_frame(&batch(120 * 40 * KIB));
        while !frame.is_empty() {
            let piece: Vec<u8> = frame.drain(..frame.len().min(40 * KIB)).collect();
            client.write(piece).await;
            life.pause(1_000).await;
        }
        let answer = client.answer(ApiKey::Produce, PRODUCE).await;
        let response = ProduceResponse::decode(&mut answer.body(), PRODUCE).unwrap();
        let code = response.responses.first().unwrap().partition_responses.first().unwrap();
        // It is larger than a topic takes, which is another matter.
        assert_eq!(code.error_code, 10);
    });
}

fn produce_frame(batch: &[u8]) -> Vec<u8> {
    let request = produce_request((TOPIC, 0), -1, batch);
    frame(ApiKey::Produce, PRODUCE, 1, |writer| request.encode(writer, PRODUCE))
}

#[test]
fn a_connection_is_closed_once_nothing_has_come_or_gone_for_long() {
    World::new(404).live(async |life| {
        let _node = life.node(&[("connections.max.idle.ms", "60000")]).await;
        let mut client = life.introduced().await;
        for _ in 0..3 {
            assert!(!client.is_closed_within(59).await);
            client.greet().await;
        }
        assert!(client.is_closed_within(61).await);
    });
    World::new(404).live(async |life| {
        let _node = life.node(&[("connections.max.idle.ms", "-1")]).await;
        assert!(!life.introduced().await.is_closed_within(100_000).await);
    });
}

#[test]
fn half_requests_hold_no_more_memory_than_there_is_for_all() {
    World::new(405).live(async |life| {
        let node = life.node(&SMALL_MEMORY).await;
        let mut healthy = life.client().await;
        healthy.create(&[]).await;
        let mut halves = Vec::new();
        for _ in 0..30 {
            let mut client = life.introduced().await;
            // What no window holds waits in the kernel, and its sender with it.
            let frame = half(REQUEST - 10, 800 * KIB);
            let write = async move {
                let wrote = client.stream.write_all(Bytes::from(frame)).await;
                wrote.map(|()| client)
            };
            halves.push(spawned(&life, write));
        }
        life.pause(1_000).await;
        let held = || usize::try_from(node.broker.request_memory.held()).unwrap();
        // Where nobody else could go on, one goes on all the same.
        assert!((3 * REQUEST..=MEMORY + REQUEST).contains(&held()), "{}", held());
        // What is small needs none of it, and what is large its turn, once those who took all of it
        // have been given up.
        let begun = life.env.clock.mono();
        assert_eq!(healthy.produce(-1, &batch(1_000)).await.error, OK);
        assert!(life.env.clock.mono().since(begun) < Duration::from_secs(1));
        assert_eq!(healthy.produce(-1, &batch(900 * KIB)).await.error, OK);
        let waited = life.env.clock.mono().since(begun);
        assert!(waited < Duration::from_secs(120), "{waited:?}");
        life.pause(180_000).await;
        assert_eq!(held(), 0, "all have been given up");
        drop(halves);
    });
}

/// Runs a task beside the others; what it comes to is dropped with the last of its handles.
fn spawned<T: 'static>(
    life: &Life,
    task: impl Future<Output = T> + 'static,
) -> Rc<Cell<Option<T>>> {
    let result = Rc::new(Cell::new(None));
    let to = Rc::clone(&result);
    life.env.spawn.spawn("peer", Box::pin(async move { to.set(Some(task.await)) }));
    result
}

#[test]
fn requests_behind_one_that_waits_count_and_do_not_stay() {
    World::new(406).live(async |life| {
        let node = life.node(&SMALL_MEMORY).await;
        let mut healthy = life.client().await;
        healthy.create(&[]).await;
        let mut hoarders = Vec::new();
        for _ in 0..40 {
            let mut client = life.introduced().await;
            let mut frames = fetch_frame(i32::MAX);
            frames.extend(fetch_frame(0).repeat(900 * KIB / fetch_frame(0).len()));
            let write =
                async move { client.stream.write_all(Bytes::from(frames)).await.map(|()| client) };
            hoarders.push(spawned(&life, write));
        }
        life.pause(1_000).await;
        let held = usize::try_from(node.broker.request_memory.held()).unwrap();
        assert!((MEMORY / 2..MEMORY + REQUEST).contains(&held), "{held}");
        let begun = life.env.clock.mono();
        assert_eq!(healthy.produce(-1, &batch(1_000)).await.error, OK);
        assert!(life.env.clock.mono().since(begun) < Duration::from_secs(1));
        life.pause(30_000).await;
        let held = usize::try_from(node.broker.request_memory.held()).unwrap();
        assert!(held <= MEMORY, "{held}");
        drop(hoarders);
    });
}

fn fetch_frame(max_wait_ms: i32) -> Vec<u8> {
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let topic = FetchTopic {
        topic: TOPIC.into(),
        partitions: vec![partition].into(),
        ..Default::default()
    };
    let request = FetchRequest {
        max_wait_ms,
        min_bytes: i32::MAX,
        session_epoch: -1,
        topics: vec![topic].into(),
        ..Default::default()
    };
    frame(ApiKey::Fetch, FETCH, 1, |writer| request.encode(writer, FETCH))
}

#[test]
fn peers_that_take_no_answers_are_given_up_where_memory_is_short() {
    World::new(407).live(async |life| {
        let few =
            [("queued.max.request.bytes", "1048576"), ("socket.request.max.bytes", "1048576")];
        let node = life.node(&[&few[..], &[("num.partitions", "100")]].concat()).await;
        let mut healthy = life.client().await;
        healthy.create(&[]).await;
        let topic = MetadataRequestTopic { name: Some(TOPIC.into()), ..Default::default() };
        let topics = Some(vec![topic].into());
        let request = MetadataRequest { topics, ..Default::default() };
        let ask = |at| frame(ApiKey::Metadata, METADATA, at, |w| request.encode(w, METADATA));
        let asked: Vec<u8> = (0..4_000).flat_map(ask).collect();
        for _ in 0..10 {
            let waited_max = Rc::default();
            let deaf = Box::new(Deaf { asked: asked.clone(), waited_max });
            let listening = Listening { name: "PLAINTEXT".to_owned(), role: Role::Broker };
            let (broker, listening) = (Arc::clone(&node.broker), Arc::new(listening));
            let connection = Connection::new(broker, listening, PEER, Lane::new(), deaf);
            life.env
                .spawn
                .spawn("deaf", Box::pin(async move { drop(connection.run(|_| false).await) }));
        }
        life.pause(100).await;
        let held = || usize::try_from(node.broker.request_memory.held()).unwrap();
        // The first four take all of it, and the others one answer each.
        assert!((1024 * KIB..1536 * KIB).contains(&held()), "{}", held());
        let begun = life.env.clock.mono();
        healthy.greet().await;
        assert!(life.env.clock.mono().since(begun) < Duration::from_secs(1));
        life.pause(30_000).await;
        assert!(held() <= 1024 * KIB, "whoever remains is within bounds: {}", held());
        healthy.greet().await;
    });
}

#[test]
fn an_address_with_too_many_connections_gets_no_more() {
    World::new(408).live(async |life| {
        let _node = life.node(&[("max.connections.per.ip", "2")]).await;
        let mut first = life.introduced().await;
        let _second = life.introduced().await;
        assert!(life.client().await.is_closed_within(1).await);
        assert!(!first.is_closed_within(1).await);
        drop(first);
        life.pause(1_000).await;
        let _third = life.introduced().await;
        assert!(life.client().await.is_closed_within(1).await);
    });
    let mut world = World::new(409);
    let own = format!("{}:1", world.machine.id().ip());
    world.live(async move |life| {
        let _node = life.node(&[("max.connections.per.ip.overrides", &own)]).await;
        let _first = life.introduced().await;
        assert!(life.client().await.is_closed_within(1).await);
    });
}

#[test]
fn beyond_the_limit_of_all_a_connection_waits_for_another_to_leave() {
    World::new(410).live(async |life| {
        let _node = life.node(&[("max.connections", "2")]).await;
        let first = life.introduced().await;
        let _second = life.introduced().await;
        let mut third = life.client().await;
        let request = ottla_wire::messages::ApiVersionsRequest::default();
        third.send(ApiKey::ApiVersions, 0, |writer| request.encode(writer, 0)).await;
        assert!(!third.is_closed_within(30).await, "nor is it answered");
        drop(first);
        third.answer(ApiKey::ApiVersions, 0).await;
        // Who administers the cluster comes in by another door.
        let address = life.machine.address(9093);
        let stream = life.env.net.connect(address).await.unwrap();
        let env = life.env.clone();
        Client { env, stream, incoming: Vec::new(), correlation: 0 }.greet().await;
    });
}

#[test]
fn connections_are_made_no_faster_than_allowed() {
    World::new(411).live(async |life| {
        let _node = life.node(&[("max.connection.creation.rate", "5")]).await;
        let begun = life.env.clock.mono();
        let mut all = Vec::new();
        for _ in 0..20 {
            all.push(life.introduced().await);
        }
        let took = life.env.clock.mono().since(begun);
        assert!((Duration::from_millis(2_900)..Duration::from_secs(4)).contains(&took), "{took:?}");
    });
}

#[test]
fn a_request_beyond_the_configured_size_ends_its_connection() {
    World::new(412).live(async |life| {
        let _node = life.node(&SMALL_MEMORY).await;
        for (announced, closed) in
            [(REQUEST, false), (REQUEST + 1, true), (u32::MAX as usize, true)]
        {
            let mut client = life.introduced().await;
            client.write(half(announced, 0)).await;
            assert_eq!(client.is_closed_within(1).await, closed, "{announced}");
        }
    });
}
