//! LeaveGroup.

use super::{ClassicGroup, State};
use crate::answer::{LeaveError, LeftMember};
use crate::desk::Desk;
use crate::ids::MemberId;
use crate::request::Leaver;

impl ClassicGroup {
    /// Members leave, or are sent away. All go before the group rebalances once.
    pub(crate) fn leave(&mut self, desk: &mut Desk<'_>, leavers: Vec<Leaver>) -> Vec<LeftMember> {
        let left: Vec<_> = leavers.into_iter().map(|leaver| self.leave_one(desk, leaver)).collect();
        if left.iter().any(|each| each.result.is_ok()) && self.state != State::Empty {
            self.rebalance_or_go_on(desk);
        }
        left
    }

    fn leave_one(&mut self, desk: &mut Desk<'_>, leaver: Leaver) -> LeftMember {
        let result = self.who_leaves(&leaver).map(|id| self.remove(desk, &id));
        LeftMember { member: leaver.member, instance: leaver.instance, result }
    }

    /// An operator names the static member only.
    fn who_leaves(&self, leaver: &Leaver) -> Result<MemberId, LeaveError> {
        let Some(id) = &leaver.member else {
            let static_member =
                leaver.instance.as_ref().and_then(|name| self.members.by_instance(name));
            return static_member.cloned().ok_or(LeaveError::UnknownMember);
        };
        if self.pending_joins.contains(id) {
            return Ok(id.clone());
        }
        Ok(self.check_member(Some(id), leaver.instance.as_ref())?)
    }
}
