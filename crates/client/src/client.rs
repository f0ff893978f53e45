//! The way in.

use std::fmt;
use std::net::{AddrParseError, IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use ottla_env::Env;
use ottla_types::{InvalidTopicName, PartitionId, TopicName, TopicPartition};

use crate::admin::{Admin, AdminError};
use crate::cluster::{Cluster, Settings};
use crate::consumer::{ConsumeError, ConsumerBuilder};
use crate::producer::{ProduceError, ProducerBuilder};

/// One application's view of one cluster: its connections, and what it knows of topics.
///
/// Cheap to clone; belongs to the event loop that it was made on. Nothing is connected before
/// something is asked.
#[derive(Clone, Debug)]
pub struct Client {
    cluster: Rc<Cluster>,
}

/// Settings of a [`Client`].
#[derive(Clone)]
#[must_use = "nothing happens before `build`"]
pub struct ClientBuilder {
    env: Env,
    settings: Settings,
}

/// Any error of this crate, for applications that treat them alike.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A record was not written.
    #[error(transparent)]
    Produce(#[from] ProduceError),
    /// Records cannot be read, or offsets not committed.
    #[error(transparent)]
    Consume(#[from] ConsumeError),
    /// The cluster does not do what an operator asked for.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// No topic can be called so.
    #[error(transparent)]
    TopicName(#[from] InvalidTopicName),
    /// No address.
    #[error("a bootstrap address is an IP address and a port: {0}")]
    Address(#[from] AddrParseError),
}

impl Client {
    /// Begins a client in a world.
    pub fn builder(env: Env) -> ClientBuilder {
        let settings = Settings {
            bootstrap: Vec::new(),
            client_id: "ottla".into(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            resolver: None,
        };
        ClientBuilder { env, settings }
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Operators' requests: topics, configurations, groups, offsets.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(Rc::clone(&self.cluster))
    }

    /// Begins a producer.
    pub fn producer(&self) -> ProducerBuilder {
        ProducerBuilder::new(Rc::clone(&self.cluster))
    }

    /// Begins a consumer.
    pub fn consumer(&self) -> ConsumerBuilder {
        ConsumerBuilder::new(Rc::clone(&self.cluster))
    }
}

impl ClientBuilder {
    /// Adds an address to begin with; the other brokers are learned from whoever answers there.
    pub fn bootstrap(mut self, address: SocketAddr) -> Self {
        self.settings.bootstrap.push(address);
        self
    }

    /// What the brokers' logs, quotas and member ids call this application. Default: `ottla`.
    pub fn client_id(mut self, id: &str) -> Self {
        self.settings.client_id = id.into();
        self
    }

    /// How long connecting may take. Default: 10 s.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// How long one request may take, beyond what the broker is asked to wait. Default: 30 s.
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.settings.request_timeout = timeout;
        self
    }

    /// Finds addresses of brokers that call themselves by a name. Without it only IP addresses and
    /// `localhost` are understood.
    pub fn resolver(mut self, resolver: impl Fn(&str) -> Option<IpAddr> + 'static) -> Self {
        self.settings.resolver = Some(Rc::new(resolver));
        self
    }

    /// The client.
    #[must_use]
    pub fn build(self) -> Client {
        Client { cluster: Rc::new(Cluster::new(self.env, self.settings)) }
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("bootstrap", &self.settings.bootstrap)
            .finish_non_exhaustive()
    }
}

/// Names one partition of one topic.
///
/// ```
/// assert_eq!(ottla_client::partition("orders", 3)?.to_string(), "orders-3");
/// # Ok::<(), ottla_types::InvalidTopicName>(())
/// ```
///
/// # Errors
/// When no topic can be called so.
///
/// # Panics
/// If the number is negative.
pub fn partition(topic: &str, number: i32) -> Result<TopicPartition, InvalidTopicName> {
    Ok(TopicPartition { topic: TopicName::parse(topic)?, partition: PartitionId::new(number) })
}
