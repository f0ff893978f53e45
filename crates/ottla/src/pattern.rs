//! Patterns of names and contents, as shells have them.

use std::str::FromStr;

/// `*` stands for anything, `?` for one byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob(String);

impl FromStr for Glob {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl Glob {
    pub(crate) fn fits(&self, text: &str) -> bool {
        self.fits_bytes(text.as_bytes())
    }

    /// In time proportional to pattern times text, whatever they are: only the newest `*` is
    /// ever given more to stand for.
    pub(crate) fn fits_bytes(&self, text: &[u8]) -> bool {
        let pattern = self.0.as_bytes();
        let (mut at, mut of) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while at < text.len() {
            match pattern.get(of) {
                Some(b'*') => {
                    star = Some((of, at));
                    of += 1;
                }
                Some(byte) if *byte == b'?' || *byte == text[at] => (at, of) = (at + 1, of + 1),
                _ => {
                    let Some((of_star, from)) = star else { return false };
                    star = Some((of_star, from + 1));
                    (at, of) = (from + 1, of_star + 1);
                }
            }
        }
        pattern[of..].iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_others() {
        for (pattern, text, expected) in [
            ("orders", "orders", true),
            ("orders", "orders2", false),
            ("orders*", "orders2", true),
            ("*", "", true),
            ("", "", true),
            ("?", "", false),
            ("a*b*c", "a--b--c", true),
            ("a*b*c", "a--c--b", false),
            ("*ab", "aaab", true),
            ("a?c", "abc", true),
            ("**x**", "x", true),
        ] {
            assert_eq!(Glob(pattern.to_owned()).fits(text), expected, "{pattern} {text}");
        }
    }
}
