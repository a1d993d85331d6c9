//! Pages about use, with samples.

use super::*;

/// A month of use.
pub(super) fn bars(height: usize) -> Bars {
    let days: Vec<(i64, i64)> = (0..30).map(|n: i64| (n * n % 37 * 11, if n % 9 == 4 { 40 } else { n % 3 })).collect();
    let top = Bars::top(&days);
    Bars::new(&days, top, height)
}

pub(super) fn granted() -> GrantedView {
    GrantedView {
        used: vec![("invoices:read".into(), "2026-11-24".into(), 1), ("orders:read".into(), "2026-11-20".into(), 12)],
        unused: vec!["refunds:write".into(), NASTY.into()],
        gone: vec!["users:read".into()],
        since: "2026-11-01".into(),
        days: 30,
        other: (90, "?days=90".into()),
        make: Some("/console/x/roles/new?only=invoices%3Aread".into()),
    }
}

pub(super) fn boxes() -> Vec<ApiPermissionRow> {
    let cell = |noun: &str, verb: &str, n: usize| ApiVerbCell {
        value: format!("{noun}:{verb}"),
        label: if verb == "*" { "everything".into() } else { verb.into() },
        routes: format!("{n} routes"),
        held: n.is_multiple_of(2),
        saved: n.is_multiple_of(3),
    };
    let row = |noun: &str, verbs: &[&str]| ApiPermissionRow {
        noun: noun.into(),
        verbs: std::iter::once("*").chain(verbs.iter().copied()).enumerate().map(|(n, it)| cell(noun, it, n)).collect(),
    };
    vec![
        row("invoices", &["read", "write", "pay"]),
        row("a-noun-of-thirty-one-characters", &["read"]),
        row(NASTY, &["write"]),
    ]
}

pub(super) fn unknown() -> Vec<OtherPermission> {
    let one = |permission: &str, meant: Option<&str>| OtherPermission {
        permission: permission.into(),
        meant: meant.map(str::to_owned),
    };
    vec![one("invoices:wrte", Some("invoices:write")), one(NASTY, None)]
}

fn role_page() -> RolePage {
    let holder = |n: u32, name: &str| HolderLink { id: id(n), name: name.into() };
    RolePage {
        shell: shell(Nav::Roles),
        id: id(60),
        name: "Deployer (staging)".into(),
        description: NASTY.into(),
        api: vec!["lake:*".into(), "models:read".into(), "invoices:wrte".into()],
        unknown: unknown(),
        own: vec![("event:read".into(), "Read the audit log.".into())],
        projects: vec!["web-shop: Deploy in Staging".into()],
        clusters: vec!["sees all 4".into(), "lab: Create Environment".into()],
        tokens: Some((vec![holder(10, "airflow-prod"), holder(11, NASTY)], true)),
        policy_tokens: Some((vec![holder(12, "shop-preview")], false)),
        members: Some(Vec::new()),
        granted: Some(granted()),
        trial: Some(role_trial()),
        may_edit: true,
    }
}

fn protect_page(with: &str) -> ProtectPage {
    let chip = |label: &str| Chip { label: label.into(), href: "?".into(), count: None, current: label == with };
    ProtectPage {
        shell: shell(Nav::Tokens),
        ways: ["nginx", "Caddy", "Envoy", "Your service"].map(chip).to_vec(),
        with: with.into(),
        apis: vec![choice("shop", true), choice(NASTY, false)],
        api: Some("shop".into()),
        snippets: vec![
            Snippet {
                id: "nginx",
                title: "tokenward.conf".into(),
                text: format!("# {NASTY}\nupstream tokenward {{}}"),
            },
            Snippet { id: "run", title: "Run it".into(), text: "nginx -c tokenward.conf".into() },
        ],
        secure: true,
        public_url: URL.into(),
        token: Some((id(10), NASTY.into())),
        first: Some(None),
        may_import: true,
    }
}

fn overview_page() -> OverviewPage {
    let parts = |all: &[(&str, i64)]| {
        PartRow::rows(all.iter().map(|(label, n)| ((*label).into(), Some("?".into()), *n)).collect(), |n| n.to_string())
    };
    OverviewPage {
        shell: shell(Nav::Overview),
        uses: bars(100),
        sums: ("18,204".into(), "412".into()),
        top: "396".into(),
        since: "2026-10-26".into(),
        reasons: parts(&[("Permission denied", 311), ("Expired", 92), ("Malformed", 9)]),
        ends: vec![
            EndMark { id: id(10), name: "ci-deploys".into(), ends: moment(6 * DAY), x: 60 },
            EndMark { id: id(11), name: NASTY.into(), ends: moment(61 * DAY), x: 610 },
        ],
        ending: 14,
        roles: parts(&[("DevOps", 21), (NASTY, 12), ("Viewer", 3), ("3 other roles", 4)]),
        ages: parts(&[("today", 31), ("in 7 days", 12), ("in 30 days", 0), ("in 90 days", 2), ("never", 5)]),
        tokens: 50,
        changes: Some(events_page().events),
        limits: vec!["“ci” makes nearly as many tokens a minute as one credential may.".into()],
    }
}

pub(super) fn pages(pages: &mut Vec<(String, String)>) {
    let mut page = |name: &str, page: &dyn askama::DynTemplate| pages.push((name.into(), page.dyn_render().unwrap()));
    page("decisions-narrowed", &DecisionsPage { decisions: Vec::new(), ..decisions_page() });
    page("role", &role_page());
    page(
        "role-bare",
        &RolePage {
            api: Vec::new(),
            unknown: Vec::new(),
            own: Vec::new(),
            projects: Vec::new(),
            clusters: vec!["there is none".into()],
            tokens: None,
            policy_tokens: None,
            granted: None,
            trial: None,
            may_edit: false,
            ..role_page()
        },
    );
    page("protect", &protect_page("nginx"));
    let first = FirstRequest {
        asked: format!("GET /{NASTY}"),
        token: NASTY.into(),
        allowed: true,
        outcome: "allowed".into(),
        at: moment(-2 * MINUTE),
    };
    page(
        "protect-came",
        &ProtectPage {
            first: Some(Some(first)),
            api: None,
            apis: Vec::new(),
            token: None,
            ..protect_page("Your service")
        },
    );
    page("overview", &overview_page());
    let empty = OverviewPage {
        uses: Bars::new(&[(0, 0); 30], 0, 100),
        sums: ("0".into(), "0".into()),
        top: "0".into(),
        reasons: Vec::new(),
        ends: Vec::new(),
        ending: 0,
        roles: Vec::new(),
        ages: Vec::new(),
        tokens: 0,
        changes: None,
        ..overview_page()
    };
    page("overview-empty", &empty);
}
