//! Whether a member may do what it asks: decided before anything changes.

use super::answer::ConsumerHeartbeatError;
use super::group::ConsumerGroup;
use super::member::Member;
use super::partitions::Partitions;
use super::reconcile::MemberState;
use crate::ids::{Epoch, InstanceId, MemberId};

/// How a member stands to the group that it comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is in.
    Known,
    /// It is new.
    New,
    /// It is a static member that has come back with a new id.
    Replaces(MemberId),
}

/// Who comes to a group.
pub(super) struct Comer<'a> {
    pub(super) member: &'a MemberId,
    pub(super) instance: Option<&'a InstanceId>,
    /// `None` if it enters.
    pub(super) epoch: Option<Epoch>,
    /// What it says it has.
    pub(super) owned: Option<&'a Partitions>,
}

impl Comer<'_> {
    /// How it stands to the group, or why it is fenced.
    pub(super) fn admit(&self, group: &ConsumerGroup) -> Result<Admission, ConsumerHeartbeatError> {
        let admission = match self.instance {
            None => self.admit_dynamic(group)?,
            Some(instance) => self.admit_static(group, instance)?,
        };
        let gives_up_all = self.owned.is_some_and(Partitions::is_empty);
        let existing = group.member(self.member).filter(|_| admission == Admission::Known);
        match existing.map(|member| member.has.state) {
            Some(MemberState::Unknown(_)) if !gives_up_all => {
                Err(ConsumerHeartbeatError::UnknownState)
            }
            _ => Ok(admission),
        }
    }

    fn admit_dynamic(&self, group: &ConsumerGroup) -> Result<Admission, ConsumerHeartbeatError> {
        match group.member(self.member) {
            Some(member) => self.check_epoch(member).map(|()| Admission::Known),
            None if self.epoch.is_none() => Ok(Admission::New),
            None => Err(ConsumerHeartbeatError::UnknownMember {
                member: self.member.clone(),
                group: group.id().clone(),
            }),
        }
    }

    fn admit_static(
        &self,
        group: &ConsumerGroup,
        instance: &InstanceId,
    ) -> Result<Admission, ConsumerHeartbeatError> {
        let (member, instance) = (self.member.clone(), instance.clone());
        match group.static_member(&instance) {
            None if self.epoch.is_some() => Err(ConsumerHeartbeatError::UnknownInstance(instance)),
            None if group.member(&member).is_some() => Ok(Admission::Known),
            None => Ok(Admission::New),
            // A member of the consumer protocol says when it leaves for a restart; before that a
            // second process with its name is a mistake. A classic member never says so.
            Some((by, existing)) if self.epoch.is_none() => {
                if existing.is_classic() || existing.has.epoch.is_none() {
                    Ok(Admission::Replaces(by.clone()))
                } else {
                    let by = by.clone();
                    Err(ConsumerHeartbeatError::UnreleasedInstance { member, instance, by })
                }
            }
            Some((by, existing)) if *by == member => {
                self.check_epoch(existing).map(|()| Admission::Known)
            }
            Some((by, _)) => {
                let by = by.clone();
                Err(ConsumerHeartbeatError::FencedInstance { member, instance, by })
            }
        }
    }

    fn check_epoch(&self, member: &Member) -> Result<(), ConsumerHeartbeatError> {
        // Whoever enters anew has given everything up.
        let Some(received) = self.epoch else { return Ok(()) };
        let Some(known) = member.has.epoch else {
            return Err(ConsumerHeartbeatError::EpochTooLarge { received, known: -2 });
        };
        if received > known {
            return Err(ConsumerHeartbeatError::EpochTooLarge { received, known: known.get() });
        }
        // The answer that told the new epoch may be lost. The member is as it was then, if it has
        // nothing that it was not given.
        let has_no_more = self.owned.is_some_and(|owned| {
            owned.iter().all(|(topic, partition)| member.has.assigned.contains(topic, partition))
        });
        if received == known || (member.has.previous_epoch == Some(received) && has_no_more) {
            Ok(())
        } else {
            Err(ConsumerHeartbeatError::EpochTooSmall { received, known })
        }
    }
}
