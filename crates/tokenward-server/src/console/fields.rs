//! Which fields each form of the console has, and what bounds each. A form is refused with one that its page does not know, by its
//! name: whoever sends forms without a browser must not believe that something was set which was passed over.

use std::collections::HashSet;

use tokenward_core::nearest::known_words;
use tokenward_core::{Error, Result};

use super::form::Pairs;
use super::way_back;
use crate::limits::{
    ADMIN_EMAILS_TEXT, ALLOW_PATHS, API_NAME, CLUSTER_BYTES, CODE_CHARACTERS, DESCRIPTION, EMAIL, FORM_WORD, HOST_NAME,
    Limit, MEMBER_TOKENS, NAME, NEXT_PATH, PASSKEY_BYTES, PASSWORD, PASTED_DOCUMENT_BYTES, POLICY_CHARACTERS,
    PRESENTED_BYTES, QUERY, REQUEST_BODY, ROLE_PERMISSIONS, ROLE_PERMISSIONS_CHARACTERS,
    SECOND_FACTOR_SET_UP_CHARACTERS, SIGN_IN_RULE_VALUE, SIGN_IN_RULES, TOKEN_BULK_IDS, TOKEN_IMPORT_CHARACTERS,
    TOKEN_LABELS_BYTES, TOKEN_METADATA_TEXT, TOKEN_NETWORKS_CHARACTERS, TOKEN_PERMISSIONS_CHARACTERS,
    TOKEN_PLACES_CHARACTERS,
};

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

/// The fields of the forms that are sent to each path that takes one. A field can be there once; one with `[]` behind it several
/// times, and `.*` stands for all that begin so. Some forms have no field but the first.
const FORMS: &[(&str, &[&str])] = &[
    ("/set-up/{secret}", &["organization", "name", "email", "password"]),
    ("/sign-in", &["email", "password", "next"]),
    ("/sign-in/passkey", &["credential", "next"]),
    ("/sign-in/passkey/begin", &[]),
    ("/sign-in/code", &["otp"]),
    ("/sign-in/identity", &["invitation", "take_over"]),
    ("/sign-in/forgot", &["email"]),
    ("/sign-in/reset/{secret}", &["password", "was_not_me"]),
    ("/sign-in/email/{secret}", &[]),
    ("/sign-in/{secret}", &["password", "was_not_me"]),
    ("/invitation/{id}/{secret}", &["name", "password"]),
    ("/sign-out", &[]),
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
    ("/console/account/sessions/{session}/end", &[]),
    ("/console/account/sessions/end-others", &[]),
    ("/console/account/identities/link", &["password", "otp"]),
    ("/console/account/two-factors", &["next", "password", "otp"]),
    ("/console/account/proof", &["next", "password", "otp"]),
    ("/console/account/identities/{identity}/remove", CONFIRM),
    ("/console/account/passkeys", &["name", "credential", "password", "otp"]),
    ("/console/account/passkeys/begin", &["password", "otp"]),
    ("/console/account/passkeys/prove", &["credential"]),
    ("/console/account/passkeys/prove/begin", &[]),
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
    ("/console/{organization}/tokens/{token}/brownout/end", &[]),
    ("/console/{organization}/tokens/{token}/attest", &[]),
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
    ("/console/{organization}/policy-tokens/{token}/brownout/end", &[]),
    ("/console/{organization}/policy-tokens/{token}/attest", &[]),
    ("/console/{organization}/policy-tokens/{token}/rotate", ROTATE),
    ("/console/{organization}/policy-tokens/{token}/disable", CONFIRM),
    ("/console/{organization}/policy-tokens/{token}/enable", CONFIRM),
    ("/console/{organization}/policy-tokens/{token}/undo", CONFIRM),
    ("/console/{organization}/policy-tokens/{token}/secrets/{version}/end", CONFIRM),
    ("/console/{organization}/policy-tokens/{token}/delete", &["reason", "note"]),
    ("/console/{organization}/members/invite", &["email", "role_id"]),
    ("/console/{organization}/members/transfer", &["user_id", "confirm", "password", "otp"]),
    (
        "/console/{organization}/members/{user}",
        &["role_id", "fate[]", "rest", "overlap", "keep_invitations", "hand_over_to"],
    ),
    (
        "/console/{organization}/members/{user}/remove",
        &["fate[]", "rest", "overlap", "keep_invitations", "hand_over_to"],
    ),
    ("/console/{organization}/members/{user}/detach", &[]),
    ("/console/{organization}/invitations/{invitation}/resend", &[]),
    ("/console/{organization}/invitations/{invitation}/delete", &[]),
    ("/console/{organization}/roles/new", ROLE),
    ("/console/{organization}/roles/{role}", ROLE),
    ("/console/{organization}/roles/{role}/delete", &["role_id", "confirm", "password", "otp"]),
    ("/console/{organization}/apis/new", API),
    ("/console/{organization}/apis/{name}", &["version", "document", "unknown_route", "allow_paths[]", "action"]),
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
    ("/console/{organization}/events/verify", &[]),
    (
        "/console/{organization}/settings",
        &["name", "description", "website_url", "repository", "admin_emails", "forbids_device"],
    ),
    ("/console/{organization}/settings/event-retention", &["event_retention"]),
    ("/console/{organization}/settings/token-policy/shorten", &[]),
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
    "ends",
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
const API: &[&str] = &["name", "document", "unknown_route", "allow_paths[]", "action"];
const ENVIRONMENT: &[&str] = &["name", "mode", "cluster"];
const CLUSTER: &[&str] = &["name", "description", "cloud_provider", "region", "production"];

/// Who says that a field is too long.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tells {
    /// Its page, beside the field: what somebody has written is there to be shortened.
    Page,
    /// Whoever reads the form: nobody has written that much.
    Guard,
}

use Tells::{Guard, Page};

/// How much longer than its limit a field may be for its page to say so. What is longer by far is not sent back and forth.
const FAR: usize = 16;

/// What bounds a field, by the path of its form, which is empty for all others, and its name. Every other field is one of
/// [`FORM_WORD`], so that none is without a limit.
static BOUNDS: &[(&str, &str, &Limit, Tells)] = &[
    ("/set-up/{secret}", "organization", &NAME, Page),
    ("/console/account/passkeys", "name", &NAME, Guard),
    ("/console/{organization}/apis/new", "name", &API_NAME, Page),
    ("/console/{organization}/roles/new", "permissions", &ROLE_PERMISSIONS_CHARACTERS, Guard),
    ("/console/{organization}/roles/{role}", "permissions", &ROLE_PERMISSIONS_CHARACTERS, Guard),
    ("/console/{organization}/clusters/new", "description", &CLUSTER_BYTES, Page),
    ("/console/{organization}/clusters/{cluster}", "description", &CLUSTER_BYTES, Page),
    ("", "name", &NAME, Page),
    ("", "region", &NAME, Page),
    ("", "description", &DESCRIPTION, Page),
    ("", "note", &DESCRIPTION, Page),
    ("", "website_url", &DESCRIPTION, Page),
    ("", "repository", &DESCRIPTION, Page),
    ("", "admin_emails", &ADMIN_EMAILS_TEXT, Page),
    ("", "email", &EMAIL, Page),
    ("", "new_password", &PASSWORD, Page),
    ("", "password", &PASSWORD, Guard),
    ("", "current_password", &PASSWORD, Guard),
    ("", "otp", &CODE_CHARACTERS, Guard),
    ("", "set_up", &SECOND_FACTOR_SET_UP_CHARACTERS, Guard),
    ("", "credential", &PASSKEY_BYTES, Page),
    ("", "next", &NEXT_PATH, Guard),
    ("", "host", &HOST_NAME, Guard),
    ("", "networks", &TOKEN_NETWORKS_CHARACTERS, Page),
    ("", "permissions", &TOKEN_PERMISSIONS_CHARACTERS, Page),
    ("", "projects", &TOKEN_PLACES_CHARACTERS, Page),
    ("", "labels", &TOKEN_LABELS_BYTES, Page),
    ("", "metadata", &TOKEN_METADATA_TEXT, Page),
    ("", "rows", &TOKEN_IMPORT_CHARACTERS, Page),
    ("", "opa_policy", &POLICY_CHARACTERS, Page),
    ("", "path", &PRESENTED_BYTES, Guard),
    ("", "body", &REQUEST_BODY, Guard),
    ("", "document", &PASTED_DOCUMENT_BYTES, Page),
    ("", "value", &SIGN_IN_RULE_VALUE, Page),
];

/// How often those fields can be there that a form has several times. Their pages count them.
static ENTRIES: &[(&str, &Limit)] = &[
    ("token[]", &TOKEN_BULK_IDS),
    ("fate[]", &MEMBER_TOKENS),
    ("api[]", &ROLE_PERMISSIONS),
    ("provider[]", &SIGN_IN_RULES),
    ("value[]", &SIGN_IN_RULES),
    ("role_id[]", &SIGN_IN_RULES),
    ("allow_paths[]", &ALLOW_PATHS),
];

/// What bounds this field of the form at a path.
fn bound(path: &str, name: &str) -> (&'static Limit, Tells) {
    let own = BOUNDS.iter().find(|(form, field, ..)| *field == name && (form.is_empty() || *form == path));
    own.map_or((&FORM_WORD, Guard), |(_, _, limit, tells)| (*limit, *tells))
}

/// A field of a form, and what bounds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FormInput {
    /// The path that the form is sent to.
    pub path: &'static str,
    /// The name of the field; one with `.*` behind it stands for all that begin so.
    pub name: &'static str,
    /// What its text holds at most.
    pub text: &'static Limit,
    /// How often it can be there, where that is more than once.
    pub entries: Option<&'static Limit>,
}

/// Every path of the console that takes a form, also one without a field of its own.
pub fn form_paths() -> impl Iterator<Item = &'static str> {
    FORMS.iter().map(|(path, _)| *path)
}

/// Every field of every form of the console.
pub fn form_inputs() -> impl Iterator<Item = FormInput> {
    FORMS.iter().flat_map(|(path, fields)| {
        fields.iter().map(move |field| {
            let name = field.trim_end_matches("[]");
            let entries = ENTRIES.iter().find(|(several, _)| several == field).map(|(_, limit)| *limit);
            FormInput { path, name, text: bound(path, name).0, entries }
        })
    })
}

/// Refuses a form that was sent to this path with a field that its page does not know, twice with one that it has once, or with
/// more in one than anybody has written.
pub(super) fn understood(path: &str, form: &Pairs) -> Result<()> {
    if path == NOWHERE {
        return Ok(());
    }
    let known = FORMS.iter().find(|(known, _)| *known == path).map_or(&[][..], |(_, fields)| *fields);
    let goes_back = way_back::is_field_of(path);
    let mut seen = HashSet::new();
    for (name, value) in form.below("") {
        let of_all = name == CSRF || (goes_back && name == way_back::BACK);
        if of_all || known.iter().any(|field| field.strip_suffix(".*").is_some_and(|begin| begins(name, begin))) {
            if !seen.insert(name) {
                return Err(twice(name));
            }
            // The one is compared, and the other has bounds of its own.
            if !of_all {
                short(name, value, &FORM_WORD)?;
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
            Some(_) => {
                let (limit, tells) = bound(path, name);
                if tells == Guard || value.len() > limit.size().saturating_mul(FAR) {
                    short(name, value, limit)?;
                }
            }
        }
    }
    Ok(())
}

fn short(name: &str, value: &str, limit: &Limit) -> Result<()> {
    limit.check_text(value).map_err(|problem| Error::invalid(QUERY.shown(name), problem))
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
        // A form without a field takes none.
        assert_eq!(said("/sign-out", "csrf=x"), "");
        assert!(said("/sign-out", "csrf=x&everywhere=on").contains("there is none"));
        let long = said("/sign-out", &format!("csrf=x&{}=1", "a".repeat(10_000)));
        assert!(long.len() < 400, "{long}");
    }

    #[test]
    fn every_field_has_a_limit_and_what_nobody_writes_is_told_here() {
        const NEW: &str = "/console/{organization}/tokens";
        const ROLE: &str = "/console/{organization}/roles/new";
        let a = |count: usize| "a".repeat(count);
        for (path, field, most, limit) in [
            (NEW, "role_id", 512, "form_word_characters"),
            (NEW, "password", 512, "password_bytes"),
            (NEW, "otp", 64, "code_characters"),
            ("/sign-in", "next", 2_000, "next_characters"),
            ("/console/command-line", "host", 64, "host_name_characters"),
            (ROLE, "project.1.STAGING", 512, "form_word_characters"),
            ("/console/{organization}/tokens/bulk", "token", 512, "form_word_characters"),
            // Its page tells it, unless it is longer by far.
            (NEW, "name", FAR * 128, "name_characters"),
            (NEW, "networks", FAR * 195_000, "token_networks_characters"),
        ] {
            assert_eq!(said(path, &format!("csrf=x&{field}={}", a(most))), "", "{field}");
            let told = said(path, &format!("csrf=x&{field}={}", a(most + 1)));
            assert!(
                told.contains(&format!("`{limit}`")) && told.contains(field) && told.len() < 300,
                "{field}: {told}"
            );
        }
        let all: Vec<FormInput> = form_inputs().collect();
        assert!(all.len() > 200, "{}", all.len());
        // Neither table says something of what no form has.
        for (path, name, ..) in BOUNDS {
            let has = |it: &&FormInput| it.name == *name && (path.is_empty() || it.path == *path);
            assert!(all.iter().any(|it| has(&it)), "{path} {name}");
        }
        let several = FORMS.iter().flat_map(|(_, fields)| fields.iter()).filter(|field| field.ends_with("[]"));
        let several: HashSet<&str> = several.copied().collect();
        assert_eq!(several, ENTRIES.iter().map(|(field, _)| *field).collect::<HashSet<&str>>());
    }

    /// What walks over the forms would pass over one that is not in the table. That each row is a route too, a test over HTTP sees.
    #[test]
    fn every_path_that_takes_a_form_is_in_the_table_once() {
        let router = include_str!("mod.rs");
        let taken = router.matches(".post(").count() + router.matches("form_page::of_form(").count();
        let paths: HashSet<&str> = form_paths().collect();
        assert_eq!((taken, paths.len()), (FORMS.len(), FORMS.len()));
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
