//! What the operator says of a provider: `[oidc.KEY]`. Empty is what nobody has said.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use tokenward_core::name::fold_email;
use tokenward_core::nearest::known_words;
use tokenward_core::{Uuid, email};

use super::address::checked;
use crate::limits::PROVIDER_ICON;

/// Issuers in which anybody can have an account: what they say of an address proves it only where they say that it does.
const OPEN_TO_ALL: [&str; 10] = [
    "https://accounts.google.com",
    "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
    "https://sts.windows.net/9188040d-6c67-4c5b-b112-36a304b66dad",
    "https://gitlab.com",
    "https://appleid.apple.com",
    "https://www.facebook.com",
    "https://www.linkedin.com/oauth",
    "https://slack.com",
    "https://id.twitch.tv/oauth2",
    "https://access.line.me",
];
/// What Entra calls the issuers of several tenants: their tokens name another one.
const TEMPLATES: [&str; 3] = ["common", "organizations", "consumers"];

/// Is this part of an issuer one of them? Entra takes them in any case of letters.
fn is_template(part: &str) -> bool {
    TEMPLATES.iter().any(|template| part.eq_ignore_ascii_case(template))
}

/// One provider.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// Its issuer, byte for byte as in its tokens.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// How we prove it; empty for a public client.
    pub client_secret: String,
    /// What people read on the button; the key where it is empty.
    pub name: String,
    /// The file of a picture that stands before it.
    pub icon: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// The domains whose addresses it proves, in the form in which they are kept.
    #[serde(deserialize_with = "domains")]
    pub email_domains: Vec<String>,
    /// Is an address in these domains proven without the provider's word for it?
    #[serde(deserialize_with = "email_assumed")]
    pub email_verified: EmailVerified,
    /// What must be in a token, as `claim=value`.
    #[serde(deserialize_with = "required_claims")]
    pub required_claims: Vec<(String, String)>,
    /// The claim that names groups.
    pub groups_claim: String,
    /// The organizations whose rules count; empty where nobody has said.
    #[serde(deserialize_with = "organizations")]
    pub rules_for: Vec<Uuid>,
    /// Who sees to a second factor of its people.
    #[serde(deserialize_with = "second_factor")]
    pub second_factor: SecondFactorBy,
    /// The values of `acr` that mean two factors.
    pub acr_two_factors: Vec<String>,
    /// How we prove who we are.
    #[serde(deserialize_with = "auth_method")]
    pub auth_method: AuthMethod,
    /// Authorities to trust besides those of the system.
    pub ca_file: String,
    /// What the provider is to ask of people.
    #[serde(deserialize_with = "prompt")]
    pub prompt: String,
}

/// Whose word counts for an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EmailVerified {
    /// The claim `email_verified`.
    Claim,
    /// The operator's.
    Assumed,
}

/// Who sees to a second factor of the people that come by a provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecondFactorBy {
    /// Whoever the ID token says: the provider where it says that it asked for two, we otherwise.
    Token,
    /// The provider always, by the operator's word.
    Provider,
}

/// How we prove to the provider who we are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthMethod {
    /// As discovery offers it.
    Offered,
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
    /// `none`: a public client, by PKCE alone.
    Public,
}

impl fmt::Debug for ProviderSettings {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderSettings")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl ProviderSettings {
    /// What people read on the button.
    #[must_use]
    pub fn shown_name<'a>(&'a self, key: &'a str) -> &'a str {
        if self.name.is_empty() { key } else { &self.name }
    }

    /// Is it the provider that proves addresses of this one's domain?
    pub(super) fn proves_domain_of(&self, address: &str) -> bool {
        let domain = address.rsplit_once('@').map(|(_, domain)| fold_email(domain));
        domain.is_some_and(|domain| self.email_domains.contains(&domain))
    }

    /// The picture on the button, as a page holds it (`data:`); empty where there is none. The error says what cannot be used of it.
    pub fn picture(&self) -> Result<String, String> {
        if self.icon.is_empty() {
            return Ok(String::new());
        }
        let bytes = std::fs::read(&self.icon).map_err(|error| format!("cannot be used: {error}"))?;
        if bytes.len() > PROVIDER_ICON.size() {
            return Err(format!("holds more than {} KiB", PROVIDER_ICON.default / 1024));
        }
        let kind = match bytes.as_slice() {
            [0x89, b'P', b'N', b'G', ..] => "png",
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "webp",
            text if text.windows(4).any(|it| it == b"<svg") => "svg+xml",
            _ => return Err("is no PNG, WebP or SVG".to_owned()),
        };
        Ok(format!("data:image/{kind};base64,{}", STANDARD.encode(&bytes)))
    }

    /// The file of authorities, where there is one.
    #[must_use]
    pub fn ca_file(&self) -> Option<PathBuf> {
        (!self.ca_file.is_empty()).then(|| PathBuf::from(&self.ca_file))
    }

    /// What is wrong with it as a whole: a setting, and a sentence that begins with it.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let mut fault = |setting, problem: &str| faults.push((setting, problem.to_owned()));
        if self.issuer.is_empty() {
            fault("issuer", "is missing: it is `issuer` in the provider's /.well-known/openid-configuration");
        } else if self.issuer.contains(['{', '}']) || self.issuer.split('/').any(is_template) {
            fault("issuer", "stands for many tenants, and no token names it: use your tenant's issuer");
        } else if self.issuer.contains(['?', '#']) {
            fault("issuer", "has a query or a fragment, which no issuer has");
        } else if let Err(problem) = checked(&self.issuer) {
            fault("issuer", &problem.0);
        }
        if self.client_id.is_empty() {
            fault("client_id", "is missing: the provider shows it where this server is registered");
        }
        if self.client_secret.is_empty() && matches!(self.auth_method, AuthMethod::Basic | AuthMethod::Post) {
            fault("auth_method", "needs a client_secret; `none` is for public clients");
        }
        if !self.scopes.iter().any(|scope| scope == "openid") {
            fault("scopes", "must hold `openid`");
        }
        if self
            .scopes
            .iter()
            .any(|scope| scope.is_empty() || scope.contains(|c: char| c.is_whitespace() || c.is_control()))
        {
            fault("scopes", "are words without spaces");
        }
        if self.acr_two_factors.iter().any(|value| value.trim().is_empty()) {
            fault("acr_two_factors", "has an empty value: name those that mean two factors at this provider");
        }
        if self.email_verified == EmailVerified::Assumed {
            if OPEN_TO_ALL.contains(&self.issuer.trim_end_matches('/')) {
                fault("email_verified", "cannot be `assumed` here: anybody can have an account at this issuer");
            } else if self.email_domains.is_empty() {
                fault("email_verified", "is `assumed` without email_domains: say which addresses are meant");
            }
        }
        if let Err(problem) = self.picture() {
            fault("icon", &problem);
        }
        if let Some(path) = self.ca_file() {
            let read = std::fs::read(&path).map_err(|error| error.to_string());
            let held =
                read.and_then(|pem| reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| error.to_string()));
            match held {
                Ok(certificates) if certificates.is_empty() => fault("ca_file", "holds no PEM certificate"),
                Ok(_) => {}
                Err(error) => fault("ca_file", &format!("cannot be used: {error}")),
            }
        }
        faults
    }
}

/// Two of these with one issuer would be one provider with two names, and one person's identity at both.
#[must_use]
pub fn twins(all: &BTreeMap<String, ProviderSettings>) -> Option<(&str, &str)> {
    let pairs = all.iter().enumerate().flat_map(|(at, one)| all.iter().skip(at + 1).map(move |other| (one, other)));
    let mut same = pairs.filter(|(one, other)| !one.1.issuer.is_empty() && one.1.issuer == other.1.issuer);
    same.next().map(|(one, other)| (one.0.as_str(), other.0.as_str()))
}

fn domains<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let domain = |text: &String| {
        let kept = email::ascii(&format!("a@{}", text.trim())).to_ascii_lowercase();
        let domain = kept.trim_start_matches("a@").to_owned();
        let plain = !domain.is_empty() && !domain.contains(['@', '*', '/', ' ']);
        if plain {
            Ok(domain)
        } else {
            Err(D::Error::custom(format!("`{text}` is no domain; write one such as acme.example")))
        }
    };
    Vec::<String>::deserialize(from)?.iter().map(domain).collect()
}

fn email_assumed<'de, D: Deserializer<'de>>(from: D) -> Result<EmailVerified, D::Error> {
    word(from, &[("", EmailVerified::Claim), ("claim", EmailVerified::Claim), ("assumed", EmailVerified::Assumed)])
}

fn second_factor<'de, D: Deserializer<'de>>(from: D) -> Result<SecondFactorBy, D::Error> {
    word(from, &[("", SecondFactorBy::Token), ("token", SecondFactorBy::Token), ("provider", SecondFactorBy::Provider)])
}

fn auth_method<'de, D: Deserializer<'de>>(from: D) -> Result<AuthMethod, D::Error> {
    word(
        from,
        &[
            ("", AuthMethod::Offered),
            ("client_secret_basic", AuthMethod::Basic),
            ("client_secret_post", AuthMethod::Post),
            ("none", AuthMethod::Public),
        ],
    )
}

fn prompt<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let words = ["", "login", "consent", "select_account"].map(|word| (word, word));
    word(from, &words).map(str::to_owned)
}

/// One of these words.
fn word<'de, D: Deserializer<'de>, T: Copy>(from: D, words: &[(&str, T)]) -> Result<T, D::Error> {
    let text = String::deserialize(from)?;
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| {
        let known = words.iter().map(|(word, _)| *word).filter(|word| !word.is_empty());
        D::Error::custom(format!("`{text}` is not understood; {}", known_words(&text, known)))
    })
}

fn organizations<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Uuid>, D::Error> {
    let id = |text: &String| {
        let wrong =
            || D::Error::custom(format!("`{text}` is no id of an organization; the console's addresses have them"));
        Uuid::try_parse(text.trim()).map_err(|_| wrong())
    };
    Vec::<String>::deserialize(from)?.iter().map(id).collect()
}

fn required_claims<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, String)>, D::Error> {
    let pair = |text: &String| {
        let pair = text.split_once('=').filter(|(claim, value)| !claim.is_empty() && !value.is_empty());
        let wrong = || D::Error::custom(format!("`{text}` is no claim and value; write one such as hd=acme.example"));
        pair.map(|(claim, value)| (claim.to_owned(), value.to_owned())).ok_or_else(wrong)
    };
    Vec::<String>::deserialize(from)?.iter().map(pair).collect()
}
