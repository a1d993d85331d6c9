//! The form of a token in the console: what few need is folded, and where a token may be; and tokens of another system.

use serde_json::json;
use sha2::Digest as _;
use tokenward_core::Clock;
use tokenward_core::time::DAY;

use crate::console::{Page, Person, hidden, world};

/// The groups of the form that are open, by their names.
fn open_groups(page: &Page) -> Vec<String> {
    let groups = page.html.split("<details class=\"group\" open><summary><b>").skip(1);
    groups.map(|rest| rest.split("</b>").next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_few_tokens_need_is_folded_until_there_is_something_in_it() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let viewer = server.role(&organization, "viewer").await;
    let page = owner.get(&format!("{base}/tokens/new")).await;
    assert_eq!(page.html.matches("<details class=\"group\"").count(), 4, "{}", page.html);
    assert_eq!(open_groups(&page), Vec::<String>::new());
    assert!(page.html.contains("<b>Owner</b><span>owner@acme.example</span>"), "{}", page.html);
    let form = |more: &[(&'static str, &'static str)]| {
        let mut form = vec![("name", "ci"), ("role_id", viewer.as_str()), ("expires", "30d")];
        form.extend(more);
        form
    };
    for (more, group) in [
        (&[("networks", "10.0.0.1/8")][..], "Restrictions"),
        (&[("permissions", "nothing")], "Restrictions"),
        (&[("projects", "none such")], "Restrictions"),
        (&[("quota", "many"), ("rate_limit", "")], "Limits"),
        (&[("quota", "10/day")], "Limits"),
        (&[("metadata", "{")], "Labels and metadata"),
        (&[("successor_id", "01a22738-4216-7aec-ae2f-9041733276ff")], "Owner"),
    ] {
        let page = owner.post(&format!("{base}/tokens"), &form(more)).await;
        assert!(page.status == 400 && open_groups(&page).contains(&group.to_owned()), "{more:?}: {}", page.html);
    }
    // What a token has is in sight when it is edited.
    let body =
        json!({ "name": "t", "role_id": viewer, "labels": { "a": "b" }, "quota": { "requests": 5, "refill": "day" } });
    let (id, _) = server.new_token(&organization, body).await;
    let page = owner.get(&format!("{base}/tokens/{id}/edit")).await;
    assert_eq!(open_groups(&page), ["Limits", "Labels and metadata"]);
}

#[tokio::test]
async fn projects_and_environments_are_lines_of_the_form_by_name() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let devops = server.role(&organization, "devops").await;
    let body = json!({ "name": "main", "region": "eu-west-3", "cloud_provider": "AWS" });
    let cluster = server.post(&organization.path("cluster"), &organization.owner, body).await.str("id");
    let project = server.post(&organization.path("project"), &organization.owner, json!({ "name": "shop" })).await;
    let project = project.str("id");
    let body = json!({ "name": "staging", "cluster": cluster, "mode": "STAGING" });
    let path = format!("/project/{project}/environment");
    let environment = server.post(&path, &organization.owner, body).await.str("id");
    let new = |places: &'static str| {
        [("name", "ci"), ("role_id", devops.as_str()), ("expires", "never"), ("projects", places)]
    };
    owner.get(&format!("{base}/tokens/new")).await;
    let page = owner.post(&format!("{base}/tokens"), &new("shop/prod")).await;
    let page = page.says(400, "which is neither a project nor");
    assert!(page.html.contains("shop/prod</textarea>"), "{}", page.html);
    owner.post(&format!("{base}/tokens"), &new("\r\nshop/staging\r\n")).await.says(201, "twd_");
    let listed = server.get(&organization.path("apiToken?name=ci"), &organization.owner).await.json();
    let token = &listed["results"][0];
    assert_eq!(token["environments"], json!([environment]));
    let id = token["id"].as_str().unwrap();
    owner.get(&format!("{base}/tokens/{id}")).await.says(200, "shop/staging");
    // A form without the field widens nothing; what is gone stays there by its id, and must be taken out by hand.
    let one = organization.path(&format!("apiToken/{id}"));
    let page = owner.get(&format!("{base}/tokens/{id}/edit")).await.says(200, "shop/staging</textarea>");
    let version = hidden(&page, "version");
    let edit = [("name", "ci"), ("role_id", &devops), ("expires", "keep"), ("version", &version)];
    owner.post(&format!("{base}/tokens/{id}/edit"), &edit).await.leads_to(&format!("{base}/tokens/{id}"));
    assert_eq!(server.get(&one, &organization.owner).await.json()["environments"], json!([environment]));
    server.delete(&format!("/environment/{environment}"), &organization.owner).await.expect(204);
    let page = owner.get(&format!("{base}/tokens/{id}/edit")).await.says(200, &format!("{environment}</textarea>"));
    let version = hidden(&page, "version");
    let edit = |places: &'static str| {
        [
            ("name", "ci"),
            ("role_id", devops.as_str()),
            ("expires", "keep"),
            ("version", version.as_str()),
            ("projects", places),
        ]
    };
    owner.post(&format!("{base}/tokens/{id}/edit"), &edit("shop")).await.leads_to(&format!("{base}/tokens/{id}"));
    assert_eq!(server.get(&one, &organization.owner).await.json()["projects"], json!([project]));
}

/// A new token that begins so.
fn beginning<'a>(viewer: &'a str, begins: &'a str, on: &'a str) -> [(&'a str, &'a str); 5] {
    [("name", "ci"), ("role_id", viewer), ("expires", "30d"), ("begins", begins), ("begins_on", on)]
}

#[tokio::test]
async fn a_token_begins_on_a_day_that_the_form_says_and_a_form_without_it_changes_nothing() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let viewer = server.role(&organization, "viewer").await;
    let day = |days: i64| server.clock.now().plus(days * DAY).to_string()[..10].to_owned();
    let (yesterday, later, much_later, too_late) = (day(-1), day(10), day(20), day(40));
    owner.get(&format!("{base}/tokens/new")).await.says(200, "From when on?");
    let path = format!("{base}/tokens");
    for (begins, on, said) in [
        ("date", yesterday.as_str(), "This day is over."),
        ("date", "soon", "Choose a day, as in"),
        ("keep", "", "Choose when the token begins."),
        // What would never be accepted is refused as the API does.
        ("date", too_late.as_str(), "is not before the end of the token"),
    ] {
        let page = owner.post(&path, &beginning(&viewer, begins, on)).await.says(400, said);
        assert!(open_groups(&page).contains(&"Restrictions".to_owned()), "{begins} {on}: {}", page.html);
    }
    owner.post(&path, &beginning(&viewer, "date", &later)).await.says(201, "twd_");
    let listed = server.get(&organization.path("apiToken?name=ci"), &organization.owner).await.json();
    let id = listed["results"][0]["id"].as_str().unwrap().to_owned();
    let begins = async || {
        let token = server.get(&organization.path(&format!("apiToken/{id}")), &organization.owner).await.json();
        token["not_before"].as_str().map(|at| at[..19].to_owned())
    };
    assert_eq!(begins().await, Some(format!("{later}T00:00:00")));
    let edit = format!("{base}/tokens/{id}/edit");
    for (more, wanted) in [
        (vec![], Some(&later)),
        (vec![("begins", "keep")], Some(&later)),
        (vec![("begins", "date"), ("begins_on", much_later.as_str())], Some(&much_later)),
        (vec![("begins", "now")], None),
    ] {
        let page = owner.get(&edit).await.says(200, "From when on?");
        assert_eq!(open_groups(&page), ["Restrictions"], "what it has is in sight");
        let version = hidden(&page, "version");
        let mut form = vec![("name", "ci"), ("role_id", viewer.as_str()), ("expires", "keep"), ("version", &version)];
        form.extend(more.iter().copied());
        owner.post(&edit, &form).await.leads_to(&format!("{base}/tokens/{id}"));
        assert_eq!(begins().await, wanted.map(|day| format!("{day}T00:00:00")), "{more:?}");
    }
    let page = owner.get(&edit).await;
    assert!(open_groups(&page).is_empty() && !page.html.contains("name=\"begins\" value=\"keep\""), "{}", page.html);
    server.stop().await;
}

#[tokio::test]
async fn what_narrower_permissions_networks_and_times_would_take_is_shown_before_it_is_saved() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let devops = server.role(&organization, "devops").await;
    let (id, text) = server.new_token(&organization, json!({ "name": "ci", "role_id": devops })).await;
    let (page, edit) = (format!("{base}/tokens/{id}"), format!("{base}/tokens/{id}/edit"));
    let day = |days: i64| server.clock.now().plus(days * DAY).to_string()[..10].to_owned();
    let (tomorrow, later) = (day(1), day(30));
    let unused = [("permissions", "invoices:read")];
    // Nothing is taken from one that nobody uses.
    let version = hidden(&owner.get(&edit).await, "version");
    let form = [("name", "ci"), ("role_id", devops.as_str()), ("expires", "30d"), ("version", version.as_str())];
    owner.post(&edit, &[&form[..], &unused[..]].concat()).await.leads_to(&page);
    let version = hidden(&owner.get(&edit).await, "version");
    let form = [("name", "ci"), ("role_id", devops.as_str()), ("expires", "never"), ("version", version.as_str())];
    owner.post(&edit, &[&form[..], &[("permissions", "")]].concat()).await.leads_to(&page);
    for permission in ["invoices:read", "refunds:write"] {
        let asked = json!({ "token": text, "permission": permission, "remote_ip": "203.0.113.77" });
        server.post("/verify", &organization.owner, asked).await.expect(200);
    }
    let one = organization.path(&format!("apiToken/{id}"));
    let before = server.get(&one, &organization.owner).await.json();
    let version = hidden(&owner.get(&edit).await, "version");
    let keep = [("name", "ci"), ("role_id", devops.as_str()), ("version", version.as_str())];
    for (more, said, refused) in [
        (
            vec![("expires", "keep"), ("permissions", "invoices:read")],
            "With these permissions 1 of its last 2 allowed requests would be refused:",
            vec!["refunds:write"],
        ),
        (
            vec![("expires", "keep"), ("networks", "10.0.0.0/8 office")],
            "With these networks 2 of its last 2 allowed requests would be refused:",
            vec!["invoices:read from 203.0.113.77", "refunds:write from 203.0.113.77"],
        ),
        (
            vec![("expires", "keep"), ("networks", "203.0.113.0/24"), ("permissions", "*:read")],
            "With this change 1 of its last 2 allowed requests would be refused:",
            vec!["refunds:write"],
        ),
        (vec![("expires", "date"), ("expires_on", later.as_str())], "It would end on ", vec![]),
        (
            vec![("expires", "keep"), ("begins", "date"), ("begins_on", tomorrow.as_str())],
            "It would be refused until ",
            vec![],
        ),
    ] {
        let shown = owner.post(&edit, &[&keep[..], &more[..]].concat()).await.says(200, said);
        for request in &refused {
            assert!(shown.html.contains(&format!("<li class=\"mono\">{request}</li>")), "{more:?}: {}", shown.html);
        }
        assert_eq!(shown.html.matches("<li class=\"mono\">").count(), refused.len(), "{more:?}: {}", shown.html);
        assert!(shown.html.contains("Save all the same") && !hidden(&shown, "sure").is_empty());
    }
    let after = server.get(&one, &organization.owner).await.json();
    assert_eq!(after["updated_at"], before["updated_at"], "nothing is saved yet");
    // What was shown is saved at the second click; what is typed after that is asked about again.
    let narrowed = [&keep[..], &[("expires", "keep"), ("permissions", "invoices:read")]].concat();
    let sure = hidden(&owner.post(&edit, &narrowed).await.says(200, "With these permissions"), "sure");
    let other = [&keep[..], &[("expires", "keep"), ("permissions", "orders:read"), ("sure", sure.as_str())]].concat();
    owner.post(&edit, &other).await.says(200, "With these permissions 2 of its last 2");
    owner.post(&edit, &[&narrowed[..], &[("sure", sure.as_str())]].concat()).await.leads_to(&page);
    assert_eq!(server.get(&one, &organization.owner).await.json()["permissions"], json!(["invoices:read"]));
    server.stop().await;
}

#[tokio::test]
async fn rows_of_another_system_are_checked_first_and_then_imported() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let path = format!("{base}/tokens/import");
    let sha256 = |text: &str| hex::encode(sha2::Sha256::digest(text));
    owner.get(&path).await.says(200, "Import tokens");
    let text = "sk_live_51MzQ0aBcDeFgHiJkLm";
    let rows = format!(
        "name,role,sha256,last_four,expires_at,labels\r\nbilling,viewer,{},JkLm,90d,team=shop\r\nshop <b>,Verifier,{},,never,\r\n",
        sha256(text),
        sha256("another one of the same kind")
    );
    let count = async || {
        let all = server.get(&organization.path("apiToken"), &organization.owner).await;
        all.each("results", "name").len()
    };
    let before = count().await;
    let page = owner.post(&path, &[("rows", &rows)]).await.says(200, "2 tokens can be imported");
    assert!(page.html.contains("shop &#60;b&#62;") && page.html.contains("…JkLm"), "{}", page.html);
    assert_eq!((count().await, hidden(&page, "confirmed")), (before, "yes".to_owned()), "nothing was made");
    owner.post(&path, &[("rows", &rows), ("confirmed", "yes")]).await.leads_to(&format!("{base}/tokens"));
    assert_eq!(count().await, before + 2);
    let asked = server.post("/verify", &organization.owner, json!({ "token": text })).await;
    assert_eq!(asked.str("code"), "valid");
    // What is wrong is told by line; a secret is not taken, and not sent back.
    let page = owner.post(&path, &[("rows", &rows)]).await.says(400, "Line 2, <span class=\"mono\">");
    assert!(page.html.contains("billing,viewer"), "what was typed is kept: {}", page.html);
    for (rows, told) in [
        (format!("name,role,sha256\na,viewr,{}\n", sha256("x")), "which is no role of the organization"),
        (format!("name,role,sha256,owner\na,viewer,{},x@y.example\n", sha256("x")), "who is no member"),
        ("name,role,sha256\na,viewer,12\n".to_owned(), "is not 64 hexadecimal digits"),
        (format!("name,sha256\na,{}\n", sha256("x")), "is missing: without it a token would be an admin"),
        (format!("name,role,sha256,scope\na,viewer,{},x\n", sha256("x")), "nothing that a token has"),
        (format!("name,role,sha256,projects\na,viewer,{},bank\n", sha256("x")), "which is no project"),
        (
            format!("name,role,sha256,environments\na,viewer,{},shop/none\n", sha256("x")),
            "write it as project/environment",
        ),
        (format!("name,role,sha256,permissions\na,viewer,{},nonsense\n", sha256("x")), "permissions"),
        ("name,role\na\n".to_owned(), "Line 2 has 1 cells"),
        (String::new(), "is empty"),
    ] {
        owner.post(&path, &[("rows", &rows)]).await.says(400, told);
    }
    // Rows narrow their tokens, by names or as a table that was exported has them.
    let shop =
        server.post(&organization.path("project"), &organization.owner, json!({ "name": "The Shop" })).await.str("id");
    let rows = format!(
        "name,role,sha256,permissions,projects,owner,networks\nnarrow,devops,{},token:read *:read,the shop,,10.0.0.0/8\nids,devops,{},,{shop} {shop},,\n",
        sha256("narrow"),
        sha256("ids")
    );
    owner.post(&path, &[("rows", &rows), ("confirmed", "yes")]).await.leads_to(&format!("{base}/tokens"));
    let all = server.get(&organization.path("apiToken?name=narrow"), &organization.owner).await.json();
    let narrow = &all["results"][0];
    assert_eq!((&narrow["permissions"], &narrow["projects"]), (&json!(["token:read", "*:read"]), &json!([shop])));
    // And say all else that a token has.
    server.member(&organization, "heir@acme.example", "viewer").await;
    let rows = format!(
        "name,role,sha256,successor,metadata,rate_limit,quota\nwhole,viewer,{},HEIR@acme.example,\"{{\"\"ticket\"\":7}}\",\"100/minute, 20 at once\",10000/day\n",
        sha256("whole")
    );
    owner.post(&path, &[("rows", &rows), ("confirmed", "yes")]).await.leads_to(&format!("{base}/tokens"));
    let all = server.get(&organization.path("apiToken?name=whole"), &organization.owner).await.json();
    let whole = &all["results"][0];
    assert_eq!(whole["metadata"], json!({ "ticket": 7 }));
    assert_eq!(whole["rate_limit"], json!({ "requests": 100, "per": "minute", "burst": 20 }));
    assert_eq!(whole["quota"], json!({ "requests": 10_000, "refill": "day" }));
    assert!(whole["successor_id"].is_string(), "{whole}");
    let rows = format!(
        "name,role,sha256,metadata,rate_limit,quota,successor\nx,viewer,{},[],often,many,nobody\n",
        sha256("x")
    );
    let page = owner.post(&path, &[("rows", &rows)]).await.says(400, "is no object of JSON");
    for told in ["is no rate", "is no quota", "who is no member"] {
        assert!(page.html.contains(told), "{told}: {}", page.html);
    }
    let before = before + 3;
    let secret = format!("{{\"name\":\"a\",\"role\":\"viewer\",\"secret\":\"{text}\"}}");
    let page = owner.post(&path, &[("rows", &secret)]).await.says(400, "does not belong here");
    assert!(!page.html.contains(text), "{}", page.html);
    assert_eq!(count().await, before + 2);
}
