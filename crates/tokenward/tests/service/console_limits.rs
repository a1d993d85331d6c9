//! Every field of every form of the console, sent with one character more than it holds, and every list with one entry more: refused
//! by the name of the limit, and nothing is changed. And every form whose last byte comes after what it rests on has ended.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokenward_server::limits::VISITOR_FORM_BYTES;
use tokenward_server::{FormInput, form_inputs, form_paths};

use crate::console::{Page, Person};
use crate::held_back::{form_held, is_tested};
use crate::mailbox::Mailbox;
use crate::support::{Organization, PASSWORD, Server, config};

/// A well-formed id of nothing.
const ABSENT: &str = "019ab000-0000-7000-8000-000000000000";
/// A document of routes.
const DOCUMENT: &str = "{\"routes\":[{\"method\":\"GET\",\"path\":\"/x\",\"permission\":\"x:read\"}]}";
/// What a form of visitors rests on comes with it, or is a secret in its path: the test that takes it away while the last byte is
/// held back; or why nothing can be taken away.
const OF_VISITORS: [(&str, Result<&str, &str>); 11] = [
    ("/set-up/{secret}", Ok("a_set_up_link_that_was_used_meanwhile_founds_nothing")),
    ("/sign-in", Ok("a_password_that_was_changed_while_it_came_signs_nobody_in")),
    ("/sign-in/passkey", Ok("a_passkey_that_was_removed_while_its_answer_came_signs_nobody_in")),
    ("/sign-in/passkey/begin", Err("it asks for a question, which is for everybody")),
    ("/sign-in/code", Ok("a_code_ends_no_sign_in_that_was_ended_or_whose_password_was_changed_while_it_came")),
    ("/sign-in/identity", Ok("an_invitation_that_was_taken_back_while_an_identity_took_it_makes_no_member")),
    ("/sign-in/forgot", Err("everybody may ask for a mail")),
    (
        "/sign-in/reset/{secret}",
        Ok("the_form_of_a_mailed_link_that_was_used_or_replaced_while_it_came_sets_no_password"),
    ),
    ("/sign-in/email/{secret}", Ok("a_mailed_link_that_was_used_while_it_came_changes_no_address")),
    ("/sign-in/{secret}", Ok("a_sign_in_link_that_was_used_or_replaced_meanwhile_sets_no_password")),
    (
        "/invitation/{id}/{secret}",
        Ok("the_form_of_an_invitation_that_was_taken_back_or_mailed_anew_meanwhile_makes_no_member"),
    ),
];

/// An organization with one of everything that a path names.
struct Named {
    server: Server,
    acme: Organization,
    /// Where it can send mail, so that it has the forms that need that.
    _mailbox: Mailbox,
    token: String,
    policy_token: String,
    role: String,
    viewer: String,
    project: String,
    environment: String,
    cluster: String,
    user: String,
    /// What an invitation's link says behind `/invitation/`.
    invitation: String,
}

impl Named {
    async fn new() -> Self {
        let (mailbox, address) = Mailbox::open().await;
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path());
        config.smtp_url = Some(format!("smtp://{address}"));
        let (server, acme) = Server::with_owner_and(directory, config).await;
        let viewer = server.role(&acme, "viewer").await;
        let owner = acme.owner.clone();
        let made = async |path: String, body: Value| {
            let answer = server.post(&path, &owner, body).await;
            assert!(answer.status.is_success(), "{path}: {}", answer.text);
            answer.str("id")
        };
        let (token, _) = server.new_token(&acme, json!({ "name": "ci", "role_id": viewer })).await;
        let policy = json!({ "name": "ci", "opa_policy": "allow := true" });
        let policy_token = made(acme.path("policyApiToken"), policy).await;
        let role = made(acme.path("customRole"), json!({ "name": "clerk" })).await;
        let project = made(acme.path("project"), json!({ "name": "shop" })).await;
        let cluster = json!({ "name": "lab", "region": "r", "cloud_provider": "AWS" });
        let cluster = made(acme.path("cluster"), cluster).await;
        let environment = json!({ "name": "test", "cluster": cluster });
        let environment = made(format!("/project/{project}/environment"), environment).await;
        let routes: Value = serde_json::from_str(DOCUMENT).unwrap();
        server.put(&acme.path("api/shop"), &owner, routes).await.expect(200);
        let (user, _) = server.member(&acme, "dev@acme.example", "devops").await;
        let body = json!({ "email": "new@acme.example", "role_id": viewer });
        let invited = server.post(&acme.path("inviteMember"), &owner, body).await.expect(201);
        let link = invited["invitation_link"].as_str().unwrap().to_owned();
        let invitation = link.rsplit_once("/invitation/").unwrap().1.to_owned();
        Self {
            server,
            acme,
            _mailbox: mailbox,
            token,
            policy_token,
            role,
            viewer,
            project,
            environment,
            cluster,
            user,
            invitation,
        }
    }

    /// A path with what it names filled in.
    fn path(&self, path: &str) -> String {
        if path.starts_with("/invitation/") {
            return format!("/invitation/{}", self.invitation);
        }
        let token = if path.contains("/policy-tokens/") { &self.policy_token } else { &self.token };
        let named = [
            ("{organization}", self.acme.id.as_str()),
            ("{token}", token.as_str()),
            ("{role}", self.role.as_str()),
            ("{project}", self.project.as_str()),
            ("{id}", self.environment.as_str()),
            ("{cluster}", self.cluster.as_str()),
            ("{user}", self.user.as_str()),
            ("{name}", "shop"),
            ("{key}", "corp"),
            ("{version}", "1"),
            ("{identity}", ABSENT),
            ("{passkey}", ABSENT),
            ("{session}", ABSENT),
            ("{invitation}", self.invitation.split('/').next().unwrap_or_default()),
            ("{secret}", "x"),
        ];
        named.into_iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
    }

    /// What a form has besides, so that its page comes to each of its fields.
    fn rest(&self, path: &str) -> Vec<(&'static str, String)> {
        let viewer = || self.viewer.clone();
        let fields: Vec<(&'static str, String)> = match path.rsplit("{organization}/").next().unwrap_or_default() {
            "tokens" => vec![("name", "late".into()), ("role_id", viewer()), ("expires", "30d".into())],
            "tokens/bulk" | "policy-tokens/bulk" => {
                let token = if path.contains("policy") { &self.policy_token } else { &self.token };
                let set = "1.1.0".to_owned();
                let (action, reason) = ("delete".into(), "unspecified".into());
                vec![("action", action), ("token", token.clone()), ("set", set), ("reason", reason)]
            }
            "tokens/revoke-all" => vec![("confirm", "Acme".into()), ("reason", "key_compromise".into())],
            "members/invite" => vec![("email", "late@acme.example".into()), ("role_id", viewer())],
            "members/transfer" => vec![("user_id", self.user.clone()), ("confirm", "Acme".into())],
            "members/{user}" => vec![("role_id", viewer())],
            "roles/new" | "roles/{role}" => vec![("name", "late".into()), ("action", "save".into())],
            "apis/new" => {
                let document = ("document", DOCUMENT.to_owned());
                vec![("name", "late".into()), document, ("unknown_route", "deny".into())]
            }
            "apis/{name}" => vec![("document", DOCUMENT.to_owned()), ("unknown_route", "deny".into())],
            "apis/{name}/delete" | "projects/{project}/delete" => vec![("confirm", "shop".into())],
            "projects/new" | "projects/{project}" => vec![("name", "late".into())],
            "projects/{project}/environments/new" | "projects/{project}/environments/{id}" => {
                vec![("name", "late".into()), ("mode", "DEVELOPMENT".into())]
            }
            "clusters/new" | "clusters/{cluster}" => {
                vec![("name", "late".into()), ("region", "r".into()), ("cloud_provider", "AWS".into())]
            }
            "settings" => vec![("name", "Late".into())],
            "settings/event-retention" => vec![("event_retention", "400d".into())],
            "settings/delete" => vec![("confirm", "Acme".into())],
            "settings/sign-in" => vec![("provider", "corp".into()), ("value", "g".into()), ("role_id", viewer())],
            "/console/new" | "/console/account/name" => vec![("name", "Late".into())],
            "/console/account/password" => {
                vec![("current_password", PASSWORD.to_owned()), ("new_password", "four quiet lamps".into())]
            }
            _ if path.ends_with("/delete") => vec![("reason", "unspecified".into())],
            _ if path.ends_with("/brownout") => {
                vec![("minutes", "5".into()), ("every", "1h".into()), ("lasts", "3d".into())]
            }
            _ if path.ends_with("/rotate") => vec![("keep", "24h".into()), ("version", "1".into())],
            _ => Vec::new(),
        };
        let known: Vec<&str> = form_inputs().filter(|it| it.path == path).map(|it| it.name).collect();
        fields.into_iter().filter(|(name, _)| known.contains(name)).collect()
    }

    /// The end of the log: whatever is changed moves it.
    async fn head(&self) -> i64 {
        let mut reader = self.server.running.app.store.read().await.unwrap();
        tokenward_store::log::head(reader.conn()).await.unwrap().number
    }
}

/// The name of a field, where many begin so.
fn one(name: &str) -> String {
    match name {
        "project.*" => "project.x.STAGING".to_owned(),
        other => other.replace(".*", ".x"),
    }
}

fn is_for_visitors(path: &str) -> bool {
    ["/sign-in", "/set-up", "/invitation"].iter().any(|start| path.starts_with(start))
}

/// Those to whom forms are shown.
struct People {
    owner: Person,
    visitor: Person,
}

impl People {
    async fn of(server: &Server) -> Self {
        let mut owner = Person::owner(server).await;
        owner.get("/console/account").await.says(200, "csrf");
        let mut visitor = Person::at(server);
        visitor.get("/sign-in").await.says(200, "csrf");
        Self { owner, visitor }
    }

    async fn post(&mut self, route: &str, path: &str, form: &[(&str, &str)]) -> Page {
        let person = if is_for_visitors(route) { &mut self.visitor } else { &mut self.owner };
        person.post(path, form).await
    }
}

/// The page was refused by the name of this limit.
fn told(page: &Page, input: &FormInput, limit: &str) -> Option<String> {
    let large = page.status == 413 && page.html.contains(VISITOR_FORM_BYTES.name) && is_for_visitors(input.path);
    let refused = [400, 413].contains(&page.status.as_u16()) && page.html.contains(limit);
    let said: String = page.html.chars().rev().take(400).collect::<Vec<_>>().into_iter().rev().collect();
    (!(refused || large)).then(|| format!("{} {}: {} without {limit}: {said}", input.path, input.name, page.status))
}

#[tokio::test]
async fn one_more_than_a_field_holds_is_refused_by_its_limit_and_changes_nothing() {
    let world = Named::new().await;
    let mut people = People::of(&world.server).await;
    let head = world.head().await;
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for input in form_inputs() {
        // Only before there is an organization, which is a test of its own.
        if input.path.starts_with("/set-up") && input.name != "password" {
            continue;
        }
        let (name, long) = (one(input.name), "a".repeat(input.text.size() + 1));
        let rest = world.rest(input.path);
        let mut form: Vec<(&str, &str)> = vec![(name.as_str(), long.as_str())];
        form.extend(rest.iter().filter(|(other, _)| *other != input.name).map(|(name, value)| (*name, value.as_str())));
        let page = people.post(input.path, &world.path(input.path), &form).await;
        wrong.extend(told(&page, &input, input.text.name));
        assert_eq!(world.head().await, head, "{} {}: something was changed", input.path, input.name);
        tried += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 200, "{tried}");
}

#[tokio::test]
async fn one_entry_more_than_a_list_holds_is_refused_by_its_limit_and_changes_nothing() {
    let world = Named::new().await;
    let mut people = People::of(&world.server).await;
    let head = world.head().await;
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for (input, limit) in form_inputs().filter_map(|input| Some((input, input.entries?))) {
        let count = limit.size() + 1;
        let together: &[&str] = match input.name {
            "provider" | "value" | "role_id" => &["provider", "value", "role_id"],
            _ => std::slice::from_ref(&input.name),
        };
        let value = |name: &str, n: usize| match name {
            "token" => ABSENT.to_owned(),
            "fate" => format!("{ABSENT}.delete"),
            "api" => format!("n{n}:read"),
            "value" => format!("g{n}"),
            "role_id" => world.viewer.clone(),
            _ => "corp".to_owned(),
        };
        let many = (0..count).flat_map(|n| together.iter().map(move |name| (*name, value(name, n))));
        let others = world.rest(input.path).into_iter().filter(|(name, _)| !together.contains(name));
        let all: Vec<(&str, String)> = many.chain(others).collect();
        let form: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let page = people.post(input.path, &world.path(input.path), &form).await;
        wrong.extend(told(&page, &input, limit.name));
        tried += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 8, "{tried}");
    assert_eq!(world.head().await, head, "something was changed");
}

#[tokio::test]
async fn the_form_that_founds_an_organization_tells_its_limits() {
    let server = Server::start().await;
    let link = server.running.set_up_link.clone().unwrap();
    let path = link[link.find("/set-up/").unwrap()..].to_owned();
    let mut visitor = Person::at(&server);
    visitor.get(&path).await.says(200, "Set up Tokenward");
    let mut tried = 0;
    for input in form_inputs().filter(|it| it.path.starts_with("/set-up")) {
        let long = "a".repeat(input.text.size() + 1);
        let usual = [("organization", "Acme"), ("email", "a@acme.example"), ("password", PASSWORD)];
        let mut form: Vec<(&str, &str)> = usual.into_iter().filter(|(name, _)| *name != input.name).collect();
        form.push((input.name, long.as_str()));
        let page = visitor.post(&path, &form).await;
        assert_eq!(told(&page, &input, input.text.name), None);
        tried += 1;
    }
    assert_eq!(tried, 4);
    visitor.get(&path).await.says(200, "Set up Tokenward");
}

#[tokio::test]
async fn no_form_changes_anything_whose_session_ended_while_it_came() {
    let world = Named::new().await;
    let paths: Vec<&str> = form_paths().filter(|path| !is_for_visitors(path)).collect();
    assert!(paths.len() > 80, "{}", paths.len());
    for some in paths.chunks(12) {
        let mut person = Person::owner(&world.server).await;
        person.get("/console/account").await.says(200, "csrf");
        let begun = some.iter().map(|route| {
            let (world, person, route) = (&world, &person, *route);
            async move {
                let rest = world.rest(route);
                let form: Vec<(&str, &str)> = rest.iter().map(|(name, value)| (*name, value.as_str())).collect();
                form_held(&world.server, person, &world.path(route), &form).await
            }
        });
        let held = join_all(begun).await;
        let mut same = Person::at(&world.server);
        (same.cookies, same.csrf) = (person.cookies.clone(), person.csrf.clone());
        same.post("/sign-out", &[]).await.leads_to("/sign-in?notice=out");
        let head = world.head().await;
        for (route, held) in some.iter().zip(held) {
            let ended = held.end().await;
            assert_eq!(world.head().await, head, "{route}: something was changed: {ended:?}");
            let (status, said) = ended.unwrap_or_default();
            assert!(status != 201 && !said.contains("twd_") && !said.contains("twp_"), "{route}: {status} {said}");
        }
    }
}

#[test]
fn every_form_of_visitors_is_held_back_by_a_test() {
    let mut told: Vec<&str> = OF_VISITORS.iter().map(|(path, _)| *path).collect();
    let mut all: Vec<&str> = form_paths().filter(|path| is_for_visitors(path)).collect();
    told.sort_unstable();
    all.sort_unstable();
    assert_eq!(told, all);
    for test in OF_VISITORS.iter().filter_map(|(_, test)| test.ok()) {
        assert!(is_tested(test), "there is no `{test}`");
    }
}

/// A path of the table that is no route would answer that there is no such page.
#[tokio::test]
async fn every_form_refuses_a_field_that_it_does_not_have() {
    let world = Named::new().await;
    let mut people = People::of(&world.server).await;
    let head = world.head().await;
    let mut wrong = Vec::new();
    for path in form_paths() {
        let page = people.post(path, &world.path(path), &[("no_such_field", "x")]).await;
        if page.status != 400 || !page.html.contains("is no field of this form") {
            wrong.push(format!("{path}: {}", page.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(world.head().await, head, "something was changed");
}
