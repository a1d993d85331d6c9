//! Two providers of one server: neither answers for the other.

use serde_json::json;
use tokenward_server::issuer::settings::ProviderSettings;

use super::{Issuer, claims, config};
use crate::console::Person;
use crate::support::{OWNER, Server};

const LINK: &str = "/console/account/identities/link";

/// Where the answer of a provider is brought instead.
fn at_the_other(back: &str) -> String {
    let other = back.replacen("/sign-in/with/corp/", "/sign-in/with/other/", 1);
    assert_ne!(other, back);
    other
}

/// One of the parameters of an address.
fn parameter(address: &str, name: &str) -> String {
    let query = address.split_once('?').unwrap().1;
    let found = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
    found.unwrap_or_else(|| panic!("{address}")).1.into_owned()
}

#[tokio::test]
async fn an_answer_of_one_provider_counts_at_no_other() {
    let (corp, other, directory) = (Issuer::start(), Issuer::start(), tempfile::tempdir().unwrap());
    let mut settings = config(directory.path(), &corp.url, &[("EMAIL_DOMAINS", "acme.example")]);
    let second = ProviderSettings { issuer: other.url.clone(), ..settings.oidc["corp"].clone() };
    settings.oidc.insert("other".into(), second);
    let (server, _) = Server::with_owner_and(directory, settings).await;
    for (issuer, key) in [(&corp, "corp"), (&other, "other")] {
        issuer.wants(claims("owner", OWNER, true)).await;
        let mut owner = Person::owner(&server).await;
        owner.by(issuer, &format!("/console/account/identities/with/{key}")).await.leads_to(LINK);
        owner.get(LINK).await;
        owner.post(LINK, &[]).await.leads_to("/console/account");
    }
    let asked = [corp.seen("tokens").await, other.seen("tokens").await];
    let out = |person: &Person| !person.cookies.contains_key("__Host-tokenward");

    // What one of them answers, at the address of return of the other.
    let mut person = Person::at(&server);
    let question = person.get("/sign-in/with/corp").await;
    let back = corp.answer(question.location()).await;
    person.get(&at_the_other(&back)).await.says(401, "not begun in this browser");
    assert!(out(&person));

    // A sign-in at one of them, answered by the other with a code of its own: by its name, and without one.
    let theirs = other.answer(person.get("/sign-in/with/other").await.location()).await;
    let (code, iss) = (parameter(&theirs, "code"), parameter(&theirs, "iss"));
    assert_eq!(iss, other.url);
    for (iss, why) in [(Some(&other.url), "another one did"), (None, "promises to name itself")] {
        let mut person = Person::at(&server);
        let question = person.get("/sign-in/with/corp").await;
        let state = parameter(question.location(), "state");
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("code", &code).append_pair("state", &state);
        if let Some(iss) = iss {
            query.append_pair("iss", iss);
        }
        person.get(&format!("/sign-in/with/corp/callback?{}", query.finish())).await.says(401, why);
        assert!(out(&person));
    }
    assert_eq!([corp.seen("tokens").await, other.seen("tokens").await], asked, "neither was shown a code of the other");

    // One that promises no such name: the code of the other one is unknown there.
    corp.wants(json!({ "discovery": { "authorization_response_iss_parameter_supported": false } })).await;
    server.advance(2 * tokenward_core::time::HOUR).await;
    let mut person = Person::at(&server);
    let question = person.get("/sign-in/with/corp").await;
    let state = parameter(question.location(), "state");
    let path = format!("/sign-in/with/corp/callback?code={code}&state={state}");
    person.get(&path).await.says(401, "did not take the code");
    assert!(out(&person));
}
