//! What requests and answers say, as text: `{name:'orders',partitions:[0,1],offset:-1,error:NONE}`.

use std::fmt;

use crate::scanner::Scanner;

/// A value without its type: the schema knows that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// `null`.
    Null,
    /// A number, a boolean, a uuid in hexadecimal digits, or a name such as `$session`.
    Word(String),
    /// What stands between quotes; `\xNN` is a byte, `\n` and the like are not known.
    Text(Vec<u8>),
    List(Vec<Self>),
    /// Named values in the order in which they were written.
    Fields(Vec<(String, Self)>),
}

/// Where a text stops being a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoValue {
    /// What follows that place.
    rest: String,
}

impl fmt::Display for NoValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no value at `{}`", self.rest)
    }
}

impl Value {
    /// Reads the whole text.
    ///
    /// # Errors
    /// When it is not one value.
    pub(super) fn parse(text: &str) -> Result<Self, NoValue> {
        let mut text = Scanner::new(text);
        match value(&mut text) {
            Some(value) if text.peek().is_none() => Ok(value),
            Some(_) | None => Err(NoValue { rest: text.rest() }),
        }
    }

    #[allow(clippy::needless_pass_by_value, reason = "numbers and references to texts")]
    pub(super) fn word(word: impl ToString) -> Self {
        Self::Word(word.to_string())
    }

    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }

    /// A field of named values.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let Self::Fields(fields) = self else { return None };
        fields.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// The value as a number, where it is one.
    pub(super) fn number(&self) -> Option<i64> {
        if let Self::Word(word) = self { word.parse().ok() } else { None }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Word(word) => f.write_str(word),
            Self::Text(bytes) => write_text(f, bytes),
            Self::List(elements) => {
                f.write_str("[")?;
                for (at, element) in elements.iter().enumerate() {
                    write!(f, "{}{element}", if at > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Fields(fields) => {
                f.write_str("{")?;
                for (at, (name, value)) in fields.iter().enumerate() {
                    write!(f, "{}{name}:{value}", if at > 0 { "," } else { "" })?;
                }
                f.write_str("}")
            }
        }
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("'")?;
    for byte in bytes {
        match byte {
            b'\'' | b'\\' => write!(f, "\\{}", char::from(*byte))?,
            b' '..=b'~' => write!(f, "{}", char::from(*byte))?,
            byte => write!(f, "\\x{byte:02x}")?,
        }
    }
    f.write_str("'")
}

const WORD_ENDS: &str = ",:[]{}";

fn value(text: &mut Scanner<'_>) -> Option<Value> {
    match text.peek()? {
        '{' => text.list(('{', '}'), field).map(Value::Fields),
        '[' => text.list(('[', ']'), value).map(Value::List),
        '\'' => quoted(text).map(Value::Text),
        _ => text.word(WORD_ENDS).map(|word| match word.as_str() {
            "null" => Value::Null,
            _ => Value::Word(word),
        }),
    }
}

fn field(text: &mut Scanner<'_>) -> Option<(String, Value)> {
    let name = text.word(WORD_ENDS)?;
    text.take(':')?;
    Some((name, value(text)?))
}

fn quoted(text: &mut Scanner<'_>) -> Option<Vec<u8>> {
    let parts: Vec<Vec<u8>> =
        text.quoted('\'', |c| c.encode_utf8(&mut [0; 4]).bytes().collect(), escaped)?;
    Some(parts.concat())
}

fn escaped(text: &mut Scanner<'_>, first: char) -> Option<Vec<u8>> {
    let byte = match first {
        'x' => u8::try_from(text.hex(2)?).ok(),
        c => u8::try_from(c).ok().filter(|byte| b"\\'".contains(byte)),
    };
    byte.map(|byte| vec![byte])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["null", "-1", "'it\\'s \\x00\\xff'", "[]", "{}", "{a:[1,'b'],c:{d:null}}"] {
            assert_eq!(Value::parse(text).map(|value| value.to_string()), Ok(text.to_owned()));
        }
        assert_eq!(Value::parse(" { a : [ 1 , 2 ] } ").unwrap().to_string(), "{a:[1,2]}");
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for broken in ["", "{", "[1", "[1 2]", "{a}", "'a", "'\\n'", "1 2"] {
            assert!(Value::parse(broken).is_err(), "{broken}");
        }
    }
}
