//! The resources that have properties, as the wire names them.

use std::borrow::Cow;

use ottla_metadata::ConfigResource;
use ottla_types::{BrokerId, TopicName};
use ottla_wire::ErrorCode;

/// Kafka's number of topics.
pub(super) const TOPIC: i8 = 2;
/// Kafka's number of brokers.
pub(super) const BROKER: i8 = 4;
/// Kafka's number of the loggers of brokers, which nobody has here.
pub(super) const BROKER_LOGGER: i8 = 8;
/// Kafka's number of clients' metrics.
pub(super) const CLIENT_METRICS: i8 = 16;
/// Kafka's number of groups.
pub(super) const GROUP: i8 = 32;

/// Why a resource of a request is none, and Kafka's words for it.
pub(super) type NoResource = (ErrorCode, String);

/// Kafka's name of a kind of resources, or its number.
pub(super) fn kind_name(kind: i8) -> Cow<'static, str> {
    match kind {
        TOPIC => "TOPIC".into(),
        BROKER => "BROKER".into(),
        BROKER_LOGGER => "BROKER_LOGGER".into(),
        CLIENT_METRICS => "CLIENT_METRICS".into(),
        GROUP => "GROUP".into(),
        other => other.to_string().into(),
    }
}

/// The resource whose properties `own`, this broker, may alter.
pub(super) fn from_wire(kind: i8, name: &str, own: BrokerId) -> Result<ConfigResource, NoResource> {
    let invalid = |words: String| (ErrorCode::InvalidRequest, words);
    match kind {
        TOPIC if name.is_empty() => {
            Err(invalid("Default topic resources are not allowed.".to_owned()))
        }
        TOPIC => {
            let name = TopicName::parse(name);
            let name = name.map_err(|e| (ErrorCode::InvalidTopicException, e.to_string()))?;
            Ok(ConfigResource::Topic(name))
        }
        BROKER if name.is_empty() => Ok(ConfigResource::Broker(None)),
        BROKER => match name.parse::<i32>() {
            Err(_) => Err(invalid(format!("Node id must be an integer, but it is: {name}"))),
            Ok(id) if id == own.get() => Ok(ConfigResource::Broker(Some(own))),
            Ok(_) => {
                let words = format!("Unexpected broker id, expected {own}, but received {name}");
                Err(invalid(words))
            }
        },
        GROUP if name.is_empty() => {
            Err(invalid("Default group resources are not allowed.".to_owned()))
        }
        GROUP => Ok(ConfigResource::Group(name.to_owned())),
        // What Apache Kafka stored of these; nothing here does what they say.
        CLIENT_METRICS => Ok(ConfigResource::Other { kind, name: name.to_owned() }),
        BROKER_LOGGER => {
            let kind = kind_name(kind);
            let words = format!("Resource type {kind} is not supported by this version of Ottla");
            Err(invalid(words))
        }
        other => Err(invalid(format!("Unknown resource type {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where Kafka refuses, these are the words of a broker of 4.3.1.
    #[test]
    #[rustfmt::skip]
    fn resources_are_refused_in_kafkas_words() {
        check(TOPIC, "t", None);
        check(TOPIC, "", Some((ErrorCode::InvalidRequest, "Default topic resources are not allowed.")));
        check(TOPIC, "a b", Some((ErrorCode::InvalidTopicException, "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")));
        check(BROKER, "", None);
        check(BROKER, "1", None);
        check(BROKER, "2", Some((ErrorCode::InvalidRequest, "Unexpected broker id, expected 1, but received 2")));
        check(BROKER, "x", Some((ErrorCode::InvalidRequest, "Node id must be an integer, but it is: x")));
        check(GROUP, "g", None);
        check(GROUP, "", Some((ErrorCode::InvalidRequest, "Default group resources are not allowed.")));
        check(BROKER_LOGGER, "1", Some((ErrorCode::InvalidRequest, "Resource type BROKER_LOGGER is not supported by this version of Ottla")));
        check(3, "1", Some((ErrorCode::InvalidRequest, "Unknown resource type 3")));
    }

    fn check(kind: i8, name: &str, refusal: Option<(ErrorCode, &str)>) {
        let refused = from_wire(kind, name, BrokerId::new(1)).err();
        let refused = refused.as_ref().map(|(code, words)| (*code, words.as_str()));
        assert_eq!(refused, refusal, "{kind} {name}");
    }
}
