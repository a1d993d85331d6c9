//! `tokenward verify`.

use std::net::IpAddr;

use clap::Args;
use serde_json::{Value, json};
use tokenward_api::Text;
use tokenward_api::verify::{HttpRequest, ResourceRequest, Verification, VerifyRequest};
use tokenward_core::permission::Permission;
use tokenward_core::reason::Reason;
use tokenward_core::secret::{BEHIND_PREFIX, Kind, Prefixes, Presented};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::answer::ApiAnswer;
use super::output::{self, Exit, Failure, Result, moment, print, verdict};
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

/// What can be told of a text without a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Its checksum fits: Tokenward made it, with whatever prefix.
    Ours(Kind),
    /// Another system may have made it. Only a server knows whether somebody registered it there.
    Foreign,
    /// It is damaged, or never was a token.
    Malformed,
}

/// Form and checksum of a text, with a prefix of any server.
///
/// Which prefixes a server accepts is its own setting; whether a text of ours was damaged can be told without knowing it.
pub fn form(token: &str) -> Form {
    let own = Prefixes::default();
    if let Some(presented) = Presented::parse(token, &own) {
        return Form::Ours(presented.kind);
    }
    let (prefix, behind) = token.split_at(token.rfind('_').map_or(0, |at| at + 1));
    let is_default = Kind::ALL.iter().any(|kind| kind.prefix() == prefix);
    if !is_default
        && let Ok(prefixes) = Prefixes::new(&[prefix.to_owned()], &[])
        && let Some(presented) = Presented::parse(token, &prefixes)
    {
        return Form::Ours(presented.kind);
    }
    let like_ours =
        !prefix.is_empty() && behind.len() == BEHIND_PREFIX && behind.bytes().all(|it| it.is_ascii_alphanumeric());
    if !like_ours && Presented::foreign(token, &own).is_some() { Form::Foreign } else { Form::Malformed }
}

pub async fn run(args: VerifyArgs, global: &Global) -> Result {
    let token = presented(args.token)?;
    let form = form(&token);
    if form == Form::Malformed {
        let malformed = Verification {
            valid: false,
            code: Reason::Malformed.as_str().into(),
            token: None,
            missing_permission: None,
            retry_after: None,
            decision_id: None,
        };
        return print_answer(&malformed, &json!(malformed), global);
    }
    if args.offline {
        let (code, kind, told) = match form {
            Form::Ours(kind) => ("well_formed", Some(kind), "well formed: the checksum fits."),
            Form::Foreign | Form::Malformed => ("foreign", None, "not made here: it may be one of another system."),
        };
        if global.json {
            // Neither yes nor no: only a server knows whether it is valid.
            return output::json(&json!({ "valid": null, "code": code, "kind": kind }));
        }
        return print(&format!("{told} Only the server knows whether it is valid."));
    }
    let ResourceArgs { project: project_id, environment: environment_id, cluster: cluster_id } = args.resource;
    let resource = ResourceRequest { project_id, environment_id, cluster_id };
    let method = args.method.to_ascii_uppercase();
    let question = VerifyRequest {
        permission: args.permission.as_deref().map(Text::from),
        resource: (resource != ResourceRequest::default()).then_some(resource),
        remote_ip: args.remote_ip,
        api: args.api.as_deref().map(Text::from),
        request: args.path.as_deref().map(|path| HttpRequest {
            method: (&*method).into(),
            path: path.into(),
            body: None,
        }),
        ..asking(&token)
    };
    let context = Context::open(global)?;
    ask(&question, &context).await
}

/// The plainest question about a token: whose is it?
pub fn asking(token: &str) -> VerifyRequest<'_> {
    VerifyRequest {
        token: token.into(),
        permission: None,
        resource: None,
        remote_ip: None,
        user_agent: None,
        api: None,
        request: None,
        include: None,
        at_least: None,
    }
}

/// Asks the server, tells its answer, and turns it into an exit code.
pub async fn ask(question: &VerifyRequest<'_>, context: &Context<'_>) -> Result {
    let answer: ApiAnswer<Verification<'static>> = context.client.post("/verify", question).await?;
    print_answer(&answer, &answer.raw, context.global)
}

fn print_answer(answer: &Verification<'_>, raw: &Value, global: &Global) -> Result {
    if global.json {
        output::json(raw)?;
    } else {
        print(&sentence(answer))?;
    }
    if answer.valid { Ok(()) } else { Err(Failure::silent(Exit::Refused)) }
}

fn sentence(answer: &Verification<'_>) -> String {
    let code = &*answer.code;
    let mut lines = vec![match Reason::ALL.into_iter().find(|reason| reason.as_str() == code) {
        _ if answer.valid => verdict(true, "valid"),
        Some(reason) => format!("{}: {}", verdict(false, code), reason.sentence()),
        None => verdict(false, &output::clean(code)),
    }];
    if let Some(missing) = &answer.missing_permission {
        lines.push(output::clean(&format!("Missing permission: {missing}")));
    }
    if let Some(token) = &answer.token {
        let end = match token.expires_at {
            // A revoked token has no other end.
            None => String::new(),
            Some(None) => ", never expires".to_owned(),
            Some(Some(at)) => format!(", expires {}", moment(at)),
        };
        lines.push(output::clean(&format!("Token `{}`, role {}{end}", token.name, token.role_name)));
    }
    if let Some(decision) = &answer.decision_id {
        lines.push(output::clean(&format!("Decision: {decision}")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use tokenward_api::verify::VerifiedToken;
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
            assert_eq!(form(token.expose()), Form::Ours(kind));
            let damaged = token.expose().replacen('5', "6", 1);
            assert_eq!(form(&damaged), Form::Malformed);
        }
        for bad in ["", "_", "twd_", "twd", "hello world", "twd_\u{e9}", "Basic_x", "a_b_c_"] {
            assert_eq!(form(bad), Form::Malformed, "{bad}");
        }
    }

    #[test]
    fn a_server_with_a_prefix_of_its_own_is_no_obstacle() {
        let prefixes = Prefixes::new(&["acme_live_".into()], &["acmep_".into()]).unwrap();
        let token = made(Kind::Token, &prefixes);
        assert!(matches!(form(token.expose()), Form::Ours(_)));
        assert_eq!(form(&token.expose().replacen('5', "6", 1)), Form::Malformed);
    }

    #[test]
    fn a_text_of_another_system_is_left_to_the_server() {
        for foreign in
            ["sk_live_51MzQ0aBcDeFgHiJ", "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl", "0123456789abcdef0123456789abcdef"]
        {
            assert_eq!(form(foreign), Form::Foreign, "{foreign}");
        }
    }

    #[test]
    fn a_denial_says_why_and_what_was_missing() {
        let id = Uuid::nil();
        let answer = Verification {
            valid: false,
            code: "permission_denied".into(),
            token: Some(VerifiedToken {
                id,
                name: "ci\u{1b}[2J".into(),
                kind: "api_token".into(),
                organization_id: id,
                role_id: id,
                role_name: "viewer".into(),
                expires_at: Some(None),
                labels: None,
                metadata: None,
            }),
            missing_permission: Some("a:b".into()),
            retry_after: None,
            decision_id: None,
        };
        let told = sentence(&answer);
        assert!(told.starts_with("permission_denied: The role"), "{told}");
        assert!(told.contains("a:b") && told.contains("viewer, never expires") && !told.contains('\u{1b}'), "{told}");
    }

    #[test]
    fn a_pattern_is_no_question() {
        assert!(permission("invoices:read").is_ok() && permission("*").is_err() && permission("token:fly").is_err());
    }
}
