//! The contract of the store: each fact is shown on an SQLite file and on PostgreSQL.
//!
//! A fact is an `async fn(World)`; `on_both_engines!` makes two tests of it, whose names say which engine failed:
//! `tokens::on_postgres::a_deleted_name_is_free_at_once`. A fact that is not listed is unused code, which clippy refuses.

#![allow(clippy::unwrap_used, reason = "tests")]

macro_rules! on_both_engines {
    ($($fact:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $fact() {
                super::$fact($crate::world::World::sqlite().await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $fact() {
                super::$fact($crate::world::World::postgres().await).await;
            })*
        }
    };
}

#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/splitter.rs"]
mod splitter;
#[path = "../support/world.rs"]
mod world;

mod about;
mod at_once;
mod behind;
mod cuts;
mod device_sign_ins;
mod ended;
mod events;
mod faults;
mod hints;
mod hosts;
mod identities;
mod late_nodes;
mod left_journals;
mod log;
mod long;
mod news;
mod nodes_applied;
mod notices;
mod opening;
mod organizations;
mod passkeys;
mod password_failures;
mod people;
mod quotas;
mod resources;
mod schema;
mod session_uses;
mod set_up_links;
mod takeover;
mod together;
mod token_care;
mod token_order;
mod tokens;
mod usage;
