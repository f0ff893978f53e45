//! The text format of Prometheus, written as it is made: a node of many partitions has megabytes of
//! it.

use std::fmt::{Display, Write as _};
use std::io;

use ottla_broker::{TIME_BUCKETS, Times};

use crate::answer::Answer;
use crate::family::{Family, Kind};
use crate::within::pause;

/// Text that is sent at once: some hundred lines, a fraction of a millisecond of a loop.
const PART_BYTES: usize = 32 * 1024;

/// A page on its way.
pub(crate) struct Page<'a, 'b> {
    text: String,
    answer: &'a mut Answer<'b>,
    family: Option<&'static Family>,
}

impl<'a, 'b> Page<'a, 'b> {
    pub(crate) fn new(answer: &'a mut Answer<'b>) -> Self {
        Self { text: String::new(), answer, family: None }
    }

    /// The series that follow are of this name.
    pub(crate) fn family(&mut self, family: &'static Family) {
        let Family { name, kind, help, .. } = family;
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.name()));
        self.family = Some(family);
    }

    /// A series and its value; `labels` are the values of the family's.
    pub(crate) fn sample(&mut self, labels: &[&dyn Display], value: impl Display) {
        let family = self.family.expect("a series has a name");
        assert_eq!(family.labels.len(), labels.len(), "{} has other labels", family.name);
        assert_ne!(family.kind, Kind::Histogram, "{} has buckets", family.name);
        self.series(family.name, "", family.labels, labels, &value);
    }

    /// A family with one series, which has no labels.
    pub(crate) fn single(&mut self, family: &'static Family, value: impl Display) {
        self.family(family);
        self.sample(&[], value);
    }

    /// A series without the last label, which says of what it is a part: the sum of all.
    pub(crate) fn sum(&mut self, value: impl Display) {
        let family = self.family.expect("a series has a name");
        self.series(family.name, "", &[], &[], &value);
    }

    /// The buckets of a histogram.
    pub(crate) fn times(&mut self, labels: &[&dyn Display], times: &Times) {
        let family = self.family.expect("a series has a name");
        assert_eq!(family.kind, Kind::Histogram, "{} has no buckets", family.name);
        let names: Vec<&str> = family.labels.iter().copied().chain(["le"]).collect();
        let mut below = 0;
        for bucket in 0..TIME_BUCKETS {
            below += times.counts[bucket];
            let bound = Times::bound_seconds(bucket);
            let bound: &dyn Display = match &bound {
                Some(bound) => bound,
                None => &"+Inf",
            };
            let values: Vec<&dyn Display> = labels.iter().copied().chain([bound]).collect();
            self.series(family.name, "_bucket", &names, &values, &below);
        }
        self.series(family.name, "_sum", family.labels, labels, &times.sum_seconds());
        self.series(family.name, "_count", family.labels, labels, &below);
    }

    fn series(
        &mut self,
        name: &str,
        suffix: &str,
        names: &[&str],
        values: &[&dyn Display],
        value: &dyn Display,
    ) {
        self.line(format_args!("{name}{suffix}"));
        for (at, (name, value)) in names.iter().zip(values).enumerate() {
            let before = if at == 0 { "{" } else { "," };
            self.line(format_args!("{before}{name}=\"{}\"", Quoted(*value)));
        }
        let after = if names.is_empty() { "" } else { "}" };
        self.line(format_args!("{after} {value}\n"));
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("a String takes everything");
    }

    /// Sends what there is if it is much, and lets others have their turn.
    pub(crate) async fn breathe(&mut self) -> io::Result<()> {
        if self.text.len() >= PART_BYTES {
            self.answer.part(std::mem::take(&mut self.text)).await?;
            pause().await;
        }
        Ok(())
    }

    /// Sends the rest.
    pub(crate) async fn end(self) -> io::Result<()> {
        if !self.text.is_empty() {
            self.answer.part(self.text).await?;
        }
        self.answer.end().await
    }
}

/// A label's value, as the format wants it.
struct Quoted<'a>(&'a dyn Display);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        struct Escape<'a, 'b>(&'a mut std::fmt::Formatter<'b>);
        impl std::fmt::Write for Escape<'_, '_> {
            fn write_str(&mut self, text: &str) -> std::fmt::Result {
                text.chars().try_for_each(|c| match c {
                    '\\' => self.0.write_str("\\\\"),
                    '"' => self.0.write_str("\\\""),
                    '\n' => self.0.write_str("\\n"),
                    c => self.0.write_char(c),
                })
            }
        }
        write!(Escape(f), "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_labels_value_may_hold_anything() {
        assert_eq!(Quoted(&"a\\b\"c\nd é").to_string(), r#"a\\b\"c\nd é"#);
        assert_eq!(Quoted(&7).to_string(), "7");
    }
}
