//! `ottla server`: a node, from its configuration to its end.

use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use ottla_broker::{ConfigErrors, Listener, Node, NodeConfig, Properties, StartError};
use ottla_broker::{Durability, parse_properties};
use ottla_runtime::{RealEnv, stop_requested};

const EXAMPLES: &str = "\
Examples:
  ottla server
  ottla server --override log.dirs=/var/lib/ottla --override num.partitions=3
  ottla server --config server.properties";

/// Starts a node, and runs it until it is told to stop (SIGINT, SIGTERM).
#[derive(Debug, Default, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A file of Kafka's properties.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// One property, over what the file says. May be given several times.
    #[arg(long = "override", value_name = "NAME=VALUE")]
    overrides: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error("cannot read {path}: {why}")]
    ReadConfig { path: PathBuf, why: std::io::Error },
    #[error("cannot read {path}: {why}")]
    ParseConfig { path: PathBuf, why: String },
    #[error("--override takes NAME=VALUE, and `{0}` is not: write, for example, num.partitions=3")]
    Override(String),
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error("the event loops cannot start: {0}")]
    Loops(std::io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), ServerError> {
    let started = Instant::now();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .with_target(false)
        .init();
    let config = NodeConfig::parse(&properties(arguments)?, cluster_id())?;
    if !config.ignored.is_empty() {
        let names = config.ignored.join(", ");
        tracing::warn!("these properties have no effect in this version: {names}");
    }
    let loops = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let ran = RealEnv::start(loops, |env| async move {
        let node = Node::start(env, config.clone()).await?;
        eprint!("{}", banner(&config, &node.listeners(), started.elapsed()));
        stop_requested().await.map_err(StartError::Signals)?;
        node.stop().await;
        Ok::<(), StartError>(())
    });
    Ok(ran.map_err(ServerError::Loops)??)
}

fn properties(arguments: &Arguments) -> Result<Properties, ServerError> {
    let mut properties = match &arguments.config {
        None => Properties::new(),
        Some(path) => {
            let text = fs::read_to_string(path)
                .map_err(|why| ServerError::ReadConfig { path: path.clone(), why })?;
            parse_properties(&text)
                .map_err(|why| ServerError::ParseConfig { path: path.clone(), why })?
        }
    };
    for pair in &arguments.overrides {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| ServerError::Override(pair.clone()))?;
        properties.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    Ok(properties)
}

/// As Kafka's container image takes it.
fn cluster_id() -> Option<String> {
    ["KAFKA_CLUSTER_ID", "CLUSTER_ID"].into_iter().find_map(|name| std::env::var(name).ok())
}

fn banner(config: &NodeConfig, listening: &[Listener], took: Duration) -> String {
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
