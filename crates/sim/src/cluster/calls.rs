//! The requests that clients send, and what they need of the answers.

use ottla_types::Uuid;
use ottla_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_wire::messages::delete_topics_request::DeleteTopicState;
use ottla_wire::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use ottla_wire::messages::fetch_response::PartitionData;
use ottla_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_wire::messages::metadata_request::MetadataRequestTopic;
use ottla_wire::messages::metadata_response::MetadataResponseTopic;
use ottla_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_wire::messages::{
    ApiVersionsRequest, ApiVersionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    FetchRequest, FetchResponse, InitProducerIdRequest, InitProducerIdResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
};
use ottla_wire::{ApiKey, DecodeError, ErrorCode, Writer};

use super::connection::{Answered, Connection};
use super::history::Topic;
use super::keeps::Keeps;

/// An error of the protocol, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) i16);

impl Refused {
    fn check(code: i16) -> Result<(), Self> {
        if code == ErrorCode::None.code() { Ok(()) } else { Err(Self(code)) }
    }

    pub(super) fn is(self, code: ErrorCode) -> bool {
        self.0 == code.code()
    }

    /// Whether Kafka's clients try again.
    pub(super) fn is_retriable(self) -> bool {
        // A checksum that does not fit is retriable in Kafka; nothing here changes bytes.
        ErrorCode::from_wire(self.0).is_some_and(ErrorCode::retriable)
            && !self.is(ErrorCode::CorruptMessage)
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(ErrorCode::from_wire(self.0).map_or("an unknown error", ErrorCode::name))
    }
}

/// A batch for one partition.
pub(super) struct ForPartition<'a> {
    pub(super) topic: &'a Topic,
    pub(super) index: i32,
    pub(super) batch: &'a [u8],
}

/// Sends a produce request; without acks nothing is answered.
pub(super) fn produce(
    connection: &mut Connection,
    version: i16,
    acks: i16,
    batches: &[ForPartition<'_>],
) -> i32 {
    let topics = batches.iter().map(|each| TopicProduceData {
        name: each.topic.name.as_str().into(),
        topic_id: each.topic.id,
        partition_data: vec![PartitionProduceData {
            index: each.index,
            records: Some(each.batch.into()),
            ..PartitionProduceData::default()
        }]
        .into(),
        ..TopicProduceData::default()
    });
    let request = ProduceRequest {
        acks,
        timeout_ms: 10_000,
        topic_data: topics.collect(),
        ..ProduceRequest::default()
    };
    let body = |writer: &mut Writer<'_>| request.encode(writer, version);
    if acks == 0 {
        connection.send_unanswered(ApiKey::Produce, version, body)
    } else {
        connection.send(ApiKey::Produce, version, body)
    }
}

/// What became of one batch: its first record's offset.
pub(super) struct Produced {
    pub(super) topic: TopicName,
    pub(super) index: i32,
    pub(super) result: Result<i64, Refused>,
}

/// How an answer names a topic, which depends on its version.
pub(super) struct TopicName {
    name: String,
    id: Uuid,
}

impl TopicName {
    pub(super) fn is(&self, topic: &Topic) -> bool {
        if self.name.is_empty() { self.id == topic.id } else { self.name == topic.name }
    }
}

pub(super) fn produced(answer: &Answered) -> Result<Vec<Produced>, DecodeError> {
    let response = ProduceResponse::decode(&mut answer.body(), answer.version)?;
    let mut produced = Vec::new();
    for topic in &response.responses {
        for partition in &topic.partition_responses {
            produced.push(Produced {
                topic: TopicName { name: topic.name.to_string(), id: topic.topic_id },
                index: partition.index,
                result: Refused::check(partition.error_code).map(|()| partition.base_offset),
            });
        }
    }
    Ok(produced)
}

/// Sends a fetch request without a session, for one partition.
///
/// `isolation_level`: nobody writes in transactions here, so committed records are all there are.
pub(super) fn fetch(
    connection: &mut Connection,
    version: i16,
    topic: &Topic,
    (index, offset): (i32, i64),
    (max_wait_ms, isolation_level): (i32, i8),
) {
    let partition = FetchPartition {
        partition: index,
        fetch_offset: offset,
        partition_max_bytes: 20_000,
        ..FetchPartition::default()
    };
    let request = FetchRequest {
        replica_id: -1,
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 1 << 20,
        isolation_level,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: topic.name.as_str().into(),
            topic_id: topic.id,
            partitions: vec![partition].into(),
            ..FetchTopic::default()
        }]
        .into(),
        ..FetchRequest::default()
    };
    connection.send(ApiKey::Fetch, version, |writer| request.encode(writer, version));
}

/// What a fetch of one partition brought.
pub(super) struct Fetched {
    pub(super) high_watermark: i64,
    /// Where the log starts; `None` in versions that do not say it.
    pub(super) log_start: Option<i64>,
    pub(super) records: Vec<u8>,
}

pub(super) fn fetched(answer: &Answered) -> Result<Result<Fetched, Refused>, DecodeError> {
    let response = FetchResponse::decode(&mut answer.body(), answer.version)?;
    if let Err(refused) = Refused::check(response.error_code) {
        return Ok(Err(refused));
    }
    let partition = response.responses.first().and_then(|topic| topic.partitions.first());
    let Some(partition) = partition else {
        return Ok(Err(Refused(ErrorCode::UnknownServerError.code())));
    };
    Ok(of_partition(partition))
}

/// A fetch in a session: what is news to the node.
pub(super) struct SessionFetch<'a> {
    pub(super) id: i32,
    pub(super) epoch: i32,
    pub(super) max_wait_ms: i32,
    pub(super) max_bytes: i32,
    pub(super) isolation_level: i8,
    /// Topic, partition, position.
    pub(super) wanted: Vec<(&'a Topic, i32, i64)>,
    pub(super) forgotten: Vec<(&'a Topic, i32)>,
}

pub(super) fn fetch_in_session(
    connection: &mut Connection,
    version: i16,
    fetch: &SessionFetch<'_>,
) {
    let topic = |(topic, index, offset): &(&Topic, i32, i64)| FetchTopic {
        topic: topic.name.clone().into(),
        topic_id: topic.id,
        partitions: vec![FetchPartition {
            partition: *index,
            fetch_offset: *offset,
            partition_max_bytes: 20_000,
            ..FetchPartition::default()
        }]
        .into(),
        ..FetchTopic::default()
    };
    let forgotten = |(topic, index): &(&Topic, i32)| ForgottenTopic {
        topic: topic.name.clone().into(),
        topic_id: topic.id,
        partitions: vec![*index].into(),
        ..ForgottenTopic::default()
    };
    let request = FetchRequest {
        replica_id: -1,
        max_wait_ms: fetch.max_wait_ms,
        min_bytes: 1,
        max_bytes: fetch.max_bytes,
        isolation_level: fetch.isolation_level,
        session_id: fetch.id,
        session_epoch: fetch.epoch,
        topics: fetch.wanted.iter().map(topic).collect(),
        forgotten_topics_data: fetch.forgotten.iter().map(forgotten).collect(),
        ..FetchRequest::default()
    };
    connection.send(ApiKey::Fetch, version, |writer| request.encode(writer, version));
}

/// What a fetch in a session brought.
pub(super) struct SessionFetched {
    /// 0: there is no session.
    pub(super) session_id: i32,
    pub(super) partitions: Vec<(TopicName, i32, Result<Fetched, Refused>)>,
}

pub(super) fn session_fetched(
    answer: &Answered,
) -> Result<Result<SessionFetched, Refused>, DecodeError> {
    let response = FetchResponse::decode(&mut answer.body(), answer.version)?;
    if let Err(refused) = Refused::check(response.error_code) {
        return Ok(Err(refused));
    }
    let mut partitions = Vec::new();
    for topic in &response.responses {
        for partition in &topic.partitions {
            let name = TopicName { name: topic.topic.to_string(), id: topic.topic_id };
            partitions.push((name, partition.partition_index, of_partition(partition)));
        }
    }
    Ok(Ok(SessionFetched { session_id: response.session_id, partitions }))
}

fn of_partition(partition: PartitionData<'_>) -> Result<Fetched, Refused> {
    Refused::check(partition.error_code).map(|()| Fetched {
        high_watermark: partition.high_watermark,
        log_start: (partition.log_start_offset >= 0).then_some(partition.log_start_offset),
        records: partition.records.map(std::borrow::Cow::into_owned).unwrap_or_default(),
    })
}

/// Kafka's numbers for the ends of a log, in place of a time.
pub(super) const LATEST: i64 = -1;
pub(super) const EARLIEST: i64 = -2;

/// Asks for an offset of a partition.
pub(super) fn list(
    connection: &mut Connection,
    version: i16,
    topic: &Topic,
    (index, timestamp): (i32, i64),
) {
    let partition = ListOffsetsPartition {
        partition_index: index,
        timestamp,
        ..ListOffsetsPartition::default()
    };
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: topic.name.as_str().into(),
            partitions: vec![partition].into(),
            ..ListOffsetsTopic::default()
        }]
        .into(),
        ..ListOffsetsRequest::default()
    };
    connection.send(ApiKey::ListOffsets, version, |writer| request.encode(writer, version));
}

pub(super) fn listed(answer: &Answered) -> Result<Result<i64, Refused>, DecodeError> {
    let response = ListOffsetsResponse::decode(&mut answer.body(), answer.version)?;
    let partition = response.topics.first().and_then(|topic| topic.partitions.first());
    let Some(partition) = partition else {
        return Ok(Err(Refused(ErrorCode::UnknownServerError.code())));
    };
    Ok(Refused::check(partition.error_code).map(|()| partition.offset))
}

/// Asks for the records of a partition below an offset to be deleted.
pub(super) fn delete_records(
    connection: &mut Connection,
    version: i16,
    topic: &Topic,
    index: i32,
    offset: i64,
) {
    let partition = DeleteRecordsPartition {
        partition_index: index,
        offset,
        ..DeleteRecordsPartition::default()
    };
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: topic.name.as_str().into(),
            partitions: vec![partition].into(),
            ..DeleteRecordsTopic::default()
        }]
        .into(),
        timeout_ms: 10_000,
        ..DeleteRecordsRequest::default()
    };
    connection.send(ApiKey::DeleteRecords, version, |writer| request.encode(writer, version));
}

/// Where the log starts now.
pub(super) fn records_deleted(answer: &Answered) -> Result<Result<i64, Refused>, DecodeError> {
    let response = DeleteRecordsResponse::decode(&mut answer.body(), answer.version)?;
    let partition = response.topics.first().and_then(|topic| topic.partitions.first());
    let Some(partition) = partition else {
        return Ok(Err(Refused(ErrorCode::UnknownServerError.code())));
    };
    Ok(Refused::check(partition.error_code).map(|()| partition.low_watermark))
}

/// Asks for a producer id.
pub(super) fn init_producer_id(connection: &mut Connection, version: i16) {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: 60_000,
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdRequest::default()
    };
    connection.send(ApiKey::InitProducerId, version, |writer| request.encode(writer, version));
}

pub(super) fn producer_id(answer: &Answered) -> Result<Result<(i64, i16), Refused>, DecodeError> {
    let response = InitProducerIdResponse::decode(&mut answer.body(), answer.version)?;
    let id = (response.producer_id, response.producer_epoch);
    Ok(Refused::check(response.error_code).map(|()| id))
}

/// Asks for a topic to be created.
pub(super) fn create_topic(
    connection: &mut Connection,
    version: i16,
    name: &str,
    (partitions, keeps): (i32, Keeps),
) {
    let configs = keeps.configs();
    let config = |(name, value): &(&'static str, String)| CreatableTopicConfig {
        name: (*name).into(),
        value: Some(value.clone().into()),
        ..CreatableTopicConfig::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..CreatableTopic::default()
        }]
        .into(),
        timeout_ms: 10_000,
        ..CreateTopicsRequest::default()
    };
    connection.send(ApiKey::CreateTopics, version, |writer| request.encode(writer, version));
}

pub(super) fn created(answer: &Answered) -> Result<Result<(), Refused>, DecodeError> {
    let response = CreateTopicsResponse::decode(&mut answer.body(), answer.version)?;
    let code = response.topics.first().map(|topic| topic.error_code);
    Ok(Refused::check(code.unwrap_or_else(|| ErrorCode::UnknownServerError.code())))
}

/// Asks for a topic to be deleted.
pub(super) fn delete_topic(connection: &mut Connection, version: i16, name: &str) {
    let request = match version {
        ..=5 => DeleteTopicsRequest {
            topic_names: vec![name.into()].into(),
            timeout_ms: 10_000,
            ..DeleteTopicsRequest::default()
        },
        _ => DeleteTopicsRequest {
            topics: vec![DeleteTopicState {
                name: Some(name.into()),
                ..DeleteTopicState::default()
            }]
            .into(),
            timeout_ms: 10_000,
            ..DeleteTopicsRequest::default()
        },
    };
    connection.send(ApiKey::DeleteTopics, version, |writer| request.encode(writer, version));
}

pub(super) fn deleted(answer: &Answered) -> Result<Result<(), Refused>, DecodeError> {
    let response = DeleteTopicsResponse::decode(&mut answer.body(), answer.version)?;
    let code = response.responses.first().map(|topic| topic.error_code);
    Ok(Refused::check(code.unwrap_or_else(|| ErrorCode::UnknownServerError.code())))
}

/// Asks about some topics, or all.
pub(super) fn metadata(connection: &mut Connection, version: i16, names: Option<&[&str]>) {
    let topic = |name: &&str| MetadataRequestTopic {
        name: Some((*name).to_owned().into()),
        ..MetadataRequestTopic::default()
    };
    let request = MetadataRequest {
        topics: names.map(|names| names.iter().map(topic).collect()),
        ..MetadataRequest::default()
    };
    connection.send(ApiKey::Metadata, version, |writer| request.encode(writer, version));
}

/// The topics that are described, and the errors of those that are not.
pub(super) type Described = Vec<Result<Topic, Refused>>;

pub(super) fn described(answer: &Answered) -> Result<Described, DecodeError> {
    let response = MetadataResponse::decode(&mut answer.body(), answer.version)?;
    let topic = |topic: MetadataResponseTopic<'_>| {
        Refused::check(topic.error_code).map(|()| Topic {
            name: topic.name.unwrap_or_default().into_owned(),
            id: topic.topic_id,
            partitions: i32::try_from(topic.partitions.len()).expect("few partitions"),
            keeps: Keeps::Everything,
        })
    };
    Ok(response.topics.iter().map(topic).collect())
}

/// Asks for the versions that the node serves.
pub(super) fn api_versions(connection: &mut Connection, version: i16) {
    let request = ApiVersionsRequest {
        client_software_name: "sim".into(),
        client_software_version: "1".into(),
        ..ApiVersionsRequest::default()
    };
    connection.send(ApiKey::ApiVersions, version, |writer| request.encode(writer, version));
}

pub(super) fn served(answer: &Answered) -> Result<Result<usize, Refused>, DecodeError> {
    let response = ApiVersionsResponse::decode(&mut answer.body(), answer.version)?;
    Ok(Refused::check(response.error_code).map(|()| response.api_keys.len()))
}
