//! InitProducerId: an id for an idempotent producer.

use std::sync::Arc;

use ottla_types::ProducerId;
use ottla_wire::ErrorCode;
use ottla_wire::messages::{InitProducerIdRequest, InitProducerIdResponse};

use super::{Answer, Call, Refused, encode};

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = InitProducerIdRequest::decode(&mut call.body, version)?;
    // There are no transactions yet: an error that the Java producer takes for final.
    let transactional = request.transactional_id.is_some();
    let half_known = (request.producer_id == -1) != (request.producer_epoch == -1);
    if transactional || half_known {
        return Ok(Answer::Now(answer(Err(ErrorCode::InvalidRequest), version)?));
    }
    let broker = Arc::clone(call.broker);
    Ok(Answer::Later(Box::pin(async move {
        let id = broker.producer_ids.next(&broker.controller).await;
        answer(id.map_err(|_| ErrorCode::CoordinatorNotAvailable), version)
    })))
}

fn answer(id: Result<ProducerId, ErrorCode>, version: i16) -> Result<Vec<u8>, Refused> {
    let response = match id {
        Ok(id) => InitProducerIdResponse {
            producer_id: id.get(),
            producer_epoch: 0,
            ..Default::default()
        },
        Err(error) => InitProducerIdResponse {
            error_code: error.code(),
            producer_epoch: -1,
            ..Default::default()
        },
    };
    encode(|writer| response.encode(writer, version))
}
