//! What others see of a node that `ottla server` runs: HTTP, and the words that it begins with.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ottla_broker::{Durability, Listener, NodeConfig, StartError, Watch};
use ottla_console::Console;
use ottla_env::Env;

use crate::events;
use crate::json::Json;

/// The HTTP side of a node.
pub(crate) enum Http {
    Serving(Console),
    /// Nobody wants it.
    Absent,
    /// Nobody has asked for it, and its port is not to be had.
    Refused(SocketAddr, io::Error),
}

impl Http {
    /// Listens, before the node starts, so that whoever asks is told that it does. `may_lack`: the
    /// node starts without it, too.
    ///
    /// # Errors
    /// When the address is not to be had.
    pub(crate) fn begin(
        env: &Env,
        config: &NodeConfig,
        may_lack: bool,
    ) -> Result<Self, StartError> {
        let Some(listener) = &config.watching.http_listener else { return Ok(Self::Absent) };
        let refused = |error| StartError::Listen { listener: listener.clone(), error };
        let address = listener.address().map_err(|why| refused(io::Error::other(why)))?;
        match Console::start(env, address, env!("CARGO_PKG_VERSION")) {
            Ok(console) => Ok(Self::Serving(console)),
            Err(error) if may_lack => Ok(Self::Refused(address, error)),
            Err(error) => Err(refused(error)),
        }
    }

    /// The node has started.
    pub(crate) fn watch(&self, node: Watch) {
        if let Self::Serving(console) = self {
            console.watch(node);
        }
    }

    /// Where metrics are, for people; `None` where nobody wants them.
    pub(crate) fn told(&self) -> Option<String> {
        match self {
            Self::Serving(console) => Some(format!("http://{}/metrics", console.address())),
            Self::Refused(address, error) => Some(format!(
                "not served, {address} is not to be had: {error} (ottla.http.listener)"
            )),
            Self::Absent => None,
        }
    }
}

/// What a program is told once a node serves.
pub(crate) fn ready(
    config: &NodeConfig,
    listening: &[Listener],
    http: &Http,
    took: Duration,
) -> String {
    let durability = match config.durability {
        Durability::Fsync => "fsync",
        Durability::PageCache => "page-cache",
    };
    let listeners = listening.iter().map(|listener| Json::Text(listener.to_string()));
    let http = match http {
        Http::Serving(console) => Json::Text(format!("http://{}", console.address())),
        Http::Absent | Http::Refused(..) => Json::Null,
    };
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let fields = vec![
        ("version", Json::text(env!("CARGO_PKG_VERSION"))),
        ("node", Json::Number(config.node_id.get().into())),
        ("listeners", Json::List(listeners.collect())),
        ("http", http),
        ("data", Json::Text(config.log_dir.display().to_string())),
        ("durability", Json::text(durability)),
        ("took_ms", Json::count(took_ms)),
    ];
    format!("{}\n", events::document(tracing::Level::INFO, "ready", fields))
}
