//! Answers without what differs between any two nodes: ids, times, addresses, sentences.

use std::collections::BTreeMap;

use super::value::Value;

/// What is known of one node and one request.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Names of topics by their ids.
    pub(super) topics: BTreeMap<String, String>,
    /// The request's text: what it says itself is no accident.
    pub(super) asked: String,
    /// Whether the answer is of the metadata log, whose length and epochs say nothing.
    pub(super) of_quorum: bool,
}

/// Fields whose numbers are a matter of the moment, or of the machine.
const ACCIDENTS: [&str; 12] = [
    "port",
    "total_bytes",
    "usable_bytes",
    "finalized_features_epoch",
    "last_fetch_timestamp",
    "last_caught_up_timestamp",
    "log_end_offset",
    "last_timestamp",
    "size",
    "partition_size",
    "heartbeat_interval_ms",
    "acquisition_lock_timeout_ms",
];

/// Milliseconds since 1970 are larger; so is nothing else that is answered.
const TIMES_BEGIN: i64 = 1_500_000_000_000;

/// The answer in its normal form: lists are sorted, since their order is often that of a hash map.
pub(super) fn answer(value: &Value, known: &Known) -> Value {
    normal("", value, known)
}

fn normal(name: &str, value: &Value, known: &Known) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::List(elements) => {
            let mut elements: Vec<Value> =
                elements.iter().map(|element| normal(name, element, known)).collect();
            elements.sort_by_cached_key(ToString::to_string);
            Value::List(elements)
        }
        Value::Fields(fields) => {
            let kept = fields.iter().filter(|(name, _)| name != "throttle_time_ms");
            let normal = kept.map(|(name, value)| (name.clone(), normal(name, value, known)));
            Value::Fields(normal.collect())
        }
        Value::Word(word) => Value::Word(normal_word(name, word, known)),
        Value::Text(text) => normal_text(name, text, known),
    }
}

fn normal_word(name: &str, word: &str, known: &Known) -> String {
    let number: Option<i64> = word.parse().ok();
    let said = |word: &str| known.asked.contains(word);
    if word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return match known.topics.get(word) {
            _ if word.bytes().all(|byte| byte == b'0') => "0".to_owned(),
            Some(topic) => format!("$id({topic})"),
            None if said(word) => word.to_owned(),
            None => "$id".to_owned(),
        };
    }
    match (name, number) {
        ("session_id", Some(id)) if id != 0 && !said(word) => "$session".to_owned(),
        ("producer_id", Some(id)) if id >= 0 && !said(word) => "$pid".to_owned(),
        (_, Some(number)) if number > TIMES_BEGIN && number < i64::MAX => "$time".to_owned(),
        ("high_watermark" | "leader_epoch", Some(_)) if known.of_quorum => format!("${name}"),
        (name, Some(number)) if ACCIDENTS.contains(&name) && number >= 0 => format!("${name}"),
        _ => word.to_owned(),
    }
}

fn normal_text(name: &str, text: &[u8], known: &Known) -> Value {
    let text_or = |name: &str| {
        let said = std::str::from_utf8(text).is_ok_and(|text| known.asked.contains(text));
        if said { Value::Text(text.to_vec()) } else { Value::word(format!("${name}")) }
    };
    match name {
        "host" | "client_host" => Value::word("$host"),
        "cluster_id" => Value::word("$cluster"),
        "log_dir" => Value::word("$folder"),
        "documentation" => Value::word("$text"),
        name if name.ends_with("error_message") => Value::word("$text"),
        "member_id" | "leader" | "members" if !text.is_empty() => text_or("member"),
        _ => Value::Text(text.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn accidents_are_given_names() {
        check("{throttle_time_ms:3,host:'h',port:9092}",      "{host:$host,port:$port}");
        check("{error_message:'no such',offset:5}",           "{error_message:$text,offset:5}");
        check("{error_message:null,member_id:''}",            "{error_message:null,member_id:''}");
        check("{member_id:'abc-1',leader:'mine'}",            "{member_id:$member,leader:'mine'}");
        check("{session_id:77,other:1700000000000}",          "{session_id:$session,other:$time}");
        check("{session_id:0,producer_id:-1}",                "{session_id:0,producer_id:-1}");
        check("{x:[2,10,1]}",                                 "{x:[1,10,2]}");
        check("{id:000000000000000000000000000000ff}",        "{id:$id(orders)}");
        check("{id:00000000000000000000000000000000}",        "{id:0}");
        check("{id:000000000000000000000000000000fe}",        "{id:$id}");
    }

    fn check(answer: &str, expected: &str) {
        let topics = BTreeMap::from([(format!("{:032x}", 0xff), "orders".to_owned())]);
        let known = Known { topics, asked: "{member_id:'mine'}".to_owned(), of_quorum: false };
        let normal = super::answer(&Value::parse(answer).unwrap(), &known);
        assert_eq!(normal.to_string(), expected);
    }
}
