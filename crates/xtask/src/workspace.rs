//! What cargo knows about the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::command;
use crate::json::Json;

/// When a dependency is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Linked into the product, or run while it is built.
    Product,
    /// For tests only.
    Tests,
}

/// One line of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) package: String,
    pub(crate) need: Need,
}

/// One package of ours.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    /// The package's name: `ottla-log`.
    pub(crate) package: String,
    pub(crate) description: String,
    pub(crate) folder: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

/// The workspace's packages, and everything that they pull in.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) rooms: Vec<Room>,
    /// Package id to the ids that it needs in the product, as resolved for this platform.
    resolved: BTreeMap<String, Vec<String>>,
    /// The name of each package id.
    names: BTreeMap<String, String>,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    /// When cargo fails, for one because `Cargo.lock` does not fit the manifests.
    pub(crate) fn read() -> Result<Self, String> {
        let version = command::output(command::program("rustc").arg("-vV"))?;
        let host = version
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .ok_or("`rustc -vV` names no host")?;
        let mut metadata = command::cargo();
        metadata.args(["metadata", "--format-version=1", "--locked", "--filter-platform", host]);
        let text = command::output(&mut metadata)?;
        let json = Json::parse(&text).ok_or("`cargo metadata` printed no JSON")?;
        Ok(Self::from_metadata(&json))
    }

    fn from_metadata(json: &Json) -> Self {
        let members: BTreeSet<&str> =
            json.field("workspace_members").elements().iter().map(Json::text).collect();
        let packages = json.field("packages").elements();
        let owned = |value: &Json, name: &str| value.field(name).text().to_owned();
        Self {
            rooms: packages
                .iter()
                .filter(|package| members.contains(package.field("id").text()))
                .map(room)
                .collect(),
            resolved: json
                .field("resolve")
                .field("nodes")
                .elements()
                .iter()
                .map(|node| (owned(node, "id"), linked(node)))
                .collect(),
            names: packages.iter().map(|each| (owned(each, "id"), owned(each, "name"))).collect(),
        }
    }

    /// How many packages the product of `package` is made of, itself included.
    pub(crate) fn tree_size(&self, package: &str) -> usize {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&String> =
            self.names.iter().filter(|(_, name)| *name == package).map(|(id, _)| id).collect();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(self.resolved.get(id).into_iter().flatten());
            }
        }
        seen.len()
    }
}

fn room(package: &Json) -> Room {
    let mut folder = PathBuf::from(package.field("manifest_path").text());
    folder.pop();
    Room {
        package: package.field("name").text().to_owned(),
        description: package.field("description").text().to_owned(),
        folder,
        dependencies: package
            .field("dependencies")
            .elements()
            .iter()
            .map(|each| Dependency {
                package: each.field("name").text().to_owned(),
                need: if each.field("kind").text() == "dev" { Need::Tests } else { Need::Product },
            })
            .collect(),
    }
}

/// The ids that a resolved package needs in the product.
fn linked(node: &Json) -> Vec<String> {
    let in_product = |dependency: &&Json| {
        dependency
            .field("dep_kinds")
            .elements()
            .iter()
            .any(|each| each.field("kind").text() != "dev")
    };
    let dependencies = node.field("deps").elements().iter();
    dependencies.filter(in_product).map(|each| each.field("pkg").text().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_of_tests_are_no_part_of_the_product() {
        let json = Json::parse(
            r#"{"workspace_members": ["a"],
                "packages": [
                  {"id": "a", "name": "ottla", "description": "A.",
                   "manifest_path": "/r/a/Cargo.toml",
                   "dependencies": [{"name": "b", "kind": null}, {"name": "c", "kind": "dev"}]},
                  {"id": "b", "name": "b"}, {"id": "c", "name": "c"}],
                "resolve": {"nodes": [
                  {"id": "a", "deps": [{"pkg": "b", "dep_kinds": [{"kind": null}]},
                                       {"pkg": "c", "dep_kinds": [{"kind": "dev"}]}]},
                  {"id": "b", "deps": []}, {"id": "c", "deps": []}]}}"#,
        )
        .unwrap();
        let workspace = Workspace::from_metadata(&json);
        assert_eq!(workspace.tree_size("ottla"), 2);
        assert_eq!(workspace.rooms.len(), 1);
        let room = &workspace.rooms[0];
        assert_eq!((room.package.as_str(), room.folder.to_str()), ("ottla", Some("/r/a")));
        let needs: Vec<Need> = room.dependencies.iter().map(|each| each.need).collect();
        assert_eq!(needs, [Need::Product, Need::Tests]);
    }
}
