//! Files that hold secrets, and who else can read them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Result, bail};
use tokenward_verify::server::reach::{FileAccess, reach};

/// The mode of a file that every user of the machine can read; `None` for others, and for one that cannot be looked at,
/// which whoever opens it says better. Its group is let in: certificates are often kept for one.
#[must_use]
pub fn open_to_everybody(path: &Path) -> Option<u32> {
    let path = path.canonicalize().ok()?;
    let mode = |path: &Path| path.metadata().ok().map(|meta| meta.permissions().mode() & 0o777);
    let of_file = mode(&path)?;
    // Nobody gets to a file in a directory that is closed to them.
    let reached = path.parent().and_then(mode).is_none_or(|directory| directory & 0o001 != 0);
    (of_file & 0o004 != 0 && reached).then_some(of_file)
}

/// The directory of the pepper is nobody else's: whoever can write it can put another pepper or another database there, and
/// whoever can read it sees each file that somebody lays beside them, a backup first of all. Its group may, where an
/// orchestrator has given it to one of ours. An empty one of this user, as `mkdir` leaves it, is closed: nobody has anything
/// in it yet.
pub fn check_directory(path: &Path) -> Result<()> {
    // What cannot be looked at, whoever uses it says better.
    let Ok(meta) = path.metadata() else { return Ok(()) };
    let mode = meta.permissions().mode() & 0o777;
    let reach = reach(&meta);
    let empty = || std::fs::read_dir(path).is_ok_and(|mut all| all.next().is_none());
    if reach == FileAccess::Everybody
        && empty()
        && std::fs::set_permissions(path, PermissionsExt::from_mode(0o700)).is_ok()
    {
        tracing::info!(data_dir = %path.display(), "the data directory was open to everybody; it is closed now (mode 700)");
        return Ok(());
    }
    let path = path.display();
    let advice = "run chmod 700 on it, or name a directory inside of it with --data-dir, which is made for nobody else";
    match reach {
        FileAccess::Owner => {}
        FileAccess::OwnGroup => tracing::warn!(
            data_dir = %path, mode = format!("{mode:o}"),
            "its group can read or write the data directory. An orchestrator sets it so (fsGroup); anywhere else, run \
             chmod 700 on it"
        ),
        FileAccess::OtherGroup => bail!(
            "a group that this user is not in can read or write the data directory {path} (mode {mode:o}): {advice}"
        ),
        FileAccess::Everybody => {
            bail!("everybody on this machine can read or write the data directory {path} (mode {mode:o}): {advice}")
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_everybody_can_read_is_closed_when_it_is_empty_and_refused_when_it_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let mode = || directory.path().metadata().unwrap().permissions().mode() & 0o777;
        let set = |mode| std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(mode)).unwrap();
        set(0o755);
        check_directory(directory.path()).unwrap();
        assert_eq!(mode(), 0o700);
        std::fs::write(directory.path().join("pepper"), "").unwrap();
        set(0o755);
        let refused = check_directory(directory.path()).unwrap_err().to_string();
        assert!(refused.contains("mode 755") && refused.contains("chmod 700") && mode() == 0o755, "{refused}");
    }

    #[test]
    fn a_file_is_open_when_its_directory_is_too() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        std::fs::write(&file, "").unwrap();
        let with = |of_directory, of_file| {
            let set = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
            set(directory.path(), of_directory);
            set(&file, of_file);
            open_to_everybody(&file)
        };
        assert_eq!((with(0o755, 0o644), with(0o701, 0o604)), (Some(0o644), Some(0o604)));
        assert_eq!((with(0o700, 0o644), with(0o755, 0o640), with(0o755, 0o600)), (None, None, None));
        assert_eq!(open_to_everybody(&directory.path().join("absent")), None);
    }
}
