//! What is done to a token after it was made: edited, rotated, switched off and on, deleted, brought back.

use axum::Extension;
use serde_json::{Map, Value};
use tokenward_core::caller::Grant;
use tokenward_core::label::Labels;
use tokenward_core::permission::Management;
use tokenward_core::role::{BuiltIn, RoleKind};
use tokenward_core::secret::Kind;
use tokenward_core::time::{HOUR, Micros, length, length_text};
use tokenward_core::token::{RevokeReason, Token};
use tokenward_core::{Error, Result, Time, Uuid};

use super::confirm::Confirmation;
use super::flash::Flashed;
use super::form::{Pairs, Problems};
use super::page::{At, PageError, PageResult, page};
use super::person::SignedIn;
use super::proof;
use super::token_effect::effect_of;
use super::token_typed::{About, TokenTyped};
use super::tokens::{
    KeptTimes, LIST, NewSecret, REASONS, label_lines, network_lines, owner_fields, row, secret_page, token_form,
    version_rows,
};
use super::view::{Choice, LastUsed, Nav, TokenDeletePage, TokenEditPage, TokenEffect, TokenRotatePage};
use super::words::grouped;
use crate::service::token_labels::{LabelsChange, MetadataChange};
use crate::service::token_places::{self, PlacesChange};
use crate::service::tokens::{self, Overlap, TokenChange};
use crate::service::{App, IfMatch, Written, policy_tokens, usage};

/// The list that a token is in.
#[derive(Clone, Copy)]
pub(super) struct TokenListKind {
    /// Its path below the organization.
    pub path: &'static str,
    /// Its tokens.
    pub kind: Kind,
    /// What it takes to see them.
    pub read: Management,
    /// What it takes to change them.
    pub right: Management,
}

/// API tokens.
pub(super) const TOKENS: TokenListKind =
    TokenListKind { path: LIST, kind: Kind::Token, read: Management::TokenRead, right: Management::TokenManage };

impl TokenListKind {
    /// One of them: a living one, or one of which it is still told that it has ended.
    pub(super) async fn find(self, person: &SignedIn, grant: &Grant, id: Uuid) -> Result<Token> {
        match self.kind {
            Kind::PolicyToken => Ok(policy_tokens::get(&person.app, grant, id).await?.token),
            Kind::Token | Kind::Session => tokens::find(&person.app, grant, id).await,
        }
    }
}

/// `GET …/tokens/{id}/edit`.
pub(super) async fn edit(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    let token = tokens::get(&person.app, &grant, id).await?;
    let saved = Pairs::from_iter(saved(&person, &grant, &token).await?);
    edit_page(&person, &grant, &token, &saved, None, Problems::default()).await
}

/// What the form of a token has as it is.
pub(super) async fn saved(person: &SignedIn, grant: &Grant, token: &Token) -> Result<Vec<(&'static str, String)>> {
    let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    Ok(vec![
        ("name", token.name.clone()),
        ("description", token.description.clone().unwrap_or_default()),
        ("role_id", token.role_id.to_string()),
        ("networks", network_lines(&token.networks)),
        ("labels", label_lines(&token.labels)),
        ("metadata", token.metadata.clone().unwrap_or_default()),
        ("owner_id", id(token.owner_id)),
        ("successor_id", id(token.successor_id)),
        ("permissions", token.permissions.join("\n")),
        ("projects", token_places::lines(&person.app, grant, &token.places).await?.join("\n")),
        ("rate_limit", token.allowance.rate.map(|it| it.to_string()).unwrap_or_default()),
        ("quota", token.allowance.quota.map(|it| it.to_string()).unwrap_or_default()),
        ("version", token.updated_at.0.to_string()),
    ])
}

/// What a form changes about a token.
pub(super) fn typed_change(token: &Token, typed: &Pairs, read: TokenTyped) -> TokenChange {
    TokenChange {
        name: Some(typed.line("name")),
        description: Some(typed.text("description")),
        role_id: Some(read.role_id),
        not_before: read.not_before,
        expires_at: read.expires_at,
        networks: read.networks,
        labels: read.labels.map(|labels| replaced_labels(&token.labels, labels)),
        metadata: read.metadata.map(|metadata| replaced_metadata(token.metadata.as_deref(), metadata)),
        owner_id: read.owner_id,
        successor_id: read.successor_id,
        permissions: read.permissions,
        places: read.places.map_or_else(PlacesChange::default, |it| PlacesChange {
            projects: Some(it.projects),
            environments: Some(it.environments),
        }),
        rate: read.allowance.map(|it| it.rate),
        quota: read.allowance.map(|it| it.quota),
    }
}

async fn edit_page(
    person: &SignedIn,
    grant: &Grant,
    token: &Token,
    typed: &Pairs,
    effect: Option<TokenEffect>,
    mut problems: Problems,
) -> PageResult {
    let used = usage::of(&person.app, grant, std::slice::from_ref(token)).await?.remove(&token.id);
    let row = row(&person.app, token, used.as_ref());
    let use_so_far = match (&row.last_used, &used) {
        (Some(last), Some(used)) => {
            format!("It was allowed {} times, and last used {}.", grouped(used.total.allowed), last.at.both())
        }
        _ => "It was never used.".to_owned(),
    };
    let shown = TokenEditPage {
        form: token_form(person, grant, typed, &mut problems, Some(KeptTimes::of(person, token))).await?,
        owners: owner_fields(person, grant, typed, &mut problems).await?,
        shell: person.shell(Some(grant.organization()), Nav::Tokens).await?,
        token: row,
        version: typed.get("version").to_owned(),
        use_so_far,
        effect,
        password: proof::field_if_asked(person, &mut problems).await?,
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

/// `POST …/tokens/{id}/edit`: saves. What would be refused from then on is shown first.
pub(super) async fn save(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    let token = tokens::get(&person.app, &grant, id).await?;
    let again = |problems| edit_page(&person, &grant, &token, &typed, None, problems);
    let read = match TokenTyped::read(&person, &grant, &typed, About::Kept).await? {
        Ok(read) => read,
        Err(problems) => return again(problems).await,
    };
    let change = typed_change(&token, &typed, read);
    if let Some(effect) = effect_of(&person, &grant, &token, &typed, &change).await? {
        return edit_page(&person, &grant, &token, &typed, Some(effect), Problems::default()).await;
    }
    // A form without its version could overwrite what somebody else saved: it fits none.
    let version = IfMatch(Some(Time(typed.get("version").parse().unwrap_or_default())));
    let saved = match proof::given(&person, &typed).await {
        Ok(()) => tokens::update(&person.app, grant.clone(), id, change, version).await,
        Err(error) => Err(error),
    };
    match saved {
        Ok(saved) => {
            person.done_at(&format!("/console/{organization}/tokens/{id}"), Flashed::TokenSaved, saved.position)
        }
        Err(error) => again(Problems::of(error)?).await,
    }
}

/// The change that leaves these labels alone: a form has all of them.
fn replaced_labels(old: &Labels, new: Labels) -> LabelsChange {
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), None));
    let gone: Vec<_> = gone.collect();
    Some(gone.into_iter().chain(new.into_iter().map(|(key, value)| (key, Some(value)))).collect())
}

/// The change that leaves this metadata alone.
fn replaced_metadata(old: Option<&str>, new: Map<String, Value>) -> MetadataChange {
    let old: Map<String, Value> = old.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    // Said of the first level alone: an object would be merged into the one before.
    if new.is_empty() || old.is_empty() {
        return Some(new).filter(|new| !new.is_empty());
    }
    Some(difference(&old, new))
}

/// The merge patch that makes `new` of `old`.
fn difference(old: &Map<String, Value>, new: Map<String, Value>) -> Map<String, Value> {
    let mut patch: Map<String, Value> = Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in new {
        match (old.get(&key), value) {
            (Some(Value::Object(before)), Value::Object(after)) => {
                patch.insert(key, Value::Object(difference(before, after)));
            }
            (_, value) => drop(patch.insert(key, value)),
        }
    }
    patch
}

/// How long the secret before is kept after a rotation: what the form sends, what people read, and what it is for.
const OVERLAPS: [(&str, &str, &str); 4] = [
    ("0", "Not at all", "It has leaked: refuse it from this moment on. Whatever uses it stops working."),
    ("1h", "For an hour", "Whatever uses it gets the new one now, by hand or by a pipeline."),
    ("24h", "For a day", "Time to hand on the new one. The token's page says whether the old one is still used."),
    ("7d", "For a week", "Several people or places must be told."),
];

/// `GET …/tokens/{id}/rotate`.
pub(super) async fn ask_rotate(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    let token = tokens::get(&person.app, &grant, id).await?;
    rotate_page(&person, &grant, (LIST, &token), USUAL, Problems::default()).await
}

/// What is chosen where nobody has chosen yet: how long the secret before is kept, and whether a silence ends it.
pub(super) const USUAL: (&str, bool) = ("24h", false);

/// The silence after which the console lets a replaced secret end, where that is chosen.
const SILENCE: Micros = HOUR;

/// The form for a token of one of the lists.
pub(super) async fn rotate_page(
    person: &SignedIn,
    grant: &Grant,
    (list, token): (&'static str, &Token),
    (chosen, when_silent): (&str, bool),
    mut problems: Problems,
) -> PageResult {
    let used = usage::of(&person.app, grant, std::slice::from_ref(token)).await?;
    let shown = TokenRotatePage {
        shell: person.shell(Some(grant.organization()), Nav::Tokens).await?,
        list,
        token: row(&person.app, token, used.get(&token.id)),
        version: token.version,
        choices: OVERLAPS.into_iter().filter(|(keep, ..)| overlap(&person.app, keep, false).is_ok()).collect(),
        chosen: chosen.to_owned(),
        when_silent,
        password: proof::field_if_asked(person, &mut problems).await?,
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

/// One of the choices.
fn overlap(app: &App, keep: &str, when_silent: bool) -> Result<Overlap> {
    let offered = OVERLAPS.into_iter().any(|(it, ..)| it == keep);
    let keep = length(keep).filter(|_| offered);
    let keep = keep.ok_or_else(|| Error::invalid("keep", "is none of the choices"))?;
    // A short overlap is over before a silence could be.
    let overlap = Overlap { keep, silent: (when_silent && keep > SILENCE).then_some(SILENCE) };
    tokens::check_overlap(app, overlap)?;
    Ok(overlap)
}

/// `POST …/tokens/{id}/rotate`: makes the new secret, and shows it in the answer, once.
pub(super) async fn rotate(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    let token = tokens::find(&person.app, &grant, id).await?;
    rotated(&person, &grant, (LIST, token), &typed).await
}

/// Makes the new secret of a token of one of the lists.
pub(super) async fn rotated(
    person: &SignedIn,
    grant: &Grant,
    (list, token): (&'static str, Token),
    typed: &Pairs,
) -> PageResult {
    let (chosen, when_silent) = (typed.get("keep"), typed.on("when_silent"));
    let rotated = async {
        let overlap = overlap(&person.app, chosen, when_silent)?;
        // Whoever loads the answer again sends the form again, and must not end the secret that was just shown.
        let before = Token { version: typed.get("version").parse().unwrap_or_default(), ..token.clone() };
        let shell = person.shell(Some(grant.organization()), Nav::Tokens).await?;
        proof::given(person, typed).await?;
        let created = tokens::rotate(&person.app, grant.clone(), &before, overlap, None, IfMatch(None)).await?.value;
        Ok((created, before, shell))
    };
    match rotated.await {
        Ok((created, before, shell)) => {
            let kept = created.versions.iter().find(|it| it.version == before.version).and_then(|it| it.expires_at);
            let fate = match kept {
                None => "refused from now on".to_owned(),
                Some(until) => format!("accepted until {}", person.moment(until).full),
            };
            let told = format!("The secret before (…{}) is {fate}.", before.last_four);
            let new = NewSecret { list, token: &created.token, text: created.text.as_deref() };
            secret_page(person, shell, &new, Some(told))
        }
        Err(error) => rotate_page(person, grant, (list, &token), (chosen, when_silent), Problems::of(error)?).await,
    }
}

/// `GET …/tokens/{id}/secrets/{version}/end`.
pub(super) async fn ask_end_version(
    Extension(person): Extension<SignedIn>,
    At((organization, id, version)): At<(Uuid, Uuid, u16)>,
) -> PageResult {
    end_page(&person, TOKENS, (organization, id), version).await
}

/// Asks before an earlier secret of a token of one of the lists ends.
pub(super) async fn end_page(
    person: &SignedIn,
    list: TokenListKind,
    (organization, id): (Uuid, Uuid),
    version: u16,
) -> PageResult {
    let grant = person.may(organization, list.right)?;
    let question = end_question(person, &grant, list, id, version).await?;
    question.ask(person, organization, &Pairs::default(), Problems::default()).await
}

async fn end_question(
    person: &SignedIn,
    grant: &Grant,
    list: TokenListKind,
    id: Uuid,
    version: u16,
) -> Result<Confirmation> {
    let token = list.find(person, grant, id).await?;
    let of = std::slice::from_ref(&token);
    let versions = tokens::versions(&person.app, grant, of).await?.remove(&id).unwrap_or_default();
    let used = usage::of(&person.app, grant, of).await?.remove(&id);
    let rows = version_rows(&token, versions, used.as_ref(), person.app.now());
    let found = rows.into_iter().find(|it| it.version == version && !it.newest);
    let secret = found.ok_or_else(|| Error::not_found("earlier secret of this token"))?;
    let last = match secret.last_used {
        Some(LastUsed { at, from, .. }) => {
            let from = from.map(|from| format!(" from {from}")).unwrap_or_default();
            format!("It was last used {}{from}. Whatever that is stops working.", at.both())
        }
        None => "It was never used.".to_owned(),
    };
    Ok(Confirmation {
        nav: Nav::Tokens,
        from: (token.name.clone(), format!("{}/{id}", list.path)),
        question: format!("End the secret {} of “{}” now?", secret.hint, token.name),
        consequences: vec![last, "The newest secret stays as it is.".to_owned()],
        facts: vec![
            ("Made", secret.created.full),
            ("Ends otherwise", secret.ends.map(|at| at.full).unwrap_or_default()),
        ],
        action: format!("{}/{id}/secrets/{version}/end", list.path),
        button: "End it now",
        name: None,
        needs_proof: false,
        roles: None,
    })
}

/// `POST …/tokens/{id}/secrets/{version}/end`.
pub(super) async fn end_version(
    Extension(person): Extension<SignedIn>,
    At((organization, id, version)): At<(Uuid, Uuid, u16)>,
) -> PageResult {
    ended(&person, TOKENS, (organization, id), version).await
}

/// Ends an earlier secret of a token of one of the lists.
pub(super) async fn ended(
    person: &SignedIn,
    list: TokenListKind,
    (organization, id): (Uuid, Uuid),
    version: u16,
) -> PageResult {
    let grant = person.may(organization, list.right)?;
    let ended = tokens::end_version(&person.app, grant, (list.kind, id), version).await?;
    person.done_at(&format!("/console/{organization}/{}/{id}", list.path), Flashed::SecretEnded, ended.position)
}

/// `GET …/tokens/{id}/delete`: asks once more.
pub(super) async fn ask_delete(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    delete_page(&person, &grant, TOKENS, id, &Pairs::default(), Problems::default()).await
}

/// The question about a token of one of the lists.
pub(super) async fn delete_page(
    person: &SignedIn,
    grant: &Grant,
    list: TokenListKind,
    id: Uuid,
    typed: &Pairs,
    mut problems: Problems,
) -> PageResult {
    let token = list.find(person, grant, id).await?;
    if token.revocation.is_some() {
        return Err(Error::not_found("token").into());
    }
    let used = usage::of(&person.app, grant, std::slice::from_ref(&token)).await?;
    let shell = person.shell(Some(grant.organization()), Nav::Tokens).await?;
    let chosen = typed.get("reason");
    let reasons = REASONS.into_iter().map(|(reason, label)| Choice {
        value: reason.to_string(),
        label: label.into(),
        chosen: reason.as_str() == chosen,
    });
    let within = length_text(person.app.limits.micros(&crate::limits::TOKEN_UNDO));
    let asked = TokenDeletePage {
        list: list.path,
        shell,
        token: row(&person.app, &token, used.get(&id)),
        reasons: reasons.collect(),
        note: problems.field("note", typed.text("note").unwrap_or_default()),
        undo: format!("Within {within} that can be undone, unless it has leaked."),
        error: problems.rest(),
    };
    page(problems.status, &asked)
}

/// `POST …/tokens/{id}/delete`.
pub(super) async fn delete(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    deleted(&person, TOKENS, (organization, id), &typed).await
}

/// Deletes a token of one of the lists, for the reason that was chosen.
pub(super) async fn deleted(
    person: &SignedIn,
    list: TokenListKind,
    (organization, id): (Uuid, Uuid),
    typed: &Pairs,
) -> PageResult {
    let grant = person.may(organization, list.right)?;
    let reason = match typed.get("reason") {
        "" => Ok(RevokeReason::Unspecified),
        word => RevokeReason::parse(word).map_err(|problem| Error::invalid("reason", problem.to_string())),
    };
    let deleted = match reason {
        Ok(reason) => {
            let why = tokens::Why { reason, note: typed.text("note") };
            match list.kind {
                Kind::PolicyToken => {
                    policy_tokens::delete(&person.app, grant.clone(), id, why).await.map(|gone| gone.position)
                }
                Kind::Token | Kind::Session => {
                    tokens::delete(&person.app, grant.clone(), id, why).await.map(|gone| gone.position)
                }
            }
        }
        Err(error) => Err(error),
    };
    match deleted {
        Ok(position) => {
            // The list of policy tokens has the living ones alone, and a deletion can be undone.
            let page = match list.kind {
                Kind::PolicyToken => format!("/console/{organization}/{}/{id}", list.path),
                Kind::Token | Kind::Session => format!("/console/{organization}/{}", list.path),
            };
            person.done_at(&page, Flashed::TokenDeleted, position)
        }
        Err(error) => match Problems::of(error) {
            Ok(problems) => delete_page(person, &grant, list, id, typed, problems).await,
            Err(PageError(error)) => Err(error.into()),
        },
    }
}

/// What is asked before a token is switched off or on, or a deletion is undone.
#[derive(Clone, Copy)]
pub(super) enum Switch {
    Off,
    On,
    Undo,
}

impl Switch {
    async fn question(self, person: &SignedIn, grant: &Grant, list: TokenListKind, id: Uuid) -> Result<Confirmation> {
        let token = list.find(person, grant, id).await?;
        let name = &token.name;
        let (action, question, consequence, button) = match self {
            Self::Off => (
                "disable",
                format!("Switch off “{name}”?"),
                "It is refused until somebody switches it on again. Nothing of it is lost.",
                "Disable",
            ),
            Self::On => {
                ("enable", format!("Switch on “{name}” again?"), "It is accepted from the next request on.", "Enable")
            }
            Self::Undo => (
                "undo",
                format!("Take back the deletion of “{name}”?"),
                "The same secrets are accepted again, with the same role.",
                "Undo the deletion",
            ),
        };
        let admin = {
            let directory = person.app.verifier.directory();
            let role = directory.organization(grant.organization()).and_then(|it| it.role(token.role_id));
            role.is_some_and(|role| role.kind == RoleKind::BuiltIn(BuiltIn::Admin))
        };
        Ok(Confirmation {
            nav: Nav::Tokens,
            from: (name.clone(), format!("{}/{id}", list.path)),
            question,
            consequences: vec![consequence.to_owned()],
            facts: vec![("Role", token.role_name.clone()), ("Id", id.to_string())],
            action: format!("{}/{id}/{action}", list.path),
            button,
            name: None,
            // What makes an admin again is as much as making one.
            needs_proof: admin && !matches!(self, Self::Off),
            roles: None,
        })
    }

    pub(super) async fn ask(self, person: &SignedIn, list: TokenListKind, organization: Uuid, id: Uuid) -> PageResult {
        let grant = person.may(organization, list.right)?;
        let question = self.question(person, &grant, list, id).await?;
        question.ask(person, organization, &Pairs::default(), Problems::default()).await
    }

    pub(super) async fn act(
        self,
        person: &SignedIn,
        list: TokenListKind,
        (organization, id): (Uuid, Uuid),
        typed: &Pairs,
    ) -> PageResult {
        let grant = person.may(organization, list.right)?;
        let (app, right, of) = (&person.app, grant.clone(), (list.kind, id));
        let done = match (proof::given(person, typed).await, self) {
            (Err(error), _) => Err(error),
            (Ok(()), Self::Off) => {
                tokens::disable(app, right, of, IfMatch(None)).await.map(|off| (Flashed::TokenDisabled, off))
            }
            (Ok(()), Self::On) => {
                tokens::enable(app, right, of, IfMatch(None)).await.map(|on| (Flashed::TokenEnabled, on))
            }
            (Ok(()), Self::Undo) => {
                tokens::undo(app, right, of, IfMatch(None)).await.map(|undone| (Flashed::TokenRestored, undone))
            }
        };
        match done {
            Ok((flash, Written { position, .. })) => {
                person.done_at(&format!("/console/{organization}/{}/{id}", list.path), flash, position)
            }
            Err(error) => {
                let problems = Problems::of(error)?;
                self.question(person, &grant, list, id).await?.ask(person, organization, typed, problems).await
            }
        }
    }
}

/// `GET …/tokens/{id}/disable`.
pub(super) async fn ask_disable(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    Switch::Off.ask(&person, TOKENS, organization, id).await
}

/// `POST …/tokens/{id}/disable`.
pub(super) async fn disable(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    Switch::Off.act(&person, TOKENS, (organization, id), &typed).await
}

/// `GET …/tokens/{id}/enable`.
pub(super) async fn ask_enable(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    Switch::On.ask(&person, TOKENS, organization, id).await
}

/// `POST …/tokens/{id}/enable`.
pub(super) async fn enable(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    Switch::On.act(&person, TOKENS, (organization, id), &typed).await
}

/// `GET …/tokens/{id}/undo`.
pub(super) async fn ask_undo(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    Switch::Undo.ask(&person, TOKENS, organization, id).await
}

/// `POST …/tokens/{id}/undo`.
pub(super) async fn undo(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    Switch::Undo.act(&person, TOKENS, (organization, id), &typed).await
}
