//! kcat's command line: letters, with and without a word behind them, in any order.

/// What kcat is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Consume,
    Produce,
    List,
    Query,
    /// As a member of this group.
    Group(String),
}

/// What was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) mode: Option<Mode>,
    pub(super) brokers: Option<String>,
    pub(super) topics: Vec<String>,
    /// `None` for all, or for any.
    pub(super) partition: Option<i32>,
    pub(super) offsets: Vec<String>,
    pub(super) format: Option<String>,
    pub(super) delimiter: Option<String>,
    pub(super) key_delimiter: Option<String>,
    pub(super) key: Option<String>,
    pub(super) headers: Vec<String>,
    pub(super) count: Option<u64>,
    pub(super) codec: Option<String>,
    pub(super) config_file: Option<String>,
    /// `name=value`, as librdkafka calls them.
    pub(super) properties: Vec<String>,
    pub(super) seconds: Option<u64>,
    pub(super) exits_at_end: bool,
    pub(super) is_quiet: bool,
    pub(super) is_json: bool,
    pub(super) shows_offset: bool,
    /// Names nulls when reading, and makes them when writing.
    pub(super) nulls: bool,
    /// A file has a record a line.
    pub(super) by_line: bool,
    pub(super) asks_for_help: bool,
    pub(super) asks_for_version: bool,
    /// Files, or topics of a group.
    pub(super) rest: Vec<String>,
}

/// Letters that stand alone.
const ALONE: &str = "PCLQeEOqvTuZlVhJ";

/// Letters with a word, which may follow at once or behind a space.
const WITH_WORD: &str = "GMtpbzoDKkHdFXcfsmr";

/// Reads a command line.
///
/// # Errors
/// When kcat has no such letter, this one does not serve it, or its word makes no sense.
pub(super) fn read(typed: &[String]) -> Result<Options, String> {
    let (mut options, mut typed) = (Options::default(), typed.iter());
    while let Some(next) = typed.next() {
        match next.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            None => options.rest.push(next.clone()),
            Some("-") => options.rest.extend(typed.by_ref().cloned()),
            Some(letters) => options.letters(letters, &mut typed)?,
        }
    }
    Ok(options)
}

fn number<T: std::str::FromStr>(letter: char, word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("-{letter} {word}: not a number"))
}

impl Options {
    fn letters<'a>(
        &mut self,
        letters: &'a str,
        typed: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), String> {
        for (at, letter) in letters.char_indices() {
            if ALONE.contains(letter) {
                self.alone(letter)?;
            } else if WITH_WORD.contains(letter) {
                let joined = &letters[at + letter.len_utf8()..];
                let word = match joined {
                    "" => typed.next().ok_or_else(|| format!("-{letter} lacks its word"))?,
                    joined => joined,
                };
                return self.with_word(letter, word);
            } else {
                return Err(format!("there is no -{letter}: -h lists what there is"));
            }
        }
        Ok(())
    }

    fn alone(&mut self, letter: char) -> Result<(), String> {
        match letter {
            'C' => self.mode = Some(Mode::Consume),
            'P' => self.mode = Some(Mode::Produce),
            'L' => self.mode = Some(Mode::List),
            'Q' => self.mode = Some(Mode::Query),
            'e' => self.exits_at_end = true,
            'O' => self.shows_offset = true,
            'q' => self.is_quiet = true,
            'Z' => self.nulls = true,
            'l' => self.by_line = true,
            'J' => self.is_json = true,
            'h' => self.asks_for_help = true,
            'V' => self.asks_for_version = true,
            // What they ask for is so already: errors that pass are waited out, what was read is
            // written at once, and nothing more is said than matters.
            'E' | 'u' | 'v' => {}
            other => return Err(format!("-{other} is not supported")),
        }
        Ok(())
    }

    fn with_word(&mut self, letter: char, word: &str) -> Result<(), String> {
        let owned = word.to_owned();
        match letter {
            'G' => self.mode = Some(Mode::Group(owned)),
            't' => self.topics.push(owned),
            'b' => self.brokers = Some(owned),
            'p' => self.partition = Some(number(letter, word)?).filter(|number| *number >= 0),
            'o' => self.offsets.push(owned),
            'f' => self.format = Some(owned),
            'D' => self.delimiter = Some(owned),
            'K' => self.key_delimiter = Some(owned),
            'k' => self.key = Some(owned),
            'H' => self.headers.push(owned),
            'c' => self.count = Some(number(letter, word)?),
            'z' => self.codec = Some(owned),
            'F' => self.config_file = Some(owned),
            'X' => self.properties.push(owned),
            'm' => self.seconds = Some(number(letter, word)?),
            // What librdkafka does in detail; this is another client.
            'd' => {}
            other => return Err(format!("-{other} is not supported")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<Options, &str>) {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert_eq!(read(&words), expected.map_err(str::to_owned), "{line}");
    }

    #[test]
    fn letters_stand_alone_together_and_with_their_words() {
        let text = |text: &str| Some(text.to_owned());
        let expected = Options {
            mode: Some(Mode::Consume),
            brokers: text("h:1"),
            topics: vec!["t".to_owned()],
            exits_at_end: true,
            is_quiet: true,
            count: Some(3),
            ..Options::default()
        };
        for line in ["-C -b h:1 -t t -e -q -c 3", "-Cb h:1 -tt -qec3", "-eqtt -c 3 -C -bh:1"] {
            check(line, Ok(expected.clone()));
        }
        let group = Options {
            mode: Some(Mode::Group("g".to_owned())),
            rest: vec!["one".to_owned(), "two".to_owned(), "-e".to_owned()],
            ..Options::default()
        };
        check("one -G g two -- -e", Ok(group));
        let all = Options {
            mode: Some(Mode::Produce),
            key_delimiter: text(":"),
            partition: None,
            nulls: true,
            by_line: true,
            rest: vec!["file".to_owned()],
            ..Options::default()
        };
        check("-P -K: -Z -p -1 -l file", Ok(all));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        check("-C -t", Err("-t lacks its word"));
        check("-C -y", Err("there is no -y: -h lists what there is"));
        check("-c many", Err("-c many: not a number"));
        check("-s value=i", Err("-s is not supported"));
        check("-P -T", Err("-T is not supported"));
    }
}
