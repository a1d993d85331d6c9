//! The lists of tokens in the console are narrowed by all that the API finds tokens by, for both kinds.

use serde_json::{Value, json};
use tokenward_core::time::DAY;

use crate::console::{Page, Person, hidden, world};
use crate::support::{Organization, Server};

/// The names of the tokens on a page, in their order.
fn names(page: &Page) -> Vec<String> {
    let rows = page.html.split("<a class=\"name\"").skip(1);
    rows.map(|row| row.split('>').nth(1).unwrap().split('<').next().unwrap().to_owned()).collect()
}

/// The kinds: the list of the console, and the path of the API.
const KINDS: [(&str, &str); 2] = [("tokens", "apiToken"), ("policy-tokens", "policyApiToken")];

/// Makes a token of a kind. Answers its id and its text.
async fn made(server: &Server, acme: &Organization, kind: &str, by: &str, mut body: Value) -> (String, String) {
    if kind == "policyApiToken" {
        body["opa_policy"] = json!("allow := true");
    }
    let made = server.post(&acme.path(kind), by, body).await.expect(201);
    (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn each_list_is_narrowed_by_role_owner_maker_label_days_and_what_else_there_is() {
    for (list, kind) in KINDS {
        let (server, acme, base) = world().await;
        let mut owner = Person::owner(&server).await;
        let (viewer, devops) = (server.role(&acme, "viewer").await, server.role(&acme, "devops").await);
        let (ada, _) = server.member(&acme, "ada@acme.example", "viewer").await;
        let (dev, session) = server.member(&acme, "dev@acme.example", "admin").await;
        let make = async |by: &str, name: &str, role: &str, more: Value| {
            let mut body = json!({ "name": name, "role_id": role, "owner_id": null });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            made(&server, &acme, kind, by, body).await
        };
        let bound = json!({ "owner_id": ada, "labels": { "team": "shop" }, "networks": ["127.0.0.0/8"] });
        make(&acme.owner, "ci-main", &viewer, bound).await;
        // Of which 31 January 2099 is the last day.
        let ends = json!({ "expires_at": "2099-02-01T00:00:00Z", "labels": { "team": "bank", "nightly": "" } });
        make(&acme.owner, "deploy", &devops, ends).await;
        make(&acme.owner, "later", &viewer, json!({ "not_before": "2099-06-01T00:00:00Z" })).await;
        let (_, used) = make(&session, "of-dev", &viewer, json!({})).await;
        let today = server.running.app.now().to_string()[..10].to_owned();
        let mut asked = json!({ "token": used });
        if kind == "policyApiToken" {
            asked["request"] = json!({ "method": "GET", "path": "/bills" });
        }
        assert_eq!(server.post("/verify", &acme.owner, asked).await.str("code"), "valid");

        let everything = ["ci-main", "deploy", "later", "of-dev"];
        for (query, expected) in [
            (format!("role={devops}"), &["deploy"][..]),
            ("owner=ada%40acme.example".into(), &["ci-main"]),
            ("owner=ADA%40Acme.example".into(), &["ci-main"]),
            (format!("owner={ada}"), &["ci-main"]),
            ("maker=DEV%40acme".into(), &["of-dev"]),
            (format!("maker={dev}"), &["of-dev"]),
            ("label=team%3Dshop".into(), &["ci-main"]),
            ("label=team:bank,nightly".into(), &["deploy"]),
            ("label=team".into(), &["ci-main", "deploy"]),
            ("state=not_yet_valid".into(), &["later"]),
            ("state=active".into(), &["ci-main", "deploy", "of-dev"]),
            ("restricted=yes".into(), &["ci-main", "later"]),
            ("restricted=no".into(), &["deploy", "of-dev"]),
            ("ends=yes".into(), &["deploy"]),
            ("ends=no".into(), &["ci-main", "later", "of-dev"]),
            ("state=kept".into(), &everything),
            ("state=all".into(), &everything),
            ("ends_from=2099-01-01&ends_to=2099-01-31".into(), &["deploy"]),
            ("ends_to=2099-01-30".into(), &[]),
            ("ends_from=2099-02-02".into(), &[]),
            (format!("used_from={today}"), &["of-dev"]),
            ("used_to=2000-01-01".into(), &[]),
            ("used_to=2099-01-01".into(), &everything),
            ("needed=due".into(), &[]),
            ("policy=beyond".into(), &[]),
            // All that is said must fit, with the search and a pill.
            ("q=ci&restricted=yes".into(), &["ci-main"]),
            ("filter=endless&label=team".into(), &["ci-main"]),
            ("filter=expired&label=team".into(), &[]),
            (format!("role={viewer}&sort=-name"), &["of-dev", "later", "ci-main"]),
            (format!("role={ada}"), &[]),
        ] {
            let page = owner.get(&format!("{base}/{list}?{query}")).await.says(200, "More filters");
            assert_eq!(names(&page), expected, "{list}?{query}");
        }
        // What is counted is of what is left, and what there is of all.
        let page = owner.get(&format!("{base}/{list}?label=team")).await.says(200, "2 of 4 tokens");
        for (label, count) in [("All", 2), ("No end", 1), ("Admin", 0)] {
            let counted = format!("{label} <span class=\"count\">{count}</span>");
            assert!(page.html.contains(&counted), "{list}: {counted}: {}", page.html);
        }
        let page = owner.get(&format!("{base}/{list}?needed=due&maker=dev")).await.says(200, "No token matches");
        assert!(page.html.contains("<details class=\"add narrower\" open>"), "{}", page.html);
        assert!(page.html.contains("value=\"dev\""), "what is asked for stands in the form: {}", page.html);
        assert!(page.html.contains("<option value=\"due\" selected>"), "{}", page.html);
        server.put(&acme.path("tokenPolicy"), &acme.owner, json!({ "max_lifetime": "30d" })).await.expect(200);
        let page = owner.get(&format!("{base}/{list}?policy=beyond")).await;
        assert_eq!(names(&page), everything);

        // Those that have ended are narrowed, too.
        let soon = server.running.app.now().plus(DAY).to_string();
        let body = json!({ "expires_at": soon, "labels": { "team": "shop" } });
        let (gone, _) = make(&acme.owner, "gone", &devops, body).await;
        server.delete(&acme.path(&format!("{kind}/{gone}")), &acme.owner).await.expect(204);
        for (query, expected) in [
            ("filter=revoked&label=team%3Dshop", &["gone"][..]),
            ("filter=ended&label=team%3Dbank", &[]),
            ("filter=revoked&state=active", &[]),
        ] {
            assert_eq!(names(&owner.get(&format!("{base}/{list}?{query}")).await), expected, "{list}?{query}");
        }
        let page = owner.get(&format!("{base}/{list}?label=team%3Dshop")).await;
        assert!(page.html.contains("Deleted <span class=\"count\">1</span>"), "{}", page.html);

        for (query, says) in [
            ("role=admin", "is not the id of a role"),
            ("owner=nobody%40acme.example", "is neither the e-mail address of a member nor an id"),
            ("label=a%20b", "names a key that"),
            ("restricted=true", "it cannot have"),
            ("state=disbled", "it cannot have"),
            ("needed=overdu", "did you mean"),
            ("ends_to=2099-02-30", "is not a day such as"),
            ("used_from=7d", "is not a day such as"),
            ("maker=a%00b", "has a control character"),
            ("ends_before=2099-01-01", "is no part of this page"),
            ("label=a&label=b", "is there twice"),
        ] {
            owner.get(&format!("{base}/{list}?{query}")).await.says(400, says);
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn what_narrows_a_list_stays_through_search_order_pages_bulk_and_back() {
    let (server, acme, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let viewer = server.role(&acme, "viewer").await;
    for (list, kind) in KINDS {
        let mut ids = Vec::new();
        for n in 0..101 {
            let body = json!({ "name": format!("n-{n:03}"), "role_id": viewer, "labels": { "batch": "x" } });
            ids.push(made(&server, &acme, kind, &acme.owner, body).await.0);
        }
        let body = json!({ "name": "other", "role_id": viewer });
        let (other, secret) = made(&server, &acme, kind, &acme.owner, body).await;
        // The form sends each of its fields, with nothing in most of them.
        let empty =
            ["role", "owner", "maker", "state", "ends_from", "ends_to", "used_from", "used_to", "needed", "policy"];
        owner.get(&format!("{base}/{list}")).await.says(200, "form=\"find\"");
        let form: Vec<(&str, &str)> = empty.into_iter().map(|name| (name, "")).collect();
        let form = [&form[..], &[("q", "n-"), ("label", "batch=x"), ("restricted", "no"), ("sort", "-name")]].concat();
        let find = format!("{base}/{list}/find");
        let shown = format!("{base}/{list}?q=n-&sort=-name&label=batch%3Dx&restricted=no");
        owner.post(&find, &form).await.leads_to(&shown);
        let page = owner.get(&shown).await.says(200, "101 of 102 tokens");
        assert_eq!((names(&page).len(), names(&page)[0].as_str()), (100, "n-100"));
        let kept = "label=batch%3Dx&#38;restricted=no";
        // Heads, pills, and the choice of an order.
        for (link, why) in [
            (format!("{list}?q=n-&#38;{kept}&#38;sort=role\""), "a head"),
            (format!("{list}?q=n-&#38;filter=soon&#38;sort=-name&#38;{kept}\""), "a pill"),
        ] {
            assert!(page.html.contains(&link), "{why}: {link}: {}", page.html);
        }
        assert!(page.html.contains("<input type=\"hidden\" name=\"label\" value=\"batch=x\">"), "{}", page.html);
        let next = page.html.split("rel=\"next\" href=\"").nth(1).unwrap();
        let next = next.split('"').next().unwrap().replace("&#38;", "&");
        assert!(next.contains("label=batch%3Dx&restricted=no"), "{next}");
        assert_eq!(names(&owner.get(&next).await), ["n-000"]);
        // Several at once, and the way back from one.
        let back = hidden(&owner.get(&shown).await, "back").replace("&#38;", "&");
        assert_eq!(back, format!("{list}?q=n-&sort=-name&label=batch%3Dx&restricted=no"));
        let asked = [("action", "disable"), ("token", ids[0].as_str()), ("back", &back)];
        let page = owner.post(&format!("{base}/{list}/bulk"), &asked).await.says(200, "Switch these tokens off?");
        let set = hidden(&page, "set");
        let done = [&asked[..], &[("set", set.as_str())]].concat();
        owner.post(&format!("{base}/{list}/bulk"), &done).await.leads_to(&shown);
        let page = owner.get(&shown).await;
        let one = page.html.split(&format!("href=\"{base}/{list}/{}?", ids[100])).nth(1).unwrap();
        let one = format!("{base}/{list}/{}?{}", ids[100], one.split('"').next().unwrap().replace("&#38;", "&"));
        let page = owner.get(&one).await;
        assert!(page.html.contains(&format!("href=\"{}\"", shown.replace('&', "&#38;"))), "{}", page.html);
        // *Clear* leaves search and order; a whole token leads to its page, from the list as it was.
        let page = owner.get(&shown).await;
        assert!(page.html.contains(&format!("href=\"{base}/{list}?q=n-&#38;sort=-name\">Clear")), "{}", page.html);
        let form = [("q", secret.as_str()), ("label", "batch=x")];
        let there = owner.post(&find, &form).await;
        assert!(there.location().starts_with(&format!("{base}/tokens/{other}?back=")), "{}", there.location());
        // In any other field it is refused, and comes back in no answer and no address.
        for field in ["owner", "maker", "label"] {
            let page = owner.post(&find, &[(field, secret.as_str())]).await;
            assert!(page.status == 400 && !page.html.contains(&secret), "{field}: {}", page.html);
        }
        let page = owner.get(&format!("{base}/{list}?maker={secret}")).await;
        let page = page.says(400, "looks like the text of a token");
        assert!(!page.html.contains(&secret), "{}", page.html);
    }
    server.stop().await;
}

#[tokio::test]
async fn those_that_were_deleted_are_among_all_and_not_among_those_that_are_kept() {
    for (list, kind) in KINDS {
        let (server, acme, base) = world().await;
        let mut owner = Person::owner(&server).await;
        let viewer = server.role(&acme, "viewer").await;
        let (gone, _) = made(&server, &acme, kind, &acme.owner, json!({ "name": "gone", "role_id": viewer })).await;
        made(&server, &acme, kind, &acme.owner, json!({ "name": "here", "role_id": viewer })).await;
        server.delete(&acme.path(&format!("{kind}/{gone}")), &acme.owner).await.expect(204);
        for (state, expected) in [("kept", &["here"][..]), ("all", &["gone", "here"]), ("active", &["here"])] {
            let page = owner.get(&format!("{base}/{list}?state={state}")).await.says(200, "");
            assert_eq!(names(&page), expected, "{kind} {state}");
        }
    }
}
