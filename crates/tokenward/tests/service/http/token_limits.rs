//! How fast and how much a token may be used: counted on every way of asking, refused with 429, and told in headers.

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::time::{DAY, SECOND};

use crate::support::{Answer, Organization, Server};

async fn made(server: &Server, acme: &Organization, name: &str, role: &str, limits: Value) -> (String, String) {
    let mut body = json!({ "name": name, "role_id": server.role(acme, role).await });
    for (field, value) in limits.as_object().unwrap() {
        body[field] = value.clone();
    }
    server.new_token(acme, body).await
}

async fn asked(server: &Server, acme: &Organization, text: &str) -> Answer {
    server.post("/verify", &acme.owner, json!({ "token": text, "permission": "invoices:read" })).await
}

#[tokio::test]
async fn a_rate_allows_a_burst_and_then_as_fast_as_it_says() {
    let (server, acme) = Server::frozen().await;
    let limits = json!({ "rate_limit": { "requests": 60, "per": "minute", "burst": 2 } });
    let (id, text) = made(&server, &acme, "slow", "viewer", limits).await;
    for expected in ["valid", "valid", "rate_limited"] {
        assert_eq!(asked(&server, &acme, &text).await.str("code"), expected);
    }
    let refused = asked(&server, &acme, &text).await.expect(200);
    assert_eq!((&refused["valid"], &refused["retry_after"]), (&json!(false), &json!(1)), "{refused}");
    assert_eq!(refused["token"]["name"], "slow", "it is known whose it is");
    // Our own API, and gateways.
    let own = server.get("/token/self", &text).await;
    assert_eq!(own.outcome(), (429, "rate_limited".into()));
    assert_eq!((own.header("retry-after"), own.header("ratelimit")), (Some("1"), Some("\"rate\";r=0;t=2")));
    assert_eq!(own.header("ratelimit-policy"), Some("\"rate\";q=60;w=60"));
    let gateway = async |name: &str| {
        let request = server.request("GET", "/forward-auth?permission=invoices:read").bearer_auth(&text);
        server.send(request.header(name, "GET")).await
    };
    let (caddy, nginx) = (gateway("x-forwarded-method").await, gateway("x-original-method").await);
    assert_eq!((caddy.status.as_u16(), nginx.status.as_u16()), (429, 403), "{}", caddy.text);
    for answer in [caddy, nginx] {
        assert_eq!(answer.header("x-tokenward-reason"), Some("rate_limited"));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    // What is refused for another reason uses nothing up, and what is refused so neither.
    server.clock.advance(SECOND);
    let denied = server.post("/verify", &acme.owner, json!({ "token": text, "permission": "invoices:write" })).await;
    assert_eq!(denied.str("code"), "permission_denied");
    let allowed = server.get("/token/self", &text).await;
    assert_eq!((allowed.status.as_u16(), allowed.header("ratelimit")), (200, Some("\"rate\";r=0;t=2")));
    assert_eq!(server.get("/token/self", &text).await.status, 429);
    // What was used stays used when the limits change, and other changes change nothing.
    let path = acme.path(&format!("apiToken/{id}"));
    let named = json!({ "description": "x" });
    server.call(Method::PATCH, &path, &acme.owner, Some(named)).await.expect(200);
    assert_eq!(asked(&server, &acme, &text).await.str("code"), "rate_limited");
    let shown = server.get(&path, &acme.owner).await.expect(200);
    assert_eq!(shown["rate_limit"], json!({ "requests": 60, "per": "minute", "burst": 2 }));
    assert_eq!(shown["denied_reasons"]["rate_limited"], 7, "{shown}");
    let freed = server.call(Method::PATCH, &path, &acme.owner, Some(json!({ "rate_limit": null }))).await.expect(200);
    assert_eq!(freed.get("rate_limit"), None);
    for _ in 0..5 {
        assert_eq!(asked(&server, &acme, &text).await.str("code"), "valid");
    }
}

#[tokio::test]
async fn a_quota_outlives_a_restart_and_is_filled_again_at_midnight() {
    let (server, acme) = Server::frozen().await;
    let limits = json!({ "quota": { "requests": 3, "refill": "day" } });
    let (id, text) = made(&server, &acme, "little", "viewer", limits).await;
    assert_eq!(asked(&server, &acme, &text).await.str("code"), "valid");
    // Both secrets of a token use the same.
    let rotated =
        server.post(&acme.path(&format!("apiToken/{id}/rotate")), &acme.owner, json!({ "keep": "24h" })).await;
    let newer = rotated.str("token");
    assert_eq!(asked(&server, &acme, &newer).await.str("code"), "valid");
    let server = server.restart().await;
    assert_eq!(asked(&server, &acme, &text).await.str("code"), "valid");
    let refused = asked(&server, &acme, &newer).await.expect(200);
    assert_eq!(
        (&refused["code"], &refused["retry_after"]),
        (&json!("quota_exceeded"), &json!(12 * 3_600)),
        "{refused}"
    );
    let own = server.get("/token/self", &newer).await;
    assert_eq!(own.outcome(), (429, "quota_exceeded".into()));
    assert_eq!(own.header("ratelimit"), Some("\"quota\";r=0;t=43200"));
    // A session would be over by then.
    let asker = server.token(&acme, "asker", "admin").await;
    server.clock.advance(DAY / 2);
    let later = server.post("/verify", &asker, json!({ "token": newer })).await;
    assert_eq!(later.str("code"), "valid");
}

#[tokio::test]
async fn limits_that_cannot_be_kept_are_refused_and_none_is_handed_out_beyond_ones_own() {
    let (server, acme) = Server::with_owner().await;
    let role = server.role(&acme, "viewer").await;
    for (limits, told) in [
        (json!({ "rate_limit": { "requests": 0, "per": "second" } }), "`rate_limit` is not from 1"),
        (json!({ "rate_limit": { "requests": 1, "per": "second", "burst": 0 } }), "`burst`"),
        (json!({ "rate_limit": { "requests": 1, "per": "fortnight" } }), "rate_limit.per"),
        (json!({ "rate_limit": { "requests": 1 } }), "per"),
        (json!({ "quota": { "requests": 1, "refill": "week" } }), "quota.refill"),
        (json!({ "quota": { "requests": 1, "refill": "day", "more": 1 } }), "more"),
    ] {
        let mut body = json!({ "name": "t", "role_id": role });
        for (field, value) in limits.as_object().unwrap() {
            body[field] = value.clone();
        }
        let refused = server.post(&acme.path("apiToken"), &acme.owner, body).await;
        assert_eq!(refused.status, 400, "{limits}: {}", refused.text);
        assert!(refused.text.contains(told), "{limits}: {}", refused.text);
    }
    let own =
        json!({ "rate_limit": { "requests": 100, "per": "minute" }, "quota": { "requests": 1000, "refill": "day" } });
    let (id, text) = made(&server, &acme, "maker", "devops", own.clone()).await;
    for (limits, status) in [
        (json!({}), 400),
        (json!({ "rate_limit": { "requests": 2, "per": "second" }, "quota": own["quota"] }), 400),
        (json!({ "rate_limit": own["rate_limit"] }), 400),
        (
            json!({ "rate_limit": { "requests": 1, "per": "second" }, "quota": { "requests": 9, "refill": "month" } }),
            201,
        ),
    ] {
        let mut body = json!({ "name": "t", "role_id": role });
        for (field, value) in limits.as_object().unwrap() {
            body[field] = value.clone();
        }
        let answer = server.post(&acme.path("apiToken"), &text, body).await;
        assert_eq!(answer.status, status, "{limits}: {}", answer.text);
    }
    let path = acme.path(&format!("apiToken/{id}"));
    let widened = server.call(Method::PATCH, &path, &text, Some(json!({ "quota": null }))).await;
    assert_eq!(widened.status, 400, "{}", widened.text);
}
