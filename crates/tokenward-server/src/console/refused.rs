//! What was refused of a form, in a box at the top of the page: focused, with a link to each field.
//!
//! Each field of a page says itself what is wrong with it, and a line at the top what is wrong with the whole. The box is made of
//! just that, when the page is there: so no form can forget it, and it says nothing that the page does not.

/// What the page of a form says of a field: the beginning of its line, which has the id of the field behind it.
const FIELD: &str = "<p class=\"error\" id=\"";
/// What stands behind that id.
const BEHIND: &str = "-error\">";
/// The line about the whole, as all templates have it.
const WHOLE: &str = "<p class=\"notice bad\" role=\"alert\">";
/// A box that a template has made itself.
const BOX: &str = "class=\"notice bad refused\"";

/// The page with the box, where something was refused in it. All of it is escaped already.
pub(super) fn with_box(mut html: String) -> String {
    let fields = faults(&html);
    // Who is outside has not saved anything, and one line says it all.
    let inside = html.contains("<body class=\"inside\">");
    if html.contains(BOX) || (fields.is_empty() && !inside) {
        return html;
    }
    let whole = take_whole(&mut html);
    let Some(place) = start_of_content(&html).filter(|_| whole.is_some() || !fields.is_empty()) else { return html };
    let (icon, whole) = whole.unwrap_or_default();
    let count = fields.len() + usize::from(!whole.is_empty());
    let things = if count == 1 { "1 thing".to_owned() } else { format!("{count} things") };
    let mut shown = format!(
        "\n<div {BOX} role=\"alert\" tabindex=\"-1\" autofocus>{icon}<div><p><b>Not saved.</b> {things} to put right:</p><ul>"
    );
    if !whole.is_empty() {
        shown.push_str(&format!("<li>{whole}</li>"));
    }
    for (field, text) in &fields {
        let to = if html.contains(&format!(" id=\"{field}\"")) { field.clone() } else { format!("{field}-error") };
        shown.push_str(&format!("<li><a href=\"#{to}\">{}</a>: {text}</li>", label(&html, field)));
    }
    shown.push_str("</ul></div></div>");
    html.insert_str(place, &shown);
    html
}

/// The fields that are wrong, by their ids, and why.
fn faults(html: &str) -> Vec<(String, String)> {
    let fault = |rest: &str| {
        let (field, rest) = rest.split_once(BEHIND)?;
        let (text, _) = rest.split_once("</p>")?;
        (!field.contains('"')).then(|| (field.to_owned(), text.to_owned()))
    };
    html.split(FIELD).skip(1).filter_map(fault).collect()
}

/// Takes the line about the whole out of the page: its icon and its text.
fn take_whole(html: &mut String) -> Option<(String, String)> {
    let start = html.find(WHOLE)?;
    let end = start + html[start..].find("</p>")? + "</p>".len();
    let line = &html[start + WHOLE.len()..end];
    let (icon, rest) = line.split_once("<span>")?;
    let text = rest.strip_suffix("</span></p>")?;
    let taken = (icon.to_owned(), text.to_owned());
    html.replace_range(start..end, "");
    Some(taken)
}

/// Behind the tag with which the content begins.
fn start_of_content(html: &str) -> Option<usize> {
    let main = html.find("<main id=\"main\"")?;
    Some(main + html[main..].find('>')? + 1)
}

/// What a field is called for people: by its label, or by what the group is called that it stands in.
fn label(html: &str, field: &str) -> String {
    let of_label = html.split_once(&format!("<label for=\"{field}\">")).map(|(_, rest)| rest);
    let of_group = || {
        let (before, _) = html.split_once(&format!("{FIELD}{field}{BEHIND}"))?;
        let (_, group) = before.rsplit_once("<fieldset").filter(|(_, group)| !group.contains("</fieldset>"))?;
        group.split_once("<legend").and_then(|(_, rest)| rest.split_once('>')).map(|(_, rest)| rest)
    };
    let text = of_label.or_else(of_group).and_then(|rest| rest.split('<').next());
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    text.map_or_else(|| field.replace(['_', '-'], " "), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::view::samples;

    #[test]
    fn every_page_with_a_refused_field_gets_a_box_that_names_it() {
        let mut seen = 0;
        for (name, html) in samples::pages() {
            let refused = faults(&html);
            let shown = with_box(html.clone());
            if refused.is_empty() {
                continue;
            }
            seen += 1;
            assert_eq!(shown.matches(BOX).count(), 1, "{name}");
            let (before, rest) = shown.split_once(BOX).unwrap();
            assert!(
                before.trim_end().ends_with("<div") && !before.contains("<form method=\"post\" action=\"/console"),
                "{name}"
            );
            let listed = rest.split_once("</ul>").unwrap().0;
            for (field, text) in &refused {
                // The editor of roles makes its own box, which names lines of a field.
                assert!(listed.contains(text) || html.contains(BOX), "{name}: {field}");
            }
            for link in listed.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
                assert!(shown.contains(&format!(" id=\"{link}\"")), "{name}: {link}");
            }
            assert_eq!(with_box(shown.clone()), shown, "once is enough: {name}");
        }
        assert!(seen >= 8, "{seen} pages");
    }

    #[test]
    fn what_is_wrong_with_the_whole_moves_into_the_box() {
        let page = "<body class=\"inside\"><main id=\"main\"><h1>X</h1><p class=\"notice bad\" role=\"alert\"><svg/><span>Taken &#60;b&#62;.</span></p>\
                    <label for=\"name\">Name <i>x</i></label><input id=\"name\"><p class=\"error\" id=\"name-error\">Is empty.</p></main>";
        let shown = with_box(page.to_owned());
        assert!(shown.contains("2 things to put right:</p><ul><li>Taken &#60;b&#62;.</li><li><a href=\"#name\">Name</a>: Is empty.</li>"), "{shown}");
        assert_eq!(shown.matches("Taken").count(), 1, "{shown}");
        let group = "<body class=\"inside\"><main id=\"main\"><fieldset><legend>When does it end?</legend><p class=\"error\" id=\"expires-error\">Choose.</p></fieldset></main>";
        let shown = with_box(group.to_owned());
        assert!(shown.contains("<a href=\"#expires-error\">When does it end?</a>: Choose."), "{shown}");
        let fine = "<body class=\"inside\"><main id=\"main\"><h1>X</h1></main>";
        assert_eq!(with_box(fine.to_owned()), fine);
        let outside = "<body class=\"gate\"><main id=\"main\"><p class=\"notice bad\" role=\"alert\"><svg/><span>No.</span></p></main>";
        assert_eq!(with_box(outside.to_owned()), outside);
    }
}
