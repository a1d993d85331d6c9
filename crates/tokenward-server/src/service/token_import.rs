//! Many tokens whose secrets somebody else made, all of them or none: in one transaction, with an event each.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use tokenward_core::caller::Grant;
use tokenward_core::error::Fault;
use tokenward_core::event::Event;
use tokenward_core::secret::Kind;
use tokenward_core::sync::lock;
use tokenward_core::{Code, Error, Result};
use tokenward_store::{Tx, tokens};

use super::tokens::batches::{self, Refused, TokenWrite, TokenWritten};
use super::tokens::{NewToken, Secret};
use super::{App, Written};
use crate::heavy;
use crate::limits::TOKENS;

/// Tokens that go to the database at once.
const AT_ONCE: usize = 2_000;
/// Lines that are named in an error.
const NAMED: usize = 20;

/// A token of an import, and in which line it stands, counted from 1.
pub struct TokenImportRow {
    /// The line.
    pub line: usize,
    /// The token. It has a registration.
    pub new: NewToken,
}

/// What is wrong with some lines, told together.
#[derive(Default)]
pub struct Wrong {
    faults: Vec<Fault>,
    /// How many there were.
    count: usize,
}

impl Wrong {
    /// Something is wrong with a field in a line.
    pub fn push(&mut self, line: usize, field: &str, problem: impl Into<String>) {
        self.count += 1;
        if self.faults.len() < NAMED {
            self.faults.push(Fault { field: format!("lines[{line}].{field}"), problem: problem.into() });
        }
    }

    /// An error about one of them. What is no fault of its words is answered as it is, with the line before it.
    pub fn error(&mut self, line: usize, error: Error) -> Result<()> {
        match error.code {
            Code::InvalidRequest if !error.faults.is_empty() => {
                error.faults.into_iter().for_each(|fault| self.push(line, &fault.field, fault.problem));
                Ok(())
            }
            Code::InvalidRequest => {
                self.push(line, error.field.unwrap_or("line"), error.detail.into_string());
                Ok(())
            }
            Code::NameTaken => {
                self.push(line, "name", "is the name of another token of the organization");
                Ok(())
            }
            Code::DigestUsed => {
                self.push(line, "sha256", "was registered before; a secret is registered once");
                Ok(())
            }
            _ => Err(Error { detail: format!("In line {line}: {}", error.detail).into(), ..error }),
        }
    }

    /// Have so many been found that no more need to be looked for?
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.count >= NAMED
    }

    /// All that is wrong, in one error.
    pub fn finish(self) -> Result<()> {
        if self.count == 0 { Ok(()) } else { Err(Error::faults(self.faults)) }
    }
}

/// Looks for what is there twice.
pub fn check_doubles(rows: &[TokenImportRow], wrong: &mut Wrong) {
    let (mut names, mut digests) = (HashMap::new(), HashMap::new());
    for TokenImportRow { line, new } in rows {
        if let Some(first) = names.insert(new.name.as_str(), *line) {
            wrong.push(*line, "name", format!("is the same as in line {first}"));
        }
        let Some(registration) = &new.registration else { continue };
        if let Some(first) = digests.insert(registration.inner.to_bytes(), *line) {
            wrong.push(*line, "sha256", format!("is the same as in line {first}; a secret is registered once"));
        }
    }
}

/// Makes all of these tokens, or none where one of them may not be. With `dry_run` it does all of that and takes it back.
pub async fn import(
    app: &Arc<App>,
    grant: Grant,
    rows: Vec<TokenImportRow>,
    dry_run: bool,
) -> Result<Option<Written<usize>>> {
    let count = rows.len();
    if count == 0 {
        return Err(Error::invalid("body", "has no token; send an object of JSON a line"));
    }
    if !dry_run {
        // One, however many it holds: what has run away makes one after the other.
        app.creates.take(&app.limits, grant.organization(), &grant.by().actor, app.now())?;
    }
    require_room(app, &grant, count).await?;
    let maker = Arc::clone(app);
    let changes: Vec<(usize, TokenWrite)> = heavy::run(grant.organization(), move || {
        let change = |TokenImportRow { line, mut new }: TokenImportRow| {
            let secret = Secret::new(&maker, Kind::Token, new.registration.take());
            (line, TokenWrite::Create { id: maker.store.new_id(), new: Box::new(new), secret })
        };
        rows.into_iter().map(change).collect()
    })
    .await?;
    let (changes, own) = (Arc::new(changes), Arc::clone(app));
    // All or nothing is one transaction, and that of many tokens takes seconds. It ends with the write, which goes on without
    // whoever asked for it.
    let long = (count > AT_ONCE).then(|| Arc::new(app.store.long_write()));
    // A transaction is taken back by an error; this says that it is none.
    let tried = Arc::new(Mutex::new(false));
    let told = Arc::clone(&tried);
    let written = app
        .write(grant, move |tx, grant| {
            Box::pin(async move {
                let _long = long;
                let events = make_all(&own, tx, grant, &changes).await?;
                if dry_run {
                    *lock(&told) = true;
                    return Err(Error::conflict("This was a dry run."));
                }
                Ok((count, events))
            })
        })
        .await;
    match written {
        Err(_) if *lock(&tried) => Ok(None),
        written => written.map(Some),
    }
}

/// Told before the work. Who makes others meanwhile is found by the work.
async fn require_room(app: &Arc<App>, grant: &Grant, more: usize) -> Result<()> {
    let mut reader = app.read_for(grant).await?;
    let there = tokens::count(reader.conn(), grant).await?;
    let last = there + u64::try_from(more).unwrap_or(u64::MAX).saturating_sub(1);
    app.limits.room(&TOKENS, last, "With these the organization would have more API tokens than")
}

async fn make_all(app: &App, tx: &mut Tx, grant: &Grant, changes: &[(usize, TokenWrite)]) -> Result<Vec<Event>> {
    let mut wrong = Wrong::default();
    let mut events = Vec::with_capacity(changes.len());
    for some in changes.chunks(AT_ONCE) {
        // By the names of all peppers: the database itself would not say which one it is.
        let digests: Vec<_> = some.iter().flat_map(|(_, change)| change.digests()).collect();
        let used: HashSet<_> = tokens::used(tx.conn(), &digests).await?;
        let (known, new): (Vec<_>, Vec<_>) =
            some.iter().partition(|(_, change)| change.digests().any(|digest| used.contains(&digest)));
        for (line, _) in known {
            wrong.error(*line, Error::digest_used())?;
        }
        let asked = new.iter().map(|(_, change)| (Ok(grant.clone()), change)).collect();
        let made = batches::make(app, tx, asked).await?;
        for ((line, _), made) in new.iter().zip(made) {
            match made {
                Ok((TokenWritten::Created { .. }, event)) => events.push(event),
                Ok((TokenWritten::Revoked(_) | TokenWritten::Rotated(_), _)) => {
                    return Err(Error::internal("an import has taken a token back"));
                }
                Err(Refused::Itself(error) | Refused::ForOthers(error)) => wrong.error(*line, error)?,
            }
        }
        if wrong.is_enough() {
            break;
        }
    }
    wrong.finish()?;
    Ok(events)
}
