//! From a name or an id, as a person types it, to the thing itself.

use tokenward_api::clusters::Cluster;
use tokenward_api::environments::Environment;
use tokenward_api::identities::Identity;
use tokenward_api::invitations::InviteMember;
use tokenward_api::members::Member;
use tokenward_api::organizations::Organization;
use tokenward_api::passkeys::Passkey;
use tokenward_api::policy_tokens::PolicyApiToken;
use tokenward_api::projects::Project;
use tokenward_api::roles::AvailableRole;
use tokenward_api::tokens::ApiToken;
use tokenward_core::Uuid;
use tokenward_core::name::fold_email;

use super::answer::ApiAnswer;
use super::output::{Failure, Result};

/// How many names an error offers.
const OFFERED: usize = 12;

/// What a person can name.
pub trait Named {
    fn id(&self) -> Uuid;
    /// What a person calls it: of people the e-mail address.
    fn label(&self) -> &str;
}

macro_rules! named {
    ($($thing:ty: $name:ident),* $(,)?) => {$(
        impl Named for $thing {
            fn id(&self) -> Uuid {
                self.id
            }

            fn label(&self) -> &str {
                &self.$name
            }
        }
    )*};
}

named!(
    ApiToken: name,
    AvailableRole: name,
    Cluster: name,
    Environment: name,
    InviteMember: email,
    Member: email,
    Organization: name,
    Passkey: name,
    PolicyApiToken: name,
    Project: name,
);

impl Named for Identity {
    fn id(&self) -> Uuid {
        self.id
    }

    /// The address that it gave; where it gave none, who it is there.
    fn label(&self) -> &str {
        self.email.as_deref().unwrap_or(&self.subject)
    }
}

impl<T: Named> Named for ApiAnswer<T> {
    fn id(&self) -> Uuid {
        (**self).id()
    }

    fn label(&self) -> &str {
        (**self).label()
    }
}

/// The thing whose id or name is `wanted`. An exact name wins; then one that differs in case only, and an address whose domain
/// is written in the letters of its language.
pub fn find<'a, T: Named>(list: &'a [T], wanted: &str, what: &str) -> Result<&'a T> {
    let (lower, address) = (wanted.to_lowercase(), fold_email(wanted));
    let is_like = |label: &str| label.to_lowercase() == lower || label.contains('@') && fold_email(label) == address;
    let mut similar = list.iter().filter(|item| is_like(item.label()));
    let exact = list.iter().find(|item| item.id().to_string() == lower || item.label() == wanted);
    match (exact, similar.next(), similar.next()) {
        (Some(found), _, _) | (None, Some(found), None) => Ok(found),
        _ => Err(absent(list, wanted, what)),
    }
}

fn absent<T: Named>(list: &[T], wanted: &str, what: &str) -> Failure {
    let failure = Failure::not_found(format!("There is no {what} `{wanted}`, or you may not see it."));
    if list.is_empty() {
        return failure;
    }
    let mut names: Vec<_> = list.iter().take(OFFERED).map(|item| item.label().to_owned()).collect();
    if list.len() > OFFERED {
        names.push(format!("and {} more", list.len() - OFFERED));
    }
    failure.hint(format!("There is: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Exit;

    #[test]
    fn an_exact_name_wins_over_a_similar_one() {
        let role =
            |n, name: &str| AvailableRole { id: Uuid::from_u128(n), name: name.into(), description: String::new() };
        let list = [role(1, "CI"), role(2, "ci"), role(3, "Web")];
        let id = |wanted: &str| find(&list, wanted, "token").map(|item| item.id.as_u128());
        assert_eq!(id("ci"), Ok(2));
        assert_eq!(id("CI"), Ok(1));
        assert_eq!(id("web"), Ok(3));
        assert_eq!(id("00000000-0000-0000-0000-000000000003"), Ok(3));
        assert_eq!(id("Ci").unwrap_err().exit, Exit::NotFound, "two are similar: none is meant for sure");
        assert!(id("x").unwrap_err().lines[1].contains("CI, ci, Web"));
    }

    #[test]
    fn an_address_is_found_in_either_form_of_its_domain() {
        let called = |name: &str| [AvailableRole { id: Uuid::nil(), name: name.into(), description: String::new() }];
        assert!(find(&called("ada@xn--bcher-kva.example"), "Ada@bücher.example", "member").is_ok());
        assert!(find(&called("xn--bcher-kva.example"), "bücher.example", "role").is_err());
    }
}
