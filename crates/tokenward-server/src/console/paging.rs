//! Lists in an order of their columns, page by page.
//!
//! A page begins behind a key, or ends before one: what is made or deleted meanwhile neither repeats nor hides another entry. A key
//! names its list and its order, so that one of another list is refused.

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokenward_core::{Error, Result, Uuid};

use super::form::Pairs;
use super::view::{Choice, ListFrame, Pager, SortHead};
use crate::heavy;

/// Entries on a page.
pub(super) const PAGE: usize = 100;
/// Lists of so many are sorted where they are read; longer ones aside, where nobody waits.
const FEW: usize = 500;
/// What is said of a key that cannot be read.
const NO_KEY: &str = "is none that a list has answered; begin again without it";

/// What a column holds: how it is sorted first, and how its two directions are called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Holds {
    /// Text: from A to Z first.
    Text,
    /// Moments that were: the newest first.
    Past,
    /// Moments that come: the soonest first.
    Future,
    /// Numbers: the largest first.
    Number,
}

impl Holds {
    /// Is the list the other way round at first?
    fn is_descending_first(self) -> bool {
        matches!(self, Self::Past | Self::Number)
    }

    /// What people read of a direction.
    fn direction(self, descending: bool) -> &'static str {
        match (self, descending) {
            (Self::Text, false) => "A to Z",
            (Self::Text, true) => "Z to A",
            (Self::Past, false) => "oldest first",
            (Self::Past, true) => "newest first",
            (Self::Future, false) => "soonest first",
            (Self::Future, true) => "last first",
            (Self::Number, false) => "fewest first",
            (Self::Number, true) => "most first",
        }
    }
}

/// A column by which a list can be sorted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// What the query says.
    pub word: &'static str,
    /// What its head says.
    pub label: &'static str,
    /// What it holds.
    pub holds: Holds,
    /// The classes of its head: which windows leave it out.
    pub class: &'static str,
}

impl Column {
    /// A column that every window has.
    pub(super) const fn new(word: &'static str, label: &'static str, holds: Holds) -> Self {
        Self { word, label, holds, class: "" }
    }

    /// The same where some windows leave it out.
    pub(super) const fn classed(self, class: &'static str) -> Self {
        Self { class, ..self }
    }
}

/// A list that is shown in an order of its columns.
#[derive(Debug)]
pub(super) struct List {
    /// Its word in keys, which never changes.
    pub word: &'static str,
    /// What the query calls its order, the key that a page is behind, and the one that it is before.
    pub keys: [&'static str; 3],
    /// Its columns. Without a word the list is in the order of the first.
    pub columns: &'static [Column],
}

impl List {
    /// What a query calls them where a page has one list.
    pub(super) const KEYS: [&'static str; 3] = ["sort", "after", "before"];

    /// The order and the page that a query asks for. `whose` is the organization or the project, each of which has such a list.
    pub(super) fn read(&'static self, query: &Pairs, whose: Uuid) -> Result<ListOrder> {
        let [sort, after, before] = self.keys;
        let backwards: Vec<String> = self.columns.iter().map(|column| format!("-{}", column.word)).collect();
        let words = self.columns.iter().map(|column| column.word).chain(backwards.iter().map(String::as_str));
        let word = query.one_of(sort, words)?;
        let (name, descending) = word.strip_prefix('-').map_or((word, false), |name| (name, true));
        let column = self.columns.iter().position(|column| column.word == name).unwrap_or(0);
        // The end of an id is random, the beginning is a time.
        let whose = whose.simple().to_string().split_off(20);
        let mut order = ListOrder { list: self, whose, column, descending, turn: PageSelector::First };
        let place = |key: &'static str| match query.get(key).trim() {
            "" => Ok(None),
            text => order.place(text).map(Some).map_err(|problem| Error::invalid(key, problem)),
        };
        order.turn = match (place(after)?, place(before)?) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid(
                    before,
                    format!("goes not together with `{after}`: a page has one of them"),
                ));
            }
            (Some(place), None) => PageSelector::Behind(place),
            (None, Some(place)) => PageSelector::Before(place),
            (None, None) => PageSelector::First,
        };
        Ok(order)
    }
}

/// By what an entry has its place. Several texts are divided by U+0000, which none has.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum SortKey {
    /// A text, in small letters.
    Text(String),
    /// A moment, or how many.
    Number(i64),
}

impl SortKey {
    /// By a text, whatever its case.
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_lowercase())
    }

    /// By a text, and of those with the same by another one.
    pub(super) fn texts(text: &str, then: &str) -> Self {
        Self::Text(format!("{}\0{}", text.to_lowercase(), then.to_lowercase()))
    }

    /// By how many.
    pub(super) fn count(count: usize) -> Self {
        Self::Number(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

/// A place in a list: that of this entry, as long as it has this key, and otherwise where it was. Of two with the same key the one
/// with the lower id comes first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ListPlace {
    /// What the order is by.
    pub key: SortKey,
    /// The entry.
    pub id: Uuid,
}

/// Which page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum PageSelector {
    /// The first.
    First,
    /// The one that begins behind a place.
    Behind(ListPlace),
    /// The one that ends before it.
    Before(ListPlace),
}

/// An order of a list, and the page of it that is asked for.
#[derive(Clone, Debug)]
pub(super) struct ListOrder {
    list: &'static List,
    whose: String,
    column: usize,
    descending: bool,
    turn: PageSelector,
}

/// A page of a list.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Cut<T> {
    /// Its entries, in the order.
    pub entries: Vec<T>,
    /// There are some before this place.
    pub newer: Option<ListPlace>,
    /// There are some behind this place.
    pub older: Option<ListPlace>,
}

impl ListOrder {
    /// The word of the column.
    pub(super) fn word(&self) -> &'static str {
        self.list.columns.get(self.column).map_or("", |column| column.word)
    }

    /// Is it the other way round?
    pub(super) fn is_descending(&self) -> bool {
        self.descending
    }

    /// Which page is asked for.
    pub(super) fn turn(&self) -> &PageSelector {
        &self.turn
    }

    /// What a key is refused with that this list can have given, but not in this order.
    pub(super) fn no_place(&self) -> Error {
        let [_, after, before] = self.list.keys;
        Error::invalid(if matches!(self.turn, PageSelector::Before(_)) { before } else { after }, NO_KEY)
    }

    /// The order as the query says it; the usual one needs no word.
    pub(super) fn sort_word(&self) -> String {
        self.word_of(self.column, self.descending)
    }

    fn word_of(&self, column: usize, descending: bool) -> String {
        let word = self.list.columns.get(column).map_or("", |column| column.word);
        match (column, descending) {
            (0, false) => String::new(),
            (_, false) => word.to_owned(),
            (_, true) => format!("-{word}"),
        }
    }

    /// The order with a word for the usual one, too, for a key.
    fn named(&self) -> String {
        format!("{}{}", if self.descending { "-" } else { "" }, self.word())
    }

    /// The text that names a place of this list in this order.
    fn key(&self, place: &ListPlace) -> String {
        let key = match &place.key {
            SortKey::Text(text) => URL_SAFE_NO_PAD.encode(text),
            SortKey::Number(number) => number.to_string(),
        };
        format!("{}.{}.{}.{key}.{}", self.list.word, self.whose, self.named(), place.id)
    }

    /// Reads it. One of another list or another order is refused: the page would begin anywhere.
    fn place(&self, text: &str) -> Result<ListPlace, String> {
        let [list, whose, sort, key, id] = text.split('.').collect::<Vec<_>>()[..] else {
            return Err(NO_KEY.to_owned());
        };
        let id = Uuid::try_parse(id).map_err(|_| NO_KEY)?;
        let own = self.list.word;
        let is_word = !list.is_empty() && list.len() <= 32 && list.bytes().all(|byte| byte.is_ascii_alphabetic());
        if list != own {
            return Err(match is_word {
                true => format!("is of the list `{list}`, and this one is `{own}`; begin again without it"),
                false => NO_KEY.to_owned(),
            });
        }
        if whose != self.whose {
            return Err(format!("is of another `{own}` list than this one; begin again without it"));
        }
        let name = sort.strip_prefix('-').unwrap_or(sort);
        let column = self.list.columns.iter().find(|column| column.word == name).ok_or(NO_KEY)?;
        let asked = self.named();
        if sort != asked {
            return Err(format!(
                "is of a list that is sorted by `{sort}`, and this one is by `{asked}`; begin again without it"
            ));
        }
        let key = match column.holds {
            Holds::Text => {
                URL_SAFE_NO_PAD.decode(key).ok().and_then(|it| String::from_utf8(it).ok()).map(SortKey::Text)
            }
            Holds::Past | Holds::Future | Holds::Number => key.parse().ok().map(SortKey::Number),
        };
        Ok(ListPlace { key: key.ok_or(NO_KEY)?, id })
    }

    fn compare(&self, a: &ListPlace, b: &ListPlace) -> Ordering {
        let order = a.cmp(b);
        if self.descending { order.reverse() } else { order }
    }

    /// The page of entries that are there whole, in any order.
    pub(super) fn cut<T>(&self, all: Vec<T>, place: impl Fn(&T) -> ListPlace) -> Cut<T> {
        let mut all: Vec<(ListPlace, T)> = all.into_iter().map(|entry| (place(&entry), entry)).collect();
        all.sort_unstable_by(|(a, _), (b, _)| self.compare(a, b));
        let start = match &self.turn {
            PageSelector::First => 0,
            PageSelector::Behind(place) => match all.partition_point(|(it, _)| self.compare(it, place).is_le()) {
                // All that was behind it is gone: this is the last page then.
                start if start == all.len() => start.saturating_sub(PAGE),
                start => start,
            },
            PageSelector::Before(place) => {
                all.partition_point(|(it, _)| self.compare(it, place).is_lt()).saturating_sub(PAGE)
            }
        };
        let end = (start + PAGE).min(all.len());
        let at = |at: usize| all.get(at).map(|(place, _)| place.clone());
        let newer = at(start).filter(|_| start > 0);
        let older = end.checked_sub(1).and_then(at).filter(|_| end < all.len());
        Cut { entries: all.into_iter().skip(start).take(PAGE).map(|(_, entry)| entry).collect(), newer, older }
    }

    /// The same on a thread that may take its time, where there are many.
    pub(super) async fn cut_aside<T: Send + 'static>(
        &self,
        organization: Uuid,
        all: Vec<T>,
        place: impl Fn(&T) -> ListPlace + Send + 'static,
    ) -> Result<Cut<T>> {
        if all.len() <= FEW {
            return Ok(self.cut(all, place));
        }
        let order = self.clone();
        heavy::aside(organization, move || order.cut(all, place)).await
    }

    /// The address of this list in this query, in an order and at a place of it. What else the query says stays.
    fn address(&self, path: &str, query: &Pairs, sort: &str, place: Option<(&str, String)>) -> String {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for (name, value) in query.below("") {
            if !self.list.keys.contains(&name) && !value.is_empty() {
                pairs.append_pair(name, value);
            }
        }
        if !sort.is_empty() {
            pairs.append_pair(self.list.keys[0], sort);
        }
        if let Some((name, key)) = place {
            pairs.append_pair(name, &key);
        }
        let query = pairs.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// Where the pages beside a page are.
    pub(super) fn pager(
        &self,
        path: &str,
        query: &Pairs,
        newer: Option<&ListPlace>,
        older: Option<&ListPlace>,
    ) -> Pager {
        let [_, after, before] = self.list.keys;
        let sort = self.sort_word();
        let go = |name, place: &ListPlace| self.address(path, query, &sort, Some((name, self.key(place))));
        Pager { newer: newer.map(|place| go(before, place)), older: older.map(|place| go(after, place)) }
    }

    /// The heads of the columns, each a link to the list in its order, or in the other direction.
    pub(super) fn heads(&self, path: &str, query: &Pairs) -> Vec<SortHead> {
        let head = |(at, column): (usize, &Column)| {
            let current = self.column == at;
            let descending = if current { !self.descending } else { column.holds.is_descending_first() };
            SortHead {
                label: column.label.to_owned(),
                href: self.address(path, query, &self.word_of(at, descending), None),
                direction: current.then(|| if self.descending { "descending" } else { "ascending" }.to_owned()),
                class: column.class,
            }
        };
        self.list.columns.iter().enumerate().map(head).collect()
    }

    /// How the list is sorted and where it goes on, for its page.
    pub(super) fn frame<T>(&self, path: &str, query: &Pairs, cut: &Cut<T>) -> ListFrame {
        let both = |(at, column): (usize, &Column)| {
            let first = column.holds.is_descending_first();
            [first, !first].map(|descending| Choice {
                value: self.word_of(at, descending),
                label: format!("{}, {}", column.label, column.holds.direction(descending)),
                chosen: self.column == at && self.descending == descending,
            })
        };
        let kept = query.below("").filter(|(name, value)| !self.list.keys.contains(name) && !value.is_empty());
        ListFrame {
            heads: self.heads(path, query),
            name: self.list.keys[0],
            path: path.to_owned(),
            orders: self.list.columns.iter().enumerate().flat_map(both).collect(),
            kept: kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            pager: self.pager(path, query, cut.newer.as_ref(), cut.older.as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static NUMBERS: List = List {
        word: "numbers",
        keys: List::KEYS,
        columns: &[Column::new("name", "Name", Holds::Text), Column::new("size", "Size", Holds::Number)],
    };
    static OTHERS: List = List { word: "others", ..NUMBERS_LIKE };
    const NUMBERS_LIKE: List =
        List { word: "", keys: List::KEYS, columns: &[Column::new("name", "Name", Holds::Text)] };

    fn place(n: &u32) -> ListPlace {
        ListPlace { key: SortKey::Text(format!("{:03}", n / 3)), id: Uuid::from_u128(u128::from(*n)) }
    }

    fn at(list: &'static List, query: &str) -> Result<ListOrder> {
        list.read(&Pairs::parse(query.as_bytes()), Uuid::from_u128(9))
    }

    fn said(list: &'static List, query: &str) -> String {
        let fault = at(list, query).unwrap_err().faults[0].clone();
        format!("{} {}", fault.field, fault.problem)
    }

    fn page(query: &str) -> (Vec<u32>, Pager) {
        let order = at(&NUMBERS, query).unwrap();
        let cut = order.cut((0..250).rev().collect(), place);
        let pager = order.pager("/x", &Pairs::parse(query.as_bytes()), cut.newer.as_ref(), cut.older.as_ref());
        (cut.entries, pager)
    }

    fn query(address: Option<String>) -> String {
        address.unwrap().split_once('?').unwrap().1.to_owned()
    }

    #[test]
    fn pages_have_each_entry_once_lead_forth_and_back_and_keep_the_rest_of_the_query() {
        for (begin, expected) in
            [("q=a+b&empty=", (0..250).collect::<Vec<_>>()), ("q=a+b&sort=-name", (0..250).rev().collect())]
        {
            let (first, pager) = page(begin);
            assert_eq!((first.as_slice(), pager.newer.is_some()), (&expected[..100], false), "{begin}");
            let second = query(pager.older);
            assert!(second.starts_with("q=a+b&") && !second.contains("empty"), "{second}");
            let (entries, pager) = page(&second);
            assert_eq!(entries, expected[100..200], "{begin}");
            let (back, last) = (query(pager.newer), query(pager.older));
            let (entries, pager) = page(&back);
            assert_eq!((entries, pager.newer), (expected[..100].to_vec(), None), "{begin}");
            assert_eq!(query(pager.older), second, "{begin}");
            let (entries, pager) = page(&last);
            assert_eq!((entries, pager.older), (expected[200..].to_vec(), None), "{begin}");
            assert_eq!(page(&query(pager.newer)).0, expected[100..200], "{begin}");
        }
    }

    #[test]
    fn a_place_whose_entry_is_gone_is_where_it_was() {
        let (_, pager) = page("");
        let second = query(pager.older);
        let order = at(&NUMBERS, &second).unwrap();
        // The last of the first page is gone, and so are all behind it but one.
        let cut = order.cut((0..99).chain([240]).collect(), place);
        assert_eq!((cut.entries, cut.newer, cut.older), (vec![240], Some(place(&240)), None));
        // Nothing is behind it any more: this is the last page.
        let cut = order.cut((0..50).collect(), place);
        assert_eq!((cut.entries.len(), cut.newer, cut.older), (50, None, None));
        let none = order.cut(Vec::<u32>::new(), place);
        assert_eq!((none.entries.len(), none.newer, none.older), (0, None, None));
    }

    #[test]
    fn a_key_of_another_list_or_order_and_one_that_is_none_are_refused() {
        let order = at(&NUMBERS, "").unwrap();
        let wide = ListPlace { key: SortKey::text(&"日本".repeat(64)), id: Uuid::from_u128(7) };
        let key = order.key(&wide);
        assert_eq!(at(&NUMBERS, &format!("after={key}")).unwrap().turn, PageSelector::Behind(wide.clone()));
        assert_eq!(at(&NUMBERS, &format!("before={key}")).unwrap().turn, PageSelector::Before(wide));
        assert_eq!(
            said(&OTHERS, &format!("after={key}")),
            "after is of the list `numbers`, and this one is `others`; begin again without it"
        );
        assert_eq!(
            said(&NUMBERS, &format!("sort=-name&before={key}")),
            "before is of a list that is sorted by `name`, and this one is by `-name`; begin again without it"
        );
        assert!(said(&NUMBERS, &format!("after={key}&before={key}")).starts_with("before goes not together"));
        let elsewhere = NUMBERS.read(&Pairs::parse(format!("after={key}").as_bytes()), Uuid::from_u128(8));
        assert!(elsewhere.unwrap_err().faults[0].problem.starts_with("is of another `numbers` list"));
        let id = Uuid::from_u128(7);
        for none in [
            "x".to_owned(),
            id.to_string(),
            format!("numbers.000000000009.name.*.{id}"),
            "numbers.000000000009.name.YQ.7".to_owned(),
            format!("numbers.000000000009.colour.YQ.{id}"),
            format!("{}.0.name.YQ.{id}", "x".repeat(10_000)),
            format!("..name.YQ.{id}"),
        ] {
            let said = said(&NUMBERS, &format!("after={none}"));
            assert_eq!(said, format!("after {NO_KEY}"), "{}", &none[..none.len().min(60)]);
        }
        let number = format!("sort=size&after=numbers.000000000009.size.x.{id}");
        assert_eq!(said(&NUMBERS, &number), format!("after {NO_KEY}"));
        assert!(said(&NUMBERS, "sort=colour").contains("a value that it cannot have"));
    }

    #[test]
    fn a_head_sorts_and_turns_round_what_it_sorts_and_a_choice_has_every_order() {
        let frame = |text: &str| {
            let pairs = Pairs::parse(text.as_bytes());
            let order = NUMBERS.read(&pairs, Uuid::nil()).unwrap();
            order.frame("/x", &pairs, &order.cut(Vec::new(), place))
        };
        let heads = |text: &str| frame(text).heads.into_iter().map(|head| head.href).collect::<Vec<_>>();
        assert_eq!(heads(""), ["/x?sort=-name", "/x?sort=-size"]);
        assert_eq!(heads("q=a&sort=-name"), ["/x?q=a", "/x?q=a&sort=-size"]);
        assert_eq!(heads("sort=-size")[1], "/x?sort=size");
        let shown = frame("q=a&sort=-size");
        let directions: Vec<_> = shown.heads.iter().map(|head| head.direction.as_deref()).collect();
        assert_eq!(directions, [None, Some("descending")]);
        assert_eq!(shown.kept, [("q".to_owned(), "a".to_owned())]);
        let orders: Vec<_> = shown.orders.iter().map(|it| (it.value.as_str(), it.label.as_str(), it.chosen)).collect();
        assert_eq!(
            orders,
            [
                ("", "Name, A to Z", false),
                ("-name", "Name, Z to A", false),
                ("-size", "Size, most first", true),
                ("size", "Size, fewest first", false),
            ]
        );
    }
}
