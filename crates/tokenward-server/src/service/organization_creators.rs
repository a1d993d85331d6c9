//! Who may make organizations. Whoever has an account on a server is not yet somebody who may have one.

use tokenward_core::caller::Caller;
use tokenward_core::directory::Directory;
use tokenward_core::role::{BuiltIn, RoleKind};
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::{Tx, members};

/// Who may make organizations, besides the operator at the machine.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum OrganizationCreators {
    /// Nobody.
    Operators,
    /// Owners and admins of an organization that exists.
    #[default]
    Admins,
    /// Everybody with an account.
    Anyone,
}

/// The roles that count.
const ADMINS: [BuiltIn; 2] = [BuiltIn::Owner, BuiltIn::Admin];

impl OrganizationCreators {
    /// All of them, as settings write them.
    pub const ALL: [(&'static str, Self); 3] =
        [("operators", Self::Operators), ("admins", Self::Admins), ("anyone", Self::Anyone)];

    /// Would this caller be let? For what a page offers; a write asks `require`.
    #[must_use]
    pub fn would_let(self, caller: &Caller, directory: &Directory) -> bool {
        let leads = |role: &RoleKind| ADMINS.iter().any(|admin| *role == RoleKind::BuiltIn(*admin));
        match self {
            Self::Operators => false,
            Self::Admins => {
                directory.organizations().any(|it| caller.role_in(it).is_some_and(|role| leads(&role.kind)))
            }
            Self::Anyone => true,
        }
    }

    /// May this account make an organization, by the rows?
    pub(super) async fn require(self, tx: &mut Tx, account: Uuid) -> Result<()> {
        let why = match self {
            Self::Anyone => return Ok(()),
            Self::Admins if members::holds_anywhere(tx.conn(), account, ADMINS).await? => return Ok(()),
            Self::Admins => "Only owners and admins of an organization may make another one here.",
            Self::Operators => "Only whoever runs this server makes organizations here.",
        };
        let advice = "Ask whoever runs it: `tokenward new-organization`, or the setting `organizations`.";
        Err(Error::new(Code::OrganizationCreationDenied, format!("{why} {advice}")))
    }
}
