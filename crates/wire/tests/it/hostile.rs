//! Bytes that nobody means well with: truncated, flipped, made up.

use crate::generated;
use crate::random::Random;
use crate::subject::{Subject, Visitor};

/// Damaged copies: cut at every length, some bits flipped, some bytes replaced by tempting ones.
pub(crate) fn mutations(bytes: &[u8], random: &mut Random, count: usize) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> =
        (0..bytes.len().min(400)).map(|length| bytes[..length].to_vec()).collect();
    for _ in 0..count {
        let mut copy = bytes.to_vec();
        for _ in 0..=random.below(3) {
            damage(&mut copy, random);
        }
        all.push(copy);
    }
    all
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        bytes.push(0xff);
        return;
    }
    let at = random.below(bytes.len());
    match random.below(5) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = *random.pick(&[0x00, 0x01, 0x7f, 0x80, 0xff]),
        // The largest lengths, in both spellings.
        2 => bytes.splice(at..at, [0x7f, 0xff, 0xff, 0xff]).for_each(drop),
        3 => bytes.splice(at..at, [0xff, 0xff, 0xff, 0xff, 0x0f]).for_each(drop),
        _ => bytes.insert(at, 0),
    }
}

struct Hostile {
    bodies: usize,
}

impl Visitor for Hostile {
    fn visit<S: Subject>(&mut self) {
        for version in S::VERSIONS {
            let mut random = Random::named(&format!("hostile {} {version}", S::NAME));
            let bytes = random.draw::<S>(version).to_bytes(version).unwrap();
            for bytes in mutations(&bytes, &mut random, 100) {
                self.check::<S>(bytes, version);
            }
            for _ in 0..100 {
                let length = random.below(80);
                self.check::<S>(random.bytes(length), version);
            }
        }
    }
}

impl Hostile {
    /// Whatever is taken can be walked, and sent on so that it reads the same.
    fn check<S: Subject>(&mut self, bytes: Vec<u8>, version: i16) {
        self.bodies += 1;
        let Ok(message) = S::from_bytes(bytes.leak(), version) else { return };
        let again = message.to_bytes(version).expect("what was read can be written");
        let reread = S::from_bytes(again.leak(), version).expect("what was written can be read");
        assert_eq!(format!("{reread:?}"), format!("{message:?}"), "{} {version}", S::NAME);
    }
}

#[test]
fn hostile_bytes_are_refused_or_understood() {
    let mut hostile = Hostile { bodies: 0 };
    generated::each(&mut hostile);
    assert!(hostile.bodies > 20_000, "{} bodies", hostile.bodies);
}

#[test]
fn a_message_cut_short_or_drawn_out_is_refused() {
    struct Cut;
    impl Visitor for Cut {
        fn visit<S: Subject>(&mut self) {
            for version in S::VERSIONS {
                let mut random = Random::named(&format!("cut {} {version}", S::NAME));
                let mut bytes = random.draw::<S>(version).to_bytes(version).unwrap();
                for length in (0..bytes.len()).take(300) {
                    let cut = S::from_bytes(bytes[..length].to_vec().leak(), version);
                    assert!(cut.is_err(), "{} {version} at {length}", S::NAME);
                }
                bytes.push(0);
                let longer = S::from_bytes(bytes.leak(), version);
                assert!(longer.is_err(), "{} {version}", S::NAME);
            }
        }
    }
    generated::each(&mut Cut);
}
