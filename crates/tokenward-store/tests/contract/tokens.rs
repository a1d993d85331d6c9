//! API tokens and their secrets.

use std::collections::BTreeSet;

use tokenward_core::ended::RETENTION;
use tokenward_core::event::ActorKind;
use tokenward_core::meter::Allowance;
use tokenward_core::network::{Network, NotedNetwork};
use tokenward_core::permission::Management;
use tokenward_core::role::BuiltIn;
use tokenward_core::secret::{Digest, Kind};
use tokenward_core::time::{DAY, HOUR};
use tokenward_core::{Code, Time, Uuid};
use tokenward_store::tokens::pages::{self, By, Part, Sieve};
use tokenward_store::tokens::{Those, ended};
use tokenward_store::{members, tokens};

use crate::world::{Organization, World, new_token, revocation, secret, unique};

on_both_engines![
    a_token_reads_back_as_it_was_made,
    an_absent_description_stays_absent_and_an_empty_one_empty,
    living_tokens_are_counted_with_each,
    living_tokens_that_expire_are_counted,
    tokens_are_listed_in_the_order_of_their_creation,
    tokens_are_told_by_what_they_have_in_common,
    a_living_name_is_taken,
    of_two_who_take_a_name_at_once_one_wins,
    names_are_the_same_only_letter_by_letter,
    a_deleted_name_is_free_at_once,
    a_deleted_token_is_not_found,
    a_grant_for_something_else_changes_nothing,
    of_two_who_delete_a_token_at_once_one_wins,
    a_foreign_token_is_not_found,
    a_digest_is_never_registered_twice_not_even_after_deletion,
    a_role_of_another_organization_is_refused,
    a_pepper_that_the_database_does_not_know_is_refused,
    a_rotation_adds_a_secret_and_ends_those_before,
    one_earlier_secret_is_ended_and_never_prolonged,
    a_token_is_switched_off_and_on,
    what_was_taken_back_is_read_for_ninety_days_and_restored,
    the_index_gets_every_secret_of_the_tokens_it_asks_for,
    the_index_gets_the_same_rows_whichever_way_it_asks,
];

async fn world_with_pepper(world: &World) -> Organization {
    world.pepper(1).await;
    world.organization("Acme").await
}

async fn a_token_reads_back_as_it_was_made(world: World) {
    let acme = world_with_pepper(&world).await;
    let id = world.store.new_id();
    let ends = world.now().plus(DAY);
    let new = tokens::NewToken {
        role_id: acme.role(BuiltIn::Viewer),
        description: Some("for the pipeline\n✓"),
        not_before: None,
        expires_at: Some(ends),
        networks: &[],
        permissions: &[],
        places: None,
        allowance: Allowance::default(),
        ..new_token(&acme, id, "CI", Digest(unique()))
    };
    let mut tx = world.begin().await;
    tokens::insert(&mut tx, &acme.may(Management::TokenManage), new).await.unwrap();
    // In its own transaction it is there already.
    assert_eq!(tokens::get(tx.conn(), &acme.grant, id).await.unwrap().name, "CI");
    crate::world::end(tx).await.unwrap();

    let token = tokens::get(world.reader().await.conn(), &acme.grant, id).await.unwrap();
    assert_eq!((token.id, token.organization_id, token.name.as_str()), (id, acme.id, "CI"));
    assert_eq!((token.role_id, token.role_name.as_str()), (acme.role(BuiltIn::Viewer), "viewer"));
    assert_eq!(token.description.as_deref(), Some("for the pipeline\n✓"));
    let creator = (token.creator_name.as_deref(), token.creator_kind, token.creator_id);
    assert_eq!(creator, (Some("operator"), Some(ActorKind::Operator), None));
    assert_eq!((token.created_at, token.updated_at, token.expires_at), (world.now(), world.now(), Some(ends)));
    assert_eq!(token.last_four, "wxyz");
    assert_eq!(tokens::list(world.reader().await.conn(), &acme.grant).await.unwrap(), [token]);
}

async fn an_absent_description_stays_absent_and_an_empty_one_empty(world: World) {
    let acme = world_with_pepper(&world).await;
    for (name, description) in [("absent", None), ("empty", Some(""))] {
        let id = world.store.new_id();
        let new = tokens::NewToken { description, ..new_token(&acme, id, name, Digest(unique())) };
        let mut tx = world.begin().await;
        tokens::insert(&mut tx, &acme.may(Management::TokenManage), new).await.unwrap();
        crate::world::end(tx).await.unwrap();
        let token = tokens::get(world.reader().await.conn(), &acme.grant, id).await.unwrap();
        assert_eq!(token.description.as_deref(), description);
    }
}

async fn living_tokens_are_counted_with_each(world: World) {
    let (acme, globex) = (world_with_pepper(&world).await, world.organization("Globex").await);
    world.token(&globex, "CI").await;
    let insert = async |name: &str| {
        let id = world.store.new_id();
        let mut tx = world.begin().await;
        let new = new_token(&acme, id, name, Digest(unique()));
        tokens::insert(&mut tx, &acme.may(Management::TokenManage), new).await.unwrap();
        let count = tokens::count(tx.conn(), &acme.grant).await.unwrap();
        crate::world::end(tx).await.unwrap();
        (id, count)
    };
    let (first, count) = insert("a").await;
    assert_eq!((count, insert("b").await.1), (1, 2));
    let mut tx = world.begin().await;
    crate::world::revoke(&mut tx, &acme.may(Management::TokenManage), first, &revocation(world.now())).await.unwrap();
    crate::world::end(tx).await.unwrap();
    assert_eq!(insert("c").await.1, 2, "what is taken back does not count any more");
}

async fn living_tokens_that_expire_are_counted(world: World) {
    let acme = world_with_pepper(&world).await;
    let now = world.now();
    for (name, end) in
        [("never", None), ("past", Some(0)), ("soon", Some(DAY)), ("edge", Some(7 * DAY)), ("gone", Some(DAY))]
    {
        let token = world.token(&acme, name).await;
        if let Some(end) = end {
            let at = now.plus(end).0;
            assert_eq!(world.sql(&format!("UPDATE token SET expires_at = {at} WHERE name = '{name}'")).await, 1);
        }
        if name == "gone" {
            world.revoke(&acme, token.id).await;
        }
    }
    let mut reader = world.reader().await;
    assert_eq!(tokens::count_expired(reader.conn(), now).await.unwrap(), 1);
    assert_eq!(tokens::count_expiring(reader.conn(), now, now.plus(7 * DAY - 1)).await.unwrap(), 1);
    assert_eq!(tokens::count_expiring(reader.conn(), now, now.plus(7 * DAY)).await.unwrap(), 2);
}

async fn tokens_are_listed_in_the_order_of_their_creation(world: World) {
    let acme = world_with_pepper(&world).await;
    // A microsecond apart, and not in the order of the alphabet.
    let names = ["m", "B", "z", "a", "Z", "k", "é", "0"];
    for name in names {
        world.token(&acme, name).await;
    }
    let mut reader = world.reader().await;
    let listed = tokens::list(reader.conn(), &acme.grant).await.unwrap();
    assert_eq!(listed.iter().map(|token| token.name.as_str()).collect::<Vec<_>>(), names);
}

async fn tokens_are_told_by_what_they_have_in_common(world: World) {
    let (acme, globex) = (world_with_pepper(&world).await, world.organization("Globex").await);
    let (ours, theirs) = (world.token(&acme, "ours").await, world.token(&globex, "theirs").await);
    let gone = world.token(&acme, "gone").await;
    world.revoke(&acme, gone.id).await;
    let all = [ours.id, theirs.id, gone.id];
    let mut reader = world.reader().await;
    assert_eq!(tokens::living(reader.conn(), &acme.grant, &all).await.unwrap(), [ours.id]);
    let these = tokens::these(reader.conn(), &acme.grant, &all, false).await.unwrap();
    assert_eq!(these, tokens::list(reader.conn(), &acme.grant).await.unwrap());
    let taken_back = tokens::these(reader.conn(), &acme.grant, &all, true).await.unwrap();
    assert_eq!(taken_back.iter().map(|it| it.id).collect::<Vec<_>>(), [gone.id]);
    assert_eq!(tokens::count(reader.conn(), &acme.grant).await.unwrap(), 1);
    assert_eq!(tokens::count_by_role(reader.conn(), &acme.grant).await.unwrap(), [(acme.role(BuiltIn::Admin), 1)]);
    // The operator, who made them, is nobody with an id.
    assert!(tokens::count_by_creator(reader.conn(), &acme.grant).await.unwrap().is_empty());
    assert_eq!(members::count_by_role(reader.conn(), &acme.grant).await.unwrap(), [(acme.role(BuiltIn::Owner), 1)]);
    assert_eq!(members::owner(reader.conn(), &acme.grant).await.unwrap().account_id, acme.owner);
    assert_eq!(members::count_owned(reader.conn(), acme.owner).await.unwrap(), 1);
    assert!(members::has_email(reader.conn(), &acme.grant, "OWNER@acme.example").await.unwrap());
    assert!(!members::has_email(reader.conn(), &acme.grant, "owner@globex.example").await.unwrap());
}

async fn a_living_name_is_taken(world: World) {
    let (acme, globex) = (world_with_pepper(&world).await, world.organization("Globex").await);
    world.token(&acme, "CI").await;
    let mut tx = world.begin().await;
    let second = new_token(&acme, world.store.new_id(), "CI", Digest(unique()));
    let error = tokens::insert(&mut tx, &acme.may(Management::TokenManage), second).await.unwrap_err();
    assert_eq!(error.code, Code::NameTaken);
    assert!(error.detail.contains("`CI`") && error.detail.contains("token"), "{error}");
    drop(tx);
    // Every organization has its own names.
    world.token(&globex, "CI").await;
}

async fn of_two_who_take_a_name_at_once_one_wins(world: World) {
    let acme = world_with_pepper(&world).await;
    for name in ["a", "b", "c", "d", "e"] {
        let create = async || {
            let new = new_token(&acme, world.store.new_id(), name, Digest(unique()));
            let mut tx = world.begin().await;
            tokens::insert(&mut tx, &acme.may(Management::TokenManage), new).await?;
            tokio::task::yield_now().await;
            crate::world::end(tx).await
        };
        let (a, b) = tokio::join!(create(), create());
        assert_eq!([&a, &b].iter().filter(|result| result.is_ok()).count(), 1, "{a:?} {b:?}");
        let error = a.and(b).unwrap_err();
        assert_eq!(error.code, Code::NameTaken);
    }
}

async fn names_are_the_same_only_letter_by_letter(world: World) {
    let acme = world_with_pepper(&world).await;
    for name in ["ci", "CI", "ci ", "cí"] {
        world.token(&acme, name).await;
    }
}

async fn a_deleted_name_is_free_at_once(world: World) {
    let acme = world_with_pepper(&world).await;
    let first = world.token(&acme, "CI").await;
    world.revoke(&acme, first.id).await;
    let second = world.token(&acme, "CI").await;
    world.revoke(&acme, second.id).await;
    world.token(&acme, "CI").await;
    assert_eq!(world.number("SELECT count(*) FROM token WHERE name = 'CI'").await, 3);
}

async fn a_deleted_token_is_not_found(world: World) {
    let acme = world_with_pepper(&world).await;
    let (gone, living) = (world.token(&acme, "gone").await, world.token(&acme, "living").await);
    world.revoke(&acme, gone.id).await;
    let mut reader = world.reader().await;
    assert_eq!(tokens::get(reader.conn(), &acme.grant, gone.id).await.unwrap_err().code, Code::NotFound);
    let listed = tokens::list(reader.conn(), &acme.grant).await.unwrap();
    assert_eq!(listed.iter().map(|token| token.id).collect::<Vec<_>>(), [living.id]);
    drop(reader);
    let mut tx = world.begin().await;
    let again =
        crate::world::revoke(&mut tx, &acme.may(Management::TokenManage), gone.id, &revocation(world.now())).await;
    assert_eq!(again.unwrap_err().code, Code::NotFound);
}

async fn a_grant_for_something_else_changes_nothing(world: World) {
    let acme = world_with_pepper(&world).await;
    let token = world.token(&acme, "CI").await;
    let other = acme.may(Management::RoleManage);
    let mut tx = world.begin().await;
    assert_eq!(
        crate::world::revoke(&mut tx, &other, token.id, &revocation(world.now())).await.unwrap_err().code,
        Code::Internal
    );
    let new = new_token(&acme, world.store.new_id(), "other", Digest(unique()));
    assert_eq!(tokens::insert(&mut tx, &other, new).await.unwrap_err().code, Code::Internal);
}

async fn of_two_who_delete_a_token_at_once_one_wins(world: World) {
    let acme = world_with_pepper(&world).await;
    for name in ["a", "b", "c", "d", "e"] {
        let token = world.token(&acme, name).await;
        let delete = async || {
            let mut tx = world.begin().await;
            crate::world::revoke(&mut tx, &acme.may(Management::TokenManage), token.id, &revocation(world.now()))
                .await?;
            tokio::task::yield_now().await;
            crate::world::end(tx).await
        };
        let (a, b) = tokio::join!(delete(), delete());
        assert_eq!([&a, &b].iter().filter(|result| result.is_ok()).count(), 1, "{a:?} {b:?}");
        assert_eq!(a.and(b).unwrap_err().code, Code::NotFound);
    }
}

async fn a_foreign_token_is_not_found(world: World) {
    let (acme, globex) = (world_with_pepper(&world).await, world.organization("Globex").await);
    let token = world.token(&acme, "CI").await;
    let mut tx = world.begin().await;
    assert_eq!(tokens::get(tx.conn(), &globex.grant, token.id).await.unwrap_err().code, Code::NotFound);
    let revoked =
        crate::world::revoke(&mut tx, &globex.may(Management::TokenManage), token.id, &revocation(world.now())).await;
    assert_eq!(revoked.unwrap_err().code, Code::NotFound);
    assert!(tokens::list(tx.conn(), &globex.grant).await.unwrap().is_empty());
    crate::world::end(tx).await.unwrap();
    assert_eq!(tokens::get(world.reader().await.conn(), &acme.grant, token.id).await.unwrap().id, token.id);
}

async fn a_digest_is_never_registered_twice_not_even_after_deletion(world: World) {
    let (acme, globex) = (world_with_pepper(&world).await, world.organization("Globex").await);
    let token = world.token(&acme, "CI").await;
    let register = async |of: &Organization| {
        let mut tx = world.begin().await;
        let new = new_token(of, world.store.new_id(), "other", token.digest);
        tokens::insert(&mut tx, &of.may(Management::TokenManage), new).await.unwrap_err().code
    };
    assert_eq!(register(&acme).await, Code::DigestUsed);
    world.revoke(&acme, token.id).await;
    assert_eq!(register(&acme).await, Code::DigestUsed);
    assert_eq!(register(&globex).await, Code::DigestUsed);
    world.clock.pass(RETENTION + DAY);
    let mut tx = world.store.begin_unlogged().await.unwrap();
    assert_eq!(ended::remove(&mut tx, 10).await.unwrap(), 1);
    tx.commit().await.unwrap();
    // Half of a token would be a name that nobody can free.
    assert_eq!(world.number("SELECT count(*) FROM token").await, 0);
    // Its row is gone, and what that said of its digest is not.
    let mut used = [0; 16];
    used.copy_from_slice(&token.digest.0[..16]);
    let found = tokens::were_used(world.reader().await.conn(), &[[7; 16], used]).await.unwrap();
    assert!(found.contains(&used) && !found.contains(&[7; 16]));
}

async fn a_role_of_another_organization_is_refused(world: World) {
    let (acme, globex) = (world_with_pepper(&world).await, world.organization("Globex").await);
    for role_id in [globex.role(BuiltIn::Viewer), Uuid::from_u128(1)] {
        let new = tokens::NewToken { role_id, ..new_token(&acme, world.store.new_id(), "CI", Digest(unique())) };
        let mut tx = world.begin().await;
        let error = tokens::insert(&mut tx, &acme.may(Management::TokenManage), new).await.unwrap_err();
        assert_eq!(error.code, Code::Conflict);
    }
    assert_eq!(world.number("SELECT count(*) FROM token").await, 0);
}

async fn a_pepper_that_the_database_does_not_know_is_refused(world: World) {
    let acme = world_with_pepper(&world).await;
    let digest = Digest(unique());
    let new = tokens::NewToken {
        secret: tokens::NewSecret { pepper_version: 2, ..secret(digest) },
        ..new_token(&acme, world.store.new_id(), "CI", digest)
    };
    let mut tx = world.begin().await;
    assert_eq!(
        tokens::insert(&mut tx, &acme.may(Management::TokenManage), new).await.unwrap_err().code,
        Code::Conflict
    );
}

async fn the_index_gets_every_secret_of_the_tokens_it_asks_for(world: World) {
    let acme = world_with_pepper(&world).await;
    let (first, second, third) =
        (world.token(&acme, "1").await, world.token(&acme, "2").await, world.token(&acme, "3").await);
    let at = world.clock.pass(HOUR);
    world.revoke(&acme, second.id).await;
    // More than one piece of a list, most of which name nothing.
    let mut ids: Vec<Uuid> = (1..=1_200).map(Uuid::from_u128).collect();
    ids.extend([second.id, first.id]);
    let mut rows = tokens::index_rows(world.reader().await.conn(), &ids).await.unwrap();
    rows.sort_by_key(|row| row.token_id);
    let [a, b] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((a.token_id, a.organization_id, a.name.as_str()), (first.id, acme.id, "1"));
    assert_eq!((a.kind.as_str(), a.role_id), ("api_token", Some(acme.role(BuiltIn::Admin))));
    assert_eq!((a.expires_at, a.secret_expires_at, a.revoked_at), (None, None, None));
    assert_eq!(a.digest, first.digest.0);
    assert_eq!((b.token_id, b.revoked_at), (second.id, Some(at)));
    assert_eq!(b.digest, second.digest.0);
    assert!(tokens::index_rows(world.reader().await.conn(), &[]).await.unwrap().is_empty());
    assert_ne!(third.digest, first.digest);
}

/// Gives a token its next secret; those before it end at `until`.
async fn rotate(world: &World, acme: &Organization, id: Uuid, until: Time) -> tokenward_core::token::Token {
    let mut tx = world.begin().await;
    let grant = acme.may(Management::TokenManage);
    let old = tokens::get(tx.conn(), &grant, id).await.unwrap();
    let updated_at = tx.next_version(old.updated_at);
    let token = tokenward_core::token::Token { version: old.version + 1, last_four: "wxyz".into(), updated_at, ..old };
    tokens::rotate(&mut tx, &grant, &token, &secret(Digest(unique())), (until, None)).await.unwrap();
    crate::world::end(tx).await.unwrap();
    token
}

/// The numbers and ends of the secrets that are accepted at `now`.
async fn accepted(world: &World, id: Uuid, now: Time) -> Vec<(u16, Option<Time>)> {
    let all = tokens::versions(world.reader().await.conn(), &[id], now).await.unwrap().remove(&id);
    all.unwrap_or_default().iter().map(|it| (it.version, it.expires_at)).collect()
}

async fn a_rotation_adds_a_secret_and_ends_those_before(world: World) {
    let acme = world_with_pepper(&world).await;
    let id = world.token(&acme, "CI").await.id;
    let now = world.now();
    assert_eq!(accepted(&world, id, now).await, [(1, None)]);
    let (first, second) = (now.plus(HOUR), now.plus(DAY));
    let rotated = rotate(&world, &acme, id, first).await;
    assert_eq!(tokens::get(world.reader().await.conn(), &acme.grant, id).await.unwrap(), rotated);
    rotate(&world, &acme, id, second).await;
    assert_eq!(accepted(&world, id, now).await, [(3, None), (2, Some(second)), (1, Some(first))], "none is prolonged");
    assert_eq!(accepted(&world, id, first).await, [(3, None), (2, Some(second))]);
    rotate(&world, &acme, id, now).await;
    assert_eq!(accepted(&world, id, now).await, [(4, None)]);
    let rows = tokens::index_rows(world.reader().await.conn(), &[id]).await.unwrap();
    let mut ends: Vec<_> = rows.iter().map(|row| (row.version, row.secret_expires_at)).collect();
    ends.sort();
    assert_eq!(ends, [(1, Some(now)), (2, Some(now)), (3, Some(now)), (4, None)], "the index learns of them all");

    // A number is given once.
    let mut tx = world.begin().await;
    let grant = acme.may(Management::TokenManage);
    let stale = tokens::rotate(&mut tx, &grant, &rotated, &secret(Digest(unique())), (now, None)).await;
    assert_eq!(stale.map_err(|error| error.code), Err(Code::NotFound));
    let next = tokens::get(tx.conn(), &grant, id).await.unwrap();
    let wrong = acme.may(Management::TokenRead);
    assert!(tokens::rotate(&mut tx, &wrong, &next, &secret(Digest(unique())), (now, None)).await.is_err());
}

async fn one_earlier_secret_is_ended_and_never_prolonged(world: World) {
    let acme = world_with_pepper(&world).await;
    let id = world.token(&acme, "CI").await.id;
    let now = world.now();
    rotate(&world, &acme, id, now.plus(DAY)).await;
    let token = rotate(&world, &acme, id, now.plus(DAY)).await;
    let end = async |version: u16, until: Time| {
        let mut tx = world.begin().await;
        tokens::end_version(&mut tx, &acme.may(Management::TokenManage), &token, version, until).await.unwrap();
        crate::world::end(tx).await.unwrap();
    };
    end(2, now).await;
    assert_eq!(accepted(&world, id, now).await, [(3, None), (1, Some(now.plus(DAY)))]);
    end(1, now.plus(2 * DAY)).await;
    assert_eq!(accepted(&world, id, now).await, [(3, None), (1, Some(now.plus(DAY)))]);
}

async fn a_token_is_switched_off_and_on(world: World) {
    let acme = world_with_pepper(&world).await;
    let id = world.token(&acme, "CI").await.id;
    let switch = async |disabled_at: Option<Time>| {
        let mut tx = world.begin().await;
        let grant = acme.may(Management::TokenManage);
        let old = tokens::get(tx.conn(), &grant, id).await.unwrap();
        let updated_at = tx.next_version(old.updated_at);
        let token = tokenward_core::token::Token { disabled_at, updated_at, ..old };
        tokens::switch(&mut tx, &grant, &token).await.unwrap();
        crate::world::end(tx).await.unwrap();
        token
    };
    for disabled_at in [Some(world.now()), None] {
        let switched = switch(disabled_at).await;
        assert_eq!(tokens::get(world.reader().await.conn(), &acme.grant, id).await.unwrap(), switched);
        let rows = tokens::index_rows(world.reader().await.conn(), &[id]).await.unwrap();
        assert_eq!(rows[0].disabled_at, disabled_at);
    }
    world.revoke(&acme, id).await;
    let mut tx = world.begin().await;
    let grant = acme.may(Management::TokenManage);
    let gone = tokens::find(tx.conn(), &grant, id, world.now()).await.unwrap();
    assert_eq!(tokens::switch(&mut tx, &grant, &gone).await.map_err(|it| it.code), Err(Code::NotFound));
}

async fn what_was_taken_back_is_read_for_ninety_days_and_restored(world: World) {
    let acme = world_with_pepper(&world).await;
    let id = world.token(&acme, "CI").await.id;
    world.token(&acme, "other").await;
    let at = world.now();
    world.revoke(&acme, id).await;
    let find = async |now: Time| tokens::find(world.reader().await.conn(), &acme.grant, id, now).await;
    let found = find(at).await.unwrap();
    assert_eq!((found.name.as_str(), found.revocation), ("CI", Some(revocation(at))));
    let page = async |now: Time| {
        let (kind, those) = (Kind::Token, Those::TakenBack);
        let part = Part { kind, those, by: By::Created, descending: false, after: None, limit: 10 };
        let mut reader = world.reader().await;
        let page = pages::places(reader.conn(), &acme.grant, &part, &Sieve::default(), now).await.unwrap();
        page.into_iter().map(|it| it.id).collect::<Vec<_>>()
    };
    assert_eq!(page(at).await, [id]);
    let later = at.plus(RETENTION);
    assert_eq!(find(later).await.map_err(|it| it.code), Err(Code::NotFound));
    assert!(page(later).await.is_empty());

    let mut tx = world.begin().await;
    let grant = acme.may(Management::TokenManage);
    let old = tokens::find(tx.conn(), &grant, id, at).await.unwrap();
    let token = tokenward_core::token::Token { revocation: None, updated_at: tx.next_version(at), ..old };
    assert_eq!(tokens::restore(&mut tx, &grant, &token).await.unwrap(), 2, "it counts again");
    crate::world::end(tx).await.unwrap();
    assert_eq!(tokens::get(world.reader().await.conn(), &acme.grant, id).await.unwrap(), token);
    let rows = tokens::index_rows(world.reader().await.conn(), &[id]).await.unwrap();
    assert_eq!(rows[0].revoked_at, None);
    let mut tx = world.begin().await;
    let twice = tokens::restore(&mut tx, &acme.may(Management::TokenManage), &token).await;
    assert_eq!(twice.map_err(|it| it.code), Err(Code::NotFound));
}

async fn the_index_gets_the_same_rows_whichever_way_it_asks(world: World) {
    let acme = world_with_pepper(&world).await;
    // More than are read at once, and texts in which commas, quotes and every length of a character stand.
    let mut ids: BTreeSet<Uuid> = BTreeSet::new();
    let names = ["a,b", ",,,", "12,", "'quoted' \"twice\"", "Zürich 日本 🦀", "x"];
    let mut tx = world.begin().await;
    for n in 0..2_100 {
        let name = format!("{} {n}", names[n % names.len()]);
        let end = (n % 3 == 0).then(|| world.now().plus(n as i64 * HOUR));
        let digest: [u8; 32] = std::array::from_fn(|at| (n * 31 + at * 7) as u8 ^ (n >> 8) as u8);
        let networks = [NotedNetwork {
            network: Network::parse(&format!("10.{}.0.0/16", n % 256)).unwrap(),
            note: (n % 10 == 0).then(|| names[n % names.len()].to_owned()),
        }];
        let new = tokens::NewToken {
            expires_at: end,
            not_before: (n % 4 == 0).then(|| world.now().plus(n as i64)),
            networks: if n % 5 == 0 { &networks } else { &[] },
            secret: tokens::NewSecret { registered: n % 6 == 0, ..crate::world::secret(Digest(digest)) },
            ..new_token(&acme, world.store.new_id(), &name, Digest(digest))
        };
        tokens::insert(&mut tx, &acme.may(Management::TokenManage), new).await.unwrap();
        ids.insert(new.id);
    }
    crate::world::end(tx).await.unwrap();
    for id in ids.iter().take(1_500).step_by(7) {
        world.revoke(&acme, *id).await;
    }
    let mut by_id =
        tokens::index_rows(world.reader().await.conn(), &ids.into_iter().collect::<Vec<_>>()).await.unwrap();
    // What has ended is asked for apart.
    by_id.retain(|row| row.revoked_at.is_none() && row.expires_at.is_none_or(|end| world.now() < end));
    let mut all = Vec::new();
    tokens::each_index_row(world.reader().await.conn(), world.now(), |row| all.push(row)).await.unwrap();
    by_id.sort_by_key(|row| row.token_id);
    all.sort_by_key(|row| row.token_id);
    assert!(all.len() > 1_000);
    assert!(all.iter().any(|row| row.expires_at.is_some()));
    assert!(all.iter().any(|row| row.networks.is_some()) && all.iter().any(|row| row.not_before.is_some()));
    assert!(all.iter().any(|row| row.registered));
    assert_eq!(all, by_id);
}
