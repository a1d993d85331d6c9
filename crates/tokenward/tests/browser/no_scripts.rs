//! The own account where no script runs: everything but passkeys works, and what needs a passkey says in words that it needs scripts.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use serde_json::{Value, json};
use tokenward_core::Clock as _;
use tokenward_core::event::By;
use tokenward_core::right::Operator;
use tokenward_core::time::{MINUTE, SECOND};
use tokenward_server::config::ListenAddress;
use tokenward_server::service::accounts::{Taking, take_link};
use tokenward_server::service::set_up;

use crate::browser::{Browser, with_browser};
use crate::mailbox::Mailbox;
use crate::support::authenticator::{Authenticator, STEP};
use crate::support::{OWNER, PASSWORD, Server, TestClock, config};

/// The address that the account gets.
const NEW_ADDRESS: &str = "ada@new.example";
/// What the password becomes.
const NEW_PASSWORD: &str = "four quiet lamps";
/// Longer than a proof counts.
const LATER: i64 = 6 * MINUTE;
/// What sends the form of a page.
const SEND: &str = "main form button.primary";

/// A server that browsers reach by a name, so that it takes passkeys, and that sends mail. Its owner has proved to read it.
async fn server() -> (Server, String, Mailbox) {
    let (mailbox, smtp) = Mailbox::open().await;
    // Its port is part of its address, so that it must be known before.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.listen = vec![ListenAddress::Address(SocketAddr::from(([127, 0, 0, 1], port)))];
    let url = format!("http://localhost:{port}");
    config.public_url = Some(url.clone());
    config.smtp_url = Some(format!("smtp://{smtp}"));
    let (server, _) = Server::with_owner_and(directory, config).await;
    // From here on it is as late as the test says, so that no code is over before it is typed.
    server.clock.set(server.running.app.now());
    let app = &server.running.app;
    let link = set_up::sign_in_link(&app.store, &Operator::at_this_machine(), OWNER).await.unwrap().unwrap();
    let taking = Taking { password: PASSWORD.to_owned().into(), was_not_me: false };
    take_link(app, &link.secret, taking, By::operator()).await.unwrap();
    (server, url, mailbox)
}

/// The path of the link in a mail with this text.
async fn path_in(mailbox: &Mailbox, text: &str, before: &str) -> String {
    let mail = mailbox.mail_with(text).await;
    let (_, rest) = mail.split_once(before).unwrap_or_else(|| panic!("no {before} in {mail}"));
    format!("{before}{}", rest.lines().next().unwrap())
}

async fn type_password(browser: &Browser, email: &str, password: &str) {
    browser.open("/sign-in").await;
    browser.sees("Passkeys need JavaScript, which is off in this browser.").await;
    assert_eq!(browser.count("form[data-passkey-sign-in]:not([hidden])").await, 0, "no button that does nothing");
    browser.fill("email", email).await;
    browser.fill("password", password).await;
    browser.click(SEND).await;
}

async fn sign_out(browser: &Browser) {
    browser.open("/console/account").await;
    browser.click("#menu .me button").await;
    browser.sees("You are signed out.").await;
}

/// The code that is shown next.
fn next(clock: &TestClock, authenticator: &Authenticator) -> String {
    clock.advance(STEP * SECOND);
    authenticator.at(clock.now().seconds())
}

/// Sets an authenticator up, as it is read or typed from the page. It, and the recovery codes, which are shown once.
async fn set_up_authenticator(browser: &Browser, clock: &TestClock) -> (Authenticator, Vec<String>) {
    browser.open("/console/account").await;
    browser.click("#second-factor a.btn").await;
    browser.sees("Read this picture with an authenticator").await;
    assert_eq!(browser.count("svg.qr path").await, 1, "the picture is made by the server");
    assert_eq!(browser.count("main canvas, main img").await, 0);
    let authenticator = Authenticator::of(&browser.text("#seed").await);
    browser.fill("otp", "000 00").await;
    browser.click(SEND).await;
    browser.sees("six digits").await;
    let same = Authenticator::of(&browser.text("#seed").await);
    let code = authenticator.at(clock.now().seconds());
    assert_eq!(same.at(clock.now().seconds()), code, "the seed may be in the authenticator already");
    browser.fill("otp", &code).await;
    browser.click(SEND).await;
    browser.sees("The authenticator is on.").await;
    let codes: Vec<String> = browser.text("#codes").await.lines().map(str::to_owned).collect();
    assert_eq!(codes.len(), 10, "{codes:?}");
    browser.click("main a.primary").await;
    browser.sees("10 recovery codes are left.").await;
    for path in ["/console/account", "/console/account/second-factor", "/console/account/second-factor/codes"] {
        browser.open(path).await;
        let shown = browser.text("body").await;
        assert!(!codes.iter().any(|code| shown.contains(code.as_str())), "{path}: they are shown once");
    }
    (authenticator, codes)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_account_but_passkeys_works_without_scripts() {
    let (server, url, mailbox) = server().await;
    let (clock, api, at) = (Arc::clone(&server.clock), server.client.clone(), server.url.clone());
    with_browser(&url, false, move |browser| async move {
        browser.command("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
        type_password(&browser, OWNER, "not the password").await;
        browser.sees("The e-mail address or the password is wrong.").await;
        type_password(&browser, OWNER, PASSWORD).await;
        browser.sees("No token yet").await;

        let (authenticator, codes) = set_up_authenticator(&browser, &clock).await;

        // By the password and a code.
        sign_out(&browser).await;
        type_password(&browser, OWNER, PASSWORD).await;
        browser.sees("Type your code").await;
        assert!(browser.cookies().await.iter().all(|it| it["name"] != "__Host-tokenward"), "there is no session yet");
        browser.fill("otp", "123456").await;
        browser.click(SEND).await;
        browser.sees("The code is wrong").await;
        browser.fill("otp", &next(&clock, &authenticator)).await;
        browser.click(SEND).await;
        browser.sees("No token yet").await;
        // And by a recovery code.
        sign_out(&browser).await;
        type_password(&browser, OWNER, PASSWORD).await;
        browser.click("main a[href='/sign-in/code?recovery=1']").await;
        browser.sees("Use a recovery code").await;
        browser.fill("otp", &codes[0]).await;
        browser.click(SEND).await;
        browser.sees("No token yet").await;

        // The sessions, and an end of all others.
        let mut others = Vec::new();
        for code in &codes[1..3] {
            let body = json!({ "email": OWNER, "password": PASSWORD, "recovery_code": code });
            let session = api.post(format!("{at}/session")).json(&body).send().await.unwrap();
            let session: Value = session.json().await.unwrap();
            others.push(session["token"].as_str().unwrap().to_owned());
        }
        browser.open("/console/account").await;
        browser.sees("7 recovery codes are left.").await;
        assert_eq!(browser.count("#sessions .rows li").await, 3);
        let rows = browser.text("#sessions .rows").await;
        assert!(rows.contains("127.0.0.1") && rows.contains("this one") && rows.contains("ends"), "{rows}");
        browser.click("#sessions form[action$='/end-others'] button").await;
        browser.sees("All other sessions are signed out.").await;
        assert_eq!(browser.count("#sessions .rows li").await, 1);
        for session in &others {
            let answer = api.get(format!("{at}/account")).bearer_auth(session).send().await.unwrap();
            assert_eq!(answer.status(), 401);
        }

        // Another address, by a fresh proof.
        clock.advance(LATER);
        browser.open("/console/account/email").await;
        browser.fill("email", NEW_ADDRESS).await;
        browser.fill("password", PASSWORD).await;
        browser.fill("otp", &next(&clock, &authenticator)).await;
        browser.click(SEND).await;
        browser.sees("A mail is on its way to the new address.").await;
        browser.open(&path_in(&mailbox, "Subject: Your new address", "/sign-in/email/").await).await;
        browser.sees("Is this your new address?").await;
        browser.click(SEND).await;
        browser.sees("Your account has its new address.").await;

        // Passkeys are what does not work, and it is said so.
        browser.open("/console/account").await;
        browser.sees(NEW_ADDRESS).await;
        browser.click("#passkeys a.btn").await;
        browser.sees("Passkeys need JavaScript, which is off in this browser.").await;
        browser.fill("name", "Laptop").await;
        browser.click(SEND).await;
        browser.sees("That needs JavaScript").await;

        // The second factor goes, by a fresh proof with a recovery code.
        clock.advance(LATER);
        browser.open("/console/account").await;
        browser.click("#second-factor a[href$='/remove']").await;
        browser.sees("Remove the second factor?").await;
        browser.fill("password", PASSWORD).await;
        browser.fill("otp", &codes[3]).await;
        browser.click("main form button.destroy").await;
        browser.sees("The second factor is removed.").await;

        // A new password by mail.
        sign_out(&browser).await;
        browser.open("/sign-in/forgot").await;
        browser.fill("email", NEW_ADDRESS).await;
        browser.click(SEND).await;
        browser.sees("a mail is on its way").await;
        browser.open(&path_in(&mailbox, "Subject: A new password", "/sign-in/reset/").await).await;
        browser.sees("Choose a new password").await;
        browser.fill("password", NEW_PASSWORD).await;
        browser.click(SEND).await;
        browser.sees("Your password is set.").await;
        type_password(&browser, NEW_ADDRESS, NEW_PASSWORD).await;
        browser.sees("No token yet").await;
        browser.open("/console/account").await;
        browser.sees("What happened").await;
    })
    .await;
    server.stop().await;
}

/// Who has nothing but a passkey finds no form that cannot be sent, but what to do.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_passkey_alone_can_prove_says_that_it_needs_scripts() {
    let (server, _, url) = crate::passkeys::named().await;
    let clock = Arc::clone(&server.clock);
    with_browser(&url, true, move |browser| async move {
        crate::tokens::sign_in(&browser).await;
        crate::passkeys::plug_in(&browser, true, true).await;
        crate::passkeys::add(&browser, "Laptop").await;
        browser.sees("The passkey is added.").await;
        clock.advance(LATER);
        browser.command("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
        for path in ["/console/account/second-factor", "/console/account/password/remove", "/console/account/proof"] {
            browser.open(path).await;
            browser.sees("A passkey can prove it, and needs JavaScript, which is off in this browser.").await;
            assert_eq!(browser.count("main [name=password]").await, 0, "{path}: a password proves nothing beside it");
        }
    })
    .await;
    server.stop().await;
}
