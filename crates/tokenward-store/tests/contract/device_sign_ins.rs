//! Machines that wait to be signed in, and what a session hands over.

use tokenward_core::caller::Caller;
use tokenward_core::decision::{Credential, Subject};
use tokenward_core::event::{Actor, By};
use tokenward_core::method::{Method, Methods};
use tokenward_core::provider_proofs::ProviderProofs;
use tokenward_core::secret::Digest;
use tokenward_core::time::{HOUR, MINUTE, SECOND};
use tokenward_core::token::State;
use tokenward_core::{Time, Uuid};
use tokenward_store::device_sign_ins::{self, Approval, NewDeviceSignIn};
use tokenward_store::provider_sessions::{self, ProviderSession};
use tokenward_store::sessions::{self, NewSession, Renewed};
use tokenward_store::{UnloggedTx, identities};

use crate::world::{World, end, unique};

on_both_engines![
    a_machine_that_was_approved_is_taken_once,
    a_machine_that_was_refused_or_has_ended_is_not,
    whoever_decides_about_a_machine_is_asked_inside,
    those_that_wait_are_counted_and_forgotten,
    short_codes_that_are_none_are_counted_by_account,
    a_proof_gives_a_session_another_text,
    each_provider_that_proved_a_session_finds_it_by_its_own_name,
    what_is_spent_with_a_change_is_spent_once,
];

async fn write<T>(world: &World, write: impl AsyncFnOnce(&mut UnloggedTx) -> T) -> T {
    let mut tx = world.store.begin_unlogged().await.unwrap();
    let value = write(&mut tx).await;
    tx.commit().await.unwrap();
    value
}

/// Adds one that waits for ten minutes. Answers its id and both digests.
async fn waiting(world: &World, network: &str) -> (Uuid, [u8; 32], [u8; 32]) {
    let (id, device, user) = (world.store.new_id(), unique(), unique());
    let new = NewDeviceSignIn {
        device_digest: &device,
        user_digest: &user,
        host: "build-7",
        client: Some("tokenward/1"),
        address: Some(network),
        network: Some(network),
        lasts: 10 * MINUTE,
        wait: 5 * SECOND,
    };
    assert!(write(world, async |tx| device_sign_ins::insert(tx, id, &new).await.unwrap()).await);
    // The short code of another one is taken.
    let again = NewDeviceSignIn { device_digest: &unique(), ..new };
    let other = world.store.new_id();
    assert!(!write(world, async |tx| device_sign_ins::insert(tx, other, &again).await.unwrap()).await);
    (id, device, user)
}

fn there(provider: &str, name: &str) -> ProviderSession {
    ProviderSession { provider: provider.to_owned(), name: name.to_owned() }
}

async fn session(world: &World, account: Uuid) -> Uuid {
    let (id, methods) = (world.store.new_id(), Methods::of([Method::Link]));
    let new = NewSession {
        id,
        account,
        digest: Digest(unique()),
        pepper_version: 1,
        console: true,
        expires_at: world.now().plus(HOUR),
        address: None,
        user_agent: None,
        methods: &methods,
        proven_at: world.now(),
        auth_time: None,
        provider_proofs: &ProviderProofs::default(),
        absent_claim: None,
        organization: None,
    };
    let mut tx = world.begin().await;
    sessions::insert(&mut tx, &new, world.now()).await.unwrap();
    provider_sessions::note(&mut tx, id, &there("corp", "there")).await.unwrap();
    end(tx).await.unwrap();
    id
}

async fn a_machine_that_was_approved_is_taken_once(world: World) {
    world.pepper(1).await;
    let ada = world.account("ada@acme.example").await;
    let session = session(&world, ada).await;
    let (id, device, user) = waiting(&world, "192.0.2.1").await;
    let found = device_sign_ins::by_device(world.reader().await.conn(), &device).await.unwrap().unwrap();
    assert_eq!((found.id, found.host.as_str(), found.account_id, found.denied), (id, "build-7", None, false));
    assert_eq!((found.ends_at, found.asked_at), (world.now().plus(10 * MINUTE), world.now()));
    world.clock.pass(SECOND);
    write(&world, async |tx| device_sign_ins::asked(tx, id, 10 * SECOND).await.unwrap()).await;
    let found = device_sign_ins::by_device(world.reader().await.conn(), &device).await.unwrap().unwrap();
    assert_eq!((found.asked_at, found.wait), (world.now(), 10 * SECOND));

    // Nothing to take before somebody has approved.
    let mut tx = world.begin().await;
    assert!(device_sign_ins::take(&mut tx, id).await.unwrap().is_none());
    drop(tx);
    let approval = Approval { account: ada, session, organization: None, life: HOUR };
    let now = world.now();
    let waits = write(&world, async |tx| device_sign_ins::waits(tx, &user, now).await.unwrap()).await;
    assert_eq!(waits.map(|it| it.id), Some(id));
    assert!(write(&world, async |tx| device_sign_ins::decide(tx, id, Some(&approval)).await.unwrap()).await);
    assert!(!write(&world, async |tx| device_sign_ins::decide(tx, id, None).await.unwrap()).await, "once");
    let waits = write(&world, async |tx| device_sign_ins::waits(tx, &user, now).await.unwrap()).await;
    assert!(waits.is_none(), "its short code is good for nothing more");

    let mut tx = world.begin().await;
    let taken = device_sign_ins::take(&mut tx, id).await.unwrap().unwrap();
    assert_eq!((taken.account_id, taken.session_id, taken.life), (Some(ada), Some(session), Some(HOUR)));
    let inherited = sessions::inherited(tx.conn(), ada, session, now).await.unwrap().unwrap();
    assert_eq!(inherited.methods, Methods::of([Method::Link]));
    assert!(device_sign_ins::take(&mut tx, id).await.unwrap().is_none());
    end(tx).await.unwrap();
    assert!(device_sign_ins::by_device(world.reader().await.conn(), &device).await.unwrap().is_none());
    let mut reader = world.reader().await;
    assert!(sessions::inherited(reader.conn(), Uuid::from_u128(1), session, now).await.unwrap().is_none());
    let late = now.plus(2 * HOUR);
    assert!(sessions::inherited(reader.conn(), ada, session, late).await.unwrap().is_none(), "it has ended");
}

async fn a_machine_that_was_refused_or_has_ended_is_not(world: World) {
    world.pepper(1).await;
    let ada = world.account("ada@acme.example").await;
    let session = session(&world, ada).await;
    let approval = Approval { account: ada, session, organization: None, life: HOUR };
    let (refused, device, _) = waiting(&world, "192.0.2.1").await;
    assert!(write(&world, async |tx| device_sign_ins::decide(tx, refused, None).await.unwrap()).await);
    assert!(!write(&world, async |tx| device_sign_ins::decide(tx, refused, Some(&approval)).await.unwrap()).await);
    assert!(device_sign_ins::by_device(world.reader().await.conn(), &device).await.unwrap().unwrap().denied);
    let (late, _, user) = waiting(&world, "192.0.2.1").await;
    let (approved, ..) = waiting(&world, "192.0.2.1").await;
    assert!(write(&world, async |tx| device_sign_ins::decide(tx, approved, Some(&approval)).await.unwrap()).await);
    world.clock.pass(10 * MINUTE);
    let now = world.now();
    assert!(write(&world, async |tx| device_sign_ins::waits(tx, &user, now).await.unwrap()).await.is_none());
    assert!(!write(&world, async |tx| device_sign_ins::decide(tx, late, Some(&approval)).await.unwrap()).await);
    let mut tx = world.begin().await;
    assert!(device_sign_ins::take(&mut tx, approved).await.unwrap().is_none());
}

/// A transaction in which something is decided stands on the session as it is there.
async fn whoever_decides_about_a_machine_is_asked_inside(world: World) {
    world.pepper(1).await;
    let ada = world.account("ada@acme.example").await;
    let id = session(&world, ada).await;
    let credential = Credential {
        id,
        subject: Subject::User(ada),
        state: State::Active,
        not_before: None,
        expires_at: None,
        replaced: false,
        brownout: None,
    };
    let actor = Actor::User { id: ada, email: "ada@acme.example".into() };
    let by = || By { actor: actor.clone(), ..By::operator() };
    let person = Caller::user(credential, by()).person().unwrap();
    let now = world.now();
    let asked = async || write(&world, async |tx| tx.ask(&person).await.unwrap().1).await;
    assert_eq!(asked().await, None, "it does not say when it was proved");
    let mut tx = world.begin().await;
    let renewed = Renewed {
        digest: Digest(unique()),
        pepper_version: 1,
        methods: &Methods::of([Method::Password]),
        auth_time: now,
        provider_proofs: &ProviderProofs::default(),
        absent_claim: None,
        expires_at: now.plus(HOUR),
    };
    assert!(sessions::prove(&mut tx, ada, id, &renewed, now).await.unwrap());
    end(tx).await.unwrap();
    assert_eq!(asked().await, Some(now));
    let mut tx = world.begin().await;
    assert!(sessions::delete(&mut tx, ada, id).await.unwrap());
    end(tx).await.unwrap();
    let mut tx = world.store.begin_unlogged().await.unwrap();
    tx.ask(&person).await.unwrap_err();
    drop(tx);
    let again = session(&world, ada).await;
    world.clock.pass(HOUR);
    let late = Credential { id: again, ..credential };
    let late = Caller::user(late, by()).person().unwrap();
    let mut tx = world.store.begin_unlogged().await.unwrap();
    tx.ask(&late).await.unwrap_err();
}

async fn those_that_wait_are_counted_and_forgotten(world: World) {
    let count = async |network: Option<&str>| {
        let read = device_sign_ins::waiting(world.reader().await.conn(), network, world.now()).await.unwrap();
        assert_eq!(write(&world, async |tx| device_sign_ins::waiting_alone(tx, network).await.unwrap()).await, read);
        read
    };
    waiting(&world, "192.0.2.1").await;
    waiting(&world, "192.0.2.1").await;
    world.clock.pass(MINUTE);
    waiting(&world, "192.0.2.2").await;
    assert_eq!(count(Some("192.0.2.1")).await, (3, 2));
    assert_eq!(count(Some("192.0.2.2")).await, (3, 1));
    assert_eq!(count(None).await, (3, 0));
    world.clock.pass(9 * MINUTE);
    assert_eq!(count(Some("192.0.2.1")).await, (1, 0));
}

async fn short_codes_that_are_none_are_counted_by_account(world: World) {
    let (ada, bob) = (world.account("ada@acme.example").await, world.account("bob@acme.example").await);
    let guess = async |account: Uuid| {
        write(&world, async |tx| device_sign_ins::guessed(tx, account, 10 * MINUTE).await.unwrap()).await
    };
    assert_eq!((guess(ada).await, guess(ada).await, guess(bob).await), (1, 2, 1));
    write(&world, async |tx| device_sign_ins::not_guessed(tx, ada).await.unwrap()).await;
    assert_eq!(guess(ada).await, 2);
    world.clock.pass(10 * MINUTE);
    assert_eq!(guess(ada).await, 1, "together, so long after the first");
}

async fn a_proof_gives_a_session_another_text(world: World) {
    world.pepper(1).await;
    let ada = world.account("ada@acme.example").await;
    let id = session(&world, ada).await;
    let before = sessions::of_accounts(world.reader().await.conn(), &[ada]).await.unwrap().pop().unwrap();
    world.clock.pass(MINUTE);
    let (digest, methods) = (Digest(unique()), before.methods.and(Method::Password));
    let expires_at = before.expires_at;
    let (auth_time, proofs) = (world.now().plus(-SECOND), ProviderProofs::by("corp", world.now()));
    let renewed = Renewed {
        digest,
        pepper_version: 1,
        methods: &methods,
        auth_time,
        provider_proofs: &proofs,
        absent_claim: None,
        expires_at,
    };
    let mut tx = world.begin().await;
    assert!(!sessions::prove(&mut tx, Uuid::from_u128(1), id, &renewed, world.now()).await.unwrap());
    assert!(sessions::prove(&mut tx, ada, id, &renewed, world.now()).await.unwrap());
    end(tx).await.unwrap();
    let after = sessions::of_accounts(world.reader().await.conn(), &[ada]).await.unwrap().pop().unwrap();
    assert_eq!((after.id, after.expires_at, after.created_at), (id, before.expires_at, before.created_at));
    assert_eq!((after.digest, after.methods, after.proven_at), (digest.0.to_vec(), methods, world.now()));
    assert_eq!(
        (before.auth_time, after.auth_time),
        (None, Some(auth_time)),
        "what is not known of the first is no time"
    );
    assert_eq!((before.provider_proofs, after.provider_proofs), (ProviderProofs::default(), proofs));
    assert_eq!(sessions::proven_at(world.reader().await.conn(), id, None).await.unwrap(), Some(auth_time));
}

async fn each_provider_that_proved_a_session_finds_it_by_its_own_name(world: World) {
    world.pepper(1).await;
    let ada = world.account("ada@acme.example").await;
    let id = session(&world, ada).await;
    let found = async |provider: &str, name: &str| {
        let all = provider_sessions::proven_in(world.reader().await.conn(), provider, name).await.unwrap();
        all.iter().map(|it| it.id).collect::<Vec<_>>()
    };
    let mut tx = world.begin().await;
    provider_sessions::note(&mut tx, id, &there("other", "s")).await.unwrap();
    end(tx).await.unwrap();
    assert_eq!((found("corp", "there").await, found("other", "s").await), (vec![id], vec![id]));
    assert!(found("other", "there").await.is_empty() && found("corp", "s").await.is_empty());
    // A later proof takes the place of an earlier one by the same provider, and of no other.
    let mut tx = world.begin().await;
    provider_sessions::note(&mut tx, id, &there("corp", "later")).await.unwrap();
    let all = provider_sessions::of(tx.conn(), id).await.unwrap();
    assert_eq!(all, [there("corp", "later"), there("other", "s")]);
    assert!(sessions::delete(&mut tx, ada, id).await.unwrap());
    assert!(provider_sessions::of(tx.conn(), id).await.unwrap().is_empty(), "they end with it");
    end(tx).await.unwrap();
    assert!(found("corp", "later").await.is_empty());
}

async fn what_is_spent_with_a_change_is_spent_once(world: World) {
    let (digest, ends_at) = (unique(), Time(world.now().0 + MINUTE));
    let mut tx = world.begin().await;
    assert!(identities::spend_with(&mut tx, &digest, ends_at).await.unwrap());
    // With a change that was taken back, it is not.
    drop(tx);
    let mut tx = world.begin().await;
    assert!(identities::spend_with(&mut tx, &digest, ends_at).await.unwrap());
    end(tx).await.unwrap();
    let mut tx = world.begin().await;
    assert!(!identities::spend_with(&mut tx, &digest, ends_at).await.unwrap());
    drop(tx);
    assert!(!write(&world, async |tx| identities::spend_attempt(tx, &digest, ends_at).await.unwrap()).await);
}
