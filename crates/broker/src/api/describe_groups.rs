//! DescribeGroups: classic groups with their members.

use std::collections::BTreeMap;

use ottla_coordinator::{
    DescribedGroup as Described, DescribedMember, GroupAnswer, GroupId, GroupNotFound, GroupRequest,
};
use ottla_types::PartitionId;
use ottla_wire::ErrorCode;
use ottla_wire::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use ottla_wire::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use super::group_errors::unavailable_code;
use super::{Answer, Call, Refused, each_once, encode};
use crate::broker::Broker;
use crate::groups::Asked;

/// What anybody may do with a group while nobody is forbidden anything: a bit for READ, DELETE,
/// DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS each.
pub(super) const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

/// Since this version a group that does not exist is an error; before, it was `Dead`.
const NOT_FOUND_SINCE: i16 = 6;

/// What is told of one group.
enum Told {
    Group(Described),
    NotFound(GroupNotFound),
    Unavailable(ErrorCode),
}

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = DescribeGroupsRequest::decode(&mut call.body, version)?;
    let names = each_once(&request.groups)?;
    let names: Vec<GroupId> = names.iter().map(|name| GroupId::new(name)).collect();
    let operations =
        if request.include_authorized_operations { GROUP_OPERATIONS } else { i32::MIN };
    let asked = ask_shards(call.broker, &names, GroupRequest::Describe);
    Ok(Answer::Later(Box::pin(async move {
        let mut told = Vec::with_capacity(names.len());
        for (groups, asked) in asked {
            match asked.await {
                Ok(GroupAnswer::Describe(described)) => {
                    told.extend(described.into_iter().map(|(group, described)| {
                        (group, described.map_or_else(Told::NotFound, Told::Group))
                    }));
                }
                Ok(other) => unreachable!("a shard answers what it was asked, and not {other:?}"),
                Err(why) => {
                    let code = unavailable_code(why);
                    told.extend(groups.into_iter().map(|it| (it, Told::Unavailable(code))));
                }
            }
        }
        let groups = told.iter().map(|(group, told)| to_wire(group, told, operations, version));
        let response = DescribeGroupsResponse { groups: groups.collect(), ..Default::default() };
        encode(|writer| response.encode(writer, version))
    })))
}

/// Asks each shard for those of the groups that it has; all of them at once.
pub(super) fn ask_shards(
    broker: &Broker,
    groups: &[GroupId],
    request: impl Fn(Vec<GroupId>) -> GroupRequest,
) -> Vec<(Vec<GroupId>, Asked)> {
    let mut shards: BTreeMap<Option<PartitionId>, Vec<GroupId>> = BTreeMap::new();
    for group in groups {
        shards.entry(broker.groups.partition_of(group)).or_default().push(group.clone());
    }
    let ask = |groups: Vec<GroupId>| {
        let asked = broker.groups.ask(&groups[0], request(groups.clone()));
        (groups, asked)
    };
    shards.into_values().map(ask).collect()
}

fn to_wire<'a>(
    group: &'a GroupId,
    told: &'a Told,
    operations: i32,
    version: i16,
) -> DescribedGroup<'a> {
    let group_id = group.as_str().into();
    match told {
        Told::Group(described) => DescribedGroup {
            group_id,
            group_state: described.state.into(),
            protocol_type: described.protocol_type.as_ref().into(),
            protocol_data: described.protocol.as_ref().into(),
            members: described.members.iter().map(member_to_wire).collect(),
            authorized_operations: if version >= 3 { operations } else { i32::MIN },
            ..Default::default()
        },
        Told::NotFound(why) if version >= NOT_FOUND_SINCE => DescribedGroup {
            group_id,
            group_state: "Dead".into(),
            error_code: ErrorCode::GroupIdNotFound.code(),
            error_message: Some(why.to_string().into()),
            ..Default::default()
        },
        Told::NotFound(_) => DescribedGroup {
            group_id,
            group_state: "Dead".into(),
            authorized_operations: if version >= 3 { operations } else { i32::MIN },
            ..Default::default()
        },
        Told::Unavailable(code) => {
            DescribedGroup { group_id, error_code: code.code(), ..Default::default() }
        }
    }
}

fn member_to_wire(member: &DescribedMember) -> DescribedGroupMember<'_> {
    DescribedGroupMember {
        member_id: member.member.as_str().into(),
        group_instance_id: member.instance.as_ref().map(|instance| instance.as_str().into()),
        client_id: member.client_id.as_ref().into(),
        client_host: member.client_host.as_ref().into(),
        member_metadata: member.metadata.as_ref().into(),
        member_assignment: member.assignment.as_ref().into(),
        ..Default::default()
    }
}
