//! Whose rules count: an organization that somebody has made may not pull in the people of a provider of the whole server.

use serde_json::json;

use super::rules::{in_groups, members, ruled, signed_in};
use super::{config, served};
use crate::console::Person;
use crate::support::{OWNER, Organization, Server};

/// Who made it, of whom no provider knows.
const BETAS_OWNER: &str = "owner@beta.example owner";
const GROUPS: (&str, &str) = ("GROUPS_CLAIM", "groups");

#[tokio::test]
async fn where_nothing_is_said_only_the_operators_organization_writes_rules() {
    let (server, acme, issuer) = served(&[GROUPS]).await;
    let beta = server.new_organization("Beta").await;
    let refused = ruled(&server, &beta, &[("engineers", "viewer"), ("staff", "viewer")]).await.expect(400);
    let faults = refused["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 2, "{refused}");
    assert_eq!(faults[0]["field"], "rules[0].provider");
    assert!(faults[0].to_string().contains("`rules_for`"), "{refused}");
    ruled(&server, &acme, &[("engineers", "viewer")]).await.expect(200);
    signed_in(&server, &issuer, in_groups("ada", json!(["engineers", "staff"]))).await;
    assert_eq!(members(&server, &acme).await, ["ada@acme.example viewer corp:engineers"]);
    assert_eq!(members(&server, &beta).await, [BETAS_OWNER]);
    // Nothing to choose in the console there, and it says whom to ask.
    server.join(&beta, OWNER, "admin", &acme.owner).await;
    let mut owner = Person::owner(&server).await;
    let page = |organization: &Organization| format!("/console/{}/settings/sign-in", organization.id);
    owner.get(&page(&acme)).await.says(200, "<option value=\"corp\"");
    let shown = owner.get(&page(&beta)).await.says(200, "<code>rules_for</code>");
    assert!(!shown.html.contains("<option value=\"corp\""), "{}", shown.html);
    // The first stays the first when it is gone: nobody takes its place.
    server.delete(&acme.path(""), &acme.owner).await.expect(204);
    ruled(&server, &beta, &[("engineers", "viewer")]).await.expect(400);
}

#[tokio::test]
async fn the_rules_of_those_who_are_not_named_count_no_more() {
    let (server, acme, issuer) = served(&[GROUPS]).await;
    let beta = server.new_organization("Beta").await;
    ruled(&server, &acme, &[("engineers", "viewer")]).await.expect(200);
    signed_in(&server, &issuer, in_groups("ada", json!(["engineers"]))).await;
    let Server { running, directory, .. } = server;
    running.stop().await.unwrap();
    let settings = [("EMAIL_DOMAINS", "acme.example"), GROUPS, ("RULES_FOR", &beta.id)];
    let settings = config(directory.path(), &issuer.url, &settings);
    let server = Server::start_with(directory, settings).await;
    ruled(&server, &beta, &[("engineers", "devops")]).await.expect(200);
    let ada = in_groups("ada", json!(["engineers"]));
    signed_in(&server, &issuer, ada).await;
    assert_eq!(members(&server, &beta).await, [BETAS_OWNER, "ada@acme.example devops corp:engineers"]);
    assert!(members(&server, &acme).await.is_empty(), "as if it had no rules");
    // What stands there may stay or go; nothing is added, and no other role is given.
    ruled(&server, &acme, &[("engineers", "viewer")]).await.expect(200);
    for more in [&[("engineers", "devops")][..], &[("engineers", "viewer"), ("staff", "viewer")]] {
        ruled(&server, &acme, more).await.expect(400);
    }
    let mut person = Person::owner(&server).await;
    let page = format!("/console/{}/settings/sign-in", acme.id);
    person.get(&page).await.says(200, "takes no new rules of this organization");
    ruled(&server, &acme, &[]).await.expect(200);
    // Nor does anybody come in anew by them.
    signed_in(&server, &issuer, in_groups("eve", json!(["engineers"]))).await;
    assert!(members(&server, &acme).await.is_empty());
}
