//! A policy token, from a recipe to its page: the editor says what is wrong while somebody types.

use crate::browser::with_browser;
use crate::support::Server;
use crate::tokens::sign_in;

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_looked_at_while_it_is_typed_and_its_token_shown_once() {
    let (server, _) = Server::with_owner().await;
    with_browser(&server.url, true, |browser| async move {
        sign_in(&browser).await;
        browser.press("Policy tokens").await;
        browser.sees("No policy token yet").await;
        browser.press("Add the first policy token").await;
        browser.press("Read one part of your API").await;
        browser.sees("in the editor").await;
        let coloured = browser.script("return document.querySelector('.rego pre .word').textContent").await;
        assert_eq!(coloured, "allow");
        browser.fill("opa_policy", "allow if {\n  strtswith(input.request.method, \"G\")\n}").await;
        // Nobody has pressed anything.
        browser.sees("There is no function").await;
        browser.pictures("policy-token-refused").await;
        browser.fill("path", "/invoices/7").await;
        browser.fill("opa_policy", "allow if input.request.method == \"GET\"").await;
        browser.sees("GET /invoices/7 is allowed").await;
        browser.fill("name", "reader").await;
        browser.press("Viewer").await;
        browser.press("30 days").await;
        browser.pictures("policy-token-new").await;
        browser.press("Create policy token").await;
        browser.sees("“reader” is ready").await;
        assert!(browser.text("#secret").await.starts_with("twp_"));
        browser.press("I have stored it").await;
        browser.press("reader").await;
        browser.sees("What it may be used for").await;
        browser.pictures("policy-token").await;
    })
    .await;
}
