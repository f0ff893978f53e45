//! Connections that should go to another loop.

use std::net::SocketAddr;

use super::*;
use crate::connection::Ended;

/// A producer that never waits for an answer before it asks again.
struct Tireless {
    request: Vec<u8>,
    asked: Rc<Cell<usize>>,
    answered_bytes: Rc<Cell<u64>>,
}

impl Stream for Tireless {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let (count, asked) = (self.request.len().min(buffer.len()), self.asked.get());
        assert_eq!(count, self.request.len(), "whole requests fit");
        buffer[..count].copy_from_slice(&self.request);
        self.asked.set(asked + 1);
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, out: &mut Outbound) -> Poll<io::Result<()>> {
        self.answered_bytes.set(self.answered_bytes.get() + out.len());
        out.advance(out.len());
        Poll::Ready(Ok(()))
    }

    fn into_socket(self: Box<Self>) -> io::Result<Box<dyn Socket>> {
        Ok(Box::new(Gone))
    }
}

struct Gone;

impl Socket for Gone {
    fn peer_address(&self) -> SocketAddr {
        SocketAddr::new(PEER, 1)
    }

    fn into_stream(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        unreachable!("nobody takes it")
    }
}

#[test]
fn a_producer_that_always_has_appends_under_way_leaves_once_they_are_answered() {
    World::new(12).live(async |life| {
        let node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        let batch = batch(10);
        let request = produce_request((TOPIC, 0), -1, &batch);
        let request = frame(ApiKey::Produce, PRODUCE, 1, |w| request.encode(w, PRODUCE));
        let (asked, answered_bytes) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let stream = Tireless {
            request,
            asked: Rc::clone(&asked),
            answered_bytes: Rc::clone(&answered_bytes),
        };
        let listening = Listening { name: "PLAINTEXT".to_owned(), role: Role::Broker };
        let (broker, listening) = (Arc::clone(&node.broker), Arc::new(listening));
        let connection = Connection::new(broker, listening, PEER, Lane::new(), Box::new(stream));
        let left = Rc::new(Cell::new(false));
        let leave = Rc::clone(&left);
        let run = async move {
            let ended = connection.run(|_| true).await;
            leave.set(matches!(ended, Ended::Leaves(..)));
        };
        life.env.spawn.spawn("tireless", Box::pin(run));
        life.pause(1_000).await;
        assert!(left.get(), "it goes");
        assert!(asked.get() > 0);
        let end = client.produce(-1, &batch).await.base_offset;
        assert_eq!(usize::try_from(end).unwrap(), asked.get(), "what was asked is appended");
        let answer_bytes = answered_bytes.get() / asked.get() as u64;
        assert!(answer_bytes * asked.get() as u64 == answered_bytes.get() && answer_bytes > 8);
        node.stop().await;
    });
}
