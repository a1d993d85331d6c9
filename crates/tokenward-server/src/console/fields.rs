//! Which fields each form of the console has. A form is refused with one that its page does not know, by its name: whoever sends
//! forms without a browser must not believe that something was set which was passed over.

use std::collections::HashSet;

use tokenward_core::nearest::known_words;
use tokenward_core::{Error, Result};

use super::form::Pairs;
use super::way_back;
use crate::limits::QUERY;

/// The first field of every form.
const CSRF: &str = "csrf";
/// Where there is no page, so that nothing is read.
const NOWHERE: &str = "/console/{organization}/{*rest}";

/// The fields of a token, beside those that its form has besides.
macro_rules! token {
    [$($own:literal),*] => {
        &[
            $($own,)*
            "name",
            "description",
            "role_id",
            "expires",
            "expires_on",
            "begins",
            "begins_on",
            "networks",
            "permissions",
            "projects",
            "rate_limit",
            "quota",
            "labels",
            "metadata",
            "owner_id",
            "successor_id",
            "password",
            "otp",
        ]
    };
}

/// The fields of the forms that are sent to each path. A field can be there once; one with `[]` behind it several times, and `.*`
/// stands for all that begin so. A form that is sent to any other path has no field but the first.
const FORMS: &[(&str, &[&str])] = &[
    ("/set-up/{secret}", &["organization", "name", "email", "password"]),
    ("/sign-in", &["email", "password", "next"]),
    ("/sign-in/passkey", &["credential", "next"]),
    ("/sign-in/code", &["otp"]),
    ("/sign-in/identity", &["invitation", "take_over"]),
    ("/sign-in/forgot", &["email"]),
    ("/sign-in/reset/{secret}", &["password", "was_not_me"]),
    ("/sign-in/{secret}", &["password", "was_not_me"]),
    ("/invitation/{id}/{secret}", &["name", "password"]),
    ("/console/new", &["name", "description"]),
    (
        "/console/command-line",
        &["port", "state", "challenge", "host", "organization", "hours", "do", "password", "otp"],
    ),
    ("/console/device", &["code", "organization", "hours", "do", "password", "otp"]),
    ("/console/account/name", &["name"]),
    ("/console/account/email", &["email", "password", "otp"]),
    ("/console/account/password", &["current_password", "new_password", "otp"]),
    ("/console/account/password/set", &["new_password"]),
    ("/console/account/password/remove", CONFIRM),
    ("/console/account/identities/link", &["password", "otp"]),
    ("/console/account/two-factors", &["next", "password", "otp"]),
    ("/console/account/proof", &["next", "password", "otp"]),
    ("/console/account/identities/{identity}/remove", CONFIRM),
    ("/console/account/passkeys", &["name", "credential", "password", "otp"]),
    ("/console/account/passkeys/begin", &["password", "otp"]),
    ("/console/account/passkeys/prove", &["credential"]),
    ("/console/account/passkeys/{passkey}", &["name"]),
    ("/console/account/passkeys/{passkey}/remove", CONFIRM),
    ("/console/account/second-factor", &["set_up", "next", "password", "otp"]),
    ("/console/account/second-factor/codes", CONFIRM),
    ("/console/account/second-factor/remove", CONFIRM),
    ("/console/{organization}/tokens", token!["shown"]),
    ("/console/{organization}/tokens/find", FIND),
    ("/console/{organization}/tokens/import", &["rows", "confirmed", "password", "otp"]),
    ("/console/{organization}/tokens/bulk", BULK),
    ("/console/{organization}/tokens/revoke-all", &["created_before", "reason", "note", "confirm", "password", "otp"]),
    ("/console/{organization}/tokens/{token}/edit", token!["version", "sure"]),
    ("/console/{organization}/tokens/{token}/rotate", ROTATE),
    ("/console/{organization}/tokens/{token}/disable", CONFIRM),
    ("/console/{organization}/tokens/{token}/enable", CONFIRM),
    ("/console/{organization}/tokens/{token}/undo", CONFIRM),
    ("/console/{organization}/tokens/{token}/secrets/{version}/end", CONFIRM),
    ("/console/{organization}/tokens/{token}/brownout", &["minutes", "every", "lasts"]),
    ("/console/{organization}/tokens/{token}/delete", &["reason", "note"]),
    (
        "/console/{organization}/policy-tokens",
        token!["shown", "action", "opa_policy", "method", "path", "body", "gateway"],
    ),
    (
        "/console/{organization}/policy-tokens/{token}/edit",
        token!["version", "sure", "action", "opa_policy", "method", "path", "body", "gateway"],
    ),
    ("/console/{organization}/policy-tokens/find", FIND),
    ("/console/{organization}/policy-tokens/bulk", BULK),
    ("/console/{organization}/policy-tokens/{token}/brownout", &["minutes", "every", "lasts"]),
    ("/console/{organization}/policy-tokens/{token}/rotate", ROTATE),
    ("/console/{organization}/policy-tokens/{token}/disable", CONFIRM),
    ("/console/{organization}/policy-tokens/{token}/enable", CONFIRM),
    ("/console/{organization}/policy-tokens/{token}/undo", CONFIRM),
    ("/console/{organization}/policy-tokens/{token}/secrets/{version}/end", CONFIRM),
    ("/console/{organization}/policy-tokens/{token}/delete", &["reason", "note"]),
    ("/console/{organization}/members/invite", &["email", "role_id"]),
    ("/console/{organization}/members/transfer", &["user_id", "confirm", "password", "otp"]),
    ("/console/{organization}/members/{user}", &["role_id", "fate[]", "overlap", "keep_invitations", "hand_over_to"]),
    ("/console/{organization}/members/{user}/remove", &["fate[]", "overlap", "keep_invitations", "hand_over_to"]),
    ("/console/{organization}/roles/new", ROLE),
    ("/console/{organization}/roles/{role}", ROLE),
    ("/console/{organization}/roles/{role}/delete", &["role_id", "confirm", "password", "otp"]),
    ("/console/{organization}/apis/new", API),
    ("/console/{organization}/apis/{name}", API),
    ("/console/{organization}/apis/{name}/delete", CONFIRM),
    ("/console/{organization}/projects/new", &["name", "description"]),
    ("/console/{organization}/projects/{project}", &["name", "description"]),
    ("/console/{organization}/projects/{project}/delete", CONFIRM),
    ("/console/{organization}/projects/{project}/environments/new", ENVIRONMENT),
    ("/console/{organization}/projects/{project}/environments/{id}", ENVIRONMENT),
    ("/console/{organization}/projects/{project}/environments/{id}/delete", CONFIRM),
    ("/console/{organization}/clusters/new", CLUSTER),
    ("/console/{organization}/clusters/{cluster}", CLUSTER),
    ("/console/{organization}/clusters/{cluster}/delete", CONFIRM),
    (
        "/console/{organization}/settings",
        &["name", "description", "website_url", "repository", "admin_emails", "forbids_device"],
    ),
    ("/console/{organization}/settings/event-retention", &["event_retention"]),
    (
        "/console/{organization}/settings/token-policy",
        &["version", "max_lifetime", "default_lifetime", "max_overlap", "attest_every", "on_reuse", "end_required"],
    ),
    ("/console/{organization}/settings/sign-in", &["version", "provider[]", "value[]", "role_id[]", "password", "otp"]),
    ("/console/{organization}/settings/sign-in/only/{key}", &["version", "password", "otp"]),
    ("/console/{organization}/settings/sign-in/any", &["version", "password", "otp"]),
    (
        "/console/{organization}/settings/sign-in/sessions",
        &["version", "session_lifetime", "session_idle", "password", "otp"],
    ),
    (
        "/console/{organization}/settings/sign-in/two-factors",
        &["version", "grace_days", "one_factor", "password", "otp"],
    ),
    ("/console/{organization}/settings/delete", CONFIRM),
];

/// What a question before something ends can ask for.
const CONFIRM: &[&str] = &["confirm", "password", "otp"];
const FIND: &[&str] = &[
    "q",
    "filter",
    "sort",
    "role",
    "owner",
    "maker",
    "label",
    "state",
    "restricted",
    "ends_from",
    "ends_to",
    "used_from",
    "used_to",
    "needed",
    "policy",
];
const BULK: &[&str] =
    &["action", "set", "token[]", "reason", "note", "expires", "expires_on", "owner_id", "password", "otp"];
const ROTATE: &[&str] = &["version", "keep", "when_silent", "password", "otp"];
const ROLE: &[&str] = &[
    "version",
    "name",
    "description",
    "api[]",
    "permissions",
    "token_verify",
    "token_rotate_self",
    "event_read",
    "project.*",
    "all.*",
    "cluster.*",
    "action",
];
const API: &[&str] = &["version", "name", "document", "unknown_route", "allow_paths[]", "action"];
const ENVIRONMENT: &[&str] = &["name", "mode", "cluster"];
const CLUSTER: &[&str] = &["name", "description", "cloud_provider", "region", "production"];

/// Refuses a form that was sent to this path with a field that its page does not know, or twice with one that it has once.
pub(super) fn understood(path: &str, form: &Pairs) -> Result<()> {
    if path == NOWHERE {
        return Ok(());
    }
    let known = FORMS.iter().find(|(known, _)| *known == path).map_or(&[][..], |(_, fields)| *fields);
    let goes_back = way_back::is_field_of(path);
    let mut seen = HashSet::new();
    for (name, _) in form.below("") {
        let of_all = name == CSRF || (goes_back && name == way_back::BACK);
        if of_all || known.iter().any(|field| field.strip_suffix(".*").is_some_and(|begin| begins(name, begin))) {
            if !seen.insert(name) {
                return Err(twice(name));
            }
            continue;
        }
        match known.iter().find(|field| field.trim_end_matches("[]") == name) {
            None => {
                let names = known.iter().map(|field| field.trim_end_matches("[]"));
                let name = QUERY.shown(name);
                return Err(Error::invalid(name, format!("is no field of this form; {}", known_words(name, names))));
            }
            Some(field) if !field.ends_with("[]") && !seen.insert(name) => return Err(twice(name)),
            Some(_) => {}
        }
    }
    Ok(())
}

/// Is it one of the fields that begin so, and then a dot?
fn begins(name: &str, begin: &str) -> bool {
    name.strip_prefix(begin).is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'))
}

fn twice(name: &str) -> Error {
    Error::invalid(QUERY.shown(name), "is there twice, and the form has it once")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::view::samples;

    fn said(path: &str, form: &str) -> String {
        let checked = understood(path, &Pairs::parse(form.as_bytes()));
        checked.err().map_or_else(String::new, |error| error.detail.to_string())
    }

    #[test]
    fn a_field_that_a_form_does_not_have_is_refused_by_its_name() {
        const NEW: &str = "/console/{organization}/tokens";
        const ROLE: &str = "/console/{organization}/roles/new";
        assert_eq!(said(NEW, "csrf=x&name=ci&role_id=1&expires=never"), "");
        assert!(said(NEW, "csrf=x&expires_at=2027-01-01").contains("`expires_on`"));
        assert!(said(NEW, "csrf=x&network=10.0.0.0/8").contains("`networks`"));
        assert!(said(NEW, "csrf=x&name=a&name=b").contains("is there twice"));
        assert!(said(NEW, "csrf=x&csrf=y").contains("is there twice"));
        assert_eq!(said(ROLE, "csrf=x&api=a:b&api=c:d&project.1.admin=on&project.1.STAGING=VIEWER&all.admin=yes"), "");
        for wrong in ["project.=on", "project=on", "projects.1.admin=on", "project.1.admin=on&project.1.admin=off"] {
            assert!(!said(ROLE, &format!("csrf=x&{wrong}")).is_empty(), "{wrong}");
        }
        let bulk = "/console/{organization}/tokens/bulk";
        assert_eq!(said(bulk, "csrf=x&action=delete&token=1&token=2"), "");
        // What is opened from a list says from which, and nothing else does.
        assert_eq!(said(bulk, "csrf=x&action=delete&token=1&back=tokens%3Ffilter%3Dsoon"), "");
        assert!(said(bulk, "csrf=x&back=a&back=b").contains("is there twice"));
        assert!(said("/console/{organization}/tokens/find", "csrf=x&back=a").contains("is no field of this form"));
        // A list is searched by all that narrows it.
        for field in way_back::TOKEN_FILTERS {
            for kind in ["tokens", "policy-tokens"] {
                assert_eq!(said(&format!("/console/{{organization}}/{kind}/find"), &format!("csrf=x&{field}=1")), "");
            }
        }
        // A path that is not in the table takes nothing.
        assert_eq!(said("/sign-out", "csrf=x"), "");
        assert!(said("/sign-out", "csrf=x&everywhere=on").contains("there is none"));
        let long = said("/sign-out", &format!("csrf=x&{}=1", "a".repeat(10_000)));
        assert!(long.len() < 400, "{long}");
    }

    /// The path of the table that an address of the sample pages is on.
    fn table_path(action: &str) -> Option<&'static str> {
        let parts: Vec<&str> = action.split('?').next().unwrap_or_default().split('/').collect();
        let fits = |path: &&str| {
            let names: Vec<&str> = path.split('/').collect();
            names.len() == parts.len()
                && names.iter().zip(&parts).all(|(name, part)| name.starts_with('{') || name == part)
        };
        // What is named comes before what is any text.
        let mut all: Vec<&'static str> = FORMS.iter().map(|(path, _)| *path).filter(fits).collect();
        all.sort_by_key(|path| path.matches('{').count());
        all.first().copied()
    }

    #[test]
    fn every_form_that_pages_show_is_taken_with_all_of_its_fields() {
        let (mut forms, mut fields) = (0, 0);
        for (page, html) in samples::pages() {
            for form in html.split("<form method=\"post\"").skip(1) {
                let form = form.split("</form>").next().unwrap_or_default();
                let Some((_, action)) = form.split_once("action=\"") else { continue };
                let action = action.split('"').next().unwrap_or_default();
                forms += 1;
                for name in form.split(" name=\"").skip(1) {
                    let name = name.split('"').next().unwrap_or_default();
                    let path = table_path(action).unwrap_or("");
                    let pairs = Pairs::from_iter([(name, String::new())]);
                    let taken = understood(path, &pairs);
                    assert!(taken.is_ok(), "{page}: {action} ({path}) has {name}: {taken:?}");
                    fields += 1;
                }
            }
        }
        assert!(forms > 100 && fields > 300, "{forms} forms, {fields} fields");
    }
}
