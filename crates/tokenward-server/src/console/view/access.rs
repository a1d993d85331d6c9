//! Roles, where one is shown or chosen.

/// A role beside the name of what has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleTag {
    /// Its id.
    pub id: String,
    /// Its name, as people read it: `Admin`, `DevOps`, `Deployer (staging)`.
    pub name: String,
    /// Does it hold everything, or nearly? Shown in the accent colour, since such a token deserves a look.
    pub powerful: bool,
}

/// A role that can be chosen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleChoice {
    /// Its id.
    pub id: String,
    /// Its name, as people read it.
    pub name: String,
    /// What it can do, in one sentence.
    pub meaning: String,
    /// What it can do, in detail; shown once it is chosen.
    pub points: Vec<String>,
    /// Why the person cannot hand it out, when that is so.
    pub refused: Option<String>,
}

/// The roles that a form offers. The form sends the id as `role_id`.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RoleChoices {
    /// The id of the chosen one; empty when none is.
    pub chosen: String,
    /// Built in, the most powerful first.
    pub built_in: Vec<RoleChoice>,
    /// Made by the organization, by name.
    pub custom: Vec<RoleChoice>,
    /// What was wrong with the choice.
    pub error: Option<String>,
}
