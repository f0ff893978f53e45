//! Properties in the environment: as the container images of Apache Kafka take them (`KAFKA_...`),
//! and those of Bitnami (`KAFKA_CFG_...`).

use std::collections::BTreeMap;

use super::property::Properties;
use super::registry;

/// Bitnami's prefix, which stands for nothing but properties.
const PROPERTIES_ONLY: &str = "KAFKA_CFG_";
/// Apache's prefix. It is shared with what is no property.
const SHARED: &str = "KAFKA_";

/// Variables of that prefix that say nothing of a node: of Java, of scripts, of images, of a
/// cluster's id, which is read elsewhere.
const NO_PROPERTIES: [&str; 23] = [
    "CLUSTER_ID",
    "DATA_DIR",
    "DEBUG",
    "DEBUG_SUSPEND_FLAG",
    "DIR",
    "DOWNLOAD_URL",
    "ENABLE_KRAFT",
    "GC_LOG_OPTS",
    "GROUP",
    "HEAP_OPTS",
    "HOME",
    "JMX_HOSTNAME",
    "JMX_OPTS",
    "JMX_PORT",
    "JVM_PERFORMANCE_OPTS",
    "KRAFT_CLUSTER_ID",
    "LOG4J_LOGGERS",
    "LOG4J_OPTS",
    "LOG4J_ROOT_LOGLEVEL",
    "OPTS",
    "TOOLS_LOG4J_LOGLEVEL",
    "USER",
    "VERSION",
];

/// Prefixes, behind Apache's, of what Kubernetes says of a service called `kafka`.
const OF_SERVICES: [&str; 2] = ["PORT", "SERVICE_"];

/// The properties that an environment says; `KAFKA_CFG_` counts more than `KAFKA_`.
///
/// ```
/// let variables = [("KAFKA_LOG_RETENTION_MS", "5000"), ("KAFKA_HEAP_OPTS", "-Xmx1g")];
/// let given = ottla_broker::from_environment(
///     variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
/// );
/// assert_eq!(given.into_iter().collect::<Vec<_>>(), [("log.retention.ms".into(), "5000".into())]);
/// ```
#[must_use]
pub fn from_environment(variables: impl IntoIterator<Item = (String, String)>) -> Properties {
    let (mut shared, mut certain) = (BTreeMap::new(), BTreeMap::new());
    for (variable, value) in variables {
        if let Some(name) = variable.strip_prefix(PROPERTIES_ONLY) {
            certain.insert(property_name(name), value);
        } else if let Some(name) = variable.strip_prefix(SHARED)
            && !NO_PROPERTIES.contains(&name)
            && !OF_SERVICES.iter().any(|prefix| name.starts_with(prefix))
        {
            let name = property_name(name);
            if may_be_property(&name) {
                shared.insert(name, value);
            }
        }
    }
    shared.extend(certain);
    shared
}

/// Whether somebody who shares the prefix may have meant a property. Of one word there is hardly
/// any, and many scripts have a variable like `KAFKA_PEER`: it is one that is known, or nearly.
fn may_be_property(name: &str) -> bool {
    name.contains(['.', '-']) || registry::is_known(name) || registry::meant_by(name).is_some()
}

/// `A_B` is `a.b`, `A__B` is `a_b`, `A___B` is `a-b`.
fn property_name(variable: &str) -> String {
    let dashes = variable.to_ascii_lowercase().replace("___", "-");
    dashes.replace("__", "\0").replace('_', ".").replace('\0', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_as_kafkas_images_read_them() {
        check(&[("KAFKA_NUM_PARTITIONS", "3")], &[("num.partitions", "3")]);
        check(&[("KAFKA_CFG_NODE_ID", "3")], &[("node.id", "3")]);
        check(&[("KAFKA_CFG_NODE_ID", "1"), ("KAFKA_NODE_ID", "2")], &[("node.id", "1")]);
        check(&[("KAFKA_A__B___C_D", "x")], &[("a_b-c.d", "x")]);
        check(&[("KAFKA_OTTLA_DURABILITY", "fsync")], &[("ottla.durability", "fsync")]);
        check(&[("KAFKA_OPTS", "-ea"), ("KAFKA_CLUSTER_ID", "x"), ("PATH", "/bin")], &[]);
        check(&[("KAFKA_PORT", "tcp://10.0.0.1"), ("KAFKA_SERVICE_HOST", "10.0.0.1")], &[]);
        check(&[("KAFKA_LOG_RETENTION_HOUR", "1")], &[("log.retention.hour", "1")]);
        check(&[("KAFKA_PEER", "/opt/kafka"), ("KAFKA_HOME", "/opt/kafka")], &[]);
        check(&[("KAFKA_LISTENERS", "X://a:1")], &[("listeners", "X://a:1")]);
        check(&[("KAFKA_LISTENER", "X://a:1")], &[("listener", "X://a:1")]);
        check(&[("KAFKA_CFG_PEER", "a")], &[("peer", "a")]);
    }

    fn check(variables: &[(&str, &str)], properties: &[(&str, &str)]) {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let read = from_environment(variables.iter().map(own));
        let read: Vec<_> = read.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(read, properties, "{variables:?}");
    }

    #[test]
    fn what_is_no_property_is_listed_once() {
        assert!(NO_PROPERTIES.is_sorted());
    }
}
