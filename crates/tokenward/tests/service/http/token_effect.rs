//! What an edit would take from a token, told before it is made.

use serde_json::{Value, json};
use tokenward_core::Clock;
use tokenward_core::time::DAY;
use tokenward_server::config::Config;

use crate::support::{Organization, Server};

async fn tells_what_an_edit_takes(server: &Server, acme: &Organization) {
    let devops = server.role(acme, "devops").await;
    let viewer = server.role(acme, "viewer").await;
    let (id, text) = server.new_token(acme, json!({ "name": "ci", "role_id": devops })).await;
    let path = acme.path(&format!("apiToken/{id}"));
    let effect = async |edit: Value| server.post(&format!("{path}/effect"), &acme.owner, edit).await.expect(200);
    let unused = effect(json!({ "role_id": viewer })).await;
    assert_eq!((&unused["allowed_count"], &unused["looked_at"]), (&json!(0), &json!(0)), "{unused}");
    for (permission, address) in
        [("invoices:read", "203.0.113.77"), ("refunds:write", "203.0.113.77"), ("refunds:write", "198.51.100.9")]
    {
        let asked = json!({ "token": text, "permission": permission, "remote_ip": address });
        server.post("/verify", &acme.owner, asked).await.expect(200);
    }
    let before = server.get(&path, &acme.owner).await.expect(200);
    for (edit, looked_at, refused_count, refused) in [
        (json!({ "name": "other", "labels": { "team": "shop" } }), 0, 0, json!([])),
        (json!({ "role_id": devops }), 0, 0, json!([])),
        (json!({ "role_id": viewer }), 3, 2, json!(["refunds:write"])),
        (json!({ "permissions": ["*:read"] }), 3, 2, json!(["refunds:write"])),
        (json!({ "networks": ["203.0.113.0/24"] }), 3, 1, json!(["refunds:write from 198.51.100.9"])),
        (
            json!({ "networks": ["203.0.113.0/24"], "permissions": ["refunds:*"] }),
            3,
            2,
            json!(["refunds:write from 198.51.100.9", "invoices:read"]),
        ),
        (json!({ "networks": null, "permissions": null }), 0, 0, json!([])),
    ] {
        let told = effect(edit.clone()).await;
        assert_eq!((&told["looked_at"], &told["refused_count"]), (&json!(looked_at), &json!(refused_count)), "{edit}");
        let sorted = |list: &Value| {
            let mut all: Vec<String> = list.as_array().unwrap().iter().map(ToString::to_string).collect();
            all.sort_unstable();
            all
        };
        assert_eq!((sorted(&told["refused"]), &told["allowed_count"]), (sorted(&refused), &json!(3)), "{edit}");
        assert!(told.get("ends_sooner").is_none() && told.get("begins_later").is_none(), "{edit}: {told}");
    }
    let day = |days: i64| json!(server.clock.now().plus(days * DAY).to_string());
    let (begin, end) = (day(2), day(5));
    let told = effect(json!({ "not_before": begin, "expires_at": end })).await;
    assert_eq!((&told["begins_later"], &told["ends_sooner"]), (&begin, &end), "{told}");
    let told = effect(json!({ "not_before": day(-2), "expires_at": null })).await;
    assert!(told.get("begins_later").is_none() && told.get("ends_sooner").is_none(), "{told}");
    // Nothing was changed, and what the edit itself refuses is refused.
    let after = server.get(&path, &acme.owner).await.expect(200);
    assert_eq!((&after["name"], &after["updated_at"]), (&before["name"], &before["updated_at"]));
    for wrong in [
        json!({ "name": "" }),
        json!({ "expires_at": day(-1) }),
        json!({ "not_before": end, "expires_at": begin }),
        json!({ "role_id": null }),
        json!({ "role_id": id }),
        json!({ "permissions": ["nonsense"] }),
        json!({ "projects": [id] }),
        json!({ "end": "never" }),
    ] {
        let refused = server.post(&format!("{path}/effect"), &acme.owner, wrong.clone()).await;
        assert_eq!(refused.outcome(), (400, "invalid_request".into()), "{wrong}");
    }
}

#[tokio::test]
async fn an_edit_is_told_by_what_it_would_refuse() {
    let (server, acme) = Server::with_owner().await;
    tells_what_an_edit_takes(&server, &acme).await;
    // What was decided is not for everybody who may change tokens.
    let devops = server.role(&acme, "devops").await;
    let narrow = ["token:manage", "token:read"];
    let (_, manager) =
        server.new_token(&acme, json!({ "name": "manager", "role_id": devops, "permissions": narrow })).await;
    let viewer = server.role(&acme, "viewer").await;
    let (id, _) = server.new_token(&acme, json!({ "name": "t", "role_id": viewer })).await;
    let path = acme.path(&format!("apiToken/{id}/effect"));
    let refused = server.post(&path, &manager, json!({ "description": "x" })).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert_eq!(refused.json()["missing_permission"], "token:verify");
    let beta = server.new_organization("Beta").await;
    let other = beta.path(&format!("apiToken/{id}/effect"));
    assert_eq!(server.post(&other, &beta.owner, json!({ "description": "x" })).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_is_told_by_what_it_would_refuse_on_postgres() {
    let url = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = Config { database: url, ..crate::support::config(directory.path()) };
    let (server, acme) = Server::with_owner_and(directory, config).await;
    tells_what_an_edit_takes(&server, &acme).await;
}
