//! The reference of all properties, written by the binary from the registry that it reads them by.

use std::fs;

use crate::command::{self, root};

const PAGE: &str = "docs/configuration.md";

/// Writes the page, or with `check` only compares it.
///
/// # Errors
/// When the binary cannot be built, the page cannot be read or written, or it has drifted.
pub(crate) fn generate(check: bool) -> Result<(), String> {
    let mut binary = command::cargo();
    binary.args(["run", "--quiet", "-p", "ottla", "--", "config", "--reference"]);
    let fresh = command::output(&mut binary)?;
    // There is none yet in a tree that has never generated it.
    let committed = fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    match (fresh == committed, check) {
        (true, _) => Ok(()),
        (false, true) => Err(format!("run `cargo xtask gen`: {PAGE} has drifted")),
        (false, false) => {
            fs::write(root().join(PAGE), fresh).map_err(|error| format!("write {PAGE}: {error}"))
        }
    }
}
