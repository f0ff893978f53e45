//! References that the binary writes from its own lists: of all properties, and of all metrics.

use std::fs;

use crate::command::{self, root};

/// Each page, and the command that prints it.
const PAGES: [(&str, &[&str]); 2] = [
    ("docs/configuration.md", &["config", "--reference"]),
    ("docs/operations/metrics.md", &["metrics"]),
];

/// Writes the pages, or with `check` only compares them.
///
/// # Errors
/// When the binary cannot be built, a page cannot be read or written, or it has drifted.
pub(crate) fn generate(check: bool) -> Result<(), String> {
    PAGES.iter().try_for_each(|(page, printed_by)| generate_one(page, printed_by, check))
}

fn generate_one(page: &str, printed_by: &[&str], check: bool) -> Result<(), String> {
    let mut binary = command::cargo();
    binary.args(["run", "--quiet", "-p", "ottla", "--"]).args(printed_by);
    let fresh = command::output(&mut binary)?;
    // There is none yet in a tree that has never generated it.
    let committed = fs::read_to_string(root().join(page)).unwrap_or_default();
    match (fresh == committed, check) {
        (true, _) => Ok(()),
        (false, true) => Err(format!("run `cargo xtask gen`: {page} has drifted")),
        (false, false) => {
            fs::write(root().join(page), fresh).map_err(|error| format!("write {page}: {error}"))
        }
    }
}
