//! Many topics: how long until they are there, and until they are gone.

use std::net::SocketAddr;
use std::rc::Rc;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::frames::{self, lookup, topics as topic_frames};
use crate::load::{Load, drive};
use crate::process::{self, CpuClock};

/// A topic without a leader after this long will not get one.
const LEADER_SECONDS_MAX: u64 = 120;

/// One run.
#[derive(Debug)]
struct Options {
    address: SocketAddr,
    pid: u32,
    topics: usize,
    partitions: i32,
    /// Topics named in one request.
    per_request: usize,
    /// Requests that are unanswered at a time.
    in_flight: usize,
    /// Whether they stay: 0 deletes them afterwards.
    keep: u8,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            pid: 0,
            topics: 10_000,
            partitions: 1,
            per_request: 10_000,
            in_flight: 1,
            keep: 0,
        };
        for pair in arguments.chunks(2) {
            let [name, value] = pair else { return Err(format!("{} needs a value", pair[0])) };
            options.set(name, value)?;
        }
        if options.address.port() == 0 || options.pid == 0 {
            return Err("--address HOST:PORT and --pid PID are needed".to_owned());
        }
        if options.topics == 0 || options.per_request == 0 || options.in_flight == 0 {
            return Err("--topics, --per-request and --in-flight begin at 1".to_owned());
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        match name {
            "--address" => self.address = value(name, text)?,
            "--pid" => self.pid = value(name, text)?,
            "--topics" => self.topics = value(name, text)?,
            "--partitions" => self.partitions = value(name, text)?,
            "--per-request" => self.per_request = value(name, text)?,
            "--in-flight" => self.in_flight = value(name, text)?,
            "--keep" => self.keep = value(name, text)?,
            _ => return Err(format!("unknown option `{name}`")),
        }
        Ok(())
    }
}

fn value<T: FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{name} cannot be `{text}`"))
}

/// Frames to be sent once each, all answered alike.
struct Once {
    /// The last one first.
    frames: Vec<Rc<[u8]>>,
    check: fn(&[u8]) -> Result<(), String>,
}

impl Once {
    fn new(
        options: &Options,
        names: &[String],
        make: impl Fn(&[String]) -> Vec<u8>,
        check: fn(&[u8]) -> Result<(), String>,
    ) -> Self {
        let frames = names.chunks(options.per_request).map(|some| make(some).into());
        let frames: Vec<Rc<[u8]>> = frames.rev().collect();
        Self { frames, check }
    }
}

impl Load for Once {
    fn next(&mut self, _connection: usize) -> Option<Rc<[u8]>> {
        self.frames.pop()
    }

    fn on_answer(&mut self, _connection: usize, answer: &[u8]) -> Result<(), String> {
        (self.check)(answer)
    }
}

/// Makes the topics and waits until the last one has its leaders; then deletes them, unless they
/// are to be kept.
///
/// # Errors
/// When the system refuses.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    let prefix = frames::fresh_topic();
    let names: Vec<String> = (0..options.topics).map(|at| format!("{prefix}-{at}")).collect();
    let mut connection = Connection::open(options.address).map_err(|error| error.to_string())?;
    let create = |some: &[String]| topic_frames::create(some, options.partitions);
    let load = Once::new(&options, &names, create, topic_frames::created);
    measure("create", &options, &mut connection, load, |control| {
        until_led(control, names.last().expect("there is a topic"), options.partitions)
    })?;
    if options.keep == 0 {
        let load = Once::new(&options, &names, topic_frames::delete, topic_frames::deleted);
        measure("delete", &options, &mut connection, load, |control| {
            until_gone(control, names.last().expect("there is a topic"))
        })?;
    }
    println!("topics.count {}", options.topics);
    for (name, value) in process::memory(options.pid).map_err(|error| error.to_string())? {
        println!("{name} {value}");
    }
    Ok(())
}

fn measure(
    name: &str,
    options: &Options,
    connection: &mut Connection,
    mut load: Once,
    settle: impl Fn(&mut Connection) -> Result<(), String>,
) -> Result<(), String> {
    let clock = CpuClock::of(options.pid)?;
    let (cpu, started) = (clock.seconds(), Instant::now());
    drive(std::slice::from_mut(connection), options.in_flight, &mut load)?;
    println!("topics.{name}_answered_ms {:.1}", started.elapsed().as_secs_f64() * 1e3);
    settle(connection)?;
    println!("topics.{name}_ms {:.1}", started.elapsed().as_secs_f64() * 1e3);
    println!("topics.{name}_broker_cpu_s {:.6}", clock.seconds() - cpu);
    Ok(())
}

fn until_led(control: &mut Connection, topic: &str, partitions: i32) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(LEADER_SECONDS_MAX);
    let wanted = usize::try_from(partitions).map_err(|error| error.to_string())?;
    loop {
        let answer = control.ask(&lookup::metadata(topic)).map_err(|error| error.to_string())?;
        match lookup::led(&answer) {
            Ok(led) if led == wanted => return Ok(()),
            Ok(led) if Instant::now() > deadline => {
                return Err(format!("{led} of {wanted} partitions of {topic} have a leader"));
            }
            Err(why) if Instant::now() > deadline => return Err(why),
            Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn until_gone(control: &mut Connection, topic: &str) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(LEADER_SECONDS_MAX);
    loop {
        let answer = control.ask(&lookup::metadata(topic)).map_err(|error| error.to_string())?;
        match lookup::led(&answer) {
            Err(_) => return Ok(()),
            Ok(_) if Instant::now() > deadline => return Err(format!("{topic} is still there")),
            Ok(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}
