//! How `kafka-console-consumer` writes a record.

use std::collections::BTreeMap;

use ottla_client::ConsumerRecord;

use super::thrown::Thrown;

/// The classes that Kafka has for what can be said here, and what they stand for.
const CLASSES: [(&str, Kind); 2] = [
    ("org.apache.kafka.tools.consumer.DefaultMessageFormatter", Kind::Usual),
    ("org.apache.kafka.tools.consumer.NoOpMessageFormatter", Kind::Nothing),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Usual,
    Nothing,
}

/// What bytes stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Text,
    Boolean,
    Short,
    Integer,
    Long,
    Float,
    Double,
    Uuid,
}

const MEANINGS: [(&str, Meaning); 8] = [
    ("StringDeserializer", Meaning::Text),
    ("BooleanDeserializer", Meaning::Boolean),
    ("ShortDeserializer", Meaning::Short),
    ("IntegerDeserializer", Meaning::Integer),
    ("LongDeserializer", Meaning::Long),
    ("FloatDeserializer", Meaning::Float),
    ("DoubleDeserializer", Meaning::Double),
    ("UUIDDeserializer", Meaning::Uuid),
];

/// Where Kafka's own deserializers are.
const DESERIALIZERS: &str = "org.apache.kafka.common.serialization.";

/// Which parts of a record are written, and what is between them.
#[derive(Debug)]
pub(super) struct Formatter {
    kind: Kind,
    timestamp: bool,
    partition: bool,
    offset: bool,
    delivery: bool,
    epoch: bool,
    headers: bool,
    key: bool,
    value: bool,
    between: Vec<u8>,
    end: Vec<u8>,
    between_headers: Vec<u8>,
    null: Vec<u8>,
    meaning_of_key: Option<Meaning>,
    meaning_of_value: Option<Meaning>,
    meaning_of_headers: Option<Meaning>,
}

/// Why a record cannot be written.
fn cannot(told: String) -> Thrown {
    Thrown::new("org.apache.kafka.common.errors.SerializationException", told)
}

impl Formatter {
    /// The formatter of a class, with its properties.
    pub(super) fn new(
        class: Option<&str>,
        properties: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let class = class.unwrap_or(CLASSES[0].0);
        let kind = CLASSES.iter().find(|(name, _)| *name == class).map(|(_, kind)| *kind);
        let kind = kind.ok_or_else(|| format!("ottla: the formatter {class} is not supported"))?;
        let flag = |name: &str| {
            properties.get(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
        };
        let bytes = |name: &str, usual: &str| {
            properties.get(name).map_or(usual, String::as_str).as_bytes().to_vec()
        };
        let meaning = |name: &str| properties.get(name).map(|class| meaning_of(class)).transpose();
        Ok(Self {
            kind,
            timestamp: flag("print.timestamp"),
            partition: flag("print.partition"),
            offset: flag("print.offset"),
            delivery: flag("print.delivery"),
            epoch: flag("print.epoch"),
            headers: flag("print.headers"),
            key: flag("print.key"),
            value: !properties.contains_key("print.value") || flag("print.value"),
            between: bytes("key.separator", "\t"),
            end: bytes("line.separator", "\n"),
            between_headers: bytes("headers.separator", ","),
            null: bytes("null.literal", "null"),
            meaning_of_key: meaning("key.deserializer")?,
            meaning_of_value: meaning("value.deserializer")?,
            meaning_of_headers: meaning("headers.deserializer")?,
        })
    }

    /// Whether it has to know whose time a record's is.
    pub(super) fn tells_time(&self) -> bool {
        self.timestamp
    }

    /// Appends a record; `is_brokers` says that its time is when it was written to the log.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        record: &ConsumerRecord,
        is_brokers: bool,
    ) -> Result<(), Thrown> {
        if self.kind == Kind::Nothing {
            return Ok(());
        }
        let mut parts: Vec<Vec<u8>> = Vec::new();
        let number = |label: &str, number: String| format!("{label}:{number}").into_bytes();
        if self.timestamp {
            parts.push(time(record, is_brokers).into_bytes());
        }
        if self.partition {
            parts.push(number("Partition", record.partition.partition.to_string()));
        }
        if self.offset {
            parts.push(number("Offset", record.offset.to_string()));
        }
        // Kafka's own tool knows neither of these two, either.
        if self.delivery {
            parts.push(number("Delivery", "NOT_PRESENT".to_owned()));
        }
        if self.epoch {
            parts.push(number("Epoch", "NOT_PRESENT".to_owned()));
        }
        if self.headers {
            parts.push(self.all_headers(record)?);
        }
        if self.key {
            parts.push(self.shown(record.key.as_deref(), self.meaning_of_key)?);
        }
        if self.value {
            parts.push(self.shown(record.value.as_deref(), self.meaning_of_value)?);
        }
        let Some((last, first)) = parts.split_last() else { return Ok(()) };
        for part in first {
            out.extend_from_slice(part);
            out.extend_from_slice(&self.between);
        }
        out.extend_from_slice(last);
        out.extend_from_slice(&self.end);
        Ok(())
    }

    fn all_headers(&self, record: &ConsumerRecord) -> Result<Vec<u8>, Thrown> {
        if record.headers.is_empty() {
            return Ok(b"NO_HEADERS".to_vec());
        }
        let mut all = Vec::new();
        for (at, (name, value)) in record.headers.iter().enumerate() {
            if at > 0 {
                all.extend_from_slice(&self.between_headers);
            }
            all.extend_from_slice(name);
            all.push(b':');
            all.extend(self.shown(value.as_deref(), self.meaning_of_headers)?);
        }
        Ok(all)
    }

    fn shown(&self, bytes: Option<&[u8]>, meaning: Option<Meaning>) -> Result<Vec<u8>, Thrown> {
        let bytes = bytes.unwrap_or(&self.null);
        match meaning {
            None => Ok(bytes.to_vec()),
            Some(meaning) => meaning.read(bytes).map(String::into_bytes),
        }
    }
}

fn meaning_of(class: &str) -> Result<Meaning, String> {
    let name = class.strip_prefix(DESERIALIZERS).unwrap_or(class);
    let known = MEANINGS.iter().find(|(known, _)| *known == name).map(|(_, meaning)| *meaning);
    known.ok_or_else(|| format!("ottla: the deserializer {class} is not supported"))
}

fn time(record: &ConsumerRecord, is_brokers: bool) -> String {
    let by = if is_brokers { "LogAppendTime" } else { "CreateTime" };
    let time = record.timestamp.map(|time| format!("{by}:{}", time.millis()));
    time.unwrap_or_else(|| "NO_TIMESTAMP".to_owned())
}

impl Meaning {
    fn read(self, bytes: &[u8]) -> Result<String, Thrown> {
        fn sized<const SIZE: usize>(bytes: &[u8], name: &str) -> Result<[u8; SIZE], Thrown> {
            bytes
                .try_into()
                .map_err(|_| cannot(format!("Size of data received by {name} is not {SIZE}")))
        }
        Ok(match self {
            Self::Text => String::from_utf8_lossy(bytes).into_owned(),
            Self::Boolean => match bytes {
                [1] => "true".to_owned(),
                [0] => "false".to_owned(),
                [_] => {
                    return Err(cannot("Unexpected byte received by BooleanDeserializer".into()));
                }
                _ => {
                    let told = "Size of data received by BooleanDeserializer is not 1";
                    return Err(cannot(told.to_owned()));
                }
            },
            Self::Short => i16::from_be_bytes(sized(bytes, "ShortDeserializer")?).to_string(),
            Self::Integer => i32::from_be_bytes(sized(bytes, "IntegerDeserializer")?).to_string(),
            Self::Long => i64::from_be_bytes(sized(bytes, "LongDeserializer")?).to_string(),
            Self::Float => java_float(f64::from(f32::from_be_bytes(sized(bytes, "Deserializer")?))),
            Self::Double => java_float(f64::from_be_bytes(sized(bytes, "Deserializer")?)),
            Self::Uuid => String::from_utf8_lossy(bytes).to_ascii_lowercase(),
        })
    }
}

/// Whole numbers have a fraction in Java.
fn java_float(number: f64) -> String {
    format!("{number:?}")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ottla_types::{Offset, Timestamp};

    use super::*;

    fn record(value: Option<&'static [u8]>) -> ConsumerRecord {
        ConsumerRecord {
            partition: ottla_client::partition("t", 2).unwrap(),
            offset: Offset::new(7),
            timestamp: Some(Timestamp::from_millis(5)),
            key: None,
            value: value.map(Bytes::from_static),
            headers: vec![
                (Bytes::from_static(b"h"), Some(Bytes::from_static(b"1"))),
                (Bytes::from_static(b"i"), None),
            ],
            leader_epoch: None,
        }
    }

    fn check(properties: &[(&str, &str)], value: Option<&'static [u8]>, expected: &str) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let properties = properties.iter().map(owned).collect();
        let formatter = Formatter::new(None, &properties).unwrap();
        let mut out = Vec::new();
        let told = match formatter.write(&mut out, &record(value), false) {
            Ok(()) => String::from_utf8(out).unwrap(),
            Err(thrown) => thrown.message,
        };
        assert_eq!(told, expected, "{properties:?}");
    }

    #[test]
    fn records_are_written_with_the_parts_that_were_asked_for() {
        let all = [
            ("print.timestamp", "true"),
            ("print.partition", "true"),
            ("print.offset", "true"),
            ("print.epoch", "true"),
            ("print.headers", "true"),
            ("print.key", "TRUE"),
        ];
        let line = "CreateTime:5\tPartition:2\tOffset:7\tEpoch:NOT_PRESENT\th:1,i:null\tnull\tv\n";
        check(&all, Some(b"v"), line);
        check(&[], Some(b"v"), "v\n");
        check(&[], None, "null\n");
        check(&[("null.literal", "-")], None, "-\n");
        check(&[("print.value", "false")], Some(b"v"), "");
        check(&[("print.value", "false"), ("print.key", "true")], Some(b"v"), "null\n");
        check(&[("key.separator", ":"), ("print.offset", "true")], Some(b"v"), "Offset:7:v\n");
        check(&[("line.separator", "|")], Some(b"v"), "v|");
    }

    #[test]
    fn bytes_mean_what_their_deserializer_says() {
        let of = |class: &'static str| [("value.deserializer", class)];
        check(&of("org.apache.kafka.common.serialization.LongDeserializer"), Some(&[0; 8]), "0\n");
        check(
            &of("org.apache.kafka.common.serialization.IntegerDeserializer"),
            Some(&[255; 4]),
            "-1\n",
        );
        check(&of("org.apache.kafka.common.serialization.StringDeserializer"), Some(b"a"), "a\n");
        check(
            &of("org.apache.kafka.common.serialization.LongDeserializer"),
            Some(b"a"),
            "Size of data received by LongDeserializer is not 8",
        );
        let strange = BTreeMap::from([("key.deserializer".to_owned(), "com.x.Avro".to_owned())]);
        let told = Formatter::new(None, &strange).unwrap_err();
        assert_eq!(told, "ottla: the deserializer com.x.Avro is not supported");
        assert!(Formatter::new(Some("com.x.Formatter"), &BTreeMap::new()).is_err());
    }
}
