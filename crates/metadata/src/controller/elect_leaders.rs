//! ElectLeaders: another leader on request (KIP-460).

use std::collections::BTreeSet;

use ottla_types::{BrokerId, PartitionId, Uuid, limits};

use crate::image::{BrokerImage, LeaderRecovery, MetadataImage, PartitionImage, TopicImage};
use crate::record::{PartitionChange, Record};

use super::bounds::fit_together;
use super::{Controller, Outcome};

/// Which election is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The first replica is to lead, if it is in sync.
    Preferred,
    /// A partition without a leader is to have one, at the price of records.
    Unclean,
}

/// The request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectLeaders {
    /// Which election.
    pub election: Election,
    /// Topics and their partitions, as the client named them; `None` for all there are.
    pub partitions: Option<Vec<(String, Vec<i32>)>>,
}

/// What became of the partitions of a topic: number and outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elected {
    /// The topic, as the client named it.
    pub topic: String,
    /// Its partitions.
    pub partitions: Vec<(i32, Result<(), ElectLeaderError>)>,
}

/// Why a partition keeps the leader that it has. The words are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElectLeaderError {
    /// There is no such topic.
    #[error("No such topic as {0}")]
    UnknownTopic(String),
    /// There is no such partition.
    #[error("No such partition as {topic}-{partition}")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The number in the request.
        partition: i32,
    },
    /// The preferred leader leads; or, for an unclean election, anybody does.
    #[error("Leader election not needed for topic partition.")]
    NotNeeded,
    /// The first replica is not in sync, or not there.
    #[error("The preferred leader was not available.")]
    PreferredNotAvailable,
    /// No replica is there.
    #[error("Eligible topic partition leaders are not available.")]
    NobodyEligible,
    /// The request as a whole would write too many records.
    #[error("Unable to perform excessively large batch operation.")]
    TooManyRecords,
}

/// A partition's next leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// From among those that have all records.
    Clean(BrokerId),
    /// It may lack some.
    Unclean(BrokerId),
    Nobody,
}

impl Controller {
    /// Elects leaders; each partition stands or falls by itself, and counts once however often it
    /// is named. Of all partitions, those are not told of that need no election.
    pub fn elect_leaders(image: &MetadataImage, request: &ElectLeaders) -> Outcome<Vec<Elected>> {
        let mut records = Vec::new();
        let mut seen = BTreeSet::new();
        let mut response: Vec<Elected> = match &request.partitions {
            Some(named) => named
                .iter()
                .map(|(topic, partitions)| {
                    let mut once = partitions.clone();
                    once.retain(|number| seen.insert((topic.as_str(), *number)));
                    elect_named(image, request.election, topic, &once, &mut records)
                })
                .collect(),
            None => image
                .topics()
                .map(|t| elect_all(image, request.election, t, &mut records))
                .collect(),
        };
        if !fit_together(&records) {
            records.clear();
            let outcomes = response.iter_mut().flat_map(|topic| &mut topic.partitions);
            outcomes.for_each(|(_, outcome)| *outcome = Err(ElectLeaderError::TooManyRecords));
        }
        Outcome { records, response }
    }
}

fn elect_named(
    image: &MetadataImage,
    election: Election,
    topic: &str,
    partitions: &[i32],
    records: &mut Vec<Record>,
) -> Elected {
    let found = image.topic(topic);
    let elect_one = |number: &i32| {
        let outcome = match found {
            Some(found) => elect(image, election, found, *number),
            None => Err(ElectLeaderError::UnknownTopic(shown(topic).to_owned())),
        };
        (*number, outcome.map(|change| records.push(Record::PartitionChange(change))))
    };
    Elected { topic: topic.to_owned(), partitions: partitions.iter().map(elect_one).collect() }
}

/// As much of what the client named as a topic's name can be long: it is told for each partition.
fn shown(topic: &str) -> &str {
    &topic[..topic.floor_char_boundary(limits::TOPIC_NAME_BYTES_MAX)]
}

fn elect_all(
    image: &MetadataImage,
    election: Election,
    topic: &TopicImage,
    records: &mut Vec<Record>,
) -> Elected {
    let mut partitions = Vec::new();
    for (number, _) in topic.numbered() {
        match elect(image, election, topic, number.get()) {
            Err(ElectLeaderError::NotNeeded) => {}
            outcome => {
                let told = outcome.map(|change| records.push(Record::PartitionChange(change)));
                partitions.push((number.get(), told));
            }
        }
    }
    Elected { topic: topic.name.to_string(), partitions }
}

fn elect(
    image: &MetadataImage,
    election: Election,
    topic: &TopicImage,
    number: i32,
) -> Result<PartitionChange, ElectLeaderError> {
    let found = PartitionId::from_wire(number).and_then(|id| Some((id, topic.partition(id)?)));
    let Some((id, partition)) = found else {
        let topic = topic.name.to_string();
        return Err(ElectLeaderError::UnknownPartition { topic, partition: number });
    };
    let needless = match election {
        Election::Preferred => partition.leader.is_some_and(|l| partition.replicas[0] == l),
        Election::Unclean => partition.leader.is_some(),
    };
    if needless {
        return Err(ElectLeaderError::NotNeeded);
    }
    let next = next_leader(image, election, partition);
    let change = changed(partition, PartitionChange::of(topic.id, id), next);
    change.ok_or(match election {
        Election::Preferred => ElectLeaderError::PreferredNotAvailable,
        Election::Unclean => ElectLeaderError::NobodyEligible,
    })
}

/// Kafka's order: the preferred replica where that is asked for, the leader that there is, the
/// first other replica that has everything, and any that is there where that is asked for.
fn next_leader(image: &MetadataImage, election: Election, partition: &PartitionImage) -> Next {
    let valid = |id: &BrokerId| is_complete(partition, *id) && is_online(image, partition, *id);
    let preferred = match election {
        Election::Preferred => partition.replicas.first().copied(),
        Election::Unclean => None,
    };
    let clean = preferred
        .into_iter()
        .chain(partition.leader)
        .chain(partition.replicas.iter().copied())
        .find(valid);
    let any = || match election {
        Election::Preferred => None,
        Election::Unclean => {
            partition.replicas.iter().copied().find(|id| is_online(image, partition, *id))
        }
    };
    match clean {
        Some(leader) => Next::Clean(leader),
        None => any().map_or(Next::Nobody, Next::Unclean),
    }
}

/// What an election makes of a partition; `None` where the leader stays who it is.
fn changed(
    partition: &PartitionImage,
    change: PartitionChange,
    next: Next,
) -> Option<PartitionChange> {
    let leader = match next {
        Next::Clean(leader) | Next::Unclean(leader) => Some(leader),
        Next::Nobody => None,
    };
    if leader == partition.leader {
        return None;
    }
    let change = PartitionChange { leader: Some(leader), ..change };
    Some(match next {
        Next::Clean(leader) if !partition.isr.contains(&leader) => PartitionChange {
            isr: Some(vec![leader]),
            elr: Some(partition.elr.iter().copied().filter(|id| *id != leader).collect()),
            ..change
        },
        Next::Clean(_) | Next::Nobody => change,
        Next::Unclean(leader) => PartitionChange {
            isr: Some(vec![leader]),
            // What was complete for the leaders before is not for this one: as in Kafka, nobody is.
            elr: (!partition.elr.is_empty()).then(Vec::new),
            last_known_elr: (!partition.last_known_elr.is_empty()).then(Vec::new),
            recovery: (partition.recovery == LeaderRecovery::Recovered)
                .then_some(LeaderRecovery::Recovering),
            ..change
        },
    })
}

/// Whether a replica has every committed record: it is in sync, or with nobody in sync an eligible
/// leader (KIP-966).
fn is_complete(partition: &PartitionImage, id: BrokerId) -> bool {
    partition.isr.contains(&id) || (partition.isr.is_empty() && partition.elr.contains(&id))
}

/// Whether a replica is there: its broker is, and the directory that keeps it.
fn is_online(image: &MetadataImage, partition: &PartitionImage, id: BrokerId) -> bool {
    let directory = partition.replica_on(id).map(|replica| replica.directory);
    let Some(broker) = image.broker(id).filter(|broker| broker.is_active()) else { return false };
    directory.is_some_and(|directory| has_directory(broker, directory))
}

fn has_directory(broker: &BrokerImage, directory: Uuid) -> bool {
    const MIGRATING: Uuid = Uuid::ZERO;
    const UNASSIGNED: Uuid = Uuid::from_u128(1);
    const LOST: Uuid = Uuid::from_u128(2);
    match directory {
        MIGRATING | UNASSIGNED => true,
        LOST => false,
        // A broker that registered before directories had ids has named none.
        named => broker.directories.is_empty() || broker.directories.contains(&named),
    }
}
