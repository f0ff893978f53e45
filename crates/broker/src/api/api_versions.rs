//! ApiVersions: what this listener serves.

use ottla_wire::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use ottla_wire::messages::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Answer, Call, Refused, TABLE, encode};
use crate::broker::Role;
use ottla_metadata::SUPPORTED_FEATURES;

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let request = ApiVersionsRequest::decode(&mut call.body, call.version)?;
    if call.version >= 3
        && !(is_software_name(&request.client_software_name)
            && is_software_name(&request.client_software_version))
    {
        return answer(call.version, &refusal(ErrorCode::InvalidRequest));
    }
    if call.version >= 3 {
        let (name, version) = (&request.client_software_name, &request.client_software_version);
        *call.software = Some(call.broker.clients.introduce(name, version));
    }
    let image = call.broker.metadata.image();
    let other_cluster = request.cluster_id.as_ref().is_some_and(|id| *id != image.cluster_id());
    let own = call.broker.config.node_id.get();
    if other_cluster || (request.node_id != -1 && request.node_id != own) {
        return answer(call.version, &refusal(ErrorCode::RebootstrapRequired));
    }
    let supported = SUPPORTED_FEATURES.iter().filter(|(_, min, _)| *min > 0 || call.version >= 4);
    let response = ApiVersionsResponse {
        api_keys: keys(call.listening.role, call.broker.config.legacy_clients).into(),
        supported_features: supported
            .map(|(name, min, max)| SupportedFeatureKey {
                name: (*name).into(),
                min_version: *min,
                max_version: *max,
                ..Default::default()
            })
            .collect(),
        finalized_features_epoch: image.end().get() - 1,
        finalized_features: image
            .finalized_features()
            // A client takes what is finalized for what is served.
            .filter(|(name, _)| SUPPORTED_FEATURES.iter().any(|(served, ..)| served == name))
            .map(|(name, level)| FinalizedFeatureKey {
                name: name.into(),
                max_version_level: level,
                min_version_level: level,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    answer(call.version, &response)
}

fn answer(version: i16, response: &ApiVersionsResponse<'_>) -> Result<Answer, Refused> {
    Ok(Answer::Now(encode(|writer| response.encode(writer, version))?))
}

fn refusal(error: ErrorCode) -> ApiVersionsResponse<'static> {
    ApiVersionsResponse { error_code: error.code(), ..Default::default() }
}

/// The one answer that every client understands, whatever version it asked in.
pub(super) fn unsupported_version() -> Result<Vec<u8>, Refused> {
    let own = keys(Role::Broker, false)
        .into_iter()
        .filter(|key| key.api_key == ApiKey::ApiVersions.to_wire());
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: own.collect(),
        ..Default::default()
    };
    encode(|writer| response.encode(writer, 0))
}

fn keys(role: Role, legacy: bool) -> Vec<ApiVersion<'static>> {
    let served = TABLE.iter().filter(|api| api.roles.contains(&role));
    served
        .map(|api| ApiVersion {
            api_key: api.key.to_wire(),
            min_version: match api.key {
                // librdkafka takes a broker without Produce 0 for one that it cannot talk to
                // (KAFKA-18659); versions below 3 are refused all the same,
                // unless clients from before Kafka 4 are served.
                ApiKey::Produce => 0,
                _ if legacy => api.legacy_min(),
                _ => *api.versions.start(),
            },
            max_version: *api.versions.end(),
            ..Default::default()
        })
        .collect()
}

/// KIP-511: letters, digits, dots and dashes, the last two not at an end.
fn is_software_name(text: &str) -> bool {
    let at_ends = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(at_ends)
        && text.ends_with(at_ends)
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_are_plain() {
        for (text, legal) in [
            ("apache-kafka-java", true),
            ("4.3.1", true),
            ("", false),
            ("-a", false),
            ("a b", false),
        ] {
            assert_eq!(is_software_name(text), legal, "{text}");
        }
    }
}
