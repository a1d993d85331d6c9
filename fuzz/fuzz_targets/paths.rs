//! Any bytes as a request target: a path that is accepted has one reading, and is accepted unchanged.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tokenward_core::path;

fuzz_target!(|data: &[u8]| {
    let (before, query) = path::split(data);
    assert!(!before.contains(&b'?'));
    let rebuilt = query.map_or_else(|| before.to_vec(), |query| [before, b"?", query].concat());
    assert_eq!(rebuilt, data, "a target is its path and its query");

    let Ok(accepted) = path::unambiguous(before) else { return };
    assert_eq!(accepted.as_bytes(), before, "a path is accepted as it is or not at all");
    assert!(accepted.starts_with('/') && accepted.is_ascii());
    assert!(!accepted.contains([';', '\\', '#', ' ']) && !accepted.contains("//"));
    assert!(accepted.split('/').all(|segment| segment != "." && segment != ".."));
    let lower = accepted.to_ascii_lowercase();
    for hidden in ["%2e", "%2f", "%5c", "%00"] {
        assert!(!lower.contains(hidden), "{accepted} hides {hidden}");
    }
});
