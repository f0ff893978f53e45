//! As much JSON as quorum-state needs: objects, arrays, strings and whole numbers.

use std::collections::BTreeMap;

/// Deeper nesting than any file of ours has.
const DEPTH_MAX: usize = 8;

/// A parsed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Number(i64),
    Text(String),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

/// Not a JSON text of the kind that is read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the expected JSON at byte {at}")]
pub struct JsonError {
    /// Where the text stops making sense, in bytes from its start.
    pub at: usize,
}

impl Json {
    /// Parses the first line of a text; Kafka reads no further either.
    pub(crate) fn parse(text: &str) -> Result<Self, JsonError> {
        let line = text.lines().next().unwrap_or_default();
        let mut parser = Parser { text: line.as_bytes(), at: 0 };
        let value = parser.value(0)?;
        parser.blanks();
        if parser.at == line.len() { Ok(value) } else { Err(parser.refuse()) }
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    const fn refuse(&self) -> JsonError {
        JsonError { at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|c| c.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn take(&mut self, wanted: u8) -> Result<(), JsonError> {
        self.blanks();
        if self.peek() == Some(wanted) {
            self.at += 1;
            return Ok(());
        }
        Err(self.refuse())
    }

    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.blanks();
        match self.peek() {
            _ if depth > DEPTH_MAX => Err(self.refuse()),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.text().map(Json::Text),
            Some(b'n') => self.null(),
            _ => self.number(),
        }
    }

    fn null(&mut self) -> Result<Json, JsonError> {
        if self.text[self.at..].starts_with(b"null") {
            self.at += 4;
            return Ok(Json::Null);
        }
        Err(self.refuse())
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        let mut fields = BTreeMap::new();
        self.take(b'{')?;
        if self.take(b'}').is_ok() {
            return Ok(Json::Object(fields));
        }
        loop {
            self.blanks();
            let name = self.text()?;
            self.take(b':')?;
            fields.insert(name, self.value(depth + 1)?);
            if self.take(b',').is_err() {
                self.take(b'}')?;
                return Ok(Json::Object(fields));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Json, JsonError> {
        let mut items = Vec::new();
        self.take(b'[')?;
        if self.take(b']').is_ok() {
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.take(b',').is_err() {
                self.take(b']')?;
                return Ok(Json::List(items));
            }
        }
    }

    /// Text without escapes: none of our values has a character that needs one.
    fn text(&mut self) -> Result<String, JsonError> {
        self.take(b'"')?;
        let start = self.at;
        while self.peek().is_some_and(|c| c != b'"' && c != b'\\') {
            self.at += 1;
        }
        let bytes = self.text[start..self.at].to_vec();
        self.take(b'"')?;
        String::from_utf8(bytes).map_err(|_| JsonError { at: start })
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        while self.peek().is_some_and(|c| c == b'-' || c.is_ascii_digit()) {
            self.at += 1;
        }
        let digits = std::str::from_utf8(&self.text[start..self.at]);
        let number = digits.ok().and_then(|digits| digits.parse().ok());
        number.map(Json::Number).ok_or(JsonError { at: start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_not_json_are_refused_where_they_stop_making_sense() {
        check(r#"{"a":1,"b":[{"c":"d"}],"e":null,"f":[],"g":{}}"#, Ok(()));
        check(" { \"a\" : -1 } \nrest", Ok(()));
        check("", Err(0));
        check("{", Err(1));
        check(r#"{"a"}"#, Err(4));
        check(r#"{"a":1}x"#, Err(7));
        check(r#"{"a":1.5}"#, Err(6));
        check(r#"{"a":"\n"}"#, Err(6));
        check("99999999999999999999", Err(0));
        check(&"[".repeat(100), Err(9));
    }

    fn check(text: &str, outcome: Result<(), usize>) {
        assert_eq!(Json::parse(text).map(|_| ()).map_err(|e| e.at), outcome, "{text}");
    }
}
