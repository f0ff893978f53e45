//! Format strings of kcat and rpk: how a record is written, and how one is read from a line.
//!
//! `%k` key, `%v` or `%s` value, `%t` topic, `%p` partition, `%o` offset, `%h` headers, `%T` or
//! `%d` timestamp in ms, `%K` and `%S` the lengths of key and value (-1 for none), `%%` a percent
//! sign; `\n`, `\t`, `\r`, `\0`, `\\` and `\xHH` as in C. `%k{hex}` and `%v{hex}` write
//! hexadecimal.

use std::io::Write as _;

use ottla_client::ConsumerRecord;

/// One piece of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(Vec<u8>),
    Key(Spelling),
    Value(Spelling),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Headers,
    KeyLength,
    ValueLength,
}

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    Raw,
    Hex,
}

/// A format, for clap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

impl Template {
    /// A value and the end of a line.
    pub(crate) fn value_lines() -> Self {
        Self(vec![Piece::Value(Spelling::Raw), Piece::Text(b"\n".to_vec())])
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// Reads a format, for clap.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut plain) = (Vec::new(), Vec::new());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '\\' => plain.extend(escape(&mut rest)?),
                '%' => match verb(&mut rest)? {
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
        Ok(Self(pieces))
    }

    /// Appends a record as the format has it.
    pub(crate) fn write(&self, out: &mut Vec<u8>, record: &ConsumerRecord) {
        let length = |bytes: &Option<_>| {
            bytes.as_ref().map_or(-1, |bytes: &bytes::Bytes| as_i64(bytes.len()))
        };
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Key(spelling) => put(out, record.key.as_deref(), *spelling),
                Piece::Value(spelling) => put(out, record.value.as_deref(), *spelling),
                Piece::Topic => out.extend_from_slice(record.partition.topic.as_str().as_bytes()),
                Piece::Partition => put_number(out, record.partition.partition.get().into()),
                Piece::Offset => put_number(out, record.offset.get()),
                Piece::Timestamp => {
                    put_number(out, record.timestamp.map_or(-1, ottla_types::Timestamp::millis));
                }
                Piece::KeyLength => put_number(out, length(&record.key)),
                Piece::ValueLength => put_number(out, length(&record.value)),
                Piece::Headers => put_headers(out, record),
            }
        }
    }
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
    }
}

fn put_number(out: &mut Vec<u8>, number: i64) {
    write!(out, "{number}").expect("a Vec takes everything");
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

fn verb(rest: &mut &str) -> Result<Piece, String> {
    let verb =
        rest.chars().next().ok_or("a format ends in the middle of a %verb; %% is a percent")?;
    *rest = &rest[verb.len_utf8()..];
    let spelling = |rest: &mut &str| {
        let hex = rest.strip_prefix("{hex}");
        hex.map_or(Spelling::Raw, |behind| {
            *rest = behind;
            Spelling::Hex
        })
    };
    Ok(match verb {
        'k' => Piece::Key(spelling(rest)),
        'v' | 's' => Piece::Value(spelling(rest)),
        't' => Piece::Topic,
        'p' => Piece::Partition,
        'o' => Piece::Offset,
        'T' | 'd' => Piece::Timestamp,
        'h' => Piece::Headers,
        'K' => Piece::KeyLength,
        'S' => Piece::ValueLength,
        '%' => Piece::Text(b"%".to_vec()),
        other => {
            return Err(format!(
                "%{other} is none of %k %v %s %t %p %o %h %T %d %K %S %% (and %k{{hex}}, %v{{hex}})"
            ));
        }
    })
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
    use ottla_types::{Offset, Timestamp};

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
            ("%k{hex} %v{hex}", "6d65 70616964"),
            ("é", "é"),
        ] {
            let mut out = Vec::new();
            Template::parse(format).unwrap().write(&mut out, &record(Some(b"me")));
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{format}");
        }
        let mut out = Vec::new();
        Template::parse("%K,%k.").unwrap().write(&mut out, &record(None));
        assert_eq!(out, b"-1,.");
    }

    #[test]
    fn mistakes_are_named() {
        for (format, told) in [
            ("%x", "%x is none of %k %v"),
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
