//! Passkeys, with the authenticators that Chromium plays by itself (WebAuthn of its DevTools protocol).

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use serde_json::{Value, json};
use tokenward_core::Uuid;
use tokenward_core::time::MINUTE;
use tokenward_server::config::ListenAddress;

use crate::browser::{Browser, with_browser};
use crate::support::{Organization, PASSWORD, Server, config};
use crate::tokens::sign_in;

/// A server that browsers reach by a name, and at what address.
pub async fn named() -> (Server, Organization, String) {
    // Its port is part of its address, so that it must be known before.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.listen = vec![ListenAddress::Address(SocketAddr::from(([127, 0, 0, 1], port)))];
    let url = format!("http://localhost:{port}");
    config.public_url = Some(url.clone());
    let (server, acme) = Server::with_owner_and(directory, config).await;
    (server, acme, url)
}

/// An authenticator that keeps passkeys, and verifies who uses it, or does not.
pub async fn plug_in(browser: &Browser, keeps: bool, verifies: bool) -> Value {
    let options = json!({
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": keeps,
        "hasUserVerification": true,
        "isUserVerified": verifies,
        "automaticPresenceSimulation": true,
    });
    browser.command("WebAuthn.enable", json!({})).await;
    browser.command("WebAuthn.addVirtualAuthenticator", json!({ "options": options })).await["authenticatorId"].clone()
}

pub async fn unplug(browser: &Browser, device: &Value) {
    browser.command("WebAuthn.removeVirtualAuthenticator", json!({ "authenticatorId": device })).await;
}

/// Passkeys are asked for by the button alone. Beside the e-mail this browser would choose one at once, as nobody looks on.
async fn ask_by_button(browser: &Browser) {
    let source = "PublicKeyCredential.isConditionalMediationAvailable = () => Promise.resolve(false)";
    browser.command("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source })).await;
}

pub async fn add(browser: &Browser, name: &str) {
    browser.open("/console/account").await;
    browser.press("Add a passkey").await;
    browser.fill("name", name).await;
    browser.press("Add the passkey").await;
}

async fn sign_out(browser: &Browser) {
    browser.click("#menu .me button").await;
    browser.sees("You are signed out.").await;
}

/// Signs out, and in again with the passkey of the device.
async fn come_back(browser: &Browser) {
    sign_out(browser).await;
    browser.press("Sign in with a passkey").await;
    browser.sees("API tokens").await;
    browser.open("/console/account").await;
    browser.sees("signed in with a passkey").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_signs_in_proves_who_sits_there_and_is_removed() {
    let (server, acme, url) = named().await;
    server.member(&acme, "ada@acme.example", "viewer").await;
    let clock = Arc::clone(&server.clock);
    with_browser(&url, true, |browser| async move {
        ask_by_button(&browser).await;
        let device = plug_in(&browser, true, true).await;
        sign_in(&browser).await;
        add(&browser, "Laptop").await;
        browser.sees("The passkey is added.").await;
        browser.sees("never used").await;
        browser.pictures("account-passkeys").await;
        come_back(&browser).await;
        browser.sees("last used").await;
        // The same device says so itself.
        add(&browser, "Laptop again").await;
        browser.sees("This device has a passkey for your account already.").await;
        browser.pictures("passkey-new").await;

        clock.advance(6 * MINUTE);
        browser.open("/console/account").await;
        browser.press("Remove").await;
        browser.sees("Use a passkey").await;
        browser.pictures("passkey-remove").await;
        browser.press("Use a passkey").await;
        browser.sees("It is proven that you sit here.").await;
        browser.press("Remove").await;
        browser.sees("The passkey is removed.").await;
        // The device has it still.
        sign_out(&browser).await;
        browser.press("Sign in with a passkey").await;
        browser.sees("This passkey opens no account here.").await;
        browser.pictures("sign-in-passkey-refused").await;
        unplug(&browser, &device).await;

        // Another device is another person's.
        plug_in(&browser, true, true).await;
        browser.open("/sign-in").await;
        browser.fill("email", "ada@acme.example").await;
        browser.fill("password", PASSWORD).await;
        browser.press("Sign in").await;
        browser.sees("API tokens").await;
        add(&browser, "Phone").await;
        browser.sees("The passkey is added.").await;
        come_back(&browser).await;
        browser.sees("ada@acme.example").await;
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_offered_beside_the_e_mail() {
    let (server, _, url) = named().await;
    with_browser(&url, true, |browser| async move {
        sign_in(&browser).await;
        plug_in(&browser, true, true).await;
        add(&browser, "Laptop").await;
        browser.sees("The passkey is added.").await;
        browser.click("#menu .me button").await;
        // Nothing is pressed: the browser offers it, and this one takes the first.
        browser.sees("API tokens").await;
        browser.open("/console/account").await;
        browser.sees("signed in with a passkey").await;
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_keeps_nothing_or_verifies_nobody_makes_no_passkey() {
    let (server, acme, url) = named().await;
    with_browser(&url, true, |browser| async move {
        sign_in(&browser).await;
        for (keeps, verifies) in [(false, true), (true, false)] {
            let device = plug_in(&browser, keeps, verifies).await;
            add(&browser, "Key").await;
            browser.find("[data-passkey-error]:not([hidden])").await;
            unplug(&browser, &device).await;
        }
    })
    .await;
    assert_eq!(server.get("/account/passkey", &acme.owner).await.json()["results"], json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_that_is_the_only_way_in_stays() {
    let (server, _, url) = named().await;
    let other = server.new_organization("Other").await;
    let owner: Uuid = server.get("/account", &other.owner).await.str("id").parse().unwrap();
    let cookie = server.session(owner, true).await;
    let at = url.clone();
    with_browser(&url, true, |browser| async move {
        plug_in(&browser, true, true).await;
        let cookie = json!({ "name": "__Host-tokenward", "value": cookie, "url": at, "path": "/", "secure": true });
        browser.command("Network.setCookie", cookie).await;
        add(&browser, "Laptop").await;
        browser.sees("The passkey is added.").await;
        browser.press("Remove").await;
        browser.sees("Remove this passkey?").await;
        browser.press("Use a passkey").await;
        browser.sees("It is proven that you sit here.").await;
        browser.press("Remove").await;
        browser.sees("This is the only way in which you sign in.").await;
    })
    .await;
    assert_eq!(server.get("/account/passkey", &other.owner).await.each("results", "name"), ["Laptop"]);
    server.stop().await;
}
