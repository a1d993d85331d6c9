//! What organizations say of sign-ins: the rules by which a provider's people are members, which memberships a rule made, and the
//! providers of which one must have proved a session.

use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::role::RoleKind;
use tokenward_core::sign_in::{SignInPolicy, SignInRule};
use tokenward_core::time::Micros;
use tokenward_core::{Error, Result, Time, Uuid};

use crate::db::{Conn, by_ids, execute, row, run};
use crate::sign_in_columns::Columns;
use crate::tx::Tx;

row! {
    /// A rule, with its role.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct RuleRow {
        /// The provider, by its key.
        pub provider: String,
        /// What it says.
        pub value: String,
        /// The role of whom it says that.
        pub role_id: Uuid,
        /// Its name.
        pub role_name: String,
        /// Its kind.
        pub role_kind: RoleKind,
    }
}

impl RuleRow {
    /// Without what the role is called.
    #[must_use]
    pub fn rule(&self) -> SignInRule {
        SignInRule { provider: self.provider.clone(), value: self.value.clone(), role_id: self.role_id }
    }
}

/// The rules of an organization, in their order.
pub async fn list(conn: Conn<'_>, organization: Uuid) -> Result<Vec<RuleRow>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT s.provider, s.value, s.role_id, r.name AS role_name, r.kind AS role_kind FROM sign_in_rule s ",
        "JOIN role r ON r.id = s.role_id WHERE s.organization_id = $1 ORDER BY s.position"
    )).bind(organization).fetch_all(&mut *c))
}

/// Writes the rules of the organization of the grant in the place of those before.
pub async fn replace(tx: &mut Tx, grant: &Grant, rules: &[SignInRule]) -> Result<()> {
    grant.permits(Management::MemberManage)?;
    write(tx, grant.organization(), rules).await
}

/// Gives the organization of the grant another version, after its rules were written.
pub async fn touch(tx: &mut Tx, grant: &Grant, now: Time) -> Result<()> {
    grant.permits(Management::MemberManage)?;
    execute!(
        tx.conn(),
        sqlx::query("UPDATE organization SET updated_at = $2 WHERE id = $1 AND deleted_at IS NULL")
            .bind(grant.organization())
            .bind(now.0)
    )?;
    Ok(())
}

/// Writes the rules of this organization in the place of those before.
pub(crate) async fn write(tx: &mut Tx, organization: Uuid, rules: &[SignInRule]) -> Result<()> {
    execute!(tx.conn(), sqlx::query("DELETE FROM sign_in_rule WHERE organization_id = $1").bind(organization))?;
    for (position, rule) in rules.iter().enumerate() {
        execute!(
            tx.conn(),
            sqlx::query(concat!(
                "INSERT INTO sign_in_rule (organization_id, position, provider, value, role_id) ",
                "VALUES ($1, $2, $3, $4, $5)"
            ))
            .bind(organization)
            .bind(i64::try_from(position).unwrap_or(i64::MAX))
            .bind(&rule.provider)
            .bind(&rule.value)
            .bind(rule.role_id)
        )?;
    }
    Ok(())
}

/// Takes the rules for a role back, or lets them give another one. Were there any?
pub async fn leave_role(tx: &mut Tx, grant: &Grant, role: Uuid, to: Option<Uuid>) -> Result<bool> {
    grant.permits(Management::RoleManage)?;
    let before = list(tx.conn(), grant.organization()).await?;
    if !before.iter().any(|rule| rule.role_id == role) {
        return Ok(false);
    }
    let after = before.iter().map(RuleRow::rule).filter_map(|rule| match (rule.role_id == role, to) {
        (false, _) => Some(rule),
        (true, Some(to)) => Some(SignInRule { role_id: to, ..rule }),
        (true, None) => None,
    });
    let after: Vec<SignInRule> = after.collect();
    write(tx, grant.organization(), &after).await?;
    Ok(true)
}

/// The organizations that a sign-in by this provider concerns: those with a rule for it, and those in which one made the account
/// a member.
pub async fn concerned(conn: Conn<'_>, provider: &str, account: Option<Uuid>) -> Result<Vec<Uuid>> {
    run!(conn, c => sqlx::query_scalar(concat!(
        "SELECT o.id FROM organization o WHERE o.deleted_at IS NULL AND (EXISTS (SELECT 1 FROM sign_in_rule s ",
        "WHERE s.organization_id = o.id AND s.provider = $1) OR EXISTS (SELECT 1 FROM member m ",
        "WHERE m.organization_id = o.id AND m.account_id = $2 AND m.rule_provider = $1)) ORDER BY o.id"
    )).bind(provider).bind(account.unwrap_or_default()).fetch_all(&mut *c))
}

/// Says which rule made a membership; `None` makes it one that was made by hand.
pub async fn mark(tx: &mut Tx, grant: &Grant, account: Uuid, rule: Option<(&str, &str)>, now: Time) -> Result<()> {
    grant.permits(Management::MemberManage)?;
    let changed = execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE member SET rule_provider = $3, rule_value = $4, updated_at = $5 ",
            "WHERE organization_id = $1 AND account_id = $2 AND NOT is_owner"
        ))
        .bind(grant.organization())
        .bind(account)
        .bind(rule.map(|(provider, _)| provider))
        .bind(rule.map(|(_, value)| value))
        .bind(now.0)
    )?;
    if changed == 0 { Err(Error::not_found("member")) } else { Ok(()) }
}

/// The members whom a rule made so, of one organization or of all: organization, account, and the provider of the rule.
pub async fn members(conn: Conn<'_>, organization: Option<Uuid>) -> Result<Vec<(Uuid, Uuid, String)>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT organization_id, account_id, rule_provider FROM member WHERE rule_provider IS NOT NULL ",
        "AND ($1 IS NULL OR organization_id = $1) ORDER BY organization_id, account_id"
    )).bind(organization).fetch_all(&mut *c))
}

row! {
    struct PolicyRow {
        id: Uuid,
        sign_in_providers: Option<String>,
        two_factors_at: Option<Time>,
        two_factors_grace: Option<i32>,
        session_lifetime: Option<Micros>,
        session_idle: Option<Micros>,
    }
}

/// The columns of what is asked, and where they say anything.
macro_rules! asking {
    () => {
        concat!(
            "SELECT id, sign_in_providers, two_factors_at, two_factors_grace, session_lifetime, session_idle FROM organization ",
            "WHERE (sign_in_providers IS NOT NULL OR two_factors_at IS NOT NULL ",
            "OR session_lifetime IS NOT NULL OR session_idle IS NOT NULL)"
        )
    };
}

/// What these organizations, or all, ask of sessions; those that take any are left out.
pub async fn asked(conn: Conn<'_>, organizations: Option<&[Uuid]>) -> Result<Vec<(Uuid, SignInPolicy)>> {
    let rows: Vec<PolicyRow> = match organizations {
        Some(ids) => by_ids(conn, concat!(asking!(), " AND id IN"), ids).await?,
        None => run!(conn, c => sqlx::query_as(concat!(asking!(), " ORDER BY id")).fetch_all(&mut *c))?,
    };
    let read = |row: PolicyRow| {
        let PolicyRow { id, sign_in_providers, two_factors_at, two_factors_grace, session_lifetime, session_idle } =
            row;
        let providers = sign_in_providers.as_deref();
        (id, Columns { providers, two_factors_at, two_factors_grace, session_lifetime, session_idle }.policy())
    };
    Ok(rows.into_iter().map(read).collect())
}

/// What an organization asks of sessions.
pub async fn asked_by(conn: Conn<'_>, organization: Uuid) -> Result<SignInPolicy> {
    Ok(asked(conn, Some(&[organization])).await?.pop().map(|(_, policy)| policy).unwrap_or_default())
}

/// Writes what the organization of the grant asks of sessions.
pub async fn ask(tx: &mut Tx, grant: &Grant, policy: &SignInPolicy, now: Time) -> Result<()> {
    grant.permits(Management::OrganizationEdit)?;
    put(tx, grant.organization(), policy, now).await
}

/// The same without a right of its own, for what is asked again that a node remembers.
pub(crate) async fn put(tx: &mut Tx, organization: Uuid, policy: &SignInPolicy, now: Time) -> Result<()> {
    let words = (!policy.providers.is_empty()).then(|| policy.providers.join(" "));
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE organization SET sign_in_providers = $2, two_factors_at = $4, two_factors_grace = $5, ",
            "session_lifetime = $6, session_idle = $7, updated_at = $3 WHERE id = $1 AND deleted_at IS NULL"
        ))
        .bind(organization)
        .bind(words)
        .bind(now.0)
        .bind(policy.two_factors.map(|it| it.asked_at.0))
        .bind(policy.two_factors.map(|it| i32::from(it.grace_days)))
        .bind(policy.session_lifetime)
        .bind(policy.session_idle)
    )?;
    Ok(())
}

/// The accounts of these that have linked an identity of one of these issuers.
pub async fn linked(conn: Conn<'_>, accounts: &[Uuid], issuers: &[String]) -> Result<Vec<Uuid>> {
    let rows: Vec<(Uuid, String)> =
        by_ids(conn, "SELECT account_id, issuer FROM identity WHERE account_id IN", accounts).await?;
    Ok(rows.into_iter().filter(|(_, issuer)| issuers.contains(issuer)).map(|(account, _)| account).collect())
}

/// Does an organization that somebody is a member of take the word of this provider alone, or follow it?
pub async fn asked_of(conn: Conn<'_>, account: Uuid, provider: &str) -> Result<bool> {
    let count: i64 = run!(conn, c => sqlx::query_scalar(concat!(
        "SELECT count(*) FROM member m JOIN organization o ON o.id = m.organization_id ",
        "WHERE m.account_id = $1 AND o.deleted_at IS NULL ",
        "AND (m.rule_provider = $2 OR ' ' || o.sign_in_providers || ' ' LIKE '% ' || $2 || ' %')"
    )).bind(account).bind(provider).fetch_one(&mut *c))?;
    Ok(count > 0)
}

row! {
    /// What an organization asks of one of its members.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct SignInDemand {
        /// The organization's name.
        pub name: String,
        /// The providers of which one must prove a session, with spaces between.
        pub sign_in_providers: Option<String>,
        /// The provider whose rule made the membership.
        pub rule_provider: Option<String>,
        /// Since when it asks two factors.
        pub two_factors_at: Option<Time>,
    }
}

/// What the organizations ask of somebody who is a member of them: those that ask for something.
pub async fn asked_of_account(conn: Conn<'_>, account: Uuid) -> Result<Vec<SignInDemand>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT o.name, o.sign_in_providers, m.rule_provider, o.two_factors_at FROM member m ",
        "JOIN organization o ON o.id = m.organization_id WHERE m.account_id = $1 AND o.deleted_at IS NULL ",
        "AND (m.rule_provider IS NOT NULL OR o.sign_in_providers IS NOT NULL OR o.two_factors_at IS NOT NULL) ORDER BY o.id"
    )).bind(account).fetch_all(&mut *c))
}
