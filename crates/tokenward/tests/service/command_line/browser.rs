//! On the same machine: a code comes back to the command line.

use serde_json::json;
use tokenward_core::time::{HOUR, MINUTE, SECOND};

use super::{VERIFIER, address, code, form, redeem, refusal};
use crate::console::Person;
use crate::held_back::Held;
use crate::oidc::{claims, served};
use crate::support::{PASSWORD, Server, config};

#[tokio::test]
async fn a_code_of_the_browser_makes_one_session_with_its_proof() {
    let (server, acme) = Server::frozen().await;
    let mut owner = Person::owner(&server).await;
    let given = code(&mut owner, &[("hours", "4")]).await;
    // Whoever saw it, and is not the command line that asked.
    assert_eq!(
        refusal(&redeem(&server, &given, "another-verifier-of-forty-three-characters-12").await),
        "invalid_grant"
    );
    let session = redeem(&server, &given, VERIFIER).await;
    assert_eq!(session.header("cache-control"), Some("no-store"));
    let (token, session) = (session.str("access_token"), session.expect(200));
    assert_eq!((&session["token_type"], &session["expires_in"]), (&json!("Bearer"), &json!(4 * 3600)));
    let own = server.get("/account/session", &token).await.expect(200);
    let current = own["results"].as_array().unwrap().iter().find(|it| it["current"] == true).unwrap().clone();
    assert_eq!((&current["methods"], &current["console"]), (&json!(["password"]), &json!(false)));
    assert_eq!(current["proven_at"], crate::support::NOW);
    server.get(&acme.path(""), &token).await.expect(200);
    // Once.
    assert_eq!(refusal(&redeem(&server, &given, VERIFIER).await), "invalid_grant");
}

#[tokio::test]
async fn a_code_ends_with_its_minute_and_with_the_session_that_gave_it() {
    let (server, _) = Server::frozen().await;
    let mut owner = Person::owner(&server).await;
    let late = code(&mut owner, &[]).await;
    server.clock.advance(MINUTE);
    assert_eq!(refusal(&redeem(&server, &late, VERIFIER).await), "invalid_grant");
    let given = code(&mut owner, &[]).await;
    owner.get("/console/account").await;
    owner.post("/sign-out", &[]).await;
    assert_eq!(refusal(&redeem(&server, &given, VERIFIER).await), "invalid_grant");
    // Made up, and cut.
    for wrong in ["x", &given[..given.len() - 2]] {
        assert_eq!(refusal(&redeem(&server, wrong, VERIFIER).await), "invalid_grant");
    }
    let answer = form(&server, "/token", &[("grant_type", "password")]).await;
    assert_eq!(refusal(&answer), "unsupported_grant_type");
    assert_eq!(refusal(&form(&server, "/token", &[("grant_type", "authorization_code")]).await), "invalid_request");
}

#[tokio::test]
async fn a_code_whose_session_ended_while_it_came_makes_no_session() {
    let (server, _) = Server::frozen().await;
    let mut owner = Person::owner(&server).await;
    let given = code(&mut owner, &[]).await;
    let sent = [("grant_type", "authorization_code"), ("code", given.as_str()), ("code_verifier", VERIFIER)];
    let sent = form_urlencoded::Serializer::new(String::new()).extend_pairs(sent).finish();
    let media = "Content-Type: application/x-www-form-urlencoded\r\n";
    let held = Held::begin(&server, "POST", "/token", "", media, &sent).await;
    owner.get("/console/account").await;
    owner.post("/sign-out", &[]).await.leads_to("/sign-in?notice=out");
    let (status, said) = held.finish().await;
    assert!(status == 400 && said.contains("invalid_grant"), "{status} {said}");
}

#[tokio::test]
async fn a_session_of_a_command_line_never_outlasts_that_of_the_browser() {
    let directory = tempfile::tempdir().unwrap();
    let config = tokenward_server::config::Config { session_lifetime: 12 * HOUR, ..config(directory.path()) };
    let (server, _) = Server::with_owner_and(directory, config).await;
    let mut owner = Person::owner(&server).await;
    server.clock.advance(9 * HOUR);
    // It asks who sits there, after so long.
    let form = super::asked();
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    owner.get(&address()).await.says(200, "Your password");
    owner.post("/console/command-line", &form).await.says(401, "type your password again");
    let before = owner.cookies["__Host-tokenward"].clone();
    let given = code(&mut owner, &[("hours", "12"), ("password", PASSWORD)]).await;
    // The proof gave the browser another text; whoever has got hold of the one until then is out.
    assert_ne!(owner.cookies["__Host-tokenward"], before);
    owner.get("/console/account").await.says(200, "this one");
    let mut thief = Person::at(&server);
    thief.cookies.insert("__Host-tokenward".into(), before);
    thief.get("/console/account").await.leads_to("/sign-in?next=%2Fconsole%2Faccount");
    let session = redeem(&server, &given, VERIFIER).await.expect(200);
    let left = session["expires_in"].as_i64().unwrap();
    assert!((3 * 3600 - 60..=3 * 3600).contains(&left), "{left}");
}

#[tokio::test]
async fn the_page_takes_no_other_address_than_one_of_this_machine() {
    let (server, _) = Server::with_owner().await;
    let mut owner = Person::owner(&server).await;
    let page = owner.get(&address()).await.says(200, "laptop&#60;1&#62;");
    assert!(page.html.contains("http://127.0.0.1:41234/?error=access_denied&#38;state=a-state"), "{}", page.html);
    let long = "h".repeat(65);
    for (name, wrong) in [
        ("port", "80"),
        ("port", "41234@evil.example"),
        ("port", ""),
        ("state", "a b"),
        ("challenge", "short"),
        ("host", long.as_str()),
    ] {
        let all =
            super::asked().into_iter().map(|(key, value)| (key, if key == name { wrong.to_owned() } else { value }));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish();
        owner.get(&format!("/console/command-line?{query}")).await.says(400, name);
    }
    owner.get(&format!("{}&redirect_uri=https://evil.example", address())).await.says(400, "redirect_uri");
    // Whoever is not signed in comes back to it.
    let page = Person::at(&server).get(&address()).await;
    assert!(page.location().starts_with("/sign-in?next=%2Fconsole%2Fcommand-line%3Fport"), "{}", page.location());
}

#[tokio::test]
async fn where_providers_alone_are_let_a_command_line_signs_in_by_one() {
    let (server, _, issuer) = served(&[]).await;
    let mut owner = Person::owner(&server).await;
    issuer.wants(claims("owner", crate::support::OWNER, true)).await;
    owner.by(&issuer, "/console/account/identities/with/corp").await;
    owner.get("/console/account/identities/link").await;
    owner.post("/console/account/identities/link", &[]).await.leads_to("/console/account");
    let Server { running, directory, .. } = server;
    running.stop().await.unwrap();
    let mut config = crate::oidc::config(directory.path(), &issuer.url, &[("EMAIL_DOMAINS", "acme.example")]);
    config.sign_in = tokenward_server::service::sign_in_methods::SignIn::Providers;
    let server = Server::start_with(directory, config).await;
    let mut owner = Person::at(&server);
    let mut with_session = claims("owner", crate::support::OWNER, true);
    with_session["claims"]["sid"] = json!("there-1");
    issuer.wants(with_session).await;
    owner.by(&issuer, "/sign-in/with/corp").await.leads_to("/");
    let given = code(&mut owner, &[]).await;
    let token = redeem(&server, &given, VERIFIER).await.str("access_token");
    let own = server.get("/account/session", &token).await.expect(200);
    let current = own["results"].as_array().unwrap().iter().find(|it| it["current"] == true).unwrap();
    assert_eq!(current["methods"], json!(["oidc:corp"]));
    // After a while the page asks for the provider, and comes back to itself.
    server.clock.advance(6 * MINUTE + SECOND);
    let page = owner.get(&address()).await.says(200, "Prove first who sits here");
    let prove = page.html.split("href=\"").find(|it| it.starts_with("/console/account/prove/corp?next=")).unwrap();
    let prove = prove.split('"').next().unwrap().to_owned();
    issuer.wants(json!({ "clock": 361, "claims": { "sub": "owner", "email": crate::support::OWNER } })).await;
    let before = owner.cookies["__Host-tokenward"].clone();
    owner.by(&issuer, &prove).await.leads_to(&address());
    assert_ne!(owner.cookies["__Host-tokenward"], before, "a proof at the provider makes another text too");
    code(&mut owner, &[]).await;
}
