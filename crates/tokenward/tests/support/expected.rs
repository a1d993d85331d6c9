//! Whole answers of the API as tests expect them: status and body.

use serde_json::{Value, json};

/// An error without further fields.
pub fn error(status: u16, name: &str, code: &str, detail: &str) -> (u16, Value) {
    (status, json!({ "status": status, "error": name, "detail": detail, "message": detail, "code": code }))
}

/// The answer to a request with faults, each a field and what is wrong with it.
pub fn invalid(faults: &[(&str, &str)]) -> (u16, Value) {
    let detail: Vec<String> = faults.iter().map(|(field, problem)| format!("`{field}` {problem}")).collect();
    let faults: Vec<Value> =
        faults.iter().map(|(field, problem)| json!({ "field": field, "problem": problem })).collect();
    with(error(400, "Bad Request", "invalid_request", &detail.join("; ")), json!({ "faults": faults }))
}

/// The answer to a caller whose role lacks a permission.
pub fn forbidden(permission: &str) -> (u16, Value) {
    let detail = format!("This needs the permission `{permission}`, which your role does not have.");
    let more = json!({ "missing_permission": permission, "reason": "permission_denied" });
    with(error(403, "Forbidden", "permission_denied", &detail), more)
}

/// The answer to a credential that is refused.
pub fn refused(reason: &str, detail: &str) -> (u16, Value) {
    with(error(401, "Unauthorized", reason, detail), json!({ "reason": reason }))
}

/// The answer about something that does not exist, or that the caller may not see.
pub fn not_found(what: &str) -> (u16, Value) {
    error(404, "Not Found", "not_found", &format!("There is no such {what}, or you may not see it."))
}

/// An answer with more fields.
pub fn with((status, mut body): (u16, Value), more: Value) -> (u16, Value) {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    (status, body)
}
