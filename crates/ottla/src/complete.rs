//! Completion in shells: of commands and options, and of names that only the cluster knows.
//!
//! A shell's script calls this binary for each TAB, with what was typed so far. Where the cluster
//! does not answer at once nothing is offered: whoever types does not wait, and is told nothing.

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::time::Duration;

use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;
use ottla_env::{First, first};
use ottla_runtime::RealEnv;

use crate::failure::Failure;
use crate::reach::{self, Reach};

/// Names the shell in the environment of a call from one. Not `COMPLETE`, as the library has it:
/// others may mean something else by that.
const VARIABLE: &str = "OTTLA_COMPLETE";

/// How long somebody who has pressed TAB may be kept waiting.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// What is completed by asking the cluster.
#[derive(Clone, Copy, Debug)]
enum Names {
    Topics,
    Groups,
    /// Of the kind that the word before says, as in `config describe topic NAME`.
    Resources,
    Profiles,
}

/// Answers a shell that asks, and ends the process; returns where none does.
pub(crate) fn answer(command_line: fn() -> clap::Command) {
    CompleteEnv::with_factory(|| with_names(command_line())).var(VARIABLE).complete();
}

/// The script of a shell, and the way back to this binary in it.
pub(crate) fn script(shell: clap_complete::Shell) -> String {
    let shells = Shells::builtins();
    let shell = shells.completer(&shell.to_string()).expect("both lists are the library's");
    let called = std::env::args().next().unwrap_or_default();
    // What was found in PATH once is found there again; what was not has a place.
    let binary = if called.contains('/') {
        std::env::current_exe().map_or(called, |path| path.display().to_string())
    } else {
        called
    };
    let mut script = Vec::new();
    shell
        .write_registration(VARIABLE, "ottla", "ottla", &binary, &mut script)
        .expect("a Vec takes everything");
    String::from_utf8(script).expect("shells read text")
}

/// Arguments say by the name of their value what they take.
fn with_names(command: clap::Command) -> clap::Command {
    let is_config = command.get_name() == "config";
    let command = command.mut_args(|argument| {
        let value =
            argument.get_value_names().and_then(<[_]>::first).map(clap::builder::Str::as_str);
        let names = match value {
            Some("TOPIC") => Names::Topics,
            Some("GROUP") => Names::Groups,
            Some("NAME") if argument.get_id() == "profile" => Names::Profiles,
            _ => return argument,
        };
        argument.add(completer(names))
    });
    command.mut_subcommands(|below| if is_config { of_config(below) } else { with_names(below) })
}

fn of_config(command: clap::Command) -> clap::Command {
    with_names(command.mut_args(|argument| {
        let is_name = argument.get_id() == "name" && argument.is_positional();
        if is_name { argument.add(completer(Names::Resources)) } else { argument }
    }))
}

fn completer(names: Names) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| candidates(names, typed))
}

fn candidates(names: Names, typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let words: Vec<String> = std::env::args().skip_while(|word| word != "--").skip(1).collect();
    let found = match names {
        Names::Profiles => reach::profile::names(),
        Names::Topics => ask(&words, "topic").unwrap_or_default(),
        Names::Groups => ask(&words, "group").unwrap_or_default(),
        Names::Resources => {
            let kinds = ["topic", "group", "broker"];
            let kind = words.iter().rev().find(|word| kinds.contains(&word.as_str()));
            kind.and_then(|kind| ask(&words, kind).ok()).unwrap_or_default()
        }
    };
    let fits = |name: &String| {
        // The cluster's own topics are for those who ask for them.
        name.starts_with(typed) && (typed.starts_with('_') || !name.starts_with("__"))
    };
    found.into_iter().filter(fits).map(CompletionCandidate::new).collect()
}

/// The names of a kind of thing in the cluster that the words are about.
fn ask(words: &[String], kind: &str) -> Result<Vec<String>, Failure> {
    let mut properties = Reach::typed(words).client_properties()?;
    for name in ["request.timeout.ms", "socket.connection.setup.timeout.ms"] {
        let millis = PATIENCE.as_millis().to_string();
        properties.set(name, &millis).map_err(Failure::Usage)?;
    }
    let asked = RealEnv::start(NonZeroUsize::MIN, |env| async move {
        let clock = std::sync::Arc::clone(&env.clock);
        let answered = async {
            let session = reach::open(env, properties)?;
            reach::greet(&session).await?;
            let admin = session.admin();
            Ok(match kind {
                "group" => admin.list_groups().await?.into_iter().map(|group| group.id).collect(),
                "broker" => {
                    let nodes = admin.nodes().await?.into_iter().map(|node| node.id.to_string());
                    nodes.chain(["default".to_owned()]).collect()
                }
                _ => admin.list_topics().await?.into_keys().map(|it| it.to_string()).collect(),
            })
        };
        match first(answered, clock.sleep(PATIENCE)).await {
            First::Left(answered) => answered,
            First::Right(()) => Ok(Vec::new()),
        }
    });
    asked.unwrap_or_else(|error| Err(Failure::told(error.to_string())))
}
