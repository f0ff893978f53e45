//! Fetches of what is not in the page cache: the device is waited for by those who need it, and
//! never by a loop.

use ottla_env::{Mono, Part, Timer};

use super::*;

const LARGE: usize = 100_000;

#[test]
fn a_cold_fetch_waits_for_the_device_and_nobody_else_does() {
    // Who asks for nothing at least is given what there is, too.
    for (len, least) in [(100, 1), (LARGE, 1), (100, 0)] {
        World::new(40).live(async move |life| {
            let _node = life.node(&[]).await;
            let mut client = life.client().await;
            client.create(&[]).await;
            for _ in 0..3 {
                client.produce(-1, &batch(len)).await;
            }
            life.machine.disk_fault(DiskFault::ColdOneIn(1));
            life.slow_disk(1_000);
            let (clock, mut other) = (Arc::clone(&life.env.clock), life.client().await);
            let reader = async move {
                // A header, and then the records.
                let fetched = client.fetch(0, (least, 1 << 20), 0).await;
                assert_eq!((fetched.error, fetched.bytes), (OK, 3 * batch(len).len()));
                assert!((1_000..4_000).contains(&fetched.waited_ms), "{fetched:?}");
                let again = client.fetch(0, (1, 1 << 20), 0).await;
                assert!(again.waited_ms < 100, "in the cache now: {again:?}");
            };
            let (done, ended) = reply();
            life.env.spawn.spawn(
                "reader",
                Box::pin(async move {
                    reader.await;
                    done.send(());
                }),
            );
            life.pause(100).await;
            let asked = clock.mono();
            assert_eq!(other.produce(1, &batch(len)).await.base_offset, 3);
            assert!(clock.mono().since(asked) < Duration::from_millis(100));
            ended.await.unwrap();
        });
    }
}

/// A peer that asks once and takes nothing for a while.
struct Late {
    asked: Vec<u8>,
    takes_at: Mono,
    timer: Box<dyn Timer>,
    /// Bytes of files that were taken, and whether all of them were in the page cache.
    taken: Rc<Cell<(u64, bool)>>,
}

impl Stream for Late {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.asked.is_empty() {
            return Poll::Pending;
        }
        let count = self.asked.len();
        buffer[..count].copy_from_slice(&self.asked);
        self.asked.clear();
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Outbound) -> Poll<io::Result<()>> {
        self.timer.set(Some(self.takes_at));
        if self.timer.poll_expired(cx).is_pending() {
            return Poll::Pending;
        }
        let front = out.parts().next().unwrap();
        let len = front.len();
        if let Part::File { file, at, len } = front {
            let (taken, cached) = self.taken.get();
            self.taken.set((taken + len, cached && file.is_cached(*at, *len)));
        }
        out.advance(len);
        Poll::Ready(Ok(()))
    }

    fn into_socket(self: Box<Self>) -> io::Result<Box<dyn Socket>> {
        unreachable!("it stays on its loop")
    }
}

#[test]
fn what_the_cache_drops_while_a_peer_is_slow_is_read_again() {
    World::new(41).live(async |life| {
        let node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.produce(-1, &batch(LARGE)).await;
        let partition =
            FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
        let topic = FetchTopic {
            topic: TOPIC.into(),
            partitions: vec![partition].into(),
            ..Default::default()
        };
        let request = FetchRequest {
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: vec![topic].into(),
            ..Default::default()
        };
        let asked = frame(ApiKey::Fetch, FETCH, 1, |w| request.encode(w, FETCH));
        let taken = Rc::new(Cell::new((0, true)));
        let takes_at = life.env.clock.mono().after(Duration::from_secs(2));
        let timer = life.env.clock.timer();
        let late = Late { asked, takes_at, timer, taken: Rc::clone(&taken) };
        let listening = Listening { name: "PLAINTEXT".to_owned(), role: Role::Broker };
        let (broker, listening) = (Arc::clone(&node.broker), Arc::new(listening));
        let connection = Connection::new(broker, listening, PEER, Lane::new(), Box::new(late));
        life.env
            .spawn
            .spawn("late", Box::pin(async move { drop(connection.run(|_| false).await) }));
        life.pause(1_000).await;
        life.machine.disk_fault(DiskFault::ColdOneIn(1));
        life.pause(10_000).await;
        assert_eq!(taken.get(), (batch(LARGE).len() as u64, true));
    });
}

#[test]
fn a_cold_partition_does_not_keep_the_records_of_others() {
    World::new(42).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.produce(-1, &batch(LARGE)).await;
        life.machine.disk_fault(DiskFault::ColdOneIn(1));
        // What is written now is in the cache, and what lies in front of it is not.
        client.produce(-1, &batch(LARGE)).await;
        life.slow_disk(5_000);
        let at = |fetch_offset| FetchPartition {
            fetch_offset,
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        };
        let topic = FetchTopic {
            topic: TOPIC.into(),
            // The same partition twice stands for two.
            partitions: vec![at(0), at(1)].into(),
            ..Default::default()
        };
        let request = FetchRequest {
            max_wait_ms: 30_000,
            min_bytes: 1,
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: vec![topic].into(),
            ..Default::default()
        };
        let mut got = Vec::new();
        for _ in 0..3 {
            let asked = life.env.clock.mono();
            client.send(ApiKey::Fetch, FETCH, |writer| request.encode(writer, FETCH)).await;
            let answer = client.answer(ApiKey::Fetch, FETCH).await;
            let waited = life.env.clock.mono().since(asked);
            assert!(waited < Duration::from_secs(1), "{waited:?}");
            let response = FetchResponse::decode(&mut answer.body(), FETCH).unwrap();
            let topic = response.responses.first().unwrap();
            let len = |records: Option<std::borrow::Cow<'_, [u8]>>| records.map_or(0, |r| r.len());
            let lens = topic.partitions.iter().map(|partition| len(partition.records));
            got.push(lens.collect::<Vec<_>>());
            life.pause(20_000).await;
        }
        let one = batch(LARGE).len();
        // First a header is read on the side, then the records.
        assert_eq!(got, [vec![0, one], vec![0, one], vec![2 * one, one]]);
    });
}
