//! Where the value of a setting comes from, as DescribeConfigs tells it.

use ottla_metadata::ConfigSource;

use super::NodeConfig;
use super::log::alternatives;

/// A property that says what a setting is, or would say it if those before it were not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) source: ConfigSource,
}

/// Everything that may say what the broker's property says, the first that counts first: as Kafka
/// lists it, what was set for the broker, for all, what it was started with, the defaults; nothing
/// that counts more than the property itself.
pub(crate) fn origins(config: &NodeConfig, name: &str) -> Vec<Origin> {
    use ConfigSource::{Broker, Default, DynamicBroker, DynamicDefault};
    let group = alternatives(name);
    let found: Vec<_> = group.iter().filter_map(|name| config.effective(name)).collect();
    let mut origins = Vec::new();
    for source in [DynamicBroker, DynamicDefault, Broker] {
        for each in &found {
            let given = each.given.iter().find(|(from, _)| *from == source);
            origins.extend(given.map(|(source, value)| Origin {
                name: each.property.name(),
                value: value.clone(),
                source: *source,
            }));
        }
    }
    origins.extend(found.iter().filter_map(|each| {
        let (name, value) = (each.property.name(), each.property.default()?.to_owned());
        Some(Origin { name, value, source: Default })
    }));
    origins.into_iter().skip_while(|origin| origin.name != name).collect()
}
