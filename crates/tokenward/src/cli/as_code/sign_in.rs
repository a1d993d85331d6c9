//! What a file says of how people come in: the rules by which a provider's groups are members, and by what people sign in at all.

use std::collections::BTreeSet;

use reqwest::header::HeaderValue;
use tokenward_api::sign_in_policy::{SignInPolicy, SignInPolicyBody};
use tokenward_api::sign_in_rules::{SignInRuleBody, SignInRules, SignInRulesBody};
use tokenward_core::time::length;

use super::super::answer::ApiAnswer;
use super::super::output::Result;
use super::super::sign_in_policy::out_lines;
use super::{Action, Step, Survey, change, file};

/// What is asked of sessions.
struct SignInSettings<'a> {
    providers: &'a [String],
    /// The days of grace, where two factors are asked.
    two_factors: Option<u8>,
    /// For how long a proof counts, and a session may lie unused.
    sessions: [Option<&'a str>; 2],
}

impl SignInSettings<'_> {
    /// By what people sign in, in words.
    fn words(&self) -> String {
        let providers = match self.providers {
            [] => "any".to_owned(),
            some => format!("only {}", some.join(", ")),
        };
        let mut words = match self.two_factors {
            Some(0) => format!("{providers}, two factors"),
            Some(days) => format!("{providers}, two factors after {days} days"),
            None => providers,
        };
        for (what, limit) in ["session lifetime", "session idle"].into_iter().zip(self.sessions) {
            if let Some(limit) = limit {
                words = format!("{words}, {what} {limit}");
            }
        }
        words
    }
}

/// A rule as `tokenward org rules set` takes it.
fn line(provider: &str, value: &str, role: &str) -> String {
    format!("{provider}:{value}={}", role.to_lowercase())
}

impl Survey<'_> {
    pub(super) async fn sign_in_rules(&self, steps: &mut Vec<Step>) -> Result {
        let Some(wanted) = &self.file.sign_in_rules else { return Ok(()) };
        let path = format!("{}/signInRules", self.base);
        let now = self.context.client.get_versioned::<SignInRules>(&path).await?;
        for it in wanted {
            self.kept(self.require_role(&it.role).await).await?;
        }
        // Their order says which counts.
        let before: Vec<String> =
            now.answer.rules.iter().map(|it| line(&it.provider, &it.value, &it.role_name)).collect();
        let after: Vec<String> = wanted.iter().map(|it| line(&it.provider, &it.value, &it.role)).collect();
        if before != after {
            let words = format!("~ sign-in rules: {}", change("rules", &before.join(", "), &after.join(", ")));
            let action = Action::SignInRules { rules: wanted.clone(), etag: now.etag };
            steps.push(Step { words, action });
        }
        Ok(())
    }

    pub(super) async fn put_sign_in_rules(&self, wanted: Vec<file::SignInRule>, etag: Option<HeaderValue>) -> Result {
        let mut rules = Vec::with_capacity(wanted.len());
        for file::SignInRule { provider, value, role } in wanted {
            rules.push(SignInRuleBody { provider, value, role_id: self.role(&role).await? });
        }
        let path = format!("{}/signInRules", self.base);
        self.put_of_organization(&path, &SignInRulesBody { rules }, etag).await
    }

    /// The plan tells whom it keeps out; only a person may ask that, and do it.
    pub(super) async fn sign_in(&self, steps: &mut Vec<Step>) -> Result {
        let Some(wanted) = &self.file.sign_in else { return Ok(()) };
        let path = format!("{}/signInPolicy", self.base);
        let now = self.context.client.get_versioned::<SignInPolicy>(&path).await?;
        let sorted = |all: &[String]| all.iter().cloned().collect::<BTreeSet<_>>();
        let before = SignInSettings {
            providers: &now.answer.providers,
            two_factors: now.answer.two_factors.then_some(now.answer.grace_days),
            sessions: [now.answer.session_lifetime.as_deref(), now.answer.session_idle.as_deref()],
        };
        let after = SignInSettings {
            providers: &wanted.providers,
            two_factors: wanted.two_factors.then_some(wanted.grace_days),
            sessions: [wanted.session_lifetime.as_deref(), wanted.session_idle.as_deref()],
        };
        // `60m` is `1h`.
        let lengths = |it: &SignInSettings<'_>| it.sessions.map(|said| said.map(length));
        if sorted(before.providers) == sorted(after.providers)
            && before.two_factors == after.two_factors
            && lengths(&before) == lengths(&after)
        {
            return Ok(());
        }
        let sign_in = if wanted.providers.is_empty() { "any" } else { "providers" }.to_owned();
        let body = SignInPolicyBody {
            sign_in,
            providers: wanted.providers.clone(),
            two_factors: wanted.two_factors,
            grace_days: wanted.grace_days,
            session_lifetime: wanted.session_lifetime.clone(),
            session_idle: wanted.session_idle.clone(),
        };
        let tried: Result<ApiAnswer<SignInPolicy>> =
            self.context.client.put(&format!("{path}?dry_run=true"), &body, None).await;
        let hint = "Only a person may say by what people sign in: `tokenward login`, and apply again.";
        let Some(tried) = self.kept(tried.map_err(|failure| failure.hint(hint.to_owned()))).await? else {
            return Ok(());
        };
        let out = out_lines(tried.kept_out.as_deref().unwrap_or_default());
        let out = if out.is_empty() { String::new() } else { format!("; it keeps out: {}", out.join(", ")) };
        let said = change("people sign in by", &before.words(), &after.words());
        steps.push(Step { words: format!("~ sign-in: {said}{out}"), action: Action::SignIn { body, etag: now.etag } });
        Ok(())
    }

    pub(super) async fn put_sign_in(&self, body: &SignInPolicyBody, etag: Option<HeaderValue>) -> Result {
        let path = format!("{}/signInPolicy", self.base);
        self.put_of_organization(&path, body, etag).await
    }
}
