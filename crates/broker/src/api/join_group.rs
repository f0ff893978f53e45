//! JoinGroup: into a classic group, and again in each of its rebalances.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use ottla_coordinator::{
    Client, Epoch, GroupAnswer, GroupId, GroupRequest, InstanceId, JoinAnswer, JoinGroup, MemberId,
    Protocol,
};
use ottla_types::Uuid;
use ottla_wire::ErrorCode;
use ottla_wire::messages::join_group_response::JoinGroupResponseMember;
use ottla_wire::messages::{JoinGroupRequest, JoinGroupResponse};

use super::group_errors::{join_code, unavailable_code};
use super::{Answer, Call, Refused, encode};

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = JoinGroupRequest::decode(&mut call.body, version)?;
    let client = client(&call);
    let join = from_wire(&request, client, call.broker.env.rng.uuid(), version);
    let group = join.group.clone();
    let asked = call.broker.groups.ask(&group, GroupRequest::Join(join));
    Ok(Answer::Later(Box::pin(async move {
        match asked.await {
            Ok(GroupAnswer::Join(Ok(joined))) => answer(&joined, version),
            Ok(GroupAnswer::Join(Err(refused))) => {
                refusal(join_code(refused.why), refused.member.as_ref(), version)
            }
            Ok(other) => unreachable!("a shard answers what it was asked, and not {other:?}"),
            Err(why) => refusal(unavailable_code(why), None, version),
        }
    })))
}

/// Who calls, as Kafka tells it in DescribeGroups.
pub(super) fn client(call: &Call<'_>) -> Client {
    Client { id: call.client_id.unwrap_or_default().into(), host: host(call.peer).into() }
}

/// As Java writes an address without a name: a slash, and version 6 in full.
fn host(peer: IpAddr) -> String {
    match peer {
        IpAddr::V4(address) => format!("/{address}"),
        IpAddr::V6(address) => {
            let parts = address.segments().map(|part| format!("{part:x}"));
            format!("/{}", parts.join(":"))
        }
    }
}

/// A time in milliseconds; a negative one is none at all.
fn millis(raw: i32) -> Duration {
    Duration::from_millis(u64::try_from(raw).unwrap_or(0))
}

fn from_wire(
    request: &JoinGroupRequest<'_>,
    client: Client,
    drawn: Uuid,
    version: i16,
) -> JoinGroup {
    let session_timeout = millis(request.session_timeout_ms);
    JoinGroup {
        group: GroupId::new(&request.group_id),
        member: MemberId::from_wire(&request.member_id),
        instance: request.group_instance_id.as_deref().map(InstanceId::new),
        client,
        session_timeout,
        rebalance_timeout: match version {
            0 => session_timeout,
            _ => millis(request.rebalance_timeout_ms),
        },
        protocol_type: request.protocol_type.as_ref().into(),
        protocols: request
            .protocols
            .iter()
            .map(|protocol| Protocol {
                name: protocol.name.as_ref().into(),
                metadata: Bytes::copy_from_slice(&protocol.metadata),
            })
            .collect(),
        reason: request.reason.as_deref().map(str::to_owned),
        takes_member_id_first: version >= 4,
        knows_skip_assignment: version >= 9,
        drawn,
    }
}

fn answer(joined: &JoinAnswer, version: i16) -> Result<Vec<u8>, Refused> {
    let response = JoinGroupResponse {
        generation_id: joined.generation.get(),
        protocol_type: joined.protocol_type.as_deref().map(Into::into),
        protocol_name: protocol_name(joined.protocol_name.as_deref(), version).map(Into::into),
        leader: joined.leader.as_ref().map_or("", MemberId::as_str).into(),
        skip_assignment: joined.skip_assignment && version >= 9,
        member_id: joined.member.as_str().into(),
        members: joined
            .members
            .iter()
            .map(|member| JoinGroupResponseMember {
                member_id: member.member.as_str().into(),
                group_instance_id: member.instance.as_ref().map(|it| it.as_str().into()),
                metadata: member.metadata.as_ref().into(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    encode(|writer| response.encode(writer, version))
}

/// Before version 7 there was no null.
fn protocol_name(chosen: Option<&str>, version: i16) -> Option<&str> {
    match version {
        7.. => chosen.filter(|name| !name.is_empty()),
        _ => Some(chosen.unwrap_or_default()),
    }
}

fn refusal(error: ErrorCode, member: Option<&MemberId>, version: i16) -> Result<Vec<u8>, Refused> {
    let response = JoinGroupResponse {
        error_code: error.code(),
        generation_id: Epoch::to_wire(None),
        protocol_name: protocol_name(None, version).map(Into::into),
        member_id: member.map_or("", MemberId::as_str).into(),
        ..Default::default()
    };
    encode(|writer| response.encode(writer, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_as_java_tells_them() {
        check("127.0.0.1", "/127.0.0.1");
        check("::1", "/0:0:0:0:0:0:0:1");
        check("fe80::ab:cd", "/fe80:0:0:0:0:0:ab:cd");
    }

    fn check(address: &str, told: &str) {
        assert_eq!(host(address.parse().unwrap()), told);
    }

    #[test]
    fn no_protocol_is_null_since_version_7() {
        for (chosen, version, told) in [
            (None, 6, Some("")),
            (None, 7, None),
            (Some(""), 7, None),
            (Some("range"), 9, Some("range")),
        ] {
            assert_eq!(protocol_name(chosen, version), told, "{chosen:?} in version {version}");
        }
    }
}
