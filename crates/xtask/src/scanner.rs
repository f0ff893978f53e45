//! What readers of lists, named values and quoted texts have in common, whatever is in them.

use std::iter::Peekable;
use std::str::Chars;

/// A place in a text. What is not there is `None`, and the text is then read no further.
pub(crate) struct Scanner<'a> {
    rest: Peekable<Chars<'a>>,
}

impl<'a> Scanner<'a> {
    /// At the beginning of a text.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { rest: text.chars().peekable() }
    }

    /// What was not read, less the space before it.
    pub(crate) fn rest(mut self) -> String {
        self.skip_space();
        self.rest.collect()
    }

    fn skip_space(&mut self) {
        while self.rest.next_if(char::is_ascii_whitespace).is_some() {}
    }

    /// The next character that is no space; it stays.
    pub(crate) fn peek(&mut self) -> Option<char> {
        self.skip_space();
        self.rest.peek().copied()
    }

    /// Takes `wanted` and the space before it.
    pub(crate) fn take(&mut self, wanted: char) -> Option<()> {
        self.skip_space();
        self.rest.next_if_eq(&wanted).map(|_| ())
    }

    /// Takes what stands before space or one of `ends`; it is not empty.
    pub(crate) fn word(&mut self, ends: &str) -> Option<String> {
        self.skip_space();
        let mut word = String::new();
        while let Some(c) = self.rest.next_if(|c| !ends.contains(*c) && !c.is_whitespace()) {
            word.push(c);
        }
        (!word.is_empty()).then_some(word)
    }

    /// So many hexadecimal digits as a number.
    pub(crate) fn hex(&mut self, digits: usize) -> Option<u32> {
        let digits: String = self.rest.by_ref().take(digits).collect();
        u32::from_str_radix(&digits, 16).ok()
    }

    /// Elements between two brackets, with commas between them.
    pub(crate) fn list<T>(
        &mut self,
        (open, close): (char, char),
        mut element: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut elements = Vec::new();
        self.take(open)?;
        while self.take(close).is_none() {
            if !elements.is_empty() {
                self.take(',')?;
            }
            elements.push(element(self)?);
        }
        Some(elements)
    }

    /// What stands between two quotes; `escaped` makes something of what follows a backslash, given
    /// its first character.
    pub(crate) fn quoted<T: FromIterator<P>, P>(
        &mut self,
        quote: char,
        plain: impl Fn(char) -> P,
        escaped: impl Fn(&mut Self, char) -> Option<P>,
    ) -> Option<T> {
        let mut parts = Vec::new();
        self.take(quote)?;
        loop {
            match self.rest.next()? {
                c if c == quote => return Some(parts.into_iter().collect()),
                '\\' => {
                    let first = self.rest.next()?;
                    parts.push(escaped(self, first)?);
                }
                c => parts.push(plain(c)),
            }
        }
    }
}
