//! Rules: whom a provider says a group of becomes a member, follows it, and ends with it; what a person made is never touched.

use serde_json::{Value, json};
use tokenward_core::time::MINUTE;
use tokenward_server::config::Config;

use super::{Issuer, config, served};
use crate::console::Person;
use crate::support::{Answer, OWNER, Organization, PASSWORD, Server};

const WITH: &str = "/sign-in/with/corp";
const GROUPS: &[(&str, &str)] = &[("GROUPS_CLAIM", "groups")];

/// What the provider says of somebody of `acme.example`, with these groups.
pub fn in_groups(name: &str, groups: Value) -> Value {
    let email = format!("{name}@acme.example");
    let claims = json!({ "sub": name, "email": email, "email_verified": true, "groups": groups });
    json!({ "claims": claims, "userinfo": { "sub": name } })
}

/// The same of somebody whose address it does not say.
fn known(name: &str, groups: Value) -> Value {
    json!({ "claims": { "sub": name, "groups": groups }, "userinfo": { "sub": name } })
}

/// Writes rules, each a group and a role.
pub async fn ruled(server: &Server, acme: &Organization, rules: &[(&str, &str)]) -> Answer {
    let mut all = Vec::new();
    for (value, role) in rules {
        all.push(json!({ "provider": "corp", "value": value, "role_id": server.role(acme, role).await }));
    }
    server.put(&acme.path("signInRules"), &acme.owner, json!({ "rules": all })).await
}

/// The members besides the owner: address, role, and the rule.
pub async fn members(server: &Server, acme: &Organization) -> Vec<String> {
    let all = server.get(&acme.path("member"), &acme.owner).await.json();
    let all = all["results"].as_array().unwrap().iter().filter(|it| it["email"] != OWNER);
    let text = |it: &Value, field: &str| it[field].as_str().unwrap().to_owned();
    all.map(|it| {
        let rule = it.get("rule").map(|rule| format!(" {}:{}", text(rule, "provider"), text(rule, "value")));
        format!("{} {}{}", text(it, "email"), text(it, "role_name"), rule.unwrap_or_default())
    })
    .collect()
}

pub async fn signed_in(server: &Server, issuer: &Issuer, wants: Value) -> Person {
    issuer.wants(wants).await;
    let mut person = Person::at(server);
    person.by(issuer, WITH).await.leads_to("/");
    person
}

async fn the_kinds(server: &Server, acme: &Organization) -> Vec<String> {
    server.get(&acme.path("events?pageSize=100"), &acme.owner).await.each("events", "kind")
}

/// From the first sign-in to the last.
async fn follows_its_group(config: Config, directory: tempfile::TempDir, issuer: &Issuer) {
    let (server, acme) = Server::with_owner_and(directory, config).await;
    ruled(&server, &acme, &[("engineers", "devops"), ("staff", "viewer")]).await.expect(200);
    let rules = server.get(&acme.path("signInRules"), &acme.owner).await;
    assert_eq!(rules.each("rules", "role_name"), ["devops", "viewer"]);

    // The first that fits counts, in the order of the rules; the account is made with it.
    let mut ada = signed_in(&server, issuer, in_groups("ada", json!(["staff", "engineers"]))).await;
    assert_eq!(members(&server, &acme).await, ["ada@acme.example devops corp:engineers"]);
    let (console, tokens) = (format!("/console/{}", acme.id), format!("/console/{}/tokens", acme.id));
    ada.get(&console).await.leads_to(&tokens);
    ada.get("/console/account").await.says(200, "ada@acme.example");

    // What ada owns and whom ada invited is there when the group goes.
    let ada_id = server.get(&acme.path("member"), &acme.owner).await.json();
    let ada_id = ada_id["results"].as_array().unwrap().iter().find(|it| it["email"] != OWNER).unwrap()["id"].clone();
    let viewer = server.role(&acme, "viewer").await;
    server.new_token(&acme, json!({ "name": "deploy", "role_id": viewer, "owner_id": ada_id })).await;

    // Another group gives another role, also to the sessions that are there.
    signed_in(&server, issuer, in_groups("ada", json!("staff"))).await;
    assert_eq!(members(&server, &acme).await, ["ada@acme.example viewer corp:staff"]);

    // Without the claim nothing is written; that session is refused, and told which claim is missing.
    let mut without = signed_in(&server, issuer, in_groups("ada", Value::Null)).await;
    assert_eq!(members(&server, &acme).await, ["ada@acme.example viewer corp:staff"]);
    without.get(&tokens).await.says(401, "the claim “groups” of your provider");
    let overage = json!({ "sub": "ada", "email": "ada@acme.example", "_claim_names": { "groups": "src1" } });
    let mut overage = signed_in(&server, issuer, json!({ "claims": overage })).await;
    overage.get(&tokens).await.says(401, "“groups”");
    for odd in [json!(7), json!(true), json!(vec!["g"; 10_001])] {
        let mut odd = signed_in(&server, issuer, in_groups("ada", odd)).await;
        odd.get(&tokens).await.says(401, "“groups”");
    }
    assert_eq!(members(&server, &acme).await, ["ada@acme.example viewer corp:staff"]);
    // Ten thousand are no harm, and an object's keys are groups too.
    let mut many: Vec<String> = (0..9_999).map(|n| format!("group-{n}")).collect();
    many.push("staff".to_owned());
    let mut ada = signed_in(&server, issuer, in_groups("ada", json!(many))).await;
    ada.get(&tokens).await.says(200, "deploy");
    signed_in(&server, issuer, in_groups("ada", json!({ "staff": {} }))).await;

    // No group, no membership: tokens that are left are marked.
    let mut ada = signed_in(&server, issuer, in_groups("ada", json!([]))).await;
    assert!(members(&server, &acme).await.is_empty());
    ada.get(&tokens).await.says(404, "There is no such organization");
    let left = server.get(&acme.path("apiToken?ownerLeft=true"), &acme.owner).await;
    assert_eq!(left.each("results", "name"), ["deploy"]);
    let kinds = the_kinds(&server, &acme).await;
    // The owner was added, too.
    for (kind, times) in
        [("sign_in_rules.updated", 1), ("member.added", 2), ("member.updated", 1), ("member.removed", 1)]
    {
        assert_eq!(kinds.iter().filter(|it| *it == kind).count(), times, "{kind}: {kinds:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_group_makes_a_member_who_follows_it_and_leaves_with_it() {
    let (issuer, directory) = (Issuer::start(), tempfile::tempdir().unwrap());
    let config = config(directory.path(), &issuer.url, &[&[("EMAIL_DOMAINS", "acme.example")], GROUPS].concat());
    follows_its_group(config, directory, &issuer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_makes_a_member_who_follows_it_and_leaves_with_it_on_postgres() {
    let database = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let (issuer, directory) = (Issuer::start(), tempfile::tempdir().unwrap());
    let further = [&[("EMAIL_DOMAINS", "acme.example")], GROUPS].concat();
    let config = Config { database, ..config(directory.path(), &issuer.url, &further) };
    follows_its_group(config, directory, &issuer).await;
}

#[tokio::test]
async fn what_a_person_made_is_never_touched_and_what_a_rule_made_by_no_hand() {
    let (server, acme, issuer) = served(GROUPS).await;
    // Bob was invited; the owner has linked an identity.
    let (_, bob) = server.member(&acme, "bob@acme.example", "billing").await;
    ruled(&server, &acme, &[("engineers", "devops")]).await.expect(200);
    for (email, password, sub) in [("bob@acme.example", PASSWORD, "bob"), (OWNER, PASSWORD, "owner")] {
        issuer.wants(known(sub, json!(["engineers"]))).await;
        let mut person = Person::at(&server);
        person.sign_in(email, password).await.leads_to("/");
        let link = "/console/account/identities/link";
        person.by(&issuer, "/console/account/identities/with/corp").await.leads_to(link);
        person.get(link).await;
        person.post(link, &[]).await.leads_to("/console/account");
    }
    for groups in [json!(["engineers"]), json!([])] {
        signed_in(&server, &issuer, known("bob", groups.clone())).await;
        signed_in(&server, &issuer, known("owner", groups)).await;
        assert_eq!(members(&server, &acme).await, ["bob@acme.example billing"]);
    }
    assert_eq!(server.get(&acme.path(""), &bob).await.status, 200, "a password does for what was made by hand");

    // A membership that a rule made is edited by no hand: 409 names the rule.
    signed_in(&server, &issuer, in_groups("ada", json!(["engineers"]))).await;
    let all = server.get(&acme.path("member"), &acme.owner).await.json();
    let ada = all["results"].as_array().unwrap().iter().find(|it| it["email"] == "ada@acme.example").unwrap();
    let ada = json!({ "user_id": ada["id"] });
    let change = json!({ "user_id": ada["user_id"], "role_id": server.role(&acme, "viewer").await });
    for refused in [
        server.put(&acme.path("member"), &acme.owner, change.clone()).await,
        server.call(reqwest::Method::DELETE, &acme.path("member"), &acme.owner, Some(ada.clone())).await,
        server.post(&acme.path("transferOwnership"), &acme.owner, ada.clone()).await,
    ] {
        assert_eq!(refused.outcome(), (409, "conflict".to_owned()));
        assert!(refused.text.contains("`corp:engineers`"), "{}", refused.text);
    }
    // In the console too, where it is detached.
    let mut owner = Person::owner(&server).await;
    let page = format!("/console/{}/members/{}", acme.id, ada["user_id"].as_str().unwrap());
    owner.get(&format!("/console/{}/members", acme.id)).await.says(200, "by the rule corp:engineers");
    owner.get(&page).await.says(200, "<code>corp:engineers</code> made this member");
    owner.post(&page, &[("role_id", change["role_id"].as_str().unwrap())]).await.says(409, "corp:engineers");
    owner.post(&format!("{page}/detach"), &[]).await.leads_to(&page);
    owner.get(&page).await.says(200, "whatever the provider says").says(200, "Save role");
    let again = server.post(&acme.path("member/detach"), &acme.owner, ada).await;
    assert_eq!(again.outcome(), (409, "conflict".to_owned()));
    signed_in(&server, &issuer, in_groups("ada", json!([]))).await;
    assert_eq!(members(&server, &acme).await, ["bob@acme.example billing", "ada@acme.example devops"]);
    server.put(&acme.path("member"), &acme.owner, change).await.expect(200);
}

#[tokio::test]
async fn it_counts_only_in_sessions_of_its_provider_and_in_the_operators() {
    let (server, acme, issuer) = served(GROUPS).await;
    // Ada has a password, and no membership but that of a rule.
    let beta = server.new_organization("Beta").await;
    let (_, session) = server.member(&beta, "ada@acme.example", "viewer").await;
    issuer.wants(known("ada", json!(["engineers"]))).await;
    let mut ada = Person::at(&server);
    ada.sign_in("ada@acme.example", PASSWORD).await.leads_to("/");
    let link = "/console/account/identities/link";
    ada.by(&issuer, "/console/account/identities/with/corp").await.leads_to(link);
    ada.get(link).await;
    ada.post(link, &[]).await.leads_to("/console/account");
    ruled(&server, &acme, &[("engineers", "admin")]).await.expect(200);
    signed_in(&server, &issuer, known("ada", json!(["engineers"]))).await;
    assert_eq!(members(&server, &acme).await, ["ada@acme.example admin corp:engineers"]);

    // By the password: 401 and never 403 or 404, for whatever is asked; the list keeps it, so that it does not look gone.
    for path in [acme.path(""), acme.path("member"), acme.path("apiToken"), acme.path("signInRules")] {
        let refused = server.get(&path, &session).await;
        assert_eq!(refused.outcome(), (401, "proof_required".to_owned()), "{path}");
        assert_eq!(
            refused.header("www-authenticate"),
            Some(
                "Bearer realm=\"tokenward\", error=\"insufficient_user_authentication\", acr_values=\"oidc:corp\", \
                 max_age=43200"
            )
        );
        assert!(refused.text.contains("the provider `corp` proved"), "{}", refused.text);
    }
    assert_eq!(server.get("/organization", &session).await.each("results", "name"), ["Acme", "Beta"]);
    assert_eq!(server.get(&beta.path(""), &session).await.status, 200);
    let write = server.post(&acme.path("project"), &session, json!({ "name": "shop" })).await;
    assert_eq!(write.outcome(), (401, "proof_required".to_owned()));
    // Nothing is told of what is in it.
    let absent = "019ab000-0000-7000-8000-000000000000";
    let missing = server.delete(&acme.path(&format!("cluster/{absent}")), &session).await;
    assert_eq!(missing.outcome(), (401, "proof_required".to_owned()));

    // The console leads there and back.
    let mut ada = Person::at(&server);
    ada.sign_in("ada@acme.example", PASSWORD).await.leads_to("/");
    let tokens = format!("/console/{}/tokens", acme.id);
    let asked = ada.get(&tokens).await.says(401, "Acme asks for another sign-in").says(401, "Sign in with Corp Login");
    let href = asked.html.split("href=\"/sign-in/with/corp?").nth(1).unwrap().split('"').next().unwrap();
    ada.by(&issuer, &format!("/sign-in/with/corp?{href}")).await.leads_to(&tokens);
    ada.get(&tokens).await.says(200, "Acme");
    // The operator's link does too.
    let all = server.get(&acme.path("member"), &acme.owner).await.json();
    let id = all["results"].as_array().unwrap().iter().find(|it| it["email"] != OWNER).unwrap()["id"].clone();
    let by_link = server.session(id.as_str().unwrap().parse().unwrap(), false).await;
    assert_eq!(server.get(&acme.path("apiToken"), &by_link).await.status, 200);
}

#[tokio::test]
async fn nobody_writes_a_rule_above_themselves_or_without_a_fresh_proof() {
    let (server, acme, _issuer) = served(GROUPS).await;
    let path = acme.path("signInRules");
    let (admin, own) = (server.role(&acme, "admin").await, server.role(&acme, "viewer").await);
    let rule = |role: &str| json!({ "provider": "corp", "value": "engineers", "role_id": role });
    let rules = |all: Vec<Value>| json!({ "rules": all });

    // A token that manages members, and no more.
    let narrow = json!({ "name": "people", "role_id": admin, "permissions": ["member:manage", "member:read"] });
    let (_, manager) = server.new_token(&acme, narrow).await;
    for role in [&admin, &own] {
        let above = server.put(&path, &manager, rules(vec![rule(role)])).await;
        assert_eq!(above.outcome(), (403, "permission_denied".to_owned()));
        assert!(above.text.contains("Nobody can hand out more than they have"), "{}", above.text);
    }
    server.put(&path, &manager, rules(Vec::new())).await.expect(200);
    let owner = server.owner_role(&acme).await;
    let owner = server.put(&path, &acme.owner, rules(vec![rule(&owner)])).await.expect(400);
    assert_eq!(owner["faults"][0]["field"], "rules[0].role_id");
    let (_, other) = server.member(&acme, "admin@acme.example", "admin").await;
    let saved = server.put(&path, &other, rules(vec![rule(&admin)])).await;
    assert_eq!(saved.each("rules", "role_name"), ["admin"]);
    let (_, viewer) = server.member(&acme, "viewer@acme.example", "viewer").await;
    assert_eq!(server.put(&path, &viewer, rules(Vec::new())).await.outcome(), (403, "permission_denied".to_owned()));

    // All that is wrong is told at once.
    let odd = json!([
        { "provider": "nobody", "value": "a", "role_id": own },
        { "provider": "corp", "value": " ", "role_id": own },
        { "provider": "corp", "value": "b", "role_id": own },
        { "provider": "corp", "value": "b", "role_id": own },
    ]);
    let wrong = server.put(&path, &acme.owner, json!({ "rules": odd })).await.expect(400);
    let fields: Vec<&str> =
        wrong["faults"].as_array().unwrap().iter().map(|it| it["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["rules[0].provider", "rules[1].value", "rules[3].value"]);

    // What was proven a while ago is not enough; a token is no person and is not asked.
    server.clock.advance(5 * MINUTE);
    let stale = server.put(&path, &acme.owner, rules(Vec::new())).await;
    assert_eq!(stale.outcome(), (401, "proof_required".to_owned()));
    let asked =
        "Bearer realm=\"tokenward\", error=\"insufficient_user_authentication\", acr_values=\"password\", max_age=300";
    assert_eq!(stale.header("www-authenticate"), Some(asked));
    let proven = server.post("/session/proof", &acme.owner, json!({ "password": PASSWORD })).await.expect(200);
    server.put(&path, proven["token"].as_str().unwrap(), rules(Vec::new())).await.expect(200);
}

#[tokio::test]
async fn a_role_that_goes_takes_its_rules_with_it_or_hands_them_on() {
    let (server, acme, issuer) = served(GROUPS).await;
    for name in ["deployers", "testers"] {
        server.post(&acme.path("customRole"), &acme.owner, json!({ "name": name })).await.expect(201);
    }
    ruled(&server, &acme, &[("a", "deployers"), ("b", "testers"), ("c", "viewer")]).await.expect(200);
    signed_in(&server, &issuer, in_groups("ada", json!(["a"]))).await;
    let (deployers, testers) = (server.role(&acme, "deployers").await, server.role(&acme, "testers").await);
    let viewer = server.role(&acme, "viewer").await;
    // Somebody has it: it stays, and so do the rules.
    assert_eq!(server.delete(&acme.path(&format!("customRole/{deployers}")), &acme.owner).await.status, 409);
    server.delete(&acme.path(&format!("customRole/{testers}")), &acme.owner).await.expect(204);
    let moved = acme.path(&format!("customRole/{deployers}?move_to={viewer}"));
    server.delete(&moved, &acme.owner).await.expect(204);
    let rules = server.get(&acme.path("signInRules"), &acme.owner).await;
    assert_eq!(
        (rules.each("rules", "value"), rules.each("rules", "role_name")),
        (vec!["a".to_owned(), "c".to_owned()], vec!["viewer".to_owned(), "viewer".to_owned()])
    );
    assert_eq!(members(&server, &acme).await, ["ada@acme.example viewer corp:a"]);
    signed_in(&server, &issuer, in_groups("ada", json!(["a"]))).await;
    assert_eq!(members(&server, &acme).await, ["ada@acme.example viewer corp:a"]);
}

#[tokio::test]
async fn a_rule_makes_no_account_of_an_address_that_is_somebodys_or_of_none() {
    let (server, acme, issuer) = served(GROUPS).await;
    ruled(&server, &acme, &[("engineers", "devops")]).await.expect(200);
    // Equal to an account's: proven, it is linked by its person; not proven, it is a stranger's.
    for (email, verified, page) in [
        (json!(OWNER), true, "Sign in once as you do now"),
        (json!(OWNER), false, "You have no account here"),
        (json!(null), false, "You have no account here"),
    ] {
        let claims = json!({ "sub": "mallory", "email": email, "email_verified": verified, "groups": ["engineers"] });
        issuer.wants(json!({ "claims": claims, "userinfo": { "sub": "mallory" } })).await;
        let mut mallory = Person::at(&server);
        mallory.by(&issuer, WITH).await.leads_to("/sign-in/identity");
        mallory.get("/sign-in/identity").await.says(200, page);
        assert!(!mallory.cookies.contains_key("__Host-tokenward"));
    }
    // Nor where the provider says nothing of groups, or none that fits.
    for groups in [json!(null), json!([]), json!(["sales"])] {
        issuer.wants(in_groups("eve", groups)).await;
        Person::at(&server).by(&issuer, WITH).await.leads_to("/sign-in/identity");
    }
    assert!(members(&server, &acme).await.is_empty());
    // One that the provider does not prove is not proven by a rule either.
    let claims = json!({ "sub": "eve", "email": "eve@elsewhere.example", "groups": ["engineers"] });
    let mut eve = signed_in(&server, &issuer, json!({ "claims": claims })).await;
    eve.get("/console/account").await.says(200, "Nobody has proved that this address is yours");
    assert_eq!(members(&server, &acme).await, ["eve@elsewhere.example devops corp:engineers"]);
}

#[tokio::test]
async fn rules_are_written_in_the_console() {
    let (server, acme, issuer) = served(GROUPS).await;
    let page = format!("/console/{}/settings/sign-in", acme.id);
    let mut owner = Person::owner(&server).await;
    owner.get(&format!("/console/{}/settings", acme.id)).await.says(200, &format!("href=\"{page}\""));
    let form = owner.get(&page).await.says(200, "Rule 1").html;
    let version = form.split("name=\"version\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let viewer = server.role(&acme, "viewer").await;
    let row = |value| [("provider", "corp"), ("value", value), ("role_id", viewer.as_str())];
    let sent = [&[("version", version.as_str())][..], &row("staff"), &row(""), &row("guests")].concat();
    owner.post(&page, &sent).await.leads_to(&page);
    owner.get(&page).await.says(200, "The rules are saved").says(200, "value=\"guests\"");
    // The same form again is an older one.
    owner.post(&page, &sent).await.says(412, "Somebody else changed this");
    signed_in(&server, &issuer, in_groups("ada", json!(["guests"]))).await;
    assert_eq!(members(&server, &acme).await, ["ada@acme.example viewer corp:guests"]);
    server.clock.advance(5 * MINUTE);
    owner.get(&page).await.says(200, "name=\"password\"");
    owner.post(&page, &sent).await.says(401, "type your password again");
}

#[tokio::test]
async fn a_provider_under_another_key_makes_no_member_and_keeps_none_open() {
    let (server, acme, issuer) = served(GROUPS).await;
    ruled(&server, &acme, &[("engineers", "devops")]).await.expect(200);
    signed_in(&server, &issuer, in_groups("ada", json!(["engineers"]))).await;
    let Server { running, directory, .. } = server;
    running.stop().await.unwrap();
    // KEY is another: the identity is the same, and what the old key made is asked for by its name.
    let mut settings = config(directory.path(), &issuer.url, &[&[("EMAIL_DOMAINS", "acme.example")], GROUPS].concat());
    let corp = settings.oidc.remove("corp").unwrap();
    settings.oidc.insert("login".into(), corp);
    let server = Server::start_with(directory, settings).await;
    let acme = Organization { owner: server.sign_in(OWNER, PASSWORD).await, ..acme };
    issuer.wants(in_groups("ada", json!(["engineers"]))).await;
    let mut ada = Person::at(&server);
    ada.by(&issuer, "/sign-in/with/login").await.leads_to("/");
    ada.get(&format!("/console/{}/tokens", acme.id)).await.says(401, "provider “corp”");
    assert_eq!(members(&server, &acme).await, ["ada@acme.example devops corp:engineers"]);
    // Rules for a key that is not there are refused when they are written again.
    assert_eq!(ruled(&server, &acme, &[("engineers", "devops")]).await.status, 400);
    let rule = json!({ "provider": "login", "value": "engineers", "role_id": server.role(&acme, "devops").await });
    server.put(&acme.path("signInRules"), &acme.owner, json!({ "rules": [rule] })).await.expect(200);
    let mut ada = Person::at(&server);
    ada.by(&issuer, "/sign-in/with/login").await.leads_to("/");
    assert_eq!(members(&server, &acme).await, ["ada@acme.example devops login:engineers"]);
}

#[tokio::test]
async fn a_proof_by_the_provider_follows_its_groups_as_a_sign_in_does() {
    let (server, acme, issuer) = served(GROUPS).await;
    ruled(&server, &acme, &[("engineers", "devops")]).await.expect(200);
    let tokens = format!("/console/{}/tokens", acme.id);
    let mut ada = signed_in(&server, &issuer, in_groups("ada", json!(["engineers"]))).await;
    ada.get(&tokens).await.says(200, "Acme");
    // The claim is not said: this session is refused from then on.
    issuer.wants(in_groups("ada", Value::Null)).await;
    ada.by(&issuer, "/console/account/prove/corp").await.leads_to("/console/account");
    ada.get(&tokens).await.says(401, "the claim “groups” of your provider");
    // The group is taken away.
    let mut ada = signed_in(&server, &issuer, in_groups("ada", json!(["engineers"]))).await;
    issuer.wants(in_groups("ada", json!([]))).await;
    ada.by(&issuer, "/console/account/prove/corp").await.leads_to("/console/account");
    assert!(members(&server, &acme).await.is_empty());
    ada.get(&tokens).await.says(404, "There is no such organization");
}
