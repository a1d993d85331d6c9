//! Whether tokens are still needed: asked, confirmed, marked, and switched off in the end.

use serde_json::{Value, json};
use tokenward_core::time::DAY;
use tokenward_server::config::Config;
use tokenward_server::service::token_attestation;

use crate::mailbox::Mailbox;
use crate::support::expected::invalid;
use crate::support::{Organization, Server};

async fn sweep(server: &Server) -> usize {
    token_attestation::sweep(&server.running.app).await.unwrap()
}

/// The names of the tokens of which this is known.
async fn those(server: &Server, acme: &Organization, attestation: &str, asker: &str) -> Vec<String> {
    let path = acme.path(&format!("apiToken?attestation={attestation}"));
    let mut names = server.get(&path, asker).await.each("results", "name");
    names.sort();
    names
}

#[tokio::test]
async fn what_nobody_confirms_is_marked_and_then_switched_off() {
    let (server, acme) = Server::frozen().await;
    // It is not asked about itself: it is made when the others are, so it confirms itself below.
    let asker = server.token(&acme, "asker", "admin").await;
    let viewer = server.role(&acme, "viewer").await;
    let made = async |name: &str| server.new_token(&acme, json!({ "name": name, "role_id": viewer })).await;
    let (kept, _) = made("kept").await;
    let (forgotten, text) = made("forgotten").await;
    let (off, _) = made("off").await;
    server.post(&acme.path(&format!("apiToken/{off}/disable")), &asker, Value::Null).await.expect(200);
    assert_eq!(sweep(&server).await, 0);
    server.clock.advance(90 * DAY);
    assert_eq!(sweep(&server).await, 0, "nobody asks");
    server.put(&acme.path("tokenPolicy"), &asker, json!({ "attest_every": "90d" })).await.expect(200);
    let young = json!({ "name": "young", "role_id": viewer });
    server.post(&acme.path("apiToken"), &asker, young).await.expect(201);
    assert_eq!(sweep(&server).await, 3);
    assert_eq!(sweep(&server).await, 0, "once");
    assert_eq!(
        those(&server, &acme, "due", &asker).await,
        ["asker", "forgotten", "kept"],
        "not the young and not what is off"
    );

    let attest = |id: &str| acme.path(&format!("apiToken/{id}/attest"));
    let confirmed = server.post(&attest(&kept), &asker, Value::Null).await.expect(200);
    assert_eq!(confirmed["attestation"], "confirmed");
    assert!(confirmed["attested_at"].is_string());
    let own = server.get("/token/self", &asker).await.str("id");
    server.post(&attest(&own), &asker, Value::Null).await.expect(200);

    server.clock.advance(14 * DAY - 1);
    assert_eq!(sweep(&server).await, 0);
    server.clock.advance(1);
    assert_eq!(sweep(&server).await, 1);
    assert_eq!(those(&server, &acme, "overdue", &asker).await, ["forgotten"]);
    assert_eq!(
        server.post("/verify", &asker, json!({ "token": text })).await.str("code"),
        "valid",
        "it is only marked"
    );
    // The second term begins with the mark.
    server.clock.advance(14 * DAY);
    assert_eq!(sweep(&server).await, 1);
    assert_eq!(server.post("/verify", &asker, json!({ "token": text })).await.str("code"), "disabled");
    let path = acme.path(&format!("apiToken/{forgotten}"));
    let shown = server.get(&path, &asker).await.expect(200);
    assert_eq!((&shown["state"], &shown["disabled_because"]), (&json!("disabled"), &json!("not_attested")));
    assert_eq!(server.post(&attest(&forgotten), &asker, Value::Null).await.outcome(), (409, "conflict".into()));
    // Whoever switches it on has confirmed it, and is not asked the next day.
    let on = server.post(&format!("{path}/enable"), &asker, Value::Null).await.expect(200);
    assert_eq!((&on["attestation"], on.get("disabled_because")), (&json!("confirmed"), None));
    server.clock.advance(DAY);
    assert_eq!(sweep(&server).await, 0);
    let kinds = server.get(&acme.path(&format!("events?targetId={forgotten}")), &asker).await.each("events", "kind");
    let steps = ["token.enabled", "token.disabled", "token.attestation_due", "token.attestation_due", "token.created"];
    assert_eq!(kinds, steps);
    let kinds = server.get(&acme.path(&format!("events?targetId={kept}")), &asker).await.each("events", "kind");
    assert_eq!(kinds, ["token.attested", "token.attestation_due", "token.created"]);

    // Asked again after the same time, and forgotten when nobody asks any more.
    server.clock.advance(90 * DAY);
    assert!(sweep(&server).await >= 3);
    assert!(those(&server, &acme, "due", &asker).await.contains(&"kept".to_owned()));
    server.put(&acme.path("tokenPolicy"), &asker, json!({ "attest_every": null })).await.expect(200);
    assert!(those(&server, &acme, "due", &asker).await.is_empty());
    assert_eq!(sweep(&server).await, 0);
}

#[tokio::test]
async fn the_owner_may_confirm_with_any_role_that_sees_tokens_and_others_must_manage_them() {
    let (server, acme) = Server::frozen().await;
    let (ada, ada_session) = server.member(&acme, "ada@acme.example", "viewer").await;
    let (_, bob_session) = server.member(&acme, "bob@acme.example", "viewer").await;
    let (_, clerk_session) = server.member(&acme, "clerk@acme.example", "billing").await;
    let viewer = server.role(&acme, "viewer").await;
    let (id, own) = server.new_token(&acme, json!({ "name": "hers", "role_id": viewer, "owner_id": ada })).await;
    let path = acme.path(&format!("apiToken/{id}/attest"));
    server.post(&path, &ada_session, Value::Null).await.expect(200);
    assert_eq!(server.post(&path, &bob_session, Value::Null).await.json()["missing_permission"], "token:manage");
    assert_eq!(
        server.post(&path, &own, Value::Null).await.json()["missing_permission"],
        "token:manage",
        "no token says it of itself"
    );
    assert_eq!(server.post(&path, &clerk_session, Value::Null).await.json()["missing_permission"], "token:read");
    server.post(&path, &acme.owner, Value::Null).await.expect(200);
}

#[tokio::test]
async fn how_often_it_is_asked_is_a_length_of_a_day_or_more() {
    let (server, acme) = Server::frozen().await;
    let problem = "is no length of time of a day or more; write one such as 90d, or null where nobody is to be asked";
    for bad in ["0", "23h", "often", "-90d", "90"] {
        let refused = server.put(&acme.path("tokenPolicy"), &acme.owner, json!({ "attest_every": bad })).await;
        assert_eq!(refused.pair(), invalid(&[("attest_every", problem)]), "{bad}");
    }
    let word = "is not one of confirmed, due, overdue";
    let refused = server.get(&acme.path("apiToken?attestation=maybe"), &acme.owner).await;
    assert_eq!(refused.pair(), invalid(&[("attestation", word)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_young_is_not_asked_about_on_postgres() {
    let url = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = Config { database: url, ..crate::support::config(directory.path()) };
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let (ada, session) = server.member(&acme, "ada@acme.example", "viewer").await;
    let viewer = server.role(&acme, "viewer").await;
    let (id, _) = server.new_token(&acme, json!({ "name": "nightly", "role_id": viewer, "owner_id": ada })).await;
    server.put(&acme.path("tokenPolicy"), &acme.owner, json!({ "attest_every": "90d" })).await.expect(200);
    // The time of a transaction is that of the database there: what is young is not asked about.
    assert_eq!(sweep(&server).await, 0);
    let shown = server.post(&acme.path(&format!("apiToken/{id}/attest")), &session, Value::Null).await.expect(200);
    assert_eq!(shown["attestation"], "confirmed");
    server.put(&acme.path("tokenPolicy"), &acme.owner, json!({ "attest_every": null })).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_are_mailed_what_they_are_asked() {
    let (mailbox, address) = Mailbox::open().await;
    let directory = tempfile::tempdir().unwrap();
    let config = Config { smtp_url: Some(format!("smtp://{address}")), ..crate::support::config(directory.path()) };
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let (ada, _) = server.member(&acme, "ada@acme.example", "viewer").await;
    let viewer = server.role(&acme, "viewer").await;
    server.new_token(&acme, json!({ "name": "nightly", "role_id": viewer, "owner_id": ada })).await;
    server.put(&acme.path("tokenPolicy"), &acme.owner, json!({ "attest_every": "1d" })).await.expect(200);
    server.clock.advance(DAY);
    assert_eq!(sweep(&server).await, 1);
    let mail = mailbox.mail_with("To: ada@acme.example\nSubject: API tokens of Acme: are they still needed?").await;
    assert!(mail.contains("nightly\n") && mail.contains("tokens?filter"), "{mail}");
    server.clock.advance(DAY);
    assert_eq!(sweep(&server).await, 1, "the time for an answer is no longer than the time between two questions");
    let mail = mailbox.mail_with("To: owner@acme.example\nSubject: API tokens of Acme: are they still needed?").await;
    assert!(mail.contains("nightly\n") && mail.contains("switched off"), "{mail}");
}
