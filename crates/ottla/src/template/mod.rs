//! Format strings of kcat and rpk: how a record is written, and how one is read from a line.
//!
//! `%k` key, `%v` or `%s` value, `%t` topic, `%p` partition, `%o` offset, `%e` leader epoch, `%h`
//! headers, `%H` their number, `%T` or `%d` timestamp in ms, `%K` and `%V` (or `%S`) the lengths
//! of key and value (-1 for none), `%R` the latter as four bytes, `%%` a percent sign; `\n`, `\t`,
//! `\r`, `\0`, `\\` and `\xHH` as in C. Behind a verb, in braces, is how it is spelled: see
//! [`verbs`].

mod verbs;

use std::io::Write as _;

use ottla_client::ConsumerRecord;
use ottla_types::Timestamp;

use crate::words;

/// One piece of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(Vec<u8>),
    Key(Spelling),
    Value(Spelling),
    Topic,
    Partition(Digits),
    Offset(Digits),
    LeaderEpoch(Digits),
    Timestamp(Time),
    Headers(HeaderForm),
    HeaderCount(Digits),
    KeyLength(Digits),
    ValueLength(Digits),
}

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    Raw,
    Hex,
    Base64,
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Digits {
    Decimal,
    Hex,
    /// So many bytes, the highest first.
    Big(usize),
    /// So many bytes, the lowest first.
    Little(usize),
}

/// How a time is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    /// Milliseconds since 1970.
    Millis(Digits),
    /// As [`words::strftime`] has it.
    Calendar(String),
}

/// How headers are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeaderForm {
    /// `name=value,name=value`, as kcat does; a header without a value has NULL.
    List,
    /// Each by a format of its own, of text, key and value.
    Each(Vec<Piece>),
}

/// A format, for clap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
    /// What is written of a key, or of a value, that is null or empty.
    null: &'static [u8],
}

impl Template {
    /// A value and the end of a line.
    pub(crate) fn value_lines() -> Self {
        Self::of(vec![Piece::Value(Spelling::Raw), Piece::Text(b"\n".to_vec())])
    }

    const fn of(pieces: Vec<Piece>) -> Self {
        Self { pieces, null: b"" }
    }

    /// The same format, which names nulls; what is empty, too, as kcat does.
    pub(crate) fn with_null(mut self, null: &'static [u8]) -> Self {
        self.null = null;
        self
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Reads a format, for clap.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut plain) = (Vec::new(), Vec::new());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '\\' => plain.extend(escape(&mut rest)?),
                '%' => match verbs::verb(&mut rest)? {
                    Piece::Text(percent) => plain.extend(percent),
                    piece => {
                        if !plain.is_empty() {
                            pieces.push(Piece::Text(std::mem::take(&mut plain)));
                        }
                        pieces.push(piece);
                    }
                },
                c => plain.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self::of(pieces))
    }

    /// Appends a record as the format has it.
    pub(crate) fn write(&self, out: &mut Vec<u8>, record: &ConsumerRecord) {
        let length = |bytes: &Option<_>| {
            bytes.as_ref().map_or(-1, |bytes: &bytes::Bytes| as_i64(bytes.len()))
        };
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Key(_) if is_empty(&record.key) => out.extend_from_slice(self.null),
                Piece::Value(_) if is_empty(&record.value) => out.extend_from_slice(self.null),
                Piece::Key(spelling) => put(out, record.key.as_deref(), *spelling),
                Piece::Value(spelling) => put(out, record.value.as_deref(), *spelling),
                Piece::Topic => out.extend_from_slice(record.partition.topic.as_str().as_bytes()),
                Piece::Partition(digits) => {
                    put_number(out, record.partition.partition.get().into(), *digits);
                }
                Piece::Offset(digits) => put_number(out, record.offset.get(), *digits),
                Piece::LeaderEpoch(digits) => {
                    let epoch = record.leader_epoch.map_or(-1, |epoch| epoch.get().into());
                    put_number(out, epoch, *digits);
                }
                Piece::Timestamp(time) => put_time(out, record.timestamp, time),
                Piece::KeyLength(digits) => put_number(out, length(&record.key), *digits),
                Piece::ValueLength(digits) => put_number(out, length(&record.value), *digits),
                Piece::HeaderCount(digits) => {
                    put_number(out, as_i64(record.headers.len()), *digits);
                }
                Piece::Headers(HeaderForm::List) => put_headers(out, record),
                Piece::Headers(HeaderForm::Each(pieces)) => put_each_header(out, record, pieces),
            }
        }
    }
}

fn is_empty(bytes: &Option<bytes::Bytes>) -> bool {
    bytes.as_ref().is_none_or(bytes::Bytes::is_empty)
}

fn as_i64(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

fn put(out: &mut Vec<u8>, bytes: Option<&[u8]>, spelling: Spelling) {
    match (bytes, spelling) {
        (None, _) => {}
        (Some(bytes), Spelling::Raw) => out.extend_from_slice(bytes),
        (Some(bytes), Spelling::Hex) => {
            for byte in bytes {
                write!(out, "{byte:02x}").expect("a Vec takes everything");
            }
        }
        (Some(bytes), Spelling::Base64) => out.extend_from_slice(words::base64(bytes).as_bytes()),
    }
}

fn put_number(out: &mut Vec<u8>, number: i64, digits: Digits) {
    match digits {
        Digits::Decimal => write!(out, "{number}").expect("a Vec takes everything"),
        Digits::Hex => write!(out, "{number:x}").expect("a Vec takes everything"),
        Digits::Big(len) => out.extend_from_slice(&number.to_be_bytes()[8 - len..]),
        Digits::Little(len) => out.extend_from_slice(&number.to_le_bytes()[..len]),
    }
}

fn put_time(out: &mut Vec<u8>, timestamp: Option<Timestamp>, time: &Time) {
    match (time, timestamp) {
        (Time::Millis(digits), _) => {
            put_number(out, timestamp.map_or(-1, Timestamp::millis), *digits);
        }
        (Time::Calendar(format), Some(timestamp)) => {
            let text = words::strftime(format, timestamp).expect("it was tried when it was read");
            out.extend_from_slice(text.as_bytes());
        }
        (Time::Calendar(_), None) => out.push(b'-'),
    }
}

fn put_headers(out: &mut Vec<u8>, record: &ConsumerRecord) {
    for (at, (name, value)) in record.headers.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value.as_deref().unwrap_or(b"NULL"));
    }
}

/// `pieces` are of text, keys and values: there is nothing else to a header.
fn put_each_header(out: &mut Vec<u8>, record: &ConsumerRecord, pieces: &[Piece]) {
    for (name, value) in &record.headers {
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Key(spelling) => put(out, Some(name), *spelling),
                Piece::Value(spelling) => put(out, value.as_deref(), *spelling),
                Piece::Topic
                | Piece::Partition(_)
                | Piece::Offset(_)
                | Piece::LeaderEpoch(_)
                | Piece::Timestamp(_)
                | Piece::Headers(_)
                | Piece::HeaderCount(_)
                | Piece::KeyLength(_)
                | Piece::ValueLength(_) => unreachable!("refused when it was read"),
            }
        }
    }
}

fn escape(rest: &mut &str) -> Result<Vec<u8>, String> {
    let c = rest.chars().next().ok_or("a format ends in the middle of a \\escape")?;
    *rest = &rest[c.len_utf8()..];
    let byte = match c {
        'n' => b'\n',
        't' => b'\t',
        'r' => b'\r',
        '0' => 0,
        '\\' => b'\\',
        'x' => {
            let digits = rest.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
            let byte = digits.ok_or("\\x takes two hexadecimal digits, as in \\x1f")?;
            *rest = &rest[2..];
            byte
        }
        other => return Err(format!("\\{other} is none of \\n \\t \\r \\0 \\\\ \\xHH")),
    };
    Ok(vec![byte])
}

/// A piece of text with escapes, as a separator is: for clap.
pub(crate) fn text(text: &str) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => plain.extend(escape(&mut rest)?),
            c => plain.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ottla_types::Offset;

    fn record(key: Option<&'static [u8]>) -> ConsumerRecord {
        ConsumerRecord {
            partition: ottla_client::partition("orders", 3).unwrap(),
            offset: Offset::new(42),
            timestamp: Some(Timestamp::from_millis(1_700_000_000_000)),
            key: key.map(Bytes::from_static),
            value: Some(Bytes::from_static(b"paid")),
            headers: vec![
                (Bytes::from_static(b"by"), Some(Bytes::from_static(b"card"))),
                (Bytes::from_static(b"x"), None),
            ],
            leader_epoch: None,
        }
    }

    #[test]
    fn records_are_written_as_the_format_has_it() {
        for (format, expected) in [
            ("%v\\n", "paid\n"),
            ("%t[%p]@%o %k=%s", "orders[3]@42 me=paid"),
            ("%T %d %h", "1700000000000 1700000000000 by=card,x=NULL"),
            ("%K %S 100%%\\x41\\t", "2 4 100%A\t"),
            ("%k{hex} %v{hex} %v{base64}", "6d65 70616964 cGFpZA=="),
            ("%H %V %e %o{hex} %p{big16}", "2 4 -1 2a \0\u{3}"),
            ("%R%p{little32}", "\0\0\0\u{4}\u{3}\0\0\0"),
            ("%h{%k:%v{hex};} %h{}", "by:63617264;x:; "),
            ("%d{strftime[%F %T]}", "2023-11-14 22:13:20"),
            ("%%{%k}", "%{me}"),
            ("é", "é"),
        ] {
            let mut out = Vec::new();
            Template::parse(format).unwrap().write(&mut out, &record(Some(b"me")));
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{format}");
        }
        let mut out = Vec::new();
        Template::parse("%K,%k.").unwrap().write(&mut out, &record(None));
        assert_eq!(out, b"-1,.");
        out.clear();
        Template::parse("%k=%s").unwrap().with_null(b"NULL").write(&mut out, &record(None));
        assert_eq!(out, b"NULL=paid");
    }

    #[test]
    fn mistakes_are_named() {
        for (format, told) in [
            ("%x", "%x is none of %k %v"),
            ("%k{json}", "%k{json}: keys and values are spelled {hex} or {base64}"),
            ("%o{base64}", "%o{base64}: numbers are spelled {hex}, {big32}, {little64}"),
            ("%d{strftime[%q]}", "strftime's verbs are"),
            ("%h{%o}", "headers have %k and %v"),
            ("%k{hex", "no } for the {"),
            ("%h{%k{hex}", "no } for the {"),
            ("%t{hex}", "%t takes no {hex}"),
            ("%", "in the middle of a %verb"),
            ("\\q", "\\q is none of"),
            ("\\x4", "two hexadecimal digits"),
            ("\\", "in the middle of a \\escape"),
        ] {
            let error = Template::parse(format).unwrap_err();
            assert!(error.contains(told), "{format}: {error}");
        }
        assert_eq!(text("a\\t|"), Ok(b"a\t|".to_vec()));
    }
}
