//! librdkafka's names of properties, for those who know them by heart.

use crate::reach::properties::PROPERTIES;

/// Those that Java's client, whose names are ours, calls otherwise.
const RENAMED: [(&str, &str); 8] = [
    ("compression.codec", "compression.type"),
    ("fetch.message.max.bytes", "max.partition.fetch.bytes"),
    ("fetch.wait.max.ms", "fetch.max.wait.ms"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("metadata.broker.list", "bootstrap.servers"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("request.required.acks", "acks"),
    ("socket.timeout.ms", "request.timeout.ms"),
];

/// Those that need what this client does not have yet.
const REFUSED: [&str; 4] = ["sasl.", "ssl.", "security.", "transactional.id"];

/// What a property of librdkafka is to this client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// `name=value` for this client.
    Client(String),
    /// Where a group begins that has not committed.
    Reset(String),
    /// Nothing: it tunes librdkafka.
    Nothing,
}

/// Reads `name=value`; a name may have `topic.` in front.
///
/// # Errors
/// When it is none, or asks for what is not served.
pub(super) fn meant(pair: &str) -> Result<Meant, String> {
    let (name, value) =
        pair.split_once('=').ok_or_else(|| format!("-X {pair}: it takes NAME=VALUE"))?;
    let name = name.trim().strip_prefix("topic.").unwrap_or_else(|| name.trim());
    let value = value.trim();
    let ours = RENAMED.iter().find(|(theirs, _)| *theirs == name).map_or(name, |(_, ours)| ours);
    match name {
        "auto.offset.reset" => Ok(Meant::Reset(value.to_owned())),
        "security.protocol" if value.eq_ignore_ascii_case("plaintext") => Ok(Meant::Nothing),
        _ if PROPERTIES.iter().any(|known| known.name == ours) && ours != "security.protocol" => {
            Ok(Meant::Client(format!("{ours}={value}")))
        }
        _ if REFUSED.iter().any(|refused| name.starts_with(refused)) => {
            Err(format!("-X {name}: this client has no TLS, no passwords and no transactions yet"))
        }
        _ => Ok(Meant::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn librdkafkas_names_are_understood() {
        let client = |pair: &str| Ok(Meant::Client(pair.to_owned()));
        for (pair, expected) in [
            ("metadata.broker.list=a:1,b:2", client("bootstrap.servers=a:1,b:2")),
            ("topic.request.required.acks=all", client("acks=all")),
            ("client.id = me", client("client.id=me")),
            ("isolation.level=read_committed", client("isolation.level=read_committed")),
            ("auto.offset.reset=earliest", Ok(Meant::Reset("earliest".to_owned()))),
            ("security.protocol=PLAINTEXT", Ok(Meant::Nothing)),
            ("api.version.request=true", Ok(Meant::Nothing)),
        ] {
            assert_eq!(meant(pair), expected, "{pair}");
        }
        for pair in ["security.protocol=ssl", "sasl.username=me", "transactional.id=x"] {
            assert!(meant(pair).is_err(), "{pair}");
        }
        assert_eq!(meant("list"), Err("-X list: it takes NAME=VALUE".to_owned()));
    }
}
