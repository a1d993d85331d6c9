//! A session for one organization alone finds no other, and nothing of the account.

use serde_json::json;

use super::{VERIFIER, code, redeem};
use crate::console::Person;
use crate::support::{PASSWORD, Server};

#[tokio::test]
async fn a_session_for_one_organization_reaches_nothing_else() {
    let (server, acme) = Server::with_owner().await;
    let other = server.post("/organization", &acme.owner, json!({ "name": "Labs" })).await.expect(201);
    let other = other["id"].as_str().unwrap().to_owned();
    let mut owner = Person::owner(&server).await;
    let given = code(&mut owner, &[("organization", &acme.id)]).await;
    let token = redeem(&server, &given, VERIFIER).await.str("access_token");
    owner.get("/console/account").await.says(200, "with a password, for Acme alone");
    let list = server.get("/organization", &token).await;
    assert_eq!(list.each("results", "id"), std::slice::from_ref(&acme.id));
    server.get(&acme.path(""), &token).await.expect(200);
    // What is there and what is not get the same bytes.
    let absent = "019ab000-0000-7000-8000-000000000000";
    for path in ["", "/apiToken", "/member", "/events", "/availableRole"] {
        let [there, nowhere] = [other.as_str(), absent].map(|id| format!("/organization/{id}{path}"));
        let (there, nowhere) = (server.get(&there, &token).await, server.get(&nowhere, &token).await);
        assert_eq!((there.status.as_u16(), &there.text), (404, &nowhere.text), "{path}");
    }
    let project = format!("/organization/{other}/project");
    let project = server.post(&project, &acme.owner, json!({ "name": "p" })).await.str("id");
    let answers = [
        server.get(&format!("/project/{project}"), &token).await,
        server.get(&format!("/project/{absent}"), &token).await,
    ];
    assert_eq!((answers[0].status.as_u16(), &answers[0].text), (404, &answers[1].text));
    let body = json!({ "name": "t", "role_id": null });
    server.post(&format!("/organization/{other}/apiToken"), &token, body.clone()).await.expect(404);
    server.post(&acme.path("apiToken"), &token, body).await.expect(201);
    // The account is everybody's of its organizations: only what is about this session is its own.
    let refused = (403, "user_required".to_owned());
    for path in ["/account/session", "/account/identity", "/account/events"] {
        assert_eq!(server.get(path, &token).await.outcome(), refused, "{path}");
    }
    server.get("/account", &token).await.expect(200);
    assert_eq!(server.post("/organization", &token, json!({ "name": "New" })).await.outcome(), refused);
    let list = server.get("/account/session", &acme.owner).await.expect(200);
    let (mut own, mut another) = (String::new(), String::new());
    for session in list["results"].as_array().unwrap() {
        let id = session["id"].as_str().unwrap().to_owned();
        if session["organization_id"] == json!(acme.id) { own = id } else { another = id }
    }
    assert!(!own.is_empty());
    assert_eq!(server.delete(&format!("/account/session/{another}"), &token).await.outcome(), refused);
    // An invitation to a third organization is not accepted with it.
    let (second, role) = (server.new_organization("Third").await, "viewer");
    let body = json!({ "email": crate::support::OWNER, "role_id": server.role(&second, role).await });
    let invitation = server.post(&second.path("inviteMember"), &second.owner, body).await.expect(201);
    let secret = invitation["invitation_link"].as_str().unwrap().rsplit('/').next().unwrap();
    let path = second.path(&format!("inviteMember/{}", invitation["id"].as_str().unwrap()));
    assert_eq!(server.post(&path, &token, json!({ "secret": secret })).await.outcome(), refused);
    // It can be proven, and ended.
    let token = server.post("/session/proof", &token, json!({ "password": PASSWORD })).await.str("token");
    assert_eq!(server.get("/organization", &token).await.each("results", "id"), std::slice::from_ref(&acme.id));
    assert_eq!(server.get("/account/session", &token).await.outcome(), refused, "a proof widens nothing");
    server.delete("/session", &token).await.expect(204);
    server.get("/organization", &token).await.expect(401);
}
