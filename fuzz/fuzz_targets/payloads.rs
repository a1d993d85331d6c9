//! Any text as the payload of an event, as a page and an answer read it back from the log.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tokenward_server::fuzzed::change_between;
use tokenward_store::events::Payload;

fuzz_target!(|text: &str| {
    let Ok(payload) = serde_json::from_str::<Payload>(text) else { return };
    let changes = change_between(payload.before.as_ref(), payload.after.as_ref());
    assert!(changes.iter().all(|(_, before, after)| before != after), "only what differs is shown");
    let same = change_between(payload.after.as_ref(), payload.after.as_ref());
    assert!(same.is_empty());
});
