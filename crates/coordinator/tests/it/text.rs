//! Records and answers as a script shows them.

use std::fmt::Debug;

use bytes::Bytes;
use ottla_coordinator::{
    ClassicMemberValue, FetchedOffset, GroupAnswer, GroupRecord, JoinAnswer, MemberId,
};
use ottla_types::Offset;

const UUID: &str = "-00000000-0000-4000-8000-";

/// `a#1` for the id that client `a` got from the first draw.
pub(crate) fn long_id(short: &str) -> String {
    match short.split_once('#') {
        Some((client, drawn)) => {
            format!("{client}{UUID}{:012x}", drawn.parse::<u64>().unwrap())
        }
        None => short.to_owned(),
    }
}

/// The other way round, for every id in a text.
pub(crate) fn short_ids(text: &str) -> String {
    let mut parts = text.split(UUID);
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (drawn, rest) = part.split_at(12);
        short.push_str(&format!("#{}", u64::from_str_radix(drawn, 16).unwrap()));
        short.push_str(rest);
    }
    short
}

pub(crate) fn of_record(record: &GroupRecord) -> String {
    match record {
        GroupRecord::Offset { group, topic, partition, value: None } => {
            format!("{group} {topic}-{partition} forgotten")
        }
        GroupRecord::Offset { group, topic, partition, value: Some(value) } => {
            let expires = value.expires_at.map(|at| format!(" until {}", at.millis()));
            let offset = Offset::to_wire(value.offset);
            format!("{group} {topic}-{partition}={offset}{}", expires.unwrap_or_default())
        }
        GroupRecord::Classic { group, value: None } => format!("{group} gone"),
        GroupRecord::Classic { group, value: Some(value) } => {
            let members: Vec<_> = value.members.iter().map(of_member).collect();
            format!(
                "{group} generation {} type {:?} protocol {} leader {} members [{}]",
                value.generation,
                value.protocol_type,
                or_dash(value.protocol.as_ref()),
                or_dash(value.leader.as_ref()),
                members.join(", ")
            )
        }
        other => format!("{other:?}"),
    }
}

fn of_member(member: &ClassicMemberValue) -> String {
    let instance = member.instance.as_ref().map(|instance| format!("/{instance}"));
    format!("{}{}={}", member.member, instance.unwrap_or_default(), of_bytes(&member.assignment))
}

pub(crate) fn of_answer(answer: &GroupAnswer) -> String {
    match answer {
        GroupAnswer::Join(Ok(joined)) => of_joined(joined),
        GroupAnswer::Join(Err(refused)) => {
            format!("{:?} {}", refused.why, or_dash(refused.member.as_ref()))
        }
        GroupAnswer::Sync(Ok(synced)) => format!(
            "gets {} of {} {}",
            of_bytes(&synced.assignment),
            or_dash(synced.protocol_type.as_ref()),
            or_dash(synced.protocol_name.as_ref())
        ),
        GroupAnswer::Sync(Err(error)) => format!("{error:?}"),
        GroupAnswer::Heartbeat(result) => of_result(result),
        GroupAnswer::Leave(Err(error)) => format!("{error:?}"),
        GroupAnswer::Leave(Ok(left)) => {
            let each = left.iter().map(|left| {
                let who = (or_dash(left.member.as_ref()), or_dash(left.instance.as_ref()));
                format!("{}/{}: {}", who.0, who.1, of_result(&left.result))
            });
            each.collect::<Vec<_>>().join(", ")
        }
        other => of_other_answer(other),
    }
}

fn of_other_answer(answer: &GroupAnswer) -> String {
    match answer {
        GroupAnswer::CommitOffsets(Ok(committed)) => {
            let each = committed.topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(move |(partition, result)| {
                    format!("{}-{partition}: {}", topic.name, of_result(result))
                })
            });
            each.collect::<Vec<_>>().join(", ")
        }
        GroupAnswer::FetchOffsets(Ok(topics)) => {
            let each = topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(move |(partition, offset)| {
                    format!("{}-{partition}: {}", topic.name, of_fetched(offset))
                })
            });
            each.collect::<Vec<_>>().join(", ")
        }
        GroupAnswer::DeleteOffsets(Ok(topics)) => {
            let each = topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(move |(partition, result)| {
                    format!("{}-{partition}: {}", topic.name, of_result(result))
                })
            });
            each.collect::<Vec<_>>().join(", ")
        }
        GroupAnswer::CommitOffsets(Err(error)) => format!("{error:?}"),
        GroupAnswer::FetchOffsets(Err(error)) => format!("{error:?}"),
        GroupAnswer::DeleteOffsets(Err(error)) => format!("{error:?}"),
        GroupAnswer::Describe(groups) => {
            groups.iter().map(|(id, result)| of_described(id.as_str(), result)).collect()
        }
        GroupAnswer::List(groups) => {
            let each = groups.iter().map(|group| {
                let kind = group.kind.name();
                format!("{} {:?} {} {kind}", group.group, group.protocol_type, group.state)
            });
            each.collect::<Vec<_>>().join(", ")
        }
        GroupAnswer::Delete(groups) => {
            let each = groups.iter().map(|(id, result)| format!("{id}: {}", of_result(result)));
            each.collect::<Vec<_>>().join(", ")
        }
        other => format!("{other:?}"),
    }
}

fn of_joined(joined: &JoinAnswer) -> String {
    let members: Vec<_> = joined.members.iter().map(|each| each.member.to_string()).collect();
    format!(
        "{} joined generation {} of {} {} led by {}{}{}",
        joined.member,
        joined.generation,
        or_dash(joined.protocol_type.as_ref()),
        or_dash(joined.protocol_name.as_ref()),
        or_dash(joined.leader.as_ref()),
        if joined.skip_assignment { " and leaves the assignment" } else { "" },
        if members.is_empty() { String::new() } else { format!(" [{}]", members.join(", ")) }
    )
}

fn of_described<E: Debug>(
    group: &str,
    result: &Result<ottla_coordinator::DescribedGroup, E>,
) -> String {
    match result {
        Err(error) => format!("{group}: {error:?}"),
        Ok(described) => {
            let member = |member: &ottla_coordinator::DescribedMember| {
                let (id, wants): (&MemberId, usize) = (&member.member, member.metadata.len());
                format!("{id}={} wants {wants} bytes", of_bytes(&member.assignment))
            };
            let members: Vec<_> = described.members.iter().map(member).collect();
            format!(
                "{group}: {} type {:?} protocol {:?} [{}]",
                described.state,
                described.protocol_type,
                described.protocol,
                members.join(", ")
            )
        }
    }
}

fn of_fetched(offset: &FetchedOffset) -> String {
    match offset {
        FetchedOffset::Unknown => "unknown".to_owned(),
        FetchedOffset::Unstable => "unstable".to_owned(),
        FetchedOffset::Committed { offset, metadata, .. } => {
            let metadata = if metadata.is_empty() { "" } else { &format!("@{metadata}") };
            format!("{}{metadata}", Offset::to_wire(*offset))
        }
    }
}

fn of_result<E: Debug>(result: &Result<(), E>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

fn of_bytes(bytes: &Bytes) -> String {
    match bytes.is_empty() {
        true => "nothing".to_owned(),
        false => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn or_dash(text: Option<impl ToString>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| text.to_string())
}
