//! What a node is given: profile, file, environment and command line, each over the one before.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use ottla_broker::{
    ConfigErrors, LogFormat, LogLevel, NodeConfig, PROFILE, Properties, from_environment,
    parse_properties, registry,
};

/// How a person says what a node is to be.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Sources {
    /// A file of Kafka's properties.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// One property, over what the environment (`KAFKA_...`) and the file say. May be given several
    /// times.
    #[arg(long = "override", value_name = "NAME=VALUE")]
    overrides: Vec<String>,
}

/// Everything that is wrong with what a node was given, a line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(crate) struct Mistakes(Vec<String>);

/// Where properties come from, and which; what counts least first.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) layers: Vec<Layer>,
    mistakes: Vec<String>,
}

/// The properties of one place.
#[derive(Debug)]
pub(crate) struct Layer {
    /// The place, in words.
    pub(crate) place: String,
    pub(crate) properties: Properties,
}

impl Sources {
    /// Whether nothing was said.
    pub(crate) const fn is_empty(&self) -> bool {
        self.config.is_none() && self.overrides.is_empty()
    }

    /// Reads what a node is given; mistakes wait for [`Given::config`].
    pub(crate) fn read(&self) -> Given {
        let mut given = Given::default();
        match &self.config {
            None => given.add(PROFILE_PLACE, profile()),
            Some(path) => {
                let place = path.display().to_string();
                let mut unread = |why| given.mistakes.push(format!("cannot read {place}: {why}"));
                let (properties, wrong) = match fs::read_to_string(path) {
                    Ok(text) => parse_properties(&text),
                    Err(why) => (Properties::new(), vec![why.to_string()]),
                };
                wrong.into_iter().for_each(&mut unread);
                given.add(&place, properties);
            }
        }
        let of_node = |(name, _): &(OsString, OsString)| {
            !OF_CLIENTS.iter().any(|each| name.as_os_str() == *each)
        };
        let (variables, unreadable) = readable(std::env::vars_os().filter(of_node));
        given.mistakes.extend(unreadable);
        given.add("the environment", from_environment(variables));
        let mut overrides = Properties::new();
        for pair in &self.overrides {
            match pair.split_once('=') {
                Some((name, value)) => {
                    overrides.insert(name.trim().to_owned(), value.trim().to_owned());
                }
                None => given.mistakes.push(format!(
                    "--override takes NAME=VALUE, and `{pair}` is not: write, for example, \
                     num.partitions=3"
                )),
            }
        }
        given.add("--override", overrides);
        given
    }
}

const PROFILE_PLACE: &str = "the profile of a node without a configuration file";

/// Variables that say where a cluster is, to whoever talks to one.
const OF_CLIENTS: [&str; 2] = ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BROKERS"];

fn profile() -> Properties {
    PROFILE.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Variables whose name and value are text; and in words, those that are not and that may say
/// something of a node.
fn readable(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> (Vec<(String, String)>, Vec<String>) {
    let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
    for (name, value) in variables {
        let shown = name.to_string_lossy().into_owned();
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => readable.push((name, value)),
            _ if shown.starts_with("KAFKA_") || shown == CLUSTER_ID => {
                unreadable.push(format!("the variable {shown} of the environment is not UTF-8"));
            }
            _ => {}
        }
    }
    (readable, unreadable)
}

/// Each property by its first name, so that a synonym in one place goes over the name in a place
/// that counts less; where one place has both, the name counts. Two numbers of one node are a
/// mistake, as in Kafka: the other may be the one whose data this is.
fn first_named(mut named: Properties) -> (Properties, Option<String>) {
    let mut mistake = None;
    for property in registry() {
        let Some(synonym) = property.synonym() else { continue };
        let Some(value) = named.remove(synonym) else { continue };
        let said = named.entry(property.name().to_owned()).or_insert_with(|| value.clone());
        if property.name() == "node.id" && said.trim() != value.trim() {
            mistake = Some(format!("node.id={said} and broker.id={value}: one number is needed"));
        }
    }
    (named, mistake)
}

impl Given {
    /// Takes what a place says over all places before it.
    pub(crate) fn add(&mut self, place: &str, properties: Properties) {
        let (properties, mistake) = first_named(properties);
        self.mistakes.extend(mistake.map(|why| format!("{place}: {why}")));
        self.layers.push(Layer { place: place.to_owned(), properties });
    }

    /// The properties of all places; and of the place that says a property.
    fn properties(&self) -> Properties {
        let mut all = Properties::new();
        for layer in &self.layers {
            all.extend(layer.properties.clone());
        }
        all
    }

    /// How its events are to be told, as far as that can be read before everything else: mistakes
    /// are told then.
    pub(crate) fn log(&self) -> (LogFormat, LogLevel) {
        let said = self.properties();
        let of = |name: &str| said.get(name).map(|value| value.trim());
        let format = of("ottla.log.format").and_then(|text| LogFormat::parse(text).ok());
        let level = of("ottla.log.level").and_then(|text| LogLevel::parse(text).ok());
        (format.unwrap_or_default(), level.unwrap_or_default())
    }

    /// Whether only the profile says the property: nobody has asked for it.
    pub(crate) fn is_of_profile(&self, name: &str) -> bool {
        let says = |layer: &Layer| layer.properties.contains_key(name);
        self.layers.iter().rposition(says) == Some(0) && self.layers[0].place == PROFILE_PLACE
    }

    /// The place that says the property.
    pub(crate) fn place_of(&self, names: &[&str]) -> Option<&str> {
        let says = |layer: &&Layer| names.iter().any(|name| layer.properties.contains_key(*name));
        self.layers.iter().rev().find(says).map(|layer| layer.place.as_str())
    }

    /// The configuration, what has no effect said on the way.
    ///
    /// # Errors
    /// Every mistake, of whatever place.
    pub(crate) fn config(&self) -> Result<NodeConfig, Mistakes> {
        let mut mistakes = self.mistakes.clone();
        let (config, ignored) = match NodeConfig::parse(&self.properties(), cluster_id()) {
            Ok(config) => (Some(config.clone()), config.ignored),
            Err(ConfigErrors { mistakes: wrong, ignored }) => {
                mistakes.extend(wrong.iter().map(ToString::to_string));
                (None, ignored)
            }
        };
        for warning in ignored.warnings() {
            tracing::warn!("{warning}");
        }
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(Mistakes(mistakes)),
        }
    }
}

/// The variable of Apache's container image.
const CLUSTER_ID: &str = "CLUSTER_ID";

/// As Kafka's container images take it; one of nothing but spaces is none.
fn cluster_id() -> Option<String> {
    let names = ["KAFKA_CLUSTER_ID", CLUSTER_ID, "KAFKA_KRAFT_CLUSTER_ID"];
    let said = names.into_iter().filter_map(|name| std::env::var(name).ok());
    said.map(|id| id.trim().to_owned()).find(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_variable_that_is_no_text_is_a_mistake_where_it_is_ours() {
        let latin = || OsString::from_vec(b"/dat\xe4".to_vec());
        let variables = [("KAFKA_LOG_DIRS", latin()), ("LS_COLORS", latin()), ("A", "b".into())];
        let (read, wrong) =
            readable(variables.map(|(name, value)| (name.into(), value)).into_iter());
        assert_eq!(read, [("A".to_owned(), "b".to_owned())]);
        assert_eq!(wrong, ["the variable KAFKA_LOG_DIRS of the environment is not UTF-8"]);
    }
}
