//! An organization that asks two factors of sessions: every door and every living session, days of grace, who may change it, and that
//! the last factor stays.

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::Clock as _;
use tokenward_core::right::Operator;
use tokenward_core::time::{DAY, SECOND};
use tokenward_server::service::set_up;

use crate::console::Person;
use crate::oidc::{claims, served};
use crate::other_log::{keep_copy, put_copy_back};
use crate::passkeys::authenticator::Authenticator as Passkey;
use crate::passkeys::{add, named, signed};
use crate::process::run_with;
use crate::second_factor::{self, Authenticator};
use crate::support::{Answer, OWNER, Organization, PASSWORD, Server, config};

const AUTHENTICATOR: &str = "/account/secondFactor/authenticator";

pub fn required() -> (u16, String) {
    (401, "proof_required".to_owned())
}

fn two(grace_days: u8) -> Value {
    json!({ "sign_in": "any", "two_factors": true, "grace_days": grace_days })
}

async fn ask(server: &Server, acme: &Organization, session: &str, body: Value) -> Answer {
    server.put(&acme.path("signInPolicy"), session, body).await
}

/// The owner has set an authenticator up: it, and a session that proves two factors.
async fn strong_owner(server: &Server, acme: &Organization) -> (Authenticator, String) {
    let (authenticator, _, session) = second_factor::set_up(server, &acme.owner).await;
    (authenticator, session)
}

/// What the organization answers this session: nothing where it is let.
pub async fn reads(server: &Server, organization: &Organization, session: &str) -> (u16, String) {
    let answer = server.get(&organization.path("member"), session).await;
    if answer.status.is_success() { (200, String::new()) } else { answer.outcome() }
}

pub fn fine() -> (u16, String) {
    (200, String::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_organization_asks_two_factors_and_everything_else_goes_on() {
    let (server, acme) = Server::frozen().await;
    let beta = server.new_organization("Beta").await;
    let (bob_id, bob) = server.member(&acme, "bob@acme.example", "admin").await;
    server.join(&beta, "bob@acme.example", "viewer", &bob).await;
    let token = server.token(&acme, "ci", "admin").await;
    let path = acme.path("signInPolicy");

    // A look at who would be out, which changes nothing.
    let look = server.put(&format!("{path}?dry_run=true"), &acme.owner, two(7)).await.expect(200);
    let mut out = look["kept_out"].as_array().unwrap().clone();
    // Both became members in one moment.
    out.sort_by_key(|it| it["email"] != OWNER);
    assert_eq!(out.iter().map(|it| &it["email"]).collect::<Vec<_>>(), [OWNER, "bob@acme.example"]);
    assert_eq!((&out[1]["lacks"], &out[1]["user_id"]), (&json!(["second_factor"]), &json!(bob_id)));
    assert_eq!((&out[1]["from"], &look["two_factors"]), (&look["two_factors_from"], &json!(true)));
    assert_eq!(server.get(&path, &acme.owner).await.expect(200)["two_factors"], false);
    // Who comes in by one factor asks nobody for two, however fresh; a token is no person.
    let refused = ask(&server, &acme, &acme.owner, two(0)).await;
    assert_eq!(refused.outcome(), required());
    let asked =
        "Bearer realm=\"tokenward\", error=\"insufficient_user_authentication\", acr_values=\"mfa\", max_age=43200";
    assert_eq!(refused.header("www-authenticate"), Some(asked));
    assert_eq!(ask(&server, &acme, &token, two(0)).await.outcome(), (403, "user_required".to_owned()));
    for (wrong, field) in [
        (json!({ "sign_in": "any", "grace_days": 1 }), "grace_days"),
        (json!({ "sign_in": "any", "two_factors": true, "grace_days": 31 }), "grace_days"),
    ] {
        assert_eq!(ask(&server, &acme, &acme.owner, wrong).await.expect(400)["faults"][0]["field"], field);
    }

    let (_, owner) = strong_owner(&server, &acme).await;
    let saved = ask(&server, &acme, &owner, two(0)).await.expect(200);
    assert_eq!(saved["kept_out"].as_array().unwrap().len(), 1, "{saved}");
    // A session that began before, by a password; the rest of what it reaches goes on.
    let refused = server.get(&acme.path("member"), &bob).await;
    assert_eq!((refused.outcome(), refused.header("www-authenticate")), (required(), Some(asked)));
    let invite =
        json!({ "email": "eve@acme.example", "role_id": server.role(&acme_by(&acme, &owner), "viewer").await });
    assert_eq!(server.post(&acme.path("inviteMember"), &bob, invite).await.outcome(), required());
    assert_eq!((reads(&server, &beta, &bob).await, reads(&server, &acme, &token).await), (fine(), fine()));
    assert_eq!(server.get("/account", &bob).await.status, 200);
    assert_eq!(reads(&server, &acme, &owner).await, fine());
    // The command line is told what to do.
    let variables = [("TOKENWARD_URL", server.url.as_str()), ("TOKENWARD_TOKEN", bob.as_str())];
    let said = run_with(&["member", "list", "--organization", &acme.id], &variables);
    assert!(said.code != Some(0) && said.err.contains("two factors"), "{said:?}");
    // A new session by the password opens no more; the operator's link does.
    let again = server.sign_in("bob@acme.example", PASSWORD).await;
    assert_eq!(reads(&server, &acme, &again).await, required());
    let app = &server.running.app;
    let link =
        set_up::sign_in_link(&app.store, &Operator::at_this_machine(), "bob@acme.example").await.unwrap().unwrap();
    let mut by_link = Person::at(&server);
    let way = format!("/sign-in/{}", *link.secret);
    by_link.get(&way).await;
    by_link.post(&way, &[("password", PASSWORD)]).await.leads_to("/");
    by_link.get(&format!("/console/{}/tokens", acme.id)).await.says(200, "Acme");
    // With a second factor it opens.
    let bob = server.sign_in("bob@acme.example", PASSWORD).await;
    let (_, _, bob) = second_factor::set_up(&server, &bob).await;
    assert_eq!(reads(&server, &acme, &bob).await, fine());
    let kinds = server.get(&acme.path("events?pageSize=100"), &owner).await.each("events", "kind");
    assert!(kinds.contains(&"sign_in_policy.updated".to_owned()), "{kinds:?}");
}

fn acme_by(acme: &Organization, session: &str) -> Organization {
    Organization { id: acme.id.clone(), owner: session.to_owned() }
}

#[tokio::test]
async fn days_of_grace_are_counted_once_and_one_factor_neither_prolongs_nor_ends_them() {
    let (server, acme) = Server::frozen().await;
    let (_, bob) = server.member(&acme, "bob@acme.example", "admin").await;
    let (authenticator, owner) = strong_owner(&server, &acme).await;
    let from = ask(&server, &acme, &owner, two(6)).await.expect(200)["two_factors_from"].clone();
    // Until they are over, a page says until when.
    assert_eq!(reads(&server, &acme, &bob).await, fine());
    let mut in_console = Person::at(&server);
    in_console.sign_in("bob@acme.example", PASSWORD).await.leads_to("/");
    let tokens = format!("/console/{}/tokens", acme.id);
    let page = in_console.get(&tokens).await.says(200, "takes only sessions that two factors proved");
    assert!(page.html.contains(from.as_str().unwrap()), "{from}");
    // An admin of one factor, who has proved it a moment ago, changes nothing of it.
    let bob = server.sign_in("bob@acme.example", PASSWORD).await;
    for wanted in [json!({ "sign_in": "any" }), two(30), two(0)] {
        assert_eq!(ask(&server, &acme, &bob, wanted.clone()).await.outcome(), required(), "{wanted}");
    }
    // To write it again gives nobody more days.
    server.clock.advance(5 * DAY);
    let body = json!({ "password": PASSWORD, "otp": authenticator.code(&server, 0) });
    let owner = server.post("/session/proof", &owner, body).await.str("token");
    assert_eq!(ask(&server, &acme, &owner, two(6)).await.expect(200)["two_factors_from"], from);
    let bob = server.sign_in("bob@acme.example", PASSWORD).await;
    assert_eq!(reads(&server, &acme, &bob).await, fine());
    server.clock.advance(DAY);
    let bob_again = server.sign_in("bob@acme.example", PASSWORD).await;
    assert_eq!((reads(&server, &acme, &bob).await, reads(&server, &acme, &bob_again).await), (required(), required()));
    assert_eq!(reads(&server, &acme, &owner).await, fine());
    in_console.get(&tokens).await.says(401, "asks for a second factor");
    // Who shows two takes it back.
    server.clock.advance(30 * SECOND);
    let body = json!({ "password": PASSWORD, "otp": authenticator.code(&server, 0) });
    let owner = server.post("/session/proof", &owner, body).await.str("token");
    ask(&server, &acme, &owner, json!({ "sign_in": "any" })).await.expect(200);
    assert_eq!(reads(&server, &acme, &bob).await, fine());
}

#[tokio::test]
async fn the_console_leads_to_the_second_factor_and_back() {
    let (server, acme) = Server::frozen().await;
    server.member(&acme, "bob@acme.example", "admin").await;
    let page = format!("/console/{}/settings/sign-in/two-factors", acme.id);
    let mut owner = Person::owner(&server).await;
    let asks = owner.get(&page).await.says(200, "Show a second factor").says(200, "bob@acme.example").html;
    assert!(!asks.contains("Ask two factors, after"), "{asks}");
    // A form that was made up is refused.
    owner.post(&page, &[("version", "1"), ("grace_days", "0")]).await.says(412, "");
    let (authenticator, _) = strong_owner(&server, &acme).await;
    let mut owner = Person::at(&server);
    server.clock.advance(30 * SECOND);
    owner.sign_in(OWNER, PASSWORD).await.leads_to("/sign-in/code");
    owner.get("/sign-in/code").await;
    owner.post("/sign-in/code", &[("otp", &authenticator.code(&server, 0))]).await.leads_to("/");
    let asks = owner.get(&format!("{page}?grace_days=7")).await.says(200, "Ask two factors, after 7 days");
    let version = crate::console::hidden(&asks, "version");
    owner.post(&page, &[("version", &version), ("grace_days", "31")]).await.says(400, "0 to 30");
    let back = format!("/console/{}/settings/sign-in", acme.id);
    owner.post(&page, &[("version", &version), ("grace_days", "0")]).await.leads_to(&back);
    owner.get(&back).await.says(200, "Asked of every session");

    let mut bob = Person::at(&server);
    bob.sign_in("bob@acme.example", PASSWORD).await.leads_to("/");
    let tokens = format!("/console/{}/tokens", acme.id);
    let way = format!("/console/account/two-factors?next=%2Fconsole%2F{}%2Ftokens", acme.id);
    bob.get(&tokens).await.says(401, &way);
    bob.get("/console/account").await.says(200, "bob@acme.example");
    bob.get(&way).await.says(200, &format!("/console/account/second-factor?next=%2Fconsole%2F{}%2Ftokens", acme.id));
    // A password is no second factor; what leads elsewhere leads home.
    bob.post("/console/account/two-factors", &[("next", &tokens), ("password", PASSWORD)]).await.says(400, "");
    let session = server.sign_in("bob@acme.example", PASSWORD).await;
    let (authenticator, codes, _) = second_factor::set_up(&server, &session).await;
    // Those that the password alone had opened have ended: this one shows its second factor at the sign-in.
    let mut bob = Person::at(&server);
    bob.sign_in("bob@acme.example", PASSWORD).await.leads_to("/sign-in/code");
    bob.get("/sign-in/code").await;
    server.clock.advance(30 * SECOND);
    bob.post("/sign-in/code", &[("otp", &authenticator.code(&server, 0))]).await.leads_to("/");
    bob.get(&way).await.leads_to(&tokens);
    bob.get("/console/account/two-factors?next=%2F%2Fevil.example").await.leads_to("/");
    assert_eq!(codes.len(), 10);
}

#[tokio::test]
async fn the_last_factor_stays_where_an_organization_asks_two_also_when_two_go_at_once() {
    let (server, acme) = named(|_| {}).await;
    let (_, owner) = strong_owner(&server, &acme).await;
    let mut device = Passkey::new(1);
    let passkey = add(&server, &owner, &mut device).await.expect(201)["id"].as_str().unwrap().to_owned();
    ask(&server, &acme, &owner, two(30)).await.expect(200);
    let passkey = format!("/account/passkey/{passkey}");
    let (one, other) = tokio::join!(server.delete(AUTHENTICATOR, &owner), server.delete(&passkey, &owner));
    let mut outcomes = [one.status.as_u16(), other.status.as_u16()];
    outcomes.sort_unstable();
    assert_eq!(outcomes, [204, 409], "{} {}", one.text, other.text);
    let left = if one.status == 204 { passkey } else { AUTHENTICATOR.to_owned() };
    assert_eq!(server.delete(&left, &owner).await.status, 409);
    assert_eq!(reads(&server, &acme, &owner).await, fine());
    // Where nobody asks two any more, it goes.
    ask(&server, &acme, &owner, json!({ "sign_in": "any" })).await.expect(200);
    assert_eq!(server.delete(&left, &owner).await.status, 204);
}

#[tokio::test]
async fn an_older_copy_of_the_database_does_not_take_it_back() {
    let (server, acme) = Server::with_owner().await;
    server.member(&acme, "bob@acme.example", "admin").await;
    let seconds = || tokenward_verify::server::clock::SystemClock::default().now().0 / 1_000_000;
    let begun = server.post(AUTHENTICATOR, &acme.owner, json!({})).await.expect(200);
    let authenticator = Authenticator::of(begun["seed"].as_str().unwrap());
    let body = json!({ "set_up": begun["set_up"], "otp": authenticator.at(seconds()) });
    let owner = server.put(AUTHENTICATOR, &acme.owner, body).await.str("token");
    let (copy, server) = keep_copy(server, config).await;
    ask(&server, &acme, &owner, two(0)).await.expect(200);
    let server = put_copy_back(server, &copy, config).await;
    let bob = server.sign_in("bob@acme.example", PASSWORD).await;
    assert_eq!(reads(&server, &acme, &bob).await, required());
    let policy = server.get(&acme.path("signInPolicy"), &owner).await.expect(200);
    assert_eq!((&policy["two_factors"], &policy["grace_days"]), (&json!(true), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_and_the_command_line_say_it() {
    let (server, acme) = Server::frozen().await;
    server.member(&acme, "bob@acme.example", "viewer").await;
    let (_, owner) = strong_owner(&server, &acme).await;
    let variables = [("TOKENWARD_URL", server.url.as_str()), ("TOKENWARD_TOKEN", owner.as_str())];
    let base = ["org", "sign-in", "set", "--organization", acme.id.as_str()];
    let set = |more: &[&str]| run_with(&[&base[..], more].concat(), &variables);
    let look = set(&["--two-factors", "--grace-days", "14", "--dry-run"]);
    assert!(
        look.code == Some(0) && look.out.contains("bob@acme.example") && look.out.contains("second_factor"),
        "{look:?}"
    );
    let done = set(&["--two-factors", "--grace-days", "14", "--yes"]);
    assert!(done.code == Some(0) && done.err.contains("no second factor; from "), "{done:?}");
    // What is not named stays.
    assert_eq!(set(&["--any"]).code, Some(0));
    let policy = server.get(&acme.path("signInPolicy"), &owner).await.expect(200);
    assert_eq!((&policy["two_factors"], &policy["grace_days"]), (&json!(true), &json!(14)));
    assert_ne!(set(&["--one-factor", "--grace-days", "3"]).code, Some(0));
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("org.yaml");
    let path = file.to_str().unwrap().to_owned();
    let plan = |line: &[&str]| {
        run_with(&[line, &["--file", path.as_str(), "--organization", acme.id.as_str()]].concat(), &variables)
    };
    std::fs::write(&file, "sign_in: { providers: [], two_factors: true, grace_days: 14 }\n").unwrap();
    let planned = plan(&["plan"]);
    assert_eq!(planned.code, Some(0), "as it is: {planned:?}");
    std::fs::write(&file, "sign_in: { providers: [], two_factors: true, grace_days: 7 }\n").unwrap();
    let planned = plan(&["plan"]);
    let words = "any, two factors after 14 days → any, two factors after 7 days; it keeps out: bob@acme.example (no second factor; from";
    assert!(planned.code == Some(2) && planned.out.contains(words), "{planned:?}");
    let applied = plan(&["apply", "--yes"]);
    assert_eq!(applied.code, Some(0), "{applied:?}");
    assert_eq!(set(&["--one-factor"]).code, Some(0));
    assert_eq!(server.get(&acme.path("signInPolicy"), &owner).await.expect(200)["two_factors"], false);
    let answer = server.call(Method::GET, &acme.path("signInPolicy"), &owner, None).await.expect(200);
    assert!(answer.get("two_factors_from").is_none(), "{answer}");
}

/// Bob, a member whose account an identity of the provider opens, sets two factors up for nobody.
async fn bob_by_provider(server: &Server, acme: &Organization, issuer: &crate::oidc::Issuer) {
    server.member(acme, "bob@acme.example", "admin").await;
    issuer.wants(claims("bob", "bob@acme.example", true)).await;
    let mut bob = Person::at(server);
    bob.sign_in("bob@acme.example", PASSWORD).await.leads_to("/");
    let link = "/console/account/identities/link";
    bob.by(issuer, "/console/account/identities/with/corp").await.leads_to(link);
    bob.get(link).await;
    bob.post(link, &[]).await.leads_to("/console/account");
}

#[tokio::test]
async fn a_providers_word_for_two_factors_counts_and_any_other_word_does_not() {
    let (server, acme, issuer) = served(&[("ACR_TWO_FACTORS", "phrh")]).await;
    bob_by_provider(&server, &acme, &issuer).await;
    let begun = server.post(AUTHENTICATOR, &acme.owner, json!({})).await.expect(200);
    let seconds = server.clock.now().seconds();
    let code = Authenticator::of(begun["seed"].as_str().unwrap()).at(seconds);
    let owner =
        server.put(AUTHENTICATOR, &acme.owner, json!({ "set_up": begun["set_up"], "otp": code })).await.str("token");
    ask(&server, &acme, &owner, two(0)).await.expect(200);
    let tokens = format!("/console/{}/tokens", acme.id);
    for (more, opens) in [
        (json!({}), false),
        (json!({ "amr": ["pwd"] }), false),
        (json!({ "amr": ["pwd", "pin"] }), false),
        (json!({ "amr": "mfa" }), false),
        (json!({ "acr": "1" }), false),
        (json!({ "amr": ["pwd", "otp"] }), true),
        (json!({ "amr": ["mfa"] }), true),
        (json!({ "acr": "phrh" }), true),
    ] {
        let mut wants = claims("bob", "bob@acme.example", true);
        wants["claims"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        issuer.wants(wants).await;
        let mut bob = Person::at(&server);
        bob.by(&issuer, "/sign-in/with/corp").await.leads_to("/");
        let page = bob.get(&tokens).await;
        assert_eq!(page.status.as_u16(), if opens { 200 } else { 401 }, "{more}: {}", page.html);
    }
}

#[tokio::test]
async fn the_operators_word_for_a_provider_is_enough() {
    let (server, acme, issuer) = served(&[("SECOND_FACTOR", "provider")]).await;
    bob_by_provider(&server, &acme, &issuer).await;
    let path = acme.path("signInPolicy?dry_run=true");
    let look = server.put(&path, &acme.owner, two(0)).await;
    assert_eq!(look.each("kept_out", "email"), [OWNER], "bob comes by a provider that vouches");
    let mut bob = Person::at(&server);
    bob.by(&issuer, "/sign-in/with/corp").await.leads_to("/");
    let page = format!("/console/{}/settings/sign-in/two-factors", acme.id);
    let version = crate::console::hidden(&bob.get(&page).await.says(200, "Ask two factors, after"), "version");
    let back = format!("/console/{}/settings/sign-in", acme.id);
    bob.post(&page, &[("version", &version), ("grace_days", "0")]).await.leads_to(&back);
    bob.get(&format!("/console/{}/tokens", acme.id)).await.says(200, "Acme");
    assert_eq!(reads(&server, &acme, &acme.owner).await, required());
}

#[tokio::test]
async fn beside_a_passkey_a_password_alone_proves_nothing_anew() {
    let (server, acme) = named(|_| {}).await;
    let mut device = Passkey::new(1);
    add(&server, &acme.owner, &mut device).await.expect(201);
    // A session that the password alone began, however fresh: it adds no other passkey, and hands nothing over.
    let stolen = server.sign_in(OWNER, PASSWORD).await;
    let challenge = "/account/passkey/challenge";
    assert_eq!(server.call(Method::POST, challenge, &stolen, None).await.outcome(), required());
    let proof = server.post("/session/proof", &stolen, json!({ "password": PASSWORD })).await;
    assert_eq!(proof.expect(400)["faults"][0]["field"], "password");
    assert_eq!(server.call(Method::POST, challenge, &stolen, None).await.outcome(), required());
    let new = json!({ "present_password": PASSWORD, "password": "four quiet lamps" });
    assert_eq!(server.put("/account/password", &stolen, new).await.outcome(), required());
    let body = signed(&server, "/session/proof/passkey", &stolen, &mut device).await;
    let owner = server.post("/session/proof/passkey", &stolen, body).await.str("token");
    assert_eq!(server.call(Method::POST, challenge, &owner, None).await.status, 200);
}
