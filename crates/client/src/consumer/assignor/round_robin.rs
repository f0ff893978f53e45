use super::{Assignments, Members, PartitionCounts, give, in_order, partitions};

/// Partition after partition, topic after topic, to member after member; whoever is not subscribed
/// is passed over.
pub(super) fn assign(group: &Members, counts: &PartitionCounts, assignments: &mut Assignments) {
    let members = in_order(group);
    let mut turn = 0;
    for (topic, count) in counts {
        if !members.iter().any(|(_, told)| told.topics.contains(topic)) {
            continue;
        }
        for partition in partitions(topic, *count) {
            let member = loop {
                let (id, told) = members[turn % members.len()];
                turn += 1;
                if told.topics.contains(topic) {
                    break id;
                }
            };
            give(assignments, member, partition);
        }
    }
}
