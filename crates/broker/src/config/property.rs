//! Properties: named settings as Kafka spells them, read so that one run reports every mistake.

use std::collections::{BTreeMap, BTreeSet};

/// `name=value` pairs as typed.
pub type Properties = BTreeMap<String, String>;

/// A setting that this node enforces.
#[derive(Debug)]
pub struct Property<T: 'static> {
    /// Kafka's name; ours begin with `ottla.`.
    pub name: &'static str,
    /// An older or more general name, read where `name` is absent.
    pub synonym: Option<&'static str>,
    /// As a user would type it; `None`: there is none.
    pub default: Option<&'static str>,
    pub kind: Kind,
    /// What it does, in a sentence, with its unit.
    pub doc: &'static str,
    pub parse: fn(&str) -> Result<T, String>,
}

/// The type of a property's values, as DescribeConfigs names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    String,
    Short,
    Int,
    Long,
    List,
}

/// A property's value in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    pub name: &'static str,
    pub value: Option<String>,
    /// What it is where nobody set it.
    pub default: Option<&'static str>,
    /// Somebody set it.
    pub given: bool,
    pub kind: Kind,
    pub doc: &'static str,
}

/// A value that cannot be what the property needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value}: {why}")]
pub struct ConfigError {
    pub name: &'static str,
    pub value: String,
    pub why: String,
}

/// Every mistake of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors(pub Vec<ConfigError>);

/// Reads properties and remembers what was wrong and what nobody asked for.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    properties: &'a Properties,
    asked: BTreeSet<&'static str>,
    errors: Vec<ConfigError>,
    effective: Vec<Effective>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(properties: &'a Properties) -> Self {
        Self { properties, asked: BTreeSet::new(), errors: Vec::new(), effective: Vec::new() }
    }

    /// The property's value or default; `None` where there is neither, or where it is wrong, which
    /// [`Reader::finish`] tells.
    pub(crate) fn read<T>(&mut self, property: &Property<T>) -> Option<T> {
        let names = [Some(property.name), property.synonym];
        self.asked.extend(names.into_iter().flatten());
        let typed = names.into_iter().flatten().find_map(|name| self.properties.get(name));
        let value = typed.map_or(property.default, |value| Some(value.as_str()));
        self.effective.push(Effective {
            name: property.name,
            value: value.map(str::to_owned),
            default: property.default,
            given: typed.is_some(),
            kind: property.kind,
            doc: property.doc,
        });
        let value = value?;
        match (property.parse)(value.trim()) {
            Ok(parsed) => Some(parsed),
            Err(why) => {
                self.refuse(property.name, value, why);
                None
            }
        }
    }

    /// Whether somebody set the property of this name.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.properties.contains_key(name)
    }

    /// Remembers a mistake that only several properties together show.
    pub(crate) fn refuse(&mut self, name: &'static str, value: &str, why: impl Into<String>) {
        self.errors.push(ConfigError { name, value: value.to_owned(), why: why.into() });
    }

    /// What was read, by name.
    pub(crate) fn effective(&mut self) -> Vec<Effective> {
        let mut effective = std::mem::take(&mut self.effective);
        effective.sort_by_key(|effective| effective.name);
        effective
    }

    /// Names that were given and that nobody asked for.
    pub(crate) fn unknown(&self) -> Vec<String> {
        let asked = |name: &&String| !self.asked.contains(name.as_str());
        self.properties.keys().filter(asked).cloned().collect()
    }

    /// The configuration, if nothing was wrong.
    pub(crate) fn finish<T>(self, config: Option<T>) -> Result<T, ConfigErrors> {
        match config {
            Some(config) if self.errors.is_empty() => Ok(config),
            _ => {
                assert!(!self.errors.is_empty(), "a property is missing and nobody said so");
                Err(ConfigErrors(self.errors))
            }
        }
    }
}

/// A whole number between two bounds, both included.
pub(crate) fn number<T>(text: &str, min: T, max: T) -> Result<T, String>
where
    T: Copy + std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let parsed: Option<T> = text.parse().ok();
    parsed
        .filter(|number| *number >= min && *number <= max)
        .ok_or_else(|| format!("a whole number from {min} to {max} is needed"))
}

/// `true` or `false`.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("true or false is needed".to_owned()),
    }
}
