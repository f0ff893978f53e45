//! `kafka-verifiable-producer`: what Kafka's system tests drive, line by line in JSON.

use std::time::Duration;

use ottla_client::{Delivered, ProduceError, Producer, Record};
use ottla_env::{First, Mono, first};
use ottla_runtime::stop_requested;
use ottla_types::{Offset, Timestamp, TopicName};

use super::deliveries::Deliveries;
use super::flags::{Flag, Given, Grammar, OptionError, word};
use super::settings::Settings;
use super::thrown::Thrown;
use super::{Manner, Tool, ToolError, line, talk};
use crate::json::Json;
use crate::reach::Session;

pub(super) static TOOL: Tool = Tool {
    name: "kafka-verifiable-producer",
    about: "writes numbers, and says of each whether it was written.",
    grammar: Grammar::Commands { shared: &FLAGS, commands: &[] },
    run,
    manner: Manner::Traced,
};

static FLAGS: [Flag; 10] = [
    word("topic", "topic", "The topic; required"),
    word("bootstrap-server", "servers", "Brokers to begin with; required"),
    word("max-messages", "count", "How many to write; -1, the default, until it is stopped"),
    word("throughput", "count", "Records a second at most; -1, the default, for no limit"),
    word("acks", "acks", "0, 1 or -1"),
    word("producer.config", "file", "As --command-config; deprecated"),
    word("message-create-time", "ms", "The time of the first record"),
    word("value-prefix", "number", "Each value is this number, a dot, and its own"),
    word("repeating-keys", "count", "Keys from 0 to this number, and from 0 on again"),
    word("command-config", "file", "Properties of the client"),
];

/// A line about something that happened.
pub(super) fn event(
    session: &Session,
    name: &str,
    fields: Vec<(&'static str, Json)>,
) -> Result<(), ToolError> {
    let mut all = vec![
        ("timestamp", Json::Number(session.env.clock.wall().millis())),
        ("name", Json::text(name)),
    ];
    all.extend(fields);
    Ok(line(&Json::Object(all).to_string())?)
}

struct Plan {
    topic: TopicName,
    count: u64,
    throughput: i64,
    created: Option<i64>,
    prefix: Option<i32>,
    keys: Option<u64>,
}

fn plan(given: &Given) -> Result<Plan, ToolError> {
    let topic = TopicName::parse(given.demand("topic")?)?;
    given.demand("bootstrap-server")?;
    if given.has("producer.config") && given.has("command-config") {
        let told = "Options --producer.config and --command-config are mutually exclusive.";
        return Err(OptionError::argument(told).into());
    }
    if given.has("producer.config") {
        line(
            "Option --producer.config has been deprecated and will be removed in a future \
             version. Use --command-config instead.",
        )?;
    }
    let count = given.number::<i64>("max-messages")?.unwrap_or(-1);
    Ok(Plan {
        topic,
        count: u64::try_from(count).unwrap_or(u64::MAX),
        throughput: given.number("throughput")?.unwrap_or(-1),
        created: given.number("message-create-time")?.filter(|time| *time != -1),
        prefix: given.number("value-prefix")?,
        keys: given.number("repeating-keys")?,
    })
}

fn run(given: &Given) -> Result<(), ToolError> {
    let plan = plan(given)?;
    let files: &[&str] = &["producer.config", "command-config"];
    let usual = Settings::usual(&[("acks", acks(given.word("acks")?.unwrap_or("-1"))?)]);
    let mut settings = usual.read(given, (files, &[]), &[])?;
    settings.bootstrap(given)?;
    talk(&settings, async |session, _| {
        let producer = session.properties.producer(session.client.producer()).build();
        let began = session.env.clock.mono();
        let waiting = Deliveries::default();
        let mut run = Run { plan: &plan, session, waiting, sent: 0, acked: 0, began };
        event(session, "startup_complete", vec![])?;
        match first(run.write_all(&producer), stop_requested()).await {
            First::Left(ended) => ended?,
            First::Right(_) => {}
        }
        run.end().await
    })
}

/// The key and the value of a record.
type Written = (Option<String>, String);

struct Run<'a> {
    plan: &'a Plan,
    session: &'a Session,
    waiting: Deliveries<Written>,
    sent: u64,
    acked: u64,
    began: Mono,
}

impl Run<'_> {
    fn since_began(&self) -> Duration {
        self.session.env.clock.mono().since(self.began)
    }

    async fn write_all(&mut self, producer: &Producer) -> Result<(), ToolError> {
        for number in 0..self.plan.count {
            let key = self.plan.keys.map(|keys| (number % keys.max(1)).to_string());
            let value = match self.plan.prefix {
                Some(prefix) => format!("{prefix}.{number}"),
                None => number.to_string(),
            };
            let mut record = Record::to(self.plan.topic.as_str()).value(value.clone());
            record.key = key.clone().map(Into::into);
            if let Some(created) = self.plan.created {
                let passed = i64::try_from(self.since_began().as_millis()).unwrap_or(0);
                record = record.timestamp(Timestamp::from_millis(created + passed));
            }
            self.sent += 1;
            match producer.send(record).await {
                Ok(delivery) => self.waiting.push((key, value), delivery),
                Err(error) => self.failed(key, value, &error)?,
            }
            self.tell_ended().await?;
            self.hold_back().await?;
        }
        Ok(())
    }

    /// Waits where records are sent faster than they are to be.
    async fn hold_back(&mut self) -> Result<(), ToolError> {
        let Ok(rate) = u32::try_from(self.plan.throughput) else { return Ok(()) };
        let Some(each) = Duration::from_secs(1).checked_div(rate) else {
            std::future::pending::<()>().await;
            return Ok(());
        };
        let due = each.saturating_mul(u32::try_from(self.sent).unwrap_or(u32::MAX));
        while let Some(left) = due.checked_sub(self.since_began()).filter(|left| !left.is_zero()) {
            self.session.env.clock.sleep(left.min(Duration::from_millis(20))).await;
            self.tell_ended().await?;
        }
        Ok(())
    }

    /// Tells of what has been delivered, without waiting.
    async fn tell_ended(&mut self) -> Result<(), ToolError> {
        while let Some((written, told)) = self.waiting.ended().await {
            self.tell(written, told)?;
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), ToolError> {
        while let Some((written, told)) = self.waiting.next().await {
            self.tell(written, told)?;
        }
        event(self.session, "shutdown_complete", vec![])?;
        let seconds = self.since_began().as_secs_f64().max(0.001);
        #[expect(clippy::cast_precision_loss, reason = "for a reader")]
        let average = self.acked as f64 / seconds;
        // JSON here has whole numbers only: what a second brought does not need more.
        #[expect(clippy::cast_possible_truncation, reason = "far below what an integer holds")]
        let average = average.round() as i64;
        event(
            self.session,
            "tool_data",
            vec![
                ("sent", Json::count(self.sent)),
                ("acked", Json::count(self.acked)),
                ("target_throughput", Json::Number(self.plan.throughput)),
                ("avg_throughput", Json::Number(average)),
            ],
        )
    }

    fn tell(
        &mut self,
        (key, value): Written,
        told: Result<Delivered, ProduceError>,
    ) -> Result<(), ToolError> {
        let delivered = match told {
            Ok(delivered) => delivered,
            Err(error) => return self.failed(key, value, &error),
        };
        self.acked += 1;
        let of = delivered.partition;
        event(
            self.session,
            "producer_send_success",
            vec![
                ("topic", Json::text(of.topic.as_str())),
                ("partition", Json::Number(i64::from(of.partition.get()))),
                ("offset", Json::Number(delivered.offset.map_or(-1, Offset::get))),
                ("key", key.map_or(Json::Null, Json::Text)),
                ("value", Json::Text(value)),
            ],
        )
    }

    fn failed(
        &self,
        key: Option<String>,
        value: String,
        error: &ProduceError,
    ) -> Result<(), ToolError> {
        let Thrown { class, message, .. } = Thrown::from(error);
        event(
            self.session,
            "producer_send_error",
            vec![
                ("topic", Json::text(self.plan.topic.as_str())),
                ("key", key.map_or(Json::Null, Json::Text)),
                ("value", Json::Text(value)),
                ("exception", Json::Text(format!("class {class}"))),
                ("message", Json::Text(message)),
            ],
        )
    }
}

fn acks(word: &str) -> Result<&str, ToolError> {
    let told = || {
        OptionError::argument(format!(
            "argument --acks: invalid choice: '{word}' (choose from {{0,1,-1}})"
        ))
    };
    ["0", "1", "-1"].contains(&word).then_some(word).ok_or_else(|| told().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_say_how_many_and_of_which_form() {
        let words = [
            "--topic",
            "t",
            "--bootstrap-server",
            "x",
            "--max-messages",
            "5",
            "--value-prefix",
            "3",
        ];
        let given = TOOL.grammar.read(&words.map(str::to_owned)).unwrap();
        let plan = plan(&given).unwrap();
        assert_eq!((plan.count, plan.throughput, plan.prefix, plan.keys), (5, -1, Some(3), None));
        assert!(acks("all").is_err());
        assert_eq!(acks("-1").unwrap(), "-1");
    }
}
