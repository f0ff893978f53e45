//! One node that is asked, and what it answers.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::catalog::{Api, Catalog};
use super::encode;
use super::normal::{self, Known};
use super::script::{Ask, Case, Mood, Step};
use super::value::Value;

/// How long an answer may take: a busy machine takes many times what a node needs.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);

/// How long nothing must come until nothing will: only of requests of which this is expected.
const SILENCE: Duration = Duration::from_millis(1_500);

/// How long a patient question is asked again.
const PATIENCE: Duration = Duration::from_secs(60);

/// What follows a request that may be silent: ApiVersions 0, whose answer says that it is.
const KNOCK: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0x77, 0x77, 0x77, 0x77, 0xff, 0xff];

/// An answer longer than this is none.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// One answer, or what came in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// In its normal form.
    Answer(Value),
    /// The connection was closed.
    Closed,
    /// Nothing, and the connection goes on.
    Silence,
    /// Nothing, and nothing else is answered either.
    Stuck,
    /// Bytes that are no answer, or a frame whose content is nobody's business.
    Odd(String),
}

/// A question with its answer.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) case: String,
    /// The question without its version.
    pub(super) question: String,
    /// -1 for bytes that have none.
    pub(super) version: i16,
    /// What was sent, in full.
    pub(super) asked: String,
    pub(super) reply: Reply,
}

/// A node, and what was learned of it.
pub(super) struct Peer<'c> {
    address: SocketAddr,
    catalog: &'c Catalog,
    stream: Option<TcpStream>,
    correlation: i32,
    /// Ids of topics by name.
    topics: BTreeMap<String, String>,
    /// What the last answers of this case called things: `$session`, `$member`, `$pid`.
    learned: BTreeMap<&'static str, String>,
}

/// A request with its names replaced, and as it was written.
#[derive(Clone, Copy)]
struct Asked<'t> {
    filled: &'t str,
    said: &'t str,
}

/// Fields that later requests of a case want to repeat, and the names they have there.
const LEARNED: [(&str, &str); 3] =
    [("session_id", "$session"), ("member_id", "$member"), ("producer_id", "$pid")];

impl<'c> Peer<'c> {
    pub(super) fn new(address: SocketAddr, catalog: &'c Catalog) -> Self {
        let (topics, learned) = (BTreeMap::new(), BTreeMap::new());
        Self { address, catalog, stream: None, correlation: 0, topics, learned }
    }

    /// Asks everything of a case, on a new connection.
    ///
    /// # Errors
    /// When the node cannot be reached, or the case cannot be asked.
    pub(super) fn case(&mut self, case: &Case) -> Result<Vec<Row>, String> {
        self.stream = None;
        self.learned.clear();
        let mut rows = Vec::new();
        for step in &case.steps {
            let asked = self.step(&case.name, step, &mut rows);
            asked.map_err(|why| format!("{}: {}: {why}", case.name, step.text))?;
        }
        Ok(rows)
    }

    fn step(&mut self, case: &str, step: &Step, rows: &mut Vec<Row>) -> Result<(), String> {
        let mut row = |version, asked, reply| {
            let (case, question) = (case.to_owned(), step.text.clone());
            rows.push(Row { case, question, version, asked, reply });
        };
        match &step.ask {
            Ask::Raw(bytes) => row(-1, String::new(), self.raw(bytes)?),
            Ask::Request { api, versions, claimed, mood, value } => {
                let api = self.catalog.api(api)?;
                for version in versions.clone() {
                    let filled = self.fill(value, version)?;
                    let claimed = claimed.unwrap_or(version);
                    let text = Asked { filled: &filled, said: value };
                    let reply = self.request(api, (version, claimed), *mood, text)?;
                    row(version, filled, reply);
                }
            }
        }
        Ok(())
    }

    pub(super) fn catalog(&self) -> &'c Catalog {
        self.catalog
    }

    /// Replaces the names in a request.
    ///
    /// # Errors
    /// When a topic's id is not known.
    pub(super) fn fill(&mut self, text: &str, version: i16) -> Result<String, String> {
        let mut text = text.replace("$v", &version.to_string());
        while let Some(at) = text.find("$id(") {
            let name = text[at + 4..].split(')').next().unwrap_or_default().to_owned();
            let id = self.topic_id(&name)?;
            text = text.replace(&format!("$id({name})"), &id);
        }
        for (_, name) in LEARNED {
            if let Some(value) = self.learned.get(name) {
                text = text.replace(name, value);
            }
        }
        Ok(text)
    }

    fn request(
        &mut self,
        api: &'c Api,
        (version, claimed): (i16, i16),
        mood: Mood,
        asked: Asked<'_>,
    ) -> Result<Reply, String> {
        let value = Value::parse(asked.filled).map_err(|wrong| wrong.to_string())?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let body = encode::body(&api.request, version, &value)?;
            let reply = self.body(api, (version, claimed), mood, &body.bytes, asked.said)?;
            let done = mood != Mood::Patient || is_without_error(&reply);
            if done || Instant::now() > deadline {
                return Ok(reply);
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Asks with a body as it is; `text` is what is meant by it, names not replaced.
    ///
    /// # Errors
    /// When the node cannot be reached.
    pub(super) fn body(
        &mut self,
        api: &'c Api,
        (version, claimed): (i16, i16),
        mood: Mood,
        body: &[u8],
        text: &str,
    ) -> Result<Reply, String> {
        self.correlation += 1;
        let correlation = self.correlation;
        let mut frame = api.header(version, claimed, correlation);
        frame.extend(body);
        let length = u32::try_from(frame.len()).map_err(|error| error.to_string())?;
        let mut bytes = [&length.to_be_bytes(), frame.as_slice()].concat();
        if mood == Mood::Silent {
            bytes.extend(KNOCK);
        }
        let came = self.exchange(&bytes, mood)?;
        Ok(match came {
            Came::Closed => Reply::Closed,
            Came::Nothing => Reply::Stuck,
            Came::Frame(frame) if frame.starts_with(&KNOCK[8..12]) => Reply::Silence,
            Came::Frame(frame) => {
                if mood == Mood::Silent {
                    // The answer to the knock must not be taken for the next one.
                    self.stream = None;
                }
                match frame.split_first_chunk() {
                    Some((own, rest)) if i32::from_be_bytes(*own) == correlation => {
                        self.answer(api, claimed, rest, text)
                    }
                    _ => Reply::Odd("another request's answer".to_owned()),
                }
            }
        })
    }

    fn answer(&mut self, api: &Api, version: i16, bytes: &[u8], text: &str) -> Reply {
        // Whoever asks for ApiVersions that are not served is answered in version 0.
        let unserved = api.name == "ApiVersions" && bytes.starts_with(&[0, 35]);
        let known_version = api.versions().contains(&version) && !unserved;
        let version = if known_version { version } else { 0 };
        match api.answer(version, bytes, &self.catalog.errors) {
            Err(why) => Reply::Odd(format!("unreadable: {why}")),
            Ok(value) => {
                self.learn(&value);
                let names = self.topics.iter().map(|(name, id)| (id.clone(), name.clone()));
                let of_quorum = api.name == "DescribeQuorum";
                let known = Known { topics: names.collect(), asked: text.to_owned(), of_quorum };
                Reply::Answer(normal::answer(&value, &known))
            }
        }
    }

    /// Remembers what the top of an answer calls things.
    fn learn(&mut self, value: &Value) {
        // A refusal repeats what it refuses, unless it gives a name to come again with.
        let meant = ["NONE", "MEMBER_ID_REQUIRED"].map(Value::word);
        if value.field("error_code").is_some_and(|error| !meant.contains(error)) {
            return;
        }
        for (field, name) in LEARNED {
            match value.field(field) {
                Some(Value::Text(text)) if !text.is_empty() => {
                    self.learned.insert(name, String::from_utf8_lossy(text).into_owned());
                }
                Some(Value::Word(word)) if word != "0" => {
                    self.learned.insert(name, word.clone());
                }
                Some(_) | None => {}
            }
        }
    }

    /// Sends bytes as they are, and tells of the frame that comes back.
    fn raw(&mut self, bytes: &[u8]) -> Result<Reply, String> {
        Ok(match self.exchange(bytes, Mood::Silent)? {
            Came::Closed => Reply::Closed,
            Came::Nothing => {
                self.stream = None;
                Reply::Stuck
            }
            Came::Frame(frame) => {
                let code =
                    frame.get(4..6).map_or(-1, |code| i16::from_be_bytes([code[0], code[1]]));
                Reply::Odd(format!("a frame that says {code}"))
            }
        })
    }

    fn exchange(&mut self, bytes: &[u8], mood: Mood) -> Result<Came, String> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        let time = if mood == Mood::Silent { SILENCE } else { ANSWER_TIME_MAX };
        let sent = stream.set_read_timeout(Some(time)).and_then(|()| (&stream).write_all(bytes));
        // A peer that closes while it is written to has closed: what it said before is still there.
        let came = match (sent, read_frame(&stream)) {
            (_, Ok(frame)) => Came::Frame(frame),
            (_, Err(error)) if is_timeout(&error) => Came::Nothing,
            (_, Err(_)) => Came::Closed,
        };
        if matches!(came, Came::Frame(_)) {
            self.stream = Some(stream);
        }
        Ok(came)
    }

    fn connect(&self) -> Result<TcpStream, String> {
        let stream = TcpStream::connect(self.address).and_then(|stream| {
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        stream.map_err(|error| format!("{}: {error}", self.address))
    }

    /// The id of a topic, asked of the node once.
    fn topic_id(&mut self, name: &str) -> Result<String, String> {
        if let Some(id) = self.topics.get(name) {
            return Ok(id.clone());
        }
        let api = self.catalog.api("Metadata")?;
        let text = format!("{{topics:[{{name:'{name}'}}],allow_auto_topic_creation:false}}");
        let body =
            encode::body(&api.request, 12, &Value::parse(&text).map_err(|e| e.to_string())?)?;
        let mut frame = api.header(12, 12, 1);
        frame.extend(body.bytes);
        let length = u32::try_from(frame.len()).map_err(|error| error.to_string())?;
        let stream = self.connect()?;
        let frame = [&length.to_be_bytes(), frame.as_slice()].concat();
        let frame = (&stream).write_all(&frame).and_then(|()| read_frame(&stream));
        let frame = frame.map_err(|error| error.to_string())?;
        let answer = api.answer(12, &frame[4..], &self.catalog.errors)?;
        let Some(Value::List(topics)) = answer.field("topics") else {
            return Err("metadata without topics".to_owned());
        };
        match topics.first().and_then(|topic| topic.field("topic_id")) {
            Some(Value::Word(id)) => {
                self.topics.insert(name.to_owned(), id.clone());
                Ok(id.clone())
            }
            _ => Err(format!("{name} has no id")),
        }
    }
}

/// What came back on a connection.
enum Came {
    Frame(Vec<u8>),
    Closed,
    Nothing,
}

fn read_frame(mut stream: &TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > FRAME_BYTES_MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Whether an answer has no error anywhere.
fn is_without_error(reply: &Reply) -> bool {
    fn clean(value: &Value) -> bool {
        match value {
            Value::Fields(fields) => fields.iter().all(|(name, value)| {
                clean(value) && (!name.ends_with("error_code") || *value == Value::word("NONE"))
            }),
            Value::List(elements) => elements.iter().all(clean),
            Value::Null | Value::Word(_) | Value::Text(_) => true,
        }
    }
    matches!(reply, Reply::Answer(value) if clean(value))
}
