//! Policy tokens in the console: made from a recipe, tried, looked at, edited and deleted; a role that is asked.

use reqwest::Method;
use serde_json::json;

use crate::console::{Page, Person, hidden, world};

/// Sends a form as a browser does that has shown it.
async fn send(person: &mut Person, path: &str, form: &[(&str, String)]) -> Page {
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    person.post(path, &form).await
}

#[tokio::test]
async fn a_policy_token_is_made_from_a_recipe_tried_and_shown_once() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let viewer = server.role(&organization, "viewer").await;
    owner.get(&format!("{base}/tokens")).await.says(200, "/policy-tokens\">Policy tokens</a>");
    owner.get(&format!("{base}/policy-tokens")).await.says(200, "No policy token yet");
    let page = owner.get(&format!("{base}/policy-tokens/new?recipe=read-your-api")).await.says(200, "Begin with");
    assert!(page.html.contains("input.request.path[0] == &#34;invoices&#34;"), "{}", page.html);
    owner.get(&format!("{base}/policy-tokens/new?recipe=read-your-apis")).await.says(400, "read-your-api");
    let shown = hidden(&page, "shown");
    let policy = "allow if input.request.path[0] == \"invoices\"";
    let form = |more: &[(&'static str, &'static str)]| {
        let mut form = vec![("name", "reader"), ("role_id", viewer.as_str()), ("expires", "never"), ("shown", &shown)];
        form.extend(more.iter().copied());
        form.into_iter().map(|(name, value)| (name, value.to_owned())).collect::<Vec<_>>()
    };
    let list = format!("{base}/policy-tokens");
    let try_it =
        [("opa_policy", policy), ("action", "try"), ("method", "GET"), ("path", "/invoices/7"), ("gateway", "on")];
    send(&mut owner, &list, &form(&try_it)).await.says(200, "GET /invoices/7 is allowed");
    let denied = [("opa_policy", policy), ("action", "try"), ("method", "GET"), ("path", "/orders"), ("gateway", "on")];
    send(&mut owner, &list, &form(&denied)).await.says(200, "GET /orders is denied: no rule for");
    send(&mut owner, &list, &form(&[("opa_policy", policy), ("action", "try")]))
        .await
        .says(200, "The policy can be used");
    let wrong = [("opa_policy", "allow if {\n\tstrtswith(input.request.method, \"G\")\n}"), ("action", "try")];
    let page = send(&mut owner, &list, &form(&wrong)).await.says(400, "line 2, column 2");
    assert!(page.html.contains("strtswith(input"), "what was typed is kept");
    // Trying makes nothing.
    owner.get(&list).await.says(200, "No policy token yet");
    send(&mut owner, &list, &form(&[("opa_policy", "allow { true }")])).await.says(400, "“if” keyword");
    let page = send(&mut owner, &list, &form(&[("opa_policy", policy)])).await.says(201, "twp_");
    assert_eq!(page.headers["cache-control"], "no-store, max-age=0");
    let again = send(&mut owner, &list, &form(&[("opa_policy", policy)])).await.says(409, "It was shown already");
    assert!(!again.html.contains("twp_") && again.html.contains("/policy-tokens/"), "{}", again.html);
    owner.get(&list).await.says(200, "reader");
}

#[tokio::test]
async fn a_policy_token_is_looked_at_edited_by_what_it_did_and_deleted() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let body = json!({ "name": "reader", "opa_policy": "allow if input.request.method == \"GET\"" });
    let made = server.post(&organization.path("policyApiToken"), &organization.owner, body).await.expect(201);
    let (id, text) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    server.get(&organization.path("project"), text).await.expect(200);
    let one = format!("{base}/policy-tokens/{id}");
    let page = owner.get(&one).await.says(200, "What it may be used for");
    assert!(page.html.contains(&format!("policy:{id}:reader")) && !page.html.contains(text), "{}", page.html);
    // Links that know no kinds of tokens lead here as well.
    owner.get(&format!("{base}/tokens/{id}")).await.leads_to(&one);
    let page = owner.get(&format!("{one}/edit")).await.says(200, "What would change?");
    let (version, role) = (hidden(&page, "version"), made["role_id"].as_str().unwrap().to_owned());
    let form = |policy: &str, action: &str| {
        let pairs = [("name", "reader-2"), ("role_id", &role), ("expires", "keep"), ("version", &version)];
        let more = [("opa_policy", policy), ("action", action)];
        pairs.into_iter().chain(more).map(|(name, value)| (name, value.to_owned())).collect::<Vec<_>>()
    };
    let edit = format!("{one}/edit");
    let page = send(&mut owner, &edit, &form("allow if input.request.method == \"POST\"", "replay")).await;
    page.says(200, "would change");
    let path = organization.path(&format!("policyApiToken/{id}"));
    assert_eq!(server.get(&path, &organization.owner).await.str("name"), "reader", "nothing is saved");
    // An end that is sooner is told of before it is saved.
    let mut ends = form("allow if input.request.method == \"HEAD\"", "save");
    ends[2].1 = "7d".to_owned();
    send(&mut owner, &edit, &ends).await.says(200, "It would end on ");
    assert_eq!(server.get(&path, &organization.owner).await.str("name"), "reader", "nothing is saved");
    send(&mut owner, &edit, &form("allow if input.request.method == \"HEAD\"", "save")).await.leads_to(&one);
    assert_eq!(server.get(&path, &organization.owner).await.str("name"), "reader-2");
    assert_eq!(server.get(&organization.path("project"), text).await.outcome(), (401, "policy_denied".into()));
    // The form is of a version that is not the last any more.
    send(&mut owner, &edit, &form("allow := false", "save")).await.says(412, "Somebody else changed this");
    // It is rotated, and the page of the new secret is shown once.
    let page = owner.get(&format!("{one}/rotate")).await.says(200, "How long is the secret");
    let rotate = [("version", hidden(&page, "version")), ("keep", "1h".to_owned())];
    let page = send(&mut owner, &format!("{one}/rotate"), &rotate).await.says(200, "has a new secret");
    assert!(page.html.contains("twp_") && page.html.contains("is accepted until"), "{}", page.html);
    send(&mut owner, &format!("{one}/rotate"), &rotate).await.says(409, "was rotated meanwhile");
    let page = owner.get(&one).await.says(200, "id=\"secrets\"");
    assert!(!page.html.contains("twp_") && page.html.contains("/policy-tokens/"), "{}", page.html);
    assert!(page.html.contains("/secrets/1/end\""), "{}", page.html);
    owner.get(&format!("{one}/secrets/1/end")).await.says(200, "End the secret");
    send(&mut owner, &format!("{one}/secrets/1/end"), &[]).await.leads_to(&one);
    assert_eq!(server.get("/token/self", text).await.outcome(), (401, "replaced".into()));
    owner.get(&format!("{one}/disable")).await.says(200, "Switch off");
    send(&mut owner, &format!("{one}/disable"), &[]).await.leads_to(&one);
    owner.get(&one).await.says(200, "It is switched off");
    owner.get(&format!("{one}/delete")).await.says(200, "Why?");
    let why = [("reason", "cessation".to_owned()), ("note", "the old pipeline".to_owned())];
    send(&mut owner, &format!("{one}/delete"), &why).await.leads_to(&one);
    owner.get(&one).await.says(200, "the old pipeline");
    owner.get(&format!("{one}/undo")).await.says(200, "Take back the deletion");
}

#[tokio::test]
async fn the_page_of_a_role_says_what_it_would_be_answered() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let viewer = server.role(&organization, "viewer").await;
    let page = owner.get(&format!("{base}/roles/{viewer}")).await.says(200, "built in");
    assert!(!page.html.contains("What would a token with it be answered?"), "there is no API to ask about");
    let routes = json!({ "routes": [{ "method": "POST", "path": "/refunds", "permissions": ["refunds:write"] }] });
    let put = server.call(Method::PUT, &organization.path("api/shop"), &organization.owner, Some(routes)).await;
    assert_eq!(put.status, 200, "{}", put.text);
    let asked = format!("{base}/roles/{viewer}?api=shop&method=POST&path=/refunds");
    owner.get(&asked).await.says(200, "The role lacks “refunds:write”.");
    let custom = server.post(&organization.path("customRole"), &organization.owner, json!({ "name": "ops" })).await;
    let role = format!("{base}/roles/{}", custom.str("id"));
    let page = owner.get(&format!("{role}?api=shop&method=POST&path=/refunds&days=90")).await;
    let page = page.says(200, "POST /refunds is denied.");
    let link = |page: &Page, begin: &str| {
        let at = page.html.find(&format!("href=\"{begin}?")).unwrap_or_else(|| panic!("{begin}: {}", page.html)) + 6;
        page.html[at..].split('"').next().unwrap().replace("&#38;", "&")
    };
    // Who looks at the editor and leaves it finds what was asked, and its answer; so does who looks at another span of time.
    let editor = owner.get(&link(&page, &format!("{role}/edit"))).await.says(200, "Preview changes");
    let cancelled = link(&editor, &role);
    let page = owner.get(&cancelled).await.says(200, "POST /refunds is denied.");
    assert!(page.html.contains("name=\"days\" value=\"90\""), "{}", page.html);
    let other = page.html.split("id=\"granted\"").nth(1).unwrap().split("href=\"").nth(1).unwrap();
    let other = other.split('"').next().unwrap().replace("&#38;", "&");
    assert!(other.contains("days=30"), "{other}");
    owner.get(&other).await.says(200, "POST /refunds is denied.");
    owner.get(&format!("{base}/roles/{viewer}?apis=shop")).await.says(400, "apis");
    // Who has it: tokens with a policy, too.
    let policy = "allow if input.request.method == \"GET\"";
    let body = json!({ "name": "bounded", "role_id": custom.str("id"), "opa_policy": policy });
    let bounded = server.post(&organization.path("policyApiToken"), &organization.owner, body).await.str("id");
    let page = owner.get(&role).await.says(200, "Policy tokens</dt>");
    assert!(page.html.contains(&format!("{base}/policy-tokens/{bounded}\">bounded</a>")), "{}", page.html);
}

#[tokio::test]
async fn policy_tokens_are_sorted_by_a_use_of_a_moment_ago() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let mut texts = Vec::new();
    for name in ["alpha", "beta"] {
        let body = json!({ "name": name, "opa_policy": "allow if input.request.method == \"GET\"" });
        let made = server.post(&organization.path("policyApiToken"), &organization.owner, body).await;
        texts.push(made.str("token"));
    }
    server.get(&organization.path("project"), &texts[0]).await.expect(200);
    for (query, first) in [("", "alpha"), ("?sort=used", "beta"), ("?sort=-used", "alpha")] {
        let page = owner.get(&format!("{base}/policy-tokens{query}")).await.says(200, "Policy tokens");
        let (_, rest) = page.html.split_once("class=\"name\"").unwrap();
        assert!(rest.split_once('>').unwrap().1.starts_with(first), "{query}: {}", page.html);
    }
}

#[tokio::test]
async fn a_form_of_a_new_token_that_is_refused_keeps_the_successor() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let (user, _) = server.member(&organization, "bob@acme.example", "viewer").await;
    let viewer = server.role(&organization, "viewer").await;
    owner.get(&format!("{base}/policy-tokens/new")).await;
    for list in ["tokens", "policy-tokens"] {
        let form = [
            ("name", ""),
            ("role_id", viewer.as_str()),
            ("expires", "30d"),
            ("opa_policy", "allow if input.request.method == \"GET\""),
            ("successor_id", user.as_str()),
        ];
        // The form of API tokens has no policy.
        let fields: Vec<_> = form.into_iter().filter(|(field, _)| list != "tokens" || *field != "opa_policy").collect();
        let page = owner.post(&format!("{base}/{list}"), &fields).await.says(400, "must not be empty");
        assert!(page.html.contains(&format!("<option value=\"{user}\" selected>")), "{list}: {}", page.html);
    }
}

#[tokio::test]
async fn policy_tokens_are_searched_filtered_and_changed_together() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let (user, _) = server.member(&organization, "ada@acme.example", "viewer").await;
    let viewer = server.role(&organization, "viewer").await;
    let mut made = Vec::new();
    for name in ["alpha", "beta"] {
        let policy = "allow if input.request.method == \"GET\"";
        let body = json!({ "name": name, "opa_policy": policy, "role_id": viewer, "expires_at": null });
        let token = server.post(&organization.path("policyApiToken"), &organization.owner, body).await.expect(201);
        made.push((token["id"].as_str().unwrap().to_owned(), token["token"].as_str().unwrap().to_owned()));
    }
    server.new_token(&organization, json!({ "name": "alphabet", "role_id": viewer })).await;
    let list = format!("{base}/policy-tokens");
    let page = owner.get(&format!("{list}?q=ALPHA")).await.says(200, ">alpha</a>");
    assert!(!page.html.contains(">beta</a>") && !page.html.contains(">alphabet</a>"), "{}", page.html);
    let page = owner.get(&list).await.says(200, "No end <span class=\"count\">2</span>");
    assert!(page.html.contains("Choose alpha") && !page.html.contains("revoke-all"), "{}", page.html);
    // The text of one leads to its page from either list, and stands in no address.
    let find = [("q", made[0].1.as_str()), ("filter", "endless")];
    let opened = format!("{base}/tokens/{}?back=policy-tokens%3Ffilter%3Dendless", made[0].0);
    owner.post(&format!("{list}/find"), &find).await.leads_to(&opened);
    owner.post(&format!("{list}/find"), &[("q", "alp")]).await.leads_to(&format!("{list}?q=alp"));
    let bulk = format!("{list}/bulk");
    let both = |action: &'static str| [("action", action), ("token", &*made[0].0), ("token", &*made[1].0)];
    let page = owner.post(&bulk, &both("hand_over")).await.says(200, "2 tokens chosen");
    let set = hidden(&page, "set");
    let hand_over = [&both("hand_over")[..], &[("set", &set), ("owner_id", &user)]].concat();
    owner.post(&bulk, &hand_over).await.leads_to(&list);
    let page = owner.post(&bulk, &both("delete")).await.says(200, "Delete these tokens?");
    let set = hidden(&page, "set");
    let delete = [&both("delete")[..], &[("set", &set), ("reason", "cessation")]].concat();
    owner.post(&bulk, &delete).await.leads_to(&list);
    owner.get(&format!("{list}?filter=revoked")).await.says(200, ">beta</a>");
    let gone = server.get(&organization.path(&format!("policyApiToken/{}", made[0].0)), &organization.owner).await;
    assert_eq!((&gone.json()["owner_id"], &gone.json()["state"]), (&json!(user), &json!("revoked")));
    assert_eq!(server.get("/token/self", &made[1].1).await.status, 401);
    server.stop().await;
}

#[tokio::test]
async fn whoever_is_accountable_for_a_policy_token_is_asked_on_a_page_of_its_own() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let policy = json!({ "name": "reader", "opa_policy": "allow if input.request.method == \"GET\"" });
    let id = server.post(&organization.path("policyApiToken"), &organization.owner, policy).await.str("id");
    let one = format!("{base}/policy-tokens/{id}");
    owner.get(&format!("{one}/attest")).await.says(200, "Is this policy token still needed?");
    owner.post(&format!("{one}/attest"), &[]).await.leads_to(&one);
    owner.get(&one).await.says(200, "Noted: the token is still needed.");
    let shown = server.get(&organization.path(&format!("policyApiToken/{id}")), &organization.owner).await;
    assert_eq!(shown.json()["attestation"], "confirmed");
    owner
        .get(&format!("{base}/policy-tokens/{}/attest", server.role(&organization, "viewer").await))
        .await
        .says(404, "");
    server.stop().await;
}
