//! docs/cli.md: every command's help, as the binary prints it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::examples::{commands, help};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");

/// What is between these is the binary's; the rest was written by people.
const BEGIN: &str = "<!-- help: begin -->\n";
const END: &str = "<!-- help: end -->\n";

/// The help of a command and of all below it, as Markdown.
fn pages(path: &[String], text: &mut String) {
    let help = help(path);
    let name = [&["ottla".to_owned()][..], path].concat().join(" ");
    writeln!(text, "### {name}\n\n```text\n{}\n```\n", help.trim_end()).unwrap();
    for below in commands(&help) {
        pages(&[path, &[below]].concat(), text);
    }
}

/// `UPDATE=1` writes the page anew.
#[test]
fn the_page_of_commands_is_what_the_binary_says() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let mut fresh = String::new();
    pages(&[], &mut fresh);
    let expected = format!("{before}{BEGIN}\n{fresh}{END}{after}");
    if std::env::var_os("UPDATE").is_some() {
        return fs::write(Path::new(PAGE), expected).unwrap();
    }
    let differs = page.lines().zip(expected.lines()).find(|(is, should)| is != should);
    assert!(page == expected, "docs/cli.md has drifted (UPDATE=1 writes it): {differs:?}");
}
