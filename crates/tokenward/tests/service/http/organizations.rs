//! Organizations: list, show, edit (contract §1.4).

use serde_json::{Value, json};
use tokenward_core::Uuid;

use crate::support::expected::{error, forbidden, invalid, not_found, with};
use crate::support::{Answer, NOW, Organization, Server};

async fn edit(server: &Server, organization: &Organization, body: Value) -> Answer {
    server.put(&organization.path(""), &organization.owner, body).await
}

/// Acme as it is bootstrapped.
async fn acme_as_created(server: &Server, acme: &Organization) -> Value {
    json!({
        "id": acme.id, "created_at": NOW, "updated_at": NOW, "name": "Acme", "plan": "ENTERPRISE", "description": null,
        "website_url": null, "repository": null, "logo_url": null, "icon_url": null, "admin_emails": null,
        "forbids_device": false, "owner": server.get("/account", &acme.owner).await.str("id"),
        "organization_plan": { "plan": "ENTERPRISE", "audit_logs_retention_in_days": 36500 },
    })
}

#[tokio::test]
async fn a_list_holds_what_the_caller_belongs_to() {
    let (server, acme) = Server::frozen().await;
    let umbrella = server.new_organization("Umbrella").await;
    let only_acme = (200, json!({ "results": [acme_as_created(&server, &acme).await] }));
    assert_eq!(server.get("/organization", &acme.owner).await.pair(), only_acme);
    // Every role may see where it is.
    for role in ["admin", "devops", "billing", "viewer", "verifier"] {
        let by = server.token(&acme, role, role).await;
        assert_eq!(server.get("/organization", &by).await.pair(), only_acme, "{role}");
    }
    assert_eq!(server.get("/organization", &umbrella.owner).await.each("results", "name"), ["Umbrella"]);
}

#[tokio::test]
async fn an_organization_is_shown() {
    let (server, acme) = Server::frozen().await;
    let answer = server.get(&acme.path(""), &acme.owner).await;
    assert_eq!(answer.pair(), (200, acme_as_created(&server, &acme).await));
}

#[tokio::test]
async fn a_foreign_organization_is_not_found_to_the_letter_like_one_that_does_not_exist() {
    let (server, acme) = Server::frozen().await;
    let umbrella = server.new_organization("Umbrella").await;
    let admin = server.token(&acme, "admin", "admin").await;
    for by in [&acme.owner, &admin] {
        for rest in ["", "/apiToken", "/availableRole", "/events"] {
            let foreign = server.get(&format!("/organization/{}{rest}", umbrella.id), by).await;
            let absent = server.get(&format!("/organization/{}{rest}", Uuid::nil()), by).await;
            assert_eq!(foreign.pair(), not_found("organization"), "{rest}");
            assert_eq!((foreign.status, &foreign.text), (absent.status, &absent.text));
            let names = |answer: &Answer| answer.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(names(&foreign), names(&absent));
        }
    }
}

#[tokio::test]
async fn what_is_absent_in_an_edit_stays_and_null_takes_it_out() {
    let (server, acme) = Server::frozen().await;
    server.clock.advance(1_000_000);
    // What the Terraform provider sends.
    let edited = edit(&server, &acme, json!({ "name": "Acme", "description": "Rockets" })).await;
    let later = json!({ "description": "Rockets", "updated_at": "2026-09-01T12:00:01.000000Z" });
    let expected = with((200, acme_as_created(&server, &acme).await), later);
    assert_eq!(edited.pair(), expected);
    assert!(edited.header("tokenward-position").is_some());

    let full = json!({
        "name": "Acme", "plan": "TEAM_2025", "website_url": "https://acme.example", "repository": "https://git.acme.example",
        "logo_url": "https://acme.example/logo.png", "icon_url": "https://acme.example/icon.png",
        "admin_emails": ["a@acme.example", "b@acme.example"],
    });
    let mut expected = with(expected, full.clone());
    expected.1["organization_plan"]["plan"] = json!("TEAM_2025");
    for body in [full, json!({ "name": "Acme" })] {
        let edited = edit(&server, &acme, body).await;
        // Time stands still; a change is later than the one before it all the same.
        assert!(edited.str("updated_at").as_str() > expected.1["updated_at"].as_str().unwrap());
        expected.1["updated_at"] = json!(edited.str("updated_at"));
        assert_eq!(edited.pair(), expected);
    }
    assert_eq!(server.get(&acme.path(""), &acme.owner).await.pair(), expected);

    let nulls = json!({
        "name": "Acme", "description": null, "website_url": null, "repository": null, "logo_url": null,
        "icon_url": null, "admin_emails": null,
    });
    let emptied = edit(&server, &acme, nulls.clone()).await;
    expected.1["updated_at"] = json!(emptied.str("updated_at"));
    assert_eq!(emptied.pair(), with(expected, nulls));
    let emptied = edit(&server, &acme, json!({ "name": "Acme", "description": "" })).await;
    assert_eq!(emptied.str("description"), "");
}

#[tokio::test]
async fn a_new_name_is_seen_everywhere_at_once() {
    let (server, acme) = Server::frozen().await;
    let text = server.token(&acme, "admin", "admin").await;
    assert_eq!(edit(&server, &acme, json!({ "name": "Acme Rockets" })).await.status, 200);
    assert_eq!(server.get("/organization", &text).await.each("results", "name"), ["Acme Rockets"]);
    assert_eq!(server.get("/token/self", &text).await.json()["organization"]["name"], "Acme Rockets");
}

#[tokio::test]
async fn a_name_that_can_be_taken_for_another_organizations_is_taken() {
    let (server, acme) = Server::frozen().await;
    server.new_organization("Umbrella").await;
    // Case, and a Cyrillic letter for each Latin one that has a twin would be mixed scripts; `rn` is read as `m`.
    for name in ["Umbrella", "UMBRELLA", "umbrella", "Urnbrella"] {
        let taken = format!("The name `{name}` is taken by another organization. Choose another name.");
        let answer = edit(&server, &acme, json!({ "name": name })).await;
        assert_eq!(answer.pair(), error(409, "Conflict", "name_taken", &taken));
    }
    // One's own in another case is free.
    assert_eq!(edit(&server, &acme, json!({ "name": "ACME" })).await.str("name"), "ACME");
}

#[tokio::test]
async fn an_edit_tells_all_its_faults_and_changes_nothing() {
    let (server, acme) = Server::frozen().await;
    let body = json!({
        "name": "", "description": "\u{7}", "plan": "GOLD", "website_url": "x".repeat(1025), "admin_emails": ["nobody"],
    });
    let plans = "is not one of FREE, TEAM, TEAM_YEARLY, ENTERPRISE, ENTERPRISE_YEARLY, PROFESSIONAL, BUSINESS, USER_2025, \
                 TEAM_2025, BUSINESS_2025, ENTERPRISE_2025";
    let expected = invalid(&[
        ("name", "must not be empty"),
        ("description", "contains the control or invisible character U+0007"),
        ("plan", plans),
        ("website_url", "has 1025 characters; the limit `description_characters` is 1024"),
        ("admin_emails", "is not an e-mail address such as name@example.com: it needs a name, an `@` and a domain"),
    ]);
    assert_eq!(edit(&server, &acme, body).await.pair(), expected);
    assert_eq!(edit(&server, &acme, json!({ "plan": "FREE" })).await.pair(), invalid(&[("name", "is missing")]));
    let shown = server.get(&acme.path(""), &acme.owner).await;
    assert_eq!(shown.pair(), (200, acme_as_created(&server, &acme).await));
}

#[tokio::test]
async fn only_owner_and_admin_may_edit() {
    let (server, acme) = Server::frozen().await;
    for role in ["devops", "billing", "viewer", "verifier"] {
        let by = server.token(&acme, role, role).await;
        let answer = server.put(&acme.path(""), &by, json!({ "name": "Taken over" })).await;
        assert_eq!(answer.pair(), forbidden("organization:edit"), "{role}");
    }
    let admin = server.token(&acme, "admin", "admin").await;
    assert_eq!(server.put(&acme.path(""), &admin, json!({ "name": "Acme 2" })).await.status, 200);
}
