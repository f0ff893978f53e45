//! `ottla install-tools`.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::TOOLS;
use crate::failure::say;

const EXAMPLES: &str = "\
Examples:
  ottla install-tools ~/.local/bin
  ottla install-tools ~/.local/bin --kcat
  ottla install-tools kafka/bin --force";

/// Links the names of Apache Kafka's tools to this program: kafka-topics and the others, each with
/// and without .sh
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The folder for the links; made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Link kcat, too: a program of that name that stands later in the path is then hidden
    #[arg(long)]
    kcat: bool,

    /// Replace files of these names that are not links to this program
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let done = std::env::current_exe().and_then(|program| link_all(arguments, &program));
    match done {
        Ok((linked, kept)) => {
            for path in &kept {
                let path = path.display();
                say(&format!("{path} is something else, and was kept: --force replaces it"));
            }
            let tools = TOOLS.len() + usize::from(arguments.kcat);
            let folder = arguments.folder.display();
            say(&format!("{linked} links for {tools} tools are in {folder}"));
            if kept.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            say(&format!("{}: {why}", arguments.folder.display()));
            ExitCode::FAILURE
        }
    }
}

/// How many names are links to the program now, and which are not.
fn link_all(arguments: &Arguments, program: &Path) -> io::Result<(usize, Vec<PathBuf>)> {
    fs::create_dir_all(&arguments.folder)?;
    let (mut linked, mut kept) = (0, Vec::new());
    let names = TOOLS.iter().flat_map(|tool| [tool.name.to_owned(), format!("{}.sh", tool.name)]);
    for name in names.chain(arguments.kcat.then(|| "kcat".to_owned())) {
        let path = arguments.folder.join(name);
        if link(&path, program, arguments.force)? {
            linked += 1;
        } else {
            kept.push(path);
        }
    }
    Ok((linked, kept))
}

/// Links a name; whether it is a link to the program now.
fn link(path: &Path, program: &Path, force: bool) -> io::Result<bool> {
    if let Ok(there) = fs::symlink_metadata(path) {
        if fs::read_link(path).is_ok_and(|to| to == program) {
            return Ok(true);
        }
        if there.is_dir() || !force {
            return Ok(false);
        }
        fs::remove_file(path)?;
    }
    symlink(program, path)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_linked_once_and_what_is_there_is_kept() {
        let folder = std::env::temp_dir().join(format!("ottla-install-{}", std::process::id()));
        let arguments = |force| Arguments { folder: folder.clone(), force, kcat: false };
        let program = Path::new("/usr/bin/ottla");
        let all = TOOLS.len() * 2;
        assert_eq!(link_all(&arguments(false), program).unwrap(), (all, vec![]));
        assert_eq!(link_all(&arguments(false), program).unwrap(), (all, vec![]), "again");
        let path = folder.join("kafka-topics.sh");
        assert_eq!(fs::read_link(&path).unwrap(), program);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "a script").unwrap();
        assert_eq!(link_all(&arguments(false), program).unwrap(), (all - 1, vec![path.clone()]));
        assert_eq!(fs::read_to_string(&path).unwrap(), "a script");
        assert_eq!(link_all(&arguments(true), program).unwrap(), (all, vec![]));
        assert_eq!(fs::read_link(&path).unwrap(), program);
        let with_kcat = Arguments { kcat: true, ..arguments(false) };
        assert_eq!(link_all(&with_kcat, program).unwrap(), (all + 1, vec![]));
        assert_eq!(fs::read_link(folder.join("kcat")).unwrap(), program);
        fs::remove_dir_all(&folder).unwrap();
    }
}
