//! The address of an account follows its provider where that proves it; and who hears that the operator's link was used.

use serde_json::json;
use tokenward_core::right::Operator;
use tokenward_server::service::set_up;
use tokenward_server::service::sign_in_methods::SignIn;

use super::{Issuer, claims, config, served};
use crate::console::Person;
use crate::mailbox::Mailbox;
use crate::second_factor::set_up;
use crate::support::{OWNER, Organization, PASSWORD, Server};

const WITH: &str = "/sign-in/with/corp";

/// Ada, who has taken an invitation by the provider.
async fn joined(server: &Server, acme: &Organization, issuer: &Issuer) {
    let body = json!({ "email": "ada@acme.example", "role_id": server.role(acme, "viewer").await });
    let link = server.post(&acme.path("inviteMember"), &acme.owner, body).await.str("invitation_link");
    issuer.wants(claims("ada", "ada@acme.example", true)).await;
    let path = format!("{}/with/corp", &link[link.find("/invitation/").unwrap()..]);
    Person::at(server).by(issuer, &path).await.leads_to(&format!("/console/{}", acme.id));
}

/// The addresses of all members but the owner.
async fn others(server: &Server, acme: &Organization) -> Vec<String> {
    let all = server.get(&acme.path("member"), &acme.owner).await.each("results", "email");
    all.into_iter().filter(|email| email != OWNER).collect()
}

#[tokio::test]
async fn a_proven_address_that_is_free_follows_the_provider_and_another_is_only_shown() {
    let (server, acme, issuer) = served(&[]).await;
    joined(&server, &acme, &issuer).await;
    server.member(&acme, "bob@acme.example", "viewer").await;
    for (said, verified, follows) in [
        // Not proven, of a domain that is not the provider's, and somebody else's.
        ("ada.b@acme.example", false, "ada@acme.example"),
        ("ada@acme.example", true, "ada@acme.example"),
        ("ada@elsewhere.example", true, "ada@acme.example"),
        ("ada@acme.example", true, "ada@acme.example"),
        ("bob@acme.example", true, "ada@acme.example"),
        ("ada@acme.example", true, "ada@acme.example"),
        ("ada.b@acme.example", true, "ada.b@acme.example"),
    ] {
        issuer.wants(claims("ada", said, verified)).await;
        let mut ada = Person::at(&server);
        ada.by(&issuer, WITH).await.leads_to("/");
        let mut all = others(&server, &acme).await;
        all.retain(|email| email != "bob@acme.example");
        assert_eq!(all, [follows], "{said} {verified}");
        ada.get("/console/account").await.says(200, said);
    }
    // What its person chose by hand is not the provider's to change.
    issuer.wants(claims("owner", "owner.b@acme.example", true)).await;
    let mut owner = Person::owner(&server).await;
    let link = "/console/account/identities/link";
    owner.by(&issuer, "/console/account/identities/with/corp").await.leads_to(link);
    owner.get(link).await;
    owner.post(link, &[]).await.leads_to("/console/account");
    issuer.wants(claims("owner", "owner.c@acme.example", true)).await;
    Person::at(&server).by(&issuer, WITH).await.leads_to("/");
    let all = server.get(&acme.path("member"), &acme.owner).await.each("results", "email");
    assert!(all.iter().any(|email| email == OWNER), "{all:?}");
}

#[tokio::test]
async fn the_admins_hear_of_the_operators_link_where_providers_alone_are_let() {
    let (mailbox, address) = Mailbox::open().await;
    let (issuer, directory) = (Issuer::start(), tempfile::tempdir().unwrap());
    let mut config = config(directory.path(), &issuer.url, &[("EMAIL_DOMAINS", "acme.example")]);
    config.smtp_url = Some(format!("smtp://{address}"));
    let (server, acme) = Server::with_owner_and(directory, config.clone()).await;
    server.member(&acme, "ada@acme.example", "viewer").await;
    let taken = async |server: &Server, form: &[(&str, &str)]| {
        let store = &server.running.app.store;
        let link =
            set_up::sign_in_link(store, &Operator::at_this_machine(), "ada@acme.example").await.unwrap().unwrap();
        let path = format!("/sign-in/{}", *link.secret);
        let mut person = Person::at(server);
        person.get(&path).await.says(200, "ada@acme.example");
        person.post(&path, form).await.leads_to("/");
        person
    };
    // Where passwords count it is a way to another one, as any.
    taken(&server, &[("password", PASSWORD)]).await;
    let directory = server.stop().await;
    config.sign_in = SignIn::Providers;
    let server = Server::start_with(directory, config).await;
    let mut ada = taken(&server, &[]).await;
    ada.get("/console/account").await.says(200, "You came in by the operator's sign-in link, until");
    let mail = mailbox.mail_with("A sign-in link was used").await;
    assert!(mail.contains(&format!("To: {OWNER}")) && mail.contains("ada"), "{mail}");
    assert_eq!(mailbox.count("A sign-in link was used"), 1);
}

#[tokio::test]
async fn no_provider_carries_away_an_address_that_nobody_proved_or_by_one_factor_that_of_an_account_with_two() {
    let (server, acme, issuer) = served(&[]).await;
    let links = async |person: &mut Person, subject: &str, email: &str| {
        issuer.wants(claims(subject, email, false)).await;
        let link = "/console/account/identities/link";
        person.by(&issuer, "/console/account/identities/with/corp").await.leads_to(link);
        person.get(link).await;
        person.post(link, &[]).await.leads_to("/console/account");
    };
    // By a link that was passed on: whose the address is nobody knows.
    server.member(&acme, "ada@acme.example", "viewer").await;
    let mut ada = Person::at(&server);
    ada.sign_in("ada@acme.example", PASSWORD).await.leads_to("/");
    links(&mut ada, "ada", "ada@acme.example").await;
    issuer.wants(claims("ada", "ada.b@acme.example", true)).await;
    Person::at(&server).by(&issuer, WITH).await.leads_to("/");
    assert_eq!(others(&server, &acme).await, ["ada@acme.example"]);

    let mut owner = Person::owner(&server).await;
    links(&mut owner, "owner", OWNER).await;
    let (_, _, session) = set_up(&server, &acme.owner).await;
    let mut said = claims("owner", "owner.b@acme.example", true);
    issuer.wants(said.clone()).await;
    Person::at(&server).by(&issuer, WITH).await.leads_to("/sign-in/code");
    let addresses = async || server.get(&acme.path("member"), &session).await.each("results", "email");
    assert!(addresses().await.iter().any(|email| email == OWNER));
    // It is shown from then on, and does not follow later either: the account has not the one that the identity had.
    let mut said_again = claims("owner", OWNER, true);
    issuer.wants(said_again.clone()).await;
    Person::at(&server).by(&issuer, WITH).await.leads_to("/sign-in/code");
    // Where the provider says that it asked two, it does.
    for it in [&mut said, &mut said_again] {
        it["claims"]["amr"] = json!(["mfa"]);
    }
    issuer.wants(said).await;
    Person::at(&server).by(&issuer, WITH).await.leads_to("/");
    assert!(addresses().await.iter().any(|email| email == "owner.b@acme.example"));
}
