//! Elections that are told to whoever watches a cluster.

use std::ops::AddAssign;

use crate::image::PartitionImage;
use crate::record::PartitionChange;

/// Elections whose winners were not in sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elections {
    /// The winner was not eligible either: what it lacks is lost.
    pub unclean: u64,
    /// The winner was an eligible leader replica, which lacks nothing (KIP-966).
    pub from_elr: u64,
}

impl Elections {
    /// What a change of a partition is, if it is an election at all.
    pub(crate) fn of(before: &PartitionImage, change: &PartitionChange) -> Self {
        let winner = change.leader.flatten();
        let Some(winner) = winner.filter(|winner| !before.isr.contains(winner)) else {
            return Self::default();
        };
        match before.elr.contains(&winner) {
            true => Self { unclean: 0, from_elr: 1 },
            false => Self { unclean: 1, from_elr: 0 },
        }
    }
}

impl AddAssign for Elections {
    fn add_assign(&mut self, other: Self) {
        self.unclean += other.unclean;
        self.from_elr += other.from_elr;
    }
}

#[cfg(test)]
mod tests {
    use ottla_types::{BrokerId, LeaderEpoch, PartitionEpoch, PartitionId, Uuid};

    use super::*;
    use crate::image::LeaderRecovery;

    fn broker(id: i32) -> BrokerId {
        BrokerId::from_wire(id).unwrap()
    }

    fn brokers(ids: &[i32]) -> Vec<BrokerId> {
        ids.iter().copied().map(broker).collect()
    }

    /// In sync, eligible, and who leads afterwards.
    fn check(isr: &[i32], elr: &[i32], leader: Option<Option<i32>>, unclean: u64, from_elr: u64) {
        let before = PartitionImage {
            replicas: brokers(&[1, 2, 3, 4]),
            directories: Vec::new(),
            isr: brokers(isr),
            removing: Vec::new(),
            adding: Vec::new(),
            elr: brokers(elr),
            last_known_elr: Vec::new(),
            leader: None,
            recovery: LeaderRecovery::Recovered,
            leader_epoch: LeaderEpoch::ZERO,
            partition_epoch: PartitionEpoch::ZERO,
        };
        let change = PartitionChange::of(Uuid::ZERO, PartitionId::from_wire(0).unwrap());
        let leader = leader.map(|leader| leader.map(broker));
        let found = Elections::of(&before, &PartitionChange { leader, ..change });
        assert_eq!(found, Elections { unclean, from_elr }, "{isr:?} {elr:?} {leader:?}");
    }

    #[test]
    fn a_winner_that_is_not_in_sync_lacks_nothing_or_something() {
        check(&[1, 2], &[3], Some(Some(2)), 0, 0);
        check(&[], &[3], Some(Some(3)), 0, 1);
        check(&[], &[3], Some(Some(4)), 1, 0);
        check(&[], &[], Some(Some(1)), 1, 0);
        check(&[], &[], Some(None), 0, 0);
        check(&[1], &[], None, 0, 0);
    }
}
