//! What the published clients send for their everyday sequences, with their header forms, and what they need in the answers:
//! keys that must be there, types, nulls and words (contract §1, §2.4, §10). The clients themselves are run apart.

use serde_json::{Value, json};

use crate::support::{Answer, Organization, Server};

/// A client with its words for itself; it sends its token as `Token`.
struct Client<'a> {
    server: &'a Server,
    agent: &'static str,
    token: String,
}

impl Client<'_> {
    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.server.request(method, path).header("authorization", format!("Token {}", self.token));
        request = request.header("user-agent", self.agent).header("accept", "application/json");
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.server.send(request).await
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.send("GET", path, None).await;
        assert!(answer.header("content-type").is_some_and(|kind| kind.contains("json")), "{path}");
        answer.expect(200)
    }

    async fn post(&self, path: &str, body: Value, status: u16) -> Value {
        self.send("POST", path, Some(body)).await.expect(status)
    }

    async fn put(&self, path: &str, body: Value) -> Value {
        self.send("PUT", path, Some(body)).await.expect(200)
    }

    async fn delete(&self, path: &str) {
        let answer = self.send("DELETE", path, None).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""), "{path}");
    }
}

/// Texts that a decoder refuses an object without.
#[track_caller]
fn needs(object: &Value, keys: &[&str]) {
    for key in keys {
        assert!(object[*key].is_string(), "`{key}` in {object}");
    }
    for key in ["created_at", "updated_at"] {
        if let Some(time) = object[key].as_str() {
            assert!(tokenward_core::Time::parse(time).is_some(), "{key}: {time}");
        }
    }
}

/// What every item of a list of variables must have.
#[track_caller]
fn variable(item: &Value, secret: bool) {
    needs(item, &["id", "created_at", "updated_at", "key", "scope", "variable_type"]);
    let object = item.as_object().unwrap();
    let value = object.get("value").unwrap_or_else(|| panic!("no `value` in {item}"));
    assert_eq!(value.is_null(), secret, "{item}");
    assert!(object.get("description").is_none_or(Value::is_string), "the provider fails on null: {item}");
    assert!(["BUILT_IN", "PROJECT", "ENVIRONMENT"].contains(&item["scope"].as_str().unwrap()));
    assert!(["BUILT_IN", "VALUE", "FILE", "ALIAS", "OVERRIDE"].contains(&item["variable_type"].as_str().unwrap()));
    for parent in ["aliased_variable", "overridden_variable", "aliased_secret", "overridden_secret"] {
        if let Some(parent) = object.get(parent) {
            needs(parent, &["id", "key", "mount_path", "scope", "variable_type"]);
        }
    }
}

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

async fn cluster(server: &Server, acme: &Organization) -> String {
    let body = json!({ "name": "main", "region": "eu-west-3", "cloud_provider": "AWS" });
    id(&server.post(&acme.path("cluster"), &acme.owner, body).await.expect(201))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_client_writes_variables_by_first_match() {
    let (server, acme) = Server::with_owner().await;
    let cluster = cluster(&server, &acme).await;
    let cli = Client { server: &server, agent: "CLI 1.7.9", token: server.token(&acme, "cli", "devops").await };
    let organizations = cli.get("/organization").await;
    needs(&organizations["results"][0], &["id", "created_at", "name", "plan"]);
    let project = id(&cli.post(&acme.path("project"), json!({ "name": "shop" }), 200).await);
    let projects = cli.get(&acme.path("project")).await;
    needs(&projects["results"][0], &["id", "created_at", "name"]);
    let environments = format!("/project/{project}/environment");
    let environment = json!({ "name": "staging", "cluster": cluster, "mode": "STAGING" });
    let environment = id(&cli.post(&environments, environment, 201).await);
    let listed = cli.get(&environments).await;
    // It reads these two without a check.
    needs(&listed["results"][0], &["id", "name", "mode", "cluster_id", "cluster_name", "updated_at"]);
    let statuses = cli.get(&format!("{environments}/status")).await;
    needs(&statuses["results"][0], &["id", "state", "last_deployment_state"]);
    assert!(statuses["results"][0]["origin"].is_null(), "it knows no word of ours");
    let clusters = cli.get(&acme.path("cluster")).await;
    needs(&clusters["results"][0], &["id", "created_at", "updated_at", "name", "region", "cloud_provider", "status"]);

    let by_parent = format!("/variable?parent_id={environment}&scope=ENVIRONMENT");
    let first = async |key: &str| -> Value {
        let list = cli.get(&by_parent).await;
        let all = list["results"].as_array().unwrap();
        for item in all {
            variable(item, item["is_secret"].as_bool().unwrap());
        }
        all.iter().find(|item| item["key"] == key).cloned().unwrap_or(Value::Null)
    };
    let new = |key: &str, secret: bool, scope: &str, parent: &str| {
        json!({ "key": key, "value": "one", "mount_path": null,
        "is_secret": secret, "variable_scope": scope, "variable_parent_id": parent })
    };
    for (key, secret) in [("PLAIN", false), ("SECRET", true)] {
        variable(&cli.post("/variable", new(key, secret, "PROJECT", &project), 201).await, secret);
        let of_project = first(key).await;
        let cover = json!({ "value": "two", "override_scope": "ENVIRONMENT", "override_parent_id": environment });
        let cover = cli.post(&format!("/variable/{}/override", id(&of_project)), cover, 201).await;
        variable(&cover, secret);
        let alias =
            json!({ "key": format!("{key}_ALIAS"), "alias_scope": "ENVIRONMENT", "alias_parent_id": environment });
        let alias = cli.post(&format!("/variable/{}/alias", id(&first(key).await)), alias, 201).await;
        variable(&alias, secret);
        let found = first(key).await;
        assert_eq!(found["id"], cover["id"], "what it changes and deletes is the environment's own");
        let changed = json!({ "key": key, "value": "three" });
        variable(&cli.put(&format!("/variable/{}", id(&found)), changed).await, secret);
        cli.delete(&format!("/variable/{}", id(&first(key).await))).await;
        assert_eq!(first(key).await["id"], of_project["id"], "the project's is still there");
        cli.delete(&format!("/variable/{}", id(&first(key).await))).await;
        assert!(first(key).await.is_null());
    }
    // A token, as it asks for one: the first role that is offered, and an empty description.
    let roles = cli.get(&acme.path("availableRole")).await;
    needs(&roles["results"][0], &["id", "name"]);
    let body = json!({ "name": "made", "description": "", "role_id": roles["results"][0]["id"] });
    needs(&cli.post(&acme.path("apiToken"), body, 201).await, &["id", "created_at", "name", "token", "role_id"]);
    let deploy = cli.send("POST", &format!("/environment/{environment}/deploy"), None).await;
    assert_eq!(deploy.status, 501);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terraform_provider_makes_changes_replaces_and_deletes() {
    let (server, acme) = Server::with_owner().await;
    let cluster = cluster(&server, &acme).await;
    let token = server.token(&acme, "terraform", "admin").await;
    let provider = Client { server: &server, agent: "Terraform provider 0.86.1", token };
    let project = provider.post(&acme.path("project"), json!({ "name": "shop", "description": "" }), 200).await;
    assert_eq!(project["description"], "", "it plans an empty text");
    let project = id(&project);
    provider.put(&format!("/project/{project}"), json!({ "name": "shop", "description": "d" })).await;
    let body = json!({ "name": "staging", "cluster": cluster, "mode": "STAGING" });
    let environment = id(&provider.post(&format!("/project/{project}/environment"), body, 201).await);
    let path = format!("/environment/{environment}");
    provider.put(&path, json!({ "name": "staging", "mode": "PRODUCTION" })).await;
    let base = provider.get(&path).await;
    needs(&base, &["id", "created_at", "name", "mode", "cluster_id", "last_updated_by"]);

    let list = async |what: &str| -> Vec<Value> {
        let secret = what == "secret";
        let all = provider.get(&format!("{path}/{what}")).await["results"].as_array().unwrap().clone();
        all.iter().for_each(|item| variable(item, secret));
        all
    };
    for (what, secret) in [("environmentVariable", false), ("secret", true)] {
        let of_project = format!("/project/{project}/{what}");
        let parent = provider
            .post(&of_project, json!({ "key": format!("{what}_K"), "value": "v", "description": "" }), 201)
            .await;
        variable(&parent, secret);
        // Once before it deletes, and once after: it makes the new kind before it deletes the old one by its id.
        let cover = provider
            .post(&format!("{path}/{what}/{}/override", id(&parent)), json!({ "value": "x", "description": "" }), 201)
            .await;
        let alias = provider
            .post(
                &format!("{path}/{what}/{}/alias", id(&parent)),
                json!({ "key": format!("{what}_A"), "description": "" }),
                201,
            )
            .await;
        if !secret {
            assert_eq!(alias["value"], parent["key"], "or it ends in an inconsistent result");
        }
        let last = list(what).await.into_iter().rfind(|item| item["key"] == parent["key"]).unwrap();
        assert_eq!(last["id"], cover["id"], "it keeps the last of a key");
        let own = provider.post(&format!("{path}/{what}"), json!({ "key": parent["key"], "value": "own" }), 201).await;
        provider.delete(&format!("{path}/{what}/{}", id(&cover))).await;
        let last = list(what).await.into_iter().rfind(|item| item["key"] == parent["key"]).unwrap();
        assert_eq!((&last["id"], &last["variable_type"]), (&own["id"], &json!("VALUE")), "the new one is still there");
        provider.delete(&format!("{path}/{what}/{}", id(&alias))).await;
        // A key that becomes a file and then a plain value.
        let file = json!({ "key": parent["key"], "value": "f", "mount_path": "/etc/k" });
        let file = provider.post(&format!("{path}/{what}"), file, 201).await;
        assert_eq!((&file["variable_type"], &file["mount_path"]), (&json!("FILE"), &json!("/etc/k")));
        provider.delete(&format!("{path}/{what}/{}", id(&own))).await;
        provider.delete(&format!("{path}/{what}/{}", id(&file))).await;
        provider.delete(&format!("{of_project}/{}", id(&parent))).await;
    }

    // A role with its matrix; a member; a token; the old ones go after the new ones have come.
    let role = provider.post(&acme.path("customRole"), json!({ "name": "r-1" }), 201).await;
    let role_path = |role: &Value| acme.path(&format!("customRole/{}", id(role)));
    let matrix = provider.get(&role_path(&role)).await;
    assert_eq!(matrix["cluster_permissions"][0]["permission"], "VIEWER");
    assert_eq!(matrix["project_permissions"][0]["permissions"].as_array().map(Vec::len), Some(4));
    let edit = json!({ "name": "r-1", "description": "", "cluster_permissions": [{ "cluster_id": cluster, "permission": "ADMIN" }],
        "project_permissions": [{ "project_id": project, "is_admin": true }] });
    provider.put(&role_path(&role), edit).await;
    let invited = json!({ "email": "new@acme.example", "role_id": id(&role) });
    let invited = provider.post(&acme.path("inviteMember"), invited, 201).await;
    needs(&invited, &["id", "created_at", "email", "role", "invitation_link", "invitation_status", "inviter"]);
    let token = |name: &str, role: &Value| json!({ "name": name, "role_id": id(role) });
    let first = provider.post(&acme.path("apiToken"), token("ci-1", &role), 201).await;
    assert!(first.get("description").is_none_or(Value::is_null), "never an empty text: {first}");
    let held = provider.send("DELETE", &role_path(&role), None).await;
    assert_eq!(held.status, 409, "neither 400 nor 403 nor 404: the role is still there");
    let next = provider.post(&acme.path("customRole"), json!({ "name": "r-2" }), 201).await;
    let second = provider.post(&acme.path("apiToken"), token("ci-2", &next), 201).await;
    provider.delete(&acme.path(&format!("apiToken/{}", id(&first)))).await;
    provider.delete(&role_path(&role)).await;
    let tokens = provider.get(&acme.path("apiToken")).await;
    let left: Vec<&Value> = tokens["results"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert!(left.contains(&&second["id"]) && !left.contains(&&first["id"]));

    provider.get(&format!("{path}/status")).await;
    provider.delete(&format!("{path}?skipReconcile=true")).await;
    let gone = provider.send("GET", &format!("{path}/status"), None).await;
    assert_eq!(gone.status, 404, "it asks until it is gone");
    provider.delete(&format!("/project/{project}")).await;
    let events = provider.get(&acme.path("events?pageSize=100")).await;
    let all = events["events"].as_array().unwrap();
    let deleted: Vec<&Value> = all.iter().filter(|it| it["event_type"] == "DELETE").collect();
    assert!(deleted.iter().all(|it| it["origin"] == "TERRAFORM_PROVIDER"), "told apart by what it calls itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_roles_are_written_while_projects_are_made() {
    let (server, acme) = Server::with_owner().await;
    let cluster = cluster(&server, &acme).await;
    let token = server.token(&acme, "terraform", "admin").await;
    let provider = &Client { server: &server, agent: "Terraform provider 0.86.1", token };
    let (acme, cluster) = (&acme, cluster.as_str());
    let roles = (0..30).map(async |n| {
        let role = provider.post(&acme.path("customRole"), json!({ "name": format!("role {n}") }), 201).await;
        let path = acme.path(&format!("customRole/{}", id(&role)));
        let seeded = provider.get(&path).await;
        let projects: Vec<Value> = seeded["project_permissions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| json!({ "project_id": it["project_id"], "is_admin": true }))
            .collect();
        let body = json!({ "name": format!("role {n}"), "description": "", "project_permissions": projects,
            "cluster_permissions": [{ "cluster_id": cluster, "permission": "ADMIN" }] });
        provider.put(&path, body).await;
    });
    let projects = (0..30).map(async |n| {
        provider.post(&acme.path("project"), json!({ "name": format!("project {n}") }), 200).await;
    });
    tokio::join!(futures_util::future::join_all(roles), futures_util::future::join_all(projects));
    let roles = server.get(&acme.path("customRole"), &acme.owner).await.expect(200);
    let all = roles["results"].as_array().unwrap();
    assert_eq!(all.len(), 30);
    assert!(
        all.iter().all(|role| role["project_permissions"].as_array().map(Vec::len) == Some(30)),
        "each is complete"
    );
    assert!(all.iter().all(|role| role["cluster_permissions"][0]["permission"] == "ADMIN"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terraform_provider_finds_changes_and_removes_a_member_by_address() {
    let (server, acme) = Server::with_owner().await;
    let token = server.token(&acme, "terraform", "admin").await;
    let provider = Client { server: &server, agent: "Terraform provider 0.86.1", token };
    let (viewer, devops) = (server.role(&acme, "viewer").await, server.role(&acme, "devops").await);
    let (invites, members) = (acme.path("inviteMember"), acme.path("member"));
    // It looks among the invitations first, then among the members, whatever the case.
    let found = async |email: &str| -> Option<Value> {
        for list in [&invites, &members] {
            let all = provider.get(list).await["results"].as_array().unwrap().clone();
            let same = |it: &Value| it["email"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(email));
            if let Some(item) = all.into_iter().find(same) {
                return Some(item);
            }
        }
        None
    };
    let invited = provider.post(&invites, json!({ "email": "new@acme.example", "role_id": viewer }), 201).await;
    let same = found("NEW@acme.example").await.unwrap();
    needs(&same, &["id", "email", "role", "invitation_link", "invitation_status", "inviter", "role_id"]);
    assert_eq!((&same["id"], &same["role_id"]), (&invited["id"], &json!(viewer)));
    // Another role of somebody who has not come yet is another invitation.
    provider.delete(&format!("{invites}/{}", id(&invited))).await;
    let again = provider.post(&invites, json!({ "email": "new@acme.example", "role_id": devops }), 201).await;
    assert_ne!(again["id"], invited["id"]);
    provider.delete(&format!("{invites}/{}", id(&again))).await;
    let (user, _) = server.member(&acme, "new@acme.example", "viewer").await;
    let member = found("new@Acme.example").await.unwrap();
    needs(&member, &["id", "created_at", "email", "role", "role_id", "role_name", "last_activity_at"]);
    assert_eq!(member["id"], user);
    let changed = provider.send("PUT", &members, Some(json!({ "user_id": user, "role_id": devops }))).await;
    assert_eq!((changed.status.as_u16(), changed.text.as_str()), (200, ""));
    assert_eq!(found("new@acme.example").await.unwrap()["role_id"], devops);
    let removed = provider.send("DELETE", &members, Some(json!({ "user_id": user }))).await;
    assert_eq!((removed.status.as_u16(), removed.text.as_str()), (204, ""));
    assert_eq!(found("new@acme.example").await, None);
    let again = provider.send("DELETE", &members, Some(json!({ "user_id": user }))).await;
    assert_eq!(again.outcome(), (400, "invalid_request".into()), "an id in a body is no look-up");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_client_makes_and_removes_what_one_person_works_in() {
    let (server, acme) = Server::with_owner().await;
    let cluster = cluster(&server, &acme).await;
    let cli = Client { server: &server, agent: "CLI 1.7.9", token: server.token(&acme, "cli", "admin").await };
    // A project with the person's name, a role that may all in it and nothing elsewhere, and a token with that role.
    let project = id(&cli.post(&acme.path("project"), json!({ "name": "RDE-Zoe" }), 200).await);
    let role = cli.post(&acme.path("customRole"), json!({ "name": "RDE-Zoe", "description": "" }), 201).await;
    let role_path = acme.path(&format!("customRole/{}", id(&role)));
    let edit = json!({ "name": "RDE-Zoe", "description": "",
        "cluster_permissions": [{ "cluster_id": cluster, "permission": "ENV_CREATOR" }],
        "project_permissions": [{ "project_id": project, "is_admin": true, "permissions": [] }] });
    cli.put(&role_path, edit).await;
    let made = json!({ "name": "ttl-Zoe", "description": "", "role_id": id(&role) });
    let made = cli.post(&acme.path("apiToken"), made, 201).await;
    let own = Client { server: &server, agent: "CLI 1.7.9", token: made["token"].as_str().unwrap().to_owned() };
    let seen = own.get(&acme.path("project")).await;
    assert_eq!(seen["results"].as_array().map(Vec::len), Some(1), "its own and no other: {seen}");
    // Another person's, whose name differs in nothing but case, cannot come to be, and so is not the one that is found.
    let taken = cli.send("POST", &acme.path("project"), Some(json!({ "name": "rde-zoe" }))).await;
    assert_eq!((taken.outcome(), taken.str("id")), ((409, "name_taken".into()), project.clone()));
    // Away with it: the token by its name, then the role that nobody has any more, then the project.
    let tokens = cli.get(&acme.path("apiToken?name=ttl-Zoe")).await;
    let token = tokens["results"].as_array().unwrap().iter().find(|it| it["name"] == "ttl-Zoe").unwrap();
    cli.delete(&acme.path(&format!("apiToken/{}", id(token)))).await;
    cli.delete(&role_path).await;
    cli.delete(&format!("/project/{project}")).await;
    // What it did, page by page, as an export asks for it.
    needs(&cli.get(&acme.path("")).await, &["id", "name", "plan", "created_at"]);
    let (mut next, mut seen, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let page = cli.get(&acme.path(&format!("events?pageSize=3{next}"))).await;
        seen.extend(page["events"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        pages += 1;
        let Some(link) = page["links"]["next"].as_str() else { break };
        let token = link.split("continueToken=").nth(1).unwrap().split('&').next().unwrap();
        next = format!("&continueToken={token}");
    }
    let total = seen.len();
    seen.sort();
    seen.dedup();
    assert!(pages > 2 && seen.len() == total, "{pages} pages, {total} events, {} of them different", seen.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn pulumi_replaces_by_making_first_and_deleting_all_that_is_old_at_the_end() {
    let (server, acme) = Server::with_owner().await;
    let token = server.token(&acme, "pulumi", "admin").await;
    // Its bridge runs the Terraform provider, whose words and requests these are; the order is Pulumi's own.
    let provider = Client { server: &server, agent: "Terraform provider 0.86.1", token };
    let role = async |name: &str, levels: Value| {
        let role = provider.post(&acme.path("customRole"), json!({ "name": name }), 201).await;
        let path = acme.path(&format!("customRole/{}", id(&role)));
        let edit = json!({ "name": name, "description": "", "cluster_permissions": [], "project_permissions": levels });
        provider.put(&path, edit).await;
        (id(&role), path)
    };
    let token = |name: &str, role: &str| json!({ "name": name, "role_id": role });
    let project =
        async |name: &str| provider.post(&acme.path("project"), json!({ "name": name, "description": "" }), 200).await;
    let shop = project("shop-8f3a1c2").await;
    needs(&shop, &["id", "created_at", "name"]);
    let level = |project: &Value| json!([{ "project_id": project["id"], "is_admin": true }]);
    let (first_role, first_role_path) = role("deployer-51d0e77", level(&shop)).await;
    let first = provider.post(&acme.path("apiToken"), token("ci-0b7d9f1", &first_role), 201).await;
    needs(&first, &["id", "name", "token", "role_id"]);

    // `pulumi refresh`: each object once more, and a token by the list.
    provider.get(&format!("/project/{}", id(&shop))).await;
    provider.get(&first_role_path).await;
    let listed = provider.get(&acme.path("apiToken")).await;
    let own = listed["results"].as_array().unwrap().iter().find(|it| it["id"] == first["id"]).unwrap();
    needs(own, &["id", "name", "role_id"]);
    assert!(own.get("token").is_none(), "a text is told once: {own}");

    // Another role takes the place of the first: new ones first, with names of their own, and then the old ones, those that
    // others rest on last.
    let (second_role, _) = role("deployer-c44a902", level(&shop)).await;
    let second = provider.post(&acme.path("apiToken"), token("ci-77e21ba", &second_role), 201).await;
    let text = second["token"].as_str().unwrap().to_owned();
    let with_new = Client { server: &server, agent: "Terraform provider 0.86.1", token: text };
    with_new.get(&format!("/project/{}", id(&shop))).await;
    provider.delete(&acme.path(&format!("apiToken/{}", id(&first)))).await;
    provider.delete(&first_role_path).await;
    with_new.get(&format!("/project/{}", id(&shop))).await;

    // A fixed name cannot be made first; with `deleteBeforeReplace` it can be taken anew at once.
    let fixed = provider.post(&acme.path("apiToken"), token("fixed", &second_role), 201).await;
    let again = provider.send("POST", &acme.path("apiToken"), Some(token("fixed", &second_role))).await;
    assert_eq!((again.outcome(), again.str("id")), ((409, "name_taken".into()), id(&fixed)));
    provider.delete(&acme.path(&format!("apiToken/{}", id(&fixed)))).await;
    let renewed = provider.post(&acme.path("apiToken"), token("fixed", &second_role), 201).await;
    assert_ne!(renewed["id"], fixed["id"]);

    // `pulumi destroy`, and a refresh of what somebody else took away before: gone, and no error.
    provider.delete(&acme.path(&format!("apiToken/{}", id(&renewed)))).await;
    provider.delete(&acme.path(&format!("apiToken/{}", id(&second)))).await;
    let gone = provider.send("GET", &first_role_path, None).await;
    assert_eq!(gone.outcome(), (404, "not_found".into()));
    provider.delete(&acme.path(&format!("customRole/{second_role}"))).await;
    provider.delete(&format!("/project/{}", id(&shop))).await;
}
