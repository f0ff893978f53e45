//! What the documentation tells people to type, typed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::node::{Node, quiet_ottla, said};

/// The pages whose `sh` blocks are run, each from its beginning to its end, on a node of its own.
const PAGES: [&str; 3] = ["start.md", "concepts.md", "operations/running.md"];

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn blocks(page: &str) -> Vec<String> {
    let text = fs::read_to_string(docs().join(page)).unwrap();
    let blocks = text.split("```sh\n").skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

fn run(node: &Node, block: &str) -> Option<String> {
    let binary = Path::new(env!("CARGO_BIN_EXE_ottla")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    // What the doctor finds is the machine's.
    let block = block.replace("ottla doctor\n", "ottla doctor || true\n");
    let mut command = Command::new("sh");
    command.args(["-e", "-c", &block]).current_dir(node.folder());
    command.env("PATH", format!("{}:{path}", binary.display()));
    command.env("OTTLA_BOOTSTRAP", &node.address).env("XDG_CONFIG_HOME", node.folder());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KAFKA_") {
            command.env_remove(name);
        }
    }
    let said = said(command, "");
    (said.code != 0).then(|| format!("{block}{said:?}"))
}

#[test]
fn what_the_documentation_shows_works() {
    for page in PAGES {
        let node = Node::start(&format!("docs-{}", page.replace('/', "-")));
        let blocks = blocks(page);
        assert!(blocks.len() > 1, "{page}");
        let failed: Vec<String> = blocks.iter().filter_map(|block| run(&node, block)).collect();
        assert_eq!(failed, [] as [&str; 0], "{page}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let mut pages = vec![docs().join("../README.md")];
    for folder in ["", "operations"] {
        let entries = fs::read_dir(docs().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        pages.extend(entries.filter(|path| path.extension().is_some_and(|it| it == "md")));
    }
    let mut lost = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap();
            let inside = !target.is_empty() && !target.contains("://");
            if inside && !page.parent().unwrap().join(target).exists() {
                lost.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert_eq!(lost, [] as [&str; 0]);
}

#[test]
fn the_page_of_metrics_is_that_of_the_binary() {
    let mut command = quiet_ottla();
    command.arg("metrics");
    let page = fs::read_to_string(docs().join("operations/metrics.md")).unwrap();
    assert!(said(command, "").ok() == page, "run `cargo xtask gen`");
}
