//! What whoever takes an account over finds of the one before, and ends.

use tokenward_core::caller::{Caller, Grant};
use tokenward_core::decision::{Credential, Subject};
use tokenward_core::directory::{Directory, Resource};
use tokenward_core::event::{Actor, ActorKind, By, Origin};
use tokenward_core::permission::Management;
use tokenward_core::role::{BuiltIn, Role, RoleKind};
use tokenward_core::secret::Digest;
use tokenward_core::time::DAY;
use tokenward_core::token::State;
use tokenward_core::{Time, Uuid};
use tokenward_store::invitations::{self, Invitation, LinkDigests};
use tokenward_store::members::{self, Membership};
use tokenward_store::{accounts, tokens};

use crate::world::{Organization, World, new_token, unique};

on_both_engines![
    an_account_has_one_sign_in_link,
    a_new_password_ends_the_sign_in_link,
    an_address_is_proven_once_and_then_for_good,
    the_mailed_link_is_told_from_the_one_that_is_passed_on,
    a_new_pair_of_links_ends_both,
    pending_invitations_are_found_by_who_sent_them,
    what_an_account_made_is_taken_back_with_what_was_made_with_it,
    who_leads_an_organization_is_told_from_the_rows,
];

async fn link(world: &World, account: Uuid) -> [u8; 32] {
    let (digest, now) = (unique(), world.now());
    let mut tx = world.begin().await;
    accounts::insert_link(&mut tx, world.store.new_id(), account, &digest, now.plus(DAY), now).await.unwrap();
    crate::world::end(tx).await.unwrap();
    digest
}

async fn an_account_has_one_sign_in_link(world: World) {
    let (ada, bob) = (world.account("ada@acme.example").await, world.account("bob@acme.example").await);
    let (first, of_bob) = (link(&world, ada).await, link(&world, bob).await);
    let second = link(&world, ada).await;
    let owner =
        async |digest: [u8; 32]| accounts::find_link(world.reader().await.conn(), &digest, world.now()).await.unwrap();
    assert_eq!((owner(first).await, owner(second).await, owner(of_bob).await), (None, Some(ada), Some(bob)));
}

async fn a_new_password_ends_the_sign_in_link(world: World) {
    let (ada, bob) = (world.account("ada@acme.example").await, world.account("bob@acme.example").await);
    link(&world, ada).await;
    link(&world, bob).await;
    let mut tx = world.begin().await;
    accounts::set_password(&mut tx, ada, "hash", world.now()).await.unwrap();
    crate::world::end(tx).await.unwrap();
    assert_eq!(world.number("SELECT count(*) FROM sign_in_link").await, 1);
}

async fn an_address_is_proven_once_and_then_for_good(world: World) {
    let ada = world.account("ada@acme.example").await;
    let proven = async || accounts::get(world.reader().await.conn(), ada).await.unwrap().unwrap().email_proven_at;
    assert_eq!(proven().await, None);
    let first = world.now();
    for _ in 0..2 {
        let mut tx = world.begin().await;
        accounts::prove_email(&mut tx, ada, world.now()).await.unwrap();
        crate::world::end(tx).await.unwrap();
        world.clock.pass(1);
    }
    assert_eq!(proven().await, Some(first));
}

async fn invite(world: &World, of: &Organization, email: &str, by: Uuid, links: LinkDigests) -> Uuid {
    let invitation = Invitation {
        id: world.store.new_id(),
        organization_id: of.id,
        organization_name: String::new(),
        email: email.to_owned(),
        role_id: of.role(BuiltIn::Viewer),
        role_name: String::new(),
        role_kind: RoleKind::BuiltIn(BuiltIn::Viewer),
        inviter: "ada@acme.example".to_owned(),
        inviter_kind: Some(ActorKind::User),
        inviter_id: Some(by),
        expires_at: world.now().plus(DAY),
        created_at: world.now(),
        updated_at: world.now(),
    };
    let mut tx = world.begin().await;
    invitations::insert(&mut tx, &of.may(Management::MemberManage), &invitation, &links, world.now()).await.unwrap();
    crate::world::end(tx).await.unwrap();
    // Lists are in the order of ids.
    world.clock.pass(1);
    invitation.id
}

fn both() -> LinkDigests {
    LinkDigests { passed_on: unique(), mailed: Some(unique()) }
}

async fn mailed(world: &World, id: Uuid, digest: [u8; 32]) -> Option<bool> {
    let held = invitations::by_link(world.reader().await.conn(), id, &digest, world.now()).await.unwrap();
    held.map(|held| held.mailed)
}

async fn the_mailed_link_is_told_from_the_one_that_is_passed_on(world: World) {
    let acme = world.organization("Acme").await;
    let (with, without) = (both(), LinkDigests { passed_on: unique(), mailed: None });
    let first = invite(&world, &acme, "bob@acme.example", acme.owner, with).await;
    let second = invite(&world, &acme, "eve@acme.example", acme.owner, without).await;
    assert_eq!(mailed(&world, first, with.passed_on).await, Some(false));
    assert_eq!(mailed(&world, first, with.mailed.unwrap()).await, Some(true));
    assert_eq!(mailed(&world, second, without.passed_on).await, Some(false));
    assert_eq!(mailed(&world, second, with.mailed.unwrap()).await, None);
}

async fn a_new_pair_of_links_ends_both(world: World) {
    let acme = world.organization("Acme").await;
    let (old, new) = (both(), LinkDigests { passed_on: unique(), mailed: None });
    let id = invite(&world, &acme, "bob@acme.example", acme.owner, old).await;
    let (now, mut tx) = (world.now(), world.begin().await);
    invitations::renew(&mut tx, &acme.may(Management::MemberManage), id, &new, now.plus(DAY), now).await.unwrap();
    crate::world::end(tx).await.unwrap();
    for digest in [old.passed_on, old.mailed.unwrap()] {
        assert_eq!(mailed(&world, id, digest).await, None);
    }
    assert_eq!(mailed(&world, id, new.passed_on).await, Some(false));
}

async fn pending_invitations_are_found_by_who_sent_them(world: World) {
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    let ada = Uuid::from_u128(7);
    let here = invite(&world, &acme, "bob@acme.example", ada, both()).await;
    let there = invite(&world, &globex, "bob@acme.example", ada, both()).await;
    invite(&world, &acme, "eve@acme.example", Uuid::from_u128(8), both()).await;
    let sent = async |organization| {
        let found = invitations::sent_by(world.reader().await.conn(), organization, ada, world.now()).await.unwrap();
        found.into_iter().map(|invitation| invitation.id).collect::<Vec<_>>()
    };
    assert_eq!((sent(Some(acme.id)).await, sent(None).await), (vec![here], vec![here, there]));
    world.clock.pass(DAY);
    assert!(sent(None).await.is_empty(), "what has expired is not pending");
}

/// The right of somebody to manage the tokens of an organization.
fn right_of(of: &Organization, actor: Actor, now: Time) -> Grant {
    let role = of.role(BuiltIn::Admin);
    let mut directory = Directory::default();
    directory.put_organization(of.id, "o");
    directory.put_role(of.id, Role::built_in(role, BuiltIn::Admin));
    let (id, subject, state) = (Uuid::from_u128(9), Subject::Token(1), State::Active);
    let credential =
        Credential { id, subject, state, not_before: None, expires_at: None, replaced: false, brownout: None };
    let by = By { actor, origin: Origin::Api, address: None, user_agent: None };
    let caller = Caller::token(credential, of.id, role, by);
    caller.require(&directory, of.id, Management::TokenManage, Resource::default(), now).unwrap()
}

/// A token that somebody made.
async fn token(world: &World, of: &Organization, name: &str, maker: Actor) -> Uuid {
    let (id, digest, grant) = (world.store.new_id(), Digest(unique()), right_of(of, maker, world.now()));
    let mut tx = world.begin().await;
    tokens::insert(&mut tx, &grant, new_token(of, id, name, digest)).await.unwrap();
    crate::world::end(tx).await.unwrap();
    id
}

async fn what_an_account_made_is_taken_back_with_what_was_made_with_it(world: World) {
    world.pepper(1).await;
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    let ada = world.account("ada@acme.example").await;
    let user = || Actor::User { id: ada, email: "ada@acme.example".to_owned() };
    let first = token(&world, &acme, "first", user()).await;
    let of_first = |name: &str| Actor::Token { id: first, name: name.to_owned() };
    let second = token(&world, &acme, "second", of_first("first")).await;
    let third = token(&world, &acme, "third", Actor::Token { id: second, name: "second".to_owned() }).await;
    let abroad = token(&world, &globex, "abroad", user()).await;
    let others = token(&world, &acme, "others", Actor::Operator).await;
    // One in the middle is gone already: what was made with it is not.
    world.revoke(&acme, second).await;
    let mut tx = world.begin().await;
    let gone = tokens::revoke_made_by(&mut tx, ada, world.now()).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let mut ids: Vec<Uuid> = gone.iter().map(|token| token.id).collect();
    ids.sort_unstable();
    let mut expected = [first, third, abroad];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert!(gone.iter().any(|token| (token.id, token.organization_id, &*token.name) == (abroad, globex.id, "abroad")));
    let living = tokens::list(world.reader().await.conn(), &acme.grant).await.unwrap();
    assert_eq!(living.iter().map(|token| token.id).collect::<Vec<_>>(), [others]);
    assert_eq!(tokens::count(world.reader().await.conn(), &acme.grant).await.unwrap(), 1, "and they are counted");
}

async fn who_leads_an_organization_is_told_from_the_rows(world: World) {
    let acme = world.organization("Acme").await;
    let ada = world.account("ada@acme.example").await;
    let leads = async |account| {
        let roles = [BuiltIn::Owner, BuiltIn::Admin];
        members::holds_anywhere(world.reader().await.conn(), account, roles).await.unwrap()
    };
    assert_eq!((leads(acme.owner).await, leads(ada).await), (true, false));
    let join = async |role| {
        let membership = Membership { organization_id: acme.id, account_id: ada, role_id: acme.role(role) };
        let mut tx = world.begin().await;
        members::insert(&mut tx, membership, false, world.now()).await.unwrap();
        crate::world::end(tx).await.unwrap();
    };
    join(BuiltIn::DevOps).await;
    assert!(!leads(ada).await);
    let (now, mut tx) = (world.now(), world.begin().await);
    let admin = acme.role(BuiltIn::Admin);
    members::set_role(&mut tx, &acme.may(Management::MemberManage), ada, admin, now).await.unwrap();
    crate::world::end(tx).await.unwrap();
    assert!(leads(ada).await);
    let mut tx = world.begin().await;
    tokenward_store::organizations::delete(&mut tx, &acme.may(Management::OrganizationDelete), now).await.unwrap();
    crate::world::end(tx).await.unwrap();
    assert!(!leads(ada).await && !leads(acme.owner).await, "an organization that is gone has no leaders");
}
