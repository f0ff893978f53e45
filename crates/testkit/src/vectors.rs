//! Golden vectors: messages as Apache Kafka's own classes write them.

use crate::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// One message in one version.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector {
    /// The version it was written in.
    pub version: i16,
    /// How its fields were filled; for a framed metadata record, which record it is.
    pub variant: String,
    /// What Apache Kafka wrote.
    pub bytes: Vec<u8>,
    /// What the bytes mean to Apache Kafka; not told for all.
    pub meaning: Option<Value>,
}

/// A request that a real client sent, with Apache Kafka's answer, as frames without their lengths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The name of the API: `Produce`, ...
    pub api: String,
    /// The version that the client chose.
    pub version: i16,
    /// Which client it was.
    pub client: String,
    /// Header and body.
    pub request: Vec<u8>,
    /// Header and body; Produce with acks=0 has none.
    pub response: Option<Vec<u8>>,
}

/// All recorded requests, in the order of their files' names.
///
/// # Panics
/// If a file is not of the form that `cargo xtask vectors record` writes.
#[must_use]
pub fn recorded() -> Vec<Recorded> {
    let folder = folder().join("recorded");
    let mut all: Vec<Recorded> = names(&folder)
        .iter()
        .map(|name| {
            let text = fs::read_to_string(folder.join(format!("{name}.hex")))
                .unwrap_or_else(|error| panic!("recorded {name}: {error}"));
            parse_recorded(name, &text).unwrap_or_else(|| panic!("recorded {name}: {text}"))
        })
        .collect();
    all.sort_by(|one, other| (&one.api, one.version).cmp(&(&other.api, other.version)));
    all
}

fn parse_recorded(name: &str, text: &str) -> Option<Recorded> {
    let mut parts = name.splitn(3, '.');
    let api = parts.next()?.to_owned();
    let version = parts.next()?.strip_prefix('v')?.parse().ok()?;
    let client = parts.next()?.to_owned();
    let mut lines = text.lines();
    let request = unhex(lines.next()?.strip_prefix("request ")?)?;
    let response = match lines.next() {
        Some(line) => Some(unhex(line.strip_prefix("response ")?)?),
        None => None,
    };
    Some(Recorded { api, version, client, request, response })
}

/// The names of the messages that there are vectors of, in order: `ProduceRequest`, ...
///
/// # Panics
/// If the folder cannot be read.
#[must_use]
pub fn messages() -> Vec<String> {
    names(&folder())
}

/// The names of the vector files of a folder, without their endings, in order.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the vectors lie beside this crate's manifest")
        .map(|entry| entry.expect("a folder can be listed to its end").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "hex"))
        .map(|path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The vectors of one message, versions ascending.
///
/// # Panics
/// If there are none, or the file is not of the form that `cargo xtask vectors` writes.
#[must_use]
pub fn vectors_of(message: &str) -> Vec<Vector> {
    let path = folder().join(format!("{message}.hex"));
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("vectors of {message}, {}: {error}", path.display()));
    parse(&text)
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"))
}

fn parse(text: &str) -> Vec<Vector> {
    let mut vectors: Vec<Vector> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("= ") {
            Some(meaning) => {
                let vector = vectors.last_mut().expect("a meaning follows its vector");
                vector.meaning = Some(meaning.parse().expect("Apache Kafka writes JSON"));
            }
            None => vectors.push(vector(line).unwrap_or_else(|| panic!("not a vector: {line}"))),
        }
    }
    vectors
}

fn vector(line: &str) -> Option<Vector> {
    let mut words = line.split(' ');
    let version = words.next()?.strip_prefix('v')?.parse().ok()?;
    let variant = words.next()?.to_owned();
    let bytes = unhex(words.next()?)?;
    words.next().is_none().then_some(Vector { version, variant, bytes, meaning: None })
}

/// Bytes from their hexadecimal form; `-` stands for none.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if text == "-" {
        return Some(Vec::new());
    }
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_line_by_line() {
        let vectors = parse("# Name\nv0 defaults -\nv12 set 00ff\n= {\"a\":1}\n");
        let meaning = Some(Value::Fields(vec![("a".into(), Value::Word("1".into()))]));
        assert_eq!(
            vectors,
            [
                Vector { version: 0, variant: "defaults".into(), bytes: vec![], meaning: None },
                Vector { version: 12, variant: "set".into(), bytes: vec![0, 255], meaning },
            ]
        );
    }

    #[test]
    fn lines_of_another_form_are_refused() {
        for line in ["", "v1", "v1 set", "1 set 00", "v1 set 0", "v1 set 0g", "v1 set 00 00"] {
            assert_eq!(vector(line), None, "{line}");
        }
    }

    #[test]
    fn a_recording_is_named_by_its_file() {
        let recorded = |response| Recorded {
            api: "Fetch".into(),
            version: 12,
            client: "kafka-go".into(),
            request: vec![1],
            response,
        };
        let parse = |text| parse_recorded("Fetch.v12.kafka-go", text);
        assert_eq!(parse("request 01\nresponse 02\n"), Some(recorded(Some(vec![2]))));
        assert_eq!(parse("request 01\n"), Some(recorded(None)));
        assert_eq!(parse("response 02\n"), None);
        assert_eq!(parse_recorded("Fetch.kafka-go", "request 01\n"), None);
    }

    #[test]
    fn every_file_of_the_folder_is_read() {
        for message in messages() {
            assert!(vectors_of(&message).len() > 1, "{message}");
        }
    }
}
