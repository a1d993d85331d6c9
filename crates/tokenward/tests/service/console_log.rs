//! The audit page: the log to carry away, and whether it is what was written.

use serde_json::Value;
use tokenward_server::service::checkpoints;

use crate::console::{Person, world};

#[tokio::test]
async fn the_audit_page_exports_the_organizations_own_events_and_no_others() {
    let (server, organization, base) = world().await;
    let other = server.new_organization("Globex").await;
    server.token(&other, "foreign-token", "viewer").await;
    server.token(&organization, "=formula", "viewer").await;
    let mut owner = Person::owner(&server).await;
    owner.get(&format!("{base}/events")).await.says(200, "Export as");
    let export = async |owner: &mut Person, query: &str| owner.get(&format!("{base}/events/export?{query}")).await;
    let lines = export(&mut owner, "").await;
    assert_eq!(lines.status, 200);
    assert_eq!(lines.headers["content-disposition"], "attachment; filename=\"tokenward-log.jsonl\"");
    let events: Vec<Value> = lines.html.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().any(|event| event["target_name"] == "=formula"));
    assert!(events.iter().all(|event| event["organization_id"] == organization.id.as_str()), "{}", lines.html);
    let table = export(&mut owner, "format=csv").await;
    assert!(table.html.starts_with("position,") && table.html.contains("\"'=formula\""), "{}", table.html);
    assert_eq!(export(&mut owner, "format=cef&from=2100-01-01").await.html, "");
    export(&mut owner, "format=xml").await.says(400, "format");
    // Who may not read the log gets none of it.
    assert_eq!(Person::at(&server).get(&format!("{base}/events/export")).await.status, 303);
    server.stop().await;
}

#[tokio::test]
async fn the_audit_page_says_whether_the_log_is_what_was_written() {
    let (server, _, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let page = format!("{base}/events/verify");
    owner.get(&page).await.says(200, "Not looked at yet");
    owner.post(&page, &[]).await.leads_to(&page);
    let found = owner.get(&page).await.says(200, "The log is what was written");
    let head = tokenward_store::log::end(server.running.app.store.read().await.unwrap().conn()).await.unwrap();
    assert!(found.html.contains(&format!("{}:", head.0.number)), "{}", found.html);

    // Somebody writes into the database past the server.
    let url = format!("sqlite:{}", server.directory.path().join("tokenward.db").display());
    let mut database = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url).await.unwrap();
    let forged = "UPDATE event_payload SET payload = payload || ' ' WHERE position = 2";
    sqlx::query(forged).execute(&mut database).await.unwrap();
    sqlx::Connection::close(database).await.unwrap();
    // A fault is looked for again where there is more of the log.
    server.new_organization("More").await;
    owner.post(&page, &[]).await.leads_to(&page);
    owner.get(&page).await.says(200, "At position 2: what the event says is not what was written");
    server.stop().await;
}

#[tokio::test]
async fn the_audit_page_names_what_was_signed_by_somebody_else() {
    let (server, _, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let app = &server.running.app;
    checkpoints::make(&app.store, &app.checkpoints.signer).await.unwrap();
    let page = format!("{base}/events/verify");
    owner.get(&page).await.says(200, "Not looked at yet");
    owner.post(&page, &[]).await.leads_to(&page);
    let found = owner.get(&page).await.says(200, "the same.");
    assert!(!found.html.contains("does not hold"), "{}", found.html);
    let url = format!("sqlite:{}", server.directory.path().join("tokenward.db").display());
    let mut database = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url).await.unwrap();
    // Each time there is more of the log: what was whole a moment ago is not looked through again.
    for (more, forgery, right) in [
        ("Globex", "UPDATE checkpoint SET signature = zeroblob(64)", "a signed checkpoint says otherwise"),
        ("Initech", "UPDATE checkpoint SET key_id = zeroblob(8)", "with a key that this server does not hold"),
    ] {
        sqlx::query(forgery).execute(&mut database).await.unwrap();
        server.new_organization(more).await;
        owner.post(&page, &[]).await.leads_to(&page);
        let found = owner.get(&page).await.says(200, right);
        assert!(!found.html.contains("Nothing was signed"), "{}", found.html);
    }
    sqlx::Connection::close(database).await.unwrap();
    server.stop().await;
}
