//! The README's table of APIs, made from the node's own table: what is advertised, served and
//! documented is one list.

use std::fmt::Write as _;
use std::fs;

use crate::command::root;

/// The list that requests are matched with.
const SERVED: &str = "crates/broker/src/api/mod.rs";
/// Names and keys of all APIs.
const NAMES: &str = "crates/wire/schema/apis.wire";
const README: &str = "README.md";
const BEGIN: &str = "<!-- api-table: begin -->\n";
const END: &str = "<!-- api-table: end -->";

/// Writes the table, or with `check` only compares it.
///
/// # Errors
/// When a file cannot be read or written, or the table has drifted.
pub(crate) fn generate(check: bool) -> Result<(), String> {
    let read = |path: &str| {
        fs::read_to_string(root().join(path)).map_err(|error| format!("read {path}: {error}"))
    };
    let readme = read(README)?;
    let fresh = replace(&readme, &table(&read(SERVED)?, &read(NAMES)?))
        .ok_or_else(|| format!("{README} has no place for the table of APIs"))?;
    match (fresh == readme, check) {
        (true, _) => Ok(()),
        (false, true) => Err(format!("run `cargo xtask gen`: {README} has drifted")),
        (false, false) => fs::write(root().join(README), fresh)
            .map_err(|error| format!("write {README}: {error}")),
    }
}

/// The text between the marks replaced; `None` without marks.
fn replace(readme: &str, table: &str) -> Option<String> {
    let (before, rest) = readme.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{table}{END}{after}"))
}

fn table(served: &str, names: &str) -> String {
    let mut table = "| key | API | versions |\n|---:|---|---|\n".to_owned();
    let mut rows: Vec<(u16, String, String)> = served_versions(served)
        .into_iter()
        .filter_map(|(name, versions)| Some((key_of(names, &name)?, name, versions)))
        .collect();
    rows.sort();
    for (key, name, versions) in rows {
        let _ = writeln!(table, "| {key} | {name} | {versions} |");
    }
    table
}

/// Name and versions of each entry: `ApiKey::Fetch` and the range that follows it.
fn served_versions(source: &str) -> Vec<(String, String)> {
    let table = source.split_once("static TABLE").map_or("", |(_, table)| table);
    let table = table.split_once("];").map_or("", |(table, _)| table);
    let entry = |text: &str| {
        let name: String = text.chars().take_while(|c| c.is_alphanumeric()).collect();
        let (first, rest) = text.split_once("..=")?;
        let digits = |c: &char| c.is_ascii_digit();
        let first: String = first.chars().rev().take_while(digits).collect();
        let last: String = rest.chars().take_while(digits).collect();
        let first: String = first.chars().rev().collect();
        Some((name, if first == last { first } else { format!("{first} to {last}") }))
    };
    table.split("ApiKey::").skip(1).filter_map(entry).collect()
}

/// The key of `api NAME KEY ...`.
fn key_of(names: &str, name: &str) -> Option<u16> {
    names.lines().find_map(|line| {
        let mut words = line.split(' ');
        let found = words.next() == Some("api") && words.next() == Some(name);
        words.next().filter(|_| found)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_by_key() {
        let served = "enum ApiKey::Other 1..=2
            static TABLE: &[Api] = &[
                Api { key: ApiKey::Metadata, versions: 0..=13, roles: &[] },
                api(ApiKey::Fetch, 4..=18, Handler::Fetch), // KIP-227
                api(ApiKey::Pages, 0..=0, Handler::Plain(f)),
            ];
            api(ApiKey::Produce, 3..=13)";
        let names = "# all\napi Fetch 1 versions\napi Metadata 3 versions\napi Pages 75 versions";
        let rows = "| 1 | Fetch | 4 to 18 |\n| 3 | Metadata | 0 to 13 |\n| 75 | Pages | 0 |\n";
        let expected = format!("| key | API | versions |\n|---:|---|---|\n{rows}");
        assert_eq!(table(served, names), expected);
    }

    #[test]
    fn only_the_text_between_the_marks_is_replaced() {
        let readme = format!("a\n{BEGIN}old\n{END}\nb\n");
        assert_eq!(replace(&readme, "new\n"), Some(format!("a\n{BEGIN}new\n{END}\nb\n")));
        assert_eq!(replace("a\nb\n", "new\n"), None);
    }
}
