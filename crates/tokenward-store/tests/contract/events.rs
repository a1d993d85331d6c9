//! Events as the organization reads them: filters and pages.

use serde_json::json;
use tokenward_core::event::{ActorKind, By, Event, Kind, Origin, ProjectSnapshot, TokenSnapshot};
use tokenward_core::right::Visitor;
use tokenward_core::role::Mode;
use tokenward_core::{Time, Uuid};
use tokenward_store::events::{self, EventFilter, TargetLevel};

use crate::world::{Organization, World, user};

on_both_engines![
    an_event_is_read_with_all_that_was_said_of_it,
    the_newest_event_comes_first,
    nobody_reads_the_events_of_another_organization,
    events_are_found_by_time_to_the_microsecond,
    events_are_found_by_kind,
    events_are_found_by_target_actor_and_origin,
    events_are_found_by_the_place_they_lie_in,
    conditions_count_together,
    pages_lead_to_older_and_back_to_newer_events,
    an_erased_event_is_still_listed_without_what_was_said_of_it,
    an_event_of_an_unknown_kind_is_left_out,
    the_newest_event_of_each_thing_is_found_by_the_database,
];

async fn the_newest_event_of_each_thing_is_found_by_the_database(world: World) {
    let acme = ten_events(&world).await;
    let globex = world.organization("Globex").await;
    let mut reader = world.reader().await;
    let tokens = EventFilter { kinds: Some(vec![Kind::TokenCreated, Kind::TokenDeleted]), ..EventFilter::default() };
    let newest = async |reader: &mut tokenward_store::Reader, filter: &EventFilter, level, among, limit| {
        events::newest_of_each(reader.conn(), &acme.grant, filter, level, among, limit).await.unwrap()
    };
    let expected = [(target(2), 10), (target(1), 9), (target(0), 8), (target(3), 7)];
    assert_eq!(newest(&mut reader, &tokens, TargetLevel::Target, 1_000, 1_000).await, expected);
    assert_eq!(newest(&mut reader, &tokens, TargetLevel::Target, 1_000, 2).await, expected[..2]);
    assert_eq!(newest(&mut reader, &tokens, TargetLevel::Target, 3, 1_000).await, expected[..3]);
    assert!(newest(&mut reader, &tokens, TargetLevel::Project, 1_000, 1_000).await.is_empty());
    let payloads = events::payloads(reader.conn(), &acme.grant, &[10, 3, 4_711]).await.unwrap();
    let mut positions: Vec<i64> = payloads.iter().map(|(position, _)| *position).collect();
    positions.sort_unstable();
    assert_eq!(positions, [3, 10]);
    assert!(events::payloads(reader.conn(), &globex.grant, &[10, 3]).await.unwrap().is_empty());
}

async fn list(world: &World, of: &Organization, filter: &EventFilter, limit: i64) -> Vec<events::Event> {
    let mut reader = world.reader().await;
    let positions = events::positions(reader.conn(), &of.grant, filter, limit).await.unwrap();
    events::at(reader.conn(), &of.grant, &positions).await.unwrap()
}

/// The positions of the events that a filter finds.
async fn positions(world: &World, of: &Organization, filter: EventFilter) -> Vec<i64> {
    list(world, of, &filter, 1_000).await.iter().map(|event| event.position).collect()
}

async fn say(world: &World, by: &By, event: Event) {
    world.clock.pass(1);
    let (tx, _) = world.store.begin(&Visitor::new(by.clone())).await.unwrap();
    tx.commit(&[event]).await.unwrap();
}

/// An organization with ten events: 1 and 2 of its making, 3 to 10 of eight different users and kinds.
async fn ten_events(world: &World) -> Organization {
    let acme = world.organization("Acme").await;
    for n in 3..=10 {
        let kind = if n % 2 == 0 { Kind::TokenCreated } else { Kind::TokenDeleted };
        let origin = if n < 6 { Origin::Console } else { Origin::Api };
        let by = By { origin, ..user(if n % 3 == 0 { "ada@acme.example" } else { "bob@acme.example" }) };
        say(world, &by, Event::new(kind, Some(acme.id), target(n % 4), "")).await;
    }
    acme
}

fn target(n: i64) -> Uuid {
    Uuid::from_u128(1_000 + u128::try_from(n).unwrap())
}

fn snapshot(role: Uuid) -> TokenSnapshot {
    TokenSnapshot {
        name: "CI".to_owned(),
        description: None,
        role_id: role,
        role_name: "viewer".to_owned(),
        not_before: None,
        expires_at: Some(Time(0)),
        networks: Vec::new(),
        labels: tokenward_core::label::Labels::new(),
        metadata: None,
        owner_id: None,
        owner: None,
        successor_id: None,
        permissions: Vec::new(),
        projects: Vec::new(),
        environments: Vec::new(),
        rate_limit: None,
        quota: None,
        last_four: "wxyz".to_owned(),
        version: 1,
        replaced_until: None,
        ends_when_silent: None,
        disabled_because: None,
        revoked_reason: None,
        revoked_note: None,
        opa_policy: None,
    }
}

async fn an_event_is_read_with_all_that_was_said_of_it(world: World) {
    let acme = world.organization("Acme").await;
    let [target, role, project, environment] = [(); 4].map(|()| world.store.new_id());
    let before = snapshot(role);
    let after = TokenSnapshot { name: "CI \"✓\"".to_owned(), description: Some(String::new()), ..before.clone() };
    let event = Event::new(Kind::TokenCreated, Some(acme.id), target, "CI ✓")
        .before(before)
        .after(after)
        .in_project(project, "shop")
        .in_environment(environment, "staging", Mode::Staging);
    say(&world, &user("ada@acme.example"), event).await;
    let read = list(&world, &acme, &EventFilter::default(), 1).await.remove(0);
    assert_eq!((read.position, read.time, read.kind), (3, world.now(), Kind::TokenCreated));
    assert_eq!((read.target_id, read.actor.as_str(), read.origin), (target, "ada@acme.example", Some(Origin::Api)));
    let payload = read.payload.unwrap();
    assert_eq!(payload.target_name, "CI ✓");
    let state = |name: &str, description| {
        json!({
            "name": name, "description": description, "role_id": role, "role_name": "viewer",
            "expires_at": "1970-01-01T00:00:00.000000Z", "last_four": "wxyz", "version": 1,
        })
    };
    assert_eq!(payload.before, Some(state("CI", None::<&str>)));
    assert_eq!(payload.after, Some(state("CI \"✓\"", Some(""))));
    assert_eq!(payload.project, Some((project, "shop".to_owned())));
    assert_eq!(payload.environment, Some((environment, "staging".to_owned())));
    assert_eq!((payload.actor_kind, payload.actor_id), (ActorKind::User, Some(Uuid::from_u128(7))));
    assert_eq!((payload.address.as_deref(), payload.user_agent.as_deref()), (Some("192.0.2.1"), Some("curl/8")));

    // What was not said is absent.
    let plain = list(&world, &acme, &EventFilter::default(), 3).await.remove(2).payload.unwrap();
    assert_eq!((plain.before, plain.after, plain.project, plain.environment), (None, None, None, None));
    assert_eq!((plain.actor_kind, plain.actor_id), (ActorKind::Operator, None));
    assert_eq!((plain.address, plain.user_agent), (None, None));
}

async fn the_newest_event_comes_first(world: World) {
    let acme = ten_events(&world).await;
    assert_eq!(positions(&world, &acme, EventFilter::default()).await, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    let newest: Vec<i64> = list(&world, &acme, &EventFilter::default(), 3).await.iter().map(|e| e.position).collect();
    assert_eq!(newest, [10, 9, 8]);
}

async fn nobody_reads_the_events_of_another_organization(world: World) {
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    // Of nobody's organization, and of one that has no others.
    say(&world, &By::operator(), Event::new(Kind::UserCreated, None, target(1), "")).await;
    assert_eq!(positions(&world, &acme, EventFilter::default()).await, [2, 1]);
    assert_eq!(positions(&world, &globex, EventFilter::default()).await, [4, 3]);
    let foreign = EventFilter { target: Some(acme.id), ..EventFilter::default() };
    assert!(positions(&world, &globex, foreign).await.is_empty());
}

async fn events_are_found_by_time_to_the_microsecond(world: World) {
    let acme = ten_events(&world).await;
    let begun = world.now().plus(-8);
    let between = |from: Option<i64>, to: Option<i64>| EventFilter {
        from: from.map(|n| begun.plus(n)),
        to: to.map(|n| begun.plus(n)),
        ..EventFilter::default()
    };
    // Event 3 is one microsecond after the beginning, 4 two. Both ends belong to it.
    assert_eq!(positions(&world, &acme, between(Some(3), Some(5))).await, [7, 6, 5]);
    assert_eq!(positions(&world, &acme, between(Some(7), None)).await, [10, 9]);
    assert_eq!(positions(&world, &acme, between(None, Some(1))).await, [3, 2, 1]);
    assert!(positions(&world, &acme, between(Some(9), None)).await.is_empty());
    assert!(positions(&world, &acme, between(Some(5), Some(4))).await.is_empty());
}

async fn events_are_found_by_kind(world: World) {
    let acme = ten_events(&world).await;
    let kinds = |kinds: &[Kind]| EventFilter { kinds: Some(kinds.to_vec()), ..EventFilter::default() };
    assert_eq!(positions(&world, &acme, kinds(&[Kind::TokenCreated])).await, [10, 8, 6, 4]);
    let two = kinds(&[Kind::TokenDeleted, Kind::MemberAdded]);
    assert_eq!(positions(&world, &acme, two).await, [9, 7, 5, 3, 2]);
    assert!(positions(&world, &acme, kinds(&[Kind::RoleCreated])).await.is_empty());
    assert!(positions(&world, &acme, kinds(&[])).await.is_empty());
    assert_eq!(positions(&world, &acme, kinds(Kind::ALL)).await.len(), 10);
}

async fn events_are_found_by_target_actor_and_origin(world: World) {
    let acme = ten_events(&world).await;
    let first = EventFilter { target: Some(target(1)), ..EventFilter::default() };
    assert_eq!(positions(&world, &acme, first).await, [9, 5]);
    let actor = |name: &str| EventFilter { actor: Some(name.to_owned()), ..EventFilter::default() };
    assert_eq!(positions(&world, &acme, actor("ada@acme.example")).await, [9, 6, 3]);
    assert_eq!(positions(&world, &acme, actor("operator")).await, [2, 1]);
    assert!(positions(&world, &acme, actor("' OR 1=1 --")).await.is_empty());
    let part = |part: &str| EventFilter { actor_part: Some(part.to_owned()), ..EventFilter::default() };
    assert_eq!(positions(&world, &acme, part("da@acme")).await, [9, 6, 3]);
    assert_eq!(positions(&world, &acme, part("operat")).await, [2, 1]);
    for none in ["d_@acme", "%", "!"] {
        assert!(positions(&world, &acme, part(none)).await.is_empty(), "{none}");
    }
    let address = |text: &str| EventFilter { address: Some(text.parse().unwrap()), ..EventFilter::default() };
    assert!(positions(&world, &acme, address("198.51.100.200")).await.is_empty());
    let by = By { address: Some("198.51.100.20".parse().unwrap()), ..user("eve@acme.example") };
    say(&world, &by, Event::new(Kind::TokenCreated, Some(acme.id), target(1), "from there")).await;
    let from_there = positions(&world, &acme, address("198.51.100.20")).await;
    assert_eq!(from_there.len(), 1, "and not those of an address that only begins so");
    assert!(positions(&world, &acme, address("198.51.100.2")).await.is_empty());
    // Nor of one about something that has such a field itself, whatever else is written there.
    let labels = [("actor_kind", "user"), ("address", "198.51.100.20"), ("origin", "api")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let description = Some("\0 \",\"address\":\"198.51.100.20\"".to_owned());
    let described = TokenSnapshot { labels, description, ..snapshot(target(1)) };
    let elsewhere = By { address: Some("198.51.100.21".parse().unwrap()), ..user("a\",\"address\":\"198.51.100.20") };
    for by in [&elsewhere, &By { address: None, ..elsewhere.clone() }] {
        let event = Event::new(Kind::TokenUpdated, Some(acme.id), target(1), "labelled");
        say(&world, by, event.before(described.clone()).after(described.clone())).await;
    }
    assert_eq!(positions(&world, &acme, address("198.51.100.20")).await, from_there);
    assert_eq!(positions(&world, &acme, address("198.51.100.21")).await, [from_there[0] + 1]);
    // By a part of the name of what it is about, whatever stands around it.
    let about = |part: &str| EventFilter { target_part: Some(part.to_owned()), ..EventFilter::default() };
    assert_eq!(positions(&world, &acme, about("FROM")).await, from_there);
    for (n, name) in ["a \"b\", c\\d", &"日本".repeat(64), "Ünder_100%"].into_iter().enumerate() {
        let event = Event::new(Kind::TokenCreated, Some(acme.id), target(1), name);
        let other = ProjectSnapshot { name: "before".to_owned(), description: String::new(), variables: None };
        say(&world, &by, event.before(other)).await;
        let newest = list(&world, &acme, &EventFilter::default(), 1).await.remove(0).position;
        for part in [name, &name.chars().take(3).collect::<String>(), &name.chars().skip(2).collect::<String>()] {
            assert_eq!(positions(&world, &acme, about(part)).await, [newest], "{n}: {part}");
        }
    }
    for none in ["before", "eve@acme", "target_name", "_ere", "!", "日日"] {
        assert!(positions(&world, &acme, about(none)).await.is_empty(), "{none}");
    }
    let origin = |origin| EventFilter { origin: Some(origin), ..EventFilter::default() };
    assert_eq!(positions(&world, &acme, origin(Origin::Console)).await, [5, 4, 3]);
    assert_eq!(positions(&world, &acme, origin(Origin::Cli)).await, [2, 1]);
}

async fn events_are_found_by_the_place_they_lie_in(world: World) {
    let acme = world.organization("Acme").await;
    let [web, shop, staging, production] = [(); 4].map(|()| world.store.new_id());
    let event = || Event::new(Kind::EnvironmentVariableCreated, Some(acme.id), target(1), "KEY");
    let events = [
        event(),
        event().in_project(web, "web"),
        event().in_project(web, "web").in_environment(staging, "staging", Mode::Staging),
        event().in_project(shop, "shop").in_environment(production, "production", Mode::Production),
    ];
    world.begin().await.commit(&events).await.unwrap();
    let places = async |project, environment| {
        positions(&world, &acme, EventFilter { project, environment, ..EventFilter::default() }).await
    };
    assert_eq!(places(Some(web), None).await, [5, 4]);
    assert_eq!(places(None, Some(production)).await, [6]);
    assert_eq!(places(Some(web), Some(staging)).await, [5]);
    assert!(places(Some(shop), Some(staging)).await.is_empty());
    assert!(places(Some(acme.id), None).await.is_empty());
}

async fn conditions_count_together(world: World) {
    let acme = ten_events(&world).await;
    let filter = EventFilter {
        kinds: Some(vec![Kind::TokenCreated]),
        actor: Some("bob@acme.example".to_owned()),
        origin: Some(Origin::Api),
        from: Some(world.now().plus(-4)),
        to: Some(world.now()),
        before: Some(10),
        ..EventFilter::default()
    };
    assert_eq!(positions(&world, &acme, filter.clone()).await, [8]);
    assert!(positions(&world, &acme, EventFilter { target: Some(target(1)), ..filter.clone() }).await.is_empty());
    assert_eq!(positions(&world, &acme, EventFilter { target: Some(target(0)), ..filter }).await, [8]);
}

async fn pages_lead_to_older_and_back_to_newer_events(world: World) {
    let acme = ten_events(&world).await;
    // Another organization's events lie between: pages are of what one sees.
    world.organization("Globex").await;
    say(&world, &By::operator(), Event::new(Kind::ApiUpdated, Some(acme.id), target(9), "")).await;
    let page = async |before, after| {
        let filter = EventFilter { before, after, ..EventFilter::default() };
        list(&world, &acme, &filter, 4).await.iter().map(|e| e.position).collect::<Vec<_>>()
    };
    let mut seen = Vec::new();
    let mut older = None;
    loop {
        let positions = page(older, None).await;
        let Some(last) = positions.last() else { break };
        older = Some(*last);
        seen.push(positions);
    }
    assert_eq!(seen, [vec![13, 10, 9, 8], vec![7, 6, 5, 4], vec![3, 2, 1]]);
    // Back: the ones nearest to where one stands, and still the newest first.
    assert_eq!(page(None, Some(3)).await, [7, 6, 5, 4]);
    assert_eq!(page(None, Some(7)).await, [13, 10, 9, 8]);
    assert!(page(None, Some(13)).await.is_empty());
    assert_eq!(page(Some(9), Some(3)).await, [7, 6, 5, 4]);
}

async fn an_erased_event_is_still_listed_without_what_was_said_of_it(world: World) {
    let acme = ten_events(&world).await;
    world.sql("DELETE FROM event_payload WHERE position = 9").await;
    let erased = &list(&world, &acme, &EventFilter::default(), 2).await[1];
    assert_eq!((erased.position, erased.kind, erased.target_id), (9, Kind::TokenDeleted, target(1)));
    assert_eq!((erased.actor.as_str(), erased.origin), ("", None));
    assert!(erased.payload.is_none());
    let adas = EventFilter { actor: Some("ada@acme.example".to_owned()), ..EventFilter::default() };
    assert_eq!(positions(&world, &acme, adas).await, [6, 3]);
}

async fn an_event_of_an_unknown_kind_is_left_out(world: World) {
    let acme = ten_events(&world).await;
    world.sql("UPDATE event SET kind = 'from.the.future' WHERE position = 9").await;
    assert_eq!(positions(&world, &acme, EventFilter::default()).await, [10, 8, 7, 6, 5, 4, 3, 2, 1]);
}
