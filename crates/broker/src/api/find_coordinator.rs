//! FindCoordinator: which broker has a group. The first who asks for one has the topic made that
//! groups are kept in.

use std::borrow::Cow;
use std::sync::Arc;

use ottla_coordinator::GroupId;
use ottla_metadata::{Endpoint, MetadataImage};
use ottla_types::NodeId;
use ottla_wire::ErrorCode;
use ottla_wire::messages::find_coordinator_response::Coordinator;
use ottla_wire::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

use super::{Answer, Call, Refused, each_once, encode};
use crate::broker::{Broker, Listening};
use crate::groups::{GROUP_METADATA, make_group_metadata};

/// The only type that is served; 1 are transactions, 2 share groups.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Why there is no coordinator.
struct NotFound {
    code: ErrorCode,
    message: String,
}

impl NotFound {
    fn passing() -> Self {
        let message = "The coordinator is not available.".to_owned();
        Self { code: ErrorCode::CoordinatorNotAvailable, message }
    }

    fn of_type(key_type: i8) -> Self {
        let message = match key_type {
            TRANSACTION => "Transactions are not supported by this version of Ottla".to_owned(),
            other => format!("Coordinators of type {other} are not supported"),
        };
        Self { code: ErrorCode::InvalidRequest, message }
    }
}

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = FindCoordinatorRequest::decode(&mut call.body, version)?;
    let keys: Vec<String> = match version {
        4.. => {
            let keys = each_once(&request.coordinator_keys)?;
            keys.into_iter().map(Cow::into_owned).collect()
        }
        _ => vec![request.key.into_owned()],
    };
    let key_type = request.key_type;
    let (broker, listening) = (Arc::clone(call.broker), Arc::clone(call.listening));
    Ok(Answer::Later(Box::pin(async move {
        let made = key_type == GROUP && make_group_metadata(&broker).await;
        let image = broker.metadata.image();
        let find = |key: &String| match (key_type, made) {
            (GROUP, true) => find(&broker, &image, &listening, key).ok_or_else(NotFound::passing),
            (GROUP, false) => Err(NotFound::passing()),
            (other, _) => Err(NotFound::of_type(other)),
        };
        answer(keys.iter().map(|key| (key.as_str(), find(key))).collect(), version)
    })))
}

type Found<'a> = Result<(NodeId, &'a Endpoint), NotFound>;

/// The leader of the group's partition, by the listener that the client came through.
fn find<'a>(
    broker: &Broker,
    image: &'a MetadataImage,
    listening: &Listening,
    key: &str,
) -> Option<(NodeId, &'a Endpoint)> {
    let partition = broker.groups.partition_of(&GroupId::new(key))?;
    let leader = image.topic(GROUP_METADATA)?.partition(partition)?.leader?;
    let leader = image.broker(leader).filter(|leader| !leader.fenced)?;
    Some((leader.id, leader.endpoint(&listening.name)?))
}

fn answer(found: Vec<(&str, Found<'_>)>, version: i16) -> Result<Vec<u8>, Refused> {
    let mut found = found.into_iter().map(|(key, found)| coordinator(key, found));
    let response = if version >= 4 {
        FindCoordinatorResponse { coordinators: found.collect(), ..Default::default() }
    } else {
        let only = found.next().expect("versions before 4 have one key");
        FindCoordinatorResponse {
            error_code: only.error_code,
            error_message: only.error_message.filter(|_| only.error_code != 0),
            node_id: only.node_id,
            host: only.host,
            port: only.port,
            ..Default::default()
        }
    };
    encode(|writer| response.encode(writer, version))
}

fn coordinator<'a>(key: &'a str, found: Found<'a>) -> Coordinator<'a> {
    match found {
        Ok((node, endpoint)) => Coordinator {
            key: key.into(),
            node_id: node.get(),
            host: endpoint.host.as_str().into(),
            port: i32::from(endpoint.port),
            ..Default::default()
        },
        Err(NotFound { code, message }) => Coordinator {
            key: key.into(),
            node_id: -1,
            port: -1,
            error_code: code.code(),
            error_message: Some(message.into()),
            ..Default::default()
        },
    }
}
