//! `kcat`, for fingers that know it: its common letters, in front of this binary's own commands.
//!
//! What kcat writes to standard output is what is written here, so that scripts go on. What it says
//! on standard error is said in our words.

mod list;
mod options;
mod properties;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ottla_client::{ConfigResource, OffsetReset, TopicMetadata};
use ottla_types::TopicName;

use crate::failure::{Failure, say};
use crate::reach::{Reach, Session};
use crate::{consume, produce};
use options::{Mode, Options};
use properties::Meant;

/// What is served, for `-h`.
const HELP: &str = "\
ottla as kcat: -C (consume), -P (produce), -L (list), -Q (offsets by time) or -G GROUP, and

  -b HOST:PORT,...  brokers to begin with      -X NAME=VALUE     a property, as librdkafka has it
  -t TOPIC          the topic                  -F FILE           a file of such properties
  -p PARTITION      the partition              -m SECONDS        how long a request is waited for
  -c COUNT          so many records            -q                say nothing of what goes well

  reading:  -o beginning|end|stored|N|-N|s@MS|e@MS  -e (end at the end)  -f FORMAT  -J (JSON)
            -D, -K (what is between records; keys and what is behind them)  -O (offsets)  -Z (NULL)
  writing:  -K (what is behind a key)  -k KEY  -H NAME=VALUE  -z CODEC  -Z (empty is null)
            -l FILE (a record a line); other files are a record each
  offsets:  -Q -t TOPIC:PARTITION:MS

docs/tools.md says what is not served; `ottla consume` and `ottla produce` do more.";

/// What kcat does in its own way when it reads.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// Writes kcat's JSON.
    pub(crate) is_json: bool,
    /// What stands for a null in a format.
    pub(crate) null: &'static [u8],
    /// Where a group begins that has not committed.
    pub(crate) reset: OffsetReset,
    /// Says where it ends.
    pub(crate) tells_ends: bool,
}

/// What a JSON document of kcat says of a record, that the record does not know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    pub(crate) topics: BTreeMap<TopicName, TopicMetadata>,
    /// Topics whose records have the time of their append.
    pub(crate) by_append: BTreeSet<TopicName>,
}

impl Surroundings {
    /// Asks for what is known of topics.
    pub(crate) async fn of(
        session: &Session,
        topics: &BTreeMap<TopicName, TopicMetadata>,
    ) -> Result<Self, Failure> {
        let (admin, mut by_append) = (session.admin(), BTreeSet::new());
        for name in topics.keys() {
            let configs = admin.describe_configs(&ConfigResource::Topic(name.clone())).await?;
            let by = configs.iter().find(|entry| entry.name == "message.timestamp.type");
            if by.is_some_and(|entry| entry.value.as_deref() == Some("LogAppendTime")) {
                by_append.insert(name.clone());
            }
        }
        Ok(Self { topics: topics.clone(), by_append })
    }
}

/// Runs as kcat, if this program was called so, or its first word is that.
pub(crate) fn called() -> Option<ExitCode> {
    let mut words = std::env::args_os();
    if !is_kcat(&words.next()?) && !words.next().is_some_and(|word| is_kcat(&word)) {
        return None;
    }
    let typed: Result<Vec<String>, OsString> = words.map(OsString::into_string).collect();
    Some(match typed {
        Ok(typed) => run(&typed),
        Err(word) => Failure::told(format!("not UTF-8: {}", word.display())).end(),
    })
}

fn is_kcat(word: &OsString) -> bool {
    let name = Path::new(word).file_name().and_then(|name| name.to_str());
    matches!(name, Some("kcat" | "kafkacat"))
}

fn run(typed: &[String]) -> ExitCode {
    let options = match options::read(typed) {
        Ok(options) => options,
        Err(why) => return Failure::told(why).end(),
    };
    if options.asks_for_help || options.asks_for_version || typed.is_empty() {
        let version = env!("CARGO_PKG_VERSION");
        let text = if options.asks_for_version { "kcat, as of 1.7.1 (Ottla " } else { HELP };
        let end = if options.asks_for_version { format!("{version})") } else { String::new() };
        // Whoever reads may be gone.
        let _ = writeln!(std::io::stdout(), "{text}{end}");
        return ExitCode::SUCCESS;
    }
    perform(&options).unwrap_or_else(|failure| failure.end())
}

fn perform(options: &Options) -> Result<ExitCode, Failure> {
    let (reach, reset) = reach(options)?;
    match mode(options) {
        Mode::List => Ok(list::topics(options, &reach)),
        Mode::Query => list::offsets(options, &reach),
        Mode::Consume | Mode::Group(_) => {
            let words = consuming(options).map_err(Failure::Told)?;
            let mut arguments = parsed::<Consume>(words)?.arguments;
            arguments.kcat = Some(Reading {
                is_json: options.is_json,
                null: if options.nulls { b"NULL" } else { b"" },
                reset: reset_of(options, reset.as_deref())?,
                tells_ends: options.exits_at_end && !options.is_quiet,
            });
            Ok(consume::run(&arguments, &reach))
        }
        Mode::Produce => {
            let words = producing(options).map_err(Failure::Told)?;
            let mut arguments = parsed::<Produce>(words)?.arguments;
            if !options.by_line {
                arguments.records = options.rest.iter().map(PathBuf::from).collect();
            }
            Ok(produce::run(&arguments, &reach))
        }
    }
}

/// Without a letter for it, somebody who types reads, and a pipe writes.
fn mode(options: &Options) -> Mode {
    options.mode.clone().unwrap_or_else(|| {
        let (mode, word) = match std::io::stdin().is_terminal() {
            true => (Mode::Consume, "Consumer"),
            false => (Mode::Produce, "Producer"),
        };
        if !options.is_quiet {
            say(&format!("in {word} mode; -P and -C say which"));
        }
        mode
    })
}

#[derive(Debug, clap::Parser)]
struct Consume {
    #[command(flatten)]
    arguments: consume::Arguments,
}

#[derive(Debug, clap::Parser)]
struct Produce {
    #[command(flatten)]
    arguments: produce::Arguments,
}

fn parsed<P: clap::Parser>(words: Vec<String>) -> Result<P, Failure> {
    P::try_parse_from(words).map_err(|error| {
        let told = error.to_string();
        let first = told.lines().next().unwrap_or_default();
        Failure::told(first.strip_prefix("error: ").unwrap_or(first).to_owned())
    })
}

/// The cluster, and where a group begins.
fn reach(options: &Options) -> Result<(Reach, Option<String>), Failure> {
    let (mut pairs, mut reset) = (Vec::new(), None);
    let from_file = config_of(options)?;
    for pair in from_file.iter().chain(&options.properties) {
        match properties::meant(pair).map_err(Failure::Told)? {
            Meant::Client(pair) => pairs.push(pair),
            Meant::Reset(to) => reset = Some(to),
            Meant::Nothing => {}
        }
    }
    if let Some(seconds) = options.seconds {
        pairs.push(format!("request.timeout.ms={}", seconds.saturating_mul(1_000)));
    }
    Ok((Reach::of(options.brokers.clone(), pairs), reset))
}

/// The lines of the file of properties: one that was named, or the one that kcat looks for.
fn config_of(options: &Options) -> Result<Vec<String>, Failure> {
    let named = options.config_file.clone().or_else(|| std::env::var("KCAT_CONFIG").ok());
    let usual = || std::env::var("HOME").ok().map(|home| format!("{home}/.config/kcat.conf"));
    let (path, is_named) = match (named, usual()) {
        (Some(path), _) => (path, true),
        (None, Some(path)) => (path, false),
        (None, None) => return Ok(Vec::new()),
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let lines = text.lines().map(str::trim);
            let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
            Ok(lines.map(str::to_owned).collect())
        }
        Err(_) if !is_named => Ok(Vec::new()),
        Err(error) => Err(Failure::told(format!("cannot read {path}: {error}"))),
    }
}

fn reset_of(options: &Options, set: Option<&str>) -> Result<OffsetReset, Failure> {
    let place = options.offsets.last().map(String::as_str).filter(|place| *place != "stored");
    match place.or(set) {
        None | Some("latest" | "largest" | "end") => Ok(OffsetReset::Latest),
        Some("earliest" | "smallest" | "beginning") => Ok(OffsetReset::Earliest),
        Some("none" | "error") => Ok(OffsetReset::Fail),
        // Where partitions are read by number, `-o` says it all.
        Some(_) if options.mode == Some(Mode::Consume) || options.mode.is_none() => {
            Ok(OffsetReset::Latest)
        }
        Some(other) => {
            Err(Failure::told(format!("a group begins at beginning or end, and not at {other}")))
        }
    }
}

/// The words of `ottla consume` that mean the same.
fn consuming(options: &Options) -> Result<Vec<String>, String> {
    let mut words = vec!["kcat".to_owned()];
    if let Some(Mode::Group(group)) = &options.mode {
        if options.rest.iter().any(|topic| topic.starts_with('^')) {
            return Err("expressions for topics are not supported: name them".to_owned());
        }
        words.push(format!("--group={group}"));
    } else if let Some(span) = span(&options.offsets)? {
        words.push(format!("--offset={span}"));
    }
    if let Some(partition) = options.partition {
        words.push(format!("--partition={partition}"));
    }
    if let Some(count) = options.count {
        words.push(format!("--count={count}"));
    }
    if options.exits_at_end {
        words.push("--exit".to_owned());
    }
    if !options.is_json {
        words.push(format!("--format={}", format(options)));
    }
    words.push("--".to_owned());
    words.extend(options.topics.last().cloned());
    words.extend(options.rest.iter().cloned());
    Ok(words)
}

/// What is written of a record: as the format has it, or what the delimiters ask for.
fn format(options: &Options) -> String {
    if let Some(format) = &options.format {
        return format.clone();
    }
    let plain = |text: &str| text.replace('%', "%%");
    let between = options.key_delimiter.as_deref().map(plain);
    let mut format = String::new();
    if options.shows_offset {
        format += &format!("%o{}", between.as_deref().unwrap_or("\\t"));
    }
    if let Some(between) = &between {
        format += &format!("%k{between}");
    }
    format + "%s" + &plain(options.delimiter.as_deref().unwrap_or("\\n"))
}

/// `FROM:TO` of one `-o`, or of two.
fn span(offsets: &[String]) -> Result<Option<String>, String> {
    let (mut from, mut to) = (None, None);
    for offset in offsets {
        let time = |ms: &str| match ms.parse::<u64>() {
            // With thirteen digits it is milliseconds.
            Ok(ms) => Ok(format!("@{ms:013}")),
            Err(_) => Err(format!("-o {offset}: not a number of milliseconds")),
        };
        match (offset.as_str(), offset.split_once('@')) {
            (_, Some(("s", ms))) => from = Some(time(ms)?),
            (_, Some(("e", ms))) => to = Some(time(ms)?),
            ("stored", _) => return Err("-o stored needs a group: -G".to_owned()),
            ("beginning" | "smallest" | "earliest", _) => from = Some("start".to_owned()),
            ("end" | "largest" | "latest", _) => from = Some("end".to_owned()),
            (place, _) => from = Some(place.to_owned()),
        }
    }
    let from = from.or_else(|| to.as_ref().map(|_| "start".to_owned()));
    Ok(match (from, to) {
        (Some(from), Some(to)) => Some(format!("{from}:{to}")),
        (from, _) => from,
    })
}

/// The words of `ottla produce` that mean the same.
fn producing(options: &Options) -> Result<Vec<String>, String> {
    if options.delimiter.as_deref().is_some_and(|delimiter| delimiter != "\\n") {
        return Err("-D is not supported with -P: a record is a line".to_owned());
    }
    if options.count.is_some() {
        return Err("-c is not supported with -P: use head".to_owned());
    }
    if options.by_line && options.rest.len() > 1 {
        return Err("-l takes one file".to_owned());
    }
    let mut words = vec!["kcat".to_owned(), "--quiet".to_owned()];
    let mut say = |name: &str, word: Option<&String>| {
        words.extend(word.map(|word| format!("--{name}={word}")));
    };
    say("key-separator", options.key_delimiter.as_ref());
    say("key", options.key.as_ref());
    say("compression", options.codec.as_ref());
    say("partition", options.partition.map(|number| number.to_string()).as_ref());
    options.headers.iter().for_each(|header| say("header", Some(header)));
    say("file", options.rest.first().filter(|_| options.by_line));
    if options.nulls {
        words.push("--empty-is-null".to_owned());
    }
    words.push("--".to_owned());
    words.extend(options.topics.last().cloned());
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Vec<String>, String> {
        let typed: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let options = options::read(&typed)?;
        match options.mode {
            Some(Mode::Produce) => producing(&options),
            _ => consuming(&options),
        }
    }

    fn check(line: &str, expected: Result<&str, &str>) {
        let told = words(line).map(|words| words[1..].join(" "));
        assert_eq!(told.as_deref().map_err(String::as_str), expected, "{line}");
    }

    #[test]
    fn reading_is_what_ottla_consume_does() {
        check("-C -t t", Ok("--format=%s\\n -- t"));
        check(
            "-C -t t -p 2 -o -5 -e -c 3",
            Ok("--offset=-5 --partition=2 --count=3 --exit --format=%s\\n -- t"),
        );
        check("-Ct t -o s@1000 -o e@2000 -J", Ok("--offset=@0000000001000:@0000000002000 -- t"));
        check("-C -t t -o e@5 -f %k", Ok("--offset=start:@0000000000005 --format=%k -- t"));
        check("-C -t t -o beginning -K % -D ;", Ok("--offset=start --format=%k%%%s; -- t"));
        check("-C -t t -O", Ok("--format=%o\\t%s\\n -- t"));
        check("-G g one two", Ok("--group=g --format=%s\\n -- one two"));
        check("-G g ^a.*", Err("expressions for topics are not supported: name them"));
        check("-C -t t -o stored", Err("-o stored needs a group: -G"));
        check("-C -t t -o s@soon", Err("-o s@soon: not a number of milliseconds"));
    }

    #[test]
    fn writing_is_what_ottla_produce_does() {
        check("-P -t t", Ok("--quiet -- t"));
        check(
            "-P -t t -K: -k k -H a=b -H c=d -z lz4 -p 1 -Z",
            Ok("--quiet --key-separator=: --key=k --compression=lz4 --partition=1 --header=a=b \
                --header=c=d --empty-is-null -- t"),
        );
        check("-P -t t -l lines", Ok("--quiet --file=lines -- t"));
        check("-P -t t -p -1 a b", Ok("--quiet -- t"));
        check("-P -t t -l a b", Err("-l takes one file"));
        check("-P -t t -c 5", Err("-c is not supported with -P: use head"));
        check("-P -t t -D ;", Err("-D is not supported with -P: a record is a line"));
    }
}
