//! `ottla topic describe`.

use ottla_client::{ConfigResource, OffsetSpec};
use ottla_types::{TopicName, TopicPartition};

use super::Items;
use crate::failure::Failure;
use crate::reach::Session;
use crate::show::{Answer, Cell, Column, Page, Show, Table, print};

const EXAMPLES: &str = "\
Examples:
  ottla topic describe orders
  ottla topic describe orders payments -o json";

/// Shows a topic: its partitions, who has them, what they hold, what was set for it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Describe {
    /// The topics
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<TopicName>,

    #[command(flatten)]
    show: Show,
}

const PARTITIONS: &[Column] = &[
    Column::number("PARTITION", "partition"),
    Column::number("LEADER", "leader"),
    Column::text("REPLICAS", "replicas"),
    Column::text("ISR", "isr"),
    Column::number("START", "start"),
    Column::number("END", "end"),
    Column::number("EPOCH", "leader_epoch").wide(),
];

const SETTINGS: &[Column] = &[Column::text("PROPERTY", "name"), Column::text("VALUE", "value")];

pub(super) async fn describe(arguments: &Describe, session: &Session) -> Result<(), Failure> {
    let (mut items, mut pages) = (Items::default(), Vec::new());
    for name in &arguments.names {
        let page = page_of(name, session).await;
        items.note(page.map(|page| pages.push(page)))?;
    }
    if !pages.is_empty() {
        let format = super::format(&arguments.show);
        print("topic-descriptions", &Answer::Pages(pages), format)?;
    }
    items.end()
}

async fn page_of(name: &TopicName, session: &Session) -> Result<Page, Failure> {
    let admin = session.admin();
    let topic = super::known(&admin, name).await?;
    let led = topic.partitions.iter().filter(|each| each.leader.is_some());
    let led: Vec<TopicPartition> =
        led.map(|each| TopicPartition { topic: name.clone(), partition: each.id }).collect();
    let starts = admin.list_offsets(&led, OffsetSpec::Earliest).await?;
    let ends = admin.list_offsets(&led, OffsetSpec::Latest).await?;
    let configs = admin.describe_configs(&ConfigResource::Topic(name.clone())).await?;

    let mut page = Page::default();
    page.field("topic", "topic", Cell::text(name.as_str()));
    page.field("id", "id", Cell::text(topic.id.to_string()));
    page.field("internal", "is_internal", Cell::yes(topic.is_internal));
    let mut partitions = Table::new(PARTITIONS);
    for each in &topic.partitions {
        let partition = TopicPartition { topic: name.clone(), partition: each.id };
        let start = starts.get(&partition).map(|start| start.offset.get());
        let end = ends.get(&partition).map(|end| end.offset.get());
        partitions.row([
            Cell::number(each.id.get()),
            Cell::maybe(each.leader, Cell::number),
            Cell::numbers(&each.replicas),
            Cell::numbers(&each.isr),
            Cell::maybe(start, Cell::number),
            Cell::maybe(end, Cell::number),
            Cell::maybe(each.leader_epoch, |epoch| Cell::number(epoch.get())),
        ]);
    }
    let mut settings = Table::new(SETTINGS);
    for entry in configs.into_iter().filter(|entry| entry.is_own) {
        settings.row([Cell::text(entry.name), Cell::maybe(entry.value, Cell::text)]);
    }
    page.table("Partitions", "partitions", partitions);
    page.table("Set for this topic", "configs", settings);
    Ok(page)
}
