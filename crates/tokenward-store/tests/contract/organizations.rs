//! Organizations, their members, roles and invitations.

use std::collections::BTreeMap;

use tokenward_core::caller::Grant;
use tokenward_core::event::ActorKind;
use tokenward_core::organization::Plan;
use tokenward_core::permission::Management;
use tokenward_core::right::Operator;
use tokenward_core::role::{BuiltIn, ClusterLevel, EnvironmentLevel, Matrix, ProjectAccess, Role, RoleKind};
use tokenward_core::time::DAY;
use tokenward_core::{Code, Error, Time, Uuid};
use tokenward_store::invitations::{self, Invitation, LinkDigests};
use tokenward_store::members::{self, Membership, RoleAssignment};
use tokenward_store::{Tx, accounts, clusters, organizations, projects, roles, tokens};

use crate::resources::{cluster, project};
use crate::world::{Organization, World, unique};

on_both_engines![
    an_organization_reads_back_with_its_owner,
    a_change_of_an_organization_writes_all_that_can_be_changed,
    a_name_that_can_be_mistaken_for_another_is_taken,
    nobody_changes_another_organization,
    a_deleted_organization_is_gone_and_its_tokens_with_it,
    organizations_are_named_for_the_directory,
    a_new_organization_has_the_six_roles,
    a_custom_role_reads_back_as_it_was_made,
    a_change_of_a_role_replaces_all_of_it,
    nobody_changes_the_role_of_another_organization,
    a_role_name_that_can_be_mistaken_for_another_is_taken,
    a_role_in_use_stays_and_says_who_uses_it,
    a_role_that_only_deleted_tokens_had_can_be_deleted,
    a_matrix_forgets_what_is_deleted,
    a_matrix_names_nothing_of_another_organization,
    a_member_reads_back_and_gets_another_role,
    an_account_is_a_member_once,
    an_organization_has_one_owner,
    the_owner_cannot_be_taken_out,
    a_member_has_no_role_of_another_organization,
    memberships_are_told_for_one_organization_or_all,
    an_invitation_reads_back_and_is_found_by_its_link,
    an_address_is_invited_once_in_an_organization,
    an_expired_invitation_gives_way,
    a_renewed_invitation_has_only_its_new_link,
    an_invitation_is_deleted_once_and_by_its_organization,
];

/// What goes wrong in a transaction that is then dropped.
async fn fault<T>(world: &World, write: impl AsyncFnOnce(&mut Tx) -> Result<T, Error>) -> Code {
    let mut tx = world.begin().await;
    match write(&mut tx).await {
        Ok(_) => panic!("it was written"),
        Err(error) => error.code,
    }
}

async fn an_organization_reads_back_with_its_owner(world: World) {
    let acme = world.organization("Acme").await;
    world.organization("Globex").await;
    let found = organizations::get(world.reader().await.conn(), &acme.grant).await.unwrap();
    assert_eq!((found.id, found.name.as_str(), found.owner), (acme.id, "Acme", acme.owner));
    assert_eq!((found.description, found.plan.as_str()), (None, "ENTERPRISE"));
    assert_eq!((found.created_at, found.updated_at), (world.now(), world.now()));
    let nobody = Grant::operator(&Operator::at_this_machine(), Uuid::from_u128(1), Management::OrganizationRead);
    let missing = organizations::get(world.reader().await.conn(), &nobody).await;
    assert_eq!(missing.unwrap_err().code, Code::NotFound);
}

async fn a_change_of_an_organization_writes_all_that_can_be_changed(world: World) {
    let acme = world.organization("Acme").await;
    let mut o = organizations::get(world.reader().await.conn(), &acme.grant).await.unwrap();
    let made = o.created_at;
    o.name = "ACME".to_owned();
    o.description = Some("d".to_owned());
    o.plan = Plan::Free;
    o.website_url = Some("https://w.example".to_owned());
    o.repository = Some("https://r.example".to_owned());
    o.logo_url = Some("https://l.example".to_owned());
    o.icon_url = Some("https://i.example".to_owned());
    o.admin_emails = Some("[\"a@acme.example\"]".to_owned());
    o.updated_at = world.begin().await.next_version(made);
    o.created_at = Time(0);
    let mut tx = world.begin().await;
    organizations::update(&mut tx, &acme.may(Management::OrganizationEdit), &o).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let written = organizations::get(world.reader().await.conn(), &acme.grant).await.unwrap();
    o.created_at = made;
    assert_eq!(format!("{written:?}"), format!("{o:?}"));
    // The clock has not moved, and still the version is another.
    assert_eq!(written.updated_at, made.plus(1));
}

async fn a_name_that_can_be_mistaken_for_another_is_taken(world: World) {
    world.organization("Acme").await;
    for name in ["Acme", "ACME", "Αcme"] {
        let id = world.store.new_id();
        let taken =
            fault(&world, async |tx| organizations::insert(tx, id, name, None, Plan::Free, world.now()).await).await;
        assert_eq!(taken, Code::NameTaken, "{name}");
    }
    let globex = world.organization("Globex").await;
    let mut o = organizations::get(world.reader().await.conn(), &globex.grant).await.unwrap();
    o.name = "acme".to_owned();
    let taken =
        fault(&world, async |tx| organizations::update(tx, &globex.may(Management::OrganizationEdit), &o).await).await;
    assert_eq!(taken, Code::NameTaken);
}

async fn nobody_changes_another_organization(world: World) {
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    let mut o = organizations::get(world.reader().await.conn(), &acme.grant).await.unwrap();
    o.name = "Mine".to_owned();
    let foreign =
        fault(&world, async |tx| organizations::update(tx, &globex.may(Management::OrganizationEdit), &o).await).await;
    assert_eq!(foreign, Code::NotFound);
}

async fn a_deleted_organization_is_gone_and_its_tokens_with_it(world: World) {
    world.pepper(1).await;
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    let token = world.token(&acme, "CI").await;
    let other = world.token(&globex, "CI").await;
    let mut tx = world.begin().await;
    organizations::delete(&mut tx, &acme.may(Management::OrganizationDelete), world.now()).await.unwrap();
    crate::world::end(tx).await.unwrap();

    let mut reader = world.reader().await;
    assert_eq!(organizations::get(reader.conn(), &acme.grant).await.unwrap_err().code, Code::NotFound);
    let left = organizations::by_id(reader.conn(), &[acme.id, globex.id]).await.unwrap();
    assert_eq!(left.iter().map(|o| o.id).collect::<Vec<_>>(), [globex.id]);
    assert_eq!(organizations::names(reader.conn(), None).await.unwrap(), [(globex.id, "Globex".to_owned())]);
    assert!(organizations::names(reader.conn(), Some(&[acme.id])).await.unwrap().is_empty());
    // Its tokens stay known, as revoked: nobody can register their digests again.
    let rows = tokens::index_rows(reader.conn(), &[token.id, other.id]).await.unwrap();
    let revoked: BTreeMap<Uuid, Option<Time>> = rows.iter().map(|row| (row.token_id, row.revoked_at)).collect();
    assert_eq!(revoked, [(token.id, Some(world.now())), (other.id, None)].into());
    // There was an organization: the first start's set-up stays closed.
    assert!(organizations::any(reader.conn()).await.unwrap());
    drop(reader);
    let mut tx = world.begin().await;
    organizations::insert(&mut tx, world.store.new_id(), "Acme", None, Plan::Free, world.now()).await.unwrap();
    crate::world::end(tx).await.unwrap();
}

async fn organizations_are_named_for_the_directory(world: World) {
    assert!(!organizations::any(world.reader().await.conn()).await.unwrap());
    let acme = world.organization("Acme").await;
    world.clock.pass(1);
    let globex = world.organization("Globex").await;
    let mut reader = world.reader().await;
    let (acme, globex) = ((acme.id, "Acme".to_owned()), (globex.id, "Globex".to_owned()));
    let all = organizations::names(reader.conn(), None).await.unwrap();
    assert_eq!(all, [acme.clone(), globex.clone()]);
    assert_eq!(organizations::names(reader.conn(), Some(&[globex.0])).await.unwrap(), [globex]);
    assert!(organizations::any(reader.conn()).await.unwrap());
}

async fn a_new_organization_has_the_six_roles(world: World) {
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    let roles = roles::of_organization(world.reader().await.conn(), acme.id).await.unwrap();
    assert_eq!(roles.len(), 6);
    for built_in in BuiltIn::ALL {
        let (of, role) = roles.iter().find(|(_, role)| role.id == acme.role(built_in)).unwrap();
        assert_eq!((*of, role), (acme.id, &Role::built_in(role.id, built_in)));
        assert_ne!(acme.role(built_in), globex.role(built_in));
    }
    assert_eq!(roles::compiled(world.reader().await.conn(), None).await.unwrap().len(), 12);
    let one = roles::compiled(world.reader().await.conn(), Some(&[globex.role(BuiltIn::Viewer)])).await.unwrap();
    assert_eq!(one.iter().map(|(of, role)| (*of, &*role.name)).collect::<Vec<_>>(), [(globex.id, "viewer")]);
    // They are no custom roles.
    assert!(roles::list(world.reader().await.conn(), &acme.grant).await.unwrap().is_empty());
    let built_in = roles::get(world.reader().await.conn(), &acme.grant, acme.role(BuiltIn::Viewer)).await;
    assert_eq!(built_in.unwrap_err().code, Code::NotFound);
    let delete =
        async |tx: &mut Tx| roles::delete(tx, &acme.may(Management::RoleManage), acme.role(BuiltIn::Viewer)).await;
    assert_eq!(fault(&world, delete).await, Code::NotFound);
}

/// A cluster and a project of the organization.
async fn places(world: &World, of: &Organization) -> (Uuid, Uuid) {
    let (c, p) = (cluster(world, "c"), project(world, &format!("p of {}", of.id)));
    let mut tx = world.begin().await;
    clusters::insert(&mut tx, &of.may(Management::ClusterManage), &c).await.unwrap();
    projects::insert(&mut tx, &of.may(Management::ProjectCreate), &p).await.unwrap();
    crate::world::end(tx).await.unwrap();
    (c.id, p.id)
}

const LEVELS: [EnvironmentLevel; 4] =
    [EnvironmentLevel::Manager, EnvironmentLevel::Deployer, EnvironmentLevel::Viewer, EnvironmentLevel::NoAccess];

fn matrix(cluster: Uuid, project: Uuid) -> Matrix {
    Matrix {
        clusters: [(cluster, ClusterLevel::EnvCreator)].into(),
        projects: [(project, ProjectAccess { is_admin: false, levels: LEVELS })].into(),
    }
}

async fn insert_role(world: &World, of: &Organization, role: &Role) {
    let mut tx = world.begin().await;
    roles::insert(&mut tx, &of.may(Management::RoleManage), role, "what for", world.now()).await.unwrap();
    crate::world::end(tx).await.unwrap();
}

fn plain_role(world: &World, name: &str) -> Role {
    Role::custom(world.store.new_id(), name, &["invoices:read"], Matrix::default()).unwrap()
}

async fn a_custom_role_reads_back_as_it_was_made(world: World) {
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    let (c, p) = places(&world, &acme).await;
    let permissions = ["invoices:read", "*:list", "token:verify", "event:read"];
    let role = Role::custom(world.store.new_id(), "Billing bot", &permissions, matrix(c, p)).unwrap();
    insert_role(&world, &acme, &role).await;

    let mut reader = world.reader().await;
    let (found, about) = roles::get(reader.conn(), &acme.grant, role.id).await.unwrap();
    assert_eq!(found, role);
    assert_eq!((about.id, about.description.as_str()), (role.id, "what for"));
    assert_eq!((about.created_at, about.updated_at), (world.now(), world.now()));
    let listed = roles::list(reader.conn(), &acme.grant).await.unwrap();
    assert!(listed.iter().map(|(role, _)| role).eq([&role]));
    let compiled = roles::compiled(reader.conn(), Some(&[role.id])).await.unwrap();
    assert_eq!(compiled, [(acme.id, role.clone())]);
    let of_organization = roles::of_organization(reader.conn(), acme.id).await.unwrap();
    assert!(of_organization.contains(&(acme.id, role.clone())));

    assert_eq!(roles::get(reader.conn(), &globex.grant, role.id).await.unwrap_err().code, Code::NotFound);
    assert!(roles::list(reader.conn(), &globex.grant).await.unwrap().is_empty());
}

async fn a_change_of_a_role_replaces_all_of_it(world: World) {
    let acme = world.organization("Acme").await;
    let (c, p) = places(&world, &acme).await;
    let role = Role::custom(world.store.new_id(), "Bot", &["a:b"], matrix(c, p)).unwrap();
    insert_role(&world, &acme, &role).await;
    let admin = Matrix { clusters: BTreeMap::new(), projects: [(p, ProjectAccess::ADMIN)].into() };
    let changed = Role::custom(role.id, "Robot", &["c:d", "event:read"], admin).unwrap();
    let at = world.begin().await.next_version(world.now());
    let mut tx = world.begin().await;
    roles::update(&mut tx, &acme.may(Management::RoleManage), &changed, "", at).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let (found, about) = roles::get(world.reader().await.conn(), &acme.grant, role.id).await.unwrap();
    assert_eq!(found, changed);
    assert_eq!((about.description.as_str(), about.created_at, about.updated_at), ("", world.now(), at));
}

async fn nobody_changes_the_role_of_another_organization(world: World) {
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    let (c, p) = places(&world, &acme).await;
    let role = Role::custom(world.store.new_id(), "Bot", &["a:b"], matrix(c, p)).unwrap();
    insert_role(&world, &acme, &role).await;
    let empty = Role::custom(role.id, "Bot", &["x:y"], Matrix::default()).unwrap();
    let mut tx = world.begin().await;
    let changed = roles::update(&mut tx, &globex.may(Management::RoleManage), &empty, "", Time(0)).await;
    assert_eq!(changed.unwrap_err().code, Code::NotFound);
    assert_eq!(
        roles::delete(&mut tx, &globex.may(Management::RoleManage), role.id).await.unwrap_err().code,
        Code::NotFound
    );
    crate::world::end(tx).await.unwrap();
    assert_eq!(roles::get(world.reader().await.conn(), &acme.grant, role.id).await.unwrap().0, role);
}

async fn a_role_name_that_can_be_mistaken_for_another_is_taken(world: World) {
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    let role = plain_role(&world, "Deploy");
    insert_role(&world, &acme, &role).await;
    for name in ["Deploy", "deploy", "dep1oy", "viewer", "Viewer"] {
        let second = plain_role(&world, name);
        let taken = fault(&world, async |tx| {
            roles::insert(tx, &acme.may(Management::RoleManage), &second, "", world.now()).await
        })
        .await;
        assert_eq!(taken, Code::NameTaken, "{name}");
    }
    insert_role(&world, &globex, &plain_role(&world, "Deploy")).await;
    let other = plain_role(&world, "Other");
    insert_role(&world, &acme, &other).await;
    let renamed = Role::custom(other.id, "DEPLOY", &["a:b"], Matrix::default()).unwrap();
    let taken =
        fault(&world, async |tx| roles::update(tx, &acme.may(Management::RoleManage), &renamed, "", Time(0)).await)
            .await;
    assert_eq!(taken, Code::NameTaken);
}

async fn a_role_in_use_stays_and_says_who_uses_it(world: World) {
    world.pepper(1).await;
    let acme = world.organization("Acme").await;
    let [by_token, by_member, by_invitation] = ["T", "M", "I"].map(|name| plain_role(&world, name));
    for role in [&by_token, &by_member, &by_invitation] {
        insert_role(&world, &acme, role).await;
    }
    let bob = world.account("bob@acme.example").await;
    let mut tx = world.begin().await;
    let new = tokens::NewToken {
        role_id: by_token.id,
        ..crate::world::new_token(&acme, world.store.new_id(), "CI", tokenward_core::secret::Digest(unique()))
    };
    tokens::insert(&mut tx, &acme.may(Management::TokenManage), new).await.unwrap();
    let membership = Membership { organization_id: acme.id, account_id: bob, role_id: by_member.id };
    members::insert(&mut tx, membership, false, world.now()).await.unwrap();
    let invitation = Invitation { role_id: by_invitation.id, ..invitation(&world, &acme, "eve@acme.example") };
    invitations::insert(&mut tx, &acme.may(Management::MemberManage), &invitation, &passed_on(unique()), world.now())
        .await
        .unwrap();
    crate::world::end(tx).await.unwrap();
    let reader = &mut world.reader().await;
    let tokens = tokens::with_role(reader.conn(), &acme.grant, by_token.id).await.unwrap();
    assert_eq!(tokens.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["CI"]);
    let members = members::with_role(reader.conn(), &acme.grant, by_member.id).await.unwrap();
    assert_eq!(members.iter().map(|it| it.account_id).collect::<Vec<_>>(), [bob]);
    let invited = invitations::with_role(reader.conn(), &acme.grant, by_invitation.id).await.unwrap();
    assert_eq!(invited.iter().map(|it| it.email.as_str()).collect::<Vec<_>>(), ["eve@acme.example"]);
    for role in [&by_token, &by_member, &by_invitation] {
        assert_eq!(
            fault(&world, async |tx| roles::delete(tx, &acme.may(Management::RoleManage), role.id).await).await,
            Code::Conflict
        );
    }
    // Once they have another one, it can go; whoever is invited is no holder.
    let mut tx = world.begin().await;
    for role in [&by_token, &by_member] {
        let (may, viewer) = (acme.may(Management::RoleManage), acme.role(BuiltIn::Viewer));
        roles::move_holders(&mut tx, &may, role.id, viewer, world.now()).await.unwrap();
        roles::delete(&mut tx, &may, role.id).await.unwrap();
    }
    crate::world::end(tx).await.unwrap();
    let moved = tokens::with_role(world.reader().await.conn(), &acme.grant, acme.role(BuiltIn::Viewer)).await.unwrap();
    assert_eq!(moved.len(), 1);
}

async fn a_role_that_only_deleted_tokens_had_can_be_deleted(world: World) {
    world.pepper(1).await;
    let acme = world.organization("Acme").await;
    let role = plain_role(&world, "Bot");
    insert_role(&world, &acme, &role).await;
    let token = world.token(&acme, "CI").await;
    assert_eq!(world.sql("UPDATE token SET role_id = (SELECT id FROM role WHERE name = 'Bot')").await, 1);
    world.revoke(&acme, token.id).await;
    assert!(tokens::with_role(world.reader().await.conn(), &acme.grant, role.id).await.unwrap().is_empty());
    let mut tx = world.begin().await;
    roles::delete(&mut tx, &acme.may(Management::RoleManage), role.id).await.unwrap();
    crate::world::end(tx).await.unwrap();
    assert_eq!(roles::get(world.reader().await.conn(), &acme.grant, role.id).await.unwrap_err().code, Code::NotFound);
    let rows = tokens::index_rows(world.reader().await.conn(), &[token.id]).await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.role_id, row.revoked_at.is_some())).collect::<Vec<_>>(), [(None, true)]);
}

async fn a_matrix_forgets_what_is_deleted(world: World) {
    let acme = world.organization("Acme").await;
    let (c, p) = places(&world, &acme).await;
    let role = Role::custom(world.store.new_id(), "Bot", &["a:b"], matrix(c, p)).unwrap();
    insert_role(&world, &acme, &role).await;
    let mut tx = world.begin().await;
    clusters::delete(&mut tx, &acme.may(Management::ClusterManage), c).await.unwrap();
    projects::delete(&mut tx, &acme.may(Management::ProjectManage), p).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let (found, _) = roles::get(world.reader().await.conn(), &acme.grant, role.id).await.unwrap();
    assert_eq!(found.matrix(), &Matrix::default());
    let mut tx = world.begin().await;
    roles::delete(&mut tx, &acme.may(Management::RoleManage), role.id).await.unwrap();
    crate::world::end(tx).await.unwrap();
}

async fn a_matrix_names_nothing_of_another_organization(world: World) {
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    let (c, p) = places(&world, &globex).await;
    let (own_c, own_p) = places(&world, &acme).await;
    for matrix in [matrix(c, own_p), matrix(own_c, p)] {
        let role = Role::custom(world.store.new_id(), "Bot", &["a:b"], matrix).unwrap();
        let refused = fault(&world, async |tx| {
            roles::insert(tx, &acme.may(Management::RoleManage), &role, "", world.now()).await
        })
        .await;
        assert_eq!(refused, Code::Conflict);
    }
}

async fn join(world: &World, of: &Organization, email: &str, role: BuiltIn) -> Uuid {
    let account = world.account(email).await;
    let membership = Membership { organization_id: of.id, account_id: account, role_id: of.role(role) };
    let mut tx = world.begin().await;
    members::insert(&mut tx, membership, false, world.clock.pass(1)).await.unwrap();
    crate::world::end(tx).await.unwrap();
    account
}

async fn a_member_reads_back_and_gets_another_role(world: World) {
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    let bob = join(&world, &acme, "bob@acme.example", BuiltIn::Viewer).await;
    let mut tx = world.begin().await;
    accounts::update(&mut tx, bob, "Bob", None, world.now()).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let member = members::get(world.reader().await.conn(), &acme.grant, bob).await.unwrap();
    assert_eq!((member.account_id, member.email.as_str(), member.name.as_str()), (bob, "bob@acme.example", "Bob"));
    assert_eq!((member.role_id, member.role_name.as_str()), (acme.role(BuiltIn::Viewer), "viewer"));
    assert_eq!((member.role_kind.as_str(), member.is_owner, member.created_at), ("viewer", false, world.now()));
    let listed = members::list(world.reader().await.conn(), &acme.grant).await.unwrap();
    assert_eq!(
        listed.iter().map(|m| (m.account_id, m.is_owner)).collect::<Vec<_>>(),
        [(acme.owner, true), (bob, false)]
    );

    let at = world.clock.pass(1);
    let mut tx = world.begin().await;
    members::set_role(&mut tx, &acme.may(Management::MemberManage), bob, acme.role(BuiltIn::Admin), at).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let member = members::get(world.reader().await.conn(), &acme.grant, bob).await.unwrap();
    assert_eq!((member.role_name.as_str(), member.updated_at), ("admin", at));

    let foreign = members::get(world.reader().await.conn(), &globex.grant, bob).await;
    assert_eq!(foreign.unwrap_err().code, Code::NotFound);
    let mut tx = world.begin().await;
    let role = globex.role(BuiltIn::Viewer);
    let set = members::set_role(&mut tx, &globex.may(Management::MemberManage), bob, role, at).await;
    assert_eq!(set.unwrap_err().code, Code::NotFound);
    assert_eq!(
        members::delete(&mut tx, &globex.may(Management::MemberManage), bob).await.unwrap_err().code,
        Code::NotFound
    );
    members::delete(&mut tx, &acme.may(Management::MemberManage), bob).await.unwrap();
    assert_eq!(
        members::delete(&mut tx, &acme.may(Management::MemberManage), bob).await.unwrap_err().code,
        Code::NotFound
    );
    crate::world::end(tx).await.unwrap();
    // The account stays: it may belong to others.
    assert!(accounts::get(world.reader().await.conn(), bob).await.unwrap().is_some());
}

async fn an_account_is_a_member_once(world: World) {
    let acme = world.organization("Acme").await;
    let bob = join(&world, &acme, "bob@acme.example", BuiltIn::Viewer).await;
    let again = Membership { organization_id: acme.id, account_id: bob, role_id: acme.role(BuiltIn::Admin) };
    let refused = fault(&world, async |tx| members::insert(tx, again, false, world.now()).await).await;
    assert_eq!(refused, Code::NameTaken);
}

async fn an_organization_has_one_owner(world: World) {
    let acme = world.organization("Acme").await;
    let bob = join(&world, &acme, "bob@acme.example", BuiltIn::Viewer).await;
    let owner = acme.role(BuiltIn::Owner);
    let membership =
        Membership { organization_id: acme.id, account_id: world.account("eve@acme.example").await, role_id: owner };
    let second = async |tx: &mut Tx| members::insert(tx, membership, true, world.now()).await;
    assert_eq!(fault(&world, second).await, Code::NameTaken);
    // Nobody but the owner before gives it away, and it moves in one transaction.
    let seats = (
        RoleAssignment { account: acme.owner, role: acme.role(BuiltIn::Admin) },
        RoleAssignment { account: bob, role: owner },
    );
    let demoted = async |tx: &mut Tx| {
        members::set_role(tx, &acme.may(Management::MemberManage), acme.owner, acme.role(BuiltIn::Admin), world.now())
            .await
    };
    assert_eq!(fault(&world, demoted).await, Code::NotFound);
    let mut tx = world.begin().await;
    let may = acme.may(Management::OrganizationTransfer);
    members::transfer(&mut tx, &may, seats.0, seats.1, world.now()).await.unwrap();
    crate::world::end(tx).await.unwrap();
    assert_eq!(organizations::get(world.reader().await.conn(), &acme.grant).await.unwrap().owner, bob);
}

async fn the_owner_cannot_be_taken_out(world: World) {
    let acme = world.organization("Acme").await;
    let refused =
        fault(&world, async |tx| members::delete(tx, &acme.may(Management::MemberManage), acme.owner).await).await;
    assert_eq!(refused, Code::NotFound);
}

async fn a_member_has_no_role_of_another_organization(world: World) {
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    let bob = world.account("bob@acme.example").await;
    let foreign = globex.role(BuiltIn::Viewer);
    let membership = Membership { organization_id: acme.id, account_id: bob, role_id: foreign };
    let refused = fault(&world, async |tx| members::insert(tx, membership, false, world.now()).await).await;
    assert_eq!(refused, Code::Conflict);
    let ada = join(&world, &acme, "ada@acme.example", BuiltIn::Viewer).await;
    let may = acme.may(Management::MemberManage);
    let set = async |tx: &mut Tx| members::set_role(tx, &may, ada, foreign, world.now()).await;
    assert_eq!(fault(&world, set).await, Code::Conflict);
}

async fn memberships_are_told_for_one_organization_or_all(world: World) {
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    let bob = join(&world, &acme, "bob@acme.example", BuiltIn::Viewer).await;
    let told = async |of| {
        let all = members::memberships(world.reader().await.conn(), of).await.unwrap();
        all.into_iter().map(|m| (m.organization_id, m.account_id, m.role_id)).collect::<Vec<_>>()
    };
    let mut acmes = vec![(acme.id, acme.owner, acme.role(BuiltIn::Owner)), (acme.id, bob, acme.role(BuiltIn::Viewer))];
    acmes.sort();
    let globexs = vec![(globex.id, globex.owner, globex.role(BuiltIn::Owner))];
    assert_eq!(told(Some(acme.id)).await, acmes);
    assert_eq!(told(Some(globex.id)).await, globexs);
    // Those of one organization stand together.
    let mut both = [acmes, globexs].concat();
    both.sort_by_key(|(organization, ..)| *organization);
    assert_eq!(told(None).await, both);
    assert!(told(Some(Uuid::from_u128(1))).await.is_empty());
}

/// An invitation that was not mailed.
fn passed_on(digest: [u8; 32]) -> LinkDigests {
    LinkDigests { passed_on: digest, mailed: None }
}

fn invitation(world: &World, of: &Organization, email: &str) -> Invitation {
    Invitation {
        id: world.store.new_id(),
        organization_id: of.id,
        organization_name: String::new(),
        email: email.to_owned(),
        role_id: of.role(BuiltIn::Viewer),
        role_name: String::new(),
        role_kind: RoleKind::BuiltIn(BuiltIn::Viewer),
        inviter: "ada@acme.example".to_owned(),
        inviter_kind: Some(ActorKind::User),
        inviter_id: Some(Uuid::from_u128(7)),
        expires_at: world.now().plus(DAY),
        created_at: world.now(),
        updated_at: world.now(),
    }
}

async fn invite(world: &World, of: &Organization, email: &str) -> (Invitation, [u8; 32]) {
    let (invitation, digest) = (invitation(world, of, email), unique());
    let mut tx = world.begin().await;
    invitations::insert(&mut tx, &of.may(Management::MemberManage), &invitation, &passed_on(digest), world.now())
        .await
        .unwrap();
    crate::world::end(tx).await.unwrap();
    (invitation, digest)
}

async fn an_invitation_reads_back_and_is_found_by_its_link(world: World) {
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    let (made, digest) = invite(&world, &acme, "Bob@Acme.example").await;
    let mut reader = world.reader().await;
    let found = invitations::get(reader.conn(), &acme.grant, made.id).await.unwrap();
    let expected = Invitation {
        organization_name: "Acme".to_owned(),
        role_name: "viewer".to_owned(),
        role_kind: RoleKind::BuiltIn(BuiltIn::Viewer),
        ..made.clone()
    };
    assert_eq!(format!("{found:?}"), format!("{expected:?}"));
    assert_eq!(invitations::list(reader.conn(), &acme.grant).await.unwrap().len(), 1);
    assert!(invitations::list(reader.conn(), &globex.grant).await.unwrap().is_empty());
    let foreign = invitations::get(reader.conn(), &globex.grant, made.id).await;
    assert_eq!(foreign.unwrap_err().code, Code::NotFound);

    for _ in 0..2 {
        let by_link = invitations::by_link(reader.conn(), made.id, &digest, world.now()).await.unwrap();
        assert_eq!(by_link.map(|found| (found.invitation.id, found.mailed)), Some((made.id, false)));
    }
    let end = made.expires_at;
    for (id, digest, at) in
        [(made.id, digest, end), (made.id, unique(), world.now()), (Uuid::from_u128(1), digest, world.now())]
    {
        assert!(invitations::by_link(reader.conn(), id, &digest, at).await.unwrap().is_none());
    }
    drop(reader);
    let mut tx = world.begin().await;
    organizations::delete(&mut tx, &acme.may(Management::OrganizationDelete), world.now()).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let gone = invitations::by_link(world.reader().await.conn(), made.id, &digest, world.now()).await.unwrap();
    assert!(gone.is_none());
}

async fn an_address_is_invited_once_in_an_organization(world: World) {
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    invite(&world, &acme, "bob@acme.example").await;
    let second = invitation(&world, &acme, "BOB@acme.example");
    let mut tx = world.begin().await;
    let error =
        invitations::insert(&mut tx, &acme.may(Management::MemberManage), &second, &passed_on(unique()), world.now())
            .await
            .unwrap_err();
    assert_eq!(error.code, Code::Conflict);
    assert!(error.detail.contains("BOB@acme.example"), "{error}");
    drop(tx);
    invite(&world, &globex, "bob@acme.example").await;
    let foreign_role =
        Invitation { role_id: globex.role(BuiltIn::Viewer), ..invitation(&world, &acme, "eve@acme.example") };
    let refused = async |tx: &mut Tx| {
        invitations::insert(tx, &acme.may(Management::MemberManage), &foreign_role, &passed_on(unique()), world.now())
            .await
    };
    assert_eq!(fault(&world, refused).await, Code::Conflict);
}

async fn an_expired_invitation_gives_way(world: World) {
    let acme = world.organization("Acme").await;
    let (old, _) = invite(&world, &acme, "bob@acme.example").await;
    world.clock.pass(DAY);
    // It is still shown, so that it can be sent again.
    assert_eq!(invitations::list(world.reader().await.conn(), &acme.grant).await.unwrap()[0].id, old.id);
    let (new, _) = invite(&world, &acme, "Bob@acme.example").await;
    let left = invitations::list(world.reader().await.conn(), &acme.grant).await.unwrap();
    assert_eq!(left.iter().map(|i| i.id).collect::<Vec<_>>(), [new.id]);
}

async fn a_renewed_invitation_has_only_its_new_link(world: World) {
    let acme = world.organization("Acme").await;
    let (made, old) = invite(&world, &acme, "bob@acme.example").await;
    let (new, at) = (unique(), world.clock.pass(2 * DAY));
    let mut tx = world.begin().await;
    invitations::renew(&mut tx, &acme.may(Management::MemberManage), made.id, &passed_on(new), at.plus(DAY), at)
        .await
        .unwrap();
    crate::world::end(tx).await.unwrap();
    let mut reader = world.reader().await;
    assert!(invitations::by_link(reader.conn(), made.id, &old, at).await.unwrap().is_none());
    let found = invitations::by_link(reader.conn(), made.id, &new, at).await.unwrap().unwrap().invitation;
    assert_eq!((found.expires_at, found.updated_at, found.created_at), (at.plus(DAY), at, made.created_at));
}

async fn an_invitation_is_deleted_once_and_by_its_organization(world: World) {
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    let (made, _) = invite(&world, &acme, "bob@acme.example").await;
    let (own, foreign) = (acme.may(Management::MemberManage), globex.may(Management::MemberManage));
    let mut tx = world.begin().await;
    let of_another_right = invitations::delete(&mut tx, &acme.may(Management::MemberRead), made.id).await;
    assert_eq!(of_another_right.unwrap_err().code, Code::Internal);
    assert_eq!(invitations::delete(&mut tx, &foreign, made.id).await.unwrap_err().code, Code::NotFound);
    invitations::delete(&mut tx, &own, made.id).await.unwrap();
    assert_eq!(invitations::delete(&mut tx, &own, made.id).await.unwrap_err().code, Code::NotFound);
    assert!(!invitations::end(&mut tx, acme.id, made.id).await.unwrap());
    crate::world::end(tx).await.unwrap();
    let gone = invitations::get(world.reader().await.conn(), &acme.grant, made.id).await;
    assert_eq!(gone.unwrap_err().code, Code::NotFound);
}
