//! Values as text, to compare what a message means to Apache Kafka with what it means to us.

use std::iter::Peekable;
use std::str::{Chars, FromStr};

/// A value as JSON spells it, or as Rust's `{:?}` does: one reader for both, since the two differ
/// only in names. `Some(x)` and one-field tuple structs are read as `x`, `None` as null, and the
/// names of structs are dropped.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null` or `None`.
    Null,
    /// A number, a boolean, an identifier or a uuid, as it was spelled.
    Word(String),
    /// What stood in quotes.
    Text(String),
    /// Elements in square brackets.
    List(Vec<Self>),
    /// Named values in braces, in the order they came.
    Fields(Vec<(String, Self)>),
}

/// A text that is neither JSON nor Rust's `{:?}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseValueError {
    /// What follows the place where the text stopped making sense.
    pub rest: String,
}

impl FromStr for Value {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, ParseValueError> {
        let mut reader = Reader { rest: text.chars().peekable() };
        let value = reader.value();
        reader.skip_space();
        match value {
            Some(value) if reader.rest.peek().is_none() => Ok(value),
            Some(_) | None => Err(ParseValueError { rest: reader.rest.collect() }),
        }
    }
}

impl Value {
    /// Where `ours` says something else than `self`, which is what Apache Kafka said; `None` if
    /// they agree. Fields that only we have are passed over: a struct of ours has the fields of all
    /// versions, while JSON shows those of one.
    #[must_use]
    pub fn difference(&self, ours: &Self) -> Option<String> {
        difference("", self, ours)
    }
}

fn difference(path: &str, apache: &Value, ours: &Value) -> Option<String> {
    match (apache, ours) {
        (Value::Fields(fields), Value::Fields(own)) => {
            fields.iter().find_map(|(name, value)| field_difference(path, name, value, own))
        }
        (Value::List(elements), Value::List(own)) if elements.len() == own.len() => elements
            .iter()
            .zip(own)
            .enumerate()
            .find_map(|(at, (element, own))| difference(&format!("{path}[{at}]"), element, own)),
        // JSON spells bytes in base64, a uuid as text, and has no other numbers than decimal ones.
        (Value::Text(text), Value::List(_)) if base64(text).as_ref() == Some(ours) => None,
        (Value::Text(text), Value::Word(word)) if text == word => None,
        (Value::Word(word), Value::Word(own)) if same_number(word, own) => None,
        (apache, ours) if apache == ours => None,
        (apache, ours) => Some(format!("{path}: {apache:?} became {ours:?}")),
    }
}

fn field_difference(
    path: &str,
    name: &str,
    value: &Value,
    own: &[(String, Value)],
) -> Option<String> {
    // Apache's JSON shows only the size of records.
    let (name, counted) = match name.strip_suffix("SizeInBytes") {
        Some(records) => (records, true),
        None => (name, false),
    };
    let path = format!("{path}.{name}");
    let Some((_, own)) = own.iter().find(|(own, _)| plain(own) == plain(name)) else {
        return Some(format!("{path} is missing"));
    };
    match own {
        Value::List(bytes) if counted => {
            difference(&path, value, &Value::Word(bytes.len().to_string()))
        }
        own => difference(&path, value, own),
    }
}

/// Apache writes `isrNodes`, we write `isr_nodes`.
fn plain(name: &str) -> String {
    name.replace('_', "").to_lowercase()
}

fn same_number(one: &str, other: &str) -> bool {
    match (one.parse::<f64>(), other.parse::<f64>()) {
        (Ok(one), Ok(other)) => one.total_cmp(&other).is_eq() && one.abs() < 1e15,
        (Ok(_), Err(_)) | (Err(_), Ok(_) | Err(_)) => false,
    }
}

fn base64(text: &str) -> Option<Value> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut pending, mut bits) = (Vec::new(), 0_u32, 0);
    for digit in text.bytes().take_while(|digit| *digit != b'=') {
        let sextet = ALPHABET.iter().position(|known| *known == digit)?;
        pending = (pending << 6 | u32::try_from(sextet).ok()?) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(Value::Word((pending >> bits & 0xff).to_string()));
        }
    }
    Some(Value::List(bytes))
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

    fn value(&mut self) -> Option<Value> {
        self.skip_space();
        match self.rest.peek()? {
            '{' => self.fields(),
            '[' => self.list('[', ']').map(Value::List),
            '"' => self.text().map(Value::Text),
            _ => self.word(),
        }
    }

    /// Everything that begins with a bare word: the word itself, a struct or a tuple struct.
    fn word(&mut self) -> Option<Value> {
        let word = self.bare_word()?;
        self.skip_space();
        match (word.as_str(), self.rest.peek()) {
            (_, Some('{')) => self.fields(),
            (_, Some('(')) => {
                let mut elements = self.list('(', ')')?;
                let first = elements.pop()?;
                elements.is_empty().then_some(first)
            }
            ("null" | "None", _) => Some(Value::Null),
            _ => Some(Value::Word(word)),
        }
    }

    fn bare_word(&mut self) -> Option<String> {
        let mut word = String::new();
        while let Some(c) = self.rest.next_if(|c| !(",:[]{}()".contains(*c) || c.is_whitespace())) {
            word.push(c);
        }
        (!word.is_empty()).then_some(word)
    }

    fn list(&mut self, open: char, close: char) -> Option<Vec<Value>> {
        let mut elements = Vec::new();
        self.take(open)?;
        while self.take(close).is_none() {
            if !elements.is_empty() {
                self.take(',')?;
            }
            elements.push(self.value()?);
        }
        Some(elements)
    }

    fn fields(&mut self) -> Option<Value> {
        let mut fields = Vec::new();
        self.take('{')?;
        while self.take('}').is_none() {
            if !fields.is_empty() {
                self.take(',')?;
            }
            self.skip_space();
            let quoted = self.rest.peek() == Some(&'"');
            let name = if quoted { self.text()? } else { self.bare_word()? };
            self.take(':')?;
            fields.push((name, self.value()?));
        }
        Some(Value::Fields(fields))
    }

    fn text(&mut self) -> Option<String> {
        let mut text = String::new();
        self.take('"')?;
        loop {
            match self.rest.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.rest.next().filter(|c| "\"\\/'".contains(*c))?),
                c => text.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn json_and_debug_are_read_alike() {
        check(r#"{"a":1,"bC":[true,null]}"#,  "Name { a: 1, b_c: [true, None] }",   None);
        check(r#"{"a":"x","b":{"c":"y"}}"#,   "N { a: Some(\"x\"), b: M { c: \"y\" } }", None);
        check(r#"{"a":7}"#,                   "N { a: Offset(7), other: 3 }",       None);
        check(r#"{"id":"AA_-w"}"#,            "N { id: AA_-w }",                    None);
        check(r#"{"d":0.5}"#,                 "N { d: 5e-1 }",                      None);
        check(r#"{"b":"AQID/w=="}"#,          "N { b: [1, 2, 3, 255] }",            None);
        check(r#"{"recordsSizeInBytes":2}"#,  "N { records: Some([9, 9]) }",        None);
        check("{}",                           "N",                                  Some(": Fields([]) became Word(\"N\")"));
    }

    #[test]
    #[rustfmt::skip]
    fn the_first_difference_is_told_with_its_path() {
        check(r#"{"a":[{"b":1},{"b":2}]}"#, "N { a: [M { b: 1 }, M { b: 3 }] }",
              Some(r#".a[1].b: Word("2") became Word("3")"#));
        check(r#"{"a":"x"}"#,  "N { b: 1 }",    Some(".a is missing"));
        check(r#"{"a":[]}"#,   "N { a: None }", Some(".a: List([]) became Null"));
        check(r#"{"a":9007199254740993}"#, "N { a: 9007199254740992 }",
              Some(r#".a: Word("9007199254740993") became Word("9007199254740992")"#));
    }

    fn check(apache: &str, ours: &str, difference: Option<&str>) {
        let apache: Value = apache.parse().unwrap();
        let ours: Value = ours.parse().unwrap();
        assert_eq!(apache.difference(&ours).as_deref(), difference);
    }

    #[test]
    fn what_is_neither_is_refused() {
        for broken in ["", "{", "[1", "[1 2]", r#"{"a"}"#, r#""a"#, "N(1, 2)", "1 2"] {
            assert!(broken.parse::<Value>().is_err(), "{broken}");
        }
    }
}
