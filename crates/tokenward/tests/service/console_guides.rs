//! The guides in the console, and what forms say when they are refused.

use crate::console::{Person, world};

#[tokio::test]
async fn guides_are_read_and_searched_by_everybody_who_is_signed_in() {
    let (server, _, base) = world().await;
    let mut stranger = Person::at(&server);
    assert_eq!(stranger.get("/console/guides/tokens").await.status, 303);
    let mut owner = Person::owner(&server).await;
    let page = owner.get(&format!("{base}/tokens")).await.says(200, "href=\"/console/guides\"");
    assert!(page.html.contains("href=\"/docs\""), "the reference is there too");
    owner.get("/console/guides").await.says(200, "href=\"/console/guides/verification\"");
    let page = owner.get("/console/guides/tokens").await.says(200, "<h2 id=\"s-rotate-it\">");
    assert!(page.html.contains("href=\"#s-rotate-it\"") && page.html.contains("<pre tabindex=\"0\">"), "{}", page.html);
    owner.get("/console/guides/nothing").await.says(404, "");
    owner.get("/console/guides/..%2f..%2fREADME").await.says(404, "");
    let page = owner.get("/console/guides?q=rotate+secret").await.says(200, "Rotate");
    assert!(page.html.contains("/console/guides/tokens#s-"), "{}", page.html);
    let page = owner.get("/console/guides?q=%3Cscript%3Ealert(1)%3C/script%3E").await.says(200, "Nothing is found");
    assert!(!page.html.contains("<script>alert"), "{}", page.html);
    owner.get(&format!("/console/guides?q={}", "a".repeat(201))).await.says(400, "longer than 200 letters");
    owner.get("/console/guides?p=1").await.says(400, "");
    server.stop().await;
}

#[tokio::test]
async fn every_form_says_at_its_top_what_is_to_be_put_right() {
    let (server, _, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let wide = "x".repeat(300);
    let inside = |path: &str| format!("{base}{path}");
    type Fields<'f> = &'f [(&'f str, &'f str)];
    let forms: [(String, String, Fields<'_>); 12] = [
        (inside("/projects/new"), inside("/projects/new"), &[("name", "")]),
        (inside("/clusters/new"), inside("/clusters/new"), &[("name", "")]),
        (inside("/members/invite"), inside("/members/invite"), &[("email", "nobody")]),
        (inside("/roles/new"), inside("/roles/new"), &[("name", ""), ("action", "save")]),
        (inside("/apis/new"), inside("/apis/new"), &[("name", "")]),
        (inside("/tokens/new"), inside("/tokens"), &[("name", "")]),
        (inside("/policy-tokens/new"), inside("/policy-tokens"), &[("name", "")]),
        (inside("/settings"), inside("/settings"), &[("name", "")]),
        (inside("/settings/token-policy"), inside("/settings/token-policy"), &[("max_lifetime", "soon")]),
        ("/console/account".into(), "/console/account/name".into(), &[("name", wide.as_str())]),
        (
            "/console/account".into(),
            "/console/account/password".into(),
            &[("current_password", "wrong"), ("new_password", "short")],
        ),
        ("/console/new".into(), "/console/new".into(), &[("name", "")]),
    ];
    for (shown, posted, form) in forms {
        owner.get(&shown).await.says(200, "csrf");
        let page = owner.post(&posted, form).await;
        assert!(page.status.is_client_error(), "{posted}: {}", page.status);
        let main = page.html.split_once("<main id=\"main\"").unwrap().1;
        let (before, rest) =
            main.split_once("class=\"notice bad refused\"").unwrap_or_else(|| panic!("{posted}: {main}"));
        assert!(!before.contains("<form method=\"post\""), "{posted}: it stands before the form");
        let listed = rest.split_once("</ul>").unwrap().0;
        assert!(listed.contains("autofocus") && listed.contains("to put right"), "{posted}: {listed}");
        for link in listed.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(main.contains(&format!(" id=\"{link}\"")), "{posted}: {link}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn all_projects_are_set_at_once_without_a_script() {
    let (server, organization, base) = world().await;
    for name in ["shop", "billing", "search"] {
        let body = serde_json::json!({ "name": name });
        server.post(&organization.path("project"), &organization.owner, body).await.expect(200);
    }
    let mut owner = Person::owner(&server).await;
    let new = format!("{base}/roles/new");
    let page = owner.get(&new).await.says(200, "All projects");
    let ids: Vec<String> = page
        .html
        .split("name=\"project.")
        .skip(1)
        .filter_map(|rest| rest.split_once(".STAGING\"").map(|(id, _)| id.to_owned()))
        .filter(|id| id.len() == 36)
        .collect();
    assert_eq!(ids.len(), 3);
    let rows: Vec<(String, String)> =
        ids.iter().map(|id| (format!("project.{id}.STAGING"), "NO_ACCESS".into())).collect();
    let mut form: Vec<(&str, &str)> = vec![("name", "deployer"), ("all.STAGING", "DEPLOYER"), ("action", "save")];
    form.extend(rows.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    assert_eq!(owner.post(&new, &form).await.status, 303);
    let roles = server.get(&organization.path("customRole"), &organization.owner).await.expect(200);
    let projects = roles["results"][0]["project_permissions"].as_array().unwrap();
    assert_eq!(projects.len(), 3);
    for project in projects {
        let staging = project["permissions"].as_array().unwrap().iter().find(|it| it["environment_type"] == "STAGING");
        assert_eq!(staging.unwrap()["permission"], "DEPLOYER", "{project}");
    }
    server.stop().await;
}
