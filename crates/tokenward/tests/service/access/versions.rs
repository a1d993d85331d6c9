//! Of everything that is edited: what was changed since it was read is not changed over it.

use std::collections::BTreeSet;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::resources::{World, id, world};
use crate::support::Answer;

/// Something that is edited, in three ways that differ in one field.
struct Edited {
    what: &'static str,
    method: Method,
    path: String,
    /// Where it is read, alone or in a list.
    read: String,
    id: String,
    field: &'static str,
    bodies: [Value; 3],
}

impl Edited {
    fn new(
        what: &'static str,
        (method, path): (Method, String),
        read: String,
        (id, field): (String, &'static str),
    ) -> Self {
        Self { what, method, path, read, id, field, bodies: [Value::Null, Value::Null, Value::Null] }
    }

    /// Each body is `rest` with one of three values of the field.
    fn said(mut self, rest: &Value, values: [&str; 3]) -> Self {
        self.bodies = values.map(|value| {
            let mut body = rest.clone();
            body[self.field] = json!(value);
            body
        });
        self
    }

    async fn edit(&self, w: &World, body: usize, tag: Option<&str>) -> Answer {
        let headers: Vec<(&str, &str)> = tag.map(|tag| ("if-match", tag)).into_iter().collect();
        let body = self.bodies[body].clone();
        w.server.call_with(self.method.clone(), &self.path, &w.acme.owner, Some(body), &headers).await
    }

    /// What is there now, its `ETag` where it is read alone, and its `updated_at` as a tag where it tells one.
    async fn now(&self, w: &World) -> (Value, Option<String>, String) {
        let answer = w.server.get(&self.read, &w.acme.owner).await;
        let etag = answer.header("etag").map(str::to_owned);
        let body = answer.expect(200);
        let it = match body["results"].as_array() {
            Some(all) => all.iter().find(|it| it["id"] == self.id.as_str()).unwrap().clone(),
            None => body,
        };
        // What has none there is read alone, and has an `ETag`.
        let told = it["updated_at"].as_str().map_or_else(|| etag.clone().unwrap(), |told| format!("\"{told}\""));
        (it, etag, told)
    }
}

async fn everything(w: &World) -> Vec<Edited> {
    const WORDS: [&str; 3] = ["one", "two", "three"];
    let (server, acme) = (&w.server, &w.acme);
    let viewer = server.role(acme, "viewer").await;
    let of_project = format!("/project/{}", w.project);
    let variable = json!({ "key": "PLAIN", "value": "v" });
    let plain = id(&server.post(&format!("{of_project}/environmentVariable"), &acme.owner, variable).await.expect(201));
    let secret = json!({ "key": "HIDDEN", "value": "v" });
    let secret = id(&server.post(&format!("{of_project}/secret"), &acme.owner, secret).await.expect(201));
    let role = id(&server.post(&acme.path("customRole"), &acme.owner, json!({ "name": "clerk" })).await.expect(201));
    let (token, _) = server.new_token(acme, json!({ "name": "ci", "role_id": viewer })).await;
    let policy = json!({ "name": "reader", "role_id": viewer, "opa_policy": "allow if true" });
    let policy = id(&server.post(&acme.path("policyApiToken"), &acme.owner, policy).await.expect(201));
    let (member, _) = server.member(acme, "dev@acme.example", "devops").await;
    let (billing, devops) = (server.role(acme, "billing").await, server.role(acme, "devops").await);
    let put = |path: String| (Method::PUT, path);
    let patch = |path: String| (Method::PATCH, path);
    let itself = format!("/organization/{}", acme.id);
    let environment = format!("/environment/{}", w.environment);
    let variables = format!("{of_project}/environmentVariable");
    let secrets = format!("{of_project}/secret");
    let one_role = acme.path(&format!("customRole/{role}"));
    let one_token = acme.path(&format!("apiToken/{token}"));
    let one_policy = acme.path(&format!("policyApiToken/{policy}"));
    vec![
        Edited::new("organization", put(itself.clone()), itself, (acme.id.clone(), "description"))
            .said(&json!({ "name": "Acme" }), WORDS),
        Edited::new("project", put(of_project.clone()), of_project, (w.project.clone(), "description"))
            .said(&json!({ "name": "shop" }), WORDS),
        Edited::new("environment", put(environment.clone()), environment, (w.environment.clone(), "name"))
            .said(&json!({ "mode": "STAGING" }), WORDS),
        Edited::new(
            "cluster",
            put(acme.path(&format!("cluster/{}", w.cluster))),
            acme.path("cluster"),
            (w.cluster.clone(), "description"),
        )
        .said(&json!({ "name": "main", "region": "eu-west-3", "cloud_provider": "AWS" }), WORDS),
        Edited::new("variable", put(format!("{variables}/{plain}")), variables.clone(), (plain.clone(), "description"))
            .said(&json!({ "key": "PLAIN" }), WORDS),
        Edited::new("variable by its id", put(format!("/variable/{plain}")), variables, (plain, "value"))
            .said(&json!({ "key": "PLAIN" }), WORDS),
        Edited::new("secret", put(format!("{secrets}/{secret}")), secrets, (secret, "description"))
            .said(&json!({ "key": "HIDDEN" }), WORDS),
        Edited::new("role", put(one_role.clone()), one_role, (role, "description"))
            .said(&json!({ "name": "clerk", "cluster_permissions": [], "project_permissions": [] }), WORDS),
        Edited::new("member", put(acme.path("member")), acme.path("member"), (member.clone(), "role_id"))
            .said(&json!({ "user_id": member }), [&viewer, &billing, &devops]),
        Edited::new("token", patch(one_token.clone()), one_token, (token, "description")).said(&json!({}), WORDS),
        Edited::new(
            "retention",
            put(acme.path("eventRetention")),
            acme.path("eventRetention"),
            (acme.id.clone(), "event_retention"),
        )
        .said(&json!({}), ["30d", "40d", "50d"]),
        Edited::new(
            "account",
            put("/account".to_owned()),
            "/account".to_owned(),
            (String::new(), "communication_email"),
        )
        .said(&json!({}), ["one@acme.example", "two@acme.example", "three@acme.example"]),
        Edited::new("policy token", patch(one_policy.clone()), one_policy, (policy, "description"))
            .said(&json!({}), WORDS),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_since_it_was_read_is_not_changed_over_it() {
    let w = world().await;
    for it in everything(&w).await {
        let what = it.what;
        let (_, etag, told) = it.now(&w).await;
        let read = etag.unwrap_or(told);
        let first = it.edit(&w, 0, Some(&read)).await;
        assert!(first.status.is_success(), "{what}: {}", first.text);
        let version = first.header("etag").unwrap_or_else(|| panic!("{what}: no version is told")).to_owned();
        assert_ne!(version, read, "{what}");
        // Somebody else has read the version before.
        let late = it.edit(&w, 1, Some(&read)).await;
        assert_eq!(late.outcome(), (412, "precondition_failed".to_owned()), "{what}");
        assert!(late.json()["detail"].as_str().unwrap().contains("changed since"), "{what}: {}", late.text);
        let (now, etag, told) = it.now(&w).await;
        assert_eq!(now[it.field], it.bodies[0][it.field], "{what}");
        assert!(etag.is_none_or(|etag| etag == version), "{what}: read and written have one version");
        // What is read in a list says the version by its `updated_at`.
        assert!(it.edit(&w, 1, Some(&told)).await.status.is_success(), "{what}: {told}");
        for old in [told.as_str(), version.as_str(), "\"x\"", "\"-1\"", "W/\"1\"", "1"] {
            assert_eq!(it.edit(&w, 2, Some(old)).await.status, 412, "{what}: {old}");
        }
        assert_eq!(it.now(&w).await.0[it.field], it.bodies[1][it.field], "{what}");
        // The published clients send none, and whoever sends this one means any.
        assert!(it.edit(&w, 2, None).await.status.is_success(), "{what}");
        assert!(it.edit(&w, 0, Some("*")).await.status.is_success(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_read_the_same_version_one_changes_it() {
    let w = Arc::new(world().await);
    for it in everything(&w).await {
        let it = Arc::new(it);
        let (_, etag, told) = it.now(&w).await;
        let read = etag.unwrap_or(told);
        let mut editing = JoinSet::new();
        for _ in 0..6 {
            let (w, it, read) = (Arc::clone(&w), Arc::clone(&it), read.clone());
            editing.spawn(async move { it.edit(&w, 1, Some(&read)).await.status.as_u16() });
        }
        let mut answered = editing.join_all().await;
        answered.sort_unstable();
        assert_eq!(answered, [200, 412, 412, 412, 412, 412], "{}", it.what);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_says_of_each_edit_that_it_takes_a_version() {
    let w = world().await;
    let document = w.server.get("/openapi.json", "").await.expect(200);
    let mut without = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for operation in ["put", "patch"].into_iter().filter_map(|method| operations.get(method)) {
            let parameters = operation["parameters"].as_array().unwrap();
            let takes = parameters.iter().any(|it| it["name"] == "If-Match" && it["in"] == "header");
            let told = operation["responses"].as_object().unwrap();
            let tells = told.values().any(|answer| !answer["headers"]["ETag"].is_null());
            assert_eq!((takes, told.contains_key("412")), (tells, tells), "{path}");
            if !takes {
                without.insert(path.as_str());
            }
        }
    }
    // By what somebody is known: a secret that is set anew, and the name of a passkey, which is all that one tells.
    let proofs = [
        "/account/passkey/{passkeyId}",
        "/account/password",
        "/account/password/reset",
        "/account/secondFactor/authenticator",
    ];
    assert!(without.is_subset(&BTreeSet::from(proofs)), "{without:?}");
}
