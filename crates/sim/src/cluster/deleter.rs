//! A client that deletes the oldest records of topics that keep what nobody deletes.

use std::io;

use super::calls;
use super::client::{Client, Phase, decoded};
use super::connection::Connection;
use super::history::Partition;
use super::keeps::Keeps;
use super::sometimes::{self, Event};

/// Deletes now and then, for as long as the run lasts.
pub(super) async fn run(client: Client) {
    let mut connection = client.connect().await;
    while client.phase() < Phase::Draining {
        if let Some(partition) = any_deletable(&client)
            && let Err(error) = delete_some(&client, &mut connection, partition).await
        {
            client.on_broken(&error);
            connection = client.connect().await;
        }
        client.pause_ms(100, 2_000).await;
    }
}

fn any_deletable(client: &Client) -> Option<Partition> {
    let history = client.shared.history.borrow();
    let mut partitions = history.partitions();
    partitions.retain(|each| history.topics()[each.topic].keeps == Keeps::UntilDeleted);
    (!partitions.is_empty()).then(|| *client.draws.pick(&partitions))
}

async fn delete_some(
    client: &Client,
    connection: &mut Connection,
    partition: Partition,
) -> io::Result<()> {
    let topic = client.topic(partition);
    calls::list(connection, 7, &topic, (partition.index, calls::LATEST));
    let answer = client.answer(connection).await?;
    let end = match decoded(calls::listed(&answer))? {
        Ok(end) => end,
        Err(refused) => {
            client.expect_retriable_of(partition, "an end", refused);
            return Ok(());
        }
    };
    let before = client.shared.history.borrow().starts().shown(partition);
    let Ok(left) = u64::try_from(end - before) else {
        client.violate_of(partition, format!("{partition} starts at {before} and ends at {end}"));
        return Ok(());
    };
    // Mostly a little, sometimes everything.
    let most = if client.draws.one_in(8) { left } else { left / 3 };
    let to = before + i64::try_from(client.draws.below(most + 1)).expect("below an offset");
    client.shared.history.borrow_mut().on_deletion_asked(partition, to);
    calls::delete_records(connection, *client.draws.pick(&[0, 1, 2]), &topic, partition.index, to);
    let answer = client.answer(connection).await?;
    match decoded(calls::records_deleted(&answer))? {
        Ok(start) if start < to => {
            let what = format!("{partition} was deleted below {to} and starts at {start}");
            client.violate_of(partition, what);
        }
        Ok(start) => {
            sometimes::happens(Event::RecordsDeleted);
            client.on_start(partition, (before, start));
        }
        Err(refused) => client.expect_retriable_of(partition, "a deletion of records", refused),
    }
    Ok(())
}
