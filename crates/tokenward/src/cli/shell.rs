//! `tokenward completions` and `tokenward man`.

use std::io;

use clap::Args;

use super::definition;
use super::output::{Failure, Result, print};

/// `tokenward completions`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

/// `tokenward man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// The command to describe, for example `token create`; the whole program when left out
    command: Vec<String>,
}

pub fn completions(args: &CompletionsArgs) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut definition(), "tokenward", &mut script);
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
    let title = command.get_bin_name().unwrap_or("tokenward").replace(' ', "-");
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command).title(title).manual("Tokenward");
    let source = concat!("tokenward ", env!("CARGO_PKG_VERSION"));
    let rendered: io::Result<()> = man.source(source).render(&mut page);
    rendered.map_err(|cause| Failure::error(format!("The page cannot be made: {cause}")))?;
    print_generated(&page)
}

fn print_generated(text: &[u8]) -> Result {
    print(String::from_utf8_lossy(text).trim_end())
}
