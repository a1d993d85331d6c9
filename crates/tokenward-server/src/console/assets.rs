//! The files that pages refer to. They are part of the binary; their address carries a digest of their content,
//! so a browser may keep them for ever and still sees a new version at once.

use std::fmt;

/// A file that is served as it is.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its name under `/assets/`.
    pub name: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// What is in it.
    pub bytes: &'static [u8],
    version: u64,
}

impl Asset {
    const fn new(name: &'static str, content_type: &'static str, bytes: &'static [u8]) -> Self {
        Self { name, content_type, bytes, version: fnv1a(bytes) }
    }

    /// The asset of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|asset| asset.name == name)
    }

    /// What stands after `?v=` in its address.
    #[must_use]
    pub fn version(&self) -> String {
        format!("{:016x}", self.version)
    }
}

/// Its address, with the version.
impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/assets/{}?v={:016x}", self.name, self.version)
    }
}

/// The one stylesheet.
pub static CSS: Asset =
    Asset::new("console.css", "text/css; charset=utf-8", include_bytes!("assets/console.css").as_slice());
/// The comfort that needs a script; every page works without.
pub static JS: Asset =
    Asset::new("console.js", "text/javascript; charset=utf-8", include_bytes!("assets/console.js").as_slice());
/// What passkeys need of a script; on the pages that ask for one.
pub static PASSKEYS: Asset =
    Asset::new("passkeys.js", "text/javascript; charset=utf-8", include_bytes!("assets/passkeys.js").as_slice());
/// The mark, also the icon of the browser's tab.
pub static MARK: Asset = Asset::new("mark.svg", "image/svg+xml", include_bytes!("assets/mark.svg").as_slice());

/// All of them.
pub static ALL: [&Asset; 4] = [&CSS, &JS, &PASSKEYS, &MARK];

/// FNV-1a, 64 bits: enough to tell versions of one file apart, and short enough to run in the compiler.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
        i += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_is_found_by_its_name_and_its_address_carries_its_version() {
        for asset in ALL {
            assert_eq!(Asset::find(asset.name).map(|found| found.version), Some(asset.version));
            assert_eq!(asset.to_string(), format!("/assets/{}?v={}", asset.name, asset.version()));
            assert!(!asset.bytes.is_empty());
        }
        assert!(Asset::find("../console.css").is_none());
        assert_ne!(CSS.version, JS.version);
    }

    #[test]
    fn the_hash_is_fnv1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
