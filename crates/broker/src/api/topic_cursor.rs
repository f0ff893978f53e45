//! The topic of a request's last partition: the next one's, more often than not.

use std::sync::Arc;

use ottla_wire::ErrorCode;
use ottla_wire::hot::TopicRef;

use crate::partition::{Partitions, TopicEntry};

/// Looks topics up, once for neighbours.
#[derive(Default)]
pub(super) struct TopicCursor<'a> {
    last: Option<(TopicRef<'a>, Option<Arc<TopicEntry>>)>,
}

impl<'a> TopicCursor<'a> {
    pub(super) fn seek(
        &mut self,
        partitions: &Partitions,
        topic: TopicRef<'a>,
    ) -> Result<&TopicEntry, ErrorCode> {
        if self.last.as_ref().is_none_or(|(last, _)| *last != topic) {
            let found = match topic {
                TopicRef::Name(name) => partitions.topic(name),
                TopicRef::Id(id) => partitions.topic_by_id(id),
            };
            self.last = Some((topic, found));
        }
        let found = self.last.as_ref().and_then(|(_, found)| found.as_deref());
        found.ok_or(match topic {
            TopicRef::Name(_) => ErrorCode::UnknownTopicOrPartition,
            TopicRef::Id(_) => ErrorCode::UnknownTopicId,
        })
    }
}
