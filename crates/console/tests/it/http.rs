//! What HTTP answers, to friends and others.

use std::time::Duration;

use bytes::Bytes;

use crate::world::{Operator, beside_node};

#[test]
fn a_node_says_when_it_serves() {
    beside_node(Duration::from_secs(3), async |operator| {
        check(&operator, "/health", "200 OK", "alive\n").await;
        check(&operator, "/ready", "503 Service Unavailable", "starting\n").await;
        check(&operator, "/metrics", "503 Service Unavailable", "starting\n").await;
        operator.env.clock.sleep(Duration::from_secs(5)).await;
        check(&operator, "/healthz", "200 OK", "alive\n").await;
        check(&operator, "/ready", "200 OK", "ready\n").await;
        check(&operator, "/readyz?verbose", "200 OK", "ready\n").await;
        assert!(operator.get("/").await.body.contains("/metrics "));
        assert_eq!(operator.get("/nowhere").await.status, "404 Not Found");
    });
}

async fn check(operator: &Operator, path: &str, status: &str, body: &str) {
    let got = operator.get(path).await;
    assert_eq!((got.status.as_str(), got.body.as_str()), (status, body), "{path}");
}

#[test]
fn who_asks_for_something_else_is_told_so() {
    beside_node(Duration::ZERO, async |operator| {
        refused(&operator, b"POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed").await;
        refused(&operator, b"\x16\x03\x01\x02\x00\r\n\r\n", "400 Bad Request").await;
        refused(&operator, b"GET / HTTP/3\r\n\r\n", "400 Bad Request").await;
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(10_000));
        refused(&operator, long.as_bytes(), "431 Request Header Fields Too Large").await;
        // Without an end, too.
        refused(&operator, &[b'x'; 20_000], "431 Request Header Fields Too Large").await;
    });
}

async fn refused(operator: &Operator, request: &[u8], status: &str) {
    assert_eq!(operator.say(request).await.unwrap().status, status);
}

#[test]
fn an_answer_is_as_the_client_wants_it() {
    beside_node(Duration::ZERO, async |operator| {
        let old = operator.say(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
        assert!(old.body.starts_with("# HELP ") && !old.head.contains("chunked"));
        let head = operator.say(b"HEAD /metrics HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(head.body.is_empty() && head.head.contains("text/plain; version=0.0.4"));
        let head = operator.say(b"HEAD /ready HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(head.body.is_empty() && head.head.contains("content-length: 6"));
    });
}

/// Slow ones are given up, those who come while there are too many are not served, and afterwards
/// all is as before.
#[test]
fn connections_are_bounded_in_number_and_time() {
    beside_node(Duration::ZERO, async |operator| {
        let mut slow = Vec::new();
        for _ in 0..64 {
            let mut stream = operator.connect().await;
            stream.write_all(Bytes::from_static(b"GET / HTTP")).await.unwrap();
            slow.push(stream);
        }
        operator.env.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!(operator.say(b"GET /health HTTP/1.1\r\n\r\n").await, None);
        operator.env.clock.sleep(Duration::from_secs(10)).await;
        check(&operator, "/health", "200 OK", "alive\n").await;
        for mut stream in slow {
            assert!(matches!(stream.read(&mut [0; 64]).await, Ok(0) | Err(_)));
        }
    });
}
