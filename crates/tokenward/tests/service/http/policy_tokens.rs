//! Policy tokens: what the contract says of them, what a policy allows on each way of asking, and what it never does.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::Clock;
use tokenward_core::time::DAY;

use crate::support::{Organization, Server};

/// Reads everything, and makes projects whose names begin with `ci-`.
const READER: &str = "allow if input.request.method == \"GET\"\n\nallow if {\n\tinput.request.method == \"POST\"\n\t\
                      input.request.path == [\"api\", \"organization\", input.resource.organization_id, \"project\"]\n\t\
                      startswith(input.request.body.name, \"ci-\")\n}\n";

/// A policy token: its id and its text.
async fn made(server: &Server, acme: &Organization, name: &str, policy: &str) -> (String, String) {
    let body = json!({ "name": name, "opa_policy": policy });
    let made = server.post(&acme.path("policyApiToken"), &acme.owner, body).await.expect(201);
    (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_policy_token_is_made_listed_changed_and_deleted_as_the_contract_says() {
    let (server, acme) = Server::with_owner().await;
    let body = json!({ "name": "reader", "opa_policy": READER, "expires_at": null });
    let made = server.post(&acme.path("policyApiToken"), &acme.owner, body.clone()).await.expect(201);
    assert_eq!((&made["role_name"], made.get("opa_policy")), (&json!("admin"), None), "{made}");
    assert_eq!(made.get("description"), None);
    let (id, text) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    assert!(text.starts_with("twp_") && made["user_sub"] == format!("policy:{id}:reader"), "{made}");
    assert!(made["creator_name"].is_string() && made["expires_at"].is_null());
    let listed = server.get(&acme.path("policyApiToken"), &acme.owner).await.expect(200);
    let one = &listed["results"][0];
    assert_eq!((&one["opa_policy"], one.get("token"), &one["id"]), (&json!(READER), None, &json!(id)));
    assert!(!listed.to_string().contains(text));
    // The kinds have names of their own, and lists of their own.
    assert_eq!(server.get(&acme.path("apiToken"), &acme.owner).await.expect(200)["results"], json!([]));
    server.token(&acme, "reader", "viewer").await;
    let taken = server.post(&acme.path("policyApiToken"), &acme.owner, body).await;
    assert_eq!(taken.outcome(), (409, "name_taken".into()));
    assert_eq!(taken.json()["id"], json!(id));

    let path = acme.path(&format!("policyApiToken/{id}"));
    let shown = server.get(&path, &acme.owner).await;
    assert!(shown.header("etag").is_some() && shown.expect(200)["opa_policy"] == READER);
    let edit = json!({ "opa_policy": "allow := true", "description": "all" });
    let edited = server.call(Method::PATCH, &path, &acme.owner, Some(edit)).await.expect(200);
    assert_eq!((&edited["opa_policy"], &edited["description"]), (&json!("allow := true"), &json!("all")));
    assert_eq!(server.get("/token/self", text).await.expect(200)["kind"], "policy_api_token");
    assert_eq!(server.delete(&path, &acme.owner).await.status, 204);
    assert_eq!(server.get("/token/self", text).await.outcome(), (401, "revoked".into()));
    assert_eq!(server.get(&path, &acme.owner).await.str("state"), "revoked", "it can be read for 90 days");
    assert_eq!(server.delete(&path, &acme.owner).await.status, 404);
    let events = server.get(&acme.path(&format!("events?targetId={id}")), &acme.owner).await.expect(200);
    let types: Vec<&Value> = events["events"].as_array().unwrap().iter().map(|event| &event["event_type"]).collect();
    assert_eq!(types, ["DELETE", "UPDATE", "CREATE"]);
    assert!(events["events"].as_array().unwrap().iter().all(|event| event["sub_target_type"] == "POLICY_API_TOKEN"));
    let change = events["events"][1]["original_change"].as_str().unwrap();
    assert!(change.contains("ci-") && !change.contains(text), "{change}");
}

#[tokio::test]
async fn on_our_own_api_the_policy_is_asked_first_and_sees_the_body() {
    let (server, acme) = Server::with_owner().await;
    let (id, text) = made(&server, &acme, "reader", READER).await;
    assert_eq!(server.get(&acme.path("project"), &text).await.status, 200);
    let make = async |name: &str| server.post(&acme.path("project"), &text, json!({ "name": name })).await;
    let denied = make("shop").await;
    assert_eq!(denied.outcome(), (401, "policy_denied".into()));
    assert!(denied.header("www-authenticate").is_some());
    let project = make("ci-shop").await.expect(200);
    let names = server.get(&acme.path("project"), &acme.owner).await.each("results", "name");
    assert_eq!(names, ["ci-shop"]);
    // What the policy denies is denied before it is known whether there is anything.
    for (method, path) in [
        (Method::DELETE, format!("/project/{}", project["id"].as_str().unwrap())),
        (Method::DELETE, "/nothing/at/all".into()),
        (Method::POST, acme.path("apiToken")),
        (Method::POST, "/verify".into()),
        (Method::PUT, "/account".into()),
    ] {
        let body = (method != Method::DELETE).then(|| json!({}));
        assert_eq!(
            server.call(method.clone(), &path, &text, body).await.outcome(),
            (401, "policy_denied".into()),
            "{method} {path}"
        );
    }
    // And what it allows goes on to all other checks.
    assert_eq!(server.get("/nothing/at/all", &text).await.outcome(), (404, "unknown_path".into()));
    // An id that the organization does not have: the policy would be asked about nothing.
    let foreign = server.new_organization("Other").await;
    for path in [foreign.path("project"), format!("/project/{}", foreign.id), format!("/environment/{id}")] {
        assert_eq!(server.get(&path, &text).await.outcome(), (401, "policy_denied".into()), "{path}");
    }
    // A body that cannot be read, or in two ways.
    let (_, all) = made(&server, &acme, "all", "allow := true").await;
    for body in
        ["{", "{\"name\":\"ci-a\",\"name\":\"b\"}", "[1]x", &format!("{{\"name\":\"{}\"}}", "x".repeat(1_100_000))]
    {
        let request = server.request("POST", &acme.path("project")).header("authorization", format!("Token {all}"));
        let request = request.header("content-type", "application/json").body(body.to_owned());
        assert_eq!(server.send(request).await.outcome(), (401, "policy_denied".into()), "{:.40}", body);
    }
    // The policy is none of the others' business: a usual token goes its way.
    let usual = server.token(&acme, "usual", "admin").await;
    assert_eq!(server.post(&acme.path("project"), &usual, json!({ "name": "shop" })).await.status, 200);
    // A restart forgets nothing.
    let server = server.restart().await;
    assert_eq!(server.get(&acme.path("project"), &text).await.status, 200);
    assert_eq!(server.delete(&acme.path("project"), &text).await.outcome(), (401, "policy_denied".into()));
}

#[tokio::test]
async fn what_is_allowed_is_what_both_policy_and_role_allow() {
    let (server, acme) = Server::with_owner().await;
    let role = server.role(&acme, "viewer").await;
    let body = json!({ "name": "viewer", "opa_policy": "allow := true", "role_id": role });
    let text = server.post(&acme.path("policyApiToken"), &acme.owner, body).await.str("token");
    assert_eq!(server.get(&acme.path("project"), &text).await.status, 200);
    let made = server.post(&acme.path("project"), &text, json!({ "name": "shop" })).await;
    assert_eq!(made.outcome(), (403, "permission_denied".into()));
    // Nothing would bound what it handed out as its policy bounds it.
    let (_, admin) = self::made(&server, &acme, "admin", "allow := true").await;
    for (path, body) in [
        ("apiToken", json!({ "name": "more", "role_id": null })),
        ("policyApiToken", json!({ "name": "more", "opa_policy": "allow := true" })),
        ("inviteMember", json!({ "email": "a@b.example", "role_id": role })),
    ] {
        let refused = server.post(&acme.path(path), &admin, body).await;
        assert_eq!(refused.status, 403, "{path}: {}", refused.text);
        assert!(refused.text.contains("cannot hand out"), "{}", refused.text);
    }
    assert_eq!(server.get(&acme.path("apiToken"), &acme.owner).await.expect(200)["results"], json!([]));
    // A role that a policy token has is in use.
    let custom = server.post(&acme.path("customRole"), &acme.owner, json!({ "name": "ops" })).await.str("id");
    let body = json!({ "name": "ops", "opa_policy": "allow := true", "role_id": custom });
    server.post(&acme.path("policyApiToken"), &acme.owner, body).await.expect(201);
    let deleted = server.delete(&acme.path(&format!("customRole/{custom}")), &acme.owner).await;
    assert!(deleted.status == 409 && deleted.text.contains("token `ops`"), "{}", deleted.text);
}

#[tokio::test]
async fn every_way_of_asking_asks_the_policy() {
    let (server, acme) = Server::with_owner().await;
    let policy = "allow if {\n\tinput.request.path[0] == \"invoices\"\n\tinput.request.method == \"GET\"\n}\n\nallow if {\n\t\
                  input.request.method == \"POST\"\n\tinput.request.body.amount < 100\n}\n";
    let (_, text) = made(&server, &acme, "invoices", policy).await;
    let verify = async |request: Value| {
        let body = json!({ "token": text, "permission": "invoices:read", "request": request });
        server.post("/verify", &acme.owner, body).await.str("code")
    };
    assert_eq!(verify(json!({ "method": "GET", "path": "/invoices/7?x=y" })).await, "valid");
    assert_eq!(verify(json!({ "method": "GET", "path": "/orders" })).await, "policy_denied");
    assert_eq!(verify(json!({ "method": "POST", "path": "/x", "body": "{\"amount\":7}" })).await, "valid");
    assert_eq!(verify(json!({ "method": "POST", "path": "/x", "body": "{\"amount\":700}" })).await, "policy_denied");
    assert_eq!(verify(json!({ "method": "POST", "path": "/x", "body": "nothing" })).await, "policy_denied");
    assert_eq!(
        verify(json!({ "method": "POST", "path": "/x" })).await,
        "policy_denied",
        "nobody said what the body is"
    );
    // Without a request there is nothing to ask about, and no yes.
    let bare = server.post("/verify", &acme.owner, json!({ "token": text })).await.expect(200);
    assert_eq!((&bare["code"], &bare["token"]["kind"]), (&json!("policy_denied"), &json!("policy_api_token")));

    let ask = format!("/forward-auth?organization={}&permission=invoices:read", acme.id);
    let gateway = async |method: &str, path: &str| {
        let headers = [("x-forwarded-method", method), ("x-forwarded-uri", path)];
        server.call_with(Method::GET, &ask, &text, None, &headers).await.outcome()
    };
    assert_eq!(gateway("GET", "/invoices/7").await.0, 200);
    assert_eq!(gateway("GET", "/orders").await, (403, "policy_denied".into()));
    assert_eq!(gateway("POST", "/invoices/7").await, (403, "policy_denied".into()), "a body that is not shown");
    assert_eq!(server.get(&ask, &text).await.outcome(), (403, "policy_denied".into()), "no request is named");
}

#[tokio::test]
async fn a_denial_is_told_to_the_log_and_does_not_flood_it() {
    let (server, acme) = Server::with_owner().await;
    let (id, text) = made(&server, &acme, "reader", READER).await;
    server.post(&acme.path("project"), &text, json!({ "name": "ci-shop" })).await.expect(200);
    for _ in 0..20 {
        server.delete(&acme.path("project"), &text).await;
    }
    let failed = acme.path(&format!("events?targetId={id}&eventType=POLICY_FAILED"));
    let mut events = Vec::new();
    for _ in 0..100 {
        events = server.get(&failed, &acme.owner).await.expect(200)["events"].as_array().unwrap().clone();
        if !events.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["triggered_by"], format!("policy:{id}:reader"));
    assert!(events[0]["change"].as_str().unwrap().contains("DELETE"), "{events:?}");
    let made = server.get(&acme.path("events?eventType=CREATE&targetType=PROJECT"), &acme.owner).await.expect(200);
    assert_eq!(made["events"][0]["triggered_by"], format!("policy:{id}:reader"));
}

#[tokio::test]
async fn a_policy_that_cannot_be_used_is_refused_with_its_place() {
    let (server, acme) = Server::with_owner().await;
    let path = acme.path("policyApiToken");
    for (policy, part) in [
        ("", "is empty"),
        ("package x\nallow := true", "no `package`"),
        ("allow if {\n\tstrtswith(input.request.method, \"G\")\n}", "line 2, column 2"),
        ("allow { true }", "`if` keyword"),
        ("reader := true", "no rule `allow`"),
        ("default allow := true", "would allow every request"),
        ("allow if http.send({})", "asks nobody else"),
        (&"x".repeat(65_537), "policy_characters"),
        (&format!("allow := {}1{}", "[".repeat(400), "]".repeat(400)), "9th bracket"),
    ] {
        let refused = server.post(&path, &acme.owner, json!({ "name": "x", "opa_policy": policy })).await;
        assert_eq!(refused.outcome(), (400, "invalid_request".into()), "{:.60}", policy);
        let detail = refused.str("detail");
        assert!(detail.contains("opa_policy") && detail.contains(part) && !detail.contains("exist"), "{detail}");
    }
    let devops = server.token(&acme, "devops", "devops").await;
    let body = json!({ "name": "x", "opa_policy": "allow := true" });
    assert_eq!(server.post(&path, &devops, body.clone()).await.outcome(), (403, "permission_denied".into()));
    assert_eq!(server.get(&path, &devops).await.status, 403);
    let admin = server.token(&acme, "admin", "admin").await;
    server.post(&path, &admin, body).await.expect(201);
}

#[tokio::test]
async fn a_policy_is_tried_before_it_is_used() {
    let (server, acme) = Server::with_owner().await;
    let project = server.post(&acme.path("project"), &acme.owner, json!({ "name": "shop" })).await.str("id");
    let policy =
        format!("allow if {{\n\tinput.request.method == \"GET\"\n\tinput.resource.project_id == \"{project}\"\n}}");
    let requests = json!([
        { "method": "GET", "path": format!("/project/{project}") },
        { "method": "DELETE", "path": format!("/project/{project}") },
        { "method": "GET", "path": format!("/project/{}", acme.id) },
        { "method": "POST", "path": "/x", "body": "{\"a\": 1}" },
    ]);
    let tried = server
        .post(&acme.path("policyApiToken/evaluate"), &acme.owner, json!({ "opa_policy": policy, "requests": requests }))
        .await;
    let answers = tried.expect(200);
    let allowed: Vec<&Value> = answers["results"].as_array().unwrap().iter().map(|it| &it["allowed"]).collect();
    assert_eq!(allowed, [true, false, false, false]);
    let lines: Vec<&Value> = answers["results"].as_array().unwrap().iter().map(|it| &it["lines"]).collect();
    assert_eq!(lines, [&json!([2, 3]), &Value::Null, &Value::Null, &Value::Null], "{answers}");
    assert!(answers["results"][2]["detail"].as_str().unwrap().contains("does not have"), "{answers}");
    let many = vec![json!({ "method": "GET", "path": "/" }); 101];
    let refused = server
        .post(
            &acme.path("policyApiToken/evaluate"),
            &acme.owner,
            json!({ "opa_policy": "allow := true", "requests": many }),
        )
        .await;
    assert!(refused.status == 400 && refused.text.contains("policy_requests"), "{}", refused.text);
}

#[tokio::test]
async fn an_edited_policy_is_tried_on_the_last_requests_of_its_token() {
    let (server, acme) = Server::with_owner().await;
    let (id, text) = made(&server, &acme, "reader", READER).await;
    server.get(&acme.path("project"), &text).await.expect(200);
    server.get(&acme.path("apiToken"), &text).await.expect(200);
    assert_eq!(server.delete(&acme.path("project"), &text).await.outcome(), (401, "policy_denied".into()));
    let path = acme.path("policyApiToken/evaluate");
    let narrower = "allow if input.request.path[3] == \"project\"";
    let asked = json!({ "opa_policy": narrower, "replay_of": id });
    let answers = server.post(&path, &acme.owner, asked).await.expect(200);
    let said: Vec<_> = answers["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["replayed"]["method"].clone(), it["replayed"]["was_allowed"].clone(), it["allowed"].clone()))
        .collect();
    let row = |method: &str, was: bool, is: bool| (json!(method), json!(was), json!(is));
    // The newest first; what differs in the last two is what would change.
    assert_eq!(said, [row("DELETE", false, true), row("GET", true, false), row("GET", true, true)], "{answers}");
    // Nothing of it was a use, and nothing is remembered as one.
    assert_eq!(
        server.post(&path, &acme.owner, json!({ "opa_policy": narrower, "replay_of": id })).await.json(),
        answers
    );
    // What was decided is not for everybody who may change policy tokens; asking about requests that nobody has sent is.
    let narrow =
        json!({ "name": "manager", "role_id": server.role(&acme, "admin").await, "permissions": ["policy:manage"] });
    let (_, manager) = server.new_token(&acme, narrow).await;
    let refused = server.post(&path, &manager, json!({ "opa_policy": narrower, "replay_of": id })).await;
    assert_eq!(refused.outcome(), (403, "scope_denied".into()), "{}", refused.text);
    assert_eq!(refused.json()["missing_permission"], "token:verify");
    let invented = json!({ "opa_policy": narrower, "requests": [{ "method": "GET", "path": "/project" }] });
    server.post(&path, &manager, invented).await.expect(200);
    let foreign = server.new_organization("Other").await;
    let other = foreign.path("policyApiToken/evaluate");
    let asked = json!({ "opa_policy": narrower, "replay_of": id });
    assert_eq!(server.post(&other, &acme.owner, asked).await.status, 404);
}

#[tokio::test]
async fn a_role_is_asked_about_requests_to_an_api() {
    let (server, acme) = Server::with_owner().await;
    let routes = json!({ "routes": [
        { "method": "GET", "path": "/invoices/{id}", "permissions": ["invoices:read"] },
        { "method": "POST", "path": "/refunds", "permissions": ["refunds:write"] },
    ] });
    let put = server.call(Method::PUT, &acme.path("api/shop"), &acme.owner, Some(routes)).await;
    assert_eq!(put.status, 200, "{}", put.text);
    let path = acme.path("policyApiToken/evaluate");
    let request = |method: &str, path: &str| json!({ "api": "shop", "method": method, "path": path });
    let ask = async |role: &str| {
        let role = server.role(&acme, role).await;
        let requests = [request("GET", "/invoices/7"), request("POST", "/refunds"), request("GET", "/nothing")];
        server.post(&path, &acme.owner, json!({ "role_id": role, "requests": requests })).await.expect(200)
    };
    let said = |answers: &Value, at: usize| {
        let one = &answers["results"][at];
        (one["allowed"].as_bool().unwrap(), one["detail"].as_str().unwrap().to_owned())
    };
    let viewer = ask("viewer").await;
    assert_eq!(said(&viewer, 0), (true, "The role allows it.".into()));
    assert_eq!(said(&viewer, 1), (false, "The role lacks `refunds:write`.".into()));
    assert!(!said(&viewer, 2).0);
    assert!(said(&ask("devops").await, 1).0);
    let role = server.role(&acme, "viewer").await;
    let permissions = ["invoices:read", "refunds:write", "token:read", "token:manage"];
    let asked = json!({ "role_id": role, "requests": permissions.map(|it| json!({ "permission": it })) });
    let answers = server.post(&path, &acme.owner, asked).await.expect(200);
    assert_eq!([0, 1, 2, 3].map(|at| said(&answers, at).0), [true, false, true, false], "{answers}");
    assert_eq!(said(&answers, 3).1, "The role lacks `token:manage`.");
    // What is said twice, or of neither, or of the wrong one.
    for (body, field) in [
        (json!({ "requests": [] }), "opa_policy"),
        (json!({ "opa_policy": "allow := true", "role_id": role, "requests": [] }), "role_id"),
        (json!({ "opa_policy": "allow := true" }), "requests"),
        (json!({ "opa_policy": "allow := true", "requests": [], "replay_of": acme.id }), "replay_of"),
        (json!({ "role_id": role, "replay_of": acme.id }), "replay_of"),
        (json!({ "role_id": acme.id, "requests": [request("GET", "/")] }), "role_id"),
        (json!({ "role_id": role, "requests": [{ "method": "GET", "path": "/" }] }), "requests[0].api"),
        (
            json!({ "role_id": role, "requests": [{ "api": "shop", "method": "GET", "path": "/", "body": "" }] }),
            "requests[0].body",
        ),
        (json!({ "opa_policy": "allow := true", "requests": [request("GET", "/")] }), "requests[0].api"),
        (json!({ "opa_policy": "allow := true", "requests": [{ "permission": "a:b" }] }), "requests[0].permission"),
        (json!({ "opa_policy": "allow := true", "requests": [{ "method": "GET" }] }), "requests[0].path"),
        (json!({ "role_id": role, "requests": [{}] }), "requests[0].method"),
        (json!({ "role_id": role, "requests": [{ "permission": "a:b", "path": "/" }] }), "requests[0].path"),
        (
            json!({ "role_id": role, "requests": [{ "permission": "a:b" }, { "permission": "a:*" }] }),
            "requests[1].permission",
        ),
        (json!({ "role_id": role, "requests": [{ "permission": "x".repeat(200) }] }), "requests[0].permission"),
    ] {
        let refused = server.post(&path, &acme.owner, body.clone()).await;
        assert_eq!(refused.outcome(), (400, "invalid_request".into()), "{body}");
        assert!(refused.text.contains(field), "{body}: {}", refused.text);
    }
}

#[tokio::test]
async fn whoever_holds_a_policy_token_takes_it_back() {
    let (server, acme) = Server::with_owner().await;
    let (id, text) = made(&server, &acme, "leaked", "allow := false").await;
    let request = server.request("POST", "/revoke").header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(server.send(request.body(format!("token={text}"))).await.status, 200);
    assert_eq!(server.get("/token/self", &text).await.outcome(), (401, "revoked".into()));
    let events =
        server.get(&acme.path(&format!("events?targetId={id}&eventType=DELETE")), &acme.owner).await.expect(200);
    assert_eq!(events["events"][0]["sub_target_type"], "POLICY_API_TOKEN", "{events}");
    // And nobody else does, by the way of the other kind.
    let (id, text) = made(&server, &acme, "other", "allow := true").await;
    for (method, path) in [(Method::DELETE, ""), (Method::POST, "/disable"), (Method::POST, "/undo")] {
        let refused = server.call(method, &acme.path(&format!("apiToken/{id}{path}")), &acme.owner, None).await;
        assert_eq!(refused.status, 404, "{path}");
    }
    assert_eq!(server.get("/token/self", &text).await.status, 200);
}

#[tokio::test]
async fn a_token_that_is_bound_to_networks_hands_out_no_policy_token_for_all_of_them() {
    let (server, acme) = Server::with_owner().await;
    let role = server.role(&acme, "admin").await;
    let bound = json!({ "name": "bound", "role_id": role, "networks": [{ "network": "127.0.0.0/8" }] });
    let (_, bound) = server.new_token(&acme, bound).await;
    let body = json!({ "name": "wide", "opa_policy": "allow := true" });
    let refused = server.post(&acme.path("policyApiToken"), &bound, body).await;
    assert_eq!(refused.outcome(), (400, "invalid_request".into()));
    assert!(refused.text.contains("nobody hands out more than they have"), "{}", refused.text);
}

#[tokio::test]
async fn a_path_that_programs_read_in_different_ways_is_denied_whatever_the_policy_says() {
    let (server, acme) = Server::with_owner().await;
    let (_, text) = made(&server, &acme, "invoices", "allow if input.request.path[0] == \"invoices\"").await;
    for (path, expected) in [
        ("/invoices/7", "valid"),
        ("/invoices/../admin", "policy_denied"),
        ("/invoices/..%2fadmin", "policy_denied"),
        ("/invoices//7", "policy_denied"),
    ] {
        let request = json!({ "method": "GET", "path": path });
        let body = json!({ "token": text, "permission": "invoices:read", "request": request });
        assert_eq!(server.post("/verify", &acme.owner, body).await.str("code"), expected, "{path}");
    }
}

#[tokio::test]
async fn the_token_policy_is_asked_of_policy_tokens_too() {
    let (server, acme) = Server::frozen().await;
    let (id, _) = made(&server, &acme, "for ever", "allow := true").await;
    server.put(&acme.path("tokenPolicy"), &acme.owner, json!({ "max_lifetime": "30d" })).await.expect(200);
    let list = async |query: &str| {
        let all = server.get(&acme.path(&format!("policyApiToken{query}")), &acme.owner).await.expect(200);
        all["results"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(list("?exceedsPolicy=true").await, [json!("for ever")]);
    assert_eq!(list("?creatorLeft=true").await, [] as [Value; 0]);
    // Those of the other kind are shortened by the right for them.
    let path = acme.path("policyApiToken/shorten");
    let refused = server.call(Method::POST, &acme.path("tokenPolicy/shorten"), &acme.owner, None).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    let done = server.call(Method::POST, &path, &acme.owner, None).await.expect(200);
    assert_eq!((&done["shortened"], &done["more"]), (&json!(1), &json!(false)));
    let end = server.clock.now().plus(30 * DAY).to_string();
    let token = server.get(&acme.path(&format!("policyApiToken/{id}")), &acme.owner).await.expect(200);
    assert_eq!(token["expires_at"], json!(end));
    assert_eq!(list("?exceedsPolicy=true").await, [] as [Value; 0]);
    assert_eq!(server.call(Method::POST, &path, &acme.owner, None).await.status, 409);
    let event =
        server.get(&acme.path(&format!("events?targetId={id}&eventType=UPDATE")), &acme.owner).await.expect(200);
    assert_eq!(event["events"][0]["sub_target_type"], "POLICY_API_TOKEN");
}

#[tokio::test]
async fn a_request_that_was_checked_for_a_service_is_not_replayed_as_one_to_our_own_api() {
    let (server, acme) = Server::with_owner().await;
    let (id, text) = made(&server, &acme, "both", "allow := true").await;
    let body = json!({ "token": text, "request": { "method": "GET", "path": "/organization/x", "body": "" } });
    assert_eq!(server.post("/verify", &acme.owner, body).await.str("code"), "valid");
    assert_eq!(server.get(&acme.path("project"), &text).await.status, 200);
    // Ours begin with `api`.
    let own = json!({ "opa_policy": "allow if input.request.path[0] == \"api\"", "replay_of": id });
    let answers = server.post(&acme.path("policyApiToken/evaluate"), &acme.owner, own).await.expect(200);
    let said: Vec<bool> =
        answers["results"].as_array().unwrap().iter().map(|it| it["allowed"].as_bool().unwrap()).collect();
    assert_eq!(said, [true, false], "{answers}");
}

#[tokio::test]
async fn policies_of_an_organization_that_is_gone_are_forgotten() {
    let (server, acme) = Server::with_owner().await;
    made(&server, &acme, "stays", "allow := true").await;
    let other = server.new_organization("Other").await;
    for name in ["a", "b"] {
        let body = json!({ "name": name, "opa_policy": "allow := true" });
        server.post(&other.path("policyApiToken"), &other.owner, body).await.expect(201);
    }
    assert_eq!(server.running.app.verifier.policies(), 3);
    server.delete(&format!("/organization/{}", other.id), &other.owner).await.expect(204);
    assert_eq!(server.running.app.verifier.policies(), 1);
}
