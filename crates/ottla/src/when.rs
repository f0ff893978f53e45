//! Places in a log, and times, as people write them.
//!
//! ```text
//! start  end  42  +10 (behind the start)  -10 (before the end)
//! @now  @-1h  @1700000000000 (ms)  @2026-02-28  @2026-02-28T12:30:00Z
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_client::{Admin, ListedOffset, OffsetSpec};
use ottla_types::{Offset, Timestamp, TopicPartition};

use crate::failure::Failure;
use crate::words;

/// A place in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Start,
    End,
    At(Offset),
    /// So many offsets behind the start.
    Behind(i64),
    /// So many offsets before the end.
    Before(i64),
    /// The first record of that time or later.
    Time(When),
}

/// A time, against a clock or a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Now,
    Ago(Duration),
    At(Timestamp),
}

/// Where reading begins, and where it ends if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Place,
    pub(crate) to: Option<Place>,
}

const PLACES: &str = "it is one of: start, end, an offset, +N (behind the start), -N (before the \
                      end), @TIME as in @-1h, @now, @2026-02-28T12:30";

/// For clap.
pub(crate) fn place(text: &str) -> Result<Place, String> {
    parse_place(text).ok_or_else(|| PLACES.to_owned())
}

/// `FROM` or `FROM:TO`, for clap. Times have colons of their own, so every colon is tried.
pub(crate) fn span(text: &str) -> Result<Span, String> {
    if let Some(from) = parse_place(text) {
        return Ok(Span { from, to: None });
    }
    let colons = text.match_indices(':').map(|(at, _)| at);
    for at in colons {
        let (from, to) = (&text[..at], &text[at + 1..]);
        let from = if from.is_empty() { Some(Place::Start) } else { parse_place(from) };
        if let (Some(from), Some(to)) = (from, parse_place(to)) {
            return Ok(Span { from, to: Some(to) });
        }
    }
    Err(format!("{PLACES}; or two of them with a colon between"))
}

/// `90s`, `1500ms`, `2h`, `7d`, for clap.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "it is a number and a unit: ms, s, m, h, d".to_owned())
}

fn parse_place(text: &str) -> Option<Place> {
    match text {
        "start" | "beginning" | "earliest" => return Some(Place::Start),
        "end" | "latest" => return Some(Place::End),
        _ => {}
    }
    if let Some(time) = text.strip_prefix('@') {
        return parse_when(time).map(Place::Time);
    }
    match text.split_at_checked(1)? {
        ("+", count) => digits(count).map(Place::Behind),
        ("-", count) => digits(count).map(Place::Before),
        _ => digits(text).map(|offset| Place::At(Offset::new(offset))),
    }
}

fn digits(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn parse_when(text: &str) -> Option<When> {
    if text == "now" {
        return Some(When::Now);
    }
    if let Some(ago) = text.strip_prefix('-') {
        return parse_duration(ago).map(When::Ago);
    }
    if let Some(number) = digits(text) {
        // Seconds have ten digits until the year 2286, milliseconds thirteen.
        let millis = if text.len() <= 10 { number.checked_mul(1_000)? } else { number };
        return Some(When::At(Timestamp::from_millis(millis)));
    }
    words::parse_time(text).map(When::At)
}

fn parse_duration(text: &str) -> Option<Duration> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

impl When {
    fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Now => now,
            Self::At(time) => time,
            Self::Ago(time) => {
                let ago = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_millis(now.millis().saturating_sub(ago).max(0))
            }
        }
    }
}

/// Finds a place in each of the partitions; those that are not there are left off. Never before
/// the first record, nor behind the end.
pub(crate) async fn found(
    admin: &Admin,
    partitions: &[TopicPartition],
    place: Place,
    now: Timestamp,
) -> Result<BTreeMap<TopicPartition, Offset>, Failure> {
    let starts = admin.list_offsets(partitions, OffsetSpec::Earliest).await?;
    let ends = admin.list_offsets(partitions, OffsetSpec::Latest).await?;
    let listed = match place {
        Place::Time(when) => {
            admin.list_offsets(partitions, OffsetSpec::AtOrAfter(when.at(now))).await?
        }
        _ => BTreeMap::new(),
    };
    let mut found = BTreeMap::new();
    for (partition, end) in ends {
        let Some(start) = starts.get(&partition) else { continue };
        let (start, end) = (start.offset, end.offset);
        let of_time = listed.get(&partition).map(|listed: &ListedOffset| listed.offset);
        found.insert(partition, within(place, start, end, of_time));
    }
    Ok(found)
}

fn within(place: Place, start: Offset, end: Offset, of_time: Option<Offset>) -> Offset {
    let wanted = match place {
        Place::Start => start.get(),
        Place::End => end.get(),
        Place::At(offset) => offset.get(),
        Place::Behind(count) => start.get().saturating_add(count),
        Place::Before(count) => end.get().saturating_sub(count),
        // Nothing is as young as that: the next record will be.
        Place::Time(_) => of_time.unwrap_or(end).get(),
    };
    Offset::new(wanted.clamp(start.get(), end.get().max(start.get())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Option<Place> {
        Some(Place::Time(When::At(Timestamp::from_millis(millis))))
    }

    #[test]
    fn places_are_read() {
        let hour = Duration::from_secs(3_600);
        for (text, expected) in [
            ("start", Some(Place::Start)),
            ("end", Some(Place::End)),
            ("42", Some(Place::At(Offset::new(42)))),
            ("+7", Some(Place::Behind(7))),
            ("-7", Some(Place::Before(7))),
            ("@now", Some(Place::Time(When::Now))),
            ("@-1h", Some(Place::Time(When::Ago(hour)))),
            ("@1700000000", at(1_700_000_000_000)),
            ("@1700000000123", at(1_700_000_000_123)),
            ("@2023-11-14", at(1_699_920_000_000)),
            ("@2023-11-14T22:13:20Z", at(1_700_000_000_000)),
            ("@2023-11-14 22:13", at(1_699_999_980_000)),
            ("@2023-11-14T22:13:20.123Z", at(1_700_000_000_123)),
            ("@2023-13-14", None),
            ("@2023-02-29", None),
            ("@tomorrow", None),
            ("--7", None),
            ("+", None),
            ("-", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse_place(text), expected, "{text}");
        }
    }

    #[test]
    fn spans_end_where_they_are_told_to() {
        let time = |text: &str| parse_place(text).unwrap();
        for (text, from, to) in [
            ("start:end", Place::Start, Some(Place::End)),
            (":5", Place::Start, Some(Place::At(Offset::new(5)))),
            ("3:5", Place::At(Offset::new(3)), Some(Place::At(Offset::new(5)))),
            ("@-1h:@now", time("@-1h"), Some(time("@now"))),
            ("@2023-11-14T22:13:20:@now", time("@2023-11-14T22:13:20"), Some(time("@now"))),
            ("-5", Place::Before(5), None),
        ] {
            assert_eq!(span(text), Ok(Span { from, to }), "{text}");
        }
        assert!(span("a:b").is_err());
    }

    #[test]
    fn places_lie_within_the_log() {
        for (place, of_time, expected) in [
            (Place::Start, None, 10),
            (Place::End, None, 20),
            (Place::At(Offset::new(15)), None, 15),
            (Place::At(Offset::new(5)), None, 10),
            (Place::At(Offset::new(50)), None, 20),
            (Place::Behind(3), None, 13),
            (Place::Before(3), None, 17),
            (Place::Before(30), None, 10),
            (Place::Time(When::Now), None, 20),
            (Place::Time(When::Now), Some(Offset::new(12)), 12),
        ] {
            let found = within(place, Offset::new(10), Offset::new(20), of_time);
            assert_eq!(found, Offset::new(expected), "{place:?}");
        }
    }
}
