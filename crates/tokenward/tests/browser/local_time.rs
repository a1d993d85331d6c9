//! Local time beside UTC, and pages on paper.

use serde_json::json;

use crate::browser::with_browser;
use crate::support::Server;
use crate::tokens::sign_in;

#[tokio::test(flavor = "multi_thread")]
async fn local_time_stands_beside_utc_and_paper_has_no_controls() {
    let (server, acme) = Server::with_owner().await;
    let (id, _) = server.new_token(&acme, json!({ "name": "ci", "role_id": server.role(&acme, "viewer").await })).await;
    let base = format!("/console/{}", acme.id);
    with_browser(&server.url, true, |browser| async move {
        browser.command("Emulation.setTimezoneOverride", json!({ "timezoneId": "Asia/Tokyo" })).await;
        sign_in(&browser).await;
        browser.open(&format!("{base}/tokens/{id}")).await;
        browser.sees(" here)").await;
        let same = "const it = document.querySelector('.local'); const at = new Date(it.previousElementSibling.dateTime); \
             return it.textContent.includes(at.toLocaleTimeString(undefined, { timeZone: 'Asia/Tokyo', timeStyle: 'short' }))";
        assert_eq!(browser.script(same).await, true);
        browser.command("Emulation.setTimezoneOverride", json!({ "timezoneId": "UTC" })).await;
        browser.open(&format!("{base}/tokens/{id}")).await;
        browser.sees("Latest decisions").await;
        assert_eq!(browser.count(".local").await, 0, "twice the same");

        for path in ["tokens", "members", "events", "overview", "roles", &format!("tokens/{id}")] {
            browser.open(&format!("{base}/{path}")).await;
            browser.command("Emulation.setEmulatedMedia", json!({ "media": "print" })).await;
            // The width of A4 between its margins, at 96 dots an inch.
            let paper = json!({ "width": 718, "height": 1000, "deviceScaleFactor": 1, "mobile": false });
            browser.command("Emulation.setDeviceMetricsOverride", paper).await;
            let shown = "const seen = it => it.checkVisibility({ visibilityProperty: true }) && it.getClientRects().length > 0; \
                 return [[...document.querySelectorAll('button, input:not([type=hidden]), select, .btn, nav, .chip')].filter(seen).map(it => it.outerHTML), \
                 document.documentElement.scrollWidth, getComputedStyle(document.querySelector('main')).paddingLeft]";
            assert_eq!(browser.script(shown).await, json!([[], 718, "0px"]), "{path}");
            browser.window(&format!("print-{}", path.split('/').next().unwrap()), 718, 1000).await;
            browser.command("Emulation.setEmulatedMedia", json!({ "media": "" })).await;
        }
    })
    .await;
    server.stop().await;
}
