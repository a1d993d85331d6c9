//! The pages of `docs/sign-in`: each block of settings is one that the server reads, and the claims that such a provider documents
//! give the role which the page promises. npm's `oidc-provider` sends them, since none of the eight can be had here.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenward_server::config::{Config, Flags};
use tokenward_server::issuer::settings::ProviderSettings;

use super::provider::signed_in_there;
use super::rules::members;
use super::{Issuer, config};
use crate::console::Person;
use crate::support::Server;

/// Where people of the tests find the server.
const PUBLIC: &str = "http://localhost:8080";
const PAGES: [&str; 8] = ["authelia", "authentik", "entra", "github", "google", "keycloak", "okta", "zitadel"];

fn beside(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The blocks of a page that are in this language.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let all = page.split("```").skip(1).step_by(2);
    all.filter_map(|it| it.strip_prefix(language)?.strip_prefix('\n')).collect()
}

/// What the server makes of a block of settings.
fn settings(block: &str) -> Config {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokenward.toml");
    std::fs::write(&file, block).unwrap();
    Config::load(Some(&file), &[], &Flags::default()).unwrap_or_else(|error| panic!("{block}\n{error}"))
}

/// The rules that a page writes: provider, value, role.
fn rules(page: &str) -> Vec<(&str, &str, &str)> {
    let lines = blocks(page, "sh").into_iter().flat_map(str::lines);
    let set = lines.filter_map(|line| line.strip_prefix("tokenward org rules set "));
    let quoted = set.flat_map(|line| line.split('"').skip(1).step_by(2));
    quoted
        .map(|rule| {
            let (provider, rest) = rule.split_once(':').unwrap();
            let (value, role) = rest.rsplit_once('=').unwrap();
            (provider, value, role)
        })
        .collect()
}

#[test]
fn the_server_reads_the_settings_of_every_page() {
    let mut pages: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(beside("docs/sign-in")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        for block in blocks(&read(&path), "toml") {
            let read = settings(block);
            assert!(!read.oidc.is_empty(), "{name}: {block}");
            pages.push(name.clone());
        }
    }
    for name in PAGES {
        assert!(pages.iter().any(|it| it == name), "no settings on the page of {name}");
    }
}

#[tokio::test]
async fn what_each_provider_documents_gives_the_role_that_its_page_promises() {
    for name in PAGES {
        let page = read(&beside(&format!("docs/sign-in/{name}.md")));
        let [block] = blocks(&page, "toml")[..] else { panic!("{name}: one block of settings") };
        let (key, found) = settings(block).oidc.into_iter().next().unwrap();
        let promised = rules(&page);
        let (provider, value, role) = promised[0];
        assert_eq!(provider, key, "{name}");

        let said = beside(&format!("tests/clients/claims/{name}.json"));
        let claims = serde_json::from_str::<Value>(&read(&said)).unwrap()["claims"].clone();
        let redirect = format!("{PUBLIC}/sign-in/with/{key}/callback");
        let issuer = Issuer::run("provider.mjs", &[&redirect, said.to_str().unwrap()]);
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path(), &issuer.url, &[]);
        let ours = config.oidc.remove("corp").unwrap();
        let ProviderSettings { issuer: url, client_id, client_secret, .. } = ours;
        config.oidc.insert(key.clone(), ProviderSettings { issuer: url, client_id, client_secret, ..found });
        config.public_url = Some(PUBLIC.to_owned());
        let (server, acme) = Server::with_owner_and(directory, config).await;
        let mut all = Vec::new();
        for (_, value, role) in &promised {
            let role_id = server.role(&acme, role).await;
            all.push(serde_json::json!({ "provider": key, "value": value, "role_id": role_id }));
        }
        let body = serde_json::json!({ "rules": all });
        server.put(&acme.path("signInRules"), &acme.owner, body).await.expect(200);

        let mut ada = Person::at(&server);
        let question = ada.get(&format!("/sign-in/with/{key}")).await;
        assert_eq!(question.status, 303, "{name}: {}", question.html);
        let subject = claims["sub"].as_str().unwrap();
        let back = signed_in_there(&issuer, question.location(), subject).await;
        let came = ada.get(back.strip_prefix(PUBLIC).unwrap()).await;
        assert_eq!((came.status.as_u16(), came.location()), (303, "/"), "{name}: {}", came.html);
        let email = claims["email"].as_str().unwrap();
        assert_eq!(members(&server, &acme).await, [format!("{email} {role} {key}:{value}")], "{name}");
        let account = ada.get("/console/account").await.says(200, email);
        assert!(!account.html.contains("Nobody has proved"), "{name}: the address counts as proven");
    }
}
