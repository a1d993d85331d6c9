//! What an older copy of the database gives nobody back of what is mailed, and of what is carried for minutes and works once.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokenward_core::event::By;
use tokenward_core::right::Operator;
use tokenward_server::config::Config;
use tokenward_server::limits::DEVICE_POLL;
use tokenward_server::service::accounts::{Taking, take_link};
use tokenward_server::service::set_up;

use crate::command_line::{VERIFIER, code_of, poll, redeem, refusal};
use crate::console::Person;
use crate::mailbox::Mailbox;
use crate::nodes::{database, node_config};
use crate::other_log::{Dump, copy_database, restored, until_loaded};
use crate::second_factor;
use crate::support::{OWNER, PASSWORD, Server, config};

const ADA: &str = "ada@acme.example";
/// Where somebody moves the owner's account to.
const MOVED: &str = "thief@elsewhere.example";
const OTHER_PASSWORD: &str = "four quiet lamps";

/// Where the data of a server is.
struct Place {
    data: TempDir,
    /// On PostgreSQL.
    url: Option<String>,
    smtp: SocketAddr,
}

/// An older copy of it.
enum OlderCopy {
    OfFile(TempDir),
    OfPostgres(Dump),
}

impl Place {
    async fn new(on_postgres: bool, smtp: SocketAddr) -> Self {
        let url = if on_postgres { Some(database().await) } else { None };
        Self { data: tempfile::tempdir().unwrap(), url, smtp }
    }

    fn config(&self) -> Config {
        let mut config = match &self.url {
            Some(url) => node_config(self.data.path(), "a", url),
            None => config(self.data.path()),
        };
        config.pepper = None;
        config.smtp_url = Some(format!("smtp://{}", self.smtp));
        config.limits.set(&DEVICE_POLL, 10);
        config
    }

    async fn start(&self) -> Server {
        let server = Server::start_with(tempfile::tempdir().unwrap(), self.config()).await;
        until_loaded(&server).await;
        server
    }

    /// Keeps a copy of what there is now.
    async fn keep(&self, server: Server) -> (OlderCopy, Server) {
        server.stop().await;
        let copy = match &self.url {
            Some(url) => OlderCopy::OfPostgres(Dump::of(url)),
            None => {
                let copy = tempfile::tempdir().unwrap();
                copy_database(self.data.path(), copy.path());
                OlderCopy::OfFile(copy)
            }
        };
        (copy, self.start().await)
    }

    /// Puts it back.
    async fn put_back(&self, server: Server, copy: &OlderCopy) -> Server {
        server.stop().await;
        match copy {
            OlderCopy::OfPostgres(dump) => restored(dump, self.config()).await.1,
            OlderCopy::OfFile(copy) => {
                copy_database(copy.path(), self.data.path());
                self.start().await
            }
        }
    }
}

/// The secret of the link with this before it, in the n-th and last mail with this text.
async fn secret(mailbox: &Mailbox, text: &str, before: &str, n: usize) -> String {
    for _ in 0..1_000 {
        if mailbox.count(text) >= n {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(mailbox.count(text), n, "mails that say `{text}`");
    let mail = mailbox.last_with(text);
    let (_, rest) = mail.split_once(before).unwrap_or_else(|| panic!("no {before} in {mail}"));
    rest.lines().next().unwrap().to_owned()
}

/// The owner, who has proved to read what is sent to the address.
async fn proven_owner(server: &Server) -> String {
    let app = &server.running.app;
    let link = set_up::sign_in_link(&app.store, &Operator::at_this_machine(), OWNER).await.unwrap().unwrap();
    let taking = Taking { password: PASSWORD.to_owned().into(), was_not_me: false };
    take_link(app, &link.secret, taking, By::operator()).await.unwrap();
    server.sign_in(OWNER, PASSWORD).await
}

async fn no_mailed_link_comes_back_on(postgres: bool) {
    const RESET: &str = "Subject: A new password";
    let (mailbox, smtp) = Mailbox::open().await;
    let place = Place::new(postgres, smtp).await;
    let server = place.start().await;
    let acme = server.set_up().await;
    server.member(&acme, ADA, "viewer").await;
    // Whoever has the session and the password moves the address.
    let owner = proven_owner(&server).await;
    server.post("/account/email", &owner, json!({ "email": MOVED })).await.expect(202);
    let link = secret(&mailbox, "Subject: Your new address", "/sign-in/email/", 1).await;
    server.post("/account/email/confirm", "", json!({ "secret": link })).await.expect(204);
    let undo = secret(&mailbox, "Subject: Your account has another address", "/sign-in/email/", 1).await;
    server.post("/account/password/reset", "", json!({ "email": ADA })).await.expect(202);
    let replaced = secret(&mailbox, RESET, "/sign-in/reset/", 1).await;

    let (copy, server) = place.keep(server).await;
    // Nothing else happens at Ada's account.
    server.post("/account/password/reset", "", json!({ "email": ADA })).await.expect(202);
    let newest = secret(&mailbox, RESET, "/sign-in/reset/", 2).await;
    server.post("/account/email/undo", "", json!({ "secret": undo })).await.expect(204);

    let server = place.put_back(server, &copy).await;
    let set = async |secret: &str| {
        let body = json!({ "secret": secret, "password": OTHER_PASSWORD });
        server.put("/account/password/reset", "", body).await.status.as_u16()
    };
    assert_eq!(set(&replaced).await, 409, "the newer link ended it");
    assert_eq!(set(&newest).await, 409, "nobody knows of it any more");
    server.sign_in(ADA, PASSWORD).await;
    let again = server.post("/account/email/undo", "", json!({ "secret": undo })).await;
    assert_eq!(again.outcome(), (409, "conflict".to_owned()), "it was spent");
    // What it did is done: mail for the account goes to its person, and to nobody else.
    for email in [MOVED, OWNER] {
        server.post("/account/password/reset", "", json!({ "email": email })).await.expect(202);
    }
    let own = secret(&mailbox, RESET, "/sign-in/reset/", 3).await;
    assert!(mailbox.last_with(RESET).contains(&format!("To: {OWNER}")));
    assert_eq!(set(&own).await, 204);
    server.sign_in(OWNER, OTHER_PASSWORD).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_mailed_link_comes_back() {
    no_mailed_link_comes_back_on(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_mailed_link_comes_back_on_postgres() {
    no_mailed_link_comes_back_on(true).await;
}

/// Somebody at the page that asks for the code of the owner's account.
async fn half_way(server: &Server) -> Person {
    let mut person = Person::at(server);
    person.sign_in(OWNER, PASSWORD).await.leads_to("/sign-in/code");
    person
}

/// The same browser, after the server was started anew.
async fn goes_on(server: &Server, before: &Person) -> Person {
    let mut person = Person::at(server);
    person.cookies = before.cookies.clone();
    person.get("/sign-in/code").await.says(200, "one-time-code");
    person
}

async fn nothing_that_was_spent_counts_again_on(postgres: bool) {
    let (_mailbox, smtp) = Mailbox::open().await;
    let place = Place::new(postgres, smtp).await;
    let server = place.start().await;
    let acme = server.set_up().await;
    let (authenticator, codes, _) = second_factor::set_up(&server, &acme.owner).await;
    let mut person = half_way(&server).await;
    person.get("/sign-in/code").await;
    person.post("/sign-in/code", &[("otp", &codes[0])]).await.leads_to("/");
    let waiting = half_way(&server).await;
    let asked = server.request("POST", "/device_authorization").form(&[("host", "build-7")]);
    let asked = server.send(asked).await;
    let (device, typed) = (asked.str("device_code"), asked.str("user_code"));
    person.get("/console/device").await;
    person.post("/console/device", &[("code", &typed)]).await.says(200, "build-7");
    person.post("/console/device", &[("code", &typed), ("do", "approve")]).await.says(200, "That machine is signed in");
    let brought = code_of(&mut person).await;

    let (copy, server) = place.keep(server).await;
    // Each is used, once.
    let mut own = goes_on(&server, &waiting).await;
    own.post("/sign-in/code", &[("otp", &codes[1])]).await.leads_to("/");
    poll(&server, &device).await.expect(200);
    redeem(&server, &brought, VERIFIER).await.expect(200);
    // That of the present step may have set it up.
    let otp = authenticator.code(&server, 1);
    second_factor::sign_in(&server, json!({ "otp": otp })).await.expect(201);

    let server = place.put_back(server, &copy).await;
    let again = second_factor::sign_in(&server, json!({ "otp": otp })).await;
    assert_eq!(again.outcome(), (401, "sign_in_failed".to_owned()), "a code that was taken");
    let mut thief = goes_on(&server, &waiting).await;
    thief.post("/sign-in/code", &[("otp", &codes[2])]).await.says(409, "works once");
    assert_eq!(refusal(&poll(&server, &device).await), "invalid_grant");
    assert_eq!(refusal(&redeem(&server, &brought, VERIFIER).await), "invalid_grant");
    // What begins now goes on, and a code that was not spent is good.
    let mut person = half_way(&server).await;
    person.get("/sign-in/code").await;
    person.post("/sign-in/code", &[("otp", &codes[2])]).await.leads_to("/");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_spent_counts_again() {
    nothing_that_was_spent_counts_again_on(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_spent_counts_again_on_postgres() {
    nothing_that_was_spent_counts_again_on(true).await;
}
