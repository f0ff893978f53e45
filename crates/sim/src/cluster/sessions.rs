//! A client that reads in fetch sessions (KIP-227): it names what has changed, and is answered
//! about what has.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use ottla_wire::ErrorCode;

use super::calls::{self, SessionFetch};
use super::client::{Phase, decoded};
use super::connection::Connection;
use super::consumer::Consumer;
use super::history::Partition;
use super::sometimes::{self, Event};

/// What client and node agree on.
struct Session {
    id: i32,
    /// Of the next request.
    epoch: i32,
    version: i16,
    /// The position of each partition that the node knows of.
    told: BTreeMap<Partition, i64>,
}

impl Session {
    fn new(version: i16) -> Self {
        Self { id: 0, epoch: 0, version, told: BTreeMap::new() }
    }
}

/// A reader of everything, in sessions.
pub(super) struct SessionReader {
    consumer: Consumer,
    session: Session,
    /// What it does not want to hear of for now.
    left_out: BTreeSet<Partition>,
}

impl SessionReader {
    pub(super) fn new(consumer: Consumer) -> Self {
        Self { consumer, session: Session::new(7), left_out: BTreeSet::new() }
    }

    /// Follows all partitions; once nothing new begins, to their ends.
    pub(super) async fn run(mut self) {
        let mut connection = self.consumer.client().connect().await;
        self.begin();
        loop {
            let draining = self.consumer.client().phase() == Phase::Draining;
            match self.step(&mut connection, draining).await {
                Ok(true) if draining => return,
                Ok(_) => {}
                Err(error) => {
                    self.consumer.client().on_broken(&error);
                    connection = self.consumer.client().connect().await;
                    // Kafka's consumer begins anew; whoever goes on is told if that cannot be.
                    if self.consumer.client().draws.one_in(2) {
                        self.begin();
                    }
                }
            }
            self.consumer.client().pause_ms(0, 50).await;
        }
    }

    fn begin(&mut self) {
        self.session = Session::new(*self.consumer.client().draws.pick(&[7, 11, 12, 13, 15, 17]));
    }

    /// One request; whether everything is read.
    async fn step(&mut self, connection: &mut Connection, draining: bool) -> io::Result<bool> {
        self.change_mind(draining);
        let wanted = self.wanted();
        if draining && self.is_at_the_ends(connection, &wanted).await? {
            return Ok(true);
        }
        if wanted.is_empty() && self.session.epoch == 0 {
            return Ok(false);
        }
        let starts: BTreeMap<Partition, i64> = wanted
            .keys()
            .map(|partition| (*partition, self.consumer.shown_start(*partition)))
            .collect();
        self.send(connection, &wanted);
        let answer = self.consumer.client().answer(connection).await?;
        let fetched = match decoded(calls::session_fetched(&answer))? {
            Ok(fetched) => fetched,
            Err(refused) => {
                self.on_refused(refused);
                return Ok(false);
            }
        };
        self.on_session(fetched.session_id, &wanted);
        for (topic, index, result) in fetched.partitions {
            let is = |partition: &&Partition| {
                partition.index == index && topic.is(&self.consumer.client().topic(**partition))
            };
            let Some(partition) = wanted.keys().find(is).copied() else {
                self.consumer.client().violate("a session brings what nobody wants".to_owned());
                continue;
            };
            let place = (wanted[&partition], starts[&partition]);
            self.consumer.on_answered(connection, partition, place, result).await?;
        }
        Ok(false)
    }

    /// Now and then a partition is left out of the session for a while.
    fn change_mind(&mut self, draining: bool) {
        let client = self.consumer.client();
        if draining || client.draws.one_in(10) {
            self.left_out.clear();
        } else if client.draws.one_in(10) {
            self.left_out.extend(client.any_partition());
        }
    }

    /// Where to read on, of all that is wanted.
    fn wanted(&self) -> BTreeMap<Partition, i64> {
        let mut partitions = self.consumer.client().shared.history.borrow().sound_partitions();
        partitions.retain(|partition| !self.left_out.contains(partition));
        partitions.into_iter().map(|each| (each, self.consumer.position(each))).collect()
    }

    async fn is_at_the_ends(
        &mut self,
        connection: &mut Connection,
        wanted: &BTreeMap<Partition, i64>,
    ) -> io::Result<bool> {
        let mut all = true;
        for (partition, position) in wanted {
            let end = self.consumer.ask_for_the_end(connection, *partition).await?;
            all &= end.is_some_and(|end| *position >= end);
        }
        Ok(all)
    }

    fn send(&self, connection: &mut Connection, wanted: &BTreeMap<Partition, i64>) {
        let (client, session) = (self.consumer.client(), &self.session);
        let history = client.shared.history.borrow();
        let news = wanted.iter().filter(|(partition, at)| session.told.get(partition) != Some(*at));
        let forgotten = session.told.keys().filter(|partition| !wanted.contains_key(partition));
        let request = SessionFetch {
            id: session.id,
            epoch: session.epoch,
            max_wait_ms: *client.draws.pick(&[0, 10, 100, 500]),
            isolation_level: *client.draws.pick(&[0, 1]),
            max_bytes: *client.draws.pick(&[1, 3_000, 1 << 20]),
            wanted: news
                .map(|(each, at)| (&history.topics()[each.topic], each.index, *at))
                .collect(),
            forgotten: forgotten.map(|each| (&history.topics()[each.topic], each.index)).collect(),
        };
        calls::fetch_in_session(connection, session.version, &request);
    }

    fn on_session(&mut self, id: i32, told: &BTreeMap<Partition, i64>) {
        if id == 0 {
            // The node has no session to give: the next request names everything again.
            self.begin();
        } else {
            if self.session.id == id {
                sometimes::happens(Event::IncrementalFetch);
            }
            self.session.id = id;
            self.session.epoch += 1;
            self.session.told.clone_from(told);
        }
    }

    /// The session is over; what else can be wrong with a request that names what there is?
    fn on_refused(&mut self, refused: calls::Refused) {
        if refused.is(ErrorCode::FetchSessionIdNotFound) {
            sometimes::happens(Event::SessionGone);
        }
        self.consumer.client().expect_retriable("a fetch in a session", refused);
        self.begin();
    }
}
