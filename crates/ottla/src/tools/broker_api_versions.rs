//! `kafka-broker-api-versions`.

use std::collections::BTreeMap;

use ottla_client::Node;
use ottla_wire::ApiKey;

use super::flags::{Flag, Given, Grammar, word};
use super::settings::Settings;
use super::thrown::Thrown;
use super::{Manner, Tool, ToolError, line, talk};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-broker-api-versions",
    about: "shows which versions of which APIs each broker serves.",
    grammar: Grammar::Options(&FLAGS),
    run,
    manner: Manner::Traced,
};

static FLAGS: [Flag; 2] = [
    word("command-config", "file", "Properties of the client"),
    word("bootstrap-server", "servers", "Brokers to begin with; required"),
];

/// APIs that only controllers serve: nobody misses them at a broker.
const OF_CONTROLLERS: [i16; 12] = [52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82];

fn run(given: &Given) -> Result<(), ToolError> {
    given.require(&["bootstrap-server"])?;
    talk(&Settings::of_admin(given)?, async |session, _| {
        let admin = session.admin();
        for node in admin.nodes().await? {
            let told = match admin.api_versions(&node).await {
                Ok(served) => shown(&served),
                Err(error) => format!("ERROR: {}", Thrown::from(error).message),
            };
            line(&format!("{} -> {told}", name_of(&node)))?;
        }
        Ok(())
    })
}

fn name_of(node: &Node) -> String {
    let rack = node.rack.as_deref().unwrap_or("null");
    format!("{}:{} (id: {} rack: {rack} isFenced: false)", node.host, node.port, node.id)
}

fn shown(served: &BTreeMap<i16, (i16, i16)>) -> String {
    let known = (0..i16::from(i8::MAX)).filter_map(ApiKey::from_wire);
    let ours = known.filter(|key| !OF_CONTROLLERS.contains(&key.to_wire()));
    let mut texts: BTreeMap<i16, String> = ours
        .map(|key| {
            let number = key.to_wire();
            (number, format!("{}({number}): UNSUPPORTED", key.name()))
        })
        .collect();
    for (number, versions) in served {
        texts.insert(*number, text_of(*number, *versions));
    }
    let texts: Vec<String> = texts.into_values().collect();
    format!("(\n\t{}\n)", texts.join(",\n\t"))
}

fn text_of(number: i16, (low, high): (i16, i16)) -> String {
    let range = if low == high { low.to_string() } else { format!("{low} to {high}") };
    let Some(key) = ApiKey::from_wire(number) else { return format!("UNKNOWN({number}): {range}") };
    let ours = key.known_versions();
    let usable = if *ours.end() < low {
        "unusable: node too new".to_owned()
    } else if high < *ours.start() {
        "unusable: node too old".to_owned()
    } else {
        format!("usable: {}", high.min(*ours.end()))
    };
    format!("{}({number}): {range} [{usable}]", key.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_shown_with_what_can_be_used() {
        assert_eq!(text_of(0, (0, 13)), "Produce(0): 0 to 13 [usable: 13]");
        assert_eq!(text_of(0, (0, 99)), "Produce(0): 0 to 99 [usable: 13]");
        assert_eq!(text_of(46, (0, 0)), "ListPartitionReassignments(46): 0 [usable: 0]");
        assert_eq!(text_of(0, (90, 99)), "Produce(0): 90 to 99 [unusable: node too new]");
        assert_eq!(text_of(0, (0, 1)), "Produce(0): 0 to 1 [unusable: node too old]");
        assert_eq!(text_of(999, (0, 1)), "UNKNOWN(999): 0 to 1");
        let shown = shown(&BTreeMap::from([(0, (0, 13))]));
        assert!(
            shown.starts_with("(\n\tProduce(0): 0 to 13 [usable: 13],\n\tFetch(1): UNSUPPORTED,")
        );
        assert!(!shown.contains("Vote(52)"));
    }
}
