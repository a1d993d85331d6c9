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
        let same = "return [...document.querySelectorAll('.local')].every(it => { \
             const at = new Date((it.closest('time') ?? it.previousElementSibling).dateTime); \
             return it.textContent.includes(at.toLocaleTimeString(undefined, { timeZone: 'Asia/Tokyo', timeStyle: 'short' })) })";
        assert_eq!(browser.script(same).await, true);
        // The page of one thing says it without a tip, in sentences too.
        let seen = "return document.querySelector('main').innerText";
        let text = browser.script(seen).await;
        assert!(text.as_str().unwrap().contains(" UTC · "), "{text}");
        browser.open(&format!("{base}/tokens/{id}/edit")).await;
        browser.sees("never used").await;
        let written = "const it = document.createElement('p'); it.textContent = 'until 1 Dec 2026, 20:00 UTC, or never'; \
             document.body.append(it); localTimes(it); return it.innerText";
        let written = browser.script(written).await;
        let written = written.as_str().unwrap();
        assert!(written.contains(" here), or never") && written.contains("5:00"), "{written}");
        // A list is short, until somebody asks for exact times: by the keyboard, on each page from then on.
        browser.open(&format!("{base}/tokens")).await;
        let cell = "return document.querySelector('#tokens td[data-label=Created]').innerText";
        let near = browser.script(cell).await;
        // It says "just now" on a machine that is fast enough.
        let is_near = |cell: &str| cell.contains("just now") || cell.contains(" ago");
        assert!(is_near(near.as_str().unwrap()) && !near.as_str().unwrap().contains("UTC"), "{near}");
        let press = "const box = document.getElementById('exact-times'); box.focus(); box.click(); return document.activeElement.id";
        assert_eq!(browser.script(press).await, "exact-times");
        for _ in 0..2 {
            let exact = browser.script(cell).await;
            let exact = exact.as_str().unwrap();
            assert!(exact.contains(" UTC") && exact.contains(" here") && !is_near(exact), "{exact}");
            for width in [1280, 768, 380] {
                browser.fits("exact-times", width).await;
            }
            browser.open(&format!("{base}/tokens")).await;
        }
        // What is typed finds what Enter finds: no times.
        browser.fill("q", "utc").await;
        browser.sees("No token on this page matches").await;
        browser.fill("q", "ci").await;
        assert_eq!(browser.count("#tokens tbody tr:not([hidden])").await, 1);
        browser.script(press).await;
        browser.command("Emulation.setTimezoneOverride", json!({ "timezoneId": "UTC" })).await;
        browser.open(&format!("{base}/tokens/{id}")).await;
        browser.sees("Latest decisions").await;
        assert_eq!(browser.count(".local").await, 0, "twice the same");

        for path in ["tokens", "members", "events", "overview", "roles", &format!("tokens/{id}")] {
            browser.open(&format!("{base}/{path}")).await;
            browser.command("Emulation.setEmulatedMedia", json!({ "media": "print" })).await;
            let near = "return [...document.querySelectorAll('.near')].filter(it => it.getClientRects().length > 0).length";
            assert_eq!(browser.script(near).await, 0, "{path}: on paper `5 min ago` says nothing");
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
