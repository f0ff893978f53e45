//! `ottla server` (or `dev`): a node, from its configuration to its end.

use std::fmt::Write as _;
use std::fs;
use std::future::{Future as _, poll_fn};
use std::num::NonZeroUsize;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use ottla_broker::{
    Durability, Listener, LogFormat, LogLevel, Node, NodeConfig, Properties, StartError,
};
use ottla_runtime::{RealEnv, stop_requested};

use crate::events;
use crate::folder::Throwaway;
use crate::given::{Given, Mistakes, Sources};
use crate::observed::{Http, ready};

const EXAMPLES: &str = "\
Examples:
  ottla server
  ottla server --override log.dirs=/var/lib/ottla --override num.partitions=3
  ottla server --config server.properties
  ottla dev --memory --port auto

Every property, with what it means: ottla config --reference";

/// Starts a node, and runs it until it is told to stop (SIGINT, SIGTERM).
#[derive(Debug, Default, clap::Args)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub(crate) struct Arguments {
    #[command(flatten)]
    given: Sources,

    /// Keep nothing: the data is in memory, and gone when the node ends
    #[arg(long)]
    memory: bool,

    /// The port of clients on this machine, or `auto` for a free one [default: 9092]
    #[arg(long, value_name = "PORT", value_parser = port)]
    port: Option<u16>,
}

/// For clap. `auto` is 0: the system chooses one.
fn port(text: &str) -> Result<u16, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    let auto = (text == "auto").then_some(0);
    number.or(auto).ok_or_else(|| "it is a number from 1 to 65535, or auto".to_owned())
}

impl Arguments {
    /// Whether nothing was said.
    pub(crate) const fn is_empty(&self) -> bool {
        self.given.is_empty() && !self.memory && self.port.is_none()
    }

    /// What was said, and the folder that goes away with the node.
    fn read(&self) -> Result<(Given, Option<Throwaway>), ServerError> {
        let mut given = self.given.read();
        if let Some(port) = self.port {
            let listeners = format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:0");
            given.add("--port", Properties::from([("listeners".to_owned(), listeners)]));
        }
        if !self.memory {
            return Ok((given, None));
        }
        let folder = Throwaway::in_memory("ottla-memory").map_err(ServerError::Memory)?;
        let said = [
            ("log.dirs".to_owned(), show(folder.path())),
            // Memory is as durable as it gets.
            ("ottla.durability".to_owned(), "page-cache".to_owned()),
        ];
        given.add("--memory", Properties::from(said));
        Ok((given, Some(folder)))
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error(transparent)]
    Config(#[from] Mistakes),
    #[error("{0}")]
    Memory(String),
    #[error("the event loops cannot start: {0}")]
    Loops(std::io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), ServerError> {
    let started = Instant::now();
    let (given, throwaway) = arguments.read()?;
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
            LogFormat::Text => banner(&config, &listening, &http, (throwaway.is_none(), took)),
            LogFormat::Json => ready(&config, &listening, &http, took),
        };
        let mut stop = pin!(stop_requested());
        // Signals are the node's from the first look on: who reads that it serves may stop it.
        let stopped = poll_fn(|cx| Poll::Ready(stop.as_mut().poll(cx))).await;
        eprint!("{told}");
        match stopped {
            Poll::Ready(stopped) => stopped,
            Poll::Pending => stop.await,
        }
        .map_err(StartError::Signals)?;
        node.stop().await;
        drop(throwaway);
        Ok::<(), StartError>(())
    });
    Ok(ran.map_err(ServerError::Loops)??)
}

/// From here on what is unexpected is told on standard error.
pub(crate) fn say_warnings() {
    events::tell(LogFormat::Text, LogLevel::Warn);
}

fn banner(
    config: &NodeConfig,
    listening: &[Listener],
    http: &Http,
    (is_kept, took): (bool, Duration),
) -> String {
    let addresses: Vec<String> = listening.iter().map(ToString::to_string).collect();
    let folder = fs::canonicalize(&config.log_dir).unwrap_or_else(|_| config.log_dir.clone());
    let durability = match config.durability {
        _ if !is_kept => "in memory: gone when the node ends",
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
        // What the command line tries by itself need not be typed.
        let named = if ["127.0.0.1:9092", "localhost:9092"].contains(&address.as_str()) {
            String::new()
        } else {
            format!(" -b {address}")
        };
        line("try", &format!("ottla produce hello \"first message\"{named}"));
    }
    let stays = if is_kept { "the data stays" } else { "the data goes with it" };
    line("stop", &format!("Ctrl-C; {stays}"));
    let version = env!("CARGO_PKG_VERSION");
    format!("Ottla {version}, node {}: ready in {} ms\n{text}", config.node_id, took.as_millis())
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
