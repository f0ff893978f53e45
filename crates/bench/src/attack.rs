//! A healthy client, alone at first, and then beside peers that keep connections, requests and
//! memory for nothing.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::frames;
use crate::histogram::Histogram;
use crate::load::ProduceLoad;
use crate::options::Options;
use crate::process;

const USAGE: &str = "attack --address HOST:PORT --pid PID [--idle N] [--slow N] [--halves N] \
                     [--rounds N] [--seconds N]";

/// How often the healthy client asks.
const EVERY: Duration = Duration::from_millis(5);

/// What the slow ones announce, and the halves send half of.
const ANNOUNCED_BYTES: u32 = 40 << 20;

/// What a broker may say in the end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between a crowd that leaves and the next quiet measurement: a broker closes 10,000 connections
/// in a fraction of it.
const LEAVING: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Plan {
    address: SocketAddr,
    pid: u32,
    /// Connections that ask once and are silent.
    idle: usize,
    /// Connections that send a byte of a request each second.
    slow: usize,
    /// Connections that send half of a large request, and no more.
    halves: usize,
    /// How often the crowd comes and leaves.
    rounds: usize,
    /// Of each measurement.
    seconds: u64,
}

/// Measures the healthy client alone and beside idle and slow peers, in turns, and then with half
/// requests as well.
///
/// A machine has better and worse moments, and a 99th percentile shows each: what is told is the
/// ratio of the two percentiles of a round, and the median of the rounds.
///
/// # Errors
/// When the healthy client is refused anything.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let plan = plan(arguments)?;
    let topic = frames::fresh_topic();
    let frame = produce_frame(&plan, &topic)?;
    print_rss("before", &plan)?;
    let mut ratios = Vec::new();
    for round in 1..=plan.rounds {
        let quiet = measure(&format!("quiet{round}"), &plan, &frame)?;
        let crowd = Crowd::gather(&plan);
        println!("attack.idle_connections {}", crowd.idle.len());
        print_rss("crowded", &plan)?;
        let crowded = measure(&format!("crowded{round}"), &plan, &frame);
        if round == plan.rounds {
            beside_halves(&plan, &frame)?;
        }
        println!("attack.slow_closed {}", crowd.leave()?);
        ratios.push(crowded? as f64 / quiet.max(1) as f64);
        thread::sleep(LEAVING);
    }
    println!("attack.p99_ratio {:.2}", median(ratios));
    print_rss("after", &plan)
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or_default()
}

/// The crowd is there; half requests come to it.
fn beside_halves(plan: &Plan, frame: &[u8]) -> Result<(), String> {
    let halves = add_halves(plan);
    println!("attack.half_requests {}", halves.len());
    print_rss("halves", plan)?;
    measure("halves", plan, frame).map(drop)
}

fn plan(arguments: &[String]) -> Result<Plan, String> {
    let none = SocketAddr::from(([127, 0, 0, 1], 0));
    let (idle, slow, halves, rounds, seconds) = (1_000, 100, 30, 1, 10);
    let mut plan = Plan { address: none, pid: 0, idle, slow, halves, rounds, seconds };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return Err(USAGE.to_owned()) };
        let number = || value.parse::<u32>().map_err(|_| format!("{name} {value}: not a number"));
        match name.as_str() {
            "--address" => {
                plan.address = value.parse().map_err(|_| format!("no address: {value}"))?;
            }
            "--pid" => plan.pid = number()?,
            "--idle" => plan.idle = number()? as usize,
            "--slow" => plan.slow = number()? as usize,
            "--halves" => plan.halves = number()? as usize,
            "--rounds" => plan.rounds = number()? as usize,
            "--seconds" => plan.seconds = u64::from(number()?),
            _ => return Err(USAGE.to_owned()),
        }
    }
    if plan.pid == 0 || plan.address == none { Err(USAGE.to_owned()) } else { Ok(plan) }
}

/// A topic, and the request that the healthy client sends again and again.
fn produce_frame(plan: &Plan, topic: &str) -> Result<Rc<[u8]>, String> {
    let (address, pid) = (plan.address.to_string(), plan.pid.to_string());
    let given = ["--address", &address, "--pid", &pid, "--partitions", "1"];
    let one = ["--records", "1", "--record-bytes", "100", "--acks", "1"];
    let given: Vec<String> = given.iter().chain(&one).map(|each| (*each).to_owned()).collect();
    let options = Options::parse(&given)?;
    let mut control = Connection::open(plan.address).map_err(|error| error.to_string())?;
    crate::create_topic(&mut control, topic, 1)?;
    let load = ProduceLoad::new(&options, topic);
    crate::settle(&mut control, &load)?;
    load.frames().first().map(Rc::clone).ok_or_else(|| "there is nothing to send".to_owned())
}

/// Delays of the healthy client, a request at a time; their 99th percentile in nanoseconds.
fn measure(name: &str, plan: &Plan, frame: &[u8]) -> Result<u64, String> {
    let told =
        |error: std::io::Error| format!("the healthy client is not served ({name}): {error}");
    let mut connection = Connection::open(plan.address).map_err(told)?;
    let mut delays = Histogram::default();
    let until = Instant::now() + Duration::from_secs(plan.seconds);
    while Instant::now() < until {
        let asked = Instant::now();
        let answer = connection.ask(frame).map_err(told)?;
        frames::produced(&answer)?;
        let took = asked.elapsed();
        delays.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        thread::sleep(EVERY.saturating_sub(took));
    }
    for (quantile, of_100_000) in [("p50", 50_000), ("p99", 99_000), ("max", 100_000)] {
        let nanos = delays.quantile(of_100_000).unwrap_or(0);
        println!("attack.{name}_{quantile}_us {:.1}", nanos as f64 / 1e3);
    }
    Ok(delays.quantile(99_000).unwrap_or(0))
}

/// Idle peers, and slow ones with the thread that plays them.
#[derive(Debug)]
struct Crowd {
    idle: Vec<TcpStream>,
    dripping: thread::JoinHandle<u64>,
    stop: Arc<AtomicBool>,
}

impl Crowd {
    /// As many as the system's limits allow.
    fn gather(plan: &Plan) -> Self {
        let mut idle = Vec::with_capacity(plan.idle);
        for _ in 0..plan.idle {
            match introduced(plan.address) {
                Ok(stream) => idle.push(stream),
                Err(error) => {
                    eprintln!("ottla-bench: no more connections: {error}");
                    break;
                }
            }
        }
        let slow_ones = (0..plan.slow).map_while(|_| slow(plan.address).ok()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let (address, until) = (plan.address, Arc::clone(&stop));
        let dripping = thread::spawn(move || drip(slow_ones, address, &until));
        Self { idle, dripping, stop }
    }

    /// All of them go. How many slow ones the broker had closed meanwhile.
    fn leave(self) -> Result<u64, String> {
        self.stop.store(true, Ordering::Relaxed);
        self.dripping.join().map_err(|_| "the slow ones panicked".to_owned())
    }
}

/// Each sends a byte a second, one after the other through the second: whoever sends all at once
/// measures itself. Whoever was closed comes again.
fn drip(mut slow_ones: Vec<TcpStream>, address: SocketAddr, stop: &AtomicBool) -> u64 {
    let mut closed = 0;
    let mut due = Instant::now();
    let each = Duration::from_secs(1) / u32::try_from(slow_ones.len().max(1)).unwrap_or(u32::MAX);
    while !stop.load(Ordering::Relaxed) {
        for stream in &mut slow_ones {
            if stream.write_all(&[0]).is_err() {
                closed += 1;
                if let Ok(again) = slow(address) {
                    *stream = again;
                }
            }
            due += each;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        if slow_ones.is_empty() {
            thread::sleep(EVERY);
        }
    }
    closed
}

/// A connection that has asked the first question of a client.
fn introduced(address: SocketAddr) -> std::io::Result<TcpStream> {
    use std::io::Read;
    let mut stream = TcpStream::connect(address)?;
    // Its port is free at once when it leaves: a crowd that comes five times needs more of them
    // than the system has.
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&frames::api_versions())?;
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let mut answer = vec![0; u32::from_be_bytes(size) as usize];
    stream.read_exact(&mut answer)?;
    Ok(stream)
}

/// One that has begun a large request.
fn slow(address: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = introduced(address)?;
    stream.write_all(&ANNOUNCED_BYTES.to_be_bytes())?;
    Ok(stream)
}

/// Connections that send half of a large request, as far as the broker takes it.
fn add_halves(plan: &Plan) -> Vec<TcpStream> {
    let half = vec![0; ANNOUNCED_BYTES as usize / 2];
    let mut all: Vec<(TcpStream, usize)> = Vec::new();
    for _ in 0..plan.halves {
        let Ok(stream) = slow(plan.address) else { break };
        if stream.set_nonblocking(true).is_ok() {
            all.push((stream, 0));
        }
    }
    let until = Instant::now() + Duration::from_secs(plan.seconds.min(5));
    while Instant::now() < until {
        for (stream, sent) in &mut all {
            match stream.write(&half[*sent..]) {
                Ok(count) => *sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => *sent = half.len(),
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    all.into_iter().map(|(stream, _)| stream).collect()
}

fn print_rss(name: &str, plan: &Plan) -> Result<(), String> {
    for (what, value) in process::memory(plan.pid).map_err(|error| error.to_string())? {
        println!("attack.{name}.{what} {value}");
    }
    Ok(())
}
