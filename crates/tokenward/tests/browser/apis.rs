//! The routes of the organization's own API in the console.

use serde_json::json;
use thirtyfour::prelude::*;

use crate::browser::with_browser;
use crate::support::Server;
use crate::tokens::sign_in;

const SHOP: &str = r#"openapi: 3.0.3
info: { title: Shop, version: "1" }
paths:
  /invoices:
    get: {}
    post: { x-permission: [invoices:write, ledger:write] }
  /invoices/{id}:
    get: {}
    delete: { x-permission: invoices:void }
  /orders/{id}/state:
    put: { security: [{ oauth: [orders:write, "stock:read"] }] }
  /reports/{year}/{month}.csv:
    get: { x-permission: reports:read }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_api_is_added_from_a_file_searched_replaced_and_deleted() {
    let (server, _) = Server::with_owner().await;
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("shop.yaml");
    std::fs::write(&file, SHOP).unwrap();
    with_browser(&server.url, true, |browser| async move {
        sign_in(&browser).await;
        browser.click("#menu a[href$='/apis']").await;
        browser.sees("No routes yet").await;
        browser.pictures("apis-empty").await;
        browser.press("Add an API").await;
        browser.fill("name", "shop").await;
        browser.find("#file").await.send_keys(file.to_str().unwrap()).await.unwrap();
        let begun = tokio::time::Instant::now();
        while browser.script("return document.getElementById('document').value").await != json!(SHOP) {
            assert!(begun.elapsed().as_secs() < 20, "the file is not read into the box");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        browser.pictures("api-new").await;
        browser.press("Add API").await;
        browser.sees("The API is saved.").await;
        assert_eq!(browser.count("#routes tbody tr").await, 6);
        browser.pictures("api").await;

        browser.fill("q", "void").await;
        assert_eq!(browser.count("#routes tbody tr:not([hidden])").await, 1);
        browser.fill("q", "nothing").await;
        browser.sees("No route on this page matches.").await;
        browser.keys(Key::Enter + "").await;
        browser.sees("No method, path or permission has “nothing” in it.").await;
        browser.picture("api-none-found", 1280, false).await;
        browser.press("Show all 6").await;
        browser.click("select[name=method] option[value=POST]").await;
        browser.fill("path", "/invoices?draft=1").await;
        browser.press("Look up").await;
        browser.sees("POST /invoices?draft=1 takes invoices:write and ledger:write.").await;
        browser.pictures("api-asked").await;

        browser.press("Change").await;
        browser.fill("document", "[[route]]\nmethod = GET\n").await;
        browser.press("Save").await;
        browser.sees("The document cannot be read: line 2:").await;
        browser.pictures("api-refused").await;
        browser.fill("document", "[[route]]\nmethod = \"GET\"\npath = \"/orders/{id}\"\n").await;
        browser.press("Takes any valid token").await;
        browser.press("Save").await;
        browser.sees("The API is saved.").await;
        browser.sees("orders:read").await;
        assert_eq!(browser.count("#routes tbody tr").await, 1);
        browser.press("Your API").await;
        browser.sees("Any valid token").await;
        browser.pictures("apis").await;

        browser.press("shop").await;
        browser.press("Delete API").await;
        browser.fill("confirm", "shop").await;
        browser.picture("api-delete", 1280, false).await;
        browser.press("Delete the API").await;
        browser.sees("The API is deleted.").await;
        browser.sees("No routes yet").await;
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_is_enough_to_add_an_api_and_to_look_up_a_request() {
    let (server, organization) = Server::with_owner().await;
    let base = format!("/console/{}", organization.id);
    with_browser(&server.url, true, |browser| async move {
        sign_in(&browser).await;
        browser.open(&format!("{base}/apis/new")).await;
        // The name has the focus.
        browser.keys("shop").await;
        browser.tab_to("#document").await;
        browser.keys("[[route]]\nmethod = \"GET\"\npath = \"/orders\"\n").await;
        browser.tab_to("[name=unknown_route]").await;
        browser.tab_to("main button.primary").await;
        browser.keys(Key::Enter + "").await;
        browser.sees("The API is saved.").await;
        browser.tab_to("[name=path]").await;
        browser.keys("/orders").await;
        browser.keys(Key::Enter + "").await;
        browser.sees("GET /orders takes orders:read.").await;
        // One can go on typing where one was.
        browser.keys(Key::End + "/7").await;
        browser.keys(Key::Enter + "").await;
        browser.sees("GET /orders/7 is denied: no route describes it.").await;
    })
    .await;
    server.stop().await;
}
