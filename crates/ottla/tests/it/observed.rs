//! What others see of a running node: HTTP and events.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::node::{Node, quiet_ottla, said};

fn get(node: &Node, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(&node.http).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn a_node_is_scraped() {
    let node = Node::start("scraped");
    node.ottla(&["topic", "create", "orders"]).ok();
    node.ottla_given("a\nb\nc\n", &["produce", "orders"]).ok();
    node.ottla(&["consume", "orders", "-g", "readers", "-n", "1"]).ok();
    assert_eq!(get(&node, "/ready"), ("HTTP/1.1 200 OK".to_owned(), "ready\n".to_owned()));
    let (_, page) = get(&node, "/metrics");
    for line in [
        "kafka_server_brokertopicmetrics_messagesin_total{topic=\"orders\"} 3",
        "kafka_topic_partition_current_offset{topic=\"orders\",partition=\"0\"} 3",
        "kafka_consumergroup_lag_sum{consumergroup=\"readers\",topic=\"orders\"} 2",
        "kafka_server_kafkaserver_brokerstate 3",
        concat!("ottla_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert!(page.lines().any(|told| told == line), "{line} is not in\n{page}");
    }
    for name in ["process_resident_memory_bytes", "process_open_fds", "ottla_log_dir_free_bytes"] {
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        assert!(value.unwrap().parse::<f64>().unwrap() > 0.0, "{name}");
    }
    prometheus_reads(&page);
}

/// Where Prometheus is installed, its own parser has to agree.
fn prometheus_reads(page: &str) {
    if Command::new("promtool").arg("--version").output().is_err() {
        return;
    }
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]);
    let said = said(promtool, page);
    // 3: it has read all of it, and would have given other names than Kafka's.
    assert!(said.code == 0 || said.code == 3, "{said:?}");
}

#[test]
fn a_program_reads_what_happens_to_a_node() {
    let folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/documents");
    let _ = std::fs::remove_dir_all(folder);
    let mut command = quiet_ottla();
    command.args(["server", "--override", &format!("log.dirs={folder}")]);
    command.args(["--override", "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0"]);
    command.args(["--override", "ottla.http.listener=", "--override", "num.io.threads=3"]);
    command.args(["--override", "ottla.log.format=json", "--override", "ottla.log.level=info"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    let mut told = Vec::new();
    while !told.iter().any(|line: &String| line.contains("\"message\":\"ready\"")) {
        told.push(lines.next().expect("it says that it is ready"));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(told.iter().all(|line| line.starts_with("{\"time\":\"") && line.ends_with("}}")));
    let has = |text: &str| told.iter().any(|line| line.contains(text));
    assert!(has("\"level\":\"WARN\"") && has("num.io.threads"), "{told:?}");
    assert!(has("\"level\":\"INFO\",\"message\":\"formatted\""), "{told:?}");
    assert!(has("\"http\":null,\"data\":") && has("\"durability\":\"fsync\""), "{told:?}");
}

#[test]
fn a_port_that_somebody_asked_for_must_be_there() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = format!("ottla.http.listener=http://{}", taken.local_addr().unwrap());
    let folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/taken");
    let mut command = quiet_ottla();
    command.args(["server", "--override", &listener]);
    command.args(["--override", &format!("log.dirs={folder}")]);
    command.args(["--override", "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0"]);
    let said = said(command, "");
    assert_eq!(said.code, 1);
    assert!(said.err.starts_with("ottla: cannot listen on HTTP://127.0.0.1:"), "{said:?}");
}
