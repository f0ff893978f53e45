//! Thousands of topics: how long until the last one made has a leader, and the last one is gone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::frames::{self, lookup};
use crate::process::{self, CpuClock};

/// A change that is not seen after this has failed.
const SECONDS_MAX: u64 = 300;
/// Between two questions whether it is.
const PAUSE: Duration = Duration::from_millis(1);

/// One run.
#[derive(Debug)]
struct Options {
    address: SocketAddr,
    pid: u32,
    topics: usize,
    /// Topics that a request names.
    per_request: usize,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut options = Self { address, pid: 0, topics: 10_000, per_request: 500 };
        for pair in arguments.chunks(2) {
            let [name, value] = pair else { return Err(format!("{} needs a value", pair[0])) };
            let wrong = |_| format!("{name} cannot be `{value}`");
            match name.as_str() {
                "--address" => {
                    options.address = value.parse().map_err(|_| format!("no address: {value}"))?;
                }
                "--pid" => options.pid = value.parse().map_err(wrong)?,
                "--topics" => options.topics = value.parse::<usize>().map_err(wrong)?.max(1),
                "--per-request" => {
                    options.per_request = value.parse::<usize>().map_err(wrong)?.max(1);
                }
                _ => return Err(format!("unknown option `{name}`")),
            }
        }
        if options.address.port() == 0 || options.pid == 0 {
            return Err("--address HOST:PORT and --pid PID are needed".to_owned());
        }
        Ok(options)
    }
}

/// Makes topics of one partition, and deletes them.
///
/// # Errors
/// When one is refused, or does not come or go.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    let prefix = frames::fresh_topic();
    let names: Vec<String> = (0..options.topics).map(|at| format!("{prefix}-{at}")).collect();
    let mut connection = Connection::open(options.address).map_err(|error| error.to_string())?;
    let last = names.last().expect("one at least");
    let mut time = |name: &str, change: fn(&[String]) -> Vec<u8>, done: fn(&[u8]) -> bool| {
        let clock = CpuClock::of(options.pid)?;
        let (started, cpu) = (Instant::now(), clock.seconds());
        for some in names.chunks(options.per_request) {
            let answer = ask(&mut connection, &change(some))?;
            match name {
                "create" => frames::all_created(&answer)?,
                _ => frames::all_deleted(&answer)?,
            }
        }
        println!("topics.{name}_answered_ms {:.1}", started.elapsed().as_secs_f64() * 1e3);
        while !done(&ask(&mut connection, &lookup::metadata(last))?) {
            if started.elapsed() > Duration::from_secs(SECONDS_MAX) {
                return Err(format!("{name}: not done after {SECONDS_MAX} s"));
            }
            std::thread::sleep(PAUSE);
        }
        println!("topics.{name}_ms {:.1}", started.elapsed().as_secs_f64() * 1e3);
        println!("topics.{name}_broker_cpu_s {:.4}", clock.seconds() - cpu);
        Ok(())
    };
    let is_led = |answer: &[u8]| lookup::led(answer).is_ok_and(|led| led == 1);
    let is_gone = |answer: &[u8]| lookup::led(answer).is_err();
    time("create", frames::create_topics, is_led)?;
    time("delete", frames::delete_topics, is_gone)?;
    println!("topics.count {}", options.topics);
    for (name, value) in process::memory(options.pid).map_err(|error| error.to_string())? {
        println!("{name} {value}");
    }
    Ok(())
}

fn ask(connection: &mut Connection, frame: &[u8]) -> Result<Vec<u8>, String> {
    connection.ask(frame).map_err(|error| error.to_string())
}
