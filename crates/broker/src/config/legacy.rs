//! What is served beside Kafka 4's versions of requests.

use ottla_metadata::ConfigRule;

use super::property::{Described, Property, Update, boolean};

pub(super) static LEGACY_CLIENTS: Property<bool> = Property {
    name: "ottla.legacy.clients.enable",
    synonym: None,
    default: Some("false"),
    rule: ConfigRule::Boolean,
    update: Update::ReadOnly,
    doc: "Whether clients are served that Apache Kafka 4 no longer talks to: request versions that \
          it dropped (KIP-896), and the message formats before 0.11, which are converted.",
    parse: boolean,
};

/// What this file has of the registry.
pub(super) static PROPERTIES: &[&dyn Described] = &[&LEGACY_CLIENTS];
