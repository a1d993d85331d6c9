//! How long sessions last that a provider proved, and those of the operator's link; and who hears that a rule has ended a membership.

use reqwest::header::SET_COOKIE;
use serde_json::json;
use tokenward_core::right::Operator;
use tokenward_core::time::{HOUR, SECOND};
use tokenward_server::service::set_up;
use tokenward_server::service::sign_in_methods::SignIn;

use super::rules::{in_groups, members, ruled, signed_in};
use super::{Issuer, claims, config, served};
use crate::console::{Page, Person};
use crate::mailbox::Mailbox;
use crate::support::{OWNER, PASSWORD, Server};

const WITH: &str = "/sign-in/with/corp";
const ACCOUNT: &str = "/console/account";

/// For how many seconds the browser keeps the session.
fn kept(page: &Page) -> i64 {
    let mut all = page.headers.get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap());
    let line = all.rfind(|line| line.starts_with("__Host-tokenward=")).unwrap_or_default();
    line.split("Max-Age=").nth(1).unwrap_or_else(|| panic!("{line}")).split(';').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_session_by_a_provider_ends_after_twelve_hours_however_it_is_used() {
    let (server, _acme, issuer) = served(&[]).await;
    server.clock.advance(0);
    issuer.wants(claims("owner", OWNER, true)).await;
    let mut owner = Person::at(&server);
    owner.get("/sign-in").await;
    let page = owner.post("/sign-in", &[("email", OWNER), ("password", PASSWORD)]).await.leads_to("/");
    assert_eq!(kept(&page), 7 * 24 * 3_600, "a password's is as long as the server says");
    let link = "/console/account/identities/link";
    owner.by(&issuer, "/console/account/identities/with/corp").await.leads_to(link);
    owner.get(link).await;
    owner.post(link, &[]).await.leads_to(ACCOUNT);

    let mut owner = Person::at(&server);
    let page = owner.by(&issuer, WITH).await.leads_to("/");
    assert_eq!(kept(&page), 12 * 3_600);
    for passed in [6 * HOUR, 6 * HOUR - SECOND] {
        server.advance(passed).await;
        owner.get(ACCOUNT).await.says(200, "signed in with corp");
    }
    server.advance(SECOND).await;
    owner.get(ACCOUNT).await.leads_to("/sign-in?next=%2Fconsole%2Faccount");
}

#[tokio::test]
async fn a_session_by_the_operators_link_ends_after_an_hour_where_providers_alone_are_let() {
    let (issuer, directory) = (Issuer::start(), tempfile::tempdir().unwrap());
    let mut config = config(directory.path(), &issuer.url, &[]);
    let (server, _acme) = Server::with_owner_and(directory, config.clone()).await;
    let directory = server.stop().await;
    config.sign_in = SignIn::Providers;
    let server = Server::start_with(directory, config).await;
    server.clock.advance(0);
    let store = &server.running.app.store;
    let link = set_up::sign_in_link(store, &Operator::at_this_machine(), OWNER).await.unwrap().unwrap();
    let path = format!("/sign-in/{}", *link.secret);
    let mut owner = Person::at(&server);
    owner.get(&path).await.says(200, "Sign in for one hour");
    let page = owner.post(&path, &[]).await.leads_to("/");
    assert_eq!(kept(&page), 3_600);
    server.advance(HOUR - SECOND).await;
    owner.get(ACCOUNT).await.says(200, "signed in with a sign-in link");
    server.advance(SECOND).await;
    owner.get(ACCOUNT).await.leads_to("/sign-in?next=%2Fconsole%2Faccount");
}

#[tokio::test]
async fn the_admins_hear_by_mail_that_a_rule_has_ended_a_membership() {
    let (mailbox, address) = Mailbox::open().await;
    let (issuer, directory) = (Issuer::start(), tempfile::tempdir().unwrap());
    let further = [("EMAIL_DOMAINS", "acme.example"), ("GROUPS_CLAIM", "groups")];
    let mut config = config(directory.path(), &issuer.url, &further);
    config.smtp_url = Some(format!("smtp://{address}"));
    let (server, acme) = Server::with_owner_and(directory, config).await;
    ruled(&server, &acme, &[("engineers", "devops"), ("staff", "viewer")]).await.expect(200);
    // Another role is no end.
    for groups in [json!(["engineers"]), json!(["staff"]), json!(null)] {
        signed_in(&server, &issuer, in_groups("ada", groups)).await;
    }
    assert_eq!(members(&server, &acme).await, ["ada@acme.example viewer corp:staff"]);
    assert_eq!(mailbox.count("A member has left"), 0);
    signed_in(&server, &issuer, in_groups("ada", json!(["sales"]))).await;
    assert!(members(&server, &acme).await.is_empty());
    let mail = mailbox.mail_with("A member has left").await;
    let to = format!("To: {OWNER}");
    for part in [to.as_str(), "Acme", "no rule of the organization fitted", acme.id.as_str()] {
        assert!(mail.contains(part), "no `{part}` in {mail}");
    }
}
