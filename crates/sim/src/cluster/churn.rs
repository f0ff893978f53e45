//! A client that makes a topic, writes to it and deletes it, under the same name again and again.

use std::collections::BTreeSet;
use std::io;

use ottla_records::{BatchBuilder, BatchOptions, NewRecord};
use ottla_types::Uuid;
use ottla_wire::{DecodeError, ErrorCode};

use super::calls::{self, ForPartition, Refused};
use super::client::{Client, Phase, decoded};
use super::connection::{Answered, Connection};
use super::history::Topic;
use super::keeps::Keeps;

const NAME: &str = "short-lived";

/// Each topic of the name is another one: it has an id of its own, and begins empty.
pub(super) async fn run(client: Client) {
    let mut churn = Churn { connection: client.connect().await, client, unsure: false };
    let mut ids = BTreeSet::<Uuid>::new();
    while churn.client.phase() < Phase::Draining {
        churn.create().await;
        let Some(topic) = churn.find().await else { continue };
        if !ids.insert(topic.id) {
            churn.client.violate(format!("{NAME} has the id {} once more", topic.id));
        }
        churn.expect_empty(&topic).await;
        churn.write(&topic).await;
        churn.client.pause_ms(1, 500).await;
        churn.delete().await;
        churn.client.pause_ms(1, 500).await;
    }
}

struct Churn {
    client: Client,
    connection: Connection,
    /// Whether a request of the present step may have been carried out without an answer.
    unsure: bool,
}

impl Churn {
    /// Asks until there is an answer; requests without one leave the step unsure.
    async fn ask<T>(
        &mut self,
        send: impl Fn(&mut Connection),
        read: impl Fn(&Answered) -> Result<T, DecodeError>,
    ) -> T {
        loop {
            send(&mut self.connection);
            match self.answer(&read).await {
                Ok(answer) => return answer,
                Err(error) => self.client.on_broken(&error),
            }
            self.unsure = true;
            self.client.pause_ms(20, 200).await;
            self.connection = self.client.connect().await;
        }
    }

    async fn answer<T>(
        &mut self,
        read: impl Fn(&Answered) -> Result<T, DecodeError>,
    ) -> io::Result<T> {
        let answer = self.client.answer(&mut self.connection).await?;
        decoded(read(&answer))
    }

    /// Repeats a request until it is carried out, or answered by `done_before`, which only an
    /// earlier attempt explains.
    async fn insist(
        &mut self,
        what: &str,
        done_before: ErrorCode,
        send: impl Fn(&mut Connection),
        read: impl Fn(&Answered) -> Result<Result<(), Refused>, DecodeError>,
    ) {
        self.unsure = false;
        loop {
            match self.ask(&send, &read).await {
                Ok(()) => return,
                Err(refused) if refused.is(done_before) => {
                    if !self.unsure {
                        self.client.violate(format!("{what}: {refused}"));
                    }
                    return;
                }
                Err(refused) => {
                    self.client.expect_retriable(what, refused);
                    self.unsure = true;
                }
            }
            self.client.pause_ms(20, 200).await;
        }
    }

    async fn create(&mut self) {
        let version = *self.client.draws.pick(&[2, 4, 5, 7]);
        let send = |connection: &mut Connection| {
            calls::create_topic(connection, version, NAME, (2, Keeps::Everything));
        };
        self.insist("a topic", ErrorCode::TopicAlreadyExists, send, calls::created).await;
    }

    async fn delete(&mut self) {
        let version = *self.client.draws.pick(&[1, 3, 4, 5, 6]);
        let send = |connection: &mut Connection| calls::delete_topic(connection, version, NAME);
        let gone = ErrorCode::UnknownTopicOrPartition;
        self.insist("a deletion", gone, send, calls::deleted).await;
        if let Some(found) = self.describe().await {
            self.client.violate(format!("{found:?} was deleted, and that was confirmed"));
        }
    }

    async fn find(&mut self) -> Option<Topic> {
        let found = self.describe().await;
        if found.is_none() {
            self.client.violate(format!("{NAME} was made, and that was confirmed"));
        }
        found
    }

    async fn describe(&mut self) -> Option<Topic> {
        let send = |connection: &mut Connection| calls::metadata(connection, 12, Some(&[NAME]));
        let described = self.ask(send, calls::described).await;
        described.into_iter().next().and_then(Result::ok)
    }

    async fn expect_empty(&mut self, topic: &Topic) {
        for index in 0..topic.partitions {
            let send = |to: &mut Connection| calls::list(to, 7, topic, (index, calls::LATEST));
            match self.ask(send, calls::listed).await {
                Ok(0) => {}
                Ok(end) => self.client.violate(format!("a new topic begins with {end} records")),
                Err(refused) => self.client.expect_retriable("an end", refused),
            }
        }
    }

    /// Writes a little, to have something to delete; nobody reads it.
    async fn write(&mut self, topic: &Topic) {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        let timestamp = self.client.env.clock.wall();
        builder.push(NewRecord { timestamp, key: None, value: Some(b"short"), headers: &[] });
        let batch = builder.build().into_bytes();
        for index in 0..topic.partitions {
            let send = |to: &mut Connection| {
                calls::produce(to, 12, 1, &[ForPartition { topic, index, batch: &batch }]);
            };
            for produced in self.ask(send, calls::produced).await {
                if let Err(refused) = produced.result {
                    self.client.expect_retriable("a write", refused);
                }
            }
        }
    }
}
