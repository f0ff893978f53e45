//! Every message that the schema knows.

use ottla_testkit::{messages, recorded, vectors_of};
use ottla_wire::{ApiKey, Reader, RequestHeader, ResponseHeader, Writer};

use super::split;
use crate::generated::each;
use crate::subject::{Subject, Visitor};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Request,
    Response,
    Other,
}

fn kind(name: &str) -> Kind {
    if name.ends_with("Request") {
        Kind::Request
    } else if name.ends_with("Response") {
        Kind::Response
    } else {
        Kind::Other
    }
}

/// Counts the messages of a kind.
struct Count {
    kind: Kind,
    count: usize,
}

impl Visitor for Count {
    fn visit<S: Subject>(&mut self) {
        self.count += usize::from(kind(S::NAME) == self.kind);
    }
}

/// Finds one message of a kind by its number.
struct Pick<'a> {
    kind: Kind,
    left: usize,
    version: u8,
    body: &'a [u8],
}

impl Visitor for Pick<'_> {
    fn visit<S: Subject>(&mut self) {
        if kind(S::NAME) != self.kind {
            return;
        }
        let found = self.left == 0;
        self.left = self.left.wrapping_sub(1);
        if found {
            let versions = S::VERSIONS;
            let count = i32::from(*versions.end()) - i32::from(*versions.start()) + 1;
            let version = i32::from(*versions.start()) + i32::from(self.version) % count;
            check::<S>(self.body, i16::try_from(version).expect("a version"));
        }
    }
}

/// Whatever is taken can be sent on so that it reads the same.
fn check<S: Subject>(body: &[u8], version: i16) {
    // SAFETY: what borrows from it is gone when this function returns.
    let body: &'static [u8] = unsafe { std::mem::transmute::<&[u8], &'static [u8]>(body) };
    let Ok(message) = S::from_bytes(body, version) else { return };
    let again = message.to_bytes(version).expect("what was read can be written");
    // SAFETY: as above.
    let bytes: &'static [u8] = unsafe { std::mem::transmute::<&[u8], &'static [u8]>(&again[..]) };
    let reread = S::from_bytes(bytes, version).expect("what was written can be read");
    let third = reread.to_bytes(version).expect("what was read can be written");
    assert_eq!(again, third, "{} {version}", S::NAME);
}

fn pick(kind: Kind, input: &[u8]) {
    let Some(([which, version], body)) = split(input) else { return };
    let mut count = Count { kind, count: 0 };
    each(&mut count);
    let left = usize::from(which) % count.count;
    each(&mut Pick { kind, left, version, body });
}

pub(super) fn request(input: &[u8]) {
    pick(Kind::Request, input);
}

pub(super) fn response(input: &[u8]) {
    pick(Kind::Response, input);
}

pub(super) fn blob(input: &[u8]) {
    pick(Kind::Other, input);
}

/// All vectors of a kind.
struct Seeds {
    kind: Kind,
    at: u8,
    all: Vec<Vec<u8>>,
}

impl Visitor for Seeds {
    fn visit<S: Subject>(&mut self) {
        if kind(S::NAME) != self.kind {
            return;
        }
        let (at, first) = (self.at, *S::VERSIONS.start());
        self.at += 1;
        // Some records have none: Apache Kafka does not write them any more, or not yet.
        if !messages().iter().any(|name| name == S::NAME) {
            return;
        }
        for vector in vectors_of(S::NAME).into_iter().filter(|v| S::VERSIONS.contains(&v.version)) {
            let version = u8::try_from(vector.version - first).expect("few versions");
            self.all.push([vec![at, version], vector.bytes].concat());
        }
    }
}

fn seeds(kind: Kind) -> Vec<Vec<u8>> {
    let mut seeds = Seeds { kind, at: 0, all: Vec::new() };
    each(&mut seeds);
    seeds.all
}

pub(super) fn request_seeds() -> Vec<Vec<u8>> {
    seeds(Kind::Request)
}

pub(super) fn response_seeds() -> Vec<Vec<u8>> {
    seeds(Kind::Response)
}

pub(super) fn blob_seeds() -> Vec<Vec<u8>> {
    seeds(Kind::Other)
}

/// The headers of recorded requests, and some with tags.
pub(super) fn header_seeds() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = recorded()
        .into_iter()
        .map(|recorded| recorded.request.into_iter().take(80).collect())
        .collect();
    all.push(vec![0, 0, 0, 1, 2, 100, 1, 7, 101, 0]);
    all.push(vec![0, 3, 0, 12, 0, 0, 0, 1, 0, 1, b'c', 2, 0, 2, 1, 2, 9, 0, 0]);
    all
}

pub(super) fn header(input: &[u8]) {
    let mut reader = Reader::new(input);
    if let Ok((key, header)) = RequestHeader::decode_any(&mut reader) {
        let version = key.header_versions(header.request_api_version).request;
        let mut again = Vec::new();
        header.encode(&mut Writer::new(&mut again), version).expect("what was read can be written");
        let mut reader = Reader::new(&again);
        let (same, reread) = RequestHeader::decode_any(&mut reader).expect("it was just written");
        assert_eq!((same, reread), (key, header));
    }
    for version in 0..=1 {
        let mut reader = Reader::new(input);
        if let Ok(header) = ResponseHeader::decode(&mut reader, version) {
            let mut again = Vec::new();
            header.encode(&mut Writer::new(&mut again), version).expect("it was just read");
            let reread = ResponseHeader::decode(&mut Reader::new(&again), version);
            assert_eq!(reread, Ok(header));
        }
    }
    let _known = input.first_chunk().map(|key| ApiKey::from_wire(i16::from_be_bytes(*key)));
}
