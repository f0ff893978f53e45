use super::{Assignments, Members, PartitionCounts, give, in_order, partitions};

/// Runs of neighbouring partitions of each topic; the first members get one more where it does not
/// divide evenly.
pub(super) fn assign(group: &Members, counts: &PartitionCounts, assignments: &mut Assignments) {
    let members = in_order(group);
    for (topic, count) in counts {
        let subscribed: Vec<&String> = members
            .iter()
            .filter(|(_, told)| told.topics.contains(topic))
            .map(|(id, _)| *id)
            .collect();
        if subscribed.is_empty() {
            continue;
        }
        let mut left = partitions(topic, *count);
        let all = usize::try_from(*count).unwrap_or(0);
        let (each, more) = (all / subscribed.len(), all % subscribed.len());
        for (nth, member) in subscribed.into_iter().enumerate() {
            let run = each + usize::from(nth < more);
            left.by_ref().take(run).for_each(|partition| give(assignments, member, partition));
        }
    }
}
