//! What is asked of the person at the terminal, and what a pipe brings instead.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use zeroize::Zeroizing;

use super::output::{Failure, Result, clean};

/// The longest text that a secret is read from: more is a file by mistake.
const SECRET_MAX: u64 = 64 * 1024;

/// Asks before something is destroyed. Without a terminal nobody can answer, so `--yes` is needed there.
pub fn confirm(question: &str, yes: bool) -> Result {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("Nobody is at the terminal to confirm this.").hint("Add --yes to do it unasked."));
    }
    let answer = line(&format!("{} [y/N] ", clean(question)))?;
    match answer.to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::error("Nothing was changed.")),
    }
}

/// A line from the terminal. The question goes to standard error: standard output is for answers.
pub fn line(question: &str) -> Result<String> {
    let _ = write!(io::stderr(), "{question}");
    let _ = io::stderr().flush();
    let mut text = String::new();
    io::stdin().lock().read_line(&mut text).map_err(|cause| unreadable(&cause))?;
    Ok(text.trim().to_owned())
}

/// A secret: typed unseen at a terminal, or the first line of what is piped in.
pub fn secret(question: &str) -> Result<Zeroizing<String>> {
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(question).map(Zeroizing::new).map_err(|cause| unreadable(&cause));
    }
    let mut text = Zeroizing::new(String::new());
    io::stdin().lock().take(SECRET_MAX).read_line(&mut text).map_err(|cause| unreadable(&cause))?;
    let end = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(end);
    Ok(text)
}

/// A file, or standard input for `-`, of at most `limit` bytes.
pub fn document(file: &str, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = match file {
        "-" => io::stdin().lock().take(limit + 1).read_to_end(&mut bytes),
        _ => std::fs::File::open(file).and_then(|open| open.take(limit + 1).read_to_end(&mut bytes)),
    };
    read.map_err(|cause| Failure::error(format!("{file} cannot be read: {cause}")))?;
    if bytes.len() as u64 > limit {
        return Err(Failure::error(format!("{file} is too large: at most {} KiB.", limit / 1024)));
    }
    Ok(bytes)
}

fn unreadable(cause: &io::Error) -> Failure {
    Failure::error(format!("The input cannot be read: {cause}"))
}
