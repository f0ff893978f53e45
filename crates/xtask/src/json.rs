//! As much of JSON as `cargo metadata` prints: a parser library would be most of this package's
//! build, and this package is built before every check.

use std::iter::Peekable;
use std::str::Chars;

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
        let mut reader = Reader { rest: text.chars().peekable() };
        let value = reader.value()?;
        reader.skip_space();
        reader.rest.next().is_none().then_some(value)
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

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        while self.rest.next_if(char::is_ascii_whitespace).is_some() {}
    }

    /// Takes `wanted` and the space before it.
    fn take(&mut self, wanted: char) -> Option<()> {
        self.skip_space();
        self.rest.next_if_eq(&wanted).map(|_| ())
    }

    fn value(&mut self) -> Option<Json> {
        self.skip_space();
        match self.rest.peek()? {
            '{' => self.map(),
            '[' => self.list(),
            '"' => self.text().map(Json::Text),
            _ => self.word(),
        }
    }

    fn map(&mut self) -> Option<Json> {
        let mut fields = Vec::new();
        self.take('{')?;
        while self.take('}').is_none() {
            if !fields.is_empty() {
                self.take(',')?;
            }
            self.skip_space();
            let key = self.text()?;
            self.take(':')?;
            fields.push((key, self.value()?));
        }
        Some(Json::Map(fields))
    }

    fn list(&mut self) -> Option<Json> {
        let mut elements = Vec::new();
        self.take('[')?;
        while self.take(']').is_none() {
            if !elements.is_empty() {
                self.take(',')?;
            }
            elements.push(self.value()?);
        }
        Some(Json::List(elements))
    }

    fn text(&mut self) -> Option<String> {
        let mut text = String::new();
        self.take('"')?;
        loop {
            match self.rest.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.escaped()?),
                c => text.push(c),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        Some(match self.rest.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => {
                let digits: String = self.rest.by_ref().take(4).collect();
                // Half a surrogate pair: nothing that we look at is spelled with one.
                char::from_u32(u32::from_str_radix(&digits, 16).ok()?).unwrap_or('\u{fffd}')
            }
            c => c,
        })
    }

    fn word(&mut self) -> Option<Json> {
        let mut word = String::new();
        while let Some(c) = self.rest.next_if(|c| !",]}".contains(*c) && !c.is_whitespace()) {
            word.push(c);
        }
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
