//! The rules of the house that no compiler knows, as a test.
//!
//! A rule that lives in a reviewer's head is broken on a busy day. Each rule is a function from
//! values to findings, with a table of planted violations beside it.

mod layers;
mod leftovers;
mod sizes;
mod tokens;
mod wall;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::workspace::{Need, Room, Workspace};
use crate::{Outcome, command};

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Relative to the workspace.
    file: String,
    /// Counted from 1; 0 where the whole file is meant.
    line: usize,
    what: String,
}

impl Finding {
    fn new(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.what),
            line => write!(f, "{}:{line}: {}", self.file, self.what),
        }
    }
}

/// A Rust file of ours.
#[derive(Debug)]
struct Source {
    /// Relative to the workspace, `/` between folders.
    file: String,
    text: String,
}

impl Source {
    /// Generated files obey no size: nobody reads them, and the generator is what is kept small.
    fn is_generated(&self) -> bool {
        let (folder, name) = self.file.rsplit_once('/').unwrap_or(("", &self.file));
        folder.split('/').any(|part| part == "generated") || name == "generated.rs"
    }
}

/// Prints every broken rule.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    command::only(arguments, &[])?;
    let findings = findings()?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err("one rule of the house is broken".to_owned()),
        count => Err(format!("the rules of the house are broken {count} times")),
    }
}

fn findings() -> Result<Vec<Finding>, String> {
    let root = command::root();
    let workspace = Workspace::read()?;
    let mut findings = layers::check(&workspace);
    for room in &workspace.rooms {
        findings.extend(leftovers::check_opening(room, &relative(&root, &room.folder)));
        for source in sources(&root, &room.folder)? {
            findings.extend(check_source(room, &source));
        }
    }
    findings.sort();
    Ok(findings)
}

fn check_source(room: &Room, source: &Source) -> Vec<Finding> {
    let tokens = tokens::tokens(&source.text);
    let mut findings = leftovers::check(source, &tokens);
    findings.extend(wall::check(wall::Wall::of(room, &source.file), source, &tokens));
    if !source.is_generated() {
        findings.extend(sizes::check(source, &tokens));
    }
    findings
}

/// Every Rust file below a package's folder, in a fixed order.
fn sources(root: &Path, folder: &Path) -> Result<Vec<Source>, String> {
    let mut sources = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        let failed = |error| format!("read {}: {error}", folder.display());
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path)
                    .map_err(|error| format!("read {}: {error}", path.display()))?;
                sources.push(Source { file: relative(root, &path), text });
            }
        }
    }
    sources.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(sources)
}

fn relative(root: &Path, path: &Path) -> String {
    let path: PathBuf = path.strip_prefix(root).unwrap_or(path).into();
    path.to_string_lossy().replace('\\', "/")
}

/// Whether the product of a room needs a package.
fn links(room: &Room, package: &str) -> bool {
    let needed =
        |each: &crate::workspace::Dependency| each.need == Need::Product && each.package == package;
    room.dependencies.iter().any(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let findings: Vec<String> = findings().unwrap().iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "\n{}", findings.join("\n"));
    }

    #[test]
    fn generated_files_are_told_by_their_place() {
        let check = |file: &str, generated| {
            let source = Source { file: file.to_owned(), text: String::new() };
            assert_eq!(source.is_generated(), generated, "{file}");
        };
        check("crates/wire/src/generated/fetch.rs", true);
        check("crates/wire/src/generated.rs", true);
        check("crates/wire/src/regenerated.rs", false);
    }
}
