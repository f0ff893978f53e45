//! `session`: a terminal session with the binary, recorded from a real run as docs/session.svg.
//!
//! The commands below are typed, one after the other, into a terminal of their own (util-linux's
//! `script` makes it), beside a node that is started for them with an empty folder on port 9092.
//! What they print is what the picture shows, but for the name of that folder.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Outcome;
use crate::command::{self, root};
use crate::node::{build, target};

const PICTURE: &str = "docs/session.svg";

/// Where the session seems to take place.
const HOME: &str = "/home/you";

/// Columns and rows of the terminal that is recorded: rows as many as there are lines.
const COLUMNS: usize = 100;

const TYPED: [&str; 8] = [
    "ottla produce hello \"first message\" -k me",
    "ottla consume hello -e",
    "seq 100000 | ottla produce numbers -z lz4",
    "ottla consume numbers -g readers -n 60000 | tail -1",
    "ottla topic list",
    "ottla group lag",
    "ottla consume helo -e",
    "ottla test -- sh -c 'ottla produce scratch x && ottla topic list; exit 3'; echo $?",
];

/// A line of the picture.
enum Line {
    /// After the prompt.
    Typed(String),
    Printed(String),
}

/// # Errors
/// When the binary cannot be built or run, port 9092 is taken, or there is no `script`.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let binary = match arguments {
        [] => {
            build(&["ottla"])?;
            target().join("release/ottla")
        }
        [name, path] if name == "--ottla" => PathBuf::from(path),
        _ => return Err("cargo xtask session [--ottla BINARY]".to_owned()),
    };
    let folder = std::env::temp_dir().join(format!("ottla-session-{}", std::process::id()));
    let recorded = fs::create_dir_all(&folder)
        .map_err(|error| format!("{}: {error}", folder.display()))
        .and_then(|()| record(&binary, &folder));
    drop(fs::remove_dir_all(&folder));
    let picture = root().join(PICTURE);
    fs::write(&picture, drawn(&recorded?)).map_err(|error| format!("write {PICTURE}: {error}"))
}

fn record(binary: &Path, folder: &Path) -> Result<Vec<Line>, String> {
    let binary =
        fs::canonicalize(binary).map_err(|error| format!("{}: {error}", binary.display()))?;
    let mut lines = vec![Line::Typed("ottla".to_owned())];
    let (mut node, banner) = start(&binary, folder)?;
    lines.extend(banner.into_iter().map(Line::Printed));
    let typed = TYPED.iter().try_for_each(|typed| {
        lines.push(Line::Printed(String::new()));
        lines.push(Line::Typed((*typed).to_owned()));
        let said = said(typed, &binary, folder)?;
        lines.extend(said.lines().map(|line| Line::Printed(line.to_owned())));
        Ok(())
    });
    drop(node.kill());
    drop(node.wait());
    typed.map(|()| lines)
}

/// A node, and what it says of itself.
fn start(binary: &Path, folder: &Path) -> Result<(Child, Vec<String>), String> {
    let mut command = as_newcomer(Command::new(binary), binary, folder);
    let spawned = command.stderr(Stdio::piped()).spawn();
    let mut node = spawned.map_err(|error| format!("{}: {error}", binary.display()))?;
    let stderr = node.stderr.take().expect("it is piped");
    let mut banner = Vec::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        banner.push(line.replace(&folder.display().to_string(), HOME));
        if line.starts_with("  stop") {
            return Ok((node, banner));
        }
    }
    drop(node.wait());
    Err(format!("the node does not start: {}", banner.join("; ")))
}

/// What a command prints to somebody who sits at a terminal.
fn said(typed: &str, binary: &Path, folder: &Path) -> Result<String, String> {
    let mut terminal = as_newcomer(Command::new("script"), binary, folder);
    let sized = format!("stty cols {COLUMNS} rows 40; {typed}");
    terminal.args(["-q", "-c", &sized, "/dev/null"]).stdin(Stdio::null());
    let said = command::output(&mut terminal)?;
    Ok(said.replace('\r', ""))
}

/// Without anything that somebody else has set up.
fn as_newcomer(mut command: Command, binary: &Path, folder: &Path) -> Command {
    let bin = binary.parent().expect("it is a file");
    let path = std::env::var("PATH").unwrap_or_default();
    command.env_clear().env("PATH", format!("{}:{path}", bin.display()));
    command.env("HOME", folder).env("TERM", "xterm").env("SHELL", "/bin/sh");
    command.current_dir(folder);
    command
}

const LINE_HEIGHT: usize = 18;
const MARGIN: usize = 16;

/// The picture: text that can be read, searched and copied.
fn drawn(lines: &[Line]) -> String {
    let height = lines.len() * LINE_HEIGHT + 2 * MARGIN;
    let width = COLUMNS * 8 + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"ui-monospace, Menlo, Consolas, monospace\" font-size=\"13\" \
         xml:space=\"preserve\">\n\
         <title>A terminal session with Ottla, recorded by cargo xtask session</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#16191d\"/>\n"
    );
    for (number, line) in lines.iter().enumerate() {
        let y = MARGIN + (number + 1) * LINE_HEIGHT - 5;
        let (fill, text) = match line {
            Line::Typed(typed) => {
                ("#ffffff", format!("<tspan fill=\"#7fb069\">$ </tspan>{}", escaped(typed)))
            }
            Line::Printed(printed) if printed.is_empty() => continue,
            Line::Printed(printed) => ("#b8c0c8", marked_up(printed)),
        };
        writeln!(svg, "<text x=\"{MARGIN}\" y=\"{y}\" fill=\"{fill}\">{text}</text>")
            .expect("a String takes everything");
    }
    svg + "</svg>\n"
}

/// Bold is all there is of a terminal's markup; other sequences are left out.
fn marked_up(printed: &str) -> String {
    let mut pieces = printed.split("\u{1b}[");
    let mut text = escaped(pieces.next().unwrap_or_default());
    let mut bold = false;
    for piece in pieces {
        let end = piece.find(|c: char| c.is_ascii_alphabetic()).map_or(piece.len(), |at| at + 1);
        let (sequence, rest) = piece.split_at(end);
        match (sequence, bold) {
            ("1m", false) => text.push_str("<tspan font-weight=\"bold\" fill=\"#ffffff\">"),
            ("0m" | "m", true) => text.push_str("</tspan>"),
            _ => {}
        }
        bold = match sequence {
            "1m" => true,
            "0m" | "m" => false,
            _ => bold,
        };
        text.push_str(&escaped(rest));
    }
    if bold { text + "</tspan>" } else { text }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_terminal_becomes_text_of_a_picture() {
        for (printed, expected) in [
            ("a <b> & c", "a &lt;b&gt; &amp; c"),
            (
                "\u{1b}[1mNAME\u{1b}[0m x",
                "<tspan font-weight=\"bold\" fill=\"#ffffff\">NAME</tspan> x",
            ),
            ("\u{1b}[Kx\u{1b}[31my\u{1b}[0m", "xy"),
            ("\u{1b}[1mx", "<tspan font-weight=\"bold\" fill=\"#ffffff\">x</tspan>"),
        ] {
            assert_eq!(marked_up(printed), expected, "{printed:?}");
        }
    }

    #[test]
    fn the_picture_of_the_readme_shows_what_is_typed() {
        let picture = fs::read_to_string(root().join(PICTURE)).unwrap_or_default();
        for typed in TYPED {
            assert!(picture.contains(&escaped(typed)), "`cargo xtask session` draws it: {typed}");
        }
    }
}
