use std::collections::{BTreeMap, BTreeSet};

use ottla_types::TopicPartition;

use super::{Assignments, Members, PartitionCounts, give, in_order, partitions};

/// Evenly, and as much as possible to whoever had it.
///
/// What is claimed stays first; what nobody has goes to whoever has least; then partitions move
/// from members with more to members with at least two fewer, until there are none. Each move
/// makes the sum of the squares of the shares smaller, so that it ends.
pub(super) fn assign(group: &Members, counts: &PartitionCounts, assignments: &mut Assignments) {
    let members: Vec<&String> = in_order(group).into_iter().map(|(id, _)| id).collect();
    let mut owners = claims(group, counts);
    let mut shares: BTreeMap<&str, usize> = members.iter().map(|id| (id.as_str(), 0)).collect();
    for owner in owners.values() {
        *shares.entry(owner).or_default() += 1;
    }
    let subscribed = |partition: &TopicPartition| {
        let wants = |id: &&&String| group[id.as_str()].topics.contains(&partition.topic);
        members.iter().filter(wants).copied().collect::<Vec<&String>>()
    };
    for partition in counts.iter().flat_map(|(topic, count)| partitions(topic, *count)) {
        if owners.contains_key(&partition) {
            continue;
        }
        let least = subscribed(&partition).into_iter().min_by_key(|id| shares[id.as_str()]);
        if let Some(least) = least {
            *shares.entry(least).or_default() += 1;
            owners.insert(partition, least);
        }
    }
    while let Some((partition, to)) = owners.iter().rev().find_map(|(partition, owner)| {
        let wanting = subscribed(partition).into_iter();
        let least = wanting.min_by_key(|id| shares[id.as_str()])?;
        (shares[least.as_str()] + 1 < shares[owner]).then(|| (partition.clone(), least))
    }) {
        *shares.entry(to).or_default() += 1;
        let from = owners.insert(partition, to).expect("it had an owner");
        *shares.entry(from).or_default() -= 1;
    }
    for (partition, owner) in owners {
        give(assignments, owner, partition);
    }
}

/// Who may keep what: of several who claim a partition the one of the youngest generation, and
/// nobody where two of the same do, because one of them must be wrong.
fn claims<'a>(group: &'a Members, counts: &PartitionCounts) -> BTreeMap<TopicPartition, &'a str> {
    let mut claims: BTreeMap<&TopicPartition, (Option<i32>, Option<&str>)> = BTreeMap::new();
    for (id, told) in group {
        for partition in &told.owned {
            let exists =
                counts.get(&partition.topic).is_some_and(|all| partition.partition.get() < *all);
            if !exists || !told.topics.contains(&partition.topic) {
                continue;
            }
            let claim = claims.entry(partition).or_insert((told.generation, Some(id)));
            if claim.0 < told.generation {
                *claim = (told.generation, Some(id));
            } else if claim.0 == told.generation && claim.1 != Some(id) {
                claim.1 = None;
            }
        }
    }
    claims.into_iter().filter_map(|(partition, (_, id))| Some((partition.clone(), id?))).collect()
}

/// Takes from everybody what another member still reads: it is given in the next round, when its
/// owner has let go of it.
pub(super) fn withhold_what_moves(group: &Members, assignments: &mut Assignments) {
    let newest = group.values().filter_map(|told| told.generation).max();
    for (id, partitions) in assignments {
        let elsewhere: BTreeSet<TopicPartition> = partitions
            .iter()
            .filter(|partition| {
                let has = |(other, told): (&String, &super::Subscription)| {
                    // Whoever missed a generation has lost what it had.
                    other != id && told.generation == newest && told.owned.contains(*partition)
                };
                !(group[id].owned.contains(*partition) && group[id].generation == newest)
                    && group.iter().any(has)
            })
            .cloned()
            .collect();
        partitions.retain(|partition| !elsewhere.contains(partition));
    }
}
