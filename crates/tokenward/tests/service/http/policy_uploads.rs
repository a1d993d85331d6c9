//! What is sent as a policy, and with a policy token, that is no text, too much, or too often at once.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::right::Operator;
use tokenward_core::time::MINUTE;
use tokenward_core::{Code, Uuid};
use tokenward_server::service::policy_tokens::{NewPolicyToken, create};
use tokenward_server::service::tokens::NewToken;
use tokio::task::JoinSet;

use crate::support::{Answer, Organization, Server};

/// A request with a body of bytes, which may be no text.
async fn send(server: &Server, path: &str, credential: &str, body: Vec<u8>) -> Answer {
    let request = server.request("POST", path).bearer_auth(credential);
    server.send(request.header("content-type", "application/json").body(body)).await
}

async fn made(server: &Server, acme: &Organization, policy: &str) -> (String, String) {
    let body = json!({ "name": "made", "opa_policy": policy });
    let made = server.post(&acme.path("policyApiToken"), &acme.owner, body).await.expect(201);
    (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_is_no_text_is_neither_a_policy_nor_the_body_of_a_request_that_one_allows() {
    let (server, acme) = Server::with_owner().await;
    let path = acme.path("policyApiToken");
    for body in [
        &b"{\"name\":\"x\",\"opa_policy\":\"allow := true # \xff\"}"[..],
        b"{\"name\":\"x\",\"opa_policy\":\"allow := true # \xed\xa0\x80\"}",
        b"{\"name\":\"x\",\"opa_policy\":\"allow := true # \\ud800\"}",
        b"{\"name\":\"x\",\"opa_policy\":\"allow := true\\u0000\"}",
        b"{\"name\":\"x\",\"opa_policy\":\"allow := true # \xc0\xaf\"}",
    ] {
        let refused = send(&server, &path, &acme.owner, body.to_vec()).await;
        assert_eq!(refused.outcome(), (400, "invalid_request".into()), "{body:?}: {}", refused.text);
        let tried = send(&server, &acme.path("policyApiToken/evaluate"), &acme.owner, body.to_vec()).await;
        assert_eq!(tried.status, 400, "{body:?}: {}", tried.text);
    }
    assert_eq!(server.get(&path, &acme.owner).await.json()["results"], json!([]));

    let (_, all) = made(&server, &acme, "allow := true").await;
    let project = acme.path("project");
    for body in [
        &b"{\"name\":\"ci-\xff\"}"[..],
        b"{\"\xff\":\"ci\"}",
        b"{\"name\":\"ci-\xed\xa0\x80\"}",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"name=ci",
    ] {
        let refused = send(&server, &project, &all, body.to_vec()).await;
        assert_eq!(refused.outcome(), (401, "policy_denied".into()), "{body:?}: {}", refused.text);
    }
    for path in [acme.path("%ff"), format!("/project/%ff%fe?x={}", acme.id)] {
        let refused = server.get(&path, &all).await;
        assert_eq!(refused.outcome(), (401, "policy_denied".into()), "{path}: {}", refused.text);
    }
    assert_eq!(server.get(&project, &acme.owner).await.json()["results"], json!([]));
}

#[tokio::test]
async fn a_policy_is_as_long_as_it_may_be_in_characters_and_no_longer() {
    let (server, acme) = Server::with_owner().await;
    let of = |characters: usize| {
        let policy = "allow if input.request.method == \"GET\"\n# ";
        format!("{policy}{}", "ü".repeat(characters - policy.len()))
    };
    let (id, text) = made(&server, &acme, &of(65_536)).await;
    let path = acme.path(&format!("policyApiToken/{id}"));
    let long = json!({ "name": "long", "opa_policy": of(65_537) });
    let edit = json!({ "opa_policy": of(65_537) });
    for refused in [
        server.post(&acme.path("policyApiToken"), &acme.owner, long).await,
        server.call(Method::PATCH, &path, &acme.owner, Some(edit)).await,
    ] {
        assert_eq!(refused.outcome(), (400, "invalid_request".into()), "{}", refused.text);
        assert!(refused.text.contains("has 65537 characters"), "{}", refused.text);
    }
    assert_eq!(server.get(&acme.path("project"), &text).await.status, 200);
    assert_eq!(server.get(&path, &acme.owner).await.str("opa_policy"), of(65_536));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_uploads_at_once_have_each_one_definite_end_and_others_are_answered() {
    const ALL: usize = 1_000;
    let (server, acme) = Server::with_owner().await;
    let other = server.new_organization("Other").await;
    let theirs = server.token(&other, "theirs", "viewer").await;
    let organization: Uuid = acme.id.parse().unwrap();
    let viewer: Uuid = server.role(&acme, "viewer").await.parse().unwrap();
    let many_rules = (0..100).map(|n| format!("r{n} := {n}\n")).collect::<String>();
    let mut running = JoinSet::new();
    for n in 0..ALL {
        // What is fine, what takes its time to be read, and what is refused.
        let policy = match n % 4 {
            0 => format!("allow if input.request.path[1] == \"p{n}\""),
            1 => format!("{many_rules}allow if r1 == {n}"),
            2 => format!("allow := {}1{}", "[".repeat(400), "]".repeat(400)),
            _ => format!("allow if strtswith(input.request.method, \"{n}\")"),
        };
        let token = NewToken { owner_id: Some(None), ..NewToken::new(format!("made-{n}"), Some(viewer)) };
        let new = NewPolicyToken { token, policy };
        let app = Arc::clone(&server.running.app);
        let grant = Grant::operator(&Operator::at_this_machine(), organization, Management::PolicyManage);
        running.spawn(async move { (n, create(&app, grant, new).await) });
    }
    let (mut made, mut refused) = (0, 0);
    while let Some(done) = running.join_next().await {
        match done.unwrap() {
            (n, Ok(_)) => {
                assert!(n % 4 < 2, "{n} can be used");
                made += 1;
            }
            (n, Err(error)) => {
                let definite = error.code == Code::Unavailable || (n % 4 >= 2 && error.code == Code::InvalidRequest);
                assert!(definite, "{n}: {error:?}");
                refused += 1;
            }
        }
        if (made + refused) % 100 == 0 {
            let asked = server.post("/verify", &other.owner, json!({ "token": theirs })).await;
            assert_eq!(asked.str("code"), "valid");
        }
    }
    assert!(made > 0 && refused >= ALL / 2 && made + refused == ALL, "{made} made, {refused} refused");
    let listed = server.get(&acme.path("policyApiToken"), &acme.owner).await.expect(200);
    assert_eq!(listed["results"].as_array().map(Vec::len), Some(made));
    assert_eq!(server.running.app.verifier.policies(), made);
}

#[tokio::test]
async fn denials_after_the_first_are_told_once_a_minute_with_their_number() {
    let (server, acme) = Server::frozen().await;
    let (id, text) = made(&server, &acme, "allow := false").await;
    let told = async |expected: usize| -> Vec<Value> {
        for _ in 0..600 {
            let failed = acme.path(&format!("events?targetId={id}&eventType=POLICY_FAILED"));
            let events = server.get(&failed, &acme.owner).await.expect(200)["events"].as_array().unwrap().clone();
            if events.len() >= expected {
                return events;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it is told less than {expected} times");
    };
    let deny = async || assert_eq!(server.get("/token/self", &text).await.outcome(), (401, "policy_denied".into()));
    let count = |event: &Value| {
        let change: Value = serde_json::from_str(event["change"].as_str().unwrap()).unwrap();
        change["count"].clone()
    };
    deny().await;
    assert_eq!(count(&told(1).await[0]), 1);
    for _ in 0..25 {
        deny().await;
    }
    server.advance(MINUTE).await;
    let events = told(2).await;
    assert_eq!((events.len(), count(&events[0])), (2, json!(25)), "{events:?}");
    // What was quiet for a minute begins anew.
    server.advance(2 * MINUTE).await;
    deny().await;
    let events = told(3).await;
    assert_eq!((events.len(), count(&events[0])), (3, json!(1)), "{events:?}");
}
