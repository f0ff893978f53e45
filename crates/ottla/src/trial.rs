//! `ottla test -- COMMAND`: a node that lives as long as a command does.

use std::future::{Future as _, poll_fn};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::process::ExitStatusExt as _;
use std::pin::pin;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::task::Poll;
use std::time::Duration;

use ottla_broker::{Node, NodeConfig, Properties};
use ottla_env::{Env, First, first, reply};
use ottla_runtime::{RealEnv, stop_requested, terminate};

use crate::confirm;
use crate::failure::Failure;
use crate::folder::Throwaway;

const EXAMPLES: &str = "\
Examples:
  ottla test -- sh -c 'echo $KAFKA_BOOTSTRAP_SERVERS'
  ottla test -s num.partitions=3 -- ottla topic create t

The command finds the node's address in KAFKA_BOOTSTRAP_SERVERS, KAFKA_BROKERS, BOOTSTRAP_SERVERS
and OTTLA_BOOTSTRAP. Its exit code is passed on; the node's data is gone then.";

/// How long a command that was told to stop may take.
const STOP_MAX: Duration = Duration::from_secs(10);

/// What tests want: answers at once, and nothing that outlives them.
const PROPERTIES: &[(&str, &str)] = &[
    ("controller.listener.names", "CONTROLLER"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("listeners", "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0"),
    ("node.id", "1"),
    ("offsets.topic.num.partitions", "5"),
    ("ottla.durability", "page-cache"),
    ("process.roles", "broker,controller"),
];

const VARIABLES: [&str; 4] =
    ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BROKERS", "BOOTSTRAP_SERVERS", "OTTLA_BOOTSTRAP"];

/// Runs a command beside a node of its own, which is gone afterwards
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A property of the node
    #[arg(short, long = "set", value_name = "NAME=VALUE", value_parser = confirm::pair)]
    set: Vec<(String, String)>,

    /// The command, and what it is given
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    perform(arguments).unwrap_or_else(|failure| failure.end())
}

fn perform(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let folder = Throwaway::temporary("ottla-test").map_err(Failure::Told)?;
    let mut properties: Properties =
        PROPERTIES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    properties.insert("log.dirs".to_owned(), folder.path().display().to_string());
    properties.extend(arguments.set.iter().cloned());
    let config = NodeConfig::parse(&properties, None).map_err(|errors| {
        let told: Vec<String> = errors.mistakes.iter().map(ToString::to_string).collect();
        Failure::Usage(told.join("\n"))
    })?;
    let loops = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let ran = RealEnv::start(loops, |env| beside(env, config, &arguments.command));
    ran.map_err(|error| Failure::told(format!("the event loops cannot start: {error}")))?
}

/// Runs the command beside a node.
async fn beside(env: Env, config: NodeConfig, command: &[String]) -> Result<ExitCode, Failure> {
    let clock = std::sync::Arc::clone(&env.clock);
    let mut stop = pin!(stop_requested());
    // Signals are ours from the first look on: those that end a process leave its folder behind.
    if let Poll::Ready(signal) = poll_fn(|cx| Poll::Ready(stop.as_mut().poll(cx))).await {
        signal?;
        return Err(Failure::told("stopped before the command began"));
    }
    let node = Node::start(env, config.clone()).await;
    let node = node.map_err(|error| Failure::told(error.to_string()))?;
    let listening = node.listeners();
    let first_listener = listening.first().expect("a broker listens");
    let address = config.advertised(first_listener).authority();
    let mut child = spawn(command, &address)?;
    let id = child.id();
    let (told, answer) = reply();
    let waiting = std::thread::Builder::new().name("wait".to_owned());
    let wait = move || told.send(child_ended(&mut child));
    waiting.spawn(wait).map_err(|error| Failure::told(error.to_string()))?;
    let mut answer = pin!(answer);
    let ended = match first(&mut answer, stop).await {
        First::Left(ended) => ended,
        First::Right(signal) => {
            signal?;
            terminate(id);
            match first(&mut answer, clock.sleep(STOP_MAX)).await {
                First::Left(ended) => ended,
                First::Right(()) => {
                    return Err(Failure::told(format!(
                        "the command did not stop within {STOP_MAX:?} and is left behind"
                    )));
                }
            }
        }
    };
    node.stop().await;
    let status = ended.map_err(|_| Failure::told("nobody waited for the command"))??;
    Ok(code_of(status))
}

fn child_ended(child: &mut Child) -> io::Result<ExitStatus> {
    child.wait()
}

fn spawn(command: &[String], address: &str) -> Result<Child, Failure> {
    let Some((program, rest)) = command.split_first() else {
        return Err(Failure::usage("there is no command: ottla test -- COMMAND"));
    };
    let variables = VARIABLES.into_iter().map(|name| (name, address));
    let spawned = Command::new(program).args(rest).envs(variables).spawn();
    spawned.map_err(|error| Failure::told(format!("cannot run {program}: {error}")))
}

/// As shells tell it: a signal is 128 and its number.
fn code_of(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1))
}
