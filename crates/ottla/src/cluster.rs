//! `ottla cluster`: who it is, who is in it, and whether it is well.

use std::process::ExitCode;
use std::time::Duration;

use ottla_client::TopicMetadata;
use ottla_types::TopicName;

use crate::clients;
use crate::failure::{Failure, say};
use crate::reach::{self, Reach, Session};
use crate::show::{Answer, Cell, Column, Format, Page, Show, Table, Watch, print};

/// Shows a cluster: its brokers, its quorum, its features, its health
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    reach: Reach,

    #[command(flatten)]
    show: Show,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Shows who the cluster is, and how much there is in it
    #[command(after_help = "Examples:\n  ottla cluster info\n  ottla cluster info -o json")]
    Info,
    /// Lists the brokers, where they are and what they keep
    #[command(after_help = "Examples:\n  ottla cluster nodes -o wide\n  \
                            ottla cluster nodes --watch --times 2 --every 500ms")]
    Nodes {
        #[command(flatten)]
        watch: Watch,
    },
    /// Shows who leads the metadata, and how far the others are
    #[command(after_help = "Examples:\n  ottla cluster quorum")]
    Quorum,
    /// Lists the features of the cluster and their levels
    #[command(after_help = "Examples:\n  ottla cluster features")]
    Features,
    /// Lists the software that has connections to a node which serves its metrics over HTTP
    #[command(after_help = "Examples:\n  ottla cluster clients --http 127.0.0.1:8080")]
    Clients {
        /// Where the node serves its metrics: its property ottla.http.listener
        #[arg(long, value_name = "HOST:PORT", default_value = clients::HTTP)]
        http: String,
    },
    /// Says whether every broker answers and every partition is led and replicated
    #[command(after_help = "Examples:\n  ottla cluster health\n  ottla cluster health --wait 30s")]
    Health {
        /// Wait so long for it to be well
        #[arg(long, value_name = "TIME", value_parser = crate::when::duration)]
        wait: Option<Duration>,
    },
}

pub(crate) fn run(arguments: &Arguments, before: &Reach) -> ExitCode {
    let reach = arguments.reach.clone().or(before);
    let format = Format::or_default(arguments.show.output);
    match &arguments.command {
        Command::Health { wait } => {
            reach::run_patiently(&reach, async |session| health(*wait, format, session).await)
        }
        Command::Clients { http } => clients::run(http, format),
        Command::Info => reach::run(&reach, async |session| info(format, session).await),
        Command::Nodes { watch } => reach::run(&reach, async |session| {
            let made = async || nodes(session).await;
            watch.show(&*session.env.clock, ("nodes", format), made).await
        }),
        Command::Quorum => reach::run(&reach, async |session| quorum(format, session).await),
        Command::Features => reach::run(&reach, async |session| features(format, session).await),
    }
}

async fn info(format: Format, session: &Session) -> Result<(), Failure> {
    let admin = session.admin();
    let cluster = admin.describe_cluster().await?;
    let (nodes, topics) = (admin.nodes().await?, admin.list_topics().await?);
    let partitions: usize = topics.values().map(|topic| topic.partitions.len()).sum();
    let mut page = Page::default();
    page.field("cluster", "cluster", Cell::text(cluster.id));
    page.field("controller", "controller", Cell::maybe(cluster.controller, Cell::number));
    page.field("brokers", "brokers", Cell::length(nodes.len()));
    page.field("topics", "topics", Cell::length(topics.len()));
    page.field("partitions", "partitions", Cell::length(partitions));
    Ok(print("cluster", &Answer::Pages(vec![page]), format)?)
}

const NODES: &[Column] = &[
    Column::number("NODE", "node"),
    Column::text("HOST", "host"),
    Column::number("PORT", "port"),
    Column::number("LEADS", "leads"),
    Column::number("SIZE", "bytes"),
    Column::number("FREE", "bytes_free"),
    Column::text("RACK", "rack").wide(),
    Column::text("FOLDERS", "log_dirs").wide(),
];

async fn nodes(session: &Session) -> Result<Answer, Failure> {
    let admin = session.admin();
    let (nodes, topics, dirs) =
        (admin.nodes().await?, admin.list_topics().await?, admin.log_dirs().await?);
    let mut table = Table::new(NODES);
    for node in nodes {
        let partitions = topics.values().flat_map(|topic| &topic.partitions);
        let leads = partitions.filter(|each| each.leader == Some(node.id)).count();
        let ours: Vec<_> = dirs.iter().filter(|dir| dir.broker == node.id).collect();
        let bytes = ours.iter().flat_map(|dir| dir.replicas.values()).sum();
        let free = ours.iter().filter_map(|dir| dir.bytes_usable).reduce(u64::saturating_add);
        let paths: Vec<&str> = ours.iter().map(|dir| dir.path.as_str()).collect();
        table.row([
            Cell::number(node.id),
            Cell::text(node.host),
            Cell::number(node.port),
            Cell::length(leads),
            Cell::bytes(bytes),
            Cell::maybe(free, Cell::bytes),
            Cell::maybe(node.rack, Cell::text),
            Cell::text(paths.join(",")),
        ]);
    }
    Ok(Answer::Table(table))
}

const QUORUM: &[Column] = &[
    Column::number("NODE", "node"),
    Column::text("ROLE", "role"),
    Column::number("END", "log_end"),
    Column::number("LAG", "lag"),
    Column::text("CAUGHT-UP", "caught_up").wide(),
];

async fn quorum(format: Format, session: &Session) -> Result<(), Failure> {
    let quorum = session.admin().describe_quorum().await?;
    let of_leader = quorum.voters.iter().find(|voter| Some(voter.id) == quorum.leader);
    let leader_end = of_leader.and_then(|leader| leader.log_end);
    let mut table = Table::new(QUORUM);
    let voters = quorum.voters.iter().map(|voter| (voter, "voter"));
    for (each, role) in voters.chain(quorum.observers.iter().map(|each| (each, "observer"))) {
        let role = if Some(each.id) == quorum.leader { "leader" } else { role };
        let lag = leader_end.zip(each.log_end).map(|(leader, own)| leader.get() - own.get());
        table.row([
            Cell::number(each.id),
            Cell::text(role),
            Cell::maybe(each.log_end, |end| Cell::number(end.get())),
            Cell::maybe(lag, Cell::number),
            Cell::text(crate::words::time(each.caught_up)),
        ]);
    }
    let mut page = Page::default();
    page.field("leader", "leader", Cell::maybe(quorum.leader, Cell::number));
    page.field("epoch", "leader_epoch", Cell::number(quorum.leader_epoch));
    let committed = Cell::maybe(quorum.high_watermark, |end| Cell::number(end.get()));
    page.field("committed", "high_watermark", committed);
    page.table("Nodes", "nodes", table);
    Ok(print("quorum", &Answer::Pages(vec![page]), format)?)
}

const FEATURES: &[Column] = &[
    Column::text("FEATURE", "feature"),
    Column::number("LEVEL", "finalized"),
    Column::number("LOWEST", "supported_min"),
    Column::number("HIGHEST", "supported_max"),
];

async fn features(format: Format, session: &Session) -> Result<(), Failure> {
    let mut table = Table::new(FEATURES);
    for feature in session.admin().features().await? {
        table.row([
            Cell::text(feature.name),
            Cell::maybe(feature.finalized, Cell::number),
            Cell::maybe(feature.supported.map(|(low, _)| low), Cell::number),
            Cell::maybe(feature.supported.map(|(_, high)| high), Cell::number),
        ]);
    }
    Ok(print("features", &Answer::Table(table), format)?)
}

const HEALTH: &[Column] = &[Column::text("PROBLEM", "problem"), Column::text("WHERE", "where")];

async fn health(wait: Option<Duration>, format: Format, session: &Session) -> Result<(), Failure> {
    let until = session.env.clock.mono().after(wait.unwrap_or(Duration::ZERO));
    loop {
        let problems = match reach::greet(session).await {
            Err(failure) => Err(failure),
            Ok(()) => problems(session).await,
        };
        let is_well = problems.as_ref().is_ok_and(Vec::is_empty);
        if is_well || session.env.clock.mono() >= until {
            return end_health(problems?, format);
        }
        session.env.clock.sleep(Duration::from_millis(250)).await;
    }
}

fn end_health(problems: Vec<(&'static str, String)>, format: Format) -> Result<(), Failure> {
    let mut table = Table::new(HEALTH);
    let is_well = problems.is_empty();
    for (problem, place) in problems {
        table.row([Cell::text(problem), Cell::text(place)]);
    }
    if is_well {
        say("the cluster is well");
        // People have read it; programs want their document.
        return if format.is_json() {
            Ok(print("health", &Answer::Table(table), format)?)
        } else {
            Ok(())
        };
    }
    print("health", &Answer::Table(table), format)?;
    Err(Failure::Items)
}

/// What is wrong with a cluster that answers.
async fn problems(session: &Session) -> Result<Vec<(&'static str, String)>, Failure> {
    let admin = session.admin();
    let mut problems = Vec::new();
    for node in admin.nodes().await? {
        if let Err(why) = session.client.try_broker(&node).await {
            let place = format!("broker {} at {}:{}: {why}", node.id, node.host, node.port);
            problems.push(("broker out of reach", place));
        }
    }
    if admin.describe_cluster().await?.controller.is_none() {
        problems.push(("no controller", "the cluster".to_owned()));
    }
    for (name, topic) in admin.list_topics().await? {
        of_topic(&name, &topic, &mut problems);
    }
    Ok(problems)
}

fn of_topic(name: &TopicName, topic: &TopicMetadata, problems: &mut Vec<(&'static str, String)>) {
    for partition in &topic.partitions {
        let place = || format!("{name}-{}", partition.id);
        if partition.leader.is_none() {
            problems.push(("no leader", place()));
        } else if partition.isr.len() < partition.replicas.len() {
            problems.push(("not in sync", place()));
        }
    }
}
