//! Requests on a schedule, whatever the answers do, and consumers that wait for them.
//!
//! A request carries the time at which it should have been sent, and its delay counts from then to
//! when a consumer has it: a broker that stalls is charged for everything of the stall.

use std::rc::Rc;
use std::time::{Duration, Instant};

use ottla_types::Offset;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::batches::{Stamped, stamp, time_of};
use crate::connection::Connection;
use crate::frames;
use crate::histogram::Histogram;
use crate::load::ProduceLoad;
use crate::options::Options;
use crate::process::{self, CpuClock};

/// Requests that become due together are sent by so many, so that answers are read in between.
const BURST_MAX: usize = 256;
/// After the last request: what is not there after this is counted as if it came then.
const DRAIN: Duration = Duration::from_secs(5);

/// Runs the schedule and prints delays, the broker's CPU time, and how much arrived.
///
/// # Errors
/// What connections and the broker say.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let topic = frames::fresh_topic();
    make(options, &topic)?;
    let mut run = Run::new(options, &topic)?;
    process::back_memory(run.bytes_planned());
    process::sleep_exactly();
    let clocks = [CpuClock::of(options.pid)?, CpuClock::of(std::process::id())?];
    run.start();
    run.until(run.counts_from)?;
    let before = clocks.map(CpuClock::seconds);
    let (busy, from) = (process::machine_busy_s(), Instant::now());
    let sent_before = run.producer.sent;
    run.until(run.ends)?;
    let wall = from.elapsed().as_secs_f64();
    let [broker, generator] = [0, 1].map(|at| clocks[at].seconds() - before[at]);
    let foreign = process::machine_busy_s() - busy - broker - generator;
    let sent = run.producer.sent - sent_before;
    let arrived = run.consumers.iter().map(|consumer| consumer.counted).sum::<u64>();
    println!("open.wall_s {wall:.6}");
    println!("open.foreign_cpus {:.3}", foreign.max(0.0) / wall);
    println!("open.broker_cpu_s {broker:.6}");
    println!("open.generator_cpu_s {generator:.6}");
    println!("open.sent {sent}");
    println!("open.arrived_in_time {arrived}");
    println!("open.delivered_bytes {}", arrived * run.producer.batch_len as u64);
    run.drain()?;
    run.print();
    for (name, value) in process::memory(options.pid).map_err(|error| error.to_string())? {
        println!("{name} {value}");
    }
    Ok(())
}

/// A topic all of whose partitions take batches.
fn make(options: &Options, topic: &str) -> Result<(), String> {
    let mut control = Connection::open(options.address).map_err(|error| error.to_string())?;
    crate::create_topic(&mut control, topic, options.partitions)?;
    let one = Options { records: 1, record_bytes: 8, ..options.clone() };
    crate::settle(&mut control, &ProduceLoad::new(&one, topic))
}

/// Sends on its schedule.
#[derive(Debug)]
struct Producer {
    connections: Vec<Connection>,
    /// By partition: a request, and where its batch begins.
    frames: Vec<(Vec<u8>, usize)>,
    batch_len: usize,
    time_at: usize,
    name_len: usize,
    interval_ns: f64,
    sent: u64,
    acknowledged: u64,
}

impl Producer {
    fn new(options: &Options, topic: &str) -> Result<Self, String> {
        let stamped = Stamped::new(options.shape());
        let frame = |partition| {
            let part = std::iter::once((partition, stamped.bytes.as_slice()));
            let frame = frames::produce(topic, part, options.acks);
            let at = frame.windows(stamped.bytes.len()).position(|at| at == stamped.bytes);
            (frame, at.expect("the frame holds the batch"))
        };
        Ok(Self {
            connections: crate::open(options.address, options.connections)?,
            frames: (0..options.partitions).map(frame).collect(),
            batch_len: stamped.bytes.len(),
            time_at: stamped.time_at(),
            name_len: topic.len(),
            interval_ns: 1e9 / options.rate,
            sent: 0,
            acknowledged: 0,
        })
    }

    /// When the next request is due, in nanoseconds since the beginning.
    fn due(&self) -> u64 {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "hours in nanoseconds"
        )]
        let due = (self.sent as f64 * self.interval_ns) as u64;
        due
    }

    /// Sends what is due before `until`; what comes at once leaves in one write a connection.
    fn send(&mut self, now: u64, until: u64) -> Result<(), String> {
        for _ in 0..BURST_MAX {
            let due = self.due();
            if due > now || due >= until {
                break;
            }
            let turn = usize::try_from(self.sent).expect("64 bits");
            let partition = turn % self.frames.len();
            let (frame, at) = &mut self.frames[partition];
            stamp(&mut frame[*at..*at + self.batch_len], self.time_at, due);
            let count = self.connections.len();
            self.connections[turn % count].queue(Rc::from(frame.as_slice()));
            self.sent += 1;
        }
        for connection in self.connections.iter_mut().filter(|each| each.has_outbound()) {
            connection.flush().map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn receive(&mut self, at: usize) -> Result<(), String> {
        let (name_len, acknowledged) = (self.name_len, &mut self.acknowledged);
        self.connections[at].receive(|answer| {
            *acknowledged += 1;
            frames::produced_to(name_len, answer)
        })
    }
}

/// Waits at the end of all partitions.
#[derive(Debug)]
struct Consumer {
    connection: Connection,
    from: Vec<Offset>,
    /// Requests whose delay counts, and all.
    counted: u64,
    arrived: u64,
}

impl Consumer {
    fn fetch(&mut self, topic: &str) -> Result<(), String> {
        let from = (0..).zip(self.from.iter().copied());
        self.connection.queue(frames::fetch_of(frames::FETCH_BYTES_MAX, topic, from).into());
        self.connection.flush().map_err(|error| error.to_string())
    }
}

/// One run of the schedule.
#[derive(Debug)]
struct Run {
    topic: String,
    producer: Producer,
    consumers: Vec<Consumer>,
    delays: Histogram,
    began: Instant,
    /// In nanoseconds since then.
    counts_from: u64,
    ends: u64,
}

impl Run {
    fn new(options: &Options, topic: &str) -> Result<Self, String> {
        let producer = Producer::new(options, topic)?;
        for connection in &producer.connections {
            connection.make_nonblocking().map_err(|error| error.to_string())?;
        }
        // The record that settled each partition is none of ours.
        let from = vec![Offset::ZERO.plus(1); producer.frames.len()];
        let consumer = |connection: Connection| {
            connection.make_nonblocking().map_err(|error| error.to_string())?;
            Ok::<_, String>(Consumer { connection, from: from.clone(), counted: 0, arrived: 0 })
        };
        let connections = crate::open(options.address, options.consumers)?;
        let consumers = connections.into_iter().map(consumer).collect::<Result<_, _>>()?;
        let counts_from = nanoseconds(Duration::from_secs_f64(options.lead_in));
        Ok(Self {
            topic: topic.to_owned(),
            producer,
            consumers,
            delays: Histogram::default(),
            began: Instant::now(),
            counts_from,
            ends: counts_from + nanoseconds(Duration::from_secs(options.seconds)),
        })
    }

    /// What the broker will write.
    fn bytes_planned(&self) -> u64 {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate"
        )]
        let requests = (self.ends as f64 / self.producer.interval_ns) as u64;
        requests * self.producer.batch_len as u64
    }

    fn start(&mut self) {
        self.began = Instant::now();
    }

    fn now(&self) -> u64 {
        nanoseconds(self.began.elapsed())
    }

    /// Goes on until that time, and sends what is due before it.
    fn until(&mut self, until: u64) -> Result<(), String> {
        loop {
            let now = self.now();
            if now >= until {
                return Ok(());
            }
            self.producer.send(now, until.min(self.ends))?;
            self.pass(until.min(self.producer.due()))?;
        }
    }

    /// Goes on until everything that was sent has arrived, or patience ends: what is missing then
    /// is counted with the delay it has by now.
    fn drain(&mut self) -> Result<(), String> {
        let patience = self.now() + nanoseconds(DRAIN);
        let missing =
            |run: &Self| run.consumers.iter().any(|each| each.arrived < run.producer.sent);
        while missing(self) && self.now() < patience {
            self.producer.send(0, 0)?;
            self.pass(self.now() + 1_000_000)?;
        }
        let now = self.now();
        let mut late = 0;
        for consumer in &self.consumers {
            // In the order of the schedule, about: these are the last ones.
            for number in consumer.arrived..self.producer.sent {
                #[allow(
                    clippy::cast_precision_loss,
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "hours in nanoseconds"
                )]
                let due = (number as f64 * self.producer.interval_ns) as u64;
                if due >= self.counts_from {
                    self.delays.record(now - due);
                    late += 1;
                }
            }
        }
        println!("open.missing {late}");
        Ok(())
    }

    /// Waits until something has come or a time has; takes what has come.
    fn pass(&mut self, until: u64) -> Result<(), String> {
        let ready = self.wait(until)?;
        let producers = self.producer.connections.len();
        for at in ready {
            match at.checked_sub(producers) {
                None => self.producer.receive(at)?,
                Some(at) => self.consume(at)?,
            }
        }
        for consumer in &mut self.consumers {
            if consumer.connection.in_flight == 0 {
                consumer.fetch(&self.topic)?;
            }
        }
        Ok(())
    }

    fn consume(&mut self, at: usize) -> Result<(), String> {
        let (began, counts_from, time_at) = (self.began, self.counts_from, self.producer.time_at);
        let Consumer { connection, from, counted, arrived } = &mut self.consumers[at];
        let delays = &mut self.delays;
        connection.receive(|answer| {
            let now = nanoseconds(began.elapsed());
            frames::batches_fetched(answer, |partition, end, batch| {
                *arrived += 1;
                from[usize::try_from(partition).expect("one that was asked for")] = end;
                let due = time_of(batch, time_at).expect("the broker keeps what it is given");
                if due >= counts_from {
                    *counted += 1;
                    delays.record(now.saturating_sub(due));
                }
            })
        })
    }

    /// The connections that have something to read, producers first.
    fn wait(&self, until: u64) -> Result<Vec<usize>, String> {
        let consumers = self.consumers.iter().map(|consumer| &consumer.connection);
        let interest = |connection: &Connection| match connection.has_outbound() {
            true => PollFlags::IN | PollFlags::OUT,
            false => PollFlags::IN,
        };
        let mut polled: Vec<PollFd<'_>> = (self.producer.connections.iter().chain(consumers))
            .map(|connection| PollFd::from_borrowed_fd(connection.fd(), interest(connection)))
            .collect();
        let patience = Duration::from_nanos(until.saturating_sub(self.now()));
        let patience = Timespec::try_from(patience).map_err(|error| error.to_string())?;
        poll(&mut polled, Some(&patience)).map_err(|error| error.to_string())?;
        let readable = |each: &PollFd<'_>| !(each.revents() - PollFlags::OUT).is_empty();
        Ok((0..polled.len()).filter(|at| readable(&polled[*at])).collect())
    }

    #[allow(clippy::cast_precision_loss, reason = "delays are hours at most")]
    fn print(&self) {
        println!("open.samples {}", self.delays.total());
        println!("open.acknowledged {}", self.producer.acknowledged);
        let quantiles = [("p50", 50_000), ("p90", 90_000), ("p99", 99_000), ("p999", 99_900)];
        for (name, of_100_000) in quantiles {
            if let Some(delay) = self.delays.quantile(of_100_000) {
                println!("open.{name}_us {:.1}", delay as f64 / 1e3);
            }
        }
        println!("open.max_us {:.1}", self.delays.max() as f64 / 1e3);
        println!("histogram {}", self.delays.spelled());
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("for 584 years")
}
