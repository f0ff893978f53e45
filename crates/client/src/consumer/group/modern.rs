//! The protocol of KIP-848: the coordinator says what a member reads, in its heartbeats.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use ottla_types::{PartitionId, TopicId, TopicPartition};
use ottla_wire::ErrorCode;
use ottla_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use ottla_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::{Change, Ended, Group, Member};
use crate::error::{BrokerError, RequestError};
use crate::wait;

/// What a member says where it has no epoch.
const JOINING: i32 = 0;
const LEAVING: i32 = -1;
/// A static member goes, and its place is kept for its next life.
const LEAVING_FOR_NOW: i32 = -2;

/// Until the coordinator says how often it wants to hear from members.
const INTERVAL: Duration = Duration::from_secs(3);

/// Topics by their ids, as the coordinator names them.
type Target = BTreeMap<TopicId, BTreeSet<i32>>;

struct Modern<'a> {
    group: &'a Rc<Group>,
    /// Chosen here, kept for the life of the consumer.
    id: String,
    epoch: i32,
    /// The epoch that the consumer was told of.
    told_epoch: Option<i32>,
    interval: Duration,
    /// What the coordinator wants this member to have.
    target: Option<Target>,
    /// What the coordinator was told that it has; `None`: say everything.
    reported: Option<BTreeSet<TopicPartition>>,
    tries: u32,
}

pub(super) async fn run(group: &Rc<Group>) -> Ended {
    let mut member = Modern {
        group,
        id: group.cluster.env.rng.uuid().to_string(),
        epoch: JOINING,
        told_epoch: None,
        interval: INTERVAL,
        target: None,
        reported: None,
        tries: 0,
    };
    loop {
        match member.step().await {
            Ended::Again => {}
            Ended::Lost => {
                (member.epoch, member.reported) = (JOINING, None);
                (member.target, member.told_epoch) = (None, None);
                group.lose().await;
            }
            Ended::Closing => {
                member.leave().await;
                return Ended::Closing;
            }
            ended @ Ended::Failed(_) => return ended,
        }
    }
}

impl Modern<'_> {
    /// One heartbeat, what follows from it, and the pause behind it.
    async fn step(&mut self) -> Ended {
        if self.group.is_closing() {
            return Ended::Closing;
        }
        if self.group.is_stuck() {
            self.leave().await;
            return Ended::Lost;
        }
        let owned = self.group.owned();
        let full = self.reported.is_none();
        let changed = self.reported.as_ref() != Some(&owned);
        let epoch = self.epoch;
        let error = match self.heartbeat(epoch, full, changed.then_some(&owned)).await {
            Ok(answer) => {
                self.on_answer(&answer.get(), owned);
                None
            }
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            return self.on_refused(error).await;
        }
        self.reconcile().await;
        self.pause().await;
        Ended::Again
    }

    async fn heartbeat(
        &self,
        epoch: i32,
        full: bool,
        owned: Option<&BTreeSet<TopicPartition>>,
    ) -> Result<crate::connection::Answer<ConsumerGroupHeartbeatRequest<'static>>, RequestError>
    {
        let settings = &self.group.settings;
        let mut request = ConsumerGroupHeartbeatRequest {
            group_id: settings.id.clone().into(),
            member_id: self.id.clone().into(),
            member_epoch: epoch,
            instance_id: settings.instance.clone().map(Into::into),
            topic_partitions: owned.map(|owned| self.by_id(owned).into()),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        if full {
            let timeout = i32::try_from(settings.poll_interval_max.as_millis());
            let topics = &self.group.topics;
            request.rebalance_timeout_ms = timeout.unwrap_or(i32::MAX);
            request.rack_id = settings.rack.clone().map(Into::into);
            request.server_assignor = settings.server_assignor.clone().map(Into::into);
            request.subscribed_topic_names =
                Some(topics.names.iter().map(|name| name.to_string().into()).collect());
            request.subscribed_topic_regex = topics.pattern.clone().map(Into::into);
        }
        let asked = (self.group.lane, self.group.cluster.settings.request_timeout);
        let answer = self.group.call(asked, &request).await?;
        let told = answer.get();
        BrokerError::check_with(told.error_code, told.error_message.as_deref())?;
        Ok(answer)
    }

    fn by_id(&self, owned: &BTreeSet<TopicPartition>) -> Vec<TopicPartitions<'static>> {
        let mut topics: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
        for each in owned {
            if let Some(topic) = self.group.cluster.known_topic(&each.topic) {
                topics.entry(topic.id).or_default().push(each.partition.get());
            }
        }
        let topic = |(topic_id, partitions): (TopicId, Vec<i32>)| TopicPartitions {
            topic_id,
            partitions: partitions.into(),
            ..TopicPartitions::default()
        };
        topics.into_iter().map(topic).collect()
    }

    fn on_answer(
        &mut self,
        answer: &ConsumerGroupHeartbeatResponse<'_>,
        reported: BTreeSet<TopicPartition>,
    ) {
        self.tries = 0;
        self.epoch = answer.member_epoch;
        self.reported = Some(reported);
        // Old versions choose the id themselves.
        if let Some(id) = answer.member_id.as_deref() {
            id.clone_into(&mut self.id);
        }
        if let Ok(interval @ 1..) = u64::try_from(answer.heartbeat_interval_ms) {
            self.interval = Duration::from_millis(interval);
        }
        if let Some(assignment) = &answer.assignment {
            tracing::debug!(
                group = self.group.settings.id,
                member = self.id,
                epoch = self.epoch,
                topics = assignment.topic_partitions.len(),
                "assignment received"
            );
            let topics = assignment.topic_partitions.iter();
            let topics = topics.map(|topic| (topic.topic_id, topic.partitions.iter().collect()));
            self.target = Some(topics.collect());
        }
        self.group.set_member(Some(Member { id: self.id.clone(), epoch: self.epoch }));
    }

    /// Asks the consumer for the next step towards the target: what is to go, goes first.
    async fn reconcile(&mut self) {
        let Some(target) = self.target.clone() else { return };
        let wanted = self.named(&target).await;
        let owned = self.group.owned();
        let revoked: BTreeSet<_> = owned.difference(&wanted).cloned().collect();
        match self.group.change() {
            // It has begun, and what comes next depends on it.
            Some(Change::Revoke(_) | Change::Lose) => {}
            Some(Change::Assign { .. }) | None if !revoked.is_empty() => {
                self.group.put(Change::Revoke(revoked));
            }
            Some(Change::Assign { .. }) | None => {
                if wanted != owned || self.told_epoch != Some(self.epoch) {
                    self.group.put(Change::Assign { epoch: self.epoch, partitions: wanted });
                    self.told_epoch = Some(self.epoch);
                }
            }
        }
    }

    /// The partitions of a target by name. A topic that nobody knows yet is left for later.
    async fn named(&self, target: &Target) -> BTreeSet<TopicPartition> {
        let cluster = &self.group.cluster;
        if target.keys().any(|id| cluster.name_of(*id).is_none()) {
            let names: Vec<_> = self.group.topics.names.iter().cloned().collect();
            let all = self.group.topics.pattern.is_some();
            // What cannot be learned now is asked for at the next heartbeat.
            drop(cluster.refresh((!all).then_some(&names[..])).await);
        }
        let mut partitions = BTreeSet::new();
        for (id, numbers) in target {
            let Some(topic) = cluster.name_of(*id) else { continue };
            let known = numbers.iter().filter_map(|number| PartitionId::from_wire(*number));
            partitions
                .extend(known.map(|partition| TopicPartition { topic: topic.clone(), partition }));
        }
        partitions
    }

    /// Until the next heartbeat is due: at once, when the consumer has something to report.
    async fn pause(&self) {
        let news =
            || self.group.is_changed() && self.reported.as_ref() != Some(&self.group.owned());
        let sleep = self.group.cluster.env.clock.sleep(self.interval);
        let _ = wait::first(self.group.until(news), sleep).await;
    }

    async fn on_refused(&mut self, error: RequestError) -> Ended {
        tracing::debug!(group = self.group.settings.id, %error, "heartbeat not served");
        // The coordinator may have heard this or not: it is told everything again.
        self.reported = None;
        self.group.on_error(&error);
        match error.code() {
            Some(ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch) => return Ended::Lost,
            // Its former life is still in the group.
            Some(ErrorCode::UnreleasedInstanceId) => {}
            _ if !error.is_retriable() => return Ended::Failed(error),
            _ => {}
        }
        self.group.back_off(self.tries).await;
        self.tries += 1;
        Ended::Again
    }

    async fn leave(&self) {
        if self.epoch == JOINING {
            return;
        }
        let is_static = self.group.settings.instance.is_some();
        let epoch = if is_static { LEAVING_FOR_NOW } else { LEAVING };
        // Without an answer the session ends by itself.
        let clock = &self.group.cluster.env.clock;
        let deadline = clock.mono().after(self.interval);
        let _ = wait::until(&**clock, deadline, self.heartbeat(epoch, false, None)).await;
    }
}
