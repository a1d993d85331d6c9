//! What no endpoint takes. A client of the published contract takes 404, 403, and a 400 whose text holds "exist" for "this
//! object is gone": nothing that is no look-up of an object may answer so.

use reqwest::Method;
use serde_json::json;
use tokenward_server::api::not_served;

use crate::support::Server;
use crate::support::expected::invalid;

const ID: &str = "01900000-0000-7000-8000-00000000abcd";

/// A path with this id for each of its parameters.
fn filled(path: &str, id: &str) -> String {
    path.split('/').map(|segment| if segment.starts_with('{') { id } else { segment }).collect::<Vec<_>>().join("/")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_published_contract_has_and_we_do_not_is_501_for_every_id() {
    let (server, acme) = Server::with_owner().await;
    let viewer = server.token(&acme, "viewer", "viewer").await;
    let all = not_served();
    assert!(all.len() > 300, "{}", all.len());
    for (method, path) in &all {
        let method: Method = method.parse().unwrap();
        for id in [ID, &acme.id, "no-uuid"] {
            let path = filled(path, id);
            for credential in [&viewer, &acme.owner] {
                let answer = server.call(method.clone(), &path, credential, None).await;
                assert_eq!(answer.outcome(), (501, "not_supported".to_owned()), "{method} {path}: {}", answer.text);
            }
        }
        let stranger = server.call(method.clone(), &filled(path, ID), "", None).await;
        assert_eq!(stranger.outcome(), (401, "missing_credentials".to_owned()), "{method} {path}");
    }
    for known in
        [("POST", "/environment/{environmentId}/deploy"), ("GET", "/organization/{organizationId}/aws/credentials")]
    {
        assert!(all.contains(&(known.0, known.1.to_owned())), "{known:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_nobody_knows_is_told_apart_from_an_object_that_is_not_there() {
    let (server, acme) = Server::with_owner().await;
    let answer = server.call(Method::PATCH, &format!("/project/{ID}"), &acme.owner, None).await;
    assert_eq!(answer.outcome(), (405, "method_not_allowed".to_owned()));
    let nonsense = format!("/environment/{ID}/nonsense");
    assert_eq!(server.get(&nonsense, &acme.owner).await.outcome(), (404, "unknown_path".to_owned()));
    assert_eq!(server.get(&format!("/project/{ID}"), &acme.owner).await.outcome(), (404, "not_found".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_segment_is_400_and_says_where_the_slash_comes_from() {
    let (server, acme) = Server::with_owner().await;
    let made = server.post(&acme.path("project"), &acme.owner, json!({ "name": "shop" })).await.expect(200);
    let project = made["id"].as_str().unwrap();
    let problem =
        "has an empty segment; if the base address that your client was given ends in a slash, take that slash off";
    for path in [
        format!("//project/{project}"),
        format!("/project/{project}/"),
        format!("/project//{project}"),
        format!("//organization/{}/apiToken", acme.id),
        "//environment//status".to_owned(),
        "/environment/".to_owned(),
    ] {
        for credential in [acme.owner.as_str(), ""] {
            assert_eq!(server.get(&path, credential).await.pair(), invalid(&[("path", problem)]), "{path}");
        }
    }
    server.get(&format!("/project/{project}"), &acme.owner).await.expect(200);
}
