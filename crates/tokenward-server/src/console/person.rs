//! Who looks at a page: somebody who is signed in, or a visitor.

use std::sync::{Arc, Mutex};

use axum::http::HeaderMap;
use axum::response::Response;
use tokenward_core::caller::{Caller, Grant};
use tokenward_core::directory::Resource;
use tokenward_core::event::Origin;
use tokenward_core::permission::{Management, Permission};
use tokenward_core::role::{Role, Target};
use tokenward_core::secret::{PlainText, mac, random_text};
use tokenward_core::sync::lock;
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::Position;
use zeroize::Zeroizing;

use super::cookie;
use super::flash::{FlashCookie, Flashed};
use super::page::{PageResult, see_other};
use super::view::{Flash, FlashKind, Moment, Nav, NavigationEntry, OrganizationLink, Shell};
use super::words::role_name;
use crate::http;
use crate::limits::CODE_TIME;
use crate::service::half_way::Entered;
use crate::service::known::Guesser;
use crate::service::proof::Renewed;
use crate::service::sessions::Begun;
use crate::service::{App, CLIENTS_HIDDEN, accounts, log, person_mail, receipts};
use tokenward_verify::server::Client;

/// From where a request to the console came.
pub(super) fn client<B>(app: &App, request: &axum::http::Request<B>) -> Client {
    Client {
        origin: Origin::Console,
        ..http::client(request.headers(), request.extensions(), &app.live().trusted_proxies)
    }
}

/// The token that a form carries: it proves that we made the form for the holder of this cookie.
fn form_token(app: &App, cookie_name: &str, cookie: &str) -> String {
    let key = app.verifier.pepper().derive("console-csrf");
    hex::encode(mac(&key, &[cookie_name.as_bytes(), cookie.as_bytes()]))
}

/// Somebody who is signed in.
#[derive(Clone)]
pub(super) struct SignedIn {
    /// What the service needs.
    pub app: Arc<App>,
    /// With which right.
    pub caller: Caller,
    /// The account.
    pub user: Uuid,
    /// Goes with every form, until the session has another text.
    pub csrf: String,
    /// What came of the last action.
    pub done: Option<FlashCookie>,
    /// The text that the session has since this request, where it has another: the answer sets it.
    renewed: Arc<Mutex<Option<Renewal>>>,
}

/// Another text of a session.
struct Renewal {
    cookie: Arc<PlainText>,
    seconds: i64,
    csrf: String,
}

impl SignedIn {
    /// The person whose session cookie came with the request; `None` for a cookie that is not, or no longer, good.
    pub(super) fn find(app: &Arc<App>, headers: &HeaderMap, client: &Client) -> Result<Option<Self>> {
        let Some(cookie) = cookie::get(headers, cookie::SESSION) else { return Ok(None) };
        let caller = match app.verifier.authenticate_console(cookie, client) {
            Ok(caller) => caller,
            Err(error) if matches!(error.code, Code::Denied(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(Self {
            user: caller.require_user()?,
            caller,
            csrf: form_token(app, cookie::SESSION, cookie),
            done: cookie::get(headers, cookie::DONE).and_then(FlashCookie::parse),
            app: Arc::clone(app),
            renewed: Arc::default(),
        }))
    }

    /// The session has another text from now on: the answer brings it, and its forms go with it.
    pub(super) fn renew(&self, renewed: &Renewed) {
        let seconds = renewed.expires_at.seconds() - self.app.now().seconds();
        let csrf = form_token(&self.app, cookie::SESSION, renewed.text.expose());
        *lock(&self.renewed) = Some(Renewal { cookie: Arc::clone(&renewed.text), seconds, csrf });
    }

    /// What goes with every form that is shown from now on.
    pub(super) fn form_token(&self) -> String {
        lock(&self.renewed).as_ref().map_or_else(|| self.csrf.clone(), |renewal| renewal.csrf.clone())
    }

    /// Lets the browser know the text that the session has since this request, if it has another.
    pub(super) fn tell_renewed(&self, headers: &mut HeaderMap) -> Result<()> {
        match lock(&self.renewed).as_ref() {
            Some(it) => cookie::set(headers, cookie::SESSION, it.cookie.expose(), Some(it.seconds)),
            None => Ok(()),
        }
    }

    /// The right to do something in an organization.
    pub(super) fn require(&self, organization: Uuid, permission: Management, resource: Resource) -> Result<Grant> {
        let directory = self.app.verifier.directory();
        self.caller.require(&directory, organization, permission, resource, self.app.now())
    }

    /// The right to do something with an organization as a whole.
    pub(super) fn may(&self, organization: Uuid, permission: Management) -> Result<Grant> {
        self.require(organization, permission, Resource::default())
    }

    /// The right to do something with a project of an organization; one of another organization is absent.
    pub(super) fn may_in_project(&self, organization: Uuid, project: Uuid, permission: Management) -> Result<Grant> {
        self.require(organization, permission, Resource::project(project))
    }

    /// Would that be allowed? For what a page offers; what it does asks again.
    pub(super) fn can(&self, organization: Uuid, permission: Management) -> bool {
        self.may(organization, permission).is_ok()
    }

    /// A moment as people read it.
    pub(super) fn moment(&self, at: Time) -> Moment {
        Moment::new(at, self.app.now())
    }

    /// Goes on to a page that says what was done.
    pub(super) fn done(&self, path: &str, done: Flashed) -> PageResult {
        self.go_on(path, FlashCookie { what: done, position: None })
    }

    /// The same; with several nodes the page also says on which of them the change counts.
    pub(super) fn done_at(&self, path: &str, done: Flashed, position: Position) -> PageResult {
        self.go_on(path, FlashCookie { what: done, position: Some(position.number) })
    }

    fn go_on(&self, path: &str, done: FlashCookie) -> PageResult {
        let mut response = see_other(path)?;
        set_flash(&mut response, done)?;
        Ok(response)
    }

    /// Does the person belong to the organization, and has proved what that asks?
    pub(super) fn belongs_to(&self, organization: Uuid) -> bool {
        self.caller.organization(&self.app.verifier.directory(), organization).is_ok()
    }

    /// The first organization that the person belongs to.
    pub(super) fn first_organization(&self) -> Option<Uuid> {
        self.caller.organizations(&self.app.verifier.directory()).map(|organization| organization.id).next()
    }

    /// The first organization that would be theirs after another sign-in.
    pub(super) fn first_to_prove(&self) -> Option<Uuid> {
        self.caller.memberships(&self.app.verifier.directory()).map(|organization| organization.id).next()
    }

    /// The frame of a page. `organization` must be one that the person belongs to.
    pub(super) async fn shell(&self, organization: Option<Uuid>, active: Nav) -> Result<Shell> {
        let account = accounts::get(&self.app, &self.caller).await?;
        let progress = match self.done.and_then(|done| done.position) {
            Some(position) => Some(receipts::progress(&self.app, position).await?),
            None => None,
        };
        let unread = match organization {
            Some(id) => log::is_unread(&self.app, id).await?,
            None => false,
        };
        let directory = self.app.verifier.directory();
        let link = |organization: &tokenward_core::directory::Organization, role: &Role| OrganizationLink {
            id: organization.id.to_string(),
            name: organization.name.to_string(),
            role: role_name(role),
        };
        // Also those that ask for another sign-in: opening one leads there.
        let all = self.caller.memberships(&directory);
        let organizations = all.filter_map(|o| Some(link(o, self.caller.membership_in(o)?))).collect();
        let refused_from = organization
            .and_then(|id| self.caller.refused_from(directory.organization(id)?))
            .map(|from| self.moment(from));
        // Where no provider and no second factor is asked for, the operator's link is a way in as any other.
        let asked = !self.app.sign_in.takes_passwords()
            || self.caller.memberships(&directory).any(|organization| {
                let asked = organization.sign_in();
                !asked.providers.is_empty() || asked.two_factors.is_some()
            });
        let passes_by = asked && self.caller.is_by_link();
        let (organization, entries, warning) = match organization {
            Some(id) => {
                let (organization, role) = self.caller.organization(&directory, id)?;
                let entries = entries(organization, role);
                let at_home = entries.first().is_some_and(|entry| entry.nav == active);
                let concerned =
                    at_home && role.allows(Permission::Management(Management::OrganizationEdit), Target::Organization);
                let warning = if unread { Some(turned()) } else { warning(&self.app) }.filter(|_| concerned);
                (Some(link(organization, role)), entries, warning)
            }
            None => (None, Vec::new(), None),
        };
        Ok(Shell {
            public_url: self.app.public_url.clone(),
            organization,
            organizations,
            may_create_organization: self.app.live().organization_creators.would_let(&self.caller, &directory),
            user_name: if account.name.is_empty() { account.email.clone() } else { account.name },
            user_email: account.email,
            active,
            entries,
            csrf: self.form_token(),
            flash: self.done.map(|done| done.flash(progress.as_ref())).or(warning),
            refused_from,
            by_link_until: self.caller.expires_at().filter(|_| passes_by).map(|at| self.moment(at)),
        })
    }

    /// Where an organization begins for this person: the first page that the role may open.
    pub(super) fn home(&self, organization: Uuid) -> Result<String> {
        let directory = self.app.verifier.directory();
        let (organization, role) = self.caller.organization(&directory, organization)?;
        let first = entries(organization, role).first().map_or("settings", |entry| entry.nav.path());
        Ok(format!("/console/{}/{first}", organization.id))
    }
}

/// What those should know who can have it changed.
fn warning(app: &App) -> Option<Flash> {
    app.live().clients_hidden.then(|| Flash { kind: FlashKind::Warn, text: CLIENTS_HIDDEN.to_owned() })
}

/// The log went on under another name, and nobody has acknowledged it.
fn turned() -> Flash {
    let text = "The database has gone back to an older state, or another server has taken over. What was taken away stays so, \
                as far as a node knows of it; what was made then may be gone. `tokenward log status` says what was lost, and \
                `tokenward log acknowledge` ends this warning.";
    Flash { kind: FlashKind::Warn, text: text.to_owned() }
}

/// The pages that a role may open, with what it sees of the numbers.
fn entries(organization: &tokenward_core::directory::Organization, role: &Role) -> Vec<NavigationEntry> {
    let allows = |own, target| role.allows(Permission::Management(own), target);
    let may = |own| allows(own, Target::Organization);
    let projects =
        organization.projects().keys().filter(|id| allows(Management::ProjectRead, Target::Project(**id))).count();
    let clusters =
        organization.clusters().keys().filter(|id| allows(Management::ClusterRead, Target::Cluster(**id))).count();
    let all = [
        (Nav::Tokens, may(Management::TokenRead), None),
        (Nav::Members, may(Management::MemberRead), Some(organization.member_count())),
        (Nav::Roles, may(Management::RoleRead), Some(organization.roles().count())),
        (Nav::Apis, may(Management::ApiRead), None),
        (Nav::Projects, may(Management::ProjectRead) || projects > 0, Some(projects)),
        (Nav::Clusters, may(Management::ClusterRead), Some(clusters)),
        (Nav::Overview, may(Management::TokenRead), None),
        (Nav::Decisions, may(Management::TokenVerify), None),
        (Nav::Events, may(Management::EventRead), None),
        (Nav::Nodes, may(Management::EventRead), None),
        (Nav::Settings, may(Management::OrganizationRead), None),
    ];
    all.into_iter().filter(|(_, open, _)| *open).map(|(nav, _, count)| NavigationEntry { nav, count }).collect()
}

/// Somebody at a page that takes no session, signed in or not.
#[derive(Clone)]
pub(super) struct SignedOut {
    /// What the service needs.
    pub app: Arc<App>,
    /// From where.
    pub client: Client,
    /// The same, if signed in.
    pub person: Option<SignedIn>,
    /// Goes with every form.
    pub csrf: String,
    /// The form cookie, when this answer has to set it.
    pub new_cookie: Option<Arc<Zeroizing<String>>>,
    /// For which accounts the browser is known.
    pub device: Option<Arc<str>>,
}

impl SignedOut {
    /// Whoever sent the request.
    pub(super) fn find(app: &Arc<App>, headers: &HeaderMap, client: Client) -> Result<Self> {
        let person = SignedIn::find(app, headers, &client)?;
        let (csrf, new_cookie) = match cookie::get(headers, cookie::FORM) {
            Some(cookie) => (form_token(app, cookie::FORM, cookie), None),
            None => {
                let cookie = random_text(128, app.store.random());
                (form_token(app, cookie::FORM, &cookie), Some(Arc::new(cookie)))
            }
        };
        let device = cookie::get(headers, cookie::DEVICE).map(Arc::from);
        Ok(Self { app: Arc::clone(app), client, person, csrf, new_cookie, device })
    }

    /// Counts a link that leads nowhere; the answer says so, or that there were too many.
    pub(super) fn dead_link(&self, dead: Error) -> Error {
        self.app.dead_link(self.client.address, dead)
    }

    /// Goes on as the person who has proved the first factor: signed in, or to the page that asks the second.
    pub(super) async fn entered(&self, entered: &Entered, path: &str, done: Option<Flashed>) -> PageResult {
        match entered {
            Entered::In(begun) => self.signed_in(&begun.value, path, done).await,
            Entered::HalfWay(carried) => {
                let mut response = see_other("/sign-in/code")?;
                let seconds = CODE_TIME.time().as_secs().cast_signed();
                cookie::set(response.headers_mut(), cookie::HALF_WAY, carried, Some(seconds))?;
                Ok(response)
            }
        }
    }

    /// Goes on as the person whose session has just begun. A session that the browser had before ends.
    pub(super) async fn signed_in(&self, begun: &Begun, path: &str, done: Option<Flashed>) -> PageResult {
        if let Some(person) = &self.person {
            let ended = crate::service::sessions::end(&self.app, &person.caller, person.caller.credential_id()).await;
            // It may have ended meanwhile, by itself or with a new password.
            if let Err(error) = ended
                && error.code != Code::NotFound
            {
                return Err(error.into());
            }
        }
        let mut response = see_other(path)?;
        let (app, now) = (&self.app, self.app.now());
        let seconds = begun.expires_at.seconds() - now.seconds();
        cookie::set(response.headers_mut(), cookie::SESSION, begun.text.expose(), Some(seconds))?;
        let known = app.devices.guesser(&begun.email, self.device.as_deref(), None, now);
        if begun.is_told && !matches!(known, Guesser::Known(_)) {
            person_mail::notify_of_new_device(app, &begun.email, &self.client);
        }
        let device = app.devices.marked(&begun.email, self.device.as_deref(), now, app.store.random());
        cookie::set(response.headers_mut(), cookie::DEVICE, &device, Some(app.devices.seconds()))?;
        cookie::clear(response.headers_mut(), cookie::FORM);
        if let Some(what) = done {
            set_flash(&mut response, FlashCookie { what, position: None })?;
        }
        Ok(response)
    }
}

/// Lets the next page say it. A minute is long enough to get there.
fn set_flash(response: &mut Response, done: FlashCookie) -> Result<(), Error> {
    cookie::set(response.headers_mut(), cookie::DONE, &done.cookie(), Some(60))
}
