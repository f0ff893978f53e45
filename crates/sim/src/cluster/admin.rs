//! Clients that make topics, and that ask what there is.

use std::collections::BTreeMap;
use std::io;

use ottla_types::Uuid;
use ottla_wire::ErrorCode;

use super::calls::{self, Described, Refused};
use super::client::{Client, Phase, decoded};
use super::connection::Connection;
use super::history::Topic;
use super::keeps::Keeps;

/// Makes the topic, however long it takes.
pub(super) async fn create(client: &Client, name: &str, (partitions, keeps): (i32, Keeps)) {
    let mut connection = client.connect().await;
    let mut maybe_made = false;
    loop {
        match create_once(client, &mut connection, name, (partitions, keeps)).await {
            Ok(Ok(())) => break,
            Ok(Err(refused)) if refused.is(ErrorCode::TopicAlreadyExists) => {
                if !maybe_made {
                    client.violate(format!("{name} exists before it was made"));
                }
                break;
            }
            Ok(Err(refused)) => {
                client.expect_retriable("a topic", refused);
                maybe_made = true;
            }
            Err(error) => {
                client.on_broken(&error);
                maybe_made = true;
                connection = client.connect().await;
            }
        }
        client.pause_ms(50, 300).await;
    }
    let topic = find(client, connection, name).await;
    if topic.partitions != partitions {
        client.violate(format!("{name} has {} partitions, not {partitions}", topic.partitions));
    }
    client.shared.history.borrow_mut().on_topic(Topic { keeps, ..topic });
}

async fn create_once(
    client: &Client,
    connection: &mut Connection,
    name: &str,
    shape: (i32, Keeps),
) -> io::Result<Result<(), Refused>> {
    calls::create_topic(connection, *client.draws.pick(&[2, 3, 4, 5, 6, 7]), name, shape);
    let answer = client.answer(connection).await?;
    decoded(calls::created(&answer))
}

/// What the node says about a topic whose creation it has confirmed.
async fn find(client: &Client, mut connection: Connection, name: &str) -> Topic {
    loop {
        match describe(client, &mut connection, Some(&[name])).await {
            Ok(described) => match described.into_iter().next() {
                Some(Ok(topic)) => return topic,
                Some(Err(refused)) => {
                    client.violate(format!("{name}, made and confirmed: {refused}"));
                }
                None => client.violate(format!("{name}, made and confirmed: not a word")),
            },
            Err(error) => {
                client.on_broken(&error);
                connection = client.connect().await;
            }
        }
        client.pause_ms(50, 300).await;
    }
}

async fn describe(
    client: &Client,
    connection: &mut Connection,
    names: Option<&[&str]>,
) -> io::Result<Described> {
    calls::metadata(connection, *client.draws.pick(&[10, 11, 12, 13]), names);
    let answer = client.answer(connection).await?;
    decoded(calls::described(&answer))
}

/// Asks for all topics over and over: those confirmed before the question are in the answer, and
/// none ever changes.
pub(super) async fn watch(client: Client) {
    let mut connection = client.connect().await;
    while client.phase() < Phase::Draining {
        let confirmed = client.shared.history.borrow().topics().to_vec();
        match describe(&client, &mut connection, None).await {
            Ok(described) => check(&client, &confirmed, described),
            Err(error) => {
                client.on_broken(&error);
                connection = client.connect().await;
            }
        }
        client.pause_ms(50, 500).await;
    }
}

fn check(client: &Client, confirmed: &[Topic], described: Described) {
    let mut there = BTreeMap::<String, (Uuid, i32)>::new();
    for topic in described {
        match topic {
            Ok(topic) => drop(there.insert(topic.name, (topic.id, topic.partitions))),
            Err(refused) => client.expect_retriable("a description", refused),
        }
    }
    for topic in confirmed {
        let now = there.get(&topic.name);
        if now != Some(&(topic.id, topic.partitions)) {
            client.violate(format!("{topic:?} has become {now:?}"));
        }
    }
}
