//! The console over HTTP, without a browser: what its forms, cookies and headers must hold.

use std::collections::HashMap;
use tokenward_core::right::Operator;

use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::{OWNER, Organization, PASSWORD, Server, config};

/// A well-formed id of nothing.
const ABSENT: &str = "019ab000-0000-7000-8000-000000000000";
const SESSION: &str = "__Host-tokenward";
const FORM: &str = "__Host-tokenward-form";

/// Somebody with a browser that keeps cookies.
pub struct Person {
    http: reqwest::Client,
    url: String,
    pub origin: String,
    pub cookies: HashMap<String, String>,
    /// What goes with every request.
    pub headers: Vec<(String, String)>,
    /// The token of the last form that was shown.
    pub csrf: String,
}

/// A page.
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub html: String,
}

impl Page {
    pub fn location(&self) -> &str {
        self.headers.get(LOCATION).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn says(self, status: u16, text: &str) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.html);
        assert!(self.html.contains(text), "no `{text}` in {}", self.html);
        self
    }

    #[track_caller]
    pub fn leads_to(self, path: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.location()), (303, path), "{}", self.html);
        self
    }
}

impl Person {
    pub fn at(server: &Server) -> Self {
        Self::at_url(&server.url)
    }

    pub fn at_url(url: &str) -> Self {
        let http = reqwest::Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
        let url = url.to_owned();
        Self { http, origin: url.clone(), url, cookies: HashMap::new(), headers: Vec::new(), csrf: String::new() }
    }

    pub async fn owner(server: &Server) -> Self {
        let mut person = Self::at(server);
        person.sign_in(OWNER, PASSWORD).await.leads_to("/");
        person
    }

    pub async fn sign_in(&mut self, email: &str, password: &str) -> Page {
        self.get("/sign-in").await;
        self.post("/sign-in", &[("email", email), ("password", password)]).await
    }

    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        form: Option<&[(&str, &str)]>,
        headers: &[(&str, &str)],
    ) -> Page {
        let page = self.sending(method, path, form, headers).await;
        for line in page.headers.get_all(SET_COOKIE) {
            let (name, rest) = line.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if value.is_empty() {
                self.cookies.remove(name)
            } else {
                self.cookies.insert(name.into(), value.into())
            };
        }
        if let Some((_, rest)) = page.html.split_once("name=\"csrf\" value=\"") {
            self.csrf = rest.split('"').next().unwrap().to_owned();
        }
        page
    }

    /// The same without what the answer leaves in the browser.
    async fn sending(
        &self,
        method: Method,
        path: &str,
        form: Option<&[(&str, &str)]>,
        headers: &[(&str, &str)],
    ) -> Page {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(form) = form {
            request = request.form(form);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Page { status, headers, html: response.text().await.unwrap() }
    }

    pub async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, None, &[("accept", "text/html")]).await
    }

    /// Sends a form as a browser does that has shown it.
    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Page {
        let (csrf, origin) = (self.csrf.clone(), self.origin.clone());
        let form = [&[("csrf", csrf.as_str())], form].concat();
        self.send(Method::POST, path, Some(&form), &[("origin", &origin)]).await
    }

    /// The same, once more of many at once.
    pub async fn posting(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let form = [&[("csrf", self.csrf.as_str())], form].concat();
        self.sending(Method::POST, path, Some(&form), &[("origin", &self.origin)]).await
    }
}

/// The value of a hidden field of a page.
pub fn hidden(page: &Page, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    page.html.split(&start).nth(1).unwrap_or_else(|| panic!("{name} is missing")).split('"').next().unwrap().to_owned()
}

/// What an answer says last about the cookie of this name.
fn set_cookie(page: &Page, name: &str) -> String {
    let mut all = page.headers.get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap());
    all.rfind(|line| line.starts_with(&format!("{name}="))).unwrap_or_default().to_owned()
}

pub async fn world() -> (Server, Organization, String) {
    let (server, organization) = Server::with_owner().await;
    let base = format!("/console/{}", organization.id);
    (server, organization, base)
}

#[tokio::test]
async fn every_page_carries_the_headers_and_none_is_kept() {
    let (server, _, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let tokens = format!("{base}/tokens");
    for (path, status) in
        [("/sign-in", 200), (tokens.as_str(), 200), ("/set-up/x", 404), ("/nothing", 404), ("/docs", 200), ("/", 303)]
    {
        let page = owner.get(path).await;
        assert_eq!(page.status.as_u16(), status, "{path}");
        let header = |name: &str| page.headers.get(name).map_or("", |value| value.to_str().unwrap());
        let policy = header("content-security-policy");
        for part in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part) && !policy.contains("unsafe"), "{path}: {policy}");
        }
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        // The reference is the same for everybody: it may be kept, and is asked for again.
        let kept = if path == "/docs" { "no-cache" } else { "no-store" };
        assert!(header("cache-control").contains(kept), "{path}");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{path}");
    }
    let page = owner.get(&tokens).await.html;
    let sheet = page.split("href=\"").find(|rest| rest.starts_with("/assets/console.css")).unwrap();
    let asset = owner.get(sheet.split('"').next().unwrap()).await;
    assert_eq!(asset.headers["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(owner.get("/assets/console.css").await.headers["cache-control"], "public, max-age=300");
    owner.get("/assets/..%2fconsole.css").await.says(404, "");
    server.stop().await;
}

#[tokio::test]
async fn the_session_is_a_cookie_of_the_console_alone_and_new_at_each_sign_in() {
    let (server, organization, base) = world().await;
    let mut owner = Person::at(&server);
    let form = owner.get("/sign-in").await;
    let cookie = set_cookie(&form, FORM);
    assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{cookie}");
    let page = owner.post("/sign-in", &[("email", OWNER), ("password", PASSWORD)]).await.leads_to("/");
    let cookie = set_cookie(&page, SESSION);
    assert!(cookie.contains("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=604"), "{cookie}");
    let first = owner.cookies[SESSION].clone();
    owner.get(&format!("{base}/tokens")).await.says(200, "No token yet");

    // The API takes neither the cookie nor its text; the console takes no Authorization.
    let path = organization.path("apiToken");
    assert_eq!(owner.get(&path).await.status, 401);
    assert_eq!(server.get(&path, &first).await.status, 401);
    let bearer = format!("Bearer {}", organization.owner);
    let mut stranger = Person::at(&server);
    let page = stranger.send(Method::GET, &format!("{base}/tokens"), None, &[("authorization", &bearer)]).await;
    page.leads_to(&format!("/sign-in?next=%2Fconsole%2F{}%2Ftokens", organization.id));
    stranger.cookies.insert(SESSION.into(), organization.owner.clone());
    assert_eq!(stranger.get(&base).await.status, 303, "a session over HTTP is no cookie");

    owner.sign_in(OWNER, PASSWORD).await.leads_to("/");
    assert_ne!(owner.cookies[SESSION], first);
    let mut old = Person::at(&server);
    old.cookies.insert(SESSION.into(), first);
    let page = old.get(&base).await;
    assert!(page.location().starts_with("/sign-in?next="), "the session before has ended");

    owner.get(&format!("{base}/tokens")).await;
    let page = owner.post("/sign-out", &[]).await.leads_to("/sign-in?notice=out");
    assert!(set_cookie(&page, SESSION).contains("Max-Age=0"));
    server.stop().await;
}

#[tokio::test]
async fn a_form_that_is_not_ours_changes_nothing() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    owner.get(&format!("{base}/tokens")).await;
    let role = server.role(&organization, "viewer").await;
    let (csrf, origin) = (owner.csrf.clone(), owner.origin.clone());
    let path = format!("{base}/tokens");
    let form = [("csrf", csrf.as_str()), ("name", "forged"), ("role_id", role.as_str()), ("expires", "never")];
    for headers in [
        vec![],
        vec![("origin", "http://evil.example")],
        vec![("origin", "http://127.0.0.1:1")],
        vec![("origin", "null")],
        vec![("origin", "null"), ("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")],
    ] {
        let page = owner.send(Method::POST, &path, Some(&form), &headers).await;
        page.says(403, "This form was not taken");
    }
    let good: [(&str, &str); 1] = [("origin", &origin)];
    for wrong in ["", "0", &csrf[1..], &csrf.to_uppercase()] {
        let form = [("csrf", wrong), ("name", "forged"), ("role_id", role.as_str()), ("expires", "never")];
        owner.send(Method::POST, &path, Some(&form), &good).await.says(403, "This form was not taken");
    }
    // Its place is the first, so that of a foreign form nothing else is looked at.
    let last = [&form[1..], &form[..1]].concat();
    owner.send(Method::POST, &path, Some(&last), &good).await.says(403, "This form was not taken");
    // A token that was made for another browser, or for forms before signing in.
    let mut other = Person::owner(&server).await;
    for path in [base.clone() + "/tokens", "/sign-in".into()] {
        other.get(&path).await;
        owner.csrf = other.csrf.clone();
        owner.post(&format!("{base}/tokens"), &form[1..]).await.says(403, "This form was not taken");
    }
    let mut stranger = Person::at(&server);
    stranger.get("/sign-in").await;
    stranger.cookies.clear();
    let page = stranger.post("/sign-in", &[("email", OWNER), ("password", PASSWORD)]).await;
    page.says(403, "Allow cookies for this site");
    let left = server.get(&organization.path("apiToken"), &organization.owner).await.json();
    assert_eq!(left["results"], json!([]));

    // The same with our own word for where it comes from, as browsers send it for pages without a referrer.
    let headers = [("origin", "null"), ("sec-fetch-site", "same-origin")];
    owner.send(Method::POST, &path, Some(&form), &headers).await.says(201, "“forged” is ready");
    server.stop().await;
}

#[tokio::test]
async fn a_form_has_few_fields_and_a_visitors_form_is_small() {
    let (server, _, base) = world().await;
    let mut owner = Person::owner(&server).await;
    owner.get(&format!("{base}/projects/new")).await;
    let page = owner.post(&format!("{base}/projects/new"), &[("a", ""); 50_000]).await;
    page.says(413, "more fields than the limit “form_fields” (50000 count)");
    owner.post(&format!("{base}/tokens/bulk"), &[("token", ABSENT); 49_999]).await.says(400, "action");

    let mut visitor = Person::at(&server);
    visitor.get("/sign-in").await;
    let email = |length: usize| "a".repeat(length);
    for longer in [255, 16_000] {
        let form = [("email", &*email(longer)), ("password", PASSWORD)];
        visitor.post("/sign-in", &form).await.says(400, "the limit “email_characters” is 254");
    }
    let page = visitor.post("/sign-in", &[("email", &email(17_000)), ("password", PASSWORD)]).await;
    page.says(413, "larger than the limit “visitor_form_bytes” (16384 bytes)");
    server.stop().await;
}

#[tokio::test]
async fn every_form_of_the_console_is_guarded() {
    let (server, _, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let origin = owner.origin.clone();
    for route in tokenward_server::form_paths() {
        let path =
            route.replace("/console/{organization}", &base).replace("{name}", "shop").replace("{secret}", "secret");
        let parts = path.split('/').map(|part| if part.starts_with('{') { ABSENT } else { part });
        let path = parts.collect::<Vec<_>>().join("/");
        // The right token, so that it is the origin that is missed; and the other way round.
        let with_session = path.starts_with("/console") || path == "/sign-out";
        owner.get(if with_session { "/console/account" } else { "/sign-in" }).await.says(200, "csrf");
        let csrf = owner.csrf.clone();
        for (headers, csrf) in [(vec![("origin", origin.as_str())], "wrong"), (vec![], csrf.as_str())] {
            let page = owner.send(Method::POST, &path, Some(&[("csrf", csrf)]), &headers).await;
            page.says(403, "Nothing was changed.");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_link_shows_its_form_as_often_as_one_likes_and_is_spent_once() {
    let server = Server::start().await;
    let link = server.running.set_up_link.clone().unwrap();
    let path = link.strip_prefix(&server.url).unwrap().to_owned();
    let mut owner = Person::at(&server);
    let page = owner.get("/").await.says(200, "Not set up yet");
    assert!(!page.html.contains("class=\"status\""), "nothing is wrong: {}", page.html);
    for _ in 0..2 {
        owner.get(&path).await.says(200, "Set up Tokenward");
    }
    let form = [("organization", "Acme"), ("name", ""), ("email", "not an address"), ("password", "short")];
    let page = owner.post(&path, &form).await.says(400, "It is not an e-mail address");
    assert!(page.html.contains("at least 12 are needed") && !page.html.contains("short"), "{}", page.html);
    let form = [("organization", " Acme "), ("name", "Ada"), ("email", OWNER), ("password", PASSWORD)];
    owner.post(&path, &form).await.leads_to("/");
    owner.get("/").await;
    let mut late = Person::at(&server);
    late.get(&path).await.says(404, "This set-up link is not valid");
    late.get("/").await.leads_to("/sign-in");

    let app = &server.running.app;
    let link = tokenward_server::service::set_up::sign_in_link(&app.store, &Operator::at_this_machine(), OWNER)
        .await
        .unwrap()
        .unwrap();
    let path = format!("/sign-in/{}", *link.secret);
    for _ in 0..2 {
        late.get(&path).await.says(200, OWNER);
    }
    late.post(&path, &[("password", "short")]).await.says(400, "at least 12 are needed");
    late.post(&path, &[("password", "another horse battery")]).await.leads_to("/");
    assert!(owner.get("/console").await.location().starts_with("/sign-in"), "all other sessions ended");
    late.get(&path).await.says(404, "This sign-in link is not valid");
    late.sign_in(OWNER, PASSWORD).await.says(401, "The e-mail address or the password is wrong.");
    late.sign_in(OWNER, "another horse battery").await.leads_to("/");
    server.stop().await;
}

#[tokio::test]
async fn signing_in_goes_on_to_our_own_pages_only_and_slows_down_guessing() {
    let (server, _, _) = world().await;
    for (next, leads_to) in [
        ("/console/account", "/console/account"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nset-cookie: a=b", "/"),
    ] {
        let mut person = Person::at(&server);
        person.get("/sign-in").await;
        let form = [("email", OWNER), ("password", PASSWORD), ("next", next)];
        person.post("/sign-in", &form).await.leads_to(leads_to);
    }
    let mut guesser = Person::at(&server);
    for _ in 0..6 {
        guesser.sign_in("nobody@acme.example", "wrong password").await.says(401, "is wrong.");
    }
    let page = guesser.sign_in("nobody@acme.example", "wrong password").await.says(429, "sign_in_attempts");
    assert!(page.headers.contains_key("retry-after"));
    assert!(!page.html.contains("wrong password"));
    server.stop().await;
}

#[tokio::test]
async fn a_foreign_organization_is_like_none_and_a_role_sees_only_what_it_may_do() {
    let (server, organization, base) = world().await;
    let token = server.token(&organization, "ci", "viewer").await;
    let other = server.post("/organization", &organization.owner, json!({ "name": "Other", "plan": "FREE" })).await;
    let other = other.expect(201)["id"].as_str().unwrap().to_owned();
    let (_, session) = server.member(&organization, "viewer@acme.example", "viewer").await;
    assert_eq!(server.get("/account", &session).await.status, 200);
    let mut viewer = Person::at(&server);
    viewer.sign_in("viewer@acme.example", PASSWORD).await.leads_to("/");
    viewer.get("/").await.leads_to(&format!("{base}/tokens"));
    let foreign = viewer.get(&format!("/console/{other}/tokens")).await.says(404, "There is nothing here").html;
    let absent = viewer.get(&format!("/console/{ABSENT}/tokens")).await.says(404, "There is nothing here").html;
    assert_eq!(foreign.replace(&other, ""), absent.replace(ABSENT, ""));
    viewer.get("/console/not-an-id/tokens").await.says(404, "There is nothing here");
    viewer.get(&format!("{base}/tokens/{ABSENT}")).await.says(404, "There is no such token");

    let list = viewer.get(&format!("{base}/tokens")).await.says(200, "ci");
    assert!(!list.html.contains("Add token") && !list.html.contains("/delete\"") && !list.html.contains(&token));
    assert!(!list.html.contains("/events\""), "a viewer does not read the log");
    for path in
        ["tokens/new", "events", "members/invite", "roles/new", "projects/new", "clusters/new", "settings/delete"]
    {
        viewer.get(&format!("{base}/{path}")).await.says(403, "Your role does not allow this");
    }
    let role = server.role(&organization, "viewer").await;
    let form = [("name", "x"), ("role_id", role.as_str()), ("expires", "never")];
    viewer.post(&format!("{base}/tokens"), &form).await.says(403, "token:manage");
    let settings = viewer.get(&format!("{base}/settings")).await.says(200, "not change them");
    assert!(!settings.html.contains("Only the owner"));
    let members = viewer.get(&format!("{base}/members")).await.says(200, OWNER);
    assert!(!members.html.contains("members/invite"));

    // Nobody hands out more than they have, and the form says so where the role is chosen.
    server.member(&organization, "devops@acme.example", "devops").await;
    let mut devops = Person::at(&server);
    devops.sign_in("devops@acme.example", PASSWORD).await.leads_to("/");
    devops.get(&format!("{base}/tokens/new")).await.says(200, "More than you can do yourself");
    let admin = server.role(&organization, "admin").await;
    let form = [("name", "x"), ("role_id", admin.as_str()), ("expires", "never")];
    devops.post(&format!("{base}/tokens"), &form).await.says(403, "Nobody can hand out more than they have");
    let form = [("name", "x"), ("expires", "never")];
    devops.post(&format!("{base}/tokens"), &form).await.says(400, "Choose what the token may do.");

    // Whoever gets a smaller role may less at once, in the session that is open.
    let (user, _) = server.member(&organization, "gone@acme.example", "admin").await;
    let mut gone = Person::at(&server);
    gone.sign_in("gone@acme.example", PASSWORD).await.leads_to("/");
    gone.get(&format!("{base}/members")).await.says(200, "Invite");
    let body = json!({ "user_id": user, "role_id": server.role(&organization, "viewer").await });
    server.put(&organization.path("member"), &organization.owner, body).await.expect(200);
    gone.post(&format!("{base}/members/invite"), &[("email", "x@y.example")]).await.says(403, "member:manage");
    server.stop().await;
}

#[tokio::test]
async fn what_a_form_sends_is_kept_as_it_was_meant() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    owner.get(&format!("{base}/tokens/new")).await.says(200, "Add a token");
    let role = server.role(&organization, "viewer").await;
    let form = [
        ("name", " ci "),
        ("description", "one\r\ntwo\r\n"),
        ("role_id", role.as_str()),
        ("expires", "date"),
        ("expires_on", "2099-12-31"),
    ];
    let page = owner.post(&format!("{base}/tokens"), &form).await.says(201, "“ci” is ready");
    assert!(page.headers["cache-control"].to_str().unwrap().contains("no-store"));
    let token = server.get(&organization.path("apiToken"), &organization.owner).await.json()["results"][0].clone();
    assert_eq!(token["name"], "ci");
    assert_eq!(token["description"], "one\ntwo");
    assert_eq!(token["expires_at"], "2100-01-01T00:00:00.000000Z");
    owner.post(&format!("{base}/tokens"), &form).await.says(409, "is taken by another token");
    let id = token["id"].as_str().unwrap();
    owner.post(&format!("{base}/tokens/{id}/delete"), &[]).await.leads_to(&format!("{base}/tokens"));
    owner.get(&format!("{base}/tokens")).await.says(200, "The token is deleted.");
    let page = owner.get(&format!("{base}/tokens")).await.says(200, "No token yet");
    assert!(!page.html.contains("The token is deleted."));
    owner.post(&format!("{base}/tokens/{id}/delete"), &[]).await.says(404, "There is no such token");

    // Two people, one role: the second is told.
    let form = [("name", "Deployer"), ("action", "save")];
    owner.post(&format!("{base}/roles/new"), &form).await.leads_to(&format!("{base}/roles"));
    let roles = server.get(&organization.path("customRole"), &organization.owner).await.json();
    let path = format!("{base}/roles/{}", roles["results"][0]["id"].as_str().unwrap());
    let page = owner.get(&format!("{path}/edit")).await.html;
    let version = page.split("name=\"version\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let form = [("name", "Deployer"), ("description", "first"), ("version", &version), ("action", "save")];
    owner.post(&path, &form).await.leads_to(&format!("{base}/roles"));
    owner.post(&path, &form).await.says(412, "Somebody else changed this");
    owner.post(&path, &[("name", "Deployer"), ("action", "save")]).await.says(412, "Somebody else changed this");
    server.stop().await;
}

#[tokio::test]
async fn a_program_gets_json_where_there_is_nothing() {
    let (server, _, _) = world().await;
    let answer = server.get("/nothing", "").await;
    assert_eq!(answer.outcome(), (404, "unknown_path".into()));
    Person::at(&server).get("/nothing").await.says(404, "<h1>There is nothing here</h1>");
    assert_eq!(server.call(Method::PATCH, "/token/self", "", None).await.status, 405);
    let mut owner = Person::owner(&server).await;
    let page = owner.send(Method::POST, "/console/new", None, &[("origin", &server.url)]).await;
    page.says(400, "is not a form");
    server.stop().await;
}

#[tokio::test]
async fn plain_http_from_another_machine_is_told_about_tls() {
    let (server, _, _) = world().await;
    let mut person = Person::at(&server);
    let host = |host: &'static str| [("host", host), ("accept", "text/html")];
    let page = person.send(Method::GET, "/sign-in", None, &host("tokens.example.com:8080")).await;
    let page = page.says(403, "The console needs HTTPS here");
    assert!(
        page.html.contains("--tls-cert") && page.html.contains("--tls-key") && page.headers.get(SET_COOKIE).is_none()
    );
    let port = server.running.address.port();
    let localhost = format!("localhost:{port}");
    let page = person.send(Method::GET, "/sign-in?next=/a", None, &[("host", &localhost)]).await;
    page.leads_to(&format!("{}/sign-in?next=/a", server.url));
    assert_eq!(person.send(Method::GET, "/healthz", None, &host("tokens.example.com")).await.status, 200);
    server.stop().await;

    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.public_url = Some("https://tokens.example.com".into());
    let server = Server::start_with(directory, config).await;
    let mut person = Person::at(&server);
    person.get("/sign-in").await.says(403, "https://tokens.example.com");
    let behind = [("host", "tokens.example.com"), ("x-forwarded-proto", "https")];
    let page = person.send(Method::GET, "/sign-in", None, &behind).await.says(200, "Sign in");
    assert!(!set_cookie(&page, FORM).is_empty());
    let form = [("csrf", &*person.csrf.clone()), ("email", "a@b.example"), ("password", "wrong")];
    let headers = [behind[0], ("origin", "http://tokens.example.com")];
    person.send(Method::POST, "/sign-in", Some(&form), &headers).await.says(403, "--public-url");
    let headers = [behind[0], ("origin", "https://tokens.example.com")];
    person.send(Method::POST, "/sign-in", Some(&form), &headers).await.says(401, "is wrong.");
    server.stop().await;
}

const SHOP: &str = "# The shop.\r\n[[route]]\r\nmethod = \"GET\"\r\npath = \"/invoices/{id}\"\r\n\r\n[[route]]\r\nmethod = \"POST\"\r\n\
    path = \"/invoices\"\r\npermissions = [\"invoices:write\", \"ledger:write\"]\r\n";

/// The version that the form of an API holds.
fn version(page: &Page) -> String {
    let rest = page.html.split("name=\"version\" value=\"").nth(1).expect("a form with a version");
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn an_api_is_added_looked_up_changed_and_deleted() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let list = format!("{base}/apis");
    let page = owner.get(&list).await.says(200, "\ntokenward api import shop openapi.yaml");
    assert!(page.html.contains("<pre tabindex=\"0\">tokenward login --url http"), "it can be pasted: {}", page.html);
    assert!(page.html.contains("[[route]]") && page.html.contains("No routes yet"), "{}", page.html);
    assert!(page.html.contains(&format!("href=\"{list}\" aria-current=\"page\"")), "the sidebar leads here");
    owner.get(&format!("{list}/new")).await.says(200, "Add an API");
    let form = [("name", " shop "), ("document", SHOP), ("unknown_route", "deny")];
    let shop = format!("{list}/shop");
    owner.post(&format!("{list}/new"), &form).await.leads_to(&shop);
    let page = owner.get(&shop).await.says(200, "The API is saved.");
    for part in ["2 routes", "invoices:write<br>ledger:write", "the document", "the path", "is denied"] {
        assert!(page.html.contains(part), "no `{part}` in {}", page.html);
    }
    owner.get(&list).await.says(200, &format!("href=\"{shop}\" title=\"shop\">shop</a>"));
    // Adding never replaces, and what was typed stays.
    let page = owner.post(&format!("{list}/new"), &form).await.says(409, "There is an API of this name already.");
    assert!(page.html.contains("permissions = [&#34;invoices:write&#34;, &#34;ledger:write&#34;]"), "{}", page.html);

    for (method, path, says) in [
        ("GET", "/invoices/7?a=b", "takes <b class=\"mono\">invoices:read</b>."),
        ("post", "/invoices", "<b class=\"mono\">invoices:write</b> and <b class=\"mono\">ledger:write</b>."),
        ("", "/invoices/7", "takes <b class=\"mono\">invoices:read</b>."),
        ("PUT", "/invoices/7", "is denied: no route describes it."),
        ("GET", "/a/../invoices", "programs read this path in different ways"),
        ("GET", "https://shop.example/invoices", "Write the path alone"),
    ] {
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs([("method", method), ("path", path)]).finish();
        owner.get(&format!("{shop}?{query}")).await.says(200, says);
    }

    // Only what no route describes; the routes stay, and a gateway is told at once.
    let gateway = server.token(&organization, "gateway", "verifier").await;
    let viewer = server.token(&organization, "viewer", "viewer").await;
    let verdict = async |method: &str, path: &str| {
        let request = json!({ "method": method, "path": path });
        let question = json!({ "token": viewer, "api": "shop", "request": request });
        server.post("/verify", &gateway, question).await.str("code")
    };
    assert_eq!(verdict("GET", "/health").await, "route_unknown");
    let old = version(&owner.get(&shop).await);
    let form = [("version", old.as_str()), ("document", " \r\n"), ("unknown_route", "deny")];
    owner.post(&shop, &form).await.says(400, "nothing else was changed");
    let form = [("version", old.as_str()), ("document", ""), ("unknown_route", "allow")];
    owner.post(&shop, &form).await.leads_to(&shop);
    assert_eq!(verdict("GET", "/health").await, "valid");
    assert_eq!(verdict("GET", "/invoices/7").await, "valid");
    let page = owner.get(&format!("{shop}?path=/health")).await.says(200, "Any valid token is enough.");
    assert!(page.html.contains("2 routes"), "{}", page.html);
    owner.get(&format!("{shop}?method=PUT&path=/invoices")).await.says(200, "but not with this method");

    // Other routes, but not over what somebody else has saved meanwhile.
    let document = "openapi: 3.0.3\r\nx-unknown-route: allow\r\npaths:\r\n  /orders: { get: {} }\r\n";
    let form = [("version", old.as_str()), ("document", document), ("unknown_route", "deny")];
    let page = owner.post(&shop, &form).await.says(412, "Somebody else changed this");
    assert!(page.html.contains("x-unknown-route: allow"), "what was typed stays");
    owner.post(&shop, &form[1..]).await.says(412, "Somebody else changed this");
    let now = version(&owner.get(&shop).await);
    let form = [("version", now.as_str()), ("document", document), ("unknown_route", "deny")];
    owner.post(&shop, &form).await.leads_to(&shop);
    assert_eq!(verdict("GET", "/invoices/7").await, "route_unknown");
    assert_eq!(verdict("GET", "/orders").await, "valid");
    let shown = server.get(&organization.path("api/shop"), &organization.owner).await.expect(200);
    assert_eq!((&shown["unknown_route"], &shown["route_count"]), (&json!("deny"), &json!(1)));

    owner.get(&format!("{shop}/delete")).await.says(200, "Delete the API “shop”?");
    owner.post(&format!("{shop}/delete"), &[("confirm", "shops")]).await.says(400, "This is not the name. Type shop.");
    assert_eq!(verdict("GET", "/orders").await, "valid");
    owner.post(&format!("{shop}/delete"), &[("confirm", "shop")]).await.leads_to(&list);
    assert_eq!(verdict("GET", "/orders").await, "api_unknown");
    owner.get(&list).await.says(200, "The API is deleted.");
    owner.get(&shop).await.says(404, "There is no such API");
    let events = server.get(&organization.path("events"), &organization.owner).await.expect(200);
    let kinds = events["events"].as_array().unwrap().iter().map(|it| it["target_name"].as_str());
    assert_eq!(kinds.filter(|name| *name == Some("shop")).count(), 4, "each change is one event: {events}");
    server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_document_stands_beside_it_and_nothing_is_lost() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let new = format!("{base}/apis/new");
    owner.get(&new).await;
    for (name, document, unknown, says) in [
        ("a b", SHOP, "deny", "It must be 1 to 64 of a-z"),
        ("new", SHOP, "deny", "It cannot be “new”"),
        ("shop", "", "deny", "The document is empty; paste one, or choose a file."),
        ("shop", SHOP, "", "It must be chosen."),
        ("shop", SHOP, "maybe", "It must be chosen."),
        ("shop", "{", "deny", "The document is no JSON:"),
        ("shop", "a: [", "deny", "The document is no YAML:"),
        ("shop", "a: &x 1", "deny", "Line 1: anchors"),
        ("shop", "swagger: '1.2'", "deny", "but neither a version 3 nor 2.0 as a text."),
        ("shop", "openapi: 3.0.0\npaths: {/uploads: {post: {servers: 7}}}", "deny", "has `servers` of its own"),
        ("shop", "\n# x\n[[route]]\nmethod = GET", "deny", "The document cannot be read: line 4:"),
        ("shop", "unknown_route = \"maybe\"\nroute = []", "deny", "is neither “deny” nor “allow”"),
        (
            "shop",
            "[[route]]\nmethod = \"GET\"\npath = \"/a\"\npermission = \"b\"\n[[route]]\nmethod = \"GET\"\npath = \"c\"",
            "deny",
            "GET /a needs a permission that cannot be",
        ),
        ("shop", "[[route]]\nmethod = \"GET\"\npath = \"/<script>\"", "deny", "&#60;script&#62;"),
    ] {
        let form = [("name", name), ("document", document), ("unknown_route", unknown)];
        let page = owner.post(&new, &form).await.says(400, says);
        let mut kept = document.replace("\r\n", "\n").replace('&', "&#38;");
        for (character, reference) in [('"', "&#34;"), ('\'', "&#39;"), ('<', "&#60;"), ('>', "&#62;")] {
            kept = kept.replace(character, reference);
        }
        assert!(page.html.contains(&format!("\n{kept}</textarea>")), "{document} is not in {}", page.html);
        assert!(page.html.contains(&format!("value=\"{name}\"")), "{}", page.html);
    }
    let left = server.get(&organization.path("api"), &organization.owner).await.json();
    assert_eq!(left["results"], json!([]));

    // What is wrong later is told on the page of the API, without its routes above.
    let shop = format!("{base}/apis/shop");
    let form = [("name", "shop"), ("document", SHOP), ("unknown_route", "allow")];
    owner.post(&new, &form).await.leads_to(&shop);
    let version = version(&owner.get(&shop).await);
    let form = [("version", version.as_str()), ("document", "a: ["), ("unknown_route", "deny")];
    let page = owner.post(&shop, &form).await.says(400, "The document is no YAML:");
    assert!(page.html.contains("\na: [</textarea>") && !page.html.contains("id=\"routes\""), "{}", page.html);
    assert!(page.html.contains("value=\"deny\" checked"), "what was chosen stays");
    server.stop().await;
}

#[tokio::test]
async fn a_role_sees_routes_with_api_read_and_changes_them_with_api_manage() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let (list, shop) = (format!("{base}/apis"), format!("{base}/apis/shop"));
    server.member(&organization, "viewer@acme.example", "viewer").await;
    let mut viewer = Person::at(&server);
    viewer.sign_in("viewer@acme.example", PASSWORD).await.leads_to("/");
    let page = viewer.get(&list).await.says(200, "Your role lets you see routes, not add them.");
    assert!(!page.html.contains("/apis/new"), "{}", page.html);
    owner.get(&format!("{list}/new")).await;
    let form = [("name", "shop"), ("document", SHOP), ("unknown_route", "deny")];
    owner.post(&format!("{list}/new"), &form).await.leads_to(&shop);

    let page = viewer.get(&format!("{shop}?path=/invoices/1")).await.says(200, "takes <b class=\"mono\">invoices:read");
    assert!(!page.html.contains("name=\"document\"") && !page.html.contains("/delete\""), "{}", page.html);
    for path in ["new", "shop/delete"] {
        viewer.get(&format!("{list}/{path}")).await.says(403, "Your role does not allow this");
    }
    let rest = [("document", SHOP), ("unknown_route", "allow")];
    let new = [&[("name", "x")], &rest[..]].concat();
    let changed = [&[("version", "0")], &rest[..]].concat();
    for (path, form) in [("new", &new[..]), ("shop", &changed), ("shop/delete", &[("confirm", "shop")])] {
        viewer.post(&format!("{list}/{path}"), form).await.says(403, "api:manage");
    }
    viewer.get(&format!("{list}/absent")).await.says(404, "There is no such API");

    // Without api:read there is neither the page nor a link to it.
    server.member(&organization, "billing@acme.example", "billing").await;
    let mut billing = Person::at(&server);
    billing.sign_in("billing@acme.example", PASSWORD).await.leads_to("/");
    billing.get(&list).await.says(403, "Your role does not allow this");
    billing.get(&shop).await.says(403, "Your role does not allow this");
    let page = billing.get(&format!("{base}/settings")).await;
    assert!(!page.html.contains(&format!("href=\"{list}\"")), "{}", page.html);
    let left = server.get(&organization.path("api/shop"), &organization.owner).await.expect(200);
    assert_eq!((&left["unknown_route"], &left["route_count"]), (&json!("deny"), &json!(2)));
    server.stop().await;
}
