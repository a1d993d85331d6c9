//! Tokens that are narrowed to projects and environments: what they see and may do, what they hand out, and what is refused.

use reqwest::Method;
use serde_json::{Value, json};

use super::resources::{World, id, world};
use crate::support::Server;

/// A project `lab` beside `shop`, and an environment `qa` in `shop` beside `staging`.
struct Places {
    w: World,
    lab: String,
    qa: String,
    devops: String,
}

async fn places() -> Places {
    let w = world().await;
    let lab = id(&w.server.post(&w.acme.path("project"), &w.acme.owner, json!({ "name": "lab" })).await.expect(200));
    let body = json!({ "name": "qa", "cluster": w.cluster, "mode": "STAGING" });
    let path = format!("/project/{}/environment", w.project);
    let qa = id(&w.server.post(&path, &w.acme.owner, body).await.expect(201));
    let devops = w.server.role(&w.acme, "devops").await;
    Places { w, lab, qa, devops }
}

impl Places {
    async fn made(&self, name: &str, more: Value) -> (String, String) {
        let mut body = json!({ "name": name, "role_id": self.devops });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.w.server.new_token(&self.w.acme, body).await
    }

    async fn asked(&self, text: &str, permission: &str, resource: Value) -> String {
        let body = json!({ "token": text, "permission": permission, "resource": resource });
        let answer = self.w.server.post("/verify", &self.w.acme.owner, body).await.expect(200);
        let missing = if answer["valid"] == true { Value::Null } else { json!(permission) };
        assert_eq!(answer.get("missing_permission").unwrap_or(&Value::Null), &missing, "{answer}");
        answer["code"].as_str().unwrap().to_owned()
    }
}

async fn listed(server: &Server, path: &str, text: &str) -> Vec<String> {
    let mut names = server.get(path, text).await.each("results", "name");
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_project_and_an_environment_is_nowhere_else() {
    let it = places().await;
    let (of_project, text) = it.made("of-lab", json!({ "projects": [it.lab] })).await;
    let (_, of_one) = it.made("of-qa", json!({ "environments": [it.qa] })).await;
    let Places { w: World { server, acme, project: shop, environment: staging, cluster }, lab, qa, devops } = it;
    let it = {
        let server = server.restart().await;
        Places { w: World { server, acme, project: shop, environment: staging, cluster }, lab, qa, devops }
    };
    let (w, lab, qa) = (&it.w, it.lab.as_str(), it.qa.as_str());
    let (shop, staging) = (w.project.as_str(), w.environment.as_str());
    for (token, permission, resource, code) in [
        (&text, "environment:deploy", json!({ "project_id": lab }), "valid"),
        (&text, "project:manage", json!({ "project_id": lab }), "valid"),
        (&text, "project:manage", json!({ "project_id": shop }), "scope_denied"),
        (&text, "invoices:pay", json!({ "project_id": lab }), "valid"),
        (&text, "invoices:pay", json!({ "project_id": shop }), "scope_denied"),
        (&text, "invoices:pay", json!({ "environment_id": qa }), "scope_denied"),
        (&text, "invoices:pay", Value::Null, "valid"),
        (&text, "project:create", Value::Null, "scope_denied"),
        (&text, "token:read", Value::Null, "valid"),
        (&text, "member:manage", Value::Null, "permission_denied"),
        (&of_one, "environment:manage", json!({ "environment_id": qa }), "valid"),
        (&of_one, "environment:manage", json!({ "environment_id": staging }), "scope_denied"),
        (&of_one, "invoices:pay", json!({ "environment_id": qa }), "valid"),
        (&of_one, "invoices:pay", json!({ "project_id": shop }), "scope_denied"),
        (&of_one, "project:read", json!({ "project_id": shop }), "valid"),
        (&of_one, "project:manage", json!({ "project_id": shop }), "scope_denied"),
    ] {
        assert_eq!(it.asked(token, permission, resource.clone()).await, code, "{permission} {resource}");
    }
    // Our own API: lists show what may be seen, and the rest is not there.
    let server = &w.server;
    let environments = |project: &str| format!("/project/{project}/environment");
    assert_eq!(listed(server, &w.acme.path("project"), &text).await, ["lab"]);
    assert_eq!(listed(server, &w.acme.path("project"), &of_one).await, ["shop"]);
    assert_eq!(listed(server, &environments(shop), &of_one).await, ["qa"]);
    assert_eq!(server.get(&format!("/project/{shop}"), &text).await.status, 404);
    assert_eq!(server.get(&format!("/environment/{staging}"), &of_one).await.status, 404);
    assert_eq!(server.get(&format!("/project/{shop}/environmentVariable"), &of_one).await.status, 403);
    let body = json!({ "name": "new", "cluster": w.cluster, "mode": "STAGING" });
    let refused = server.post(&environments(shop), &of_one, body.clone()).await;
    assert_eq!(refused.outcome(), (403, "scope_denied".into()));
    assert_eq!(refused.json()["missing_permission"], "environment:manage");
    server.post(&environments(lab), &text, body).await.expect(201);
    assert_eq!(server.post(&w.acme.path("project"), &text, json!({ "name": "x" })).await.status, 403);
    let own = server.get("/token/self", &text).await.expect(200);
    let reads = own["reads_everywhere"].as_array().unwrap();
    assert!(!reads.contains(&json!("project:read")) && reads.contains(&json!("token:read")), "{own}");
    // Answers and the log say where it is; null lets it out.
    let path = w.acme.path(&format!("apiToken/{of_project}"));
    assert_eq!(server.get(&path, &w.acme.owner).await.expect(200)["projects"], json!([lab]));
    let only = listed(server, &w.acme.path("apiToken?restricted=true"), &w.acme.owner).await;
    assert_eq!(only, ["of-lab", "of-qa"]);
    let edit = async |body: Value| server.call(Method::PATCH, &path, &w.acme.owner, Some(body)).await;
    edit(json!({ "environments": [staging] })).await.expect(200);
    assert_eq!(it.asked(&text, "invoices:pay", json!({ "environment_id": staging })).await, "valid");
    assert_eq!(it.asked(&text, "invoices:pay", json!({ "project_id": lab })).await, "valid");
    let freed = edit(json!({ "projects": null, "environments": null })).await.expect(200);
    assert_eq!((freed.get("projects"), freed.get("environments")), (None, None));
    assert_eq!(it.asked(&text, "project:create", Value::Null).await, "valid");
    let log = server.get(&w.acme.path(&format!("events?targetId={of_project}")), &w.acme.owner).await;
    assert!(log.text.contains(&lab.to_owned()), "{}", log.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_role_names_only_the_projects_that_a_narrowed_token_sees() {
    let it = places().await;
    let Places { w: World { server, acme, project: shop, .. }, lab, qa, .. } = &it;
    let role = server.post(&acme.path("customRole"), &acme.owner, json!({ "name": "auditors" })).await.expect(201);
    let one = acme.path(&format!("customRole/{}", role["id"].as_str().unwrap()));
    let named = async |text: &str| {
        let (alone, list) =
            (server.get(&one, text).await.expect(200), server.get(&acme.path("customRole"), text).await);
        let names = |role: &Value| -> Vec<String> {
            let all = role["project_permissions"].as_array().unwrap().iter();
            let mut names: Vec<String> = all.map(|it| it["project_name"].as_str().unwrap().to_owned()).collect();
            names.sort();
            names
        };
        let listed = names(&list.expect(200)["results"][0]);
        assert_eq!(names(&alone), listed);
        listed
    };
    let admin = server.role(acme, "admin").await;
    let made = async |name: &str, more: Value| {
        let mut body = json!({ "name": name, "role_id": admin });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.new_token(acme, body).await.1
    };
    assert_eq!(named(&acme.owner).await, ["lab", "shop"]);
    assert_eq!(named(&made("everywhere", json!({})).await).await, ["lab", "shop"]);
    assert_eq!(named(&made("of-lab", json!({ "projects": [lab] })).await).await, ["lab"]);
    assert_eq!(named(&made("of-qa", json!({ "environments": [qa] })).await).await, ["shop"]);
    assert_eq!(named(&made("of-both", json!({ "projects": [lab, shop] })).await).await, ["lab", "shop"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_narrowed_to_places_hands_out_no_others() {
    let it = places().await;
    let (own, text) = it.made("maker", json!({ "projects": [it.w.project] })).await;
    let (wide, _) = it.made("wide", json!({ "projects": [it.lab] })).await;
    let World { server, acme, project, environment, .. } = &it.w;
    let create = async |more: Value| {
        let mut body = json!({ "name": "child", "role_id": it.devops });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.post(&acme.path("apiToken"), &text, body).await
    };
    for more in [json!({}), json!({ "permissions": ["invoices:read"] })] {
        let refused = create(more).await;
        assert_eq!(refused.status, 403, "{}", refused.text);
        assert!(refused.text.contains("projects and environments"), "{}", refused.text);
    }
    // What it does not see is as what is not there.
    let (unseen, absent) = (
        create(json!({ "projects": [it.lab] })).await,
        create(json!({ "projects": ["01a22738-4216-7aec-ae2f-9041733276ff"] })).await,
    );
    assert_eq!(unseen.status, 400, "{}", unseen.text);
    assert_eq!(unseen.text, absent.text);
    assert!(unseen.text.contains("is no project of the organization that you may see"), "{}", unseen.text);
    create(json!({ "environments": [environment] })).await.expect(201);
    let itself = acme.path(&format!("apiToken/{own}"));
    let freed = server.call(Method::PATCH, &itself, &text, Some(json!({ "projects": null }))).await;
    assert_eq!(freed.status, 403, "{}", freed.text);
    let narrower = json!({ "projects": null, "environments": [environment] });
    let rotated = server.post(&acme.path(&format!("apiToken/{wide}/rotate")), &text, json!({ "keep": "0" })).await;
    assert_eq!(rotated.status, 403, "{}", rotated.text);
    server.call(Method::PATCH, &itself, &text, Some(narrower)).await.expect(200);
    let invited = json!({ "email": "a@acme.example", "role_id": it.devops });
    assert_eq!(server.post(&acme.path("inviteMember"), &text, invited).await.status, 403);
    assert!(!project.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_of_the_organization_and_within_the_role() {
    let it = places().await;
    let World { server, acme, project, environment, cluster } = &it.w;
    let verifier = server.role(acme, "verifier").await;
    let absent = "01a22738-4216-7aec-ae2f-9041733276ff";
    for (body, told) in [
        (json!({ "projects": [] }), "is empty"),
        (json!({ "environments": [] }), "is empty"),
        (json!({ "projects": [project, absent] }), "projects[1]"),
        (json!({ "projects": [environment] }), "is no project of the organization"),
        (json!({ "environments": [cluster] }), "is no environment of the organization"),
        (json!({ "projects": ["shop"] }), "projects"),
        (json!({ "projects": vec![absent; 101] }), "token_projects"),
        (json!({ "environments": vec![absent; 101] }), "token_environments"),
        (json!({ "projects": [project], "role_id": verifier }), "which the role `verifier` does not reach"),
        (json!({ "environments": [environment], "role_id": verifier }), "which the role `verifier` does not reach"),
    ] {
        let mut sent = json!({ "name": "t", "role_id": it.devops });
        sent.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let refused = server.post(&acme.path("apiToken"), &acme.owner, sent).await;
        assert_eq!(refused.outcome(), (400, "invalid_request".into()), "{body}: {}", refused.text);
        assert!(refused.text.contains(told), "{body}: {}", refused.text);
    }
    // Another role must reach them too; what is gone since stays where it was, and is nowhere.
    let (made, text) = it.made("t", json!({ "projects": [it.lab] })).await;
    let path = acme.path(&format!("apiToken/{made}"));
    let moved = server.call(Method::PATCH, &path, &acme.owner, Some(json!({ "role_id": verifier }))).await;
    assert_eq!(moved.outcome(), (400, "invalid_request".into()));
    server.delete(&format!("/project/{}", it.lab), &acme.owner).await.expect(204);
    server.call(Method::PATCH, &path, &acme.owner, Some(json!({ "description": "x" }))).await.expect(200);
    assert_eq!(listed(server, &acme.path("project"), &text).await, Vec::<String>::new());
    assert_eq!(it.asked(&text, "invoices:pay", json!({ "project_id": project })).await, "scope_denied");
}
