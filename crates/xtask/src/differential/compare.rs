//! Where two nodes answer otherwise, and which of it is explained.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::peer::{Reply, Row};
use super::value::Value;

/// One thing that Apache Kafka says otherwise.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    pub(super) case: String,
    question: String,
    pub(super) version: i16,
    asked: String,
    /// Where in the answer; `.` for all of it.
    path: String,
    kafka: String,
    ottla: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, question, version, asked, path, kafka, ottla } = self;
        writeln!(f, "{case} v{version} {question}")?;
        if !asked.is_empty() && !question.ends_with(asked) {
            writeln!(f, "    {asked}")?;
        }
        write!(f, "    {path}\n    - {kafka}\n    + {ottla}")
    }
}

/// Compares row by row.
///
/// # Errors
/// When the two did not ask the same: a record is older than the cases.
pub(super) fn differences(kafka: &[Row], ottla: &[Row]) -> Result<Vec<Difference>, String> {
    let (mut left, mut all) = (keyed(kafka), Vec::new());
    for (key, row) in keyed(ottla) {
        let (case, question, version, _) = key;
        let Some(expected) = left.remove(&key) else {
            return Err(format!(
                "nothing is recorded of {case} v{version} {question}: run `--record`"
            ));
        };
        reply("", &expected.reply, &row.reply, &mut |path, kafka, ottla| {
            all.push(Difference {
                case: case.to_owned(),
                question: question.to_owned(),
                version,
                asked: row.asked.clone(),
                path: if path.is_empty() { ".".to_owned() } else { path },
                kafka,
                ottla,
            });
        });
    }
    Ok(all)
}

/// Rows by what was asked, and the how manieth time.
fn keyed(rows: &[Row]) -> BTreeMap<(&str, &str, i16, usize), &Row> {
    let (mut keyed, mut seen) = (BTreeMap::new(), BTreeMap::<_, usize>::new());
    for row in rows {
        let times = seen.entry((&row.case, &row.question, row.version)).or_default();
        keyed.insert((row.case.as_str(), row.question.as_str(), row.version, *times), row);
        *times += 1;
    }
    keyed
}

type Found<'f> = &'f mut dyn FnMut(String, String, String);

fn reply(path: &str, kafka: &Reply, ottla: &Reply, found: Found<'_>) {
    match (kafka, ottla) {
        (Reply::Answer(kafka), Reply::Answer(ottla)) => value(path, kafka, ottla, found),
        (kafka, ottla) if kafka == ottla => {}
        (kafka, ottla) => found(path.to_owned(), kafka.to_string(), ottla.to_string()),
    }
}

fn value(path: &str, kafka: &Value, ottla: &Value, found: Found<'_>) {
    const ABSENT: &str = "absent";
    let parts = |value: &Value| match value {
        Value::Fields(fields) => Some(fields.clone()),
        Value::List(elements) => named(elements),
        Value::Null | Value::Word(_) | Value::Text(_) => None,
    };
    let (Some(one), Some(other)) = (parts(kafka), parts(ottla)) else {
        if kafka != ottla {
            found(path.to_owned(), kafka.to_string(), ottla.to_string());
        }
        return;
    };
    // What goes with an error follows from it.
    let error = |all: &[(String, Value)]| {
        all.iter().find(|(name, _)| name == "error_code").map(|(_, code)| code.clone())
    };
    if let (Some(kafka), Some(ottla)) = (error(&one), error(&other))
        && kafka != ottla
    {
        return found(format!("{path}.error_code"), kafka.to_string(), ottla.to_string());
    }
    for (name, kafka) in &one {
        let path = format!("{path}.{name}");
        match other.iter().find(|(own, _)| own == name) {
            Some((_, ottla)) => value(&path, kafka, ottla, found),
            None => found(path, kafka.to_string(), ABSENT.to_owned()),
        }
    }
    for (name, ottla) in other.iter().filter(|(name, _)| !one.iter().any(|(own, _)| own == name)) {
        found(format!("{path}.{name}"), ABSENT.to_owned(), ottla.to_string());
    }
}

/// Fields that say which element of a list it is.
const NAMES: [&str; 14] = [
    "log_dir",
    "name",
    "topic",
    "topic_name",
    "topic_id",
    "api_key",
    "group_id",
    "resource_name",
    "config_name",
    "partition_index",
    "partition_id",
    "partition",
    "index",
    "node_id",
];

/// Elements of a list under what they are called; none where they have no names, or the same.
fn named(elements: &[Value]) -> Option<Vec<(String, Value)>> {
    let name = |element: &Value| {
        let name = NAMES.iter().find_map(|name| element.field(name))?;
        Some(name.to_string())
    };
    let names: Option<Vec<String>> = elements.iter().map(name).collect();
    let names = names?;
    let different: BTreeSet<&String> = names.iter().collect();
    (different.len() == names.len())
        .then(|| names.into_iter().zip(elements.iter().cloned()).collect())
}

/// A pattern for differences that have a reason, which `docs/differences.md` tells under its name.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    case: String,
    path: String,
    kafka: String,
    ottla: String,
}

impl Rule {
    /// Reads a file of rules: `name | case | path | kafka | ottla`, `*` standing for anything.
    ///
    /// # Errors
    /// With the line that is no rule.
    pub(super) fn read(text: &str) -> Result<Vec<Self>, String> {
        let lines = (1..)
            .zip(text.lines())
            .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        lines
            .map(|(number, line)| {
                let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
                let [name, case, path, kafka, ottla] = parts[..] else {
                    return Err(format!("explained:{number}: five parts make a rule"));
                };
                let [name, case, path, kafka, ottla] =
                    [name, case, path, kafka, ottla].map(str::to_owned);
                Ok(Self { name, case, path, kafka, ottla })
            })
            .collect()
    }

    /// Whether it is about requests that are drawn.
    pub(super) fn is_of_seeds(&self) -> bool {
        self.case.starts_with("seed ")
    }

    pub(super) fn explains(&self, difference: &Difference) -> bool {
        let case = format!("{} v{} {}", difference.case, difference.version, difference.question);
        fits(&self.case, &case)
            && fits(&self.path, &difference.path)
            && fits(&self.kafka, &difference.kafka)
            && fits(&self.ottla, &difference.ottla)
    }
}

/// Whether a text is what the pattern says, `*` standing for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(before) else { return false };
    let mut starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    starts.any(|at| fits(after, &rest[at..]))
}

/// Names in the first column of the table below `heading` of a page.
pub(super) fn told(page: &str, heading: &str) -> BTreeSet<String> {
    let mut lines = page.lines().skip_while(|line| line.trim() != heading);
    lines.next();
    let section = lines.take_while(|line| !line.starts_with("## "));
    let cells = section.filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    cells.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn differences_are_told_where_they_are() {
        check("{a:1,b:2}",                         "{a:1,b:2}",                  &[]);
        check("{a:1}",                             "{a:2}",                      &[".a 1 2"]);
        check("{a:1}",                             "{b:1}",                      &[".a 1 absent", ".b absent 1"]);
        check("{t:[{name:'x',e:1},{name:'y',e:1}]}", "{t:[{name:'y',e:2}]}",     &[".t.'x' {name:'x',e:1} absent", ".t.'y'.e 1 2"]);
        check("{t:[1,2]}",                         "{t:[1]}",                    &[".t [1,2] [1]"]);
        check("closed",                            "{a:1}",                      &[". closed {a:1}"]);
        check("{error_code:A,b:1}",                "{error_code:B,b:2}",         &[".error_code A B"]);
    }

    fn row(reply: &str) -> Row {
        let text = format!("== c\n> q\nv3 {reply}\n");
        crate::differential::record::read(&text).unwrap().remove(0)
    }

    fn check(kafka: &str, ottla: &str, expected: &[&str]) {
        let found = differences(&[row(kafka)], &[row(ottla)]).unwrap();
        let found: Vec<String> = found
            .iter()
            .map(|each| format!("{} {} {}", each.path, each.kafka, each.ottla))
            .collect();
        assert_eq!(found, expected, "{kafka} {ottla}");
    }

    #[test]
    fn a_question_without_a_record_is_an_error() {
        assert!(differences(&[], &[row("closed")]).is_err());
    }

    #[test]
    fn rules_explain_what_they_fit() {
        let found = differences(&[row("{a:1}")], &[row("{a:2}")]).unwrap().remove(0);
        for (rule, explains) in [
            ("n | c v3 q | .a | 1 | 2", true),
            ("n | * | .* | * | *", true),
            ("n | c v4 * | .a | 1 | 2", false),
            ("n | * | .b | 1 | 2", false),
            ("n | * | .a | 2 | 1", false),
        ] {
            assert_eq!(Rule::read(rule).unwrap()[0].explains(&found), explains, "{rule}");
        }
        assert!(Rule::read("n | c").is_err());
    }

    #[test]
    fn a_page_tells_names_in_its_section_only() {
        let page =
            "| `no` | x |\n## Protocol\n| id | x |\n|---|\n| `a` | x |\n| `b` |\n## More\n| `c` |";
        let names: Vec<String> = told(page, "## Protocol").into_iter().collect();
        assert_eq!(names, ["a", "b"]);
    }
}
