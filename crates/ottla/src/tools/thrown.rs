//! What goes wrong, in the words of Apache's tools: scripts look for the names of Java's
//! exceptions, and for Kafka's sentences.

use std::fmt;

use ottla_client::{
    AdminError, BrokerError, CallError, ClientError, ConsumeError, ProduceError, RequestError,
};
use ottla_types::InvalidTopicName;
use ottla_wire::ErrorCode;

/// An exception: its class and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Thrown {
    pub(super) class: String,
    pub(super) message: String,
    /// Kafka's error behind it.
    pub(super) code: Option<ErrorCode>,
}

/// Where the exceptions of Kafka's errors live.
const ERRORS: &str = "org.apache.kafka.common.errors";

impl Thrown {
    pub(super) fn new(class: &str, message: impl Into<String>) -> Self {
        Self { class: class.to_owned(), message: message.into(), code: None }
    }

    pub(super) fn illegal_argument(message: impl Into<String>) -> Self {
        Self::new("java.lang.IllegalArgumentException", message)
    }

    /// Kafka's exception of an error, with its own words or those that Kafka has for it.
    pub(super) fn of_code(code: ErrorCode, words: Option<&str>) -> Self {
        let message = words.unwrap_or_else(|| sentence(code)).to_owned();
        Self { class: format!("{ERRORS}.{}", class_of(code)), message, code: Some(code) }
    }

    pub(super) fn timeout(message: impl Into<String>) -> Self {
        Self::new(&format!("{ERRORS}.TimeoutException"), message)
    }

    /// Whether it is about what was typed, and not about what the cluster did.
    pub(super) fn is_of_the_command_line(&self) -> bool {
        let class = self.class.as_str();
        class == "java.lang.IllegalArgumentException" || class.ends_with(".ConfigException")
    }

    /// As Java prints an exception that came out of a future.
    pub(super) fn wrapped(&self) -> String {
        format!("java.util.concurrent.ExecutionException: {self}\nCaused by: {self}")
    }
}

impl fmt::Display for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.message)
    }
}

impl From<&BrokerError> for Thrown {
    fn from(error: &BrokerError) -> Self {
        match error.code() {
            Some(code) => Self::of_code(code, error.words()),
            None => {
                let told = format!("The server sent error {}", error.number());
                Self::of_code(ErrorCode::UnknownServerError, Some(error.words().unwrap_or(&told)))
            }
        }
    }
}

impl From<&CallError> for Thrown {
    fn from(error: &CallError) -> Self {
        match error {
            CallError::Connect { .. }
            | CallError::Lost { .. }
            | CallError::TimedOut { .. }
            | CallError::UnknownBroker { .. } => Self::timeout(error.to_string()),
            CallError::Unsupported { .. } | CallError::Unsayable { .. } => {
                Self::of_code(ErrorCode::UnsupportedVersion, Some(&error.to_string()))
            }
            CallError::Garbage { .. }
            | CallError::Stranger { .. }
            | CallError::Unresolved { .. }
            | CallError::NoBootstrap => {
                Self::new("org.apache.kafka.common.KafkaException", error.to_string())
            }
        }
    }
}

impl From<&RequestError> for Thrown {
    fn from(error: &RequestError) -> Self {
        match error {
            RequestError::Call(error) => error.into(),
            RequestError::Refused(error) => error.into(),
        }
    }
}

impl From<AdminError> for Thrown {
    fn from(error: AdminError) -> Self {
        (&error.source).into()
    }
}

impl From<&ProduceError> for Thrown {
    fn from(error: &ProduceError) -> Self {
        match error {
            ProduceError::Lookup { source, .. } => source.into(),
            ProduceError::Refused { source, .. } => source.into(),
            ProduceError::Call { source, .. } => source.into(),
            ProduceError::TopicName(error) => error.clone().into(),
            ProduceError::TimedOut { .. } | ProduceError::Closed => {
                Self::timeout(error.to_string())
            }
            ProduceError::NoPartition { .. } | ProduceError::TooLarge { .. } => {
                Self::new("org.apache.kafka.common.KafkaException", error.to_string())
            }
        }
    }
}

impl From<ConsumeError> for Thrown {
    fn from(error: ConsumeError) -> Self {
        match &error {
            ConsumeError::Call(error) => error.into(),
            ConsumeError::Group { source, .. } | ConsumeError::TimedOut { last: source, .. } => {
                source.into()
            }
            error => Self::new("org.apache.kafka.common.KafkaException", error.to_string()),
        }
    }
}

impl From<ClientError> for Thrown {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Admin(error) => error.into(),
            ClientError::Produce(error) => (&error).into(),
            ClientError::Consume(error) => error.into(),
            ClientError::TopicName(error) => error.into(),
            ClientError::Address(error) => {
                Self::new("org.apache.kafka.common.config.ConfigException", error.to_string())
            }
        }
    }
}

impl From<InvalidTopicName> for Thrown {
    fn from(error: InvalidTopicName) -> Self {
        Self::of_code(ErrorCode::InvalidTopicException, Some(&error.to_string()))
    }
}

/// The class of Java's exception: the error's name, unless Kafka calls the two differently.
fn class_of(code: ErrorCode) -> String {
    let named = match code {
        ErrorCode::UnknownServerError => "UnknownServerException",
        ErrorCode::CorruptMessage => "CorruptRecordException",
        ErrorCode::RequestTimedOut => "TimeoutException",
        ErrorCode::MessageTooLarge => "RecordTooLargeException",
        ErrorCode::StaleControllerEpoch => "ControllerMovedException",
        ErrorCode::OffsetMetadataTooLarge => "OffsetMetadataTooLarge",
        ErrorCode::RecordListTooLarge => "RecordBatchTooLargeException",
        ErrorCode::TopicAuthorizationFailed => "TopicAuthorizationException",
        ErrorCode::GroupAuthorizationFailed => "GroupAuthorizationException",
        ErrorCode::ClusterAuthorizationFailed => "ClusterAuthorizationException",
        ErrorCode::TopicAlreadyExists => "TopicExistsException",
        ErrorCode::InvalidConfig => "InvalidConfigurationException",
        ErrorCode::OutOfOrderSequenceNumber => "OutOfOrderSequenceException",
        ErrorCode::DuplicateSequenceNumber => "DuplicateSequenceException",
        ErrorCode::InvalidProducerIdMapping => "InvalidPidMappingException",
        ErrorCode::InvalidTransactionTimeout => "InvalidTxnTimeoutException",
        ErrorCode::TransactionalIdAuthorizationFailed => "TransactionalIdAuthorizationException",
        ErrorCode::KafkaStorageError => "KafkaStorageException",
        ErrorCode::SaslAuthenticationFailed => "SaslAuthenticationException",
        ErrorCode::DelegationTokenAuthDisabled => "DelegationTokenDisabledException",
        ErrorCode::DelegationTokenRequestNotAllowed => "UnsupportedByAuthenticationException",
        ErrorCode::DelegationTokenAuthorizationFailed => "DelegationTokenAuthorizationException",
        ErrorCode::NonEmptyGroup => "GroupNotEmptyException",
        ErrorCode::PrincipalDeserializationFailure => "PrincipalDeserializationException",
        ErrorCode::FetchSessionTopicIdError => "FetchSessionTopicIdException",
        ErrorCode::InvalidRegularExpression => "InvalidRegularExpression",
        _ => "",
    };
    if !named.is_empty() {
        return named.to_owned();
    }
    let words = code.name().split('_').filter(|word| *word != "EXCEPTION");
    let camel: String = words
        .map(|word| match word.split_at_checked(1) {
            Some((first, rest)) => format!("{first}{}", rest.to_ascii_lowercase()),
            None => String::new(),
        })
        .collect();
    format!("{camel}Exception")
}

/// What Kafka says of an error for which the protocol carries no words of the broker: scripts look
/// for these. Of the others, ours.
fn sentence(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::OffsetOutOfRange => {
            "The requested offset is not within the range of offsets maintained by the server."
        }
        ErrorCode::UnknownTopicOrPartition => "This server does not host this topic-partition.",
        ErrorCode::GroupIdNotFound => "The group id does not exist.",
        ErrorCode::NonEmptyGroup => "The group is not empty.",
        ErrorCode::GroupSubscribedToTopic => {
            "Deleting offsets of a topic is forbidden while the consumer group is actively \
             subscribed to it."
        }
        ErrorCode::InvalidGroupId => "The group id is invalid.",
        ErrorCode::UnknownMemberId => "The coordinator is not aware of this member.",
        ErrorCode::PolicyViolation => "Request parameters do not satisfy the configured policy.",
        ErrorCode::MessageTooLarge => {
            "The request included a message larger than the max message size the server will \
             accept."
        }
        ErrorCode::InvalidTopicException => {
            "The request attempted to perform an operation on an invalid topic."
        }
        _ => code.message(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_called_as_in_java() {
        let check = |code: ErrorCode, expected: &str| assert_eq!(class_of(code), expected);
        check(ErrorCode::TopicAlreadyExists, "TopicExistsException");
        check(ErrorCode::UnknownTopicOrPartition, "UnknownTopicOrPartitionException");
        check(ErrorCode::InvalidTopicException, "InvalidTopicException");
        check(ErrorCode::InvalidPartitions, "InvalidPartitionsException");
        check(ErrorCode::NonEmptyGroup, "GroupNotEmptyException");
        check(ErrorCode::GroupIdNotFound, "GroupIdNotFoundException");
        check(ErrorCode::InvalidConfig, "InvalidConfigurationException");
        check(ErrorCode::RequestTimedOut, "TimeoutException");
        check(ErrorCode::NotLeaderOrFollower, "NotLeaderOrFollowerException");
        check(ErrorCode::InvalidUpdateVersion, "InvalidUpdateVersionException");
    }

    #[test]
    fn an_exception_out_of_a_future_is_told_twice() {
        let thrown = Thrown::of_code(ErrorCode::GroupIdNotFound, Some("Group g not found."));
        assert_eq!(
            thrown.wrapped(),
            "java.util.concurrent.ExecutionException: \
             org.apache.kafka.common.errors.GroupIdNotFoundException: Group g not found.\n\
             Caused by: org.apache.kafka.common.errors.GroupIdNotFoundException: Group g not found."
        );
    }
}
