//! Sample data for the tests of the pages, and for looking at them.

use askama::Template;
use serde_json::json;
use tokenward_core::event::Kind;
use tokenward_core::permission::Own;
use tokenward_core::role::{BuiltIn, Mode};
use tokenward_core::time::{DAY, HOUR, MINUTE, Micros, SECOND, Time};

use super::*;

/// A name that must never work as markup.
pub const NASTY: &str = "<script>alert(1)</script>";
/// The text of a token that exists nowhere.
pub const SECRET: &str = "twd_8f2KqLw0ZxV7bN4tYrC1sDhJ5mPaGe3u9QkTnR";
const NOW: Time = Time(1_795_562_400_000_000);
const URL: &str = "https://tokens.acme.example";
const PASSWORD_RULE: &str = "At least 12 characters. A few words in a row are easier to remember than a riddle.";

fn moment(from_now: Micros) -> Moment {
    Moment::new(NOW.plus(from_now), NOW)
}

fn id(n: u32) -> String {
    format!("0193614c-2a00-7c41-9f3a-{n:012x}")
}

fn organization(n: u32, name: &str, role: &str) -> OrganizationLink {
    OrganizationLink { id: id(n), name: name.into(), role: role.into() }
}

pub fn shell(active: Nav) -> Shell {
    let entry = |nav, count| Entry { nav, count };
    Shell {
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
            entry(Nav::Decisions, None),
            entry(Nav::Events, None),
            entry(Nav::Settings, None),
        ],
        csrf: "c5rf".into(),
        flash: None,
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
    [("All", Some("6")), ("Expiring", Some("1")), ("Unused for 90 days", Some("1")), ("Expired", Some("1"))]
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
        tokens: tokens(),
        total: 6,
        search: String::new(),
        filter: String::new(),
        chips: chips(0),
        may_create: true,
        may_delete: true,
        shows_last_used: true,
        warning: Some((id(14), "“staging-deploys” expires in 6 days and was used 4 minutes ago.".into())),
        pager: Pager::default(),
        public_url: URL.into(),
    }
}

fn role_choices(chosen: &str) -> RoleChoices {
    let choice = |role: BuiltIn, points: &[&str]| RoleChoice {
        id: role.name().into(),
        name: match role {
            BuiltIn::DevOps => "DevOps".into(),
            other => {
                let mut name = other.name().to_owned();
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
        value: days.to_string(),
        label: label.into(),
        until: moment(days * DAY).date,
    };
    Expiry {
        chosen: chosen.into(),
        presets: vec![preset(30, "30 days"), preset(90, "90 days"), preset(365, "1 year")],
        date: Field::default(),
        first_day: "2026-11-25".into(),
    }
}

pub fn token_created() -> TokenCreatedPage {
    TokenCreatedPage {
        shell: shell(Nav::Tokens),
        id: id(20),
        name: "ci-preview".into(),
        secret: SECRET.into(),
        role: role("Deployer (staging)"),
        expires: Some(moment(90 * DAY)),
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

fn decision(n: u32, ago: Micros, outcome: Outcome, wanted: Wanted) -> DecisionRow {
    DecisionRow {
        id: format!("n1-7f3c9a{n:02}"),
        at: moment(-ago),
        outcome,
        token: Some((id(14), "staging-deploys".into())),
        wanted,
        address: Some("140.82.115.9".into()),
        missing: None,
        smallest_role: None,
        sentence: None,
    }
}

fn decisions() -> Vec<DecisionRow> {
    let request = |method: &str, path: &str| Wanted::Request(method.into(), path.into());
    vec![
        DecisionRow {
            missing: Some("invoices:write".into()),
            smallest_role: Some("Deployer (staging) with invoices:write, or DevOps".into()),
            sentence: Some("The role of this token does not allow this.".into()),
            ..decision(
                1,
                12 * SECOND,
                Outcome::Denied("Permission denied".into()),
                request("POST", "/invoices/2026-11/lines"),
            )
        },
        decision(2, 4 * MINUTE, Outcome::Allowed, request("GET", "/invoices/2026-11")),
        DecisionRow {
            token: None,
            sentence: Some(
                "This is not a token: its form or its checksum is wrong. Was a part of it lost in copying?".into(),
            ),
            ..decision(3, 9 * MINUTE, Outcome::Denied("Malformed".into()), Wanted::Identity)
        },
        DecisionRow {
            token: Some((id(13), "old-jenkins".into())),
            ..decision(4, HOUR, Outcome::Denied("Expired".into()), Wanted::Permission("orders:read".into()))
        },
        DecisionRow {
            token: Some((id(10), NASTY.into())),
            ..decision(5, 3 * HOUR, Outcome::Allowed, Wanted::Permission("orders:read".into()))
        },
    ]
}

fn token_page() -> TokenPage {
    TokenPage {
        shell: shell(Nav::Tokens),
        token: tokens().remove(4),
        meaning: "Deploys the staging environments of web-shop.".into(),
        points: role_choices("").custom.remove(0).points,
        usage: Some(TokenUsage {
            allowed: "18,204".into(),
            denied: "12".into(),
            reasons: vec![
                ReasonCount { reason: "permission denied".into(), count: "11".into() },
                ReasonCount { reason: "address not allowed".into(), count: "1".into() },
            ],
            decisions: decisions().into_iter().take(2).collect(),
        }),
        may_delete: true,
        may_read_events: true,
        public_url: URL.into(),
    }
}

fn event(n: u32, ago: Micros, kind: Kind, who: &str, target: &str) -> EventRow {
    EventRow {
        position: (1_482 - n).to_string(),
        at: moment(-ago),
        who: who.into(),
        who_kind: if who.contains('@') {
            "user"
        } else if who == "operator" {
            who
        } else {
            "token"
        }
        .into(),
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
                changes: Change::between(Some(&role_before), Some(&role_after)),
                ..event(0, 20 * SECOND, Kind::RoleUpdated, "owner@acme.example", "Deployer (staging)")
            },
            EventRow {
                changes: Change::between(None, Some(&made)),
                ..event(1, 3 * MINUTE, Kind::TokenCreated, "owner@acme.example", "ci-preview")
            },
            event(2, 2 * HOUR, Kind::ProjectVariableUpdated, "terraform-prod", "web-shop"),
            event(3, 5 * HOUR, Kind::TokenDeleted, "devops@acme.example", NASTY),
            event(4, 26 * HOUR, Kind::InvitationAccepted, "devops@acme.example", "devops@acme.example"),
            EventRow {
                target: String::new(),
                target_href: None,
                ..event(5, 3 * DAY, Kind::MemberRemoved, "owner@acme.example", "")
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
        role: role(role_name),
        joined: moment(-300 * DAY),
        last_active: moment(-3 * MINUTE),
        tokens: made,
        is_you: false,
        is_owner: false,
        may_manage: true,
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

fn role_editor() -> RoleEditorPage {
    let (clusters, projects) = matrix();
    RoleEditorPage {
        shell: shell(Nav::Roles),
        id: Some(id(60)),
        saved_name: "Deployer (staging)".into(),
        form: RoleForm {
            name: Field::new("Deployer (staging)"),
            description: Field::new("Deploys the staging environments of web-shop."),
            permissions: Field::new("invoices:read\norders:*"),
            token_verify: false,
            saved_token_verify: false,
            event_read: true,
            saved_event_read: false,
            clusters,
            projects,
        },
        changes: None,
        used_by: Some("1 member and 2 tokens".into()),
        may_edit: true,
        version: "3".into(),
        error: None,
    }
}

fn role_row(n: u32, name: &str, meaning: &str, members: usize, tokens: usize) -> RoleRow {
    RoleRow { id: id(n), name: name.into(), meaning: meaning.into(), members, tokens }
}

fn roles_page() -> RolesPage {
    RolesPage {
        shell: flash(Nav::Roles, FlashKind::Good, "“Deployer (staging)” is saved. It counts from the next request on."),
        built_in: vec![
            role_row(61, "Owner", BuiltIn::Owner.meaning(), 1, 0),
            role_row(62, "Admin", BuiltIn::Admin.meaning(), 0, 1),
            role_row(63, "DevOps", BuiltIn::DevOps.meaning(), 1, 1),
            role_row(64, "Billing", BuiltIn::Billing.meaning(), 0, 1),
            role_row(65, "Viewer", BuiltIn::Viewer.meaning(), 1, 2),
            role_row(66, "Verifier", BuiltIn::Verifier.meaning(), 0, 0),
        ],
        custom: vec![
            role_row(60, "Deployer (staging)", "Deploys the staging environments of web-shop.", 1, 2),
            role_row(67, "Invoice reader", "", 0, 0),
        ],
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
        form: ProjectForm { name: Field::new("web-shop"), description: Field::new("The shop and its back office") },
        environments: environments(),
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
        permissions: permissions.iter().map(|p| (*p).into()).collect(),
        source: source.into(),
    };
    ApiPage {
        shell: shell(Nav::Apis),
        api: Some(ApiRow {
            name: "shop".into(),
            routes: 5,
            unknown_route: UnknownRoute::Deny,
            updated: moment(-4 * DAY),
        }),
        routes: vec![
            route("GET", "/invoices", &["invoices:read"], "path"),
            route("POST", "/invoices", &["invoices:write"], "path"),
            route("GET", "/invoices/{id}", &["invoices:read"], "path"),
            route("DELETE", "/invoices/{id}", &["invoices:purge"], "x-permission"),
            route("PUT", "/orders/{id}/state", &["orders:write", "stock:read"], "security"),
        ],
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
        live: false,
        live_href: "?live=1".into(),
        since: moment(-9 * HOUR),
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
        organization: Field::default(),
        name: Field::default(),
        email: Field::default(),
        password: Field::default(),
        password_rule: PASSWORD_RULE.into(),
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
        error: None,
    }
}

/// Every page, in each of the forms worth looking at: a name and its HTML.
#[allow(clippy::too_many_lines)] // A list.
pub fn pages() -> Vec<(String, String)> {
    let mut pages: Vec<(String, String)> = Vec::new();
    macro_rules! page {
        ($name:literal, $page:expr) => {
            pages.push(($name.into(), $page.render().unwrap()));
        };
    }
    page!("set-up", set_up());
    page!(
        "set-up-refused",
        SetUpPage {
            organization: Field::new("Acme"),
            name: Field::new("Acme Owner"),
            email: Field::new("owner").refused("Write the whole address, like owner@acme.example."),
            password: Field::new("correct horse").refused("This password has 8 characters; it takes at least 12."),
            ..set_up()
        }
    );
    let sign_in =
        SignInPage { csrf: "c5rf".into(), email: Field::default(), next: String::new(), error: None, notice: None };
    page!("sign-in", sign_in);
    page!(
        "sign-in-refused",
        SignInPage {
            email: Field::new("owner@acme.example"),
            error: Some("E-mail and password do not fit together.".into()),
            ..sign_in.clone()
        }
    );
    page!(
        "sign-in-link",
        SignInLinkPage {
            secret: "9bN4tYrC".into(),
            csrf: "c5rf".into(),
            email: "owner@acme.example".into(),
            password: Field::default(),
            password_rule: PASSWORD_RULE.into(),
            error: None,
        }
    );
    page!("needs-tls", NeedsTlsPage { port: 8080, public_url: "http://127.0.0.1:8080".into() });
    page!(
        "invitation-new",
        invitation(InvitationStep::NewAccount {
            name: Field::default(),
            password: Field::default(),
            password_rule: PASSWORD_RULE.into()
        })
    );
    page!("invitation-sign-in", invitation(InvitationStep::SignInFirst));
    page!("invitation-accept", invitation(InvitationStep::Accept { signed_in_as: "new@acme.example".into() }));
    page!(
        "error",
        ErrorPage {
            status: 500,
            title: "That did not work".into(),
            detail: "Nothing was changed. Try again; if it fails again, tell whoever runs this server.".into(),
            reference: Some("e-7f3c9a12".into()),
            link: Some(("Back to the console".into(), "/".into()))
        }
    );
    page!(
        "error-inside",
        ErrorInsidePage {
            shell: shell(Nav::Tokens),
            status: 404,
            title: "No such token".into(),
            detail: "It was deleted, or it never was in this organization.".into(),
            reference: None,
            link: Some(("All tokens".into(), "/console/1/tokens".into()))
        }
    );

    page!("tokens", tokens_page());
    page!("tokens-empty", TokensPage { tokens: Vec::new(), total: 0, warning: None, ..tokens_page() });
    page!(
        "tokens-none",
        TokensPage { tokens: Vec::new(), search: "jenkins-two".into(), warning: None, ..tokens_page() }
    );
    page!(
        "tokens-plain",
        TokensPage {
            shell: flash(Nav::Tokens, FlashKind::Good, "“old-jenkins” is deleted. It is refused from now on."),
            shows_last_used: false,
            warning: None,
            may_create: false,
            may_delete: false,
            ..tokens_page()
        }
    );
    let token_new = TokenNewPage {
        shell: shell(Nav::Tokens),
        form: TokenForm {
            name: Field::default(),
            description: Field::default(),
            roles: role_choices("deployer"),
            expiry: expiry("90"),
        },
        error: None,
    };
    page!("token-new", token_new);
    let mut refused = token_new.clone();
    refused.form.name = Field::new("terraform-prod")
        .refused("A token of this name exists. Choose another name, or delete that one first.");
    refused.form.roles.error = Some("Choose a role.".into());
    refused.form.roles.chosen = String::new();
    refused.form.expiry.chosen = "date".into();
    refused.form.expiry.date = Field::new("2020-01-01").refused("This day is over.");
    page!("token-new-refused", refused);
    page!("token-created", token_created());
    page!("token", token_page());
    page!("token-untracked", TokenPage { usage: None, token: tokens().remove(0), ..token_page() });
    page!("token-delete", TokenDeletePage { shell: shell(Nav::Tokens), token: tokens().remove(5), error: None });
    page!(
        "token-delete-nasty",
        TokenDeletePage {
            shell: shell(Nav::Tokens),
            token: tokens().remove(0),
            error: Some("It was changed meanwhile. Look again.".into())
        }
    );

    page!("events", events_page());
    page!("events-none", events_with_a_filter());
    let settings = SettingsPage {
        shell: shell(Nav::Settings),
        id: id(1),
        form: SettingsForm {
            name: Field::new("Acme"),
            description: Field::new("Everything the shop needs"),
            website_url: Field::new("https://acme.example"),
            ..SettingsForm::default()
        },
        plan: "Enterprise".into(),
        created: moment(-300 * DAY),
        public_url: URL.into(),
        may_edit: true,
        may_transfer: true,
        may_delete: true,
        error: None,
    };
    page!("settings", settings);
    page!(
        "settings-read",
        SettingsPage { may_edit: false, may_transfer: false, may_delete: false, ..settings.clone() }
    );
    page!(
        "organization-new",
        OrganizationNewPage {
            shell: shell(Nav::Settings),
            name: Field::default(),
            description: Field::default(),
            error: None
        }
    );
    let session = |n, client: &str, current| SessionRow {
        id: id(n),
        client: client.into(),
        address: Some("10.2.0.14".into()),
        created: moment(-2 * HOUR),
        last_seen: Some(moment(-30 * MINUTE)),
        expires: moment(10 * HOUR),
        current,
    };
    page!(
        "account",
        AccountPage {
            shell: flash(Nav::Account, FlashKind::Bad, "The password was not changed: the current one is wrong."),
            name: Field::new("Acme Owner"),
            email: "owner@acme.example".into(),
            has_password: true,
            current_password: Field::new("correct horse").refused("This is not your current password."),
            new_password: Field::default(),
            password_rule: PASSWORD_RULE.into(),
            sessions: vec![session(90, "Firefox on Linux", true), session(91, "tokenward (command line)", false)],
        }
    );

    let members_page = MembersPage {
        shell: shell(Nav::Members),
        members: members(),
        invitations: vec![
            InvitationRow {
                id: id(70),
                email: "new@acme.example".into(),
                role: role("DevOps"),
                inviter: "owner@acme.example".into(),
                sent: moment(-DAY),
                expires: moment(6 * DAY),
                expired: false,
            },
            InvitationRow {
                id: id(71),
                email: "late@acme.example".into(),
                role: role("Viewer"),
                inviter: "owner@acme.example".into(),
                sent: moment(-9 * DAY),
                expires: moment(-2 * DAY),
                expired: true,
            },
        ],
        may_manage: true,
        may_transfer: true,
    };
    page!("members", members_page);
    page!(
        "members-alone",
        MembersPage {
            members: members().into_iter().take(1).collect(),
            invitations: Vec::new(),
            ..members_page.clone()
        }
    );
    page!(
        "member-invite",
        InvitePage {
            shell: shell(Nav::Members),
            email: Field::new("new@acme.example").refused("This address is invited already."),
            roles: role_choices("viewer"),
            sends_mail: false,
            error: None
        }
    );
    page!("invitation-created", invitation_created());
    page!(
        "member",
        MemberPage {
            shell: shell(Nav::Members),
            member: members().remove(1),
            roles: role_choices("devops"),
            error: None
        }
    );
    let member_token = |row: TokenRow, revoke| MemberToken {
        id: row.id,
        name: row.name,
        hint: row.hint,
        role: row.role,
        last_used: row.last_used.map(|used| used.at),
        revoke,
    };
    page!(
        "member-remove",
        MemberRemovePage {
            shell: shell(Nav::Members),
            member: members().remove(1),
            tokens: vec![member_token(tokens().remove(4), false), member_token(tokens().remove(1), true)],
            may_revoke: true,
            error: None
        }
    );
    let candidate =
        |row: MemberRow| TransferCandidate { id: row.id, name: row.name, email: row.email, role: row.role.name };
    page!(
        "transfer",
        TransferPage {
            shell: shell(Nav::Members),
            candidates: members().into_iter().skip(1).map(candidate).collect(),
            chosen: id(31),
            typed: Field::new("acme").refused("Write it as it is: Acme."),
            error: None
        }
    );
    page!(
        "transfer-nobody",
        TransferPage {
            shell: shell(Nav::Members),
            candidates: Vec::new(),
            chosen: String::new(),
            typed: Field::default(),
            error: None
        }
    );

    page!("roles", roles_page());
    page!("roles-none", RolesPage { shell: shell(Nav::Roles), custom: Vec::new(), ..roles_page() });
    page!(
        "role-built-in",
        BuiltInRolePage {
            shell: shell(Nav::Roles),
            role: role_row(65, "Viewer", BuiltIn::Viewer.meaning(), 1, 2),
            permissions: Own::ALL
                .iter()
                .filter(|own| BuiltIn::Viewer.own().has(**own))
                .map(|own| (own.to_string(), "Sees it.".to_owned()))
                .collect(),
            api: "Every permission that ends in :read.".into(),
        }
    );
    page!("role", role_editor());
    let change = |what: &str, before: &str, after: &str, more| RoleChange {
        what: what.into(),
        before: before.into(),
        after: after.into(),
        more,
    };
    page!(
        "role-preview",
        RoleEditorPage {
            changes: Some(vec![
                change("web-shop, Preview", "Read-Only", "Manage", true),
                change("Read the audit log", "no", "yes", true),
                change("Your API", "stock:write", "–", false)
            ]),
            ..role_editor()
        }
    );
    let mut fresh = role_editor();
    fresh.id = None;
    fresh.used_by = None;
    fresh.form = RoleForm { permissions: Field::new("token:manage").refused("Line 1: token:manage is reserved. A custom role can hold token:verify and event:read, by the boxes below, and permissions of your own API."), ..RoleForm::default() };
    page!("role-new", fresh);
    page!("role-read", RoleEditorPage { may_edit: false, ..role_editor() });
    page!(
        "role-delete",
        ConfirmPage {
            shell: shell(Nav::Roles),
            from: "Roles".into(),
            back: "/console/1/roles".into(),
            question: "Delete the role “Invoice reader”?".into(),
            consequences: vec!["Nobody has it. It cannot be brought back.".into()],
            facts: vec![Fact { name: "Id".into(), value: id(67), mono: true }],
            action: "/console/1/roles/67/delete".into(),
            button: "Delete role".into(),
            type_to_confirm: None,
            typed: Field::default(),
            error: None,
        }
    );

    page!(
        "projects",
        ProjectsPage {
            shell: shell(Nav::Projects),
            projects: vec![project(40, "billing", "", 0), project(42, "web-shop", "The shop and its back office", 4)],
            may_create: true
        }
    );
    page!("projects-empty", ProjectsPage { shell: shell(Nav::Projects), projects: Vec::new(), may_create: true });
    page!("project", project_page());
    page!(
        "project-new",
        ProjectPage {
            project: None,
            form: ProjectForm {
                name: Field::new("web-shop").refused("A project of this name exists."),
                description: Field::default()
            },
            ..project_page()
        }
    );
    page!(
        "project-delete",
        ConfirmPage {
            shell: shell(Nav::Projects),
            from: "web-shop".into(),
            back: "/console/1/projects/42".into(),
            question: "Delete the project “web-shop”?".into(),
            consequences: vec![
                "Its 4 environments and their variables go with it.".into(),
                "Roles that were limited to it lose that part.".into(),
                "It cannot be brought back.".into()
            ],
            facts: vec![
                Fact { name: "Environments".into(), value: "dev, pr-318, staging, production".into(), mono: false },
                Fact { name: "Id".into(), value: id(42), mono: true }
            ],
            action: "/console/1/projects/42/delete".into(),
            button: "Delete project".into(),
            type_to_confirm: Some("web-shop".into()),
            typed: Field::new("webshop").refused("Write it as it is: web-shop."),
            error: Some("It was changed meanwhile. Look again.".into()),
        }
    );
    let environment = EnvironmentPage {
        shell: shell(Nav::Projects),
        project_id: id(42),
        project_name: "web-shop".into(),
        environment: Some(environments().remove(2)),
        form: EnvironmentForm {
            name: Field::new("staging"),
            modes: choices(&["Development", "Preview", "Staging", "Production"]),
            mode_error: None,
            clusters: choices(&["eu-prod", "lab"]),
            cluster_error: None,
        },
        may_edit: true,
        may_delete: true,
        error: None,
    };
    page!("environment", environment);
    let mut new = environment.clone();
    new.environment = None;
    new.form.cluster_error = Some("Your role may not create environments on this cluster.".into());
    page!("environment-new", new);
    page!("clusters", ClustersPage { shell: shell(Nav::Clusters), clusters: clusters(), may_create: true });
    page!("clusters-empty", ClustersPage { shell: shell(Nav::Clusters), clusters: Vec::new(), may_create: true });
    let cluster = ClusterPage {
        shell: shell(Nav::Clusters),
        cluster: Some(clusters().remove(0)),
        form: ClusterForm {
            name: Field::new("eu-prod"),
            description: Field::default(),
            providers: choices(&["AWS", "Scaleway", "On premise"]),
            provider_error: None,
            region: Field::new("eu-west-3"),
            production: true,
        },
        may_edit: true,
        may_delete: true,
        error: None,
    };
    page!("cluster", cluster);
    page!("cluster-new", ClusterPage { cluster: None, ..cluster.clone() });

    page!(
        "apis",
        ApisPage {
            shell: shell(Nav::Apis),
            apis: vec![
                api_page().api.unwrap(),
                ApiRow {
                    name: "partner".into(),
                    routes: 112,
                    unknown_route: UnknownRoute::Allow,
                    updated: moment(-HOUR)
                }
            ],
            may_manage: true
        }
    );
    page!("apis-empty", ApisPage { shell: shell(Nav::Apis), apis: Vec::new(), may_manage: true });
    page!("api", api_page());
    page!(
        "api-new",
        ApiPage {
            api: None,
            routes: Vec::new(),
            form: ApiForm {
                document: Field::new("openapi: 2.0")
                    .refused("Line 1: this is OpenAPI 2. Convert it to OpenAPI 3 first."),
                ..ApiForm::default()
            },
            ..api_page()
        }
    );
    page!("decisions", decisions_page());
    page!("decisions-live", DecisionsPage { live: true, decisions: Vec::new(), ..decisions_page() });
    pages
}
