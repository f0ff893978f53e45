//! As much of JSON as `cargo metadata` prints: a parser library would be most of this package's
//! build, and this package is built before every check.

use crate::scanner::Scanner;

/// A JSON value; numbers keep their spelling.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Json {
    /// Parses a whole text; `None` where it is not JSON.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut text = Scanner::new(text);
        let value = value(&mut text)?;
        text.peek().is_none().then_some(value)
    }

    /// A field of a map, `Null` where there is none.
    pub(crate) fn field(&self, name: &str) -> &Self {
        let Self::Map(fields) = self else { return &Self::Null };
        fields.iter().find(|(key, _)| key == name).map_or(&Self::Null, |(_, value)| value)
    }

    /// The elements of a list; none for anything else.
    pub(crate) fn elements(&self) -> &[Self] {
        if let Self::List(elements) = self { elements } else { &[] }
    }

    /// The text; empty for anything else.
    pub(crate) fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }
}

const NUMBER_ENDS: &str = ",]}";

fn value(text: &mut Scanner<'_>) -> Option<Json> {
    match text.peek()? {
        '{' => text.list(('{', '}'), field).map(Json::Map),
        '[' => text.list(('[', ']'), value).map(Json::List),
        '"' => quoted(text).map(Json::Text),
        _ => word(text),
    }
}

fn field(text: &mut Scanner<'_>) -> Option<(String, Json)> {
    let key = quoted(text)?;
    text.take(':')?;
    Some((key, value(text)?))
}

fn quoted(text: &mut Scanner<'_>) -> Option<String> {
    text.quoted('"', |c| c, escaped)
}

fn escaped(text: &mut Scanner<'_>, first: char) -> Option<char> {
    Some(match first {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        // Half a surrogate pair: nothing that we look at is spelled with one.
        'u' => char::from_u32(text.hex(4)?).unwrap_or('\u{fffd}'),
        c => c,
    })
}

fn word(text: &mut Scanner<'_>) -> Option<Json> {
    let word = text.word(NUMBER_ENDS)?;
    Some(match word.as_str() {
        "null" => Json::Null,
        "true" => Json::Bool(true),
        "false" => Json::Bool(false),
        _ => {
            word.parse::<f64>().ok()?;
            Json::Number(word)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_prints_is_read() {
        let text = |text: &str| Json::Text(text.to_owned());
        check("null", Json::Null);
        check(" [ ] ", Json::List(vec![]));
        check("{}", Json::Map(vec![]));
        check(r#""a\n\"\u0041""#, text("a\n\"A"));
        check("[1,true]", Json::List(vec![Json::Number("1".into()), Json::Bool(true)]));
        check(r#"{"a":"b"}"#, Json::Map(vec![("a".into(), text("b"))]));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for broken in ["", "{", "[1", "[1 2]", r#"{"a"}"#, r#""a"#, "nil", "1 2"] {
            check(broken, None);
        }
    }

    fn check(text: &str, value: impl Into<Option<Json>>) {
        assert_eq!(Json::parse(text), value.into(), "{text}");
    }
}
