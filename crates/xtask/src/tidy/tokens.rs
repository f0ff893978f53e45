//! Just enough of Rust's lexical grammar to see names without comments and strings, and to know
//! what a `use` brings in.

/// What a token is, as far as the rules care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    /// `::`
    Separator,
    /// One character of punctuation.
    Mark,
    /// A string, a character or a number.
    Literal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// Counted from 1.
    pub(super) line: usize,
}

impl Token<'_> {
    pub(super) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Literal && self.text == text
    }
}

/// A name with all its qualification: `std::time::Instant`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path<'a> {
    pub(super) line: usize,
    pub(super) parts: Vec<&'a str>,
}

/// The tokens of a text; comments and lifetimes are none.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { rest: text, line: 1, tokens: Vec::new() };
    while !lexer.rest.is_empty() {
        lexer.step();
    }
    lexer.tokens
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn step(&mut self) {
        let first = self.rest.chars().next().expect("the caller asked whether something is left");
        if self.rest.starts_with("//") {
            self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.skip(comment_len(self.rest));
        } else if let Some(len) = string_len(self.rest) {
            self.emit(Kind::Literal, len);
        } else if first == '\'' {
            self.quote();
        } else if first.is_alphanumeric() || first == '_' {
            let end = |c: char| !(c.is_alphanumeric() || c == '_');
            let len = self.rest.find(end).unwrap_or(self.rest.len());
            self.emit(if first.is_numeric() { Kind::Literal } else { Kind::Word }, len);
        } else if self.rest.starts_with("::") {
            self.emit(Kind::Separator, 2);
        } else if first.is_whitespace() {
            self.skip(first.len_utf8());
        } else {
            self.emit(Kind::Mark, first.len_utf8());
        }
    }

    /// A character, or a lifetime: `'a'` against `'a`.
    fn quote(&mut self) {
        let mut after = self.rest[1..].chars();
        let (first, second) = (after.next(), after.next());
        if first == Some('\\') {
            let close = self.rest[3..].find('\'').map_or(self.rest.len(), |at| at + 4);
            self.emit(Kind::Literal, close);
        } else if second == Some('\'') {
            self.emit(Kind::Literal, first.map_or(1, |c| c.len_utf8() + 2));
        } else {
            let end = |c: char| !(c.is_alphanumeric() || c == '_');
            self.skip(self.rest[1..].find(end).map_or(self.rest.len(), |at| at + 1));
        }
    }

    fn emit(&mut self, kind: Kind, len: usize) {
        self.tokens.push(Token { kind, text: &self.rest[..len], line: self.line });
        self.skip(len);
    }

    fn skip(&mut self, len: usize) {
        let (gone, rest) = self.rest.split_at(len);
        self.line += gone.matches('\n').count();
        self.rest = rest;
    }
}

/// The length of the block comment that the text begins with; they nest.
fn comment_len(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of the string that the text begins with: plain, byte, C and raw ones.
fn string_len(text: &str) -> Option<usize> {
    let prefix = text.find(|c: char| !matches!(c, 'b' | 'c' | 'r'))?;
    let raw = text[..prefix].contains('r');
    let body = &text[prefix..];
    let hashes = if raw { body.find(|c| c != '#')? } else { 0 };
    let inside = body[hashes..].strip_prefix('"').filter(|_| prefix <= 2)?;
    let opened = text.len() - inside.len();
    let close = if raw {
        let end = format!("\"{}", "#".repeat(hashes));
        inside.find(&end).map(|at| at + end.len())
    } else {
        closing_quote(inside)
    };
    Some(close.map_or(text.len(), |len| opened + len))
}

fn closing_quote(inside: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            '"' if !escaped => return Some(at + 1),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    None
}

/// The token that ends the item, or the statement, that the tokens begin with: its closing brace
/// or its semicolon.
pub(super) fn item_end<'a>(tokens: &[Token<'a>]) -> Option<(usize, Token<'a>)> {
    let (mut groups, mut braces) = (0_usize, 0_usize);
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "(" | "[" => groups += 1,
            ")" | "]" => groups = groups.checked_sub(1)?,
            "{" => braces += 1,
            "}" => braces = braces.checked_sub(1)?,
            _ => {}
        }
        if matches!(token.text, ";" | "}") && groups == 0 && braces == 0 {
            return Some((at, *token));
        }
    }
    None
}

/// The items that carry an attribute, each from the attribute to its end. `attribute` is spelled
/// as its tokens.
pub(super) fn items_with<'a, 't>(
    tokens: &'t [Token<'a>],
    attribute: &[&str],
) -> Vec<&'t [Token<'a>]> {
    let carries = |at: &usize| {
        let here = &tokens[*at..];
        here.len() >= attribute.len()
            && here.iter().zip(attribute).all(|(token, text)| token.is(text))
    };
    let item = |at: usize| {
        let (len, _) = item_end(&tokens[at..])?;
        Some(&tokens[at..=at + len])
    };
    (0..tokens.len()).filter(carries).filter_map(item).collect()
}

/// Every name in the tokens, those of `use` trees written out in full.
pub(super) fn paths<'a>(tokens: &[Token<'a>]) -> Vec<Path<'a>> {
    let mut reader = Paths { tokens, at: 0, found: Vec::new() };
    while reader.at < tokens.len() {
        reader.step();
    }
    reader.found
}

struct Paths<'a, 't> {
    tokens: &'t [Token<'a>],
    at: usize,
    found: Vec<Path<'a>>,
}

impl<'a> Paths<'a, '_> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn step(&mut self) {
        match self.peek() {
            // Not `impl Trait + use<'a>`.
            Some(token) if token.is("use") && !self.next_is("<") => {
                self.at += 1;
                self.tree(&[]);
            }
            Some(token) if token.kind == Kind::Word => self.inline(),
            _ => self.at += 1,
        }
    }

    fn next_is(&self, text: &str) -> bool {
        self.tokens.get(self.at + 1).is_some_and(|token| token.is(text))
    }

    fn inline(&mut self) {
        let line = self.tokens[self.at].line;
        let mut parts = vec![self.tokens[self.at].text];
        self.at += 1;
        while let [separator, word, ..] = self.tokens[self.at..]
            && separator.kind == Kind::Separator
            && word.kind == Kind::Word
        {
            parts.push(word.text);
            self.at += 2;
        }
        self.found.push(Path { line, parts });
    }

    /// One branch of a `use` tree, to its end at `,`, `}` or `;`.
    fn tree(&mut self, prefix: &[&'a str]) {
        let mut parts = prefix.to_vec();
        while let Some(token) = self.peek() {
            self.at += 1;
            match token.text {
                "," | "}" | ";" => {
                    self.at -= 1;
                    self.found.push(Path { line: token.line, parts });
                    return;
                }
                "{" => return self.branches(&parts),
                // The new name is what the code below says: the old one is what the rules know.
                "as" => self.at += 1,
                text if token.kind == Kind::Word || text == "*" => parts.push(text),
                _ => {}
            }
        }
    }

    /// `{a, b::{c, d}}`, from behind its brace.
    fn branches(&mut self, prefix: &[&'a str]) {
        while let Some(token) = self.peek() {
            match token.text {
                "}" => {
                    self.at += 1;
                    return;
                }
                "," => self.at += 1,
                _ => self.tree(prefix),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_lifetimes_hide_their_words() {
        check("a // b\nc", "a c");
        check("a /* b /* c */ d */ e", "a e");
        check(r#"a "b \" c" d"#, "a d");
        check(r##"a r#"b " c"# d"##, "a d");
        check(r#"a b"x" c"y" br"z" d"#, "a d");
        check(r"a '\'' 'b' '\u{1f}' c", "a c");
        check("a<'b> c: &'static d", "a < > c : & d");
        check("a 1_u8..0xff b.0", "a . . b .");
        check("a::b(r, br, c)", "a :: b ( r , br , c )");
        check("bcr\"x\"", "bcr");
    }

    fn check(text: &str, shown: &str) {
        let words = tokens(text);
        let shown_words = words.iter().filter(|each| each.kind != Kind::Literal);
        let words: Vec<&str> = shown_words.map(|each| each.text).collect();
        assert_eq!(words.join(" "), shown, "{text}");
    }

    #[test]
    fn lines_are_counted_through_strings_and_comments() {
        let text = "a\n\"b\nc\" /* d\n */ e\n";
        let lines: Vec<usize> = tokens(text).iter().map(|each| each.line).collect();
        assert_eq!(lines, [1, 2, 4]);
    }

    #[test]
    fn items_end_with_their_brace_or_semicolon() {
        check_end("fn f(a: [u8; 2]) { if x { y; } } fn g() {}", "}", 18);
        check_end("const A: [u8; 2] = [1; 2]; fn g() {}", ";", 14);
        check_end("fn f(", "", 0);
    }

    fn check_end(text: &str, end: &str, at: usize) {
        let found = item_end(&tokens(text)).map_or(("", 0), |(at, token)| (token.text, at));
        assert_eq!(found, (end, at), "{text}");
    }

    #[test]
    fn items_are_found_by_their_attributes() {
        let text = "fn a() {} #[cfg(test)] mod b { fn c() {} } fn d() {}";
        let tokens = tokens(text);
        let items = items_with(&tokens, &["#", "[", "cfg", "(", "test", ")", "]"]);
        let words: Vec<&str> = items[0].iter().map(|each| each.text).collect();
        assert_eq!(items.len(), 1);
        assert_eq!(words.join(" "), "# [ cfg ( test ) ] mod b { fn c ( ) { } }");
    }

    #[test]
    fn names_are_written_out_in_full() {
        check_paths("a::b::c(d)", "a::b::c d");
        check_paths("use a::b; c", "a::b c");
        check_paths("use a::{b, c::{d, e as f}, *};", "a::b a::c::d a::c::e a::*");
        check_paths("use a::{self, b,};", "a::self a::b");
        check_paths("fn f() -> impl T + use<'a> {}", "fn f impl T use");
    }

    fn check_paths(text: &str, shown: &str) {
        let paths: Vec<String> =
            paths(&tokens(text)).iter().map(|each| each.parts.join("::")).collect();
        assert_eq!(paths.join(" "), shown, "{text}");
    }
}
