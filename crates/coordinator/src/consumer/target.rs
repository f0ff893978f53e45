//! The target assignment: what each member is to have in the end.

use std::collections::BTreeMap;
use std::rc::Rc;

use ottla_metadata::MetadataImage;

use super::assignor::{Assignor, GroupSpec, MemberSpec};
use super::group::ConsumerGroup;
use super::partitions::Partitions;
use crate::ids::MemberId;

/// A new target assignment: those members for which it differs from the old one.
pub(super) fn changed_targets(
    group: &ConsumerGroup,
    image: &MetadataImage,
    assignor: Assignor,
) -> Vec<(MemberId, Partitions)> {
    let none = Partitions::default();
    let mut by_subscription = BTreeMap::new();
    let mut spec = GroupSpec::default();
    for (id, member) in group.members() {
        let wants = &member.wants;
        let topics = by_subscription
            .entry((&wants.topics, &wants.regex))
            .or_insert_with(|| Rc::new(group.topics_of(wants, image)));
        let target = group.target(id).unwrap_or(&none);
        let instance = wants.instance.as_ref();
        spec.members.insert(id, MemberSpec { instance, topics: Rc::clone(topics), target });
    }
    for topic in by_subscription.values().flat_map(|topics| topics.iter()) {
        let count = image.topic_by_id(*topic).map_or(0, |topic| topic.partitions.len());
        spec.partitions.insert(*topic, count);
    }
    let assigned = assignor.assign(&spec);
    assigned.into_iter().filter(|(id, target)| group.target(id) != Some(target)).collect()
}
