//! What is kept of the use of tokens: denials that outlast a restart, counts by day, permissions that were used.

use std::time::Duration;

use serde_json::{Value, json};
use tokenward_core::time::DAY;
use tokenward_server::config::Config;
use tokenward_server::service::token_use;

use crate::nodes::{database, node_config};
use crate::support::{Organization, Server};

async fn flush(server: &Server) {
    let app = &server.running.app;
    app.verifier.flush_usage(&app.store).await.unwrap();
}

async fn ask(server: &Server, gateway: &str, question: Value) -> String {
    let answer = server.post("/verify", gateway, question).await.expect(200);
    answer["decision_id"].as_str().unwrap().to_owned()
}

async fn usage(server: &Server, acme: &Organization, query: &str) -> Value {
    server.get(&acme.path(&format!("usage{query}")), &acme.owner).await.expect(200)
}

#[tokio::test]
async fn a_denial_is_told_after_a_restart_and_what_was_allowed_is_not() {
    let (server, acme) = Server::with_owner().await;
    let gateway = server.token(&acme, "gateway", "verifier").await;
    let token = server.token(&acme, "ci", "viewer").await;
    let request = json!({ "method": "DELETE", "path": "/orders/7?key=hidden" });
    let question =
        json!({ "token": token, "permission": "orders:delete", "remote_ip": "203.0.113.7", "request": request });
    let denied = ask(&server, &gateway, question).await;
    let stranger = ask(&server, &gateway, json!({ "token": "twd_x" })).await;
    let allowed = ask(&server, &gateway, json!({ "token": token, "permission": "orders:read" })).await;
    let before = server.get(&format!("/decision/{denied}"), &gateway).await.expect(200);
    let server = server.restart().await;
    let after = server.get(&format!("/decision/{denied}"), &gateway).await.expect(200);
    assert_eq!(after, before);
    assert_eq!((&after["missing_permission"], &after["path"]), (&json!("orders:delete"), &json!("/orders/7")));
    let told = server.get(&format!("/decision/{stranger}"), &gateway).await.expect(200);
    assert_eq!(told["code"], "malformed");
    assert_eq!(server.get(&format!("/decision/{allowed}"), &gateway).await.outcome().0, 404);
    // Nobody of another organization is told.
    let other = server.new_organization("Other").await;
    let theirs = server.token(&other, "gateway", "verifier").await;
    assert_eq!(server.get(&format!("/decision/{denied}"), &theirs).await.outcome(), (404, "not_found".into()));

    // The list has it once, also while it is in memory, and finds it.
    ask(&server, &gateway, json!({ "token": token, "permission": "users:write", "remote_ip": "203.0.113.8" })).await;
    flush(&server).await;
    let list = async |query: &str| {
        let answer = server.get(&acme.path(&format!("decision?valid=false{query}")), &gateway).await.expect(200);
        let codes: Vec<Value> = answer["results"].as_array().unwrap().iter().map(|it| it["code"].clone()).collect();
        codes.len()
    };
    for (query, count) in [
        ("", 3),
        ("&reason=permission_denied", 2),
        ("&reason=malformed", 1),
        ("&route=delete%20/orders", 1),
        ("&route=USERS:", 1),
        ("&remote_ip=203.0.113.8", 1),
        ("&from=2000-01-01T00:00:00Z", 3),
        ("&to=2000-01-01T00:00:00Z", 0),
    ] {
        assert_eq!(list(query).await, count, "{query}");
    }
    for (query, field) in
        [("reason=denied", "reason"), ("remote_ip=here", "remote_ip"), ("from=soon", "from"), ("rout=x", "rout")]
    {
        let refused = server.get(&acme.path(&format!("decision?{query}")), &gateway).await;
        assert_eq!(refused.status, 400, "{query}");
        assert!(refused.text.contains(field), "{}", refused.text);
    }
}

#[tokio::test]
async fn the_last_denials_are_kept_and_none_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = crate::support::config(directory.path());
    config.limits.set_by_name("denials", 5).unwrap();
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let gateway = server.token(&acme, "gateway", "verifier").await;
    let token = server.token(&acme, "ci", "viewer").await;
    let app = server.running.app.clone();
    app.verifier.set_denial_terms(token_use::denial_terms(&app));
    let mut ids = Vec::new();
    for n in 0..8 {
        ids.push(ask(&server, &gateway, json!({ "token": token, "permission": format!("a{n}:write") })).await);
        flush(&server).await;
    }
    drop(app);
    let server = server.restart().await;
    let mut kept = 0;
    for id in &ids {
        kept += usize::from(server.get(&format!("/decision/{id}"), &gateway).await.status == 200);
    }
    // Those of one moment go together.
    assert!((1..=5).contains(&kept), "{kept}");
    assert_eq!(server.get(&format!("/decision/{}", ids[7]), &gateway).await.status, 200);
    assert_eq!(server.get(&format!("/decision/{}", ids[0]), &gateway).await.status, 404);
}

#[tokio::test]
async fn uses_are_counted_by_day_token_role_and_reason() {
    let (server, acme) = Server::frozen().await;
    let admin = server.token(&acme, "admin", "admin").await;
    let gateway = server.token(&acme, "gateway", "verifier").await;
    let token = server.token(&acme, "ci", "viewer").await;
    // A session ends sooner than the days that pass here; what the token reads is counted at the next write, which never comes.
    let acme = Organization { id: acme.id.clone(), owner: admin };
    let yes = json!({ "token": token, "permission": "invoices:read" });
    let no = json!({ "token": token, "permission": "invoices:write" });
    for question in [&yes, &yes, &no] {
        ask(&server, &gateway, question.clone()).await;
    }
    ask(&server, &gateway, json!({ "token": "twd_x" })).await;
    flush(&server).await;
    server.clock.advance(DAY);
    ask(&server, &gateway, yes.clone()).await;
    flush(&server).await;

    let rows = usage(&server, &acme, "?group=token,reason").await;
    let row = |name: Value, reason: Value| {
        let all = rows["results"].as_array().unwrap();
        let it = all.iter().find(|it| it["token"]["name"] == name && it["reason"] == reason);
        it.map(|it| (it["allowed"].as_i64().unwrap(), it["denied"].as_i64().unwrap()))
    };
    assert_eq!(row(json!("ci"), Value::Null), Some((3, 0)), "{rows}");
    assert_eq!(row(json!("ci"), json!("permission_denied")), Some((0, 1)), "{rows}");
    assert_eq!(
        row(Value::Null, json!("malformed")),
        Some((0, 1)),
        "what is no token counts for the organization: {rows}"
    );
    let days = usage(&server, &acme, "").await;
    let days = days["results"].as_array().unwrap();
    assert_eq!(days.len(), 2, "{days:?}");
    // Each verification is a use of the gateway's token, too.
    assert_eq!((&days[0]["allowed"], &days[0]["denied"]), (&json!(6), &json!(2)));
    let roles = usage(&server, &acme, "?group=role").await;
    assert!(roles["results"].as_array().unwrap().iter().any(|it| it["role"]["name"] == "viewer" && it["allowed"] == 3));
    let none = usage(&server, &acme, "?from=2020-01-01&to=2020-01-31").await;
    assert_eq!(none["results"], json!([]));
    assert_eq!(none["not_counted"], json!({ "uses": 0, "strangers": 0, "denials": 0, "permissions": 0 }));

    let table = server.client.get(format!("{}{}", server.url, acme.path("usage?group=token,day")));
    let table = table.bearer_auth(&acme.owner).header("accept", "text/csv").send().await.unwrap().text().await.unwrap();
    assert!(table.starts_with("day,token_id,token_name,role_id,role_name,reason,allowed,denied\r\n"), "{table}");
    assert!(table.lines().any(|line| line.contains(",ci,") && line.ends_with(",2,1")), "{table}");

    for (query, field) in [
        ("group=hour", "group"),
        ("from=2026-1-1", "from"),
        ("from=2026-02-01&to=2026-01-01", "from"),
        ("grup=day", "grup"),
    ] {
        let refused = server.get(&acme.path(&format!("usage?{query}")), &acme.owner).await;
        assert_eq!(refused.status, 400, "{query}");
        assert!(refused.text.contains(field), "{}", refused.text);
    }
    assert_eq!(server.get(&acme.path("usage"), &gateway).await.outcome(), (403, "permission_denied".into()));

    // What is older than 90 days goes.
    server.clock.advance(89 * DAY);
    token_use::prune(&server.running.app).await.unwrap();
    let left = usage(&server, &acme, "?from=2000-01-01&group=token").await;
    assert!(
        left["results"].as_array().unwrap().iter().any(|it| it["token"]["name"] == "ci" && it["allowed"] == 1),
        "{left}"
    );
    server.clock.advance(DAY);
    token_use::prune(&server.running.app).await.unwrap();
    assert_eq!(usage(&server, &acme, "?from=2000-01-01").await["results"], json!([]));
}

#[tokio::test]
async fn what_was_used_is_held_against_what_was_granted() {
    let (server, acme) = Server::with_owner().await;
    let gateway = server.token(&acme, "gateway", "verifier").await;
    let permissions = json!(["invoices:*", "orders:read", "refunds:write"]);
    let role = json!({ "name": "shop", "permissions": permissions });
    let role = server.post(&acme.path("customRole"), &acme.owner, role).await.expect(201)["id"].clone();
    let (id, token) = server.new_token(&acme, json!({ "name": "ci", "role_id": role })).await;
    let routes = json!({ "routes": [
        { "method": "GET", "path": "/orders/{id}", "any_of": [["users:read"], ["orders:read"]] },
    ] });
    server.put(&acme.path("api/shop"), &acme.owner, routes).await.expect(200);
    for permission in ["invoices:read", "invoices:read", "invoices:pay", "users:write", "token:verify"] {
        ask(&server, &gateway, json!({ "token": token, "permission": permission })).await;
    }
    // Of two ways, the one that the token went.
    let request = json!({ "method": "GET", "path": "/orders/7" });
    ask(&server, &gateway, json!({ "token": token, "api": "shop", "request": request })).await;
    flush(&server).await;
    let path = |query: &str| acme.path(&format!("usage/permissions?{query}"));
    let of_role = server.get(&path(&format!("role_id={}", role.as_str().unwrap())), &acme.owner).await.expect(200);
    let of_token = server.get(&path(&format!("token_id={id}&days=90")), &acme.owner).await.expect(200);
    for told in [&of_role, &of_token] {
        assert_eq!(told["unused"], json!(["refunds:write"]), "{told}");
        assert_eq!(told["least"], json!(["invoices:pay", "invoices:read", "orders:read"]), "{told}");
        assert_eq!((&told["gone"], &told["tokens"]), (&json!([]), &json!(1)));
    }
    assert_eq!(of_role["granted"][0]["used"][1]["permission"], "invoices:read");
    for (query, status) in [
        ("", 400),
        ("role_id=019ab000-0000-7000-8000-000000000000", 404),
        ("token_id=019ab000-0000-7000-8000-000000000000", 404),
        ("days=91&token_id=019ab000-0000-7000-8000-000000000000", 400),
    ] {
        assert_eq!(server.get(&path(query), &acme.owner).await.status, status, "{query}");
    }
}

#[tokio::test]
async fn a_denial_is_told_by_another_node_on_postgres() {
    let url = database().await;
    let directory = tempfile::tempdir().unwrap();
    // A machine that is busy must not make a node say that it is behind.
    let patient = |directory: &std::path::Path, name: &str| Config {
        max_staleness: Duration::from_secs(60),
        ..node_config(directory, name, &url)
    };
    let config = patient(directory.path(), "a");
    let (a, acme) = Server::with_owner_and(directory, config).await;
    let gateway = a.token(&acme, "gateway", "verifier").await;
    let token = a.token(&acme, "ci", "viewer").await;
    let role = json!({ "name": "shop", "permissions": ["orders:*"] });
    let role = a.post(&acme.path("customRole"), &acme.owner, role).await.expect(201)["id"].clone();
    let (_, shop) = a.new_token(&acme, json!({ "name": "shop", "role_id": role })).await;
    let id =
        ask(&a, &gateway, json!({ "token": token, "permission": "orders:delete", "remote_ip": "2001:db8::1" })).await;
    ask(&a, &gateway, json!({ "token": "twd_x" })).await;
    ask(&a, &gateway, json!({ "token": shop, "permission": "orders:delete" })).await;
    flush(&a).await;
    let directory = tempfile::tempdir().unwrap();
    let config = patient(directory.path(), "b");
    let b = Server::start_with(directory, config).await;
    let (here, there) =
        (a.get(&format!("/decision/{id}"), &gateway).await, b.get(&format!("/decision/{id}"), &gateway).await);
    assert_eq!(there.expect(200), here.expect(200));
    let list = b.get(&acme.path("decision?valid=false&reason=permission_denied&route=x"), &gateway).await.expect(200);
    assert_eq!(list["results"], json!([]));
    flush(&a).await;
    // Without the day: the test may run over midnight.
    let sums = usage(&b, &acme, "?group=token,role,reason").await;
    assert_eq!(sums["results"].as_array().unwrap().len(), 4, "{sums}");
    let whole = usage(&b, &acme, "?group=role").await;
    assert!(whole["results"].as_array().unwrap().iter().any(|it| it["role"]["name"] == "shop"), "{whole}");
    let used = b.get(&acme.path(&format!("usage/permissions?role_id={}", role.as_str().unwrap())), &acme.owner).await;
    assert_eq!(used.expect(200)["least"], json!(["orders:delete"]));
    token_use::prune(&b.running.app).await.unwrap();
}
