//! The controller, hosted: who changes the cluster's metadata, and where everybody reads it.
//!
//! One task on the loop that started the node owns the metadata log, its raft node and the
//! controller. A request is decided over the state at the end of the log, its records are appended
//! to the page cache, and the answer is parked. While a sync runs, further requests append and
//! share the next one. What a sync has made durable is committed: its image is swapped in, the
//! publisher is told, and once the publisher is done the parked answers go out, in order.

mod batches;
mod checkpoint;
mod host;
mod quorum;
mod start;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use ottla_env::{Answer, Env, Full, Reply, Sender, reply};
use ottla_log::{AppendError, OpenLogError, ReadError, RollError};
use ottla_metadata::{
    AllocateProducerIdsError, AlterConfigs, AlteredConfigs, CreatePartitions, CreateTopics,
    DeleteTopics, DeletedTopic, ElectLeaders, Elected, Elections, MetadataImage,
    MorePartitionsOutcome, ProducerIdBlock, RegisterBrokerError, ReplayError, TopicOutcome,
    UpdateFeatures, UpdateFeaturesError,
};
use ottla_raft::{NotElectable, QuorumStateError};
use ottla_types::{BrokerEpoch, Offset};

use crate::config::{Listener, NodeConfig};
use crate::identity::{self, Identity};
use crate::publisher::MetadataPublisher;

pub(crate) use batches::BatchReadError;
pub(crate) use checkpoint::{Checkpoint, CheckpointError};

/// The directory of the metadata log.
pub(crate) const METADATA_DIRECTORY: &str = "__cluster_metadata-0";
/// The file with the first records, which formatting leaves in every log directory.
pub(crate) const BOOTSTRAP_CHECKPOINT: &str = "bootstrap.checkpoint";

/// Requests that may wait for the controller. A request holds what its frame held, and frames are
/// bounded by the memory permits of their connections.
const MAILBOX_MAX: usize = 256;

/// The metadata as of the last commit. Reading it takes no lock.
pub(crate) struct Metadata {
    image: ArcSwap<MetadataImage>,
    elections: Mutex<Elections>,
}

impl Metadata {
    fn new(image: Arc<MetadataImage>) -> Self {
        Self { image: ArcSwap::new(image), elections: Mutex::default() }
    }

    /// The elections since the node's start whose winners were not in sync.
    pub(crate) fn elections(&self) -> Elections {
        *self.elections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_elections(&self, more: Elections) {
        *self.elections.lock().unwrap_or_else(PoisonError::into_inner) += more;
    }

    /// The image of this moment; it never changes.
    pub(crate) fn image(&self) -> Arc<MetadataImage> {
        self.image.load_full()
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata").field("end", &self.image().end()).finish_non_exhaustive()
    }
}

/// The controller took no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error("the controller is behind")]
    Behind,
    #[error("the controller has ended")]
    Ended,
    #[error("the disk has no space for the metadata log")]
    NoSpace,
}

/// Asks the controller, from any loop.
#[derive(Clone, Debug)]
pub(crate) struct ControllerHandle {
    requests: Sender<Request>,
}

type Answered<T> = Result<T, Unavailable>;

#[derive(Debug)]
enum Request {
    AlterConfigs(AlterConfigs, Reply<Answered<AlteredConfigs>>),
    CreateTopics(CreateTopics, Reply<Answered<Vec<TopicOutcome>>>),
    DeleteTopics(DeleteTopics, Reply<Answered<Vec<DeletedTopic>>>),
    CreatePartitions(CreatePartitions, Reply<Answered<Vec<MorePartitionsOutcome>>>),
    ElectLeaders(ElectLeaders, Reply<Answered<Vec<Elected>>>),
    UpdateFeatures(UpdateFeatures, Reply<Answered<Result<(), UpdateFeaturesError>>>),
    AllocateProducerIds(Reply<Result<ProducerIdBlock, AllocationRefused>>),
}

/// Why there are no producer ids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AllocationRefused {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Refused(#[from] AllocateProducerIdsError),
}

impl ControllerHandle {
    /// Creates topics. The answer comes when those that come into being can be used.
    pub(crate) fn create_topics(
        &self,
        request: CreateTopics,
    ) -> Answer<Answered<Vec<TopicOutcome>>> {
        let (to, answer) = reply();
        self.ask(Request::CreateTopics(request, to));
        answer
    }

    /// Alters properties. The answer comes when they hold.
    pub(crate) fn alter_configs(&self, request: AlterConfigs) -> Answer<Answered<AlteredConfigs>> {
        let (to, answer) = reply();
        self.ask(Request::AlterConfigs(request, to));
        answer
    }

    /// Deletes topics. The answer comes when they are gone for everybody.
    pub(crate) fn delete_topics(
        &self,
        request: DeleteTopics,
    ) -> Answer<Answered<Vec<DeletedTopic>>> {
        let (to, answer) = reply();
        self.ask(Request::DeleteTopics(request, to));
        answer
    }

    /// Gives topics more partitions. The answer comes when those can be used.
    pub(crate) fn create_partitions(
        &self,
        request: CreatePartitions,
    ) -> Answer<Answered<Vec<MorePartitionsOutcome>>> {
        let (to, answer) = reply();
        self.ask(Request::CreatePartitions(request, to));
        answer
    }

    /// Elects leaders. The answer comes when those lead.
    pub(crate) fn elect_leaders(&self, request: ElectLeaders) -> Answer<Answered<Vec<Elected>>> {
        let (to, answer) = reply();
        self.ask(Request::ElectLeaders(request, to));
        answer
    }

    /// Changes the levels of features. The answer comes when everybody goes by them.
    pub(crate) fn update_features(
        &self,
        request: UpdateFeatures,
    ) -> Answer<Answered<Result<(), UpdateFeaturesError>>> {
        let (to, answer) = reply();
        self.ask(Request::UpdateFeatures(request, to));
        answer
    }

    /// Gets a block of producer ids for this node.
    pub(crate) fn allocate_producer_ids(
        &self,
    ) -> Answer<Result<ProducerIdBlock, AllocationRefused>> {
        let (to, answer) = reply();
        self.ask(Request::AllocateProducerIds(to));
        answer
    }

    fn ask(&self, request: Request) {
        match self.requests.try_send(request) {
            Ok(()) => {}
            Err(Full::Behind(request)) => request.refuse(Unavailable::Behind),
            Err(Full::Gone(request)) => request.refuse(Unavailable::Ended),
        }
    }
}

impl Request {
    fn refuse(self, why: Unavailable) {
        match self {
            Self::AlterConfigs(_, to) => to.send(Err(why)),
            Self::CreateTopics(_, to) => to.send(Err(why)),
            Self::DeleteTopics(_, to) => to.send(Err(why)),
            Self::CreatePartitions(_, to) => to.send(Err(why)),
            Self::ElectLeaders(_, to) => to.send(Err(why)),
            Self::UpdateFeatures(_, to) => to.send(Err(why)),
            Self::AllocateProducerIds(to) => to.send(Err(why.into())),
        }
    }
}

/// Why a node cannot be a controller.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("{what}: {error}")]
    Storage { what: &'static str, error: io::Error },
    #[error("open the metadata log: {0}")]
    Open(#[from] OpenLogError),
    #[error("read the metadata log: {0}")]
    Read(#[from] ReadError),
    #[error("the metadata log at offset {at}: {error}")]
    Batch { at: Offset, error: BatchReadError },
    #[error("the metadata log at offset {at}: {error}")]
    Replay { at: Offset, error: ReplayError },
    #[error("{name}: {error}")]
    Checkpoint { name: String, error: CheckpointError },
    #[error("the metadata log begins at offset {start}, and no snapshot ends there or later")]
    MissingSnapshot { start: Offset },
    #[error("quorum-state: {0}")]
    QuorumState(#[from] QuorumStateError),
    #[error("the folder was formatted for voters in the log, but no snapshot names them")]
    NoVoters,
    #[error(
        "the cluster has agreed on {name} {level}, and this version of Ottla supports {min} to \
         {max}; Kafka's kafka-features can lower it"
    )]
    UnsupportedFeature { name: String, level: i16, min: i16, max: i16 },
    #[error(transparent)]
    NotElectable(#[from] NotElectable),
    #[error(transparent)]
    Register(#[from] RegisterBrokerError),
    #[error("append to the metadata log: {0}")]
    Append(#[from] AppendError),
    #[error("roll the metadata log: {0}")]
    Roll(#[from] RollError),
    #[error("the task that opens partitions has ended")]
    PublisherEnded,
}

impl HostError {
    /// Whether only space was missing, and the metadata log is as it was before.
    pub(super) const fn is_no_space(&self) -> bool {
        matches!(self, Self::Append(AppendError::Full(_)) | Self::Roll(RollError::Create(_)))
    }

    /// What to do about it, where that is known.
    pub(crate) fn cure(&self) -> &'static str {
        match self {
            Self::Storage { error, .. }
            | Self::Open(OpenLogError::Storage(error))
            | Self::Append(AppendError::Full(error) | AppendError::Storage(error))
            | Self::Roll(RollError::Create(error)) => identity::cure(error),
            _ => "",
        }
    }
}

/// The running controller; the node that started it stops it.
#[derive(Debug)]
pub(crate) struct ControllerHost {
    broker_epoch: BrokerEpoch,
    stop: Reply<()>,
    stopped: Answer<()>,
}

impl ControllerHost {
    /// Opens the metadata log, leads its quorum, registers this node and publishes the first image.
    /// `listeners` are all that this node has bound; `sync_failed`: what is read back of the log
    /// may be in the page cache alone, though the kernel calls it clean. The controller runs on
    /// the calling task's loop from here on.
    ///
    /// # Errors
    /// When the log cannot be followed, or this node cannot be part of its cluster.
    pub(crate) async fn start(
        env: &Env,
        config: &NodeConfig,
        identity: &Identity,
        listeners: &[Listener],
        sync_failed: bool,
        publisher: Box<dyn MetadataPublisher>,
    ) -> Result<(Self, ControllerHandle, Arc<Metadata>), HostError> {
        let (requests, mailbox) = ottla_env::mailbox(MAILBOX_MAX);
        let (stop, told_to_stop) = reply();
        let (done, stopped) = reply();
        let leading = start::lead(env, config, identity, listeners, sync_failed).await?;
        let broker_epoch = leading.broker_epoch;
        let metadata = Arc::new(Metadata::new(Arc::clone(leading.quorum.image())));
        let mut host =
            host::Host::new(leading, config.clone(), Arc::clone(&metadata), publisher, mailbox);
        host.publish_all().await?;
        let task = async move {
            host.run(told_to_stop).await;
            done.send(());
        };
        env.spawn.spawn("controller", Box::pin(task));
        Ok((Self { broker_epoch, stop, stopped }, ControllerHandle { requests }, metadata))
    }

    /// This node's registration as a broker.
    pub(crate) const fn broker_epoch(&self) -> BrokerEpoch {
        self.broker_epoch
    }

    /// Sees this node off in the metadata, so that its next incarnation, or an Apache Kafka in its
    /// place, need not wait for a session to end. Requests are refused from here on.
    pub(crate) async fn stop(self) {
        self.stop.send(());
        // The host's loop may be gone already: there is nothing left to wait for then.
        let _ended = self.stopped.await;
    }
}
