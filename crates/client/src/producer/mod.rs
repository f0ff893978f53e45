//! Writing records.

mod batch;
mod partitioner;
mod pour;
mod queue;
mod record;
mod sender;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ottla_env::{Answer, Purpose, reply};
use ottla_records::Compression;
use ottla_types::{InvalidTopicName, Offset, PartitionId, Timestamp, TopicName, TopicPartition};
use tokio::sync::Semaphore;

pub use partitioner::{ChoosePartition, Partitioner};
pub use pour::{Pour, Poured, PouredRecord};
pub use record::Record;

use crate::cluster::Cluster;
use crate::error::{BrokerError, CallError, RequestError};
use crate::wait;
use partitioner::Choices;
use sender::Shared;

/// When a record counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// All brokers that are in sync have it, as durably as the cluster promises; and it is there
    /// once, however often it had to be sent.
    All,
    /// The leader has it; it may get lost with the leader, or be there twice.
    Leader,
    /// It was sent.
    None,
}

impl Acks {
    const fn to_wire(self) -> i16 {
        match self {
            Self::All => -1,
            Self::Leader => 1,
            Self::None => 0,
        }
    }
}

/// Settings of a [`Producer`].
#[derive(Clone, Debug)]
#[must_use = "nothing happens before `build`"]
pub struct ProducerBuilder {
    cluster: Rc<Cluster>,
    settings: Settings,
}

#[derive(Clone, Debug)]
struct Settings {
    acks: Acks,
    compression: Compression,
    partitioner: Partitioner,
    linger: Duration,
    batch_bytes: usize,
    buffer_bytes: u32,
    delivery_timeout: Duration,
}

/// Where a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Its partition.
    pub partition: TopicPartition,
    /// Its offset; `None` with [`Acks::None`], and for a repeated batch whose first offset the
    /// broker has forgotten.
    pub offset: Option<Offset>,
    /// Its timestamp: the record's own, or the broker's where the topic says so.
    pub timestamp: Timestamp,
}

impl fmt::Display for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.partition)?;
        self.offset.map_or(Ok(()), |offset| write!(f, "@{offset}"))
    }
}

/// A record that was not written, or nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// No topic can be called so.
    #[error(transparent)]
    TopicName(#[from] InvalidTopicName),
    /// The record names a partition that the topic does not have.
    #[error("topic {topic} has {count} partitions, and none of number {partition}")]
    NoPartition {
        /// The topic.
        topic: TopicName,
        /// As named by the record.
        partition: PartitionId,
        /// How many there are.
        count: usize,
    },
    /// The record alone is larger than all that the producer may hold.
    #[error("a record of {bytes} bytes does not fit into `buffer_bytes` of {buffer_bytes}")]
    TooLarge {
        /// About what the record takes.
        bytes: usize,
        /// What the producer may hold.
        buffer_bytes: u32,
    },
    /// Nothing is known of the topic.
    #[error("topic {topic} cannot be looked up: {source}")]
    Lookup {
        /// The topic.
        topic: TopicName,
        /// Why.
        source: RequestError,
    },
    /// The broker refuses the record for good.
    #[error("{partition} refuses the record: {source}")]
    Refused {
        /// Where it was sent.
        partition: TopicPartition,
        /// The broker's words.
        source: BrokerError,
    },
    /// The answer is none, or no broker serves such a request.
    #[error("the record was sent to {partition}: {source}")]
    Call {
        /// Where it was sent.
        partition: TopicPartition,
        /// Why nobody can tell.
        source: CallError,
    },
    /// The time for delivery is over.
    #[error(
        "not delivered to {partition} within {within:?}{}; raise `delivery_timeout` or look at the brokers' logs",
        if *.maybe_written { ", and it may have been written all the same" } else { "" }
    )]
    TimedOut {
        /// Where it should have been written.
        partition: TopicPartition,
        /// How long it was tried.
        within: Duration,
        /// Whether it was sent and nobody knows.
        maybe_written: bool,
    },
    /// The producer is no more.
    #[error("the producer was closed before the record was delivered")]
    Closed,
}

impl ProducerBuilder {
    pub(crate) fn new(cluster: Rc<Cluster>) -> Self {
        let settings = Settings {
            acks: Acks::All,
            compression: Compression::None,
            partitioner: Partitioner::default(),
            linger: Duration::from_millis(5),
            batch_bytes: 16 * 1024,
            buffer_bytes: 32 * 1024 * 1024,
            delivery_timeout: Duration::from_secs(120),
        };
        Self { cluster, settings }
    }

    /// When a record counts as written. Default: [`Acks::All`].
    pub const fn acks(mut self, acks: Acks) -> Self {
        self.settings.acks = acks;
        self
    }

    /// How batches are compressed. Default: not at all.
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.settings.compression = compression;
        self
    }

    /// How partitions are chosen. Default: by the key, or sticky.
    pub fn partitioner(mut self, partitioner: Partitioner) -> Self {
        self.settings.partitioner = partitioner;
        self
    }

    /// How long a record waits for others to share its batch. Default: 5 ms.
    pub const fn linger(mut self, linger: Duration) -> Self {
        self.settings.linger = linger;
        self
    }

    /// From how many bytes on a batch is sent without waiting. Default: 16 KiB.
    pub const fn batch_bytes(mut self, bytes: usize) -> Self {
        self.settings.batch_bytes = bytes;
        self
    }

    /// How much the producer may hold before [`Producer::send`] waits. Default: 32 MiB.
    pub const fn buffer_bytes(mut self, bytes: u32) -> Self {
        self.settings.buffer_bytes = bytes;
        self
    }

    /// How long a record is tried to be written. Default: 120 s.
    pub const fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.settings.delivery_timeout = timeout;
        self
    }

    /// The producer; its sender begins at once.
    #[must_use]
    pub fn build(self) -> Producer {
        let Self { cluster, settings } = self;
        let memory = Arc::new(Semaphore::new(settings.buffer_bytes as usize));
        let shared = Rc::new(Shared::new(cluster, settings));
        sender::start(&shared);
        Producer { shared, memory, choices: Choices::default() }
    }
}

/// Writes records, many at once. Dropping it gives up what is not delivered: see
/// [`Producer::flush`].
pub struct Producer {
    shared: Rc<Shared>,
    memory: Arc<Semaphore>,
    choices: Choices,
}

/// A record on its way: await it to know that it was written. Dropping it changes nothing.
#[derive(Debug)]
#[must_use = "a record counts as written when this says so"]
pub struct Delivery(Answer<Result<Delivered, ProduceError>>);

impl Future for Delivery {
    type Output = Result<Delivered, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let told = Pin::new(&mut self.0).poll(cx);
        told.map(|told| told.unwrap_or(Err(ProduceError::Closed)))
    }
}

impl Producer {
    /// Takes a record; waits while the producer holds as much as it may, or its topic is unknown.
    ///
    /// Records of one partition are written in the order in which they were taken.
    ///
    /// ```
    /// # use ottla_client::{Producer, ProduceError, Record};
    /// async fn all_or_error(producer: &Producer) -> Result<(), ProduceError> {
    ///     let mut deliveries = Vec::new();
    ///     for number in 0..100 {
    ///         let record = Record::to("numbers").value(number.to_string());
    ///         deliveries.push(producer.send(record).await?);
    ///     }
    ///     for delivery in deliveries {
    ///         delivery.await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// When the record cannot be taken: no such topic or partition, or too large.
    pub async fn send(&self, record: Record) -> Result<Delivery, ProduceError> {
        let topic = TopicName::parse(&record.topic)?;
        let count = self.partitions_of(&topic).await?;
        let settings = &self.shared.settings;
        let partition = match record.partition {
            Some(named) => {
                let known = usize::try_from(named.get()).is_ok_and(|number| number < count);
                if !known {
                    return Err(ProduceError::NoPartition { topic, partition: named, count });
                }
                named
            }
            None => {
                let draw = || self.shared.cluster.env.rng.next(Purpose::Jitter);
                let of = (count, settings.batch_bytes);
                let chosen =
                    self.choices.choose(&settings.partitioner, (&topic, &record), of, draw);
                PartitionId::new(i32::try_from(chosen).expect("below the count"))
            }
        };
        let bytes = record.size();
        let too_large = || ProduceError::TooLarge { bytes, buffer_bytes: settings.buffer_bytes };
        let needed = u32::try_from(bytes).map_err(|_| too_large())?;
        if needed > settings.buffer_bytes {
            return Err(too_large());
        }
        let memory = Arc::clone(&self.memory).acquire_many_owned(needed).await;
        let memory = memory.expect("nobody closes it");
        let timestamp = record.timestamp.unwrap_or_else(|| self.shared.cluster.env.clock.wall());
        let (reply, answer) = reply();
        let to = TopicPartition { topic, partition };
        self.shared.take(to, &record, timestamp, (memory, reply));
        Ok(Delivery(answer))
    }

    /// Waits until everything that was taken is delivered or has failed.
    pub async fn flush(&self) {
        self.shared.begin_flush();
        loop {
            let seen = self.shared.bell.rings();
            if self.shared.is_empty() {
                break;
            }
            self.shared.bell.rung_since(seen).await;
        }
        self.shared.end_flush();
    }

    /// Flushes, and ends the producer.
    pub async fn close(self) {
        self.flush().await;
    }

    async fn partitions_of(&self, topic: &TopicName) -> Result<usize, ProduceError> {
        let cluster = &self.shared.cluster;
        let deadline = cluster.now().after(self.shared.settings.delivery_timeout);
        let mut tries = 0;
        loop {
            let within = wait::until(&*cluster.env.clock, deadline, cluster.topic(topic)).await;
            let source = match within {
                Some(Ok(known)) if !known.partitions.is_empty() => {
                    return Ok(known.partitions.len());
                }
                Some(Ok(_)) => BrokerError::of(ottla_wire::ErrorCode::LeaderNotAvailable).into(),
                Some(Err(error)) => error,
                None => BrokerError::of(ottla_wire::ErrorCode::RequestTimedOut).into(),
            };
            // Somebody may be making the topic just now.
            if !source.is_retriable() || cluster.now() >= deadline {
                return Err(ProduceError::Lookup { topic: topic.clone(), source });
            }
            cluster.back_off(tries).await;
            tries += 1;
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}
