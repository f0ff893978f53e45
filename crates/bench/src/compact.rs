//! How much a broker spends on compacting a log: a topic is filled while nothing compacts it, then
//! told to be compacted, and watched on the disk until it does not shrink any more.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::batches::Keyed;
use crate::connection::Connection;
use crate::frames::{self, compaction};
use crate::load::{Load, drive};
use crate::process::{self, CpuClock};

/// A log that has not shrunk by then is not compacted at all.
const SECONDS_MAX: u64 = 600;
/// How often the disk is looked at, and how long it has to stand still: a broker may compact what
/// has been synced, and sync every few seconds.
const PAUSE: Duration = Duration::from_millis(50);
const STILL: Duration = Duration::from_secs(6);
/// The last segment is written to and never compacted: it is small beside the rest.
const SEGMENT_BYTES: u64 = 32 << 20;
const BATCH_BYTES: usize = 64 << 10;
const IN_FLIGHT: usize = 5;

/// One run.
#[derive(Debug)]
struct Options {
    address: SocketAddr,
    pid: u32,
    data: PathBuf,
    megabytes: u64,
    /// Different keys, drawn at random.
    keys: u64,
    record_bytes: usize,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let (keys, record_bytes) = (200_000, 1_000);
        let mut options =
            Self { address, pid: 0, data: PathBuf::new(), megabytes: 500, keys, record_bytes };
        for pair in arguments.chunks(2) {
            let [name, value] = pair else { return Err(format!("{} needs a value", pair[0])) };
            options.set(name, value)?;
        }
        if options.address.port() == 0 || options.pid == 0 || !options.data.is_dir() {
            return Err("--address HOST:PORT, --pid PID and --data FOLDER are needed".to_owned());
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        match name {
            "--address" => self.address = value(name, text)?,
            "--pid" => self.pid = value(name, text)?,
            "--data" => self.data = value(name, text)?,
            "--megabytes" => self.megabytes = value(name, text)?,
            "--keys" => self.keys = value::<u64>(name, text)?.max(1),
            "--record-bytes" => self.record_bytes = value(name, text)?,
            _ => return Err(format!("unknown option `{name}`")),
        }
        Ok(())
    }
}

fn value<T: FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{name} cannot be `{text}`"))
}

/// Batches of records with random keys, made while they are sent: nobody measures that.
#[derive(Debug)]
struct Fill {
    topic: String,
    keyed: Keyed,
    bytes_left: u64,
}

impl Load for Fill {
    fn next(&mut self, _connection: usize) -> Option<Rc<[u8]>> {
        if self.bytes_left == 0 {
            return None;
        }
        let batch = self.keyed.batch(BATCH_BYTES);
        self.bytes_left = self.bytes_left.saturating_sub(batch.len() as u64);
        let part = std::iter::once((0, batch.as_slice()));
        Some(frames::produce(&self.topic, part, 1).into())
    }

    fn on_answer(&mut self, _connection: usize, answer: &[u8]) -> Result<(), String> {
        frames::produced(answer)
    }
}

/// Fills, begins, watches.
///
/// # Errors
/// When the broker refuses, or the log does not shrink.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    let topic = frames::fresh_topic();
    let mut control = Connection::open(options.address).map_err(|error| error.to_string())?;
    let created = ask(&mut control, &compaction::create(&topic, SEGMENT_BYTES))?;
    frames::topic_created(&created)?;
    let bytes_left = options.megabytes << 20;
    let keyed = Keyed::new(options.keys, options.record_bytes);
    let mut fill = Fill { topic: topic.clone(), keyed, bytes_left };
    settle(&mut control, &mut fill)?;
    process::back_memory(2 * bytes_left);
    let mut connections = crate::open(options.address, 1)?;
    drive(&mut connections, IN_FLIGHT, &mut fill)?;
    let folder = options.data.join(format!("{topic}-0"));
    let before = log_bytes(&folder)?;
    let clock = CpuClock::of(options.pid)?;
    let (cpu, started) = (clock.seconds(), Instant::now());
    compaction::begun(&ask(&mut control, &compaction::begin(&topic))?)?;
    let (after, ended, cpu_ended) = until_still(&folder, before, clock)?;
    println!("compact.bytes {before}");
    println!("compact.bytes_left {after}");
    println!("compact.wall_s {:.6}", (ended - started).as_secs_f64());
    println!("compact.broker_cpu_s {:.6}", cpu_ended - cpu);
    for (name, value) in process::memory(options.pid).map_err(|error| error.to_string())? {
        println!("{name} {value}");
    }
    Ok(())
}

/// A topic is created before its partition is open.
fn settle(control: &mut Connection, fill: &mut Fill) -> Result<(), String> {
    let frame = fill.next(0).ok_or("nothing to fill with")?;
    let deadline = Instant::now() + Duration::from_secs(SECONDS_MAX);
    loop {
        match frames::produced(&ask(control, &frame)?) {
            Ok(()) => return Ok(()),
            Err(why) if Instant::now() > deadline => return Err(why),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Bytes, time and CPU clock of the last change, once there has been none for a while after the
/// log had shrunk.
fn until_still(folder: &Path, before: u64, clock: CpuClock) -> Result<(u64, Instant, f64), String> {
    let deadline = Instant::now() + Duration::from_secs(SECONDS_MAX);
    let mut last = (before, Instant::now(), clock.seconds());
    while last.0 >= before || last.1.elapsed() < STILL {
        if Instant::now() > deadline {
            return Err(format!("{before} bytes became {} and no fewer", last.0));
        }
        std::thread::sleep(PAUSE);
        let bytes = log_bytes(folder)?;
        if bytes != last.0 {
            last = (bytes, Instant::now(), clock.seconds());
        }
    }
    Ok(last)
}

/// Of the segments that are there for readers: neither those in the making nor those that go.
fn log_bytes(folder: &Path) -> Result<u64, String> {
    let files = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let size = |file: std::fs::DirEntry| {
        let is_log = file.path().extension().is_some_and(|extension| extension == "log");
        // One that goes meanwhile counts for nothing.
        file.metadata().ok().filter(|_| is_log).map(|about| about.len())
    };
    Ok(files.flatten().filter_map(size).sum())
}

fn ask(connection: &mut Connection, frame: &[u8]) -> Result<Vec<u8>, String> {
    connection.ask(frame).map_err(|error| error.to_string())
}
