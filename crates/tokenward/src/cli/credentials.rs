//! The file that `login` writes: one session a server, readable by its owner alone.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokenward_api::objects;
use tokenward_core::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::output::{Failure, Result};

/// What is kept of a login.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Login {
    pub token: String,
    pub email: String,
    pub expires_at: String,
    /// What commands are about that name no organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[zeroize(skip)]
    pub organization: Option<UsedOrganization>,
}

/// An organization that somebody has chosen with `org use`.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct UsedOrganization {
    pub id: Uuid,
    pub name: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.email)
    }
}

/// The file's content. The server is the key, so that a token is never sent to another server than its own.
#[derive(Serialize, Deserialize, Default, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// The server of the latest login: the one that is asked when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    #[serde(default)]
    pub servers: BTreeMap<String, Login>,
}

/// `$XDG_CONFIG_HOME/tokenward/credentials.json`, else below `~/.config`.
pub fn path() -> Result<PathBuf> {
    // The XDG specification has relative paths ignored.
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    config.map(|config| config.join("tokenward/credentials.json")).ok_or_else(|| {
        Failure::error("There is no place to keep a login: neither HOME nor XDG_CONFIG_HOME is set.")
            .hint("Set one of them, or use an API token in TOKENWARD_TOKEN.")
    })
}

impl Credentials {
    /// Reads the file; an absent one holds nothing. One that others can read is refused: its tokens may be
    /// known to them already.
    pub fn load(path: &Path) -> Result<Self> {
        let failed = |cause: io::Error| Failure::error(format!("{} cannot be read: {cause}", path.display()));
        let mut file = match File::open(path) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            other => other.map_err(failed)?,
        };
        // Of the open file, not of the path: what is checked is what is read.
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let shown = path.display();
            return Err(Failure::error(format!(
                "{shown} holds your login and is open to other users (mode {mode:04o}), so it is not used."
            ))
            .hint(format!("Run `chmod 600 {shown}`; where others use this machine, also log out and in again.")));
        }
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(failed)?;
        // The parser's own message could quote the file, and with it a token.
        objects::read_json(text.as_bytes()).map_err(|error| {
            Failure::error(format!("{} is damaged (line {}).", path.display(), error.line()))
                .hint("Delete it and run `tokenward login` again.")
        })
    }

    /// Replaces the file in one step, so that a crash leaves the old or the new one, and never one that
    /// others could open.
    pub fn save(&self, path: &Path) -> Result {
        self.replace(path)
            .map_err(|cause| Failure::error(format!("The login cannot be kept in {}: {cause}", path.display())))
    }

    fn replace(&self, path: &Path) -> io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        fs::set_permissions(directory, Permissions::from_mode(0o700))?;
        let text = Zeroizing::new(serde_json::to_string_pretty(self)? + "\n");
        let next = path.with_extension(format!("{}.new", std::process::id()));
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&next, path)
        });
        if written.is_err() {
            let _ = fs::remove_file(&next);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Exit;

    fn sample() -> Credentials {
        let login = Login {
            token: "tws_x".into(),
            email: "a@b.c".into(),
            expires_at: "2027-01-31T00:00:00Z".into(),
            organization: Some(UsedOrganization { id: Uuid::nil(), name: "Acme".into() }),
        };
        Credentials { current: Some("http://one".into()), servers: [("http://one".to_owned(), login)].into() }
    }

    #[test]
    fn the_file_and_its_directory_are_the_owners_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/tokenward/credentials.json");
        sample().save(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(Credentials::load(&path), Ok(sample()));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("credentials.json");
        sample().save(&path).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o602] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let failure = Credentials::load(&path).unwrap_err();
            assert_eq!(failure.exit, Exit::Error);
            assert!(failure.lines.concat().contains("chmod 600"), "{failure:?}");
        }
    }

    #[test]
    fn saving_narrows_a_file_that_was_open() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("credentials.json");
        fs::write(&path, "{}").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        sample().save(&path).unwrap();
        assert_eq!(Credentials::load(&path), Ok(sample()));
    }

    #[test]
    fn a_login_from_before_there_was_a_choice_is_read() {
        let before =
            r#"{"servers":{"http://one":{"token":"tws_x","email":"a@b.c","expires_at":"2027-01-31T00:00:00Z"}}}"#;
        let read: Credentials = serde_json::from_str(before).unwrap();
        assert_eq!(read.servers["http://one"].organization, None);
    }

    #[test]
    fn a_damaged_file_is_not_quoted() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("credentials.json");
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(br#"{"servers": "tws_secret"}"#))
            .unwrap();
        let failure = Credentials::load(&path).unwrap_err();
        assert!(!failure.lines.concat().contains("tws_"), "{failure:?}");
        assert_eq!(Credentials::load(&home.path().join("absent")), Ok(Credentials::default()));
    }
}
