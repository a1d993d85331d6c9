//! A picture that an authenticator reads, in the letters of a terminal: a letter is two modules, one above the other.

use std::io;

use qrcodegen::{QrCode, QrCodeEcc};

use super::super::output;

/// Light modules around it: fewer than a printed one has, so that it fits on a screen.
const QUIET: i32 = 2;
/// Dark on light, whatever the colours of the terminal are.
const DARK_ON_LIGHT: &str = "\x1b[30;107m";
const PLAIN: &str = "\x1b[0m";

/// The picture of a text, where whoever sits at the terminal can see it: with colours, and without lines that are broken.
pub fn for_terminal(text: &str) -> Option<String> {
    let lines = lines(text)?;
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok()?;
    let fits = lines.first().is_some_and(|line| line.chars().count() <= usize::from(size.ws_col));
    if !fits || !output::colours_wanted() {
        return None;
    }
    Some(lines.iter().map(|line| format!("{DARK_ON_LIGHT}{line}{PLAIN}\n")).collect())
}

/// Its lines; `None` where a picture cannot hold so much.
fn lines(text: &str) -> Option<Vec<String>> {
    let code = QrCode::encode_text(text, QrCodeEcc::Low).ok()?;
    let range = -QUIET..code.size() + QUIET;
    let line = |y: i32| {
        // What is outside of the code is light.
        let letter = |x| match (code.get_module(x, y), code.get_module(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        };
        range.clone().map(letter).collect::<String>()
    };
    Some(range.clone().step_by(2).map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_letter_is_two_modules_one_above_the_other() {
        let text = "otpauth://totp/Tokenward%20localhost:ada%40acme%2Eexample?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let (lines, code) = (lines(text).unwrap(), QrCode::encode_text(text, QrCodeEcc::Low).unwrap());
        let width = usize::try_from(code.size() + 2 * QUIET).unwrap();
        assert!(lines.iter().all(|line| line.chars().count() == width), "{lines:?}");
        assert_eq!(lines.len(), width.div_ceil(2));
        for (row, line) in (0..).zip(&lines) {
            for (column, letter) in (0..).zip(line.chars()) {
                let (x, y) = (column - QUIET, 2 * row - QUIET);
                let shown = ("█▀".contains(letter), "█▄".contains(letter));
                assert_eq!(shown, (code.get_module(x, y), code.get_module(x, y + 1)), "{x} {y}");
            }
        }
        // The corner that a reader looks for: seven dark ones in a row, behind what is light.
        assert!(lines[1].starts_with("  █▀▀▀▀▀█"), "{lines:?}");
        assert_eq!(super::lines(&"x".repeat(5_000)), None);
    }
}
