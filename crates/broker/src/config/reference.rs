//! The reference of all properties, which is written from the registry.

use std::fmt::Write as _;

use ottla_metadata::{ConfigRule, GROUP_CONFIGS, TOPIC_CONFIGS};

use super::property::Described;
use super::registry::registry;

const HEAD: &str = "\
# Configuration

Ottla is configured with Kafka's properties: the same names, types, values and rules. This page is
written by `cargo xtask gen` from the registry that the node itself reads, describes and alters
properties by: what is not here has no effect, and is named in a warning or refused.

## Where properties come from

What comes first counts:

1. set while the node runs, for one broker (`kafka-configs --entity-type brokers --entity-name 1`);
2. set while the node runs, for all (`--entity-default`);
3. `--override NAME=VALUE`;
4. the environment, `KAFKA_CFG_...`, then `KAFKA_...`: `KAFKA_LOG_RETENTION_MS` is
   `log.retention.ms`; `__` stands for `_`, and `___` for `-`;
5. the file of `--config FILE`, a `.properties` file as Kafka's;
6. without such a file, the profile of a node for one's own machine, which `ottla config` prints;
7. the defaults below.

Every mistake of a start is told in one run, and so is every name that has no effect.

`ottla config` prints what holds; `ottla config --all` the defaults, too, as comments.

## What may change while a node runs

Topics, groups, and of brokers the properties whose column *change* says `cluster-wide`, by
`kafka-configs --alter` or whoever else speaks AlterConfigs or IncrementalAlterConfigs. It is in
force once the request is answered. Read-only properties are read by a start.
";

/// The whole reference, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    let mut properties: Vec<_> = registry().filter(|property| !property.is_internal()).collect();
    properties.sort_by_key(|property| property.name());
    let (ours, kafkas): (Vec<_>, Vec<_>) =
        properties.into_iter().partition(|property| property.name().starts_with("ottla."));
    page += "\n## Brokers: Ottla's own\n\n";
    of_brokers(&mut page, &ours);
    page += "\n## Brokers\n\n";
    of_brokers(&mut page, &kafkas);
    page += "\n## Topics\n\nWhat a topic does not say, the broker's property says.\n\n";
    page += "| property | type | allowed | broker's property | meaning |\n|---|---|---|---|---|\n";
    for topic in TOPIC_CONFIGS.iter().filter(|property| !property.internal) {
        let broker = topic.synonyms.first().copied().unwrap_or_default();
        of_resource(&mut page, topic.name, topic.rule, broker, topic.doc);
    }
    page += "\n## Groups\n\nOf consumer groups of the newer protocol (KIP-848). What a group does \
             not say, the broker's property says.\n\n";
    page += "| property | type | allowed | broker's property | meaning |\n|---|---|---|---|---|\n";
    for group in &GROUP_CONFIGS {
        of_resource(&mut page, group.name, group.rule, group.broker, group.doc);
    }
    page
}

fn of_brokers(page: &mut String, properties: &[&dyn Described]) {
    *page += "| property | type | default | allowed | change | meaning |\n";
    *page += "|---|---|---|---|---|---|\n";
    for property in properties {
        let (rule, update, doc) = (property.rule(), property.update(), property.doc());
        let name = match property.synonym() {
            None => format!("`{}`", property.name()),
            Some(synonym) => format!("`{}` (also `{synonym}`)", property.name()),
        };
        let default = property.default().map(code).unwrap_or_default();
        let (kind, allowed) = (rule.value_type(), rule.allowed());
        row(page, &[&name, &kind.to_string(), &default, &allowed, &update.to_string(), doc]);
    }
}

fn of_resource(page: &mut String, name: &str, rule: ConfigRule, broker: &str, doc: &str) {
    let kind = rule.value_type().to_string();
    row(page, &[&code(name), &kind, &rule.allowed(), &code(broker), doc]);
}

/// Long lists may be broken behind their commas.
fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{}`", text.replace(',', "`, `")) }
}

fn row(page: &mut String, cells: &[&str]) {
    writeln!(page, "| {} |", cells.join(" | ")).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_every_property_that_anybody_may_set() {
        let page = reference();
        for property in registry() {
            let there = page.contains(&format!("| `{}`", property.name()));
            assert_eq!(there, !property.is_internal(), "{}", property.name());
        }
        assert!(page.contains("| `consumer.session.timeout.ms` | int | at least 1 |"));
        assert!(!page.contains("internal."));
    }
}
