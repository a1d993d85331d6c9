//! Projects, environments, clusters and variables, with the details that the clients of the contract depend on.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Organization, Server};

pub(super) struct World {
    pub(super) server: Server,
    pub(super) acme: Organization,
    pub(super) cluster: String,
    pub(super) project: String,
    pub(super) environment: String,
}

pub(super) fn id(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

pub(super) async fn world() -> World {
    let (server, acme) = Server::with_owner().await;
    world_in(server, acme).await
}

pub(super) async fn world_in(server: Server, acme: Organization) -> World {
    let body = json!({ "name": "main", "region": "eu-west-3", "cloud_provider": "AWS" });
    let cluster = id(&server.post(&acme.path("cluster"), &acme.owner, body).await.expect(201));
    let project = id(&server.post(&acme.path("project"), &acme.owner, json!({ "name": "shop" })).await.expect(200));
    let path = format!("/project/{project}/environment");
    let body = json!({ "name": "staging", "cluster": cluster, "mode": "STAGING" });
    let environment = id(&server.post(&path, &acme.owner, body).await.expect(201));
    World { server, acme, cluster, project, environment }
}

/// The text of a token whose custom role has these levels.
pub(super) async fn token_with(w: &World, name: &str, cluster: &str, levels: [&str; 4]) -> String {
    let role = w.server.post(&w.acme.path("customRole"), &w.acme.owner, json!({ "name": name })).await.expect(201);
    let modes = ["DEVELOPMENT", "PREVIEW", "STAGING", "PRODUCTION"];
    let levels: Vec<Value> = modes
        .iter()
        .zip(levels)
        .map(|(mode, level)| json!({ "environment_type": mode, "permission": level }))
        .collect();
    let body = json!({
        "name": name,
        "cluster_permissions": [{ "cluster_id": w.cluster, "permission": cluster }],
        "project_permissions": [{ "project_id": w.project, "is_admin": false, "permissions": levels }],
    });
    let path = w.acme.path(&format!("customRole/{}", id(&role)));
    w.server.put(&path, &w.acme.owner, body).await.expect(200);
    w.server.token(&w.acme, name, name).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_reads_back_an_empty_description_and_its_creation_answers_200() {
    let w = world().await;
    let made = w.server.post(&w.acme.path("project"), &w.acme.owner, json!({ "name": "site" })).await;
    let made = made.expect(200);
    assert_eq!(made["description"], "", "Terraform expects an empty text");
    assert_eq!(made["organization"]["id"], w.acme.id.as_str());
    assert_eq!(made["associated_environments_count"], 0);
    let shop = w.server.get(&format!("/project/{}", w.project), &w.acme.owner).await.expect(200);
    assert_eq!(shop["associated_environments_count"], 1);
    let again = w.server.post(&w.acme.path("project"), &w.acme.owner, json!({ "name": "site" })).await;
    assert_eq!(again.outcome(), (409, "name_taken".to_owned()), "never a 400 whose text says that it exists");
    let path = format!("/project/{}", id(&made));
    let changed = w.server.put(&path, &w.acme.owner, json!({ "name": "site-2", "description": "x" })).await.expect(200);
    assert_eq!((changed["name"].as_str(), changed["description"].as_str()), (Some("site-2"), Some("x")));
    w.server.delete(&path, &w.acme.owner).await.expect(204);
    w.server.get(&path, &w.acme.owner).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_always_has_what_the_published_cli_reads_without_a_check() {
    let w = world().await;
    let list = w.server.get(&format!("/project/{}/environment", w.project), &w.acme.owner).await.expect(200);
    let e = &list["results"][0];
    for field in ["id", "created_at", "updated_at", "name", "mode", "cluster_id", "cluster_name"] {
        assert!(e[field].is_string(), "{field} in {e}");
    }
    assert_eq!(e["cloud_provider"], json!({ "provider": "AWS", "cluster": "main" }));
    assert_eq!((&e["project"]["id"], &e["organization"]["id"]), (&json!(w.project), &json!(w.acme.id)));
    let all = w.server.get(&w.acme.path("environments"), &w.acme.owner).await.expect(200);
    assert_eq!(all["results"][0]["project"]["name"], "shop");
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_are_ready_and_name_no_origin() {
    let w = world().await;
    let one = w.server.get(&format!("/environment/{}/status", w.environment), &w.acme.owner).await.expect(200);
    assert_eq!((one["state"].as_str(), one["last_deployment_state"].as_str()), (Some("READY"), Some("READY")));
    assert!(one["origin"].is_null(), "older Go clients refuse words that they do not know");
    let all = w.server.get(&format!("/project/{}/environment/status", w.project), &w.acme.owner).await.expect(200);
    assert_eq!(all["results"], json!([one]));
    let cluster = w.server.get(&w.acme.path(&format!("cluster/{}/status", w.cluster)), &w.acme.owner).await.expect(200);
    assert_eq!((cluster["status"].as_str(), cluster["cluster_id"].as_str()), (Some("READY"), Some(w.cluster.as_str())));
    for field in ["is_deployed", "reason"] {
        assert!(!cluster[field].is_null(), "{field} is required");
    }
    let all = w.server.get(&w.acme.path("cluster/status"), &w.acme.owner).await.expect(200);
    assert_eq!(all["results"], json!([cluster]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_gives_back_what_it_was_sent_and_never_lets_it_replace_ours() {
    let w = world().await;
    let body = json!({ "name": "edge", "region": "fr-par", "cloud_provider": "SCW", "kubernetes": "MANAGED",
        "min_running_nodes": 3, "features": [{ "id": "STATIC_IP" }], "id": "mine", "status": "DELETED" });
    let made = w.server.post(&w.acme.path("cluster"), &w.acme.owner, body).await.expect(201);
    assert_eq!((made["kubernetes"].as_str(), made["min_running_nodes"].as_i64()), (Some("MANAGED"), Some(3)));
    assert_eq!(made["features"], json!([{ "id": "STATIC_IP" }]));
    assert_ne!(made["id"], "mine");
    assert_eq!(made["status"], "READY", "the published CLI lists it");
    let list = w.server.get(&w.acme.path("cluster"), &w.acme.owner).await.expect(200);
    assert_eq!(list["results"][1], made);
    let bad = json!({ "name": "x", "region": "y", "cloud_provider": "MOON" });
    let refused = w.server.post(&w.acme.path("cluster"), &w.acme.owner, bad).await.expect(400);
    assert_eq!(refused["faults"][0]["field"], "cloud_provider");
    // Everything that is wrong, also in what a cluster must have.
    let all_wrong = json!({ "name": 5, "region": ["eu"], "cloud_provider": null, "kubernetes": "BOGUS", "is_demo": 0,
        "ssh_keys": "x" });
    let path = w.acme.path("cluster");
    let refused = w.server.post(&path, &w.acme.owner, all_wrong).await.expect(400);
    let fields: Vec<_> = refused["faults"].as_array().unwrap().iter().map(|fault| fault["field"].clone()).collect();
    assert_eq!(fields, ["name", "region", "cloud_provider", "kubernetes", "is_demo", "ssh_keys"]);
    let refused = w.server.post(&path, &w.acme.owner, json!({})).await.expect(400);
    assert_eq!(refused["faults"].as_array().unwrap().len(), 3, "{refused}");
    let twice = r#"{"name":"x","region":"y","cloud_provider":"AWS","version":"1.33","version":"1.34"}"#;
    let request = w.server.request("POST", &path).bearer_auth(&w.acme.owner).body(twice);
    let refused = w.server.send(request).await.expect(400);
    assert_eq!(refused["faults"], json!([{ "field": "version", "problem": "is there twice" }]));
    let mode = w.acme.path(&format!("cluster/{}?deleteMode=default&skipReconcile=maybe", id(&made)));
    let refused = w.server.delete(&mode, &w.acme.owner).await.expect(400);
    let told: Vec<_> = refused["faults"].as_array().unwrap().iter().map(|fault| fault["problem"].clone()).collect();
    assert_eq!(told, ["has a value that it cannot have; did you mean `DEFAULT`?", "is neither `true` nor `false`"]);
    let used = w.server.delete(&w.acme.path(&format!("cluster/{}", w.cluster)), &w.acme.owner).await.expect(409);
    assert!(used["detail"].as_str().unwrap().contains("`staging`"), "{used}");
    let path = w.acme.path(&format!("cluster/{}?deleteMode=DEFAULT", id(&made)));
    w.server.delete(&path, &w.acme.owner).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_goes_where_its_maker_may_create_one() {
    let w = world().await;
    let path = format!("/project/{}/environment", w.project);
    let dev = token_with(&w, "dev", "ENV_CREATOR", ["MANAGER", "NO_ACCESS", "DEPLOYER", "VIEWER"]).await;
    let no_cluster = token_with(&w, "no-cluster", "VIEWER", ["MANAGER"; 4]).await;
    let body = |name: &str, mode: &str| json!({ "name": name, "cluster": w.cluster, "mode": mode });
    w.server.post(&path, &dev, body("dev-1", "DEVELOPMENT")).await.expect(201);
    assert_eq!(w.server.post(&path, &dev, body("s", "STAGING")).await.outcome().0, 403, "a deployer makes none");
    assert_eq!(w.server.post(&path, &dev, body("p", "PRODUCTION")).await.outcome().0, 403);
    assert_eq!(w.server.post(&path, &no_cluster, body("d", "DEVELOPMENT")).await.outcome().0, 403);
    for (body, field) in [
        (body("x", "PREVIEW"), "mode"),
        (body("x", "MOON"), "mode"),
        (json!({ "name": "x", "cluster": w.acme.id, "mode": "STAGING" }), "cluster"),
        (json!({ "name": "", "cluster": w.cluster }), "name"),
    ] {
        let refused = w.server.post(&path, &w.acme.owner, body).await.expect(400);
        assert_eq!(refused["faults"][0]["field"], field);
    }
    let taken = w.server.post(&path, &w.acme.owner, body("staging", "STAGING")).await;
    assert_eq!(taken.outcome(), (409, "name_taken".to_owned()));
    // The only cluster there is needs no name.
    w.server.post(&path, &w.acme.owner, json!({ "name": "default" })).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_counts_show_what_the_role_sees() {
    let w = world().await;
    let path = format!("/project/{}/environment", w.project);
    for (name, mode) in [("dev", "DEVELOPMENT"), ("live", "PRODUCTION")] {
        let body = json!({ "name": name, "cluster": w.cluster, "mode": mode });
        w.server.post(&path, &w.acme.owner, body).await.expect(201);
    }
    w.server.post(&w.acme.path("project"), &w.acme.owner, json!({ "name": "hidden" })).await.expect(200);
    let token = token_with(&w, "some", "VIEWER", ["VIEWER", "NO_ACCESS", "NO_ACCESS", "NO_ACCESS"]).await;
    let projects = w.server.get(&w.acme.path("project"), &token).await.expect(200);
    assert_eq!(projects["results"].as_array().map(Vec::len), Some(1));
    assert_eq!(projects["results"][0]["associated_environments_count"], 1);
    for path in [path, w.acme.path("environments")] {
        let seen = w.server.get(&path, &token).await.expect(200);
        assert_eq!(seen["results"].as_array().map(Vec::len), Some(1), "{path}");
        assert_eq!(seen["results"][0]["name"], "dev");
    }
    assert_eq!(w.server.get(&format!("/environment/{}", w.environment), &token).await.outcome().0, 404);
    // Billing sees no project at all.
    let billing = w.server.token(&w.acme, "billing", "billing").await;
    assert_eq!(w.server.get(&w.acme.path("project"), &billing).await.expect(200)["results"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_a_mode_needs_both_modes() {
    let w = world().await;
    let path = format!("/environment/{}", w.environment);
    let staging =
        token_with(&w, "staging-only", "ENV_CREATOR", ["NO_ACCESS", "NO_ACCESS", "MANAGER", "NO_ACCESS"]).await;
    w.server.put(&path, &staging, json!({ "name": "staging-2" })).await.expect(200);
    let change = json!({ "name": "staging-2", "mode": "PRODUCTION" });
    assert_eq!(w.server.put(&path, &staging, change.clone()).await.outcome().0, 403);
    assert_eq!(w.server.get(&path, &staging).await.expect(200)["mode"], "STAGING");
    let both = token_with(&w, "both", "ENV_CREATOR", ["NO_ACCESS", "NO_ACCESS", "MANAGER", "MANAGER"]).await;
    let changed = w.server.put(&path, &both, change).await.expect(200);
    assert_eq!(
        (changed["mode"].as_str(), changed["last_updated_by_name"].as_str()),
        (Some("PRODUCTION"), Some("both"))
    );
    assert_eq!(w.server.delete(&path, &both).await.outcome().0, 403, "deleting is for the project's admin");
    w.server.delete(&format!("{path}?skipReconcile=maybe"), &w.acme.owner).await.expect(400);
    w.server.delete(&format!("{path}?skipReconcile=true"), &w.acme.owner).await.expect(204);
    w.server.get(&path, &w.acme.owner).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn verification_knows_resources_and_their_absence() {
    let w = world().await;
    let token = token_with(&w, "deploy", "ENV_CREATOR", ["NO_ACCESS", "NO_ACCESS", "DEPLOYER", "NO_ACCESS"]).await;
    let absent = "01900000-0000-7000-8000-000000000000";
    for (permission, resource, code) in [
        ("environment:deploy", json!({ "environment_id": w.environment }), "valid"),
        ("environment:deploy", json!({ "environment_id": w.environment, "project_id": w.project }), "valid"),
        ("environment:deploy", json!({ "environment_id": w.environment, "project_id": absent }), "permission_denied"),
        ("environment:manage", json!({ "environment_id": w.environment }), "permission_denied"),
        ("environment:deploy", json!({ "environment_id": absent }), "permission_denied"),
        ("environment:read", json!({ "project_id": w.project }), "valid"),
        ("cluster:read", json!({ "cluster_id": w.cluster }), "valid"),
        ("cluster:manage", json!({ "cluster_id": w.cluster }), "permission_denied"),
        ("environment:deploy", json!({}), "permission_denied"),
    ] {
        let ask = json!({ "token": token, "permission": permission, "resource": resource });
        let answer = w.server.post("/verify", &w.acme.owner, ask).await.expect(200);
        assert_eq!(answer["code"], code, "{permission} {resource}");
    }
    w.server.delete(&format!("/environment/{}", w.environment), &w.acme.owner).await.expect(204);
    let ask =
        json!({ "token": token, "permission": "environment:read", "resource": { "environment_id": w.environment } });
    assert_eq!(w.server.post("/verify", &w.acme.owner, ask).await.expect(200)["code"], "permission_denied");
}

#[tokio::test(flavor = "multi_thread")]
async fn built_in_variables_are_there_and_lists_are_stable() {
    let w = world().await;
    let path = format!("/project/{}/environmentVariable", w.project);
    let list = w.server.get(&path, &w.acme.owner).await;
    let again = w.server.get(&path, &w.acme.owner).await;
    assert_eq!(list.text, again.text);
    let first = list.expect(200)["results"][0].clone();
    assert_eq!((first["key"].as_str(), first["value"].as_str()), (Some("QOVERY_PROJECT_ID"), Some("||Q_PRJ_ID||")));
    assert_eq!((first["variable_type"].as_str(), first["scope"].as_str()), (Some("BUILT_IN"), Some("BUILT_IN")));
    let environment = w.server.get(&format!("/environment/{}/environmentVariable", w.environment), &w.acme.owner).await;
    let keys = environment.expect(200);
    assert!(keys["results"].as_array().unwrap().iter().any(|v| v["key"].as_str().unwrap().starts_with("QOVERY_")));
    let secrets = w.server.get(&format!("/project/{}/secret", w.project), &w.acme.owner).await.expect(200);
    assert_eq!(secrets, json!({ "results": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_come_and_go_and_never_have_a_null_description() {
    let w = world().await;
    let path = format!("/project/{}/environmentVariable", w.project);
    let made = w.server.post(&path, &w.acme.owner, json!({ "key": "LOG_LEVEL", "value": "info" })).await.expect(201);
    assert!(!made.as_object().unwrap().contains_key("description"), "the Terraform provider crashes on null");
    assert_eq!((made["scope"].as_str(), made["variable_type"].as_str()), (Some("PROJECT"), Some("VALUE")));
    let one = format!("{path}/{}", id(&made));
    let changed = w.server.put(&one, &w.acme.owner, json!({ "key": "LOG_LEVEL", "value": "debug" })).await.expect(200);
    assert_eq!(changed["value"], "debug");
    // An environment inherits it, gives it another key, and another value of its own.
    let path = format!("/environment/{}/environmentVariable", w.environment);
    let alias = w.server.post(&format!("{path}/{}/alias", id(&made)), &w.acme.owner, json!({ "key": "LEVEL" })).await;
    let alias = alias.expect(201);
    assert_eq!(
        (alias["variable_type"].as_str(), alias["aliased_variable"]["key"].as_str()),
        (Some("ALIAS"), Some("LOG_LEVEL"))
    );
    let cover =
        w.server.post(&format!("{path}/{}/override", id(&made)), &w.acme.owner, json!({ "value": "warn" })).await;
    let cover = cover.expect(201);
    assert_eq!((cover["key"].as_str(), cover["value"].as_str()), (Some("LOG_LEVEL"), Some("warn")));
    assert_eq!(cover["overridden_variable"]["value"], "debug");
    let list = w.server.get(&path, &w.acme.owner).await.expect(200);
    let scopes: Vec<_> = list["results"].as_array().unwrap().iter().map(|v| v["scope"].as_str().unwrap()).collect();
    assert_eq!(scopes, ["BUILT_IN", "BUILT_IN", "PROJECT", "ENVIRONMENT", "ENVIRONMENT"]);
    let twice = w.server.post(&format!("{path}/{}/alias", id(&alias)), &w.acme.owner, json!({ "key": "L" })).await;
    assert_eq!(twice.outcome().0, 409);
    // With the variable its alias and its override go.
    w.server.delete(&one, &w.acme.owner).await.expect(204);
    let list = w.server.get(&path, &w.acme.owner).await.expect(200);
    assert_eq!(list["results"].as_array().map(Vec::len), Some(2));
    for bad in
        [json!({ "key": "1A", "value": "" }), json!({ "key": "A B", "value": "" }), json!({ "key": "", "value": "" })]
    {
        w.server.post(&path, &w.acme.owner, bad).await.expect(400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_goes_in_and_never_comes_out() {
    let w = world().await;
    let path = format!("/environment/{}/secret", w.environment);
    let value = "hunter2-hunter2-hunter2";
    let made = w.server.post(&path, &w.acme.owner, json!({ "key": "DB_PASSWORD", "value": value })).await.expect(201);
    assert_eq!(made["variable_type"], "VALUE", "the Terraform provider crashes without it");
    assert_eq!(made.get("value"), Some(&Value::Null));
    let by_parent = format!("/variable?parent_id={}&scope=ENVIRONMENT&is_secret=true", w.environment);
    let listed = w.server.get(&by_parent, &w.acme.owner).await;
    assert!(listed.text.contains("DB_PASSWORD"));
    for path in [path.clone(), by_parent, w.acme.path("events?pageSize=100")] {
        assert!(!w.server.get(&path, &w.acme.owner).await.text.contains(value), "{path}");
    }
    let one = format!("{path}/{}", id(&made));
    w.server.put(&one, &w.acme.owner, json!({ "key": "DB_PASSWORD", "value": "another-value" })).await.expect(200);
    // A secret is no variable: the other path does not find it.
    let wrong = format!("/environment/{}/environmentVariable/{}", w.environment, id(&made));
    w.server.delete(&wrong, &w.acme.owner).await.expect(404);
    let directory = w.server.stop().await;
    let file = std::fs::read(directory.path().join("tokenward.db")).unwrap();
    for text in [value, "another-value"] {
        assert!(!file.windows(text.len()).any(|window| window == text.as_bytes()), "the database holds it readable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_the_wrong_kind_are_refused() {
    let w = world().await;
    for path in [
        format!("/project/{}", w.environment),
        format!("/environment/{}", w.project),
        format!("/project/{}", w.acme.id),
    ] {
        assert_eq!(w.server.get(&path, &w.acme.owner).await.outcome().0, 404, "{path}");
    }
    for path in ["/project/1", "/environment/x", "/organization/y", "/organization/y/apiToken"] {
        let refused = w.server.get(path, &w.acme.owner).await.expect(400);
        assert!(refused["detail"].as_str().unwrap().contains("UUID"), "{path}");
    }
    let foreign = w.acme.path(&format!("cluster/{}", w.project));
    let body = json!({ "name": "x", "region": "y", "cloud_provider": "AWS" });
    assert_eq!(w.server.call(Method::PUT, &foreign, &w.acme.owner, Some(body)).await.outcome().0, 404);
}
