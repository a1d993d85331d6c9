//! The console's lists: sorted by their heads, page by page, and narrowed by what can be typed.

use serde_json::json;

use crate::console::{Page, Person, world};
use crate::support::{Server, config};

/// The names of what a page lists, in its order.
fn names(page: &Page) -> Vec<String> {
    let rows = page.html.split("class=\"name\"").skip(1);
    rows.map(|row| row.split_once('>').unwrap().1.split('<').next().unwrap().to_owned()).collect()
}

/// Where a link of a page leads, by what it is.
fn link(page: &Page, rel: &str) -> Option<String> {
    let (_, rest) = page.html.split_once(&format!("rel=\"{rel}\" href=\""))?;
    Some(rest.split('"').next()?.replace("&#38;", "&"))
}

#[tokio::test]
async fn each_list_is_sorted_by_its_heads_and_keeps_nothing_of_another_ones_key() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    for (email, role) in [("zoe@acme.example", "viewer"), ("bob@acme.example", "devops")] {
        server.member(&organization, email, role).await;
    }
    let wide = "日".repeat(128);
    for name in ["beta", "Alpha", wide.as_str()] {
        let project = json!({ "name": name });
        server.post(&organization.path("project"), &organization.owner, project).await.expect(200);
        let short = format!("role {name}").chars().take(128).collect::<String>();
        let role = json!({ "name": short, "description": name });
        server.post(&organization.path("customRole"), &organization.owner, role).await.expect(201);
    }
    let first = |page: &Page| names(page)[0].clone();
    for (query, expected) in [("", "Alpha"), ("?sort=-name", wide.as_str()), ("?sort=changed", "beta")] {
        let page = owner.get(&format!("{base}/projects{query}")).await.says(200, "aria-sort=");
        assert_eq!(first(&page), expected, "{query}");
        assert_eq!(page.html.matches("aria-sort=").count(), 1, "{query}");
    }
    // Built-in roles and those of the organization are one list.
    for (query, expected) in [
        ("", "Admin"),
        ("?sort=-name", "Viewer"),
        ("?sort=kind", "Admin"),
        ("?sort=-kind", "role 日"),
        ("?sort=-description", "role 日"),
    ] {
        let page = owner.get(&format!("{base}/roles{query}")).await.says(200, "aria-sort=");
        assert!(first(&page).starts_with(expected), "{query}: {:?}", names(&page));
        assert_eq!(names(&page).len(), 9, "{query}");
        assert_eq!(page.html.matches("aria-sort=").count(), 1, "{query}");
    }
    let held = owner.get(&format!("{base}/roles?sort=-held")).await.says(200, "aria-sort=\"descending\"");
    assert!(!first(&held).starts_with("role"), "nobody has one of those: {:?}", names(&held));
    for (query, expected) in [("?sort=joined", "owner"), ("?sort=-joined", "bob"), ("?sort=-name", "zoe")] {
        let page = owner.get(&format!("{base}/members{query}")).await.says(200, "aria-sort=");
        assert!(first(&page).to_lowercase().contains(expected), "{query}: {}", first(&page));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_long_list_goes_on_by_keys_and_back_and_its_order_stays() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let viewer = server.role(&organization, "viewer").await;
    let mut expected: Vec<String> = (0..230).map(|n| format!("t-{n:03}")).collect();
    for name in &expected {
        server.new_token(&organization, json!({ "name": name, "role_id": viewer })).await;
    }
    expected.reverse();
    for (sort, word) in [("-name", "name"), ("-role", "role"), ("-created", "created")] {
        let first = owner.get(&format!("{base}/tokens?sort={sort}")).await.says(200, "230 tokens");
        assert_eq!((names(&first), link(&first, "prev")), (expected[..100].to_vec(), None), "{sort}");
        let next = link(&first, "next").unwrap();
        let second = owner.get(&next).await;
        assert_eq!(names(&second), expected[100..200], "{sort}");
        let third = owner.get(&link(&second, "next").unwrap()).await;
        assert_eq!((names(&third), link(&third, "next")), (expected[200..].to_vec(), None), "{sort}");
        let back = owner.get(&link(&third, "prev").unwrap()).await;
        assert_eq!(names(&back), expected[100..200], "{sort}");
        let back = owner.get(&link(&back, "prev").unwrap()).await;
        assert_eq!((names(&back), link(&back, "prev")), (expected[..100].to_vec(), None), "{sort}");
        // A key is of one list and one order.
        let key = next.split_once("after=").unwrap().1;
        owner.get(&format!("{base}/tokens?after={key}")).await.says(400, "is of a list that is sorted by");
        let other = owner.get(&format!("{base}/members?after={key}")).await;
        other.says(400, "is of the list “tokens”, and this one is “members”");
        assert!(key.contains(word), "{key}");
    }
    // What is searched for is sorted in memory, by the same keys.
    let first = owner.get(&format!("{base}/tokens?q=t-&sort=-name")).await;
    let second = owner.get(&link(&first, "next").unwrap()).await;
    assert_eq!(names(&second), expected[100..200]);
    server.stop().await;
}

#[tokio::test]
async fn the_audit_log_is_narrowed_to_one_kind_of_event_and_to_what_it_is_about() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let wide = "日".repeat(128);
    for name in ["ci-main", "deploys", wide.as_str()] {
        server.token(&organization, name, "viewer").await;
    }
    owner.get(&format!("{base}/events")).await.says(200, "<optgroup label=\"API tokens\">");
    let listed = async |owner: &mut Person, query: &str| {
        let page = owner.get(&format!("{base}/events?{query}")).await.says(200, "Audit log");
        page.html.matches("<li><details>").count()
    };
    for (query, count) in [
        ("kind=token.created".to_owned(), 3),
        ("kind=token.created&about=CI-".to_owned(), 1),
        ("kind=token.deleted".to_owned(), 0),
        (format!("about={wide}"), 1),
        (format!("about={}&kind=organization.created", organization.id), 1),
        ("about=nothing-like-it".to_owned(), 0),
        ("about=%25".to_owned(), 0),
    ] {
        assert_eq!(listed(&mut owner, &query).await, count, "{query}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_pills_of_the_decisions_count_what_the_other_filters_leave() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let verifier = server.token(&organization, "gateway", "verifier").await;
    let viewer = server.token(&organization, "ci", "viewer").await;
    for permission in ["invoices:read", "invoices:write", "invoices:pay"] {
        let asked = json!({ "token": viewer, "permission": permission });
        server.post("/verify", &verifier, asked).await.expect(200);
    }
    let pill = |label: &str, count: &str| format!("{label} <span class=\"count\">{count}</span>");
    for (query, counts) in [
        ("", ["3", "2", "1"]),
        ("?only=allowed", ["3", "2", "1"]),
        ("?route=pay", ["1", "1", "0"]),
        ("?token=ci&reason=permission_denied", ["2", "2", "0"]),
        ("?token=nobody", ["0", "0", "0"]),
    ] {
        let page = owner.get(&format!("{base}/decisions{query}")).await;
        for (label, count) in ["All", "Denied", "Allowed"].into_iter().zip(counts) {
            assert!(page.html.contains(&pill(label, count)), "{query}: no {label} {count} in {}", page.html);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_leads_to_the_form_of_a_token_that_may_where_the_server_knows_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = config(directory.path());
    settings.public_url = Some("https://tokens.acme.example".to_owned());
    let (server, organization) = Server::with_owner_and(directory, settings).await;
    let path = organization.path("apiToken");
    let viewer = server.token(&organization, "viewer", "viewer").await;
    let body = json!({ "name": "x", "role_id": null });
    let refused = server.post(&path, &viewer, body.clone()).await.expect(403);
    let link = format!("https://tokens.acme.example/console/{}/tokens/new?permission=token%3Amanage", organization.id);
    assert_eq!(refused["create_url"], link.as_str());
    // Who has nothing of ours may be anybody's customer.
    let role = json!({ "name": "customer", "permissions": ["invoices:read"] });
    let role = server.post(&organization.path("customRole"), &organization.owner, role).await.expect(201);
    let (_, customer) = server.new_token(&organization, json!({ "name": "customer", "role_id": role["id"] })).await;
    let refused = server.post(&path, &customer, body.clone()).await.expect(403);
    assert_eq!((refused.get("create_url"), &refused["missing_permission"]), (None, &json!("token:manage")));
    // What gateways are told, their clients may hear.
    let asked = server.post("/verify", &customer, json!({ "token": viewer })).await.expect(403);
    assert_eq!(asked.get("create_url"), None);
    server.stop().await;

    // Without a name of its own it tells none; the form chooses the smallest role that would do.
    let (server, organization, base) = world().await;
    let viewer = server.token(&organization, "viewer", "viewer").await;
    let refused = server.post(&organization.path("apiToken"), &viewer, body).await.expect(403);
    assert_eq!(refused.get("create_url"), None);
    let mut owner = Person::owner(&server).await;
    let devops = server.role(&organization, "devops").await;
    let page = owner.get(&format!("{base}/tokens/new?permission=token%3Amanage")).await.says(200, "name=\"role_id\"");
    let chosen: Vec<&str> = page
        .html
        .split("name=\"role_id\"")
        .skip(1)
        .filter(|it| it.split('>').next().unwrap().contains("checked"))
        .collect();
    assert!(chosen.len() == 1 && chosen[0].contains(&devops), "{}", page.html);
    owner.get(&format!("{base}/tokens/new?permission=nonsense")).await.says(400, "permission");
    owner
        .get(&format!("{base}/tokens/new?permission=organization%3Adelete"))
        .await
        .says(200, "asks for organization:delete");
    server.stop().await;
}
