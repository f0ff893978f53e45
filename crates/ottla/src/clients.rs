//! `ottla cluster clients`: what software has connections to a node.
//!
//! Kafka's protocol has no question for it: the answer is one of the node's metrics, so it is asked
//! over HTTP, where the node serves that.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use crate::failure::Failure;
use crate::show::{Answer, Cell, Column, Format, Table, print};

/// Where a node without a configuration file serves its metrics.
pub(crate) const HTTP: &str = "127.0.0.1:8080";

/// The metric, with the names of its two labels.
const METRIC: &str = "kafka_server_socket_server_metrics_connections_software{";
const NAME: &str = "clientSoftwareName=\"";
const VERSION: &str = "clientSoftwareVersion=\"";

/// The page is made at once; a node that is this late has trouble.
const WITHIN: Duration = Duration::from_secs(10);

/// The page has nothing of single partitions: this is a thousand topics many times over.
const PAGE_BYTES_MAX: u64 = 64 << 20;

const CLIENTS: &[Column] = &[
    Column::text("SOFTWARE", "software"),
    Column::text("VERSION", "version"),
    Column::number("CONNECTIONS", "connections"),
];

/// Shows what is connected to the node that serves its metrics at `http`.
pub(crate) fn run(http: &str, format: Format) -> ExitCode {
    match show(http, format) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.end(),
    }
}

fn show(http: &str, format: Format) -> Result<(), Failure> {
    let page = fetch(http).map_err(|error| {
        Failure::told(format!(
            "no metrics at http://{http}: {error}\nA node serves them where its property \
             ottla.http.listener says; --http HOST:PORT names that place."
        ))
    })?;
    let mut table = Table::new(CLIENTS);
    for (name, version, connections) in page.lines().filter_map(client) {
        table.row([Cell::text(name), Cell::text(version), Cell::count(connections)]);
    }
    Ok(print("clients", &Answer::Table(table), format)?)
}

/// The page, its head included: nothing in that looks like a metric.
fn fetch(http: &str) -> std::io::Result<String> {
    let mut addresses = http.to_socket_addrs()?;
    let address = addresses.next().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
    let mut stream = TcpStream::connect_timeout(&address, WITHIN)?;
    stream.set_read_timeout(Some(WITHIN))?;
    let ask = format!("GET /metrics/topics HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes())?;
    let mut page = Vec::new();
    stream.take(PAGE_BYTES_MAX).read_to_end(&mut page)?;
    let page = String::from_utf8_lossy(&page).into_owned();
    match page.lines().next().and_then(|line| line.split(' ').nth(1)) {
        Some("200") => Ok(page),
        status => {
            let status = status.unwrap_or("something that is no HTTP");
            Err(std::io::Error::other(format!("it answers with {status}")))
        }
    }
}

/// Name, version and connections of a line of the metric. Both are plain by now: what would have
/// to be escaped is refused by the node.
fn client(line: &str) -> Option<(&str, &str, u64)> {
    let (labels, value) = line.strip_prefix(METRIC)?.split_once('}')?;
    let label = |name| Some(labels.split_once(name)?.1.split_once('"')?.0);
    Some((label(NAME)?, label(VERSION)?, value.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn only_lines_of_the_metric_are_clients() {
        check(r#"kafka_server_socket_server_metrics_connections_software{clientSoftwareName="a-b",clientSoftwareVersion="4.3.1"} 3"#,
              Some(("a-b", "4.3.1", 3)));
        check(r#"kafka_server_socket_server_metrics_connections_software{clientSoftwareName="other",clientSoftwareVersion=""} 1"#,
              Some(("other", "", 1)));
        check("# TYPE kafka_server_socket_server_metrics_connections_software gauge", None);
        check("kafka_server_socket_server_metrics_connection_count{listener=\"A\"} 3", None);
        check("HTTP/1.1 200 OK", None);
    }

    fn check(line: &str, expected: Option<(&str, &str, u64)>) {
        assert_eq!(client(line), expected, "{line}");
    }
}
