//! What a node is given: profile, file, environment and command line, each over the one before.

use std::fs;
use std::path::PathBuf;

use ottla_broker::{
    ConfigErrors, NodeConfig, PROFILE, Properties, from_environment, parse_properties, registry,
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
    /// Reads what a node is given; mistakes wait for [`Given::config`].
    pub(crate) fn read(&self) -> Given {
        let mut given = Given::default();
        match &self.config {
            None => given.add("the profile of a node without a configuration file", profile()),
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
        let variables = std::env::vars_os();
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        given.add("the environment", from_environment(variables.filter_map(text)));
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

fn profile() -> Properties {
    PROFILE.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Each property by its first name, so that a synonym in one place goes over the name in a place
/// that counts less; where one place has both, the name counts.
fn first_named(mut named: Properties) -> Properties {
    for property in registry() {
        if let Some(synonym) = property.synonym()
            && let Some(value) = named.remove(synonym)
        {
            named.entry(property.name().to_owned()).or_insert(value);
        }
    }
    named
}

impl Given {
    fn add(&mut self, place: &str, properties: Properties) {
        self.layers.push(Layer { place: place.to_owned(), properties: first_named(properties) });
    }

    /// The properties of all places; and of the place that says a property.
    fn properties(&self) -> Properties {
        let mut all = Properties::new();
        for layer in &self.layers {
            all.extend(layer.properties.clone());
        }
        all
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

/// As Kafka's container images take it.
fn cluster_id() -> Option<String> {
    let names = ["KAFKA_CLUSTER_ID", "CLUSTER_ID", "KAFKA_KRAFT_CLUSTER_ID"];
    names.into_iter().find_map(|name| std::env::var(name).ok())
}
