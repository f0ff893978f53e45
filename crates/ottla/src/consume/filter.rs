//! Which records are shown.

use std::str::FromStr;

use ottla_client::ConsumerRecord;
use regex::bytes::{Regex, RegexBuilder};

use crate::pattern::Glob;

/// What a compiled expression may take: 1 MiB, so that no expression takes the machine.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// One condition: `value=GLOB`, `key~REGEX`, `header.by=card`; a bare GLOB is about the value.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    field: Field,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Key,
    Value,
    Header(String),
}

#[derive(Clone, Debug)]
enum Test {
    Glob(Glob),
    Regex(Regex),
}

/// For clap.
pub(super) fn filter(text: &str) -> Result<Filter, String> {
    let at = text.find(['=', '~']);
    let named = at.and_then(|at| {
        let field = match text.get(..at)? {
            "key" => Field::Key,
            "value" => Field::Value,
            name => Field::Header(name.strip_prefix("header.")?.to_owned()),
        };
        Some((field, text.get(at..=at)? == "~", text.get(at + 1..)?))
    });
    let (field, is_regex, pattern) = named.unwrap_or((Field::Value, false, text));
    let test = if is_regex {
        let regex = RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build();
        Test::Regex(regex.map_err(|error| error.to_string())?)
    } else {
        let Ok(glob) = Glob::from_str(pattern);
        Test::Glob(glob)
    };
    Ok(Filter { field, test })
}

impl Filter {
    /// Whether the record has the field, and the field fits.
    pub(super) fn fits(&self, record: &ConsumerRecord) -> bool {
        let fits = |bytes: &[u8]| match &self.test {
            Test::Glob(glob) => glob.fits_bytes(bytes),
            Test::Regex(regex) => regex.is_match(bytes),
        };
        match &self.field {
            Field::Key => record.key.as_deref().is_some_and(fits),
            Field::Value => record.value.as_deref().is_some_and(fits),
            Field::Header(name) => {
                let ours = record.headers.iter().filter(|(each, _)| each == name.as_bytes());
                ours.filter_map(|(_, value)| value.as_deref()).any(fits)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn records_that_fit_are_shown() {
        let record = ConsumerRecord {
            partition: ottla_client::partition("t", 0).unwrap(),
            offset: ottla_types::Offset::ZERO,
            timestamp: None,
            key: Some(Bytes::from_static(b"order-7")),
            value: Some(Bytes::from_static(b"{\"paid\":true}")),
            headers: vec![(Bytes::from_static(b"by"), Some(Bytes::from_static(b"card")))],
            leader_epoch: None,
        };
        for (text, expected) in [
            ("*paid*", true),
            ("paid", false),
            ("key=order-*", true),
            ("key=order", false),
            ("key~^order-[0-9]$", true),
            ("value~paid.:false", false),
            ("header.by=card", true),
            ("header.by=cash", false),
            ("header.to=*", false),
            ("x=y", false),
        ] {
            assert_eq!(filter(text).unwrap().fits(&record), expected, "{text}");
        }
        assert!(filter("key~(").is_err());
        assert!(filter("key~(a{1000}){1000}").is_err(), "no expression takes the machine");
    }
}
