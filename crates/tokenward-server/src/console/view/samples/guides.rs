//! The guides: their list, what a search finds, and each of them as it is.

use super::*;
use crate::console::guide_text;

pub fn guides() -> Vec<(String, String)> {
    let link =
        |guide: &guide_text::Guide| GuideLink { name: guide.name, title: guide.title.clone(), about: guide.about };
    let list = GuidesPage {
        shell: shell(Nav::Guides),
        query: String::new(),
        too_long: false,
        found: Vec::new(),
        more: false,
        guides: guide_text::all().iter().map(link).collect(),
    };
    let hit = GuideHit {
        address: "/console/guides/tokens#s-rotate-it".into(),
        guide: "The life of a token".into(),
        section: "Rotate it".into(),
        excerpt: format!("…{NASTY} and more…"),
    };
    let found = GuidesPage { query: NASTY.into(), found: vec![hit], ..list.clone() };
    let nothing = GuidesPage { query: "word".into(), ..list.clone() };
    let too_long = GuidesPage { too_long: true, ..list.clone() };
    let named = [("guides", list), ("guides-found", found), ("guides-nothing", nothing), ("guides-too-long", too_long)];
    let mut pages: Vec<(String, String)> =
        named.into_iter().map(|(name, page)| (name.to_owned(), page.render().unwrap())).collect();
    for guide in guide_text::all() {
        let section = |it: &guide_text::Section| GuideSection { anchor: it.anchor.clone(), title: it.title.clone() };
        let page = GuidePage {
            shell: shell(Nav::Guides),
            title: guide.title.clone(),
            sections: guide.sections.iter().filter(|it| it.is_main).map(section).collect(),
            html: guide.html.clone(),
        };
        pages.push((format!("guide-{}", guide.name), page.render().unwrap()));
    }
    pages
}
