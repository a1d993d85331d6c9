//! What people see of a provider before they go there, and what whoever registers this server at it enters.

use super::{Issuer, config};
use crate::console::Person;
use crate::support::Server;

const SVG: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\"/>";
const SHOWN: &str = "src=\"data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=\"";

#[tokio::test]
async fn a_button_has_the_picture_of_its_provider_and_a_page_its_address_of_return() {
    let (issuer, directory) = (Issuer::start(), tempfile::tempdir().unwrap());
    let files = tempfile::tempdir().unwrap();
    let icon = files.path().join("corp.svg");
    std::fs::write(&icon, SVG).unwrap();
    let with = config(directory.path(), &issuer.url, &[("ICON", icon.to_str().unwrap())]);
    let (server, acme) = Server::with_owner_and(directory, with).await;
    Person::at(&server).get("/sign-in").await.says(200, "Sign in with Corp Login").says(200, SHOWN);
    let mut owner = Person::owner(&server).await;
    owner.get("/console/account").await.says(200, SHOWN);
    let back = format!(">{}/sign-in/with/corp/callback<", server.url);
    owner.get(&format!("/console/{}/settings/sign-in", acme.id)).await.says(200, &back);
}

#[test]
fn what_is_no_picture_or_too_large_is_refused_by_its_setting() {
    let directory = tempfile::tempdir().unwrap();
    let icon = directory.path().join("icon");
    let mut settings = config(directory.path(), "https://login.acme.example", &[]).oidc.remove("corp").unwrap();
    settings.icon = icon.to_str().unwrap().to_owned();
    let large = format!("{SVG}{}", " ".repeat(32 * 1024));
    for (held, why) in [("GIF89a", "is no PNG, WebP or SVG"), (large.as_str(), "more than 32 KiB"), (SVG, "")] {
        std::fs::write(&icon, held).unwrap();
        let faults = settings.faults();
        let told: Vec<&str> = faults.iter().map(|(_, problem)| problem.as_str()).collect();
        assert_eq!(faults.len(), usize::from(!why.is_empty()), "{told:?}");
        assert!(faults.iter().all(|(setting, problem)| *setting == "icon" && problem.contains(why)), "{told:?}");
    }
}
