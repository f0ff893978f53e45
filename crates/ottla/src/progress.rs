//! How far something is that takes time: one line on standard error, where somebody looks on.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use ottla_env::{Clock, Mono};

use crate::words;

/// What is over before this gets no line.
const SHOWN_AFTER: Duration = Duration::from_millis(700);

/// How often the line changes.
const EVERY: Duration = Duration::from_millis(200);

const BAR: usize = 24;

/// A line that is drawn anew now and then, and wiped off in the end.
pub(crate) struct Progress {
    clock: Arc<dyn Clock>,
    /// What there is to do, if that is known: in the unit of `done`.
    total: Option<u64>,
    began: Mono,
    /// When to draw it next; `None` where nobody looks on.
    next: Option<Mono>,
    drawn: bool,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    /// Of the total.
    pub(crate) of_total: u64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl Progress {
    /// `quiet`: nobody wants to see it. Neither does anybody where standard error is no terminal.
    pub(crate) fn new(clock: &Arc<dyn Clock>, total: Option<u64>, quiet: bool) -> Self {
        let began = clock.mono();
        let is_seen = !quiet && io::stderr().is_terminal();
        let next = is_seen.then(|| began.after(SHOWN_AFTER));
        Self { clock: Arc::clone(clock), total, began, next, drawn: false }
    }

    /// Draws the line if it is time.
    pub(crate) fn at(&mut self, done: Done) {
        let Some(next) = self.next else { return };
        let now = self.clock.mono();
        if now < next {
            return;
        }
        self.next = Some(now.after(EVERY));
        self.drawn = true;
        let line = line(done, self.total, now.since(self.began));
        // Who cannot be told how far it is may still be told how it ended.
        drop(write!(io::stderr(), "\r\x1b[K{line}"));
    }

    /// Wipes the line off.
    pub(crate) fn clear(&mut self) {
        if std::mem::replace(&mut self.drawn, false) {
            drop(write!(io::stderr(), "\r\x1b[K"));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn line(done: Done, total: Option<u64>, took: Duration) -> String {
    let mut text = String::new();
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    if let Some(total) = total {
        let share = |of: u64| done.of_total.min(total).saturating_mul(of) / total.max(1);
        let full = usize::try_from(share(BAR as u64)).unwrap_or(BAR);
        let bar = "#".repeat(full) + &"-".repeat(BAR - full);
        write!(text, "{:3} % [{bar}] ", share(100)).expect("a String takes all");
    }
    let rate = done.bytes.saturating_mul(1_000) / millis;
    let (records, bytes) = (words::count(done.records, "record"), words::size(done.bytes));
    write!(text, "{records}, {bytes}, {}/s", words::size(rate)).expect("a String takes all");
    if let Some(total) = total.filter(|total| 0 < done.of_total && done.of_total < *total) {
        let left = (total - done.of_total).saturating_mul(millis) / done.of_total / 1_000;
        write!(text, ", {left} s left").expect("a String takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_it_is_and_how_long_it_will_take() {
        let done = |of_total| Done { of_total, records: 5_000, bytes: 1_000_000 };
        let took = Duration::from_secs(2);
        for (of_total, total, expected) in [
            (0, None, "5000 records, 1.0 MB, 500.0 kB/s"),
            (
                250,
                Some(1_000),
                " 25 % [######------------------] 5000 records, 1.0 MB, 500.0 kB/s, 6 s left",
            ),
            (
                1_500,
                Some(1_000),
                "100 % [########################] 5000 records, 1.0 MB, 500.0 kB/s",
            ),
            (0, Some(0), "  0 % [------------------------] 5000 records, 1.0 MB, 500.0 kB/s"),
        ] {
            assert_eq!(line(done(of_total), total, took), expected);
        }
    }
}
