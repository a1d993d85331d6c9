//! Documents of routes in forms of the console: how large they may be, and how many routes a page shows.

use crate::console::{Person, world};

#[tokio::test]
async fn a_document_of_5_mb_is_taken_and_a_larger_one_is_refused_in_words() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let new = format!("{base}/apis/new");
    owner.get(&new).await;
    let mut document = String::new();
    for n in 0..10_000 {
        document += &format!("[[route]]\nmethod = \"GET\"\npath = \"/things/{n}\"\npermission = \"things:read\"\n");
    }
    // As large as it may be, and of what grows most in a form.
    document.push('#');
    document.extend(std::iter::repeat_n('é', (5_000_000 - document.len()) / 2));
    document.extend(std::iter::repeat_n('#', 5_000_000 - document.len()));
    let form = [("name", "large"), ("document", document.as_str()), ("unknown_route", "deny")];
    let large = format!("{base}/apis/large");
    owner.post(&new, &form).await.leads_to(&large);

    // All of the routes can be reached, a page at a time.
    let page = owner.get(&large).await.says(200, "1–100 of 10,000 routes");
    assert_eq!(page.html.matches("<span class=\"method get\">").count(), 100);
    assert!(page.html.contains(&format!("href=\"{large}?page=1\"")), "{}", page.html);
    let page = owner.get(&format!("{large}?page=99")).await.says(200, "9,901–10,000 of 10,000 routes");
    assert!(page.html.contains(&format!("href=\"{large}?page=98\"")) && !page.html.contains("page=100"));
    let page = owner.get(&format!("{large}?q=GET+/things/777")).await.says(200, "11 that match, of 10,000 routes");
    assert!(page.html.contains("/things/7770</th>") && !page.html.contains("/things/1</th>"));
    owner.get(&format!("{large}?q=nothing")).await.says(200, "No route matches");
    owner.get(&format!("{large}?page=100000000000000000000000")).await.says(400, "not the number of a page");

    document.push('#');
    let form = [("name", "larger"), ("document", document.as_str()), ("unknown_route", "deny")];
    let page = owner.post(&new, &form).await.says(413, "A document of routes has at most 5 MB. Nothing was changed.");
    assert!(
        page.html.contains("value=\"larger\"") && page.html.len() < 100_000,
        "the name stays, the document does not"
    );
    let huge = "é".repeat(4_000_000);
    let form = [("name", "huge"), ("document", huge.as_str()), ("unknown_route", "deny")];
    owner.post(&new, &form).await.says(413, "A document of routes has at most 5 MB. Nothing was changed.");
    // Other forms stay as small as they were.
    let form = [("name", &huge[..2_000_000]), ("description", "")];
    owner.post(&format!("{base}/projects/new"), &form).await.says(413, "larger than the limit “form_bytes”");
    owner.post(&format!("{large}/delete"), &form).await.says(413, "larger than the limit “form_bytes”");
    let left = server.get(&organization.path("api"), &organization.owner).await;
    assert_eq!(left.each("results", "name"), ["large"]);
    server.stop().await;
}

#[tokio::test]
async fn what_a_document_does_is_shown_before_it_is_saved() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let new = format!("{base}/apis/new");
    owner.get(&new).await.says(200, "See what it does");
    let first = "[[route]]\nmethod = \"GET\"\npath = \"/invoices\"\npermission = \"invoices:read\"\n\
                 [[route]]\nmethod = \"GET\"\npath = \"/old\"\npermission = \"old:read\"\n";
    let second = "[[route]]\nmethod = \"GET\"\npath = \"/invoices\"\npermission = \"ledger:write\"\n\
                  [[route]]\nmethod = \"POST\"\npath = \"/invoices\"\npermission = \"invoices:write\"\n";
    let form =
        |action, document| [("name", "shop"), ("document", document), ("unknown_route", "deny"), ("action", action)];
    let change =
        |action, document| [("version", ""), ("document", document), ("unknown_route", "deny"), ("action", action)];
    let page = owner.post(&new, &form("preview", first)).await.says(200, "Nothing is saved yet. 2 routes: 2 new");
    for says in ["2: GET /invoices, GET /old", "old:read", "value=\"shop\"", "path = &#34;/old&#34;"] {
        assert!(page.html.contains(says), "{says}: {}", page.html);
    }
    assert!(server.get(&organization.path("api"), &organization.owner).await.each("results", "name").is_empty());
    owner.post(&new, &form("preview", "[[route]]\nmetod = 1")).await.says(400, "metod");
    owner.post(&new, &form("save", first)).await.leads_to(&format!("{base}/apis/shop"));
    let page = format!("{base}/apis/shop");
    let shown = owner.post(&page, &change("preview", second)).await;
    let shown = shown.says(200, "Nothing is saved yet. 2 routes: 1 new, 1 different, 1 gone");
    // A viewer reads invoices and old ones now, and neither of them then.
    assert!(
        shown
            .html
            .contains("viewer</th><td data-label=\"Gains\" title=\"\"></td><td data-label=\"Loses\" title=\"2: GET"),
        "{}",
        shown.html
    );
    let one = organization.path("api/shop");
    assert_eq!(server.get(&one, &organization.owner).await.json()["route_count"], 2);
    // How its servers read paths is chosen beside the document, and without one.
    let shown = owner.get(&page).await.says(200, "2 routes").html;
    let version = shown.split("name=\"version\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let readings = [("allow_paths", "semicolon"), ("allow_paths", "encoded_slash")];
    let rest = [("document", ""), ("unknown_route", "deny"), ("version", version), ("action", "save")];
    owner.post(&page, &[&readings[..], &rest].concat()).await.leads_to(&page);
    let saved = server.get(&one, &organization.owner).await.json();
    assert_eq!(
        (saved["allow_paths"].to_string(), saved["route_count"].as_i64()),
        (r#"["encoded_slash","semicolon"]"#.into(), Some(2))
    );
    let shown = owner.get(&page).await.says(200, "They divide a path at");
    assert_eq!(shown.html.matches("name=\"allow_paths\"").count(), 7);
    assert!(shown.html.contains("value=\"encoded_slash\" checked") && shown.html.contains("value=\"capitals\">"));
    server.stop().await;
}
