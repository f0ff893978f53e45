//! Sizes, with ratchets: what is small cannot quietly grow, and nothing becomes a giant.
//!
//! The zones just above each limit are forbidden even to listed giants: a function of 71 lines is
//! never an old giant, always one that grew.

use std::collections::BTreeMap;

use super::tokens::{Token, item_end, items_with};
use super::{Finding, Source};

/// Characters in a line, without what it quotes: a text broken in two could not be searched for.
const LINE_MAX: usize = 100;
/// Characters that a row of a table laid out by hand may have beyond that.
const TABLE_ROW_MORE: usize = 100;
/// Lines in a function, its signature included.
const FUNCTION_MAX: usize = 70;
/// The ratchet: nothing listed may be this short.
const FUNCTION_GROWN: usize = 75;
/// Lines in a file that nobody asks about.
const FILE_MAX: usize = 800;
/// The ratchet: a file that grew past the limit is split, not let through.
const FILE_GROWN: usize = 830;
/// Lines that no file passes, whatever it says.
const FILE_CEILING: usize = 1_200;

/// Functions that were long before they were looked at: file and name. The list only shrinks.
const OLD_GIANTS: [(&str, &str); 0] = [];

pub(super) fn check(source: &Source, tokens: &[Token<'_>]) -> Vec<Finding> {
    let mut findings = check_lines(source, tokens);
    findings.extend(check_functions(source, tokens, &OLD_GIANTS));
    findings
}

fn check_lines(source: &Source, tokens: &[Token<'_>]) -> Vec<Finding> {
    let found = |line, what| Finding::new(&source.file, line, what);
    let mut quoted = BTreeMap::<usize, usize>::new();
    for token in tokens.iter().filter(|each| each.text.ends_with(['"', '#'])) {
        for (line, text) in (token.line..).zip(token.text.lines()) {
            *quoted.entry(line).or_default() += text.chars().count();
        }
    }
    // A table whose author laid it out by hand keeps its rows.
    for table in items_with(tokens, &["#", "[", "rustfmt", "::", "skip", "]"]) {
        let [first, .., last] = table else { unreachable!("the attribute alone has six tokens") };
        quoted.extend((first.line..=last.line).map(|line| (line, TABLE_ROW_MORE)));
    }
    let mut findings = Vec::new();
    for (line, text) in (1..).zip(source.text.lines()) {
        let quoted = quoted.get(&line).copied().unwrap_or_default();
        if text.chars().count() > LINE_MAX + quoted {
            findings.push(found(line, format!("more than {LINE_MAX} characters")));
        }
    }
    let lines = source.text.lines().count();
    if lines > FILE_CEILING {
        findings.push(found(0, format!("{lines} lines; the ceiling is {FILE_CEILING}")));
    } else if lines > FILE_MAX && lines <= FILE_GROWN {
        findings.push(found(0, format!("grew to {lines} lines; split it at {FILE_MAX}")));
    }
    findings
}

fn check_functions(source: &Source, tokens: &[Token<'_>], giants: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for function in functions(tokens) {
        let listed = giants.contains(&(source.file.as_str(), function.name));
        if function.lines > FUNCTION_MAX && (!listed || function.lines <= FUNCTION_GROWN) {
            let (name, lines) = (function.name, function.lines);
            let what = format!("`{name}` has {lines} lines; {FUNCTION_MAX} are the limit");
            findings.push(Finding::new(&source.file, function.line, what));
        }
    }
    findings
}

#[derive(Debug)]
struct Function<'a> {
    name: &'a str,
    line: usize,
    lines: usize,
}

/// Functions with a body, nested ones too.
fn functions<'a>(tokens: &[Token<'a>]) -> Vec<Function<'a>> {
    let mut functions = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        let [keyword, name] = pair else { unreachable!("windows of two") };
        // A name follows, or it is the type `fn(u8) -> u8`.
        if keyword.is("fn")
            && !name.is("(")
            && let Some(last) = body_end(&tokens[at..])
        {
            let lines = last.line - keyword.line + 1;
            functions.push(Function { name: name.text, line: keyword.line, lines });
        }
    }
    functions
}

/// The brace that closes the function that the tokens begin with; none without a body.
fn body_end<'a>(tokens: &[Token<'a>]) -> Option<Token<'a>> {
    item_end(tokens).map(|(_, token)| token).filter(|token| token.is("}"))
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;

    const FILE: &str = "a.rs";

    #[test]
    fn small_files_cannot_quietly_grow() {
        check_file(800, 0);
        check_file(801, 1);
        check_file(830, 1);
        check_file(831, 0);
        check_file(1_200, 0);
        check_file(1_201, 1);
    }

    fn check_file(lines: usize, count: usize) {
        let source = Source { file: FILE.to_owned(), text: "\n".repeat(lines) };
        assert_eq!(check_lines(&source, &[]).len(), count, "{lines} lines");
    }

    #[test]
    fn lines_are_measured_in_characters() {
        check_line(&"é".repeat(100), 0);
        check_line(&"e".repeat(101), 1);
        check_line(&format!("{}\"{}\"", "e".repeat(100), "e".repeat(99)), 0);
        check_line(&format!("{}\"{}\"", "e".repeat(101), "e".repeat(99)), 1);
        check_line(&format!("#[rustfmt::skip]\nfn f() {{\n{}\n}}", "e".repeat(200)), 0);
        check_line(&format!("#[rustfmt::skip]\nfn f() {{}}\n{}", "e".repeat(101)), 1);
    }

    fn check_line(text: &str, count: usize) {
        let source = Source { file: FILE.to_owned(), text: text.to_owned() };
        assert_eq!(check_lines(&source, &tokens(text)).len(), count, "{text}");
    }

    #[test]
    fn functions_past_the_limit_are_old_and_listed_or_forbidden() {
        check_function(70, &[], 0);
        check_function(71, &[], 1);
        check_function(75, &[(FILE, "f")], 1);
        check_function(76, &[(FILE, "f")], 0);
        check_function(76, &[("b.rs", "f")], 1);
        check_function(76, &[], 1);
    }

    fn check_function(lines: usize, giants: &[(&str, &str)], count: usize) {
        let text = format!("fn f(a: [u8; 2]) {{{}}}", "\n".repeat(lines - 1));
        let source = Source { file: FILE.to_owned(), text };
        let findings = check_functions(&source, &tokens(&source.text), giants);
        assert_eq!(findings.len(), count, "{lines} lines: {findings:?}");
    }

    #[test]
    fn only_functions_with_a_body_are_measured() {
        check_names("trait T { fn a(); fn b() { if x { y } } }", &["b"]);
        check_names("struct S { f: fn(u8) -> u8 } fn c() { fn d() {} }", &["c", "d"]);
        check_names("fn e() -> [u8; 4] where T: U { [0; 4] }", &["e"]);
    }

    fn check_names(text: &str, names: &[&str]) {
        let found: Vec<&str> = functions(&tokens(text)).iter().map(|each| each.name).collect();
        assert_eq!(found, names, "{text}");
    }
}
