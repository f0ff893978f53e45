//! DescribeCluster: the cluster's id and its brokers.

use ottla_metadata::{Endpoint, MetadataImage};
use ottla_types::NodeId;
use ottla_wire::ErrorCode;
use ottla_wire::messages::describe_cluster_response::DescribeClusterBroker;
use ottla_wire::messages::{DescribeClusterRequest, DescribeClusterResponse};

use super::metadata::CLUSTER_OPERATIONS;
use super::{Answer, Call, Refused, encode};
use crate::broker::Listening;

/// The endpoint type of brokers; 2 is that of controllers (KIP-919).
const ENDPOINTS_OF_BROKERS: i8 = 1;
const ENDPOINTS_OF_CONTROLLERS: i8 = 2;

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let request = DescribeClusterRequest::decode(&mut call.body, call.version)?;
    let image = call.broker.metadata.image();
    let response = match request.endpoint_type {
        ENDPOINTS_OF_BROKERS => DescribeClusterResponse {
            endpoint_type: ENDPOINTS_OF_BROKERS,
            cluster_id: image.cluster_id().into(),
            controller_id: controller_for_clients(&image),
            brokers: brokers(&image, call.listening)
                .map(|(node, endpoint)| DescribeClusterBroker {
                    broker_id: node.get(),
                    host: endpoint.host.as_str().into(),
                    port: i32::from(endpoint.port),
                    ..Default::default()
                })
                .collect(),
            cluster_authorized_operations: if request.include_cluster_authorized_operations {
                CLUSTER_OPERATIONS
            } else {
                i32::MIN
            },
            ..Default::default()
        },
        other => refusal(other),
    };
    Ok(Answer::Now(encode(|writer| response.encode(writer, call.version))?))
}

fn refusal(endpoint_type: i8) -> DescribeClusterResponse<'static> {
    let (error, message) = match endpoint_type {
        ENDPOINTS_OF_CONTROLLERS => (
            ErrorCode::MismatchedEndpointType,
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type \
             CONTROLLER"
                .to_owned(),
        ),
        other => {
            (ErrorCode::UnsupportedEndpointType, format!("Unsupported endpoint type {other}"))
        }
    };
    DescribeClusterResponse {
        error_code: error.code(),
        error_message: Some(message.into()),
        endpoint_type: ENDPOINTS_OF_BROKERS,
        ..Default::default()
    }
}

/// The brokers in service, each with its endpoint on the listener that the client came through: a
/// client reaches the others the same way.
pub(super) fn brokers<'a>(
    image: &'a MetadataImage,
    listening: &'a Listening,
) -> impl Iterator<Item = (NodeId, &'a Endpoint)> {
    let active = image.brokers().filter(|broker| !broker.fenced);
    active.filter_map(|broker| Some((broker.id, broker.endpoint(&listening.name)?)))
}

/// Clients send what a controller has to do to any broker, which forwards it; Kafka names a random
/// one, -1 where there is none.
pub(super) fn controller_for_clients(image: &MetadataImage) -> i32 {
    NodeId::to_wire(image.brokers().find(|broker| !broker.fenced).map(|broker| broker.id))
}
