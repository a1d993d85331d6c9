//! Where a change counts, as the server says it in `Tokenward-Effective`, and in words.

use std::time::Duration;

use clap::Args;
use reqwest::header::HeaderMap;
use tokenward_core::Time;
use tokenward_core::time::SECOND;

use super::output::{clean, second};

/// For how long a command waits for all nodes.
#[derive(Args, Clone, Copy, Debug)]
pub struct WaitArgs {
    /// Wait at most so long, 0 to 30, until every node refuses it [default: the server's, a second]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u8).range(0..=30))]
    pub wait: Option<u8>,
}

/// Where a change counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// On every node that decides.
    Everywhere { nodes: u32 },
    /// Not known of all: of these, where it is said of which, and until then at most.
    Pending { by: Option<Time>, missing: Vec<String> },
}

impl Effect {
    /// What an answer says. `None` where it says nothing that we understand.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get("tokenward-effective")?.to_str().ok()?;
        let (word, rest) = text.split_once(';').unwrap_or((text, ""));
        match word.trim() {
            "everywhere" => Some(Self::Everywhere { nodes: parameter(rest, "nodes")?.parse().ok()? }),
            "pending" => {
                let missing = parameter(rest, "missing").unwrap_or_default();
                Some(Self::Pending {
                    by: parameter(rest, "by").and_then(|by| Time::parse(&by)),
                    missing: missing.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect(),
                })
            }
            _ => None,
        }
    }

    /// The sentence about what is refused from now on, of something that took so long.
    pub fn sentence(effect: Option<&Self>, took: Duration) -> String {
        match effect {
            // There is no other node, or an older server says nothing of it.
            None | Some(Self::Everywhere { nodes: ..=1 }) => "It is refused from now on.".to_owned(),
            Some(Self::Everywhere { nodes }) => format!("Refused on all {nodes} nodes after {} ms.", took.as_millis()),
            Some(Self::Pending { by, missing }) => {
                let (who, it) = match missing.as_slice() {
                    [] => ("every node".to_owned(), "one that is cut off"),
                    [one] => (one.clone(), "it"),
                    several => (several.join(", "), "they"),
                };
                // Rounded up: it must not say less than is true.
                let until = by.map(|by| format!(" until {}", second(by.plus(SECOND - 1)))).unwrap_or_default();
                clean(&format!("Not confirmed by {who}: {it} may still accept it{until}, and not longer."))
            }
        }
    }
}

/// A parameter of the header: a token, or a quoted text.
fn parameter(rest: &str, name: &str) -> Option<String> {
    let start = rest.find(&format!("{name}="))? + name.len() + 1;
    let Some(quoted) = rest[start..].strip_prefix('"') else {
        return Some(rest[start..].split(';').next().unwrap_or_default().trim().to_owned());
    };
    let mut value = String::new();
    let mut letters = quoted.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Some(value),
            '\\' => value.extend(letters.next()),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn said(text: &'static str) -> String {
        let headers = HeaderMap::from_iter([("tokenward-effective".parse().unwrap(), HeaderValue::from_static(text))]);
        Effect::sentence(Effect::of(&headers).as_ref(), Duration::from_millis(42))
    }

    #[test]
    fn what_a_server_says_is_said_in_words() {
        assert_eq!(said("everywhere; nodes=3"), "Refused on all 3 nodes after 42 ms.");
        assert_eq!(said("everywhere; nodes=1"), "It is refused from now on.");
        assert_eq!(
            said(r#"pending; by="2026-11-25T10:00:05.000001Z"; missing="node-b""#),
            "Not confirmed by node-b: it may still accept it until 2026-11-25 10:00:06Z, and not longer."
        );
        assert_eq!(
            said(r#"pending; by="2026-11-25T10:00:05.000000Z"; missing="a \"b\"; by=\"x\", c""#),
            r#"Not confirmed by a "b"; by="x", c: they may still accept it until 2026-11-25 10:00:05Z, and not longer."#
        );
        assert_eq!(
            said("pending"),
            "Not confirmed by every node: one that is cut off may still accept it, and not longer."
        );
        assert_eq!(said("something newer"), "It is refused from now on.");
        assert_eq!(Effect::sentence(None, Duration::ZERO), "It is refused from now on.");
    }
}
