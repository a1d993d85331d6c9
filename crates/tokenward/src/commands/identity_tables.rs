//! `tokenward identity move`, `export` and `import`: many identities at once.

use std::io::Read as _;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use tokenward_core::right::Operator;
use tokenward_server::service::identity_moves::{self, Counted, IdentityTableRow, ROWS};
use tokenward_server::service::set_up;

use super::{DataArgs, offline_store as store};
use crate::note::note;

/// The columns of a table. `email` is that of the account.
const COLUMNS: [&str; 3] = ["email", "issuer", "subject"];
/// The largest table.
const LARGEST: u64 = 64 * 1024 * 1024;

/// `tokenward identity move`.
#[derive(Args, Clone, Debug)]
pub struct MoveArgs {
    /// The issuer until now, byte for byte
    #[arg(long, value_name = "ISSUER")]
    pub from: String,
    /// The issuer from now on, byte for byte
    #[arg(long, value_name = "ISSUER")]
    pub to: String,
    /// Say what would be moved, and move nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
}

/// `tokenward identity export`.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
}

/// `tokenward identity import`.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// A table with the columns email, issuer, subject; `-` for standard input
    #[arg(value_name = "FILE")]
    pub file: String,
    /// Say what would be linked, and link nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
}

pub async fn move_issuer(args: MoveArgs) -> Result<()> {
    let store = store(&args.data).await?;
    let operator = Operator::at_this_machine();
    let moved = identity_moves::move_issuer(&store, &operator, &args.from, &args.to, args.dry_run).await;
    store.close().await;
    let Counted { changed, left } = moved?;
    let would = if args.dry_run { "would be " } else { "" };
    note(format!("{changed} {would}moved; {left} of other issuers stay."));
    Ok(())
}

pub async fn export(args: ExportArgs) -> Result<()> {
    let store = store(&args.data).await?;
    let all = set_up::all_identities(&store, None).await;
    store.close().await;
    println!("{}", COLUMNS.join(","));
    for (identity, email) in all? {
        println!("{}", [&email, &identity.issuer, &identity.subject].map(|text| written(text)).join(","));
    }
    Ok(())
}

pub async fn import(args: ImportArgs) -> Result<()> {
    let rows = rows(&read(&args.file)?)?;
    let store = store(&args.data).await?;
    let linked = identity_moves::import(&store, &Operator::at_this_machine(), &rows, args.dry_run).await;
    store.close().await;
    let Counted { changed, left } = linked?;
    let would = if args.dry_run { "would be " } else { "" };
    note(format!("{changed} {would}linked; {left} were there already."));
    Ok(())
}

fn read(file: &str) -> Result<String> {
    let mut text = String::new();
    let read = match file {
        "-" => std::io::stdin().lock().take(LARGEST).read_to_string(&mut text),
        _ => std::fs::File::open(file).and_then(|open| open.take(LARGEST).read_to_string(&mut text)),
    };
    read.with_context(|| format!("{file} cannot be read"))?;
    Ok(text)
}

/// A value as it stands in a table (RFC 4180).
fn written(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// The rows of a table, by the names in its first line, in whatever order.
fn rows(text: &str) -> Result<Vec<IdentityTableRow>> {
    let mut records = records(text.trim_start_matches('\u{feff}'))?.into_iter();
    let Some(names) = records.next() else { bail!("the table is empty: its first line is {}", COLUMNS.join(",")) };
    let mut places = [0; 3];
    for (place, column) in places.iter_mut().zip(COLUMNS) {
        let found = names.iter().position(|name| name.trim() == column);
        *place = found.with_context(|| format!("the first line names no column `{column}`"))?;
    }
    if let Some(other) = names.iter().find(|name| !COLUMNS.contains(&name.trim())) {
        bail!("the column `{}` is not known here; known are {}", other.escape_debug(), COLUMNS.join(", "));
    }
    let mut rows = Vec::new();
    for (number, record) in records.enumerate() {
        if record.len() != names.len() {
            bail!("line {}: {} values for {} columns", number + 2, record.len(), names.len());
        }
        let [email, issuer, subject] = places.map(|place| record[place].trim().to_owned());
        rows.push(IdentityTableRow { email, issuer, subject });
        if rows.len() > ROWS {
            bail!("the table has more than {ROWS} lines");
        }
    }
    Ok(rows)
}

/// The records of a table: values with commas between, in quotes where there is a comma, a quote or the end of a line in them.
fn records(text: &str) -> Result<Vec<Vec<String>>> {
    let (mut all, mut record, mut value) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut was_quoted) = (false, false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                value.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if value.is_empty() && !was_quoted => (quoted, was_quoted) = (true, true),
            _ if quoted => value.push(letter),
            ',' => {
                record.push(std::mem::take(&mut value));
                was_quoted = false;
            }
            '\r' if letters.peek() == Some(&'\n') => {}
            '\n' => {
                record.push(std::mem::take(&mut value));
                was_quoted = false;
                all.push(std::mem::take(&mut record));
            }
            _ => value.push(letter),
        }
    }
    if quoted {
        bail!("line {}: a quote is not closed", all.len() + 1);
    }
    if !value.is_empty() || !record.is_empty() {
        record.push(value);
        all.push(record);
    }
    all.retain(|record| record.iter().any(|value| !value.trim().is_empty()));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_as_it_is_written() {
        let row = |email: &str, subject: &str| IdentityTableRow {
            email: email.into(),
            issuer: "https://i".into(),
            subject: subject.into(),
        };
        let text =
            format!("email,issuer,subject\r\na@b.c,https://i,{}\r\n\r\nb@b.c,https://i,2", written("x,\"y\"\nz"));
        assert_eq!(rows(&text).unwrap(), [row("a@b.c", "x,\"y\"\nz"), row("b@b.c", "2")]);
        assert_eq!(rows("subject,email,issuer\n2,b@b.c,https://i\n").unwrap(), [row("b@b.c", "2")]);
        for (wrong, why) in [
            ("", "empty"),
            ("email,issuer\n", "`subject`"),
            ("email,issuer,subject,role\n", "`role`"),
            ("email,issuer,subject\na,b\n", "line 2"),
            ("email,issuer,subject\n\"a,b,c\n", "not closed"),
        ] {
            assert!(rows(wrong).unwrap_err().to_string().contains(why), "{wrong}");
        }
    }
}
