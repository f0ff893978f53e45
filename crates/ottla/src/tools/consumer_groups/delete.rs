//! `kafka-consumer-groups --delete` and `--delete-offsets`.

use std::collections::{BTreeMap, BTreeSet};

use ottla_client::Admin;
use ottla_types::{TopicName, TopicPartition};
use ottla_wire::ErrorCode;

use super::super::columns::{row, widest};
use super::super::flags::Given;
use super::super::thrown::Thrown;
use super::super::{ToolError, line};
use super::reset::partitions_in;

fn quoted(groups: &[String]) -> String {
    groups.iter().map(|group| format!("'{group}'")).collect::<Vec<_>>().join(", ")
}

pub(super) async fn groups(given: &Given, admin: &Admin) -> Result<(), ToolError> {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for group in super::chosen(given, admin).await? {
        match admin.delete_group(&group).await {
            Ok(()) => done.push(group),
            // Kafka 4.3 has no words of the broker for this, and scripts look for its own.
            Err(error) => {
                let thrown = error.code().map(|code| Thrown::of_code(code, None));
                failed.push((group, thrown.unwrap_or_else(|| error.into())));
            }
        }
    }
    if failed.is_empty() {
        let done = quoted(&done);
        line(&format!("Deletion of requested consumer groups ({done}) was successful."))?;
        return Ok(());
    }
    super::error("Deletion of some consumer groups failed:")?;
    for (group, thrown) in failed {
        line(&format!("* Group '{group}' could not be deleted due to: {thrown}"))?;
    }
    if !done.is_empty() {
        let done = quoted(&done);
        line(&format!("\nThese consumer groups were deleted successfully: {done}"))?;
    }
    Ok(())
}

/// What became of each partition; of topics that are not there, under no number.
type Results = BTreeMap<(String, Option<i32>), Option<Thrown>>;

pub(super) async fn offsets(given: &Given, admin: &Admin) -> Result<(), ToolError> {
    let group = given.word("group")?.unwrap_or_default();
    let mut results = Results::new();
    let mut all: BTreeSet<TopicPartition> = BTreeSet::new();
    for topic in given.words("topic") {
        if topic.contains(':') {
            all.extend(partitions_in(topic)?);
            continue;
        }
        let name = TopicName::parse(topic)?;
        match admin.describe_topic(&name).await {
            Ok(found) => all.extend(
                found
                    .partitions
                    .iter()
                    .map(|each| TopicPartition { topic: name.clone(), partition: each.id }),
            ),
            Err(error) => drop(results.insert((topic.to_owned(), None), Some(error.into()))),
        }
    }
    let all: Vec<TopicPartition> = all.into_iter().collect();
    let whole = delete(admin, group, &all, &mut results).await;
    match whole.or_else(|| results.iter().find_map(|((_, of), why)| of.and(why.as_ref())?.code)) {
        None => line(&format!("Request succeeded for deleting offsets from group {group}."))?,
        Some(
            ErrorCode::GroupSubscribedToTopic
            | ErrorCode::TopicAuthorizationFailed
            | ErrorCode::UnknownTopicOrPartition,
        ) => super::error("Encountered some partition-level error, see the follow-up details.")?,
        Some(code) => super::error(&Thrown::of_code(code, None).message)?,
    }
    Ok(line(&table(&results))?)
}

/// Deletes what there is to delete; why nothing was, where that is so.
async fn delete(
    admin: &Admin,
    group: &str,
    all: &[TopicPartition],
    results: &mut Results,
) -> Option<ErrorCode> {
    if all.is_empty() {
        return None;
    }
    let key = |of: &TopicPartition| (of.topic.to_string(), Some(of.partition.get()));
    match admin.delete_each_group_offset(group, all).await {
        Ok(deleted) => {
            for (of, result) in deleted {
                results.insert(key(&of), result.err().map(|refused| Thrown::from(&refused)));
            }
            None
        }
        Err(error) => {
            let thrown = Thrown::from(error);
            for of in all {
                results.insert(key(of), Some(thrown.clone()));
            }
            Some(thrown.code.unwrap_or(ErrorCode::UnknownServerError))
        }
    }
}

fn table(results: &Results) -> String {
    let topic = widest(15, results.keys().map(|(topic, _)| topic.as_str()));
    let widths = [topic, 10, 15];
    let mut text = format!("\n{}", row(&widths, &["TOPIC", "PARTITION", "STATUS"]));
    for ((topic, partition), why) in results {
        let partition = partition.map_or_else(|| "-".to_owned(), |partition| partition.to_string());
        let status =
            why.as_ref().map_or_else(|| "Successful".to_owned(), |why| format!("Error: {why}"));
        text.push_str(&format!("\n{}", row(&widths, &[topic, &partition, &status])));
    }
    text
}
