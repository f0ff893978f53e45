//! Requests as bytes, by the schema of `crates/wire`: sound ones, and those that no client sends.

use super::batch;
use super::value::Value;
use crate::generate::schema::{Field, FieldKind, Message, Struct};

/// A place in a request at which it can be spoilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// How many elements a list has.
    Count { at: usize, bytes: usize },
    /// How long a text is; `text` bytes follow.
    Length { at: usize, bytes: usize, text: usize },
}

/// A request's body, with the places of its lengths.
#[derive(Clone, Debug, Default)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) marks: Vec<Mark>,
}

/// The body of `message` in `version`. Values that are not given are the schema's defaults; fields
/// that the version lacks are left out. `_tag:N` in any struct adds a tagged field that nobody
/// knows. A null is written where the schema has none, too.
///
/// # Errors
/// When a value does not fit its field, or no version has the field.
pub(super) fn body(message: &Message, version: i16, value: &Value) -> Result<Body, String> {
    let mut encoder = Encoder { message, version, body: Body::default() };
    encoder.structure(&message.structs[0], value)?;
    Ok(encoder.body)
}

/// Whether lengths are compact and structs end in tags.
pub(super) fn is_flexible(message: &Message, version: i16) -> bool {
    message.flexible.is_some_and(|first| version >= first)
}

/// A field's name as the protocol spells it, not as Rust has to.
pub(super) fn name_of(field: &Field) -> &str {
    field.name.strip_prefix("r#").unwrap_or(&field.name)
}

/// The struct that a field's type names.
///
/// # Panics
/// When the schema lacks it: `cargo xtask gen` refuses such a schema.
pub(super) fn struct_of<'m>(message: &'m Message, name: &str) -> &'m Struct {
    let found = message.structs.iter().find(|item| item.name == name);
    found.unwrap_or_else(|| panic!("no struct {name} in {}", message.structs[0].name))
}

/// An unsigned number, seven bits a byte, the lowest first.
pub(super) fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

struct Encoder<'m> {
    message: &'m Message,
    version: i16,
    body: Body,
}

impl Encoder<'_> {
    fn flexible(&self) -> bool {
        is_flexible(self.message, self.version)
    }

    fn structure(&mut self, item: &Struct, value: &Value) -> Result<(), String> {
        let Value::Fields(given) = value else {
            return Err(format!("{} is not {value}", item.name));
        };
        let known =
            |name: &str| name == "_tag" || item.fields.iter().any(|each| name_of(each) == name);
        if let Some((stranger, _)) = given.iter().find(|(name, _)| !known(name)) {
            return Err(format!("{} has no {stranger}", item.name));
        }
        let lives =
            |field: &&Field| (field.versions.low..=field.versions.high).contains(&self.version);
        let fields: Vec<&Field> = item.fields.iter().filter(lives).collect();
        for field in fields.iter().filter(|field| field.tag.is_none()) {
            let given = value.field(name_of(field)).cloned();
            let given = given.unwrap_or_else(|| default(field));
            self.value(&field.kind, &given, !field.classic)
                .map_err(|why| format!("{}: {why}", field.name))?;
        }
        if self.flexible() { self.tags(&fields, value) } else { Ok(()) }
    }

    fn tags(&mut self, fields: &[&Field], value: &Value) -> Result<(), String> {
        let mut tags: Vec<(u64, Vec<u8>)> = Vec::new();
        for field in fields {
            if let (Some(tag), Some(given)) = (field.tag, value.field(name_of(field))) {
                let mut inner =
                    Encoder { message: self.message, version: self.version, body: Body::default() };
                inner.value(&field.kind, given, true)?;
                tags.push((u64::from(tag), inner.body.bytes));
            }
        }
        if let Some(unknown) = value.field("_tag") {
            let unknown = unknown.number().and_then(|tag| u64::try_from(tag).ok());
            tags.push((unknown.ok_or("_tag is a number")?, vec![0xee]));
        }
        tags.sort();
        varint(&mut self.body.bytes, tags.len() as u64);
        for (tag, bytes) in tags {
            varint(&mut self.body.bytes, tag);
            varint(&mut self.body.bytes, bytes.len() as u64);
            self.body.bytes.extend(bytes);
        }
        Ok(())
    }

    fn value(&mut self, kind: &FieldKind, value: &Value, compact: bool) -> Result<(), String> {
        let out = &mut self.body.bytes;
        match (kind, value) {
            (FieldKind::Bool, Value::Word(word)) => {
                out.push(match word.as_str() {
                    "true" => 1,
                    "false" => 0,
                    other => other.parse().map_err(|_| format!("{other} is no boolean"))?,
                });
            }
            (FieldKind::I8, _) => out.extend(number::<i8>(value)?.to_be_bytes()),
            (FieldKind::I16, _) => out.extend(number::<i16>(value)?.to_be_bytes()),
            (FieldKind::U16, _) => out.extend(number::<u16>(value)?.to_be_bytes()),
            (FieldKind::I32, _) => out.extend(number::<i32>(value)?.to_be_bytes()),
            (FieldKind::U32, _) => out.extend(number::<u32>(value)?.to_be_bytes()),
            (FieldKind::I64, _) => out.extend(number::<i64>(value)?.to_be_bytes()),
            (FieldKind::F64, _) => out.extend(number::<f64>(value)?.to_be_bytes()),
            (FieldKind::Uuid, Value::Word(word)) => out.extend(uuid(word)?),
            (FieldKind::String, _) => self.bytes(value, 2, compact)?,
            (FieldKind::Bytes | FieldKind::Records, _) => self.bytes(value, 4, compact)?,
            (FieldKind::List(inner), _) => self.list(inner, value)?,
            (FieldKind::Struct(_), Value::Null) => out.push(0xff),
            (FieldKind::Struct(name), _) => {
                // The only structs in requests that may be null have a byte in front.
                if nullable_struct(self.message, name) {
                    out.push(1);
                }
                self.structure(struct_of(self.message, name), value)?;
            }
            (kind, value) => return Err(format!("{value} is no {kind:?}")),
        }
        Ok(())
    }

    fn list(&mut self, inner: &FieldKind, value: &Value) -> Result<(), String> {
        let elements = match value {
            Value::Null => None,
            Value::List(elements) => Some(elements),
            other => return Err(format!("{other} is no list")),
        };
        let at = self.body.bytes.len();
        self.length(elements.map(Vec::len), 4, true);
        let bytes = self.body.bytes.len() - at;
        self.body.marks.push(Mark::Count { at, bytes });
        for element in elements.into_iter().flatten() {
            self.value(inner, element, true)?;
        }
        Ok(())
    }

    fn bytes(&mut self, value: &Value, classic: usize, compact: bool) -> Result<(), String> {
        let content = match value {
            Value::Null => None,
            Value::Text(text) if text.starts_with(b"@batch") => Some(batch::build(text)?),
            Value::Text(text) => Some(text.clone()),
            Value::Word(word) => Some(word.clone().into_bytes()),
            other => return Err(format!("{other} is no text")),
        };
        let at = self.body.bytes.len();
        self.length(content.as_ref().map(Vec::len), classic, compact);
        if classic == 2 && compact {
            let bytes = self.body.bytes.len() - at;
            let text = content.as_ref().map_or(0, Vec::len);
            self.body.marks.push(Mark::Length { at, bytes, text });
        }
        self.body.bytes.extend(content.unwrap_or_default());
        Ok(())
    }

    /// A length, or that there is nothing, in the spelling of the version.
    fn length(&mut self, length: Option<usize>, classic: usize, compact: bool) {
        let flexible = self.flexible() && compact;
        let out = &mut self.body.bytes;
        match length {
            Some(length) if flexible => varint(out, length as u64 + 1),
            None if flexible => out.push(0),
            Some(length) => out.extend(&(length as u64).to_be_bytes()[8 - classic..]),
            None => out.extend(vec![0xff; classic]),
        }
    }
}

fn nullable_struct(message: &Message, name: &str) -> bool {
    let fields = message.structs.iter().flat_map(|item| &item.fields);
    let named = |field: &&Field| field.kind == FieldKind::Struct(name.to_owned());
    fields.filter(named).any(|field| field.nullable.is_some())
}

/// What a field has that is not given.
fn default(field: &Field) -> Value {
    match (field.default.as_deref(), &field.kind) {
        (Some("null"), _) | (None, FieldKind::Records) => Value::Null,
        (Some(word), _) => Value::word(word.trim_matches('"')),
        (None, FieldKind::Bool) => Value::word("false"),
        (None, FieldKind::String | FieldKind::Bytes) => Value::text(""),
        (None, FieldKind::List(_)) => Value::List(Vec::new()),
        (None, FieldKind::Struct(_)) if field.nullable.is_some() => Value::Null,
        (None, FieldKind::Struct(_)) => Value::Fields(Vec::new()),
        (None, _) => Value::word(0),
    }
}

fn number<T: std::str::FromStr>(value: &Value) -> Result<T, String> {
    let wrong = || format!("{value} is no number of its size");
    if let Value::Word(word) = value { word.parse().map_err(|_| wrong()) } else { Err(wrong()) }
}

/// Thirty-two hexadecimal digits, or `0`.
fn uuid(word: &str) -> Result<[u8; 16], String> {
    let wrong = |_| format!("{word} is no uuid");
    Ok(u128::from_str_radix(word, 16).map_err(wrong)?.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::schema;

    const SCHEMA: &str = "request A versions 0-2 flexible 1 {
        names: [string]?
        id: uuid since 1
        old: i16 = -1 until 1
        more: string? = null since 1 tag 3
    }";

    #[test]
    #[rustfmt::skip]
    fn bodies_follow_their_version() {
        check(0, "{names:['a']}",             &[0, 0, 0, 1, 0, 1, 97, 0xff, 0xff]);
        check(0, "{names:null,old:2}",        &[0xff, 0xff, 0xff, 0xff, 0, 2]);
        check(1, "{names:[null],old:2,id:1}", &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0]);
        check(2, "{more:'x',_tag:9}",         &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 2, 2, 120, 9, 1, 0xee][..]);
    }

    fn check(version: i16, value: &str, bytes: &[u8]) {
        let schema = schema::parse(SCHEMA).unwrap();
        let mut value = Value::parse(value).unwrap();
        if let Value::Fields(fields) = &mut value
            && !fields.iter().any(|(name, _)| name == "names")
        {
            fields.push(("names".into(), Value::Null));
        }
        let body = body(&schema.messages[0], version, &value).unwrap();
        assert_eq!(body.bytes, bytes, "{value}");
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let schema = schema::parse(SCHEMA).unwrap();
        for wrong in ["{old:'x'}", "{name:[]}", "{names:3}", "{old:70000}", "[]"] {
            let value = Value::parse(wrong).unwrap();
            assert!(body(&schema.messages[0], 0, &value).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lengths_are_marked() {
        let schema = schema::parse(SCHEMA).unwrap();
        let value = Value::parse("{names:['ab']}").unwrap();
        let marks = body(&schema.messages[0], 0, &value).unwrap().marks;
        let expected = [Mark::Count { at: 0, bytes: 4 }, Mark::Length { at: 4, bytes: 2, text: 2 }];
        assert_eq!(marks, expected);
    }
}
