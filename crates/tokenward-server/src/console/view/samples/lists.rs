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

/// What narrows a list of tokens besides; so many of it do.
pub(super) fn more_filters(active: usize) -> TokenFilters {
    let text = |name, label, placeholder| FilterText { name, label, placeholder, value: String::new() };
    TokenFilters {
        choices: vec![
            FilterChoice { name: "role", label: "Role", choices: vec![choice("Any role", true), choice(NASTY, false)] },
            FilterChoice { name: "restricted", label: "Restrictions", choices: choices(&["Any", "Restricted"]) },
        ],
        texts: vec![
            FilterText { value: NASTY.into(), ..text("owner", "Owner", "E-mail address, or an id") },
            text("label", "Labels", "team=shop, nightly"),
        ],
        days: vec![text("ends_from", "Ends from", ""), text("ends_to", "Ends until", "")],
        active,
        without: "?filter=soon".into(),
    }
}

/// The list of policy tokens, and what its owner is asked about one.
pub(super) fn policy_tokens(page: &mut impl FnMut(&str, &dyn askama::DynTemplate)) {
    let some = TokensPage {
        path: "policy-tokens",
        policies: true,
        may_see_policies: false,
        limits: Vec::new(),
        ..tokens_page()
    };
    page("policy-tokens", &some);
    let narrowed = TokensPage { tokens: Vec::new(), matching: 0, more: more_filters(2), ..some.clone() };
    page("policy-tokens-narrowed", &narrowed);
    page("policy-tokens-empty", &TokensPage { tokens: Vec::new(), total: 0, warning: None, ..some });
    let asked = PolicyTokenAttestPage {
        shell: shell(Nav::Tokens),
        token: tokens().remove(0),
        attest: Some("Its owner is asked to say so by 8 Dec 2026.".into()),
        may_manage: true,
    };
    page("policy-token-attest", &asked);
    page("policy-token-attest-own", &PolicyTokenAttestPage { attest: None, may_manage: false, ..asked });
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
