//! Sample data for the tests of the pages, and for looking at them.

use askama::Template;
use serde_json::json;
use tokenward_core::event::Kind;
use tokenward_core::network::{Network, NotedNetwork};
use tokenward_core::permission::Management;
use tokenward_core::role::{BuiltIn, Mode};
use tokenward_core::time::{DAY, HOUR, MINUTE, Micros, SECOND, Time};

use super::*;
use tokenward_core::password::rule as password_rule;

mod account;
mod command_line;
mod guides;
mod insight;
mod lists;
mod pages;
mod passkeys;
mod second_factor;

use command_line::command_line;
use guides::guides;
pub use pages::pages;
use passkeys::{own_passkeys, passkeys};

/// A name that must never work as markup.
pub const NASTY: &str = "<script>alert(1)</script>";
/// The text of a token that exists nowhere.
pub const SECRET: &str = "twd_8f2KqLw0ZxV7bN4tYrC1sDhJ5mPaGe3u9QkTnR";
const NOW: Time = Time(1_795_562_400_000_000);
const URL: &str = "https://tokens.acme.example";

fn moment(from_now: Micros) -> Moment {
    Moment::new(NOW.plus(from_now), NOW)
}

fn id(n: u32) -> String {
    format!("0193614c-2a00-7c41-9f3a-{n:012x}")
}

/// The password again.
fn proof_fields() -> Option<ProofFields> {
    Some(ProofFields { password: Some(FormField::default()), code: None })
}

fn organization(n: u32, name: &str, role: &str) -> OrganizationLink {
    OrganizationLink { id: id(n), name: name.into(), role: role.into() }
}

pub fn shell(active: Nav) -> Shell {
    let entry = |nav, count| NavigationEntry { nav, count };
    Shell {
        public_url: URL.into(),
        organization: Some(organization(1, "Acme", "Owner")),
        organizations: vec![organization(1, "Acme", "Owner"), organization(2, "Acme Labs", "DevOps")],
        may_create_organization: true,
        user_name: "Acme Owner".into(),
        user_email: "owner@acme.example".into(),
        active,
        entries: vec![
            entry(Nav::Tokens, Some(6)),
            entry(Nav::Members, Some(3)),
            entry(Nav::Roles, Some(8)),
            entry(Nav::Apis, None),
            entry(Nav::Projects, Some(2)),
            entry(Nav::Clusters, Some(2)),
            entry(Nav::Overview, None),
            entry(Nav::Decisions, None),
            entry(Nav::Events, None),
            entry(Nav::Nodes, None),
            entry(Nav::Settings, None),
        ],
        csrf: "c5rf".into(),
        flash: None,
        refused_from: None,
        by_link_until: None,
    }
}

fn flash(active: Nav, kind: FlashKind, text: &str) -> Shell {
    Shell { flash: Some(Flash { kind, text: text.into() }), ..shell(active) }
}

fn role(name: &str) -> RoleTag {
    RoleTag { id: id(500), name: name.into(), powerful: matches!(name, "Owner" | "Admin") }
}

fn used(ago: Micros, from: &str, agent: &str) -> Option<LastUsed> {
    Some(LastUsed { at: moment(-ago), from: Some(from.into()), agent: Some(agent.into()) })
}

fn token(n: u32, name: &str, description: &str, four: &str, role_name: &str) -> TokenRow {
    TokenRow {
        id: id(n),
        name: name.into(),
        description: (!description.is_empty()).then(|| description.into()),
        hint: format!("twd_…{four}"),
        role: role(role_name),
        creator: Some("owner@acme.example".into()),
        owner: Some("owner@acme.example".into()),
        labels: String::new(),
        owner_left: n == 13,
        attestation: (n == 11).then_some("Still needed?"),
        reused: (n == 14).then(|| moment(-5 * MINUTE)),
        brownout: (n == 12).then(|| moment(HOUR)),
        created: moment(-40 * DAY),
        expires: None,
        state: TokenState::Active,
        last_used: None,
    }
}

fn tokens() -> Vec<TokenRow> {
    vec![
        TokenRow {
            last_used: used(3 * HOUR, "10.2.0.9", "curl/8.9"),
            ..token(10, NASTY, "\"><img src=x>", "0aZq", "Viewer")
        },
        TokenRow {
            created: moment(-2 * DAY),
            expires: Some(moment(88 * DAY)),
            ..token(11, "billing-export", "Monthly invoices", "Zz81", "Billing")
        },
        TokenRow {
            last_used: used(26 * HOUR, "10.2.0.30", "Grafana/11.2"),
            expires: Some(moment(200 * DAY)),
            ..token(12, "grafana-reader", "Dashboards", "Lm2e", "Viewer")
        },
        TokenRow {
            state: TokenState::Expired,
            expires: Some(moment(-7 * DAY)),
            creator: None,
            last_used: used(97 * DAY, "10.1.7.2", "Jenkins"),
            ..token(13, "old-jenkins", "", "a0Td", "DevOps")
        },
        TokenRow {
            state: TokenState::Soon("6 days left".into()),
            expires: Some(moment(6 * DAY + HOUR)),
            creator: Some("devops@acme.example".into()),
            last_used: used(4 * MINUTE, "140.82.115.9", "CLI 1.7.9"),
            ..token(
                14,
                "staging-deploys",
                "GitHub Actions, web-shop; deploys each merge to main and cleans up previews afterwards",
                "9uPa",
                "Deployer (staging)",
            )
        },
        TokenRow {
            last_used: used(2 * MINUTE, "10.2.0.14", "Terraform 1.9"),
            ..token(15, "terraform-prod", "Plans and applies from the infra repository", "k3Qz", "Admin")
        },
    ]
}

fn chips(current: usize) -> Vec<Chip> {
    [("All", Some("6")), ("Expiring", Some("1")), ("Unused for 90 days", Some("1")), ("Ended", None)]
        .into_iter()
        .enumerate()
        .map(|(at, (label, count))| Chip {
            label: label.into(),
            href: format!("?filter={at}"),
            count: count.map(Into::into),
            current: at == current,
        })
        .collect()
}

fn tokens_page() -> TokensPage {
    TokensPage {
        shell: shell(Nav::Tokens),
        path: "tokens",
        policies: false,
        tokens: tokens(),
        pictures: tokens().into_iter().take(3).map(|it| (it.id, insight::bars(20))).collect(),
        total: 6,
        matching: 6,
        list: lists::frame(&["Name", "Role", "Created", "Last used", "Expires"]),
        sort: String::new(),
        error: None,
        search: String::new(),
        filter: String::new(),
        chips: chips(0),
        more: lists::more_filters(0),
        may_see_policies: true,
        may_create: true,
        may_delete: true,
        shows_last_used: true,
        limits: vec!["800001 of 1000000 tokens live (limit `max_tokens`): 199999 more can be made.".into()],
        warning: Some((
            "?filter=soon&sort=ends".into(),
            "“staging-deploys” is in use and ends soon: 6 days left.".into(),
        )),
    }
}

fn role_choices(chosen: &str) -> RoleChoices {
    let choice = |role: BuiltIn, points: &[&str]| RoleChoice {
        id: role.as_str().into(),
        name: match role {
            BuiltIn::DevOps => "DevOps".into(),
            other => {
                let mut name = other.as_str().to_owned();
                name[..1].make_ascii_uppercase();
                name
            }
        },
        meaning: role.meaning().into(),
        points: points.iter().map(|point| (*point).into()).collect(),
        refused: None,
    };
    RoleChoices {
        chosen: chosen.into(),
        built_in: vec![
            RoleChoice { refused: Some("More than you can do yourself.".into()), ..choice(BuiltIn::Admin, &[]) },
            choice(
                BuiltIn::DevOps,
                &[
                    "Your API: everything",
                    "Create and delete API tokens",
                    "Clusters, projects, environments and variables",
                ],
            ),
            choice(BuiltIn::Billing, &[]),
            choice(
                BuiltIn::Viewer,
                &["Your API: whatever ends in :read", "Sees tokens, members, roles, projects and clusters"],
            ),
            choice(BuiltIn::Verifier, &[]),
        ],
        custom: vec![RoleChoice {
            id: "deployer".into(),
            name: "Deployer (staging)".into(),
            meaning: "Deploys the staging environments of web-shop.".into(),
            points: vec![
                "web-shop: Deploy in Staging, Read-Only in Production".into(),
                "eu-prod: Create Environment".into(),
                "Your API: invoices:read, orders:*".into(),
            ],
            refused: None,
        }],
        error: None,
    }
}

fn expiry(chosen: &str) -> Expiry {
    let preset = |days: i64, label: &str| ExpiryPreset {
        value: format!("{days}d"),
        label: label.into(),
        until: moment(days * DAY).date,
    };
    Expiry {
        chosen: chosen.into(),
        kept: None,
        presets: vec![preset(30, "30 days"), preset(90, "90 days"), preset(365, "1 year")],
        never: true,
        policy: None,
        date: FormField::default(),
        first_day: "2026-11-25".into(),
    }
}

pub fn token_created() -> TokenCreatedPage {
    TokenCreatedPage {
        list: "tokens",
        shell: shell(Nav::Tokens),
        id: id(20),
        name: "ci-preview".into(),
        secret: SECRET.into(),
        role: role("Deployer (staging)"),
        expires: Some(moment(90 * DAY)),
        rotated: None,
        public_url: URL.into(),
    }
}

pub fn invitation_created() -> InvitationCreatedPage {
    InvitationCreatedPage {
        shell: shell(Nav::Members),
        email: "new@acme.example".into(),
        role: role("DevOps"),
        link: format!("{URL}/invitation/{}/7Qm2xV9bN4tYrC1sDhJ5m", id(70)),
        expires: moment(7 * DAY),
        mailed: false,
    }
}

fn decision(n: u32, ago: Micros, outcome: DecisionOutcome, wanted: AskedFor) -> DecisionRow {
    DecisionRow {
        id: format!("n1-7f3c9a{n:02}"),
        at: moment(-ago),
        outcome,
        token: Some((id(14), "staging-deploys".into())),
        removed: None,
        wanted,
        address: Some("140.82.115.9".into()),
        missing: None,
        smallest_role: None,
        sentence: None,
        times: None,
        mends: Vec::new(),
    }
}

fn mend(text: &str, effect: &str, may: bool) -> MendRow {
    let href = may.then(|| format!("/console/{}/roles/new?add=invoices%3Awrite", id(1)));
    MendRow { text: text.into(), effect: effect.into(), href }
}

fn decisions() -> Vec<DecisionRow> {
    let request = |method: &str, path: &str| AskedFor::Request(method.into(), path.into());
    vec![
        DecisionRow {
            missing: Some("invoices:write".into()),
            smallest_role: Some("DevOps".into()),
            times: Some(("214".into(), moment(-5 * HOUR))),
            mends: vec![
                mend("Add invoices:write to its role “deployer”", "1 token and 2 members gain it", true),
                mend(NASTY, "then give it to this token; nobody else gains anything", true),
                mend("The role “DevOps” would do", "but it may also token:manage, project:create and 12 more", false),
            ],
            sentence: Some("The role of this token does not allow this.".into()),
            ..decision(
                1,
                12 * SECOND,
                DecisionOutcome::Denied("Permission denied".into()),
                request("POST", "/invoices/2026-11/lines"),
            )
        },
        decision(2, 4 * MINUTE, DecisionOutcome::Allowed, request("GET", "/invoices/2026-11")),
        DecisionRow {
            token: None,
            sentence: Some(
                "This is not a token: its form or its checksum is wrong. Was a part of it lost in copying?".into(),
            ),
            ..decision(3, 9 * MINUTE, DecisionOutcome::Denied("Malformed".into()), AskedFor::Identity)
        },
        DecisionRow {
            token: Some((id(13), "old-jenkins".into())),
            ..decision(4, HOUR, DecisionOutcome::Denied("Expired".into()), AskedFor::Permission("orders:read".into()))
        },
        DecisionRow {
            token: Some((id(10), NASTY.into())),
            ..decision(5, 3 * HOUR, DecisionOutcome::Allowed, AskedFor::Permission("orders:read".into()))
        },
    ]
}

fn token_page() -> TokenPage {
    TokenPage {
        shell: shell(Nav::Tokens),
        token: tokens().remove(4),
        revocation: None,
        refused: None,
        refused_earlier: None,
        attest: Some("Its owner is asked to say so by 8 Dec 2026.".into()),
        may_attest: true,
        brownout: Some("It is refused for 5 minutes every hour, next 24 Nov 2026, 23:00 UTC.".into()),
        disabled_because: None,
        details: TokenDetails {
            not_before: None,
            labels: vec!["team=shop".into(), "env=<b>".into()],
            metadata: Some("{\n  \"ticket\": \"OPS-1204\"\n}".into()),
            successor: Some("devops@acme.example".into()),
            networks: vec![
                NotedNetwork { network: Network::parse("203.0.113.0/24").unwrap(), note: Some("office".into()) },
                NotedNetwork { network: Network::parse("2001:db8::/32").unwrap(), note: None },
            ],
            permissions: vec!["*:read".into(), "invoices:write".into()],
            places: vec!["web-shop".into(), "billing/staging".into()],
            rate: Some("100/minute, 20 at once".into()),
            quota: Some("10000/day".into()),
        },
        versions: vec![
            VersionRow {
                version: 2,
                hint: "…k3Qz".into(),
                newest: true,
                created: moment(-HOUR),
                ends: None,
                when_silent: None,
                last_used: None,
                still_used: false,
            },
            VersionRow {
                version: 1,
                hint: "…m4Bc".into(),
                newest: false,
                created: moment(-80 * DAY),
                ends: Some(moment(23 * HOUR)),
                when_silent: Some("1 hour".into()),
                last_used: Some(LastUsed {
                    at: moment(-5 * MINUTE),
                    from: Some("203.0.113.77".into()),
                    agent: Some("Go-http-client".into()),
                }),
                still_used: true,
            },
        ],
        meaning: "Deploys the staging environments of web-shop.".into(),
        points: role_choices("").custom.remove(0).points,
        usage: Some(TokenUsage {
            allowed: "18,204".into(),
            denied: "12".into(),
            reasons: vec![
                ReasonCount { reason: "permission denied".into(), count: "11".into() },
                ReasonCount { reason: "address not allowed".into(), count: "1".into() },
            ],
            picture: Some(insight::bars(60)),
            granted: Some(insight::granted()),
            decisions: Some(decisions().into_iter().take(2).collect()),
        }),
        live: None,
        may_manage: true,
        may_read_events: true,
        public_url: URL.into(),
    }
}

fn event(n: u32, ago: Micros, kind: Kind, who: &str, target: &str) -> EventRow {
    EventRow {
        position: (1_482 - n).to_string(),
        at: moment(-ago),
        who: who.into(),
        erased: false,
        who_kind: if who.contains('@') {
            "user"
        } else if who == "operator" {
            who
        } else {
            "token"
        }
        .into(),
        who_id: (who != "operator").then(|| id(30)),
        what: event_label(kind),
        tone: Tone::of(kind.event_type()),
        target: target.into(),
        target_href: Some(format!("/console/{}/tokens/{}", id(1), id(14))),
        origin: if who.contains('@') {
            "Console"
        } else if who == "operator" {
            "CLI"
        } else {
            "Terraform"
        }
        .into(),
        kind: kind.as_str().into(),
        target_id: Some(id(14)),
        address: Some("10.2.0.14".into()),
        user_agent: Some("Terraform provider 0.86.1".into()),
        changes: Vec::new(),
    }
}

fn choices(labels: &[&str]) -> Vec<Choice> {
    labels
        .iter()
        .enumerate()
        .map(|(at, label)| Choice {
            value: if at == 0 { String::new() } else { label.to_uppercase() },
            label: (*label).into(),
            chosen: at == 0,
        })
        .collect()
}

fn events_page() -> EventsPage {
    let role_before =
        json!({"name": "Deployer (staging)", "description": "Deploys staging", "permissions": ["invoices:read"]});
    let role_after = json!({"name": "Deployer (staging)", "description": "Deploys the staging environments of web-shop.", "permissions": ["invoices:read", "orders:*"]});
    let made = json!({"name": "ci-preview", "description": null, "role_name": "Deployer (staging)", "expires_at": "2027-02-22T23:20:00.000000Z", "last_four": "QkTnR"});
    EventsPage {
        shell: shell(Nav::Events),
        events: vec![
            EventRow {
                changes: FieldChange::between(Some(&role_before), Some(&role_after)),
                ..event(0, 20 * SECOND, Kind::RoleUpdated, "owner@acme.example", "Deployer (staging)")
            },
            EventRow {
                changes: FieldChange::between(None, Some(&made)),
                ..event(1, 3 * MINUTE, Kind::TokenCreated, "owner@acme.example", "ci-preview")
            },
            event(2, 2 * HOUR, Kind::ProjectVariableUpdated, "terraform-prod", "web-shop"),
            event(3, 5 * HOUR, Kind::TokenDeleted, "devops@acme.example", NASTY),
            event(4, 26 * HOUR, Kind::InvitationAccepted, "devops@acme.example", "devops@acme.example"),
            EventRow {
                erased: true,
                who_kind: String::new(),
                who_id: None,
                target_href: None,
                origin: String::new(),
                address: None,
                user_agent: None,
                ..event(5, 3 * DAY, Kind::MemberRemoved, "erased", "")
            },
            event(6, 9 * DAY, Kind::OrganizationCreated, "operator", "Acme"),
        ],
        filters: EventFilters {
            what: choices(&["Everything", "Created", "Changed", "Deleted"]),
            target: choices(&["Anything", "API tokens", "Members and roles", "Projects"]),
            origin: choices(&["Any client", "Console", "API", "CLI", "Terraform"]),
            ..EventFilters::default()
        },
        pager: Pager { newer: Some("?stepBackToken=1".into()), older: Some("?continueToken=2".into()) },
        retention: Some("Details are kept for 400 days; the chain itself for ever.".into()),
    }
}

fn member(n: u32, name: &str, email: &str, role_name: &str, made: usize) -> MemberRow {
    MemberRow {
        id: id(n),
        name: name.into(),
        email: email.into(),
        email_proven: n != 32,
        rule: (n == 31).then(|| "corp:engineers".into()),
        role: role(role_name),
        joined: moment(-300 * DAY),
        last_active: moment(-3 * MINUTE),
        tokens: made,
        is_you: false,
        is_owner: false,
        may_manage: true,
    }
}

fn organization_sign_in() -> OrganizationSignInPage {
    let choice = |value: &str, chosen| Choice { value: value.into(), label: value.into(), chosen };
    let rule = |number, value: FormField| RuleFields {
        number,
        providers: vec![choice("corp", true), choice("partner", false)],
        value,
        roles: vec![choice("devops", number == 1), choice("viewer", number != 1)],
    };
    let twice = "It stands there twice: only the first would ever count.".to_owned();
    OrganizationSignInPage {
        shell: shell(Nav::Settings),
        version: "1".into(),
        rules: vec![
            rule(1, FormField::new("engineers")),
            rule(2, FormField { value: "engineers".into(), error: Some(twice) }),
            rule(3, FormField::default()),
        ],
        may_rule: true,
        trials: vec![("corp".into(), "Corp".into(), "https://tokens.acme.example/sign-in/with/corp/callback".into())],
        policy: Some(SignInChoice {
            only: vec!["Corp".into()],
            providers: vec![("corp".into(), "Corp".into()), ("partner".into(), "Partner".into())],
        }),
        two_factors: Some(TwoFactorsState { refused_from: Some(moment(7 * DAY)) }),
        sessions: Some(second_factor::sessions_state()),
        password: proof_fields(),
        error: None,
    }
}

fn sign_in_trial() -> SignInTrialPage {
    let fact = |name: &str, value: &str, mono| DetailLine { name: name.into(), value: value.into(), mono };
    SignInTrialPage {
        shell: shell(Nav::Settings),
        provider: "Corp".into(),
        facts: vec![fact("Issuer", "https://login.acme.example", true), fact("Groups", "engineers", false)],
        gives: "The rule corp:engineers fits first: it would give the role DevOps.".into(),
        gives_role: true,
        claims: "{\n  \"sub\": \"ada\"\n}".into(),
        again: "/console/1/settings/sign-in/try/corp".into(),
    }
}

fn sign_in_only() -> SignInOnlyPage {
    let row = |email: &str, is_you| KeptOutRow { email: email.into(), role: "DevOps".into(), is_you };
    SignInOnlyPage {
        shell: shell(Nav::Settings),
        provider: Some("Corp".into()),
        action: "/console/1/settings/sign-in/only/corp".into(),
        prove: None,
        version: "1".into(),
        kept_out: vec![row("devops@acme.example", false), row("owner@acme.example", true)],
        password: proof_fields(),
        error: None,
    }
}

fn members() -> Vec<MemberRow> {
    vec![
        MemberRow { is_you: true, is_owner: true, ..member(30, "Acme Owner", "owner@acme.example", "Owner", 4) },
        MemberRow { last_active: moment(-2 * DAY), ..member(31, "Acme DevOps", "devops@acme.example", "DevOps", 1) },
        MemberRow { last_active: moment(-70 * DAY), ..member(32, "Acme Viewer", "viewer@acme.example", "Viewer", 0) },
    ]
}

fn matrix() -> (Vec<ClusterCell>, Vec<ProjectCell>) {
    let words = |levels: [&str; 4]| levels.map(String::from);
    let cluster = |n, name: &str, level: &str, saved: &str| ClusterCell {
        id: id(n),
        name: name.into(),
        level: level.into(),
        saved: saved.into(),
    };
    let project = |n, name: &str, levels, saved| ProjectCell {
        id: id(n),
        name: name.into(),
        is_admin: false,
        saved_is_admin: false,
        levels: words(levels),
        saved: words(saved),
    };
    (
        vec![cluster(50, "eu-prod", "ENV_CREATOR", "ENV_CREATOR"), cluster(51, "lab", "VIEWER", "VIEWER")],
        vec![
            project(40, "billing", ["NO_ACCESS"; 4], ["NO_ACCESS"; 4]),
            ProjectCell {
                is_admin: true,
                saved_is_admin: true,
                ..project(41, "sandbox", ["MANAGER"; 4], ["MANAGER"; 4])
            },
            project(
                42,
                "web-shop",
                ["MANAGER", "MANAGER", "DEPLOYER", "VIEWER"],
                ["MANAGER", "VIEWER", "DEPLOYER", "VIEWER"],
            ),
        ],
    )
}

fn choice(value: &str, chosen: bool) -> Choice {
    Choice { value: value.into(), label: value.into(), chosen }
}

fn role_trial() -> RoleTrialForm {
    RoleTrialForm {
        days: "90".into(),
        apis: vec![choice("shop", true)],
        methods: vec![choice("GET", false), choice("POST", true)],
        path: FormField::new("/refunds"),
        verdict: Some(Verdict {
            good: false, text: "POST /refunds is denied. The role lacks “refunds:write”.".into()
        }),
    }
}

const POLICY: &str = "# Only what is read.\nallow if {\n\tinput.request.method in {\"GET\", \"HEAD\"}\n\tinput.request.path[0] == \"invoices\"\n}\n";

fn policy_editor(verdict: Option<Verdict>) -> PolicyEditor {
    PolicyEditor {
        policy: FormField::new(POLICY),
        trial: TrialForm {
            methods: vec![choice("GET", true), choice("POST", false)],
            path: FormField::new("/invoices/7"),
            body: FormField::default(),
            gateway: true,
        },
        verdict,
    }
}

fn replay_row(minutes: Micros, path: &str, was_allowed: bool, good: bool) -> ReplayRow {
    let text = if good { "`allow` is true." } else { "No rule for `allow` holds." };
    ReplayRow {
        at: moment(-minutes * MINUTE),
        method: "GET".into(),
        path: path.into(),
        was_allowed,
        verdict: Verdict { good, text: text.into() },
    }
}

fn role_editor() -> RoleEditorPage {
    let (clusters, projects) = matrix();
    RoleEditorPage {
        shell: shell(Nav::Roles),
        id: Some(id(60)),
        saved_name: "Deployer (staging)".into(),
        form: RoleForm {
            name: FormField::new("Deployer (staging)"),
            description: FormField::new("Deploys the staging environments of web-shop."),
            permissions: FormField::new("invoices:read\norders:*"),
            own: vec![OwnPermissionCell {
                field: "event_read",
                permission: "event:read",
                label: "Read the audit log",
                hint: "For exports and alerting.",
                held: true,
                saved: false,
            }],
            clusters,
            more_projects: projects.clone(),
            projects,
            api: insight::boxes(),
            unknown: insight::unknown(),
        },
        changes: None,
        used_by: Some("1 member and 2 tokens".into()),
        may_edit: true,
        version: "3".into(),
        faults: Vec::new(),
    }
}

fn role_row(n: u32, name: &str, meaning: &str, members: usize, tokens: usize) -> RoleRow {
    RoleRow { id: id(n), name: name.into(), meaning: meaning.into(), members, tokens, built_in: (61..67).contains(&n) }
}

fn roles_page() -> RolesPage {
    RolesPage {
        shell: flash(Nav::Roles, FlashKind::Good, "“Deployer (staging)” is saved. It counts from the next request on."),
        roles: vec![
            role_row(62, "Admin", BuiltIn::Admin.meaning(), 0, 1),
            role_row(64, "Billing", BuiltIn::Billing.meaning(), 0, 1),
            role_row(60, "Deployer (staging)", "Deploys the staging environments of web-shop.", 1, 2),
            role_row(63, "DevOps", BuiltIn::DevOps.meaning(), 1, 1),
            role_row(67, "Invoice reader", "", 0, 0),
            role_row(61, "Owner", BuiltIn::Owner.meaning(), 1, 0),
            role_row(66, "Verifier", BuiltIn::Verifier.meaning(), 0, 0),
            role_row(65, "Viewer", BuiltIn::Viewer.meaning(), 1, 2),
        ],
        has_custom: true,
        list: lists::frame(&["Name", "Kind", "What it may do", "Held by"]),
        may_manage: true,
    }
}

fn project(n: u32, name: &str, description: &str, environments: usize) -> ProjectRow {
    ProjectRow {
        id: id(n),
        name: name.into(),
        description: description.into(),
        environments,
        updated: moment(-3 * DAY),
    }
}

fn environments() -> Vec<EnvironmentRow> {
    Mode::ALL
        .into_iter()
        .enumerate()
        .map(|(at, mode)| EnvironmentRow {
            id: id(80 + u32::try_from(at).unwrap()),
            name: ["dev", "pr-318", "staging", "production"][at].into(),
            mode: mode.as_str().to_lowercase(),
            mode_label: mode_label(mode).into(),
            cluster: "eu-prod".into(),
            updated: moment(-HOUR * 7),
            updated_by: Some("terraform-prod".into()),
        })
        .collect()
}

fn project_page() -> ProjectPage {
    ProjectPage {
        shell: shell(Nav::Projects),
        project: Some(project(42, "web-shop", "The shop and its back office", 4)),
        form: ProjectForm {
            name: FormField::new("web-shop"),
            description: FormField::new("The shop and its back office"),
        },
        environments: environments(),
        list: lists::frame(&["Name", "Kind", "Cluster", "Changed"]),
        may_edit: true,
        may_delete: true,
        may_create_environment: true,
        error: None,
    }
}

fn clusters() -> Vec<ClusterRow> {
    let row = |n, name: &str, provider: &str, region: &str, production| ClusterRow {
        id: id(n),
        name: name.into(),
        description: String::new(),
        provider: provider.into(),
        region: region.into(),
        production,
        updated: moment(-20 * DAY),
    };
    vec![
        ClusterRow {
            description: "Behind the load balancer in Paris".into(),
            ..row(50, "eu-prod", "AWS", "eu-west-3", true)
        },
        row(51, "lab", "On premise", "basement", false),
    ]
}

fn api_page() -> ApiPage {
    let route = |method: &str, path: &str, permissions: &[&str], source: &str| RouteRow {
        method: method.into(),
        path: path.into(),
        ways: permissions.iter().map(|way| way.split(' ').map(str::to_owned).collect()).collect(),
        source: source.into(),
    };
    ApiPage {
        shell: shell(Nav::Apis),
        api: Some(ApiRow {
            name: "shop".into(),
            routes: "5".into(),
            unknown_route: UnknownRoute::Deny,
            updated: moment(-4 * DAY),
        }),
        asked: Some(RouteQuestion {
            method: "PUT".into(),
            methods: choices(&["GET", "PUT"]),
            path: "/orders/7/state".into(),
            answer: Some(RouteAnswer::Takes(vec![
                vec!["orders:write".into(), "stock:read".into()],
                vec!["orders:manage".into()],
            ])),
        }),
        table: Some(RouteTable {
            search: String::new(),
            sum: "5 routes".into(),
            pager: Pager::default(),
            routes: vec![
                route("GET", "/invoices", &["invoices:read"], "path"),
                route("POST", "/invoices", &["invoices:write"], "path"),
                route("GET", "/invoices/{id}", &["invoices:read"], "path"),
                route("DELETE", "/invoices/{id}", &["invoices:purge"], "x-permission"),
                route("PUT", "/orders/{id}/state", &["orders:manage", "orders:write stock:read"], "security"),
            ],
        }),
        review: None,
        form: ApiForm::default(),
        may_manage: true,
        error: None,
    }
}

fn decisions_page() -> DecisionsPage {
    let chip = |label: &str, current| Chip { label: label.into(), href: "?".into(), count: None, current };
    DecisionsPage {
        shell: shell(Nav::Decisions),
        decisions: decisions(),
        chips: vec![chip("All", true), chip("Denied", false), chip("Allowed", false)],
        filter: DecisionFilter {
            only: String::new(),
            token: NASTY.into(),
            reasons: vec![choice("Any reason", true), choice("Expired", false)],
            route: "/orders".into(),
            address: String::new(),
            spans: vec![choice("Any time", true)],
            active: true,
        },
        live: None,
        live_href: "?live=1".into(),
        searched: String::new(),
        since: moment(-9 * HOUR),
        kept: "the last 10,000 of them, for 14 days".into(),
        pager: Pager::default(),
    }
}

fn events_with_a_filter() -> EventsPage {
    let mut page = events_page();
    page.filters.active = true;
    page.filters.who = "nobody@acme.example".into();
    page.events.clear();
    page
}

fn set_up() -> SetUpPage {
    SetUpPage {
        secret: "5Fq0xV9b".into(),
        csrf: "c5rf".into(),
        organization: FormField::default(),
        name: FormField::default(),
        email: FormField::default(),
        password: FormField::default(),
        password_rule: password_rule(),
        error: None,
    }
}

fn invitation(step: InvitationStep) -> InvitationPage {
    InvitationPage {
        id: id(70),
        secret: "7Qm2xV9bN4tYrC1sDhJ5m".into(),
        csrf: "c5rf".into(),
        organization: "Acme".into(),
        inviter: "owner@acme.example".into(),
        email: "new@acme.example".into(),
        role: "DevOps".into(),
        meaning: BuiltIn::DevOps.meaning().into(),
        step,
        passwords: true,
        providers: vec![ProviderLink {
            name: "Acme Login".into(),
            href: "/invitation/1/2/with/corp".into(),
            icon: "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=".into(),
        }],
        error: None,
    }
}
