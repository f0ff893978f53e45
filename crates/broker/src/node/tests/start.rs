//! What a life leaves for the next one, and what that makes of it.

use ottla_env::Open;
use ottla_wire::ErrorCode;
use ottla_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_wire::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::*;
use crate::partition::LogsClosed;

const LIST_OFFSETS: i16 = 7;
/// Two batches of 400 bytes make a segment.
const SMALL: (&str, &str) = ("internal.segment.bytes", "1000");
const CLEAN: &str = "data/.kafka_cleanshutdown";
const POINTS: &str = "data/recovery-point-offset-checkpoint";
const NOTE: &str = "data/.ottla-sync-failed";
/// No reserve: whoever needs space finds out by itself that there is none.
const NO_RESERVE: (&str, &str) = ("ottla.log.dir.reserve.bytes", "0");
const STORAGE: i16 = ErrorCode::KafkaStorageError.code();

impl Client {
    async fn latest(&mut self) -> (i16, i64) {
        let partition = ListOffsetsPartition { timestamp: -1, ..Default::default() };
        let topic = ListOffsetsTopic {
            name: TOPIC.into(),
            partitions: vec![partition].into(),
            ..Default::default()
        };
        let request =
            ListOffsetsRequest { replica_id: -1, topics: vec![topic].into(), ..Default::default() };
        self.send(ApiKey::ListOffsets, LIST_OFFSETS, |w| request.encode(w, LIST_OFFSETS)).await;
        let answer = self.answer(ApiKey::ListOffsets, LIST_OFFSETS).await;
        let response = ListOffsetsResponse::decode(&mut answer.body(), LIST_OFFSETS).unwrap();
        let topic = response.topics.first().unwrap();
        let partition = topic.partitions.first().unwrap();
        (partition.error_code, partition.offset)
    }

    /// Error, leader and offline replicas of a topic's first partition.
    async fn leader(&mut self, topic: &str) -> (i16, i32, Vec<i32>) {
        let topics =
            vec![MetadataRequestTopic { name: Some(topic.into()), ..Default::default() }].into();
        let request = MetadataRequest { topics: Some(topics), ..Default::default() };
        self.send(ApiKey::Metadata, METADATA, |w| request.encode(w, METADATA)).await;
        let answer = self.answer(ApiKey::Metadata, METADATA).await;
        let response = MetadataResponse::decode(&mut answer.body(), METADATA).unwrap();
        let topic = response.topics.first().unwrap();
        let partition = topic.partitions.first().unwrap();
        let offline = partition.offline_replicas.iter().collect();
        (partition.error_code, partition.leader_id, offline)
    }

    async fn go_on(&mut self, batches: i64) {
        let (_, end) = self.latest().await;
        for offset in end..end + batches {
            assert_eq!(self.produce(-1, &batch(400)).await.base_offset, offset);
        }
    }
}

fn partition(node: &Node) -> Arc<Partition> {
    let topic = node.broker.partitions.topic(TOPIC).unwrap();
    Arc::clone(topic.partition(0).unwrap())
}

async fn text(life: &Life, path: &str) -> Option<String> {
    let read = life.env.disk.read_whole(Path::new(path)).await;
    read.ok().map(|bytes| String::from_utf8(bytes).unwrap())
}

impl World {
    /// A life that fills a log with three segments and some, and stops in order.
    fn filled(seed: u64) -> Self {
        let mut world = Self::new(seed);
        world.live(async |life| {
            let node = life.node(&[SMALL]).await;
            let mut client = life.client().await;
            client.create(&[]).await;
            client.go_on(7).await;
            assert_eq!(text(&life, CLEAN).await, None, "it runs");
            node.stop().await;
            assert_eq!(text(&life, POINTS).await.as_deref(), Some("0\n1\nt 0 7\n"));
            assert!(text(&life, CLEAN).await.is_some());
        });
        world
    }
}

#[test]
fn after_a_clean_stop_a_log_is_opened_by_its_first_batch() {
    World::filled(70).live(async |life| {
        let node = life.node(&[SMALL]).await;
        assert_eq!(text(&life, CLEAN).await, None, "a kill from now on is none");
        let (mut client, partition) = (life.client().await, partition(&node));
        assert_eq!(client.latest().await, (OK, 7));
        let fetched = client.fetch(0, (1, 1 << 20), 0).await;
        assert_eq!((fetched.error, fetched.bytes), (OK, 2 * batch(400).len()));
        assert!(!partition.is_open(), "readers do without");
        client.go_on(1).await;
        assert!(partition.is_open());
    });
}

#[test]
fn what_a_clean_stop_left_survives_any_number_of_idle_lives() {
    let mut world = World::filled(71);
    for clean in [true, false, true, true] {
        world.live(async move |life| {
            let node = life.node(&[SMALL]).await;
            assert_eq!(life.client().await.latest().await, (OK, 7));
            if clean {
                node.stop().await;
            }
        });
    }
}

#[test]
fn checkpoints_follow_the_appends_and_an_idle_node_writes_none() {
    World::new(72).live(async |life| {
        let _node = life.node(&[SMALL]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.go_on(3).await;
        life.pause(70_000).await;
        assert_eq!(text(&life, POINTS).await.as_deref(), Some("0\n1\nt 0 3\n"));
        let path = Path::new(POINTS);
        life.env.disk.unlink(path).await.unwrap();
        life.pause(600_000).await;
        assert_eq!(text(&life, POINTS).await, None);
        client.go_on(1).await;
        life.pause(70_000).await;
        assert_eq!(text(&life, POINTS).await.as_deref(), Some("0\n1\nt 0 4\n"));
    });
}

#[test]
fn a_log_whose_end_was_cut_is_not_closed_before_that_is_durable() {
    for torn in [false, true] {
        let mut world = World::new(95);
        world.live(async move |life| {
            let node = life.node(&[]).await;
            let mut client = life.client().await;
            client.create(&[]).await;
            client.go_on(2).await;
            life.pause(70_000).await;
            assert_eq!(text(&life, POINTS).await.as_deref(), Some("0\n1\nt 0 2\n"));
            if torn {
                let path = Path::new("data/t-0/00000000000000000002.log");
                let file = life.env.disk.open_file(path, Open::Existing).await.unwrap();
                let end = partition(&node).bounds().log_end.position;
                file.write_at(end, &[io::IoSlice::new(b"half a batch")]).unwrap();
            }
        });
        world.machine.end(Death::Kill);
        world.live(async move |life| {
            let node = life.node(&[]).await;
            assert_eq!(partition(&node).is_open(), torn, "it is closed again if it was whole");
            assert_eq!(life.client().await.latest().await, (OK, 2));
        });
    }
}

#[test]
fn a_power_loss_at_any_time_loses_nothing_that_was_acknowledged() {
    for pause in [0, 1_000, 6_000, 66_000] {
        let mut world = World::new(80 + pause);
        let mut expected = 0;
        for _ in 0..3 {
            world.live(async move |life| {
                let _node = life.node(&[SMALL]).await;
                let mut client = life.client().await;
                if expected == 0 {
                    client.create(&[]).await;
                }
                assert_eq!(client.latest().await, (OK, expected), "pause {pause}");
                client.go_on(3).await;
                life.pause(pause).await;
                client.go_on(2).await;
            });
            expected += 5;
        }
    }
}

#[test]
fn appends_go_on_after_a_kill_whatever_the_durability() {
    for durability in ["fsync", "page-cache"] {
        let properties = [SMALL, ("ottla.durability", durability)];
        let mut world = World::new(90);
        for life in 0..3 {
            world.live(async move |it| {
                let _node = it.node(&properties).await;
                let mut client = it.client().await;
                if life == 0 {
                    client.create(&[]).await;
                }
                assert_eq!(client.latest().await, (OK, life * 3), "{durability}");
                client.go_on(3).await;
            });
            world.machine.end(Death::Kill);
        }
    }
}

#[test]
fn a_damaged_partition_is_offline_and_the_others_are_served() {
    let mut world = World::filled(73);
    world.live(async |life| {
        let node = life.node(&[SMALL]).await;
        life.client().await.create_topic(new_topic("other", 1)).await;
        node.stop().await;
        // What is known of the log is gone, and a byte in its middle has changed.
        for path in [CLEAN, POINTS] {
            life.env.disk.unlink(Path::new(path)).await.unwrap();
        }
        let path = Path::new("data/t-0/00000000000000000002.log");
        let file = life.env.disk.open_file(path, Open::Existing).await.unwrap();
        file.write_at(100, &[io::IoSlice::new(b"?")]).unwrap();
        life.env.disk.sync_files(vec![file]).await.unwrap();
        life.env.disk.sync_names(Path::new("data")).await.unwrap();
    });
    for _ in 0..2 {
        world.live(async |life| {
            let node = life.node(&[SMALL]).await;
            let mut client = life.client().await;
            assert_eq!(client.produce(-1, &batch(400)).await.error, STORAGE);
            assert_eq!(client.fetch(0, (1, 1 << 20), 5_000).await.error, STORAGE);
            assert_eq!(client.latest().await.0, STORAGE);
            let unavailable = ErrorCode::LeaderNotAvailable.code();
            assert_eq!(client.leader(TOPIC).await, (unavailable, -1, vec![1]));
            assert_eq!(client.leader("other").await, (OK, 1, vec![]));
            node.stop().await;
            let listed = life.env.disk.list(Path::new("data/t-0")).await.unwrap();
            assert_eq!(listed.iter().filter(|entry| entry.name.ends_with(".log")).count(), 4);
        });
    }
}

#[test]
fn a_log_that_is_gone_is_not_taken_for_an_empty_one() {
    let mut world = World::filled(74);
    world.live(async |life| {
        life.env.disk.remove_tree(Path::new("data/t-0")).await.unwrap();
        life.env.disk.sync_names(Path::new("data")).await.unwrap();
    });
    world.live(async |life| {
        let _node = life.node(&[SMALL]).await;
        let mut client = life.client().await;
        assert_eq!(client.latest().await.0, STORAGE);
        // Whoever can do without it deletes the topic, and may make it again.
        client.delete().await;
        client.create(&[]).await;
        assert_eq!(client.latest().await, (OK, 0));
        client.go_on(1).await;
    });
}

#[test]
fn a_topic_made_again_is_not_taken_for_its_namesake() {
    let mut world = World::filled(75);
    for clean in [true, false] {
        world.live(async move |life| {
            let node = life.node(&[SMALL]).await;
            let mut client = life.client().await;
            client.delete().await;
            client.create(&[]).await;
            client.go_on(2).await;
            if clean {
                node.stop().await;
            }
        });
        world.live(async |life| {
            let _node = life.node(&[SMALL]).await;
            assert_eq!(life.client().await.latest().await, (OK, 2));
        });
    }
}

#[test]
fn a_directory_that_nobody_claims_stands_aside() {
    let mut world = World::filled(76);
    world.live(async |life| {
        let stray = Path::new("data/stray-3");
        life.env.disk.make_dir(stray).await.unwrap();
        life.env.disk.make_dir(Path::new("data/no-partition-")).await.unwrap();
        let _node = life.node(&[SMALL]).await;
        let listed = life.env.disk.list(Path::new("data")).await.unwrap();
        let names: Vec<_> = listed.iter().map(|entry| entry.name.as_str()).collect();
        let aside = |name: &str| name.starts_with("stray-3.") && name.ends_with("-stray");
        assert!(names.iter().any(|name| aside(name)), "{names:?}");
        for kept in ["no-partition-", "t-0", "__cluster_metadata-0"] {
            assert!(names.contains(&kept), "{kept} of {names:?}");
        }
    });
}

/// What the node said that ended the machine within two minutes.
fn halted(world: &mut World, life: impl AsyncFnOnce(Life) + 'static) -> Vec<String> {
    world.machine.end(Death::PowerLoss);
    let machine = world.machine.clone();
    world.machine.start(1, |env| {
        Box::pin(async move {
            life(Life { env, machine }).await;
            std::future::pending::<()>().await;
        })
    });
    let operator = world.sim.host();
    world.sim.run(&operator, |env| async move { env.clock.sleep(Duration::from_mins(2)).await });
    world.machine.take_halts()
}

#[test]
fn a_failed_sync_is_remembered_until_all_was_written_again() {
    let mut world = World::filled(77);
    let halts = halted(&mut world, async |life| {
        let node = life.node(&[SMALL]).await;
        let mut client = life.client().await;
        client.go_on(1).await;
        life.machine.disk_fault(DiskFault::NextSyncFails);
        client.send_produce(-1, &batch(400)).await;
        std::future::pending::<()>().await;
        drop(node);
    });
    assert!(halts[0].contains("durable"), "{halts:?}");
    world.live(async |life| {
        assert!(text(&life, NOTE).await.is_some());
        let _node = life.node(&[SMALL]).await;
        assert_eq!(text(&life, NOTE).await, None);
        assert!(life.client().await.latest().await.1 >= 8);
    });
}

#[test]
fn no_cluster_is_made_where_a_folder_has_vanished() {
    let mut world = World::filled(78);
    let halts = halted(&mut world, async |life| {
        let node = life.node(&[SMALL]).await;
        life.client().await.go_on(1).await;
        life.env.disk.remove_tree(Path::new("data")).await.unwrap();
        std::future::pending::<()>().await;
        drop(node);
    });
    assert!(halts[0].starts_with("the data folder data is gone"), "{halts:?}");
    world.live(async |life| {
        let refused = Node::start(life.env.clone(), life.config(&[SMALL])).await.unwrap_err();
        assert!(refused.to_string().contains("vanished while a node was using it"), "{refused}");
        life.env.disk.unlink(Path::new("data/.ottla-vanished")).await.unwrap();
        let _node = life.node(&[SMALL]).await;
    });
}

#[test]
fn logs_that_are_closed_without_space_are_not_taken_for_closed() {
    let mut world = World::filled(79);
    world.live(async |life| {
        let node = life.node(&[SMALL]).await;
        life.client().await.go_on(3).await;
        life.machine.disk_fault(DiskFault::Full(true));
        let closed = node.directory.close(&life.env, &node.broker.partitions).await.unwrap();
        assert_eq!(closed, LogsClosed::InPart);
        life.machine.disk_fault(DiskFault::Full(false));
    });
    world.live(async |life| {
        let _node = life.node(&[SMALL]).await;
        let mut client = life.client().await;
        assert_eq!(client.latest().await, (OK, 10));
        client.go_on(1).await;
    });
}

#[test]
fn the_metadata_log_too_is_written_again_after_a_failed_sync() {
    let mut world = World::filled(91);
    world.machine.set_outlives_halts(true);
    let halts = halted(&mut world, async |life| {
        let _node = life.node(&[SMALL]).await;
        let mut client = life.client().await;
        life.machine.disk_fault(DiskFault::NextSyncFails);
        // Its records have pages of their own, which no later append writes again.
        client.create_topic(new_topic("other", 200)).await;
    });
    assert!(halts[0].contains("the controller cannot go on"), "{halts:?}");
    // What was kept in the page cache is shown by the first, and lost with the power before the
    // second.
    for _ in 0..2 {
        world.live(async |life| {
            let node = life.node(&[SMALL]).await;
            assert!(node.broker.partitions.topic("other").is_some());
        });
    }
}

#[test]
fn a_failed_sync_is_remembered_while_a_partition_lacks_space_to_be_opened() {
    let mut lacked = 0;
    for room in (0..2_000).step_by(25) {
        lacked += World::filled(1_000 + room).live(async move |life| {
            let listed = life.env.disk.list(Path::new("data/t-0")).await.unwrap();
            let indexes = listed.iter().filter(|entry| entry.name.ends_with("index"));
            let indexes = indexes.map(|entry| format!("data/t-0/{}", entry.name));
            let identity = "data/t-0/partition.metadata";
            let known = [CLEAN, POINTS, identity].map(str::to_owned);
            for path in known.into_iter().chain(indexes) {
                life.env.disk.unlink(Path::new(&path)).await.unwrap();
            }
            life.env.disk.open_file(Path::new(NOTE), Open::Ensure).await.unwrap();
            life.machine.disk_fault(DiskFault::Room(Some(room)));
            let config = life.config(&[SMALL, NO_RESERVE]);
            let Ok(node) = Node::start(life.env.clone(), config).await else { return 0 };
            let there = || node.broker.partitions.topic(TOPIC).unwrap().partition(0).is_ok();
            let lacks = !there();
            assert_eq!(text(&life, NOTE).await.is_some(), lacks, "{room} bytes of room");
            life.machine.disk_fault(DiskFault::Room(None));
            life.pause(5_000).await;
            assert!(there() && text(&life, NOTE).await.is_none(), "{room} bytes of room");
            i32::from(lacks)
        });
    }
    assert!(lacked > 0, "some of it was enough to start, and not to open the partition");
}

#[test]
fn what_is_appended_after_a_kill_between_a_roll_and_its_names_survives() {
    for seed in 100..110 {
        let mut world = World::new(seed);
        world.live(async |life| {
            let _node = life.node(&[SMALL, ("log.retention.ms", "-1")]).await;
            let mut client = life.client().await;
            client.create(&[]).await;
            client.go_on(2).await;
            life.pause(70_000).await;
            assert_eq!(text(&life, POINTS).await.as_deref(), Some("0\n1\nt 0 2\n"));
            // As a roll makes it, before it syncs its name.
            let next = Path::new("data/t-0/00000000000000000002.log");
            life.env.disk.open_file(next, Open::Ensure).await.unwrap();
        });
        world.machine.end(Death::Kill);
        world.live(async |life| {
            let _node = life.node(&[SMALL]).await;
            life.client().await.go_on(1).await;
        });
        world.live(async |life| {
            let _node = life.node(&[SMALL]).await;
            assert_eq!(life.client().await.latest().await, (OK, 3));
        });
    }
}

#[test]
fn a_failed_sync_of_what_a_full_disk_cut_off_is_remembered() {
    let mut world = World::new(93);
    let halts = halted(&mut world, async |life| {
        let _node = life.node(&[NO_RESERVE]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.go_on(1).await;
        life.machine.disk_fault(DiskFault::Room(Some(5)));
        life.machine.disk_fault(DiskFault::NextSyncFails);
        assert_eq!(client.produce(-1, &batch(400)).await.error, STORAGE);
        std::future::pending::<()>().await;
    });
    assert!(halts[0].contains("cannot cut off"), "{halts:?}");
    world.live(async |life| {
        assert!(text(&life, NOTE).await.is_some());
    });
}

#[test]
fn a_roll_that_waits_for_a_sync_ends_before_a_stop_closes_the_logs() {
    let mut world = World::new(94);
    world.live(async |life| {
        let node = life.node(&[SMALL]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.go_on(1).await;
        life.slow_disk(2_000);
        // The second fills the segment; its sync is under way when the third wants another one.
        for _ in 0..2 {
            let mut producer = life.client().await;
            producer.send_produce(-1, &batch(400)).await;
            life.pause(100).await;
            drop(producer);
        }
        life.slow_disk(10);
        node.stop().await;
        life.slow_disk(0);
        assert!(text(&life, CLEAN).await.is_some());
    });
    world.live(async |life| {
        let _node = life.node(&[SMALL]).await;
        let mut client = life.client().await;
        assert_eq!(client.latest().await, (OK, 2));
        client.go_on(1).await;
    });
}

#[test]
fn a_recovery_point_that_no_log_can_reach_does_not_keep_the_node_from_starting() {
    for clean in [true, false] {
        let mut world = World::filled(95);
        world.live(async move |life| {
            let points = format!("0\n1\nt 0 {}\n", i64::MAX);
            life.env.disk.replace_file(Path::new(POINTS), points.as_bytes()).await.unwrap();
            if !clean {
                life.env.disk.unlink(Path::new(CLEAN)).await.unwrap();
            }
            let _node = life.node(&[SMALL]).await;
            let mut client = life.client().await;
            assert_eq!(client.produce(-1, &batch(400)).await.error, STORAGE);
            client.create_topic(new_topic("other", 1)).await;
            assert_eq!(client.leader("other").await, (OK, 1, vec![]));
        });
    }
}
