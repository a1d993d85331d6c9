//! Every page with data as an organization has it after half a year (`scripts/demo`), and with names as long and as unusual as they may
//! be: nothing is cut off without a word, nothing scrolls sideways, and axe-core finds nothing. The pictures are there to be looked at.

use serde_json::{Value, json};

use crate::browser::{Browser, with_browser};
use crate::demo_data::start;
use crate::support::{Organization, Server, config};
use crate::tokens::sign_in;

/// The widths that each page fits into, and how it is looked at in turns.
const LOOKS: [(u32, bool); 4] = [(1280, false), (1280, true), (768, false), (380, true)];
/// The picture of README, which is made here too.
const README: &str = "readme-api-tokens";

/// The id of the first entry of a list that has this name.
async fn id(server: &Server, acme: &Organization, list: &str, name: &str) -> String {
    let all = server.get(&acme.path(list), &acme.owner).await.expect(200);
    let named = |it: &&Value| it["name"] == name || it["email"] == name;
    let found = all["results"].as_array().unwrap().iter().find(named);
    found.unwrap_or_else(|| panic!("no {name} in {list}"))["id"].as_str().unwrap().to_owned()
}

/// The id of the first entry of a list.
async fn first(server: &Server, acme: &Organization, list: &str) -> String {
    server.get(&acme.path(list), &acme.owner).await.expect(200)["results"][0]["id"].as_str().unwrap().to_owned()
}

async fn look(browser: &Browser, pages: &[(String, String)]) {
    for (at, (name, path)) in pages.iter().enumerate() {
        browser.open(path).await;
        for (n, (width, dark)) in LOOKS.into_iter().enumerate() {
            browser.fits(name, width).await;
            // One picture each, in turns; axe-core looks at all of them.
            if n == at % LOOKS.len() {
                browser.picture(name, width, dark).await;
            } else {
                browser.looks_right(name, width, dark).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_holds_with_half_a_year_of_data() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let (server, demo) = start(directory, config).await;
    let acme = &demo.acme;
    let base = format!("/console/{}", acme.id);
    let token = first(&server, acme, "apiToken").await;
    let member = id(&server, acme, "member", "fumiko.platform-team@acme.example").await;
    let (role, project) =
        (id(&server, acme, "customRole", "reporting").await, id(&server, acme, "project", "shop-1").await);
    let viewer = server.role(acme, "viewer").await;
    let cluster = id(&server, acme, "cluster", "eu-prod").await;
    let below: Vec<(&str, String)> = vec![
        ("tokens", "tokens".into()),
        ("tokens-soon", "tokens?filter=soon".into()),
        ("tokens-deleted", "tokens?filter=revoked".into()),
        ("tokens-none", "tokens?q=nothing-like-this".into()),
        ("token-new", "tokens/new".into()),
        ("token-import", "tokens/import".into()),
        ("tokens-revoke-all", "tokens/revoke-all".into()),
        ("token", format!("tokens/{token}")),
        ("token-edit", format!("tokens/{token}/edit")),
        ("token-rotate", format!("tokens/{token}/rotate")),
        ("token-delete", format!("tokens/{token}/delete")),
        ("token-brownout", format!("tokens/{token}/brownout")),
        ("policy-tokens", "policy-tokens".into()),
        ("policy-token-new", "policy-tokens/new".into()),
        ("members", "members".into()),
        ("member-role", format!("members/{member}")),
        ("member-remove", format!("members/{member}/remove")),
        ("member-events", format!("members/{member}/events")),
        ("member-invite", "members/invite".into()),
        ("transfer", "members/transfer".into()),
        ("roles", "roles".into()),
        ("role", format!("roles/{role}")),
        ("role-built-in", format!("roles/{viewer}")),
        ("role-edit", format!("roles/{role}/edit")),
        ("role-new", "roles/new".into()),
        ("role-delete", format!("roles/{role}/delete")),
        ("apis", "apis".into()),
        ("api", "apis/platform".into()),
        ("api-new", "apis/new".into()),
        ("projects", "projects".into()),
        ("project", format!("projects/{project}")),
        ("clusters", "clusters".into()),
        ("cluster", format!("clusters/{cluster}")),
        ("overview", "overview".into()),
        ("decisions", "decisions".into()),
        ("decisions-denied", "decisions?only=denied".into()),
        ("events", "events".into()),
        ("events-verify", "events/verify".into()),
        ("nodes", "nodes".into()),
        ("protect", "protect".into()),
        ("settings", "settings".into()),
        ("settings-token-policy", "settings/token-policy".into()),
        ("settings-sign-in", "settings/sign-in".into()),
        ("settings-sign-in-sessions", "settings/sign-in/sessions".into()),
        ("settings-delete", "settings/delete".into()),
    ];
    let own = [
        ("account", "/console/account"),
        ("account-proof", "/console/account/proof"),
        ("account-email", "/console/account/email"),
        ("account-second-factor", "/console/account/second-factor"),
        ("organization-new", "/console/new"),
        ("device", "/console/device"),
        ("guides", "/console/guides"),
        ("guide", "/console/guides/tokens"),
        ("nothing-here", "/console/nothing"),
    ];
    let mut pages: Vec<(String, String)> =
        below.iter().map(|(name, path)| (format!("demo-{name}"), format!("{base}/{path}"))).collect();
    pages.extend(own.map(|(name, path)| (format!("demo-{name}"), path.to_owned())));
    with_browser(&server.url, true, |browser| async move {
        sign_in(&browser).await;
        browser.window(README, 1280, 860).await;
        look(&browser, &pages).await;
        // What only a choice opens.
        browser.open(&pages[0].1).await;
        browser.click("#tokens tbody tr:nth-child(2) .pick").await;
        browser.click("#tokens tbody tr:nth-child(3) .pick").await;
        browser.sees("2 tokens chosen, ").await;
        browser.picture("demo-tokens-chosen", 1280, false).await;
        browser.press("Set an end").await;
        browser.sees("these tokens").await;
        for (width, dark) in LOOKS {
            browser.picture("demo-tokens-bulk", width, dark).await;
        }
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_any_length_and_direction_break_no_page() {
    let (server, acme) = Server::with_owner().await;
    let owner = &acme.owner;
    // 128 wide letters, one word of 128, and a name from right to left.
    let names =
        ["東".repeat(128), "W".repeat(128), "مفتاح-الفواتير-اليومية ".repeat(6).chars().take(127).collect::<String>()];
    let mut tokens = Vec::new();
    let (mut project, mut cluster, mut role) = (String::new(), String::new(), String::new());
    let (mut environment, mut policies) = (String::new(), Vec::new());
    for name in names.iter().map(|name| name.trim()) {
        let description = format!("{name} {name}");
        let body = json!({ "name": name, "region": "eu-west-3", "cloud_provider": "AWS", "description": description });
        cluster = server.post(&acme.path("cluster"), owner, body).await.str("id");
        let body = json!({ "name": name, "description": description });
        project = server.post(&acme.path("project"), owner, body).await.str("id");
        let body = json!({ "name": name, "cluster": cluster, "mode": "STAGING" });
        environment = server.post(&format!("/project/{project}/environment"), owner, body).await.str("id");
        let body = json!({ "name": name, "description": description, "permissions": ["invoices:read"] });
        role = server.post(&acme.path("customRole"), owner, body).await.str("id");
        let body = json!({
            "name": name, "description": description, "role_id": role,
            "labels": { "team": "x".repeat(63) }, "metadata": { "ticket": "W".repeat(256) },
            "networks": [{ "network": "10.0.0.0/8", "note": name }],
        });
        tokens.push(server.new_token(&acme, body).await);
        let policy = json!({
            "name": name, "description": description, "role_id": role,
            "opa_policy": "allow if input.request.method == \"GET\"",
        });
        policies.push(server.post(&acme.path("policyApiToken"), owner, policy).await.str("id"));
    }
    let gateway = server.token(&acme, "gateway", "verifier").await;
    for (_, text) in &tokens {
        let question = json!({
            "token": text, "permission": "orders:write", "user_agent": "W".repeat(200), "remote_ip": "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            "request": { "method": "DELETE", "path": format!("/v1/{}", "w".repeat(180)) },
        });
        server.post("/verify", &gateway, question).await.expect(200);
    }
    server.put("/account", owner, json!({ "name": names[0] })).await;
    let (member, _) = server.member(&acme, &format!("{}@acme.example", "m".repeat(64)), "viewer").await;
    let routes = json!({ "routes": [{ "method": "GET", "path": format!("/{}", "w".repeat(250)), "permission": "invoices:read" }] });
    server.put(&acme.path(&format!("api/{}", "a".repeat(60))), owner, routes).await;
    let other = server.post("/organization", owner, json!({ "name": names[2].trim(), "plan": "FREE" })).await;
    other.expect(201);
    let base = format!("/console/{}", acme.id);
    let first = &tokens[0].0;
    let right_to_left = &tokens[2].0;
    let (policy, policy_right_to_left) = (&policies[0], &policies[2]);
    let below: Vec<(&str, String)> = vec![
        ("tokens", "tokens".into()),
        ("token", format!("tokens/{first}")),
        ("token-rtl", format!("tokens/{right_to_left}")),
        ("token-delete", format!("tokens/{right_to_left}/delete")),
        ("token-edit", format!("tokens/{first}/edit")),
        ("token-rotate", format!("tokens/{first}/rotate")),
        ("token-brownout", format!("tokens/{first}/brownout")),
        ("tokens-deleted", "tokens?filter=revoked".into()),
        ("policy-tokens", "policy-tokens".into()),
        ("policy-token", format!("policy-tokens/{policy}")),
        ("policy-token-rtl", format!("policy-tokens/{policy_right_to_left}")),
        ("policy-token-edit", format!("policy-tokens/{policy}/edit")),
        ("members", "members".into()),
        ("member-role", format!("members/{member}")),
        ("member-events", format!("members/{member}/events")),
        ("member-remove", format!("members/{member}/remove")),
        ("member-invite", "members/invite".into()),
        ("roles", "roles".into()),
        ("role", format!("roles/{role}")),
        ("role-edit", format!("roles/{role}/edit")),
        ("role-delete", format!("roles/{role}/delete")),
        ("apis", "apis".into()),
        ("api", format!("apis/{}", "a".repeat(60))),
        ("projects", "projects".into()),
        ("project", format!("projects/{project}")),
        ("environment", format!("projects/{project}/environments/{environment}")),
        ("clusters", "clusters".into()),
        ("cluster", format!("clusters/{cluster}")),
        ("overview", "overview".into()),
        ("decisions", "decisions".into()),
        ("events", "events".into()),
        ("events-verify", "events/verify".into()),
        ("nodes", "nodes".into()),
        ("protect", "protect".into()),
        ("settings-token-policy", "settings/token-policy".into()),
        ("settings-sign-in", "settings/sign-in".into()),
    ];
    let mut pages: Vec<(String, String)> =
        below.iter().map(|(name, path)| (format!("wide-{name}"), format!("{base}/{path}"))).collect();
    pages.push(("wide-account".to_owned(), "/console/account".to_owned()));
    with_browser(&server.url, true, |browser| async move {
        sign_in(&browser).await;
        look(&browser, &pages).await;
    })
    .await;
    server.stop().await;
}
