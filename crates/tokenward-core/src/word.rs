//! Closed sets of words: each is an enum whose texts stand once, for the API, the log and the database alike.

use std::fmt;

/// A text that is none of the words that were expected. Completes the sentence that begins with what was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownWord(pub(crate) &'static [&'static str]);

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [one, other] => write!(f, "is neither `{one}` nor `{other}`"),
            known => write!(f, "is not one of {}", known.join(", ")),
        }
    }
}

impl std::error::Error for UnknownWord {}

/// An enum of words, with their texts, and all ways to write and to read them.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $($(#[$about])* $variant),+ }

        impl $name {
            /// All of them, in order.
            pub const ALL: [Self; { [$($text),+].len() }] = [$(Self::$variant),+];

            /// The word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Reads the word for it.
            pub fn parse(text: &str) -> std::result::Result<Self, $crate::word::UnknownWord> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::word::UnknownWord(&[$($text),+])),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::word::UnknownWord;

            fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
                Self::parse(&text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text)
                    .map_err(|unknown| serde::de::Error::custom(format_args!("`{}` {unknown}", text.escape_debug())))
            }
        }
    };
}

pub(crate) use words;

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde::de::value::{Error, StrDeserializer};

    use crate::organization::Plan;
    use crate::role::Mode;
    use crate::routes::Unknown;

    fn deserialized<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, String> {
        T::deserialize(StrDeserializer::<Error>::new(text)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_word_is_read_as_it_is_written() {
        for plan in Plan::ALL {
            assert_eq!(Plan::parse(plan.as_str()), Ok(plan));
            assert_eq!(deserialized(plan.as_str()), Ok(plan));
        }
    }

    #[test]
    fn another_word_is_refused_with_those_that_there_are() {
        let error = Mode::parse("production").unwrap_err();
        assert_eq!(error.to_string(), "is not one of DEVELOPMENT, PREVIEW, STAGING, PRODUCTION");
        let error = deserialized::<Mode>("A\u{1b}B").unwrap_err();
        assert!(error.starts_with("`A\\u{1b}B` is not one of DEVELOPMENT"), "{error}");
        assert_eq!(Unknown::parse("").unwrap_err().to_string(), "is neither `deny` nor `allow`");
    }
}
