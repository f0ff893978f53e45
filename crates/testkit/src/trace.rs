//! Scripts with golden output, for the cores.
//!
//! A `*.trace` file is a list of blocks, parted by empty lines: commands, a line `----`, the output
//! that they had. Lines that begin with `#` are comments. With `UPDATE=1` in the environment the
//! file is rewritten with what came out; the review reads the difference.

use std::fmt::Write;
use std::path::Path;

/// Runs a script: `run` gets each command line and answers with its output, lines or nothing.
///
/// # Panics
/// When the output differs from the file's, or the file cannot be read.
pub fn check(path: &Path, mut run: impl FnMut(&str) -> String) {
    let golden = std::fs::read_to_string(path).expect("the script is part of the repository");
    let mut actual = String::new();
    for block in golden.split("\n\n").map(|block| block.trim_matches('\n')) {
        if !actual.is_empty() {
            actual.push('\n');
        }
        play(block, &mut actual, &mut run);
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, actual).expect("the script can be rewritten");
        return;
    }
    assert!(actual == golden, "{} differs; it said:\n{actual}", path.display());
}

fn play(block: &str, actual: &mut String, run: &mut impl FnMut(&str) -> String) {
    let mut output = String::new();
    let mut commands = 0;
    for line in block.lines().take_while(|line| *line != "----") {
        writeln!(actual, "{line}").expect("a string takes all");
        if !line.starts_with('#') {
            commands += 1;
            let said = run(line);
            output.push_str(said.trim_end_matches('\n'));
            output.push_str(if said.is_empty() { "" } else { "\n" });
        }
    }
    if commands > 0 {
        writeln!(actual, "----\n{}", output.trim_end_matches('\n')).expect("a string takes all");
    }
}

/// The value of `key=value` among the words of a command.
#[must_use]
pub fn argument<'a>(command: &'a str, key: &str) -> Option<&'a str> {
    command.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}
