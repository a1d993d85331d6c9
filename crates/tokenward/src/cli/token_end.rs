//! When a new token ends of which nobody has said it.

use tokenward_api::token_policy::TokenPolicyBody;
use tokenward_core::time::{Micros, length};
use tokenward_core::token_policy::OFFERED_LIFE;
use tokenward_core::{Clock, Time, Uuid};
use tokenward_verify::server::clock::SystemClock;

use super::client::ChosenOrganization;
use super::output::{Exit, Result};
use super::{Context, when};

/// The end to send for a token with this role. Nothing where the token policy has a usual life: then the server says it.
pub async fn usual(
    role: Uuid,
    not_before: Option<Time>,
    organization: &ChosenOrganization,
    context: &Context<'_>,
) -> Result<Option<when::End>> {
    let path = format!("/organization/{}/tokenPolicy", organization.id);
    let policy = match context.client.get::<TokenPolicyBody>(&path).await {
        Ok(policy) => policy.into_read(),
        // Whoever may not read it is told by the server where that allows less.
        Err(failure) if failure.exit == Exit::Refused => TokenPolicyBody::default(),
        Err(failure) => return Err(failure),
    };
    let begin = not_before.unwrap_or_else(|| SystemClock::default().now());
    Ok(life(&policy, role).map(|life| when::End(Some(begin.plus(life)))))
}

/// How long it lives, where the policy does not say it.
fn life(policy: &TokenPolicyBody, role: Uuid) -> Option<Micros> {
    let of_role = policy.roles.iter().find(|it| it.role_id == role);
    if policy.default_lifetime.is_some() || of_role.is_some_and(|it| it.default_lifetime.is_some()) {
        return None;
    }
    let longest = [policy.max_lifetime.as_deref(), of_role.and_then(|it| it.max_lifetime.as_deref())];
    Some(longest.into_iter().flatten().filter_map(length).fold(OFFERED_LIFE, |life, most| life.min(most)))
}

#[cfg(test)]
mod tests {
    use tokenward_api::token_policy::RoleTokenPolicy;
    use tokenward_core::time::DAY;

    use super::*;

    #[test]
    fn a_token_lives_90_days_where_the_policy_neither_says_it_nor_allows_less() {
        let (role, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let of_role = |max: Option<&str>, usual: Option<&str>| RoleTokenPolicy {
            role_id: role,
            max_lifetime: max.map(str::to_owned),
            default_lifetime: usual.map(str::to_owned),
            end_required: false,
            max_overlap: None,
        };
        let policy = |max: Option<&str>, usual: Option<&str>, roles| TokenPolicyBody {
            max_lifetime: max.map(str::to_owned),
            default_lifetime: usual.map(str::to_owned),
            roles,
            ..TokenPolicyBody::default()
        };
        assert_eq!(life(&TokenPolicyBody::default(), role), Some(90 * DAY));
        assert_eq!(life(&policy(Some("1y"), None, vec![]), role), Some(90 * DAY));
        assert_eq!(life(&policy(Some("30d"), None, vec![]), role), Some(30 * DAY));
        let stricter = policy(Some("30d"), None, vec![of_role(Some("12h"), None)]);
        assert_eq!((life(&stricter, role), life(&stricter, other)), (Some(DAY / 2), Some(30 * DAY)));
        assert_eq!(life(&policy(None, Some("30d"), vec![]), role), None);
        let usual = policy(None, None, vec![of_role(None, Some("7d"))]);
        assert_eq!((life(&usual, role), life(&usual, other)), (None, Some(90 * DAY)));
    }
}
