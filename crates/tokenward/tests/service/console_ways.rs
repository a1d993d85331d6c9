//! Where a browser comes after a form: to the page of one that was refused, and to a provider. And pages that ask for themselves.

use reqwest::Method;
use tokenward_core::time::MINUTE;

use crate::console::{Person, world};
use crate::support::{OWNER, PASSWORD, Server};

/// An id of nothing.
const ID: &str = "019ab000-0000-7000-8000-000000000000";

#[tokio::test]
async fn a_form_that_has_a_path_of_its_own_leads_back_to_its_page() {
    let (server, _, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let origin = owner.origin.clone();
    let below = |form: &str, page: &str| (format!("{base}/{form}"), format!("{base}/{page}"));
    let own = |form: &str, page: &str| (form.to_owned(), page.to_owned());
    for (form, page) in [
        own("/sign-out", "/"),
        own("/sign-in/passkey", "/sign-in"),
        own("/console/account/name", "/console/account"),
        own("/console/account/password", "/console/account"),
        own(&format!("/console/account/sessions/{ID}/end"), "/console/account"),
        own("/console/account/sessions/end-others", "/console/account"),
        own("/console/account/passkeys", "/console/account/passkeys/new"),
        below("tokens/find", "tokens"),
        below("tokens/bulk", "tokens"),
        below("policy-tokens/find", "policy-tokens"),
        below("policy-tokens/bulk", "policy-tokens"),
        below(&format!("tokens/{ID}/attest"), &format!("tokens/{ID}")),
        below(&format!("tokens/{ID}/brownout/end"), &format!("tokens/{ID}")),
        below(&format!("members/{ID}/detach"), &format!("members/{ID}")),
        below(&format!("invitations/{ID}/resend"), "members"),
        below(&format!("invitations/{ID}/delete"), "members"),
        below("settings/event-retention", "settings"),
        below("settings/token-policy/shorten", "settings/token-policy"),
    ] {
        owner.get(&form).await.leads_to(&page);
        let refused = owner.send(Method::POST, &form, Some(&[("csrf", "0")]), &[("origin", &origin)]).await;
        refused.says(403, &format!("href=\"{page}\">Open the page again"));
    }
    // Whose path shows something else.
    for (form, page) in [
        below("tokens", "tokens/new"),
        below("policy-tokens", "policy-tokens/new"),
        below(&format!("roles/{ID}"), &format!("roles/{ID}/edit")),
        below("projects/new", "projects/new"),
    ] {
        let refused = owner.send(Method::POST, &form, Some(&[("csrf", "0")]), &[("origin", &origin)]).await;
        refused.says(403, &format!("href=\"{page}\">Open the page again"));
    }
    // Who is not signed in is led to the page afterwards.
    let next = "/sign-in?next=%2Fconsole%2Faccount%2Fname";
    Person::at(&server).get("/console/account/name").await.leads_to(next);
    server.stop().await;
}

#[tokio::test]
async fn a_page_without_scripts_asks_for_itself_for_five_minutes() {
    let (server, organization) = Server::frozen().await;
    let viewer = server.role(&organization, "viewer").await;
    let made = serde_json::json!({ "name": "ci", "role_id": viewer });
    let (id, _) = server.new_token(&organization, made).await;
    let base = format!("/console/{}", organization.id);
    let mut owner = Person::at(&server);
    owner.sign_in(OWNER, PASSWORD).await.leads_to("/");
    let refresh = |html: &str| {
        let (_, rest) = html.split_once("<noscript><meta http-equiv=\"refresh\" content=\"5; url=")?;
        Some(rest.split('"').next()?.replace("&#38;", "&"))
    };
    let pages = [format!("{base}/decisions?only=denied"), format!("{base}/tokens/{id}?days=90")];
    let mut begun = Vec::new();
    for page in &pages {
        assert_eq!(refresh(&owner.get(page).await.html), None, "{page}");
        let again = refresh(&owner.get(&format!("{page}&live=1")).await.html).expect("it asks again");
        assert!(again.starts_with(&format!("{page}&live=")) && !again.ends_with("live=1"), "{again}");
        begun.push(again);
    }
    server.advance(4 * MINUTE).await;
    for again in &begun {
        let page = owner.get(again).await.says(200, "Live: stop");
        assert_eq!(refresh(&page.html).as_ref(), Some(again), "it does not begin anew");
    }
    server.advance(MINUTE).await;
    for again in &begun {
        let page = owner.get(again).await.says(200, "Go live");
        assert_eq!(refresh(&page.html), None, "{again}");
    }
    // Nobody makes it longer, or sends another one a page that goes on for ever.
    let page = owner.get(&format!("{base}/decisions?live=99999999999")).await.says(200, "Go live");
    assert_eq!(refresh(&page.html), None);
    for wrong in ["x", "-1", "1.5", "9999999999999"] {
        owner.get(&format!("{base}/decisions?live={wrong}")).await.says(400, "can only be");
    }
    server.stop().await;
}
