//! OffsetFetch: how far groups have read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_coordinator::{
    Epoch, FetchOffsets, FetchedOffset, FetchedTopic, GroupAnswer, GroupId, GroupRequest, MemberId,
    NamedPartitions,
};
use ottla_metadata::MetadataImage;
use ottla_types::{LeaderEpoch, Offset, Uuid};
use ottla_wire::ErrorCode;
use ottla_wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use ottla_wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use ottla_wire::messages::{OffsetFetchRequest, OffsetFetchResponse};

use super::group_errors::{fetch_offsets_code, unavailable_to_fetch_offsets};
use super::{Answer, Call, Refused, encode};
use crate::broker::Broker;
use crate::groups::{Answered, Asked};

/// Since this version many groups are asked for at once (KIP-709).
const GROUPS_SINCE: i16 = 8;
/// Since this version topics are named by their ids alone (KIP-848).
const TOPIC_IDS_SINCE: i16 = 10;
/// Since this version a group has an error of its own.
const GROUP_ERROR_SINCE: i16 = 2;

/// One group of the request.
struct Group {
    name: String,
    member: Option<MemberId>,
    epoch: Option<Epoch>,
    /// `None`: all that there are.
    topics: Option<Vec<Topic>>,
}

/// One topic of the request; without a name where its id is not known.
struct Topic {
    name: Option<Arc<str>>,
    id: Uuid,
    partitions: Vec<i32>,
}

/// What one group is answered.
struct Fetched {
    group: String,
    topics: Vec<Told>,
    error: ErrorCode,
}

struct Told {
    name: Arc<str>,
    id: Uuid,
    partitions: Vec<Position>,
}

/// How far a partition was read.
struct Position {
    index: i32,
    offset: Option<Offset>,
    leader_epoch: Option<LeaderEpoch>,
    metadata: Arc<str>,
    error: ErrorCode,
}

impl Position {
    /// Nothing is known, for this reason.
    fn none(index: i32, error: ErrorCode) -> Self {
        Self { index, offset: None, leader_epoch: None, metadata: Arc::from(""), error }
    }
}

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = OffsetFetchRequest::decode(&mut call.body, version)?;
    let image = call.broker.metadata.image();
    let groups = groups(&request, &image, version);
    // All of them first: the shards work side by side.
    let ask = |group: Group| (ask(call.broker, &group, request.require_stable), group);
    let asked: Vec<(Asked, Group)> = groups.into_iter().map(ask).collect();
    Ok(Answer::Later(Box::pin(async move {
        let mut fetched = Vec::with_capacity(asked.len());
        for (answer, group) in asked {
            fetched.push(settle(&image, group, answer.await, version));
        }
        encode_all(&fetched, version)
    })))
}

fn groups(request: &OffsetFetchRequest<'_>, image: &MetadataImage, version: i16) -> Vec<Group> {
    if version >= GROUPS_SINCE {
        // Each group once: to repeat it must not repeat all its offsets.
        let mut seen = BTreeSet::new();
        let groups = request.groups.iter().filter(|group| seen.insert(group.group_id.clone()));
        return groups.map(|group| from_wire(&group, image, version)).collect();
    }
    let topics = request.topics.as_ref().map(|topics| {
        let topic =
            |name: &str, partitions| Topic { name: Some(name.into()), id: Uuid::ZERO, partitions };
        let topics = topics.iter();
        once(topics.map(|it| topic(&it.name, it.partition_indexes.iter().collect())))
    });
    vec![Group { name: request.group_id.clone().into_owned(), member: None, epoch: None, topics }]
}

fn from_wire(group: &OffsetFetchRequestGroup<'_>, image: &MetadataImage, version: i16) -> Group {
    let name_of = |id: Uuid, name: &str| -> Option<Arc<str>> {
        match version {
            TOPIC_IDS_SINCE.. => image.topic_by_id(id).map(|topic| topic.name.as_str().into()),
            _ => Some(name.into()),
        }
    };
    Group {
        name: group.group_id.clone().into_owned(),
        member: group.member_id.as_deref().and_then(MemberId::from_wire),
        epoch: Epoch::from_wire(group.member_epoch),
        topics: group.topics.as_ref().map(|topics| {
            let topics = topics.iter().map(|topic| Topic {
                name: name_of(topic.topic_id, &topic.name),
                id: topic.topic_id,
                partitions: topic.partition_indexes.iter().collect(),
            });
            once(topics)
        }),
    }
}

/// Each partition once: metadata of 4 KiB may be told for four bytes.
fn once(topics: impl Iterator<Item = Topic>) -> Vec<Topic> {
    let mut seen: BTreeMap<(Option<Arc<str>>, Uuid), BTreeSet<i32>> = BTreeMap::new();
    let keep = |mut topic: Topic| {
        let told = seen.entry((topic.name.clone(), topic.id)).or_default();
        topic.partitions.retain(|index| told.insert(*index));
        topic
    };
    topics.map(keep).collect()
}

fn ask(broker: &Broker, group: &Group, require_stable: bool) -> Asked {
    let id = GroupId::new(&group.name);
    let named = |topic: &Topic| {
        let name = Arc::clone(topic.name.as_ref()?);
        Some(NamedPartitions { name, partitions: topic.partitions.clone() })
    };
    let topics = group.topics.as_ref().map(|topics| topics.iter().filter_map(named).collect());
    let fetch = FetchOffsets {
        group: id.clone(),
        member: group.member.clone(),
        epoch: group.epoch,
        topics,
        require_stable,
    };
    broker.groups.ask(&id, GroupRequest::FetchOffsets(fetch))
}

fn settle(image: &MetadataImage, group: Group, answered: Answered, version: i16) -> Fetched {
    let fetched = match answered {
        Ok(GroupAnswer::FetchOffsets(fetched)) => fetched.map_err(fetch_offsets_code),
        Ok(other) => unreachable!("a shard answers what it was asked, and not {other:?}"),
        Err(why) => Err(unavailable_to_fetch_offsets(why)),
    };
    let asked = group.topics.unwrap_or_default();
    let every = |topic: &Topic, error| Told {
        name: topic.name.clone().unwrap_or_else(|| Arc::from("")),
        id: topic.id,
        partitions: topic.partitions.iter().map(|index| Position::none(*index, error)).collect(),
    };
    match fetched {
        Ok(fetched) => {
            let known = fetched.iter().filter_map(|topic| told(image, topic, version));
            let unknown = asked.iter().filter(|topic| topic.name.is_none());
            let unknown = unknown.map(|topic| every(topic, ErrorCode::UnknownTopicId));
            Fetched {
                group: group.name,
                topics: known.chain(unknown).collect(),
                error: ErrorCode::None,
            }
        }
        Err(error) if version < GROUP_ERROR_SINCE => {
            let topics = asked.iter().map(|topic| every(topic, error)).collect();
            Fetched { group: group.name, topics, error: ErrorCode::None }
        }
        Err(error) => Fetched { group: group.name, topics: Vec::new(), error },
    }
}

/// `None` where the topic must be told by an id that it has not got any more.
fn told(image: &MetadataImage, fetched: &FetchedTopic, version: i16) -> Option<Told> {
    let id = image.topic(&fetched.name).map(|topic| topic.id);
    if version >= TOPIC_IDS_SINCE && id.is_none() {
        return None;
    }
    // Version 0 asked ZooKeeper, whose answer for what is not there was an error.
    let unknown = if version == 0 { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::None };
    let position = |(index, fetched): &(i32, FetchedOffset)| match fetched {
        FetchedOffset::Unknown => Position::none(*index, unknown),
        FetchedOffset::Unstable => Position::none(*index, ErrorCode::UnstableOffsetCommit),
        FetchedOffset::Committed { offset, leader_epoch, metadata } => Position {
            index: *index,
            offset: *offset,
            leader_epoch: *leader_epoch,
            metadata: Arc::clone(metadata),
            error: ErrorCode::None,
        },
    };
    Some(Told {
        name: Arc::clone(&fetched.name),
        id: id.unwrap_or(Uuid::ZERO),
        partitions: fetched.partitions.iter().map(position).collect(),
    })
}

fn encode_all(fetched: &[Fetched], version: i16) -> Result<Vec<u8>, Refused> {
    let response = match (version, fetched) {
        (GROUPS_SINCE.., groups) => OffsetFetchResponse {
            groups: groups.iter().map(group_to_wire).collect(),
            ..Default::default()
        },
        (_, [only]) => OffsetFetchResponse {
            error_code: only.error.code(),
            topics: only.topics.iter().map(topic_to_wire).collect(),
            ..Default::default()
        },
        (_, others) => unreachable!("{} groups, and versions before 8 have one", others.len()),
    };
    encode(|writer| response.encode(writer, version))
}

fn group_to_wire(fetched: &Fetched) -> OffsetFetchResponseGroup<'_> {
    let partition = |it: &Position| OffsetFetchResponsePartitions {
        partition_index: it.index,
        committed_offset: Offset::to_wire(it.offset),
        committed_leader_epoch: LeaderEpoch::to_wire(it.leader_epoch),
        metadata: Some(it.metadata.as_ref().to_owned().into()),
        error_code: it.error.code(),
        ..Default::default()
    };
    let topic = |told: &Told| OffsetFetchResponseTopics {
        name: told.name.as_ref().to_owned().into(),
        topic_id: told.id,
        partitions: told.partitions.iter().map(partition).collect(),
        ..Default::default()
    };
    OffsetFetchResponseGroup {
        group_id: fetched.group.as_str().into(),
        topics: fetched.topics.iter().map(topic).collect(),
        error_code: fetched.error.code(),
        ..Default::default()
    }
}

fn topic_to_wire(told: &Told) -> OffsetFetchResponseTopic<'_> {
    let partition = |it: &Position| OffsetFetchResponsePartition {
        partition_index: it.index,
        committed_offset: Offset::to_wire(it.offset),
        committed_leader_epoch: LeaderEpoch::to_wire(it.leader_epoch),
        metadata: Some(it.metadata.as_ref().to_owned().into()),
        error_code: it.error.code(),
        ..Default::default()
    };
    OffsetFetchResponseTopic {
        name: told.name.as_ref().into(),
        partitions: told.partitions.iter().map(partition).collect(),
        ..Default::default()
    }
}
