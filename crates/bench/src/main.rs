//! Load generator and side-by-side runner.
//!
//! Sends frames that were encoded beforehand and reads the broker's clock from outside, so that a
//! broker is measured and not a client. `cargo xtask bench` starts the systems, calls this program
//! for each half of each pair, and records what it prints: one `name value` a line.

#![allow(clippy::print_stdout, reason = "this is a command line tool: stdout is its answer")]

mod attack;
mod batches;
mod catch_up;
mod compact;
mod connection;
mod forget;
mod frames;
mod groups;
mod histogram;
mod load;
mod open_loop;
mod options;
mod poller;
mod process;
mod reread;
mod restart;
mod start;
mod storm;
mod topics;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Instant;

use connection::Connection;
use load::{FetchLoad, Load, ProduceLoad, drive};
use options::Options;
use process::{CpuClock, back_memory};

const USAGE: &str = "\
ottla-bench produce --address HOST:PORT --pid PID [--requests N] [--connections N] [--in-flight N]
                    [--partitions N] [--records N] [--record-bytes N] [--acks 0|1|-1] [--fetch]
                    [--topic NAME] [--codec none|gzip|snappy|lz4|zstd] [--per-request N]
                    [--readers N,...] [--delete]
    a batch of N records to each of --per-request partitions in each request; --fetch reads
    everything back afterwards, on the same connections; --readers lets N consumers read
    everything each; --delete deletes the topic at the end
ottla-bench open-loop --address HOST:PORT --pid PID [--rate N] [--seconds N] [--lead-in N]
                    [--consumers N] [--connections N] [--partitions N] [--records N]
                    [--record-bytes N] [--acks 0|1|-1]
    N requests a second on a schedule, whatever the answers do, over --connections; consumers wait
    at the end of all partitions; delays count from when a request should have been sent
ottla-bench reread --address HOST:PORT --pid PID --topic NAME [--requests N] [--connections N]
                    [--in-flight N]
    N fetches without a session, each for the first batch of partition 0
ottla-bench catch-up --address HOST:PORT --pid PID --data FOLDER [--requests N] [--seconds N]
                    [--live-megabytes N] [--probes N] [the options of produce]
    a backlog of N requests, read from the disk beside live produce and probes; --data is the
    broker's log directory
ottla-bench start --address HOST:PORT -- COMMAND...
    milliseconds from starting COMMAND to its first answer to ApiVersions; leaves it running
ottla-bench ends --address HOST:PORT --topic NAME --to FILE
    how far each partition reaches, one `partition end` a line
ottla-bench restart --address HOST:PORT --topic NAME --ends FILE --fetches N -- COMMAND...
    milliseconds from starting COMMAND to its first answers that are right: leaders, the last
    record of N partitions, every end; leaves it running
ottla-bench groups --address HOST:PORT --pid PID [--members N] [--partitions N]
                    [--protocol classic|consumer] [--session-ms N] [--heartbeat-ms N] [--no-death]
    milliseconds until a group rests: after N members joined at once, after one left, after one died
ottla-bench topics --address HOST:PORT --pid PID [--topics N] [--partitions N] [--per-request N]
                    [--in-flight N] [--keep 1]
    milliseconds until N topics are made and the last has its leaders, and until they are deleted
ottla-bench compact --address HOST:PORT --pid PID --data FOLDER [--megabytes N] [--keys N]
                    [--record-bytes N]
    what it takes to compact a topic that was filled while nothing compacted it
ottla-bench storm --address HOST:PORT --pid PID --connections N
    N connections, each with the first question of a client, kept open
ottla-bench attack --address HOST:PORT --pid PID [--idle N] [--slow N] [--halves N] [--rounds N]
                   [--seconds N]
    delays of a healthy client, alone, beside N idle and N slow peers, and with half requests too
ottla-bench idle --pid PID --seconds N
    CPU time, sleeps of threads and memory of a process that is left alone";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    process::allow_many_files();
    let outcome = match arguments.split_first() {
        Some((case, rest)) if case == "produce" => Options::parse(rest).and_then(|o| produce(&o)),
        Some((case, rest)) if case == "open-loop" => {
            Options::parse(rest).and_then(|options| open_loop::run(&options))
        }
        Some((case, rest)) if case == "reread" => {
            Options::parse(rest).and_then(|options| reread::run(&options))
        }
        Some((case, rest)) if case == "catch-up" => {
            Options::parse(rest).and_then(|options| catch_up::run(&options))
        }
        Some((case, rest)) if case == "start" => start::run(rest),
        Some((case, rest)) if case == "ends" => restart::write_ends(rest),
        Some((case, rest)) if case == "restart" => restart::run(rest),
        Some((case, rest)) if case == "groups" => groups::run(rest),
        Some((case, rest)) if case == "topics" => topics::run(rest),
        Some((case, rest)) if case == "compact" => compact::run(rest),
        Some((case, rest)) if case == "storm" => storm::run(rest),
        Some((case, rest)) if case == "attack" => attack::run(rest),
        Some((case, rest)) if case == "idle" => storm::idle(rest),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("ottla-bench: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Produces, and with `--fetch` reads back: each measured by itself.
fn produce(options: &Options) -> Result<(), String> {
    let topic = options.topic.clone().unwrap_or_else(frames::fresh_topic);
    let mut control = Connection::open(options.address).map_err(|error| error.to_string())?;
    let new = create_topic(&mut control, &topic, options.partitions)?;
    let mut load = ProduceLoad::new(options, &topic);
    if new {
        settle(&mut control, &load)?;
    }
    let bytes = load.bytes_left();
    back_memory(bytes);
    let mut connections = open(options.address, options.connections)?;
    measure("produce", options, &mut connections, options.in_flight, &mut load)?;
    let (sent, plain) = load.sent();
    println!("produce.bytes {sent}");
    println!("produce.plain_bytes {plain}");
    println!("produce.requests {}", options.requests);
    if options.fetch {
        fetch("fetch", options, &mut connections, FetchLoad::new(options, &topic))?;
    }
    for consumers in &options.readers {
        let mut connections = open(options.address, *consumers)?;
        let load = FetchLoad::by_all(options, &topic, *consumers);
        fetch(&format!("readers{consumers}"), options, &mut connections, load)?;
    }
    for (name, value) in process::memory(options.pid).map_err(|error| error.to_string())? {
        println!("{name} {value}");
    }
    if options.delete {
        let frame = frames::topics::delete(std::slice::from_ref(&topic));
        frames::topics::deleted(&control.ask(&frame).map_err(|error| error.to_string())?)?;
    }
    Ok(())
}

fn fetch(
    name: &str,
    options: &Options,
    connections: &mut [Connection],
    mut load: FetchLoad,
) -> Result<(), String> {
    measure(name, options, connections, 1, &mut load)?;
    println!("{name}.bytes {}", load.bytes());
    println!("{name}.requests {}", load.requests());
    Ok(())
}

fn measure(
    name: &str,
    options: &Options,
    connections: &mut [Connection],
    in_flight: usize,
    load: &mut dyn Load,
) -> Result<(), String> {
    let clocks = [CpuClock::of(options.pid)?, CpuClock::of(std::process::id())?];
    let before = clocks.map(CpuClock::seconds);
    let busy_before = process::machine_busy_s();
    let started = Instant::now();
    drive(connections, in_flight, load)?;
    let wall = started.elapsed().as_secs_f64();
    let [broker, generator] = [0, 1].map(|at| clocks[at].seconds() - before[at]);
    let foreign = process::machine_busy_s() - busy_before - broker - generator;
    println!("{name}.wall_s {wall:.6}");
    println!("{name}.foreign_cpus {:.3}", foreign.max(0.0) / wall);
    println!("{name}.broker_cpu_s {broker:.6}");
    println!("{name}.generator_cpu_s {generator:.6}");
    Ok(())
}

fn open(address: SocketAddr, count: usize) -> Result<Vec<Connection>, String> {
    (0..count).map(|_| Connection::open(address).map_err(|error| error.to_string())).collect()
}

fn create_topic(control: &mut Connection, topic: &str, partitions: i32) -> Result<bool, String> {
    let answer =
        control.ask(&frames::create_topic(topic, partitions)).map_err(|error| error.to_string())?;
    frames::topic_created(&answer)
}

/// Thousands of partitions take a JVM longer than its topic takes to be created.
const SETTLE_SECONDS_MAX: u64 = 300;

/// Waits until every partition takes a batch: a topic is created before its partitions are open.
fn settle(control: &mut Connection, load: &ProduceLoad) -> Result<(), String> {
    let deadline = Instant::now() + std::time::Duration::from_secs(SETTLE_SECONDS_MAX);
    for frame in load.frames() {
        loop {
            match frames::produced(&control.ask(frame).map_err(|error| error.to_string())?) {
                Ok(()) => break,
                Err(why) if Instant::now() > deadline => return Err(why),
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
            }
        }
    }
    Ok(())
}
