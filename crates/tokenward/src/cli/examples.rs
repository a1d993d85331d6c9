//! Two examples of every command, for its help and its manual page.

/// The examples of the command with this name, such as `token create`.
#[must_use]
pub fn of(command: &str) -> Option<&'static [&'static str; 2]> {
    EXAMPLES.iter().find(|(name, _)| *name == command).map(|(_, examples)| examples)
}

/// The examples of a command for its help.
#[must_use]
pub fn shown(examples: &[&str; 2]) -> String {
    format!("Examples:\n  {}\n  {}", examples[0], examples[1])
}

/// Every command that does something, and two ways to use it.
pub const EXAMPLES: &[(&str, [&str; 2])] = &[
    ("serve", ["tokenward serve", "tokenward serve --listen 0.0.0.0:8080 --public-url https://tokens.acme.example"]),
    (
        "bootstrap",
        [
            "tokenward bootstrap --organization Acme --owner-email ada@acme.example",
            "tokenward bootstrap --organization Acme --owner-email ada@acme.example --if-absent --json",
        ],
    ),
    (
        "new-organization",
        [
            "tokenward new-organization --organization Globex --owner-email bob@globex.example",
            "tokenward new-organization --organization Globex --owner-email bob@globex.example --jq .sign_in_url",
        ],
    ),
    (
        "sign-in-link",
        [
            "tokenward sign-in-link ada@acme.example",
            "tokenward sign-in-link ada@acme.example --data-dir /var/lib/tokenward",
        ],
    ),
    ("identity list", ["tokenward identity list", "tokenward identity list ada@acme.example --json"]),
    (
        "identity link",
        [
            "tokenward identity link ada@acme.example --issuer https://sso.acme.example --subject 00u1a2b3",
            "tokenward identity link bob@acme.example --issuer https://sso.acme.example --subject 00u4c5d6 --config tokenward.toml",
        ],
    ),
    (
        "identity remove",
        [
            "tokenward identity remove 0193614c-2a00-7c41-9f3a-5b1e0c7d2f68",
            "tokenward identity remove 0193614c-2a00-7c41-9f3a-5b1e0c7d2f68 --data-dir /var/lib/tokenward",
        ],
    ),
    (
        "identity move",
        [
            "tokenward identity move --from https://old.acme.example --to https://sso.acme.example --dry-run",
            "tokenward identity move --from https://old.acme.example --to https://sso.acme.example",
        ],
    ),
    (
        "identity export",
        [
            "tokenward identity export > identities.csv",
            "tokenward identity export --data-dir /var/lib/tokenward > identities.csv",
        ],
    ),
    (
        "identity import",
        ["tokenward identity import identities.csv --dry-run", "tokenward identity import - < identities.csv"],
    ),
    ("oidc test", ["tokenward oidc test corp", "tokenward oidc test corp --config /etc/tokenward/tokenward.toml"]),
    (
        "backup",
        ["tokenward backup tokenward-monday.db", "tokenward backup /backup --keep 14 --data-dir /var/lib/tokenward"],
    ),
    (
        "restore",
        [
            "tokenward restore tokenward-monday.db --data-dir /var/lib/tokenward",
            "tokenward restore tokenward-monday.db --without-journal",
        ],
    ),
    ("log verify", ["tokenward log verify --data-dir /var/lib/tokenward --json", "tokenward log verify --online"]),
    ("log head", ["tokenward log head --jq .position", "tokenward log head --url https://tokens.acme.example"]),
    (
        "log export",
        [
            "tokenward log export --data-dir /var/lib/tokenward | gzip > events.jsonl.gz",
            "tokenward log export --online --format cef --follow --from 1234 | logger",
        ],
    ),
    ("log checkpoint", ["tokenward log checkpoint", "tokenward log checkpoint > checkpoint.json"]),
    ("log key", ["tokenward log key", "tokenward log key --jq '.keys[0]'"]),
    ("log status", ["tokenward log status", "tokenward log status --jq .warning"]),
    ("log acknowledge", ["tokenward log acknowledge", "tokenward log acknowledge --organization Acme"]),
    ("pepper add", ["tokenward pepper add", "tokenward pepper add --data-dir /var/lib/tokenward"]),
    ("pepper status", ["tokenward pepper status", "tokenward pepper status --jq '.left[].name'"]),
    ("pepper retire", ["tokenward pepper retire 1", "tokenward pepper retire 1 --revoke-remaining"]),
    ("migrate", ["tokenward migrate", "tokenward migrate --config /etc/tokenward/tokenward.toml"]),
    (
        "run",
        [
            "tokenward run --role deployer -- ./deploy.sh",
            "tokenward run --role devops --permission invoices:read --expires 15m --env API_TOKEN -- make report",
        ],
    ),
    ("policy check", ["tokenward policy check reader.rego", "tokenward policy check - < reader.rego"]),
    (
        "policy eval",
        [
            "tokenward policy eval reader.rego --method GET --path /organization",
            "tokenward policy eval reader.rego --method POST --path /invoices --body '{\"total\": 7}' --gateway",
        ],
    ),
    ("policy test", ["tokenward policy test policies", "tokenward policy test ."]),
    (
        "login",
        [
            "tokenward login",
            "tokenward login --email ada@acme.example --url https://tokens.acme.example < password.txt",
        ],
    ),
    ("logout", ["tokenward logout", "tokenward logout --url https://tokens.acme.example"]),
    ("whoami", ["tokenward whoami", "tokenward whoami --jq .role.name"]),
    ("org list", ["tokenward org list", "tokenward org list --json id,name"]),
    ("org use", ["tokenward org use Acme", "tokenward org use --none"]),
    ("org rules list", ["tokenward org rules list", "tokenward org rules list --json"]),
    (
        "org rules set",
        ["tokenward org rules set corp:platform=devops corp:finance=billing", "tokenward org rules set --none"],
    ),
    ("org sign-in show", ["tokenward org sign-in show", "tokenward org sign-in show --json"]),
    (
        "org sign-in set",
        [
            "tokenward org sign-in set --provider corp --session-lifetime 8h --session-idle 30m",
            "tokenward org sign-in set --two-factors --grace-days 14 --dry-run",
        ],
    ),
    (
        "token create",
        [
            "tokenward token create ci-deploys --role deployer --expires 90d",
            "tokenward token create reports --role viewer --expires 1y --network '203.0.113.0/24 office' -q > reports.token",
        ],
    ),
    (
        "token list",
        ["tokenward token list --ends-in 14d", "tokenward token list --unused 90d --json id,name,last_used_at"],
    ),
    ("token show", ["tokenward token show ci-deploys", "tokenward token show ci-deploys --jq .expires_at"]),
    (
        "token edit",
        [
            "tokenward token edit ci-deploys --expires 90d",
            "tokenward token edit ci-deploys --role viewer --label team=shop --dry-run",
        ],
    ),
    (
        "token rotate",
        ["tokenward token rotate ci-deploys --keep 24h", "tokenward token rotate --self --keep 1h -q > ci.token"],
    ),
    (
        "token end",
        ["tokenward token end ci-deploys --secret 1", "tokenward token end ci-deploys --secret 1 --yes --wait 5"],
    ),
    ("token disable", ["tokenward token disable ci-deploys", "tokenward token disable ci-deploys --wait 5"]),
    (
        "token enable",
        ["tokenward token enable ci-deploys", "tokenward token enable 0193614c-2a00-7c41-9f3a-5b1e0c7d2f68"],
    ),
    ("token attest", ["tokenward token attest ci-deploys", "tokenward token attest ci-deploys --jq .attested_at"]),
    ("token brownout", ["tokenward token brownout ci-deploys", "tokenward token brownout ci-deploys --json"]),
    (
        "token delete",
        ["tokenward token delete ci-deploys", "tokenward token delete ci-deploys --reason key_compromise --yes"],
    ),
    (
        "account email",
        [
            "tokenward account email ada@acme.example",
            "tokenward account email ada@new.acme.example --url https://tokens.acme.example",
        ],
    ),
    ("account", ["tokenward account", "tokenward account --json email,passkeys,second_factor"]),
    ("account show", ["tokenward account show", "tokenward account show --json email"]),
    (
        "account edit",
        [
            "tokenward account edit --name 'Ada Lovelace'",
            "tokenward account edit --communication-email ada@acme.example",
        ],
    ),
    ("account password set", ["tokenward account password set", "tokenward account password set < passwords.txt"]),
    ("account password remove", ["tokenward account password remove", "tokenward account password remove --yes"]),
    (
        "account passkeys list",
        ["tokenward account passkeys list", "tokenward account passkeys list --json name,works,last_used_at"],
    ),
    (
        "account passkeys rename",
        [
            "tokenward account passkeys rename Laptop 'Old laptop'",
            "tokenward account passkeys rename 0199d5a2-8c1e-7d3b-9f10-6a5b4c3d2e1f Phone",
        ],
    ),
    (
        "account passkeys remove",
        [
            "tokenward account passkeys remove 'Old laptop'",
            "tokenward account passkeys remove 0199d5a2-8c1e-7d3b-9f10-6a5b4c3d2e1f --yes",
        ],
    ),
    (
        "account second-factor show",
        ["tokenward account second-factor show", "tokenward account second-factor show --jq .recovery_codes_left"],
    ),
    (
        "account second-factor add",
        ["tokenward account second-factor add", "tokenward account second-factor add -q > recovery-codes.txt"],
    ),
    (
        "account second-factor remove",
        ["tokenward account second-factor remove", "tokenward account second-factor remove --yes"],
    ),
    (
        "account second-factor recovery-codes",
        [
            "tokenward account second-factor recovery-codes",
            "tokenward account second-factor recovery-codes --jq '.recovery_codes[]' > recovery-codes.txt",
        ],
    ),
    (
        "account identities list",
        ["tokenward account identities list", "tokenward account identities list --json email,issuer"],
    ),
    (
        "account identities unlink",
        [
            "tokenward account identities unlink ada@acme.example",
            "tokenward account identities unlink 0199d5a2-8c1e-7d3b-9f10-6a5b4c3d2e1f --yes",
        ],
    ),
    ("account sessions list", ["tokenward account sessions list", "tokenward account sessions list -q"]),
    (
        "account sessions end",
        [
            "tokenward account sessions end 0199d5a2-8c1e-7d3b-9f10-6a5b4c3d2e1f",
            "tokenward account sessions end --others",
        ],
    ),
    (
        "policy-token create",
        [
            "tokenward policy-token create reader --policy reader.rego --role viewer",
            "tokenward policy-token create reader --policy - --role viewer --expires 90d --local",
        ],
    ),
    (
        "policy-token list",
        ["tokenward policy-token list", "tokenward policy-token list --state revoked --json id,name"],
    ),
    ("policy-token show", ["tokenward policy-token show reader", "tokenward policy-token show reader --policy"]),
    (
        "policy-token edit",
        [
            "tokenward policy-token edit reader --policy reader.rego --dry-run",
            "tokenward policy-token edit reader --name auditor --owner ada@acme.example",
        ],
    ),
    (
        "policy-token attest",
        ["tokenward policy-token attest reader", "tokenward policy-token attest reader --jq .attested_at"],
    ),
    (
        "policy-token bulk delete",
        [
            "tokenward policy-token bulk delete --unused 90d --dry-run",
            "tokenward policy-token bulk delete --owner-left --reason cessation --yes",
        ],
    ),
    (
        "policy-token bulk disable",
        [
            "tokenward policy-token bulk disable --label team=shop",
            "tokenward policy-token bulk disable --attestation overdue --yes",
        ],
    ),
    (
        "policy-token bulk enable",
        [
            "tokenward policy-token bulk enable --state disabled --dry-run",
            "tokenward policy-token bulk enable --label team=shop --yes",
        ],
    ),
    (
        "policy-token bulk hand-over",
        [
            "tokenward policy-token bulk hand-over --owner bob@acme.example --to ada@acme.example",
            "tokenward policy-token bulk hand-over --owner-left --to none --dry-run",
        ],
    ),
    (
        "policy-token bulk set-end",
        [
            "tokenward policy-token bulk set-end --expires 90d --no-expiry --dry-run",
            "tokenward policy-token bulk set-end --expires 30d --role admin",
        ],
    ),
    (
        "policy-token end",
        ["tokenward policy-token end reader --secret 1", "tokenward policy-token end reader --secret 1 --yes"],
    ),
    (
        "policy-token disable",
        ["tokenward policy-token disable reader", "tokenward policy-token disable reader --json state"],
    ),
    (
        "policy-token enable",
        ["tokenward policy-token enable reader", "tokenward policy-token enable reader --json state"],
    ),
    (
        "policy-token brownout",
        [
            "tokenward policy-token brownout reader --minutes 5 --every 1h",
            "tokenward policy-token brownout reader --end",
        ],
    ),
    (
        "policy-token undo",
        ["tokenward policy-token undo reader", "tokenward policy-token undo 0199d5a2-8c1e-7d3b-9f10-6a5b4c3d2e1f"],
    ),
    (
        "policy-token rotate",
        ["tokenward policy-token rotate reader --keep 24h", "tokenward policy-token rotate reader --keep 0 --local"],
    ),
    (
        "policy-token delete",
        [
            "tokenward policy-token delete reader",
            "tokenward policy-token delete reader --reason cessation --note 'the old pipeline' --yes",
        ],
    ),
    (
        "token bulk delete",
        [
            "tokenward token bulk delete --unused 90d --dry-run",
            "tokenward token bulk delete --creator-left --note 'left in May' --yes",
        ],
    ),
    (
        "token bulk disable",
        ["tokenward token bulk disable --label team=shop", "tokenward token bulk disable --unused 90d --yes"],
    ),
    (
        "token bulk enable",
        ["tokenward token bulk enable --label team=shop", "tokenward token bulk enable --all --dry-run"],
    ),
    (
        "token bulk hand-over",
        [
            "tokenward token bulk hand-over --owner bob@acme.example --to ada@acme.example",
            "tokenward token bulk hand-over --owner-left --to none --dry-run",
        ],
    ),
    (
        "token bulk set-end",
        [
            "tokenward token bulk set-end --expires 90d --no-expiry --dry-run",
            "tokenward token bulk set-end --expires 30d --role admin",
        ],
    ),
    (
        "token import",
        ["tokenward token import old-tokens.csv --dry-run", "tokenward token import old-tokens.csv --json"],
    ),
    (
        "token revoke-all",
        [
            "tokenward token revoke-all --dry-run",
            "tokenward token revoke-all --created-before 2027-01-31 --reason key_compromise --yes",
        ],
    ),
    ("token undo", ["tokenward token undo ci-deploys", "tokenward token undo 0193614c-2a00-7c41-9f3a-5b1e0c7d2f68"]),
    ("token-policy show", ["tokenward token-policy show", "tokenward token-policy show --json"]),
    (
        "token-policy set",
        [
            "tokenward token-policy set --max-lifetime 1y --default-lifetime 90d",
            "tokenward token-policy set --attest-every 180d",
        ],
    ),
    ("token-policy shorten", ["tokenward token-policy shorten", "tokenward token-policy shorten --organization Acme"]),
    (
        "verify",
        [
            "tokenward verify --permission invoices:read < presented.token",
            "tokenward verify --api shop --method POST --path /invoices -q < presented.token",
        ],
    ),
    ("revoke", ["tokenward revoke < leaked.token", "tokenward revoke --wait 10 --json < leaked.token"]),
    (
        "can",
        [
            "tokenward can ci-deploys invoices:read",
            "tokenward can shop-reader --api shop --method POST --path /invoices",
        ],
    ),
    ("role list", ["tokenward role list", "tokenward role list --json id,name"]),
    ("role show", ["tokenward role show deployer", "tokenward role show deployer --jq '.permissions[]'"]),
    (
        "role create",
        [
            "tokenward role create reader --permission 'invoices:read' --permission 'orders:*'",
            "tokenward role create deployer --file deployer.toml",
        ],
    ),
    ("role edit", ["tokenward role edit deployer deployer.toml", "tokenward role edit deployer - < deployer.json"]),
    ("role delete", ["tokenward role delete reader", "tokenward role delete reader --move-to viewer --yes"]),
    ("member list", ["tokenward member list", "tokenward member list --jq '.members[].email'"]),
    (
        "member invite",
        [
            "tokenward member invite bob@acme.example --role devops",
            "tokenward member invite bob@acme.example --role viewer -q",
        ],
    ),
    (
        "member role",
        [
            "tokenward member role bob@acme.example --role viewer",
            "tokenward member role bob@acme.example --role viewer --hand-over-to ada@acme.example",
        ],
    ),
    (
        "member detach",
        ["tokenward member detach bob@acme.example", "tokenward member detach bob@acme.example --organization Acme"],
    ),
    (
        "member remove",
        [
            "tokenward member remove bob@acme.example --hand-over-to ada@acme.example",
            "tokenward member remove bob@acme.example --end ci-deploys --overlap 7d --delete old-job --yes",
        ],
    ),
    ("project list", ["tokenward project list", "tokenward project list --json id,name"]),
    (
        "project create",
        ["tokenward project create shop", "tokenward project create shop --description 'The web shop' -q"],
    ),
    ("project delete", ["tokenward project delete shop", "tokenward project delete shop --yes"]),
    ("environment list", ["tokenward environment list --project shop", "tokenward environment list --project shop -q"]),
    (
        "environment create",
        [
            "tokenward environment create staging --project shop --cluster eu",
            "tokenward environment create production --project shop --cluster eu --json",
        ],
    ),
    (
        "environment delete",
        [
            "tokenward environment delete staging --project shop",
            "tokenward environment delete staging --project shop --yes",
        ],
    ),
    ("cluster list", ["tokenward cluster list", "tokenward cluster list --json id,name,region"]),
    (
        "cluster create",
        [
            "tokenward cluster create eu --region eu-west-3 --cloud-provider AWS",
            "tokenward cluster create office --region paris --cloud-provider ON_PREMISE -q",
        ],
    ),
    ("cluster delete", ["tokenward cluster delete eu", "tokenward cluster delete eu --yes"]),
    ("api import", ["tokenward api import shop openapi.yaml --dry-run", "tokenward api import shop - < openapi.json"]),
    ("api list", ["tokenward api list", "tokenward api list -q"]),
    ("api show", ["tokenward api show shop", "tokenward api show shop --json"]),
    ("api delete", ["tokenward api delete shop", "tokenward api delete shop --yes"]),
    ("plan", ["tokenward plan --file acme.yaml", "tokenward plan --file acme.yaml --prune --json"]),
    ("apply", ["tokenward apply --file acme.yaml", "tokenward apply --schema > acme.schema.json"]),
    ("decision show", ["tokenward decision show d_4f1k2m", "tokenward decision show d_4f1k2m --json"]),
    (
        "decision list",
        ["tokenward decision list --denied", "tokenward decision list --reason permission_denied --limit 500"],
    ),
    (
        "usage",
        ["tokenward usage --group token", "tokenward usage --from 2027-01-01 --to 2027-01-31 --csv > january.csv"],
    ),
    (
        "usage permissions",
        ["tokenward usage permissions --role deployer", "tokenward usage permissions --token ci-deploys --days 90"],
    ),
    ("account events", ["tokenward account events", "tokenward account events --member bob@acme.example"]),
    ("session list", ["tokenward session list", "tokenward session list -q"]),
    (
        "session end",
        [
            "tokenward session end 0193614c-2a00-7c41-9f3a-5b1e0c7d2f68",
            "tokenward session end 0193614c-2a00-7c41-9f3a-5b1e0c7d2f68 --url https://tokens.acme.example",
        ],
    ),
    (
        "event list",
        [
            "tokenward event list --kind token.deleted --target ci- --by ada --since 24h",
            "tokenward event list --follow --json kind,target_name,triggered_by",
        ],
    ),
    ("event retention", ["tokenward event retention", "tokenward event retention --set 400d"]),
    (
        "event proof",
        [
            "tokenward event proof 0193614c-2a00-7c41-9f3a-5b1e0c7d2f68",
            "tokenward event proof 0193614c-2a00-7c41-9f3a-5b1e0c7d2f68 > proof.json",
        ],
    ),
    (
        "event check-proof",
        [
            "tokenward event check-proof proof.json --public-key 5f0c6e1d9a7b48c2e3f1a0b9d8c7e6f5041322314f5e6d7c8b9aa0b1c2d3e4f5",
            "tokenward event check-proof - --public-key 5f0c6e1d9a7b48c2e3f1a0b9d8c7e6f5041322314f5e6d7c8b9aa0b1c2d3e4f5 --json < proof.json",
        ],
    ),
    ("event verify", ["tokenward event verify", "tokenward event verify --from 1000 --json"]),
    (
        "node receipt",
        [
            "tokenward node receipt 019e0d6c-7a1e-7bb0-9d5b-2f9b7d0c6a11/4711",
            "tokenward node receipt 019e0d6c-7a1e-7bb0-9d5b-2f9b7d0c6a11/4711 --json effective,nodes",
        ],
    ),
    ("node list", ["tokenward node list", "tokenward node list --json name,behind"]),
    ("health", ["tokenward health", "tokenward health --for write --url unix:/run/tokenward/tokenward.sock"]),
    ("status", ["tokenward status", "tokenward status --size"]),
    ("limits", ["tokenward limits", "tokenward limits --jq '.limits[] | select(.setting).name'"]),
    ("completions", ["tokenward completions bash", "tokenward completions zsh > _tokenward"]),
    ("man", ["tokenward man | man -l -", "tokenward man token create | man -l -"]),
];
