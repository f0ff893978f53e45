//! CreatePartitions.

use std::collections::BTreeSet;

use ottla_types::PartitionId;

use crate::image::{MetadataImage, PartitionImage, TopicImage};
use crate::record::{NewPartition, Record};

use super::assignment::{AssignmentError, assigned_partition, new_partition};
use super::bounds::RECORDS_PER_REQUEST_MAX;
use super::placement::{Placement, PlacementError};
use super::{Controller, Outcome};

/// The request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePartitions {
    /// The topics.
    pub topics: Vec<MorePartitions>,
    /// Answer as if, and change nothing.
    pub validate_only: bool,
}

/// A topic that is to have more partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MorePartitions {
    /// Its name, whatever that may be.
    pub name: String,
    /// How many it is to have, as the client sent it.
    pub count: i32,
    /// The brokers of each additional one, the preferred leader first; `None` leaves them to the
    /// controller.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// What became of one topic of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MorePartitionsOutcome {
    /// The name in the request.
    pub name: String,
    /// Whether it gets them.
    pub outcome: Result<(), CreatePartitionsError>,
}

/// Why a topic keeps the partitions that it has. The words are Kafka's, measured on 4.3.1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreatePartitionsError {
    /// The request has the name twice.
    #[error("Duplicate topic name.")]
    DuplicateName,
    /// There is no topic of that name.
    #[error("This server does not host this topic-partition.")]
    UnknownTopic,
    /// It has as many as it is to have.
    #[error("Topic already has {0} partition(s).")]
    Same(usize),
    /// It has more than it is to have.
    #[error(
        "The topic {topic} currently has {present} partition(s); {wanted} would not be an increase."
    )]
    Fewer {
        /// The name in the request.
        topic: String,
        /// How many it has.
        present: usize,
        /// How many it is to have, in the client's own number.
        wanted: i32,
    },
    /// Brokers are given for another number of partitions.
    #[error(
        "Attempted to add {additional} additional partition(s), but only {assigned} assignment(s) \
         were specified."
    )]
    AssignmentCount {
        /// How many partitions are to be added.
        additional: usize,
        /// For how many there are brokers.
        assigned: usize,
    },
    /// The brokers of a partition cannot keep it.
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    /// There are no brokers for as many replicas as the topic's partitions have.
    #[error("Unable to replicate the partition {replication_factor} time(s): {reason}")]
    Placement {
        /// The number of replicas.
        replication_factor: usize,
        /// What is missing.
        reason: PlacementError,
    },
    /// With it, the request would write too many records. Kafka writes as many of them as it may,
    /// and answers that something unknown went wrong.
    #[error("Unable to perform excessively large batch operation.")]
    TooManyRecords,
}

impl Controller {
    /// Gives topics more partitions; each stands or falls by itself.
    pub fn create_partitions(
        image: &MetadataImage,
        request: &CreatePartitions,
    ) -> Outcome<Vec<MorePartitionsOutcome>> {
        let duplicates = duplicates(&request.topics);
        // Kafka's broker takes them out before it asks the controller.
        let mut response: Vec<_> = duplicates
            .iter()
            .map(|name| outcome(name, Err(CreatePartitionsError::DuplicateName)))
            .collect();
        let mut records = Vec::new();
        let topics = request.topics.iter().filter(|t| !duplicates.contains(t.name.as_str()));
        for topic in topics {
            let room = RECORDS_PER_REQUEST_MAX - records.len();
            let added = add_partitions(image, topic, room);
            response.push(outcome(&topic.name, added.as_ref().map(|_| ()).map_err(Clone::clone)));
            records.extend(added.unwrap_or_default());
        }
        assert!(records.len() <= RECORDS_PER_REQUEST_MAX, "each topic was given what was left");
        if request.validate_only {
            records.clear();
        }
        Outcome { records, response }
    }
}

fn outcome(name: &str, outcome: Result<(), CreatePartitionsError>) -> MorePartitionsOutcome {
    MorePartitionsOutcome { name: name.to_owned(), outcome }
}

fn duplicates(topics: &[MorePartitions]) -> BTreeSet<&str> {
    let mut seen = BTreeSet::new();
    topics.iter().map(|topic| topic.name.as_str()).filter(|name| !seen.insert(*name)).collect()
}

/// The records of one topic, `room` at most.
fn add_partitions(
    image: &MetadataImage,
    request: &MorePartitions,
    room: usize,
) -> Result<Vec<Record>, CreatePartitionsError> {
    let topic = image.topic(&request.name).ok_or(CreatePartitionsError::UnknownTopic)?;
    let additional = additional(topic, request)?;
    if let Some(assignments) = &request.assignments
        && assignments.len() != additional
    {
        let assigned = assignments.len();
        return Err(CreatePartitionsError::AssignmentCount { additional, assigned });
    }
    if additional > room {
        return Err(CreatePartitionsError::TooManyRecords);
    }
    let states = match &request.assignments {
        Some(assignments) => assigned(image, topic, assignments)?,
        None => placed(image, topic, additional)?,
    };
    assert_eq!(states.len(), additional, "a state for each partition");
    let numbered = (0..).map(PartitionId::new).skip(topic.partitions.len()).zip(states);
    let record =
        |(partition, state)| Record::Partition(NewPartition { topic: topic.id, partition, state });
    Ok(numbered.map(record).collect())
}

/// How many partitions are missing, at least one.
fn additional(
    topic: &TopicImage,
    request: &MorePartitions,
) -> Result<usize, CreatePartitionsError> {
    let present = topic.partitions.len();
    // A negative number is less than any topic has.
    match usize::try_from(request.count).unwrap_or(0) {
        wanted if wanted > present => Ok(wanted - present),
        wanted if wanted == present => Err(CreatePartitionsError::Same(present)),
        _ => {
            let topic = request.name.clone();
            Err(CreatePartitionsError::Fewer { topic, present, wanted: request.count })
        }
    }
}

/// As many replicas as the first partition has, whatever a reassignment made of the others.
fn replication_factor(topic: &TopicImage) -> usize {
    topic.partitions.first().map_or(1, |first| first.replicas.len())
}

fn assigned(
    image: &MetadataImage,
    topic: &TopicImage,
    assignments: &[Vec<i32>],
) -> Result<Vec<PartitionImage>, CreatePartitionsError> {
    let (present, factor) = (topic.partitions.len(), replication_factor(topic));
    let numbered = (0..).skip(present).zip(assignments);
    let state = |(number, brokers): (i32, &Vec<i32>)| {
        Ok(assigned_partition(image, number, brokers, Some(factor))?)
    };
    numbered.map(state).collect()
}

/// The circle goes on where the topic's creation ended it: its random id says where that began.
fn placed(
    image: &MetadataImage,
    topic: &TopicImage,
    additional: usize,
) -> Result<Vec<PartitionImage>, CreatePartitionsError> {
    let (present, replicas) = (topic.partitions.len(), replication_factor(topic));
    let placement = Placement::over(image, usize::from(topic.id.as_bytes()[15]));
    placement.check(replicas).map_err(|reason| CreatePartitionsError::Placement {
        replication_factor: replicas,
        reason,
    })?;
    let states = (present..present + additional)
        .map(|nth| new_partition(image, placement.replicas_of(nth, replicas)));
    Ok(states.collect())
}
