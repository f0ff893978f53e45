//! A node on a machine of its own, and a client on another.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use ottla_broker::{Node, NodeConfig, Properties};
use ottla_client::{Client, ClientBuilder};
use ottla_env::Env;
use ottla_sim::{Death, Host, Sim};

const PORT: u16 = 9092;

/// The machine of a node; its clones are about the same machine.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) host: Host,
    config: NodeConfig,
    properties: &'static [(&'static str, &'static str)],
}

impl Machine {
    fn new(host: Host, more: &'static [(&'static str, &'static str)]) -> Self {
        let ip = host.id().ip();
        let listeners = format!("PLAINTEXT://{ip}:{PORT},CONTROLLER://{ip}:9093");
        let mut properties: Properties = [("listeners", listeners.as_str()), ("log.dirs", "data")]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        for (name, value) in more {
            properties.insert((*name).to_owned(), (*value).to_owned());
        }
        let config = NodeConfig::parse(&properties, None).unwrap();
        Self { host, config, properties: more }
    }

    /// Starts the node, and waits until it serves.
    pub(crate) async fn start(&self, env: &Env) {
        let (config, serves) = (self.config.clone(), Rc::new(Cell::new(false)));
        let told = Rc::clone(&serves);
        self.host.start(2, |env| {
            Box::pin(async move {
                let _node = Node::start(env, config).await.unwrap();
                told.set(true);
                std::future::pending::<()>().await;
            })
        });
        while !serves.get() {
            env.clock.sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends the process of the node, and starts it again after a while.
    pub(crate) async fn restart(&self, env: &Env, down: Duration) {
        self.host.end(Death::Kill);
        env.clock.sleep(down).await;
        self.start(env).await;
    }
}

/// Begins a client of a node.
pub(crate) fn client(env: &Env, machine: &Machine) -> ClientBuilder {
    let address = machine.host.address(PORT);
    Client::builder(env.clone()).bootstrap(address).request_timeout(Duration::from_secs(5))
}

/// Runs `main` beside a node, with a client of it.
pub(crate) fn with_node<T: 'static>(
    seed: u64,
    main: impl AsyncFnOnce(Env, Machine, Client) -> T + 'static,
) -> T {
    with_configured_node(seed, &[], main)
}

/// As [`with_node`], with properties of the node.
pub(crate) fn with_configured_node<T: 'static>(
    seed: u64,
    properties: &'static [(&'static str, &'static str)],
    main: impl AsyncFnOnce(Env, Machine, Client) -> T + 'static,
) -> T {
    let mut sim = Sim::new(seed);
    let operator = sim.host();
    let machine = Machine::new(sim.host(), properties);
    sim.run(&operator, async move |env: Env| {
        machine.start(&env).await;
        let client = client(&env, &machine).build();
        main(env, machine, client).await
    })
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} with {:?}", self.host, self.properties)
    }
}
