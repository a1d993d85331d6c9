//! The two schemas say the same: what a migration adds on one engine, it adds on the other.
//!
//! Both are read from the databases themselves and written down in one way, a line a fact.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{PgConnection, SqliteConnection};
use tokenward_store::Conn;

use crate::world::World;

/// Table, unique, primary, columns, condition.
type Index = (String, bool, bool, String, Option<String>);
/// Table, columns, the other table, its columns, what a deletion does.
type Reference = (String, String, String, String, String);

#[tokio::test]
async fn both_engines_have_the_same_schema_on_postgres() {
    let (sqlite, postgres) = (World::sqlite().await, World::postgres().await);
    let sqlite = match sqlite.reader().await.conn() {
        Conn::Sqlite(c) => of_sqlite(c).await,
        Conn::Postgres(_) => unreachable!(),
    };
    let postgres = match postgres.reader().await.conn() {
        Conn::Postgres(c) => of_postgres(c.raw()).await,
        Conn::Sqlite(_) => unreachable!(),
    };
    // A reader of a schema that finds nothing would agree with everything.
    for fact in [
        "token.role_id: blob, may be null",
        "token.name: text",
        "member.is_owner: integer",
        "member: primary key (organization_id, account_id)",
        "token: unique (organization_id, kind, name) where revoked_at is null and name_freed_at is null",
        "token: index (role_id)",
        "token: (organization_id, role_id) -> role (organization_id, id)",
        "environment: (organization_id, project_id) -> project (organization_id, id), on delete cascade",
        "token: check role_id is not null or revoked_at is not null",
    ] {
        assert!(sqlite.contains(fact), "SQLite lacks `{fact}`:\n{sqlite:#?}");
    }
    let only_sqlite: Vec<_> = sqlite.difference(&postgres).collect();
    let only_postgres: Vec<_> = postgres.difference(&sqlite).collect();
    assert!(
        only_sqlite.is_empty() && only_postgres.is_empty(),
        "only in SQLite: {only_sqlite:#?}\nonly in PostgreSQL: {only_postgres:#?}"
    );
}

#[tokio::test]
async fn every_table_of_sqlite_checks_its_types() {
    let world = World::sqlite().await;
    let loose = "SELECT count(*) FROM pragma_table_list WHERE type = 'table' AND schema = 'main' AND NOT strict \
                 AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_sqlx_%'";
    assert_eq!(world.number(loose).await, 0);
}

fn column(table: &str, name: &str, kind: &str, not_null: bool) -> String {
    format!("{table}.{name}: {kind}{}", if not_null { "" } else { ", may be null" })
}

fn index(table: &str, kind: &str, columns: &str, condition: Option<String>) -> String {
    let condition = condition.map(|text| format!(" where {text}")).unwrap_or_default();
    format!("{table}: {kind} ({columns}){condition}")
}

fn reference(table: &str, columns: &str, to: &str, keys: &str, on_delete: &str) -> String {
    let cascade = if on_delete == "CASCADE" { ", on delete cascade" } else { "" };
    format!("{table}: ({columns}) -> {to} ({keys}){cascade}")
}

/// A condition without what the engines write differently: brackets, spaces, the type of a text, and truth as `= 1`.
fn condition(text: &str) -> String {
    let text = text.replace(['(', ')'], " ").replace("::text", "").to_lowercase();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.starts_with("is_") { text.trim_end_matches(" = 1").to_owned() } else { text }
}

async fn of_sqlite(c: &mut SqliteConnection) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    let tables: Vec<(String, String)> = sqlx::query_as(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_sqlx_%'",
    )
    .fetch_all(&mut *c)
    .await
    .unwrap();
    for (table, sql) in tables {
        let columns: Vec<(String, String, bool, i64)> =
            sqlx::query_as("SELECT name, lower(type), \"notnull\", pk FROM pragma_table_xinfo($1) ORDER BY cid")
                .bind(&table)
                .fetch_all(&mut *c)
                .await
                .unwrap();
        let mut key: Vec<(i64, String)> = Vec::new();
        for (name, kind, not_null, place) in columns {
            facts.insert(column(&table, &name, &kind, not_null));
            if place > 0 {
                key.push((place, name));
            }
        }
        key.sort();
        let key: Vec<String> = key.into_iter().map(|(_, name)| name).collect();
        facts.insert(index(&table, "primary key", &key.join(", "), None));

        let indices: Vec<(String, bool, String, Option<String>)> = sqlx::query_as(concat!(
            "SELECT l.name, l.\"unique\", l.origin, m.sql FROM pragma_index_list($1) l ",
            "LEFT JOIN sqlite_master m ON m.name = l.name AND m.type = 'index'"
        ))
        .bind(&table)
        .fetch_all(&mut *c)
        .await
        .unwrap();
        for (name, unique, origin, sql) in indices.into_iter().filter(|(_, _, origin, _)| origin != "pk") {
            let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_index_info($1) ORDER BY seqno")
                .bind(&name)
                .fetch_all(&mut *c)
                .await
                .unwrap();
            assert!(origin == "u" || sql.is_some(), "{name}");
            let part = sql.and_then(|sql| sql.split_once(" WHERE ").map(|(_, text)| condition(text)));
            facts.insert(index(&table, if unique { "unique" } else { "index" }, &columns.join(", "), part));
        }

        let references: Vec<(i64, String, String, String, String)> = sqlx::query_as(
            "SELECT id, \"table\", \"from\", \"to\", on_delete FROM pragma_foreign_key_list($1) ORDER BY id, seq",
        )
        .bind(&table)
        .fetch_all(&mut *c)
        .await
        .unwrap();
        let mut grouped: BTreeMap<i64, (String, Vec<String>, Vec<String>, String)> = BTreeMap::new();
        for (id, to, from, key, on_delete) in references {
            let group = grouped.entry(id).or_insert((to, Vec::new(), Vec::new(), on_delete));
            group.1.push(from);
            group.2.push(key);
        }
        for (to, columns, keys, on_delete) in grouped.into_values() {
            facts.insert(reference(&table, &columns.join(", "), &to, &keys.join(", "), &on_delete));
        }

        // SQLite keeps its checks only in the text of the statement.
        for (_, rest) in sql.match_indices("CHECK (").map(|(at, found)| (at, &sql[at + found.len()..])) {
            facts.insert(format!("{table}: check {}", condition(rest.split_once(')').unwrap().0)));
        }
    }
    facts
}

async fn of_postgres(c: &mut PgConnection) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    let columns: Vec<(String, String, String, bool)> = sqlx::query_as(concat!(
        "SELECT t.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull ",
        "FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid ",
        "WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind = 'r' AND t.relname NOT LIKE '\\_sqlx\\_%' ",
        "AND a.attnum > 0 AND NOT a.attisdropped",
    ))
    .fetch_all(&mut *c)
    .await
    .unwrap();
    for (table, name, kind, not_null) in columns {
        let kind = match kind.as_str() {
            "uuid" | "bytea" => "blob",
            "bigint" | "integer" | "boolean" => "integer",
            "text" => "text",
            other => panic!("{table}.{name} is of the type {other}, which SQLite has no word for here"),
        };
        facts.insert(column(&table, &name, kind, not_null));
    }

    let indices: Vec<Index> = sqlx::query_as(concat!(
        "SELECT t.relname::text, i.indisunique, i.indisprimary, ",
        "(SELECT string_agg(a.attname, ', ' ORDER BY k.n) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, n) ",
        "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum), ",
        "pg_get_expr(i.indpred, i.indrelid) ",
        "FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid ",
        "WHERE t.relnamespace = current_schema()::regnamespace AND t.relname NOT LIKE '\\_sqlx\\_%'",
    ))
    .fetch_all(&mut *c)
    .await
    .unwrap();
    for (table, unique, primary, columns, part) in indices {
        let kind = if primary {
            "primary key"
        } else if unique {
            "unique"
        } else {
            "index"
        };
        facts.insert(index(&table, kind, &columns, part.map(|text| condition(&text))));
    }

    let references: Vec<Reference> = sqlx::query_as(concat!(
        "SELECT t.relname::text, ",
        "(SELECT string_agg(a.attname, ', ' ORDER BY k.n) FROM unnest(f.conkey) WITH ORDINALITY k (attnum, n) ",
        "JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum), ",
        "r.relname::text, ",
        "(SELECT string_agg(a.attname, ', ' ORDER BY k.n) FROM unnest(f.confkey) WITH ORDINALITY k (attnum, n) ",
        "JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum), ",
        "CASE f.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'a' THEN 'NO ACTION' ELSE 'other' END ",
        "FROM pg_constraint f JOIN pg_class t ON t.oid = f.conrelid JOIN pg_class r ON r.oid = f.confrelid ",
        "WHERE f.contype = 'f' AND t.relnamespace = current_schema()::regnamespace",
    ))
    .fetch_all(&mut *c)
    .await
    .unwrap();
    for (table, columns, to, keys, on_delete) in references {
        facts.insert(reference(&table, &columns, &to, &keys, &on_delete));
    }

    let checks: Vec<(String, String)> = sqlx::query_as(concat!(
        "SELECT t.relname::text, pg_get_expr(f.conbin, f.conrelid) FROM pg_constraint f ",
        "JOIN pg_class t ON t.oid = f.conrelid WHERE f.contype = 'c' AND t.relnamespace = current_schema()::regnamespace",
    ))
    .fetch_all(&mut *c)
    .await
    .unwrap();
    for (table, text) in checks {
        facts.insert(format!("{table}: check {}", condition(&text)));
    }
    facts
}
