//! The paths that send a browser to a provider of identities, and what stands between a form and them.
//!
//! Our policy lets forms go to us alone (`form-action`), and Chromium holds each redirect of a form against it, to the last: a
//! sign-in whose way on leads to a provider would end at a blank refusal. So such an answer is a page of ours, from which the browser
//! goes on by itself, and by a link where it does not.

use axum::http::{HeaderValue, Method, header};
use axum::response::Response;

use super::errors::error_page;
use super::view::ErrorPage;

/// To sign in.
pub(super) const SIGN_IN: &str = "/sign-in/with/{key}";
/// To join.
pub(super) const INVITATION: &str = "/invitation/{id}/{secret}/with/{key}";
/// To link an identity.
pub(super) const LINK: &str = "/console/account/identities/with/{key}";
/// To prove anew who sits at a session.
pub(super) const PROVE: &str = "/console/account/prove/{key}";
/// To see what a provider says.
pub(super) const TRY: &str = "/console/{organization}/settings/sign-in/try/{key}";

const ALL: [&str; 5] = [SIGN_IN, INVITATION, LINK, PROVE, TRY];
/// How many pages are looked through that may lead on to another one at once.
const DEPTH: usize = 4;

/// Does this path of ours lead to a provider: by itself, or by what it goes on to?
fn lead_out(path: &str) -> bool {
    let mut path = path.to_owned();
    for _ in 0..DEPTH {
        let (place, query) = path.split_once('?').unwrap_or((path.as_str(), ""));
        if ALL.iter().any(|route| fits(route, place)) {
            return true;
        }
        let next = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "next");
        match next.map(|(_, next)| next.into_owned()) {
            Some(next) => path = next,
            None => return false,
        }
    }
    // Nobody gets such an address from us. A page too much harms nobody.
    true
}

fn fits(route: &str, path: &str) -> bool {
    let (route, path) = (route.split('/'), path.split('/'));
    route.clone().count() == path.clone().count()
        && route.zip(path).all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
}

/// The answer to a request of this method, where it leads to a provider after a form: a page with all that it leaves in the browser.
pub(super) fn behind_a_form(method: &Method, response: Response) -> Response {
    let to = response.headers().get(header::LOCATION).filter(|_| *method == Method::POST);
    let Some(to) = to.and_then(|to| to.to_str().ok()).filter(|to| lead_out(to)) else { return response };
    let Ok(refresh) = HeaderValue::from_str(&format!("0; url={to}")) else { return response };
    let mut page = error_page(ErrorPage {
        status: 200,
        title: "One moment".into(),
        detail: "You go on to the provider that signs you in.".into(),
        reference: None,
        link: Some(("Go on".into(), to.to_owned())),
    });
    page.headers_mut().insert(header::REFRESH, refresh);
    for cookie in response.headers().get_all(header::SET_COOKIE) {
        page.headers_mut().append(header::SET_COOKIE, cookie.clone());
    }
    page
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn a_way_to_a_provider_is_known_however_far_away_it_begins() {
        for out in [
            "/sign-in/with/corp",
            "/sign-in/with/corp?next=%2F",
            "/invitation/1/2/with/corp",
            "/console/account/identities/with/corp",
            "/console/account/prove/corp?next=%2Fconsole",
            "/console/1/settings/sign-in/try/corp",
            "/console/account/two-factors?next=%2Fconsole%2F1%2Fsettings%2Fsign-in%2Ftry%2Fcorp",
        ] {
            assert!(lead_out(out), "{out}");
        }
        for ours in [
            "/",
            "/console/1/tokens?q=%2Fsign-in%2Fwith%2Fcorp",
            "/sign-in/identity",
            "/console/account/proof?next=%2Fconsole%2F1",
            "/sign-in/with/corp/callback",
        ] {
            assert!(!lead_out(ours), "{ours}");
        }
        let turned = (0..40).fold(String::from("/"), |next, _| format!("/a?next={}", next.replace('%', "%25")));
        assert!(lead_out(&turned), "it ends");
    }

    #[test]
    fn only_a_form_gets_the_page_and_keeps_the_cookies() {
        let answer = || {
            Response::builder()
                .status(StatusCode::SEE_OTHER)
                .header(header::LOCATION, "/console/account/prove/corp")
                .header(header::SET_COOKIE, "a=1")
                .header(header::SET_COOKIE, "b=2")
                .body(Body::empty())
                .unwrap()
        };
        assert_eq!(behind_a_form(&Method::GET, answer()).status(), StatusCode::SEE_OTHER);
        let page = behind_a_form(&Method::POST, answer());
        assert_eq!((page.status(), page.headers().get(header::LOCATION)), (StatusCode::OK, None));
        assert_eq!(page.headers()[header::REFRESH], "0; url=/console/account/prove/corp");
        assert_eq!(page.headers().get_all(header::SET_COOKIE).iter().count(), 2);
    }
}
