//! A member of a consumer group.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::reconcile::CurrentAssignment;
use crate::record::ConsumerMemberValue;
use crate::request::Client;

/// What a member wants, and what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// As it said.
    pub(crate) wants: ConsumerMemberValue,
    /// As it was told.
    pub(crate) has: CurrentAssignment,
}

impl Member {
    /// A member that has said nothing yet.
    pub(crate) fn new() -> Self {
        let client = Client { id: Arc::default(), host: Arc::default() };
        let wants = ConsumerMemberValue {
            instance: None,
            rack: None,
            client,
            topics: Vec::new(),
            regex: None,
            rebalance_timeout: None,
            assignor: None,
            classic: None,
        };
        Self { wants, has: CurrentAssignment::new() }
    }

    /// The same with topics in order, each once, and no empty expression, which Kafka writes for
    /// none.
    pub(crate) fn normalised(value: &ConsumerMemberValue) -> ConsumerMemberValue {
        let mut value = value.clone();
        value.topics.sort_unstable();
        value.topics.dedup();
        value.regex = value.regex.filter(|regex| !regex.is_empty());
        value
    }

    /// How many topics it has partitions of.
    pub(crate) fn topics_held(&self) -> usize {
        self.has.held().map(|(topic, _)| topic).collect::<BTreeSet<_>>().len()
    }

    /// Whether it speaks the classic protocol.
    pub(crate) const fn is_classic(&self) -> bool {
        self.wants.classic.is_some()
    }
}
