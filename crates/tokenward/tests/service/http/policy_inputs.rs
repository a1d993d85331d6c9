//! What a policy is shown of a request: what its path is about, and nothing of others; what answers and the log show of policy tokens.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Organization, Server};

/// A project with an environment on a cluster: their ids.
struct Places {
    project: String,
    environment: String,
    cluster: String,
}

async fn places(server: &Server, acme: &Organization, name: &str) -> Places {
    let body = json!({ "name": name, "region": "eu-west-3", "cloud_provider": "AWS" });
    let cluster = server.post(&acme.path("cluster"), &acme.owner, body).await.str("id");
    let project = server.post(&acme.path("project"), &acme.owner, json!({ "name": name })).await.str("id");
    let body = json!({ "name": name, "cluster": cluster, "mode": "STAGING" });
    let environment = server.post(&format!("/project/{project}/environment"), &acme.owner, body).await.str("id");
    Places { project, environment, cluster }
}

#[tokio::test]
async fn a_path_is_about_the_narrowest_thing_that_it_names_and_about_nothing_of_others() {
    let (server, acme) = Server::with_owner().await;
    let own = places(&server, &acme, "shop").await;
    let beside = places(&server, &acme, "site").await;
    let other = server.new_organization("Other").await;
    let theirs = places(&server, &other, "theirs").await;
    // Is the request about exactly these: project, environment, cluster?
    let is_about = async |path: &str, gateway: bool, about: [Option<&str>; 3]| {
        let [project, environment, cluster] = about;
        let place = json!({
            "organization_id": acme.id, "project_id": project, "environment_id": environment, "cluster_id": cluster,
            "service_id": null, "service_type": null,
        });
        let policy = format!("allow if {{\n\tinput.qovery_metadata == {place}\n\tinput.resource == {place}\n}}");
        let requests = json!([{ "method": "GET", "path": path, "gateway": gateway }]);
        let body = json!({ "opa_policy": policy, "requests": requests });
        let said = server.post(&acme.path("policyApiToken/evaluate"), &acme.owner, body).await.expect(200);
        (said["results"][0]["allowed"].as_bool().unwrap(), said["results"][0]["detail"].as_str().unwrap().to_owned())
    };
    let (project, environment, cluster) = (own.project.as_str(), own.environment.as_str(), own.cluster.as_str());
    let whole = [Some(project), Some(environment), Some(cluster)];
    let nothing = [None, None, None];
    let organization = &acme.id;
    for (path, gateway, about) in [
        (format!("/environment/{environment}/deploy"), false, whole),
        (format!("/project/{project}"), false, [Some(project), None, None]),
        (format!("/project/{project}/environment"), false, [Some(project), None, None]),
        (format!("/organization/{organization}/cluster/{cluster}"), false, [None, None, Some(cluster)]),
        (format!("/organization/{organization}/project"), false, nothing),
        // Where a thing is says the thing, and not what else stands in the path.
        (format!("/project/{}/environment/{environment}", beside.project), false, whole),
        (format!("/cluster/{}/environment/{environment}", beside.cluster), false, whole),
        ("/application/00000000-0000-7000-8000-000000000009/deploy".to_owned(), false, nothing),
        (format!("/deployments/{environment}"), true, whole),
        (format!("/deployments/{}", theirs.environment), true, nothing),
        (format!("/deployments/{}/{}", theirs.project, theirs.cluster), true, nothing),
    ] {
        let (allowed, detail) = is_about(&path, gateway, about).await;
        assert!(allowed, "{path}: {detail}");
        // The question can be answered with a no.
        let wrong = [Some(theirs.project.as_str()), None, None];
        assert!(!is_about(&path, gateway, wrong).await.0, "{path}");
    }
    for path in [
        format!("/environment/{}", theirs.environment),
        format!("/project/{}/environment/{environment}", theirs.project),
        format!("/organization/{}/project", other.id),
        format!("/organization/{organization}/cluster/{}", theirs.cluster),
    ] {
        let (allowed, detail) = is_about(&path, false, nothing).await;
        assert!(!allowed && detail.contains("does not have"), "{path}: {detail}");
    }
    // Our API knows an id in each of its forms; a policy that names one knows it in one.
    let forms = [environment.to_uppercase(), environment.replace('-', ""), environment.to_owned()];
    let requests = forms.map(|id| json!({ "method": "DELETE", "path": format!("/environment/{id}") }));
    let policy = format!("allow if not input.resource.environment_id == \"{environment}\"");
    let negative = json!({ "opa_policy": policy, "requests": requests });
    let said = server.post(&acme.path("policyApiToken/evaluate"), &acme.owner, negative).await.expect(200);
    for answer in said["results"].as_array().unwrap() {
        assert_eq!(answer["allowed"], false, "{answer}");
    }
    assert!(is_about(&format!("/deployments/{}", environment.replace('-', "")), true, whole).await.0);
}

#[tokio::test]
async fn a_secret_and_a_policy_are_never_in_the_same_answer() {
    let (server, acme) = Server::with_owner().await;
    let list = acme.path("policyApiToken");
    let policy = "allow if input.request.method == \"GET\"";
    let body = json!({ "name": "reader", "description": "reads", "opa_policy": policy });
    let made = server.post(&list, &acme.owner, body).await.expect(201);
    let path = format!("{list}/{}", made["id"].as_str().unwrap());
    let base =
        ["id", "created_at", "updated_at", "name", "description", "role_name", "role_id", "creator_name", "expires_at"];
    let has = |answer: &Value, more: &[&str], not: &[&str]| {
        for key in base.iter().chain(more) {
            assert!(answer.get(key).is_some(), "{key} is missing: {answer}");
        }
        for key in not {
            assert_eq!(answer.get(key), None, "{answer}");
        }
    };
    has(&made, &["token", "user_sub"], &["opa_policy"]);
    let rotated = server.post(&format!("{path}/rotate"), &acme.owner, json!({ "keep": "0" })).await.expect(200);
    has(&rotated, &["token", "user_sub"], &["opa_policy"]);
    assert_ne!(rotated["token"], made["token"]);
    let listed = server.get(&list, &acme.owner).await.expect(200)["results"][0].clone();
    let shown = server.get(&path, &acme.owner).await.expect(200);
    let edit = json!({ "description": "still reads" });
    let edited = server.call(Method::PATCH, &path, &acme.owner, Some(edit)).await.expect(200);
    for answer in [&listed, &shown, &edited] {
        has(answer, &["opa_policy"], &["token", "user_sub"]);
        assert_eq!(answer["opa_policy"], policy);
    }
}

#[tokio::test]
async fn what_a_policy_denies_a_service_and_a_gateway_is_told_to_the_log_as_well() {
    let (server, acme) = Server::with_owner().await;
    let made = async |name: &str| {
        let body = json!({ "name": name, "opa_policy": "allow if input.request.path[0] == \"invoices\"" });
        let made = server.post(&acme.path("policyApiToken"), &acme.owner, body).await.expect(201);
        (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
    };
    let (asked, text) = made("asked").await;
    let body = json!({ "token": text, "request": { "method": "GET", "path": "/orders?secret=1" } });
    assert_eq!(server.post("/verify", &acme.owner, body).await.str("code"), "policy_denied");
    let (held, text) = made("held").await;
    let headers = [("x-forwarded-method", "PUT"), ("x-forwarded-uri", "/orders?secret=1")];
    let ask = format!("/forward-auth?organization={}&permission=orders:read", acme.id);
    let refused = server.call_with(Method::GET, &ask, &text, None, &headers).await;
    assert_eq!(refused.outcome(), (403, "policy_denied".into()));
    for (id, name, method) in [(asked, "asked", "GET"), (held, "held", "PUT")] {
        let failed = acme.path(&format!("events?targetId={id}&eventType=POLICY_FAILED"));
        let mut events = Vec::new();
        for _ in 0..100 {
            events = server.get(&failed, &acme.owner).await.expect(200)["events"].as_array().unwrap().clone();
            if !events.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let event = events.first().unwrap_or_else(|| panic!("nothing is told of {name}"));
        assert_eq!(event["triggered_by"], format!("policy:{id}:{name}"), "{event}");
        assert_eq!((&event["target_type"], &event["target_name"]), (&json!("ORGANIZATION"), &json!(name)));
        assert_eq!(event["sub_target_type"], "POLICY_API_TOKEN");
        let change: Value = serde_json::from_str(event["change"].as_str().unwrap()).unwrap();
        assert_eq!((&change["method"], &change["path"]), (&json!(method), &json!("/orders")));
        assert_eq!(change["count"], 1);
    }
}
