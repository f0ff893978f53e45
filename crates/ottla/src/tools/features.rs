//! `kafka-features`.

use std::collections::BTreeMap;

use ottla_client::{Admin, FeatureChange};

use super::flags::{Command, Flag, Given, Grammar, OptionError, flag, word};
use super::levels::{self, FEATURES, METADATA_VERSION};
use super::settings::Settings;
use super::thrown::Thrown;
use super::{Manner, Tool, ToolError, line, talk};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-features",
    about: "shows and changes the levels of a cluster's features.",
    grammar: Grammar::Commands { shared: &SHARED, commands: &COMMANDS },
    run,
    manner: Manner::Plain,
};

static SHARED: [Flag; 3] = [
    word("bootstrap-server", "servers", "Brokers to begin with; required"),
    word("bootstrap-controller", "servers", "Not supported: name a broker"),
    word("command-config", "file", "Properties of the client"),
];

const RELEASE: Flag = word("release-version", "release", "All features as in this release");
const FEATURE: Flag = word("feature", "name=level", "A feature and its level");
const METADATA: Flag = word("metadata", "release", "The metadata version; deprecated");
const DRY_RUN: Flag = flag("dry-run", "Only asks whether it could be done");
const UNSAFE: Flag = flag("unsafe", "Whatever gets lost");

static DESCRIBE: [Flag; 1] = [word("node-id", "number", "Not supported: any broker is asked")];
static UPGRADE: [Flag; 4] = [METADATA, RELEASE, FEATURE, DRY_RUN];
static DOWNGRADE: [Flag; 5] = [METADATA, RELEASE, FEATURE, UNSAFE, DRY_RUN];
static DISABLE: [Flag; 3] = [word("feature", "name", "A feature"), UNSAFE, DRY_RUN];
static MAPPING: [Flag; 1] = [RELEASE];
static DEPENDENCIES: [Flag; 1] = [FEATURE];

static COMMANDS: [Command; 6] = [
    Command { name: "describe", flags: &DESCRIBE, about: "shows the features" },
    Command { name: "upgrade", flags: &UPGRADE, about: "raises levels" },
    Command { name: "downgrade", flags: &DOWNGRADE, about: "lowers levels" },
    Command { name: "disable", flags: &DISABLE, about: "does without features" },
    Command { name: "version-mapping", flags: &MAPPING, about: "shows the levels of a release" },
    Command { name: "feature-dependencies", flags: &DEPENDENCIES, about: "shows what they need" },
];

fn run(given: &Given) -> Result<(), ToolError> {
    match given.command {
        "version-mapping" => {
            let release = given.word("release-version")?.unwrap_or(levels::LATEST);
            return told(levels::mapping(release));
        }
        "feature-dependencies" => {
            given.demand("feature")?;
            for feature in given.words("feature") {
                let (name, level) = levels::name_and_level(feature).map_err(ToolError::Terse)?;
                told(levels::dependencies(&name, level))?;
            }
            return Ok(());
        }
        _ => {}
    }
    if !given.has("bootstrap-server") && !given.has("bootstrap-controller") {
        let told = "You must specify either --bootstrap-controller or --bootstrap-server.";
        return Err(OptionError::argument(told).into());
    }
    given.demand_one("bootstrap-server", "bootstrap-controller")?;
    if given.has("bootstrap-controller") {
        return Err(ToolError::unsupported("--bootstrap-controller"));
    }
    let settings = Settings::of_admin(given)?;
    if given.command == "describe" {
        if given.has("node-id") {
            return Err(ToolError::unsupported("--node-id"));
        }
        return talk(&settings, async |session, _| describe(&session.admin()).await);
    }
    let (levels, change) = wanted(given)?;
    talk(&settings, async |session, _| update(given, &session.admin(), (levels, change)).await)
}

fn told(lines: Result<Vec<String>, String>) -> Result<(), ToolError> {
    for each in lines.map_err(ToolError::Terse)? {
        line(&each)?;
    }
    Ok(())
}

async fn describe(admin: &Admin) -> Result<(), ToolError> {
    let features = admin.features().await?;
    let epoch = admin.features_epoch().await?;
    let epoch = epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string());
    for feature in features {
        let Some((low, high)) = feature.supported else { continue };
        let level = |level| levels::shown(&feature.name, level);
        line(&format!(
            "Feature: {:<40}  SupportedMinVersion: {:<15}  SupportedMaxVersion: {:<15}  \
             FinalizedVersionLevel: {:<15}  Epoch: {epoch}",
            feature.name,
            level(low),
            level(high),
            level(feature.finalized.unwrap_or(0)),
        ))?;
    }
    Ok(())
}

/// The levels that were asked for, and how they may come about.
fn wanted(given: &Given) -> Result<(BTreeMap<String, i16>, FeatureChange), ToolError> {
    let change = match (given.command, given.has("unsafe")) {
        ("upgrade", _) => FeatureChange::Upgrade,
        (_, true) => FeatureChange::UnsafeDowngrade,
        (_, false) => FeatureChange::SafeDowngrade,
    };
    let mut levels: BTreeMap<String, i16> = BTreeMap::new();
    if given.command == "disable" {
        for name in given.words("feature") {
            add(&mut levels, name.to_owned(), 0)?;
        }
    } else if let Some(release) = given.word("release-version")? {
        if given.has("metadata") || given.has("feature") {
            let told = "Can not specify `release-version` with other feature flags.";
            return Err(ToolError::terse(told));
        }
        let metadata = levels::level_of(release).map_err(ToolError::Terse)?;
        levels.insert(METADATA_VERSION.to_owned(), metadata);
        let others = FEATURES
            .iter()
            .map(|(name, begins)| ((*name).to_owned(), levels::default_level(begins, metadata)));
        levels.extend(others.filter(|(_, level)| change != FeatureChange::Upgrade || *level > 0));
    } else {
        if let Some(release) = given.word("metadata")? {
            line(" `metadata` flag is deprecated and may be removed in a future release.")?;
            let metadata = levels::level_of(release).map_err(ToolError::Terse)?;
            levels.insert(METADATA_VERSION.to_owned(), metadata);
        }
        for feature in given.words("feature") {
            let (name, level) = levels::name_and_level(feature).map_err(ToolError::Terse)?;
            add(&mut levels, name, level)?;
        }
    }
    if levels.is_empty() {
        let told = format!("You must specify at least one feature to {}", given.command);
        return Err(ToolError::Terse(told));
    }
    Ok((levels, change))
}

fn add(levels: &mut BTreeMap<String, i16>, name: String, level: i16) -> Result<(), ToolError> {
    if levels.contains_key(&name) {
        return Err(ToolError::Terse(format!("Feature {name} was specified more than once.")));
    }
    levels.insert(name, level);
    Ok(())
}

async fn update(
    given: &Given,
    admin: &Admin,
    (levels, change): (BTreeMap<String, i16>, FeatureChange),
) -> Result<(), ToolError> {
    let (verb, dry_run) = (given.command, given.has("dry-run"));
    let refused = match admin.update_features(&levels, change, dry_run).await {
        Ok(()) => None,
        Err(error) => Some(Thrown::from(error).message),
    };
    for (name, level) in &levels {
        line(&match (&refused, verb) {
            (Some(why), verb) => {
                let helper = if dry_run { "Can not" } else { "Could not" };
                let to = if verb == "disable" { String::new() } else { format!(" to {level}") };
                format!("{helper} {verb} {name}{to}. {why}")
            }
            (None, verb) => {
                let helper = if dry_run { "can be" } else { "was" };
                let to = if verb == "disable" { String::new() } else { format!(" to {level}") };
                format!("{name} {helper} {verb}d{to}.")
            }
        })?;
    }
    match refused {
        Some(_) => {
            let count = levels.len();
            Err(ToolError::Terse(format!("{count} out of {count} operation(s) failed.")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_named_one_by_one_or_by_their_release() {
        let told = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            match wanted(&TOOL.grammar.read(&words).unwrap()) {
                Ok((levels, change)) => {
                    let levels: Vec<String> =
                        levels.iter().map(|(name, level)| format!("{name}={level}")).collect();
                    format!("{change:?} {}", levels.join(" "))
                }
                Err(ToolError::Terse(told)) => told,
                Err(other) => format!("{other:?}"),
            }
        };
        assert_eq!(told("upgrade --feature group.version=1"), "Upgrade group.version=1");
        assert_eq!(told("downgrade --feature a=0 --unsafe"), "UnsafeDowngrade a=0");
        assert_eq!(told("disable --feature a"), "SafeDowngrade a=0");
        assert_eq!(told("upgrade"), "You must specify at least one feature to upgrade");
        assert_eq!(
            told("upgrade --feature a=1 --feature a=2"),
            "Feature a was specified more than once."
        );
        assert_eq!(
            told("upgrade --release-version 4.0-IV3"),
            "Upgrade group.version=1 kraft.version=1 metadata.version=25 transaction.version=2"
        );
        assert_eq!(
            told("upgrade --release-version 4.0 --feature a=1"),
            "Can not specify `release-version` with other feature flags."
        );
    }
}
