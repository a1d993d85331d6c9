//! Who else gets at a file or a directory that holds secrets.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// Who gets at it besides its owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileAccess {
    /// Nobody.
    Owner,
    /// A group that this process is in: orchestrators give a volume to one (Kubernetes by `fsGroup`), and set its bits.
    OwnGroup,
    /// A group of others.
    OtherGroup,
    /// Everybody on this machine.
    Everybody,
}

/// Who can read or write what has these properties.
#[must_use]
pub fn reach(of: &Metadata) -> FileAccess {
    let group_is_ours = || {
        let groups = rustix::process::getgroups().unwrap_or_default();
        let own = rustix::process::getegid();
        std::iter::once(own).chain(groups).any(|group| group.as_raw() == of.gid())
    };
    match of.mode() {
        mode if mode & 0o6 != 0 => FileAccess::Everybody,
        mode if mode & 0o60 == 0 => FileAccess::Owner,
        _ if group_is_ours() => FileAccess::OwnGroup,
        _ => FileAccess::OtherGroup,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn bits_of_our_group_and_of_others_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let of = |mode| {
            std::fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
            reach(&std::fs::metadata(directory.path()).unwrap())
        };
        assert_eq!((of(0o700), of(0o711)), (FileAccess::Owner, FileAccess::Owner));
        assert_eq!((of(0o750), of(0o2770)), (FileAccess::OwnGroup, FileAccess::OwnGroup));
        assert_eq!((of(0o755), of(0o702)), (FileAccess::Everybody, FileAccess::Everybody));
        // Only root can give a file to a group that it is not in.
        if std::os::unix::fs::chown(directory.path(), None, Some(54_321)).is_ok() {
            assert_eq!((of(0o750), of(0o700)), (FileAccess::OtherGroup, FileAccess::Owner));
        }
    }
}
