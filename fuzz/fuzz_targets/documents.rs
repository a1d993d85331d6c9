//! Any bytes as a document of routes: refused with a reason, or kept so that it is read again as the same routes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tokenward_server::fuzzed::{Format, document};

// The first byte chooses the format.
fuzz_target!(|data: &[u8]| {
    let Some((first, text)) = data.split_first() else { return };
    let format = match first % 3 {
        0 => Format::Json,
        1 => Format::Yaml,
        _ => Format::Toml,
    };
    let (routes, kept) = match document(format, text) {
        Ok(read) => read,
        Err(error) => {
            assert!(!error.detail.is_empty() && error.cause.is_none(), "{error:?}");
            return;
        }
    };
    assert!(routes.iter().all(|route| route.path.starts_with('/')));
    // What we answer can be sent back.
    let again = document(Format::Json, format!(r#"{{"routes":{kept}}}"#).as_bytes());
    assert_eq!(again.map(|(_, kept)| kept).ok(), Some(kept));
});
