//! The pepper: found or made at the start, proved against the database.
//!
//! A line a version: `1:<64 hexadecimal digits>`. It comes from `TOKENWARD_PEPPER` or from the file `pepper` in the
//! data directory. A new one is made only while the database knows none: with another pepper every token
//! would be unknown, and nobody would see why.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Once;

use subtle::ConstantTimeEq;
use tokenward_core::Random;
use tokenward_core::secret::Pepper;
use tokenward_store::Store;
use tokenward_store::peppers::{self, KnownPepper};
use zeroize::Zeroizing;

use crate::reach::{FileAccess, reach};

/// The file is read more than once at a start.
static GROUP_TOLD: Once = Once::new();

/// Why the peppers cannot be used; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PepperError {
    /// The database was used with a pepper that is not here.
    #[error(
        "the database needs pepper version {version}, but {source_name} does not hold it. Restore the pepper that belongs to this \
         database{}; without it no token of it can be verified",
        whence(made_by.as_deref())
    )]
    Missing {
        /// The version that is missing.
        version: i32,
        /// Where it was looked for.
        source_name: String,
        /// The node that made it, if that is known.
        made_by: Option<String>,
    },
    /// A pepper of the right version, but another key.
    #[error(
        "pepper version {version} in {source_name} is not the one this database was used with. Restore the right pepper{}; \
         nothing was changed",
        whence(made_by.as_deref())
    )]
    Wrong {
        /// The version that does not fit.
        version: i32,
        /// Where it was read.
        source_name: String,
        /// The node that made it, if that is known.
        made_by: Option<String>,
    },
    /// The text is none.
    #[error("line {line} of {source_name} is no pepper: it must be VERSION:KEY with a key of 64 hexadecimal digits")]
    Form {
        /// Which line, from 1.
        line: usize,
        /// Where it was read.
        source_name: String,
    },
    /// The key is no random one.
    #[error(
        "line {line} of {source_name} holds a key that anybody can guess: one byte, again and again. Put the real one there; for \
         a new database, make one with `openssl rand -hex 32`"
    )]
    Guessable {
        /// Which line, from 1.
        line: usize,
        /// Where it was read.
        source_name: String,
    },
    /// Two keys have the same version.
    #[error("line {line} of {source_name} gives pepper version {version} once more: each version has one key")]
    Twice {
        /// Which line, from 1.
        line: usize,
        /// The version.
        version: i32,
        /// Where it was read.
        source_name: String,
    },
    /// Others can read the file.
    #[error("{} can be read by others (mode {mode:o}): run chmod 600 on it", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file cannot be read or written.
    #[error("cannot use the pepper {}: {cause}. It must belong to the user that runs tokenward", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] tokenward_core::Error),
}

/// What is there before the database is asked, for the log: the newest version and its place. What cannot be read is told
/// when it is used.
#[must_use]
pub fn describe(data_dir: &Path, configured: Option<&str>) -> String {
    match read(data_dir, configured) {
        Ok((source_name, found)) => match found.iter().map(|pepper| pepper.version).max() {
            Some(version) => format!("version {version} of {source_name}"),
            None => format!("none in {source_name}"),
        },
        Err(_) => "not to be read".to_owned(),
    }
}

/// Where to find the right one.
fn whence(made_by: Option<&str>) -> String {
    made_by.map_or_else(String::new, |node| {
        format!(", which the node `{node}` made (copy its file `pepper`, or set TOKENWARD_PEPPER alike on all nodes)")
    })
}

/// Loads the peppers, newest first, and proves them against the database. Makes the first one: of several nodes that start
/// at once on an empty database one does, and the others are told which.
pub async fn load(
    store: &Store,
    data_dir: &Path,
    configured: Option<&str>,
    node_name: &str,
) -> Result<Vec<Pepper>, PepperError> {
    let (source_name, mut found) = read(data_dir, configured)?;
    let known = known(store).await?;
    if !known.is_empty() && found.iter().all(|pepper| is_known(&known, pepper)) {
        prove(&known, &found, &source_name)?;
        return newest_first(found, &known, source_name);
    }
    let mut tx = store.begin_unlogged().await?;
    // Asked again, now that nobody else can answer otherwise at the same time.
    let known = peppers::list_for_change(&mut tx).await?;
    prove(&known, &found, &source_name)?;
    if found.is_empty() && configured.is_none() {
        found.push(make_file(&data_dir.join("pepper"), store.random())?);
    }
    let mut new = found.clone();
    new.retain(|pepper| !is_known(&known, pepper));
    for pepper in new {
        peppers::insert(&mut tx, pepper.version, pepper.derive("check"), node_name).await?;
    }
    tx.commit().await?;
    newest_first(found, &known, source_name)
}

/// The peppers that the database knows, newest first and proved. Makes and writes nothing: that is the server's to do.
pub async fn find(store: &Store, data_dir: &Path, configured: Option<&str>) -> Result<Vec<Pepper>, PepperError> {
    let known = known(store).await?;
    let (source_name, mut found) = read(data_dir, configured)?;
    prove(&known, &found, &source_name)?;
    found.retain(|pepper| is_known(&known, pepper));
    newest_first(found, &known, source_name)
}

/// The versions that the database knows.
async fn known(store: &Store) -> tokenward_core::Result<Vec<KnownPepper>> {
    let mut reader = store.read().await?;
    peppers::list(reader.conn()).await
}

fn is_known(known: &[KnownPepper], pepper: &Pepper) -> bool {
    known.iter().any(|it| it.version == pepper.version)
}

/// The peppers, and the name of the place where they were read.
fn read(data_dir: &Path, configured: Option<&str>) -> Result<(String, Vec<Pepper>), PepperError> {
    let path = data_dir.join("pepper");
    Ok(match configured {
        Some(text) => ("TOKENWARD_PEPPER".to_owned(), parse(text, "TOKENWARD_PEPPER")?),
        None => (path.display().to_string(), read_file(&path)?),
    })
}

/// Every version that the database knows must be there, with the right key. Those that have retired may be gone.
fn prove(known: &[KnownPepper], found: &[Pepper], source_name: &str) -> Result<(), PepperError> {
    for KnownPepper { version, check_value, made_by, .. } in known.iter().filter(|it| it.retired_at.is_none()) {
        let (version, source_name, made_by) = (*version, source_name.to_owned(), made_by.clone());
        match found.iter().find(|pepper| pepper.version == version) {
            None => return Err(PepperError::Missing { version, source_name, made_by }),
            Some(pepper) if !bool::from(pepper.derive("check")[..].ct_eq(check_value)) => {
                return Err(PepperError::Wrong { version, source_name, made_by });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Without those that have retired.
fn newest_first(
    mut peppers: Vec<Pepper>,
    known: &[KnownPepper],
    source_name: String,
) -> Result<Vec<Pepper>, PepperError> {
    peppers.retain(|pepper| !known.iter().any(|it| it.version == pepper.version && it.retired_at.is_some()));
    if peppers.is_empty() {
        return Err(PepperError::Missing { version: 1, source_name, made_by: None });
    }
    peppers.sort_by_key(|pepper| std::cmp::Reverse(pepper.version));
    Ok(peppers)
}

fn parse(text: &str, source_name: &str) -> Result<Vec<Pepper>, PepperError> {
    let mut peppers: Vec<Pepper> = Vec::new();
    for (number, line) in text.split(['\n', ',']).map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()) {
        let read = line.split_once(':').and_then(|(version, key)| {
            let version: i32 = version.trim().parse().ok().filter(|version| *version > 0)?;
            Some(Pepper::new(version, *key_of(key.trim())?))
        });
        let (line, source_name) = (number + 1, source_name.to_owned());
        let Some(pepper) = read else { return Err(PepperError::Form { line, source_name }) };
        if pepper.expose_key().iter().all(|byte| *byte == pepper.expose_key()[0]) {
            return Err(PepperError::Guessable { line, source_name });
        }
        if peppers.iter().any(|other| other.version == pepper.version) {
            return Err(PepperError::Twice { line, version: pepper.version, source_name });
        }
        peppers.push(pepper);
    }
    Ok(peppers)
}

fn key_of(digits: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0u8; 32]);
    hex::decode_to_slice(digits, &mut *key).ok()?;
    Some(key)
}

fn read_file(path: &Path) -> Result<Vec<Pepper>, PepperError> {
    let io = |cause| io(path, cause);
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(io(cause)),
    };
    let meta = std::fs::metadata(path).map_err(io)?;
    let mode = meta.permissions().mode() & 0o777;
    match reach(&meta) {
        FileAccess::Owner => {}
        FileAccess::OwnGroup => GROUP_TOLD.call_once(|| {
            tracing::warn!(
                pepper = %path.display(), mode = format!("{mode:o}"),
                "its group can read the pepper. An orchestrator sets it so (fsGroup); anywhere else, run chmod 600 on it"
            );
        }),
        FileAccess::OtherGroup | FileAccess::Everybody => return Err(PepperError::Mode { path: path.to_owned(), mode }),
    }
    parse(&text, &path.display().to_string())
}

fn make_file(path: &Path, random: &dyn Random) -> Result<Pepper, PepperError> {
    let pepper = generate(1, random);
    // Not in the place of one that another process has just made: without it nothing of that one's database could be read.
    write_new(path, std::slice::from_ref(&pepper)).and_then(|()| keep_name(path)).map_err(|cause| io(path, cause))?;
    Ok(pepper)
}

/// A new pepper of this version.
fn generate(version: i32, random: &dyn Random) -> Pepper {
    let mut key = Zeroizing::new([0u8; 32]);
    random.fill(&mut *key);
    Pepper::new(version, *key)
}

/// A pepper as it stands in its file, and in `TOKENWARD_PEPPER`.
#[must_use]
pub fn line(pepper: &Pepper) -> Zeroizing<String> {
    let mut digits = Zeroizing::new([0u8; 64]);
    // There is room for two digits of each byte.
    let _ = hex::encode_to_slice(pepper.expose_key(), &mut *digits);
    let digits = digits.iter().map(|digit| char::from(*digit));
    let mut line = Zeroizing::new(String::with_capacity(80));
    line.push_str(&format!("{}:", pepper.version));
    line.extend(digits);
    line
}

/// Writes the file anew, beside its place, and puts it there: a crash leaves the one or the other, whole.
fn write_file(path: &Path, peppers: &[Pepper]) -> Result<(), PepperError> {
    let part = path.with_extension("new");
    // The rest of an earlier try; where there is none, nothing is to be done.
    let _ = std::fs::remove_file(&part);
    let put = || std::fs::rename(&part, path).and_then(|()| keep_name(path));
    write_new(&part, peppers).and_then(|()| put()).map_err(|cause| io(path, cause))
}

/// Writes a file that must not be there yet.
fn write_new(path: &Path, peppers: &[Pepper]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    for pepper in peppers {
        file.write_all(line(pepper).as_bytes())?;
        file.write_all(b"\n")?;
    }
    file.sync_all()
}

/// The file's name must survive a crash too: the next start would otherwise find a database without its pepper.
fn keep_name(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |directory| std::fs::File::open(directory)?.sync_all())
}

fn io(path: &Path, cause: std::io::Error) -> PepperError {
    PepperError::Io { path: path.to_owned(), cause }
}

/// Makes a further pepper, newer than any that the database or this place knows. Where the peppers lie in a file it is put
/// there; what comes from elsewhere is for whoever keeps it to change. Says whether it was put into the file.
pub async fn add(store: &Store, data_dir: &Path, configured: Option<&str>) -> Result<(Pepper, bool), PepperError> {
    let known = known(store).await?;
    let (source_name, mut found) = read(data_dir, configured)?;
    prove(&known, &found, &source_name)?;
    let versions = found.iter().map(|it| it.version).chain(known.iter().map(|it| it.version));
    let pepper = generate(versions.max().unwrap_or(0) + 1, store.random());
    if configured.is_none() {
        found.push(pepper.clone());
        write_file(&data_dir.join("pepper"), &found)?;
    }
    Ok((pepper, configured.is_none()))
}

/// Takes a version that has retired out of the file. Where the peppers come from elsewhere, nothing is done: `false`.
pub fn remove(data_dir: &Path, configured: Option<&str>, version: i32) -> Result<bool, PepperError> {
    if configured.is_some() {
        return Ok(false);
    }
    let (_, mut found) = read(data_dir, None)?;
    found.retain(|pepper| pepper.version != version);
    write_file(&data_dir.join("pepper"), &found)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        parse(text, "here").err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn a_pepper_is_a_version_and_a_random_key() {
        let key = "0123456789abcdef".repeat(4);
        assert_eq!(said(&format!("1:{key}\n\n 2 : {key} ,3:{key}")), "");
        for text in ["x", "1", "1:", "0:KEY", "-1:KEY", "a:KEY", "1:KEY0", "1:KEY:", "KEY"] {
            let text = format!("7:{key}\n{}", text.replace("KEY", &key));
            assert!(said(&text).starts_with("line 2 of here is no pepper"), "{text}: {}", said(&text));
        }
        assert!(said(&format!("1:{}", &key[1..])).contains("64 hexadecimal digits"));
        for byte in ["00", "ff", "77"] {
            assert!(said(&format!("1:{}", byte.repeat(32))).contains("anybody can guess"));
        }
        assert!(said(&format!("1:{key}\n1:{key}")).starts_with("line 2 of here gives pepper version 1 once more"));
    }
}
