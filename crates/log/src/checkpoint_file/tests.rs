use ottla_testkit::apache_folder;

use super::*;
use crate::fixtures::Dice;

fn golden(file: &str) -> String {
    String::from_utf8(apache_folder().remove(file).unwrap()).unwrap()
}

#[test]
fn checkpoints_are_apache_kafkas() {
    check_golden(RECOVERY_POINT_CHECKPOINT, &[("idempotent", 0, 30), ("empty", 1, 0)], 7);
    check_golden(HIGH_WATERMARK_CHECKPOINT, &[("transactions", 0, 23)], 7);
    check_golden(LOG_START_CHECKPOINT, &[("deleted", 0, 13)], 1);
    // Nothing was ever compacted: Apache Kafka has made the file and written nothing.
    assert_eq!(golden(CLEANER_CHECKPOINT), "");
}

fn check_golden(file: &'static str, expected: &[(&str, i32, i64)], count: usize) {
    let text = golden(file);
    let read = OffsetCheckpoint::parse(file, &text).unwrap();
    assert_eq!(read.offsets.len(), count);
    for (topic, partition, offset) in expected {
        let partition = PartitionId::new(*partition);
        let key = TopicPartition { topic: TopicName::parse(topic).unwrap(), partition };
        assert_eq!(read.offsets.get(&key), Some(&Offset::new(*offset)), "{file} {key}");
    }
    // Ours are sorted, Apache Kafka's are not.
    let (mut theirs, encoded) = (text.lines().collect::<Vec<_>>(), read.encode());
    theirs[2..].sort_unstable();
    assert_eq!(encoded.lines().collect::<Vec<_>>(), theirs);
    assert!(text.ends_with('\n') && encoded.ends_with('\n'));
}

#[test]
#[rustfmt::skip]
fn a_checkpoint_that_is_not_whole_does_not_parse() {
    check("0\n0\n",                     Ok(0));
    check("0\n2\na 0 1\na 1 22\n",      Ok(2));
    check("",                           Err(1));
    check("0",                          Err(1));
    check("1\n0\n",                     Err(1));
    check("0\n",                        Err(2));
    check("0\nx\n",                     Err(2));
    check("0\n2\na 0 1\n",              Err(2));
    check("0\n1\na 0 1\na 1 22\n",      Err(2));
    check("0\n1\na 0 22",               Err(3));
    check("0\n1\na 0\n",                Err(3));
    check("0\n1\na 0 1 1\n",            Err(3));
    check("0\n1\na 0 -1\n",             Err(3));
    check("0\n1\na 0 +1\n",             Err(3));
    check("0\n1\na b 0 1\n",            Err(3));
    check("0\n1\n/ 0 1\n",              Err(3));
    check("0\n2\na 0 1\na 0 1\n",       Err(4));
    check("0\n1\na 0 1\n\n",            Err(4));
}

fn check(text: &str, expected: Result<usize, usize>) {
    let parsed = OffsetCheckpoint::parse(RECOVERY_POINT_CHECKPOINT, text);
    let outcome = parsed.map(|read| read.offsets.len()).map_err(|error| error.line);
    assert_eq!(outcome, expected, "{text:?}");
}

#[test]
fn no_cut_makes_another_checkpoint() {
    let text = golden(RECOVERY_POINT_CHECKPOINT);
    for len in 0..text.len() {
        assert!(OffsetCheckpoint::parse(RECOVERY_POINT_CHECKPOINT, &text[..len]).is_err(), "{len}");
    }
}

#[test]
fn any_text_is_refused_or_read_the_same_again() {
    let mut dice = Dice(5);
    let good = golden(RECOVERY_POINT_CHECKPOINT);
    for _ in 0..3_000 {
        let mut text = good.clone();
        for _ in 0..=dice.roll(2) {
            let at = dice.roll(text.len());
            let other = ["", "0", "9", " ", "\n", "-", "a", "é"][dice.roll(8)];
            text.replace_range(at..=at.min(text.len() - 1), other);
            if !text.is_ascii() {
                break;
            }
        }
        if let Ok(read) = OffsetCheckpoint::parse(RECOVERY_POINT_CHECKPOINT, &text) {
            let again = OffsetCheckpoint::parse(RECOVERY_POINT_CHECKPOINT, &read.encode());
            assert_eq!(again, Ok(read));
        }
    }
}

#[test]
fn the_mark_of_a_clean_stop_is_apache_kafkas() {
    let text = golden(CLEAN_SHUTDOWN);
    let read = CleanShutdown::parse(&text);
    assert_eq!(read.broker_epoch, Some(BrokerEpoch::new(15)));
    assert_eq!(read.encode(), text);
    let none = CleanShutdown { broker_epoch: None };
    assert_eq!(CleanShutdown::parse(&none.encode()), none);
}

#[test]
#[rustfmt::skip]
fn an_epoch_that_cannot_be_read_is_none() {
    check_epoch("{\"brokerEpoch\":7,\"version\":0}",              Some(7));
    check_epoch(" { \"version\" : 0 , \"brokerEpoch\" : 7 } \n",  Some(7));
    check_epoch("{\"version\":0,\"brokerEpoch\":7,\"more\":1}",   Some(7));
    check_epoch("",                                               None);
    check_epoch("{}",                                             None);
    check_epoch("{\"version\":0}",                                None);
    check_epoch("{\"version\":0,\"brokerEpoch\":-1}",             None);
    check_epoch("{\"version\":0,\"brokerEpoch\":null}",           None);
    check_epoch("{\"version\":1,\"brokerEpoch\":7}",              None);
    check_epoch("{\"version\":0,\"brokerEpoch\":7",               None);
}

fn check_epoch(text: &str, expected: Option<i64>) {
    let epoch = CleanShutdown::parse(text).broker_epoch.map(BrokerEpoch::get);
    assert_eq!(epoch, expected, "{text}");
}
