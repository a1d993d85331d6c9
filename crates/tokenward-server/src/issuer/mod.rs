//! Providers of identities, by OpenID Connect: what they are asked, and whether what they answer is so. Knows no people and no
//! database: who somebody is *here*, `service::oidc` says.

mod address;
pub mod claims;
mod factors;
mod fetch;
mod known;
mod logout;
pub mod settings;
mod token;
mod user_info;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::StatusCode;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::limits::{PROVIDER_TIME, PROVIDERS_ASKED, SUBJECT};
pub use address::Trouble;
use address::checked;
use claims::Claims;
use fetch::Fetcher;
pub use known::Metadata;
use known::{ProviderCache, fetched_keys};
use settings::{AuthMethod, EmailVerified, ProviderSettings, SecondFactorBy};
use token::Expected;

/// Entra's `sub` changes with the registration of an application; this does not.
const ENTRA: [&str; 4] = [
    "https://login.microsoftonline.com/",
    "https://login.microsoftonline.us/",
    "https://login.partner.microsoftonline.cn/",
    "https://sts.windows.net/",
];

/// One provider that people can sign in with.
pub struct Provider {
    /// Its key in the settings.
    pub key: String,
    settings: ProviderSettings,
    /// The picture on the button, as a page holds it.
    icon: String,
    fetcher: Fetcher,
    known: ProviderCache,
}

/// Who somebody is, in the words of a provider that was asked just now.
#[derive(Clone, Debug)]
pub struct ProvenIdentity {
    /// The identity: this, and the issuer.
    pub subject: String,
    /// The address that it gives, in the form in which addresses are kept.
    pub email: Option<String>,
    /// Is that address the person's, by a provider that is set up for its domain?
    pub email_proven: bool,
    /// What the person is called.
    pub name: Option<String>,
    /// What the provider calls its own session.
    pub session: Option<String>,
    /// When the person last proved there who they are, in seconds.
    pub auth_time: Option<i64>,
    /// Did it ask two factors, by its ID token or by the operator's word?
    pub two_factors: bool,
    /// Everything that it says.
    pub claims: Claims,
}

/// What a provider says of the groups of somebody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Groups {
    /// These; none is an answer too.
    These(Vec<String>),
    /// Nothing, in this claim: it is not there, or is of a type or a size that says nothing.
    Absent(String),
}

/// What a provider says without a person.
pub struct ProviderCheck {
    /// What discovery says.
    pub metadata: Arc<Metadata>,
    /// Its keys, each with what it signs.
    pub keys: Vec<String>,
    /// By how many seconds its clock differs from ours, where it says.
    pub clock: Option<i64>,
}

/// That somebody has signed out at a provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoggedOut {
    /// Who; where it does not say, one session of somebody.
    pub subject: Option<String>,
    /// Of which session; where it does not say, of all.
    pub session: Option<String>,
    /// What the provider calls this message: each counts once.
    pub id: String,
    /// When it was made, in seconds.
    pub made_at: i64,
}

/// What leads to a provider, and is asked for when somebody comes back.
pub struct Question<'a> {
    /// Where to come back to.
    pub redirect_uri: &'a str,
    /// Ties the answer to the browser.
    pub state: &'a str,
    /// Ties the token to the question.
    pub nonce: &'a str,
    /// Ties the code to us (PKCE).
    pub verifier: &'a str,
    /// Must the person prove anew who they are?
    pub anew: bool,
}

/// What a provider answers to a code.
#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Provider {
    /// With these settings. The error says what cannot be used of them.
    pub fn new(key: &str, settings: ProviderSettings) -> Result<Self, Trouble> {
        let icon = settings.picture().map_err(|problem| Trouble(format!("icon {problem}")))?;
        let (fetcher, known) = (Fetcher::new(&settings)?, ProviderCache::default());
        Ok(Self { key: key.to_owned(), settings, icon, fetcher, known })
    }

    /// What people read on the button.
    #[must_use]
    pub fn name(&self) -> &str {
        self.settings.shown_name(&self.key)
    }

    /// The picture that stands before it, as a page holds it; empty where there is none.
    #[must_use]
    pub fn icon(&self) -> &str {
        &self.icon
    }

    /// Its issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// The claim that names groups, where one is set.
    #[must_use]
    pub fn groups_claim(&self) -> Option<&str> {
        Some(self.settings.groups_claim.as_str()).filter(|claim| !claim.is_empty())
    }

    /// The organizations whose rules about its people count; empty where nobody has said.
    #[must_use]
    pub fn rules_for(&self) -> &[Uuid] {
        &self.settings.rules_for
    }

    /// Does it ask two factors of everybody, by the operator's word?
    #[must_use]
    pub fn vouches(&self) -> bool {
        self.settings.second_factor == SecondFactorBy::Provider
    }

    /// What it says of somebody's groups. Without the claim it says nothing, which is not that there are none.
    #[must_use]
    pub fn groups(&self, claims: &Claims) -> Groups {
        let Some(claim) = self.groups_claim() else { return Groups::Absent("groups_claim".to_owned()) };
        match claims.list(claim) {
            Some(values) if !claims.is_overage(claim) => Groups::These(values),
            _ => Groups::Absent(claim.to_owned()),
        }
    }

    /// What discovery says of it.
    pub async fn metadata(&self, now: Time) -> Result<Arc<Metadata>, Trouble> {
        self.known.metadata(&self.fetcher, &self.settings.issuer, now).await
    }

    /// Asks it for all that does not need a person.
    pub async fn tried(&self, now: Time) -> Result<ProviderCheck, Trouble> {
        let metadata = self.metadata(now).await?;
        let keys = fetched_keys(&self.fetcher, &metadata.jwks_uri).await?;
        let named = |key: &jsonwebtoken::jwk::Jwk| {
            let kind =
                key.common.key_algorithm.as_ref().map_or_else(|| "any algorithm".to_owned(), ToString::to_string);
            format!("{} ({kind})", key.common.key_id.as_deref().unwrap_or("without a name"))
        };
        let clock = self.fetcher.clock(&metadata.jwks_uri, now.seconds()).await?;
        Ok(ProviderCheck { keys: keys.iter().map(named).collect(), clock, metadata })
    }

    /// The address that asks a person who they are.
    pub async fn question(&self, asked: &Question<'_>, now: Time) -> Result<String, Trouble> {
        let metadata = self.metadata(now).await?;
        let mut url = checked(&metadata.authorization_endpoint)?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(asked.verifier));
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("response_type", "code").append_pair("client_id", &self.settings.client_id);
            query.append_pair("redirect_uri", asked.redirect_uri).append_pair("scope", &self.settings.scopes.join(" "));
            query.append_pair("state", asked.state).append_pair("nonce", asked.nonce);
            query.append_pair("code_challenge", &challenge).append_pair("code_challenge_method", "S256");
            query.append_pair("response_mode", "query");
            if asked.anew {
                query.append_pair("prompt", "login").append_pair("max_age", "0");
            } else if !self.settings.prompt.is_empty() {
                query.append_pair("prompt", &self.settings.prompt);
            }
        }
        Ok(url.into())
    }

    /// Is this the answer of the provider that was asked, as far as it says so?
    pub async fn names_itself(&self, iss: Option<&str>, now: Time) -> Result<(), Trouble> {
        let metadata = self.metadata(now).await?;
        match iss {
            Some(iss) if iss == metadata.issuer => Ok(()),
            Some(_) => Err(Trouble("did not answer; another one did".into())),
            None if metadata.authorization_response_iss_parameter_supported => {
                Err(Trouble("promises to name itself in its answer, and did not".into()))
            }
            None => Ok(()),
        }
    }

    /// Who came back with this code.
    pub async fn redeem(&self, code: &str, asked: &Question<'_>, now: Time) -> Result<ProvenIdentity, Trouble> {
        let metadata = self.metadata(now).await?;
        let tokens = self.tokens(&metadata, code, asked).await?;
        let id_token =
            tokens.id_token.ok_or_else(|| Trouble("sent no ID token; is `openid` among the scopes?".into()))?;
        let head = token::head(&id_token)?;
        let keys = self.known.keys(&self.fetcher, &self.settings.issuer, &head, now).await?;
        let mut claims = token::verified(&id_token, &head, keys.iter())?;
        let ProviderSettings { issuer, client_id, .. } = &self.settings;
        token::check(&claims, &Expected { issuer, client_id, nonce: asked.nonce, now: now.seconds() })?;
        // Only what it has signed about this sign-in: UserInfo says nothing of one.
        let two_factors = self.vouches() || factors::two(&claims, &self.settings.acr_two_factors);
        if let (Some(url), Some(access)) = (&metadata.userinfo_endpoint, &tokens.access_token) {
            user_info::complete(&self.settings, &self.fetcher, (url, access), &mut claims).await?;
        }
        proven(&self.settings, claims, two_factors)
    }

    /// Who has signed out there, by the word of the provider.
    pub async fn logged_out(&self, logout_token: &str, now: Time) -> Result<LoggedOut, Trouble> {
        let head = token::head(logout_token)?;
        let keys = self.known.keys(&self.fetcher, &self.settings.issuer, &head, now).await?;
        let claims = token::verified(logout_token, &head, keys.iter())?;
        let ProviderSettings { issuer, client_id, .. } = &self.settings;
        logout::read(&claims, issuer, client_id, now.seconds())
    }

    async fn tokens(&self, metadata: &Metadata, code: &str, asked: &Question<'_>) -> Result<Tokens, Trouble> {
        let (form, authorization) = self.exchange(metadata, code, asked)?;
        let (status, body) = self.fetcher.post(&metadata.token_endpoint, form, authorization).await?;
        if status != StatusCode::OK {
            let said = serde_json::from_slice(&body).map_or_else(|_| String::new(), |it: Refusal| it.error);
            let said: String = said.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
            let shown = if said.is_empty() { format!("status {}", status.as_u16()) } else { format!("`{said}`") };
            let hint = if said == "invalid_client" { "; compare client_id and client_secret" } else { "; try again" };
            return Err(Trouble(format!("did not take the code it gave ({shown}){hint}")));
        }
        serde_json::from_slice(&body).map_err(|_| Trouble("answered to a code what cannot be read".into()))
    }

    /// The form that makes tokens of a code, and the header that goes with it.
    fn exchange(
        &self,
        metadata: &Metadata,
        code: &str,
        asked: &Question<'_>,
    ) -> Result<(String, Option<HeaderValue>), Trouble> {
        let ProviderSettings { client_id, client_secret, .. } = &self.settings;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code").append_pair("code", code);
        form.append_pair("redirect_uri", asked.redirect_uri).append_pair("code_verifier", asked.verifier);
        let mut authorization = None;
        match self.method(metadata) {
            AuthMethod::Basic => {
                let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = STANDARD.encode(format!("{}:{}", encoded(client_id), encoded(client_secret)));
                let value = HeaderValue::from_str(&format!("Basic {pair}"));
                let mut value = value.map_err(|_| Trouble("has a client_secret that cannot be sent".into()))?;
                value.set_sensitive(true);
                authorization = Some(value);
            }
            AuthMethod::Post => {
                form.append_pair("client_id", client_id).append_pair("client_secret", client_secret);
            }
            AuthMethod::Offered | AuthMethod::Public => {
                form.append_pair("client_id", client_id);
            }
        }
        Ok((form.finish(), authorization))
    }

    fn method(&self, metadata: &Metadata) -> AuthMethod {
        let offered = metadata.token_endpoint_auth_methods_supported.as_deref();
        let offers = |method: &str| offered.is_some_and(|all| all.iter().any(|it| it == method));
        match self.settings.auth_method {
            AuthMethod::Offered if self.settings.client_secret.is_empty() => AuthMethod::Public,
            // What counts where discovery says nothing is the header.
            AuthMethod::Offered if offers("client_secret_post") && !offers("client_secret_basic") => AuthMethod::Post,
            AuthMethod::Offered => AuthMethod::Basic,
            chosen => chosen,
        }
    }
}

/// Who somebody is, by these claims.
fn proven(settings: &ProviderSettings, claims: Claims, two_factors: bool) -> Result<ProvenIdentity, Trouble> {
    if let Some((claim, value)) = settings.required_claims.iter().find(|(claim, value)| !claims.holds(claim, value)) {
        return Err(Trouble(format!("knows you, but only those may come in whose claim `{claim}` is `{value}`")));
    }
    let is_entra = ENTRA.iter().any(|host| settings.issuer.starts_with(host));
    let subject = claims.text(if is_entra { "oid" } else { "sub" });
    let subject = subject.filter(|it| !it.is_empty() && !it.contains(char::is_control));
    let subject = subject.ok_or_else(|| Trouble("does not say who came (`sub`, or `oid` of Entra)".into()))?.to_owned();
    if SUBJECT.check_text(&subject).is_err() {
        return Err(Trouble(format!("names people by texts of more than {} characters", SUBJECT.default)));
    }
    let address = claims.address();
    let ours = address.as_deref().is_some_and(|it| settings.proves_domain_of(it));
    let word = settings.email_verified == EmailVerified::Assumed || claims.is_true("email_verified");
    let short = |name: &str| claims.text(name).filter(|it| !it.is_empty() && it.len() <= 255).map(str::to_owned);
    Ok(ProvenIdentity {
        email_proven: ours && word,
        email: address,
        name: short("name"),
        session: short("sid"),
        auth_time: claims.seconds("auth_time"),
        two_factors,
        subject,
        claims,
    })
}

/// All of them.
pub struct Providers {
    all: BTreeMap<String, Provider>,
    /// Whoever asks one waits for a turn: anybody can begin.
    turns: Semaphore,
}

impl Providers {
    /// Those of the settings. The error names the provider, and says what cannot be used.
    pub fn new(settings: &BTreeMap<String, ProviderSettings>) -> Result<Self, Trouble> {
        let made = |(key, settings): (&String, &ProviderSettings)| {
            let provider = Provider::new(key, settings.clone());
            Ok((key.clone(), provider.map_err(|trouble| Trouble(format!("oidc.{key} {trouble}")))?))
        };
        let all = settings.iter().map(made).collect::<Result<_, Trouble>>()?;
        Ok(Self { all, turns: Semaphore::new(PROVIDERS_ASKED.size()) })
    }

    /// Each of them, by its key.
    pub fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.all.values()
    }

    /// The one with this key.
    pub fn get(&self, key: &str) -> Result<&Provider> {
        self.all.get(key).ok_or_else(|| Error::not_found("way to sign in"))
    }

    /// Asks a provider, for so long and no longer.
    pub async fn ask<T>(&self, provider: &Provider, question: impl Future<Output = Result<T, Trouble>>) -> Result<T> {
        let all: Duration = PROVIDER_TIME.time();
        let asked = async {
            let _turn = self.turns.acquire().await.map_err(|_| Trouble("is not asked any more".into()))?;
            question.await
        };
        let answered = timeout(all, asked).await;
        let answered =
            answered.unwrap_or_else(|_| Err(Trouble(format!("did not answer within {} seconds", all.as_secs()))));
        answered.map_err(|trouble| {
            tracing::warn!(provider = provider.key, issuer = provider.issuer(), "a provider of identities {trouble}");
            let detail = format!("{} {trouble}. The other ways to sign in are open.", provider.name());
            Error::new(Code::SignInFailed, detail)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use serde_json::{Value, json};

    use super::*;
    use crate::config::{Config, Flags};

    const ENTRAS: &str = "https://login.microsoftonline.com/5e3ce6c0-2b1f-4285-8d4b-75ee78787346/v2.0";
    const OTHER: &str = "https://login.acme.example";

    /// Who that is at such a provider, or why nobody.
    fn who(issuer: &str, said: &Value) -> Result<ProvenIdentity, String> {
        let all = [("ISSUER", issuer), ("CLIENT_ID", "tokenward"), ("EMAIL_DOMAINS", "acme.example,Bücher.example")];
        let variable = |(name, value): (&str, &str)| -> (OsString, OsString) {
            (format!("TOKENWARD_OIDC_CORP_{name}").into(), value.into())
        };
        let config = Config::load(None, &all.map(variable), &Flags::default()).unwrap();
        let claims = Claims(said.as_object().unwrap().clone());
        proven(&config.oidc["corp"], claims, false).map_err(|trouble| trouble.0)
    }

    #[test]
    fn entra_names_people_by_oid_and_all_others_by_sub() {
        let subject = |issuer, said: Value| who(issuer, &said).map(|it| it.subject);
        let both = json!({ "sub": "of-this-registration", "oid": "of-the-tenant" });
        assert_eq!(subject(ENTRAS, both.clone()).unwrap(), "of-the-tenant");
        assert_eq!(subject(OTHER, both).unwrap(), "of-this-registration");
        for wrong in [json!({ "sub": "a" }), json!({ "sub": "a", "oid": "" }), json!({ "sub": "a", "oid": 7 })] {
            assert!(subject(ENTRAS, wrong.clone()).unwrap_err().contains("does not say who came"), "{wrong}");
        }
        // Of what people can edit nothing is taken.
        let edited = json!({ "email": "ada@acme.example", "preferred_username": "ada", "upn": "ada", "oid": "a" });
        assert!(subject(OTHER, edited).unwrap_err().contains("does not say who came"));
    }

    #[test]
    fn a_subject_has_one_to_255_characters() {
        let subject = |said: Value| who(OTHER, &json!({ "sub": said })).map(|it| it.subject);
        for good in ["a".to_owned(), "s".repeat(255), "é".repeat(255)] {
            assert_eq!(subject(json!(good)).unwrap(), good);
        }
        for (wrong, why) in [
            (json!("s".repeat(256)), "more than 255 characters"),
            (json!("é".repeat(256)), "more than 255 characters"),
            (json!(""), "does not say who came"),
            (json!("a\u{0}"), "does not say who came"),
            (json!("a\n"), "does not say who came"),
            (json!(7), "does not say who came"),
            (json!(["a"]), "does not say who came"),
            (json!(null), "does not say who came"),
        ] {
            assert!(subject(wrong.clone()).unwrap_err().contains(why), "{wrong}");
        }
    }

    #[test]
    fn an_address_is_the_same_in_all_its_forms_and_proven_in_the_domains_of_the_provider() {
        for (said, kept, is_proven) in [
            (json!(" Ada@ACME.example "), Some("Ada@ACME.example"), true),
            (json!("ada@bücher.example"), Some("ada@xn--bcher-kva.example"), true),
            (json!("ada@BÜCHER.example"), Some("ada@xn--bcher-kva.example"), true),
            (json!("ada@XN--Bcher-KVA.example"), Some("ada@XN--Bcher-KVA.example"), true),
            // Domains that look like ours, are parts of ours, or hold ours.
            (json!("ada@bucher.example"), Some("ada@bucher.example"), false),
            (json!("ada@\u{430}cme.example"), Some("ada@xn--cme-5cd.example"), false),
            (json!("ada@mail.acme.example"), Some("ada@mail.acme.example"), false),
            (json!("ada@acme.example.evil.example"), Some("ada@acme.example.evil.example"), false),
            // What is no address is none.
            (json!("ada@acme.example@acme.example"), None, false),
            (json!("bücher@acme.example"), None, false),
            (json!("acme.example"), None, false),
            (json!(["ada@acme.example"]), None, false),
            (json!({ "ada@acme.example": true }), None, false),
            (json!(null), None, false),
        ] {
            let person = who(OTHER, &json!({ "sub": "a", "email": said, "email_verified": true })).unwrap();
            assert_eq!((person.email.as_deref(), person.email_proven), (kept, is_proven), "{said}");
            let person = who(OTHER, &json!({ "sub": "a", "email": said, "email_verified": 1 })).unwrap();
            assert!(!person.email_proven, "{said}");
        }
    }
}
