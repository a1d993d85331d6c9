//! Names that differ only in case, what a conflict says of the holder, and the types of a cluster's fields.

use serde_json::{Value, json};

use super::resources::{World, id, token_with, world};

#[tokio::test(flavor = "multi_thread")]
async fn names_that_differ_only_in_case_are_one_name() {
    let w = world().await;
    let owner = &w.acme.owner;
    let (projects, environments) = (w.acme.path("project"), format!("/project/{}/environment", w.project));
    let site = id(&w.server.post(&projects, owner, json!({ "name": "Straße" })).await.expect(200));
    let live = json!({ "name": "Live", "cluster": w.cluster, "mode": "PRODUCTION" });
    let live = id(&w.server.post(&environments, owner, live).await.expect(201));
    for (path, body, holder) in [
        (&projects, json!({ "name": "STRASSE" }), &site),
        (&projects, json!({ "name": "SHOP" }), &w.project),
        (&environments, json!({ "name": "LIVE", "cluster": w.cluster }), &live),
    ] {
        let taken = w.server.post(path, owner, body).await.expect(409);
        assert_eq!((&taken["code"], &taken["id"]), (&json!("name_taken"), &json!(holder)));
    }
    for (path, body, holder) in [
        (format!("/project/{site}"), json!({ "name": "sHOP" }), &w.project),
        (format!("/environment/{live}"), json!({ "name": "Staging" }), &w.environment),
    ] {
        assert_eq!(w.server.put(&path, owner, body).await.expect(409)["id"], holder.as_str());
    }
    // Only the case of the own name, and the very same name.
    for name in ["sTRAẞE", "sTRAẞE"] {
        w.server.put(&format!("/project/{site}"), owner, json!({ "name": name })).await.expect(200);
    }
    w.server.put(&format!("/environment/{live}"), owner, json!({ "name": "LIVE" })).await.expect(200);
    let clusters = w.acme.path("cluster");
    let body = json!({ "name": "MAIN", "region": "r", "cloud_provider": "AWS" });
    let refused = w.server.post(&clusters, owner, body.clone()).await.expect(400);
    assert_eq!(refused["faults"][0]["field"], "name", "the contract has no 409 for clusters");
    w.server.put(&format!("{clusters}/{}", w.cluster), owner, body).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_names_the_holder_to_those_who_see_it() {
    let w = world().await;
    let owner = &w.acme.owner;
    let role = id(&w.server.post(&w.acme.path("customRole"), owner, json!({ "name": "deployers" })).await.expect(201));
    let viewer = w.server.role(&w.acme, "viewer").await;
    let (token, _) = w.server.new_token(&w.acme, json!({ "name": "ci", "role_id": viewer })).await;
    for (path, body, holder) in [
        (w.acme.path("customRole"), json!({ "name": "DEPLOYERS" }), role.as_str()),
        (w.acme.path("customRole"), json!({ "name": "dep1oyers" }), role.as_str()),
        (w.acme.path("apiToken"), json!({ "name": "ci", "role_id": viewer }), token.as_str()),
        ("/organization".to_owned(), json!({ "name": "ACME", "plan": "FREE" }), w.acme.id.as_str()),
    ] {
        let taken = w.server.post(&path, owner, body).await.expect(409);
        assert_eq!(taken["id"], holder, "{path}");
    }
    let variables = format!("/project/{}/environmentVariable", w.project);
    let a = id(&w.server.post(&variables, owner, json!({ "key": "A", "value": "" })).await.expect(201));
    let b = id(&w.server.post(&variables, owner, json!({ "key": "B", "value": "" })).await.expect(201));
    let taken = w.server.put(&format!("{variables}/{b}"), owner, json!({ "key": "A" })).await.expect(409);
    assert_eq!(taken["id"], a.as_str());
    // Whoever makes environments of one mode sees no other, and is told no id.
    let hidden = json!({ "name": "hidden", "cluster": w.cluster, "mode": "PRODUCTION" });
    let environments = format!("/project/{}/environment", w.project);
    w.server.post(&environments, owner, hidden).await.expect(201);
    let token = token_with(&w, "dev", "ENV_CREATOR", ["MANAGER", "NO_ACCESS", "NO_ACCESS", "NO_ACCESS"]).await;
    let body = json!({ "name": "HIDDEN", "cluster": w.cluster, "mode": "DEVELOPMENT" });
    let taken = w.server.post(&environments, &token, body).await.expect(409);
    assert_eq!((&taken["code"], taken.get("id")), (&json!("name_taken"), None));
    w.server.new_organization("Other").await;
    let taken = w.server.post("/organization", owner, json!({ "name": "other", "plan": "FREE" })).await.expect(409);
    assert_eq!(taken.get("id"), None, "one that the caller does not belong to");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_field_of_a_cluster_is_told_and_never_kept() {
    let w = world().await;
    let wrong = json!({ "name": "x", "region": "r", "cloud_provider": "AWS", "kubernetes": "BOGUS", "min_running_nodes": "3",
        "production": 1, "features": {}, "ssh_keys": [1], "keda": {}, "cpu": 1.5, "secret_manager_accesses": [{}],
        "infrastructure_outputs": {}, "description": 7 });
    let refused = w.server.post(&w.acme.path("cluster"), &w.acme.owner, wrong).await.expect(400);
    let mut fields: Vec<&str> =
        refused["faults"].as_array().unwrap().iter().map(|fault| fault["field"].as_str().unwrap()).collect();
    fields.sort_unstable();
    let all = [
        "cpu",
        "description",
        "features",
        "infrastructure_outputs",
        "keda.enabled",
        "kubernetes",
        "min_running_nodes",
        "production",
        "secret_manager_accesses",
        "ssh_keys[0]",
    ];
    assert_eq!(fields, all);
    let clusters = w.server.get(&w.acme.path("cluster"), &w.acme.owner).await.expect(200);
    assert_eq!(clusters["results"].as_array().map(Vec::len), Some(1));
}

impl World {
    async fn look(&self, path: &str) -> Value {
        self.server.get(path, &self.acme.owner).await.expect(200)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_looks_up_its_cluster_and_environment_finds_what_it_reads() {
    let w = world().await;
    let cluster = w.acme.path(&format!("cluster/{}", w.cluster));
    let info = w.look(&format!("{cluster}/cloudProviderInfo")).await;
    assert_eq!(info, json!({ "cloud_provider": "AWS", "credentials": {}, "region": "eu-west-3" }));
    assert_eq!(w.look(&format!("{cluster}/routingTable")).await, json!({ "results": [] }));
    assert_eq!(w.look(&format!("{cluster}/advancedSettings")).await, json!({}));
    assert_eq!(w.look("/defaultClusterAdvancedSettings").await, json!({}));
    assert_eq!(w.look(&format!("{cluster}/status")).await["reason"], "UNSPECIFIED");
    let body = json!({ "name": "two", "region": "r", "cloud_provider": "OVH", "cloud_provider_credentials":
        { "cloud_provider": "AWS", "credentials": { "id": "c-1", "name": "main" }, "region": "eu" } });
    let two = id(&w.server.post(&w.acme.path("cluster"), &w.acme.owner, body).await.expect(201));
    let info = w.look(&w.acme.path(&format!("cluster/{two}/cloudProviderInfo"))).await;
    assert_eq!(
        info,
        json!({ "credentials": { "id": "c-1", "name": "main" }, "region": "eu" }),
        "no word that clients refuse"
    );
    for kind in ["application", "container", "database", "job", "helm", "terraform"] {
        assert_eq!(w.look(&format!("/environment/{}/{kind}", w.environment)).await, json!({ "results": [] }));
    }
    let statuses = w.look(&format!("/environment/{}/statuses", w.environment)).await;
    assert_eq!(statuses["environment"], w.look(&format!("/environment/{}/status", w.environment)).await);
    for kind in ["applications", "containers", "jobs", "databases", "helms", "terraforms"] {
        assert_eq!(statuses[kind], json!([]));
    }
    let overview = w.look(&format!("/project/{}/environment/overview", w.project)).await;
    let one = &overview["results"][0];
    assert_eq!((&one["name"], &one["mode"]), (&json!("staging"), &json!("STAGING")));
    let cluster = json!({ "id": w.cluster, "name": "main", "cloud_provider": "AWS", "is_demo": false });
    assert_eq!((&one["cluster"], &one["services_overview"]["service_count"]), (&cluster, &json!(0)));
    let environment = w.look(&format!("/environment/{}", w.environment)).await;
    let account = w.look("/account").await;
    assert_eq!(environment["last_updated_by"], account["id"], "a UUID, as the contract says");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_in_the_letters_of_its_language_is_kept_as_programs_know_it_and_shown_in_both_forms() {
    let w = world().await;
    let owner = &w.acme.owner;
    let invite = async |email: &str| {
        w.server.post(&w.acme.path("inviteMember"), owner, json!({ "email": email, "role": "VIEWER" })).await
    };
    let invited = invite("eva@bücher.example").await.expect(201);
    assert_eq!(invited["email"], "eva@xn--bcher-kva.example");
    assert_eq!(invite("EVA@xn--bcher-kva.EXAMPLE").await.status, 409, "it is the same address");
    for (bad, says) in [("eva@bü_cher.example", "IDNA"), ("bücher@acme.example", "before the `@`")] {
        let refused = invite(bad).await.expect(400);
        assert!(refused["detail"].as_str().unwrap().contains(says), "{refused}");
    }
    // Whoever signs in may type the one form or the other.
    let (_, session) = w.server.member(&w.acme, "ada@例え.jp", "viewer").await;
    assert_eq!(w.server.get("/account", &session).await.status, 200);
    w.server.sign_in("ada@xn--r8jz45g.jp", crate::support::PASSWORD).await;
    let members = w.server.get(&w.acme.path("member"), owner).await.each("results", "email");
    assert!(members.contains(&"ada@xn--r8jz45g.jp".to_owned()), "{members:?}");
    let mut person = crate::console::Person::owner(&w.server).await;
    let page = person.get(&format!("/console/{}/members", w.acme.id)).await;
    let page = page.says(200, "ada@例え.jp (ada@xn--r8jz45g.jp)");
    assert!(page.html.contains("eva@bücher.example (eva@xn--bcher-kva.example)"), "{}", page.html);
    let edited = json!({ "communication_email": "ada@bücher.example" });
    let edited = w.server.put("/account", &session, edited).await.expect(200);
    assert_eq!(edited["communication_email"], "ada@xn--bcher-kva.example");
}
