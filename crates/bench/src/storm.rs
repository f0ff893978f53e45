//! Thousands of connections at once, each with its first question; and a process left alone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::frames;
use crate::process::{self, CpuClock};
use crate::start::first_answer;

/// Connections that are opened before their answers are read.
const WAVE: usize = 200;

const STORM_USAGE: &str = "storm --address HOST:PORT --pid PID --connections N";
const IDLE_USAGE: &str = "idle --pid PID --seconds N";

/// Opens connections, asks each broker's first question on each, and keeps them open.
///
/// # Errors
/// When one of them is refused.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let [a, address, b, pid, c, count] = arguments else { return Err(STORM_USAGE.to_owned()) };
    if [a.as_str(), b, c] != ["--address", "--pid", "--connections"] {
        return Err(STORM_USAGE.to_owned());
    }
    let address: SocketAddr = address.parse().map_err(|_| format!("no address: {address}"))?;
    let (pid, count): (u32, usize) = (number(pid)?, number(count)?);
    print_memory("before", pid)?;
    let clock = CpuClock::of(pid)?;
    let (cpu, started) = (clock.seconds(), Instant::now());
    let mut connections = Vec::with_capacity(count);
    while connections.len() < count {
        let from = connections.len();
        for _ in from..count.min(from + WAVE) {
            let mut connection = Connection::open(address).map_err(|error| error.to_string())?;
            connection.queue(frames::api_versions().into());
            connection.flush().map_err(|error| error.to_string())?;
            connections.push(connection);
        }
        for connection in &mut connections[from..] {
            while connection.in_flight > 0 {
                connection.receive(|_| Ok(()))?;
            }
        }
    }
    let wall = started.elapsed().as_secs_f64();
    println!("storm.wall_s {wall:.6}");
    println!("storm.broker_cpu_s {:.6}", clock.seconds() - cpu);
    println!("storm.connections {count}");
    print_memory("after", pid)?;
    // They are all still served.
    [0, count - 1].iter().try_for_each(|at| first_answer(&mut connections[*at]))
}

/// Leaves a process alone and says what it did meanwhile.
///
/// # Errors
/// When there is no such process.
pub(crate) fn idle(arguments: &[String]) -> Result<(), String> {
    let [a, pid, b, seconds] = arguments else { return Err(IDLE_USAGE.to_owned()) };
    if [a.as_str(), b] != ["--pid", "--seconds"] {
        return Err(IDLE_USAGE.to_owned());
    }
    let (pid, seconds): (u32, u64) = (number(pid)?, number(seconds)?);
    let clock = CpuClock::of(pid)?;
    let (cpu, sleeps, started) = (clock.seconds(), process::sleeps(pid), Instant::now());
    std::thread::sleep(Duration::from_secs(seconds));
    println!("idle.wall_s {:.6}", started.elapsed().as_secs_f64());
    println!("idle.broker_cpu_s {:.6}", clock.seconds() - cpu);
    println!("idle.sleeps {}", process::sleeps(pid).saturating_sub(sleeps));
    print_memory("idle", pid)
}

fn print_memory(name: &str, pid: u32) -> Result<(), String> {
    let memory = process::memory(pid).map_err(|error| error.to_string())?;
    for (field, value) in memory {
        println!("{name}.{field} {value}");
    }
    Ok(())
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}
