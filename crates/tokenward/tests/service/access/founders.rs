//! Who may make organizations.

use serde_json::json;
use tokenward_core::right::Operator;
use tokenward_server::service::founders::Founders;
use tokenward_server::service::set_up::{Founding, found_further};

use crate::support::{OWNER, Server, config};

async fn with(founders: Founders) -> (Server, crate::support::Organization) {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.organizations = founders;
    Server::with_owner_and(directory, config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setting_says_who_makes_organizations() {
    assert_eq!(Founders::default(), Founders::Admins);
    for (founders, owner, admin, devops) in
        [(Founders::Operators, 403, 403, 403), (Founders::Admins, 201, 201, 403), (Founders::Anyone, 201, 201, 201)]
    {
        let (server, acme) = with(founders).await;
        let (_, of_admin) = server.member(&acme, "admin@acme.example", "admin").await;
        let (_, of_devops) = server.member(&acme, "devops@acme.example", "devops").await;
        for (name, session, status) in
            [("One", &acme.owner, owner), ("Two", &of_admin, admin), ("Three", &of_devops, devops)]
        {
            let answer = server.post("/organization", session, json!({ "name": name })).await;
            assert_eq!(answer.status.as_u16(), status, "{founders:?} {name}: {}", answer.text);
            if status == 403 {
                assert_eq!(answer.outcome().1, "founding_refused");
                assert!(answer.text.contains("tokenward new-organization"), "{}", answer.text);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_led_an_organization_that_is_gone_makes_no_other() {
    let (server, acme) = with(Founders::Admins).await;
    server.delete(&format!("/organization/{}", acme.id), &acme.owner).await.expect(204);
    let refused = server.post("/organization", &acme.owner, json!({ "name": "Again" })).await;
    assert_eq!(refused.outcome(), (403, "founding_refused".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_makes_further_organizations_for_people_old_and_new() {
    let (server, acme) = with(Founders::Operators).await;
    let store = &server.running.app.store;
    let further = async |organization: &str, email: &str| {
        let founding =
            Founding { organization: organization.into(), owner_email: email.into(), owner_name: String::new() };
        found_further(store, &Operator::at_this_machine(), founding).await
    };
    let known = further("Second", OWNER).await.unwrap();
    assert!(known.link.is_none());
    let new = further("Third", "new@acme.example").await.unwrap();
    assert!(new.link.is_some());
    // Whoever made this account would own the organization, and nobody knows who that was.
    server.member(&acme, "passed@acme.example", "viewer").await;
    let refused = further("Fourth", "passed@acme.example").await.map(|_| ()).unwrap_err();
    assert!(refused.detail.contains("tokenward sign-in-link passed@acme.example"), "{refused}");
    assert!(further("Second", "else@acme.example").await.is_err(), "the name is taken");
    let server = server.restart().await;
    let owner = server.sign_in(OWNER, crate::support::PASSWORD).await;
    assert_eq!(server.get("/organization", &owner).await.each("results", "name"), ["Acme", "Second"]);
}
