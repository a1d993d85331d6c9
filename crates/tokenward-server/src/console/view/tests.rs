//! Every page with sample data: it renders, escapes, and keeps to the content security policy.

use std::fs;
use std::path::Path;

use super::samples::{self, NASTY};

/// The pages as a browser without a server can show them: the assets beside them.
fn write(dir: &Path, pages: &[(String, String)]) {
    let assets = dir.join("assets");
    fs::create_dir_all(&assets).unwrap();
    for asset in crate::console::assets::ALL {
        fs::write(assets.join(asset.name), asset.bytes).unwrap();
    }
    for (name, html) in pages {
        fs::write(dir.join(format!("{name}.html")), html.replace("\"/assets/", "\"assets/")).unwrap();
    }
}

#[test]
fn every_page_renders() {
    let pages = samples::pages();
    for (name, html) in &pages {
        assert!(html.starts_with("<!doctype html>"), "{name}");
        assert!(html.contains("<html lang=\"en\">") && html.contains("<main id=\"main\""), "{name}");
        assert_eq!(html.matches("<h1").count(), 1, "{name} has one heading of the first level");
        let (head, _) = html.split_once("</head>").unwrap();
        assert_eq!(head.matches("<title>").count(), 1, "{name}");
    }
    // For looking at them: CONSOLE_PAGES=/tmp/pages cargo test -p tokenward-server --lib every_page
    if let Some(dir) = std::env::var_os("CONSOLE_PAGES") {
        write(Path::new(&dir), &pages);
    }
}

/// What of them is different is read before it is accepted (`CONTRIBUTING.md`).
#[test]
fn pages_that_were_read_whole_are_still_the_same() {
    let pages = samples::pages();
    for name in ["error", "error-inside", "tokens-empty", "members", "roles", "apis-empty"] {
        let (_, html) = pages.iter().find(|(known, _)| known == name).unwrap();
        let (_, main) = html.split_once("<main").unwrap();
        let main = format!("<main{}</main>", main.split("</main>").next().unwrap());
        // Whatever the files that a page names are like.
        let assets = crate::console::assets::ALL;
        insta::assert_snapshot!(name, assets.iter().fold(main, |main, it| main.replace(&it.version(), "VERSION")));
    }
}

#[test]
fn names_cannot_carry_markup() {
    assert_eq!(NASTY, "<script>alert(1)</script>");
    let mut seen = 0;
    for (name, html) in samples::pages() {
        assert!(!html.contains("<script>"), "{name}");
        assert!(!html.contains("<img src=x"), "{name}");
        seen += usize::from(html.contains("&#60;script&#62;alert(1)&#60;/script&#62;"));
    }
    assert!(seen >= 3, "the token is shown escaped on its list, its page and its deletion: {seen}");
}

/// All start tags of a page.
fn tags(html: &str) -> impl Iterator<Item = &str> {
    html.split('<')
        .skip(1)
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()))
        .map(|rest| rest.split_once('>').map_or(rest, |(tag, _)| tag))
}

/// The names of the attributes of a start tag.
fn attributes(tag: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = tag.split_once(|c: char| c.is_whitespace()).map_or("", |(_, rest)| rest).trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(rest.len());
        names.push(rest[..end].to_ascii_lowercase());
        rest = rest[end..].trim_start();
        if let Some(value) = rest.strip_prefix('=') {
            let value = value.strip_prefix('"').expect("every value is in double quotes");
            rest = value.split_once('"').expect("every quote is closed").1.trim_start();
        }
    }
    names
}

#[test]
fn pages_keep_to_the_content_security_policy() {
    for (name, html) in samples::pages() {
        for tag in tags(&html) {
            let attributes = attributes(tag);
            assert!(!attributes.iter().any(|a| a == "style" || a.starts_with("on")), "{name}: <{tag}>");
            assert!(!tag.starts_with("style"), "{name} has a style element");
            assert!(!tag.starts_with("script") || attributes.iter().any(|a| a == "src"), "{name}: <{tag}>");
            assert!(!tag.contains("javascript:"), "{name}: <{tag}>");
            for attribute in ["src", "action"] {
                // A picture may stand in the page itself.
                let inside = attribute == "src" && tag.starts_with("img");
                let own = value(tag, attribute).is_none_or(|path| {
                    (path.starts_with('/') && !path.starts_with("//")) || (inside && path.starts_with("data:image/"))
                });
                assert!(own, "{name}: <{tag}>");
            }
        }
    }
}

#[test]
fn no_template_marks_text_as_safe_or_carries_style_or_script() {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let mut seen = 0;
    for entry in fs::read_dir(templates).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for banned in ["|safe", "| safe", "escape none", "autoescape", " style=", "<style", "<script>", "javascript:"] {
            assert!(!text.contains(banned), "{}: {banned}", path.display());
        }
        for tag in tags(&text).filter(|tag| !tag.contains("{%") && !tag.contains("{{")) {
            assert!(!attributes(tag).iter().any(|name| name.starts_with("on")), "{}: <{tag}>", path.display());
        }
        seen += 1;
    }
    assert!(seen > 30);
}

/// The forms of a page: the start tag of each, and those of its fields and buttons. A browser takes these in the order of the document,
/// wherever they stand.
fn forms(html: &str) -> Vec<(&str, Vec<&str>)> {
    let (mut forms, mut fields, mut inside) = (Vec::new(), Vec::new(), None);
    let all = html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default());
    for (at, tag) in all.enumerate() {
        match tag.split_whitespace().next().unwrap_or_default() {
            "form" => {
                let id = value(tag, "id").map_or_else(|| at.to_string(), str::to_owned);
                inside = Some(id.clone());
                forms.push((id, tag));
            }
            "/form" => inside = None,
            "input" | "select" | "textarea" | "button" => {
                let owner = value(tag, "form").map(str::to_owned).or_else(|| inside.clone());
                fields.extend(owner.map(|owner| (owner, tag)));
            }
            _ => {}
        }
    }
    let own = |id: &str| fields.iter().filter(|(owner, _)| owner == id).map(|(_, tag)| *tag).collect();
    forms.iter().map(|(id, tag)| (*tag, own(id))).collect()
}

#[test]
fn every_form_that_changes_something_begins_with_the_csrf_token() {
    for (name, html) in samples::pages() {
        // The server takes no form of which anything comes before the token.
        for (form, fields) in forms(&html) {
            if value(form, "method") == Some("post") {
                let first = fields.first().copied().unwrap_or_default();
                assert_eq!(
                    (value(first, "name"), value(first, "value")),
                    (Some("csrf"), Some("c5rf")),
                    "{name}: <{form}>"
                );
            } else {
                assert!(
                    value(form, "method") == Some("get") && !fields.iter().any(|tag| tag.contains("c5rf")),
                    "{name}: <{form}>"
                );
            }
        }
    }
}

#[test]
fn enter_presses_the_button_that_a_form_is_for() {
    let mut seen = 0;
    for (name, html) in samples::pages() {
        for (form, fields) in forms(&html) {
            let sends = |tag: &&str| tag.starts_with("button") && value(tag, "type").is_none_or(|it| it == "submit");
            let buttons: Vec<&str> = fields.into_iter().filter(sends).collect();
            if let [first, _, ..] = buttons[..] {
                seen += 1;
                let looks = ["try", "replay", "preview", "refuse"].contains(&value(first, "value").unwrap_or_default());
                assert!(!looks && !first.contains("formnovalidate"), "{name}: <{form}> begins with <{first}>");
            }
        }
    }
    assert!(seen >= 5, "{seen} forms with several buttons");
}

/// What an attribute of a start tag says.
fn value<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    tag.split_once(&format!(" {name}=\"")).map(|(_, rest)| rest.split('"').next().unwrap())
}

#[test]
fn ids_are_unique_and_every_reference_to_one_holds() {
    for (name, html) in samples::pages() {
        let mut ids: Vec<&str> = tags(&html).filter_map(|tag| value(tag, "id")).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "{name} has an id twice");
        for tag in tags(&html) {
            for attribute in ["for", "aria-describedby", "aria-labelledby", "data-copy", "data-filter", "popovertarget"]
            {
                for id in value(tag, attribute).into_iter().flat_map(str::split_whitespace) {
                    assert!(ids.contains(&id), "{name}: {attribute}=\"{id}\" of <{tag}>");
                }
            }
        }
    }
}

#[test]
fn every_input_has_a_name_for_screen_readers() {
    for (name, html) in samples::pages() {
        let labelled: Vec<&str> = tags(&html).filter_map(|tag| value(tag, "for")).collect();
        for (at, _) in
            html.match_indices("<input").chain(html.match_indices("<select")).chain(html.match_indices("<textarea"))
        {
            let tag = html[at + 1..].split('>').next().unwrap();
            let inside_label = html[..at].rfind("<label").is_some_and(|open| !html[open..at].contains("</label>"));
            let named = value(tag, "id").is_some_and(|id| labelled.contains(&id));
            assert!(
                tag.contains("type=\"hidden\"") || tag.contains("aria-label=") || inside_label || named,
                "{name}: <{tag}>"
            );
        }
        for tag in tags(&html).filter(|tag| tag.starts_with("img")) {
            assert!(value(tag, "alt").is_some(), "{name}: <{tag}>");
        }
    }
}

#[test]
fn every_text_that_can_be_typed_has_a_limit() {
    let mut seen = 0;
    for (name, html) in samples::pages() {
        for tag in tags(&html).filter(|tag| tag.starts_with("input") || tag.starts_with("textarea")) {
            let kind = value(tag, "type").unwrap_or("text");
            if ["text", "search", "email", "url", "password", "tel"].contains(&kind) {
                let most = value(tag, "maxlength").and_then(|most| most.parse::<u64>().ok());
                assert!(most.is_some_and(|most| most > 0), "{name}: <{tag}>");
                seen += 1;
            } else {
                // What is chosen and not typed; a script reads a file into a field that has a limit.
                assert!(["hidden", "checkbox", "radio", "date", "file"].contains(&kind), "{name}: <{tag}>");
            }
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn a_password_is_never_sent_back() {
    for (name, html) in samples::pages() {
        assert!(!html.contains("correct horse"), "{name}");
    }
}

#[test]
fn the_text_of_a_token_is_not_in_debug_output() {
    let text = format!("{:?} {:?}", samples::token_created(), samples::invitation_created());
    assert!(text.contains("ci-preview") && !text.contains(samples::SECRET) && !text.contains("https://"), "{text}");
}
