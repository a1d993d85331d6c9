//! What the rest of the product relies on, the same on both engines: each case runs on SQLite and on PostgreSQL.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

#[path = "support/engines.rs"]
mod engines;
#[path = "support/rows.rs"]
mod rows;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use engines::{Bed, Counted, Engine, Org, on_both_engines};
use rows::{
    digest, load, new_account, new_cluster, new_environment, new_project, new_token, new_variable, save, token,
};
use tokenward_core::event::{Actor, By, Event, Kind, Origin};
use tokenward_core::role::{BuiltIn, ClusterLevel, EnvironmentLevel, Matrix, ProjectAccess, Role, RoleKind};
use tokenward_core::time::{DAY, HOUR, MINUTE, SECOND};
use tokenward_core::token::TOMBSTONE;
use tokenward_core::{Code, Result, Time, Uuid};
use tokenward_store::clusters::Cluster;
use tokenward_store::events::Filter;
use tokenward_store::invitations::Invitation;
use tokenward_store::members::Membership;
use tokenward_store::projects::Project;
use tokenward_store::sessions::NewSession;
use tokenward_store::tokens::{IndexRow, NewToken};
use tokenward_store::variables::Owner;
use tokenward_store::{
    Store, Tx, accounts, clusters, environments, events, idempotency, invitations, log, members, organizations,
    peppers, projects, roles, sessions, tokens, variables,
};

on_both_engines!(
    an_organization_is_written_read_and_deleted,
    built_in_roles_belong_to_their_organization,
    a_custom_role_reads_back_as_it_was_written,
    a_role_in_use_cannot_be_deleted,
    an_organization_has_one_owner,
    a_member_is_found_only_in_its_organization,
    an_account_is_known_by_its_address_in_any_case,
    a_session_ends_once_and_only_for_its_user,
    a_sign_in_link_is_spent_once,
    an_invitation_is_one_per_address,
    a_token_is_listed_read_and_revoked,
    a_token_of_another_organization_is_not_found,
    a_name_is_free_once_its_token_is_revoked,
    no_description_is_not_an_empty_one,
    a_digest_is_never_registered_again,
    a_role_of_another_organization_is_refused,
    of_many_revocations_at_once_one_wins,
    of_many_tokens_with_one_name_at_once_one_wins,
    a_revoked_token_stays_in_the_index_as_a_tombstone,
    names_of_projects_and_environments_are_taken_once,
    a_cluster_in_use_cannot_be_deleted,
    a_deleted_project_takes_all_in_it_along,
    a_key_is_taken_once_in_each_place,
    a_deleted_variable_takes_its_aliases_along,
    of_many_requests_with_one_key_one_is_carried_out,
    a_claim_is_forgotten_in_time,
    events_are_filtered,
    events_are_paged_both_ways,
    peppers_are_listed_oldest_first,
    a_rollback_leaves_nothing,
    opening_again_changes_nothing,
    two_processes_can_open_an_empty_database_at_once,
    more_ids_than_a_statement_has_parameters_are_found,
);

#[track_caller]
fn refused<T>(result: Result<T>, code: Code) {
    match result {
        Ok(_) => panic!("expected {code:?}, but it was done"),
        Err(error) => assert_eq!(error.code, code, "{error:?}"),
    }
}

/// Runs the same write in many transactions at once, and counts those that say that it was they.
async fn winners<F>(bed: &Bed, write: impl Fn(Store, usize) -> F) -> usize
where
    F: Future<Output = bool> + Send + 'static,
{
    let tasks: Vec<_> = (0..12).map(|number| tokio::spawn(write(bed.store.clone(), number))).collect();
    let mut won = 0;
    for task in tasks {
        won += usize::from(task.await.unwrap());
    }
    won
}

async fn an_organization_is_written_read_and_deleted(bed: Bed) {
    assert!(!load!(bed, organizations::any).unwrap());
    let (acme, other) = (bed.organization("acme").await, bed.organization("umbrella").await);
    assert!(load!(bed, organizations::any).unwrap());
    let mut read = load!(bed, organizations::get, &acme.grant).unwrap();
    assert_eq!((read.name.as_str(), read.owner, read.description.as_deref()), ("acme", acme.owner, None));

    read.description = Some(String::new());
    read.admin_emails = Some(r#"["a@acme.example"]"#.into());
    read.updated_at += 1;
    refused(save!(bed, tx => organizations::update(&mut tx, &other.grant, &read)), Code::NotFound);
    save!(bed, tx => organizations::update(&mut tx, &acme.grant, &read)).unwrap();
    let again = load!(bed, organizations::get, &acme.grant).unwrap();
    assert_eq!(format!("{again:?}"), format!("{read:?}"));

    // A name that only looks different is taken.
    read.name = "UMBRELLA".into();
    refused(save!(bed, tx => organizations::update(&mut tx, &acme.grant, &read)), Code::NameTaken);
    let ids: Vec<Uuid> = load!(bed, organizations::by_id, &[other.id, acme.id]).unwrap().iter().map(|o| o.id).collect();
    assert_eq!(BTreeSet::from_iter(ids.clone()), BTreeSet::from([acme.id, other.id]));
    assert!(ids.is_sorted());

    bed.pepper(1).await;
    let id = new_token(&bed, &acme, "ci", 1).await.unwrap();
    let now = bed.store.now();
    save!(bed, tx => organizations::delete(&mut tx, &acme.grant, now)).unwrap();
    refused(load!(bed, organizations::get, &acme.grant), Code::NotFound);
    refused(load!(bed, tokens::get, &acme.grant, id), Code::NotFound);
    assert_eq!(load!(bed, organizations::names, None).unwrap(), [(other.id, "umbrella".to_owned())]);
    assert_eq!(load!(bed, tokens::index_rows, &[id]).unwrap()[0].revoked_at, Some(now.0));
    // Its name is free again, and a server that had an organization offers no set-up.
    assert!(load!(bed, organizations::any).unwrap());
    let new = bed.store.new_id();
    save!(bed, tx => organizations::insert(&mut tx, new, "acme", None, "ENTERPRISE", now)).unwrap();
}

async fn built_in_roles_belong_to_their_organization(bed: Bed) {
    let (acme, other) = (bed.organization("acme").await, bed.organization("umbrella").await);
    let of_acme = load!(bed, roles::of_organization, acme.id).unwrap();
    let kinds: BTreeSet<String> = of_acme.iter().map(|(_, role)| role.name.to_string()).collect();
    assert_eq!(kinds, BuiltIn::ALL.iter().map(|role| role.name().to_owned()).collect());
    for ((organization, role), built_in) in acme
        .roles
        .iter()
        .zip(BuiltIn::ALL)
        .map(|(id, built_in)| (of_acme.iter().find(|(_, role)| role.id == *id).unwrap(), built_in))
    {
        assert_eq!((*organization, role.kind), (acme.id, RoleKind::BuiltIn(built_in)));
    }
    assert!(acme.roles.iter().all(|id| !other.roles.contains(id)));
    assert_eq!(load!(bed, roles::compiled, None).unwrap().len(), 12);
    // They are not custom roles: neither listed as such nor deleted nor changed.
    assert!(load!(bed, roles::list, &acme.grant).unwrap().is_empty());
    refused(save!(bed, tx => roles::delete(&mut tx, &acme.grant, acme.roles[4])), Code::NotFound);
}

async fn a_custom_role_reads_back_as_it_was_written(bed: Bed) {
    let (acme, other) = (bed.organization("acme").await, bed.organization("umbrella").await);
    let (project, hidden) =
        (new_project(&bed, &acme, "web").await.unwrap(), new_project(&bed, &acme, "ops").await.unwrap());
    let cluster = new_cluster(&bed, &acme, "main").await.unwrap();
    let mut matrix = Matrix::default();
    matrix.clusters.insert(cluster.id, ClusterLevel::EnvCreator);
    use EnvironmentLevel::{Deployer, Manager, NoAccess, Viewer};
    matrix
        .projects
        .insert(project.id, ProjectAccess { is_admin: false, levels: [Manager, Deployer, Viewer, NoAccess] });
    matrix.projects.insert(hidden.id, ProjectAccess { is_admin: true, levels: [NoAccess; 4] });
    let role = Role::custom(bed.store.new_id(), "Release", &["event:read", "invoices:*"], matrix).unwrap();
    let now = bed.store.now();
    save!(bed, tx => roles::insert(&mut tx, &acme.grant, &role, "Ships it", now)).unwrap();
    let (read, about) = load!(bed, roles::get, &acme.grant, role.id).unwrap();
    assert_eq!((&read, about.description.as_str(), about.created_at), (&role, "Ships it", now.0));
    refused(load!(bed, roles::get, &other.grant, role.id), Code::NotFound);

    let again = Role::custom(bed.store.new_id(), "release", &[] as &[&str], Matrix::default()).unwrap();
    refused(save!(bed, tx => roles::insert(&mut tx, &acme.grant, &again, "", now)), Code::NameTaken);
    save!(bed, tx => roles::insert(&mut tx, &other.grant, &again, "", now)).unwrap();

    let mut matrix = Matrix::default();
    matrix.projects.insert(project.id, ProjectAccess { is_admin: false, levels: [Viewer; 4] });
    let changed = Role::custom(role.id, "Reader", &["token:verify"], matrix).unwrap();
    save!(bed, tx => roles::update(&mut tx, &acme.grant, &changed, "", now.0 + 5)).unwrap();
    let listed = load!(bed, roles::list, &acme.grant).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].0, listed[0].1.updated_at, listed[0].1.created_at), (&changed, now.0 + 5, now.0));

    // A matrix cannot name what belongs to another organization.
    let foreign = new_project(&bed, &other, "foreign").await.unwrap();
    let mut matrix = Matrix::default();
    matrix.projects.insert(foreign.id, ProjectAccess::ADMIN);
    let reaching = Role::custom(bed.store.new_id(), "Reaching", &[] as &[&str], matrix).unwrap();
    refused(save!(bed, tx => roles::insert(&mut tx, &acme.grant, &reaching, "", now)), Code::Conflict);
    save!(bed, tx => roles::delete(&mut tx, &acme.grant, role.id)).unwrap();
    refused(load!(bed, roles::get, &acme.grant, role.id), Code::NotFound);
}

async fn a_role_in_use_cannot_be_deleted(bed: Bed) {
    let org = bed.organization("acme").await;
    bed.pepper(1).await;
    let now = bed.store.now();
    let role = Role::custom(bed.store.new_id(), "Release", &[] as &[&str], Matrix::default()).unwrap();
    save!(bed, tx => roles::insert(&mut tx, &org.grant, &role, "", now)).unwrap();
    let id = bed.store.new_id();
    save!(bed, tx => tokens::insert(&mut tx, &org.grant, &token(id, role.id, "ci", 1), now)).unwrap();
    assert_eq!(load!(bed, roles::users, &org.grant, role.id).unwrap(), ["token `ci`"]);
    refused(save!(bed, tx => roles::delete(&mut tx, &org.grant, role.id)), Code::Conflict);
    // A revoked token is no user of it, and its tombstone stays.
    save!(bed, tx => tokens::revoke(&mut tx, &org.grant, id, now)).unwrap();
    assert!(load!(bed, roles::users, &org.grant, role.id).unwrap().is_empty());
    save!(bed, tx => roles::delete(&mut tx, &org.grant, role.id)).unwrap();
    let rows = load!(bed, tokens::index_rows, &[id]).unwrap();
    assert_eq!((rows[0].role_id, rows[0].revoked_at), (None, Some(now.0)));
}

async fn an_organization_has_one_owner(bed: Bed) {
    let org = bed.organization("acme").await;
    let now = bed.store.now();
    let second = new_account(&bed, "second@acme.example").await.unwrap();
    let membership = |role_id| Membership { organization_id: org.id, account_id: second, role_id };
    assert!(save!(bed, tx => members::insert(&mut tx, membership(org.roles[0]), true, now)).is_err());
    save!(bed, tx => members::insert(&mut tx, membership(org.roles[1]), false, now)).unwrap();
    assert!(save!(bed, tx => members::set_role(&mut tx, &org.grant, second, org.roles[0], true, now)).is_err());
    assert_eq!(load!(bed, organizations::get, &org.grant).unwrap().owner, org.owner);
    // Handing over is two steps in one transaction.
    save!(bed, tx => async {
        members::set_role(&mut tx, &org.grant, org.owner, org.roles[1], false, now).await?;
        members::set_role(&mut tx, &org.grant, second, org.roles[0], true, now).await
    })
    .unwrap();
    assert_eq!(load!(bed, organizations::get, &org.grant).unwrap().owner, second);
    refused(save!(bed, tx => members::delete(&mut tx, &org.grant, second)), Code::NotFound);
    save!(bed, tx => members::delete(&mut tx, &org.grant, org.owner)).unwrap();
}

async fn a_member_is_found_only_in_its_organization(bed: Bed) {
    let (acme, other) = (bed.organization("acme").await, bed.organization("umbrella").await);
    let now = bed.store.now();
    refused(load!(bed, members::get, &acme.grant, other.owner), Code::NotFound);
    refused(save!(bed, tx => members::delete(&mut tx, &acme.grant, other.owner)), Code::NotFound);
    refused(
        save!(bed, tx => members::set_role(&mut tx, &acme.grant, other.owner, acme.roles[1], false, now)),
        Code::NotFound,
    );
    let foreign = Membership { organization_id: acme.id, account_id: other.owner, role_id: other.roles[1] };
    refused(save!(bed, tx => members::insert(&mut tx, foreign, false, now)), Code::Conflict);
    let own = Membership { role_id: acme.roles[4], ..foreign };
    save!(bed, tx => members::insert(&mut tx, own, false, now.plus(1))).unwrap();
    assert!(save!(bed, tx => members::insert(&mut tx, own, false, now)).is_err(), "a member twice");
    let listed = load!(bed, members::list, &acme.grant).unwrap();
    let read: Vec<_> = listed.iter().map(|m| (m.account_id, m.role_name.as_str(), m.is_owner)).collect();
    assert_eq!(read, [(acme.owner, "owner", true), (other.owner, "viewer", false)]);
    assert_eq!(load!(bed, members::memberships, Some(acme.id)).unwrap().len(), 2);
    assert_eq!(load!(bed, members::memberships, None).unwrap().len(), 3);
}

async fn an_account_is_known_by_its_address_in_any_case(bed: Bed) {
    let id = new_account(&bed, "Ada@Example.com").await.unwrap();
    let found = load!(bed, accounts::by_email, "ADA@EXAMPLE.COM").unwrap().unwrap();
    assert_eq!((found.id, found.email.as_str()), (id, "Ada@Example.com"));
    refused(new_account(&bed, "ada@example.com").await, Code::NameTaken);
    assert!(load!(bed, accounts::by_email, "ada@example.org").unwrap().is_none());
    assert_eq!(load!(bed, accounts::password_hash, id).unwrap(), None);
    let now = bed.store.now().plus(SECOND);
    save!(bed, tx => async {
        accounts::set_password(&mut tx, id, "$argon2id$", now).await?;
        accounts::update(&mut tx, id, "Ada", Some("mail@example.com"), now).await?;
        accounts::touch(&mut tx, id, now).await
    })
    .unwrap();
    assert_eq!(load!(bed, accounts::password_hash, id).unwrap().as_deref(), Some("$argon2id$"));
    let read = load!(bed, accounts::get, id).unwrap().unwrap();
    assert_eq!(
        (read.name.as_str(), read.communication_email.as_deref(), read.updated_at),
        ("Ada", Some("mail@example.com"), now.0)
    );
}

async fn a_session_ends_once_and_only_for_its_user(bed: Bed) {
    bed.pepper(1).await;
    let (ada, bob) =
        (new_account(&bed, "ada@x.example").await.unwrap(), new_account(&bed, "bob@x.example").await.unwrap());
    let session = |id, account, number: u8, hours: i64| NewSession {
        id,
        account,
        digest: digest(number),
        pepper_version: 1,
        console: number == 1,
        expires_at: bed.store.now().plus(hours * HOUR),
        address: Some("192.0.2.7".into()),
        user_agent: None,
    };
    let ids: Vec<Uuid> = (0..4).map(|_| bed.store.new_id()).collect();
    let now = bed.store.now();
    for (place, (account, hours)) in [(ada, 1), (ada, 12), (ada, 12), (bob, 12)].into_iter().enumerate() {
        let new = session(ids[place], account, place as u8 + 1, hours);
        save!(bed, tx => sessions::insert(&mut tx, &new, now)).unwrap();
    }
    assert!(save!(bed, tx => sessions::insert(&mut tx, &session(bed.store.new_id(), bob, 1, 1), now)).is_err());
    assert_eq!(load!(bed, sessions::all).unwrap().len(), 4);
    let first = load!(bed, sessions::of_accounts, &[ada]).unwrap().into_iter().find(|s| s.id == ids[0]).unwrap();
    assert_eq!((first.console, first.email.as_str(), first.digest.as_slice()), (true, "ada@x.example", &[1u8; 32][..]));
    assert_eq!((first.address.as_deref(), first.user_agent), (Some("192.0.2.7"), None));
    assert!(!save!(bed, tx => sessions::delete(&mut tx, bob, ids[1])).unwrap(), "somebody else's session was ended");
    assert!(save!(bed, tx => sessions::delete(&mut tx, ada, ids[1])).unwrap());
    assert!(!save!(bed, tx => sessions::delete(&mut tx, ada, ids[1])).unwrap());
    // A new session sweeps out those that have ended.
    bed.wait(2 * HOUR);
    let (new, later) = (bed.store.new_id(), bed.store.now());
    save!(bed, tx => sessions::insert(&mut tx, &session(new, ada, 9, 12), later)).unwrap();
    let left = |sessions: Vec<sessions::Session>| sessions.iter().map(|s| s.id).collect::<BTreeSet<_>>();
    assert_eq!(left(load!(bed, sessions::of_accounts, &[ada, bob]).unwrap()), BTreeSet::from([ids[2], ids[3], new]));
    save!(bed, tx => sessions::delete_others(&mut tx, ada, Some(new))).unwrap();
    assert_eq!(left(load!(bed, sessions::all).unwrap()), BTreeSet::from([ids[3], new]));
}

async fn a_sign_in_link_is_spent_once(bed: Bed) {
    let ada = new_account(&bed, "ada@x.example").await.unwrap();
    let (id, now) = (bed.store.new_id(), bed.store.now());
    save!(bed, tx => accounts::insert_link(&mut tx, id, ada, &[1; 32], now.plus(HOUR), now)).unwrap();
    assert_eq!(load!(bed, accounts::find_link, &[1; 32], now).unwrap(), Some(ada));
    assert_eq!(load!(bed, accounts::find_link, &[2; 32], now).unwrap(), None);
    assert_eq!(load!(bed, accounts::find_link, &[1; 32], now.plus(HOUR)).unwrap(), None);
    assert_eq!(save!(bed, tx => accounts::take_link(&mut tx, &[1; 32], now.plus(HOUR))).unwrap(), None);
    let won = winners(&bed, |store, _| async move {
        let mut tx = store.begin().await.unwrap();
        let taken = accounts::take_link(&mut tx, &[1; 32], now).await.unwrap();
        tx.commit_unlogged().await.unwrap();
        taken.is_some()
    })
    .await;
    assert_eq!(won, 1);
    assert_eq!(load!(bed, accounts::find_link, &[1; 32], now).unwrap(), None);
}

async fn an_invitation_is_one_per_address(bed: Bed) {
    let (acme, other) = (bed.organization("acme").await, bed.organization("umbrella").await);
    let now = bed.store.now();
    let invitation = |email: &str, role_id| Invitation {
        id: bed.store.new_id(),
        organization_id: acme.id,
        organization_name: "acme".into(),
        email: email.into(),
        role_id,
        role_name: String::new(),
        role_kind: String::new(),
        inviter: "owner@acme.example".into(),
        expires_at: bed.store.now().plus(DAY).0,
        created_at: bed.store.now().0,
        updated_at: bed.store.now().0,
    };
    let first = invitation("Ada@Example.com", acme.roles[4]);
    save!(bed, tx => invitations::insert(&mut tx, &acme.grant, &first, &[1; 32], now)).unwrap();
    let again = invitation("ada@example.com", acme.roles[4]);
    refused(save!(bed, tx => invitations::insert(&mut tx, &acme.grant, &again, &[2; 32], now)), Code::Conflict);
    let foreign = invitation("bob@example.com", other.roles[4]);
    refused(save!(bed, tx => invitations::insert(&mut tx, &acme.grant, &foreign, &[3; 32], now)), Code::Conflict);

    let read = load!(bed, invitations::get, &acme.grant, first.id).unwrap();
    assert_eq!(
        (read.organization_name.as_str(), read.role_name.as_str(), read.email.as_str()),
        ("acme", "viewer", "Ada@Example.com")
    );
    refused(load!(bed, invitations::get, &other.grant, first.id), Code::NotFound);
    assert!(load!(bed, invitations::by_link, first.id, &[9; 32], now).unwrap().is_none());
    assert!(load!(bed, invitations::by_link, first.id, &[1; 32], now.plus(DAY)).unwrap().is_none());
    assert!(load!(bed, invitations::by_link, first.id, &[1; 32], now).unwrap().is_some());
    save!(bed, tx => invitations::renew(&mut tx, &acme.grant, first.id, &[4; 32], now.plus(2 * DAY), now)).unwrap();
    assert!(load!(bed, invitations::by_link, first.id, &[1; 32], now).unwrap().is_none(), "the old link still works");
    assert!(load!(bed, invitations::by_link, first.id, &[4; 32], now.plus(DAY)).unwrap().is_some());

    assert!(!save!(bed, tx => invitations::delete(&mut tx, other.id, first.id)).unwrap());
    // One that has expired gives way to a new one.
    bed.wait(2 * DAY);
    let later = bed.store.now();
    save!(bed, tx => invitations::insert(&mut tx, &acme.grant, &again, &[5; 32], later)).unwrap();
    let listed = load!(bed, invitations::list, &acme.grant).unwrap();
    assert_eq!(listed.iter().map(|i| i.id).collect::<Vec<_>>(), [again.id]);
    let (organization, id) = (acme.id, again.id);
    let won = winners(&bed, move |store, _| async move {
        let mut tx = store.begin().await.unwrap();
        let gone = invitations::delete(&mut tx, organization, id).await.unwrap();
        tx.commit_unlogged().await.unwrap();
        gone
    })
    .await;
    assert_eq!(won, 1);
}

async fn a_token_is_listed_read_and_revoked(bed: Bed) {
    let org = bed.organization("acme").await;
    bed.pepper(1).await;
    let (id, now) = (bed.store.new_id(), bed.store.now());
    let new = NewToken {
        expires_at: Some(now.plus(DAY)),
        description: Some("For the pipeline"),
        ..token(id, org.roles[2], "ci", 1)
    };
    save!(bed, tx => tokens::insert(&mut tx, &org.grant, &new, now)).unwrap();
    let second = new_token(&bed, &org, "deploy", 2).await.unwrap();
    let read = load!(bed, tokens::get, &org.grant, id).unwrap();
    assert_eq!(
        (read.id, read.organization_id, read.role_id, read.role_name.as_str()),
        (id, org.id, org.roles[2], "devops")
    );
    assert_eq!((read.name.as_str(), read.description.as_deref()), ("ci", Some("For the pipeline")));
    assert_eq!((read.creator_name.as_deref(), read.last_four.as_str()), (Some("operator"), "wxyz"));
    assert_eq!((read.created_at, read.updated_at, read.expires_at), (now, now, Some(now.plus(DAY))));
    let listed = load!(bed, tokens::list, &org.grant).unwrap();
    assert_eq!(listed.iter().map(|t| t.id).collect::<Vec<_>>(), [id, second]);
    assert_eq!(listed[0], read);

    save!(bed, tx => tokens::revoke(&mut tx, &org.grant, id, now)).unwrap();
    refused(load!(bed, tokens::get, &org.grant, id), Code::NotFound);
    refused(save!(bed, tx => tokens::revoke(&mut tx, &org.grant, id, now)), Code::NotFound);
    assert_eq!(load!(bed, tokens::list, &org.grant).unwrap().iter().map(|t| t.id).collect::<Vec<_>>(), [second]);
}

async fn a_token_of_another_organization_is_not_found(bed: Bed) {
    let (acme, other) = (bed.organization("acme").await, bed.organization("umbrella").await);
    bed.pepper(1).await;
    let id = new_token(&bed, &acme, "ci", 1).await.unwrap();
    let now = bed.store.now();
    refused(load!(bed, tokens::get, &other.grant, id), Code::NotFound);
    refused(save!(bed, tx => tokens::revoke(&mut tx, &other.grant, id, now)), Code::NotFound);
    assert!(load!(bed, tokens::list, &other.grant).unwrap().is_empty());
    assert!(load!(bed, tokens::get, &acme.grant, id).is_ok());
    // The same name in another organization is no conflict.
    new_token(&bed, &other, "ci", 2).await.unwrap();
}

async fn a_name_is_free_once_its_token_is_revoked(bed: Bed) {
    let org = bed.organization("acme").await;
    bed.pepper(1).await;
    let id = new_token(&bed, &org, "ci", 1).await.unwrap();
    let taken = new_token(&bed, &org, "ci", 2).await.unwrap_err();
    assert_eq!(taken.code, Code::NameTaken);
    assert!(taken.detail.contains("`ci`"), "{}", taken.detail);
    let now = bed.store.now();
    save!(bed, tx => tokens::revoke(&mut tx, &org.grant, id, now)).unwrap();
    let again = new_token(&bed, &org, "ci", 2).await.unwrap();
    assert_eq!(load!(bed, tokens::list, &org.grant).unwrap().iter().map(|t| t.id).collect::<Vec<_>>(), [again]);
}

async fn no_description_is_not_an_empty_one(bed: Bed) {
    let org = bed.organization("acme").await;
    bed.pepper(1).await;
    let now = bed.store.now();
    for (number, description) in [(1, None), (2, Some(""))] {
        let id = bed.store.new_id();
        let new = NewToken { description, ..token(id, org.roles[1], if number == 1 { "a" } else { "b" }, number) };
        save!(bed, tx => tokens::insert(&mut tx, &org.grant, &new, now)).unwrap();
        assert_eq!(load!(bed, tokens::get, &org.grant, id).unwrap().description.as_deref(), description);
    }
}

async fn a_digest_is_never_registered_again(bed: Bed) {
    let (acme, other) = (bed.organization("acme").await, bed.organization("umbrella").await);
    bed.pepper(1).await;
    let id = new_token(&bed, &acme, "ci", 1).await.unwrap();
    let refuse = async |when: &str| {
        for org in [&acme, &other] {
            assert!(new_token(&bed, org, "copy", 1).await.is_err(), "{when}");
            assert!(load!(bed, tokens::list, &org.grant).unwrap().iter().all(|t| t.name != "copy"), "{when}");
        }
    };
    refuse("while the first lives").await;
    let now = bed.store.now();
    save!(bed, tx => tokens::revoke(&mut tx, &acme.grant, id, now)).unwrap();
    refuse("after it was revoked").await;
    bed.wait(TOMBSTONE + DAY);
    refuse("after its tombstone was forgotten").await;
    let now = bed.store.now();
    save!(bed, tx => organizations::delete(&mut tx, &acme.grant, now)).unwrap();
    assert!(new_token(&bed, &other, "copy", 1).await.is_err(), "after its organization was deleted");
}

async fn a_role_of_another_organization_is_refused(bed: Bed) {
    let (acme, other) = (bed.organization("acme").await, bed.organization("umbrella").await);
    bed.pepper(1).await;
    let now = bed.store.now();
    for role in [other.roles[1], bed.store.new_id()] {
        let new = token(bed.store.new_id(), role, "ci", 1);
        refused(save!(bed, tx => tokens::insert(&mut tx, &acme.grant, &new, now)), Code::Conflict);
    }
    // Not even past the store: no living token is without a role, none has a foreign one.
    new_token(&bed, &acme, "ci", 1).await.unwrap();
    assert!(bed.raw("UPDATE token SET role_id = NULL").await.is_err());
    let foreign =
        "UPDATE token SET role_id = (SELECT id FROM role WHERE organization_id <> token.organization_id LIMIT 1)";
    // SQLite checks a foreign key only where it is told to, so ask it there what it thinks of the row.
    match bed.engine {
        Engine::Postgres => assert!(bed.raw(foreign).await.is_err()),
        Engine::Sqlite => assert!(bed.raw(format!("PRAGMA foreign_keys = ON; {foreign}")).await.is_err()),
    }
}

async fn of_many_revocations_at_once_one_wins(bed: Bed) {
    let org = Arc::new(bed.organization("acme").await);
    bed.pepper(1).await;
    let id = new_token(&bed, &org, "ci", 1).await.unwrap();
    let won = winners(&bed, |store, _| {
        let org = Arc::clone(&org);
        async move {
            let mut tx = store.begin().await.unwrap();
            let revoked = tokens::revoke(&mut tx, &org.grant, id, store.now()).await;
            if revoked.is_ok() {
                let event = Event::new(Kind::TokenDeleted, Some(org.id), id, "ci");
                tx.commit(&By::operator(), &[event]).await.unwrap();
            }
            revoked.is_ok()
        }
    })
    .await;
    assert_eq!(won, 1);
    assert_eq!(bed.number("SELECT count(*) FROM event WHERE kind = 'token.deleted'").await, 1);
}

async fn of_many_tokens_with_one_name_at_once_one_wins(bed: Bed) {
    let org = Arc::new(bed.organization("acme").await);
    bed.pepper(1).await;
    let won = winners(&bed, |store, number| {
        let org = Arc::clone(&org);
        async move {
            let mut tx = store.begin().await.unwrap();
            let new = token(store.new_id(), org.roles[1], "ci", number as u8);
            match tokens::insert(&mut tx, &org.grant, &new, store.now()).await {
                Ok(()) => {
                    tx.commit_unlogged().await.unwrap();
                    true
                }
                Err(error) => {
                    assert_eq!(error.code, Code::NameTaken);
                    false
                }
            }
        }
    })
    .await;
    assert_eq!(won, 1);
    assert_eq!(bed.number("SELECT count(*) FROM token_secret").await, 1);
}

async fn a_revoked_token_stays_in_the_index_as_a_tombstone(bed: Bed) {
    let org = bed.organization("acme").await;
    bed.pepper(1).await;
    let (gone, living) =
        (new_token(&bed, &org, "gone", 1).await.unwrap(), new_token(&bed, &org, "living", 2).await.unwrap());
    let revoked_at = bed.store.now();
    save!(bed, tx => tokens::revoke(&mut tx, &org.grant, gone, revoked_at)).unwrap();
    let index = async |now: Time| {
        let mut rows: Vec<IndexRow> = Vec::new();
        load!(bed, tokens::each_index_row, now, |row| rows.push(row)).unwrap();
        rows.sort_by_key(|row| row.token_id);
        rows.into_iter().map(|row| (row.token_id, row.revoked_at, row.digest)).collect::<Vec<_>>()
    };
    let both = vec![(gone, Some(revoked_at.0), vec![1; 32]), (living, None, vec![2; 32])];
    assert_eq!(index(revoked_at.plus(TOMBSTONE - 1)).await, both);
    assert_eq!(index(revoked_at.plus(TOMBSTONE)).await, both[1..]);
}

async fn names_of_projects_and_environments_are_taken_once(bed: Bed) {
    let (acme, other) = (bed.organization("acme").await, bed.organization("umbrella").await);
    let (web, shop) = (new_project(&bed, &acme, "web").await.unwrap(), new_project(&bed, &acme, "shop").await.unwrap());
    refused(new_project(&bed, &acme, "web").await, Code::NameTaken);
    let foreign = new_project(&bed, &other, "web").await.unwrap();
    refused(load!(bed, projects::get, &acme.grant, foreign.id), Code::NotFound);
    refused(save!(bed, tx => projects::delete(&mut tx, &acme.grant, foreign.id)), Code::NotFound);
    let renamed = Project { name: "web".into(), ..shop.clone() };
    refused(save!(bed, tx => projects::update(&mut tx, &acme.grant, &renamed)), Code::NameTaken);
    let names: Vec<String> = load!(bed, projects::list, &acme.grant).unwrap().into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["web", "shop"]);
    assert_eq!(load!(bed, projects::places, None).unwrap().len(), 3);
    assert_eq!(load!(bed, projects::places, Some(&[web.id])).unwrap(), [(web.id, acme.id, "web".to_owned())]);

    let cluster = new_cluster(&bed, &acme, "main").await.unwrap();
    let id = new_environment(&bed, &acme, &web, &cluster, "staging").await.unwrap();
    refused(new_environment(&bed, &acme, &web, &cluster, "staging").await, Code::NameTaken);
    let second = new_environment(&bed, &acme, &shop, &cluster, "staging").await.unwrap();
    refused(new_environment(&bed, &acme, &foreign, &cluster, "staging").await, Code::Conflict);
    let foreign_cluster = new_cluster(&bed, &other, "main").await.unwrap();
    refused(new_environment(&bed, &acme, &web, &foreign_cluster, "other").await, Code::Conflict);
    let mut read = load!(bed, environments::get, &acme.grant, id).unwrap();
    assert_eq!(
        (read.project_name.as_str(), read.cluster_name.as_str(), read.cloud_provider.as_str()),
        ("web", "main", "AWS")
    );
    (read.name, read.mode) = ("production".into(), "PRODUCTION".into());
    save!(bed, tx => environments::update(&mut tx, &acme.grant, &read)).unwrap();
    let of = async |project| {
        load!(bed, environments::list, &acme.grant, project).unwrap().into_iter().map(|e| e.id).collect::<Vec<_>>()
    };
    assert_eq!((of(Some(web.id)).await, of(None).await), (vec![id], vec![id, second]));
    let place = load!(bed, environments::places, Some(&[id])).unwrap().remove(0);
    assert_eq!((place.organization_id, place.project_id, place.mode.as_str()), (acme.id, web.id, "PRODUCTION"));
    save!(bed, tx => environments::delete(&mut tx, &acme.grant, id)).unwrap();
    refused(save!(bed, tx => environments::delete(&mut tx, &acme.grant, id)), Code::NotFound);
}

async fn a_cluster_in_use_cannot_be_deleted(bed: Bed) {
    let (acme, other) = (bed.organization("acme").await, bed.organization("umbrella").await);
    let project = new_project(&bed, &acme, "web").await.unwrap();
    let mut cluster = new_cluster(&bed, &acme, "main").await.unwrap();
    let id = new_environment(&bed, &acme, &project, &cluster, "staging").await.unwrap();
    assert_eq!(load!(bed, clusters::environments, &acme.grant, cluster.id).unwrap(), ["staging"]);
    refused(save!(bed, tx => clusters::delete(&mut tx, &acme.grant, cluster.id)), Code::Conflict);
    refused(save!(bed, tx => clusters::delete(&mut tx, &other.grant, cluster.id)), Code::NotFound);
    cluster.body = r#"{"disk_size":40}"#.into();
    save!(bed, tx => clusters::update(&mut tx, &other.grant, &Cluster { name: "stolen".into(), ..cluster.clone() }))
        .unwrap();
    save!(bed, tx => clusters::update(&mut tx, &acme.grant, &cluster)).unwrap();
    let read = load!(bed, clusters::list, &acme.grant).unwrap().remove(0);
    assert_eq!((read.name.as_str(), read.body.as_str()), ("main", r#"{"disk_size":40}"#));
    save!(bed, tx => environments::delete(&mut tx, &acme.grant, id)).unwrap();
    save!(bed, tx => clusters::delete(&mut tx, &acme.grant, cluster.id)).unwrap();
    refused(load!(bed, clusters::get, &acme.grant, cluster.id), Code::NotFound);
}

async fn a_deleted_project_takes_all_in_it_along(bed: Bed) {
    let org = bed.organization("acme").await;
    let (web, shop) = (new_project(&bed, &org, "web").await.unwrap(), new_project(&bed, &org, "shop").await.unwrap());
    let cluster = new_cluster(&bed, &org, "main").await.unwrap();
    let mut matrix = Matrix::default();
    matrix.projects.insert(web.id, ProjectAccess::ADMIN);
    matrix.projects.insert(shop.id, ProjectAccess::ADMIN);
    let role = Role::custom(bed.store.new_id(), "Both", &[] as &[&str], matrix).unwrap();
    let now = bed.store.now();
    save!(bed, tx => roles::insert(&mut tx, &org.grant, &role, "", now)).unwrap();
    for project in [&web, &shop] {
        let environment = new_environment(&bed, &org, project, &cluster, "staging").await.unwrap();
        for environment in [None, Some(environment)] {
            new_variable(&bed, &org, Owner { project: project.id, environment }, "KEY", None).await.unwrap();
        }
    }
    save!(bed, tx => projects::delete(&mut tx, &org.grant, web.id)).unwrap();
    for table in ["project", "environment", "role_project"] {
        assert_eq!(bed.number(Box::leak(format!("SELECT count(*) FROM {table}").into_boxed_str())).await, 1, "{table}");
    }
    assert_eq!(bed.number("SELECT count(*) FROM variable").await, 2);
    let left = load!(bed, roles::get, &org.grant, role.id).unwrap().0;
    assert_eq!(left.matrix().projects.keys().collect::<Vec<_>>(), [&shop.id]);
}

async fn a_key_is_taken_once_in_each_place(bed: Bed) {
    let (acme, other) = (bed.organization("acme").await, bed.organization("umbrella").await);
    let project = new_project(&bed, &acme, "web").await.unwrap();
    let cluster = new_cluster(&bed, &acme, "main").await.unwrap();
    let environment = Some(new_environment(&bed, &acme, &project, &cluster, "staging").await.unwrap());
    let (above, below) = (Owner { project: project.id, environment: None }, Owner { project: project.id, environment });
    let first = new_variable(&bed, &acme, below, "KEY", None).await.unwrap();
    let second = new_variable(&bed, &acme, above, "KEY", None).await.unwrap();
    refused(new_variable(&bed, &acme, above, "KEY", None).await, Code::NameTaken);
    refused(new_variable(&bed, &acme, below, "KEY", None).await, Code::NameTaken);
    refused(new_variable(&bed, &other, above, "OTHER", None).await, Code::Conflict);
    let third = new_variable(&bed, &acme, above, "Key", None).await.unwrap();
    let of = async |owner| {
        load!(bed, variables::list, &acme.grant, owner).unwrap().into_iter().map(|v| v.id).collect::<Vec<_>>()
    };
    assert_eq!((of(above).await, of(below).await), (vec![second, third], vec![second, third, first]));
    refused(load!(bed, variables::get, &acme.grant, below, second), Code::NotFound);
    refused(load!(bed, variables::get, &other.grant, above, second), Code::NotFound);
    let mut read = load!(bed, variables::get, &acme.grant, above, third).unwrap();
    read.key = "KEY".into();
    refused(save!(bed, tx => variables::update(&mut tx, &acme.grant, &read)), Code::NameTaken);
    (read.key, read.value, read.description) = ("FRESH".into(), "new".into(), Some(String::new()));
    save!(bed, tx => variables::update(&mut tx, &acme.grant, &read)).unwrap();
    let again = load!(bed, variables::get, &acme.grant, above, third).unwrap();
    assert_eq!(format!("{again:?}"), format!("{read:?}"));
}

async fn a_deleted_variable_takes_its_aliases_along(bed: Bed) {
    let (acme, other) = (bed.organization("acme").await, bed.organization("umbrella").await);
    let owner = Owner { project: new_project(&bed, &acme, "web").await.unwrap().id, environment: None };
    let parent = new_variable(&bed, &acme, owner, "KEY", None).await.unwrap();
    new_variable(&bed, &acme, owner, "ALIAS", Some(parent)).await.unwrap();
    refused(new_variable(&bed, &acme, owner, "LOST", Some(bed.store.new_id())).await, Code::Conflict);
    save!(bed, tx => variables::delete(&mut tx, &other.grant, parent)).unwrap();
    assert_eq!(load!(bed, variables::list, &acme.grant, owner).unwrap().len(), 2);
    save!(bed, tx => variables::delete(&mut tx, &acme.grant, parent)).unwrap();
    assert!(load!(bed, variables::list, &acme.grant, owner).unwrap().is_empty());
}

async fn of_many_requests_with_one_key_one_is_carried_out(bed: Bed) {
    let won = winners(&bed, |store, number| async move {
        let mut tx = store.begin().await.unwrap();
        let claimed = idempotency::claim(&mut tx, &[1; 32], &[number as u8; 32], store.now()).await.unwrap();
        tx.commit_unlogged().await.unwrap();
        claimed
    })
    .await;
    assert_eq!(won, 1);
    let kept = load!(bed, idempotency::get, &[1; 32]).unwrap().unwrap();
    assert_eq!((kept.request.len(), kept.answer), (32, None));
    let now = bed.store.now();
    assert!(
        save!(bed, tx => idempotency::claim(&mut tx, &[2; 32], &[0; 32], now)).unwrap(),
        "another key is another claim"
    );
}

async fn a_claim_is_forgotten_in_time(bed: Bed) {
    let claim = async |scope: u8| {
        let now = bed.store.now();
        save!(bed, tx => idempotency::claim(&mut tx, &[scope; 32], &[0; 32], now)).unwrap()
    };
    assert!(claim(1).await && claim(2).await && claim(3).await);
    save!(bed, tx => idempotency::keep(&mut tx, &[1; 32], b"sealed")).unwrap();
    // An answer that is kept is not given back; a claim without one is.
    for scope in [1, 2] {
        save!(bed, tx => idempotency::release(&mut tx, &[scope; 32])).unwrap();
    }
    assert!(!claim(1).await && claim(2).await);
    bed.wait(2 * MINUTE);
    // The third was lost with its process.
    assert!(!claim(1).await && claim(3).await);
    assert_eq!(load!(bed, idempotency::get, &[1; 32]).unwrap().unwrap().answer.as_deref(), Some(&b"sealed"[..]));
    bed.wait(HOUR);
    assert!(claim(1).await);
}

/// Ten events, one a second from now on: creations by a user in the console, deletions by the operator.
async fn ten_events(bed: &Bed, org: &Org) -> Uuid {
    let target = bed.store.new_id();
    let user = By {
        actor: Actor::User { id: org.owner, email: "owner@acme.example".into() },
        origin: Origin::Console,
        address: Some("192.0.2.7".parse().unwrap()),
        user_agent: Some("Browser".into()),
    };
    for number in 0..10 {
        bed.wait(SECOND);
        let (kind, by) =
            if number % 2 == 0 { (Kind::TokenCreated, user.clone()) } else { (Kind::TokenDeleted, By::operator()) };
        let target = if number < 4 { target } else { bed.store.new_id() };
        let tx = bed.store.begin().await.unwrap();
        tx.commit(&by, &[Event::new(kind, Some(org.id), target, format!("token {number}"))]).await.unwrap();
    }
    target
}

async fn events_are_filtered(bed: Bed) {
    let (acme, other) = (bed.organization("acme").await, bed.organization("umbrella").await);
    let begin = bed.store.now();
    let target = ten_events(&bed, &acme).await;
    let at = |seconds: i64| Some(begin.plus(seconds * SECOND));
    let positions = async |filter: Filter| {
        let listed = load!(bed, events::list, &acme.grant, &filter, 100).unwrap();
        listed.iter().map(|event| event.position).collect::<Vec<_>>()
    };
    // The organizations' own events stand at 1 and 2.
    let all: Vec<i64> = [1].into_iter().chain(3..=12).rev().collect();
    assert_eq!(positions(Filter::default()).await, all);
    assert_eq!(positions(Filter { from: at(9), ..Filter::default() }).await, [12, 11]);
    assert_eq!(positions(Filter { from: at(2), to: at(3), ..Filter::default() }).await, [5, 4]);
    assert_eq!(positions(Filter { kinds: Some(vec![Kind::OrganizationCreated]), ..Filter::default() }).await, [1]);
    assert_eq!(positions(Filter { kinds: Some(vec![]), ..Filter::default() }).await, [0; 0]);
    let two = vec![Kind::TokenCreated, Kind::TokenDeleted];
    assert_eq!(positions(Filter { kinds: Some(two), ..Filter::default() }).await, all[..10]);
    assert_eq!(positions(Filter { target: Some(target), ..Filter::default() }).await, [6, 5, 4, 3]);
    let of_operator = Filter { actor: Some("operator".into()), target: Some(target), ..Filter::default() };
    assert_eq!(positions(of_operator).await, [6, 4]);
    assert_eq!(positions(Filter { origin: Some("CONSOLE".into()), ..Filter::default() }).await, [11, 9, 7, 5, 3]);
    assert_eq!(load!(bed, events::list, &other.grant, &Filter::default(), 100).unwrap().len(), 1);

    let newest =
        load!(bed, events::list, &acme.grant, &Filter { before: Some(4), ..Filter::default() }, 1).unwrap().remove(0);
    assert_eq!(
        (newest.kind, newest.target_id, newest.actor.as_str()),
        (Kind::TokenCreated, target, "owner@acme.example")
    );
    let payload = newest.payload.unwrap();
    assert_eq!((payload.target_name.as_str(), payload.actor_kind.as_str()), ("token 0", "user"));
    assert_eq!((payload.actor_id, payload.address.as_deref()), (Some(acme.owner), Some("192.0.2.7")));
    // What was erased is still listed, without who and what it was.
    bed.raw("DELETE FROM event_payload WHERE position = 3").await.unwrap();
    let erased =
        load!(bed, events::list, &acme.grant, &Filter { before: Some(4), ..Filter::default() }, 1).unwrap().remove(0);
    assert_eq!((erased.position, erased.actor.as_str(), erased.payload.is_none()), (3, "", true));
}

async fn events_are_paged_both_ways(bed: Bed) {
    let org = bed.organization("acme").await;
    ten_events(&bed, &org).await;
    let page = async |filter: Filter| {
        let listed = load!(bed, events::list, &org.grant, &filter, 4).unwrap();
        listed.iter().map(|event| event.position).collect::<Vec<_>>()
    };
    assert_eq!(page(Filter::default()).await, [11, 10, 9, 8]);
    assert_eq!(page(Filter { before: Some(8), ..Filter::default() }).await, [7, 6, 5, 4]);
    assert_eq!(page(Filter { before: Some(4), ..Filter::default() }).await, [3, 2, 1]);
    // Towards the newest, too, a page lies next to the one that was left, the newest first.
    assert_eq!(page(Filter { after: Some(3), ..Filter::default() }).await, [7, 6, 5, 4]);
    assert_eq!(page(Filter { after: Some(9), ..Filter::default() }).await, [11, 10]);
    assert_eq!(page(Filter { after: Some(11), ..Filter::default() }).await, [0; 0]);
}

async fn peppers_are_listed_oldest_first(bed: Bed) {
    assert!(load!(bed, peppers::list).unwrap().is_empty());
    bed.pepper(2).await;
    bed.pepper(1).await;
    assert_eq!(load!(bed, peppers::list).unwrap(), [(1, vec![7; 32]), (2, vec![7; 32])]);
    let now = bed.store.now();
    assert!(save!(bed, tx => peppers::insert(&mut tx, 1, &[8; 32], now)).is_err());
    // A token of a version that nobody knows is refused.
    let org = bed.organization("acme").await;
    let new = NewToken { pepper_version: 3, ..token(bed.store.new_id(), org.roles[1], "ci", 1) };
    refused(save!(bed, tx => tokens::insert(&mut tx, &org.grant, &new, now)), Code::Conflict);
}

async fn rows_of_every_table(bed: &Bed) -> Vec<(String, i64)> {
    let mut counts = Vec::new();
    for table in bed.texts(engines::tables(bed.engine)).await {
        let sql: &'static str = Box::leak(format!("SELECT count(*) FROM {table}").into_boxed_str());
        counts.push((table, bed.number(sql).await));
    }
    counts
}

async fn a_rollback_leaves_nothing(bed: Bed) {
    let org = bed.organization("acme").await;
    bed.pepper(1).await;
    let before = rows_of_every_table(&bed).await;
    assert!(before.len() > 15, "{before:?}");
    let now = bed.store.now();
    async fn all(tx: &mut Tx, store: &Store, org: &Org, now: Time) {
        let account = store.new_id();
        accounts::insert(tx, account, "new@acme.example", "", None, now).await.unwrap();
        accounts::insert_link(tx, store.new_id(), account, &[1; 32], now.plus(HOUR), now).await.unwrap();
        let member = Membership { organization_id: org.id, account_id: account, role_id: org.roles[4] };
        members::insert(tx, member, false, now).await.unwrap();
        tokens::insert(tx, &org.grant, &token(store.new_id(), org.roles[1], "ci", 1), now).await.unwrap();
        idempotency::claim(tx, &[1; 32], &[1; 32], now).await.unwrap();
        peppers::insert(tx, 2, &[1; 32], now).await.unwrap();
        organizations::delete(tx, &org.grant, now).await.unwrap();
    }
    let mut tx = bed.store.begin().await.unwrap();
    all(&mut tx, &bed.store, &org, now).await;
    drop(tx);
    // The same after a statement that failed.
    let mut tx = bed.store.begin().await.unwrap();
    all(&mut tx, &bed.store, &org, now).await;
    assert!(accounts::insert(&mut tx, bed.store.new_id(), "NEW@acme.example", "", None, now).await.is_err());
    drop(tx);
    // A transaction after it, so that the rollback has happened when we look.
    bed.store.begin().await.unwrap().commit_unlogged().await.unwrap();
    assert_eq!(rows_of_every_table(&bed).await, before);
    assert!(load!(bed, organizations::get, &org.grant).is_ok());
}

async fn opening_again_changes_nothing(bed: Bed) {
    bed.organization("acme").await;
    let (before, head) = (rows_of_every_table(&bed).await, load!(bed, log::head).unwrap());
    let again = bed.another_store().await;
    assert_eq!(log::head(again.read().await.unwrap().conn()).await.unwrap(), head);
    assert_eq!(rows_of_every_table(&bed).await, before);
}

async fn two_processes_can_open_an_empty_database_at_once(bed: Bed) {
    for number in 0..5 {
        let url = match bed.engine {
            Engine::Sqlite => bed.path(&format!("{number}.db")).display().to_string(),
            Engine::Postgres => tokio::task::spawn_blocking(engines::postgres::fresh_database).await.unwrap(),
        };
        let open = || {
            let (url, clock) = (url.clone(), bed.clock.clone());
            tokio::spawn(async move { Store::open(&url, clock, Arc::new(Counted)).await.unwrap() })
        };
        let (first, second) = tokio::join!(open(), open());
        let (first, second) = (first.unwrap(), second.unwrap());
        let head = log::head(first.read().await.unwrap().conn()).await.unwrap();
        assert_eq!(log::head(second.read().await.unwrap().conn()).await.unwrap(), head);
        assert_eq!(head.number, 0);
    }
}

async fn more_ids_than_a_statement_has_parameters_are_found(bed: Bed) {
    let org = bed.organization("acme").await;
    bed.pepper(1).await;
    let id = new_token(&bed, &org, "ci", 1).await.unwrap();
    let mut ids: Vec<Uuid> = (0..40_000).map(|_| bed.store.new_id()).collect();
    ids.push(id);
    let rows = load!(bed, tokens::index_rows, &ids).unwrap();
    assert_eq!(rows.iter().map(|row| row.token_id).collect::<Vec<_>>(), [id]);
    assert!(load!(bed, tokens::index_rows, &[]).unwrap().is_empty());
}
