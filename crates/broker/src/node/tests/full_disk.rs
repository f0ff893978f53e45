//! A disk without space: appends are refused, reads and the node go on, and so do appends when
//! space returns.

use super::*;

const KAFKA_STORAGE_ERROR: i16 = 56;

/// No reserve: an append finds out by itself that there is no space.
pub(super) const NO_RESERVE: (&str, &str) = ("ottla.log.dir.reserve.bytes", "0");

/// Longer than any pause between two looks at the disk.
const A_WHILE_MS: u64 = 10_000;

impl Life {
    pub(super) fn room(&self, room: Option<u64>) {
        self.machine.disk_fault(DiskFault::Room(room));
    }

    /// A node, a client of it, and a topic with one batch.
    async fn writes_one(&self, properties: &[(&str, &str)]) -> (Node, Client) {
        let node = self.node(properties).await;
        let mut client = self.client().await;
        client.create(&[]).await;
        assert_eq!(client.append(-1, 0).await.base_offset, 0);
        (node, client)
    }

    pub(super) fn has_not_halted(&self) {
        assert_eq!(self.machine.take_halts(), Vec::<String>::new());
    }
}

impl Client {
    /// Produces a record with the producer's number `sequence`. Of this moment: a start forgets
    /// producers that were silent for a day.
    async fn append(&mut self, acks: i16, sequence: i32) -> Produced {
        let producer = Some(ProducerStamp {
            id: ProducerId::new(7),
            epoch: ProducerEpoch::ZERO,
            base_sequence: Some(Sequence::new(sequence)),
        });
        let mut builder = BatchBuilder::new(BatchOptions { producer, ..BatchOptions::default() });
        let (timestamp, value) = (self.env.clock.wall(), Some(b"value".as_slice()));
        builder.push(NewRecord { timestamp, key: None, value, headers: &[] });
        self.produce(acks, &builder.build().into_bytes()).await
    }

    async fn create_another(&mut self) -> i16 {
        self.create_topic(new_topic("another", 1)).await
    }

    /// The batches that all together make up what a fetch from the start finds.
    async fn holds(&mut self, batches: usize) {
        let fetched = self.fetch(0, (1, 1 << 20), 0).await;
        assert_eq!((fetched.error, fetched.bytes), (OK, batches * numbered(0).len()));
    }
}

#[test]
fn appends_are_refused_while_the_reserve_is_touched_and_everything_else_goes_on() {
    World::new(20).live(async |life| {
        let reserve = ("ottla.log.dir.reserve.bytes", "100000");
        let (node, mut client) = life.writes_one(&[reserve]).await;
        life.room(Some(99_000));
        // What others take is seen within a second of an append.
        client.append(-1, 1).await;
        life.pause(2_000).await;
        for _ in 0..3 {
            let refused = client.append(-1, 2).await;
            assert_eq!((refused.error, refused.base_offset), (KAFKA_STORAGE_ERROR, -1));
        }
        client.holds(2).await;
        assert_eq!(client.create_another().await, KAFKA_STORAGE_ERROR);
        // Deleting is how space comes back, and the metadata log may use the reserve for it.
        client.delete().await;
        assert!(node.broker.partitions.topic(TOPIC).is_none(), "it was deleted");

        life.room(Some(110_000));
        life.pause(2_000).await;
        assert_eq!(client.create_another().await, KAFKA_STORAGE_ERROR, "not enough yet");
        life.room(Some(200_000));
        life.pause(2_000).await;
        assert_eq!(client.create_another().await, OK, "nobody had to be asked");
        client.create(&[]).await;
        assert_eq!(client.append(-1, 0).await.base_offset, 0);
        life.has_not_halted();
        node.stop().await;
    });
}

#[test]
fn an_append_that_finds_no_space_leaves_nothing_behind() {
    for seed in 0..20 {
        World::new(100 + seed).live(async move |life| {
            let (node, mut client) = life.writes_one(&[NO_RESERVE]).await;
            // Some of a batch has room, but not all of it.
            life.room(Some(seed));
            for acks in [1, -1] {
                assert_eq!(client.append(acks, 1).await.error, KAFKA_STORAGE_ERROR);
                client.holds(1).await;
                life.pause(A_WHILE_MS).await;
            }
            life.room(None);
            life.pause(A_WHILE_MS).await;
            for sequence in 1..4 {
                // The last look has seen room for one.
                life.pause(1_000).await;
                let produced = client.append(-1, sequence).await;
                assert_eq!((produced.error, produced.base_offset), (OK, sequence.into()));
            }
            client.holds(4).await;
            life.has_not_halted();
            node.stop().await;
        });
    }
}

#[test]
fn a_crash_beside_half_a_batch_loses_and_repeats_nothing() {
    for seed in 0..40 {
        let mut world = World::new(200 + seed);
        world.live(async move |life| {
            let (_node, mut client) = life.writes_one(&[NO_RESERVE]).await;
            assert_eq!(client.append(-1, 1).await.error, OK);
            life.room(Some(seed % 20));
            // The cut is under way, or done, or followed by another batch when the power fails.
            life.slow_disk(seed % 4 * 300);
            assert_eq!(client.append(-1, 2).await.error, KAFKA_STORAGE_ERROR);
            life.room(None);
            if seed >= 20 {
                life.pause(A_WHILE_MS).await;
                let produced = client.append(1, 2).await;
                assert_eq!((produced.error, produced.base_offset), (OK, 2));
            }
            life.machine.disk_fault(DiskFault::Healed);
        });
        world.live(async move |life| {
            let _node = life.node(&[NO_RESERVE]).await;
            let mut client = life.client().await;
            let again = client.append(-1, 2).await;
            assert_eq!((again.error, again.base_offset), (OK, 2), "seed {seed}");
            client.holds(3).await;
        });
    }
}

#[test]
fn a_stop_beside_half_a_batch_leaves_whole_ones_only() {
    World::new(21).live(async |life| {
        let (node, mut client) = life.writes_one(&[NO_RESERVE]).await;
        life.room(Some(5));
        life.slow_disk(300);
        assert_eq!(client.append(-1, 1).await.error, KAFKA_STORAGE_ERROR);
        life.room(None);
        node.stop().await;
        let path = Path::new("data/t-0/00000000000000000000.log");
        let left = life.env.disk.read_whole(path).await.unwrap();
        assert_eq!(left.len(), numbered(0).len());
        life.has_not_halted();
    });
}

#[test]
fn a_roll_that_finds_no_space_is_tried_again() {
    World::new(22).live(async |life| {
        let node = life.node(&[NO_RESERVE, ("internal.segment.bytes", "1000")]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        for offset in 0..2 {
            assert_eq!(client.produce(-1, &batch(400)).await.base_offset, offset);
        }
        life.room(Some(0));
        assert_eq!(client.produce(-1, &batch(400)).await.error, KAFKA_STORAGE_ERROR);
        life.room(None);
        life.pause(A_WHILE_MS).await;
        assert_eq!(client.produce(-1, &batch(400)).await.base_offset, 2);
        life.has_not_halted();
        node.stop().await;
    });
}

#[test]
fn the_controller_refuses_what_the_metadata_log_has_no_space_for_and_goes_on() {
    World::new(23).live(async |life| {
        let (node, mut client) = life.writes_one(&[NO_RESERVE]).await;
        life.room(Some(0));
        assert_eq!(client.create_another().await, KAFKA_STORAGE_ERROR);
        client.holds(1).await;
        life.room(None);
        assert_eq!(client.create_another().await, OK);
        assert_eq!(client.append(-1, 1).await.base_offset, 1);
        life.has_not_halted();
        node.stop().await;
    });
}

#[test]
fn topics_come_and_go_on_a_disk_that_fills_up_meanwhile() {
    for room in (0..2_000).step_by(50) {
        let mut world = World::new(300 + room);
        let made = world.live(async move |life| {
            let (node, mut client) = life.writes_one(&[NO_RESERVE]).await;
            // Its checkpoints are written, and have to forget it.
            life.pause(A_WHILE_MS).await;
            life.room(Some(room));
            let made = client.create_another().await == OK;
            client.delete().await;
            life.room(None);
            life.pause(A_WHILE_MS).await;
            client.delete().await;
            client.create(&[]).await;
            let produced = client.append(-1, 0).await;
            assert_eq!((produced.error, produced.base_offset), (OK, 0), "{room} bytes of room");
            life.has_not_halted();
            if made {
                // Whatever there was no space for has been made since.
                let topic = node.broker.partitions.topic("another").unwrap();
                assert!(topic.partition(0).is_ok(), "{room} bytes of room");
            }
            made
        });
        world.live(async move |life| {
            let node = life.node(&[NO_RESERVE]).await;
            life.client().await.holds(1).await;
            assert_eq!(node.broker.partitions.topic("another").is_some(), made, "{room}");
            life.has_not_halted();
        });
    }
}

#[test]
fn a_first_batch_that_was_refused_comes_before_the_second() {
    World::new(24).live(async |life| {
        let node = life.node(&[NO_RESERVE]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        life.room(Some(5));
        // The first is refused, and there is room again for the second, on its way already.
        assert_eq!(client.append(-1, 0).await.error, KAFKA_STORAGE_ERROR);
        life.room(None);
        life.pause(A_WHILE_MS).await;
        assert_eq!(client.append(-1, 1).await.error, KAFKA_STORAGE_ERROR);
        for sequence in 0..2 {
            let produced = client.append(-1, sequence).await;
            assert_eq!((produced.error, produced.base_offset), (OK, sequence.into()));
        }
        node.stop().await;
    });
}
