//! Organizations: those the caller belongs to.

use std::collections::HashSet;
use std::sync::Arc;

use tokenward_core::caller::{Caller, Grant};
use tokenward_core::email;
use tokenward_core::error::Faults;
use tokenward_core::event::{Event, Kind, OrganizationSnapshot};
use tokenward_core::name::{check_description, check_email, check_name, fold};
use tokenward_core::organization::Plan;
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::organizations::{self, Organization};
use tokenward_store::{accounts, members};

use super::organization_creators::OrganizationCreators;
use super::set_up::insert_organization;
use super::{App, IfMatch, Written, proof};
use crate::limits::{ADMIN_EMAILS, ORGANIZATIONS};

/// A change of an organization: what is `None` stays; an inner `None` takes the value out.
#[derive(Clone, Default, Debug)]
pub struct OrganizationChange {
    /// The name.
    pub name: Option<String>,
    /// The description.
    pub description: Option<Option<String>>,
    /// The plan, in the word of the contract.
    pub plan: Option<String>,
    /// The address of the web site.
    pub website_url: Option<Option<String>>,
    /// The address of the repository.
    pub repository: Option<Option<String>>,
    /// The address of a logo.
    pub logo_url: Option<Option<String>>,
    /// The address of an icon.
    pub icon_url: Option<Option<String>>,
    /// Whom to write to.
    pub admin_emails: Option<Option<Vec<String>>>,
    /// Whether it refuses sessions that were given to another machine by a code.
    pub forbids_device: Option<bool>,
}

/// The organizations that the caller belongs to.
pub async fn list(app: &Arc<App>, caller: &Caller) -> Result<Vec<Organization>> {
    // Also those that ask for another sign-in: what a list leaves out, clients take to be gone.
    let directory = app.verifier.directory();
    let ids: Vec<Uuid> = caller.memberships(&directory).map(|organization| organization.id).collect();
    let open: HashSet<Uuid> = caller.organizations(&directory).map(|organization| organization.id).collect();
    drop(directory);
    let mut reader = app.store.read().await?;
    let mut all = organizations::by_id(reader.conn(), &ids).await?;
    for closed in all.iter_mut().filter(|it| !open.contains(&it.id)) {
        // Of these the name says where to sign in, and no more.
        (closed.description, closed.website_url, closed.repository) = (None, None, None);
        (closed.logo_url, closed.icon_url, closed.admin_emails) = (None, None, None);
    }
    Ok(all)
}

/// The organization of the grant.
pub async fn get(app: &Arc<App>, grant: &Grant) -> Result<Organization> {
    let mut reader = app.read_for(grant).await?;
    organizations::get(reader.conn(), grant).await
}

/// Changes the organization.
pub async fn update(
    app: &Arc<App>,
    grant: Grant,
    change: OrganizationChange,
    if_match: IfMatch,
) -> Result<Written<Organization>> {
    let plan = check(&change)?;
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let old = organizations::get(tx.conn(), grant).await?;
            if_match.check(old.updated_at)?;
            let mut new = old.clone();
            apply(&mut new, change, plan)?;
            new.updated_at = tx.next_version(old.updated_at);
            organizations::update(tx, grant, &new).await?;
            let event = Event::new(Kind::OrganizationUpdated, Some(new.id), new.id, &new.name)
                .before(snapshot(&old))
                .after(snapshot(&new));
            let mut events = vec![event];
            if new.forbids_device != old.forbids_device {
                // It takes sessions away, or lets them in: that is waited for, and noted where no older copy undoes it.
                events.push(Event::new(Kind::SignInPolicyUpdated, Some(new.id), new.id, &new.name));
            }
            Ok((new, events))
        })
    })
    .await
}

/// Makes an organization, which the calling user owns, where that is one who may. Tokens cannot: `user_required`.
pub async fn create(app: &Arc<App>, caller: &Caller, change: OrganizationChange) -> Result<Written<Organization>> {
    let person = caller.person()?;
    let plan = check(&change)?;
    let (organization_creators, limits) = (app.live().organization_creators, app.limits.clone());
    {
        // A role counts for this, too, only in a session that proves what its organization asks.
        let directory = app.verifier.directory();
        let by_role = matches!(organization_creators, OrganizationCreators::Admins);
        if by_role && !organization_creators.would_let(caller, &directory) {
            for own in directory.organizations().filter(|it| it.role_of(person.account()).is_some()) {
                caller.organization(&directory, own.id)?;
            }
        }
    }
    let wanted = change.name.clone().unwrap_or_default();
    let written = app
        .write(person, move |tx, person| {
            Box::pin(async move {
                organization_creators.require(tx, person.account()).await?;
                let count = members::count_owned(tx.conn(), person.account()).await?;
                limits.room(&ORGANIZATIONS, count, "You own as many organizations as")?;
                let id = tx.new_id();
                let name = change.name.clone().unwrap_or_default();
                let owner =
                    accounts::get(tx.conn(), person.account()).await?.ok_or_else(|| Error::not_found("account"))?;
                let (_, mut events) = insert_organization(tx, id, &name, owner.id, &owner.email).await?;
                let mut rows = organizations::by_id(tx.conn(), &[id]).await?;
                let mut organization = rows.pop().ok_or_else(|| Error::internal("a new organization is missing"))?;
                apply(&mut organization, change, plan)?;
                organizations::complete(tx, &organization).await?;
                if let Some(event) = events.first_mut() {
                    event.after = Some(snapshot(&organization).into());
                }
                Ok((organization, events))
            })
        })
        .await;
    written.map_err(|error| match error.code {
        Code::NameTaken => {
            let directory = app.verifier.directory();
            let holder = caller.organizations(&directory).find(|own| fold(&own.name) == fold(&wanted));
            error.held_by(holder.map(|own| own.id))
        }
        _ => error,
    })
}

/// Deletes the organization with all that belongs to it. Its tokens are refused from the moment this answers. Needs a
/// fresh proof.
pub async fn delete(app: &Arc<App>, grant: Grant) -> Result<Written<()>> {
    let proof = proof::lifetime(app);
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            grant.require_proof(proof, tx.now())?;
            let organization = organizations::get(tx.conn(), grant).await?;
            let now = tx.now();
            organizations::delete(tx, grant, now).await?;
            let event =
                Event::new(Kind::OrganizationDeleted, Some(organization.id), organization.id, &organization.name)
                    .before(snapshot(&organization));
            Ok(((), vec![event]))
        })
    })
    .await
}

/// Answers the plan.
fn check(change: &OrganizationChange) -> Result<Option<Plan>> {
    let mut faults = Faults::default();
    if let Some(name) = &change.name {
        faults.check("name", check_name(name));
    }
    if let Some(Some(description)) = &change.description {
        faults.check("description", check_description(description));
    }
    let plan = change.plan.as_deref().and_then(|plan| faults.read("plan", Plan::parse(plan)));
    let urls = [
        ("website_url", &change.website_url),
        ("repository", &change.repository),
        ("logo_url", &change.logo_url),
        ("icon_url", &change.icon_url),
    ];
    for (field, value) in urls {
        if let Some(Some(value)) = value {
            faults.check(field, check_description(value));
        }
    }
    if let Some(Some(emails)) = &change.admin_emails {
        match ADMIN_EMAILS.check_list(emails) {
            Ok(()) => emails.iter().for_each(|email| faults.check("admin_emails", check_email(&email::ascii(email)))),
            Err(problem) => faults.push("admin_emails", problem),
        }
    }
    faults.finish()?;
    Ok(plan)
}

fn apply(organization: &mut Organization, change: OrganizationChange, plan: Option<Plan>) -> Result<()> {
    let OrganizationChange { name, description, website_url, repository, logo_url, icon_url, admin_emails, .. } =
        change;
    organization.forbids_device = change.forbids_device.unwrap_or(organization.forbids_device);
    if let Some(name) = name {
        organization.name = name;
    }
    if let Some(plan) = plan {
        organization.plan = plan;
    }
    let optional = [
        (&mut organization.description, description),
        (&mut organization.website_url, website_url),
        (&mut organization.repository, repository),
        (&mut organization.logo_url, logo_url),
        (&mut organization.icon_url, icon_url),
    ];
    for (field, value) in optional {
        if let Some(value) = value {
            *field = value;
        }
    }
    if let Some(emails) = admin_emails {
        let emails = emails.map(|all| all.iter().map(|it| email::ascii(it).into_owned()).collect::<Vec<_>>());
        let text = emails.map(|emails| serde_json::to_string(&emails)).transpose();
        organization.admin_emails = text.map_err(Error::internal)?;
    }
    Ok(())
}

/// The addresses that the row keeps as JSON.
#[must_use]
pub fn admin_emails(organization: &Organization) -> Option<Vec<String>> {
    organization.admin_emails.as_deref().and_then(|text| serde_json::from_str(text).ok())
}

fn snapshot(o: &Organization) -> OrganizationSnapshot {
    OrganizationSnapshot {
        name: o.name.clone(),
        description: o.description.clone(),
        plan: o.plan,
        website_url: o.website_url.clone(),
        repository: o.repository.clone(),
        logo_url: o.logo_url.clone(),
        icon_url: o.icon_url.clone(),
        admin_emails: admin_emails(o),
        forbids_device: o.forbids_device,
    }
}
