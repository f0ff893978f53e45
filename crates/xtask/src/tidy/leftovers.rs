//! What was meant to go before the commit, and the sentence that each crate begins with.

use std::fs;

use super::tokens::{Kind, Token};
use super::{Finding, Source};
use crate::workspace::Room;

/// Macros that stand for code somebody meant to write, or forgot.
const MACROS: [&str; 3] = ["dbg", "todo", "unimplemented"];

/// Spelled in two halves, or this file would be its own finding.
const FIX_ME: &str = concat!("FIX", "ME");

pub(super) fn check(source: &Source, tokens: &[Token<'_>]) -> Vec<Finding> {
    let found = |line, what: String| Finding::new(&source.file, line, what);
    let mut findings: Vec<Finding> = (source.text.lines().enumerate())
        .filter(|(_, line)| line.contains(FIX_ME))
        .map(|(at, _)| found(at + 1, format!("{FIX_ME}: do it, or say why not")))
        .collect();
    for pair in tokens.windows(2) {
        let [first, second] = pair else { unreachable!("windows of two") };
        if first.kind == Kind::Word && MACROS.contains(&first.text) && second.is("!") {
            findings.push(found(first.line, format!("`{}!`", first.text)));
        }
        if first.is("[") && second.is("ignore") {
            findings.push(found(first.line, "an ignored test proves nothing".to_owned()));
        }
    }
    findings
}

/// Each library opens with the one sentence that its manifest describes it with.
pub(super) fn check_opening(room: &Room, folder: &str) -> Option<Finding> {
    let text = fs::read_to_string(room.folder.join("src/lib.rs")).ok()?;
    let what = opening(&room.description, &text)?;
    Some(Finding::new(&format!("{folder}/src/lib.rs"), 1, what))
}

fn opening(description: &str, text: &str) -> Option<String> {
    if description.is_empty() || !description.ends_with('.') {
        return Some("the manifest's description is one sentence, with its full stop".to_owned());
    }
    let first = text.lines().next().unwrap_or_default();
    (first != format!("//! {description}"))
        .then(|| format!("begins with another sentence than its manifest's: `{description}`"))
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;

    #[test]
    fn leftovers_are_found_in_code_and_in_comments() {
        check(&format!("// {FIX_ME} later"), 1);
        check("dbg!(x)", 1);
        check("fn f() { todo!() }", 1);
        check("unimplemented!(\"later\")", 1);
        check("#[ignore]", 1);
        check("#[ignore = \"slow\"]", 1);
        check("// todo!() and #[ignore]", 0);
        check("let todo = !x;", 0);
    }

    fn check(text: &str, count: usize) {
        let source = Source { file: "a.rs".to_owned(), text: text.to_owned() };
        let findings = super::check(&source, &tokens(text));
        assert_eq!(findings.len(), count, "{text}: {findings:?}");
    }

    #[test]
    fn a_crate_opens_with_its_one_sentence() {
        check_sentence("One thing.", "//! One thing.\n", true);
        check_sentence("One thing.", "//! Another thing.\n", false);
        check_sentence("One thing.", "", false);
        check_sentence("One thing", "//! One thing\n", false);
        check_sentence("", "//! One thing.\n", false);
    }

    fn check_sentence(description: &str, text: &str, good: bool) {
        assert_eq!(opening(description, text).is_none(), good, "{description} {text}");
    }
}
