//! Labels and metadata of a token: kept, merged, found by, told by verification on request.

use reqwest::Method;
use serde_json::{Value, json};

use crate::console::Person;
use crate::support::{Organization, Server};

async fn labelled(server: &Server, acme: &Organization, name: &str, labels: Value) -> (String, String) {
    let role = server.role(acme, "viewer").await;
    server.new_token(acme, json!({ "name": name, "role_id": role, "labels": labels })).await
}

#[tokio::test]
async fn labels_and_metadata_are_kept_and_merged() {
    let (server, acme) = Server::with_owner().await;
    let role = server.role(&acme, "viewer").await;
    let metadata = json!({ "ticket": "OPS-1204", "limits": { "day": 10, "hour": 1 } });
    let body =
        json!({ "name": "ci", "role_id": role, "labels": { "team": "shop", "env": "prod" }, "metadata": metadata });
    let (id, text) = server.new_token(&acme, body).await;
    let path = acme.path(&format!("apiToken/{id}"));
    let shown = server.get(&path, &acme.owner).await.expect(200);
    assert_eq!((&shown["labels"]["team"], &shown["metadata"]), (&json!("shop"), &metadata));
    let edit = async |body: Value| server.call(Method::PATCH, &path, &acme.owner, Some(body)).await;
    let change =
        json!({ "labels": { "env": null, "tier": "1" }, "metadata": { "limits": { "hour": null }, "a": [1] } });
    let changed = edit(change).await.expect(200);
    assert_eq!(changed["labels"], json!({ "team": "shop", "tier": "1" }));
    assert_eq!(changed["metadata"], json!({ "a": [1], "limits": { "day": 10 }, "ticket": "OPS-1204" }));
    let events = server.get(&acme.path(&format!("events?targetId={id}&pageSize=1")), &acme.owner).await.expect(200);
    assert!(events["events"][0]["original_change"].as_str().unwrap().contains("prod"), "{events}");
    // Told where they are asked for, from memory, also after a restart.
    let server = server.restart().await;
    let ask = async |include: Value| {
        let body = json!({ "token": text, "include": include });
        server.post("/verify", &acme.owner, body).await.expect(200)["token"].clone()
    };
    let told = ask(json!(["labels"])).await;
    assert_eq!((&told["labels"]["tier"], told.get("metadata")), (&json!("1"), None));
    let told = ask(json!(["metadata", "labels"])).await;
    assert_eq!(told["metadata"]["ticket"], "OPS-1204");
    assert_eq!(ask(json!([])).await.get("labels"), None);
    let batch = json!({ "tokens": [{ "token": text, "include": ["labels"] }, { "token": text }] });
    let answers = server.post("/verify/batch", &acme.owner, batch).await.expect(200);
    assert_eq!(answers["results"][0]["token"]["labels"]["team"], "shop");
    assert_eq!(answers["results"][1]["token"].get("labels"), None);
    // What is changed is told from the next request on, and null takes all away.
    let owner = server.sign_in(crate::support::OWNER, crate::support::PASSWORD).await;
    let gone = json!({ "labels": null, "metadata": null });
    let none = server.call(Method::PATCH, &path, &owner, Some(gone)).await.expect(200);
    assert!(none.get("labels").is_none() && none.get("metadata").is_none(), "{none}");
    let body = json!({ "token": text, "include": ["labels", "metadata"] });
    let told = server.post("/verify", &owner, body).await.expect(200);
    assert!(told["valid"] == true && told["token"].get("labels").is_none(), "{told}");
}

#[tokio::test]
async fn tokens_are_found_by_their_labels() {
    let (server, acme) = Server::with_owner().await;
    labelled(&server, &acme, "a", json!({ "team": "shop", "env": "prod" })).await;
    labelled(&server, &acme, "b", json!({ "team": "shop" })).await;
    labelled(&server, &acme, "c", json!({ "team": "pay", "url": "https://x" })).await;
    for (label, found) in [
        ("team", vec!["a", "b", "c"]),
        ("team:shop", vec!["a", "b"]),
        ("team:shop,env", vec!["a"]),
        ("url:https://x", vec!["c"]),
        ("team:Shop", vec![]),
        ("env:", vec![]),
    ] {
        let query = form_urlencoded::byte_serialize(label.as_bytes()).collect::<String>();
        let all = server.get(&acme.path(&format!("apiToken?label={query}")), &acme.owner).await;
        assert_eq!(all.each("results", "name"), found, "{label}");
    }
    let wrong = server.get(&acme.path("apiToken?label=a%20b"), &acme.owner).await;
    assert!(wrong.status == 400 && wrong.text.contains("label"), "{}", wrong.text);
}

#[tokio::test]
async fn what_is_no_label_or_too_much_is_refused_by_name() {
    let (server, acme) = Server::with_owner().await;
    let role = server.role(&acme, "viewer").await;
    let many: serde_json::Map<String, Value> = (0..33).map(|n| (format!("k{n}"), json!("v"))).collect();
    for (field, value, said) in [
        ("labels", json!({ "a b": "c" }), "which is not 1 to 64"),
        ("labels", json!({ "a": "b,c" }), "a comma"),
        ("labels", json!({ "a": "x".repeat(129) }), "longer than 128"),
        ("labels", json!(many), "token_labels"),
        ("labels", json!({ "a": "x".repeat(5_000) }), "token_labels_bytes"),
        ("labels", json!({ "a": 1 }), "labels"),
        ("metadata", json!({ "a": "x".repeat(4_096) }), "token_metadata_bytes"),
        ("metadata", json!([1]), "metadata"),
    ] {
        let mut body = json!({ "name": "ci", "role_id": role });
        body[field] = value.clone();
        let refused = server.post(&acme.path("apiToken"), &acme.owner, body).await;
        assert_eq!(refused.outcome(), (400, "invalid_request".into()), "{field} {value}");
        assert!(refused.text.contains(said), "{said}: {}", refused.text);
    }
    let (id, text) = labelled(&server, &acme, "ci", json!({ "a": "b" })).await;
    let path = acme.path(&format!("apiToken/{id}"));
    let more = json!({ "labels": (0..32).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>() });
    let refused = server.call(Method::PATCH, &path, &acme.owner, Some(more)).await;
    assert!(refused.status == 400 && refused.text.contains("token_labels"), "with those that it has: {}", refused.text);
    for include in [json!(["label"]), json!(["labels", "labels", "labels"]), json!("labels")] {
        let refused = server.post("/verify", &acme.owner, json!({ "token": text, "include": include })).await;
        assert!(refused.status == 400 && refused.text.contains("include"), "{}", refused.text);
    }
}

#[tokio::test]
async fn the_console_edits_labels_and_metadata_and_searches_by_them() {
    let (server, acme) = Server::with_owner().await;
    let base = format!("/console/{}", acme.id);
    let viewer = server.role(&acme, "viewer").await;
    let mut owner = Person::owner(&server).await;
    owner.get(&format!("{base}/tokens/new")).await.says(200, "Labels");
    let form = [("name", "ci"), ("role_id", viewer.as_str()), ("expires", "30d"), ("labels", "team=shop\nenv = prod")];
    let broken = [&form[..], &[("metadata", "{")]].concat();
    owner.post(&format!("{base}/tokens"), &broken).await.says(400, "is no JSON object");
    owner.get(&format!("{base}/tokens/new")).await;
    let whole = [&form[..], &[("metadata", "{\"limits\": {\"day\": 1, \"hour\": 2}}")]].concat();
    owner.post(&format!("{base}/tokens"), &whole).await.says(201, "is ready");
    let all = server.get(&acme.path("apiToken?label=team:shop,env:prod"), &acme.owner).await;
    let id = all.each("results", "id").remove(0);
    owner.get(&format!("{base}/tokens/{id}")).await.says(200, "team=shop");
    owner.get(&format!("{base}/tokens?q=team%3Dshop")).await.says(200, ">ci</a>");
    let page = owner.get(&format!("{base}/tokens/{id}/edit")).await.says(200, "env=prod");
    let version = page.html.split("name=\"version\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let edit = [
        ("name", "ci"),
        ("role_id", viewer.as_str()),
        ("expires", "keep"),
        ("version", &version),
        ("labels", "team=pay"),
        ("metadata", "{\"limits\": {\"day\": 3}}"),
    ];
    owner.post(&format!("{base}/tokens/{id}/edit"), &edit).await.leads_to(&format!("{base}/tokens/{id}"));
    let shown = server.get(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.expect(200);
    assert_eq!((&shown["labels"], &shown["metadata"]), (&json!({ "team": "pay" }), &json!({ "limits": { "day": 3 } })));
}
