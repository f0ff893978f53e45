//! What of a line is the key, and what the value.

use ottla_types::Timestamp;

use crate::template::{Digits, Piece, Spelling, Template, Time};

/// What a line says of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) partition: Option<i32>,
    pub(super) timestamp: Option<Timestamp>,
}

/// How lines are read.
#[derive(Clone, Debug)]
pub(super) enum Split {
    /// All of it is the value.
    Value,
    /// A key in front of a separator; a line without one is all value.
    Key(Vec<u8>),
    /// Verbs, with text between them.
    Format(Vec<Piece>),
}

impl Split {
    /// # Errors
    /// When a format cannot be read: nothing would say where one field ends, or a verb is for
    /// writing only.
    pub(super) fn new(key: Option<&[u8]>, format: Option<&Template>) -> Result<Self, String> {
        let Some(format) = format else {
            return Ok(key.map_or(Self::Value, |between| Self::Key(between.to_vec())));
        };
        let mut pieces = format.pieces().to_vec();
        // The end of a line is there with or without being asked for.
        if let Some(Piece::Text(last)) = pieces.last_mut() {
            while last.last() == Some(&b'\n') {
                last.pop();
            }
            if last.is_empty() {
                pieces.pop();
            }
        }
        let is_text = |piece: &Piece| matches!(piece, Piece::Text(_));
        if pieces.windows(2).any(|pair| !is_text(&pair[0]) && !is_text(&pair[1])) {
            return Err(
                "two verbs of the format have no text between them, so nobody knows where \
                        one ends"
                    .to_owned(),
            );
        }
        let reads = |piece: &Piece| match piece {
            Piece::Text(text) => !text.contains(&b'\n'),
            Piece::Key(Spelling::Raw)
            | Piece::Value(Spelling::Raw)
            | Piece::Partition(Digits::Decimal)
            | Piece::Timestamp(Time::Millis(Digits::Decimal)) => true,
            Piece::Key(_)
            | Piece::Value(_)
            | Piece::Partition(_)
            | Piece::Timestamp(_)
            | Piece::Topic
            | Piece::Offset(_)
            | Piece::LeaderEpoch(_)
            | Piece::Headers(_)
            | Piece::HeaderCount(_)
            | Piece::KeyLength(_)
            | Piece::ValueLength(_) => false,
        };
        if !pieces.iter().all(reads) {
            return Err("a line is read by %k, %v, %p and %T, with text between them".to_owned());
        }
        Ok(Self::Format(pieces))
    }

    /// # Errors
    /// When the line does not fit the format.
    pub(super) fn fields<'a>(&self, line: &'a [u8]) -> Result<Fields<'a>, String> {
        match self {
            Self::Value => Ok(Fields { value: Some(line), ..Fields::default() }),
            Self::Key(between) => {
                let Some(at) = find(line, between) else {
                    return Ok(Fields { value: Some(line), ..Fields::default() });
                };
                let (key, value) = (Some(&line[..at]), Some(&line[at + between.len()..]));
                Ok(Fields { key, value, ..Fields::default() })
            }
            Self::Format(pieces) => by_format(pieces, line),
        }
    }
}

fn by_format<'a>(pieces: &[Piece], line: &'a [u8]) -> Result<Fields<'a>, String> {
    let unfit = || {
        let shown = String::from_utf8_lossy(&line[..line.len().min(60)]);
        format!("this line does not fit the format: {shown}")
    };
    let (mut fields, mut rest) = (Fields::default(), line);
    for (at, piece) in pieces.iter().enumerate() {
        if let Piece::Text(text) = piece {
            rest = rest.strip_prefix(text.as_slice()).ok_or_else(unfit)?;
            continue;
        }
        let len = match pieces.get(at + 1) {
            Some(Piece::Text(behind)) => find(rest, behind).ok_or_else(unfit)?,
            _ => rest.len(),
        };
        let field;
        (field, rest) = rest.split_at(len);
        let number = || std::str::from_utf8(field).ok()?.parse::<i64>().ok();
        match piece {
            Piece::Key(_) => fields.key = Some(field),
            Piece::Value(_) => fields.value = Some(field),
            Piece::Partition(_) => {
                let partition = number().and_then(|number| i32::try_from(number).ok());
                fields.partition = Some(partition.filter(|each| *each >= 0).ok_or_else(unfit)?);
            }
            Piece::Timestamp(_) => {
                let time = number().and_then(Timestamp::from_wire);
                fields.timestamp = Some(time.ok_or_else(unfit)?);
            }
            Piece::Text(_)
            | Piece::Topic
            | Piece::Offset(_)
            | Piece::LeaderEpoch(_)
            | Piece::Headers(_)
            | Piece::HeaderCount(_)
            | Piece::KeyLength(_)
            | Piece::ValueLength(_) => unreachable!("refused by `new`"),
        }
    }
    if rest.is_empty() { Ok(fields) } else { Err(unfit()) }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: &str, line: &str, expected: Option<(&str, &str)>) {
        let format = Template::parse(format).unwrap();
        let split = Split::new(None, Some(&format)).unwrap();
        let fields = split.fields(line.as_bytes()).ok();
        let text =
            |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().into()).unwrap();
        let read = fields.map(|fields| (text(fields.key), text(fields.value)));
        assert_eq!(read, expected.map(|(k, v)| (k.to_owned(), v.to_owned())), "{line}");
    }

    #[test]
    fn lines_are_split_as_the_format_has_it() {
        check("%k,%v\\n", "a,b,c", Some(("a", "b,c")));
        check("%v (%k)", "b (a)", Some(("a", "b")));
        check("%v (%k)", "b (a", None);
        check("%p %k %v", "3 a b c", Some(("a", "b c")));
        check("%p %k %v", "x a b", None);
        check("%T;%v", "1700000000000;x", Some(("", "x")));
        check("%v", "", Some(("", "")));
    }

    #[test]
    fn keys_are_in_front_of_the_separator() {
        let split = Split::new(Some(b"::"), None).unwrap();
        for (line, key, value) in [("a::b::c", Some("a"), "b::c"), ("abc", None, "abc")] {
            let fields = split.fields(line.as_bytes()).unwrap();
            assert_eq!(
                (fields.key, fields.value),
                (key.map(str::as_bytes), Some(value.as_bytes()))
            );
        }
    }

    #[test]
    fn formats_that_nobody_can_read_by_are_refused() {
        for format in ["%k%v", "%o %v", "%k{hex} %v", "%k\\n%v"] {
            let format = Template::parse(format).unwrap();
            assert!(Split::new(None, Some(&format)).is_err(), "{format:?}");
        }
    }
}
