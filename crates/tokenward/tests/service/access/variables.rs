//! Variables as the clients of the published contract write them: by their own family of paths, by first match, by making
//! the new one before the old one goes.

use reqwest::Method;
use serde_json::{Value, json};

use tokenward_server::limits::ENVIRONMENTS;

use super::resources::{World, id, token_with, world, world_in};
use crate::support::{Server, config};

impl World {
    fn of_project(&self, what: &str) -> String {
        format!("/project/{}/{what}", self.project)
    }

    fn of_environment(&self, what: &str) -> String {
        format!("/environment/{}/{what}", self.environment)
    }

    async fn add(&self, path: &str, body: Value) -> Value {
        self.server.post(path, &self.acme.owner, body).await.expect(201)
    }

    async fn results(&self, path: &str) -> Vec<Value> {
        self.server.get(path, &self.acme.owner).await.expect(200)["results"].as_array().unwrap().clone()
    }

    /// What the published command line takes for the variable of a key: the first of the list that has it.
    async fn first(&self, key: &str) -> Value {
        let path = format!("/variable?parent_id={}&scope=ENVIRONMENT", self.environment);
        self.results(&path).await.into_iter().find(|it| it["key"] == key).unwrap_or(Value::Null)
    }

    /// Kinds and targets of the newest events, the newest first.
    async fn events(&self, count: usize) -> Vec<(String, String)> {
        let path = self.acme.path(&format!("events?pageSize={count}"));
        let page = self.server.get(&path, &self.acme.owner).await.expect(200);
        let told = |event: &Value| {
            (event["kind"].as_str().unwrap().to_owned(), event["target_id"].as_str().unwrap().to_owned())
        };
        page["events"].as_array().unwrap().iter().map(told).collect()
    }
}

fn keys(list: &[Value]) -> Vec<&str> {
    list.iter().map(|it| it["key"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_write_family_makes_changes_and_deletes() {
    let w = world().await;
    let body = |key: &str, secret: bool| {
        json!({ "key": key, "value": "one", "is_secret": secret, "variable_scope": "PROJECT", "variable_parent_id": w.project,
            "mount_path": null, "description": null, "enable_interpolation_in_file": null, "secret_manager_access_id": null })
    };
    let plain = w.add("/variable", body("PLAIN", false)).await;
    assert_eq!(
        (&plain["value"], &plain["scope"], &plain["is_secret"]),
        (&json!("one"), &json!("PROJECT"), &json!(false))
    );
    let secret = w.add("/variable", body("SECRET", true)).await;
    assert_eq!(secret.get("value"), Some(&Value::Null), "a decoder refuses the list where the key is absent");
    for made in [&plain, &secret] {
        let path = format!("/variable/{}", id(made));
        let changed =
            w.server.put(&path, &w.acme.owner, json!({ "key": made["key"], "value": "two" })).await.expect(200);
        assert_eq!(changed["id"], made["id"]);
    }
    assert_eq!(w.first("PLAIN").await["value"], "two");
    let alias = json!({ "key": "OTHER", "alias_scope": "ENVIRONMENT", "alias_parent_id": w.environment });
    let alias = w.add(&format!("/variable/{}/alias", id(&plain)), alias).await;
    assert_eq!((&alias["value"], &alias["aliased_variable"]["id"]), (&json!("PLAIN"), &plain["id"]));
    let cover = json!({ "value": "here", "override_scope": "ENVIRONMENT", "override_parent_id": w.environment });
    let covers = w.add(&format!("/variable/{}/override", id(&plain)), cover.clone()).await;
    assert_eq!((&covers["value"], &covers["overridden_variable"]["id"]), (&json!("here"), &plain["id"]));
    let hidden = w.add(&format!("/variable/{}/override", id(&secret)), cover).await;
    assert_eq!((hidden.get("value"), &hidden["overridden_secret"]["id"]), (Some(&Value::Null), &secret["id"]));
    assert_eq!(hidden["overridden_variable"]["id"], secret["id"], "lists of both kinds name it so");
    for gone in [&alias, &covers, &hidden, &plain, &secret] {
        assert_eq!(w.server.delete(&format!("/variable/{}", id(gone)), &w.acme.owner).await.status, 204);
    }
    assert_eq!(w.results(&w.of_project("environmentVariable")).await.len(), 1, "the built-in one is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_by_parent_has_the_one_of_each_key_that_counts() {
    let w = world().await;
    let project = w.add(&w.of_project("environmentVariable"), json!({ "key": "K", "value": "project" })).await;
    w.add(&w.of_project("environmentVariable"), json!({ "key": "BOTH", "value": "plain" })).await;
    w.add(&w.of_environment("secret"), json!({ "key": "BOTH", "value": "hidden" })).await;
    let path = w.of_environment(&format!("environmentVariable/{}/override", id(&project)));
    let cover = w.add(&path, json!({ "value": "environment" })).await;
    let first = w.first("K").await;
    assert_eq!((&first["id"], &first["overridden_variable"]["id"]), (&cover["id"], &project["id"]));
    let by_parent = format!("/variable?parent_id={}&scope=ENVIRONMENT", w.environment);
    assert_eq!(
        keys(&w.results(&by_parent).await),
        ["QOVERY_PROJECT_ID", "QOVERY_ENVIRONMENT_ID", "BOTH", "K"],
        "each key once"
    );
    // Chosen first, filtered after: the plain one of the project does not count where a secret stands before it.
    assert_eq!(keys(&w.results(&format!("{by_parent}&is_secret=true")).await), ["BOTH"]);
    assert!(!keys(&w.results(&format!("{by_parent}&is_secret=false")).await).contains(&"BOTH"));
    // The other list has both, the widest scope first: the provider takes the last.
    let all = w.results(&w.of_environment("environmentVariable")).await;
    let of_key: Vec<&Value> = all.iter().filter(|it| it["key"] == "K").map(|it| &it["value"]).collect();
    assert_eq!(of_key, [&json!("project"), &json!("environment")]);
    // Deleting what the command line finds takes the override, and leaves the project's.
    w.server.delete(&format!("/variable/{}", id(&first)), &w.acme.owner).await.expect(204);
    assert_eq!(w.first("K").await["id"], project["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_without_a_value_loses_none() {
    let w = world().await;
    for (what, secret) in [("environmentVariable", false), ("secret", true)] {
        let path = w.of_project(what);
        let key = what.to_uppercase();
        let made = w.add(&path, json!({ "key": key, "value": "keep", "description": "why" })).await;
        let one = format!("{path}/{}", id(&made));
        for change in [json!({ "key": key }), json!({ "key": key, "value": null })] {
            let kept = w.server.put(&one, &w.acme.owner, change).await.expect(200);
            assert_eq!(kept["value"], if secret { Value::Null } else { json!("keep") });
            assert_eq!(kept["description"], "why");
        }
        let told = w.server.get(&w.acme.path("events?pageSize=1"), &w.acme.owner).await.expect(200);
        let change: Value = serde_json::from_str(told["events"][0]["change"].as_str().unwrap()).unwrap();
        assert_eq!(change.get("value_changed"), None);
        // The empty text is a value too, also of a secret; null takes a description out.
        let emptied = w.server.put(&one, &w.acme.owner, json!({ "value": "", "description": null })).await.expect(200);
        assert!(!emptied.as_object().unwrap().contains_key("description"), "the provider fails on null");
        let told = w.server.get(&w.acme.path("events?pageSize=1"), &w.acme.owner).await.expect(200);
        let change: Value = serde_json::from_str(told["events"][0]["change"].as_str().unwrap()).unwrap();
        assert_eq!(change["value_changed"], true, "that it changed, and never to what");
        let again = w.server.post(&path, &w.acme.owner, json!({ "key": key })).await.expect(400);
        assert_eq!(again["faults"][0]["field"], "value", "a new one without a value would wipe the old one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_replaces_and_keeps_the_id_of_its_kind() {
    let w = world().await;
    for (path, file) in [
        (w.of_project("environmentVariable"), false),
        (w.of_project("secret"), false),
        (w.of_environment("secret"), true),
    ] {
        let path_of = |value: &str| {
            if file {
                json!({ "key": "K2", "value": value, "mount_path": "/k" })
            } else {
                json!({ "key": "K1", "value": value })
            }
        };
        // Both kinds share the keys of a scope, so each turn begins with an empty one.
        let made = w.add(&path, path_of("a")).await;
        let again = w.add(&path, path_of("b")).await;
        assert_eq!(again["id"], made["id"], "{path}");
        assert_eq!(w.server.delete(&format!("{path}/{}", id(&made)), &w.acme.owner).await.status, 204);
        let gone = w.server.delete(&format!("{path}/{}", id(&made)), &w.acme.owner).await;
        assert_eq!(gone.status, 404, "what was deleted itself is no replaced id");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_becomes_a_secret_takes_its_alias_and_overrides_with_it() {
    let w = world().await;
    let body = json!({ "name": "live", "cluster": w.cluster, "mode": "PRODUCTION" });
    let live = id(&w.server.post(&w.of_project("environment"), &w.acme.owner, body).await.expect(201));
    let old = w.add(&w.of_project("environmentVariable"), json!({ "key": "DB", "value": "readable-project" })).await;
    let alias = w.of_environment(&format!("environmentVariable/{}/alias", id(&old)));
    let alias = w.add(&alias, json!({ "key": "DATABASE" })).await;
    let mut overrides = Vec::new();
    for environment in [&w.environment, &live] {
        let path = format!("/environment/{environment}/environmentVariable/{}/override", id(&old));
        overrides.push(id(&w.add(&path, json!({ "value": "readable-override" })).await));
    }
    let new = w.add(&w.of_project("secret"), json!({ "key": "DB", "value": "sealed" })).await;
    assert_ne!(new["id"], old["id"], "the client deletes the old id afterwards");
    let secrets = w.results(&w.of_environment("secret")).await;
    let one = |wanted: &str| secrets.iter().find(|it| it["id"] == wanted).unwrap();
    assert_eq!(one(&id(&alias))["aliased_secret"]["id"], new["id"]);
    assert_eq!(one(&overrides[0])["overridden_secret"]["id"], new["id"]);
    assert_eq!(
        keys(&w.results(&w.of_environment("environmentVariable")).await).len(),
        2,
        "only built-in ones are plain"
    );
    let told = w.events(5).await;
    let (old, new) = (id(&old), id(&new));
    let kinds: Vec<(&str, &str)> = told.iter().map(|(kind, target)| (kind.as_str(), target.as_str())).collect();
    assert_eq!(kinds[..2], [("project_secret.created", new.as_str()), ("project_variable.deleted", old.as_str())]);
    assert!(kinds[2..].iter().all(|(kind, _)| *kind == "environment_secret.updated"), "{kinds:?}");
    // Deleting what was replaced does nothing, as often as it is asked, and is no event.
    let path = w.of_project(&format!("environmentVariable/{old}"));
    for path in [&path, &path, &format!("/variable/{old}")] {
        assert_eq!(w.server.delete(path, &w.acme.owner).await.status, 204, "{path}");
    }
    assert_eq!(w.events(5).await, told);
    assert_eq!(w.first("DB").await["overridden_variable"]["id"], new.as_str(), "the new one is still there");
    // A secret with overrides does not become readable.
    let refused =
        w.server.post(&w.of_project("environmentVariable"), &w.acme.owner, json!({ "key": "DB", "value": "x" })).await;
    let detail = refused.expect(409)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("2 overrides") && detail.contains("`staging`") && detail.contains("`live`"), "{detail}");
    let directory = w.server.stop().await;
    let mut files = std::fs::read(directory.path().join("tokenward.db")).unwrap();
    files.extend(std::fs::read(directory.path().join("tokenward.db-wal")).unwrap_or_default());
    let readable = |text: &[u8]| files.windows(text.len()).any(|window| window == text);
    assert!(!readable(b"\x00readable-override"), "the value of the override was sealed");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_change_of_kind_makes_a_new_id_and_deleting_the_old_one_does_nothing() {
    let w = world().await;
    let project = w.add(&w.of_project("environmentVariable"), json!({ "key": "K", "value": "project" })).await;
    let target = w.add(&w.of_project("environmentVariable"), json!({ "key": "TARGET", "value": "t" })).await;
    let plain = w.of_environment("environmentVariable");
    let (alias, cover) = (format!("{plain}/{}/alias", id(&target)), format!("{plain}/{}/override", id(&project)));
    let steps = [
        (plain.clone(), json!({ "key": "K", "value": "v" })),
        (plain.clone(), json!({ "key": "K", "value": "v", "mount_path": "/k" })),
        (cover.clone(), json!({ "value": "v" })),
        (alias.clone(), json!({ "key": "K" })),
        (plain.clone(), json!({ "key": "K", "value": "v" })),
        (w.of_environment("secret"), json!({ "key": "K", "value": "v" })),
        (cover, json!({ "value": "v" })),
        (plain.clone(), json!({ "key": "K", "value": "v" })),
    ];
    let mut before: Option<(String, String)> = None;
    for (path, body) in steps {
        let made = id(&w.add(&path, body).await);
        if let Some((path, old)) = before {
            assert_ne!(old, made);
            assert_eq!(w.server.delete(&format!("{path}/{old}"), &w.acme.owner).await.status, 204, "{path}");
            assert_eq!(w.first("K").await["id"], made.as_str(), "{path}");
            let other = if path.ends_with("secret") { plain.clone() } else { w.of_environment("secret") };
            assert_eq!(w.server.delete(&format!("{other}/{old}"), &w.acme.owner).await.status, 404);
        }
        let list = if path.ends_with("secret") { path.clone() } else { plain.clone() };
        before = Some((list, made));
    }
    assert_eq!(w.first("K").await["variable_type"], "VALUE");
    let inherited = w.results(&w.of_project("environmentVariable")).await;
    assert!(inherited.iter().any(|it| it["id"] == project["id"]), "the project's own was never touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_id_is_known_to_nobody_else_and_for_nothing_else() {
    let w = world().await;
    let path = w.of_environment("environmentVariable");
    let old = id(&w.add(&path, json!({ "key": "K", "value": "v" })).await);
    w.add(&w.of_environment("secret"), json!({ "key": "K", "value": "v" })).await;
    let (own, family) = (format!("{path}/{old}"), format!("/variable/{old}"));
    let viewer = w.server.token(&w.acme, "viewer", "viewer").await;
    let other = w.server.new_organization("Other").await;
    let absent = w.server.delete("/variable/01900000-0000-7000-8000-00000000abcd", &w.acme.owner).await;
    for (method, path, by) in [
        (Method::PUT, &own, &w.acme.owner),
        (Method::PUT, &family, &w.acme.owner),
        (Method::DELETE, &w.of_project(&format!("environmentVariable/{old}")), &w.acme.owner),
        (Method::DELETE, &w.of_environment(&format!("secret/{old}")), &w.acme.owner),
        (Method::DELETE, &family, &viewer),
        (Method::DELETE, &family, &other.owner),
    ] {
        let body = (method == Method::PUT).then(|| json!({ "value": "x" }));
        let answer = w.server.call(method.clone(), path, by, body).await;
        assert_eq!((answer.status, &answer.text), (absent.status, &absent.text), "{method} {path}");
    }
    assert_eq!(w.server.delete(&own, &viewer).await.status, 403, "as for every id there");
    w.server.clock.set(w.server.running.app.now().plus(24 * 3_600 * 1_000_000 + 1_000_000));
    let owner = w.server.sign_in(crate::support::OWNER, crate::support::PASSWORD).await;
    assert_eq!(w.server.delete(&own, &owner).await.status, 404, "after a day it is forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_overridden_is_overridden_again_under_the_same_id() {
    let w = world().await;
    let project = w.add(&w.of_project("environmentVariable"), json!({ "key": "K", "value": "project" })).await;
    let by_project = format!("/variable/{}/override", id(&project));
    let body =
        |value: &str| json!({ "value": value, "override_scope": "ENVIRONMENT", "override_parent_id": w.environment });
    let first = w.add(&by_project, body("one")).await;
    let second = w.add(&by_project, body("two")).await;
    let third = w.add(&format!("/variable/{}/override", id(&first)), body("three")).await;
    assert_eq!((&second["id"], &third["id"]), (&first["id"], &first["id"]));
    assert_eq!((&third["value"], &third["overridden_variable"]["id"]), (&json!("three"), &project["id"]));
    // A rename of what is overridden takes the override with it; the override itself keeps the key.
    let path = format!("/variable/{}", id(&project));
    w.server.put(&path, &w.acme.owner, json!({ "key": "L" })).await.expect(200);
    assert_eq!(w.first("L").await["id"], first["id"]);
    let refused =
        w.server.put(&format!("/variable/{}", id(&first)), &w.acme.owner, json!({ "key": "M" })).await.expect(400);
    assert_eq!(refused["faults"][0]["field"], "key");
    let own = w.add(&w.of_environment("environmentVariable"), json!({ "key": "OWN", "value": "v" })).await;
    let twice = w.server.post(&format!("/variable/{}/override", id(&own)), &w.acme.owner, body("x")).await;
    assert_eq!(twice.status, 409, "one of this very scope");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_write_one_environment_changes_and_deletes_its_override_alone() {
    let w = world().await;
    let project = w.add(&w.of_project("environmentVariable"), json!({ "key": "K", "value": "project" })).await;
    let staging = token_with(&w, "staging", "ENV_CREATOR", ["VIEWER", "VIEWER", "MANAGER", "VIEWER"]).await;
    let body = json!({ "value": "mine", "override_scope": "ENVIRONMENT", "override_parent_id": w.environment });
    let cover = w.server.post(&format!("/variable/{}/override", id(&project)), &staging, body).await.expect(201);
    let path = format!("/variable/{}", id(&cover));
    assert_eq!(
        w.server.put(&path, &staging, json!({ "key": "K", "value": "other" })).await.expect(200)["value"],
        "other"
    );
    w.server.delete(&path, &staging).await.expect(204);
    let reader = token_with(&w, "reader", "VIEWER", ["VIEWER"; 4]).await;
    let path = format!("/variable/{}", id(&project));
    for method in [Method::PUT, Method::DELETE] {
        let body = (method == Method::PUT).then(|| json!({ "value": "x" }));
        let answer = w.server.call(method, &path, &reader, body).await;
        assert_eq!(answer.outcome(), (403, "permission_denied".to_owned()), "seen, and not to be changed");
    }
    let blind = token_with(&w, "blind", "VIEWER", ["NO_ACCESS"; 4]).await;
    assert_eq!(w.server.delete(&path, &blind).await.outcome(), (404, "not_found".to_owned()));
    assert_eq!(w.first("K").await["value"], "project");
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_show_the_key_that_they_stand_for_and_cannot_be_given_another() {
    let w = world().await;
    let plain = w.add(&w.of_project("environmentVariable"), json!({ "key": "K", "value": "v" })).await;
    let secret = w.add(&w.of_project("secret"), json!({ "key": "S", "value": "v" })).await;
    let project_id = w.results(&w.of_project("environmentVariable")).await[0].clone();
    let built_in = w
        .add(&w.of_environment(&format!("environmentVariable/{}/alias", id(&project_id))), json!({ "key": "PID" }))
        .await;
    assert_eq!(
        (&built_in["value"], &built_in["aliased_variable"]["id"]),
        (&json!("QOVERY_PROJECT_ID"), &project_id["id"])
    );
    let path = w.of_project(&format!("environmentVariable/{}/alias", id(&plain)));
    let alias = w.add(&path, json!({ "key": "A", "description": "" })).await;
    assert_eq!((&alias["value"], &alias["description"]), (&json!("K"), &json!("")));
    let hidden = w.add(&w.of_project(&format!("secret/{}/alias", id(&secret))), json!({ "key": "B" })).await;
    assert_eq!((hidden.get("value"), &hidden["aliased_secret"]["key"]), (Some(&Value::Null), &json!("S")));
    let listed = w.results(&w.of_project("environmentVariable")).await;
    assert_eq!(listed.iter().find(|it| it["id"] == alias["id"]).unwrap(), &alias, "the same in every answer");
    for (it, same) in [(&alias, "K"), (&hidden, "S"), (&built_in, "QOVERY_PROJECT_ID")] {
        let path = format!("/variable/{}", id(it));
        w.server.put(&path, &w.acme.owner, json!({ "key": it["key"], "value": same })).await.expect(200);
        let refused = w.server.put(&path, &w.acme.owner, json!({ "key": it["key"], "value": "x" })).await.expect(400);
        assert_eq!(refused["faults"][0]["field"], "value");
    }
    let itself = w.server.post(&path, &w.acme.owner, json!({ "key": "K" })).await;
    assert_eq!(itself.status, 400);
    // Whatever hangs on a variable goes with it, each with its event, children first.
    w.server.delete(&w.of_project(&format!("environmentVariable/{}", id(&plain))), &w.acme.owner).await.expect(204);
    let deleted = "project_variable.deleted".to_owned();
    assert_eq!(w.events(2).await, [(deleted.clone(), id(&plain)), (deleted, id(&alias))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn built_in_variables_have_one_id_and_the_dates_of_what_they_are_about_and_cannot_be_taken() {
    let w = world().await;
    let of_project = w.results(&w.of_project("environmentVariable")).await;
    let of_environment = w.results(&w.of_environment("environmentVariable")).await;
    assert_eq!(of_project[0], of_environment[0]);
    let project = w.server.get(&format!("/project/{}", w.project), &w.acme.owner).await.expect(200);
    let environment = w.server.get(&format!("/environment/{}", w.environment), &w.acme.owner).await.expect(200);
    for (variable, of) in [(&of_environment[0], project), (&of_environment[1], environment)] {
        assert_eq!(variable["created_at"], of["created_at"]);
        assert!(variable["updated_at"].is_string());
        let key = variable["key"].as_str().unwrap();
        for path in [w.of_project("environmentVariable"), w.of_environment("secret")] {
            let refused = w.server.post(&path, &w.acme.owner, json!({ "key": key, "value": "x" })).await.expect(400);
            assert_eq!(refused["faults"][0]["field"], "key", "{path}");
        }
        for path in
            [format!("/variable/{}", id(variable)), w.of_environment(&format!("environmentVariable/{}", id(variable)))]
        {
            assert_eq!(w.server.put(&path, &w.acme.owner, json!({ "value": "x" })).await.status, 400, "{path}");
            assert_eq!(w.server.delete(&path, &w.acme.owner).await.status, 400, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_of_a_variable_is_refused_by_name() {
    let w = world().await;
    let whole = json!({ "key": "K", "value": "v", "is_secret": false, "variable_scope": "PROJECT", "variable_parent_id": w.project });
    let with = |field: &str, value: Value| {
        let mut body = whole.clone();
        body[field] = value;
        body
    };
    for (body, field) in [
        (with("variable_scope", json!("APPLICATION")), "variable_scope"),
        (with("variable_scope", json!("BUILT_IN")), "variable_scope"),
        (with("variable_scope", json!("ENVIRONMENT")), "variable_parent_id"),
        (with("variable_parent_id", json!(w.acme.id)), "variable_parent_id"),
        (with("secret_manager_access_id", json!(w.acme.id)), "secret_manager_access_id"),
        (with("description", json!("d".repeat(256))), "description"),
        (with("mount_path", json!("relative")), "mount_path"),
        (with("value", json!(null)), "value"),
    ] {
        let refused = w.server.post("/variable", &w.acme.owner, body).await.expect(400);
        assert_eq!(refused["faults"][0]["field"], field);
    }
    // Whoever means a secret does not get what everybody reads.
    for (path, secret) in [("environmentVariable", true), ("secret", false)] {
        let body = json!({ "key": "TWO", "value": "v", "is_secret": secret });
        let refused = w.server.post(&w.of_project(path), &w.acme.owner, body).await.expect(400);
        assert_eq!(refused["faults"][0]["field"], "is_secret", "{path}");
    }
    // What a client sends that found no variable of the name.
    for path in [
        "/variable/00000000-0000-0000-0000-000000000000".to_owned(),
        w.of_project("environmentVariable/00000000-0000-0000-0000-000000000000"),
    ] {
        let missing = w.server.delete(&path, &w.acme.owner).await.expect(404);
        assert!(missing["detail"].as_str().unwrap().contains("found no variable of the name"), "{missing}");
    }
    let made = w.add("/variable", with("mount_path", json!("/etc/k"))).await;
    let plain = w.add("/variable", with("key", json!("P"))).await;
    let path = |it: &Value| format!("/variable/{}", id(it));
    assert_eq!(
        w.server.put(&path(&made), &w.acme.owner, json!({ "mount_path": "/k" })).await.expect(200)["mount_path"],
        "/k"
    );
    let refused = w.server.put(&path(&plain), &w.acme.owner, json!({ "mount_path": "/k" })).await.expect(400);
    assert_eq!(refused["faults"][0]["field"], "mount_path");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_goes_with_an_event_for_each_environment_within_a_second() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.limits.set(&ENVIRONMENTS, 300);
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let w = world_in(server, acme).await;
    let path = w.of_project("environment");
    for n in 1..300 {
        let body = json!({ "name": format!("e{n}"), "cluster": w.cluster, "mode": "DEVELOPMENT" });
        w.server.post(&path, &w.acme.owner, body).await.expect(201);
    }
    w.add(&w.of_environment("environmentVariable"), json!({ "key": "K", "value": "v" })).await;
    w.add(&w.of_project("secret"), json!({ "key": "S", "value": "v" })).await;
    let begun = std::time::Instant::now();
    w.server.delete(&format!("/project/{}", w.project), &w.acme.owner).await.expect(204);
    let took = begun.elapsed();
    let page = w.server.get(&w.acme.path("events?pageSize=302"), &w.acme.owner).await.expect(200);
    let events = page["events"].as_array().unwrap();
    let change = |event: &Value| serde_json::from_str::<Value>(event["change"].as_str().unwrap()).unwrap();
    assert_eq!((&events[0]["kind"], &change(&events[0])["variables"]), (&json!("project.deleted"), &json!(1)));
    let gone: Vec<&Value> = events[1..].iter().filter(|it| it["kind"] == "environment.deleted").collect();
    assert_eq!(gone.len(), 300);
    assert_eq!(gone.iter().filter(|it| change(it)["variables"] == 1).count(), 1);
    assert_eq!(
        (&gone[0]["environment_type"], &gone[299]["environment_type"]),
        (&json!("DEVELOPMENT"), &json!("STAGING"))
    );
    assert!(took.as_secs_f64() < 1.0, "{took:?}");
    assert_eq!(w.server.get(&w.acme.path("environments"), &w.acme.owner).await.expect(200)["results"], json!([]));
}
