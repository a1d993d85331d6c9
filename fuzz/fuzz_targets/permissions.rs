//! Any text as a permission or a pattern: what is read is written as it was, and a pattern that covers another matches
//! all that the other does.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tokenward_core::permission::{Pattern, Permission, RequiredPermission};

// Two lines are patterns, the third is a permission.
fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let (first, second, third) = (lines.next(), lines.next(), lines.next());
    if let Some(Ok(needed)) = first.map(RequiredPermission::parse) {
        assert_eq!(first, Some(needed.as_str()));
        assert!(Permission::parse(needed.as_str()).is_ok());
    }
    let patterns = [first, second].map(|it| it.and_then(|it| Pattern::parse(it).ok()));
    let [Some(wide), Some(narrow)] = patterns else { return };
    let covers = |wide: &Pattern, narrow: &Pattern| narrow.covering().contains(wide);
    assert!(covers(&wide, &wide) && covers(&narrow, &narrow));
    let Some((noun, verb)) = third.and_then(|it| it.split_once(':')) else { return };
    if covers(&wide, &narrow) && narrow.matches(noun, verb) {
        assert!(wide.matches(noun, verb));
    }
});
