//! How `kafka-console-producer` takes a line apart.

use std::collections::BTreeMap;

use regex::bytes::Regex;

use super::thrown::Thrown;

/// The class that Kafka's tool has for it; another one cannot be loaded here.
pub(super) const CLASS: &str = "org.apache.kafka.tools.LineMessageReader";

/// What is between the parts of a line, and which parts it has.
#[derive(Debug)]
pub(super) struct LineReader {
    key: Option<String>,
    headers: Option<Headers>,
    ignores_errors: bool,
    null: Option<String>,
}

#[derive(Debug)]
struct Headers {
    /// Behind all of them.
    end: String,
    between: Regex,
    /// Between a header's name and its value.
    middle: String,
}

/// A header's name and its value.
pub(super) type Header<'a> = (&'a str, Option<&'a [u8]>);

/// The parts of a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Vec<Header<'a>>,
}

fn kafka(told: impl Into<String>) -> Thrown {
    Thrown::new("org.apache.kafka.common.KafkaException", told)
}

fn position(text: &[u8], of: &str) -> Option<usize> {
    let of = of.as_bytes();
    if of.is_empty() {
        return Some(0);
    }
    text.windows(of.len()).position(|window| window == of)
}

impl LineReader {
    pub(super) fn new(properties: &BTreeMap<String, String>) -> Result<Self, Thrown> {
        let text = |name: &str, usual: &str| {
            properties.get(name).cloned().unwrap_or_else(|| usual.to_owned())
        };
        let flag = |name: &str| text(name, "false").trim().eq_ignore_ascii_case("true");
        let key = text("key.separator", "\t");
        let (end, between) = (text("headers.delimiter", "\t"), text("headers.separator", ","));
        let middle = text("headers.key.separator", ":");
        let null = properties.get("null.marker").cloned();
        let named = [
            ("headers.delimiter", &end),
            ("headers.separator", &between),
            ("headers.key.separator", &middle),
        ];
        for (at, (one, value)) in named.iter().enumerate() {
            let same = named[at + 1..].iter().find(|(_, other)| other == value);
            if let Some((other, _)) = same {
                return Err(kafka(format!("{one} and {other} may not be equal")));
            }
        }
        let all = [("key.separator", &key)].into_iter().chain(named);
        for (name, value) in all {
            if null.as_ref() == Some(value) {
                return Err(kafka(format!("null.marker and {name} may not be equal")));
            }
        }
        let between = Regex::new(&between).map_err(|why| {
            Thrown::new("java.util.regex.PatternSyntaxException", why.to_string())
        })?;
        let headers = Headers { end, between, middle };
        Ok(Self {
            key: flag("parse.key").then_some(key),
            headers: flag("parse.headers").then_some(headers),
            ignores_errors: flag("ignore.error"),
            null,
        })
    }

    /// Takes a line apart, the `number`th one.
    pub(super) fn parts<'a>(&self, line: &'a [u8], number: u64) -> Result<Parts<'a>, Thrown> {
        let mut parts = Parts::default();
        let mut rest = line;
        if let Some(headers) = &self.headers {
            let all;
            (all, rest) = self.part(rest, &headers.end, ("headers delimiter", line, number))?;
            if let Some(all) = all.filter(|all| !self.is_null(all)) {
                parts.headers = self.headers_of(headers, all, number)?;
            }
        }
        if let Some(separator) = &self.key {
            (parts.key, rest) = self.part(rest, separator, ("key separator", line, number))?;
        }
        parts.key = parts.key.filter(|key| !self.is_null(key));
        parts.value = Some(rest).filter(|value| !self.is_null(value));
        Ok(parts)
    }

    fn is_null(&self, part: &[u8]) -> bool {
        self.null.as_ref().is_some_and(|null| null.as_bytes() == part)
    }

    /// What is before a separator, and what is behind it.
    fn part<'a>(
        &self,
        text: &'a [u8],
        separator: &str,
        (what, line, number): (&str, &[u8], u64),
    ) -> Result<(Option<&'a [u8]>, &'a [u8]), Thrown> {
        match position(text, separator) {
            Some(at) => Ok((Some(&text[..at]), &text[at + separator.len()..])),
            None if self.ignores_errors => Ok((None, text)),
            None => {
                let line = String::from_utf8_lossy(line);
                Err(kafka(format!("No {what} found on line number {number}: '{line}'")))
            }
        }
    }

    fn headers_of<'a>(
        &self,
        headers: &Headers,
        all: &'a [u8],
        number: u64,
    ) -> Result<Vec<Header<'a>>, Thrown> {
        let name = |bytes: &'a [u8]| {
            std::str::from_utf8(bytes)
                .map_err(|_| kafka(format!("A header's name is not UTF-8 on line number {number}")))
        };
        let mut found = Vec::new();
        for pair in headers.between.split(all) {
            let Some(at) = position(pair, &headers.middle) else {
                if self.ignores_errors {
                    found.push((name(pair)?, None));
                    continue;
                }
                let pair = String::from_utf8_lossy(pair);
                return Err(kafka(format!(
                    "No header key separator found in pair '{pair}' on line number {number}"
                )));
            };
            if self.is_null(&pair[..at]) {
                let null = self.null.as_deref().unwrap_or_default();
                return Err(kafka(format!(
                    "Header keys should not be equal to the null marker '{null}' as they can't be \
                     null"
                )));
            }
            let value = &pair[at + headers.middle.len()..];
            found.push((name(&pair[..at])?, Some(value).filter(|value| !self.is_null(value))));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(properties: &[(&str, &str)]) -> Result<LineReader, Thrown> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        LineReader::new(&properties.iter().map(owned).collect())
    }

    fn told(properties: &[(&str, &str)], line: &str) -> String {
        let reader = match reader(properties) {
            Ok(reader) => reader,
            Err(thrown) => return thrown.message,
        };
        let text = |bytes: Option<&[u8]>| {
            bytes.map_or_else(
                || "null".to_owned(),
                |bytes| String::from_utf8_lossy(bytes).into_owned(),
            )
        };
        match reader.parts(line.as_bytes(), 1) {
            Err(thrown) => thrown.message,
            Ok(parts) => {
                let headers: Vec<String> = parts
                    .headers
                    .iter()
                    .map(|(name, value)| format!("{name}={}", text(*value)))
                    .collect();
                format!("{}/{}/{}", text(parts.key), text(parts.value), headers.join(";"))
            }
        }
    }

    #[test]
    fn lines_are_taken_apart() {
        let key = ("parse.key", "true");
        let headers = ("parse.headers", "true");
        let colon = ("key.separator", ":");
        for (properties, line, expected) in [
            (&[][..], "a\tb", "null/a\tb/"),
            (&[key], "a\tb", "a/b/"),
            (&[key, colon], "a:b:c", "a/b:c/"),
            (&[key, colon], "ab", "No key separator found on line number 1: 'ab'"),
            (&[key, colon, ("ignore.error", "true")], "ab", "null/ab/"),
            (&[headers], "h:1,i:2\tv", "null/v/h=1;i=2"),
            (&[headers, key], "h:1\tk\tv", "k/v/h=1"),
            (&[headers], "h\tv", "No header key separator found in pair 'h' on line number 1"),
            (&[headers], "v", "No headers delimiter found on line number 1: 'v'"),
            (&[key, ("null.marker", "NULL")], "NULL\tNULL", "null/null/"),
            (&[("null.marker", ",")], "", "null.marker and headers.separator may not be equal"),
            (
                &[("headers.delimiter", ",")],
                "",
                "headers.delimiter and headers.separator may not be equal",
            ),
        ] {
            assert_eq!(told(properties, line), expected, "{properties:?} {line:?}");
        }
    }
}
