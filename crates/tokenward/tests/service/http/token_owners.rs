//! Who is accountable for a token: its owner, the successor of that one, and what becomes of it when an owner leaves.

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::Clock as _;
use tokenward_core::time::MINUTE;

use crate::console::Person;
use crate::support::expected::invalid;
use crate::support::{Organization, Server};

/// The user's id of whoever owns the organization.
async fn owner_id(server: &Server, acme: &Organization) -> String {
    let members = server.get(&acme.path("member"), &acme.owner).await.expect(200);
    let all = members["results"].as_array().unwrap();
    all.iter().find(|it| it["email"] == crate::support::OWNER).unwrap()["id"].as_str().unwrap().to_owned()
}

async fn shown(server: &Server, acme: &Organization, id: &str) -> Value {
    server.get(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.expect(200)
}

async fn with_owner(server: &Server, acme: &Organization, name: &str, owner: &Value) -> String {
    let role = server.role(acme, "viewer").await;
    server.new_token(acme, json!({ "name": name, "role_id": role, "owner_id": owner })).await.0
}

#[tokio::test]
async fn a_token_has_the_owner_that_is_named_or_that_of_who_makes_it() {
    let (server, acme) = Server::with_owner().await;
    let own = owner_id(&server, &acme).await;
    let (ada, session) = server.member(&acme, "ada@acme.example", "admin").await;
    let viewer = server.role(&acme, "viewer").await;
    // A person who makes one, a token that makes one, and one that says otherwise.
    let body = |name: &str| json!({ "name": name, "role_id": viewer });
    let by_person = server.post(&acme.path("apiToken"), &session, body("by-ada")).await.expect(201);
    assert_eq!((&by_person["owner_id"], &by_person["owner_name"]), (&json!(ada), &json!("ada@acme.example")));
    let of_ada = json!({ "name": "terraform", "role_id": server.role(&acme, "devops").await });
    let terraform = server.post(&acme.path("apiToken"), &session, of_ada).await.str("token");
    let by_token = server.post(&acme.path("apiToken"), &terraform, body("by-token")).await.expect(201);
    assert_eq!(by_token["owner_id"], json!(ada), "of the token that made it");
    let nobody = with_owner(&server, &acme, "nobody", &Value::Null).await;
    assert_eq!(shown(&server, &acme, &nobody).await.get("owner_id"), None);
    let (id, _) =
        server.new_token(&acme, json!({ "name": "ci", "role_id": viewer, "owner_id": own, "successor_id": ada })).await;
    let token = shown(&server, &acme, &id).await;
    assert_eq!((&token["owner_id"], &token["successor_id"], token.get("owner_left")), (&json!(own), &json!(ada), None));
    // They are found.
    let found = server.get(&acme.path(&format!("apiToken?ownerId={ada}")), &acme.owner).await;
    assert_eq!(found.each("results", "name"), ["by-ada", "terraform", "by-token"]);
    // Another one; an event has both.
    let path = acme.path(&format!("apiToken/{id}"));
    let edit = server.call(Method::PATCH, &path, &acme.owner, Some(json!({ "owner_id": ada }))).await.expect(200);
    assert_eq!((&edit["owner_id"], edit.get("successor_id")), (&json!(ada), None), "who owns it takes it over no more");
    let events = server.get(&acme.path(&format!("events?targetId={id}&pageSize=1")), &acme.owner).await.expect(200);
    let change = events["events"][0]["change"].as_str().unwrap().to_owned();
    assert!(
        change.contains(&ada) && events["events"][0]["original_change"].as_str().unwrap().contains(&own),
        "{events}"
    );
    let none = server.call(Method::PATCH, &path, &acme.owner, Some(json!({ "owner_id": null }))).await.expect(200);
    assert_eq!(none.get("owner_id"), None);
}

#[tokio::test]
async fn only_a_member_is_an_owner_or_a_successor() {
    let (server, acme) = Server::with_owner().await;
    let own = owner_id(&server, &acme).await;
    let other = server.new_organization("Globex").await;
    let (stranger, _) = server.member(&other, "eve@globex.example", "viewer").await;
    let viewer = server.role(&acme, "viewer").await;
    let problem = "is not a member of this organization";
    for id in [stranger.clone(), viewer.clone()] {
        for field in ["owner_id", "successor_id"] {
            let body = json!({ "name": "ci", "role_id": viewer, field: id });
            let refused = server.post(&acme.path("apiToken"), &acme.owner, body).await;
            assert_eq!(refused.pair(), invalid(&[(field, problem)]), "a stranger and nobody get the same words");
        }
    }
    let same = json!({ "name": "ci", "role_id": viewer, "owner_id": own, "successor_id": own });
    let refused = server.post(&acme.path("apiToken"), &acme.owner, same).await;
    assert!(refused.status == 400 && refused.text.contains("is the owner of the token"), "{}", refused.text);
    let ci = with_owner(&server, &acme, "ci", &json!(own)).await;
    let path = acme.path(&format!("apiToken/{ci}"));
    let edit = server.call(Method::PATCH, &path, &acme.owner, Some(json!({ "owner_id": stranger }))).await;
    assert_eq!(edit.pair(), invalid(&[("owner_id", problem)]));
}

#[tokio::test]
async fn tokens_of_who_leaves_are_handed_over_or_go_to_successors_or_are_marked() {
    let (server, acme) = Server::with_owner().await;
    let own = owner_id(&server, &acme).await;
    let [(ada, _), (bob, _), (eve, _)] = [
        server.member(&acme, "ada@acme.example", "devops").await,
        server.member(&acme, "bob@acme.example", "viewer").await,
        server.member(&acme, "eve@acme.example", "viewer").await,
    ];
    let plain = with_owner(&server, &acme, "plain", &json!(ada)).await;
    let viewer = server.role(&acme, "viewer").await;
    let planned = json!({ "name": "planned", "role_id": viewer, "owner_id": ada, "successor_id": bob });
    let (planned, text) = server.new_token(&acme, planned).await;
    let members = acme.path("member");
    let leave = |user: &str| json!({ "user_id": user });
    assert_eq!(server.call(Method::DELETE, &members, &acme.owner, Some(leave(&ada))).await.status, 204);
    let (plain_now, planned_now) = (shown(&server, &acme, &plain).await, shown(&server, &acme, &planned).await);
    assert_eq!((&plain_now["owner_left"], &plain_now["owner_name"]), (&json!(true), &json!("ada@acme.example")));
    assert_eq!((&planned_now["owner_id"], planned_now.get("owner_left")), (&json!(bob), None));
    let left = server.get(&acme.path("apiToken?ownerLeft=true"), &acme.owner).await;
    assert_eq!(left.each("results", "name"), ["plain"]);
    // It goes on being accepted: whoever uses it is somebody else.
    assert_eq!(server.post("/verify", &acme.owner, json!({ "token": text })).await.str("code"), "valid");

    // Named: whoever says so must manage tokens, and name another member.
    let hand_over = |user: &str, to: &str| json!({ "user_id": user, "hand_over_to": to });
    for (to, says) in [(bob.as_str(), "is the member whose"), ("nobody", "is not a member"), (&ada, "is not a member")]
    {
        let refused = server.call(Method::DELETE, &members, &acme.owner, Some(hand_over(&bob, to))).await;
        assert!(refused.status == 400 && refused.text.contains(says), "{}", refused.text);
    }
    let demote = json!({ "user_id": bob, "role_id": server.role(&acme, "billing").await, "hand_over_to": eve });
    server.call(Method::PUT, &members, &acme.owner, Some(demote)).await;
    assert_eq!(shown(&server, &acme, &planned).await["owner_id"], json!(eve));
    assert_eq!(server.call(Method::DELETE, &members, &acme.owner, Some(hand_over(&eve, &own))).await.status, 204);
    let token = shown(&server, &acme, &planned).await;
    assert_eq!((&token["owner_id"], token.get("owner_left")), (&json!(own), None));
}

#[tokio::test]
async fn many_are_handed_over_and_switched_on_at_once() {
    let (server, acme) = Server::with_owner().await;
    let (ada, _) = server.member(&acme, "ada@acme.example", "viewer").await;
    let own = owner_id(&server, &acme).await;
    for name in ["ci-1", "ci-2"] {
        with_owner(&server, &acme, name, &json!(ada)).await;
    }
    let act = async |query: &str, action: Value| {
        let path = acme.path(&format!("apiToken/bulk?{query}"));
        let mut look = action.clone();
        look["dry_run"] = json!(true);
        let seen = server.post(&path, &acme.owner, look).await.expect(200);
        let mut act = action;
        act["set"] = seen["set"].clone();
        server.post(&path, &acme.owner, act).await
    };
    let of_ada = format!("ownerId={ada}");
    let done = act(&of_ada, json!({ "action": "hand_over", "owner_id": own })).await.expect(200);
    assert_eq!(done["done"], 2);
    assert_eq!(act(&of_ada, json!({ "action": "hand_over", "owner_id": own })).await.status, 409, "none is left");
    let stranger = act("name=ci", json!({ "action": "hand_over", "owner_id": acme.id })).await;
    assert_eq!(stranger.pair(), invalid(&[("owner_id", "is not a member of this organization")]));
    assert_eq!(act("name=ci", json!({ "action": "hand_over", "owner_id": null })).await.expect(200)["done"], 2);
    assert_eq!(act("name=ci", json!({ "action": "disable" })).await.expect(200)["done"], 2);
    assert_eq!(act("name=ci", json!({ "action": "enable" })).await.expect(200)["done"], 2);
    let all = server.get(&acme.path("apiToken?name=ci"), &acme.owner).await;
    assert_eq!(all.each("results", "state"), ["active", "active"]);
    let missing =
        server.post(&acme.path("apiToken/bulk"), &acme.owner, json!({ "action": "hand_over", "dry_run": true })).await;
    assert!(missing.status == 400 && missing.text.contains("owner_id"), "{}", missing.text);
}

#[tokio::test]
async fn what_has_ended_is_no_token_of_a_member_from_its_end_on() {
    let (server, acme) = Server::frozen().await;
    let (ada, _) = server.member(&acme, "ada@acme.example", "devops").await;
    let viewer = server.role(&acme, "viewer").await;
    let ends = server.clock.now().plus(MINUTE).to_string();
    let short = json!({ "name": "shortlived", "role_id": viewer, "owner_id": ada, "expires_at": ends });
    server.new_token(&acme, short).await;
    with_owner(&server, &acme, "longlived", &json!(ada)).await;
    let mut owner = Person::owner(&server).await;
    let remove = format!("/console/{}/members/{ada}/remove", acme.id);
    owner.get(&remove).await.says(200, "shortlived").says(200, "longlived");
    // Nothing has marked it yet.
    server.clock.advance(MINUTE);
    let page = owner.get(&remove).await.says(200, "longlived");
    assert!(!page.html.contains("shortlived"), "{}", page.html);
}

#[tokio::test]
async fn the_console_asks_who_is_accountable_and_hands_over() {
    let (server, acme) = Server::with_owner().await;
    let base = format!("/console/{}", acme.id);
    let (ada, _) = server.member(&acme, "ada@acme.example", "devops").await;
    let (bob, _) = server.member(&acme, "bob@acme.example", "viewer").await;
    let viewer = server.role(&acme, "viewer").await;
    let mut owner = Person::owner(&server).await;
    owner.get(&format!("{base}/tokens/new")).await.says(200, "Who is accountable for it?");
    let form = [("name", "ci"), ("role_id", &viewer), ("expires", "30d"), ("owner_id", &ada), ("successor_id", "")];
    owner.post(&format!("{base}/tokens"), &form).await.says(201, "is ready");
    let remove = format!("{base}/members/{ada}/remove");
    owner.get(&remove).await.says(200, "Hand over to").says(200, "owned");
    owner.post(&remove, &[("hand_over_to", bob.as_str())]).await.leads_to(&format!("{base}/members"));
    let all = server.get(&acme.path(&format!("apiToken?ownerId={bob}")), &acme.owner).await;
    assert_eq!(all.each("results", "name"), ["ci"]);
    let id = all.each("results", "id").remove(0);
    owner.get(&format!("{base}/tokens/{id}")).await.says(200, "bob@acme.example");
    owner.get(&format!("{base}/members/{bob}/remove")).await;
    owner.post(&format!("{base}/members/{bob}/remove"), &[]).await.leads_to(&format!("{base}/members"));
    owner.get(&format!("{base}/tokens")).await.says(200, "owner left");
    owner.get(&format!("{base}/tokens?filter=unowned")).await.says(200, "owner left");
    // A form that changes something else can be sent as it is.
    owner.get(&format!("{base}/tokens/{id}/edit")).await.says(200, "Somebody who has left");
    owner.get(&format!("{base}/tokens")).await;
    let page = owner.post(&format!("{base}/tokens/bulk"), &[("action", "hand_over"), ("token", &id)]).await;
    let page = page.says(200, "Who is accountable for these tokens?");
    let set = page.html.split("name=\"set\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let own = owner_id(&server, &acme).await;
    let form = [("action", "hand_over"), ("token", id.as_str()), ("set", &set), ("owner_id", &own)];
    owner.post(&format!("{base}/tokens/bulk"), &form).await.leads_to(&format!("{base}/tokens"));
    assert_eq!(shown(&server, &acme, &id).await["owner_id"], json!(own));
}
