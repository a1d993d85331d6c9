//! Lists that are sorted by their heads, with samples.

use super::*;

/// How a list with these columns is sorted: by the first.
pub(super) fn frame(labels: &[&str]) -> ListFrame {
    let head = |label: &&str| SortHead {
        label: (*label).into(),
        href: "?sort=x".into(),
        direction: (*label == labels[0]).then(|| "ascending".into()),
        class: match *label {
            "Created" => "opt",
            "Joined" => "opt roomy",
            _ => "",
        },
    };
    ListFrame {
        heads: labels.iter().map(head).collect(),
        name: if labels[0] == "E-mail" { "invited_sort" } else { "sort" },
        path: format!("/console/{}/list", id(1)),
        orders: labels.iter().map(|label| choice(label, *label == labels[0])).collect(),
        kept: vec![("q".into(), NASTY.into())],
        pager: Pager { newer: Some("?before=list.1.name.YQ.2".into()), older: Some("?after=list.1.name.YQ.3".into()) },
    }
}

pub(super) fn pages(pages: &mut Vec<(String, String)>) {
    let mut page = |name: &str, page: &dyn askama::DynTemplate| pages.push((name.into(), page.dyn_render().unwrap()));
    let some = ClustersPage {
        shell: shell(Nav::Clusters),
        clusters: clusters(),
        list: frame(&["Name", "Provider", "Region", "Changed"]),
        may_create: true,
    };
    page("clusters", &some);
    page("clusters-empty", &ClustersPage { clusters: Vec::new(), list: ListFrame::default(), ..some });
    let partner = ApiRow {
        name: "partner".into(),
        routes: "112".into(),
        unknown_route: UnknownRoute::Allow,
        updated: moment(-HOUR),
    };
    let some = ApisPage {
        shell: shell(Nav::Apis),
        apis: api_page().api.into_iter().chain([partner]).collect(),
        list: frame(&["Name", "Routes", "Unknown routes", "Changed"]),
        may_manage: true,
    };
    page("apis", &some);
    page("apis-empty", &ApisPage { apis: Vec::new(), list: ListFrame::default(), ..some });
}
