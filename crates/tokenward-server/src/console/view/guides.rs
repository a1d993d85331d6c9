//! The guides.

use askama::Template;

use super::Shell;
use crate::console::guide_text::GuideHtml;

/// A guide in the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuideLink {
    /// What it is called in its address.
    pub name: &'static str,
    /// Its title.
    pub title: String,
    /// What it is about.
    pub about: &'static str,
}

/// A place that a search has found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuideHit {
    /// Where it is.
    pub address: String,
    /// The title of the guide.
    pub guide: String,
    /// The heading; empty for what stands before the first one.
    pub section: String,
    /// The text around what was looked for.
    pub excerpt: String,
}

/// A heading of a guide.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuideSection {
    /// Its place in the page.
    pub anchor: String,
    /// The heading.
    pub title: String,
}

/// `/console/guides`
#[derive(Template, Clone, Debug)]
#[template(path = "guides.html")]
pub struct GuidesPage {
    /// The frame.
    pub shell: Shell,
    /// What is looked for; empty for nothing.
    pub query: String,
    /// Was more typed than is looked for?
    pub too_long: bool,
    /// What was found, the best first.
    pub found: Vec<GuideHit>,
    /// Is there more than is shown?
    pub more: bool,
    /// All guides.
    pub guides: Vec<GuideLink>,
}

/// `/console/guides/{name}`
#[derive(Template, Clone, Debug)]
#[template(path = "guide.html")]
pub struct GuidePage {
    /// The frame.
    pub shell: Shell,
    /// Its title.
    pub title: String,
    /// Its main headings.
    pub sections: Vec<GuideSection>,
    /// The text.
    pub html: GuideHtml,
}
