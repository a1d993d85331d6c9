//! What events say is erased in time; that something happened stays, and stays proved.

use serde_json::{Value, json};
use tokenward_api::checkpoints::EventProof;
use tokenward_core::event::{Event, Kind};
use tokenward_core::right::Operator;
use tokenward_core::time::DAY;
use tokenward_server::config::Config;
use tokenward_server::service::checkpoints::{self, Unproven, check_proof};
use tokenward_server::service::log_format::Format;
use tokenward_server::service::retention;
use tokenward_store::export::{Range, page};
use tokenward_store::log::{Evidence, Proof, prove};

use crate::console::{Person, world};
use crate::support::{Organization, Server, config};

/// A client, and a name, that stand in no row but those of what events say.
const AGENT: &str = "Peculiar-Agent/7.4";
const NAME: &str = "a peculiar name";

/// The events of the organization, the newest first.
async fn events(server: &Server, organization: &Organization) -> Vec<Value> {
    let page = server.get(&organization.path("events?pageSize=1000"), &organization.owner).await.expect(200);
    page["events"].as_array().unwrap().clone()
}

async fn rename(server: &Server, organization: &Organization, name: &str) {
    let path = format!("/organization/{}", organization.id);
    let request = server.request("PUT", &path).bearer_auth(&organization.owner).header("user-agent", AGENT);
    server.send(request.json(&json!({ "name": name }))).await.expect(200);
}

/// How many events of the whole log say nothing any more, of a log that is whole.
async fn silent(server: &Server) -> u64 {
    let mut reader = server.running.app.store.read().await.unwrap();
    match prove(reader.conn(), 1, &Evidence::default(), |_| {}).await.unwrap() {
        Proof::Holds { erased, .. } => erased.unsigned_abs(),
        fails => panic!("{fails:?}"),
    }
}

#[tokio::test]
async fn an_organization_keeps_for_a_shorter_time_what_its_own_events_say() {
    let (server, acme) = Server::frozen().await;
    let path = acme.path("eventRetention");
    let told = server.get(&path, &acme.owner).await.expect(200);
    assert_eq!(told, json!({ "event_retention": null, "server": null, "effective": null }));
    for wrong in ["12h", "forever", "", "99999999999999y"] {
        let refused = server.put(&path, &acme.owner, json!({ "event_retention": wrong })).await;
        assert_eq!(refused.outcome(), (400, "invalid_request".to_owned()), "{wrong}");
        assert!(refused.text.contains("event_retention") && refused.text.contains("400d"), "{}", refused.text);
    }
    let reader = server.token(&acme, "reader", "viewer").await;
    assert_eq!(server.put(&path, &reader, json!({ "event_retention": "30d" })).await.status, 403);
    let set = server.put(&path, &acme.owner, json!({ "event_retention": "30d" })).await.expect(200);
    assert_eq!(set, json!({ "event_retention": "30d", "server": null, "effective": "30d" }));
    let saying = &events(&server, &acme).await[0];
    assert_eq!(
        (&saying["kind"], &saying["change"]),
        (&json!("organization.updated"), &json!("{\"event_retention\":\"30d\"}"))
    );

    let other = server.new_organization("Globex").await;
    let app = &server.running.app;
    assert_eq!(retention::erase(app).await.unwrap(), 0, "nothing is so old");
    let admin = server.token(&acme, "admin", "admin").await;
    server.clock.advance(31 * DAY);
    let erased = retention::erase(app).await.unwrap();
    assert!(erased > 3, "{erased}");
    assert_eq!(retention::erase(app).await.unwrap(), 0, "an erasure is erased by none");

    let page = server.get(&acme.path("events?pageSize=100"), &admin).await.expect(200);
    let all = page["events"].as_array().unwrap();
    assert_eq!((&all[0]["kind"], all[0].get("erased")), (&json!("erasure.created"), None));
    let change: Value = serde_json::from_str(all[0]["change"].as_str().unwrap()).unwrap();
    assert_eq!((&change["kept"], &change["erased"]), (&json!("30d"), &json!(erased)));
    assert_eq!(u64::try_from(all.len() - 1).unwrap(), erased);
    for old in &all[1..] {
        assert_eq!(old["erased"], true, "{old}");
        assert_eq!([&old["target_name"], &old["triggered_by"], &old["origin"]], [""; 3], "{old}");
        assert!(old.get("address").is_none() && old["user_agent"].is_null() && old["change"] == "{}", "{old}");
        assert!(old["kind"].is_string() && old["target_id"].is_string() && old["hash"].as_str().unwrap().len() == 64);
    }
    // Another organization has said nothing, and keeps all of its own.
    let owner = tokenward_core::Uuid::parse_str(&other.id).unwrap();
    let range = Range { organization: Some(owner), ..Range::default() };
    let theirs = page_of(&server, &range).await;
    assert!(!theirs.is_empty() && theirs.iter().all(|event| event.payload.is_some()));
    assert_eq!(silent(&server).await, erased);
    server.stop().await;
}

async fn page_of(server: &Server, range: &Range) -> Vec<tokenward_store::export::Exported> {
    page(server.running.app.store.read().await.unwrap().conn(), range, 10_000).await.unwrap()
}

#[tokio::test]
async fn an_organization_cannot_keep_for_longer_than_its_server() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { event_retention: Some(90 * DAY), ..config(directory.path()) };
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let path = acme.path("eventRetention");
    let refused = server.put(&path, &acme.owner, json!({ "event_retention": "91d" })).await;
    assert_eq!(refused.outcome(), (400, "invalid_request".to_owned()));
    assert!(refused.text.contains("90d"), "{}", refused.text);
    for (own, effective) in [(json!("90d"), "90d"), (json!("1d"), "1d"), (Value::Null, "90d")] {
        let set = server.put(&path, &acme.owner, json!({ "event_retention": own })).await.expect(200);
        assert_eq!(set, json!({ "event_retention": own, "server": "90d", "effective": effective }));
    }
    server.stop().await;
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|it| it == text.as_bytes())
}

/// Erases everything of a server that keeps nothing, and looks at it in every place.
async fn erases_everywhere(config: Config, directory: tempfile::TempDir) -> tempfile::TempDir {
    // Shorter than anybody can write it.
    let config = Config { event_retention: Some(1), ..config };
    let (server, acme) = Server::with_owner_and(directory, config).await;
    rename(&server, &acme, "Acme before").await;
    let app = &server.running.app;
    let id = tokenward_core::Uuid::parse_str(&acme.id).unwrap();
    // More than one write erases.
    let (tx, _) = app.store.begin(&Operator::at_this_machine()).await.unwrap();
    let many: Vec<Event> =
        (0..1_100).map(|at| Event::new(Kind::OrganizationUpdated, Some(id), id, format!("{NAME} {at}"))).collect();
    tx.commit(&many).await.unwrap();

    // The server signs once a minute at most, and may have signed what there was at its start a moment ago.
    checkpoints::make(&app.store, &app.checkpoints.signer).await.unwrap();
    let about =
        events(&server, &acme).await.iter().find(|it| it["kind"] == "organization.updated").unwrap()["id"].clone();
    let proof_path = acme.path(&format!("events/{}/proof", about.as_str().unwrap()));
    let whole: EventProof = server.get(&proof_path, &acme.owner).await.read(200);
    let keys = [whole.public_key.parse().unwrap()];
    assert_eq!(check_proof(&whole, &keys), Ok(()));
    assert!(whole.event.payload.is_some());

    let file = server.directory.path().join("tokenward.db");
    if file.exists() {
        // What stands only in the WAL goes with it.
        let url = format!("sqlite:{}", file.display());
        let mut database = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url).await.unwrap();
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut database).await.unwrap();
        sqlx::Connection::close(database).await.unwrap();
        let bytes = std::fs::read(&file).unwrap();
        assert!(has(&bytes, AGENT) && has(&bytes, NAME), "there is nothing to be erased");
    }
    let erased = retention::erase(app).await.unwrap();
    assert!(erased > 1_100, "{erased}");
    assert_eq!(silent(&server).await, erased);
    let all = page_of(&server, &Range::default()).await;
    let erasures: Vec<_> = all.iter().filter(|event| event.skeleton.kind == "erasure.created").collect();
    // Three for the organization, and one for what belongs to none.
    assert_eq!(
        erasures.iter().map(|event| event.skeleton.organization_id).collect::<Vec<_>>(),
        [Some(id), Some(id), Some(id), None]
    );
    for event in &all {
        let says = event.skeleton.kind == "erasure.created";
        assert_eq!(event.payload.is_some(), says, "{event:?}");
        let line: Value = serde_json::from_str(&Format::Jsonl.line(event)).unwrap();
        assert_eq!(line["erased"], !says);
    }
    // The proof is what it was, without what is not there any more.
    let skeleton: EventProof = server.get(&proof_path, &acme.owner).await.read(200);
    assert_eq!((&skeleton.event.payload, &skeleton.event.salt), (&None, &None));
    assert_eq!(check_proof(&skeleton, &keys), Ok(()));
    let mut forged = skeleton;
    forged.event.kind = "token.deleted".to_owned();
    assert_eq!(check_proof(&forged, &keys), Err(Unproven::Event));
    // What comes later is there until it is erased in turn.
    rename(&server, &acme, "Acme after").await;
    assert_eq!(events(&server, &acme).await[0]["target_name"], "Acme after");
    assert_eq!(retention::erase(app).await.unwrap(), 1);
    assert_eq!(silent(&server).await, erased + 1);
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_erased_is_said_to_be_erased_everywhere_and_is_in_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let database = directory.path().join("tokenward.db");
    let directory = erases_everywhere(config, directory).await;
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!has(&bytes, AGENT) && !has(&bytes, NAME), "{}", path.display());
    }
    // It would be found.
    assert!(has(&std::fs::read(database).unwrap(), "Acme after"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_erased_is_said_to_be_erased_everywhere_on_postgres() {
    let url = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = Config { database: url, ..config(directory.path()) };
    erases_everywhere(config, directory).await;
}

#[tokio::test]
async fn the_console_sets_it_and_says_what_was_erased() {
    let (server, acme, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let (settings, set) = (format!("{base}/settings"), format!("{base}/settings/event-retention"));
    owner.get(&settings).await.says(200, "Details in the audit log are kept for");
    let refused = owner.post(&set, &[("event_retention", "12h")]).await.says(400, "no length of at least a day");
    assert!(refused.html.contains("value=\"12h\""), "{}", refused.html);
    owner.post(&set, &[("event_retention", "2d")]).await.leads_to(&settings);
    assert!(owner.get(&settings).await.says(200, "It is saved").html.contains("value=\"2d\""));
    owner.get(&format!("{base}/events")).await.says(200, "Details are kept for 2d");
    // Nothing is so old yet; what a stranger takes away looks as if it were.
    let url = format!("sqlite:{}", server.directory.path().join("tokenward.db").display());
    let mut database = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url).await.unwrap();
    sqlx::query("DELETE FROM event_payload WHERE position = 2").execute(&mut database).await.unwrap();
    sqlx::Connection::close(database).await.unwrap();
    owner.get(&format!("{base}/events")).await.says(200, "It is older than details are kept");
    // An empty field leaves it to the server.
    owner.post(&set, &[("event_retention", "")]).await.leads_to(&settings);
    let told = server.get(&acme.path("eventRetention"), &acme.owner).await.expect(200);
    assert_eq!(told["event_retention"], Value::Null);
    server.stop().await;
}
