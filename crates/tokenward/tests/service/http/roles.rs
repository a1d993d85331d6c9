//! The roles that can be given: `availableRole` (contract §1.2).

use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn the_built_in_roles_have_lowercase_names_and_owner_is_not_among_them() {
    let (server, acme) = Server::frozen().await;
    let answer = server.get(&acme.path("availableRole"), &acme.owner).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.each("results", "name"), ["admin", "devops", "billing", "viewer", "verifier"]);
    let owner = server.owner_role(&acme).await;
    assert!(!answer.text.contains(&owner), "{answer:?}");
    for role in answer.json()["results"].as_array().unwrap() {
        assert_eq!(role.as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "name", "description"]);
        assert!(role["description"].as_str().unwrap().ends_with('.'), "{role}");
    }
}

#[tokio::test]
async fn each_organization_has_ids_of_its_own() {
    let (server, acme) = Server::frozen().await;
    let umbrella = server.new_organization("Umbrella").await;
    let ids = |answer: crate::support::Answer| answer.each("results", "id");
    let own = ids(server.get(&acme.path("availableRole"), &acme.owner).await);
    let theirs = ids(server.get(&umbrella.path("availableRole"), &umbrella.owner).await);
    assert!(own.len() == 5 && theirs.len() == 5 && own.iter().all(|id| !theirs.contains(id)));
}

#[tokio::test]
async fn whoever_is_in_the_organization_may_see_them() {
    let (server, acme) = Server::frozen().await;
    let ids = |answer: crate::support::Answer| {
        let mut ids = answer.each("results", "id");
        ids.sort_unstable();
        ids
    };
    let expected = ids(server.get(&acme.path("availableRole"), &acme.owner).await);
    for role in ["admin", "devops", "billing", "viewer", "verifier"] {
        let by = server.token(&acme, role, role).await;
        // In an order that begins with what the caller may give.
        assert_eq!(ids(server.get(&acme.path("availableRole"), &by).await), expected, "{role}");
    }
}

#[tokio::test]
async fn a_custom_role_is_among_them() {
    let (server, acme) = Server::frozen().await;
    let made = server.post(&acme.path("customRole"), &acme.owner, json!({ "name": "release" })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let answer = server.get(&acme.path("availableRole"), &acme.owner).await;
    assert_eq!(answer.each("results", "name"), ["admin", "devops", "billing", "viewer", "verifier", "release"]);
    assert_eq!(answer.each("results", "id").last(), Some(&made.str("id")));
}
