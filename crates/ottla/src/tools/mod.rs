//! Apache Kafka's tools, by their names: `kafka-topics` and the others, in front of the same client
//! as the rest of the command line. What scripts look at (options, success sentences, columns,
//! exit codes, the names of exceptions) is as Kafka 4.3 has it; `docs/tools.md` lists what is not.

mod broker_api_versions;
mod cluster;
mod columns;
mod configs;
mod console_consumer;
mod console_producer;
mod consumer_groups;
mod consumer_perf;
mod delete_records;
mod deliveries;
mod dump_log;
mod features;
mod flags;
mod formatter;
mod get_offsets;
mod groups;
mod include;
mod install;
mod json_file;
mod levels;
mod line_reader;
mod log_dirs;
mod metadata_quorum;
mod producer_perf;
mod settings;
mod statistics;
mod storage;
mod thrown;
mod topics;
mod verifiable_consumer;
mod verifiable_producer;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use ottla_client::{AdminError, ConsumeError, ProduceError};
use ottla_types::InvalidTopicName;

use crate::failure::Failure;
use crate::reach::{self, Session};
use flags::{Given, Grammar, OptionError};
use settings::Settings;
use thrown::Thrown;

pub(crate) use install::{Arguments as Install, run as install};

/// The version whose tools these are, for scripts that ask.
const AS_OF: &str = "4.3.1";

/// One of Apache's tools.
struct Tool {
    name: &'static str,
    /// What it is for, in a sentence.
    about: &'static str,
    grammar: Grammar,
    run: fn(&Given) -> Result<(), ToolError>,
    /// How it tells what went wrong.
    manner: Manner,
}

/// How a tool tells what went wrong: each of Apache's has its own way.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// What it says on standard error, then the exception; a command line that cannot be read, too.
    Traced,
    /// On standard output behind these words, the exception in the log; before that as `Traced`.
    Phrase { words: &'static str, logger: &'static str },
    /// On standard error behind these words, the exception where it is no plain refusal.
    Behind(&'static str),
    /// The sentence alone.
    Plain,
    /// The exception alone, as a log has it.
    Logged(&'static str),
    /// The exception alone.
    Printed,
    /// Plain where the command line was wrong, else with the words that were typed.
    Configs,
}

/// Why a tool ends early.
#[derive(Debug)]
enum ToolError {
    /// The options cannot be read.
    Options(OptionError),
    /// They make no sense together; said with the help.
    Usage(String),
    /// Said as it is.
    Terse(String),
    /// Something that Apache's tool has an exception for.
    Thrown(Thrown),
    /// The same, before the tool has begun with what it is to do.
    Before(Thrown),
    /// Everything was said already; the exit code.
    Told(u8),
    /// The answer cannot be written.
    Output(io::Error),
}

impl ToolError {
    fn usage(told: impl Into<String>) -> Self {
        Self::Usage(told.into())
    }

    fn terse(told: impl Into<String>) -> Self {
        Self::Terse(told.into())
    }

    fn thrown(class: &str, message: impl Into<String>) -> Self {
        Self::Thrown(Thrown::new(class, message))
    }

    /// As what happens before the tool has begun.
    fn before(self) -> Self {
        match self {
            Self::Thrown(thrown) => Self::Before(thrown),
            other => other,
        }
    }

    /// What was asked for is part of Kafka's tool and not of this one.
    fn unsupported(what: &str) -> Self {
        Self::Terse(format!("ottla: {what} is not supported"))
    }
}

impl From<OptionError> for ToolError {
    fn from(error: OptionError) -> Self {
        Self::Options(error)
    }
}

impl From<Thrown> for ToolError {
    fn from(thrown: Thrown) -> Self {
        Self::Thrown(thrown)
    }
}

impl From<AdminError> for ToolError {
    fn from(error: AdminError) -> Self {
        Self::Thrown(error.into())
    }
}

impl From<ConsumeError> for ToolError {
    fn from(error: ConsumeError) -> Self {
        Self::Thrown(error.into())
    }
}

impl From<ProduceError> for ToolError {
    fn from(error: ProduceError) -> Self {
        Self::Thrown((&error).into())
    }
}

impl From<InvalidTopicName> for ToolError {
    fn from(error: InvalidTopicName) -> Self {
        Self::Thrown(error.into())
    }
}

impl From<io::Error> for ToolError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<Failure> for ToolError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Usage(told) => {
                Self::thrown("org.apache.kafka.common.config.ConfigException", told)
            }
            Failure::Cluster(error) => Self::Thrown((*error).into()),
            // Nobody answers, or not at the address that the cluster names.
            Failure::Told(told) => Self::Thrown(Thrown::timeout(told)),
            Failure::Items => Self::Told(1),
            Failure::Output(error) => Self::Output(error),
        }
    }
}

/// All of them, by the names that `install-tools` links.
static TOOLS: [&Tool; 19] = [
    &broker_api_versions::TOOL,
    &cluster::TOOL,
    &configs::TOOL,
    &console_consumer::TOOL,
    &console_producer::TOOL,
    &consumer_groups::TOOL,
    &consumer_perf::TOOL,
    &delete_records::TOOL,
    &dump_log::TOOL,
    &features::TOOL,
    &get_offsets::TOOL,
    &groups::TOOL,
    &log_dirs::TOOL,
    &metadata_quorum::TOOL,
    &producer_perf::TOOL,
    &storage::TOOL,
    &topics::TOOL,
    &verifiable_consumer::TOOL,
    &verifiable_producer::TOOL,
];

/// Runs a tool, if this program was called by the name of one, or its first word is one.
pub(crate) fn called() -> Option<ExitCode> {
    let mut words = std::env::args_os();
    let program = words.next()?;
    if let Some(tool) = named(Path::new(&program)) {
        return Some(perform(tool, words));
    }
    let tool = words.next().and_then(|word| named(Path::new(&word)))?;
    Some(perform(tool, words))
}

/// A tool by its name, whatever folder is in front of it, with `.sh` or not.
fn named(called: &Path) -> Option<&'static Tool> {
    let name = called.file_name()?.to_str()?;
    let name = name.strip_suffix(".sh").unwrap_or(name);
    TOOLS.into_iter().find(|tool| tool.name == name)
}

fn perform(tool: &Tool, words: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Result<Vec<String>, OsString> = words.map(OsString::into_string).collect();
    let typed = match words {
        Ok(typed) => typed,
        Err(word) => {
            complain(&format!("{}: not UTF-8: {}", tool.name, word.display()));
            return ExitCode::FAILURE;
        }
    };
    match read(tool, &typed).and_then(|given| (tool.run)(&given)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => end(tool, &typed, &error),
    }
}

/// Reads the options; asking for help or version ends a tool, and so does saying nothing.
fn read(tool: &Tool, typed: &[String]) -> Result<Given, ToolError> {
    let given = tool.grammar.read(typed)?;
    match tool.grammar {
        Grammar::Options(_) if given.is_empty() || given.has("help") => {
            Err(ToolError::usage(tool.about))
        }
        Grammar::Options(_) if given.has("version") => {
            line(&format!("{AS_OF} (Ottla {})", env!("CARGO_PKG_VERSION")))?;
            Err(ToolError::Told(0))
        }
        Grammar::Commands { .. } if given.has("help") => {
            put(&flags::help(tool.name, tool.about, tool.grammar))?;
            Err(ToolError::Told(0))
        }
        Grammar::Options(_) | Grammar::Commands { .. } => {
            for word in &given.rest {
                complain(&format!("ottla: `{word}` belongs to no option and has no effect"));
            }
            Ok(given)
        }
    }
}

/// Says what went wrong; the exit code.
fn end(tool: &Tool, typed: &[String], error: &ToolError) -> ExitCode {
    match error {
        ToolError::Told(code) => return ExitCode::from(*code),
        // Whoever reads has seen enough.
        ToolError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        ToolError::Output(error) => complain(&format!("{}: {error}", tool.name)),
        ToolError::Usage(told) => {
            complain(told);
            complain(flags::help(tool.name, tool.about, tool.grammar).trim_end());
        }
        ToolError::Terse(told) => match tool.manner {
            Manner::Behind(words) => complain(&format!("{words}{told}")),
            _ => complain(told),
        },
        ToolError::Options(error) => tell_options(tool, error),
        ToolError::Thrown(thrown) => tell(tool, typed, thrown),
        ToolError::Before(thrown) => complain(&format!("{}\n{}\n", thrown.message, thrown.trace())),
    }
    ExitCode::FAILURE
}

fn tell_options(tool: &Tool, error: &OptionError) {
    match (tool.grammar, tool.manner) {
        (Grammar::Commands { commands, .. }, _) => {
            let names: Vec<&str> = commands.iter().map(|command| command.name).collect();
            let choice = if names.is_empty() {
                String::new()
            } else {
                format!(" {{{}}} ...", names.join(","))
            };
            complain(&format!("usage: {} [-h]{choice}", tool.name));
            complain(&format!("{}: error: {error}", tool.name));
        }
        (_, Manner::Phrase { words, logger }) if error.is_of_a_value() => {
            let _ = line(&format!("{words}{error}"));
            log(&format!("{}: {error}", error.class), logger);
        }
        (_, Manner::Traced | Manner::Phrase { .. }) => {
            complain(&format!("{error}\n{}: {error}\n", error.class));
        }
        (_, Manner::Behind(words)) => complain(&format!("{words}{error}")),
        (_, Manner::Configs) => complain(&error.message),
        (_, Manner::Plain | Manner::Printed | Manner::Logged(_)) => {
            complain(&error.message);
            complain(flags::help(tool.name, tool.about, tool.grammar).trim_end());
        }
    }
}

fn tell(tool: &Tool, typed: &[String], thrown: &Thrown) {
    match tool.manner {
        Manner::Traced => complain(&format!("{}\n{}\n", thrown.message, thrown.trace())),
        Manner::Printed => complain(&thrown.trace()),
        Manner::Phrase { words, logger } => {
            // Whoever reads the answer may be gone; the complaint is still worth a try.
            let _ = line(&format!("{words}{}", thrown.message));
            log(&thrown.to_string(), logger);
        }
        Manner::Behind(words) => {
            complain(&format!("{words}{}\n{}\n", thrown.message, thrown.trace()));
        }
        Manner::Plain => complain(&thrown.message),
        Manner::Logged(logger) => log(&thrown.to_string(), logger),
        Manner::Configs if thrown.is_of_the_command_line() => complain(&thrown.message),
        Manner::Configs => complain(&format!(
            "Error while executing config command with args '{}'\n{}",
            typed.join(" "),
            thrown.wrapped()
        )),
    }
}

/// An error in the log that Apache's tools write to standard error.
fn log(what: &str, logger: &str) {
    log_at("ERROR", what, logger);
}

/// A line of that log.
fn log_at(level: &str, what: &str, logger: &str) {
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = wall.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0));
    let time = crate::words::time(Some(ottla_types::Timestamp::from_millis(millis)));
    let time = time.replace('T', " ").replace('.', ",");
    complain(&format!("[{}] {level} {what} ({logger})", time.trim_end_matches('Z')));
}

/// A line on standard error, behind what was answered so far.
fn complain(what: &str) {
    // Nobody is left to hear of it where this fails.
    let _ = io::stdout().flush();
    let _ = writeln!(io::stderr(), "{what}");
}

/// A line of the answer.
fn line(what: &str) -> io::Result<()> {
    put(&format!("{what}\n"))
}

/// A part of the answer.
fn put(what: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(what.as_bytes())?;
    out.flush()
}

/// Runs what needs a cluster.
fn talk(
    settings: &Settings,
    tool: impl AsyncFnOnce(&Session, &Settings) -> Result<(), ToolError>,
) -> Result<(), ToolError> {
    let mut ended = None;
    let client = settings.client.clone();
    let ran = reach::with(client, async |session| {
        ended = Some(tool(session, settings).await);
        Ok(())
    });
    ran?;
    ended.expect("it has run")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_known_by_their_names_wherever_they_lie() {
        let check = |called: &str, expected: Option<&str>| {
            assert_eq!(named(Path::new(called)).map(|tool| tool.name), expected, "{called}");
        };
        check("kafka-topics", Some("kafka-topics"));
        check("kafka-topics.sh", Some("kafka-topics"));
        check("/opt/kafka/bin/kafka-topics.sh", Some("kafka-topics"));
        check("bin/kafka-get-offsets.sh", Some("kafka-get-offsets"));
        check("ottla", None);
        check("kafka-topics.bat", None);
        check("kafka-acls", None);
    }

    #[test]
    fn tools_are_listed_once_and_in_order() {
        let names: Vec<&str> = TOOLS.iter().map(|tool| tool.name).collect();
        assert!(names.is_sorted(), "{names:?}");
        assert!(names.windows(2).all(|two| two[0] != two[1]), "{names:?}");
    }
}
