//! Signing in while strangers guess: what they do must hold up neither each other nor those who are known.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokenward_core::right::Operator;
use tokenward_core::time::DAY;
use tokenward_server::config::Config;
use tokenward_server::limits::{HASHES, HASHES_WAITING, HASHES_WAITING_KNOWN, HASHES_WAITING_PER_ADDRESS};
use tokenward_server::service::set_up;

use crate::console::Person;
use crate::nodes::{database, node, node_config};
use crate::other_log::postgres;
use crate::support::{Answer, OWNER, Organization, PASSWORD, Server, config};

const DEVICE: &str = "__Host-tokenward-device";
const GUESSER: &str = "203.0.113.9";

/// A server that believes this machine about the address of clients, so that tests can come from anywhere.
async fn behind_a_proxy(further: impl FnOnce(&mut Config)) -> (Server, Organization) {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    further(&mut config);
    Server::with_owner_and(directory, config).await
}

/// Nearly no room for passwords to wait: whatever hashes needlessly is answered with 503.
fn narrow(config: &mut Config) {
    for limit in [&HASHES, &HASHES_WAITING, &HASHES_WAITING_PER_ADDRESS, &HASHES_WAITING_KNOWN] {
        config.limits.set(limit, 1);
    }
}

async fn sign_in_from(server: &Server, from: &str, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    server.call_with(Method::POST, "/session", "", Some(body), &[("x-forwarded-for", from)]).await
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status.as_u16() == status).count()
}

#[tokio::test]
async fn of_guesses_at_once_few_are_checked_and_others_get_in_meanwhile() {
    let (server, _acme) = behind_a_proxy(|_| {}).await;
    // The browser is at the guesser's own address: only its cookie tells it from them.
    let mut owner = Person::at(&server);
    owner.headers = vec![("x-forwarded-for".into(), GUESSER.into())];
    owner.sign_in(OWNER, PASSWORD).await.leads_to("/");
    owner.cookies.retain(|name, _| name == DEVICE);
    owner.get("/sign-in").await;
    let other = "other@acme.example";
    let guesses =
        join_all((0..40).map(|n| sign_in_from(&server, GUESSER, if n < 20 { OWNER } else { other }, "a guess")));
    let known = owner.post("/sign-in", &[("email", OWNER), ("password", PASSWORD)]);
    let elsewhere = sign_in_from(&server, "198.51.100.1", OWNER, PASSWORD);
    let (guesses, known, elsewhere) = tokio::join!(guesses, known, elsewhere);
    known.leads_to("/");
    assert_eq!(elsewhere.status, 201, "{}", elsewhere.text);
    // The address signed in to the owner's account before, so that it is known there: it has six for each account.
    assert_eq!(count(&guesses, 401), 12);
    assert!(guesses.iter().all(|answer| [401, 429, 503].contains(&answer.status.as_u16())));
    let late = sign_in_from(&server, GUESSER, other, "a guess").await;
    assert!(
        late.text.contains("`sign_in_attempts` (5 count)") && late.header("retry-after").is_some(),
        "{}",
        late.text
    );
}

#[tokio::test]
async fn who_finds_the_line_full_is_told_which_and_the_known_have_a_place_of_their_own() {
    let (server, _acme) = behind_a_proxy(narrow).await;
    let mut owner = Person::owner(&server).await;
    owner.headers = vec![("x-forwarded-for".into(), "198.51.100.7".into())];
    owner.get("/sign-in").await;
    let guess =
        async |n: u8| sign_in_from(&server, &format!("203.0.113.{n}"), &format!("{n}@acme.example"), "a guess").await;
    let known = owner.post("/sign-in", &[("email", OWNER), ("password", PASSWORD)]);
    let (strangers, known) = tokio::join!(join_all((0..40).map(guess)), known);
    known.leads_to("/");
    let refused: Vec<&Answer> = strangers.iter().filter(|answer| answer.status == 503).collect();
    assert!(!refused.is_empty());
    for answer in refused {
        assert!(answer.text.contains("`hashes_waiting` (1 count)"), "{}", answer.text);
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
}

#[tokio::test]
async fn a_link_that_leads_nowhere_is_never_hashed_for_and_a_right_one_always_opens() {
    let (server, acme) = behind_a_proxy(narrow).await;
    let mut visitor = Person::at(&server);
    visitor.headers = vec![("x-forwarded-for".into(), GUESSER.into())];
    visitor.get("/sign-in").await;
    let form = [("password", PASSWORD), ("name", ""), ("organization", "A"), ("email", OWNER)];
    for (from, path, dead, form) in [
        ("203.0.113.1", "/sign-in/0123456789abcdefABCDEF", 409, &form[..1]),
        ("203.0.113.2", "/set-up/0123456789abcdefABCDEF", 409, &form),
        ("203.0.113.3", "/invitation/019ab000-0000-7000-8000-000000000000/0123456789abcdefABCDEF", 404, &form[..2]),
    ] {
        visitor.headers[0].1 = from.to_owned();
        let posts = join_all((0..40).map(|_| visitor.posting(path, form))).await;
        let of = |status: u16| posts.iter().filter(|page| page.status.as_u16() == status).count();
        assert_eq!(
            (of(dead), of(429)),
            (21, 19),
            "{path}: {:?}",
            posts.iter().map(|page| page.status).collect::<Vec<_>>()
        );
        let late = posts.iter().find(|page| page.status == 429).unwrap();
        assert!(late.html.contains("sign_in_attempts_per_address") && late.headers.contains_key("retry-after"));
        let shown = visitor.get(path).await.says(429, "sign_in_attempts_per_address");
        assert!(shown.headers.contains_key("retry-after"));
    }
    let path = acme.path("inviteMember/019ab000-0000-7000-8000-000000000000");
    let body = json!({ "secret": "0123456789abcdefABCDEF", "password": PASSWORD });
    let header = [("x-forwarded-for", "192.0.2.1")];
    let accept = || server.call_with(Method::POST, &path, "", Some(body.clone()), &header);
    let answers = join_all((0..40).map(|_| accept())).await;
    assert_eq!((count(&answers, 404), count(&answers, 429)), (21, 19));

    let app = &server.running.app;
    let secret = set_up::sign_in_link(&app.store, &Operator::at_this_machine(), OWNER).await.unwrap().unwrap();
    let path = format!("/sign-in/{}", *secret.secret);
    visitor.get(&path).await.says(200, OWNER);
    visitor.post(&path, &[("password", "another horse battery")]).await.leads_to("/");
}

#[tokio::test]
async fn a_known_browser_is_known_by_its_cookie_alone_and_for_its_account_alone() {
    let (server, _acme) = behind_a_proxy(|_| {}).await;
    let mut owner = Person::at(&server);
    owner.get("/sign-in").await;
    assert!(!owner.cookies.contains_key(DEVICE), "whoever has not signed in is not known");
    let failed = owner.post("/sign-in", &[("email", OWNER), ("password", "a guess")]).await;
    assert!(!failed.headers.get_all("set-cookie").iter().any(|line| line.to_str().unwrap().contains(DEVICE)));
    let page = owner.sign_in(OWNER, PASSWORD).await.leads_to("/");
    let cookie = page.headers.get_all("set-cookie").iter().find_map(|line| line.to_str().ok()?.strip_prefix(DEVICE));
    let cookie = cookie.unwrap().to_owned();
    for flag in ["HttpOnly", "Secure", "Path=/", "SameSite=Lax", "Max-Age=7776000"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    owner.post("/sign-out", &[]).await;
    let kept = owner.cookies[DEVICE].clone();
    let passes = async |device: &str, address: &str| {
        let mut person = Person::at(&server);
        person.headers = vec![("x-forwarded-for".into(), address.into())];
        person.cookies.insert(DEVICE.to_owned(), device.to_owned());
        person.sign_in(OWNER, PASSWORD).await.status == 303
    };
    server.clock.advance(0);
    // Strangers lock their own address out.
    for _ in 0..7 {
        sign_in_from(&server, GUESSER, OWNER, "a guess").await;
    }
    assert!(!passes("made up", GUESSER).await && !passes(&kept[1..], GUESSER).await);
    assert!(passes(&kept, GUESSER).await);
    server.clock.advance(91 * DAY);
    for _ in 0..7 {
        sign_in_from(&server, "203.0.113.8", OWNER, "a guess").await;
    }
    assert!(!passes(&kept, "203.0.113.8").await, "no longer than it says");
}

#[tokio::test]
async fn strangers_at_an_account_do_not_keep_its_owner_from_a_new_password() {
    let (server, acme) = behind_a_proxy(|_| {}).await;
    let (_, _) = server.member(&acme, "ada@acme.example", "viewer").await;
    let mut ada = Person::at(&server);
    ada.headers = vec![("x-forwarded-for".into(), GUESSER.into())];
    ada.sign_in("ada@acme.example", PASSWORD).await.leads_to("/");
    for n in 0..60 {
        sign_in_from(&server, &format!("203.0.113.{n}"), "ada@acme.example", "a guess").await;
    }
    server.clock.advance(0);
    ada.get("/console/account").await;
    let guess = [("current_password", "a guess"), ("new_password", "another horse battery")];
    for _ in 0..6 {
        ada.post("/console/account/password", &guess).await.says(400, "is not your present password");
    }
    let page = ada.post("/console/account/password", &guess).await.says(429, "sign_in_attempts");
    assert!(page.headers.contains_key("retry-after"), "nor can a stolen session guess");
    server.clock.advance(tokenward_core::time::MINUTE);
    let right = [("current_password", PASSWORD), ("new_password", "another horse battery")];
    ada.post("/console/account/password", &right).await.leads_to("/console/account");
}

#[tokio::test]
async fn a_proxy_that_is_not_believed_is_told_to_those_who_can_have_it_changed() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.public_url = Some("https://tokens.acme.example".into());
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let page = async |session: String, path: &str| {
        let mut person = Person::at(&server);
        person.cookies.insert("__Host-tokenward".into(), session);
        person.headers = vec![("host".into(), "tokens.acme.example".into())];
        person.get(&format!("/console/{}/{path}", acme.id)).await.says(200, "").html
    };
    let owner: tokenward_core::Uuid = server.get("/account", &acme.owner).await.str("id").parse().unwrap();
    let (viewer, _) = server.member(&acme, "ada@acme.example", "viewer").await;
    assert!(page(server.session(owner, true).await, "tokens").await.contains("trusted_proxies"));
    assert!(
        !page(server.session(owner, true).await, "members").await.contains("trusted_proxies"),
        "only where one begins"
    );
    let viewer = server.session(viewer.parse().unwrap(), true).await;
    assert!(!page(viewer, "tokens").await.contains("trusted_proxies"));
}

/// Three nodes of one database that believe this machine about the address of clients.
async fn three_behind_a_proxy() -> (String, [Server; 3]) {
    let url = database().await;
    let start = async |name: &str| {
        let directory = tempfile::tempdir().unwrap();
        let mut config = node_config(directory.path(), name, &url);
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        // Whoever hashes much is late with everything else, which is not what is asked here.
        config.max_staleness = Duration::from_secs(60);
        Server::start_with(directory, config).await
    };
    let a = start("a").await;
    a.set_up().await;
    let all = [a, start("b").await, start("c").await];
    (url, all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_at_three_nodes_are_as_few_as_at_one_on_postgres() {
    let (url, all) = three_behind_a_proxy().await;
    let guesses = all.iter().flat_map(|node| (0..8).map(move |_| sign_in_from(node, GUESSER, OWNER, "a guess")));
    let answers = join_all(guesses).await;
    // As many as at one node alone: six, and one more after a second, after three, seven, fifteen. Each for itself they would compare 18.
    let compared = count(&answers, 401);
    assert!((6..=10).contains(&compared), "{compared} were compared");
    for waits in answers.iter().filter(|answer| answer.status != 401) {
        assert!(waits.status == 429 && waits.text.contains("`sign_in_attempts` (5 count)"), "{}", waits.text);
        assert!(waits.header("retry-after").is_some());
    }
    // Whoever has to wait waits at each of them, whatever is typed; others do not. An hour, so that it is not over meanwhile.
    let longest = "wait_until = (SELECT max(wait_until) FROM password_failure)";
    let later = format!("UPDATE password_failure SET wait_until = wait_until + 3600000000 WHERE {longest}");
    postgres("psql", &[&url, "-c", &later]);
    for node in &all {
        let right = sign_in_from(node, GUESSER, OWNER, PASSWORD).await;
        assert!(right.status == 429 && right.text.contains("`sign_in_attempts` (5 count)"), "{}", right.text);
        let elsewhere = sign_in_from(node, "198.51.100.1", OWNER, PASSWORD).await;
        assert_eq!(elsewhere.status, 201, "{}", elsewhere.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_password_forgives_the_wrong_ones_at_all_nodes_on_postgres() {
    let (_url, [a, b, c]) = three_behind_a_proxy().await;
    let from = "198.51.100.2";
    for node in [&a, &b, &c, &a] {
        assert_eq!(sign_in_from(node, from, OWNER, "a guess").await.status, 401);
    }
    assert_eq!(sign_in_from(&b, from, OWNER, PASSWORD).await.status, 201);
    // As many as are free, at the two that have not seen it: none of them waits.
    for node in [&a, &c, &a, &c, &a] {
        let answer = sign_in_from(node, from, OWNER, "a guess").await;
        assert_eq!(answer.status, 401, "{}", answer.text);
    }
}

/// Where the set-up link of a server leads to.
fn set_up_path(server: &Server) -> String {
    let link = server.running.set_up_link.clone().unwrap();
    link[link.find("/set-up/").unwrap()..].to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_up_link_of_one_node_founds_at_another_and_then_none_does_anywhere_on_postgres() {
    let url = database().await;
    let (a, b, c) = tokio::join!(node("a", &url), node("b", &url), node("c", &url));
    let all = [a, b, c];
    let paths: Vec<String> = all.iter().map(set_up_path).collect();
    for server in &all {
        for path in &paths {
            Person::at(server).get(path).await.says(200, "Set up Tokenward");
        }
    }
    let form = [("organization", "Acme"), ("name", ""), ("email", OWNER), ("password", PASSWORD)];
    let (mut first, mut late) = (Person::at(&all[1]), Person::at(&all[2]));
    late.get(&paths[2]).await;
    first.get(&paths[0]).await;
    first.post(&paths[0], &form).await.leads_to("/");
    late.post(&paths[2], &form).await.says(409, "not valid any more");
    for server in &all {
        for path in &paths {
            Person::at(server).get(path).await.says(404, "This set-up link is not valid");
        }
    }
    assert!(node("d", &url).await.running.set_up_link.is_none());
}

#[tokio::test]
async fn a_server_that_is_alone_takes_the_link_that_it_printed_last() {
    let server = Server::start().await;
    let before = set_up_path(&server);
    let server = server.restart().await;
    Person::at(&server).get(&before).await.says(404, "This set-up link is not valid");
    Person::at(&server).get(&set_up_path(&server)).await.says(200, "Set up Tokenward");
}
