//! What becomes of a token over time, in the console.

use serde_json::json;
use tokenward_core::Clock;
use tokenward_core::time::{DAY, HOUR};
use tokenward_server::service::{old_secrets, token_attestation};

use crate::console::{Person, world};

#[tokio::test]
async fn a_brownout_is_a_form_and_ends_with_one_click() {
    let (server, organization, base) = world().await;
    let mut owner = Person::owner(&server).await;
    let viewer = server.role(&organization, "viewer").await;
    let (id, _) = server.new_token(&organization, json!({ "name": "ci", "role_id": viewer })).await;
    let page = format!("{base}/tokens/{id}");
    owner.get(&page).await.says(200, "Brownout…");
    owner.get(&format!("{page}/brownout")).await.says(200, "one interval from now");
    let wrong = [("minutes", "30"), ("every", "1m"), ("lasts", "3d")];
    owner.post(&format!("{page}/brownout"), &wrong).await.says(400, "is no length of time");
    let form = [("minutes", "5"), ("every", "1h"), ("lasts", "3d")];
    owner.post(&format!("{page}/brownout"), &form).await.leads_to(&page);
    let shown = owner.get(&page).await.says(200, "It is refused for 5 minutes every hour, next");
    assert!(shown.html.contains("End the brownout") && !shown.html.contains("Brownout…"), "{}", shown.html);
    for query in ["filter=brownout", "filter=brownout&q=c"] {
        let page = owner.get(&format!("{base}/tokens?{query}")).await.says(200, ">ci</a>");
        assert!(page.html.contains("Brownout <span class=\"count\">1</span>"), "{query}: {}", page.html);
    }
    owner.get(&format!("{base}/tokens?filter=brownout&q=nothing-like-it")).await.says(200, "No token matches");
    owner.get(&format!("{base}/tokens")).await.says(200, ">Brownout</span>");
    owner.post(&format!("{page}/brownout/end"), &[]).await.leads_to(&page);
    let shown = owner.get(&page).await.says(200, "The brownout is over.");
    owner.get(&format!("{base}/tokens?filter=brownout")).await.says(200, "No token matches");
    assert!(!shown.html.contains("End the brownout"), "{}", shown.html);
    server.stop().await;
}

#[tokio::test]
async fn an_old_secret_and_an_open_question_are_marked_where_the_token_is_shown() {
    let (server, organization, base) = world().await;
    let verifier = server.token(&organization, "gateway", "verifier").await;
    let devops = server.token(&organization, "terraform", "admin").await;
    let viewer = server.role(&organization, "viewer").await;
    let (id, old) = server.new_token(&organization, json!({ "name": "ci", "role_id": viewer })).await;
    let page = format!("{base}/tokens/{id}");
    let mut owner = Person::owner(&server).await;
    owner.get(&format!("{page}/rotate")).await.says(200, "End it sooner when nobody uses it");
    let version = [("version", "1"), ("keep", "24h"), ("when_silent", "on")];
    owner.post(&format!("{page}/rotate"), &version).await.says(200, "accepted until");
    owner.get(&page).await.says(200, "of silence");
    server
        .post(&organization.path(&format!("apiToken/{id}/rotate")), &devops, json!({ "keep": "0" }))
        .await
        .expect(200);
    server.post("/verify", &verifier, json!({ "token": old })).await.expect(200);
    let app = &server.running.app;
    old_secrets::tell_reused(app, app.verifier.take_reused()).await;
    owner.get(&page).await.says(200, "Old secret used again");
    owner.get(&format!("{base}/tokens")).await.says(200, "Old secret used again");

    let policy = json!({ "attest_every": "1d", "on_reuse": "disable" });
    server.put(&organization.path("tokenPolicy"), &devops, policy).await.expect(200);
    let shown = owner.get(&format!("{base}/settings/token-policy")).await.says(200, "value=\"disable\" selected");
    assert!(shown.html.contains("value=\"1d\""), "{}", shown.html);
    server.clock.advance(DAY + HOUR);
    token_attestation::sweep(app).await.unwrap();
    let mut owner = Person::owner(&server).await;
    owner.get(&format!("{base}/tokens?filter=unconfirmed")).await.says(200, ">ci</a>");
    owner.get(&page).await.says(200, "Its owner is asked to say so by");
    owner.post(&format!("{page}/attest"), &[]).await.leads_to(&page);
    let shown = owner.get(&page).await.says(200, "Noted: the token is still needed.");
    assert!(!shown.html.contains("Its owner is asked"), "{}", shown.html);
    server.stop().await;
}

#[tokio::test]
async fn what_is_expired_and_what_was_deleted_are_two_filters() {
    let (server, organization, base) = world().await;
    let role = server.role(&organization, "viewer").await;
    let at = |after: i64| server.clock.now().plus(after).to_string();
    let mut made = Vec::new();
    for (name, end) in [("stays", None), ("ends", Some(at(HOUR))), ("goes", None)] {
        let body = json!({ "name": name, "role_id": role, "expires_at": end });
        made.push(server.post(&organization.path("apiToken"), &organization.owner, body).await.str("id"));
    }
    let gone = server.delete(&organization.path(&format!("apiToken/{}", made[2])), &organization.owner).await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    server.clock.advance(2 * HOUR);
    let mut owner = Person::owner(&server).await;
    for (filter, there, not_there) in [
        ("filter=expired", vec!["ends"], vec!["stays", "goes"]),
        ("filter=revoked", vec!["goes"], vec!["stays", "ends"]),
        ("filter=ended", vec!["ends", "goes"], vec!["stays"]),
        ("filter=expired&q=e", vec!["ends"], vec!["stays", "goes"]),
        ("filter=revoked&q=g", vec!["goes"], vec!["stays", "ends"]),
    ] {
        let page = owner.get(&format!("{base}/tokens?{filter}")).await.says(200, "Deleted");
        for name in there {
            assert!(page.html.contains(&format!(">{name}</a>")), "{filter}: {name}");
        }
        for name in not_there {
            assert!(!page.html.contains(&format!(">{name}</a>")), "{filter}: {name}");
        }
    }
    // Each is counted, as the others are, among what the search finds.
    for (query, expired, deleted, ended) in [
        ("", 1, 1, 2),
        ("?q=s", 1, 1, 2),
        ("?q=ends", 1, 0, 1),
        ("?q=GOES", 0, 1, 1),
        ("?q=goes&filter=expired", 0, 1, 1),
    ] {
        let page = owner.get(&format!("{base}/tokens{query}")).await.says(200, "Deleted");
        for (pill, count) in [("Expired", expired), ("Deleted", deleted), ("Ended", ended)] {
            let shown = format!(">{pill} <span class=\"count\">{count}</span></a>");
            assert!(page.html.contains(&shown), "{query} {pill}: {}", page.html);
        }
    }
    server.stop().await;
}
