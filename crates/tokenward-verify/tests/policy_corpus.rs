//! Policies that strangers could write: what Rego says of usual ones, and that hostile ones cost little and allow nothing.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tokenward_core::{Time, Uuid};
use tokenward_verify::server::policy::{Judgement, Policy, PolicyInput, RequestBody, segments};

const ENVIRONMENT: &str = "00000000-0000-7000-8000-000000000003";
const SERVICE: &str = "00000000-0000-7000-8000-000000000009";
const BODY: &str = r#"{"key":"FEATURE_A","n":7,"list":[1,2,3],"nested":{"a":{"b":"c"}},"empty":[],"text":"Grüße","flag":true,"none":null}"#;

fn ask(policy: &Policy, method: &str, path: &str, body: &[u8]) -> Judgement {
    policy.ask(&PolicyInput {
        method,
        path: &segments(path, true).unwrap(),
        body: RequestBody::Whole(body),
        organization: Uuid::from_u128(1),
        project: Some(Uuid::from_u128(0x7000_8000_0000_0000_0002)),
        environment: Some(Uuid::parse_str(ENVIRONMENT).unwrap()),
        cluster: None,
        token: Uuid::from_u128(5),
        token_name: "ci",
        now: Time(1_795_562_400_000_000),
    })
}

/// What `allow if …` says, by the public reference of Rego v1: true or not.
const EXPRESSIONS: &[(&str, bool)] = &[
    ("true", true),
    ("false", false),
    ("null", true),
    ("1", true),
    ("\"\"", true),
    ("[]", true),
    ("input.nothing", false),
    ("not input.nothing", true),
    ("not false", true),
    ("not true", false),
    ("input.request.method == \"POST\"", true),
    ("input.request.method != \"GET\"", true),
    ("input.request.method == \"post\"", false),
    ("input.request.body.n > 6", true),
    ("input.request.body.n > 7", false),
    ("input.request.body.n >= 7", true),
    ("input.request.body.n < 8", true),
    ("input.request.body.n <= 6", false),
    ("1 < \"a\"", true),
    ("\"a\" < \"b\"", true),
    ("null < false", true),
    ("[1, 2] < [1, 3]", true),
    ("1 == 1.0", true),
    ("0.1 + 0.2 == 0.3", false),
    ("1 + 2 == 3", true),
    ("7 - 2 * 3 == 1", true),
    ("(7 - 2) * 3 == 15", true),
    ("7 / 2 == 3.5", true),
    ("7 % 4 == 3", true),
    ("{1, 2, 3} - {2} == {1, 3}", true),
    ("{1, 2} | {2, 3} == {1, 2, 3}", true),
    ("{1, 2} & {2, 3} == {2}", true),
    ("1 in [1, 2]", true),
    ("3 in [1, 2]", false),
    ("not 3 in [1, 2]", true),
    ("1 in {1, 2}", true),
    ("\"c\" in {\"a\": \"c\"}", true),
    ("\"a\" in {\"a\": \"c\"}", false),
    ("[1, 2][0] == 1", true),
    ("[1, 2][-1]", false),
    ("[1, 2][0.5]", false),
    ("input.request.body.n == \"7\"", false),
    ("input.request.body.n < \"7\"", true),
    ("\"É\" == \"é\"", false),
    ("lower(\"ÉA\") == \"éa\"", true),
    ("regex.match(`^[a[]+$`, \"a[\")", true),
    ("regex.match(`^\\<b\\>$`, \"<b>\")", true),
    ("input.request.method in {\"GET\", \"POST\"}", true),
    ("input.request.path[0] == \"api\"", true),
    ("input.request.path[1] == \"environment\"", true),
    ("input.request.path[7]", false),
    ("input.request.path[_] == \"deploy\"", true),
    ("input.request.path[_] == \"nothing\"", false),
    ("\"deploy\" in input.request.path", true),
    ("count(input.request.path) == 5", true),
    ("count(\"Grüße\") == 5", true),
    ("count({\"a\": 1}) == 1", true),
    ("count(input.request.body.empty) == 0", true),
    ("input.request.path == [\"api\", \"environment\", input.resource.environment_id, \"service\", \"deploy\"]", true),
    ("input.resource == input.qovery_metadata", true),
    ("input.resource.service_id == null", true),
    ("input.resource.cluster_id == null", true),
    ("input.resource.cluster_id", true),
    ("is_null(input.resource.cluster_id)", true),
    ("input.token.name == \"ci\"", true),
    ("input.request.body.nested.a.b == \"c\"", true),
    ("input.request.body[\"nested\"][\"a\"].b == \"c\"", true),
    ("input.request.body.nested.x.b == \"c\"", false),
    ("input.request.body.none == null", true),
    ("input.request.body.flag", true),
    ("input.request.headers", false),
    ("input.request.query", false),
    ("startswith(input.request.body.key, \"FEATURE_\")", true),
    ("startswith(input.request.body.key, \"feature_\")", false),
    ("endswith(input.request.body.key, \"_A\")", true),
    ("contains(input.request.body.key, \"URE\")", true),
    ("lower(input.request.body.key) == \"feature_a\"", true),
    ("upper(\"abc\") == \"ABC\"", true),
    ("trim(\"  a \", \" \") == \"a\"", true),
    ("trim_space(\" a\\t\") == \"a\"", true),
    ("trim_prefix(\"abc\", \"a\") == \"bc\"", true),
    ("trim_suffix(\"abc\", \"c\") == \"ab\"", true),
    ("trim_left(\"aab\", \"a\") == \"b\"", true),
    ("trim_right(\"abb\", \"b\") == \"a\"", true),
    ("replace(\"a-b\", \"-\", \"_\") == \"a_b\"", true),
    ("split(\"a,b\", \",\") == [\"a\", \"b\"]", true),
    ("concat(\"/\", [\"a\", \"b\"]) == \"a/b\"", true),
    ("substring(\"abcdef\", 1, 2) == \"bc\"", true),
    ("substring(\"abcdef\", 3, -1) == \"def\"", true),
    ("indexof(\"abc\", \"c\") == 2", true),
    ("indexof(\"abc\", \"x\") == -1", true),
    ("sprintf(\"%s-%d\", [\"a\", 7]) == \"a-7\"", true),
    ("sprintf(\"%v\", [[1, 2]]) == \"[1, 2]\"", true),
    ("format_int(255, 16) == \"ff\"", true),
    ("strings.reverse(\"abc\") == \"cba\"", true),
    ("strings.count(\"banana\", \"an\") == 2", true),
    ("strings.any_prefix_match([\"abc\"], [\"x\", \"ab\"])", true),
    ("strings.any_suffix_match(\"abc\", \"bc\")", true),
    ("regex.match(\"^FEATURE_[A-Z]+$\", input.request.body.key)", true),
    ("regex.match(\"^[a-z]+$\", input.request.body.key)", false),
    ("regex.is_valid(\"(\")", false),
    ("regex.replace(\"a1b2\", \"[0-9]\", \"\") == \"ab\"", true),
    ("regex.split(\",\", \"a,b\") == [\"a\", \"b\"]", true),
    ("regex.find_n(\"[0-9]\", \"a1b2\", 1) == [\"1\"]", true),
    ("glob.match(\"*.example.com\", [\".\"], \"api.example.com\")", true),
    ("glob.match(\"*.example.com\", [\".\"], \"a.b.example.com\")", false),
    ("glob.match(\"**.example.com\", [\".\"], \"a.b.example.com\")", true),
    ("glob.match(\"*.example.com\", [], \"a.b.example.com\")", false),
    ("glob.match(\"*\", null, \"a.b/c:d\")", true),
    ("glob.match(\"/invoices/*\", [\"/\"], \"/invoices/7\")", true),
    ("glob.match(\"/invoices/*\", [\"/\"], \"/invoices/7/lines\")", false),
    ("glob.match(\"/invoices/**\", [\"/\"], \"/invoices/7/lines\")", true),
    ("glob.match(\"read:*\", [\":\"], \"read:invoices\")", true),
    ("glob.match(\"read:*\", [\":\"], \"read:invoices:secret\")", false),
    ("glob.match(\"read:**\", [\":\"], \"read:invoices:secret\")", true),
    ("glob.match(\"*:github:com\", [\":\"], \"api:github:com\")", true),
    ("glob.match(\"a:b\", [\":\"], \"a/b\")", false),
    ("regex.match(`^\\d+$`, \"42\")", true),
    ("regex.match(`^\\d+$`, \"٤٢\")", false),
    ("regex.match(`^\\w+$`, \"Feature_7\")", true),
    ("regex.match(`^[\\w.-]+$`, \"Grüße\")", false),
    ("regex.match(`^Grü[^\\d]e$`, \"Grüße\")", true),
    ("regex.match(`\\bb\\b`, \"a b c\")", true),
    ("regex.replace(\"a1٢\", `\\d`, \"\") == \"a٢\"", true),
    ("regex.split(`\\s`, \"a\u{a0}b c\") == [\"a\u{a0}b\", \"c\"]", true),
    ("regex.find_n(`\\w+`, \"añb\", -1) == [\"a\", \"b\"]", true),
    ("indexof(input.request.body.text, \"ß\") == 3", true),
    ("substring(input.request.body.text, 2, 2) == \"üß\"", true),
    ("split(\"ä,ö\", \",\") == [\"ä\", \"ö\"]", true),
    ("to_number(\"7\") == 7", true),
    ("abs(-7) == 7", true),
    ("round(2.5) == 3", true),
    ("ceil(2.1) == 3", true),
    ("floor(2.9) == 2", true),
    ("max([1, 3, 2]) == 3", true),
    ("min({1, 3, 2}) == 1", true),
    ("sum(input.request.body.list) == 6", true),
    ("sort([3, 1, 2]) == [1, 2, 3]", true),
    ("array.concat([1], [2]) == [1, 2]", true),
    ("array.slice([1, 2, 3], 1, 2) == [2]", true),
    ("array.reverse([1, 2]) == [2, 1]", true),
    ("object.get({\"a\": 1}, \"b\", 7) == 7", true),
    ("object.get({\"a\": {\"b\": 1}}, [\"a\", \"b\"], 7) == 1", true),
    ("object.keys({\"a\": 1, \"b\": 2}) == {\"a\", \"b\"}", true),
    ("object.remove({\"a\": 1, \"b\": 2}, [\"a\"]) == {\"b\": 2}", true),
    ("object.filter({\"a\": 1, \"b\": 2}, [\"a\"]) == {\"a\": 1}", true),
    ("object.union({\"a\": 1}, {\"b\": 2}) == {\"a\": 1, \"b\": 2}", true),
    ("object.subset({\"a\": 1, \"b\": 2}, {\"a\": 1})", true),
    ("intersection({{1, 2}, {2, 3}}) == {2}", true),
    ("union({{1}, {2}}) == {1, 2}", true),
    ("json.unmarshal(\"[1]\") == [1]", true),
    ("json.marshal({\"a\": 1}) == \"{\\\"a\\\":1}\"", true),
    ("json.is_valid(\"{\")", false),
    ("base64.encode(\"a\") == \"YQ==\"", true),
    ("base64.decode(\"YQ==\") == \"a\"", true),
    ("base64url.encode_no_pad(\"a?\") == \"YT8\"", true),
    ("hex.encode(\"a\") == \"61\"", true),
    ("urlquery.encode(\"a b\") == \"a+b\"", true),
    ("urlquery.decode(\"a%20b\") == \"a b\"", true),
    ("net.cidr_contains(\"10.0.0.0/8\", \"10.1.2.3\")", true),
    ("net.cidr_contains(\"10.0.0.0/8\", \"11.1.2.3\")", false),
    ("semver.compare(\"1.2.3\", \"1.10.0\") == -1", true),
    ("semver.is_valid(\"1.2\")", false),
    ("time.now_ns() == 1795562400000000000", true),
    ("time.clock(time.now_ns())[0] >= 0", true),
    ("time.parse_rfc3339_ns(\"1970-01-01T00:00:01Z\") == 1000000000", true),
    ("time.parse_duration_ns(\"1s\") == 1000000000", true),
    ("time.date(0) == [1970, 1, 1]", true),
    ("time.weekday(0) == \"Thursday\"", true),
    ("units.parse_bytes(\"1KiB\") == 1024", true),
    ("bits.and(6, 3) == 2", true),
    ("bits.lsh(1, 4) == 16", true),
    ("is_string(\"a\")", true),
    ("is_number(\"a\")", false),
    ("is_array([])", true),
    ("is_object({})", true),
    ("is_set({1})", true),
    ("is_boolean(false)", true),
    ("type_name([]) == \"array\"", true),
    ("count([x | some x in input.request.body.list; x > 1]) == 2", true),
    ("{x | some x in [1, 1, 2]} == {1, 2}", true),
    ("{k: v | some k, v in {\"a\": 1}} == {\"a\": 1}", true),
    ("every x in input.request.body.list { x < 4 }", true),
    ("every x in input.request.body.list { x < 3 }", false),
    ("every x in [] { false }", true),
    ("every i, x in [0, 1] { i == x }", true),
    ("{ some x in input.request.body.list; x == 2 }", true),
    ("{ some i; input.request.path[i] == \"deploy\"; i == 4 }", true),
    ("{ x := input.request.body.n; x == 7 }", true),
    ("{ [a, b] := [1, 2]; a < b }", true),
    ("{ x = 7; input.request.body.n = x }", true),
    ("`a\\b` == \"a\\\\b\"", true),
];

#[test]
fn expressions_say_what_the_reference_of_rego_says() {
    assert!(EXPRESSIONS.len() >= 150, "{}", EXPRESSIONS.len());
    let mut wrong = String::new();
    for (expression, expected) in EXPRESSIONS {
        let said = match Policy::compile(&format!("allow if {expression}")).unwrap() {
            Ok(policy) => ask(&policy, "POST", &format!("/environment/{ENVIRONMENT}/service/deploy"), BODY.as_bytes()),
            Err(problem) => Judgement::Failed(problem.to_string()),
        };
        if said.is_allowed() != *expected || matches!(said, Judgement::Failed(_)) {
            writeln!(wrong, "{expression}: {said:?}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// The recipes of the published contract (§4.4): policy, and requests with what becomes of them.
#[test]
fn the_recipes_that_users_are_given_do_what_they_say() {
    let read_only = format!(
        "allow if {{\n\tinput.request.method in {{\"GET\", \"HEAD\"}}\n\tinput.qovery_metadata.environment_id == \"{ENVIRONMENT}\"\n}}"
    );
    let deploy = format!(
        "allow if {{\n\tinput.request.method == \"POST\"\n\tinput.request.path == [\"api\", \"environment\", \"{ENVIRONMENT}\", \
         \"service\", \"deploy\"]\n}}\n\nallow if {{\n\tinput.request.method == \"POST\"\n\tinput.request.path == [\"api\", \
         \"application\", \"{SERVICE}\", \"deploy\"]\n}}"
    );
    let variables = format!(
        "allow if {{\n\tinput.request.method == \"POST\"\n\tinput.request.path == [\"api\", \"application\", \"{SERVICE}\", \
         \"environmentVariable\"]\n\tstartswith(input.request.body.key, \"FEATURE_\")\n}}"
    );
    let clone = "allow if {\n\tinput.request.method == \"POST\"\n\tcount(input.request.path) == 4\n\t\
                 input.request.path[1] == \"environment\"\n\tinput.request.path[3] in {\"clone\", \"deploy\"}\n\t\
                 input.resource.project_id == \"00000000-0000-7000-8000-000000000002\"\n}";
    let never_delete = "allow if {\n\tinput.request.method != \"DELETE\"\n\tinput.resource.service_id == null\n}";
    let of = |path: &str| format!("/environment/{ENVIRONMENT}/{path}");
    for (policy, method, path, body, expected) in [
        (&*read_only, "GET", of("status"), "", true),
        (&read_only, "HEAD", of("status"), "", true),
        (&read_only, "POST", of("status"), "", false),
        (&deploy, "POST", of("service/deploy"), "", true),
        (&deploy, "POST", of("service/stop"), "", false),
        (&deploy, "POST", of("service/deploy/"), "", false),
        (&deploy, "POST", format!("/application/{SERVICE}/deploy"), "{}", true),
        (&deploy, "GET", of("service/deploy"), "", false),
        (&variables, "POST", format!("/application/{SERVICE}/environmentVariable"), r#"{"key":"FEATURE_X"}"#, true),
        (&variables, "POST", format!("/application/{SERVICE}/environmentVariable"), r#"{"key":"SECRET"}"#, false),
        (&variables, "POST", format!("/application/{SERVICE}/environmentVariable"), r#"{"key":7}"#, false),
        (clone, "POST", of("clone"), "{}", true),
        (clone, "POST", of("stop"), "{}", false),
        (clone, "POST", of("service/deploy"), "{}", false),
        (never_delete, "PUT", of(""), "{}", true),
        (never_delete, "DELETE", of(""), "", false),
    ] {
        let compiled = Policy::compile(policy).unwrap().unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!(
            ask(&compiled, method, &path, body.as_bytes()).is_allowed(),
            expected,
            "{method} {path} {body}\n{policy}"
        );
    }
}

/// Texts that are to cost, to crash, or to get through.
fn hostile() -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for open in ["[", "{", "(", "set(", "{\"a\":", "[x|", "{x|", "f(", "not (", "[[", "{{", "([", "count(["] {
        for depth in [9, 12, 20, 64, 400, 5_000] {
            all.push(format!("allow if {}", open.repeat(depth)));
        }
    }
    for link in ["1+", "-", "- ", "x.", "1 in ", "x|", "x&", "1==", "a\n+\n", "1*", "x[0]", "not "] {
        for length in [150, 3_000, 20_000] {
            all.push(format!("allow if {}x", link.repeat(length)));
        }
    }
    let doubling = |first: &str, step: fn(usize) -> String| {
        let steps: String = (1..=23).map(step).collect();
        format!("{first}\n{steps}allow if not s23 == \"\"")
    };
    let text = format!("s0 := \"{}\"", "x".repeat(1_000));
    let steps: [fn(usize) -> String; 12] = [
        |n| format!("s{n} := concat(\"\", [s{}, s{}])\n", n - 1, n - 1),
        |n| format!("s{n} := replace(s{}, \"x\", \"xx\")\n", n - 1),
        |n| format!("s{n} := sprintf(\"%s%s\", [s{}, s{}])\n", n - 1, n - 1),
        |n| format!("s{n} := base64.encode(concat(\"\", [s{}, s{}]))\n", n - 1, n - 1),
        |n| format!("s{n} := json.marshal([s{}, s{}])\n", n - 1, n - 1),
        |n| format!("s{n} := regex.replace(s{}, \"x\", \"xx\")\n", n - 1),
        |n| format!("s{n} := hex.encode(concat(\"\", [s{}, s{}]))\n", n - 1, n - 1),
        |n| format!("s{n} := urlquery.encode(concat(\"%\", [s{}, s{}]))\n", n - 1, n - 1),
        |n| format!("s{n} := [s{}, s{}]\n", n - 1, n - 1),
        |n| format!("s{n} := array.concat(split(s0, \"\"), [s{}])\n", n - 1),
        |n| format!("s{n} := upper(concat(\"\", [s{}, s{}]))\n", n - 1, n - 1),
        |n| format!("s{n} := strings.reverse(concat(s{}, [s{}, s{}]))\n", n - 1, n - 1, n - 1),
    ];
    all.extend(steps.map(|step| doubling(&text, step)));
    let numbers: [fn(usize) -> String; 4] = [
        |n| format!("s{n} := s{} * s{}\n", n - 1, n - 1),
        |n| format!("s{n} := s{} + s{}\n", n - 1, n - 1),
        |n| format!("s{n} := bits.lsh(s{}, 64)\n", n - 1),
        |n| format!("s{n} := s{} * 1e30\n", n - 1),
    ];
    // So large that doubling it in the steps that rules may have goes beyond 128 bits.
    all.extend(numbers.map(|step| {
        doubling("s0 := 99999999999999999999999999999999999999", step).replace("not s23 == \"\"", "not s23 == 1")
    }));
    for call in [
        "numbers.range(1, 1000000000)",
        "numbers.range_step(1, 1000000000, 1)",
        "strings.render_template(\"{{.a}}\", {\"a\": 1})",
        "strings.replace_n({\"a\": \"aa\"}, \"a\")",
        "graph.reachable({}, {})",
        "graph.reachable_paths({}, {})",
        "http.send({\"method\": \"GET\", \"url\": \"http://127.0.0.1\"})",
        "opa.runtime()",
        "rand.intn(\"a\", 10)",
        "uuid.rfc4122(\"a\")",
        "trace(\"a\")",
        "print(\"a\")",
        "walk(input)",
        "walk(input, x)",
        "net.cidr_expand(\"0.0.0.0/0\")",
        "regex.globs_match(\"a.*\", \"a.*b\")",
        "regex.template_match(\"a\", \"a\", \"{\", \"}\")",
        "json.marshal_with_options({}, {})",
        "product([1, 2])",
        "crypto.sha256(\"a\")",
        "io.jwt.decode(\"a\")",
        "yaml.unmarshal(\"a\")",
        "rego.metadata.rule()",
        "test.sleep(\"10s\")",
        "net.lookup_ip_addr(\"localhost\")",
        "__builtin_host_await(1, 2)",
        "__builtin_sets.union({1}, {2})",
        "count()",
        "count(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)",
        "startswith(\"a\")",
        "data.policy.allow",
        "data[\"policy\"].allow",
        "data",
        "input with input as {\"a\": 1}",
        "count([1]) == 2 with count as mock",
        "true with data.x as 1",
    ] {
        all.push(format!("allow if {call}"));
        all.push(format!("allow if not {call}"));
        all.push(format!("x := {call}\nallow if not x"));
    }
    for runtime in [
        "to_number(\"1e999999999\")",
        "to_number(\"x\")",
        "sprintf(\"%0999999999d\", [1])",
        "sprintf(\"%.999999999d\", [1])",
        "bits.lsh(1, 4000000000)",
        "json.unmarshal(\"{\")",
        "json.unmarshal(\"1e999999\")",
        "units.parse(\"1e99999999Ki\")",
        "base64.decode(\"***\")",
        "hex.decode(\"zz\")",
        "time.parse_ns(\"x\", \"y\")",
        "time.parse_rfc3339_ns(\"x\")",
        "regex.match(\"(\", \"x\")",
        "regex.match(\"(((a{100}){100}){100}){100}\", \"x\")",
        "regex.replace(\"a\", \"(\", \"\")",
        "semver.compare(\"x\", \"y\")",
        "net.cidr_contains(\"x\", \"y\")",
        "substring(\"abc\", -1, 1)",
        // Of what is always there: what is not is no failure, and `not` of it is a yes as everywhere in Rego.
        "7 / (count(input.request.path) - count(input.request.path))",
        "7 % (count(input.request.path) - count(input.request.path))",
        "input.token.name - 1",
        "input.token.name * 2",
        "{\"a\"} + 1",
        "format_int(1.5, 7)",
        "concat(\"\", 7)",
        "split(7, \"\")",
        "replace(7, \"\", \"\")",
        "object.get(7, \"a\", 1)",
        "count(7)",
        "sum([\"a\"])",
        "max(7)",
        "startswith(7, \"a\")",
        "trim(7, \"a\")",
        "abs(\"x\")",
        // Where the engine breaks off.
        "strings.count(\"a\", \"\")",
        "object.subset([1], [])",
        "object.subset({\"a\": [1]}, {\"a\": []})",
        "sprintf(\"%٣d\", [1])",
        "time.clock([0, \"Local\"])",
    ] {
        all.push(format!("allow if not {runtime} == 1"));
        all.push(format!("bad if {runtime}\nallow if not bad"));
    }
    all.extend(
        [
            "default allow := true",
            "default allow := true\nallow := false if input.x",
            "default allow = true",
            "allow contains true",
            "allow[x] if some x in [true]",
            "allow(x) := true",
            "allow.x := true",
            "allow := {true}",
            "allow := [true]",
            "allow := {\"allow\": true}",
            "allow := \"true\"",
            "allow := 1",
            "allow := null",
            "allow := input",
            "allow := true if input.x\nallow := false if input.y",
            "allow := true\nallow := false",
            "x := true\nx := false\nallow if not x",
            "f(x) := 1 if x\nf(x) := 2 if x\nallow if not f(1)",
            "p[\"a\"] := 1\np[\"a\"] := 2\nallow if not p.a",
            "a if not b\nb if not a\nallow if a",
            "allow if allow",
            "allow if not allow",
            "f(x) := f(x)\nallow if f(1)",
            "f(x) := g(x)\ng(x) := f(x)\nallow if not f(1)",
            "input := {}\nallow := true",
            "data := {}\nallow := true",
            "f(input) := true\nallow if f(1)",
            "allow if { some input in [1]; true }",
            "allow if { some data in [1]; true }",
            "allow if { every input in [1] { true } }",
            "startswith(a, b) := true\nallow if startswith(1, 2)",
            "count := 1\nallow if count == 1",
            "package a\nallow := true",
            "allow := true\npackage a",
            "import data.a\nallow := true",
            "import input as data\nallow := true",
            "import future.keywords.x\nallow if x",
            "__target__ := \"x\"\nallow := true",
            "allow { true }",
            "allow = true { true }",
            "allow := true\0",
            "allow := false \u{202e} eurt =: wolla",
            "allow if true # \r allow := false",
            "\u{feff}allow := true",
            "# only a remark",
            "",
            "   ",
            "alow := true",
            "Allow := true",
            "allow := tru",
            "allow if x",
            "allow if { x := y }",
            "allow if \"unclosed",
            "allow if `unclosed",
            "allow if 'x'",
            "allow if {",
            "allow if }",
            "allow if ()",
            "allow if {}",
            "allow if {\n\t# all of it is a remark\n}",
            "allow if not input.request.path[_] == \"admin\"",
            "allow if { some i; not input.request.path[i] == \"admin\" }",
            "allow if not startswith(input.request.path[_], \"admin\")",
            "allow if [",
            "else := true",
            "allow if true else",
            "not allow",
            "allow if 1e99999",
            "allow if 99999999999999999999999999999999999999999999999999999999",
        ]
        .map(str::to_owned),
    );
    // Values that are small in memory, and larger than the world when they are compared.
    for (build, end) in [
        ("x{n} := [x{p}, x{p}]; y{n} := [y{p}, y{p}]", "not x60 == y60"),
        ("x{n} := {\"a\": x{p}, \"b\": x{p}}; y{n} := {\"a\": y{p}, \"b\": y{p}}", "not x60 == y60"),
        ("x{n} := [x{p} | some _ in [1, 2]]; y{n} := [y{p} | some _ in [1, 2]]", "not x60 < y60"),
        ("x{n} := f(x{p}); y{n} := f(y{p})", "not x60 == y60"),
        ("x{n} := {[x{p}, x{p}]}; y{n} := {[y{p}, y{p}]}", "not x60 == y60"),
        ("x{n} = [x{p}, x{p}]; y{n} = [y{p}, y{p}]", "count({x60, y60}) == 0"),
        ("x{n} := [[x{p}, x{p}]][0]; y{n} := [[y{p}, y{p}]][0]", "not x60 == y60"),
        ("some x{n} in [[x{p}, x{p}]]; some y{n} in [[y{p}, y{p}]]", "not x60 == y60"),
    ] {
        let steps: String = (1..=60)
            .map(|n| build.replace("{n}", &n.to_string()).replace("{p}", &(n - 1).to_string()) + "\n")
            .collect();
        let function = "f(v) := [v, v]\n";
        all.push(format!("{function}allow if {{ x0 := input.token.id; y0 := input.token.name\n{steps}{end} }}"));
    }
    // One call that would take longer than all steps together.
    for call in [
        format!("regex.match(\"(?i)[{}]\", \"x\")", "\\\\x{1}-\\\\x{10FFFF}".repeat(200)),
        format!("regex.match(\"(?i){}\", \"x\")", "\\\\pL".repeat(2_000)),
        format!("regex.match(\"[{}]\", \"x\")", "\\\\pL".repeat(2_000)),
        "regex.match(\"[01]*1[01]{500}\", base64.encode(json.marshal(input.request.body)))".to_owned(),
        "regex.match(\"[01]*1[01]{ 500}\", base64.encode(json.marshal(input.request.body)))".to_owned(),
        format!("regex.match(\"(?x)( ?i){}\", \"x\")", "[\\\\x{1}-\\\\x{10FFFF}]".repeat(200)),
        "regex.replace(json.marshal(input.request.body), \"0.*z|0\", \"\")".to_owned(),
        format!("glob.match(\"{}\", [\"/\"], json.marshal(input.request.body))", "*0".repeat(500)),
        format!("glob.match(\"{}{}\", [\"/\"], \"a\")", "{a,".repeat(5_000), "}".repeat(5_000)),
        format!("trim(json.marshal(input.request.body), \"{}[],0\")", "b".repeat(20_000)),
        "indexof(concat(\"\", [json.marshal(input.request.body), \"x\"]), json.marshal(input.request.body))".to_owned(),
        "count(object.union_n([{x: 1} | some x, _ in input.request.body]))".to_owned(),
        "count(union({{x} | some x, _ in input.request.body}))".to_owned(),
    ] {
        all.push(format!("allow if {call} == \"no\""));
    }
    // What the body holds, compared with itself again and again between two looks at the clock.
    all.push(format!("b := input.request.body\nallow if {{ {} false }}", "b == [b]; b in [b, b]; ".repeat(30)));
    all.push(format!(
        "b := input.request.body\nallow if count({{{}}}) == \"no\"",
        "[b, input.token.id], ".repeat(16) + "1"
    ));
    all.push("b := input.request.body\nallow if count({[b, x] | some x, _ in b}) == \"no\"".to_owned());
    all.push("b := input.request.body\nallow if count({[x, b] | some x, _ in b}) == \"no\"".to_owned());
    all.push(format!("allow if count({{{}}}) == 0", "input.request.body.a, ".repeat(40) + "1"));
    all.push("x".repeat(65_537));
    all.push(format!("allow if input.x == \"{}\"", "x".repeat(65_000)));
    all.push((0..2_500).map(|n| format!("r{n} := {n}\n")).collect::<String>() + "allow if r1 == 2");
    all.push((0..900).map(|n| format!("r{n} if r{}\n", n + 1)).collect::<String>() + "r900 := true\nallow if r0");
    all.push(format!("allow if {{ {} false }}", "input.a; ".repeat(2_000)));
    all.push(format!("allow if [{}] == 1", "input.a,".repeat(2_000)));
    let many: String = ('a'..='p').map(|it| format!("some {it} in input.request.path; ")).collect();
    all.push(format!("allow if count([1 | {many} p == \"x\"]) == 0"));
    all.push(format!("allow if not {{ x | {many} x := a }} == 1"));
    let inner: String = ('a'..='p').map(|it| format!("input.request.path[{it}]; ")).collect();
    all.push(format!("allow if {{ {inner} false }}"));
    all
}

/// The most memory that this process has had, in KiB.
fn most_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

#[test]
fn hostile_policies_cost_little_and_allow_nothing() {
    // All of them together, the bodies and what the allocator keeps included: so each of them, too.
    const MOST_KIB: u64 = 64 * 1024;
    let all = hostile();
    assert!(all.len() >= 200, "{}", all.len());
    // Optimised, each takes a tenth of this at most.
    let most = if cfg!(debug_assertions) { Duration::from_millis(500) } else { Duration::from_millis(50) };
    let large = format!("[{}0]", "0,".repeat(400_000));
    let mut allowed = Vec::new();
    let before = most_memory();
    if cfg!(target_os = "linux") {
        assert!(before.is_some(), "the kernel does not say how much memory there is");
    }
    for source in all {
        let begun = Instant::now();
        let compiled = Policy::compile(&source).unwrap();
        let mut took = begun.elapsed();
        for _ in 0..4 {
            if took >= most {
                let begun = Instant::now();
                drop(Policy::compile(&source).unwrap());
                took = took.min(begun.elapsed());
            }
        }
        assert!(took < most, "{took:?} to compile {:.200}", source);
        let more = |asked: &str| {
            let more = before.zip(most_memory()).map_or(0, |(before, now)| now.saturating_sub(before));
            assert!(more < MOST_KIB, "{more} KiB {asked} {source:.200}");
        };
        more("to compile");
        let Ok(policy) = compiled else { continue };
        for body in [BODY, "", &large] {
            let path = format!("/environment/{ENVIRONMENT}/a/b/c/d/e/f");
            let asked = || {
                let begun = Instant::now();
                (ask(&policy, "POST", &path, body.as_bytes()), begun.elapsed())
            };
            let (said, mut took) = asked();
            // A busy machine may stop any of them in the middle: the shortest of some counts.
            for _ in 0..4 {
                if took >= most {
                    took = took.min(asked().1);
                }
            }
            if said.is_allowed() {
                allowed.push(format!("{source:.400}"));
            }
            assert!(took < most, "{took:?} to ask {:.200}", source);
            more("to ask");
        }
    }
    assert!(allowed.is_empty(), "{allowed:#?}");
}
