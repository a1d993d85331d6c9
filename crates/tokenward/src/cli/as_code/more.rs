//! What a file says besides: the token policy and variables.

use std::collections::BTreeMap;

use reqwest::header::HeaderValue;
use tokenward_api::projects::Project;
use tokenward_api::token_policy::{RoleTokenPolicy, TokenPolicyBody};
use tokenward_api::variables::{Variable, VariableEdit, VariableRequest};
use tokenward_api::verify::SelfAnswer;
use tokenward_core::time::{length, length_text};
use tokenward_server::limits::DOCUMENT_BYTES;
use uuid::Uuid;

use super::super::answer::{ApiAnswer, List};
use super::super::find::find;
use super::super::output::{Exit, Failure, Result};
use super::super::prompt;
use super::file::{self, Life, Rules};
use super::{Action, Step, Survey, change, once, version};

/// Whose a variable is, by name: what it belongs to may be made by a step before.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct VariableOwnerPlace {
    project: String,
    environment: Option<String>,
}

impl VariableOwnerPlace {
    fn of(it: &file::Variable) -> Self {
        Self { project: it.project.clone(), environment: it.environment.clone() }
    }

    fn text(&self) -> String {
        self.environment.as_ref().map_or_else(|| self.project.clone(), |it| format!("{}/{it}", self.project))
    }
}

/// A length as the API writes it.
fn normal(text: &str, field: &str) -> Result<String> {
    let read = length(text).ok_or_else(|| {
        Failure::error(format!("`token_policy`: `{field}` is no length such as 12h, 90d or 1y: {text}"))
    })?;
    Ok(length_text(read))
}

fn rules_text(of: &str, rules: &Rules) -> Vec<(String, String)> {
    let word = |it: &Option<String>| it.clone().unwrap_or_default();
    let name = |field: &str| if of.is_empty() { field.to_owned() } else { format!("{field} of {of}") };
    vec![
        (name("max_lifetime"), word(&rules.max_lifetime)),
        (name("default_lifetime"), word(&rules.default_lifetime)),
        (name("end_required"), if rules.end_required { "yes".to_owned() } else { String::new() }),
        (name("max_overlap"), word(&rules.max_overlap)),
    ]
}

impl Rules {
    fn normal(&self) -> Result<Self> {
        let one = |it: &Option<String>, field| it.as_deref().map(|text| normal(text, field)).transpose();
        Ok(Self {
            max_lifetime: one(&self.max_lifetime, "max_lifetime")?,
            default_lifetime: one(&self.default_lifetime, "default_lifetime")?,
            end_required: self.end_required,
            max_overlap: one(&self.max_overlap, "max_overlap")?,
        })
    }
}

impl Survey<'_> {
    pub(super) async fn token_policy(&self, steps: &mut Vec<Step>) -> Result {
        let Some(wanted) = &self.file.token_policy else { return Ok(()) };
        let now = self.context.client.get_versioned::<TokenPolicyBody>(&format!("{}/tokenPolicy", self.base)).await?;
        let (policy, etag) = (now.answer, now.etag);
        let roles = self.roles_there().await?;
        let mut before: BTreeMap<String, Rules> = BTreeMap::new();
        let mut after: BTreeMap<String, Rules> = BTreeMap::new();
        before.insert(
            String::new(),
            Rules {
                max_lifetime: policy.max_lifetime.clone(),
                default_lifetime: policy.default_lifetime.clone(),
                end_required: policy.end_required,
                max_overlap: policy.max_overlap.clone(),
            },
        );
        for it in &policy.roles {
            let name = roles.iter().find(|role| role.id == it.role_id).map(|role| role.name.to_lowercase());
            before.insert(
                name.unwrap_or_else(|| it.role_id.to_string()),
                Rules {
                    max_lifetime: it.max_lifetime.clone(),
                    default_lifetime: it.default_lifetime.clone(),
                    end_required: it.end_required,
                    max_overlap: it.max_overlap.clone(),
                },
            );
        }
        after.insert(String::new(), wanted.all().normal()?);
        for (role, rules) in &wanted.roles {
            after.insert(role.to_lowercase(), rules.normal()?);
        }
        let mut said = Vec::new();
        let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let none = Rules::default();
            let old = rules_text(name, before.get(name).unwrap_or(&none));
            let new = rules_text(name, after.get(name).unwrap_or(&none));
            said.extend(old.iter().zip(&new).filter(|(a, b)| a != b).map(|(a, b)| change(&a.0, &a.1, &b.1)));
        }
        let life = Life {
            on_reuse: wanted.on_reuse.clone(),
            attest_every: wanted.attest_every.as_deref().map(|text| normal(text, "attest_every")).transpose()?,
        };
        let word = |it: &Option<String>| it.clone().unwrap_or_default();
        let reuse = |it: &Option<String>| it.clone().unwrap_or_else(|| "mark".to_owned());
        for (name, old, new) in [
            ("on_reuse", reuse(&policy.on_reuse), reuse(&life.on_reuse)),
            ("attest_every", word(&policy.attest_every), word(&life.attest_every)),
        ] {
            if old != new {
                said.push(change(name, &old, &new));
            }
        }
        if !said.is_empty() {
            let words = format!("~ token policy: {}", said.join("; "));
            steps.push(Step { words, action: Action::TokenPolicy { rules: after, life, etag } });
        }
        Ok(())
    }

    pub(super) async fn put_token_policy(
        &self,
        mut rules: BTreeMap<String, Rules>,
        life: Life,
        etag: Option<HeaderValue>,
    ) -> Result {
        let all = rules.remove("").unwrap_or_default();
        let mut roles = Vec::new();
        for (name, it) in rules {
            roles.push(RoleTokenPolicy {
                role_id: self.role(&name).await?,
                max_lifetime: it.max_lifetime,
                default_lifetime: it.default_lifetime,
                end_required: it.end_required,
                max_overlap: it.max_overlap,
            });
        }
        let body = TokenPolicyBody {
            max_lifetime: all.max_lifetime,
            default_lifetime: all.default_lifetime,
            end_required: all.end_required,
            max_overlap: all.max_overlap,
            on_reuse: life.on_reuse,
            attest_every: life.attest_every,
            roles,
        };
        let path = format!("{}/tokenPolicy", self.base);
        self.put_of_organization(&path, &body, etag).await
    }

    pub(super) async fn variables(&self, steps: &mut Vec<Step>, gone: &mut Vec<Step>) -> Result {
        let Some(wanted) = &self.file.variables else { return Ok(()) };
        let key = |it: &file::Variable| format!("{}: {}", VariableOwnerPlace::of(it).text(), it.key);
        let keys: Vec<String> = wanted.iter().map(key).collect();
        once("variables", keys.iter(), str::to_owned)?;
        let projects = self.projects_there().await?;
        let made = |name: &str| self.file.projects.iter().flatten().any(|it| it.name == name);
        let mut of: BTreeMap<VariableOwnerPlace, Vec<&file::Variable>> = BTreeMap::new();
        for it in wanted {
            of.entry(VariableOwnerPlace::of(it)).or_default().push(it);
        }
        for (place, all) in of {
            let there = projects.iter().any(|it| it.name == place.project);
            if !there && (place.environment.is_some() || !made(&place.project)) {
                self.kept(find(&projects, &place.project, "project").map(drop)).await?;
                continue;
            }
            let now = if there { self.own_variables(&place).await? } else { Vec::new() };
            for it in &all {
                let step = self.variable(&place, it, now.iter().find(|old| old.key == it.key).map(|old| &**old));
                steps.extend(self.kept(step).await?.flatten());
            }
            for old in now.iter().filter(|old| all.iter().all(|it| it.key != old.key)) {
                let path = format!("{}/{}", self.variable_path(&place, old.value.is_none()).await?, old.id);
                let words = format!("- variable `{}` of {}", old.key, place.text());
                gone.push(Step { words, action: Action::Delete(path) });
            }
        }
        Ok(())
    }

    fn variable(
        &self,
        place: &VariableOwnerPlace,
        it: &file::Variable,
        old: Option<&Variable>,
    ) -> Result<Option<Step>> {
        let wrong =
            |problem: &str| Failure::error(format!("The variable `{}` of {}: {problem}.", it.key, place.text()));
        let value = match (&it.value, &it.value_file) {
            (Some(value), None) => value.clone(),
            (None, Some(file)) => {
                let at = self.directory.join(file);
                let bytes = prompt::document(&at.to_string_lossy(), DOCUMENT_BYTES.default)?;
                let text = String::from_utf8(bytes).map_err(|_| wrong(&format!("{file} is not UTF-8")))?;
                text.strip_suffix('\n').map_or_else(|| text.clone(), str::to_owned)
            }
            _ => return Err(wrong("its value stands in `value` or in `value_file`")),
        };
        let Some(old) = old else {
            let body = VariableRequest {
                key: it.key.clone(),
                value: Some(value),
                mount_path: None,
                description: it.description.clone(),
                enable_interpolation_in_file: None,
                is_secret: None,
            };
            let what = if it.secret { "secret" } else { "variable" };
            let words = format!("+ {what} `{}` of {}", it.key, place.text());
            let action = Action::NewVariable { place: place.clone(), secret: it.secret, body: Box::new(body) };
            return Ok(Some(Step { words, action }));
        };
        // What a secret is nobody is told, so that it cannot be seen whether it is another one.
        let Some(before) = &old.value else {
            return if it.secret { Ok(None) } else { Err(wrong("it is a secret there; delete it first")) };
        };
        if it.secret {
            return Err(wrong("it is no secret there; delete it first"));
        }
        let mut said = Vec::new();
        if *before != value {
            // A value may be anything; that it is another one is enough.
            said.push("value".to_owned());
        }
        if it.description.is_some() && it.description != old.description {
            said.push("description".to_owned());
        }
        if said.is_empty() {
            return Ok(None);
        }
        let words = format!("~ variable `{}` of {}: {}", it.key, place.text(), said.join(", "));
        let body = VariableEdit {
            key: None,
            value: Some(value),
            description: it.description.clone().map(Some),
            mount_path: None,
            enable_interpolation_in_file: None,
            secret_manager_access_id: None,
        };
        let (place, etag) = (place.clone(), version(old.updated_at));
        Ok(Some(Step { words, action: Action::Variable { place, id: old.id, body: Box::new(body), etag } }))
    }

    /// The variables that are of this place itself, secrets among them.
    async fn own_variables(&self, place: &VariableOwnerPlace) -> Result<Vec<ApiAnswer<Variable>>> {
        let mut all = Vec::new();
        for secret in [false, true] {
            let path = self.variable_path(place, secret).await?;
            all.extend(self.context.client.get::<List<Variable>>(&path).await?.into_read().results);
        }
        let own = if place.environment.is_some() { "ENVIRONMENT" } else { "PROJECT" };
        all.retain(|it| it.scope.as_str() == own && it.variable_type.as_str() == "VALUE");
        Ok(all)
    }

    pub(super) async fn variable_path(&self, place: &VariableOwnerPlace, secret: bool) -> Result<String> {
        let what = if secret { "secret" } else { "environmentVariable" };
        let projects = self.projects_there().await?;
        let project = find(&projects, &place.project, "project")?.id;
        let Some(environment) = &place.environment else { return Ok(format!("/project/{project}/{what}")) };
        let of: ApiAnswer<List<tokenward_api::environments::Environment>> =
            self.context.client.get(&format!("/project/{project}/environment")).await?;
        Ok(format!("/environment/{}/{what}", find(&of.results, environment, "environment")?.id))
    }

    pub(super) async fn projects_there(&self) -> Result<Vec<ApiAnswer<Project>>> {
        self.all("/project").await
    }

    /// The token that is asked with. `None` where its policy does not let it ask that.
    pub(super) async fn own_token(&self) -> Result<Option<Uuid>> {
        match self.context.client.get::<SelfAnswer>("/token/self").await {
            Err(failure) if failure.exit == Exit::Refused => Ok(None),
            answered => Ok(Some(answered?.id)),
        }
    }
}
