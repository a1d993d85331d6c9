//! For which host passkeys are made here. A browser gives one out only to that host, or to hosts below it, which is why nobody can
//! be led to use it elsewhere, and why it stops working where the address of the server becomes another one.

use std::sync::Arc;
use std::time::Duration;

use tokenward_core::{Error, Result};
use tokenward_store::passkeys::Passkey;
use webauthn_rs::WebauthnBuilder;
use webauthn_rs::prelude::{Url, Webauthn};

use super::App;
use crate::limits::PASSKEY_TIME;

/// What authenticators call this server.
const NAME: &str = "Tokenward";

/// This server, as passkeys know it.
#[derive(Clone)]
pub struct RelyingParty {
    /// The host, or a parent domain of it.
    pub id: String,
    /// What compares their answers.
    pub(super) webauthn: Arc<Webauthn>,
}

impl RelyingParty {
    /// That of a server that people reach at `public_url`. `None` where that names an address instead of a host: browsers make
    /// passkeys for names alone. The error says what is wrong with the `id`, where one is given.
    pub fn new(public_url: &str, id: Option<&str>) -> std::result::Result<Option<Self>, String> {
        let url = Url::parse(public_url).map_err(|error| error.to_string())?;
        let Some(host) = url.domain().map(str::to_owned) else {
            return match id {
                Some(_) => Err(format!("public_url ({public_url}) has no name, of which it could be a parent domain")),
                None => Ok(None),
            };
        };
        let id = id.unwrap_or(&host);
        // A name without a dot is a public suffix, or no domain of anybody.
        let is_parent = id.contains('.') && host.strip_suffix(id).is_some_and(|rest| rest.ends_with('.'));
        if *id != host && !is_parent {
            return Err(format!("`{id}` is neither {host}, the host of public_url, nor a parent domain of it"));
        }
        let built = WebauthnBuilder::new(id, &url).map_err(|error| error.to_string())?;
        let built = built.rp_name(NAME).timeout(Duration::from_millis(PASSKEY_TIME.default));
        let webauthn = Arc::new(built.build().map_err(|error| error.to_string())?);
        Ok(Some(Self { id: id.to_owned(), webauthn }))
    }
}

/// This server, as passkeys know it; the error says why it takes none.
pub fn relying_party(app: &App) -> Result<&RelyingParty> {
    app.sign_in.require_passkeys()?;
    app.passkeys.as_ref().ok_or_else(|| {
        let detail = format!(
            "Browsers make passkeys for a name and not for an address, and this server is known as {}. Whoever runs it sets \
             public_url to a name; on this machine, http://localhost with the port.",
            app.public_url
        );
        Error::conflict(detail)
    })
}

/// Does it open the account here? Not one that was made for another host.
#[must_use]
pub fn works(app: &App, passkey: &Passkey) -> bool {
    relying_party(app).is_ok_and(|own| own.id == passkey.rp_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_are_for_the_host_or_a_parent_domain_and_for_no_address() {
        let id = |url: &str, id| RelyingParty::new(url, id).map(|it| it.map(|it| it.id));
        let some = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(id("https://tokens.acme.example:8443", None), some("tokens.acme.example"));
        assert_eq!(id("https://tokens.acme.example", Some("tokens.acme.example")), some("tokens.acme.example"));
        assert_eq!(id("https://tokens.acme.example", Some("acme.example")), some("acme.example"));
        assert_eq!(id("http://localhost:8080", None), some("localhost"));
        for address in ["http://127.0.0.1:8080", "https://[::1]", "http://192.0.2.7"] {
            assert_eq!(id(address, None), Ok(None), "{address}");
            assert!(id(address, Some("acme.example")).is_err(), "{address}");
        }
        for other in
            ["example", "me.example", "other.example", "a.tokens.acme.example", ".example", "", "TOKENS.acme.example"]
        {
            assert!(id("https://tokens.acme.example", Some(other)).is_err(), "{other}");
        }
    }
}
