//! Groups, hosted: one shard for each partition of `__consumer_offsets` that this node leads.
//!
//! A shard is a core (`ottla_coordinator::GroupShard`) and a task of its own, on one of the loops.
//! Connections put requests into its bounded mailbox. The task steps the core, appends the records
//! that it gives as one batch, and answers when the high watermark has passed them; what queues up
//! meanwhile shares the next append, and its sync. `docs/internals/group-shards.md` has the
//! pictures.

mod append;
mod batch;
mod host;
mod load;
mod news;
mod placement;
mod publisher;
mod topic;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwapOption;
use ottla_coordinator::{GroupAnswer, GroupId, GroupRequest};
use ottla_env::{Answer, Full, Reply, Sender, reply};
use ottla_types::{PartitionId, TopicId};

use news::NewsSlot;
use placement::partition_of;

pub(crate) use publisher::ShardKeeper;
pub(crate) use topic::{GROUP_METADATA, make_group_metadata};

/// Requests that may wait for one shard. A connection has one under way at most, so this is the
/// number of members that may speak at the same moment; each holds what its frame held.
const MAILBOX_MAX: usize = 16_384;

/// Why a group cannot be asked just now. A client that asks again later, or elsewhere, is served,
/// unless it asks for too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error("another node has the group, or none yet")]
    NotCoordinator,
    #[error("the groups are being loaded")]
    Loading,
    #[error("the group has more to do than it can")]
    Behind,
    #[error("what the group decided could not be written")]
    NotWritten,
    #[error("the request would lead to more records than fit a batch")]
    TooLarge,
}

/// What comes back from a shard: the answer of the request's own kind.
pub(crate) type Answered = Result<GroupAnswer, Unavailable>;

/// A request that a shard has: shards take them in the order of the calls, whatever is waited for
/// first.
#[derive(Debug)]
pub(crate) struct Asked(Answer<Answered>);

impl Future for Asked {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answered> {
        // Abandoned: the shard has ended.
        let answered = Pin::new(&mut self.0).poll(cx);
        answered.map(|answered| answered.unwrap_or(Err(Unavailable::NotCoordinator)))
    }
}

/// A request on its way to a shard.
#[derive(Debug)]
struct Ask {
    request: GroupRequest,
    to: Reply<Answered>,
}

impl Ask {
    fn refuse(self, why: Unavailable) {
        self.to.send(Err(why));
    }
}

/// A shard, as everybody else sees it.
struct Shard {
    requests: Sender<Ask>,
    news: Arc<NewsSlot>,
}

/// What became of a partition of the topic.
#[derive(Clone)]
enum Slot {
    Served(Arc<Shard>),
    /// There was no space for it yet; it is looked for again.
    Lacking,
    /// Its files are not what they should be.
    Damaged,
}

/// The shards of one incarnation of the topic.
struct Shards {
    topic: TopicId,
    /// By partition. Their number is that of the start, or of the topic's creation: groups do not
    /// move under their members.
    shards: Vec<Slot>,
}

impl Slot {
    fn shard(&self) -> Option<&Arc<Shard>> {
        match self {
            Self::Served(shard) => Some(shard),
            Self::Lacking | Self::Damaged => None,
        }
    }
}

impl Shards {
    fn served(&self) -> impl Iterator<Item = &Arc<Shard>> {
        self.shards.iter().filter_map(Slot::shard)
    }
}

/// The groups of this node. Asking takes no lock.
pub(crate) struct Groups {
    shards: ArcSwapOption<Shards>,
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Groups")
    }
}

impl Groups {
    /// No group yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { shards: ArcSwapOption::empty() })
    }

    fn shards(&self) -> Option<Arc<Shards>> {
        self.shards.load_full()
    }

    fn replace(&self, shards: Option<Shards>) {
        self.shards.store(shards.map(Arc::new));
    }

    /// The partition that has the group; `None` while there is no topic of groups.
    pub(crate) fn partition_of(&self, group: &GroupId) -> Option<PartitionId> {
        let count = i32::try_from(self.shards()?.shards.len()).ok()?;
        Some(partition_of(group, count))
    }

    /// Asks the shard of a group.
    pub(crate) fn ask(&self, group: &GroupId, request: GroupRequest) -> Asked {
        match self.partition_of(group) {
            Some(partition) => self.ask_partition(partition, request),
            None => refused(Unavailable::NotCoordinator),
        }
    }

    /// Asks the shard of a partition.
    pub(crate) fn ask_partition(&self, partition: PartitionId, request: GroupRequest) -> Asked {
        let shards = self.shards();
        let at = usize::try_from(partition.get()).ok();
        let shard = shards.as_ref().and_then(|it| it.shards.get(at?)?.shard());
        shard.map_or_else(|| refused(Unavailable::NotCoordinator), |shard| shard.ask(request))
    }

    /// The partitions of the topic of groups that this node serves.
    pub(crate) fn partitions(&self) -> Vec<PartitionId> {
        let shards = self.shards();
        let slots = shards.iter().flat_map(|it| (0..).map(PartitionId::new).zip(&it.shards));
        slots.filter(|(_, slot)| slot.shard().is_some()).map(|(partition, _)| partition).collect()
    }

    /// Asks every shard; `request` makes the request for each.
    pub(crate) fn ask_all(&self, request: impl Fn() -> GroupRequest) -> Vec<Asked> {
        let shards = self.shards();
        let shards = shards.iter().flat_map(|it| it.served());
        shards.map(|shard| shard.ask(request())).collect()
    }
}

impl Shard {
    fn ask(&self, request: GroupRequest) -> Asked {
        let (to, answer) = reply();
        match self.requests.try_send(Ask { request, to }) {
            Ok(()) => {}
            Err(Full::Behind(ask)) => ask.refuse(Unavailable::Behind),
            Err(Full::Gone(ask)) => ask.refuse(Unavailable::NotCoordinator),
        }
        Asked(answer)
    }
}

fn refused(why: Unavailable) -> Asked {
    let (to, answer) = reply();
    to.send(Err(why));
    Asked(answer)
}
