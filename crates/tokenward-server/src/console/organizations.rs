//! The organization itself: its settings, a new one, and its end.

use axum::Extension;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::time::length_text;
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::organizations::Organization;

use super::confirm::Confirmation;
use super::flash::Flashed;
use super::form::{Pairs, Problems, Query};
use super::page::{At, PageResult, page};
use super::person::SignedIn;
use super::proof;
use super::view::{Nav, OrganizationNewPage, RetentionForm, SettingsForm, SettingsPage};
use super::words::{count, length_words};
use crate::limits::ADMIN_EMAILS_TEXT;
use crate::service::organizations::{self, OrganizationChange};
use crate::service::{IfMatch, retention, tokens};

/// `GET …/settings`.
pub(super) async fn settings(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::OrganizationRead)?;
    query.understood(&[])?;
    let saved = organizations::get(&person.app, &grant).await?;
    let typed = typed(&saved);
    settings_page(&person, saved, &typed, Problems::default()).await
}

/// The saved settings as the form would send them.
fn typed(saved: &Organization) -> Pairs {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    Pairs::from([
        ("name", saved.name.clone()),
        ("description", text(&saved.description)),
        ("website_url", text(&saved.website_url)),
        ("repository", text(&saved.repository)),
        ("admin_emails", organizations::admin_emails(saved).unwrap_or_default().join(", ")),
        ("forbids_device", if saved.forbids_device { "on".to_owned() } else { String::new() }),
    ])
}

async fn settings_page(person: &SignedIn, saved: Organization, typed: &Pairs, mut problems: Problems) -> PageResult {
    let shell = person.shell(Some(saved.id), Nav::Settings).await?;
    let form = SettingsForm {
        name: problems.field("name", typed.line("name")),
        description: problems.field("description", typed.text("description").unwrap_or_default()),
        website_url: problems.field("website_url", typed.line("website_url")),
        repository: problems.field("repository", typed.line("repository")),
        admin_emails: problems.field("admin_emails", typed.line("admin_emails")),
        forbids_device: typed.on("forbids_device"),
    };
    let retention = match person.may(saved.id, Management::EventRead) {
        Ok(grant) => {
            let kept = retention::get(&person.app, &grant).await?.retention;
            let own = kept.own.map(length_text).unwrap_or_default();
            let typed = typed.all(retention::FIELD).next().map(str::to_owned);
            let server = kept.server.map_or_else(
                || "Such as 400d or 2y, at least a day. Empty is for ever.".to_owned(),
                |most| {
                    format!(
                        "At least a day. Empty is what this server says, {}, which is also the longest.",
                        length_words(most)
                    )
                },
            );
            Some(RetentionForm { own: problems.field(retention::FIELD, typed.unwrap_or(own)), server })
        }
        Err(_) => None,
    };
    let shown = SettingsPage {
        shell,
        retention,
        id: saved.id.to_string(),
        form,
        plan: plan(saved.plan.as_str()),
        created: person.moment(saved.created_at),
        public_url: person.app.public_url.clone(),
        may_edit: person.can(saved.id, Management::OrganizationEdit),
        may_rule: person.can(saved.id, Management::MemberManage) || person.can(saved.id, Management::OrganizationEdit),
        may_transfer: person.can(saved.id, Management::OrganizationTransfer),
        may_delete: person.can(saved.id, Management::OrganizationDelete),
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

/// `ENTERPRISE_YEARLY` as people read it.
fn plan(word: &str) -> String {
    let mut words = word.replace('_', " ").to_lowercase();
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

/// `POST …/settings`.
pub(super) async fn save_settings(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::OrganizationEdit)?;
    let full = |text: String| Some(text).filter(|text| !text.is_empty());
    let emails: Vec<String> =
        form.get("admin_emails").split([',', ';', ' ']).filter(|it| !it.is_empty()).map(str::to_owned).collect();
    let change = OrganizationChange {
        name: Some(form.line("name")),
        description: Some(form.text("description")),
        website_url: Some(full(form.line("website_url"))),
        repository: Some(full(form.line("repository"))),
        admin_emails: Some(Some(emails).filter(|emails| !emails.is_empty())),
        forbids_device: Some(form.on("forbids_device")),
        ..OrganizationChange::default()
    };
    let fits = ADMIN_EMAILS_TEXT.check_text(form.get("admin_emails"));
    let saved = match fits.map_err(|problem| Error::invalid("admin_emails", problem)) {
        Ok(()) => organizations::update(&person.app, grant.clone(), change, IfMatch(None)).await,
        Err(error) => Err(error),
    };
    match saved {
        Ok(_) => person.done(&format!("/console/{organization}/settings"), Flashed::SettingsSaved),
        Err(error) => {
            let problems = Problems::of(error)?;
            let saved = organizations::get(&person.app, &grant).await?;
            settings_page(&person, saved, &form, problems).await
        }
    }
}

/// `POST …/settings/event-retention`.
pub(super) async fn save_retention(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::OrganizationEdit)?;
    let own = Some(form.line(retention::FIELD)).filter(|text| !text.is_empty());
    let set = match own.map(|text| retention::read(&text)).transpose() {
        Ok(own) => retention::set(&person.app, grant.clone(), own, IfMatch(None)).await.map(|_| ()),
        Err(problem) => Err(Error::invalid(retention::FIELD, problem)),
    };
    match set {
        Ok(()) => person.done(&format!("/console/{organization}/settings"), Flashed::RetentionSaved),
        Err(error) => {
            let problems = Problems::of(error)?;
            let saved = organizations::get(&person.app, &grant).await?;
            let typed = typed(&saved);
            let others = typed.below("").map(|(key, value)| (key, value.to_owned()));
            let shown: Pairs = others.chain([(retention::FIELD, form.line(retention::FIELD))]).collect();
            settings_page(&person, saved, &shown, problems).await
        }
    }
}

/// `GET /console/new`.
pub(super) async fn new(Extension(person): Extension<SignedIn>) -> PageResult {
    new_page(&person, &Pairs::default(), Problems::default()).await
}

async fn new_page(person: &SignedIn, typed: &Pairs, mut problems: Problems) -> PageResult {
    let form = OrganizationNewPage {
        shell: person.shell(person.first_organization(), Nav::Settings).await?,
        name: problems.field("name", typed.line("name")),
        description: problems.field("description", typed.text("description").unwrap_or_default()),
        error: problems.rest(),
    };
    page(problems.status, &form)
}

/// `POST /console/new`.
pub(super) async fn create(Extension(person): Extension<SignedIn>, Extension(form): Extension<Pairs>) -> PageResult {
    let change = OrganizationChange {
        name: Some(form.line("name")),
        description: Some(form.text("description")),
        ..OrganizationChange::default()
    };
    match organizations::create(&person.app, &person.caller, change).await {
        Ok(made) => person.done(&person.home(made.value.id)?, Flashed::OrganizationCreated),
        Err(error) => new_page(&person, &form, Problems::of(error)?).await,
    }
}

/// `GET …/settings/delete`: asks for its name.
pub(super) async fn ask_delete(Extension(person): Extension<SignedIn>, At(organization): At<Uuid>) -> PageResult {
    let grant = person.may(organization, Management::OrganizationDelete)?;
    question(&person, &grant).await?.ask(&person, organization, &Pairs::default(), Problems::default()).await
}

async fn question(person: &SignedIn, grant: &Grant) -> Result<Confirmation> {
    let saved = organizations::get(&person.app, grant).await?;
    let tokens = usize::try_from(tokens::count(&person.app, grant).await?).unwrap_or(usize::MAX);
    let members =
        person.app.verifier.directory().organization(saved.id).map_or(0, |organization| organization.member_count());
    let are = if tokens == 1 { "is" } else { "are" };
    Ok(Confirmation {
        nav: Nav::Settings,
        from: ("Settings".into(), "settings".into()),
        question: format!("Delete “{}”?", saved.name),
        consequences: vec![
            format!("{} of it {are} refused from the next request on.", count(tokens, "token")),
            format!("{} can no longer open it.", count(members, "member")),
            "Its roles, projects, environments, variables and clusters are gone. This cannot be undone.".into(),
        ],
        facts: vec![("Id", saved.id.to_string())],
        action: "settings/delete".into(),
        button: "Delete the organization",
        name: Some(saved.name),
        needs_proof: true,
        roles: None,
    })
}

/// `POST …/settings/delete`.
pub(super) async fn delete(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::OrganizationDelete)?;
    let question = question(&person, &grant).await?;
    if !question.confirmed(&form) {
        return question.ask_again(&person, organization, &form).await;
    }
    let done = match proof::given(&person, &form).await {
        Ok(()) => organizations::delete(&person.app, grant).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(deleted) => person.done_at("/console", Flashed::OrganizationDeleted, deleted.position),
        Err(error) => question.ask(&person, organization, &form, Problems::of(error)?).await,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_plan_is_a_word_for_people() {
        assert_eq!(super::plan("ENTERPRISE_YEARLY"), "Enterprise yearly");
    }
}
