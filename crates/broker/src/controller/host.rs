//! The loop: a request is taken, its records are appended, a sync commits them, everybody is told.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ottla_env::{Answer, Disk, Mailbox, Reply, reply};
use ottla_log::LogPosition;
use ottla_metadata::{
    AlteredConfigs, Controller, DeletedTopic, Elected, MetadataDelta, MetadataImage,
    MorePartitionsOutcome, Outcome, ProducerIdBlock, Record, TopicOutcome, UpdateFeatures,
    UpdateFeaturesError,
};
use ottla_types::{BrokerEpoch, Offset};

use crate::config::{NodeConfig, Registry, as_set};
use crate::partition::fail;
use crate::publisher::MetadataPublisher;

use super::quorum::{Quorum, storage};
use super::start::{Leading, Registered};
use super::{AllocationRefused, Answered, HostError, Metadata, Request, Unavailable};

/// Changes that may be under way at once: appended and not yet told to everybody. More requests
/// than that wait in the mailbox, and behind it their connections.
const UNDER_WAY_MAX: usize = 1_024;

pub(super) struct Host {
    quorum: Quorum,
    controller: Controller,
    /// What the node was started with.
    started: NodeConfig,
    registered: Registered,
    broker_epoch: BrokerEpoch,
    metadata: Arc<Metadata>,
    publisher: Box<dyn MetadataPublisher>,
    mailbox: Mailbox<Request>,
    syncing: Option<Syncing>,
    /// Appended and not committed, in the order of the log.
    uncommitted: VecDeque<Step>,
    /// Committed and not served everywhere, in the order of the log.
    publishing: VecDeque<Publishing>,
}

struct Syncing {
    done: Answer<io::Result<()>>,
    upto: LogPosition,
}

/// One request's change of the metadata.
struct Step {
    end: Offset,
    /// `None`: the request changed nothing, but what it saw may not be committed yet.
    change: Option<(MetadataDelta, Arc<MetadataImage>)>,
    parked: Parked,
}

struct Publishing {
    published: Option<Answer<()>>,
    parked: Parked,
}

/// An answer that waits until what it says is true for everybody.
enum Parked {
    AlterConfigs(Reply<Answered<AlteredConfigs>>, AlteredConfigs),
    CreateTopics(Reply<Answered<Vec<TopicOutcome>>>, Vec<TopicOutcome>),
    DeleteTopics(Reply<Answered<Vec<DeletedTopic>>>, Vec<DeletedTopic>),
    CreatePartitions(Reply<Answered<Vec<MorePartitionsOutcome>>>, Vec<MorePartitionsOutcome>),
    ElectLeaders(Reply<Answered<Vec<Elected>>>, Vec<Elected>),
    UpdateFeatures(
        Reply<Answered<Result<(), UpdateFeaturesError>>>,
        Result<(), UpdateFeaturesError>,
    ),
    ProducerIds(Reply<Result<ProducerIdBlock, AllocationRefused>>, ProducerIdBlock),
    /// Nobody waits: the host itself changed something.
    Nobody,
}

impl Parked {
    fn send(self) {
        match self {
            Self::AlterConfigs(to, response) => to.send(Ok(response)),
            Self::CreateTopics(to, response) => to.send(Ok(response)),
            Self::DeleteTopics(to, response) => to.send(Ok(response)),
            Self::CreatePartitions(to, response) => to.send(Ok(response)),
            Self::ElectLeaders(to, response) => to.send(Ok(response)),
            Self::UpdateFeatures(to, response) => to.send(Ok(response)),
            Self::ProducerIds(to, response) => to.send(Ok(response)),
            Self::Nobody => {}
        }
    }

    fn refuse(self, why: Unavailable) {
        match self {
            Self::AlterConfigs(to, _) => to.send(Err(why)),
            Self::CreateTopics(to, _) => to.send(Err(why)),
            Self::DeleteTopics(to, _) => to.send(Err(why)),
            Self::CreatePartitions(to, _) => to.send(Err(why)),
            Self::ElectLeaders(to, _) => to.send(Err(why)),
            Self::UpdateFeatures(to, _) => to.send(Err(why)),
            Self::ProducerIds(to, _) => to.send(Err(why.into())),
            Self::Nobody => {}
        }
    }
}

enum Happening {
    Synced(io::Result<()>),
    Published,
    Asked(Request),
    ToldToStop,
}

impl Host {
    pub(super) fn new(
        leading: Leading,
        started: NodeConfig,
        metadata: Arc<Metadata>,
        publisher: Box<dyn MetadataPublisher>,
        mailbox: Mailbox<Request>,
    ) -> Self {
        let Leading { quorum, controller, registered, broker_epoch, elections } = leading;
        metadata.on_elections(elections);
        Self {
            quorum,
            controller,
            started,
            registered,
            broker_epoch,
            metadata,
            publisher,
            mailbox,
            syncing: None,
            uncommitted: VecDeque::new(),
            publishing: VecDeque::new(),
        }
    }

    /// Commits all that was appended before the host ran, and publishes the image of it as one
    /// change from nothing.
    pub(super) async fn publish_all(&mut self) -> Result<(), HostError> {
        self.sync_all().await?;
        let image = Arc::clone(self.quorum.image());
        let delta = MetadataDelta::from_nothing(&image);
        self.metadata.image.store(Arc::clone(&image));
        let published = self.publisher.publish(&delta, &image);
        published.await.map_err(|_| HostError::PublisherEnded)
    }

    /// Serves until told to stop, or until a failure after which nothing can be promised.
    pub(super) async fn run(mut self, mut stop: Answer<()>) {
        let ended = loop {
            match self.next(&mut stop).await {
                Happening::ToldToStop => break self.see_off().await,
                happening => {
                    if let Err(error) = self.on(happening).await {
                        break Err(error);
                    }
                }
            }
        };
        if let Err(error) = ended {
            // What is durable is unknown for ever, or the log and this code disagree: whatever the
            // node said next could be untrue.
            let why = format!("the controller cannot go on: {error}");
            fail(self.quorum.env(), self.quorum.log_directory(), &why).await;
        }
    }

    async fn on(&mut self, happening: Happening) -> Result<(), HostError> {
        match happening {
            Happening::Synced(outcome) => self.on_synced(outcome)?,
            Happening::Published => self.on_published(),
            Happening::Asked(request) => {
                self.serve(request).await?;
                // Whoever waits already shares the sync.
                while self.has_room()
                    && let Some(request) = self.mailbox.try_next()
                {
                    self.serve(request).await?;
                }
            }
            Happening::ToldToStop => {}
        }
        self.start_sync();
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.uncommitted.len() + self.publishing.len() < UNDER_WAY_MAX
    }

    /// What happens next; ends before beginnings, so that what is under way stays little.
    async fn next(&mut self, stop: &mut Answer<()>) -> Happening {
        std::future::poll_fn(|cx| self.poll_next(cx, stop)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, stop: &mut Answer<()>) -> Poll<Happening> {
        if let Some(syncing) = &mut self.syncing
            && let Poll::Ready(outcome) = Pin::new(&mut syncing.done).poll(cx)
        {
            let ended = || Err(io::Error::other("the disk's host ended"));
            return Poll::Ready(Happening::Synced(outcome.unwrap_or_else(|_| ended())));
        }
        if let Some(first) = self.publishing.front_mut() {
            // A publisher that has ended serves nothing that an answer could be wrong about.
            let served = first
                .published
                .as_mut()
                .is_none_or(|published| Pin::new(published).poll(cx).is_ready());
            if served {
                return Poll::Ready(Happening::Published);
            }
        }
        if Pin::new(stop).poll(cx).is_ready() {
            return Poll::Ready(Happening::ToldToStop);
        }
        if self.has_room()
            && let Poll::Ready(Some(request)) = self.mailbox.poll_next(cx)
        {
            return Poll::Ready(Happening::Asked(request));
        }
        Poll::Pending
    }

    async fn serve(&mut self, request: Request) -> Result<(), HostError> {
        let image = self.quorum.image();
        match request {
            Request::AlterConfigs(request, to) => {
                let registry = Registry { groups: &self.started.groups.settings };
                let Outcome { records, response } =
                    self.controller.alter_configs(image, &request, &registry);
                self.append(&records, Parked::AlterConfigs(to, response)).await
            }
            Request::CreateTopics(request, to) => {
                let rng = Arc::clone(&self.quorum.env().rng);
                let Outcome { records, response } =
                    self.controller.create_topics(image, &request, &mut || rng.uuid());
                self.append(&records, Parked::CreateTopics(to, response)).await
            }
            Request::DeleteTopics(request, to) => {
                let Outcome { records, response } = Controller::delete_topics(image, &request);
                self.append(&records, Parked::DeleteTopics(to, response)).await
            }
            Request::CreatePartitions(request, to) => {
                let Outcome { records, response } = Controller::create_partitions(image, &request);
                self.append(&records, Parked::CreatePartitions(to, response)).await
            }
            Request::ElectLeaders(request, to) => {
                let Outcome { records, response } = Controller::elect_leaders(image, &request);
                self.append(&records, Parked::ElectLeaders(to, response)).await
            }
            Request::UpdateFeatures(request, to) => self.update_features(&request, to).await,
            Request::AllocateProducerIds(to) => {
                match Controller::allocate_producer_ids(
                    image,
                    self.registered.broker.id,
                    self.broker_epoch,
                ) {
                    Ok(Outcome { records, response }) => {
                        self.append(&records, Parked::ProducerIds(to, response)).await
                    }
                    Err(refused) => {
                        to.send(Err(refused.into()));
                        Ok(())
                    }
                }
            }
        }
    }

    async fn update_features(
        &mut self,
        request: &UpdateFeatures,
        to: Reply<Answered<Result<(), UpdateFeaturesError>>>,
    ) -> Result<(), HostError> {
        let (image, me) = (self.quorum.image(), self.registered.broker.id);
        let (version, end) = (image.metadata_version(), image.end());
        let (records, response) = match Controller::update_features(image, me, request) {
            Ok(Outcome { records, response }) => (records, Ok(response)),
            Err(refused) => (Vec::new(), Err(refused)),
        };
        self.append(&records, Parked::UpdateFeatures(to, response)).await?;
        let image = self.quorum.image();
        if image.end() > end && image.metadata_version() > version {
            // As Kafka's nodes do: records of the new version tell more of them.
            let Registered { broker, controller } = &self.registered;
            let again = Controller::register_again(image, broker, controller);
            self.append(&again, Parked::Nobody).await?;
        }
        Ok(())
    }

    async fn append(&mut self, records: &[Record], parked: Parked) -> Result<(), HostError> {
        let change = if records.is_empty() {
            None
        } else {
            let before = self.quorum.end();
            match self.quorum.append(records).await {
                Ok(()) => {
                    let change = self.quorum.take_changes();
                    self.on_appended(&change.0);
                    Some(change)
                }
                Err(error) if error.is_no_space() && self.quorum.end() == before => {
                    // Others have taken even the reserve. The log directory's watcher says so.
                    tracing::debug!(%error, "request refused");
                    parked.refuse(Unavailable::NoSpace);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        };
        self.uncommitted.push_back(Step { end: self.quorum.end(), change, parked });
        if self.quorum.is_committed() {
            self.commit(self.quorum.end());
        }
        Ok(())
    }

    /// Whoever asks next is answered over the state at the end of the log.
    fn on_appended(&mut self, delta: &MetadataDelta) {
        if delta.broker_configs_changed() {
            let (config, _) = as_set(&self.started, self.quorum.image());
            self.controller.on_topic_defaults(config.logs.topics);
        }
    }

    fn start_sync(&mut self) {
        if self.syncing.is_some() {
            return;
        }
        if let Some(unsynced) = self.quorum.take_unsynced() {
            let (to, done) = reply();
            let disk: &Arc<dyn Disk> = &self.quorum.env().disk;
            disk.sync(unsynced.files, to);
            self.syncing = Some(Syncing { done, upto: unsynced.upto });
        }
    }

    fn on_synced(&mut self, outcome: io::Result<()>) -> Result<(), HostError> {
        let syncing = self.syncing.take().expect("a sync was under way");
        outcome.map_err(storage("sync the metadata log"))?;
        if let Some(high_watermark) = self.quorum.on_synced(syncing.upto) {
            self.commit(high_watermark);
        }
        Ok(())
    }

    /// Everybody sees what lies below the high watermark, and the publisher is told, in order.
    fn commit(&mut self, high_watermark: Offset) {
        while self.uncommitted.front().is_some_and(|step| step.end <= high_watermark) {
            let Step { change, parked, .. } =
                self.uncommitted.pop_front().expect("looked at above");
            let published = change.map(|(delta, image)| {
                self.metadata.image.store(Arc::clone(&image));
                self.metadata.on_elections(delta.elections());
                self.publisher.publish(&delta, &image)
            });
            self.publishing.push_back(Publishing { published, parked });
        }
    }

    fn on_published(&mut self) {
        let first = self.publishing.pop_front().expect("it was published");
        first.parked.send();
    }

    async fn sync_all(&mut self) -> Result<(), HostError> {
        self.start_sync();
        while let Some(syncing) = &mut self.syncing {
            let ended = |_| Err(io::Error::other("the disk's host ended"));
            let outcome = (&mut syncing.done).await.unwrap_or_else(ended);
            self.on_synced(outcome)?;
            self.start_sync();
        }
        Ok(())
    }

    /// The last record of a clean stop.
    async fn see_off(&mut self) -> Result<(), HostError> {
        let fence = Controller::fence_broker(self.quorum.image(), self.registered.broker.id);
        self.append(fence.as_slice(), Parked::Nobody).await?;
        self.sync_all().await?;
        if let Err(error) = self.quorum.close().await {
            // Nothing of ours needs the file, and Kafka makes it again from the batches: a disk
            // without space is no reason to end otherwise than in peace.
            tracing::warn!(%error, "epochs of the metadata log not written");
        }
        Ok(())
    }
}
