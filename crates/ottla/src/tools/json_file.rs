//! As much of JSON as the files need that tools are given.

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// A whole number; others are none that these files have.
    Number(i64),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// How deep a value may lie in others: files of tools have three levels.
const DEPTH_MAX: u32 = 32;

impl Value {
    /// `None` for what is no JSON.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let value = value(&mut rest, 0)?;
        rest.trim_start().is_empty().then_some(value)
    }

    /// A field of an object.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    pub(super) fn text(&self) -> Option<&str> {
        let Self::Text(text) = self else { return None };
        Some(text)
    }

    pub(super) const fn number(&self) -> Option<i64> {
        let Self::Number(number) = self else { return None };
        Some(*number)
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        let Self::List(list) = self else { return None };
        Some(list)
    }
}

/// Takes a word off the front.
fn take(rest: &mut &str, word: &str) -> bool {
    let trimmed = rest.trim_start();
    match trimmed.strip_prefix(word) {
        Some(behind) => {
            *rest = behind;
            true
        }
        None => false,
    }
}

fn value(rest: &mut &str, depth: u32) -> Option<Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    *rest = rest.trim_start();
    match rest.chars().next()? {
        '{' => object(rest, depth),
        '[' => list(rest, depth),
        '"' => string(rest).map(Value::Text),
        't' => take(rest, "true").then_some(Value::Bool(true)),
        'f' => take(rest, "false").then_some(Value::Bool(false)),
        'n' => take(rest, "null").then_some(Value::Null),
        _ => number(rest),
    }
}

fn number(rest: &mut &str) -> Option<Value> {
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(rest.len());
    let (number, behind) = rest.split_at(end);
    *rest = behind;
    number.parse().ok().map(Value::Number)
}

fn list(rest: &mut &str, depth: u32) -> Option<Value> {
    let mut values = Vec::new();
    take(rest, "[");
    if take(rest, "]") {
        return Some(Value::List(values));
    }
    loop {
        values.push(value(rest, depth + 1)?);
        if take(rest, "]") {
            return Some(Value::List(values));
        }
        if !take(rest, ",") {
            return None;
        }
    }
}

fn object(rest: &mut &str, depth: u32) -> Option<Value> {
    let mut fields = Vec::new();
    take(rest, "{");
    if take(rest, "}") {
        return Some(Value::Object(fields));
    }
    loop {
        *rest = rest.trim_start();
        let name = string(rest)?;
        if !take(rest, ":") {
            return None;
        }
        fields.push((name, value(rest, depth + 1)?));
        if take(rest, "}") {
            return Some(Value::Object(fields));
        }
        if !take(rest, ",") {
            return None;
        }
    }
}

fn string(rest: &mut &str) -> Option<String> {
    let inside = rest.strip_prefix('"')?;
    let mut text = String::new();
    let mut chars = inside.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                *rest = &inside[at + 1..];
                return Some(text);
            }
            '\\' => match chars.next()?.1 {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                'b' => text.push('\u{8}'),
                'f' => text.push('\u{c}'),
                'u' => {
                    let mut code = 0;
                    for _ in 0..4 {
                        code = code * 16 + chars.next()?.1.to_digit(16)?;
                    }
                    // Names of topics need no pairs of surrogates.
                    text.push(char::from_u32(code)?);
                }
                c @ ('"' | '\\' | '/') => text.push(c),
                _ => return None,
            },
            c => text.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_are_given_is_read() {
        let file = r#" {"partitions": [{"topic": "a\u002d\"b", "partition": 1, "offset": -1}], "version":1}
        "#;
        let value = Value::parse(file).unwrap();
        assert_eq!(value.field("version").unwrap().number(), Some(1));
        let first = &value.field("partitions").unwrap().list().unwrap()[0];
        assert_eq!(first.field("topic").unwrap().text(), Some("a-\"b"));
        assert_eq!(first.field("offset").unwrap().number(), Some(-1));
        assert_eq!(first.field("other"), None);
        for text in ["", "{", "[1,]", "{\"a\"}", "{\"a\":1} x", "\"a", "1.5", "nul"] {
            assert_eq!(Value::parse(text), None, "{text}");
        }
        assert_eq!(Value::parse(&"[".repeat(100_000)), None, "it ends");
    }
}
