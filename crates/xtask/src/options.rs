//! The options of one command.

/// Options, each followed by its value unless it is one of `FLAGS`, and whatever else was given.
#[derive(Debug)]
pub(crate) struct Options {
    given: Vec<(String, String)>,
    rest: Vec<String>,
    usage: &'static str,
}

/// Options that stand alone.
const FLAGS: [&str; 3] = ["--update", "--record", "--peer"];

impl Options {
    /// Reads the arguments of a command that has the options `known`; everything behind `--` is
    /// taken as it is.
    ///
    /// # Errors
    /// For an option that is not known or lacks its value.
    pub(crate) fn parse(
        arguments: &[String],
        known: &[&str],
        usage: &'static str,
    ) -> Result<Self, String> {
        let mut options = Self { given: Vec::new(), rest: Vec::new(), usage };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let name = argument.as_str();
            if name == "--" {
                options.rest.extend(arguments.by_ref().cloned());
            } else if !name.starts_with("--") {
                options.rest.push(argument.clone());
            } else if !known.contains(&name) {
                return Err(format!("unknown option `{name}`\n\n{usage}"));
            } else if FLAGS.contains(&name) {
                options.given.push((argument.clone(), String::new()));
            } else {
                let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
                options.given.push((argument.clone(), value.clone()));
            }
        }
        Ok(options)
    }

    /// The value of an option.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Whether an option was given.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The value of an option that must be given.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn required(&self, name: &str) -> Result<&str, String> {
        self.value(name).ok_or_else(|| format!("{name} is needed\n\n{}", self.usage))
    }

    /// The value of an option that is a number.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let number = |text: &str| text.parse().map_err(|_| format!("{name} {text}: not a number"));
        self.value(name).map(number).transpose()
    }

    /// What is no option.
    pub(crate) fn rest(&self) -> &[String] {
        &self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_values_and_the_rest_is_kept() {
        let options = parse("--to x --update a -- --b").unwrap();
        assert_eq!(options.required("--to"), Ok("x"));
        assert!(options.is_set("--update"));
        assert_eq!(options.rest(), ["a", "--b"]);
        assert!(options.number("--to").is_err());
        assert_eq!(options.number("--n"), Ok(None));
    }

    #[test]
    fn a_mistyped_option_is_refused() {
        for wrong in ["--other x", "--to", "--n"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    fn parse(text: &str) -> Result<Options, String> {
        let arguments: Vec<String> = text.split(' ').map(str::to_owned).collect();
        Options::parse(&arguments, &["--to", "--n", "--update"], "usage")
    }
}
