//! A provider that hangs or fails for a while: what it said before counts for a day, and nobody waits for it longer than a sign-in may.

use serde_json::{Value, json};
use tokenward_core::time::{HOUR, SECOND};

use super::attacks::linked;
use super::{Issuer, claims};
use crate::console::Person;
use crate::support::{OWNER, Server};

const WITH: &str = "/sign-in/with/corp";
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// It is this much later, also for the provider, which says this besides.
async fn later(server: &Server, issuer: &Issuer, (passed, so_far): (i64, &mut i64), more: Value) {
    server.advance(passed).await;
    *so_far += passed;
    let mut wants = claims("ada", OWNER, true);
    wants["clock"] = json!(*so_far / SECOND);
    wants.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    issuer.wants(wants).await;
}

/// Somebody comes in by it.
async fn comes_in(server: &Server, issuer: &Issuer) {
    Person::at(server).by(issuer, WITH).await.leads_to("/");
}

#[tokio::test]
async fn a_provider_that_hangs_holds_nobody_up_of_whom_enough_is_known() {
    let (server, issuer) = linked(&[]).await;
    let mut passed = 0;
    for silent in [json!(DISCOVERY), json!("/keys"), json!([DISCOVERY, "/keys"])] {
        // Longer than what it said is taken to be so.
        later(&server, &issuer, (2 * HOUR, &mut passed), json!({ "silent": silent })).await;
        let question = Person::at(&server).get(WITH).await;
        assert_eq!(question.status, 303, "{silent}: {}", question.html);
        comes_in(&server, &issuer).await;
    }
}

#[tokio::test]
async fn keys_and_addresses_count_for_a_day_and_no_longer() {
    let (server, issuer) = linked(&[]).await;
    let mut passed = 0;
    let (no_keys, no_discovery) = (json!({ "keys": { "keys": [] } }), json!({ "redirect": true }));
    // The keys fail, and the addresses are there.
    later(&server, &issuer, (2 * HOUR, &mut passed), no_keys.clone()).await;
    comes_in(&server, &issuer).await;
    later(&server, &issuer, (21 * HOUR, &mut passed), no_keys.clone()).await;
    comes_in(&server, &issuer).await;
    later(&server, &issuer, (2 * HOUR, &mut passed), no_keys).await;
    let page = Person::at(&server).by(&issuer, WITH).await.says(401, "no key that can be used");
    assert!(page.html.contains("The other ways to sign in are open"), "{}", page.html);
    later(&server, &issuer, (SECOND, &mut passed), json!({})).await;
    comes_in(&server, &issuer).await;
    // The other way round.
    later(&server, &issuer, (23 * HOUR, &mut passed), no_discovery.clone()).await;
    comes_in(&server, &issuer).await;
    later(&server, &issuer, (2 * HOUR, &mut passed), no_discovery).await;
    Person::at(&server).get(WITH).await.says(401, "with status 302");
}
