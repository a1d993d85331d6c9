//! Many questions in one request, answered in their order.

use axum::response::Response;
use tokenward_core::error::Fault;
use tokenward_core::{Code, Error};

use super::direct::Unanswered;
use super::json;
use crate::limits::BATCH;

/// After so many questions the thread gives way to those who wait for a processor.
const IN_A_ROW: usize = 64;

/// The answers to the `tokens` of a batch as its `results`, for each of which there is so much room. `answer` writes one behind
/// the other, so that none is ever in memory twice.
pub(super) fn answers<Q>(
    tokens: &[Q],
    room: usize,
    mut answer: impl FnMut(&Q, &mut Vec<u8>) -> Result<(), Unanswered>,
) -> Result<Response, Unanswered> {
    if tokens.is_empty() {
        return Err(Error::invalid("tokens", "must hold at least one question").into());
    }
    BATCH.check_list(tokens).map_err(|problem| Error::invalid("tokens", problem))?;
    let mut body = Vec::with_capacity(tokens.len() * room);
    body.extend_from_slice(br#"{"results":["#);
    let mut faults = Vec::new();
    for (at, question) in tokens.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        if at % IN_A_ROW == IN_A_ROW - 1 {
            std::thread::yield_now();
        }
        match answer(question, &mut body) {
            Ok(()) => {}
            // One question that cannot be understood fails the batch: an answer that stands in another's place, or a
            // `valid:false` for a slip of the pen, would be worse.
            Err(Unanswered::Failed(error)) if error.code == Code::InvalidRequest => faults.extend(
                error
                    .faults
                    .into_iter()
                    .map(|fault| Fault { field: format!("tokens[{at}].{}", fault.field), problem: fault.problem }),
            ),
            Err(why) => return Err(why),
        }
    }
    if !faults.is_empty() {
        return Err(Error::faults(faults).into());
    }
    body.extend_from_slice(b"]}");
    Ok(json::response(body))
}
