//! What must not open anything: answers that are forged, replayed or somebody else's, tokens that lie, and providers that fail.

use serde_json::{Value, json};
use tokenward_core::time::{HOUR, MINUTE, SECOND};

use super::{Issuer, claims, config, served};
use crate::console::Person;
use crate::support::{OWNER, PASSWORD, Server, TestClock};

const WITH: &str = "/sign-in/with/corp";
const LINK: &str = "/console/account/identities/link";

/// A server whose owner comes by the provider as `ada`.
pub async fn linked(further: &[(&str, &str)]) -> (Server, Issuer) {
    let (server, _acme, issuer) = served(further).await;
    issuer.wants(claims("ada", OWNER, true)).await;
    let mut owner = Person::owner(&server).await;
    owner.by(&issuer, "/console/account/identities/with/corp").await.leads_to(LINK);
    owner.get(LINK).await;
    owner.post(LINK, &[]).await.leads_to("/console/account");
    (server, issuer)
}

/// Nobody comes in, and it is said why.
async fn refused(server: &Server, issuer: &Issuer, wants: Value, why: &str) {
    issuer.wants(wants.clone()).await;
    let mut person = Person::at(server);
    let page = person.by(issuer, WITH).await;
    assert_eq!(page.status, 401, "{wants}: {}", page.html);
    assert!(page.html.contains(why), "{wants}: no `{why}` in {}", page.html);
    assert!(!person.cookies.contains_key("__Host-tokenward"), "{wants}");
}

#[tokio::test]
async fn a_token_that_lies_opens_nothing() {
    let (server, issuer) = linked(&[]).await;
    for alg in ["RS256", "PS256", "ES256", "ES384", "EdDSA"] {
        issuer.wants(json!({ "alg": alg })).await;
        Person::at(&server).by(&issuer, WITH).await.leads_to("/");
    }
    // With all that is used, so that nobody asks UserInfo for it.
    let claim = |name: &str, value: Value| json!({ "claims": { "email": OWNER, "email_verified": true, "name": "Ada", name: value } });
    for (wants, why) in [
        // Signed with the public key as if that were a secret, in the name of that key.
        (json!({ "alg": "HS256", "header": { "kid": "RS256" } }), "HS256"),
        (json!({ "alg": "none" }), "“none”"),
        (json!({ "hidden": true }), "is not signed by its key"),
        (json!({ "header": { "kid": "RS256", "alg": "ES256" } }), "not signed by its key"),
        (json!({ "header": { "kid": "another" } }), "does not publish"),
        (json!({ "header": { "crit": ["b64"] } }), "not understood here"),
        (claim("nonce", json!(null)), "to which sign-in it belongs"),
        (claim("nonce", json!("another")), "another sign-in"),
        (claim("aud", json!("another")), "for somebody else"),
        (claim("aud", json!(["tokenward", "another"])), "whom of several"),
        (claim("azp", json!("another")), "for somebody else"),
        (claim("iss", json!("https://login.elsewhere.example")), "another issuer"),
        (claim("exp", json!(1)), "has expired"),
        (claim("exp", json!("soon")), "when it ends"),
        (json!({ "clock": -3600 }), "has expired"),
        (json!({ "clock": 3600 }), "of the future"),
        (claim("sub", json!(null)), "does not say who came"),
        (claim("sub", json!("")), "does not say who came"),
        (claim("sub", json!("s".repeat(300))), "more than 255 characters"),
        (claim("sub", json!(["ada"])), "what cannot be read"),
        (json!({ "token": { "id_token": "e30.e30.e30" } }), "set one of RS256"),
        (json!({ "token": { "access_token": "a" } }), "no ID token"),
        (json!({ "token": "<html>" }), "cannot be read"),
        (json!({ "userinfo": { "sub": "another", "email": OWNER } }), "about another one"),
        (json!({ "iss": "https://login.elsewhere.example" }), "another one did"),
        (json!({ "iss": null }), "promises to name itself"),
    ] {
        refused(&server, &issuer, wants, why).await;
    }
    // Odd claims are as if they were not there, and many groups are no fault.
    let odd = json!({ "email": 7, "email_verified": { "a": 1 }, "name": [], "groups": vec!["g"; 10_000], "sid": {} });
    issuer.wants(json!({ "claims": odd })).await;
    Person::at(&server).by(&issuer, WITH).await.leads_to("/");
}

#[tokio::test]
async fn an_answer_counts_once_and_in_the_browser_that_asked() {
    let (server, issuer) = linked(&[]).await;
    issuer.wants(json!({ "reuse": true })).await;
    let mut ada = Person::at(&server);
    let question = ada.get(WITH).await;
    let back = issuer.answer(question.location()).await;
    let over = "not begun in this browser";
    // Another browser's.
    let asked = issuer.seen("tokens").await;
    Person::at(&server).get(&back).await.says(401, over);
    // Another state, with our own cookie.
    let (before, after) = back.split_once("state=").unwrap();
    let state = after.split('&').next().unwrap();
    let last = if state.ends_with('x') { 'y' } else { 'x' };
    let other = format!("{before}state={}{last}&{}", &state[..state.len() - 1], after.split_once('&').unwrap().1);
    ada.get(&other).await.says(401, over);
    assert_eq!(issuer.seen("tokens").await, asked, "nobody was asked about these");
    // A cookie that was kept works once, also where the provider takes its codes twice.
    let kept = ada.cookies.clone();
    ada.get(&back).await.leads_to("/");
    assert!(!ada.cookies.keys().any(|name| name.contains("-at-")), "{:?}", ada.cookies.keys());
    let mut again = Person::at(&server);
    again.cookies = kept;
    again.get(&back).await.says(401, over);
    assert!(!again.cookies.contains_key("__Host-tokenward"));
    // What is no sealed text of ours, and one that is over.
    let mut late = Person::at(&server);
    let question = late.get(WITH).await;
    let back = issuer.answer(question.location()).await;
    let name = late.cookies.keys().find(|name| name.contains("-at-")).unwrap().clone();
    let sealed = late.cookies[&name].clone();
    for made_up in ["", "AAAA", &sealed[1..]] {
        late.cookies.insert(name.clone(), made_up.to_owned());
        late.get(&back).await.says(401, over);
    }
    late.cookies.insert(name, sealed);
    server.clock.advance(10 * MINUTE);
    late.get(&back).await.says(401, over);
}

#[tokio::test]
async fn what_is_said_instead_of_a_code_is_told_in_our_words() {
    let (server, issuer) = linked(&[]).await;
    let mut ada = Person::at(&server);
    for (error, why) in [
        ("access_denied", "did not let you in"),
        ("temporarily_unavailable", "Try again later"),
        ("<b>call+555-1234</b>", "did not take the question"),
    ] {
        let question = ada.get(WITH).await;
        let back = issuer.answer(question.location()).await;
        let state = back.split("state=").nth(1).unwrap().split('&').next().unwrap();
        let page = ada.get(&format!("{WITH}/callback?error={error}&error_description=call&state={state}")).await;
        assert!(!page.says(401, why).html.contains("call"), "{error}");
    }
    ada.get(&format!("{WITH}/callback")).await.says(401, "not begun in this browser");
    ada.get("/sign-in/with/other").await.says(404, "");
    ada.get("/sign-in/with/other/callback?state=a").await.says(404, "");
    let mut owner = Person::at(&server);
    owner.sign_in(OWNER, PASSWORD).await.leads_to("/");
}

#[tokio::test]
async fn another_site_begins_nothing_and_nobody_is_led_away() {
    let (server, issuer) = linked(&[]).await;
    let mut ada = Person::at(&server);
    ada.headers = vec![("sec-fetch-site".into(), "cross-site".into())];
    ada.get(&format!("{WITH}?next=/console/account")).await.leads_to("/sign-in?next=%2Fconsole%2Faccount");
    assert!(ada.cookies.keys().all(|name| !name.contains("-at-")));
    ada.headers.clear();
    for evil in ["//evil.example", "/%5Cevil.example", "https://evil.example", "/%09/evil.example"] {
        ada.by(&issuer, &format!("{WITH}?next={evil}")).await.leads_to("/");
    }
    // Five sign-ins are under way at once, such as in as many windows; one more ends the oldest.
    for _ in 0..7 {
        ada.get(WITH).await;
    }
    assert_eq!(ada.cookies.keys().filter(|name| name.contains("-at-")).count(), 5);
}

#[tokio::test]
async fn a_provider_that_fails_is_named_and_the_other_ways_go_on() {
    let issuer = Issuer::start();
    for (wants, why) in [
        (json!({ "discovery": { "issuer": "https://login.elsewhere.example" } }), "calls itself"),
        (json!({ "discovery": { "jwks_uri": "http://169.254.169.254/keys" } }), "link-local"),
        (json!({ "discovery": { "jwks_uri": "https://[::ffff:169.254.169.254]/keys" } }), "link-local"),
        (json!({ "discovery": { "jwks_uri": "file:///etc/passwd" } }), "is not https"),
        (json!({ "discovery": { "token_endpoint": "http://10.0.0.1/token" } }), "is not https"),
        (json!({ "discovery": { "jwks_uri": 7 } }), "something else than a provider"),
        (json!({ "redirect": true }), "with status 302"),
        (json!({ "keys": "large" }), "sent more than 256 KiB"),
        (json!({ "keys": { "keys": [] } }), "no key that can be used"),
        (json!({ "keys": [] }), "keys that cannot be read"),
        (json!({ "silent": "/token" }), "did not answer within 5 seconds"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), &issuer.url, &[]);
        let (server, _acme) = Server::with_owner_and(directory, config).await;
        issuer.wants(wants.clone()).await;
        let mut ada = Person::at(&server);
        let question = ada.get(WITH).await;
        let page = if question.status == 303 {
            let back = issuer.answer(question.location()).await;
            ada.get(&back).await
        } else {
            question
        };
        assert!(page.html.contains(why), "{wants}: no `{why}` in {}", page.html);
        assert!(page.status == 401 && page.html.contains("The other ways to sign in are open"), "{wants}");
    }
}

#[tokio::test]
async fn the_start_waits_for_no_provider_and_what_it_said_counts_for_a_day() {
    let mut issuer = Issuer::start();
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), &issuer.url, &[("EMAIL_DOMAINS", "acme.example")]);
    let clock = std::sync::Arc::<TestClock>::default();
    let port = issuer.url.rsplit(':').next().unwrap().to_owned();
    issuer.stop();
    let server = Server::start_at(directory, config, clock).await;
    let mut ada = Person::at(&server);
    ada.get("/sign-in").await.says(200, "Sign in with Corp Login");
    ada.get(WITH).await.says(401, "cannot be reached");
    let issuer = Issuer::run("issuer.mjs", &[&port]);
    // Asked again a few seconds later, and not before.
    ada.get(WITH).await.says(401, "cannot be reached");
    server.clock.advance(6 * SECOND);
    ada.get(WITH).await.status.eq(&303).then_some(()).unwrap();
    let asked = issuer.seen("discovery").await;
    for _ in 0..5 {
        ada.get(WITH).await.status.eq(&303).then_some(()).unwrap();
    }
    assert_eq!(issuer.seen("discovery").await, asked, "for an hour nobody asks again");
    drop(issuer);
    server.clock.advance(2 * HOUR);
    assert_eq!(ada.get(WITH).await.status, 303, "what it said before counts");
    server.clock.advance(23 * HOUR);
    ada.get(WITH).await.says(401, "cannot be reached");
}

#[tokio::test]
async fn keys_that_are_not_known_are_sought_once_a_minute() {
    let (server, issuer) = linked(&[]).await;
    let before = issuer.seen("keys").await;
    for _ in 0..3 {
        refused(&server, &issuer, json!({ "header": { "kid": "new" } }), "does not publish").await;
    }
    assert_eq!(issuer.seen("keys").await, before + 1);
}

#[tokio::test]
async fn only_those_come_in_whom_the_settings_let() {
    let (server, _acme, issuer) = served(&[("REQUIRED_CLAIMS", "hd=acme.example,roles.tokens=yes")]).await;
    for (roles, hd, why) in [
        (json!({ "tokens": ["yes"] }), "elsewhere.example", "whose claim “hd” is “acme.example”"),
        (json!({ "tokens": ["no"] }), "acme.example", "whose claim “roles.tokens”"),
        (json!(null), "acme.example", "whose claim “roles.tokens”"),
    ] {
        refused(&server, &issuer, json!({ "claims": { "hd": hd, "roles": roles } }), why).await;
    }
    // What the token lacks, UserInfo says.
    let said = json!({ "sub": "ada", "hd": "acme.example", "roles": { "tokens": ["no", "yes"] } });
    issuer.wants(json!({ "userinfo": said })).await;
    Person::at(&server).by(&issuer, WITH).await.leads_to("/sign-in/identity");
}

#[tokio::test]
async fn a_wrong_secret_is_said_to_be_one() {
    let (server, _acme, issuer) = served(&[("CLIENT_SECRET", "another"), ("AUTH_METHOD", "client_secret_post")]).await;
    refused(&server, &issuer, json!({}), "compare client_id and client_secret").await;
    let (server, _acme, issuer) = served(&[("AUTH_METHOD", "client_secret_post")]).await;
    Person::at(&server).by(&issuer, WITH).await.leads_to("/sign-in/identity");
}
