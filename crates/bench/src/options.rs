//! What a run is told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ottla_records::Compression;

use crate::batches::Shape;

/// One run of the generator.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) address: SocketAddr,
    /// The broker's process.
    pub(crate) pid: u32,
    pub(crate) requests: u64,
    pub(crate) connections: usize,
    /// Requests that each connection keeps unanswered.
    pub(crate) in_flight: usize,
    pub(crate) partitions: i32,
    /// Records in a batch.
    pub(crate) records: usize,
    /// Bytes of a record's value.
    pub(crate) record_bytes: usize,
    pub(crate) codec: Compression,
    /// Partitions that a request writes to, a batch each.
    pub(crate) per_request: usize,
    pub(crate) acks: i16,
    /// Read everything back afterwards.
    pub(crate) fetch: bool,
    /// Delete the topic at the end.
    pub(crate) delete: bool,
    /// Then let so many consumers read everything each; one measurement for each number.
    pub(crate) readers: Vec<usize>,
    /// The topic, made where it does not exist; one that nobody has used where none is named.
    pub(crate) topic: Option<String>,
    /// The broker's log directory.
    pub(crate) data: Option<PathBuf>,
    /// How long live traffic is measured alone.
    pub(crate) seconds: u64,
    /// Live traffic, a second.
    pub(crate) live_megabytes: f64,
    /// Probes, a second.
    pub(crate) probes: f64,
    /// Requests, a second, whatever the answers do.
    pub(crate) rate: f64,
    /// Consumers at the end of the topic, each on a connection of its own.
    pub(crate) consumers: usize,
    /// A beginning that does not count, in seconds.
    pub(crate) lead_in: f64,
}

impl Options {
    /// Parses `--name value` pairs.
    ///
    /// # Errors
    /// For an unknown option, a value that does not parse, or no address and process.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            pid: 0,
            requests: 10_000,
            connections: 4,
            in_flight: 5,
            partitions: 12,
            records: 64,
            record_bytes: 1_000,
            codec: Compression::None,
            per_request: 1,
            acks: 1,
            fetch: false,
            delete: false,
            readers: Vec::new(),
            topic: None,
            data: None,
            seconds: 20,
            live_megabytes: 50.0,
            probes: 1_000.0,
            rate: 1_000.0,
            consumers: 1,
            lead_in: 1.0,
        };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            options.set(name, &mut rest)?;
        }
        if options.address.port() == 0 || options.pid == 0 {
            return Err("--address HOST:PORT and --pid PID are needed".to_owned());
        }
        Ok(options)
    }

    /// What its batches are made of.
    pub(crate) const fn shape(&self) -> Shape {
        Shape { records: self.records, record_bytes: self.record_bytes, codec: self.codec }
    }

    fn set<'a>(
        &mut self,
        name: &str,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), String> {
        match name {
            "--address" => self.address = value(name, rest)?,
            "--pid" => self.pid = value(name, rest)?,
            "--requests" => self.requests = value(name, rest)?,
            "--connections" => self.connections = value(name, rest)?,
            "--in-flight" => self.in_flight = value(name, rest)?,
            "--partitions" => self.partitions = value(name, rest)?,
            "--records" => self.records = value(name, rest)?,
            "--record-bytes" => self.record_bytes = value(name, rest)?,
            "--codec" => {
                let name: String = value(name, rest)?;
                let codec = Compression::ALL.into_iter().find(|codec| codec.name() == name);
                self.codec = codec.ok_or_else(|| format!("there is no codec `{name}`"))?;
            }
            "--per-request" => self.per_request = value::<usize>(name, rest)?.max(1),
            "--readers" => {
                let list: String = value(name, rest)?;
                let numbers = list.split(',').map(str::parse).collect::<Result<_, _>>();
                self.readers = numbers.map_err(|_| format!("--readers cannot be `{list}`"))?;
            }
            "--rate" => self.rate = value(name, rest)?,
            "--consumers" => self.consumers = value(name, rest)?,
            "--lead-in" => self.lead_in = value(name, rest)?,
            "--acks" => self.acks = value(name, rest)?,
            "--fetch" => self.fetch = true,
            "--delete" => self.delete = true,
            "--data" => self.data = Some(value(name, rest)?),
            "--seconds" => self.seconds = value(name, rest)?,
            "--live-megabytes" => self.live_megabytes = value(name, rest)?,
            "--probes" => self.probes = value(name, rest)?,
            "--topic" => self.topic = Some(value(name, rest)?),
            _ => return Err(format!("unknown option `{name}`")),
        }
        Ok(())
    }
}

fn value<'a, T: FromStr>(
    name: &str,
    rest: &mut impl Iterator<Item = &'a String>,
) -> Result<T, String> {
    let text = rest.next().ok_or_else(|| format!("{name} needs a value"))?;
    text.parse().map_err(|_| format!("{name} cannot be `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_pairs_and_strangers_are_refused() {
        check("--address 127.0.0.1:9 --pid 7", Ok((9, 7)));
        check("--address 127.0.0.1:9 --pid 7 --fetch", Ok((9, 7)));
        check("--pid 7", Err("--address HOST:PORT and --pid PID are needed"));
        check("--pid x", Err("--pid cannot be `x`"));
        check("--pid", Err("--pid needs a value"));
        check("--speed 9", Err("unknown option `--speed`"));
    }

    fn check(text: &str, expected: Result<(u16, u32), &str>) {
        let arguments: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let parsed = Options::parse(&arguments).map(|it| (it.address.port(), it.pid));
        assert_eq!(parsed, expected.map_err(str::to_owned), "{text}");
    }
}
