//! `vectors record`: a proxy between a client and a broker that keeps what passes.

use super::recorder::{Pair, Recorder};
use super::testkit;
use crate::options::Options;
use crate::{Outcome, command};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A client's socket and the broker's, with what is kept of all connections.
type Shared = Arc<Mutex<Recorder>>;

pub(super) fn run(options: &Options) -> Outcome {
    let listener = TcpListener::bind(options.required("--listen")?)
        .map_err(|error| format!("cannot listen: {error}"))?;
    let broker = options.required("--to")?.to_owned();
    let client = options.required("--client")?;
    let Some((name, arguments)) = options.rest().split_first() else {
        return Err("a client's program is needed behind `--`".into());
    };
    let recorder = Shared::default();
    let shared = Arc::clone(&recorder);
    // The listener lives as long as this process: nothing needs to stop it.
    thread::spawn(move || serve(&listener, &broker, &shared));
    // How a client ends does not matter; what it said does. A consumer is often stopped by a timer.
    let ended = command::run(command::program(name).args(arguments));
    let pairs = recorder.lock().unwrap_or_else(PoisonError::into_inner).take();
    println!("{} kinds of request from {client}: {}", pairs.len(), ended.err().unwrap_or_default());
    pairs.iter().try_for_each(|pair| save(client, pair))
}

fn serve(listener: &TcpListener, broker: &str, recorder: &Shared) {
    for (number, client) in listener.incoming().enumerate() {
        let Ok(client) = client else { continue };
        let Ok(broker) = TcpStream::connect(broker) else { continue };
        let (Ok(from_client), Ok(from_broker)) = (client.try_clone(), broker.try_clone()) else {
            continue;
        };
        let requests = Arc::clone(recorder);
        let answers = Arc::clone(recorder);
        thread::spawn(move || {
            pass(from_client, broker, |frame| lock(&requests).on_request(number, frame));
        });
        thread::spawn(move || {
            pass(from_broker, client, |frame| lock(&answers).on_response(number, frame));
        });
    }
}

fn lock(recorder: &Shared) -> std::sync::MutexGuard<'_, Recorder> {
    recorder.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands frames on until one side is closed. A frame is noted before it is sent: its answer may
/// come before this thread runs again.
fn pass(mut from: TcpStream, mut to: TcpStream, mut note: impl FnMut(&[u8])) {
    while let Ok(frame) = read_frame(&mut from) {
        note(&frame[4..]);
        if to.write_all(&frame).is_err() {
            break;
        }
    }
    // The other direction ends with this one; a socket that is closed already is no harm.
    drop(to.shutdown(Shutdown::Both));
    drop(from.shutdown(Shutdown::Both));
}

/// A frame with its four bytes of length.
fn read_frame(from: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let size = u32::from_be_bytes(length) as usize;
    let mut frame = vec![0; 4 + size];
    frame[..4].copy_from_slice(&length);
    from.read_exact(&mut frame[4..])?;
    Ok(frame)
}

fn save(client: &str, pair: &Pair) -> Outcome {
    let folder = testkit().join("vectors/recorded");
    let path = folder.join(format!("{}.v{}.{client}.hex", pair.api, pair.version));
    let mut text = format!("request {}\n", hex(&pair.request));
    if let Some(response) = &pair.response {
        text.push_str(&format!("response {}\n", hex(response)));
    }
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&path, text))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}
