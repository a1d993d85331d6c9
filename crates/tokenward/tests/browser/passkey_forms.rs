//! What passkeys do on the forms that ask who sits there: they prove it, and hide nothing that is still asked.

use std::sync::Arc;

use serde_json::json;
use tokenward_core::time::MINUTE;
use tokenward_core::{Clock as _, Uuid};
use tokio::net::TcpListener;

use crate::browser::with_browser;
use crate::command_line::brought;
use crate::passkeys::{add, named, plug_in, unplug};
use crate::support::PASSWORD;
use crate::support::authenticator::Authenticator;

/// What the password becomes.
const NEW: &str = "another horse battery";
/// Longer than a proof counts.
const LATER: i64 = 6 * MINUTE;
/// What the page says of a passkey that was used.
const PROVEN: &str = "It is proven that you sit here.";

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_proves_on_every_form_and_hides_nothing_that_is_still_asked() {
    let (server, _, url) = named().await;
    // Whose account has no password yet.
    let other = server.new_organization("Other").await;
    let owner: Uuid = server.get("/account", &other.owner).await.str("id").parse().unwrap();
    let cookie = server.session(owner, true).await;
    let clock = Arc::clone(&server.clock);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let waits = tokio::spawn(brought(listener, "s-2"));
    let at = url.clone();
    with_browser(&url, true, move |browser| async move {
        let device = plug_in(&browser, true, true).await;
        let cookie = json!({ "name": "__Host-tokenward", "value": cookie, "url": at, "path": "/", "secure": true });
        browser.command("Network.setCookie", cookie).await;
        add(&browser, "Laptop").await;
        browser.sees("The passkey is added.").await;

        // With a passkey alone, a command line is signed in.
        clock.advance(LATER);
        let challenge = "c".repeat(43);
        browser.open(&format!("/console/command-line?port={port}&state=s-2&challenge={challenge}&host=laptop")).await;
        browser.press("Use a passkey").await;
        browser.sees(PROVEN).await;
        browser.press("Sign it in").await;
        browser.sees("It was brought.").await;

        // And a first password set.
        clock.advance(LATER);
        browser.open("/console/account/password/set").await;
        browser.press("Use a passkey").await;
        browser.sees(PROVEN).await;
        browser.fill("new_password", PASSWORD).await;
        browser.press("Set password").await;
        browser.sees("All other sessions were signed out.").await;

        // Where it is changed, the present one is asked all the same.
        clock.advance(LATER);
        browser.open("/console/account").await;
        browser.click("#password [data-passkey-prove]:not([hidden]) button").await;
        browser.find("#password [data-passkey-done]:not([hidden])").await;
        browser.fill("current_password", PASSWORD).await;
        browser.fill("new_password", NEW).await;
        browser.press("Change password").await;
        browser.sees("All other sessions were signed out.").await;

        // Where an authenticator is set up, so is its first code.
        clock.advance(LATER);
        browser.open("/console/account/second-factor").await;
        let authenticator = Authenticator::of(&browser.text("#seed").await);
        browser.press("Use a passkey").await;
        browser.sees(PROVEN).await;
        browser.fill("otp", &authenticator.at(clock.now().seconds())).await;
        browser.press("Turn it on").await;
        browser.sees("The authenticator is on.").await;
        browser.open("/console/account/second-factor").await;
        assert_eq!(browser.path().await, "/console/account", "there is one already");
        // Just proven, the code is not asked again.
        browser.fill("current_password", NEW).await;
        browser.fill("new_password", PASSWORD).await;
        browser.press("Change password").await;
        browser.sees("All other sessions were signed out.").await;

        // What went wrong with a new passkey is said, and the code that was typed is not needed twice.
        clock.advance(LATER);
        unplug(&browser, &device).await;
        let device = plug_in(&browser, true, false).await;
        browser.open("/console/account/passkeys/new").await;
        browser.fill("name", "Phone").await;
        browser.fill("password", PASSWORD).await;
        browser.fill("otp", &authenticator.at(clock.now().seconds())).await;
        browser.press("Add the passkey").await;
        browser.find("form[data-passkey-new] > [data-passkey-error]:not([hidden])").await;
        unplug(&browser, &device).await;
        plug_in(&browser, true, true).await;
        browser.press("Add the passkey").await;
        browser.sees("The passkey is added.").await;
    })
    .await;
    assert!(waits.await.unwrap().starts_with("GET /?code="));
    server.stop().await;
}
