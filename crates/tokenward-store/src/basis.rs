//! What a right rests on, looked up where it is used: inside the transaction that writes.

use std::collections::HashMap;
use std::sync::Arc;

use tokenward_core::brownout::Brownout;
use tokenward_core::decision::{Credential, PolicyOutcome, Subject};
use tokenward_core::directory::Resource;
use tokenward_core::method::{Method, Methods};
use tokenward_core::provider_proofs::ProviderProofs;
use tokenward_core::right::{Basis, RestsOn};
use tokenward_core::role::Scope;
use tokenward_core::role::{Mode, Role, Target};
use tokenward_core::secret::Kind;
use tokenward_core::sign_in::{SessionProof, Shortfall, shortfall};
use tokenward_core::time::Micros;
use tokenward_core::token::{Cut, State, first_end};
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, by_ids, row, run};
use crate::factors;
use crate::restrictions::{self, Bound};
use crate::role_rows;
use crate::sign_in_columns::Columns;

/// Of who holds no credential.
pub(crate) const NOTHING: Basis = Basis {
    credential: None,
    role: None,
    target: Target::Organization,
    outside: false,
    policy: PolicyOutcome::NoPolicy,
    proven_at: None,
    shortfall: None,
};

/// What does not stand in the rows.
#[derive(Clone, Copy)]
pub(crate) struct Here<'a> {
    /// The time of the database: what an organization asks of sessions is compared as of then.
    pub now: Time,
    /// For which host passkeys are made here.
    pub passkey_host: Option<&'a str>,
}

/// What a credential is, and what it acts as.
#[derive(Default)]
struct CredentialBasis {
    credential: Option<Credential>,
    role_id: Option<Uuid>,
    scope: Option<Box<Scope>>,
    outside: bool,
    policy: PolicyOutcome,
    proven_at: Option<Time>,
    shortfall: Option<Shortfall>,
}

/// Looks up what a right rests on.
pub(crate) async fn read(conn: Conn<'_>, on: &RestsOn, here: Here<'_>) -> Result<Basis> {
    Ok(read_all(conn, &[Some(*on)], here).await?.pop().unwrap_or(NOTHING))
}

/// Looks up what each of several rights rests on, those of tokens and all roles at once. What rests on nothing has
/// [`NOTHING`].
pub(crate) async fn read_all(mut conn: Conn<'_>, all: &[Option<RestsOn>], here: Here<'_>) -> Result<Vec<Basis>> {
    let tokens = tokens(conn.reborrow(), all).await?;
    let mut found = Vec::with_capacity(all.len());
    for on in all {
        found.push(match on {
            Some(on) => match on.subject {
                Subject::Token(version) => {
                    let token = tokens.get(&(on.credential, version));
                    token.map_or_else(CredentialBasis::default, |it| it.credential_basis(on))
                }
                Subject::User(account) => session(conn.reborrow(), on, account, here).await?,
            },
            None => CredentialBasis::default(),
        });
    }
    let mut role_ids: Vec<Uuid> = found.iter().filter_map(|it| it.role_id).collect();
    role_ids.sort_unstable();
    role_ids.dedup();
    let roles = role_rows::compiled(conn.reborrow(), Some(&role_ids)).await?;
    let roles: HashMap<Uuid, (Uuid, Arc<Role>)> =
        roles.into_iter().map(|(organization, role)| (role.id, (organization, Arc::new(role)))).collect();
    let mut bases = Vec::with_capacity(all.len());
    for (on, basis) in all.iter().zip(found) {
        let CredentialBasis { credential, role_id, scope, outside, policy, proven_at, shortfall } = basis;
        let Some((organization, resource)) = on.as_ref().and_then(|on| Some((on.organization?, on.resource))) else {
            bases.push(Basis { credential, outside, policy, proven_at, ..NOTHING });
            continue;
        };
        let role = role_id.and_then(|id| roles.get(&id)).filter(|(owner, _)| *owner == organization);
        let role = role.map(|(_, role)| scope.map_or_else(|| Arc::clone(role), |it| Arc::new(role.narrowed(&it))));
        let target = target(conn.reborrow(), organization, resource).await?;
        bases.push(Basis { credential, role, target, outside, policy, proven_at, shortfall });
    }
    Ok(bases)
}

row! {
    struct TokenBasis {
        id: Uuid,
        version: u16,
        organization_id: Uuid,
        kind: Kind,
        policy_written_at: Option<Time>,
        role_id: Option<Uuid>,
        revoked_at: Option<Time>,
        tokens_cut: Option<Uuid>,
        tokens_cut_at: Option<Time>,
        not_before: Option<Time>,
        networks: Option<String>,
        permissions: Option<String>,
        brownout: Option<String>,
        expires_at: Option<Time>,
        secret_expires_at: Option<Time>,
        disabled_at: Option<Time>,
    }
}

/// The secrets of the tokens on which these rest.
async fn tokens(conn: Conn<'_>, all: &[Option<RestsOn>]) -> Result<HashMap<(Uuid, u16), TokenBasis>> {
    let of_token = |on: &RestsOn| matches!(on.subject, Subject::Token(_)).then_some(on.credential);
    let mut ids: Vec<Uuid> = all.iter().flatten().filter_map(of_token).collect();
    ids.sort_unstable();
    ids.dedup();
    let rows: Vec<TokenBasis> = by_ids(
        conn,
        concat!(
            "SELECT t.id, s.version, t.organization_id, t.kind, p.written_at AS policy_written_at, t.role_id, t.revoked_at, ",
            "t.disabled_at, t.not_before, t.networks, t.permissions, t.brownout, t.expires_at, s.expires_at AS secret_expires_at, o.tokens_cut, ",
            "o.tokens_cut_at FROM token t JOIN organization o ON o.id = t.organization_id ",
            "JOIN token_secret s ON s.token_id = t.id LEFT JOIN rego_policy p ON p.token_id = t.id WHERE t.id IN"
        ),
        &ids,
    )
    .await?;
    Ok(rows.into_iter().map(|row| ((row.id, row.version), row)).collect())
}

impl TokenBasis {
    /// What it is to whoever holds it, in the organization where that counts.
    fn credential_basis(&self, on: &RestsOn) -> CredentialBasis {
        if Some(self.organization_id) != on.organization {
            return CredentialBasis::default();
        }
        let cut = self.tokens_cut.zip(self.tokens_cut_at).map(|(through, at)| Cut { through, at });
        let state = State::of(self.revoked_at, self.disabled_at);
        let (expires_at, replaced) = first_end(self.expires_at, self.secret_expires_at);
        let credential = Credential {
            id: on.credential,
            subject: on.subject,
            state: Cut::state_of(cut, self.id, state),
            not_before: self.not_before,
            expires_at,
            replaced,
            brownout: self.brownout.as_deref().map(Brownout::read),
        };
        let (networks, permissions) = (self.networks.as_deref(), self.permissions.as_deref());
        let bound = restrictions::of(Bound { not_before: self.not_before, networks, permissions, ..Bound::default() });
        let outside = bound.as_ref().is_some_and(|it| it.exclude(on.address));
        let scope = bound.and_then(|it| it.scope);
        let policy = match self.kind {
            Kind::PolicyToken if on.policy.is_some() && on.policy == self.policy_written_at => PolicyOutcome::Allowed,
            // Another one than that which has allowed the request, which nobody has asked.
            Kind::PolicyToken => PolicyOutcome::Denied,
            Kind::Token | Kind::Session => PolicyOutcome::NoPolicy,
        };
        let (proven_at, shortfall) = (None, None);
        let credential = Some(credential);
        CredentialBasis { credential, role_id: self.role_id, scope, outside, policy, proven_at, shortfall }
    }
}

async fn session(mut conn: Conn<'_>, on: &RestsOn, account: Uuid, here: Here<'_>) -> Result<CredentialBasis> {
    let row: Option<SessionBasis> = run!(conn.reborrow(), c => sqlx::query_as(
        "SELECT expires_at, proven_at, auth_time, methods, provider_proofs, absent_claim, organization_id, idle FROM session \
         WHERE id = $1 AND account_id = $2"
    ).bind(on.credential).bind(account).fetch_optional(&mut *c))?;
    let Some(row) = row else { return Ok(CredentialBasis::default()) };
    let SessionBasis { expires_at, methods, organization_id, auth_time, .. } = row;
    let credential = Some(Credential {
        id: on.credential,
        subject: on.subject,
        state: State::Active,
        not_before: None,
        expires_at: Some(expires_at),
        replaced: false,
        brownout: None,
    });
    // What was proved by less than the account can be proved by is no fresh proof, and neither is the word of a provider that does
    // not say when it asked.
    let met = factors::of(conn.reborrow(), account, here.passkey_host).await?.are_met_by(&methods);
    let proven_at = auth_time.filter(|_| met);
    // One that is for another organization reaches nothing here.
    let reached = on.organization.filter(|id| organization_id.is_none_or(|only| only == *id));
    let Some(organization) = reached else {
        return Ok(CredentialBasis { credential, proven_at, ..CredentialBasis::default() });
    };
    let found: Option<MemberBasis> = run!(conn, c => sqlx::query_as(concat!(
        "SELECT m.role_id, m.rule_provider, o.sign_in_providers, o.two_factors_at, o.two_factors_grace, ",
        "o.session_lifetime, o.session_idle, o.forbids_device ",
        "FROM member m JOIN organization o ON o.id = m.organization_id ",
        "WHERE m.organization_id = $1 AND m.account_id = $2 AND o.deleted_at IS NULL"
    )).bind(organization).bind(account).fetch_optional(&mut *c))?;
    let by_device = methods.has(&Method::Device);
    let Some(member) = found.filter(|it| !(by_device && it.forbids_device)) else {
        return Ok(CredentialBasis { credential, proven_at, ..CredentialBasis::default() });
    };
    let proof = SessionProof {
        methods,
        absent_claim: row.absent_claim.map(Into::into),
        at: auth_time.unwrap_or(row.proven_at),
        idle: row.idle,
        by_providers: row.provider_proofs,
    };
    let MemberBasis { two_factors_at, two_factors_grace, session_lifetime, session_idle, .. } = member;
    let providers = member.sign_in_providers.as_deref();
    let asked = Columns { providers, two_factors_at, two_factors_grace, session_lifetime, session_idle }.policy();
    let shortfall = shortfall(&asked, member.rule_provider.as_deref(), &proof, here.now);
    let role_id = Some(member.role_id);
    Ok(CredentialBasis { credential, role_id, proven_at, shortfall, ..CredentialBasis::default() })
}

row! {
    struct SessionBasis {
        expires_at: Time,
        proven_at: Time,
        auth_time: Option<Time>,
        methods: Methods,
        provider_proofs: ProviderProofs,
        absent_claim: Option<String>,
        organization_id: Option<Uuid>,
        idle: Micros,
    }
}

row! {
    struct MemberBasis {
        role_id: Uuid,
        rule_provider: Option<String>,
        sign_in_providers: Option<String>,
        two_factors_at: Option<Time>,
        two_factors_grace: Option<i32>,
        session_lifetime: Option<Micros>,
        session_idle: Option<Micros>,
        forbids_device: bool,
    }
}

/// What the ids of a resource are about, by the same rules as in memory.
async fn target(mut conn: Conn<'_>, organization: Uuid, resource: Resource) -> Result<Target> {
    let Resource { project_id, environment_id, cluster_id } = resource;
    if let Some(id) = environment_id {
        let place: Option<EnvironmentBasis> = run!(conn, c => sqlx::query_as(
            "SELECT project_id, cluster_id, mode FROM environment WHERE organization_id = $1 AND id = $2"
        ).bind(organization).bind(id).fetch_optional(&mut *c))?;
        return Ok(match place {
            Some(it)
                if project_id.is_none_or(|id| id == it.project_id)
                    && cluster_id.is_none_or(|id| id == it.cluster_id) =>
            {
                Target::Environment { id, project: it.project_id, mode: it.mode, cluster: it.cluster_id }
            }
            _ => Target::Absent,
        });
    }
    Ok(match (project_id, cluster_id) {
        (None, None) => Target::Organization,
        (Some(id), None) if project(conn.reborrow(), organization, id).await? => Target::Project(id),
        (None, Some(id)) if cluster(conn, organization, id).await? => Target::Cluster(id),
        _ => Target::Absent,
    })
}

row! {
    struct EnvironmentBasis {
        project_id: Uuid,
        cluster_id: Uuid,
        mode: Mode,
    }
}

async fn project(conn: Conn<'_>, organization: Uuid, id: Uuid) -> Result<bool> {
    let found: Option<Uuid> = run!(conn, c => sqlx::query_scalar("SELECT id FROM project WHERE organization_id = $1 AND id = $2")
        .bind(organization).bind(id).fetch_optional(&mut *c))?;
    Ok(found.is_some())
}

async fn cluster(conn: Conn<'_>, organization: Uuid, id: Uuid) -> Result<bool> {
    let found: Option<Uuid> = run!(conn, c => sqlx::query_scalar("SELECT id FROM cluster WHERE organization_id = $1 AND id = $2")
        .bind(organization).bind(id).fetch_optional(&mut *c))?;
    Ok(found.is_some())
}
