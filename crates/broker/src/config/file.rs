//! The text of a `.properties` file, as Java reads and writes it.

use super::Properties;

/// Reads the lines of a `.properties` file: `name=value`, `name:value` or `name value`, comments
/// behind `#` and `!`, a backslash before what is meant literally and before a line's end that is
/// not the end of its value.
///
/// Also says which lines are none of these. Java takes such a line for a name without a value,
/// which nobody means.
#[must_use]
pub fn parse_properties(text: &str) -> (Properties, Vec<String>) {
    let (mut properties, mut wrong) = (Properties::new(), Vec::new());
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let mut line = line.trim_start().to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        while goes_on(&line) {
            line.pop();
            line.push_str(lines.next().map_or("", |(_, more)| more.trim_start()));
        }
        let line = line.trim_end();
        match split(line) {
            Some((name, value)) => drop(properties.insert(unescape(name), unescape(value))),
            None => wrong.push(format!("line {}: `{line}` is not name=value", at + 1)),
        }
    }
    (properties, wrong)
}

/// An even number of backslashes stands for half as many, and the line ends.
fn goes_on(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

fn split(line: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = !escaped && (matches!(c, '=' | ':') || c.is_whitespace());
        escaped = !escaped && c == '\\';
        ends
    })?;
    let rest = line[end..].trim_start();
    Some((&line[..end], rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start()))
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let next = if c == '\\' { chars.next() } else { Some(c) };
        plain.extend(match (c, next) {
            ('\\', Some('t')) => Some('\t'),
            ('\\', Some('n')) => Some('\n'),
            ('\\', Some('r')) => Some('\r'),
            ('\\', Some('f')) => Some('\x0c'),
            ('\\', Some('u')) => Some(code_point(&chars.by_ref().take(4).collect::<String>())),
            (_, next) => next,
        });
    }
    plain
}

fn code_point(hexadecimal: &str) -> char {
    let code = u32::from_str_radix(hexadecimal, 16).ok();
    code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A name or value as [`parse_properties`] reads it again.
pub(crate) fn escape(text: &str) -> String {
    escape_also(text, |_, c| matches!(c, '=' | ':' | '#' | '!' | ' '))
}

/// A value as [`parse_properties`] reads it again, with no more backslashes than it needs.
#[must_use]
pub fn escape_value(text: &str) -> String {
    escape_also(text, |at, c| at == 0 && c == ' ')
}

/// What ends a line, or begins an escape, is never literal.
fn escape_also(text: &str, is_special: impl Fn(usize, char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let letter = match c {
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\x0c' => 'f',
            other => other,
        };
        if letter != c || c == '\\' || is_special(at, c) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn properties_files_are_read_as_java_reads_them() {
        check("# comment\n\n a.b = 1 \n!x\n", Ok(&[("a.b", "1")]));
        check("listeners=PLAINTEXT://:9092\nempty=\n",
            Ok(&[("empty", ""), ("listeners", "PLAINTEXT://:9092")]));
        check("a:1\nb 2\nc \t= 3", Ok(&[("a", "1"), ("b", "2"), ("c", "3")]));
        check("a=1,\\\n   2,\\\n\t3\nb=4", Ok(&[("a", "1,2,3"), ("b", "4")]));
        check("a=C:\\\\data\\\\\nb=\\u00e9\\tx\\=y", Ok(&[("a", "C:\\data\\"), ("b", "é\tx=y")]));
        check("a\\ b\\:c=1", Ok(&[("a b:c", "1")]));
        check("last=1\\", Ok(&[("last", "1")]));
        check("a=1\nb\nc=2\nd", Err(&["line 2: `b` is not name=value", "line 4: `d` is not name=value"]));
    }

    #[test]
    fn what_is_escaped_is_read_again() {
        for text in ["plain", "a=b:c #!", " first", "two\nlines\r\n\tand \x0c", "C:\\new\\", "é"] {
            for value in [escape(text), escape_value(text)] {
                let (read, wrong) = parse_properties(&format!("{}={value}\nb=1\n", escape(text)));
                assert!(wrong.is_empty(), "{wrong:?}");
                let own = |text: &str| text.to_owned();
                let expected = [(own("b"), own("1")), (own(text), own(text))];
                assert_eq!(read, Properties::from(expected), "{value}");
            }
        }
    }

    fn check(text: &str, expected: Result<&[(&str, &str)], &[&str]>) {
        let (read, wrong) = parse_properties(text);
        let read = read.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>();
        let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
        let read = if wrong.is_empty() { Ok(read.as_slice()) } else { Err(wrong.as_slice()) };
        assert_eq!(read, expected, "{text}");
    }
}
