//! Passkeys, and what authenticators call an account.

use tokenward_core::{Code, Uuid};
use tokenward_store::passkeys::{self, Passkey};

use crate::world::{World, unique};

on_both_engines![
    a_passkey_opens_one_account_and_is_added_once,
    a_passkey_is_removed_by_its_account_alone_and_once,
    a_passkey_remembers_what_it_counted_and_for_which_host_it_is,
    an_account_has_one_handle_and_no_other_has_it,
];

fn passkey(world: &World, account: Uuid, credential_id: &[u8]) -> Passkey {
    Passkey {
        id: world.store.new_id(),
        account_id: account,
        credential_id: credential_id.to_vec(),
        credential: "{}".to_owned(),
        name: "Laptop".to_owned(),
        rp_id: "tokens.example.com".to_owned(),
        counter: 0,
        created_at: world.now(),
        last_used_at: None,
    }
}

async fn insert(world: &World, passkey: &Passkey) -> Result<(), Code> {
    let mut tx = world.begin().await;
    passkeys::insert(&mut tx, passkey).await.map_err(|error| error.code)?;
    crate::world::end(tx).await.unwrap();
    Ok(())
}

async fn a_passkey_opens_one_account_and_is_added_once(world: World) {
    let (ada, bob) = (world.account("ada@acme.example").await, world.account("bob@acme.example").await);
    let id = unique();
    let first = passkey(&world, ada, &id);
    insert(&world, &first).await.unwrap();
    for account in [ada, bob] {
        assert_eq!(insert(&world, &passkey(&world, account, &id)).await, Err(Code::Conflict));
    }
    insert(&world, &passkey(&world, ada, &unique())).await.unwrap();
    let found = passkeys::find(world.reader().await.conn(), &id).await.unwrap().unwrap();
    assert_eq!((found.id, found.account_id, found.credential.as_str()), (first.id, ada, "{}"));
    assert_eq!(passkeys::of_account(world.reader().await.conn(), ada).await.unwrap().len(), 2);
    assert!(passkeys::of_account(world.reader().await.conn(), bob).await.unwrap().is_empty());
    assert!(passkeys::find(world.reader().await.conn(), &unique()).await.unwrap().is_none());
}

async fn a_passkey_is_removed_by_its_account_alone_and_once(world: World) {
    let (ada, bob) = (world.account("ada@acme.example").await, world.account("bob@acme.example").await);
    let first = passkey(&world, ada, &unique());
    insert(&world, &first).await.unwrap();
    assert!(passkeys::get(world.reader().await.conn(), bob, first.id).await.unwrap().is_none());
    for (account, gone) in [(bob, false), (ada, true), (ada, false)] {
        let mut tx = world.begin().await;
        assert_eq!(passkeys::delete(&mut tx, account, first.id).await.unwrap().is_some(), gone);
        crate::world::end(tx).await.unwrap();
    }
    assert!(passkeys::find(world.reader().await.conn(), &first.credential_id).await.unwrap().is_none());
}

async fn a_passkey_remembers_what_it_counted_and_for_which_host_it_is(world: World) {
    let ada = world.account("ada@acme.example").await;
    let first = passkey(&world, ada, &unique());
    insert(&world, &first).await.unwrap();
    let mut tx = world.begin().await;
    passkeys::used(&mut tx, first.id, 7, world.now()).await.unwrap();
    passkeys::rename(&mut tx, first.id, "Phone").await.unwrap();
    crate::world::end(tx).await.unwrap();
    let kept = passkeys::get(world.reader().await.conn(), ada, first.id).await.unwrap().unwrap();
    assert_eq!((kept.counter, kept.last_used_at, kept.name.as_str()), (7, Some(world.now()), "Phone"));
    let mut reader = world.reader().await;
    for (rp_id, stopped) in [(Some("tokens.example.com"), 0), (Some("example.com"), 1), (None, 1)] {
        assert_eq!(passkeys::stopped(reader.conn(), rp_id).await.unwrap(), stopped, "{rp_id:?}");
    }
}

async fn an_account_has_one_handle_and_no_other_has_it(world: World) {
    let (ada, bob) = (world.account("ada@acme.example").await, world.account("bob@acme.example").await);
    assert_eq!(passkeys::handle(world.reader().await.conn(), ada).await.unwrap(), None);
    let handle = unique();
    for (account, taken) in [(ada, true), (ada, false), (bob, false)] {
        let mut tx = world.begin().await;
        assert_eq!(passkeys::set_handle(&mut tx, account, &handle).await.is_ok(), taken);
        if taken {
            crate::world::end(tx).await.unwrap();
        }
    }
    assert_eq!(passkeys::handle(world.reader().await.conn(), ada).await.unwrap().as_deref(), Some(&handle[..]));
    let mut tx = world.begin().await;
    passkeys::forget_handle(&mut tx, ada).await.unwrap();
    crate::world::end(tx).await.unwrap();
    assert_eq!(passkeys::handle(world.reader().await.conn(), ada).await.unwrap(), None);
}
