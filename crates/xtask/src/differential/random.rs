//! Requests drawn by the schema: each field by its type and name, from what exists and what does
//! not.

use super::catalog::{Api, Catalog};
use super::encode::{self, name_of, struct_of};
use super::peer::{Peer, Row};
use super::script::Mood;
use super::value::Value;
use crate::generate::schema::{Field, FieldKind, Message, Struct};
use crate::hostile::{Random, crc32c};

/// Requests of one API and version of one seed.
const REQUESTS: u64 = 6;

/// Requests that change what later ones are answered, or wait for others: only written cases have
/// them. ApiVersions has a case for each of its fields; what ListGroups tells changes while one
/// looks.
const NOT_DRAWN: [&str; 3] = ["ApiVersions", "UpdateFeatures", "ListGroups"];

/// Asks what the seed draws.
///
/// # Errors
/// When the node cannot be reached.
pub(super) fn ask(peer: &mut Peer<'_>, seed: u64, catalog: &Catalog) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for api in catalog.apis.iter().filter(|api| !NOT_DRAWN.contains(&api.name.as_str())) {
        for version in api.versions() {
            let mut random = Random::new(
                seed << 32
                    | u64::from(api.key.unsigned_abs()) << 16
                    | u64::from(version.unsigned_abs()),
            );
            for number in 0..REQUESTS {
                let drawn = Drawer { message: &api.request, version, random: &mut random };
                let drawn = drawn.draw(seed, number);
                rows.push(one(peer, api, version, (seed, number), &drawn)?);
            }
        }
    }
    Ok(rows)
}

fn one(
    peer: &mut Peer<'_>,
    api: &Api,
    version: i16,
    (seed, number): (u64, u64),
    drawn: &Value,
) -> Result<Row, String> {
    let asked = drawn.to_string();
    // A record that was made of other requests must not be taken for one of these.
    let question = format!("#{number} {:08x}", crc32c(asked.as_bytes()));
    let api = peer.catalog().api(&api.name)?;
    let text = peer.fill(&asked, version)?;
    let value = Value::parse(&text).map_err(|error| error.to_string())?;
    let body = encode::body(&api.request, version, &value)
        .map_err(|why| format!("{} v{version} {text}: {why}", api.name))?;
    // Without acknowledgement nothing comes, unless the connection is closed.
    let silent = api.name == "Produce" && value.field("acks") == Some(&Value::word(0));
    let mood = if silent { Mood::Silent } else { Mood::Plain };
    let reply = peer.body(api, (version, version), mood, &body.bytes, &text)?;
    Ok(Row { case: format!("seed {seed}/{}", api.name), question, version, asked, reply })
}

struct Drawer<'m, 'r> {
    message: &'m Message,
    version: i16,
    random: &'r mut Random,
}

impl Drawer<'_, '_> {
    fn draw(mut self, seed: u64, number: u64) -> Value {
        let drawn = self.structure(&self.message.structs[0]);
        let api = self.message.structs[0].name.trim_end_matches("Request");
        // A group of its own for each request: what one does to it is not seen by the next.
        let group = format!("{api}-{seed}-{}-{number}", self.version);
        own_group(drawn, &group)
    }

    fn structure(&mut self, item: &Struct) -> Value {
        let version = self.version;
        let lives = |field: &&Field| (field.versions.low..=field.versions.high).contains(&version);
        let mut fields = Vec::new();
        for field in item.fields.iter().filter(lives) {
            if field.tag.is_some() && self.random.below(2) == 0 {
                continue;
            }
            fields.push((name_of(field).to_owned(), self.field(field)));
        }
        Value::Fields(fields)
    }

    fn field(&mut self, field: &Field) -> Value {
        let nullable = field.nullable.is_some_and(|first| self.version >= first);
        // Null records leave Apache Kafka's connection without an answer for ever.
        if nullable && field.kind != FieldKind::Records && self.random.below(5) == 0 {
            return Value::Null;
        }
        self.value(&field.kind, name_of(field))
    }

    fn value(&mut self, kind: &FieldKind, name: &str) -> Value {
        match kind {
            FieldKind::Bool => self.word(booleans(name)),
            FieldKind::Uuid if self.deletes() => self.word(&["0", UNKNOWN_ID]),
            FieldKind::Uuid => self.word(&["0", "$id(first)", "$id(second)", UNKNOWN_ID]),
            FieldKind::String => self.text(name),
            FieldKind::Bytes => Value::Text(self.random.pick(&[vec![], vec![0, 0]]).clone()),
            FieldKind::Records => Value::text(self.random.pick::<&str>(&BATCHES)),
            FieldKind::Struct(name) => self.structure(struct_of(self.message, name)),
            FieldKind::List(inner) => {
                // What is asked for twice has its own cases.
                let count = *self.random.pick(&[0, 1, 1, 1]);
                Value::List((0..count).map(|_| self.value(inner, name)).collect())
            }
            FieldKind::I8
            | FieldKind::I16
            | FieldKind::U16
            | FieldKind::I32
            | FieldKind::U32
            | FieldKind::I64
            | FieldKind::F64 => self.word(numbers(self.message, name)),
        }
    }

    fn word(&mut self, words: &[&str]) -> Value {
        Value::word(self.random.pick(words))
    }

    /// Whether topics that are named are topics that go.
    fn deletes(&self) -> bool {
        self.message.structs[0].name == "DeleteTopicsRequest"
    }

    fn text(&mut self, name: &str) -> Value {
        let texts: &[&str] = match name {
            _ if self.deletes() => &["absent", "", "bad/name"],
            "group_id" | "groups" | "groups_names" | "key" | "coordinator_keys" => {
                &[GROUP, GROUP, ""]
            }
            "client_id" => &["a"],
            name if name.contains("config") => &["retention.ms", "max.message.bytes", "absent"],
            "value" => &["1000", "-7", "x", ""],
            "member_id" | "group_instance_id" | "instance_id" => &["", "nobody"],
            "protocol_type" => &["consumer", ""],
            "protocol_name" | "server_assignor" => &["range", "uniform", "absent"],
            _ => {
                &["first", "second", "first", "absent", "", "bad/name", "..", "__consumer_offsets"]
            }
        };
        Value::text(self.random.pick::<&str>(texts))
    }
}

/// Where a group's name is drawn.
const GROUP: &str = "$group";

const UNKNOWN_ID: &str = "55555555555555555555555555555555";

const BATCHES: [&str; 6] = [
    "@batch a",
    "@batch k:v b",
    "@batch a harm=17:00000000",
    "@batch a poke=57:00000002",
    "@batch a;@batch b",
    "",
];

fn booleans(name: &str) -> &'static [&'static str] {
    match name {
        // What is only looked at changes nothing for those that come later.
        "validate_only" => &["true"],
        _ => &["true", "false"],
    }
}

/// Numbers for a field: what has a meaning there, and what has none.
fn numbers(message: &Message, name: &str) -> &'static [&'static str] {
    let api = message.structs[0].name.trim_end_matches("Request");
    match (api, name) {
        ("DeleteRecords", "offset") => &["-2", "99999", "0"],
        (_, "max_wait_ms") => &["0", "1", "-1"],
        (_, "timeout_ms") => &["5000", "10000"],
        (_, "acks") => &["-1", "1", "0", "2"],
        (_, "session_timeout_ms") => &["6000", "10000", "1"],
        (_, "rebalance_timeout_ms") => &["100", "1000"],
        (_, "num_partitions" | "count") => &["1", "0", "-1", "-2", "3"],
        (_, "replication_factor") => &["1", "-1", "0", "2", "-2"],
        (_, "partition_max_bytes" | "max_bytes" | "min_bytes") => &["0", "1", "1000000", "-1"],
        (_, "replica_id" | "replica_epoch") => &["-1"],
        (_, "timestamp") => &["-1", "-2", "-3", "-4", "-5", "-6", "-7", "0", "9999999999999"],
        (_, "resource_type") => &["2", "2", "32", "0", "99"],
        (_, "config_operation") => &["0", "1", "2", "3", "9"],
        (_, "acls_filter" | "resource_type_filter" | "permission_type" | "operation") => {
            &["0", "1", "2", "3"]
        }
        (_, "member_epoch" | "generation_id" | "generation_id_or_member_epoch") => {
            &["-1", "0", "1", "-2"]
        }
        (_, "key_type") => &["0", "0", "9"],
        (_, "retention_time_ms") => &["-1", "1000"],
        (_, "producer_id" | "producer_epoch") => &["-1", "5"],
        (_, "transaction_timeout_ms") => &["1000", "0", "-1", "2147483647"],
        _ => &["0", "0", "1", "2", "-1", "127"],
    }
}

/// Puts the group's name where one was drawn.
fn own_group(value: Value, group: &str) -> Value {
    match value {
        Value::Text(text) if text == GROUP.as_bytes() => Value::text(group),
        Value::List(elements) => {
            Value::List(elements.into_iter().map(|element| own_group(element, group)).collect())
        }
        Value::Fields(fields) => Value::Fields(
            fields.into_iter().map(|(name, value)| (name, own_group(value, group))).collect(),
        ),
        Value::Null | Value::Word(_) | Value::Text(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_drawn_can_be_sent() {
        let catalog = Catalog::read().unwrap();
        for api in &catalog.apis {
            for version in api.versions() {
                for seed in 0..20 {
                    let mut random = Random::new(seed);
                    let drawer = Drawer { message: &api.request, version, random: &mut random };
                    let text = drawer.draw(seed, 1).to_string();
                    let text = text.replace("$id(first)", "1").replace("$id(second)", "2");
                    let value = Value::parse(&text).unwrap();
                    let body = encode::body(&api.request, version, &value);
                    assert!(body.is_ok(), "{} v{version} {text}: {body:?}", api.name);
                }
            }
        }
    }
}
