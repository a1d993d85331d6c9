//! The log itself: which one it is, and what became of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tokenward_api::checkpoints::{Checkpoint, EventProof, LogPage, ProofPage, ProvenEvent, WrittenEvents};
use tokenward_api::log::{LogStatus, LogTurn, LostEvent};
use tokenward_api::retention::{EventRetention, EventRetentionRequest};
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::permission::Management;
use tokenward_core::time::length_text;
use tokenward_core::{Error, Time, Uuid};
use tokenward_store::Position;
use tokenward_store::lineage::LineageChange;
use tokenward_store::proofs::Material;

use super::endpoint::{Endpoint, get, post, put};
use super::error::ApiError;
use super::extract::{Body, Params, Precondition, id, tagged, written, written_empty};
use super::json;
use super::right::PathResource;
use super::understood::{NO_MOMENT, QueryKind};
use crate::limits::PROOF_PAGE;
use crate::service::events::{self, EventWithProof};
use crate::service::retention::{self, Retention, VersionedRetention};
use crate::service::{App, log};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/organization/{organizationId}/log", show)
            .needs(Management::EventRead, PathResource::Organization)
            .about(
                "Events",
                "Which log is it, and has it ever gone on under another name: after a failover, or since the database was put \
                 back?",
            )
            .answers::<LogStatus>(200),
        post("/organization/{organizationId}/log/acknowledge", acknowledge)
            .needs(Management::OrganizationEdit, PathResource::Organization)
            .about("Events", "Acknowledge what became of the log, so that nobody is warned of it any more.")
            .answers_empty(204)
            .errors(&[409]),
        get("/organization/{organizationId}/eventRetention", retained)
            .needs(Management::EventRead, PathResource::Organization)
            .about("Events", "How long is kept what events say?")
            .answers::<EventRetention>(200),
        put("/organization/{organizationId}/eventRetention", retain)
            .needs(Management::OrganizationEdit, PathResource::Organization)
            .about(
                "Events",
                "Say how long is kept what events say: not longer than the server keeps it. What is older is erased within an \
                 hour, for ever; that something happened, when and to what, stays.",
            )
            .takes::<EventRetentionRequest>()
            .answers::<EventRetention>(200)
            .errors(&[400, 412]),
        get("/organization/{organizationId}/events/{eventId}/proof", proof)
            .needs(Management::EventRead, PathResource::Organization)
            .about("Events", "What is needed to check one event against what the server has signed of its log.")
            .answers::<EventProof>(200)
            .errors(&[409]),
        get("/organization/{organizationId}/log/proofs", proofs)
            .needs(Management::EventRead, PathResource::Organization)
            .about(
                "Events",
                "The same of all the organization's events, the oldest first, page by page; as far as they are covered by a \
                 checkpoint, which is made every hour.",
            )
            .query(&[("after", "Behind this position: `next` of the page before. Default: 0.")])
            .query_kinds(&[("after", QueryKind::Number)])
            .answers::<ProofPage>(200)
            .errors(&[400]),
        get("/organization/{organizationId}/log/entries", entries)
            .needs(Management::EventRead, PathResource::Organization)
            .about(
                "Events",
                "The log from its beginning to its end, page by page, to check that nothing of it is missing or was changed: the hash of \
                 every event, the organization's own events as they were written, and what was signed of them. A hash tells nothing of the \
                 event of somebody else.",
            )
            .query(&[("after", "Behind this position: `next` of the page before. Default: 0.")])
            .query_kinds(&[("after", QueryKind::Number)])
            .answers::<LogPage>(200)
            .errors(&[400]),
        get("/organization/{organizationId}/log/events", written_events)
            .needs(Management::EventRead, PathResource::Organization)
            .about(
                "Events",
                "The organization's events as they were written, the oldest first, page by page: to be carried elsewhere, and gone on with \
                 at any position.",
            )
            .query(&[
                ("after", "Behind this position: `next` of the page before, or the last one that you have. Default: 0."),
                ("fromTimestamp", "Not before; as for events."),
                ("toTimestamp", "Not after; as for events."),
            ])
            .query_kinds(&[("after", QueryKind::Number)])
            .answers::<WrittenEvents>(200)
            .errors(&[400]),
    ]
}

async fn show(State(app): State<Arc<App>>, Extension(grant): Extension<Grant>) -> Result<Json<LogStatus>, ApiError> {
    let status = log::status(&app, &grant).await?;
    let turn = |turn: &LineageChange| LogTurn {
        after: Position { incarnation: turn.before, number: turn.after_position }.to_string(),
        incarnation: turn.incarnation,
        why: turn.why.clone(),
        begun_at: turn.begun_at,
        acknowledged_at: turn.read_at,
        acknowledged_by: turn.read_by.clone(),
        lost: status.lost.iter().filter(|lost| lost.incarnation == turn.before).map(lost).collect(),
    };
    Ok(Json(LogStatus {
        position: status.end.to_string(),
        hash: hex::encode(&status.hash),
        warning: status.turns.iter().any(|turn| turn.read_at.is_none()),
        turns: status.turns.iter().map(turn).collect(),
    }))
}

fn lost(lost: &tokenward_store::lineage::Lost) -> LostEvent {
    LostEvent { kind: lost.kind.clone(), target_id: lost.target_id, time: lost.time, repaired: lost.repaired }
}

async fn acknowledge(State(app): State<Arc<App>>, Extension(grant): Extension<Grant>) -> Result<Response, ApiError> {
    Ok(written_empty(StatusCode::NO_CONTENT, &log::acknowledge(&app, grant).await?))
}

fn retention_body(retention: &Retention) -> EventRetention {
    let text = |length: Option<i64>| length.map(length_text);
    let Retention { own, server } = *retention;
    EventRetention { event_retention: text(own), server: text(server), effective: text(retention.effective()) }
}

async fn retained(State(app): State<Arc<App>>, Extension(grant): Extension<Grant>) -> Result<Response, ApiError> {
    let VersionedRetention { retention, updated_at } = retention::get(&app, &grant).await?;
    Ok(tagged(updated_at, Json(retention_body(&retention))))
}

async fn retain(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Precondition(if_match): Precondition,
    Body(sent): Body<EventRetentionRequest>,
) -> Result<Response, ApiError> {
    let read = sent.event_retention.as_deref().map(retention::read).transpose();
    let own = read.map_err(|problem| Error::invalid(retention::FIELD, problem))?;
    let set = retention::set(&app, grant, own, if_match).await?;
    let version = set.value.updated_at;
    Ok(tagged(version, written(StatusCode::OK, set, |dated| retention_body(&dated.retention))))
}

async fn proof(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, event)): Path<(Uuid, String)>,
) -> Result<Json<EventProof>, ApiError> {
    let proven = events::proof(&app, &grant, id("eventId", &event)?).await?;
    Ok(Json(event_proof(&app, proven)))
}

#[derive(Deserialize)]
struct ProofQuery {
    after: Option<i64>,
}

async fn proofs(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(query): Params<ProofQuery>,
) -> Result<Response, ApiError> {
    let limit = i64::from(PROOF_PAGE.number());
    let (proven, more) = events::proofs_after(&app, &grant, query.after.unwrap_or(0), limit).await?;
    let next = proven.last().map(|last| last.material.skeleton.position).filter(|_| more);
    let entries = proven.iter().map(|it| weight(&it.material) + it.path.len()).sum();
    let page = move || ProofPage { proofs: proven.into_iter().map(|it| event_proof(&app, it)).collect(), next };
    Ok(json::listed(grant.organization(), entries, page).await?)
}

/// For how many entries of a list an event counts, which may be long.
fn weight(it: &Material) -> usize {
    1 + it.kept.as_ref().map_or(0, |(_, payload)| payload.len() / 512)
}

async fn entries(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(query): Params<ProofQuery>,
) -> Result<Response, ApiError> {
    let after = query.after.unwrap_or(0).max(0);
    let stretch = events::stretch(&app, &grant, after).await?;
    // Where there is a hole it stays there, which is how it is seen.
    let last = after.saturating_add(i64::try_from(stretch.hashes.len()).unwrap_or(0));
    let entries = stretch.hashes.len() + stretch.own.iter().map(weight).sum::<usize>();
    let page = move || LogPage {
        log: stretch.end.incarnation,
        position: stretch.end.number,
        first: after.saturating_add(1),
        hashes: stretch.hashes.iter().map(hex::encode).collect(),
        events: stretch.own.into_iter().map(proven_event).collect(),
        checkpoints: stretch.checkpoints.iter().map(Checkpoint::from).collect(),
        public_key: app.checkpoints.signer.public_key().to_string(),
        next: Some(last).filter(|last| *last < stretch.end.number),
    };
    Ok(json::listed(grant.organization(), entries, page).await?)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenQuery {
    after: Option<i64>,
    from_timestamp: Option<String>,
    to_timestamp: Option<String>,
}

async fn written_events(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(query): Params<WrittenQuery>,
) -> Result<Response, ApiError> {
    let mut faults = Faults::default();
    let mut moment = |name: &'static str, text: Option<String>, read: fn(&str) -> Option<Time>| {
        let text = text.filter(|text| !text.is_empty())?;
        let moment = read(&text);
        if moment.is_none() {
            faults.push(name, NO_MOMENT);
        }
        moment
    };
    let since = moment("fromTimestamp", query.from_timestamp, Time::parse_query);
    let until = moment("toTimestamp", query.to_timestamp, Time::parse_query_end);
    faults.finish()?;
    let (found, more) = events::written_after(&app, &grant, query.after.unwrap_or(0), (since, until)).await?;
    let next = found.last().map(|last| last.skeleton.position).filter(|_| more);
    let entries = found.iter().map(weight).sum();
    let page = move || WrittenEvents { events: found.into_iter().map(proven_event).collect(), next };
    Ok(json::listed(grant.organization(), entries, page).await?)
}

fn proven_event(material: Material) -> ProvenEvent {
    let (salt, payload) = material.kept.map(|(salt, payload)| (hex::encode(salt), payload)).unzip();
    let it = material.skeleton;
    ProvenEvent {
        position: it.position,
        id: it.id,
        time: it.time,
        organization_id: it.organization_id,
        kind: it.kind,
        target_id: it.target_id,
        related_id: it.related_id,
        payload_digest: hex::encode(it.payload_digest),
        before: hex::encode(material.before),
        hash: hex::encode(it.hash),
        salt,
        payload,
    }
}

fn event_proof(app: &App, proven: EventWithProof) -> EventProof {
    let EventWithProof { material, path, checkpoint } = proven;
    EventProof {
        event: proven_event(material),
        path: path.iter().map(hex::encode).collect(),
        checkpoint: Checkpoint::from(&checkpoint),
        public_key: app.checkpoints.signer.public_key().to_string(),
    }
}
