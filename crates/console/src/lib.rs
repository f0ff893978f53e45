//! What a node answers over HTTP: metrics, health, readiness.
//!
//! One task accepts, one serves each connection, all on the loop that started them. A connection is
//! asked one thing and then closed. Whoever asks is a stranger: the size of a request, the time
//! that it and its answer take, and the number of connections are bounded (`listen`).

mod answer;
mod family;
mod listen;
mod metrics;
mod page;
mod request;
mod within;

pub use listen::Console;
pub use metrics::reference;
