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

#[tokio::test]
async fn an_edit_of_a_policy_token_is_told_by_its_policy_too() {
    let (server, acme) = Server::with_owner().await;
    let (devops, viewer) = (server.role(&acme, "devops").await, server.role(&acme, "viewer").await);
    let body = json!({ "name": "all", "role_id": devops, "opa_policy": "allow := true" });
    let made = server.post(&acme.path("policyApiToken"), &acme.owner, body).await.expect(201);
    let path = acme.path(&format!("policyApiToken/{}", made["id"].as_str().unwrap()));
    for (method, place, permission) in [("GET", "/invoices/7", "invoices:read"), ("POST", "/refunds", "refunds:write")]
    {
        let request = json!({ "method": method, "path": place, "body": "" });
        let asked = json!({ "token": made["token"], "permission": permission, "request": request });
        assert_eq!(server.post("/verify", &acme.owner, asked).await.str("code"), "valid");
    }
    let before = server.get(&path, &acme.owner).await.expect(200);
    let effect = async |edit: Value| server.post(&format!("{path}/effect"), &acme.owner, edit).await;
    let reads = "allow if input.request.method == \"GET\"";
    for (edit, looked_at, refused) in [
        (json!({ "name": "other", "labels": { "team": "shop" } }), 0, json!([])),
        (json!({ "opa_policy": "allow := true" }), 0, json!([])),
        (json!({ "opa_policy": reads }), 2, json!(["POST /refunds"])),
        (json!({ "role_id": viewer }), 2, json!(["POST /refunds"])),
        (json!({ "role_id": viewer, "opa_policy": reads }), 2, json!(["POST /refunds"])),
        (json!({ "role_id": viewer, "opa_policy": "allow if false" }), 2, json!(["GET", "POST"])),
    ] {
        let told = effect(edit.clone()).await.expect(200);
        let (mut wanted, mut said): (Vec<Value>, Vec<Value>) =
            (refused.as_array().unwrap().clone(), told["refused"].as_array().unwrap().clone());
        wanted.sort_by_key(ToString::to_string);
        said.sort_by_key(ToString::to_string);
        let begins = |(said, wanted): (&Value, &Value)| said.as_str().unwrap().starts_with(wanted.as_str().unwrap());
        assert!(said.len() == wanted.len() && said.iter().zip(&wanted).all(begins), "{edit}: {told}");
        let counts = (&told["looked_at"], &told["refused_count"]);
        assert_eq!(counts, (&json!(looked_at), &json!(said.len())), "{edit}: {told}");
    }
    // Nothing was changed, and what the edit itself refuses is refused.
    let after = server.get(&path, &acme.owner).await.expect(200);
    assert_eq!((&after["opa_policy"], &after["updated_at"]), (&before["opa_policy"], &before["updated_at"]));
    let nonsense = json!({ "opa_policy": "allow if nonsense(" });
    for wrong in [json!({ "opa_policy": null }), nonsense, json!({ "policy": reads })] {
        assert_eq!(effect(wrong.clone()).await.outcome(), (400, "invalid_request".into()), "{wrong}");
    }
    // What was decided is not for everybody who may change policy tokens.
    let admin = server.role(&acme, "admin").await;
    let narrow = json!({ "name": "manager", "role_id": admin, "permissions": ["policy:manage"] });
    let (_, manager) = server.new_token(&acme, narrow).await;
    let (_, other) = server.new_token(&acme, json!({ "name": "devops", "role_id": devops })).await;
    for (text, code, missing) in
        [(&manager, "scope_denied", "token:verify"), (&other, "permission_denied", "policy:manage")]
    {
        let refused = server.post(&format!("{path}/effect"), text, json!({ "description": "x" })).await;
        assert_eq!(refused.outcome(), (403, code.to_owned()), "{refused:?}");
        assert_eq!(refused.json()["missing_permission"], missing);
    }
    let beta = server.new_organization("Beta").await;
    let elsewhere = beta.path(&format!("policyApiToken/{}/effect", made["id"].as_str().unwrap()));
    assert_eq!(server.post(&elsewhere, &beta.owner, json!({ "description": "x" })).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_is_told_by_what_it_would_refuse_on_postgres() {
    let url = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = Config { database: url, ..crate::support::config(directory.path()) };
    let (server, acme) = Server::with_owner_and(directory, config).await;
    tells_what_an_edit_takes(&server, &acme).await;
}
