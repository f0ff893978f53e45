//! Where a consumer begins, and how it remembers where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_types::{Offset, TopicName, TopicPartition};
use ottla_wire::ErrorCode;

use super::group::GroupProtocol;
use super::{ConsumeError, Consumer, OffsetReset};
use crate::admin::{Admin, CommittedOffset, OffsetSpec};
use crate::cluster::Lane;
use crate::error::{BrokerError, RequestError};
use crate::offsets::{self, Commit, Committer};

/// How long a commit is tried before partitions are let go: others wait for them.
const REVOKING: Duration = Duration::from_secs(5);

impl Consumer {
    /// Commits how far records were handed out, for all partitions.
    ///
    /// # Errors
    /// When others read the partitions by now, or the coordinator does not answer in time.
    pub async fn commit(&self) -> Result<(), ConsumeError> {
        let offsets = self.committable();
        self.commit_offsets(&offsets).await
    }

    /// Commits these offsets: each is the next record to be read.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn commit_offsets(
        &self,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<(), ConsumeError> {
        self.commit_within(offsets, self.cluster.settings.request_timeout).await
    }

    fn committable(&self) -> BTreeMap<TopicPartition, CommittedOffset> {
        let committed = |(partition, (offset, leader_epoch))| {
            (partition, CommittedOffset { offset, leader_epoch, metadata: String::new() })
        };
        self.positions.committable().into_iter().map(committed).collect()
    }

    async fn commit_within(
        &self,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
        within: Duration,
    ) -> Result<(), ConsumeError> {
        let group = self.group_id.as_deref().ok_or(ConsumeError::NoGroup)?;
        if offsets.is_empty() {
            return Ok(());
        }
        let deadline = self.cluster.now().after(within);
        let mut tries = 0;
        loop {
            let by = self.committer()?;
            let error = match self.try_commit(&Commit { group, by: &by, offsets }).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let stays = self.may_commit_again(&error, &by)?;
            let what = || format!("committing offsets of group {group}");
            if !stays && !error.is_retriable() {
                return Err(match error {
                    RequestError::Call(error) => error.into(),
                    RequestError::Refused(source) => ConsumeError::Refused { what: what(), source },
                });
            }
            if self.cluster.now() >= deadline {
                return Err(ConsumeError::TimedOut { what: what(), within, last: error });
            }
            self.cluster.back_off(tries).await;
            tries += 1;
        }
    }

    fn committer(&self) -> Result<Committer, ConsumeError> {
        let id = || self.group_id.clone().unwrap_or_default();
        match &self.group {
            None => Ok(Committer::Nobody),
            Some(group) => {
                group.committer().ok_or_else(|| ConsumeError::Rebalanced { group: id() })
            }
        }
    }

    async fn try_commit(&self, commit: &Commit<'_>) -> Result<(), RequestError> {
        let request = commit.request();
        match &self.group {
            Some(group) => {
                let answer = group.ask_about_offsets(&request).await?;
                let committed = offsets::committed(&answer.get());
                if committed.as_ref().is_err_and(BrokerError::is_about_coordinator) {
                    group.forget_coordinator();
                }
                Ok(committed?)
            }
            None => {
                let node = self.cluster.find_coordinator(commit.group).await?;
                let answer = self.cluster.call(node, Lane::COMMON, &request).await?;
                Ok(offsets::committed(&answer.get())?)
            }
        }
    }

    /// Whether an error that is not worth another try is so here: the group may have moved on
    /// while its member has kept everything.
    fn may_commit_again(&self, error: &RequestError, by: &Committer) -> Result<bool, ConsumeError> {
        let is_member = self.group.is_some();
        match error.code() {
            Some(ErrorCode::StaleMemberEpoch) if is_member => Ok(true),
            Some(ErrorCode::IllegalGeneration) if is_member && self.committer()? != *by => Ok(true),
            Some(
                ErrorCode::UnknownMemberId
                | ErrorCode::FencedMemberEpoch
                | ErrorCode::FencedInstanceId
                | ErrorCode::IllegalGeneration
                | ErrorCode::StaleMemberEpoch,
            ) => {
                let group = self.group_id.clone().unwrap_or_default();
                Err(ConsumeError::Rebalanced { group })
            }
            _ => Ok(false),
        }
    }

    /// Commits if the consumer does so by itself, and it is time to.
    pub(super) async fn commit_if_due(&mut self) {
        let (Some(every), Some(at)) = (self.settings.auto_commit, self.commit_at) else { return };
        let now = self.cluster.now();
        if now < at || self.group_id.is_none() {
            return;
        }
        self.commit_at = Some(now.after(every));
        self.commit_quietly(every).await;
    }

    /// The last chance to commit what is about to be given to others.
    pub(super) async fn commit_before_revoking(&self) {
        if self.settings.auto_commit.is_some() {
            self.commit_quietly(REVOKING).await;
        }
    }

    async fn commit_quietly(&self, within: Duration) {
        if let Err(error) = self.commit_within(&self.committable(), within).await {
            // What was not committed now is committed later, or read again by somebody.
            tracing::debug!(%error, "offsets were not committed");
        }
    }

    /// What the group has committed; partitions without anything are left off.
    ///
    /// # Errors
    /// When there is no group, or the coordinator does not answer in time.
    pub async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, ConsumeError> {
        let group = self.group_id.as_deref().ok_or(ConsumeError::NoGroup)?;
        let within = self.cluster.settings.request_timeout;
        let deadline = self.cluster.now().after(within);
        let mut tries = 0;
        loop {
            let error = match self.try_committed(group, partitions).await {
                Ok(committed) => return Ok(committed),
                Err(error) => error,
            };
            let stale = error.code() == Some(ErrorCode::StaleMemberEpoch);
            if !error.is_retriable() && !stale {
                return Err(self.unanswerable(error, "looking up committed offsets"));
            }
            if self.cluster.now() >= deadline {
                let what = "looking up committed offsets".to_owned();
                return Err(ConsumeError::TimedOut { what, within, last: error });
            }
            self.cluster.back_off(tries).await;
            tries += 1;
        }
    }

    fn unanswerable(&self, error: RequestError, what: &str) -> ConsumeError {
        match (error.code(), &self.group_id) {
            (Some(ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch), Some(group)) => {
                ConsumeError::Rebalanced { group: group.clone() }
            }
            _ => match error {
                RequestError::Call(error) => error.into(),
                RequestError::Refused(source) => {
                    ConsumeError::Refused { what: what.to_owned(), source }
                }
            },
        }
    }

    async fn try_committed(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, RequestError> {
        let Some(joined) = &self.group else {
            let request = offsets::fetch_request(group, None, Some(partitions));
            let node = self.cluster.find_coordinator(group).await?;
            let answer = self.cluster.call(node, Lane::COMMON, &request).await?;
            return Ok(offsets::fetched(&answer.get())?);
        };
        // Members of classic groups do not say who they are when they ask.
        let modern = joined.settings.protocol == GroupProtocol::Consumer;
        let member = joined.member().filter(|_| modern);
        let member = member.as_ref().map(|member| (member.id.as_str(), member.epoch));
        let request = offsets::fetch_request(group, member, Some(partitions));
        let answer = joined.ask_about_offsets(&request).await?;
        let fetched = offsets::fetched(&answer.get());
        if fetched.as_ref().is_err_and(BrokerError::is_about_coordinator) {
            joined.forget_coordinator();
        }
        Ok(fetched?)
    }

    /// Finds out where to begin with what is new, and who leads it.
    pub(super) async fn find_positions(&mut self) -> Result<(), ConsumeError> {
        self.find_leaders().await?;
        let lost = self.positions.lost();
        if lost.is_empty() {
            return Ok(());
        }
        let mut committed = BTreeMap::new();
        let unknown: Vec<TopicPartition> =
            lost.iter().filter(|(_, counts)| *counts).map(|(it, _)| it.clone()).collect();
        if self.group_id.is_some() && !unknown.is_empty() {
            match self.committed(&unknown).await {
                Ok(found) => committed = found,
                // The group says what is to be done next.
                Err(ConsumeError::Rebalanced { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        for (partition, _) in lost {
            match committed.get(&partition) {
                Some(committed) => drop(self.positions.seek(&partition, committed.offset)),
                None => self.begin_anew(&partition).await?,
            }
        }
        Ok(())
    }

    async fn begin_anew(&mut self, partition: &TopicPartition) -> Result<(), ConsumeError> {
        let spec = match self.settings.reset {
            OffsetReset::Earliest => OffsetSpec::Earliest,
            OffsetReset::Latest => OffsetSpec::Latest,
            OffsetReset::Fail => {
                return Err(ConsumeError::NoOffset { partition: partition.clone() });
            }
        };
        let found = self.offset_of(partition, spec).await?;
        self.positions.seek(partition, found.unwrap_or(Offset::ZERO));
        Ok(())
    }

    /// Looks for an offset of any partition.
    ///
    /// # Errors
    /// When there is no such partition, or its leader does not answer in time.
    pub async fn offset_of(
        &self,
        partition: &TopicPartition,
        spec: OffsetSpec,
    ) -> Result<Option<Offset>, ConsumeError> {
        let within = self.cluster.settings.request_timeout;
        let admin = Admin::new(std::rc::Rc::clone(&self.cluster)).timeout(within);
        let isolation = self.settings.fetch.isolation;
        match admin.list_offset_of(partition, spec, isolation).await {
            Ok(found) => Ok(found.map(|found| found.offset)),
            Err(error) if error.source.is_retriable() => {
                Err(ConsumeError::TimedOut { what: error.what, within, last: error.source })
            }
            Err(error) => Err(match error.source {
                RequestError::Call(error) => error.into(),
                RequestError::Refused(source) => ConsumeError::Refused { what: error.what, source },
            }),
        }
    }

    /// Goes on where a record was looked for, or behind the last one where none fits.
    ///
    /// # Errors
    /// When the partition is not assigned, or its leader does not answer in time.
    pub async fn seek_to(
        &mut self,
        partition: &TopicPartition,
        spec: OffsetSpec,
    ) -> Result<(), ConsumeError> {
        let found = self.offset_of(partition, spec).await?;
        let to = match found {
            Some(found) => found,
            // No record is of that time or later: the next one will be.
            None => self.offset_of(partition, OffsetSpec::Latest).await?.unwrap_or(Offset::ZERO),
        };
        self.seek(partition, to)
    }

    async fn find_leaders(&mut self) -> Result<(), ConsumeError> {
        let known = |partition: &TopicPartition| {
            self.cluster.leader_of(&partition.topic, partition.partition).is_some()
        };
        let all = self.positions.all();
        let unknown = all.iter().any(|partition| !known(partition));
        if all.is_empty() || !(self.positions.take_doubts() || unknown) {
            return Ok(());
        }
        let topics: BTreeSet<TopicName> = all.into_iter().map(|it| it.topic).collect();
        let topics: Vec<TopicName> = topics.into_iter().collect();
        match self.cluster.refresh(Some(&topics)).await {
            Ok(_) => {}
            Err(error) if error.is_retriable() => self.positions.doubt_leaders(),
            Err(error) => return Err(error.into()),
        }
        if unknown {
            // A topic may be about to be made, or to be without a leader for a while.
            self.cluster.back_off(1).await;
        }
        Ok(())
    }
}
