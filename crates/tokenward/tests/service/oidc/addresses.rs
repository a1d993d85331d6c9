//! One address in many forms: in capitals and small letters, with a domain in the letters of its language and in those of programs.

use serde_json::json;

use super::{Issuer, claims, config};
use crate::console::Person;
use crate::support::Server;

const WITH: &str = "/sign-in/with/corp";
const IDENTITY: &str = "/sign-in/identity";

#[tokio::test]
async fn an_invited_address_is_found_in_whichever_form_the_provider_says_it() {
    let (issuer, directory) = (Issuer::start(), tempfile::tempdir().unwrap());
    let config = config(directory.path(), &issuer.url, &[("EMAIL_DOMAINS", "bücher.example")]);
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let body = json!({ "email": "ada@bücher.example", "role_id": server.role(&acme, "viewer").await });
    server.post(&acme.path("inviteMember"), &acme.owner, body).await.expect(201);
    for said in ["ada@bücher.example", "ADA@BÜCHER.example", "ada@xn--bcher-kva.example", "Ada@XN--BCHER-KVA.Example"]
    {
        issuer.wants(claims("ada", said, true)).await;
        let mut ada = Person::at(&server);
        ada.by(&issuer, WITH).await.leads_to(IDENTITY);
        ada.get(IDENTITY).await.says(200, "invites you to <b>Acme</b>");
    }
    for said in ["ada@bucher.example", "ada@bücher.example.evil.example"] {
        issuer.wants(claims("ada", said, true)).await;
        let mut ada = Person::at(&server);
        ada.by(&issuer, WITH).await.leads_to(IDENTITY);
        ada.get(IDENTITY).await.says(200, "You have no account here");
    }
    // Taken in one form, it is an account's in every other.
    issuer.wants(claims("ada", "ada@XN--BCHER-KVA.example", true)).await;
    let mut ada = Person::at(&server);
    ada.by(&issuer, WITH).await.leads_to(IDENTITY);
    let page = ada.get(IDENTITY).await;
    let id = page.html.split("name=\"invitation\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    ada.post(IDENTITY, &[("invitation", &id)]).await.leads_to(&format!("/console/{}", acme.id));
    for said in ["ada@bücher.example", "ADA@xn--bcher-kva.EXAMPLE"] {
        issuer.wants(claims("another", said, true)).await;
        let mut other = Person::at(&server);
        other.by(&issuer, WITH).await.leads_to(IDENTITY);
        other.get(IDENTITY).await.says(200, "Sign in once as you do now");
    }
}
