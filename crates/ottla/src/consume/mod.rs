//! `ottla consume`: records of topics, from where to where one likes.

mod filter;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use ottla_client::{Consumer, ConsumerRecord, OffsetReset, TopicMetadata, partition};
use ottla_env::{First, first};
use ottla_runtime::stop_requested;
use ottla_types::{Offset, TopicName, TopicPartition};

use crate::failure::{Failure, say};
use crate::kcat;
use crate::pattern::Glob;
use crate::progress::{Done, Progress};
use crate::reach::{self, Reach, Session};
use crate::show::Format;
use crate::template::Template;
use crate::when::{self, Place, Span};
use filter::Filter;
use write::{Style, Writer};

const EXAMPLES: &str = "\
Examples:
  ottla consume hello -e
  ottla consume orders -o -3 -e -f '%t[%p]@%o %k=%v\\n'
  ottla consume orders -o @-1h:@now --output json
  ottla consume orders -e --filter 'key=7*' --filter 'value~paid|open'
  ottla consume orders -g readers -n 1

Formats: %k key, %v or %s value, %t topic, %p partition, %o offset, %T or %d timestamp (ms),
%h headers, %H their number, %e leader epoch, %K and %V lengths of key and value, %R the latter in
four bytes, %% percent, \\n \\t \\xHH as in C. Spelled otherwise: %k{hex}, %v{base64}, %o{big64},
%h{%k=%v }, %d{strftime[%F %T]}.

Places: start, end, an offset, +N behind the start, -N before the end, @TIME; FROM:TO for both.
Times: @now, @-1h (also ms, s, m, d), @1700000000000, @2026-02-28, @2026-02-28T12:30 (UTC).";

/// Records that one poll brings at most.
const POLL_RECORDS: usize = 50_000;

/// Bytes of one answer, and of one partition in it: few large requests.
const FETCH_BYTES: (i32, i32) = (32 << 20, 8 << 20);

/// How often a group's offsets are committed.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// Reads records, and goes on as they come
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Topics, or patterns where * stands for anything
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,

    /// Where to begin, and where to end [default: start, or where the group has got to]
    #[arg(short, long, value_name = "FROM[:TO]", allow_hyphen_values = true)]
    #[arg(value_parser = when::span, conflicts_with_all = ["group", "tail"])]
    offset: Option<Span>,

    /// End at what is the end now
    #[arg(short, long)]
    exit: bool,

    /// End after so many records
    #[arg(short = 'n', long, value_name = "RECORDS")]
    count: Option<u64>,

    /// These partitions only
    #[arg(short, long, value_name = "PARTITION", conflicts_with = "group")]
    #[arg(value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,

    /// Read as a member of this group, and commit what was shown
    #[arg(short, long, value_name = "GROUP")]
    group: Option<String>,

    /// Begin with the last records of each partition
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(i64).range(0..))]
    #[arg(conflicts_with = "group")]
    tail: Option<i64>,

    /// How to write a record, as '%k %v\n' [default: '%v\n' in a pipe]
    #[arg(short, long, value_name = "FORMAT", value_parser = Template::parse)]
    format: Option<Template>,

    /// Show only what fits: key=GLOB, value~REGEX, header.NAME=GLOB; a GLOB alone is the value's
    #[arg(long, value_name = "CONDITION", value_parser = filter::filter)]
    filter: Vec<Filter>,

    /// How to write records: json and jsonl are one document a line
    #[arg(long, value_name = "FORM", conflicts_with = "format")]
    output: Option<Format>,

    #[command(flatten)]
    reach: Reach,

    /// What kcat does in its own way.
    #[arg(skip)]
    pub(crate) kcat: Option<kcat::Reading>,
}

pub(crate) fn run(arguments: &Arguments, before: &Reach) -> ExitCode {
    let reach = arguments.reach.clone().or(before);
    reach::run(&reach, async |session| consume(arguments, session).await)
}

async fn consume(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    let topics = topics(arguments, session).await?;
    let plan = match &arguments.group {
        Some(group) => of_group(arguments, session, (group, &topics)).await?,
        None => of_partitions(arguments, session, &topics).await?,
    };
    let writer = Writer::new(style(arguments, session, &topics).await?);
    // Where records are seen themselves, a line between them is in the way.
    let quiet = std::io::stdout().is_terminal();
    let progress = Progress::new(&session.env.clock, plan.total, quiet);
    let (shown, read, said) = (0, 0, false);
    let mut reading = Reading { arguments, plan, writer, shown, read, said, progress };
    // A group is left in order, and what was shown is committed.
    let ended = match first(reading.read(), stop_requested()).await {
        First::Left(ended) => ended,
        First::Right(signals) => Ok(signals?),
    };
    let Reading { plan, mut writer, mut progress, .. } = reading;
    progress.clear();
    writer.flush()?;
    ended?;
    if arguments.kcat.as_ref().is_some_and(|kcat| kcat.tells_ends) {
        tell_ends(&plan);
    }
    Ok(plan.consumer.close().await?)
}

async fn style(
    arguments: &Arguments,
    session: &Session,
    topics: &BTreeMap<TopicName, TopicMetadata>,
) -> Result<Style, Failure> {
    let Some(kcat) = &arguments.kcat else {
        return Ok(Style::chosen(arguments.format.as_ref(), arguments.output));
    };
    if kcat.is_json {
        return Ok(Style::Kcat(kcat::Surroundings::of(session, topics).await?));
    }
    let template = arguments.format.clone().unwrap_or_else(Template::value_lines);
    Ok(Style::Template(template.with_null(kcat.null)))
}

/// Says of each partition where it was left.
fn tell_ends(plan: &Plan) {
    for of in plan.ends.iter().flat_map(BTreeMap::keys) {
        if let Some(at) = plan.consumer.position(of) {
            let TopicPartition { topic, partition } = of;
            say(&format!("reached the end of topic {topic} [{partition}] at offset {at}: exiting"));
        }
    }
}

/// The topics that were named, all of them there.
async fn topics(
    arguments: &Arguments,
    session: &Session,
) -> Result<BTreeMap<TopicName, TopicMetadata>, Failure> {
    let (admin, mut chosen) = (session.admin(), BTreeMap::new());
    for text in &arguments.topics {
        if !text.contains(['*', '?']) {
            let name = TopicName::parse(text)?;
            let topic = crate::topic::known(&admin, &name).await?;
            chosen.insert(name, topic);
            continue;
        }
        let Ok(glob) = text.parse::<Glob>();
        let before = chosen.len();
        let all = admin.list_topics().await?.into_iter();
        chosen.extend(all.filter(|(name, topic)| !topic.is_internal && glob.fits(name.as_str())));
        if chosen.len() == before {
            return Err(Failure::told(format!("no topic fits {text}")));
        }
    }
    Ok(chosen)
}

/// What is read, and where each partition ends.
struct Plan {
    consumer: Consumer,
    /// Partitions whose end is known: reading ends with the last of them.
    ends: Option<BTreeMap<TopicPartition, Offset>>,
    /// Offsets between begin and end, where both are known.
    total: Option<u64>,
    /// Everything is read already.
    nothing: bool,
}

fn partitions_of(
    arguments: &Arguments,
    topics: &BTreeMap<TopicName, TopicMetadata>,
) -> Result<Vec<TopicPartition>, Failure> {
    let mut all = Vec::new();
    for (name, topic) in topics {
        let count = topic.partitions.len();
        let numbers: Vec<i32> = match arguments.partition.as_slice() {
            [] => topic.partitions.iter().map(|each| each.id.get()).collect(),
            named => named.to_vec(),
        };
        for number in numbers {
            if usize::try_from(number).is_ok_and(|number| number >= count) {
                let told =
                    format!("topic {name} has {count} partitions, and none of number {number}");
                return Err(Failure::told(told));
            }
            all.push(partition(name.as_str(), number)?);
        }
    }
    Ok(all)
}

async fn of_partitions(
    arguments: &Arguments,
    session: &Session,
    topics: &BTreeMap<TopicName, TopicMetadata>,
) -> Result<Plan, Failure> {
    let partitions = partitions_of(arguments, topics)?;
    let span = match arguments.tail {
        Some(count) => Span { from: Place::Before(count), to: None },
        None => arguments.offset.unwrap_or(Span { from: Place::Start, to: None }),
    };
    let (admin, now) = (session.admin(), session.env.clock.wall());
    let from = when::found(&admin, &partitions, span.from, now).await?;
    let to = span.to.or_else(|| arguments.exit.then_some(Place::End));
    let ends = match to {
        Some(to) => Some(when::found(&admin, &partitions, to, now).await?),
        None => None,
    };
    let is_left = |of: &TopicPartition, at: &Offset| {
        ends.as_ref().is_none_or(|ends| ends.get(of).is_some_and(|end| at < end))
    };
    let left: BTreeMap<TopicPartition, Offset> =
        from.into_iter().filter(|(of, at)| is_left(of, at)).collect();
    let builder = session.client.consumer().offset_reset(OffsetReset::Earliest);
    let builder = builder.poll_records_max(POLL_RECORDS);
    let builder = session.properties.consumer(builder, FETCH_BYTES);
    let mut consumer = builder.assign(left.keys().cloned())?;
    for (of, at) in &left {
        consumer.seek(of, *at)?;
    }
    let nothing = left.is_empty();
    let ends: Option<BTreeMap<TopicPartition, Offset>> =
        ends.map(|ends| ends.into_iter().filter(|(of, _)| left.contains_key(of)).collect());
    let total = ends.as_ref().map(|ends| {
        let lengths = ends.iter().map(|(of, end)| end.get() - left[of].get());
        lengths.filter_map(|length| u64::try_from(length).ok()).sum()
    });
    Ok(Plan { consumer, ends, total, nothing })
}

async fn of_group(
    arguments: &Arguments,
    session: &Session,
    (group, topics): (&str, &BTreeMap<TopicName, TopicMetadata>),
) -> Result<Plan, Failure> {
    let names: Vec<&str> = topics.keys().map(TopicName::as_str).collect();
    let poll_records = arguments.count.map_or(POLL_RECORDS, |count| {
        usize::try_from(count).unwrap_or(POLL_RECORDS).clamp(1, POLL_RECORDS)
    });
    let builder = session.client.consumer().group(group).subscribe(names);
    let reset = arguments.kcat.as_ref().map_or(OffsetReset::Earliest, |kcat| kcat.reset);
    let builder = builder.offset_reset(reset).auto_commit(COMMIT_EVERY);
    let builder = builder.poll_records_max(poll_records);
    let consumer = session.properties.consumer(builder, FETCH_BYTES).build()?;
    let ends = if arguments.exit {
        let all = partitions_of(arguments, topics)?;
        let now = session.env.clock.wall();
        Some(when::found(&session.admin(), &all, Place::End, now).await?)
    } else {
        None
    };
    Ok(Plan { consumer, ends, total: None, nothing: false })
}

struct Reading<'a> {
    arguments: &'a Arguments,
    plan: Plan,
    writer: Writer,
    shown: u64,
    /// Shown or not.
    read: u64,
    /// That it waits was said.
    said: bool,
    progress: Progress,
}

impl Reading<'_> {
    async fn read(&mut self) -> Result<(), Failure> {
        if self.plan.nothing || self.arguments.count == Some(0) {
            return Ok(());
        }
        loop {
            let mut records = self.plan.consumer.poll(Duration::ZERO).await?;
            if records.is_empty() {
                self.writer.flush()?;
                records = self.plan.consumer.poll(Duration::from_millis(500)).await?;
                if records.is_empty() {
                    self.say_that_it_waits();
                }
            }
            for (at, record) in records.iter().enumerate() {
                if self.is_shown(record) {
                    self.writer.record(record)?;
                    self.shown += 1;
                    if self.arguments.count == Some(self.shown) {
                        return self.give_back(&records[at + 1..]);
                    }
                }
            }
            self.read += records.len() as u64;
            let (of_total, bytes) = (self.read, self.writer.written());
            self.progress.at(Done { of_total, records: self.shown, bytes });
            if self.is_at_end() {
                return Ok(());
            }
        }
    }

    /// Nothing moves on the terminal any more: somebody may take that for a fault.
    fn say_that_it_waits(&mut self) {
        let waits = self.plan.ends.is_none() && !std::mem::replace(&mut self.said, true);
        if waits && std::io::stdout().is_terminal() {
            say(
                "that is all so far; more is shown as it comes, and Ctrl-C ends it (-e: at the end)",
            );
        }
    }

    /// What was polled and not looked at was not read.
    fn give_back(&mut self, records: &[ConsumerRecord]) -> Result<(), Failure> {
        let mut first: BTreeMap<&TopicPartition, Offset> = BTreeMap::new();
        for record in records {
            first.entry(&record.partition).or_insert(record.offset);
        }
        for (partition, offset) in first {
            self.plan.consumer.seek(partition, offset)?;
        }
        Ok(())
    }

    fn is_shown(&self, record: &ConsumerRecord) -> bool {
        let end = self.plan.ends.as_ref().and_then(|ends| ends.get(&record.partition));
        end.is_none_or(|end| record.offset < *end)
            && self.arguments.filter.iter().all(|filter| filter.fits(record))
    }

    fn is_at_end(&self) -> bool {
        let Some(ends) = &self.plan.ends else { return false };
        let consumer = &self.plan.consumer;
        let assigned: BTreeSet<TopicPartition> = consumer.assignment();
        let is_read = |of: &TopicPartition| match (consumer.position(of), ends.get(of)) {
            (Some(at), Some(end)) => at >= *end,
            // Nothing is known of where it begins: an empty partition has nothing to read.
            (None, Some(end)) => *end == Offset::ZERO,
            (_, None) => true,
        };
        // A member of a group has to be given something first.
        !assigned.is_empty() && assigned.iter().all(is_read)
    }
}
