//! The file in which an organization is described.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

/// All of it. What a section does not name is left alone; a section that is not there is too.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    pub organization: Option<OrganizationSettings>,
    pub roles: Option<Vec<Role>>,
    pub projects: Option<Vec<Project>>,
    pub members: Option<Vec<Member>>,
    pub tokens: Option<Vec<Token>>,
    pub apis: Option<Vec<Api>>,
    pub token_policy: Option<TokenPolicy>,
    pub policy_tokens: Option<Vec<PolicyToken>>,
    pub variables: Option<Vec<Variable>>,
    pub sign_in_rules: Option<Vec<SignInRule>>,
    pub sign_in: Option<SignIn>,
}

/// Whom a provider says this of has this role.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct SignInRule {
    pub provider: String,
    pub value: String,
    pub role: String,
}

/// By what people sign in to the organization: by these providers alone, or by anything where there are none; whether two factors
/// are asked, and for how long a session counts.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    pub providers: Vec<String>,
    #[serde(default)]
    pub two_factors: bool,
    #[serde(default, deserialize_with = "days")]
    pub grace_days: u8,
    pub session_lifetime: Option<String>,
    pub session_idle: Option<String>,
}

/// A number of days. What stands in YAML without quotes is text to whoever reads it.
fn days<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Days {
        Number(u8),
        Text(String),
    }
    match Days::deserialize(from)? {
        Days::Number(days) => Ok(days),
        Days::Text(text) => text.parse().map_err(|_| D::Error::custom(format!("`{text}` is no number of days"))),
    }
}

/// What is asked of the lives of tokens: all of it, as it stands in the file.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct TokenPolicy {
    pub max_lifetime: Option<String>,
    pub default_lifetime: Option<String>,
    pub end_required: bool,
    pub max_overlap: Option<String>,
    /// What becomes of a token whose old secret comes back: `mark` (or nothing) or `disable`.
    pub on_reuse: Option<String>,
    /// How often owners are asked whether a token is still needed.
    pub attest_every: Option<String>,
    /// Of tokens with a role, by its name.
    pub roles: BTreeMap<String, Rules>,
}

/// The same of some tokens.
#[derive(Deserialize, Clone, PartialEq, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    pub max_lifetime: Option<String>,
    pub default_lifetime: Option<String>,
    pub end_required: bool,
    pub max_overlap: Option<String>,
}

/// What is asked of all tokens and of none alone.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Life {
    pub on_reuse: Option<String>,
    pub attest_every: Option<String>,
}

impl TokenPolicy {
    /// What is asked of all tokens.
    pub fn all(&self) -> Rules {
        Rules {
            max_lifetime: self.max_lifetime.clone(),
            default_lifetime: self.default_lifetime.clone(),
            end_required: self.end_required,
            max_overlap: self.max_overlap.clone(),
        }
    }
}

/// A policy token: all that a token is, and a policy.
#[derive(Debug)]
pub struct PolicyToken {
    /// Where its `secret_file` is, the server makes the secret that is written there.
    pub token: Token,
    /// Its policy in Rego, here or in a file.
    pub policy: Option<String>,
    pub policy_file: Option<String>,
}

impl<'de> Deserialize<'de> for PolicyToken {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut fields: Map<String, Value> = Map::deserialize(from)?;
        let mut text = |name: &str| match fields.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(D::Error::custom(format!("`{name}` of a policy token is no text"))),
        };
        let (policy, policy_file) = (text("policy")?, text("policy_file")?);
        let token = Token::deserialize(Value::Object(fields)).map_err(D::Error::custom)?;
        Ok(Self { token: Token { has_policy: true, ..token }, policy, policy_file })
    }
}

/// A variable of a project or of an environment.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    pub project: String,
    pub environment: Option<String>,
    pub key: String,
    /// Its value, here or in a file.
    pub value: Option<String>,
    pub value_file: Option<String>,
    #[serde(default)]
    pub secret: bool,
    pub description: Option<String>,
}

/// Without the value, which may be a secret.
impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { project, environment, key, value, value_file, secret, description } = self;
        let value = value.as_ref().map(|_| "…");
        write!(f, "{project} {environment:?} {key} {value:?} {value_file:?} {secret} {description:?}")
    }
}

/// Settings of the organization.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct OrganizationSettings {
    pub description: Option<String>,
    pub website_url: Option<String>,
    pub repository: Option<String>,
}

/// A custom role.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Role {
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub permissions: Vec<String>,
}

/// A project.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Project {
    pub name: String,
    #[serde(default)]
    pub description: String,
}

/// A member; who is none yet is invited.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub email: String,
    pub role: String,
}

/// An API token.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Token {
    pub name: String,
    pub role: String,
    pub description: Option<String>,
    /// From when on it is accepted: the same with the first moment of a date, or `now`. What is not said stays as it is, and so do
    /// the successor, the metadata and the limits.
    pub not_before: Option<String>,
    /// When it ends: a date-time or a date (the last day), which is kept so; or a length such as 90d, which counts when it is made.
    pub expires: Option<String>,
    pub owner: Option<String>,
    pub successor: Option<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    pub metadata: Option<Map<String, Value>>,
    #[serde(default)]
    pub networks: Vec<String>,
    /// How fast it may be used, such as `100/minute, 20 at once`, and how much, such as `10000/day`; `none` is as it likes.
    pub rate_limit: Option<String>,
    pub quota: Option<String>,
    /// The permissions of its role that it is narrowed to; an empty list is all of them. What is not said stays as it is, and so do
    /// the next two.
    pub permissions: Option<Vec<String>>,
    /// The projects that it is narrowed to, by name.
    pub projects: Option<Vec<String>>,
    /// The environments besides, as `project/environment`.
    pub environments: Option<Vec<String>>,
    /// Where the secret is written that is made for it here.
    pub secret_file: Option<String>,
    /// Or the digest of one that is there.
    pub sha256: Option<String>,
    pub last_four: Option<String>,
    /// Is it a policy token?
    #[serde(skip)]
    pub has_policy: bool,
}

impl Token {
    /// How people call it.
    pub fn what(&self) -> &'static str {
        if self.has_policy { "policy token" } else { "token" }
    }
}

/// The routes of an API of one's own.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Api {
    pub name: String,
    /// An OpenAPI document, or a short list of routes.
    pub file: String,
    /// `deny` or `allow`.
    pub unknown_route: Option<String>,
}

fn text(about: &str) -> Value {
    json!({ "type": "string", "description": about })
}

fn texts(about: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": about })
}

fn list(fields: Value, required: &[&str]) -> Value {
    json!({
        "type": "array",
        "items": { "type": "object", "properties": fields, "required": required, "additionalProperties": false },
    })
}

/// What editors know of a token; of a policy token with its policy.
fn tokens_schema(policy: bool) -> Value {
    let (maker, begins) =
        if policy { ("the server makes", " and begins as policy tokens do") } else { ("is made", "") };
    let mut fields = json!({
        "name": text("Its name."),
        "role": text("The role that it acts as, by name."),
        "description": text("What it is for."),
        "not_before": text("A date-time; a date, from whose beginning it is accepted; now; or a length such as 12h, which counts when it is made."),
        "expires": text("A date-time; a date, which is the last day; never; or a length such as 90d, which counts when it is made."),
        "owner": text("The member who is accountable for it, by e-mail address; none for nobody."),
        "successor": text("The member who becomes its owner when that one leaves, by e-mail address; none for nobody."),
        "labels": { "type": "object", "additionalProperties": { "type": "string" } },
        "metadata": { "type": "object", "description": "What else is kept with it; {} takes it away." },
        "networks": texts("The networks from which it is accepted."),
        "rate_limit": text("How fast it may be used, such as 100/minute or 100/minute, 20 at once; none is as fast as it likes."),
        "quota": text("How much it may be used, such as 10000/day; none is as much as it likes."),
        "permissions": texts("The permissions of its role that it is narrowed to; an empty list is all of them."),
        "projects": texts("The projects that it is narrowed to, by name."),
        "environments": texts("The environments that it is narrowed to besides, as project/environment."),
        "secret_file": text(&format!("Where the secret is written that {maker} for it. It must not be there yet.")),
        "sha256": text(&format!("The SHA-256 of a secret that is there{begins}, in hexadecimal digits.")),
        "last_four": text("The last four characters of that secret."),
    });
    if policy && let Value::Object(fields) = &mut fields {
        fields.insert("policy".to_owned(), text("Its policy, in Rego."));
        fields.insert("policy_file".to_owned(), text("The file in which its policy stands instead."));
    }
    list(fields, &["name", "role"])
}

/// What editors know of the file: JSON Schema.
pub fn schema() -> Value {
    let rules = |about: &str, more: Value| {
        let mut fields = json!({
            "max_lifetime": text("The longest that a token may live, such as 90d."),
            "default_lifetime": text("How long a token lives of which nobody says when it ends."),
            "end_required": { "type": "boolean" },
            "max_overlap": text("The longest that the secret before is kept when a token is rotated."),
        });
        if let (Value::Object(fields), Value::Object(more)) = (&mut fields, more) {
            fields.extend(more);
        }
        json!({ "type": "object", "additionalProperties": false, "description": about, "properties": fields })
    };
    let of_role = json!({ "type": "object", "additionalProperties": rules("Of tokens with this role.", json!({})) });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An organization of Tokenward, as code",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "organization": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "description": text("What it is."),
                    "website_url": text("The address of its web site."),
                    "repository": text("The address of its repository."),
                },
            },
            "roles": list(json!({
                "name": text("Its name."),
                "description": text("What it is for."),
                "permissions": { "type": "array", "items": { "type": "string" }, "description": "Such as invoices:read." },
            }), &["name"]),
            "projects": list(json!({ "name": text("Its name."), "description": text("What it is.") }), &["name"]),
            "members": list(json!({
                "email": text("The e-mail address. Who is no member yet is invited."),
                "role": text("The role, by name."),
            }), &["email", "role"]),
            "tokens": tokens_schema(false),
            "token_policy": rules("What is asked of the lives of tokens; what it does not say is not asked.", json!({
                "on_reuse": {
                    "enum": ["mark", "disable"],
                    "description": "What becomes of a token whose replaced secret comes back; without it, it is marked.",
                },
                "attest_every": text("How often owners are asked whether a token is still needed, such as 90d."),
                "roles": of_role,
            })),
            "policy_tokens": tokens_schema(true),
            "variables": list(json!({
                "project": text("The project, by name."),
                "environment": text("The environment of it, by name; without it the variable is the project's."),
                "key": text("Its key."),
                "value": text("Its value."),
                "value_file": text("The file in which its value stands instead."),
                "secret": { "type": "boolean", "description": "Is it a secret? One that is there stays as it is." },
                "description": text("What it is for."),
            }), &["project", "key"]),
            "sign_in_rules": list(json!({
                "provider": text("A provider of the server, by its key."),
                "value": text("What it says of somebody, such as a group. The first rule that fits counts."),
                "role": text("The role that they have, by name."),
            }), &["provider", "value", "role"]),
            "sign_in": {
                "type": "object",
                "additionalProperties": false,
                "required": ["providers"],
                "properties": {
                    "providers": texts("People sign in by these alone; an empty list lets them by anything."),
                    "two_factors": { "type": "boolean", "description": "Only sessions count that two factors proved." },
                    "grace_days": {
                        "type": "integer", "minimum": 0, "maximum": 30,
                        "description": "For how many days two factors are asked and nobody is refused yet.",
                    },
                    "session_lifetime": text("For how long a proof of who sits at a session counts, such as 8h."),
                    "session_idle": text("For how long a session may lie unused, such as 30m."),
                },
            },
            "apis": list(json!({
                "name": text("Its name."),
                "file": text("An OpenAPI document, or a short list of routes."),
                "unknown_route": { "enum": ["deny", "allow"] },
            }), &["name", "file"]),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something that a schema takes, with all of its properties.
    fn sample(schema: &Value) -> Value {
        match (&schema["properties"], &schema["items"], schema["enum"].get(0)) {
            (Value::Object(fields), ..) => fields.iter().map(|(name, it)| (name.clone(), sample(it))).collect(),
            (_, Value::Object(_), _) => json!([sample(&schema["items"])]),
            (_, _, Some(word)) => word.clone(),
            _ if schema["type"] == "object" => json!({}),
            _ if schema["type"] == "boolean" => json!(true),
            _ if schema["type"] == "integer" => json!(1),
            _ => json!("x"),
        }
    }

    #[test]
    fn the_schema_has_what_is_read_and_nothing_else() {
        let whole = sample(&schema());
        let file: File = serde_json::from_value(whole.clone()).unwrap();
        let token = &file.tokens.unwrap()[0];
        assert!(token.secret_file.is_some() && token.networks == ["x"] && token.what() == "token");
        let with_policy = &file.policy_tokens.unwrap()[0];
        assert!(with_policy.policy.is_some() && with_policy.token.what() == "policy token");
        let debug = format!("{:?}", serde_json::from_value::<File>(whole).unwrap());
        assert!(!debug.contains("None"), "a field that the schema does not have: {debug}");
        assert!(serde_json::from_value::<File>(json!({ "token": [] })).is_err());
        for (field, told) in [("networx", "unknown field `networx`"), ("has_policy", "unknown field `has_policy`")] {
            let file = json!({ "policy_tokens": [{ "name": "a", "role": "viewer", field: "x" }] });
            assert!(serde_json::from_value::<File>(file).unwrap_err().to_string().contains(told), "{field}");
        }
        let number = json!({ "policy_tokens": [{ "name": "a", "role": "viewer", "policy": 7 }] });
        assert!(serde_json::from_value::<File>(number).unwrap_err().to_string().contains("`policy` of a policy token"));
    }
}
