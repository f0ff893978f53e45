//! What group tests ask of a node.

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

use super::super::*;
use super::*;

/// A member's view of its group.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Joined {
    pub(super) error: i16,
    pub(super) member: String,
    pub(super) generation: i32,
    pub(super) leader: String,
    pub(super) members: Vec<String>,
}

/// What a member of a consumer group is told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Beaten {
    pub(super) error: i16,
    pub(super) epoch: i32,
    /// Partitions of the only topic.
    pub(super) assigned: Option<Vec<i32>>,
}

impl Client {
    /// A heartbeat in a consumer group; with 0 as epoch the member enters, and wants the topic.
    pub(super) async fn consume(
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
    pub(in super::super) async fn find(&mut self, key_type: i8, group: &str) -> (i16, i32) {
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

    pub(super) async fn send_join(&mut self, member: &str) {
        self.send_join_with(member, b"topics").await;
    }

    pub(super) async fn send_join_with(&mut self, member: &str, metadata: &[u8]) {
        let protocol = JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: metadata.into(),
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

    pub(super) async fn joined(&mut self) -> Joined {
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
    pub(super) async fn member_id(&mut self) -> String {
        self.send_join("").await;
        let joined = self.joined().await;
        assert_eq!(joined.error, MEMBER_ID_REQUIRED);
        joined.member
    }

    /// The error code, and what the member is assigned.
    pub(super) async fn sync(
        &mut self,
        joined: &Joined,
        assigned: &[(&str, &[u8])],
    ) -> (i16, Vec<u8>) {
        self.send_sync(joined, assigned).await;
        self.synced().await
    }

    pub(super) async fn send_sync(&mut self, joined: &Joined, assigned: &[(&str, &[u8])]) {
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

    pub(super) async fn synced(&mut self) -> (i16, Vec<u8>) {
        let answer = self.answer(ApiKey::SyncGroup, SYNC).await;
        let response = SyncGroupResponse::decode(&mut answer.body(), SYNC).unwrap();
        (response.error_code, response.assignment.into_owned())
    }

    pub(super) async fn beat(&mut self, joined: &Joined) -> i16 {
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

    pub(super) async fn leave(&mut self, member: &str) -> (i16, i16) {
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
    pub(super) async fn commit(&mut self, offset: i64) -> i16 {
        self.commit_often(GROUP, offset, 1).await
    }

    /// The same offset again and again, in one request.
    pub(in super::super) async fn commit_often(
        &mut self,
        group: &str,
        offset: i64,
        times: usize,
    ) -> i16 {
        let partition = OffsetCommitRequestPartition {
            committed_offset: offset,
            committed_metadata: Some("so far".into()),
            ..Default::default()
        };
        let request = OffsetCommitRequest {
            group_id: group.into(),
            topics: vec![topic_with(vec![partition; times])].into(),
            ..Default::default()
        };
        self.sent_commit(&request).await
    }

    /// Commits an offset of the topic's first partition, as a member.
    pub(super) async fn commit_as(&mut self, joined: &Joined, offset: i64) -> i16 {
        let partition =
            OffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
        let request = OffsetCommitRequest {
            group_id: GROUP.into(),
            member_id: joined.member.as_str().into(),
            generation_id_or_member_epoch: joined.generation,
            topics: vec![topic_with(vec![partition])].into(),
            ..Default::default()
        };
        self.sent_commit(&request).await
    }

    async fn sent_commit(&mut self, request: &OffsetCommitRequest<'_>) -> i16 {
        self.send(ApiKey::OffsetCommit, COMMIT, |writer| request.encode(writer, COMMIT)).await;
        let answer = self.answer(ApiKey::OffsetCommit, COMMIT).await;
        let response = OffsetCommitResponse::decode(&mut answer.body(), COMMIT).unwrap();
        let topic = response.topics.first().unwrap();
        topic.partitions.first().unwrap().error_code
    }

    /// The group's error code, and the committed offset of the topic's first partition.
    pub(super) async fn committed(&mut self) -> (i16, i64) {
        self.committed_by(GROUP).await
    }

    pub(in super::super) async fn committed_by(&mut self, group: &str) -> (i16, i64) {
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

    /// Produces to a topic of the node's own.
    pub(super) async fn forge(&mut self) -> i16 {
        self.produce_to(("__consumer_offsets", 0), -1, &batch(10)).await.error
    }

    pub(super) async fn delete_topic(&mut self, name: &'static str) {
        let request = DeleteTopicsRequest {
            topic_names: vec![name.into()].into(),
            timeout_ms: 10_000,
            ..Default::default()
        };
        self.send(ApiKey::DeleteTopics, 5, |writer| request.encode(writer, 5)).await;
        self.answer(ApiKey::DeleteTopics, 5).await;
    }

    /// The groups, once they are loaded.
    pub(super) async fn groups(&mut self) -> Vec<(String, String)> {
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

fn topic_with(
    partitions: Vec<OffsetCommitRequestPartition<'static>>,
) -> OffsetCommitRequestTopic<'static> {
    OffsetCommitRequestTopic {
        name: TOPIC.into(),
        partitions: partitions.into(),
        ..Default::default()
    }
}
