//! The event log as people read it.

use askama::Template;
use serde_json::Value;
use tokenward_core::event::Kind;

use super::{Choice, ChoiceGroup, Moment, Pager, Shell};

/// What an event did, for its colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    /// Something came to be.
    Made,
    /// Something was changed.
    Changed,
    /// Something was taken away.
    Gone,
}

impl Tone {
    /// The tone of the contract's `event_type`.
    #[must_use]
    pub fn of(event_type: &str) -> Self {
        match event_type {
            "CREATE" | "ACCEPT" => Self::Made,
            "DELETE" => Self::Gone,
            _ => Self::Changed,
        }
    }
}

/// A field that an event changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldChange {
    /// Its name.
    pub field: String,
    /// What it was; `None` when it was not there.
    pub before: Option<String>,
    /// What it is; `None` when it is no longer there.
    pub after: Option<String>,
}

impl FieldChange {
    /// What differs between two snapshots: field by field where both are objects.
    #[must_use]
    pub fn between(before: Option<&Value>, after: Option<&Value>) -> Vec<Self> {
        let fields = |value: Option<&Value>| match value {
            Some(Value::Object(map)) => map.clone(),
            Some(Value::Null) | None => serde_json::Map::new(),
            Some(other) => std::iter::once(("value".to_owned(), other.clone())).collect(),
        };
        let (before, after) = (fields(before), fields(after));
        let mut names: Vec<&String> = after.keys().collect();
        names.extend(before.keys().filter(|name| !after.contains_key(*name)));
        names
            .into_iter()
            .filter(|name| before.get(*name).filter(|v| !v.is_null()) != after.get(*name).filter(|v| !v.is_null()))
            .map(|name| Self {
                field: name.clone(),
                before: before.get(name).and_then(text),
                after: after.get(name).and_then(text),
            })
            .collect()
    }
}

/// A value for people: text without quotes, a list line by line, anything else as it is written.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if items.is_empty() => Some("none".into()),
        Value::Array(items) => Some(items.iter().filter_map(text).collect::<Vec<_>>().join("\n")),
        Value::Object(told) if told.contains_key("count") => Some(long_list(told)),
        other => Some(other.to_string()),
    }
}

/// A list that was too long for the log: how many entries it has, and those that it names.
fn long_list(told: &serde_json::Map<String, Value>) -> String {
    let mut lines = vec![format!("{} in all", told["count"])];
    for (key, mark) in [("first", ""), ("added", "+ "), ("removed", "- ")] {
        let named = told.get(key).and_then(Value::as_array).into_iter().flatten();
        lines.extend(named.filter_map(text).map(|entry| format!("{mark}{entry}")));
    }
    lines.join("\n")
}

/// What happened, in words: `API token created`.
#[must_use]
pub fn event_label(kind: Kind) -> String {
    let (thing, verb) = kind.as_str().split_once('.').unwrap_or((kind.as_str(), ""));
    let thing = match thing {
        "token" => "API token".to_owned(),
        "api" => "API routes".to_owned(),
        "sign_in_link" => "Sign-in link".to_owned(),
        other => {
            let mut words = other.replace('_', " ");
            if let Some(first) = words.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            words
        }
    };
    let verb = match (kind, verb) {
        (Kind::ApiUpdated, _) => "written",
        (Kind::SessionCreated, _) => "opened",
        (Kind::IdentityLinked, _) => "linked",
        (Kind::IdentityMoved, _) => "changed",
        (Kind::IdentityRemoved, _) => "unlinked",
        (Kind::PasskeyAdded, _) => "added",
        (Kind::PasskeyRenamed, _) => "renamed",
        (Kind::PasskeyRemoved, _) => "removed",
        (Kind::PasskeyCounterFell, _) => "refused: it may have a copy",
        (_, "updated") => "changed",
        (_, "resent") => "sent again",
        (_, verb) => verb,
    };
    // `token.overlap_ended`.
    format!("{thing} {}", verb.replace('_', " "))
}

/// An event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventRow {
    /// Its position in the log.
    pub position: String,
    /// When.
    pub at: Moment,
    /// Who: an e-mail address, a token's name, `operator`.
    pub who: String,
    /// Is it older than what events say is kept?
    pub erased: bool,
    /// What that is: `user`, `token`, `operator`, `visitor`.
    pub who_kind: String,
    /// The id of that user or token.
    pub who_id: Option<String>,
    /// What happened, in words; see [`event_label`].
    pub what: String,
    /// Its colour.
    pub tone: Tone,
    /// What it happened to; empty when that was erased.
    pub target: String,
    /// The page of that, while it exists and the person may open it.
    pub target_href: Option<String>,
    /// By which client, as people read it: `Console`, `API`, `CLI`, `Terraform`.
    pub origin: String,
    /// The stable name of what happened: `token.created`.
    pub kind: String,
    /// The id of what it happened to.
    pub target_id: Option<String>,
    /// From which address.
    pub address: Option<String>,
    /// The client's own words for itself.
    pub user_agent: Option<String>,
    /// What changed.
    pub changes: Vec<FieldChange>,
}

/// The filters of the log, as the form shows them. It sends `what`, `target`, `kind`, `about`, `origin`, `who`,
/// `address`, `from`, `to`.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct EventFilters {
    /// Kinds of change; the first stands for all.
    pub what: Vec<Choice>,
    /// Kinds of target; the first stands for all.
    pub target: Vec<Choice>,
    /// Single kinds of events, by what they are about.
    pub kinds: Vec<ChoiceGroup>,
    /// What the changes were made to: a part of its name, or its id.
    pub about: String,
    /// Clients; the first stands for all.
    pub origin: Vec<Choice>,
    /// Who: a part of the name.
    pub who: String,
    /// From which address.
    pub address: String,
    /// The first day, `YYYY-MM-DD`.
    pub from: String,
    /// The last day, `YYYY-MM-DD`.
    pub to: String,
    /// The id of what the changes were made to, from a link; empty for everything.
    pub target_id: String,
    /// Does any of them narrow the list?
    pub active: bool,
}

/// `…/events`.
#[derive(Template, Clone, Debug)]
#[template(path = "events.html")]
pub struct EventsPage {
    /// The frame.
    pub shell: Shell,
    /// The events, the newest first.
    pub events: Vec<EventRow>,
    /// The filters.
    pub filters: EventFilters,
    /// Older and newer ones.
    pub pager: Pager,
    /// Are older entries no longer kept in full? The sentence that says so.
    pub retention: Option<String>,
}

/// What is known of the log.
#[derive(Clone, Debug)]
pub enum LogVerdict {
    /// Nobody has asked.
    Never,
    /// It is being looked through.
    Running {
        /// Up to here.
        seen: String,
        /// Of so many.
        end: String,
    },
    /// It could not be read.
    Failed {
        /// When.
        at: Moment,
    },
    /// It is what was written.
    Holds {
        /// When.
        at: Moment,
        /// How many entries.
        events: String,
        /// How many without their details; empty for none.
        erased: String,
        /// How many signed checkpoints say the same.
        checkpoints: usize,
        /// What is said of those that nobody could compare with; empty for none.
        unknown: String,
        /// Where it ends.
        head: String,
    },
    /// It is not.
    Fails {
        /// When that was found.
        at: Moment,
        /// The first position that does not fit.
        position: String,
        /// What is wrong there.
        fault: String,
    },
}

/// `…/events/verify`.
#[derive(Template, Clone, Debug)]
#[template(path = "log-check.html")]
pub struct LogCheckPage {
    /// The frame.
    pub shell: Shell,
    /// What is known.
    pub verdict: LogVerdict,
    /// The key that checks what this server signs.
    pub public_key: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_names_only_what_differs() {
        let before = json!({"name": "ci", "description": null, "role_name": "admin", "permissions": ["a:read"]});
        let after =
            json!({"name": "ci", "role_name": "devops", "permissions": ["a:read", "b:read"], "expires_at": "x"});
        let mut changes = FieldChange::between(Some(&before), Some(&after));
        changes.sort_by(|a, b| a.field.cmp(&b.field));
        let texts: Vec<_> =
            changes.iter().map(|c| (c.field.as_str(), c.before.as_deref(), c.after.as_deref())).collect();
        assert_eq!(
            texts,
            [
                ("expires_at", None, Some("x")),
                ("permissions", Some("a:read"), Some("a:read\nb:read")),
                ("role_name", Some("admin"), Some("devops")),
            ]
        );
        let long = json!({"permissions": {"count": 30, "added": ["c:read"], "removed": ["a:read"]}});
        let told = &FieldChange::between(Some(&json!({"permissions": {"count": 31}})), Some(&long))[0];
        assert_eq!(
            (told.before.as_deref(), told.after.as_deref()),
            (Some("31 in all"), Some("30 in all\n+ c:read\n- a:read"))
        );
        assert!(FieldChange::between(None, None).is_empty());
        assert_eq!(FieldChange::between(Some(&json!("a")), None)[0].field, "value");
    }

    #[test]
    fn every_kind_has_words() {
        for kind in Kind::ALL {
            let label = event_label(*kind);
            assert!(label.contains(' ') && !label.contains('_') && !label.contains('.'), "{label}");
            assert!(label.starts_with(|c: char| c.is_ascii_uppercase()), "{label}");
        }
        assert_eq!(event_label(Kind::TokenCreated), "API token created");
        assert_eq!(event_label(Kind::ProjectVariableUpdated), "Project variable changed");
        assert_eq!(event_label(Kind::SessionCreated), "Session opened");
    }
}
