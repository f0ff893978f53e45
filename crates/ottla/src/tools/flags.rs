//! Options as Apache's tools take them, in their two grammars: most have options only, some have
//! commands with options of their own.

use std::fmt;

use super::ToolError;

/// What follows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    /// A word, whatever it looks like.
    Word,
    /// A word, where one follows that looks like no option.
    MaybeWord,
    /// All words up to the next option.
    Words,
}

/// An option.
#[derive(Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    /// Its other spelling, with one dash and one letter.
    pub(super) letter: Option<char>,
    pub(super) takes: Takes,
    /// What its word is, for the help.
    pub(super) of: &'static str,
    pub(super) about: &'static str,
}

const fn new(name: &'static str, takes: Takes, of: &'static str, about: &'static str) -> Flag {
    Flag { name, letter: None, takes, of, about }
}

pub(super) const fn flag(name: &'static str, about: &'static str) -> Flag {
    new(name, Takes::Nothing, "", about)
}

pub(super) const fn word(name: &'static str, of: &'static str, about: &'static str) -> Flag {
    new(name, Takes::Word, of, about)
}

pub(super) const fn maybe(name: &'static str, of: &'static str, about: &'static str) -> Flag {
    new(name, Takes::MaybeWord, of, about)
}

pub(super) const fn words(name: &'static str, of: &'static str, about: &'static str) -> Flag {
    new(name, Takes::Words, of, about)
}

impl Flag {
    pub(super) const fn or(mut self, letter: char) -> Self {
        self.letter = Some(letter);
        self
    }
}

/// A command of a tool.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) flags: &'static [Flag],
    pub(super) about: &'static str,
}

/// How the words of a tool are read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Grammar {
    /// Options only, spelled in full; their words as the library of most tools reads them.
    Options(&'static [Flag]),
    /// Options, and a command where there are any; an option may be shortened while it is clear.
    Commands { shared: &'static [Flag], commands: &'static [Command] },
}

/// Options that cannot be read: the name of Java's exception for it, which some tools print, and
/// what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OptionError {
    pub(super) class: &'static str,
    pub(super) message: String,
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl OptionError {
    fn unknown(name: &str) -> Self {
        let message = format!("{name} is not a recognized option");
        Self { class: "joptsimple.UnrecognizedOptionException", message }
    }

    fn lacks_word(name: &str) -> Self {
        let message = format!("Option {name} requires an argument");
        Self { class: "joptsimple.OptionMissingRequiredArgumentException", message }
    }

    fn twice(name: &str) -> Self {
        let message =
            format!("Found multiple arguments for option {name}, but you asked for only one");
        Self { class: "joptsimple.MultipleArgumentsForOptionException", message }
    }

    fn no_number(name: &str, value: &str) -> Self {
        let message = format!("Cannot parse argument '{value}' of option {name}");
        Self { class: "joptsimple.OptionArgumentConversionException", message }
    }

    /// Grammars with commands have one exception for everything.
    pub(super) fn argument(message: impl Into<String>) -> Self {
        Self {
            class: "net.sourceforge.argparse4j.inf.ArgumentParserException",
            message: message.into(),
        }
    }
}

/// What was typed.
#[derive(Debug)]
pub(super) struct Given {
    known: Vec<&'static Flag>,
    /// In order; an option that takes several words is there once for each.
    seen: Vec<(&'static str, Option<String>)>,
    /// Words that belong to no option.
    pub(super) rest: Vec<String>,
    pub(super) command: &'static str,
}

impl Grammar {
    pub(super) fn read(self, typed: &[String]) -> Result<Given, OptionError> {
        match self {
            Self::Options(flags) => read_options(flags, typed),
            Self::Commands { shared, commands } => read_commands(shared, commands, typed),
        }
    }
}

fn read_options(flags: &'static [Flag], typed: &[String]) -> Result<Given, OptionError> {
    let known: Vec<&'static Flag> = flags.iter().chain(&EVERYWHERE).collect();
    let mut given = Given { known, seen: Vec::new(), rest: Vec::new(), command: "" };
    let mut typed = typed.iter().peekable();
    while let Some(next) = typed.next() {
        let Some(bare) = option_in(next) else {
            given.rest.push(next.clone());
            continue;
        };
        if bare.is_empty() {
            given.rest.extend(typed.by_ref().cloned());
            break;
        }
        let (name, value) = split(bare);
        let found = given.known.iter().find(|flag| flag.name == name);
        let flag = *found.ok_or_else(|| OptionError::unknown(name))?;
        let value = match (flag.takes, value) {
            (Takes::Nothing, _) => None,
            (_, Some(value)) => Some(value.to_owned()),
            (Takes::MaybeWord, None) => typed.next_if(|next| option_in(next).is_none()).cloned(),
            (Takes::Word | Takes::Words, None) => {
                let word = typed.next().ok_or_else(|| OptionError::lacks_word(name))?;
                Some(word.clone())
            }
        };
        given.seen.push((flag.name, value));
    }
    Ok(given)
}

/// Every tool of this grammar has them.
static EVERYWHERE: [Flag; 2] =
    [flag("help", "Shows this help"), flag("version", "Shows the version")];

/// What is behind the dashes; `None` for what looks like no option.
fn option_in(word: &str) -> Option<&str> {
    word.strip_prefix("--").or_else(|| word.strip_prefix('-').filter(|rest| !rest.is_empty()))
}

fn split(bare: &str) -> (&str, Option<&str>) {
    bare.split_once('=').map_or((bare, None), |(name, value)| (name, Some(value)))
}

fn read_commands(
    shared: &'static [Flag],
    commands: &'static [Command],
    typed: &[String],
) -> Result<Given, OptionError> {
    let known = shared.iter().collect();
    let mut given = Given { known, seen: Vec::new(), rest: Vec::new(), command: "" };
    let mut typed = typed.iter().peekable();
    while let Some(next) = typed.next() {
        let Some(bare) = option_in(next).filter(|_| !is_number(next)) else {
            if !given.command.is_empty() || commands.is_empty() {
                let told = format!("unrecognized arguments: '{next}'");
                return Err(OptionError::argument(told));
            }
            let command = commands.iter().find(|each| each.name == next);
            let command = command.ok_or_else(|| no_choice(next, commands))?;
            given.command = command.name;
            given.known.extend(command.flags);
            continue;
        };
        let (flag, value) = find(&given.known, next, bare)?;
        let needed = || {
            let told = format!("argument {}: expected one argument", spellings(flag));
            OptionError::argument(told)
        };
        match (flag.takes, value) {
            (Takes::Nothing, _) => given.seen.push((flag.name, None)),
            (_, Some(value)) => given.seen.push((flag.name, Some(value))),
            (Takes::Words, None) => {
                let ours = |next: &&String| option_in(next).is_none() || is_number(next);
                let mut count = 0;
                while let Some(word) = typed.next_if(ours) {
                    given.seen.push((flag.name, Some(word.clone())));
                    count += 1;
                }
                if count == 0 {
                    let told =
                        format!("argument {}: expected at least one argument", spellings(flag));
                    return Err(OptionError::argument(told));
                }
            }
            (Takes::Word | Takes::MaybeWord, None) => {
                let word = typed.next_if(|next| option_in(next).is_none() || is_number(next));
                given.seen.push((flag.name, Some(word.ok_or_else(needed)?.clone())));
            }
        }
    }
    if given.command.is_empty() && !commands.is_empty() && !given.has("help") {
        return Err(OptionError::argument("too few arguments"));
    }
    Ok(given)
}

/// The option that a word names, in full, shortened, or by its letter; and the word within it.
fn find(
    known: &[&'static Flag],
    typed: &str,
    bare: &str,
) -> Result<(&'static Flag, Option<String>), OptionError> {
    if matches!(typed, "-h" | "--help") {
        return Ok((&EVERYWHERE[0], None));
    }
    let unknown = || OptionError::argument(format!("unrecognized arguments: '{typed}'"));
    if !typed.starts_with("--") {
        let letter = bare.chars().next();
        let flag = known.iter().find(|flag| flag.letter == letter).ok_or_else(unknown)?;
        let value = bare.get(1..).filter(|rest| !rest.is_empty());
        return Ok((flag, value.map(str::to_owned)));
    }
    let (name, value) = split(bare);
    let value = value.map(str::to_owned);
    if let Some(flag) = known.iter().find(|flag| flag.name == name) {
        return Ok((flag, value));
    }
    let near: Vec<&&Flag> = known.iter().filter(|flag| flag.name.starts_with(name)).collect();
    match near.as_slice() {
        [flag] => Ok((flag, value)),
        [] => Err(unknown()),
        several => {
            let names: Vec<String> =
                several.iter().map(|flag| format!("--{}", flag.name)).collect();
            let told = format!("ambiguous option: {typed} could match {}", names.join(", "));
            Err(OptionError::argument(told))
        }
    }
}

fn is_number(word: &str) -> bool {
    word.parse::<f64>().is_ok()
}

fn no_choice(typed: &str, commands: &[Command]) -> OptionError {
    let names: Vec<String> = commands.iter().map(|each| format!("'{}'", each.name)).collect();
    OptionError::argument(format!("invalid choice: '{typed}' (choose from {})", names.join(", ")))
}

/// An option with its letter, as messages spell it.
pub(super) fn spellings(flag: &Flag) -> String {
    let name = format!("--{}", flag.name);
    flag.letter.map_or_else(|| name.clone(), |letter| format!("{name}/-{letter}"))
}

impl Given {
    fn flag(&self, name: &str) -> &'static Flag {
        let found = self.known.iter().find(|flag| flag.name == name);
        found.expect("a tool asks for options that it has")
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.seen.iter().any(|(seen, _)| *seen == name)
    }

    /// Whether nothing at all was typed.
    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty() && self.rest.is_empty() && self.command.is_empty()
    }

    /// The options in order, with their words.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        self.seen.iter().map(|(name, value)| (*name, value.as_deref()))
    }

    /// All words of an option.
    pub(super) fn words(&self, name: &str) -> Vec<&str> {
        let ours = self.seen.iter().filter(|(seen, _)| *seen == name);
        ours.filter_map(|(_, value)| value.as_deref()).collect()
    }

    /// The one word of an option.
    pub(super) fn word(&self, name: &str) -> Result<Option<&str>, OptionError> {
        match self.words(name).as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            // With commands the last one counts.
            [.., last] if !self.command.is_empty() => Ok(Some(last)),
            [..] => Err(OptionError::twice(name)),
        }
    }

    /// The one number of an option.
    pub(super) fn number<T: std::str::FromStr>(
        &self,
        name: &str,
    ) -> Result<Option<T>, OptionError> {
        let Some(word) = self.word(name)? else { return Ok(None) };
        word.parse().map(Some).map_err(|_| OptionError::no_number(name, word))
    }

    /// Demands options.
    pub(super) fn require(&self, names: &[&str]) -> Result<(), ToolError> {
        let missing = names.iter().find(|name| !self.has(name));
        missing.map_or(Ok(()), |name| {
            Err(ToolError::usage(format!("Missing required argument \"[{name}]\"")))
        })
    }

    /// Refuses options beside one.
    pub(super) fn exclude(&self, used: &str, others: &[&str]) -> Result<(), ToolError> {
        let other = others.iter().find(|other| self.has(used) && self.has(other));
        other.map_or(Ok(()), |other| {
            let told = format!("Option \"[{used}]\" can't be used with option \"[{other}]\"");
            Err(ToolError::usage(told))
        })
    }

    /// Demands one of several options, and no two.
    pub(super) fn one_of(&self, names: &[&str]) -> Result<(), ToolError> {
        if names.iter().filter(|name| self.has(name)).count() == 1 {
            return Ok(());
        }
        let all: Vec<String> = names.iter().map(|name| format!("[{name}]")).collect();
        let told = "Exactly one of the following arguments is required: ";
        Err(ToolError::usage(format!("{told}{}", all.join(", "))))
    }

    /// Demands an option, in the words of the tools that have commands.
    pub(super) fn demand(&self, name: &str) -> Result<&str, OptionError> {
        let missing = || {
            let told = format!("argument {} is required", spellings(self.flag(name)));
            OptionError::argument(told)
        };
        self.word(name)?.ok_or_else(missing)
    }

    /// Demands one of two options and not both, in the words of the tools that have commands.
    pub(super) fn demand_one(&self, one: &str, other: &str) -> Result<(), OptionError> {
        let spelled = |name| spellings(self.flag(name));
        match (self.has(one), self.has(other)) {
            (true, false) | (false, true) => Ok(()),
            (true, true) => Err(OptionError::argument(format!(
                "argument {}: not allowed with argument {}",
                spelled(other),
                spelled(one)
            ))),
            (false, false) => Err(OptionError::argument(format!(
                "one of the arguments {} {} is required",
                spelled(one),
                spelled(other)
            ))),
        }
    }
}

/// The help of a tool: what it is for, and its options.
pub(super) fn help(name: &str, about: &str, grammar: Grammar) -> String {
    let mut text = format!("{name}: {about}\n");
    match grammar {
        Grammar::Options(flags) => {
            let all: Vec<&Flag> = flags.iter().chain(&EVERYWHERE).collect();
            list(&mut text, "Options:", &all);
        }
        Grammar::Commands { shared, commands } => {
            list(&mut text, "Options:", &shared.iter().collect::<Vec<_>>());
            for command in commands {
                let title = format!("{name} {}: {}", command.name, command.about);
                list(&mut text, &title, &command.flags.iter().collect::<Vec<_>>());
            }
        }
    }
    text
}

fn list(text: &mut String, title: &str, flags: &[&Flag]) {
    text.push_str(&format!("\n{title}\n"));
    for flag in flags {
        let word = match flag.takes {
            Takes::Nothing => String::new(),
            Takes::Word => format!(" <{}>", flag.of),
            Takes::MaybeWord => format!(" [{}]", flag.of),
            Takes::Words => format!(" <{}>...", flag.of),
        };
        let letter = flag.letter.map(|letter| format!(", -{letter}")).unwrap_or_default();
        let left = format!("--{}{letter}{word}", flag.name);
        text.push_str(&format!("  {left:<42} {}\n", flag.about));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static OPTIONS: [Flag; 5] = [
        flag("list", ""),
        word("topic", "t", ""),
        word("partitions", "n", ""),
        maybe("state", "s", ""),
        word("topic-id", "id", ""),
    ];

    static SHARED: [Flag; 2] = [word("bootstrap-server", "s", "").or('b'), words("props", "p", "")];
    static COMMANDS: [Command; 2] = [
        Command { name: "describe", flags: &[], about: "" },
        Command { name: "remove", flags: &DESCRIBE, about: "" },
    ];
    static DESCRIBE: [Flag; 3] =
        [word("id", "n", "").or('i'), flag("dry-run", ""), flag("deep", "")];

    fn read(grammar: Grammar, line: &str) -> String {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match grammar.read(&words) {
            Err(error) => error.to_string(),
            Ok(given) => {
                let mut told: Vec<String> = Vec::new();
                if !given.command.is_empty() {
                    told.push(format!("<{}>", given.command));
                }
                told.extend(given.in_order().map(|(name, value)| match value {
                    Some(value) => format!("{name}={value}"),
                    None => name.to_owned(),
                }));
                told.extend(given.rest.iter().map(|word| format!("({word})")));
                told.join(" ")
            }
        }
    }

    #[test]
    fn options_are_read_in_both_spellings() {
        let check = |line: &str, expected: &str| {
            assert_eq!(read(Grammar::Options(&OPTIONS), line), expected, "{line}");
        };
        check("--list --topic a", "list topic=a");
        check("--topic=a --list", "topic=a list");
        check("-topic a", "topic=a");
        check("--topic=a=b", "topic=a=b");
        check("--topic=", "topic=");
        check("--topic --list", "topic=--list");
        check("--topic", "Option topic requires an argument");
        check("--top a", "top is not a recognized option");
        check("--nonsense", "nonsense is not a recognized option");
        check("--state --list", "state list");
        check("--state empty --list", "state=empty list");
        check("--list yes", "list (yes)");
        check("--list -- --topic", "list (--topic)");
        check("--partitions -1", "partitions=-1");
    }

    #[test]
    fn commands_have_options_of_their_own_and_take_shortened_ones() {
        let grammar = Grammar::Commands { shared: &SHARED, commands: &COMMANDS };
        let check = |line: &str, expected: &str| {
            assert_eq!(read(grammar, line), expected, "{line}");
        };
        check("--bootstrap-server x describe", "<describe> bootstrap-server=x");
        check("--bootstrap-server=x remove --id 3", "<remove> bootstrap-server=x id=3");
        check("-b x remove -i3", "<remove> bootstrap-server=x id=3");
        check("--boot x describe", "<describe> bootstrap-server=x");
        check("describe --props a=1 b=2 -b x", "<describe> props=a=1 props=b=2 bootstrap-server=x");
        check("remove --id -1", "<remove> id=-1");
        check("remove --d", "ambiguous option: --d could match --dry-run, --deep");
        check("describe --id 3", "unrecognized arguments: '--id'");
        check("describe more", "unrecognized arguments: 'more'");
        check("list", "invalid choice: 'list' (choose from 'describe', 'remove')");
        check("", "too few arguments");
        check("describe --props", "argument --props: expected at least one argument");
        check("describe -b", "argument --bootstrap-server/-b: expected one argument");
    }

    #[test]
    fn words_are_asked_for_one_by_one() {
        let words = ["--topic", "a", "--topic", "b", "--partitions", "x", "--topic-id", "7"];
        let given = Grammar::Options(&OPTIONS).read(&words.map(str::to_owned)).unwrap();
        assert_eq!(given.words("topic"), ["a", "b"]);
        let told = given.word("topic").unwrap_err().to_string();
        assert_eq!(told, "Found multiple arguments for option topic, but you asked for only one");
        let told = given.number::<i32>("partitions").unwrap_err().to_string();
        assert_eq!(told, "Cannot parse argument 'x' of option partitions");
        assert_eq!(given.number::<i64>("topic-id"), Ok(Some(7)));
        assert_eq!(given.number::<i64>("state"), Ok(None));
    }
}
