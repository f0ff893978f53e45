//! OffsetDelete: offsets of topics that a group does not read any more.

use ottla_coordinator::{
    DeleteOffsets, DeletedOffsets, GroupAnswer, GroupId, GroupRequest, NamedPartitions,
};
use ottla_metadata::MetadataImage;
use ottla_types::PartitionId;
use ottla_wire::ErrorCode;
use ottla_wire::messages::offset_delete_request::OffsetDeleteRequestTopic;
use ottla_wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use ottla_wire::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::group_errors::{delete_offsets_code, delete_partition_code, unavailable_code};
use super::{Answer, Call, Refused, encode};

/// A topic of the request; an error, or `None` for what the group is asked to forget.
struct Topic {
    name: String,
    partitions: Vec<(i32, Option<ErrorCode>)>,
}

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = OffsetDeleteRequest::decode(&mut call.body, version)?;
    let image = call.broker.metadata.image();
    let mut topics: Vec<Topic> =
        request.topics.iter().map(|topic| look_up(&image, &topic)).collect();
    let group = GroupId::new(&request.group_id);
    // Also without any: the group may have something to say of itself.
    let to_delete = topics.iter().filter_map(|topic| {
        let known = topic.partitions.iter().filter(|(_, refused)| refused.is_none());
        let partitions: Vec<i32> = known.map(|(index, _)| *index).collect();
        let name = topic.name.as_str().into();
        (!partitions.is_empty()).then_some(NamedPartitions { name, partitions })
    });
    let delete = DeleteOffsets { group: group.clone(), topics: to_delete.collect() };
    let asked = call.broker.groups.ask(&group, GroupRequest::DeleteOffsets(delete));
    Ok(Answer::Later(Box::pin(async move {
        match asked.await {
            Ok(GroupAnswer::DeleteOffsets(Ok(deleted))) => {
                fill(&mut topics, &deleted);
                answer(&topics, version)
            }
            Ok(GroupAnswer::DeleteOffsets(Err(error))) => {
                refusal(delete_offsets_code(error), version)
            }
            Ok(other) => unreachable!("a shard answers what it was asked, and not {other:?}"),
            Err(why) => refusal(unavailable_code(why), version),
        }
    })))
}

fn look_up(image: &MetadataImage, asked: &OffsetDeleteRequestTopic<'_>) -> Topic {
    let found = image.topic(&asked.name);
    let exists = |index| {
        let index = PartitionId::from_wire(index)?;
        found?.partition(index)
    };
    let partitions = asked.partitions.iter().map(|partition| {
        let index = partition.partition_index;
        let missing = exists(index).is_none();
        (index, missing.then_some(ErrorCode::UnknownTopicOrPartition))
    });
    Topic { name: asked.name.clone().into_owned(), partitions: partitions.collect() }
}

/// Completes what the group was asked to forget: both are in the order of the request.
fn fill(topics: &mut [Topic], deleted: &[DeletedOffsets]) {
    let asked = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    let asked = asked.filter(|(_, refused)| refused.is_none());
    let results = deleted.iter().flat_map(|topic| &topic.partitions);
    for ((index, refused), (partition, result)) in asked.zip(results) {
        assert_eq!(index, partition, "answered in the order of the request");
        *refused = result.err().map(delete_partition_code);
    }
}

fn answer(topics: &[Topic], version: i16) -> Result<Vec<u8>, Refused> {
    let partition = |(index, refused): &(i32, Option<ErrorCode>)| OffsetDeleteResponsePartition {
        partition_index: *index,
        error_code: refused.unwrap_or(ErrorCode::None).code(),
    };
    let topics = topics.iter().map(|topic| OffsetDeleteResponseTopic {
        name: topic.name.as_str().into(),
        partitions: topic.partitions.iter().map(partition).collect(),
    });
    let response = OffsetDeleteResponse { topics: topics.collect(), ..Default::default() };
    encode(|writer| response.encode(writer, version))
}

fn refusal(error: ErrorCode, version: i16) -> Result<Vec<u8>, Refused> {
    let response = OffsetDeleteResponse { error_code: error.code(), ..Default::default() };
    encode(|writer| response.encode(writer, version))
}
