//! The forms in which the log is exported, an event a line.
//!
//! What a person or a client has written into an event stays text in each of them: it makes no further line or field, and no
//! formula of a table.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use serde_json::{Value, json};
use tokenward_core::event::Kind;
use tokenward_store::events::Payload;
use tokenward_store::export::Exported;

/// A form of the log.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Format {
    /// A JSON object a line.
    #[default]
    Jsonl,
    /// A table for spreadsheets (RFC 4180).
    Csv,
    /// Open Cybersecurity Schema Framework 1.3.
    Ocsf,
    /// Common Event Format.
    Cef,
}

/// The columns of the table.
const COLUMNS: [&str; 18] = [
    "position",
    "time",
    "organization_id",
    "kind",
    "target_id",
    "target_name",
    "actor",
    "actor_kind",
    "actor_id",
    "origin",
    "address",
    "user_agent",
    "project",
    "environment",
    "before",
    "after",
    "id",
    "hash",
];

impl Format {
    /// Each with its word, and what it is for.
    pub const ALL: [(&str, Self, &str); 4] = [
        ("jsonl", Self::Jsonl, "JSON, an object a line, with everything"),
        ("csv", Self::Csv, "CSV, for spreadsheets"),
        ("ocsf", Self::Ocsf, "Open Cybersecurity Schema Framework 1.3, an object a line"),
        ("cef", Self::Cef, "Common Event Format, as SIEMs read it"),
    ];

    /// Its word, which a file of it ends in.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, format, _)| *format == self).map_or("", |(word, ..)| *word)
    }

    /// The form of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, ..)| *known == word).map(|(_, format, _)| *format)
    }

    /// What stands above the events.
    #[must_use]
    pub fn header(self) -> Option<String> {
        (self == Self::Csv).then(|| COLUMNS.join(",") + "\r\n")
    }

    /// One event, with the end of its line.
    #[must_use]
    pub fn line(self, event: &Exported) -> String {
        match self {
            Self::Jsonl => format!("{}\n", object(event)),
            Self::Csv => table_row(event),
            Self::Ocsf => format!("{}\n", ocsf(event)),
            Self::Cef => cef(event),
        }
    }
}

fn hash(event: &Exported) -> String {
    hex::encode(&event.skeleton.hash)
}

fn object(event: &Exported) -> Value {
    let (it, payload) = (&event.skeleton, event.payload.as_ref());
    let place =
        |pair: Option<&(tokenward_core::Uuid, String)>| pair.map(|(id, name)| json!({ "id": id, "name": name }));
    json!({
        "position": it.position,
        "id": it.id,
        "time": it.time,
        "organization_id": it.organization_id,
        "kind": it.kind,
        "target_id": it.target_id,
        "target_name": payload.map(|it| &it.target_name),
        "related_id": it.related_id,
        "actor": event.actor,
        "actor_kind": payload.map(|it| it.actor_kind),
        "actor_id": payload.and_then(|it| it.actor_id),
        "origin": event.origin,
        "address": payload.and_then(|it| it.address.as_ref()),
        "user_agent": payload.and_then(|it| it.user_agent.as_ref()),
        "project": place(payload.and_then(|it| it.project.as_ref())),
        "environment": place(payload.and_then(|it| it.environment.as_ref())),
        "environment_mode": payload.and_then(|it| it.environment_mode),
        "before": payload.and_then(|it| it.before.as_ref()),
        "after": payload.and_then(|it| it.after.as_ref()),
        "erased": payload.is_none(),
        "hash": hash(event),
    })
}

fn table_row(event: &Exported) -> String {
    let object = object(event);
    let cells = COLUMNS.map(|column| match &object[column] {
        Value::Null => String::new(),
        Value::String(text) => cell(text),
        Value::Object(place) if place.contains_key("name") && place.len() == 2 => {
            cell(place["name"].as_str().unwrap_or_default())
        }
        other => cell(&other.to_string()),
    });
    cells.join(",") + "\r\n"
}

/// A line of a table.
#[must_use]
pub fn csv_line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let cells: Vec<String> = cells.into_iter().map(cell).collect();
    cells.join(",") + "\r\n"
}

/// A cell. A program of tables takes what begins so for a formula; the mark before it makes it text.
fn cell(text: &str) -> String {
    let marked = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    };
    if marked.contains([',', '"', '\n', '\r', '\'']) {
        format!("\"{}\"", marked.replace('"', "\"\""))
    } else {
        marked.into_owned()
    }
}

/// What an event does in the words of both standards: OCSF's number of an activity of class 3004.
fn activity(kind: Option<Kind>) -> (u32, &'static str) {
    match kind.map(Kind::event_type) {
        Some("CREATE") => (1, "Create"),
        Some("UPDATE") => (3, "Update"),
        Some("DELETE") => (4, "Delete"),
        _ => (99, "Other"),
    }
}

/// What CEF, which has no field for it, is told of an event without its payload.
const ERASED: &str = "what it said was erased by retention";

fn ocsf(event: &Exported) -> Value {
    const ENTITY_MANAGEMENT: u32 = 3004;
    const AUTHENTICATION: u32 = 3002;
    let (it, payload) = (&event.skeleton, event.payload.as_ref());
    let kind = Kind::parse(&it.kind);
    let (class, (activity, activity_name)) = match kind {
        Some(Kind::SessionCreated) => (AUTHENTICATION, (1, "Logon")),
        Some(Kind::SessionEnded) => (AUTHENTICATION, (2, "Logoff")),
        kind => (ENTITY_MANAGEMENT, activity(kind)),
    };
    let user = json!({
        "name": event.actor,
        "uid": payload.and_then(|it| it.actor_id),
        "type": payload.map(|it| it.actor_kind),
    });
    let mut object = json!({
        "category_uid": 3,
        "class_uid": class,
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": class * 100 + activity,
        "severity_id": 1,
        "status_id": 1,
        "time": it.time.0.div_euclid(1_000),
        "metadata": {
            "version": "1.3.0",
            "uid": it.id,
            "sequence": it.position,
            "event_code": it.kind,
            "product": { "name": "Tokenward", "vendor_name": "Tokenward", "version": env!("CARGO_PKG_VERSION") },
        },
        "actor": { "user": user },
        "unmapped": {
            "organization_id": it.organization_id,
            "origin": event.origin,
            "before": payload.and_then(|it| it.before.as_ref()),
            "after": payload.and_then(|it| it.after.as_ref()),
            "hash": hash(event),
            "erased": payload.is_none(),
        },
    });
    if class == AUTHENTICATION {
        object["user"] = user;
        object["service"] = json!({ "name": "Tokenward" });
    } else {
        object["entity"] = json!({
            "uid": it.target_id,
            "name": payload.map(|it| &it.target_name),
            "type": kind.map(Kind::target_type),
        });
    }
    if let Some(address) = payload.and_then(|it| it.address.as_ref()) {
        object["src_endpoint"] = json!({ "ip": address });
    }
    if let Some(agent) = payload.and_then(|it| it.user_agent.as_ref()) {
        object["http_request"] = json!({ "user_agent": agent });
    }
    object
}

fn cef(event: &Exported) -> String {
    let (it, payload) = (&event.skeleton, event.payload.as_ref());
    let kind = Kind::parse(&it.kind);
    let title = it.kind.replace(['.', '_'], " ");
    let mut line = format!(
        "CEF:0|Tokenward|Tokenward|{}|{}|{}|3|",
        env!("CARGO_PKG_VERSION"),
        in_header(&it.kind),
        in_header(&title)
    );
    let text = |of: fn(&Payload) -> Option<String>| payload.and_then(of);
    let address = text(|it| it.address.clone());
    let is_six = address.as_ref().is_some_and(|it| it.parse().is_ok_and(|it: IpAddr| it.is_ipv6()));
    let fields = [
        ("rt", Some(it.time.0.div_euclid(1_000).to_string())),
        ("externalId", Some(it.position.to_string())),
        ("act", Some(activity(kind).1.to_owned())),
        ("suser", event.actor.clone()),
        ("suid", text(|it| it.actor_id.map(|id| id.to_string()))),
        (if is_six { "c6a2" } else { "src" }, address),
        ("c6a2Label", is_six.then(|| "Source IPv6 Address".to_owned())),
        ("requestClientApplication", text(|it| it.user_agent.clone())),
        ("cs1Label", Some("organization".to_owned())),
        ("cs1", it.organization_id.map(|id| id.to_string())),
        ("cs2Label", Some("target".to_owned())),
        ("cs2", Some(it.target_id.to_string())),
        ("cs3Label", Some("targetName".to_owned())),
        ("cs3", text(|it| Some(it.target_name.clone()))),
        ("cs4Label", Some("before".to_owned())),
        ("cs4", text(|it| it.before.as_ref().map(Value::to_string))),
        ("cs5Label", Some("after".to_owned())),
        ("cs5", text(|it| it.after.as_ref().map(Value::to_string))),
        ("cs6Label", Some("hash".to_owned())),
        ("cs6", Some(hash(event))),
        ("msg", payload.is_none().then(|| ERASED.to_owned())),
    ];
    let mut begun = false;
    for (name, value) in fields {
        let Some(value) = value else { continue };
        if std::mem::replace(&mut begun, true) {
            line.push(' ');
        }
        let _ = write!(line, "{name}={}", in_extension(&value));
    }
    line.push('\n');
    line
}

fn in_header(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\r', '\n'], " ")
}

fn in_extension(text: &str) -> String {
    text.replace('\\', "\\\\").replace('=', "\\=").replace('\r', "\\r").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use tokenward_core::event::ActorKind;
    use tokenward_core::{Time, Uuid};
    use tokenward_store::log::Skeleton;

    use super::*;

    /// An event into which somebody has put what could be more than text.
    fn hostile(name: &str) -> Exported {
        Exported {
            skeleton: Skeleton {
                position: 7,
                id: Uuid::from_u128(1),
                time: Time(1_800_000_000_123_456),
                organization_id: Some(Uuid::from_u128(2)),
                kind: "token.created".to_owned(),
                target_id: Uuid::from_u128(3),
                related_id: None,
                payload_digest: vec![1; 32],
                hash: vec![0xab; 32],
            },
            actor: Some("eve@acme.example".to_owned()),
            origin: Some("API".to_owned()),
            payload: Some(Payload {
                target_name: name.to_owned(),
                before: None,
                after: Some(json!({ "name": name })),
                project: None,
                environment: None,
                environment_mode: None,
                actor_kind: ActorKind::User,
                actor_id: None,
                address: Some("2001:db8::1".to_owned()),
                user_agent: Some(name.to_owned()),
            }),
        }
    }

    #[test]
    fn an_event_is_one_line_in_every_form_whatever_its_names_are() {
        for name in ["a\nb", "a\r\nb", "a|b=c\\d", "=1+1", "\"quoted\",cell", "@SUM(A1)"] {
            for (_, format, _) in Format::ALL {
                let line = format.line(&hostile(name));
                let inner = line.trim_end_matches(['\r', '\n']);
                // A cell may hold a line break; it is quoted then.
                let one = format == Format::Csv || !inner.contains(['\r', '\n']);
                assert!(one && line.ends_with('\n'), "{format:?} {line}");
            }
        }
    }

    #[test]
    fn a_formula_is_text_in_a_table() {
        for (name, cell) in
            [("=1+1", "\"'=1+1\""), ("-2", "\"'-2\""), ("a,b", "\"a,b\""), ("a\"b", "\"a\"\"b\""), ("x", "x")]
        {
            let line = Format::Csv.line(&hostile(name));
            assert!(line.contains(&format!(",{cell},")), "{line}");
        }
        assert_eq!(Format::Csv.header().unwrap().matches(',').count(), COLUMNS.len() - 1);
    }

    #[test]
    fn the_extension_of_cef_cannot_be_forged() {
        let line = Format::Cef.line(&hostile("x suser=root cs6=0\nCEF:0|"));
        assert!(line.starts_with("CEF:0|Tokenward|Tokenward|"), "{line}");
        assert!(line.contains("cs3=x suser\\=root cs6\\=0\\nCEF:0|") && line.contains("c6a2=2001:db8::1"), "{line}");
        assert!(line.contains("|token.created|token created|3|rt=1800000000123 externalId=7 act=Create"), "{line}");
    }

    #[test]
    fn ocsf_has_what_the_class_asks_for() {
        let object: Value = serde_json::from_str(&Format::Ocsf.line(&hostile("ci"))).unwrap();
        assert_eq!(
            (&object["class_uid"], &object["type_uid"], &object["time"]),
            (&json!(3004), &json!(300_401), &json!(1_800_000_000_123_i64))
        );
        assert_eq!((&object["entity"]["name"], &object["metadata"]["sequence"]), (&json!("ci"), &json!(7)));
        let mut session = hostile("s");
        session.skeleton.kind = "session.ended".to_owned();
        let object: Value = serde_json::from_str(&Format::Ocsf.line(&session)).unwrap();
        assert_eq!((&object["class_uid"], &object["type_uid"]), (&json!(3002), &json!(300_202)));
        assert!(object["user"]["name"].is_string() && object["service"]["name"].is_string());
    }

    #[test]
    fn an_erased_event_is_exported_with_what_is_left() {
        let erased = Exported { payload: None, actor: None, origin: None, ..hostile("x") };
        for (_, format, _) in Format::ALL {
            let line = format.line(&erased);
            assert!(line.contains("token.created") && !line.contains("eve@"), "{line}");
        }
        let object = |format: Format| serde_json::from_str::<Value>(&format.line(&erased)).unwrap();
        assert_eq!(object(Format::Jsonl)["erased"], true);
        assert_eq!(object(Format::Ocsf)["unmapped"]["erased"], true);
        assert!(Format::Cef.line(&erased).contains(ERASED) && !Format::Cef.line(&hostile("x")).contains(ERASED));
    }
}
