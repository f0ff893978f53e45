//! `kafka-producer-perf-test`.

use std::time::Duration;

use bytes::Bytes;
use ottla_client::{ProduceError, Producer, Record};
use ottla_env::{Mono, Purpose};
use ottla_types::TopicName;

use super::console_producer::producer_of;
use super::deliveries::Deliveries;
use super::flags::{Flag, Given, Grammar, OptionError, flag, word, words};
use super::settings::{Settings, read_file};
use super::statistics::Statistics;
use super::thrown::Thrown;
use super::{Manner, Tool, ToolError, complain, line, talk};
use crate::reach::Session;

pub(super) static TOOL: Tool = Tool {
    name: "kafka-producer-perf-test",
    about: "writes records and says how fast.",
    grammar: Grammar::Commands { shared: &FLAGS, commands: &[] },
    run,
    manner: Manner::Traced,
};

static FLAGS: [Flag; 17] = [
    word("bootstrap-server", "servers", "Brokers to begin with"),
    word("topic", "topic", "The topic; required"),
    word("num-records", "count", "How many records to write; required"),
    word("record-size", "bytes", "Their size; this, or one of the next two"),
    word("payload-file", "file", "A file of values"),
    flag("payload-monotonic", "The values count from 0 on"),
    word("payload-delimiter", "text", "What is between the values of the file, as \\n"),
    word("throughput", "count", "Records a second at most, -1 for as many as possible; required"),
    words("producer-props", "name=value", "As --command-property; deprecated"),
    words("command-property", "name=value", "Properties of the client"),
    word("producer.config", "file", "As --command-config; deprecated"),
    word("command-config", "file", "Properties of the client"),
    flag("print-metrics", "Not supported"),
    word("transactional-id", "id", "Not supported"),
    word("transaction-duration-ms", "ms", "Not supported"),
    word("warmup-records", "count", "So many records come before the steady part"),
    word("reporting-interval", "ms", "How often to say how it goes"),
];

fn wrong(told: &str) -> ToolError {
    OptionError::argument(told).into()
}

/// What the records hold.
#[derive(Debug)]
enum Payload {
    Letters(usize),
    OneOf(Vec<Bytes>),
    Numbers,
}

struct Plan {
    topic: TopicName,
    records: u64,
    warm_up: u64,
    payload: Payload,
    /// Records a second; `None` for as many as possible.
    throughput: Option<f64>,
    every: Duration,
}

fn number<T: std::str::FromStr>(given: &Given, name: &str) -> Result<Option<T>, ToolError> {
    let Some(word) = given.word(name)? else { return Ok(None) };
    let told = || wrong(&format!("argument --{name}: could not convert '{word}' to a number"));
    word.parse().map(Some).map_err(|_| told())
}

fn plan(given: &Given) -> Result<Plan, ToolError> {
    for option in ["print-metrics", "transactional-id", "transaction-duration-ms"] {
        if given.has(option) {
            return Err(ToolError::unsupported(&format!("--{option}")));
        }
    }
    let topic = given.demand("topic")?;
    given.demand("num-records")?;
    given.demand("throughput")?;
    let payloads = ["record-size", "payload-file", "payload-monotonic"];
    match payloads.iter().filter(|option| given.has(option)).count() {
        1 => {}
        0 => {
            return Err(wrong(
                "one of the arguments --record-size --payload-file --payload-monotonic is required",
            ));
        }
        _ => {
            return Err(wrong(
                "--record-size, --payload-file and --payload-monotonic exclude each other",
            ));
        }
    }
    let records: i64 = number(given, "num-records")?.unwrap_or_default();
    let warm_up: i64 = number::<i64>(given, "warmup-records")?.unwrap_or_default().max(0);
    let every: i64 = number(given, "reporting-interval")?.unwrap_or(5_000);
    if records <= 0 {
        return Err(wrong("--num-records should be greater than zero."));
    }
    if warm_up >= records {
        return Err(wrong(
            "The value for --warmup-records must be strictly fewer than the number of records in \
             the test, --num-records.",
        ));
    }
    if every <= 0 {
        return Err(wrong("--reporting-interval should be greater than zero."));
    }
    let throughput = number::<f64>(given, "throughput")?.filter(|rate| *rate >= 0.0);
    Ok(Plan {
        topic: TopicName::parse(topic)?,
        records: records.unsigned_abs(),
        warm_up: warm_up.unsigned_abs(),
        payload: payload(given)?,
        throughput,
        every: Duration::from_millis(every.unsigned_abs()),
    })
}

fn payload(given: &Given) -> Result<Payload, ToolError> {
    if let Some(path) = given.word("payload-file")? {
        let shown = std::path::absolute(path)?;
        line(&format!("Reading payloads from: {}", shown.display()))?;
        let between =
            given.word("payload-delimiter")?.filter(|text| *text != "\\n").unwrap_or("\n");
        let text = read_file(path)?;
        if text.is_empty() || between.is_empty() {
            let told = "File does not exist or empty file provided.";
            return Err(Thrown::illegal_argument(told).into());
        }
        let text = text.strip_suffix(between).unwrap_or(&text);
        let all: Vec<Bytes> =
            text.split(between).map(|part| Bytes::copy_from_slice(part.as_bytes())).collect();
        line(&format!("Number of records read: {}", all.len()))?;
        return Ok(Payload::OneOf(all));
    }
    match number::<i64>(given, "record-size")? {
        None => Ok(Payload::Numbers),
        Some(size) => match usize::try_from(size).ok().filter(|size| *size > 0) {
            Some(size) => Ok(Payload::Letters(size)),
            None => Err(wrong("--record-size should be greater than zero.")),
        },
    }
}

fn settings(given: &Given) -> Result<Settings, ToolError> {
    let named = [
        "bootstrap-server",
        "command-property",
        "producer-props",
        "producer.config",
        "command-config",
    ];
    if !named.iter().any(|option| given.has(option)) {
        return Err(wrong(
            "At least one of --bootstrap-server, --command-property, --producer-props, \
             --producer.config or --command-config must be specified.",
        ));
    }
    for (old, new) in
        [("producer-props", "command-property"), ("producer.config", "command-config")]
    {
        if given.has(old) && given.has(new) {
            return Err(wrong(&format!("--{new} and --{old} cannot be specified together.")));
        }
        if given.has(old) {
            line(&format!(
                "Option --{old} has been deprecated and will be removed in a future version. Use \
                 --{new} instead."
            ))?;
        }
    }
    let usual = Settings::usual(&[("client.id", "perf-producer-client")]);
    let files: &[&str] = &["producer.config", "command-config"];
    let pairs: &[&str] = &["producer-props", "command-property"];
    let mut settings = usual.read(given, (files, pairs), &["partitioner.class"])?;
    settings.bootstrap(given)?;
    Ok(settings)
}

fn run(given: &Given) -> Result<(), ToolError> {
    let plan = plan(given)?;
    talk(&settings(given)?, async |session, settings| {
        let producer = producer_of(session, settings)?.build();
        if plan.warm_up > 0 {
            line(&format!(
                "Warmup first {} records. Steady state results will print after the complete test \
                 summary.",
                plan.warm_up
            ))?;
        }
        let began = session.env.clock.mono();
        let mut run = Run {
            plan: &plan,
            session,
            waiting: Deliveries::default(),
            all: Statistics::new(plan.records, false),
            steady: None,
            began,
            reported: began,
            state: session.env.rng.next(Purpose::Jitter),
        };
        run.write_all(&producer).await
    })
}

/// A record that was sent.
struct Sent {
    at: Mono,
    bytes: usize,
    is_steady: bool,
}

struct Run<'a> {
    plan: &'a Plan,
    session: &'a Session,
    waiting: Deliveries<Sent>,
    all: Statistics,
    /// And when it began.
    steady: Option<(Statistics, Mono)>,
    began: Mono,
    reported: Mono,
    /// Of the generator of letters.
    state: u64,
}

impl Run<'_> {
    fn now(&self) -> Mono {
        self.session.env.clock.mono()
    }

    async fn write_all(&mut self, producer: &Producer) -> Result<(), ToolError> {
        for number in 0..self.plan.records {
            if self.plan.warm_up > 0 && number == self.plan.warm_up {
                let left = self.plan.records - self.plan.warm_up;
                self.steady = Some((Statistics::new(left, true), self.now()));
            }
            let value = self.value(number);
            let (at, bytes, is_steady) = (self.now(), value.len(), self.steady.is_some());
            let record = Record::to(self.plan.topic.as_str()).value(value);
            let delivery = producer.send(record).await?;
            self.waiting.push(Sent { at, bytes, is_steady }, delivery);
            self.count_ended().await?;
            self.hold_back(number).await?;
        }
        while let Some((sent, told)) = self.waiting.next().await {
            self.count(&sent, told)?;
        }
        let now = self.now();
        line(&self.all.total(now.since(self.began)))?;
        if let Some((steady, began)) = &mut self.steady {
            line(&steady.total(now.since(*began)))?;
        }
        Ok(())
    }

    /// Counts what has been delivered, without waiting.
    async fn count_ended(&mut self) -> Result<(), ToolError> {
        while let Some((sent, told)) = self.waiting.ended().await {
            self.count(&sent, told)?;
        }
        Ok(())
    }

    fn count<T>(&mut self, sent: &Sent, told: Result<T, ProduceError>) -> Result<(), ToolError> {
        if let Err(error) = told {
            complain(&Thrown::from(&error).to_string());
            return Ok(());
        }
        let now = self.now();
        let latency = now.since(sent.at);
        self.all.add(latency, sent.bytes);
        if let Some((steady, _)) = self.steady.as_mut().filter(|_| sent.is_steady) {
            steady.add(latency, sent.bytes);
        }
        let since = now.since(self.reported);
        if since >= self.plan.every {
            self.reported = now;
            let window = self.all.since_last(since);
            let steady = self.steady.as_mut().and_then(|(steady, _)| steady.since_last(since));
            if let Some(told) = steady.or(window) {
                line(&told)?;
            }
        }
        Ok(())
    }

    /// Waits where records are sent faster than they are to be.
    async fn hold_back(&mut self, number: u64) -> Result<(), ToolError> {
        let Some(rate) = self.plan.throughput else { return Ok(()) };
        if rate == 0.0 {
            // Kafka's tool then waits for ever; whoever wants that can stop it.
            std::future::pending::<()>().await;
        }
        #[expect(clippy::cast_precision_loss, reason = "far below what a float holds")]
        let due = Duration::from_secs_f64((number + 1) as f64 / rate);
        while let Some(left) = due.checked_sub(self.now().since(self.began)) {
            if left < Duration::from_millis(1) {
                break;
            }
            self.session.env.clock.sleep(left.min(Duration::from_millis(50))).await;
            self.count_ended().await?;
        }
        Ok(())
    }

    fn value(&mut self, number: u64) -> Bytes {
        match &self.plan.payload {
            Payload::Numbers => Bytes::from(number.to_string()),
            Payload::OneOf(all) => {
                let drawn = self.draw() % all.len() as u64;
                all[usize::try_from(drawn).expect("below the count")].clone()
            }
            Payload::Letters(size) => {
                let mut letters = Vec::with_capacity(*size);
                while letters.len() < *size {
                    let mut drawn = self.draw();
                    for _ in 0..(*size - letters.len()).min(13) {
                        letters.push(b'A' + u8::try_from(drawn % 26).expect("below 26"));
                        drawn /= 26;
                    }
                }
                Bytes::from(letters)
            }
        }
    }

    /// SplitMix64: the letters only have to be hard to compress.
    const fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut drawn = self.state;
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        drawn ^ (drawn >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_say_what_to_write_and_how_fast() {
        let told = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            match TOOL.grammar.read(&words).map_err(ToolError::from).and_then(|given| plan(&given))
            {
                Ok(plan) => format!("{} {:?} {:?}", plan.records, plan.payload, plan.throughput),
                Err(ToolError::Options(error)) => error.to_string(),
                Err(ToolError::Terse(told)) => told,
                Err(other) => format!("{other:?}"),
            }
        };
        let all = "--topic t --num-records 10 --throughput";
        assert_eq!(told(&format!("{all} -1 --record-size 100")), "10 Letters(100) None");
        assert_eq!(told(&format!("{all} 5 --payload-monotonic")), "10 Numbers Some(5.0)");
        assert_eq!(
            told(&format!("{all} -1 --record-size 1 --producer-props acks=1 linger.ms=5")),
            "10 Letters(1) None"
        );
        assert_eq!(
            told(&format!("{all} -1")),
            "one of the arguments --record-size --payload-file --payload-monotonic is required"
        );
        assert_eq!(told("--num-records 1"), "argument --topic is required");
        assert_eq!(
            told("--topic t --num-records 0 --throughput -1 --record-size 1"),
            "--num-records should be greater than zero."
        );
        assert_eq!(
            told(&format!("{all} -1 --record-size 1 --transactional-id x")),
            "ottla: --transactional-id is not supported"
        );
    }
}
