//! The main job: set up, sign in, create a token, use it, take it back.

use serde_json::json;

use crate::browser::{Browser, with_browser};
use crate::support::{OWNER, PASSWORD, Server};

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
