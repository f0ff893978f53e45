//! SyncGroup: the leader of a classic group hands over what each member gets.

use bytes::Bytes;
use ottla_coordinator::{
    Epoch, GroupAnswer, GroupId, GroupRequest, InstanceId, MemberAssignment, MemberId, SyncGroup,
};
use ottla_wire::ErrorCode;
use ottla_wire::messages::{SyncGroupRequest, SyncGroupResponse};

use super::group_errors::{sync_code, unavailable_code};
use super::{Answer, Call, Refused, encode};

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = SyncGroupRequest::decode(&mut call.body, version)?;
    // Not optional any more where they exist.
    if version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        let refused = refusal(ErrorCode::InconsistentGroupProtocol, version)?;
        return Ok(Answer::Now(refused));
    }
    let sync = from_wire(&request);
    let group = sync.group.clone();
    let asked = call.broker.groups.ask(&group, GroupRequest::Sync(sync));
    Ok(Answer::Later(Box::pin(async move {
        let response = match asked.await {
            Ok(GroupAnswer::Sync(Ok(synced))) => synced,
            Ok(GroupAnswer::Sync(Err(error))) => return refusal(sync_code(error), version),
            Ok(other) => unreachable!("a shard answers what it was asked, and not {other:?}"),
            Err(why) => return refusal(unavailable_code(why), version),
        };
        let response = SyncGroupResponse {
            protocol_type: response.protocol_type.as_deref().map(Into::into),
            protocol_name: response.protocol_name.as_deref().map(Into::into),
            assignment: response.assignment.as_ref().into(),
            ..Default::default()
        };
        encode(|writer| response.encode(writer, version))
    })))
}

fn from_wire(request: &SyncGroupRequest<'_>) -> SyncGroup {
    SyncGroup {
        group: GroupId::new(&request.group_id),
        generation: Epoch::from_wire(request.generation_id),
        member: MemberId::from_wire(&request.member_id),
        instance: request.group_instance_id.as_deref().map(InstanceId::new),
        protocol_type: request.protocol_type.as_deref().map(Into::into),
        protocol_name: request.protocol_name.as_deref().map(Into::into),
        assignments: request
            .assignments
            .iter()
            .map(|assigned| MemberAssignment {
                member: MemberId::new(&assigned.member_id),
                assignment: Bytes::copy_from_slice(&assigned.assignment),
            })
            .collect(),
    }
}

fn refusal(error: ErrorCode, version: i16) -> Result<Vec<u8>, Refused> {
    let response = SyncGroupResponse { error_code: error.code(), ..Default::default() };
    encode(|writer| response.encode(writer, version))
}
