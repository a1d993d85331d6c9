//! Several writers in one transaction.

use std::collections::BTreeSet;

use tokenward_core::Code;
use tokenward_core::caller::Caller;
use tokenward_core::decision::{Credential, Subject};
use tokenward_core::directory::{Directory, Resource};
use tokenward_core::event::{Actor, By, Event, Kind, Origin};
use tokenward_core::permission::Management;
use tokenward_core::reason::Reason;
use tokenward_core::role::{BuiltIn, Role};
use tokenward_core::secret::Digest;
use tokenward_core::token::State;
use tokenward_store::log::{self, Chain};
use tokenward_store::{events, tokens};

use crate::world::{Organization, World, new_token, revocation, unique};

on_both_engines![
    of_many_in_one_commit_each_is_taken_or_left_out_by_itself,
    who_is_in_one_commit_with_others_acts_by_the_own_right_and_name,
];

async fn acme(world: &World) -> Organization {
    world.pepper(1).await;
    world.organization("Acme").await
}

async fn of_many_in_one_commit_each_is_taken_or_left_out_by_itself(world: World) {
    let (acme, globex) = (acme(&world).await, world.organization("Globex").await);
    let taken = world.token(&acme, "taken").await;
    let [ours, theirs] = [&acme, &globex].map(|of| of.may(Management::TokenManage));
    let names = [
        (&acme, &ours, "a"),
        (&acme, &ours, "taken"),
        (&acme, &ours, "a"),
        (&globex, &theirs, "a"),
        (&acme, &ours, "b\n\"✓\""),
    ];
    let new = names.map(|(of, grant, name)| (grant, new_token(of, world.store.new_id(), name, Digest(unique()))));
    let mut tx = world.begin().await;
    let there = tokens::insert_all(&mut tx, &new).await.unwrap();
    assert_eq!(new.map(|(_, token)| there.contains(&token.id)), [true, false, false, true, true]);
    let why = revocation(world.now());
    let (absent, first) = (world.store.new_id(), new[0].1.id);
    let gone = [(&ours, taken.id, &why), (&ours, absent, &why), (&theirs, first, &why)];
    assert_eq!(tokens::revoke_all(&mut tx, &gone).await.unwrap(), [taken.id].into());
    crate::world::end(tx).await.unwrap();
    let mut reader = world.reader().await;
    let listed = tokens::list(reader.conn(), &acme.grant).await.unwrap();
    assert_eq!(listed.iter().map(|it| it.name.as_str()).collect::<BTreeSet<_>>(), ["a", "b\n\"✓\""].into());
    for of in [&acme, &globex] {
        let living = tokens::list(reader.conn(), &of.grant).await.unwrap().len() as u64;
        assert_eq!(tokens::count(reader.conn(), &of.grant).await.unwrap(), living);
    }
    let rows = tokens::index_rows(reader.conn(), &[first]).await.unwrap();
    assert_eq!(rows[0].digest, new[0].1.secret.digest.0, "its secret came with it");
}

async fn who_is_in_one_commit_with_others_acts_by_the_own_right_and_name(world: World) {
    let acme = acme(&world).await;
    let caller = |made: &crate::world::Made, name: &str| {
        let credential = Credential {
            id: made.id,
            subject: Subject::Token(1),
            state: State::Active,
            not_before: None,
            expires_at: None,
            replaced: false,
            brownout: None,
        };
        let actor = Actor::Token { id: made.id, name: name.to_owned() };
        let by = By { actor, origin: Origin::Api, address: None, user_agent: None };
        let mut directory = Directory::default();
        directory.put_organization(acme.id, "Acme");
        directory.put_role(acme.id, Role::built_in(acme.role(BuiltIn::Admin), BuiltIn::Admin));
        let caller = Caller::token(credential, acme.id, acme.role(BuiltIn::Admin), by);
        caller.require(&directory, acme.id, Management::TokenManage, Resource::default(), world.now()).unwrap()
    };
    let (one, two, gone) =
        (world.token(&acme, "one").await, world.token(&acme, "two").await, world.token(&acme, "gone").await);
    world.revoke(&acme, gone.id).await;
    let grants = [caller(&one, "one"), caller(&gone, "gone"), caller(&two, "two")];
    let before = log::head(world.reader().await.conn()).await.unwrap().number;
    let (tx, rights) = world.store.begin_shared(&grants).await.unwrap();
    let told: Vec<Option<_>> = rights.iter().map(|right| right.as_ref().err().map(|error| error.code)).collect();
    assert_eq!(told, [None, Some(Code::Denied(Reason::Revoked)), None]);
    let events = [&one, &two].map(|it| Event::new(Kind::TokenUpdated, Some(acme.id), it.id, ""));
    let appended = tx.commit_shared(&[(grants[0].by(), &events[0]), (grants[2].by(), &events[1])]).await.unwrap();
    assert_eq!(appended.position.number, before + 2);
    let mut rows = log::after(world.reader().await.conn(), before, 10).await.unwrap();
    // A reader counts what is kept; the rows are told as they are kept.
    rows.truncate(2);
    assert_eq!(appended.events, rows);
    let mut reader = world.reader().await;
    for (position, who) in [(before + 1, one.id), (before + 2, two.id)] {
        assert_eq!(events::actor_at(reader.conn(), position).await.unwrap(), Some(who));
    }
    assert!(matches!(log::verify(reader.conn()).await.unwrap(), Chain::Intact { .. }));
}
