//! The levels of Kafka's features, by the releases that have them.

/// Kafka's name for the format of metadata.
pub(super) const METADATA_VERSION: &str = "metadata.version";

/// The level of the first version that is supported, and the names of all from there on.
const FIRST: i16 = 7;
const VERSIONS: [&str; 25] = [
    "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2",
    "3.7-IV0", "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0",
    "4.0-IV1", "4.0-IV2", "4.0-IV3", "4.1-IV0", "4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0",
    "4.4-IV0",
];

/// The newest one that Kafka 4.3 has for production.
pub(super) const LATEST: &str = "4.3-IV0";

/// Other features: the first metadata version, by its level, whose release begins with each of
/// their levels from 1 on.
pub(super) const FEATURES: [(&str, &[i16]); 6] = [
    ("kraft.version", &[21]),
    ("transaction.version", &[24, 24]),
    ("group.version", &[22]),
    ("eligible.leader.replicas.version", &[26]),
    ("share.version", &[28]),
    ("streams.version", &[29]),
];

/// The name of a metadata version.
pub(super) fn version_of(level: i16) -> Option<&'static str> {
    let at = usize::try_from(level.checked_sub(FIRST)?).ok()?;
    VERSIONS.get(at).copied()
}

/// The level of a metadata version by its name, or by that of a release: `4.3-IV0`, `4.3`, `4.3.1`.
pub(super) fn level_of(name: &str) -> Result<i16, String> {
    let release: Vec<&str> = name.split('.').take(2).collect();
    let key = release.join(".");
    let fits = |version: &&str| {
        **version == key || version.split_once('-').is_some_and(|(release, _)| release == key)
    };
    let at = VERSIONS.iter().rposition(fits);
    let levels = (FIRST..).zip(VERSIONS);
    let found = at.and_then(|at| levels.clone().nth(at));
    found.map(|(level, _)| level).ok_or_else(|| {
        format!(
            "Unknown metadata.version '{name}'. Supported metadata.version are: {}",
            VERSIONS.join(", ")
        )
    })
}

/// The level that a feature has by default in a release.
pub(super) fn default_level(begins: &[i16], metadata: i16) -> i16 {
    let count = begins.iter().filter(|begins| **begins <= metadata).count();
    i16::try_from(count).expect("there are a few")
}

/// A level for a reader: metadata versions have names.
pub(super) fn shown(feature: &str, level: i16) -> String {
    if feature != METADATA_VERSION {
        return level.to_string();
    }
    version_of(level).map_or_else(|| format!("UNKNOWN {level}"), str::to_owned)
}

/// The lines of `version-mapping`.
pub(super) fn mapping(release: &str) -> Result<Vec<String>, String> {
    let metadata = level_of(release)?;
    let mut lines = vec![format!("{METADATA_VERSION}={metadata} ({release})")];
    lines.extend(
        FEATURES.iter().map(|(name, begins)| format!("{name}={}", default_level(begins, metadata))),
    );
    Ok(lines)
}

/// `name=level`.
pub(super) fn name_and_level(text: &str) -> Result<(String, i16), String> {
    let (name, level) = text.split_once('=').ok_or_else(|| {
        format!("Can't parse feature=level string {text}: equals sign not found.")
    })?;
    let (name, level) = (name.trim(), level.trim());
    let parsed = level.parse().map_err(|_| {
        format!("Can't parse feature=level string {text}: unable to parse {level} as a short.")
    })?;
    Ok((name.to_owned(), parsed))
}

/// What `feature-dependencies` says of a feature at a level.
pub(super) fn dependencies(name: &str, level: i16) -> Result<Vec<String>, String> {
    if name == METADATA_VERSION {
        let version =
            version_of(level).ok_or_else(|| format!("Unknown metadata.version {level}"))?;
        return Ok(vec![format!("{name}={level} ({version}) has no dependencies.")]);
    }
    let known = FEATURES.iter().find(|(feature, _)| *feature == name);
    let (_, begins) = known.ok_or_else(|| format!("Unknown feature: {name}"))?;
    if usize::try_from(level).map_or(true, |level| level > begins.len()) {
        return Err(format!("Feature level {level} is not supported for feature {name}"));
    }
    if name == "eligible.leader.replicas.version" && level == 1 {
        let needed = 23;
        let version = version_of(needed).expect("it is one of them");
        let title = format!("{name}={level} requires:");
        return Ok(vec![title, format!("    {METADATA_VERSION}={needed} ({version})")]);
    }
    Ok(vec![format!("{name}={level} has no dependencies.")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_names_and_releases() {
        for (name, level) in [("4.3-IV0", 30), ("4.3", 30), ("4.3.1", 30), ("3.9", 21), ("3.7", 19)]
        {
            assert_eq!(level_of(name), Ok(level), "{name}");
        }
        assert!(level_of("2.8").unwrap_err().starts_with("Unknown metadata.version '2.8'."));
        assert_eq!(version_of(7), Some("3.3-IV3"));
        assert_eq!(version_of(30), Some(LATEST));
        assert_eq!(version_of(6), None);
        assert_eq!(version_of(99), None);
        assert_eq!(shown(METADATA_VERSION, 99), "UNKNOWN 99");
        assert_eq!(shown("group.version", 1), "1");
    }

    #[test]
    fn releases_have_levels_of_all_features() {
        let told = |release: &str| mapping(release).map(|lines| lines.join(" "));
        assert_eq!(
            told("4.0-IV3").unwrap(),
            "metadata.version=25 (4.0-IV3) kraft.version=1 transaction.version=2 group.version=1 \
             eligible.leader.replicas.version=0 share.version=0 streams.version=0"
        );
        assert_eq!(
            told("3.8").unwrap(),
            "metadata.version=20 (3.8) kraft.version=0 transaction.version=0 group.version=0 \
             eligible.leader.replicas.version=0 share.version=0 streams.version=0"
        );
    }

    #[test]
    fn features_say_what_they_need() {
        let told =
            |name, level| dependencies(name, level).map_or_else(|why| why, |all| all.join("\n"));
        assert_eq!(told("group.version", 1), "group.version=1 has no dependencies.");
        assert_eq!(
            told("eligible.leader.replicas.version", 1),
            "eligible.leader.replicas.version=1 requires:\n    metadata.version=23 (4.0-IV1)"
        );
        assert_eq!(told("x", 1), "Unknown feature: x");
        assert!(told("group.version", 7).contains("not supported"));
        assert!(name_and_level("a").is_err());
        assert!(name_and_level("a=b").is_err());
        assert_eq!(name_and_level("a = 2"), Ok(("a".to_owned(), 2)));
    }
}
