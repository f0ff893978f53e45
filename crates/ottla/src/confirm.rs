//! What cannot be taken back is asked for twice.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use crate::failure::Failure;

/// Whether to do what was asked for.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Act {
    /// Do it without asking
    #[arg(short, long, conflicts_with = "dry_run")]
    yes: bool,

    /// Only show what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl Act {
    /// Asks the person at the terminal; where there is none, `--yes` has to say it.
    pub(crate) fn confirm(self, what: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Err(Failure::usage(format!(
                "this would {what}: say --yes to do it, --dry-run to see it first"
            )));
        }
        eprint!("ottla: {what}? [y/N] ");
        std::io::stderr().flush()?;
        let mut said = String::new();
        stdin.lock().read_line(&mut said)?;
        match said.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::told("nothing was done")),
        }
    }
}

/// `NAME=VALUE`, for clap.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("it is not NAME=VALUE".to_owned()),
    }
}
