//! Requests that are spoilt in each way that their schema allows: one sound request of each API
//! and version, and everything that can be wrong with its bytes.

use super::catalog::{Api, Catalog};
use super::encode::{self, Body, Mark, varint};
use super::peer::{Peer, Reply, Row};
use super::script::{Ask, Case, Mood};
use super::value::Value;

/// Marks that are spoilt in one request; what lies behind them is more of the same.
const MARKS_MAX: usize = 8;

/// Asks everything that can be wrong with the samples, each a case of one sound request.
///
/// # Errors
/// When the node cannot be reached, or a sample is none.
pub(super) fn ask(
    peer: &mut Peer<'_>,
    samples: &[Case],
    catalog: &Catalog,
) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for step in samples.iter().flat_map(|case| &case.steps) {
        let Ask::Request { api, versions, value, .. } = &step.ask else {
            return Err(format!("a sample is a request: {}", step.text));
        };
        let api = catalog.api(api)?;
        for version in versions.clone() {
            let value = Value::parse(&peer.fill(value, version)?).map_err(|e| e.to_string())?;
            let body = encode::body(&api.request, version, &value)?;
            rows.extend(spoilt(peer, api, version, &body, &value)?);
        }
    }
    Ok(rows)
}

fn spoilt<'c>(
    peer: &mut Peer<'c>,
    api: &Api,
    version: i16,
    body: &Body,
    value: &Value,
) -> Result<Vec<Row>, String> {
    let text = value.to_string();
    let own = peer.catalog().api(&api.name)?;
    let mut ask = |bytes: &[u8]| peer.body(own, (version, version), Mood::Plain, bytes, &text);
    let row = |question: &str, reply| Row {
        case: format!("shapes/{}", api.name),
        question: question.to_owned(),
        version,
        asked: text.clone(),
        reply,
    };
    let sound = ask(&body.bytes)?;
    let mut rows = vec![row("sound", sound.clone())];
    for (question, bytes) in variants(api, version, body) {
        let reply = ask(&bytes)?;
        let reply = if reply == sound { Reply::Odd("as the sound one".to_owned()) } else { reply };
        rows.push(row(&question, reply));
    }
    Ok(rows)
}

/// Everything that can be wrong, with a name for each.
fn variants(api: &Api, version: i16, body: &Body) -> Vec<(String, Vec<u8>)> {
    let flexible = encode::is_flexible(&api.request, version);
    let sound = &body.bytes;
    let mut all = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>| all.push((name.to_owned(), bytes));
    if !sound.is_empty() {
        add("nothing", Vec::new());
        add("half of it", sound[..sound.len() / 2].to_vec());
        add("one byte less", sound[..sound.len() - 1].to_vec());
    }
    add("bytes behind it", [sound.as_slice(), &[0xaa; 5]].concat());
    if flexible && sound.ends_with(&[0]) {
        let fields = &sound[..sound.len() - 1];
        add("an unknown tag", [fields, &[1, 99, 2, 0xee, 0xee]].concat());
        add("an unknown tag that is cut", [fields, &[1, 99, 9, 0xee]].concat());
        add("one tag twice", [fields, &[2, 99, 0, 99, 0]].concat());
        add("tags out of order", [fields, &[2, 99, 0, 98, 0]].concat());
        add("more tags than bytes", [fields, &[0xff, 0xff, 0xff, 0xff, 7]].concat());
    }
    for (number, mark) in body.marks.iter().take(MARKS_MAX).enumerate() {
        for (what, bytes) in spoil_mark(sound, *mark, flexible) {
            all.push((format!("{what} {number}"), bytes));
        }
    }
    all
}

fn spoil_mark(sound: &[u8], mark: Mark, flexible: bool) -> Vec<(&'static str, Vec<u8>)> {
    let (at, bytes) = match mark {
        Mark::Count { at, bytes } | Mark::Length { at, bytes, .. } => (at, bytes),
    };
    let with = |length: Option<i64>| {
        let mut spoilt = sound[..at].to_vec();
        match length {
            Some(length) if flexible => {
                varint(&mut spoilt, length.cast_unsigned().wrapping_add(1) & 0xffff_ffff);
            }
            None if flexible => spoilt.push(0),
            Some(length) => spoilt.extend(&length.to_be_bytes()[8 - bytes..]),
            None => spoilt.extend(vec![0xff; bytes]),
        }
        spoilt.extend(&sound[at + bytes..]);
        spoilt
    };
    match mark {
        Mark::Count { .. } => vec![
            ("a null list", with(None)),
            ("a list of two billion", with(Some(i32::MAX.into()))),
            ("a list of minus two", with(Some(-2))),
        ],
        Mark::Length { text, .. } => {
            let mut all = vec![
                ("a text of 30,000", with(Some(30_000))),
                ("a text of minus two", with(Some(-2))),
            ];
            // A null in the place of a text leaves the text behind: another mistake.
            if text == 0 {
                all.push(("a null text", with(None)));
            } else {
                let mut spoilt = sound.to_vec();
                spoilt[at + bytes] = 0xff;
                all.push(("a text that is no UTF-8", spoilt));
                let mut without = with(None);
                without.drain(at + bytes..at + bytes + text);
                all.push(("a null text", without));
            }
            all
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn each_length_is_spoilt() {
        let sound = [0, 2, b'a', b'b', 9];
        let spoilt = spoil_mark(&sound, Mark::Length { at: 0, bytes: 2, text: 2 }, false);
        let expected: [(&str, &[u8]); 4] = [
            ("a text of 30,000",        &[0x75, 0x30, b'a', b'b', 9]),
            ("a text of minus two",     &[0xff, 0xfe, b'a', b'b', 9]),
            ("a text that is no UTF-8", &[0, 2, 0xff, b'b', 9]),
            ("a null text",             &[0xff, 0xff, 9]),
        ];
        assert_eq!(spoilt, expected.map(|(name, bytes)| (name, bytes.to_vec())));
        let spoilt = spoil_mark(&[3, 1, 1], Mark::Count { at: 0, bytes: 1 }, true);
        assert_eq!(spoilt[0].1, [0, 1, 1]);
        assert_eq!(spoilt[1].1, [0x80, 0x80, 0x80, 0x80, 8, 1, 1]);
    }
}
