//! A node: everything above, hosted.

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ottla_env::{Env, Listener as Accepting, Socket};

use crate::admission::{Admission, Admitted};
use crate::api::TABLE;
use crate::broker::{Broker, Listening, Role};
use crate::config::{Listener, LiveConfig, NodeConfig};
use crate::connection::{Closed, Connection, Ended, Luggage, RequestMemory};
use crate::controller::{ControllerHost, HostError};
use crate::fetch_session::FetchSessions;
use crate::groups::{Groups, ShardKeeper};
use crate::identity::{Identity, IdentityError};
use crate::lanes::lane_of;
use crate::partition::{
    Cleaner, LogDirectory, LogsClosed, PartitionHost, Partitions, SpaceWatch, enforce_retention,
    run_checkpoints, run_space_watch, run_syncer,
};
use crate::placement::{Place, Placement};
use crate::producer_ids::ProducerIds;
use crate::publisher::ConfigsFirst;
use crate::stopping::{Running, Stopping};
use crate::watch::{Counters, Refusal, Watch};

/// How long to wait before accepting again when the system refused: it has run out of something
/// that the end of other connections gives back.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How often producers are looked through: Kafka's `producer.id.expiration.check.interval.ms`.
const PRODUCERS_EXPIRE_EVERY: Duration = Duration::from_mins(10);

/// How soon logs to compact are looked for again at the earliest, whatever
/// `log.cleaner.backoff.ms` says.
const COMPACTION_PAUSE_MIN: Duration = Duration::from_millis(10);

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {listener}: {error}{}", cure(.error))]
    Listen { listener: Listener, error: io::Error },
    #[error("the system gives no signals: {0}")]
    Signals(io::Error),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("cannot start from the data folder: {why}{cure}", why = .0, cure = .0.cure())]
    Controller(#[from] HostError),
}

impl StartError {
    fn storage(config: &NodeConfig) -> impl Fn(io::Error) -> Self {
        let folder = config.log_dir.display().to_string();
        move |error| IdentityError::Storage { folder: folder.clone(), error }.into()
    }
}

fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program listens there: stop it, or choose another port with \
             --override listeners=PLAINTEXT://127.0.0.1:PORT,CONTROLLER://127.0.0.1:PORT"
        }
        io::ErrorKind::AddrNotAvailable => {
            "; this machine has no such address: listen on one that it has, or on all of them \
             with an empty host"
        }
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need a privilege: choose a higher one with --override listeners=…"
        }
        _ => "",
    }
}

/// A running node, broker and controller in one.
#[derive(Debug)]
pub struct Node {
    broker: Arc<Broker>,
    directory: Arc<LogDirectory>,
    listeners: Vec<Listener>,
    stopping: Arc<Stopping>,
    host: ControllerHost,
    /// Held as long as the node runs: another process must not open its folder.
    _identity: Identity,
}

impl Node {
    /// Starts a node, on loop 0: it serves when this returns. An empty folder is formatted.
    ///
    /// # Errors
    /// When an address is taken, the folder is another cluster's or in use, or a log cannot be
    /// read.
    pub async fn start(env: Env, config: NodeConfig) -> Result<Self, StartError> {
        let identity = Identity::establish(&env, &config).await?;
        let bound = bind_all(&env, &config)?;
        let listeners: Vec<Listener> = bound.iter().map(|bound| bound.listener.clone()).collect();
        let space = SpaceWatch::new(&config.log_dir, config.log_dir_reserve_bytes);
        let room = space.begin(&env).await;
        let directory = LogDirectory::open(&env, &config.log_dir, config.durability, space).await;
        let directory = Arc::new(directory.map_err(StartError::storage(&config))?);
        let partitions = Arc::new(Partitions::new(Arc::clone(&directory)));
        env.spawn.spawn("syncer", Box::pin(run_syncer(env.clone(), Arc::clone(&directory))));
        let pace = config.logs.checkpoints;
        let checkpoints = run_checkpoints(env.clone(), Arc::clone(&directory), pace);
        env.spawn.spawn("checkpoints", Box::pin(checkpoints));
        let watch = run_space_watch(env.clone(), Arc::clone(&directory), room);
        env.spawn.spawn("space", Box::pin(watch));
        let stopping = Arc::new(Stopping::default());
        let (groups, live) = (Groups::new(), Arc::new(LiveConfig::new(config.clone())));
        let keeper = ShardKeeper {
            env: env.clone(),
            partitions: Arc::clone(&partitions),
            groups: Arc::clone(&groups),
            live: Arc::clone(&live),
            stopping: Arc::clone(&stopping),
        };
        let then = PartitionHost::start(&env, Arc::clone(&live), Arc::clone(&partitions));
        let then = keeper.start(then);
        let publisher = ConfigsFirst { config: Arc::clone(&live), then };
        let sync_failed = directory.last_stop().sync_has_failed();
        let publisher = Box::new(publisher);
        let host =
            ControllerHost::start(&env, &config, &identity, &listeners, sync_failed, publisher);
        let (host, controller, metadata) = host.await?;
        let fetch_sessions = FetchSessions::new(config.fetch_session_slots);
        let request_memory = memory_of(&config);
        let named = listeners.iter().map(|listener| listener.name.clone());
        let counters =
            Counters::new(env.clock.wall(), env.spawn.loops(), TABLE.len(), named.collect());
        let broker = Arc::new(Broker {
            env,
            config,
            live,
            metadata,
            controller,
            partitions,
            producer_ids: ProducerIds::default(),
            fetch_sessions,
            groups,
            counters,
            clients: Arc::default(),
            request_memory,
        });
        let expire = expire_producers(Arc::clone(&broker), stopping.enter());
        broker.env.spawn.spawn("producers", Box::pin(expire));
        let retain = retain(Arc::clone(&broker), stopping.enter());
        broker.env.spawn.spawn("retention", Box::pin(retain));
        let compact = compact(Arc::clone(&broker), stopping.enter());
        broker.env.spawn.spawn("compaction", Box::pin(compact));
        accept_all(&broker, &stopping, bound);
        Ok(Self { broker, directory, listeners, stopping, host, _identity: identity })
    }

    /// The node's listeners, with the ports that they were given.
    #[must_use]
    pub fn listeners(&self) -> Vec<Listener> {
        self.listeners.clone()
    }

    /// What the node tells whoever watches it.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch::new(&self.broker, &self.stopping)
    }

    /// Stops the node: connections end, and all that was appended is made durable.
    pub async fn stop(self) {
        self.stopping.begin();
        // Whoever still appends would do so behind the last sync.
        self.stopping.all_ended().await;
        let (env, directory) = (&self.broker.env, &self.directory);
        let closed = match directory.close(env, &self.broker.partitions).await {
            Ok(closed) => closed,
            Err(error) => return directory.fail(env, &error.to_string()).await,
        };
        let epoch = self.host.broker_epoch();
        self.host.stop().await;
        if closed == LogsClosed::InPart {
            tracing::warn!("no space to close the logs: the next start reads more than it would");
            return;
        }
        // Last of all: it says that everything else is as it should be.
        if let Err(error) = directory.last_stop().on_stopped(env, epoch).await {
            tracing::warn!(%error, "the next start will read what it need not have read");
        }
    }
}

/// Deletes records that need not be kept any longer, now and then.
async fn retain(broker: Arc<Broker>, running: Running) {
    let (env, logs) = (&broker.env, &broker.config.logs);
    let mut pause = logs.initial_task_delay;
    while running.or(env.clock.sleep(pause)).await.is_some() {
        let goes_on = || !running.is_over();
        enforce_retention(env, &broker.partitions, goes_on).await;
        pause = logs.retention_check_interval;
    }
}

/// Compacts logs, now and then.
async fn compact(broker: Arc<Broker>, running: Running) {
    let (env, mut cleaner) = (&broker.env, Cleaner::default());
    if !broker.config.logs.cleaner.enabled {
        return;
    }
    loop {
        let pause = broker.live.load().logs.cleaner.backoff.max(COMPACTION_PAUSE_MIN);
        if running.or(env.clock.sleep(pause)).await.is_none() {
            return;
        }
        let settings = broker.live.load().logs.cleaner;
        let goes_on = || !running.is_over();
        cleaner.run_once(env, &broker.partitions, settings, &goes_on).await;
    }
}

/// Forgets producers that have been silent, now and then; at first those that were read again at
/// the start.
async fn expire_producers(broker: Arc<Broker>, running: Running) {
    let clock = &broker.env.clock;
    loop {
        let idle = broker.live.load().producer_expiration;
        broker.partitions.expire_producers(clock.wall(), idle);
        if running.or(clock.sleep(PRODUCERS_EXPIRE_EVERY)).await.is_none() {
            return;
        }
    }
}

fn memory_of(config: &NodeConfig) -> Arc<RequestMemory> {
    let limits = &config.connections;
    RequestMemory::new(limits.memory_bytes_max, limits.request_bytes_max)
}

/// Begins to take connections on all listeners.
fn accept_all(broker: &Arc<Broker>, stopping: &Arc<Stopping>, bound: Vec<Bound>) {
    let placement = Placement::new(broker.env.spawn.loops(), broker.env.clock.mono());
    let placement = Arc::new(placement);
    let descriptors = broker.env.process.descriptors_max();
    // A crowd of clients must not keep controllers out.
    let [clients, controllers] = [(); 2].map(|()| Admission::new(descriptors));
    for Bound { accepting, listening, .. } in bound {
        let admission = match listening.role {
            Role::Broker => Arc::clone(&clients),
            Role::Controller => Arc::clone(&controllers),
        };
        let broker_too = Arc::clone(broker);
        let serving = Serving { broker: broker_too, listening, running: stopping.enter() };
        let accept = Accept { serving, admission, placement: Arc::clone(&placement) };
        broker.env.spawn.spawn("accept", Box::pin(accept.run(accepting)));
    }
}

struct Bound {
    listener: Listener,
    listening: Arc<Listening>,
    accepting: Box<dyn Accepting>,
}

fn bind_all(env: &Env, config: &NodeConfig) -> Result<Vec<Bound>, StartError> {
    let brokers = config.broker_listeners.iter().map(|listener| (listener, Role::Broker));
    let controllers = config.controller_listeners.iter().map(|l| (l, Role::Controller));
    brokers.chain(controllers).map(|(listener, role)| bind(env, listener, role)).collect()
}

fn bind(env: &Env, listener: &Listener, role: Role) -> Result<Bound, StartError> {
    let refused = |error| StartError::Listen { listener: listener.clone(), error };
    let address = listener.address().map_err(|why| refused(io::Error::other(why)))?;
    let accepting = env.net.listen(address).map_err(refused)?;
    let listener = Listener { port: accepting.local_address().port(), ..listener.clone() };
    let listening = Arc::new(Listening { name: listener.name.clone(), role });
    Ok(Bound { listener, listening, accepting })
}

/// Takes the connections of one listener.
struct Accept {
    serving: Serving,
    admission: Arc<Admission>,
    placement: Arc<Placement>,
}

/// What it takes to serve a connection, wherever that is.
struct Serving {
    broker: Arc<Broker>,
    listening: Arc<Listening>,
    running: Running,
}

/// What a connection has for as long as it lives: a loop, and a number among all.
struct Seat {
    place: Place,
    admitted: Admitted,
}

impl Accept {
    async fn run(self, mut accepting: Box<dyn Accepting>) {
        let Serving { broker, listening, running } = &self.serving;
        while let Some(accepted) = running.or(accepting.accept()).await {
            match accepted {
                Ok(socket) => {
                    if !self.admission.wait(&broker.env.clock, &broker.live, running).await {
                        return;
                    }
                    self.admit(socket);
                }
                Err(error) => {
                    tracing::warn!(listener = %listening.name, %error, "accept failed");
                    let pause = broker.env.clock.sleep(ACCEPT_RETRY);
                    let _stopped = running.or(pause).await;
                }
            }
        }
    }

    /// Takes the connection, or closes it.
    fn admit(&self, socket: Box<dyn Socket>) {
        let Broker { env, live, .. } = &*self.serving.broker;
        let config = live.load();
        match self.admission.admit(socket.peer_address().ip(), &config.connections) {
            Ok(admitted) => {
                let place = self.placement.admit(&*env.spawn, env.clock.mono());
                self.serving.again().hand_over(socket, None, Seat { place, admitted });
            }
            // Once for each of them would fill the disk with complaints.
            Err(why) => {
                self.serving.broker.counters.on_refused(Refusal::Limit);
                tracing::debug!(listener = %self.serving.listening.name, %why, "not admitted");
            }
        }
    }
}

impl Serving {
    /// For another connection.
    fn again(&self) -> Self {
        let Self { broker, listening, running } = self;
        let (broker, listening) = (Arc::clone(broker), Arc::clone(listening));
        Self { broker, listening, running: running.again() }
    }

    /// Gives a connection to the loop of its place.
    fn hand_over(self, socket: Box<dyn Socket>, luggage: Option<Box<Luggage>>, seat: Seat) {
        let (spawn, on) = (Arc::clone(&self.broker.env.spawn), seat.place.on());
        let make = move || -> ottla_env::Task { Box::pin(self.serve(socket, luggage, seat)) };
        spawn.spawn_on(on, "connection", Box::new(make));
    }

    async fn serve(self, socket: Box<dyn Socket>, luggage: Option<Box<Luggage>>, seat: Seat) {
        let Seat { place, admitted } = seat;
        let peer = socket.peer_address();
        let stream = match socket.into_stream() {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%peer, %error, "connection refused");
                return;
            }
        };
        let (broker, listening) = (Arc::clone(&self.broker), Arc::clone(&self.listening));
        let lane = lane_of(&self.broker);
        let counters = &self.broker.counters;
        let mut open = counters.connected(&listening.name, place.on(), luggage.is_none());
        let mut connection = Connection::new(broker, listening, peer.ip(), lane, stream);
        if let Some(luggage) = luggage {
            connection = connection.with(luggage);
        }
        let mut next = None;
        let leaves = |now| {
            next = place.next(&*self.broker.env.spawn, now);
            next.is_some()
        };
        match self.running.or(connection.run(leaves)).await {
            None | Some(Ended::Closed(Closed::ByPeer)) => {}
            Some(Ended::Closed(Closed::Broken(error))) => {
                tracing::debug!(%peer, %error, "connection broken");
            }
            Some(Ended::Closed(
                closed @ (Closed::FrameLength(_) | Closed::Refused(_) | Closed::Late(_)),
            )) => {
                match closed {
                    Closed::FrameLength(_) => counters.on_refused(Refusal::FrameLength),
                    Closed::Refused(_) => counters.on_refused(Refusal::Request),
                    Closed::Late(_) => counters.on_refused(Refusal::Late),
                    Closed::ByPeer | Closed::Broken(_) => {}
                }
                // Whoever sends garbage must not fill the disk with our complaints.
                tracing::debug!(%peer, why = %closed, "connection closed");
            }
            Some(Ended::Leaves(socket, luggage)) => {
                let next = next.expect("it leaves for a place");
                open.leaves();
                drop(open);
                drop(place);
                self.hand_over(socket, Some(luggage), Seat { place: next, admitted });
            }
        }
    }
}
