//! Introspection (RFC 7662) and revocation (RFC 7009), for programs that know no other API of ours.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokenward_api::Text;
use tokenward_api::oauth::{
    ActiveToken, Introspection, IntrospectionBatch, IntrospectionBatchRequest, IntrospectionForm, TokenForm,
};
use tokenward_core::directory::Organization;
use tokenward_core::nearest::nearest;
use tokenward_core::permission::{Management, RequiredPermission};
use tokenward_core::role::{Role, Target};
use tokenward_core::routes::{Routes, Unknown};
use tokenward_core::{Error, Result, Time, Uuid};
use zeroize::Zeroize as _;

use super::at_least;
use super::batch;
use super::direct::{DirectRequest, Unanswered};
use super::endpoint::{Endpoint, direct_post, post};
use super::error::ApiError;
use super::extract::{parse, read, written_empty};
use super::form::is_form;
use super::json;
use super::right::PathResource;
use crate::http::client;
use crate::limits::{API_NAME, PRESENTED_BYTES, QUERY};
use crate::metrics::Way;
use crate::service::{App, receipts, tokens};
use tokenward_verify::{Ask, Asking, Question};

/// Bytes for an answer, which few need more than.
const ROOM: usize = 1_024;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        direct_post("/introspect", introspect)
            .basic()
            .needs(Management::TokenVerify, PathResource::Caller)
            .about("Verification", "Is this token active (RFC 7662)?")
            .takes_form::<IntrospectionForm>()
            .answers::<Introspection<'_>>(200)
            .errors(&[409]),
        direct_post("/introspect/batch", introspect_batch)
            .basic()
            .needs(Management::TokenVerify, PathResource::Caller)
            .about("Verification", "The same for up to 1,000 tokens at once, answered in their order.")
            .takes::<IntrospectionBatchRequest<'_>>()
            .answers::<IntrospectionBatch<'_>>(200)
            .errors(&[409]),
        post("/revoke", revoke)
            .public()
            .about("Verification", "Take back the token that you hold (RFC 7009). Holding it is the right.")
            .takes_form::<TokenForm>()
            .answers_empty(200)
            .errors(&[409, 503]),
    ]
}

/// What a form may say, and what clients of other servers say besides, which means nothing here.
const PARAMETERS: [&str; 6] = ["token", "token_type_hint", "audience", "at_least", "client_id", "client_secret"];
/// Other names of one of them, which no spelling leads to: passed over, the answer would be about more than was asked.
const OTHER_NAMES: [(&str, &str); 3] = [("aud", "audience"), ("resource", "audience"), ("api", "audience")];

/// Parameters that are not known are not looked at (RFC 6749 §3.2), but for those that are one of ours in another spelling.
fn check_name(name: &str) -> Result<()> {
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == name).map(|(_, meant)| *meant);
    match other.or_else(|| nearest(name, PARAMETERS.into_iter())) {
        Some(meant) => Err(Error::invalid(QUERY.shown(name), format!("is not known here; did you mean `{meant}`?"))),
        None => Ok(()),
    }
}

/// The `token` of a form, and what the answer must know of. A text stays where it is, unless something in it is escaped.
struct Form<'a> {
    token: Cow<'a, str>,
    at_least: Option<Cow<'a, str>>,
    audience: Option<Cow<'a, str>>,
}

impl<'a> Form<'a> {
    fn read(headers: &HeaderMap, bytes: &'a [u8]) -> Result<Self> {
        check_form(headers)?;
        let (mut token, mut at_least, mut audience) = (None, None, None);
        for (name, value) in form_urlencoded::parse(bytes) {
            let (name, known) = match &*name {
                "token" => ("token", &mut token),
                "at_least" => ("at_least", &mut at_least),
                "audience" => ("audience", &mut audience),
                known if PARAMETERS.contains(&known) => continue,
                unknown => {
                    check_name(unknown)?;
                    continue;
                }
            };
            if known.replace(value).is_some() {
                return Err(Error::invalid(name, "is there twice"));
            }
        }
        let token = token.ok_or_else(|| Error::invalid("token", "is missing; send it in the form"))?;
        let form = Self { token, at_least, audience };
        PRESENTED_BYTES.check_text(&form.token).map_err(|problem| Error::invalid("token", problem))?;
        Ok(form)
    }
}

impl Drop for Form<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(token) = &mut self.token {
            token.zeroize();
        }
    }
}

fn check_form(headers: &HeaderMap) -> Result<()> {
    if is_form(headers) {
        return Ok(());
    }
    Err(Error::invalid("body", "must be a form (`Content-Type: application/x-www-form-urlencoded`)"))
}

/// What is said of every token that is not accepted.
const INACTIVE: Introspection<'static> = Introspection { active: false, token: None };

/// As `Serialize` has it, which describes it for the documentation and the test.
fn write(answer: &Introspection<'_>, to: &mut Vec<u8>) -> Result<()> {
    to.extend_from_slice(if answer.active { br#"{"active":true"# } else { br#"{"active":false"# });
    if let Some(token) = &answer.token {
        to.extend_from_slice(br#","scope":"#);
        json::string(to, &token.scope)?;
        to.extend_from_slice(br#","client_id":"#);
        json::uuid(to, token.client_id);
        to.extend_from_slice(br#","sub":"#);
        json::uuid(to, token.sub);
        to.extend_from_slice(br#","username":"#);
        json::string(to, &token.username)?;
        to.extend_from_slice(br#","iss":"#);
        json::string(to, &token.iss)?;
        if let Some(aud) = &token.aud {
            to.extend_from_slice(br#","aud":"#);
            json::string(to, aud)?;
        }
        to.extend_from_slice(br#","token_type":"#);
        json::string(to, &token.token_type)?;
        if let Some(iat) = token.iat {
            write!(to, r#","iat":{iat}"#).map_err(Error::internal)?;
        }
        if let Some(exp) = token.exp {
            write!(to, r#","exp":{exp}"#).map_err(Error::internal)?;
        }
    }
    to.push(b'}');
    Ok(())
}

/// What a role may use of one API, as one line of words in order.
fn scope_of(api: &Routes, role: &Role) -> String {
    let holds = |needed: &&RequiredPermission| role.allows(needed.permission(), Target::Organization);
    let words: BTreeSet<&str> = api.permissions().filter(holds).map(RequiredPermission::as_str).collect();
    words.into_iter().collect::<Vec<_>>().join(" ")
}

/// Answers about one token, and about one API where there is an audience, into `body`.
fn answer(
    asked: &DirectRequest<'_>,
    (token, audience): (&str, Option<&str>),
    body: &mut Vec<u8>,
) -> Result<(), Unanswered> {
    let (app, organization) = (asked.app, asked.asking()?);
    // Who presented it is not part of the protocol; the caller is not the one who guesses.
    let question = Question::new(Asking::Organization(organization), Ask::Identity).trace(asked.trace);
    // The directory of this moment: an API that is taken out meanwhile is none from the next request on.
    let directory = app.verifier.directory();
    let api = match audience {
        None => None,
        Some(name) => {
            API_NAME.check_text(name).map_err(|problem| Error::invalid("audience", problem))?;
            let found = directory.organization(organization).and_then(|own| own.api(name));
            let none =
                || Error::invalid("audience", "names no API of this organization; `tokenward api list` shows them");
            Some(found.ok_or_else(none)?)
        }
    };
    let told = |(token, name, expires_at): (Uuid, &str, Option<Time>), scope: Cow<'_, str>, body: &mut Vec<u8>| {
        let token = ActiveToken {
            scope,
            client_id: token,
            sub: token,
            username: name.into(),
            iss: app.public_url.as_str().into(),
            aud: audience.map(Into::into),
            token_type: "Bearer".into(),
            // The id holds the moment at which it was made (RFC 9562 §5.7).
            iat: token.get_timestamp().map(|at| at.to_unix().0),
            exp: expires_at.map(|Time(micros)| micros.div_euclid(tokenward_core::time::SECOND)),
        };
        write(&Introspection { active: true, token: Some(token) }, body)
    };
    let checked = app.verifier.check(token, &question, |answer| {
        app.metrics.decided(Way::Introspect, &answer.decision);
        let Some((found, own, role)) = answer.found.filter(|_| answer.decision.is_allow()) else {
            return write(&INACTIVE, body).map(|()| None);
        };
        let narrowed = found.scope().map(|scope| role.narrowed(scope));
        if api.is_none()
            && narrowed.is_none()
            && let Some(line) = own.kept_scope_line(role)
        {
            return told((found.token, found.name(), found.expires_at), line.into(), body).map(|()| None);
        }
        // The line is made when nobody waits for this any more: an organization may have many routes.
        let (whole, role) = (narrowed.is_none(), narrowed.unwrap_or_else(|| role.clone()));
        Ok(Some((found.token, found.name().to_owned(), found.expires_at, role, whole)))
    });
    let Some((token, name, expires_at, role, whole)) = checked?? else { return Ok(()) };
    let directory = app.verifier.directory();
    let Some(own) = directory.organization(organization) else { return Ok(write(&INACTIVE, body)?) };
    // The line of a role of its own is kept.
    let role = own.role(role.id).filter(|_| whole).map_or(&role, |own| &**own);
    // A resource server compares words: what `*` means of the routes that there are is said in words.
    let scope = api.map_or_else(|| own.scope_line(role), |api| scope_of(api, role).into());
    // A token is not for an API of which it may use nothing.
    if api.is_some_and(|api| scope.is_empty() && api.unknown() == Unknown::Deny) {
        return Ok(write(&INACTIVE, body)?);
    }
    Ok(told((token, &name, expires_at), scope, body)?)
}

/// From so many permissions on that an organization's routes name, going through them is nothing for a thread of the runtime.
const NAMED: usize = 2_000;

/// May an answer take longer than a thread of the runtime has? Nothing is decided before that is known: a decision counts.
fn check_time(asked: &DirectRequest<'_>) -> Result<(), Unanswered> {
    let (directory, organization) = (asked.app.verifier.directory(), asked.asking()?);
    let named = directory.organization(organization).map_or(0, Organization::named_by_routes);
    if asked.aside || named <= NAMED { Ok(()) } else { Err(Unanswered::TakesLong(organization)) }
}

fn introspect(asked: &DirectRequest<'_>) -> Result<Response, Unanswered> {
    let form = Form::read(&asked.request.headers, asked.body)?;
    asked.check_known(form.at_least.as_deref())?;
    check_time(asked)?;
    let mut body = Vec::with_capacity(ROOM);
    answer(asked, (&form.token, form.audience.as_deref()), &mut body)?;
    Ok(json::response(body))
}

fn introspect_batch(asked: &DirectRequest<'_>) -> Result<Response, Unanswered> {
    let request: IntrospectionBatchRequest<'_> = parse(asked.body)?;
    asked.check_known(request.at_least.as_ref().map(|Text(text)| &**text))?;
    check_time(asked)?;
    batch::answers(&request.tokens, ROOM, |question, body| {
        let Text(token) = &question.token;
        PRESENTED_BYTES.check_text(token).map_err(|problem| Error::invalid("token", problem))?;
        answer(asked, (token, question.audience.as_ref().map(|Text(name)| &**name)), body)
    })
}

async fn revoke(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let client = client(&parts.headers, &parts.extensions, &app.live().trusted_proxies);
    check_form(&parts.headers)?;
    let bytes = read(body).await?;
    let form = Form::read(&parts.headers, &bytes)?;
    if let Some(text) = &form.at_least {
        receipts::until_known(&app, at_least::position("at_least", text)?).await?;
    }
    // RFC 7009 §2.2: a token that is not known is as good as taken back.
    let revoked = tokens::revoke_presented(&app, &form.token, &client).await?;
    Ok(revoked.map_or_else(|| StatusCode::OK.into_response(), |revoked| written_empty(StatusCode::OK, &revoked)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_written_as_it_is_described() {
        let id = Uuid::from_u128(0x0196_8f4e_7c1a_7c3b_9d4e_5f60_7182_93a4);
        let mut all = vec![INACTIVE];
        for (name, aud, iat, exp) in [
            ("ci-deploys", None, Some(1_790_000_000), None),
            ("a \"b\" \\ c", Some("shop"), None, Some(-1)),
            ("Zürich\n", Some(""), Some(0), Some(1_795_562_400)),
        ] {
            all.push(Introspection {
                active: true,
                token: Some(ActiveToken {
                    scope: "*:read organization:read".into(),
                    client_id: id,
                    sub: id,
                    username: name.into(),
                    iss: "https://tokens.example".into(),
                    aud: aud.map(Into::into),
                    token_type: "Bearer".into(),
                    iat,
                    exp,
                }),
            });
        }
        for one in all {
            let mut written = Vec::new();
            write(&one, &mut written).unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), serde_json::to_string(&one).unwrap());
        }
    }

    #[test]
    fn a_form_says_each_of_its_words_once() {
        let headers: HeaderMap = [("content-type", "application/x-www-form-urlencoded")]
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let read = |text: &str| {
            Form::read(&headers, text.as_bytes())
                .map(|form| (form.token.to_string(), form.audience.as_deref().map(str::to_owned)))
                .map_err(|error| error.faults[0].field.clone())
        };
        assert_eq!(read("token=a%5Fb&audience=shop&client_id=x&more=1"), Ok(("a_b".into(), Some("shop".into()))));
        for (text, field) in [
            ("", "token"),
            ("token=a&token=b", "token"),
            ("token=a&audience=b&audience=b", "audience"),
            ("token=a&aud=b", "aud"),
        ] {
            assert_eq!(read(text), Err(field.into()), "{text}");
        }
        assert!(Form::read(&HeaderMap::new(), b"token=a").is_err());
    }
}
