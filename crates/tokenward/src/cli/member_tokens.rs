//! The tokens of both kinds that a member has made: shown before the member goes, and deleted where somebody says so.

use reqwest::Method;
use tokenward_api::tokens::{ApiTokenBulk, ApiTokenBulkRequest};
use tokenward_core::Uuid;

use super::Context;
use super::answer::ApiAnswer;
use super::client::ChosenOrganization;
use super::effect::WaitArgs;
use super::output::{Exit, Failure, Result, clean};
use crate::note::{note, say};

/// The kinds: the path below the organization, what one is called, and which command lists them.
const KINDS: [(&str, &str, &str); 2] = [
    ("apiToken", "token", "tokenward token list --creator-left"),
    ("policyApiToken", "policy token", "tokenward policy-token list --creator-left"),
];

/// The tokens that a member has made and that have not ended.
pub struct MadeTokens([MadeOfKind; 2]);

/// Those of one kind.
struct MadeOfKind {
    path: String,
    what: &'static str,
    list: &'static str,
    /// `None` where they may not be changed.
    seen: Option<ApiAnswer<ApiTokenBulk>>,
}

/// Which tokens a member has made, without doing anything to them.
pub async fn made_by(member: Uuid, context: &Context<'_>, organization: &ChosenOrganization) -> Result<MadeTokens> {
    let [tokens, policy_tokens] = KINDS;
    Ok(MadeTokens([
        MadeOfKind::look(tokens, member, context, organization).await?,
        MadeOfKind::look(policy_tokens, member, context, organization).await?,
    ]))
}

/// To delete them: with the mark of those that were looked at, else only to look.
fn deletion(set: Option<String>) -> ApiTokenBulkRequest {
    ApiTokenBulkRequest {
        action: "delete".to_owned(),
        reason: None,
        note: None,
        expires_at: None,
        owner_id: None,
        token_ids: None,
        dry_run: set.is_none(),
        set,
    }
}

/// `1 policy token`, `3 tokens`.
fn count(tokens: u64, what: &str) -> String {
    if tokens == 1 { format!("1 {what}") } else { format!("{tokens} {what}s") }
}

impl MadeOfKind {
    async fn look(
        (kind, what, list): (&str, &'static str, &'static str),
        member: Uuid,
        context: &Context<'_>,
        organization: &ChosenOrganization,
    ) -> Result<Self> {
        let path = format!("/organization/{}/{kind}/bulk?creatorId={member}", organization.id);
        let seen = match context.client.post(&path, &deletion(None)).await {
            Ok(seen) => Some(seen),
            Err(failure) if failure.exit == Exit::Refused => None,
            Err(failure) => return Err(failure),
        };
        Ok(Self { path, what, list, seen })
    }

    fn count(&self) -> u64 {
        self.seen.as_ref().map_or(0, |seen| seen.count)
    }

    /// Shows them, the first by name.
    fn show(&self, email: &str) {
        let Some(seen) = self.seen.as_ref().filter(|seen| seen.count > 0) else { return };
        note(clean(&format!("{email} has made {}:", count(seen.count, self.what))));
        for token in &seen.first {
            note(clean(&format!("  {}", token.name)));
        }
        let named = u64::try_from(seen.first.len()).unwrap_or(u64::MAX);
        if let Some(more) = seen.count.checked_sub(named).filter(|more| *more > 0) {
            note(format!("  and {more} more"));
        }
    }

    /// Deletes those that were shown, and no other ones.
    async fn delete(&self, context: &Context<'_>) -> Result {
        let Some(seen) = self.seen.as_ref().filter(|seen| seen.count > 0) else { return Ok(()) };
        let (body, wait) = (deletion(Some(seen.set.clone())), WaitArgs { wait: None });
        let done = context.client.take_away_with::<ApiTokenBulk>(Method::POST, &self.path, &body, wait).await;
        let done = done.map_err(|failure| failure.hint("Nobody was removed."))?;
        note(format!("Deleted {}. {}", count(done.answer.done, self.what), done.refused));
        Ok(())
    }
}

impl MadeTokens {
    /// Shows them, those of each kind.
    pub fn show(&self, email: &str) {
        self.0.iter().for_each(|kind| kind.show(email));
    }

    /// What becomes of them, for a question.
    pub fn fate(&self, email: &str, delete: bool) -> String {
        let made: Vec<String> =
            self.0.iter().filter(|it| it.count() > 0).map(|it| count(it.count(), it.what)).collect();
        let several = self.0.iter().map(MadeOfKind::count).sum::<u64>() > 1;
        match (made.is_empty(), delete) {
            (true, true) => {
                format!("there is no token that {email} made and you may see, and those that {email} owns stay")
            }
            (false, true) => format!(
                "{} that {email} made {} deleted, which cannot be undone later than in an hour",
                made.join(" and "),
                if several { "are" } else { "is" }
            ),
            (_, false) => {
                format!(
                    "the tokens that {email} created or owns stay where nothing else is said of them; --delete-tokens \
                     deletes those that {email} made"
                )
            }
        }
    }

    /// Deletes those that were shown, of both kinds. Where one kind may not be, none is: who says so must not believe that they are gone.
    pub async fn delete(&self, email: &str, context: &Context<'_>) -> Result {
        if let Some(kept) = self.0.iter().find(|it| it.seen.is_none()) {
            let what = kept.what;
            let why = format!("You may not delete the {what}s that {email} has made. Nobody was removed.");
            return Err(Failure::new(Exit::Refused, why));
        }
        for kind in &self.0 {
            kind.delete(context).await?;
        }
        Ok(())
    }

    /// Says where some were made while the others were deleted.
    pub async fn tell_of_later_ones(&self, context: &Context<'_>) -> Result {
        for kind in &self.0 {
            let left: ApiAnswer<ApiTokenBulk> = context.client.post(&kind.path, &deletion(None)).await?;
            if left.count > 0 {
                let (many, list) = (count(left.count, kind.what), kind.list);
                say(format!("warning: {many} were made meanwhile, and stay: `{list}`."));
            }
        }
        Ok(())
    }
}
