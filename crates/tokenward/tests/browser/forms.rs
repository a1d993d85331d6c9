//! What only a browser does with a form: fields that it checks although nobody sees them, the order in which it sends them, what
//! Enter presses, and what a script changes.

use std::sync::Arc;

use serde_json::json;
use thirtyfour::prelude::*;
use tokenward_core::time::MINUTE;

use crate::browser::with_browser;
use crate::support::{PASSWORD, Server};
use crate::tokens::sign_in;

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_tokens_take_what_is_chosen_and_signing_out_follows_a_proof() {
    let (server, acme) = Server::with_owner().await;
    server.member(&acme, "dev@acme.example", "devops").await;
    let admin = server.role(&acme, "admin").await;
    let narrowed = json!({ "name": "narrowed", "role_id": admin, "permissions": ["invoices:read"] });
    let (id, _) = server.new_token(&acme, narrowed).await;
    let base = format!("/console/{}", acme.id);
    let clock = Arc::clone(&server.clock);
    with_browser(&server.url, true, |browser| async move {
        // A role that is beyond the own one is kept where the token is narrowed to less.
        browser.open("/sign-in").await;
        browser.fill("email", "dev@acme.example").await;
        browser.fill("password", PASSWORD).await;
        browser.press("Sign in").await;
        browser.sees("API tokens").await;
        browser.open(&format!("{base}/tokens/{id}/edit")).await;
        browser.sees("More than you can do yourself").await;
        assert_eq!(browser.count("main [name=role_id]:checked:enabled").await, 1);
        browser.fill("description", "Reads invoices").await;
        browser.press("Save").await;
        browser.sees("The token is saved.").await;
        browser.sees("Reads invoices").await;
        browser.click("#menu .me button").await;
        browser.sees("You are signed out.").await;

        // A day that was typed by half, and is seen no more.
        sign_in(&browser).await;
        browser.open(&format!("{base}/tokens/new")).await;
        browser.fill("name", "half-typed").await;
        browser.press("Viewer").await;
        browser.press("On a day").await;
        browser.click("#expires_on").await;
        browser.keys("12").await;
        let wrong = "return document.getElementById('expires_on').validity.badInput";
        assert_eq!(browser.script(wrong).await, json!(true));
        browser.press("30 days").await;
        browser.press("Create token").await;
        browser.sees("“half-typed” is ready").await;

        // The proof gives the session another text while the token is made: the page has forms of that one.
        clock.advance(6 * MINUTE);
        browser.open(&format!("{base}/tokens/new")).await;
        browser.fill("name", "strong").await;
        browser.press("Admin").await;
        browser.press("30 days").await;
        browser.press("Create token").await;
        browser.sees("Your password").await;
        browser.fill("password", PASSWORD).await;
        browser.press("Create token").await;
        browser.sees("“strong” is ready").await;
        browser.click("#menu .me button").await;
        browser.sees("You are signed out.").await;
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_page_was_asked_for_and_what_was_typed_stays() {
    let (server, acme) = Server::with_owner().await;
    let viewer = server.role(&acme, "viewer").await;
    let (id, _) = server.new_token(&acme, json!({ "name": "one", "role_id": viewer })).await;
    server.new_token(&acme, json!({ "name": "two", "role_id": viewer })).await;
    let made = server.post(&acme.path("project"), &acme.owner, json!({ "name": "web  shop" })).await;
    let project = made.str("id");
    let files = tempfile::tempdir().unwrap();
    let large = files.path().join("large.json");
    std::fs::write(&large, vec![b'#'; 5_000_001]).unwrap();
    let (base, url) = (format!("/console/{}", acme.id), server.url.clone());
    with_browser(&server.url, true, |browser| async move {
        sign_in(&browser).await;
        // What a link narrowed the log to stays with the filters.
        browser.open(&format!("{base}/events?target_id={id}")).await;
        browser.sees("API token created").await;
        assert_eq!(browser.count(".log details").await, 1);
        browser.press("Apply").await;
        let path = browser.comes_to("who=").await;
        assert!(path.contains(&format!("target_id={id}")), "{path}");
        browser.sees("API token created").await;
        assert_eq!(browser.count(".log details").await, 1);

        // Instead of a file that is too large, text.
        browser.open(&format!("{base}/apis/new")).await;
        browser.fill("name", "shop").await;
        browser.find("#file").await.send_keys(large.to_str().unwrap()).await.unwrap();
        browser
            .until("const it = document.getElementById('file'); return it.value === '' && it.validity.valid")
            .await;
        browser.fill("document", "[[route]]\nmethod = \"GET\"\npath = \"/orders\"\n").await;
        browser.press("Add API").await;
        browser.sees("The API is saved.").await;

        // A page shows two spaces as one, and so they are typed.
        browser.open(&format!("{base}/projects/{project}/delete")).await;
        browser.fill("confirm", "web shop").await;
        browser.press("Delete the project").await;
        browser.sees("The project is deleted").await;

        // A request of a script with the text that the session had before a proof signs nobody out.
        let session = |cookies: Vec<serde_json::Value>| {
            let found = cookies.into_iter().find(|it| it["name"] == "__Host-tokenward");
            found.map(|it| it["value"].as_str().unwrap().to_owned())
        };
        let now = session(browser.cookies().await).unwrap();
        let set = |value: &str| {
            json!({ "name": "__Host-tokenward", "value": value, "url": url, "path": "/", "secure": true })
        };
        let before = now.chars().rev().collect::<String>();
        browser.command("Network.setCookie", set(&before)).await;
        let led = browser.script("return fetch('/console/account').then((answer) => answer.url)").await;
        assert!(led.as_str().unwrap().contains("/sign-in"), "{led}");
        assert_eq!(session(browser.cookies().await), Some(before));
        browser.command("Network.setCookie", set(&now)).await;
        browser.open("/console/account").await;
        browser.sees("this one").await;
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enter_saves_a_policy_token_and_tries_a_request() {
    let (server, acme) = Server::with_owner().await;
    let base = format!("/console/{}", acme.id);
    with_browser(&server.url, true, |browser| async move {
        sign_in(&browser).await;
        browser.open(&format!("{base}/policy-tokens/new")).await;
        browser.fill("opa_policy", "allow if input.request.method == \"GET\"").await;
        browser.fill("name", "by-enter").await;
        browser.press("Viewer").await;
        browser.press("30 days").await;
        browser.fill("path", "/invoices/7").await;
        // What is said while somebody types comes without another page.
        browser.script("window.before = true").await;
        // The driver sends a key in two parts, of which the second may come to the next page, where another field has the focus.
        let enter = "new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true })";
        browser.script(&format!("document.querySelector('main [name=path]').dispatchEvent({enter})")).await;
        browser.until("return window.before === undefined").await;
        browser.sees("GET /invoices/7 is allowed").await;
        assert_eq!(browser.count("#secret").await, 0, "nothing is made by trying");
        browser.click("#name").await;
        browser.keys(Key::Enter + "").await;
        browser.sees("“by-enter” is ready").await;
        browser.press("I have stored it").await;
        browser.press("by-enter").await;
        browser.press("Edit").await;
        browser.fill("name", "renamed").await;
        browser.keys(Key::Enter + "").await;
        browser.sees("The token is saved.").await;
        browser.sees("renamed").await;
    })
    .await;
    server.stop().await;
}

/// The name is shortened only where no other column has room to give.
#[tokio::test(flavor = "multi_thread")]
async fn names_in_a_list_have_the_room_that_the_other_columns_leave() {
    let (server, acme) = Server::with_owner().await;
    let body = json!({ "name": "Reads what is needed", "permissions": ["invoices:read"] });
    let role = server.post(&acme.path("customRole"), &acme.owner, body).await.str("id");
    let long = "deploys-of-the-shop-to-all-clusters-in-europe-and-in-america-".repeat(2);
    for name in [long.trim_end_matches('-'), "short"] {
        server.new_token(&acme, json!({ "name": name, "role_id": role })).await;
    }
    let base = format!("/console/{}", acme.id);
    // By column: how much wider it is than what is widest in it. What a cell shows is as wide as its text, and its own edges.
    let room = "const wide = (cell) => { const range = document.createRange(); range.selectNodeContents(cell); \
             const style = getComputedStyle(cell); \
             return range.getBoundingClientRect().width + parseFloat(style.paddingLeft) + parseFloat(style.paddingRight); }; \
         const table = document.querySelector('.list table'); \
         const shown = [...table.rows[0].cells].map((cell, at) => [cell, at]).filter(([cell]) => cell.getClientRects().length > 0); \
         return shown.map(([cell, at]) => cell.clientWidth - Math.max(...[...table.rows].map((row) => wide(row.cells[at])))).slice(1)";
    let cut = "const it = document.querySelector('.list th.first:has([title^=deploys])'); return it.scrollWidth > it.clientWidth";
    with_browser(&server.url, true, |browser| async move {
        sign_in(&browser).await;
        for width in [1280, 1600] {
            browser.open(&format!("{base}/tokens")).await;
            browser.fits("names-in-lists", width).await;
            let metrics = json!({ "width": width, "height": 860, "deviceScaleFactor": 1, "mobile": false });
            browser.command("Emulation.setDeviceMetricsOverride", metrics).await;
            assert_eq!(browser.script(cut).await, json!(true), "{width} px: the name is not long enough to tell");
            let left = browser.script(room).await;
            let none = left.as_array().unwrap().iter().all(|it| it.as_f64().unwrap() < 6.0);
            assert!(none, "at {width} px the name is cut, and there is room: {left}");
            browser.command("Emulation.clearDeviceMetricsOverride", json!({})).await;
        }
        browser.picture("names-in-lists", 1280, false).await;
    })
    .await;
    server.stop().await;
}
