//! How long tokens live, and which of them are found, on the command line: the real binary, against a real server.

use serde_json::Value;
use tokenward_core::time::{DAY, MINUTE};
use tokenward_core::{Clock, Time};
use tokenward_verify::server::clock::SystemClock;

use crate::cli::World;

/// How long it is until a token ends.
fn left(token: &Value) -> i64 {
    Time::parse(token["expires_at"].as_str().unwrap()).unwrap().0 - SystemClock::default().now().0
}

#[test]
fn a_token_lives_90_days_where_nobody_says_it_and_a_date_is_the_last_day() {
    let world = World::new();
    let usual = world.json(&["token", "create", "usual", "--role", "viewer"]);
    assert!((90 * DAY - 5 * MINUTE..=90 * DAY).contains(&left(&usual)), "{usual}");
    let never = world.json(&["token", "create", "never", "--role", "viewer", "--expires", "never"]);
    assert_eq!(never["expires_at"], Value::Null);
    let day = world.json(&["token", "create", "day", "--role", "viewer", "--expires", "2099-01-31"]);
    assert_eq!(day["expires_at"], "2099-02-01T00:00:00.000000Z");
    let later = world.json(&["token", "create", "later", "--role", "viewer", "--not-before", "2099-01-31"]);
    assert_eq!(later["not_before"], "2099-01-31T00:00:00.000000Z", "the first moment of the first day");
    assert_eq!(later["expires_at"], "2099-05-01T00:00:00.000000Z", "90 days of use");
    // What the organization says comes first.
    assert_eq!(world.run(&["token-policy", "set", "--max-lifetime", "30d"]).code, 0);
    let shorter = world.json(&["token", "create", "shorter", "--role", "viewer"]);
    assert!((30 * DAY - 5 * MINUTE..=30 * DAY + MINUTE).contains(&left(&shorter)), "{shorter}");
    assert_eq!(world.run(&["token-policy", "set", "--default-lifetime", "7d"]).code, 0);
    let said = world.json(&["token", "create", "said", "--role", "viewer"]);
    assert!((7 * DAY - 5 * MINUTE..=7 * DAY + MINUTE).contains(&left(&said)), "{said}");
}

#[test]
fn those_that_were_deleted_or_are_over_are_found_by_a_word_of_their_own() {
    let world = World::new();
    for name in ["stays", "goes"] {
        world.token(name, "viewer");
    }
    assert_eq!(world.run(&["token", "delete", "goes", "--yes"]).code, 0);
    let names = |line: &[&str]| -> Vec<String> {
        let listed = world.json(line);
        listed["results"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&["token", "list", "--revoked"]), ["goes"]);
    assert_eq!(names(&["token", "list", "--state", "revoked"]), ["goes"]);
    assert!(names(&["token", "list", "--expired"]).is_empty());
    for both in [&["--expired", "--revoked"][..], &["--revoked", "--state", "all"], &["--expired", "--state", "all"]] {
        assert_eq!(world.run(&[&["token", "list"], both].concat()).code, 2, "{both:?}");
    }
}

#[test]
fn how_often_a_deleted_token_was_presented_since_is_shown() {
    let world = World::new();
    let made = world.json(&["token", "create", "goes", "--role", "viewer"]);
    let (id, text) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    let living = world.run(&["token", "show", id]);
    assert!(living.code == 0 && !living.out.contains("Presented"), "{}", living.out);
    assert_eq!(world.run(&["token", "delete", "goes", "--yes"]).code, 0);
    let gone = world.run(&["token", "show", id]);
    assert!(gone.code == 0 && gone.out.contains("never since"), "{}", gone.out);
    for _ in 0..3 {
        assert_eq!(world.verify(text, &[]).code, 3);
    }
    let gone = world.run(&["token", "show", id]);
    assert!(gone.code == 0 && gone.out.contains("3 times since"), "{}", gone.out);
    let told = world.json(&["token", "show", id]);
    assert_eq!(told["refused"]["count"], 3, "{told}");
}

#[test]
fn what_an_edit_would_take_is_told_and_nothing_is_changed() {
    let world = World::new();
    world.token("ci", "devops");
    let before = world.json(&["token", "show", "ci"]);
    let edit = ["token", "edit", "ci", "--expires", "1d", "--not-before", "2h", "--role", "viewer", "--dry-run"];
    let told = world.run(&edit);
    assert_eq!(told.code, 0, "{}", told.err);
    for said in ["The token `ci` was never used. Nothing was changed.", "refused until ", "It would end on "] {
        assert!(told.err.contains(said), "{said}: {}", told.err);
    }
    let json = world.json(&edit);
    assert!(json["refused"] == serde_json::json!([]) && json["ends_sooner"].is_string(), "{json}");
    assert_eq!(world.json(&["token", "show", "ci"])["updated_at"], before["updated_at"]);
    assert_eq!(world.run(&["token", "edit", "ci", "--dry-run"]).code, 2, "an edit of nothing");
}

#[test]
fn a_token_is_narrowed_to_places_and_freed_without_another_change() {
    let world = World::new();
    assert_eq!(world.run(&["project", "create", "shop"]).code, 0);
    world.token("ci", "viewer");
    let narrowed = world.run(&["token", "edit", "ci", "--project", "shop"]);
    assert!(narrowed.code == 0 && narrowed.err.contains("→ shop"), "{}", narrowed.err);
    let freed = world.run(&["token", "edit", "ci", "--everywhere"]);
    assert!(freed.code == 0 && freed.err.contains("shop →"), "{}", freed.err);
    let unknown = world.run(&["token", "edit", "ci", "--environment", "shop/staging"]);
    assert!(unknown.code != 0 && unknown.err.contains("staging"), "{}", unknown.err);
}
