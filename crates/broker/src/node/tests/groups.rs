//! Groups on a node: their requests on the wire, and their log under kills and full disks.

mod unreadable;

use ottla_records::{Compression, ControlType, EndTransactionMarker};
use ottla_types::TopicId;
use ottla_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use ottla_wire::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_wire::messages::leave_group_request::MemberIdentity;
use ottla_wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla_wire::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest,
    ListGroupsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    OffsetFetchResponse, SyncGroupRequest, SyncGroupResponse,
};
use ottla_wire::records::{OffsetCommitKey, OffsetCommitValue};

use super::full_disk::NO_RESERVE;
use super::*;

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

/// One partition, so that a test knows where its group is; and no waiting for members.
const FEW: &[(&str, &str)] =
    &[("offsets.topic.num.partitions", "1"), ("group.initial.rebalance.delay.ms", "0"), NO_RESERVE];

/// A member's view of its group.
#[derive(Clone, Debug, Default, PartialEq)]
struct Joined {
    error: i16,
    member: String,
    generation: i32,
    leader: String,
    members: Vec<String>,
}

/// What a member of a consumer group is told.
#[derive(Clone, Debug, PartialEq)]
struct Beaten {
    error: i16,
    epoch: i32,
    /// Partitions of the only topic.
    assigned: Option<Vec<i32>>,
}

impl Client {
    /// A heartbeat in a consumer group; with 0 as epoch the member enters, and wants the topic.
    async fn consume(
        &mut self,
        member: &str,
        epoch: i32,
        owned: Option<(TopicId, &[i32])>,
    ) -> Beaten {
        let owned = owned.map(|(topic_id, partitions)| TopicPartitions {
            topic_id,
            partitions: partitions.to_vec().into(),
            ..Default::default()
        });
        let request = ConsumerGroupHeartbeatRequest {
            group_id: GROUP.into(),
            member_id: member.into(),
            member_epoch: epoch,
            rebalance_timeout_ms: if epoch == 0 { 60_000 } else { -1 },
            subscribed_topic_names: (epoch == 0).then(|| vec![TOPIC.into()].into()),
            topic_partitions: match epoch {
                0 => Some(vec![].into()),
                _ => owned.map(|topic| vec![topic].into()),
            },
            ..Default::default()
        };
        let (key, version) = (ApiKey::ConsumerGroupHeartbeat, CONSUMER_HEARTBEAT);
        self.send(key, version, |writer| request.encode(writer, version)).await;
        let answer = self.answer(key, version).await;
        let response = ConsumerGroupHeartbeatResponse::decode(&mut answer.body(), version).unwrap();
        let assigned = response.assignment.map(|assignment| {
            let topics = assignment.topic_partitions.iter();
            topics.flat_map(|topic| topic.partitions.iter().collect::<Vec<_>>()).collect()
        });
        Beaten { error: response.error_code, epoch: response.member_epoch, assigned }
    }

    /// Error code and node of a group's coordinator.
    async fn find(&mut self, key_type: i8, group: &str) -> (i16, i32) {
        let request = FindCoordinatorRequest {
            key_type,
            coordinator_keys: vec![leak(group).into()].into(),
            ..Default::default()
        };
        let (key, version) = (ApiKey::FindCoordinator, FIND_COORDINATOR);
        self.send(key, version, |writer| request.encode(writer, version)).await;
        let answer = self.answer(key, version).await;
        let response = FindCoordinatorResponse::decode(&mut answer.body(), version).unwrap();
        let only = response.coordinators.first().unwrap();
        assert_eq!(only.key, group);
        (only.error_code, only.node_id)
    }

    async fn send_join(&mut self, member: &str) {
        let protocol = JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: b"topics"[..].into(),
            ..Default::default()
        };
        let request = JoinGroupRequest {
            group_id: GROUP.into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 20_000,
            member_id: member.into(),
            protocol_type: "consumer".into(),
            protocols: vec![protocol].into(),
            ..Default::default()
        };
        self.send(ApiKey::JoinGroup, JOIN, |writer| request.encode(writer, JOIN)).await;
    }

    async fn joined(&mut self) -> Joined {
        let answer = self.answer(ApiKey::JoinGroup, JOIN).await;
        let response = JoinGroupResponse::decode(&mut answer.body(), JOIN).unwrap();
        let mut members: Vec<String> =
            response.members.iter().map(|member| member.member_id.into_owned()).collect();
        members.sort();
        Joined {
            error: response.error_code,
            member: response.member_id.into_owned(),
            generation: response.generation_id,
            leader: response.leader.into_owned(),
            members,
        }
    }

    /// Gets a member id, as members of today's clients do first.
    async fn member_id(&mut self) -> String {
        self.send_join("").await;
        let joined = self.joined().await;
        assert_eq!(joined.error, MEMBER_ID_REQUIRED);
        joined.member
    }

    /// The error code, and what the member is assigned.
    async fn sync(&mut self, joined: &Joined, assigned: &[(&str, &[u8])]) -> (i16, Vec<u8>) {
        self.send_sync(joined, assigned).await;
        self.synced().await
    }

    async fn send_sync(&mut self, joined: &Joined, assigned: &[(&str, &[u8])]) {
        let assigned = assigned.iter().map(|(member, assignment)| SyncGroupRequestAssignment {
            member_id: (*member).into(),
            assignment: (*assignment).into(),
            ..Default::default()
        });
        let request = SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: joined.generation,
            member_id: joined.member.as_str().into(),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: assigned.collect(),
            ..Default::default()
        };
        self.send(ApiKey::SyncGroup, SYNC, |writer| request.encode(writer, SYNC)).await;
    }

    async fn synced(&mut self) -> (i16, Vec<u8>) {
        let answer = self.answer(ApiKey::SyncGroup, SYNC).await;
        let response = SyncGroupResponse::decode(&mut answer.body(), SYNC).unwrap();
        (response.error_code, response.assignment.into_owned())
    }

    async fn beat(&mut self, joined: &Joined) -> i16 {
        let request = HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: joined.generation,
            member_id: joined.member.as_str().into(),
            ..Default::default()
        };
        let (key, version) = (ApiKey::Heartbeat, HEARTBEAT);
        self.send(key, version, |writer| request.encode(writer, version)).await;
        let answer = self.answer(key, version).await;
        HeartbeatResponse::decode(&mut answer.body(), version).unwrap().error_code
    }

    async fn leave(&mut self, member: &str) -> (i16, i16) {
        let member = MemberIdentity { member_id: member.into(), ..Default::default() };
        let request = LeaveGroupRequest {
            group_id: GROUP.into(),
            members: vec![member].into(),
            ..Default::default()
        };
        self.send(ApiKey::LeaveGroup, LEAVE, |writer| request.encode(writer, LEAVE)).await;
        let answer = self.answer(ApiKey::LeaveGroup, LEAVE).await;
        let response = LeaveGroupResponse::decode(&mut answer.body(), LEAVE).unwrap();
        (response.error_code, response.members.first().map_or(0, |member| member.error_code))
    }

    /// Commits an offset of the topic's first partition, as somebody without a group does.
    async fn commit(&mut self, offset: i64) -> i16 {
        self.commit_often(GROUP, offset, 1).await
    }

    /// The same offset again and again, in one request.
    async fn commit_often(&mut self, group: &str, offset: i64, times: usize) -> i16 {
        let partition = OffsetCommitRequestPartition {
            committed_offset: offset,
            committed_metadata: Some("so far".into()),
            ..Default::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: TOPIC.into(),
            partitions: vec![partition; times].into(),
            ..Default::default()
        };
        let request = OffsetCommitRequest {
            group_id: group.into(),
            topics: vec![topic].into(),
            ..Default::default()
        };
        self.send(ApiKey::OffsetCommit, COMMIT, |writer| request.encode(writer, COMMIT)).await;
        let answer = self.answer(ApiKey::OffsetCommit, COMMIT).await;
        let response = OffsetCommitResponse::decode(&mut answer.body(), COMMIT).unwrap();
        let topic = response.topics.first().unwrap();
        topic.partitions.first().unwrap().error_code
    }

    /// The group's error code, and the committed offset of the topic's first partition.
    async fn committed(&mut self) -> (i16, i64) {
        self.committed_by(GROUP).await
    }

    async fn committed_by(&mut self, group: &str) -> (i16, i64) {
        let topic = OffsetFetchRequestTopics {
            name: TOPIC.into(),
            partition_indexes: vec![0].into(),
            ..Default::default()
        };
        let group = OffsetFetchRequestGroup {
            group_id: group.into(),
            topics: Some(vec![topic].into()),
            ..Default::default()
        };
        let request = OffsetFetchRequest { groups: vec![group].into(), ..Default::default() };
        let (key, version) = (ApiKey::OffsetFetch, OFFSET_FETCH);
        self.send(key, version, |writer| request.encode(writer, version)).await;
        let answer = self.answer(key, version).await;
        let response = OffsetFetchResponse::decode(&mut answer.body(), version).unwrap();
        let group = response.groups.first().unwrap();
        let offset = group.topics.first().map_or(-1, |topic| {
            topic.partitions.first().map_or(-1, |partition| partition.committed_offset)
        });
        (group.error_code, offset)
    }

    async fn create_with_partitions(&mut self, num_partitions: i32) {
        let topic = CreatableTopic {
            name: TOPIC.into(),
            num_partitions,
            replication_factor: 1,
            ..Default::default()
        };
        let request = CreateTopicsRequest {
            topics: vec![topic].into(),
            timeout_ms: 10_000,
            ..Default::default()
        };
        self.send(ApiKey::CreateTopics, 7, |writer| request.encode(writer, 7)).await;
        self.answer(ApiKey::CreateTopics, 7).await;
    }

    /// Produces to a topic of the node's own.
    async fn forge(&mut self) -> i16 {
        let batch = batch(10);
        let partition =
            PartitionProduceData { records: Some(batch.as_slice().into()), ..Default::default() };
        let topic = TopicProduceData {
            name: "__consumer_offsets".into(),
            partition_data: vec![partition].into(),
            ..Default::default()
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 10_000,
            topic_data: vec![topic].into(),
            ..Default::default()
        };
        self.send(ApiKey::Produce, PRODUCE, |writer| request.encode(writer, PRODUCE)).await;
        let answer = self.answer(ApiKey::Produce, PRODUCE).await;
        let response = ProduceResponse::decode(&mut answer.body(), PRODUCE).unwrap();
        response.responses.first().unwrap().partition_responses.first().unwrap().error_code
    }

    async fn delete_topic(&mut self, name: &'static str) {
        let request = DeleteTopicsRequest {
            topic_names: vec![name.into()].into(),
            timeout_ms: 10_000,
            ..Default::default()
        };
        self.send(ApiKey::DeleteTopics, 5, |writer| request.encode(writer, 5)).await;
        self.answer(ApiKey::DeleteTopics, 5).await;
    }

    /// The groups, once they are loaded.
    async fn groups(&mut self) -> Vec<(String, String)> {
        let request = ListGroupsRequest::default();
        let (key, version) = (ApiKey::ListGroups, LIST_GROUPS);
        loop {
            self.send(key, version, |writer| request.encode(writer, version)).await;
            let answer = self.answer(key, version).await;
            let response = ListGroupsResponse::decode(&mut answer.body(), version).unwrap();
            if response.error_code != COORDINATOR_LOAD_IN_PROGRESS {
                assert_eq!(response.error_code, OK);
                let own = response.groups.iter();
                return own.map(|it| (it.group_id.into(), it.group_state.into())).collect();
            }
            self.env.clock.sleep(Duration::from_millis(10)).await;
        }
    }
}

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
        one.create_with_partitions(4).await;
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
        client.create_with_partitions(2).await;
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
