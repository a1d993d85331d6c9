//! API tokens: the list, one token, and how one is made.

use axum::Extension;
use axum::http::{HeaderValue, StatusCode};
use chrono::NaiveDate;
use serde_json::Value;
use tokenward_core::brownout::Brownout;
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::ActorKind;
use tokenward_core::label::Labels;
use tokenward_core::life::{Attestation, AttestationRequest, DisabledBecause};
use tokenward_core::network::NotedNetwork;
use tokenward_core::permission::Management;
use tokenward_core::secret::PlainText;
use tokenward_core::time::{DAY, Micros, length_text};
use tokenward_core::token::{Revocation, RevokeReason, Token, TokenState as Core, TokenVersion};
use tokenward_core::token_policy::End;
use tokenward_core::{Code, Result, Time, Uuid};

use super::decisions;
use super::form::{LIVE, Pairs, Problems, Query};
use super::live;
use super::overview;
use super::page::{At, PageResult, page, see_other};
use super::person::SignedIn;
use super::proof;
use super::role_choices::role_choices;
use super::token_link;
use super::token_refused::{last_used, refused_view};
use super::token_typed::{About, KEEP, TokenTyped};
use super::view::{
    Begin, Choice, DecisionRow, Expiry, ExpiryPreset, Nav, OwnerFields, ReasonCount, RevocationView, Shell,
    TokenCreatedPage, TokenDetails, TokenForm, TokenNewPage, TokenPage, TokenRow, TokenShownPage, TokenState,
    TokenUsage, VersionRow,
};
use super::words::{grouped, length_words, points, role_tag, token_state};
use crate::service::tokens::{self, NewToken};
use crate::service::usage::{self, TokenUsage as TokenUse};
use crate::service::{
    App, members, policy_tokens, token_labels, token_owners, token_places, token_policy, token_refused, token_use,
};

/// The path of the list below the organization.
pub(super) const LIST: &str = "tokens";
/// Decisions on a token's page.
pub(super) const SHOWN: usize = 10;
/// The lengths of life that are offered, in days.
const PRESETS: [(i64, &str); 3] = [(30, "30 days"), (90, "90 days"), (365, "1 year")];

/// What a token is in, as pages show it.
pub(super) fn state_of(token: &Token, now: Time) -> TokenState {
    match token.state(now) {
        Core::Revoked => TokenState::Revoked,
        Core::Disabled => TokenState::Disabled,
        Core::NotYetValid => TokenState::NotYetValid,
        Core::Brownout => TokenState::Brownout,
        Core::Active | Core::Expired => token_state(token.expires_at, now),
    }
}

/// A token as lists and pages show it.
pub(super) fn row(app: &App, token: &Token, used: Option<&TokenUse>) -> TokenRow {
    let now = app.now();
    let moment = |at| super::view::Moment::new(at, now);
    let directory = app.verifier.directory();
    TokenRow {
        id: token.id.to_string(),
        name: token.name.clone(),
        description: token.description.clone(),
        hint: format!("…{}", token.last_four),
        role: role_tag(directory.organization(token.organization_id), token.role_id, &token.role_name),
        owner: token.owner_name.clone(),
        labels: token.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" "),
        owner_left: token_owners::owner_left(token, directory.organization(token.organization_id)),
        reused: token.life.reused_at.map(moment),
        attestation: match token.life.attestation() {
            Some(Attestation::Due) => Some("Still needed?"),
            Some(Attestation::Overdue) => Some("Still needed? Overdue"),
            Some(Attestation::Confirmed) | None => None,
        },
        brownout: token
            .life
            .brownout
            .filter(|it| !it.is_over(now) && token.disabled_at.is_none())
            .map(|it| moment(it.next(now).unwrap_or(it.until()))),
        creator: token.creator_name.as_ref().map(|name| actor(name, token.creator_kind)),
        created: moment(token.created_at),
        expires: token.expires_at.map(moment),
        state: state_of(token, now),
        last_used: used.and_then(|TokenUse { total, .. }| {
            last_used(total.last_used_at?, total.last_used_from.as_deref(), total.last_used_agent.as_deref(), now)
        }),
    }
}

/// Who did something, as people read it.
fn actor(name: &str, kind: Option<ActorKind>) -> String {
    if kind == Some(ActorKind::Token) { format!("{name} (token)") } else { name.to_owned() }
}

/// The secrets of a token as its page shows them.
pub(super) fn version_rows(
    token: &Token,
    versions: Vec<TokenVersion>,
    used: Option<&TokenUse>,
    now: Time,
) -> Vec<VersionRow> {
    let newest = versions.first().map(|it| it.created_at);
    let moment = |at| super::view::Moment::new(at, now);
    let row = |it: TokenVersion| {
        let used = used.and_then(|used| used.versions.get(&it.version));
        let last = used.and_then(|used| used.last_used_at);
        let (from, by) =
            (used.and_then(|it| it.last_used_from.as_deref()), used.and_then(|it| it.last_used_agent.as_deref()));
        VersionRow {
            version: it.version,
            hint: format!("…{}", it.last_four),
            newest: it.version == token.version,
            created: moment(it.created_at),
            ends: it.expires_at.map(moment),
            when_silent: it.silent_for.map(length_words),
            last_used: last.and_then(|at| last_used(at, from, by, now)),
            still_used: last.zip(newest).is_some_and(|(last, newest)| last > newest),
        }
    };
    versions.into_iter().map(row).collect()
}

/// `GET …/tokens/new`.
pub(super) async fn new(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    let (typed, problems) = token_link::filled(&person, &grant, &query).await?;
    new_page(&person, &grant, &typed, problems).await
}

async fn new_page(person: &SignedIn, grant: &Grant, typed: &Pairs, mut problems: Problems) -> PageResult {
    let form = token_form(person, grant, typed, &mut problems, None).await?;
    let shell = person.shell(Some(grant.organization()), Nav::Tokens).await?;
    let password = proof::field_if_asked(person, &mut problems).await?;
    let shown = person.app.now().0;
    let owners = new_owner_fields(person, grant, typed, &mut problems).await?;
    page(problems.status, &TokenNewPage { shell, form, owners, shown, password, error: problems.rest() })
}

/// The same of a new token, whose owner is usually its maker.
pub(super) async fn new_owner_fields(
    person: &SignedIn,
    grant: &Grant,
    typed: &Pairs,
    problems: &mut Problems,
) -> Result<OwnerFields> {
    let owner = typed.all("owner_id").next().map_or_else(|| person.user.to_string(), str::to_owned);
    let chosen = Pairs::from([("owner_id", owner), ("successor_id", typed.get("successor_id").to_owned())]);
    owner_fields(person, grant, &chosen, problems).await
}

/// The members to choose from as owner and as successor. Who has left and is chosen stays on offer, so that a form that
/// changes something else can be sent.
pub(super) async fn owner_fields(
    person: &SignedIn,
    grant: &Grant,
    typed: &Pairs,
    problems: &mut Problems,
) -> Result<OwnerFields> {
    let members = people(person, grant.organization()).await?;
    let choices = |field: &str, nobody: &str| {
        let chosen = typed.get(field);
        let choice = |(value, label): (String, String)| Choice { chosen: value == chosen, value, label };
        let mut all: Vec<Choice> =
            std::iter::once((String::new(), nobody.to_owned())).chain(members.clone()).map(choice).collect();
        if all.iter().all(|it| !it.chosen) {
            all.push(choice((chosen.to_owned(), "Somebody who has left".to_owned())));
        }
        all
    };
    Ok(OwnerFields {
        owners: choices("owner_id", "Nobody"),
        successors: choices("successor_id", "Nobody"),
        owner_error: problems.take("owner_id"),
        successor_error: problems.take("successor_id"),
    })
}

/// The members by e-mail address, as far as the person may see them: at least the person.
pub(super) async fn people(person: &SignedIn, organization: Uuid) -> Result<Vec<(String, String)>> {
    let mut all: Vec<(String, String)> = match person.may(organization, Management::MemberRead) {
        Ok(grant) => {
            let all = members::list(&person.app, &grant).await?;
            all.into_iter().map(|it| (it.account_id.to_string(), it.email)).collect()
        }
        Err(_) => vec![(person.user.to_string(), "You".to_owned())],
    };
    all.sort_unstable_by(|a, b| a.1.cmp(&b.1));
    Ok(all)
}

/// When a token ends and begins as it is, as people read it.
pub(super) struct KeptTimes {
    /// Its end.
    pub end: String,
    /// Its beginning, where it has one.
    pub begin: Option<String>,
}

impl KeptTimes {
    /// Those of this token.
    pub(super) fn of(person: &SignedIn, token: &Token) -> Self {
        Self {
            end: token.expires_at.map_or_else(|| "never".to_owned(), |at| person.moment(at).date),
            begin: token.not_before.map(|at| person.moment(at).full),
        }
    }
}

/// The fields of a token, with what was typed; `kept` is of a token that is there.
pub(super) async fn token_form(
    person: &SignedIn,
    grant: &Grant,
    typed: &Pairs,
    problems: &mut Problems,
    kept: Option<KeptTimes>,
) -> Result<TokenForm> {
    let now = person.app.now();
    let (kept, kept_begin) = kept.map_or((None, None), |kept| (Some(kept.end), kept.begin));
    let first_day = day(now).map(|day| day.to_string()).unwrap_or_default();
    let usual_begin = if kept_begin.is_some() { KEEP } else { "now" };
    let begins = Some(typed.get("begins")).filter(|chosen| !chosen.is_empty()).unwrap_or(usual_begin);
    let rules = token_policy::get(&person.app, grant).await?.policy.all;
    let fits = |life: Micros| rules.max_lifetime.is_none_or(|most| life <= most);
    let mut offered: Vec<(Micros, String)> =
        PRESETS.iter().map(|(days, label)| (days * DAY, (*label).to_owned())).filter(|(life, _)| fits(*life)).collect();
    let own = rules.offered_life();
    if offered.iter().all(|(life, _)| *life != own) {
        offered.push((own, length_words(own)));
        offered.sort_unstable();
    }
    let usual = if kept.is_some() { KEEP.to_owned() } else { length_text(own) };
    let chosen = Some(typed.get("expires").to_owned()).filter(|chosen| !chosen.is_empty()).unwrap_or(usual);
    let until = |life: Micros| super::view::Moment::new(now.plus(life), now).date;
    Ok(TokenForm {
        name: problems.field("name", typed.line("name")),
        description: problems.field("description", typed.text("description").unwrap_or_default()),
        roles: role_choices(person, grant, typed.get("role_id"), problems).await?,
        expiry: Expiry {
            chosen,
            kept,
            presets: offered
                .into_iter()
                .map(|(life, label)| ExpiryPreset { value: length_text(life), label, until: until(life) })
                .collect(),
            never: !rules.asks_for_an_end(),
            policy: rules.max_lifetime.map(|most| {
                let (life, last) = (length_words(most), super::view::Moment::new(now.plus(most), now).date);
                format!("Tokens of this organization live for {life} at most, so until {last}.")
            }),
            date: problems.field("expires_at", typed.get("expires_on")),
            first_day: first_day.clone(),
        },
        begin: Begin {
            chosen: begins.to_owned(),
            kept: kept_begin,
            date: problems.field("not_before", typed.get("begins_on")),
            first_day,
        },
        networks: problems.field("networks", typed.get("networks")),
        labels: problems.field("labels", typed.get("labels")),
        metadata: problems.field("metadata", typed.get("metadata")),
        permissions: problems.field("permissions", typed.get("permissions")),
        places: problems.field("projects", typed.get("projects")),
        rate: problems.field("rate_limit", typed.get("rate_limit")),
        quota: problems.field("quota", typed.get("quota")),
    })
}

/// The day on which a moment lies, in UTC.
fn day(at: Time) -> Option<NaiveDate> {
    chrono::DateTime::from_timestamp_micros(at.0).map(|at| at.date_naive())
}

/// The same lines again.
pub(super) fn label_lines(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("\n")
}

/// The same lines again.
pub(super) fn network_lines(networks: &[NotedNetwork]) -> String {
    networks.iter().map(NotedNetwork::to_string).collect::<Vec<_>>().join("\n")
}

/// `POST …/tokens`: makes the token, and shows its text in the answer, once.
pub(super) async fn create(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    let read = match TokenTyped::read(&person, &grant, &typed, About::New).await? {
        Ok(read) => read,
        Err(problems) => return new_page(&person, &grant, &typed, problems).await,
    };
    let new = match new_token(&typed, read) {
        Ok(new) => new,
        Err(error) => return new_page(&person, &grant, &typed, Problems::of(error)?).await,
    };
    let shell = person.shell(Some(organization), Nav::Tokens).await?;
    let created = match proof::given(&person, &typed).await {
        Ok(()) => tokens::create(&person.app, grant.clone(), new).await,
        Err(error) => Err(error),
    };
    match created {
        Ok(created) => {
            let tokens::Created { token, text, .. } = created.value;
            secret_page(&person, shell, &NewSecret { list: LIST, token: &token, text: text.as_deref() }, None)
        }
        Err(error) if error.code == Code::NameTaken => {
            let holder = match error.holder() {
                Some(holder) => Some(tokens::get(&person.app, &grant, holder).await?),
                None => None,
            };
            match holder.filter(|token| was_shown(&grant, &typed, token)) {
                Some(token) => shown_page(&person, shell, LIST, &token),
                None => new_page(&person, &grant, &typed, Problems::of(error)?).await,
            }
        }
        Err(error) => new_page(&person, &grant, &typed, Problems::of(error)?).await,
    }
}

/// The new token that a form says.
pub(super) fn new_token(typed: &Pairs, read: TokenTyped) -> Result<NewToken> {
    let mut faults = Faults::default();
    let metadata = read.metadata.and_then(|metadata| token_labels::metadata_text(&metadata, &mut faults));
    faults.finish()?;
    Ok(NewToken {
        labels: read.labels.unwrap_or_default(),
        metadata,
        name: typed.line("name"),
        description: typed.text("description"),
        role_id: Some(read.role_id),
        not_before: read.not_before.flatten(),
        end: read.expires_at.flatten().map_or(End::Never, End::At),
        networks: read.networks.unwrap_or_default(),
        owner_id: read.owner_id,
        successor_id: read.successor_id.flatten(),
        permissions: read.permissions.unwrap_or_default(),
        places: read.places.unwrap_or_default(),
        allowance: read.allowance.unwrap_or_default(),
        registration: None,
    })
}

/// What a token is bound to, and what is kept with it, as its page shows it.
pub(super) async fn details(person: &SignedIn, grant: &Grant, token: &Token) -> Result<TokenDetails> {
    Ok(TokenDetails {
        not_before: token.not_before.map(|at| person.moment(at)),
        networks: token.networks.clone(),
        labels: token.labels.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        metadata: token
            .metadata
            .as_deref()
            .and_then(|text| serde_json::from_str::<Value>(text).ok())
            .map(|it| format!("{it:#}")),
        successor: match token.successor_id {
            Some(id) => {
                let all = people(person, grant.organization()).await?;
                all.into_iter().find(|(it, _)| *it == id.to_string()).map(|it| it.1)
            }
            None => None,
        },
        permissions: token.permissions.clone(),
        places: token_places::lines(&person.app, grant, &token.places).await?,
        rate: token.allowance.rate.map(|it| it.to_string()),
        quota: token.allowance.quota.map(|it| it.to_string()),
    })
}

/// Did this person make the token that has the name already, after this form was shown? Whoever loads the page of a new token
/// again sends its form again, and is not helped by another name.
pub(super) fn was_shown(grant: &Grant, typed: &Pairs, token: &Token) -> bool {
    let own = token.creator_kind == Some(ActorKind::User) && token.creator_id == grant.by().actor.id();
    own && typed.get("shown").parse().is_ok_and(|shown| token.created_at >= Time(shown))
}

/// Says that its text was on the page already.
pub(super) fn shown_page(person: &SignedIn, shell: Shell, list: &'static str, token: &Token) -> PageResult {
    let shell = Shell { csrf: person.form_token(), ..shell };
    page(StatusCode::CONFLICT, &TokenShownPage { list, token: row(&person.app, token, None), shell })
}

/// A secret that was just made.
pub(super) struct NewSecret<'a> {
    /// The path of the token's list below the organization.
    pub list: &'static str,
    /// The token.
    pub token: &'a Token,
    /// The text. The console asks for none that somebody else made.
    pub text: Option<&'a PlainText>,
}

/// Shows the text of a new secret, once. The frame was made before the secret, so that nothing can come between.
pub(super) fn secret_page(person: &SignedIn, shell: Shell, new: &NewSecret<'_>, rotated: Option<String>) -> PageResult {
    let TokenRow { id, name, role, expires, .. } = row(&person.app, new.token, None);
    let status = if rotated.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    let shown = TokenCreatedPage {
        // A proof has given the session another text since.
        shell: Shell { csrf: person.form_token(), ..shell },
        list: new.list,
        id,
        name,
        secret: new.text.map(|text| text.expose().to_owned()).unwrap_or_default(),
        role,
        expires,
        rotated,
        public_url: person.app.public_url.clone(),
    };
    let mut response = page(status, &shown)?;
    // Not even the browser's own memory of pages may keep it.
    response.headers_mut().insert("cache-control", HeaderValue::from_static("no-store, max-age=0"));
    Ok(response)
}

/// `GET …/tokens/{id}`.
pub(super) async fn show(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::TokenRead)?;
    let token = match tokens::find(&person.app, &grant, id).await {
        // Links to tokens know no kinds.
        Err(error) if error.code == Code::NotFound => {
            let policy = person.may(organization, Management::PolicyManage).map_err(|_| error)?;
            policy_tokens::get(&person.app, &policy, id).await?;
            return see_other(&format!("/console/{organization}/policy-tokens/{id}"));
        }
        found => found?,
    };
    query.understood(&["live", "days"])?;
    let days = overview::span(&query)?;
    let shell = person.shell(Some(organization), Nav::Tokens).await?;
    let used = usage::of(&person.app, &grant, std::slice::from_ref(&token)).await?.remove(&id);
    let refused = token_refused::of(&person.app, &grant, &token, &used.clone().unwrap_or_default()).await?;
    let row = row(&person.app, &token, used.as_ref());
    let versions = tokens::versions(&person.app, &grant, std::slice::from_ref(&token)).await?.remove(&id);
    let versions = version_rows(&token, versions.unwrap_or_default(), used.as_ref(), person.app.now());
    let (meaning, points) = meaning(&person, organization, token.role_id);
    let of_token = crate::service::decisions::DecisionQuery { token: Some(id), ..Default::default() };
    let decisions = match person.may(organization, Management::TokenVerify) {
        Ok(grant) => Some(decisions::rows(&person, &grant, &of_token, SHOWN).await?),
        Err(_) => None,
    };
    let path = format!("/console/{organization}/tokens/{id}");
    let granted = match token.revocation {
        None => {
            let compared = token_use::of_token(&person.app, &grant, id, days).await?;
            Some(overview::granted(&person, organization, &compared, (days, &path), Some(token.role_id)))
        }
        Some(_) => None,
    };
    let shown = TokenPage {
        token: row,
        revocation: token.revocation.as_ref().map(|it| revocation(&person, &token, it)),
        refused: refused.all.map(|it| refused_view(&person, it)),
        refused_earlier: refused.earlier.map(|it| refused_view(&person, it)),
        brownout: brownout_told(&person, &token),
        disabled_because: token.life.disabled_because.map(off_because),
        meaning,
        points,
        versions,
        details: details(&person, &grant, &token).await?,
        usage: Some(TokenUsage {
            picture: overview::pictures(&person, &grant, &[id], 60).await?.remove(&id),
            granted,
            ..counts(&used.map(|it| it.total).unwrap_or_default(), decisions)
        }),
        live: live::refresh_value(&query, person.app.now()).map(|begun| live_address(&path, query.get("days"), &begun)),
        attest: attest_asked(&person, &token),
        may_attest: token.owner_id == Some(person.user) || person.can(organization, Management::TokenManage),
        may_manage: person.can(organization, Management::TokenManage),
        may_read_events: person.can(organization, Management::EventRead),
        public_url: person.app.public_url.clone(),
        shell,
    };
    page(StatusCode::OK, &shown)
}

/// Under which address the page of a token asks for itself again.
fn live_address(path: &str, days: &str, begun: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if !days.is_empty() {
        query.append_pair("days", days);
    }
    format!("{path}?{}", query.append_pair(LIVE, begun).finish())
}

/// How often a token was used.
pub(super) fn counts(used: &usage::Usage, decisions: Option<Vec<DecisionRow>>) -> TokenUsage {
    let reasons = used.denied.iter().filter(|(_, count)| *count > 0);
    TokenUsage {
        allowed: grouped(used.allowed),
        denied: grouped(used.denied_count()),
        reasons: reasons
            .map(|(reason, count)| ReasonCount { reason: reason.replace('_', " "), count: grouped(*count) })
            .collect(),
        picture: None,
        granted: None,
        decisions,
    }
}

/// What a role of the organization can do: in a sentence, and in detail.
pub(super) fn meaning(person: &SignedIn, organization: Uuid, role: Uuid) -> (String, Vec<String>) {
    let directory = person.app.verifier.directory();
    let found = directory.organization(organization).and_then(|o| Some((o, o.role(role)?)));
    found.map(|(organization, role)| (role.meaning(), points(organization, role))).unwrap_or_default()
}

/// That it is asked whether a token is still needed, as people read it.
pub(super) fn attest_asked(person: &SignedIn, token: &Token) -> Option<String> {
    token.life.asked.filter(|_| token.disabled_at.is_none()).map(|asked| attest_words(person, asked))
}

/// What follows where nobody says that a token is still needed.
fn attest_words(person: &SignedIn, asked: AttestationRequest) -> String {
    let term = person.app.limits.micros(&crate::limits::TOKEN_ATTEST);
    let until = person.moment(asked.since.plus(term)).date;
    if asked.overdue {
        format!("Nobody has said so in time. Without a word it is switched off on {until}, or soon after.")
    } else {
        format!("Its owner is asked to say so by {until}.")
    }
}

/// The brownout of a token that has one, as people read it.
pub(super) fn brownout_told(person: &SignedIn, token: &Token) -> Option<String> {
    token.life.brownout.filter(|it| !it.is_over(person.app.now())).map(|it| brownout_words(person, it))
}

/// A brownout as people read it.
fn brownout_words(person: &SignedIn, it: Brownout) -> String {
    let minutes = if it.minutes() == 1 { "a minute".to_owned() } else { format!("{} minutes", it.minutes()) };
    let (until, every) = (person.moment(it.until()).full, length_words(it.every()));
    let every = every.strip_prefix("1 ").unwrap_or(&every);
    match it.next(person.app.now()) {
        Some(next) => {
            format!("It is refused for {minutes} every {every}, next {}, until {until}.", person.moment(next).full)
        }
        None => format!("It was refused for {minutes} every {every}; the last time is over, or nearly so."),
    }
}

/// Why a token is switched off, where nobody did it by hand.
pub(super) fn off_because(because: DisabledBecause) -> &'static str {
    match because {
        DisabledBecause::NotAttested => "Nobody has said in time that it is still needed.",
        DisabledBecause::SecretReused => {
            "A replaced secret of it came back, and the token policy asks to switch it off then."
        }
    }
}

/// The reasons for which a token is deleted, as people read them.
pub(super) const REASONS: [(RevokeReason, &str); 5] = [
    (RevokeReason::Unspecified, "No reason in particular"),
    (RevokeReason::Cessation, "What used it is no more"),
    (RevokeReason::Superseded, "Another token has taken its place"),
    (RevokeReason::PrivilegeWithdrawn, "Whoever used it may not any more"),
    (RevokeReason::KeyCompromise, "It has leaked, or may have"),
];

pub(super) fn revocation(person: &SignedIn, token: &Token, it: &Revocation) -> RevocationView {
    let reason = REASONS.into_iter().find(|(reason, _)| *reason == it.reason && it.reason != RevokeReason::Unspecified);
    RevocationView {
        at: person.moment(it.at),
        by: it.by_name.as_ref().map(|name| actor(name, it.by_kind)),
        reason: reason.map(|(_, text)| format!("{text}.")).unwrap_or_default(),
        note: it.note.clone(),
        undo_until: tokens::undo_until(&person.app, token, it).map(|until| person.moment(until)),
    }
}
