//! A sign-in that begins on one node and comes back to another, as behind a balancer.

use std::time::Duration;

use serde_json::json;

use super::{Issuer, claims, config};
use crate::console::Person;
use crate::nodes::{PEPPER, database};
use crate::support::{OWNER, Server};

/// A node of this database. From outside all of them have one address.
async fn node(name: &str, database: &str, issuer: &Issuer) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path(), &issuer.url, &[("EMAIL_DOMAINS", "acme.example")]);
    config.database = database.to_owned();
    config.pepper = Some(PEPPER.to_owned());
    config.node_name = name.to_owned();
    config.public_url = Some("http://localhost:8080".to_owned());
    Server::start_with(directory, config).await
}

async fn logout(server: &Server, token: &str) -> u16 {
    let request = server.request("POST", "/console/oidc/corp/logout").form(&[("logout_token", token)]);
    server.send(request).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_begun_on_one_node_comes_back_to_another_and_counts_once_on_postgres() {
    let (issuer, database) = (Issuer::start(), database().await);
    let a = node("a", &database, &issuer).await;
    a.set_up().await;
    let b = node("b", &database, &issuer).await;
    // The provider takes a code as often as somebody comes with it: that one counts once is ours to see.
    let mut says = claims("owner", OWNER, true);
    says["reuse"] = json!(true);
    issuer.wants(says).await;
    let mut owner = Person::owner(&a).await;
    let link = "/console/account/identities/link";
    owner.by(&issuer, "/console/account/identities/with/corp").await.leads_to(link);
    owner.get(link).await;
    owner.post(link, &[]).await.leads_to("/console/account");

    let mut begun = Person::at(&a);
    let question = begun.get("/sign-in/with/corp?next=/console/account").await;
    assert_eq!(question.status, 303, "{}", question.html);
    let back = issuer.answer(question.location()).await;
    let carried = begun.cookies.clone();
    let mut returned = Person::at(&b);
    returned.cookies.clone_from(&carried);
    returned.get(&back).await.leads_to("/console/account");
    returned.get("/console/account").await.says(200, "signed in with corp");
    // What the browser carried is spent, wherever it is brought.
    for node in [&a, &b] {
        let mut again = Person::at(node);
        again.cookies.clone_from(&carried);
        again.get(&back).await.says(401, "not begun in this browser");
        assert!(!again.cookies.contains_key("__Host-tokenward"));
    }
    // The session is good on both.
    let mut elsewhere = Person::at(&a);
    elsewhere.cookies.clone_from(&returned.cookies);
    while elsewhere.get("/console/account").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // So is the end of it, which one node hears of: when that is answered, the other one knows.
    let token = issuer.logout_token(json!({ "claims": { "sub": "owner" } })).await;
    assert_eq!(logout(&b, &token).await, 200);
    assert_eq!(elsewhere.get("/console/account").await.status, 303);
    assert_eq!((logout(&a, &token).await, logout(&b, &token).await), (400, 400), "once, on any node");
}
