//! `hostile`: frames at a running broker that no client would send, for as long as it stands.

mod frames;
mod process;

use crate::Outcome;
use crate::options::Options;
use frames::Frames;
pub(crate) use frames::{Random, crc32c};
use process::Process;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const USAGE: &str = "\
cargo xtask hostile --broker HOST:PORT [--pid PID] [--seed N] [--seconds S]

  Sends spoilt requests and record batches over many connections, and demands that the broker goes
  on answering; with its process id, also that it does not grow.";

const CONNECTIONS: u64 = 16;

/// Frames on one connection, at most: what follows a refused frame is never read.
const FRAMES_MAX: u64 = 10;

/// How long a frame may take to be answered, before the next one is sent all the same.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long a broker may take to make a topic: others may be made before it.
const TOPIC_WITHIN: Duration = Duration::from_secs(60);

/// How long a broker may take to say that it is alive.
const ALIVE_WITHIN: Duration = Duration::from_secs(5);

/// ApiVersions 0 of a client without a name.
const ARE_YOU_THERE: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    answered: AtomicU64,
    closed: AtomicU64,
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let options = Options::parse(arguments, &["--broker", "--pid", "--seed", "--seconds"], USAGE)?;
    let broker: Arc<str> = options.required("--broker")?.into();
    let process = options.number("--pid")?.map(Process::new);
    let seed = options.number("--seed")?.unwrap_or(1);
    let seconds = options.number("--seconds")?.unwrap_or(30);
    let frames = Arc::new(Frames::read()?);
    make_topic(&broker, &frames)?;
    let before = process.as_ref().map(Process::size).transpose()?;
    let until = Instant::now() + Duration::from_secs(seconds);
    let counts = Arc::new(Counts::default());
    for connection in 0..CONNECTIONS {
        let (broker, frames, counts) =
            (Arc::clone(&broker), Arc::clone(&frames), Arc::clone(&counts));
        let seed = seed.wrapping_mul(1_000).wrapping_add(connection);
        thread::spawn(move || attack(&broker, &frames, &counts, seed, until));
    }
    while Instant::now() < until {
        thread::sleep(Duration::from_secs(1));
        is_there(&broker)?;
    }
    // What the last connections left behind is gone by then.
    thread::sleep(Duration::from_secs(2));
    is_there(&broker)?;
    println!("{}", counts.tell());
    match (process, before) {
        (Some(process), Some(before)) => before.has_not_grown(&process.size()?),
        _ => Ok(()),
    }
}

impl Counts {
    fn tell(&self) -> String {
        let [sent, answered, closed] =
            [&self.sent, &self.answered, &self.closed].map(|count| count.load(Ordering::Relaxed));
        format!("{sent} frames sent, {answered} answers, {closed} connections closed by the broker")
    }
}

fn attack(broker: &str, frames: &Frames, counts: &Counts, seed: u64, until: Instant) {
    let mut random = Random::new(seed);
    while Instant::now() < until {
        // A broker that refuses a connection or ends it is within its rights.
        let Ok(mut stream) = TcpStream::connect(broker) else { continue };
        for _ in 0..=random.below(FRAMES_MAX) {
            let frame = frames.draw(&mut random);
            counts.sent.fetch_add(1, Ordering::Relaxed);
            if !exchange(&mut stream, &frame, counts) {
                break;
            }
        }
    }
}

/// Sends a frame and reads what comes; false once the connection is of no use.
fn exchange(stream: &mut TcpStream, frame: &[u8], counts: &Counts) -> bool {
    let mut answer = [0; 4_096];
    let answered = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.write_all(frame))
        .and_then(|()| stream.read(&mut answer));
    match answered {
        Ok(0) => {
            counts.closed.fetch_add(1, Ordering::Relaxed);
            false
        }
        Ok(_) => {
            counts.answered.fetch_add(1, Ordering::Relaxed);
            true
        }
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

/// The topic that spoilt batches are sent to.
fn make_topic(broker: &str, frames: &Frames) -> Outcome {
    ask(broker, &frames.create_topic(), TOPIC_WITHIN).map(drop)
}

fn is_there(broker: &str) -> Outcome {
    let answer = ask(broker, &ARE_YOU_THERE, ALIVE_WITHIN)?;
    if answer.len() > 10 { Ok(()) } else { Err("the broker answers too little".into()) }
}

/// One question on its own connection, and as much of the answer as comes at once.
fn ask(broker: &str, frame: &[u8], within: Duration) -> Result<Vec<u8>, String> {
    let ask = || {
        let mut stream = TcpStream::connect(broker)?;
        stream.set_read_timeout(Some(within))?;
        stream.write_all(frame)?;
        let mut answer = vec![0; 64 * 1024];
        let count = stream.read(&mut answer)?;
        answer.truncate(count);
        Ok(answer)
    };
    ask().map_err(|error: std::io::Error| format!("the broker does not answer: {error}"))
}
