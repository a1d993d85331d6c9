//! How a credential is sent, and what is refused.

use serde_json::json;

use crate::support::expected::{error, refused};
use crate::support::{Answer, Server};

/// A request with these `Authorization` headers, as they are.
async fn with_headers(server: &Server, headers: &[&[u8]]) -> Answer {
    let mut request = server.request("GET", "/token/self");
    for value in headers {
        request = request.header("authorization", reqwest::header::HeaderValue::from_bytes(value).unwrap());
    }
    server.send(request).await
}

const INVALID: Option<&str> = Some(r#"Bearer realm="tokenward", error="invalid_token""#);
const PLAIN: Option<&str> = Some(r#"Bearer realm="tokenward""#);

#[tokio::test]
async fn a_token_is_accepted_as_token_and_as_bearer_in_any_case() {
    let (server, acme) = Server::frozen().await;
    let text = server.token(&acme, "ci", "viewer").await;
    for credential in [&text, &acme.owner] {
        for scheme in ["Token", "Bearer", "token", "bearer", "TOKEN", "bEaReR"] {
            for spaces in [" ", "   "] {
                let header = format!("{scheme}{spaces}{credential}");
                assert_eq!(with_headers(&server, &[header.as_bytes()]).await.status, 200, "{scheme}");
            }
        }
    }
}

#[tokio::test]
async fn nothing_is_asked_for_with_a_hint() {
    let (server, _acme) = Server::frozen().await;
    let answer = with_headers(&server, &[]).await;
    let detail = "Send an API token: `Authorization: Token <token>` (or `Bearer`).";
    assert_eq!(answer.pair(), error(401, "Unauthorized", "missing_credentials", detail));
    assert_eq!(answer.header("www-authenticate"), PLAIN);
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn another_scheme_is_no_credential() {
    let (server, acme) = Server::frozen().await;
    let text = server.token(&acme, "ci", "viewer").await;
    let detail = "The `Authorization` header must be `Token <token>` or `Bearer <token>`.";
    let expected = error(401, "Unauthorized", "missing_credentials", detail);
    for header in [
        format!("Basic {text}"),
        format!("Digest {text}"),
        format!("Tokens {text}"),
        format!("Token:{text}"),
        format!("Token\t{text}"),
        text.clone(),
        "Token".to_owned(),
        "Bearer".to_owned(),
        String::new(),
    ] {
        let answer = with_headers(&server, &[header.as_bytes()]).await;
        assert_eq!(answer.pair(), expected, "{header}");
        assert_eq!(answer.header("www-authenticate"), PLAIN);
    }
    let answer = with_headers(&server, &[b"Token twd_\xff\xfe"]).await;
    assert_eq!(answer.pair(), expected);
}

#[tokio::test]
async fn two_credentials_are_refused_even_when_both_are_good() {
    let (server, acme) = Server::frozen().await;
    let token = format!("Token {}", server.token(&acme, "ci", "viewer").await);
    let bearer = token.replace("Token", "Bearer");
    let detail = "The request has more than one `Authorization` header. Send one credential.";
    let expected = error(401, "Unauthorized", "ambiguous_credentials", detail);
    for second in [token.as_bytes(), bearer.as_bytes(), b"Basic abc", b""] {
        for headers in [[token.as_bytes(), second], [second, token.as_bytes()]] {
            let answer = with_headers(&server, &headers).await;
            assert_eq!(answer.pair(), expected);
            assert_eq!(answer.header("www-authenticate"), INVALID);
        }
    }
}

#[tokio::test]
async fn what_has_not_the_form_of_a_token_is_malformed() {
    let (server, acme) = Server::frozen().await;
    let text = server.token(&acme, "ci", "viewer").await;
    let detail = "This is not a token: its form or its checksum is wrong. Was a part of it lost in copying?";
    let mut damaged = text.clone().into_bytes();
    damaged[20] = if damaged[20] == b'a' { b'b' } else { b'a' };
    let damaged = String::from_utf8(damaged).unwrap();
    for bad in [
        "x",
        &text[..41],
        &format!("{text}0"),
        &format!("{} {}", &text[..20], &text[20..]),
        &format!("{text}, Token {text}"),
        &format!("{text} {text}"),
        &format!("\"{text}\""),
        &text.to_uppercase(),
        &text.replace("twd_", "twp_"),
        &text.replace("twd_", "tws_"),
        &text.replace("twd_", "qov_"),
        &damaged,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
    ] {
        for scheme in ["Token", "Bearer"] {
            let answer = with_headers(&server, &[format!("{scheme} {bad}").as_bytes()]).await;
            assert_eq!(answer.pair(), refused("malformed", detail), "{bad}");
            assert_eq!(answer.header("www-authenticate"), INVALID);
        }
    }
}

#[tokio::test]
async fn what_the_database_keeps_of_a_token_does_not_open_anything() {
    let (server, acme) = Server::frozen().await;
    let text = server.token(&acme, "ci", "viewer").await;
    for form in crate::support::forms_of(&server, &text).into_iter().filter(|form| *form != text) {
        for credential in [form.clone(), format!("twd_{form}")] {
            assert_eq!(server.get("/token/self", &credential).await.outcome(), (401, "malformed".to_owned()), "{form}");
        }
    }
}

#[tokio::test]
async fn a_token_in_a_query_or_a_body_is_no_credential() {
    let (server, acme) = Server::frozen().await;
    let text = server.token(&acme, "admin", "admin").await;
    for query in [format!("?token={text}"), format!("?access_token={text}"), format!("?api_key={text}")] {
        // Also beside a good one: it stands in a log by now.
        for credential in ["", &text] {
            let answer = server.get(&format!("/token/self{query}"), credential).await;
            assert_eq!(answer.outcome(), (401, "token_in_query".to_owned()));
            assert!(!answer.text.contains(&text));
        }
    }
    let body = json!({ "name": "x", "role_id": null, "access_token": text });
    assert_eq!(server.post(&acme.path("apiToken"), "", body).await.outcome(), (401, "missing_credentials".to_owned()));
    for header in ["x-api-key", "proxy-authorization", "token"] {
        let answer = server
            .call_with(reqwest::Method::GET, "/token/self", "", None, &[(header, &format!("Token {text}"))])
            .await;
        assert_eq!(answer.outcome(), (401, "missing_credentials".to_owned()), "{header}");
    }
}
