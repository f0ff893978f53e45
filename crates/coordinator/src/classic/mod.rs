//! Classic groups: the members join, one of them assigns.
//!
//! A rebalance has two halves. In *PreparingRebalance* the group waits for its members to join; in
//! *CompletingRebalance* they know the new generation and wait for the leader's assignment. Then
//! the group is *Stable*, and only then is it written down: a restart finds the last stable
//! generation, and its members go on as if nothing had happened.

pub(crate) mod join;
mod leave;
mod members;
mod rebalance;
pub(crate) mod subscription;
mod sync;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla_types::Timestamp;

use crate::answer::{
    CommitError, DescribedGroup, DescribedMember, HeartbeatError, JoinError, JoinedMember,
    LeaveError, SyncError,
};
use crate::desk::Desk;
use crate::ids::{Epoch, GroupId, InstanceId, MemberId};
use crate::record::{ClassicGroupValue, ClassicMemberValue, GroupRecord};
use crate::request::{CommitOffsets, Protocol};
use crate::timers::Timer;

pub(crate) use members::{Member, Members};

/// Members that were given an id and have not joined with it yet. 10,000 of them with their
/// deadlines take about 15 MB if their clients' names are as long as may be; Kafka has no bound.
const PENDING_MEMBERS_MAX: usize = 10_000;

/// A group whose members choose one of them to assign.
#[derive(Debug)]
pub(crate) struct ClassicGroup {
    group: GroupId,
    state: State,
    state_since: Option<Timestamp>,
    generation: Epoch,
    protocol_type: Option<Arc<str>>,
    protocol_name: Option<Arc<str>>,
    leader: Option<MemberId>,
    members: Members,
    /// Were given an id and have not joined with it yet (KIP-394).
    pending_joins: BTreeSet<MemberId>,
    /// Joined this generation and have not asked for their assignment yet.
    pending_syncs: BTreeSet<MemberId>,
    /// What consumers subscribe to; `None` if that is not known.
    subscribed: Option<BTreeSet<Arc<str>>>,
}

/// Where a group is in its rebalance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// No members.
    Empty,
    /// Members are to join.
    Preparing(Preparation),
    /// The leader is to assign.
    Completing,
    /// Every member has its assignment, or can ask for it.
    Stable,
}

/// What a group waits for before its next generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preparation {
    /// The first members have come: others are likely to follow, and each that does is worth
    /// another delay while there is time left.
    Initial {
        /// Somebody came since the delay began.
        newcomers: bool,
        /// The delay that runs.
        delay: Duration,
        /// What further delays may take together.
        remaining: Duration,
    },
    /// Every member has to join again.
    Rejoin,
}

impl State {
    /// Kafka's word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Preparing(_) => "PreparingRebalance",
            Self::Completing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// Who asks is not who it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotMember {
    Unknown,
    Fenced,
}

macro_rules! not_member {
    ($($error:ident),+) => {$(
        impl From<NotMember> for $error {
            fn from(error: NotMember) -> Self {
                match error {
                    NotMember::Unknown => Self::UnknownMember,
                    NotMember::Fenced => Self::FencedInstance,
                }
            }
        }
    )+};
}

not_member!(JoinError, SyncError, HeartbeatError, LeaveError, CommitError);

impl ClassicGroup {
    /// A group without members.
    pub(crate) fn new(group: GroupId) -> Self {
        Self {
            group,
            state: State::Empty,
            state_since: None,
            generation: Epoch::ZERO,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: Members::default(),
            pending_joins: BTreeSet::new(),
            pending_syncs: BTreeSet::new(),
            subscribed: None,
        }
    }

    /// A group as of its last rebalance.
    pub(crate) fn loaded(group: GroupId, value: ClassicGroupValue) -> Self {
        let mut loaded = Self::new(group);
        loaded.generation = value.generation;
        loaded.state_since = value.state_since;
        loaded.protocol_type = (!value.protocol_type.is_empty()).then_some(value.protocol_type);
        for member in value.members {
            let name = value.protocol.clone().unwrap_or_default();
            loaded.members.add(loaded_member(member, name));
        }
        loaded.protocol_name = value.protocol;
        // Without a leader nobody would look at topics.
        let first = loaded.members.iter().next().map(|member| member.id.clone());
        let named = value.leader.filter(|leader| loaded.members.contains(leader));
        loaded.leader = named.or(first);
        if !loaded.members.is_empty() {
            loaded.state = State::Stable;
        }
        loaded.subscribed = loaded.subscriptions();
        loaded
    }

    /// The record of the group as it is.
    pub(crate) fn record(&self) -> GroupRecord {
        let protocol = self.protocol_name.as_deref();
        let member = |member: &Member| ClassicMemberValue {
            member: member.id.clone(),
            instance: member.instance.clone(),
            client: member.client.clone(),
            rebalance_timeout: member.rebalance_timeout,
            session_timeout: member.session_timeout,
            subscription: member.metadata(protocol),
            assignment: member.assignment.clone(),
        };
        let value = ClassicGroupValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol_name.clone(),
            leader: self.leader.clone(),
            state_since: self.state_since,
            members: self.members.iter().map(member).collect(),
        };
        GroupRecord::Classic { group: self.group.clone(), value: Some(value) }
    }

    /// The record of a group that comes into being: its first members are still joining.
    pub(crate) fn birth_record(&self) -> GroupRecord {
        let value = ClassicGroupValue {
            protocol_type: Arc::default(),
            generation: Epoch::ZERO,
            protocol: None,
            leader: None,
            state_since: self.state_since,
            members: Vec::new(),
        };
        GroupRecord::Classic { group: self.group.clone(), value: Some(value) }
    }

    pub(crate) const fn id(&self) -> &GroupId {
        &self.group
    }

    pub(crate) const fn state(&self) -> State {
        self.state
    }

    /// No members; some may have been given an id and be about to join.
    pub(crate) fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    /// Nobody would miss it.
    pub(crate) fn is_deserted(&self) -> bool {
        self.is_empty() && self.pending_joins.is_empty()
    }

    pub(crate) const fn generation(&self) -> Epoch {
        self.generation
    }

    pub(crate) const fn protocol_type(&self) -> Option<&Arc<str>> {
        self.protocol_type.as_ref()
    }

    pub(crate) const fn protocol_name(&self) -> Option<&Arc<str>> {
        self.protocol_name.as_ref()
    }

    pub(crate) const fn members(&self) -> &Members {
        &self.members
    }

    /// Its members are Kafka's consumers, which tell what they subscribe to.
    pub(crate) fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(subscription::CONSUMER)
    }

    /// Whether the group reads a topic; consumers that do not tell may read all.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.is_of_consumers(),
        }
    }

    /// Whether a commit is one of a present member, or of nobody while there is none.
    pub(crate) fn check_commit(&self, commit: &CommitOffsets) -> Result<(), CommitError> {
        if commit.epoch.is_none() && self.is_empty() {
            return Ok(());
        }
        if commit.epoch.is_none() && commit.member.is_none() && commit.instance.is_none() {
            return Err(CommitError::UnknownMember);
        }
        self.check_member(commit.member.as_ref(), commit.instance.as_ref())?;
        if commit.epoch != Some(self.generation) {
            return Err(CommitError::IllegalGeneration);
        }
        // The member has joined the new generation, and does not know yet what it will have.
        if self.state == State::Completing {
            return Err(CommitError::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether offsets of a topic that the group does not read may be deleted now.
    pub(crate) fn may_delete_offsets(&self) -> bool {
        self.is_empty() || self.is_of_consumers()
    }

    /// Since when an offset is of no use, given when it was committed; `None` while the group may
    /// need it.
    pub(crate) fn offsets_idle_since(&self, committed_at: Timestamp) -> Option<Timestamp> {
        if self.protocol_type.is_none() {
            return Some(committed_at);
        }
        match self.state {
            State::Empty => Some(self.state_since.unwrap_or(committed_at)),
            State::Stable if self.is_of_consumers() && self.subscribed.is_some() => {
                Some(committed_at)
            }
            State::Stable | State::Preparing(_) | State::Completing => None,
        }
    }

    /// The group for an operator.
    pub(crate) fn describe(&self) -> DescribedGroup {
        let protocol = match self.state {
            State::Stable => self.protocol_name.clone(),
            State::Empty | State::Preparing(_) | State::Completing => None,
        };
        let member = |member: &Member| DescribedMember {
            member: member.id.clone(),
            instance: member.instance.clone(),
            client_id: Arc::clone(&member.client.id),
            client_host: Arc::clone(&member.client.host),
            metadata: member.metadata(protocol.as_deref()),
            assignment: member.assignment.clone(),
        };
        DescribedGroup {
            state: self.state.name(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            members: self.members.iter().map(member).collect(),
            protocol: protocol.unwrap_or_default(),
        }
    }

    /// Forgets all deadlines: the group goes.
    pub(crate) fn cancel_timers(&self, desk: &mut Desk<'_>) {
        desk.cancel(&Timer::ClassicJoin(self.group.clone()));
        desk.cancel(&Timer::ClassicSync(self.group.clone()));
        let members = self.members.iter().map(|member| &member.id);
        for member in members.chain(&self.pending_joins) {
            desk.cancel(&self.session_timer(member));
        }
    }

    /// A member of a stable or joining group is alive; called when it commits, too.
    pub(crate) fn on_commit(&self, desk: &mut Desk<'_>, member: Option<&MemberId>) {
        match self.state {
            State::Stable | State::Preparing(_) => {
                if let Some(member) = member.and_then(|id| self.members.get(id)) {
                    self.arm_session(desk, member);
                }
            }
            State::Empty | State::Completing => {}
        }
    }

    fn check_member(
        &self,
        member: Option<&MemberId>,
        instance: Option<&InstanceId>,
    ) -> Result<MemberId, NotMember> {
        if let Some(instance) = instance {
            let present = self.members.by_instance(instance).ok_or(NotMember::Unknown)?;
            if Some(present) != member {
                return Err(NotMember::Fenced);
            }
        }
        let member = member.filter(|id| self.members.contains(id)).ok_or(NotMember::Unknown)?;
        Ok(member.clone())
    }

    /// Whether a member with these protocols can be one.
    fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        match self.state {
            State::Empty => !protocol_type.is_empty() && !protocols.is_empty(),
            State::Preparing(_) | State::Completing | State::Stable => {
                self.protocol_type.as_deref() == Some(protocol_type)
                    && self.members.share_one_of(protocols)
            }
        }
    }

    fn is_leader(&self, member: &MemberId) -> bool {
        self.leader.as_ref() == Some(member)
    }

    fn enter(&mut self, state: State, desk: &Desk<'_>) {
        let legal = match (self.state, state) {
            (State::Empty | State::Completing | State::Stable, State::Preparing(_))
            | (State::Preparing(_), State::Empty | State::Completing)
            | (State::Completing, State::Stable) => true,
            (State::Preparing(_), State::Preparing(_))
            | (_, State::Empty | State::Completing | State::Stable) => false,
        };
        assert!(legal, "a group does not go from {:?} to {state:?}", self.state);
        self.state = state;
        self.state_since = Some(desk.now.wall);
    }

    /// Everybody, for the leader.
    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol_name.as_deref();
        let joined = |member: &Member| JoinedMember {
            member: member.id.clone(),
            instance: member.instance.clone(),
            metadata: member.metadata(protocol),
        };
        self.members.iter().map(joined).collect()
    }

    fn subscriptions(&self) -> Option<BTreeSet<Arc<str>>> {
        if !self.is_of_consumers() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol_name.as_deref();
        let mut all = BTreeSet::new();
        for member in self.members.iter() {
            all.extend(subscription::topics(&member.metadata(protocol))?);
        }
        Some(all)
    }

    fn session_timer(&self, member: &MemberId) -> Timer {
        Timer::ClassicSession(self.group.clone(), member.clone())
    }

    fn arm_session(&self, desk: &mut Desk<'_>, member: &Member) {
        desk.arm(self.session_timer(&member.id), member.session_timeout);
    }
}

/// A stored member knows what it wants with the protocol that was chosen, and no other.
fn loaded_member(stored: ClassicMemberValue, protocol: Arc<str>) -> Member {
    let protocols = vec![Protocol { name: protocol, metadata: stored.subscription }];
    let mut member = Member::new(stored.member, stored.instance, stored.client, protocols);
    member.rebalance_timeout = stored.rebalance_timeout;
    member.session_timeout = stored.session_timeout;
    member.assignment = stored.assignment;
    member
}
