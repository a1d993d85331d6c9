//! An organization that takes only sessions of a provider: every door, living sessions, and who may turn it on.

use serde_json::json;
use tokenward_core::right::Operator;
use tokenward_core::time::MINUTE;
use tokenward_server::service::set_up;

use super::{Issuer, claims, served};
use crate::command_line::{code_of, session_of};
use crate::console::Person;
use crate::process::{Said, run_with};
use crate::support::{OWNER, Organization, PASSWORD, Server};

const WITH: &str = "/sign-in/with/corp";

fn page(acme: &Organization) -> String {
    format!("/console/{}/settings/sign-in/only/corp", acme.id)
}

/// The owner, who has linked an identity, in a session of the provider.
async fn owner_by_provider(server: &Server, issuer: &Issuer) -> Person {
    issuer.wants(claims("owner", OWNER, true)).await;
    let mut owner = Person::owner(server).await;
    let link = "/console/account/identities/link";
    owner.by(issuer, "/console/account/identities/with/corp").await.leads_to(link);
    owner.get(link).await;
    owner.post(link, &[]).await.leads_to("/console/account");
    let mut owner = Person::at(server);
    owner.by(issuer, WITH).await.leads_to("/");
    owner
}

/// Turns it on on its page.
async fn turned_on(server: &Server, acme: &Organization, issuer: &Issuer) -> Person {
    let mut owner = owner_by_provider(server, issuer).await;
    owner.get(&page(acme)).await.says(200, "Only by Corp Login");
    let version = version(&mut owner, acme).await;
    let back = format!("/console/{}/settings/sign-in", acme.id);
    owner.post(&page(acme), &[("version", &version)]).await.leads_to(&back);
    owner
}

async fn version(person: &mut Person, acme: &Organization) -> String {
    let html = person.get(&page(acme)).await.html;
    html.split("name=\"version\" value=\"").nth(1).map_or("", |rest| rest.split('"').next().unwrap()).to_owned()
}

#[tokio::test]
async fn it_is_turned_on_after_a_look_at_who_stays_out_and_by_a_session_of_the_provider_alone() {
    let (server, acme, issuer) = served(&[]).await;
    let (_, bob) = server.member(&acme, "bob@acme.example", "viewer").await;
    let token = server.token(&acme, "ci", "admin").await;
    let path = acme.path("signInPolicy");
    let only = json!({ "sign_in": "providers", "providers": ["corp"] });
    let any = json!({ "sign_in": "any", "providers": [], "two_factors": false, "grace_days": 0 });
    assert_eq!(server.get(&path, &acme.owner).await.expect(200), any);
    // A look changes nothing.
    let look = server.put(&format!("{path}?dry_run=true"), &acme.owner, only.clone()).await;
    assert_eq!(look.each("kept_out", "email"), [OWNER, "bob@acme.example"]);
    // A password asks nobody else for a provider, however fresh; a token is no person.
    let refused = server.put(&path, &acme.owner, only.clone()).await;
    assert_eq!(refused.outcome(), (401, "proof_required".to_owned()));
    let asked =
        "Bearer realm=\"tokenward\", error=\"insufficient_user_authentication\", acr_values=\"oidc:corp\", max_age=300";
    assert_eq!(refused.header("www-authenticate"), Some(asked));
    assert_eq!(server.put(&path, &token, only.clone()).await.outcome(), (403, "user_required".to_owned()));
    assert_eq!(server.put(&path, &bob, only.clone()).await.outcome(), (403, "permission_denied".to_owned()));
    for (wrong, field) in [
        (json!({ "sign_in": "providers", "providers": [] }), "providers"),
        (json!({ "sign_in": "any", "providers": ["corp"] }), "providers"),
        (json!({ "sign_in": "providers", "providers": ["nobody"] }), "providers[0]"),
        (json!({ "sign_in": "passwords" }), "sign_in"),
    ] {
        assert_eq!(server.put(&path, &acme.owner, wrong).await.expect(400)["faults"][0]["field"], field);
    }
    let mut by_password = Person::owner(&server).await;
    let asks =
        by_password.get(&page(&acme)).await.says(200, "bob@acme.example").says(200, "Sign in with Corp Login").html;
    assert!(!asks.contains("Only by Corp Login</button>"), "{asks}");
    // The form that was made up is answered with the way to the provider.
    let version = server.get(&acme.path(""), &acme.owner).await;
    assert_eq!(version.status, 200);
    by_password.post(&page(&acme), &[("version", "1")]).await.says(412, "");

    // By the provider: the page has the button, for five minutes.
    let mut owner = owner_by_provider(&server, &issuer).await;
    let asks = owner.get(&page(&acme)).await.says(200, "Only by Corp Login</button>").html;
    assert!(asks.contains("bob@acme.example") && !asks.contains(OWNER) || asks.matches(OWNER).count() == 1, "{asks}");
    server.clock.advance(5 * MINUTE);
    owner.get(&page(&acme)).await.says(200, "Sign in with Corp Login");
    assert_eq!(server.get(&path, &acme.owner).await.expect(200)["sign_in"], "any");
}

#[tokio::test]
async fn it_holds_for_every_door_and_every_living_session_but_not_for_tokens() {
    let (server, acme, issuer) = served(&[]).await;
    let beta = server.new_organization("Beta").await;
    let (_, bob) = server.member(&acme, "bob@acme.example", "admin").await;
    server.join(&beta, "bob@acme.example", "viewer", &bob).await;
    let mut in_console = Person::at(&server);
    in_console.sign_in("bob@acme.example", PASSWORD).await.leads_to("/");
    let tokens = format!("/console/{}/tokens", acme.id);
    in_console.get(&tokens).await.says(200, "Acme");
    let token = server.token(&acme, "ci", "admin").await;
    let mut owner = turned_on(&server, &acme, &issuer).await;

    let required = (401, "proof_required".to_owned());
    // Living sessions, of the API and of the console.
    assert_eq!(server.get(&acme.path("member"), &bob).await.outcome(), required);
    assert_eq!(server.get(&acme.path("member"), &acme.owner).await.outcome(), required);
    let invite = json!({ "email": "eve@acme.example", "role_id": server_role(&server, &acme, &token).await });
    assert_eq!(server.post(&acme.path("inviteMember"), &bob, invite).await.outcome(), required);
    in_console.get(&tokens).await.says(401, "Sign in with Corp Login");
    in_console.post(&format!("{tokens}/find"), &[("q", "x")]).await.says(401, "asks for another sign-in");
    // A new one by the password: it begins, and opens what does not ask for more.
    let again = server.sign_in("bob@acme.example", PASSWORD).await;
    assert_eq!(server.get(&acme.path("member"), &again).await.outcome(), required);
    assert_eq!(server.get(&beta.path(""), &again).await.status, 200);
    let mut anew = Person::at(&server);
    anew.sign_in("bob@acme.example", PASSWORD).await.leads_to("/");
    anew.get(&tokens).await.says(401, "Sign in with Corp Login");
    // Tokens go on, and so does the provider.
    assert_eq!(server.get(&acme.path("member"), &token).await.status, 200);
    owner.get(&tokens).await.says(200, "Acme");
    // The operator's link, too.
    let app = &server.running.app;
    let link =
        set_up::sign_in_link(&app.store, &Operator::at_this_machine(), "bob@acme.example").await.unwrap().unwrap();
    let mut by_link = Person::at(&server);
    let path = format!("/sign-in/{}", *link.secret);
    by_link.get(&path).await;
    by_link.post(&path, &[("password", "another horse battery")]).await.leads_to("/");
    by_link.get(&tokens).await.says(200, "Acme").says(200, "You came in by the operator's sign-in link, until");
    // It is taken back by who comes in.
    let any = format!("/console/{}/settings/sign-in/any", acme.id);
    let html = owner.get(&any).await.says(200, "Take every session again?").html;
    let version = html.split("name=\"version\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    owner.post(&any, &[("version", &version)]).await.leads_to(&format!("/console/{}/settings/sign-in", acme.id));
    let again = server.sign_in("bob@acme.example", "another horse battery").await;
    assert_eq!(server.get(&acme.path("member"), &again).await.status, 200);
    let kinds = server.get(&acme.path("events?pageSize=100"), &acme.owner).await.each("events", "kind");
    assert_eq!(kinds.iter().filter(|kind| *kind == "sign_in_policy.updated").count(), 2, "{kinds:?}");
}

async fn server_role(server: &Server, acme: &Organization, token: &str) -> String {
    let by_token = Organization { id: acme.id.clone(), owner: token.to_owned() };
    server.role(&by_token, "viewer").await
}

#[tokio::test]
async fn a_password_links_nobody_to_an_account_there_whom_the_provider_does_not_know_so() {
    let (server, acme, issuer) = served(&[]).await;
    server.member(&acme, "bob@acme.example", "admin").await;
    turned_on(&server, &acme, &issuer).await;
    let (with, link) = ("/console/account/identities/with/corp", "/console/account/identities/link");
    // Somebody else at the provider, who has got hold of bob's password.
    issuer.wants(claims("mallory", "mallory@acme.example", true)).await;
    let mut mallory = Person::at(&server);
    mallory.sign_in("bob@acme.example", PASSWORD).await.leads_to("/");
    mallory.by(&issuer, with).await.leads_to(link);
    mallory.get(link).await;
    mallory.post(link, &[]).await.says(401, "takes only sessions that the provider");
    // Bob himself, whose address the provider proves.
    issuer.wants(claims("bob", "bob@acme.example", true)).await;
    let mut bob = Person::at(&server);
    bob.sign_in("bob@acme.example", PASSWORD).await.leads_to("/");
    bob.by(&issuer, with).await.leads_to(link);
    bob.get(link).await;
    bob.post(link, &[]).await.leads_to("/console/account");
    let mut bob = Person::at(&server);
    bob.by(&issuer, WITH).await.leads_to("/");
    bob.get(&format!("/console/{}/tokens", acme.id)).await.says(200, "Acme");
}

/// The owner at a command line, in a session of this text.
fn turns_on(server: &Server, acme: &Organization, session: &str, more: &[&str]) -> Said {
    let variables = [("TOKENWARD_URL", server.url.as_str()), ("TOKENWARD_TOKEN", session)];
    let set = ["org", "sign-in", "set", "--organization", acme.id.as_str(), "--provider", "corp"];
    run_with(&[&set[..], more].concat(), &variables)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_line_turns_it_on_by_the_proof_that_it_inherited_while_that_is_young() {
    let (server, acme, issuer) = served(&[]).await;
    server.member(&acme, "bob@acme.example", "viewer").await;
    let policy = acme.path("signInPolicy");
    let only_who = "Only who comes in by the provider";
    // A password proves nothing of it, however fresh.
    let said = turns_on(&server, &acme, &acme.owner, &["--yes"]);
    assert!(said.code == Some(3) && said.err.contains(only_who), "{said:?}");

    let mut owner = owner_by_provider(&server, &issuer).await;
    let given = code_of(&mut owner).await;
    let session = session_of(&server, &given).await;
    server.advance(5 * MINUTE).await;
    let proven = server.post("/session/proof", &session, json!({ "password": PASSWORD })).await.expect(200);
    let said = turns_on(&server, &acme, proven["token"].as_str().unwrap(), &["--yes"]);
    assert!(said.code == Some(3) && said.err.contains(only_who), "{said:?}");

    let mut wants = claims("owner", OWNER, true);
    wants["clock"] = json!(300);
    issuer.wants(wants).await;
    let mut owner = Person::at(&server);
    owner.by(&issuer, WITH).await.leads_to("/");
    let given = code_of(&mut owner).await;
    let session = session_of(&server, &given).await;
    // It is asked first, after a look at who stays out.
    let out = "bob@acme.example (no identity linked; from";
    let said = turns_on(&server, &acme, &session, &[]);
    assert!(said.code == Some(2) && said.err.contains(out) && said.err.contains("Add --yes"), "{said:?}");
    assert_eq!(server.get(&policy, &session).await.expect(200)["sign_in"], "any");
    let said = turns_on(&server, &acme, &session, &["--yes"]);
    assert!(said.code == Some(0) && said.err.contains(out), "{said:?}");
    assert!(said.err.contains("People sign in only by corp"), "{said:?}");
    assert_eq!(server.get(&policy, &session).await.expect(200)["providers"], json!(["corp"]));
    assert_eq!(server.get(&policy, &acme.owner).await.outcome(), (401, "proof_required".to_owned()));
}
