//! Which addresses of a provider may be asked, whoever named them; and what is said where one may not.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// Why a provider did not answer as it should: completes the sentence that begins with it. Holds no secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble(pub String);

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address that may be asked, whoever named it.
pub(super) fn checked(text: &str) -> Result<Url, Trouble> {
    let shown = || if text.contains('@') { "its address".to_owned() } else { format!("`{}`", text.escape_debug()) };
    let wrong = |why: &str| Trouble(format!("{} {why}", shown()));
    let url = Url::parse(text).map_err(|_| wrong("is no address; write one such as https://login.acme.example"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a user or a password, which no address of a provider does"));
    }
    if let Some(address) = literal(&url)
        && is_forbidden(address)
    {
        return Err(wrong("is link-local, where no provider is"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(wrong("is not https; http is for this machine alone")),
    }
}

fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

pub(super) fn is_local_name(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

/// Is it on this machine, for certain?
pub(super) fn is_loopback(url: &Url) -> bool {
    literal(url).is_some_and(|address| address.is_loopback()) || url.host_str().is_some_and(is_local_name)
}

/// Where machines of a cloud ask for their own secrets, and what means "any address".
pub(super) fn is_forbidden(address: IpAddr) -> bool {
    let v6 = match address {
        IpAddr::V4(v4) => return v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6,
    };
    let segments = v6.segments();
    let inside = v6.to_ipv4_mapped().or_else(|| {
        // Of a translator (RFC 6052).
        (segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0])
            .then(|| Ipv4Addr::from(u32::from(segments[6]) << 16 | u32::from(segments[7])))
    });
    let metadata = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    inside.is_some_and(|v4| is_forbidden(v4.into()))
        || v6.is_unicast_link_local()
        || v6.is_unspecified()
        || v6 == metadata
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_providers_are_asked() {
        for good in [
            "https://login.acme.example/realms/a",
            "http://127.0.0.1:8080",
            "http://localhost/x",
            "http://[::1]:9",
            "https://10.1.2.3/",
        ] {
            assert!(checked(good).is_ok(), "{good}");
        }
        for bad in [
            "http://login.acme.example",
            "http://10.1.2.3/",
            "https://169.254.169.254/keys",
            "https://[fe80::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            "https://[fd00:ec2::254]/",
            "https://2852039166/",
            "https://0.0.0.0/",
            "http://localhost.acme.example/",
            "https://user:secret@login.acme.example/",
            "file:///etc/passwd",
            "ftp://127.0.0.1/",
            "login.acme.example",
            "",
        ] {
            let refused = checked(bad).map(|url| url.to_string());
            assert!(refused.is_err(), "{bad}");
            assert!(!refused.unwrap_err().0.contains("secret"));
        }
    }
}
