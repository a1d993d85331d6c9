//! Tokens in the console: edited, rotated, switched off, deleted and brought back.

use reqwest::Method;
use serde_json::json;
use sha2::Digest as _;
use tokenward_core::time::DAY;

use crate::console::{Page, Person, hidden, world};

#[tokio::test]
async fn networks_are_lines_of_the_form_and_stay_where_a_form_has_none() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let viewer = server.role(&organization, "viewer").await;
    let new = |networks: &'static str| {
        [("name", "ci"), ("role_id", viewer.as_str()), ("expires", "never"), ("networks", networks)]
    };
    owner.get(&format!("{base}/tokens/new")).await.says(200, "From which networks?");
    let page = owner.post(&format!("{base}/tokens"), &new("10.0.0.1/8 office")).await;
    let page = page.says(400, "it lies in 10.0.0.0/8");
    assert!(page.html.contains("10.0.0.1/8 office</textarea>"), "what was typed is kept: {}", page.html);
    owner.post(&format!("{base}/tokens"), &new("\r\n10.0.0.0/8   the office \r\n\r\n::1\r\n")).await.says(201, "twd_");
    let tokens = server.get(&organization.path("apiToken"), &organization.owner).await.json();
    let token = tokens["results"].as_array().unwrap().iter().find(|it| it["name"] == "ci").unwrap().clone();
    assert_eq!(token["networks"], json!([{ "network": "10.0.0.0/8", "note": "the office" }, { "network": "::1" }]));
    let id = token["id"].as_str().unwrap();
    let page = owner.get(&format!("{base}/tokens/{id}/edit")).await.says(200, "10.0.0.0/8 the office\n::1</textarea>");
    owner.get(&format!("{base}/tokens/{id}")).await.says(200, "10.0.0.0/8</span> the office");
    let version = hidden(&page, "version");
    let edit = [("name", "ci"), ("role_id", &viewer), ("expires", "keep"), ("version", &version)];
    owner.post(&format!("{base}/tokens/{id}/edit"), &edit).await.leads_to(&format!("{base}/tokens/{id}"));
    let one = organization.path(&format!("apiToken/{id}"));
    assert_eq!(server.get(&one, &organization.owner).await.json()["networks"], token["networks"]);
    let version = hidden(&owner.get(&format!("{base}/tokens/{id}/edit")).await, "version");
    let edit = [("name", "ci"), ("role_id", &viewer), ("expires", "keep"), ("version", &version), ("networks", "")];
    owner.post(&format!("{base}/tokens/{id}/edit"), &edit).await.leads_to(&format!("{base}/tokens/{id}"));
    assert_eq!(server.get(&one, &organization.owner).await.json().get("networks"), None);
}

#[tokio::test]
async fn a_new_token_that_is_loaded_again_was_shown_already() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let viewer = server.role(&organization, "viewer").await;
    let shown = hidden(&owner.get(&format!("{base}/tokens/new")).await, "shown");
    let form = [("name", "ci"), ("role_id", viewer.as_str()), ("expires", "never"), ("shown", shown.as_str())];
    owner.post(&format!("{base}/tokens"), &form).await.says(201, "twd_");
    let again = owner.post(&format!("{base}/tokens"), &form).await.says(409, "It was shown already");
    assert!(!again.html.contains("twd_") && again.html.contains("/rotate"), "{}", again.html);
    let tokens = server.get(&organization.path("apiToken"), &organization.owner).await;
    assert_eq!(tokens.each("results", "name").iter().filter(|name| *name == "ci").count(), 1);
    // A form that was opened afterwards means another token, and so does one of somebody else.
    let shown = hidden(&owner.get(&format!("{base}/tokens/new")).await, "shown");
    let later = [("name", "ci"), ("role_id", viewer.as_str()), ("expires", "never"), ("shown", shown.as_str())];
    owner.post(&format!("{base}/tokens"), &later).await.says(409, "Choose another name");
    server.new_token(&organization, json!({ "name": "by-another", "role_id": viewer })).await;
    let other = server.token(&organization, "maker", "admin").await;
    server
        .post(&organization.path("apiToken"), &other, json!({ "name": "of-a-token", "role_id": viewer }))
        .await
        .expect(201);
    let other = [("name", "of-a-token"), ("role_id", viewer.as_str()), ("expires", "never"), ("shown", shown.as_str())];
    owner.post(&format!("{base}/tokens"), &other).await.says(409, "Choose another name");
}

#[tokio::test]
async fn a_token_is_edited_and_what_would_be_refused_is_shown_before() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let [viewer, devops] = [server.role(&organization, "viewer").await, server.role(&organization, "devops").await];
    let (id, text) =
        server.new_token(&organization, json!({ "name": "ci", "role_id": devops, "description": "Builds" })).await;
    let path = format!("{base}/tokens/{id}/edit");
    owner.get(&path).await.says(200, "It was never used.");
    for permission in ["invoices:read", "refunds:write", "refunds:write"] {
        let asked = json!({ "token": text, "permission": permission });
        server.post("/verify", &organization.owner, asked).await.expect(200);
    }
    let page = owner.get(&path).await.says(200, "It was allowed 3 times");
    assert!(page.html.contains("value=\"ci\"") && page.html.contains("Builds") && page.html.contains("As it is"));
    let version = hidden(&page, "version");
    let form = |role: &str, more: &[(&'static str, String)]| {
        let mut form = vec![("name", "ci-2".to_owned()), ("role_id", role.to_owned()), ("expires", "keep".to_owned())];
        form.push(("version", version.clone()));
        form.extend_from_slice(more);
        form
    };
    let post = async |owner: &mut Person, form: Vec<(&'static str, String)>| {
        let form: Vec<(&str, &str)> = form.iter().map(|(key, value)| (*key, value.as_str())).collect();
        owner.post(&path, &form).await
    };
    let page = post(&mut owner, form(&viewer, &[])).await;
    let page = page.says(200, "With this role 2 of its last 3 allowed requests would be refused:");
    assert!(page.html.contains("refunds:write") && !page.html.contains("<li class=\"mono\">invoices:read"));
    let sure = hidden(&page, "sure");
    let one = organization.path(&format!("apiToken/{id}"));
    assert_eq!(server.get(&one, &organization.owner).await.str("role_name"), "devops", "nothing is saved yet");
    let saved = post(&mut owner, form(&viewer, &[("sure", sure)])).await;
    saved.leads_to(&format!("{base}/tokens/{id}"));
    owner.get(&format!("{base}/tokens/{id}")).await.says(200, "The token is saved.");
    let token = server.get(&one, &organization.owner).await.json();
    assert_eq!((&token["name"], &token["role_name"]), (&json!("ci-2"), &json!("viewer")));
    assert!(token.get("description").is_none(), "{token}");

    post(&mut owner, form(&viewer, &[])).await.says(412, "Somebody else changed this");
    let bad = [("name", ""), ("role_id", viewer.as_str()), ("expires", "keep")];
    let fresh = hidden(&owner.get(&path).await, "version");
    owner.post(&path, &[&bad[..], &[("version", fresh.as_str())]].concat()).await.says(400, "It must not be empty.");
    let past = [("name", "x"), ("role_id", viewer.as_str()), ("expires", "date"), ("expires_on", "2020-01-01")];
    owner.post(&path, &past).await.says(400, "This day is over.");
    server.stop().await;
}

#[tokio::test]
async fn a_token_is_rotated_shown_with_its_secrets_and_an_old_one_is_ended() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let viewer = server.role(&organization, "viewer").await;
    let (id, text) = server.new_token(&organization, json!({ "name": "ci", "role_id": viewer })).await;
    let page = format!("{base}/tokens/{id}");
    let shown = owner.get(&page).await.says(200, "Rotate");
    assert!(!shown.html.contains("id=\"secrets\""), "one secret needs no list");
    owner.get(&format!("{page}/rotate")).await.says(200, "How long is the secret");
    let sent = [("keep", "24h"), ("version", "1")];
    let rotated = owner.post(&format!("{page}/rotate"), &sent).await;
    let rotated = rotated.says(200, "“ci” has a new secret");
    // The answer loaded again, by which the browser sends the form again.
    owner.post(&format!("{page}/rotate"), &sent).await.says(409, "The token was rotated meanwhile.");
    owner.post(&format!("{page}/rotate"), &[("keep", "0")]).await.says(409, "The token was rotated meanwhile.");
    assert!(rotated.headers["cache-control"].to_str().unwrap().contains("no-store"));
    let old = format!("The secret before (…{}) is accepted until", &text[38..]);
    assert!(rotated.html.contains(&old) && rotated.html.contains("twd_"), "{}", rotated.html);
    // Used after it was replaced.
    let asked = json!({ "token": text, "remote_ip": "203.0.113.77", "user_agent": "Go-http-client/2.0" });
    server.post("/verify", &organization.owner, asked.clone()).await.expect(200);
    let shown = owner.get(&page).await.says(200, "old, still used");
    assert!(shown.html.contains("203.0.113.77") && shown.html.contains("End now"));
    let end = format!("{page}/secrets/1/end");
    owner.get(&end).await.says(200, "Whatever that is stops working.");
    owner.post(&end, &[]).await.leads_to(&page);
    let shown = owner.get(&page).await.says(200, "That secret is ended.");
    assert!(!shown.html.contains("id=\"secrets\""));
    assert_eq!(server.post("/verify", &organization.owner, asked).await.str("code"), "replaced");
    owner.get(&end).await.says(404, "There is no such earlier secret");
    owner.post(&format!("{page}/secrets/2/end"), &[]).await.says(409, "This is the newest secret");
    owner.post(&format!("{page}/rotate"), &[("keep", "99y")]).await.says(400, "none of the choices");
    owner.post(&format!("{page}/rotate"), &[]).await.says(400, "none of the choices");
    let version = hidden(&owner.get(&format!("{page}/rotate")).await, "version");
    let rotated = owner.post(&format!("{page}/rotate"), &[("keep", "0"), ("version", &version)]).await;
    rotated.says(200, "is refused from now on.");
    server.stop().await;
}

#[tokio::test]
async fn a_token_is_switched_off_deleted_with_a_reason_found_again_and_brought_back() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let viewer = server.role(&organization, "viewer").await;
    let (id, text) = server.new_token(&organization, json!({ "name": "ci", "role_id": viewer })).await;
    let code = async || server.post("/verify", &organization.owner, json!({ "token": text })).await.str("code");
    let page = format!("{base}/tokens/{id}");
    owner.get(&format!("{page}/disable")).await.says(200, "Switch off “ci”?");
    owner.post(&format!("{page}/disable"), &[]).await.leads_to(&page);
    owner.get(&page).await.says(200, "It is switched off: refused until somebody switches it on again.");
    assert_eq!(code().await, "disabled");
    owner.get(&format!("{base}/tokens?filter=disabled")).await.says(200, ">ci</a>");
    owner.post(&format!("{page}/disable"), &[]).await.says(409, "switched off already");
    owner.get(&format!("{page}/enable")).await.says(200, "Switch on “ci” again?");
    owner.post(&format!("{page}/enable"), &[]).await.leads_to(&page);
    assert_eq!(code().await, "valid");

    owner.get(&format!("{page}/delete")).await.says(200, "Within 1h that can be undone");
    owner.post(&format!("{page}/delete"), &[("reason", "boredom")]).await.says(400, "is not one of");
    let why = [("reason", "cessation"), ("note", "the <old> pipeline")];
    owner.post(&format!("{page}/delete"), &why).await.leads_to(&format!("{base}/tokens"));
    assert_eq!(code().await, "revoked");
    let list = owner.get(&format!("{base}/tokens")).await;
    assert!(!list.html.contains(">ci</a>"));
    owner.get(&format!("{base}/tokens?filter=ended")).await.says(200, ">ci</a>");
    owner.get(&format!("{base}/tokens?filter=ended&q=nothing-like-it")).await.says(200, "No token");
    let shown = owner.get(&page).await.says(200, "What used it is no more.");
    assert!(shown.html.contains("the &#60;old&#62; pipeline") && shown.html.contains("/undo"), "{}", shown.html);
    assert!(!shown.html.contains("/rotate\"") && !shown.html.contains("/edit\""), "nothing else can be done with it");
    owner.get(&format!("{page}/undo")).await.says(200, "Take back the deletion of “ci”?");
    owner.post(&format!("{page}/undo"), &[]).await.leads_to(&page);
    owner.get(&page).await.says(200, "The token is back.");
    assert_eq!(code().await, "valid");
    let leaked = [("reason", "key_compromise")];
    owner.post(&format!("{page}/delete"), &leaked).await.leads_to(&format!("{base}/tokens"));
    let shown = owner.get(&page).await.says(200, "It has leaked, or may have.");
    assert!(!shown.html.contains("/undo"));
    owner.post(&format!("{page}/undo"), &[]).await.says(409, "somebody else may have its secret");
    server.stop().await;
}

#[tokio::test]
async fn the_token_policy_is_a_form_that_names_what_goes_beyond_it() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let viewer = server.role(&organization, "viewer").await;
    server.new_token(&organization, json!({ "name": "ci-forever", "role_id": viewer })).await;
    owner.get(&format!("{base}/settings")).await.says(200, "Token policy");
    let address = format!("{base}/settings/token-policy");
    let version = hidden(&owner.get(&address).await.says(200, "Longest life"), "version");
    let wrong = [("version", version.as_str()), ("max_lifetime", "soon"), ("max_overlap", "1d")];
    let page = owner.post(&address, &wrong).await.says(400, "is no length of time");
    assert!(page.html.contains("value=\"soon\""), "what was typed is kept");
    let form =
        [("version", version.as_str()), ("max_lifetime", "60d"), ("default_lifetime", "30d"), ("end_required", "on")];
    owner.post(&address, &form).await.leads_to(&address);
    owner.post(&address, &form).await.says(412, "changed");
    let page = owner.get(&address).await.says(200, "ci-forever");
    assert!(page.html.contains("value=\"60d\"") && page.html.contains("Beyond the policy"), "{}", page.html);
    // The form of a token offers what is allowed, and says why there is no more.
    let new = owner.get(&format!("{base}/tokens/new")).await.says(200, "live for 60 days at most");
    assert!(new.html.contains("value=\"30d\" checked") && !new.html.contains("value=\"365d\""), "{}", new.html);
    assert!(!new.html.contains("value=\"never\""), "{}", new.html);
    let never = [("name", "ci"), ("role_id", viewer.as_str()), ("expires", "never")];
    owner.post(&format!("{base}/tokens"), &never).await.says(400, "60d");
    owner.post(&format!("{address}/shorten"), &[]).await.leads_to(&address);
    let page = owner.get(&address).await;
    assert!(!page.html.contains("Beyond the policy"), "{}", page.html);
    owner.post(&format!("{address}/shorten"), &[]).await.says(409, "nothing to shorten");
}

/// The names of the tokens on a page, in their order.
fn names(page: &Page) -> Vec<String> {
    let rows = page.html.split("<a class=\"name\"").skip(1);
    rows.map(|row| row.split('>').nth(1).unwrap().split('<').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_list_is_searched_filtered_and_sorted_by_what_it_shows() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let in_days = |days: i64| server.running.app.now().plus(days * DAY).to_string();
    let (devops, session) = (server.role(&organization, "devops").await, {
        server.member(&organization, "dev@acme.example", "devops").await
    });
    for (name, role, end, description) in [
        ("ci-main", "viewer", None, "Nightly build"),
        ("deploy", "devops", Some(in_days(5)), "Ships it"),
        ("report", "verifier", Some(in_days(200)), ""),
    ] {
        let role = server.role(&organization, role).await;
        let body = json!({ "name": name, "role_id": role, "expires_at": end, "description": description });
        server.new_token(&organization, body).await;
    }
    server.token(&organization, "root", "admin").await;
    let body = json!({ "name": "of-dev", "role_id": devops, "expires_at": in_days(30) });
    server.post(&organization.path("apiToken"), &session.1, body).await.expect(201);
    let gone = json!({ "user_id": session.0 });
    let removed = server.call(Method::DELETE, &organization.path("member"), &organization.owner, Some(gone)).await;
    assert_eq!(removed.status, 204);

    for (query, expected) in [
        ("", &["ci-main", "deploy", "of-dev", "report", "root"][..]),
        ("?sort=-name", &["root", "report", "of-dev", "deploy", "ci-main"]),
        ("?sort=ends", &["deploy", "of-dev", "report", "ci-main", "root"]),
        ("?sort=-ends", &["root", "ci-main", "report", "of-dev", "deploy"]),
        ("?sort=created", &["ci-main", "deploy", "report", "root", "of-dev"]),
        ("?sort=role", &["root", "deploy", "of-dev", "report", "ci-main"]),
        ("?sort=-role", &["ci-main", "report", "of-dev", "deploy", "root"]),
        ("?filter=endless", &["ci-main", "root"]),
        ("?filter=admin", &["root"]),
        ("?filter=soon", &["deploy"]),
        ("?filter=orphaned", &["of-dev"]),
        ("?filter=unused", &[]),
        ("?q=nightly", &["ci-main"]),
        ("?q=DEVOPS", &["deploy", "of-dev"]),
        ("?q=devops+ships", &["deploy"]),
        ("?q=dev%40acme", &["of-dev"]),
        ("?q=devops&filter=soon&sort=-name", &["deploy"]),
    ] {
        assert_eq!(names(&owner.get(&format!("{base}/tokens{query}")).await), expected, "{query}");
    }
    let page = owner.get(&format!("{base}/tokens?q=devops&sort=-ends")).await;
    let counted = |label: &str, count: usize| format!("{label} <span class=\"count\">{count}</span>");
    for (label, count) in [("All", 2), ("Ends within 14 days", 1), ("No end", 0), ("Creator left", 1), ("Admin", 0)] {
        assert!(page.html.contains(&counted(label, count)), "{label}: what is counted fits the search: {}", page.html);
    }
    assert!(page.html.contains("aria-sort=\"descending\"") && page.html.matches("aria-sort").count() == 1);
    assert!(page.html.contains("tokens?q=devops&#38;sort=ends\""), "the head turns the order round: {}", page.html);
    assert!(page.html.contains("tokens?q=devops&#38;filter=soon&#38;sort=-ends\""), "a filter keeps search and order");
    for (query, says) in [
        ("sort=colour", "it cannot have"),
        ("sort=names", "did you mean"),
        ("filter=admins", "did you mean"),
        ("sorted=name", "did you mean"),
        ("sort=name&sort=role", "is there twice"),
        ("page=1", "is no part of this page"),
        ("after=x", "is none that a list has answered"),
        (&format!("q={}", "x".repeat(10_000)), "has 10000 characters; the limit"),
        ("q=a%00b", "has a control character"),
    ] {
        owner.get(&format!("{base}/tokens?{query}")).await.says(400, says);
    }
    for (token, says) in [
        ("a%00b".to_owned(), "is no name of a token: it contains the control or invisible character U+0000"),
        ("x".repeat(10_000), "is no name of a token: it has 10000 characters"),
    ] {
        owner.get(&format!("{base}/decisions?token={token}")).await.says(400, says);
    }
    owner.get(&format!("{base}/decisions?token=nobody")).await.says(200, "nobody");
}

#[tokio::test]
async fn the_text_of_a_token_leads_to_its_page_and_stands_in_no_address() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let viewer = server.role(&organization, "viewer").await;
    let (id, text) = server.new_token(&organization, json!({ "name": "ci", "role_id": viewer })).await;
    let find = format!("{base}/tokens/find");
    owner.get(&format!("{base}/tokens")).await.says(200, "or a whole token");
    owner.post(&find, &[("q", text.as_str())]).await.leads_to(&format!("{base}/tokens/{id}"));
    // Also with what people copy along, and after it was taken back.
    owner.post(&find, &[("q", format!("  {text}\n").as_str())]).await.leads_to(&format!("{base}/tokens/{id}"));
    server.delete(&organization.path(&format!("apiToken/{id}")), &organization.owner).await.expect(204);
    owner.post(&find, &[("q", text.as_str())]).await.leads_to(&format!("{base}/tokens/{id}"));
    owner.get(&format!("{base}/tokens/{id}")).await.says(200, "/undo");
    let used = server.get(&organization.path("decision"), &organization.owner).await.json();
    assert_eq!(used["results"], json!([]), "to look for a token is no use of it");

    let umbrella = server.new_organization("Umbrella").await;
    let (_, foreign) = server.new_token(&umbrella, json!({ "name": "x", "role_id": null })).await;
    let cut = text[..text.len() - 5].to_owned();
    for other in [&foreign, &cut] {
        let page =
            owner.post(&find, &[("q", other.as_str())]).await.says(200, "No token of this organization has this text");
        assert!(!page.html.contains(other.as_str()), "it is not shown again");
        owner.get(&format!("{base}/tokens?q={other}")).await.says(400, "does not belong into an address");
    }
    // One that somebody else made is found too, and is no search.
    let made = "sk_live_51MzQ0aBcDeFgHiJkLm";
    let sha256 = hex::encode(sha2::Sha256::digest(made));
    let body = json!({ "name": "made elsewhere", "role_id": viewer, "sha256": sha256 });
    let registered = server.post(&organization.path("apiToken"), &organization.owner, body).await.str("id");
    owner.post(&find, &[("q", made)]).await.leads_to(&format!("{base}/tokens/{registered}"));
    // Anything else is a search like before.
    let kept = [("q", "ci main"), ("filter", "soon"), ("sort", "-ends")];
    owner.post(&find, &kept).await.leads_to(&format!("{base}/tokens?q=ci+main&filter=soon&sort=-ends"));
    owner.post(&find, &[("q", ""), ("sort", "sideways")]).await.says(400, "it cannot have");
}

#[tokio::test]
async fn tokens_that_are_ticked_are_deleted_or_ended_together() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let viewer = server.role(&organization, "viewer").await;
    let mut made = Vec::new();
    for name in ["ci-1", "ci-2", "prod"] {
        made.push(server.new_token(&organization, json!({ "name": name, "role_id": viewer })).await);
    }
    server.post("/verify", &organization.owner, json!({ "token": made[0].1 })).await.expect(200);
    owner.get(&format!("{base}/tokens")).await.says(200, "aria-label=\"Choose ci-1\"");
    let bulk = format!("{base}/tokens/bulk");
    owner.post(&bulk, &[("action", "delete")]).await.says(400, "tick the box");
    owner.post(&bulk, &[("action", "erase"), ("token", &made[0].0)]).await.says(400, "action");
    let both = |action: &'static str| [("action", action), ("token", &*made[0].0), ("token", &*made[1].0)];
    let page = owner.post(&bulk, &both("set_end")).await.says(200, "2 tokens chosen, 1 of them used");
    let set = hidden(&page, "set");
    let end = [&both("set_end")[..], &[("set", &set), ("expires", "30d")]].concat();
    owner.post(&bulk, &end).await.leads_to(&format!("{base}/tokens"));
    let end = async |at: usize| {
        server.get(&organization.path(&format!("apiToken/{}", made[at].0)), &organization.owner).await.json()["expires_at"].clone()
    };
    assert!(end(0).await.is_string() && end(1).await.is_string() && end(2).await.is_null());
    // The page was made before they were changed.
    let late = [&both("delete")[..], &[("set", &set), ("reason", "cessation")]].concat();
    owner.post(&bulk, &late).await.says(409, "have changed since they were looked at");
    let page = owner.post(&bulk, &both("delete")).await.says(200, "Delete these tokens?");
    let set = hidden(&page, "set");
    let delete = [&both("delete")[..], &[("set", &set), ("reason", "cessation"), ("note", "moved")]].concat();
    owner.post(&bulk, &delete).await.leads_to(&format!("{base}/tokens"));
    for (at, expected) in [(0, "revoked"), (1, "revoked"), (2, "valid")] {
        let said = server.post("/verify", &organization.owner, json!({ "token": made[at].1 })).await;
        assert_eq!(said.str("code"), expected);
    }
}
