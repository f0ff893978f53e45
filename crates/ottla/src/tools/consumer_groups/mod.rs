//! `kafka-consumer-groups`.

mod delete;
mod describe;
mod reset;

use std::time::Duration;

use ottla_client::{Admin, GroupListing};
use regex::Regex;

use super::columns::{left, widest};
use super::flags::{Flag, Given, Grammar, flag, maybe, word};
use super::settings::Settings;
use super::{Manner, Tool, ToolError, complain, line, talk};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-consumer-groups",
    about: "lists and describes groups of consumers, deletes them, and moves their offsets.",
    grammar: Grammar::Options(&FLAGS),
    run,
    manner: Manner::Plain,
};

static FLAGS: [Flag; 29] = [
    word("bootstrap-server", "servers", "Brokers to begin with; required"),
    word("group", "group", "A group; several times for several"),
    word("topic", "topic", "A topic, or TOPIC:0,1 for some of its partitions"),
    flag("all-topics", "All topics that the group has offsets of"),
    flag("list", "Lists groups"),
    flag("describe", "Shows groups"),
    flag("all-groups", "All groups"),
    flag("delete", "Deletes groups"),
    word("timeout", "ms", "How long to wait for the cluster"),
    word("command-config", "file", "Properties of the client"),
    flag("reset-offsets", "Moves the offsets of groups that nobody is in"),
    flag("delete-offsets", "Deletes offsets of a group"),
    flag("dry-run", "Only shows where offsets would be"),
    flag("execute", "Moves them"),
    flag("export", "Shows them as comma-separated values"),
    word("to-offset", "offset", "To this offset"),
    word("from-file", "file", "To what a file says, as --export writes it"),
    word("to-datetime", "time", "To the first record since YYYY-MM-DDTHH:mm:SS.sss"),
    word("by-duration", "duration", "To the first record since as long ago, as PT1H30M"),
    flag("to-earliest", "To the first record"),
    flag("to-latest", "To the end"),
    flag("to-current", "To where they are"),
    word("shift-by", "count", "So many records on, or back where it is negative"),
    flag("members", "Describes the members"),
    flag("verbose", "Describes more"),
    flag("offsets", "Describes offsets; what is done without being said"),
    maybe("state", "states", "Describes the state; lists states, or groups of these states"),
    maybe("type", "types", "Lists types, or groups of these types"),
    word("validate-regex", "expression", "Says whether an expression for topics is one"),
];

const ACTIONS: [&str; 6] =
    ["list", "describe", "delete", "reset-offsets", "delete-offsets", "validate-regex"];

/// Where offsets may be moved to.
const TARGETS: [&str; 8] = [
    "to-offset",
    "to-datetime",
    "by-duration",
    "to-earliest",
    "to-latest",
    "shift-by",
    "from-file",
    "to-current",
];

fn usage(told: &str) -> Result<(), ToolError> {
    Err(ToolError::usage(told))
}

fn check(given: &Given) -> Result<(), ToolError> {
    if !given.has("validate-regex") {
        given.require(&["bootstrap-server"])?;
    }
    check_describe(given)?;
    let has_group = given.has("group") || given.has("all-groups");
    if given.has("delete") {
        if !has_group {
            return usage("Option [delete] takes one of these options: [group], [all-groups]");
        }
        if given.has("topic") {
            return usage(
                "The consumer does not support topic-specific offset deletion from a consumer \
                 group.",
            );
        }
    }
    if given.has("delete-offsets") && !(given.has("group") && given.has("topic")) {
        return usage("Option [delete-offsets] takes the following options: [group], [topic]");
    }
    if given.has("reset-offsets") {
        check_reset(given, has_group)?;
    }
    given.exclude("group", &["all-groups", "list"])?;
    given.exclude("topic", &["list", "describe"])?;
    if ACTIONS.iter().filter(|action| given.has(action)).count() != 1 {
        let all: Vec<String> = ACTIONS.iter().map(|action| format!("--{action}")).collect();
        let all = all.join(", ");
        return usage(&format!("Command must include exactly one action: {all}"));
    }
    Ok(())
}

fn check_describe(given: &Given) -> Result<(), ToolError> {
    for option in ["members", "verbose", "offsets"] {
        if given.has(option) && !given.has("describe") {
            return usage(&format!(
                "Option(s) [{option}] are unavailable given other options on the command line"
            ));
        }
    }
    if given.has("state") && !given.has("describe") && !given.has("list") {
        return usage("Option(s) [state] are unavailable given other options on the command line");
    }
    if given.has("type") && !given.has("list") {
        return usage("Option(s) [type] are unavailable given other options on the command line");
    }
    if !given.has("describe") {
        return Ok(());
    }
    if !given.has("group") && !given.has("all-groups") {
        return usage("Option [describe] takes one of these options: [group], [all-groups]");
    }
    if ["members", "offsets", "state"].iter().filter(|option| given.has(option)).count() > 1 {
        return usage(
            "Option [describe] takes at most one of these options: [members], [offsets], [state]",
        );
    }
    if given.word("state")?.is_some() {
        return usage("Option [describe] does not take a value for [state]");
    }
    Ok(())
}

fn check_reset(given: &Given, has_group: bool) -> Result<(), ToolError> {
    match (given.has("dry-run"), given.has("execute")) {
        (true, true) => {
            return usage("Option [reset-offsets] only accepts one of [execute] and [dry-run]");
        }
        (false, false) => complain(
            "WARN: No action will be performed as the --execute option is missing. In version \
             5.0, this command will require either --dry-run or --execute to be specified. You \
             should add the --dry-run option explicitly if you are scripting this command and \
             want to keep the current default behavior without prompting.",
        ),
        (true, false) | (false, true) => {}
    }
    if !has_group {
        return usage("Option [reset-offsets] takes one of these options: [group], [all-groups]");
    }
    for target in TARGETS {
        let others: Vec<&str> = TARGETS.into_iter().filter(|other| *other != target).collect();
        given.exclude(target, &others)?;
    }
    Ok(())
}

fn run(given: &Given) -> Result<(), ToolError> {
    check(given)?;
    if let Some(pattern) = given.word("validate-regex")? {
        return validate(pattern);
    }
    let timeout = Duration::from_millis(given.number("timeout")?.unwrap_or(30_000));
    let ended = talk(&Settings::of_admin(given)?, async |session, _| {
        let admin = session.admin().timeout(timeout);
        if given.has("list") {
            list(given, &admin).await
        } else if given.has("describe") {
            describe::describe(given, &admin).await
        } else if given.has("delete") {
            delete::groups(given, &admin).await
        } else if given.has("delete-offsets") {
            delete::offsets(given, &admin).await
        } else {
            reset::reset(given, session, &admin).await
        }
    });
    match ended {
        // Kafka's tool says so, and calls it a success.
        Err(ToolError::Thrown(thrown)) if thrown.class == "java.lang.IllegalArgumentException" => {
            Err(ToolError::Usage(thrown.message))
        }
        Err(ToolError::Thrown(thrown)) => failed(&thrown.message, &thrown.to_string()),
        ended => ended,
    }
}

/// What Kafka's tool says where a request fails; it ends as if nothing had happened.
fn failed(message: &str, trace: &str) -> Result<(), ToolError> {
    error(&format!("Executing consumer group command failed due to {message}"))?;
    complain(trace);
    Ok(())
}

/// An error among the answers.
fn error(told: &str) -> Result<(), ToolError> {
    Ok(line(&format!("\nError: {told}"))?)
}

fn validate(pattern: &str) -> Result<(), ToolError> {
    let told = match Regex::new(pattern) {
        Ok(_) => format!("The regular expression `{pattern}` is valid."),
        Err(why) => {
            let why = reason(&why);
            format!("The regular expression `{pattern}` is invalid: {why}.")
        }
    };
    Ok(line(&told)?)
}

/// What is wrong with an expression, in the words of RE2 where they are known.
fn reason(error: &regex::Error) -> String {
    let told = error.to_string();
    let why = told.rsplit("error: ").next().unwrap_or_default();
    match why {
        "unclosed group" => "missing closing )".to_owned(),
        "unopened group" => "unexpected )".to_owned(),
        "unclosed character class" => "missing closing ]".to_owned(),
        "repetition operator missing expression" => {
            "missing argument to repetition operator".to_owned()
        }
        why => why.to_owned(),
    }
}

/// The groups of consumers, whatever their protocol; also those that only commit.
async fn listed(admin: &Admin) -> Result<Vec<GroupListing>, ToolError> {
    let mut groups = admin.list_groups().await?;
    groups.retain(|group| {
        let is_consumer = matches!(group.protocol_type.as_str(), "consumer" | "");
        let kind = group.kind.to_ascii_lowercase();
        kind == "consumer" || (is_consumer && matches!(kind.as_str(), "classic" | ""))
    });
    Ok(groups)
}

/// The names of those that were named, or of all.
async fn chosen(given: &Given, admin: &Admin) -> Result<Vec<String>, ToolError> {
    if given.has("all-groups") {
        return Ok(listed(admin).await?.into_iter().map(|group| group.id).collect());
    }
    Ok(given.words("group").into_iter().map(str::to_owned).collect())
}

/// States of groups of consumers, as Kafka spells them.
const STATES: [&str; 7] = [
    "PreparingRebalance",
    "CompletingRebalance",
    "Stable",
    "Dead",
    "Empty",
    "Assigning",
    "Reconciling",
];

const TYPES: [&str; 2] = ["Classic", "Consumer"];

/// Words of a list that are among those that are known, whatever their case.
fn known(
    list: Option<&str>,
    all: &[&'static str],
    what: &str,
) -> Result<Vec<&'static str>, ToolError> {
    let Some(list) = list.filter(|list| !list.is_empty()) else { return Ok(Vec::new()) };
    let spelled = |word: &str| word.trim().replace('_', "").to_ascii_lowercase();
    let found = list
        .split(',')
        .map(|word| all.iter().find(|known| known.to_ascii_lowercase() == spelled(word)).copied());
    found.collect::<Option<_>>().ok_or_else(|| {
        let all = all.join(", ");
        ToolError::usage(format!(
            "Invalid {what} list '{list}'. Valid {what} are: {all}",
            what = what
        ))
    })
}

async fn list(given: &Given, admin: &Admin) -> Result<(), ToolError> {
    let states = known(given.word("state")?, &STATES, "state")?;
    let types = known(given.word("type")?, &TYPES, "types")?;
    let mut groups = listed(admin).await?;
    if !given.has("state") && !given.has("type") {
        for group in groups {
            line(&group.id)?;
        }
        return Ok(());
    }
    let fits = |all: &[&str], own: &str| {
        all.is_empty() || all.iter().any(|each| each.eq_ignore_ascii_case(own))
    };
    groups.retain(|group| fits(&states, &group.state) && fits(&types, &group.kind));
    line(&title_of_list(given, &groups))?;
    for group in &groups {
        line(&row_of_list(given, &groups, group))?;
    }
    Ok(())
}

fn width_of_list(groups: &[GroupListing]) -> usize {
    widest(15, groups.iter().map(|group| group.id.as_str())) + 10
}

fn title_of_list(given: &Given, groups: &[GroupListing]) -> String {
    columns_of_list(given, groups, ["GROUP", "TYPE", "STATE"])
}

fn row_of_list(given: &Given, groups: &[GroupListing], group: &GroupListing) -> String {
    columns_of_list(given, groups, [&group.id, &capital(&group.kind), &capital(&group.state)])
}

fn columns_of_list(given: &Given, groups: &[GroupListing], cells: [&str; 3]) -> String {
    let mut row = left(cells[0], width_of_list(groups));
    for (option, cell) in [("type", cells[1]), ("state", cells[2])] {
        if given.has(option) {
            row.push_str(&format!(" {}", left(cell, 20)));
        }
    }
    row
}

/// Kafka's types and states begin with a capital.
pub(super) fn capital(word: &str) -> String {
    match word.split_at_checked(1) {
        Some((first, rest)) => format!("{}{rest}", first.to_ascii_uppercase()),
        None => "Unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        match check(&TOOL.grammar.read(&words).unwrap()) {
            Ok(()) => "fine".to_owned(),
            Err(ToolError::Usage(told)) => told,
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn options_that_make_no_sense_together_are_refused() {
        for (line, expected) in [
            ("--list", "fine"),
            ("--list --state", "fine"),
            ("--list --state empty --type classic", "fine"),
            ("--describe --group g --members --verbose", "fine"),
            ("--describe", "Option [describe] takes one of these options: [group], [all-groups]"),
            (
                "--describe --group g --state empty",
                "Option [describe] does not take a value for [state]",
            ),
            (
                "--describe --group g --state --members",
                "Option [describe] takes at most one of these options: [members], [offsets], [state]",
            ),
            (
                "--list --members",
                "Option(s) [members] are unavailable given other options on the command line",
            ),
            ("--delete", "Option [delete] takes one of these options: [group], [all-groups]"),
            (
                "--delete-offsets --group g",
                "Option [delete-offsets] takes the following options: [group], [topic]",
            ),
            (
                "--reset-offsets --group g --to-earliest --to-latest --execute",
                "Option \"[to-earliest]\" can't be used with option \"[to-latest]\"",
            ),
            (
                "--reset-offsets --group g --to-earliest --dry-run --execute",
                "Option [reset-offsets] only accepts one of [execute] and [dry-run]",
            ),
            ("--group g --list", "Option \"[group]\" can't be used with option \"[list]\""),
            (
                "--group g",
                "Command must include exactly one action: --list, --describe, --delete, \
                 --reset-offsets, --delete-offsets, --validate-regex",
            ),
        ] {
            assert_eq!(told(&format!("--bootstrap-server x {line}")), expected, "{line}");
        }
        assert_eq!(told("--list"), "Missing required argument \"[bootstrap-server]\"");
    }

    #[test]
    fn expressions_are_found_wrong_in_the_words_of_re2() {
        let check = |pattern: &str, expected: &str| {
            assert_eq!(reason(&Regex::new(pattern).unwrap_err()), expected, "{pattern}");
        };
        check("^on(.*", "missing closing )");
        check("on)", "unexpected )");
        check("[a", "missing closing ]");
        check("*", "missing argument to repetition operator");
    }

    #[test]
    fn states_are_known_in_any_case() {
        assert_eq!(known(Some("empty, STABLE"), &STATES, "state").unwrap(), ["Empty", "Stable"]);
        assert_eq!(
            known(Some("preparing_rebalance"), &STATES, "state").unwrap(),
            ["PreparingRebalance"]
        );
        assert!(known(None, &STATES, "state").unwrap().is_empty());
        assert!(known(Some("full"), &STATES, "state").is_err());
        assert_eq!(capital("consumer"), "Consumer");
        assert_eq!(capital(""), "Unknown");
    }
}
