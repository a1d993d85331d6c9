//! Accounts, their sign-in links and their sessions.

use std::sync::LazyLock;

use tokenward_core::method::{Method, Methods};
use tokenward_core::provider_proofs::ProviderProofs;
use tokenward_core::secret::Digest;
use tokenward_core::time::HOUR;
use tokenward_core::{Code, Time, Uuid};
use tokenward_store::sessions::{self, NewSession};
use tokenward_store::{accounts, organizations};

use crate::world::{World, unique};

on_both_engines![
    an_account_is_found_by_its_address_in_any_case,
    an_address_belongs_to_one_account_whatever_its_case,
    an_account_keeps_what_it_was_given,
    a_change_of_an_account_leaves_its_address_and_its_password,
    a_sign_in_link_is_spent_once,
    of_two_who_spend_a_link_at_once_one_wins,
    a_link_whose_spending_was_rolled_back_is_whole,
    an_expired_link_opens_nothing_and_is_forgotten_by_the_next,
    a_session_is_found_with_the_address_of_its_user,
    a_new_session_forgets_those_that_have_ended,
    a_session_is_ended_by_its_user_alone_and_once,
    all_sessions_of_a_user_but_one_can_be_ended,
    a_digest_belongs_to_one_session,
    sessions_beyond_the_latest_are_told_from_the_oldest_on,
];

async fn sessions_beyond_the_latest_are_told_from_the_oldest_on(world: World) {
    let (ada, bob) = (world.account("ada@acme.example").await, world.account("bob@acme.example").await);
    world.pepper(1).await;
    let mut made = Vec::new();
    for account in [ada, ada, bob, ada, ada] {
        let new = session(&world, account);
        insert_session(&world, &new).await;
        made.push(new.id);
        world.clock.pass(1);
    }
    let mut reader = world.reader().await;
    assert_eq!(sessions::beyond(reader.conn(), ada, 2).await.unwrap(), made[..2]);
    assert!(sessions::beyond(reader.conn(), ada, 4).await.unwrap().is_empty());
    assert!(sessions::beyond(reader.conn(), bob, 1).await.unwrap().is_empty());
}

async fn an_account_is_found_by_its_address_in_any_case(world: World) {
    let id = world.account("Ada.Lovelace@Acme.example").await;
    for email in ["ada.lovelace@acme.example", "ADA.LOVELACE@ACME.EXAMPLE", "Ada.Lovelace@Acme.example"] {
        let found = accounts::by_email(world.reader().await.conn(), email).await.unwrap().unwrap();
        assert_eq!((found.id, found.email.as_str()), (id, "Ada.Lovelace@Acme.example"), "{email}");
    }
    assert!(accounts::by_email(world.reader().await.conn(), "ada@acme.example").await.unwrap().is_none());
    assert!(accounts::get(world.reader().await.conn(), Uuid::from_u128(1)).await.unwrap().is_none());
}

async fn an_address_belongs_to_one_account_whatever_its_case(world: World) {
    world.account("ada@acme.example").await;
    let mut tx = world.begin().await;
    let second = accounts::insert(&mut tx, world.store.new_id(), "ADA@acme.example", "", None, world.now()).await;
    let error = second.unwrap_err();
    assert_eq!(error.code, Code::NameTaken);
    assert!(error.detail.contains("`ADA@acme.example`"), "{error}");
    drop(tx);
    assert_eq!(world.number("SELECT count(*) FROM account").await, 1);
}

async fn an_account_keeps_what_it_was_given(world: World) {
    let (with, without) = (world.store.new_id(), world.store.new_id());
    let mut tx = world.begin().await;
    accounts::insert(&mut tx, with, "a@acme.example", "Ada ✓", Some("$argon2id$v=19$x"), world.now()).await.unwrap();
    accounts::insert(&mut tx, without, "b@acme.example", "", None, world.now()).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let mut reader = world.reader().await;
    let account = accounts::get(reader.conn(), with).await.unwrap().unwrap();
    assert_eq!((account.name.as_str(), account.communication_email), ("Ada ✓", None));
    assert_eq!((account.created_at, account.updated_at), (world.now(), world.now()));
    let hashes = (
        accounts::password_hash(reader.conn(), with).await.unwrap(),
        accounts::password_hash(reader.conn(), without).await.unwrap(),
    );
    assert_eq!(hashes, (Some("$argon2id$v=19$x".to_owned()), None));
}

async fn a_change_of_an_account_leaves_its_address_and_its_password(world: World) {
    let id = world.account("ada@acme.example").await;
    let made = world.now();
    let first = world.clock.pass(1);
    let mut tx = world.begin().await;
    accounts::set_password(&mut tx, id, "hash", first).await.unwrap();
    let second = world.clock.pass(1);
    accounts::update(&mut tx, id, "Ada", Some("mail@acme.example"), second).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let mut reader = world.reader().await;
    let account = accounts::get(reader.conn(), id).await.unwrap().unwrap();
    assert_eq!((account.email.as_str(), account.name.as_str()), ("ada@acme.example", "Ada"));
    assert_eq!(account.communication_email.as_deref(), Some("mail@acme.example"));
    assert_eq!((account.created_at, account.updated_at), (made, second));
    assert_eq!(accounts::password_hash(reader.conn(), id).await.unwrap().as_deref(), Some("hash"));
    drop(reader);

    let mut tx = world.begin().await;
    accounts::update(&mut tx, id, "", None, second).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let account = accounts::get(world.reader().await.conn(), id).await.unwrap().unwrap();
    assert_eq!((account.name.as_str(), account.communication_email), ("", None));
}

/// A link for the account that ends in an hour.
async fn link(world: &World, account: Uuid) -> [u8; 32] {
    let (digest, now) = (unique(), world.now());
    let mut tx = world.begin().await;
    accounts::insert_link(&mut tx, world.store.new_id(), account, &digest, now.plus(HOUR), now).await.unwrap();
    crate::world::end(tx).await.unwrap();
    digest
}

async fn a_sign_in_link_is_spent_once(world: World) {
    let account = world.account("ada@acme.example").await;
    let digest = link(&world, account).await;
    for _ in 0..2 {
        // Looking spends nothing.
        let found = accounts::find_link(world.reader().await.conn(), &digest, world.now()).await.unwrap();
        assert_eq!(found, Some(account));
    }
    let mut tx = world.begin().await;
    assert_eq!(accounts::take_link(&mut tx, &digest, world.now()).await.unwrap(), Some(account));
    assert_eq!(accounts::take_link(&mut tx, &digest, world.now()).await.unwrap(), None);
    crate::world::end(tx).await.unwrap();
    assert_eq!(accounts::find_link(world.reader().await.conn(), &digest, world.now()).await.unwrap(), None);
    let mut tx = world.begin().await;
    assert_eq!(accounts::take_link(&mut tx, &digest, world.now()).await.unwrap(), None);
}

async fn of_two_who_spend_a_link_at_once_one_wins(world: World) {
    let account = world.account("ada@acme.example").await;
    for _ in 0..10 {
        let digest = link(&world, account).await;
        let take = async || {
            let mut tx = world.begin().await;
            let taken = accounts::take_link(&mut tx, &digest, world.now()).await.unwrap();
            tokio::task::yield_now().await;
            crate::world::end(tx).await.unwrap();
            taken
        };
        let (a, b) = tokio::join!(take(), take());
        assert_eq!([a, b].iter().flatten().collect::<Vec<_>>(), [&account]);
    }
}

async fn a_link_whose_spending_was_rolled_back_is_whole(world: World) {
    let account = world.account("ada@acme.example").await;
    let digest = link(&world, account).await;
    let mut tx = world.begin().await;
    assert_eq!(accounts::take_link(&mut tx, &digest, world.now()).await.unwrap(), Some(account));
    drop(tx);
    assert_eq!(accounts::find_link(world.reader().await.conn(), &digest, world.now()).await.unwrap(), Some(account));
}

async fn an_expired_link_opens_nothing_and_is_forgotten_by_the_next(world: World) {
    let account = world.account("ada@acme.example").await;
    let digest = link(&world, account).await;
    let end = world.clock.pass(HOUR);
    assert_eq!(
        accounts::find_link(world.reader().await.conn(), &digest, Time(end.0 - 1)).await.unwrap(),
        Some(account)
    );
    assert_eq!(accounts::find_link(world.reader().await.conn(), &digest, end).await.unwrap(), None);
    let mut tx = world.begin().await;
    assert_eq!(accounts::take_link(&mut tx, &digest, end).await.unwrap(), None);
    drop(tx);
    link(&world, account).await;
    assert_eq!(world.number("SELECT count(*) FROM sign_in_link").await, 1);
}

fn session(world: &World, account: Uuid) -> NewSession<'static> {
    NewSession {
        id: world.store.new_id(),
        account,
        digest: Digest(unique()),
        pepper_version: 1,
        console: false,
        expires_at: world.now().plus(HOUR),
        address: None,
        user_agent: None,
        methods: by_link(),
        absent_claim: None,
        proven_at: world.now(),
        auth_time: Some(world.now()),
        provider_proofs: no_provider(),
        organization: None,
    }
}

/// What a session of a test was proven by.
fn by_link() -> &'static Methods {
    static METHODS: LazyLock<Methods> = LazyLock::new(|| Methods::of([Method::Link]));
    &METHODS
}

/// Nor by a provider.
fn no_provider() -> &'static ProviderProofs {
    static NONE: LazyLock<ProviderProofs> = LazyLock::new(ProviderProofs::default);
    &NONE
}

async fn insert_session(world: &World, session: &NewSession<'_>) {
    let mut tx = world.begin().await;
    sessions::insert(&mut tx, session, world.now()).await.unwrap();
    crate::world::end(tx).await.unwrap();
}

/// The ids of all sessions, sorted.
async fn all(world: &World) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> =
        sessions::all(world.reader().await.conn()).await.unwrap().into_iter().map(|session| session.id).collect();
    ids.sort();
    ids
}

async fn a_session_is_found_with_the_address_of_its_user(world: World) {
    world.pepper(1).await;
    let (ada, bob) = (world.account("ada@acme.example").await, world.account("bob@acme.example").await);
    let new = NewSession {
        console: true,
        address: Some("192.0.2.1".to_owned()),
        user_agent: Some("Firefox"),
        ..session(&world, ada)
    };
    insert_session(&world, &new).await;
    let other = session(&world, bob);
    insert_session(&world, &other).await;

    let mut reader = world.reader().await;
    let found = sessions::of_accounts(reader.conn(), &[ada]).await.unwrap();
    assert_eq!(found.len(), 1);
    let found = &found[0];
    assert_eq!((found.id, found.account_id, found.email.as_str()), (new.id, ada, "ada@acme.example"));
    assert_eq!(found.digest, new.digest.0);
    assert_eq!((found.address.as_deref(), found.user_agent.as_deref()), (Some("192.0.2.1"), Some("Firefox")));
    assert_eq!((&found.methods, found.proven_at), (by_link(), found.created_at));
    assert_eq!((found.created_at, found.expires_at), (world.now(), new.expires_at));
    assert!(found.console);

    let both = sessions::of_accounts(reader.conn(), &[ada, bob, Uuid::from_u128(1)]).await.unwrap();
    assert_eq!(both.len(), 2);
    let bobs = both.iter().find(|session| session.account_id == bob).unwrap();
    assert_eq!((bobs.console, &bobs.address, &bobs.user_agent), (false, &None, &None));
    assert!(sessions::of_accounts(reader.conn(), &[]).await.unwrap().is_empty());
    assert!(organizations::by_id(reader.conn(), &[]).await.unwrap().is_empty());
}

async fn a_new_session_forgets_those_that_have_ended(world: World) {
    world.pepper(1).await;
    let account = world.account("ada@acme.example").await;
    insert_session(&world, &session(&world, account)).await;
    let longer = NewSession { expires_at: world.now().plus(HOUR + 1), ..session(&world, account) };
    insert_session(&world, &longer).await;
    assert_eq!(all(&world).await.len(), 2);
    world.clock.pass(HOUR);
    let new = session(&world, account);
    insert_session(&world, &new).await;
    assert_eq!(all(&world).await, [longer.id, new.id]);
}

async fn a_session_is_ended_by_its_user_alone_and_once(world: World) {
    world.pepper(1).await;
    let (ada, bob) = (world.account("ada@acme.example").await, world.account("bob@acme.example").await);
    let adas = session(&world, ada);
    insert_session(&world, &adas).await;
    let mut tx = world.begin().await;
    assert!(!sessions::delete(&mut tx, bob, adas.id).await.unwrap());
    assert!(sessions::delete(&mut tx, ada, adas.id).await.unwrap());
    assert!(!sessions::delete(&mut tx, ada, adas.id).await.unwrap());
    crate::world::end(tx).await.unwrap();
    assert!(all(&world).await.is_empty());
}

async fn all_sessions_of_a_user_but_one_can_be_ended(world: World) {
    world.pepper(1).await;
    let (ada, bob) = (world.account("ada@acme.example").await, world.account("bob@acme.example").await);
    let [first, second, third] = [(); 3].map(|()| session(&world, ada));
    let bobs = session(&world, bob);
    for session in [&first, &second, &third, &bobs] {
        insert_session(&world, session).await;
    }
    let mut tx = world.begin().await;
    sessions::delete_others(&mut tx, ada, Some(second.id)).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let mut left = vec![second.id, bobs.id];
    left.sort();
    assert_eq!(all(&world).await, left);
    let mut tx = world.begin().await;
    sessions::delete_others(&mut tx, ada, None).await.unwrap();
    crate::world::end(tx).await.unwrap();
    assert_eq!(all(&world).await, [bobs.id]);
}

async fn a_digest_belongs_to_one_session(world: World) {
    world.pepper(1).await;
    let account = world.account("ada@acme.example").await;
    let first = session(&world, account);
    insert_session(&world, &first).await;
    let mut tx = world.begin().await;
    let again = NewSession { digest: first.digest, ..session(&world, account) };
    assert_eq!(sessions::insert(&mut tx, &again, world.now()).await.unwrap_err().code, Code::NameTaken);
    drop(tx);
    let unknown_pepper = NewSession { pepper_version: 2, ..session(&world, account) };
    let mut tx = world.begin().await;
    assert_eq!(sessions::insert(&mut tx, &unknown_pepper, world.now()).await.unwrap_err().code, Code::Conflict);
}
