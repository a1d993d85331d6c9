//! What is to be known of tokens before they are taken back or rotated.

use tokenward_core::permission::Management;
use tokenward_store::tokens::{self, About, ended};

use crate::news::revoke_rotate_and_make;
use crate::world::World;

on_both_engines![one_statement_says_of_tokens_what_three_would];

async fn one_statement_says_of_tokens_what_three_would(world: World) {
    world.pepper(1).await;
    let (acme, other) = (world.organization("Acme").await, world.organization("Other").await);
    let grant = acme.may(Management::TokenManage);
    let (gone, old) = (world.token(&acme, "gone").await, world.token(&acme, "old").await);
    let foreign = world.token(&other, "foreign").await;
    let (made, _) = revoke_rotate_and_make(&world, &acme, gone.id, old.id).await;

    let wanted: Vec<_> = [gone.id, old.id, made, foreign.id].map(|id| (&grant, id)).into();
    let mut reader = world.reader().await;
    let About { living, mut rows, mut used } = tokens::about(reader.conn(), &wanted).await.unwrap();
    assert_eq!(living, tokens::living_of(reader.conn(), &wanted).await.unwrap());
    assert!(living.len() == 2 && living[&old.id].version == 2 && living[&made].metadata.is_some(), "{living:?}");
    let mut kept = tokens::index_rows(reader.conn(), &[old.id, made, foreign.id]).await.unwrap();
    for rows in [&mut rows, &mut kept] {
        rows.sort_by_key(|row| (row.token_id, row.version));
    }
    assert_eq!(rows.len(), 4, "the rotated one has two secrets, and what was taken back none");
    assert_eq!(rows, kept);
    let mut all = ended::used_of_all(reader.conn(), &[old.id, made, foreign.id]).await.unwrap();
    used.sort();
    all.sort();
    assert_eq!(used, all);
    let none = tokens::about(reader.conn(), &[]).await.unwrap();
    assert!(none.living.is_empty() && none.rows.is_empty() && none.used.is_empty());
}
