//! The frame around every page of a signed-in person: navigation, organization switcher, notices.

use super::Moment;

/// A page of the navigation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nav {
    /// API tokens.
    Tokens,
    /// Members and invitations.
    Members,
    /// Roles.
    Roles,
    /// The routes of the organization's own API.
    Apis,
    /// Projects and their environments.
    Projects,
    /// Clusters.
    Clusters,
    /// The organization at a glance.
    Overview,
    /// What was decided of late.
    Decisions,
    /// The event log.
    Events,
    /// The nodes that decide.
    Nodes,
    /// Settings of the organization.
    Settings,
    /// The guides; for everybody, and in no group.
    Guides,
    /// The person's own account; not in a group.
    Account,
}

impl Nav {
    /// The groups of the sidebar, in order.
    const GROUPS: [(&'static str, &'static [Self]); 4] = [
        ("Access", &[Self::Tokens, Self::Members, Self::Roles, Self::Apis]),
        ("Resources", &[Self::Projects, Self::Clusters]),
        ("Insight", &[Self::Overview, Self::Decisions, Self::Events, Self::Nodes]),
        ("Organization", &[Self::Settings]),
    ];

    /// Its name.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Tokens => "API tokens",
            Self::Members => "Members",
            Self::Roles => "Roles",
            Self::Apis => "Your API",
            Self::Projects => "Projects",
            Self::Clusters => "Clusters",
            Self::Overview => "Overview",
            Self::Decisions => "Decisions",
            Self::Events => "Audit log",
            Self::Nodes => "Nodes",
            Self::Settings => "Settings",
            Self::Guides => "Guides",
            Self::Account => "Account",
        }
    }

    /// Its path below the organization's.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Members => "members",
            Self::Roles => "roles",
            Self::Apis => "apis",
            Self::Projects => "projects",
            Self::Clusters => "clusters",
            Self::Overview => "overview",
            Self::Decisions => "decisions",
            Self::Events => "events",
            Self::Nodes => "nodes",
            Self::Settings => "settings",
            Self::Guides => "guides",
            Self::Account => "account",
        }
    }
}

/// An entry of the navigation that the person may open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NavigationEntry {
    /// Which.
    pub nav: Nav,
    /// How many there are, of those that the person sees.
    pub count: Option<usize>,
}

/// An organization that the person belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrganizationLink {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The person's role in it, as people read it.
    pub role: String,
}

impl OrganizationLink {
    /// The first letter of its name, for the mark.
    #[must_use]
    pub fn initial(&self) -> String {
        self.name.chars().next().map(|c| c.to_uppercase().collect()).unwrap_or_default()
    }
}

/// How a notice is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlashKind {
    /// It worked.
    Good,
    /// It worked, but look at this.
    Warn,
    /// It did not work.
    Bad,
}

/// What came of the last action, shown once at the top of the page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flash {
    /// How it is meant.
    pub kind: FlashKind,
    /// One sentence.
    pub text: String,
}

/// What every page of a signed-in person has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shell {
    /// The service's own address, for commands.
    pub public_url: String,
    /// The organization that the page is about; `None` for somebody who belongs to none.
    pub organization: Option<OrganizationLink>,
    /// All that the person belongs to, for the switcher.
    pub organizations: Vec<OrganizationLink>,
    /// May the person make another organization?
    pub may_create_organization: bool,
    /// The person's name.
    pub user_name: String,
    /// The person's e-mail address.
    pub user_email: String,
    /// The page that is open.
    pub active: Nav,
    /// The pages that the person may open.
    pub entries: Vec<NavigationEntry>,
    /// Goes with every form of the page, as the hidden input `csrf`.
    pub csrf: String,
    /// What came of the last action.
    pub flash: Option<Flash>,
    /// From when on the organization refuses this session, since it proves one factor and two are asked; none where it does not.
    pub refused_from: Option<Moment>,
    /// When the session ends, where the operator's link began it.
    pub by_link_until: Option<Moment>,
}

impl Shell {
    /// What somebody types to do this in the organization of the page, signed in or not.
    #[must_use]
    pub fn command(&self, what: &str, name: &str, rest: &str) -> String {
        let organization = match &self.organization {
            Some(organization) if self.organizations.len() > 1 => format!(" --organization {}", organization.id),
            _ => String::new(),
        };
        format!("tokenward login --url {}\ntokenward {what} {name} {rest}{organization}", self.public_url)
    }

    /// The path of the organization's pages, without a slash at the end.
    #[must_use]
    pub fn base(&self) -> String {
        match &self.organization {
            Some(organization) => format!("/console/{}", organization.id),
            None => "/console".into(),
        }
    }

    /// The groups of the sidebar, without what the person may not open.
    #[must_use]
    pub fn groups(&self) -> Vec<(&'static str, Vec<NavigationEntry>)> {
        Nav::GROUPS
            .into_iter()
            .map(|(title, navs)| {
                let entries = navs.iter().filter_map(|nav| self.entries.iter().find(|entry| entry.nav == *nav));
                (title, entries.copied().collect::<Vec<_>>())
            })
            .filter(|(_, entries)| !entries.is_empty())
            .collect()
    }

    /// The organization's name, or the product's.
    #[must_use]
    pub fn organization_name(&self) -> &str {
        self.organization.as_ref().map_or("Tokenward", |organization| &organization.name)
    }

    /// Up to two letters that stand for the person.
    #[must_use]
    pub fn user_initials(&self) -> String {
        let words: Vec<&str> = self.user_name.split_whitespace().collect();
        let letters = match words.as_slice() {
            [] => self.user_email.chars().take(1).collect::<String>(),
            [one] => one.chars().take(1).collect(),
            [first, .., last] => first.chars().take(1).chain(last.chars().take(1)).collect(),
        };
        letters.to_uppercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::view::samples;

    #[test]
    fn the_sidebar_leaves_out_what_the_person_may_not_open() {
        let mut shell = samples::shell(Nav::Tokens);
        shell.entries.retain(|entry| matches!(entry.nav, Nav::Tokens | Nav::Projects));
        let groups: Vec<_> = shell.groups().into_iter().map(|(title, entries)| (title, entries.len())).collect();
        assert_eq!(groups, [("Access", 1), ("Resources", 1)]);
    }

    #[test]
    fn initials_come_from_the_name_and_else_from_the_address() {
        let mut shell = samples::shell(Nav::Tokens);
        for (name, initials) in [("Owner of Acme", "OA"), ("owner", "O"), ("", "O"), ("école ß", "ÉSS")] {
            shell.user_name = name.into();
            assert_eq!(shell.user_initials(), initials);
        }
    }
}
