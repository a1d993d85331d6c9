//! A provider says that somebody has signed out there: what it proved ends here.

use serde_json::{Value, json};

use tokenward_server::issuer::settings::ProviderSettings;

use super::{Issuer, claims, config, served};
use crate::console::Person;
use crate::support::{Answer, OWNER, Server};

async fn send(server: &Server, token: &str) -> Answer {
    send_to(server, "corp", token).await
}

async fn send_to(server: &Server, key: &str, token: &str) -> Answer {
    let request = server.request("POST", &format!("/console/oidc/{key}/logout"));
    server.send(request.form(&[("logout_token", token)])).await
}

/// The owner of Acme, linked, and signed in by the provider in its session of this name.
async fn by_provider(server: &Server, issuer: &Issuer, session: &str) -> Person {
    let mut said = claims("owner", OWNER, true);
    said["claims"]["sid"] = json!(session);
    issuer.wants(said).await;
    let mut person = Person::at(server);
    person.by(issuer, "/sign-in/with/corp").await.leads_to("/");
    person
}

async fn linked(server: &Server, issuer: &Issuer) -> Person {
    let mut owner = Person::owner(server).await;
    issuer.wants(claims("owner", OWNER, true)).await;
    owner.by(issuer, "/console/account/identities/with/corp").await;
    owner.get("/console/account/identities/link").await;
    owner.post("/console/account/identities/link", &[]).await.leads_to("/console/account");
    owner
}

async fn lives(person: &mut Person) -> bool {
    person.get("/console/account").await.status == 200
}

#[tokio::test]
async fn a_logout_at_the_provider_ends_what_it_proved_here() {
    let (server, acme, issuer) = served(&[]).await;
    let mut by_password = linked(&server, &issuer).await;
    let mut first = by_provider(&server, &issuer, "s-1").await;
    let mut second = by_provider(&server, &issuer, "s-2").await;
    let given = crate::command_line::code_of(&mut first).await;
    let token = crate::command_line::session_of(&server, &given).await;
    server.get("/account", &token).await.expect(200);
    // One session there: here it, and the command line that it signed in.
    let told = issuer.logout_token(json!({ "claims": { "sub": "owner", "sid": "s-1" } })).await;
    let answer = send(&server, &told).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, Some("no-store")), "{}", answer.text);
    assert!(answer.header("tokenward-position").is_some());
    assert_eq!(server.get("/account", &token).await.outcome(), (401, "unknown".to_owned()));
    assert!(!lives(&mut first).await && lives(&mut second).await && lives(&mut by_password).await);
    // All of the subject: what a password proved stays.
    let mut third = by_provider(&server, &issuer, "s-3").await;
    let told = issuer.logout_token(json!({ "claims": { "sub": "owner" } })).await;
    assert_eq!(send(&server, &told).await.status.as_u16(), 200);
    assert!(!lives(&mut second).await && !lives(&mut third).await && lives(&mut by_password).await);
    let events = server.get("/account/events", &acme.owner).await.each("results", "kind");
    assert!(events.iter().filter(|kind| *kind == "session.ended").count() >= 4, "{events:?}");
    // A subject that nobody here has, and a session that has ended: done, as the provider wanted.
    for about in [json!({ "sub": "stranger" }), json!({ "sid": "s-1" })] {
        let told = issuer.logout_token(json!({ "claims": about })).await;
        assert_eq!(send(&server, &told).await.status.as_u16(), 200, "{about}");
    }
}

/// A session that two providers proved ends with either of theirs.
#[tokio::test]
async fn a_session_ends_by_the_word_of_any_provider_that_proved_it() {
    let (corp, other, directory) = (Issuer::start(), Issuer::start(), tempfile::tempdir().unwrap());
    let mut settings = config(directory.path(), &corp.url, &[("EMAIL_DOMAINS", "acme.example")]);
    let second = ProviderSettings { issuer: other.url.clone(), ..settings.oidc["corp"].clone() };
    settings.oidc.insert("other".into(), second);
    let (server, _) = Server::with_owner_and(directory, settings).await;
    linked(&server, &corp).await;
    let mut owner = Person::owner(&server).await;
    other.wants(claims("owner-there", OWNER, true)).await;
    owner.by(&other, "/console/account/identities/with/other").await;
    owner.get("/console/account/identities/link").await;
    owner.post("/console/account/identities/link", &[]).await.leads_to("/console/account");

    for (key, issuer, about) in [
        ("corp", &corp, json!({ "sub": "owner", "sid": "s-1" })),
        ("corp", &corp, json!({ "sid": "s-2" })),
        ("other", &other, json!({ "sid": "t-3" })),
        ("other", &other, json!({ "sub": "owner-there" })),
    ] {
        let n = about.get("sid").and_then(|it| it.as_str()).map_or("4", |sid| &sid[2..]).to_owned();
        let mut person = by_provider(&server, &corp, &format!("s-{n}")).await;
        let mut said = claims("owner-there", OWNER, true);
        said["claims"]["sid"] = json!(format!("t-{n}"));
        other.wants(said).await;
        person.by(&other, "/console/account/prove/other").await.leads_to("/console/account");
        // What it hands over rests on both, too.
        let given = crate::command_line::code_of(&mut person).await;
        let token = crate::command_line::session_of(&server, &given).await;
        let current = server.get("/account/session", &token).await.json();
        let current = current["results"].as_array().unwrap().iter().find(|it| it["current"] == true).unwrap().clone();
        assert_eq!(current["methods"], json!(["oidc:corp", "oidc:other"]));
        // Neither ends it by the name that the other one has for it.
        let (foreign, foreign_key) = if key == "corp" { (&other, "other") } else { (&corp, "corp") };
        if let Some(sid) = about.get("sid") {
            let told = foreign.logout_token(json!({ "claims": { "sid": sid } })).await;
            assert_eq!(send_to(&server, foreign_key, &told).await.status.as_u16(), 200);
            assert!(lives(&mut person).await, "{key}: {about}");
        }
        let told = issuer.logout_token(json!({ "claims": about })).await;
        assert_eq!(send_to(&server, key, &told).await.status.as_u16(), 200, "{about}");
        assert!(!lives(&mut person).await, "{key}: {about}");
        assert_eq!(server.get("/account", &token).await.status, 401, "{key}: {about}");
    }
}

#[tokio::test]
async fn a_logout_token_counts_once() {
    let (server, _, issuer) = served(&[]).await;
    linked(&server, &issuer).await;
    let mut person = by_provider(&server, &issuer, "s-1").await;
    let told = issuer.logout_token(json!({ "claims": { "sub": "owner" } })).await;
    assert_eq!(send(&server, &told).await.status.as_u16(), 200);
    assert!(!lives(&mut person).await);
    let mut again = by_provider(&server, &issuer, "s-2").await;
    let refused = send(&server, &told).await;
    assert_eq!((refused.status.as_u16(), refused.str("error")), (400, "invalid_request".to_owned()));
    assert!(lives(&mut again).await, "a replayed token ends nothing");
    // Nor one that ended nothing the first time.
    let told = issuer.logout_token(json!({ "claims": { "sid": "s-9" } })).await;
    assert_eq!(send(&server, &told).await.status.as_u16(), 200);
    by_provider(&server, &issuer, "s-9").await;
    assert_eq!(send(&server, &told).await.status.as_u16(), 400);
}

#[tokio::test]
async fn what_the_provider_has_not_said_ends_nothing() {
    let (server, _, issuer) = served(&[]).await;
    linked(&server, &issuer).await;
    let mut person = by_provider(&server, &issuer, "s-1").await;
    let about = |further: Value| {
        let mut all = json!({ "sub": "owner" });
        all.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        json!({ "claims": all })
    };
    let with_alg = |alg: &str| json!({ "alg": alg, "header": { "kid": "RS256" }, "claims": { "sub": "owner" } });
    for (wants, why) in [
        (with_alg("HS256"), "signed its token with"),
        (with_alg("none"), "signed its token with"),
        (about(json!({ "aud": "other" })), "for somebody else"),
        (about(json!({ "iss": "https://login.elsewhere.example" })), "another issuer"),
        (about(json!({ "events": {} })), "about no logout"),
        (about(json!({ "nonce": "n" })), "nonce"),
        (about(json!({ "jti": null })), "jti"),
        (about(json!({ "iat": null })), "when it was made"),
        (about(json!({ "iat": 1_700_000_000 })), "expired"),
        (about(json!({ "sub": null })), "who it is about"),
    ] {
        let told = issuer.logout_token(wants.clone()).await;
        let refused = send(&server, &told).await;
        assert_eq!(refused.status.as_u16(), 400, "{wants}: {}", refused.text);
        assert!(refused.text.contains(why), "{wants}: {}", refused.text);
    }
    let told = issuer.logout_token(json!({ "claims": { "sub": "owner" } })).await;
    let (body, _) = told.rsplit_once('.').unwrap();
    assert_eq!(send(&server, &format!("{body}.c2lnbmF0dXJl")).await.status.as_u16(), 400);
    assert_eq!(send_to(&server, "other", &told).await.outcome(), (404, "not_found".to_owned()));
    let long = send(&server, &"a".repeat(20_000)).await;
    assert!(long.status.as_u16() == 400 && long.text.contains("logout_token_bytes"), "{}", long.text);
    assert!(lives(&mut person).await);
    // Whoever goes on with it waits.
    let mut last = 0;
    for _ in 0..20 {
        last = send(&server, "a.b.c").await.status.as_u16();
    }
    assert_eq!(last, 429);
}
