//! Every endpoint × every role × own, other and absent organization × token, session and nobody.
//!
//! The endpoints and their rights come from the table in the code; who holds them is written down here a
//! second time.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_server::api::{Endpoint, EndpointRight, PathResource, endpoints};

use crate::support::{Organization, Server};

/// Custom roles by what they may do in the project and on the cluster of the fixture: n(othing), v(iew), d(eploy),
/// m(anage), everything (x).
const CUSTOM: [(&str, &str, &str); 5] = [
    ("c-nothing", "NO_ACCESS", "VIEWER"),
    ("c-viewer", "VIEWER", "VIEWER"),
    ("c-deployer", "DEPLOYER", "ENV_CREATOR"),
    ("c-manager", "MANAGER", "ENV_CREATOR"),
    ("c-admin", "admin", "ADMIN"),
];

/// Who holds a permission: o(wner) a(dmin) D(evops) b(illing) V(iewer) f (verifier), and the letters of [`CUSTOM`].
fn holders(permission: &str, on: PathResource) -> &'static str {
    match (permission, on) {
        ("organization:read", _) => "oaDbVfnvdmx",
        ("organization:edit" | "member:manage" | "role:manage" | "policy:manage", _) => "oa",
        ("organization:delete" | "organization:transfer", _) => "o",
        ("member:read", _) => "oaDbV",
        ("role:read" | "token:read" | "api:read", _) => "oaDV",
        ("token:manage" | "event:read" | "api:manage" | "project:create", _) => "oaD",
        ("token:rotate-self", PathResource::Caller) => "oaD",
        ("token:verify", _) => "oaDf",
        ("cluster:read", PathResource::Cluster) => "oaDbVnvdmx",
        ("cluster:manage", PathResource::Cluster) => "oaDx",
        ("cluster:manage", PathResource::Organization) => "oaD",
        ("project:read" | "environment:read" | "variable:read", _) => "oaDVvdmx",
        ("project:manage", _) => "oaDx",
        ("environment:manage" | "variable:manage", _) => "oaDmx",
        other => panic!("no expectation for {other:?}"),
    }
}

/// Who sees what a path names; everybody else gets 404.
fn viewers(on: PathResource) -> &'static str {
    match on {
        PathResource::Organization | PathResource::Caller => "oaDbVfnvdmx",
        PathResource::Project | PathResource::Environment => "oaDVvdmx",
        PathResource::Cluster => "oaDbVnvdmx",
    }
}

struct Actor {
    letter: char,
    name: String,
    credential: String,
    is_user: bool,
}

/// Ids for the parameters of paths.
#[derive(Clone)]
struct Place {
    organization: String,
    project: String,
    environment: String,
    cluster: String,
}

impl Place {
    fn absent() -> Self {
        let absent = || "01900000-0000-7000-8000-000000000000".to_owned();
        Self { organization: absent(), project: absent(), environment: absent(), cluster: absent() }
    }

    fn path(&self, endpoint: &Endpoint, thing: &str) -> String {
        endpoint
            .path
            .replace("{organizationId}", &self.organization)
            .replace("{projectId}", &self.project)
            .replace("{environmentId}", &self.environment)
            .replace("{clusterId}", &self.cluster)
            .split('/')
            .map(|part| if part.starts_with('{') { thing } else { part })
            .collect::<Vec<_>>()
            .join("/")
    }
}

async fn make_place(server: &Server, organization: &Organization) -> Place {
    let owner = &organization.owner;
    let id = |value: Value| value["id"].as_str().unwrap().to_owned();
    let cluster = json!({ "name": "main", "region": "eu-west-3", "cloud_provider": "AWS" });
    let cluster = id(server.post(&organization.path("cluster"), owner, cluster).await.expect(201));
    let project = id(server.post(&organization.path("project"), owner, json!({ "name": "shop" })).await.expect(200));
    let environment = json!({ "name": "dev", "cluster": cluster, "mode": "DEVELOPMENT" });
    let environment = id(server.post(&format!("/project/{project}/environment"), owner, environment).await.expect(201));
    Place { organization: organization.id.clone(), project, environment, cluster }
}

async fn make_actors(server: &Server, organization: &Organization, place: &Place) -> Vec<Actor> {
    for (name, level, cluster) in CUSTOM {
        let modes = ["DEVELOPMENT", "PREVIEW", "STAGING", "PRODUCTION"];
        let levels: Vec<Value> = modes
            .iter()
            .map(|mode| json!({ "environment_type": mode, "permission": if level == "admin" { "MANAGER" } else { level } }))
            .collect();
        let role = server.post(&organization.path("customRole"), &organization.owner, json!({ "name": name })).await;
        let id = role.expect(201)["id"].as_str().unwrap().to_owned();
        let body = json!({
            "name": name,
            "cluster_permissions": [{ "cluster_id": place.cluster, "permission": cluster }],
            "project_permissions": [{ "project_id": place.project, "is_admin": level == "admin", "permissions": levels }],
        });
        server.put(&organization.path(&format!("customRole/{id}")), &organization.owner, body).await.expect(200);
    }
    let mut actors = vec![Actor {
        letter: 'o',
        name: "owner session".into(),
        credential: organization.owner.clone(),
        is_user: true,
    }];
    let built_in = [('a', "admin"), ('D', "devops"), ('b', "billing"), ('V', "viewer"), ('f', "verifier")];
    let custom = ['n', 'v', 'd', 'm', 'x'].into_iter().zip(CUSTOM.map(|(name, ..)| name));
    for (letter, role) in built_in.into_iter().chain(custom) {
        let credential = server.token(organization, role, role).await;
        actors.push(Actor { letter, name: format!("{role} token"), credential, is_user: false });
        let (_, credential) = server.member(organization, &format!("{role}@acme.example"), role).await;
        actors.push(Actor { letter, name: format!("{role} session"), credential, is_user: true });
    }
    actors
}

/// What must come back. `None`: the request gets past the right, whatever comes of it then.
fn expected(endpoint: &Endpoint, actor: Option<&Actor>, own: bool) -> Option<u16> {
    let EndpointRight::Permission(permission, on) = endpoint.right else {
        return match (endpoint.right, actor) {
            (EndpointRight::Public, _) => None,
            (_, None) => Some(401),
            (EndpointRight::User, Some(actor)) if !actor.is_user => Some(403),
            // The organization of a decision is known only after it was found: the handler asks for the right.
            (EndpointRight::Caller, Some(actor)) if endpoint.path.starts_with("/decision/") => {
                (!holders("token:verify", PathResource::Caller).contains(actor.letter)).then_some(403)
            }
            _ => None,
        };
    };
    let Some(actor) = actor else { return Some(401) };
    // Where the path names no organization it is the caller's own.
    if (!own && on != PathResource::Caller) || !viewers(on).contains(actor.letter) {
        return Some(404);
    }
    if !holders(permission.as_str(), on).contains(actor.letter) || (endpoint.user_only && !actor.is_user) {
        return Some(403);
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_opens_to_those_who_hold_its_right_and_to_nobody_else() {
    let (server, acme) = Server::with_owner().await;
    let own = make_place(&server, &acme).await;
    let actors = make_actors(&server, &acme, &own).await;
    let other = make_place(&server, &server.new_organization("Other").await).await;

    let nobody: Option<&Actor> = None;
    let mut asked = 0;
    let mut reached = BTreeSet::new();
    for endpoint in endpoints() {
        for actor in actors.iter().map(Some).chain([nobody]) {
            for (which, place) in [("own", &own), ("other", &other), ("absent", &Place::absent())] {
                let want = expected(&endpoint, actor, which == "own");
                // What would really be deleted, or would end the session that the test goes on with.
                if want.is_none() && endpoint.method == Method::DELETE {
                    continue;
                }
                let thing = "01900000-0000-7000-8000-00000000abcd";
                let path = place.path(&endpoint, thing);
                let credential = actor.map_or("", |actor| actor.credential.as_str());
                // A body that no endpoint accepts: whoever gets past the right gets 400, and nothing changes.
                let body = (endpoint.method != Method::GET).then(|| json!({ "no such field": true }));
                let answer = server.call(endpoint.method.clone(), &path, credential, body).await;
                let got = answer.status.as_u16();
                let about = format!(
                    "{} {} as {} in {which}: {}",
                    endpoint.method,
                    endpoint.path,
                    actor.map_or("nobody", |a| &a.name),
                    answer.text
                );
                match want {
                    Some(status) => assert_eq!(got, status, "{about}"),
                    None => {
                        let refused = matches!(got, 401 | 403) && endpoint.right != EndpointRight::Public;
                        // Below a resource that is seen, the made-up id of a thing is not found.
                        let lost = got == 404 && !endpoint.path.ends_with('}') && !endpoint.path.contains("}/");
                        assert!(!refused && !lost && got < 500, "{about}");
                        reached.insert((endpoint.method.to_string(), endpoint.path));
                    }
                }
                asked += 1;
            }
        }
    }
    assert!(asked > 4_000, "{asked}");
    assert!(reached.len() > 40, "{reached:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_id_and_an_absent_one_get_the_same_bytes() {
    let (server, acme) = Server::with_owner().await;
    let other = server.new_organization("Other").await;
    let foreign = make_place(&server, &other).await;
    let admin = server.token(&acme, "admin", "admin").await;
    for endpoint in
        endpoints().iter().filter(|e| matches!(e.right, EndpointRight::Permission(_, on) if on != PathResource::Caller))
    {
        let thing = "01900000-0000-7000-8000-00000000abcd";
        let body = || (endpoint.method != Method::GET).then(|| json!({ "no such field": true }));
        let call = |place: &Place| {
            let path = place.path(endpoint, thing);
            let (server, admin) = (&server, &admin);
            let method = endpoint.method.clone();
            async move { server.call(method, &path, admin, body()).await }
        };
        let (a, b) = (call(&foreign).await, call(&Place::absent()).await);
        assert_eq!((a.status.as_u16(), &a.text), (404, &b.text), "{} {}", endpoint.method, endpoint.path);
        assert_eq!(a.headers.len(), b.headers.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_and_the_router_name_the_same_endpoints() {
    let server = Server::start().await;
    let document = server.get("/openapi.json", "").await.expect(200);
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
        })
        .collect();
    let table: BTreeSet<(String, String)> =
        endpoints().iter().map(|e| (e.method.to_string(), e.path.to_owned())).collect();
    assert_eq!(described, table);
    let place = Place::absent();
    for endpoint in endpoints() {
        let path = place.path(&endpoint, "01900000-0000-7000-8000-00000000abcd");
        let answer = server.call(endpoint.method.clone(), &path, "", None).await;
        let routed = !answer.text.contains("There is nothing at") && answer.status.as_u16() != 405;
        assert!(routed, "{} {}: {}", endpoint.method, endpoint.path, answer.text);
        // What the document says of the right is what the table says.
        let said = &document["paths"][endpoint.path][endpoint.method.as_str().to_lowercase()]["x-permission"];
        match endpoint.right {
            EndpointRight::Permission(permission, _) => assert_eq!(said, permission.as_str()),
            _ => assert!(said.is_null()),
        }
    }
    // A method that the table does not have is not routed.
    assert_eq!(server.call(Method::PATCH, "/organization", "", None).await.outcome().0, 405);
    assert_eq!(server.call(Method::GET, "/no/such/path", "", None).await.outcome().0, 404);
}
