//! Groups on a node: their requests on the wire, and their log under kills and full disks.

mod requests;
mod unreadable;

use ottla_records::{Compression, ControlType, EndTransactionMarker};
use ottla_wire::records::{OffsetCommitKey, OffsetCommitValue};

use super::full_disk::NO_RESERVE;
use super::replicas;
use super::*;
use requests::{Beaten, Joined};

const GROUP: &str = "readers";
const FIND_COORDINATOR: i16 = 6;
const JOIN: i16 = 9;
const SYNC: i16 = 5;
const HEARTBEAT: i16 = 4;
const LEAVE: i16 = 5;
const COMMIT: i16 = 9;
const OFFSET_FETCH: i16 = 9;
const LIST_GROUPS: i16 = 5;
const CONSUMER_HEARTBEAT: i16 = 1;

/// Kafka's error codes, as they stand in an answer.
const UNKNOWN_SERVER_ERROR: i16 = -1;
const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const NOT_COORDINATOR: i16 = 16;
const INVALID_TOPIC_EXCEPTION: i16 = 17;
const UNKNOWN_MEMBER_ID: i16 = 25;
const REBALANCE_IN_PROGRESS: i16 = 27;
const INVALID_REQUEST: i16 = 42;
const MEMBER_ID_REQUIRED: i16 = 79;
const GROUP_MAX_SIZE_REACHED: i16 = 81;

/// One partition, so that a test knows where its group is; and no waiting for members.
pub(super) const FEW: &[(&str, &str)] =
    &[("offsets.topic.num.partitions", "1"), ("group.initial.rebalance.delay.ms", "0"), NO_RESERVE];

#[test]
fn the_first_who_looks_for_a_coordinator_has_the_topic_made() {
    World::new(60).live(async |life| {
        let node = life.node(&[]).await;
        let mut client = life.client().await;
        // Before that, nobody has a group.
        assert_eq!(client.committed().await, (NOT_COORDINATOR, -1));
        assert_eq!(client.groups().await, []);
        for group in [GROUP, "", "another"] {
            assert_eq!(client.find(0, group).await, (OK, 1), "{group}");
        }
        let image = node.broker.metadata.image();
        let topic = image.topic("__consumer_offsets").unwrap();
        assert_eq!(topic.partitions.len(), 50);
        assert_eq!(topic.configs["cleanup.policy"], "compact");
        assert_eq!(topic.configs["segment.bytes"], "104857600");
        // Transactions and share groups do not exist yet, and nothing else ever.
        for key_type in [1, 2, 3, -1] {
            assert_eq!(client.find(key_type, GROUP).await, (INVALID_REQUEST, -1), "{key_type}");
        }
        node.stop().await;
    });
}

#[test]
fn a_topic_that_cannot_be_made_is_no_coordinator() {
    World::new(61).live(async |life| {
        let _node = life.node(&[("offsets.topic.replication.factor", "3")]).await;
        let mut client = life.client().await;
        assert_eq!(client.find(0, GROUP).await, (COORDINATOR_NOT_AVAILABLE, -1));
    });
}

#[test]
fn two_members_share_a_group_until_one_leaves() {
    World::new(62).live(async |life| {
        let _node = life.node(FEW).await;
        let (mut one, mut two) = (life.client().await, life.client().await);
        assert_eq!(one.find(0, GROUP).await, (OK, 1));
        let (first, second) = (one.member_id().await, two.member_id().await);
        one.send_join(&first).await;
        let alone = one.joined().await;
        assert_eq!((alone.error, alone.generation, &alone.leader), (OK, 1, &first));
        assert_eq!(one.sync(&alone, &[(&first, b"all")]).await, (OK, b"all".to_vec()));
        assert_eq!(one.beat(&alone).await, OK);
        // The second one waits until the first has heard of it.
        two.send_join(&second).await;
        life.pause(1_000).await;
        assert_eq!(one.beat(&alone).await, REBALANCE_IN_PROGRESS);
        one.send_join(&first).await;
        let (leader, follower) = (one.joined().await, two.joined().await);
        assert_eq!((leader.generation, follower.generation), (2, 2));
        let mut everybody = vec![first.clone(), second.clone()];
        everybody.sort();
        assert_eq!((&leader.members, &follower.members), (&everybody, &vec![]));
        two.send_sync(&follower, &[]).await;
        let assigned: [(&str, &[u8]); 2] = [(&first, b"half"), (&second, b"rest")];
        assert_eq!(one.sync(&leader, &assigned).await, (OK, b"half".to_vec()));
        assert_eq!(two.synced().await, (OK, b"rest".to_vec()));
        assert_eq!((one.beat(&leader).await, two.beat(&follower).await), (OK, OK));
        assert_eq!(two.leave(&second).await, (OK, OK));
        assert_eq!(two.beat(&follower).await, UNKNOWN_MEMBER_ID);
        assert_eq!(one.beat(&leader).await, REBALANCE_IN_PROGRESS);
        assert_eq!(one.groups().await, [(GROUP.to_owned(), "PreparingRebalance".to_owned())]);
    });
}

#[test]
fn a_silent_member_loses_its_place() {
    World::new(63).live(async |life| {
        let _node = life.node(FEW).await;
        let mut client = life.client().await;
        client.find(0, GROUP).await;
        let member = client.member_id().await;
        client.send_join(&member).await;
        let joined = client.joined().await;
        client.sync(&joined, &[(&member, b"all")]).await;
        life.pause(9_000).await;
        assert_eq!(client.beat(&joined).await, OK);
        life.pause(11_000).await;
        assert_eq!(client.beat(&joined).await, UNKNOWN_MEMBER_ID);
        assert_eq!(client.groups().await, [(GROUP.to_owned(), "Empty".to_owned())]);
    });
}

#[test]
fn a_member_whose_answer_waits_for_a_slow_disk_keeps_its_place() {
    World::new(77).live(async |life| {
        let _node = life.node(FEW).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.find(0, GROUP).await;
        let member = client.member_id().await;
        client.send_join(&member).await;
        let joined = client.joined().await;
        client.sync(&joined, &[(&member, b"all")]).await;
        for (silent, told) in [(5_000, OK), (11_000, UNKNOWN_MEMBER_ID)] {
            // Longer than the session, which is of 10 s.
            life.slow_disk(12_000);
            assert_eq!(client.commit_as(&joined, 7).await, OK);
            life.slow_disk(0);
            life.pause(silent).await;
            assert_eq!(client.beat(&joined).await, told, "after {silent} ms");
        }
    });
}

#[test]
fn what_was_committed_outlives_kills() {
    let mut world = World::new(64);
    for round in 0..5 {
        world.live(async move |life| {
            let _node = life.node(FEW).await;
            let mut client = life.client().await;
            if round == 0 {
                client.create(&[]).await;
                client.find(0, GROUP).await;
            }
            while client.committed().await.0 == COORDINATOR_LOAD_IN_PROGRESS {
                life.pause(10).await;
            }
            assert_eq!(client.committed().await, (OK, 100 * round - 1));
            for offset in 0..100 {
                assert_eq!(client.commit(100 * round + offset).await, OK);
            }
        });
    }
}

#[test]
fn a_member_that_outlives_its_coordinator_stays() {
    let mut world = World::new(65);
    let joined = world.live(async |life| {
        let _node = life.node(FEW).await;
        let mut client = life.client().await;
        client.find(0, GROUP).await;
        let member = client.member_id().await;
        client.send_join(&member).await;
        let joined = client.joined().await;
        client.sync(&joined, &[(&member, b"all")]).await;
        joined
    });
    world.live(async move |life| {
        let _node = life.node(FEW).await;
        let mut client = life.client().await;
        assert_eq!(client.groups().await, [(GROUP.to_owned(), "Stable".to_owned())]);
        assert_eq!(client.beat(&joined).await, OK);
        // It is asked for its assignment again, and has it.
        assert_eq!(client.sync(&joined, &[]).await, (OK, b"all".to_vec()));
    });
}

#[test]
fn a_coordinator_that_loads_has_its_clients_ask_again() {
    let mut world = World::new(66);
    world.live(async |life| {
        let node = life.node(FEW).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.find(0, GROUP).await;
        assert_eq!(client.commit(7).await, OK);
        node.stop().await;
    });
    world.live(async |life| {
        life.slow_disk(300);
        let _node = life.node(FEW).await;
        let mut client = life.client().await;
        assert_eq!(client.committed().await, (COORDINATOR_LOAD_IN_PROGRESS, -1));
        assert_eq!(client.commit(8).await, COORDINATOR_LOAD_IN_PROGRESS);
        // The only code that members do not know here.
        assert_eq!(client.beat(&Joined::default()).await, OK);
        life.pause(5_000).await;
        assert_eq!(client.committed().await, (OK, 7));
    });
}

#[test]
fn a_full_disk_takes_no_commit_and_forgets_none() {
    World::new(67).live(async |life| {
        let _node = life.node(FEW).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.find(0, GROUP).await;
        assert_eq!(client.commit(7).await, OK);
        for round in 0..3 {
            life.room(Some(5));
            assert_eq!(client.commit(100).await, COORDINATOR_NOT_AVAILABLE, "round {round}");
            life.pause(2_000).await;
            let full = client.committed().await;
            assert!(full == (COORDINATOR_LOAD_IN_PROGRESS, -1) || full == (OK, 7 + round));
            life.room(None);
            life.pause(5_000).await;
            assert_eq!(client.committed().await, (OK, 7 + round));
            assert_eq!(client.commit(8 + round).await, OK);
        }
        life.has_not_halted();
    });
}

/// A record of an offset, as Kafka writes it.
fn offset_record(offset: i64) -> (Vec<u8>, Vec<u8>) {
    let (mut key, mut value) = (vec![0, 1], vec![0, 3]);
    let of = OffsetCommitKey { group: GROUP.into(), topic: TOPIC.into(), ..Default::default() };
    of.encode(&mut Writer::new(&mut key), 0).unwrap();
    let at = OffsetCommitValue { offset, commit_timestamp: 1, ..Default::default() };
    at.encode(&mut Writer::new(&mut value), 3).unwrap();
    (key, value)
}

/// A batch as Apache Kafka may have left it in the log.
fn apache(options: BatchOptions, offsets: &[i64]) -> Vec<ottla_records::BuiltBatch> {
    let mut builder = BatchBuilder::new(options);
    for offset in offsets {
        let (key, value) = offset_record(*offset);
        let (key, value) = (Some(key.as_slice()), Some(value.as_slice()));
        let timestamp = Timestamp::from_millis(1);
        builder.push(NewRecord { timestamp, key, value, headers: &[] });
    }
    vec![builder.build()]
}

fn marker(producer: ProducerStamp, kind: ControlType) -> ottla_records::BuiltBatch {
    let committed = kind == ControlType::Commit;
    let value = EndTransactionMarker { committed, coordinator_epoch: 0 }.value();
    let producer = Some(ProducerStamp { base_sequence: None, ..producer });
    let options =
        BatchOptions { producer, transactional: true, control: true, ..Default::default() };
    let mut builder = BatchBuilder::new(options);
    let (key, timestamp) = (kind.key(), Timestamp::from_millis(1));
    builder.push(NewRecord { timestamp, key: Some(&key), value: Some(&value), headers: &[] });
    builder.build()
}

#[test]
fn what_apache_wrote_is_loaded_compressed_and_in_transactions() {
    let mut world = World::new(68);
    world.live(async |life| {
        let node = life.node(FEW).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.find(0, GROUP).await;
        let topic = node.broker.partitions.topic("__consumer_offsets").unwrap();
        let partition = Arc::clone(topic.partition(0).unwrap());
        partition.opened(&life.env).await.unwrap();
        let producer = |id| ProducerStamp {
            id: ProducerId::new(id),
            epoch: ProducerEpoch::ZERO,
            base_sequence: Some(Sequence::new(0)),
        };
        let in_transaction = |id| BatchOptions {
            producer: Some(producer(id)),
            transactional: true,
            ..Default::default()
        };
        let lz4 = BatchOptions { compression: Compression::Lz4, ..Default::default() };
        let mut batches = apache(lz4, &(1..200).collect::<Vec<_>>());
        // The committed one counts, the aborted one does not.
        batches.extend(apache(in_transaction(1), &[500]));
        batches.extend(apache(in_transaction(2), &[900]));
        batches.push(marker(producer(1), ControlType::Commit));
        batches.push(marker(producer(2), ControlType::Abort));
        for batch in &batches {
            partition.append(&life.env, &batch.checked(), std::task::Waker::noop()).unwrap();
        }
        node.stop().await;
    });
    world.live(async |life| {
        let _node = life.node(FEW).await;
        let mut client = life.client().await;
        life.pause(1_000).await;
        assert_eq!(client.committed().await, (OK, 500));
    });
}

#[test]
fn nobody_but_its_coordinator_writes_to_a_group() {
    World::new(70).live(async |life| {
        let _node = life.node(FEW).await;
        let mut client = life.client().await;
        client.find(0, GROUP).await;
        assert_eq!(client.forge().await, INVALID_TOPIC_EXCEPTION);
    });
}

#[test]
fn groups_of_a_deleted_topic_are_gone_and_may_come_again() {
    World::new(69).live(async |life| {
        let _node = life.node(FEW).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.find(0, GROUP).await;
        assert_eq!(client.commit(7).await, OK);
        client.delete_topic("__consumer_offsets").await;
        assert_eq!(client.committed().await, (NOT_COORDINATOR, -1));
        assert_eq!(client.find(0, GROUP).await, (OK, 1));
        life.pause(1_000).await;
        assert_eq!(client.committed().await, (OK, -1));
        assert_eq!(client.commit(8).await, OK);
    });
}

#[test]
fn members_of_a_consumer_group_are_assigned_across_a_kill() {
    let mut world = World::new(71);
    world.live(async |life| {
        let node = life.node(FEW).await;
        let (mut one, mut two) = (life.client().await, life.client().await);
        one.create_topic(new_topic(TOPIC, 4)).await;
        one.find(0, GROUP).await;
        let id = node.broker.metadata.image().topic(TOPIC).unwrap().id;
        let alone = one.consume("one", 0, None).await;
        let all = Some(vec![0, 1, 2, 3]);
        assert_eq!(alone, Beaten { error: OK, epoch: 2, assigned: all });
        // The second waits for what the first gives up.
        life.pause(2_000).await;
        let waits = two.consume("two", 0, None).await;
        assert_eq!(waits, Beaten { error: OK, epoch: 3, assigned: Some(vec![]) });
        let half = one.consume("one", 2, None).await;
        assert_eq!(half.assigned.as_ref().map(Vec::len), Some(2), "{half:?}");
        let kept = half.assigned.unwrap();
        let gave = one.consume("one", half.epoch, Some((id, &kept))).await;
        assert_eq!((gave.error, gave.epoch), (OK, 3));
        let rest = two.consume("two", 3, None).await;
        assert_eq!(rest.assigned.as_ref().map(Vec::len), Some(2), "{rest:?}");
        assert_eq!(one.groups().await, [(GROUP.to_owned(), "Stable".to_owned())]);
    });
    world.live(async |life| {
        let _node = life.node(FEW).await;
        let mut client = life.client().await;
        assert_eq!(client.groups().await, [(GROUP.to_owned(), "Stable".to_owned())]);
        let same = client.consume("one", 3, None).await;
        assert_eq!((same.error, same.epoch), (OK, 3));
        let stranger = client.consume("three", 3, None).await;
        assert_eq!(stranger.error, UNKNOWN_MEMBER_ID);
        // When the other one leaves, nothing is in the way.
        assert_eq!(client.consume("two", -1, None).await.epoch, -1);
        life.pause(2_000).await;
        let all = client.consume("one", 3, None).await;
        assert_eq!((all.epoch, all.assigned.map(|all| all.len())), (4, Some(4)));
    });
}

#[test]
fn a_topic_that_comes_later_is_assigned_and_one_that_goes_takes_its_offsets() {
    World::new(72).live(async |life| {
        let _node = life.node(FEW).await;
        let mut client = life.client().await;
        client.find(0, GROUP).await;
        let early = client.consume("one", 0, None).await;
        assert_eq!(early, Beaten { error: OK, epoch: 2, assigned: Some(vec![]) });
        life.pause(2_000).await;
        client.create_topic(new_topic(TOPIC, 2)).await;
        life.pause(2_000).await;
        let late = client.consume("one", 2, None).await;
        assert_eq!((late.epoch, late.assigned), (3, Some(vec![0, 1])));
        assert_eq!(client.consume("one", -1, None).await.error, OK);
        assert_eq!(client.commit(7).await, OK);
        client.delete().await;
        client.create(&[]).await;
        assert_eq!(client.committed().await, (OK, -1));
    });
}

#[test]
fn groups_begin_on_a_disk_that_is_full_when_their_topic_is_made() {
    for room in (0..2_000).step_by(100) {
        World::new(400 + room).live(async move |life| {
            let _node = life.node(FEW).await;
            let mut client = life.client().await;
            client.create(&[]).await;
            life.pause(10_000).await;
            life.room(Some(room));
            let (error, _) = client.find(0, GROUP).await;
            assert!([OK, COORDINATOR_NOT_AVAILABLE].contains(&error), "{room}: {error}");
            client.commit(6).await;
            life.room(None);
            life.pause(10_000).await;
            assert_eq!(client.find(0, GROUP).await, (OK, 1), "{room} bytes of room");
            life.pause(1_000).await;
            assert_eq!(client.commit(7).await, OK, "{room} bytes of room");
            assert_eq!(client.committed().await, (OK, 7), "{room} bytes of room");
            life.has_not_halted();
        });
    }
}

#[test]
fn a_group_that_cannot_be_written_down_is_made_again_by_its_members() {
    World::new(73).live(async |life| {
        let _node = life.node(FEW).await;
        let mut client = life.client().await;
        client.find(0, GROUP).await;
        let member = client.member_id().await;
        client.send_join(&member).await;
        let joined = client.joined().await;
        life.room(Some(5));
        let assigned: [(&str, &[u8]); 1] = [(&member, b"all")];
        assert_eq!(client.sync(&joined, &assigned).await, (COORDINATOR_NOT_AVAILABLE, vec![]));
        assert_eq!(client.sync(&joined, &assigned).await.0, COORDINATOR_LOAD_IN_PROGRESS);
        life.room(None);
        life.pause(5_000).await;
        assert_eq!(client.sync(&joined, &assigned).await.0, UNKNOWN_MEMBER_ID);
        let member = client.member_id().await;
        client.send_join(&member).await;
        let joined = client.joined().await;
        assert_eq!(client.sync(&joined, &[(&member, b"all")]).await, (OK, b"all".to_vec()));
        life.has_not_halted();
    });
}

#[test]
fn a_small_request_for_many_records_is_refused_and_disturbs_nobody() {
    World::new(74).live(async |life| {
        let _node = life.node(FEW).await;
        let (mut one, mut two) = (life.client().await, life.client().await);
        let mut hostile = life.client().await;
        one.create(&[]).await;
        one.find(0, GROUP).await;
        let (first, second) = (one.member_id().await, two.member_id().await);
        one.send_join(&first).await;
        let joined = one.joined().await;
        one.sync(&joined, &[(&first, b"all")]).await;
        // Parked until the first has heard of it.
        two.send_join(&second).await;
        let long = "g".repeat(32_000);
        for times in [300, 3_300, 66_000] {
            let refused = hostile.commit_often(&long, 7, times).await;
            assert_eq!(refused, UNKNOWN_SERVER_ERROR, "{times} times");
        }
        // Many records of less are taken.
        assert_eq!(hostile.commit_often(GROUP, 7, 10_000).await, UNKNOWN_MEMBER_ID);
        assert_eq!(hostile.commit_often("others", 7, 10_000).await, OK);
        one.send_join(&first).await;
        assert_eq!((one.joined().await.generation, two.joined().await.generation), (2, 2));
        life.has_not_halted();
    });
}

#[test]
fn a_group_is_written_only_where_as_many_replicas_are_in_sync_as_have_to_be() {
    for (seed, min_insync, told) in [(79, "2", COORDINATOR_NOT_AVAILABLE), (80, "1", OK)] {
        World::new(seed).live(async move |life| {
            replicas::format(&life, "__consumer_offsets", &[1, 2], min_insync).await;
            let _node = life.node(FEW).await;
            let mut client = life.client().await;
            client.create(&[]).await;
            assert_eq!(client.find(0, GROUP).await, (OK, 1));
            while client.committed().await.0 == COORDINATOR_LOAD_IN_PROGRESS {
                life.pause(10).await;
            }
            assert_eq!(client.commit(7).await, told);
            let found = if told == OK { 7 } else { -1 };
            assert_eq!(client.committed().await, (OK, found), "of {min_insync}");
            life.has_not_halted();
        });
    }
}

#[test]
fn members_whose_record_would_not_fit_a_batch_are_turned_away_and_disturb_nobody() {
    World::new(78).live(async |life| {
        let small = [("offsets.topic.segment.bytes", "1048576")];
        let _node = life.node(&[FEW, &small].concat()).await;
        let (mut one, mut two) = (life.client().await, life.client().await);
        one.create(&[]).await;
        one.find(0, GROUP).await;
        let (first, second) = (one.member_id().await, two.member_id().await);
        // Two of them, and what they are assigned, would be more than the segment.
        let words = vec![b'w'; 400_000];
        one.send_join_with(&first, &words).await;
        let joined = one.joined().await;
        assert_eq!((joined.error, joined.generation), (OK, 1));
        assert_eq!(one.sync(&joined, &[(&first, &words)]).await.0, OK);
        two.send_join_with(&second, &words).await;
        assert_eq!(two.joined().await.error, GROUP_MAX_SIZE_REACHED);
        // Nobody has to load anything, or to join again.
        assert_eq!(one.beat(&joined).await, OK);
        assert_eq!(two.commit_often("others", 7, 300).await, OK);
        assert_eq!(one.committed().await, (OK, -1));
    });
}

#[test]
fn a_topic_that_is_deleted_on_a_full_disk_takes_its_offsets() {
    for room in (0..1_500).step_by(100) {
        let mut world = World::new(500 + room);
        world.live(async move |life| {
            let _node = life.node(FEW).await;
            let mut client = life.client().await;
            client.create(&[]).await;
            client.find(0, GROUP).await;
            assert_eq!(client.commit(5_000).await, OK);
            life.pause(10_000).await;
            // Perhaps enough for the deletion, and not for the offsets' end.
            life.room(Some(room));
            client.delete().await;
            life.pause(2_000).await;
            life.room(None);
            life.pause(10_000).await;
            client.delete().await;
            client.create(&[]).await;
            assert_eq!(client.committed().await, (OK, -1), "{room} bytes of room");
            life.has_not_halted();
        });
        world.live(async move |life| {
            let _node = life.node(FEW).await;
            let mut client = life.client().await;
            client.groups().await;
            assert_eq!(client.committed().await, (OK, -1), "{room} bytes of room");
        });
    }
}

#[test]
fn a_full_disk_keeps_groups_readable_and_turns_newcomers_away() {
    World::new(76).live(async |life| {
        let reserve = ("ottla.log.dir.reserve.bytes", "100000");
        let _node = life.node(&[FEW[0], FEW[1], reserve]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.find(0, GROUP).await;
        let member = client.member_id().await;
        client.send_join(&member).await;
        let joined = client.joined().await;
        client.sync(&joined, &[(&member, b"all")]).await;
        assert_eq!(client.commit_often("others", 7, 1).await, OK);
        life.room(Some(99_000));
        // What others take is seen within a second of an append.
        client.commit_often("others", 7, 1).await;
        life.pause(2_000).await;
        for _ in 0..30 {
            client.send_join("").await;
            assert_eq!(client.joined().await.error, COORDINATOR_NOT_AVAILABLE);
            assert_eq!(client.commit_often("others", 8, 1).await, COORDINATOR_NOT_AVAILABLE);
            assert_eq!(client.committed_by("others").await, (OK, 7));
            assert_eq!(client.groups().await.len(), 2);
            // Silent for longer than its session, but nobody could write that down.
            life.pause(1_000).await;
        }
        assert_eq!(client.beat(&joined).await, OK);
        life.room(None);
        life.pause(5_000).await;
        assert_eq!(client.beat(&joined).await, OK);
        assert_eq!(client.commit_often("others", 9, 1).await, OK);
        assert_eq!(client.committed_by("others").await, (OK, 9));
        life.has_not_halted();
    });
}
