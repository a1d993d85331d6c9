//! What a role may do, as one line: each introspection tells it. It is made once, and kept until something of the organization
//! changes.

use std::sync::OnceLock;

/// A line that is longer is made for each answer: an organization with many routes and many roles must not fill the memory.
const KEPT: usize = 16 * 1_024;

/// A line, once it was asked for; nothing where it is none to keep.
type Line = OnceLock<Option<Box<str>>>;

/// The lines of an organization's roles, by the numbers of the roles. A copy has none: it is made to be changed.
#[derive(Default, Debug)]
pub(crate) struct ScopeLines(OnceLock<Box<[Line]>>);

impl Clone for ScopeLines {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl ScopeLines {
    /// The line of the role with this number, if it was made and is kept.
    pub(crate) fn kept(&self, number: u32) -> Option<&str> {
        self.0.get()?.get(number as usize)?.get()?.as_deref()
    }

    /// The line of the role with this number, of so many roles; `None` where it is none to keep.
    pub(crate) fn line(&self, number: u32, of: usize, make: impl FnOnce() -> String) -> Option<&str> {
        let lines = self.0.get_or_init(|| std::iter::repeat_with(OnceLock::new).take(of).collect());
        let line = lines.get(number as usize)?;
        if line.get().is_none() {
            // Not while others wait for it: of many routes it takes milliseconds. Of several that make it one stays.
            let made = Some(make()).filter(|line| line.len() <= KEPT).map(Into::into);
            let _ = line.set(made);
        }
        line.get()?.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::directory::Directory;
    use crate::role::{BuiltIn, Role, Scope};

    #[test]
    fn a_line_is_made_once_and_anew_when_the_organization_changes() {
        let (id, viewer) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut directory = Directory::default();
        directory.put_organization(id, "acme");
        directory.put_role(id, Role::custom(viewer, "r", &["orders:read"], Default::default()).unwrap());
        let line = |directory: &Directory| {
            let own = directory.organization(id).unwrap();
            let line = own.scope_line(own.role(viewer).unwrap());
            (line.as_ptr(), line.into_owned())
        };
        let (first, again) = (line(&directory), line(&directory));
        assert_eq!(first, again, "the same text at the same place");
        let kept = |directory: &Directory| {
            let own = directory.organization(id).unwrap();
            own.kept_scope_line(own.role(viewer).unwrap()).map(str::to_owned)
        };
        assert_eq!(kept(&directory).as_ref(), Some(&first.1));
        assert_eq!(kept(&directory.clone()).as_ref(), Some(&first.1), "nothing has changed");
        assert_eq!(first.1, "orders:read organization:read");
        let before = directory.clone();
        directory.put_role(id, Role::custom(viewer, "r", &["invoices:read"], Default::default()).unwrap());
        assert_eq!(kept(&directory), None, "it is not made by looking for it");
        assert_eq!(line(&directory).1, "invoices:read organization:read");
        assert_eq!(line(&before).1, first.1);
    }

    #[test]
    fn that_of_a_narrowed_token_is_its_own() {
        let (id, admin) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut directory = Directory::default();
        directory.put_organization(id, "acme");
        directory.put_role(id, Role::built_in(admin, BuiltIn::Admin));
        let own = directory.organization(id).unwrap();
        let role = own.role(admin).unwrap();
        let whole = own.scope_line(role).into_owned();
        let narrowed = role.narrowed(&Scope::parse(&["token:read"]).unwrap());
        assert_eq!(own.kept_scope_line(&narrowed), None);
        assert_eq!(own.scope_line(&narrowed), "token:read");
        assert_eq!(own.scope_line(role), whole.as_str());
    }

    #[test]
    fn nobody_waits_for_a_line_that_somebody_else_makes() {
        let lines = ScopeLines::default();
        let inner = || lines.line(0, 1, || "first".to_owned()).map(str::to_owned);
        // Were it made under a lock, who asks meanwhile would wait for ever.
        let asked = std::cell::RefCell::new(None);
        let made = lines.line(0, 1, || {
            *asked.borrow_mut() = inner();
            "second".to_owned()
        });
        assert_eq!((made, asked.into_inner().as_deref()), (Some("first"), Some("first")));
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let lines = ScopeLines::default();
        assert_eq!(lines.line(0, 1, || "x".repeat(KEPT + 1)), None);
        assert_eq!(lines.line(1, 1, || "x".to_owned()), None, "no such role");
    }
}
