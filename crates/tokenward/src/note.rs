//! What is said to the person at the terminal, beside the answer.

use std::io::{self, Write as _};

/// Says something to the person at the terminal. Not being heard is no failure.
pub fn note(line: impl AsRef<str>) {
    let _ = writeln!(io::stderr(), "{}", line.as_ref());
}
