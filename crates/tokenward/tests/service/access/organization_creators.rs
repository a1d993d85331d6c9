//! Who may make organizations.

use serde_json::json;
use tokenward_core::right::Operator;
use tokenward_server::service::organization_creators::OrganizationCreators;
use tokenward_server::service::set_up::{FirstOrganization, create_further};

use crate::support::{OWNER, Server, config};

async fn with(organization_creators: OrganizationCreators) -> (Server, crate::support::Organization) {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.organizations = organization_creators;
    Server::with_owner_and(directory, config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setting_says_who_makes_organizations() {
    assert_eq!(OrganizationCreators::default(), OrganizationCreators::Admins);
    for (organization_creators, owner, admin, devops) in [
        (OrganizationCreators::Operators, 403, 403, 403),
        (OrganizationCreators::Admins, 201, 201, 403),
        (OrganizationCreators::Anyone, 201, 201, 201),
    ] {
        let (server, acme) = with(organization_creators).await;
        let (_, of_admin) = server.member(&acme, "admin@acme.example", "admin").await;
        let (_, of_devops) = server.member(&acme, "devops@acme.example", "devops").await;
        for (name, session, status) in
            [("One", &acme.owner, owner), ("Two", &of_admin, admin), ("Three", &of_devops, devops)]
        {
            let answer = server.post("/organization", session, json!({ "name": name })).await;
            assert_eq!(answer.status.as_u16(), status, "{organization_creators:?} {name}: {}", answer.text);
            if status == 403 {
                assert_eq!(answer.outcome().1, "organization_creation_denied");
                assert!(answer.text.contains("tokenward new-organization"), "{}", answer.text);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_led_an_organization_that_is_gone_makes_no_other() {
    let (server, acme) = with(OrganizationCreators::Admins).await;
    server.delete(&format!("/organization/{}", acme.id), &acme.owner).await.expect(204);
    let refused = server.post("/organization", &acme.owner, json!({ "name": "Again" })).await;
    assert_eq!(refused.outcome(), (403, "organization_creation_denied".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_makes_further_organizations_for_people_old_and_new() {
    let (server, acme) = with(OrganizationCreators::Operators).await;
    let store = &server.running.app.store;
    let further = async |organization: &str, email: &str| {
        let first = FirstOrganization {
            organization: organization.into(),
            owner_email: email.into(),
            owner_name: String::new(),
        };
        create_further(store, &Operator::at_this_machine(), first).await
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
