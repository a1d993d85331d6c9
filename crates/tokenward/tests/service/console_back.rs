//! From a list of the console to what it has, and back to the list as it was: narrowed, sorted, and on the same page.

use serde_json::json;

use crate::console::{Page, Person, hidden, world};
use crate::support::PASSWORD;

/// Where the link of a page leads that begins so.
#[track_caller]
fn link(page: &Page, begin: &str) -> String {
    let Some((_, rest)) = page.html.split_once(&format!("href=\"{begin}")) else {
        panic!("no link to {begin} in {}", page.html)
    };
    format!("{begin}{}", rest.split('"').next().unwrap()).replace("&#38;", "&")
}

/// What the forms of a page carry along.
#[track_caller]
fn carried(page: &Page) -> String {
    hidden(page, "back").replace("&#38;", "&")
}

/// A query as part of another address.
fn back(text: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("back", text).finish()
}

#[tokio::test]
async fn the_list_of_tokens_is_as_it_was_after_all_that_is_done_to_one_of_them() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let viewer = server.role(&organization, "viewer").await;
    let mut ids = Vec::new();
    for name in ["t-1", "t-2", "t-3", "other"] {
        ids.push(server.new_token(&organization, json!({ "name": name, "role_id": viewer })).await.0);
    }
    let shown = "tokens?q=t-&sort=-name";
    let list = format!("{base}/{shown}");
    let page = owner.get(&list).await.says(200, "t-1");
    let one = link(&page, &format!("{base}/tokens/{}?", ids[0]));
    assert_eq!(one, format!("{base}/tokens/{}?{}", ids[0], back(shown)));
    // Its line above leads back, and each page that is opened from it does.
    let page = owner.get(&one).await.says(200, "What it may do");
    assert_eq!(link(&page, &format!("{base}/tokens?")), list);
    for action in ["edit", "rotate", "disable", "brownout", "delete"] {
        let there = link(&page, &format!("{base}/tokens/{}/{action}", ids[0]));
        let asked = owner.get(&there).await.says(200, "name=\"back\"");
        assert_eq!(carried(&asked), shown, "{action}");
        // *Cancel*, or the line above: to the token, and from there to the list.
        let cancel = link(&asked, &format!("{base}/tokens/{}?", ids[0]));
        let back = owner.get(&cancel).await;
        assert_eq!(link(&back, &format!("{base}/tokens?")), list, "{action}");
    }
    let live = link(&page, "?live=1");
    let page = owner.get(&format!("{base}/tokens/{}{live}", ids[0])).await.says(200, "Live: stop");
    assert_eq!(link(&page, &format!("{base}/tokens?")), list);
    let refreshed = page.html.split_once("content=\"5; url=").unwrap().1.split('"').next().unwrap();
    assert!(refreshed.contains(&back(shown)), "without scripts, too: {refreshed}");
    // What is done leads there, too.
    let field = [("back", shown)];
    let disable = format!("{base}/tokens/{}/disable", ids[0]);
    owner.post(&disable, &field).await.leads_to(&one);
    let refused = [("reason", "nonsense"), ("back", shown)];
    let delete = format!("{base}/tokens/{}/delete", ids[0]);
    let page = owner.post(&delete, &refused).await;
    assert_eq!((page.status.as_u16(), carried(&page).as_str()), (400, shown), "{}", page.html);
    owner.post(&delete, &field).await.leads_to(&list);
    // Several at once.
    let page = owner.get(&list).await.says(200, "t-2");
    assert_eq!(carried(&page), shown);
    let both = [("action", "delete"), ("token", ids[1].as_str()), ("token", ids[2].as_str()), ("back", shown)];
    let bulk = format!("{base}/tokens/bulk");
    let page = owner.post(&bulk, &both).await.says(200, "Delete these tokens?");
    assert_eq!((carried(&page).as_str(), link(&page, &format!("{base}/tokens?"))), (shown, list.clone()));
    let set = hidden(&page, "set");
    let done = [&both[..], &[("set", set.as_str()), ("reason", "cessation")]].concat();
    owner.post(&bulk, &done).await.leads_to(&list);
    // A new one: *Cancel*, and the page that follows.
    let new = link(&owner.get(&format!("{base}/tokens?sort=-name")).await, &format!("{base}/tokens/new?"));
    let page = owner.get(&new).await.says(200, "Create token");
    assert_eq!(carried(&page), "tokens?sort=-name");
    assert_eq!(link(&page, &format!("{base}/tokens?")), format!("{base}/tokens?sort=-name"));
    // The whole list is a whole list, and so is what the navigation leads to.
    let page = owner.get(&format!("{base}/tokens")).await.says(200, "other");
    assert!(!page.html.contains("back=") && !page.html.contains("name=\"back\""), "{}", page.html);
    let page = owner.get(&format!("{base}/tokens/{}?{}", ids[3], back(shown))).await;
    let navigation = page.html.split("<main").next().unwrap();
    assert!(navigation.contains(&format!("href=\"{base}/tokens\"")), "{navigation}");
    server.stop().await;
}

#[tokio::test]
async fn a_whole_token_that_is_searched_for_keeps_the_filter_of_the_list() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let (id, text) = server.new_token(&organization, json!({ "name": "ci", "role_id": null })).await;
    owner.get(&format!("{base}/tokens")).await;
    let form = [("q", text.as_str()), ("filter", "unused"), ("sort", "-name")];
    let find = format!("{base}/tokens/find");
    let there = format!("{base}/tokens/{id}?{}", back("tokens?filter=unused&sort=-name"));
    owner.post(&find, &form).await.leads_to(&there);
    owner.post(&find, &[("q", text.as_str()), ("filter", text.as_str())]).await.says(400, "it cannot have");
    server.stop().await;
}

#[tokio::test]
async fn every_list_is_gone_back_to_as_it_was() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let (user, _) = server.member(&organization, "bob@acme.example", "viewer").await;
    let project = server.post(&organization.path("project"), &organization.owner, json!({ "name": "shop" })).await;
    let project = project.str("id");
    let body = json!({ "name": "eu", "region": "eu-west-3", "cloud_provider": "AWS" });
    let cluster = server.post(&organization.path("cluster"), &organization.owner, body).await.str("id");
    let body = json!({ "name": "main", "cluster": cluster, "mode": "STAGING" });
    let environment =
        server.post(&format!("/project/{project}/environment"), &organization.owner, body).await.str("id");
    let body = json!({ "name": "reader", "permissions": ["invoices:read"] });
    let role = server.post(&organization.path("customRole"), &organization.owner, body).await.str("id");
    let viewer = server.role(&organization, "viewer").await;
    let body =
        json!({ "name": "shop-ci", "role_id": viewer, "opa_policy": "allow if input.request.method == \"GET\"" });
    let policy = server.post(&organization.path("policyApiToken"), &organization.owner, body).await.str("id");
    for (list, opened) in [
        ("members?sort=-name&invited_sort=ends", format!("members/{user}/remove")),
        ("roles?sort=-held", format!("roles/{role}")),
        ("projects?sort=-changed", format!("projects/{project}")),
        ("clusters?sort=-name", format!("clusters/{cluster}")),
        ("policy-tokens?sort=-used", format!("policy-tokens/{policy}")),
    ] {
        let page = owner.get(&format!("{base}/{list}")).await;
        let there = link(&page, &format!("{base}/{opened}?"));
        let page = owner.get(&there).await;
        let (path, _) = list.split_once('?').unwrap();
        assert_eq!(link(&page, &format!("{base}/{path}?")), format!("{base}/{list}"), "{list}");
    }
    // What is deleted, or saved.
    let members = "members?sort=-name";
    let remove = format!("{base}/members/{user}/remove");
    owner.post(&remove, &[("back", members)]).await.leads_to(&format!("{base}/{members}"));
    let roles = "roles?sort=-held";
    let delete = [("confirm", "reader"), ("back", roles)];
    owner.post(&format!("{base}/roles/{role}/delete"), &delete).await.leads_to(&format!("{base}/{roles}"));
    let policies = "policy-tokens?sort=-used";
    let gone = format!("{base}/policy-tokens/{policy}?{}", back(policies));
    owner.post(&format!("{base}/policy-tokens/{policy}/delete"), &[("back", policies)]).await.leads_to(&gone);
    // The environments of a project, and the projects above them.
    let first = format!("{base}/projects/{project}?{}", back("projects?sort=-name"));
    let page = owner.get(&first).await.says(200, "main");
    let sorted = link(&page, &format!("{base}/projects/{project}?sort="));
    let page = owner.get(&sorted).await;
    let inside = owner.get(&link(&page, &format!("{base}/projects/{project}/environments/{environment}?"))).await;
    assert_eq!(link(&inside, &format!("{base}/projects/{project}?")), sorted);
    assert_eq!(link(&page, &format!("{base}/projects?")), format!("{base}/projects?sort=-name"));
    server.stop().await;
}

#[tokio::test]
async fn what_was_opened_from_a_list_of_something_else_leads_back_to_that() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let verifier = server.token(&organization, "gateway", "verifier").await;
    let viewer = server.role(&organization, "viewer").await;
    let (id, text) = server.new_token(&organization, json!({ "name": "ci", "role_id": viewer })).await;
    server.post("/verify", &verifier, json!({ "token": text, "permission": "invoices:write" })).await.expect(200);
    for list in ["decisions?only=denied&token=ci", "events?what=created&target=token"] {
        let page = owner.get(&format!("{base}/{list}")).await;
        let there = link(&page, &format!("{base}/tokens/{id}?"));
        let page = owner.get(&there).await.says(200, "What it may do");
        let (path, _) = list.split_once('?').unwrap();
        assert_eq!(link(&page, &format!("{base}/{path}?")), format!("{base}/{list}"));
        let main = page.html.split("<main").nth(1).unwrap();
        assert!(main.contains(&format!("href=\"{base}/tokens\"")), "the whole list, too: {main}");
    }
    let list = "decisions?only=denied&token=ci";
    let delete = format!("{base}/tokens/{id}/delete");
    owner.post(&delete, &[("back", list)]).await.leads_to(&format!("{base}/{list}"));
    server.stop().await;
}

#[tokio::test]
async fn nobody_is_led_anywhere_else_and_what_cannot_be_read_changes_nothing() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let (id, text) = server.new_token(&organization, json!({ "name": "ci", "role_id": null })).await;
    let page = format!("{base}/tokens/{id}");
    let long = format!("tokens?q={}", "a".repeat(10_000));
    let holding = format!("tokens?q={text}");
    owner.get(&page).await;
    for wrong in [
        "https://evil.example/?filter=soon",
        "//evil.example?filter=soon",
        "/console?filter=soon",
        "settings?filter=soon",
        "tokens?colour=red",
        "tokens",
        long.as_str(),
        holding.as_str(),
    ] {
        let said = owner.get(&format!("{page}?{}", back(wrong))).await.says(400, "back");
        assert!(!said.html.contains(&text) && !said.html.contains("evil.example"), "{}", said.html);
        owner.post(&format!("{page}/delete"), &[("back", wrong)]).await.says(400, "back");
    }
    owner.get(&format!("{page}?back=tokens%3Fq%3Da&back=tokens%3Fq%3Db")).await.says(400, "is there twice");
    // Where nothing is opened from a list, it is no part of an address.
    let good = back("tokens?sort=-name");
    owner.get(&format!("{base}/tokens?{good}")).await.says(400, "is no part of this page");
    owner.get(&format!("{base}/overview?{good}")).await.says(400, "is no part of this page");
    owner.get(&page).await.says(200, "What it may do");
    let refused = owner.get(&format!("{page}?days=nonsense&{good}")).await;
    assert_eq!(refused.status.as_u16(), 400, "the rest of the address is read as before");
    server.get(&organization.path(&format!("apiToken/{id}")), &organization.owner).await.expect(200);
    server.stop().await;
}

/// The cookies that hold the session, and what came of the last action.
const SESSION: &str = "__Host-tokenward";
const DONE: &str = "__Host-tokenward-done";

#[tokio::test]
async fn a_refused_way_back_proves_nothing_and_one_that_is_good_hides_no_renewed_session() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let admin = server.role(&organization, "admin").await;
    let form = |name: &'static str, back: &'static str| {
        let role = ("role_id", admin.as_str());
        [("name", name), role, ("expires", "30d"), ("password", PASSWORD), ("back", back)]
    };
    owner.get(&format!("{base}/tokens/new")).await.says(200, "Create token");
    let before = owner.cookies[SESSION].clone();
    // What cannot be read is refused before the password is looked at.
    let wrong = form("late", "tokens?colour=red");
    owner.post(&format!("{base}/tokens"), &wrong).await.says(400, "back");
    assert_eq!(owner.cookies[SESSION], before);
    // The session is the same, and goes on.
    owner.get(&format!("{base}/tokens/new")).await.says(200, "Create token");
    let good = form("ci", "tokens?sort=-name");
    let made = owner.post(&format!("{base}/tokens"), &good).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.html);
    let renewed = owner.cookies[SESSION].clone();
    assert_ne!(renewed, before, "a proof gives the session another text");
    let page = owner.get(&format!("{base}/tokens")).await.says(200, "ci");
    assert!(!page.html.contains("late"), "{}", page.html);
    let mut thief = Person::at(&server);
    thief.cookies.insert(SESSION.to_owned(), before);
    let out = thief.get(&format!("{base}/tokens")).await;
    assert!(out.status.is_redirection() && out.location().starts_with("/sign-in"), "{}", out.html);

    // What came of the last action is told once, also where the page that follows is refused.
    let id = server.new_token(&organization, json!({ "name": "other", "role_id": null })).await.0;
    owner.post(&format!("{base}/tokens/{id}/disable"), &[]).await;
    assert!(owner.cookies.contains_key(DONE), "{:?}", owner.cookies);
    owner.get(&format!("{base}/tokens/{id}?{}", back("tokens?colour=red"))).await.says(400, "back");
    assert!(!owner.cookies.contains_key(DONE), "it is told by no later page");
    assert_eq!(owner.cookies[SESSION], renewed);
    server.stop().await;
}
