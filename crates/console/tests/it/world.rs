//! A node with its HTTP side, and who asks it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use ottla_broker::{Node, NodeConfig, Properties};
use ottla_client::Client;
use ottla_console::Console;
use ottla_env::{Env, Stream};
use ottla_sim::{Host, Sim};

const KAFKA: u16 = 9092;
const HTTP: u16 = 8080;

/// Whoever asks.
pub(crate) struct Operator {
    pub(crate) env: Env,
    node: Host,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Got {
    /// The first line, without the version.
    pub(crate) status: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Operator {
    /// A client of the node.
    pub(crate) fn client(&self) -> Client {
        Client::builder(self.env.clone()).bootstrap(self.node.address(KAFKA)).build()
    }

    pub(crate) async fn connect(&self) -> Box<dyn Stream> {
        self.env.net.connect(self.node.address(HTTP)).await.unwrap()
    }

    /// Says something, and reads until the connection ends.
    pub(crate) async fn say(&self, request: &[u8]) -> Option<Got> {
        let mut stream = self.connect().await;
        stream.write_all(Bytes::copy_from_slice(request)).await.unwrap();
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            all.extend_from_slice(&buffer[..count]);
        }
        let text = String::from_utf8(all).unwrap();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.lines().next()?.split_once(' ')?.1.to_owned();
        let chunked = head.contains("transfer-encoding: chunked") && !body.is_empty();
        let body = if chunked { unchunked(body) } else { body.to_owned() };
        Some(Got { status, head: head.to_owned(), body })
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.say(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap()
    }
}

fn unchunked(body: &str) -> String {
    let (mut rest, mut text) = (body, String::new());
    while !rest.is_empty() {
        let (length, after) = rest.split_once("\r\n").unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        text += &after[..length];
        rest = after[length..].strip_prefix("\r\n").unwrap();
    }
    assert!(body.ends_with("0\r\n\r\n"), "the last chunk is missing");
    text
}

/// Runs `main` on another machine than the node's. The HTTP side is there at once, the node itself
/// starts `after`.
pub(crate) fn beside_node<T: 'static>(
    after: Duration,
    main: impl AsyncFnOnce(Operator) -> T + 'static,
) -> T {
    let mut sim = Sim::new(1);
    let (operator, node) = (sim.host(), sim.host());
    sim.run(&operator, async move |env: Env| {
        let began = Rc::new(Cell::new(false));
        let (config, says) = (config(&node), Rc::clone(&began));
        let address = node.address(HTTP);
        node.start(2, move |env| {
            Box::pin(async move {
                let console = Console::start(&env, address, "1.2.3").unwrap();
                assert_eq!(console.address(), address);
                says.set(after > Duration::ZERO);
                env.clock.sleep(after).await;
                let node = Node::start(env, config).await.unwrap();
                console.watch(node.watch());
                says.set(true);
                std::future::pending::<()>().await;
            })
        });
        while !began.get() {
            env.clock.sleep(Duration::from_millis(5)).await;
        }
        main(Operator { env, node }).await
    })
}

fn config(node: &Host) -> NodeConfig {
    let ip = node.id().ip();
    let listeners = format!("PLAINTEXT://{ip}:{KAFKA},CONTROLLER://{ip}:9093");
    let properties = [
        ("listeners", listeners.as_str()),
        ("log.dirs", "data"),
        ("offsets.topic.num.partitions", "2"),
    ];
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let properties: Properties = properties.into_iter().map(own).collect();
    NodeConfig::parse(&properties, None).unwrap()
}
