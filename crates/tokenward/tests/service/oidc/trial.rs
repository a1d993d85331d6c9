//! *Try it*: a sign-in that begins nothing shows what the provider says and what the rules would give.

use serde_json::json;

use super::rules::{in_groups, members, ruled};
use super::{claims, served};
use crate::console::Person;
use crate::support::{OWNER, PASSWORD, Server};

#[tokio::test]
async fn an_admin_tries_a_provider_and_nothing_begins() {
    let (server, acme, issuer) = served(&[("GROUPS_CLAIM", "groups")]).await;
    ruled(&server, &acme, &[("engineers", "devops")]).await.expect(200);
    let page = format!("/console/{}/settings/sign-in", acme.id);
    let go = format!("{page}/try/corp");
    let mut owner = Person::owner(&server).await;
    owner.get(&page).await.says(200, &format!("href=\"{go}\""));
    let session = owner.cookies["__Host-tokenward"].clone();
    let events = position(&server).await;
    issuer.wants(in_groups("ada", json!(["staff", "engineers"]))).await;
    let shown = owner.by(&issuer, &go).await;
    for text in [
        "What Corp Login says",
        "The rule corp:engineers fits first: it would give the role DevOps",
        &issuer.url,
        "staff, engineers",
        "ada@acme.example, proven",
        "none is linked",
        "Its clock",
        "&#34;sub&#34;: &#34;ada&#34;",
    ] {
        assert!(shown.html.contains(text), "no `{text}` in {}", shown.html);
    }
    assert_eq!(shown.status, 200);
    for (groups, says) in [(json!(["sales"]), "No rule fits"), (json!(null), "It did not say the claim “groups”")] {
        issuer.wants(in_groups("ada", groups)).await;
        owner.by(&issuer, &go).await.says(200, says);
    }
    // Nothing began and nothing was written.
    assert_eq!(owner.cookies["__Host-tokenward"], session);
    assert!(members(&server, &acme).await.is_empty());
    assert_eq!(position(&server).await, events);
    owner.get(&page).await.says(200, "Try Corp Login");

    // It is for those who manage members, in the session in which it began.
    issuer.wants(claims("ada", "ada@acme.example", true)).await;
    let question = owner.get(&go).await;
    let back = issuer.answer(question.location()).await;
    server.member(&acme, "bob@acme.example", "viewer").await;
    let mut bob = Person::at(&server);
    bob.sign_in("bob@acme.example", PASSWORD).await.leads_to("/");
    bob.get(&go).await.says(403, "member:manage");
    let attempts = owner.cookies.iter().filter(|(name, _)| name.starts_with("__Host-tokenward-at-"));
    bob.cookies.extend(attempts.map(|(name, value)| (name.clone(), value.clone())));
    bob.get(&back).await.says(401, "not begun in this browser");
    let mut other = Person::at(&server);
    other.sign_in(OWNER, PASSWORD).await.leads_to("/");
    other.get("/console/00000000-0000-7000-8000-000000000000/settings/sign-in/try/corp").await.says(404, "");
}

/// Chromium holds the redirects of a form against our policy, which lets them lead to us alone.
#[tokio::test]
async fn a_form_that_leads_on_to_a_provider_is_answered_by_a_page_of_ours() {
    let (server, acme, issuer) = served(&[]).await;
    let go = format!("/console/{}/settings/sign-in/try/corp", acme.id);
    let mut owner = Person::at(&server);
    owner.get("/sign-in").await;
    let page = owner.post("/sign-in", &[("email", OWNER), ("password", PASSWORD), ("next", &go)]).await;
    let page = page.says(200, &format!("href=\"{go}\">Go on"));
    assert_eq!(page.headers["refresh"], format!("0; url={go}"));
    // Signed in all the same.
    issuer.wants(claims("ada", "ada@acme.example", true)).await;
    owner.by(&issuer, &go).await.says(200, "What Corp Login says");
    // So it is with a proof, and what leads nowhere else goes on as before.
    for (next, status) in [("/console/account/prove/corp", 200), ("/console/account", 303)] {
        let form = [("next", next), ("password", PASSWORD)];
        owner.get("/console/account/proof").await;
        assert_eq!(owner.post("/console/account/proof", &form).await.status, status, "{next}");
    }
}

async fn position(server: &Server) -> i64 {
    let mut reader = server.running.app.store.read().await.unwrap();
    tokenward_store::log::end(reader.conn()).await.unwrap().0.number
}
