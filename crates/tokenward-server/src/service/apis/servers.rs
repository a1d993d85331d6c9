//! The addresses at which an API is served, as a document says them: what stands before every path.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::fault::short;

/// Paths at which one document can be served at once; its routes are imported at each of them.
const MOST: usize = 8;

/// What a list of servers comes to.
#[derive(PartialEq, Eq, Default, Debug)]
pub(super) struct Servers {
    /// The paths before every path, without a slash at the end. There is at least one.
    pub bases: Vec<String>,
    /// The hosts that are named, in lower case.
    pub hosts: BTreeSet<String>,
}

impl Servers {
    /// Those of a document: OpenAPI 3, or Swagger 2.0 with `host` and `basePath`.
    pub fn of_document(document: &Map<String, Value>) -> Result<Self, String> {
        if let Some(servers) = document.get("servers") {
            return Self::read(servers);
        }
        let text = |key| document.get(key).and_then(Value::as_str).unwrap_or_default();
        Ok(Self { bases: vec![base(text("basePath"))], hosts: host(text("host")).into_iter().collect() })
    }

    /// Those of a list. The error completes the sentence "`servers` …".
    pub fn read(servers: &Value) -> Result<Self, String> {
        let servers = servers.as_array().ok_or("is no list")?;
        let (mut bases, mut hosts) = (BTreeSet::new(), BTreeSet::new());
        for server in servers {
            let url = server.get("url").and_then(Value::as_str).ok_or("has an entry without a text `url`")?;
            let (named, path) = split(&filled(url, server.get("variables")));
            bases.insert(base(&path));
            hosts.extend(named.as_deref().and_then(host));
        }
        if bases.len() > MOST {
            return Err(format!(
                "have {} different paths, such as `{}`; keep those of up to {MOST}, and import the others under another name",
                bases.len(),
                short(bases.iter().next_back().map_or("", String::as_str))
            ));
        }
        if bases.is_empty() {
            bases.insert(String::new());
        }
        Ok(Self { bases: bases.into_iter().collect(), hosts })
    }

    /// Do these, of one path or operation, belong to the same API? Another host is another API.
    pub fn belongs_to(&self, document: &Self) -> bool {
        self.hosts.is_empty()
            || document.hosts.is_empty()
            || self.hosts.iter().any(|host| document.hosts.contains(host))
    }
}

/// An address with the defaults of its variables. One without stands for itself: in the path it is a parameter.
fn filled(url: &str, variables: Option<&Value>) -> String {
    let mut filled = url.to_owned();
    for (name, variable) in variables.and_then(Value::as_object).into_iter().flatten() {
        let default =
            variable.get("default").map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        if let Some(default) = default.filter(|default| !default.contains('{')) {
            filled = filled.replace(&format!("{{{name}}}"), &default);
        }
    }
    filled
}

/// Host and path of an address.
fn split(url: &str) -> (Option<String>, String) {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some(rest) = url.split_once("://").map(|(_, rest)| rest).or_else(|| url.strip_prefix("//")) else {
        return (None, url.to_owned());
    };
    match rest.split_once('/') {
        Some((host, path)) => (Some(host.to_owned()), format!("/{path}")),
        None => (Some(rest.to_owned()), String::new()),
    }
}

/// A host that means one: `{region}.example.com` can be any.
fn host(text: &str) -> Option<String> {
    (!text.is_empty() && !text.contains('{')).then(|| text.to_lowercase())
}

/// What stands before a path.
fn base(path: &str) -> String {
    let path = path.trim().trim_start_matches('.').trim_matches('/');
    if path.is_empty() { String::new() } else { format!("/{path}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bases(document: &Value) -> Vec<String> {
        Servers::of_document(document.as_object().unwrap()).unwrap().bases
    }

    #[test]
    fn the_path_of_the_servers_is_found() {
        for (servers, expected) in [
            (json!([]), &[""][..]),
            (json!([{ "url": "/" }]), &[""]),
            (json!([{ "url": "https://shop.example/v1/" }]), &["/v1"]),
            (json!([{ "url": "https://a.example/v1" }, { "url": "https://b.example/v1" }]), &["/v1"]),
            (json!([{ "url": "https://a.example/v1" }, { "url": "https://a.example/v2" }]), &["/v1", "/v2"]),
            (json!([{ "url": "v1" }]), &["/v1"]),
            (json!([{ "url": "./v1" }]), &["/v1"]),
            (json!([{ "url": "//a.example/v1?x" }]), &["/v1"]),
            (
                json!([{ "url": "https://{region}.a.example/{version}", "variables": {
                    "region": { "default": "eu" }, "version": { "default": "v3", "enum": ["v2", "v3"] } } }]),
                &["/v3"],
            ),
            (json!([{ "url": "https://a.example/{tenant}/v1" }]), &["/{tenant}/v1"]),
        ] {
            assert_eq!(bases(&json!({ "servers": servers })), expected, "{servers}");
        }
        assert_eq!(bases(&json!({ "host": "a.example", "basePath": "/v1/" })), ["/v1"]);
        assert_eq!(bases(&json!({})), [""]);
    }

    #[test]
    fn servers_that_say_nothing_are_refused() {
        let many: Vec<Value> = (0..9).map(|n| json!({ "url": format!("/v{n}") })).collect();
        for (servers, says) in [(json!({}), "no list"), (json!([{}]), "`url`"), (json!(many), "9 different paths")] {
            assert!(Servers::read(&servers).unwrap_err().contains(says), "{servers}");
        }
    }

    #[test]
    fn another_host_is_another_api() {
        let read = |url: &str| Servers::read(&json!([{ "url": url }])).unwrap();
        let shop = read("https://shop.example/v1");
        assert!(read("https://SHOP.example/v2").belongs_to(&shop) && read("/v2").belongs_to(&shop));
        assert!(!read("https://uploads.example/v1").belongs_to(&shop));
        assert!(read("https://uploads.example/v1").belongs_to(&read("/v1")), "the document names none");
    }
}
