//! The pages of the second factor.

use super::*;
use crate::service::codes::Qr;

pub fn second_factor() -> Vec<(String, String)> {
    let code = SignInCodePage { csrf: "c5rf".into(), recovery: false, otp: FormField::default(), error: None };
    let wrong = FormField::default().refused("The code is wrong, or was used already.");
    let set_up = SecondFactorPage {
        shell: shell(Nav::Account),
        seed: "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ".into(),
        otpauth: "otpauth://totp/Tokenward:owner%40acme%2Eexample?secret=GEZDGNBVGY3TQOJQ".into(),
        qr: Qr { side: 53, path: "M4 4h7v1h-7zM12 4h2v1h-2z".into() },
        set_up: "5ea1ed".into(),
        next: String::new(),
        otp: FormField::default(),
        password: proof_fields(),
        error: None,
    };
    let codes = RecoveryCodesPage {
        shell: shell(Nav::Account),
        codes: vec!["abcd-efgh-ijkl-mnop".into(); 10],
        first: true,
        next: "/console/account".into(),
    };
    let row =
        |email: &str, is_you| RefusedRow { email: email.into(), role: "DevOps".into(), is_you, from: moment(7 * DAY) };
    let ask = AskTwoFactorsPage {
        shell: shell(Nav::Settings),
        asked: false,
        prove: None,
        action: "/console/1/settings/sign-in/two-factors".into(),
        version: "1".into(),
        kept_out: vec![row("devops@acme.example", false), row("owner@acme.example", true)],
        grace_days: FormField::new("7"),
        password: proof_fields(),
        error: None,
    };
    let refused = Shell { refused_from: Some(moment(7 * DAY)), ..shell(Nav::Settings) };
    let shown = SecondFactorAskedPage {
        shell: shell(Nav::Account),
        next: "/console/1/tokens".into(),
        set_up: "/console/account/second-factor?next=%2Fconsole%2F1%2Ftokens".into(),
        has_code: true,
        has_passkey: true,
        takes_passkeys: true,
        proof: Some(ProofFields { password: Some(FormField::default()), code: Some(FormField::default()) }),
        error: None,
    };
    let sessions = OrganizationSessionsPage {
        shell: shell(Nav::Settings),
        action: "/console/1/settings/sign-in/sessions".into(),
        version: "1".into(),
        lifetime: FormField::new("8h"),
        idle: FormField { value: "1".into(), error: Some("It is no length from 5m to 90d.".into()) },
        servers: sessions_state().servers,
        password: proof_fields(),
        error: None,
    };
    let asked = ProofAskedPage {
        shell: shell(Nav::Account),
        next: "/console/1/tokens".into(),
        providers: vec![("Corp".into(), "/console/account/prove/corp?next=%2Fconsole%2F1%2Ftokens".into())],
        proof: proof_fields(),
        error: None,
    };
    let name = |name: &str, html: askama::Result<String>| (name.to_owned(), html.unwrap());
    vec![
        name("sign-in-code", code.render()),
        name("sign-in-recovery-code", SignInCodePage { recovery: true, otp: wrong, ..code.clone() }.render()),
        name("second-factor", set_up.render()),
        name("recovery-codes", codes.render()),
        name("two-factors", ask.render()),
        name("two-factors-asked", AskTwoFactorsPage { asked: true, shell: refused, ..ask.clone() }.render()),
        name(
            "two-factors-prove",
            AskTwoFactorsPage { prove: Some("/console/account/two-factors".into()), ..ask }.render(),
        ),
        name("second-factor-asked", shown.render()),
        name("organization-sessions", sessions.render()),
        name("proof-asked", asked.render()),
        name("proof-asked-by-provider", ProofAskedPage { proof: None, ..asked.clone() }.render()),
        name(
            "second-factor-none",
            SecondFactorAskedPage { has_code: false, has_passkey: false, ..shown.clone() }.render(),
        ),
    ]
}

/// The part of the page about sign-ins.
pub fn sessions_state() -> SessionsState {
    SessionsState { lifetime: Some("8h".into()), idle: None, servers: ("7d".into(), "12h".into()) }
}

/// The part of the account page.
pub fn of_account() -> SecondFactorView {
    SecondFactorView { since: Some(moment(-20 * DAY)), used: Some(moment(-2 * HOUR)), codes_left: 2 }
}

/// A password that was asked, and a code.
pub fn refused_proof() -> Option<ProofFields> {
    let password = FormField::default().refused("For this, type your password again.");
    Some(ProofFields { password: Some(password), code: Some(FormField::default()) })
}
