//! A row of the table of endpoints, and the enforcement of its right.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{DefaultBodyLimit, RawPathParams, Request, State};
use axum::handler::Handler;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use tokenward_core::caller::{Caller, Grant};
use tokenward_core::decision::Reason;
use tokenward_core::directory::Directory;
use tokenward_core::permission::Own;
use tokenward_core::role::Target;
use tokenward_core::{Error, Result, Uuid};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::direct::{Answer, Direct};
use super::error::ApiError;
use super::extract::{client, credential, id};
use super::idempotency;
use crate::http::{address, agent, peer};
use crate::service::App;
use tokenward_verify::{Client, Presenter};

/// Who may call an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Right {
    /// Anybody.
    Public,
    /// Anybody whose credential is accepted.
    Caller,
    /// A signed-in user; tokens get 403 `user_required`.
    User,
    /// Who holds a permission on what the path names.
    Permission(Own, On),
}

/// What in the path a permission is about. The parameter has the same name in every path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum On {
    /// `{organizationId}`.
    Organization,
    /// `{projectId}`; its organization is looked up.
    Project,
    /// `{environmentId}`; its organization is looked up.
    Environment,
    /// `{clusterId}` in `{organizationId}`.
    Cluster,
    /// The caller's organization, where the path names none: a token's own, or the only one in which a user holds the
    /// permission.
    Caller,
    /// An environment to be made in `{projectId}`: the permission is needed on at least one mode; the body says
    /// on which.
    NewEnvironment,
}

/// The schema of a body or an answer.
pub(super) struct Shape {
    pub name: String,
    pub schemas: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl Shape {
    fn of<T: ToSchema>() -> Self {
        Self {
            name: T::name().into_owned(),
            schemas: |all| {
                all.push((T::name().into_owned(), T::schema()));
                T::schemas(all);
            },
        }
    }
}

/// One endpoint. Built with [`get`] and its like, and the functions below.
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path, with `{parameters}`.
    pub path: &'static str,
    /// Who may call it.
    pub right: Right,
    /// Tokens are refused even with the permission.
    pub user_only: bool,
    /// It honours `Idempotency-Key`.
    pub idempotent: bool,
    /// Its largest body in bytes, where that is not the common one.
    body_max: Option<usize>,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: &'static [(&'static str, &'static str)],
    /// Its credential may be `Basic`, with the token as the password.
    pub basic: bool,
    pub(super) body: Option<Shape>,
    /// The media types of its body.
    pub(super) media: &'static [&'static str],
    /// The status of success.
    pub success: u16,
    pub(super) answer: Option<Shape>,
    /// Further statuses, besides those that every endpoint with its right can give.
    pub(super) errors: &'static [u16],
    handler: Handling,
}

/// How an endpoint is answered.
enum Handling {
    /// By the router.
    Routed(Box<MethodRouter<Arc<App>>>),
    /// Before it; for every method, where the flag says so.
    Direct(Answer, bool),
}

macro_rules! methods {
    ($($name:ident $method:ident),*) => {$(
        /// An endpoint with this method. Without a further word only a known caller may use it.
        pub(super) fn $name<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, handler: H) -> Endpoint {
            endpoint(Method::$method, path, Handling::Routed(Box::new(on(MethodFilter::$method, handler))))
        }
    )*};
}

fn endpoint(method: Method, path: &'static str, handler: Handling) -> Endpoint {
    Endpoint {
        method,
        path,
        right: Right::Caller,
        user_only: false,
        idempotent: false,
        body_max: None,
        tag: "",
        summary: "",
        query: &[],
        basic: false,
        body: None,
        media: &["application/json"],
        success: 200,
        answer: None,
        errors: &[],
        handler,
    }
}

methods!(get GET, post POST, put PUT, delete DELETE);

/// An endpoint for POST that is answered before the router is asked.
pub(super) fn direct_post(path: &'static str, answer: Answer) -> Endpoint {
    endpoint(Method::POST, path, Handling::Direct(answer, false))
}

/// The same for every method; the documentation shows GET. Its body is not read.
pub(super) fn direct_any(path: &'static str, answer: Answer) -> Endpoint {
    endpoint(Method::GET, path, Handling::Direct(answer, true))
}

impl Endpoint {
    /// Its place in the documentation, and what it does in one line.
    pub(super) fn about(mut self, tag: &'static str, summary: &'static str) -> Self {
        (self.tag, self.summary) = (tag, summary);
        self
    }

    /// Anybody may call it.
    pub(super) fn public(mut self) -> Self {
        self.right = Right::Public;
        self
    }

    /// Only a signed-in user may call it.
    pub(super) fn user(mut self) -> Self {
        self.right = Right::User;
        self
    }

    /// It honours `Idempotency-Key`.
    pub(super) fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// It takes larger bodies than others.
    pub(super) fn body_max(mut self, bytes: usize) -> Self {
        self.body_max = Some(bytes);
        self
    }

    /// Who holds the permission may call it.
    pub(super) fn needs(mut self, permission: Own, on: On) -> Self {
        self.right = Right::Permission(permission, on);
        self
    }

    /// It takes these query parameters, each with its meaning.
    pub(super) fn query(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }

    /// It takes a body.
    pub(super) fn takes<T: ToSchema>(mut self) -> Self {
        self.body = Some(Shape::of::<T>());
        self
    }

    /// It takes a form.
    pub(super) fn takes_form<T: ToSchema>(mut self) -> Self {
        (self.body, self.media) = (Some(Shape::of::<T>()), &["application/x-www-form-urlencoded"]);
        self
    }

    /// Its body may be written in any of these.
    pub(super) fn written_in(mut self, media: &'static [&'static str]) -> Self {
        self.media = media;
        self
    }

    /// `Basic` counts, with the token as the password.
    pub(super) fn basic(mut self) -> Self {
        self.basic = true;
        self
    }

    /// It answers with a status and a body.
    pub(super) fn answers<T: ToSchema>(mut self, status: u16) -> Self {
        (self.success, self.answer) = (status, Some(Shape::of::<T>()));
        self
    }

    /// It answers with a status and no body.
    pub(super) fn answers_empty(mut self, status: u16) -> Self {
        self.success = status;
        self
    }

    /// It can also give these statuses.
    pub(super) fn errors(mut self, errors: &'static [u16]) -> Self {
        self.errors = errors;
        self
    }

    /// The handler behind the check of its right. What a handler needs of the check it takes out of the request's
    /// extensions; without the check the extension is missing and the request fails.
    pub(super) fn guarded(self, app: &Arc<App>) -> MethodRouter<Arc<App>> {
        if let Some(direct) = self.direct(app) {
            return direct.route();
        }
        let guard = self.guard(app);
        let Handling::Routed(handler) = self.handler else { return MethodRouter::new() };
        let mut handler = *handler;
        if let Some(bytes) = self.body_max {
            handler = handler.layer(DefaultBodyLimit::max(bytes));
        }
        if self.right == Right::Public {
            return handler;
        }
        handler.layer(from_fn_with_state(Arc::new(guard), check))
    }

    /// The endpoint as it is answered before the router, if it is.
    pub(super) fn direct(&self, app: &Arc<App>) -> Option<Arc<Direct>> {
        let Handling::Direct(answer, every) = self.handler else { return None };
        // It reads no parameters of its path, its body has the common limit, and it is for every caller with its right.
        assert!(!self.idempotent && self.body_max.is_none() && !self.path.contains('{'), "{} is not direct", self.path);
        assert!(!self.basic && !self.user_only, "{} is not direct", self.path);
        let method = (!every).then(|| self.method.clone());
        Some(Arc::new(Direct { path: self.path, method, guard: self.guard(app), answer }))
    }

    fn guard(&self, app: &Arc<App>) -> Guard {
        Guard {
            app: Arc::clone(app),
            right: self.right,
            user_only: self.user_only,
            idempotent: self.idempotent,
            basic: self.basic,
        }
    }
}

/// What the check of an endpoint's right needs.
pub(super) struct Guard {
    pub app: Arc<App>,
    pub right: Right,
    user_only: bool,
    idempotent: bool,
    basic: bool,
}

async fn check(
    State(guard): State<Arc<Guard>>,
    path: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let path = path.map_err(|_| Error::invalid("path", "is not valid UTF-8"));
    let (parts, body) = request.into_parts();
    let client = client(&parts.headers, peer(&parts.extensions), &guard.app.trusted_proxies);
    let authorized = path.and_then(|path| {
        authorize(&guard, &path.iter().collect::<Vec<_>>(), &parts.headers, parts.uri.query(), &client)
    });
    match authorized {
        Ok((caller, grant)) => {
            let mut request = Request::from_parts(parts, body);
            request.extensions_mut().insert(caller.clone());
            if let Some(grant) = grant {
                request.extensions_mut().insert(grant);
            }
            if guard.idempotent && request.headers().contains_key(idempotency::HEADER) {
                return idempotency::once(Arc::clone(&guard.app), caller, request, next).await;
            }
            next.run(request).await
        }
        Err(error) => ApiError(error).into_response(),
    }
}

/// What a path names, by the names of its parameters.
type Named<'a> = [(&'a str, &'a str)];

/// Who asks, and with which right. `path` is what the path names.
pub(super) fn authorize(
    guard: &Guard,
    path: &Named<'_>,
    headers: &HeaderMap,
    query: Option<&str>,
    client: &Client,
) -> Result<(Caller, Option<Grant>)> {
    refuse_in_query(guard, query)?;
    let app = &guard.app;
    let caller = if guard.basic {
        let sent = headers.get_all(header::AUTHORIZATION).iter();
        let sent = sent.map(|value| (tokenward_verify::credential::Place::Authorization, value.as_bytes()));
        app.verifier.authenticate(tokenward_verify::credential::credential(sent)?.text(), client)?
    } else {
        app.verifier.authenticate(credential(headers)?, client)?
    };
    let Right::Permission(permission, on) = guard.right else {
        if guard.right == Right::User {
            caller.require_user()?;
        }
        return Ok((caller, None));
    };
    let directory = app.verifier.directory();
    let (organization, target) = match on {
        On::Caller => (own_organization(app, &caller, &directory, permission)?, Target::Organization),
        _ => locate(&directory, path, on)?,
    };
    // A resource of another organization and one that does not exist get the same answer, to the letter.
    let belongs = directory.organization(organization).is_some_and(|o| caller.role_in(o).is_some());
    match on {
        On::Project | On::NewEnvironment if !belongs => return Err(Error::not_found("project")),
        On::Environment if !belongs => return Err(Error::not_found("environment")),
        On::Cluster if belongs && target == Target::Absent => return Err(Error::not_found("cluster")),
        _ => {}
    }
    if guard.user_only {
        caller.organization(&directory, organization)?;
        caller.require_user()?;
    }
    let grant = match (on, target) {
        (On::NewEnvironment, Target::Project(project)) => {
            let grant = caller.require(&directory, organization, Own::ProjectRead, target, app.now())?;
            if !grant.role().manages_environments(project) {
                return Err(Error::permission_denied(permission.as_str()));
            }
            grant
        }
        _ => caller.require(&directory, organization, permission, target, app.now())?,
    };
    // Handlers can rely on it: what is called an id is one.
    for (name, value) in path.iter().filter(|(name, _)| name.ends_with("Id")) {
        id(name, value)?;
    }
    Ok((caller, Some(grant)))
}

/// The organization that asks, for endpoints that need to know no more of the caller: what [`authorize`] finds, without
/// what it makes for those that do.
pub(super) fn asking_organization(
    guard: &Guard,
    headers: &HeaderMap,
    query: Option<&str>,
    peer: Option<IpAddr>,
) -> Result<Option<Uuid>> {
    let proxies = &guard.app.trusted_proxies;
    if let Right::Permission(permission, On::Caller) = guard.right {
        refuse_in_query(guard, query)?;
        let from = Presenter { address: address(headers, peer, proxies), agent: agent(headers) };
        let of_token = guard.app.verifier.permit(credential(headers)?, permission, &from)?;
        if of_token.is_some() {
            return Ok(of_token);
        }
    }
    let (_, grant) = authorize(guard, &[], headers, query, &client(headers, peer, proxies))?;
    Ok(grant.map(|grant| grant.organization()))
}

/// A token in the query of our own API is refused, whatever else is sent: it stands in a log by now.
fn refuse_in_query(guard: &Guard, query: Option<&str>) -> Result<()> {
    let holds =
        |query: &str| tokenward_verify::credential::holds_token(query.as_bytes(), guard.app.verifier.prefixes());
    if query.is_some_and(holds) { Err(Error::denied(Reason::TokenInQuery)) } else { Ok(()) }
}

/// A token's organization. For a user, the only one there is, or the only one in which the permission is held; with
/// several the question is ambiguous.
fn own_organization(app: &App, caller: &Caller, directory: &Directory, permission: Own) -> Result<Uuid> {
    if let Some(organization) = caller.token_organization() {
        return Ok(organization);
    }
    let all: Vec<Uuid> = caller.organizations(directory).map(|organization| organization.id).collect();
    if let [only] = all[..] {
        return Ok(only);
    }
    let holds = |id: &&Uuid| caller.require(directory, **id, permission, Target::Organization, app.now()).is_ok();
    let mut those = all.iter().filter(holds);
    match (those.next(), those.next()) {
        (Some(only), None) => Ok(*only),
        (None, _) => Err(Error::permission_denied(permission.as_str())),
        _ => Err(Error::invalid(
            "Authorization",
            "is a session of several organizations; use an API token of the one you mean",
        )),
    }
}

/// The organization and the target that a path names. What does not exist is not found, whoever asks.
fn locate(directory: &Directory, path: &Named<'_>, on: On) -> Result<(Uuid, Target)> {
    let id = |name: &str| id(name, path.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value));
    match on {
        // `Caller` names nothing in the path and does not come here.
        On::Organization | On::Caller => Ok((id("organizationId")?, Target::Organization)),
        On::Cluster => {
            let (organization, cluster) = (id("organizationId")?, id("clusterId")?);
            let known = directory.organization(organization).is_some_and(|o| o.clusters().contains_key(&cluster));
            Ok((organization, if known { Target::Cluster(cluster) } else { Target::Absent }))
        }
        On::Project | On::NewEnvironment => {
            let project = id("projectId")?;
            let organization = directory.owner_of(project).filter(|o| o.projects().contains_key(&project));
            let organization = organization.ok_or_else(|| Error::not_found("project"))?;
            Ok((organization.id, Target::Project(project)))
        }
        On::Environment => {
            let id = id("environmentId")?;
            let found = directory.owner_of(id).and_then(|o| Some((o.id, o.environments().get(&id)?)));
            let (organization, environment) = found.ok_or_else(|| Error::not_found("environment"))?;
            Ok((organization, (*environment).into()))
        }
    }
}
