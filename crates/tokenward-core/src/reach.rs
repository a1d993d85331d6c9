//! Which of its user's organizations a session reaches.

use uuid::Uuid;

use crate::directory::Organization;

/// What a session reaches.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Reach {
    /// This organization alone; none for all of the user's.
    pub only: Option<Uuid>,
    /// Was it given to another machine by a code? An organization can refuse those.
    pub by_device: bool,
}

impl Reach {
    /// Does it reach this one? Any other is as absent as one that its user does not belong to.
    #[must_use]
    pub fn reaches(&self, organization: &Organization) -> bool {
        self.only.is_none_or(|only| only == organization.id) && !(self.by_device && organization.forbids_device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Directory;

    #[test]
    fn a_session_reaches_what_it_is_for_and_what_does_not_refuse_it() {
        let [one, other] = [1, 2].map(Uuid::from_u128);
        let mut directory = Directory::default();
        for id in [one, other] {
            directory.put_organization(id, "o");
        }
        for (only, by_device, id, forbids, reaches) in [
            (None, false, one, true, true),
            (None, true, one, false, true),
            (None, true, one, true, false),
            (Some(one), false, one, false, true),
            (Some(one), false, other, false, false),
            (Some(one), true, one, true, false),
        ] {
            directory.put_device_rule(id, forbids);
            let organization = directory.organization(id).unwrap();
            assert_eq!(Reach { only, by_device }.reaches(organization), reaches);
        }
    }
}
