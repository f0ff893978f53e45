//! ListGroups: the groups that this node has.

use std::borrow::Cow;
use std::sync::Arc;

use ottla_coordinator::{GroupAnswer, GroupRequest, ListGroups, ListedGroup as Listed};
use ottla_wire::ErrorCode;
use ottla_wire::messages::list_groups_response::ListedGroup;
use ottla_wire::messages::{ListGroupsRequest, ListGroupsResponse};

use super::group_errors::unavailable_code;
use super::{Answer, Call, Refused, each_once, encode};
use crate::groups::{Asked, Unavailable};

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = ListGroupsRequest::decode(&mut call.body, version)?;
    let list = ListGroups {
        states: owned(each_once(&request.states_filter)?),
        kinds: owned(each_once(&request.types_filter)?),
    };
    let list = Arc::new(list);
    let asked = call.broker.groups.ask_all(|| GroupRequest::List(Arc::clone(&list)));
    Ok(Answer::Later(Box::pin(async move {
        let listed = collect(asked).await;
        let response = match &listed {
            Ok(groups) => ListGroupsResponse {
                groups: groups.iter().map(to_wire).collect(),
                ..Default::default()
            },
            Err(code) => ListGroupsResponse { error_code: code.code(), ..Default::default() },
        };
        encode(|writer| response.encode(writer, version))
    })))
}

fn owned(names: Vec<Cow<'_, str>>) -> Vec<String> {
    names.into_iter().map(Cow::into_owned).collect()
}

/// The groups of all shards, or why they cannot be told: half a list would be a lie.
async fn collect(asked: Vec<Asked>) -> Result<Vec<Listed>, ErrorCode> {
    let mut groups = Vec::new();
    for asked in asked {
        match asked.await {
            Ok(GroupAnswer::List(listed)) => groups.extend(listed),
            Ok(other) => unreachable!("a shard answers what it was asked, and not {other:?}"),
            // Another node lists them.
            Err(Unavailable::NotCoordinator) => {}
            Err(why) => return Err(unavailable_code(why)),
        }
    }
    Ok(groups)
}

fn to_wire(listed: &Listed) -> ListedGroup<'_> {
    ListedGroup {
        group_id: listed.group.as_str().into(),
        protocol_type: listed.protocol_type.as_ref().into(),
        group_state: listed.state.into(),
        group_type: listed.kind.name().into(),
        ..Default::default()
    }
}
