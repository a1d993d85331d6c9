//! Lists of API tokens in an order, and places in it, which are how a page says where the next one begins.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokenward_core::Uuid;
use tokenward_core::nearest::known_words;
use tokenward_store::tokens::pages::Key;
pub use tokenward_store::tokens::pages::{By, TokenCursor};

/// Each with its word in the API.
const WORDS: [(&str, By); 4] =
    [("name", By::Name), ("created_at", By::Created), ("expires_at", By::End), ("last_used_at", By::Use)];

/// An order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// By what it is sorted.
    pub by: By,
    /// The other way round.
    pub descending: bool,
}

impl Order {
    /// The one in which lists are made where nobody says another one: that of creation.
    pub const USUAL: Self = Self { by: By::Created, descending: false };

    /// Reads `name`, `-last_used_at` and such.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (word, descending) = text.strip_prefix('-').map_or((text, false), |word| (word, true));
        let found = WORDS.iter().find(|(known, _)| *known == word);
        let (_, by) = found.ok_or_else(|| {
            let known = known_words(word, WORDS.iter().map(|(known, _)| *known));
            format!("is nothing to sort by; {known}. A `-` before it turns the order round")
        })?;
        Ok(Self { by: *by, descending })
    }

    /// The text that names a place of this order: of the usual one the id of the token, of others the order, the key and the id.
    #[must_use]
    pub fn cursor(self, place: &TokenCursor) -> String {
        let key = match &place.key {
            _ if self == Self::USUAL => return place.id.to_string(),
            // No number: the id is all of it.
            _ if self.by == By::Created => String::new(),
            Key::Number(key) => key.to_string(),
            Key::Text(key) => URL_SAFE_NO_PAD.encode(key),
        };
        format!("{self}.{key}.{}", place.id)
    }

    /// Reads it. One of another order is refused: the page would begin anywhere.
    pub fn place(self, cursor: &str) -> Result<TokenCursor, String> {
        const NONE: &str = "is none that a list has answered; begin again without it";
        let (of, key, id) = match cursor.split('.').collect::<Vec<_>>()[..] {
            [id] => (Self::USUAL, "", id),
            [of, key, id] => (Self::parse(of).map_err(|_| NONE)?, key, id),
            _ => return Err(NONE.to_owned()),
        };
        let id = Uuid::try_parse(id).map_err(|_| NONE)?;
        if of != self {
            return Err(format!(
                "is of a list that is sorted by `{of}`, and this one is by `{self}`; begin again without it"
            ));
        }
        let key = match of.by {
            By::Created => Some(Key::Number(0)),
            By::Name => URL_SAFE_NO_PAD.decode(key).ok().and_then(|it| String::from_utf8(it).ok()).map(Key::Text),
            By::End | By::Use => key.parse().ok().map(Key::Number),
        };
        Ok(TokenCursor { key: key.ok_or(NONE)?, id })
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = WORDS.iter().find(|(_, by)| *by == self.by).map_or("", |(word, _)| word);
        write!(f, "{}{word}", if self.descending { "-" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_word_and_a_direction() {
        for (word, by) in WORDS {
            for (text, descending) in [(word.to_owned(), false), (format!("-{word}"), true)] {
                assert_eq!(Order::parse(&text), Ok(Order { by, descending }));
                assert_eq!(Order { by, descending }.to_string(), text);
            }
        }
        assert_eq!(Order::parse("created_at"), Ok(Order::USUAL));
        for unknown in ["", "-", "--name", "Name", "names"] {
            assert!(Order::parse(unknown).unwrap_err().contains("is nothing to sort by"), "{unknown}");
        }
    }

    #[test]
    fn a_place_is_read_as_it_was_written_and_only_by_its_own_order() {
        let id = Uuid::from_u128(7);
        for (_, by) in WORDS {
            for descending in [false, true] {
                let order = Order { by, descending };
                let key = match by {
                    By::Name => Key::Text("a.b ü".into()),
                    By::Created => Key::Number(0),
                    _ => Key::Number(-5),
                };
                let place = TokenCursor { key, id };
                let cursor = order.cursor(&place);
                assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)), "{cursor}");
                assert_eq!(order.place(&cursor), Ok(place), "{cursor}");
                let other = Order { by, descending: !descending };
                let refused = other.place(&cursor).unwrap_err();
                assert!(
                    refused.contains(&format!("`{order}`")) && refused.contains(&format!("`{other}`")),
                    "{refused}"
                );
            }
        }
        assert_eq!(Order::USUAL.cursor(&TokenCursor { key: Key::Number(9), id }), id.to_string());
        for none in ["", "12", "name.x", "name.*.00000000-0000-0000-0000-000000000007", "expires_at.x.y", "a.b.c.d"] {
            assert!(Order::parse("name").unwrap().place(none).unwrap_err().contains("is none"), "{none}");
        }
    }
}
