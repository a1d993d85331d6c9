//! Identities that the operator moves to another issuer, or brings as a table: looked at first, then done in one transaction.

use tokenward_core::event::{Event, IdentitySnapshot, Kind};
use tokenward_core::right::Operator;
use tokenward_core::{Error, Result};
use tokenward_store::identities::{self, Identity};
use tokenward_store::{Store, accounts};

use super::identities::{ByProvider, linked};
use crate::limits::SUBJECT;

/// Rows of a table that one file may have.
pub const ROWS: usize = 100_000;
/// What is said of a table at once.
const TOLD: usize = 20;

/// A row of a table: who opens which account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdentityTableRow {
    /// The e-mail address of the account.
    pub email: String,
    /// Who says so.
    pub issuer: String,
    /// Who it is there.
    pub subject: String,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counted {
    /// What was changed, or would be.
    pub changed: usize,
    /// What was as it should be already.
    pub left: usize,
}

/// Moves all identities of one issuer to another, with the same subjects. With `dry` nothing is changed.
pub async fn move_issuer(store: &Store, operator: &Operator, from: &str, to: &str, dry: bool) -> Result<Counted> {
    if to.is_empty() || from == to {
        return Err(Error::invalid("to", "is the issuer to which they are moved, another than the one until now"));
    }
    let (mut tx, _) = store.begin(operator).await?;
    let all = identities::all(tx.conn()).await?;
    let moved: Vec<&Identity> = all.iter().filter(|it| it.issuer == from).collect();
    let taken = |it: &&&Identity| all.iter().any(|other| other.issuer == to && other.subject == it.subject);
    let both: Vec<&str> = moved.iter().filter(taken).take(TOLD).map(|it| it.subject.as_str()).collect();
    if !both.is_empty() {
        let detail = format!(
            "The other issuer has identities with the same subjects already: {}. Remove one of each first.",
            both.join(", ")
        );
        return Err(Error::conflict(detail));
    }
    let counted = Counted { changed: moved.len(), left: all.len() - moved.len() };
    if dry || moved.is_empty() {
        return Ok(counted);
    }
    let mut events = Vec::with_capacity(moved.len());
    for identity in moved {
        identities::move_to(&mut tx, identity.id, to).await?;
        let said = |issuer: &str| IdentitySnapshot {
            issuer: issuer.to_owned(),
            subject: identity.subject.clone(),
            email: identity.email.clone(),
        };
        let event = Event::new(Kind::IdentityMoved, None, identity.id, &identity.subject).related(identity.account_id);
        events.push(event.before(said(from)).after(said(to)));
    }
    tx.commit(&events).await?;
    Ok(counted)
}

/// Lets each identity of a table open its account; those that do already are left. All of them, or none: the error names the
/// lines. With `dry` nothing is changed.
pub async fn import(store: &Store, operator: &Operator, rows: &[IdentityTableRow], dry: bool) -> Result<Counted> {
    let (mut tx, _) = store.begin(operator).await?;
    let (mut events, mut wrong, mut counted) = (Vec::new(), Vec::new(), Counted::default());
    for (number, row) in rows.iter().enumerate() {
        // The first line has the names of the columns.
        let line = number + 2;
        let IdentityTableRow { email, issuer, subject } = row;
        if issuer.is_empty()
            || subject.is_empty()
            || subject.contains(char::is_control)
            || SUBJECT.check_text(subject).is_err()
        {
            wrong.push(format!(
                "line {line}: issuer and subject must be there, the subject with at most 255 characters"
            ));
            continue;
        }
        let Some(account) = accounts::by_email(tx.conn(), email).await? else {
            wrong.push(format!("line {line}: nobody has the address {}", email.escape_debug()));
            continue;
        };
        match identities::find(tx.conn(), issuer, subject).await? {
            Some(there) if there.account_id == account.id => counted.left += 1,
            Some(_) => wrong.push(format!("line {line}: that identity opens another account")),
            None => {
                let (issuer, subject) = (issuer.clone(), subject.clone());
                let by = ByProvider { issuer, subject, email: None, email_proven: false, name: None };
                events.push(linked(&mut tx, account.id, &by).await?);
                counted.changed += 1;
            }
        }
    }
    if !wrong.is_empty() {
        let more = wrong.len().saturating_sub(TOLD);
        wrong.truncate(TOLD);
        let more = if more > 0 { format!("\nand {more} more lines") } else { String::new() };
        return Err(Error::conflict(format!("Nothing was changed.\n{}{more}", wrong.join("\n"))));
    }
    if !dry && !events.is_empty() {
        tx.commit(&events).await?;
    }
    Ok(counted)
}
