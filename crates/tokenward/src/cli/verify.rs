//! `tokenward verify`.

use std::collections::HashMap;
use std::net::IpAddr;

use clap::Args;
use serde_json::{Value, json};
use tokenward_core::permission::Permission;
use tokenward_core::reason::Reason;
use tokenward_core::secret::{Kind, Prefixes, Presented};
use tokenward_core::token::kind_name;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::output::{self, Exit, Failure, Result, moment, print, text, verdict};
use super::{Context, Global, prompt};
use crate::note::note;

/// `tokenward verify`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// The token; `-` or nothing reads it from standard input, where no process list shows it
    #[arg(value_name = "TOKEN|-")]
    token: Option<String>,
    /// Also ask whether it may do this
    #[arg(long, value_name = "NOUN:VERB", value_parser = permission)]
    permission: Option<String>,
    #[command(flatten)]
    resource: ResourceArgs,
    /// The address that the token was used from
    #[arg(long, value_name = "ADDRESS")]
    remote_ip: Option<IpAddr>,
    /// Ask whether it may send this request to the API of this name
    #[arg(long, value_name = "NAME", requires = "path")]
    api: Option<String>,
    /// The path of that request
    #[arg(long, requires = "api")]
    path: Option<String>,
    /// The method of that request
    #[arg(long, default_value = "GET", requires = "api")]
    method: String,
    /// Look at form and checksum only; no server is asked
    #[arg(long, conflicts_with_all = ["permission", "project", "environment", "cluster", "remote_ip", "api"])]
    offline: bool,
}

/// What a permission is asked about.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub struct ResourceArgs {
    /// The project that it is about
    #[arg(long, value_name = "ID", requires = "permission")]
    project: Option<Uuid>,
    /// The environment that it is about
    #[arg(long, value_name = "ID", requires = "permission")]
    environment: Option<Uuid>,
    /// The cluster that it is about
    #[arg(long, value_name = "ID", requires = "permission")]
    cluster: Option<Uuid>,
}

/// A concrete permission, as clap reads it.
pub fn permission(text: &str) -> std::result::Result<String, String> {
    Permission::parse(text).map(|_| text.to_owned())
}

/// A token from an argument, or from standard input.
pub fn presented(argument: Option<String>) -> Result<Zeroizing<String>> {
    let token = match argument {
        Some(token) if token != "-" => {
            note(
                "warning: a token given as an argument can be seen in the process list and in the shell's history; \
                 pipe it in instead.",
            );
            Zeroizing::new(token)
        }
        _ => prompt::secret("Token: ")?,
    };
    let trimmed = token.trim();
    if trimmed.is_empty() {
        return Err(Failure::usage("There is no token: standard input was empty."));
    }
    Ok(Zeroizing::new(trimmed.to_owned()))
}

/// Form and checksum of a token, with a prefix of any server.
///
/// Which prefixes a server accepts is its own setting; whether a text was damaged can be told without knowing it.
pub fn well_formed(token: &str) -> Option<Kind> {
    if let Some(presented) = Presented::parse(token, &Prefixes::default()) {
        return Some(presented.kind);
    }
    let (prefix, _) = token.split_at(token.rfind('_')? + 1);
    if ["twd_", "twp_", "tws_"].contains(&prefix) {
        return None;
    }
    Presented::parse(token, &Prefixes::new(&[prefix.to_owned()], &[]).ok()?).map(|presented| presented.kind)
}

pub async fn run(args: VerifyArgs, global: &Global) -> Result {
    let token = presented(args.token)?;
    let Some(kind) = well_formed(&token) else {
        return tell(&json!({ "valid": false, "code": Reason::Malformed.as_str() }), global);
    };
    if args.offline {
        if global.json {
            // Neither yes nor no: only a server knows whether it is valid.
            return output::json(&json!({ "valid": null, "code": "well_formed", "kind": kind_name(kind) }));
        }
        return print("well formed: the checksum fits. Only the server knows whether it is valid.");
    }
    let mut question = json!({ "token": *token });
    if let Some(permission) = args.permission {
        question["permission"] = permission.into();
    }
    let ids = [
        ("project_id", args.resource.project),
        ("environment_id", args.resource.environment),
        ("cluster_id", args.resource.cluster),
    ];
    let resource: HashMap<_, _> = ids.into_iter().filter_map(|(key, id)| Some((key, id?))).collect();
    if !resource.is_empty() {
        question["resource"] = json!(resource);
    }
    if let Some(address) = args.remote_ip {
        question["remote_ip"] = json!(address);
    }
    if let (Some(api), Some(path)) = (args.api, args.path) {
        question["api"] = api.into();
        question["request"] = json!({ "method": args.method.to_ascii_uppercase(), "path": path });
    }
    let context = Context::open(global)?;
    tell(&context.client.post("/verify", &question).await?, global)
}

/// Tells the answer of `/verify`, and turns it into an exit code.
pub fn tell(answer: &Value, global: &Global) -> Result {
    let valid = answer["valid"] == true;
    if global.json {
        output::json(answer)?;
    } else {
        print(&sentence(answer))?;
    }
    if valid { Ok(()) } else { Err(Failure::silent(Exit::Refused)) }
}

fn sentence(answer: &Value) -> String {
    let code = text(answer, "code");
    let mut lines = vec![match Reason::ALL.into_iter().find(|reason| reason.as_str() == code) {
        _ if answer["valid"] == true => verdict(true, "valid"),
        Some(reason) => format!("{}: {}", verdict(false, &code), reason.sentence()),
        None => verdict(false, &output::clean(&code)),
    }];
    let missing = text(answer, "missing_permission");
    if !missing.is_empty() {
        lines.push(output::clean(&format!("Missing permission: {missing}")));
    }
    let token = &answer["token"];
    if token.is_object() {
        // A revoked token has no other end.
        let end = match (token.get("expires_at"), moment(token, "expires_at")) {
            (None, _) => String::new(),
            (Some(_), at) if at.is_empty() => ", never expires".to_owned(),
            (Some(_), at) => format!(", expires {at}"),
        };
        lines.push(output::clean(&format!("Token `{}`, role {}{end}", text(token, "name"), text(token, "role_name"))));
    }
    let decision = text(answer, "decision_id");
    if !decision.is_empty() {
        lines.push(output::clean(&format!("Decision: {decision}")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use tokenward_core::Random;
    use tokenward_core::secret::PlainText;

    use super::*;

    /// Not random at all, and different from byte to byte.
    struct Counter;

    impl Random for Counter {
        fn fill(&self, buffer: &mut [u8]) {
            for (n, byte) in buffer.iter_mut().enumerate() {
                *byte = n as u8;
            }
        }
    }

    fn made(kind: Kind, prefixes: &Prefixes) -> PlainText {
        PlainText::generate(kind, prefixes, &Counter)
    }

    #[test]
    fn the_checksum_is_checked_without_a_server() {
        for kind in [Kind::Token, Kind::PolicyToken, Kind::Session] {
            let token = made(kind, &Prefixes::default());
            assert_eq!(well_formed(token.expose()), Some(kind));
            let damaged = token.expose().replacen('5', "6", 1);
            assert_eq!(well_formed(&damaged), None);
        }
        for bad in ["", "_", "twd_", "twd", "hello world", "twd_\u{e9}", "Basic_x", "a_b_c_"] {
            assert_eq!(well_formed(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_server_with_a_prefix_of_its_own_is_no_obstacle() {
        let prefixes = Prefixes::new(&["acme_live_".into()], &["acmep_".into()]).unwrap();
        let token = made(Kind::Token, &prefixes);
        assert!(well_formed(token.expose()).is_some());
        assert_eq!(well_formed(&token.expose().replacen('5', "6", 1)), None);
    }

    #[test]
    fn a_denial_says_why_and_what_was_missing() {
        let answer = json!({ "valid": false, "code": "permission_denied", "missing_permission": "a:b",
            "token": { "name": "ci\u{1b}[2J", "role_name": "viewer", "expires_at": null } });
        let told = sentence(&answer);
        assert!(told.starts_with("permission_denied: The role"), "{told}");
        assert!(told.contains("a:b") && told.contains("viewer, never expires") && !told.contains('\u{1b}'), "{told}");
    }

    #[test]
    fn a_pattern_is_no_question() {
        assert!(permission("invoices:read").is_ok() && permission("*").is_err() && permission("token:fly").is_err());
    }
}
