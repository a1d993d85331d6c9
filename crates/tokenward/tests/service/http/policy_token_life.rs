//! What becomes of policy tokens: switched off and on, taken back with a reason and brought back, owned, and found.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::Server;

const READS: &str = "allow if input.request.method == \"GET\"";

#[tokio::test]
async fn a_policy_token_is_switched_off_taken_back_and_brought_back_as_others_are() {
    let (server, acme) = Server::frozen().await;
    let asker = server.token(&acme, "asker", "admin").await;
    let body = json!({ "name": "reader", "opa_policy": READS, "role_id": server.role(&acme, "viewer").await });
    let made = server.post(&acme.path("policyApiToken"), &acme.owner, body).await.expect(201);
    let (id, text) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap().to_owned());
    let path = acme.path(&format!("policyApiToken/{id}"));
    let code = async |text: &str| {
        let request = json!({ "method": "GET", "path": "/bills" });
        server.post("/verify", &asker, json!({ "token": text, "request": request })).await.str("code")
    };
    let act = async |what: &str| server.call(Method::POST, &format!("{path}/{what}"), &acme.owner, None).await;
    assert_eq!(code(&text).await, "valid");
    let off = act("disable").await.expect(200);
    assert_eq!((&off["state"], &off["opa_policy"]), (&json!("disabled"), &json!(READS)));
    assert_eq!(code(&text).await, "disabled");
    assert_eq!(act("disable").await.status, 409);
    assert_eq!(act("enable").await.expect(200)["state"], "active");
    assert_eq!((code(&text).await, act("enable").await.status.as_u16()), ("valid".into(), 409));
    assert_eq!(act("undo").await.status, 409, "nothing was deleted");

    let gone = server.delete(&format!("{path}?reason=cessation&note=old"), &acme.owner).await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    let shown = server.get(&path, &acme.owner).await.expect(200);
    assert_eq!((&shown["state"], &shown["revocation"]["reason"]), (&json!("revoked"), &json!("cessation")));
    assert_eq!((&shown["revocation"]["note"], shown.get("versions")), (&json!("old"), None));
    let list = acme.path("policyApiToken");
    assert_eq!(server.get(&list, &acme.owner).await.json()["results"], json!([]));
    let found = server.get(&format!("{list}?state=revoked"), &acme.owner).await.json();
    assert_eq!(found["results"][0]["id"], id, "{found}");
    assert_eq!(server.get(&format!("{list}?state=lost"), &acme.owner).await.status, 400);
    assert_eq!(code(&text).await, "revoked");
    assert_eq!(act("undo").await.expect(200)["state"], "active");
    assert_eq!(code(&text).await, "valid");
    let other = json!({ "token": text, "request": { "method": "POST", "path": "/bills" } });
    assert_eq!(server.post("/verify", &asker, other).await.str("code"), "policy_denied", "with its policy");

    // Not where somebody else may have its secret.
    assert_eq!(server.delete(&format!("{path}?reason=key_compromise"), &acme.owner).await.status, 204);
    assert_eq!(act("undo").await.status, 409);
    // Each kind has its own way, and its own right.
    let devops = server.token(&acme, "devops", "devops").await;
    for what in ["disable", "enable", "undo"] {
        assert_eq!(server.call(Method::POST, &format!("{path}/{what}"), &devops, None).await.status, 403, "{what}");
        let usual = acme.path(&format!("apiToken/{id}/{what}"));
        assert_eq!(server.call(Method::POST, &usual, &acme.owner, None).await.status, 404, "{what}");
    }
}

#[tokio::test]
async fn an_earlier_secret_ends_and_an_owner_is_named_and_missed() {
    let (server, acme) = Server::with_owner().await;
    let body = json!({ "name": "reader", "opa_policy": READS, "owner_id": null });
    let made = server.post(&acme.path("policyApiToken"), &acme.owner, body).await.expect(201);
    let (id, first) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap().to_owned());
    let path = acme.path(&format!("policyApiToken/{id}"));
    assert!(server.get(&path, &acme.owner).await.json().get("owner_id").is_none());
    server.post(&format!("{path}/rotate"), &acme.owner, json!({ "keep": "1h" })).await.expect(200);
    assert_eq!(server.get("/token/self", &first).await.status, 200);
    assert_eq!(server.delete(&format!("{path}/version/2"), &acme.owner).await.status, 409, "the newest one");
    assert_eq!(server.delete(&format!("{path}/version/1"), &acme.owner).await.status, 204);
    assert_eq!(server.get("/token/self", &first).await.outcome(), (401, "replaced".into()));
    let members = server.get(&acme.path("member"), &acme.owner).await.json();
    let owner = members["results"][0]["id"].clone();
    let patch = async |body: Value| server.call(Method::PATCH, &path, &acme.owner, Some(body)).await;
    let patched = patch(json!({ "owner_id": owner })).await.expect(200);
    assert_eq!((&patched["owner_id"], patched.get("owner_left")), (&owner, None));
    let refused = patch(json!({ "successor_id": owner })).await;
    assert!(refused.status == 400 && refused.text.contains("successor_id"), "{}", refused.text);
    let nobody = patch(json!({ "owner_id": acme.id })).await;
    assert!(nobody.status == 400 && nobody.text.contains("is not a member"), "{}", nobody.text);
    let left = server.get(&acme.path("policyApiToken?ownerLeft=true"), &acme.owner).await.json();
    assert_eq!(left["results"], json!([]));
}
