//! The second factor: what asks for it, that each code counts once on all nodes, and how it comes and goes.

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::right::Operator;
use tokenward_core::time::{MINUTE, SECOND};
use tokenward_server::service::set_up;

use crate::console::Person;
use crate::nodes::{database, node, node_config, two_that_seldom_look};
use crate::other_log::{keep_copy, put_copy_back};
pub use crate::support::authenticator::Authenticator;
use crate::support::authenticator::STEP;
use crate::support::{Answer, OWNER, Organization, PASSWORD, Server, config};

const AUTHENTICATOR: &str = "/account/secondFactor/authenticator";

/// A second factor that was set up in a session: what shows codes, the recovery codes, and the session from then on.
pub async fn set_up(server: &Server, session: &str) -> (Authenticator, Vec<String>, String) {
    let begun = server.post(AUTHENTICATOR, session, json!({})).await.expect(200);
    let authenticator = Authenticator::of(begun["seed"].as_str().unwrap());
    let body = json!({ "set_up": begun["set_up"], "otp": authenticator.code(server, 0) });
    let on = server.put(AUTHENTICATOR, session, body).await.expect(200);
    let codes = on["recovery_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned());
    (authenticator, codes.collect(), on["token"].as_str().unwrap().to_owned())
}

pub async fn sign_in(server: &Server, more: Value) -> Answer {
    let mut body = json!({ "email": OWNER, "password": PASSWORD });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.post("/session", "", body).await
}

fn missing() -> (u16, String) {
    (401, "second_factor_required".to_owned())
}

fn refused() -> (u16, String) {
    (401, "sign_in_failed".to_owned())
}

fn next(server: &Server) {
    server.clock.advance(STEP * SECOND);
}

#[tokio::test]
async fn signing_in_asks_for_a_code_and_each_counts_once() {
    let (server, acme) = Server::frozen().await;
    let begun = server.post(AUTHENTICATOR, &acme.owner, json!({})).await.expect(200);
    let authenticator = Authenticator::of(begun["seed"].as_str().unwrap());
    assert!(begun["otpauth"].as_str().unwrap().starts_with("otpauth://totp/Tokenward"), "{begun}");
    let wrong = json!({ "set_up": begun["set_up"], "otp": authenticator.code(&server, 5) });
    let answer = server.put(AUTHENTICATOR, &acme.owner, wrong).await.expect(400);
    assert_eq!(answer["faults"][0]["field"], "otp");
    assert_eq!(sign_in(&server, json!({})).await.status, 201, "it is on only after one right code");

    let code = authenticator.code(&server, 0);
    let right = json!({ "set_up": begun["set_up"], "otp": code });
    let on = server.put(AUTHENTICATOR, &acme.owner, right.clone()).await.expect(200);
    assert_eq!(on["recovery_codes"].as_array().unwrap().len(), 10);
    let owner = on["token"].as_str().unwrap().to_owned();
    assert_eq!(server.put(AUTHENTICATOR, &owner, right).await.status, 409);
    let state = server.get("/account/secondFactor", &owner).await.expect(200);
    assert_eq!(state["recovery_codes_left"], 10);

    let answer = sign_in(&server, json!({})).await;
    assert_eq!(answer.outcome(), missing());
    assert_eq!(answer.json()["faults"][0]["field"], "otp", "{}", answer.text);
    let stranger = json!({ "email": OWNER, "password": "four quiet lamps" });
    assert_eq!(server.post("/session", "", stranger).await.outcome(), refused(), "only after the right password");

    assert_eq!(sign_in(&server, json!({ "otp": code })).await.outcome(), refused(), "it set the authenticator up");
    next(&server);
    let code = authenticator.code(&server, 0);
    let typed = format!("{} {}", &code[..3], &code[3..]);
    let session = sign_in(&server, json!({ "otp": typed })).await.expect(201)["token"].as_str().unwrap().to_owned();
    let own = server.get("/account/session", &session).await.expect(200);
    let own = own["results"].as_array().unwrap().iter().find(|it| it["current"] == true).unwrap().clone();
    assert_eq!(own["methods"], json!(["password", "otp"]));
    assert_eq!(sign_in(&server, json!({ "otp": code })).await.outcome(), refused(), "a replay");
    assert_eq!(sign_in(&server, json!({ "otp": authenticator.code(&server, -1) })).await.outcome(), refused());
    assert_eq!(sign_in(&server, json!({ "otp": authenticator.code(&server, 2) })).await.outcome(), refused());
    assert_eq!(sign_in(&server, json!({ "otp": authenticator.code(&server, 1) })).await.status, 201, "a fast clock");
    for odd in ["123-456", "12345a", "1234567", ""] {
        let answer = sign_in(&server, json!({ "otp": odd })).await.expect(400);
        assert_eq!(answer["faults"][0]["field"], "otp", "{odd}");
    }
    let both = json!({ "otp": code, "recovery_code": "abcd-efgh-ijkl-mnop" });
    assert_eq!(sign_in(&server, both).await.status, 400);
}

#[tokio::test]
async fn after_five_wrong_codes_everybody_waits() {
    let (server, acme) = Server::frozen().await;
    let (authenticator, codes, _) = set_up(&server, &acme.owner).await;
    next(&server);
    for _ in 0..4 {
        assert_eq!(sign_in(&server, json!({ "otp": authenticator.code(&server, 9) })).await.outcome(), refused());
    }
    let answer = sign_in(&server, json!({ "otp": authenticator.code(&server, 0) })).await;
    assert_eq!(answer.status, 201, "success forgives: {}", answer.text);
    next(&server);
    for _ in 0..5 {
        assert_eq!(sign_in(&server, json!({ "otp": authenticator.code(&server, 9) })).await.outcome(), refused());
    }
    for body in [json!({ "otp": authenticator.code(&server, 0) }), json!({ "recovery_code": codes[0] })] {
        let answer = sign_in(&server, body).await;
        assert_eq!(answer.outcome(), (429, "throttled".to_owned()));
        assert!(answer.text.contains("code_attempts"), "{}", answer.text);
        assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() > 890);
    }
    server.clock.advance(15 * MINUTE);
    assert_eq!(sign_in(&server, json!({ "otp": authenticator.code(&server, 0) })).await.status, 201);
}

#[tokio::test]
async fn a_recovery_code_works_once_and_a_new_set_replaces_the_old() {
    let (server, acme) = Server::frozen().await;
    let (_, codes, owner) = set_up(&server, &acme.owner).await;
    let typed = codes[0].to_uppercase().replace('-', " ");
    assert_eq!(sign_in(&server, json!({ "recovery_code": typed })).await.status, 201);
    assert_eq!(sign_in(&server, json!({ "recovery_code": codes[0] })).await.outcome(), refused());
    let left = server.get("/account/secondFactor", &owner).await.expect(200);
    assert_eq!(left["recovery_codes_left"], 9);
    let new = server.post("/account/secondFactor/recoveryCodes", &owner, json!({})).await.expect(201);
    assert_eq!(sign_in(&server, json!({ "recovery_code": codes[1] })).await.outcome(), refused());
    assert_eq!(sign_in(&server, json!({ "recovery_code": new["recovery_codes"][3] })).await.status, 201);
    let events = server.get("/account/events", &owner).await.expect(200).to_string();
    assert!(events.contains("recovery_code.used") && events.contains("code.refused"), "{events}");
    assert!(!codes.iter().any(|code| events.contains(code.as_str())));
}

#[tokio::test]
async fn a_fresh_proof_takes_a_code_too_and_removing_ends_the_other_sessions() {
    let (server, acme) = Server::frozen().await;
    // Somebody else holds a session that began a moment ago, by the password: it ends.
    let stolen = server.sign_in(OWNER, PASSWORD).await;
    let (authenticator, _, owner) = set_up(&server, &acme.owner).await;
    let required = (401, "proof_required".to_owned());
    assert_eq!(server.get("/account", &stolen).await.outcome(), (401, "unknown".to_owned()));
    let admin = json!({ "name": "x", "role_id": null });
    let proof = server.post("/session/proof", &owner, json!({ "password": PASSWORD })).await;
    assert_eq!(proof.outcome(), missing());
    server.post(&acme.path("apiToken"), &owner, admin.clone()).await.expect(201);

    server.clock.advance(5 * MINUTE);
    assert_eq!(server.delete(AUTHENTICATOR, &owner).await.outcome(), required);
    let body = json!({ "otp": authenticator.code(&server, 0) });
    assert_eq!(server.post("/session/proof", &owner, body).await.status, 400, "the password is missing");
    let body = json!({ "password": PASSWORD, "otp": authenticator.code(&server, 0) });
    let owner = server.post("/session/proof", &owner, body).await.expect(200)["token"].as_str().unwrap().to_owned();
    assert_eq!(server.delete(AUTHENTICATOR, &owner).await.status, 204);
    assert_eq!(server.get("/account", &owner).await.status, 200);
    assert_eq!(sign_in(&server, json!({})).await.status, 201);
    assert_eq!(sign_in(&server, json!({ "otp": "123456" })).await.status, 400, "a code is of no use");
}

#[tokio::test]
async fn the_console_has_no_session_before_the_code_and_what_it_carries_works_once() {
    let (server, acme) = Server::frozen().await;
    let (authenticator, codes, _) = set_up(&server, &acme.owner).await;
    next(&server);
    let mut person = Person::at(&server);
    let path = format!("/console/{}/tokens", acme.id);
    person.get(&path).await;
    let form = [("email", OWNER), ("password", PASSWORD), ("next", path.as_str())];
    person.get("/sign-in").await;
    person.post("/sign-in", &form).await.leads_to("/sign-in/code");
    assert!(!person.cookies.contains_key("__Host-tokenward"), "no session");
    let carried = person.cookies["__Host-tokenward-code"].clone();
    let page = person.get("/sign-in/code").await.says(200, "one-time-code");
    assert!(page.html.contains("Use a recovery code"), "{}", page.html);
    person.post("/sign-in/code", &[("otp", &authenticator.code(&server, 9))]).await.says(401, "The code is wrong");
    person.post("/sign-in/code", &[("otp", "12 34")]).await.says(400, "six digits");
    person.post("/sign-in/code", &[("otp", &authenticator.code(&server, 0))]).await.leads_to(&path);
    person.get(&path).await.says(200, "");

    // The same in another browser, with a code that is good.
    let mut thief = Person::at(&server);
    thief.cookies.insert("__Host-tokenward-code".into(), carried);
    thief.get("/sign-in/code").await;
    thief.post("/sign-in/code", &[("otp", &codes[0])]).await.says(409, "works once");
    let mut late = Person::at(&server);
    late.get("/sign-in").await;
    late.post("/sign-in", &form).await.leads_to("/sign-in/code");
    late.get("/sign-in/code?recovery=1").await.says(200, "Recovery code");
    server.clock.advance(5 * MINUTE);
    late.post("/sign-in/code", &[("otp", &codes[0])]).await.says(409, "five minutes");
    late.get("/sign-in/code").await.leads_to("/sign-in");
}

#[tokio::test]
async fn a_password_is_changed_beside_a_code_where_none_was_typed_a_moment_ago() {
    let (server, acme) = Server::frozen().await;
    let (authenticator, codes, _) = set_up(&server, &acme.owner).await;
    next(&server);
    let mut person = Person::at(&server);
    person.get("/sign-in").await;
    person.post("/sign-in", &[("email", OWNER), ("password", PASSWORD)]).await.leads_to("/sign-in/code");
    person.get("/sign-in/code").await;
    person.post("/sign-in/code", &[("otp", &authenticator.code(&server, 0))]).await.leads_to("/");
    server.clock.advance(30 * MINUTE);
    person.get("/console/account").await.says(200, "one-time-code");
    let page = "/console/account/password";
    let changed = [("current_password", PASSWORD), ("new_password", "four quiet lamps")];
    person.post(page, &changed).await.says(401, "Type the code of your authenticator, too");
    let wrong = [("current_password", "no quiet lamp"), ("new_password", "four quiet lamps"), ("otp", &codes[0])];
    person.post(page, &wrong).await.says(400, "is not your password");
    let right = [("current_password", PASSWORD), ("new_password", "four quiet lamps"), ("otp", &codes[0])];
    assert_eq!(person.post(page, &right).await.status, 303);
    let body = json!({ "email": OWNER, "password": "four quiet lamps", "recovery_code": codes[1] });
    assert_eq!(server.post("/session", "", body).await.status, 201);
}

#[tokio::test]
async fn the_operators_link_asks_for_the_code_unless_it_takes_the_factor_away() {
    let (server, acme) = Server::frozen().await;
    let (_, codes, _) = set_up(&server, &acme.owner).await;
    let (store, operator) = (&server.running.app.store, Operator::at_this_machine());
    let form = [("password", PASSWORD)];
    for (reset, leads_to) in [(false, "/sign-in/code"), (true, "/")] {
        let link = match reset {
            true => set_up::resetting_link(store, &operator, OWNER).await,
            false => set_up::sign_in_link(store, &operator, OWNER).await,
        };
        let link = link.unwrap().unwrap();
        assert!(link.second_factor);
        let path = format!("/sign-in/{}", *link.secret);
        let mut person = Person::at(&server);
        person.get(&path).await;
        person.post(&path, &form).await.leads_to(leads_to);
    }
    assert_eq!(sign_in(&server, json!({})).await.status, 201, "none is asked any more");
    assert_eq!(sign_in(&server, json!({ "recovery_code": codes[0] })).await.status, 400);
}

/// Seconds, by the clock that a database has too.
#[expect(clippy::disallowed_methods, reason = "the database goes by the clock of the system")]
fn seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// Three nodes of one database, and at the first of them an owner with a second factor.
async fn three_nodes() -> ([Server; 3], (Authenticator, Vec<String>, String)) {
    let url = database().await;
    let (a, acme): (Server, Organization) = {
        let directory = tempfile::tempdir().unwrap();
        let config = node_config(directory.path(), "a", &url);
        Server::with_owner_and(directory, config).await
    };
    let all = [a, node("b", &url).await, node("c", &url).await];
    let factor = set_up(&all[0], &acme.owner).await;
    (all, factor)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_one_code_at_three_nodes_at_once_one_begins_a_session_on_postgres() {
    let (all, (authenticator, codes, owner)) = three_nodes().await;
    let sessions = async || all[0].get("/account/session", &owner).await.each("results", "id").len();
    let code = authenticator.at(seconds() + STEP);
    for body in [json!({ "otp": code }), json!({ "recovery_code": codes[0] })] {
        let before = sessions().await;
        let answers = join_all(all.iter().map(|node| sign_in(node, body.clone()))).await;
        let mut said: Vec<u16> = answers.iter().map(|it| it.status.as_u16()).collect();
        said.sort_unstable();
        assert_eq!((said, sessions().await), (vec![201, 401, 401], before + 1), "{body}");
    }
    // Nor later, on any of them.
    for node in &all {
        assert_eq!(sign_in(node, json!({ "recovery_code": codes[0] })).await.outcome(), refused());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_one_code_at_three_nodes_at_once_one_proves_who_sits_there_on_postgres() {
    let (all, (authenticator, codes, _)) = three_nodes().await;
    let mut sessions = Vec::new();
    for (node, code) in all.iter().zip(&codes) {
        sessions.push(sign_in(node, json!({ "recovery_code": code })).await.str("token"));
    }
    let otp = authenticator.at(seconds() + STEP);
    for body in
        [json!({ "password": PASSWORD, "otp": otp }), json!({ "password": PASSWORD, "recovery_code": codes[3] })]
    {
        let proofs = all.iter().zip(&sessions);
        let proofs = proofs.map(|(node, session)| node.post("/session/proof", session, body.clone()));
        let answers = join_all(proofs).await;
        let mut said: Vec<u16> = answers.iter().map(|it| it.status.as_u16()).collect();
        said.sort_unstable();
        assert_eq!(said, [200, 400, 400], "{body}");
        // The session that was proved has another text.
        for (session, answer) in sessions.iter_mut().zip(&answers).filter(|(_, answer)| answer.status == 200) {
            *session = answer.str("token");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_at_three_nodes_at_once_are_as_few_as_at_one_on_postgres() {
    let (all, (authenticator, codes, _)) = three_nodes().await;
    let wrong = &json!({ "otp": authenticator.at(seconds() + 100 * STEP) });
    // Fewer at each node than one node alone lets try.
    let guesses = all.iter().flat_map(|node| (0..4).map(move |_| sign_in(node, wrong.clone())));
    let answers = join_all(guesses).await;
    let said: Vec<_> = answers.iter().map(Answer::outcome).collect();
    assert_eq!(said.iter().filter(|it| **it == refused()).count(), 5, "{said:?}");
    for waits in answers.iter().filter(|it| it.outcome() != refused()) {
        assert!(waits.status == 429 && waits.text.contains("code_attempts"), "{}", waits.text);
    }
    // What is right is compared no more either, wherever it is given.
    for right in [json!({ "otp": authenticator.at(seconds() + STEP) }), json!({ "recovery_code": codes[0] })] {
        for node in &all {
            let answer = sign_in(node, right.clone()).await;
            assert!(answer.status == 429 && answer.text.contains("code_attempts"), "{}", answer.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_behind_goes_by_the_factors_that_there_are_on_postgres() {
    let url = database().await;
    let (a, acme, b) = two_that_seldom_look(&url, &url, |config| config.hints = false).await;
    a.member(&acme, "bob@acme.example", "admin").await;
    let bob = a.sign_in("bob@acme.example", PASSWORD).await;
    let stolen = a.sign_in(OWNER, PASSWORD).await;
    let reads = async |session: &str| {
        let verifier = &a.running.app.verifier;
        let known = format!("{}/{}", verifier.incarnation(), verifier.position());
        let known = [("tokenward-at-least", known.as_str())];
        b.call_with(Method::GET, &acme.path("member"), session, None, &known).await.status.as_u16()
    };
    assert_eq!((reads(&bob).await, reads(&stolen).await), (200, 200));
    let is_behind = || b.running.app.verifier.position() < a.running.app.verifier.position();
    let new = |name: &str| json!({ "name": name, "role_id": null });

    // One is added on the other node. This one has not heard of it, and asks for it; what a password alone had opened makes nothing.
    let (_, codes, owner) = set_up(&a, &acme.owner).await;
    assert!(is_behind());
    assert_eq!(sign_in(&b, json!({})).await.outcome(), missing());
    let made = b.post(&acme.path("apiToken"), &stolen, new("stolen")).await;
    assert!(made.status.is_client_error(), "{}", made.text);
    let strong = sign_in(&b, json!({ "recovery_code": codes[0] })).await.str("token");

    // Two factors are asked: who has added one on the other node is refused for nothing here.
    let policy = acme.path("signInPolicy");
    let asked = json!({ "sign_in": "any", "two_factors": true, "grace_days": 0 });
    a.put(&policy, &owner, asked).await.expect(200);
    assert_eq!((reads(&strong).await, reads(&owner).await, reads(&bob).await), (200, 200, 401));
    let (_, _, bob) = set_up(&a, &bob).await;
    assert!(is_behind());
    assert_eq!(reads(&bob).await, 200);
    a.put(&policy, &owner, json!({ "sign_in": "any" })).await.expect(200);
    assert_eq!(reads(&strong).await, 200);

    // It is removed on the other node: here the session is still known as one that has shown two, and does nothing by that.
    assert_eq!(a.delete(AUTHENTICATOR, &owner).await.status, 204);
    assert!(is_behind());
    for (path, body) in [(acme.path("apiToken"), new("strong")), (AUTHENTICATOR.to_owned(), json!({}))] {
        let begun = b.post(&path, &strong, body).await;
        // To begin to set one up changes nothing; to turn it on does.
        let seed = begun.json()["seed"].as_str().map(Authenticator::of);
        let done = match seed {
            Some(seed) => {
                let body = json!({ "set_up": begun.str("set_up"), "otp": seed.at(seconds()) });
                b.put(AUTHENTICATOR, &strong, body).await
            }
            None => begun,
        };
        assert!(done.status.is_client_error(), "{path}: {}", done.text);
    }
    let proven = b.post("/session/proof", &strong, json!({ "password": PASSWORD })).await;
    assert!(proven.status.is_client_error(), "{}", proven.text);
    assert_eq!(sign_in(&b, json!({ "recovery_code": codes[1] })).await.status, 400, "a code is of no use any more");
    assert_eq!(sign_in(&b, json!({})).await.status, 201, "and none is asked");
    assert_eq!(reads(&strong).await, 401);
    let names = a.get(&acme.path("apiToken"), &owner).await.each("results", "name");
    assert!(names.is_empty(), "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_brings_back_no_spent_code_and_no_removed_seed() {
    let (server, acme) = Server::with_owner().await;
    let (authenticator, codes, owner) = set_up(&server, &acme.owner).await;
    let (copy, server) = keep_copy(server, config).await;
    assert_eq!(sign_in(&server, json!({ "recovery_code": codes[0] })).await.status, 201);
    let server = put_copy_back(server, &copy, config).await;
    assert_eq!(sign_in(&server, json!({ "recovery_code": codes[0] })).await.outcome(), refused(), "it was spent");
    assert_eq!(sign_in(&server, json!({ "recovery_code": codes[1] })).await.status, 201, "this one was not");

    let (copy, server) = keep_copy(server, config).await;
    // It was proved when it was set up.
    assert_eq!(server.delete(AUTHENTICATOR, &owner).await.status, 204);
    let server = put_copy_back(server, &copy, config).await;
    let code = json!({ "otp": authenticator.at(seconds()) });
    assert_eq!(sign_in(&server, code).await.status, 400, "the seed was removed");
    assert_eq!(sign_in(&server, json!({})).await.status, 201);
}
