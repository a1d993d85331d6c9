//! The guides: what is in `docs/`, as pages that need nothing from elsewhere.

use axum::Extension;
use axum::http::StatusCode;
use tokenward_core::Error;

use super::form::Query;
use super::guide_text::{self, Guide};
use super::page::{At, PageResult, page};
use super::person::SignedIn;
use super::view::{GuideHit, GuideLink, GuidePage, GuideSection, GuidesPage, Nav};
use crate::heavy;
use crate::limits::GUIDE_QUERY;

/// `GET /console/guides`.
pub(super) async fn list(Extension(person): Extension<SignedIn>, Query(query): Query) -> PageResult {
    let query = query.understood(&["q"])?.line("q");
    let too_long = GUIDE_QUERY.check_text(&query).is_err();
    let words = if too_long { String::new() } else { query.clone() };
    // All pages are read, and made where nobody has seen one yet.
    let look = move || (guide_text::all(), guide_text::search(&words));
    let (guides, (found, more)) = heavy::aside(person.user, look).await?;
    let shown = GuidesPage {
        shell: person.shell(None, Nav::Guides).await?,
        guides: guides.iter().map(link).collect(),
        found: found
            .into_iter()
            .map(|hit| GuideHit {
                address: match hit.section.anchor.as_str() {
                    "" => format!("/console/guides/{}", hit.guide.name),
                    anchor => format!("/console/guides/{}#{anchor}", hit.guide.name),
                },
                guide: hit.guide.title.clone(),
                section: hit.section.title.clone(),
                excerpt: hit.excerpt,
            })
            .collect(),
        more,
        too_long,
        query: if too_long { String::new() } else { query },
    };
    page(if too_long { StatusCode::BAD_REQUEST } else { StatusCode::OK }, &shown)
}

/// `GET /console/guides/{name}`.
pub(super) async fn show(
    Extension(person): Extension<SignedIn>,
    At(name): At<String>,
    Query(query): Query,
) -> PageResult {
    query.understood(&[])?;
    let guide = heavy::aside(person.user, move || guide_text::named(&name)).await?;
    let guide = guide.ok_or_else(|| Error::not_found("guide"))?;
    let main = guide.sections.iter().filter(|section| section.is_main);
    let shown = GuidePage {
        shell: person.shell(None, Nav::Guides).await?,
        title: guide.title.clone(),
        sections: main
            .map(|section| GuideSection { anchor: section.anchor.clone(), title: section.title.clone() })
            .collect(),
        html: guide.html.clone(),
    };
    page(StatusCode::OK, &shown)
}

fn link(guide: &Guide) -> GuideLink {
    GuideLink { name: guide.name, title: guide.title.clone(), about: guide.about }
}
