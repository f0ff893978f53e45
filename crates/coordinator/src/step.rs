//! One request, one decision.

use ottla_metadata::MetadataImage;

use crate::answer::{
    DeleteGroupError, GroupAnswer, GroupKind, GroupNotFound, HeartbeatError, InvalidGroupId,
    JoinError, LeaveError, LeftMember, ListedGroup, SyncError,
};
use crate::classic::{ClassicGroup, join};
use crate::clock::Now;
use crate::consumer::Moment;
use crate::desk::Desk;
use crate::group::Group;
use crate::ids::GroupId;
use crate::request::{
    GroupRequest, Heartbeat, JoinGroup, LeaveGroup, Leaver, ListGroups, SyncGroup,
};
use crate::shard::{Effects, GroupShard, Ticket};

impl GroupShard {
    /// Decides a request. The answer may come with this call or a later one.
    pub fn step(
        &mut self,
        now: Now,
        image: &MetadataImage,
        ticket: Ticket,
        request: GroupRequest,
        effects: &mut Effects,
    ) {
        let at = Moment { now, image };
        let answer = match request {
            GroupRequest::Join(join) => return self.join(at, ticket, join, effects),
            GroupRequest::Sync(sync) => return self.sync(at, ticket, sync, effects),
            GroupRequest::Heartbeat(heartbeat) => {
                GroupAnswer::Heartbeat(self.heartbeat(at, &heartbeat, effects))
            }
            GroupRequest::Leave(leave) => GroupAnswer::Leave(self.leave(at, leave, effects)),
            GroupRequest::ConsumerHeartbeat(heartbeat) => {
                let answer = self.consumer_heartbeat(at, &heartbeat, effects);
                GroupAnswer::ConsumerHeartbeat(answer)
            }
            GroupRequest::ConsumerDescribe(groups) => {
                let described = |id| (self.describe_consumer_group(at, &id), id);
                let all = groups.into_iter().map(described);
                GroupAnswer::ConsumerDescribe(all.map(|(result, id)| (id, result)).collect())
            }
            GroupRequest::CommitOffsets(commit) => {
                GroupAnswer::CommitOffsets(self.commit_offsets(now, commit, effects))
            }
            GroupRequest::FetchOffsets(fetch) => {
                GroupAnswer::FetchOffsets(self.fetch_offsets(image, &fetch))
            }
            GroupRequest::DeleteOffsets(delete) => {
                GroupAnswer::DeleteOffsets(self.delete_offsets(delete, effects))
            }
            GroupRequest::Describe(groups) => {
                let described = |id| (self.describe(&id), id);
                let all = groups.into_iter().map(described);
                GroupAnswer::Describe(all.map(|(result, id)| (id, result)).collect())
            }
            GroupRequest::List(list) => GroupAnswer::List(self.list(&list)),
            GroupRequest::Survey { offsets_max } => GroupAnswer::Survey(self.survey(offsets_max)),
            GroupRequest::Delete(groups) => {
                let deleted = groups.into_iter().map(|id| {
                    let result = self.delete_group(now, &id, effects);
                    (id, result)
                });
                GroupAnswer::Delete(deleted.collect())
            }
        };
        effects.answer(ticket, answer);
    }

    fn join(&mut self, at: Moment<'_>, ticket: Ticket, join: JoinGroup, effects: &mut Effects) {
        let now = at.now;
        let refused = self.check_join(&join);
        let consumers = self.consumer_group(&join.group).filter(|group| !group.is_empty());
        if refused.is_none() && consumers.is_some() {
            let answer = self.join_consumer_group(at, &join, effects);
            return effects.answer(ticket, GroupAnswer::Join(answer));
        }
        if refused.is_none() && matches!(self.groups.get(&join.group), Some(Group::Consumer(_))) {
            // Empty, or it would have been refused: whoever comes first says which protocol it is.
            self.remove_group(now, &join.group, effects);
        }
        let Self { groups, settings, timers, .. } = self;
        let mut desk = Desk { now, settings, timers, effects };
        if let Some(why) = refused {
            return join::refuse(&mut desk, ticket, join.member, why);
        }
        let id = join.group.clone();
        let is_new = !groups.contains_key(&id);
        let records = desk.effects.records.len();
        let fresh = || Group::Classic(ClassicGroup::new(id.clone()));
        let Group::Classic(group) = groups.entry(id.clone()).or_insert_with(fresh) else {
            unreachable!("a group of the other protocol was taken away")
        };
        group.join(&mut desk, ticket, join);
        if is_new && desk.effects.records.len() == records {
            // Its members are not written down before they are stable, but that it exists is.
            desk.record(group.birth_record());
        }
    }

    fn check_join(&self, request: &JoinGroup) -> Option<JoinError> {
        if let Err(why) = join::check(&self.settings, request) {
            return Some(why);
        }
        match self.groups.get(&request.group) {
            Some(Group::Consumer(group)) if !group.is_empty() => None,
            Some(Group::Consumer(_)) | None if request.member.is_some() => {
                Some(JoinError::UnknownMember)
            }
            // A group that nobody could join would stay for nothing.
            Some(Group::Consumer(_)) | None
                if request.protocol_type.is_empty() || request.protocols.is_empty() =>
            {
                Some(JoinError::InconsistentGroupProtocol)
            }
            Some(Group::Classic(_) | Group::Consumer(_)) | None => None,
        }
    }

    fn sync(&mut self, at: Moment<'_>, ticket: Ticket, sync: SyncGroup, effects: &mut Effects) {
        let id = sync.group.clone();
        if self.consumer_group(&id).is_some() {
            let answer = self.sync_consumer_group(at, &sync);
            return effects.answer(ticket, GroupAnswer::Sync(answer));
        }
        // Offsets may have been committed without a name, members have one.
        if id.as_str().is_empty() {
            return effects.answer(ticket, GroupAnswer::Sync(Err(SyncError::InvalidGroupId)));
        }
        let synced =
            self.with_classic(at.now, &id, effects, |group, desk| group.sync(desk, ticket, sync));
        if synced.is_none() {
            effects.answer(ticket, GroupAnswer::Sync(Err(SyncError::UnknownMember)));
        }
    }

    fn heartbeat(
        &mut self,
        at: Moment<'_>,
        heartbeat: &Heartbeat,
        effects: &mut Effects,
    ) -> Result<(), HeartbeatError> {
        let id = &heartbeat.group;
        if id.as_str().is_empty() {
            return Err(HeartbeatError::InvalidGroupId);
        }
        if self.consumer_group(id).is_some() {
            return self.heartbeat_in_consumer_group(at, heartbeat);
        }
        self.with_classic(at.now, id, effects, |group, desk| group.heartbeat(desk, heartbeat))
            .unwrap_or(Err(HeartbeatError::UnknownMember))
    }

    fn leave(
        &mut self,
        at: Moment<'_>,
        leave: LeaveGroup,
        effects: &mut Effects,
    ) -> Result<Vec<LeftMember>, InvalidGroupId> {
        if self.consumer_group(&leave.group).is_some() {
            return Ok(self.leave_consumer_group(at, &leave, effects));
        }
        let LeaveGroup { group, members } = leave;
        match self.groups.get(&group) {
            _ if group.as_str().is_empty() => Err(InvalidGroupId),
            Some(Group::Classic(_)) => {
                let left = self.with_classic(at.now, &group, effects, |group, desk| {
                    group.leave(desk, members)
                });
                Ok(left.expect("a classic group"))
            }
            Some(Group::Consumer(_)) | None => Ok(members.into_iter().map(not_there).collect()),
        }
    }

    fn describe(&self, id: &GroupId) -> Result<crate::DescribedGroup, GroupNotFound> {
        match self.groups.get(id) {
            Some(group) => group.describe(id),
            None => Err(GroupNotFound::Unknown(id.clone())),
        }
    }

    fn list(&self, list: &ListGroups) -> Vec<ListedGroup> {
        let states: Vec<_> = list.states.iter().map(|state| state.trim()).collect();
        let passes = |listed: &ListedGroup| {
            let state = states.iter().any(|state| state.eq_ignore_ascii_case(listed.state));
            let kind = list.kinds.iter().any(|kind| is_kind(kind, listed.kind));
            (states.is_empty() || state) && (list.kinds.is_empty() || kind)
        };
        self.groups.iter().map(|(id, group)| group.listed(id)).filter(passes).collect()
    }

    fn delete_group(
        &mut self,
        now: Now,
        id: &GroupId,
        effects: &mut Effects,
    ) -> Result<(), DeleteGroupError> {
        match self.groups.get(id) {
            None => return Err(DeleteGroupError::GroupNotFound),
            Some(group) if !group.is_empty() => return Err(DeleteGroupError::NonEmptyGroup),
            Some(_) if self.is_foreign(id) => return Err(DeleteGroupError::NonEmptyGroup),
            Some(_) => {}
        }
        self.forget_group(id, effects);
        self.remove_group(now, id, effects);
        Ok(())
    }
}

fn not_there(leaver: Leaver) -> LeftMember {
    LeftMember {
        member: leaver.member,
        instance: leaver.instance,
        result: Err(LeaveError::UnknownMember),
    }
}

fn is_kind(said: &str, kind: GroupKind) -> bool {
    said.eq_ignore_ascii_case(kind.name())
}
