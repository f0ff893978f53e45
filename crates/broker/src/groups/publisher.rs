//! Begins and ends shards as the metadata says, and tells them of topics.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use ottla_coordinator::TopicChanges;
use ottla_env::{Answer, Env, LoopId, Reply, mailbox, reply};
use ottla_metadata::{MetadataDelta, MetadataImage};
use ottla_types::PartitionId;
use tokio::sync::Notify;

use super::host::ShardHost;
use super::news::NewsSlot;
use super::topic::GROUP_METADATA;
use super::{Groups, MAILBOX_MAX, Shard, Shards, Slot};
use crate::config::LiveConfig;
use crate::partition::{Absent, PartitionHost, Partitions};
use crate::publisher::MetadataPublisher;
use crate::stopping::Stopping;

/// How long after a partition was not there for lack of space it is looked for again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// One step of the metadata.
#[derive(Debug)]
struct Change {
    /// Comes when this node's partitions are as the step says.
    partitions: Answer<()>,
    topics: TopicChanges,
    image: Arc<MetadataImage>,
    done: Reply<()>,
}

/// Changes that wait their turn. No more than there are parked requests to the controller: each
/// waits for its own.
#[derive(Debug, Default)]
struct Changes {
    waiting: Mutex<VecDeque<Change>>,
    arrived: Notify,
}

impl Changes {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Change>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Partitions first, groups afterwards: whoever is told that a change is served finds both.
#[derive(Debug)]
pub(crate) struct GroupsPublisher {
    partitions: PartitionHost,
    changes: Arc<Changes>,
}

impl MetadataPublisher for GroupsPublisher {
    fn publish(&mut self, delta: &MetadataDelta, image: &Arc<MetadataImage>) -> Answer<()> {
        let (done, answer) = reply();
        let topics = TopicChanges {
            deleted: delta.removed_topics().map(|it| (it.name.clone(), it.id)).collect(),
            changed: delta.topics().map(|it| it.topic.name.clone()).collect(),
        };
        let partitions = self.partitions.publish(delta, image);
        let change = Change { partitions, topics, image: Arc::clone(image), done };
        self.changes.waiting().push_back(change);
        self.changes.arrived.notify_one();
        answer
    }
}

/// What the task that begins and ends shards works with.
#[derive(Debug)]
pub(crate) struct ShardKeeper {
    pub(crate) env: Env,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) live: Arc<LiveConfig>,
    pub(crate) stopping: Arc<Stopping>,
}

impl ShardKeeper {
    /// Starts the task, behind that which opens partitions.
    pub(crate) fn start(self, partitions: PartitionHost) -> GroupsPublisher {
        let changes = Arc::new(Changes::default());
        let env = self.env.clone();
        env.spawn.spawn("groups", Box::pin(self.run(Arc::clone(&changes))));
        GroupsPublisher { partitions, changes }
    }

    async fn run(self, changes: Arc<Changes>) {
        let mut image = None;
        loop {
            let next = changes.waiting().pop_front();
            let Some(change) = next else {
                match image.as_ref().filter(|_| self.lacks()) {
                    Some(image) => self.try_again(image, &changes).await,
                    None => changes.arrived.notified().await,
                }
                continue;
            };
            // Abandoned: whoever opens partitions has ended, and nothing is served any more.
            if change.partitions.await.is_err() {
                return;
            }
            self.apply(&change.image, &change.topics);
            image = Some(change.image);
            change.done.send(());
        }
    }

    /// Whether there are partitions for which there was no space yet, and somebody to serve.
    fn lacks(&self) -> bool {
        let served = self.groups.shards().filter(|_| !self.stopping.has_begun());
        served.is_some_and(|it| it.shards.iter().any(|slot| matches!(slot, Slot::Lacking)))
    }

    /// Looks whether there is space by now; whoever opens partitions does so, too.
    async fn try_again(&self, image: &Arc<MetadataImage>, changes: &Changes) {
        let (mut arrived, clock) = (pin!(changes.arrived.notified()), &self.env.clock);
        let mut slept = pin!(clock.sleep(TRY_AGAIN_AFTER));
        // A change that arrives meanwhile does not wait.
        poll_fn(|cx| match arrived.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => slept.as_mut().poll(cx),
        })
        .await;
        let Some(served) = self.groups.shards() else { return };
        let again = |(index, slot): (PartitionId, &Slot)| match slot {
            Slot::Lacking => self.begin(image, index),
            Slot::Served(_) | Slot::Damaged => slot.clone(),
        };
        let shards = (0..).map(PartitionId::new).zip(&served.shards).map(again).collect();
        self.groups.replace(Some(Shards { topic: served.topic, shards }));
    }

    fn apply(&self, image: &Arc<MetadataImage>, changes: &TopicChanges) {
        let topic = image.topic(GROUP_METADATA);
        let served = self.groups.shards();
        if served.as_ref().is_some_and(|served| Some(served.topic) != topic.map(|it| it.id)) {
            served.iter().for_each(|served| served.end());
            self.groups.replace(None);
        }
        match (self.groups.shards(), topic) {
            (Some(served), Some(topic)) => {
                if topic.partitions.len() != served.shards.len() {
                    let (now, then) = (topic.partitions.len(), served.shards.len());
                    tracing::warn!(now, then, "groups move to new partitions at the next start");
                }
                served.tell(image, changes);
            }
            (None, Some(topic)) => {
                let shards = (0..).map(PartitionId::new).zip(&topic.partitions);
                let shards = shards.map(|(index, _)| self.begin(image, index)).collect();
                self.groups.replace(Some(Shards { topic: topic.id, shards }));
            }
            (None, None) => {}
            (Some(_), None) => unreachable!("ended above"),
        }
    }

    /// Begins to serve a partition, on a loop that has no more of them than the others.
    fn begin(&self, image: &Arc<MetadataImage>, index: PartitionId) -> Slot {
        let topic = self.partitions.topic(GROUP_METADATA);
        let found = topic.as_ref().ok_or(Absent::Unknown).and_then(|it| it.partition(index.get()));
        let partition = match found {
            Ok(partition) => Arc::clone(partition),
            Err(Absent::Unknown) => return Slot::Lacking,
            Err(Absent::Offline) => return Slot::Damaged,
        };
        let (requests, mailbox) = mailbox(MAILBOX_MAX);
        let news = Arc::new(NewsSlot::default());
        let host = ShardHost {
            env: self.env.clone(),
            partition,
            live: Arc::clone(&self.live),
            mailbox,
            news: Arc::clone(&news),
            image: Arc::clone(image),
        };
        let running = self.stopping.enter();
        let number = usize::try_from(index.get()).expect("a partition's number is not negative");
        let on = LoopId(number % self.env.spawn.loops());
        let make = move || -> ottla_env::Task {
            Box::pin(async move {
                // Nothing of it outlives the stop of its node but what it has written.
                let _stopped = running.or(host.run()).await;
            })
        };
        self.env.spawn.spawn_on(on, "group shard", Box::new(make));
        Slot::Served(Arc::new(Shard { requests, news }))
    }
}

impl Shards {
    fn tell(&self, image: &Arc<MetadataImage>, changes: &TopicChanges) {
        self.served().for_each(|shard| shard.news.tell(image, changes));
    }

    fn end(&self) {
        self.served().for_each(|shard| shard.news.end());
    }
}
