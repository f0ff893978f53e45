//! From what went wrong to Kafka's error codes: here, and nowhere else.

use ottla_log::{AppendError as LogAppendError, ProducerError};
use ottla_metadata::{
    AlterConfigError, BrokerConfigError, CreatePartitionsError, CreateTopicError, DeleteTopicError,
    ElectLeaderError, UpdateFeaturesError,
};
use ottla_records::{BatchError, HeaderError, MessageError, TimestampError, UpConvertError};
use ottla_types::{InvalidTopicName, Offset};
use ottla_wire::ErrorCode;

use crate::partition::{Absent, AppendError, DeleteRecordsError};

/// An error code, and words where Kafka sends some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) message: Option<String>,
    /// The records that are to blame, by their position in the batch, and what is wrong with each.
    pub(super) records: Vec<(u32, String)>,
    /// Where the log starts, where Kafka tells it to whom it refuses.
    pub(super) log_start: Option<Offset>,
}

impl Refusal {
    fn with(code: ErrorCode, message: String) -> Self {
        Self { code, message: Some(message), records: Vec::new(), log_start: None }
    }

    /// Producers try again what is refused so; a person reads why.
    pub(super) fn directory_full() -> Self {
        Self::with(ErrorCode::KafkaStorageError, "the log directory is full".to_owned())
    }

    /// In Kafka's words, where it sends some with this code.
    pub(super) fn unknown_topic() -> Self {
        let message = "This server does not host this topic-partition.";
        Self::with(ErrorCode::UnknownTopicOrPartition, message.to_owned())
    }

    /// An election that nobody knows.
    pub(super) fn unknown_election(number: i8) -> Self {
        Self::with(ErrorCode::InvalidRequest, format!("Unknown election type {number}"))
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None, records: Vec::new(), log_start: None }
    }
}

impl From<InvalidTopicName> for Refusal {
    fn from(error: InvalidTopicName) -> Self {
        Self::with(ErrorCode::InvalidTopicException, error.to_string())
    }
}

impl From<UpdateFeaturesError> for Refusal {
    fn from(error: UpdateFeaturesError) -> Self {
        let said = "The update failed for all features since the following feature had an error";
        Self::with(ErrorCode::InvalidUpdateVersion, format!("{said}: {error}"))
    }
}

impl From<BatchError> for Refusal {
    fn from(error: BatchError) -> Self {
        let code = match &error {
            BatchError::Header(header) => header_code(header),
            BatchError::Checksum { .. } => ErrorCode::CorruptMessage,
            BatchError::TooLarge { .. } => ErrorCode::MessageTooLarge,
            BatchError::Missing
            | BatchError::Cut { .. }
            | BatchError::MoreThanOne { .. }
            | BatchError::BaseOffset { .. }
            | BatchError::Control
            | BatchError::Count { .. }
            | BatchError::NoSequence { .. }
            | BatchError::AppendTime
            | BatchError::Inflate(_)
            | BatchError::Record { .. }
            | BatchError::RecordOffset { .. } => ErrorCode::InvalidRecord,
        };
        match code {
            // Kafka sends no words with these two.
            ErrorCode::CorruptMessage | ErrorCode::MessageTooLarge => code.into(),
            code => Self::with(code, error.to_string()),
        }
    }
}

impl From<UpConvertError> for Refusal {
    fn from(error: UpConvertError) -> Self {
        let code = match &error {
            UpConvertError::TooLarge { .. } => ErrorCode::MessageTooLarge,
            UpConvertError::Message(message) => message_code(message),
            UpConvertError::AppendTime | UpConvertError::Timestamp { .. } => {
                ErrorCode::InvalidTimestamp
            }
            UpConvertError::Empty
            | UpConvertError::Mixed { .. }
            | UpConvertError::NotAlone
            | UpConvertError::Nested
            | UpConvertError::NothingInside
            | UpConvertError::OffsetBelow { .. }
            | UpConvertError::Inflate(_) => ErrorCode::InvalidRecord,
        };
        Self::with(code, error.to_string())
    }
}

fn message_code(error: &MessageError) -> ErrorCode {
    match error {
        // A batch among messages.
        MessageError::Magic { magic: 2 } | MessageError::Codec { .. } => ErrorCode::InvalidRecord,
        MessageError::Size { .. }
        | MessageError::Magic { .. }
        | MessageError::Checksum { .. }
        | MessageError::Cut { .. } => ErrorCode::CorruptMessage,
    }
}

/// A corrupt message is worth sending again, an invalid one is not: what a wire could have done is
/// corrupt, what only a producer can have meant is invalid.
fn header_code(error: &HeaderError) -> ErrorCode {
    match error {
        // Formats 0 and 1 are well-formed, and of the past.
        HeaderError::Magic { magic: 0 | 1 } => ErrorCode::InvalidRecord,
        HeaderError::Length { .. } | HeaderError::Magic { .. } => ErrorCode::CorruptMessage,
        HeaderError::Short { .. } | HeaderError::Codec { .. } | HeaderError::Field { .. } => {
            ErrorCode::InvalidRecord
        }
    }
}

impl From<TimestampError> for Refusal {
    fn from(error: TimestampError) -> Self {
        Self::with(ErrorCode::InvalidTimestamp, error.to_string())
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        let code = match &error {
            AppendError::NotLeader => ErrorCode::NotLeaderOrFollower,
            AppendError::DirectoryFull => return Self::directory_full(),
            AppendError::Roll(_) | AppendError::Offline(_) => ErrorCode::KafkaStorageError,
            AppendError::Log(log) => log_code(log),
        };
        code.into()
    }
}

impl From<Absent> for ErrorCode {
    fn from(absent: Absent) -> Self {
        match absent {
            Absent::Unknown => Self::UnknownTopicOrPartition,
            Absent::Offline => Self::KafkaStorageError,
        }
    }
}

fn log_code(error: &LogAppendError) -> ErrorCode {
    match error {
        LogAppendError::Producer(producer) => match producer {
            ProducerError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            ProducerError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            ProducerError::InvalidTransactionState { .. } => ErrorCode::InvalidTxnState,
        },
        LogAppendError::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        LogAppendError::NeedsRoll | LogAppendError::Epoch(_) => ErrorCode::NotLeaderOrFollower,
        LogAppendError::Full(_)
        | LogAppendError::NeedsCut
        | LogAppendError::Storage(_)
        | LogAppendError::Dead => ErrorCode::KafkaStorageError,
    }
}

/// Words that name what came are as long as that, and an answer's text is not.
pub(super) fn shortened(mut words: String) -> String {
    const BYTES_MAX: usize = 2_000;
    if words.len() > BYTES_MAX {
        let end = words.floor_char_boundary(BYTES_MAX);
        words.truncate(end);
        words.push('…');
    }
    words
}

pub(super) fn create_topic_code(error: &CreateTopicError) -> ErrorCode {
    match error {
        CreateTopicError::TooManyPartitions | CreateTopicError::TooManyRecords => {
            ErrorCode::PolicyViolation
        }
        CreateTopicError::DuplicateName | CreateTopicError::ClusterMetadata => {
            ErrorCode::InvalidRequest
        }
        CreateTopicError::InvalidName(_) | CreateTopicError::Collides { .. } => {
            ErrorCode::InvalidTopicException
        }
        CreateTopicError::Exists(_) => ErrorCode::TopicAlreadyExists,
        CreateTopicError::Config(_) | CreateTopicError::TooLong => ErrorCode::InvalidConfig,
        CreateTopicError::AssignmentAndReplicationFactor
        | CreateTopicError::AssignmentAndPartitions => ErrorCode::InvalidRequest,
        CreateTopicError::AssignedTwice(_)
        | CreateTopicError::Assignment(_)
        | CreateTopicError::AssignmentGap => ErrorCode::InvalidReplicaAssignment,
        CreateTopicError::ReplicationFactor | CreateTopicError::Placement { .. } => {
            ErrorCode::InvalidReplicationFactor
        }
        CreateTopicError::Partitions => ErrorCode::InvalidPartitions,
    }
}

/// Kafka's brokers check what is theirs before the controller does, and refuse it as a request
/// that makes no sense.
pub(super) fn alter_config_code(error: &AlterConfigError) -> ErrorCode {
    match error {
        AlterConfigError::UnknownTopic(_) => ErrorCode::UnknownTopicOrPartition,
        AlterConfigError::Broker(
            BrokerConfigError::ReadOnly { .. } | BrokerConfigError::Value(_),
        )
        | AlterConfigError::Unserved(_) => ErrorCode::InvalidRequest,
        AlterConfigError::TooManyRecords | AlterConfigError::TooManyConfigured => {
            ErrorCode::PolicyViolation
        }
        AlterConfigError::Topic(_)
        | AlterConfigError::Group(_)
        | AlterConfigError::Broker(
            BrokerConfigError::Unsupported { .. } | BrokerConfigError::Unknown { .. },
        )
        | AlterConfigError::NotAList { .. }
        | AlterConfigError::NotABrokersList { .. }
        | AlterConfigError::NoBrokersList(_)
        | AlterConfigError::TooLong { .. }
        | AlterConfigError::NameTooLong
        | AlterConfigError::BrokersMinIsrWithElr
        | AlterConfigError::NoMinIsrWithElr => ErrorCode::InvalidConfig,
    }
}

pub(super) fn create_partitions_code(error: &CreatePartitionsError) -> ErrorCode {
    match error {
        CreatePartitionsError::DuplicateName => ErrorCode::InvalidRequest,
        CreatePartitionsError::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
        CreatePartitionsError::Same(_) | CreatePartitionsError::Fewer { .. } => {
            ErrorCode::InvalidPartitions
        }
        CreatePartitionsError::AssignmentCount { .. } | CreatePartitionsError::Assignment(_) => {
            ErrorCode::InvalidReplicaAssignment
        }
        CreatePartitionsError::Placement { .. } => ErrorCode::InvalidReplicationFactor,
        CreatePartitionsError::TooManyRecords => ErrorCode::PolicyViolation,
    }
}

pub(super) fn elect_leader_code(error: &ElectLeaderError) -> ErrorCode {
    match error {
        ElectLeaderError::UnknownTopic(_) | ElectLeaderError::UnknownPartition { .. } => {
            ErrorCode::UnknownTopicOrPartition
        }
        ElectLeaderError::NotNeeded => ErrorCode::ElectionNotNeeded,
        ElectLeaderError::PreferredNotAvailable => ErrorCode::PreferredLeaderNotAvailable,
        ElectLeaderError::NobodyEligible => ErrorCode::EligibleLeadersNotAvailable,
        ElectLeaderError::TooManyRecords => ErrorCode::PolicyViolation,
    }
}

pub(super) fn delete_topic_code(error: &DeleteTopicError) -> ErrorCode {
    match error {
        DeleteTopicError::Neither
        | DeleteTopicError::Both
        | DeleteTopicError::DuplicateName
        | DeleteTopicError::DuplicateId
        | DeleteTopicError::NameOfGivenId => ErrorCode::InvalidRequest,
        DeleteTopicError::UnknownName => ErrorCode::UnknownTopicOrPartition,
        DeleteTopicError::UnknownId => ErrorCode::UnknownTopicId,
        DeleteTopicError::TooMany => ErrorCode::PolicyViolation,
    }
}

pub(super) fn delete_records_code(error: &DeleteRecordsError) -> ErrorCode {
    match error {
        DeleteRecordsError::NotLeader => ErrorCode::NotLeaderOrFollower,
        DeleteRecordsError::BeyondHighWatermark { .. } => ErrorCode::OffsetOutOfRange,
        DeleteRecordsError::Storage(_) | DeleteRecordsError::Offline(_) => {
            ErrorCode::KafkaStorageError
        }
    }
}
