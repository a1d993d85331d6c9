//! The account, the audit log, the settings, and the reference: what is around the tokens.

use crate::browser::with_browser;
use crate::support::{OWNER, PASSWORD, Server, config};
use crate::tokens::sign_in;

/// What the password becomes.
const NEW: &str = "another horse battery";

#[tokio::test(flavor = "multi_thread")]
async fn a_person_changes_the_password_and_signs_out() {
    let (server, _) = Server::with_owner().await;
    with_browser(&server.url, true, |browser| async move {
        sign_in(&browser).await;
        browser.click("#menu .me a").await;
        browser.sees("this one").await;
        browser.pictures("account").await;
        browser.fill("name", "Ada of Acme").await;
        browser.press("Save name").await;
        browser.sees("Your name is saved.").await;
        browser.fill("current_password", "not the password").await;
        browser.fill("new_password", NEW).await;
        browser.press("Change password").await;
        browser.sees("It is not your present password.").await;
        browser.fill("current_password", PASSWORD).await;
        browser.fill("new_password", "short").await;
        browser.press("Change password").await;
        browser.sees("It has 5 characters; at least 12 are needed.").await;
        browser.picture("account-refused", 1280, false).await;
        browser.fill("current_password", PASSWORD).await;
        browser.fill("new_password", NEW).await;
        browser.press("Change password").await;
        browser.sees("All other sessions were signed out.").await;
        assert_eq!(browser.count("#sessions .rows li").await, 1, "the session over HTTP has ended");

        browser.click("#menu .me button").await;
        browser.sees("You are signed out.").await;
        assert!(browser.cookies().await.iter().all(|cookie| cookie["name"] != "__Host-tokenward"));
        browser.open("/console/account").await;
        assert_eq!(browser.path().await, "/sign-in?next=%2Fconsole%2Faccount");
        browser.fill("email", OWNER).await;
        browser.fill("password", PASSWORD).await;
        browser.press("Sign in").await;
        browser.sees("The e-mail address or the password is wrong.").await;
        browser.pictures("sign-in-refused").await;
        browser.fill("password", NEW).await;
        browser.press("Sign in").await;
        browser.sees("Sessions").await;
        assert_eq!(browser.path().await, "/console/account", "back where the person wanted to go");
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_says_what_happened_and_the_settings_change() {
    let (server, organization) = Server::with_owner().await;
    for name in ["ci", "cd"] {
        server.token(&organization, name, "viewer").await;
    }
    with_browser(&server.url, true, |browser| async move {
        sign_in(&browser).await;
        browser.click("#menu a[href$='/settings']").await;
        browser.pictures("settings").await;
        browser.fill("description", "Makes everything").await;
        browser.fill("admin_emails", "a@acme.example, not an address").await;
        browser.press("Save").await;
        browser.sees("It is not an e-mail address").await;
        browser.fill("admin_emails", "a@acme.example, b@acme.example").await;
        browser.press("Save").await;
        browser.sees("The settings are saved.").await;

        browser.click("#menu a[href$='/events']").await;
        browser.sees("API token created").await;
        browser.sees("Organization changed").await;
        browser.click(".log details summary").await;
        browser.sees("Makes everything").await;
        browser.pictures("events").await;
        browser.click("select[name=target] option[value=token]").await;
        browser.press("Apply").await;
        browser.sees("Clear").await;
        assert_eq!(browser.count(".log details").await, 2);
        browser.fill("who", "nobody").await;
        browser.press("Apply").await;
        browser.sees("Nothing matches").await;

        browser.open("/console/nothing").await;
        browser.sees("There is nothing here").await;
        browser.picture("not-found", 1280, false).await;
        browser.open("/docs").await;
        browser.sees("API reference").await;
        browser.click("#api-tokens ~ .log details summary").await;
        browser.pictures("docs").await;
    })
    .await;
    server.stop().await;
}

/// Browsers keep `Secure` cookies over plain HTTP on their own machine only: by its address, and by its name.
#[tokio::test(flavor = "multi_thread")]
async fn plain_http_works_on_the_machine_itself_and_says_so_elsewhere() {
    let (server, _) = Server::with_owner().await;
    let port = server.running.address.port();
    with_browser(&server.url, true, |browser| async move {
        browser.open(&format!("http://tokens.example.com:{port}/sign-in")).await;
        browser.sees("The console needs HTTPS here").await;
        browser.pictures("needs-tls").await;
        browser.open(&format!("http://localhost:{port}/sign-in")).await;
        assert_eq!(browser.path().await, "/sign-in", "led to the public address");
    })
    .await;
    server.stop().await;

    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    // Of another port, as through a tunnel.
    config.public_url = Some("http://localhost:8080".into());
    let server = Server::start_with(directory, config).await;
    let secret = server.running.set_up_link.clone().unwrap().rsplit('/').next().unwrap().to_owned();
    let url = format!("http://localhost:{}", server.running.address.port());
    with_browser(&url, true, |browser| async move {
        browser.open(&format!("/set-up/{secret}")).await;
        for (name, text) in [("organization", "Acme"), ("name", "Ada"), ("email", OWNER), ("password", PASSWORD)] {
            browser.fill(name, text).await;
        }
        browser.press("Create the organization").await;
        browser.sees("No token yet").await;
    })
    .await;
    server.stop().await;
}
