//! What somebody can type or paste into the console that it cannot take: each is a sentence, and nothing half done.

use serde_json::json;

use crate::console::{Person, hidden, world};

/// What the form says of its faults.
fn faults(html: &str) -> usize {
    let listed = html.split_once("notice bad refused").and_then(|(_, rest)| rest.split_once("</ul>"));
    listed.map_or(0, |(listed, _)| listed.matches("<li>").count())
}

#[tokio::test]
async fn the_form_of_a_token_tells_all_its_faults_at_once() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let viewer = server.role(&organization, "viewer").await;
    owner.get(&format!("{base}/tokens/new")).await;
    let long = "x".repeat(129);
    let wrong = [
        ("name", long.as_str()),
        ("role_id", ""),
        ("expires", "date"),
        ("expires_on", "2001-01-01"),
        ("networks", "10.0.0.1/8"),
        ("permissions", "nothing"),
        ("projects", "none such"),
        ("rate_limit", "often"),
        ("quota", "many"),
        ("labels", "a=1\na=2"),
        ("metadata", "{"),
        ("owner_id", "somebody"),
    ];
    let page = owner.post(&format!("{base}/tokens"), &wrong).await.says(400, "11 things to put right");
    assert_eq!(faults(&page.html), 11, "{}", page.html);
    for (field, kept) in [("networks", "10.0.0.1/8"), ("metadata", "{"), ("labels", "a=1\na=2")] {
        assert!(page.html.contains(&format!("\n{kept}</textarea>")), "{field} is kept: {}", page.html);
    }
    // Each fault leads to its field.
    for field in ["name", "role_id", "expires", "networks", "permissions", "projects", "rate_limit", "quota", "labels"]
    {
        assert!(page.html.contains(&format!("href=\"#{field}")), "{field}: {}", page.html);
    }
    // To keep an end is for a token that has one: it must not make one without an end.
    let keep = [("name", "ci"), ("role_id", viewer.as_str()), ("expires", "keep")];
    owner.post(&format!("{base}/tokens"), &keep).await.says(400, "Choose when the token ends.");
    let all = server.get(&organization.path("apiToken"), &organization.owner).await.expect(200);
    assert_eq!(all["results"], json!([]));

    let (id, _) = server.new_token(&organization, json!({ "name": "ci", "role_id": viewer })).await;
    let page = owner.get(&format!("{base}/tokens/{id}/edit")).await;
    let version = hidden(&page, "version");
    let wrong = [
        ("version", version.as_str()),
        ("name", ""),
        ("role_id", viewer.as_str()),
        ("expires", "keep"),
        ("labels", "A B"),
    ];
    owner.post(&format!("{base}/tokens/{id}/edit"), &wrong).await.says(400, "2 things to put right");

    owner.get(&format!("{base}/policy-tokens/new")).await;
    let wrong = [("name", ""), ("role_id", ""), ("expires", "0"), ("opa_policy", "allow if {")];
    let page = owner.post(&format!("{base}/policy-tokens"), &wrong).await.says(400, "Choose what the token may do");
    assert!(page.html.contains("Choose when the token ends.") && faults(&page.html) >= 3, "{}", page.html);
    server.stop().await;
}

#[tokio::test]
async fn a_field_that_no_page_has_is_refused_by_its_name_and_nothing_is_done() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let viewer = server.role(&organization, "viewer").await;
    let (id, _) = server.new_token(&organization, json!({ "name": "ci", "role_id": viewer })).await;
    owner.get(&format!("{base}/tokens/new")).await;
    for (path, form, said) in [
        (
            format!("{base}/tokens"),
            vec![("name", "b"), ("role_id", viewer.as_str()), ("expires_at", "2027-01-01")],
            "“expires_on”",
        ),
        (format!("{base}/tokens/{id}/delete"), vec![("reasons", "key_compromise")], "“reason”"),
        (format!("{base}/tokens/{id}/disable"), vec![("until", "2027-01-01")], "until"),
        (format!("{base}/projects/new"), vec![("name", "a"), ("name", "b")], "is there twice"),
        (format!("{base}/members/invite"), vec![("email", "a@b.example"), ("role", viewer.as_str())], "“role_id”"),
        (format!("{base}/clusters/new"), vec![("name", "a"), ("zone", "b")], "zone"),
        ("/console/account/name".to_owned(), vec![("nickname", "x")], "nickname"),
        ("/console/account/sessions/end-others".to_owned(), vec![("all", "on")], "there is none"),
    ] {
        let page = owner.post(&path, &form).await.says(400, "That cannot be read");
        assert!(page.html.contains(said), "{path}: {}", page.html);
    }
    for (what, count) in [("apiToken", 1), ("project", 0), ("inviteMember", 0), ("cluster", 0)] {
        let all = server.get(&organization.path(what), &organization.owner).await.expect(200);
        assert_eq!(all["results"].as_array().unwrap().len(), count, "{what}");
    }
    let token = server.get(&organization.path(&format!("apiToken/{id}")), &organization.owner).await.expect(200);
    assert_eq!(token["state"], "active");
    // Values that were passed over.
    let user = server.member(&organization, "dev@acme.example", "devops").await.0;
    for (path, form, said) in [
        (
            format!("{base}/members/{user}/remove"),
            [("hand_over_to", "nobody"), ("keep_invitations", "on")],
            "a member of this",
        ),
        (
            format!("{base}/members/{user}/remove"),
            [("fate", "7.delete"), ("keep_invitations", "on")],
            "the id of a token",
        ),
        (format!("{base}/members/{user}"), [("role_id", viewer.as_str()), ("hand_over_to", "x")], "a member of this"),
    ] {
        let page = owner.post(&path, &form).await;
        assert!(page.status == 400 && page.html.contains(said), "{path}: {}", page.html);
    }
    let members = server.get(&organization.path("member"), &organization.owner).await;
    assert_eq!(members.each("results", "role_name"), ["owner", "devops"]);
    // A visitor's form is no exception.
    let mut visitor = Person::at(&server);
    visitor.get("/sign-in").await;
    visitor.post("/sign-in", &[("user", "ada")]).await.says(400, "user");
    server.stop().await;
}

#[tokio::test]
async fn a_thousand_permissions_are_counted_and_kept_to_be_put_right() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    owner.get(&format!("{base}/roles/new")).await;
    let many = |count: usize| (0..count).map(|n| format!("noun{n}:read")).collect::<Vec<_>>().join("\r\n");
    let thousand = many(1_000);
    for action in ["preview", "save"] {
        let form = [("name", "wide"), ("permissions", thousand.as_str()), ("action", action)];
        let page = owner.post(&format!("{base}/roles/new"), &form).await.says(400, "names 1000; the limit");
        assert!(page.html.contains("noun999:read"), "what was pasted is kept");
    }
    let twenty_thousand = many(20_000);
    let form = [("name", "wide"), ("permissions", twenty_thousand.as_str()), ("action", "save")];
    owner.post(&format!("{base}/roles/new"), &form).await.says(400, "names more than 10000");
    let form = [("name", "wide"), ("all.admin", "maybe"), ("action", "save")];
    owner.post(&format!("{base}/roles/new"), &form).await.says(400, "a value that it cannot have");
    let roles = server.get(&organization.path("customRole"), &organization.owner).await.expect(200);
    assert_eq!(roles["results"], json!([]), "no half of it is saved");
    // As many as a role may have are saved, all of them, and so are those of a token.
    let two_hundred = many(200);
    let form = [("name", "wide"), ("permissions", two_hundred.as_str()), ("action", "save")];
    owner.post(&format!("{base}/roles/new"), &form).await.leads_to(&format!("{base}/roles"));
    let roles = server.get(&organization.path("customRole"), &organization.owner).await.expect(200);
    assert_eq!(roles["results"][0]["permissions"].as_array().unwrap().len(), 200);
    let devops = server.role(&organization, "devops").await;
    let form = [("name", "ci"), ("role_id", devops.as_str()), ("expires", "30d"), ("permissions", thousand.as_str())];
    owner.post(&format!("{base}/tokens"), &form).await.says(400, "token_permissions");
    server.stop().await;
}

#[tokio::test]
async fn what_no_list_has_and_no_link_may_is_said_in_a_sentence() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    server.token(&organization, "ci", "viewer").await;
    let user = server.member(&organization, "dev@acme.example", "devops").await;
    let viewer = server.role(&organization, "viewer").await;
    let project = server.post(&organization.path("project"), &organization.owner, json!({ "name": "shop" })).await;
    let (project, user) = (project.str("id"), user.0);
    let routes = json!({ "routes": [{ "method": "GET", "path": "/invoices", "permission": "invoices:read" }] });
    server.put(&organization.path("api/shop"), &organization.owner, routes).await.expect(200);
    let cases: Vec<(String, &str)> = vec![
        ("tokens?filter=nonsense".into(), "a value that it cannot have"),
        ("tokens?sort=sideways".into(), "a value that it cannot have"),
        ("tokens?page=2".into(), "is no part of this page"),
        ("tokens?after=decision.1.2".into(), "is none that a list has answered"),
        ("tokens?cursor=x".into(), "is no part of this page"),
        (format!("tokens?q={}", "a".repeat(10_000)), "the limit"),
        (format!("tokens?q={}", "%F0%9F%8D%8B".repeat(2_500)), "the limit"),
        ("members?sort=names".into(), "a value that it cannot have"),
        ("members?invited_sort=joined".into(), "a value that it cannot have"),
        ("members?page=x".into(), "is no part of this page"),
        ("roles?before=-1".into(), "is none that a list has answered"),
        ("roles?sort=joined".into(), "a value that it cannot have"),
        ("projects?sort=-size".into(), "a value that it cannot have"),
        ("clusters?sort=sideways".into(), "a value that it cannot have"),
        (format!("clusters?after={}", "a".repeat(10_000)), "is none that a list has answered"),
        ("projects?filter=x".into(), "is no part of this page"),
        ("policy-tokens?after=7".into(), "is none that a list has answered"),
        ("policy-tokens?sort=policy".into(), "a value that it cannot have"),
        ("events?before=x".into(), "is not a position in the log"),
        ("events?what=nonsense".into(), "a value that it cannot have"),
        ("events?address=here".into(), "is not an address such as"),
        ("events?kind=token.create".into(), "a value that it cannot have"),
        (format!("events?about={}", "a".repeat(10_000)), "the limit"),
        ("decisions?reason=because".into(), "a value that it cannot have"),
        ("decisions?since=ever".into(), "a value that it cannot have"),
        (format!("decisions?token={}", "a".repeat(10_000)), "is no name of a token"),
        ("apis?page=1".into(), "is no part of this page"),
        ("apis?sort=colour".into(), "a value that it cannot have"),
        ("nodes?sort=name".into(), "is no part of this page"),
        ("overview?days=3".into(), "is no part of this page"),
        ("policy-tokens?filter=nonsense".into(), "a value that it cannot have"),
        (format!("policy-tokens?q={}", "a".repeat(10_000)), "the limit"),
        ("members?invited_after=7".into(), "is none that a list has answered"),
        (format!("members?before={}", "a".repeat(10_000)), "is none that a list has answered"),
        (format!("events?who={}", "%D9%85".repeat(2_500)), "the limit"),
        (format!("events?address={}", "a".repeat(10_000)), "is not an address such as"),
        (format!("decisions?route={}", "a".repeat(10_000)), "the limit"),
        (format!("decisions?id={}", "a".repeat(10_000)), "the limit"),
        (format!("projects/{project}?sort=colour"), "a value that it cannot have"),
        (format!("projects/{project}?after=7"), "is none that a list has answered"),
        (format!("projects/{project}?q=a"), "is no part of this page"),
        ("apis/shop?page=x".into(), "is not the number of a page"),
        ("apis/shop?page=99999999999999999999999".into(), "is not the number of a page"),
        (format!("apis/shop?q={}", "a".repeat(10_000)), "the limit"),
        (format!("apis/shop?path=/{}", "a".repeat(10_000)), "the limit"),
        ("apis/shop?sort=path".into(), "is no part of this page"),
        (format!("roles/{viewer}?api=none&path=/a"), "a value that it cannot have"),
        (format!("roles/{viewer}?api=shop&method=LOOK&path=/a"), "a value that it cannot have"),
        (format!("roles/{viewer}?path=/{}", "a".repeat(10_000)), "the limit"),
        (format!("members/{user}/events?before=yesterday"), "is not a time"),
        (format!("members/{user}/events?before={}", "a".repeat(10_000)), "is not a time"),
        (format!("members/{user}/events?sort=time"), "is no part of this page"),
    ];
    for (query, said) in &cases {
        let page = owner.get(&format!("{base}/{query}")).await;
        let asked = &query[..query.len().min(40)];
        assert!(page.status == 400 && page.html.contains(*said), "{asked}: {} {}", page.status, page.html);
        assert!(page.html.len() < 20_000, "{asked} is not sent back whole: {}", page.html.len());
    }
    let find = format!("{base}/tokens/find");
    owner.get(&format!("{base}/tokens")).await;
    owner.post(&find, &[("q", &"a".repeat(10_000))]).await.says(400, "the limit");
    // A link names a role that its reader may not give: the form says so, and chooses none.
    let mut dev = Person::at(&server);
    dev.sign_in("dev@acme.example", crate::support::PASSWORD).await.leads_to("/");
    let page = dev.get(&format!("{base}/tokens/new?name=ci&role=admin&expires=30d")).await;
    let page = page.says(200, "which may more than you can do yourself");
    assert!(page.html.contains("value=\"ci\""), "{}", page.html);
    let chosen =
        page.html.split("name=\"role_id\"").skip(1).filter(|it| it.split('>').next().unwrap().contains("checked"));
    assert_eq!(chosen.count(), 0, "{}", page.html);
    let long = "a".repeat(10_000);
    for field in ["name", "role", "description", "permission"] {
        let page = dev.get(&format!("{base}/tokens/new?{field}={long}")).await.says(400, field);
        assert!(!page.html.contains(&long), "{field}: it is not repeated");
    }
    dev.get(&format!("{base}/tokens/new?role=nonsense")).await.says(200, "which cannot be given");
    dev.get(&format!("{base}/tokens/new?expires=soon")).await.says(200, "has no end that can be read");
    dev.get(&format!("{base}/tokens/new?colour=red")).await.says(400, "is no part of this page");
    server.stop().await;
}
