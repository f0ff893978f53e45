//! Who may know whom: the layer table, against what the manifests say.
//!
//! Arrows point down only. A new arrow, or a new package from outside, is a change to this table,
//! and so to be seen by whoever reads the change.

use super::Finding;
use crate::workspace::{Need, Room, Workspace};

/// What one crate may depend on.
struct Row {
    package: &'static str,
    /// Crates of ours, without the prefix `ottla-`.
    rooms: &'static [&'static str],
    /// Packages of others.
    packages: &'static [&'static str],
    /// What its tests need besides, ours and others'.
    tests: &'static [&'static str],
}

/// Bottom first; nothing names a row below itself.
const TABLE: &[Row] = &[
    // words
    row("types", &[], &["thiserror"], &[]),
    row("env", &["types"], &["bytes", "thiserror", "tokio"], &[]),
    // formats
    row("wire", &["types"], &["bytes", "thiserror"], &["kafka-protocol"]),
    row(
        "records",
        &["types", "wire"],
        &["bytes", "crc-fast", "flate2", "lz4_flex", "snap", "thiserror", "zstd"],
        &[],
    ),
    // storage
    row("log", &["types", "env", "records"], &["bytes", "thiserror", "tracing"], &[]),
    // cores
    row("raft", &["types"], &["thiserror"], &[]),
    row("metadata", &["types", "wire", "records"], &["bytes", "thiserror"], &[]),
    row("coordinator", &["types", "wire", "metadata"], &["bytes", "regex", "thiserror"], &[]),
    // shells
    row(
        "broker",
        &["types", "env", "wire", "records", "log", "raft", "metadata", "coordinator"],
        &["arc-swap", "bytes", "thiserror", "tokio", "tracing"],
        &["ottla-sim"],
    ),
    row(
        "client",
        &["types", "env", "wire", "records"],
        &["bytes", "thiserror", "tokio", "tracing"],
        &["ottla-broker", "ottla-sim"],
    ),
    row(
        "console",
        &["types", "env", "broker"],
        &["bytes", "tokio", "tracing"],
        &["ottla-client", "ottla-sim"],
    ),
    // worlds
    row("runtime", &["types", "env"], &["bytes", "rustix", "socket2", "tokio", "tracing"], &[]),
    row(
        "sim",
        &["types", "env", "wire", "records", "log", "broker", "client"],
        &["bytes", "thiserror", "tracing"],
        &["ottla-log"],
    ),
    // the binary
    row(
        "ottla",
        &["types", "env", "wire", "records", "log", "broker", "client", "console", "runtime"],
        &[
            "bytes",
            "clap",
            "clap_complete",
            "mimalloc",
            "regex",
            "thiserror",
            "tracing",
            "tracing-subscriber",
        ],
        &[],
    ),
    // workshop: never linked into the product
    row("testkit", &[], &[], &[]),
    row("bench", &["types", "wire", "records"], &["bytes", "rustix"], &[]),
    row("xtask", &[], &[], &[]),
];

/// What every crate's tests may use.
const FOR_ALL_TESTS: [&str; 1] = ["ottla-testkit"];

/// The product, and how many packages it may be made of, itself included.
const BUDGET: (&str, usize) = ("ottla", 200);

const fn row(
    package: &'static str,
    rooms: &'static [&'static str],
    packages: &'static [&'static str],
    tests: &'static [&'static str],
) -> Row {
    Row { package, rooms, packages, tests }
}

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        workspace.rooms.iter().flat_map(|room| check_room(room, TABLE)).collect();
    let (product, most) = BUDGET;
    let size = workspace.tree_size(product);
    if size > most {
        let what = format!("`{product}` is made of {size} packages; {most} is the budget");
        findings.push(Finding::new("Cargo.lock", 0, what));
    }
    findings
}

fn check_room(room: &Room, table: &[Row]) -> Vec<Finding> {
    let name = short(&room.package);
    let file = format!("crates/{name}/Cargo.toml");
    let Some(row) = table.iter().find(|row| row.package == name) else {
        return vec![Finding::new(&file, 0, "has no row in the layer table")];
    };
    let stranger = |need, package: &str| match need {
        Need::Product => !row.may_link(package),
        Need::Tests => !row.may_link(package) && !row.may_test_with(package),
    };
    (room.dependencies.iter())
        .filter(|each| stranger(each.need, &each.package))
        .map(|each| format!("needs `{}`, which its row in the layer table lacks", each.package))
        .map(|what| Finding::new(&file, 0, what))
        .collect()
}

impl Row {
    fn may_link(&self, package: &str) -> bool {
        match package.strip_prefix("ottla-") {
            Some(room) => self.rooms.contains(&room),
            None => self.packages.contains(&package),
        }
    }

    fn may_test_with(&self, package: &str) -> bool {
        FOR_ALL_TESTS.contains(&package) || self.tests.contains(&package)
    }
}

fn short(package: &str) -> &str {
    package.strip_prefix("ottla-").unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    #[test]
    fn arrows_point_down() {
        for (at, row) in TABLE.iter().enumerate() {
            for room in row.rooms {
                let below = TABLE[..at].iter().any(|each| each.package == *room);
                assert!(below, "{} knows {room}, which is not below it", row.package);
            }
        }
    }

    #[test]
    fn what_the_table_lacks_is_found() {
        check("ottla-log", Need::Product, "ottla-env", true);
        check("ottla-log", Need::Product, "ottla-broker", false);
        check("ottla-log", Need::Tests, "ottla-testkit", true);
        check("ottla-log", Need::Product, "ottla-testkit", false);
        check("ottla-raft", Need::Product, "tokio", false);
        check("ottla-wire", Need::Tests, "kafka-protocol", true);
        check("ottla-wire", Need::Product, "kafka-protocol", false);
        check("ottla-cellar", Need::Product, "bytes", false);
    }

    fn check(package: &str, need: Need, dependency: &str, allowed: bool) {
        let room = Room {
            package: package.to_owned(),
            description: String::new(),
            folder: "crates".into(),
            dependencies: vec![Dependency { package: dependency.to_owned(), need }],
        };
        let findings = check_room(&room, TABLE);
        assert_eq!(findings.is_empty(), allowed, "{package} {dependency}: {findings:?}");
    }
}
