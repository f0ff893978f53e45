//! What stands behind a percent sign.
//!
//! Keys and values are spelled `{hex}` or `{base64}`; numbers `{hex}`, or as bytes `{big8}` to
//! `{big64}` and `{little8}` to `{little64}`; headers each by a format, as in `%h{%k=%v }`; times
//! by `{strftime[%F %T]}`, in UTC.

use ottla_types::Timestamp;

use super::{Digits, HeaderForm, Piece, Spelling, Template, Time};
use crate::words;

/// Reads one verb and what is in braces behind it.
pub(super) fn verb(rest: &mut &str) -> Result<Piece, String> {
    let verb =
        rest.chars().next().ok_or("a format ends in the middle of a %verb; %% is a percent")?;
    *rest = &rest[verb.len_utf8()..];
    // A percent sign is text, and so is what stands behind it.
    let how = if verb == '%' { None } else { braces(rest)? };
    match verb {
        'k' => spelling(verb, how).map(Piece::Key),
        'v' | 's' => spelling(verb, how).map(Piece::Value),
        'p' => digits(verb, how).map(Piece::Partition),
        'o' => digits(verb, how).map(Piece::Offset),
        'e' => digits(verb, how).map(Piece::LeaderEpoch),
        'T' | 'd' => time(verb, how).map(Piece::Timestamp),
        'h' => headers(how).map(Piece::Headers),
        'H' => digits(verb, how).map(Piece::HeaderCount),
        'K' => digits(verb, how).map(Piece::KeyLength),
        'V' | 'S' => digits(verb, how).map(Piece::ValueLength),
        't' => plain(verb, how, Piece::Topic),
        'R' => plain(verb, how, Piece::ValueLength(Digits::Big(4))),
        '%' => Ok(Piece::Text(b"%".to_vec())),
        other => Err(format!(
            "%{other} is none of %k %v %s %t %p %o %e %h %H %T %d %K %V %S %R %% (and, spelled in \
             other ways, %k{{hex}}, %v{{base64}}, %o{{big64}}, %d{{strftime[%F]}}, %h{{%k=%v }})"
        )),
    }
}

/// What is between a brace and the one that ends it.
fn braces<'a>(rest: &mut &'a str) -> Result<Option<&'a str>, String> {
    let Some(inside) = rest.strip_prefix('{') else { return Ok(None) };
    let mut depth = 1;
    for (at, c) in inside.char_indices() {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if depth == 0 {
            *rest = &inside[at + 1..];
            return Ok(Some(&inside[..at]));
        }
    }
    Err(format!("there is no }} for the {{ of {{{inside}"))
}

fn plain(verb: char, how: Option<&str>, piece: Piece) -> Result<Piece, String> {
    match how {
        None => Ok(piece),
        Some(how) => Err(format!("%{verb} takes no {{{how}}}")),
    }
}

fn spelling(verb: char, how: Option<&str>) -> Result<Spelling, String> {
    match how {
        None => Ok(Spelling::Raw),
        Some("hex") => Ok(Spelling::Hex),
        Some("base64") => Ok(Spelling::Base64),
        Some(how) => {
            Err(format!("%{verb}{{{how}}}: keys and values are spelled {{hex}} or {{base64}}"))
        }
    }
}

fn digits(verb: char, how: Option<&str>) -> Result<Digits, String> {
    Ok(match how {
        None => Digits::Decimal,
        Some("hex") => Digits::Hex,
        Some("big8" | "little8" | "byte") => Digits::Big(1),
        Some("big16") => Digits::Big(2),
        Some("big32") => Digits::Big(4),
        Some("big64") => Digits::Big(8),
        Some("little16") => Digits::Little(2),
        Some("little32") => Digits::Little(4),
        Some("little64") => Digits::Little(8),
        Some(how) => {
            return Err(format!(
                "%{verb}{{{how}}}: numbers are spelled {{hex}}, {{big32}}, {{little64}} and the \
                 like"
            ));
        }
    })
}

fn time(verb: char, how: Option<&str>) -> Result<Time, String> {
    let calendar = how.and_then(|how| how.strip_prefix("strftime[")?.strip_suffix(']'));
    let Some(format) = calendar else { return digits(verb, how).map(Time::Millis) };
    match words::strftime(format, Timestamp::from_millis(0)) {
        Ok(_) => Ok(Time::Calendar(format.to_owned())),
        Err(unknown) => Err(format!(
            "%{unknown} is not served: strftime's verbs are %Y %m %d %H %M %S %F %T %s"
        )),
    }
}

fn headers(how: Option<&str>) -> Result<HeaderForm, String> {
    let Some(format) = how else { return Ok(HeaderForm::List) };
    let Template { pieces, .. } = Template::parse(format)?;
    let is_of_header =
        |piece: &Piece| matches!(piece, Piece::Text(_) | Piece::Key(_) | Piece::Value(_));
    if pieces.iter().all(is_of_header) {
        Ok(HeaderForm::Each(pieces))
    } else {
        Err(format!("%h{{{format}}}: headers have %k and %v, and nothing else"))
    }
}
