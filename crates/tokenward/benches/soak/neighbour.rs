//! An organization that does nothing wrong: it verifies tokens, and makes and takes back some.

use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

/// Questions at once.
const GATEWAYS: usize = 4;
/// Between two questions of one of them.
const PAUSE: Duration = Duration::from_millis(5);
/// Between two writes.
const WRITE_PAUSE: Duration = Duration::from_millis(100);
const PASSWORD: &str = "a neighbour minds its own business";

/// The neighbour, with what it asks about.
pub struct Neighbour {
    client: Client,
    url: String,
    organization: String,
    /// May do everything in it.
    admin: String,
    /// May verify.
    gateway: String,
    /// A token that is good, and one that was taken back.
    living: String,
    revoked: String,
}

/// How long answers took, in microseconds, and what was wrong with some.
#[derive(Default, Debug)]
pub struct Work {
    pub verified: Vec<u64>,
    pub written: Vec<u64>,
    pub wrong: Vec<String>,
}

impl Neighbour {
    /// Makes the organization, by way of an invitation into the one that is there.
    pub async fn settle(world: &World, url: &str) -> Self {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
        let ask = |method: &str, path: String, credential: String, body: Value| {
            let mut request = client.request(method.parse().unwrap(), format!("{url}{path}")).json(&body);
            if !credential.is_empty() {
                request = request.bearer_auth(credential);
            }
            async move {
                let answer = request.send().await.unwrap();
                let (status, text) = (answer.status(), answer.text().await.unwrap());
                assert!(status.is_success(), "{path}: {status} {text}");
                let empty = text.is_empty();
                serde_json::from_str::<Value>(if empty { "null" } else { &text })
                    .unwrap_or_else(|_| panic!("{path}: {text}"))
            }
        };
        let text = |value: &Value, field: &str| value[field].as_str().unwrap().to_owned();
        let acme = format!("/organization/{}", world.organization);
        let roles = ask("GET", format!("{acme}/availableRole"), world.admin.clone(), Value::Null).await;
        let admin = roles["results"].as_array().unwrap().iter().find(|role| role["name"] == "admin").unwrap().clone();
        let invited = json!({ "email": "owner@neighbour.example", "role_id": admin["id"] });
        let invitation = ask("POST", format!("{acme}/inviteMember"), world.admin.clone(), invited).await;
        let secret = text(&invitation, "invitation_link").rsplit('/').next().unwrap().to_owned();
        let accept = json!({ "secret": secret, "name": "Neighbour", "password": PASSWORD });
        ask("POST", format!("{acme}/inviteMember/{}", text(&invitation, "id")), String::new(), accept).await;
        let session = json!({ "email": "owner@neighbour.example", "password": PASSWORD });
        let session = text(&ask("POST", "/session".into(), String::new(), session).await, "token");
        let new = json!({ "name": "Neighbour", "plan": "FREE" });
        let organization = text(&ask("POST", "/organization".into(), session.clone(), new).await, "id");
        let own = format!("/organization/{organization}");
        let roles = ask("GET", format!("{own}/availableRole"), session.clone(), Value::Null).await;
        let role = |name: &str| {
            roles["results"].as_array().unwrap().iter().find(|role| role["name"] == name).unwrap()["id"].clone()
        };
        let token = async |name: &str, of: &str| {
            let new = json!({ "name": name, "role_id": role(of) });
            ask("POST", format!("{own}/apiToken"), session.clone(), new).await
        };
        let revoked = token("revoked", "viewer").await;
        let made = Self {
            admin: text(&token("admin", "admin").await, "token"),
            gateway: text(&token("gateway", "verifier").await, "token"),
            living: text(&token("living", "viewer").await, "token"),
            revoked: text(&revoked, "token"),
            client: client.clone(),
            url: url.to_owned(),
            organization,
        };
        ask("DELETE", format!("{own}/apiToken/{}", text(&revoked, "id")), session.clone(), Value::Null).await;
        made
    }

    /// Verifies and writes for so long.
    pub async fn work(&self, time: Duration) -> Work {
        let end = Instant::now() + time;
        let gateways = futures_util::future::join_all((0..GATEWAYS).map(|_| self.verify(end)));
        let (gateways, mut work) = tokio::join!(gateways, self.write(end));
        for gateway in gateways {
            work.verified.extend(gateway.verified);
            work.wrong.extend(gateway.wrong);
        }
        work.verified.sort_unstable();
        work.written.sort_unstable();
        work
    }

    async fn verify(&self, end: Instant) -> Work {
        let questions = [
            (json!({ "token": self.living }), true, "valid"),
            (json!({ "token": self.living, "permission": "invoices:read" }), true, "valid"),
            (json!({ "token": self.living, "permission": "invoices:pay" }), false, "permission_denied"),
            (json!({ "token": self.revoked }), false, "revoked"),
        ];
        let mut work = Work::default();
        for (question, valid, code) in questions.iter().cycle() {
            if Instant::now() >= end {
                break;
            }
            let asked = self.client.post(format!("{}/verify", self.url)).bearer_auth(&self.gateway).json(question);
            let began = Instant::now();
            let said = match asked.send().await {
                Ok(answer) => answer.text().await.unwrap_or_else(|error| error.to_string()),
                Err(error) => error.to_string(),
            };
            work.verified.push(micros(began));
            let answer: Value = serde_json::from_str(&said).unwrap_or_default();
            if answer["valid"] != *valid || answer["code"] != *code {
                work.wrong.push(format!("{question} is {code}, and the answer was {said}"));
            }
            tokio::time::sleep(PAUSE).await;
        }
        work
    }

    /// Makes a token and takes it back, again and again.
    async fn write(&self, end: Instant) -> Work {
        let all = format!("{}/organization/{}/apiToken", self.url, self.organization);
        let mut work = Work::default();
        for n in 0.. {
            if Instant::now() >= end {
                break;
            }
            let new = json!({ "name": format!("n{n}"), "role_id": null });
            let began = Instant::now();
            let made = self.client.post(&all).bearer_auth(&self.admin).json(&new).send().await;
            let made = match made {
                Ok(answer) if answer.status() == StatusCode::CREATED => {
                    answer.json::<Value>().await.unwrap_or_default()
                }
                other => {
                    work.wrong.push(format!("a token was not made: {other:?}"));
                    Value::Null
                }
            };
            work.written.push(micros(began));
            if let Some(id) = made["id"].as_str() {
                let began = Instant::now();
                let deleted = self.client.delete(format!("{all}/{id}")).bearer_auth(&self.admin).send().await;
                work.written.push(micros(began));
                if !deleted.as_ref().is_ok_and(|answer| answer.status() == StatusCode::NO_CONTENT) {
                    work.wrong.push(format!("a token was not taken back: {deleted:?}"));
                }
            }
            tokio::time::sleep(WRITE_PAUSE).await;
        }
        work
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
