//! LeaveGroup: members go, or an operator removes them.

use ottla_coordinator::{
    GroupAnswer, GroupId, GroupRequest, InstanceId, LeaveGroup, Leaver, LeftMember, MemberId,
};
use ottla_wire::ErrorCode;
use ottla_wire::messages::leave_group_response::MemberResponse;
use ottla_wire::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::group_errors::{leave_code, unavailable_code};
use super::{Answer, Call, Refused, encode};

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = LeaveGroupRequest::decode(&mut call.body, version)?;
    let leave =
        LeaveGroup { group: GroupId::new(&request.group_id), members: leavers(&request, version) };
    let group = leave.group.clone();
    let asked = call.broker.groups.ask(&group, GroupRequest::Leave(leave));
    Ok(Answer::Later(Box::pin(async move {
        match asked.await {
            Ok(GroupAnswer::Leave(Ok(left))) => answer(&left, version),
            Ok(GroupAnswer::Leave(Err(_))) => refusal(ErrorCode::InvalidGroupId, version),
            Ok(other) => unreachable!("a shard answers what it was asked, and not {other:?}"),
            Err(why) => refusal(unavailable_code(why), version),
        }
    })))
}

fn leavers(request: &LeaveGroupRequest<'_>, version: i16) -> Vec<Leaver> {
    if version < 3 {
        let member = MemberId::from_wire(&request.member_id);
        return vec![Leaver { member, instance: None, reason: None }];
    }
    let members = request.members.iter().map(|member| Leaver {
        member: MemberId::from_wire(&member.member_id),
        instance: member.group_instance_id.as_deref().map(InstanceId::new),
        reason: member.reason.as_deref().map(str::to_owned),
    });
    members.collect()
}

fn answer(left: &[LeftMember], version: i16) -> Result<Vec<u8>, Refused> {
    let code = |member: &LeftMember| member.result.map_or_else(leave_code, |()| ErrorCode::None);
    // One member, and so one error.
    if version < 3 {
        return refusal(left.first().map_or(ErrorCode::None, code), version);
    }
    let members = left.iter().map(|member| MemberResponse {
        member_id: member.member.as_ref().map_or("", MemberId::as_str).into(),
        group_instance_id: member.instance.as_ref().map(|instance| instance.as_str().into()),
        error_code: code(member).code(),
        ..Default::default()
    });
    let response = LeaveGroupResponse { members: members.collect(), ..Default::default() };
    encode(|writer| response.encode(writer, version))
}

fn refusal(error: ErrorCode, version: i16) -> Result<Vec<u8>, Refused> {
    let response = LeaveGroupResponse { error_code: error.code(), ..Default::default() };
    encode(|writer| response.encode(writer, version))
}
