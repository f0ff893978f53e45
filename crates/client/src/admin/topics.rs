//! Topics and their records.

use std::collections::BTreeMap;

use ottla_types::{Offset, TopicId, TopicName, TopicPartition};
use ottla_wire::ErrorCode;
use ottla_wire::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use ottla_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use ottla_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_wire::messages::delete_topics_request::DeleteTopicState;
use ottla_wire::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
};

use super::{Admin, AdminError, Repeat, missing};
use crate::error::BrokerError;
use crate::metadata::TopicMetadata;

/// Kafka's number for the end of what is committed.
const ALL_RECORDS: i64 = -1;

/// A topic to be made.
///
/// ```
/// use ottla_client::NewTopic;
///
/// let orders = NewTopic::new("orders").partitions(12).config("retention.ms", "86400000");
/// # drop(orders);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "nothing happens before `Admin::create_topic`"]
pub struct NewTopic {
    name: String,
    partitions: Option<i32>,
    replication_factor: Option<i16>,
    assignments: Vec<Vec<i32>>,
    configs: Vec<(String, String)>,
    validate_only: bool,
}

impl NewTopic {
    /// A topic with the cluster's defaults.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            partitions: None,
            replication_factor: None,
            assignments: Vec::new(),
            configs: Vec::new(),
            validate_only: false,
        }
    }

    /// How many partitions it gets. Default: `num.partitions` of the cluster.
    pub const fn partitions(mut self, count: i32) -> Self {
        self.partitions = Some(count);
        self
    }

    /// How many copies of each there are. Default: `default.replication.factor` of the cluster.
    pub const fn replication_factor(mut self, copies: i16) -> Self {
        self.replication_factor = Some(copies);
        self
    }

    /// The nodes that keep each partition, the preferred leader first: in place of a number of
    /// partitions and of copies. Default: the cluster chooses.
    pub fn assignments(mut self, nodes: Vec<Vec<i32>>) -> Self {
        self.assignments = nodes;
        self
    }

    /// Sets a property of its own.
    pub fn config(mut self, name: &str, value: &str) -> Self {
        self.configs.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Asks whether it could be made, and makes nothing.
    pub const fn validate_only(mut self) -> Self {
        self.validate_only = true;
        self
    }
}

impl Admin {
    /// Makes a topic; its id, or zero where nothing was made.
    ///
    /// # Errors
    /// When the cluster refuses, or does not answer in time.
    pub async fn create_topic(&self, topic: NewTopic) -> Result<TopicId, AdminError> {
        let config = |(name, value): &(String, String)| CreatableTopicConfig {
            name: name.clone().into(),
            value: Some(value.clone().into()),
            ..CreatableTopicConfig::default()
        };
        let assignment = |(partition_index, nodes): (i32, &Vec<i32>)| CreatableReplicaAssignment {
            partition_index,
            broker_ids: nodes.iter().copied().collect(),
            ..CreatableReplicaAssignment::default()
        };
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: topic.name.as_str().into(),
                num_partitions: topic.partitions.unwrap_or(-1),
                replication_factor: topic.replication_factor.unwrap_or(-1),
                assignments: (0..).zip(&topic.assignments).map(assignment).collect(),
                configs: topic.configs.iter().map(config).collect(),
                ..CreatableTopic::default()
            }]
            .into(),
            timeout_ms: self.timeout_ms(),
            validate_only: topic.validate_only,
            ..CreateTopicsRequest::default()
        };
        let what = format_args!("create topic {}", topic.name);
        self.ask(what, Repeat::UnlessServed, &request, |answer| {
            let made = answer.get().topics.first().ok_or_else(missing)?;
            BrokerError::check_with(made.error_code, made.error_message.as_deref())?;
            Ok(made.topic_id)
        })
        .await
    }

    /// Deletes a topic and all of its records.
    ///
    /// # Errors
    /// When the cluster refuses, or does not answer in time.
    pub async fn delete_topic(&self, name: &TopicName) -> Result<(), AdminError> {
        let request = DeleteTopicsRequest {
            topics: vec![DeleteTopicState {
                name: Some(name.as_str().into()),
                ..DeleteTopicState::default()
            }]
            .into(),
            timeout_ms: self.timeout_ms(),
            ..DeleteTopicsRequest::default()
        };
        let what = format_args!("delete topic {name}");
        self.ask(what, Repeat::UnlessServed, &request, |answer| {
            let gone = answer.get().responses.first().ok_or_else(missing)?;
            BrokerError::check_with(gone.error_code, gone.error_message.as_deref())
        })
        .await
    }

    /// Gives a topic more partitions: `count` in all.
    ///
    /// # Errors
    /// When the cluster refuses, or does not answer in time.
    pub async fn create_partitions(&self, name: &TopicName, count: i32) -> Result<(), AdminError> {
        self.create_partitions_at(name, count, None).await
    }

    /// Gives a topic more partitions, `count` in all, and says which nodes keep each new one.
    ///
    /// # Errors
    /// When the cluster refuses, or does not answer in time.
    pub async fn create_partitions_at(
        &self,
        name: &TopicName,
        count: i32,
        nodes: Option<&[Vec<i32>]>,
    ) -> Result<(), AdminError> {
        let assignment = |nodes: &Vec<i32>| CreatePartitionsAssignment {
            broker_ids: nodes.iter().copied().collect(),
            ..CreatePartitionsAssignment::default()
        };
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: name.as_str().into(),
                count,
                assignments: nodes.map(|nodes| nodes.iter().map(assignment).collect()),
                ..CreatePartitionsTopic::default()
            }]
            .into(),
            timeout_ms: self.timeout_ms(),
            ..CreatePartitionsRequest::default()
        };
        let what = format_args!("give topic {name} {count} partitions");
        self.ask(what, Repeat::UnlessServed, &request, |answer| {
            let grown = answer.get().results.first().ok_or_else(missing)?;
            BrokerError::check_with(grown.error_code, grown.error_message.as_deref())
        })
        .await
    }

    /// All topics of the cluster.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn list_topics(&self) -> Result<BTreeMap<TopicName, TopicMetadata>, AdminError> {
        self.persist("list topics", Repeat::Always, async || {
            let told = self.cluster.refresh(None).await?;
            Ok(told.into_iter().filter_map(|(name, topic)| Some((name, topic.ok()?))).collect())
        })
        .await
    }

    /// One topic; `None` where there is none. Asking makes none.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn find_topic(&self, name: &TopicName) -> Result<Option<TopicMetadata>, AdminError> {
        self.persist(format_args!("look up topic {name}"), Repeat::Always, async || {
            let told = self.cluster.look_up(Some(std::slice::from_ref(name)), false).await?;
            match told.into_iter().find(|(told, _)| told == name) {
                Some((_, Ok(topic))) => Ok(Some(topic)),
                Some((_, Err(error))) if !error.is(ErrorCode::UnknownTopicOrPartition) => {
                    Err(error.into())
                }
                Some((_, Err(_))) | None => Ok(None),
            }
        })
        .await
    }

    /// One topic.
    ///
    /// # Errors
    /// When there is none, or nobody answers in time.
    pub async fn describe_topic(&self, name: &TopicName) -> Result<TopicMetadata, AdminError> {
        let unknown = || BrokerError::of(ErrorCode::UnknownTopicOrPartition);
        let what = || format!("describe topic {name}");
        let topic = self.find_topic(name).await?;
        topic.ok_or_else(|| AdminError { what: what(), source: unknown().into() })
    }

    /// Deletes the records of a partition below an offset; where its log starts now.
    ///
    /// # Errors
    /// When the cluster refuses, or does not answer in time.
    pub async fn delete_records(
        &self,
        partition: &TopicPartition,
        before: Offset,
    ) -> Result<Offset, AdminError> {
        self.delete_records_to(partition, before.get()).await
    }

    /// Deletes all records of a partition that are committed; where its log starts now.
    ///
    /// # Errors
    /// When the cluster refuses, or does not answer in time.
    pub async fn delete_all_records(
        &self,
        partition: &TopicPartition,
    ) -> Result<Offset, AdminError> {
        self.delete_records_to(partition, ALL_RECORDS).await
    }

    async fn delete_records_to(
        &self,
        partition: &TopicPartition,
        before: i64,
    ) -> Result<Offset, AdminError> {
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: partition.topic.as_str().into(),
                partitions: vec![DeleteRecordsPartition {
                    partition_index: partition.partition.get(),
                    offset: before,
                    ..DeleteRecordsPartition::default()
                }]
                .into(),
                ..DeleteRecordsTopic::default()
            }]
            .into(),
            timeout_ms: self.timeout_ms(),
            ..DeleteRecordsRequest::default()
        };
        let what = format_args!("delete records of {partition}");
        self.ask_leader(what, (Repeat::Always, partition), &request, |answer| {
            let topic = answer.get().topics.first().ok_or_else(missing)?;
            let gone = topic.partitions.first().ok_or_else(missing)?;
            BrokerError::check(gone.error_code)?;
            Offset::from_wire(gone.low_watermark).ok_or_else(missing)
        })
        .await
    }
}
