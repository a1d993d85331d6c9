//! Who may write what: a function of the store that writes for a grant asks whether it is the grant for that, and what is
//! written for no permission of an organization is named here.

use std::collections::BTreeSet;

use super::{File, Rule, breaks, has_word, holds};

const STORE: &str = "crates/tokenward-store/src/";

/// Functions that write for a grant and leave it to another one to ask it, by module, and what they only read.
const ASKED_ELSEWHERE: &[(&str, &[&str], &str)] = &[
    ("tokens", &["insert"], "`insert_all` asks"),
    ("tokens/many", &["insert_all"], "`new_rows` asks for each"),
    ("tokens/many", &["revoke_policy_token"], "`revoke_policy_tokens` asks"),
    ("tokens/many", &["switch_all", "set_ends"], "`set_all` asks for each kind"),
    ("tokens/rotate", &["rotate"], "`rotate_all` asks"),
    ("roles", &["assignable", "assignable_to", "is_of", "built_in"], "they read, for a write that asks"),
];

/// What is written in a transaction for no permission of an organization, by module and function, and why.
const FOR_NO_PERMISSION: &[(&str, &[&str], &str)] = &[
    ("accounts", &["insert", "update", "prove_email", "is_free", "set_email", "set_password"], PERSON),
    ("accounts", &["remove_password", "insert_link", "take_link"], PERSON),
    ("account_links", &["insert_reset", "take_reset", "insert_change", "finish_change"], PERSON),
    ("account_links", &["forget_changes_from", "end_all"], PERSON),
    ("device_sign_ins", &["take"], PERSON),
    ("identities", &["insert", "used", "set_email", "move_to", "delete", "spend_with", "spend_carried"], PERSON),
    ("passkeys", &["insert", "used", "rename", "delete", "set_handle", "forget_handle"], PERSON),
    ("provider_sessions", &["note"], PERSON),
    ("second_factor", &["insert", "take_step", "remove", "replace_recovery_codes"], PERSON),
    ("second_factor", &["spend_recovery_code", "forgive", "let_link_reset"], PERSON),
    ("sessions", &["insert", "delete", "delete_others", "prove", "proven_in", "factors_in"], PERSON),
    ("organizations", &["insert", "complete"], NEW),
    ("set_up_links", &["end_all"], NEW),
    ("roles", &["insert_built_in"], NEW),
    ("members", &["insert"], NEW),
    ("invitations", &["end", "rename_inviter"], FOLLOWS),
    ("tokens", &["revoke_made_by"], FOLLOWS),
    ("tokens/swept", &["mark_reused", "switch_off", "tell_overlap_ended"], FOLLOWS),
    ("tokens/attested", &["ask"], TIME),
    ("sessions", &["lay_idle"], TIME),
    ("token_warnings", &["told_of_unused", "mark_told"], TIME),
    ("limits_told", &["mark_told"], TIME),
    ("notices", &["mark_told"], TIME),
    ("retention", &["erase"], TIME),
    ("idempotency", &["spend", "spend_all"], "the key of the request that is carried out"),
    ("lineage", &["read"], "under which names the log was written"),
];
const PERSON: &str = "of an account: whoever is signed in to it, or proves in the transaction to be its person";
const NEW: &str = "an organization that is made, or one that somebody joins by an invitation or a rule";
const FOLLOWS: &str = "what follows from another write, which has asked, or from a secret that came back";
const TIME: &str = "what time alone brings about";

#[test]
fn each_function_that_writes_asks_whether_the_right_is_for_that() {
    let rule: Rule = |files| {
        let mut complaints = Vec::new();
        for file in files {
            let Some(module) = file.path.strip_prefix(STORE).and_then(|it| it.strip_suffix(".rs")) else { continue };
            let writing = writing(file);
            let named = |list: &[(&str, &[&'static str], &str)]| -> BTreeSet<&'static str> {
                let of = list.iter().filter(|(of, ..)| *of == module);
                of.flat_map(|(_, functions, _)| functions.iter().copied()).collect()
            };
            let (elsewhere, no_permission) = (named(ASKED_ELSEWHERE), named(FOR_NO_PERMISSION));
            for it in &writing {
                let path = &file.path;
                if it.for_grant && !it.asks && !elsewhere.contains(it.name) {
                    complaints.push(format!("{path}: `{}` does not ask what its grant is for", it.name));
                }
                if !it.for_grant && !no_permission.contains(it.name) {
                    complaints.push(format!("{path}: `{}` writes for no grant: list it, and say why", it.name));
                }
            }
            let there = |name: &str, for_grant: bool| {
                writing.iter().any(|it| it.name == name && it.for_grant == for_grant && !(for_grant && it.asks))
            };
            for (names, for_grant) in [(elsewhere, true), (no_permission, false)] {
                for name in names.into_iter().filter(|name| !there(name, for_grant)) {
                    complaints.push(format!("{}: `{name}` need not be listed any more", file.path));
                }
            }
        }
        complaints
    };
    holds(rule);
    let asks = "tx: &mut Tx, grant: &Grant) -> Result<()> {\n    grant.permits(Management::ProjectManage)?;\n}\n";
    let silent = "tx: &mut Tx, grant: &Grant) -> Result<()> {\n    Ok(())\n}\n";
    let projects = "crates/tokenward-store/src/projects.rs";
    let both = format!("pub async fn rename({asks}pub async fn end({silent}");
    breaks(rule, &[(projects, both.as_str())], "`end` does not ask");
    let alone = "pub async fn end(tx: &mut Tx, id: Uuid) -> Result<()> {}";
    breaks(rule, &[(projects, alone)], "`end` writes for no grant");
    let erase = format!("pub async fn erase({asks}");
    breaks(rule, &[("crates/tokenward-store/src/retention.rs", erase.as_str())], "`erase` need not be listed");
}

/// A function that others can call and that has a transaction to write in.
struct Writing<'a> {
    name: &'a str,
    for_grant: bool,
    asks: bool,
}

fn writing(file: &File) -> Vec<Writing<'_>> {
    let code = file.text.split("#[cfg(test)]").next().unwrap_or_default();
    let functions = code.split("pub async fn ").skip(1);
    functions
        .filter_map(|function| {
            let (head, rest) = function.split_once('{')?;
            let body = rest.split("\n}").next()?;
            let name = head.split(['(', '<']).next()?;
            // What asks for each of several tokens is `may_manage`.
            let asks = ["permits", "may_manage("].iter().any(|it| body.contains(it));
            head.contains("&mut Tx").then_some(Writing { name, for_grant: has_word(head, "Grant"), asks })
        })
        .collect()
}
