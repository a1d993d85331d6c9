//! Any routes, and any request to them: compiled or refused, and never answered with a permission that no route named.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tokenward_core::Uuid;
use tokenward_core::decision::Ask;
use tokenward_core::permission::RequiredPermission;
use tokenward_core::routes::{Route, Routes, Unknown};

// A line is a route, `METHOD /path`; the last line is the request.
fuzz_target!(|text: &str| {
    let lines: Vec<&str> = text.lines().take(64).collect();
    let Some((request, described)) = lines.split_last() else { return };
    let needed = RequiredPermission::parse("things:read").expect("a permission");
    let routes: Vec<Route> = described
        .iter()
        .filter_map(|line| line.split_once(' '))
        .map(|(method, path)| Route { method: method.into(), path: path.into(), needs: needed.clone().into() })
        .collect();
    let compiled = match Routes::compile(Uuid::nil(), Unknown::Deny, &routes) {
        Ok(compiled) => compiled,
        Err(fault) => {
            assert!(fault.index < routes.len() && !fault.problem.is_empty());
            let again = Routes::compile(Uuid::nil(), Unknown::Deny, &routes).err();
            assert_eq!(again, Some(fault), "the same routes are refused for the same reason");
            return;
        }
    };
    let (method, path) = request.split_once(' ').unwrap_or(("GET", request));
    let asked = compiled.ask(method, path);
    assert!(asked == compiled.ask(method, path));
    let beside = compiled.ask(method, &format!("{path}?a=b"));
    assert!(path.contains('?') || asked == beside, "a query does not count");
    if routes.is_empty() {
        assert!(matches!(asked, Ask::Never(_)), "where nothing is described, nothing is allowed");
    }
});
