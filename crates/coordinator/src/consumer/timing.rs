//! What happens when nothing happens: sessions end, and members that do not give up what they
//! must are out. And how long that takes, which a group may have settings of its own for.

use std::time::Duration;

use ottla_metadata::{ConfigResource, GroupConfig, GroupConfigLimits};
use ottla_types::TopicName;

use super::reconcile::MemberState;
use super::settle::age;
use super::{Moment, pace};
use crate::group::Group;
use crate::ids::{GroupId, MemberId};
use crate::shard::{Effects, GroupShard, TopicChanges};
use crate::timers::Timer;

/// `group.consumer.migration.policy`: which groups with members change their protocol when the
/// first consumer member comes, or the last one goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// Both ways.
    Bidirectional,
    /// From the classic protocol only.
    Upgrade,
    /// To the classic protocol only.
    Downgrade,
    /// Neither; classic members cannot join a consumer group either.
    Disabled,
}

impl MigrationPolicy {
    /// The policy of that name, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Bidirectional, Self::Upgrade, Self::Downgrade, Self::Disabled];
        all.into_iter().find(|policy| policy.name().eq_ignore_ascii_case(name))
    }

    /// Kafka's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bidirectional => "bidirectional",
            Self::Upgrade => "upgrade",
            Self::Downgrade => "downgrade",
            Self::Disabled => "disabled",
        }
    }

    /// Whether classic groups may become consumer groups.
    #[must_use]
    pub const fn upgrades(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Upgrade)
    }

    /// Whether consumer groups may become classic groups.
    #[must_use]
    pub const fn downgrades(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Downgrade)
    }
}

impl GroupShard {
    /// What the group says itself, within the node's bounds: these may have moved since.
    fn group_config(&self, at: Moment<'_>, group: &GroupId) -> GroupConfig {
        let resource = ConfigResource::Group(group.as_str().to_owned());
        let Some(properties) = at.image.configs(&resource) else { return GroupConfig::default() };
        let it = &self.settings;
        let range = |least, most| millis(least)..=millis(most);
        let as_i32 = |span| *range(span, span).start();
        let limits = GroupConfigLimits {
            session_timeout_default_ms: as_i32(it.consumer_session_timeout),
            heartbeat_interval_default_ms: as_i32(it.consumer_heartbeat_interval),
            session_timeout_ms: range(
                it.consumer_session_timeout_min,
                it.consumer_session_timeout_max,
            ),
            heartbeat_interval_ms: range(
                it.consumer_heartbeat_interval_min,
                it.consumer_heartbeat_interval_max,
            ),
            assignment_interval_ms: range(
                it.consumer_assignment_interval_min,
                it.consumer_assignment_interval_max,
            ),
        };
        GroupConfig::of(properties, &limits)
    }

    /// When a member of the group is to come next: sooner than configured while the group moves.
    pub(super) fn heartbeat_interval(&self, at: Moment<'_>, group: &GroupId) -> Duration {
        let own = self.group_config(at, group).heartbeat_interval;
        let configured = own.unwrap_or(self.settings.consumer_heartbeat_interval);
        let Some(group) = self.consumer_group(group) else { return configured };
        let moved = match group.target_epoch() < group.epoch() {
            true => Some(Duration::ZERO),
            false => group.target_made_at().and_then(|made_at| age(at, made_at)),
        };
        pace::interval(configured, group.members().len(), moved)
    }

    pub(super) fn session_timeout(&self, at: Moment<'_>, group: &GroupId) -> Duration {
        let own = self.group_config(at, group).session_timeout;
        own.unwrap_or(self.settings.consumer_session_timeout)
    }

    pub(super) fn assignment_interval(&self, at: Moment<'_>, group: &GroupId) -> Duration {
        let own = self.group_config(at, group).assignment_interval;
        own.unwrap_or(self.settings.consumer_assignment_interval)
    }

    /// The member's session begins anew.
    pub(super) fn arm_session(&mut self, at: Moment<'_>, group: &GroupId, id: &MemberId) {
        let member = self.consumer_member(group, id);
        let own = member.and_then(|member| member.wants.classic.as_ref());
        let timeout = match own {
            Some(classic) => classic.session_timeout,
            None => self.session_timeout(at, group),
        };
        self.arm(at, Timer::ConsumerSession(group.clone(), id.clone()), timeout);
    }

    /// The member has that long to give up its partitions.
    pub(super) fn arm_rebalance(
        &mut self,
        at: Moment<'_>,
        group: &GroupId,
        id: &MemberId,
        timeout: Option<Duration>,
    ) {
        // A record without a timeout is of no client that we know.
        let timeout = timeout.unwrap_or_else(|| self.session_timeout(at, group));
        self.arm(at, Timer::ConsumerRebalance(group.clone(), id.clone()), timeout);
    }

    pub(super) fn arm(&mut self, at: Moment<'_>, timer: Timer, after: Duration) {
        self.timers.arm(timer, at.now.mono.saturating_add(after));
    }

    pub(super) fn cancel_rebalance(&mut self, group: &GroupId, id: &MemberId) {
        self.timers.cancel(&Timer::ConsumerRebalance(group.clone(), id.clone()));
    }

    pub(super) fn cancel_member_timers(&mut self, group: &GroupId, id: &MemberId) {
        let (group, id) = (|| group.clone(), || id.clone());
        self.timers.cancel(&Timer::ConsumerSession(group(), id()));
        self.timers.cancel(&Timer::ConsumerRebalance(group(), id()));
        self.timers.cancel(&Timer::ConsumerJoin(group(), id()));
        self.timers.cancel(&Timer::ConsumerSync(group(), id()));
    }

    /// A deadline of a member has come: it is out.
    pub(crate) fn on_consumer_timer(
        &mut self,
        at: Moment<'_>,
        group: &GroupId,
        id: &MemberId,
        effects: &mut Effects,
    ) {
        if self.consumer_member(group, id).is_some() {
            self.fence_members(at, group, &[id.clone()].into(), effects);
        }
    }

    /// The log is loaded: every member has a whole session to come back, and a whole rebalance
    /// timeout to give up what it has to.
    pub(crate) fn on_consumers_loaded(&mut self, at: Moment<'_>) {
        // What was created while nobody looked counts as new.
        self.topics_grew_at = Some(at.image.end());
        let all: Vec<_> = self
            .groups
            .iter()
            .filter_map(|(name, group)| match group {
                Group::Consumer(group) => Some((name, group)),
                Group::Classic(_) => None,
            })
            .flat_map(|(name, group)| {
                group.members().iter().map(|(id, member)| {
                    let revokes = member.has.state == MemberState::UnrevokedPartitions;
                    let waits =
                        (revokes && !member.is_classic()).then_some(member.wants.rebalance_timeout);
                    (name.clone(), id.clone(), waits)
                })
            })
            .collect();
        for (group, id, waits) in all {
            self.arm_session(at, &group, &id);
            if let Some(timeout) = waits {
                self.arm_rebalance(at, &group, &id, timeout);
            }
        }
    }

    /// Topics changed: the next heartbeat of each group that reads them looks at them.
    pub(crate) fn on_consumer_topics(&mut self, at: Moment<'_>, changes: &TopicChanges) {
        if !changes.changed.is_empty() {
            self.topics_grew_at = Some(at.image.end());
        }
        let deleted = changes.deleted.iter().map(|(name, _)| name);
        let all: Vec<&TopicName> = changes.changed.iter().chain(deleted).collect();
        for group in self.groups.values_mut() {
            if let Group::Consumer(group) = group
                && all.iter().any(|topic| group.subscribes_to(topic.as_str()))
            {
                group.look_at_topics(true);
            }
        }
    }
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
