//! The routes of an organization's own API: method and path, and the permissions that a request needs.
//!
//! A path is matched in one form only: segments decoded once, nothing empty, no dots. A path that two programs could
//! read differently is refused rather than rewritten, since what is decided here is served by another program.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use matchit::Router;
use uuid::Uuid;

use crate::decision::Ask;
use crate::needs::Needs;
use crate::path::{self, Reading, Readings};
use crate::permission::RequiredPermission;
use crate::reason::Reason;
use crate::word::words;

/// Most routes that an API can have.
pub const ROUTES_MAX: usize = 10_000;
/// Longest path of a route, in bytes.
pub const TEMPLATE_MAX: usize = 512;
/// Longest path of a request, in bytes. What is longer is refused.
const PATH_MAX: usize = 8 * 1_024;
/// Most parameters in the path of a route.
pub const PARAMETERS_MAX: usize = 16;

words! {
    /// What becomes of a request that no route describes.
    #[derive(Default)]
    Unknown {
        /// It is denied.
        #[default]
        Deny = "deny",
        /// A valid token is enough, unless the path is described for another method.
        Allow = "allow",
    }
}

words! {
    /// From where it is known what a route needs.
    Source {
        /// The document says it, in our own extension.
        Permission = "x-permission",
        /// The document says it, as scopes.
        Security = "security",
        /// Its path and method suggest it.
        Path = "path",
        /// The short form says it.
        File = "file",
    }
}

/// One route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// Its method, in capitals.
    pub method: String,
    /// Its path; `{name}` stands for one segment or a part of it, `{*name}` at the end for all that follows.
    pub path: String,
    /// What a request needs.
    pub needs: Needs,
}

/// What holds for all routes of an API.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Rules {
    /// What becomes of a request that no route describes.
    pub unknown: Unknown,
    /// How its servers are known to read paths.
    pub readings: Readings,
}

impl From<Unknown> for Rules {
    fn from(unknown: Unknown) -> Self {
        Self { unknown, readings: Readings::default() }
    }
}

/// A route that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteFault {
    /// Which one it is, in the order in which they were given.
    pub index: usize,
    /// Completes the sentence "`GET /path` …".
    pub problem: String,
}

/// The routes of one API, compiled.
pub struct Routes {
    id: Uuid,
    rules: Rules,
    exact: Table,
    folded: Folded,
    /// What routes need; many need the same.
    needs: Vec<Needs>,
    /// How many permissions are named there.
    named: usize,
}

/// The routes in lower case: many servers take `/Admin` for `/admin`.
enum Folded {
    /// Nobody asks: it is promised that capitals count, or two routes differ in nothing but case and in what they need, and
    /// what serves those tells them apart.
    Never,
    /// There is no capital in any route: they are as they stand.
    Exact,
    Own(Table),
}

/// By method, the routers of its paths: one, and more only where paths in lower case cannot be in one.
type Table = HashMap<Box<str>, Vec<Router<RouteHit>>>;

/// The route that a path leads to.
#[derive(Clone, Copy)]
struct RouteHit {
    /// Where in `needs` stands what it needs.
    needs: u32,
    /// The same for `/a` and `/a/`.
    shape: u32,
    /// How many paths it stands for: one, by its parameters more, and most where it stands for all that follows.
    breadth: u32,
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").field("id", &self.id).field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl Routes {
    /// Compiles routes. The first that cannot be used is the fault.
    pub fn compile(id: Uuid, rules: impl Into<Rules>, routes: &[Route]) -> Result<Self, RouteFault> {
        let mut compiled =
            Self { id, rules: rules.into(), exact: Table::new(), folded: Folded::Never, needs: Vec::new(), named: 0 };
        let mut patterns: Vec<(&str, String, RouteHit)> = Vec::with_capacity(routes.len().min(ROUTES_MAX));
        let mut numbers: HashMap<&Needs, u32> = HashMap::new();
        let mut shapes: HashMap<String, u32> = HashMap::new();
        for (index, route) in routes.iter().enumerate() {
            let fault = |problem: String| RouteFault { index, problem };
            if index == ROUTES_MAX {
                return Err(fault(format!("is one too many: the limit `routes` is {ROUTES_MAX}")));
            }
            check_method(&route.method).map_err(fault)?;
            if route.path.matches('{').count() > PARAMETERS_MAX {
                return Err(fault(format!("has more parameters than the limit `route_parameters` ({PARAMETERS_MAX})")));
            }
            let pattern = pattern(&route.path, compiled.rules.readings).map_err(fault)?;
            let number = *numbers.entry(&route.needs).or_insert_with(|| {
                compiled.needs.push(route.needs.clone());
                compiled.needs.len() as u32 - 1
            });
            let next = shapes.len() as u32;
            let shape = *shapes.entry(pattern.trim_end_matches('/').to_owned()).or_insert(next);
            let parameters = route.path.matches('{').count() as u32;
            let breadth = if route.path.contains("{*") { u32::MAX } else { parameters };
            let hit = RouteHit { needs: number, shape, breadth };
            let routers = compiled.exact.entry(route.method.as_str().into()).or_insert_with(|| vec![Router::new()]);
            routers[0].insert(pattern.as_str(), hit).map_err(|error| {
                fault(match error {
                    matchit::InsertError::Conflict { .. } => {
                        "cannot be told apart from a route before it; keep one of them".to_owned()
                    }
                    other => format!("has a path that cannot be used: {other}"),
                })
            })?;
            patterns.push((&route.method, pattern, hit));
        }
        shrink(&mut compiled.exact);
        if !compiled.rules.readings.has(Reading::Capitals) {
            compiled.folded = fold(&patterns);
        }
        compiled.named = compiled.permissions().count();
        Ok(compiled)
    }

    /// The id of the API.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// What becomes of a request that no route describes.
    #[must_use]
    pub fn unknown(&self) -> Unknown {
        self.rules.unknown
    }

    /// How its servers are known to read paths.
    #[must_use]
    pub fn readings(&self) -> Readings {
        self.rules.readings
    }

    /// What routes need, each at least once.
    pub fn permissions(&self) -> impl Iterator<Item = &RequiredPermission> {
        self.needs.iter().flat_map(Needs::permissions)
    }

    /// How many that are: what it costs to go through them.
    #[must_use]
    pub fn named(&self) -> usize {
        self.named
    }

    /// What a request takes. `path` is as the client sent it; a query behind `?` does not count.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        let Some(decoded) = canonical(path, self.rules.readings) else { return Ask::Never(Reason::PathAmbiguous) };
        let asked = self.ask_path(&self.exact, method, &decoded);
        // Some programs decode a path before they look for its route (Go's ServeMux), others afterwards (axum):
        // `/invoices/7%3Acancel` is `/invoices/{id}:cancel` to the former and `/invoices/{id}` to the latter.
        match encoded_ascii(path, self.rules.readings) {
            Some(encoded) if self.ask_path(&self.exact, method, &encoded) != asked => {
                return Ask::Never(Reason::PathAmbiguous);
            }
            _ => {}
        }
        // Some do not tell capitals from small letters (Express, ASP.NET): `/users/Export` is `/users/{name}` here and
        // `/users/export` there. What is denied anyway stays what it is.
        let folded = match &self.folded {
            Folded::Never => None,
            Folded::Exact if decoded.chars().any(char::is_uppercase) => Some(&self.exact),
            Folded::Exact => None,
            Folded::Own(table) => Some(table),
        };
        match folded {
            Some(folded)
                if asked != Ask::Never(Reason::RouteUnknown)
                    && self.ask_path(folded, method, &decoded.to_lowercase()) != asked =>
            {
                Ask::Never(Reason::PathAmbiguous)
            }
            _ => asked,
        }
    }

    /// What a request takes whose path is read in one way.
    fn ask_path(&self, table: &Table, method: &str, path: &str) -> Ask<'_> {
        // Many servers take `/a` and `/a/` for the same. Whoever described one of them meant both.
        let find = |path: &str| {
            // HEAD is GET without the body (RFC 9110 §9.3.2).
            let head = || if method == "HEAD" { at(table, "GET", path) } else { None };
            at(table, method, path).or_else(head)
        };
        let other = match path.strip_suffix('/') {
            Some(shorter) => Cow::Borrowed(shorter),
            None => Cow::Owned(format!("{path}/")),
        };
        match (find(path), find(&other)) {
            // `/files/secret/` is in `/files/{*rest}` to one server, and to another it is `/files/secret`. Where both `/a`
            // and `/a/` are described, the server tells them apart.
            (Some(hit), Some(also))
                if !self.rules.readings.has(Reading::TrailingSlash)
                    && hit.needs != also.needs
                    && hit.shape != also.shape
                    && hit.breadth >= also.breadth =>
            {
                return Ask::Never(Reason::PathAmbiguous);
            }
            (Some(hit), _) | (None, Some(hit)) => return self.needs(hit),
            (None, None) => {}
        }
        let described = || table.keys().any(|it| at(table, it, path).or_else(|| at(table, it, &other)).is_some());
        match self.rules.unknown {
            Unknown::Allow if !described() => Ask::Identity,
            _ => Ask::Never(Reason::RouteUnknown),
        }
    }

    fn needs(&self, hit: RouteHit) -> Ask<'_> {
        match self.needs.get(hit.needs as usize) {
            Some(needs) => Ask::Route(needs),
            None => Ask::Never(Reason::RouteUnknown),
        }
    }
}

/// The same routes in lower case.
fn fold(patterns: &[(&str, String, RouteHit)]) -> Folded {
    let lowers: Vec<String> = patterns.iter().map(|(_, pattern, _)| pattern.to_lowercase()).collect();
    if lowers.iter().zip(patterns).all(|(lower, (_, pattern, _))| lower == pattern) {
        return Folded::Exact;
    }
    let mut table = Table::new();
    let mut needed: HashMap<(&str, &str), u32> = HashMap::new();
    for (lower, (method, _, hit)) in lowers.iter().zip(patterns) {
        match needed.insert((method, lower), hit.needs) {
            Some(other) if other == hit.needs => continue,
            Some(_) => return Folded::Never,
            None => {}
        }
        let routers = table.entry((*method).into()).or_default();
        if !routers.iter_mut().any(|router| router.insert(lower.as_str(), *hit).is_ok()) {
            let mut router = Router::new();
            let inserted = router.insert(lower.as_str(), *hit);
            routers.extend(inserted.is_ok().then_some(router));
        }
    }
    shrink(&mut table);
    Folded::Own(table)
}

/// Gives back what routers have set aside for routes that will not come. A copy has room for what is there, and nothing else
/// shrinks one.
fn shrink(table: &mut Table) {
    for router in table.values_mut().flatten() {
        *router = router.clone();
    }
}

fn at(table: &Table, method: &str, path: &str) -> Option<RouteHit> {
    table.get(method)?.iter().find_map(|router| router.at(path).ok()).map(|found| *found.value)
}

fn check_method(method: &str) -> Result<(), String> {
    if (1..=20).contains(&method.len()) && method.bytes().all(|b| b.is_ascii_uppercase()) {
        Ok(())
    } else {
        Err("has a method that is not 1 to 20 capital letters".into())
    }
}

/// The form of a request's path in which it is matched: without its query, each escape decoded. `None` when another
/// program could read it in another way.
fn canonical(path: &str, readings: Readings) -> Option<Cow<'_, str>> {
    let (path, _) = path::split(path.as_bytes());
    if path.len() > PATH_MAX {
        return None;
    }
    let path = path::unambiguous_to(path, readings).ok()?;
    if path.contains('%') { decoded(path).map(Cow::Owned) } else { Some(Cow::Borrowed(path)) }
}

/// The path with its letters beyond ASCII decoded and all else as it was sent, which is how a program reads it that looks
/// for a route first; what it is promised to decode before is decoded. `None` when that is the same as the decoded path.
fn encoded_ascii(path: &str, readings: Readings) -> Option<String> {
    let path = path.split('?').next().unwrap_or_default();
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    let mut differs = false;
    for part in parts {
        // `canonical` has seen to it that two hexadecimal digits follow, and that all of it is UTF-8.
        let (digits, rest) = part.split_at_checked(2)?;
        match u8::from_str_radix(digits, 16) {
            Ok(byte) if !byte.is_ascii() => bytes.push(byte),
            Ok(b'/') => bytes.push(SLASH_IN_SEGMENT),
            Ok(byte) if is_plain(byte) && readings.has(Reading::EncodedPlain) => bytes.push(byte),
            _ => {
                differs = true;
                bytes.push(b'%');
                bytes.extend_from_slice(digits.as_bytes());
            }
        }
        bytes.extend_from_slice(rest.as_bytes());
    }
    if differs { String::from_utf8(bytes).ok() } else { None }
}

/// Letters, digits and what else needs no escape, but for dots.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_~".contains(&byte)
}

/// Stands for an escaped slash in a decoded path, where one is allowed: part of its segment, and no other text decodes to it,
/// since control characters are refused.
const SLASH_IN_SEGMENT: u8 = 0;

fn decoded(path: &str) -> Option<String> {
    let mut bytes = path.bytes();
    let mut decoded = Vec::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            let byte = (high * 16 + low) as u8;
            decoded.push(if byte == b'/' { SLASH_IN_SEGMENT } else { byte });
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

/// The path of a route as the router writes it. The error completes the sentence "`GET /path` …".
fn pattern(path: &str, readings: Readings) -> Result<String, String> {
    if path.len() > TEMPLATE_MAX {
        return Err(format!("has a path of {} bytes; the limit `route_path_bytes` is {TEMPLATE_MAX}", path.len()));
    }
    if path.contains('?') {
        return Err("has a `?` in its path; a route is matched without the query".into());
    }
    // Braces and a star at the end are no part of a segment's text: check the rest as a request's path.
    let mut literal = String::new();
    let mut pattern = String::new();
    let mut rest = path;
    let mut count = 0;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, inside) = rest.split_at(at);
        let Some((name, after)) = inside.strip_prefix('{').and_then(|it| it.split_once('}')) else {
            return Err("has a `{` or `}` without its other half in its path".into());
        };
        let all = name.strip_prefix('*');
        if all.unwrap_or(name).is_empty() || name.contains(['{', '/']) || (all.is_some() && !after.is_empty()) {
            return Err("has a parameter in its path that is not `{name}`, or `{*name}` at the end".into());
        }
        literal.push_str(before);
        literal.push('p');
        pattern.push_str(&escaped(before)?);
        // Names do not matter, and differing ones must not conflict.
        pattern.push_str(&format!("{{{}p{count}}}", if all.is_some() { "*" } else { "" }));
        count += 1;
        rest = after;
    }
    literal.push_str(rest);
    pattern.push_str(&escaped(rest)?);
    // Whoever writes a route may write letters that a request has to escape.
    let escape = |c: char| {
        if c.is_ascii() { c.to_string() } else { c.to_string().bytes().map(|b| format!("%{b:02X}")).collect() }
    };
    let literal: String = literal.chars().map(escape).collect();
    match canonical(&literal, readings) {
        Some(_) => Ok(pattern),
        None => Err("has a path that does not begin with `/`, or can be read in more than one way".into()),
    }
}

/// Decoded, with the router's own characters doubled.
fn escaped(text: &str) -> Result<String, String> {
    let decoded = decoded(text).ok_or("has an encoded character in its path that cannot be there")?;
    Ok(decoded.replace('{', "{{").replace('}', "}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &str, path: &str, permission: &str) -> Route {
        Route { method: method.into(), path: path.into(), needs: RequiredPermission::parse(permission).unwrap().into() }
    }

    fn shop(unknown: Unknown) -> Routes {
        let routes = [
            route("GET", "/invoices", "invoices:read"),
            route("POST", "/invoices", "invoices:write"),
            route("GET", "/invoices/{id}", "invoices:read"),
            route("GET", "/invoices/export", "exports:read"),
            route("DELETE", "/invoices/{other}", "invoices:delete"),
            route("GET", "/reports/{year}/{month}.csv", "reports:read"),
            route("GET", "/files/{*rest}", "files:read"),
            route("POST", "/invoices/{id}", "invoices:write"),
            route("POST", "/invoices/{id}:cancel", "invoices:cancel"),
            route("GET", "/caf%C3%A9", "cafe:read"),
            route("GET", "/th\u{e9}", "tea:read"),
        ];
        Routes::compile(Uuid::nil(), unknown, &routes).unwrap()
    }

    #[test]
    fn a_route_has_few_parameters() {
        let with = |parameters: usize| {
            let path: String = (0..parameters).map(|n| format!("/{{p{n}}}")).collect();
            Routes::compile(Uuid::nil(), Unknown::Deny, &[route("GET", &path, "a:read")])
        };
        let most = with(PARAMETERS_MAX).unwrap();
        assert_eq!(needed(&most, "GET", &"/x".repeat(PARAMETERS_MAX)), "a:read");
        for many in [PARAMETERS_MAX + 1, 40] {
            assert_eq!(with(many).unwrap_err().problem, "has more parameters than the limit `route_parameters` (16)");
        }
    }

    fn needed(routes: &Routes, method: &str, path: &str) -> String {
        match routes.ask(method, path) {
            Ask::Route(needs) => needs.permissions().map(RequiredPermission::as_str).collect::<Vec<_>>().join("+"),
            Ask::Never(reason) => reason.to_string(),
            Ask::Identity => "identity".into(),
            Ask::Permission(_) | Ask::AnyOfApi => "?".into(),
        }
    }

    #[test]
    fn a_request_needs_what_its_route_needs() {
        let shop = shop(Unknown::Deny);
        for (method, path, needs) in [
            ("GET", "/invoices", "invoices:read"),
            ("GET", "/invoices/", "invoices:read"),
            ("GET", "/invoices?x=/../y", "invoices:read"),
            ("HEAD", "/invoices/7", "invoices:read"),
            ("GET", "/invoices/export", "exports:read"),
            ("GET", "/invoices/%65xport", "path_ambiguous"),
            ("POST", "/invoices/7:cancel", "invoices:cancel"),
            ("POST", "/invoices/7%3Acancel", "path_ambiguous"),
            ("POST", "/invoices/a%40b", "invoices:write"),
            ("GET", "/invoices/expor", "invoices:read"),
            ("POST", "/invoices", "invoices:write"),
            ("DELETE", "/invoices/a%20b", "invoices:delete"),
            ("GET", "/reports/2026/11.csv", "reports:read"),
            ("GET", "/files/a/b/c", "files:read"),
            ("GET", "/caf\u{e9}", "path_ambiguous"),
            ("GET", "/caf%c3%a9", "cafe:read"),
            ("GET", "/th%C3%A9", "tea:read"),
            ("PUT", "/invoices", "route_unknown"),
            ("get", "/invoices", "route_unknown"),
            ("GET", "/invoice", "route_unknown"),
            ("GET", "/invoices/1/2", "route_unknown"),
            ("GET", "", "path_ambiguous"),
        ] {
            assert_eq!(needed(&shop, method, path), needs, "{method} {path}");
        }
    }

    #[test]
    fn what_no_route_describes_can_be_allowed_but_no_other_method() {
        let shop = shop(Unknown::Allow);
        assert_eq!(needed(&shop, "GET", "/health"), "identity");
        assert_eq!(needed(&shop, "PUT", "/invoices"), "route_unknown");
        assert_eq!(needed(&shop, "PUT", "/invoices/"), "route_unknown");
        assert_eq!(needed(&shop, "GET", "/a/../invoices"), "path_ambiguous");
    }

    #[test]
    fn a_path_that_means_another_route_in_lower_case_is_refused() {
        let shop = shop(Unknown::Deny);
        for (method, path, needs) in [
            ("GET", "/invoices/Export", "path_ambiguous"),
            ("GET", "/INVOICES/export", "route_unknown"),
            ("GET", "/invoices/Exports", "invoices:read"),
            ("POST", "/invoices/7:Cancel", "path_ambiguous"),
            ("DELETE", "/invoices/EXPORT", "invoices:delete"),
            ("GET", "/TH%C3%89", "route_unknown"),
        ] {
            assert_eq!(needed(&shop, method, path), needs, "{method} {path}");
        }
        let open = self::shop(Unknown::Allow);
        for (method, path, needs) in [
            ("GET", "/Health", "identity"),
            ("GET", "/Invoices", "path_ambiguous"),
            ("PUT", "/Invoices", "path_ambiguous"),
            ("GET", "/CAF%C3%89", "path_ambiguous"),
        ] {
            assert_eq!(needed(&open, method, path), needs, "{method} {path}");
        }
        // The capitals can as well be the route's.
        let camel = [
            route("GET", "/reports/{id}", "reports:read"),
            route("GET", "/reports/yearEnd", "finance:read"),
            route("GET", "/userGroups", "groups:read"),
        ];
        for (unknown, other) in [(Unknown::Deny, "route_unknown"), (Unknown::Allow, "path_ambiguous")] {
            let camel = Routes::compile(Uuid::nil(), unknown, &camel).unwrap();
            for (path, needs) in [
                ("/reports/yearEnd", "finance:read"),
                ("/reports/yearend", "path_ambiguous"),
                ("/reports/7", "reports:read"),
                ("/userGroups", "groups:read"),
                ("/usergroups", other),
            ] {
                assert_eq!(needed(&camel, "GET", path), needs, "{path}");
            }
        }
        // Two names of one thing say nothing about the server.
        let aliases = [route("GET", "/Admin", "admin:read"), route("GET", "/admin", "admin:read")];
        let aliases = Routes::compile(Uuid::nil(), Unknown::Allow, &aliases).unwrap();
        assert_eq!(needed(&aliases, "GET", "/ADMIN"), "path_ambiguous");
        // A server that has both tells them apart.
        let both = [route("GET", "/a", "a:read"), route("GET", "/A", "a:write"), route("GET", "/{x}", "x:read")];
        let both = Routes::compile(Uuid::nil(), Unknown::Deny, &both).unwrap();
        for (path, needs) in [("/a", "a:read"), ("/A", "a:write"), ("/B", "x:read")] {
            assert_eq!(needed(&both, "GET", path), needs, "{path}");
        }
    }

    #[test]
    fn a_slash_at_the_end_leads_to_no_other_route() {
        let routes = [
            route("GET", "/files/secret", "secret:read"),
            route("GET", "/files/{*rest}", "files:read"),
            route("GET", "/users/{id}", "users:read"),
            route("GET", "/users/me/", "me:read"),
            route("GET", "/both", "both:read"),
            route("GET", "/both/", "other:read"),
        ];
        let routes = Routes::compile(Uuid::nil(), Unknown::Deny, &routes).unwrap();
        for (path, needs) in [
            ("/files/secret", "secret:read"),
            ("/files/secret/", "path_ambiguous"),
            ("/files/other/", "files:read"),
            ("/users/me", "path_ambiguous"),
            ("/users/7/", "users:read"),
            ("/both", "both:read"),
            ("/both/", "other:read"),
        ] {
            assert_eq!(needed(&routes, "GET", path), needs, "{path}");
        }
    }

    #[test]
    fn what_is_promised_of_the_servers_is_decided_as_they_read_it() {
        let routes = [
            route("GET", "/files/{name}", "files:read"),
            route("GET", "/files/{name}/secret", "secret:read"),
            route("GET", "/files/special", "special:read"),
            route("GET", "/tree/{*rest}", "tree:read"),
            route("GET", "/tree/hidden", "hidden:read"),
            route("GET", "/Admin", "admin:read"),
            route("GET", "/{any}", "any:read"),
        ];
        let with = |readings: &[Reading]| {
            let readings = readings.iter().copied().collect();
            Routes::compile(Uuid::nil(), Rules { unknown: Unknown::Deny, readings }, &routes).unwrap()
        };
        let strict = with(&[]);
        for (reading, path, needs) in [
            // One segment, whatever is in it.
            (Reading::EncodedSlash, "/files/a%2Fsecret", "files:read"),
            (Reading::EncodedSlash, "/files/a%2fsecret/secret", "secret:read"),
            (Reading::EncodedPercent, "/files/100%25", "files:read"),
            (Reading::EncodedPlain, "/files/speci%61l", "special:read"),
            (Reading::EncodedPlain, "/files/a%2Db", "files:read"),
            (Reading::Semicolon, "/files/special;v=1", "files:read"),
            (Reading::EmptySegments, "/tree/a//b", "tree:read"),
            (Reading::EmptySegments, "/files//secret", "route_unknown"),
            (Reading::Capitals, "/admin", "any:read"),
            (Reading::Capitals, "/Admin", "admin:read"),
            (Reading::TrailingSlash, "/tree/hidden/", "tree:read"),
        ] {
            assert_eq!(needed(&with(&[reading]), "GET", path), needs, "{path} with {reading}");
            if path != "/Admin" {
                assert_eq!(needed(&strict, "GET", path), "path_ambiguous", "{path}");
            }
        }
        // A route can name such a path only where it is allowed.
        let slash = [route("GET", "/a%2Fb", "a:read"), route("GET", "/{x}", "x:read")];
        assert!(Routes::compile(Uuid::nil(), Unknown::Deny, &slash).is_err());
        let rules = Rules { unknown: Unknown::Deny, readings: [Reading::EncodedSlash].into_iter().collect() };
        let slash = Routes::compile(Uuid::nil(), rules, &slash).unwrap();
        assert_eq!(needed(&slash, "GET", "/a%2fb"), "a:read");
        assert_eq!(needed(&slash, "GET", "/a%2fc"), "x:read");
        assert_eq!(needed(&slash, "GET", "/a%00b"), "path_ambiguous", "nothing else stands for a slash");
    }

    #[test]
    fn a_path_with_two_meanings_is_refused() {
        for path in [
            "invoices",
            "//invoices",
            "/a//b",
            "/a/../b",
            "/a/./b",
            "/a/..",
            "/.",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/%2e%2e/a",
            "/a;x=1",
            "/a%00",
            "/a\0",
            "/a%c0%af",
            "/a%",
            "/a%zz",
            "/a%252f",
            "/a#b",
            "/a b",
            "/a%ff",
            "*",
            "http://x/a",
        ] {
            assert_eq!(canonical(path, Readings::default()), None, "{path}");
        }
        assert_eq!(canonical(&format!("/{}", "a".repeat(PATH_MAX)), Readings::default()), None);
        assert_eq!(canonical("/a/b/?x", Readings::default()).as_deref(), Some("/a/b/"));
        assert_eq!(canonical("/", Readings::default()).as_deref(), Some("/"));
    }

    #[test]
    fn routes_that_cannot_be_used_are_named() {
        let fault = |routes: &[Route]| Routes::compile(Uuid::nil(), Unknown::Deny, routes).unwrap_err();
        let twice = [route("GET", "/a/{b}", "a:read"), route("GET", "/a/{c}", "a:write")];
        assert_eq!(fault(&twice).index, 1);
        for path in ["a", "", "/a//b", "/{", "/}", "/{}", "/{*}", "/{*a}/b", "/a?b", "/../a", "/a%2fb", "/{a{b}}"] {
            let fault = fault(&[route("GET", path, "a:read")]);
            assert_eq!(fault.index, 0, "{path}: {}", fault.problem);
        }
        assert!(fault(&[route("GET", &format!("/{}", "a".repeat(600)), "a:read")]).problem.contains("512"));
        assert!(fault(&[route("get", "/a", "a:read")]).problem.contains("method"));
        let many: Vec<Route> = (0..=ROUTES_MAX).map(|n| route("GET", &format!("/{n}"), "a:read")).collect();
        assert!(fault(&many).problem.contains("too many"));
    }
}
