//! ListConfigResources: who has properties, or could have.

use std::collections::BTreeSet;

use ottla_metadata::{ConfigResource, MetadataImage};
use ottla_wire::ErrorCode;
use ottla_wire::messages::list_config_resources_response::ConfigResource as Listed;
use ottla_wire::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

use super::config_resource::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use super::{Answer, Call, Refused, encode};

/// Every kind that Kafka lists, in its order.
const KINDS: [i8; 5] = [GROUP, CLIENT_METRICS, BROKER_LOGGER, BROKER, TOPIC];

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let request = ListConfigResourcesRequest::decode(&mut call.body, call.version)?;
    // Version 0 lists one kind, and has no field to say so.
    let known: &[i8] = if call.version == 0 { &[CLIENT_METRICS] } else { &KINDS };
    let mut asked: BTreeSet<i8> = request.resource_types.iter().collect();
    if asked.is_empty() {
        asked.extend(known);
    }
    let image = call.broker.metadata.image();
    let mut response = ListConfigResourcesResponse::default();
    if asked.iter().all(|kind| known.contains(kind)) {
        let kinds = KINDS.iter().filter(|kind| asked.contains(kind));
        response.config_resources = kinds.flat_map(|kind| of_kind(&image, *kind)).collect();
    } else {
        response.error_code = ErrorCode::UnsupportedVersion.code();
    }
    Ok(Answer::Now(encode(|writer| response.encode(writer, call.version))?))
}

/// Topics and brokers could have properties, the others exist as long as they have some. Nobody has
/// loggers here.
fn of_kind(image: &MetadataImage, of: i8) -> Vec<Listed<'static>> {
    let configured = || image.all_configs().map(|(resource, _)| resource);
    let names: Vec<String> = match of {
        TOPIC => image.topics().map(|topic| topic.name.to_string()).collect(),
        BROKER => {
            let active = image.brokers().filter(|broker| !broker.fenced);
            active.map(|broker| broker.id.to_string()).collect()
        }
        GROUP => configured()
            .filter_map(|resource| match resource {
                ConfigResource::Group(name) => Some(name.clone()),
                _ => None,
            })
            .collect(),
        other => configured()
            .filter_map(|resource| match resource {
                ConfigResource::Other { kind, name } if *kind == other => Some(name.clone()),
                _ => None,
            })
            .collect(),
    };
    let listed = |name: String| Listed {
        resource_name: name.into(),
        resource_type: of,
        ..Default::default()
    };
    names.into_iter().map(listed).collect()
}
