//! A token that is bound to networks, and to a time from which on it is accepted.

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::Clock;
use tokenward_core::time::{DAY, SECOND};

use crate::support::expected::invalid;
use crate::support::{Organization, Server};

/// What verification says of a text that somebody presents from this address.
async fn code(server: &Server, acme: &Organization, text: &str, from: Option<&str>) -> String {
    let body = json!({ "token": text, "remote_ip": from });
    server.post("/verify", &acme.owner, body).await.str("code")
}

#[tokio::test]
async fn a_token_is_accepted_from_its_networks_alone() {
    let (server, acme) = Server::with_owner().await;
    let networks = json!(["203.0.113.0/24", { "network": "::ffff:10.0.0.0/104", "note": "office" }, "2001:db8::/32"]);
    let (id, text) = server.new_token(&acme, json!({ "name": "ci", "role_id": null, "networks": networks })).await;
    for inside in ["203.0.113.9", "10.7.0.1", "::ffff:203.0.113.9", "2001:db8::7"] {
        assert_eq!(code(&server, &acme, &text, Some(inside)).await, "valid", "{inside}");
    }
    for outside in ["203.0.114.9", "127.0.0.1", "2001:db9::7", "::203.0.113.9"] {
        assert_eq!(code(&server, &acme, &text, Some(outside)).await, "network_denied", "{outside}");
    }
    assert_eq!(code(&server, &acme, &text, None).await, "network_denied", "nobody says from where");
    let of_all = json!({ "tokens": [{ "token": text, "remote_ip": "10.0.0.1" }, { "token": text }] });
    let answers = server.post("/verify/batch", &acme.owner, of_all).await.expect(200);
    assert_eq!(
        (&answers["results"][0]["code"], &answers["results"][1]["code"]),
        (&json!("valid"), &json!("network_denied"))
    );
    // Our own API is asked from this machine. It is no 403: clients would take what they asked about for deleted.
    let refused = server.get("/token/self", &text).await;
    assert_eq!(refused.outcome(), (401, "network_denied".into()));
    assert!(refused.header("www-authenticate").is_some() && refused.text.contains("from some networks alone"));
    // A gateway is told that the request may not go on, and not to ask for another credential.
    let asked = format!("/forward-auth?organization={}&identity=any", acme.id);
    assert_eq!(server.get(&asked, &text).await.outcome(), (403, "network_denied".into()));

    let path = acme.path(&format!("apiToken/{id}"));
    let shown = server.get(&path, &acme.owner).await.expect(200);
    let listed = json!([
        { "network": "203.0.113.0/24" }, { "network": "10.0.0.0/8", "note": "office" }, { "network": "2001:db8::/32" },
    ]);
    assert_eq!((&shown["networks"], &shown["state"]), (&listed, &json!("active")));
    // What is changed counts from the next request on, and a restart forgets nothing.
    let edit = json!({ "networks": ["127.0.0.1", "::1"] });
    assert_eq!(server.call(Method::PATCH, &path, &acme.owner, Some(edit)).await.status, 200);
    assert_eq!(server.get("/token/self", &text).await.status, 200);
    let server = server.restart().await;
    assert_eq!(server.get("/token/self", &text).await.status, 200);
    let owner = server.sign_in("owner@acme.example", crate::support::PASSWORD).await;
    let edit = |networks: Value| json!({ "networks": networks });
    server.call(Method::PATCH, &path, &owner, Some(edit(json!(["203.0.113.7"])))).await.expect(200);
    assert_eq!(server.get("/token/self", &text).await.outcome(), (401, "network_denied".into()));
    let freed = server.call(Method::PATCH, &path, &owner, Some(edit(Value::Null))).await.expect(200);
    assert_eq!(freed.get("networks"), None);
    assert_eq!(server.get("/token/self", &text).await.status, 200);
    let events = server.get(&acme.path(&format!("events?targetId={id}&pageSize=1")), &owner).await.expect(200);
    assert!(events["events"][0]["original_change"].as_str().unwrap().contains("203.0.113.7"), "{events}");
}

#[tokio::test]
async fn every_secret_of_a_rotated_token_is_bound() {
    let (server, acme) = Server::with_owner().await;
    let body = json!({ "name": "ci", "role_id": null, "networks": ["10.0.0.0/8"] });
    let (id, old) = server.new_token(&acme, body).await;
    let path = acme.path(&format!("apiToken/{id}"));
    let new = server.post(&format!("{path}/rotate"), &acme.owner, json!({ "keep": "24h" })).await.str("token");
    for text in [&old, &new] {
        assert_eq!(code(&server, &acme, text, Some("10.0.0.1")).await, "valid");
        assert_eq!(code(&server, &acme, text, Some("11.0.0.1")).await, "network_denied");
    }
    server.call(Method::PATCH, &path, &acme.owner, Some(json!({ "networks": ["11.0.0.0/8"] }))).await.expect(200);
    for text in [&old, &new] {
        assert_eq!(code(&server, &acme, text, Some("10.0.0.1")).await, "network_denied");
        assert_eq!(code(&server, &acme, text, Some("11.0.0.1")).await, "valid");
    }
}

#[tokio::test]
async fn who_is_bound_hands_out_nothing_that_is_not() {
    let (server, acme) = Server::with_owner().await;
    let own = json!(["127.0.0.0/8", "::1"]);
    let (_, bound) = server.new_token(&acme, json!({ "name": "terraform", "role_id": null, "networks": own })).await;
    let (free, _) = server.new_token(&acme, json!({ "name": "free", "role_id": null })).await;
    let viewer = server.role(&acme, "viewer").await;
    let asked = async |networks: Value| {
        let mut body = json!({ "name": "child", "role_id": viewer });
        if !networks.is_null() {
            body["networks"] = networks;
        }
        server.post(&acme.path("apiToken"), &bound, body).await
    };
    let problem =
        "must lie within those of the token that you use (127.0.0.0/8, ::1): nobody hands out more than they have";
    for wider in [Value::Null, json!(["10.0.0.0/8"]), json!(["127.0.0.1", "0.0.0.0/0"]), json!(["126.0.0.0/7"])] {
        assert_eq!(asked(wider.clone()).await.pair(), invalid(&[("networks", problem)]), "{wider}");
    }
    let made = asked(json!(["127.0.0.1"])).await.expect(201);
    let path = acme.path(&format!("apiToken/{}", made["id"].as_str().unwrap()));
    let widened = server.call(Method::PATCH, &path, &bound, Some(json!({ "networks": null }))).await;
    assert_eq!(widened.pair(), invalid(&[("networks", problem)]));
    // Neither by another's secret, nor by what was switched off or deleted.
    let free = |rest: &str| acme.path(&format!("apiToken/{free}{rest}"));
    assert_eq!(
        server.post(&free("/rotate"), &bound, json!({ "keep": "0" })).await.pair(),
        invalid(&[("networks", problem)])
    );
    server.post(&free("/disable"), &bound, Value::Null).await.expect(200);
    assert_eq!(server.post(&free("/enable"), &bound, Value::Null).await.pair(), invalid(&[("networks", problem)]));
    assert_eq!(server.delete(&free(""), &bound).await.status, 204);
    assert_eq!(server.post(&free("/undo"), &bound, Value::Null).await.pair(), invalid(&[("networks", problem)]));
    assert_eq!(server.post(&free("/undo"), &acme.owner, Value::Null).await.status, 200);
}

#[tokio::test]
async fn what_is_no_network_is_told_with_its_place() {
    let (server, acme) = Server::with_owner().await;
    let (id, _) = server.new_token(&acme, json!({ "name": "ci", "role_id": null })).await;
    let path = acme.path(&format!("apiToken/{id}"));
    let create = json!({ "name": "x", "role_id": null });
    for (networks, faults) in [
        (
            json!([]),
            vec![("networks", "is empty, and nobody could use the token; leave it out, or send null, for everywhere")],
        ),
        (
            json!(["10.0.0.0/8", "10.0.0.1/8", { "network": "10.0.0.0/8" }]),
            vec![
                (
                    "networks[1]",
                    "`10.0.0.1/8` is no network: it lies in 10.0.0.0/8. Write that, or the address alone: 10.0.0.1",
                ),
                ("networks[2]", "`10.0.0.0/8` stands there twice"),
            ],
        ),
    ] {
        let mut body = create.clone();
        body["networks"] = networks.clone();
        assert_eq!(server.post(&acme.path("apiToken"), &acme.owner, body).await.pair(), invalid(&faults), "{networks}");
        let edited = server.call(Method::PATCH, &path, &acme.owner, Some(json!({ "networks": networks }))).await;
        assert_eq!(edited.pair(), invalid(&faults));
    }
    for wrong in
        [json!("10.0.0.0/8"), json!([7]), json!([{ "network": "10.0.0.0/8", "name": "x" }]), json!([["10.0.0.0/8"]])]
    {
        let mut body = create.clone();
        body["networks"] = wrong.clone();
        let answer = server.post(&acme.path("apiToken"), &acme.owner, body).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.text.contains("networks"), "{}", answer.text);
    }
    let many: Vec<String> = (0..10_001).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
    for count in [1_001, 10_001] {
        let mut body = create.clone();
        body["networks"] = json!(many[..count]);
        let refused = server.post(&acme.path("apiToken"), &acme.owner, body).await;
        assert!(refused.status == 400 && refused.text.contains("`token_networks` (1000)"), "{count}: {}", refused.text);
    }
    let mut body = create;
    body["networks"] = json!(many[..1_000]);
    assert_eq!(server.post(&acme.path("apiToken"), &acme.owner, body).await.status, 201, "as many as there may be");
}

#[tokio::test]
async fn a_token_whose_time_has_not_begun_is_refused_until_then() {
    let (server, acme) = Server::frozen().await;
    let asker = server.token(&acme, "asker", "admin").await;
    let begin = server.clock.now().plus(DAY);
    let body = json!({ "name": "later", "role_id": null, "not_before": begin.to_string() });
    let (id, text) = server.new_token(&acme, body).await;
    let path = acme.path(&format!("apiToken/{id}"));
    let asked = async || server.post("/verify", &asker, json!({ "token": text })).await.str("code");
    let shown = server.get(&path, &asker).await.expect(200);
    assert_eq!(
        (shown["not_before"].as_str(), shown["state"].as_str()),
        (Some(&*begin.to_string()), Some("not_yet_valid"))
    );
    let listed = async |state: &str| {
        server.get(&acme.path(&format!("apiToken?state={state}")), &asker).await.each("results", "name")
    };
    assert_eq!(
        (listed("not_yet_valid").await, listed("active").await),
        (vec!["later".to_owned()], vec!["asker".to_owned()])
    );
    assert!(listed("living").await.contains(&"later".to_owned()));
    server.clock.advance(DAY - SECOND);
    assert_eq!(asked().await, "not_yet_valid");
    assert_eq!(server.get("/token/self", &text).await.outcome(), (401, "not_yet_valid".into()));
    server.clock.advance(SECOND);
    assert_eq!(asked().await, "valid");
    // A clock that steps back lets it wait again, and revives nothing.
    let end = |begin: i64, end: i64| {
        let at = |micros| server.clock.now().plus(micros).to_string();
        json!({ "not_before": at(begin), "expires_at": at(end) })
    };
    let never = server.call(Method::PATCH, &path, &asker, Some(end(2 * DAY, DAY))).await;
    assert_eq!(never.status, 400);
    assert!(never.text.contains("it would never be accepted"), "{}", never.text);
    server.call(Method::PATCH, &path, &asker, Some(end(DAY, 2 * DAY))).await.expect(200);
    assert_eq!(asked().await, "not_yet_valid");
    server.call(Method::PATCH, &path, &asker, Some(json!({ "not_before": null }))).await.expect(200);
    assert_eq!(asked().await, "valid");
}
