//! `kafka-consumer-perf-test`.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use ottla_client::{Consumer, GroupProtocol, OffsetReset, Rebalance};
use ottla_env::{Clock, Mono, Purpose};
use ottla_types::{Timestamp, TopicName};

use super::flags::{Flag, Given, Grammar, flag, maybe, word};
use super::include;
use super::settings::{READERS_OWN, Settings};
use super::thrown::Thrown;
use super::{Manner, Tool, ToolError, line, talk};
use crate::reach::Session;
use crate::words;

pub(super) static TOOL: Tool = Tool {
    name: "kafka-consumer-perf-test",
    about: "reads records and says how fast.",
    grammar: Grammar::Options(&FLAGS),
    run,
    manner: Manner::Traced,
};

static FLAGS: [Flag; 18] = [
    word("bootstrap-server", "servers", "Brokers to begin with; required"),
    word("topic", "topic", "The topic"),
    word("include", "expression", "The topics, by an expression"),
    word("group", "group", "The group; without it, one of its own"),
    word("fetch-size", "bytes", "Bytes of one partition in an answer"),
    word("command-property", "name=value", "A property of the client"),
    flag("from-latest", "Begins with the end where nothing was committed"),
    word("socket-buffer-size", "bytes", "Has no effect"),
    word("consumer.config", "file", "As --command-config; deprecated"),
    word("command-config", "file", "Properties of the client"),
    flag("print-metrics", "Not supported"),
    flag("show-detailed-stats", "Says now and then how it goes"),
    maybe("timeout", "ms", "Ends when no record comes for so long"),
    word("messages", "count", "As --num-records; deprecated"),
    word("num-records", "count", "How many records to read; required"),
    word("reporting-interval", "ms", "How often to say how it goes"),
    word("date-format", "format", "Only Kafka's usual one"),
    flag("hide-header", "Leaves out the titles"),
];

/// The one format of times that is known here.
const DATE_FORMAT: &str = "yyyy-MM-dd HH:mm:ss:SSS";

struct Plan {
    records: u64,
    timeout: Duration,
    every: Duration,
    is_detailed: bool,
    has_header: bool,
}

fn plan(given: &Given) -> Result<Plan, ToolError> {
    given.require(&["bootstrap-server"])?;
    given.one_of(&["topic", "include"])?;
    given.one_of(&["messages", "num-records"])?;
    given.exclude("consumer.config", &["command-config"])?;
    if given.has("print-metrics") {
        return Err(ToolError::unsupported("--print-metrics"));
    }
    if let Some(format) = given.word("date-format")?.filter(|format| *format != DATE_FORMAT) {
        return Err(ToolError::unsupported(&format!("--date-format {format}")));
    }
    for (old, new) in [("messages", "num-records"), ("consumer.config", "command-config")] {
        if given.has(old) {
            line(&format!("Warning: --{old} is deprecated. Use --{new} instead."))?;
        }
    }
    let named = if given.has("messages") { "messages" } else { "num-records" };
    let every: u64 = given.number("reporting-interval")?.unwrap_or(5_000);
    if every == 0 {
        let told = "Reporting interval must be greater than 0.";
        return Err(Thrown::illegal_argument(told).into());
    }
    Ok(Plan {
        records: given.number(named)?.unwrap_or_default(),
        timeout: Duration::from_millis(given.number("timeout")?.unwrap_or(10_000)),
        every: Duration::from_millis(every),
        is_detailed: given.has("show-detailed-stats"),
        has_header: !given.has("hide-header"),
    })
}

fn run(given: &Given) -> Result<(), ToolError> {
    let plan = plan(given)?;
    let usual = Settings::usual(&[("client.id", "perf-consumer-client")]);
    let files: &[&str] = &["consumer.config", "command-config"];
    let mut settings = usual.read(given, (files, &["command-property"]), &READERS_OWN)?;
    settings.bootstrap(given)?;
    if let Some(bytes) = given.word("fetch-size")? {
        settings.set("max.partition.fetch.bytes", bytes)?;
    }
    if plan.has_header {
        let first = if plan.is_detailed { "time, threadId" } else { "start.time, end.time" };
        line(&format!(
            "{first}, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, \
             rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec"
        ))?;
    }
    talk(&settings, async |session, settings| {
        let joining = Rc::new(Joining::new(session));
        let consumer = consumer(given, (session, settings), &joining).await?;
        let mut reading = Reading { plan: &plan, session, joining, bytes: 0, records: 0 };
        reading.read(consumer).await
    })
}

/// How long the group took to share out, in all and since somebody asked.
struct Joining {
    clock: std::sync::Arc<dyn Clock>,
    began: Cell<Mono>,
    owned: Cell<usize>,
    all: Cell<Duration>,
    since: Cell<Duration>,
}

impl Joining {
    fn new(session: &Session) -> Self {
        let clock = std::sync::Arc::clone(&session.env.clock);
        let began = Cell::new(clock.mono());
        Self { clock, began, owned: Cell::new(0), all: Cell::default(), since: Cell::default() }
    }

    fn hear(&self, news: &Rebalance) {
        match news {
            Rebalance::Assigned { owned, .. } => {
                if self.owned.get() == 0 {
                    let took = self.clock.mono().since(self.began.get());
                    self.all.set(self.all.get() + took);
                    self.since.set(self.since.get() + took);
                }
                self.owned.set(owned.len());
            }
            Rebalance::Revoked { removed } | Rebalance::Lost { removed } => {
                self.owned.set(self.owned.get().saturating_sub(removed.len()));
                if self.owned.get() == 0 {
                    self.began.set(self.clock.mono());
                }
            }
        }
    }
}

async fn consumer(
    given: &Given,
    (session, settings): (&Session, &Settings),
    joining: &Rc<Joining>,
) -> Result<Consumer, ToolError> {
    let drawn = session.env.rng.next(Purpose::Jitter) % 100_000;
    let group =
        given.word("group")?.map_or_else(|| format!("perf-consumer-{drawn}"), str::to_owned);
    let usual = (50 << 20, 1 << 20);
    let mut builder = session.properties.consumer(session.client.consumer().group(&group), usual);
    builder = builder.offset_reset(match given.has("from-latest") {
        true => OffsetReset::Latest,
        false => OffsetReset::Earliest,
    });
    if settings.own_flag("enable.auto.commit")?.unwrap_or(true) {
        let every = settings.own_number("auto.commit.interval.ms")?.unwrap_or(5_000);
        builder = builder.auto_commit(Duration::from_millis(every));
    }
    let count = settings.own_number("max.poll.records")?.unwrap_or(500);
    builder = builder.poll_records_max(usize::try_from(count).unwrap_or(usize::MAX).max(1));
    let heard = Rc::clone(joining);
    builder = builder.on_rebalance(move |news| heard.hear(news));
    let Some(pattern) = given.word("include")? else {
        return Ok(builder.subscribe([given.word("topic")?.unwrap_or_default()]).build()?);
    };
    if session.properties.group_protocol() == Some(GroupProtocol::Consumer) {
        return Ok(builder.subscribe_pattern(pattern).build()?);
    }
    let fitting = include::whole(pattern).map_err(|why| {
        ToolError::thrown("java.util.regex.PatternSyntaxException", why.to_string())
    })?;
    let all = session.admin().list_topics().await?;
    let names = all.keys().map(TopicName::as_str);
    let names: Vec<&str> =
        names.filter(|name| fitting.is_match(name) && !include::is_internal(name)).collect();
    if names.is_empty() {
        return Err(ToolError::terse(format!("ottla: no topic fits {pattern}")));
    }
    Ok(builder.subscribe(names).build()?)
}

struct Reading<'a> {
    plan: &'a Plan,
    session: &'a Session,
    joining: Rc<Joining>,
    bytes: u64,
    records: u64,
}

/// Numbers of records and bytes are far below what a float holds exactly.
#[expect(clippy::cast_precision_loss, reason = "for a reader")]
const fn float(number: u64) -> f64 {
    number as f64
}

fn megabytes(bytes: u64) -> f64 {
    float(bytes) / (1024.0 * 1024.0)
}

/// How much there is a second; nothing where it took no time.
fn rate(amount: f64, within: Duration) -> f64 {
    if within.is_zero() { 0.0 } else { amount / within.as_secs_f64() }
}

impl Reading<'_> {
    fn now(&self) -> (Mono, Timestamp) {
        (self.session.env.clock.mono(), self.session.env.clock.wall())
    }

    async fn read(&mut self, mut consumer: Consumer) -> Result<(), ToolError> {
        let (began, began_at) = self.now();
        let (mut last, mut reported) = (began, (began, 0, 0));
        while self.records < self.plan.records {
            let records = consumer.poll(Duration::from_millis(100)).await?;
            let (now, _) = self.now();
            for record in &records {
                self.records += 1;
                let len = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, bytes::Bytes::len);
                self.bytes += (len(&record.key) + len(&record.value)) as u64;
            }
            if !records.is_empty() {
                last = now;
            }
            if now.since(reported.0) >= self.plan.every && !records.is_empty() {
                if self.plan.is_detailed {
                    line(&self.progress(reported, now))?;
                }
                self.joining.since.set(Duration::ZERO);
                reported = (now, self.bytes, self.records);
            }
            if now.since(last) > self.plan.timeout {
                break;
            }
        }
        if self.records < self.plan.records {
            line(&format!(
                "WARNING: Exiting before consuming the expected number of records: timeout ({} ms) \
                 exceeded. You can use the --timeout option to increase the timeout.",
                self.plan.timeout.as_millis()
            ))?;
        }
        let (ended, ended_at) = self.now();
        consumer.close().await?;
        if !self.plan.is_detailed {
            line(&self.total((began_at, ended_at), ended.since(began)))?;
        }
        Ok(())
    }

    /// What was read since it was last told.
    fn progress(&self, (since, bytes, records): (Mono, u64, u64), now: Mono) -> String {
        let took = now.since(since);
        let joined = self.joining.since.get();
        let fetched = took.saturating_sub(joined);
        let (megabytes_now, records_now) =
            (megabytes(self.bytes - bytes), float(self.records - records));
        format!(
            "{}, 0, {:.4}, {:.4}, {}, {:.4}, {}, {}, {:.4}, {:.4}",
            date(self.session.env.clock.wall()),
            megabytes(self.bytes),
            rate(megabytes_now, took),
            self.records,
            rate(records_now, took),
            joined.as_millis(),
            fetched.as_millis(),
            rate(megabytes_now, fetched),
            rate(records_now, fetched),
        )
    }

    fn total(&self, (began, ended): (Timestamp, Timestamp), took: Duration) -> String {
        let joined = self.joining.all.get();
        let fetched = took.saturating_sub(joined);
        let (megabytes, records) = (megabytes(self.bytes), float(self.records));
        format!(
            "{}, {}, {megabytes:.4}, {:.4}, {}, {:.4}, {}, {}, {:.4}, {:.4}",
            date(began),
            date(ended),
            rate(megabytes, took),
            self.records,
            rate(records, took),
            joined.as_millis(),
            fetched.as_millis(),
            rate(megabytes, fetched),
            rate(records, fetched),
        )
    }
}

/// A time in UTC, in Kafka's usual format.
fn date(time: Timestamp) -> String {
    let text = words::time(Some(time)).replace('T', " ").replace('.', ":");
    text.trim_end_matches('Z').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_kafkas_format() {
        assert_eq!(date(Timestamp::from_millis(0)), "1970-01-01 00:00:00:000");
    }

    #[test]
    fn rates_of_no_time_are_nothing() {
        assert!((rate(5.0, Duration::from_secs(2)) - 2.5).abs() < f64::EPSILON);
        assert!(rate(5.0, Duration::ZERO) < f64::EPSILON);
        assert!((megabytes(1 << 20) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_number_of_records_is_required() {
        let told = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            match plan(&TOOL.grammar.read(&words).unwrap()) {
                Ok(plan) => format!("{} {:?}", plan.records, plan.timeout),
                Err(ToolError::Usage(told)) => told,
                Err(other) => format!("{other:?}"),
            }
        };
        assert_eq!(told("--bootstrap-server x --topic t --num-records 5 --timeout 7"), "5 7ms");
        assert_eq!(
            told("--bootstrap-server x --topic t"),
            "Exactly one of the following arguments is required: [messages], [num-records]"
        );
    }
}
