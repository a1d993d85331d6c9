//! The lists of tokens of each kind: searched, filtered, sorted; and from the text of a token to its page.

use axum::Extension;
use axum::http::StatusCode;
use tokenward_core::caller::Grant;
use tokenward_core::directory::Organization;
use tokenward_core::permission::Management;
use tokenward_core::role::{BuiltIn, RoleKind};
use tokenward_core::secret::Kind;
use tokenward_core::time::DAY;
use tokenward_core::token::{Token, TokenFilter};
use tokenward_core::{Error, Result, Time, Uuid};

use super::form::{Pairs, Query};
use super::overview;
use super::page::{At, PageResult, page, see_other};
use super::paging::{Column, Cut, Holds, List, ListOrder, ListPlace, PAGE, PageSelector, SortKey};
use super::person::SignedIn;
use super::token_changes::{TOKENS, TokenListKind};
use super::token_filters::NarrowedTo;
use super::tokens::{row, state_of};
use super::view::{Chip, Nav, TokenState, TokensPage};
use super::way_back::{self, TOKEN_FILTERS, TOKEN_KEYS};
use super::words::{SOON, bounded, token_state};
use crate::limits::QUERY;
use crate::service::token_list::{self, Filter};
use crate::service::token_order::{By, Order};
use crate::service::token_overview::{self, Facts, Shelf, ShelfKey, ShelfPart, ShelfPlace, Spans, Which};
use crate::service::usage::{self, TokenUsage as TokenUse};
use crate::service::{limit_warnings, token_owners, tokens};

/// Tokens that are looked at together.
const PART: usize = 500;
/// Of what has ended so many are counted.
const ENDED_COUNTED: usize = 1_000;
/// Parts of what has ended that are looked through for a search among the others, the newest first.
const ENDED_PARTS: usize = 4;
/// From when on a token counts as unused.
const UNUSED: i64 = 90 * DAY;
/// A token that was used within this time is in use.
const IN_USE: i64 = 7 * DAY;
/// By these times lists of tokens are counted and sorted.
const SPANS: Spans = Spans { soon: SOON, unused: UNUSED, in_use: IN_USE };

/// The filters of the list: what the query says, and what people read; in the order of [`Which::ALL`]. The first takes all.
const FILTERS: [(&str, &str); Which::ALL.len()] = [
    ("", "All"),
    ("soon", "Ends within 14 days"),
    ("unused", "Unused for 90 days"),
    ("endless", "No end"),
    ("orphaned", "Creator left"),
    ("unowned", "Owner left or none"),
    ("unconfirmed", "Still needed?"),
    ("admin", "Admin"),
    ("disabled", "Disabled"),
];
/// The filter for those that have a brownout. Whether that is over the database does not know: they are counted where they are looked
/// through.
const BROWNOUT: (&str, &str) = ("brownout", "Brownout");
/// The filters for what has ended, which the others leave out. They are counted within bounds: nothing else gets slower by them.
const ENDED: [(&str, &str); 3] = [("expired", "Expired"), ("revoked", "Deleted"), ("ended", "Ended")];

/// Which of these a filter is.
fn of_ended(filter: &str) -> Option<&'static str> {
    ENDED.iter().find(|(name, _)| *name == filter).map(|(name, _)| *name)
}

/// What a list of tokens can be sorted by.
const COLUMNS: &[Column] = &[
    Column::new("name", "Name", Holds::Text),
    Column::new("role", "Role", Holds::Text),
    Column::new("created", "Created", Holds::Past).classed("opt"),
    Column::new("used", "Last used", Holds::Past),
    Column::new("ends", "Expires", Holds::Future),
];
/// The list of API tokens.
static OF_TOKENS: List = List { word: "tokens", keys: List::KEYS, columns: COLUMNS };
/// The list of policy tokens.
static OF_POLICY_TOKENS: List = List { word: "policytokens", keys: List::KEYS, columns: COLUMNS };

/// What a query asks for.
struct ListRequest {
    /// Of which list.
    of: TokenListKind,
    search: String,
    filter: String,
    /// What narrows it besides.
    more: NarrowedTo,
    /// In which order, and which page of it.
    order: ListOrder,
}

impl ListRequest {
    fn read(of: TokenListKind, query: &Pairs, organization: Uuid) -> Result<Self> {
        let search = query.understood(&[&TOKEN_KEYS[..], &TOKEN_FILTERS].concat())?.line("q");
        QUERY.check_text(&search).map_err(|problem| Error::invalid("q", problem))?;
        if search.contains(char::is_control) {
            return Err(Error::invalid("q", "has a control character, which no name has"));
        }
        let filters = FILTERS.iter().chain([&BROWNOUT]).chain(&ENDED).map(|(name, _)| *name);
        let filter = query.one_of("filter", filters)?.to_owned();
        let list = if of.kind == Kind::PolicyToken { &OF_POLICY_TOKENS } else { &OF_TOKENS };
        Ok(Self { of, search, filter, more: NarrowedTo::read(query)?, order: list.read(query, organization)? })
    }

    /// Which tokens it asks for, where the database counts them.
    fn counted(&self) -> Option<Which> {
        let named = FILTERS.iter().position(|(name, _)| *name == self.filter);
        named.filter(|_| self.search.trim().is_empty() && self.more.is_empty()).map(|at| Which::ALL[at])
    }

    /// Is a token to be looked for by words, or by what only its row says?
    fn looks_through(&self) -> bool {
        !self.search.trim().is_empty() || !self.more.is_empty()
    }

    /// Are there tokens on it that have ended?
    fn shows_ended(&self) -> bool {
        of_ended(&self.filter).is_some() || (self.filter.is_empty() && self.more.with_ended())
    }

    /// The address of the same list with another filter or another order.
    fn address(&self, base: &str, filter: &str, sort: &str) -> String {
        let own = [("q", self.search.as_str()), ("filter", filter), ("sort", sort)];
        address(base, own.into_iter().chain(self.more.pairs()))
    }

    /// The address of the same list where nothing else narrows it.
    fn without_more(&self, base: &str) -> String {
        let sort = self.order.sort_word();
        let own = [("q", self.search.as_str()), ("filter", self.filter.as_str()), ("sort", sort.as_str())];
        address(base, own.into_iter())
    }
}

/// An address with what there is of these.
fn address<'a>(base: &str, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs.filter(|(_, value)| !value.is_empty()));
    let query = query.finish();
    if query.is_empty() { base.to_owned() } else { format!("{base}?{query}") }
}

/// `GET …/tokens`.
pub(super) async fn list(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    listed(&person, TOKENS, organization, &query).await
}

/// One of the lists.
pub(super) async fn listed(person: &SignedIn, of: TokenListKind, organization: Uuid, query: &Pairs) -> PageResult {
    let grant = person.may(organization, of.read)?;
    let asked = ListRequest::read(of, query, organization)?;
    if way_back::is_token_like(person.app.verifier.prefixes(), &asked.search) {
        let problem =
            "looks like the text of a token, which does not belong into an address: search for it by the form";
        return Err(Error::invalid("q", problem).into());
    }
    asked.more.refuse_secrets(person)?;
    show(person, &grant, query, asked, None).await
}

/// `POST …/tokens/find`: the search. What has the form of a token leads to the page of that token, and never into an address.
pub(super) async fn find(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    found(&person, TOKENS, organization, &form).await
}

/// The search in one of the lists.
pub(super) async fn found(person: &SignedIn, of: TokenListKind, organization: Uuid, form: &Pairs) -> PageResult {
    let grant = person.may(organization, of.read)?;
    let base = format!("/console/{organization}/{}", of.path);
    let list: Pairs = ["filter", "sort"].into_iter().chain(TOKEN_FILTERS).map(|key| (key, form.line(key))).collect();
    ListRequest::read(of, &list, organization)?.more.refuse_secrets(person)?;
    // Before it is read as a search: a secret that somebody else made looks like any other one.
    if let Some(token) = person.app.verifier.find(&form.line("q"), organization) {
        // That page knows the one of another kind.
        let page = format!("/console/{organization}/tokens/{token}");
        return see_other(&way_back::opened_from(of.path, &list, &page));
    }
    let kept = ["q", "filter", "sort"].into_iter().chain(TOKEN_FILTERS).map(|key| (key, form.line(key)));
    let asked = ListRequest::read(of, &kept.collect::<Pairs>(), organization)?;
    if !way_back::is_token_like(person.app.verifier.prefixes(), &asked.search) {
        return see_other(&asked.address(&base, &asked.filter, &asked.order.sort_word()));
    }
    let problem = "No token of this organization has this text. Was a part of it lost in copying, or is it of another \
                   organization? The text was not kept.";
    let asked = ListRequest { search: String::new(), ..asked };
    show(person, &grant, &list, asked, Some(problem.to_owned())).await
}

async fn show(
    person: &SignedIn,
    grant: &Grant,
    query: &Pairs,
    asked: ListRequest,
    problem: Option<String>,
) -> PageResult {
    let organization = grant.organization();
    let shell = person.shell(Some(organization), Nav::Tokens).await?;
    let of = asked.of;
    let base = format!("{}/{}", shell.base(), of.path);
    let survey = match asked.counted() {
        Some(which) => {
            ListSurvey::counted(person, grant, of.kind, which).await?.of_shelf(person, grant, &asked).await?
        }
        None if asked.looks_through() => ListSurvey::of(person, grant, &asked).await?,
        None if asked.filter == BROWNOUT.0 => ListSurvey::in_brownout(person, grant, &asked).await?,
        None => ListSurvey::ended(person, grant, &asked).await?,
    };
    let sort = asked.order.sort_word();
    let chip = |(n, (name, label)): (usize, (&str, &str))| Chip {
        label: label.into(),
        href: asked.address(&base, name, &sort),
        count: Some(survey.counts[n].to_string()),
        current: name == asked.filter,
    };
    let mut chips: Vec<Chip> = FILTERS.into_iter().enumerate().map(chip).collect();
    let brownout = (BROWNOUT, survey.brownout.map(|count| count.to_string()));
    let ended = ENDED.map(|filter| (filter, Some(survey.ended.in_words(filter.0))));
    chips.extend([brownout].into_iter().chain(ended).map(|((name, label), count)| Chip {
        label: label.into(),
        href: asked.address(&base, name, &sort),
        count,
        current: name == asked.filter,
    }));
    let ids = &survey.page.entries;
    let mut on_page = tokens::these(&person.app, grant, ids, false).await?;
    if asked.shows_ended() {
        on_page.extend(tokens::these(&person.app, grant, ids, true).await?);
    }
    on_page.sort_by_key(|token| ids.iter().position(|id| *id == token.id));
    let used = usage::of(&person.app, grant, &on_page).await?;
    let pictures = overview::pictures(person, grant, ids, 20).await?;
    let is_usual = of.kind == Kind::Token;
    let shown = TokensPage {
        path: of.path,
        policies: !is_usual,
        pictures: pictures.into_iter().map(|(id, bars)| (id.to_string(), bars)).collect(),
        tokens: on_page.iter().map(|token| row(&person.app, token, used.get(&token.id))).collect(),
        total: survey.total.max(survey.matching),
        matching: survey.matching,
        list: asked.order.frame(&base, query, &survey.page),
        sort,
        warning: survey.warning(&format!("{base}?filter=soon&sort=ends")),
        more: asked.more.fields(person, organization, asked.without_more(&base)),
        limits: if is_usual { limit_warnings::sentences(&person.app, grant).await? } else { Vec::new() },
        search: asked.search,
        filter: asked.filter,
        chips,
        may_see_policies: is_usual && person.can(organization, Management::PolicyManage),
        may_create: person.can(organization, of.right),
        may_delete: person.can(organization, of.right),
        shows_last_used: true,
        error: problem,
        shell,
    };
    page(StatusCode::OK, &shown)
}

/// By what the database sorts.
fn shelf(by: &str) -> Shelf {
    match by {
        "role" => Shelf::Role,
        "created" => Shelf::By(By::Created),
        "used" => Shelf::By(By::Use),
        "ends" => Shelf::By(By::End),
        _ => Shelf::By(By::Name),
    }
}

/// Tokens of a kind that the database sorts.
#[derive(Clone, Copy)]
enum Sorted {
    /// Those that live, of which the filter leaves these.
    Living(Kind, Which),
    /// Those that have ended: `expired`, `revoked`, or `ended` for both.
    Ended(Kind, &'static str),
}

impl Sorted {
    /// The page of them that is asked for.
    async fn page(self, person: &SignedIn, grant: &Grant, facts: &Facts, order: &ListOrder) -> Result<Cut<Uuid>> {
        let at = (order, facts);
        let (places, before, behind) = match order.turn() {
            PageSelector::First => {
                let (places, more) = self.read(person, grant, at, false, None).await?;
                (places, false, more)
            }
            PageSelector::Behind(place) => match self.read(person, grant, at, false, Some(place)).await? {
                // All that was behind it is gone: this is the last page then.
                (places, _) if places.is_empty() => {
                    let (mut places, more) = self.read(person, grant, at, true, None).await?;
                    places.reverse();
                    (places, more, false)
                }
                (places, more) => (places, true, more),
            },
            PageSelector::Before(place) => match self.read(person, grant, at, true, Some(place)).await? {
                // It is not whole: this is the first page then.
                (places, _) if places.len() < PAGE => {
                    let (places, more) = self.read(person, grant, at, false, None).await?;
                    (places, false, more)
                }
                (mut places, more) => {
                    places.reverse();
                    (places, more, true)
                }
            },
        };
        Ok(Cut {
            newer: places.first().filter(|_| before).cloned(),
            older: places.last().filter(|_| behind).cloned(),
            entries: places.into_iter().map(|place| place.id).collect(),
        })
    }

    /// A page of them behind a place, or from the beginning, and whether there are more; `backwards` in the other direction.
    async fn read(
        self,
        person: &SignedIn,
        grant: &Grant,
        (order, facts): (&ListOrder, &Facts),
        backwards: bool,
        after: Option<&ListPlace>,
    ) -> Result<(Vec<ListPlace>, bool)> {
        let shelf = shelf(order.word());
        let after = match after {
            Some(place) => Some(on_shelf(shelf, place).ok_or_else(|| order.no_place())?),
            None => None,
        };
        let part = ShelfPart {
            kind: match self {
                Self::Living(kind, _) | Self::Ended(kind, _) => kind,
            },
            shelf,
            descending: order.is_descending() != backwards,
            after: after.as_ref(),
            // One more says that there are more.
            limit: PAGE + 1,
        };
        let mut places = match self {
            Self::Living(_, which) => token_overview::places(&person.app, grant, facts, which, &part).await?,
            Self::Ended(_, which) => token_overview::ended(&person.app, grant, facts, which, &part).await?,
        };
        let more = places.len() > PAGE;
        places.truncate(PAGE);
        Ok((places.into_iter().map(in_list).collect(), more))
    }
}

/// A place of the list as the database has it; `None` where it is none of this order.
fn on_shelf(shelf: Shelf, place: &ListPlace) -> Option<ShelfPlace> {
    let plain = |text: &str| !text.contains(char::is_control);
    let key = match (shelf, &place.key) {
        (Shelf::Role, SortKey::Text(text)) => {
            let (role, name) = text.split_once('\0').filter(|(role, name)| plain(role) && plain(name))?;
            ShelfKey::Texts(role.to_owned(), name.to_owned())
        }
        (Shelf::By(By::Name), SortKey::Text(text)) if plain(text) => ShelfKey::Text(text.clone()),
        (Shelf::By(By::Created | By::End | By::Use), SortKey::Number(at)) => ShelfKey::Number(*at),
        _ => return None,
    };
    Some(ShelfPlace { key, id: place.id })
}

/// The same the other way round.
fn in_list(place: ShelfPlace) -> ListPlace {
    let key = match place.key {
        ShelfKey::Number(at) => SortKey::Number(at),
        ShelfKey::Text(text) => SortKey::Text(text),
        ShelfKey::Texts(role, name) => SortKey::Text(format!("{role}\0{name}")),
    };
    ListPlace { key, id: place.id }
}

/// How many have ended.
#[derive(Clone, Copy, Default, Debug)]
struct EndedCounts {
    expired: usize,
    revoked: usize,
    /// Was not all of it looked through?
    more: bool,
}

impl EndedCounts {
    /// How many fit a filter, as people read it.
    fn in_words(self, filter: &str) -> String {
        let count = match filter {
            "expired" => self.expired,
            "revoked" => self.revoked,
            _ => self.expired + self.revoked,
        };
        match (count > ENDED_COUNTED, self.more) {
            (false, true) => format!("{count}+"),
            _ => bounded(count, ENDED_COUNTED),
        }
    }

    fn note(&mut self, token: &Token) {
        let count = if token.revocation.is_some() { &mut self.revoked } else { &mut self.expired };
        *count += 1;
    }
}

/// What is to be known of all tokens for a page of some. The database counts them and finds the page, but for a search: then they
/// are looked through part by part, and never kept as a whole.
struct ListSurvey {
    /// How many there are.
    total: usize,
    /// How many that fit the search fit each filter.
    counts: [usize; FILTERS.len()],
    /// The same of those that have a brownout, where they were looked through.
    brownout: Option<usize>,
    /// The same of those that have ended.
    ended: EndedCounts,
    /// Those that are wanted, in order: the key, the id.
    found: Vec<ListPlace>,
    /// How many are wanted.
    matching: usize,
    /// Those of them on this page, and where the pages beside it are.
    page: Cut<Uuid>,
    /// What the database counts by.
    facts: Option<Facts>,
    /// Those in use that end soon: how many, and the first of them with how long it has left.
    ending: usize,
    first_ending: Option<(Time, String, String)>,
}

impl ListSurvey {
    /// What the database counts.
    async fn counted(person: &SignedIn, grant: &Grant, kind: Kind, which: Which) -> Result<Self> {
        let (facts, counted) = token_overview::count(&person.app, grant, kind, SPANS).await?;
        let counts = counted.each.map(|count| usize::try_from(count).unwrap_or(0));
        let matching = Which::ALL.iter().position(|it| *it == which).map_or(0, |at| counts[at]);
        let first_ending = counted.first.map(|(name, end)| {
            let left = match token_state(Some(end), facts.now) {
                TokenState::Soon(left) => left,
                _ => String::new(),
            };
            (end, name, left)
        });
        let ending = usize::try_from(counted.ending).unwrap_or(0);
        // One more says that there are more.
        let (expired, revoked) = token_overview::count_ended(&person.app, grant, kind, ENDED_COUNTED + 1).await?;
        let ended = EndedCounts { expired, revoked, more: false };
        Ok(Self { total: counts[0], counts, ended, matching, ending, first_ending, facts: Some(facts), ..Self::none() })
    }

    /// With the page of those that the filter leaves.
    async fn of_shelf(self, person: &SignedIn, grant: &Grant, asked: &ListRequest) -> Result<Self> {
        let (Some(which), Some(facts)) = (asked.counted(), &self.facts) else { return Ok(self) };
        let page = Sorted::Living(asked.of.kind, which).page(person, grant, facts, &asked.order).await?;
        Ok(Self { page, ..self })
    }

    /// Of those that have ended only a page is read.
    async fn ended(person: &SignedIn, grant: &Grant, asked: &ListRequest) -> Result<Self> {
        let kind = asked.of.kind;
        let survey = Self::counted(person, grant, kind, Which::All).await?;
        let Some(facts) = survey.facts else { return Ok(survey) };
        let which = of_ended(&asked.filter).unwrap_or("ended");
        let matching = token_overview::count_of_ended(&person.app, grant, kind, &facts, which).await?;
        let matching = usize::try_from(matching).unwrap_or(usize::MAX);
        let page = Sorted::Ended(kind, which).page(person, grant, &facts, &asked.order).await?;
        Ok(Self { matching, page, ..survey })
    }

    async fn of(person: &SignedIn, grant: &Grant, asked: &ListRequest) -> Result<Self> {
        let words: Vec<String> = asked.search.split_whitespace().map(str::to_lowercase).collect();
        let mut survey = Self { brownout: Some(0), ..Self::none() };
        let living = asked.more.filter(person, grant, asked.of.kind).await?;
        survey.look_through(person, grant, &living, asked, &words).await?;
        let ended = Filter { state: TokenFilter::Ended, ..living };
        if asked.shows_ended() {
            survey.look_through(person, grant, &ended, asked, &words).await?;
        } else {
            survey.ended = ended_matching(person, grant, &ended, asked, &words).await?;
        }
        let survey = survey.with_page(grant, asked).await?;
        if asked.more.is_empty() {
            return Ok(survey);
        }
        // Only those were looked through that it leaves: what is said of all of them is counted.
        let all = Self::counted(person, grant, asked.of.kind, Which::All).await?;
        Ok(Self { total: all.total, ending: all.ending, first_ending: all.first_ending, ..survey })
    }

    /// Of all there is the count; those with a brownout are few, and looked through.
    async fn in_brownout(person: &SignedIn, grant: &Grant, asked: &ListRequest) -> Result<Self> {
        let all = Self::counted(person, grant, asked.of.kind, Which::All).await?;
        let those = Filter { state: TokenFilter::Brownout, ..Filter::of(asked.of.kind) };
        let mut survey = Self::none();
        survey.look_through(person, grant, &those, asked, &[]).await?;
        let Self { matching, page, .. } = survey.with_page(grant, asked).await?;
        Ok(Self { matching, page, brownout: Some(matching), ..all })
    }

    /// The same with the page of those that were found.
    async fn with_page(mut self, grant: &Grant, asked: &ListRequest) -> Result<Self> {
        let found = std::mem::take(&mut self.found);
        self.matching = found.len();
        let cut = asked.order.cut_aside(grant.organization(), found, ListPlace::clone).await?;
        self.page = Cut {
            entries: cut.entries.into_iter().map(|place| place.id).collect(),
            newer: cut.newer,
            older: cut.older,
        };
        Ok(self)
    }

    /// Nothing is known yet.
    fn none() -> Self {
        Self {
            total: 0,
            counts: [0; FILTERS.len()],
            brownout: None,
            ended: EndedCounts::default(),
            found: Vec::new(),
            matching: 0,
            page: Cut { entries: Vec::new(), newer: None, older: None },
            facts: None,
            ending: 0,
            first_ending: None,
        }
    }

    async fn look_through(
        &mut self,
        person: &SignedIn,
        grant: &Grant,
        those: &Filter,
        asked: &ListRequest,
        words: &[String],
    ) -> Result<()> {
        let (now, mut after) = (person.app.now(), None);
        let ended = those.state == TokenFilter::Ended;
        loop {
            let (part, last) = token_list::part(&person.app, grant, those, after, PART).await?;
            let used = usage::of(&person.app, grant, &part).await?;
            let directory = person.app.verifier.directory();
            let organization = directory.organization(grant.organization());
            for token in &part {
                let used = used.get(&token.id);
                let matching = asked.more.takes(token, now) && words.iter().all(|word| matches(token, word));
                if ended && matching {
                    self.ended.note(token);
                }
                if !ended {
                    self.total += 1;
                    self.note_end(token, used, now);
                    for (count, (name, _)) in self.counts.iter_mut().zip(FILTERS) {
                        *count += usize::from(matching && fits(name, token, used, organization, now));
                    }
                    if let Some(count) = &mut self.brownout {
                        *count += usize::from(matching && fits(BROWNOUT.0, token, used, organization, now));
                    }
                }
                let wanted = match of_ended(&asked.filter) {
                    Some("expired") => ended && token.revocation.is_none(),
                    Some("revoked") => ended && token.revocation.is_some(),
                    Some(_) => ended,
                    None if ended => asked.shows_ended(),
                    None => fits(&asked.filter, token, used, organization, now),
                };
                if matching && wanted {
                    self.found.push(ListPlace { key: sort_key(asked.order.word(), token, used), id: token.id });
                }
            }
            after = last;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn note_end(&mut self, token: &Token, used: Option<&TokenUse>, now: Time) {
        let in_use = used.and_then(|used| used.total.last_used_at).is_some_and(|last| now < last.plus(IN_USE));
        let (TokenState::Soon(left), Some(end), true) = (state_of(token, now), token.expires_at, in_use) else {
            return;
        };
        self.ending += 1;
        if self.first_ending.as_ref().is_none_or(|(first, ..)| end < *first) {
            self.first_ending = Some((end, token.name.clone(), left));
        }
    }

    /// What to say of all that are in use and end soon, and where they are listed.
    fn warning(&self, href: &str) -> Option<(String, String)> {
        let (_, name, left) = self.first_ending.as_ref()?;
        let text = match self.ending {
            1 => format!("“{name}” is in use and ends soon: {left}."),
            n => format!("{n} tokens are in use and end within 14 days; the first is “{name}”: {left}."),
        };
        Some((href.to_owned(), text))
    }
}

/// How many of those that have ended fit a search, as far as they are looked through: the newest.
async fn ended_matching(
    person: &SignedIn,
    grant: &Grant,
    ended: &Filter,
    asked: &ListRequest,
    words: &[String],
) -> Result<EndedCounts> {
    let now = person.app.now();
    let newest = Order { by: By::Created, descending: true };
    let (mut counts, mut after) = (EndedCounts::default(), None);
    for _ in 0..ENDED_PARTS {
        let (part, last) = token_list::part_in(&person.app, grant, ended, newest, after.as_ref(), PART).await?;
        let fitting = part.iter().filter(|token| asked.more.takes(token, now));
        for token in fitting.filter(|token| words.iter().all(|word| matches(token, word))) {
            counts.note(token);
        }
        after = last;
        if after.is_none() {
            return Ok(counts);
        }
    }
    Ok(EndedCounts { more: true, ..counts })
}

fn sort_key(by: &str, token: &Token, used: Option<&TokenUse>) -> SortKey {
    match by {
        "role" => SortKey::texts(&token.role_name, &token.name),
        "created" => SortKey::Number(token.created_at.0),
        "used" => SortKey::Number(used.and_then(|used| used.total.last_used_at).map_or(0, |at| at.0)),
        "ends" => SortKey::Number(token.expires_at.map_or(i64::MAX, |at| at.0)),
        _ => SortKey::text(&token.name),
    }
}

/// Does a token fit a filter?
fn fits(filter: &str, token: &Token, used: Option<&TokenUse>, organization: Option<&Organization>, now: Time) -> bool {
    let state = || state_of(token, now);
    match filter {
        "soon" => matches!(state(), TokenState::Soon(_)),
        "disabled" => state() == TokenState::Disabled,
        "brownout" => TokenFilter::Brownout.takes(token, now),
        "endless" => token.expires_at.is_none(),
        "admin" => {
            let admin = |organization: &Organization| {
                organization.role(token.role_id).is_some_and(|role| role.kind == RoleKind::BuiltIn(BuiltIn::Admin))
            };
            organization.is_some_and(admin)
        }
        "unconfirmed" => token.life.asked.is_some(),
        "unowned" => token.owner_id.is_none() || token_owners::owner_left(token, organization),
        "orphaned" => token_list::maker_left(token, organization),
        // It was there for 90 days and never used in them.
        "unused" => token_list::unused_since(token, used, now.plus(-UNUSED)),
        _ => true,
    }
}

/// Does a word stand in what a row of the list shows: the name, the description, the role, the creator, the end of the text?
fn matches(token: &Token, word: &str) -> bool {
    let contains = |text: &str| text.to_lowercase().contains(word);
    [&token.name, &token.role_name, &token.last_four].into_iter().any(|text| contains(text))
        || token.labels.iter().any(|(key, value)| contains(&format!("{key}={value}")))
        || [&token.description, &token.creator_name, &token.owner_name].into_iter().flatten().any(|text| contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> ListRequest {
        ListRequest::read(TOKENS, &Pairs::parse(query.as_bytes()), Uuid::nil()).unwrap()
    }

    #[test]
    fn an_address_keeps_search_filter_and_order() {
        let plain = asked("");
        assert_eq!(plain.address("/t", "", &plain.order.sort_word()), "/t");
        let all = asked("q=a+b&filter=soon&sort=-ends");
        assert_eq!(all.address("/t", &all.filter, &all.order.sort_word()), "/t?q=a+b&filter=soon&sort=-ends");
        assert_eq!(asked("sort=name").order.sort_word(), "", "the usual order needs no word");
        let narrowed = asked("q=a&label=team=shop&ends_to=2027-01-31");
        assert_eq!(narrowed.address("/t", "soon", ""), "/t?q=a&filter=soon&label=team%3Dshop&ends_to=2027-01-31");
        assert_eq!(asked("label=team&filter=soon&q=a").without_more("/t"), "/t?q=a&filter=soon");
        assert!(narrowed.counted().is_none() && narrowed.looks_through());
        assert!(asked("restricted=no").counted().is_none(), "the database counts what nothing narrows");
    }

    #[test]
    fn what_has_ended_is_counted_within_bounds() {
        let counts = |expired, revoked, more| {
            let all = EndedCounts { expired, revoked, more };
            ENDED.map(|(name, _)| all.in_words(name))
        };
        assert_eq!(counts(2, 3, false), ["2", "3", "5"]);
        assert_eq!(counts(ENDED_COUNTED, 1, false), ["1000", "1", "1,000+"]);
        assert_eq!(counts(ENDED_COUNTED + 1, 0, false), ["1,000+", "0", "1,000+"]);
        assert_eq!(counts(0, 2, true), ["0+", "2+", "2+"]);
    }

    #[test]
    fn a_head_sorts_and_turns_round_what_it_sorts() {
        let heads = |query: &str| asked(query).order.heads("/t", &Pairs::parse(query.as_bytes()));
        let addresses = |query: &str| -> Vec<String> { heads(query).into_iter().map(|head| head.href).collect() };
        assert_eq!(
            addresses(""),
            ["/t?sort=-name", "/t?sort=role", "/t?sort=-created", "/t?sort=-used", "/t?sort=ends"]
        );
        assert_eq!(addresses("sort=-used")[3], "/t?sort=used");
        assert_eq!(addresses("sort=-name")[0], "/t");
        let directions: Vec<_> = heads("sort=-ends").into_iter().map(|head| head.direction).collect();
        assert_eq!(directions, [None, None, None, None, Some("descending".to_owned())]);
    }

    #[test]
    fn a_place_of_the_list_is_one_of_the_database_and_back_and_nothing_else_is() {
        let id = Uuid::from_u128(7);
        let at = |key| ListPlace { key, id };
        let (role, name) = (Shelf::Role, Shelf::By(By::Name));
        for (shelf, key) in [
            (role, SortKey::texts("Admin", "日本")),
            (name, SortKey::text(&"\u{1f34b}".repeat(128))),
            (Shelf::By(By::Use), SortKey::Number(0)),
            (Shelf::By(By::End), SortKey::Number(i64::MAX)),
            (Shelf::By(By::Created), SortKey::Number(-1)),
        ] {
            assert_eq!(on_shelf(shelf, &at(key.clone())).map(in_list), Some(at(key)));
        }
        for (shelf, key) in [
            (role, SortKey::text("admin")),
            (role, SortKey::Text("a\0b\0c".into())),
            (name, SortKey::texts("a", "b")),
            (name, SortKey::Number(7)),
            (Shelf::By(By::Use), SortKey::text("7")),
        ] {
            assert_eq!(on_shelf(shelf, &at(key.clone())), None, "{key:?}");
        }
    }
}
