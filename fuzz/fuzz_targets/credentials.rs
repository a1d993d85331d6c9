//! Any headers as credentials: at most one is accepted, and it is a part of what was sent.

#![no_main]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use tokenward_core::Code;
use tokenward_core::secret::Prefixes;
use tokenward_verify::credential::{Credential, CredentialHeader, bearer, credential, holds_token};

// Each line is a header: `a` and the value of an `Authorization`, or anything else and the value of a key's header.
fuzz_target!(|data: &[u8]| {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').take(8).collect();
    let sent = || {
        lines.iter().filter_map(|line| line.split_first()).map(|(place, value)| match place {
            b'a' => (CredentialHeader::Authorization, value),
            _ => (CredentialHeader::Key, value),
        })
    };
    match credential(sent()) {
        Ok(found) => {
            assert_eq!(sent().count(), 1, "one credential or none");
            let (place, value) = sent().next().expect("one");
            match &found {
                Credential::Plain(text) => {
                    assert!(value.windows(text.len().max(1)).any(|part| part == text.as_bytes()) || text.is_empty());
                    assert!(!text.contains(','));
                }
                Credential::Basic(text) => {
                    assert_eq!(place, CredentialHeader::Authorization);
                    let whole = value
                        .split(|byte| *byte == b' ')
                        .next_back()
                        .and_then(|it| STANDARD.decode(it.trim_ascii()).ok());
                    assert!(whole.is_some_and(|whole| whole.ends_with(text.as_bytes())));
                }
            }
        }
        Err(error) if sent().count() > 1 => assert_eq!(error.code, Code::AmbiguousCredentials),
        Err(error) => assert!(matches!(error.code, Code::MissingCredentials | Code::AmbiguousCredentials)),
    }
    let authorizations =
        || sent().filter(|(place, _)| *place == CredentialHeader::Authorization).map(|(_, value)| value);
    if let Ok(text) = bearer(authorizations()) {
        assert!(authorizations().count() == 1 && text.is_ascii());
    }
    // Any answer is right; none is a panic.
    let _ = holds_token(data, &Prefixes::default());
});
