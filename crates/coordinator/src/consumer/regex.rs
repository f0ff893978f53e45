//! Subscriptions by a regular expression, in the syntax of RE2. The engine takes time linear in
//! the length of a name whatever the expression, and refuses programs beyond a size.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_metadata::MetadataImage;
use regex::bytes::{Regex, RegexBuilder};

/// The largest compiled program, and the largest cache while matching. Compiling one of this size
/// takes milliseconds, and a client may send one with each heartbeat.
const PROGRAM_BYTES_MAX: usize = 1 << 18;
/// Parentheses within parentheses.
const NESTING_MAX: u32 = 100;

/// An expression that names topics.
#[derive(Clone, Debug)]
pub(crate) struct TopicRegex(Regex);

/// Why a text is no expression. The words are Kafka's up to the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SubscribedTopicRegex `{regex}` is not a valid regular expression: {reason}.")]
pub struct InvalidRegex {
    /// The text.
    pub regex: String,
    /// What is wrong, in one line.
    pub reason: String,
}

impl TopicRegex {
    /// Compiles an expression.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidRegex> {
        let anchored = format!("^(?:{})$", translate(text));
        // To RE2 `\w` and its kin are ASCII, as names are, and so they are small. Only classes of
        // Unicode by name need more.
        compile(&anchored, false)
            .or_else(|_| compile(&anchored, true))
            .map(Self)
            .map_err(|error| InvalidRegex { regex: text.to_owned(), reason: reason(&error) })
    }

    /// The topics whose whole name matches, in order.
    pub(crate) fn topics(&self, image: &MetadataImage) -> BTreeSet<Arc<str>> {
        let names = image.topics().map(|topic| topic.name.as_str());
        names.filter(|name| self.0.is_match(name.as_bytes())).map(Arc::from).collect()
    }
}

fn compile(anchored: &str, unicode: bool) -> Result<Regex, regex::Error> {
    RegexBuilder::new(anchored)
        .unicode(unicode)
        .size_limit(PROGRAM_BYTES_MAX)
        .dfa_size_limit(PROGRAM_BYTES_MAX)
        .nest_limit(NESTING_MAX)
        .build()
}

/// The engine's messages draw the expression over several lines; the last says what is wrong.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

/// Says in our engine's syntax what RE2 reads differently: quoted stretches, and signs within
/// brackets that are set operations to us and letters to RE2.
fn translate(re2: &str) -> String {
    let mut ours = String::with_capacity(re2.len());
    let mut rest = re2;
    let mut brackets = Brackets::Outside;
    while let Some(sign) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix("\\Q") {
            let (inside, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            ours.push_str(&regex::escape(inside));
            rest = after;
            continue;
        }
        let taken = if sign == '\\' { rest.chars().take(2).map(char::len_utf8).sum() } else { 0 };
        let (piece, after) = rest.split_at(taken.max(sign.len_utf8()));
        if brackets.makes_letter(piece, after) {
            ours.push('\\');
        }
        ours.push_str(piece);
        brackets = brackets.after(piece, &ours);
        rest = after;
    }
    ours
}

/// Whether a sign stands within brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Brackets {
    Outside,
    /// Nothing came yet, so that `]` is a letter.
    Opened,
    Inside,
    /// Within a named class such as `[:alpha:]`.
    Named,
}

impl Brackets {
    /// Whether RE2 takes for a letter what our engine would take for more.
    fn makes_letter(self, piece: &str, after: &str) -> bool {
        match self {
            Self::Outside | Self::Named => false,
            Self::Opened | Self::Inside => match piece {
                "[" => !after.starts_with(':'),
                "&" | "~" | "-" => after.starts_with(piece),
                _ => false,
            },
        }
    }

    fn after(self, piece: &str, so_far: &str) -> Self {
        match (self, piece) {
            (Self::Outside, "[") => Self::Opened,
            (Self::Outside, _) | (Self::Inside, "]") => Self::Outside,
            (Self::Opened, "^") if so_far.ends_with("[^") => Self::Opened,
            (Self::Opened | Self::Inside, "[") if !so_far.ends_with("\\[") => Self::Named,
            (Self::Named, "]") | (Self::Opened | Self::Inside, _) => Self::Inside,
            (Self::Named, _) => Self::Named,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TopicRegex;

    #[test]
    #[rustfmt::skip]
    fn expressions_match_whole_names_and_are_read_as_re2_reads_them() {
        check("orders",              "orders",   true);
        check("orders",              "orders-2", false);
        check("orders|bills",        "bills",    true);
        check("ord.*",               "orders",   true);
        check("",                    "orders",   false);
        check(r"\Qa.b\E.*",          "a.b.c",    true);
        check(r"\Qa.b\E.*",          "axb",      false);
        check(r"\Qa.b",              "a.b",      true);
        check("[[:alpha:]]+",        "abc",      true);
        check("[[:alpha:]]+",        "ab1",      false);
        check("[[a]+",               "a",        true);
        check("[]a]+",               "a",        true);
        check("[^]a]+",              "b",        true);
        check("[a&&b]+",             "ab",       true);
        check("[a-c--]+",            "a-c",      true);
        check("[a~~b]+",             "ab",       true);
        check("(?i)ORDERS",          "orders",   true);
        check(r"\pL+",                "orders",   true);
        check(r"\w{100}|o\w+",        "orders",   true);
        check("(?i)[^é]+",           "ORDERS",   true);
        check(r"(?P<kind>\w+)-\d{2}", "orders-12", true);
    }

    fn check(regex: &str, name: &str, matches: bool) {
        let regex = TopicRegex::parse(regex).unwrap();
        assert_eq!(regex.0.is_match(name.as_bytes()), matches, "{regex:?} on {name}");
    }

    #[test]
    fn what_is_no_expression_is_refused_with_a_reason() {
        refused("[", "unclosed character class");
        refused("a(", "unclosed group");
        refused("(?=a)", "look-around, including look-ahead and look-behind, is not supported");
        refused(r"(a)\1", "backreferences are not supported");
        refused("((a{1000}){1000}){1000}", "Compiled regex exceeds size limit of 262144 bytes.");
        refused(&"(".repeat(5_000), "unclosed group");
        let deep = format!("{}{}", "(".repeat(5_000), ")".repeat(5_000));
        refused(&deep, "exceed the maximum number of nested parentheses/brackets (100)");
    }

    fn refused(text: &str, reason: &str) {
        let refused = TopicRegex::parse(text).unwrap_err();
        assert_eq!(refused.reason, reason);
        assert_eq!(refused.regex, text);
    }
}
