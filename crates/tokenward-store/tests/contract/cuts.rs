//! All tokens of an organization, taken back by one write.

use tokenward_core::permission::Management;
use tokenward_core::secret::Digest;
use tokenward_core::time::SECOND;
use tokenward_core::token::{Cut, TokenState};
use tokenward_store::{cuts, tokens};

use crate::world::{World, end, new_token, revocation, unique};

on_both_engines![all_that_was_made_up_to_then_is_taken_back_and_its_rows_follow];

async fn all_that_was_made_up_to_then_is_taken_back_and_its_rows_follow(world: World) {
    world.pepper(1).await;
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    let old = [world.token(&acme, "a").await.id, world.token(&acme, "b").await.id];
    let foreign = world.token(&globex, "a").await.id;
    let deleted = world.token(&acme, "deleted").await.id;
    world.revoke(&acme, deleted).await;
    let then = world.clock.pass(SECOND);
    world.clock.pass(SECOND);
    let new = world.token(&acme, "c").await.id;
    let reach = async |before| cuts::reach(world.reader().await.conn(), &acme.grant, before).await.unwrap();
    let found = reach(Some(then)).await.unwrap();
    assert_eq!((found.count, found.with_policy, found.through), (2, 0, deleted), "nor comes it back");
    assert_eq!(reach(None).await.map(|all| (all.count, all.through)), Some((3, new)));

    let mut tx = world.begin().await;
    let why = revocation(world.now());
    cuts::set(&mut tx, &acme.may(Management::TokenManage), found.through, &why).await.unwrap();
    end(tx).await.unwrap();
    let cut = Cut { through: found.through, at: world.now() };
    assert_eq!(cuts::of(world.reader().await.conn(), None).await.unwrap(), [(acme.id, cut)]);
    assert_eq!(reach(Some(then)).await, None, "nobody takes them back twice");
    let state = async |of: &crate::world::Organization, id| {
        let token = tokens::find(world.reader().await.conn(), &of.grant, id, world.now()).await.unwrap();
        (token.state(world.now()), token.revocation.and_then(|it| it.note))
    };
    // At once, and before the rows follow.
    for id in old {
        assert_eq!(state(&acme, id).await.0, TokenState::Revoked);
    }
    assert_eq!((state(&acme, new).await.0, state(&globex, foreign).await.0), (TokenState::Active, TokenState::Active));
    assert_eq!(cuts::behind(world.reader().await.conn()).await.unwrap(), [acme.id]);
    for expected in [2, 0] {
        let mut tx = world.store.begin_unlogged().await.unwrap();
        assert_eq!(cuts::follow(&mut tx, acme.id).await.unwrap(), expected);
        tx.commit().await.unwrap();
    }
    assert!(cuts::behind(world.reader().await.conn()).await.unwrap().is_empty());
    assert_eq!(tokens::count(world.reader().await.conn(), &acme.grant).await.unwrap(), 1);
    assert_eq!(state(&acme, old[0]).await, (TokenState::Revoked, why.note.clone()));
    // A smaller one changes nothing, and nothing is made that is older.
    let mut tx = world.begin().await;
    cuts::set(&mut tx, &acme.may(Management::TokenManage), old[0].min(old[1]), &why).await.unwrap();
    let late = new_token(&acme, old[0].min(old[1]), "d", Digest(unique()));
    assert!(tokens::insert(&mut tx, &acme.may(Management::TokenManage), late).await.is_err());
    drop(tx);
    world.token(&acme, "a").await;
}
