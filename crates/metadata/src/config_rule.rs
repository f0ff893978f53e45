//! What the values of properties may be, whoever has them: topics, groups or brokers.

use std::borrow::Cow;
use std::fmt;

/// The longest list of words in bytes: each may be repeated, and is told to whoever asks.
const LIST_BYTES_MAX: usize = 1_024;

/// The type of a property's values, as DescribeConfigs names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigType {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 16 bits.
    Short,
    /// A whole number of 64 bits.
    Long,
    /// A number.
    Double,
    /// Words, parted by commas.
    List,
    /// Text that is told to nobody.
    Password,
}

impl fmt::Display for ConfigType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Int => "int",
            Self::Short => "short",
            Self::Long => "long",
            Self::Double => "double",
            Self::List => "list",
            Self::Password => "password",
        })
    }
}

/// What a property's value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigRule {
    /// `true` or `false`, in whatever case.
    Boolean,
    /// A whole number of 32 bits, both bounds included.
    Int {
        /// The smallest.
        min: i32,
        /// The largest.
        max: i32,
    },
    /// A whole number of 16 bits, not less than `min`.
    Short {
        /// The smallest.
        min: i16,
    },
    /// A whole number of 64 bits, not less than `min`.
    Long {
        /// The smallest.
        min: i64,
    },
    /// A number, both bounds included.
    Double {
        /// The smallest.
        min: i32,
        /// The largest, if there is one.
        max: Option<i32>,
    },
    /// One of `words`, of which only `served` are accepted yet.
    Word {
        /// Kafka's.
        words: &'static [&'static str],
        /// Ours.
        served: &'static [&'static str],
    },
    /// A list of `words`, perhaps an empty one; only `served` are accepted in it yet.
    List {
        /// Kafka's.
        words: &'static [&'static str],
        /// Ours.
        served: &'static [&'static str],
    },
    /// Text of that type, which whoever reads it judges.
    Text(ConfigType),
}

/// Why a value is none of a property's. The words are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The value is not of the property's type.
    #[error("Not a number of type {}", .0.to_string().to_uppercase())]
    NotANumber(ConfigType),
    /// The value is neither `true` nor `false`.
    #[error("Expected value to be either true or false")]
    NotBoolean,
    /// The number is too small.
    #[error("Value must be at least {min}")]
    TooSmall {
        /// The number.
        number: i64,
        /// The smallest that is legal.
        min: i64,
    },
    /// The number is too large.
    #[error("Value must be no more than {max}")]
    TooLarge {
        /// The number.
        number: i64,
        /// The largest that is legal.
        max: i64,
    },
    /// The number, which need not be whole, is too small.
    #[error("Value must be at least {min}")]
    DoubleTooSmall {
        /// The smallest that is legal.
        min: i32,
    },
    /// The number, which need not be whole, is too large.
    #[error("Value must be no more than {max}")]
    DoubleTooLarge {
        /// The largest that is legal.
        max: i32,
    },
    /// A word is none of the legal ones.
    #[error("String must be one of: {}", .words.join(", "))]
    NotOneOf {
        /// The word.
        word: String,
        /// The legal ones.
        words: &'static [&'static str],
    },
    /// There is nothing between two commas of a list.
    #[error("values must not be empty")]
    EmptyItem,
    /// A list is longer than its words call for. Kafka takes any, and removes repetitions.
    #[error("a list of words has no more than {LIST_BYTES_MAX} bytes")]
    LongList,
    /// Kafka has the value, Ottla does not yet.
    #[error("not supported by this version of Ottla")]
    Unserved,
    /// Whoever reads the text says why.
    #[error("{0}")]
    Unreadable(String),
}

/// A value that a property cannot have. Told as Kafka tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidValue {
    /// The property.
    pub name: &'static str,
    /// The value as it came.
    pub value: String,
    /// What is wrong with it.
    pub why: Mismatch,
}

impl std::error::Error for InvalidValue {}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, why } = self;
        match why {
            Mismatch::EmptyItem => write!(f, "Configuration '{name}' {why}."),
            Mismatch::Unserved => write!(f, "{name}={value} is {why}"),
            _ => write!(f, "Invalid value {} for configuration {name}: {why}", why.blamed(value)),
        }
    }
}

impl Mismatch {
    /// The part of a value that is to blame.
    fn blamed<'a>(&'a self, value: &'a str) -> Cow<'a, str> {
        match self {
            Self::TooSmall { number, .. } | Self::TooLarge { number, .. } => {
                Cow::Owned(number.to_string())
            }
            Self::NotOneOf { word, .. } => Cow::Borrowed(word),
            Self::DoubleTooSmall { .. } | Self::DoubleTooLarge { .. } => {
                let number = value.trim().parse::<f64>();
                let told = number.map(|number| Cow::Owned(format!("{number:?}")));
                told.unwrap_or_else(|_| Cow::Borrowed(value.trim()))
            }
            Self::NotANumber(_)
            | Self::NotBoolean
            | Self::EmptyItem
            | Self::LongList
            | Self::Unserved
            | Self::Unreadable(_) => Cow::Borrowed(value.trim()),
        }
    }
}

impl ConfigRule {
    /// The type of the values.
    #[must_use]
    pub const fn value_type(&self) -> ConfigType {
        match self {
            Self::Boolean => ConfigType::Boolean,
            Self::Int { .. } => ConfigType::Int,
            Self::Short { .. } => ConfigType::Short,
            Self::Long { .. } => ConfigType::Long,
            Self::Double { .. } => ConfigType::Double,
            Self::Word { .. } => ConfigType::String,
            Self::List { .. } => ConfigType::List,
            Self::Text(kind) => *kind,
        }
    }

    /// Kafka trims a value before it looks at it.
    ///
    /// # Errors
    /// When no property with this rule can have the value.
    pub fn check(&self, value: &str) -> Result<(), Mismatch> {
        let value = value.trim();
        let wide = i64::from;
        match *self {
            Self::Boolean => match value.to_ascii_lowercase().as_str() {
                "true" | "false" => Ok(()),
                _ => Err(Mismatch::NotBoolean),
            },
            Self::Int { min, max } => {
                let number = value.parse::<i32>().map(wide).ok();
                in_bounds(number, wide(min), wide(max), ConfigType::Int)
            }
            Self::Short { min } => {
                let number = value.parse::<i16>().map(i64::from).ok();
                in_bounds(number, min.into(), i16::MAX.into(), ConfigType::Short)
            }
            Self::Long { min } => in_bounds(value.parse().ok(), min, i64::MAX, ConfigType::Long),
            Self::Double { min, max } => match value.parse::<f64>() {
                Err(_) => Err(Mismatch::NotANumber(ConfigType::Double)),
                Ok(number) if number.is_nan() => Err(Mismatch::NotANumber(ConfigType::Double)),
                Ok(number) if number < f64::from(min) => Err(Mismatch::DoubleTooSmall { min }),
                Ok(number) => match max.filter(|max| number > f64::from(*max)) {
                    Some(max) => Err(Mismatch::DoubleTooLarge { max }),
                    None => Ok(()),
                },
            },
            Self::Word { words, served } => {
                one_of(value, words)?;
                if served.contains(&value) { Ok(()) } else { Err(Mismatch::Unserved) }
            }
            // An empty list is a list; one of an empty item is a mistake.
            Self::List { .. } if value.is_empty() => Ok(()),
            Self::List { .. } if value.len() > LIST_BYTES_MAX => Err(Mismatch::LongList),
            Self::List { words, served } => {
                let items = || value.split(',').map(str::trim);
                if items().any(str::is_empty) {
                    return Err(Mismatch::EmptyItem);
                }
                items().try_for_each(|item| one_of(item, words))?;
                let all = items().all(|item| served.contains(&item));
                if all { Ok(()) } else { Err(Mismatch::Unserved) }
            }
            Self::Text(_) => Ok(()),
        }
    }

    /// What the values may be, in a few words: `at least 1`. Empty where the type says it all.
    #[must_use]
    pub fn allowed(&self) -> String {
        let bounds = |min: i64, max: i64, floor: i64, ceiling: i64| match (min, max) {
            (min, max) if min == floor && max == ceiling => String::new(),
            (min, max) if max == ceiling => format!("at least {min}"),
            (min, max) => format!("{min} to {max}"),
        };
        match *self {
            Self::Boolean => "true, false".to_owned(),
            Self::Int { min, max } => {
                bounds(min.into(), max.into(), i32::MIN.into(), i32::MAX.into())
            }
            Self::Short { min } => {
                let max = i16::MAX.into();
                bounds(min.into(), max, i16::MIN.into(), max)
            }
            Self::Long { min } => bounds(min, i64::MAX, i64::MIN, i64::MAX),
            Self::Double { min, max: Some(max) } => format!("{min} to {max}"),
            Self::Double { min, max: None } => format!("at least {min}"),
            Self::Word { served, .. } | Self::List { served, .. } => served.join(", "),
            Self::Text(_) => String::new(),
        }
    }
}

fn in_bounds(number: Option<i64>, min: i64, max: i64, of: ConfigType) -> Result<(), Mismatch> {
    match number {
        None => Err(Mismatch::NotANumber(of)),
        Some(number) if number < min => Err(Mismatch::TooSmall { number, min }),
        Some(number) if number > max => Err(Mismatch::TooLarge { number, max }),
        Some(_) => Ok(()),
    }
}

fn one_of(word: &str, words: &'static [&'static str]) -> Result<(), Mismatch> {
    if words.contains(&word) {
        return Ok(());
    }
    Err(Mismatch::NotOneOf { word: word.to_owned(), words })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn values_are_refused_in_kafkas_words() {
        let roles = ConfigRule::List { words: &["a", "b"], served: &["a"] };
        check(ConfigRule::Boolean, " True", None);
        check(ConfigRule::Boolean, "yes", Some("Invalid value yes for configuration p: Expected value to be either true or false"));
        check(ConfigRule::Int { min: 1, max: 5 }, "5", None);
        check(ConfigRule::Int { min: 1, max: 5 }, "07", Some("Invalid value 7 for configuration p: Value must be no more than 5"));
        check(ConfigRule::Int { min: 1, max: 5 }, "x", Some("Invalid value x for configuration p: Not a number of type INT"));
        check(ConfigRule::Short { min: 1 }, "40000", Some("Invalid value 40000 for configuration p: Not a number of type SHORT"));
        check(ConfigRule::Long { min: 0 }, "-1", Some("Invalid value -1 for configuration p: Value must be at least 0"));
        let ratio = ConfigRule::Double { min: 0, max: Some(1) };
        check(ratio, "0.25", None);
        check(ratio, "1.5", Some("Invalid value 1.5 for configuration p: Value must be no more than 1"));
        check(ratio, "-1", Some("Invalid value -1.0 for configuration p: Value must be at least 0"));
        check(ratio, "x", Some("Invalid value x for configuration p: Not a number of type DOUBLE"));
        check(roles, "a,c", Some("Invalid value c for configuration p: String must be one of: a, b"));
        check(roles, "a,", Some("Configuration 'p' values must not be empty."));
        check(roles, "a,b", Some("p=a,b is not supported by this version of Ottla"));
        check(ConfigRule::Text(ConfigType::Password), "anything", None);
    }

    fn check(rule: ConfigRule, value: &str, refusal: Option<&str>) {
        let told = rule
            .check(value)
            .err()
            .map(|why| InvalidValue { name: "p", value: value.to_owned(), why }.to_string());
        assert_eq!(told.as_deref(), refusal, "{value}");
    }

    #[test]
    fn rules_say_what_they_allow() {
        let allowed = |rule: ConfigRule| rule.allowed();
        assert_eq!(allowed(ConfigRule::Int { min: 1, max: i32::MAX }), "at least 1");
        assert_eq!(allowed(ConfigRule::Int { min: 1, max: 5 }), "1 to 5");
        assert_eq!(allowed(ConfigRule::Long { min: i64::MIN }), "");
        assert_eq!(allowed(ConfigRule::Word { words: &["a", "b"], served: &["b"] }), "b");
    }
}
