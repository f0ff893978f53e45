//! Heartbeat: a member of a classic group is alive, and hears of rebalances.

use ottla_coordinator::{
    Epoch, GroupAnswer, GroupId, GroupRequest, Heartbeat, InstanceId, MemberId,
};
use ottla_wire::ErrorCode;
use ottla_wire::messages::{HeartbeatRequest, HeartbeatResponse};

use super::group_errors::{heartbeat_code, unavailable_code};
use super::{Answer, Call, Refused, encode};
use crate::groups::{Answered, Unavailable};

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = HeartbeatRequest::decode(&mut call.body, version)?;
    let heartbeat = Heartbeat {
        group: GroupId::new(&request.group_id),
        generation: Epoch::from_wire(request.generation_id),
        member: MemberId::from_wire(&request.member_id),
        instance: request.group_instance_id.as_deref().map(InstanceId::new),
    };
    let group = heartbeat.group.clone();
    let asked = call.broker.groups.ask(&group, GroupRequest::Heartbeat(heartbeat));
    Ok(Answer::Later(Box::pin(async move {
        let error_code = code(asked.await).code();
        let response = HeartbeatResponse { error_code, ..Default::default() };
        encode(|writer| response.encode(writer, version))
    })))
}

fn code(answered: Answered) -> ErrorCode {
    match answered {
        Ok(GroupAnswer::Heartbeat(beaten)) => beaten.err().map_or(ErrorCode::None, heartbeat_code),
        Ok(other) => unreachable!("a shard answers what it was asked, and not {other:?}"),
        // Members do not know that code here, and would end. As in Kafka, they are told that all is
        // well: when the group is loaded, their sessions begin anew.
        Err(Unavailable::Loading) => ErrorCode::None,
        Err(why) => unavailable_code(why),
    }
}
