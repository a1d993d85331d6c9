//! The tokens of a member who leaves or gets another role, and what is to become of each.

use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::secret::Kind;
use tokenward_core::time::{Micros, length};
use tokenward_core::token::Token;
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::members::Member;

use super::form::{Pairs, Problems};
use super::page::PageError;
use super::person::SignedIn;
use super::tokens::{people, row};
use super::view::{Choice, Heirs, MemberToken, MemberTokens};
use super::words::count;
use crate::limits::{MEMBER_TOKENS, MEMBER_TOKENS_LISTED, TOKEN_OVERLAP};
use crate::service::token_hand_over::{Owned, TokenFate};
use crate::service::{token_policy, tokens, usage};

/// How long a token that ends is still accepted, of which nothing is said.
const USUAL: &str = "24h";
/// What is offered.
const OVERLAPS: [(&str, &str); 4] = [("1h", "An hour"), ("24h", "A day"), ("7d", "A week"), ("30d", "30 days")];
/// Where more would stand on a page, single tokens are handed over together, or by edits of theirs.
const OFFERED: usize = 1_000;
/// Rows that are made without giving others a turn.
const AT_ONCE: usize = 64;

/// The first of the living tokens that a member has made or owns, how many these are, and how many of them the member owns; as far as the
/// person may see them: policy tokens take a right of their own, as in the lists of the API.
async fn of_member(person: &SignedIn, organization: Uuid, user: Uuid) -> Result<(Vec<Token>, (usize, usize))> {
    let Ok(grant) = person.may(organization, Management::TokenRead) else { return Ok((Vec::new(), (0, 0))) };
    let with_policies = person.can(organization, Management::PolicyManage);
    tokens::of_member(&person.app, &grant, (user, with_policies), MEMBER_TOKENS_LISTED.size()).await
}

/// The fields about them: one for each, how long those that end are accepted, and who takes over the others.
pub(super) async fn fields(
    person: &SignedIn,
    grant: &Grant,
    member: &Member,
    typed: &Pairs,
    problems: &mut Problems,
) -> Result<(MemberTokens, Heirs)> {
    let (organization, user) = (grant.organization(), member.account_id);
    let (all, (there, owned)) = of_member(person, organization, user).await?;
    let used = usage::of(&person.app, grant, &all).await?;
    let may_change = person.can(organization, Management::TokenManage);
    let others: Vec<(String, String)> =
        people(person, organization).await?.into_iter().filter(|(id, _)| *id != user.to_string()).collect();
    let offered = if all.len() * others.len() > OFFERED { &[][..] } else { &others[..] };
    let chosen: Vec<&str> = typed.all("fate").collect();
    let shows = may_change && !all.is_empty();
    let overlaps = if shows { overlaps(person, grant, typed.get("overlap")).await? } else { Vec::new() };
    let token = |token: &Token| {
        let shown = row(&person.app, token, used.get(&token.id));
        let owned = token.owner_id == Some(user);
        let choice = |what: &str, label: String| {
            let value = if what.is_empty() { String::new() } else { format!("{}.{what}", shown.id) };
            let chosen = !value.is_empty() && chosen.contains(&value.as_str());
            Choice { value, label, chosen }
        };
        let usual = if owned { "Stays, or is handed over as below" } else { "Stays" };
        let mut fates = vec![choice("", usual.to_owned())];
        if owned {
            fates.push(choice("keep", "Is not handed over".to_owned()));
        }
        // Where no length of those is allowed there is none to choose.
        if !overlaps.is_empty() {
            fates.push(choice("end", "Ends after a while".to_owned()));
        }
        fates.push(choice("delete", "Is deleted at once".to_owned()));
        fates.extend(offered.iter().map(|(id, email)| choice(id, format!("Is handed over to {email}"))));
        MemberToken {
            id: shown.id,
            kind: if token.kind == Kind::PolicyToken { "Policy token" } else { "API token" },
            name: shown.name,
            hint: shown.hint,
            role: shown.role,
            last_used: shown.last_used.map(|used| used.at),
            made: token.creator_id == Some(user),
            owned,
            fates,
        }
    };
    let mut rows: Vec<MemberToken> = Vec::with_capacity(all.len());
    for some in all.chunks(AT_ONCE) {
        rows.extend(some.iter().map(&token));
        // There may be very many: whoever waits for this thread has a turn in between.
        tokio::task::yield_now().await;
    }
    let more = there.saturating_sub(rows.len());
    let tokens = MemberTokens {
        // Without their fields, what is wrong with them is told at the top.
        overlap_error: if overlaps.is_empty() { None } else { problems.take("overlap") },
        rest: if shows && more > 0 { rest(typed.get("rest"), !overlaps.is_empty()) } else { Vec::new() },
        rest_error: problems.take("rest"),
        overlaps,
        count: there,
        rows,
        may_change,
        error: if shows { problems.take("fate") } else { None },
    };
    Ok((tokens, heirs((owned, may_change), others, typed, problems)))
}

/// What can become of all that are not listed.
fn rest(typed: &str, may_end: bool) -> Vec<Choice> {
    let all =
        [("", "Stay, or are handed over as below"), ("end", "End after a while"), ("delete", "Are deleted at once")];
    let choice = |(value, label): (&str, &str)| Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        chosen: value == typed,
    };
    // Where no length of those is allowed there is none to choose.
    all.into_iter().filter(|(value, _)| may_end || *value != "end").map(choice).collect()
}

/// How long a token may be accepted that ends, as limits and policy have it.
async fn overlaps(person: &SignedIn, grant: &Grant, typed: &str) -> Result<Vec<Choice>> {
    let rules = token_policy::get(&person.app, grant).await?.policy.all;
    let most = person.app.limits.micros(&TOKEN_OVERLAP);
    let fits = |text: &str| length(text).is_some_and(|it| it <= most && rules.check_overlap(it).is_ok());
    let wanted = if typed.is_empty() { USUAL } else { typed };
    let all = OVERLAPS.into_iter().filter(|(value, _)| fits(value) || *value == typed);
    let choice = |(value, label): (&str, &str)| Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        chosen: value == wanted,
    };
    Ok(all.map(choice).collect())
}

/// Who can take over the tokens that the member owns, where there are any and the person may say so.
fn heirs(
    (owned, may_change): (usize, bool),
    others: Vec<(String, String)>,
    typed: &Pairs,
    problems: &mut Problems,
) -> Heirs {
    let hint = format!("Who is accountable from then on for the {} that this member owns.", count(owned, "token"));
    if owned == 0 || !may_change {
        return Heirs { owned, hint, choices: Vec::new(), error: None };
    }
    let error = problems.take("hand_over_to");
    let chosen = typed.get("hand_over_to");
    let nobody = (String::new(), "Leave them as they are".to_owned());
    let choice = |(value, label): (String, String)| Choice { chosen: value == chosen, value, label };
    Heirs { owned, hint, choices: std::iter::once(nobody).chain(others).map(choice).collect(), error }
}

/// What is to become of the tokens, as the form says it.
pub(super) fn typed(form: &Pairs) -> Result<Owned> {
    let to = form.read("hand_over_to", "a member of this organization", |text| Uuid::try_parse(text).ok())?;
    let overlap = length(form.get("overlap"));
    let each = form.all("fate").filter(|value| !value.is_empty()).map(|value| fate(value, overlap));
    let each = each.collect::<Result<Vec<_>>>()?;
    MEMBER_TOKENS.check_list(&each).map_err(|problem| Error::invalid("fate", problem))?;
    let ends = || overlap.ok_or_else(no_overlap);
    let rest = match form.get("rest") {
        "" => None,
        "end" => Some(TokenFate::End(ends()?)),
        "delete" => Some(TokenFate::Delete),
        _ => return Err(Error::invalid("rest", "is none of the choices")),
    };
    Ok(Owned { to, each, rest })
}

fn no_overlap() -> Error {
    Error::invalid("overlap", "is no length of time, such as 24h")
}

/// What is to become of one of them.
fn fate(value: &str, overlap: Option<Micros>) -> Result<(Uuid, TokenFate)> {
    let wrong = || Error::invalid("fate", "is none of the choices");
    let (id, what) = value.split_once('.').ok_or_else(wrong)?;
    let id = Uuid::try_parse(id).map_err(|_| Error::invalid("fate", "is not about the id of a token"))?;
    let fate = match what {
        "keep" => TokenFate::Keep,
        "delete" => TokenFate::Delete,
        "end" => TokenFate::End(overlap.ok_or_else(no_overlap)?),
        to => TokenFate::HandOver(Uuid::try_parse(to).map_err(|_| wrong())?),
    };
    Ok((id, fate))
}

/// What is wrong with them, for the form: its fields have no numbers.
pub(super) fn problems(mut error: Error) -> Result<Problems, PageError> {
    for fault in error.faults.iter_mut() {
        if fault.field == "rest.overlap" {
            fault.field = "overlap".to_owned();
        } else if fault.field.starts_with("tokens[") {
            let field = if fault.field.ends_with(".overlap") { "overlap" } else { "fate" };
            fault.field = field.to_owned();
        }
    }
    Problems::of(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_of_each_is_read_and_anything_else_refused() {
        let (token, member) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let read = |form: String| typed(&Pairs::parse(form.as_bytes())).map(|owned| owned.each);
        for (what, fate) in [
            ("keep".to_owned(), TokenFate::Keep),
            ("delete".to_owned(), TokenFate::Delete),
            ("end".to_owned(), TokenFate::End(tokenward_core::time::DAY)),
            (member.to_string(), TokenFate::HandOver(member)),
        ] {
            let form = format!("fate=&fate={token}.{what}&overlap=24h");
            assert_eq!(read(form).unwrap(), [(token, fate)], "{what}");
        }
        let rest = |form: &str| typed(&Pairs::parse(form.as_bytes())).map(|owned| owned.rest);
        assert_eq!(rest("rest=").unwrap(), None);
        assert_eq!(rest("rest=delete").unwrap(), Some(TokenFate::Delete));
        assert_eq!(rest("rest=end&overlap=24h").unwrap(), Some(TokenFate::End(tokenward_core::time::DAY)));
        for wrong in [
            "fate=7".to_owned(),
            "fate=7.delete".to_owned(),
            format!("fate={token}.x"),
            format!("fate={token}.end"),
            format!("fate={token}.end&overlap=soon"),
            "hand_over_to=nobody".to_owned(),
            "rest=keep".to_owned(),
            "rest=end".to_owned(),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
