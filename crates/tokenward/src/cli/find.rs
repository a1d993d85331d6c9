//! From a name or an id, as a person types it, to the thing itself.

use serde_json::Value;

use super::output::{Failure, Result, text};

/// How many names an error offers.
const OFFERED: usize = 12;

/// The thing whose id or name is `wanted`. An exact name wins; then one that differs in case only.
pub fn find<'a>(list: &'a [Value], wanted: &str, what: &str) -> Result<&'a Value> {
    find_by(list, wanted, "name", what)
}

/// Like [`find`], with another field than the name.
pub fn find_by<'a>(list: &'a [Value], wanted: &str, key: &str, what: &str) -> Result<&'a Value> {
    let lower = wanted.to_lowercase();
    let mut similar = list.iter().filter(|item| text(item, key).to_lowercase() == lower);
    let exact = list.iter().find(|item| text(item, "id") == lower || text(item, key) == wanted);
    match (exact, similar.next(), similar.next()) {
        (Some(found), _, _) | (None, Some(found), None) => Ok(found),
        _ => Err(absent(list, wanted, key, what)),
    }
}

fn absent(list: &[Value], wanted: &str, key: &str, what: &str) -> Failure {
    let failure = Failure::not_found(format!("There is no {what} `{wanted}`, or you may not see it."));
    if list.is_empty() {
        return failure;
    }
    let mut names: Vec<_> = list.iter().take(OFFERED).map(|item| text(item, key)).collect();
    if list.len() > OFFERED {
        names.push(format!("and {} more", list.len() - OFFERED));
    }
    failure.hint(format!("There is: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::Exit;

    #[test]
    fn an_exact_name_wins_over_a_similar_one() {
        let list = [
            json!({ "id": "1", "name": "CI" }),
            json!({ "id": "2", "name": "ci" }),
            json!({ "id": "3", "name": "Web" }),
        ];
        let id = |wanted| find(&list, wanted, "token").map(|item| text(item, "id"));
        assert_eq!(id("ci"), Ok("2".to_owned()));
        assert_eq!(id("CI"), Ok("1".to_owned()));
        assert_eq!(id("web"), Ok("3".to_owned()));
        assert_eq!(id("3"), Ok("3".to_owned()));
        assert_eq!(id("Ci").unwrap_err().exit, Exit::NotFound, "two are similar: none is meant for sure");
        assert!(id("x").unwrap_err().lines[1].contains("CI, ci, Web"));
    }
}
