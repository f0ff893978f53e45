//! How a member gets from what it has to what it is to have.
//!
//! A partition is taken from one member before another gets it: the first is told to give it up,
//! says that it has, and only then is the partition free. So a member moves in steps, one a
//! heartbeat, and is in one of three states between them.

use std::collections::BTreeSet;

use ottla_types::planted::{self, Bug};
use ottla_types::{PartitionId, TopicId};

use super::partitions::{OwnedPartitions, Partitions};
use crate::ids::{Epoch, MemberId};
use crate::record::ConsumerCurrentValue;

/// How a static member that left for a restart is stored.
const AWAY: i32 = -2;

/// How far a member has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// It has what it was to have in its epoch.
    Stable,
    /// It has to give up partitions first.
    UnrevokedPartitions,
    /// It waits for partitions that others have to give up.
    UnreleasedPartitions,
    /// A later version of Kafka wrote a state that we do not know.
    Unknown(i8),
}

impl MemberState {
    const fn from_wire(number: i8) -> Self {
        match number {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            other => Self::Unknown(other),
        }
    }

    const fn to_wire(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown(number) => number,
        }
    }
}

/// What a member has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CurrentAssignment {
    /// What the member was told of the group; `None` for a static member that left for a restart.
    pub(crate) epoch: Option<Epoch>,
    /// The epoch before: the member may come with it if our last answer was lost.
    pub(crate) previous_epoch: Option<Epoch>,
    /// How far it has come.
    pub(crate) state: MemberState,
    /// What it may read.
    pub(crate) assigned: OwnedPartitions,
    /// What it has been told to give up, and has not yet.
    pub(crate) revoking: OwnedPartitions,
}

impl CurrentAssignment {
    /// A member that has just come.
    pub(crate) fn new() -> Self {
        Self {
            epoch: Some(Epoch::ZERO),
            previous_epoch: None,
            state: MemberState::Stable,
            assigned: OwnedPartitions::default(),
            revoking: OwnedPartitions::default(),
        }
    }

    /// Whether the member has what it is to have as of that target.
    pub(crate) fn is_reconciled_to(&self, target: Epoch) -> bool {
        self.state == MemberState::Stable && self.epoch == Some(target)
    }

    /// All partitions that nobody else may have.
    pub(crate) fn held(&self) -> impl Iterator<Item = (TopicId, PartitionId)> {
        let of = |owned: &'_ OwnedPartitions| {
            owned.iter().map(|(topic, partition, _)| (topic, partition)).collect::<Vec<_>>()
        };
        of(&self.assigned).into_iter().chain(of(&self.revoking))
    }

    pub(crate) fn from_record(value: &ConsumerCurrentValue) -> Self {
        let epoch = Epoch::from_wire(value.epoch);
        let since = epoch.unwrap_or(Epoch::ZERO);
        Self {
            epoch,
            previous_epoch: Epoch::from_wire(value.previous_epoch),
            state: MemberState::from_wire(value.state),
            assigned: OwnedPartitions::from_record(&value.assigned, since),
            revoking: OwnedPartitions::from_record(&value.pending_revocation, since),
        }
    }

    pub(crate) fn to_record(&self) -> ConsumerCurrentValue {
        ConsumerCurrentValue {
            epoch: self.epoch.map_or(AWAY, Epoch::get),
            previous_epoch: Epoch::to_wire(self.previous_epoch),
            state: self.state.to_wire(),
            assigned: self.assigned.to_record(),
            pending_revocation: self.revoking.to_record(),
        }
    }
}

/// What a member's next step depends on.
pub(crate) struct Reconciliation<'a> {
    /// The epoch of the target assignment.
    pub(crate) target_epoch: Epoch,
    /// What the member is to have.
    pub(crate) target: &'a Partitions,
    /// The existing topics that it subscribes to now; the target may be older.
    pub(crate) subscribed: &'a BTreeSet<TopicId>,
    /// Whether its subscription changed with this request.
    pub(crate) subscription_changed: bool,
    /// What it says it has; `None` if it said nothing.
    pub(crate) owned: Option<&'a Partitions>,
    /// The member itself.
    pub(crate) member: &'a MemberId,
    /// Who has a partition now.
    pub(crate) owner: &'a dyn Fn(TopicId, PartitionId) -> Option<&'a MemberId>,
}

/// The member is in a state that we do not know: it has to give everything up and come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownState;

impl Reconciliation<'_> {
    /// The member's next step; the same again if it stays where it is.
    pub(crate) fn step(
        &self,
        current: &CurrentAssignment,
    ) -> Result<CurrentAssignment, UnknownState> {
        let epoch = current.epoch.unwrap_or(Epoch::ZERO);
        Ok(match current.state {
            MemberState::Stable if epoch != self.target_epoch => self.advance(current, epoch),
            MemberState::Stable if self.subscription_changed => self.shrink(current, epoch),
            MemberState::Stable => current.clone(),
            MemberState::UnrevokedPartitions if self.still_has(&current.revoking) => {
                if self.subscription_changed {
                    self.shrink(current, epoch)
                } else {
                    current.clone()
                }
            }
            MemberState::UnrevokedPartitions | MemberState::UnreleasedPartitions => {
                self.advance(current, epoch)
            }
            MemberState::Unknown(_) if self.owned.is_some_and(Partitions::is_empty) => {
                self.advance(current, self.target_epoch)
            }
            MemberState::Unknown(_) => return Err(UnknownState),
        })
    }

    /// Towards the target: first what has to be given up, then what is free.
    fn advance(&self, current: &CurrentAssignment, epoch: Epoch) -> CurrentAssignment {
        let wanted = |topic, partition| {
            self.subscribed.contains(&topic) && self.target.contains(topic, partition)
        };
        let (kept, revoking): (Vec<_>, Vec<_>) =
            current.assigned.iter().partition(|(topic, partition, _)| wanted(*topic, *partition));
        let mut assigned: OwnedPartitions = kept.into_iter().collect();
        let revoking: OwnedPartitions = revoking.into_iter().collect();
        if !revoking.is_empty() && self.still_has(&revoking) {
            let state = MemberState::UnrevokedPartitions;
            return CurrentAssignment {
                epoch: Some(epoch),
                previous_epoch: current.epoch,
                state,
                assigned,
                revoking,
            };
        }
        let mut state = MemberState::Stable;
        for (topic, partition) in self.target.iter() {
            if !self.subscribed.contains(&topic) || assigned.contains(topic, partition) {
                continue;
            }
            // Its own it has just given up, or was about to.
            match (self.owner)(topic, partition) {
                Some(owner) if owner != self.member && !planted::is(Bug::PartitionGivenTwice) => {
                    state = MemberState::UnreleasedPartitions;
                }
                Some(_) | None => assigned.insert(topic, partition, self.target_epoch),
            }
        }
        CurrentAssignment {
            epoch: Some(self.target_epoch),
            previous_epoch: current.epoch,
            state,
            assigned,
            revoking: OwnedPartitions::default(),
        }
    }

    /// The member no longer subscribes to something that it has, and no new target says so yet.
    fn shrink(&self, current: &CurrentAssignment, epoch: Epoch) -> CurrentAssignment {
        let (kept, dropped): (Vec<_>, Vec<_>) =
            current.assigned.iter().partition(|(topic, _, _)| self.subscribed.contains(topic));
        if dropped.is_empty() {
            return current.clone();
        }
        let revoking: OwnedPartitions = current.revoking.iter().chain(dropped).collect();
        let mut next = CurrentAssignment {
            epoch: Some(epoch),
            previous_epoch: current.epoch,
            assigned: kept.into_iter().collect(),
            ..current.clone()
        };
        // What it has given up already is not waited for.
        if self.still_has(&revoking) {
            next.state = MemberState::UnrevokedPartitions;
            next.revoking = revoking;
        }
        next
    }

    /// Whether the member may still have one of these: it must say that it does not.
    fn still_has(&self, partitions: &OwnedPartitions) -> bool {
        self.owned.is_none_or(|owned| {
            partitions.iter().any(|(topic, partition, _)| owned.contains(topic, partition))
        })
    }
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;
