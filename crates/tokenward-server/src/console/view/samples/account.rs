//! A person's own account, and the links that are mailed to it.

use super::*;

pub fn account_events() -> Vec<AccountEventRow> {
    let event = |ago: Micros, what: &str| AccountEventRow {
        at: moment(-ago),
        what: what.into(),
        times: None,
        failed: false,
        by: None,
        address: Some("10.2.0.14".into()),
        client: Some("Firefox on Linux".into()),
    };
    let failed = event(HOUR, "Sign-in failed");
    vec![
        event(2 * MINUTE, "Session opened"),
        AccountEventRow { times: Some("7 times".into()), failed: true, client: None, ..failed },
        AccountEventRow {
            by: Some("operator".into()),
            address: None,
            client: None,
            ..event(DAY, "Sign-in link created")
        },
    ]
}

pub fn account() -> Vec<(String, String)> {
    let mut pages: Vec<(String, String)> = Vec::new();
    macro_rules! page {
        ($name:literal, $page:expr) => {
            pages.push(($name.into(), $page.render().unwrap()));
        };
    }
    let corp = || ProviderLink { name: "Acme Login".into(), href: "/sign-in/with/corp".into(), icon: String::new() };
    let session = |n, client: &str, current: bool| SessionRow {
        id: id(n),
        client: client.into(),
        address: Some("10.2.0.14".into()),
        proven: "with a password".into(),
        created: moment(-2 * HOUR),
        last_seen: Some(moment(-30 * MINUTE)),
        seen_from: current.then(|| "10.2.0.15".into()),
        expires: moment(10 * HOUR),
        current,
    };
    page!(
        "account",
        AccountPage {
            shell: flash(Nav::Account, FlashKind::Bad, "The password was not changed: the current one is wrong."),
            name: FormField::new("Acme Owner"),
            email: "owner@acme.example".into(),
            email_proven: false,
            may_change_email: true,
            passwords: true,
            has_password: true,
            current_password: FormField::new("correct horse").refused("This is not your current password."),
            new_password: FormField::default(),
            code: Some(FormField::default()),
            password_rule: password_rule(),
            identities: vec![IdentityRow {
                id: id(95),
                provider: "Acme Login".into(),
                name: "ada@acme.example".into(),
                linked: moment(-2 * DAY),
                used: Some(moment(-2 * HOUR)),
            }],
            passkeys: own_passkeys(),
            providers: vec![corp()],
            provers: vec![corp()],
            sessions: vec![session(90, "Firefox on Linux", true), session(91, "tokenward (command line)", false)],
            second_factor: second_factor::of_account(),
            events: account_events(),
        }
    );
    page!(
        "account-email",
        EmailChangePage {
            shell: shell(Nav::Account),
            present: "owner@acme.example".into(),
            email: FormField::new("new@acme.example").refused("It is the address that your account has."),
            password: proof_fields(),
            error: None,
        }
    );
    page!(
        "account-password",
        FirstPasswordPage {
            shell: shell(Nav::Account),
            email: "owner@acme.example".into(),
            new_password: FormField::default(),
            password_rule: password_rule(),
            password: None,
            error: None,
        }
    );
    let forgot =
        ForgotPage { csrf: "c5rf".into(), offered: true, email: FormField::default(), sent: false, error: None };
    page!("forgot", forgot);
    page!("forgot-sent", ForgotPage { sent: true, email: FormField::new(NASTY), ..forgot.clone() });
    page!("forgot-not-offered", ForgotPage { offered: false, ..forgot.clone() });
    page!(
        "password-reset",
        PasswordResetPage {
            secret: "9bN4tYrC".into(),
            csrf: "c5rf".into(),
            email: "owner@acme.example".into(),
            asks_whether_mine: true,
            password: FormField::default(),
            password_rule: password_rule(),
            error: None,
        }
    );
    let link = EmailLinkPage {
        secret: "9bN4tYrC".into(),
        csrf: "c5rf".into(),
        undoes: false,
        old_email: "owner@acme.example".into(),
        new_email: NASTY.into(),
        error: None,
    };
    page!("email-confirm", link);
    page!(
        "email-undo",
        EmailLinkPage { undoes: true, error: Some("Another account has this address.".into()), ..link.clone() }
    );
    pages
}
