//! What is noted of events in the journal: of what takes away, and of what gives back, with the state after it as the rows say
//! it.

use std::collections::{BTreeSet, HashMap, HashSet};

use tokenward_core::event::{self, Event};
use tokenward_core::journal::{After, Entry, Keeps, RoleRights, makes};
use tokenward_core::role::RoleKind;
use tokenward_core::secret::Kind;
use tokenward_core::sign_in::SignInPolicy;
use tokenward_core::{Result, Time, Uuid};
use tokenward_store::log::Skeleton;
use tokenward_store::tokens::{self, IndexRow, ended};
use tokenward_store::{
    Conn, account_links, accounts, apis, cuts, environments, identities, members, organizations, passkeys, roles,
    second_factor, sessions, sign_in_rules, token_policies,
};

/// What an event is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'e> {
    kind: &'e str,
    organization: Option<Uuid>,
    target: Uuid,
    related: Option<Uuid>,
}

impl<'e> From<&'e Skeleton> for Subject<'e> {
    fn from(row: &'e Skeleton) -> Self {
        Self { kind: &row.kind, organization: row.organization_id, target: row.target_id, related: row.related_id }
    }
}

impl<'e> From<&'e Event> for Subject<'e> {
    fn from(event: &'e Event) -> Self {
        let Event { kind, organization, target, related, .. } = event;
        Self { kind: kind.as_str(), organization: *organization, target: *target, related: *related }
    }
}

/// What is noted of an event besides itself: of whom, and the state after it where that is something to keep.
#[derive(Clone, Debug)]
pub struct Noted {
    pub(crate) target: Uuid,
    pub(crate) after: Option<After>,
}

impl Noted {
    /// An event of this kind about an ordinary token whose secrets these are.
    #[must_use]
    pub fn of_token(kind: &str, token: Uuid, rows: &[IndexRow], used: &[(Uuid, String)]) -> Self {
        let rows = rows.iter().filter(|row| row.token_id == token);
        let used = used.iter().filter(|(id, _)| *id == token).map(|(_, used)| used.clone());
        Self { target: token, after: after_token(kind, rows, used.collect(), None) }
    }

    /// It, of an event that stands there.
    pub(crate) fn at(self, log: Uuid, row: &Skeleton) -> Entry {
        Entry {
            log,
            position: row.position,
            hash: row.hash.clone(),
            time: row.time,
            kind: row.kind.clone(),
            organization: row.organization_id,
            target: self.target,
            after: self.after,
        }
    }
}

/// What is to be noted of events, whose rows are those of one moment: so of each thing the last event has the state. `known` are the
/// secrets of all tokens that they are about, where somebody has read them.
pub(crate) async fn noted(
    mut conn: Conn<'_>,
    events: &[Subject<'_>],
    known: Option<&[IndexRow]>,
) -> Result<Vec<Noted>> {
    let mut all = Vec::with_capacity(events.len());
    let mut seen = HashSet::new();
    let ids = NotedTokens::ids(events);
    let read = match known {
        Some(_) => Vec::new(),
        None if ids.is_empty() => Vec::new(),
        None => tokens::index_rows(conn.reborrow(), &ids).await?,
    };
    let used = if ids.is_empty() { Vec::new() } else { ended::used_of_all(conn.reborrow(), &ids).await? };
    let rows = known.unwrap_or(&read);
    let with_policy: BTreeSet<Uuid> =
        rows.iter().filter(|row| row.kind == Kind::PolicyToken).map(|row| row.token_id).collect();
    let with_policy: Vec<Uuid> = with_policy.into_iter().collect();
    let policies = match &with_policy[..] {
        [] => Vec::new(),
        ids => tokens::policy_versions(conn.reborrow(), ids).await?,
    };
    let tokens = NotedTokens::of(rows, used, policies);
    for event in events.iter().rev() {
        let keeps = Keeps::of(event.kind);
        let accepted = event.kind == event::Kind::InvitationAccepted.as_str();
        let target = match keeps {
            Keeps::Sessions | Keeps::SecondFactor | Keeps::Identities | Keeps::Passkeys => {
                event.related.unwrap_or(event.target)
            }
            Keeps::Member if accepted => event.related.unwrap_or(event.target),
            _ => event.target,
        };
        let new = keeps != Keeps::Nothing && seen.insert((event.organization, target, std::mem::discriminant(&keeps)));
        let mut after = match keeps {
            _ if !new && !accepted => None,
            Keeps::Token => tokens.after(event.kind, target),
            _ => after(conn.reborrow(), keeps, event.organization, target).await?,
        };
        if accepted && let Some(After::Member { invitation, .. }) = &mut after {
            *invitation = Some(event.target);
        }
        all.push(Noted { target, after });
    }
    all.reverse();
    Ok(all)
}

/// What is to be noted of a change before it is committed: nothing, where it takes nothing away.
pub async fn of_change<'e>(conn: Conn<'_>, events: impl Iterator<Item = &'e Event> + Clone) -> Result<Vec<Noted>> {
    if events.clone().any(|event| event.kind.takes_away() && Keeps::of(event.kind.as_str()) != Keeps::Nothing) {
        let events: Vec<Subject<'_>> = events.map(Subject::from).collect();
        noted(conn, &events, None).await
    } else {
        Ok(Vec::new())
    }
}

/// The entries of a change that was committed in the log of this name, as these rows.
#[must_use]
pub fn entries(noted: impl IntoIterator<Item = Noted>, log: Uuid, rows: &[Skeleton]) -> Vec<Entry> {
    let all = noted.into_iter().zip(rows).filter(|(noted, _)| noted.after.is_some());
    all.map(|(noted, row)| noted.at(log, row)).collect()
}

/// The tokens that events name, as far as it is noted what they are like. A copy from before one was made would not know that its
/// digests were used.
#[derive(Default)]
struct NotedTokens<'r> {
    rows: HashMap<Uuid, Vec<&'r IndexRow>>,
    used: HashMap<Uuid, Vec<String>>,
    policies: HashMap<Uuid, Time>,
}

impl<'r> NotedTokens<'r> {
    /// Which those are.
    fn ids(events: &[Subject<'_>]) -> Vec<Uuid> {
        let named = events.iter().filter(|event| Keeps::of(event.kind) == Keeps::Token).map(|event| event.target);
        named.collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn of(rows: &'r [IndexRow], used: Vec<(Uuid, String)>, policies: Vec<(Uuid, Time)>) -> Self {
        let mut noted = Self { policies: policies.into_iter().collect(), ..Self::default() };
        for row in rows {
            noted.rows.entry(row.token_id).or_default().push(row);
        }
        for (token, used) in used {
            noted.used.entry(token).or_default().push(used);
        }
        noted
    }

    fn after(&self, kind: &str, token: Uuid) -> Option<After> {
        let used = self.used.get(&token).cloned().unwrap_or_default();
        after_token(kind, self.rows.get(&token)?.iter().copied(), used, self.policies.get(&token).copied())
    }
}

async fn after(mut conn: Conn<'_>, keeps: Keeps, organization: Option<Uuid>, target: Uuid) -> Result<Option<After>> {
    Ok(match keeps {
        Keeps::Sessions => {
            let living = sessions::of_accounts(conn.reborrow(), &[target]).await?;
            let anew = living.iter().filter(|it| it.proven_at > it.created_at);
            let proven = anew.map(|it| (it.id, it.proven_at)).collect();
            let unused = living.iter().filter(|it| it.idle > 0).map(|it| (it.id, it.idle)).collect();
            let links = accounts::links_of(conn.reborrow(), target).await?;
            let living = living.iter().map(|it| it.id).collect();
            let password = accounts::password_mark(conn.reborrow(), target).await?;
            let undoable = account_links::done_changes(conn.reborrow(), target).await?;
            let undoable = Some(undoable.into_iter().map(|it| it.id).collect());
            Some(After::Sessions { living, proven, links: Some(links), password, undoable, unused })
        }
        Keeps::SecondFactor => {
            let authenticator = second_factor::authenticator(conn.reborrow(), target).await?.map(|it| it.id);
            let codes = second_factor::recovery_codes(conn.reborrow(), target).await?;
            Some(After::SecondFactor { authenticator, codes: codes.into_iter().map(|it| it.id).collect() })
        }
        Keeps::Identities => {
            let all = identities::of_account(conn.reborrow(), target).await?;
            let living = all.iter().map(|it| it.id).collect();
            Some(After::Identities { living, issuers: all.into_iter().map(|it| (it.id, it.issuer)).collect() })
        }
        Keeps::Passkeys => {
            let living = passkeys::of_account(conn.reborrow(), target).await?;
            Some(After::Passkeys { living: living.into_iter().map(|it| it.id).collect() })
        }
        Keeps::SignIn => {
            let asked = sign_in_rules::asked_by(conn.reborrow(), target).await?;
            let providers = asked.providers.iter().map(|key| key.to_string()).collect();
            let SignInPolicy { two_factors, session_lifetime, session_idle, .. } = asked;
            let forbids_device = !organizations::forbidding_devices(conn.reborrow(), Some(&[target])).await?.is_empty();
            Some(After::SignIn { providers, two_factors, session_lifetime, session_idle, forbids_device })
        }
        Keeps::Rules => {
            let all = sign_in_rules::list(conn.reborrow(), target).await?;
            Some(After::Rules { rules: all.into_iter().map(|it| (it.provider, it.value, it.role_id)).collect() })
        }
        Keeps::Member => match organization {
            Some(organization) => {
                let role = members::role_of(conn.reborrow(), organization, target).await?;
                Some(After::Member { role, invitation: None })
            }
            None => None,
        },
        Keeps::Invitation => Some(After::Invitation),
        Keeps::Environment => {
            let place = environments::places(conn, Some(&[target])).await?.pop();
            place.map(|it| After::Environment { mode: it.mode })
        }
        Keeps::Gone => Some(After::Gone),
        Keeps::Cut => {
            let cuts = cuts::of(conn.reborrow(), Some(&[target])).await?;
            cuts.first().map(|(_, cut)| After::Cut { through: cut.through, at: cut.at })
        }
        Keeps::Role => {
            let role = roles::compiled(conn, Some(&[target])).await?.pop().map(|(_, role)| role);
            let custom = role.filter(|role| role.kind == RoleKind::Custom);
            custom.map(|role| After::Role { rights: RoleRights::of(&role) })
        }
        Keeps::Api => Some(After::Api { rules: apis::noted(conn, target).await? }),
        Keeps::TokenPolicy => Some(After::TokenPolicy { kept: token_policies::kept(conn, target).await? }),
        // Those are read all at once.
        Keeps::Token | Keeps::Nothing => None,
    })
}

/// The state of a token whose secrets these are, after an event of this kind, with what is kept of their digests and the version of its
/// policy.
pub(crate) fn after_token<'r>(
    kind: &str,
    rows: impl Iterator<Item = &'r IndexRow> + Clone,
    used: Vec<String>,
    policy: Option<Time>,
) -> Option<After> {
    let ends = rows.clone().filter_map(|row| Some((row.version, row.secret_expires_at?))).collect();
    let mut rows = rows;
    rows.next().map(|row| {
        // What is made is in no older copy, and what was taken back has nothing to be bound to.
        let is_bound = row.revoked_at.is_none() && !makes(kind);
        let bounds = is_bound.then(|| Box::new(row.noted_bounds(policy)));
        After::Token { revoked_at: row.revoked_at, disabled_at: row.disabled_at, ends, used, bounds }
    })
}
