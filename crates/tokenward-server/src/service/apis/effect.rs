//! What an import changes: the routes, and what the tokens of each role reach by them.

use std::collections::{BTreeMap, HashMap};

use tokenward_core::Uuid;
use tokenward_core::decision::Ask;
use tokenward_core::needs::Needs;
use tokenward_core::role::{Role, Target};
use tokenward_core::routes::Routes;
use tokenward_store::apis::KeptRoute;

/// What becomes different.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct DocumentEffect {
    /// The routes that are new, gone, or need something else, by path.
    pub routes: Vec<RouteChange>,
    /// The roles that reach more or less than before, by name.
    pub roles: Vec<RoleChange>,
}

/// A route that becomes different.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteChange {
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// The ways of what it needed; `None` for a new one.
    pub before: Option<Vec<Vec<String>>>,
    /// The ways of what it will need; `None` for one that is gone.
    pub after: Option<Vec<Vec<String>>>,
}

/// What becomes different for the tokens of a role.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleChange {
    /// The role.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What they reach then, and not now.
    pub gains: Reached,
    /// What they reach now, and not then.
    pub loses: Reached,
}

/// Routes: how many, and the first of them.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Reached {
    /// How many.
    pub count: usize,
    /// At most five of them: `GET /invoices`.
    pub examples: Vec<String>,
}

impl Reached {
    fn add(&mut self, routes: &[String]) {
        self.count += routes.len();
        let room = EXAMPLES.saturating_sub(self.examples.len());
        self.examples.extend(routes.iter().take(room).cloned());
    }
}

/// Most routes that a change of a role names.
const EXAMPLES: usize = 5;

/// What stands for a parameter where it is asked what a request would take: nothing that people write literally.
const SAMPLE: &str = "0sample0";

/// Routes as they are kept, and compiled. Nothing compiled is an API that is not there, to which every request is denied.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub kept: &'a [KeptRoute],
    pub compiled: Option<&'a Routes>,
}

/// To whom a request is open.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Open<'a> {
    Nobody,
    Anybody,
    Holders(&'a Needs),
}

impl<'a> Open<'a> {
    fn of(side: Side<'a>, method: &str, path: &str) -> Self {
        match side.compiled.map(|routes| routes.ask(method, path)) {
            Some(Ask::Route(needs)) => Self::Holders(needs),
            Some(Ask::Identity) => Self::Anybody,
            _ => Self::Nobody,
        }
    }

    fn to(self, role: &Role) -> bool {
        match self {
            Self::Nobody => false,
            Self::Anybody => true,
            Self::Holders(needs) => {
                needs.missing(|needed| role.allows(needed.permission(), Target::Organization)).is_none()
            }
        }
    }
}

/// The ways of a route of one side, where it has it.
type RouteWays<'a> = Option<&'a Vec<Vec<String>>>;

/// Compares the routes before and after, and what these roles reach by them.
pub(super) fn of<'a>(before: Side<'_>, after: Side<'_>, roles: impl Iterator<Item = &'a Role>) -> DocumentEffect {
    let mut all: BTreeMap<(&str, &str), [RouteWays<'_>; 2]> = BTreeMap::new();
    for (at, side) in [before, after].into_iter().enumerate() {
        for route in side.kept {
            all.entry((&route.path, &route.method)).or_default()[at] = Some(&route.ways);
        }
    }
    let mut routes = Vec::new();
    // Many routes need the same: a role is asked about each change of needs once.
    let mut changes: HashMap<(Open<'_>, Open<'_>), Vec<String>> = HashMap::new();
    for ((path, method), [was, is]) in all {
        if was != is {
            let (method, path) = (method.to_owned(), path.to_owned());
            routes.push(RouteChange { method, path, before: was.cloned(), after: is.cloned() });
        }
        // A request that is on no route of one side may be on another route of the other.
        let request = sample(path);
        let (was, is) = (Open::of(before, method, &request), Open::of(after, method, &request));
        if was != is {
            changes.entry((was, is)).or_default().push(format!("{method} {path}"));
        }
    }
    let mut changes: Vec<_> = changes.into_iter().collect();
    changes.sort_by(|a, b| a.1.cmp(&b.1));
    let mut roles: Vec<RoleChange> = roles.filter_map(|role| of_role(role, &changes)).collect();
    roles.sort_by(|a, b| a.name.cmp(&b.name));
    DocumentEffect { routes, roles }
}

/// A request and the routes that it concerns, by to whom it was open and will be.
type Changes<'a> = [((Open<'a>, Open<'a>), Vec<String>)];

fn of_role(role: &Role, changes: &Changes<'_>) -> Option<RoleChange> {
    let (mut gains, mut loses) = (Reached::default(), Reached::default());
    for ((was, is), routes) in changes {
        match (was.to(role), is.to(role)) {
            (false, true) => gains.add(routes),
            (true, false) => loses.add(routes),
            _ => {}
        }
    }
    (gains.count + loses.count > 0).then(|| RoleChange { id: role.id, name: role.name.to_string(), gains, loses })
}

/// A path that is on this route, as a client would send it.
fn sample(template: &str) -> String {
    let mut path = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        path.push_str(before);
        path.push_str(SAMPLE);
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    path.push_str(rest);
    // What a document writes out, a client escapes.
    path.chars().map(|c| if c.is_ascii() { c.to_string() } else { escaped(c) }).collect()
}

fn escaped(c: char) -> String {
    c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use tokenward_core::role::BuiltIn;
    use tokenward_core::routes::{Source, Unknown};

    use super::*;

    fn route(line: &str) -> KeptRoute {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap().to_owned();
        KeptRoute { method: word(), path: word(), ways: vec![vec![word()]], source: Source::File }
    }

    fn compiled(kept: &[KeptRoute], unknown: Unknown) -> Routes {
        let routes: Vec<_> = kept.iter().map(|it| it.route().unwrap()).collect();
        Routes::compile(Uuid::nil(), unknown, &routes).unwrap()
    }

    fn told(before: Option<(&[&str], Unknown)>, after: &[&str]) -> (Vec<String>, Vec<String>) {
        let kept = |lines: &[&str]| lines.iter().map(|line| route(line)).collect::<Vec<_>>();
        let old = before.map(|(lines, unknown)| (kept(lines), unknown));
        let old_routes = old.as_ref().map(|(kept, unknown)| compiled(kept, *unknown));
        let old_side = Side { kept: old.as_ref().map_or(&[], |(kept, _)| kept), compiled: old_routes.as_ref() };
        let new = kept(after);
        let new_routes = compiled(&new, Unknown::Deny);
        let roles = [BuiltIn::Admin, BuiltIn::Viewer, BuiltIn::Billing].map(|it| Role::built_in(Uuid::nil(), it));
        let effect = of(old_side, Side { kept: &new, compiled: Some(&new_routes) }, roles.iter());
        let word = |ways: &Option<Vec<Vec<String>>>| ways.as_ref().map_or("-".to_owned(), |ways| ways[0][0].clone());
        let routes = effect.routes.iter().map(|it| format!("{} {} {}", it.path, word(&it.before), word(&it.after)));
        let reached = |it: &Reached| format!("{} {}", it.count, it.examples.join(","));
        let roles =
            effect.roles.iter().map(|it| format!("{}: +{} -{}", it.name, reached(&it.gains), reached(&it.loses)));
        (routes.collect(), roles.collect())
    }

    #[test]
    fn what_is_new_gone_or_different_is_told_with_who_reaches_it() {
        let (routes, roles) = told(None, &["GET /a a:read", "POST /a a:write"]);
        assert_eq!(routes, ["/a - a:read", "/a - a:write"]);
        assert_eq!(roles, ["admin: +2 GET /a,POST /a -0 ", "viewer: +1 GET /a -0 "]);
        let before: &[&str] = &["GET /a a:read", "GET /gone b:read", "GET /same c:read"];
        let (routes, roles) = told(Some((before, Unknown::Deny)), &["GET /a a:write", "GET /same c:read"]);
        assert_eq!(routes, ["/a a:read a:write", "/gone b:read -"]);
        assert_eq!(roles, ["admin: +0  -1 GET /gone", "viewer: +0  -2 GET /a,GET /gone"]);
        assert_eq!(told(Some((before, Unknown::Deny)), before), (vec![], vec![]));
    }

    #[test]
    fn a_request_without_a_route_of_its_own_counts_as_it_is_decided() {
        // It was on another route.
        let before: &[&str] = &["GET /a/{id} a:write"];
        let (_, roles) = told(Some((before, Unknown::Deny)), &["GET /a/{id} a:write", "GET /a/caf\u{e9} a:read"]);
        assert_eq!(roles, ["viewer: +1 GET /a/caf\u{e9} -0 "]);
        // It was open to every token, also of a role that holds nothing.
        let (_, roles) = told(Some((&["GET /b b:read"], Unknown::Allow)), &["GET /b b:read", "GET /c/{x}.csv c:write"]);
        assert_eq!(roles, ["billing: +0  -1 GET /c/{x}.csv", "viewer: +0  -1 GET /c/{x}.csv"]);
    }

    #[test]
    fn few_routes_are_named_and_all_are_counted() {
        let many: Vec<String> = (0..9).map(|n| format!("GET /{n} a{}:read", n % 2)).collect();
        let (_, roles) = told(None, &many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(roles[0], "admin: +9 GET /0,GET /2,GET /4,GET /6,GET /8 -0 ");
    }
}
