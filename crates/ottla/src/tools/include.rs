//! Which topics a tool is about: a regular expression, where commas are alternatives.

use ottla_types::TopicName;
use regex::Regex;

use super::thrown::Thrown;

/// Topics that Kafka keeps for itself.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

pub(super) fn is_internal(topic: &str) -> bool {
    INTERNAL.contains(&topic)
}

/// Topics whose whole name fits.
#[derive(Clone, Debug)]
pub(super) struct Include(Regex);

impl Include {
    /// `a,b` stands for `a|b`; spaces, and quotes around it, are nothing.
    pub(super) fn parse(text: &str) -> Result<Self, Thrown> {
        let quotes = |c: char| matches!(c, '"' | '\'');
        let pattern = text.trim().replace(',', "|").replace(' ', "");
        let pattern = pattern.trim_matches(quotes);
        whole(pattern).map(Self).map_err(|_| {
            let told = format!("{pattern} is an invalid regex.");
            Thrown::new("java.lang.RuntimeException", told)
        })
    }

    pub(super) fn fits(&self, topic: &str) -> bool {
        self.0.is_match(topic)
    }

    /// The topics that fit, without Kafka's own if they are to be left out.
    pub(super) fn pick(
        &self,
        topics: impl IntoIterator<Item = TopicName>,
        excludes_internal: bool,
    ) -> Vec<TopicName> {
        let mut picked: Vec<TopicName> = topics.into_iter().collect();
        picked.retain(|name| {
            self.fits(name.as_str()) && !(excludes_internal && is_internal(name.as_str()))
        });
        picked
    }
}

/// An expression that has to fit the whole of a text.
pub(super) fn whole(pattern: &str) -> Result<Regex, regex::Error> {
    Regex::new(&format!("^(?:{pattern})$"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_fit() {
        let check = |pattern: &str, fitting: &[&str], others: &[&str]| {
            let include = Include::parse(pattern).unwrap();
            assert!(fitting.iter().all(|name| include.fits(name)), "{pattern}");
            assert!(!others.iter().any(|name| include.fits(name)), "{pattern}");
        };
        check("one", &["one"], &["ones", "one.two"]);
        check("one,two", &["one", "two"], &["three"]);
        check("'one, two'", &["one", "two"], &[]);
        check("pl.*", &["plain", "placed"], &["one"]);
        check(".*", &["one", ""], &[]);
        assert_eq!(Include::parse("o(").unwrap_err().message, "o( is an invalid regex.");
    }
}
