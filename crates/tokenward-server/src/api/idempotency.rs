//! `Idempotency-Key`: a repeated create is answered again, not carried out again.
//!
//! The key counts within its organization, credential, method and path. The right is asked before every replay, also when
//! the body came late. The
//! answer is kept for an hour, sealed under a key that only the client's key and the pepper together give; of the
//! client's key itself only a hash is kept. Only successes are kept: what failed may be tried again. The change itself says
//! in its transaction that the key is used: neither a slow request nor a crash makes it be carried out twice. An answer that
//! is too large to be kept is given, and a repetition hears that; nor is that request carried out twice.
//!
//! An answer with the secret of a token is dropped once the token was taken back, edited or rotated since: it would hand out
//! what does not count any more. Then the request is carried out as any other.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokenward_core::caller::{Caller, Grant};
use tokenward_core::secret::mac;
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::idempotency::{self, Claim, Claimed, KeptAnswer, Room};
use tokenward_store::tokens;
use zeroize::Zeroizing;

use super::error::ApiError;
use super::extract::read;
use super::prefer;
use crate::limits::{IDEMPOTENCY_ANSWER, IDEMPOTENCY_BYTES, IDEMPOTENCY_KEY, IDEMPOTENCY_KEYS};
use crate::service::{App, TERMS, WriteTerms, seal};

/// The header.
pub(super) const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// How long a request waits for another one with its key.
const WAIT: Duration = Duration::from_secs(5);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);

/// What is kept of an answer. Inside its seal that is the head as JSON, and right behind it the bytes of the body.
struct SealedAnswer {
    head: Head,
    body: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
    /// Where earlier versions kept the body, as numbers: such an answer can be read until its hour is over.
    #[serde(default, skip_serializing)]
    body: Option<Vec<u8>>,
}

impl SealedAnswer {
    fn write(head: &Head, body: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let mut plain = Zeroizing::new(Vec::with_capacity(body.len() + HEAD));
        serde_json::to_writer(&mut *plain, head).map_err(Error::internal)?;
        plain.extend_from_slice(body);
        Ok(plain)
    }

    fn read(plain: &[u8]) -> Result<Self> {
        let mut values = serde_json::Deserializer::from_slice(plain).into_iter::<Head>();
        let head = values.next().ok_or_else(|| Error::internal("a kept answer without anything in it"))?;
        let mut head = head.map_err(Error::internal)?;
        let behind = plain.get(values.byte_offset()..).unwrap_or_default();
        let body = head.body.take().unwrap_or_else(|| behind.to_vec());
        Ok(Self { head, body })
    }
}

/// More than a head takes: so what is sealed is not copied while it is put together.
const HEAD: usize = 1_024;

/// Headers that belong to the answer; all others are of the moment.
const KEPT_HEADERS: [&str; 5] = ["content-type", "tokenward-position", "tokenward-effective", "etag", "cache-control"];

/// Runs a request once for its key, or answers what it was answered before.
pub(super) async fn once(
    app: Arc<App>,
    caller: Caller,
    grant: Option<Grant>,
    request: Request,
    next: Next,
) -> Response {
    match run(app, caller, grant, request, next).await {
        Ok(response) => response,
        Err(error) => ApiError(error).into_response(),
    }
}

async fn run(app: Arc<App>, caller: Caller, grant: Option<Grant>, request: Request, next: Next) -> Result<Response> {
    let key = request.headers().get(HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if key.is_empty() || !key.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Err(Error::invalid("Idempotency-Key", "must be of visible ASCII characters and spaces"));
    }
    IDEMPOTENCY_KEY.check_text(&key).map_err(|problem| Error::invalid("Idempotency-Key", problem))?;
    let (parts, body) = request.into_parts();
    let body = read(body).await?;
    let grant_organization = grant.as_ref().map(Grant::organization);
    // What was taken back while the body came must not hear a kept answer, with the secret that may be in it.
    stands(&app, &caller, grant.as_ref()).await?;
    // A user without an organization, who makes the first, counts alone.
    let holder = grant_organization.or(caller.token_organization()).or(caller.by().actor.id()).unwrap_or_default();
    let room = Room {
        answers: app.limits.get(&IDEMPOTENCY_KEYS),
        answer_bytes: app.limits.get(&IDEMPOTENCY_ANSWER),
        bytes: app.limits.get(&IDEMPOTENCY_BYTES),
    };
    // The oldest that is held: every node has it as long as another one joins it, and a repetition finds what the first made.
    let peppers = app.verifier.peppers();
    let pepper = peppers.last().ok_or_else(|| Error::internal("a verifier without a pepper"))?;
    let scope = mac(
        &pepper.derive("idempotency-scope"),
        &[
            caller.token_organization().unwrap_or_default().as_bytes(),
            caller.credential_id().as_bytes(),
            parts.method.as_str().as_bytes(),
            parts.uri.path().as_bytes(),
            key.as_bytes(),
        ],
    );
    let sealing = mac(&pepper.derive("idempotency-answer"), &[key.as_bytes()]);
    let asked: [u8; 32] = Sha256::digest(&body).into();
    let deadline = tokio::time::Instant::now() + WAIT;
    let claim = Claim { scope, id: app.store.new_id() };
    let (mut found_running, mut waited) = (false, false);
    loop {
        match find(&app, &scope).await? {
            Some(kept) if kept.request != asked => {
                return Err(Error::new(
                    Code::IdempotencyMismatch,
                    "This Idempotency-Key was used with another body. Use a new key for a new request.",
                ));
            }
            Some(KeptAnswer { answer: Some(sealed), claim_id, .. }) => {
                let answer = opened(&sealing, &sealed)?;
                let counts = still_counts(&app, parts.uri.path(), &answer).await?;
                match claim_id {
                    Some(id) if !counts => forget(&app, holder, &Claim { scope, id }).await?,
                    _ => {
                        // Nor what was taken back while the first request ran.
                        if waited {
                            stands(&app, &caller, grant.as_ref()).await?;
                        }
                        return replay(answer);
                    }
                }
            }
            Some(KeptAnswer { unkept: Some(limit), position, .. }) => return Err(unkept(&app, &limit, position)),
            // What this claimed, though nobody could confirm it.
            Some(kept) if kept.claim_id == Some(claim.id) => break,
            Some(kept) if tokio::time::Instant::now() >= deadline => {
                return Err(Error::conflict(match kept.position {
                    Some(position) => format!(
                        "The request with this Idempotency-Key was carried out, at position {position} of the log, and its \
                         answer was lost with the node that made it. Read what there is; what it made can be deleted."
                    ),
                    None => "The first request with this Idempotency-Key is still running. Try again.".to_owned(),
                }));
            }
            // Whoever has it still works. Were it gone, the claim had found that out.
            Some(_) if found_running => {}
            none_or_running => {
                found_running = none_or_running.is_some();
                let turn = app.turn_to_write(holder).await?;
                let mut tx = app.store.begin_unlogged().await?;
                let claimed = idempotency::claim(&mut tx, &claim, &asked, holder, room).await?;
                tx.commit().await?;
                drop(turn);
                match claimed {
                    Claimed::Mine => break,
                    Claimed::Taken => {}
                    Claimed::Full => {
                        let what = "There are as many answers kept for an Idempotency-Key as";
                        return Err(IDEMPOTENCY_KEYS.exceeded(Code::Conflict, room.answers, what, WITHOUT));
                    }
                    Claimed::NoRoom => {
                        let what = "The answers that are kept for an Idempotency-Key leave no room for one more within";
                        return Err(IDEMPOTENCY_BYTES.exceeded(Code::Conflict, room.bytes, what, WITHOUT));
                    }
                }
            }
        }
        waited = true;
        tokio::time::sleep(LOOK).await;
    }
    // In a task of its own: when the client hangs up, its answer is still kept for the repetition.
    let request = Request::from_parts(parts, Body::from(body));
    let terms =
        WriteTerms { claim: Some(claim.clone()), wait: prefer::wait(request.headers())?, ..WriteTerms::present() };
    let running = tokio::spawn(async move {
        let response = TERMS.scope(terms, next.run(request)).await;
        carry_out(&app, holder, &claim, &sealing, response).await
    });
    running.await.map_err(Error::internal)?
}

/// What to do where there is no room for a further answer.
const WITHOUT: &str = "They end after an hour; until then, send requests without one.";

/// A request that was carried out and answered, and whose answer is not kept.
fn unkept(app: &App, limit: &str, position: Option<i64>) -> Error {
    let limit = if limit == IDEMPOTENCY_ANSWER.name { &IDEMPOTENCY_ANSWER } else { &IDEMPOTENCY_BYTES };
    let at = position.map(|it| format!(", at position {it} of the log,")).unwrap_or_default();
    let what = format!(
        "The request with this Idempotency-Key was carried out{at} and answered. Its answer is not kept: it went beyond"
    );
    let advice = "Nothing is done again. Read what there is; what it made can be deleted.";
    limit.exceeded(Code::Conflict, app.limits.get(limit), &what, advice)
}

/// Does the right of the request stand, by the rows?
async fn stands(app: &App, caller: &Caller, grant: Option<&Grant>) -> Result<()> {
    match grant {
        Some(grant) => app.store.stands(grant).await,
        None => app.store.stands(&caller.person()?).await,
    }
}

async fn find(app: &App, scope: &[u8; 32]) -> Result<Option<KeptAnswer>> {
    let mut reader = app.store.read().await?;
    idempotency::get(reader.conn(), scope).await
}

/// Keeps the answer, or gives the key back where nothing was changed.
async fn carry_out(app: &App, holder: Uuid, claim: &Claim, sealing: &[u8; 32], response: Response) -> Result<Response> {
    if !response.status().is_success() {
        // The answer is what counts; a key that cannot be given back now ends by itself.
        if let Err(error) = release(app, holder, claim).await {
            tracing::warn!(%error, cause = ?error.cause, "an Idempotency-Key cannot be given back; it ends in two minutes");
        }
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let most = app.limits.size(&IDEMPOTENCY_ANSWER);
    let body = match whole(body, most).await? {
        Ok(body) => body,
        Err(larger) => {
            noted(pass_over(app, holder, claim, IDEMPOTENCY_ANSWER.name).await);
            return Ok(Response::from_parts(parts, larger));
        }
    };
    let headers = parts.headers.iter().filter(|(name, _)| KEPT_HEADERS.contains(&name.as_str()));
    let head = Head {
        status: parts.status.as_u16(),
        headers: headers
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect(),
        body: None,
    };
    let plain = SealedAnswer::write(&head, &body)?;
    let sealed = seal::seal(sealing, &plain, app.store.random())?;
    noted(match sealed.len() <= most {
        true => keep(app, holder, claim, &sealed).await,
        false => pass_over(app, holder, claim, IDEMPOTENCY_ANSWER.name).await,
    });
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// What was done is answered as done, also where the answer cannot be kept: the key says that it was used.
fn noted(kept: Result<()>) {
    if let Err(error) = kept {
        tracing::warn!(%error, cause = ?error.cause, "an answer cannot be kept for its Idempotency-Key");
    }
}

/// A whole body of up to so many bytes. A larger one is not gathered: it goes on as it comes.
async fn whole(mut body: Body, most: usize) -> Result<Result<Bytes, Body>> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Error::internal)?.into_data() else { continue };
        read.extend_from_slice(&data);
        if read.len() > most {
            let begin = stream::once(std::future::ready(Ok::<_, axum::Error>(Bytes::from(read))));
            return Ok(Err(Body::from_stream(begin.chain(body.into_data_stream()))));
        }
    }
    Ok(Ok(read.into()))
}

async fn release(app: &App, holder: Uuid, claim: &Claim) -> Result<()> {
    let _turn = app.turn_to_write(holder).await?;
    let mut tx = app.store.begin_unlogged().await?;
    idempotency::release(&mut tx, claim).await?;
    tx.commit().await
}

async fn keep(app: &App, holder: Uuid, claim: &Claim, sealed: &[u8]) -> Result<()> {
    let _turn = app.turn_to_write(holder).await?;
    let mut tx = app.store.begin_unlogged().await?;
    if !idempotency::keep(&mut tx, claim, holder, sealed, app.limits.get(&IDEMPOTENCY_BYTES)).await? {
        idempotency::pass_over(&mut tx, claim, IDEMPOTENCY_BYTES.name).await?;
    }
    tx.commit().await
}

async fn pass_over(app: &App, holder: Uuid, claim: &Claim, limit: &str) -> Result<()> {
    let _turn = app.turn_to_write(holder).await?;
    let mut tx = app.store.begin_unlogged().await?;
    idempotency::pass_over(&mut tx, claim, limit).await?;
    tx.commit().await
}

async fn forget(app: &App, holder: Uuid, claim: &Claim) -> Result<()> {
    let _turn = app.turn_to_write(holder).await?;
    let mut tx = app.store.begin_unlogged().await?;
    idempotency::forget(&mut tx, claim).await?;
    tx.commit().await
}

/// Is the token of an answer still as it was made, or its secret the newest? Of everything else the answer counts.
async fn still_counts(app: &App, path: &str, answer: &SealedAnswer) -> Result<bool> {
    let rotated = match path.split('/').collect::<Vec<_>>().as_slice() {
        ["", "organization", _, "apiToken" | "policyApiToken"] => false,
        ["", "organization", _, "apiToken" | "policyApiToken", _, "rotate"] => true,
        _ => return Ok(true),
    };
    let made: Made = serde_json::from_slice(&answer.body).unwrap_or_default();
    let Some(id) = made.id else { return Ok(true) };
    let mut reader = app.store.read().await?;
    let token = tokens::kept(reader.conn(), &[id]).await?.pop();
    Ok(token.is_some_and(|it| match rotated {
        true => made.versions.first().and_then(|told| told.version).is_none_or(|told| told == u64::from(it.version)),
        false => version(answer).is_none_or(|told| told == it.updated_at),
    }))
}

/// What an answer says of the token that it is about.
#[derive(Default, Deserialize)]
struct Made {
    id: Option<Uuid>,
    #[serde(default)]
    versions: Vec<MadeVersion>,
}

#[derive(Deserialize)]
struct MadeVersion {
    #[serde(default)]
    version: Option<u64>,
}

/// The version that an answer told.
fn version(answer: &SealedAnswer) -> Option<Time> {
    let (_, etag) = answer.head.headers.iter().find(|(name, _)| name == header::ETAG.as_str())?;
    etag.trim_matches('"').parse().ok().map(Time)
}

fn opened(sealing: &[u8; 32], sealed: &[u8]) -> Result<SealedAnswer> {
    let plain = seal::open(sealing, sealed).ok_or_else(|| Error::internal("a kept answer cannot be opened"))?;
    SealedAnswer::read(&plain)
}

fn replay(answer: SealedAnswer) -> Result<Response> {
    let status = StatusCode::from_u16(answer.head.status).map_err(Error::internal)?;
    let mut response = (status, answer.body).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    for (name, value) in answer.head.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(HeaderName::from_static("idempotency-replayed"), HeaderValue::from_static("true"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_as_its_bytes_and_one_from_before_can_still_be_read() {
        let body = b"{\"name\":\"\xFF\"}\n {}".to_vec();
        let head = Head { status: 201, headers: vec![("etag".into(), "\"1\"".into())], body: None };
        let plain = SealedAnswer::write(&head, &body).unwrap();
        assert!(plain.ends_with(&body) && plain.len() < body.len() + 100, "no byte of it is written as a number");
        let read = SealedAnswer::read(&plain).unwrap();
        assert_eq!((read.head.status, &read.head.headers, &read.body), (201, &head.headers, &body));
        let before = serde_json::json!({ "status": 201, "headers": head.headers, "body": body });
        let read = SealedAnswer::read(before.to_string().as_bytes()).unwrap();
        assert_eq!((read.head.status, &read.head.headers, &read.body), (201, &head.headers, &body));
        assert!(SealedAnswer::read(b"").is_err() && SealedAnswer::read(&plain[..10]).is_err());
    }

    #[tokio::test]
    async fn a_larger_answer_goes_on_whole() {
        for (most, gathered) in [(3, true), (2, false), (0, false)] {
            let pieces = ["a", "b", "c"].map(|piece| Ok::<_, axum::Error>(Bytes::from_static(piece.as_bytes())));
            let came = whole(Body::from_stream(stream::iter(pieces)), most).await.unwrap();
            assert_eq!(came.is_ok(), gathered, "{most}");
            let all = match came {
                Ok(bytes) => bytes,
                Err(body) => body.collect().await.unwrap().to_bytes(),
            };
            assert_eq!(all, "abc", "{most}");
        }
    }
}
