//! What Apache Kafka answered, as a file: so that it can be compared with where there is no Java.
//!
//! ```text
//! == case
//! > question
//! v2-4 {error_code:NONE}
//! v5 closed
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::peer::{Reply, Row};
use super::value::Value;

impl Reply {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "closed" => Self::Closed,
            "silence" => Self::Silence,
            "stuck" => Self::Stuck,
            text => match text.strip_prefix("odd ") {
                Some(odd) => Self::Odd(odd.to_owned()),
                None => Self::Answer(Value::parse(text).map_err(|wrong| wrong.to_string())?),
            },
        })
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answer(value) => write!(f, "{value}"),
            Self::Closed => f.write_str("closed"),
            Self::Silence => f.write_str("silence"),
            Self::Stuck => f.write_str("stuck"),
            Self::Odd(what) => write!(f, "odd {what}"),
        }
    }
}

/// The rows as a file. Rows of one question stand together, equal answers in one line.
pub(super) fn write(rows: &[Row]) -> String {
    let mut out = String::from(
        "# What Apache Kafka 4.3.1 answers: written by `cargo xtask differential --record`.\n",
    );
    let mut cases: Vec<&str> = Vec::new();
    let mut questions: BTreeMap<&str, Vec<(&str, Vec<&Row>)>> = BTreeMap::new();
    for row in rows {
        let asked = questions.entry(&row.case).or_default();
        if asked.is_empty() {
            cases.push(&row.case);
        }
        match asked.iter_mut().find(|(question, _)| *question == row.question) {
            Some((_, rows)) => rows.push(row),
            None => asked.push((&row.question, vec![row])),
        }
    }
    for case in cases {
        let _ = writeln!(out, "\n== {case}");
        for (question, rows) in &questions[case] {
            let _ = writeln!(out, "> {question}");
            for run in rows
                .chunk_by(|one, next| one.reply == next.reply && one.version + 1 == next.version)
            {
                let (first, last) = (run[0].version, run[run.len() - 1].version);
                let end = if first == last { String::new() } else { format!("-{last}") };
                let _ = writeln!(out, "v{first}{end} {}", run[0].reply);
            }
        }
    }
    out
}

/// The rows of a file.
///
/// # Errors
/// With the line that is not understood.
pub(super) fn read(text: &str) -> Result<Vec<Row>, String> {
    let (mut rows, mut case, mut question) = (Vec::new(), "", "");
    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("== ") {
            case = name;
        } else if let Some(asked) = line.strip_prefix("> ") {
            question = asked;
        } else {
            let row = |version, reply| Row {
                case: case.to_owned(),
                question: question.to_owned(),
                version,
                asked: String::new(),
                reply,
            };
            let (low, high, reply) =
                answer_line(line).map_err(|why| format!("line {number}: {why}"))?;
            rows.extend((low..=high).map(|version| row(version, reply.clone())));
        }
    }
    Ok(rows)
}

fn answer_line(line: &str) -> Result<(i16, i16, Reply), String> {
    let (versions, reply) = line.split_once(' ').ok_or("no answer")?;
    let versions = versions.strip_prefix('v').ok_or("no version")?;
    let number = |text: &str| text.parse::<i16>().map_err(|_| format!("{text} is no version"));
    let (low, high) = match versions.rsplit_once('-') {
        // Bytes without a version have -1.
        Some((low, high)) if !low.is_empty() => (number(low)?, number(high)?),
        _ => (number(versions)?, number(versions)?),
    };
    Ok((low, high, Reply::parse(reply)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let row = |question: &str, version, reply| Row {
            case: "a/b".to_owned(),
            question: question.to_owned(),
            version,
            asked: String::new(),
            reply,
        };
        let answer = Reply::Answer(Value::parse("{a:[1]}").unwrap());
        let rows = [
            row("one", 1, answer.clone()),
            row("one", 2, answer.clone()),
            row("one", 4, answer),
            row("two", -1, Reply::Closed),
            row("three", 0, Reply::Odd("x y".to_owned())),
        ];
        let text = write(&rows);
        let expected = "== a/b\n> one\nv1-2 {a:[1]}\nv4 {a:[1]}\n> two\nv-1 closed\n> three\n\
                        v0 odd x y\n";
        assert!(text.ends_with(expected), "{text}");
        let again = read(&text).unwrap();
        assert_eq!(write(&again), text);
        assert_eq!(again.len(), rows.len());
    }
}
