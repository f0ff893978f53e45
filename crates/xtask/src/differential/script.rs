//! Cases as they are written down; the notation is described in `tests/differential/README.md`.

use std::ops::RangeInclusive;

use super::batch::unhex;
use super::catalog::Catalog;

/// Questions on one connection, as long as it is not closed.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) steps: Vec<Step>,
}

/// One question, perhaps in several versions.
#[derive(Debug)]
pub(super) struct Step {
    /// As it stands in the file.
    pub(super) text: String,
    pub(super) ask: Ask,
}

#[derive(Debug)]
pub(super) enum Ask {
    Request {
        api: String,
        versions: RangeInclusive<i16>,
        /// The version that the header names, where it lies.
        claimed: Option<i16>,
        mood: Mood,
        /// The request; `$v` and other names in it are replaced when it is asked.
        value: String,
    },
    /// Bytes as they are, their length included.
    Raw(Vec<u8>),
}

/// What is expected of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// That it comes.
    Plain,
    /// That it does not, though the connection stays.
    Silent,
    /// That it is without errors, after a while.
    Patient,
}

/// Reads a file of cases, whose names it puts `prefix` in front of.
///
/// # Errors
/// With the line that is not understood.
pub(super) fn parse(prefix: &str, text: &str, catalog: &Catalog) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        let wrong = |why: String| format!("{prefix}.cases:{number}: {why}");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("==") {
            let name = format!("{prefix}/{}", name.trim());
            if cases.iter().any(|case| case.name == name) {
                return Err(wrong(format!("there are two cases {name}")));
            }
            cases.push(Case { name, steps: Vec::new() });
            continue;
        }
        let case = cases.last_mut().ok_or_else(|| wrong("a line before the first case".into()))?;
        let ask = step(line, catalog).map_err(wrong)?;
        case.steps.push(Step { text: line.to_owned(), ask });
    }
    Ok(cases)
}

fn step(line: &str, catalog: &Catalog) -> Result<Ask, String> {
    if let Some(digits) = line.strip_prefix("bytes ") {
        return unhex(digits).map(Ask::Raw);
    }
    if let Some(digits) = line.strip_prefix("frame ") {
        let frame = unhex(digits)?;
        let length = u32::try_from(frame.len()).map_err(|error| error.to_string())?;
        return Ok(Ask::Raw([&length.to_be_bytes(), frame.as_slice()].concat()));
    }
    let line = line.strip_prefix('>').ok_or("neither `>` nor `bytes` nor `frame`")?;
    let (head, value) = match line.find('{') {
        Some(at) => line.split_at(at),
        None => (line, "{}"),
    };
    let mut words: Vec<&str> = head.split_whitespace().collect();
    let mood = match words.first() {
        Some(&"silent") => Mood::Silent,
        Some(&"patient") => Mood::Patient,
        _ => Mood::Plain,
    };
    if mood != Mood::Plain {
        words.remove(0);
    }
    let (name, versions, claimed) = match words[..] {
        [name, versions] => (name, versions, None),
        [name, versions, "as", claimed] => (name, versions, Some(version(claimed)?)),
        _ => return Err(format!("`{head}` is not `API vN`")),
    };
    let api = catalog.api(name)?;
    let versions = range(versions, &api.versions())?;
    Ok(Ask::Request { api: name.to_owned(), versions, claimed, mood, value: value.to_owned() })
}

fn version(word: &str) -> Result<i16, String> {
    let digits = word.strip_prefix('v').and_then(|digits| digits.parse().ok());
    digits.ok_or_else(|| format!("`{word}` is no version"))
}

/// `v3`, `v3-5`, `v3-` for all from there on, `v*` for all.
fn range(word: &str, all: &RangeInclusive<i16>) -> Result<RangeInclusive<i16>, String> {
    if word == "v*" {
        return Ok(all.clone());
    }
    let (low, high) = match word.split_once('-') {
        Some((low, "")) => (version(low)?, *all.end()),
        Some((low, high)) => (version(low)?, version(&format!("v{high}"))?),
        None => (version(word)?, version(word)?),
    };
    if low > high || !all.contains(&low) || !all.contains(&high) {
        return Err(format!("{word} lies outside of {all:?}"));
    }
    Ok(low..=high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_read() {
        let text = "# about\n== one\n> Fetch v4-\n> silent Produce v3 as v99 {acks:0}\nbytes 00 ff
                    == two\nframe 0102";
        let cases = parse("a", text, &Catalog::read().unwrap()).unwrap();
        let names: Vec<_> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names, ["a/one", "a/two"]);
        let [fetch, produce, raw] = &cases[0].steps[..] else { panic!("three steps") };
        assert!(matches!(&fetch.ask, Ask::Request { versions, .. } if *versions == (4..=18)));
        assert!(matches!(
            &produce.ask,
            Ask::Request { claimed: Some(99), mood: Mood::Silent, value, .. } if value == "{acks:0}"
        ));
        assert!(matches!(&raw.ask, Ask::Raw(bytes) if bytes == &[0, 0xff]));
        assert!(matches!(&cases[1].steps[0].ask, Ask::Raw(bytes) if bytes == &[0, 0, 0, 2, 1, 2]));
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        check("> Fetch v4", "a.cases:1: a line before the first case");
        check("== x\n> Fetch v3", "a.cases:2: v3 lies outside of 4..=18");
        check("== x\n> Fetsch v3", "a.cases:2: there is no API Fetsch");
        check("== x\n== x", "a.cases:2: there are two cases a/x");
        check("== x\nhello", "a.cases:2: neither `>` nor `bytes` nor `frame`");
        check("== x\n> Fetch", "a.cases:2: ` Fetch` is not `API vN`");
    }

    fn check(text: &str, wrong: &str) {
        let error = parse("a", text, &Catalog::read().unwrap()).unwrap_err();
        assert_eq!(error, wrong);
    }
}
