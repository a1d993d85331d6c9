//! The event log over HTTP (contract §1.5).

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokenward_core::time::{HOUR, SECOND};
use tokenward_core::{Time, Uuid};

use crate::support::expected::{forbidden, invalid};
use crate::support::{Answer, NOW, OWNER, Organization, Server};

async fn events(server: &Server, organization: &Organization, query: &str) -> Answer {
    server.get(&organization.path(&format!("events?{query}")), &organization.owner).await
}

/// Makes so many tokens, one a second.
async fn make_tokens(server: &Server, organization: &Organization, count: usize) {
    for n in 1..=count {
        server.clock.advance(SECOND);
        server.new_token(organization, json!({ "name": format!("t{n}"), "role_id": null })).await;
    }
}

/// The path and query of a link that an answer gives.
fn link(server: &Server, answer: &Answer, name: &str) -> Option<String> {
    let url = answer.json()["links"][name].as_str()?.to_owned();
    Some(url.strip_prefix(&server.running.app.public_url).unwrap().to_owned())
}

#[tokio::test]
async fn each_write_is_told_with_who_what_and_how_it_was() {
    let (server, acme) = Server::frozen().await;
    let viewer = server.role(&acme, "viewer").await;
    let body = json!({ "name": "ci", "description": "Builds", "role_id": viewer });
    let agent = [("user-agent", "Terraform provider 0.86.1")];
    let made = server.call_with(reqwest::Method::POST, &acme.path("apiToken"), &acme.owner, Some(body), &agent).await;
    server.clock.advance(SECOND);
    let admin = server.token(&acme, "admin", "admin").await;
    server.clock.advance(SECOND);
    let agent = [("user-agent", "CLI 1.7.9")];
    let path = acme.path(&format!("apiToken/{}", made.str("id")));
    let gone = server.call_with(reqwest::Method::DELETE, &path, &admin, None, &agent).await;
    let number = |answer: &Answer| -> i64 {
        answer.header("tokenward-position").unwrap().rsplit('/').next().unwrap().parse().unwrap()
    };

    let page = events(&server, &acme, &format!("targetId={}", made.str("id"))).await;
    let told = page.json()["events"].as_array().unwrap().clone();
    let snapshot = json!({
        "name": "ci", "description": "Builds", "role_id": viewer, "role_name": "viewer", "expires_at": null,
        "owner_id": server.get("/account", &acme.owner).await.str("id"), "owner": OWNER, "last_four": made.str("last_four"), "version": 1,
    });
    let mut expected = json!({
        "id": told[1]["id"], "timestamp": NOW, "event_type": "CREATE", "target_id": made.str("id"), "target_name": "ci",
        "target_type": "ORGANIZATION", "sub_target_type": "API_TOKEN", "change": told[1]["change"],
        "original_change": null, "origin": "TERRAFORM_PROVIDER", "triggered_by": OWNER,
        "actor_kind": "user", "actor_id": server.get("/account", &acme.owner).await.str("id"), "address": "127.0.0.1", "project_id": null,
        "project_name": "", "environment_id": null, "environment_name": "", "environment_type": null, "user_agent": "Terraform provider 0.86.1",
        "position": number(&made), "hash": told[1]["hash"], "kind": "token.created",
    });
    assert_eq!(told[1], expected);
    for (field, value) in [
        ("id", told[0]["id"].clone()),
        ("timestamp", json!("2026-09-01T12:00:02.000000Z")),
        ("event_type", json!("DELETE")),
        ("origin", json!("CLI")),
        ("triggered_by", json!("admin")),
        ("actor_kind", json!("token")),
        ("actor_id", server.get("/token/self", &admin).await.json()["id"].clone()),
        ("user_agent", json!("CLI 1.7.9")),
        ("position", json!(number(&gone))),
        ("hash", told[0]["hash"].clone()),
        ("kind", json!("token.deleted")),
    ] {
        expected[field] = value;
    }
    expected["change"] = told[0]["change"].clone();
    assert_eq!(told[0], expected);
    assert_eq!(told.len(), 2);
    // The newest event is the end of the chain: what anybody kept of it can be compared.
    let mut reader = server.running.app.store.read().await.unwrap();
    let (_, hash) = tokenward_store::log::end(reader.conn()).await.unwrap();
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(told[0]["hash"], digits);
    assert_ne!(told[1]["hash"], digits);
    for event in &told {
        let mut change: Value = serde_json::from_str(event["change"].as_str().unwrap()).unwrap();
        // Only a deletion has a reason.
        let reason = change.as_object_mut().unwrap().remove("revoked_reason");
        assert_eq!(
            (change, reason),
            (snapshot.clone(), (event["event_type"] == "DELETE").then(|| json!("unspecified")))
        );
    }
    let rest = json!({ "links": { "previous": null, "next": null }, "organization_max_limit_reached": false });
    let mut page = page.json();
    page.as_object_mut().unwrap().remove("events");
    assert_eq!(page, rest);
}

#[tokio::test]
async fn a_change_tells_before_and_after() {
    let (server, acme) = Server::frozen().await;
    let edited = server.put(&acme.path(""), &acme.owner, json!({ "name": "Acme 2", "description": "D" })).await;
    assert_eq!(edited.status, 200);
    let page = events(&server, &acme, "eventType=UPDATE").await.json();
    let read = |field: &str| -> Value { serde_json::from_str(page["events"][0][field].as_str().unwrap()).unwrap() };
    let (before, after) = (read("original_change"), read("change"));
    assert_eq!((&before["name"], &before["description"]), (&json!("Acme"), &Value::Null));
    assert_eq!((&after["name"], &after["description"]), (&json!("Acme 2"), &json!("D")));
}

#[tokio::test]
async fn filters_choose_and_combine() {
    let (server, acme) = Server::frozen().await;
    make_tokens(&server, &acme, 3).await;
    let admin = server.token(&acme, "admin", "admin").await;
    let (gone, _) = server.new_token(&acme, json!({ "name": "gone", "role_id": null })).await;
    let path = acme.path(&format!("apiToken/{gone}"));
    let agent = [("user-agent", "CLI 1.7.9")];
    assert_eq!(server.call_with(reqwest::Method::DELETE, &path, &admin, None, &agent).await.status, 204);
    assert_eq!(server.put(&acme.path(""), &acme.owner, json!({ "name": "Acme 2" })).await.status, 200);
    for (query, expected) in [
        ("eventType=DELETE", vec!["gone"]),
        ("subTargetType=API_TOKEN&eventType=CREATE", vec!["gone", "admin", "t3", "t2", "t1"]),
        ("subTargetType=CONFIG", vec!["Acme 2"]),
        ("targetType=MEMBERS_AND_ROLES", vec![OWNER]),
        ("triggeredBy=admin", vec!["gone"]),
        ("origin=CLI&triggeredBy=admin", vec!["gone"]),
        ("origin=CLI&triggeredBy=nobody", vec![]),
        ("eventType=DEPLOYED", vec![]),
        ("subTargetType=SSO", vec![]),
        ("origin=GIT", vec![]),
        ("origin=GIT&eventType=DELETE", vec![]),
        // Clients send what is not filled in.
        (
            "eventType=DELETE&targetType=&targetId=&subTargetType=&origin=&triggeredBy=&fromTimestamp=&continueToken=",
            vec!["gone"],
        ),
        (&format!("targetType=ORGANIZATION&targetId={gone}"), vec!["gone", "gone"]),
        (&format!("targetId={}", Uuid::nil()), vec![]),
    ] {
        assert_eq!(events(&server, &acme, query).await.each("events", "target_name"), expected, "{query}");
    }
}

#[tokio::test]
async fn a_time_may_be_written_in_any_unit_that_clients_use() {
    let (server, acme) = Server::frozen().await;
    make_tokens(&server, &acme, 3).await;
    let at = Time::parse(NOW).unwrap().plus(2 * SECOND);
    let written = [
        at.seconds().to_string(),
        (at.0 / 1_000).to_string(),
        at.0.to_string(),
        (at.0 * 1_000).to_string(),
        "2026-09-01T12:00:02Z".to_owned(),
        "2026-09-01T14:00:02.000%2B02:00".to_owned(),
    ];
    for text in written {
        let names = |query: String| {
            let (server, acme) = (&server, &acme);
            async move {
                events(server, acme, &format!("subTargetType=API_TOKEN&{query}")).await.each("events", "target_name")
            }
        };
        assert_eq!(names(format!("fromTimestamp={text}")).await, ["t3", "t2"], "{text}");
        assert_eq!(names(format!("toTimestamp={text}")).await, ["t2", "t1"], "{text}");
        assert_eq!(names(format!("fromTimestamp={text}&toTimestamp={text}")).await, ["t2"], "{text}");
    }
}

#[tokio::test]
async fn an_upper_bound_covers_the_unit_in_which_it_is_written() {
    let (server, acme) = Server::frozen().await;
    let second = Time::parse(NOW).unwrap().plus(SECOND);
    for (name, micros) in [("a", 1), ("b", 500), ("c", 1_500), ("d", 999_999), ("e", 1_000_000)] {
        server.clock.set(second.plus(micros));
        server.new_token(&acme, json!({ "name": name, "role_id": null })).await;
    }
    for (bound, newest) in [
        (second.seconds().to_string(), "d"),
        ((second.0 / 1_000).to_string(), "b"),
        ((second.0 / 1_000 + 1).to_string(), "c"),
        ((second.0 + 1).to_string(), "a"),
        (((second.0 + 1) * 1_000 + 999).to_string(), "a"),
        ("2026-09-01T12:00:01Z".to_owned(), "d"),
        ("2026-09-01T12:00:01.000Z".to_owned(), "b"),
        ("2026-09-01T12:00:01.00Z".to_owned(), "c"),
        ("2026-09-01T12:00:01.000001Z".to_owned(), "a"),
        ("2026-09-01T14:00:01%2B02:00".to_owned(), "d"),
    ] {
        let found = events(&server, &acme, &format!("subTargetType=API_TOKEN&toTimestamp={bound}")).await;
        assert_eq!(found.each("events", "target_name")[0], newest, "{bound}");
        // As the lower one it is the first moment of that unit.
        let from = format!("subTargetType=API_TOKEN&fromTimestamp={bound}&toTimestamp={bound}");
        assert_eq!(events(&server, &acme, &from).await.each("events", "target_name")[0], newest, "{bound}");
    }
}

#[tokio::test]
async fn a_word_that_no_event_can_have_is_refused_with_the_nearest_one() {
    let (server, acme) = Server::frozen().await;
    for (name, value, meant) in [
        ("eventType", "DELET", "did you mean `DELETE`?"),
        ("eventType", "delete", "did you mean `DELETE`?"),
        ("targetType", "ORGANISATION", "did you mean `ORGANIZATION`?"),
        ("subTargetType", "API_TOKENS", "did you mean `API_TOKEN`?"),
        ("origin", "TERRAFORM", "known are `API`"),
    ] {
        for list in ["events", "targets"] {
            if list == "targets" && name == "subTargetType" {
                continue;
            }
            let answer = server.get(&acme.path(&format!("{list}?{name}={value}")), &acme.owner).await;
            let detail = answer.str("detail");
            assert!(answer.status == 400 && detail.contains(name) && detail.contains(meant), "{value}: {detail}");
        }
    }
}

#[tokio::test]
async fn the_log_is_narrowed_to_a_kind_a_part_of_a_name_who_did_it_and_from_where() {
    let (server, acme) = Server::frozen().await;
    for name in ["ci-main", "deploys"] {
        server.token(&acme, name, "viewer").await;
    }
    let all = events(&server, &acme, "kind=token.created&pageSize=100").await;
    let named = all.each("events", "target_name");
    assert!(named.contains(&"ci-main".to_owned()) && named.contains(&"deploys".to_owned()), "{named:?}");
    let (actor, address) = {
        let first = &all.json()["events"][0];
        (first["triggered_by"].as_str().unwrap().to_owned(), first["address"].as_str().unwrap().to_owned())
    };
    let part = actor[1..].to_uppercase();
    for (query, count) in [
        ("kind=token.created&targetName=CI-".to_owned(), 1),
        ("kind=token.deleted".to_owned(), 0),
        ("targetName=%25&kind=token.created".to_owned(), 0),
        (format!("kind=token.created&targetName=ci-&actorName={part}"), 1),
        ("kind=token.created&actorName=nobody-like-it".to_owned(), 0),
        (format!("kind=token.created&targetName=ci-&address={address}"), 1),
        ("kind=token.created&address=192.0.2.1".to_owned(), 0),
        // All of it must hold.
        ("kind=token.created&eventType=DELETE".to_owned(), 0),
    ] {
        assert_eq!(events(&server, &acme, &query).await.each("events", "id").len(), count, "{query}");
    }
    let wrong = events(&server, &acme, "kind=token.create&address=here").await;
    let expected = [
        ("address", "is not an address such as 203.0.113.7"),
        ("kind", "has a value that it cannot have; did you mean `token.created`?"),
    ];
    assert_eq!(wrong.pair(), invalid(&expected));
}

#[tokio::test]
async fn a_query_that_cannot_be_read_says_all_that_is_wrong() {
    let (server, acme) = Server::frozen().await;
    let size = "is not a number from 1 to the limit `event_page` (1000)";
    for text in
        ["0", "1001", "-1", "ten", "1.5", "99999999999999999999", "1e2", "%2B5", "+5", "5.", ".0", "5.0.0", "0x5", "٣"]
    {
        let answer = events(&server, &acme, &format!("pageSize={text}")).await;
        assert_eq!(answer.pair(), invalid(&[("pageSize", size)]), "{text}");
    }
    let time = "is neither RFC 3339 nor a Unix time in seconds, milliseconds, microseconds or nanoseconds";
    let token = "is not one that this log gave out";
    let query =
        "pageSize=x&fromTimestamp=yesterday&toTimestamp=2026-13-01&continueToken=abc&stepBackToken=%00&targetId=7";
    let expected = [
        ("pageSize", size),
        ("fromTimestamp", time),
        ("toTimestamp", time),
        ("continueToken", token),
        ("stepBackToken", token),
        ("targetId", "is not a UUID"),
    ];
    assert_eq!(events(&server, &acme, query).await.pair(), invalid(&expected));
    let nul = "has the character U+0000, which no name has";
    let by = events(&server, &acme, "triggeredBy=%00&actorName=a%00b").await;
    assert_eq!(by.pair(), invalid(&[("triggeredBy", nul), ("actorName", nul)]));
    let both = events(&server, &acme, "continueToken=5&stepBackToken=5").await;
    assert_eq!(both.pair(), invalid(&[("continueToken", "and `stepBackToken` go in opposite directions; send one")]));
}

#[tokio::test]
async fn a_page_holds_ten_and_as_many_as_are_asked_for() {
    let (server, acme) = Server::frozen().await;
    make_tokens(&server, &acme, 12).await;
    for (query, count) in [
        ("", 10),
        ("pageSize=1", 1),
        ("pageSize=11", 11),
        ("pageSize=1000", 14),
        // The contract calls it a number.
        ("pageSize=10.0", 10),
        ("pageSize=3.000", 3),
    ] {
        assert_eq!(events(&server, &acme, query).await.each("events", "id").len(), count, "{query}");
    }
}

#[tokio::test]
async fn a_long_page_is_made_in_parts_and_is_one_page() {
    let (server, acme) = Server::frozen().await;
    make_tokens(&server, &acme, 120).await;
    let positions = async |query: &str| -> Vec<i64> {
        let page = events(&server, &acme, &format!("subTargetType=API_TOKEN&{query}")).await.json();
        page["events"].as_array().unwrap().iter().map(|event| event["position"].as_i64().unwrap()).collect()
    };
    let all = positions("pageSize=1000").await;
    assert_eq!(all.len(), 120);
    assert!(all.is_sorted_by(|newer, older| newer > older), "{all:?}");
    for size in [49, 50, 51, 99, 100, 101, 119] {
        assert_eq!(positions(&format!("pageSize={size}")).await, all[..size], "{size}");
        let after = all[size];
        assert_eq!(
            positions(&format!("pageSize=1000&stepBackToken={after}")).await,
            all[..size],
            "back to the newest from {size}"
        );
    }
}

#[tokio::test]
async fn following_the_links_gives_each_event_once_and_back_again() {
    let (server, acme) = Server::frozen().await;
    make_tokens(&server, &acme, 9).await;
    let all = events(&server, &acme, "subTargetType=API_TOKEN&pageSize=1000").await.each("events", "id");
    assert_eq!(all.len(), 9);
    for size in [1, 2, 3, 4, 8, 9, 10] {
        let first = format!("/organization/{}/events?subTargetType=API_TOKEN&pageSize={size}", acme.id);
        let mut page = server.get(&first, &acme.owner).await;
        assert_eq!(link(&server, &page, "previous"), None, "size {size}");
        let mut forwards = vec![page.each("events", "id")];
        while let Some(next) = link(&server, &page, "next") {
            page = server.get(&next, &acme.owner).await;
            forwards.push(page.each("events", "id"));
            assert!(forwards.len() <= 9, "size {size}: no end in {forwards:?}");
        }
        assert_eq!(forwards.concat(), all, "size {size}");
        assert!(forwards.iter().all(|page| (1..=size).contains(&page.len())), "size {size}: {forwards:?}");

        let mut backwards = vec![page.each("events", "id")];
        while let Some(previous) = link(&server, &page, "previous") {
            page = server.get(&previous, &acme.owner).await;
            backwards.push(page.each("events", "id"));
            assert!(backwards.len() <= 9, "size {size}: no end in {backwards:?}");
        }
        backwards.reverse();
        assert_eq!(backwards.concat(), all, "size {size}");
        assert_eq!(link(&server, &page, "next").is_some(), size < 9, "size {size}");
    }
}

#[tokio::test]
async fn what_happens_while_somebody_pages_moves_nothing() {
    let (server, acme) = Server::frozen().await;
    make_tokens(&server, &acme, 4).await;
    let page = events(&server, &acme, "subTargetType=API_TOKEN&pageSize=2").await;
    assert_eq!(page.each("events", "target_name"), ["t4", "t3"]);
    server.new_token(&acme, json!({ "name": "meanwhile", "role_id": null })).await;
    let second = server.get(&link(&server, &page, "next").unwrap(), &acme.owner).await;
    assert_eq!(second.each("events", "target_name"), ["t2", "t1"]);
    // On the way back the newer one is there.
    let back = server.get(&link(&server, &second, "previous").unwrap(), &acme.owner).await;
    assert_eq!(back.each("events", "target_name"), ["t4", "t3"]);
    let newest = server.get(&link(&server, &back, "previous").unwrap(), &acme.owner).await;
    assert_eq!(newest.each("events", "target_name"), ["meanwhile"]);
}

#[tokio::test]
async fn a_client_can_take_only_the_token_out_of_a_link() {
    let (server, acme) = Server::frozen().await;
    make_tokens(&server, &acme, 3).await;
    let page = events(&server, &acme, "pageSize=2&triggeredBy=owner%40acme.example&subTargetType=API_TOKEN").await;
    let next = link(&server, &page, "next").unwrap();
    let query: Vec<(String, String)> =
        form_urlencoded::parse(next.split_once('?').unwrap().1.as_bytes()).into_owned().collect();
    let names: Vec<&str> = query.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["pageSize", "triggeredBy", "subTargetType", "continueToken"]);
    assert_eq!(query[1].1, OWNER);
    let again =
        events(&server, &acme, &format!("pageSize=2&subTargetType=API_TOKEN&continueToken={}", query[3].1)).await;
    assert_eq!(again.each("events", "target_name"), ["t1"]);
}

#[tokio::test]
async fn only_the_organizations_own_events_are_told() {
    let (server, acme) = Server::frozen().await;
    let umbrella = server.new_organization("Umbrella").await;
    make_tokens(&server, &umbrella, 2).await;
    let targets = events(&server, &acme, "").await.each("events", "target_name");
    assert_eq!(targets, [OWNER, "Acme"]);
    assert!(!events(&server, &umbrella, "").await.text.contains("Acme"));
}

#[tokio::test]
async fn who_may_read_the_log_follows_the_role() {
    let (server, acme) = Server::frozen().await;
    for (role, may) in [("admin", true), ("devops", true), ("billing", false), ("viewer", false), ("verifier", false)] {
        let by = server.token(&acme, role, role).await;
        let answer = server.get(&acme.path("events"), &by).await;
        if may {
            assert_eq!(answer.status, 200, "{role}");
        } else {
            assert_eq!(answer.pair(), forbidden("event:read"), "{role}");
        }
    }
}

#[tokio::test]
async fn the_whole_log_holds_no_secret_and_every_change_is_json() {
    let (server, acme) = Server::frozen().await;
    let (id, text) = server.new_token(&acme, json!({ "name": "ci", "role_id": null })).await;
    let (_, session) = server.member(&acme, "dev@acme.example", "devops").await;
    assert_eq!(server.delete("/session", &session).await.status, 204);
    assert_eq!(server.put(&acme.path(""), &acme.owner, json!({ "name": "Acme 2" })).await.status, 200);
    assert_eq!(server.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.status, 204);
    let answer = events(&server, &acme, "pageSize=1000").await;
    for secret in [&text, &session, &acme.owner, crate::support::PASSWORD] {
        for form in crate::support::forms_of(&server, secret) {
            assert!(!answer.text.contains(&form), "{form} in {}", answer.text);
        }
    }
    let events = answer.json()["events"].as_array().unwrap().clone();
    let kinds: BTreeSet<&str> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    let expected = [
        "invitation.accepted",
        "invitation.created",
        "member.added",
        "organization.created",
        "organization.updated",
        "token.created",
        "token.deleted",
    ];
    assert_eq!(kinds, expected.into());
    for event in events {
        for field in ["change", "original_change"] {
            let Some(text) = event[field].as_str() else {
                assert!(field == "original_change" && event[field].is_null(), "{event}");
                continue;
            };
            assert!(serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object()), "{event}");
        }
    }
}

#[tokio::test]
async fn time_in_the_log_is_the_time_of_the_change() {
    let (server, acme) = Server::frozen().await;
    server.clock.advance(HOUR);
    server.new_token(&acme, json!({ "name": "late", "role_id": server.role(&acme, "viewer").await })).await;
    let page = events(&server, &acme, "subTargetType=API_TOKEN").await;
    assert_eq!(page.each("events", "timestamp"), ["2026-09-01T13:00:00.000000Z"]);
}
