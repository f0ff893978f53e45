//! DeleteGroups: groups without members, with their offsets.

use std::collections::BTreeSet;

use ottla_coordinator::{DeleteGroupError, GroupAnswer, GroupId, GroupRequest};
use ottla_wire::ErrorCode;
use ottla_wire::messages::delete_groups_response::DeletableGroupResult;
use ottla_wire::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::describe_groups::ask_shards;
use super::group_errors::{delete_group_code, unavailable_code};
use super::{Answer, Call, Refused, encode};
use crate::groups::Unavailable;

/// Why a group is still there.
enum Kept {
    Refused(DeleteGroupError),
    Unavailable(Unavailable),
}

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = DeleteGroupsRequest::decode(&mut call.body, version)?;
    // Each once, as in Kafka.
    let mut seen = BTreeSet::new();
    let names = request.groups_names.iter().map(|name| GroupId::new(&name));
    let names: Vec<GroupId> = names.filter(|name| seen.insert(name.clone())).collect();
    let asked = ask_shards(call.broker, &names, GroupRequest::Delete);
    Ok(Answer::Later(Box::pin(async move {
        let mut results = Vec::with_capacity(names.len());
        for (groups, asked) in asked {
            match asked.await {
                Ok(GroupAnswer::Delete(deleted)) => {
                    let deleted = deleted.into_iter();
                    results.extend(deleted.map(|(group, it)| (group, it.map_err(Kept::Refused))));
                }
                Ok(other) => unreachable!("a shard answers what it was asked, and not {other:?}"),
                Err(why) => {
                    let kept = groups.into_iter().map(|it| (it, Err(Kept::Unavailable(why))));
                    results.extend(kept);
                }
            }
        }
        let results = results.iter().map(|(group, result)| to_wire(group, result));
        let response = DeleteGroupsResponse { results: results.collect(), ..Default::default() };
        encode(|writer| response.encode(writer, version))
    })))
}

fn to_wire<'a>(group: &'a GroupId, result: &Result<(), Kept>) -> DeletableGroupResult<'a> {
    let (code, message) = match result {
        Ok(()) => (ErrorCode::None, None),
        Err(Kept::Refused(error)) => (delete_group_code(*error), Some(error.to_string())),
        Err(Kept::Unavailable(why)) => (unavailable_code(*why), Some(why.to_string())),
    };
    DeletableGroupResult {
        group_id: group.as_str().into(),
        error_code: code.code(),
        error_message: message.map(Into::into),
        ..Default::default()
    }
}
