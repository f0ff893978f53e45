//! What is exported: a list of families, and what writes each.
//!
//! Names are those that dashboards of Kafka use: the JMX exporter's (`kafka_server_...`),
//! kafka_exporter's (`kafka_topic_...`, `kafka_consumergroup_...`) and kafka-lag-exporter's
//! (`kafka_consumergroup_group_...`). What Kafka does not count begins with `ottla_`.

mod cluster;
mod groups;
mod lag;
mod node;
mod partitions;
mod topics;
mod window;

use std::fmt::Write as _;
use std::io;

use ottla_broker::{DirectorySpace, GroupsReport, NodeReport, TopicReport, TrafficReport, Watch};
use ottla_env::Clock;

use crate::family::Family;
use crate::page::Page;
use crate::within::pause;
use lag::Ages;
use window::Window;

/// Committed offsets that a page tells at most, in four lines of 120 bytes each.
const OFFSETS_MAX: usize = 50_000;

/// Partitions that are looked at before the loop's other tasks have their turn.
const PARTITIONS_AT_ONCE: usize = 256;

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The node, the cluster, topics and groups.
    Topics,
    /// Single partitions, too.
    Partitions,
}

/// Everything that a page is made of, as of one moment, more or less.
#[derive(Debug)]
pub(crate) struct Scraped {
    node: NodeReport,
    space: Option<DirectorySpace>,
    topics: Vec<TopicReport>,
    total: TrafficReport,
    groups: GroupsReport,
    ages: Ages,
    /// What was counted lately.
    lately: Window,
}

/// Makes pages, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Scraper {
    window: Window,
}

impl Scraper {
    /// Looks at a node; `None` after its end.
    pub(crate) async fn scrape(&mut self, watch: &Watch, clock: &dyn Clock) -> Option<Scraped> {
        let (mut topics, mut total) = (Vec::new(), TrafficReport::default());
        let mut looked_at = 0;
        for name in watch.topics() {
            let Some(topic) = watch.topic(&name) else { continue };
            total += topic.traffic;
            looked_at += topic.partitions.len();
            topics.push(topic);
            if looked_at >= PARTITIONS_AT_ONCE {
                looked_at = 0;
                pause().await;
            }
        }
        let total = watch.total(total);
        let groups = watch.groups(OFFSETS_MAX).await;
        let ages = Ages::find(&groups.groups, watch, clock).await;
        let space = watch.space().await;
        let node = watch.node()?;
        let lately = self.window.look(&node, clock.mono());
        Some(Scraped { node, space, topics, total, groups, ages, lately })
    }
}

impl Scraped {
    pub(crate) async fn write(
        &self,
        page: &mut Page<'_, '_>,
        version: &str,
        extent: Extent,
    ) -> io::Result<()> {
        node::write(page, self, version);
        cluster::write(page, self);
        topics::write(page, self).await?;
        if extent == Extent::Partitions {
            partitions::write(page, self).await?;
        }
        groups::write(page, self, extent).await?;
        lag::write(page, self, extent).await
    }
}

/// Families that belong together.
struct Section {
    title: &'static str,
    about: &'static str,
    families: &'static [&'static Family],
}

static SECTIONS: [&Section; 6] = [
    &node::SECTION,
    &cluster::SECTION,
    &topics::SECTION,
    &partitions::SECTION,
    &groups::SECTION,
    &lag::SECTION,
];

const HEAD: &str = "\
# Metrics

A node with `ottla.http.listener` answers `GET /metrics` in the text format of Prometheus; a node
that is started without a configuration file has one at `http://127.0.0.1:8080`. This page is
written by `cargo xtask gen` from the list that the node exports: nothing else is exported.

The names are those that dashboards of Kafka use: the JMX exporter's, as Strimzi's rules and most
vendors spell them, kafka_exporter's, and kafka-lag-exporter's. So existing dashboards and alerts
go on, and no exporter is needed. What Kafka does not count begins with `ottla_`. What a node of
Ottla does not have, it does not export: there are no request queues, no pools of handlers, no JVM.

`GET /metrics/topics` leaves out what is told of single partitions: for nodes that have very many.

    scrape_configs:
      - job_name: kafka
        static_configs: [{targets: ['127.0.0.1:8080']}]

Counters begin at zero when the node starts, those of a topic when it is made. A few alerts that
are worth having: `kafka_controller_kafkacontroller_offlinepartitionscount > 0`,
`ottla_log_dir_takes_records == 0`, `kafka_consumergroup_group_max_lag_seconds` beyond how late a
reader may be, and `up == 0`.
";

/// The list of all metrics, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for Section { title, about, families } in SECTIONS {
        let mut line = |text: &str| writeln!(page, "{text}").expect("a String takes everything");
        line(&format!("\n## {title}\n\n{about}\n\n| metric | type | labels | meaning |"));
        line("|---|---|---|---|");
        for Family { name, kind, labels, help } in *families {
            let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
            line(&format!("| `{name}` | {} | {} | {help} |", kind.name(), labels.join(", ")));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::family::Kind;

    #[test]
    fn every_family_has_a_name_of_its_own_and_a_sentence() {
        let mut names = BTreeSet::new();
        for family in SECTIONS.iter().flat_map(|section| section.families) {
            let Family { name, kind, labels, help } = family;
            assert!(names.insert(*name), "{name} twice");
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(name.chars().all(legal), "{name}");
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(help.ends_with('.') && !help.contains(['\n', '\\', '|']), "{name}: {help}");
            assert!(labels.iter().all(|label| *label != "le"), "{name}");
        }
    }
}
