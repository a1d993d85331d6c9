//! `tokenward identity` and `tokenward oidc test`: what whoever runs the server sees and changes of identities and providers.

use std::fs;

use serde_json::Value;

use super::{Issuer, claims, config};
use crate::console::Person;
use crate::process::{run, run_with, text};
use crate::support::{OWNER, Server};

const OLD: &str = "https://login.acme.example/realms/old";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identities_are_listed_linked_moved_and_removed_on_the_server() {
    let (issuer, directory) = (Issuer::start(), tempfile::tempdir().unwrap());
    let with = config(directory.path(), &issuer.url, &[("EMAIL_DOMAINS", "acme.example")]);
    let (server, acme) = Server::with_owner_and(directory, with.clone()).await;
    server.member(&acme, "ada@acme.example", "viewer").await;
    let directory = server.stop().await;
    let data = directory.path().to_owned();
    let at = |line: &[&str]| run(&[&["identity"], line, &["--data-dir", text(&data)]].concat());
    let said = at(&["link", "nobody@acme.example", "--issuer", OLD, "--subject", "ada"]);
    assert!(said.code != Some(0) && said.err.contains("nobody has the address"), "{said:?}");
    let said = at(&["link", "ada@acme.example", "--issuer", OLD, "--subject", "ada"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    // A table, all of it or nothing; a look changes nothing.
    let table = data.join("identities.csv");
    fs::write(&table, format!("email,issuer,subject\n{OWNER},{OLD},owner\nnobody@acme.example,{OLD},n\n")).unwrap();
    let said = at(&["import", text(&table)]);
    assert!(said.code != Some(0) && said.err.contains("line 3"), "{said:?}");
    fs::write(&table, format!("email,issuer,subject\n{OWNER},{OLD},owner\nada@acme.example,{OLD},ada\n")).unwrap();
    let said = at(&["import", text(&table), "--dry-run"]);
    assert!(said.err.contains("1 would be linked; 1 were there already"), "{said:?}");
    assert_eq!(at(&["export"]).out.lines().count(), 2, "the names and ada");
    assert!(at(&["import", text(&table)]).err.contains("1 linked; 1 were there already"));
    // The provider has another address.
    let move_on = ["move", "--from", OLD, "--to", issuer.url.as_str()];
    let said = at(&[&move_on[..], &["--dry-run"]].concat());
    assert!(said.code == Some(0) && said.err.contains("2 would be moved; 0 of other issuers stay"), "{said:?}");
    assert!(at(&["export"]).out.contains(OLD));
    assert!(at(&move_on).err.contains("2 moved"));
    assert!(!at(&["export"]).out.contains(OLD));
    let listed = at(&["list", "ada@acme.example", "--json"]);
    let listed: Value = serde_json::from_str(&listed.out).unwrap_or_else(|_| panic!("{listed:?}"));
    let listed = listed["results"].as_array().unwrap();
    assert_eq!((listed.len(), &listed[0]["subject"]), (1, &Value::from("ada")));
    assert_eq!(listed[0]["issuer"], issuer.url);
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(at(&["remove", id]).code, Some(0));
    assert!(at(&["remove", id]).err.contains("there is no identity"));

    // What is left opens its account, and what was removed opens none.
    let server = Server::start_with(directory, with).await;
    issuer.wants(claims("owner", OWNER, true)).await;
    Person::at(&server).by(&issuer, "/sign-in/with/corp").await.leads_to("/");
    issuer.wants(claims("ada", "a@elsewhere.example", false)).await;
    Person::at(&server).by(&issuer, "/sign-in/with/corp").await.leads_to("/sign-in/identity");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_is_tried_on_the_server_without_a_person() {
    let issuer = Issuer::start();
    let data = tempfile::tempdir().unwrap();
    let settings = [
        ("TOKENWARD_OIDC_CORP_ISSUER", issuer.url.as_str()),
        ("TOKENWARD_OIDC_CORP_CLIENT_ID", "tokenward"),
        ("TOKENWARD_OIDC_CORP_CLIENT_SECRET", "a secret"),
    ];
    let at = |key: &str| run_with(&["oidc", "test", key, "--data-dir", text(data.path())], &settings);
    let said = at("corp");
    assert_eq!(said.code, Some(0), "{said:?}");
    for part in [
        format!("{}/authorize", issuer.url).as_str(),
        "RS256",
        "Clock",
        "/sign-in/with/corp/callback",
        "/oidc/corp/logout",
    ] {
        assert!(said.out.contains(part), "no {part} in {said:?}");
    }
    let said = at("other");
    assert!(said.code != Some(0) && said.err.contains("there are corp"), "{said:?}");
    issuer.wants(serde_json::json!({ "discovery": { "issuer": "https://login.elsewhere.example" } })).await;
    let said = at("corp");
    assert!(said.code != Some(0) && said.err.contains("calls itself"), "{said:?}");
}
