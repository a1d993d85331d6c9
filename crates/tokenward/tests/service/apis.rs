//! The routes of an organization's own API: imported in each form, asked about, and refused when they are bad.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{self, Answer, Organization, Server};

const SHOP: &str = r##"
openapi: 3.0.3
info: { title: Shop, version: "1" }
servers: [{ url: "https://shop.example/v1/" }]
security: [{ key: [] }]
paths:
  /invoices:
    get: { responses: {} }
    post: { x-permission: [invoices:write, ledger:write] }
  /invoices/{id}:
    parameters: [{ $ref: "#/components/parameters/id" }]
    get: { security: [{ oauth: [invoices:read] }, { oauth: ["audit:read"] }] }
    delete: { x-permission: invoices:void }
  /copies: { $ref: "#/components/pathItems/Copies" }
components:
  parameters: { id: { name: id, in: path } }
  pathItems: { Copies: { get: {} } }
  schemas: { Node: { properties: { next: { $ref: "#/components/schemas/Node" } } } }
"##;

async fn import(
    server: &Server,
    organization: &Organization,
    path: &str,
    kind: &str,
    document: impl Into<String>,
) -> Answer {
    let url = format!("{}{}", server.url, organization.path(&format!("api/{path}")));
    let request = server.client.put(url).header("authorization", format!("Bearer {}", organization.owner));
    let response = request.header("content-type", kind).body(document.into()).send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

/// The routes of an answer, a line each, with the ways of what they need.
fn routes(shown: &Value) -> Vec<String> {
    let text = |it: &Value| it.as_str().unwrap().to_owned();
    let way = |it: &Value| it.as_array().unwrap().iter().map(text).collect::<Vec<_>>().join("+");
    let needs = |it: &Value| match &it["any_of"] {
        Value::Null => way(&it["permissions"]),
        ways => ways.as_array().unwrap().iter().map(way).collect::<Vec<_>>().join("|"),
    };
    let line =
        |it: &Value| format!("{} {} {} {}", text(&it["method"]), text(&it["path"]), needs(it), text(&it["source"]));
    shown["routes"].as_array().unwrap().iter().map(line).collect()
}

async fn verdict(server: &Server, gateway: &str, token: &str, method: &str, path: &str) -> String {
    let question = json!({ "token": token, "api": "shop", "request": { "method": method, "path": path } });
    let answer = server.post("/verify", gateway, question).await.expect(200);
    let missing = answer["missing_permission"].as_str().map(|it| format!(" {it}")).unwrap_or_default();
    format!("{}{missing}", answer["code"].as_str().unwrap())
}

#[tokio::test]
async fn a_request_is_decided_by_its_route() {
    let (server, organization) = Server::with_owner().await;
    let gateway = server.token(&organization, "gateway", "verifier").await;
    let viewer = server.token(&organization, "viewer", "viewer").await;
    let admin = server.token(&organization, "admin", "admin").await;
    assert_eq!(verdict(&server, &gateway, &viewer, "GET", "/v1/invoices").await, "api_unknown");
    let shown = import(&server, &organization, "shop", "application/yaml", SHOP).await.expect(200);
    assert_eq!(
        routes(&shown),
        [
            "GET /v1/copies copies:read path",
            "GET /v1/invoices invoices:read path",
            "POST /v1/invoices invoices:write+ledger:write x-permission",
            "DELETE /v1/invoices/{id} invoices:void x-permission",
            "GET /v1/invoices/{id} audit:read|invoices:read security",
        ]
    );
    for (token, method, path, expected) in [
        (&viewer, "GET", "/v1/invoices?page=2", "valid"),
        (&viewer, "HEAD", "/v1/invoices/7", "valid"),
        (&viewer, "POST", "/v1/invoices", "permission_denied invoices:write"),
        (&viewer, "DELETE", "/v1/invoices/7", "permission_denied invoices:void"),
        (&admin, "POST", "/v1/invoices", "valid"),
        (&admin, "PUT", "/v1/invoices", "route_unknown"),
        (&admin, "GET", "/invoices", "route_unknown"),
        (&viewer, "GET", "/v1/Invoices", "route_unknown"),
        (&admin, "GET", "/v1/../invoices", "path_ambiguous"),
        (&admin, "GET", "/v1//invoices", "path_ambiguous"),
    ] {
        assert_eq!(verdict(&server, &gateway, token, method, path).await, expected, "{method} {path}");
    }
    // A permission beside the route is needed too; the decision says what the route needs.
    let question = json!({ "token": viewer, "api": "shop", "permission": "extra:write",
        "request": { "method": "GET", "path": "/v1/invoices" } });
    let answer = server.post("/verify", &gateway, question).await.expect(200);
    assert_eq!(answer["missing_permission"], "extra:write");
    let told =
        server.get(&format!("/decision/{}", answer["decision_id"].as_str().unwrap()), &gateway).await.expect(200);
    assert_eq!((&told["needs"], &told["smallest_role"]["name"]), (&json!(["invoices:read"]), &json!("devops")));
    let missing = server.post("/verify", &gateway, json!({ "token": viewer, "api": "shop" })).await;
    assert_eq!(missing.status, 400);

    // Allowing what no route describes is a setting; a described path with another method stays denied.
    import(&server, &organization, "shop?unknown_route=allow", "application/yaml", SHOP).await.expect(200);
    assert_eq!(verdict(&server, &gateway, &viewer, "GET", "/health").await, "valid");
    assert_eq!(verdict(&server, &gateway, &viewer, "PUT", "/v1/invoices").await, "route_unknown");

    server.delete(&organization.path("api/shop"), &organization.owner).await.expect(204);
    assert_eq!(verdict(&server, &gateway, &admin, "GET", "/v1/invoices").await, "api_unknown");
    assert_eq!(server.get(&organization.path("api/shop"), &organization.owner).await.status, 404);
}

#[tokio::test]
async fn every_form_is_taken_and_what_is_shown_can_be_sent_back() {
    let (server, organization) = Server::with_owner().await;
    let toml = "unknown_route = \"allow\"\n[[route]]\nmethod = \"GET\"\npath = \"/a/{id}\"\npermission = \"a:read\"\n\
                [[route]]\nmethod = \"POST\"\npath = \"/b/{*rest}\"\n";
    let first = import(&server, &organization, "shop", "application/toml", toml).await;
    let tag = first.headers["etag"].to_str().unwrap().to_owned();
    let first = first.expect(200);
    assert_eq!((&first["unknown_route"], &first["route_count"]), (&json!("allow"), &json!(2)));
    assert_eq!(first["routes"][1]["permissions"], json!(["b:write"]));
    let again =
        import(&server, &organization, "shop", "application/json; charset=utf-8", first.to_string()).await.expect(200);
    assert_eq!(
        (&again["routes"], &again["id"], &again["unknown_route"]),
        (&first["routes"], &first["id"], &json!("allow"))
    );
    let old = server
        .call_with(Method::PUT, &organization.path("api/shop"), &organization.owner, Some(first), &[("if-match", &tag)])
        .await;
    assert_eq!(old.status, 412);
    let list = server.get(&organization.path("api"), &organization.owner).await.expect(200);
    assert_eq!((&list["results"][0]["name"], &list["results"][0]["route_count"]), (&json!("shop"), &json!(2)));
    assert_eq!(list["results"][0]["routes"], Value::Null);
    let events = server.get(&organization.path("events"), &organization.owner).await.expect(200).to_string();
    assert!(events.contains("shop"), "{events}");

    // A restart reads them again.
    let gateway = server.token(&organization, "gateway", "verifier").await;
    let config = support::config(server.directory.path());
    let server = Server::start_with(server.stop().await, config).await;
    assert_eq!(verdict(&server, &gateway, &gateway, "GET", "/a/1").await, "permission_denied a:read");
}

/// A document as people have them: versions in paths, scopes of all kinds, servers with variables, nouns that are ours.
const REAL: &str = r##"
openapi: 3.0.0
info: { title: &anchor Real, description: *anchor }
servers:
  - url: "https://{region}.shop.example/{base}"
    variables: { region: { default: eu }, base: { default: api } }
security: [{ oauth: ["https://shop.example/auth/all"] }]
paths:
  /v1/pets: { get: { security: [{ oauth: ["read:pets"] }] }, post: {} }
  "/v1/pets/{id}": { get: { security: [{ oauth: ["pets:read", openid] }] } }
  "/v1/pets/{name}": { get: { security: [{ oauth: ["names:read"] }] } }
  /v1/member: { get: {} }
  "/{anything}": { get: {} }
  /search?by=name: { get: {} }
  /uploads: { post: { servers: [{ url: "https://uploads.example" }] } }
  /a//b: { get: {} }
  "/reports/{year}-{month}.csv": { get: {} }
  /v2/plans: { get: { servers: [{ url: "https://eu.shop.example/next" }] } }
components: { schemas: { Pet: { $ref: "other.yaml#/Pet" } } }
"##;

#[tokio::test]
async fn what_people_have_is_imported_and_what_is_not_taken_as_it_stands_is_told() {
    let (server, organization) = Server::with_owner().await;
    let preview = import(&server, &organization, "shop?dry_run=true", "application/yaml", REAL).await.expect(200);
    assert_eq!(server.get(&organization.path("api/shop"), &organization.owner).await.status, 404);
    let shown = import(&server, &organization, "shop", "application/yaml", REAL).await.expect(200);
    assert_eq!((&preview["routes"], &preview["notes"]), (&shown["routes"], &shown["notes"]));
    assert_eq!(
        routes(&shown),
        [
            "GET /api/reports/{several} reports:read path",
            "GET /api/search search:read path",
            "GET /api/v1/member shop-member:read path",
            "GET /api/v1/pets pets:read security",
            "POST /api/v1/pets pets:write path",
            "GET /api/v1/pets/{id} names:read+pets:read security",
            "GET /api/{anything} shop:read path",
            "GET /next/v2/plans plans:read path",
        ]
    );
    let notes = shown["notes"].to_string();
    for told in [
        "left out, on another host: import them under a name of their own: 1 (POST /uploads)",
        "in more than one way: 1 (GET /api/a//b)",
        "one route with another; it needs what each needs: 1 (GET /api/v1/pets/{name})",
        "scopes with the verb first, taken as noun:verb: 1 (GET /v1/pets)",
        "the path says what is needed: ",
        "paths with several parameters in a segment, which is taken as one: 1 (GET /reports/{year}-{month}.csv)",
        "what follows it does not count: 1 (GET /search?by=name)",
    ] {
        assert!(notes.contains(told), "{told} {notes}");
    }
    // It can be read later, too.
    let later = server.get(&organization.path("api/shop"), &organization.owner).await.expect(200);
    assert_eq!((&later["notes"], &later["left_out"]), (&shown["notes"], &json!(2)));
    // What is on no route must not be open to every token.
    let open = import(&server, &organization, "shop?unknown_route=allow", "application/yaml", REAL).await;
    assert!(open.status == 400 && open.text.contains("2 operations of the document became no route"), "{}", open.text);
    assert!(open.text.contains("POST /uploads"), "which: {}", open.text);
    // What is shown can be sent back, and what was left out stays that.
    let again = import(&server, &organization, "shop", "application/json", shown.to_string()).await.expect(200);
    assert_eq!((&again["routes"], &again["notes"]), (&shown["routes"], &Value::Null));
    let open = import(&server, &organization, "shop?unknown_route=allow", "application/json", again.to_string()).await;
    assert!(open.status == 400 && open.text.contains("2 operations"), "{}", open.text);
    let swagger = r#"{"swagger":"2.0","host":"shop.example","basePath":"/v1","paths":{"/pets":{"get":{}}}}"#;
    let shown = import(&server, &organization, "old", "application/json", swagger).await.expect(200);
    assert_eq!(
        (&shown["routes"][0]["path"], &shown["routes"][0]["permissions"]),
        (&json!("/v1/pets"), &json!(["pets:read"]))
    );
}

/// Alternatives as documents have them: of scopes, of words, of keys without scopes, of several schemes at once.
const WAYS: &str = r#"
openapi: 3.0.0
info: { title: Ways }
paths:
  /either: { get: { security: [{ oauth: [either:read] }, { admin: [admin:all, audit:read] }] } }
  /more: { get: { security: [{ oauth: [more:read] }, { oauth: [more:read, more:extra] }] } }
  /both: { get: { security: [{ oauth: [both:read], admin: [admin:all] }] } }
  /key: { delete: { security: [{ key: [] }, { oauth: [key:purge] }, {}] } }
  /word: { delete: { security: [{ oauth: [openid] }, { oauth: [word:purge] }] } }
  /mixed: { get: { security: [{ oauth: [openid, mixed:list] }, { oauth: [mixed:all] }] } }
  /own: { get: { x-permission: { any_of: [own:read, [own:list, own:show]] } } }
  /twice/{a}: { get: { security: [{ o: [a:x] }, { o: [b:x] }] } }
  /twice/{b}: { get: { security: [{ o: [c:x] }, { o: [d:x] }] } }
"#;

#[tokio::test]
async fn any_one_of_the_ways_is_enough_and_what_names_no_permission_opens_nothing() {
    let (server, organization) = Server::with_owner().await;
    let shown = import(&server, &organization, "shop", "application/yaml", WAYS).await.expect(200);
    assert_eq!(
        routes(&shown),
        [
            "GET /both admin:all+both:read security",
            "GET /either either:read|admin:all+audit:read security",
            "DELETE /key key:purge security",
            "GET /mixed mixed:all|mixed:list+mixed:read security",
            "GET /more more:read security",
            "GET /own own:read|own:list+own:show x-permission",
            "GET /twice/{a} a:x+c:x|a:x+d:x|b:x+c:x|b:x+d:x security",
            "DELETE /word word:purge security",
        ]
    );
    let notes = shown["notes"].to_string();
    for told in [
        "ways in `security` that name no scope; only the other ways count: 1 (DELETE /key)",
        "ways in `security` without a scope that is a `noun:verb`; only the other ways count: 1 (DELETE /word)",
        "scopes of which some are no `noun:verb`; what the path says is needed too: 1 (GET /mixed)",
    ] {
        assert!(notes.contains(told), "{told} {notes}");
    }
    let again = import(&server, &organization, "shop", "application/json", shown.to_string()).await.expect(200);
    assert_eq!(again["routes"], shown["routes"]);

    let gateway = server.token(&organization, "gateway", "verifier").await;
    let mut tokens = Vec::new();
    for (name, permissions) in [
        ("one", json!(["either:read", "a:x"])),
        ("other", json!(["admin:all", "audit:read", "a:x", "d:x"])),
        ("half", json!(["audit:read", "own:show"])),
        ("writer", json!(["key:write", "word:write"])),
    ] {
        let body = json!({ "name": name, "permissions": permissions });
        server.post(&organization.path("customRole"), &organization.owner, body).await.expect(201);
        tokens.push(server.token(&organization, name, name).await);
    }
    let [one, other, half, writer] = &tokens[..] else { unreachable!() };
    for (token, method, path, expected) in [
        (one, "GET", "/either", "valid"),
        (other, "GET", "/either", "valid"),
        (half, "GET", "/either", "permission_denied either:read"),
        (writer, "GET", "/either", "permission_denied either:read"),
        (half, "GET", "/own", "permission_denied own:read"),
        (one, "GET", "/twice/1", "permission_denied c:x"),
        (other, "GET", "/twice/1", "valid"),
        (writer, "DELETE", "/key", "permission_denied key:purge"),
        (writer, "DELETE", "/word", "permission_denied word:purge"),
    ] {
        assert_eq!(verdict(&server, &gateway, token, method, path).await, expected, "{method} {path}");
    }

    // The explanation names every way, and the smallest role may go another one than the permission that was missing.
    let question = json!({ "token": half, "api": "shop", "request": { "method": "GET", "path": "/either" } });
    let id = server.post("/verify", &gateway, question).await.expect(200)["decision_id"].as_str().unwrap().to_owned();
    let told = server.get(&format!("/decision/{id}"), &gateway).await.expect(200);
    assert_eq!(told["needs_any_of"], json!([["either:read"], ["admin:all", "audit:read"]]));
    assert_eq!((&told["needs"], &told["missing_permission"]), (&Value::Null, &json!("either:read")));
    let body = json!({ "name": "one", "cluster_permissions": [], "project_permissions": [], "permissions": ["a:x"] });
    let role = server.role(&organization, "one").await;
    server.put(&organization.path(&format!("customRole/{role}")), &organization.owner, body).await.expect(200);
    let told = server.get(&format!("/decision/{id}"), &gateway).await.expect(200);
    assert_eq!(told["smallest_role"]["name"], "other");
}

#[tokio::test]
async fn a_dry_run_says_what_changes_and_which_roles_gain_and_lose_what() {
    let (server, organization) = Server::with_owner().await;
    let body = json!({ "name": "clerk", "permissions": ["invoices:read"] });
    server.post(&organization.path("customRole"), &organization.owner, body).await.expect(201);
    let before = json!({ "routes": [
        { "method": "GET", "path": "/invoices", "permissions": ["invoices:read"] },
        { "method": "GET", "path": "/reports", "permissions": ["reports:read"] },
    ] });
    import(&server, &organization, "shop", "application/json", before.to_string()).await.expect(200);
    let after = json!({ "routes": [
        { "method": "GET", "path": "/invoices", "any_of": [["audit:write"], ["invoices:list", "audit:write"]] },
        { "method": "POST", "path": "/invoices", "permissions": ["invoices:read"] },
    ] });
    let shown = import(&server, &organization, "shop?dry_run=true", "application/json", after.to_string()).await;
    let changes = shown.expect(200)["changes"].clone();
    assert_eq!(
        changes["routes"],
        json!([
            { "method": "GET", "path": "/invoices", "before": [["invoices:read"]], "after": [["audit:write"]] },
            { "method": "POST", "path": "/invoices", "after": [["invoices:read"]] },
            { "method": "GET", "path": "/reports", "before": [["reports:read"]] },
        ])
    );
    let roles: Vec<String> = changes["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            format!(
                "{} +{} {} -{} {}",
                it["name"].as_str().unwrap(),
                it["gains"],
                it["gained"],
                it["loses"],
                it["lost"]
            )
        })
        .collect();
    assert_eq!(
        roles,
        [
            r#"admin +1 ["POST /invoices"] -1 ["GET /reports"]"#,
            r#"clerk +1 ["POST /invoices"] -1 ["GET /invoices"]"#,
            r#"devops +1 ["POST /invoices"] -1 ["GET /reports"]"#,
            r#"viewer +1 ["POST /invoices"] -2 ["GET /invoices","GET /reports"]"#,
        ]
    );
    let kept = server.get(&organization.path("api/shop"), &organization.owner).await.expect(200);
    assert_eq!((&kept["route_count"], &kept["changes"]), (&json!(2), &Value::Null));
}

#[tokio::test]
async fn a_bad_document_is_refused_with_what_is_wrong() {
    let (server, organization) = Server::with_owner().await;
    let open = |rest: &str| format!("{{\"openapi\":\"3.1.0\",{rest}}}");
    let paths = |rest: &str| open(&format!("\"paths\":{{{rest}}}"));
    let long = "a".repeat(600);
    let million: String = (0..200_000).map(|n| format!("\"/p{n}\":{{}},")).collect();
    let many: String = (0..10_001).map(|n| format!("\"/p/{n}\":{{\"get\":{{}}}},")).collect();
    let end = "\"x-end\":1";
    let ways = |count: usize| {
        let all: Vec<String> = (0..count).map(|n| format!("{{\"oauth\":[\"a{n}:b\"]}}")).collect();
        format!("\"/a\":{{\"get\":{{\"security\":[{}]}}}}", all.join(","))
    };
    for (document, says) in [
        ("".to_owned(), "JSON"),
        ("[]".into(), "must be an object"),
        ("{\"a\":".into(), "JSON"),
        ("[".repeat(1_000_000), "recursion"),
        (open("\"paths\":[]"), "`paths`"),
        (open("\"paths\":{}"), "no route"),
        ("{\"openapi\":3}".into(), "version 3"),
        ("{\"swagger\":\"1.2\"}".into(), "nor 2.0"),
        ("{\"swagger\":\"2.0\"}".into(), "no route"),
        (open("\"servers\":[{\"url\":7}]"), "`url`"),
        (paths("\"/a\":{\"get\":{\"servers\":{}}}"), "`servers` of its own"),
        ("{\"info\":{}}".into(), "neither OpenAPI"),
        (paths("\"/a\":{\"get\":1}"), "GET /a"),
        (paths("\"/a\":{\"additionalOperations\":[]}"), "additionalOperations"),
        (paths("\"/a\":{\"additionalOperations\":{\"copy\":{}}}"), "capital"),
        (paths("\"/a\":{\"get\":{\"x-permission\":7}}"), "x-permission"),
        (paths("\"/a\":{\"get\":{\"x-permission\":\"Nope\"}}"), "noun:verb"),
        (paths("\"/a\":{\"get\":{\"x-permission\":\"token:manage\"}}"), "Tokenward itself"),
        (paths("\"/a\":{\"get\":{\"security\":{}}}"), "security"),
        (paths(&ways(17)), "has 17 ways in `any_of`; the limit `route_ways` is 16"),
        (paths("\"/a\":{\"get\":{\"x-permission\":{\"any_of\":[]}}}"), "1 to 32 permissions"),
        (paths("\"/a\":{\"get\":{\"x-permission\":{\"any_of\":[\"a:b\",[]]}}}"), "nor `any_of` such"),
        (paths("\"/a\":{\"get\":{\"x-permission\":{\"any_of\":[\"a:b\"],\"all\":1}}}"), "nor `any_of` such"),
        (paths(&format!("\"/{long}\":{{\"get\":{{\"x-permission\":\"a:b\"}}}}")), "512"),
        (paths("\"/a/../b\":{\"get\":{}}"), "more than one way"),
        (paths("\"/a\":{\"$ref\":\"#/paths/~1a\"}"), "refers to itself"),
        (paths("\"/a\":{\"$ref\":\"#/paths/~1b\"},\"/b\":{\"$ref\":\"#/paths/~1a\"}"), "refers to itself"),
        (paths("\"/a\":{\"$ref\":\"#/nothing/here\"}"), "not there"),
        (paths("\"/a\":{\"$ref\":\"http://169.254.169.254/x\"}"), "outside"),
        (paths(&format!("{million}{end}")), "no route"),
        (paths(&format!("{many}{end}")), "10000"),
        (open(&format!("\"x\":[{}0]", "{\"\":0},".repeat(600_000))), "more than 250000 values"),
        (paths("\"/a\":{\"get\":{}},\"/a\":{\"get\":{}}"), "has the key `/a` twice"),
        (paths("\"/b\":{\"get\":{}},\"/a\":{\"$ref\":\"#/paths/~1b\",\"put\":{}}"), "beside its `$ref`"),
        (open("\"servers\":[{\"url\":\"/a\"},{\"url\":\"/b\"}],\"paths\":{}"), "no route"),
        (open("\"x-unknown-route\":\"maybe\",\"paths\":{\"/a\":{\"get\":{}}}"), "unknown_route"),
        ("{\"routes\":[{\"method\":\"GET\",\"path\":\"/a\",\"permision\":\"a:b\"}]}".into(), "permision"),
        ("{\"routes\":[{\"method\":\"get\",\"path\":\"/a\",\"permission\":\"a:b\"}]}".into(), "capital"),
        (
            "{\"routes\":[{\"method\":\"GET\",\"path\":\"/a\",\"permission\":\"a:b\",\"permissions\":[]}]}".into(),
            "more than one of `permission`, `permissions` and `any_of`",
        ),
        ("{\"routes\":[{\"method\":\"GET\",\"path\":\"/a\",\"any_of\":[[\"a:b\"],[]]}]}".into(), "1 to 32 permissions"),
        ("{\"routes\":7}".into(), "cannot be read"),
    ] {
        let answer = import(&server, &organization, "shop", "application/json", document.clone()).await;
        let start: String = document.chars().take(60).collect();
        assert!(answer.status == 400 && answer.text.contains(says), "{start}: {} {}", answer.status, answer.text);
        assert!(answer.text.len() < 20_000, "{start}");
    }
    let yaml = import(&server, &organization, "shop", "application/yaml", "openapi: 3.0.0\nx: &a 1\npaths: {}").await;
    assert!(yaml.status == 400 && yaml.text.contains("anchors"), "{}", yaml.text);
    let bomb = format!("a: &a [{}]\nb: &b [*a,*a]", "1,".repeat(1_000));
    assert_eq!(import(&server, &organization, "shop", "application/yaml", bomb).await.status, 400);
    // What a library says of a document can be all of it.
    for toml in
        [format!("a = {}", "1 ".repeat(2_400_000)), "[".repeat(4_900_000), format!("{} = 1", "a".repeat(4_000_000))]
    {
        let answer = import(&server, &organization, "shop", "application/toml", toml).await;
        assert!(answer.status == 400 && answer.text.len() < 4_000, "{} bytes", answer.text.len());
    }
    for (kind, item) in [("application/toml", "{a=0},"), ("application/yaml", "{a: 0},")] {
        let many = format!("{}[{}]", if kind.ends_with("toml") { "a = " } else { "" }, item.repeat(600_000));
        let answer = import(&server, &organization, "shop", kind, many).await;
        assert!(answer.status == 400 && answer.text.contains("more than 250000 values"), "{}", answer.text);
    }
    let deep = "[".repeat(4_900_000);
    assert_eq!(import(&server, &organization, "shop", "application/yaml", deep).await.status, 400);
    let large = format!("\"{}", "a".repeat(32_000_001));
    assert_eq!(import(&server, &organization, "shop", "application/json", large).await.status, 413);
    assert_eq!(import(&server, &organization, "shop", "text/plain", "x").await.status, 400);
    for name in ["a%2fb", "-a", "%20", &"a".repeat(65), "%E2%80%8B"] {
        let answer = import(&server, &organization, name, "application/yaml", SHOP).await;
        assert_eq!(answer.outcome(), (400, "invalid_request".into()), "{name}");
    }
    assert_eq!(server.get(&organization.path("api"), &organization.owner).await.expect(200)["results"], json!([]));
}

#[tokio::test]
async fn a_path_that_is_read_in_two_ways_is_decided_where_its_api_says_how_it_is_read() {
    let (server, organization) = Server::with_owner().await;
    let gateway = server.token(&organization, "gateway", "verifier").await;
    let viewer = server.token(&organization, "viewer", "viewer").await;
    let document = |readings: Value| {
        json!({
            "allow_paths": readings,
            "routes": [
                { "method": "GET", "path": "/files/{name}", "permission": "files:read" },
                { "method": "GET", "path": "/files/{name}/secret", "permission": "secret:write" },
            ],
        })
    };
    let put = async |query: &str, readings: Value| {
        server.put(&organization.path(&format!("api/shop{query}")), &organization.owner, document(readings)).await
    };
    let slash = "/files/a%2Fsecret";
    let verdict = async |path: &str| verdict(&server, &gateway, &viewer, "GET", path).await;
    // A gateway that asks about the same request.
    let held = async |path: &str| {
        let asked = format!("/forward-auth?organization={}&api=shop", organization.id);
        let request = server.request("GET", &asked).bearer_auth(&viewer);
        server.send(request.header("x-forwarded-method", "GET").header("x-forwarded-uri", path)).await
    };
    let shown = put("", json!([])).await.expect(200);
    assert_eq!(shown["allow_paths"], json!([]), "nothing is promised unless somebody says so");
    assert_eq!(verdict(slash).await, "path_ambiguous");
    let refused = held(slash).await;
    assert_eq!(refused.outcome(), (403, "path_ambiguous".into()));
    assert!(refused.str("detail").contains("`allow_paths` can say so"), "{}", refused.text);
    let shown = put("", json!(["encoded_slash"])).await.expect(200);
    assert_eq!(shown["allow_paths"], json!(["encoded_slash"]));
    assert_eq!(verdict(slash).await, "valid", "one segment, and not the other route");
    assert_eq!(verdict("/files/a%2Fb/secret").await, "permission_denied secret:write");
    assert_eq!(held(slash).await.status.as_u16(), 200);
    assert_eq!(held(slash).await.header("x-tokenward-path"), Some(slash), "as it came");
    for path in ["/files/..%2Fsecret", "/files/a;b", "/files//secret", "/files/%2e%2e%2fsecret"] {
        assert_eq!(verdict(path).await, "path_ambiguous", "{path}");
        assert_eq!(held(path).await.outcome(), (403, "path_ambiguous".into()), "{path}");
    }
    // Who asks for no API has no promise.
    let asked = format!("/forward-auth?organization={}&permission=files:read", organization.id);
    let request = server.request("GET", &asked).bearer_auth(&viewer);
    let request = request.header("x-forwarded-method", "GET").header("x-forwarded-uri", slash);
    assert_eq!(server.send(request).await.outcome(), (403, "path_ambiguous".into()));
    // What is said beside the document counts more, and what is said of one import is not kept for the next.
    put("?allow_paths=semicolon,empty_segments", json!(["encoded_slash"])).await.expect(200);
    assert_eq!((verdict("/files/a;b").await.as_str(), verdict(slash).await.as_str()), ("valid", "path_ambiguous"));
    put("?allow_paths=", json!(["encoded_slash"])).await.expect(200);
    assert_eq!(verdict(slash).await, "path_ambiguous");
    for (query, readings, says) in [
        ("", json!(["encoded_slashes"]), "did you mean `encoded_slash`?"),
        ("", json!("encoded_slash"), "cannot be read"),
        ("?allow_paths=semicolons", json!([]), "is not one of encoded_slash"),
    ] {
        let refused = put(query, readings).await;
        assert_eq!(refused.status.as_u16(), 400, "{}", refused.text);
        assert!(refused.text.contains(says), "{}", refused.text);
    }
    let yaml = "openapi: 3.0.0\nx-allow-paths: [semicolon]\npaths: { /a: { get: {} } }\n";
    let shown = import(&server, &organization, "second", "application/yaml", yaml).await.expect(200);
    assert_eq!(shown["allow_paths"], json!(["semicolon"]));
    // What was answered can be sent back, and the log says what was promised.
    let shown = server.get(&organization.path("api/second"), &organization.owner).await.json();
    let again = server.put(&organization.path("api/second"), &organization.owner, shown).await.expect(200);
    assert_eq!(again["allow_paths"], json!(["semicolon"]));
    let events = server.get(&organization.path("events?pageSize=1"), &organization.owner).await.json();
    assert!(events["events"][0]["change"].as_str().unwrap().contains(r#""allow_paths":["semicolon"]"#), "{events}");
    server.stop().await;
}

/// A document with one route and so many bytes that say nothing of it, before and behind.
fn large(format: &str, bytes: usize) -> String {
    let filler = "a \u{e4} \u{20ac} ".repeat(bytes / 18);
    match format {
        "application/json" => format!(
            r#"{{"openapi":"3.0.0","info":{{"description":"{filler}"}},"paths":{{"/a":{{"get":{{}}}}}},"components":{{"schemas":{{"A":{{"description":"{filler}"}}}}}}}}"#
        ),
        _ => format!(
            "openapi: 3.0.0\ninfo:\n  description: \"{filler}\"\npaths:\n  /a: {{ get: {{}} }}\ncomponents:\n  schemas:\n    A: \
             {{ description: \"{filler}\" }}\n"
        ),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_larger_than_what_is_kept_of_one_is_read_while_it_comes() {
    let (server, acme) = Server::with_owner().await;
    for (name, format) in [("json", "application/json"), ("yaml", "application/yaml")] {
        let document = large(format, 12_000_000);
        assert!(document.len() > 11_000_000);
        let preview = import(&server, &acme, &format!("{name}?dry_run=true"), format, document.clone()).await;
        assert_eq!(routes(&preview.expect(200)), ["GET /a a:read path"], "{name}");
        let shown = import(&server, &acme, name, format, document).await.expect(200);
        assert_eq!(routes(&shown), ["GET /a a:read path"], "{name}");
    }
    // A fault at the very end, a repeated key, and what is no text, are found there too.
    for (end, says) in [("", "EOF"), ("}}}}x", "trailing"), (",\"paths\":{}}", "twice"), ("\u{0}", "JSON")] {
        let mut document = large("application/json", 12_000_000);
        document.truncate(document.len() - if end == "}}}}x" { 4 } else { 1 });
        document.push_str(end);
        let answer = import(&server, &acme, "wrong", "application/json", document).await;
        assert!(answer.status == 400 && answer.text.contains(says), "{says}: {}", answer.text);
    }
    let toml = format!("# {}\n", "a".repeat(10_000_001));
    let answer = import(&server, &acme, "wrong", "application/toml", toml).await;
    assert!(answer.status == 400 && answer.text.contains("`whole_document_bytes`"), "{}", answer.text);
    let answer = import(&server, &acme, "wrong", "application/json", "a".repeat(32_000_001)).await;
    assert!(answer.status == 413 && answer.text.contains("`document_bytes`"), "{}", answer.text);
    assert_eq!(server.get(&acme.path("api/wrong"), &acme.owner).await.status, 404, "nothing of them was imported");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_document_that_is_broken_off_is_no_smaller_one() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let (server, acme) = Server::with_owner().await;
    // It is whole JSON at the place where its client hangs up.
    let document = large("application/json", 10_500_000);
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        acme.path("api/shop"),
        acme.owner,
        document.len() + 100
    );
    let mut stream = tokio::net::TcpStream::connect(server.running.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(document.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    assert!(!String::from_utf8_lossy(&said).starts_with("HTTP/1.1 200"), "{}", String::from_utf8_lossy(&said));
    assert_eq!(server.get(&acme.path("api/shop"), &acme.owner).await.status, 404);
    // Its turn is over.
    import(&server, &acme, "shop", "application/json", document).await.expect(200);
}
