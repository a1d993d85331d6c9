//! What an older copy of the database gives nobody back: roles, projects, environments and clusters that were deleted, and the mode that
//! an environment had.

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::Uuid;
use tokenward_server::config::Config;
use tokenward_store::log;

use crate::nodes::{database, node_config};
use crate::other_log::{Dump, keep_copy, put_copy_back, restored};
use crate::support::{Organization, Server, config};

/// Ids of what there is before the copy.
struct World {
    /// Roles, and of each the token that has it: one that held less than what came after it, one that held more, and two whose role is lost,
    /// of which the first held less than that.
    roles: [String; 4],
    tokens: [String; 4],
    /// A project with an environment, both to be deleted.
    shop: String,
    shop_main: String,
    /// An environment to be deleted, and its cluster.
    preview: String,
    preview_cluster: String,
    /// An environment to get another mode.
    live: String,
}

const JUNIOR: &str = "junior@acme.example";

async fn made(server: &Server, acme: &Organization, path: &str, body: Value) -> String {
    let answer = server.post(path, &acme.owner, body).await;
    // A project is answered with 200, as the contract says.
    assert!(answer.status.is_success(), "{path}: {}", answer.text);
    answer.str("id")
}

async fn role(server: &Server, acme: &Organization, name: &str, permission: &str) -> String {
    made(server, acme, &acme.path("customRole"), json!({ "name": name, "permissions": [permission] })).await
}

async fn before_the_copy(server: &Server, acme: &Organization) -> World {
    let roles = [
        role(server, acme, "small", "invoices:read").await,
        role(server, acme, "large", "invoices:write").await,
        role(server, acme, "kept", "orders:read").await,
        role(server, acme, "stranded", "orders:write").await,
    ];
    let mut tokens = Vec::new();
    for (at, role) in roles.iter().enumerate() {
        tokens.push(server.new_token(acme, json!({ "name": format!("t{at}"), "role_id": role })).await.0);
    }
    server.member(acme, JUNIOR, "small").await;
    let body = json!({ "email": "invited@acme.example", "role_id": roles[0] });
    server.post(&acme.path("inviteMember"), &acme.owner, body).await.expect(201);

    let cluster = async |name: &str| {
        let body = json!({ "name": name, "region": "eu-west-3", "cloud_provider": "AWS" });
        made(server, acme, &acme.path("cluster"), body).await
    };
    let (eu, preview_cluster) = (cluster("eu").await, cluster("preview").await);
    let project = async |name: &str| made(server, acme, &acme.path("project"), json!({ "name": name })).await;
    let (shop, desk) = (project("shop").await, project("desk").await);
    let environment = async |project: &str, name: &str, cluster: &str| {
        let body = json!({ "name": name, "cluster": cluster, "mode": "DEVELOPMENT" });
        made(server, acme, &format!("/project/{project}/environment"), body).await
    };
    World {
        shop_main: environment(&shop, "main", &eu).await,
        preview: environment(&desk, "preview", &preview_cluster).await,
        live: environment(&desk, "live", &eu).await,
        tokens: tokens.try_into().unwrap(),
        roles,
        shop,
        preview_cluster,
    }
}

async fn after_the_copy(server: &Server, acme: &Organization, world: &World) {
    let viewer = server.role(acme, "viewer").await;
    // Has all that `kept` has.
    let wider = role(server, acme, "wider", "orders:*").await;
    let other = role(server, acme, "other", "orders:read").await;
    for (role, to) in world.roles.iter().zip([&viewer, &viewer, &wider, &other]) {
        let path = acme.path(&format!("customRole/{role}?move_to={to}"));
        server.delete(&path, &acme.owner).await.expect(204);
    }
    server.delete(&format!("/project/{}", world.shop), &acme.owner).await.expect(204);
    server.delete(&format!("/environment/{}", world.preview), &acme.owner).await.expect(204);
    server.delete(&acme.path(&format!("cluster/{}", world.preview_cluster)), &acme.owner).await.expect(204);
    let body = json!({ "name": "live", "mode": "PRODUCTION" });
    server.call(Method::PUT, &format!("/environment/{}", world.live), &acme.owner, Some(body)).await.expect(200);
}

async fn in_the_older_copy(server: &Server, acme: &Organization, world: &World) {
    let viewer = server.role(acme, "viewer").await;
    let custom = server.get(&acme.path("customRole"), &acme.owner).await.each("results", "name");
    assert_eq!(custom, ["kept"], "what its token had after it is lost, and was more");
    let mut told = Vec::new();
    for token in &world.tokens {
        let shown = server.get(&acme.path(&format!("apiToken/{token}")), &acme.owner).await.expect(200);
        told.push((shown["role_id"].as_str().unwrap().to_owned(), shown["state"].as_str().unwrap().to_owned()));
    }
    let is = |role: &String, state: &str| (role.clone(), state.to_owned());
    assert_eq!(
        told,
        [
            is(&viewer, "active"),
            is(&viewer, "active"),
            is(&world.roles[2], "active"),
            // It had more than what came after it, which is lost.
            is(&viewer, "disabled"),
        ]
    );
    let members = server.get(&acme.path("member"), &acme.owner).await.expect(200);
    let all = members["results"].as_array().unwrap();
    let junior = all.iter().find(|it| it["email"] == JUNIOR).unwrap();
    assert_eq!(junior["role_id"], json!(viewer));
    let invited = server.get(&acme.path("inviteMember"), &acme.owner).await.each("results", "email");
    assert!(invited.is_empty(), "{invited:?}");

    for gone in [format!("/project/{}", world.shop)]
        .into_iter()
        .chain([&world.shop_main, &world.preview].map(|id| format!("/environment/{id}")))
    {
        assert_eq!(server.get(&gone, &acme.owner).await.status, 404, "{gone}");
    }
    assert_eq!(server.get(&acme.path("cluster"), &acme.owner).await.each("results", "name"), ["eu"]);
    let live = server.get(&format!("/environment/{}", world.live), &acme.owner).await.expect(200);
    assert_eq!(live["mode"], "PRODUCTION");

    let status = server.get(&acme.path("log"), &acme.owner).await.expect(200);
    let lost = status["turns"][0]["lost"].as_array().unwrap();
    for kind in ["role.deleted", "project.deleted", "environment.deleted", "cluster.deleted", "environment.updated"] {
        assert!(lost.iter().any(|it| it["kind"] == kind && it["repaired"] == true), "{kind}: {lost:?}");
    }
    // Their names are free.
    role(server, acme, "small", "invoices:read").await;
    made(server, acme, &acme.path("project"), json!({ "name": "shop" })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_deleted_comes_back() {
    let (server, acme) = Server::with_owner().await;
    let world = before_the_copy(&server, &acme).await;
    let (copy, server) = keep_copy(server, config).await;
    after_the_copy(&server, &acme, &world).await;
    let server = put_copy_back(server, &copy, config).await;
    in_the_older_copy(&server, &acme, &world).await;
    // Once: another start finds nothing to do, and what somebody chose since stays.
    let body = json!({ "name": "live", "mode": "STAGING" });
    server.call(Method::PUT, &format!("/environment/{}", world.live), &acme.owner, Some(body)).await.expect(200);
    let end = server.running.app.verifier.position();
    let server = server.restart().await;
    assert_eq!(server.running.app.verifier.position(), end);
    let live = server.get(&format!("/environment/{}", world.live), &acme.owner).await.expect(200);
    assert_eq!(live["mode"], "STAGING");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_deleted_comes_back_on_postgres() {
    let url = database().await;
    let kept = tempfile::tempdir().unwrap();
    let with = || Config { pepper: None, ..node_config(kept.path(), "a", &url) };
    let (server, acme) = Server::with_owner_and(tempfile::tempdir().unwrap(), with()).await;
    let world = before_the_copy(&server, &acme).await;
    let dump = Dump::of(&url);
    after_the_copy(&server, &acme, &world).await;
    server.stop().await;
    let (_, server) = restored(&dump, with()).await;
    in_the_older_copy(&server, &acme, &world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_deleted_organization_nothing_comes_back_and_nothing_is_written_besides_its_end() {
    let (server, acme) = Server::with_owner().await;
    let globex = server.new_organization("Globex").await;
    let text = server.token(&globex, "ci", "admin").await;
    let (leaver, session) = server.member(&globex, "leaver@globex.example", "viewer").await;
    let shop = made(&server, &globex, &globex.path("project"), json!({ "name": "shop" })).await;
    let clerk = role(&server, &globex, "clerk", "invoices:read").await;
    let body = json!({ "email": "invited@globex.example", "role_id": server.role(&globex, "viewer").await });
    let invited = made(&server, &globex, &globex.path("inviteMember"), body).await;
    let (copy, server) = keep_copy(server, config).await;
    let body = json!({ "user_id": leaver });
    server.call(Method::DELETE, &globex.path("member"), &globex.owner, Some(body)).await.expect(204);
    for path in [
        format!("/project/{shop}"),
        globex.path(&format!("customRole/{clerk}")),
        globex.path(&format!("inviteMember/{invited}")),
        format!("/organization/{}", globex.id),
    ] {
        assert!(server.delete(&path, &globex.owner).await.status.is_success(), "{path}");
    }
    let server = put_copy_back(server, &copy, config).await;
    for (path, credential, status) in [
        (globex.path("apiToken"), &globex.owner, 404),
        (globex.path("project"), &session, 404),
        (format!("/project/{shop}"), &globex.owner, 404),
        ("/token/self".to_owned(), &text, 401),
        (acme.path("apiToken"), &acme.owner, 200),
    ] {
        assert_eq!(server.get(&path, credential).await.status.as_u16(), status, "{path}");
    }
    let mut reader = server.running.app.store.read().await.unwrap();
    let all = log::after(reader.conn(), 0, 1_000).await.unwrap();
    let rewound = all.iter().position(|it| it.kind == "log.rewound").unwrap();
    let id: Uuid = globex.id.parse().unwrap();
    let of = all[rewound..].iter().filter(|it| it.organization_id == Some(id));
    assert_eq!(of.map(|it| it.kind.as_str()).collect::<Vec<_>>(), ["organization.deleted"]);
}
