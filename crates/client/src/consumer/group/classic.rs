//! The classic protocol: join, let the leader share out, sync, heartbeat.

use std::collections::BTreeSet;
use std::rc::Rc;

use ottla_types::{TopicName, TopicPartition};
use ottla_wire::ErrorCode;
use ottla_wire::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_wire::messages::leave_group_request::MemberIdentity;
use ottla_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla_wire::messages::{
    DescribeGroupsRequest, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, SyncGroupRequest,
};

use super::{Change, Ended, Group, Member};
use crate::consumer::assignor::{Assignments, Assignor, Members, PartitionCounts, Subscription};
use crate::consumer::protocol::{self, PROTOCOL_TYPE};
use crate::error::{BrokerError, RequestError};
use crate::wait::{self, First};

/// What a coordinator may take longer than the members it waits for.
const JOIN_SLACK: std::time::Duration = std::time::Duration::from_secs(5);

/// A member, from one rebalance to the next.
struct Classic<'a> {
    group: &'a Rc<Group>,
    member_id: String,
    /// The last generation that it was part of.
    generation: Option<i32>,
    tries: u32,
}

/// A generation that this member is part of.
struct Joined {
    generation: i32,
    assignor: Assignor,
    /// Whom the leader leads; `None` for the others.
    leads: Option<Members>,
    /// The assignment of the last generation still holds: a static member is back.
    keeps_assignment: bool,
}

/// What its leader looks after.
type Watched = Option<PartitionCounts>;

pub(super) async fn run(group: &Rc<Group>) -> Ended {
    let mut member = Classic { group, member_id: String::new(), generation: None, tries: 0 };
    loop {
        match member.round().await {
            Ended::Again => {}
            Ended::Lost => {
                member.member_id.clear();
                member.generation = None;
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

impl Classic<'_> {
    fn is_cooperative(&self) -> bool {
        self.group.settings.assignors.iter().all(|assignor| assignor.is_cooperative())
    }

    /// From one rebalance to the next.
    async fn round(&mut self) -> Ended {
        match self.try_round().await {
            Ok(ended) | Err(ended) => ended,
        }
    }

    async fn try_round(&mut self) -> Result<Ended, Ended> {
        self.group.withdraw();
        let owned = self.group.owned();
        if !self.is_cooperative() && !owned.is_empty() {
            self.group.put(Change::Revoke(owned));
            self.changed_while_alive().await?;
        }
        let Some(joined) = self.join().await? else { return Ok(Ended::Again) };
        let Some((assigned, watched)) = self.sync(&joined).await? else { return Ok(Ended::Again) };
        self.tries = 0;
        self.generation = Some(joined.generation);
        let member = Member { id: self.member_id.clone(), epoch: joined.generation };
        tracing::debug!(
            group = self.group.settings.id,
            member = member.id,
            generation = member.epoch,
            partitions = assigned.len(),
            leads = joined.leads.is_some(),
            "generation joined"
        );
        self.group.set_member(Some(member));
        self.take_on(joined.generation, assigned).await?;
        Ok(self.heartbeats(watched).await)
    }

    /// Lets go of what is not assigned any more, then takes what is.
    async fn take_on(&self, epoch: i32, partitions: BTreeSet<TopicPartition>) -> Result<(), Ended> {
        let revoked: BTreeSet<_> = self.group.owned().difference(&partitions).cloned().collect();
        let is_revoked = !revoked.is_empty();
        if is_revoked {
            self.group.put(Change::Revoke(revoked));
            self.changed_while_alive().await?;
        }
        self.group.put(Change::Assign { epoch, partitions });
        if is_revoked {
            // Others wait for what was let go of; what is new here must not be forgotten over it.
            self.changed_while_alive().await?;
            return Err(Ended::Again);
        }
        Ok(())
    }

    /// Waits for the consumer, and keeps the membership alive meanwhile: a rebalance that the
    /// coordinator asks for comes afterwards.
    async fn changed_while_alive(&self) -> Result<(), Ended> {
        loop {
            let ended = match wait::first(self.group.changed(), self.heartbeats(None)).await {
                First::Left(()) if self.group.is_closing() => return Err(Ended::Closing),
                First::Left(()) => return Ok(()),
                First::Right(ended) => ended,
            };
            match ended {
                Ended::Again => {
                    let pause = self.group.settings.heartbeat_interval;
                    let sleep = self.group.cluster.env.clock.sleep(pause);
                    let _ = wait::first(self.group.changed(), sleep).await;
                }
                ended => return Err(ended),
            }
        }
    }

    fn subscription(&self) -> Subscription {
        Subscription {
            topics: self.group.topics.names.clone(),
            owned: self.group.owned(),
            generation: self.generation,
            rack: self.group.settings.rack.clone(),
            instance: None,
        }
    }

    /// Joins the next generation; `None` to begin again.
    async fn join(&mut self) -> Result<Option<Joined>, Ended> {
        let settings = &self.group.settings;
        let metadata = protocol::encode_subscription(&self.subscription(), self.is_cooperative());
        let protocol = |assignor: &Assignor| JoinGroupRequestProtocol {
            name: assignor.name().into(),
            metadata: metadata.clone().into(),
            ..JoinGroupRequestProtocol::default()
        };
        let millis =
            |time: std::time::Duration| i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        let request = JoinGroupRequest {
            group_id: settings.id.as_str().into(),
            session_timeout_ms: millis(settings.session_timeout),
            rebalance_timeout_ms: millis(settings.poll_interval_max),
            member_id: self.member_id.clone().into(),
            group_instance_id: settings.instance.as_deref().map(Into::into),
            protocol_type: PROTOCOL_TYPE.into(),
            protocols: settings.assignors.iter().map(protocol).collect(),
            ..JoinGroupRequest::default()
        };
        let timeout = settings.poll_interval_max + JOIN_SLACK;
        let asked = self.group.call((self.group.lane, timeout), &request);
        let answer = match wait::first(self.group.until(|| false), asked).await {
            First::Left(()) => return Err(Ended::Closing),
            First::Right(answer) => answer,
        };
        let error = match answer {
            Err(error) => error,
            Ok(answer) => {
                let answer = answer.get();
                match BrokerError::check(answer.error_code) {
                    Ok(()) => return self.on_joined(&answer).map(Some),
                    Err(refused) if refused.is(ErrorCode::MemberIdRequired) => {
                        self.member_id = answer.member_id.into_owned();
                        return Ok(None);
                    }
                    Err(refused) => refused.into(),
                }
            }
        };
        Err(self.on_refused(error).await)
    }

    fn on_joined(&mut self, answer: &JoinGroupResponse<'_>) -> Result<Joined, Ended> {
        self.member_id = answer.member_id.clone().into_owned();
        let name = answer.protocol_name.as_deref().unwrap_or_default();
        let mut assignors = self.group.settings.assignors.iter().copied();
        let inconsistent =
            || Ended::Failed(BrokerError::of(ErrorCode::InconsistentGroupProtocol).into());
        let assignor = assignors.find(|each| each.name() == name).ok_or_else(inconsistent)?;
        let leads = answer.leader == self.member_id;
        let member =
            |member: ottla_wire::messages::join_group_response::JoinGroupResponseMember<'_>| {
                // What cannot be read is a member that wants nothing.
                let told = protocol::subscription(&member.metadata).unwrap_or_default();
                let instance = member.group_instance_id.map(std::borrow::Cow::into_owned);
                (member.member_id.into_owned(), Subscription { instance, ..told })
            };
        let leads = leads.then(|| answer.members.iter().map(member).collect());
        let keeps_assignment = answer.skip_assignment;
        Ok(Joined { generation: answer.generation_id, assignor, leads, keeps_assignment })
    }

    /// Gives out, or gets, what each member reads; `None` to begin again.
    async fn sync(
        &mut self,
        joined: &Joined,
    ) -> Result<Option<(BTreeSet<TopicPartition>, Watched)>, Ended> {
        let (mut assignments, mut watched) = (Assignments::new(), None);
        if let Some(members) = &joined.leads {
            let topics = members.values().flat_map(|told| told.topics.iter().cloned()).collect();
            let counts = match self.count(&topics).await {
                Ok(counts) => counts,
                Err(error) => return Err(self.on_refused(error).await),
            };
            if !joined.keeps_assignment {
                assignments = joined.assignor.assign(members, &counts);
            }
            watched = Some(counts);
        }
        let assignment = |(member, partitions): (&String, &BTreeSet<TopicPartition>)| {
            SyncGroupRequestAssignment {
                member_id: member.clone().into(),
                assignment: protocol::encode_assignment(partitions).into(),
                ..SyncGroupRequestAssignment::default()
            }
        };
        let settings = &self.group.settings;
        let request = SyncGroupRequest {
            group_id: settings.id.as_str().into(),
            generation_id: joined.generation,
            member_id: self.member_id.clone().into(),
            group_instance_id: settings.instance.as_deref().map(Into::into),
            protocol_type: Some(PROTOCOL_TYPE.into()),
            protocol_name: Some(joined.assignor.name().into()),
            assignments: assignments.iter().map(assignment).collect(),
            ..SyncGroupRequest::default()
        };
        let timeout = settings.poll_interval_max + JOIN_SLACK;
        let asked = self.group.call((self.group.lane, timeout), &request);
        let answer = match wait::first(self.group.until(|| false), asked).await {
            First::Left(()) => return Err(Ended::Closing),
            First::Right(answer) => answer,
        };
        let error = match answer {
            Err(error) => error,
            Ok(answer) => {
                let answer = answer.get();
                match BrokerError::check(answer.error_code) {
                    Ok(()) => {
                        let assigned = protocol::assignment(&answer.assignment).unwrap_or_default();
                        if joined.leads.is_some() && joined.keeps_assignment {
                            watched = Some(self.count_assigned().await);
                        }
                        return Ok(Some((assigned, watched)));
                    }
                    Err(refused) => refused.into(),
                }
            }
        };
        Err(self.on_refused(error).await)
    }

    /// How many partitions of each topic the members have: what a leader that is back compares
    /// topics with, because they may have grown while it was away. Nothing where nobody tells, so
    /// that it shares out anew.
    async fn count_assigned(&self) -> PartitionCounts {
        let request = DescribeGroupsRequest {
            groups: vec![self.group.settings.id.as_str().into()].into(),
            ..DescribeGroupsRequest::default()
        };
        let asked = (self.group.lane, self.group.settings.session_timeout);
        let mut counts = PartitionCounts::new();
        let Ok(answer) = self.group.call(asked, &request).await else { return counts };
        let Some(described) = answer.get().groups.first() else { return counts };
        for member in &described.members {
            for each in protocol::assignment(&member.member_assignment).unwrap_or_default() {
                *counts.entry(each.topic).or_default() += 1;
            }
        }
        counts
    }

    async fn count(&self, topics: &BTreeSet<TopicName>) -> Result<PartitionCounts, RequestError> {
        let topics: Vec<TopicName> = topics.iter().cloned().collect();
        let told = self.group.cluster.refresh(Some(&topics)).await?;
        let count = |topic: crate::metadata::TopicMetadata| {
            i32::try_from(topic.partitions.len()).expect("numbered by 32 bits")
        };
        Ok(told.into_iter().filter_map(|(name, topic)| Some((name, count(topic.ok()?)))).collect())
    }

    /// What an error of join or sync means; where it is to begin again, a pause has passed.
    async fn on_refused(&mut self, error: RequestError) -> Ended {
        tracing::debug!(group = self.group.settings.id, %error, "no generation joined");
        self.group.on_error(&error);
        match error.code() {
            Some(ErrorCode::RebalanceInProgress) => return Ended::Again,
            Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                return Ended::Lost;
            }
            _ if !error.is_retriable() => return Ended::Failed(error),
            _ => {}
        }
        self.group.back_off(self.tries).await;
        self.tries += 1;
        if self.group.is_closing() { Ended::Closing } else { Ended::Again }
    }

    /// Keeps the membership alive until something else is to be done.
    async fn heartbeats(&self, watched: Watched) -> Ended {
        let clock = &self.group.cluster.env.clock;
        let mut look_at = clock.mono().after(self.group.settings.metadata_age_max);
        let mut tries = 0;
        loop {
            let pause = self.group.settings.heartbeat_interval;
            let pause = if tries > 0 { pause / 4 } else { pause };
            let _ = wait::first(self.group.until(|| false), clock.sleep(pause)).await;
            if self.group.is_closing() {
                return Ended::Closing;
            }
            if self.group.is_stuck() {
                self.leave().await;
                return Ended::Lost;
            }
            match self.heartbeat().await {
                Ok(()) => tries = 0,
                Err(error) => match error.code() {
                    // The next generation begins.
                    Some(ErrorCode::RebalanceInProgress) => return Ended::Again,
                    Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                        return Ended::Lost;
                    }
                    _ if !error.is_retriable() => return Ended::Failed(error),
                    _ => {
                        self.group.on_error(&error);
                        tries += 1;
                    }
                },
            }
            if let Some(before) = watched.as_ref().filter(|_| clock.mono() >= look_at) {
                look_at = clock.mono().after(self.group.settings.metadata_age_max);
                let topics = self
                    .group
                    .topics
                    .names
                    .union(&before.keys().cloned().collect())
                    .cloned()
                    .collect();
                if self.count(&topics).await.is_ok_and(|counts| counts != *before) {
                    return Ended::Again;
                }
            }
        }
    }

    async fn heartbeat(&self) -> Result<(), RequestError> {
        let settings = &self.group.settings;
        let request = HeartbeatRequest {
            group_id: settings.id.as_str().into(),
            generation_id: self.generation.unwrap_or(-1),
            member_id: self.member_id.clone().into(),
            group_instance_id: settings.instance.as_deref().map(Into::into),
            ..HeartbeatRequest::default()
        };
        let answer = self.group.call((self.group.lane, settings.session_timeout), &request).await?;
        Ok(BrokerError::check(answer.get().error_code)?)
    }

    /// Says farewell; a static member's place is kept for its next life.
    async fn leave(&self) {
        if self.member_id.is_empty() || self.group.settings.instance.is_some() {
            return;
        }
        let request = LeaveGroupRequest {
            group_id: self.group.settings.id.as_str().into(),
            members: vec![MemberIdentity {
                member_id: self.member_id.clone().into(),
                reason: None,
                ..MemberIdentity::default()
            }]
            .into(),
            ..LeaveGroupRequest::default()
        };
        // Without an answer the session ends by itself.
        let asked = (self.group.commit_lane, self.group.settings.heartbeat_interval);
        drop(self.group.call(asked, &request).await);
    }
}
