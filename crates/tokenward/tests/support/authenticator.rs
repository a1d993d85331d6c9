//! What shows one-time codes (RFC 6238), as an application on a phone does.

use tokenward_core::Clock as _;
use totp_rs::{Builder, Secret};

use super::Server;

/// How long a code is the one that is shown.
pub const STEP: i64 = 30;

/// What shows codes.
#[derive(Clone)]
pub struct Authenticator([u8; 20]);

impl Authenticator {
    /// With a seed as it is typed.
    pub fn of(seed: &str) -> Self {
        let (mut bytes, mut held, mut bits) = (Vec::new(), 0u32, 0);
        for letter in seed.bytes() {
            let value = match letter {
                b'A'..=b'Z' => letter - b'A',
                b'2'..=b'7' => letter - b'2' + 26,
                _ => continue,
            };
            held = held << 5 | u32::from(value);
            bits += 5;
            if bits >= 8 {
                bits -= 8;
                bytes.push((held >> bits & 255) as u8);
            }
        }
        Self(bytes.try_into().unwrap())
    }

    /// The code at this second.
    pub fn at(&self, second: i64) -> String {
        let generator = Builder::new().with_secret(Secret::new_stack(self.0)).build_noncompliant();
        generator.generate(second.try_into().unwrap()).to_string()
    }

    /// The code that a server takes now, so many steps from its time.
    pub fn code(&self, server: &Server, steps: i64) -> String {
        self.at(server.clock.now().seconds() + steps * STEP)
    }
}
