//! The main job: set up, sign in, create a token, use it, take it back.

use reqwest::Method;
use serde_json::json;
use thirtyfour::prelude::*;
use tokenward_core::time::{DAY, MINUTE};
use tokenward_core::{Clock, Time};

use crate::browser::{Browser, with_browser};
use crate::support::{NOW, OWNER, Organization, PASSWORD, Server};

/// A name that must never work as markup.
const NASTY: &str = "<img src=x onerror=document.title='owned'>";

/// Signs the owner in.
pub async fn sign_in(browser: &Browser) {
    browser.open("/sign-in").await;
    browser.fill("email", OWNER).await;
    browser.fill("password", PASSWORD).await;
    browser.press("Sign in").await;
    browser.sees("API tokens").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sets_up_and_creates_a_token_that_works_until_it_is_deleted() {
    let server = Server::start().await;
    let (url, link) = (server.url.clone(), server.running.set_up_link.clone().unwrap());
    let api = server.client.clone();
    with_browser(&server.url, true, |browser| async move {
        let uses = async |token: &str| {
            let answer = api.get(format!("{url}/token/self")).header("authorization", format!("Token {token}")).send();
            answer.await.unwrap().status().as_u16()
        };
        browser.open("/").await;
        browser.sees("Not set up yet").await;

        browser.open(&link).await;
        browser.pictures("set-up").await;
        browser.fill("organization", "Acme").await;
        browser.fill("name", "Acme Owner").await;
        browser.fill("email", OWNER).await;
        browser.fill("password", "correct horse").await;
        browser.fill("password", PASSWORD).await;
        browser.press("Create the organization").await;
        browser.sees("Welcome. Your organization is ready").await;
        browser.sees("No token yet").await;
        browser.pictures("tokens-empty").await;
        let cookies = browser.cookies().await;
        let session = cookies.iter().find(|it| it["name"] == "__Host-tokenward").expect("a session cookie");
        assert!(session["secure"] == true && session["httpOnly"] == true && session["sameSite"] == "Lax", "{session}");

        browser.press("Add the first token").await;
        browser.pictures("token-new").await;
        browser.fill("name", "ci-deploys").await;
        browser.fill("description", "GitHub Actions").await;
        browser.press("DevOps").await;
        browser.press("30 days").await;
        browser.press("Create token").await;
        browser.sees("“ci-deploys” is ready").await;
        browser.pictures("token-created").await;
        let token = browser.text("#secret").await;
        assert!(token.starts_with("twd_") && token.len() == 42, "{token}");
        assert_eq!(uses(&token).await, 200);

        let permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"];
        browser.command("Browser.grantPermissions", json!({ "origin": url, "permissions": permissions })).await;
        browser.click("[data-copy=secret]").await;
        browser.sees("Copied").await;
        assert_eq!(browser.clipboard().await, token);

        browser.press("I have stored it").await;
        browser.sees("Protect your API").await;
        browser.sees("Waiting for the first request").await;
        browser.pictures("protect").await;
        browser.press("API tokens").await;
        browser.sees("ci-deploys").await;
        let source = browser.script("return document.documentElement.outerHTML").await;
        assert!(!source.as_str().unwrap().contains(&token), "the text is shown once");
        browser.press("ci-deploys").await;
        browser.sees("What it may do").await;
        browser.pictures("token").await;

        browser.press("Delete").await;
        browser.sees("Delete “ci-deploys”?").await;
        browser.pictures("token-delete").await;
        assert_eq!(uses(&token).await, 200, "asking deletes nothing");
        browser.press("Delete “ci-deploys”").await;
        browser.sees("The token is deleted.").await;
        assert_eq!(uses(&token).await, 401, "refused the next moment");
        browser.open("/").await;
        browser.sees("No token yet").await;
        assert!(!browser.text("main").await.contains("The token is deleted."), "said once");
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_is_enough_to_create_a_token() {
    let (server, _) = Server::with_owner().await;
    with_browser(&server.url, true, |browser| async move {
        browser.open("/").await;
        browser.sees("Sign in").await;
        // The first input has the focus already.
        browser.keys(OWNER).await;
        browser.tab_to("input[name=password]").await;
        browser.keys(format!("{PASSWORD}\n").as_str()).await;
        browser.sees("No token yet").await;
        browser.tab_to("main a.primary").await;
        browser.keys(Key::Enter + "").await;
        browser.sees("Add a token").await;
        browser.keys("keyboard").await;
        browser.tab_to("input[name=role_id]").await;
        // The arrow goes from Admin to DevOps.
        browser.keys(Key::Down + "").await;
        browser.tab_to("input[name=expires]").await;
        browser.keys(Key::Left + "").await;
        browser.tab_to("main button.primary").await;
        browser.keys(Key::Enter + "").await;
        browser.sees("“keyboard” is ready").await;
        browser.sees("DevOps").await;
        browser.tab_to("[data-copy=secret]").await;
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_all_works_without_javascript() {
    let (server, _) = Server::with_owner().await;
    with_browser(&server.url, false, |browser| async move {
        browser.open("/sign-in").await;
        assert_eq!(browser.count(".reveal").await, 0, "no script of ours has run");
        browser.fill("email", OWNER).await;
        browser.fill("password", PASSWORD).await;
        browser.click("main form button").await;
        browser.sees("No token yet").await;
        browser.click("main a.primary").await;
        browser.fill("name", "plain").await;
        browser.click("main label:has([name=role_id])").await;
        browser.click("main button.primary").await;
        browser.sees("“plain” is ready").await;
        assert!(!browser.find("[data-copy=secret]").await.is_displayed().await.unwrap(), "no button that does nothing");
        browser.click("main a.primary").await;
        browser.sees("Protect your API").await;
        browser.open("/console").await;
        browser.fill("q", "nothing-like-this").await;
        browser.keys(Key::Enter + "").await;
        browser.sees("No token matches").await;
        browser.click("main .empty a").await;
        browser.click("td.acts a").await;
        browser.sees("Delete “plain”?").await;
        browser.click("main button.destroy").await;
        browser.sees("The token is deleted.").await;
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_never_works_as_markup_and_a_mistake_keeps_what_was_typed() {
    let (server, organization) = Server::with_owner().await;
    let body = json!({ "name": NASTY, "description": NASTY, "role_id": server.role(&organization, "viewer").await });
    server.post(&organization.path("apiToken"), &organization.owner, body).await.expect(201);
    with_browser(&server.url, true, |browser| async move {
        sign_in(&browser).await;
        browser.sees(NASTY).await;
        browser.press(NASTY).await;
        browser.sees("What it may do").await;
        browser.press("Delete").await;
        browser.sees("Delete “").await;
        browser.open("/console").await;
        browser.press("Add token").await;
        browser.fill("name", NASTY).await;
        browser.fill("description", "kept").await;
        browser.press("Viewer").await;
        browser.press("Create token").await;
        browser.sees("is taken by another token").await;
        assert_eq!(browser.find("#description").await.value().await.unwrap().as_deref(), Some("kept"));
        assert!(browser.find("main [name=role_id]:checked").await.is_selected().await.unwrap());
        browser.picture("token-refused", 1280, false).await;
        let title = browser.script("return document.title").await;
        assert!(!title.as_str().unwrap().contains("owned") && browser.count("img[src=x]").await == 0);
    })
    .await;
    server.stop().await;
}

/// A list as an organization has it after some months. Its picture is also the one of the README.
#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_tokens_reads_well_at_every_width() {
    let (server, organization) = Server::frozen().await;
    let mut made = Vec::new();
    // When it was made, in days from the start, and for how many days.
    for (day, name, description, role, days) in [
        (0, "terraform-prod", "Plans and applies from the infra repository", "admin", None),
        (2, "grafana-reader", "Dashboards", "viewer", Some(365)),
        (9, "old-jenkins", "", "devops", Some(60)),
        (71, "edge-gateway", "Asks about every request", "verifier", None),
        (98, "billing-export", "Monthly invoices for the accountants", "billing", Some(30)),
        (118, "github-actions-shop", "Deploys each merge to main and cleans up previews", "devops", Some(90)),
    ] {
        server.clock.set(Time::parse(NOW).unwrap().plus(day * DAY));
        let owner = server.sign_in(OWNER, PASSWORD).await;
        let organization = Organization { id: organization.id.clone(), owner };
        let description = if description.is_empty() { json!(null) } else { json!(description) };
        let expires_at = days.map(|days: i64| server.clock.now().plus(days * DAY).to_string());
        let role = server.role(&organization, role).await;
        let body = json!({ "name": name, "description": description, "role_id": role, "expires_at": expires_at });
        let token = server.post(&organization.path("apiToken"), &organization.owner, body).await.expect(201);
        made.push((name, token["token"].as_str().unwrap().to_owned()));
    }
    // How long ago it was used, in minutes.
    for (ago, name, agent) in [
        (26 * 60, "grafana-reader", "Grafana/11.2"),
        (190, "billing-export", "python-requests/2.32"),
        (4, "edge-gateway", "nginx"),
        (2, "terraform-prod", "Terraform provider 0.86.1"),
    ] {
        server.clock.set(Time::parse(NOW).unwrap().plus(120 * DAY - ago * MINUTE));
        let token = made.iter().find(|(made, _)| *made == name).map(|(_, token)| token.as_str()).unwrap();
        server.call_with(Method::GET, "/token/self", token, None, &[("user-agent", agent)]).await.expect(200);
    }
    server.clock.set(Time::parse(NOW).unwrap().plus(120 * DAY));
    with_browser(&server.url, true, |browser| async move {
        sign_in(&browser).await;
        browser.sees("5 tokens").await;
        browser.sees("“billing-export” is in use and ends soon: 8 days left.").await;
        browser.pictures("tokens").await;
        browser.picture("tokens", 900, false).await;
        browser.fill("q", "graf").await;
        browser.keys(Key::Enter + "").await;
        browser.sees("1 of 5 tokens").await;
        browser.press("Ended").await;
        browser.sees("No token matches").await;
        browser.press("Show all 5").await;
        browser.press("Ended").await;
        browser.sees("old-jenkins").await;
        browser.press("Unused for 90 days").await;
        browser.press("Ends within 14 days").await;
        browser.sees("billing-export").await;
        // A phone has no heads to sort by.
        let phone = json!({ "width": 380, "height": 800, "deviceScaleFactor": 1, "mobile": true });
        browser.command("Emulation.setDeviceMetricsOverride", phone).await;
        browser.press("All").await;
        browser.sees("5 tokens").await;
        browser.script("document.querySelector('.order select').value = '-name'").await;
        browser.press("Sort").await;
        browser.click("#tokens tbody tr:first-child .name[title=\"terraform-prod\"]").await;
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_is_explained_where_the_token_is_shown() {
    let (server, organization) = Server::with_owner().await;
    let token = server.token(&organization, "invoice-robot", "viewer").await;
    for permission in ["invoices:read", "invoices:pay"] {
        let body = json!({ "token": token, "permission": permission });
        server.post("/verify", &organization.owner, body).await;
    }
    let gateway = server.token(&organization, "gateway", "verifier").await;
    for permission in ["invoices:read", "invoices:pay"] {
        let body = json!({ "token": token, "permission": permission, "remote_ip": "203.0.113.9" });
        server.post("/verify", &gateway, body).await.expect(200);
    }
    let question = json!({ "token": token, "permission": "orders:cancel", "remote_ip": "203.0.113.9" }).to_string();
    let ask = format!(
        "fetch('/verify', {{ method: 'POST', headers: {{ Authorization: 'Token {gateway}' }}, body: '{question}' }})"
    );
    with_browser(&server.url, true, |browser| async move {
        sign_in(&browser).await;
        browser.click("#menu a[href$='/decisions']").await;
        browser.sees("Permission denied").await;
        browser.press("Denied").await;
        browser.click(".log details summary").await;
        browser.sees("What would mend it").await;
        browser.sees("DevOps").await;
        browser.pictures("decisions").await;
        let id = browser.text(".log details[open] dl div:last-child dd").await;
        browser.fill("id", &id).await;
        browser.keys(Key::Enter + "").await;
        browser.sees("What would mend it").await;
        assert_eq!(browser.count(".log details").await, 1);
        browser.fill("id", &"0".repeat(40)).await;
        browser.keys(Key::Enter + "").await;
        browser.sees("No such decision").await;
        browser.press("All decisions").await;
        // What comes meanwhile shows up by itself, and what is unfolded stays so.
        browser.press("Go live").await;
        browser.sees("Live: stop").await;
        browser.click(".log details summary").await;
        browser.script("window.loaded = true").await;
        browser.script(&ask).await;
        browser.sees("orders:cancel").await;
        assert_eq!(browser.count(".log details[open]").await, 1);
        assert_eq!(browser.script("return window.loaded").await, true, "the page was loaded anew");
        browser.click("#menu a[href$='/tokens']").await;
        browser.press("invoice-robot").await;
        browser.sees("Latest decisions").await;
        browser.sees("permission denied").await;
        browser.press("Go live").await;
        browser.sees("Live: stop").await;
        browser.script(&ask.replace("orders", "refunds")).await;
        browser.sees("refunds:cancel").await;
        browser.pictures("token-used").await;
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_edited_and_rotated_and_the_old_secret_is_watched_and_ended() {
    let (server, organization) = Server::with_owner().await;
    let devops = server.role(&organization, "devops").await;
    let (_, text) = server.new_token(&organization, json!({ "name": "ci", "role_id": devops })).await;
    let (api, url, owner) = (server.client.clone(), server.url.clone(), organization.owner.clone());
    with_browser(&server.url, true, |browser| async move {
        let ask = async |text: &str, permission: &str| {
            let body = json!({
                "token": text, "permission": permission, "remote_ip": "203.0.113.77", "user_agent": "Go-http-client/2.0",
            });
            let asked = api.post(format!("{url}/verify")).header("authorization", format!("Bearer {owner}")).json(&body);
            let answer: serde_json::Value = asked.send().await.unwrap().json().await.unwrap();
            answer["code"].as_str().unwrap().to_owned()
        };
        for permission in ["invoices:read", "refunds:write"] {
            assert_eq!(ask(&text, permission).await, "valid");
        }
        sign_in(&browser).await;
        browser.press("ci").await;
        browser.press("Edit").await;
        browser.sees("As it is").await;
        browser.fill("name", "ci-reader").await;
        browser.press("Viewer").await;
        browser.press("Save").await;
        browser.sees("With this role 1 of its last 2 allowed requests would be refused").await;
        browser.pictures("token-edit").await;
        browser.press("Save all the same").await;
        browser.sees("The token is saved.").await;
        browser.sees("ci-reader").await;

        browser.press("Rotate").await;
        browser.sees("How long is the secret").await;
        browser.pictures("token-rotate").await;
        browser.click("main button.primary").await;
        browser.sees("“ci-reader” has a new secret").await;
        browser.pictures("token-rotated").await;
        let new = browser.text("#secret").await;
        assert_eq!(
            (ask(&text, "invoices:read").await, ask(&new, "invoices:read").await),
            ("valid".into(), "valid".into())
        );
        browser.press("Details").await;
        browser.sees("old, still used").await;
        browser.pictures("token-secrets").await;
        browser.press("End now").await;
        browser.sees("Whatever that is stops working.").await;
        browser.press("End it now").await;
        browser.sees("That secret is ended.").await;
        assert_eq!(
            (ask(&text, "invoices:read").await, ask(&new, "invoices:read").await),
            ("replaced".into(), "valid".into())
        );
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_narrowed_and_sorted_is_the_same_after_what_was_done_in_it() {
    let (server, organization) = Server::with_owner().await;
    let viewer = server.role(&organization, "viewer").await;
    for name in ["ci-1", "ci-2", "ci-3", "dashboard"] {
        server.new_token(&organization, json!({ "name": name, "role_id": viewer })).await;
    }
    let list = format!("/console/{}/tokens?q=ci-&sort=-name", organization.id);
    with_browser(&server.url, true, |browser| async move {
        sign_in(&browser).await;
        browser.open(&list).await;
        browser.press("ci-1").await;
        browser.sees("What it may do").await;
        browser.press("Edit").await;
        browser.fill("description", "for the night").await;
        browser.press("Save").await;
        browser.sees("The token is saved.").await;
        browser.press("API tokens").await;
        browser.sees("3 of 4 tokens").await;
        assert_eq!(browser.path().await, list, "by the line above the page");
        browser.press("ci-1").await;
        browser.press("Delete").await;
        browser.press("Keep it").await;
        browser.sees("3 of 4 tokens").await;
        assert_eq!(browser.path().await, list, "by what takes nothing away");
        browser.press("ci-1").await;
        browser.press("Delete").await;
        browser.press("Delete “ci-1”").await;
        browser.sees("The token is deleted.").await;
        assert_eq!(browser.path().await, list, "by what takes it away");
        browser.click("#tokens tbody tr:nth-child(1) .pick").await;
        browser.press("Disable…").await;
        browser.sees("1 token chosen").await;
        browser.click("main button.destroy").await;
        browser.sees("The tokens are switched off.").await;
        assert_eq!(browser.path().await, list, "by what is done to several");
        // The browser's own way back shows the list as it was, too.
        browser.press("ci-2").await;
        browser.sees("What it may do").await;
        browser.script("history.back()").await;
        browser.sees("2 of 3 tokens").await;
        assert_eq!(browser.path().await, list);
    })
    .await;
    server.stop().await;
}
