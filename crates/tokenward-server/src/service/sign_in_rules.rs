//! The rules of an organization about a provider's people: who writes them, and what they do when somebody signs in.
//!
//! A membership that a rule made follows it at each sign-in by its provider, and ends when none fits any more. What a person made
//! is never touched, and where the provider does not say its claim nothing is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::{
    Actor, By, Event, Kind, MemberSnapshot, SignInRuleSnapshot, SignInRulesSnapshot, UserSnapshot,
};
use tokenward_core::name::check_actor_name;
use tokenward_core::right::{Right as _, Visitor};
use tokenward_core::role::Role;
use tokenward_core::sign_in::{SignInRule, first_match};
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::accounts::{self, Account};
use tokenward_store::members::{self, Member, Membership};
use tokenward_store::sign_in_rules::{self, RuleRow};
use tokenward_store::{Tx, identities, organizations, roles};
use tokenward_verify::server::Client;

use super::identities::{ByProvider, linked};
use super::invitations::end_sent_by;
use super::token_hand_over::Owned;
use super::{App, IfMatch, Written, members as service, proof};
use crate::issuer::{Groups, Provider};
use crate::limits::{Limits, MEMBERS, SIGN_IN_RULE_VALUE, SIGN_IN_RULES};

/// Rules, and since when the organization's row is as it is.
#[derive(Clone, Debug)]
pub struct VersionedSignInRules {
    /// The rules, in their order.
    pub rules: Vec<RuleRow>,
    /// The version for `If-Match`: that of the organization.
    pub updated_at: Time,
}

/// A rule without what its role is called.
#[must_use]
pub fn plain(row: &RuleRow) -> SignInRule {
    row.rule()
}

/// The rules.
pub async fn get(app: &Arc<App>, grant: &Grant) -> Result<VersionedSignInRules> {
    let mut reader = app.read_for(grant).await?;
    let rules = sign_in_rules::list(reader.conn(), grant.organization()).await?;
    let updated_at = organizations::get(reader.conn(), grant).await?.updated_at;
    Ok(VersionedSignInRules { rules, updated_at })
}

/// Why an organization writes no rule for a provider.
const NOT_OPEN: &str =
    "takes no rules of this organization: whoever runs this server names it in `rules_for` of the provider";

/// May an organization write rules for a provider that is set up for these? Whoever runs the server knows whom a provider knows;
/// anybody who may make an organization could otherwise pull all of its people into it, and see when they sign in. So where nothing
/// is said it is the one that the operator made, the first.
fn may_write(rules_for: &[Uuid], organization: Uuid, first: Option<Uuid>) -> bool {
    if rules_for.is_empty() { first == Some(organization) } else { rules_for.contains(&organization) }
}

/// Do its rules count? Where nothing is said, also those that were written before.
fn counts(rules_for: &[Uuid], organization: Uuid) -> bool {
    rules_for.is_empty() || rules_for.contains(&organization)
}

/// The providers that say groups and for which the organization may write rules, by their keys.
pub async fn open_to(app: &App, grant: &Grant) -> Result<HashSet<String>> {
    let mut reader = app.store.read().await?;
    let first = organizations::first(reader.conn()).await?;
    let may = |it: &&Provider| it.groups_claim().is_some() && may_write(it.rules_for(), grant.organization(), first);
    Ok(app.providers.iter().filter(may).map(|it| it.key.clone()).collect())
}

/// Writes the rules in the place of those before. None may give more than the caller has, and the caller must have proved a moment
/// ago to sit there. They count from the next sign-in of each person on.
pub async fn set(
    app: &Arc<App>,
    grant: Grant,
    rules: Vec<SignInRule>,
    if_match: IfMatch,
) -> Result<Written<VersionedSignInRules>> {
    check(app, &rules)?;
    let within = proof::lifetime(app);
    let rules_for: HashMap<String, Vec<Uuid>> =
        app.providers.iter().map(|it| (it.key.clone(), it.rules_for().to_vec())).collect();
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            grant.require_proof(within, tx.now())?;
            let mut faults = Faults::default();
            let before = sign_in_rules::list(tx.conn(), grant.organization()).await?;
            let first = organizations::first(tx.conn()).await?;
            for (at, rule) in rules.iter().enumerate() {
                let may = rules_for.get(&rule.provider).is_some_and(|of| may_write(of, grant.organization(), first));
                // What stands there may stay, and go.
                if !may && !before.iter().any(|it| it.rule() == *rule) {
                    faults.push(format!("rules[{at}].provider"), NOT_OPEN);
                }
            }
            for (at, rule) in rules.iter().enumerate() {
                // All that is wrong at once; more than the caller has is an answer of its own.
                match roles::assignable(tx, grant, "role_id", rule.role_id).await {
                    Ok(_) => {}
                    Err(error) if error.code == Code::InvalidRequest => {
                        for fault in error.faults {
                            faults.push(format!("rules[{at}].role_id"), fault.problem);
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
            faults.finish()?;
            let organization = organizations::get(tx.conn(), grant).await?;
            if_match.check(organization.updated_at)?;
            sign_in_rules::replace(tx, grant, &rules).await?;
            let updated_at = tx.next_version(organization.updated_at);
            sign_in_rules::touch(tx, grant, updated_at).await?;
            let after = sign_in_rules::list(tx.conn(), grant.organization()).await?;
            let event = changed(grant, &organization.name, &before, &after);
            Ok((VersionedSignInRules { rules: after, updated_at }, vec![event]))
        })
    })
    .await
}

/// What can be said of rules without the rows.
fn check(app: &App, rules: &[SignInRule]) -> Result<()> {
    let mut faults = Faults::default();
    if let Err(problem) = SIGN_IN_RULES.check_list(rules) {
        faults.push("rules", problem);
    }
    let mut seen = HashSet::new();
    for (at, rule) in rules.iter().enumerate().take(SIGN_IN_RULES.size()) {
        let field = |name: &str| format!("rules[{at}].{name}");
        match app.providers.get(&rule.provider) {
            Err(_) => {
                faults.push(field("provider"), "is no provider of this server; name one by its key, such as `corp`")
            }
            Ok(provider) if provider.groups_claim().is_none() => faults.push(
                field("provider"),
                "names no claim for groups: whoever runs this server sets `groups_claim` for it",
            ),
            Ok(_) => {}
        }
        if rule.value.trim().is_empty() || rule.value.contains(char::is_control) {
            faults.push(
                field("value"),
                "is empty, or holds a control character; write what the provider says, such as a group",
            );
        } else {
            faults.check(&field("value"), SIGN_IN_RULE_VALUE.check_text(&rule.value));
        }
        if !seen.insert((&rule.provider, &rule.value)) {
            faults.push(field("value"), "stands there twice: only the first would ever count");
        }
    }
    faults.finish()
}

fn changed(grant: &Grant, name: &str, before: &[RuleRow], after: &[RuleRow]) -> Event {
    let snapshot = |rules: &[RuleRow]| SignInRulesSnapshot {
        rules: rules
            .iter()
            .map(|rule| SignInRuleSnapshot {
                provider: rule.provider.clone(),
                value: rule.value.clone(),
                role_id: rule.role_id,
                role_name: rule.role_name.clone(),
            })
            .collect(),
    };
    let organization = grant.organization();
    let event = Event::new(Kind::SignInRulesUpdated, Some(organization), organization, name);
    event.before(snapshot(before)).after(snapshot(after))
}

/// Takes the rules for a role back which goes, or lets them give another one.
pub(super) async fn leave_role(tx: &mut Tx, grant: &Grant, role: Uuid, to: Option<Uuid>) -> Result<Vec<Event>> {
    let before = sign_in_rules::list(tx.conn(), grant.organization()).await?;
    if !sign_in_rules::leave_role(tx, grant, role, to).await? {
        return Ok(Vec::new());
    }
    let after = sign_in_rules::list(tx.conn(), grant.organization()).await?;
    let name = organizations::get(tx.conn(), grant).await?.name;
    Ok(vec![changed(grant, &name, &before, &after)])
}

/// What a rule would give, for whom signs in to try it.
#[derive(Clone, Debug)]
pub struct Gives {
    /// The organization.
    pub organization: Uuid,
    /// What it is called.
    pub name: String,
    /// The rule that fits first; `None` where none does.
    pub rule: Option<RuleRow>,
}

/// What the rules of these organizations would give somebody of whom a provider says these groups.
pub async fn would_give(app: &App, key: &str, groups: &Groups, among: &[Uuid]) -> Result<Vec<Gives>> {
    let Groups::These(values) = groups else { return Ok(Vec::new()) };
    let rules_for = app.providers.get(key)?.rules_for();
    let mut reader = app.store.read().await?;
    let names = organizations::names(reader.conn(), Some(among)).await?;
    let mut all = Vec::new();
    for (organization, name) in names {
        let rules = sign_in_rules::list(reader.conn(), organization).await?;
        if rules.iter().any(|rule| rule.provider == key) {
            let rule = counts(rules_for, organization).then(|| fitting(&rules, key, values)).flatten();
            all.push(Gives { organization, name, rule });
        }
    }
    Ok(all)
}

fn fitting(rules: &[RuleRow], key: &str, values: &[String]) -> Option<RuleRow> {
    let plain: Vec<SignInRule> = rules.iter().map(RuleRow::rule).collect();
    let found = first_match(&plain, key, values)?;
    rules.iter().find(|row| row.provider == found.provider && row.value == found.value).cloned()
}

/// What a provider says at a sign-in, and whose rules count for it.
#[derive(Clone)]
struct ClaimedGroups {
    key: String,
    values: Arc<[String]>,
    rules_for: Arc<[Uuid]>,
}

impl ClaimedGroups {
    fn by(app: &App, key: &str, values: &[String]) -> Result<Self> {
        let rules_for = app.providers.get(key)?.rules_for().into();
        Ok(Self { key: key.to_owned(), values: values.into(), rules_for })
    }
}

/// What a sign-in changes in one organization.
enum SignInChange {
    /// It makes a membership.
    Join(RuleRow),
    /// The membership has another rule, or that another role.
    Move(Box<Member>, RuleRow),
    /// None of them fits any more.
    Leave(Box<Member>),
}

/// What a sign-in by this provider changes for an account, or for one that is to be made.
async fn changes(
    tx: tokenward_store::Conn<'_>,
    account: Option<Uuid>,
    said: &ClaimedGroups,
    by: &By,
) -> Result<Vec<(Uuid, SignInChange)>> {
    let (key, values) = (said.key.as_str(), &*said.values);
    let mut conn = tx;
    let mut all = Vec::new();
    for organization in sign_in_rules::concerned(conn.reborrow(), key, account).await? {
        let rules = sign_in_rules::list(conn.reborrow(), organization).await?;
        let rule = counts(&said.rules_for, organization).then(|| fitting(&rules, key, values)).flatten();
        let grant = Grant::of_rules(organization, by.clone());
        let member = match account {
            Some(account) => members::find(conn.reborrow(), &grant, account).await?,
            None => None,
        };
        let change = match (member, rule) {
            (None, Some(rule)) => SignInChange::Join(rule),
            (None, None) => continue,
            // The owner's, and what a person made.
            (Some(member), _) if member.is_owner || member.rule_provider.is_none() => continue,
            (Some(member), Some(rule)) if follows(&member, &rule) => continue,
            (Some(member), Some(rule)) => SignInChange::Move(Box::new(member), rule),
            // A rule for another provider made it, of which this one says nothing.
            (Some(member), None) if member.rule_provider.as_deref() != Some(key) => continue,
            (Some(member), None) => SignInChange::Leave(Box::new(member)),
        };
        all.push((organization, change));
    }
    Ok(all)
}

/// Is the membership as the rule says?
fn follows(member: &Member, rule: &RuleRow) -> bool {
    member.role_id == rule.role_id
        && member.rule_provider.as_deref() == Some(&rule.provider)
        && member.rule_value.as_deref() == Some(&rule.value)
}

/// Lets the memberships of an account follow what its provider says, before a session begins. Answers the claim that the provider
/// did not say: then nothing is changed.
pub async fn follow(
    app: &Arc<App>,
    account: &Account,
    by: &ByProvider,
    (key, groups): (&str, &Groups),
    client: &Client,
) -> Result<Option<String>> {
    let said = match groups {
        Groups::These(values) => ClaimedGroups::by(app, key, values)?,
        Groups::Absent(claim) => return Ok(Some(claim.clone())),
    };
    let mut reader = app.store.read().await?;
    let visitor = Visitor::new(client.by(Actor::Visitor)).proven(account.id, &account.email);
    let nothing = changes(reader.conn(), Some(account.id), &said, visitor.by()).await?.is_empty();
    drop(reader);
    if nothing {
        return Ok(None);
    }
    let (id, by, limits) = (account.id, by.clone(), app.limits.clone());
    let email = account.email.clone();
    let written = app.write(visitor, move |tx, visitor| {
        Box::pin(async move {
            let identity = identities::find(tx.conn(), &by.issuer, &by.subject).await?;
            if identity.is_none_or(|identity| identity.account_id != id) {
                return Err(Error::new(Code::SignInFailed, "This identity opens no account any more."));
            }
            let found = changes(tx.conn(), Some(id), &said, visitor.by()).await?;
            let (events, left) = carry_out(tx, (id, &email), found, visitor.by(), &limits).await?;
            if events.is_empty() {
                return Err(Error::conflict("Another sign-in has done it."));
            }
            Ok((left, events))
        })
    });
    match written.await {
        Ok(written) => mail_admins(app, &account.email, &written.value).await,
        Err(error) if error.code == Code::Conflict => {}
        Err(error) => return Err(error),
    }
    Ok(None)
}

/// Does what a sign-in changes. Answers the events, and the organizations that were left.
async fn carry_out(
    tx: &mut Tx,
    (account, email): (Uuid, &str),
    all: Vec<(Uuid, SignInChange)>,
    by: &By,
    limits: &Limits,
) -> Result<(Vec<Event>, Vec<Uuid>)> {
    let (mut events, mut left) = (Vec::new(), Vec::new());
    for (organization, change) in all {
        let grant = Grant::of_rules(organization, by.clone());
        match change {
            SignInChange::Join(rule) => {
                let count = members::count(tx.conn(), organization).await?;
                if let Err(error) = limits.room(&MEMBERS, count, "The organization has as many members as") {
                    // The others are not to suffer for it, nor is the person: this one stays closed.
                    tracing::warn!(%organization, %error, "a rule could make nobody a member");
                    continue;
                }
                let now = tx.now();
                let membership =
                    Membership { organization_id: organization, account_id: account, role_id: rule.role_id };
                members::insert(tx, membership, false, now).await?;
                sign_in_rules::mark(tx, &grant, account, Some((&rule.provider, &rule.value)), now).await?;
                let added = Event::new(Kind::MemberAdded, Some(organization), account, email);
                events.push(added.after(snapshot(email, &rule)));
            }
            SignInChange::Move(member, rule) => {
                let version = tx.next_version(member.updated_at);
                if member.role_id != rule.role_id {
                    members::set_role(tx, &grant, account, rule.role_id, version).await?;
                }
                sign_in_rules::mark(tx, &grant, account, Some((&rule.provider, &rule.value)), version).await?;
                let moved = service::event(Kind::MemberUpdated, &grant, &member);
                events.push(moved.before(service::snapshot(&member)).after(snapshot(email, &rule)));
                if holds_less(tx, member.role_id, rule.role_id).await? {
                    events.extend(end_sent_by(tx, &grant, account).await?);
                }
            }
            SignInChange::Leave(member) => {
                // Where they are more than one write may hand over they stay, marked as of an owner who left.
                let owned = Owned::default().settle(tx, &grant, limits, &member, true).await;
                let owned =
                    owned.or_else(|error| if error.code == Code::Conflict { Ok(Vec::new()) } else { Err(error) })?;
                members::delete(tx, &grant, account).await?;
                events.push(service::event(Kind::MemberRemoved, &grant, &member).before(service::snapshot(&member)));
                events.extend(end_sent_by(tx, &grant, account).await?);
                events.extend(owned);
                left.push(organization);
            }
        }
    }
    Ok((events, left))
}

/// Does the role `after` lack something of the one `before`?
async fn holds_less(tx: &mut Tx, before: Uuid, after: Uuid) -> Result<bool> {
    let found = roles::compiled(tx.conn(), Some(&[before, after])).await?;
    let role = |id| found.iter().map(|(_, role)| role).find(|role: &&Role| role.id == id);
    Ok(role(before).zip(role(after)).is_none_or(|(before, after)| before.beyond(after).is_some()))
}

fn snapshot(email: &str, rule: &RuleRow) -> MemberSnapshot {
    MemberSnapshot {
        email: email.to_owned(),
        role_id: rule.role_id,
        role_name: rule.role_name.clone(),
        rule: Some(format!("{}:{}", rule.provider, rule.value)),
    }
}

/// Makes an account for somebody who is new here and whom a rule makes a member; `None` where none does, or where the address that
/// the provider gives is somebody's already, or none is given.
pub async fn first(
    app: &Arc<App>,
    by: &ByProvider,
    (key, groups): (&str, &Groups),
    client: &Client,
) -> Result<Option<Account>> {
    let (Groups::These(values), Some(email)) = (groups, by.email.clone()) else { return Ok(None) };
    let visitor = Visitor::new(client.by(Actor::Visitor));
    let said = ClaimedGroups::by(app, key, values)?;
    let mut reader = app.store.read().await?;
    let nothing = changes(reader.conn(), None, &said, visitor.by()).await?.is_empty();
    let taken = accounts::by_email(reader.conn(), &email).await?.is_some();
    drop(reader);
    if nothing || taken {
        return Ok(None);
    }
    let (by, limits) = (by.clone(), app.limits.clone());
    let made = app.write(visitor, move |tx, visitor| {
        Box::pin(async move {
            if accounts::by_email(tx.conn(), &email).await?.is_some() {
                return Err(Error::conflict("Somebody signs in with this address at this moment. Try again."));
            }
            let now = tx.now();
            let name = by.name.clone().filter(|name| check_actor_name(name).is_ok()).unwrap_or_default();
            let account = Account {
                id: tx.new_id(),
                email,
                name,
                communication_email: None,
                email_proven_at: by.email_proven.then_some(now),
                created_at: now,
                updated_at: now,
            };
            accounts::insert(tx, account.id, &account.email, &account.name, None, now).await?;
            if by.email_proven {
                accounts::prove_email(tx, account.id, now).await?;
            }
            let after = UserSnapshot {
                email: account.email.clone(),
                name: account.name.clone(),
                password_changed: false,
                email_proven: by.email_proven,
            };
            let mut events = vec![Event::new(Kind::UserCreated, None, account.id, &account.email).after(after)];
            events.push(linked(tx, account.id, &by).await?);
            let found = changes(tx.conn(), Some(account.id), &said, visitor.by()).await?;
            let (joined, _) = carry_out(tx, (account.id, &account.email), found, visitor.by(), &limits).await?;
            if joined.is_empty() {
                return Err(Error::conflict(
                    "The rule is gone that would have made you a member. Ask whoever manages the members.",
                ));
            }
            events.extend(joined);
            Ok((account, events))
        })
    });
    Ok(Some(made.await?.value))
}

/// Tells the admins of the organizations that somebody has left them, where mail is set up.
async fn mail_admins(app: &Arc<App>, email: &str, left: &[Uuid]) {
    for organization in left {
        if let Err(error) = super::mail_left::notify(app, *organization, email).await {
            tracing::warn!(%organization, %error, "a mail about a member who left was not sent");
        }
    }
}
