//! AlterConfigs and IncrementalAlterConfigs: to the controller, and back once they hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_metadata::{AlterConfigs, Alteration, ConfigChange, ConfigResource};
use ottla_types::BrokerId;
use ottla_wire::ErrorCode;
use ottla_wire::messages::alter_configs_request::AlterConfigsResource;
use ottla_wire::messages::alter_configs_response::AlterConfigsResourceResponse;
use ottla_wire::messages::incremental_alter_configs_request::AlterConfigsResource as Incremental;
use ottla_wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as Told;
use ottla_wire::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

use super::config_resource::{self, NoResource};
use super::errors::{Refusal, alter_config_code};
use super::{Answer, Call, Refused, encode};
use crate::broker::Broker;
use crate::controller::Unavailable;

/// A resource of a request, whatever its form.
struct Altered {
    kind: i8,
    name: String,
    /// What is to become of it, or why that makes no sense.
    asked: Result<(ConfigResource, Alteration), NoResource>,
}

/// What became of it: a code, and words where it was refused.
type Outcome = (ErrorCode, Option<String>);

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = AlterConfigsRequest::decode(&mut call.body, version)?;
    let own = call.broker.config.node_id;
    let altered = request.resources.iter().map(|resource| replaced(&resource, own)).collect();
    let (broker, validate_only) = (Arc::clone(call.broker), request.validate_only);
    Ok(Answer::Later(Box::pin(async move {
        let (altered, outcomes) = alter(&broker, altered, validate_only).await;
        let told =
            altered.iter().zip(outcomes).map(|(it, (code, words))| AlterConfigsResourceResponse {
                error_code: code.code(),
                error_message: words.map(Into::into),
                resource_type: it.kind,
                resource_name: it.name.as_str().into(),
                ..Default::default()
            });
        let response = AlterConfigsResponse { responses: told.collect(), ..Default::default() };
        encode(|writer| response.encode(writer, version))
    })))
}

pub(super) fn handle_incremental(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = IncrementalAlterConfigsRequest::decode(&mut call.body, version)?;
    let own = call.broker.config.node_id;
    let altered = request.resources.iter().map(|resource| changed(&resource, own)).collect();
    let (broker, validate_only) = (Arc::clone(call.broker), request.validate_only);
    Ok(Answer::Later(Box::pin(async move {
        let (altered, outcomes) = alter(&broker, altered, validate_only).await;
        let told = altered.iter().zip(outcomes).map(|(it, (code, words))| Told {
            error_code: code.code(),
            error_message: words.map(Into::into),
            resource_type: it.kind,
            resource_name: it.name.as_str().into(),
            ..Default::default()
        });
        let responses = told.collect();
        let response = IncrementalAlterConfigsResponse { responses, ..Default::default() };
        encode(|writer| response.encode(writer, version))
    })))
}

fn replaced(resource: &AlterConfigsResource<'_>, own: BrokerId) -> Altered {
    let (kind, name) = (resource.resource_type, resource.resource_name.clone().into_owned());
    let asked = || {
        check_names(resource.configs.iter().map(|config| config.name.into_owned()))?;
        let null = resource.configs.iter().filter(|config| config.value.is_none());
        check_null(null.map(|config| config.name.into_owned()))?;
        let properties = resource
            .configs
            .iter()
            .filter_map(|it| Some((it.name.into_owned(), it.value?.into_owned())))
            .collect();
        Ok((config_resource::from_wire(kind, &name, own)?, Alteration::Replace(properties)))
    };
    let asked = asked();
    Altered { kind, name, asked }
}

fn changed(resource: &Incremental<'_>, own: BrokerId) -> Altered {
    let (kind, name) = (resource.resource_type, resource.resource_name.clone().into_owned());
    let asked = || {
        check_names(resource.configs.iter().map(|config| config.name.into_owned()))?;
        let null = resource
            .configs
            .iter()
            .filter(|config| config.config_operation != DELETE && config.value.is_none());
        check_null(null.map(|config| config.name.into_owned()))?;
        let resource_named = config_resource::from_wire(kind, &name, own)?;
        let changes: Result<BTreeMap<_, _>, NoResource> = resource
            .configs
            .iter()
            .map(|config| {
                let value = config.value.map(std::borrow::Cow::into_owned).unwrap_or_default();
                Ok((config.name.into_owned(), change(config.config_operation, value)?))
            })
            .collect();
        Ok((resource_named, Alteration::Change(changes?)))
    };
    let asked = asked();
    Altered { kind, name, asked }
}

/// Kafka's number of the operation that needs no value.
const DELETE: i8 = 1;

fn change(operation: i8, value: String) -> Result<ConfigChange, NoResource> {
    match operation {
        0 => Ok(ConfigChange::Set(value)),
        DELETE => Ok(ConfigChange::Delete),
        2 => Ok(ConfigChange::Append(value)),
        3 => Ok(ConfigChange::Subtract(value)),
        other => Err((ErrorCode::InvalidRequest, format!("Unknown operations type {other}"))),
    }
}

fn check_names(names: impl Iterator<Item = String>) -> Result<(), NoResource> {
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        let words = "Error due to duplicate config keys".to_owned();
        return Err((ErrorCode::InvalidRequest, words));
    }
    Ok(())
}

fn check_null(names: impl Iterator<Item = String>) -> Result<(), NoResource> {
    let names: Vec<String> = names.collect();
    if names.is_empty() {
        return Ok(());
    }
    let words = format!("Null value not supported for : {}", names.join(", "));
    Err((ErrorCode::InvalidRequest, words))
}

/// Asks the controller for what makes sense, and says what became of each, in order.
async fn alter(
    broker: &Broker,
    mut altered: Vec<Altered>,
    validate_only: bool,
) -> (Vec<Altered>, Vec<Outcome>) {
    refuse_twice(&mut altered);
    let sensible = altered.iter().filter_map(|it| it.asked.as_ref().ok().cloned());
    let resources: Vec<_> = sensible.collect();
    let mut answers = if resources.is_empty() {
        Vec::new().into_iter()
    } else {
        let count = resources.len();
        let request = AlterConfigs { resources, validate_only };
        let answered = broker.controller.alter_configs(request).await;
        let refused = match answered {
            Ok(Ok(outcomes)) => Ok(outcomes),
            Ok(Err(Unavailable::NoSpace)) => {
                let Refusal { code, message, .. } = Refusal::directory_full();
                Err((code, message))
            }
            Ok(Err(Unavailable::Behind | Unavailable::Ended)) | Err(_) => {
                Err((ErrorCode::NotController, None))
            }
        };
        let told: Vec<Outcome> = match refused {
            Ok(outcomes) => outcomes
                .into_iter()
                .map(|outcome| match outcome {
                    Ok(()) => (ErrorCode::None, None),
                    Err(error) => (alter_config_code(&error), Some(shortened(error.to_string()))),
                })
                .collect(),
            Err(outcome) => vec![outcome; count],
        };
        told.into_iter()
    };
    let outcomes = altered.iter().map(|it| match &it.asked {
        Ok(_) => answers.next().expect("the controller answers for each"),
        Err((code, words)) => (*code, Some(shortened(words.clone()))),
    });
    let outcomes = outcomes.collect();
    (altered, outcomes)
}

/// Words that name what came are as long as that, and an answer's text is not.
fn shortened(mut words: String) -> String {
    const BYTES_MAX: usize = 2_000;
    if words.len() > BYTES_MAX {
        let end = words.floor_char_boundary(BYTES_MAX);
        words.truncate(end);
        words.push('…');
    }
    words
}

/// Kafka refuses all of them: which should count?
fn refuse_twice(altered: &mut [Altered]) {
    let mut seen: BTreeMap<(i8, String), usize> = BTreeMap::new();
    for it in altered.iter() {
        *seen.entry((it.kind, it.name.clone())).or_default() += 1;
    }
    for it in altered.iter_mut().filter(|it| seen[&(it.kind, it.name.clone())] > 1) {
        let words = "Each resource must appear at most once.".to_owned();
        it.asked = Err((ErrorCode::InvalidRequest, words));
    }
}
