//! What a classic consumer says it wants.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_wire::Reader;
use ottla_wire::records::ConsumerProtocolSubscription;

/// The protocol type of Kafka's consumers.
pub(crate) const CONSUMER: &str = "consumer";

/// The topics of a subscription; `None` if the bytes are something else. Every version begins
/// like the first, so that future ones can be read too.
pub(crate) fn topics(metadata: &[u8]) -> Option<BTreeSet<Arc<str>>> {
    let mut reader = Reader::new(metadata);
    reader.i16().ok()?;
    let subscription = ConsumerProtocolSubscription::decode(&mut reader, 0).ok()?;
    Some(subscription.topics.iter().map(|name| name.as_ref().into()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_from_every_version_and_from_nothing_else() {
        let first = [0, 0, 0, 0, 0, 1, 0, 1, b'a', 0xff, 0xff, 0xff, 0xff];
        check(&first, Some(&["a"]));
        // A future version goes on behind what is known.
        check(&[&[0, 9], &first[2..], &[1, 2, 3]].concat(), Some(&["a"]));
        check(&[], None);
        check(b"something else", None);
    }

    fn check(metadata: &[u8], expected: Option<&[&str]>) {
        let expected = expected.map(|names| names.iter().map(|name| (*name).into()).collect());
        assert_eq!(topics(metadata), expected);
    }
}
