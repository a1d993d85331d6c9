//! Mail, where SMTP is configured: the link of an invitation. Sent after the change counts, and never a reason for it
//! to fail; whoever invites has the link in the answer too.
//!
//! Mail reaches people who never asked for it. So it has budgets, which are asked before anything is written; and names
//! that others chose stand in it so that no mail program makes a link of them.

mod delivery;

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tokenward_core::caller::Grant;
use tokenward_core::name::fold_email;
use tokenward_core::nearest::known_words;
use tokenward_core::sync::lock;
use tokenward_core::time::{HOUR, SECOND};
use tokenward_core::{Code, Error, Result, Time, Uuid, network};
use tokenward_store::invitations::Invitation;

use super::recent::Recent;
use super::token_kinds;
use crate::limits::{
    Limit, Limits, MAIL_MEMORY, MAILS_PER_INVITER, MAILS_PER_ORGANIZATION, MAILS_PER_RECIPIENT, NOTICES_PER_RECIPIENT,
    PASSWORD_RESETS, PASSWORD_RESETS_PER_ADDRESS, PASSWORD_RESETS_PER_RECIPIENT,
};

/// Sends mail.
#[derive(Clone)]
pub struct Mailer(Arc<Inner>);

struct Inner {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    limits: Limits,
    /// Mails that are not sent yet.
    waiting: AtomicUsize,
    /// When the whole budget is back (the generic cell rate algorithm, ITU-T I.371 annex A).
    budgets: Mutex<Recent<Time>>,
}

/// Why mail cannot be sent as configured.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The address of the server is none. The text does not repeat it: it can hold a password.
    #[error("this is not an address such as smtps://USER:PASSWORD@HOST or smtp://HOST:25")]
    Url,
    /// Something in the address is not understood, or would be passed over. The text holds no value of it.
    #[error("{0}")]
    Part(String),
    /// The sender is none.
    #[error("`{0}` is not an address such as Tokenward <tokens@example.com>")]
    From(String),
}

/// Each part of the address is understood, or refused: lettre passes over what it does not know, and then somebody who
/// wrote `starttls=true` would send passwords in the clear.
fn check_url(url: &str) -> Result<(), MailError> {
    const MODES: [&str; 2] = ["required", "opportunistic"];
    let refused = |problem: &str| Err(MailError::Part(problem.to_owned()));
    let (scheme, rest) = url.split_once("://").ok_or(MailError::Url)?;
    let encrypted = match scheme.to_ascii_lowercase().as_str() {
        "smtps" => true,
        "smtp" => false,
        other => {
            let known = known_words(other, ["smtp", "smtps"].into_iter());
            let form = "as in smtps://USER:PASSWORD@HOST or smtp://HOST:25";
            return Err(MailError::Part(format!("`{other}://` is no mail server; {known} {form}")));
        }
    };
    if rest.contains('#') {
        return refused("there is a `#` in it; write `#` in a password as %23");
    }
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = before.split_once('/').unwrap_or((before, ""));
    if query.contains('@') || path.contains('@') {
        return refused("write `?` and `/` in a password as %3F and %2F, and `@` behind them as %40");
    }
    if let Some((user, _)) = authority.rsplit_once('@') {
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        if user.is_empty() || password.is_empty() {
            let which = if user.is_empty() { "no user before its `@`" } else { "a user without a password" };
            return refused(&format!("it has {which}; write USER:PASSWORD@HOST, or the host alone"));
        }
    }
    if !path.is_empty() {
        return refused("it has a path; write the host and port alone");
    }
    let mut seen = false;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name != "tls" {
            let known = known_words(name, ["tls"].into_iter());
            return Err(MailError::Part(format!(
                "it has the option `{}`, which is not known; {known} (`?tls=required` is STARTTLS)",
                name.chars().filter(char::is_ascii_alphanumeric).take(20).collect::<String>()
            )));
        }
        if encrypted {
            return refused(
                "smtps:// is encrypted from the first byte on; leave out the option `tls`, or write smtp://",
            );
        }
        if !MODES.contains(&value) {
            let known = known_words(value, MODES.into_iter());
            return Err(MailError::Part(format!("`tls` has a value that it cannot have; {known}")));
        }
        if std::mem::replace(&mut seen, true) {
            return refused("it has the option `tls` twice");
        }
    }
    Ok(())
}

/// Whose budgets a mail is taken from.
#[derive(Clone, Hash)]
enum Budget {
    Inviter(Uuid),
    Organization(Uuid),
    Recipient(String),
    /// A person who is told of the own account. Nothing that others ask for takes from it.
    Notice(String),
    /// An address for which somebody asks for a new password.
    Reset(String),
    /// Who asks for such mails.
    ResetFrom(Option<IpAddr>),
    /// All of them.
    Resets,
}

impl Mailer {
    /// Ready to send through the server at `url`, as `from`.
    pub fn new(url: &str, from: &str, limits: &Limits) -> Result<Self, MailError> {
        check_url(url)?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| MailError::Url)?;
        let from = from.parse().map_err(|_| MailError::From(from.to_owned()))?;
        let budgets = Mutex::new(Recent::new(MAIL_MEMORY.size()));
        Ok(Self(Arc::new(Inner {
            transport: transport.build(),
            from,
            limits: limits.clone(),
            waiting: AtomicUsize::new(0),
            budgets,
        })))
    }

    /// Takes a mail out of the budgets of who invites, of the organization and of the recipient; `throttled` where one of
    /// them has none left.
    pub fn stamp(&self, grant: &Grant, recipient: &str, now: Time) -> Result<Stamp> {
        let inviter = grant.by().actor.id().unwrap_or(grant.organization());
        let budgets = [
            (Budget::Inviter(inviter), &MAILS_PER_INVITER),
            (Budget::Organization(grant.organization()), &MAILS_PER_ORGANIZATION),
            (Budget::Recipient(fold_email(recipient)), &MAILS_PER_RECIPIENT),
        ];
        self.0.take(&budgets, now)?;
        Ok(Stamp { mailer: Arc::clone(&self.0), budgets, used: false })
    }
}

/// A mail about tokens.
#[derive(Clone, Debug)]
pub struct Letter<'a> {
    /// Whose they are.
    pub organization: Uuid,
    /// Its name.
    pub organization_name: &'a str,
    /// What the tokens are called.
    pub called: &'a str,
    /// What the subject says behind the name of the organization.
    pub subject: &'a str,
    /// What is said before them.
    pub lead: &'a str,
    /// The tokens, each with its end where that matters.
    pub lines: Vec<(&'a str, Option<Time>)>,
    /// How many more there are.
    pub more: usize,
    /// What can be done.
    pub what: &'a str,
    /// Where.
    pub place: &'a str,
}

impl Mailer {
    /// Tells somebody about tokens, in a task of its own. From the budgets of the organization and of the recipient.
    pub fn send_letter(&self, letter: &Letter<'_>, recipient: &str, now: Time) -> Result<()> {
        let Letter { organization, subject, lead, more, what, place, .. } = *letter;
        let name = unlinked(letter.organization_name);
        let mut text = format!("{name}: {lead}\n\n");
        for (token, end) in &letter.lines {
            text += &unlinked(token);
            text += &end.map(|end| format!(" on {end}")).unwrap_or_default();
            text.push('\n');
        }
        if more > 0 {
            text += &format!("and {more} more\n");
        }
        text += &format!("\n{what}\n\n{place}\n");
        let called = token_kinds::at_the_beginning(letter.called);
        self.send(organization, recipient, format!("{called} of {name}: {subject}"), text, now)
    }

    /// Tells somebody of tokens that end soon, in a task of its own. From the budgets of the organization and of the recipient.
    #[allow(clippy::too_many_arguments)]
    pub fn tell_of_ends(
        &self,
        organization: Uuid,
        (what, name): (&str, &str),
        recipient: &str,
        tokens: Vec<(&str, Time)>,
        (more, days): (usize, i64),
        place: &str,
        now: Time,
    ) -> Result<()> {
        let name = unlinked(name);
        let within = if days == 1 { "a day".to_owned() } else { format!("{days} days") };
        let mut text = format!("These {what} of {name} are in use and end within {within}:\n\n");
        for (token, end) in tokens {
            text += &format!("{} on {end}\n", unlinked(token));
        }
        if more > 0 {
            text += &format!("and {more} more\n");
        }
        text += &format!(
            "\nGive them another end or a new secret, or let them end: whoever uses them is refused from then on.\n\n{place}\n"
        );
        let what = token_kinds::at_the_beginning(what);
        self.send(organization, recipient, format!("{what} of {name} end soon"), text, now)
    }

    /// Tells somebody that a member has left by a rule, in a task of its own. From the budgets of the organization and of the
    /// recipient.
    pub fn tell_of_member(
        &self,
        organization: Uuid,
        (name, member): (&str, &str),
        recipient: &str,
        place: &str,
        now: Time,
    ) -> Result<()> {
        let (name, member) = (unlinked(name), unlinked(member));
        let text = format!(
            "{member} is no member of {name} any more: when {member} signed in, no rule of the organization fitted what the \
             provider says.\n\nTokens that {member} owns go on. Those without a successor are marked as of an owner who \
             left.\n\n{place}\n"
        );
        self.send(organization, recipient, format!("A member has left {name}"), text, now)
    }

    /// Sends it in a task of its own, where the budgets of the organization and of the recipient have one left.
    fn send(&self, organization: Uuid, recipient: &str, subject: String, text: String, now: Time) -> Result<()> {
        let budgets = [
            (Budget::Organization(organization), &MAILS_PER_ORGANIZATION),
            (Budget::Recipient(fold_email(recipient)), &MAILS_PER_RECIPIENT),
        ];
        self.0.take(&budgets, now)?;
        self.0.deliver(recipient, &subject, text)
    }

    /// Tells a person of the own account.
    pub(super) fn notice(&self, recipient: &str, subject: &str, text: String, now: Time) -> Result<()> {
        self.pay_for_notice(recipient, now)?;
        self.deliver(recipient, subject, text)
    }

    /// The same without the mail. It is a budget for this alone, so that nobody can spend it to keep a warning back.
    pub(super) fn pay_for_notice(&self, recipient: &str, now: Time) -> Result<()> {
        self.0.take(&[(Budget::Notice(fold_email(recipient)), &NOTICES_PER_RECIPIENT)], now)
    }

    /// May somebody ask for a new password from there, for whichever address?
    pub(super) fn allow_reset(&self, client: Option<IpAddr>, now: Time) -> Result<()> {
        let from = Budget::ResetFrom(client.map(network::of_client));
        self.0.take(&[(from, &PASSWORD_RESETS_PER_ADDRESS), (Budget::Resets, &PASSWORD_RESETS)], now)
    }

    /// Takes the mail for it out of the budget of the address.
    pub(super) fn pay_for_reset(&self, recipient: &str, now: Time) -> Result<()> {
        self.0.take(&[(Budget::Reset(fold_email(recipient)), &PASSWORD_RESETS_PER_RECIPIENT)], now)
    }

    /// Takes the mail to a new address out of the budgets of whoever wants to have it and of the address.
    pub(super) fn pay_for_change(&self, account: Uuid, recipient: &str, now: Time) -> Result<()> {
        let budgets = [
            (Budget::Inviter(account), &MAILS_PER_INVITER),
            (Budget::Recipient(fold_email(recipient)), &MAILS_PER_RECIPIENT),
        ];
        self.0.take(&budgets, now)
    }

    /// Sends a mail that is paid for, in a task of its own.
    pub(super) fn deliver(&self, recipient: &str, subject: &str, text: String) -> Result<()> {
        self.0.deliver(recipient, subject, text)
    }

    /// How many mails are not sent yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }
}

impl Inner {
    /// Takes one out of each of them, or out of none.
    fn take(&self, of: &[(Budget, &'static Limit)], now: Time) -> Result<()> {
        let mut budgets = lock(&self.budgets);
        let cost = |limit| HOUR / i64::try_from(self.limits.get(limit)).unwrap_or(HOUR).clamp(1, HOUR);
        let spent = |whole_at: Time| (whole_at.0 - now.0).max(0);
        for (budget, limit) in of {
            let beyond = budgets.get(budget).map_or(0, |whole_at| spent(*whole_at)) + cost(limit) - HOUR;
            if beyond > 0 {
                let seconds = u32::try_from((beyond + SECOND - 1) / SECOND).unwrap_or(u32::MAX);
                let what = match budget {
                    Budget::Inviter(_) => "You have sent as many invitations by mail as",
                    Budget::Organization(_) => "This organization has sent as many mails as",
                    Budget::ResetFrom(_) => "You have asked for as many mails as",
                    Budget::Resets => "This server was asked for as many mails as",
                    Budget::Recipient(_) | Budget::Notice(_) | Budget::Reset(_) => {
                        "This address has been sent as many mails as"
                    }
                };
                let advice = format!("Nothing was written. Try again in {seconds} s.");
                let error = limit.exceeded(Code::Throttled, self.limits.get(limit), what, &advice);
                return Err(Error { retry_after: Some(seconds), ..error });
            }
        }
        for (budget, limit) in of {
            let whole_at = budgets.touch(budget, || now);
            *whole_at = now.plus(spent(*whole_at) + cost(limit));
        }
        Ok(())
    }

    fn give_back(&self, to: &[(Budget, &'static Limit)]) {
        let mut budgets = lock(&self.budgets);
        for (budget, limit) in to {
            let cost = HOUR / i64::try_from(self.limits.get(limit)).unwrap_or(HOUR).clamp(1, HOUR);
            budgets.change(budget, |whole_at| *whole_at = whole_at.plus(-cost));
        }
    }
}

/// One mail that is paid for. It is given back when nothing is sent after all.
pub struct Stamp {
    mailer: Arc<Inner>,
    budgets: [(Budget, &'static Limit); 3],
    used: bool,
}

impl Drop for Stamp {
    fn drop(&mut self) {
        if !self.used {
            self.mailer.give_back(&self.budgets);
        }
    }
}

impl Stamp {
    /// Sends an invitation's link in a task of its own. A failure is logged, without the link.
    pub fn invite(mut self, invitation: &Invitation, link: &str) {
        self.used = true;
        let mailer = Arc::clone(&self.mailer);
        let (id, message) = (invitation.id, message(mailer.from.clone(), invitation, link));
        tokio::spawn(async move {
            let sent = match message {
                Ok(message) => mailer.transport.send(message).await.map(|_| ()).map_err(|error| error.to_string()),
                Err(problem) => Err(problem),
            };
            match sent {
                Ok(()) => tracing::info!(invitation = %id, "the invitation was mailed"),
                Err(problem) => tracing::error!(invitation = %id, problem, "the invitation could not be mailed"),
            }
        });
    }
}

fn message(from: Mailbox, invitation: &Invitation, link: &str) -> Result<Message, String> {
    let to = invitation.email.parse().map_err(|_| "the address cannot be written into a mail".to_owned())?;
    let [organization, role] = [&invitation.organization_name, &invitation.role_name].map(|name| unlinked(name));
    let inviter =
        if is_address(&invitation.inviter) { invitation.inviter.clone() } else { unlinked(&invitation.inviter) };
    let text = format!(
        "{inviter} invites you to {organization} on Tokenward, with the role {role}.\n\n\
         Accept within seven days:\n\n{link}\n\n\
         The link is for you alone: whoever has it can take your place. If you expected nothing, ignore this mail.\n"
    );
    let message = Message::builder().from(from).to(Mailbox::new(None, to));
    message.subject(format!("Invitation to {organization}")).body(text).map_err(|error| error.to_string())
}

/// A name as it may stand in a mail. Mail programs make links of what looks like an address (`http://…`, `www.…`,
/// `example.com/x`, in any script), and a link in a mail of ours is believed. To refuse such names would refuse honest ones
/// (Booking.com); so a space follows each sign that holds an address together, which people read over and programs do not.
pub(super) fn unlinked(name: &str) -> String {
    let mut shown = String::with_capacity(name.len() + 8);
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        shown.push(letter);
        // The other full stops, solidus, colon and commercial at are those that browsers take for the plain ones (UTS #46).
        let joins = matches!(
            letter,
            '.' | '/'
                | '\\'
                | ':'
                | '@'
                | '\u{2024}'
                | '\u{3002}'
                | '\u{ff0e}'
                | '\u{ff61}'
                | '\u{ff0f}'
                | '\u{ff1a}'
                | '\u{ff20}'
        );
        if joins && letters.peek().is_some_and(|next| !next.is_whitespace()) {
            shown.push(' ');
        }
    }
    shown
}

/// Is it nothing but a plain e-mail address? Of a person's own no more than a mail to that person can come.
fn is_address(text: &str) -> bool {
    let plain = |part: &str, signs: &[u8]| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || signs.contains(&byte))
    };
    text.split_once('@').is_some_and(|(local, domain)| plain(local, b"._+-") && plain(domain, b".-"))
}

#[cfg(test)]
mod tests {
    use tokenward_core::role::RoleKind;
    use tokenward_core::time::MINUTE;

    use super::*;

    fn mailer() -> Inner {
        let mailer = Mailer::new("smtp://127.0.0.1:1", "a@b.example", &Limits::default()).unwrap();
        Arc::into_inner(mailer.0).unwrap()
    }

    #[test]
    fn an_address_of_a_mail_server_is_understood_in_all_its_parts() {
        for url in [
            "smtp://mail.acme.example",
            "SMTP://mail.acme.example:25",
            "smtps://ada:gehe%40im@mail.acme.example",
            "smtp://ada:geheim@mail.acme.example?tls=required",
            "smtp://mail.acme.example:587/?tls=opportunistic",
        ] {
            assert!(check_url(url).is_ok(), "{url}");
        }
        for (url, hint) in [
            ("mail.acme.example", "smtps://USER"),
            ("smpt://mail.acme.example", "did you mean `smtp`?"),
            ("https://mail.acme.example", "`smtp` and `smtps`"),
            ("smtp://ada:geheim@mail.acme.example?starttls=true", "known is `tls`"),
            ("smtp://ada:geheim@mail.acme.example?TLS=required", "did you mean `tls`?"),
            ("smtp://mail.acme.example?tls=require", "did you mean `required`?"),
            ("smtp://mail.acme.example?tls=required&tls=required", "twice"),
            ("smtps://mail.acme.example?tls=opportunistic", "leave out the option"),
            ("smtp://ada@mail.acme.example", "without a password"),
            ("smtp://ada:@mail.acme.example", "without a password"),
            ("smtps://:geheim@mail.acme.example", "no user"),
            ("smtp://@mail.acme.example", "no user"),
            ("smtp://mail.acme.example/inbox", "a path"),
            ("smtp://ada:gehe#im@mail.acme.example", "%23"),
            ("smtp://ada:gehe?im@mail.acme.example", "%3F"),
            ("smtp://ada:gehe/im@mail.acme.example", "%2F"),
        ] {
            let fault = check_url(url).unwrap_err().to_string();
            assert!(fault.contains(hint) && !fault.contains("gehe"), "{url}: {fault}");
        }
    }

    fn budgets(inviter: u128, organization: u128, to: &str) -> [(Budget, &'static Limit); 3] {
        [
            (Budget::Inviter(Uuid::from_u128(inviter)), &MAILS_PER_INVITER),
            (Budget::Organization(Uuid::from_u128(organization)), &MAILS_PER_ORGANIZATION),
            (Budget::Recipient(to.to_owned()), &MAILS_PER_RECIPIENT),
        ]
    }

    #[test]
    fn inviter_organization_and_recipient_have_budgets_that_come_back() {
        let mailer = mailer();
        let take = |inviter, organization, to: &str, now| mailer.take(&budgets(inviter, organization, to), now);
        let taken = (0..400).filter(|n| take(1, 1, &format!("{n}@c.example"), Time(0)).is_ok()).count();
        assert_eq!(taken, 50);
        let error = take(1, 1, "new@c.example", Time(0)).unwrap_err();
        assert!(error.code == Code::Throttled && error.detail.contains("`mails_per_inviter` (50 per hour)"), "{error}");
        assert_eq!(error.retry_after, Some(72));
        assert!(take(1, 1, "new@c.example", Time(72 * SECOND)).is_ok());
        let taken = (0..400).filter(|n| take(10 + n, 1, &format!("{n}@d.example"), Time(0)).is_ok()).count();
        assert_eq!(taken, 149);
        let taken = (0..400).filter(|n| take(1_000 + n, 1_000 + n, "victim@e.example", Time(0)).is_ok()).count();
        assert_eq!(taken, 5);
        let error = take(1, 2, "victim@e.example", Time(60 * MINUTE)).err();
        assert!(error.is_none());
    }

    #[test]
    fn what_is_refused_or_given_back_costs_nothing() {
        let mailer = mailer();
        let of = budgets(1, 1, "a@c.example");
        for _ in 0..100 {
            mailer.take(&of, Time(0)).unwrap();
            mailer.give_back(&of);
        }
        (0..5).for_each(|_| mailer.take(&of, Time(0)).unwrap());
        assert!((0..100).all(|_| mailer.take(&of, Time(0)).is_err()));
        assert_eq!((0..100).filter(|n| mailer.take(&budgets(1, 1, &n.to_string()), Time(0)).is_ok()).count(), 45);
    }

    #[test]
    fn no_mail_program_makes_a_link_of_a_name() {
        for (name, shown) in [
            ("http://evil.example", "http: / / evil. example"),
            ("HTTPS://evil.example/x?y", "HTTPS: / / evil. example/ x?y"),
            ("www.evil.example", "www. evil. example"),
            ("example.com/x", "example. com/ x"),
            ("почта.рф", "почта. рф"),
            ("xn--80a1acny.xn--p1ai", "xn--80a1acny. xn--p1ai"),
            ("evil。example", "evil。 example"),
            ("evil．example／x", "evil． example／ x"),
            ("mailto:a@evil.example", "mailto: a@ evil. example"),
            ("10.0.0.1:80", "10. 0. 0. 1: 80"),
            ("Acme, Inc.", "Acme, Inc."),
            ("Booking.com B.V.", "Booking. com B. V."),
            ("Acme & Söhne", "Acme & Söhne"),
        ] {
            assert_eq!(unlinked(name), shown);
        }
    }

    #[test]
    fn a_person_is_named_by_the_address_and_a_token_is_not_taken_for_one() {
        for (inviter, shown) in [
            ("ada@acme.example", "ada@acme.example invites"),
            ("evil.example/x@acme.example", "evil. example/ x@ acme. example invites"),
            ("deploy www.evil.example", "deploy www. evil. example invites"),
        ] {
            let invitation = Invitation {
                id: Uuid::nil(),
                organization_id: Uuid::nil(),
                organization_name: "http://evil.example".into(),
                email: "bob@c.example".into(),
                role_id: Uuid::nil(),
                role_name: "www.evil.example".into(),
                role_kind: RoleKind::Custom,
                inviter: inviter.into(),
                inviter_id: None,
                inviter_kind: None,
                expires_at: Time(0),
                created_at: Time(0),
                updated_at: Time(0),
            };
            let from = "Tokenward <t@b.example>".parse().unwrap();
            let mail = message(from, &invitation, "https://ours.example/invitation/1/2").unwrap().formatted();
            let mail = String::from_utf8(mail).unwrap();
            assert!(mail.contains(shown) && mail.contains("https://ours.example/invitation/1/2"), "{mail}");
            assert!(mail.contains("Subject: Invitation to http: / / evil. example"), "{mail}");
            assert!(mail.contains("the role www. evil. example"), "{mail}");
        }
    }
}
