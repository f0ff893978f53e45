//! Reading records, alone or in a group.

mod assignor;
mod commit;
mod fetch;
mod group;
mod positions;
pub(crate) mod protocol;
mod record;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use ottla_env::Mono;
use ottla_types::{InvalidTopicName, Offset, TopicPartition};
use ottla_wire::ErrorCode;

pub use assignor::Assignor;
pub use group::GroupProtocol;
pub use record::ConsumerRecord;
pub use settings::{ConsumerBuilder, Isolation, OffsetReset};

use crate::cluster::{Cluster, Lane};
use crate::error::{BrokerError, CallError, RequestError};
use crate::wait::{self, First};
use fetch::{FetchFailure, Fetched, Flight, Landed, Wanted};
use group::{Change, Group};
use positions::Positions;
use settings::Settings;

/// Why records cannot be read, or offsets not be committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsumeError {
    /// No topic can be called so.
    #[error(transparent)]
    TopicName(#[from] InvalidTopicName),
    /// A subscription, or a commit, is something of a group's.
    #[error("there is no group; call `group` on the builder")]
    NoGroup,
    /// Members of classic groups have to name their topics.
    #[error("a pattern takes GroupProtocol::Consumer: coordinators of classic groups do not match")]
    PatternInClassicGroup,
    /// What a group shares out cannot be chosen.
    #[error("the consumer subscribes, so its group says what it reads")]
    Subscribed,
    /// The partition is not read by this consumer.
    #[error("{partition} is not assigned to this consumer")]
    NotAssigned {
        /// As named by the application.
        partition: TopicPartition,
    },
    /// The coordinator will not have this member. The consumer is of no use any more.
    #[error("group {group} does not take this consumer: {source}")]
    Group {
        /// The group.
        group: String,
        /// The coordinator's words.
        source: RequestError,
    },
    /// Others read the partitions by now; what was not committed, they read again.
    #[error("group {group} has given the partitions to others, so nothing was committed")]
    Rebalanced {
        /// The group.
        group: String,
    },
    /// Nothing was committed, and the consumer may not choose where to begin.
    #[error("no offset to begin {partition} with; seek, or set `offset_reset`")]
    NoOffset {
        /// What was to be read.
        partition: TopicPartition,
    },
    /// What was read is not what a broker may send.
    #[error("{partition} cannot be read at offset {offset}: {why}; seek beyond it to go on")]
    Corrupt {
        /// Where it was read.
        partition: TopicPartition,
        /// From which offset on.
        offset: Offset,
        /// What is wrong.
        why: String,
    },
    /// The broker refuses for good.
    #[error("{what} was refused: {source}")]
    Refused {
        /// What was asked for.
        what: String,
        /// The broker's words.
        source: BrokerError,
    },
    /// The cluster cannot be asked.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Nobody answered in time.
    #[error("{what} took longer than {within:?}; the last error was: {last}")]
    TimedOut {
        /// What was asked for.
        what: String,
        /// How long it was tried.
        within: Duration,
        /// The newest of many.
        last: RequestError,
    },
}

/// What a group gives and takes. Heard in the middle of a poll, when no record of the partitions
/// is with the application any more but those that it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebalance {
    /// From this generation or epoch on the consumer has these, some of them new.
    Assigned {
        /// The generation of a classic group, or the member's epoch.
        epoch: i32,
        /// What is new.
        added: BTreeSet<TopicPartition>,
        /// All that it has.
        owned: BTreeSet<TopicPartition>,
    },
    /// These are taken. With `auto_commit`, what was handed out is committed.
    Revoked {
        /// What is taken.
        removed: BTreeSet<TopicPartition>,
    },
    /// These were given to others already: nothing of them can be committed any more.
    Lost {
        /// What is gone.
        removed: BTreeSet<TopicPartition>,
    },
}

/// Reads records. See [`Client::consumer`](crate::Client::consumer).
///
/// What a poll has handed out counts as read when the next one begins; until then a group takes
/// nothing away. Dropping a consumer leaves its group in the background; [`Consumer::close`] also
/// commits and waits.
pub struct Consumer {
    cluster: Rc<Cluster>,
    settings: Settings,
    group_id: Option<String>,
    group: Option<Rc<Group>>,
    lane: Lane,
    positions: Positions,
    flights: BTreeMap<i32, Flight>,
    /// Nodes and topics that are left alone for a moment after an error.
    resting: BTreeMap<i32, Mono>,
    commit_at: Option<Mono>,
}

impl Consumer {
    fn new(
        cluster: Rc<Cluster>,
        settings: Settings,
        group_id: Option<String>,
        group: Option<Rc<Group>>,
    ) -> Self {
        let commit_at = settings.auto_commit.map(|every| cluster.now().after(every));
        Self {
            lane: cluster.new_lane(),
            cluster,
            settings,
            group_id,
            group,
            positions: Positions::default(),
            flights: BTreeMap::new(),
            resting: BTreeMap::new(),
            commit_at,
        }
    }

    /// Reads these partitions, and no others.
    ///
    /// # Errors
    /// When it subscribes: then its group says what it reads.
    pub fn assign(
        &mut self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<(), ConsumeError> {
        if self.group.is_some() {
            return Err(ConsumeError::Subscribed);
        }
        self.positions.keep_only(&partitions.into_iter().collect());
        Ok(())
    }

    /// What it reads now.
    #[must_use]
    pub fn assignment(&self) -> BTreeSet<TopicPartition> {
        self.positions.all()
    }

    /// Its group's generation, or its epoch in the group; `None` while it is no member.
    #[must_use]
    pub fn epoch(&self) -> Option<i32> {
        self.group.as_ref().and_then(|group| group.member()).map(|member| member.epoch)
    }

    /// What the coordinator calls it; `None` while it is no member.
    #[must_use]
    pub fn member_id(&self) -> Option<String> {
        self.group.as_ref().and_then(|group| group.member()).map(|member| member.id)
    }

    /// The next record that will be handed out; `None` before that is known.
    #[must_use]
    pub fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.positions.position(partition)
    }

    /// Goes on elsewhere.
    ///
    /// # Errors
    /// When the partition is not assigned.
    pub fn seek(&mut self, partition: &TopicPartition, to: Offset) -> Result<(), ConsumeError> {
        let found = self.positions.seek(partition, to);
        found
            .then_some(())
            .ok_or_else(|| ConsumeError::NotAssigned { partition: partition.clone() })
    }

    /// Hands out nothing of a partition until it is resumed.
    ///
    /// # Errors
    /// When the partition is not assigned.
    pub fn pause(&mut self, partition: &TopicPartition) -> Result<(), ConsumeError> {
        self.set_paused(partition, true)
    }

    /// Goes on with a partition that was paused.
    ///
    /// # Errors
    /// When the partition is not assigned.
    pub fn resume(&mut self, partition: &TopicPartition) -> Result<(), ConsumeError> {
        self.set_paused(partition, false)
    }

    fn set_paused(&mut self, partition: &TopicPartition, paused: bool) -> Result<(), ConsumeError> {
        let found = self.positions.set_paused(partition, paused);
        found
            .then_some(())
            .ok_or_else(|| ConsumeError::NotAssigned { partition: partition.clone() })
    }

    /// The next record, however long it takes. What was handed out before counts as read.
    ///
    /// # Errors
    /// As [`Self::poll`].
    pub async fn next(&mut self) -> Result<ConsumerRecord, ConsumeError> {
        loop {
            let record = self.take(1, self.cluster.now().after(Duration::from_secs(60))).await?;
            if let Some(record) = record.into_iter().next() {
                return Ok(record);
            }
        }
    }

    /// The next records: none, if there are none within `wait`. What was handed out before counts
    /// as read.
    ///
    /// # Errors
    /// When the consumer cannot go on by itself. After an error of a partition, seeking or letting
    /// go of it helps; after [`ConsumeError::Group`] nothing does.
    pub async fn poll(&mut self, wait: Duration) -> Result<Vec<ConsumerRecord>, ConsumeError> {
        let deadline = self.cluster.now().after(wait);
        self.take(self.settings.poll_records_max, deadline).await
    }

    async fn take(
        &mut self,
        count: usize,
        deadline: Mono,
    ) -> Result<Vec<ConsumerRecord>, ConsumeError> {
        loop {
            let seen = self.group.as_ref().map(|group| group.news.rings());
            self.follow_group().await?;
            self.commit_if_due().await;
            let records = self.positions.take(count);
            if !records.is_empty() {
                // Nothing is awaited here: what was taken would be lost with this call.
                _ = self.begin_fetching();
                return Ok(records);
            }
            if let Some(error) = self.positions.take_error() {
                return Err(error);
            }
            if self.cluster.now() >= deadline {
                return Ok(records);
            }
            let clock = std::sync::Arc::clone(&self.cluster.env.clock);
            match wait::until(&*clock, deadline, self.find_positions()).await {
                Some(found) => found?,
                None => return Ok(Vec::new()),
            }
            _ = self.begin_fetching();
            self.wait(seen, deadline).await;
            self.fetch_ahead().await;
        }
    }

    /// Waits for records, for the group, or for time to pass.
    async fn wait(&mut self, seen: Option<u64>, deadline: Mono) {
        let group = self.group.clone();
        let news = async {
            match (&group, seen) {
                (Some(group), Some(seen)) => group.news.rung_since(seen).await,
                _ => std::future::pending().await,
            }
        };
        let flights = &mut self.flights;
        let landed = poll_fn(|cx| land(flights, cx).map_or(Poll::Pending, Poll::Ready));
        let rested = self.resting.values().copied().min();
        let until = [rested, self.commit_at].into_iter().flatten().fold(deadline, Mono::min);
        let clock = &self.cluster.env.clock;
        let landed = wait::until(&**clock, until, wait::first(landed, news)).await;
        if let Some(First::Left(landed)) = landed {
            self.on_landed(landed);
        }
    }

    /// Makes the changes that the group asks for.
    async fn follow_group(&mut self) -> Result<(), ConsumeError> {
        let Some(group) = self.group.clone() else { return Ok(()) };
        group.on_poll();
        while let Some(change) = group.change() {
            let event = match &change {
                Change::Lose => Rebalance::Lost { removed: self.positions.all() },
                Change::Revoke(removed) => {
                    self.commit_before_revoking().await;
                    Rebalance::Revoked { removed: removed.clone() }
                }
                Change::Assign { epoch, partitions } => Rebalance::Assigned {
                    epoch: *epoch,
                    added: partitions.difference(&self.positions.all()).cloned().collect(),
                    owned: partitions.clone(),
                },
            };
            // The commit takes time, in which everything may be lost.
            if group.change().as_ref() != Some(&change) {
                continue;
            }
            match &event {
                Rebalance::Assigned { owned, .. } => self.positions.keep_only(owned),
                Rebalance::Revoked { removed } | Rebalance::Lost { removed } => {
                    self.positions.remove(removed);
                }
            }
            if let Some(listener) = &self.settings.listener {
                listener(&event);
            }
            group.on_changed(&change, self.positions.all());
        }
        match (group.failure(), &self.group_id) {
            (Some(source), Some(id)) => Err(ConsumeError::Group { group: id.clone(), source }),
            _ => Ok(()),
        }
    }

    /// Sends for what comes behind what has just arrived, so that brokers work on it while the
    /// application does on this: a flight that nobody has looked at has not begun.
    async fn fetch_ahead(&mut self) {
        if !self.begin_fetching() {
            return;
        }
        let landed = poll_fn(|cx| Poll::Ready(land(&mut self.flights, cx))).await;
        if let Some(landed) = landed {
            self.on_landed(landed);
        }
        // The task of the connection writes the request.
        wait::pause().await;
    }

    /// Asks each leader for records of every partition that wants some; whether there was any.
    fn begin_fetching(&mut self) -> bool {
        let now = self.cluster.now();
        self.resting.retain(|_, until| *until > now);
        let mut nodes: BTreeMap<i32, Vec<Wanted>> = BTreeMap::new();
        for (partition, from, nonce) in self.positions.hungry() {
            let Some(topic) = self.cluster.known_topic(&partition.topic) else { continue };
            let Some(metadata) = topic.partition(partition.partition) else { continue };
            let Some(leader) = metadata.leader else { continue };
            if self.flights.contains_key(&leader) || self.resting.contains_key(&leader) {
                continue;
            }
            let (topic_id, leader_epoch) = (topic.id, metadata.leader_epoch);
            let wanted = Wanted { partition, topic_id, from, leader_epoch, nonce };
            nodes.entry(leader).or_default().push(wanted);
        }
        let begins = !nodes.is_empty();
        for (node, wanted) in nodes {
            let settings = self.settings.fetch;
            let flight = fetch::fetch(&self.cluster, (node, self.lane), settings, wanted);
            self.flights.insert(node, flight);
        }
        begins
    }

    fn on_landed(&mut self, landed: Landed) {
        let Landed { node, result } = landed;
        match result {
            Ok(fetched) => {
                for each in fetched {
                    self.on_fetched(node, each);
                }
            }
            Err(error) if error.is_retriable() => {
                self.rest(node);
                self.positions.doubt_leaders();
            }
            Err(error) => self.positions.set_error(error.into()),
        }
    }

    /// Leaves a node alone for a moment.
    fn rest(&mut self, node: i32) {
        let until = self.cluster.now().after(Duration::from_millis(100));
        self.resting.insert(node, until);
    }

    fn on_fetched(&mut self, node: i32, fetched: Fetched) {
        let Fetched { wanted, result } = fetched;
        if !self.positions.is_current(&wanted) {
            return;
        }
        match result {
            Ok(chunk) => self.positions.on_chunk(&wanted.partition, chunk),
            Err(FetchFailure::Corrupt(why)) => {
                let Wanted { partition, from: offset, .. } = wanted;
                self.positions.set_error(ConsumeError::Corrupt { partition, offset, why });
            }
            Err(FetchFailure::Refused(error)) if error.is(ErrorCode::OffsetOutOfRange) => {
                // What was read ahead of is handed out first; then it is asked for again.
                if self.positions.reset(&wanted.partition).is_err() {
                    self.rest(node);
                }
            }
            Err(FetchFailure::Refused(error)) => {
                self.rest(node);
                if error.is_stale_metadata() || error.is_retriable() {
                    self.positions.doubt_leaders();
                } else {
                    let what = format!("reading {}", wanted.partition);
                    self.positions.set_error(ConsumeError::Refused { what, source: error });
                }
            }
        }
    }

    /// Commits if it does so by itself, leaves its group, and ends.
    ///
    /// # Errors
    /// When the last commit fails.
    pub async fn close(mut self) -> Result<(), ConsumeError> {
        let committed = match self.settings.auto_commit {
            Some(_) if self.group_id.is_some() => self.commit().await,
            _ => Ok(()),
        };
        if let Some(group) = self.group.take() {
            let within = self.cluster.settings.request_timeout;
            group.leave(self.cluster.now().after(within)).await;
        }
        committed
    }
}

/// The first flight that has landed; all before it in the order of their nodes are looked at.
fn land(flights: &mut BTreeMap<i32, Flight>, cx: &mut Context<'_>) -> Option<Landed> {
    for (node, flight) in flights.iter_mut() {
        if let Poll::Ready(landed) = flight.as_mut().poll(cx) {
            let node = *node;
            drop(flights.remove(&node));
            return Some(landed);
        }
    }
    None
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.cluster.close_lane(self.lane);
        if let Some(group) = &self.group {
            group.begin_leaving();
        }
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("group", &self.group_id)
            .field("assignment", &self.positions.all())
            .finish_non_exhaustive()
    }
}
