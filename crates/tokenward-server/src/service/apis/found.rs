//! Routes as they are found in a document, and what becomes of those that cannot be used together.

use std::collections::HashMap;

use tokenward_core::error::Faults;
use tokenward_core::nearest::known_words;
use tokenward_core::path::{Reading, Readings};
use tokenward_core::routes::{ROUTES_MAX, Route, Routes, Rules, Unknown};
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::apis::KeptRoute;

use super::fault::{place, said};
use super::sense::Notes;
use crate::limits::ALLOW_PATHS;

/// Faults that are told at once.
const FAULTS_MAX: usize = 49;
/// Routes that are left out since another one stands in their place; each takes a look at all of them.
const CONFLICTS_MAX: usize = 500;

/// What a document says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Document {
    /// What becomes of a request that no route describes, when it says so.
    pub unknown: Option<Unknown>,
    /// How the servers are known to read paths.
    pub readings: Readings,
    /// Its routes.
    pub routes: Vec<KeptRoute>,
    /// What was not taken as it stands.
    pub notes: Notes,
    /// How many operations are on no route.
    pub left_out: i64,
}

/// What becomes of a request that no route describes, by its word.
pub(super) fn unknown(text: &str) -> Result<Unknown> {
    Unknown::parse(text).map_err(|unknown| Error::invalid("unknown_route", unknown.to_string()))
}

/// How the servers are known to read paths, by the words.
pub(super) fn readings<'a>(field: &str, words: impl ExactSizeIterator<Item = &'a str>) -> Result<Readings> {
    if words.len() > ALLOW_PATHS.size() {
        let (count, name, most) = (words.len(), ALLOW_PATHS.name, ALLOW_PATHS.default);
        return Err(Error::invalid(field, format!("has {count} words; the limit `{name}` is {most}")));
    }
    let read = words.map(|word| {
        Reading::parse(word).map_err(|_| {
            let known = known_words(word, Reading::ALL.into_iter().map(Reading::as_str));
            Error::invalid(field, format!("has `{}`, which is not known here; {known}", said(word)))
        })
    });
    read.collect()
}

/// Routes and faults, as far as they were found.
#[derive(Default)]
pub(super) struct FoundRoutes {
    readings: Readings,
    routes: Vec<KeptRoute>,
    faults: Faults,
    count: usize,
    pub notes: Notes,
    pub left_out: i64,
}

impl FoundRoutes {
    /// None yet, of an API whose servers are known to read paths so.
    pub fn with(readings: Readings) -> Self {
        Self { readings, ..Self::default() }
    }

    /// A route. What it needs is kept in its shortest form.
    pub fn route(&mut self, route: KeptRoute) -> Result<()> {
        if self.routes.len() == ROUTES_MAX {
            return Err(Error::invalid("document", format!("has more routes than the limit `routes` ({ROUTES_MAX})")));
        }
        let at = place(&route.method, &route.path);
        match route.needs() {
            Ok(needs) => self.routes.push(KeptRoute { ways: KeptRoute::ways_of(&needs), ..route }),
            Err(problem) => self.fault(&at, problem),
        }
        Ok(())
    }

    pub fn fault(&mut self, at: &str, problem: impl Into<String>) {
        self.count += 1;
        if self.count <= FAULTS_MAX {
            self.faults.push(at, problem);
        }
    }

    /// An operation becomes no route; `why` is the note that tells it.
    pub fn leave_out(&mut self, why: &str, at: &str) {
        self.left_out += 1;
        self.notes.add(why, at);
    }

    /// What was found in the short form, which is ours: whatever cannot be used in it is a fault.
    pub fn finish_as_written(mut self, unknown: Option<Unknown>) -> Result<Document> {
        self.finish_faults()?;
        self.document(unknown)
    }

    /// What was found in a document that somebody wrote for another purpose: what cannot be used in it is left out.
    pub fn finish(mut self, unknown: Option<Unknown>) -> Result<Document> {
        self.finish_faults()?;
        self.merge()?;
        self.leave_out_unusable()?;
        self.leave_out_conflicts()?;
        self.document(unknown)
    }

    fn finish_faults(&mut self) -> Result<()> {
        if self.count > FAULTS_MAX {
            self.faults.push("document", format!("has {} more faults", self.count - FAULTS_MAX));
        }
        std::mem::take(&mut self.faults).finish()
    }

    fn document(self, unknown: Option<Unknown>) -> Result<Document> {
        if self.routes.is_empty() {
            let why = self.notes.0.first().map(|note| format!("; {}: {}", note.what, note.count)).unwrap_or_default();
            return Err(Error::invalid("document", format!("describes no route{why}")));
        }
        let Self { readings, routes, notes, left_out, .. } = self;
        Ok(Document { unknown, readings, routes, notes, left_out })
    }

    /// Operations whose paths differ in nothing but the names of parameters are one route, which needs what each needs.
    fn merge(&mut self) -> Result<()> {
        let mut at: HashMap<(String, String), usize> = HashMap::with_capacity(self.routes.len());
        let mut merged: Vec<KeptRoute> = Vec::with_capacity(self.routes.len());
        for route in std::mem::take(&mut self.routes) {
            match at.entry((route.method.clone(), shape(&route.path))) {
                std::collections::hash_map::Entry::Vacant(free) => {
                    free.insert(merged.len());
                    merged.push(route);
                }
                std::collections::hash_map::Entry::Occupied(taken) => {
                    let what = "operations that are one route with another; it needs what each needs";
                    let at = place(&route.method, &route.path);
                    self.notes.add(what, &at);
                    need_also(&mut merged[*taken.get()], &route).map_err(|problem| Error::invalid(at, problem))?;
                }
            }
        }
        self.routes = merged;
        Ok(())
    }

    /// Leaves out what can be no route at all, which no request means that can be decided about.
    fn leave_out_unusable(&mut self) -> Result<()> {
        let mut unusable = Vec::new();
        for kept in std::mem::take(&mut self.routes) {
            match kept.route().and_then(|route| compile(&[route], self.readings).map_err(|(_, problem)| problem)) {
                Ok(()) => self.routes.push(kept),
                Err(problem) => {
                    self.leave_out(&format!("left out: it {problem}"), &place(&kept.method, &kept.path));
                    unusable.push(kept);
                }
            }
        }
        unusable.iter().try_for_each(|kept| self.pass_on(kept))
    }

    /// Routes that take a same path as one that is left out need what that one needs: its requests are theirs now.
    fn pass_on(&mut self, left_out: &KeptRoute) -> Result<()> {
        let at = place(&left_out.method, &left_out.path);
        with_needs_of(&mut self.routes, left_out).map_err(|problem| Error::invalid(at, problem))
    }

    /// Leaves out what cannot be told apart from others. Those need from then on what it would have needed.
    fn leave_out_conflicts(&mut self) -> Result<()> {
        self.routes.sort_by(|a, b| (&a.path, &a.method).cmp(&(&b.path, &b.method)));
        for _ in 0..=CONFLICTS_MAX {
            let routes: Vec<Route> =
                self.routes.iter().map(|kept| kept.route().map_err(Error::internal)).collect::<Result<_>>()?;
            let Err((index, _)) = compile(&routes, self.readings) else { return Ok(()) };
            let kept = self.routes.remove(index);
            self.pass_on(&kept)?;
            let why = "left out, not to be told apart from others; these need what it needs too";
            self.leave_out(why, &place(&kept.method, &kept.path));
        }
        Err(Error::invalid(
            "document",
            format!("has more than {CONFLICTS_MAX} routes that cannot be told apart from others"),
        ))
    }
}

/// A path without the names of its parameters.
fn shape(path: &str) -> String {
    let mut shape = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        match c {
            '{' => inside = true,
            '}' => inside = false,
            _ => {}
        }
        if !inside || c == '{' || c == '*' {
            shape.push(c);
        }
    }
    shape
}

/// Can these be used together? Else which one cannot, and why.
fn compile(routes: &[Route], readings: Readings) -> Result<(), (usize, String)> {
    Routes::compile(Uuid::nil(), Rules { unknown: Unknown::Deny, readings }, routes)
        .map(drop)
        .map_err(|fault| (fault.index, fault.problem))
}

/// Do two templates of one method take a same path? Then what the one needs must not be lost when the other stays alone.
fn overlap(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split('/'), b.split('/'));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if one.contains("{*") || other.contains("{*") => return true,
            (Some(one), Some(other)) if one.contains('{') || other.contains('{') || one.eq_ignore_ascii_case(other) => {
            }
            _ => return false,
        }
    }
}

/// What the routes that stay need, with what those need that were left out.
fn with_needs_of(routes: &mut [KeptRoute], left_out: &KeptRoute) -> Result<(), String> {
    let mut same = routes.iter_mut().filter(|it| it.method == left_out.method && overlap(&it.path, &left_out.path));
    same.try_for_each(|route| need_also(route, left_out))
}

/// From now on a route needs also what another one does.
fn need_also(route: &mut KeptRoute, other: &KeptRoute) -> Result<(), String> {
    route.ways = KeptRoute::ways_of(&route.needs()?.and(&other.needs()?)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_that_take_a_same_path_overlap() {
        for (a, b) in [("/a/{x}", "/a/{y}.json"), ("/a/b", "/a/{x}"), ("/a/{*rest}", "/a/b/c"), ("/A", "/a")] {
            assert!(overlap(a, b) && overlap(b, a), "{a} {b}");
        }
        for (a, b) in [("/a", "/b"), ("/a", "/a/b"), ("/a/{x}", "/b/{x}"), ("/{x}", "/a/b")] {
            assert!(!overlap(a, b) && !overlap(b, a), "{a} {b}");
        }
    }
}
