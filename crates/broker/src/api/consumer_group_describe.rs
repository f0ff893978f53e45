//! ConsumerGroupDescribe: consumer groups with their members (KIP-848).

use ottla_coordinator::{
    DescribedConsumerGroup, DescribedConsumerMember, DescribedPartitions, GroupAnswer, GroupId,
    GroupRequest, InstanceId,
};
use ottla_wire::ErrorCode;
use ottla_wire::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use ottla_wire::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse};

use super::consumer_group_heartbeat::serves_consumer_groups;
use super::describe_groups::{GROUP_OPERATIONS, ask_shards};
use super::group_errors::unavailable_code;
use super::{Answer, Call, Refused, each_once, encode};

/// Kafka's numbers of the protocols that a member may speak.
const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

/// What is told of one group, or why nothing is.
type Told = Result<DescribedConsumerGroup, (ErrorCode, Option<String>)>;

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = ConsumerGroupDescribeRequest::decode(&mut call.body, version)?;
    let names = each_once(&request.group_ids)?;
    let names: Vec<GroupId> = names.iter().map(|name| GroupId::new(name)).collect();
    if !serves_consumer_groups(&call.broker.metadata.image()) {
        let unsupported = Err((ErrorCode::UnsupportedVersion, None));
        let told: Vec<_> = names.into_iter().map(|name| (name, unsupported.clone())).collect();
        return Ok(Answer::Now(answer(&told, i32::MIN, version)?));
    }
    let operations =
        if request.include_authorized_operations { GROUP_OPERATIONS } else { i32::MIN };
    let (unnamed, names): (Vec<GroupId>, Vec<GroupId>) =
        names.into_iter().partition(|name| name.as_str().is_empty());
    let asked = ask_shards(call.broker, &names, GroupRequest::ConsumerDescribe);
    Ok(Answer::Later(Box::pin(async move {
        let nameless = |group| (group, Err((ErrorCode::InvalidGroupId, None)));
        let mut told: Vec<(GroupId, Told)> = unnamed.into_iter().map(nameless).collect();
        for (groups, asked) in asked {
            match asked.await {
                Ok(GroupAnswer::ConsumerDescribe(described)) => {
                    told.extend(described.into_iter().map(|(group, described)| {
                        let not_found = |why: ottla_coordinator::GroupNotFound| {
                            (ErrorCode::GroupIdNotFound, Some(why.to_string()))
                        };
                        (group, described.map_err(not_found))
                    }));
                }
                Ok(other) => unreachable!("a shard answers what it was asked, and not {other:?}"),
                Err(why) => {
                    let code = unavailable_code(why);
                    told.extend(groups.into_iter().map(|group| (group, Err((code, None)))));
                }
            }
        }
        answer(&told, operations, version)
    })))
}

fn answer(told: &[(GroupId, Told)], operations: i32, version: i16) -> Result<Vec<u8>, Refused> {
    let groups = told.iter().map(|(group, told)| to_wire(group, told, operations));
    let response = ConsumerGroupDescribeResponse { groups: groups.collect(), ..Default::default() };
    encode(|writer| response.encode(writer, version))
}

fn to_wire<'a>(group: &'a GroupId, told: &'a Told, operations: i32) -> DescribedGroup<'a> {
    let group_id = group.as_str().into();
    match told {
        Ok(described) => DescribedGroup {
            group_id,
            group_state: described.state.into(),
            group_epoch: described.epoch.get(),
            assignment_epoch: described.assignment_epoch.get(),
            assignor_name: described.assignor.into(),
            members: described.members.iter().map(member_to_wire).collect(),
            authorized_operations: operations,
            ..Default::default()
        },
        Err((code, message)) => DescribedGroup {
            group_id,
            error_code: code.code(),
            error_message: message.as_deref().map(Into::into),
            ..Default::default()
        },
    }
}

fn member_to_wire(member: &DescribedConsumerMember) -> Member<'_> {
    Member {
        member_id: member.member.as_str().into(),
        instance_id: member.instance.as_ref().map(InstanceId::as_str).map(Into::into),
        rack_id: member.rack.as_deref().map(Into::into),
        member_epoch: member.epoch.to_wire(),
        client_id: member.client_id.as_ref().into(),
        client_host: member.client_host.as_ref().into(),
        subscribed_topic_names: member.topics.iter().map(|topic| topic.as_ref().into()).collect(),
        subscribed_topic_regex: member.regex.as_deref().map(Into::into),
        assignment: assignment_to_wire(&member.assignment),
        target_assignment: assignment_to_wire(&member.target),
        member_type: if member.is_classic { CLASSIC_MEMBER } else { CONSUMER_MEMBER },
        ..Default::default()
    }
}

fn assignment_to_wire(assigned: &[DescribedPartitions]) -> Assignment<'_> {
    let topics = assigned.iter().map(|topic| TopicPartitions {
        topic_id: topic.id,
        topic_name: topic.name.as_str().into(),
        partitions: topic.partitions.iter().map(|partition| partition.get()).collect(),
        ..Default::default()
    });
    Assignment { topic_partitions: topics.collect(), ..Default::default() }
}
