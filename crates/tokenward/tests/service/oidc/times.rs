//! When a provider proved a session: where it alone counts, nothing else renews that time, and what it remembers is no proof of now.

use serde_json::{Value, json};
use tokenward_core::Clock as _;
use tokenward_core::time::{HOUR, MINUTE, SECOND};

use super::{Issuer, claims, served};
use crate::command_line::{code_of, session_of};
use crate::console::{Person, hidden};
use crate::second_factor::set_up;
use crate::support::authenticator::STEP;
use crate::support::{OWNER, PASSWORD, Server};

const WITH: &str = "/sign-in/with/corp";
const LINK: &str = "/console/account/identities/link";

/// What the provider says of somebody, by a clock that is this many seconds later than the machine's; its `auth_time` where that is
/// another one than now.
async fn says(issuer: &Issuer, (subject, email): (&str, &str), clock: i64, auth_time: Option<Value>) {
    let mut said = claims(subject, email, true);
    said["clock"] = json!(clock);
    if let Some(auth_time) = auth_time {
        said["claims"]["auth_time"] = auth_time;
    }
    issuer.wants(said).await;
}

/// Somebody who comes by the provider.
async fn by_provider(server: &Server, issuer: &Issuer) -> Person {
    let mut person = Person::at(server);
    person.by(issuer, WITH).await.leads_to("/");
    person
}

/// The owner links an identity.
async fn linked(server: &Server, issuer: &Issuer) {
    let mut owner = Person::owner(server).await;
    owner.by(issuer, "/console/account/identities/with/corp").await.leads_to(LINK);
    owner.get(LINK).await;
    owner.post(LINK, &[]).await.leads_to("/console/account");
}

/// The page that unlinks the identity of somebody, which asks for a fresh proof.
async fn page_that_unlinks(person: &mut Person) -> String {
    let page = person.get("/console/account").await.says(200, "Unlink").html;
    let link = page.split("href=\"/console/account/identities/").skip(1).find(|it| it.contains("/remove\"")).unwrap();
    format!("/console/account/identities/{}", link.split('"').next().unwrap())
}

#[tokio::test]
async fn where_a_provider_alone_is_taken_a_password_renews_no_time() {
    let (server, acme, issuer) = served(&[]).await;
    let me = ("owner", OWNER);
    says(&issuer, me, 0, None).await;
    linked(&server, &issuer).await;
    let hour = json!({ "sign_in": "any", "session_lifetime": "1h" });
    server.put(&acme.path("signInPolicy"), &acme.owner, hour).await.expect(200);
    let mut owner = by_provider(&server, &issuer).await;
    let only = format!("/console/{}/settings/sign-in/only/corp", acme.id);
    let version = hidden(&owner.get(&only).await.says(200, "Only by Corp Login</button>"), "version");
    let back = format!("/console/{}/settings/sign-in", acme.id);
    owner.post(&only, &[("version", &version)]).await.leads_to(&back);
    let tokens = format!("/console/{}/tokens", acme.id);
    owner.get(&tokens).await.says(200, "Acme");

    server.advance(HOUR).await;
    owner.get(&tokens).await.says(401, "a proof by the provider “corp” counts");
    // The password is right, and is no proof by the provider.
    owner.get("/console/account/proof").await;
    let form = [("next", tokens.as_str()), ("password", PASSWORD)];
    owner.post("/console/account/proof", &form).await.leads_to(&tokens);
    let asked = owner.get(&tokens).await.says(401, "Acme asks for another sign-in").says(401, "Nothing else renews it");
    assert!(asked.html.contains(&format!("href=\"{WITH}?anew=on")), "{}", asked.html);
    // Neither is what it remembers.
    let long_ago = server.clock.now().seconds() - 3_601;
    says(&issuer, me, 3_600, Some(json!(long_ago))).await;
    by_provider(&server, &issuer).await.get(&tokens).await.says(401, "a proof by the provider “corp” counts");
    // It is asked anew, and comes back to where that was asked.
    says(&issuer, me, 3_600, None).await;
    let next: String = form_urlencoded::byte_serialize(tokens.as_bytes()).collect();
    let question = owner.get(&format!("{WITH}?anew=on&next={next}")).await;
    assert!(question.location().contains("prompt=login&max_age=0"), "{}", question.location());
    let back = issuer.answer(question.location()).await;
    owner.get(&back).await.leads_to(&tokens);
    owner.get(&tokens).await.says(200, "Acme");
}

#[tokio::test]
async fn a_sign_in_is_as_fresh_as_the_provider_says_that_it_asked() {
    let (server, acme, issuer) = served(&[]).await;
    let me = ("owner", OWNER);
    says(&issuer, me, 0, None).await;
    linked(&server, &issuer).await;
    let minutes_ago = |minutes: i64| Some(json!(server.clock.now().seconds() - minutes * 60));
    for (auth_time, fresh) in [
        (Some(Value::Null), false),
        (Some(json!("now")), false),
        (minutes_ago(10), false),
        (minutes_ago(6), false),
        (minutes_ago(1), true),
        (None, true),
    ] {
        let what = format!("{auth_time:?}");
        says(&issuer, me, 0, auth_time).await;
        let mut owner = by_provider(&server, &issuer).await;
        let unlink = page_that_unlinks(&mut owner).await;
        let page = owner.get(&unlink).await.says(200, "Unlink this identity?");
        assert_eq!(page.html.contains("name=\"password\""), !fresh, "{what}: {}", page.html);
        // Nor may it ask everybody for the provider where that is not asked a moment ago itself.
        let only = owner.get(&format!("/console/{}/settings/sign-in/only/corp", acme.id)).await;
        let told = only.html.contains("Only by Corp Login</button>") && !only.html.contains("name=\"password\"");
        assert_eq!(told, fresh, "{what}: {}", only.html);
    }
    // It counts for as long as is left of the time.
    says(&issuer, me, 0, minutes_ago(3)).await;
    let mut owner = by_provider(&server, &issuer).await;
    let unlink = page_that_unlinks(&mut owner).await;
    server.advance(2 * MINUTE).await;
    let page = owner.get(&unlink).await.says(200, "Unlink this identity?");
    assert!(page.html.contains("name=\"password\""), "{}", page.html);
}

#[tokio::test]
async fn who_has_no_password_is_not_told_to_type_one() {
    let (server, acme, issuer) = served(&[]).await;
    let ada = ("ada", "ada@acme.example");
    let body = json!({ "email": ada.1, "role_id": server.role(&acme, "admin").await });
    let link = server.post(&acme.path("inviteMember"), &acme.owner, body).await.str("invitation_link");
    let path = format!("{}/with/corp", &link[link.find("/invitation/").unwrap()..]);
    // A provider that does not say when it asked.
    says(&issuer, ada, 0, Some(Value::Null)).await;
    let mut person = Person::at(&server);
    person.by(&issuer, &path).await.leads_to(&format!("/console/{}", acme.id));
    let unlink = page_that_unlinks(&mut person).await;
    person.get(&unlink).await.says(200, "You have no password here");
    let refused = person.post(&unlink, &[]).await.says(401, "You have no password here");
    assert!(!refused.html.contains("type your password"), "{}", refused.html);

    // One that does: of a command line the answer says what would do.
    says(&issuer, ada, 0, None).await;
    let mut person = by_provider(&server, &issuer).await;
    let given = code_of(&mut person).await;
    let session = session_of(&server, &given).await;
    server.put(&acme.path("signInRules"), &session, json!({ "rules": [] })).await.expect(200);
    server.advance(5 * MINUTE).await;
    let refused = server.put(&acme.path("signInRules"), &session, json!({ "rules": [] })).await;
    assert_eq!(refused.outcome(), (401, "proof_required".to_owned()));
    let asked =
        "Bearer realm=\"tokenward\", error=\"insufficient_user_authentication\", acr_values=\"oidc:corp\", max_age=300";
    assert_eq!(refused.header("www-authenticate"), Some(asked));
}

#[tokio::test]
async fn a_code_at_the_sign_in_is_as_fresh_as_the_same_code_at_the_session() {
    let (server, acme, issuer) = served(&[]).await;
    let ada = ("ada", "ada@acme.example");
    let body = json!({ "email": ada.1, "role_id": server.role(&acme, "admin").await });
    let link = server.post(&acme.path("inviteMember"), &acme.owner, body).await.str("invitation_link");
    let path = format!("{}/with/corp", &link[link.find("/invitation/").unwrap()..]);
    says(&issuer, ada, 0, None).await;
    let mut person = Person::at(&server);
    person.by(&issuer, &path).await.leads_to(&format!("/console/{}", acme.id));
    let given = code_of(&mut person).await;
    let session = session_of(&server, &given).await;
    let (authenticator, _, session) = set_up(&server, &session).await;
    let hour_ago = Some(json!(server.clock.now().seconds() - 3_600));
    for (auth_time, has_password) in [(Some(Value::Null), false), (hour_ago.clone(), false), (hour_ago, true)] {
        if has_password {
            server.put("/account/password", &session, json!({ "password": PASSWORD })).await.expect(204);
        }
        server.advance(STEP * SECOND).await;
        let what = format!("{auth_time:?} {has_password}");
        says(&issuer, ada, 0, auth_time).await;
        let mut person = Person::at(&server);
        person.by(&issuer, WITH).await.leads_to("/sign-in/code");
        person.get("/sign-in/code").await;
        person.post("/sign-in/code", &[("otp", &authenticator.code(&server, 0))]).await.leads_to("/");
        // Where the account has a password, a code alone is no proof anew: not at a session, and not here.
        let unlink = page_that_unlinks(&mut person).await;
        let page = person.get(&unlink).await.says(200, "Unlink this identity?");
        assert_eq!(page.html.contains("name=\"otp\""), has_password, "{what}: {}", page.html);
    }
}
