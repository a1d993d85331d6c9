//! What a policy means, where the engine's compiler leaves out a part of what the reference of Rego says: each line would be
//! answered in another way, mostly with a yes for a no, without what is put in.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;

use tokenward_core::{Time, Uuid};
use tokenward_verify::server::policy::{Judgement, Policy, PolicyInput, RequestBody, segments};

const BODY: &str = r#"{"n":7,"list":[1,2,3],"items":[{"name":"a","max":1},{"name":"b","max":2}],"same":[{"name":"a","max":1},{"name":"a","max":1}],
    "twice":[{"name":"a","max":1},{"name":"a","max":2}],"some":[{"name":"a"},{"max":1}],"flags":[false,true],"no":false,"empty":[]}"#;

fn ask(source: &str, method: &str, body: &[u8]) -> Judgement {
    let policy = Policy::compile(source).unwrap().unwrap_or_else(|problem| panic!("{problem}\n{source}"));
    policy.ask(&PolicyInput {
        method,
        path: &segments("/environment/x/deploy", true).unwrap(),
        body: RequestBody::Whole(body),
        organization: Uuid::from_u128(1),
        project: None,
        environment: None,
        cluster: None,
        token: Uuid::from_u128(5),
        token_name: "ci",
        now: Time(1_795_562_400_000_000),
    })
}

/// A policy, and whether it allows a POST with the body above.
const POLICIES: &[(&str, bool)] = &[
    // A name that is given nothing ends the body.
    ("allow if { x := input.request.body.nothing }", false),
    ("allow if { x := input.request.body.nothing; not x == 1 }", false),
    ("allow if { x := input.request.body.no; not x }", true),
    ("allow if { [x, y] := [input.request.body.n, input.request.body.nothing]; not y }", false),
    ("allow if { {\"a\": x} := {\"a\": input.request.body.nothing}; not x }", false),
    ("allow if { o := {\"k\": 1}; x := o.z; not x }", false),
    ("f(x) := y if { y := x.nothing }\nallow if not f(input.request.body)", true),
    ("allow if count([1 | x := input.request.body.nothing]) == 0", true),
    ("allow if { some x in [1, 2]; y := input.request.body.list[x]; y == 3 }", true),
    // What is undefined is no part of a collection.
    ("allow if count([input.request.body.nothing | true]) == 0", true),
    ("allow if count([x.name | some x in input.request.body.some]) == count(input.request.body.some)", false),
    ("allow if count([x.name | some x in input.request.body.items]) == count(input.request.body.items)", true),
    ("allow if count({x.name | some x in input.request.body.some}) == 1", true),
    ("allow if count({\"k\": input.request.body.nothing | true}) == 0", true),
    ("allow if { o := {x.name: x.max | some x in input.request.body.items}; o == {\"a\": 1, \"b\": 2} }", true),
    ("allow if { o := {x.name: x.max | some x in input.request.body.some}; o == {} }", true),
    // A name in an object has one value.
    ("allow if { o := {x.name: x.max | some x in input.request.body.same}; o == {\"a\": 1} }", true),
    ("allow if not {x.name: x.max | some x in input.request.body.twice} == {\"a\": 1}", false),
    ("allow if { o := {x.name: x.max | some x in input.request.body.twice}; o.a == 2 }", false),
    // A condition in a comprehension ends one turn of it, and nothing around it.
    ("allow if { some x in [1, 2]; count([1 | x == 3]) == 0 }", true),
    ("allow if { some x in [1, 2]; count([1 | x == 2]) == 1; x == 2 }", true),
    ("bad if { some x in [1, 2]; count([1 | x == 3]) == 0 }\nallow if not bad", false),
    ("allow if every x in [1, 2] { count([1 | x == 3]) == 0 }", true),
    ("ok if every x in [1, 2] { count([1 | x == 3]) == 0 }\nallow if not ok", false),
    ("allow if every x in [1, 2] { count([1 | x == 1]) == 0 }", false),
    ("allow if count([1 | some x in [1, 2]; count([1 | x == 3]) == 0]) == 2", true),
    ("allow if count([y | some x in [1, 2]; y := [z | x > 1; some z in [1, 2]]; count(y) == 2]) == 1", true),
    ("allow if { count([1 | input.request.method == \"GET\"]) == 0; input.request.method == \"POST\" }", true),
    (
        "bad if { count([1 | input.request.method == \"GET\"]) == 0; input.request.method == \"PUT\" }\nallow if not bad",
        true,
    ),
    ("allow if { count({1 | false}) == 0; count({1: 2 | false}) == 0; count([1 | true]) == 1 }", true),
    ("allow if [[x | some x in [1, 2]; x > y] | some y in [0, 1, 2]] == [[1, 2], [2], []]", true),
    // The input is there behind what had no turn.
    (
        "none := set()\nallow if { count([1 | some x in none; x == input.token.name]) == 0; not input.request.method == \"POST\" }",
        false,
    ),
    (
        "none := set()\nallow if { count([1 | some x in none; x == input.token.name]) == 0; input.request.method == \"POST\" }",
        true,
    ),
    ("none := []\nallow if { every x in none { x == input.token.name }; not input.request.method == \"POST\" }", false),
    ("none := []\nallow if { every x in none { x == input.token.name }; input.request.method == \"POST\" }", true),
    (
        "none := {}\nf(y) if { every x in none { x == input.token.name }; not input.request.method == y }\nallow if f(\"POST\")",
        false,
    ),
    ("allow if { some x in [\"ci\", \"cd\"]; x == input.token.name; input.request.method == \"POST\" }", true),
    // `else` comes after whatever has not held.
    ("allow if { some x in [1, 2]; x == 3 } else := true", true),
    ("bad if { some x in [1, 2]; x == 3 } else := true\nallow if not bad", false),
    ("bad := input.request.body.nothing if true else := true\nallow if not bad", false),
    ("allow if { some x in [1, 2]; x == 2 } else := false", true),
    ("f(x) := 1 if { some y in [1, 2]; y == x } else := 2\nallow if { f(3) == 2; f(2) == 1 }", true),
    ("allow if { input.request.path[_] == \"y\" } else if { input.request.path[_] == \"x\" } else := false", true),
    // A rule has one value.
    ("x := v if some v in [1, 2]\nallow if not x == 1", false),
    ("x := v if some v in [1, 2]\nallow if x == 2", false),
    ("x := v if some v in [2, 2]\nallow if x == 2", true),
    ("x := v.max if { some v in input.request.body.items; v.name == \"a\" }\nallow if x == 1", true),
    ("x := v.name if some v in input.request.body.some\nallow if x == \"a\"", true),
    ("allow := v if some v in input.request.body.flags", false),
    ("f(l) := v if some v in l\nallow if not f([1, 2]) == 1", false),
    ("f(l) := v if some v in l\nallow if f([1]) == 1", true),
    ("x := 1 if some v in [1, 2]\nallow if x == 1", true),
    // In what is not there nothing is, and nothing is not in it.
    ("allow if { x := \"a\" in input.request.body.nothing; not x }", false),
    ("allow if { x := input.request.body.nothing in {\"a\"}; not x }", false),
    ("allow if { x := \"a\" in input.request.body.list; not x }", true),
    ("allow if not \"a\" in input.request.body.nothing", true),
    ("allow if not 1 in input.request.body.list", false),
    ("allow if { x := 1 in {\"a\": 1}; x }", true),
    // An argument that has no name must be there all the same.
    ("f(_) := true\nallow if f(input.request.body.nothing)", false),
    ("f(_, x) := x\nallow if f(input.request.body.nothing, true)", false),
    ("f(_, x) := x\nallow if f(1, true)", true),
    // What every asks of nothing, and of what is no collection.
    ("allow if every x in input.request.body.empty { false }", true),
    ("allow if every x in input.request.body.nothing { true }", false),
    ("allow if every x in input.request.body.n { true }", false),
    ("ok if every x in input.request.body.nothing { false }\nallow if not ok", true),
    // What stands in the policy and is put together of names that it has.
    ("e := \"x\"\nallow if input.request.path == [\"api\", \"environment\", e, \"deploy\"]", true),
    ("e := \"y\"\nallow if input.request.path == [\"api\", \"environment\", e, \"deploy\"]", false),
    ("allow if { some e in [\"y\", \"x\"]; input.request.path == [\"api\", \"environment\", e, \"deploy\"] }", true),
];

#[test]
fn a_policy_means_what_the_reference_of_rego_says() {
    let mut wrong = String::new();
    for (source, expected) in POLICIES {
        let said = ask(source, "POST", BODY.as_bytes());
        if said.is_allowed() != *expected {
            writeln!(wrong, "{said:?}, and not {expected}: {source}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn what_is_read_in_another_way_is_refused_by_name() {
    for (source, told) in [
        ("allow if \"x\", 1 in {\"a\": 1}", "collection[name] == value"),
        ("f(a, b, c, d, e, g, h, i, j) := j\nallow if f(1, 2, 3, 4, 5, 6, 7, 8, true)", "8 arguments"),
        ("f([input.token.name]) := true\nallow if f([\"ci\"])", "behind `if`"),
        ("default f(_) := false\nf(x) := true if x == 1\nallow if f(1)", "no default"),
        ("allow if { _ := input.request.body.nothing }", "keeps nothing"),
        (&*format!("allow if count({{{}}}) == 1", "input.token.id, ".repeat(17) + "1"), "More than 16"),
    ] {
        let problem = Policy::compile(source).unwrap().expect_err(source).to_string();
        assert!(problem.contains(told), "{source}\n{problem}");
    }
    // What unifies under `not` the engine does not ask there: kept ones are refused, too, since they would allow.
    for unasked in [
        "allow if not count([1 | input.request.method = \"GET\"]) == 0",
        "allow if not count([1 | some [_, \"admin\"] in input.request.body.list]) == 0",
        "allow if not count([x | [\"api\", x] := input.request.path]) == 0",
        "allow if { x := input.token.name; not [\"api\", x] = input.request.path }",
    ] {
        let problem = Policy::compile(unasked).unwrap().expect_err(unasked).to_string();
        assert!(problem.contains("Under `not`, whether this fits is not asked"), "{unasked}\n{problem}");
    }
    for good in [
        "allow if not count([x | some x in input.request.path; x == \"admin\"]) == 0",
        "allow if not count([1 | x := input.request.path[0]; x == \"admin\"]) == 0",
        "allow if count([1 | input.request.method = \"GET\"]) == 1",
    ] {
        assert!(Policy::compile_new(good).unwrap().is_ok(), "{good}");
    }
    // What is kept stays as it is; what is written now says what it means.
    let slip = "allow if input.request.path[_] != \"admin\"";
    assert!(Policy::compile(slip).unwrap().is_ok());
    let problem = Policy::compile_new(slip).unwrap().expect_err(slip).to_string();
    assert!(problem.contains("line 1") && problem.contains("not value in"), "{problem}");
    for good in
        ["allow if input.request.path[1] != \"admin\"", "allow if { some p in input.request.path; p != \"admin\" }"]
    {
        assert!(Policy::compile_new(good).unwrap().is_ok(), "{good}");
    }
}

#[test]
fn a_body_that_is_read_in_two_ways_or_is_too_much_is_denied() {
    let reads = "allow if input.request.body != 0";
    for body in [
        "18446744073709551616",
        "-9223372036854775809",
        "[1e300]",
        "{\"a\":{\"b\":1,\"b\":1}}",
        "{\"a\":1,\"\\u0061\":1}",
    ] {
        for source in [reads, "allow if not input.request.body.x", "allow := true"] {
            assert!(!ask(source, "POST", body.as_bytes()).is_allowed(), "{body}: {source}");
        }
    }
    for body in ["18446744073709551615", "-9223372036854775808", "1e19", "0.1", "-0.5"] {
        assert_eq!(ask(reads, "POST", body.as_bytes()), Judgement::Allowed, "{body}");
    }
    let many = format!("{{\"x\":[0{}],\"y\":1}}", ",0".repeat(200_000));
    assert!(matches!(ask(reads, "POST", many.as_bytes()), Judgement::Failed(why) if why.contains("more values")));
    assert_eq!(ask("allow if input.request.body.y == 1", "POST", many.as_bytes()), Judgement::Allowed);
}
