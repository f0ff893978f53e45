//! What producers, consumers and admins of one client share: connections and metadata.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use ottla_env::{Env, Mono, Purpose};
use ottla_types::{PartitionId, TopicName};
use ottla_wire::messages::metadata_request::MetadataRequestTopic;
use ottla_wire::messages::{FindCoordinatorRequest, MetadataRequest};
use ottla_wire::{ApiKey, ErrorCode};

use crate::connection::{Answer, Connection};
use crate::error::{BrokerError, CallError, RequestError};
use crate::metadata::{Metadata, Node, Told, TopicMetadata};
use crate::request::Request;
use crate::versions::Versions;

/// Finds the address of a host name.
pub type Resolver = Rc<dyn Fn(&str) -> Option<IpAddr>>;

/// The first pause before something is tried again; it doubles up to [`BACKOFF_MAX`].
const BACKOFF: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How a client reaches its cluster.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) bootstrap: Vec<SocketAddr>,
    pub(crate) client_id: Rc<str>,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) resolver: Option<Resolver>,
}

/// A connection of its own: whoever may be made to wait by the broker has one, because a broker
/// answers a connection in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane(u64);

impl Lane {
    /// Shared by all requests that are answered at once.
    pub(crate) const COMMON: Self = Self(0);
}

/// Tries to connect to one address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tries {
    /// Whether one has ever succeeded.
    pub(crate) succeeded: bool,
    /// How many have failed since.
    pub(crate) failed: u32,
    /// Why the last one failed.
    pub(crate) why: Option<CallError>,
}

impl Tries {
    fn note(&mut self, failed: Option<&CallError>) {
        match failed {
            Some(why) => (self.failed, self.why) = (self.failed + 1, Some(why.clone())),
            None => *self = Self { succeeded: true, failed: 0, why: None },
        }
    }
}

/// A cluster as one client sees it.
pub(crate) struct Cluster {
    pub(crate) env: Env,
    pub(crate) settings: Settings,
    connections: RefCell<BTreeMap<(SocketAddr, Lane), Rc<Connection>>>,
    /// One for each address that was ever tried: as many as there were brokers.
    tries: RefCell<BTreeMap<SocketAddr, Tries>>,
    metadata: RefCell<Metadata>,
    lanes: Cell<u64>,
    /// Which of the known addresses is asked first.
    turn: Cell<usize>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("bootstrap", &self.settings.bootstrap)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    pub(crate) fn new(env: Env, settings: Settings) -> Self {
        Self {
            env,
            settings,
            connections: RefCell::default(),
            tries: RefCell::default(),
            metadata: RefCell::default(),
            lanes: Cell::new(0),
            turn: Cell::new(0),
        }
    }

    /// A lane that nobody else has.
    pub(crate) fn new_lane(&self) -> Lane {
        self.lanes.set(self.lanes.get() + 1);
        Lane(self.lanes.get())
    }

    /// Closes the connections of a lane, once their calls are answered.
    pub(crate) fn close_lane(&self, lane: Lane) {
        self.connections.borrow_mut().retain(|(_, of), _| *of != lane);
    }

    pub(crate) fn now(&self) -> Mono {
        self.env.clock.mono()
    }

    /// Waits before try number `tries + 1`, a bit longer each time, and not as long as others.
    pub(crate) async fn back_off(&self, tries: u32) {
        let pause = BACKOFF.saturating_mul(1 << tries.min(10)).min(BACKOFF_MAX);
        let spread = self.env.rng.next(Purpose::Jitter) % 41;
        let percent = u32::try_from(80 + spread).expect("below 121");
        self.env.clock.sleep(pause * percent / 100).await;
    }

    /// A live connection to an address.
    pub(crate) async fn connection(
        &self,
        address: SocketAddr,
        lane: Lane,
    ) -> Result<Rc<Connection>, CallError> {
        let key = (address, lane);
        let live = self.connections.borrow().get(&key).filter(|each| each.is_alive()).cloned();
        if let Some(live) = live {
            return Ok(live);
        }
        let settings = &self.settings;
        let timeout = settings.connect_timeout;
        let opened = Connection::open(&self.env, address, &settings.client_id, timeout).await;
        self.tries.borrow_mut().entry(address).or_default().note(opened.as_ref().err());
        let opened = Rc::new(opened?);
        let mut connections = self.connections.borrow_mut();
        connections.retain(|_, each| each.is_alive());
        connections.insert(key, Rc::clone(&opened));
        Ok(opened)
    }

    /// Whether there is a live connection to a node.
    pub(crate) fn is_connected(&self, node: i32, lane: Lane) -> bool {
        let Ok(address) = self.address_of(node) else { return false };
        self.connections.borrow().get(&(address, lane)).is_some_and(|each| each.is_alive())
    }

    /// The address of a node that metadata has described.
    pub(crate) fn address_of(&self, id: i32) -> Result<SocketAddr, CallError> {
        let metadata = self.metadata.borrow();
        let node = metadata.brokers.get(&id).ok_or(CallError::UnknownBroker { id })?;
        node.address.ok_or_else(|| CallError::Unresolved { host: node.host.clone() })
    }

    /// The nodes that metadata has described.
    pub(crate) fn nodes(&self) -> Vec<i32> {
        self.metadata.borrow().brokers.keys().copied().collect()
    }

    /// The nodes that metadata has described, as they want to be reached; and who described them.
    pub(crate) fn described(&self) -> (Vec<Node>, Option<SocketAddr>) {
        let metadata = self.metadata.borrow();
        (metadata.brokers.values().cloned().collect(), metadata.told_by)
    }

    /// What became of the tries to connect to an address, since the last that succeeded.
    pub(crate) fn tries_at(&self, address: SocketAddr) -> Tries {
        self.tries.borrow().get(&address).cloned().unwrap_or_default()
    }

    /// Asks a node.
    pub(crate) async fn call<R: Request>(
        &self,
        node: i32,
        lane: Lane,
        request: &R,
    ) -> Result<Answer<R>, CallError> {
        self.call_within(node, lane, request, self.settings.request_timeout).await
    }

    /// As [`Self::call`], where the broker may wait before it answers.
    pub(crate) async fn call_within<R: Request>(
        &self,
        node: i32,
        lane: Lane,
        request: &R,
        timeout: Duration,
    ) -> Result<Answer<R>, CallError> {
        let connection = self.connection(self.address_of(node)?, lane).await?;
        connection.call(request, timeout).await
    }

    /// Asks any broker, those that metadata has described before those to begin with.
    pub(crate) async fn call_any<R: Request>(&self, request: &R) -> Result<Answer<R>, CallError> {
        self.call_someone(request).await.map(|(answer, _)| answer)
    }

    /// As [`Self::call_any`]; and who has answered.
    async fn call_someone<R: Request>(
        &self,
        request: &R,
    ) -> Result<(Answer<R>, SocketAddr), CallError> {
        let mut last = CallError::NoBootstrap;
        for address in self.addresses() {
            let answered = match self.connection(address, Lane::COMMON).await {
                Ok(connection) => connection.call(request, self.settings.request_timeout).await,
                Err(error) => Err(error),
            };
            match answered {
                // What may have been served is for the caller to ask for again.
                Err(error) if error.is_retriable() => {
                    self.turn.set(self.turn.get().wrapping_add(1));
                    let unsent = error.is_unsent();
                    last = error;
                    if !unsent {
                        break;
                    }
                }
                answered => return answered.map(|answer| (answer, address)),
            }
        }
        Err(last)
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        let described = self.metadata.borrow();
        let mut addresses: Vec<_> =
            described.brokers.values().filter_map(|node| node.address).collect();
        let known: BTreeSet<_> = addresses.iter().copied().collect();
        let bootstrap = self.settings.bootstrap.iter().filter(|each| !known.contains(each));
        addresses.extend(bootstrap);
        if !addresses.is_empty() {
            let turn = self.turn.get() % addresses.len();
            addresses.rotate_left(turn);
        }
        addresses
    }

    /// Asks any broker about topics, `None` for all of them, and remembers the answer.
    pub(crate) async fn refresh(&self, topics: Option<&[TopicName]>) -> Result<Told, CallError> {
        self.look_up(topics, topics.is_some_and(|topics| !topics.is_empty())).await
    }

    /// As [`Self::refresh`]; `creates` says whether the cluster may make the topics on the fly.
    pub(crate) async fn look_up(
        &self,
        topics: Option<&[TopicName]>,
        creates: bool,
    ) -> Result<Told, CallError> {
        let topic = |name: &TopicName| MetadataRequestTopic {
            name: Some(name.as_str().to_owned().into()),
            ..MetadataRequestTopic::default()
        };
        let request = MetadataRequest {
            topics: topics.map(|topics| topics.iter().map(topic).collect()),
            allow_auto_topic_creation: creates,
            ..MetadataRequest::default()
        };
        let (answer, told_by) = self.call_someone(&request).await?;
        let resolve = |host: &str, port| self.resolve(host, port);
        Ok(self.metadata.borrow_mut().absorb(&answer.get(), told_by, &resolve))
    }

    fn resolve(&self, host: &str, port: u16) -> Result<SocketAddr, CallError> {
        let unresolved = || CallError::Unresolved { host: host.to_owned() };
        let known = self.settings.resolver.as_ref().and_then(|resolver| resolver(host));
        let literal = || host.trim_matches(['[', ']']).parse().ok();
        let local = || (host == "localhost").then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let ip = known.or_else(literal).or_else(local).ok_or_else(unresolved)?;
        Ok(SocketAddr::new(ip, port))
    }

    /// What is known of a topic, without asking.
    pub(crate) fn known_topic(&self, name: &TopicName) -> Option<TopicMetadata> {
        self.metadata.borrow().topics.get(name).cloned()
    }

    /// The name of a topic that is known by its id.
    pub(crate) fn name_of(&self, id: ottla_types::TopicId) -> Option<TopicName> {
        let metadata = self.metadata.borrow();
        let mut topics = metadata.topics.iter();
        topics.find(|(_, topic)| topic.id == id).map(|(name, _)| name.clone())
    }

    /// Who leads a partition, as far as is known.
    pub(crate) fn leader_of(&self, topic: &TopicName, partition: PartitionId) -> Option<i32> {
        let metadata = self.metadata.borrow();
        metadata.topics.get(topic)?.partition(partition)?.leader
    }

    /// What is known of a topic, asking if it is nothing.
    pub(crate) async fn topic(&self, name: &TopicName) -> Result<TopicMetadata, RequestError> {
        if let Some(known) = self.known_topic(name) {
            return Ok(known);
        }
        self.fresh_topic(name).await
    }

    /// Asks about a topic.
    pub(crate) async fn fresh_topic(
        &self,
        name: &TopicName,
    ) -> Result<TopicMetadata, RequestError> {
        let told = self.refresh(Some(std::slice::from_ref(name))).await?;
        let ours = told.into_iter().find(|(told, _)| told == name);
        let missing = BrokerError::of(ErrorCode::UnknownTopicOrPartition);
        Ok(ours.map_or(Err(missing), |(_, topic)| topic)?)
    }

    /// The node that coordinates a group.
    pub(crate) async fn find_coordinator(&self, group: &str) -> Result<i32, RequestError> {
        let request = FindCoordinatorRequest {
            coordinator_keys: vec![group.to_owned().into()].into(),
            ..FindCoordinatorRequest::default()
        };
        let answer = self.call_any(&request).await?;
        let answer = answer.get();
        let missing = BrokerError::of(ErrorCode::CoordinatorNotAvailable);
        let found = answer.coordinators.iter().find(|each| each.key == group).ok_or(missing)?;
        BrokerError::check_with(found.error_code, found.error_message.as_deref())?;
        let port = u16::try_from(found.port).unwrap_or(0);
        let address = Some(self.resolve(&found.host, port)?);
        let (id, host) = (found.node_id, found.host.into_owned());
        let coordinator = Node { id, host, port, rack: None, address };
        self.metadata.borrow_mut().brokers.entry(id).or_insert(coordinator);
        Ok(found.node_id)
    }

    /// What some broker serves, those that metadata has described before those to begin with.
    pub(crate) async fn versions(&self) -> Result<Versions, CallError> {
        let mut last = CallError::NoBootstrap;
        for address in self.addresses() {
            match self.connection(address, Lane::COMMON).await {
                Ok(connection) => return Ok(connection.versions().clone()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The level of a finalized feature; `None` where the cluster has none.
    pub(crate) async fn feature(&self, name: &str) -> Result<Option<i16>, CallError> {
        Ok(self.versions().await?.features().get(name).copied())
    }

    /// Whether a broker serves an API at all.
    pub(crate) async fn serves(&self, api: ApiKey) -> Result<bool, CallError> {
        Ok(self.versions().await?.common(api, api.known_versions()).is_some())
    }
}
