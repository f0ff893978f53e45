//! Which of the frames that pass are kept.

use std::collections::BTreeMap;

/// The requests that a node of today serves, by key.
const SERVED: [(i16, &str); 13] = [
    (0, "Produce"),
    (1, "Fetch"),
    (2, "ListOffsets"),
    (3, "Metadata"),
    (10, "FindCoordinator"),
    (18, "ApiVersions"),
    (19, "CreateTopics"),
    (20, "DeleteTopics"),
    (22, "InitProducerId"),
    (32, "DescribeConfigs"),
    (55, "DescribeQuorum"),
    (60, "DescribeCluster"),
    (75, "DescribeTopicPartitions"),
];

/// A pair of more bytes than this is kept only until a smaller one comes: files stay readable.
const BYTES_SMALL: usize = 2_000;

/// One request and its answer, without their lengths.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pair {
    pub(super) api: &'static str,
    pub(super) version: i16,
    pub(super) request: Vec<u8>,
    /// Produce with acks=0 has none.
    pub(super) response: Option<Vec<u8>>,
}

/// Frames of all connections of one client.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// By connection and correlation id.
    unanswered: BTreeMap<(usize, i32), Pair>,
    kept: BTreeMap<(&'static str, i16), Pair>,
}

impl Recorder {
    pub(super) fn on_request(&mut self, connection: usize, frame: &[u8]) {
        let (Some(key), Some(version)) = (read_i16(frame, 0), read_i16(frame, 2)) else { return };
        let Some((_, api)) = SERVED.iter().find(|(served, _)| *served == key) else { return };
        let Some(correlation) = read_i32(frame, 4) else { return };
        let pair = Pair { api, version, request: frame.to_vec(), response: None };
        self.unanswered.insert((connection, correlation), pair);
    }

    pub(super) fn on_response(&mut self, connection: usize, frame: &[u8]) {
        let Some(correlation) = read_i32(frame, 0) else { return };
        let Some(mut pair) = self.unanswered.remove(&(connection, correlation)) else { return };
        pair.response = Some(frame.to_vec());
        self.keep(pair);
    }

    /// What was kept, and what was never answered.
    pub(super) fn take(&mut self) -> Vec<Pair> {
        for (_, pair) in std::mem::take(&mut self.unanswered) {
            self.keep(pair);
        }
        std::mem::take(&mut self.kept).into_values().collect()
    }

    fn keep(&mut self, pair: Pair) {
        let best = self.kept.entry((pair.api, pair.version)).or_insert_with(|| pair.clone());
        if worth(&pair) > worth(best) {
            *best = pair;
        }
    }
}

/// An answered pair before one without, a small one before a large one, and among the small ones
/// the largest: it says most.
fn worth(pair: &Pair) -> (bool, bool, i64) {
    let bytes = pair.request.len() + pair.response.as_ref().map_or(0, Vec::len);
    let size = i64::try_from(bytes).expect("a frame has less than 2 GiB");
    let small = bytes <= BYTES_SMALL;
    (pair.response.is_some(), small, if small { size } else { -size })
}

fn read_i16(frame: &[u8], at: usize) -> Option<i16> {
    Some(i16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?))
}

fn read_i32(frame: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(frame.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_small_pair_of_a_version_is_kept() {
        let mut recorder = Recorder::default();
        for (correlation, bytes) in [(1, 10), (2, 500), (3, 9_000), (4, 20)] {
            recorder.on_request(0, &request(3, 12, correlation, 0));
            recorder.on_response(0, &response(correlation, bytes));
        }
        let kept = recorder.take();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].response.as_ref().map(Vec::len), Some(504));
    }

    #[test]
    fn connections_answers_and_strange_frames_are_kept_apart() {
        let mut recorder = Recorder::default();
        recorder.on_request(0, &request(3, 12, 1, 0));
        recorder.on_request(1, &request(0, 7, 1, 0));
        recorder.on_request(1, &request(11, 5, 2, 0));
        recorder.on_response(1, &response(2, 0));
        recorder.on_response(0, &response(1, 3));
        recorder.on_response(0, &response(9, 3));
        recorder.on_request(0, &[0, 3, 0]);
        let kept: Vec<_> = recorder.take().into_iter().map(|p| (p.api, p.response)).collect();
        assert_eq!(kept, [("Metadata", Some(response(1, 3))), ("Produce", None)]);
    }

    fn request(key: i16, version: i16, correlation: i32, more: usize) -> Vec<u8> {
        let head = [key.to_be_bytes(), version.to_be_bytes()].concat();
        [head, correlation.to_be_bytes().to_vec(), vec![0; more]].concat()
    }

    fn response(correlation: i32, more: usize) -> Vec<u8> {
        [correlation.to_be_bytes().to_vec(), vec![0; more]].concat()
    }
}
