//! Lists of API tokens in an order, part by part, and how the database reads them.

use tokenward_core::permission::Management;
use tokenward_core::role::BuiltIn;
use tokenward_core::secret::Kind;
use tokenward_core::time::{DAY, HOUR};
use tokenward_core::{Time, Uuid};
use tokenward_store::Conn;
use tokenward_store::tokens::overview::{self, Facts, Shelf, ShelfPart, ShelfPlace, Which};
use tokenward_store::tokens::pages::{self, By, Key, Only, Part, Sieve, TokenCursor};
use tokenward_store::tokens::{self, NewToken, Those};
use tokenward_store::usage;

use crate::world::{Organization, World, end, new_token, unique};

on_both_engines![
    every_order_has_every_token_once_in_parts_of_any_size,
    what_a_sieve_leaves_is_what_its_words_say,
    a_place_is_where_it_was_when_its_token_has_moved,
    tokens_are_counted_as_they_are_listed,
    what_has_ended_is_counted_up_to_a_bound_and_for_as_long_as_it_is_told,
    an_order_is_read_from_its_index,
];

const ORDERS: [By; 4] = [By::Created, By::Name, By::End, By::Use];

async fn make(world: &World, acme: &Organization, name: &str, end_in: Option<i64>) -> Uuid {
    let id = world.store.new_id();
    let expires_at = end_in.map(|it| world.now().plus(it));
    let networks = [tokenward_core::network::NotedNetwork {
        network: tokenward_core::network::Network::parse("10.0.0.0/8").unwrap(),
        note: None,
    }];
    let bound = name.starts_with('n');
    let new = NewToken {
        expires_at,
        role_id: acme.role(if bound { BuiltIn::Viewer } else { BuiltIn::Admin }),
        networks: if bound { &networks } else { &[] },
        owner_id: Some(acme.owner).filter(|_| !name.starts_with('s')),
        ..new_token(acme, id, name, tokenward_core::secret::Digest(unique()))
    };
    let mut tx = world.begin().await;
    tokens::insert(&mut tx, &acme.may(Management::TokenManage), new).await.unwrap();
    end(tx).await.unwrap();
    world.clock.pass(1_000);
    id
}

async fn used(world: &World, id: Uuid, at: Time) {
    let mut tx = world.store.begin_unlogged().await.unwrap();
    usage::note(&mut tx, &[(id, at)]).await.unwrap();
    tx.commit().await.unwrap();
}

/// Tokens with names, ends and uses that are partly the same; and one of another organization. Answers them in the order of
/// their creation, and when each was used.
async fn some(world: &World) -> (Organization, Vec<(Uuid, i64)>) {
    world.pepper(1).await;
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    make(world, &globex, "theirs", Some(DAY)).await;
    let mut all = Vec::new();
    let ends = [Some(DAY), None, Some(DAY), Some(HOUR), None, Some(9 * DAY), Some(-1)];
    for (n, name) in ["m", "B", "Ä", "a", "n1", "s_1", "S%", "n2", "é", "0", "日本"].into_iter().enumerate() {
        let id = make(world, &acme, name, ends[n % ends.len()]).await;
        let at = [0, 700, 500, 500][n % 4];
        if at > 0 {
            used(world, id, Time(at)).await;
        }
        all.push((id, at));
    }
    (acme, all)
}

async fn listed(world: &World, acme: &Organization, part: &Part<'_>, sieve: &Sieve) -> Vec<Uuid> {
    let (mut all, mut after): (Vec<Uuid>, Option<TokenCursor>) = (Vec::new(), None);
    loop {
        let part = Part { after: after.as_ref(), ..*part };
        let places = pages::places(world.reader().await.conn(), &acme.grant, &part, sieve, world.now()).await.unwrap();
        assert!(places.len() <= part.limit);
        all.extend(places.iter().map(|it| it.id));
        let more = places.len() == part.limit;
        after = places.last().cloned();
        if !more {
            return all;
        }
    }
}

async fn every_order_has_every_token_once_in_parts_of_any_size(world: World) {
    let (acme, made) = some(&world).await;
    let ids: Vec<Uuid> = made.iter().map(|(id, _)| *id).collect();
    let rows = pages::in_order(world.reader().await.conn(), &acme.grant, Kind::Token, &ids).await.unwrap();
    assert_eq!(rows.iter().map(|it| it.id).collect::<Vec<_>>(), ids);
    for by in ORDERS {
        let mut wanted: Vec<(String, i64, Uuid)> = rows
            .iter()
            .zip(&made)
            .map(|(token, (_, at))| match by {
                By::Created => (String::new(), 0, token.id),
                By::Name => (token.name.to_lowercase(), 0, token.id),
                By::End => (String::new(), token.expires_at.map_or(i64::MAX, |at| at.0), token.id),
                By::Use => (String::new(), *at, token.id),
            })
            .collect();
        wanted.sort();
        let mut wanted: Vec<Uuid> = wanted.into_iter().map(|(.., id)| id).collect();
        for descending in [false, true] {
            for limit in [1, 2, 3, 50] {
                let part = Part { kind: Kind::Token, those: Those::NotTakenBack, by, descending, after: None, limit };
                let found = listed(&world, &acme, &part, &Sieve::default()).await;
                assert_eq!(found, wanted, "{part:?}");
                let living = Part { those: Those::Living, ..part };
                let ended: Vec<Uuid> = rows
                    .iter()
                    .filter(|it| it.expires_at.is_some_and(|at| at <= world.now()))
                    .map(|it| it.id)
                    .collect();
                assert_eq!(ended.len(), 1);
                let found = listed(&world, &acme, &living, &Sieve::default()).await;
                let kept: Vec<Uuid> = wanted.iter().copied().filter(|id| !ended.contains(id)).collect();
                assert_eq!(found, kept, "{living:?}");
            }
            wanted.reverse();
        }
    }
    world.revoke(&acme, ids[1]).await;
    for by in ORDERS {
        let part = Part { kind: Kind::Token, those: Those::TakenBack, by, descending: false, after: None, limit: 2 };
        assert_eq!(listed(&world, &acme, &part, &Sieve::default()).await, [ids[1]], "{by:?}");
        let part = Part { those: Those::All, limit: 3, ..part };
        assert_eq!(listed(&world, &acme, &part, &Sieve::default()).await.len(), ids.len(), "{by:?}");
    }
}

async fn what_a_sieve_leaves_is_what_its_words_say(world: World) {
    let (acme, made) = some(&world).await;
    let ids: Vec<Uuid> = made.iter().map(|(id, _)| *id).collect();
    let rows = pages::in_order(world.reader().await.conn(), &acme.grant, Kind::Token, &ids).await.unwrap();
    let now = world.now();
    let sieve = Sieve::default;
    let maker = rows[0].creator_name.clone().unwrap();
    let viewer = acme.role(BuiltIn::Viewer);
    type Fits = Box<dyn Fn(&tokenward_core::token::Token, i64) -> bool>;
    let cases: Vec<(Sieve, Fits)> = vec![
        (Sieve { role: Some(viewer), ..sieve() }, Box::new(move |it, _| it.role_id == viewer)),
        (Sieve { creator: Some(Uuid::nil()), ..sieve() }, Box::new(|_, _| false)),
        (Sieve { owner: Some(acme.owner), ..sieve() }, Box::new(|it, _| it.owner_id.is_some())),
        (Sieve { ends: Some(true), ..sieve() }, Box::new(|it, _| it.expires_at.is_some())),
        (Sieve { ends: Some(false), ..sieve() }, Box::new(|it, _| it.expires_at.is_none())),
        (Sieve { ends_from: Some(now), ..sieve() }, Box::new(move |it, _| it.expires_at.is_some_and(|at| now <= at))),
        (Sieve { ends_before: Some(now), ..sieve() }, Box::new(move |it, _| it.expires_at.is_some_and(|at| at < now))),
        (Sieve { restricted: Some(true), ..sieve() }, Box::new(|it, _| !it.networks.is_empty())),
        (Sieve { restricted: Some(false), ..sieve() }, Box::new(|it, _| it.networks.is_empty())),
        (Sieve { unused_since: Some(now), ..sieve() }, Box::new(|_, at| at < 1_000)),
        (Sieve { used_since: Some(Time(600)), ..sieve() }, Box::new(|_, at| at == 700)),
        (Sieve { only: Some(Only::Disabled), ..sieve() }, Box::new(|_, _| false)),
        (Sieve { only: Some(Only::NotYetValid), ..sieve() }, Box::new(|_, _| false)),
        (Sieve { only: Some(Only::Active), ..sieve() }, Box::new(|_, _| true)),
        (Sieve { only: Some(Only::Brownout), ..sieve() }, Box::new(|it, _| it.life.brownout.is_some())),
        (Sieve { creator_name: Some(maker.to_lowercase()), ..sieve() }, Box::new(|_, _| true)),
        (Sieve { creator_name: Some("nobody".into()), ..sieve() }, Box::new(|_, _| false)),
        // What the database knows nothing of is left to whoever reads the tokens.
        (Sieve { creator_name: Some("ä".into()), ..sieve() }, Box::new(|_, _| true)),
        (Sieve { creator_left: true, ..sieve() }, Box::new(|_, _| false)),
        (Sieve { owner_left: true, ..sieve() }, Box::new(|_, _| false)),
        (Sieve { asked: Some(true), ..sieve() }, Box::new(|_, _| false)),
        (Sieve { asked: Some(false), ..sieve() }, Box::new(|_, _| false)),
        (Sieve { label: Some("\"team\":".into()), ..sieve() }, Box::new(|_, _| false)),
        (Sieve { ends_after: Some(now), ..sieve() }, Box::new(move |it, _| it.expires_at.is_none_or(|at| now < at))),
        (Sieve { name: Some("ä".into()), ..sieve() }, Box::new(|it, _| it.name == "Ä")),
        (Sieve { name: Some("_".into()), ..sieve() }, Box::new(|it, _| it.name == "s_1")),
        (Sieve { name: Some("%".into()), ..sieve() }, Box::new(|it, _| it.name == "S%")),
        (Sieve { name: Some("s".into()), ..sieve() }, Box::new(|it, _| it.name.to_lowercase().contains('s'))),
    ];
    for (sieve, fits) in cases {
        let wanted: Vec<Uuid> =
            rows.iter().zip(&made).filter(|(it, (_, at))| fits(it, *at)).map(|(it, _)| it.id).collect();
        let part = Part {
            kind: Kind::Token,
            those: Those::NotTakenBack,
            by: By::Created,
            descending: false,
            after: None,
            limit: 2,
        };
        assert_eq!(listed(&world, &acme, &part, &sieve).await, wanted, "{sieve:?}");
        // Those of the other kind are none of these.
        let policies = Part { kind: Kind::PolicyToken, ..part };
        assert!(listed(&world, &acme, &policies, &sieve).await.is_empty(), "{sieve:?}");
    }
}

async fn a_place_is_where_it_was_when_its_token_has_moved(world: World) {
    let (acme, made) = some(&world).await;
    let those = Those::NotTakenBack;
    let part = Part { kind: Kind::Token, those, by: By::Use, descending: false, after: None, limit: 3 };
    let read = async |part: &Part<'_>| {
        pages::places(world.reader().await.conn(), &acme.grant, part, &Sieve::default(), world.now()).await.unwrap()
    };
    let first = read(&part).await;
    let last = first.last().unwrap();
    assert_eq!(last.key, Key::Number(0));
    used(&world, last.id, Time(9_000)).await;
    used(&world, last.id, Time(8_000)).await;
    let rest = read(&Part { after: Some(last), limit: 50, ..part }).await;
    assert_eq!(first.len() + rest.len(), made.len() + 1, "it comes again, at the end, and none is left out");
    assert_eq!(
        rest.last(),
        Some(&TokenCursor { key: Key::Number(9_000), id: last.id }),
        "an earlier use changes nothing"
    );
}

async fn tokens_are_counted_as_they_are_listed(world: World) {
    let (acme, made) = some(&world).await;
    let now = world.now();
    let facts = Facts {
        now,
        soon: now.plus(2 * DAY),
        unused_since: Time(600),
        in_use_since: Time(600),
        admin: acme.role(BuiltIn::Admin),
    };
    let counts = overview::count(world.reader().await.conn(), &acme.grant, Kind::Token, &facts).await.unwrap();
    for (which, count) in Which::ALL.into_iter().zip(counts.each) {
        for by in ORDERS.map(Shelf::By).into_iter().chain([Shelf::Role]) {
            for descending in [false, true] {
                let part = ShelfPart { kind: Kind::Token, shelf: by, descending, after: None, limit: 100 };
                let read = async |part: &ShelfPart<'_>| {
                    let mut reader = world.reader().await;
                    overview::places(reader.conn(), &acme.grant, &facts, which, part).await.unwrap()
                };
                let all = read(&part).await;
                assert_eq!(all.len(), usize::try_from(count).unwrap(), "{which:?} {part:?}");
                let mut parts: Vec<ShelfPlace> = Vec::new();
                loop {
                    let more = read(&ShelfPart { after: parts.last(), limit: 4, ..part }).await;
                    if more.is_empty() {
                        break;
                    }
                    parts.extend(more);
                }
                assert_eq!(parts, all, "{which:?} {part:?}");
                // The other direction is the same the other way round: so a page before a place is one behind it.
                let mut back = read(&ShelfPart { descending: !descending, ..part }).await;
                back.reverse();
                assert_eq!(back, all, "{which:?} {part:?}");
                let policies = ShelfPart { kind: Kind::PolicyToken, ..part };
                assert!(read(&policies).await.is_empty(), "{which:?} {part:?}");
            }
        }
    }
    // Six have an end within two days (`m`, `Ä`, `a`, `n2`, `0`, `日本`), one has ended; none was there when the others were last used.
    assert_eq!(counts.each, [made.len() as i64 - 1, 6, 0, 3, 0, 1, 0, 8, 0]);
    assert_eq!(
        (counts.ending, counts.first.map(|(name, _)| name)),
        (1, Some("0".to_owned())),
        "one was used after that"
    );
    used(&world, made[0].0, Time(900)).await;
    let counts = overview::count(world.reader().await.conn(), &acme.grant, Kind::Token, &facts).await.unwrap();
    assert_eq!((counts.ending, counts.first.map(|(name, _)| name)), (2, Some("m".to_owned())));
}

async fn what_has_ended_is_counted_up_to_a_bound_and_for_as_long_as_it_is_told(world: World) {
    let (acme, made) = some(&world).await;
    let counted = async |most| {
        let mut reader = world.reader().await;
        overview::count_ended(reader.conn(), &acme.grant, Kind::Token, world.now(), most).await.unwrap()
    };
    assert_eq!(counted(9).await, (1, 0), "one had ended when it was made, and that of the other organization lives");
    for (id, _) in &made[..3] {
        world.revoke(&acme, *id).await;
    }
    world.clock.pass(2 * HOUR);
    assert_eq!(counted(9).await, (3, 3), "`a` and `日本` had an hour");
    // The list of them has as many, in parts of any size.
    let facts = Facts {
        now: world.now(),
        soon: world.now(),
        unused_since: world.now(),
        in_use_since: world.now(),
        admin: acme.role(BuiltIn::Admin),
    };
    for (which, count) in [("expired", 3), ("revoked", 3), ("ended", 6)] {
        let mut reader = world.reader().await;
        let all = overview::count_of_ended(reader.conn(), &acme.grant, Kind::Token, &facts, which).await.unwrap();
        assert_eq!(all, count, "{which}");
        for shelf in ORDERS.map(Shelf::By).into_iter().chain([Shelf::Role]) {
            let mut found: Vec<ShelfPlace> = Vec::new();
            loop {
                let (kind, after) = (Kind::Token, found.last());
                let part = ShelfPart { kind, shelf, descending: true, after, limit: 2 };
                let more = overview::ended(reader.conn(), &acme.grant, &facts, which, &part).await.unwrap();
                if more.is_empty() {
                    break;
                }
                found.extend(more);
            }
            assert_eq!(found.len() as u64, count, "{which} {shelf:?}");
        }
    }
    assert_eq!(counted(2).await, (2, 2), "of either so many and no more");
    world.clock.pass(2 * DAY);
    assert_eq!(counted(9).await, (5, 3), "`n2` and `0` had a day, and what was taken back has not expired");
    world.clock.pass(100 * DAY);
    assert_eq!(counted(9).await, (0, 0), "after ninety days nobody is told any more");
}

/// PostgreSQL chooses by how many rows there are; what it chooses for these few says nothing.
async fn an_order_is_read_from_its_index(world: World) {
    let acme = world.organization("Acme").await;
    for by in ORDERS {
        for descending in [false, true] {
            let part = Part { kind: Kind::Token, those: Those::Living, by, descending, after: None, limit: 50 };
            let mut reader = world.reader().await;
            let Conn::Sqlite(c) = reader.conn() else { return };
            let explain: &'static str = Box::leak(format!("EXPLAIN QUERY PLAN {}", part.text()).into_boxed_str());
            let query = sqlx::query_as::<_, (i64, i64, i64, String)>(explain).bind(acme.grant.organization());
            let steps: Vec<String> =
                query.bind("token").fetch_all(c).await.unwrap().into_iter().map(|(.., step)| step).collect();
            let index = match by {
                By::Created => "token_page (organization_id=? AND kind=? AND id",
                By::Name => "token_by_name (organization_id=? AND kind=? AND ",
                By::End => "token_by_end (organization_id=? AND kind=? AND ",
                By::Use => "token_by_use (organization_id=? AND kind=? AND ",
            };
            // What is asked of each of them is looked up by its key; nothing is read whole, or sorted.
            let reads_all =
                |step: &String| step.contains("SCAN") && !step.contains("CONSTANT") || step.contains("TEMP B-TREE");
            assert!(steps[0].contains(index), "{by:?} {descending}: {steps:?}");
            assert!(!steps.iter().any(reads_all), "{by:?} {descending}: {steps:?}");
        }
    }
}
