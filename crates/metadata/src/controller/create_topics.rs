//! CreateTopics.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{InvalidTopicName, PartitionId, TopicId, TopicName, Uuid};

use crate::image::{MetadataImage, PartitionImage};
use crate::record::{ConfigResource, NewPartition, Record};
use crate::topic_config::{EffectiveTopicConfig, TopicConfig, TopicConfigError};

use super::assignment::{AssignmentError, assigned_partition, new_partition};
use super::bounds::{VALUE_BYTES_MAX, fit_together};
use super::placement::{Placement, PlacementError};
use super::{Controller, Outcome};

/// The topic that is the metadata log itself.
const CLUSTER_METADATA: &str = "__cluster_metadata";
/// Partitions that one request may ask for, manual ones included.
const PARTITIONS_PER_REQUEST_MAX: i64 = 10_000;

/// The request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopics {
    /// The topics.
    pub topics: Vec<NewTopic>,
    /// Answer as if, and change nothing.
    pub validate_only: bool,
}

/// A topic to create. Numbers are as the client sent them; only "not given" is parsed away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name, whatever that may be.
    pub name: String,
    /// How many partitions; `None` for the default.
    pub partitions: Option<i32>,
    /// How many replicas of each; `None` for the default.
    pub replication_factor: Option<i16>,
    /// Who keeps which partition; empty to leave it to the controller.
    pub assignments: Vec<Assignment>,
    /// Properties; the last of one name counts.
    pub configs: Vec<(String, Option<String>)>,
}

/// Who keeps a partition, if the client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The partition's number.
    pub partition: i32,
    /// The brokers, the preferred leader first.
    pub brokers: Vec<i32>,
}

/// What became of one topic of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicOutcome {
    /// The name in the request.
    pub name: String,
    /// The topic, or why there is none.
    pub outcome: Result<CreatedTopic, CreateTopicError>,
}

/// A topic that comes into being.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its identity.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: usize,
    /// How many replicas each has.
    pub replication_factor: usize,
    /// Its effective settings, by name.
    pub configs: Vec<EffectiveTopicConfig>,
}

/// Why a topic does not come into being. The words are Kafka's, measured on 4.3.1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateTopicError {
    /// The request as a whole asks for too many partitions.
    #[error("Excessively large number of partitions per request.")]
    TooManyPartitions,
    /// The request as a whole would write too many records.
    #[error("Unable to perform excessively large batch operation.")]
    TooManyRecords,
    /// The request has the name twice.
    #[error("Duplicate topic name.")]
    DuplicateName,
    /// The name belongs to the metadata log.
    #[error("Creation of internal topic {CLUSTER_METADATA} is prohibited.")]
    ClusterMetadata,
    /// The text cannot name a topic.
    #[error(transparent)]
    InvalidName(#[from] InvalidTopicName),
    /// Metrics would confuse it with another topic.
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    Collides {
        /// The name in the request.
        name: TopicName,
        /// The topic that exists.
        existing: TopicName,
    },
    /// The topic exists.
    #[error("Topic '{0}' already exists.")]
    Exists(TopicName),
    /// A property is refused.
    #[error(transparent)]
    Config(#[from] TopicConfigError),
    /// The value of a property is too long.
    #[error(
        "The configuration value cannot be added because it exceeds the maximum value size of \
         {VALUE_BYTES_MAX} bytes."
    )]
    TooLong,
    /// Assignments say it already.
    #[error(
        "A manual partition assignment was specified, but replication factor was not set to -1."
    )]
    AssignmentAndReplicationFactor,
    /// Assignments say it already.
    #[error("A manual partition assignment was specified, but numPartitions was not set to -1.")]
    AssignmentAndPartitions,
    /// A partition was assigned twice.
    #[error("Found multiple manual partition assignments for partition {0}")]
    AssignedTwice(i32),
    /// The brokers of a partition cannot keep it.
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    /// Partition numbers have gaps.
    #[error("partitions should be a consecutive 0-based integer sequence")]
    AssignmentGap,
    /// The number of replicas makes no sense.
    #[error("Replication factor must be larger than 0, or -1 to use the default value.")]
    ReplicationFactor,
    /// The number of partitions makes no sense.
    #[error("Number of partitions was set to an invalid non-positive value.")]
    Partitions,
    /// There are no brokers for so many replicas.
    #[error("Unable to replicate the partition {replication_factor} time(s): {reason}")]
    Placement {
        /// The number of replicas.
        replication_factor: i16,
        /// What is missing.
        reason: PlacementError,
    },
}

/// The partitions of a topic under way.
type Partitions = Vec<PartitionImage>;

impl Controller {
    /// Creates topics; each stands or falls by itself. `draw` gives random ids, one for each topic
    /// that is created.
    pub fn create_topics(
        &self,
        image: &MetadataImage,
        request: &CreateTopics,
        draw: &mut dyn FnMut() -> Uuid,
    ) -> Outcome<Vec<TopicOutcome>> {
        if self.partitions_asked_for(request) > PARTITIONS_PER_REQUEST_MAX {
            return refuse_all(request, &CreateTopicError::TooManyPartitions);
        }
        let mut records = Vec::new();
        let mut response = Vec::with_capacity(request.topics.len());
        let duplicates = duplicates(&request.topics);
        for topic in accepted(&request.topics, &duplicates) {
            let outcome = self.create_topic(image, topic, draw, &mut records);
            response.push(TopicOutcome { name: topic.name.clone(), outcome });
        }
        if !fit_together(&records) {
            return refuse_all(request, &CreateTopicError::TooManyRecords);
        }
        // Kafka's broker takes these two kinds out before it asks the controller: they come last.
        let refused =
            |name: &str, error| TopicOutcome { name: name.to_owned(), outcome: Err(error) };
        response.extend(duplicates.iter().map(|n| refused(n, CreateTopicError::DuplicateName)));
        if request.topics.iter().any(|t| t.name == CLUSTER_METADATA)
            && !duplicates.contains(CLUSTER_METADATA)
        {
            response.push(refused(CLUSTER_METADATA, CreateTopicError::ClusterMetadata));
        }
        if request.validate_only {
            records.clear();
        }
        Outcome { records, response }
    }

    fn partitions_asked_for(&self, request: &CreateTopics) -> i64 {
        let of_one = |topic: &NewTopic| match (topic.assignments.len(), topic.partitions) {
            (0, None) => i64::from(self.config.partitions),
            (0, Some(partitions)) => i64::from(partitions.max(0)),
            (assigned, _) => i64::try_from(assigned).unwrap_or(i64::MAX),
        };
        let duplicates = duplicates(&request.topics);
        accepted(&request.topics, &duplicates).map(of_one).fold(0, i64::saturating_add)
    }

    fn create_topic(
        &self,
        image: &MetadataImage,
        topic: &NewTopic,
        draw: &mut dyn FnMut() -> Uuid,
        records: &mut Vec<Record>,
    ) -> Result<CreatedTopic, CreateTopicError> {
        let name = check_name(image, &topic.name)?;
        let configs = check_configs(&topic.configs)?;
        let id = draw();
        let states = if topic.assignments.is_empty() {
            self.place(image, topic, id)?
        } else {
            assigned(image, topic)?
        };
        let created = CreatedTopic {
            id,
            partitions: states.len(),
            replication_factor: states[0].replicas.len(),
            configs: self.config.topic_defaults.effective(&configs),
        };
        records.push(Record::Topic { name: name.clone(), id });
        // Kafka's order: whoever opens a partition knows its properties already.
        records.extend(configs.into_iter().map(|(property, value)| Record::Config {
            resource: ConfigResource::Topic(name.clone()),
            name: property,
            value: Some(value),
        }));
        records.extend((0..).zip(states).map(|(number, state)| {
            let partition = PartitionId::new(number);
            Record::Partition(NewPartition { topic: id, partition, state })
        }));
        Ok(created)
    }

    /// Leaves the choice of brokers to the controller. The topic's random id is the draw that says
    /// where the first stripe begins.
    fn place(
        &self,
        image: &MetadataImage,
        topic: &NewTopic,
        id: TopicId,
    ) -> Result<Partitions, CreateTopicError> {
        if topic.replication_factor.is_some_and(|factor| factor <= 0) {
            return Err(CreateTopicError::ReplicationFactor);
        }
        if topic.partitions.is_some_and(|partitions| partitions <= 0) {
            return Err(CreateTopicError::Partitions);
        }
        let factor = topic.replication_factor.unwrap_or(self.config.replication_factor);
        let partitions = topic.partitions.unwrap_or(self.config.partitions);
        let (replicas, partitions) = (positive(factor.into()), positive(partitions));
        let start = usize::from(id.as_bytes()[15]);
        let placement = Placement::over(image, start);
        placement
            .check(replicas)
            .map_err(|reason| CreateTopicError::Placement { replication_factor: factor, reason })?;
        let replicas_of = |partition| placement.replicas_of(partition, replicas);
        Ok((0..partitions).map(|nth| new_partition(image, replicas_of(nth))).collect())
    }
}

fn positive(number: i32) -> usize {
    usize::try_from(number).expect("checked to be positive")
}

fn refuse_all(request: &CreateTopics, error: &CreateTopicError) -> Outcome<Vec<TopicOutcome>> {
    let refused =
        |topic: &NewTopic| TopicOutcome { name: topic.name.clone(), outcome: Err(error.clone()) };
    Outcome { records: Vec::new(), response: request.topics.iter().map(refused).collect() }
}

fn duplicates(topics: &[NewTopic]) -> BTreeSet<&str> {
    let mut seen = BTreeSet::new();
    topics.iter().map(|topic| topic.name.as_str()).filter(|name| !seen.insert(*name)).collect()
}

/// The topics that are looked at further.
fn accepted<'a>(
    topics: &'a [NewTopic],
    duplicates: &BTreeSet<&str>,
) -> impl Iterator<Item = &'a NewTopic> {
    topics
        .iter()
        .filter(|topic| topic.name != CLUSTER_METADATA && !duplicates.contains(topic.name.as_str()))
}

fn check_name(image: &MetadataImage, text: &str) -> Result<TopicName, CreateTopicError> {
    let name = TopicName::parse(text)?;
    if image.topic(text).is_some() {
        return Err(CreateTopicError::Exists(name));
    }
    if text.contains(['.', '_'])
        && let Some(other) = image.topics().find(|other| other.name.collides_with(&name))
    {
        return Err(CreateTopicError::Collides { name, existing: other.name.clone() });
    }
    Ok(name)
}

fn check_configs(
    configs: &[(String, Option<String>)],
) -> Result<BTreeMap<String, String>, CreateTopicError> {
    let missing: Vec<_> =
        configs.iter().filter(|(_, value)| value.is_none()).map(|(n, _)| n.as_str()).collect();
    if !missing.is_empty() {
        return Err(TopicConfigError::Null { names: missing.join(",") }.into());
    }
    let given = configs.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
    let properties: BTreeMap<_, _> = given.collect();
    // Spaces around a value count: it is stored as it came.
    if properties.values().any(|value| value.len() > VALUE_BYTES_MAX) {
        return Err(CreateTopicError::TooLong);
    }
    TopicConfig::check(&properties)?;
    Ok(properties)
}

/// Takes the brokers that the client chose.
fn assigned(image: &MetadataImage, topic: &NewTopic) -> Result<Partitions, CreateTopicError> {
    if topic.replication_factor.is_some() {
        return Err(CreateTopicError::AssignmentAndReplicationFactor);
    }
    if topic.partitions.is_some() {
        return Err(CreateTopicError::AssignmentAndPartitions);
    }
    let mut states = BTreeMap::new();
    let mut before = None;
    for assignment in &topic.assignments {
        let partition = assignment.partition;
        if states.contains_key(&partition) {
            return Err(CreateTopicError::AssignedTwice(partition));
        }
        let state = assigned_partition(image, partition, &assignment.brokers, before)?;
        before = Some(state.replicas.len());
        states.insert(partition, state);
    }
    if !states.keys().copied().eq((0..).take(states.len())) {
        return Err(CreateTopicError::AssignmentGap);
    }
    Ok(states.into_values().collect())
}
