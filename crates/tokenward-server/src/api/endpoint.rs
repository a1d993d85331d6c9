//! A row of the table of endpoints, and its handler behind the check of its right.

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use tokenward_core::caller::{Caller, Grant};
use tokenward_core::meter::Metered;
use tokenward_core::permission::Management;
use tokenward_core::{Code, Error, Result as Checked, Time};
use tracing::Instrument as _;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::at_least;
use super::direct::{Direct, DirectHandler};
use super::error::{ApiError, with_create_link, with_ways};
use super::extract::{CheckedRight, client, read_noting_late};
use super::idempotency;
use super::once::{self, Make};
use super::paging;
use super::prefer;
use super::right::{EndpointRight, PathResource, RightGuard, authorize, or_caught_up, refused_person};
use super::understood::{QueryKind, QueryTable, Understood};
use crate::limits::PATH_SEGMENT;
use crate::service::App;
use crate::traces;

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

/// One endpoint. Built with `get` and its like, and the functions below.
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path, with `{parameters}`.
    pub path: &'static str,
    /// Who may call it.
    pub right: EndpointRight,
    /// Tokens are refused even with the permission.
    pub user_only: bool,
    /// A session that is for one organization alone may call it, though it is about the account.
    pub narrow: bool,
    /// It honours `Idempotency-Key`.
    pub idempotent: bool,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: QueryTable,
    /// Those of them that must be there.
    pub(super) needed_query: &'static [&'static str],
    /// Its credential may be `Basic`, with the token as the password, or stand in its form. Only of those before the router.
    pub basic: bool,
    pub(super) body: Option<Shape>,
    /// Can it be left out?
    pub(super) body_optional: bool,
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
    Direct(DirectHandler, bool),
    /// By the router, always with the same text of this media type.
    Once(&'static str, Make),
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
        right: EndpointRight::Caller,
        user_only: false,
        narrow: false,
        idempotent: false,
        tag: "",
        summary: "",
        query: QueryTable::default(),
        needed_query: &[],
        basic: false,
        body: None,
        body_optional: false,
        media: &["application/json"],
        success: 200,
        answer: None,
        errors: &[],
        handler,
    }
}

methods!(get GET, post POST, put PUT, patch PATCH, delete DELETE);

/// An endpoint for POST that is answered before the router is asked.
pub(super) fn direct_post(path: &'static str, answer: DirectHandler) -> Endpoint {
    endpoint(Method::POST, path, Handling::Direct(answer, false))
}

/// The same for every method; the documentation shows GET. Its body is not read.
pub(super) fn direct_any(path: &'static str, answer: DirectHandler) -> Endpoint {
    endpoint(Method::GET, path, Handling::Direct(answer, true))
}

/// An endpoint for GET whose answer is made once.
pub(super) fn get_once(path: &'static str, content_type: &'static str, make: Make) -> Endpoint {
    endpoint(Method::GET, path, Handling::Once(content_type, make))
}

impl Endpoint {
    /// Its place in the documentation, and what it does in one line.
    pub(super) fn about(mut self, tag: &'static str, summary: &'static str) -> Self {
        (self.tag, self.summary) = (tag, summary);
        self
    }

    /// Anybody may call it.
    pub(super) fn public(mut self) -> Self {
        self.right = EndpointRight::Public;
        self
    }

    /// The same, and also one whose session is for one organization alone.
    pub(super) fn user_at_all(mut self) -> Self {
        (self.right, self.narrow) = (EndpointRight::User, true);
        self
    }

    /// Only a signed-in user may call it.
    pub(super) fn user(mut self) -> Self {
        self.right = EndpointRight::User;
        self
    }

    /// It honours `Idempotency-Key`.
    pub(super) fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Who holds the permission may call it.
    pub(super) fn needs(mut self, permission: Management, on: PathResource) -> Self {
        self.right = EndpointRight::Permission(permission, on);
        self
    }

    /// It takes these query parameters, each with its meaning.
    pub(super) fn query(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query.names = query;
        self
    }

    /// These of its query parameters are not any text.
    pub(super) fn query_kinds(mut self, kinds: &'static [(&'static str, QueryKind)]) -> Self {
        self.query.kinds = kinds;
        self
    }

    /// Its list can be had page by page.
    pub(super) fn in_pages(self) -> Self {
        self.query(paging::QUERY).query_kinds(paging::KINDS)
    }

    /// These of its query parameters must be there.
    pub(super) fn needs_query(mut self, needed: &'static [&'static str]) -> Self {
        self.needed_query = needed;
        self
    }

    /// It takes a body.
    pub(super) fn takes<T: ToSchema>(mut self) -> Self {
        self.body = Some(Shape::of::<T>());
        self
    }

    /// It takes a body that can be left out.
    pub(super) fn may_take<T: ToSchema>(mut self) -> Self {
        (self.body, self.body_optional) = (Some(Shape::of::<T>()), true);
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
        let handler = match self.handler {
            Handling::Routed(handler) => *handler,
            Handling::Once(content_type, make) => once::route(content_type, make),
            // It was taken above.
            Handling::Direct(..) => return MethodRouter::new(),
        };
        let guard = Arc::new(guard);
        if self.right == EndpointRight::Public {
            return handler.layer(from_fn_with_state(guard, check_public));
        }
        handler.layer(from_fn_with_state(guard, check))
    }

    /// The endpoint as it is answered before the router, if it is.
    pub(super) fn direct(&self, app: &Arc<App>) -> Option<Arc<Direct>> {
        let Handling::Direct(answer, every) = self.handler else { return None };
        // It is for every caller with its right. Where it has parameters it reads them itself, with all that follows.
        assert!(!self.idempotent && !self.user_only, "{} is not direct", self.path);
        let below = self.path.find('{').map(|at| &self.path[..at]);
        let method = (!every).then(|| self.method.clone());
        Some(Arc::new(Direct { path: self.path, below, method, guard: self.guard(app), answer }))
    }

    fn guard(&self, app: &Arc<App>) -> RightGuard {
        RightGuard {
            app: Arc::clone(app),
            right: self.right,
            user_only: self.user_only,
            narrow: self.narrow,
            idempotent: self.idempotent,
            basic: self.basic,
            takes_nothing: self.body.is_none() && self.method != Method::GET,
            understood: Understood::new(&self.method, self.query, self.idempotent, self.errors.contains(&412)),
        }
    }
}

/// Where nothing is to be said, whoever says something means that it counts. Some clients write `null` or `{}` for nothing.
fn nothing(body: &[u8]) -> Checked<()> {
    match body.trim_ascii() {
        b"" | b"null" | b"{}" => Ok(()),
        _ => Err(Error::invalid("body", "is not read here, since nothing can be said of this; leave it out")),
    }
}

/// Reads a body that says nothing. Where it came late, the right is asked again: it may have been taken back meanwhile, and not
/// everything here is written in a transaction that asks.
async fn said_nothing(app: &App, caller: &Caller, grant: Option<&Grant>, body: Body) -> Checked<()> {
    let (said, late) = read_noting_late(body).await?;
    nothing(&said)?;
    match (grant, caller.at_own_session()) {
        (Some(grant), _) if late => drop(app.read_on(grant, Some(())).await?),
        (None, Ok(person)) if late => app.store.stands(&person).await?,
        _ => {}
    }
    Ok(())
}

/// No name in a path is longer than any that means something.
fn check_lengths(path: &[(&str, &str)]) -> Checked<()> {
    path.iter()
        .try_for_each(|(name, value)| PATH_SEGMENT.check_text(value).map_err(|problem| Error::invalid(*name, problem)))
}

/// Before an endpoint that anybody may call: only what it understands is to be checked.
async fn check_public(State(guard): State<Arc<RightGuard>>, request: Request, next: Next) -> Response {
    let understood = &guard.understood;
    let checked = understood.check_query(request.uri().query());
    let checked = match checked.and_then(|()| understood.check_headers(request.headers())) {
        Ok(()) => at_least::wait(&guard.app, request.headers()).await,
        refused => refused,
    };
    match checked {
        Ok(()) => prefer::run(request, next).await,
        Err(error) => ApiError(error).into_response(),
    }
}

async fn check(
    State(guard): State<Arc<RightGuard>>,
    path: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let path = path.map_err(|_| ());
    let (parts, mut body) = request.into_parts();
    if let Err(error) = at_least::wait(&guard.app, &parts.headers).await {
        return ApiError(error).into_response();
    }
    let client = client(&parts.headers, &parts.extensions, &guard.app.live().trusted_proxies);
    let ask = || {
        let path = path.as_ref().map_err(|()| Error::invalid("path", "is not valid UTF-8"))?;
        let named = path.iter().collect::<Vec<_>>();
        let authorized = authorize(&guard, &named, &parts.headers, parts.uri.query(), &client)?;
        check_lengths(&named)?;
        guard.understood.check_query(parts.uri.query())?;
        guard.understood.check_headers(&parts.headers)?;
        Ok(authorized)
    };
    match or_caught_up(&guard.app, ask).await {
        Ok((caller, grant)) => {
            if guard.takes_nothing && !body.is_end_stream() {
                if let Err(error) = said_nothing(&guard.app, &caller, grant.as_ref(), body).await {
                    return ApiError(error).into_response();
                }
                body = Body::empty();
            }
            let mut request = Request::from_parts(parts, body);
            let beside = (caller.limits().copied(), caller.brownout());
            request.extensions_mut().insert(caller.clone());
            if let Some(grant) = &grant {
                request.extensions_mut().insert(grant.clone());
                request.extensions_mut().insert(CheckedRight { app: Arc::clone(&guard.app), grant: grant.clone() });
            }
            if guard.idempotent && request.headers().contains_key(idempotency::HEADER) {
                let answer = idempotency::once(Arc::clone(&guard.app), caller.clone(), grant, request, next).await;
                return with_limit_headers(
                    with_create_link(&guard.app, with_ways(&guard.app, &caller, answer).await),
                    beside,
                );
            }
            let reading = traces::reading(request.method());
            let answer = prefer::run(request, next).instrument(reading).await;
            with_limit_headers(with_create_link(&guard.app, with_ways(&guard.app, &caller, answer).await), beside)
        }
        Err(error) if error.code == Code::ProofRequired => {
            let answer = ApiError(error).into_response();
            match refused_person(&guard, &parts.headers, &client) {
                Some(caller) => with_ways(&guard.app, &caller, answer).await,
                None => answer,
            }
        }
        Err(error) => with_create_link(&guard.app, ApiError(error).into_response()),
    }
}

/// The answer with what is left of the limits of the token that asked, where it has some, and when it is refused next.
fn with_limit_headers(mut answer: Response, (metered, brownout): (Option<Metered>, Option<Time>)) -> Response {
    if let Some(metered) = metered {
        crate::http::rate_limit(answer.headers_mut(), &metered);
    }
    crate::http::brownout(answer.headers_mut(), brownout);
    answer
}
