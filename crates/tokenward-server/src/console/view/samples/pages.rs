//! Every page with the sample data, in each of the forms worth looking at.

use askama::DynTemplate;

use super::account::{account, account_events};
use super::*;

fn owner_fields() -> OwnerFields {
    let members = vec![choice("", false), choice("owner@acme.example", true), choice(NASTY, false)];
    OwnerFields { owners: members.clone(), successors: members, owner_error: None, successor_error: None }
}

fn heirs(owned: usize) -> Heirs {
    Heirs { owned, hint: "Who is accountable from then on.".into(), choices: owner_fields().owners, error: None }
}

fn member_tokens() -> MemberTokens {
    let row = |row: TokenRow, owned: bool| MemberToken {
        fates: vec![choice("", !owned), choice(&format!("{}.end", row.id), owned)],
        id: row.id,
        kind: if owned { "Policy token" } else { "API token" },
        name: row.name,
        hint: row.hint,
        role: row.role,
        last_used: row.last_used.map(|used| used.at),
        made: true,
        owned,
    };
    MemberTokens {
        rows: vec![row(tokens().remove(4), false), row(tokens().remove(1), true)],
        count: 3_002,
        rest: vec![choice("", true), choice("end", false), choice("delete", false)],
        rest_error: None,
        overlaps: vec![choice("24h", true), choice("7d", false)],
        may_change: true,
        error: None,
        overlap_error: Some("It is longer than the limit.".into()),
    }
}

fn effect() -> TokenEffect {
    TokenEffect {
        times: vec![
            "It would be refused until 1 Dec 2026, 00:00 UTC. It was last used 4 min ago (24 Nov 2026, 23:16 UTC)."
                .into(),
        ],
        sentence: "With this change 3 of its last 20 allowed requests would be refused:".into(),
        refused: vec!["POST /v1/refunds".into(), "DELETE /v1/orders/7 from 2001:db8::7".into()],
        sure: "0123456789abcdef".into(),
    }
}

fn bulk_page(action: &'static str) -> TokenBulkPage {
    TokenBulkPage {
        shell: shell(Nav::Tokens),
        list: if action == "disable" { "policy-tokens" } else { "tokens" },
        action,
        sum: "6 tokens chosen, 2 of them used in the last 7 days.".into(),
        used_lately: true,
        tokens: tokens(),
        set: "6.1795562400000000.0123456789abcdef0123456789abcdef".into(),
        reasons: vec![choice("unspecified", true), choice("cessation", false)],
        note: FormField::default(),
        expiry: expiry("90"),
        owners: owner_fields().owners,
        owner_error: (action == "hand_over").then(|| "Choose a member.".into()),
        password: None,
        error: None,
    }
}

fn import_page() -> TokenImportPage {
    TokenImportPage {
        shell: shell(Nav::Tokens),
        rows: FormField::new("name,role,sha256,last_four\nbilling,viewer,9f86d081884c7d65,k3Qz"),
        wrong: Vec::new(),
        sum: None,
        fits: Vec::new(),
        more: false,
        password: None,
        error: None,
    }
}

fn import_pages(pages: &mut Vec<(String, String)>) {
    let mut page = |name: &str, page: &TokenImportPage| pages.push((name.into(), page.dyn_render().unwrap()));
    page("token-import", &import_page());
    let row = |line: usize, name: &str| ImportRow { line, name: name.into(), hint: "…k3Qz".into() };
    let fits = vec![row(2, "billing"), row(3, NASTY)];
    page("token-import-fits", &TokenImportPage { sum: Some("2 tokens".into()), fits, more: true, ..import_page() });
    let line = |line, field: &str, problem: &str| ImportLine { line, field: field.into(), problem: problem.into() };
    let wrong = vec![line(2, "role", "is “viewr”, which is no role of the organization"), line(7, "name", NASTY)];
    page("token-import-wrong", &TokenImportPage { wrong, ..import_page() });
}

fn policy_pages(pages: &mut Vec<(String, String)>) {
    let mut page = |name: &str, page: &dyn DynTemplate| pages.push((name.into(), page.dyn_render().unwrap()));
    lists::policy_tokens(&mut page);
    let form = TokenForm {
        roles: role_choices("deployer"),
        expiry: expiry("90"),
        begin: Begin { chosen: "now".into(), first_day: "2026-11-24".into(), ..Begin::default() },
        labels: FormField::new("team=shop"),
        ..TokenForm::default()
    };
    let refused = "cannot be used: line 2, column 7: `if` is missing\n\n  2 | allow {\n    |       ^";
    let recipe = |key, title, current| RecipeLink { key, title, sentence: "One request, and nothing else.", current };
    page(
        "policy-token-new",
        &PolicyTokenNewPage {
            shell: shell(Nav::Tokens),
            form: form.clone(),
            owners: owner_fields(),
            editor: policy_editor(Some(Verdict { good: false, text: refused.into() })),
            recipes: vec![recipe("a", "Read one environment", true), recipe("b", "Deploy one environment", false)],
            shown: 1_795_562_400_000_000,
            password: None,
            error: None,
        },
    );
    page(
        "policy-token-edit",
        &PolicyTokenEditPage {
            shell: shell(Nav::Tokens),
            token: tokens().remove(0),
            form,
            owners: owner_fields(),
            editor: policy_editor(Some(Verdict { good: true, text: "GET /invoices/7 is allowed.".into() })),
            replay: Some(vec![
                replay_row(2, "/invoices/7", true, true),
                replay_row(9, "/orders/1", true, false),
                replay_row(30, NASTY, false, false),
            ]),
            effect: Some(effect()),
            version: "1".into(),
            password: None,
            error: None,
        },
    );
    page(
        "policy-token",
        &PolicyTokenPage {
            shell: shell(Nav::Tokens),
            token: tokens().remove(0),
            policy: POLICY.into(),
            versions: Vec::new(),
            revocation: None,
            refused: None,
            refused_earlier: None,
            disabled_because: None,
            attest: Some("Its owner is asked to say so by 8 Dec 2026.".into()),
            brownout: Some("It is refused for 5 minutes every hour, next 24 Nov 2026, 23:00 UTC.".into()),
            details: token_page().details,
            usage: TokenUsage {
                allowed: "1,204".into(),
                denied: "3".into(),
                reasons: vec![ReasonCount { reason: "policy denied".into(), count: "3".into() }],
                picture: None,
                granted: None,
                decisions: None,
            },
            meaning: "Reads everything.".into(),
            may_read_events: true,
            logged_as: "policy:0193614c-2a00-7c41-9f3a-000000000001:reader".into(),
            public_url: URL.into(),
        },
    );
}

/// A name and its HTML.
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
            organization: FormField::new("Acme"),
            name: FormField::new("Acme Owner"),
            email: FormField::new("owner").refused("Write the whole address, like owner@acme.example."),
            password: FormField::new("correct horse").refused("This password has 8 characters; it takes at least 12."),
            ..set_up()
        }
    );
    let sign_in = SignInPage {
        csrf: "c5rf".into(),
        email: FormField::default(),
        next: String::new(),
        passwords: true,
        passkeys: Some("https://tokens.acme.example".into()),
        forgot: true,
        providers: Vec::new(),
        way_out: None,
        error: None,
        notice: None,
    };
    page!("sign-in", sign_in);
    let corp = || ProviderLink { name: "Acme Login".into(), href: "/sign-in/with/corp".into(), icon: String::new() };
    page!(
        "sign-in-providers",
        SignInPage {
            passwords: false,
            forgot: false,
            providers: vec![corp()],
            way_out: Some(ProviderLink { href: "https://login.acme.example/end".into(), ..corp() }),
            notice: Some("You are signed out.".into()),
            ..sign_in.clone()
        }
    );
    let identity = |step, email_proven| IdentityPage {
        csrf: "c5rf".into(),
        provider: "Acme Login".into(),
        email: Some("new@acme.example".into()),
        email_proven,
        passwords: email_proven,
        step,
        error: None,
    };
    let invited = InvitedTo {
        id: id(70),
        organization: "Acme".into(),
        inviter: "owner@acme.example".into(),
        role: "DevOps".into(),
    };
    page!("identity-invited", identity(IdentityStep::Invited(vec![invited.clone(), invited]), true));
    page!("identity-account", identity(IdentityStep::HasAccount { signed_in: false }, true));
    page!("identity-unproven", identity(IdentityStep::Unproven, true));
    page!("identity-stranger", identity(IdentityStep::Stranger { signed_in: false }, false));
    page!(
        "identity-link",
        LinkIdentityPage {
            shell: shell(Nav::Account),
            provider: "Acme Login".into(),
            identity: "ada@acme.example".into(),
            account: "owner@acme.example".into(),
            password: proof_fields(),
            error: None,
        }
    );
    pages.extend(command_line().into_iter().chain(passkeys()).chain(guides()).chain(second_factor::second_factor()));
    page!(
        "sign-in-refused",
        SignInPage {
            email: FormField::new("owner@acme.example"),
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
            passwords: true,
            asks_whether_mine: true,
            password: FormField::default(),
            password_rule: password_rule(),
            error: None,
        }
    );
    page!("needs-tls", NeedsTlsPage { port: 8080, public_url: "http://127.0.0.1:8080".into() });
    let choose = |takes_over| InvitationStep::Password {
        takes_over,
        name: FormField::default(),
        password: FormField::default(),
        password_rule: password_rule(),
    };
    page!("invitation-new", invitation(choose(false)));
    page!("invitation-take-over", invitation(choose(true)));
    page!("invitation-sign-in", invitation(InvitationStep::SignInFirst { signed_in_as: None }));
    let other = Some("other@acme.example".to_owned());
    page!("invitation-other", invitation(InvitationStep::SignInFirst { signed_in_as: other }));
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
            roles: role_choices("deployer"),
            expiry: expiry("90"),
            begin: Begin { chosen: "now".into(), first_day: "2026-11-24".into(), ..Begin::default() },
            labels: FormField::new("team=shop"),
            ..TokenForm::default()
        },
        owners: owner_fields(),
        shown: 1_795_562_400_000_000,
        password: None,
        error: None,
    };
    page!("token-new", token_new);
    let mut refused = token_new.clone();
    refused.form.name = FormField::new("terraform-prod")
        .refused("A token of this name exists. Choose another name, or delete that one first.");
    refused.form.roles.error = Some("Choose a role.".into());
    refused.form.roles.chosen = String::new();
    refused.password = second_factor::refused_proof();
    refused.form.expiry.chosen = "date".into();
    refused.form.expiry.date = FormField::new("2020-01-01").refused("This day is over.");
    refused.form.networks = FormField::new("10.0.0.1/8 office")
        .refused("`10.0.0.1/8` is no network: it lies in 10.0.0.0/8. Write that, or the address alone: 10.0.0.1");
    page!("token-new-refused", refused);
    let mut token_edit = TokenEditPage {
        shell: shell(Nav::Tokens),
        token: tokens().remove(4),
        form: token_new.form.clone(),
        owners: OwnerFields { owner_error: Some("It is not a member of this organization.".into()), ..owner_fields() },
        version: "1795562400000000".into(),
        use_so_far: "It was allowed 18,204 times, and last used 4 minutes ago.".into(),
        effect: None,
        password: None,
        error: None,
    };
    token_edit.form.name = FormField::new("staging-deploys");
    token_edit.form.expiry.kept = Some("22 Feb 2027".into());
    token_edit.form.expiry.chosen = "keep".into();
    token_edit.form.begin.kept = Some("1 Dec 2026, 09:30 UTC".into());
    token_edit.form.begin.chosen = "date".into();
    token_edit.form.begin.date = FormField::new("2020-01-01").refused("This day is over.");
    page!("token-edit", token_edit.clone());
    token_edit.effect = Some(effect());
    page!("token-edit-effect", token_edit);
    page!("token-created", token_created());
    page!("token-shown", TokenShownPage { list: "tokens", shell: shell(Nav::Tokens), token: tokens().remove(4) });
    let rotated = "The secret before (…m4Bc) is accepted until 25 Nov 2026, 23:20 UTC.";
    page!("token-rotated", TokenCreatedPage { rotated: Some(rotated.into()), ..token_created() });
    page!("tokens-delete", bulk_page("delete"));
    page!("tokens-end", bulk_page("set_end"));
    page!("tokens-disable", bulk_page("disable"));
    page!("tokens-enable", bulk_page("enable"));
    page!("tokens-hand-over", bulk_page("hand_over"));
    page!(
        "tokens-revoke-all",
        TokenRevokeAllPage {
            shell: shell(Nav::Tokens),
            there_are: "1,204 tokens".into(),
            none: false,
            created_before: FormField::default(),
            reasons: vec![choice("key_compromise", true), choice("cessation", false)],
            note: FormField::default(),
            typed: FormField::default(),
            password: None,
            error: None,
        }
    );
    import_pages(&mut pages);
    policy_pages(&mut pages);
    page!(
        "token-rotate",
        TokenRotatePage {
            shell: shell(Nav::Tokens),
            list: "tokens",
            token: tokens().remove(4),
            version: 1,
            choices: vec![("0", "Not at all", "One has leaked."), ("24h", "For a day", "Time to hand on the new one.")],
            chosen: "24h".into(),
            when_silent: true,
            password: None,
            error: None,
        }
    );
    page!(
        "token-brownout",
        TokenBrownoutPage {
            shell: shell(Nav::Tokens),
            list: "tokens",
            token: tokens().remove(0),
            minutes: vec![Choice { value: "5".into(), label: "5 minutes".into(), chosen: true }],
            minutes_error: None,
            every: vec![Choice { value: "1h".into(), label: "Every hour".into(), chosen: true }],
            every_error: None,
            lasts: vec![Choice { value: "3d".into(), label: "For 3 days".into(), chosen: true }],
            lasts_error: Some("leaves no time for a window".into()),
            error: None,
        }
    );
    page!("token", token_page());
    page!("token-untracked", TokenPage { usage: None, token: tokens().remove(0), ..token_page() });
    let reasons = vec![Choice { value: "unspecified".into(), label: "No reason in particular".into(), chosen: true }];
    let token_delete = TokenDeletePage {
        shell: shell(Nav::Tokens),
        list: "tokens",
        token: tokens().remove(5),
        reasons,
        note: FormField::default(),
        undo: "Within 1h that can be undone, unless it has leaked.".into(),
        error: None,
    };
    page!("token-delete", token_delete.clone());
    page!(
        "token-delete-nasty",
        TokenDeletePage {
            token: tokens().remove(0),
            error: Some("It was changed meanwhile. Look again.".into()),
            ..token_delete
        }
    );
    let gone = RevocationView {
        at: moment(-HOUR / 2),
        by: Some("owner@acme.example".into()),
        reason: "What used it is no more.".into(),
        note: Some(NASTY.into()),
        undo_until: Some(moment(HOUR / 2)),
    };
    let mut deleted = tokens().remove(4);
    deleted.state = TokenState::Revoked;
    let refused = |often: &str, whole| RefusedView {
        often: often.into(),
        any: true,
        whole,
        since: moment(-HOUR / 2),
        last: Some(LastUsed { at: moment(-MINUTE), from: Some("203.0.113.77".into()), agent: Some(NASTY.into()) }),
    };
    page!(
        "token-deleted",
        TokenPage {
            revocation: Some(gone),
            refused: Some(refused("3 times", true)),
            refused_earlier: Some(refused("once", false)),
            token: deleted,
            versions: Vec::new(),
            ..token_page()
        }
    );

    page!("events", events_page());
    page!("events-none", events_with_a_filter());
    let check = |verdict| LogCheckPage { shell: shell(Nav::Events), verdict, public_key: "5f".repeat(32) };
    page!("log-check", check(LogVerdict::Never));
    page!("log-check-running", check(LogVerdict::Running { seen: "120,000".into(), end: "1,000,000".into() }));
    page!("log-check-failed", check(LogVerdict::Failed { at: moment(-MINUTE) }));
    let holds = LogVerdict::Holds {
        at: moment(-MINUTE),
        events: "1,000,000".into(),
        erased: "12".into(),
        checkpoints: 24,
        unknown: "3 checkpoints, the first at position 1,200, are signed with a key from elsewhere.".into(),
        head: format!("1000000:{}", "ab".repeat(32)),
    };
    page!("log-check-holds", check(holds));
    let fault = "the event is not the one that was written".into();
    page!("log-check-fails", check(LogVerdict::Fails { at: moment(-MINUTE), position: "4,711".into(), fault }));
    let settings = SettingsPage {
        shell: shell(Nav::Settings),
        id: id(1),
        form: SettingsForm {
            name: FormField::new("Acme"),
            description: FormField::new("Everything the shop needs"),
            website_url: FormField::new("https://acme.example"),
            ..SettingsForm::default()
        },
        retention: Some(RetentionForm {
            own: FormField::new("90d"),
            server: "At least a day. Empty is what this server says, 400 days, which is also the longest.".into(),
        }),
        plan: "Enterprise".into(),
        created: moment(-300 * DAY),
        public_url: URL.into(),
        may_edit: true,
        may_rule: true,
        may_transfer: true,
        may_delete: true,
        error: None,
    };
    page!("settings", settings);
    page!(
        "settings-read",
        SettingsPage { may_edit: false, may_transfer: false, may_delete: false, ..settings.clone() }
    );
    page!("organization-sign-in", organization_sign_in());
    page!("organization-sign-in-only", sign_in_only());
    page!("sign-in-trial", sign_in_trial());
    page!("organization-sign-in-prove", SignInOnlyPage { prove: Some("/sign-in/with/corp".into()), ..sign_in_only() });
    page!(
        "organization-new",
        OrganizationNewPage {
            shell: shell(Nav::Settings),
            name: FormField::default(),
            description: FormField::default(),
            error: None
        }
    );
    pages.extend(account());
    let member_events = MemberEventsPage {
        shell: shell(Nav::Members),
        name: NASTY.into(),
        email: "devops@acme.example".into(),
        events: account_events(),
        older: Some(format!("/console/{}/members/{}/events?before=2026-11-24T00:00:00Z", id(1), id(31))),
    };
    page!("member-events", member_events);
    page!("member-events-none", MemberEventsPage { events: Vec::new(), older: None, ..member_events.clone() });

    let members_page = MembersPage {
        shell: shell(Nav::Members),
        members: members(),
        list: lists::frame(&["Name", "Role", "Joined", "Last active", "Tokens made"]),
        invited: lists::frame(&["E-mail", "Role", "Invited", "Link ends"]),
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
            email: FormField::new("new@acme.example").refused("This address is invited already."),
            roles: role_choices("viewer"),
            sends_mail: false,
            error: None
        }
    );
    page!("invitation-created", invitation_created());
    let role_page = MemberPage {
        shell: shell(Nav::Members),
        member: MemberRow { rule: None, ..members().remove(1) },
        roles: role_choices("devops"),
        tokens: MemberTokens { may_change: false, ..member_tokens() },
        heirs: heirs(2),
        sent: members_page.invitations.iter().take(1).cloned().collect(),
        keep_invitations: false,
        error: None,
    };
    page!("member-by-rule", MemberPage { member: members().remove(1), ..role_page.clone() });
    page!("member", role_page);
    page!(
        "member-remove",
        MemberRemovePage {
            shell: shell(Nav::Members),
            member: members().remove(1),
            tokens: member_tokens(),
            heirs: heirs(1),
            sent: members_page.invitations.clone(),
            keep_invitations: true,
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
            typed: FormField::new("acme").refused("Write it as it is: Acme."),
            password: proof_fields(),
            error: None
        }
    );
    page!(
        "transfer-nobody",
        TransferPage {
            shell: shell(Nav::Members),
            candidates: Vec::new(),
            chosen: String::new(),
            typed: FormField::default(),
            password: None,
            error: None
        }
    );

    page!("roles", roles_page());
    let built_in = roles_page().roles.into_iter().filter(|role| role.built_in).collect();
    let none = RolesPage { shell: shell(Nav::Roles), roles: built_in, has_custom: false, ..roles_page() };
    page!("roles-none", none);
    page!(
        "role-built-in",
        BuiltInRolePage {
            shell: shell(Nav::Roles),
            role: role_row(65, "Viewer", BuiltIn::Viewer.meaning(), 1, 2),
            permissions: Management::ALL
                .iter()
                .filter(|own| BuiltIn::Viewer.management().has(**own))
                .map(|own| (own.to_string(), "Sees it.".to_owned()))
                .collect(),
            trial: Some(role_trial()),
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
    fresh.faults = vec![FaultLine {
        field: "permissions".into(),
        label: "Permissions".into(),
        text: "“token:manage” is reserved.".into(),
    }];
    fresh.form = RoleForm { permissions: FormField::new("token:manage").refused("Line 1: token:manage is reserved. A custom role can hold token:verify, token:rotate-self and event:read, by the boxes below, and permissions of your own API."), ..RoleForm::default() };
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
            facts: vec![DetailLine { name: "Id".into(), value: id(67), mono: true }],
            action: "/console/1/roles/67/delete".into(),
            button: "Delete role".into(),
            type_to_confirm: None,
            typed: FormField::default(),
            roles: Some(role_choices(&id(11))),
            password: None,
            error: None,
        }
    );

    page!(
        "projects",
        ProjectsPage {
            shell: shell(Nav::Projects),
            projects: vec![project(40, "billing", "", 0), project(42, "web-shop", "The shop and its back office", 4)],
            list: lists::frame(&["Name", "Environments", "Changed"]),
            may_create: true
        }
    );
    page!(
        "projects-empty",
        ProjectsPage {
            shell: shell(Nav::Projects),
            projects: Vec::new(),
            list: ListFrame::default(),
            may_create: true
        }
    );
    page!("project", project_page());
    page!(
        "project-new",
        ProjectPage {
            project: None,
            form: ProjectForm {
                name: FormField::new("web-shop").refused("A project of this name exists."),
                description: FormField::default()
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
                DetailLine {
                    name: "Environments".into(),
                    value: "dev, pr-318, staging, production".into(),
                    mono: false
                },
                DetailLine { name: "Id".into(), value: id(42), mono: true }
            ],
            action: "/console/1/projects/42/delete".into(),
            button: "Delete project".into(),
            type_to_confirm: Some("web-shop".into()),
            typed: FormField::new("webshop").refused("Write it as it is: web-shop."),
            roles: None,
            password: None,
            error: Some("It was changed meanwhile. Look again.".into()),
        }
    );
    let environment = EnvironmentPage {
        shell: shell(Nav::Projects),
        project_id: id(42),
        project_name: "web-shop".into(),
        environment: Some(environments().remove(2)),
        form: EnvironmentForm {
            name: FormField::new("staging"),
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
    let node = |name: &str, this, behind, mark| NodeRow {
        name: name.into(),
        kind: if behind > 0 { "embedded" } else { "server" }.into(),
        version: "0.1.0".into(),
        this,
        position: "4,711".into(),
        behind,
        mark,
        age_ms: 430,
        bound: 60,
        applied: this.then(|| moment(-HOUR)),
        started: moment(-3 * HOUR),
    };
    let nodes = vec![node("node-a", true, 0, 96), node("node-b", false, 0, 96), node(NASTY, false, 12, 78)];
    page!("nodes", NodesPage { shell: shell(Nav::Nodes), nodes, end: "4,711".into() });
    let cluster = ClusterPage {
        shell: shell(Nav::Clusters),
        cluster: Some(clusters().remove(0)),
        form: ClusterForm {
            name: FormField::new("eu-prod"),
            description: FormField::default(),
            providers: choices(&["AWS", "Scaleway", "On premise"]),
            provider_error: None,
            region: FormField::new("eu-west-3"),
            production: true,
        },
        may_edit: true,
        may_delete: true,
        error: None,
    };
    page!("cluster", cluster);
    page!("cluster-new", ClusterPage { cluster: None, ..cluster.clone() });

    page!("api", api_page());
    page!(
        "api-new",
        ApiPage {
            api: None,
            table: None,
            asked: None,
            form: ApiForm {
                document: FormField::new("openapi: 2.0")
                    .refused("Line 1: this is OpenAPI 2. Convert it to OpenAPI 3 first."),
                ..ApiForm::default()
            },
            ..api_page()
        }
    );
    let row = |mark, path: &str, ways: &[&str], before: &[&str]| ReviewRow {
        mark,
        method: "GET".into(),
        path: path.into(),
        ways: ways.iter().map(|way| vec![(*way).to_owned()]).collect(),
        before: before.iter().map(|way| vec![(*way).to_owned()]).collect(),
    };
    page!(
        "api-review",
        ApiPage {
            table: None,
            asked: None,
            review: Some(ApiReview {
                sum: "812 routes: 1 new, 1 different, 1 gone".into(),
                notes: vec!["scopes that are no “noun:verb”; the path counts: 3 (GET /orders)".into()],
                routes: vec![
                    row("new", "/orders", &["orders:read"], &[]),
                    row("different", "/invoices", &["ledger:read", "invoices:read"], &["invoices:read"]),
                    row("gone", NASTY, &[], &["old:read"]),
                    row("", "/health", &["health:read"], &[]),
                ],
                more: Some("and 312 more".into()),
                roles: vec![("viewer".into(), "1: GET /orders".into(), String::new())],
            }),
            form: ApiForm {
                readings: vec![("encoded_slash", "They divide a path at “/” before they decode it.".into(), true)],
                ..ApiForm::default()
            },
            ..api_page()
        }
    );
    for (name, answer) in [
        ("api-any-token", RouteAnswer::AnyToken),
        ("api-unknown", RouteAnswer::Unknown),
        ("api-ambiguous", RouteAnswer::Ambiguous),
        ("api-no-path", RouteAnswer::NoPath),
    ] {
        let mut page = api_page();
        page.asked.as_mut().unwrap().answer = Some(answer);
        pages.push((name.into(), page.render().unwrap()));
    }
    let mut none = api_page();
    let table = none.table.as_mut().unwrap();
    (table.search, table.sum) = (NASTY.into(), "0 that match, of 5 routes".into());
    table.routes.clear();
    page!("api-none-found", none);
    page!("decisions", decisions_page());
    page!("decisions-live", DecisionsPage { live: Some("?live=1".into()), decisions: Vec::new(), ..decisions_page() });
    page!("decisions-found", DecisionsPage { searched: NASTY.into(), ..decisions_page() });
    page!("decisions-none", DecisionsPage { searched: NASTY.into(), decisions: Vec::new(), ..decisions_page() });
    lists::pages(&mut pages);
    insight::pages(&mut pages);
    pages
}
