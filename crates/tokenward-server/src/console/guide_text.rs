//! The guides, which are the pages in `docs/`: compiled in, made HTML once, and searched in memory.

use std::fmt;
use std::sync::LazyLock;

use askama::filters::HtmlSafe;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

macro_rules! guide {
    ($name:literal, $about:literal) => {
        guide!($name at $name, $about)
    };
    ($name:literal at $path:literal, $about:literal) => {
        ($name, $path, $about, include_str!(concat!("../../../../docs/", $path, ".md")))
    };
}

/// What a guide is called in its address, where it stands in `docs/`, what it is about, and its text.
type Text = (&'static str, &'static str, &'static str, &'static str);

/// All of them, in the order in which they are listed.
const TEXTS: [Text; 29] = [
    guide!("tokens", "The life of a token: make it, change it, rotate it, switch it off, take it back and undo that"),
    guide!(
        "verification",
        "Protect an API: /verify, forward-auth for nginx, Caddy and Traefik, Envoy, introspection, batch, routes"
    ),
    guide!("services", "Ask from your own services: clients for TypeScript, Python and Go"),
    guide!("cli", "The command line, for people and for scripts"),
    guide!("pipelines", "In CI/CD: a token that lives as long as its job"),
    guide!("embedding", "Decide inside your own Rust service"),
    guide!("policies", "Policy tokens: a policy in Rego says which requests a token may make"),
    guide!("sign-in", "Signing in by a provider of identities"),
    guide!("sign-in-keycloak" at "sign-in/keycloak", "Keycloak as the provider: what to enter on both sides, groups, logout"),
    guide!("sign-in-authentik" at "sign-in/authentik", "Authentik as the provider"),
    guide!("sign-in-authelia" at "sign-in/authelia", "Authelia as the provider"),
    guide!("sign-in-zitadel" at "sign-in/zitadel", "Zitadel as the provider"),
    guide!("sign-in-google" at "sign-in/google", "Google as the provider"),
    guide!("sign-in-entra" at "sign-in/entra", "Microsoft Entra ID as the provider"),
    guide!("sign-in-okta" at "sign-in/okta", "Okta as the provider"),
    guide!("sign-in-github" at "sign-in/github", "GitHub, through a broker"),
    guide!("sign-in-move-a-team" at "sign-in/move-a-team", "Move a team from passwords to a provider"),
    guide!("passkeys", "Passkeys: sign in with what unlocks your device"),
    guide!("second-factor", "A code of an authenticator as the second factor, and recovery codes"),
    guide!("people", "Accounts, invitations, passwords, and who may make organizations"),
    guide!("as-code", "An organization as a file, and tokens in Terraform and OpenTofu"),
    guide!("qovery-cli", "The published command line, pointed here"),
    guide!("terraform", "The published provider for Terraform and OpenTofu, pointed here"),
    guide!("pulumi", "The same for Pulumi"),
    guide!("nodes", "Several nodes on one PostgreSQL, and what is promised of a revocation"),
    guide!("consistency", "The rules behind those promises, and the tests that hold them"),
    guide!("limits", "Every limit: sizes, numbers and times, and which of them can be set"),
    guide!("performance", "What a decision costs, beside others, and how it grows"),
    guide!("operations", "TLS, backup and restore, the pepper, PostgreSQL, and what to do at three in the morning"),
];

/// Places that a search answers, words that it takes, and how much of a text it shows.
const FOUND: usize = 30;
const WORDS: usize = 8;
const EXCERPT: usize = 180;

/// A guide as HTML. It is made of a page that is compiled in, by what escapes every text in it; nothing that anybody types comes
/// near it, which is why it goes into a page as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuideHtml(pub String);

impl HtmlSafe for GuideHtml {}

impl fmt::Display for GuideHtml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A guide.
pub(super) struct Guide {
    pub name: &'static str,
    pub about: &'static str,
    pub title: String,
    pub html: GuideHtml,
    pub sections: Vec<Section>,
}

/// A part of a guide, from one heading to the next.
pub(super) struct Section {
    /// Its place in the page; empty for what stands before the first heading.
    pub anchor: String,
    pub title: String,
    /// Is it one that a list of contents names?
    pub is_main: bool,
    text: String,
}

/// A place that was found.
pub(super) struct Hit {
    pub guide: &'static Guide,
    pub section: &'static Section,
    pub excerpt: String,
}

static GUIDES: LazyLock<Vec<Guide>> = LazyLock::new(|| TEXTS.iter().map(|text| read(*text)).collect());

/// All of them.
pub(super) fn all() -> &'static [Guide] {
    &GUIDES
}

/// The one with this name.
pub(super) fn named(name: &str) -> Option<&'static Guide> {
    all().iter().find(|guide| guide.name == name)
}

/// The places in which all of these words stand, the best first; and whether there are more.
pub(super) fn search(query: &str) -> (Vec<Hit>, bool) {
    let words: Vec<String> = query.split_whitespace().take(WORDS).map(str::to_lowercase).collect();
    if words.is_empty() {
        return (Vec::new(), false);
    }
    let mut found: Vec<(usize, Hit)> = Vec::new();
    for guide in all() {
        for section in &guide.sections {
            let head = format!("{} {}", guide.title, section.title).to_lowercase();
            let text = section.text.to_lowercase();
            if words.iter().all(|word| head.contains(word) || text.contains(word)) {
                let score = words.iter().map(|word| 10 * usize::from(head.contains(word)) + text.matches(word).count());
                found.push((score.sum(), Hit { guide, section, excerpt: excerpt(&section.text, &words) }));
            }
        }
    }
    // Of equal ones the first stays the first.
    found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    let more = found.len() > FOUND;
    (found.into_iter().take(FOUND).map(|(_, hit)| hit).collect(), more)
}

/// The part of a text around the first of the words in it.
fn excerpt(text: &str, words: &[String]) -> String {
    // Letters may be longer in small, so that places are counted in letters and not in bytes.
    let lower: Vec<char> = text.chars().map(|c| c.to_lowercase().next().unwrap_or(c)).collect();
    let place = |word: &String| {
        let word: Vec<char> = word.chars().collect();
        lower.windows(word.len().max(1)).position(|part| part == word)
    };
    let at = words.iter().filter_map(place).min().unwrap_or(0).saturating_sub(EXCERPT / 3);
    let mut part: String = text.chars().skip(at).take(EXCERPT).collect();
    if at > 0 {
        part.insert(0, '…');
    }
    if text.chars().count() > at + EXCERPT {
        part.push('…');
    }
    part
}

/// Makes a page of a text. What is HTML in it is text here.
fn read((name, path, about, text): Text) -> Guide {
    let sections = vec![Section::begin(String::new(), String::new(), false)];
    let mut page = PageWriter { path, sections, ..PageWriter::default() };
    let events: Vec<Event<'_>> = Parser::new_ext(text, Options::ENABLE_TABLES).collect();
    let mut at = 0;
    while let Some(event) = events.get(at) {
        at = match event {
            Event::Start(Tag::Heading { level, .. }) => page.heading(*level, &events, at),
            Event::Start(Tag::Image { dest_url, .. }) => page.image(dest_url, &events, at),
            // The head of a column that has no name is no head.
            Event::Start(Tag::TableCell) if page.in_head && matches!(events.get(at + 1), Some(Event::End(_))) => {
                page.made.push(markup("<td></td>"));
                at + 2
            }
            _ => {
                page.take(event);
                at + 1
            }
        };
    }
    let mut html = String::new();
    html::push_html(&mut html, page.made.into_iter());
    Guide { name, about, title: page.title, html: GuideHtml(html), sections: page.sections }
}

impl Section {
    fn begin(anchor: String, title: String, is_main: bool) -> Self {
        Self { anchor, title, is_main, text: String::new() }
    }
}

/// A page that is being made.
#[derive(Default)]
struct PageWriter<'a> {
    /// Where it stands: its links go on from there.
    path: &'static str,
    title: String,
    sections: Vec<Section>,
    made: Vec<Event<'a>>,
    /// For each link that is open: is it shown as one?
    links: Vec<bool>,
    /// Is it the head of a table that is being made?
    in_head: bool,
}

impl<'a> PageWriter<'a> {
    fn take(&mut self, event: &Event<'a>) {
        self.note(event);
        match event {
            Event::Start(Tag::TableHead) => self.in_head = true,
            Event::End(TagEnd::TableHead) => self.in_head = false,
            _ => {}
        }
        match event {
            // A comment is nobody's to read; everything else that looks like HTML is text.
            Event::Html(text) | Event::InlineHtml(text) if text.trim_start().starts_with("<!--") => {}
            Event::Html(text) | Event::InlineHtml(text) => self.made.push(Event::Text(text.clone())),
            Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => {}
            // A block that is wider than the window is scrolled, by keyboard too.
            Event::Start(Tag::CodeBlock(_)) => self.made.push(markup("<pre tabindex=\"0\"><code>")),
            Event::End(TagEnd::CodeBlock) => self.made.push(markup("</code></pre>\n")),
            Event::Start(Tag::Table(_)) => {
                self.made.push(markup("<div class=\"wide\" tabindex=\"0\">"));
                // Where its columns stand is the style sheet's matter.
                self.made.push(Event::Start(Tag::Table(Vec::new())));
            }
            Event::End(TagEnd::Table) => {
                self.made.push(event.clone());
                self.made.push(markup("</div>\n"));
            }
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                let shown = address(dest_url, self.path);
                self.links.push(shown.is_some());
                if let Some(shown) = shown {
                    let (title, id) = (title.clone(), id.clone());
                    self.made.push(Event::Start(Tag::Link {
                        link_type: *link_type,
                        dest_url: shown.into(),
                        title,
                        id,
                    }));
                }
            }
            Event::End(TagEnd::Link) => {
                if self.links.pop() == Some(true) {
                    self.made.push(event.clone());
                }
            }
            other => self.made.push(other.clone()),
        }
    }

    /// Keeps what can be searched.
    fn note(&mut self, event: &Event<'_>) {
        let Some(section) = self.sections.last_mut() else { return };
        match event {
            Event::Text(text) | Event::Code(text) => section.text.push_str(&text.replace('\n', " ")),
            Event::SoftBreak
            | Event::HardBreak
            | Event::End(TagEnd::Paragraph | TagEnd::TableCell | TagEnd::Item | TagEnd::CodeBlock) => {
                section.text.push(' ');
            }
            _ => {}
        }
    }

    /// A heading: the first one is the page's, every other one begins a section. Answers what stands behind it.
    fn heading(&mut self, level: HeadingLevel, events: &[Event<'a>], at: usize) -> usize {
        let end = end_of(events, at, |event| matches!(event, Event::End(TagEnd::Heading(_))));
        let title = plain(&events[at + 1..end]);
        if level == HeadingLevel::H1 {
            self.title = title;
            return end + 1;
        }
        let slug = slug(&title);
        let same = self.sections.iter().filter(|it| same_slug(&it.anchor, &slug)).count();
        let anchor = if same == 0 { format!("{ANCHOR}{slug}") } else { format!("{ANCHOR}{slug}-{same}") };
        self.sections.push(Section::begin(anchor.clone(), title, level == HeadingLevel::H2));
        self.made.push(Event::Start(Tag::Heading {
            level,
            id: Some(anchor.into()),
            classes: Vec::new(),
            attrs: Vec::new(),
        }));
        for event in &events[at + 1..=end] {
            if !matches!(event, Event::End(TagEnd::Heading(_))) {
                self.take(event);
            }
        }
        self.made.push(Event::End(TagEnd::Heading(level)));
        end + 1
    }

    /// A picture is not compiled in: what it shows is said.
    fn image(&mut self, _: &CowStr<'a>, events: &[Event<'a>], at: usize) -> usize {
        let end = end_of(events, at, |event| matches!(event, Event::End(TagEnd::Image)));
        let text = plain(&events[at + 1..end]);
        self.take(&Event::Text(format!("(A picture: {text}.)").into()));
        end + 1
    }
}

/// What the addresses of headings begin with, so that none of them is that of something else on the page.
const ANCHOR: &str = "s-";

fn same_slug(anchor: &str, slug: &str) -> bool {
    let rest = anchor.strip_prefix(ANCHOR).and_then(|anchor| anchor.strip_prefix(slug));
    rest.is_some_and(|rest| {
        rest.is_empty()
            || rest.strip_prefix('-').is_some_and(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// Where the thing ends that begins there.
fn end_of(events: &[Event<'_>], at: usize, is_end: impl Fn(&Event<'_>) -> bool) -> usize {
    events[at..].iter().position(is_end).map_or(events.len() - 1, |behind| at + behind)
}

/// The text of a few events.
fn plain(events: &[Event<'_>]) -> String {
    let text = |event: &Event<'_>| match event {
        Event::Text(text) | Event::Code(text) => text.to_string(),
        Event::SoftBreak | Event::HardBreak => " ".to_owned(),
        _ => String::new(),
    };
    events.iter().map(text).collect()
}

/// Markup of our own.
fn markup(text: &'static str) -> Event<'static> {
    Event::Html(text.into())
}

/// The address of a heading, as the places that show these pages elsewhere make it.
fn slug(title: &str) -> String {
    let letter = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || matches!(c, '-' | '_') => Some(c),
        _ => None,
    };
    title.to_lowercase().chars().filter_map(letter).collect()
}

/// Where a link of the page at this path leads; nowhere where it leads to a file that is not in this program.
fn address(link: &str, from: &str) -> Option<String> {
    if link.starts_with("https://") || link.starts_with("http://") {
        return Some(link.to_owned());
    }
    let (page, heading) = link.split_once('#').unwrap_or((link, ""));
    let heading = if heading.is_empty() { String::new() } else { format!("#{ANCHOR}{heading}") };
    if page.is_empty() {
        return Some(heading);
    }
    let page = page.strip_suffix(".md")?;
    let directory = from.rsplit_once('/').map(|(directory, _)| directory);
    let path = match (directory, page.strip_prefix("../")) {
        (None, None) => page.to_owned(),
        (Some(directory), None) => format!("{directory}/{page}"),
        // Pages stand one directory deep at most.
        (Some(_), Some(above)) => above.to_owned(),
        (None, Some(_)) => return None,
    };
    let (name, ..) = TEXTS.iter().find(|(_, known, ..)| *known == path)?;
    Some(format!("/console/guides/{}{heading}", utf8_percent_encode(name, NAME)))
}

/// What may stand in an address as it is.
const NAME: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC.remove(b'-');

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn made(text: &'static str) -> Guide {
        read(("x", "x", "y", text))
    }

    #[test]
    fn every_page_in_docs_is_a_guide() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        let pages = |directory: &str, before: &str| -> Vec<String> {
            let files = fs::read_dir(docs.join(directory)).unwrap().map(|file| file.unwrap().file_name());
            let names = files.filter_map(|name| Some(name.to_str()?.strip_suffix(".md")?.to_owned()));
            names.map(|name| format!("{before}{name}")).collect()
        };
        let files: BTreeSet<String> = pages("", "").into_iter().chain(pages("sign-in", "sign-in-")).collect();
        let guides: BTreeSet<String> = all().iter().map(|guide| guide.name.to_owned()).collect();
        assert_eq!(guides, files);
        assert!(all().iter().all(|guide| !guide.title.is_empty() && guide.html.0.len() > 200));
    }

    #[test]
    fn what_is_html_in_a_guide_is_text() {
        let guide = made(
            "# T\n\n<script>alert(1)</script>\n\na <b onclick=\"x\">bold</b> word <!-- note -->\n\n<!-- more -->\n",
        );
        let html = &guide.html.0;
        assert!(
            !html.contains("<script") && !html.contains("<b ") && !html.contains("note") && !html.contains("more"),
            "{html}"
        );
        assert!(html.contains("&lt;script&gt;") && html.contains("&lt;b onclick="), "{html}");
        let link = made("# T\n\n[a](javascript:alert(1)) [b](data:text/html,x) [c](../x.md)\n").html.0;
        assert!(!link.contains("href"), "{link}");
    }

    #[test]
    fn headings_have_addresses_and_links_lead_to_them() {
        let guide = made(
            "# T\n\n## What `*` means\n\n## Rules\n\n### Rules\n\nSee [it](#what--means), [tokens](tokens.md#rotate-it).\n",
        );
        let html = &guide.html.0;
        for part in ["id=\"s-what--means\"", "id=\"s-rules\"", "id=\"s-rules-1\"", "href=\"#s-what--means\""] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(html.contains("href=\"/console/guides/tokens#s-rotate-it\""), "{html}");
        assert_eq!(guide.title, "T");
        assert!(!html.contains("<h1"), "{html}");
    }

    #[test]
    fn the_head_of_a_column_without_a_name_is_none() {
        let html = made("# T\n\n| | b |\n| --- | ---: |\n| | 2 |\n").html.0;
        assert!(html.contains("<tr><td></td><th>b</th></tr>") && !html.contains("style="), "{html}");
        assert!(html.contains("<div class=\"wide\" tabindex=\"0\"><table>"), "{html}");
    }

    #[test]
    fn every_link_between_guides_leads_somewhere() {
        for guide in all() {
            for link in guide.html.0.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
                let (page, heading) = link.split_once('#').unwrap_or((link, ""));
                let Some(name) =
                    page.strip_prefix("/console/guides/").or_else(|| page.is_empty().then_some(guide.name))
                else {
                    assert!(page.starts_with("http"), "{}: {link}", guide.name);
                    continue;
                };
                let to = named(name).unwrap_or_else(|| panic!("{}: {link}", guide.name));
                let is_there = heading.is_empty() || to.sections.iter().any(|section| section.anchor == heading);
                assert!(is_there, "{}: {link}", guide.name);
            }
        }
    }

    #[test]
    fn a_search_finds_places_by_all_of_its_words() {
        let (hits, _) = search("rotate SECRET");
        assert!(hits.iter().any(|hit| hit.guide.name == "tokens" && hit.section.title.contains("Rotate")), "Rotate it");
        assert!(hits.iter().all(|hit| hit.excerpt.chars().count() <= EXCERPT + 2));
        assert!(search("word-that-no-guide-has").0.is_empty() && search("  ").0.is_empty());
        let (many, more) = search("token");
        assert_eq!((many.len(), more), (FOUND, true));
    }

    #[test]
    fn an_excerpt_is_cut_between_letters() {
        let text = "Ünïcode 名 ".repeat(60) + "needle İstanbul";
        let part = excerpt(&text, &["needle".to_owned()]);
        assert!(part.contains("needle") && part.starts_with('…'), "{part}");
    }
}
