//! Files as Apache Kafka leaves them.

use std::collections::BTreeMap;

use crate::vectors::unhex;

const APACHE: &str = include_str!("../vectors/files/apache-4.3.1.hex");

/// The log directory of a node of Apache Kafka that was stopped cleanly: paths in it, and bytes.
/// `vectors/files/Folder.java` says what the node had done.
///
/// # Panics
/// If the file is not of the form that `Folder.java` writes.
#[must_use]
pub fn apache_folder() -> BTreeMap<String, Vec<u8>> {
    let lines = APACHE.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (path, hex) = line.split_once(' ').expect("a line is `path bytes`");
            (path.to_owned(), unhex(hex).unwrap_or_else(|| panic!("the bytes of {path}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_holds_every_kind_of_file() {
        let folder = apache_folder();
        for ending in [
            "-0/00000000000000000004.log",
            "-0/00000000000000000004.index",
            "-0/00000000000000000004.timeindex",
            "-0/00000000000000000004.txnindex",
            "-0/00000000000000000004.snapshot",
            "-0/leader-epoch-checkpoint",
            "-0/partition.metadata",
            "-0/quorum-state",
            "recovery-point-offset-checkpoint",
            "log-start-offset-checkpoint",
            "replication-offset-checkpoint",
            "cleaner-offset-checkpoint",
            "bootstrap.checkpoint",
            ".kafka_cleanshutdown",
            "meta.properties",
        ] {
            assert!(folder.keys().any(|path| path.ends_with(ending)), "{ending}");
        }
    }
}
