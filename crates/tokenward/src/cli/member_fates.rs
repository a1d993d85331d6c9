//! What becomes of the tokens of a member who is removed or gets another role: said one by one, or asked about at a terminal.

use clap::Args;
use tokenward_api::members::{Member, MemberRest, MemberToken};
use tokenward_api::tokens::ApiToken;
use tokenward_core::time::{DAY, Micros, length, length_text};
use tokenward_core::{Time, Uuid};

use super::answer::{ApiAnswer, List};
use super::client::ChosenOrganization;
use super::find::{Named, find};
use super::output::{Exit, Failure, Result, clean, moment, token_count as count};
use super::{Context, prompt, token_questions, when};
use crate::note::note;

/// How long a token is still accepted of which nobody says it.
const OVERLAP: Micros = DAY;
/// As many tokens are asked about one by one.
const ASKED: usize = 20;

/// What becomes of single tokens that the member owns or has created.
#[derive(Args, Debug)]
pub struct FateArgs {
    /// Make a member accountable for one of the tokens, by names or ids; several times for several
    #[arg(long, value_name = "TOKEN=EMAIL")]
    hand_over: Vec<String>,
    /// Let one of the tokens end after --overlap, by name or id; several times for several
    #[arg(long, value_name = "TOKEN")]
    end: Vec<String>,
    /// How long those that end are still accepted: 24h (without it), 30m, 7d; never longer than without it
    #[arg(long, value_name = "LENGTH", value_parser = when::length_argument)]
    overlap: Option<Micros>,
    /// Delete one of the tokens at once, by name or id; several times for several
    #[arg(long, value_name = "TOKEN")]
    delete: Vec<String>,
    /// Do not hand one of the tokens over with the others, by name or id; several times for several
    #[arg(long, value_name = "TOKEN")]
    keep: Vec<String>,
    /// What becomes of all tokens that the member owns or has created and of which nothing is said
    #[arg(long, value_name = "WORD", value_parser = ["end", "delete"])]
    rest: Option<String>,
}

/// A token that a member owns or has created.
#[derive(Clone, Debug)]
pub struct OfMember {
    pub id: Uuid,
    pub name: String,
    role: String,
    last_used: Option<Time>,
    pub owned: bool,
}

/// Those of a member that have not ended; none where they may not be seen.
pub async fn of_member(
    member: Uuid,
    context: &Context<'_>,
    organization: &ChosenOrganization,
) -> Result<Vec<OfMember>> {
    let id = member.to_string();
    let mut all: Vec<OfMember> = Vec::new();
    // Policy tokens take a right of their own.
    for kind in ["apiToken", "policyApiToken"] {
        let path = format!("/organization/{}/{kind}", organization.id);
        for by in ["ownerId", "creatorId"] {
            let query = [(by, Some(id.as_str())), ("state", Some("living"))];
            // Of a policy token all is read but its policy.
            let found = match context.client.query::<List<ApiToken>>(&path, &query).await {
                Ok(found) => found,
                Err(failure) if failure.exit == Exit::Refused => break,
                Err(failure) => return Err(failure),
            };
            for token in &found.results {
                if all.iter().all(|it| it.id != token.id) {
                    let (name, role) = (token.name.clone(), token.role_name.clone());
                    let owned = token.owner_id == Some(member);
                    all.push(OfMember { id: token.id, name, role, last_used: token.last_used_at, owned });
                }
            }
        }
    }
    Ok(all)
}

impl Named for OfMember {
    fn id(&self) -> Uuid {
        self.id
    }

    fn label(&self) -> &str {
        &self.name
    }
}

impl OfMember {
    /// `ci-deploys  devops, last used 2026-11-25 01:55Z`.
    fn line(&self) -> String {
        let used = self.last_used.map_or_else(|| "never used".to_owned(), |at| format!("last used {}", moment(at)));
        format!("{}  {}, {used}", self.name, self.role)
    }
}

/// Shows those that the member is accountable for, before something is done about their owner.
pub fn show_owned(email: &str, all: &[OfMember]) {
    let owned: Vec<&OfMember> = all.iter().filter(|token| token.owned).collect();
    if owned.is_empty() {
        return;
    }
    let many = if owned.len() == 1 { "one token".to_owned() } else { format!("{} tokens", owned.len()) };
    note(clean(&format!("{email} is accountable for {many}:")));
    for token in owned {
        note(clean(&format!("  {}", token.line())));
    }
}

/// What becomes of one.
#[derive(Clone, PartialEq, Eq, Debug)]
enum TokenFate {
    Keep,
    HandOver(String),
    End(Micros),
    Delete,
}

impl TokenFate {
    /// As the API takes it.
    fn sent(self, token: Uuid, members: &[ApiAnswer<Member>]) -> Result<MemberToken> {
        let plain = |action: &str| MemberToken { token_id: token, action: action.to_owned(), to: None, overlap: None };
        Ok(match self {
            Self::Keep => plain("keep"),
            Self::Delete => plain("delete"),
            Self::End(overlap) => MemberToken { overlap: Some(length_text(overlap)), ..plain("end") },
            Self::HandOver(to) => MemberToken { to: Some(find(members, &to, "member")?.id), ..plain("hand_over") },
        })
    }
}

impl FateArgs {
    /// Is nothing said of any?
    pub fn say_nothing(&self) -> bool {
        [&self.hand_over, &self.end, &self.delete, &self.keep].into_iter().all(Vec::is_empty) && self.rest.is_none()
    }

    /// What is said of all others, as the API takes it.
    pub fn rest(&self) -> Result<Option<MemberRest>> {
        let ends = self.rest.as_deref() == Some("end");
        if self.overlap.is_some() && !ends && self.end.is_empty() {
            return Err(Failure::usage("--overlap goes with --end TOKEN or `--rest end`."));
        }
        let overlap = ends.then(|| length_text(self.overlap.unwrap_or(OVERLAP)));
        Ok(self.rest.clone().map(|action| MemberRest { action, overlap }))
    }

    /// What is said of these tokens, as the API takes it.
    pub fn of(&self, all: &[OfMember], members: &[ApiAnswer<Member>]) -> Result<Vec<MemberToken>> {
        let mut said: Vec<(&str, TokenFate)> = Vec::new();
        for text in &self.hand_over {
            let Some((token, to)) = text.rsplit_once('=') else {
                return Err(Failure::usage(format!("`{}` names no member: write TOKEN=EMAIL.", clean(text))));
            };
            said.push((token, TokenFate::HandOver(to.to_owned())));
        }
        let overlap = self.overlap.unwrap_or(OVERLAP);
        said.extend(self.end.iter().map(|token| (token.as_str(), TokenFate::End(overlap))));
        said.extend(self.delete.iter().map(|token| (token.as_str(), TokenFate::Delete)));
        said.extend(self.keep.iter().map(|token| (token.as_str(), TokenFate::Keep)));
        let mut sent: Vec<MemberToken> = Vec::with_capacity(said.len());
        for (wanted, fate) in said {
            let token = find(all, wanted, "token of this member")?;
            if token.name == wanted && all.iter().filter(|it| it.name == wanted).count() > 1 {
                let said = format!("`{}` is a token and a policy token of this member: write the id.", clean(wanted));
                return Err(Failure::usage(said));
            }
            if sent.iter().any(|it| it.token_id == token.id) {
                return Err(Failure::usage(format!("The token `{}` is named twice.", clean(&token.name))));
            }
            sent.push(fate.sent(token.id, members)?);
        }
        Ok(sent)
    }
}

/// Asks what becomes of each, where somebody sits at the terminal and they are few.
pub fn ask(all: &[OfMember], members: &[ApiAnswer<Member>], context: &Context<'_>) -> Result<Vec<MemberToken>> {
    if all.is_empty() || all.len() > ASKED || !token_questions::can_ask(context.global) {
        return Ok(Vec::new());
    }
    note(
        "For each token: h EMAIL hands it over, e or e 7d ends it after a day or so long, d deletes it; Enter leaves it.",
    );
    let mut sent = Vec::new();
    for token in all {
        let typed = prompt::line(&format!("{}: ", clean(&token.line())))?;
        if let Some(fate) = read(&typed)? {
            sent.push(fate.sent(token.id, members)?);
        }
    }
    Ok(sent)
}

/// What was typed; nothing where it was left so.
fn read(typed: &str) -> Result<Option<TokenFate>> {
    let mut words = typed.split_whitespace();
    let (verb, what, more) = (words.next(), words.next(), words.next());
    let fate = match (verb, what, more) {
        (None, ..) => return Ok(None),
        (Some("d"), None, None) => Some(TokenFate::Delete),
        (Some("e"), None, None) => Some(TokenFate::End(OVERLAP)),
        (Some("e"), Some(text), None) => length(text).map(TokenFate::End),
        (Some("h"), Some(to), None) => Some(TokenFate::HandOver(to.to_owned())),
        _ => None,
    };
    let unread = || Failure::usage(format!("`{}` was not understood. Nothing was changed.", clean(typed)));
    fate.map(Some).ok_or_else(unread)
}

/// What is said of them, in a sentence behind others; nothing where nothing is.
pub fn fates_in_words(sent: &[MemberToken], rest: Option<&MemberRest>) -> String {
    let each = [
        ("hand_over", "is handed over", "are handed over"),
        ("end", "ends", "end"),
        ("delete", "is deleted", "are deleted"),
        ("keep", "stays", "stay"),
    ];
    let part = |(action, one, several): (&str, &str, &str)| {
        let many = sent.iter().filter(|it| it.action == action).count() as u64;
        (many > 0).then(|| format!("{} {}", count(many), if many == 1 { one } else { several }))
    };
    let mut parts: Vec<String> = each.into_iter().filter_map(part).collect();
    parts.extend(rest.map(|it| match &it.overlap {
        Some(overlap) => format!("all others of theirs end in {overlap}"),
        None => "all others of theirs are deleted".to_owned(),
    }));
    if parts.is_empty() { String::new() } else { format!(" {}.", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_of_a_token_is_one_of_four_or_refused() {
        assert_eq!(read("").unwrap(), None);
        assert_eq!(read(" d ").unwrap(), Some(TokenFate::Delete));
        assert_eq!(read("e").unwrap(), Some(TokenFate::End(DAY)));
        assert_eq!(read("e 7d").unwrap(), Some(TokenFate::End(7 * DAY)));
        assert_eq!(read("h ada@acme.example").unwrap(), Some(TokenFate::HandOver("ada@acme.example".to_owned())));
        for wrong in ["x", "d now", "h", "e soon", "e 7d 8d", "y"] {
            assert_eq!(read(wrong).unwrap_err().exit, Exit::Usage, "{wrong}");
        }
    }
}
