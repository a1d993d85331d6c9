//! Policy tokens: the list, one token, and the editor of what one may be used for.

use axum::Extension;
use axum::http::StatusCode;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::secret::Kind;
use tokenward_core::token::Token;
use tokenward_core::{Code, Error, Result, Time, Uuid};

use super::decisions;
use super::flash::Flashed;
use super::form::{Pairs, Problems, Query};
use super::page::{At, PageResult, page};
use super::person::SignedIn;
use super::policy_recipes::RECIPES;
use super::proof;
use super::token_bulk;
use super::token_changes::{self, Switch, TokenListKind, typed_change};
use super::token_effect::effect_of;
use super::token_life;
use super::token_list;
use super::token_refused::refused_view;
use super::token_typed::{About, TokenTyped};
use super::tokens::{
    KeptTimes, NewSecret, SHOWN, attest_asked, brownout_told, counts, details, meaning, new_owner_fields, new_token,
    off_because, owner_fields, revocation, row, secret_page, shown_page, token_form, version_rows, was_shown,
};
use super::view::{
    Choice, Nav, PolicyEditor, PolicyTokenAttestPage, PolicyTokenEditPage, PolicyTokenNewPage, PolicyTokenPage,
    RecipeLink, ReplayRow, TokenEffect, TrialForm, Verdict,
};
use super::words::METHODS;
use crate::service::policy_tokens::{self, NewPolicyToken, PolicyToken, PolicyTokenChange, Replayed, TrialRequest};
use crate::service::tokens::{self, Created};
use crate::service::{IfMatch, policy_denials, token_attestation, token_refused, usage};

/// The path of the list below the organization.
const LIST: &str = "policy-tokens";
const LISTED: TokenListKind = TokenListKind {
    path: LIST,
    kind: Kind::PolicyToken,
    read: Management::PolicyManage,
    right: Management::PolicyManage,
};

/// `GET …/policy-tokens`.
pub(super) async fn list(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    token_list::listed(&person, LISTED, organization, &query).await
}

/// `POST …/policy-tokens/find`: the search.
pub(super) async fn find(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    token_list::found(&person, LISTED, organization, &form).await
}

/// `POST …/policy-tokens/bulk`: the same done to several of the list.
pub(super) async fn bulk(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    token_bulk::bulk_of(&person, LISTED, organization, &typed).await
}

/// `GET …/policy-tokens/new`.
pub(super) async fn new(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::PolicyManage)?;
    query.understood(&["recipe"])?;
    let key = query.one_of("recipe", RECIPES.iter().map(|it| it.key))?;
    let chosen = RECIPES.iter().find(|it| it.key == key).unwrap_or(&RECIPES[0]);
    let typed = Pairs::from([("opa_policy", chosen.policy.to_owned())]);
    new_page(&person, &grant, &typed, None, Problems::default()).await
}

async fn new_page(
    person: &SignedIn,
    grant: &Grant,
    typed: &Pairs,
    verdict: Option<Verdict>,
    mut problems: Problems,
) -> PageResult {
    let form = token_form(person, grant, typed, &mut problems, None).await?;
    let owners = new_owner_fields(person, grant, typed, &mut problems).await?;
    let editor = editor(typed, verdict, &mut problems);
    let recipe = |it: &super::policy_recipes::Recipe| RecipeLink {
        key: it.key,
        title: it.title,
        sentence: it.sentence,
        current: it.policy == editor.policy.value,
    };
    let shown = PolicyTokenNewPage {
        shell: person.shell(Some(grant.organization()), Nav::Tokens).await?,
        form,
        owners,
        recipes: RECIPES.iter().map(recipe).collect(),
        editor,
        shown: person.app.now().0,
        password: proof::field_if_asked(person, &mut problems).await?,
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

/// The editor with what was typed. What is wrong with the policy is told where it is looked for: beneath it.
fn editor(typed: &Pairs, verdict: Option<Verdict>, problems: &mut Problems) -> PolicyEditor {
    let refused = problems.take("opa_policy").map(|text| Verdict { good: false, text });
    let chosen = typed.get("method");
    let method = |word: &str| Choice { value: word.into(), label: word.into(), chosen: word == chosen };
    PolicyEditor {
        policy: problems.field("opa_policy", typed.get("opa_policy")),
        trial: TrialForm {
            methods: METHODS.into_iter().map(method).collect(),
            path: problems.field("path", typed.line("path")),
            body: problems.field("body", typed.get("body")),
            gateway: typed.on("gateway"),
        },
        verdict: refused.or(verdict),
    }
}

/// What is said of the policy that was typed and, where there is one, of the request to try.
async fn verdict(person: &SignedIn, grant: &Grant, typed: &Pairs) -> Result<Verdict, Error> {
    let (policy, path) = (typed.get("opa_policy").to_owned(), typed.line("path"));
    if path.is_empty() {
        policy_tokens::compile(grant.organization(), policy).await?;
        let text = "The policy can be used. Write a path to see what it says of a request.".to_owned();
        return Ok(Verdict { good: true, text });
    }
    let trial = TrialRequest {
        method: typed.get("method").to_owned(),
        path: path.clone(),
        body: Some(typed.get("body").to_owned()).filter(|body| !body.is_empty()),
        gateway: typed.on("gateway"),
    };
    let said = policy_tokens::evaluate(&person.app, grant, policy, vec![trial]).await?.pop();
    let said = said.ok_or_else(|| Error::internal("a request without an answer"))?;
    let word = if said.allowed { "allowed" } else { "denied" };
    let mut text = format!("{} {path} is {word}: {}", typed.get("method"), in_a_sentence(&said.detail));
    if let Some(lines) = policy_tokens::lines_told(&said.lines) {
        text = format!("{text}\n{lines}");
    }
    Ok(Verdict { good: said.allowed, text })
}

/// A sentence behind a colon.
fn in_a_sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// The same as what a form can show: a verdict, or problems.
async fn tried(person: &SignedIn, grant: &Grant, typed: &Pairs) -> PageOf {
    match verdict(person, grant, typed).await {
        Ok(verdict) => Ok((Some(verdict), Problems::default())),
        Err(mut error) => {
            // One request is tried, and its fields have no number.
            for fault in error.faults.iter_mut() {
                if let Some(field) = fault.field.strip_prefix("requests[0].") {
                    fault.field = field.to_owned();
                }
            }
            Ok((None, Problems::of(error)?))
        }
    }
}

type PageOf = std::result::Result<(Option<Verdict>, Problems), super::page::PageError>;

/// What was typed of the token, or all that is wrong with the form.
async fn typed_token(
    person: &SignedIn,
    grant: &Grant,
    typed: &Pairs,
    about: About,
) -> std::result::Result<std::result::Result<TokenTyped, Problems>, super::page::PageError> {
    Ok(match TokenTyped::read(person, grant, typed, about).await? {
        Ok(read) => Ok(read),
        Err(mut problems) => {
            // What is wrong with the policy is told with the rest.
            let policy = typed.get("opa_policy").to_owned();
            problems.read(policy_tokens::compile(grant.organization(), policy).await)?;
            Err(problems)
        }
    })
}

/// `POST …/policy-tokens`: tries the policy, or makes the token and shows its text in the answer, once.
pub(super) async fn create(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::PolicyManage)?;
    if typed.get("action") == "try" {
        let (verdict, problems) = tried(&person, &grant, &typed).await?;
        return new_page(&person, &grant, &typed, verdict, problems).await;
    }
    let again = |problems| new_page(&person, &grant, &typed, None, problems);
    let read = match typed_token(&person, &grant, &typed, About::New).await? {
        Ok(read) => read,
        Err(problems) => return again(problems).await,
    };
    let new = match new_token(&typed, read) {
        Ok(token) => NewPolicyToken { token, policy: typed.get("opa_policy").to_owned() },
        Err(error) => return again(Problems::of(error)?).await,
    };
    let shell = person.shell(Some(organization), Nav::Tokens).await?;
    let created = match proof::given(&person, &typed).await {
        Ok(()) => policy_tokens::create(&person.app, grant.clone(), new).await,
        Err(error) => Err(error),
    };
    match created {
        Ok(created) => {
            let Created { token, text, .. } = created.value;
            secret_page(&person, shell, &NewSecret { list: LIST, token: &token, text: text.as_deref() }, None)
        }
        Err(error) if error.code == Code::NameTaken => {
            let holder = match error.holder() {
                Some(holder) => Some(policy_tokens::get(&person.app, &grant, holder).await?.token),
                None => None,
            };
            match holder.filter(|token| was_shown(&grant, &typed, token)) {
                Some(token) => shown_page(&person, shell, LIST, &token),
                None => again(Problems::of(error)?).await,
            }
        }
        Err(error) => again(Problems::of(error)?).await,
    }
}

/// `GET …/policy-tokens/{id}`.
pub(super) async fn show(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::PolicyManage)?;
    query.understood(&[])?;
    let PolicyToken { token, policy, versions } = policy_tokens::get(&person.app, &grant, id).await?;
    let used = usage::of(&person.app, &grant, std::slice::from_ref(&token)).await?.remove(&id);
    let refused = token_refused::of(&person.app, &grant, &token, &used.clone().unwrap_or_default()).await?;
    let of_token = crate::service::decisions::DecisionQuery { token: Some(id), ..Default::default() };
    let verify = person.may(organization, Management::TokenVerify)?;
    let decisions = decisions::rows(&person, &verify, &of_token, SHOWN).await?;
    let shown = PolicyTokenPage {
        shell: person.shell(Some(organization), Nav::Tokens).await?,
        token: row(&person.app, &token, used.as_ref()),
        policy,
        versions: version_rows(&token, versions, used.as_ref(), person.app.now()),
        revocation: token.revocation.as_ref().map(|it| revocation(&person, &token, it)),
        refused: refused.all.map(|it| refused_view(&person, it)),
        refused_earlier: refused.earlier.map(|it| refused_view(&person, it)),
        disabled_because: token.life.disabled_because.map(off_because),
        attest: attest_asked(&person, &token),
        brownout: brownout_told(&person, &token),
        details: details(&person, &grant, &token).await?,
        usage: counts(&used.map(|it| it.total).unwrap_or_default(), Some(decisions)),
        meaning: meaning(&person, organization, token.role_id).0,
        may_read_events: person.can(organization, Management::EventRead),
        logged_as: policy_denials::shown(token.id, &token.name),
        public_url: person.app.public_url.clone(),
    };
    page(StatusCode::OK, &shown)
}

/// `GET …/policy-tokens/{id}/edit`.
pub(super) async fn edit(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = person.may(organization, Management::PolicyManage)?;
    let PolicyToken { token, policy, .. } = policy_tokens::get(&person.app, &grant, id).await?;
    let own = token_changes::saved(&person, &grant, &token).await?.into_iter();
    let saved: Pairs = own.chain([("opa_policy", policy)]).collect();
    edit_page(&person, &grant, &token, &saved, Shown::default(), Problems::default()).await
}

/// What the editor shows beside what was typed.
#[derive(Default)]
struct Shown {
    verdict: Option<Verdict>,
    replay: Option<Vec<ReplayRow>>,
    effect: Option<TokenEffect>,
}

async fn edit_page(
    person: &SignedIn,
    grant: &Grant,
    token: &Token,
    typed: &Pairs,
    shown: Shown,
    mut problems: Problems,
) -> PageResult {
    let shown = PolicyTokenEditPage {
        form: token_form(person, grant, typed, &mut problems, Some(KeptTimes::of(person, token))).await?,
        owners: owner_fields(person, grant, typed, &mut problems).await?,
        editor: editor(typed, shown.verdict, &mut problems),
        replay: shown.replay,
        effect: shown.effect,
        shell: person.shell(Some(grant.organization()), Nav::Tokens).await?,
        token: row(&person.app, token, None),
        version: typed.get("version").to_owned(),
        password: proof::field_if_asked(person, &mut problems).await?,
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

/// `POST …/policy-tokens/{id}/edit`: tries what was typed, on a request or on the last ones of the token, or saves it.
pub(super) async fn save(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::PolicyManage)?;
    let token = policy_tokens::get(&person.app, &grant, id).await?.token;
    let again = |shown, problems| edit_page(&person, &grant, &token, &typed, shown, problems);
    match typed.get("action") {
        "try" => {
            let (verdict, problems) = tried(&person, &grant, &typed).await?;
            return again(Shown { verdict, ..Shown::default() }, problems).await;
        }
        "replay" => {
            let policy = typed.get("opa_policy").to_owned();
            return match policy_tokens::replay(&person.app, &grant, id, policy).await {
                Ok(all) => {
                    let replay = all.into_iter().map(|it| replayed(&person, it)).collect();
                    again(Shown { replay: Some(replay), ..Shown::default() }, Problems::default()).await
                }
                Err(error) => again(Shown::default(), Problems::of(error)?).await,
            };
        }
        _ => {}
    }
    let read = match typed_token(&person, &grant, &typed, About::Kept).await? {
        Ok(read) => read,
        Err(problems) => return again(Shown::default(), problems).await,
    };
    let change = typed_change(&token, &typed, read);
    if let Some(effect) = effect_of(&person, &grant, &token, &typed, &change).await? {
        return again(Shown { effect: Some(effect), ..Shown::default() }, Problems::default()).await;
    }
    let change = PolicyTokenChange { token: change, policy: Some(typed.get("opa_policy").to_owned()) };
    // A form without its version could overwrite what somebody else saved: it fits none.
    let version = IfMatch(Some(Time(typed.get("version").parse().unwrap_or_default())));
    let saved = match proof::given(&person, &typed).await {
        Ok(()) => policy_tokens::update(&person.app, grant.clone(), id, change, version).await,
        Err(error) => Err(error),
    };
    match saved {
        Ok(saved) => {
            let path = format!("/console/{organization}/policy-tokens/{id}");
            person.done_at(&path, Flashed::TokenSaved, saved.position)
        }
        Err(error) => again(Shown::default(), Problems::of(error)?).await,
    }
}

fn replayed(person: &SignedIn, it: Replayed) -> ReplayRow {
    ReplayRow {
        at: person.moment(it.at),
        method: it.method,
        path: it.path,
        was_allowed: it.was_allowed,
        verdict: Verdict { good: it.answer.allowed, text: it.answer.detail },
    }
}

/// `GET …/policy-tokens/{id}/rotate`.
pub(super) async fn ask_rotate(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = person.may(organization, Management::PolicyManage)?;
    let token = policy_tokens::get(&person.app, &grant, id).await?.token;
    token_changes::rotate_page(&person, &grant, (LIST, &token), token_changes::USUAL, Problems::default()).await
}

/// `POST …/policy-tokens/{id}/rotate`: makes the new secret, and shows it in the answer, once.
pub(super) async fn rotate(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::PolicyManage)?;
    let token = policy_tokens::get(&person.app, &grant, id).await?.token;
    token_changes::rotated(&person, &grant, (LIST, token), &typed).await
}

/// `GET …/policy-tokens/{id}/secrets/{version}/end`.
pub(super) async fn ask_end_version(
    Extension(person): Extension<SignedIn>,
    At((organization, id, version)): At<(Uuid, Uuid, u16)>,
) -> PageResult {
    token_changes::end_page(&person, LISTED, (organization, id), version).await
}

/// `POST …/policy-tokens/{id}/secrets/{version}/end`.
pub(super) async fn end_version(
    Extension(person): Extension<SignedIn>,
    At((organization, id, version)): At<(Uuid, Uuid, u16)>,
) -> PageResult {
    token_changes::ended(&person, LISTED, (organization, id), version).await
}

/// `GET …/policy-tokens/{id}/disable`.
pub(super) async fn ask_disable(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    Switch::Off.ask(&person, LISTED, organization, id).await
}

/// `POST …/policy-tokens/{id}/disable`.
pub(super) async fn disable(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    Switch::Off.act(&person, LISTED, (organization, id), &typed).await
}

/// `GET …/policy-tokens/{id}/enable`.
pub(super) async fn ask_enable(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    Switch::On.ask(&person, LISTED, organization, id).await
}

/// `POST …/policy-tokens/{id}/enable`.
pub(super) async fn enable(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    Switch::On.act(&person, LISTED, (organization, id), &typed).await
}

/// `GET …/policy-tokens/{id}/undo`.
pub(super) async fn ask_undo(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    Switch::Undo.ask(&person, LISTED, organization, id).await
}

/// `POST …/policy-tokens/{id}/undo`.
pub(super) async fn undo(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    Switch::Undo.act(&person, LISTED, (organization, id), &typed).await
}

/// `GET …/policy-tokens/{id}/attest`: for who may manage them, and for its owner.
pub(super) async fn ask_attest(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Query(query): Query,
) -> PageResult {
    query.understood(&[])?;
    let grant = person.may(organization, Management::TokenRead)?;
    let token = tokens::find_of(&person.app, &grant, (Kind::PolicyToken, id)).await?;
    let may_manage = person.can(organization, Management::PolicyManage);
    if !may_manage && token.owner_id != Some(person.user) {
        return Err(Error::not_found("policy token").into());
    }
    let used = usage::of(&person.app, &grant, std::slice::from_ref(&token)).await?.remove(&id);
    let shown = PolicyTokenAttestPage {
        shell: person.shell(Some(organization), Nav::Tokens).await?,
        attest: attest_asked(&person, &token),
        token: row(&person.app, &token, used.as_ref()),
        may_manage,
    };
    page(StatusCode::OK, &shown)
}

/// `POST …/policy-tokens/{id}/attest`: it is still needed.
pub(super) async fn attest(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenRead)?;
    token_attestation::attest(&person.app, grant, (Kind::PolicyToken, id), IfMatch(None)).await?;
    let page = match person.can(organization, Management::PolicyManage) {
        true => format!("/console/{organization}/{LIST}/{id}"),
        false => format!("/console/{organization}/tokens"),
    };
    person.done(&page, Flashed::TokenAttested)
}

/// `GET …/policy-tokens/{id}/brownout`.
pub(super) async fn ask_brownout(Extension(person): Extension<SignedIn>, At(place): At<(Uuid, Uuid)>) -> PageResult {
    token_life::brownout_asked(&person, LISTED, place).await
}

/// `POST …/policy-tokens/{id}/brownout`.
pub(super) async fn brownout(
    Extension(person): Extension<SignedIn>,
    At(place): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    token_life::brownout_started(&person, LISTED, place, &typed).await
}

/// `POST …/policy-tokens/{id}/brownout/end`: at once, without a question.
pub(super) async fn end_brownout(Extension(person): Extension<SignedIn>, At(place): At<(Uuid, Uuid)>) -> PageResult {
    token_life::brownout_ended(&person, LISTED, place).await
}

/// `GET …/policy-tokens/{id}/delete`.
pub(super) async fn ask_delete(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = person.may(organization, Management::PolicyManage)?;
    token_changes::delete_page(&person, &grant, LISTED, id, &Pairs::default(), Problems::default()).await
}

/// `POST …/policy-tokens/{id}/delete`.
pub(super) async fn delete(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    token_changes::deleted(&person, LISTED, (organization, id), &typed).await
}
