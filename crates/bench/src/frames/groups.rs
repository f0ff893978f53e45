//! The requests of group members, and what their answers say.

use std::borrow::Cow;

use ottla_types::Uuid;
use ottla_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use ottla_wire::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_wire::messages::leave_group_request::MemberIdentity;
use ottla_wire::messages::metadata_request::MetadataRequestTopic;
use ottla_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla_wire::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, MetadataRequest, MetadataResponse, SyncGroupRequest,
    SyncGroupResponse,
};
use ottla_wire::{ApiKey, ErrorCode};

use super::{body, frame};

const FIND_COORDINATOR_VERSION: i16 = 3;
const JOIN_VERSION: i16 = 7;
const SYNC_VERSION: i16 = 5;
const HEARTBEAT_VERSION: i16 = 4;
const LEAVE_VERSION: i16 = 4;
/// The first in which the member names itself.
const CONSUMER_HEARTBEAT_VERSION: i16 = 1;
/// The first whose answer names topic ids.
const METADATA_VERSION: i16 = 10;

const PROTOCOL_TYPE: &str = "consumer";
const PROTOCOL: &str = "range";
/// Members of a group answer a rebalance at once here; nobody waits for a slow one.
const REBALANCE_TIMEOUT_MS: i32 = 60_000;

/// What a member of a classic group is, as the broker has told it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Membership {
    pub(crate) group: String,
    pub(crate) member: String,
    pub(crate) generation: i32,
}

/// Whose answer cannot be used yet: the group's coordinator is being made or is loading.
pub(crate) fn is_too_early(code: i16) -> bool {
    use ErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
    let early = [CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator];
    ErrorCode::from_wire(code).is_some_and(|code| early.contains(&code))
}

pub(crate) fn find_coordinator(group: &str) -> Vec<u8> {
    let request = FindCoordinatorRequest { key: group.into(), ..Default::default() };
    frame(ApiKey::FindCoordinator, FIND_COORDINATOR_VERSION, |writer| {
        request.encode(writer, FIND_COORDINATOR_VERSION).expect("this version has every field");
    })
}

/// The error code of the answer.
pub(crate) fn coordinator_found(frame: &[u8]) -> Result<i16, String> {
    let mut reader = body(frame, ApiKey::FindCoordinator, FIND_COORDINATOR_VERSION)?;
    let answer = FindCoordinatorResponse::decode(&mut reader, FIND_COORDINATOR_VERSION)
        .map_err(|error| format!("FindCoordinator: {error}"))?;
    Ok(answer.error_code)
}

pub(crate) fn topic_id(topic: &str) -> Vec<u8> {
    let topic = MetadataRequestTopic {
        name: Some(Cow::Borrowed(topic)),
        ..MetadataRequestTopic::default()
    };
    let topics = Some(vec![topic].into());
    let request = MetadataRequest { topics, ..MetadataRequest::default() };
    frame(ApiKey::Metadata, METADATA_VERSION, |writer| {
        request.encode(writer, METADATA_VERSION).expect("this version has every field");
    })
}

pub(crate) fn topic_id_found(frame: &[u8]) -> Result<Uuid, String> {
    let mut reader = body(frame, ApiKey::Metadata, METADATA_VERSION)?;
    let answer = MetadataResponse::decode(&mut reader, METADATA_VERSION)
        .map_err(|error| format!("Metadata: {error}"))?;
    let topic = answer.topics.first().ok_or("Metadata: no topic came back")?;
    Ok(topic.topic_id)
}

/// Enters the group, or says so again.
pub(crate) fn join(of: &Membership, topic: &str, session_ms: i32) -> Vec<u8> {
    let protocol = JoinGroupRequestProtocol {
        name: PROTOCOL.into(),
        metadata: Cow::Owned(subscription(topic)),
        ..JoinGroupRequestProtocol::default()
    };
    let request = JoinGroupRequest {
        group_id: of.group.as_str().into(),
        session_timeout_ms: session_ms,
        rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
        member_id: of.member.as_str().into(),
        protocol_type: PROTOCOL_TYPE.into(),
        protocols: vec![protocol].into(),
        ..JoinGroupRequest::default()
    };
    frame(ApiKey::JoinGroup, JOIN_VERSION, |writer| {
        request.encode(writer, JOIN_VERSION).expect("this version has every field");
    })
}

/// What came of joining.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) code: i16,
    pub(crate) generation: i32,
    pub(crate) member: String,
    /// All members where this one leads them, else nobody.
    pub(crate) led: Vec<String>,
}

pub(crate) fn joined(frame: &[u8]) -> Result<Joined, String> {
    let mut reader = body(frame, ApiKey::JoinGroup, JOIN_VERSION)?;
    let answer = JoinGroupResponse::decode(&mut reader, JOIN_VERSION)
        .map_err(|error| format!("JoinGroup: {error}"))?;
    Ok(Joined {
        code: answer.error_code,
        generation: answer.generation_id,
        member: answer.member_id.clone().into_owned(),
        led: answer.members.iter().map(|member| member.member_id.into_owned()).collect(),
    })
}

/// Hands over what everybody gets, where this member leads, and asks for its own.
pub(crate) fn sync(of: &Membership, topic: &str, led: &[String], partitions: i32) -> Vec<u8> {
    let all = i32::try_from(led.len()).expect("far fewer members");
    let assignment = |(place, member): (i32, &String)| SyncGroupRequestAssignment {
        member_id: Cow::Owned(member.clone()),
        assignment: Cow::Owned(assignment(topic, share(place, all, partitions))),
        ..SyncGroupRequestAssignment::default()
    };
    let request = SyncGroupRequest {
        group_id: of.group.as_str().into(),
        generation_id: of.generation,
        member_id: of.member.as_str().into(),
        protocol_type: Some(PROTOCOL_TYPE.into()),
        protocol_name: Some(PROTOCOL.into()),
        assignments: (0..).zip(led).map(assignment).collect::<Vec<_>>().into(),
        ..SyncGroupRequest::default()
    };
    frame(ApiKey::SyncGroup, SYNC_VERSION, |writer| {
        request.encode(writer, SYNC_VERSION).expect("this version has every field");
    })
}

/// The error code, and how many partitions the member has got.
pub(crate) fn synced(frame: &[u8]) -> Result<(i16, usize), String> {
    let mut reader = body(frame, ApiKey::SyncGroup, SYNC_VERSION)?;
    let answer = SyncGroupResponse::decode(&mut reader, SYNC_VERSION)
        .map_err(|error| format!("SyncGroup: {error}"))?;
    Ok((answer.error_code, assigned(&answer.assignment)))
}

pub(crate) fn heartbeat(of: &Membership) -> Vec<u8> {
    let request = HeartbeatRequest {
        group_id: of.group.as_str().into(),
        generation_id: of.generation,
        member_id: of.member.as_str().into(),
        ..HeartbeatRequest::default()
    };
    frame(ApiKey::Heartbeat, HEARTBEAT_VERSION, |writer| {
        request.encode(writer, HEARTBEAT_VERSION).expect("this version has every field");
    })
}

/// The error code of the answer.
pub(crate) fn heartbeat_answered(frame: &[u8]) -> Result<i16, String> {
    let mut reader = body(frame, ApiKey::Heartbeat, HEARTBEAT_VERSION)?;
    HeartbeatResponse::decode(&mut reader, HEARTBEAT_VERSION)
        .map(|answer| answer.error_code)
        .map_err(|error| format!("Heartbeat: {error}"))
}

pub(crate) fn leave(of: &Membership) -> Vec<u8> {
    let member =
        MemberIdentity { member_id: of.member.as_str().into(), ..MemberIdentity::default() };
    let request = LeaveGroupRequest {
        group_id: of.group.as_str().into(),
        members: vec![member].into(),
        ..LeaveGroupRequest::default()
    };
    frame(ApiKey::LeaveGroup, LEAVE_VERSION, |writer| {
        request.encode(writer, LEAVE_VERSION).expect("this version has every field");
    })
}

/// What a member of a consumer group says: epoch 0 joins, -1 leaves; `owned` only where it has
/// changed.
pub(crate) fn consumer_heartbeat(
    of: &Membership,
    topic: Option<&str>,
    owned: Option<(Uuid, &[i32])>,
) -> Vec<u8> {
    let of_topic = |(topic_id, partitions): (Uuid, &[i32])| match partitions {
        [] => Vec::new(),
        _ => vec![TopicPartitions {
            topic_id,
            partitions: partitions.to_vec().into(),
            ..TopicPartitions::default()
        }],
    };
    let request = ConsumerGroupHeartbeatRequest {
        group_id: of.group.as_str().into(),
        member_id: of.member.as_str().into(),
        member_epoch: of.generation,
        rebalance_timeout_ms: topic.map_or(-1, |_| REBALANCE_TIMEOUT_MS),
        subscribed_topic_names: topic.map(|topic| vec![Cow::Borrowed(topic)].into()),
        topic_partitions: owned.map(|owned| of_topic(owned).into()),
        ..ConsumerGroupHeartbeatRequest::default()
    };
    frame(ApiKey::ConsumerGroupHeartbeat, CONSUMER_HEARTBEAT_VERSION, |writer| {
        request.encode(writer, CONSUMER_HEARTBEAT_VERSION).expect("this version has every field");
    })
}

/// What the broker tells a member of a consumer group.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: i16,
    pub(crate) epoch: i32,
    pub(crate) interval_ms: i32,
    /// Where it has changed.
    pub(crate) assignment: Option<Vec<i32>>,
}

pub(crate) fn told(frame: &[u8]) -> Result<Told, String> {
    let mut reader = body(frame, ApiKey::ConsumerGroupHeartbeat, CONSUMER_HEARTBEAT_VERSION)?;
    let answer = ConsumerGroupHeartbeatResponse::decode(&mut reader, CONSUMER_HEARTBEAT_VERSION)
        .map_err(|error| format!("ConsumerGroupHeartbeat: {error}"))?;
    let assignment = answer.assignment.as_ref().map(|assignment| {
        let topics = assignment.topic_partitions.iter();
        topics.flat_map(|topic| topic.partitions.iter().collect::<Vec<_>>()).collect()
    });
    Ok(Told {
        code: answer.error_code,
        epoch: answer.member_epoch,
        interval_ms: answer.heartbeat_interval_ms,
        assignment,
    })
}

/// An error code by its name.
pub(crate) fn error_name(code: i16) -> &'static str {
    ErrorCode::from_wire(code).map_or("an unknown error", ErrorCode::name)
}

/// What a consumer wants, as consumers write it: version 0, one topic, no words of its own.
fn subscription(topic: &str) -> Vec<u8> {
    let mut bytes = named(topic);
    bytes.extend((-1_i32).to_be_bytes());
    bytes
}

/// What a consumer gets, as consumers read it: version 0, one topic.
fn assignment(topic: &str, partitions: std::ops::Range<i32>) -> Vec<u8> {
    let mut bytes = named(topic);
    bytes.extend(i32::try_from(partitions.len()).expect("as many as an i32 counts").to_be_bytes());
    bytes.extend(partitions.flat_map(i32::to_be_bytes));
    bytes.extend((-1_i32).to_be_bytes());
    bytes
}

fn named(topic: &str) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0, 0, 1];
    bytes.extend(u16::try_from(topic.len()).expect("a topic's name is short").to_be_bytes());
    bytes.extend(topic.as_bytes());
    bytes
}

/// How many partitions an assignment of one topic holds.
fn assigned(assignment: &[u8]) -> usize {
    let name =
        assignment.get(6..8).map_or(0, |len| usize::from(u16::from_be_bytes([len[0], len[1]])));
    let count = assignment.get(8 + name..).and_then(|rest| rest.first_chunk::<4>());
    count.map_or(0, |count| u32::from_be_bytes(*count) as usize)
}

/// The partitions of one of `all` members, as even as they can be.
fn share(place: i32, all: i32, partitions: i32) -> std::ops::Range<i32> {
    // No overflow: thousands of partitions times hundreds of members.
    let start = |place| partitions * place / all;
    start(place)..start(place + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_even_and_leave_nothing_out() {
        check(12, 3, &[4, 4, 4]);
        check(7, 3, &[2, 2, 3]);
        check(2, 3, &[0, 1, 1]);
    }

    fn check(partitions: i32, members: i32, expected: &[usize]) {
        let shares: Vec<_> = (0..members).map(|place| share(place, members, partitions)).collect();
        let lengths: Vec<usize> = shares.iter().map(ExactSizeIterator::len).collect();
        assert_eq!(lengths, expected, "{partitions} partitions, {members} members");
        let all: Vec<i32> = shares.into_iter().flatten().collect();
        assert_eq!(all, (0..partitions).collect::<Vec<_>>());
    }

    #[test]
    fn an_assignment_says_how_many_partitions_it_holds() {
        assert_eq!(assigned(&assignment("some-topic", 3..7)), 4);
        assert_eq!(assigned(&[]), 0);
    }
}
