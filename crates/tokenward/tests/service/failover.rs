//! A server takes over that lagged, while the old one still answers, and a proxy leads here and there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokenward_core::caller::Grant;
use tokenward_core::event::{Event, Kind};
use tokenward_core::permission::Management;
use tokenward_core::right::{Operator, Right as _};
use tokenward_core::token::{Revocation, RevokeReason};
use tokenward_core::{Code, Error};
use tokenward_store::tokens;
use tokenward_verify::server::{entries, of_change};

use crate::nodes::{BOUND, PATIENCE, asking, node, node_config, says};
use crate::postgres::Postgres;
use crate::process::store;
use crate::proxy::{Flow, Proxy};
use crate::support::{Organization, Server};

/// How long a revoke waits for all nodes: as long as it takes on a busy machine.
const LONG: &str = "wait=20";

/// A server of its own with a database, two nodes before which stands a proxy each, and what to ask with.
struct Cluster {
    primary: Arc<Postgres>,
    a: Server,
    b: Server,
    acme: Organization,
    proxies: [Proxy; 2],
    asking: String,
}

impl Cluster {
    async fn start() -> Self {
        let (primary, url) = tokio::task::spawn_blocking(|| {
            let primary = Postgres::start();
            let url = primary.fresh_database();
            (Arc::new(primary), url)
        })
        .await
        .unwrap();
        let (to_a, through_a) = Proxy::before_postgres(&url).await;
        let (to_b, through_b) = Proxy::before_postgres(&url).await;
        let directory = tempfile::tempdir().unwrap();
        let config = node_config(directory.path(), "a", &through_a);
        let (a, acme) = Server::with_owner_and(directory, config).await;
        let b = node("b", &through_b).await;
        let asking = asking(&a, &acme, &b).await;
        Self { primary, a, b, acme, proxies: [to_a, to_b], asking }
    }

    /// A standby that has what is committed now, and nothing of what comes later.
    async fn lagging_standby(&self) -> Postgres {
        let primary = Arc::clone(&self.primary);
        tokio::task::spawn_blocking(move || primary.lagging_standby()).await.unwrap()
    }

    /// It takes over, and the proxies lead there; connections that are open are cut.
    async fn take_over(&self, standby: Postgres) -> Postgres {
        let standby = tokio::task::spawn_blocking(move || {
            standby.promote();
            standby
        })
        .await
        .unwrap();
        for proxy in &self.proxies {
            lead(proxy, standby.address()).await;
        }
        standby
    }

    async fn made(&self, name: &str) -> (String, String) {
        let viewer = self.a.role(&self.acme, "viewer").await;
        self.a.new_token(&self.acme, json!({ "name": name, "role_id": viewer })).await
    }

    async fn revoke(&self, by: &Server, id: &str, wait: &str) -> crate::support::Answer {
        let begun = Instant::now();
        loop {
            let waits = [("prefer", wait)];
            let path = self.acme.path(&format!("apiToken/{id}"));
            let answer = by.call_with(Method::DELETE, &path, &self.acme.owner, None, &waits).await;
            if answer.status == 204 {
                return answer;
            }
            assert!(answer.status == 503 && begun.elapsed() < PATIENCE, "{answer:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until both nodes say this of a token.
    async fn both_say(&self, token: &str, wanted: &str) {
        let begun = Instant::now();
        for server in [&self.a, &self.b] {
            loop {
                let (_, said) = says(server, &self.asking, token).await;
                if said == wanted {
                    break;
                }
                assert!(begun.elapsed() < PATIENCE, "still `{said}`, and not `{wanted}`");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn lead(proxy: &Proxy, to: std::net::SocketAddr) {
    proxy.lead_to(to);
    proxy.set(Flow::Refuse);
    tokio::time::sleep(Duration::from_millis(50)).await;
    proxy.set(Flow::Pass);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_revoked_stays_so_when_a_standby_takes_over_that_did_not_hear_of_it() {
    let cluster = Cluster::start().await;
    let (revoked, revoked_text) = cluster.made("revoked").await;
    let (_, living_text) = cluster.made("living").await;
    cluster.both_say(&living_text, "valid").await;
    let standby = cluster.lagging_standby().await;
    let lost = cluster.revoke(&cluster.a, &revoked, LONG).await;
    assert_eq!(lost.header("tokenward-effective"), Some("everywhere; nodes=2"));
    let lost = lost.header("tokenward-position").unwrap().to_owned();
    let (_, gone_text) = cluster.made("gone").await;
    cluster.both_say(&gone_text, "valid").await;

    let _new = cluster.take_over(standby).await;
    // Until it is settled what the new log holds, and ever after, on both.
    let begun = Instant::now();
    while begun.elapsed() < BOUND * 2 {
        for server in [&cluster.a, &cluster.b] {
            assert_ne!(says(server, &cluster.asking, &revoked_text).await.1, "valid", "{:?}", begun.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    cluster.both_say(&revoked_text, "revoked").await;
    cluster.both_say(&living_text, "valid").await;
    cluster.both_say(&gone_text, "unknown").await;
    let at_least = json!({ "token": cluster.asking, "at_least": lost });
    let asked = cluster.b.post("/verify", &cluster.asking, at_least).await;
    assert_eq!(asked.outcome(), (409, "other_log".to_owned()), "a position never means two things");
    let status = cluster.a.get(&cluster.acme.path("log"), &cluster.acme.owner).await.expect(200);
    assert_eq!(status["warning"], json!(true));
    // What is written there goes on as before.
    let (next, next_text) = cluster.made("next").await;
    cluster.both_say(&next_text, "valid").await;
    cluster.revoke(&cluster.b, &next, LONG).await;
    cluster.both_say(&next_text, "revoked").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_from_a_role_stays_so_when_a_standby_takes_over_that_did_not_hear_of_it() {
    let cluster = Cluster::start().await;
    let Cluster { a, acme, .. } = &cluster;
    let body = json!({ "name": "ops", "permissions": ["invoices:read", "invoices:write"] });
    let role = a.post(&acme.path("customRole"), &acme.owner, body).await.expect(201)["id"].clone();
    let (_, text) = a.new_token(acme, json!({ "name": "holder", "role_id": role })).await;
    cluster.both_say(&text, "valid").await;
    let standby = cluster.lagging_standby().await;
    let path = acme.path(&format!("customRole/{}", role.as_str().unwrap()));
    let narrow = json!({
        "name": "ops", "cluster_permissions": [], "project_permissions": [], "permissions": ["invoices:read"],
    });
    let lost = a.call_with(Method::PUT, &path, &acme.owner, Some(narrow), &[("prefer", LONG)]).await;
    assert_eq!(lost.header("tokenward-effective"), Some("everywhere; nodes=2"), "{lost:?}");

    let _new = cluster.take_over(standby).await;
    let may = async |server: &Server, permission: &str| {
        let question = json!({ "token": text, "permission": permission });
        let answer = server.post("/verify", &cluster.asking, question).await;
        answer.json()["code"].as_str().unwrap_or_default().to_owned()
    };
    let begun = Instant::now();
    while begun.elapsed() < BOUND * 2 {
        for server in [&cluster.a, &cluster.b] {
            assert_ne!(may(server, "invoices:write").await, "valid", "{:?}", begun.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for server in [&cluster.a, &cluster.b] {
        while may(server, "invoices:read").await != "valid" {
            assert!(begun.elapsed() < PATIENCE, "it does not go on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(may(server, "invoices:write").await, "permission_denied");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_stays_so_when_a_standby_takes_over_that_did_not_hear_of_it() {
    let cluster = Cluster::start().await;
    let Cluster { a, acme, .. } = &cluster;
    let body = json!({ "name": "ops", "permissions": ["invoices:write"] });
    let role = a.post(&acme.path("customRole"), &acme.owner, body).await.str("id");
    let (_, text) = a.new_token(acme, json!({ "name": "holder", "role_id": role })).await;
    let project = a.post(&acme.path("project"), &acme.owner, json!({ "name": "shop" })).await.str("id");
    cluster.both_say(&text, "valid").await;
    let standby = cluster.lagging_standby().await;
    let viewer = a.role(acme, "viewer").await;
    let role_path = acme.path(&format!("customRole/{role}"));
    let project_path = format!("/project/{project}");
    for path in [&format!("{role_path}?move_to={viewer}"), &project_path] {
        let lost = a.call_with(Method::DELETE, path, &acme.owner, None, &[("prefer", LONG)]).await;
        assert_eq!(lost.header("tokenward-effective"), Some("everywhere; nodes=2"), "{lost:?}");
    }

    let _new = cluster.take_over(standby).await;
    let may = async |server: &Server| {
        let question = json!({ "token": text, "permission": "invoices:write" });
        let answer = server.post("/verify", &cluster.asking, question).await;
        answer.json()["code"].as_str().unwrap_or_default().to_owned()
    };
    let begun = Instant::now();
    while begun.elapsed() < BOUND * 2 {
        for server in [&cluster.a, &cluster.b] {
            assert_ne!(may(server).await, "valid", "{:?}", begun.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    cluster.both_say(&text, "valid").await;
    for server in [&cluster.a, &cluster.b] {
        assert_eq!(may(server).await, "permission_denied");
        for path in [&role_path, &project_path] {
            assert_eq!(server.get(path, &acme.owner).await.status, 404, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_and_nobody_had_read_is_brought_back_by_who_answered_for_it() {
    let cluster = Cluster::start().await;
    let (revoked, text) = cluster.made("revoked").await;
    let (_, living) = cluster.made("living").await;
    cluster.both_say(&living, "valid").await;
    let standby = cluster.lagging_standby().await;
    cluster.proxies.iter().for_each(|proxy| proxy.set(Flow::Stall));
    // As a write of `a` does that is confirmed when no node can look any more.
    let store = store(&format!("postgres://postgres@{}/test_0", cluster.primary.address())).await;
    let organization = cluster.acme.id.parse().unwrap();
    let (mut tx, operator) = store.begin(&Operator::at_this_machine()).await.unwrap();
    let grant = Grant::operator(&operator, organization, Management::TokenManage);
    let reason = RevokeReason::Unspecified;
    let why = Revocation { at: tx.now(), reason, note: None, by_name: None, by_kind: None, by_id: None };
    let id = revoked.parse().unwrap();
    assert_eq!(tokens::revoke_all(&mut tx, &[(&grant, id, &why)]).await.unwrap().len(), 1);
    let event = Event::new(Kind::TokenDeleted, Some(organization), id, "revoked");
    let noted = of_change(tx.conn(), std::iter::once(&event)).await.unwrap();
    let by = operator.by().clone();
    let appended = tx.commit_shared(&[(&by, &event)]).await.map_err(Error::from).unwrap();
    store.close().await;
    let noted = entries(noted, appended.position.incarnation, &appended.events);
    let verifier = &cluster.a.running.app.verifier;
    assert!(!verifier.answer_for(appended.position, noted).await.unwrap(), "it does not count there");
    // On a busy machine it may be past its bound, and then says nothing.
    assert_ne!(says(&cluster.a, &cluster.asking, &text).await.1, "revoked");

    let _new = cluster.take_over(standby).await;
    cluster.both_say(&text, "revoked").await;
    cluster.both_say(&living, "valid").await;
    let status = cluster.a.get(&cluster.acme.path("log"), &cluster.acme.owner).await.expect(200);
    assert_eq!((&status["warning"], &status["turns"][0]["why"]), (&json!(true), &json!("rewound")));
    // Now it is lost for certain, and nobody answers for it as done.
    let again = verifier.answer_for(appended.position, Vec::new()).await.unwrap_err();
    assert_eq!(again.code, Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_speaks_for_all_until_rows_that_the_standby_lacks_have_surely_ended() {
    let cluster = Cluster::start().await;
    let (one, _) = cluster.made("one").await;
    let (two, two_text) = cluster.made("two").await;
    cluster.both_say(&two_text, "valid").await;
    let standby = cluster.lagging_standby().await;
    cluster.proxies[1].set(Flow::Stall);
    let _new = {
        let standby = tokio::task::spawn_blocking(move || {
            standby.promote();
            standby
        });
        standby.await.unwrap()
    };
    // The row of `b` is lost with the old server, and `b` decides on for a while by what it knew.
    let url = format!("postgres://postgres@{}/test_0", _new.address());
    sqlx::query("DELETE FROM node WHERE name = 'b'")
        .execute(&mut <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.unwrap())
        .await
        .unwrap();
    lead(&cluster.proxies[0], _new.address()).await;
    let begun = Instant::now();
    let first = cluster.revoke(&cluster.a, &one, "wait=1").await;
    let said = first.header("tokenward-effective").unwrap().to_owned();
    assert!(said.starts_with("pending") && said.contains("may have forgotten"), "{said}");
    let position = first.header("tokenward-position").unwrap().to_owned();
    loop {
        let receipt = cluster.a.get(&format!("/receipt/{position}"), &cluster.acme.owner).await.expect(200);
        if receipt["effective"] == "everywhere" {
            assert_eq!(receipt["by"], json!(null));
            break;
        }
        assert!(receipt["by"].is_string() && begun.elapsed() < PATIENCE, "{receipt}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() > BOUND, "{:?}", begun.elapsed());
    // Whoever was forgotten has stopped by then.
    assert_eq!(says(&cluster.b, &cluster.asking, &two_text).await, (503, "stale".to_owned()));
    let second = cluster.revoke(&cluster.a, &two, LONG).await;
    assert_eq!(second.header("tokenward-effective"), Some("everywhere; nodes=1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_taken_over_from_is_neither_read_nor_written_again() {
    let cluster = Cluster::start().await;
    let (id, text) = cluster.made("ci").await;
    cluster.both_say(&text, "valid").await;
    let standby = cluster.lagging_standby().await;
    let new = cluster.take_over(standby).await;
    cluster.revoke(&cluster.a, &id, LONG).await;
    cluster.both_say(&text, "revoked").await;
    // The old one lives, and can be written; a proxy leads `b` back to it.
    lead(&cluster.proxies[1], cluster.primary.address()).await;
    let begun = Instant::now();
    while begun.elapsed() < BOUND + BOUND / 2 {
        assert_ne!(says(&cluster.b, &cluster.asking, &text).await.1, "valid", "{:?}", begun.elapsed());
        let written = cluster.b.post(&cluster.acme.path("project"), &cluster.acme.owner, json!({ "name": "p" })).await;
        assert_eq!(written.status, 503, "{written:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(says(&cluster.b, &cluster.asking, &text).await, (503, "stale".to_owned()));
    lead(&cluster.proxies[1], new.address()).await;
    cluster.both_say(&text, "revoked").await;
}
