//! A whole node in the fake world, and a client that sends anything.

use std::time::Duration;

use bytes::Bytes;
use ottla_broker::{Node, NodeConfig, Properties};
use ottla_env::reply;
use ottla_sim::Sim;
use ottla_testkit::recorded;

use super::split;

/// What each recorded client sent, as frames with their lengths.
fn requests() -> Vec<Vec<u8>> {
    recorded().into_iter().map(|recorded| recorded.request).collect()
}

fn framed(frame: &[u8]) -> Vec<u8> {
    [&(frame.len() as u32).to_be_bytes()[..], frame].concat()
}

/// How it is cut, and the stream.
pub(super) fn stream_seeds() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = requests()
        .iter()
        .filter(|frame| frame.len() < 2_000)
        .map(|frame| [vec![40], framed(frame)].concat())
        .collect();
    all.push([vec![3], all.iter().take(6).flat_map(|it| it[1..].to_vec()).collect()].concat());
    all
}

/// Frames one after the other: two bytes of length, and what it says as far as it is there.
pub(super) fn frame_seeds() -> Vec<Vec<u8>> {
    let short = |frame: &Vec<u8>| frame.len() < 2_000;
    let sized = |frame: Vec<u8>| [&(frame.len() as u16).to_be_bytes()[..], &frame].concat();
    let each: Vec<Vec<u8>> = requests().into_iter().filter(short).map(sized).collect();
    let sequences = each.chunks(8).map(|some| some.concat());
    let sequences: Vec<Vec<u8>> = sequences.collect();
    [each, sequences].concat()
}

pub(super) fn stream(input: &[u8]) {
    let Some(([cut], bytes)) = split(input) else { return };
    let pieces = bytes.chunks(usize::from(cut) * 8 + 1);
    serve(pieces.map(Bytes::copy_from_slice).collect());
}

pub(super) fn frames(mut input: &[u8]) {
    let mut pieces = Vec::new();
    while let Some(([high, low], rest)) = split(input) {
        let length = usize::from(u16::from_be_bytes([high & 0x1f, low])).min(rest.len());
        let (frame, rest) = rest.split_at(length);
        pieces.push(Bytes::from(framed(frame)));
        input = rest;
    }
    serve(pieces);
}

/// Sends the pieces to a new node, reads what comes, and asks whether it is still there.
fn serve(pieces: Vec<Bytes>) {
    let mut sim = Sim::new(7);
    let machine = sim.host();
    let (to, ended) = reply();
    let (ip, address) = (machine.id().ip(), machine.address(9092));
    machine.start(1, |env| {
        Box::pin(async move {
            let properties = [
                ("listeners", format!("PLAINTEXT://{ip}:9092,CONTROLLER://{ip}:9093")),
                ("log.dirs", "data".to_owned()),
                ("group.initial.rebalance.delay.ms", "0".to_owned()),
                ("offsets.topic.num.partitions", "2".to_owned()),
            ];
            let own = properties.into_iter().map(|(name, value)| (name.to_owned(), value));
            let config = NodeConfig::parse(&own.collect::<Properties>(), None);
            let config = config.expect("legal properties");
            let node = Node::start(env.clone(), config).await.expect("an empty disk");
            let mut stream = env.net.connect(address).await.expect("it listens");
            let mut buffer = [0; 4_096];
            for piece in pieces {
                if stream.write_all(piece).await.is_err() {
                    break;
                }
                let mut timer = env.clock.timer();
                timer.set(Some(env.clock.mono().after(Duration::from_millis(20))));
                // Whatever comes at once.
                std::future::poll_fn(|cx| {
                    while let std::task::Poll::Ready(read) = stream.poll_read(cx, &mut buffer) {
                        if !matches!(read, Ok(1..)) {
                            return std::task::Poll::Ready(());
                        }
                    }
                    timer.poll_expired(cx)
                })
                .await;
            }
            drop(stream);
            let mut other = env.net.connect(address).await.expect("it listens still");
            let are_you_there = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
            other.write_all(Bytes::copy_from_slice(&are_you_there)).await.expect("it reads");
            let mut count = 0;
            while count < 10 {
                let more = other.read(&mut buffer).await.expect("it answers");
                assert!(more > 0, "the node closes the connection of another client");
                count += more;
            }
            node.stop().await;
            to.send(());
        })
    });
    let operator = sim.host();
    sim.run(&operator, |_| ended).expect("the node lives on");
    assert!(machine.take_halts().is_empty(), "the node has halted");
}
