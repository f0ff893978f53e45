//! Answers, read by the schema of `crates/wire`.

use std::collections::BTreeMap;

use super::encode::{is_flexible, name_of, struct_of};
use super::value::Value;
use crate::generate::schema::{Field, FieldKind, Message, Struct};

/// Names of error codes.
pub(super) type Errors = BTreeMap<i64, String>;

/// What an answer of `message` in `version` says. Bytes behind its end are shown as `_rest`.
///
/// # Errors
/// When it ends too early, or holds a length that cannot be.
pub(super) fn body(
    message: &Message,
    version: i16,
    bytes: &[u8],
    errors: &Errors,
) -> Result<Value, String> {
    let mut decoder =
        Decoder { message, version, flexible: is_flexible(message, version), errors, rest: bytes };
    let mut value = decoder.structure(&message.structs[0])?;
    if let Value::Fields(fields) = &mut value
        && !decoder.rest.is_empty()
    {
        fields.push(("_rest".to_owned(), Value::word(decoder.rest.len())));
    }
    Ok(value)
}

struct Decoder<'m, 'b> {
    message: &'m Message,
    version: i16,
    flexible: bool,
    errors: &'m Errors,
    rest: &'b [u8],
}

impl Decoder<'_, '_> {
    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or("it ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.take(N)?.try_into().expect("as many as were taken"))
    }

    fn varint(&mut self) -> Result<usize, String> {
        let mut number = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            number |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a length of more than five bytes".to_owned())
    }

    fn structure(&mut self, item: &Struct) -> Result<Value, String> {
        let mut fields = Vec::new();
        let version = self.version;
        let lives = |field: &&Field| (field.versions.low..=field.versions.high).contains(&version);
        for field in item.fields.iter().filter(lives).filter(|field| field.tag.is_none()) {
            let value = self.field(field)?;
            fields.push((name_of(field).to_owned(), value));
        }
        let tags = if self.flexible { self.varint()? } else { 0 };
        for _ in 0..tags {
            let (tag, size) = (self.varint()?, self.varint()?);
            let known = item.fields.iter().filter(lives);
            let mut known = known.filter(|field| field.tag.is_some_and(|own| own as usize == tag));
            if let Some(field) = known.next() {
                let value = self.field(field)?;
                fields.push((name_of(field).to_owned(), value));
            } else {
                self.take(size)?;
                fields.push((format!("_tag{tag}"), Value::word(size)));
            }
        }
        Ok(Value::Fields(fields))
    }

    fn field(&mut self, field: &Field) -> Result<Value, String> {
        let value =
            self.value(&field.kind, field).map_err(|why| format!("{}: {why}", field.name))?;
        let is_error = field.name.ends_with("error_code");
        let name = value.number().and_then(|code| self.errors.get(&code));
        Ok(name.filter(|_| is_error).map_or(value, Value::word))
    }

    fn value(&mut self, kind: &FieldKind, field: &Field) -> Result<Value, String> {
        Ok(match kind {
            FieldKind::Bool => match self.array()? {
                [0] => Value::word("false"),
                [1] => Value::word("true"),
                [other] => Value::word(other),
            },
            FieldKind::I8 => Value::word(i8::from_be_bytes(self.array()?)),
            FieldKind::I16 => Value::word(i16::from_be_bytes(self.array()?)),
            FieldKind::U16 => Value::word(u16::from_be_bytes(self.array()?)),
            FieldKind::I32 => Value::word(i32::from_be_bytes(self.array()?)),
            FieldKind::U32 => Value::word(u32::from_be_bytes(self.array()?)),
            FieldKind::I64 => Value::word(i64::from_be_bytes(self.array()?)),
            FieldKind::F64 => Value::word(f64::from_be_bytes(self.array()?)),
            FieldKind::Uuid => Value::Word(format!("{:032x}", u128::from_be_bytes(self.array()?))),
            FieldKind::String => self.bytes(2, field.classic)?,
            FieldKind::Bytes => self.bytes(4, false)?,
            FieldKind::Records => match self.bytes(4, false)? {
                Value::Text(records) => Value::Word(batches(&records)),
                other => other,
            },
            FieldKind::List(inner) => {
                let Some(count) = self.length(4, false)? else { return Ok(Value::Null) };
                if count > self.rest.len() {
                    return Err(format!("{count} elements"));
                }
                let elements = (0..count).map(|_| self.value(inner, field));
                Value::List(elements.collect::<Result<_, _>>()?)
            }
            FieldKind::Struct(name) => {
                let single = !matches!(field.kind, FieldKind::List(_));
                if single && field.nullable.is_some() && self.array()? == [0xff] {
                    return Ok(Value::Null);
                }
                self.structure(struct_of(self.message, name))?
            }
        })
    }

    fn bytes(&mut self, classic: usize, always: bool) -> Result<Value, String> {
        Ok(match self.length(classic, always)? {
            Some(length) => Value::Text(self.take(length)?.to_vec()),
            None => Value::Null,
        })
    }

    /// A length, none for null.
    fn length(&mut self, classic: usize, always: bool) -> Result<Option<usize>, String> {
        if self.flexible && !always {
            return Ok(self.varint()?.checked_sub(1));
        }
        let length = match classic {
            2 => i32::from(i16::from_be_bytes(self.array()?)),
            _ => i32::from_be_bytes(self.array()?),
        };
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(format!("a length of {length}")),
        }
    }
}

/// The offsets of record batches: `0-2;3-3`, what is no batch as `?` and its size.
fn batches(mut records: &[u8]) -> String {
    let mut found = Vec::new();
    while !records.is_empty() {
        let header = records.first_chunk::<61>();
        let Some(header) = header else {
            found.push(format!("?{}", records.len()));
            break;
        };
        let base = i64::from_be_bytes(*header.first_chunk().expect("it is longer"));
        let number = |at: usize| i32::from_be_bytes(header[at..at + 4].try_into().expect("four"));
        let size = usize::try_from(number(8)).unwrap_or(0) + 12;
        found.push(format!("{base}-{}", base.saturating_add(number(23).into())));
        let Some(rest) = records.get(size..) else { break };
        records = rest;
    }
    format!("batches({})", found.join(";"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::schema;

    const SCHEMA: &str = "response A versions 0-1 flexible 1 {
        error_code: i16
        parts: [Part]? {
            name: string?
        }
        late: i8 since 1 tag 0
    }";

    #[test]
    #[rustfmt::skip]
    fn answers_are_read() {
        check(0, &[0, 3, 0, 0, 0, 1, 0, 1, 97],           "{error_code:GONE,parts:[{name:'a'}]}");
        check(0, &[0, 9, 0xff, 0xff, 0xff, 0xff, 7],      "{error_code:9,parts:null,_rest:1}");
        check(1, &[0, 3, 2, 0, 0, 2, 0, 1, 5, 9, 2, 1, 2], "{error_code:GONE,parts:[{name:null}],late:5,_tag9:2}");
    }

    fn check(version: i16, bytes: &[u8], text: &str) {
        let schema = schema::parse(SCHEMA).unwrap();
        let errors = Errors::from([(3, "GONE".to_owned())]);
        let value = body(&schema.messages[0], version, bytes, &errors).unwrap();
        assert_eq!(value.to_string(), text);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let schema = schema::parse(SCHEMA).unwrap();
        for bytes in [&[][..], &[0, 3, 0, 0, 0, 9], &[0, 3, 0xff, 0xff, 0xff, 0xfe]] {
            assert!(body(&schema.messages[0], 0, bytes, &Errors::new()).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn batches_are_told_by_their_offsets() {
        let mut batch = vec![0; 70];
        batch[7] = 5;
        batch[11] = 58;
        batch[26] = 2;
        assert_eq!(batches(&[batch.clone(), vec![0; 3]].concat()), "batches(5-7;?3)");
        assert_eq!(batches(&[]), "batches()");
    }
}
