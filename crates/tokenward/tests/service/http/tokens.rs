//! API tokens: create, list, show, delete (contract §1.1 and §8).

use serde_json::{Value, json};
use tokenward_core::Uuid;
use tokenward_core::time::DAY;

use crate::support::expected::{error, forbidden, invalid, not_found, refused, with};
use crate::support::{Answer, NOW, OWNER, Organization, Server};

/// The owner asks for a new token with this body.
async fn create(server: &Server, organization: &Organization, body: Value) -> Answer {
    server.post(&organization.path("apiToken"), &organization.owner, body).await
}

/// The names in a list with this query, asked by the owner.
async fn names(server: &Server, organization: &Organization, query: &[(&str, &str)]) -> Vec<String> {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let path = organization.path(&format!("apiToken?{query}"));
    server.get(&path, &organization.owner).await.each("results", "name")
}

#[tokio::test]
async fn a_new_token_shows_its_text_once_and_all_else_again() {
    let (server, acme) = Server::frozen().await;
    let viewer = server.role(&acme, "viewer").await;
    let body = json!({
        "name": "ci", "description": "Builds", "role_id": viewer, "expires_at": "2026-12-01T01:00:00+01:00",
    });
    let made = create(&server, &acme, body).await;
    let text = made.str("token");
    assert!(text.len() == 42 && text.starts_with("twd_") && text[4..].chars().all(|c| c.is_ascii_alphanumeric()));
    let own = server.get("/account", &acme.owner).await.str("id");
    let without_text = json!({
        "id": made.str("id"), "created_at": NOW, "updated_at": NOW, "name": "ci", "description": "Builds",
        "role_name": "viewer", "role_id": viewer, "creator_name": OWNER,
        "creator_kind": "user", "creator_id": own, "owner_id": own, "owner_name": OWNER, "expires_at": "2026-12-01T00:00:00.000000Z", "state": "active", "last_four": &text[38..], "versions": [{
            "version": 1, "created_at": NOW, "expires_at": null, "last_four": &text[38..], "allowed_count": 0, "denied_count": 0,
        }], "allowed_count": 0, "denied_count": 0,
    });
    assert_eq!(made.pair(), with((201, without_text.clone()), json!({ "token": text })));

    let list = server.get(&acme.path("apiToken"), &acme.owner).await;
    assert_eq!(list.pair(), (200, json!({ "results": [without_text.clone()] })));
    let shown = server.get(&acme.path(&format!("apiToken/{}", made.str("id"))), &acme.owner).await;
    assert_eq!(shown.pair(), (200, without_text));
}

#[tokio::test]
async fn a_write_answers_its_place_in_the_log() {
    let (server, acme) = Server::frozen().await;
    let made = create(&server, &acme, json!({ "name": "ci", "role_id": null })).await;
    let read = server.get(&acme.path("apiToken"), &acme.owner).await;
    let gone = server.delete(&acme.path(&format!("apiToken/{}", made.str("id"))), &acme.owner).await;
    let place = |answer: &Answer| {
        let (incarnation, number) = answer.header("tokenward-position").unwrap().split_once('/').unwrap();
        (Uuid::try_parse(incarnation).unwrap(), number.parse::<i64>().unwrap())
    };
    let (incarnation, number) = place(&made);
    assert_eq!(place(&gone), (incarnation, number + 1));
    assert_eq!(read.header("tokenward-position"), None);
    assert_eq!((gone.status.as_u16(), gone.text.as_str()), (204, ""));
}

#[tokio::test]
async fn no_answer_is_kept_on_its_way() {
    let (server, acme) = Server::frozen().await;
    let made = create(&server, &acme, json!({ "name": "ci", "role_id": null })).await;
    let one = acme.path(&format!("apiToken/{}", made.str("id")));
    let answers = [
        create(&server, &acme, json!({ "name": "ci", "role_id": null })).await,
        server.get(&acme.path("apiToken"), &acme.owner).await,
        server.get(&one, &acme.owner).await,
        server.post("/verify", &acme.owner, json!({ "token": made.str("token") })).await,
        server.delete(&one, &acme.owner).await,
        server.get(&one, &acme.owner).await,
        server.get("/token/self", "").await,
        made,
    ];
    for answer in answers {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
    }
}

#[tokio::test]
async fn an_absent_description_stays_absent_and_an_empty_one_stays_empty() {
    let (server, acme) = Server::frozen().await;
    let bodies = [
        (json!({ "name": "absent", "role_id": null }), None),
        (json!({ "name": "null", "role_id": null, "description": null }), None),
        (json!({ "name": "empty", "role_id": null, "description": "" }), Some(json!(""))),
    ];
    for (body, expected) in bodies {
        let made = create(&server, &acme, body).await;
        let shown = server.get(&acme.path(&format!("apiToken/{}", made.str("id"))), &acme.owner).await;
        for answer in [made, shown] {
            assert_eq!(answer.json().as_object().unwrap().get("description"), expected.as_ref(), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn null_is_the_role_admin_and_so_is_the_deprecated_scope_alone() {
    let (server, acme) = Server::frozen().await;
    let viewer = server.role(&acme, "viewer").await;
    let bodies = [
        (json!({ "name": "null", "role_id": null }), "admin"),
        (json!({ "name": "scope", "scope": "ADMIN" }), "admin"),
        (json!({ "name": "both null", "role_id": null, "scope": null }), "admin"),
        // What the published console sends: the role counts.
        (json!({ "name": "both", "role_id": viewer, "scope": "ADMIN" }), "viewer"),
    ];
    for (body, role) in bodies {
        let made = create(&server, &acme, body).await;
        assert_eq!((made.status.as_u16(), made.str("role_name")), (201, role.to_owned()), "{made:?}");
        assert_eq!(made.str("role_id"), server.role(&acme, role).await);
        assert_eq!(server.get("/token/self", &made.str("token")).await.json()["role"]["name"], role);
    }
}

#[tokio::test]
async fn without_a_role_nothing_is_made() {
    let (server, acme) = Server::frozen().await;
    let missing = invalid(&[("role_id", "is missing; send a role of availableRole, or null for admin")]);
    for body in [json!({ "name": "ci" }), json!({ "name": "ci", "scope": null })] {
        assert_eq!(create(&server, &acme, body).await.pair(), missing);
    }
    let scope = invalid(&[("scope", "is deprecated and can only be `ADMIN` or null; use `role_id`")]);
    for body in [json!({ "name": "ci", "scope": "READ" }), json!({ "name": "ci", "scope": "admin", "role_id": null })] {
        assert_eq!(create(&server, &acme, body).await.pair(), scope);
    }
    assert_eq!(names(&server, &acme, &[]).await, [""; 0]);
}

#[tokio::test]
async fn a_foreign_role_is_refused_like_one_that_does_not_exist() {
    let (server, acme) = Server::frozen().await;
    let umbrella = server.new_organization("Umbrella").await;
    let (viewer, admin) = (server.role(&umbrella, "viewer").await, server.role(&umbrella, "admin").await);
    let mut answers = Vec::new();
    for role in [viewer, admin, Uuid::nil().to_string()] {
        answers.push(create(&server, &acme, json!({ "name": "ci", "role_id": role })).await);
    }
    assert_eq!(answers[0].pair(), invalid(&[("role_id", "is not a role of this organization; see availableRole")]));
    assert!(answers.iter().all(|answer| answer.text == answers[0].text), "{answers:?}");
}

#[tokio::test]
async fn the_role_owner_is_never_given_to_a_token() {
    let (server, acme) = Server::frozen().await;
    let owner = server.owner_role(&acme).await;
    let made = create(&server, &acme, json!({ "name": "ci", "role_id": owner })).await;
    let problem = "is the owner role, which moves only by a transfer of ownership";
    assert_eq!(made.pair(), invalid(&[("role_id", problem)]));
}

#[tokio::test]
async fn an_end_in_the_past_is_refused() {
    let (server, acme) = Server::frozen().await;
    for at in [NOW, "2026-08-31T12:00:00Z", "1969-12-31T00:00:00Z"] {
        let made = create(&server, &acme, json!({ "name": "ci", "role_id": null, "expires_at": at })).await;
        assert_eq!(made.pair(), invalid(&[("expires_at", &format!("is in the past; it is {NOW} now"))]));
    }
    let soon = "2026-09-01T12:00:00.000001Z";
    let made = create(&server, &acme, json!({ "name": "ci", "role_id": null, "expires_at": soon })).await;
    assert_eq!((made.status.as_u16(), made.str("expires_at").as_str()), (201, soon));
}

#[tokio::test]
async fn all_faults_are_told_at_once() {
    let (server, acme) = Server::frozen().await;
    let faults = [
        ("name", "must not begin or end with a space"),
        ("description", "has 1025 characters; the limit `description_characters` is 1024"),
        ("expires_at", "is in the past; it is 2026-09-01T12:00:00.000000Z now"),
        ("role_id", "is not a role of this organization; see availableRole"),
    ];
    let mut body = json!({ "name": " ci", "description": "d".repeat(1025), "expires_at": NOW, "role_id": Uuid::nil() });
    assert_eq!(create(&server, &acme, body.clone()).await.pair(), invalid(&faults));
    body.as_object_mut().unwrap().remove("role_id");
    let missing = ("role_id", "is missing; send a role of availableRole, or null for admin");
    assert_eq!(create(&server, &acme, body).await.pair(), invalid(&[faults[0], faults[1], faults[2], missing]));
}

#[tokio::test]
async fn a_name_is_taken_once_in_an_organization_and_its_case_counts() {
    let (server, acme) = Server::frozen().await;
    let umbrella = server.new_organization("Umbrella").await;
    let body = json!({ "name": "ci", "role_id": null });
    let holder = create(&server, &acme, body.clone()).await.str("id");
    let taken = "The name `ci` is taken by another token. Choose another name.";
    let taken = with(error(409, "Conflict", "name_taken", taken), json!({ "id": holder }));
    assert_eq!(create(&server, &acme, body.clone()).await.pair(), taken);
    assert_eq!(create(&server, &acme, json!({ "name": "CI", "role_id": null })).await.status, 201);
    assert_eq!(create(&server, &umbrella, body).await.status, 201);
}

#[tokio::test]
async fn filters_are_parts_of_names_in_any_case() {
    let (server, acme) = Server::frozen().await;
    let devops = server.token(&acme, "devops", "devops").await;
    let viewer = server.role(&acme, "viewer").await;
    for (by, name) in [(&acme.owner, "Deploy Ärger"), (&devops, "deploy-staging"), (&acme.owner, "100%_\\ {}")] {
        // Ids sort by the microsecond.
        server.clock.advance(1);
        let made = server.post(&acme.path("apiToken"), by, json!({ "name": name, "role_id": viewer })).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    let all: &[&str] = &["devops", "Deploy Ärger", "deploy-staging", "100%_\\ {}"];
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 10] = [
        (&[], all),
        (&[("name", "")], all),
        (&[("name", "DEPLOY")], &all[1..3]),
        (&[("name", "äRGER")], &all[1..2]),
        (&[("name", "%")], &all[3..]),
        (&[("name", "_\\")], &all[3..]),
        (&[("name", "nothing")], &[]),
        (&[("creatorName", "OWNER@")], &["devops", "Deploy Ärger", "100%_\\ {}"]),
        (&[("creatorName", "devops")], &all[2..3]),
        (&[("name", "deploy"), ("creatorName", "owner")], &all[1..2]),
    ];
    for (query, expected) in cases {
        assert_eq!(names(&server, &acme, query).await, expected, "{query:?}");
    }
}

#[tokio::test]
async fn who_may_read_create_and_delete_follows_the_role() {
    let (server, acme) = Server::frozen().await;
    let path = acme.path("apiToken");
    for (role, may_read, may_manage) in [
        ("admin", true, true),
        ("devops", true, true),
        ("billing", false, false),
        ("viewer", true, false),
        ("verifier", false, false),
    ] {
        let by = server.token(&acme, role, role).await;
        let (victim, _) =
            server.new_token(&acme, json!({ "name": format!("victim of {role}"), "role_id": null })).await;
        let one = format!("{path}/{victim}");
        let list = server.get(&path, &by).await;
        let show = server.get(&one, &by).await;
        // A body that nobody could use: the permission comes first.
        let made = server.post(&path, &by, json!("nonsense")).await;
        let gone = server.delete(&one, &by).await;
        let statuses = [&list, &show, &made, &gone].map(|answer| answer.status.as_u16());
        let (read, manage) = (if may_read { 200 } else { 403 }, |status| if may_manage { status } else { 403 });
        assert_eq!(statuses, [read, read, manage(400), manage(204)], "{role}");
        for (answer, permission) in
            [(list, "token:read"), (show, "token:read"), (made, "token:manage"), (gone, "token:manage")]
        {
            if answer.status == 403 {
                assert_eq!(answer.pair(), forbidden(permission), "{role}");
            }
        }
    }
}

#[tokio::test]
async fn nobody_hands_out_more_than_they_have() {
    let (server, acme) = Server::frozen().await;
    let devops = server.token(&acme, "devops", "devops").await;
    let (admin, billing) = (server.role(&acme, "admin").await, server.role(&acme, "billing").await);
    for (body, role, missing) in [
        (json!({ "name": "up", "role_id": null }), "admin", "organization:edit"),
        (json!({ "name": "up", "scope": "ADMIN" }), "admin", "organization:edit"),
        (json!({ "name": "up", "role_id": admin }), "admin", "organization:edit"),
        (json!({ "name": "up", "role_id": billing }), "billing", "billing:read"),
    ] {
        let detail = format!(
            "The role `{role}` may do more than you may: it holds `{missing}`. Nobody can hand out more than they have."
        );
        let refusal = error(403, "Forbidden", "permission_denied", &detail);
        let refusal = with(refusal, json!({ "missing_permission": missing, "reason": "permission_denied" }));
        assert_eq!(server.post(&acme.path("apiToken"), &devops, body).await.pair(), refusal);
    }
    for role in ["devops", "viewer", "verifier"] {
        let body = json!({ "name": format!("a {role}"), "role_id": server.role(&acme, role).await });
        let made = server.post(&acme.path("apiToken"), &devops, body).await;
        assert_eq!((made.status.as_u16(), made.str("creator_name").as_str()), (201, "devops"));
    }
    assert_eq!(names(&server, &acme, &[("name", "up")]).await, [""; 0]);
}

#[tokio::test]
async fn a_foreign_token_is_not_found_like_one_that_does_not_exist() {
    let (server, acme) = Server::frozen().await;
    let umbrella = server.new_organization("Umbrella").await;
    let (foreign, _) = server.new_token(&umbrella, json!({ "name": "theirs", "role_id": null })).await;
    let (gone, _) = server.new_token(&acme, json!({ "name": "gone", "role_id": null })).await;
    assert_eq!(server.delete(&acme.path(&format!("apiToken/{gone}")), &acme.owner).await.status, 204);
    for method in ["GET", "DELETE"] {
        let method: reqwest::Method = method.parse().unwrap();
        // What was deleted can still be read, and not deleted once more.
        let gone = (method == reqwest::Method::DELETE).then_some(&gone);
        for id in [&foreign, &Uuid::nil().to_string()].into_iter().chain(gone) {
            let path = acme.path(&format!("apiToken/{id}"));
            let answer = server.call(method.clone(), &path, &acme.owner, None).await;
            assert_eq!(answer.pair(), not_found("token"), "{method}");
        }
        // In the foreign organization itself, it is the organization that is not found.
        let there = umbrella.path(&format!("apiToken/{foreign}"));
        let answer = server.call(method.clone(), &there, &acme.owner, None).await;
        assert_eq!(answer.pair(), not_found("organization"), "{method}");
    }
    assert_eq!(names(&server, &umbrella, &[]).await, ["theirs"]);
}

#[tokio::test]
async fn a_deleted_token_is_refused_the_next_moment() {
    let (server, acme) = Server::frozen().await;
    let admin = server.token(&acme, "admin", "admin").await;
    let (id, text) = server.new_token(&acme, json!({ "name": "ci", "role_id": null })).await;
    let (list, one, question) = (acme.path("apiToken"), acme.path(&format!("apiToken/{id}")), json!({ "token": text }));
    assert_eq!(server.get(&list, &text).await.status, 200);
    assert_eq!(server.post("/verify", &admin, question.clone()).await.str("code"), "valid");

    assert_eq!(server.delete(&one, &acme.owner).await.status, 204);
    let answer = server.get(&list, &text).await;
    assert_eq!(answer.pair(), refused("revoked", "This token was revoked. Ask for a new one."));
    assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer realm="tokenward", error="invalid_token""#));
    assert_eq!(server.post("/verify", &admin, question.clone()).await.str("code"), "revoked");
    assert_eq!(server.get(&one, &acme.owner).await.str("state"), "revoked");

    // Ninety days later nothing tells it from a text that was never made.
    server.clock.advance(90 * DAY - 1);
    assert_eq!(server.get(&list, &text).await.str("code"), "revoked");
    assert_eq!(server.post("/verify", &admin, question.clone()).await.str("code"), "revoked");
    server.clock.advance(1);
    assert_eq!(server.get(&list, &text).await.pair(), refused("unknown", "No such token is known here."));
    let answer = server.post("/verify", &admin, question).await;
    assert_eq!((answer.str("code"), &answer.json()["token"]), ("unknown".to_owned(), &Value::Null));
}

#[tokio::test]
async fn a_token_that_deletes_itself_is_refused_after() {
    let (server, acme) = Server::frozen().await;
    let (id, text) = server.new_token(&acme, json!({ "name": "me", "role_id": null })).await;
    let path = acme.path(&format!("apiToken/{id}"));
    assert_eq!(server.delete(&path, &text).await.status, 204);
    assert_eq!(server.delete(&path, &text).await.outcome(), (401, "revoked".to_owned()));
}

#[tokio::test]
async fn the_name_of_a_deleted_token_is_free_at_once() {
    let (server, acme) = Server::frozen().await;
    let body = json!({ "name": "ci", "role_id": null });
    let (first, first_text) = server.new_token(&acme, body.clone()).await;
    assert_eq!(server.delete(&acme.path(&format!("apiToken/{first}")), &acme.owner).await.status, 204);
    let (second, second_text) = server.new_token(&acme, body).await;
    assert!(first != second && first_text != second_text);
    assert_eq!(names(&server, &acme, &[]).await, ["ci"]);
    // The text of the first one stays dead.
    assert_eq!(server.get("/token/self", &first_text).await.outcome(), (401, "revoked".to_owned()));
    assert_eq!(server.get("/token/self", &second_text).await.status, 200);
}

#[tokio::test]
async fn of_two_deletes_at_once_one_finds_nothing() {
    let (server, acme) = Server::frozen().await;
    let (id, _) = server.new_token(&acme, json!({ "name": "ci", "role_id": null })).await;
    let path = acme.path(&format!("apiToken/{id}"));
    let (a, b) = tokio::join!(server.delete(&path, &acme.owner), server.delete(&path, &acme.owner));
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 404]);
}

#[tokio::test]
async fn tokens_outlive_a_restart_and_the_dead_stay_dead() {
    let (server, acme) = Server::frozen().await;
    let (_, alive) = server.new_token(&acme, json!({ "name": "alive", "role_id": null })).await;
    let (gone, dead) = server.new_token(&acme, json!({ "name": "dead", "role_id": null })).await;
    assert_eq!(server.delete(&acme.path(&format!("apiToken/{gone}")), &acme.owner).await.status, 204);
    let server = server.restart().await;
    let answer = server.get("/token/self", &alive).await;
    assert_eq!((answer.status.as_u16(), answer.str("name").as_str()), (200, "alive"));
    assert_eq!(server.get("/token/self", &dead).await.outcome(), (401, "revoked".to_owned()));
}
