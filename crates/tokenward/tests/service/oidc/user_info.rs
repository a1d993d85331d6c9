//! What an ID token lacks comes from UserInfo, of the same person; and an address is proven by who names it.

use serde_json::{Value, json};

use super::rules::{in_groups, ruled, signed_in};
use super::{Issuer, served};
use crate::console::Person;
use crate::support::{OWNER, Organization, Server};

const WITH: &str = "/sign-in/with/corp";
const IDENTITY: &str = "/sign-in/identity";

/// What the provider says of ada: in the token, and there.
fn says(token: &Value, user_info: &Value) -> Value {
    let with = |more: &Value, mut all: Value| {
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let claims = with(token, json!({ "sub": "ada", "name": "Ada" }));
    json!({ "claims": claims, "userinfo": with(user_info, json!({ "sub": "ada" })) })
}

/// What somebody is shown whom the provider knows, and we do not.
async fn shown(server: &Server, issuer: &Issuer, wants: Value, text: &str) {
    issuer.wants(wants.clone()).await;
    let mut ada = Person::at(server);
    ada.by(issuer, WITH).await.leads_to(IDENTITY);
    let page = ada.get(IDENTITY).await;
    assert!(page.status == 200 && page.html.contains(text), "{wants}: no `{text}` in {}", page.html);
}

#[tokio::test]
async fn user_info_proves_the_address_that_it_names_and_no_other() {
    let (server, _acme, issuer) = served(&[]).await;
    let (proven, stranger) = ("Sign in once as you do now", "You have no account here");
    for (token, user_info, text) in [
        (json!({ "email": OWNER }), json!({ "email": OWNER, "email_verified": true }), proven),
        (json!({ "email": OWNER }), json!({ "email": "Owner@ACME.example", "email_verified": true }), proven),
        (json!({}), json!({ "email": OWNER, "email_verified": true }), proven),
        // It has proved another address, or does not say which one.
        (json!({ "email": OWNER }), json!({ "email": "mallory@acme.example", "email_verified": true }), stranger),
        (json!({ "email": OWNER }), json!({ "email_verified": true }), stranger),
        // The same the other way round.
        (json!({ "email_verified": true }), json!({ "email": OWNER }), stranger),
        (
            json!({ "email": OWNER, "email_verified": false }),
            json!({ "email": OWNER, "email_verified": true }),
            stranger,
        ),
        (json!({ "email": OWNER }), json!({ "email": OWNER, "email_verified": false }), stranger),
    ] {
        shown(&server, &issuer, says(&token, &user_info), text).await;
    }
}

#[tokio::test]
async fn user_info_is_asked_for_what_is_used_and_lacking() {
    let (server, _acme, issuer) = served(&[]).await;
    for (token, asked) in [
        (json!({ "email": OWNER, "email_verified": true }), false),
        (json!({ "email": OWNER, "email_verified": false }), false),
        (json!({ "email": OWNER }), true),
        (json!({ "email": OWNER, "email_verified": null }), true),
        (json!({ "email": null, "email_verified": true }), true),
        (json!({ "email": OWNER, "email_verified": true, "name": null }), true),
        // Nothing that it says would prove an address of this domain.
        (json!({ "email": "owner@elsewhere.example" }), false),
    ] {
        let before = issuer.seen("userinfo").await;
        issuer.wants(says(&token, &json!({}))).await;
        Person::at(&server).by(&issuer, WITH).await.leads_to(IDENTITY);
        assert_eq!(issuer.seen("userinfo").await - before, u64::from(asked), "{token}");
    }
    // Where the operator's word counts, the provider's is not asked for.
    let (server, _acme, issuer) = served(&[("EMAIL_VERIFIED", "assumed")]).await;
    shown(&server, &issuer, says(&json!({ "email": OWNER }), &json!({})), "Sign in once as you do now").await;
    assert_eq!(issuer.seen("userinfo").await, 0);
}

/// What a member is called, whom a rule has made.
async fn called(server: &Server, acme: &Organization, email: &str) -> String {
    let all = server.get(&acme.path("member"), &acme.owner).await.json();
    let found = all["results"].as_array().unwrap().iter().find(|it| it["email"] == email);
    found.unwrap_or_else(|| panic!("{all}"))["name"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_name_comes_from_there_and_for_want_of_it_nobody_is_kept_out() {
    let (server, acme, issuer) = served(&[("GROUPS_CLAIM", "groups")]).await;
    ruled(&server, &acme, &[("engineers", "viewer")]).await.expect(200);
    for (who, user_info, name) in [
        ("ada", json!({ "sub": "ada", "name": "Ada Lovelace" }), "Ada Lovelace"),
        // What is said of somebody else is not taken, nor what is nothing.
        ("bob", json!({ "sub": "ada", "name": "Ada Lovelace" }), "bob@acme.example"),
        ("eve", json!("<html>"), "eve@acme.example"),
    ] {
        let mut wants = in_groups(who, json!(["engineers"]));
        wants["userinfo"] = user_info;
        signed_in(&server, &issuer, wants).await;
        assert_eq!(called(&server, &acme, &format!("{who}@acme.example")).await, name);
    }
    // A provider that hangs there has its two seconds, and not the five of the sign-in.
    let mut wants = in_groups("zoe", json!(["engineers"]));
    wants["silent"] = json!("/userinfo");
    signed_in(&server, &issuer, wants).await;
    assert_eq!(called(&server, &acme, "zoe@acme.example").await, "zoe@acme.example");
}

#[tokio::test]
async fn without_what_decides_who_comes_in_nobody_does() {
    let (server, _acme, issuer) = served(&[]).await;
    for (token, user_info, why) in [
        (json!({ "email": OWNER }), json!("<html>"), "what cannot be read"),
        (json!({ "email": OWNER }), json!({ "sub": "mallory", "email_verified": true }), "about another one"),
        (json!({ "email": OWNER }), json!({ "email": OWNER, "email_verified": true }), "about another one"),
        (json!({}), json!("<html>"), "what cannot be read"),
    ] {
        let mut wants = says(&token, &json!({}));
        wants["userinfo"] = user_info;
        issuer.wants(wants.clone()).await;
        let mut ada = Person::at(&server);
        let page = ada.by(&issuer, WITH).await;
        assert!(page.status == 401 && page.html.contains(why), "{wants}: no `{why}` in {}", page.html);
        assert!(!ada.cookies.contains_key("__Host-tokenward"), "{wants}");
    }
}

#[tokio::test]
async fn of_the_sign_in_it_says_nothing() {
    let (server, acme, issuer) = served(&[]).await;
    let mut owner = Person::owner(&server).await;
    issuer.wants(super::claims("owner", OWNER, true)).await;
    let link = "/console/account/identities/link";
    owner.by(&issuer, "/console/account/identities/with/corp").await.leads_to(link);
    owner.get(link).await;
    owner.post(link, &[]).await.leads_to("/console/account");
    // The token does not say when the person was asked: what UserInfo says of that is no proof of now.
    let only = format!("/console/{}/settings/sign-in/only/corp", acme.id);
    for (says_when, fresh) in [(false, false), (true, true)] {
        let mut wants = super::claims("owner", OWNER, true);
        let now = tokenward_core::Clock::now(&*server.clock).seconds();
        wants["claims"]["name"] = json!(null);
        wants["claims"]["auth_time"] = if says_when { json!(now) } else { json!(null) };
        wants["userinfo"] = json!({ "sub": "owner", "name": "Ada", "auth_time": now });
        issuer.wants(wants).await;
        let mut owner = Person::at(&server);
        owner.by(&issuer, WITH).await.leads_to("/");
        let page = owner.get(&only).await;
        let told = page.html.contains("Only by Corp Login</button>") && !page.html.contains("name=\"password\"");
        assert_eq!(told, fresh, "{}", page.html);
    }
}
