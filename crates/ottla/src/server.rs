//! `ottla server`: a node, from its configuration to its end.

use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use ottla_broker::{Durability, Listener, LogFormat, LogLevel, Node, NodeConfig, StartError};
use ottla_runtime::{RealEnv, stop_requested};

use crate::events;
use crate::given::{Mistakes, Sources};
use crate::observed::{Http, ready};

const EXAMPLES: &str = "\
Examples:
  ottla server
  ottla server --override log.dirs=/var/lib/ottla --override num.partitions=3
  ottla server --config server.properties

Every property, with what it means: ottla config --reference";

/// Starts a node, and runs it until it is told to stop (SIGINT, SIGTERM).
#[derive(Debug, Default, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    given: Sources,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error(transparent)]
    Config(#[from] Mistakes),
    #[error("the event loops cannot start: {0}")]
    Loops(std::io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), ServerError> {
    let started = Instant::now();
    let given = arguments.given.read();
    let (format, level) = given.log();
    events::tell(format, level);
    let mut config = given.config()?;
    let may_lack_http = given.is_of_profile("ottla.http.listener");
    // Operators ask from elsewhere where the data lies.
    config.log_dir = std::path::absolute(&config.log_dir).unwrap_or(config.log_dir);
    let loops = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let ran = RealEnv::start(loops, |env| async move {
        let http = Http::begin(&env, &config, may_lack_http)?;
        let node = Node::start(env, config.clone()).await?;
        http.watch(node.watch());
        let (listening, took) = (node.listeners(), started.elapsed());
        let told = match format {
            LogFormat::Text => banner(&config, &listening, &http, took),
            LogFormat::Json => ready(&config, &listening, &http, took),
        };
        eprint!("{told}");
        stop_requested().await.map_err(StartError::Signals)?;
        node.stop().await;
        Ok::<(), StartError>(())
    });
    Ok(ran.map_err(ServerError::Loops)??)
}

/// From here on what is unexpected is told on standard error.
pub(crate) fn say_warnings() {
    events::tell(LogFormat::Text, LogLevel::Warn);
}

fn banner(config: &NodeConfig, listening: &[Listener], http: &Http, took: Duration) -> String {
    let addresses: Vec<String> = listening.iter().map(ToString::to_string).collect();
    let folder = fs::canonicalize(&config.log_dir).unwrap_or_else(|_| config.log_dir.clone());
    let durability = match config.durability {
        Durability::Fsync => "fsync: acks=all means on stable storage",
        Durability::PageCache => "page-cache: acks=all means in the page cache, as in Kafka",
    };
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        writeln!(text, "  {name:<11}{value}").expect("a String takes everything");
    };
    line("listening", &addresses.join(", "));
    if let Some(metrics) = http.told() {
        line("metrics", &metrics);
    }
    line("data", &format!("{} ({durability})", show(&folder)));
    if let Some(client) = listening.first().map(|first| config.advertised(first)) {
        let address = client.authority();
        if listening.first().is_some_and(|first| first.authority() != address) {
            line("clients", &format!("are told {address} (advertised.listeners)"));
        }
        line("try", &format!("echo hello | kcat -b {address} -P -t greetings"));
    }
    line("stop", "Ctrl-C; the data stays");
    let version = env!("CARGO_PKG_VERSION");
    format!("Ottla {version}, node {}: ready in {} ms\n{text}", config.node_id, took.as_millis())
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
