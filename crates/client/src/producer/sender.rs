//! Sending batches, and sending them again.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use ottla_env::{Mono, Reply};
use ottla_types::{Offset, ProducerEpoch, ProducerId, Timestamp, TopicName, TopicPartition, Uuid};
use ottla_wire::ErrorCode;
use ottla_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_wire::messages::{InitProducerIdRequest, ProduceRequest};
use tokio::sync::OwnedSemaphorePermit;

use super::batch::{Batch, State};
use super::queue::{Identity, Next, Queue};
use super::{Acks, Delivered, ProduceError, Record, Settings};
use crate::cluster::{Cluster, Lane};
use crate::error::{BrokerError, CallError, RequestError};
use crate::wait::{self, Bell};

/// Bytes of one request, unless one batch alone is larger.
const REQUEST_BYTES: usize = 1 << 20;

/// The longest pause between two tries.
const PAUSE_MAX: std::time::Duration = std::time::Duration::from_secs(1);

/// What a producer and its sender share.
pub(super) struct Shared {
    pub(super) cluster: Rc<Cluster>,
    pub(super) settings: Settings,
    pub(super) bell: Bell,
    queues: RefCell<BTreeMap<TopicPartition, Queue>>,
    serials: Cell<u64>,
    /// How many wait for everything to be gone.
    flushing: Cell<u32>,
    closed: Cell<bool>,
}

/// A batch in a request.
struct Sent {
    to: TopicPartition,
    topic_id: Uuid,
    serial: u64,
    bytes: Bytes,
}

impl Sent {
    fn data(&self) -> PartitionProduceData<'_> {
        PartitionProduceData {
            index: self.to.partition.get(),
            records: Some(self.bytes.as_ref().into()),
            ..PartitionProduceData::default()
        }
    }
}

fn topic_data<'a>((name, sent): (&TopicName, Vec<&'a Sent>)) -> TopicProduceData<'a> {
    TopicProduceData {
        name: name.to_string().into(),
        topic_id: sent.first().map_or(Uuid::ZERO, |each| each.topic_id),
        partition_data: sent.iter().map(|each| each.data()).collect(),
        ..TopicProduceData::default()
    }
}

/// What became of one batch.
enum Outcome {
    Written { offset: Option<Offset>, at: Option<Timestamp> },
    Refused(BrokerError),
    Unanswered(CallError),
}

type Flight = Pin<Box<dyn Future<Output = Landed>>>;

/// What the sender waits for.
enum Landed {
    Batches { node: i32, outcomes: Vec<(TopicPartition, u64, Outcome)> },
    Identity(Result<Identity, RequestError>),
    Metadata,
}

impl Shared {
    pub(super) fn new(cluster: Rc<Cluster>, settings: Settings) -> Self {
        Self {
            cluster,
            settings,
            bell: Bell::default(),
            queues: RefCell::default(),
            serials: Cell::new(0),
            flushing: Cell::new(0),
            closed: Cell::new(false),
        }
    }

    /// Puts a record into the newest batch of its partition, or into a new one.
    pub(super) fn take(
        &self,
        to: TopicPartition,
        record: &Record,
        timestamp: Timestamp,
        (memory, reply): (OwnedSemaphorePermit, Reply<Result<Delivered, ProduceError>>),
    ) {
        let now = self.cluster.now();
        let mut queues = self.queues.borrow_mut();
        let batches = &mut queues.entry(to).or_default().batches;
        let room = |batch: &&mut Batch| {
            batch.state == State::Open
                && batch.size() + record.size() <= self.settings.batch_bytes
                && batch.count() < i32::MAX
        };
        if let Some(batch) = batches.back_mut().filter(room) {
            batch.push(record, timestamp, Some(memory), reply);
        } else {
            let serial = self.next_serial();
            let deadline = now.after(self.settings.delivery_timeout);
            let compression = self.settings.compression;
            let mut batch = Batch::new(serial, compression, memory, (now, deadline));
            batch.push(record, timestamp, None, reply);
            // What is behind it is full.
            if let Some(full) = batches.back_mut().filter(|batch| batch.state == State::Open) {
                full.state = State::Waiting;
            }
            batches.push_back(batch);
        }
        drop(queues);
        self.bell.ring();
    }

    /// Tells a batch from all others of this producer.
    pub(super) fn next_serial(&self) -> u64 {
        let serial = self.serials.get();
        self.serials.set(serial + 1);
        serial
    }

    /// When a batch that is made now is late.
    pub(super) fn now_and_deadline(&self) -> (Mono, Mono) {
        let now = self.cluster.now();
        (now, now.after(self.settings.delivery_timeout))
    }

    /// Puts a batch that takes no more records behind all others of its partition.
    pub(super) fn take_batch(&self, to: TopicPartition, batch: Batch) {
        let mut queues = self.queues.borrow_mut();
        let batches = &mut queues.entry(to).or_default().batches;
        // What is behind it is full.
        if let Some(full) = batches.back_mut().filter(|batch| batch.state == State::Open) {
            full.state = State::Waiting;
        }
        batches.push_back(batch);
        drop(queues);
        self.bell.ring();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queues.borrow().values().all(|queue| queue.batches.is_empty())
    }

    pub(super) fn begin_flush(&self) {
        self.flushing.set(self.flushing.get() + 1);
        self.bell.ring();
    }

    pub(super) fn end_flush(&self) {
        self.flushing.set(self.flushing.get() - 1);
    }

    pub(super) fn close(&self) {
        self.closed.set(true);
        self.bell.ring();
    }
}

/// Starts the sender of a producer.
pub(super) fn start(shared: &Rc<Shared>) {
    let sender = Sender {
        lane: shared.cluster.new_lane(),
        shared: Rc::clone(shared),
        identity: None,
        identifying: false,
        refreshing: false,
        stale: BTreeSet::new(),
        flights: Vec::new(),
        nodes: BTreeMap::new(),
    };
    shared.cluster.env.spawn.spawn("client sender", Box::pin(sender.run()));
}

struct Sender {
    shared: Rc<Shared>,
    lane: Lane,
    identity: Option<Identity>,
    identifying: bool,
    refreshing: bool,
    /// Topics whose leaders are to be asked for.
    stale: BTreeSet<TopicName>,
    /// In the order in which they began, which is the order of their requests.
    flights: Vec<Flight>,
    /// Requests under way to each node.
    nodes: BTreeMap<i32, usize>,
}

impl Sender {
    async fn run(mut self) {
        loop {
            let seen = self.shared.bell.rings();
            if self.shared.closed.get() {
                break;
            }
            let now = self.shared.cluster.now();
            self.expire(now);
            let wake = self.send_all(now);
            let clock = std::sync::Arc::clone(&self.shared.cluster.env.clock);
            let shared = Rc::clone(&self.shared);
            let landed = {
                let flights = &mut self.flights;
                let landed = poll_fn(|cx| {
                    for at in 0..flights.len() {
                        if let Poll::Ready(landed) = flights[at].as_mut().poll(cx) {
                            drop(flights.remove(at));
                            return Poll::Ready(landed);
                        }
                    }
                    Poll::Pending
                });
                let until = wake.unwrap_or(Mono::from_nanos(u64::MAX));
                let told = wait::first(landed, shared.bell.rung_since(seen));
                wait::until(&*clock, until, told).await
            };
            if let Some(wait::First::Left(landed)) = landed {
                self.on_landed(landed);
            }
        }
        for queue in std::mem::take(&mut *self.shared.queues.borrow_mut()).into_values() {
            queue.batches.into_iter().for_each(|batch| batch.fail(&ProduceError::Closed));
        }
        self.shared.cluster.close_lane(self.lane);
    }

    fn is_idempotent(&self) -> bool {
        self.shared.settings.acks == Acks::All
    }

    /// Gives up what has taken too long, except for what is under way.
    fn expire(&self, now: Mono) {
        let mut failed = Vec::new();
        for (to, queue) in &mut *self.shared.queues.borrow_mut() {
            while let Some(at) = queue
                .batches
                .iter()
                .position(|batch| !batch.is_in_flight() && batch.deadline <= now)
            {
                let Some(batch) = queue.give_up(at) else { break };
                failed.push((to.clone(), batch));
            }
        }
        for (to, batch) in failed {
            self.fail_late(to, batch);
        }
    }

    fn fail_late(&self, partition: TopicPartition, batch: Batch) {
        let within = self.shared.settings.delivery_timeout;
        let maybe_written = batch.uncertain;
        batch.fail(&ProduceError::TimedOut { partition, within, maybe_written });
        self.shared.bell.ring();
    }

    /// Sends what may go; when to look again at the latest.
    fn send_all(&mut self, now: Mono) -> Option<Mono> {
        let mut wake: Option<Mono> = None;
        let mut soon = |at: Mono| wake = Some(wake.map_or(at, |before| before.min(at)));
        let mut ready: BTreeMap<i32, Vec<(TopicPartition, usize)>> = BTreeMap::new();
        let shared = Rc::clone(&self.shared);
        let mut queues = shared.queues.borrow_mut();
        let mut spent = None;
        for (to, queue) in &mut *queues {
            queue
                .batches
                .iter()
                .filter(|batch| !batch.is_in_flight())
                .for_each(|batch| soon(batch.deadline));
            if let (Next::Identity { spent: Some(old) }, Some(identity)) =
                (self.next_of(queue, now), self.identity)
                && old == identity.id
            {
                spent = Some(old);
            } else if let (Next::Identity { .. }, Some(identity)) =
                (self.next_of(queue, now), self.identity)
            {
                queue.identify(identity);
            }
            match self.next_of(queue, now) {
                Next::Nothing => {}
                Next::At(at) => soon(at),
                Next::Identity { .. } => self.begin_identifying(spent),
                Next::Send(at) => match self.shared.cluster.leader_of(&to.topic, to.partition) {
                    Some(leader) => ready.entry(leader).or_default().push((to.clone(), at)),
                    None => drop(self.stale.insert(to.topic.clone())),
                },
            }
        }
        for (node, batches) in ready {
            self.send_to(node, batches, &mut queues);
        }
        self.begin_refreshing();
        wake
    }

    fn next_of(&self, queue: &Queue, now: Mono) -> Next {
        let hurry = self.shared.flushing.get() > 0;
        let settings = &self.shared.settings;
        let ripe = |batch: &Batch| {
            let full = batch.size() >= settings.batch_bytes;
            let at = batch.created.after(settings.linger);
            (!full && !hurry && at > now).then_some(at)
        };
        queue.next(now, self.is_idempotent(), ripe)
    }

    /// Sends one request to a node with one batch for each partition, as far as they fit.
    fn send_to(
        &mut self,
        node: i32,
        ready: Vec<(TopicPartition, usize)>,
        queues: &mut BTreeMap<TopicPartition, Queue>,
    ) {
        let under_way = self.nodes.get(&node).copied().unwrap_or(0);
        // While a connection is being made, requests could overtake each other.
        if under_way > 0 && !self.shared.cluster.is_connected(node, self.lane) {
            return;
        }
        let (mut sent, mut size) = (Vec::new(), 0);
        for (to, at) in ready {
            let Some(queue) = queues.get_mut(&to) else { continue };
            let Some(topic) = self.shared.cluster.known_topic(&to.topic) else { continue };
            let len = queue.batches[at].size();
            if !sent.is_empty() && size + len > REQUEST_BYTES {
                break;
            }
            let stamp = if self.is_idempotent() { queue.stamp(at) } else { None };
            let batch = &mut queue.batches[at];
            let bytes = batch.seal(stamp);
            batch.state = State::InFlight { alone: at == 0 };
            size += len;
            sent.push(Sent { to, topic_id: topic.id, serial: batch.serial, bytes });
        }
        if sent.is_empty() {
            return;
        }
        *self.nodes.entry(node).or_default() += 1;
        let (cluster, lane) = (Rc::clone(&self.shared.cluster), self.lane);
        let acks = self.shared.settings.acks;
        self.flights.push(Box::pin(async move {
            let outcomes = produce(&cluster, (node, lane), acks, &sent).await;
            let outcomes = sent.into_iter().zip(outcomes);
            let outcomes =
                outcomes.map(|(sent, outcome)| (sent.to, sent.serial, outcome)).collect();
            Landed::Batches { node, outcomes }
        }));
    }

    fn begin_identifying(&mut self, spent: Option<ProducerId>) {
        let usable = self.identity.is_some_and(|identity| Some(identity.id) != spent);
        if self.identifying || usable {
            return;
        }
        self.identifying = true;
        let cluster = Rc::clone(&self.shared.cluster);
        self.flights.push(Box::pin(async move { Landed::Identity(identify(&cluster).await) }));
    }

    fn begin_refreshing(&mut self) {
        if self.refreshing || self.stale.is_empty() {
            return;
        }
        self.refreshing = true;
        let topics: Vec<TopicName> = std::mem::take(&mut self.stale).into_iter().collect();
        let cluster = Rc::clone(&self.shared.cluster);
        self.flights.push(Box::pin(async move {
            // What cannot be learned now is asked for again when it is needed.
            drop(cluster.refresh(Some(&topics)).await);
            cluster.back_off(0).await;
            Landed::Metadata
        }));
    }

    fn on_landed(&mut self, landed: Landed) {
        match landed {
            Landed::Metadata => self.refreshing = false,
            Landed::Identity(identity) => {
                self.identifying = false;
                match identity {
                    Ok(identity) => self.identity = Some(identity),
                    Err(error) => self.on_unidentified(&error),
                }
            }
            Landed::Batches { node, outcomes } => {
                let under_way = self.nodes.entry(node).or_default();
                *under_way = under_way.saturating_sub(1);
                for (to, serial, outcome) in outcomes {
                    self.on_outcome(&to, serial, outcome);
                }
                self.shared.bell.ring();
            }
        }
    }

    /// No broker gives out a producer id, and none will: nothing can be written.
    fn on_unidentified(&self, error: &RequestError) {
        if error.is_retriable() {
            return;
        }
        for (to, queue) in &mut *self.shared.queues.borrow_mut() {
            for batch in queue.batches.drain(..) {
                batch
                    .fail(&ProduceError::Lookup { topic: to.topic.clone(), source: error.clone() });
            }
        }
        self.shared.bell.ring();
    }

    fn on_outcome(&mut self, to: &TopicPartition, serial: u64, outcome: Outcome) {
        let now = self.shared.cluster.now();
        let shared = Rc::clone(&self.shared);
        let mut queues = shared.queues.borrow_mut();
        let Some(queue) = queues.get_mut(to) else { return };
        let Some(at) = queue.position(serial) else { return };
        let alone = queue.batches[at].state == State::InFlight { alone: true };
        queue.batches[at].state = State::Waiting;
        match outcome {
            Outcome::Written { offset, at: time } => {
                let batch = queue.on_written(at);
                drop(queues);
                batch.into_iter().for_each(|batch| batch.deliver(to, offset, time));
            }
            Outcome::Unanswered(error) => {
                queue.batches[at].uncertain |= !error.is_unsent();
                if error.is_retriable() {
                    self.stale.insert(to.topic.clone());
                    self.again(queue, at, now);
                } else if let Some(batch) = queue.give_up(at) {
                    batch.fail(&ProduceError::Call { partition: to.clone(), source: error });
                }
            }
            Outcome::Refused(error) => self.on_refused((to, queue, at), &error, (alone, now)),
        }
    }

    fn on_refused(
        &mut self,
        (to, queue, at): (&TopicPartition, &mut Queue, usize),
        error: &BrokerError,
        (alone, now): (bool, Mono),
    ) {
        if error.is_stale_metadata() {
            self.stale.insert(to.topic.clone());
        }
        let late = queue.batches[at].deadline <= now;
        match error.code() {
            // It was written, and the broker has forgotten where.
            Some(ErrorCode::DuplicateSequenceNumber) => {
                let batch = queue.on_written(at);
                batch.into_iter().for_each(|batch| batch.deliver(to, None, None));
            }
            Some(ErrorCode::OutOfOrderSequenceNumber) if !alone => self.again(queue, at, now),
            Some(
                ErrorCode::UnknownProducerId
                | ErrorCode::InvalidProducerEpoch
                | ErrorCode::OutOfOrderSequenceNumber,
            ) if queue.is_broken() || !error.is(ErrorCode::OutOfOrderSequenceNumber) => {
                queue.on_refused_number();
                self.again(queue, at, now);
            }
            _ if error.is_retriable() && !late => {
                queue.batches[at].uncertain |= error.is(ErrorCode::RequestTimedOut)
                    || error.is(ErrorCode::NotEnoughReplicasAfterAppend);
                self.again(queue, at, now);
            }
            _ => {
                // That is behind a batch which the broker has lost: none of it was written.
                if error.is(ErrorCode::OutOfOrderSequenceNumber) {
                    queue.on_refused_number();
                }
                let batch = queue.give_up(at);
                let error = ProduceError::Refused { partition: to.clone(), source: error.clone() };
                batch.into_iter().for_each(|batch| batch.fail(&error));
            }
        }
    }

    /// The batch at a place is sent again, a bit later each time.
    #[expect(clippy::unused_self, reason = "it is one of the sender's verbs")]
    fn again(&self, queue: &mut Queue, at: usize, now: Mono) {
        let batch = &mut queue.batches[at];
        let pause = std::time::Duration::from_millis(20) * (1 << batch.tries.min(8));
        batch.tries += 1;
        batch.not_before = now.after(pause.min(PAUSE_MAX));
    }
}

async fn identify(cluster: &Cluster) -> Result<Identity, RequestError> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: 60_000,
        ..InitProducerIdRequest::default()
    };
    let mut tries = 0;
    loop {
        let answered = async {
            let answer = cluster.call_any(&request).await?;
            let answer = answer.get();
            BrokerError::check(answer.error_code)?;
            let id = ProducerId::from_wire(answer.producer_id);
            let epoch = ProducerEpoch::from_wire(answer.producer_epoch);
            let nonsense = BrokerError::of(ErrorCode::UnknownServerError);
            Ok(id.zip(epoch).map(|(id, epoch)| Identity { id, epoch }).ok_or(nonsense)?)
        };
        match answered.await {
            Err(error) if RequestError::is_retriable(&error) => cluster.back_off(tries).await,
            answered => return answered,
        }
        tries += 1;
    }
}

/// Sends batches to a node; what became of each, in their order.
async fn produce(
    cluster: &Cluster,
    (node, lane): (i32, Lane),
    acks: Acks,
    sent: &[Sent],
) -> Vec<Outcome> {
    let mut topics: BTreeMap<&TopicName, Vec<&Sent>> = BTreeMap::new();
    for each in sent {
        topics.entry(&each.to.topic).or_default().push(each);
    }
    let timeout = cluster.settings.request_timeout;
    let request = ProduceRequest {
        acks: acks.to_wire(),
        timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
        topic_data: topics.into_iter().map(topic_data).collect(),
        ..ProduceRequest::default()
    };
    let connected = match cluster.address_of(node) {
        Ok(address) => cluster.connection(address, lane).await,
        Err(error) => Err(error),
    };
    let unanswered =
        |error: &CallError| sent.iter().map(|_| Outcome::Unanswered(error.clone())).collect();
    let connection = match connected {
        Ok(connection) => connection,
        Err(error) => return unanswered(&error),
    };
    if acks == Acks::None {
        let written = || Outcome::Written { offset: None, at: None };
        return match connection.tell(&request, timeout).await {
            Ok(()) => sent.iter().map(|_| written()).collect(),
            Err(error) => unanswered(&error),
        };
    }
    // The broker itself may wait as long as it is told to.
    match connection.call(&request, timeout * 2).await {
        Ok(answer) => sent.iter().map(|each| outcome_of(each, &answer.get())).collect(),
        Err(error) => unanswered(&error),
    }
}

fn outcome_of(sent: &Sent, answer: &ottla_wire::messages::ProduceResponse<'_>) -> Outcome {
    let ours = |topic: &ottla_wire::messages::produce_response::TopicProduceResponse<'_>| {
        if topic.name.is_empty() {
            topic.topic_id == sent.topic_id
        } else {
            topic.name == sent.to.topic.as_str()
        }
    };
    let partition = answer.responses.iter().filter(ours).find_map(|topic| {
        topic.partition_responses.iter().find(|each| each.index == sent.to.partition.get())
    });
    let Some(partition) = partition else {
        return Outcome::Refused(BrokerError::of(ErrorCode::UnknownServerError));
    };
    match BrokerError::check_with(partition.error_code, partition.error_message.as_deref()) {
        Ok(()) => Outcome::Written {
            offset: Offset::from_wire(partition.base_offset),
            at: Timestamp::from_wire(partition.log_append_time_ms),
        },
        Err(error) => Outcome::Refused(error),
    }
}
