//! Permissions: our own closed list, and `noun:verb` of the organization's own API.

use std::fmt;

macro_rules! own {
    ($($name:ident = $noun:literal : $verb:literal, $meaning:literal;)*) => {
        /// A permission on one of Tokenward's own resources (design: the list is closed and reserved).
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Management { $(#[doc = $meaning] $name),* }

        impl Management {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// `noun:verb`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => concat!($noun, ":", $verb)),* }
            }

            /// What it allows, in words for people.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning),* }
            }

            /// Is this a noun of ours, which no permission of the organization's own API may use?
            #[must_use]
            #[allow(unreachable_patterns, reason = "a noun has several verbs")]
            pub fn reserves(noun: &str) -> bool {
                matches!(noun, $($noun)|*)
            }

            fn find(noun: &str, verb: &str) -> Option<Self> {
                match (noun, verb) { $(($noun, $verb) => Some(Self::$name),)* _ => None }
            }
        }
    };
}

own! {
    OrganizationRead = "organization":"read", "See the organization and its settings.";
    OrganizationEdit = "organization":"edit", "Change the organization's settings.";
    OrganizationDelete = "organization":"delete", "Delete the organization.";
    OrganizationTransfer = "organization":"transfer", "Hand the organization to another owner.";
    BillingRead = "billing":"read", "See plan and bills.";
    BillingManage = "billing":"manage", "Change the plan.";
    MemberRead = "member":"read", "See who belongs to the organization.";
    MemberManage = "member":"manage", "Invite and remove members, and give them roles.";
    RoleRead = "role":"read", "See roles in full.";
    RoleManage = "role":"manage", "Create, change and delete custom roles.";
    PolicyManage = "policy":"manage", "Create and delete policy tokens.";
    TokenRead = "token":"read", "See API tokens, never their text.";
    TokenManage = "token":"manage", "Create and delete API tokens.";
    TokenRotateSelf = "token":"rotate-self", "As a token: give itself a new secret.";
    TokenVerify = "token":"verify", "Ask what a presented token may do.";
    EventRead = "event":"read", "Read the audit log.";
    ApiRead = "api":"read", "See the routes of your API.";
    ApiManage = "api":"manage", "Change the routes of your API.";
    ClusterRead = "cluster":"read", "See clusters.";
    ClusterManage = "cluster":"manage", "Create, change and delete clusters.";
    ProjectCreate = "project":"create", "Create projects.";
    ProjectRead = "project":"read", "See projects.";
    ProjectManage = "project":"manage", "Change and delete projects, and delete their environments.";
    EnvironmentRead = "environment":"read", "See environments.";
    EnvironmentDeploy = "environment":"deploy", "Deploy and stop environments.";
    EnvironmentManage = "environment":"manage", "Create and change environments.";
    VariableRead = "variable":"read", "Read variables; never the values of secrets.";
    VariableManage = "variable":"manage", "Change variables and secrets.";
}

/// Longest noun or verb, in bytes.
const PART_MAX: usize = 64;
/// Longest permission, in characters: a noun, a colon and a verb.
pub const PERMISSION_MAX: usize = 2 * PART_MAX + 1;

impl fmt::Display for Management {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of [`Management`] permissions.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ManagementSet(u32);

impl ManagementSet {
    /// The set of `list`.
    #[must_use]
    pub const fn of(list: &[Management]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < list.len() {
            bits |= 1 << list[i] as u8;
            i += 1;
        }
        Self(bits)
    }

    /// Is `own` in the set?
    #[must_use]
    pub const fn has(self, own: Management) -> bool {
        self.0 & (1 << own as u8) != 0
    }

    /// The set with `own` in it.
    #[must_use]
    pub const fn with(self, own: Management) -> Self {
        Self(self.0 | 1 << own as u8)
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The first permission of this set that `other` lacks.
    #[must_use]
    pub fn beyond(self, other: Self) -> Option<Management> {
        self.iter().find(|own| !other.has(*own))
    }

    /// All in the set, in the order of the table.
    pub fn iter(self) -> impl Iterator<Item = Management> {
        Management::ALL.iter().copied().filter(move |own| self.has(*own))
    }
}

/// A concrete permission, as it stands in a question. Borrows its text: a question allocates nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Permission<'a> {
    /// One of ours.
    Management(Management),
    /// One of the organization's own API.
    Api {
        /// What it is about.
        noun: &'a str,
        /// What is done to it.
        verb: &'a str,
    },
}

impl<'a> Permission<'a> {
    /// Reads `noun:verb`. The error completes the sentence "`permission` …".
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let (noun, verb) = split(text)?;
        if noun == "*" || verb == "*" {
            return Err(format!("`{text}` is a pattern; ask for one concrete permission such as `invoices:read`"));
        }
        if Management::reserves(noun) {
            return Management::find(noun, verb).map(Self::Management).ok_or_else(|| {
                let known: Vec<_> = Management::ALL
                    .iter()
                    .filter(|own| own.as_str().split(':').next() == Some(noun))
                    .map(|own| own.as_str())
                    .collect();
                format!("`{text}` is not one; of `{noun}` there are {}", known.join(", "))
            });
        }
        Ok(Self::Api { noun, verb })
    }
}

impl fmt::Display for Permission<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Management(own) => own.fmt(f),
            Self::Api { noun, verb } => write!(f, "{noun}:{verb}"),
        }
    }
}

/// A concrete permission of the organization's own API that owns its text: what a route needs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequiredPermission {
    text: Box<str>,
    /// Where the colon stands.
    colon: usize,
}

impl RequiredPermission {
    /// Reads `noun:verb`. The error completes the sentence "`permission` …".
    pub fn parse(text: &str) -> Result<Self, String> {
        match Permission::parse(text)? {
            Permission::Api { noun, .. } => Ok(Self { text: text.into(), colon: noun.len() }),
            Permission::Management(own) => {
                Err(format!("`{own}` is a permission of Tokenward itself; a route of your API needs one of your own"))
            }
        }
    }

    /// The permission, to ask for it.
    #[must_use]
    pub fn permission(&self) -> Permission<'_> {
        Permission::Api { noun: &self.text[..self.colon], verb: &self.text[self.colon + 1..] }
    }

    /// `noun:verb`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// What a role holds of the organization's own API: `*` stands for either side.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pattern {
    noun: Option<Box<str>>,
    verb: Option<Box<str>>,
}

impl Pattern {
    /// `*:*`: everything of the organization's own API.
    #[must_use]
    pub fn any() -> Self {
        Self { noun: None, verb: None }
    }

    /// `*:verb`.
    #[must_use]
    pub fn any_noun(verb: &str) -> Self {
        Self { noun: None, verb: Some(verb.into()) }
    }

    /// Reads `noun:verb`, either side `*`, or `*` alone for both; refuses reserved nouns.
    /// The error completes the sentence "`permissions` …".
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::any());
        }
        let (noun, verb) = split(text)?;
        if Management::reserves(noun) {
            return Err(format!(
                "may not hold `{text}`: `{noun}` is reserved (of the reserved ones only `token:verify`, `token:rotate-self` and `event:read` may be named)"
            ));
        }
        let side = |part: &str| (part != "*").then(|| part.into());
        Ok(Self { noun: side(noun), verb: side(verb) })
    }

    /// Does the pattern allow this noun and verb? Never asked for a reserved noun.
    #[must_use]
    pub fn matches(&self, noun: &str, verb: &str) -> bool {
        self.noun.as_deref().is_none_or(|n| n == noun) && self.verb.as_deref().is_none_or(|v| v == verb)
    }

    /// Is there anything that both this and the other one allow?
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let side = |a: &Option<Box<str>>, b: &Option<Box<str>>| a.is_none() || b.is_none() || a == b;
        side(&self.noun, &other.noun) && side(&self.verb, &other.verb)
    }

    /// What both this and the other one allow; `None` where that is nothing.
    #[must_use]
    pub fn and(&self, other: &Self) -> Option<Self> {
        let side = |a: &Option<Box<str>>, b: &Option<Box<str>>| match (a, b) {
            (Some(a), Some(b)) if a != b => None,
            (Some(one), _) | (None, Some(one)) => Some(Some(one.clone())),
            (None, None) => Some(None),
        };
        Some(Self { noun: side(&self.noun, &other.noun)?, verb: side(&self.verb, &other.verb)? })
    }

    /// All patterns that allow whatever this one allows, itself among them. There are four at most, so that a set is asked
    /// by look-ups, however large it is.
    #[must_use]
    pub fn covering(&self) -> [Self; 4] {
        let of = |noun: &Option<Box<str>>, verb: &Option<Box<str>>| Self { noun: noun.clone(), verb: verb.clone() };
        [of(&self.noun, &self.verb), of(&self.noun, &None), of(&None, &self.verb), Self::any()]
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.noun, &self.verb) {
            (None, None) => f.write_str("*"),
            (noun, verb) => write!(f, "{}:{}", noun.as_deref().unwrap_or("*"), verb.as_deref().unwrap_or("*")),
        }
    }
}

fn split(text: &str) -> Result<(&str, &str), String> {
    let part = |part: &str| {
        part == "*"
            || ((1..=PART_MAX).contains(&part.len())
                && part.starts_with(|c: char| c.is_ascii_lowercase())
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.".contains(&b)))
    };
    match text.split_once(':') {
        Some((noun, verb)) if part(noun) && part(verb) => Ok((noun, verb)),
        _ if text.len() > PERMISSION_MAX => {
            Err(format!("has {} characters; the limit `permission_characters` is {PERMISSION_MAX}", text.len()))
        }
        _ => Err(format!(
            "`{}` is not of the form `noun:verb` (each 1 to {PART_MAX} of a-z, 0-9, `_`, `-`, `.`, beginning with a letter)",
            text.chars().take(80).collect::<String>().escape_debug()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_concrete() {
        assert_eq!(Permission::parse("token:manage"), Ok(Permission::Management(Management::TokenManage)));
        assert_eq!(Permission::parse("invoices:read"), Ok(Permission::Api { noun: "invoices", verb: "read" }));
        for bad in ["*", "*:read", "invoices:*", "token:frobnicate", "Invoices:read", "invoices", "a:b:c", "", ":"] {
            assert!(Permission::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_never_name_a_reserved_noun() {
        assert!(Pattern::parse("token:*").is_err());
        assert!(Pattern::parse("event:read").is_err());
        assert!(Pattern::parse("invoices:*").is_ok_and(|p| p.matches("invoices", "pay")));
        assert!(Pattern::parse("*:read").is_ok_and(|p| p.matches("x", "read") && !p.matches("x", "write")));
    }

    #[test]
    fn a_pattern_covers_what_it_contains() {
        let p = |text: &str| Pattern::parse(text).unwrap_or_else(|e| panic!("{e}"));
        let covers = |theirs: &str, mine: &str| p(mine).covering().contains(&p(theirs));
        assert!(
            covers("*", "*:read") && covers("*:read", "a:read") && covers("a:*", "a:read") && covers("*", "a:read")
        );
        assert!(!covers("a:read", "a:*") && !covers("*:read", "*") && !covers("a:*", "*:read"));
    }
}
