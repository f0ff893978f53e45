//! A consumer that reads a backlog from the disk beside live traffic: what it reaches, and what the
//! live traffic feels of it.
//!
//! Probes are sent on a schedule, whatever the answers do, and their delay counts from when they
//! should have been sent: a broker that stalls is charged for every probe of the stall.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ottla_records::Compression;
use ottla_types::Offset;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::batches::{self, Shape};
use crate::connection::Connection;
use crate::forget;
use crate::frames;
use crate::load::{FetchLoad, Load, ProduceLoad, drive};
use crate::options::Options;
use crate::process::{self, CpuClock};

/// Live batches that may wait for their answers: a second of them. Beyond it the schedule waits,
/// and the printed rate is below what was asked for.
const LIVE_IN_FLIGHT_MAX: usize = 800;
/// A beginning that does not count: connections, and a broker that has just written gigabytes.
const SETTLE: Duration = Duration::from_secs(3);
/// Beside the segments of 64 KiB batches, probes of one small record.
const PROBE_BYTES: usize = 100;

/// A probe: when it should have been sent, and how long after that it was read.
type Delay = (Instant, Duration);

/// Fills the backlog, drops it from the page cache, and measures a time without and the time with
/// the catching up.
///
/// # Errors
/// What connections, files and the broker say.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let data = options.data.as_deref().ok_or("--data FOLDER is needed")?;
    let backlog = frames::fresh_topic();
    fill(options, &backlog)?;
    forget::drop_from_cache(data, &backlog)?;
    let (live, probe) = (frames::fresh_topic(), frames::fresh_topic());
    make(options, &live, options.partitions)?;
    make(options, &probe, 1)?;
    let stop = AtomicBool::new(false);
    let sent = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let live = scope.spawn(|| produce_live(options, &live, &stop, &sent));
        let probes = scope.spawn(|| send_probes(options, &probe, &stop));
        let caught_up = catch_up(options, &backlog, &sent);
        stop.store(true, Ordering::Relaxed);
        live.join().expect("it does not panic")?;
        let delays = probes.join().expect("it does not panic")?;
        let (baseline, during) = caught_up?;
        print_delays("baseline", &delays, baseline);
        print_delays("during", &delays, during);
        Ok(())
    })
}

fn make(options: &Options, topic: &str, partitions: i32) -> Result<(), String> {
    let mut control = Connection::open(options.address).map_err(|error| error.to_string())?;
    crate::create_topic(&mut control, topic, partitions)?;
    let options = Options { partitions, records: 1, ..options.clone() };
    crate::settle(&mut control, &ProduceLoad::new(&options, topic))
}

fn fill(options: &Options, topic: &str) -> Result<(), String> {
    make(options, topic, options.partitions)?;
    let mut load = ProduceLoad::new(options, topic);
    let mut connections = crate::open(options.address, options.connections)?;
    drive(&mut connections, options.in_flight, &mut load)
}

/// Two spans of time: one with live traffic alone, and the one in which the backlog was read.
fn catch_up(
    options: &Options,
    topic: &str,
    sent: &AtomicU64,
) -> Result<([Instant; 2], [Instant; 2]), String> {
    std::thread::sleep(SETTLE);
    let baseline = Instant::now();
    let before = sent.load(Ordering::Relaxed);
    std::thread::sleep(Duration::from_secs(options.seconds));
    let clock = CpuClock::of(options.pid)?;
    let (cpu, read) = (clock.seconds(), process::read_from_disk(options.pid));
    let started = Instant::now();
    let at_start = sent.load(Ordering::Relaxed);
    let mut load = FetchLoad::new(options, topic);
    let mut connections = crate::open(options.address, options.connections)?;
    drive(&mut connections, 1, &mut load)?;
    let ended = Instant::now();
    let wall = (ended - started).as_secs_f64();
    println!("catch_up.bytes {}", load.bytes());
    println!("catch_up.wall_s {wall:.6}");
    println!("catch_up.broker_cpu_s {:.6}", clock.seconds() - cpu);
    println!("catch_up.disk_bytes {}", process::read_from_disk(options.pid) - read);
    println!("baseline.wall_s {:.6}", (started - baseline).as_secs_f64());
    println!("baseline.live_bytes {}", at_start - before);
    println!("during.live_bytes {}", sent.load(Ordering::Relaxed) - at_start);
    Ok(([baseline, started], [started, ended]))
}

/// When the next request is due.
#[derive(Debug)]
struct Schedule {
    next: Instant,
    interval: Duration,
}

impl Schedule {
    fn new(a_second: f64) -> Self {
        Self { next: Instant::now(), interval: Duration::from_secs_f64(1.0 / a_second) }
    }

    /// The time of the next request, if that has come.
    fn due(&mut self) -> Option<Instant> {
        let due = self.next;
        (Instant::now() >= due).then(|| {
            self.next = due + self.interval;
            due
        })
    }
}

/// Batches on a schedule, until it is stopped; counts the bytes that were acknowledged.
fn produce_live(
    options: &Options,
    topic: &str,
    stop: &AtomicBool,
    sent: &AtomicU64,
) -> Result<(), String> {
    let mut load =
        ProduceLoad::new(&Options { requests: u64::MAX >> 32, ..options.clone() }, topic);
    let bytes = load.batch_bytes();
    #[allow(clippy::cast_precision_loss, reason = "a batch is small")]
    let mut schedule = Schedule::new(options.live_megabytes * 1e6 / bytes as f64);
    let mut connections = crate::open(options.address, 1)?;
    connections[0].make_nonblocking().map_err(|error| error.to_string())?;
    while !stop.load(Ordering::Relaxed) {
        while connections[0].in_flight < LIVE_IN_FLIGHT_MAX && schedule.due().is_some() {
            connections[0].queue(load.next(0).expect("more than can be sent"));
        }
        connections[0].flush().map_err(|error| error.to_string())?;
        if wait_until(&connections, schedule.next)?[0] {
            connections[0].receive(|answer| {
                sent.fetch_add(bytes, Ordering::Relaxed);
                frames::produced(answer)
            })?;
        }
    }
    Ok(())
}

/// Single small records on a schedule, and a consumer that waits for them.
fn send_probes(options: &Options, topic: &str, stop: &AtomicBool) -> Result<Vec<Delay>, String> {
    let shape = Shape { records: 1, record_bytes: PROBE_BYTES, codec: Compression::None };
    let batch = batches::make(shape, 0).bytes;
    let parts = std::iter::once((0, batch.as_slice()));
    let frame: Rc<[u8]> = frames::produce(topic, parts, options.acks).into();
    let mut connections = crate::open(options.address, 2)?;
    // The record that settled the topic is no probe.
    let mut from = Offset::ZERO.plus(1);
    let fetch = |from| -> Rc<[u8]> { frames::fetch(topic, 0, from).into() };
    let mut waiting: VecDeque<Instant> = VecDeque::new();
    let mut delays = Vec::new();
    for connection in &connections {
        connection.make_nonblocking().map_err(|error| error.to_string())?;
    }
    connections[1].queue(fetch(from));
    let mut schedule = Schedule::new(options.probes);
    while !stop.load(Ordering::Relaxed) {
        while let Some(due) = schedule.due() {
            waiting.push_back(due);
            connections[0].queue(Rc::clone(&frame));
        }
        for connection in &mut connections {
            connection.flush().map_err(|error| error.to_string())?;
        }
        let readable = wait_until(&connections, schedule.next)?;
        if readable[0] {
            connections[0].receive(frames::produced)?;
        }
        if readable[1] {
            let before = from;
            connections[1].receive(|answer| {
                from = frames::fetched(answer, from)?.next;
                Ok(())
            })?;
            // One connection, one partition: they are read in the order in which they were sent.
            let now = Instant::now();
            let read = usize::try_from(from.get() - before.get()).expect("offsets grow");
            delays.extend(waiting.drain(..read).map(|due| (due, now - due)));
            if connections[1].in_flight == 0 {
                connections[1].queue(fetch(from));
            }
        }
    }
    Ok(delays)
}

/// Waits until a connection can go on or a time has come; says which have something to read.
fn wait_until(connections: &[Connection], until: Instant) -> Result<Vec<bool>, String> {
    let interest = |connection: &Connection| match connection.has_outbound() {
        true => PollFlags::IN | PollFlags::OUT,
        false => PollFlags::IN,
    };
    let mut polled: Vec<PollFd<'_>> = (connections.iter())
        .map(|connection| PollFd::from_borrowed_fd(connection.fd(), interest(connection)))
        .collect();
    let patience = until.saturating_duration_since(Instant::now());
    let patience = Timespec::try_from(patience).map_err(|error| error.to_string())?;
    poll(&mut polled, Some(&patience)).map_err(|error| error.to_string())?;
    Ok(polled.iter().map(|each| !(each.revents() - PollFlags::OUT).is_empty()).collect())
}

fn print_delays(name: &str, delays: &[Delay], [from, to]: [Instant; 2]) {
    let within = delays.iter().filter(|(due, _)| *due >= from && *due < to);
    let mut delays: Vec<Duration> = within.map(|(_, delay)| *delay).collect();
    delays.sort_unstable();
    println!("{name}.probes {}", delays.len());
    for (quantile, per_mille) in [("p50", 500), ("p99", 990), ("p999", 999), ("max", 1000)] {
        if let Some(delay) = nth(&delays, per_mille) {
            println!("{name}.{quantile}_us {:.1}", delay.as_secs_f64() * 1e6);
        }
    }
}

/// The delay that so many thousandths do not exceed.
fn nth(sorted: &[Duration], per_mille: usize) -> Option<Duration> {
    let rank = (sorted.len() * per_mille).div_ceil(1000);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_delay_that_was_measured() {
        check(100, 500, Some(50));
        check(100, 990, Some(99));
        check(100, 999, Some(100));
        check(3, 1000, Some(3));
        check(1, 500, Some(1));
        check(0, 500, None);
    }

    fn check(count: u64, per_mille: usize, expected: Option<u64>) {
        let sorted: Vec<Duration> = (1..=count).map(Duration::from_micros).collect();
        let found = nth(&sorted, per_mille).map(|delay| u64::try_from(delay.as_micros()).unwrap());
        assert_eq!(found, expected, "{per_mille} thousandths of {count}");
    }

    #[test]
    fn a_late_schedule_keeps_its_times() {
        let mut schedule = Schedule::new(1000.0);
        let first = schedule.next;
        std::thread::sleep(Duration::from_millis(3));
        let due: Vec<Instant> = (0..3).filter_map(|_| schedule.due()).collect();
        assert_eq!(due, [0, 1, 2].map(|at| first + Duration::from_millis(at)));
    }
}
