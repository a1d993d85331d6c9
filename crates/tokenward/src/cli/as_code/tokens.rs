//! Tokens and policy tokens as a file says them: what is made, and what is changed in place.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde_json::Value;
use tokenward_api::policy_tokens::{PolicyApiToken, PolicyApiTokenCreate, PolicyApiTokenRequest};
use tokenward_api::tokens::{ApiToken, ApiTokenCreate, ApiTokenEditRequest, ApiTokenNetwork, ApiTokenRequest};
use tokenward_core::meter::{Quota, Rate};
use tokenward_core::secret::{Kind, PlainText, Prefixes};
use tokenward_core::{Clock, Time};
use tokenward_server::limits::DOCUMENT_BYTES;
use tokenward_verify::server::clock::SystemClock;
use tokenward_verify::server::random::OsRandom;

use super::super::answer::ApiAnswer;
use super::super::output::{self, Failure, Result};
use super::super::token_allowance::{sent_quota, sent_rate, shown_quota, shown_rate};
use super::super::token_args::{changed_metadata, label_list, metadata_text, sent_networks};
use super::super::{prompt, when};
use super::narrow::Places;
use super::{Action, Step, Survey, change, file, once, same, version, wrong};

/// Which kind of token is changed, and the other policy of one that has one.
pub(super) enum Changed {
    Token,
    PolicyToken(Option<String>),
}

impl Survey<'_> {
    pub(super) async fn tokens(&self, steps: &mut Vec<Step>, gone: &mut Vec<Step>) -> Result {
        let Some(wanted) = &self.file.tokens else { return Ok(()) };
        once("tokens", wanted.iter().map(|it| &it.name), str::to_owned)?;
        let now: Vec<ApiAnswer<ApiToken>> = self.all("/apiToken").await?;
        for it in wanted {
            self.kept(self.require_role(&it.role).await).await?;
            let read = match now.iter().find(|old| old.name == it.name) {
                Some(old) => self.changed_token(it, old, Changed::Token, Vec::new(), steps).await,
                None => self.new_token(it, None, steps).await,
            };
            self.kept(read).await?;
        }
        let unnamed = now.iter().filter(|old| wanted.iter().all(|it| it.name != old.name));
        self.gone_tokens(("token", "apiToken"), unnamed.map(|old| &**old).collect(), gone).await
    }

    pub(super) async fn policy_tokens(&self, steps: &mut Vec<Step>, gone: &mut Vec<Step>) -> Result {
        let Some(wanted) = &self.file.policy_tokens else { return Ok(()) };
        once("policy_tokens", wanted.iter().map(|it| &it.token.name), str::to_owned)?;
        let now: Vec<ApiAnswer<PolicyApiToken>> = self.all("/policyApiToken").await?;
        for it in wanted {
            self.kept(self.require_role(&it.token.role).await).await?;
            let old = now.iter().find(|old| old.name == it.token.name).map(|old| &**old);
            self.kept(self.policy_token(it, old, steps).await).await?;
        }
        let unnamed = now.iter().filter(|old| wanted.iter().all(|it| it.token.name != old.name));
        self.gone_tokens(("policy token", "policyApiToken"), unnamed.map(|old| &old.token).collect(), gone).await
    }

    /// What the file does not name goes, but for the token that is asked with: it would take the others with it half-way.
    async fn gone_tokens(&self, (what, path): (&str, &str), unnamed: Vec<&ApiToken>, gone: &mut Vec<Step>) -> Result {
        if unnamed.is_empty() {
            return Ok(());
        }
        let own = self.own_token().await?;
        for old in unnamed.into_iter().filter(|old| Some(old.id) != own) {
            let last = old.last_used_at;
            let used = last.map_or_else(|| "never used".to_owned(), |at| format!("last used {}", output::moment(at)));
            let words = format!("- {what} `{}` ({}, {used})", old.name, old.role_name);
            gone.push(Step { words, action: Action::Delete(format!("{}/{path}/{}", self.base, old.id)) });
        }
        Ok(())
    }

    async fn policy_token(
        &self,
        it: &file::PolicyToken,
        old: Option<&PolicyApiToken>,
        steps: &mut Vec<Step>,
    ) -> Result {
        let policy = match (&it.policy, &it.policy_file) {
            (Some(policy), None) => policy.clone(),
            (None, Some(file)) => {
                let place = self.directory.join(file);
                let bytes = prompt::document(&place.to_string_lossy(), DOCUMENT_BYTES.default)?;
                String::from_utf8(bytes).map_err(|_| wrong(&it.token, &format!("{file} is not UTF-8")))?
            }
            _ => return Err(wrong(&it.token, "its policy stands in `policy` or in `policy_file`")),
        };
        let Some(old) = old else { return self.new_token(&it.token, Some(policy), steps).await };
        let place = it.token.secret_file.as_ref().map(|file| self.directory.join(file));
        if let Some(place) = place.filter(|it| std::fs::metadata(it).is_ok_and(|it| it.is_file() && it.len() == 0)) {
            let lost = format!(
                "its secret is lost: {} is empty, as what answered when it was made was not heard. Delete both",
                place.display()
            );
            return Err(wrong(&it.token, &lost));
        }
        let mut said = Vec::new();
        if old.opa_policy != policy {
            said.push(format!("policy: {} lines → {}", old.opa_policy.lines().count(), policy.lines().count()));
        }
        let other = Some(policy).filter(|policy| *policy != old.opa_policy);
        self.changed_token(&it.token, &old.token, Changed::PolicyToken(other), said, steps).await
    }

    /// Where the secret of a new token is written, if that is to be here; and what is told of it.
    fn secret_of(&self, it: &file::Token) -> Result<(Option<PathBuf>, String)> {
        let secret_file = it.secret_file.as_ref().map(|file| self.directory.join(file));
        let said = match (&secret_file, &it.sha256) {
            (Some(_), Some(_)) => return Err(wrong(it, "it has `secret_file` and `sha256`; one of them says it")),
            (None, None) => {
                let missing = "it is not there yet: say with `secret_file` where its secret is written, or `sha256`";
                return Err(wrong(it, missing));
            }
            (Some(place), None) if place.try_exists().unwrap_or(true) => {
                let at = place.display();
                return Err(wrong(it, &format!("it is to be made, and {at} is there already; move that away")));
            }
            (Some(place), None) => format!("secret in {}", place.display()),
            (None, Some(_)) => "by its digest".to_owned(),
        };
        Ok((secret_file, said))
    }

    async fn new_token(&self, it: &file::Token, policy: Option<String>, steps: &mut Vec<Step>) -> Result {
        let (secret_file, said) = self.secret_of(it)?;
        let end = match &it.expires {
            Some(text) => Some(when::end_argument(text).map_err(|problem| wrong(it, &problem))?.0),
            None => None,
        };
        let body = ApiTokenRequest {
            name: it.name.clone(),
            description: it.description.clone(),
            not_before: begin(it)?,
            expires_at: end,
            networks: sent_networks(&it.networks),
            permissions: it.permissions.clone().filter(|all| !all.is_empty()),
            labels: it.labels.clone(),
            metadata: it.metadata.clone().unwrap_or_default(),
            owner_id: match &it.owner {
                Some(owner) => Some(self.owner(owner).await?),
                None => None,
            },
            successor_id: match &it.successor {
                Some(successor) => self.owner(successor).await?,
                None => None,
            },
            rate_limit: rate(it)?.map(|rate| sent_rate(rate, Some(rate.burst))),
            quota: quota(it)?.map(sent_quota),
            sha256: it.sha256.clone(),
            last_four: it.last_four.clone(),
            ..ApiTokenRequest::default()
        };
        let narrowed = self.narrow_new(it).await?;
        let words = format!("+ {} `{}`: role {}{narrowed}, {said}", it.what(), it.name, it.role);
        let (body, role, places) = (Box::new(body), it.role.clone(), Places::of(it));
        steps.push(Step { words, action: Action::NewToken { body, policy, role, secret_file, places } });
        Ok(())
    }

    async fn changed_token(
        &self,
        it: &file::Token,
        old: &ApiToken,
        what: Changed,
        mut said: Vec<String>,
        steps: &mut Vec<Step>,
    ) -> Result {
        let (mut body, mut role) = (ApiTokenEditRequest::default(), None);
        if !old.role_name.eq_ignore_ascii_case(&it.role) {
            said.push(change("role", &old.role_name, &it.role));
            role = Some(it.role.clone());
        }
        if it.description.is_some() && it.description != old.description {
            said.push(change(
                "description",
                old.description.as_deref().unwrap_or_default(),
                it.description.as_deref().unwrap_or_default(),
            ));
            body.description = Some(it.description.clone());
        }
        changed_times(it, old, &mut body, &mut said)?;
        if it.labels != old.labels {
            said.push(change("labels", &label_list(old), &lines(&it.labels)));
            let gone = old.labels.keys().filter(|key| !it.labels.contains_key(*key)).map(|key| (key.clone(), None));
            let new = it.labels.iter().map(|(key, value)| (key.clone(), Some(value.clone())));
            body.labels = Some(Some(gone.chain(new).collect()));
        }
        if let Some(wanted) = &it.metadata
            && *wanted != old.metadata
        {
            let text = if wanted.is_empty() { String::new() } else { Value::from(wanted.clone()).to_string() };
            said.push(change("metadata", &metadata_text(old), &text));
            body.metadata = Some(changed_metadata(&old.metadata, wanted.clone()));
        }
        let wanted = sent_networks(&it.networks).unwrap_or_default();
        if wanted != old.networks {
            let text =
                |all: &[ApiTokenNetwork]| all.iter().map(|it| it.network.as_str()).collect::<Vec<_>>().join(", ");
            said.push(change("networks", &text(&old.networks), &text(&wanted)));
            body.networks = Some(Some(wanted).filter(|all| !all.is_empty()));
        }
        changed_limits(it, old, &mut body, &mut said)?;
        if let Some(owner) = &it.owner
            && !is_owner(old, owner)
        {
            said.push(change("owner", old.owner_name.as_deref().unwrap_or_default(), owner));
            body.owner_id = Some(self.owner(owner).await?);
        }
        if let Some(successor) = &it.successor {
            let wanted = self.owner(successor).await?;
            if wanted != old.successor_id {
                let members = self.members_there().await?;
                let before = members.iter().find(|member| Some(member.id) == old.successor_id);
                said.push(change("successor", before.map_or("", |member| member.email.as_str()), successor));
                body.successor_id = Some(wanted);
            }
        }
        let places = self.narrow(it, old, &mut body, &mut said).await?;
        if !said.is_empty() {
            let words = format!("~ {} `{}`: {}", it.what(), it.name, said.join("; "));
            let (id, body, etag) = (old.id, Box::new(body), version(old.updated_at));
            steps.push(Step { words, action: Action::Token { id, what, body, role, places, etag } });
        }
        Ok(())
    }

    /// The secret is made here and is in its file before anybody knows its digest: nothing can lose it.
    pub(super) async fn make_token(&self, mut body: ApiTokenRequest, secret_file: Option<PathBuf>) -> Result {
        let path = format!("{}/apiToken", self.base);
        let Some(place) = secret_file else {
            return self.context.client.create::<ApiTokenCreate>(&path, &body).await.map(drop);
        };
        let secret = PlainText::generate(Kind::Token, &Prefixes::default(), &OsRandom);
        let mut file = new_file(&place)?;
        let written = file.write_all(secret.expose().as_bytes()).and_then(|()| file.sync_all());
        written.map_err(|cause| not_written(&place, &cause))?;
        body.sha256 = Some(hex::encode(secret.inner_digest().to_bytes()));
        body.last_four = Some(secret.last_four().to_owned());
        let made = self.context.client.create::<ApiTokenCreate>(&path, &body).await;
        if made.as_ref().is_err_and(|failure| failure.undone) {
            // It is the secret of nothing. Where it cannot be removed, the next run says so.
            let _ = std::fs::remove_file(&place);
        }
        made.map(drop)
    }

    /// Its secret is the server's to make, which alone knows what policy tokens begin with; or it is there, and its digest is told.
    /// The file is there before, so that nothing is made whose secret could not be kept.
    pub(super) async fn make_policy_token(&self, body: &PolicyApiTokenRequest, place: Option<PathBuf>) -> Result {
        let path = format!("{}/policyApiToken", self.base);
        let Some(place) = place else {
            return self.context.client.create::<IgnoredAny>(&path, body).await.map(drop);
        };
        let mut file = new_file(&place)?;
        match self.context.client.create::<PolicyApiTokenCreate>(&path, body).await {
            Ok(made) => file
                .write_all(made.token.as_deref().unwrap_or_default().as_bytes())
                .and_then(|()| file.sync_all())
                .map_err(|cause| {
                    let lost = format!("The policy token `{}` was made, and its secret is lost: delete it.", made.name);
                    not_written(&place, &cause).hint(lost)
                }),
            Err(failure) if failure.undone => {
                // Nothing was written into it.
                let _ = std::fs::remove_file(&place);
                Err(failure)
            }
            // The empty file stays, by which the next plan knows it.
            Err(failure) => Err(failure.hint(format!(
                "Whether the policy token `{}` was made is not known; if it was, its secret is lost. Delete it if it is there, and \
                 {}, before you apply again.",
                body.name,
                place.display()
            ))),
        }
    }
}

/// The file of a secret, which must not be there yet.
fn new_file(place: &Path) -> Result<File> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(place);
    opened.map_err(|cause| not_written(place, &cause))
}

fn not_written(place: &Path, cause: &io::Error) -> Failure {
    Failure::error(format!("{} cannot be written: {cause}", place.display()))
}

/// What is different about the times in which it is accepted. A length counts only when a token is made; what has begun has begun.
fn changed_times(it: &file::Token, old: &ApiToken, body: &mut ApiTokenEditRequest, said: &mut Vec<String>) -> Result {
    let text = |at: Option<Time>, none: &str| at.map_or_else(|| none.to_owned(), output::moment);
    if let Some(wanted) = it.expires.as_deref() {
        match fixed_end(wanted) {
            Some(end) if end != old.expires_at => {
                said.push(change("end", &text(old.expires_at, "never"), &text(end, "never")));
                body.expires_at = Some(end);
            }
            Some(_) => {}
            None => when::end_argument(wanted).map(drop).map_err(|problem| wrong(it, &problem))?,
        }
    }
    let Some(wanted) = it.not_before.as_deref() else { return Ok(()) };
    let now = SystemClock::default().now();
    let before = old.not_before.filter(|at| now < *at);
    let after = begin(it)?;
    if (wanted == "now" || when::fixed_begin(wanted).is_some()) && after != before {
        said.push(change("not_before", &text(before, "now"), &text(after, "now")));
        body.not_before = Some(after);
    }
    Ok(())
}

/// What is different about how fast and how much it may be used.
fn changed_limits(it: &file::Token, old: &ApiToken, body: &mut ApiTokenEditRequest, said: &mut Vec<String>) -> Result {
    if it.rate_limit.is_some() {
        let wanted = rate(it)?;
        let (before, after) = (shown_rate(old), wanted.map(|rate| rate.to_string()).unwrap_or_default());
        if before != after {
            said.push(change("rate_limit", &before, &after));
            body.rate_limit = Some(wanted.map(|rate| sent_rate(rate, Some(rate.burst))));
        }
    }
    if it.quota.is_some() {
        let wanted = quota(it)?;
        let (before, after) = (shown_quota(old), wanted.map(|quota| quota.to_string()).unwrap_or_default());
        if before != after {
            said.push(change("quota", &before, &after));
            body.quota = Some(wanted.map(sent_quota));
        }
    }
    Ok(())
}

/// From when on it is accepted, where that lies ahead: a moment or a date, a length from now, or `now`.
fn begin(it: &file::Token) -> Result<Option<Time>> {
    let Some(text) = it.not_before.as_deref().filter(|text| *text != "now") else { return Ok(None) };
    match when::fixed_begin(text) {
        Some(at) => Ok(Some(at).filter(|at| SystemClock::default().now() < *at)),
        None => {
            let ahead = when::ahead_argument(text);
            ahead.map(Some).map_err(|problem| wrong(it, &format!("`not_before`: {problem}")))
        }
    }
}

/// How fast it may be used; as it likes where the file says nothing, or `none`.
fn rate(it: &file::Token) -> Result<Option<Rate>> {
    let read = said(it.rate_limit.as_deref()).map(Rate::parse_line).transpose();
    read.map_err(|problem| wrong(it, &format!("`rate_limit` {problem}")))
}

/// How much it may be used, in the same way.
fn quota(it: &file::Token) -> Result<Option<Quota>> {
    let read = said(it.quota.as_deref()).map(Quota::parse).transpose();
    read.map_err(|problem| wrong(it, &format!("`quota` {problem}")))
}

fn said(text: Option<&str>) -> Option<&str> {
    text.filter(|text| *text != "none")
}

fn lines(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

/// Is this who is accountable for the token: an e-mail address, an id, or `none`?
fn is_owner(token: &ApiToken, named: &str) -> bool {
    match token.owner_id {
        None => named == "none",
        Some(id) => same(named, token.owner_name.as_deref().unwrap_or_default()) || named == id.to_string(),
    }
}

/// An end that is the same whenever it is read; a length counts only when a token is made.
fn fixed_end(text: &str) -> Option<Option<Time>> {
    if text == "never" {
        return Some(None);
    }
    when::fixed_end(text).map(Some)
}
