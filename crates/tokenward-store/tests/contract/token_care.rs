//! Who is accountable for tokens, their labels and metadata, and digests that are looked up many at once.

use std::collections::HashSet;

use tokenward_core::label::Labels;
use tokenward_core::permission::Management;
use tokenward_core::secret::Digest;
use tokenward_store::{members, tokens};

use crate::world::{World, end, new_token, unique};

on_both_engines![
    a_token_has_an_owner_and_is_handed_over,
    policy_tokens_of_a_member_are_told_to_whoever_may_see_them,
    labels_and_metadata_read_back_and_are_told_apart_from_the_index,
    digests_are_looked_up_many_at_once,
];

async fn a_token_has_an_owner_and_is_handed_over(world: World) {
    world.pepper(1).await;
    let acme = world.organization("Acme").await;
    let bob = world.account("bob@acme.example").await;
    let may = acme.may(Management::TokenManage);
    let [first, second] = [(); 2].map(|()| world.store.new_id());
    let mut tx = world.begin().await;
    tokens::insert(&mut tx, &may, new_token(&acme, first, "first", Digest(unique()))).await.unwrap();
    let of_nobody = tokens::NewToken {
        owner_id: None,
        successor_id: Some(bob),
        ..new_token(&acme, second, "second", Digest(unique()))
    };
    tokens::insert(&mut tx, &may, of_nobody).await.unwrap();
    end(tx).await.unwrap();
    let reader = &mut world.reader().await;
    let owned = tokens::owned_by(reader.conn(), &acme.grant, acme.owner).await.unwrap();
    assert_eq!(owned.iter().map(|it| it.id).collect::<Vec<_>>(), [first]);
    let emails = members::emails(reader.conn(), &[acme.owner, bob]).await.unwrap();
    assert_eq!(owned[0].owner_name.as_ref(), emails.get(&(acme.id, acme.owner)));
    assert_eq!(emails.len(), 1, "who is no member has no address here");
    let owners = tokens::owners_of(reader.conn(), &[first, second]).await.unwrap();
    assert_eq!(owners.keys().copied().collect::<Vec<_>>(), [first]);
    let found = tokens::get(reader.conn(), &acme.grant, second).await.unwrap();
    assert_eq!((found.owner_id, found.successor_id), (None, Some(bob)));

    // To both at once; what belongs to another organization is left alone.
    let globex = world.organization("Globex").await;
    let all = tokens::list(reader.conn(), &acme.grant).await.unwrap();
    let moved: Vec<_> = all
        .iter()
        .map(|old| tokenward_core::token::Token { owner_id: Some(bob), successor_id: None, ..old.clone() })
        .collect();
    let mut tx = world.begin().await;
    tokens::hand_over(&mut tx, &globex.may(Management::TokenManage), &moved).await.unwrap();
    assert!(tokens::hand_over(&mut tx, &acme.may(Management::RoleManage), &moved).await.is_err());
    end(tx).await.unwrap();
    assert!(tokens::owned_by(world.reader().await.conn(), &acme.grant, bob).await.unwrap().is_empty());
    let mut tx = world.begin().await;
    tokens::hand_over(&mut tx, &acme.may(Management::MemberManage), &moved).await.unwrap();
    end(tx).await.unwrap();
    assert_eq!(tokens::owned_by(world.reader().await.conn(), &acme.grant, bob).await.unwrap().len(), 2);

    // With a member who leaves one ends, and the other is taken back; not by whoever may do something else alone.
    let until = world.now().plus(tokenward_core::time::DAY);
    let ends: Vec<_> = moved
        .iter()
        .filter(|it| it.id == first)
        .map(|it| tokenward_core::token::Token { expires_at: Some(until), ..it.clone() })
        .collect();
    let why = crate::world::revocation(world.now());
    let mut tx = world.begin().await;
    let other = acme.may(Management::RoleManage);
    assert!(tokens::end_of_member(&mut tx, &other, &ends).await.is_err());
    assert!(tokens::revoke_of_member(&mut tx, &other, &[second], &why).await.is_err());
    let elsewhere = globex.may(Management::MemberManage);
    tokens::end_of_member(&mut tx, &elsewhere, &ends).await.unwrap();
    assert!(tokens::revoke_of_member(&mut tx, &elsewhere, &[second], &why).await.unwrap().is_empty());
    end(tx).await.unwrap();
    let mut tx = world.begin().await;
    let leaves = acme.may(Management::MemberManage);
    tokens::end_of_member(&mut tx, &leaves, &ends).await.unwrap();
    assert_eq!(tokens::revoke_of_member(&mut tx, &leaves, &[second], &why).await.unwrap(), HashSet::from([second]));
    end(tx).await.unwrap();
    let left = tokens::owned_by(world.reader().await.conn(), &acme.grant, bob).await.unwrap();
    assert_eq!(left.iter().map(|it| (it.id, it.expires_at)).collect::<Vec<_>>(), [(first, Some(until))]);
}

async fn policy_tokens_of_a_member_are_told_to_whoever_may_see_them(world: World) {
    world.pepper(1).await;
    let acme = world.organization("Acme").await;
    let [plain, bounded] = [(); 2].map(|()| world.store.new_id());
    let mut tx = world.begin().await;
    let new = new_token(&acme, plain, "plain", Digest(unique()));
    tokens::insert(&mut tx, &acme.may(Management::TokenManage), new).await.unwrap();
    let new =
        tokens::NewToken { policy: Some("allow := true"), ..new_token(&acme, bounded, "bounded", Digest(unique())) };
    tokens::insert(&mut tx, &acme.may(Management::PolicyManage), new).await.unwrap();
    end(tx).await.unwrap();
    let reader = &mut world.reader().await;
    for (with_policies, ids) in [(false, HashSet::from([plain])), (true, HashSet::from([plain, bounded]))] {
        let of = (acme.owner, with_policies);
        let told = tokens::of_member(reader.conn(), &acme.grant, of, world.now(), 10).await.unwrap();
        assert_eq!(told.iter().map(|it| it.id).collect::<HashSet<_>>(), ids);
        let counted = tokens::count_of_member(reader.conn(), &acme.grant, of, world.now()).await.unwrap();
        assert_eq!(counted, (ids.len() as u64, ids.len() as u64));
    }
}

async fn labels_and_metadata_read_back_and_are_told_apart_from_the_index(world: World) {
    world.pepper(1).await;
    let acme = world.organization("Acme").await;
    let may = acme.may(Management::TokenManage);
    let [with, without] = [(); 2].map(|()| world.store.new_id());
    let labels = Labels::from([("team".to_owned(), "Zürich \"日本\"".to_owned())]);
    let metadata = "{\"a\":[1,null]}";
    let mut tx = world.begin().await;
    let new = tokens::NewToken {
        labels: Some(&labels),
        metadata: Some(metadata),
        ..new_token(&acme, with, "with", Digest(unique()))
    };
    tokens::insert(&mut tx, &may, new).await.unwrap();
    tokens::insert(&mut tx, &may, new_token(&acme, without, "without", Digest(unique()))).await.unwrap();
    end(tx).await.unwrap();
    let reader = &mut world.reader().await;
    let found = tokens::get(reader.conn(), &acme.grant, with).await.unwrap();
    assert_eq!((&found.labels, found.metadata.as_deref()), (&labels, Some(metadata)));
    for ids in [None, Some(&[with, without][..])] {
        let described = tokens::descriptions(reader.conn(), ids).await.unwrap();
        assert_eq!(described.iter().map(|it| it.id).collect::<Vec<_>>(), [with]);
        assert_eq!(described[0].metadata.as_deref(), Some(metadata));
    }
    let mut tx = world.begin().await;
    let bare = tokenward_core::token::Token { labels: Labels::new(), metadata: None, ..found };
    tokens::update(&mut tx, &may, &bare).await.unwrap();
    end(tx).await.unwrap();
    assert!(tokens::descriptions(world.reader().await.conn(), None).await.unwrap().is_empty());
}

async fn digests_are_looked_up_many_at_once(world: World) {
    world.pepper(1).await;
    let acme = world.organization("Acme").await;
    let known: Vec<Digest> = (0..3).map(|_| Digest(unique())).collect();
    let mut tx = world.begin().await;
    for (at, digest) in known.iter().enumerate() {
        let name = format!("t{at}");
        let new = new_token(&acme, world.store.new_id(), &name, *digest);
        tokens::insert(&mut tx, &acme.may(Management::TokenManage), new).await.unwrap();
    }
    end(tx).await.unwrap();
    let mut asked: Vec<Digest> = (0..500).map(|_| Digest(unique())).collect();
    asked.extend(&known[..2]);
    let used = tokens::used(world.reader().await.conn(), &asked).await.unwrap();
    assert_eq!(used, HashSet::from([known[0], known[1]]));
    assert!(tokens::used(world.reader().await.conn(), &[]).await.unwrap().is_empty());
}
