//! What was decided of late, why the answer was no, and what would mend it.

use std::collections::HashMap;
use std::net::IpAddr;

use axum::Extension;
use axum::http::StatusCode;
use tokenward_core::caller::Grant;
use tokenward_core::name::check_name;
use tokenward_core::permission::Management;
use tokenward_core::reason::Reason;
use tokenward_core::time::{DAY, HOUR, Micros};
use tokenward_core::{Error, Result, Uuid};

use super::form::{LIVE, Query};
use super::live;
use super::page::{At, PageResult, page};
use super::person::SignedIn;
use super::view::{
    AskedFor, Chip, Choice, DecisionFilter, DecisionOutcome, DecisionRow, DecisionsPage, MendRow, Nav, Pager,
};
use super::way_back::DECISION_KEYS;
use super::words::{bounded, count, grouped, role_name};
use crate::limits::{DENIAL_DAYS, DENIALS, QUERY, ROUTE_PATH_BYTES};
use crate::service::decisions::{self, DecisionQuery, Explained};
use crate::service::mends::{self, Folded, Mend};
use crate::service::{members, tokens};

/// Kinds of decisions on a page.
const PAGE: usize = 200;
/// So many decisions are counted.
const COUNTED: usize = 1_000;
/// How far back the page can look.
const SPANS: [(&str, &str, Micros); 4] = [
    ("", "Any time", 0),
    ("1h", "The last hour", HOUR),
    ("24h", "The last 24 hours", DAY),
    ("7d", "The last 7 days", 7 * DAY),
];

/// `GET …/decisions`.
pub(super) async fn list(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::TokenVerify)?;
    query.understood(&[&DECISION_KEYS[..], &[LIVE]].concat())?;
    let only = query.one_of("only", ["denied", "allowed"].into_iter())?;
    let reason = query.one_of("reason", Reason::ALL.iter().map(|it| it.as_str()))?;
    let since = query.one_of("since", SPANS.iter().map(|(word, ..)| *word))?;
    let address = query.read("address", "an address, such as 203.0.113.7", |text| text.parse::<IpAddr>().ok())?;
    ROUTE_PATH_BYTES.check_text(query.get("route")).map_err(|problem| Error::invalid("route", problem))?;
    QUERY.check_text(query.get("id")).map_err(|problem| Error::invalid("id", problem))?;
    let again = live::refresh_value(&query, person.app.now());
    let valid = match only {
        "denied" => Some(false),
        "allowed" => Some(true),
        _ => None,
    };
    let token = query.line("token");
    let wanted = DecisionQuery {
        token: named_token(&person, &grant, &token).await?,
        valid,
        reason: Reason::ALL.into_iter().find(|it| it.as_str() == reason),
        route: Some(query.line("route")).filter(|it| !it.is_empty()),
        address,
        from: SPANS.iter().find(|(word, _, span)| *word == since && *span > 0).map(|it| person.app.now().plus(-it.2)),
        to: None,
    };
    let searched = query.get("id").trim();
    // One more says that there are more.
    let most = COUNTED + 1;
    let (rows, (denied, allowed)) = match searched {
        "" => mends::folded(&person.app, &grant, &wanted, PAGE, most).await?,
        id => {
            let found = mends::find(&person.app, &grant, id).await?.into_iter().collect();
            (found, decisions::counts(&person.app, &grant, &wanted, most).await?)
        }
    };
    let rows = mended(&person, organization, rows).await?;
    let shell = person.shell(Some(organization), Nav::Decisions).await?;
    let base = format!("{}/decisions", shell.base());
    let filters = ["token", "reason", "route", "address", "since"];
    let address = |only: &str, live: Option<&str>| {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        if !only.is_empty() {
            pairs.append_pair("only", only);
        }
        for key in filters.iter().filter(|key| !query.get(key).is_empty()) {
            pairs.append_pair(key, query.get(key));
        }
        if let Some(live) = live {
            pairs.append_pair(LIVE, live);
        }
        format!("{base}?{}", pairs.finish())
    };
    let chip = |word: &str, label: &str, count: usize| Chip {
        label: label.into(),
        href: address(word, again.as_ref().map(|_| "1")),
        count: Some(bounded(count, COUNTED)),
        current: word == only,
    };
    let choice =
        |value: &str, label: String, chosen: &str| Choice { value: value.into(), label, chosen: value == chosen };
    let mut reasons = vec![choice("", "Any reason".into(), reason)];
    reasons.extend(Reason::ALL.into_iter().map(|it| choice(it.as_str(), reason_words(it.as_str()), reason)));
    let shown = DecisionsPage {
        decisions: rows,
        chips: vec![
            chip("", "All", denied + allowed),
            chip("denied", "Denied", denied),
            chip("allowed", "Allowed", allowed),
        ],
        filter: DecisionFilter {
            only: only.to_owned(),
            token,
            reasons,
            route: query.get("route").to_owned(),
            address: query.get("address").to_owned(),
            spans: SPANS.iter().map(|(word, label, _)| choice(word, (*label).into(), since)).collect(),
            active: filters.iter().any(|key| !query.get(key).is_empty()),
        },
        live_href: address(only, again.is_none().then_some("1")),
        live: again.as_ref().map(|begun| address(only, Some(begun.as_str()))),
        searched: searched.to_owned(),
        since: person.moment(person.app.verifier.remembers_since()),
        kept: format!(
            "the last {} of them, for {} days",
            grouped(i64::try_from(person.app.limits.get(&DENIALS)).unwrap_or(i64::MAX)),
            person.app.limits.get(&DENIAL_DAYS)
        ),
        pager: Pager::default(),
        shell,
    };
    page(StatusCode::OK, &shown)
}

/// The token that is meant, by its id or its name. One that is not there is asked about nothing.
async fn named_token(person: &SignedIn, grant: &Grant, wanted: &str) -> Result<Option<Uuid>> {
    if wanted.is_empty() {
        return Ok(None);
    }
    if let Ok(id) = Uuid::try_parse(wanted) {
        return Ok(Some(id));
    }
    // What can be no name is sought nowhere: it is said, where a list of nothing would look like an answer.
    check_name(wanted).map_err(|problem| Error::invalid("token", format!("is no name of a token: it {problem}")))?;
    Ok(Some(tokens::named(&person.app, grant, wanted).await?.unwrap_or_default()))
}

/// Equal decisions together, with what would mend them.
async fn mended(person: &SignedIn, organization: Uuid, all: Vec<Folded>) -> Result<Vec<DecisionRow>> {
    let holders = Holders::of(person, organization).await?;
    let each = all.into_iter().map(|it| {
        let Folded { newest, wanted, count, first, mend } = it;
        let token = newest.decision.token;
        let mut shown = row(person, organization, newest);
        if count > 1 {
            shown.times = Some((grouped(i64::try_from(count).unwrap_or(i64::MAX)), person.moment(first)));
            if let AskedFor::Request(_, path) = &mut shown.wanted {
                *path = wanted.split_once(' ').map_or_else(|| wanted.clone(), |(_, path)| path.to_owned());
            }
        }
        if let Some((mend, token)) = mend.zip(token) {
            shown.mends = mend_rows(person, organization, &holders, &mend, token);
        }
        shown
    });
    Ok(each.collect())
}

/// How many tokens and members have each role, of those that the person sees.
struct Holders {
    members: HashMap<Uuid, usize>,
    tokens: HashMap<Uuid, usize>,
}

impl Holders {
    async fn of(person: &SignedIn, organization: Uuid) -> Result<Self> {
        let mut holders = Self { members: HashMap::new(), tokens: HashMap::new() };
        if let Ok(grant) = person.may(organization, Management::MemberRead) {
            holders.members = members::count_by_role(&person.app, &grant).await?;
        }
        if let Ok(grant) = person.may(organization, Management::TokenRead) {
            holders.tokens = tokens::count_by_role(&person.app, &grant).await?;
        }
        Ok(holders)
    }

    /// `2 tokens and 1 member gain it`.
    fn gain(&self, role: Uuid) -> String {
        let of = |all: &HashMap<Uuid, usize>| all.get(&role).copied().unwrap_or_default();
        match (of(&self.tokens), of(&self.members)) {
            (1, 0) => "1 token gains it".to_owned(),
            (tokens, 0) => format!("{} gain it", count(tokens, "token")),
            (tokens, members) => format!("{} and {} gain it", count(tokens, "token"), count(members, "member")),
        }
    }
}

/// What would mend a denial, as links to where it is done: nothing is changed without another look.
fn mend_rows(person: &SignedIn, organization: Uuid, holders: &Holders, mend: &Mend, token: Uuid) -> Vec<MendRow> {
    let directory = person.app.verifier.directory();
    let Some(found) = directory.organization(organization) else { return Vec::new() };
    let name = |id: Uuid| found.role(id).map(|role| role_name(role)).unwrap_or_default();
    let base = format!("/console/{organization}");
    let (may_edit, may_manage) =
        (person.can(organization, Management::RoleManage), person.can(organization, Management::TokenManage));
    let query = |pairs: &[(&str, &str)]| form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let missing = mend.missing.join(" ");
    let listed = mend.missing.join(", ");
    let mut rows = Vec::new();
    if !mend.missing.is_empty() {
        if mend.custom {
            rows.push(MendRow {
                text: format!("Add {listed} to its role “{}”", name(mend.role)),
                effect: holders.gain(mend.role),
                href: may_edit.then(|| format!("{base}/roles/{}/edit?{}", mend.role, query(&[("add", &missing)]))),
            });
        }
        let like = mend.role.to_string();
        rows.push(MendRow {
            text: format!("Make a role with exactly what “{}” has, and {listed}", name(mend.role)),
            effect: "then give it to this token; nobody else gains anything".into(),
            href: may_edit.then(|| format!("{base}/roles/new?{}", query(&[("like", &like), ("add", &missing)]))),
        });
    }
    if let Some((other, besides)) = &mend.other {
        let effect = match besides.as_slice() {
            [] => "it may do nothing else that the role of the token may not".to_owned(),
            few if few.len() <= 3 => format!("but it may also {}", few.join(", ")),
            [first, second, third, rest @ ..] => {
                format!("but it may also {first}, {second}, {third} and {} more", rest.len())
            }
            _ => String::new(),
        };
        rows.push(MendRow {
            text: format!("The role “{}” would do", name(*other)),
            effect,
            href: may_manage.then(|| format!("{base}/tokens/{token}/edit")),
        });
        let role = other.to_string();
        rows.push(MendRow {
            text: format!("Make another token for this, with the role “{}”", name(*other)),
            effect: "this one stays as it is".to_owned(),
            href: may_manage.then(|| format!("{base}/tokens/new?{}", query(&[("role", &role)]))),
        });
    }
    rows
}

/// The last decisions of the organization, or of one token, for somebody who may verify tokens.
pub(super) async fn rows(
    person: &SignedIn,
    grant: &Grant,
    filter: &DecisionQuery,
    limit: usize,
) -> Result<Vec<DecisionRow>> {
    let all = decisions::list(&person.app, grant, filter, limit).await?;
    Ok(all.into_iter().map(|explained| row(person, grant.organization(), explained)).collect())
}

fn row(person: &SignedIn, organization: Uuid, explained: Explained) -> DecisionRow {
    let sentence = explained.sentence().map(str::to_owned);
    let Explained { decision, token_name, smallest_role, .. } = explained;
    let directory = person.app.verifier.directory();
    let smallest = smallest_role.map(|(id, name)| {
        let role = directory.organization(organization).and_then(|organization| organization.role(id));
        role.map_or(name, |role| role_name(role))
    });
    DecisionRow {
        id: decision.id,
        at: person.moment(decision.at),
        outcome: decision
            .denied
            .map_or(DecisionOutcome::Allowed, |denied| DecisionOutcome::Denied(reason_words(denied.as_str()))),
        // A token that ended long ago has no name any more, and no page.
        removed: decision.token.filter(|_| token_name.is_none()).map(|id| id.to_string()),
        token: decision.token.and_then(|id| Some((id.to_string(), token_name?))),
        wanted: match (decision.method, decision.path, decision.permission) {
            (Some(method), Some(path), _) => AskedFor::Request(method, path),
            (_, _, Some(permission)) => AskedFor::Permission(permission),
            _ => AskedFor::Identity,
        },
        address: decision.address.map(|address| address.to_string()),
        missing: decision.missing,
        smallest_role: smallest,
        sentence,
        times: None,
        mends: Vec::new(),
    }
}

/// A reason as people read it: `Permission denied`.
pub(super) fn reason_words(word: &str) -> String {
    let mut words = word.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}
