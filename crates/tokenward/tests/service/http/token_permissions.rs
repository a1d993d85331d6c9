//! Tokens that are narrowed to some permissions of their role, on every way of asking, and what they hand out.

use serde_json::{Value, json};

use reqwest::Method;

use crate::support::{Answer, Organization, Server};

async fn made(server: &Server, acme: &Organization, name: &str, role: &str, permissions: &[&str]) -> (String, String) {
    let role = server.role(acme, role).await;
    server.new_token(acme, json!({ "name": name, "role_id": role, "permissions": permissions })).await
}

async fn create(server: &Server, acme: &Organization, by: &str, body: Value) -> Answer {
    server.post(&acme.path("apiToken"), by, body).await
}

async fn asked(server: &Server, acme: &Organization, text: &str, permission: &str) -> String {
    let body = json!({ "token": text, "permission": permission });
    let answer = server.post("/verify", &acme.owner, body).await.expect(200);
    // Every no for want of a permission names it.
    let missing = if answer["valid"] == true { Value::Null } else { json!(permission) };
    assert_eq!(answer.get("missing_permission").unwrap_or(&Value::Null), &missing, "{answer}");
    answer["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_narrowed_token_may_do_what_it_names_and_its_role_allows() {
    let (server, acme) = Server::with_owner().await;
    let (id, text) = made(
        &server,
        &acme,
        "reader",
        "viewer",
        &["invoices:read", "project:read", "organization:read", "invoices:read"],
    )
    .await;
    let server = {
        assert_eq!(asked(&server, &acme, &text, "invoices:read").await, "valid");
        server.restart().await
    };
    for (permission, code) in [
        ("invoices:read", "valid"),
        ("orders:read", "scope_denied"),
        ("invoices:write", "permission_denied"),
        ("project:read", "valid"),
        ("token:read", "scope_denied"),
    ] {
        assert_eq!(asked(&server, &acme, &text, permission).await, code, "{permission}");
    }
    // Our own API, what it tells of itself, introspection and gateways.
    let refused = server.get(&acme.path("apiToken"), &text).await;
    assert_eq!(refused.outcome(), (403, "scope_denied".into()));
    assert_eq!(refused.json()["missing_permission"], "token:read");
    let detail = "This needs the permission `token:read`. Your role has it, but this token is narrowed to less.";
    assert_eq!(refused.str("detail"), detail);
    assert_eq!(server.get(&acme.path("project"), &text).await.status, 200);
    let own = server.get("/token/self", &text).await.expect(200);
    assert_eq!(own["permissions"], json!(["organization:read", "project:read", "invoices:read"]));
    assert_eq!(own["reads_everywhere"], json!(["organization:read", "project:read"]));
    let form = server.request("POST", "/introspect").bearer_auth(&acme.owner).form(&[("token", &text)]);
    let told = server.send(form).await.expect(200);
    assert_eq!(
        (&told["active"], &told["scope"]),
        (&json!(true), &json!("invoices:read organization:read project:read"))
    );
    for (permission, status) in [("invoices:read", 200), ("orders:read", 403)] {
        let path = format!("/forward-auth?permission={permission}");
        let answer = server.get(&path, &text).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        if status == 200 {
            assert_eq!(answer.header("x-tokenward-permissions"), Some("organization:read project:read invoices:read"));
        } else {
            assert_eq!(answer.header("x-tokenward-reason"), Some("scope_denied"));
            assert_eq!(answer.json()["missing_permission"], permission);
            let decision = format!("/decision/{}", answer.header("x-tokenward-decision-id").unwrap());
            let told = server.get(&decision, &acme.owner).await.expect(200);
            assert_eq!((&told["code"], &told["missing_permission"]), (&json!("scope_denied"), &json!(permission)));
        }
    }
    let decide = acme.path(&format!("apiToken/{id}/decide"));
    let told = server.post(&decide, &acme.owner, json!({ "permission": "orders:read" })).await.expect(200);
    assert_eq!((&told["code"], &told["missing_permission"]), (&json!("scope_denied"), &json!("orders:read")));
    let shown = server.get(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.expect(200);
    assert_eq!(shown["permissions"], json!(["organization:read", "project:read", "invoices:read"]));
    // Other permissions count from the next request on, and null frees it.
    let path = acme.path(&format!("apiToken/{id}"));
    let edit = async |permissions: Value| {
        server.call(Method::PATCH, &path, &acme.owner, Some(json!({ "permissions": permissions }))).await
    };
    assert_eq!(edit(json!(["orders:*"])).await.outcome(), (400, "invalid_request".into()), "the role reads only");
    edit(json!(["orders:read"])).await.expect(200);
    assert_eq!(asked(&server, &acme, &text, "orders:read").await, "valid");
    assert_eq!(asked(&server, &acme, &text, "invoices:read").await, "scope_denied");
    let freed = edit(Value::Null).await.expect(200);
    assert_eq!(freed.get("permissions"), None);
    assert_eq!(asked(&server, &acme, &text, "token:read").await, "valid");
}

#[tokio::test]
async fn what_is_not_of_the_role_or_no_permission_is_refused_by_name() {
    let (server, acme) = Server::with_owner().await;
    let role = server.role(&acme, "viewer").await;
    for (permissions, told) in [
        (json!([]), "is empty"),
        (json!(["invoices:read", "token:*"]), "permissions[1]"),
        (json!(["token:frobnicate"]), "token:manage"),
        (json!(["invoices:write"]), "`invoices:write`, which the role `viewer` does not hold"),
        (json!(["*"]), "`*`, which the role"),
        (json!(vec!["a:read"; 101]), "token_permissions"),
    ] {
        let body = json!({ "name": "t", "role_id": role, "permissions": permissions });
        let refused = create(&server, &acme, &acme.owner, body).await;
        assert_eq!(refused.outcome(), (400, "invalid_request".into()), "{permissions}: {}", refused.text);
        assert!(refused.text.contains(told), "{permissions}: {}", refused.text);
    }
    // Another role must hold them too.
    let (id, _) = made(&server, &acme, "t", "devops", &["invoices:write"]).await;
    let path = acme.path(&format!("apiToken/{id}"));
    let moved = server.call(Method::PATCH, &path, &acme.owner, Some(json!({ "role_id": role }))).await;
    assert_eq!(moved.outcome(), (400, "invalid_request".into()));
    let both = json!({ "role_id": role, "permissions": ["invoices:read"] });
    server.call(Method::PATCH, &path, &acme.owner, Some(both)).await.expect(200);
}

#[tokio::test]
async fn a_narrowed_token_hands_out_nothing_beyond_itself() {
    let (server, acme) = Server::with_owner().await;
    let own = ["token:manage", "token:read", "invoices:read"];
    let (id, text) = made(&server, &acme, "maker", "devops", &own).await;
    let (wide, _) = made(&server, &acme, "wide", "devops", &["invoices:write"]).await;
    let (devops, viewer) = (server.role(&acme, "devops").await, server.role(&acme, "viewer").await);
    // Neither a role as it is, nor one that is narrowed to more.
    for body in [
        json!({ "name": "a", "role_id": devops }),
        json!({ "name": "a", "role_id": viewer }),
        json!({ "name": "a", "role_id": viewer, "permissions": ["*:read"] }),
        json!({ "name": "a", "role_id": devops, "permissions": ["invoices:read", "project:read"] }),
        json!({ "name": "a", "role_id": null }),
    ] {
        let refused = create(&server, &acme, &text, body.clone()).await;
        assert_eq!(refused.status, 403, "{body}: {}", refused.text);
    }
    let within = json!({ "name": "a", "role_id": viewer, "permissions": ["invoices:read"] });
    create(&server, &acme, &text, within).await.expect(201);
    // Itself stays narrow, and others cannot be rotated to get at their secrets.
    let itself = acme.path(&format!("apiToken/{id}"));
    let widened = server.call(Method::PATCH, &itself, &text, Some(json!({ "permissions": null }))).await;
    assert_eq!(widened.status, 403, "{}", widened.text);
    let more =
        server.call(Method::PATCH, &itself, &text, Some(json!({ "permissions": ["token:manage", "*:read"] }))).await;
    assert_eq!(more.status, 403, "{}", more.text);
    let rotated = server.post(&acme.path(&format!("apiToken/{wide}/rotate")), &text, json!({ "keep": "0" })).await;
    assert_eq!(rotated.status, 403, "{}", rotated.text);
    let own = server.post(&format!("{itself}/rotate"), &text, json!({ "keep": "0" })).await;
    assert_eq!(own.status, 200, "{}", own.text);
}
