//! What binds a policy token besides its policy and its role: as others are bound.

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::Clock;
use tokenward_core::time::{DAY, HOUR, MINUTE};

use crate::support::Server;

const READS: &str = "allow if input.request.method == \"GET\"";

#[tokio::test]
async fn a_policy_token_is_bound_described_and_narrowed_as_others_are() {
    let (server, acme) = Server::frozen().await;
    let asker = server.token(&acme, "asker", "admin").await;
    let list = acme.path("policyApiToken");
    let viewer = server.role(&acme, "viewer").await;
    let body = json!({
        "name": "reader", "opa_policy": READS, "role_id": viewer, "networks": ["203.0.113.0/24"],
        "labels": { "team": "shop" }, "metadata": { "ticket": "OPS-1204" }, "permissions": ["*:read"],
        "quota": { "requests": 10, "refill": "month" },
    });
    let made = server.post(&list, &acme.owner, body).await.expect(201);
    let (id, text) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap().to_owned());
    let path = format!("{list}/{id}");
    let shown = server.get(&path, &acme.owner).await.expect(200);
    assert_eq!(shown["networks"][0]["network"], "203.0.113.0/24", "{shown}");
    assert_eq!((&shown["labels"]["team"], &shown["metadata"]["ticket"]), (&json!("shop"), &json!("OPS-1204")));
    assert_eq!((&shown["permissions"], &shown["quota"]["requests"]), (&json!(["*:read"]), &json!(10)));
    assert_eq!(shown["opa_policy"], READS);
    let code = async |address: &str| {
        let request = json!({ "method": "GET", "path": "/bills" });
        let asked = json!({ "token": text, "request": request, "remote_ip": address });
        server.post("/verify", &asker, asked).await.str("code")
    };
    assert_eq!(code("203.0.113.7").await, "valid");
    assert_eq!(code("198.51.100.1").await, "network_denied");

    let patch = async |body: Value| server.call(Method::PATCH, &path, &acme.owner, Some(body)).await;
    let labels = json!({ "team": null, "env": "prod" });
    let begins = json!({ "not_before": "2099-01-01T00:00:00Z", "expires_at": null, "labels": labels });
    let later = patch(begins).await.expect(200);
    assert_eq!((&later["state"], &later["labels"]), (&json!("not_yet_valid"), &json!({ "env": "prod" })));
    assert_eq!(code("203.0.113.7").await, "not_yet_valid");
    assert_eq!(patch(json!({ "not_before": null, "networks": null })).await.expect(200)["state"], "active");
    assert_eq!(code("198.51.100.1").await, "valid");
    for (wrong, said) in [
        (json!({ "networks": ["10.0.0.1/8"] }), "10.0.0.0/8"),
        (json!({ "networks": [] }), "networks"),
        (json!({ "not_before": "2099-01-01T00:00:00Z", "expires_at": "2098-01-01T00:00:00Z" }), "not_before"),
        (json!({ "labels": { "": "x" } }), "labels"),
        (json!({ "opa_policy": null }), "opa_policy"),
        (json!({ "scope": "ADMIN" }), "scope"),
    ] {
        let refused = patch(wrong.clone()).await;
        assert!(refused.status == 400 && refused.text.contains(said), "{wrong}: {}", refused.text);
    }
}

#[tokio::test]
async fn a_policy_token_has_brownouts() {
    let (server, acme) = Server::frozen().await;
    let asker = server.token(&acme, "asker", "admin").await;
    let list = acme.path("policyApiToken");
    let body = json!({ "name": "reader", "opa_policy": READS, "role_id": server.role(&acme, "viewer").await });
    let made = server.post(&list, &acme.owner, body).await.expect(201);
    let (id, text) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap().to_owned());
    let path = format!("{list}/{id}/brownout");
    let code = async || {
        let request = json!({ "method": "GET", "path": "/bills" });
        server.post("/verify", &asker, json!({ "token": text, "request": request })).await.str("code")
    };
    let until = server.clock.now().plus(3 * DAY).to_string();
    let wanted = json!({ "minutes": 5, "every": "1h", "until": until });
    let devops = server.token(&acme, "devops", "devops").await;
    assert_eq!(server.post(&path, &devops, wanted.clone()).await.status, 403, "it has a right of its own");
    let usual = acme.path(&format!("apiToken/{id}/brownout"));
    assert_eq!(server.post(&usual, &acme.owner, wanted.clone()).await.status, 404, "and a way of its own");
    let set = server.post(&path, &acme.owner, wanted).await.expect(200);
    assert_eq!((&set["brownout"]["minutes"], &set["state"]), (&json!(5), &json!("active")), "{set}");
    let found = server.get(&format!("{list}?state=brownout"), &acme.owner).await.json();
    assert_eq!(found["results"][0]["id"], id, "{found}");
    assert_eq!(code().await, "valid");
    server.clock.advance(HOUR + MINUTE);
    assert_eq!(code().await, "brownout");
    assert!(server.delete(&path, &acme.owner).await.expect(200).get("brownout").is_none());
    assert_eq!(code().await, "valid");
    assert_eq!(server.delete(&path, &acme.owner).await.status, 409, "there is none any more");
}
