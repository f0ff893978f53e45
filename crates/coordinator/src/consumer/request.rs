//! What members of consumer groups ask.

use std::sync::Arc;
use std::time::Duration;

use ottla_types::{PartitionId, TopicId, Uuid};

use super::assignor::Assignor;
use super::partitions::Partitions;
use crate::ids::{Epoch, GroupId, InstanceId, MemberId};
use crate::request::Client;

/// What one member may say that is stored: 10,000 topics with names of 100 bytes. Kafka stops at
/// the topic's `max.message.bytes`, which is the same by default.
pub(super) const MEMBER_BYTES_MAX: usize = 1 << 20;

/// What a member means by its heartbeat: four numbers in one field of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberEpoch {
    /// It enters, or comes back after it was fenced. 0.
    Joining,
    /// It is there, and was told this epoch last. Above zero.
    In(Epoch),
    /// It leaves for good. -1.
    Leaving,
    /// A static member leaves and will be back. -2.
    LeavingForRestart,
}

impl MemberEpoch {
    /// `None` below -2.
    #[must_use]
    pub const fn from_wire(raw: i32) -> Option<Self> {
        match raw {
            0 => Some(Self::Joining),
            -1 => Some(Self::Leaving),
            -2 => Some(Self::LeavingForRestart),
            _ => match Epoch::from_wire(raw) {
                Some(epoch) => Some(Self::In(epoch)),
                None => None,
            },
        }
    }

    /// Kafka's number.
    #[must_use]
    pub const fn to_wire(self) -> i32 {
        match self {
            Self::Joining => 0,
            Self::In(epoch) => epoch.get(),
            Self::Leaving => -1,
            Self::LeavingForRestart => -2,
        }
    }
}

/// ConsumerGroupHeartbeat. What is `None` has not changed since the member said it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerHeartbeat {
    /// The group.
    pub group: GroupId,
    /// As sent. Before version 1 a newcomer may leave it to the coordinator with the empty text.
    pub member: MemberId,
    /// Whether the member has to name itself: version 1 and later.
    pub names_itself: bool,
    /// What the member means; `None` for a number that means nothing.
    pub epoch: Option<MemberEpoch>,
    /// The name of a static member.
    pub instance: Option<InstanceId>,
    /// Where it is.
    pub rack: Option<Arc<str>>,
    /// How long it may take to give up partitions.
    pub rebalance_timeout: Option<Duration>,
    /// The topics that it wants.
    pub topics: Option<Vec<Arc<str>>>,
    /// An expression for the topics that it wants; empty for none.
    pub regex: Option<Arc<str>>,
    /// The assignor that it asks for.
    pub assignor: Option<Arc<str>>,
    /// What it has. A topic that it names without a partition, or with one that cannot be, is
    /// there without one: a newcomer must not even name topics.
    pub owned: Option<Vec<(TopicId, Option<PartitionId>)>>,
    /// Who asks.
    pub client: Client,
    /// 16 random bytes that the host drew: the name of a newcomer that has none.
    pub drawn: Uuid,
}

/// Why a heartbeat says nothing that could be acted on. The words are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeartbeat {
    /// The member has to name itself.
    #[error("MemberId can't be empty.")]
    NoMember,
    /// No group is named.
    #[error("GroupId can't be empty.")]
    NoGroup,
    /// A static name without a letter.
    #[error("InstanceId can't be empty.")]
    EmptyInstance,
    /// A rack without a letter.
    #[error("RackId can't be empty.")]
    EmptyRack,
    /// A newcomer says how long it may take.
    #[error("RebalanceTimeoutMs must be provided in first request.")]
    NoRebalanceTimeout,
    /// A newcomer has nothing.
    #[error("TopicPartitions must be empty when (re-)joining.")]
    OwnsPartitions,
    /// A newcomer says what it wants.
    #[error(
        "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
    )]
    NoSubscription,
    /// Only a static member can come back.
    #[error("InstanceId can't be null.")]
    NoInstance,
    /// More than could be stored.
    #[error("The member says more than {MEMBER_BYTES_MAX} bytes.")]
    TooLong,
    /// The number means nothing.
    #[error("MemberEpoch is invalid.")]
    Epoch,
}

impl ConsumerHeartbeat {
    /// What the member means, if the request makes sense by itself.
    pub(super) fn check(&self) -> Result<MemberEpoch, InvalidHeartbeat> {
        let needs_name = match self.epoch {
            Some(MemberEpoch::In(_) | MemberEpoch::Leaving) => true,
            Some(MemberEpoch::Joining | MemberEpoch::LeavingForRestart) | None => false,
        };
        let blank = |text: &str| text.trim().is_empty();
        if (needs_name || self.names_itself) && blank(self.member.as_str()) {
            return Err(InvalidHeartbeat::NoMember);
        }
        if blank(self.group.as_str()) {
            return Err(InvalidHeartbeat::NoGroup);
        }
        if self.instance.as_ref().is_some_and(|instance| blank(instance.as_str())) {
            return Err(InvalidHeartbeat::EmptyInstance);
        }
        if self.rack.as_deref().is_some_and(blank) {
            return Err(InvalidHeartbeat::EmptyRack);
        }
        // Each topic has its length, too.
        let topics = self.topics.iter().flatten().map(|name| name.len() + 2);
        if topics.sum::<usize>() > MEMBER_BYTES_MAX {
            return Err(InvalidHeartbeat::TooLong);
        }
        match self.epoch {
            None => Err(InvalidHeartbeat::Epoch),
            Some(MemberEpoch::Joining) => self.check_joining().map(|()| MemberEpoch::Joining),
            Some(MemberEpoch::LeavingForRestart) if self.instance.is_none() => {
                Err(InvalidHeartbeat::NoInstance)
            }
            Some(epoch) => Ok(epoch),
        }
    }

    fn check_joining(&self) -> Result<(), InvalidHeartbeat> {
        if self.rebalance_timeout.is_none() {
            Err(InvalidHeartbeat::NoRebalanceTimeout)
        } else if self.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
            Err(InvalidHeartbeat::OwnsPartitions)
        } else if self.topics.is_none() && self.regex.is_none() {
            Err(InvalidHeartbeat::NoSubscription)
        } else {
            Ok(())
        }
    }

    /// Whether the member says everything, so that it has to be told everything.
    pub(super) const fn is_full(&self) -> bool {
        let subscribes = self.topics.is_some() || self.regex.is_some();
        self.rebalance_timeout.is_some() && subscribes && self.owned.is_some()
    }

    /// What the member has, as it says.
    pub(super) fn owned(&self) -> Option<Partitions> {
        let partition = |(topic, partition): &(TopicId, Option<_>)| Some((*topic, (*partition)?));
        self.owned.as_ref().map(|owned| owned.iter().filter_map(partition).collect())
    }

    /// The assignor that it asks for, unless there is none of that name.
    pub(super) fn assignor(&self) -> Result<Option<Assignor>, &str> {
        let Some(name) = self.assignor.as_deref() else { return Ok(None) };
        Assignor::from_name(name).map(Some).ok_or(name)
    }
}
