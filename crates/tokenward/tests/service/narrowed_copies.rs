//! What an older copy of the database gives nobody back: what was taken from a role, from what a token is bound to, from the policy of a
//! policy token, from the routes of an API and from what is asked of the lives of tokens. What is not known any more is switched
//! off, and nothing that was given comes back.

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_server::config::Config;

use crate::nodes::{database, node_config};
use crate::other_log::{Dump, keep_copy, put_copy_back, restored};
use crate::support::{Organization, Server, config};

/// What there is before the copy: ids, and the texts that are asked about.
struct World {
    ops: String,
    asking: String,
    /// With the custom role.
    holder: String,
    /// Reads the API.
    reader: String,
    moved: String,
    bound: String,
    stranded: String,
    given: String,
    policy: String,
    /// The user of that address.
    junior: String,
}

const READS: &str = "allow if input.request.method == \"GET\"";
const WRITES: &str = "allow if input.request.method == \"PUT\"";
const JUNIOR: &str = "junior@acme.example";

fn role_body(name: &str, permissions: &[&str]) -> Value {
    json!({ "name": name, "cluster_permissions": [], "project_permissions": [], "permissions": permissions })
}

fn routes(permission: &str) -> Value {
    json!({ "routes": [{ "method": "GET", "path": "/invoices", "permission": permission }] })
}

async fn before_the_copy(server: &Server, acme: &Organization) -> World {
    let body = json!({ "name": "ops", "permissions": ["invoices:read", "invoices:write"] });
    let ops = server.post(&acme.path("customRole"), &acme.owner, body).await.expect(201);
    let ops = ops["id"].as_str().unwrap().to_owned();
    let made = async |name: &str, role: &str| {
        server.new_token(acme, json!({ "name": name, "role_id": server.role(acme, role).await })).await
    };
    server.put(&acme.path("api/shop"), &acme.owner, routes("invoices:read")).await.expect(200);
    let junior = server.member(acme, JUNIOR, "devops").await.0;
    let body = json!({ "name": "policy", "opa_policy": READS, "role_id": server.role(acme, "viewer").await });
    let policy = server.post(&acme.path("policyApiToken"), &acme.owner, body).await.expect(201);
    World {
        asking: server.token(acme, "asking", "admin").await,
        holder: server.new_token(acme, json!({ "name": "holder", "role_id": ops })).await.1,
        reader: made("reader", "viewer").await.1,
        moved: made("moved", "devops").await.0,
        bound: made("bound", "viewer").await.0,
        stranded: made("stranded", "devops").await.0,
        given: made("given", "viewer").await.0,
        policy: policy["id"].as_str().unwrap().to_owned(),
        junior,
        ops,
    }
}

async fn patch(server: &Server, acme: &Organization, path: &str, body: Value) {
    server.call(Method::PATCH, &acme.path(path), &acme.owner, Some(body)).await.expect(200);
}

async fn after_the_copy(server: &Server, acme: &Organization, world: &World) {
    let role = acme.path(&format!("customRole/{}", world.ops));
    server.put(&role, &acme.owner, role_body("ops", &["invoices:read"])).await.expect(200);
    let (viewer, devops) = (server.role(acme, "viewer").await, server.role(acme, "devops").await);
    patch(server, acme, &format!("apiToken/{}", world.moved), json!({ "role_id": viewer })).await;
    let bounds = json!({
        "permissions": ["invoices:read"], "networks": ["203.0.113.0/24"], "expires_at": "2099-01-01T00:00:00Z",
    });
    patch(server, acme, &format!("apiToken/{}", world.bound), bounds).await;
    // Another change after it says the same.
    patch(server, acme, &format!("apiToken/{}", world.bound), json!({ "description": "bound" })).await;
    let body = json!({ "name": "junior", "permissions": ["invoices:read"] });
    let junior = server.post(&acme.path("customRole"), &acme.owner, body).await.expect(201);
    let junior = junior["id"].as_str().unwrap().to_owned();
    patch(server, acme, &format!("apiToken/{}", world.stranded), json!({ "role_id": junior })).await;
    patch(server, acme, &format!("apiToken/{}", world.given), json!({ "role_id": devops })).await;
    let body = json!({ "user_id": world.junior, "role_id": junior });
    let given = server.put(&acme.path("member"), &acme.owner, body).await;
    assert!(given.status.is_success(), "{}", given.text);
    patch(server, acme, &format!("policyApiToken/{}", world.policy), json!({ "opa_policy": WRITES })).await;
    server.put(&acme.path("api/shop"), &acme.owner, routes("secret:write")).await.expect(200);
    server.put(&acme.path("tokenPolicy"), &acme.owner, json!({ "max_lifetime": "30d" })).await.expect(200);
}

async fn may(server: &Server, world: &World, permission: &str) -> String {
    let question = json!({ "token": world.holder, "permission": permission });
    server.post("/verify", &world.asking, question).await.str("code")
}

/// What is told of a token that binds it.
async fn told(server: &Server, acme: &Organization, id: &str) -> Vec<Value> {
    let shown = server.get(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.expect(200);
    let fields = ["role_id", "permissions", "networks", "expires_at", "state"];
    fields.iter().map(|field| shown[*field].clone()).collect()
}

/// How the tokens that are bound to less are told of.
async fn all_told(server: &Server, acme: &Organization, world: &World) -> [Vec<Value>; 2] {
    [told(server, acme, &world.moved).await, told(server, acme, &world.bound).await]
}

async fn in_the_older_copy(server: &Server, acme: &Organization, world: &World, before: &[Vec<Value>; 2]) {
    assert_eq!(may(server, world, "invoices:read").await, "valid");
    assert_eq!(may(server, world, "invoices:write").await, "permission_denied");
    assert_eq!(all_told(server, acme, world).await, *before);
    let (viewer, devops) = (server.role(acme, "viewer").await, server.role(acme, "devops").await);
    // Its role is lost with the log: whoever had more before has nothing.
    let stranded = told(server, acme, &world.stranded).await;
    assert_eq!((&stranded[0], &stranded[4]), (&json!(devops), &json!("disabled")));
    let given = told(server, acme, &world.given).await;
    assert_eq!((&given[0], &given[4]), (&json!(viewer), &json!("active")), "what was given is lost");
    let members = server.get(&acme.path("member"), &acme.owner).await.each("results", "email");
    assert!(!members.contains(&JUNIOR.to_owned()), "{members:?}");
    let policy = server.get(&acme.path(&format!("policyApiToken/{}", world.policy)), &acme.owner).await.expect(200);
    assert_eq!(policy["state"], "disabled", "its policy was another one");
    let question = json!({ "token": world.reader, "api": "shop", "request": { "method": "GET", "path": "/invoices" } });
    assert_eq!(server.post("/verify", &world.asking, question).await.str("code"), "permission_denied");
    let asked = server.get(&acme.path("tokenPolicy"), &acme.owner).await.expect(200);
    assert_eq!(asked["max_lifetime"], "30d");
    let status = server.get(&acme.path("log"), &acme.owner).await.expect(200);
    let lost = status["turns"][0]["lost"].as_array().unwrap();
    for kind in ["role.updated", "token.updated", "policy_token.updated", "api.updated", "token_policy.updated"] {
        assert!(lost.iter().any(|it| it["kind"] == kind && it["repaired"] == true), "{kind}: {lost:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_right_comes_back_that_was_taken_from_a_role_a_token_or_an_api() {
    let (server, acme) = Server::with_owner().await;
    let world = before_the_copy(&server, &acme).await;
    let (copy, server) = keep_copy(server, config).await;
    after_the_copy(&server, &acme, &world).await;
    let before = all_told(&server, &acme, &world).await;
    let server = put_copy_back(server, &copy, config).await;
    in_the_older_copy(&server, &acme, &world, &before).await;
    // Once: what somebody gives from then on stays given.
    let role = acme.path(&format!("customRole/{}", world.ops));
    server.put(&role, &acme.owner, role_body("ops", &["invoices:*"])).await.expect(200);
    let server = server.restart().await;
    assert_eq!(may(&server, &world, "invoices:write").await, "valid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_right_comes_back_that_was_taken_from_a_role_a_token_or_an_api_on_postgres() {
    let url = database().await;
    let kept = tempfile::tempdir().unwrap();
    let with = || Config { pepper: None, ..node_config(kept.path(), "a", &url) };
    let (server, acme) = Server::with_owner_and(tempfile::tempdir().unwrap(), with()).await;
    let world = before_the_copy(&server, &acme).await;
    let dump = Dump::of(&url);
    after_the_copy(&server, &acme, &world).await;
    let before = all_told(&server, &acme, &world).await;
    server.stop().await;
    let (_, server) = restored(&dump, with()).await;
    in_the_older_copy(&server, &acme, &world, &before).await;
}
