//! What has ended: how its rows are marked, kept and removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokenward_core::ended::{RETENTION, SHORTEST_RETENTION};
use tokenward_core::permission::Management;
use tokenward_core::role::BuiltIn;
use tokenward_core::secret::{Digest, Kind};
use tokenward_core::time::{DAY, HOUR, MINUTE};
use tokenward_core::token::Token;
use tokenward_core::{Clock, Code, Time, Uuid};
use tokenward_store::tokens::pages::{self, By, Part, Sieve};
use tokenward_store::tokens::{self, Those, ended};
use tokenward_store::{cuts, usage, usage_days};

use crate::world::{HandClock, Organization, World, new_token, unique};

on_both_engines![
    a_token_whose_time_is_over_is_counted_no_more_and_its_row_stays_until_nobody_is_told,
    retention_is_of_the_database_and_what_was_removed_does_not_come_back_with_a_longer_one,
    an_earlier_secret_is_removed_and_its_token_lives_on,
    what_ended_is_read_page_by_page,
    what_is_marked_is_in_no_list_of_what_lives_and_in_no_count,
    refusals_are_counted_by_reason_from_a_day_on_and_earlier_secrets_have_their_end,
    a_clock_that_was_set_back_writes_no_earlier_time,
    a_clock_far_ahead_of_the_log_and_of_the_node_ends_nothing_for_good,
];

async fn world_with_pepper(world: &World) -> Organization {
    world.pepper(1).await;
    world.organization("Acme").await
}

async fn with_end(world: &World, acme: &Organization, name: &str, hours: i64) -> Uuid {
    let (mut tx, id) = (world.begin().await, world.store.new_id());
    let end = Some(world.now().plus(hours * HOUR));
    let new = tokens::NewToken { expires_at: end, ..new_token(acme, id, name, Digest(unique())) };
    tokens::insert(&mut tx, &acme.may(Management::TokenManage), new).await.unwrap();
    crate::world::end(tx).await.unwrap();
    id
}

fn ids_of(tokens: &[Token]) -> Vec<Uuid> {
    tokens.iter().map(|token| token.id).collect()
}

async fn mark(world: &World) -> usize {
    let mut tx = world.store.begin_unlogged().await.unwrap();
    let marked = ended::mark(&mut tx, 100).await.unwrap();
    tx.commit().await.unwrap();
    marked
}

async fn remove(world: &World) -> usize {
    let mut tx = world.store.begin_unlogged().await.unwrap();
    let removed = ended::remove(&mut tx, 100).await.unwrap();
    tx.commit().await.unwrap();
    removed
}

async fn count(world: &World, acme: &Organization) -> u64 {
    tokens::count(world.reader().await.conn(), &acme.grant).await.unwrap()
}

async fn found(world: &World, acme: &Organization, id: Uuid) -> bool {
    let found = tokens::find(world.reader().await.conn(), &acme.grant, id, world.now()).await;
    found.map(|_| true).unwrap_or_else(|error| error.code != Code::NotFound)
}

async fn a_token_whose_time_is_over_is_counted_no_more_and_its_row_stays_until_nobody_is_told(world: World) {
    let acme = world_with_pepper(&world).await;
    let short = with_end(&world, &acme, "short", 1).await;
    let taken = with_end(&world, &acme, "taken", 1).await;
    let living = world.token(&acme, "living").await.id;
    assert_eq!((count(&world, &acme).await, mark(&world).await), (3, 0));
    world.clock.pass(HOUR);
    // Whoever wants the name frees it, and counts; nobody counts twice.
    let again = world.token(&acme, "taken").await.id;
    assert_eq!(count(&world, &acme).await, 3);
    assert_eq!((mark(&world).await, mark(&world).await), (1, 0));
    assert_eq!(count(&world, &acme).await, 2);
    world.revoke(&acme, taken).await;
    assert_eq!(count(&world, &acme).await, 2, "it had ended before");
    let denied = |count| usage::Usage {
        last_used_at: Some(world.now()),
        denied: vec![("expired".to_owned(), count)],
        ..usage::Usage::default()
    };
    let mut tx = world.store.begin_unlogged().await.unwrap();
    for id in [short, living] {
        usage::add(&mut tx, id, 1, &denied(2)).await.unwrap();
    }
    tx.commit().await.unwrap();
    world.clock.pass(RETENTION - HOUR);
    assert_eq!(remove(&world).await, 0);
    assert!(found(&world, &acme, short).await);
    world.clock.pass(HOUR);
    assert!(!found(&world, &acme, short).await, "also before its row is gone");
    assert_eq!((remove(&world).await, remove(&world).await), (2, 0));
    assert_eq!(world.number("SELECT count(*) FROM token").await, 2);
    assert_eq!(world.number("SELECT count(*) FROM token_secret").await, 2);
    assert_eq!(world.number("SELECT count(*) FROM used_digest").await, 2);
    for counts in ["SELECT count(*) FROM token_usage", "SELECT count(*) FROM token_denied"] {
        assert_eq!(world.number(counts).await, 1, "{counts}: what is counted of a token goes with it");
    }
    assert!(found(&world, &acme, living).await && found(&world, &acme, again).await);
}

async fn what_is_marked_is_in_no_list_of_what_lives_and_in_no_count(world: World) {
    let acme = world_with_pepper(&world).await;
    let admin = acme.role(BuiltIn::Admin);
    let make = async |name: &str, hours: Option<i64>, policy: Option<&'static str>| {
        let may = if policy.is_some() { Management::PolicyManage } else { Management::TokenManage };
        let (mut tx, id) = (world.begin().await, world.store.new_id());
        let expires_at = hours.map(|hours| world.now().plus(hours * HOUR));
        let new = tokens::NewToken { expires_at, policy, ..new_token(&acme, id, name, Digest(unique())) };
        tokens::insert(&mut tx, &acme.may(may), new).await.unwrap();
        crate::world::end(tx).await.unwrap();
        id
    };
    let allows = Some("allow := true");
    let [long, long_policy] = [make("long", None, None).await, make("long", None, allows).await];
    let [short, short_policy] = [make("short", Some(1), None).await, make("short", Some(1), allows).await];
    let with_policy = async |those: Those| {
        let (kind, by) = (Kind::PolicyToken, By::Created);
        let part = Part { kind, those, by, descending: false, after: None, limit: 10 };
        let mut reader = world.reader().await;
        let page = pages::places(reader.conn(), &acme.grant, &part, &Sieve::default(), world.now()).await.unwrap();
        page.into_iter().map(|it| it.id).collect::<Vec<_>>()
    };
    let listed = async || {
        let (mut reader, grant) = (world.reader().await, &acme.grant);
        let owned = tokens::owned_by(reader.conn(), grant, acme.owner).await.unwrap();
        let with_role = tokens::with_role(reader.conn(), grant, admin).await.unwrap();
        let policies = with_policy(Those::Living).await;
        let count = tokens::count_policy_tokens(reader.conn(), grant).await.unwrap();
        let cut = cuts::reach(reader.conn(), grant, None).await.unwrap().unwrap();
        (ids_of(&owned), ids_of(&with_role), policies, (count, cut.count, cut.with_policy))
    };
    let sorted = |mut ids: Vec<Uuid>| {
        ids.sort_unstable();
        ids
    };
    let all = sorted(vec![long, long_policy, short, short_policy]);
    let policies = sorted(vec![long_policy, short_policy]);
    assert_eq!(listed().await, (all.clone(), all, policies.clone(), (2, 4, 2)));
    world.clock.pass(HOUR);
    assert_eq!(mark(&world).await, 2);
    let left = sorted(vec![long, long_policy]);
    assert_eq!(listed().await, (left.clone(), left, vec![long_policy], (1, 2, 1)));
    // Whoever asks for it is told until nobody is.
    assert_eq!(with_policy(Those::All).await, policies);
    assert_eq!(tokens::policies(world.reader().await.conn(), None).await.unwrap().len(), 1);
}

async fn refusals_are_counted_by_reason_from_a_day_on_and_earlier_secrets_have_their_end(world: World) {
    let acme = world_with_pepper(&world).await;
    let other = world.organization("Other").await;
    let id = world.token(&acme, "ci").await.id;
    let mut more = BTreeMap::new();
    for (day, reason, denied) in [(5, "revoked", 2), (6, "revoked", 3), (7, "expired", 4)] {
        more.insert((id, day), usage_days::DayUse { allowed: 1, denied: [(reason, denied)].into() });
    }
    let mut tx = world.store.begin_unlogged().await.unwrap();
    usage_days::add(&mut tx, &more).await.unwrap();
    tx.commit().await.unwrap();
    let counted = async |of: &Organization, reason: &str, from| {
        usage_days::denied_since(world.reader().await.conn(), &of.grant, id, reason, from).await.unwrap()
    };
    assert_eq!(counted(&acme, "revoked", 5).await, 5);
    assert_eq!(counted(&acme, "revoked", 6).await, 3);
    assert_eq!((counted(&acme, "revoked", 7).await, counted(&acme, "expired", 5).await), (0, 4));
    assert_eq!(counted(&other, "revoked", 5).await, 0, "it is no token of theirs");
    let ends = ended::earlier_ends(world.reader().await.conn(), &acme.grant, id, world.now(), 9).await.unwrap();
    assert!(ends.is_empty(), "it has one secret");
}

async fn retention_is_of_the_database_and_what_was_removed_does_not_come_back_with_a_longer_one(world: World) {
    let acme = world_with_pepper(&world).await;
    let say = async |retention| {
        let mut tx = world.store.begin_unlogged().await.unwrap();
        ended::set_retention(&mut tx, retention).await.unwrap();
        tx.commit().await.unwrap();
        ended::retention(world.reader().await.conn()).await.unwrap()
    };
    assert_eq!(ended::retention(world.reader().await.conn()).await.unwrap(), RETENTION);
    assert_eq!(say(HOUR).await, SHORTEST_RETENTION, "never shorter than a deletion can be undone");
    let (first, second) = (world.token(&acme, "first").await.id, world.token(&acme, "second").await.id);
    world.revoke(&acme, first).await;
    world.clock.pass(SHORTEST_RETENTION);
    world.revoke(&acme, second).await;
    // Made longer just before the worker comes: it asks inside.
    say(DAY).await;
    assert_eq!((remove(&world).await, found(&world, &acme, first).await), (0, true));
    say(SHORTEST_RETENTION).await;
    assert_eq!((remove(&world).await, found(&world, &acme, first).await), (1, false));
    say(RETENTION).await;
    assert_eq!((found(&world, &acme, first).await, found(&world, &acme, second).await), (false, true));
}

async fn an_earlier_secret_is_removed_and_its_token_lives_on(world: World) {
    let acme = world_with_pepper(&world).await;
    let token = world.token(&acme, "CI").await;
    let grant = acme.may(Management::TokenManage);
    let mut tx = world.begin().await;
    let old = tokens::find(tx.conn(), &grant, token.id, world.now()).await.unwrap();
    let next = Token { version: 2, updated_at: tx.next_version(old.updated_at), ..old };
    let until = world.now().plus(HOUR);
    let secret = crate::world::secret(Digest(unique()));
    tokens::rotate(&mut tx, &grant, &next, &secret, (until, None)).await.unwrap();
    crate::world::end(tx).await.unwrap();
    world.clock.pass(HOUR + RETENTION);
    assert_eq!(remove(&world).await, 0, "the log was not told yet that its time is over");
    let mut tx = world.begin().await;
    for overlap in tokens::ended_overlaps(tx.conn(), world.now(), 10).await.unwrap() {
        tokens::tell_overlap_ended(&mut tx, &overlap).await.unwrap();
    }
    crate::world::end(tx).await.unwrap();
    assert_eq!((remove(&world).await, remove(&world).await), (1, 0));
    let rows = tokens::index_rows(world.reader().await.conn(), &[token.id]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.version).collect::<Vec<_>>(), [2]);
}

async fn what_ended_is_read_page_by_page(world: World) {
    let acme = world_with_pepper(&world).await;
    let mut ids = Vec::new();
    for n in 0..7 {
        ids.push(world.token(&acme, &format!("t{n}")).await.id);
    }
    world.revoke(&acme, ids[3]).await;
    let (mut after, mut seen) = ((Uuid::nil(), 0), Vec::new());
    loop {
        let page = ended::page(world.reader().await.conn(), after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = (last.token_id, last.version);
        seen.extend(page.iter().map(|row| (row.token_id, row.revoked_at.is_some())));
    }
    ids.sort_unstable();
    let mut expected: Vec<_> = seen.clone();
    expected.sort_unstable();
    assert_eq!(seen, expected, "in the order of their ids");
    assert_eq!((seen.len(), seen.iter().filter(|(_, revoked)| *revoked).count()), (7, 1));
}

async fn a_clock_that_was_set_back_writes_no_earlier_time(world: World) {
    let acme = world_with_pepper(&world).await;
    let first = with_end(&world, &acme, "short", 1).await;
    world.clock.pass(HOUR);
    world.token(&acme, "later").await;
    world.clock.pass(-2 * HOUR);
    let tx = world.begin().await;
    assert!(tx.now() > world.now().plus(HOUR), "{}", tx.now());
    drop(tx);
    assert_eq!(mark(&world).await, 1, "{first} has ended");
}

/// A node with the world's clock, whose database says that it is so much later.
struct Ahead(Arc<HandClock>, i64);

impl Clock for Ahead {
    fn now(&self) -> Time {
        self.0.now()
    }

    fn shared(&self, _: Time) -> Time {
        self.0.now().plus(self.1)
    }
}

async fn a_clock_far_ahead_of_the_log_and_of_the_node_ends_nothing_for_good(world: World) {
    let acme = world_with_pepper(&world).await;
    let id = with_end(&world, &acme, "living", 1).await;
    let node = async |ahead| {
        let clock = Arc::new(Ahead(Arc::clone(&world.clock), ahead));
        tokenward_store::Store::attach(&world.url, clock, crate::world::random()).await.unwrap()
    };
    let marked = async |store: &tokenward_store::Store| {
        let mut tx = store.begin_unlogged().await.unwrap();
        let marked = ended::mark(&mut tx, 100).await.unwrap();
        tx.commit().await.unwrap();
        marked
    };
    // On an SQLite file there is no other clock.
    if world.store.is_shared() {
        let store = node(365 * DAY).await;
        assert_eq!(marked(&store).await, 0, "{id} lives by the log and by the node");
        let tx = crate::world::begin(&store).await.unwrap();
        assert!(tx.now() < world.now().plus(HOUR) && tx.said() > world.now().plus(DAY), "{} {}", tx.now(), tx.said());
        crate::world::end(tx).await.unwrap();
        assert!(store.is_doubted().is_some_and(|ahead| ahead > DAY));
        assert!(world.begin().await.now() < world.now().plus(HOUR), "no event has its time");
        // A few minutes are believed: it is the clock that all have in common.
        let store = node(4 * MINUTE).await;
        assert_eq!((marked(&store).await, store.is_doubted()), (0, None));
        assert!(crate::world::begin(&store).await.unwrap().now() > world.now().plus(3 * MINUTE));
    }
    assert!(found(&world, &acme, id).await);
    assert_eq!((count(&world, &acme).await, mark(&world).await), (1, 0));
}
