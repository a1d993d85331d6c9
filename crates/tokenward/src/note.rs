//! What is said to the person at the terminal.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Is nothing said but what went wrong, or may go wrong?
static QUIET: AtomicBool = AtomicBool::new(false);

/// Says no more than must be said from now on.
pub fn be_quiet() {
    QUIET.store(true, Relaxed);
}

/// Says something to the person at the terminal, if that person wants to hear it.
pub fn note(line: impl AsRef<str>) {
    let line = line.as_ref();
    if !QUIET.load(Relaxed) || line.starts_with("warning: ") {
        say(line);
    }
}

/// Says what went wrong, in any case. Not being heard is no failure.
pub fn say(line: impl AsRef<str>) {
    let _ = writeln!(io::stderr(), "{}", line.as_ref());
}

/// Makes text harmless that somebody else chose: a name or a user agent must not move the cursor, recolour the
/// screen or swap the reading order of what stands around it.
pub fn clean(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => shown.push(' '),
            c if c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    shown
}
