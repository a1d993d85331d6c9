//! On which page a form stands that is sent to another path than its own.
//!
//! Most forms are sent to the path of their page. Where only the form has a path, a browser still comes there with GET: by the
//! address bar of a form that was refused, from the history, after a sign-in. It is led to the page.

use std::sync::Arc;

use axum::extract::MatchedPath;
use axum::handler::Handler;
use axum::http::Uri;
use axum::routing::{MethodRouter, post};
use tokenward_core::Error;

use super::page::{PageResult, see_other};
use crate::service::App;

/// Where forms are sent to, and the page that has them. What stands in braces stands at the same place in both.
const PAGES: &[(&str, &str)] = &[
    ("/sign-out", "/"),
    ("/sign-in/passkey", "/sign-in"),
    ("/sign-in/passkey/begin", "/sign-in"),
    ("/console/account/name", "/console/account"),
    ("/console/account/password", "/console/account"),
    ("/console/account/sessions/{session}/end", "/console/account"),
    ("/console/account/sessions/end-others", "/console/account"),
    ("/console/account/passkeys", "/console/account/passkeys/new"),
    ("/console/account/passkeys/begin", "/console/account/passkeys/new"),
    ("/console/account/passkeys/prove", "/console/account"),
    ("/console/account/passkeys/prove/begin", "/console/account"),
    ("/console/{organization}/tokens", "/console/{organization}/tokens/new"),
    ("/console/{organization}/tokens/find", "/console/{organization}/tokens"),
    ("/console/{organization}/tokens/bulk", "/console/{organization}/tokens"),
    ("/console/{organization}/tokens/{token}/attest", "/console/{organization}/tokens/{token}"),
    ("/console/{organization}/tokens/{token}/brownout/end", "/console/{organization}/tokens/{token}"),
    ("/console/{organization}/policy-tokens/find", "/console/{organization}/policy-tokens"),
    ("/console/{organization}/policy-tokens/bulk", "/console/{organization}/policy-tokens"),
    ("/console/{organization}/policy-tokens/{token}/brownout/end", "/console/{organization}/policy-tokens/{token}"),
    ("/console/{organization}/policy-tokens", "/console/{organization}/policy-tokens/new"),
    ("/console/{organization}/members/{user}/detach", "/console/{organization}/members/{user}"),
    ("/console/{organization}/invitations/{invitation}/resend", "/console/{organization}/members"),
    ("/console/{organization}/invitations/{invitation}/delete", "/console/{organization}/members"),
    ("/console/{organization}/roles/{role}", "/console/{organization}/roles/{role}/edit"),
    ("/console/{organization}/settings/event-retention", "/console/{organization}/settings"),
    ("/console/{organization}/settings/token-policy/shorten", "/console/{organization}/settings/token-policy"),
];

/// The page with the form that was sent to `path`, which the route `route` takes; `None` where that path is the page's own.
pub(super) fn page_of(route: &str, path: &str) -> Option<String> {
    let (_, page) = PAGES.iter().find(|(form, _)| *form == route)?;
    let given: Vec<&str> = path.split('/').collect();
    let filled = |(at, part): (usize, &str)| {
        if part.starts_with('{') { given.get(at).copied().unwrap_or_default().to_owned() } else { part.to_owned() }
    };
    Some(page.split('/').enumerate().map(filled).collect::<Vec<_>>().join("/"))
}

/// The methods of a path that takes a form and has no page: GET leads to the one that has the form.
pub(super) fn of_form<H, T>(handler: H) -> MethodRouter<Arc<App>>
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    post(handler).get(open)
}

async fn open(route: MatchedPath, uri: Uri) -> PageResult {
    match page_of(route.as_str(), uri.path()) {
        Some(page) => see_other(&page),
        None => Err(Error::not_found("page").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those that have a GET of their own, which shows something else than the form.
    const OWN_GET: [&str; 4] = [
        "/console/account/passkeys/prove",
        "/console/{organization}/tokens",
        "/console/{organization}/policy-tokens",
        "/console/{organization}/roles/{role}",
    ];

    #[test]
    fn a_form_that_is_sent_elsewhere_is_found_on_its_page() {
        let page = |route, path| page_of(route, path);
        assert_eq!(page("/sign-out", "/sign-out").as_deref(), Some("/"));
        let one = page("/console/{organization}/tokens/{token}/brownout/end", "/console/o-1/tokens/t-2/brownout/end");
        assert_eq!(one.as_deref(), Some("/console/o-1/tokens/t-2"));
        let one = page("/console/{organization}/roles/{role}", "/console/o-1/roles/r-2");
        assert_eq!(one.as_deref(), Some("/console/o-1/roles/r-2/edit"));
        assert_eq!(page("/console/new", "/console/new"), None);
        for (form, page) in PAGES {
            let forms: Vec<&str> = form.split('/').collect();
            for (at, part) in page.split('/').enumerate().filter(|(_, part)| part.starts_with('{')) {
                assert_eq!(forms.get(at), Some(&part), "{form}: {page}");
            }
        }
    }

    #[test]
    fn no_path_takes_a_form_and_answers_a_browser_with_405() {
        let routes = include_str!("mod.rs");
        let alone: Vec<&str> = routes.lines().filter(|line| line.contains(", post(")).collect();
        assert!(alone.is_empty(), "these take `form_page::of_form`: {alone:#?}");
        // Each of them has its page in the table.
        assert_eq!(routes.matches("form_page::of_form(").count(), PAGES.len() - OWN_GET.len());
        assert!(OWN_GET.iter().all(|own| PAGES.iter().any(|(form, _)| form == own)));
    }
}
