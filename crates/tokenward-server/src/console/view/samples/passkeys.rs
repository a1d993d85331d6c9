//! A person's passkeys.

use super::*;

/// One that works, and one that works no more.
pub fn own_passkeys() -> PasskeysSection {
    let passkey = |n, works| PasskeyRow {
        id: id(n),
        name: NASTY.into(),
        rp_id: "tokens.acme.example".into(),
        works,
        added: moment(-2 * DAY),
        used: works.then(|| moment(-2 * HOUR)),
    };
    PasskeysSection { rows: vec![passkey(96, true), passkey(97, false)], stopped: 1, why_not: None }
}

pub fn passkeys() -> Vec<(String, String)> {
    let new = PasskeyNewPage {
        shell: shell(Nav::Account),
        name: FormField::new("Laptop"),
        password: proof_fields(),
        address: "https://tokens.acme.example".into(),
        error: None,
    };
    let old = PasskeyPage { shell: shell(Nav::Account), id: id(96), name: FormField::new(NASTY), error: None };
    vec![("passkey-new".into(), new.render().unwrap()), ("passkey".into(), old.render().unwrap())]
}
