//! Times, bytes and sizes for a reader.

use std::fmt::Write;

use ottla_types::Timestamp;

const DAY_MS: i64 = 86_400_000;

/// A time in UTC: `2023-11-14T22:13:20.000Z`; `-` for none.
pub(crate) fn time(timestamp: Option<Timestamp>) -> String {
    let Some(timestamp) = timestamp else { return "-".to_owned() };
    let date = strftime("%FT%T", timestamp).expect("these are known");
    let ms = timestamp.millis().rem_euclid(1_000);
    format!("{date}.{ms:03}Z")
}

/// A time in UTC as C's strftime has it, in its verbs of numbers: `%Y %m %d %H %M %S %F %T %s`
/// and `%%`; the unknown verb where there is one.
pub(crate) fn strftime(format: &str, timestamp: Timestamp) -> Result<String, char> {
    let (days, ms) = (timestamp.millis().div_euclid(DAY_MS), timestamp.millis().rem_euclid(DAY_MS));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    let (mut text, mut rest) = (String::new(), format.chars());
    while let Some(c) = rest.next() {
        let written = match if c == '%' { rest.next().unwrap_or('%') } else { '\0' } {
            '\0' => {
                text.push(c);
                continue;
            }
            'Y' => write!(text, "{year:04}"),
            'm' => write!(text, "{month:02}"),
            'd' => write!(text, "{day:02}"),
            'H' => write!(text, "{hour:02}"),
            'M' => write!(text, "{minute:02}"),
            'S' => write!(text, "{second:02}"),
            'F' => write!(text, "{year:04}-{month:02}-{day:02}"),
            'T' => write!(text, "{hour:02}:{minute:02}:{second:02}"),
            's' => write!(text, "{}", timestamp.millis().div_euclid(1_000)),
            '%' => write!(text, "%"),
            other => return Err(other),
        };
        written.expect("a String takes all");
    }
    Ok(text)
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar: years are
/// counted from March, so that the leap day comes last.
const fn civil(days: i64) -> (i64, i64, i64) {
    const ERA_DAYS: i64 = 146_097;
    let from_march_0 = days + 719_468;
    let (era, day) = (from_march_0.div_euclid(ERA_DAYS), from_march_0.rem_euclid(ERA_DAYS));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day_of_month)
}

/// A time in UTC, as [`time`] writes it; what is left off is zero, `Z` may be, too.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let mut date = date.splitn(3, '-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, ms) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut clock = clock.splitn(3, ':').map(number);
    let (hour, minute) = (clock.next()??, clock.next()??);
    let second = clock.next().unwrap_or(Some(0))?;
    let ms = number(&format!("{ms:0<3}")).filter(|ms| *ms < 1_000)?;
    let days = days_since_1970(year, month, day)?;
    let in_day = hour < 24 && minute < 60 && second < 60;
    let seconds = (days * 24 + hour) * 3_600 + minute * 60 + second;
    in_day.then(|| Timestamp::from_millis(seconds * 1_000 + ms))
}

/// Digits, few enough for years.
fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|c| c.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// The other way round than [`civil`], which is asked whether there is such a day.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let (year_of_march, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year_of_march.div_euclid(400);
    let of_era = year_of_march.rem_euclid(400);
    let of_year = (153 * months + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    (year >= 1970 && civil(days) == (year, month, day)).then_some(days)
}

/// Bytes as quoted text where they are text that prints, in hexadecimal where they are not.
pub(crate) fn readable(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "null".to_owned() };
    text(bytes).map_or_else(|| hex(bytes), |text| format!("{text:?}"))
}

/// Bytes that are text and print.
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    let prints = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    std::str::from_utf8(bytes).ok().filter(|text| text.chars().all(prints))
}

/// `0x` and two digits for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all");
        text
    })
}

/// Bytes as base64 has them (RFC 4648, with its padding).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (nth, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = DIGITS[(bits >> shift & 63) as usize];
            text.push(if nth <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// A number of bytes, in the unit that fits.
pub(crate) fn size(bytes: u64) -> String {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => count(bytes, "byte"),
    }
}

/// A number and the thing that is counted, in its plural where there are not one.
pub(crate) fn count(number: u64, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    let ending = if thing.ends_with("ch") && number != 1 { "es" } else { ending };
    format!("{number} {thing}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(time(Some(Timestamp::from_millis(millis))), expected);
        }
        assert_eq!(time(None), "-");
    }

    #[test]
    fn times_are_written_as_somebody_wants_them() {
        let time = Timestamp::from_millis(1_700_000_000_123);
        for (format, expected) in [
            ("%F %T", Ok("2023-11-14 22:13:20")),
            ("%d.%m.%Y %H:%M:%S", Ok("14.11.2023 22:13:20")),
            ("%s 100%%", Ok("1700000000 100%")),
            ("%", Ok("%")),
            ("%q", Err('q')),
        ] {
            assert_eq!(strftime(format, time), expected.map(str::to_owned), "{format}");
        }
    }

    #[test]
    fn base64_has_its_padding() {
        for (bytes, expected) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), expected, "{bytes}");
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfb]), "//77");
    }

    #[test]
    fn bytes_are_text_or_hexadecimal() {
        assert_eq!(readable(None), "null");
        assert_eq!(readable(Some(b"a \"b\"\n")), r#""a \"b\"\n""#);
        assert_eq!(readable(Some(&[0, 255])), "0x00ff");
        assert_eq!(readable(Some(b"\x1b[31m")), "0x1b5b33316d", "no colours from a record");
    }

    #[test]
    fn sizes_have_the_unit_that_fits() {
        assert_eq!(size(1), "1 byte");
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(1_250), "1.2 kB");
        assert_eq!(size(2_500_000_000), "2.5 GB");
        assert_eq!(count(2, "batch"), "2 batches");
    }
}
