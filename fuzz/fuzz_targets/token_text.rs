//! Any text as a token: nothing that is accepted stays accepted with one character changed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tokenward_core::Random;
use tokenward_core::secret::{Kind, PlainText, Prefixes, Presented};

/// "Random" bytes from the input, so that the fuzzer also chooses tokens that were made here.
struct Input(Vec<u8>);

impl Random for Input {
    fn fill(&self, buffer: &mut [u8]) {
        // Rotated, since a source that repeats one byte for ever may be rejected for ever.
        for (at, byte) in buffer.iter_mut().enumerate() {
            let given = self.0.get(at % self.0.len().max(1)).copied().unwrap_or_default();
            *byte = given.wrapping_add((at as u8).wrapping_mul(37));
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let prefixes = Prefixes::default();
    if let Ok(text) = std::str::from_utf8(data) {
        check(text, &prefixes);
    }
    let made = PlainText::generate(Kind::Token, &prefixes, &Input(data.to_vec()));
    assert!(Presented::parse(made.expose(), &prefixes).is_some(), "what was made is accepted");
    let changed_at = usize::from(data.first().copied().unwrap_or_default()) % made.expose().len();
    let mut changed = made.expose().as_bytes().to_vec();
    changed[changed_at] = data.last().copied().unwrap_or_default() & 0x7f;
    if changed != made.expose().as_bytes() {
        let changed = String::from_utf8(changed).expect("ASCII");
        assert!(Presented::parse(&changed, &prefixes).is_none(), "one changed character is refused");
    }
    check(made.expose(), &prefixes);
});

fn check(text: &str, prefixes: &Prefixes) {
    let stands = Presented::stands_in(text, prefixes);
    let Some(presented) = Presented::parse(text, prefixes) else { return };
    assert!(stands, "a token stands in its own text");
    assert!(text.ends_with(presented.last_four()) && presented.last_four().len() == 4);
    assert!(!format!("{presented:?}").contains(text), "its text is not shown");
    for longer in [format!("{text}0"), format!(" {text}")] {
        assert!(Presented::parse(&longer, prefixes).is_none(), "nothing stands before or behind it");
        assert!(Presented::stands_in(&longer, prefixes));
    }
}
