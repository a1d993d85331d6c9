//! The pages about use: decisions and what would mend them, pictures, roles to be read, what to put in front of an API.

use serde_json::{Value, json};

use crate::console::{Person, world};
use crate::support::{Organization, Server};

async fn denied(server: &Server, gateway: &str, token: &str, path: &str) {
    let request = json!({ "method": "DELETE", "path": path });
    let question = json!({ "token": token, "api": "shop", "request": request, "remote_ip": "203.0.113.7" });
    server.post("/verify", gateway, question).await.expect(200);
}

/// An API with routes, a role for some of them, and a token with it.
async fn shop(server: &Server, acme: &Organization) -> (String, String, String) {
    let routes = json!({ "routes": [
        { "method": "GET", "path": "/orders/{id}", "permission": "orders:read" },
        { "method": "GET", "path": "/orders", "permission": "orders:read" },
        { "method": "DELETE", "path": "/orders/{id}", "permission": "orders:write" },
    ] });
    server.put(&acme.path("api/shop"), &acme.owner, routes).await.expect(200);
    let role = json!({ "name": "reader", "permissions": ["orders:read", "orders:wirte"] });
    let role = server.post(&acme.path("customRole"), &acme.owner, role).await.expect(201).clone();
    let role = role["id"].as_str().unwrap().to_owned();
    let (id, token) = server.new_token(acme, json!({ "name": "dashboard", "role_id": role })).await;
    (role, id, token)
}

#[tokio::test]
async fn equal_denials_are_one_line_with_what_would_mend_them() {
    let (server, acme, base) = world().await;
    let gateway = server.token(&acme, "gateway", "verifier").await;
    let (role, id, token) = shop(&server, &acme).await;
    for n in 0..300 {
        denied(&server, &gateway, &token, &format!("/orders/{n}")).await;
    }
    let app = &server.running.app;
    app.verifier.flush_usage(&app.store).await.unwrap();
    let mut owner = Person::owner(&server).await;
    let page = owner.get(&format!("{base}/decisions?only=denied")).await.says(200, "/orders/{id}");
    // All that are kept are counted, and not only those that are in memory.
    let times = page.html.split(" times</b> since").next().and_then(|it| it.rsplit("<b>").next()).unwrap();
    assert!(times.parse::<usize>().is_ok_and(|n| (256..=300).contains(&n)), "{times}");
    assert!(page.html.contains("Add orders:write to its role “reader”"), "{}", page.html);
    assert!(page.html.contains("1 token gain"), "{}", page.html);
    assert!(page.html.contains(&format!("{base}/roles/{role}/edit?add=orders%3Awrite")), "{}", page.html);
    assert!(page.html.contains("The role “DevOps” would do") && page.html.contains("but it may also"), "{}", page.html);
    assert!(page.html.contains("Make another token for this, with the role “DevOps”"), "{}", page.html);
    assert!(page.html.contains(&format!("{base}/tokens/new?role=")), "{}", page.html);
    for (query, found) in [
        ("token=dashboard", true),
        ("token=gateway", false),
        ("token=nobody", false),
        ("route=delete", true),
        ("route=%2Finvoices", false),
        ("reason=expired", false),
        ("reason=permission_denied&since=1h", true),
        ("address=203.0.113.7", true),
        ("address=203.0.113.8", false),
    ] {
        let page = owner.get(&format!("{base}/decisions?only=denied&{query}")).await.says(200, "Decisions");
        assert_eq!(page.html.contains("/orders/{id}"), found, "{query}");
    }
    owner.get(&format!("{base}/decisions?address=here")).await.says(400, "address");
    owner.get(&format!("{base}/decisions?reason=no")).await.says(400, "reason");

    // The mends lead to forms that are filled in, and change nothing by themselves.
    let page = owner.get(&format!("{base}/roles/{role}/edit?add=orders%3Awrite")).await.says(200, "orders:write");
    assert!(page.html.contains("value=\"orders:write\" checked"), "{}", page.html);
    let page = owner.get(&format!("{base}/roles/new?like={role}&add=orders%3Awrite")).await.says(200, "Create role");
    assert!(page.html.contains("value=\"orders:read\" checked"), "{}", page.html);
    let kept = server.get(&acme.path(&format!("customRole/{role}")), &acme.owner).await.expect(200);
    assert_eq!(kept["permissions"], json!(["orders:read", "orders:wirte"]));

    let page = owner.get(&format!("{base}/tokens/{id}")).await.says(200, "Granted and used");
    assert!(page.html.contains("<svg class=\"bars\"") && page.html.contains("300 denied"), "{}", page.html);
    owner.get(&format!("{base}/tokens")).await.says(200, "Last 30 days: 0 allowed, 300 denied, on 1 day");
    let page = owner.get(&format!("{base}/overview")).await.says(200, "Denials by reason");
    assert!(page.html.contains("Permission denied") && page.html.contains("Tokens by role"), "{}", page.html);
    owner.get(&format!("{base}/overview?days=7")).await.says(400, "days");
}

#[tokio::test]
async fn a_role_is_read_and_edited_by_boxes_and_a_refusal_is_seen() {
    let (server, acme, base) = world().await;
    let gateway = server.token(&acme, "gateway", "verifier").await;
    let (role, id, token) = shop(&server, &acme).await;
    let question = json!({ "token": token, "permission": "orders:read" });
    server.post("/verify", &gateway, question).await.expect(200);
    let app = &server.running.app;
    app.verifier.flush_usage(&app.store).await.unwrap();
    let mut owner = Person::owner(&server).await;
    let path = format!("{base}/roles/{role}");
    let page = owner.get(&path).await.says(200, "What it may do");
    assert!(page.html.contains(&format!("{base}/tokens/{id}\">dashboard")), "{}", page.html);
    assert!(page.html.contains("did you mean") && page.html.contains("orders:write"), "{}", page.html);
    assert!(page.html.contains("Never used") && page.html.contains("no member"), "{}", page.html);
    assert!(page.html.contains(&format!("roles/new?like={role}&#38;only=orders%3Aread")), "{}", page.html);
    owner.get(&format!("{path}?days=90")).await.says(200, "Granted and used, 90 days");
    owner.get(&format!("{path}?days=9")).await.says(400, "days");

    let page = owner.get(&format!("{path}/edit")).await.says(200, "Other permissions");
    assert!(page.html.contains("2 routes") && page.html.contains("1 route<"), "{}", page.html);
    let version = crate::console::hidden(&page, "version");
    let form = |permissions: &'static str, action: &'static str| {
        let pairs = [("name", "reader"), ("version", version.as_str()), ("api", "orders:read"), ("api", "orders:*")];
        let more = [("permissions", permissions), ("action", action)];
        pairs.into_iter().chain(more).map(|(name, value)| (name, value.to_owned())).collect::<Vec<_>>()
    };
    let mut send = async |form: Vec<(&str, String)>| {
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        owner.post(&path, &form).await
    };
    for action in ["preview", "save"] {
        let page = send(form("orders:wirte\nOrders", action)).await.says(400, "1 thing to put right");
        assert!(page.html.contains("href=\"#permissions\"") && page.html.contains("“Orders”"), "{}", page.html);
        assert!(page.html.contains("value=\"orders:*\" checked"), "what was ticked is kept: {}", page.html);
    }
    send(form("invoices:read", "save")).await.leads_to(&format!("{base}/roles"));
    let kept = server.get(&acme.path(&format!("customRole/{role}")), &acme.owner).await.expect(200);
    let mut permissions: Vec<&str> = kept["permissions"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    permissions.sort_unstable();
    assert_eq!(permissions, ["invoices:read", "orders:*", "orders:read"]);
    let bad = [("", "it"), ("like=x", "like"), ("lik=x", "lik")];
    for (query, field) in &bad[1..] {
        owner.get(&format!("{base}/roles/new?{query}")).await.says(400, field);
    }
}

#[tokio::test]
async fn what_protects_an_api_is_filled_in_and_told_when_a_request_comes() {
    let (server, acme, base) = world().await;
    let gateway = server.token(&acme, "gateway", "verifier").await;
    let mut owner = Person::owner(&server).await;
    let page = owner.get(&format!("{base}/protect")).await.says(200, "Waiting for the first request");
    assert!(page.html.contains("identity=any") && page.html.contains("Import OpenAPI"), "{}", page.html);
    let (_, id, token) = shop(&server, &acme).await;
    denied(&server, &gateway, &token, "/orders/7").await;
    for with in ["nginx", "caddy", "envoy", "service"] {
        let page = owner.get(&format!("{base}/protect?with={with}&token={id}")).await.says(200, "by dashboard");
        assert!(page.html.contains(&acme.id), "{with}");
        assert!(page.html.contains("DELETE /orders/7") && page.html.contains("shop"), "{with}");
    }
    owner.get(&format!("{base}/protect?with=apache")).await.says(400, "with");
    owner.get(&format!("{base}/protect?api=nothing")).await.says(404, "no such");
}

#[tokio::test]
async fn a_link_fills_the_form_of_a_token_and_makes_none() {
    let (server, acme, base) = world().await;
    let (role, ..) = shop(&server, &acme).await;
    let mut owner = Person::owner(&server).await;
    let link = |query: &str| format!("{base}/tokens/new?{query}");
    let page =
        owner.get(&link("name=ci&role=reader&expires=30d&description=From+the+runbook")).await.says(200, "runbook");
    assert!(
        page.html.contains("value=\"ci\"") && page.html.contains(&format!("value=\"{role}\" required checked")),
        "{}",
        page.html
    );
    owner.get(&link(&format!("role={role}&expires=2099-01-31"))).await.says(200, "value=\"2099-01-31\"");
    owner.get(&link("role=owner")).await.says(200, "cannot be given");
    owner.get(&link("expires=soon")).await.says(200, "no end that can be read");
    owner.get(&link("nam=ci")).await.says(400, "nam");
    owner.get(&link(&format!("name={}", "a".repeat(10_000)))).await.says(400, "name");
    let tokens = server.get(&acme.path("apiToken"), &acme.owner).await.expect(200);
    assert_eq!(tokens["results"].as_array().unwrap().len(), 1, "{tokens}");
    let admin = owner.get(&link("role=admin")).await.says(200, "checked");
    assert!(!admin.html.contains("more than you can do"), "the owner may give it");
}
