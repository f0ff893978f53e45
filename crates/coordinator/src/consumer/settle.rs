//! After a change: expressions are resolved, the target assignment follows the group, and the
//! member follows the target.

use std::sync::Arc;
use std::time::Duration;

use ottla_types::Timestamp;

use super::Moment;
use super::heartbeat::assignor_of;
use super::partitions::Partitions;
use super::reconcile::{MemberState, Reconciliation};
use super::regex::TopicRegex;
use super::target::changed_targets;
use crate::ids::{GroupId, MemberId};
use crate::record::{ConsumerTargetEpochValue, GroupRecord, RegexValue};
use crate::shard::{Effects, GroupShard};

/// An expression is not looked at again within this time, however many topics come.
const REGEX_REFRESH_MIN: Duration = Duration::from_secs(10);

impl GroupShard {
    /// Finds the topics that the expression of the member that asks matches, unless that is known.
    /// Whether they changed. One expression a request, so that no request takes long.
    pub(super) fn resolve_regex(
        &mut self,
        at: Moment<'_>,
        name: &GroupId,
        regex: &Arc<str>,
        effects: &mut Effects,
    ) -> bool {
        let group = self.consumer_group(name).expect("the member is in it");
        let known = group.resolved(regex);
        if known.is_some_and(|known| self.is_fresh(at, known)) {
            return false;
        }
        // What Kafka took for an expression and we do not matches nothing.
        let matched = TopicRegex::parse(regex).map(|parsed| parsed.topics(at.image));
        let topics: Vec<Arc<str>> = matched.unwrap_or_default().into_iter().collect();
        let changed = known.map_or(!topics.is_empty(), |known| known.topics != topics);
        let version = at.image.end().get();
        let value = Some(RegexValue { topics, version, timestamp: at.now.wall });
        let (group, regex) = (name.clone(), Arc::clone(regex));
        self.append(GroupRecord::ConsumerRegex { group, regex, value }, effects);
        changed
    }

    /// Whether what is known of an expression need not be looked at again.
    fn is_fresh(&self, at: Moment<'_>, known: &RegexValue) -> bool {
        let Some(age) = age(at, known.timestamp) else { return false };
        if age <= REGEX_REFRESH_MIN {
            return true;
        }
        let grown = self.topics_grew_at.is_none_or(|grew| known.version < grew.get());
        !grown && age <= self.settings.consumer_regex_refresh_interval
    }

    /// Makes a new target assignment if the group has moved on, though not too often.
    pub(super) fn update_target(&mut self, at: Moment<'_>, name: &GroupId, effects: &mut Effects) {
        let interval = self.assignment_interval(at, name);
        let group = self.consumer_group(name).expect("the member is in it");
        if group.target_epoch() >= group.epoch() {
            return;
        }
        let age = group.target_made_at().and_then(|made_at| age(at, made_at));
        if age.is_some_and(|age| age < interval) {
            return;
        }
        let epoch = group.epoch();
        let assignor = assignor_of(group, &self.settings.consumer_assignors);
        for (member, target) in changed_targets(group, at.image, assignor) {
            let (group, value) = (name.clone(), Some(target.to_record()));
            self.append(GroupRecord::ConsumerTarget { group, member, value }, effects);
        }
        let value = Some(ConsumerTargetEpochValue { epoch, made_at: Some(at.now.wall) });
        self.append(GroupRecord::ConsumerTargetEpoch { group: name.clone(), value }, effects);
    }

    /// Lets the member make its next step.
    pub(super) fn reconcile(
        &mut self,
        at: Moment<'_>,
        name: &GroupId,
        id: &MemberId,
        subscription_changed: bool,
        owned: Option<&Partitions>,
        effects: &mut Effects,
    ) {
        let group = self.consumer_group(name).expect("the member is in it");
        let member = group.member(id).expect("it was updated before");
        if !subscription_changed && member.has.is_reconciled_to(group.target_epoch()) {
            return;
        }
        let none = Partitions::default();
        let step = Reconciliation {
            target_epoch: group.target_epoch(),
            target: group.target(id).unwrap_or(&none),
            subscribed: &group.topics_of(&member.wants, at.image),
            subscription_changed,
            owned,
            member: id,
            owner: &|topic, partition| group.owner(topic, partition),
        };
        let next = step.step(&member.has).expect("who is in an unknown state was not admitted");
        if next == member.has {
            return;
        }
        let (waits, is_classic) = (member.wants.rebalance_timeout, member.is_classic());
        let revokes = next.state == MemberState::UnrevokedPartitions;
        self.append_current(name, id, &next, effects);
        // Classic members have deadlines for their JoinGroup and SyncGroup instead.
        if revokes && !is_classic {
            self.arm_rebalance(at, name, id, waits);
        } else {
            self.cancel_rebalance(name, id);
        }
    }
}

/// How long ago that was; `None` if it is yet to come: the clock went back, or another node's was
/// ahead. Waiting for it would make a group stand still.
pub(super) fn age(at: Moment<'_>, then: Timestamp) -> Option<Duration> {
    let millis = at.now.wall.millis().saturating_sub(then.millis());
    u64::try_from(millis).ok().map(Duration::from_millis)
}
