//! UpdateFeatures: to the controller, and back once everybody goes by the new levels.

use std::sync::Arc;

use ottla_metadata::{FeatureUpdate, UpdateFeatures, UpgradeType};
use ottla_wire::ErrorCode;
use ottla_wire::messages::update_features_response::UpdatableFeatureResult;
use ottla_wire::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use super::errors::Refusal;
use super::{Answer, Call, Refused, encode};
use crate::controller::Unavailable;

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = UpdateFeaturesRequest::decode(&mut call.body, version)?;
    let updates = request.feature_updates.iter().map(|update| FeatureUpdate {
        feature: update.feature.into_owned(),
        level: update.max_version_level,
        // Version 0 spoke of downgrades otherwise, and Kafka does not listen to that any more.
        kind: upgrade_type(update.upgrade_type),
    });
    // Kafka gives this request all the time it needs.
    let request =
        UpdateFeatures { updates: updates.collect(), validate_only: request.validate_only };
    let broker = Arc::clone(call.broker);
    Ok(Answer::Later(Box::pin(async move {
        let names: Vec<String> = request.updates.iter().map(|it| it.feature.clone()).collect();
        match broker.controller.update_features(request).await {
            Ok(Ok(Ok(()))) => answer(None, &names, version),
            Ok(Ok(Err(error))) => answer(Some(error.into()), &[], version),
            Ok(Err(Unavailable::NoSpace)) => answer(Some(Refusal::directory_full()), &[], version),
            Ok(Err(Unavailable::Behind | Unavailable::Ended)) | Err(_) => {
                answer(Some(ErrorCode::NotController.into()), &[], version)
            }
        }
    })))
}

const fn upgrade_type(raw: i8) -> Option<UpgradeType> {
    match raw {
        1 => Some(UpgradeType::Upgrade),
        2 => Some(UpgradeType::SafeDowngrade),
        3 => Some(UpgradeType::UnsafeDowngrade),
        _ => None,
    }
}

fn answer(refusal: Option<Refusal>, names: &[String], version: i16) -> Result<Vec<u8>, Refused> {
    let result = |name: &'_ String| UpdatableFeatureResult {
        feature: name.clone().into(),
        // The name of error 0, which Kafka sends as if it were a message.
        error_message: Some("NONE".into()),
        ..Default::default()
    };
    let (code, message) = refusal.map_or((ErrorCode::None, None), |it| (it.code, it.message));
    let response = UpdateFeaturesResponse {
        error_code: code.code(),
        error_message: message.map(Into::into),
        results: names.iter().map(result).collect(),
        ..Default::default()
    };
    encode(|writer| response.encode(writer, version))
}
