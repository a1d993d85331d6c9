//! Why: every answer can be explained for a while, to those who may ask.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Organization, Server};

async fn verify(server: &Server, gateway: &str, question: Value) -> (String, Value) {
    let answer = server.post("/verify", gateway, question).await.expect(200);
    (format!("/decision/{}", answer["decision_id"].as_str().unwrap()), answer)
}

#[tokio::test]
async fn a_denial_says_what_was_missing_and_which_role_would_do() {
    let (server, organization) = Server::with_owner().await;
    let gateway = server.token(&organization, "gateway", "verifier").await;
    let token = server.token(&organization, "ci", "billing").await;
    let ask = |permission: &str| {
        json!({ "token": token, "permission": permission, "remote_ip": "203.0.113.7",
            "request": { "method": "GET", "path": "/invoices/7?key=hidden" } })
    };
    let (path, answer) = verify(&server, &gateway, ask("invoices:read")).await;
    assert_eq!(answer["missing_permission"], "invoices:read");
    let told = server.get(&path, &gateway).await.expect(200);
    assert_eq!(told["code"], "permission_denied");
    assert_eq!(told["token"]["name"], "ci");
    assert_eq!(told["missing_permission"], "invoices:read");
    assert_eq!(told["smallest_role"]["name"], "viewer");
    assert_eq!((&told["method"], &told["path"]), (&json!("GET"), &json!("/invoices/7")));
    assert_eq!(told["remote_ip"], "203.0.113.7");
    assert!(!told.to_string().contains("hidden") && !told.to_string().contains(&token));

    // A custom role with just that is smaller than any built-in one.
    let role = json!({ "name": "reader", "permissions": ["invoices:read", "invoices:pay"] });
    server.post(&organization.path("customRole"), &organization.owner, role).await.expect(201);
    let told = server.get(&path, &gateway).await.expect(200);
    assert_eq!(told["smallest_role"]["name"], "reader");
    let (path, _) = verify(&server, &gateway, ask("invoices:delete")).await;
    assert_eq!(server.get(&path, &gateway).await.expect(200)["smallest_role"]["name"], "devops");

    // What was allowed is remembered too, and whose session it is does not matter.
    let (path, _) = verify(&server, &gateway, json!({ "token": token })).await;
    let told = server.get(&path, &organization.owner).await.expect(200);
    assert_eq!((&told["valid"], &told["code"], &told["smallest_role"]), (&json!(true), &json!("valid"), &Value::Null));
    for text in ["twd_nonsense", "", &token.replace("twd_", "twp_")] {
        let (path, _) = verify(&server, &gateway, json!({ "token": text })).await;
        let told = server.get(&path, &gateway).await.expect(200);
        assert_eq!((&told["code"], &told["token"]), (&json!("malformed"), &Value::Null));
    }
}

#[tokio::test]
async fn nobody_else_is_told() {
    let (server, organization) = Server::with_owner().await;
    let gateway = server.token(&organization, "gateway", "verifier").await;
    let viewer = server.token(&organization, "viewer", "viewer").await;
    let other = server.post("/organization", &organization.owner, json!({ "name": "Other", "plan": "FREE" })).await;
    let other =
        Organization { id: other.expect(201)["id"].as_str().unwrap().into(), owner: organization.owner.clone() };
    let stranger = server.token(&other, "gateway", "verifier").await;
    let (path, _) = verify(&server, &gateway, json!({ "token": viewer, "permission": "invoices:pay" })).await;
    server.get(&path, &gateway).await.expect(200);
    assert_eq!(server.get(&path, &stranger).await.outcome(), (404, "not_found".into()));
    assert_eq!(server.get(&path, &viewer).await.outcome(), (403, "permission_denied".into()));
    assert_eq!(server.get(&path, "").await.outcome(), (401, "missing_credentials".into()));
    let list = organization.path("decision");
    assert_eq!(server.get(&list, &stranger).await.outcome().0, 404);
    assert_eq!(server.get(&list, &viewer).await.outcome().0, 403);
    for id in ["0", "x%00", &"0".repeat(40), &"f".repeat(128)] {
        assert_eq!(server.get(&format!("/decision/{id}"), &gateway).await.outcome().0, 404);
    }
    assert_eq!(server.get(&format!("/decision/{}", "f".repeat(4_000)), &gateway).await.outcome().0, 400);
    let foreign = server.get(&other.path("decision"), &stranger).await.expect(200);
    assert!(!foreign.to_string().contains("invoices:pay"), "{foreign}");
    assert_eq!(server.call(Method::POST, &path, &gateway, None).await.status, 405);
}

#[tokio::test]
async fn the_list_shows_the_newest_first_and_the_last_twenty_of_a_token() {
    let (server, organization) = Server::with_owner().await;
    let gateway = server.token(&organization, "gateway", "verifier").await;
    let token = server.token(&organization, "ci", "viewer").await;
    let tokens = server.get(&organization.path("apiToken?name=ci"), &organization.owner).await.expect(200);
    let id = tokens["results"][0]["id"].as_str().unwrap().to_owned();
    let list = async |query: &str| {
        let path = organization.path(&format!("decision{query}"));
        server.get(&path, &organization.owner).await
    };
    let mut server_list = list(&format!("?token_id={id}")).await.expect(200);
    assert_eq!(server_list["results"], json!([]));
    for n in 0..30 {
        verify(&server, &gateway, json!({ "token": token, "permission": format!("a{n}:read") })).await;
        verify(&server, &gateway, json!({ "token": token, "permission": format!("a{n}:write") })).await;
    }
    server_list = list(&format!("?token_id={id}")).await.expect(200);
    let asked = |list: &Value| -> Vec<String> {
        let all = list["results"].as_array().unwrap().iter();
        all.map(|it| it["permission"].as_str().unwrap_or_default().to_owned()).collect()
    };
    // Its last twenty, and what else of it is among the organization's denials.
    let of_token = asked(&server_list);
    assert_eq!((of_token.len(), of_token[0].as_str(), of_token[19].as_str()), (40, "a29:write", "a20:read"));
    assert!(of_token[20..].iter().all(|it| it.ends_with(":write")));
    // All denials of the organization, and what is remembered of its tokens.
    let all = asked(&list("?limit=500").await.expect(200));
    assert_eq!(all.iter().filter(|it| it.ends_with(":write")).count(), 30);
    assert_eq!(all.iter().filter(|it| it.ends_with(":read")).count(), 10);
    assert_eq!(asked(&list("?limit=1").await.expect(200)), ["a29:write"]);
    assert_eq!(asked(&list("?valid=false&limit=1").await.expect(200)), ["a29:write"]);
    assert_eq!(asked(&list("?valid=true&limit=2").await.expect(200)), ["a29:read", "a28:read"]);
    // Page by page it is the same list, also where many are of one moment.
    for filter in ["", "&valid=false", "&valid=true"] {
        let whole = asked(&list(&format!("?limit=500{filter}")).await.expect(200));
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = list(&format!("?limit=7{filter}{cursor}")).await.expect(200);
            all.extend(asked(&page));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(all, whole, "{filter}");
    }
    for cursor in ["x", "decision.1.2", &format!("project.1.{}", "0".repeat(40))] {
        let refused = list(&format!("?cursor={cursor}")).await;
        assert!(refused.status == 400 && refused.text.contains("is none that a list of decisions"), "{}", refused.text);
    }
    for query in ["?limit=0", "?limit=501", "?limit=x", "?token_id=x", "?valid=maybe"] {
        assert_eq!(list(query).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn the_role_that_was_refused_is_never_named_as_enough() {
    let (server, organization) = Server::with_owner().await;
    let gateway = server.token(&organization, "gateway", "verifier").await;
    let token = server.token(&organization, "ci", "viewer").await;
    let import = async |needed: &str| {
        let routes = json!({ "routes": [
            { "method": "GET", "path": "/x/{a}", "permission": "x:read" },
            { "method": "GET", "path": "/x/{a}/admin", "permission": needed },
        ] });
        server.put(&organization.path("api/shop"), &organization.owner, routes).await.expect(200);
    };
    let ask = |path: &str| json!({ "token": token, "api": "shop", "request": { "method": "GET", "path": path } });
    import("x:admin").await;
    // Only the beginning of a long path is kept, and that is the path of another route.
    let (long, _) = verify(&server, &gateway, ask(&format!("/x/{}/admin", "a".repeat(300)))).await;
    let (short, _) = verify(&server, &gateway, ask("/x/1/admin")).await;
    import("x:read").await;
    for path in [long, short] {
        let told = server.get(&path, &gateway).await.expect(200);
        assert_eq!(
            (&told["missing_permission"], &told["smallest_role"]["name"]),
            (&json!("x:admin"), &json!("devops"))
        );
    }
}

#[tokio::test]
async fn a_token_in_a_path_is_not_shown_to_those_who_read_decisions() {
    let (server, organization) = Server::with_owner().await;
    let gateway = server.token(&organization, "gateway", "verifier").await;
    let secret = server.token(&organization, "admin", "admin").await;
    let escaped = secret.replace('_', "%5F");
    for path in [format!("/keys/{secret}"), format!("/cb;key={secret}"), format!("/keys/{escaped}")] {
        let (decision, _) =
            verify(&server, &gateway, json!({ "token": gateway, "request": { "method": "GET", "path": path } })).await;
        let told = server.get(&decision, &gateway).await.expect(200);
        assert_eq!(told["path"], "/[a token stands here]");
        let gate = format!("{}/forward-auth?identity=any&organization={}", server.url, organization.id);
        let held = server.client.get(gate).header("x-api-key", &gateway);
        held.header("x-forwarded-method", "GET").header("x-forwarded-uri", path).send().await.unwrap();
    }
    let list = server.get(&organization.path("decision?limit=500"), &gateway).await.expect(200);
    assert_eq!(list["results"].as_array().unwrap().len(), 6);
    assert!(!list.to_string().contains(&secret) && !list.to_string().contains(&escaped));
}

#[tokio::test]
async fn organizations_that_do_not_exist_take_no_place() {
    let (server, organization) = Server::with_owner().await;
    let gateway = server.token(&organization, "gateway", "verifier").await;
    let (denial, _) = verify(&server, &gateway, json!({ "token": "twd_x" })).await;
    // All in the part of the memory that is the organization's.
    let end = organization.id.chars().last().unwrap();
    for n in 0..60 {
        let invented = format!("00000000-0000-7000-80{n:02}-00000000000{end}");
        let answer = server.client.get(format!("{}/forward-auth?identity=any&organization={invented}", server.url));
        assert_eq!(answer.header("x-api-key", "x").send().await.unwrap().status(), 401);
    }
    server.get(&denial, &gateway).await.expect(200);
}
