//! No escalation, over HTTP: a few thousand random requests by actors of every power. Whatever was accepted, what
//! results can do nothing that the actor cannot do: asked of the service itself, permission by permission.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Organization, Server};

/// A small generator with a fixed seed (Marsaglia's xorshift64*), so that a failure can be seen again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }
}

const PERMISSIONS: [&str; 15] = [
    "organization:edit",
    "billing:manage",
    "member:manage",
    "role:manage",
    "token:read",
    "token:manage",
    "token:verify",
    "event:read",
    "cluster:manage",
    "project:create",
    "project:manage",
    "environment:manage",
    "invoices:read",
    "invoices:pay",
    "orders:read",
];

/// What a token may do, by the service's own word.
async fn powers(server: &Server, acme: &Organization, text: &str) -> BTreeSet<&'static str> {
    let mut can = BTreeSet::new();
    for permission in PERMISSIONS {
        let ask = json!({ "token": text, "permission": permission });
        if server.post("/verify", &acme.owner, ask).await.expect(200)["valid"] == true {
            can.insert(permission);
        }
    }
    can
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_handed_out_is_never_more_than_its_giver_has() {
    let (server, acme) = Server::with_owner().await;
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let patterns = ["*", "*:read", "invoices:*", "invoices:read", "orders:read", "token:verify", "event:read"];
    for n in 0..12 {
        let permissions: Vec<&str> = patterns.into_iter().filter(|_| dice.below(3) == 0).collect();
        let body = json!({ "name": format!("custom-{n}-x"), "permissions": permissions });
        server.post(&acme.path("customRole"), &acme.owner, body).await.expect(201);
    }
    let roles = server.get(&acme.path("availableRole"), &acme.owner).await.expect(200);
    let roles: Vec<Value> = roles["results"].as_array().unwrap().clone();
    // One actor and its powers for each role.
    let mut actors = Vec::new();
    let mut by_role: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for role in &roles {
        let name = role["name"].as_str().unwrap();
        let text = server.token(&acme, &format!("actor-{name}"), name).await;
        let can = powers(&server, &acme, &text).await;
        by_role.insert(role["id"].as_str().unwrap().to_owned(), can.clone());
        actors.push((name.to_owned(), text, can));
    }
    let (mut accepted, mut refused) = (0, 0);
    for n in 0..4_000 {
        let (who, text, can) = &actors[dice.below(actors.len())];
        let role = &roles[dice.below(roles.len())];
        let id = role["id"].as_str().unwrap();
        let (path, body, hands_out) = match dice.below(3) {
            0 => ("apiToken", json!({ "name": format!("t-{n}"), "role_id": id }), by_role[id].clone()),
            1 => ("inviteMember", json!({ "email": format!("p{n}@acme.example"), "role_id": id }), by_role[id].clone()),
            _ => {
                let permissions: Vec<&str> = patterns.into_iter().filter(|_| dice.below(3) == 0).collect();
                let mut hands_out = BTreeSet::new();
                for permission in PERMISSIONS {
                    let (noun, verb) = permission.split_once(':').unwrap();
                    let own = noun == "invoices" || noun == "orders";
                    let fits = |p: &&str| match p.split_once(':').unwrap_or(("*", "*")) {
                        ("token" | "event", _) => *p == permission,
                        (n, v) => own && (n == "*" || n == noun) && (v == "*" || v == verb),
                    };
                    if permissions.iter().any(fits) {
                        hands_out.insert(permission);
                    }
                }
                ("customRole", json!({ "name": format!("made-{n}-x"), "permissions": permissions }), hands_out)
            }
        };
        let answer = server.call(Method::POST, &acme.path(path), text, Some(body.clone())).await;
        match answer.status.as_u16() {
            201 => {
                let beyond: Vec<_> = hands_out.difference(can).collect();
                assert!(beyond.is_empty(), "{who} handed out {beyond:?} by POST {path} {body}");
                accepted += 1;
            }
            403 => {
                // Never for nothing: the right itself is missing, or something of what was to be handed out.
                let needs = match path {
                    "apiToken" => "token:manage",
                    "inviteMember" => "member:manage",
                    _ => "role:manage",
                };
                let missing = answer.json()["missing_permission"].clone();
                assert!(!can.contains(needs) || missing != needs, "{who} {path}: {}", answer.text);
                refused += 1;
            }
            other => panic!("{other} for {who} POST {path} {body}: {}", answer.text),
        }
    }
    assert!(accepted > 200 && refused > 500, "{accepted} {refused}");
}
