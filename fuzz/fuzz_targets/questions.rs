//! Any bytes as a question of Envoy's: read or not, and of an allowed one no header of ours is left to the client.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tokenward_server::fuzzed::question;

fuzz_target!(|data: &[u8]| {
    let Some((sent, removed)) = question(data) else { return };
    for name in sent {
        // A program behind Envoy may read `_` as `-`.
        let read = name.to_ascii_lowercase();
        if read.replace('_', "-").starts_with("x-tokenward-") {
            assert!(removed.contains(&read), "{name} is left");
        }
    }
});
