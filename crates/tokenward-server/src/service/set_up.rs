//! Organizations that the operator makes: the first one from a one-time link that `serve` prints or from the offline
//! `bootstrap`, further ones from `new-organization`.

use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::email;
use tokenward_core::error::Faults;
use tokenward_core::event::{Actor, By, Event, Kind, MemberSnapshot, OrganizationSnapshot, UserSnapshot};
use tokenward_core::name::{check_actor_name, check_email, check_name, fold_email};
use tokenward_core::organization::Plan;
use tokenward_core::permission::Management;
use tokenward_core::right::{Operator, Visitor};
use tokenward_core::role::BuiltIn;
use tokenward_core::secret::{self, PlainText};
use tokenward_core::time::{DAY, HOUR};
use tokenward_core::token::Token;
use tokenward_core::{Error, Result, Uuid, password};
use tokenward_store::identities::Identity;
use tokenward_store::members::Membership;
use tokenward_store::{
    Store, Tx, accounts, factors, identities, members, organizations, roles, second_factor, sessions, set_up_links,
    tokens,
};
use zeroize::Zeroizing;

use super::identities::{ByProvider, linked, removed};
use super::known::Known;
use super::links::{link_digest, link_secret};
use super::tokens::{event as token_event, snapshot};
use super::turns::Lane;
use super::{App, Written, accounts as people};
use crate::limits::{SET_UP_LINKS, SUBJECT};

/// Makes a set-up link's secret, while there is no organization. Every server of the database takes it, for an hour, until one of them
/// was used. Of a server that is alone the latest counts: it has printed those before, too.
pub async fn offer(store: &Store) -> Result<Option<Zeroizing<String>>> {
    if !is_pending(store).await? {
        return Ok(None);
    }
    let secret = link_secret(store.random());
    let most = if store.is_shared() { SET_UP_LINKS.number() } else { 1 };
    let mut tx = store.begin_unlogged().await?;
    set_up_links::insert(&mut tx, &link_digest(&secret), HOUR, most).await?;
    tx.commit().await?;
    Ok(Some(secret))
}

/// Is this the secret of one, and does it still count?
pub async fn accepts(store: &Store, secret: &str) -> Result<bool> {
    let mut reader = store.read().await?;
    let counts = set_up_links::counts(reader.conn(), &link_digest(secret), store.present()).await?;
    Ok(counts && !organizations::any(reader.conn()).await?)
}

/// What the first organization needs.
#[derive(Clone)]
pub struct FirstOrganization {
    /// The organization's name.
    pub organization: String,
    /// The owner's e-mail address.
    pub owner_email: String,
    /// The owner's name; may be empty.
    pub owner_name: String,
}

impl FirstOrganization {
    /// With the address in the form in which it is kept.
    fn kept(self) -> Self {
        Self { owner_email: email::ascii(&self.owner_email).into_owned(), ..self }
    }
}

/// Founds the first organization from the set-up form. Answers the owner.
pub async fn from_link(
    app: &Arc<App>,
    secret: &str,
    first: FirstOrganization,
    password: Zeroizing<String>,
    by: By,
) -> Result<Written<Uuid>> {
    let link = link_digest(secret);
    if !accepts(&app.store, secret).await? {
        return Err(app.dead_link(by.address, dead_link()));
    }
    let first = first.kept();
    let mut faults = check(&first);
    faults.check("password", password::check(&password, &first.owner_email, &[&first.organization]));
    faults.finish()?;
    let turn = app.passwords.turn(Lane::Known(Known::Link(link))).await?;
    let hash = turn.hash(password).await?;
    let written = app.write(Visitor::new(by), move |tx, _| {
        Box::pin(async move {
            // Asked again: it, or another one, may have been used while the password was hashed, on whichever node.
            let now = tx.now();
            if !set_up_links::counts(tx.conn(), &link, now).await? || organizations::any(tx.conn()).await? {
                return Err(dead_link());
            }
            let created = create_owned(tx, &first, Some(&hash)).await?;
            Ok((created.owner, created.events))
        })
    });
    written.await
}

/// The account of the owner that was just made.
pub async fn owner(app: &App, id: Uuid) -> Result<accounts::Account> {
    let mut reader = app.store.read().await?;
    accounts::get(reader.conn(), id).await?.ok_or_else(|| Error::not_found("account"))
}

/// Is there no organization yet, and never was one?
pub async fn is_pending(store: &Store) -> Result<bool> {
    let mut reader = store.read().await?;
    Ok(!organizations::any(reader.conn()).await?)
}

fn dead_link() -> Error {
    Error::conflict(
        "This set-up link is not valid any more: it lives for an hour, and only until there is an organization. Restart the \
         server to get a new one, or use `tokenward bootstrap`.",
    )
}

/// What `bootstrap` answers.
pub struct Bootstrapped {
    /// The organization.
    pub organization: Uuid,
    /// Its owner.
    pub owner: Uuid,
    /// A token with the role admin.
    pub token: PlainText,
    /// The secret of a sign-in link for the owner, valid for a day.
    pub link: Zeroizing<String>,
}

/// Founds the first organization offline, all or nothing. `None` when there is one already.
pub async fn bootstrap(
    store: &Store,
    operator: &Operator,
    verifier: impl Fn(&PlainText) -> (tokenward_core::secret::Digest, i32),
    prefixes: &tokenward_core::secret::Prefixes,
    first: FirstOrganization,
) -> Result<Option<Bootstrapped>> {
    let first = first.kept();
    check(&first).finish()?;
    let (mut tx, operator) = store.begin(operator).await?;
    if organizations::any(tx.conn()).await? {
        return Ok(None);
    }
    let now = tx.now();
    let mut created = create_owned(&mut tx, &first, None).await?;
    let text = PlainText::generate(secret::Kind::Token, prefixes, store.random());
    let grant = Grant::operator(&operator, created.organization, Management::TokenManage);
    let (digest, pepper_version) = verifier(&text);
    let role = (created.admin_role, BuiltIn::Admin.as_str().to_owned());
    let name = "bootstrap".to_owned();
    let token = Token {
        description: Some("Made with the organization".to_owned()),
        owner_id: Some(created.owner),
        owner_name: Some(first.owner_email.clone()),
        last_four: text.last_four().to_owned(),
        ..Token::new(tx.new_id(), created.organization, secret::Kind::Token, role, name, now)
    };
    let row = tokens::NewSecret { digest, pepper_version, last_four: text.last_four(), registered: false, used: None };
    tokens::insert(&mut tx, &grant, tokens::NewToken::of(&token, row)).await?;
    created.events.push(token_event(Kind::TokenCreated, &token).after(snapshot(&token)));
    let (link, event) = people::insert_link(&mut tx, created.owner, &first.owner_email, now.plus(DAY)).await?;
    created.events.push(event);
    tx.commit(&created.events).await?;
    Ok(Some(Bootstrapped { organization: created.organization, owner: created.owner, token: text, link }))
}

/// What `new-organization` answers.
pub struct Further {
    /// The organization.
    pub organization: Uuid,
    /// Its owner.
    pub owner: Uuid,
    /// The secret of a sign-in link, valid for a day, for an owner who had no account.
    pub link: Option<Zeroizing<String>>,
}

/// Founds one more organization, for an owner who may have an account. Whatever `organizations` says: this is the operator.
pub async fn create_further(store: &Store, operator: &Operator, first: FirstOrganization) -> Result<Further> {
    let first = first.kept();
    check(&first).finish()?;
    let (mut tx, _) = store.begin(operator).await?;
    let Some(account) = accounts::by_email(tx.conn(), &first.owner_email).await? else {
        let expires_at = tx.now().plus(DAY);
        let mut created = create_owned(&mut tx, &first, None).await?;
        let (link, event) = people::insert_link(&mut tx, created.owner, &first.owner_email, expires_at).await?;
        created.events.push(event);
        tx.commit(&created.events).await?;
        return Ok(Further { organization: created.organization, owner: created.owner, link: Some(link) });
    };
    if account.email_proven_at.is_none() {
        // Whoever made that account would own the organization, and nobody knows who it was.
        return Err(Error::conflict(format!(
            "Nobody has proved that the account {} is that of the person. Let the person take it first: \
             `tokenward sign-in-link {}`.",
            account.email, account.email
        )));
    }
    let id = tx.new_id();
    let (_, events) = insert_organization(&mut tx, id, &first.organization, account.id, &account.email).await?;
    tx.commit(&events).await?;
    Ok(Further { organization: id, owner: account.id, link: None })
}

/// What is wrong with the names and addresses.
pub fn check(first: &FirstOrganization) -> Faults {
    let mut faults = Faults::default();
    faults.check("organization", check_name(&first.organization));
    faults.check("email", check_email(&email::ascii(&first.owner_email)));
    if !first.owner_name.is_empty() {
        faults.check("name", check_actor_name(&first.owner_name));
    }
    faults
}

struct CreatedOrganization {
    organization: Uuid,
    owner: Uuid,
    admin_role: Uuid,
    events: Vec<Event>,
}

async fn create_owned(
    tx: &mut Tx,
    first: &FirstOrganization,
    password_hash: Option<&str>,
) -> Result<CreatedOrganization> {
    let now = tx.now();
    let (organization, owner) = (tx.new_id(), tx.new_id());
    accounts::insert(tx, owner, &first.owner_email, &first.owner_name, password_hash, now).await?;
    // Whoever runs the server says so.
    accounts::prove_email(tx, owner, now).await?;
    set_up_links::end_all(tx).await?;
    let (admin_role, mut events) =
        insert_organization(tx, organization, &first.organization, owner, &first.owner_email).await?;
    let user = UserSnapshot {
        email: first.owner_email.clone(),
        name: first.owner_name.clone(),
        password_changed: password_hash.is_some(),
        email_proven: true,
    };
    events.insert(0, Event::new(Kind::UserCreated, None, owner, &first.owner_email).after(user));
    Ok(CreatedOrganization { organization, owner, admin_role, events })
}

/// Adds an organization with its built-in roles and its owner. Answers the id of its role admin and the events.
pub(crate) async fn insert_organization(
    tx: &mut Tx,
    id: Uuid,
    name: &str,
    owner: Uuid,
    owner_email: &str,
) -> Result<(Uuid, Vec<Event>)> {
    let now = tx.now();
    organizations::insert(tx, id, name, None, Plan::Enterprise, now).await?;
    let roles = roles::insert_built_in(tx, id, now).await?;
    let [(_, owner_role), (_, admin_role), ..] = roles;
    members::insert(tx, Membership { organization_id: id, account_id: owner, role_id: owner_role }, true, now).await?;
    let organization = OrganizationSnapshot {
        name: name.to_owned(),
        description: None,
        plan: Plan::Enterprise,
        website_url: None,
        repository: None,
        logo_url: None,
        icon_url: None,
        admin_emails: None,
        forbids_device: false,
    };
    let member = MemberSnapshot {
        email: owner_email.to_owned(),
        role_id: owner_role,
        role_name: BuiltIn::Owner.as_str().to_owned(),
        rule: None,
    };
    let events = vec![
        Event::new(Kind::OrganizationCreated, Some(id), id, name).after(organization),
        Event::new(Kind::MemberAdded, Some(id), owner, owner_email).after(member),
    ];
    Ok((admin_role, events))
}

/// A sign-in link that the operator has made.
pub struct SignInLink {
    /// Its secret, valid for a day.
    pub secret: Zeroizing<String>,
    /// Had somebody proved to read what is sent to the address of the account?
    pub email_proven: bool,
    /// Has the account a second factor?
    pub second_factor: bool,
}

/// A new sign-in link for an account, for the offline `sign-in-link`. `None` when nobody has that address. Where the account has a
/// second factor, that is asked too.
pub async fn sign_in_link(store: &Store, operator: &Operator, email: &str) -> Result<Option<SignInLink>> {
    new_link(store, operator, email, false).await
}

/// The same, where the link takes the second factor away when it is used.
pub async fn resetting_link(store: &Store, operator: &Operator, email: &str) -> Result<Option<SignInLink>> {
    new_link(store, operator, email, true).await
}

async fn new_link(
    store: &Store,
    operator: &Operator,
    email: &str,
    resets_second_factor: bool,
) -> Result<Option<SignInLink>> {
    let (mut tx, _) = store.begin(operator).await?;
    let Some(account) = accounts::by_email(tx.conn(), email).await? else { return Ok(None) };
    let expires_at = tx.now().plus(DAY);
    let (secret, event) = people::insert_link(&mut tx, account.id, &account.email, expires_at).await?;
    if resets_second_factor {
        second_factor::let_link_reset(&mut tx, event.target).await?;
    }
    let second_factor = factors::of(tx.conn(), account.id, None).await?.has_second();
    tx.commit(&[event]).await?;
    Ok(Some(SignInLink { secret, email_proven: account.email_proven_at.is_some(), second_factor }))
}

/// The identities that open accounts, with the address of each account: of all, or of one.
pub async fn all_identities(store: &Store, email: Option<&str>) -> Result<Vec<(Identity, String)>> {
    let mut reader = store.read().await?;
    let mut all = Vec::new();
    for identity in identities::all(reader.conn()).await? {
        let account = accounts::get(reader.conn(), identity.account_id).await?;
        let address = account.map(|account| account.email).unwrap_or_default();
        if email.is_none_or(|email| fold_email(email) == fold_email(&address)) {
            all.push((identity, address));
        }
    }
    Ok(all)
}

/// Lets an identity open the account with this address. `false` when nobody has it.
pub async fn link_identity(
    store: &Store,
    operator: &Operator,
    email: &str,
    issuer: &str,
    subject: &str,
) -> Result<bool> {
    if subject.is_empty()
        || subject.contains(char::is_control)
        || SUBJECT.check_text(subject).is_err()
        || issuer.is_empty()
    {
        return Err(Error::invalid(
            "subject",
            "and issuer must be there, the subject with at most 255 characters, none of them a control character",
        ));
    }
    let (mut tx, _) = store.begin(operator).await?;
    let Some(account) = accounts::by_email(tx.conn(), email).await? else { return Ok(false) };
    let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
    let by = ByProvider { issuer, subject, email: None, email_proven: false, name: None };
    let event = linked(&mut tx, account.id, &by).await?;
    tx.commit(&[event]).await?;
    Ok(true)
}

/// Takes an identity from its account, whose sessions end. `false` when it is not there.
pub async fn remove_identity(store: &Store, operator: &Operator, id: Uuid) -> Result<bool> {
    let (mut tx, _) = store.begin(operator).await?;
    let all = identities::all(tx.conn()).await?;
    let Some(identity) = all.into_iter().find(|identity| identity.id == id) else { return Ok(false) };
    let account = identity.account_id;
    identities::delete(&mut tx, account, id).await?;
    let mut events = vec![removed(&identity)];
    for session in sessions::of_accounts(tx.conn(), &[account]).await? {
        sessions::delete(&mut tx, account, session.id).await?;
        events.push(Event::new(Kind::SessionEnded, None, session.id, session.email).related(account));
    }
    tx.commit(&events).await?;
    Ok(true)
}

/// A visitor's doing.
#[must_use]
pub fn visitor(client: &tokenward_verify::server::Client) -> By {
    client.by(Actor::Visitor)
}
