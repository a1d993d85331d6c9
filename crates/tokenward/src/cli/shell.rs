//! `tokenward completions` and `tokenward man`.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use clap_complete::Shell;
use clap_complete::env::Shells;

use super::output::{Failure, Result, print};
use super::{complete, definition, examples};

/// `tokenward completions`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// `tokenward man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// The command to describe, for example `token create`; the whole program when left out
    command: Vec<String>,
}

/// Prints what makes a shell ask this program, so that it offers names too.
pub fn completions(args: &CompletionsArgs) -> Result {
    let name = args.shell.to_possible_value().map(|it| it.get_name().to_owned()).unwrap_or_default();
    let shells = Shells::builtins();
    let shell =
        shells.completer(&name).ok_or_else(|| Failure::usage(format!("`{name}` is no shell that is known.")))?;
    let mut script = Vec::new();
    shell
        .write_registration(complete::VARIABLE, "tokenward", "tokenward", "tokenward", &mut script)
        .map_err(|cause| Failure::error(format!("The script cannot be made: {cause}")))?;
    print_generated(&script)
}

pub fn man(args: &ManArgs) -> Result {
    let mut command = definition();
    for name in &args.command {
        let found = command.find_subcommand(name).cloned();
        command = found.ok_or_else(|| {
            Failure::usage(format!("`{}` has no command `{name}`.", command.get_bin_name().unwrap_or("tokenward")))
        })?;
    }
    let page = page(command).map_err(|cause| Failure::error(format!("The page cannot be made: {cause}")))?;
    print_generated(&page)
}

/// What every command reads besides its arguments.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("TOKENWARD_URL", "The server, as with --url."),
    ("TOKENWARD_TOKEN", "An API token; without it, what `tokenward login` stored is used."),
    ("TOKENWARD_TOKEN_FILE", "A file that holds an API token, where TOKENWARD_TOKEN is not set."),
    ("TOKENWARD_ORGANIZATION", "The organization, as with --organization."),
    ("TOKENWARD_CA_CERT", "A PEM file with the authority of the server's certificate, as with --ca-cert."),
    ("TOKENWARD_…", "Further ones are settings of the service, and are read by commands that need no server."),
    ("BROWSER", "The program that opens an address for `login`."),
    ("NO_COLOR", "No colours, where it is not empty."),
];

/// How a command ends.
const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "Done; the token is valid; the answer is yes."),
    ("1", "Error."),
    ("2", "Wrong usage; `plan`: something is different."),
    ("3", "Not allowed; the token is not valid; the answer is no."),
    ("4", "Not found."),
    ("125, 126, 127", "Of `run`: no token was made; the command cannot be run; there is no such command."),
];

const FILES: &[(&str, &str)] = &[
    (
        "$XDG_CONFIG_HOME/tokenward/credentials.json",
        "What `login` and `org use` keep, a session a server; without that variable below ~/.config. It is not read where others \
         may read it.",
    ),
    ("./tokenward-data", "The data directory, where no other one is named: the database, the pepper, the journal."),
    ("tokenward.toml", "Settings of the service, where --config names it."),
];

/// The manual page of a command.
fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let name = command.get_bin_name().unwrap_or("tokenward").to_owned();
    let has_commands = command.get_subcommands().next().is_some();
    let man = clap_mangen::Man::new(command).title(name.replace(' ', "-")).manual("Tokenward");
    let man = man.source(concat!("tokenward ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    section(&mut page, "EXIT STATUS", EXIT_STATUS)?;
    section(&mut page, "ENVIRONMENT", ENVIRONMENT)?;
    section(&mut page, "FILES", FILES)?;
    let path = name.strip_prefix("tokenward ").unwrap_or_default();
    if let Some(both) = examples::of(path) {
        writeln!(page, ".SH EXAMPLES")?;
        for example in both {
            writeln!(page, ".PP\n.nf\n{}\n.fi", escaped(example))?;
        }
    }
    Ok(page)
}

/// A section of terms and what they mean.
fn section(page: &mut Vec<u8>, title: &str, terms: &[(&str, &str)]) -> io::Result<()> {
    writeln!(page, ".SH \"{title}\"")?;
    terms.iter().try_for_each(|(term, meaning)| writeln!(page, ".TP\n\\fB{}\\fR\n{}", escaped(term), escaped(meaning)))
}

/// A line as roff reads it: what would be a command of its own is text.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

fn print_generated(text: &[u8]) -> Result {
    print(String::from_utf8_lossy(text).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(path: &str) -> clap::Command {
        path.split(' ').filter(|word| !word.is_empty()).fold(definition(), |command, name| {
            command.find_subcommand(name).cloned().unwrap_or_else(|| panic!("{path}"))
        })
    }

    #[test]
    fn a_page_says_how_a_command_ends_what_it_reads_and_how_it_is_used() {
        let page = String::from_utf8(page(command("token create")).unwrap()).unwrap();
        for section in ["NAME", "SYNOPSIS", "OPTIONS", "\"EXIT STATUS\"", "\"ENVIRONMENT\"", "\"FILES\"", "EXAMPLES"] {
            assert!(page.contains(&format!(".SH {section}")), "{section}: {page}");
        }
        assert!(page.contains("ci\\-deploys") && page.contains("credentials.json"), "{page}");
        assert!(!page.contains("EXTRA"), "{page}");
    }

    #[test]
    fn a_line_of_a_page_is_no_command_to_roff() {
        assert_eq!(escaped(".SH x"), "\\&.SH x");
        assert_eq!(escaped("a\\-b"), "a\\e\\-b");
    }
}
