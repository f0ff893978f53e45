//! `kafka-configs`.

use std::collections::{BTreeMap, BTreeSet};

use ottla_client::{Admin, ConfigChange, ConfigEntry, ConfigResource, ConfigSource};
use ottla_types::TopicName;
use regex::Regex;

use super::flags::{Flag, Given, Grammar, flag, word};
use super::settings::{Settings, properties_of};
use super::thrown::Thrown;
use super::{Manner, Tool, ToolError, line, talk};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-configs",
    about: "shows and changes properties of topics, brokers and groups of a running cluster.",
    grammar: Grammar::Options(&FLAGS),
    run,
    manner: Manner::Configs,
};

static FLAGS: [Flag; 24] = [
    word("bootstrap-server", "servers", "Brokers to begin with; required"),
    word("bootstrap-controller", "servers", "Not supported: name a broker"),
    word("command-config", "file", "Properties of the client"),
    flag("alter", "Changes properties"),
    flag("describe", "Shows properties"),
    flag("all", "Shows those as well that nobody has set"),
    word("entity-type", "type", "topics, brokers, groups, users, clients, ips or client-metrics"),
    word("entity-name", "name", "The name of a topic or group, or the number of a broker"),
    flag("entity-default", "All brokers"),
    word("add-config", "name=value,...", "Properties to set; [a,b] holds a list together"),
    word("add-config-file", "file", "Properties to set"),
    word("delete-config", "name,...", "Properties to unset"),
    word("topic", "name", "The topic"),
    word("client", "id", "Quotas of a client are not supported"),
    flag("client-defaults", "Quotas of clients are not supported"),
    word("user", "name", "Users are not supported"),
    flag("user-defaults", "Users are not supported"),
    word("broker", "number", "The broker"),
    flag("broker-defaults", "All brokers"),
    word("broker-logger", "number", "Loggers are not supported"),
    word("ip", "address", "Quotas of addresses are not supported"),
    flag("ip-defaults", "Quotas of addresses are not supported"),
    word("group", "name", "The group"),
    word("client-metrics", "name", "Subscriptions to metrics are not supported"),
];

/// Options that name a thing, and its type.
const NAMED: [(&str, &str); 8] = [
    ("topic", "topics"),
    ("client", "clients"),
    ("user", "users"),
    ("broker", "brokers"),
    ("broker-logger", "broker-loggers"),
    ("ip", "ips"),
    ("client-metrics", "client-metrics"),
    ("group", "groups"),
];

/// Options that stand for all things of a type.
const DEFAULTS: [(&str, &str); 4] = [
    ("client-defaults", "clients"),
    ("user-defaults", "users"),
    ("broker-defaults", "brokers"),
    ("ip-defaults", "ips"),
];

const TYPES: [&str; 8] =
    ["topics", "clients", "users", "brokers", "ips", "client-metrics", "groups", "broker-loggers"];

fn illegal<T>(told: impl Into<String>) -> Result<T, ToolError> {
    Err(Thrown::illegal_argument(told).into())
}

fn types(given: &Given) -> Vec<String> {
    let mut types: Vec<String> =
        given.words("entity-type").into_iter().map(str::to_owned).collect();
    let flags = NAMED.iter().chain(&DEFAULTS).filter(|(option, _)| given.has(option));
    types.extend(flags.map(|(_, of)| (*of).to_owned()));
    types
}

/// The names in the order of their options; empty for the defaults.
fn names(given: &Given) -> Vec<String> {
    let typed = given.in_order().filter_map(|(option, value)| match option {
        "entity-name" => value.map(str::to_owned),
        "entity-default" => Some(String::new()),
        _ => None,
    });
    let mut names: Vec<String> = typed.collect();
    for (option, _) in NAMED {
        names.extend(given.words(option).into_iter().map(str::to_owned));
    }
    names.extend(DEFAULTS.iter().filter(|(option, _)| given.has(option)).map(|_| String::new()));
    names
}

fn check(given: &Given) -> Result<(), ToolError> {
    if given.has("alter") == given.has("describe") {
        let told = "Command must include exactly one action: --describe, --alter";
        return Err(ToolError::usage(told));
    }
    given.exclude("describe", &["add-config", "delete-config"])?;
    let (types, names) = (types(given), names(given));
    if types.iter().collect::<BTreeSet<_>>().len() != types.len() {
        return illegal(format!("Duplicate entity type(s) specified: {}", types.join(",")));
    }
    if !given.has("bootstrap-server") && !given.has("bootstrap-controller") {
        return illegal("Either --bootstrap-server or --bootstrap-controller must be specified.");
    }
    if let Some(strange) = types.iter().find(|of| !TYPES.contains(&of.as_str())) {
        return illegal(format!(
            "Invalid entity type {strange}, the entity type must be one of {} with a \
             --bootstrap-server or --bootstrap-controller argument",
            TYPES.join(", ")
        ));
    }
    match types.as_slice() {
        [] => return illegal("At least one entity type must be specified"),
        [_] => {}
        _ if types.iter().all(|of| of == "users" || of == "clients") => {}
        _ => {
            return illegal("Only 'users' and 'clients' entity types may be specified together");
        }
    }
    let spelled = ["entity-name", "entity-type", "entity-default"];
    let has_flag = NAMED.iter().chain(&DEFAULTS).any(|(option, _)| given.has(option));
    if has_flag && spelled.iter().any(|option| given.has(option)) {
        return illegal(
            "--entity-{type,name,default} should not be used in conjunction with specific entity \
             flags",
        );
    }
    if given.has("bootstrap-server") && given.has("bootstrap-controller") {
        return illegal(
            "Only one of --bootstrap-server or --bootstrap-controller can be specified",
        );
    }
    let of_brokers = types[0] == "brokers" || types[0] == "broker-loggers";
    if let Some(name) = names.iter().find(|name| !name.is_empty() && name.parse::<i32>().is_err())
        && of_brokers
    {
        return illegal(format!(
            "The entity name for {} must be a valid integer broker id, but it is: {name}",
            types[0]
        ));
    }
    if given.has("describe") && given.has("entity-default") && !of_brokers {
        return illegal(format!(
            "--entity-default must not be specified with --describe of {}",
            types[0]
        ));
    }
    if given.has("alter") { check_alter(given, &types[0], &names) } else { Ok(()) }
}

fn check_alter(given: &Given, of: &str, names: &[String]) -> Result<(), ToolError> {
    let has_name = names.iter().any(|name| !name.is_empty());
    match of {
        "users" | "clients" | "brokers" | "ips" if names.is_empty() => {
            return illegal(
                "An entity-name or default entity must be specified with --alter of users, \
                 clients, brokers or ips",
            );
        }
        "users" | "clients" | "brokers" | "ips" => {}
        of if !has_name => {
            return illegal(format!("An entity name must be specified with --alter of {of}"));
        }
        _ => {}
    }
    let changes = ["add-config", "add-config-file", "delete-config"];
    if given.has("add-config") && given.has("add-config-file") {
        return illegal("Only one of --add-config or --add-config-file must be specified");
    }
    if !changes.iter().any(|option| given.has(option)) {
        return illegal(
            "At least one of --add-config, --add-config-file, or --delete-config must be \
             specified with --alter",
        );
    }
    Ok(())
}

/// The properties of `a=1,b=[2,3]`.
fn pairs(text: &str) -> Result<BTreeMap<String, String>, Thrown> {
    let mut parts: Vec<String> = vec![String::new()];
    let mut depth = 0_u32;
    for c in text.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("there is always one").push(c);
    }
    let wrong = || {
        Thrown::illegal_argument(
            "requirement failed: Invalid entity config: all configs to be added must be in the \
             format \"key=val\" or  \"key=[val1,val2]\" to group values which contain commas.",
        )
    };
    let pair = |part: &String| {
        let (name, value) = part.split_once('=').ok_or_else(wrong)?;
        if value.contains('=') && !value.contains('[') {
            return Err(wrong());
        }
        Ok((name.trim().to_owned(), value.replace(['[', ']'], "").trim().to_owned()))
    };
    parts.iter().map(pair).collect()
}

fn changes(given: &Given) -> Result<Vec<ConfigChange>, ToolError> {
    let mut set = match given.word("add-config-file")? {
        Some(path) => properties_of(path)?,
        None => BTreeMap::new(),
    };
    if let Some(text) = given.word("add-config")? {
        set.extend(pairs(text)?);
    }
    let names = Regex::new("^[$a-zA-Z0-9._-]*$").expect("it is one");
    if let Some(strange) = set.keys().find(|name| !names.is_match(name)) {
        return illegal(format!("Invalid character found for config key: {strange}"));
    }
    let unset = given.words("delete-config").into_iter().flat_map(|names| names.split(','));
    let unset = unset.map(|name| ConfigChange::Delete(name.trim().to_owned()));
    let set = set.into_iter().map(|(name, value)| ConfigChange::Set(name, value));
    Ok(unset.chain(set).collect())
}

fn resource(of: &str, name: &str) -> Result<ConfigResource, ToolError> {
    match of {
        "topics" => Ok(ConfigResource::Topic(TopicName::parse(name)?)),
        "brokers" if name.is_empty() => Ok(ConfigResource::AllBrokers),
        "brokers" => match name.parse() {
            Ok(id) => Ok(ConfigResource::Broker(id)),
            Err(_) => illegal(format!(
                "The entity name for brokers must be a valid integer broker id, found: {name}"
            )),
        },
        "groups" => Ok(ConfigResource::Group(name.to_owned())),
        of => Err(ToolError::unsupported(&format!("--entity-type {of}"))),
    }
}

fn run(given: &Given) -> Result<(), ToolError> {
    check(given)?;
    if given.has("bootstrap-controller") {
        return Err(ToolError::unsupported("--bootstrap-controller"));
    }
    let (types, names) = (types(given), names(given));
    let of = types[0].as_str();
    resource(of, names.first().map_or("1", String::as_str))?;
    if given.has("alter") && types.len() != names.len() {
        return illegal("An entity name must be specified for every entity type");
    }
    talk(&Settings::of_admin(given)?, async |session, _| {
        let admin = session.admin();
        if given.has("describe") {
            return describe(given, &admin, (of, names.first())).await;
        }
        let name = &names[0];
        admin.alter_configs(&resource(of, name)?, &changes(given)?).await?;
        let one = of.strip_suffix('s').unwrap_or(of);
        Ok(line(&match name.as_str() {
            "" => format!("Completed updating default config for {of} in the cluster."),
            name => format!("Completed updating config for {one} {name}."),
        })?)
    })
}

/// Everything of a type, by its names.
async fn all_names(admin: &Admin, of: &str) -> Result<Vec<String>, ToolError> {
    Ok(match of {
        "topics" => admin.list_topics().await?.into_keys().map(|name| name.to_string()).collect(),
        "brokers" => {
            let nodes = admin.nodes().await?.into_iter().map(|node| node.id.to_string());
            nodes.chain([String::new()]).collect()
        }
        _ => {
            let mut names: BTreeSet<String> =
                admin.list_groups().await?.into_iter().map(|group| group.id).collect();
            names.extend(admin.list_config_resources().await?.into_iter().filter_map(|each| {
                match each {
                    ConfigResource::Group(name) => Some(name),
                    ConfigResource::Topic(_)
                    | ConfigResource::Broker(_)
                    | ConfigResource::AllBrokers => None,
                }
            }));
            names.into_iter().collect()
        }
    })
}

async fn describe(
    given: &Given,
    admin: &Admin,
    (of, name): (&str, Option<&String>),
) -> Result<(), ToolError> {
    let is_all = given.has("all");
    let one = of.strip_suffix('s').unwrap_or(of);
    let all = all_names(admin, of).await?;
    let names = match name {
        Some(name) if !is_all && !all.contains(name) => {
            let told = format!("The {one} '{name}' doesn't exist and doesn't have dynamic config.");
            return Ok(line(&told)?);
        }
        Some(name) => vec![name.clone()],
        None => all,
    };
    for name in names {
        line(&match name.as_str() {
            "" => format!("Default configs for {of} in the cluster are:"),
            name if is_all => format!("All configs for {one} {name} are:"),
            name => format!("Dynamic configs for {one} {name} are:"),
        })?;
        let mut entries = admin.describe_configs(&resource(of, &name)?).await?;
        entries.retain(|entry| is_all || entry.is_own);
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        for entry in entries {
            line(&shown(&entry))?;
        }
    }
    Ok(())
}

fn shown(entry: &ConfigEntry) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let synonyms: Vec<String> = entry
        .synonyms
        .iter()
        .map(|each| format!("{}:{}={}", word_of(each.source), each.name, text(&each.value)))
        .collect();
    format!(
        "  {}={} sensitive={} synonyms={{{}}}",
        entry.name,
        text(&entry.value),
        entry.is_sensitive,
        synonyms.join(", ")
    )
}

const fn word_of(source: ConfigSource) -> &'static str {
    match source {
        ConfigSource::Topic => "DYNAMIC_TOPIC_CONFIG",
        ConfigSource::Broker => "DYNAMIC_BROKER_CONFIG",
        ConfigSource::AllBrokers => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        ConfigSource::Static => "STATIC_BROKER_CONFIG",
        ConfigSource::Default => "DEFAULT_CONFIG",
        ConfigSource::BrokerLogger => "DYNAMIC_BROKER_LOGGER_CONFIG",
        ConfigSource::ClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
        ConfigSource::Group => "DYNAMIC_GROUP_CONFIG",
        ConfigSource::Unknown => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_pairs_and_brackets_hold_lists_together() {
        let told = |text: &str| match pairs(text) {
            Ok(pairs) => {
                let shown = |(name, value): (String, String)| format!("{name}={value}");
                pairs.into_iter().map(shown).collect::<Vec<_>>().join(" ")
            }
            Err(thrown) => thrown.message[..20].to_owned(),
        };
        assert_eq!(told("a=1,b=2"), "a=1 b=2");
        assert_eq!(told("a = 1 , b=[2,3]"), "a=1 b=2,3");
        assert_eq!(told("a="), "a=");
        assert_eq!(told("a"), "requirement failed: ");
        assert_eq!(told("a=1=2"), "requirement failed: ");
    }

    #[test]
    fn what_is_changed_has_to_be_named() {
        let told = |line: &str| {
            let line = format!("--bootstrap-server x {line}");
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            match check(&TOOL.grammar.read(&words).unwrap()) {
                Ok(()) => "fine".to_owned(),
                Err(ToolError::Usage(told)) => told,
                Err(ToolError::Thrown(thrown)) => thrown.message,
                Err(other) => format!("{other:?}"),
            }
        };
        for (line, expected) in [
            ("--describe --topic t", "fine"),
            ("--describe --entity-type topics", "fine"),
            ("--alter --entity-type brokers --entity-default --add-config a=1", "fine"),
            ("--alter --broker-defaults --delete-config a", "fine"),
            ("--describe --alter", "Command must include exactly one action: --describe, --alter"),
            ("--describe", "At least one entity type must be specified"),
            (
                "--alter --entity-type topics --add-config a=1",
                "An entity name must be specified with --alter of topics",
            ),
            (
                "--alter --entity-type brokers --entity-name x --add-config a=1",
                "The entity name for brokers must be a valid integer broker id, but it is: x",
            ),
            (
                "--alter --topic t",
                "At least one of --add-config, --add-config-file, or --delete-config must be \
                 specified with --alter",
            ),
            (
                "--describe --topic t --entity-type topics",
                "Duplicate entity type(s) specified: topics,topics",
            ),
            (
                "--describe --topic t --group g",
                "Only 'users' and 'clients' entity types may be specified together",
            ),
        ] {
            assert_eq!(told(line), expected, "{line}");
        }
    }

    #[test]
    fn a_property_is_shown_with_where_it_comes_from() {
        let synonym = |source, value: &str| ottla_client::ConfigSynonym {
            name: "retention.ms".to_owned(),
            value: Some(value.to_owned()),
            source,
        };
        let entry = ConfigEntry {
            name: "retention.ms".to_owned(),
            value: Some("5".to_owned()),
            is_own: true,
            is_default: false,
            is_read_only: false,
            is_sensitive: false,
            source: ConfigSource::Topic,
            synonyms: vec![synonym(ConfigSource::Topic, "5"), synonym(ConfigSource::Static, "7")],
        };
        assert_eq!(
            shown(&entry),
            "  retention.ms=5 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=5, \
             STATIC_BROKER_CONFIG:retention.ms=7}"
        );
    }
}
