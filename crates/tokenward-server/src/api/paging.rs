//! Lists page by page, where somebody asks for that: each page says where the next one begins. The contract knows whole lists only,
//! and without a word that is what everybody gets.
//!
//! A page begins behind an id, in the order of ids, which is that of creation: what is made or deleted meanwhile neither repeats nor
//! hides another entry. The key names its list, so that one of another list is refused.

use serde::{Deserialize, Serialize};
use tokenward_core::error::Faults;
use tokenward_core::{Result, Uuid};

use super::understood::QueryKind;
use crate::limits::LIST_PAGE;

/// What a list takes that can be had page by page.
pub(super) const QUERY: &[(&str, &str)] = &[LIMIT, CURSOR];
pub(super) const LIMIT: (&str, &str) =
    ("limit", "How many a page has, in the order of their ids. Without it the answer has all of them.");
pub(super) const CURSOR: (&str, &str) = ("cursor", "`next_cursor` of the page before. Only together with `limit`.");
/// What they are.
pub(super) const KINDS: &[(&str, QueryKind)] = &[SIZE];
pub(super) const SIZE: (&str, QueryKind) = ("limit", QueryKind::Number);

/// What a query asks of pages.
#[derive(Default, Deserialize)]
pub(super) struct Paging {
    limit: Option<u64>,
    cursor: Option<String>,
}

/// A page of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// The word for the list, and whose it is.
    list: (&'static str, String),
    size: usize,
    after: Option<Uuid>,
}

/// A page as it is answered, and where the next one begins.
#[derive(Serialize)]
pub(super) struct Paged<T> {
    results: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl Paging {
    /// Of queries that have more than that.
    pub(super) fn new(limit: Option<u64>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }

    /// The page of this list that is asked for, if one is. `word` is the one for the list in its keys, which never changes; `whose`
    /// is the organization or the project, each of which has such a list.
    pub(super) fn of(self, word: &'static str, whose: Uuid) -> Result<Option<Page>> {
        // The end of an id is random, the beginning is a time.
        let whose = whose.simple().to_string().split_off(20);
        let list = (word, whose);
        let mut faults = Faults::default();
        let size = self.limit.filter(|size| (1..=LIST_PAGE.default).contains(size));
        if self.limit.is_some() && size.is_none() {
            let (name, most) = (LIST_PAGE.name, LIST_PAGE.default);
            faults.push("limit", format!("is not a number from 1 to the limit `{name}` ({most})"));
        }
        if self.cursor.is_some() && self.limit.is_none() {
            faults.push("cursor", "belongs to pages: send `limit` too");
        }
        let after = self.cursor.and_then(|text| faults.read("cursor", place(&list, &text)));
        faults.finish()?;
        Ok(size.and_then(|size| size.try_into().ok()).map(|size| Page { list, size, after }))
    }
}

/// Behind which id a key says that a page of the list begins.
fn place((word, whose): &(&str, String), text: &str) -> Result<Uuid, String> {
    const NONE: &str = "is none that a list has answered; begin again without it";
    let [of, place, id] = text.split('.').collect::<Vec<_>>()[..] else { return Err(NONE.to_owned()) };
    let id = Uuid::try_parse(id).map_err(|_| NONE)?;
    let is_word = !of.is_empty() && of.len() <= 32 && of.bytes().all(|byte| byte.is_ascii_alphabetic());
    if of == *word && place == whose {
        Ok(id)
    } else if of == *word {
        Err(format!("is of another `{word}` list than this one; begin again without it"))
    } else if is_word {
        Err(format!("is of the list `{of}`, and this one is `{word}`; begin again without it"))
    } else {
        Err(NONE.to_owned())
    }
}

impl Page {
    /// Where the page begins.
    pub(super) fn after(&self) -> Option<Uuid> {
        self.after
    }

    /// Has it more than it may?
    pub(super) fn is_full(&self, count: usize) -> bool {
        count > self.size
    }

    /// The page of entries that are behind its place and in order, of which there is one more than it has where there are more.
    pub(super) fn close<T>(&self, mut results: Vec<T>, id: impl Fn(&T) -> Uuid) -> Paged<T> {
        let more = self.is_full(results.len());
        results.truncate(self.size);
        let last = results.last().filter(|_| more).map(id);
        Paged { results, next_cursor: last.map(|id| format!("{}.{}.{id}", self.list.0, self.list.1)) }
    }
}

/// The entries that are wanted of a list that is there whole: all as they are, or those of a page.
pub(super) fn cut<T>(page: Option<&Page>, mut all: Vec<T>, id: impl Fn(&T) -> Uuid) -> (Vec<T>, Option<String>) {
    let Some(page) = page else { return (all, None) };
    all.retain(|entry| page.after.is_none_or(|after| after < id(entry)));
    all.sort_by_key(|entry| id(entry));
    let Paged { results, next_cursor } = page.close(all, id);
    (results, next_cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(limit: Option<u64>, cursor: Option<&str>) -> Result<Option<Page>, Vec<String>> {
        let read = Paging::new(limit, cursor.map(str::to_owned)).of("project", Uuid::from_u128(9));
        read.map_err(|error| error.faults.into_iter().map(|it| format!("{} {}", it.field, it.problem)).collect())
    }

    #[test]
    fn pages_have_each_entry_once_in_the_order_of_ids() {
        let all: Vec<Uuid> = [5, 1, 4, 2, 3].map(Uuid::from_u128).into();
        assert_eq!(cut(None, all.clone(), |id| *id), (all.clone(), None), "as they are");
        for size in 1..7 {
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let page = page(Some(size), cursor.as_deref()).unwrap();
                let (part, next) = cut(page.as_ref(), all.clone(), |id| *id);
                assert!(part.len() as u64 <= size && !part.is_empty());
                seen.extend(part);
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(seen, [1, 2, 3, 4, 5].map(Uuid::from_u128), "{size}");
        }
    }

    #[test]
    fn a_key_of_another_list_and_one_that_is_none_are_refused() {
        let id = Uuid::from_u128(7);
        assert!(page(Some(5), Some(&format!("project.000000000009.{id}"))).is_ok());
        let said = page(Some(5), Some(&format!("member.000000000009.{id}"))).unwrap_err();
        assert_eq!(said, ["cursor is of the list `member`, and this one is `project`; begin again without it"]);
        let said = page(Some(5), Some(&format!("project.000000000008.{id}"))).unwrap_err();
        assert_eq!(said, ["cursor is of another `project` list than this one; begin again without it"]);
        // One of the list of tokens is the id alone, or says by what it is sorted.
        for none in [
            "",
            "project",
            "project.",
            "project.000000000009.7",
            &id.to_string(),
            &format!("-name.eA.{id}"),
            &format!(".{id}"),
        ] {
            let said = page(Some(5), Some(none)).unwrap_err();
            assert_eq!(said, ["cursor is none that a list has answered; begin again without it"], "{none}");
        }
        assert!(page(None, Some(&format!("project.000000000009.{id}"))).unwrap_err()[0].contains("send `limit` too"));
        for wrong in [0, LIST_PAGE.default + 1, u64::MAX] {
            assert!(page(Some(wrong), None).unwrap_err()[0].contains("`list_page` (200)"), "{wrong}");
        }
        assert_eq!(page(None, None), Ok(None));
    }
}
