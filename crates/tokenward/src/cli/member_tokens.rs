//! The tokens that a member has made: shown before the member goes, and deleted where somebody says so.

use reqwest::Method;
use tokenward_api::tokens::{ApiTokenBulk, ApiTokenBulkRequest};
use tokenward_core::Uuid;

use super::Context;
use super::answer::ApiAnswer;
use super::client::ChosenOrganization;
use super::effect::WaitArgs;
use super::output::{Exit, Failure, Result, clean, token_count as count};
use crate::note::{note, say};

/// The tokens that a member has made and that have not ended.
pub struct MadeTokens {
    path: String,
    /// `None` where they may not be seen.
    seen: Option<ApiAnswer<ApiTokenBulk>>,
}

/// Which tokens a member has made, without doing anything to them.
pub async fn made_by(member: Uuid, context: &Context<'_>, organization: &ChosenOrganization) -> Result<MadeTokens> {
    let path = format!("/organization/{}/apiToken/bulk?creatorId={member}", organization.id);
    let seen = match context.client.post(&path, &deletion(None)).await {
        Ok(seen) => Some(seen),
        Err(failure) if failure.exit == Exit::Refused => None,
        Err(failure) => return Err(failure),
    };
    Ok(MadeTokens { path, seen })
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

impl MadeTokens {
    fn count(&self) -> u64 {
        self.seen.as_ref().map_or(0, |seen| seen.count)
    }

    /// Shows them, the first by name.
    pub fn show(&self, email: &str) {
        let Some(seen) = self.seen.as_ref().filter(|seen| seen.count > 0) else { return };
        note(clean(&format!("{email} has made {}:", count(seen.count))));
        for token in &seen.first {
            note(clean(&format!("  {}", token.name)));
        }
        let named = u64::try_from(seen.first.len()).unwrap_or(u64::MAX);
        if let Some(more) = seen.count.checked_sub(named).filter(|more| *more > 0) {
            note(format!("  and {more} more"));
        }
    }

    /// What becomes of them, for a question.
    pub fn fate(&self, email: &str, delete: bool) -> String {
        match (self.count(), delete) {
            (0, true) => {
                format!("there is no token that {email} made and you may see, and those that {email} owns stay")
            }
            (made, true) => format!(
                "{} that {email} made {} deleted, which cannot be undone later than in an hour",
                count(made),
                if made == 1 { "is" } else { "are" }
            ),
            (_, false) => {
                format!(
                    "the tokens that {email} created or owns stay where nothing else is said of them; --delete-tokens \
                     deletes those that {email} made"
                )
            }
        }
    }

    /// Deletes those that were shown, and no other ones.
    pub async fn delete(&self, email: &str, context: &Context<'_>) -> Result {
        let Some(seen) = &self.seen else {
            let why = format!("You may not delete the tokens that {email} has made. Nobody was removed.");
            return Err(Failure::new(Exit::Refused, why));
        };
        if seen.count == 0 {
            return Ok(());
        }
        let (body, wait) = (deletion(Some(seen.set.clone())), WaitArgs { wait: None });
        let done = context.client.take_away_with::<ApiTokenBulk>(Method::POST, &self.path, &body, wait).await;
        let done = done.map_err(|failure| failure.hint("Nobody was removed."))?;
        note(format!("Deleted {}. {}", count(done.answer.done), done.refused));
        Ok(())
    }

    /// Says where some were made while the others were deleted.
    pub async fn tell_of_later_ones(&self, context: &Context<'_>) -> Result {
        let left: ApiAnswer<ApiTokenBulk> = context.client.post(&self.path, &deletion(None)).await?;
        if left.count > 0 {
            say(format!(
                "warning: {} were made meanwhile, and stay: `tokenward token list --creator-left`.",
                count(left.count)
            ));
        }
        Ok(())
    }
}
