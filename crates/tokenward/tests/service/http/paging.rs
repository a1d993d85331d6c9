//! Lists page by page: each entry once, and a key of another list is refused in a sentence.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Organization, Server};

/// The entries of a list, page by page, by their ids.
async fn pages(server: &Server, credential: &str, path: &str, size: usize) -> Vec<Value> {
    let mark = if path.contains('?') { '&' } else { '?' };
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("{path}{mark}limit={size}{cursor}"), credential).await.expect(200);
        let results = page["results"].as_array().unwrap().clone();
        assert!(results.len() <= size, "{path}");
        all.extend(results);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
        assert!(all.len() < 100, "{path} has no end");
    }
}

/// Every list that can be had in pages, with at least three entries in it.
async fn lists(server: &Server, acme: &Organization) -> Vec<String> {
    let owner = &acme.owner;
    let (mut project, mut cluster, mut environment) = (String::new(), String::new(), String::new());
    for n in 0..3 {
        let body = json!({ "name": format!("c{n}"), "region": "eu-west-3", "cloud_provider": "AWS" });
        cluster = server.post(&acme.path("cluster"), owner, body).await.str("id");
        project = server.post(&acme.path("project"), owner, json!({ "name": format!("p{n}") })).await.str("id");
        let role = json!({ "name": format!("r{n}"), "permissions": ["a:read"] });
        server.post(&acme.path("customRole"), owner, role).await.expect(201);
        let routes = json!({ "routes": [{ "method": "GET", "path": "/x", "permission": "x:read" }] });
        server.put(&acme.path(&format!("api/a{n}")), owner, routes).await.expect(200);
        server.member(acme, &format!("m{n}@acme.example"), "viewer").await;
        let invited = json!({ "email": format!("i{n}@acme.example"), "role_id": server.role(acme, "viewer").await });
        server.post(&acme.path("inviteMember"), owner, invited).await.expect(201);
        let policy = json!({
            "name": format!("t{n}"), "role_id": server.role(acme, "viewer").await,
            "opa_policy": "allow if input.request.method == \"GET\"",
        });
        server.post(&acme.path("policyApiToken"), owner, policy).await.expect(201);
        let made = json!({ "name": format!("o{n}"), "plan": "FREE" });
        server.post("/organization", owner, made).await.expect(201);
    }
    for n in 0..3 {
        let body = json!({ "name": format!("e{n}"), "cluster": cluster, "mode": "STAGING" });
        environment = server.post(&format!("/project/{project}/environment"), owner, body).await.str("id");
        for what in ["environmentVariable", "secret"] {
            let body = json!({ "key": format!("{}_{n}", &what[..3].to_uppercase()), "value": "x" });
            server.post(&format!("/project/{project}/{what}"), owner, body.clone()).await.expect(201);
        }
    }
    for n in 0..3 {
        for what in ["environmentVariable", "secret"] {
            let body = json!({ "key": format!("E{}_{n}", &what[..3].to_uppercase()), "value": "x" });
            server.post(&format!("/environment/{environment}/{what}"), owner, body).await.expect(201);
        }
    }
    let of_acme = [
        "member",
        "inviteMember",
        "project",
        "customRole",
        "availableRole",
        "cluster",
        "api",
        "environments",
        "policyApiToken",
    ];
    let mut all: Vec<String> = of_acme.map(|list| acme.path(list)).into();
    all.extend([
        "/organization".to_owned(),
        format!("/project/{project}/environment"),
        format!("/project/{project}/environmentVariable"),
        format!("/project/{project}/secret"),
        format!("/environment/{environment}/environmentVariable"),
        format!("/environment/{environment}/secret"),
        format!("/variable?parent_id={project}&scope=PROJECT"),
    ]);
    all
}

#[tokio::test]
async fn every_list_can_be_had_page_by_page_and_takes_no_key_of_another() {
    let (server, acme) = Server::with_owner().await;
    let lists = lists(&server, &acme).await;
    let mut keys: Vec<(String, String)> = Vec::new();
    for path in &lists {
        let whole = server.get(path, &acme.owner).await.expect(200);
        assert_eq!(whole.get("next_cursor"), None, "the contract's list is whole: {path}");
        let mut expected: Vec<Value> = whole["results"].as_array().unwrap().clone();
        assert!(expected.len() >= 3, "{path}: {expected:?}");
        expected.sort_by_key(|it| it["id"].as_str().unwrap().to_owned());
        for size in [1, 2, 200] {
            assert_eq!(pages(&server, &acme.owner, path, size).await, expected, "{path} by {size}");
        }
        let mark = if path.contains('?') { '&' } else { '?' };
        let first = server.get(&format!("{path}{mark}limit=1"), &acme.owner).await;
        keys.push((format!("{path}{mark}"), first.str("next_cursor")));
        for (wrong, said) in [
            ("limit=0", "list_page"),
            ("limit=201", "list_page"),
            ("cursor=x", "send `limit` too"),
            ("limit=1&cursor=x", "is none that a list has answered"),
        ] {
            let answer = server.get(&format!("{path}{mark}{wrong}"), &acme.owner).await;
            assert!(answer.status == 400 && answer.text.contains(said), "{path} {wrong}: {}", answer.text);
        }
    }
    assert_eq!(keys.iter().map(|(_, key)| key).collect::<BTreeSet<_>>().len(), keys.len());
    for (path, own) in &keys {
        for (_, key) in keys.iter().filter(|(_, key)| key != own) {
            let answer = server.get(&format!("{path}limit=1&cursor={key}"), &acme.owner).await;
            let said = answer.text.contains("is of the list `") || answer.text.contains("than this one; begin again");
            assert!(answer.status == 400 && said, "{path} with {key}: {}", answer.text);
        }
        // That of tokens is another one, too.
        let answer = server.get(&acme.path(&format!("apiToken?limit=1&cursor={own}")), &acme.owner).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
    // The document names those lists and no others.
    let document = server.get("/openapi.json", "").await.expect(200);
    let takes = |operation: &Value| {
        let names = operation["parameters"].as_array().into_iter().flatten().map(|it| it["name"].as_str().unwrap());
        names.filter(|name| ["limit", "cursor"].contains(name)).count() == 2
    };
    let paged = document["paths"].as_object().unwrap().iter().filter(|(_, it)| takes(&it["get"])).count();
    assert_eq!(paged, lists.len() + 2, "tokens and decisions have their own tests");
    server.stop().await;
}

#[tokio::test]
async fn an_entry_that_goes_or_comes_meanwhile_hides_and_repeats_no_other() {
    let (server, acme) = Server::with_owner().await;
    let make =
        async |name: &str| server.post(&acme.path("project"), &acme.owner, json!({ "name": name })).await.str("id");
    let (mut ids, path) = (Vec::new(), acme.path("project"));
    for name in ["a", "b", "c", "d"] {
        ids.push(make(name).await);
    }
    let first = server.get(&format!("{path}?limit=2"), &acme.owner).await;
    assert_eq!(first.each("results", "id"), ids[..2]);
    // The one that the page ends with is deleted, and another one is made.
    server.delete(&format!("/project/{}", ids[1]), &acme.owner).await.expect(204);
    ids.push(make("e").await);
    let rest = server.get(&format!("{path}?limit=9&cursor={}", first.str("next_cursor")), &acme.owner).await;
    assert_eq!(rest.each("results", "id"), ids[2..]);
    server.stop().await;
}
