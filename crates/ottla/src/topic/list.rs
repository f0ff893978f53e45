//! `ottla topic list` and `watch`.

use std::collections::BTreeMap;

use ottla_client::{OffsetSpec, TopicMetadata};
use ottla_types::{TopicName, TopicPartition};

use crate::failure::Failure;
use crate::pattern::Glob;
use crate::reach::Session;
use crate::show::{Answer, Cell, Column, Pace, Show, Table, Watch};

const EXAMPLES: &str = "\
Examples:
  ottla topic list
  ottla topic list 'orders*' -o json
  ottla topic list --internal -o wide
  ottla topic list --watch --every 500ms --times 2";

/// Lists topics, with what they hold
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct List {
    #[command(flatten)]
    chosen: Chosen,

    #[command(flatten)]
    watch: Watch,

    #[command(flatten)]
    show: Show,
}

const WATCH_EXAMPLES: &str = "\
Examples:
  ottla topic watch
  ottla topic watch 'orders*' --every 500ms --times 2";

/// Lists topics again and again, with the records that come each second
#[derive(Debug, clap::Args)]
#[command(after_help = WATCH_EXAMPLES)]
pub(super) struct Rates {
    #[command(flatten)]
    chosen: Chosen,

    #[command(flatten)]
    pace: Pace,

    #[command(flatten)]
    show: Show,
}

/// Which topics.
#[derive(Debug, clap::Args)]
struct Chosen {
    /// Names, where * stands for anything and ? for one letter [default: all]
    #[arg(value_name = "TOPIC")]
    names: Vec<Glob>,

    /// The topics of the cluster's own as well
    #[arg(long)]
    internal: bool,
}

impl Chosen {
    fn fits(&self, name: &TopicName, topic: &TopicMetadata) -> bool {
        let named = self.names.iter().any(|glob| glob.fits(name.as_str()));
        named || (self.names.is_empty() && (self.internal || !topic.is_internal))
    }
}

const COLUMNS: &[Column] = &[
    Column::text("TOPIC", "topic"),
    Column::number("PARTITIONS", "partitions"),
    Column::number("REPLICAS", "replicas"),
    Column::number("RECORDS", "records"),
    Column::number("SIZE", "bytes"),
    Column::text("ID", "id").wide(),
    Column::text("INTERNAL", "is_internal").wide(),
];

const RATES: &[Column] = &[
    Column::text("TOPIC", "topic"),
    Column::number("PARTITIONS", "partitions"),
    Column::number("RECORDS", "records"),
    Column::number("SIZE", "bytes"),
    Column::number("RECORDS/S", "records_per_s"),
];

/// A topic and what it holds.
struct Holding {
    topic: TopicMetadata,
    /// From the first offsets to the ends: compacted topics and transactions have fewer.
    records: u64,
    /// Of all replicas that brokers tell of.
    bytes: u64,
    /// The sum of the ends of its partitions: what was ever written.
    written: u64,
}

pub(super) async fn list(arguments: &List, session: &Session) -> Result<(), Failure> {
    let format = super::format(&arguments.show);
    let made = async || {
        let held = holdings(&arguments.chosen, session).await?;
        Ok(Answer::Table(listed(&held)))
    };
    arguments.watch.show(&*session.env.clock, ("topics", format), made).await
}

fn listed(held: &BTreeMap<TopicName, Holding>) -> Table {
    let mut table = Table::new(COLUMNS);
    for (name, held) in held {
        let replicas = held.topic.partitions.iter().map(|each| each.replicas.len()).max();
        table.row([
            Cell::text(name.as_str()),
            Cell::length(held.topic.partitions.len()),
            Cell::length(replicas.unwrap_or(0)),
            Cell::count(held.records),
            Cell::bytes(held.bytes),
            Cell::text(held.topic.id.to_string()),
            Cell::yes(held.topic.is_internal),
        ]);
    }
    table
}

pub(super) async fn watch(arguments: &Rates, session: &Session) -> Result<(), Failure> {
    let format = super::format(&arguments.show);
    let mut before: Option<(BTreeMap<TopicName, Holding>, ottla_env::Mono)> = None;
    let made = async || {
        let (held, now) = (holdings(&arguments.chosen, session).await?, session.env.clock.mono());
        let seconds = before.as_ref().map(|(_, then)| now.since(*then).as_secs_f64());
        let mut table = Table::new(RATES);
        for (name, held) in &held {
            let then = before.as_ref().and_then(|(before, _)| before.get(name));
            let rate = then.zip(seconds).map(|(then, seconds)| {
                per_second(held.written.saturating_sub(then.written), seconds)
            });
            table.row([
                Cell::text(name.as_str()),
                Cell::length(held.topic.partitions.len()),
                Cell::count(held.records),
                Cell::bytes(held.bytes),
                Cell::maybe(rate, Cell::count),
            ]);
        }
        before = Some((held, now));
        Ok(Answer::Table(table))
    };
    arguments.pace.show(&*session.env.clock, ("topics", format), made).await
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rate for people, far below 2^53"
)]
fn per_second(count: u64, seconds: f64) -> u64 {
    if seconds > 0.0 { (count as f64 / seconds).round() as u64 } else { 0 }
}

async fn holdings(
    chosen: &Chosen,
    session: &Session,
) -> Result<BTreeMap<TopicName, Holding>, Failure> {
    let admin = session.admin();
    let mut topics = admin.list_topics().await?;
    topics.retain(|name, topic| chosen.fits(name, topic));
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    // A partition that nobody leads has nobody to ask; the list is worth more than the number.
    let led = topics.iter().flat_map(|(name, topic)| {
        let led = topic.partitions.iter().filter(|each| each.leader.is_some());
        led.map(|each| TopicPartition { topic: name.clone(), partition: each.id })
    });
    let led: Vec<TopicPartition> = led.collect();
    let starts = admin.list_offsets(&led, OffsetSpec::Earliest).await?;
    let ends = admin.list_offsets(&led, OffsetSpec::Latest).await?;
    let mut held: BTreeMap<TopicName, Holding> = topics
        .into_iter()
        .map(|(name, topic)| (name, Holding { topic, records: 0, bytes: 0, written: 0 }))
        .collect();
    for (partition, end) in &ends {
        let Some(held) = held.get_mut(&partition.topic) else { continue };
        let end = u64::try_from(end.offset.get()).unwrap_or(0);
        let start = starts.get(partition).map_or(0, |start| start.offset.get());
        held.records += end.saturating_sub(u64::try_from(start).unwrap_or(0));
        held.written += end;
    }
    for dir in admin.log_dirs().await? {
        for (partition, bytes) in dir.replicas {
            if let Some(held) = held.get_mut(&partition.topic) {
                held.bytes += bytes;
            }
        }
    }
    Ok(held)
}
