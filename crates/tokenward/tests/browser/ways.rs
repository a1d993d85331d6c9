//! Where a browser comes by what it is told: from a form on to a provider, back to the page of a form that was refused; and what
//! pages do by themselves where no script runs.

use std::ffi::OsString;
use std::sync::Arc;

use axum::response::Html;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use thirtyfour::prelude::*;
use tokenward_core::Clock as _;
use tokenward_core::time::MINUTE;
use tokenward_server::config::{Config, Flags};
use tokio::net::TcpListener;

use crate::browser::{Browser, with_browser};
use crate::support::{OWNER, PASSWORD, Server};

/// A provider of identities, of which a browser sees nothing but a page: at another port, and so of another origin.
async fn provider() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let metadata = json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
    });
    let page = "<!doctype html><title>Provider</title><p>You are at the provider.</p>";
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(move || async move { Json(metadata) }))
        .route("/authorize", get(move || async move { Html(page) }));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

async fn type_password(browser: &Browser) {
    browser.fill("email", OWNER).await;
    browser.fill("password", PASSWORD).await;
    browser.click("main form button.primary").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_leads_on_to_a_provider_and_a_refused_one_back_to_its_page() {
    let directory = tempfile::tempdir().unwrap();
    let provider = provider().await;
    let settings = [("ISSUER", provider.as_str()), ("CLIENT_ID", "tokenward"), ("CLIENT_SECRET", "a secret")];
    let environment: Vec<(OsString, OsString)> = settings
        .iter()
        .map(|(name, value)| (format!("TOKENWARD_OIDC_CORP_{name}").into(), OsString::from(*value)))
        .collect();
    let flags = Flags::default().with("data_dir", directory.path().to_str()).with("listen", Some("127.0.0.1:0"));
    let config = Config::load(None, &environment, &flags.with("log", Some("warn"))).unwrap();
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let base = format!("/console/{}", acme.id);
    let clock = Arc::clone(&server.clock);
    with_browser(&server.url, true, |browser| async move {
        // A session that had ended: the way to the provider is what the sign-in goes on to. Chromium holds the redirects of a form
        // against our policy, and would go nowhere.
        browser.open(&format!("{base}/settings/sign-in/try/corp")).await;
        browser.sees("Sign in").await;
        type_password(&browser).await;
        browser.sees("You are at the provider.").await;
        assert!(browser.path().await.starts_with(&format!("{provider}/authorize?")), "{}", browser.path().await);
        // Signed in all the same.
        browser.open("/console").await;
        browser.sees("API tokens").await;
        // And from a proof.
        clock.advance(6 * MINUTE);
        browser.open("/console/account/proof?next=%2Fconsole%2Faccount%2Fidentities%2Fwith%2Fcorp").await;
        browser.fill("password", PASSWORD).await;
        browser.press("Go on").await;
        browser.sees("You are at the provider.").await;

        // A form that is too old.
        browser.open("/console/account").await;
        let old = "document.querySelector('form[action=\"/console/account/name\"] [name=csrf]').value = '0'";
        browser.script(old).await;
        browser.press("Save name").await;
        browser.sees("This form was not taken").await;
        browser.press("Open the page again").await;
        browser.sees("this one").await;
        assert_eq!(browser.path().await, "/console/account");
        // A form that was refused has the address that it was sent to.
        browser.fill("current_password", "not the password").await;
        browser.fill("new_password", "another horse battery").await;
        browser.press("Change password").await;
        browser.sees("It is not your present password.").await;
        assert_eq!(browser.path().await, "/console/account/password");
        browser.open("/console/account/password").await;
        browser.sees("this one").await;
        assert_eq!(browser.path().await, "/console/account");
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_enter_saves_and_a_live_page_stops() {
    let (server, acme) = Server::with_owner().await;
    let base = format!("/console/{}", acme.id);
    let clock = Arc::clone(&server.clock);
    with_browser(&server.url, false, |browser| async move {
        browser.open("/sign-in").await;
        type_password(&browser).await;
        browser.sees("No token yet").await;
        // Enter means what the form is for, also where only the browser presses it.
        browser.open(&format!("{base}/policy-tokens/new")).await;
        browser.click("main label:has([name=role_id])").await;
        browser.fill("name", "by-enter").await;
        browser.keys(Key::Enter + "").await;
        browser.sees("“by-enter” is ready").await;

        browser.open(&format!("{base}/decisions")).await;
        browser.click("main a.live").await;
        browser.sees("Live: stop").await;
        // It asks for itself again, and knows since when it does: how the seconds since the epoch begin.
        let since = format!("{base}/decisions?live={}", clock.now().seconds() / 100_000_000);
        browser.comes_to(&since).await;
        browser.sees("Live: stop").await;
        // Nobody can say whether somebody is there: it stops, and does not keep a forgotten session in use.
        clock.advance(5 * MINUTE);
        browser.sees("Go live").await;
        assert_eq!(browser.count("meta[http-equiv=refresh]").await, 0);
    })
    .await;
    server.stop().await;
}
