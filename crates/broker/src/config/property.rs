//! Properties: named settings as Kafka spells them, read so that one run reports every mistake.

use std::collections::BTreeMap;
use std::fmt;

use ottla_metadata::{ConfigRule, ConfigSource, ConfigType, InvalidValue, Mismatch};

/// `name=value` pairs as typed.
pub type Properties = BTreeMap<String, String>;

/// A setting that this node enforces. Every one stands in its file's list, and the lists in
/// [`super::registry`]: what reads, describes, alters and documents properties goes by them.
#[derive(Debug)]
pub struct Property<T: 'static> {
    /// Kafka's name; ours begin with `ottla.`.
    pub name: &'static str,
    /// An older or more general name, read where `name` is absent.
    pub synonym: Option<&'static str>,
    /// As a user would type it; `None`: there is none.
    pub default: Option<&'static str>,
    /// What its value may be.
    pub rule: ConfigRule,
    /// Who may change it while the node runs.
    pub update: Update,
    /// What it does, in a sentence, with its unit.
    pub doc: &'static str,
    /// Reads a value that the rule allows.
    pub parse: fn(&str) -> Result<T, String>,
}

/// Who may change a property while the node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// Nobody: a start reads it.
    ReadOnly,
    /// Whoever administers the cluster, for one broker or for all.
    ClusterWide,
}

impl fmt::Display for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "read-only",
            Self::ClusterWide => "cluster-wide",
        })
    }
}

/// A property, whatever it is read into.
pub trait Described: Sync + fmt::Debug {
    /// Kafka's name; ours begin with `ottla.`.
    fn name(&self) -> &'static str;
    /// An older or more general name.
    fn synonym(&self) -> Option<&'static str>;
    /// As a user would type it.
    fn default(&self) -> Option<&'static str>;
    /// What its value may be.
    fn rule(&self) -> ConfigRule;
    /// Who may change it while the node runs.
    fn update(&self) -> Update;
    /// What it does, in a sentence, with its unit.
    fn doc(&self) -> &'static str;
    /// Whether a node may have the value.
    ///
    /// # Errors
    /// When it may not.
    fn check(&self, value: &str) -> Result<(), InvalidValue>;

    /// Of use to its tests alone: told to nobody who does not ask for it by name.
    fn is_internal(&self) -> bool {
        self.name().starts_with("internal.")
    }

    /// Its value is told to nobody.
    fn is_sensitive(&self) -> bool {
        self.rule().value_type() == ConfigType::Password
    }
}

impl<T> Property<T> {
    pub(super) fn read(&self, value: &str) -> Result<T, InvalidValue> {
        let value = value.trim();
        let invalid = |why| InvalidValue { name: self.name, value: value.to_owned(), why };
        self.rule.check(value).map_err(invalid)?;
        (self.parse)(value).map_err(|why| invalid(Mismatch::Unreadable(why)))
    }
}

impl<T: fmt::Debug> Described for Property<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn synonym(&self) -> Option<&'static str> {
        self.synonym
    }

    fn default(&self) -> Option<&'static str> {
        self.default
    }

    fn rule(&self) -> ConfigRule {
        self.rule
    }

    fn update(&self) -> Update {
        self.update
    }

    fn doc(&self) -> &'static str {
        self.doc
    }

    fn check(&self, value: &str) -> Result<(), InvalidValue> {
        self.read(value).map(drop)
    }
}

/// A property and its value in force.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The property.
    pub property: &'static dyn Described,
    /// `None`: it has none.
    pub value: Option<String>,
    /// Who says so.
    pub source: ConfigSource,
    /// What was set, and by whom; what counts first.
    pub given: Vec<(ConfigSource, String)>,
}

/// A value that cannot be what the property needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value}: {why}")]
pub struct ConfigError {
    /// The property.
    pub name: &'static str,
    /// The value as it was given.
    pub value: String,
    /// What is wrong with it.
    pub why: String,
}

/// Every mistake of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors {
    /// Values that cannot be.
    pub mistakes: Vec<ConfigError>,
    /// Names that were given and that have no effect: no mistakes, but told in the same run.
    pub ignored: Ignored,
}

/// Properties that were given and that have no effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Kafka has them, Ottla does not act on them yet.
    pub unsupported: Vec<String>,
    /// Nobody has them; with the name that may have been meant.
    pub unknown: Vec<(String, Option<&'static str>)>,
}

impl Ignored {
    /// Each kind in a sentence.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.unsupported.is_empty() {
            let names = self.unsupported.join(", ");
            warnings.push(format!("these properties have no effect in this version: {names}"));
        }
        for (name, meant) in &self.unknown {
            let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            warnings.push(format!("no property has the name {name}{meant}"));
        }
        warnings
    }
}

/// Reads properties and remembers what was wrong.
///
/// What was set while the node ran lies over what it was started with. A mistake in the former
/// cannot stop a node: it has no effect, and is told.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    given: &'a Properties,
    /// What was set for this broker, and for all of them.
    set: [(ConfigSource, &'a Properties); 2],
    errors: Vec<ConfigError>,
    passed_over: Vec<InvalidValue>,
    effective: Vec<Effective>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(given: &'a Properties, own: &'a Properties, of_all: &'a Properties) -> Self {
        let set = [(ConfigSource::DynamicBroker, own), (ConfigSource::DynamicDefault, of_all)];
        Self { given, set, errors: Vec::new(), passed_over: Vec::new(), effective: Vec::new() }
    }

    /// The property's value or default; `None` where there is neither, or where it is wrong, which
    /// [`Reader::finish`] tells.
    pub(crate) fn read<T: fmt::Debug>(&mut self, property: &'static Property<T>) -> Option<T> {
        self.read_if(property, |_| Ok(()))
    }

    /// As [`Reader::read`]; what was set while the node ran counts only where it is `legal` next to
    /// other properties. What the node was started with is for its reader to judge.
    pub(crate) fn read_if<T: fmt::Debug>(
        &mut self,
        property: &'static Property<T>,
        legal: impl Fn(&T) -> Result<(), Mismatch>,
    ) -> Option<T> {
        let mut given = Vec::new();
        let mut read = None;
        for (source, properties) in self.set {
            let may = property.update == Update::ClusterWide;
            let Some(value) = properties.get(property.name).filter(|_| may) else { continue };
            let invalid =
                |why| InvalidValue { name: property.name, value: value.trim().to_owned(), why };
            let checked = |it: T| legal(&it).map(|()| it).map_err(invalid);
            match property.read(value).and_then(checked) {
                Ok(value_read) => {
                    read.get_or_insert(value_read);
                    given.push((source, value.clone()));
                }
                Err(invalid) => self.passed_over.push(invalid),
            }
        }
        if let Some(value) = self.typed(property) {
            given.push((ConfigSource::Broker, value.clone()));
        }
        let (source, value) = match (given.first(), property.default) {
            (Some((source, value)), _) => (*source, Some(value.trim().to_owned())),
            (None, default) => (ConfigSource::Default, default.map(str::to_owned)),
        };
        self.effective.push(Effective { property, value: value.clone(), source, given });
        match (read, value) {
            (Some(read), _) => Some(read),
            (None, None) => None,
            (None, Some(value)) => match property.read(&value) {
                Ok(read) => Some(read),
                Err(invalid) => {
                    self.refuse(property.name, &value, invalid.why.to_string());
                    None
                }
            },
        }
    }

    fn typed<T>(&self, property: &Property<T>) -> Option<&'a String> {
        let names = [Some(property.name), property.synonym];
        names.into_iter().flatten().find_map(|name| self.given.get(name))
    }

    /// Whether somebody set the property of this name.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// Whether a start reads what it was given, over which nothing was set.
    pub(crate) fn is_start(&self) -> bool {
        self.set.iter().all(|(_, properties)| properties.is_empty())
    }

    /// Remembers a mistake that only several properties together show.
    pub(crate) fn refuse(&mut self, name: &'static str, value: &str, why: impl Into<String>) {
        self.errors.push(ConfigError { name, value: value.to_owned(), why: why.into() });
    }

    /// What was read, by name.
    pub(crate) fn effective(&mut self) -> Vec<Effective> {
        let mut effective = std::mem::take(&mut self.effective);
        effective.sort_by_key(|effective| effective.property.name());
        effective
    }

    /// What was set while the node ran, and cannot be.
    pub(crate) fn passed_over(&mut self) -> Vec<InvalidValue> {
        std::mem::take(&mut self.passed_over)
    }

    /// The configuration, if nothing was wrong.
    pub(crate) fn finish<T>(self, config: Option<T>, ignored: &Ignored) -> Result<T, ConfigErrors> {
        match config {
            Some(config) if self.errors.is_empty() => Ok(config),
            _ => {
                assert!(!self.errors.is_empty(), "a property is missing and nobody said so");
                Err(ConfigErrors { mistakes: self.errors, ignored: ignored.clone() })
            }
        }
    }
}

/// A whole number of 32 bits, not less than `min`.
pub(crate) const fn int(min: i32) -> ConfigRule {
    ConfigRule::Int { min, max: i32::MAX }
}

/// A whole number of 64 bits, not less than `min`.
pub(crate) const fn long(min: i64) -> ConfigRule {
    ConfigRule::Long { min }
}

/// Text, which its reader judges.
pub(crate) const STRING: ConfigRule = ConfigRule::Text(ConfigType::String);

/// A list, which its reader judges.
pub(crate) const LIST: ConfigRule = ConfigRule::Text(ConfigType::List);

/// A whole number, of which the rule has said that it fits.
pub(crate) fn whole<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "a whole number is needed".to_owned())
}

/// `true` or `false`.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("true or false is needed".to_owned()),
    }
}
