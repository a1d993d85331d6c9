//! What narrows a list of tokens besides its search and its pills, for both kinds: role, owner, maker, labels, days, and what
//! else the API finds tokens by.

use chrono::{Days, NaiveDate};
use tokenward_core::caller::Grant;
use tokenward_core::label::Wanted;
use tokenward_core::life::Attestation;
use tokenward_core::name::fold_email;
use tokenward_core::permission::Management;
use tokenward_core::secret::{Kind, Prefixes};
use tokenward_core::token::{Token, TokenFilter};
use tokenward_core::{Error, Result, Time, Uuid};

use super::form::Pairs;
use super::person::SignedIn;
use super::view::{Choice, FilterChoice, FilterText, TokenFilters};
use super::way_back::{self, TOKEN_FILTERS};
use super::words::role_name;
use crate::limits::QUERY;
use crate::service::token_list::Filter;
use crate::service::{members, token_policy};

/// A closed set of words and what people read of each. The first asks for nothing.
type Words = [(&'static str, &'static str)];

const STATES: &Words = &[
    ("", "Any but ended"),
    ("active", "Accepted now"),
    ("not_yet_valid", "Not yet valid"),
    ("kept", "All but deleted"),
    ("all", "All, deleted too"),
];
const ENDS: &Words = &[("", "Any"), ("yes", "With an end"), ("no", "Without an end")];
const RESTRICTED: &Words = &[("", "Any"), ("yes", "Restricted"), ("no", "Not restricted")];
const NEEDED: &Words = &[("", "Any"), ("confirmed", "Confirmed"), ("due", "Asked"), ("overdue", "Overdue")];
const POLICY: &Words = &[("", "Any"), ("beyond", "Beyond it")];

/// What a day is that cannot be read.
const DAY: &str = "a day such as 2026-11-25";

/// What is asked for.
#[derive(Clone, Default, Debug)]
pub(super) struct NarrowedTo {
    /// As it stands in the address.
    typed: Vec<(&'static str, String)>,
    role: Option<Uuid>,
    labels: Vec<Wanted>,
    state: Option<TokenFilter>,
    restricted: Option<bool>,
    ends: Option<bool>,
    ends_from: Option<Time>,
    ends_before: Option<Time>,
    used_since: Option<Time>,
    unused_since: Option<Time>,
    attestation: Option<Attestation>,
}

impl NarrowedTo {
    /// Reads it of the query of a list, or of its form.
    pub(super) fn read(query: &Pairs) -> Result<Self> {
        for key in ["owner", "maker", "label"] {
            let text = query.line(key);
            QUERY.check_text(&text).map_err(|problem| Error::invalid(key, problem))?;
            if text.contains(char::is_control) {
                return Err(Error::invalid(key, "has a control character, which nothing has"));
            }
        }
        let begins = |key: &'static str| query.read(key, DAY, |text| midnight(text.parse().ok()?));
        let is_over = |key: &'static str| query.read(key, DAY, |text| next_midnight(text.parse().ok()?));
        let typed = TOKEN_FILTERS.into_iter().map(|key| (key, query.line(key))).filter(|(_, text)| !text.is_empty());
        word(query, "policy", POLICY)?;
        Ok(Self {
            typed: typed.collect(),
            role: query.read("role", "the id of a role", |text| Uuid::try_parse(text).ok())?,
            labels: labels(&query.line("label"))?,
            state: match word(query, "state", STATES)? {
                "" => None,
                word => Some(TokenFilter::parse(word).map_err(|it| Error::invalid("state", it.to_string()))?),
            },
            restricted: match word(query, "restricted", RESTRICTED)? {
                "" => None,
                word => Some(word == "yes"),
            },
            ends: match word(query, "ends", ENDS)? {
                "" => None,
                word => Some(word == "yes"),
            },
            ends_from: begins("ends_from")?,
            // With the moment at which the day is over: a token of which it is the last one ends then.
            ends_before: is_over("ends_to")?.map(|at| at.plus(1)),
            used_since: begins("used_from")?,
            unused_since: is_over("used_to")?.map(|at| at.plus(-1)),
            attestation: match word(query, "needed", NEEDED)? {
                "" => None,
                word => Some(Attestation::parse(word).map_err(|it| Error::invalid("needed", it.to_string()))?),
            },
        })
    }

    /// Is nothing asked for?
    pub(super) fn is_empty(&self) -> bool {
        self.typed.is_empty()
    }

    /// The same as parts of an address.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.typed.iter().map(|(key, text)| (*key, text.as_str()))
    }

    fn text(&self, key: &str) -> &str {
        self.typed.iter().find(|(own, _)| *own == key).map_or("", |(_, text)| text)
    }

    /// Refuses what looks like the text of a token, which belongs into no address.
    pub(super) fn refuse_secrets(&self, person: &SignedIn) -> Result<()> {
        match self.secret(person.app.verifier.prefixes()) {
            None => Ok(()),
            Some(field) => Err(Error::invalid(field, "looks like the text of a token, which does not belong here")),
        }
    }

    fn secret(&self, prefixes: &Prefixes) -> Option<&'static str> {
        self.typed.iter().find(|(_, text)| way_back::is_token_like(prefixes, text)).map(|(key, _)| *key)
    }

    /// Which living tokens of a kind fit, as lists are asked for them.
    pub(super) async fn filter(&self, person: &SignedIn, grant: &Grant, kind: Kind) -> Result<Filter> {
        let maker = Some(self.text("maker")).filter(|text| !text.is_empty());
        let creator = maker.and_then(|text| Uuid::try_parse(text).ok());
        Ok(Filter {
            creator_name: maker.filter(|_| creator.is_none()).map(str::to_owned),
            // Those that have ended are looked through for themselves.
            state: self.state.filter(|_| !self.with_ended()).unwrap_or_default(),
            exceeding: match self.text("policy") {
                "" => None,
                _ => Some(token_policy::get(&person.app, grant).await?.policy),
            },
            role: self.role,
            creator,
            ends: self.ends,
            ends_from: self.ends_from,
            ends_before: self.ends_before,
            restricted: self.restricted,
            unused_since: self.unused_since,
            used_since: self.used_since,
            owner: match self.text("owner") {
                "" => None,
                text => Some(member(person, grant.organization(), text).await?),
            },
            labels: self.labels.clone(),
            attestation: self.attestation,
            ..Filter::of(kind)
        })
    }

    /// Are those wanted, too, that have ended?
    pub(super) fn with_ended(&self) -> bool {
        matches!(self.state, Some(TokenFilter::Kept | TokenFilter::All))
    }

    /// Is a token in the state that is asked for? Those that have ended are looked through without it.
    pub(super) fn takes(&self, token: &Token, now: Time) -> bool {
        self.state.is_none_or(|state| state.takes(token, now))
    }

    /// The fields with what was asked for. `without` is the address of the list without any of it.
    pub(super) fn fields(&self, person: &SignedIn, organization: Uuid, without: String) -> TokenFilters {
        let words = |name: &'static str, label: &'static str, words: &Words| FilterChoice {
            name,
            label,
            choices: words
                .iter()
                .map(|(value, label)| Choice {
                    value: (*value).to_owned(),
                    label: (*label).to_owned(),
                    chosen: *value == self.text(name),
                })
                .collect(),
        };
        let text = |name: &'static str, label: &'static str, placeholder: &'static str| FilterText {
            name,
            label,
            placeholder,
            value: self.text(name).to_owned(),
        };
        TokenFilters {
            choices: vec![
                FilterChoice { name: "role", label: "Role", choices: self.roles(person, organization) },
                words("state", "State", STATES),
                words("restricted", "Restrictions", RESTRICTED),
                words("ends", "End", ENDS),
                words("needed", "Still needed?", NEEDED),
                words("policy", "Token policy", POLICY),
            ],
            texts: vec![
                text("owner", "Owner", "E-mail address, or an id"),
                text("maker", "Made by", "Part of a name, or an id"),
                text("label", "Labels", "team=shop, nightly"),
            ],
            days: vec![
                text("ends_from", "Ends from", ""),
                text("ends_to", "Ends until", ""),
                text("used_from", "Used since", ""),
                text("used_to", "Not used after", ""),
            ],
            active: self.typed.len(),
            without,
        }
    }

    fn roles(&self, person: &SignedIn, organization: Uuid) -> Vec<Choice> {
        let directory = person.app.verifier.directory();
        let all = directory.organization(organization).into_iter().flat_map(|it| it.roles());
        let choice = |id: Uuid, label: String| Choice { value: id.to_string(), label, chosen: self.role == Some(id) };
        let any = Choice { value: String::new(), label: "Any role".to_owned(), chosen: self.role.is_none() };
        let known = all.filter(|role| !role.is_owner()).map(|role| choice(role.id, role_name(role)));
        let mut choices: Vec<Choice> = std::iter::once(any).chain(known).collect();
        if let Some(gone) = self.role.filter(|_| choices.iter().all(|it| !it.chosen)) {
            choices.push(choice(gone, "One that is gone".to_owned()));
        }
        choices
    }
}

/// One of the words, or nothing.
fn word<'q>(query: &'q Pairs, key: &'static str, words: &Words) -> Result<&'q str> {
    query.one_of(key, words.iter().map(|(word, _)| *word))
}

/// Reads `team=shop, nightly`, as the form of a token has labels, or with the colons of the API.
fn labels(text: &str) -> Result<Vec<Wanted>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let parts: Vec<String> = text.split(',').map(|part| part.trim().replacen('=', ":", 1)).collect();
    Wanted::parse_all(&parts.join(",")).map_err(|problem| Error::invalid("label", problem))
}

/// The member whom an address or an id names. An id may be that of somebody who has left.
async fn member(person: &SignedIn, organization: Uuid, text: &str) -> Result<Uuid> {
    if let Ok(id) = Uuid::try_parse(text) {
        return Ok(id);
    }
    let all = match person.may(organization, Management::MemberRead) {
        Ok(grant) => members::list(&person.app, &grant).await?,
        Err(_) => {
            return Err(Error::invalid("owner", "is no id, and to find an address takes the right to see members"));
        }
    };
    let wanted = fold_email(text);
    let found = all.into_iter().find(|it| fold_email(&it.email) == wanted).map(|it| it.account_id);
    found.ok_or_else(|| Error::invalid("owner", "is neither the e-mail address of a member nor an id"))
}

/// The first moment of a day.
fn midnight(day: NaiveDate) -> Option<Time> {
    day.and_hms_opt(0, 0, 0).map(|at| Time(at.and_utc().timestamp_micros()))
}

/// The moment at which a day is over.
fn next_midnight(day: NaiveDate) -> Option<Time> {
    midnight(day.checked_add_days(Days::new(1))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<NarrowedTo> {
        NarrowedTo::read(&Pairs::parse(query.as_bytes()))
    }

    #[test]
    fn every_word_that_is_offered_is_read_as_what_it_says() {
        let all =
            [("state", STATES), ("restricted", RESTRICTED), ("ends", ENDS), ("needed", NEEDED), ("policy", POLICY)];
        for (key, words) in all {
            for (word, _) in words {
                assert!(read(&format!("{key}={word}")).is_ok(), "{key}={word}");
            }
        }
        assert_eq!(read("state=not_yet_valid").unwrap().state, Some(TokenFilter::NotYetValid));
        assert_eq!((read("ends=yes").unwrap().ends, read("ends=no").unwrap().ends), (Some(true), Some(false)));
        let with_ended = |word: &str| read(&format!("state={word}")).unwrap().with_ended();
        assert!(with_ended("kept") && with_ended("all") && !with_ended("active"));
        let no = read("restricted=no").unwrap();
        assert_eq!((no.restricted, read("restricted=yes").unwrap().restricted), (Some(false), Some(true)));
        assert_eq!(read("needed=overdue").unwrap().attestation, Some(Attestation::Overdue));
        assert!(read("").unwrap().is_empty() && read("role=&label=+").unwrap().is_empty() && !no.is_empty());
        let both = read("label=team=shop,+nightly").unwrap();
        assert_eq!(both.labels, Wanted::parse_all("team:shop,nightly").unwrap());
        assert_eq!(both.pairs().collect::<Vec<_>>(), [("label", "team=shop, nightly")]);
    }

    #[test]
    fn the_days_of_a_range_are_in_it() {
        let at = |text: &str| Time::parse(text);
        let those = read("ends_from=2027-01-01&ends_to=2027-01-31&used_from=2026-11-01&used_to=2026-11-30").unwrap();
        assert_eq!(those.ends_from, at("2027-01-01T00:00:00Z"));
        // A token of which that is the last day ends at the midnight behind it.
        assert_eq!(those.ends_before, at("2027-02-01T00:00:00.000001Z"));
        assert_eq!(those.used_since, at("2026-11-01T00:00:00Z"));
        assert_eq!(those.unused_since, at("2026-11-30T23:59:59.999999Z"));
    }

    #[test]
    fn what_is_not_understood_is_refused_by_its_name() {
        let long = format!("maker={}", "a".repeat(QUERY.size() * 4 + 1));
        for (query, field) in [
            ("role=admin", "role"),
            ("state=disbled", "state"),
            ("restricted=true", "restricted"),
            ("ends=soon", "ends"),
            ("needed=maybe", "needed"),
            ("policy=yes", "policy"),
            ("ends_from=soon", "ends_from"),
            ("ends_to=2027-02-30", "ends_to"),
            ("used_from=7d", "used_from"),
            ("used_to=2027-13-01", "used_to"),
            ("label=a+b", "label"),
            ("label=team=shop,,x", "label"),
            ("maker=a%00b", "maker"),
            (&*long, "maker"),
        ] {
            let refused = read(query).unwrap_err();
            assert_eq!(refused.faults[0].field, field, "{query}");
        }
    }

    #[test]
    fn the_text_of_a_token_is_found_in_any_field() {
        let prefixes = Prefixes::default();
        let secret = crate::console::view::samples::SECRET;
        assert_eq!(read(&format!("owner=a&maker={secret}")).unwrap().secret(&prefixes), Some("maker"));
        assert_eq!(read("owner=ada@acme.example").unwrap().secret(&prefixes), None);
    }
}
