//! The notation of `crates/wire/schema`: parsed, checked, and nothing about Rust.
//!
//! ```text
//! ## What the message is for.
//! request Fetch versions 4-18 flexible 12 {
//!     cluster_id: string? = null since 12 tag 0 ignorable  # what it means
//!     topics: [FetchTopic] {
//!         topic: string until 12 ignorable
//!     }
//! }
//! ```
//!
//! `since` and `until` default to the range of the enclosing struct; `?` makes a field nullable,
//! `nullable N` only from version N on; `ignorable` fields are dropped silently for a version that
//! lacks them; `classic` keeps the 2-byte length in flexible versions.

use std::fmt;

/// Inclusive range of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) low: i16,
    pub(crate) high: i16,
}

/// Everything that one schema file declares.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    pub(crate) messages: Vec<Message>,
    pub(crate) apis: Vec<Api>,
    pub(crate) errors: Vec<ErrorLine>,
}

/// What a message is, which decides where it goes and which constants it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request(String),
    Response(String),
    /// A record of `__cluster_metadata`, with its type number.
    Metadata(i16),
    /// Anything else that has versions.
    Data,
}

/// A message and the structs inside it; the first struct is the message itself.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) versions: Versions,
    pub(crate) flexible: Option<i16>,
    pub(crate) structs: Vec<Struct>,
}

/// A struct with the versions in which it can occur.
#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) name: String,
    pub(crate) doc: Option<String>,
    pub(crate) versions: Versions,
    pub(crate) fields: Vec<Field>,
}

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: FieldKind,
    pub(crate) doc: Option<String>,
    pub(crate) versions: Versions,
    /// First version in which null is allowed.
    pub(crate) nullable: Option<i16>,
    pub(crate) default: Option<String>,
    pub(crate) tag: Option<u32>,
    pub(crate) ignorable: bool,
    pub(crate) classic: bool,
}

/// The type of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FieldKind {
    Bool,
    I8,
    I16,
    U16,
    I32,
    U32,
    I64,
    F64,
    Uuid,
    String,
    Bytes,
    /// As bytes on the wire, but null unless set.
    Records,
    Struct(String),
    List(Box<Self>),
}

/// An API key and what every node knows about it.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) name: String,
    pub(crate) key: i16,
    pub(crate) versions: Versions,
    pub(crate) flexible: Option<i16>,
    /// The first version of its messages, where that is older than `versions`.
    pub(crate) legacy: Option<i16>,
}

/// An error code.
#[derive(Debug)]
pub(crate) struct ErrorLine {
    pub(crate) code: i16,
    pub(crate) name: String,
    pub(crate) retriable: bool,
    pub(crate) text: String,
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SchemaError {
    pub(crate) line: usize,
    pub(crate) fault: String,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.fault)
    }
}

/// Parses one file.
pub(crate) fn parse(text: &str) -> Result<Schema, SchemaError> {
    let mut parser = Parser::default();
    for (at, line) in text.lines().enumerate() {
        parser.line(line.trim()).map_err(|fault| SchemaError { line: at + 1, fault })?;
    }
    let end = text.lines().count();
    if parser.open.is_empty() {
        Ok(parser.schema)
    } else {
        Err(SchemaError { line: end, fault: "a struct is left open".to_owned() })
    }
}

#[derive(Default)]
struct Parser {
    schema: Schema,
    doc: Option<String>,
    /// Indexes into the last message's structs, outermost first.
    open: Vec<usize>,
}

impl Parser {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() {
            return Ok(());
        }
        if let Some(doc) = line.strip_prefix("##") {
            let doc = doc.trim();
            self.doc = Some(match self.doc.take() {
                Some(before) => format!("{before}\n{doc}"),
                None => doc.to_owned(),
            });
            return Ok(());
        }
        if line.starts_with('#') {
            return Ok(());
        }
        if line == "}" {
            return self.open.pop().map(drop).ok_or_else(|| "nothing to close".to_owned());
        }
        if self.open.is_empty() { self.declaration(line) } else { self.field(line) }
    }

    fn declaration(&mut self, line: &str) -> Result<(), String> {
        let (head, text) = line.split_once('"').unwrap_or((line, ""));
        let mut words = Words(head.trim_end_matches('{').split_whitespace().collect());
        let verb = words.next()?;
        match verb {
            "api" => {
                let (name, key) = (words.next()?.to_owned(), words.number()?);
                let (versions, flexible) = words.versions()?;
                let legacy = if words.take("legacy") { Some(words.number()?) } else { None };
                self.schema.apis.push(Api { name, key, versions, flexible, legacy });
                words.finish()
            }
            "error" => {
                let (code, name) = (words.number()?, words.next()?.to_owned());
                let retriable = words.take("retriable");
                let text = text.trim_end_matches('"').to_owned();
                self.schema.errors.push(ErrorLine { code, name, retriable, text });
                words.finish()
            }
            "struct" => self.shared_struct(words),
            _ => self.message(verb, words),
        }
    }

    fn shared_struct(&mut self, mut words: Words<'_>) -> Result<(), String> {
        let name = words.next()?.to_owned();
        let doc = self.doc.take();
        let message = self.schema.messages.last_mut().ok_or("a struct without a message")?;
        self.open.push(message.structs.len());
        let versions = message.versions;
        message.structs.push(Struct { name, doc, versions, fields: Vec::new() });
        words.finish()
    }

    fn message(&mut self, verb: &str, mut words: Words<'_>) -> Result<(), String> {
        let name = words.next()?.to_owned();
        let (kind, name) = match verb {
            "request" => (Kind::Request(name.clone()), format!("{name}Request")),
            "response" => (Kind::Response(name.clone()), format!("{name}Response")),
            "metadata" => (Kind::Metadata(words.number()?), name),
            "data" => (Kind::Data, name),
            other => return Err(format!("unknown declaration `{other}`")),
        };
        let (versions, flexible) = words.versions()?;
        let top = Struct { name, doc: self.doc.take(), versions, fields: Vec::new() };
        self.schema.messages.push(Message { kind, versions, flexible, structs: vec![top] });
        self.open.push(0);
        words.finish()
    }

    fn field(&mut self, line: &str) -> Result<(), String> {
        let (line, doc) = match line.split_once("  #") {
            Some((line, doc)) => (line, Some(doc.trim().to_owned())),
            None => (line, None),
        };
        let (line, opens) = match line.trim().strip_suffix('{') {
            Some(line) => (line, true),
            None => (line, false),
        };
        let (name, rest) = line.split_once(':').ok_or("a field is `name: type`")?;
        let message = self.schema.messages.last_mut().ok_or("a field without a message")?;
        let parent = *self.open.last().ok_or("a field without a struct")?;
        let within = message.structs[parent].versions;
        let field = field(name.trim(), doc, rest, within, message.flexible)?;
        let (kind, versions) = (field.kind.clone(), field.versions);
        message.structs[parent].fields.push(field);
        if opens {
            let name = kind.struct_name().ok_or("only a struct can be opened")?.to_owned();
            self.open.push(message.structs.len());
            let doc = self.doc.take();
            message.structs.push(Struct { name, doc, versions, fields: Vec::new() });
        }
        Ok(())
    }
}

/// A field's name as Rust takes it: words of its own are escaped.
fn rust_word(name: &str) -> String {
    match name {
        "match" | "type" => format!("r#{name}"),
        name => name.to_owned(),
    }
}

fn field(
    name: &str,
    doc: Option<String>,
    rest: &str,
    within: Versions,
    flexible: Option<i16>,
) -> Result<Field, String> {
    let mut words = Words(rest.split_whitespace().collect());
    let spelled = words.next()?;
    let (kind, nullable) = match spelled.strip_suffix('?') {
        Some(kind) => (kind, true),
        None => (spelled, false),
    };
    let mut field = Field {
        name: rust_word(name),
        kind: FieldKind::parse(kind),
        doc,
        versions: within,
        nullable: None,
        default: None,
        tag: None,
        ignorable: false,
        classic: false,
    };
    while let Ok(word) = words.next() {
        match word {
            "=" => field.default = Some(words.next()?.to_owned()),
            "since" => field.versions.low = words.number()?,
            "until" => field.versions.high = words.number()?,
            "nullable" => field.nullable = Some(words.number()?),
            "tag" => field.tag = Some(words.next()?.parse().map_err(|_| "a tag is a number")?),
            "ignorable" => field.ignorable = true,
            "classic" => field.classic = true,
            other => return Err(format!("unknown word `{other}`")),
        }
    }
    if nullable && field.nullable.is_none() {
        field.nullable = Some(field.versions.low);
    }
    if field.versions.low > field.versions.high || field.versions.high > within.high {
        return Err(format!("versions of `{name}` lie outside of its struct"));
    }
    if field.tag.is_some() && flexible.is_none_or(|first| field.versions.low < first) {
        return Err(format!("`{name}` is tagged in a version without tags"));
    }
    Ok(field)
}

impl FieldKind {
    fn parse(word: &str) -> Self {
        if let Some(inner) = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')) {
            return Self::List(Box::new(Self::parse(inner)));
        }
        match word {
            "bool" => Self::Bool,
            "i8" => Self::I8,
            "i16" => Self::I16,
            "u16" => Self::U16,
            "i32" => Self::I32,
            "u32" => Self::U32,
            "i64" => Self::I64,
            "f64" => Self::F64,
            "uuid" => Self::Uuid,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            "records" => Self::Records,
            name => Self::Struct(name.to_owned()),
        }
    }

    /// The struct that this type is or lists.
    pub(crate) fn struct_name(&self) -> Option<&str> {
        match self {
            Self::Struct(name) => Some(name),
            Self::List(inner) => inner.struct_name(),
            _ => None,
        }
    }
}

/// The rest of a line, word by word.
struct Words<'a>(std::collections::VecDeque<&'a str>);

impl<'a> Words<'a> {
    fn next(&mut self) -> Result<&'a str, String> {
        self.0.pop_front().ok_or_else(|| "the line ends too early".to_owned())
    }

    fn number(&mut self) -> Result<i16, String> {
        let word = self.next()?;
        word.parse().map_err(|_| format!("`{word}` is not a number"))
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.0.front() == Some(&word);
        if found {
            self.0.pop_front();
        }
        found
    }

    /// `versions 4-18 flexible 12`, the latter optional.
    fn versions(&mut self) -> Result<(Versions, Option<i16>), String> {
        if !self.take("versions") {
            return Err("`versions` is missing".to_owned());
        }
        let range = self.next()?;
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        let bound = |word: &str| word.parse().map_err(|_| format!("`{word}` is not a version"));
        let versions = Versions { low: bound(low)?, high: bound(high)? };
        let flexible = if self.take("flexible") { Some(self.number()?) } else { None };
        Ok((versions, flexible))
    }

    fn finish(self) -> Result<(), String> {
        match self.0.front() {
            Some(word) => Err(format!("`{word}` is too much")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "
        ## What it is for.
        request Fetch versions 4-18 flexible 12 {
            cluster_id: string? = null since 12 tag 0 ignorable  # which cluster
            topics: [FetchTopic] since 5 {
                names: [string]? nullable 7
                part: Part until 9
            }
        }
        struct Part {
            index: i32 = -1
        }";

    #[test]
    fn structs_inherit_the_versions_that_surround_them() {
        let schema = parse(MESSAGE).unwrap();
        let message = &schema.messages[0];
        assert_eq!(message.kind, Kind::Request("Fetch".to_owned()));
        assert_eq!(message.flexible, Some(12));
        let names: Vec<_> = message.structs.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(names, ["FetchRequest", "FetchTopic", "Part"]);
        let [top, topic, part] = &message.structs[..] else { panic!("three structs") };
        assert_eq!(top.doc.as_deref(), Some("What it is for."));
        assert_eq!(top.fields[0].doc.as_deref(), Some("which cluster"));
        assert_eq!(top.fields[0].default.as_deref(), Some("null"));
        assert_eq!((top.fields[0].tag, top.fields[0].nullable), (Some(0), Some(12)));
        assert_eq!(topic.versions, Versions { low: 5, high: 18 });
        assert_eq!(topic.fields[0].nullable, Some(7));
        assert_eq!(topic.fields[0].kind, FieldKind::List(Box::new(FieldKind::String)));
        assert_eq!(topic.fields[1].versions, Versions { low: 5, high: 9 });
        assert_eq!(part.versions, Versions { low: 4, high: 18 }, "a shared struct: the message's");
    }

    #[test]
    fn tables_are_lines() {
        let schema = parse(
            "# a comment\napi Fetch 1 versions 4-18 flexible 12\napi SaslHandshake 17 versions 0-1
             error -1 UNKNOWN_SERVER_ERROR \"what a { can hold\"\nerror 3 X retriable \"y\"",
        );
        let schema = schema.unwrap();
        assert_eq!((schema.apis[0].key, schema.apis[0].flexible), (1, Some(12)));
        assert_eq!(schema.apis[1].flexible, None);
        assert_eq!(schema.errors[0].text, "what a { can hold");
        assert!(schema.errors[1].retriable && !schema.errors[0].retriable);
    }

    #[test]
    #[rustfmt::skip]
    fn mistakes_are_told_with_their_line() {
        check("  a: i8\n}",                     1, "unknown declaration `a:`");
        check("data A versions 0 {\n a i8\n}",  2, "a field is `name: type`");
        check("data A versions 0 {\n a: i8 sinc 1\n}", 2, "unknown word `sinc`");
        let outside = "versions of `a` lie outside of its struct";
        check("data A versions 0 {\n a: i8 since 1\n}", 2, outside);
        let untagged = "`a` is tagged in a version without tags";
        check("data A versions 0 {\n a: i8 tag 0\n}", 2, untagged);
        check("data A versions 0-1 flexible 1 {\n a: i8 tag 0\n}", 2, untagged);
        check("data A versions 0 {\n a: i8 {\n}", 2, "only a struct can be opened");
        check("data A versions 0 {\n a: i8",    2, "a struct is left open");
        check("data A {\n}",                    1, "`versions` is missing");
        check("}",                              1, "nothing to close");
        check("struct A {\n}",                  1, "a struct without a message");
        check("api A 1 versions 0 extra",       1, "`extra` is too much");
    }

    fn check(text: &str, line: usize, fault: &str) {
        let expected = SchemaError { line, fault: fault.to_owned() };
        assert_eq!(parse(text).unwrap_err(), expected, "{text}");
    }
}
