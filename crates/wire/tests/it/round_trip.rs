//! Every message in every version, drawn at random, through the wire and back.

use crate::generated;
use crate::random::Random;
use crate::subject::{Subject, Visitor};

/// Messages drawn per version.
const DRAWS: usize = 40;

struct RoundTrip;

impl Visitor for RoundTrip {
    fn visit<S: Subject>(&mut self) {
        for version in S::VERSIONS {
            let mut random = Random::named(&format!("{} {version}", S::NAME));
            for _ in 0..DRAWS {
                check::<S>(&random.draw(version), version);
            }
            check::<S>(&S::default(), version);
        }
    }
}

fn check<S: Subject>(message: &S, version: i16) {
    let context = format!("{} version {version}: {message:?}", S::NAME);
    let bytes = message.to_bytes(version).unwrap_or_else(|error| panic!("{error}: {context}"));
    let decoded = S::from_bytes(bytes.clone().leak(), version)
        .unwrap_or_else(|error| panic!("{error}: {context}"));
    assert_eq!(&decoded, message, "{context}");
    assert_eq!(decoded.to_bytes(version).as_ref(), Ok(&bytes), "the same bytes again: {context}");
    // What was decoded from one version is encoded element by element in another.
    for other in S::VERSIONS.filter(|other| *other != version) {
        assert_eq!(
            decoded.to_bytes(other),
            message.to_bytes(other),
            "to version {other}: {context}"
        );
    }
}

#[test]
fn every_message_survives_the_wire_in_every_version() {
    generated::each(&mut RoundTrip);
}

#[test]
fn messages_agree_with_the_table_of_apis() {
    struct Agreement;
    impl Visitor for Agreement {
        fn visit<S: Subject>(&mut self) {
            if let Some(key) = S::KEY {
                assert_eq!(S::VERSIONS, key.versions_ever(), "{}", S::NAME);
                assert_eq!(S::FLEXIBLE, key.first_flexible_version(), "{}", S::NAME);
            }
        }
    }
    generated::each(&mut Agreement);
}
