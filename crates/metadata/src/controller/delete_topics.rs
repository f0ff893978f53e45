//! DeleteTopics.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::TopicId;

use crate::image::MetadataImage;
use crate::record::Record;

use super::bounds::RECORDS_PER_REQUEST_MAX;
use super::{Controller, Outcome};

/// How a request names a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicSelector {
    /// By its name, whatever that may be.
    Name(String),
    /// By its id.
    Id(TopicId),
    /// By both, which is refused.
    Both(String, TopicId),
    /// By neither, which is refused.
    Neither,
}

/// The request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteTopics {
    /// The topics.
    pub topics: Vec<TopicSelector>,
}

/// What became of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    /// The name, where it is known or was given.
    pub name: Option<String>,
    /// The id, where it is known or was given.
    pub id: Option<TopicId>,
    /// Whether the topic goes.
    pub outcome: Result<(), DeleteTopicError>,
}

/// Why a topic stays. The words are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteTopicError {
    /// Nothing was named.
    #[error("Neither topic name nor id were specified.")]
    Neither,
    /// Too much was named.
    #[error("You may not specify both topic name and topic id.")]
    Both,
    /// The request has the name twice.
    #[error("Duplicate topic name.")]
    DuplicateName,
    /// The request has the id twice.
    #[error("Duplicate topic id.")]
    DuplicateId,
    /// The request has the topic by name and by id.
    #[error("The provided topic name maps to an ID that was already supplied.")]
    NameOfGivenId,
    /// There is no topic of that name.
    #[error("This server does not host this topic-partition.")]
    UnknownName,
    /// There is no topic with that id.
    #[error("This server does not host this topic ID.")]
    UnknownId,
    /// More topics than one request may change.
    #[error("Unable to perform excessively large batch operation.")]
    TooMany,
}

impl Controller {
    /// Deletes topics. A topic that is named twice, in whatever way, stays.
    pub fn delete_topics(
        image: &MetadataImage,
        request: &DeleteTopics,
    ) -> Outcome<Vec<DeletedTopic>> {
        let mut deletion = Deletion::over(image, &request.topics);
        deletion.resolve_ids();
        deletion.resolve_names();
        deletion.outcome()
    }
}

/// A request being taken apart; the order of the steps is that of Kafka's broker.
struct Deletion<'a> {
    image: &'a MetadataImage,
    names: Named<String>,
    ids: Named<TopicId>,
    chosen: BTreeMap<TopicId, String>,
    answers: Vec<DeletedTopic>,
}

struct Named<T> {
    once: BTreeSet<T>,
    twice: BTreeSet<T>,
}

impl<T: Ord + Clone> Named<T> {
    const fn new() -> Self {
        Self { once: BTreeSet::new(), twice: BTreeSet::new() }
    }

    fn add(&mut self, item: &T) {
        if self.twice.contains(item) || !self.once.insert(item.clone()) {
            self.once.remove(item);
            self.twice.insert(item.clone());
        }
    }
}

impl<'a> Deletion<'a> {
    fn over(image: &'a MetadataImage, topics: &[TopicSelector]) -> Self {
        let (mut names, mut ids, mut answers) = (Named::new(), Named::new(), Vec::new());
        for topic in topics {
            match topic {
                TopicSelector::Name(name) => names.add(name),
                TopicSelector::Id(id) => ids.add(id),
                TopicSelector::Both(name, id) => {
                    answers.push(refused(Some(name), Some(*id), DeleteTopicError::Both));
                }
                TopicSelector::Neither => {
                    answers.push(refused(None, None, DeleteTopicError::Neither));
                }
            }
        }
        let twice = names.twice.iter();
        answers.extend(twice.map(|n| refused(Some(n), None, DeleteTopicError::DuplicateName)));
        let twice = ids.twice.iter();
        answers.extend(twice.map(|id| refused(None, Some(*id), DeleteTopicError::DuplicateId)));
        Self { image, names, ids, chosen: BTreeMap::new(), answers }
    }

    fn resolve_ids(&mut self) {
        for id in &self.ids.once {
            match self.image.topic_by_id(*id) {
                Some(topic) => {
                    self.chosen.insert(*id, topic.name.to_string());
                }
                None => {
                    self.answers.push(refused(None, Some(*id), DeleteTopicError::UnknownId));
                }
            }
        }
    }

    fn resolve_names(&mut self) {
        for name in &self.names.once {
            let Some(topic) = self.image.topic(name) else {
                self.answers.push(refused(Some(name), None, DeleteTopicError::UnknownName));
                continue;
            };
            let id = topic.id;
            if self.ids.twice.contains(&id) || self.chosen.insert(id, name.clone()).is_some() {
                self.chosen.remove(&id);
                let error = DeleteTopicError::NameOfGivenId;
                self.answers.push(refused(Some(name), Some(id), error));
            }
        }
    }

    fn outcome(self) -> Outcome<Vec<DeletedTopic>> {
        let too_many = self.chosen.len() > RECORDS_PER_REQUEST_MAX;
        let outcome = if too_many { Err(DeleteTopicError::TooMany) } else { Ok(()) };
        let mut response = self.answers;
        let mut records = Vec::new();
        for (id, name) in self.chosen {
            if !too_many {
                records.push(Record::RemoveTopic { id });
            }
            let outcome = outcome.clone();
            response.push(DeletedTopic { name: Some(name), id: Some(id), outcome });
        }
        Outcome { records, response }
    }
}

fn refused(name: Option<&String>, id: Option<TopicId>, error: DeleteTopicError) -> DeletedTopic {
    DeletedTopic { name: name.cloned(), id, outcome: Err(error) }
}
