//! A process that has used up its descriptors: what needs a file waits or is refused, and all else
//! goes on.

use super::*;

const KAFKA_STORAGE_ERROR: i16 = 56;
const CLEAN: &str = "data/.kafka_cleanshutdown";
const POINTS: &str = "data/recovery-point-offset-checkpoint";

/// Longer than any pause before the next try.
const A_WHILE_MS: u64 = 10_000;

impl Life {
    fn descriptors(&self, there: bool) {
        self.machine.disk_fault(DiskFault::NoDescriptors(!there));
    }

    fn has_no_halts(&self) {
        assert_eq!(self.machine.take_halts(), Vec::<String>::new());
    }
}

#[test]
fn a_log_that_finds_no_descriptor_is_opened_later() {
    World::new(71).live(async |life| {
        let node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        life.descriptors(false);
        for _ in 0..2 {
            assert_eq!(client.produce(-1, &batch(10)).await.error, KAFKA_STORAGE_ERROR);
            life.pause(A_WHILE_MS).await;
        }
        life.has_no_halts();
        life.descriptors(true);
        life.pause(A_WHILE_MS).await;
        assert_eq!(client.produce(-1, &batch(10)).await.base_offset, 0);
        node.stop().await;
    });
}

#[test]
fn a_topic_that_finds_no_descriptor_is_there_later() {
    World::new(72).live(async |life| {
        let node = life.node(&[]).await;
        let mut client = life.client().await;
        life.descriptors(false);
        client.create(&[]).await;
        life.pause(A_WHILE_MS).await;
        life.has_no_halts();
        life.descriptors(true);
        life.pause(A_WHILE_MS).await;
        assert_eq!(client.produce(-1, &batch(10)).await.base_offset, 0);
        node.stop().await;
    });
}

#[test]
fn a_checkpoint_that_finds_no_descriptor_is_written_later() {
    World::new(73).live(async |life| {
        let node = life.node(&[]).await;
        let mut client = life.client().await;
        // Old records would have the log rolled.
        client.create(&[("retention.ms", "-1")]).await;
        assert_eq!(client.produce(-1, &batch(10)).await.base_offset, 0);
        life.descriptors(false);
        life.pause(200_000).await;
        life.has_no_halts();
        life.descriptors(true);
        assert_eq!(client.produce(-1, &batch(10)).await.base_offset, 1);
        life.pause(200_000).await;
        let points = life.env.disk.read_whole(Path::new(POINTS)).await.unwrap();
        assert_eq!(String::from_utf8(points).unwrap(), "0\n1\nt 0 2\n");
        life.has_no_halts();
        node.stop().await;
    });
}

#[test]
fn what_cannot_be_opened_at_a_start_is_not_taken_for_a_stray() {
    for seed in 0..20 {
        let mut world = World::new(80 + seed);
        world.live(async |life| {
            let node = life.node(&[]).await;
            let mut client = life.client().await;
            client.create(&[]).await;
            assert_eq!(client.produce(-1, &batch(10)).await.base_offset, 0);
            node.stop().await;
        });
        world.live(async |life| {
            // Partitions are opened once the note of a clean stop is gone.
            let (env, machine) = (life.env.clone(), life.machine.clone());
            let watch = async move {
                while env
                    .disk
                    .list(Path::new("data"))
                    .await
                    .unwrap()
                    .iter()
                    .any(|entry| Path::new("data").join(&entry.name) == Path::new(CLEAN))
                {
                }
                machine.disk_fault(DiskFault::NoDescriptors(true));
            };
            life.env.spawn.spawn("watch", Box::pin(watch));
            let _node = life.node(&[]).await;
            life.pause(A_WHILE_MS).await;
            let listed = life.env.disk.list(Path::new("data")).await.unwrap();
            assert!(listed.iter().any(|entry| entry.name == "t-0"), "{listed:?}");
            life.has_no_halts();
            life.descriptors(true);
            life.pause(A_WHILE_MS).await;
            assert_eq!(life.client().await.produce(-1, &batch(10)).await.base_offset, 1);
        });
    }
}

const QUORUM_STATE: &str = "data/__cluster_metadata-0/quorum-state";

#[test]
fn a_stop_in_order_before_all_was_opened_proves_nothing() {
    let mut lacked = 0;
    for seed in 0..40 {
        let mut world = World::new(110 + seed);
        world.live(async |life| {
            let _killed = life.node(&[]).await;
            let mut client = life.client().await;
            client.create(&[("retention.ms", "-1")]).await;
            assert_eq!(client.produce(-1, &batch(10)).await.base_offset, 0);
            // The next one lies behind the recovery point.
            life.pause(200_000).await;
            assert_eq!(client.produce(-1, &batch(10)).await.base_offset, 1);
        });
        lacked += world.live(async |life| {
            // Partitions are opened once the quorum has a leader.
            let (env, machine) = (life.env.clone(), life.machine.clone());
            let before = env.disk.read_whole(Path::new(QUORUM_STATE)).await.unwrap();
            let watch = async move {
                while env.disk.read_whole(Path::new(QUORUM_STATE)).await.unwrap() == before {}
                machine.disk_fault(DiskFault::NoDescriptors(true));
            };
            life.env.spawn.spawn("watch", Box::pin(watch));
            let node = life.node(&[]).await;
            let lacks = node.broker.partitions.topic("t").unwrap().partition(0).is_err();
            life.descriptors(true);
            node.stop().await;
            u32::from(lacks)
        });
        world.live(async |life| {
            life.descriptors(true);
            let _node = life.node(&[]).await;
            assert_eq!(life.client().await.produce(-1, &batch(10)).await.base_offset, 2);
        });
    }
    assert!(lacked > 0, "the disk was too fast every time");
}
