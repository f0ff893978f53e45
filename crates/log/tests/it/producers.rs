//! Idempotent appends, judged as Apache Kafka's own classes judge them.

use ottla_log::{Admission, ProducerError, ProducerState};
use ottla_records::BatchHeader;
use ottla_types::Offset;

use crate::support::numbered;

const SCRIPTS: &str = include_str!("../../../testkit/vectors/records/producers.txt");

#[test]
fn the_state_judges_as_kafka_does() {
    let mut state = ProducerState::default();
    let mut end = 0;
    let mut appends = 0;
    for (line, text) in (1..).zip(SCRIPTS.lines()).filter(|(_, text)| !text.starts_with('#')) {
        if text.is_empty() {
            (state, end) = (ProducerState::default(), 0);
            continue;
        }
        let (append, expected) = parse(text);
        let header = BatchHeader { base_offset: Offset::new(end), ..append };
        let outcome = judge(&state, &header);
        assert_eq!(outcome, expected, "line {line}");
        if outcome.starts_with("new") {
            state.on_appended(&header, None);
            end = header.last_offset().get() + 1;
        }
        appends += 1;
    }
    assert_eq!(appends, 3_750);
}

fn parse(line: &str) -> (BatchHeader, &str) {
    let mut fields = line.splitn(4, ' ');
    let mut number = || fields.next().unwrap().parse().unwrap();
    let (epoch, first, count): (i32, i32, i32) = (number(), number(), number());
    let values = vec![""; usize::try_from(count).unwrap()];
    let built = numbered(1, i16::try_from(epoch).unwrap(), first, &values);
    (built.batch().header, fields.next().unwrap())
}

fn judge(state: &ProducerState, header: &BatchHeader) -> String {
    match state.check(header) {
        Ok(Admission::New) => format!("new {}", header.base_offset),
        Ok(Admission::Duplicate(same)) => format!("duplicate {}", same.base_offset),
        Err(ProducerError::InvalidProducerEpoch { .. }) => "epoch".to_owned(),
        Err(ProducerError::OutOfOrderSequence { .. }) => "order".to_owned(),
        Err(error @ ProducerError::InvalidTransactionState { .. }) => panic!("{error}"),
    }
}
