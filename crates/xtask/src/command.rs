//! Calling other programs, and the options that we are called with.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder of the workspace: two above this package's manifest, wherever it was cloned to.
pub(crate) fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).expect("crates/xtask lies two folders deep").to_path_buf()
}

/// The cargo that runs us, called in the folder of the workspace.
pub(crate) fn cargo() -> Command {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A program, called in the folder of the workspace.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    command
}

/// Runs a command to its end, its output going where ours goes.
///
/// # Errors
/// When it cannot start or does not end with success.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", show(command))) }
}

/// Runs a command to its end and returns its standard output.
///
/// # Errors
/// When it cannot start, does not end with success, or prints something else than text.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|error| cannot_start(command, &error))?;
    if !output.status.success() {
        return Err(format!("{} ended with {}", show(command), output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{} printed no text", show(command)))
}

fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("cannot start `{}`: {error}", command.get_program().display())
}

fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut text = format!("`{}", program.file_name().unwrap_or_default().display());
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text.push('`');
    text
}

/// Refuses what a command does not know: a mistyped option must not be an ignored one.
///
/// # Errors
/// For the first argument that is not among `known`.
pub(crate) fn only(arguments: &[String], known: &[&str]) -> Result<(), String> {
    match arguments.iter().find(|argument| !known.contains(&argument.as_str())) {
        Some(stranger) => Err(format!("unknown option `{stranger}`; known: {}", known.join(" "))),
        None => Ok(()),
    }
}
