//! How many there may be of each thing. What is one too many is refused inside the transaction, so that many at once do not
//! pass either.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_server::limits::{
    APIS, CLUSTERS, CUSTOM_ROLES, ENVIRONMENTS, IDEMPOTENCY_ANSWER, IDEMPOTENCY_BYTES, IDEMPOTENCY_KEYS, INVITATIONS,
    Limit, MEMBERS, ORGANIZATION_ROUTES, ORGANIZATIONS, PROJECTS, SESSIONS, TOKENS, VARIABLES, VARIABLES_BYTES,
    VARIABLES_TOLD_BYTES,
};

use crate::support::{Answer, OWNER, Organization, PASSWORD, Server, config};

/// The body of the n-th of something.
type Body<'a> = Box<dyn Fn(usize) -> Value + 'a>;

async fn server(limits: &[(&Limit, u64)]) -> (Server, Organization) {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    for (limit, value) in limits {
        config.limits.set(limit, *value);
    }
    Server::with_owner_and(directory, config).await
}

#[track_caller]
fn refused(answer: &Answer, limit: &Limit, value: u64) {
    assert_eq!(answer.outcome(), (409, "conflict".to_owned()), "{}", answer.text);
    let told = format!("`{}` ({value} {})", limit.name, limit.unit.as_str());
    assert!(answer.str("detail").contains(&told), "{}", answer.text);
}

#[tokio::test]
async fn one_more_than_there_may_be_is_a_conflict_that_names_the_limit() {
    let limits = [&PROJECTS, &CLUSTERS, &CUSTOM_ROLES, &TOKENS, &INVITATIONS, &ENVIRONMENTS, &VARIABLES, &APIS]
        .map(|it| (it, 2));
    let (server, acme) = server(&limits).await;
    let viewer = server.role(&acme, "viewer").await;
    let project = server.post(&acme.path("project"), &acme.owner, json!({ "name": "first" })).await.str("id");
    let cluster = json!({ "name": "first", "region": "r", "cloud_provider": "AWS" });
    let cluster = server.post(&acme.path("cluster"), &acme.owner, cluster).await.str("id");
    let environments = format!("/project/{project}/environment");
    let first = json!({ "name": "first", "cluster": cluster });
    let environment = server.post(&environments, &acme.owner, first).await.str("id");
    let named = |n: usize| json!({ "name": format!("n{n}") });
    let all: [(&Limit, usize, String, Body<'_>); 8] = [
        (&PROJECTS, 1, acme.path("project"), Box::new(named)),
        (
            &CLUSTERS,
            1,
            acme.path("cluster"),
            Box::new(|n| json!({ "name": n.to_string(), "region": "r", "cloud_provider": "AWS" })),
        ),
        (&ENVIRONMENTS, 1, environments, Box::new(|n| json!({ "name": n.to_string(), "cluster": cluster }))),
        (&CUSTOM_ROLES, 2, acme.path("customRole"), Box::new(named)),
        (&TOKENS, 2, acme.path("apiToken"), Box::new(|n| json!({ "name": n.to_string(), "role_id": viewer }))),
        (
            &INVITATIONS,
            2,
            acme.path("inviteMember"),
            Box::new(|n| json!({ "email": format!("{n}@b.example"), "role_id": viewer })),
        ),
        (
            &VARIABLES,
            2,
            format!("/project/{project}/environmentVariable"),
            Box::new(|n| json!({ "key": format!("K{n}"), "value": "v" })),
        ),
        // Variables and secrets count together, those of the project apart.
        (
            &VARIABLES,
            2,
            format!("/environment/{environment}/secret"),
            Box::new(|n| json!({ "key": format!("S{n}"), "value": "v" })),
        ),
    ];
    for (limit, room, path, body) in all {
        for n in 0..room {
            let made = server.post(&path, &acme.owner, body(n)).await;
            assert!(made.status.is_success(), "{path}: {}", made.text);
        }
        refused(&server.post(&path, &acme.owner, body(room)).await, limit, 2);
    }
    let variable = json!({ "key": "further", "value": "v" });
    refused(
        &server.post(&format!("/environment/{environment}/environmentVariable"), &acme.owner, variable).await,
        &VARIABLES,
        2,
    );
    let document = json!({ "routes": [{ "method": "GET", "path": "/a", "permissions": ["a:read"] }] });
    for name in ["a", "b", "a"] {
        server.put(&acme.path(&format!("api/{name}")), &acme.owner, document.clone()).await.expect(200);
    }
    refused(&server.put(&acme.path("api/c"), &acme.owner, document).await, &APIS, 2);
}

#[tokio::test]
async fn the_apis_of_an_organization_have_so_many_routes_together() {
    let (server, acme) = server(&[(&ORGANIZATION_ROUTES, 3)]).await;
    let put = async |name: &str, count: usize| {
        let route = |n: usize| json!({ "method": "GET", "path": format!("/n{n}"), "permissions": ["a:read"] });
        let document = json!({ "routes": (0..count).map(route).collect::<Vec<_>>() });
        server.put(&acme.path(&format!("api/{name}")), &acme.owner, document).await
    };
    put("a", 2).await.expect(200);
    refused(&put("b", 2).await, &ORGANIZATION_ROUTES, 3);
    put("b", 1).await.expect(200);
    put("a", 2).await.expect(200);
    refused(&put("a", 3).await, &ORGANIZATION_ROUTES, 3);
    let other = server.new_organization("Other").await;
    let document = json!({ "routes": [{ "method": "GET", "path": "/n", "permissions": ["a:read"] }] });
    server.put(&other.path("api/a"), &other.owner, document).await.expect(200);
}

#[tokio::test]
async fn a_list_of_many_is_whole() {
    const MANY: usize = 1_010;
    let (server, acme) = Server::with_owner().await;
    let viewer = server.role(&acme, "viewer").await;
    let path = acme.path("apiToken");
    let create =
        |n: usize| server.post(&path, &acme.owner, json!({ "name": format!("n{n:04}"), "role_id": viewer.clone() }));
    for some in (0..MANY).collect::<Vec<_>>().chunks(50) {
        for made in join_all(some.iter().copied().map(create)).await {
            made.expect(201);
        }
    }
    let mut names = server.get(&acme.path("apiToken"), &acme.owner).await.each("results", "name");
    names.sort();
    assert_eq!(names, (0..MANY).map(|n| format!("n{n:04}")).collect::<Vec<_>>());
    let few = server.get(&acme.path("apiToken?name=N0007"), &acme.owner).await.each("results", "name");
    assert_eq!(few, ["n0007"]);
}

#[tokio::test]
async fn what_goes_makes_room() {
    let (server, acme) = server(&[(&TOKENS, 1)]).await;
    let body = |name: &str| json!({ "name": name, "role_id": null });
    for name in ["a", "b", "c"] {
        let (id, _) = server.new_token(&acme, body(name)).await;
        refused(&server.post(&acme.path("apiToken"), &acme.owner, body("more")).await, &TOKENS, 1);
        server.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.expect(204);
    }
}

#[tokio::test]
async fn many_at_once_do_not_pass_a_limit() {
    let (server, acme) = server(&[(&TOKENS, 5), (&PROJECTS, 5)]).await;
    for (path, limit) in [("apiToken", &TOKENS), ("project", &PROJECTS)] {
        let path = acme.path(path);
        let create = |n: usize| {
            let mut body = json!({ "name": format!("n{n}") });
            if limit.name == TOKENS.name {
                body["role_id"] = Value::Null;
            }
            server.post(&path, &acme.owner, body)
        };
        let answers = join_all((0..20).map(create)).await;
        let (made, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status.is_success());
        assert_eq!((made.len(), others.len()), (5, 15));
        others.into_iter().for_each(|answer| refused(answer, limit, 5));
        let listed = server.get(&path, &acme.owner).await.expect(200);
        assert_eq!(listed["results"].as_array().unwrap().len(), 5);
    }
}

#[tokio::test]
async fn an_organization_has_so_many_members() {
    let (server, acme) = server(&[(&MEMBERS, 2)]).await;
    server.member(&acme, "b@acme.example", "viewer").await;
    let body = json!({ "email": "c@acme.example", "role_id": server.role(&acme, "viewer").await });
    let invitation = server.post(&acme.path("inviteMember"), &acme.owner, body).await.expect(201);
    let secret = invitation["invitation_link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let path = acme.path(&format!("inviteMember/{}", invitation["id"].as_str().unwrap()));
    refused(&server.post(&path, "", json!({ "secret": secret, "password": PASSWORD })).await, &MEMBERS, 2);
    let listed = server.get(&acme.path("member"), &acme.owner).await.each("results", "email");
    assert_eq!(listed, [OWNER, "b@acme.example"]);
}

#[tokio::test]
async fn a_person_owns_so_many_organizations() {
    let (server, acme) = server(&[(&ORGANIZATIONS, 2)]).await;
    let create = |name: &str| server.post("/organization", &acme.owner, json!({ "name": name, "plan": "FREE" }));
    let second = create("Second").await.expect(201)["id"].as_str().unwrap().to_owned();
    refused(&create("Third").await, &ORGANIZATIONS, 2);
    server.delete(&format!("/organization/{second}"), &acme.owner).await.expect(204);
    create("Third").await.expect(201);
    // Nor is one handed over to somebody who has enough.
    let globex = server.new_organization("Globex").await;
    let body = json!({ "email": OWNER, "role_id": server.role(&globex, "admin").await });
    let invitation = server.post(&globex.path("inviteMember"), &globex.owner, body).await.expect(201);
    let secret = invitation["invitation_link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let path = globex.path(&format!("inviteMember/{}", invitation["id"].as_str().unwrap()));
    server.post(&path, &acme.owner, json!({ "secret": secret })).await.expect(201);
    let me = server.get("/account", &acme.owner).await.str("id");
    let transfer = server.post(&globex.path("transferOwnership"), &globex.owner, json!({ "user_id": me })).await;
    refused(&transfer, &ORGANIZATIONS, 2);
}

#[tokio::test]
async fn a_further_session_ends_the_oldest() {
    let (server, acme) = server(&[(&SESSIONS, 3)]).await;
    let mut sessions = vec![acme.owner.clone()];
    for _ in 0..4 {
        sessions.push(server.sign_in(OWNER, PASSWORD).await);
    }
    let mut alive = Vec::new();
    for session in &sessions {
        alive.push(server.get("/account", session).await.status.as_u16());
    }
    assert_eq!(alive, [401, 401, 200, 200, 200]);
    let (_, bob) =
        server.member(&Organization { id: acme.id, owner: sessions[4].clone() }, "b@acme.example", "viewer").await;
    assert_eq!(server.get("/account", &bob).await.status, 200, "everybody has sessions of their own");
    assert_eq!(server.get("/account", &sessions[2]).await.status, 200);
}

#[tokio::test]
async fn an_organization_keeps_so_many_answers() {
    let (server, acme) = server(&[(&IDEMPOTENCY_KEYS, 2)]).await;
    let create = |name: &'static str, key: &'static str| {
        let body = Some(json!({ "name": name }));
        let path = acme.path("project");
        let (server, owner) = (&server, &acme.owner);
        async move { server.call_with(Method::POST, &path, owner, body, &[("idempotency-key", key)]).await }
    };
    for key in ["a", "b"] {
        create(key, key).await.expect(200);
    }
    refused(&create("c", "c").await, &IDEMPOTENCY_KEYS, 2);
    assert_eq!(create("a", "a").await.header("idempotency-replayed"), Some("true"), "what is kept is answered");
    server.post(&acme.path("project"), &acme.owner, json!({ "name": "c" })).await.expect(200);
}

/// Makes a project with a key.
async fn project(server: &Server, acme: &Organization, name: &str) -> Answer {
    let body = Some(json!({ "name": name }));
    let key = [("idempotency-key", name)];
    server.call_with(Method::POST, &acme.path("project"), &acme.owner, body, &key).await
}

#[tokio::test]
async fn answers_are_kept_up_to_so_many_bytes_together() {
    // There is room for one, whatever it has, and for no second one.
    let (server, acme) = server(&[(&IDEMPOTENCY_ANSWER, 4_000), (&IDEMPOTENCY_BYTES, 4_100)]).await;
    let first = project(&server, &acme, "a").await;
    assert_eq!(first.status, 200, "{}", first.text);
    let second = project(&server, &acme, "b").await;
    refused(&second, &IDEMPOTENCY_BYTES, 4_100);
    let again = project(&server, &acme, "a").await;
    assert_eq!((again.header("idempotency-replayed"), &again.text), (Some("true"), &first.text));
    server.post(&acme.path("project"), &acme.owner, json!({ "name": "b" })).await.expect(200);
    let other = server.new_organization("Other").await;
    project(&server, &other, "b").await.expect(200);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_given_and_its_request_never_carried_out_again() {
    let (server, acme) = server(&[(&IDEMPOTENCY_ANSWER, 100)]).await;
    let first = project(&server, &acme, "a").await;
    assert_eq!(first.expect(200)["name"], "a");
    for _ in 0..2 {
        let again = project(&server, &acme, "a").await;
        refused(&again, &IDEMPOTENCY_ANSWER, 100);
        assert!(again.str("detail").contains("was carried out, at position "), "{}", again.text);
    }
    let all = server.get(&acme.path("project"), &acme.owner).await.expect(200);
    assert_eq!(all["results"].as_array().map(Vec::len), Some(1));
}

/// A value that a thousand aliases stand for would be told a thousand times.
#[tokio::test]
async fn what_aliases_stand_for_counts_in_an_answer() {
    let (server, acme) = server(&[(&VARIABLES_TOLD_BYTES, 300)]).await;
    let project = server.post(&acme.path("project"), &acme.owner, json!({ "name": "p" })).await.str("id");
    let path = format!("/project/{project}/environmentVariable");
    let value = json!({ "key": "LONG", "value": "x".repeat(100) });
    let long = server.post(&path, &acme.owner, value).await.str("id");
    let lists = [path.clone(), format!("/variable?parent_id={project}&scope=PROJECT")];
    for key in ["A", "B"] {
        for list in &lists {
            server.get(list, &acme.owner).await.expect(200);
        }
        server.post(&format!("{path}/{long}/alias"), &acme.owner, json!({ "key": key })).await.expect(201);
    }
    for list in &lists {
        let answer = server.get(list, &acme.owner).await;
        assert_eq!(answer.outcome(), (400, "invalid_request".to_owned()), "{}", answer.text);
        assert!(answer.str("detail").contains("`variables_told_bytes` (300 bytes)"), "{}", answer.text);
        let sign = if list.contains('?') { '&' } else { '?' };
        server.get(&format!("{list}{sign}limit=2"), &acme.owner).await.expect(200);
    }
}

#[tokio::test]
async fn values_have_so_many_bytes_together() {
    let (server, acme) = server(&[(&VARIABLES_BYTES, 100)]).await;
    let project = server.post(&acme.path("project"), &acme.owner, json!({ "name": "p" })).await.str("id");
    let path = format!("/project/{project}/environmentVariable");
    let create =
        |key: &str, bytes: usize| server.post(&path, &acme.owner, json!({ "key": key, "value": "x".repeat(bytes) }));
    let first = create("A", 60).await.str("id");
    refused(&create("B", 41).await, &VARIABLES_BYTES, 100);
    create("B", 40).await.expect(201);
    let longer = json!({ "value": "x".repeat(61) });
    refused(&server.put(&format!("{path}/{first}"), &acme.owner, longer).await, &VARIABLES_BYTES, 100);
}
