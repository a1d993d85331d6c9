//! What a route needs: all permissions of any one of its ways.
//!
//! A way is a list of permissions of which all are needed; a route has one way or several. Most have one.

use crate::permission::RequiredPermission;

/// Most permissions of one way.
pub const PERMISSIONS_MAX: usize = 32;
/// Most ways of one route.
pub const WAYS_MAX: usize = 16;

/// What a route needs. Two that mean the same are equal.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Needs {
    /// At least one, and none of them empty: what needs nothing cannot be said. In order, each once, and none that holds
    /// all of another: whoever can take that one can take this one.
    ways: Box<[Box<[RequiredPermission]>]>,
}

impl Needs {
    /// What these ways come to. The error completes the sentence "`GET /path` …".
    pub fn any_of(ways: Vec<Vec<RequiredPermission>>) -> Result<Self, String> {
        if ways.is_empty() {
            return Err(format!("must need 1 to {PERMISSIONS_MAX} permissions (the limit `route_permissions`)"));
        }
        if ways.len() > WAYS_MAX {
            return Err(format!("has {} ways in `any_of`; the limit `route_ways` is {WAYS_MAX}", ways.len()));
        }
        if ways.iter().any(|way| way.is_empty() || way.len() > PERMISSIONS_MAX) {
            return Err(format!("must need 1 to {PERMISSIONS_MAX} permissions (the limit `route_permissions`)"));
        }
        Ok(Self::least(ways))
    }

    /// The same without what adds nothing. None of these may be empty.
    fn least(mut ways: Vec<Vec<RequiredPermission>>) -> Self {
        for way in &mut ways {
            way.sort_unstable();
            way.dedup();
        }
        // A shorter one first, so that a longer one that holds it is found to be more than is needed.
        ways.sort_unstable_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        let mut kept: Vec<Box<[RequiredPermission]>> = Vec::with_capacity(ways.len());
        for way in ways {
            if !kept.iter().any(|shorter| shorter.iter().all(|needed| way.binary_search(needed).is_ok())) {
                kept.push(way.into());
            }
        }
        Self { ways: kept.into() }
    }

    /// What both need. Where that would be too many ways, it is all that any of them names, which is more and never less.
    /// The error completes the sentence "`GET /path` …".
    pub fn and(&self, other: &Self) -> Result<Self, String> {
        let both = |a: &[RequiredPermission], b: &[RequiredPermission]| [a, b].concat();
        let ways: Vec<_> = self.ways().flat_map(|a| other.ways().map(move |b| both(a, b))).collect();
        let mut needs = Self::least(ways);
        if needs.ways.len() > WAYS_MAX {
            needs = Self::least(vec![self.permissions().chain(other.permissions()).cloned().collect()]);
        }
        if needs.ways.iter().any(|way| way.len() > PERMISSIONS_MAX) {
            return Err(format!("would need more permissions than the limit `route_permissions` ({PERMISSIONS_MAX})"));
        }
        Ok(needs)
    }

    /// The ways: all permissions of any one of them are enough.
    pub fn ways(&self) -> impl ExactSizeIterator<Item = &[RequiredPermission]> {
        self.ways.iter().map(|way| &**way)
    }

    /// Every permission that is named in any of them, as often as it is.
    pub fn permissions(&self) -> impl Iterator<Item = &RequiredPermission> {
        self.ways.iter().flatten()
    }

    /// What is missing to whom `holds` says of each permission whether it is held; `None` when nothing is. Of several ways it
    /// is the one that lacks the least, and its first permission that is not held.
    pub fn missing(&self, holds: impl Fn(&RequiredPermission) -> bool) -> Option<&RequiredPermission> {
        self.missing_of(|_| true, holds)
    }

    /// The same of the ways all of whose permissions are open to it, as `open` says of each; also `None` where no way is.
    pub fn missing_of(
        &self,
        open: impl Fn(&RequiredPermission) -> bool,
        holds: impl Fn(&RequiredPermission) -> bool,
    ) -> Option<&RequiredPermission> {
        let mut nearest: Option<(usize, &RequiredPermission)> = None;
        for way in self.ways.iter().filter(|way| way.iter().all(&open)) {
            let mut lacking = way.iter().filter(|needed| !holds(needed));
            let first = lacking.next()?;
            let count = 1 + lacking.count();
            if nearest.is_none_or(|(least, _)| count < least) {
                nearest = Some((count, first));
            }
        }
        nearest.map(|(_, missing)| missing)
    }
}

impl From<RequiredPermission> for Needs {
    fn from(one: RequiredPermission) -> Self {
        Self { ways: [[one].into()].into() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn permission(text: &str) -> RequiredPermission {
        RequiredPermission::parse(text).unwrap()
    }

    fn needs(ways: &[&[&str]]) -> Needs {
        Needs::any_of(ways.iter().map(|way| way.iter().map(|it| permission(it)).collect()).collect()).unwrap()
    }

    fn text(needs: &Needs) -> String {
        let way = |way: &[RequiredPermission]| way.iter().map(|it| it.as_str()).collect::<Vec<_>>().join("+");
        needs.ways().map(way).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        for (ways, least) in [
            (&[&["b:b", "a:a", "b:b"][..]][..], "a:a+b:b"),
            (&[&["b:b"], &["a:a"], &["b:b"]], "a:a | b:b"),
            (&[&["a:a", "b:b"], &["b:b"]], "b:b"),
            (&[&["a:a", "c:c"], &["a:a", "b:b"], &["d:d"]], "d:d | a:a+b:b | a:a+c:c"),
        ] {
            assert_eq!(text(&needs(ways)), least);
        }
        assert_eq!(needs(&[&["b:b"], &["a:a"]]), needs(&[&["a:a"], &["b:b"]]));
    }

    #[test]
    fn nothing_and_too_much_cannot_be_needed() {
        let many = |count: usize| (0..count).map(|n| permission(&format!("a{n}:b"))).collect::<Vec<_>>();
        let one = |n: usize| vec![permission(&format!("a{n}:b"))];
        for (ways, says) in [
            (vec![], "1 to 32 permissions"),
            (vec![one(1), vec![]], "1 to 32 permissions"),
            (vec![many(33)], "1 to 32 permissions"),
            ((0..17).map(one).collect(), "has 17 ways in `any_of`; the limit `route_ways` is 16"),
        ] {
            let problem = Needs::any_of(ways).unwrap_err();
            assert!(problem.contains(says), "{problem}");
        }
        assert!(Needs::any_of(vec![many(32)]).is_ok() && Needs::any_of((0..16).map(one).collect()).is_ok());
        let most = Needs::any_of(vec![many(32)]).unwrap();
        assert!(most.and(&needs(&[&["z:z"]])).unwrap_err().contains("route_permissions"));
    }

    #[test]
    fn what_is_missing_is_the_least_that_would_do() {
        let needs = needs(&[&["a:a", "b:b", "c:c"], &["d:d", "e:e"]]);
        let missing = |held: &[&str]| needs.missing(|it| held.contains(&it.as_str())).map(RequiredPermission::as_str);
        assert_eq!(missing(&[]), Some("d:d"));
        assert_eq!(missing(&["a:a", "c:c"]), Some("b:b"));
        assert_eq!(missing(&["a:a", "d:d"]), Some("e:e"));
        assert_eq!(missing(&["d:d", "e:e"]), None);
        let open_to = |it: &RequiredPermission, open: &[&str]| open.contains(&it.as_str());
        let of = |open: &[&str]| needs.missing_of(|it| open_to(it, open), |_| false).map(RequiredPermission::as_str);
        assert_eq!(of(&["a:a", "b:b", "c:c", "d:d"]), Some("a:a"));
        assert_eq!(of(&["a:a", "d:d"]), None);
    }

    /// Some of six permissions, as the bits of a number.
    fn of_bits(bits: u8) -> Vec<RequiredPermission> {
        (0..6).filter(|n| bits & (1 << n) != 0).map(|n| permission(&format!("a{n}:b"))).collect()
    }

    fn ways() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(1u8..64, 1..=WAYS_MAX)
    }

    proptest! {
        #[test]
        fn who_holds_one_way_has_what_is_needed(a in ways(), b in ways(), held in 0u8..64) {
            let all = |ways: &[u8]| Needs::any_of(ways.iter().map(|bits| of_bits(*bits)).collect()).unwrap();
            let enough = |ways: &[u8]| ways.iter().any(|way| way & !held == 0);
            let held = of_bits(held);
            let has = |needs: &Needs| needs.missing(|it| held.contains(it)).is_none();
            prop_assert_eq!(has(&all(&a)), enough(&a));
            // What both need is never less than that, and it is no more as long as it can be said.
            let both = all(&a).and(&all(&b)).unwrap();
            prop_assert!(!has(&both) || (enough(&a) && enough(&b)));
            if a.len() * b.len() <= WAYS_MAX {
                prop_assert_eq!(has(&both), enough(&a) && enough(&b));
            }
        }
    }
}
