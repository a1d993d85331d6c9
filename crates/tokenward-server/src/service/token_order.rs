//! Lists of API tokens in another order than that of their creation. All that fit are looked through, part by part; what is kept
//! of each is by what it is sorted, and its id.

use std::cmp::Ordering;
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::nearest::known_words;
use tokenward_core::token::Token;
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::tokens;

use super::App;
use super::token_list::{self, Filter};
use super::usage::{self, TokenUsage};

/// Tokens that are looked at at once.
const PART: usize = 500;

/// By what a list is sorted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum By {
    /// The name, whatever its case.
    Name,
    /// When it was made.
    Created,
    /// When it ends; those that never do are the last.
    End,
    /// When it was last presented; those that never were are the first.
    Use,
}

/// Each with its word in the API.
const WORDS: [(&str, By); 4] =
    [("name", By::Name), ("created_at", By::Created), ("expires_at", By::End), ("last_used_at", By::Use)];

/// An order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    by: By,
    descending: bool,
}

impl Order {
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

    /// Is it the one in which lists are made anyway?
    #[must_use]
    pub fn is_usual(self) -> bool {
        self == Self { by: By::Created, descending: false }
    }

    fn key(self, token: &Token, used: Option<&TokenUsage>) -> Key {
        let first = match self.by {
            By::Name => First::Text(token.name.to_lowercase().into()),
            By::Created => First::Number(token.created_at.0),
            By::End => First::Number(token.expires_at.map_or(i64::MAX, |at| at.0)),
            By::Use => First::Number(used.and_then(|it| it.total.last_used_at).map_or(i64::MIN, |at| at.0)),
        };
        Key { first, id: token.id }
    }

    fn compare(self, a: &Key, b: &Key) -> Ordering {
        let order = a.cmp(b);
        if self.descending { order.reverse() } else { order }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
enum First {
    Text(Box<str>),
    Number(i64),
}

/// By what a token is sorted. Of two that are the same in that, the one that was made first is the first.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    first: First,
    id: Uuid,
}

/// The ids of all tokens that fit, in this order; those behind the token `after`, where that is said.
pub async fn sorted(
    app: &Arc<App>,
    grant: &Grant,
    filter: &Filter,
    order: Order,
    after: Option<Uuid>,
) -> Result<Vec<Uuid>> {
    let behind = match after {
        Some(after) => Some(place_of(app, grant, order, after).await?),
        None => None,
    };
    let mut all: Vec<Key> = Vec::new();
    let mut last = None;
    loop {
        let (part, next) = token_list::part(app, grant, filter, last, PART).await?;
        let used = match order.by {
            By::Use => usage::of(app, grant, &part).await?,
            _ => Default::default(),
        };
        let keys = part.iter().map(|token| order.key(token, used.get(&token.id)));
        all.extend(keys.filter(|key| behind.as_ref().is_none_or(|it| order.compare(it, key).is_lt())));
        last = next;
        if last.is_none() {
            break;
        }
    }
    all.sort_unstable_by(|a, b| order.compare(a, b));
    Ok(all.into_iter().map(|key| key.id).collect())
}

/// Where a page begins. A token that was taken back meanwhile still has its place.
async fn place_of(app: &Arc<App>, grant: &Grant, order: Order, after: Uuid) -> Result<Key> {
    let mut reader = app.read(grant.organization()).await?;
    let mut found = tokens::these(reader.conn(), grant, &[after], false).await?;
    if found.is_empty() {
        found = tokens::these(reader.conn(), grant, &[after], true).await?;
    }
    drop(reader);
    let token = found.pop().ok_or_else(|| Error::invalid("cursor", "is none of this list; begin again without it"))?;
    let used = usage::of(app, grant, std::slice::from_ref(&token)).await?;
    Ok(order.key(&token, used.get(&after)))
}

/// These tokens, in the order of their ids here. Those that were taken back meanwhile are left out, unless the list has such.
pub async fn in_order(app: &Arc<App>, grant: &Grant, filter: &Filter, ids: &[Uuid]) -> Result<Vec<Token>> {
    let mut all = token_list::these_or_gone(app, grant, filter, ids).await?;
    let place: std::collections::HashMap<Uuid, usize> = ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    all.sort_by_key(|token| place.get(&token.id).copied());
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_word_and_a_direction() {
        for (word, by) in WORDS {
            assert_eq!(Order::parse(word), Ok(Order { by, descending: false }));
            assert_eq!(Order::parse(&format!("-{word}")), Ok(Order { by, descending: true }));
        }
        assert!(Order::parse("created_at").unwrap().is_usual() && !Order::parse("-created_at").unwrap().is_usual());
        for unknown in ["", "-", "--name", "Name", "names"] {
            assert!(Order::parse(unknown).unwrap_err().contains("is nothing to sort by"), "{unknown}");
        }
    }

    #[test]
    fn of_the_same_the_older_is_first_and_a_direction_turns_all_round() {
        let key = |first: i64, id: u128| Key { first: First::Number(first), id: Uuid::from_u128(id) };
        let (up, down) = (Order::parse("expires_at").unwrap(), Order::parse("-expires_at").unwrap());
        for (a, b) in [(key(1, 9), key(2, 1)), (key(1, 1), key(1, 2))] {
            assert!(up.compare(&a, &b).is_lt() && down.compare(&a, &b).is_gt());
        }
    }
}
