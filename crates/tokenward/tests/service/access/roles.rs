//! Custom roles: what they consist of, and what is refused.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Organization, Server};

async fn custom(server: &Server, organization: &Organization, name: &str) -> Value {
    server.post(&organization.path("customRole"), &organization.owner, json!({ "name": name })).await.expect(201)
}

async fn project(server: &Server, organization: &Organization, name: &str) -> String {
    let made = server.post(&organization.path("project"), &organization.owner, json!({ "name": name })).await;
    made.expect(200)["id"].as_str().unwrap().to_owned()
}

async fn cluster(server: &Server, organization: &Organization, name: &str) -> String {
    let body = json!({ "name": name, "region": "eu-west-3", "cloud_provider": "AWS" });
    let made = server.post(&organization.path("cluster"), &organization.owner, body).await;
    made.expect(201)["id"].as_str().unwrap().to_owned()
}

fn levels(level: &str) -> Value {
    ["DEVELOPMENT", "PREVIEW", "STAGING", "PRODUCTION"]
        .map(|mode| json!({ "environment_type": mode, "permission": level }))
        .into_iter()
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_role_has_the_full_default_matrix_and_new_things_join_it() {
    let (server, acme) = Server::with_owner().await;
    let (first, c1) = (project(&server, &acme, "shop").await, cluster(&server, &acme, "main").await);
    let role = custom(&server, &acme, "deployer").await;
    assert_eq!(role["description"], "", "an omitted description reads back empty (Terraform trap)");
    assert_eq!(role["permissions"], json!([]));
    assert_eq!(role["cluster_permissions"][0]["cluster_name"], "main");
    assert_eq!(role["cluster_permissions"][0]["permission"], "VIEWER");
    assert_eq!(role["project_permissions"][0]["project_id"], first.as_str());
    assert_eq!(role["project_permissions"][0]["is_admin"], false);
    assert_eq!(role["project_permissions"][0]["permissions"], levels("NO_ACCESS"));
    project(&server, &acme, "site").await;
    cluster(&server, &acme, "edge").await;
    let path = acme.path(&format!("customRole/{}", role["id"].as_str().unwrap()));
    let role = server.get(&path, &acme.owner).await.expect(200);
    assert_eq!(role["project_permissions"].as_array().map(Vec::len), Some(2));
    assert_eq!(role["cluster_permissions"].as_array().map(Vec::len), Some(2));
    let _ = c1;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_replaces_the_matrix_as_terraform_and_the_published_console_send_it() {
    let (server, acme) = Server::with_owner().await;
    let (shop, site, main) = (
        project(&server, &acme, "shop").await,
        project(&server, &acme, "site").await,
        cluster(&server, &acme, "main").await,
    );
    let role = custom(&server, &acme, "deployer").await;
    let path = acme.path(&format!("customRole/{}", role["id"].as_str().unwrap()));
    let body = json!({
        "name": "deployer", "description": "deploys",
        // The names stand in answers and come back with them.
        "cluster_permissions": [{ "cluster_id": main, "cluster_name": "main", "permission": "ENV_CREATOR" }],
        "project_permissions": [
            { "project_id": shop, "project_name": "shop", "is_admin": false, "permissions": levels("DEPLOYER") },
            // Terraform leaves the levels of an admin out.
            { "project_id": site, "is_admin": true },
        ],
    });
    let changed = server.put(&path, &acme.owner, body.clone()).await.expect(200);
    assert_eq!(changed["cluster_permissions"][0]["permission"], "ENV_CREATOR");
    assert_eq!(changed["project_permissions"][0]["permissions"], levels("DEPLOYER"));
    assert_eq!(changed["project_permissions"][1]["is_admin"], true);
    assert_eq!(changed["project_permissions"][1]["permissions"], levels("MANAGER"));
    assert_eq!(server.get(&path, &acme.owner).await.expect(200), changed);
    // A project that is left out has its default again; our own permissions stay when they are not named.
    let ours = json!({ "name": "deployer", "cluster_permissions": [], "project_permissions": [],
        "permissions": ["invoices:*", "token:verify"] });
    server.put(&path, &acme.owner, ours).await.expect(200);
    let bare = json!({ "name": "deployer", "cluster_permissions": [], "project_permissions": [] });
    let bare = server.put(&path, &acme.owner, bare).await.expect(200);
    assert_eq!(bare["permissions"], json!(["token:verify", "invoices:*"]));
    assert_eq!(bare["project_permissions"][0]["permissions"], levels("NO_ACCESS"));
    assert_eq!(bare["description"], "deploys");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_matrix_is_refused_with_all_faults_and_nothing_changes() {
    let (server, acme) = Server::with_owner().await;
    let (shop, main) = (project(&server, &acme, "shop").await, cluster(&server, &acme, "main").await);
    let role = custom(&server, &acme, "deployer").await;
    let path = acme.path(&format!("customRole/{}", role["id"].as_str().unwrap()));
    let before = server.get(&path, &acme.owner).await.expect(200);
    let absent = "01900000-0000-7000-8000-000000000000";
    let three: Value = levels("VIEWER").as_array().unwrap()[..3].to_vec().into();
    let twice: Value =
        [levels("VIEWER").as_array().unwrap()[..3].to_vec(), vec![levels("VIEWER")[0].clone()]].concat().into();
    let edit = |clusters: Value, projects: Value| json!({ "name": "deployer", "cluster_permissions": clusters, "project_permissions": projects });
    let entry =
        |id: &str, permissions: Value| json!([{ "project_id": id, "is_admin": false, "permissions": permissions }]);
    for (body, field, says) in [
        (
            edit(json!([{ "cluster_id": absent, "permission": "ADMIN" }]), json!([])),
            "cluster_permissions",
            "not a cluster",
        ),
        (
            edit(json!([{ "cluster_id": main, "permission": "ROOT" }]), json!([])),
            "cluster_permissions[0].permission",
            "ENV_CREATOR",
        ),
        (edit(json!([]), entry(absent, levels("VIEWER"))), "project_permissions", "not a project"),
        (edit(json!([]), entry(&shop, three)), "project_permissions[0].permissions", "PRODUCTION"),
        (edit(json!([]), entry(&shop, twice)), "project_permissions[0].permissions", "DEVELOPMENT twice"),
        (edit(json!([]), entry(&shop, json!([]))), "project_permissions[0].permissions", "lacks"),
        (
            edit(json!([]), json!([{ "project_id": shop, "is_admin": false }])),
            "project_permissions[0].permissions",
            "lacks",
        ),
        (edit(json!([]), entry(&shop, levels("OWNER"))), "project_permissions[0].permissions[0].permission", "MANAGER"),
    ] {
        let refused = server.put(&path, &acme.owner, body).await.expect(400);
        let fault = &refused["faults"][0];
        assert_eq!(fault["field"], field, "{refused}");
        assert!(fault["problem"].as_str().unwrap().contains(says), "{refused}");
    }
    let double = edit(
        json!([{ "cluster_id": main, "permission": "ADMIN" }, { "cluster_id": main, "permission": "VIEWER" }]),
        json!([{ "project_id": shop, "is_admin": true }, { "project_id": shop, "is_admin": true }]),
    );
    let refused = server.put(&path, &acme.owner, double).await.expect(400);
    assert_eq!(refused["faults"].as_array().map(Vec::len), Some(2), "all faults together: {refused}");
    assert_eq!(server.get(&path, &acme.owner).await.expect(200), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_confusable_and_taken_names_are_refused() {
    let (server, acme) = Server::with_owner().await;
    custom(&server, &acme, "Deployer").await;
    for (name, status) in [
        ("Owner", 400),
        ("ADMIN", 400),
        ("vıewer", 400),
        ("verifier", 400),
        (" deployer", 400),
        ("", 400),
        ("dеployer", 400), // a Cyrillic е among Latin letters
        ("deployer", 409),
        ("DEPLOYER", 409),
        ("dep1oyer", 409),
    ] {
        let answer = server.post(&acme.path("customRole"), &acme.owner, json!({ "name": name })).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.text);
    }
    for permission in ["token:manage", "project:read", "member:*", "nonsense", "*:*:*"] {
        let body = json!({ "name": "r", "permissions": [permission] });
        let refused = server.post(&acme.path("customRole"), &acme.owner, body).await.expect(400);
        assert_eq!(refused["faults"][0]["field"], "permissions", "{permission}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_in_use_says_by_whom_and_what_to_do() {
    let (server, acme) = Server::with_owner().await;
    let role = custom(&server, &acme, "deployer").await;
    let path = acme.path(&format!("customRole/{}", role["id"].as_str().unwrap()));
    let text = server.token(&acme, "ci", "deployer").await;
    server.member(&acme, "ada@acme.example", "deployer").await;
    let invite = json!({ "email": "new@acme.example", "role_id": role["id"] });
    let invitation = server.post(&acme.path("inviteMember"), &acme.owner, invite).await.expect(201);
    let refused = server.delete(&path, &acme.owner).await.expect(409);
    let detail = refused["detail"].as_str().unwrap();
    for says in ["token `ci`", "member `ada@acme.example`", "?move_to=<role id>", "create_before_destroy = true"] {
        assert!(detail.contains(says), "{says}: {detail}");
    }
    assert!(!detail.contains("new@acme.example"), "who is only invited holds nothing: {detail}");
    let tokens = server.get(&acme.path("apiToken"), &acme.owner).await.expect(200);
    let token = tokens["results"][0]["id"].as_str().unwrap();
    server.delete(&acme.path(&format!("apiToken/{token}")), &acme.owner).await.expect(204);
    let members = server.get(&acme.path("member"), &acme.owner).await.expect(200);
    let ada = members["results"].as_array().unwrap().iter().find(|it| it["email"] == "ada@acme.example").unwrap();
    let body = json!({ "user_id": ada["id"] });
    server.call(Method::DELETE, &acme.path("member"), &acme.owner, Some(body)).await.expect(204);
    server.delete(&path, &acme.owner).await.expect(204);
    server.get(&path, &acme.owner).await.expect(404);
    let invitation = acme.path(&format!("inviteMember/{}", invitation["id"].as_str().unwrap()));
    server.get(&invitation, &acme.owner).await.expect(404);
    let events = server.get(&acme.path("events?pageSize=2"), &acme.owner).await;
    assert_eq!(events.each("events", "kind"), ["role.deleted", "invitation.deleted"]);
    // The revoked token has lost its role, and is still revoked rather than unknown.
    let verified = server.post("/verify", &acme.owner, json!({ "token": text })).await.expect(200);
    assert_eq!(verified["code"], "revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_tokens_get_another_role_with_theirs_by_whoever_may_change_them() {
    let (server, acme) = Server::with_owner().await;
    let (role, viewer) = (custom(&server, &acme, "deployer").await, server.role(&acme, "viewer").await);
    let body = json!({ "name": "reader", "role_id": role["id"], "opa_policy": "allow := true" });
    server.post(&acme.path("policyApiToken"), &acme.owner, body).await.expect(201);
    let permissions = ["role:manage", "token:manage"];
    let narrow = json!({ "name": "narrow", "role_id": server.role(&acme, "admin").await, "permissions": permissions });
    let (_, narrow) = server.new_token(&acme, narrow).await;
    let path = acme.path(&format!("customRole/{}?move_to={viewer}", role["id"].as_str().unwrap()));
    let refused = server.delete(&path, &narrow).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["missing_permission"]), (403, &json!("policy:manage")));
    server.delete(&path, &acme.owner).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_left_hands_its_holders_to_another_one_at_once() {
    let (server, acme) = Server::with_owner().await;
    let role = custom(&server, &acme, "deployer").await;
    let path = acme.path(&format!("customRole/{}", role["id"].as_str().unwrap()));
    let (viewer, owner) = (server.role(&acme, "viewer").await, server.owner_role(&acme).await);
    let end = server.running.app.now().plus(60_000_000).to_string();
    let own = role["id"].clone();
    for (name, ends) in [("ci", Value::Null), ("short", end.into())] {
        server.new_token(&acme, json!({ "name": name, "role_id": own, "expires_at": ends })).await;
    }
    let text = server.new_token(&acme, json!({ "name": "used", "role_id": own })).await.1;
    server.member(&acme, "ada@acme.example", "deployer").await;
    let foreign = server.role(&server.new_organization("Other").await, "viewer").await;
    for target in [role["id"].as_str().unwrap(), owner.as_str(), foreign.as_str(), "viewer"] {
        let refused = server.delete(&format!("{path}?move_to={target}"), &acme.owner).await.expect(400);
        assert_eq!(refused["faults"][0]["field"], "move_to", "{target}");
    }
    let devops = server.token(&acme, "devops", "devops").await;
    assert_eq!(server.delete(&format!("{path}?move_to={viewer}"), &devops).await.status, 403, "who manages no roles");
    server.clock.set(server.running.app.now().plus(120_000_000));
    let acme_owner = server.sign_in(crate::support::OWNER, crate::support::PASSWORD).await;
    server.delete(&format!("{path}?move_to={viewer}"), &acme_owner).await.expect(204);
    let tokens = server.get(&acme.path("apiToken"), &acme_owner).await.expect(200);
    for name in ["ci", "used"] {
        let token = tokens["results"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap();
        assert_eq!((&token["role_id"], &token["role_name"]), (&json!(viewer), &json!("viewer")), "{name}");
    }
    let members = server.get(&acme.path("member"), &acme_owner).await.expect(200);
    let ada = members["results"].as_array().unwrap().iter().find(|it| it["email"] == "ada@acme.example").unwrap();
    assert_eq!(ada["role_name"], "viewer");
    let asked = server.post("/verify", &acme_owner, json!({ "token": text })).await.expect(200);
    assert_eq!(
        (&asked["valid"], &asked["token"]["role_name"]),
        (&json!(true), &json!("viewer")),
        "it counts at once: {asked}"
    );
    let events = server.get(&acme.path("events?pageSize=5"), &acme_owner).await;
    let mut kinds = events.each("events", "kind");
    assert_eq!(kinds.remove(0), "role.deleted");
    kinds.sort_unstable();
    assert_eq!(kinds, ["member.updated", "token.updated", "token.updated", "token.updated"], "one for each");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_has_ended_holds_no_role_and_can_still_be_read() {
    let (server, acme) = Server::with_owner().await;
    let role = custom(&server, &acme, "deployer").await;
    let end = server.running.app.now().plus(60_000_000).to_string();
    let body = json!({ "name": "short", "role_id": role["id"], "expires_at": end });
    let (id, text) = server.new_token(&acme, body).await;
    let path = acme.path(&format!("customRole/{}", role["id"].as_str().unwrap()));
    server.delete(&path, &acme.owner).await.expect(409);
    server.clock.set(server.running.app.now().plus(60_000_000));
    server.delete(&path, &acme.owner).await.expect(204);
    // It names the least that there is. The log says so.
    let shown = server.get(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.expect(200);
    assert_eq!((&shown["state"], &shown["role_name"]), (&json!("expired"), &json!("viewer")));
    let events = server.get(&acme.path("events?pageSize=2"), &acme.owner).await;
    assert_eq!(events.each("events", "kind"), ["role.deleted", "token.updated"]);
    let asked = server.post("/verify", &acme.owner, json!({ "token": text })).await.expect(200);
    assert_eq!(asked["code"], "expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_a_description_keeps_its_own_and_the_first_role_of_the_list_can_be_given() {
    let (server, acme) = Server::with_owner().await;
    let body = json!({ "name": "deployer", "description": "why" });
    let role = server.post(&acme.path("customRole"), &acme.owner, body).await.expect(201);
    let path = acme.path(&format!("customRole/{}", role["id"].as_str().unwrap()));
    let mut edit = json!({ "name": "deployer", "cluster_permissions": [], "project_permissions": [] });
    assert_eq!(server.put(&path, &acme.owner, edit.clone()).await.expect(200)["description"], "why");
    for empty in [Value::Null, json!("")] {
        edit["description"] = json!("why");
        server.put(&path, &acme.owner, edit.clone()).await.expect(200);
        edit["description"] = empty;
        assert_eq!(server.put(&path, &acme.owner, edit.clone()).await.expect(200)["description"], "");
    }
    let devops = server.token(&acme, "devops", "devops").await;
    let list = server.get(&acme.path("availableRole"), &devops).await;
    assert_eq!(list.each("results", "name")[0], "devops", "an admin token is more than this caller may give");
    assert_eq!(server.get(&acme.path("availableRole"), &acme.owner).await.each("results", "name")[0], "admin");
    let named = server.post(&acme.path("apiToken"), &devops, json!({ "name": "x", "role_id": "viewer" })).await;
    let refused = named.expect(400);
    assert!(refused["faults"][0]["problem"].as_str().unwrap().contains("availableRole"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_role_counts_for_its_tokens_at_once() {
    let (server, acme) = Server::with_owner().await;
    let role = custom(&server, &acme, "biller").await;
    let text = server.token(&acme, "ci", "biller").await;
    let ask = json!({ "token": text, "permission": "invoices:read" });
    assert_eq!(server.post("/verify", &acme.owner, ask.clone()).await.expect(200)["code"], "permission_denied");
    let path = acme.path(&format!("customRole/{}", role["id"].as_str().unwrap()));
    let body = json!({ "name": "biller", "cluster_permissions": [], "project_permissions": [], "permissions": ["invoices:read"] });
    server.put(&path, &acme.owner, body).await.expect(200);
    assert_eq!(server.post("/verify", &acme.owner, ask).await.expect(200)["valid"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_an_old_version_is_refused() {
    let (server, acme) = Server::with_owner().await;
    let role = custom(&server, &acme, "deployer").await;
    let path = acme.path(&format!("customRole/{}", role["id"].as_str().unwrap()));
    let tag = server.get(&path, &acme.owner).await.headers["etag"].to_str().unwrap().to_owned();
    let edit = |name: &str| json!({ "name": name, "cluster_permissions": [], "project_permissions": [] });
    let put = |tag: String, name: &'static str| {
        let (server, path, owner) = (&server, &path, &acme.owner);
        async move { server.call_with(reqwest::Method::PUT, path, owner, Some(edit(name)), &[("if-match", &tag)]).await }
    };
    let second = put(tag.clone(), "second").await;
    assert_eq!(second.status, 200);
    let next = second.headers["etag"].to_str().unwrap().to_owned();
    assert_ne!(tag, next);
    assert_eq!(put(tag, "third").await.outcome(), (412, "precondition_failed".to_owned()));
    assert_eq!(put(format!("W/{next}"), "third").await.outcome().0, 412);
    assert_eq!(put("*".to_owned(), "third").await.status, 200);
    // Optional everywhere: clients of the contract never send it.
    server.put(&path, &acme.owner, edit("fourth")).await.expect(200);
    for path in [format!("/organization/{}", acme.id), path.clone()] {
        assert!(server.get(&path, &acme.owner).await.headers.contains_key("etag"), "{path}");
    }
}

#[tokio::test]
async fn a_role_of_more_permissions_than_the_limit_is_refused_by_its_name() {
    let (server, acme) = Server::with_owner().await;
    let named = |count: usize| (0..count).map(|n| format!("invoices{n}:read")).collect::<Vec<_>>();
    let body = |count: usize| json!({ "name": format!("of {count}"), "permissions": named(count) });
    server.post(&acme.path("customRole"), &acme.owner, body(200)).await.expect(201);
    for count in [201, 20_000] {
        let refused = server.post(&acme.path("customRole"), &acme.owner, body(count)).await.expect(400);
        assert_eq!(refused["faults"][0]["field"], "permissions");
        assert!(refused["detail"].as_str().unwrap().contains("`role_permissions` is 200"), "{refused}");
    }
}
