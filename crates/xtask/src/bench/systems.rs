//! The systems, and how each is started.

use std::path::PathBuf;

use crate::node::{Launch, Node};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// Ours with Kafka's bargain: what the operating system holds is acknowledged.
    PageCache,
    /// Ours as it is by default: what is acknowledged to acks=all, and shown, is on disk.
    Fsync,
    /// Kafka as it is by default.
    Kafka,
    /// Kafka whose classes were loaded before and written down (AppCDS): its fastest start.
    KafkaArchived,
    /// Kafka that syncs before each acknowledgement.
    KafkaFsync,
}

impl System {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::PageCache => "Ottla, page-cache",
            Self::Fsync => "Ottla, fsync",
            Self::Kafka => "Apache Kafka, page cache",
            Self::KafkaArchived => "Apache Kafka, AppCDS",
            Self::KafkaFsync => "Apache Kafka, fsync",
        }
    }

    pub(crate) const fn is_ours(self) -> bool {
        matches!(self, Self::PageCache | Self::Fsync)
    }

    /// What decides what an acknowledgement is worth.
    const fn durability(self) -> Option<&'static str> {
        match self {
            Self::PageCache => Some("ottla.durability=page-cache"),
            Self::Fsync => Some("ottla.durability=fsync"),
            Self::Kafka | Self::KafkaArchived => None,
            Self::KafkaFsync => Some("log.flush.interval.messages=1"),
        }
    }

    /// A fresh folder and a command line; `both` systems get the one list of properties, Kafka
    /// alone the other.
    pub(crate) fn launch(
        self,
        kafka: &Kafka,
        both: &[&str],
        for_kafka: &[&str],
    ) -> Result<Launch, String> {
        let properties = both.iter().copied().chain(self.durability());
        if self.is_ours() {
            return Launch::ottla(&properties.collect::<Vec<_>>()).map(Launch::left_behind);
        }
        let properties = properties.chain(for_kafka.iter().copied()).map(str::to_owned);
        let Settings { network, io, heap_gib } = kafka.settings;
        let threads = [format!("num.network.threads={network}"), format!("num.io.threads={io}")];
        let mut jvm = vec![format!("-Xms{heap_gib}g"), format!("-Xmx{heap_gib}g")];
        let properties: Vec<String> = threads.into_iter().chain(properties).collect();
        if self == Self::KafkaArchived {
            let archive = archive(&kafka.classpath, &jvm, &properties)?;
            jvm.push(format!("-XX:SharedArchiveFile={}", archive.display()));
        }
        Launch::kafka(&kafka.classpath, &jvm, &properties).map(Launch::left_behind)
    }
}

/// The classes of a start and a stop; made by the first who needs it, gone with the call's folder.
fn archive(classpath: &str, jvm: &[String], properties: &[String]) -> Result<PathBuf, String> {
    let path = std::env::temp_dir().join("kafka.jsa");
    if !path.exists() {
        let mut jvm = jvm.to_vec();
        jvm.push(format!("-XX:ArchiveClassesAtExit={}", path.display()));
        let launch = Launch::kafka(classpath, &jvm, properties)?.left_behind();
        Node::start(launch, &[])?.stop()?;
    }
    Ok(path)
}

/// Where Apache Kafka is, and the settings that it runs with.
#[derive(Clone, Debug)]
pub(crate) struct Kafka {
    pub(crate) classpath: String,
    pub(crate) settings: Settings,
}

/// What is worth trying on a small machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    network: u8,
    io: u8,
    heap_gib: u8,
}

impl Settings {
    pub(crate) const ALL: [Self; 4] = [
        Self { network: 2, io: 2, heap_gib: 1 },
        Self { network: 2, io: 4, heap_gib: 1 },
        Self { network: 2, io: 2, heap_gib: 2 },
        Self { network: 2, io: 4, heap_gib: 2 },
    ];

    /// From `network/io/heap`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('/').map(str::parse);
        let mut next = || numbers.next()?.ok();
        let settings = Self { network: next()?, io: next()?, heap_gib: next()? };
        numbers.next().is_none().then_some(settings)
    }

    pub(crate) fn describe(self) -> String {
        let Self { network, io, heap_gib } = self;
        format!("{network} network and {io} I/O threads, heap {heap_gib} GiB, G1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_three_numbers() {
        check("2/4/1", Some(Settings { network: 2, io: 4, heap_gib: 1 }));
        check("2/4", None);
        check("2/4/1/1", None);
        check("2/x/1", None);
    }

    fn check(text: &str, expected: Option<Settings>) {
        assert_eq!(Settings::parse(text), expected, "{text}");
    }
}
