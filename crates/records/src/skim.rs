//! A quick look over records that are as they should be.
//!
//! An uncompressed batch is walked before every append, so this walk is what bulk produce costs:
//! it looks at lengths only, and where anything is odd it gives up. What is odd, the thorough
//! [`RecordIter`](crate::RecordIter) says.

use crate::{BatchHeader, varint};

/// The smallest and the largest timestamp of some records, relative to their batch's base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeltaBounds {
    pub(crate) min: i64,
    pub(crate) max: i64,
}

/// The timestamps of `records` if all of them are well-formed, as many as the header says, and
/// numbered from 0; `None` if not.
pub(crate) fn skim(header: &BatchHeader, records: &[u8]) -> Option<DeltaBounds> {
    let mut bounds = DeltaBounds { min: i64::MAX, max: i64::MIN };
    let mut rest = records;
    for index in 0..i32::try_from(header.records_count).ok()? {
        let len = usize::try_from(varint::take_i32(&mut rest)?).ok()?;
        let delta = skim_record(rest.split_off(..len)?, index)?;
        bounds.min = bounds.min.min(delta);
        bounds.max = bounds.max.max(delta);
    }
    (rest.is_empty() && bounds.min <= bounds.max).then_some(bounds)
}

#[inline]
fn skim_record(mut body: &[u8], index: i32) -> Option<i64> {
    body.split_off_first()?;
    let delta = varint::take_i64(&mut body)?;
    if varint::take_i32(&mut body)? != index {
        return None;
    }
    skip(&mut body)?;
    skip(&mut body)?;
    let headers = varint::take_i32(&mut body)?;
    if headers < 0 {
        return None;
    }
    for _ in 0..headers {
        skip_key(&mut body)?;
        skip(&mut body)?;
    }
    body.is_empty().then_some(delta)
}

/// Skips bytes behind their length; a negative length spells null.
#[inline]
fn skip(body: &mut &[u8]) -> Option<()> {
    let len = varint::take_i32(body)?;
    match usize::try_from(len) {
        Ok(len) => body.split_off(..len).map(|_| ()),
        Err(_) => Some(()),
    }
}

fn skip_key(body: &mut &[u8]) -> Option<()> {
    let len = usize::try_from(varint::take_i32(body)?).ok()?;
    body.split_off(..len).map(|_| ())
}
