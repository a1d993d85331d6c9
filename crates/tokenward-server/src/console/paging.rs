//! Lists that are in memory whole and shown page by page.

use super::form::Pairs;
use super::view::Pager;

/// Entries on a page.
pub(super) const PAGE: usize = 100;

/// Where a query is in a list of so many entries: how many are before its page, and where the pages beside it are. `key`
/// names the page in the query, so that a page can hold two such lists; the rest of the query stays.
pub(super) fn place(count: usize, path: &str, query: &Pairs, key: &str) -> (usize, Pager) {
    let last = count.saturating_sub(1) / PAGE;
    let at = query.get(key).parse().unwrap_or(0).min(last);
    let go = |page: usize| {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for (name, value) in query.below("") {
            if name != key && !value.is_empty() {
                pairs.append_pair(name, value);
            }
        }
        if page > 0 {
            pairs.append_pair(key, &page.to_string());
        }
        let query = pairs.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    };
    (at * PAGE, Pager { newer: (at > 0).then(|| go(at - 1)), older: (at < last).then(|| go(at + 1)) })
}

/// The entries of the page that a query names, and where the pages beside it are.
pub(super) fn paged<T>(all: Vec<T>, path: &str, query: &Pairs, key: &str) -> (Vec<T>, Pager) {
    let (before, pager) = place(all.len(), path, query, key);
    (all.into_iter().skip(before).take(PAGE).collect(), pager)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_lead_to_their_neighbours_and_keep_the_rest_of_the_query() {
        let at = |query: &str| paged((0..250).collect(), "/x", &Pairs::parse(query.as_bytes()), "page");
        let (shown, pager) = at("");
        assert_eq!((shown.len(), shown[0], pager.newer, pager.older.as_deref()), (100, 0, None, Some("/x?page=1")));
        let (shown, pager) = at("page=1&q=a+b&empty=");
        assert_eq!((shown[0], pager.newer.as_deref()), (100, Some("/x?q=a+b")));
        assert_eq!(pager.older.as_deref(), Some("/x?q=a+b&page=2"));
        for beyond in ["page=2", "page=7", "page=99999999999"] {
            let (shown, pager) = at(beyond);
            assert!(!shown.is_empty() && pager.newer.is_some() == (shown[0] > 0), "{beyond}");
        }
        assert_eq!(at("page=7").0.len(), 50);
        let (none, pager) = paged(Vec::<u8>::new(), "/x", &Pairs::default(), "page");
        assert!(none.is_empty() && pager == Pager::default());
    }
}
