//! Who does something, and by which client.

use std::net::IpAddr;

use uuid::Uuid;

use crate::word::words;

/// Who does something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// A signed-in user.
    User {
        /// The user's id.
        id: Uuid,
        /// The user's e-mail address.
        email: String,
    },
    /// A token.
    Token {
        /// The token's id.
        id: Uuid,
        /// The token's name.
        name: String,
    },
    /// Whoever may run commands on the machine that holds the database.
    Operator,
    /// Somebody who is not signed in: with a set-up link, an invitation, a sign-in form.
    Visitor,
}

impl Actor {
    /// What the log says of it, for people: the contract's `triggered_by`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::User { email, .. } => email,
            Self::Token { name, .. } => name,
            Self::Operator | Self::Visitor => self.kind().as_str(),
        }
    }

    /// Its id, when it has one.
    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        match self {
            Self::User { id, .. } | Self::Token { id, .. } => Some(*id),
            Self::Operator | Self::Visitor => None,
        }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> ActorKind {
        match self {
            Self::User { .. } => ActorKind::User,
            Self::Token { .. } => ActorKind::Token,
            Self::Operator => ActorKind::Operator,
            Self::Visitor => ActorKind::Visitor,
        }
    }
}

words! {
    /// Kinds of those who do something. With the id it tells who it was, whatever the name looks like.
    ActorKind {
        /// A signed-in user.
        User = "user",
        /// A token.
        Token = "token",
        /// Whoever may run commands on the machine that holds the database.
        Operator = "operator",
        /// Somebody who is not signed in.
        Visitor = "visitor",
    }
}

words! {
    /// By which of the known clients a request came: the contract's `origin`.
    Origin {
        /// Any client of the HTTP API.
        Api = "API",
        /// A command line.
        Cli = "CLI",
        /// The web console.
        Console = "CONSOLE",
        /// The Terraform provider.
        Terraform = "TERRAFORM_PROVIDER",
        /// An agent skill.
        Skill = "SKILL",
        /// A push to a repository: a word of the contract, to search by. Nothing here is done by one.
        Git = "GIT",
        /// Those who run the contract's own service: likewise.
        Internal = "QOVERY_INTERNAL",
    }
}

impl Origin {
    /// Tells the client from its `User-Agent`, as far as it can be told (contract §1.5).
    #[must_use]
    pub fn from_user_agent(agent: Option<&str>) -> Self {
        let agent = agent.unwrap_or_default();
        if agent.starts_with("CLI ") || agent.starts_with("tokenward/") {
            Self::Cli
        } else if agent.starts_with("Terraform provider ") {
            Self::Terraform
        } else if agent.starts_with("QoverySkill/") {
            Self::Skill
        } else {
            Self::Api
        }
    }
}

/// Who did it, and from where: goes with every event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// By which kind of client.
    pub origin: Origin,
    /// From which address.
    pub address: Option<IpAddr>,
    /// The client's own words for itself, at most 256 characters.
    pub user_agent: Option<String>,
}

impl By {
    /// The operator, at the command line of the machine.
    #[must_use]
    pub fn operator() -> Self {
        Self { actor: Actor::Operator, origin: Origin::Cli, address: None, user_agent: None }
    }
}
