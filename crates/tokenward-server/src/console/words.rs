//! Words for people: roles and what they may do, permissions, clients.

use tokenward_core::directory::Organization;
use tokenward_core::method::{Method, Methods};
use tokenward_core::permission::Management;
use tokenward_core::role::{Beyond, BuiltIn, ClusterLevel, EnvironmentLevel, Mode, ProjectAccess, Role, RoleKind};
use tokenward_core::time::{DAY, HOUR, MINUTE, Micros, length_text};
use tokenward_core::{Time, Uuid};

use super::view::{RoleTag, TokenState, cluster_levels, environment_levels, mode_label};

/// The methods that people are offered to ask about.
pub(super) const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// A built-in role as people read it.
pub(super) fn built_in_name(role: BuiltIn) -> &'static str {
    match role {
        BuiltIn::Owner => "Owner",
        BuiltIn::Admin => "Admin",
        BuiltIn::DevOps => "DevOps",
        BuiltIn::Billing => "Billing",
        BuiltIn::Viewer => "Viewer",
        BuiltIn::Verifier => "Verifier",
    }
}

/// A length as people read it: `90 days`.
pub(super) fn length_words(length: Micros) -> String {
    let units = [(DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")];
    let fits = units.into_iter().find(|(unit, _)| length >= *unit && length % unit == 0);
    fits.map_or_else(
        || length_text(length),
        |(unit, word)| count(usize::try_from(length / unit).unwrap_or(usize::MAX), word),
    )
}

/// How many, counted up to a bound: `1,000+` beyond it.
pub(super) fn bounded(count: usize, most: usize) -> String {
    if count > most { format!("{}+", grouped(i64::try_from(most).unwrap_or(i64::MAX))) } else { count.to_string() }
}

/// A role as people read it.
pub(super) fn role_name(role: &Role) -> String {
    match role.kind {
        RoleKind::BuiltIn(role) => built_in_name(role).into(),
        RoleKind::Custom => role.name.to_string(),
    }
}

/// The role with this id; `name` is what the database calls it.
pub(super) fn role_tag(organization: Option<&Organization>, id: Uuid, name: &str) -> RoleTag {
    let role = organization.and_then(|organization| organization.role(id));
    let powerful = role
        .is_some_and(|role| matches!(role.kind, RoleKind::BuiltIn(BuiltIn::Owner) | RoleKind::BuiltIn(BuiltIn::Admin)));
    RoleTag { id: id.to_string(), name: role.map_or_else(|| name.to_owned(), |role| role_name(role)), powerful }
}

/// What a role can do, a line a matter.
pub(super) fn points(organization: &Organization, role: &Role) -> Vec<String> {
    match role.kind {
        RoleKind::BuiltIn(_) => role.points().into_iter().map(str::to_owned).collect(),
        RoleKind::Custom => custom_points(organization, role),
    }
}

/// What one role goes beyond another one by, a line each.
pub(super) fn beyond_points(organization: &Organization, beyond: &Beyond) -> Vec<String> {
    let mut points = places(organization, beyond.projects.iter().copied(), beyond.clusters.iter().copied());
    if !beyond.permissions.is_empty() {
        points.push(beyond.permissions.join(", "));
    }
    points
}

/// Projects and clusters by their names, with how far a role goes there.
pub(super) fn places(
    organization: &Organization,
    projects: impl Iterator<Item = (Uuid, ProjectAccess)>,
    clusters: impl Iterator<Item = (Uuid, ClusterLevel)>,
) -> Vec<String> {
    let mut points = Vec::new();
    let mut projects: Vec<_> =
        projects.filter_map(|(id, access)| Some((organization.projects().get(&id)?, access))).collect();
    projects.sort_by_key(|(name, _)| name.to_lowercase());
    for (name, access) in projects {
        if access.is_admin {
            points.push(format!("{name}: Full-Access"));
            continue;
        }
        let levels = Mode::ALL.into_iter().filter(|mode| access.level(*mode) != EnvironmentLevel::NoAccess);
        let levels: Vec<_> =
            levels.map(|mode| format!("{} in {}", environment_label(access.level(mode)), mode_label(mode))).collect();
        points.push(format!("{name}: {}", levels.join(", ")));
    }
    let mut clusters: Vec<_> =
        clusters.filter_map(|(id, level)| Some((organization.clusters().get(&id)?, level))).collect();
    clusters.sort_by_key(|(name, _)| name.to_lowercase());
    points.extend(clusters.into_iter().map(|(name, level)| format!("{name}: {}", cluster_label(level))));
    points
}

fn custom_points(organization: &Organization, role: &Role) -> Vec<String> {
    let matrix = role.matrix();
    let mut points = places(
        organization,
        matrix.projects.iter().map(|(id, access)| (*id, *access)),
        matrix.clusters.iter().map(|(id, level)| (*id, *level)),
    );
    let (own, api): (Vec<_>, Vec<_>) =
        role.named_permissions().into_iter().partition(|it| Management::ALL.iter().any(|own| own.as_str() == it));
    if !api.is_empty() {
        points.push(format!("Your API: {}", api.join(", ")));
    }
    points.extend(own.iter().map(|own| match own.as_str() {
        "token:verify" => "Asks whether presented tokens are valid".to_owned(),
        "token:rotate-self" => "Gives itself new secrets".to_owned(),
        "event:read" => "Reads the audit log".to_owned(),
        other => other.to_owned(),
    }));
    points
}

/// A level on environments as people read it.
pub(super) fn environment_label(level: EnvironmentLevel) -> &'static str {
    environment_levels()[level as usize].label
}

/// A level on a cluster as people read it.
pub(super) fn cluster_label(level: ClusterLevel) -> &'static str {
    cluster_levels()[level as usize].label
}

/// How long before its end a token is marked.
pub(super) const SOON: i64 = 14 * DAY;

/// What a token is in, by its end.
pub(super) fn token_state(expires_at: Option<Time>, now: Time) -> TokenState {
    match expires_at.map(|at| at.0 - now.0) {
        None => TokenState::Active,
        Some(left) if left <= 0 => TokenState::Expired,
        Some(left) if left >= SOON => TokenState::Active,
        Some(left) if left >= DAY => {
            let days = left / DAY;
            TokenState::Soon(format!("{days} {} left", if days == 1 { "day" } else { "days" }))
        }
        Some(left) if left >= HOUR => TokenState::Soon(format!("{} h left", left / HOUR)),
        Some(_) => TokenState::Soon("less than 1 h left".into()),
    }
}

/// A text of the service for a page: what it has in backticks, for terminals, is in quotation marks here.
pub(super) fn quoted(text: &str) -> String {
    let mut open = false;
    let mark = |c: char| {
        if c != '`' {
            return c;
        }
        open = !open;
        if open { '“' } else { '”' }
    };
    text.chars().map(mark).collect()
}

/// `1 token`, `2 tokens`.
pub(super) fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// `18,204`.
pub(super) fn grouped(n: i64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How somebody proved who they are, as people read it: `with an invitation and a password`. Empty where that is not known.
pub(super) fn proven_how(methods: &Methods) -> String {
    let word = |method: &Method| match method {
        Method::Password => "a password".to_owned(),
        Method::Link => "a sign-in link".to_owned(),
        Method::Invitation => "an invitation".to_owned(),
        Method::Device => "a code that was typed".to_owned(),
        Method::Oidc(key) => key.to_string(),
        Method::Passkey => "a passkey".to_owned(),
        Method::Otp => "a code".to_owned(),
        Method::RecoveryCode => "a recovery code".to_owned(),
        Method::Mfa => "two factors there".to_owned(),
    };
    let all: Vec<String> = methods.iter().map(word).collect();
    if all.is_empty() { String::new() } else { format!("with {}", all.join(" and ")) }
}

/// A program by its own words, as people read it: `Firefox on Linux`.
pub(super) fn agent(agent: Option<&str>) -> String {
    let Some(agent) = agent.filter(|agent| !agent.is_empty()) else { return "Unknown program".into() };
    if agent.starts_with("tokenward/") {
        return "tokenward (command line)".into();
    }
    // The order matters: each of them also names the ones after it.
    let browsers =
        [("Edg/", "Edge"), ("OPR/", "Opera"), ("Chrome/", "Chrome"), ("Firefox/", "Firefox"), ("Safari/", "Safari")];
    let systems = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let named =
        |list: &[(&str, &'static str)]| list.iter().find(|(sign, _)| agent.contains(sign)).map(|(_, name)| *name);
    match (named(&browsers), named(&systems)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.into(),
        _ => agent.chars().take(60).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_in_the_largest_unit_that_fits() {
        let all = [90 * DAY, DAY, 12 * HOUR, 90 * MINUTE, 90_000_000].map(length_words);
        assert_eq!(all, ["90 days", "1 day", "12 hours", "90 minutes", "90s"]);
    }

    #[test]
    fn a_page_has_quotation_marks() {
        assert_eq!(quoted("may not hold `a:b`: `a` is reserved"), "may not hold “a:b”: “a” is reserved");
    }

    #[test]
    fn numbers_are_in_groups() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn programs_have_names() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        let edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0";
        assert_eq!(agent(Some(firefox)), "Firefox on Linux");
        assert_eq!(agent(Some(edge)), "Edge on Windows");
        assert_eq!(agent(Some("tokenward/0.1.0")), "tokenward (command line)");
        assert_eq!(agent(Some("curl/8.9")), "curl/8.9");
        assert_eq!(agent(None), "Unknown program");
    }

    #[test]
    fn levels_have_the_names_that_the_editor_shows() {
        assert_eq!(environment_label(EnvironmentLevel::NoAccess), "No Access");
        assert_eq!(environment_label(EnvironmentLevel::Manager), "Manage");
        assert_eq!(cluster_label(ClusterLevel::EnvCreator), "Create Environment");
    }

    #[test]
    fn a_token_that_ends_soon_says_when() {
        let at = |left| token_state(Some(Time(left)), Time(0));
        assert_eq!(token_state(None, Time(0)), TokenState::Active);
        assert_eq!(at(0), TokenState::Expired);
        assert_eq!(at(HOUR - 1), TokenState::Soon("less than 1 h left".into()));
        assert_eq!(at(DAY - 1), TokenState::Soon("23 h left".into()));
        assert_eq!(at(DAY), TokenState::Soon("1 day left".into()));
        assert_eq!(at(14 * DAY - 1), TokenState::Soon("13 days left".into()));
        assert_eq!(at(14 * DAY), TokenState::Active);
    }
}
