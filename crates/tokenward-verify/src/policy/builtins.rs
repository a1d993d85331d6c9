//! The functions that a policy may call, and what each call costs.
//!
//! The engine bounds instructions and time, and looks at its clock between instructions only: one call of `replace` could make
//! a text of a terabyte before it looks again, and numbers grow as large as they are multiplied. So each function that is
//! allowed stands here with an estimate of its work, which is asked for *before* it is called and taken from a budget; a
//! program gets these guarded functions in the place of the engine's own. What is not in the table cannot be called.
//!
//! A call that fails, and a budget that is spent, are remembered apart from what the engine makes of them: inside of a `not`
//! it takes a failure for "undefined", and so for a yes.

use std::cell::{Cell, RefCell};
use std::sync::LazyLock;

use regorus::unstable::{ArithOp, BUILTINS, BoolOp, BuiltinFcn, Expr, Ref, Span, comparison, numbers, types};
use regorus::{LimitError, Value};

use super::dialect;
use super::patterns::{self, PatternCost, WORK};

/// The longest text that a function may make.
const TEXT: usize = 1024 * 1024;
/// What a value in a collection counts for, beside its text: about what it takes in memory.
const VALUE: usize = 32;
/// The longest text that is read as a number.
const DIGITS: usize = 40;

/// What became of the functions of one evaluation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// So much work is not done for a policy.
    TooMuch(&'static str),
    /// The function could not do what it was asked for.
    Failed(&'static str, String),
}

thread_local! {
    static LEFT: Cell<usize> = const { Cell::new(0) };
    static NOW: Cell<i64> = const { Cell::new(0) };
    static FAILURE: RefCell<Option<Failure>> = const { RefCell::new(None) };
}

/// Runs an evaluation with a budget of its own, at this time in nanoseconds. Answers what failed in it first.
pub(super) fn metered<R>(now_ns: i64, run: impl FnOnce() -> R) -> (R, Option<Failure>) {
    LEFT.set(WORK);
    NOW.set(now_ns);
    FAILURE.take();
    let result = run();
    (result, FAILURE.take())
}

fn fail(failure: Failure) {
    FAILURE.with_borrow_mut(|first| {
        first.get_or_insert(failure);
    });
}

/// The work of a call, from its arguments; `None` where it is too much whatever is left.
type Cost = fn(&[Value]) -> Option<usize>;

/// A function that may be called.
struct Allowed {
    name: &'static str,
    /// The engine's function behind its cost.
    guarded: Function,
}

type Function = fn(&Span, &[Ref<Expr>], &[Value], bool) -> anyhow::Result<Value>;

/// Each row becomes a function of its own: the engine takes pointers to functions, which carry nothing with them.
macro_rules! allowed {
    ($($name:literal $cost:expr;)*) => {
        static ALLOWED: &[Allowed] = &[$(Allowed {
            name: $name,
            guarded: |span, exprs, args, _| {
                static ORIGINAL: LazyLock<Option<BuiltinFcn>> = LazyLock::new(|| BUILTINS.get($name).copied());
                call($name, $cost, *ORIGINAL, span, exprs, args)
            },
        }),*];
    };
}

/// The names of the functions that may be called; those of the engine's own among them begin with `_`.
pub(super) fn names() -> impl Iterator<Item = &'static str> + Clone {
    ALLOWED.iter().map(|it| it.name)
}

/// May it be called?
pub(super) fn is_allowed(name: &str) -> bool {
    ALLOWED.iter().any(|it| it.name == name)
}

/// How many arguments a function takes.
pub(super) fn arity(name: &str) -> Option<usize> {
    is_allowed(name).then(|| BUILTINS.get(name)).flatten().map(|(_, arity)| usize::from(*arity))
}

/// The guard of a function.
pub(super) fn guard(name: &str) -> Option<BuiltinFcn> {
    match name {
        MEMBER => return Some((is_member as Function, 2)),
        SAME => return Some((is_same as Function, 2)),
        _ => {}
    }
    let (_, arity) = BUILTINS.get(name)?;
    ALLOWED.iter().find(|it| it.name == name).map(|it| (it.guarded, *arity))
}

fn call(
    name: &'static str,
    cost: Cost,
    original: Option<BuiltinFcn>,
    span: &Span,
    exprs: &[Ref<Expr>],
    args: &[Value],
) -> anyhow::Result<Value> {
    let asked = cost(args);
    charge(name, asked)?;
    if name == "time.now_ns" {
        return Ok(Value::from(NOW.get()));
    }
    let Some((original, _)) = original else { anyhow::bail!("{name} is not here") };
    // Strict: a failure is told, and not turned into "undefined". Where it is all the same, it is one; nothing has no smallest.
    let failed = |said: String| fail(Failure::Failed(name, said));
    let own = match dialect::arguments(name, args) {
        Ok(own) => own,
        Err(why) => {
            failed(why.to_owned());
            return Ok(Value::Undefined);
        }
    };
    if let Some(longer) = &own {
        charge(name, cost(longer).map(|all| all.saturating_sub(asked.unwrap_or_default())))?;
    }
    match original(span, exprs, own.as_deref().unwrap_or(args), true) {
        Ok(Value::Undefined) if !matches!(name, "max" | "min") => {
            failed("it does not take these arguments".to_owned());
            Ok(Value::Undefined)
        }
        Ok(value) => Ok(value),
        Err(error) => {
            let said = error.to_string();
            failed(said.rsplit("error: ").next().unwrap_or_default().chars().take(200).collect());
            Err(error)
        }
    }
}

/// Takes the work of a call from what is left.
fn charge(name: &'static str, cost: Option<usize>) -> anyhow::Result<()> {
    let left = cost.and_then(|cost| LEFT.get().checked_sub(cost.saturating_add(VALUE)));
    let Some(left) = left else {
        fail(Failure::TooMuch(name));
        // The engine ends everything for a limit, and for nothing else.
        let (usage, limit) = (WORK as u64, WORK as u64);
        return Err(LimitError::MemoryLimitExceeded { usage, limit }.into());
    };
    LEFT.set(left);
    Ok(())
}

/// `x in collection`, where more than a yes is made of it: of undefined it is undefined.
pub(super) const MEMBER: &str = "in";
/// That a rule, or a name in an object, is given one value and not another one.
pub(super) const SAME: &str = ":=";

fn is_member(_: &Span, _: &[Ref<Expr>], args: &[Value], _: bool) -> anyhow::Result<Value> {
    let [value, collection] = args else { anyhow::bail!("{MEMBER} takes two operands") };
    charge(MEMBER, Some(deep(collection)))?;
    Ok(Value::from(match collection {
        Value::Array(all) => all.contains(value),
        Value::Set(all) => all.contains(value),
        Value::Object(all) => all.values().any(|it| it == value),
        _ => false,
    }))
}

fn is_same(_: &Span, _: &[Ref<Expr>], args: &[Value], _: bool) -> anyhow::Result<Value> {
    let [before, now] = args else { anyhow::bail!("{SAME} takes two operands") };
    charge(SAME, Some(lesser(before, now)))?;
    if before != now {
        let why = "a rule, or a name in an object, is given two values where it can have one";
        fail(Failure::Failed(SAME, why.to_owned()));
    }
    Ok(now.clone())
}

/// The names under which a program has the guards of its operations.
pub(super) const OPERATIONS: [&str; 11] = ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">="];

/// The guard of an operation, by its place in [`OPERATIONS`].
pub(super) fn operation(at: usize) -> Option<BuiltinFcn> {
    const GUARDS: [Function; 11] = [
        calculate::<0>,
        calculate::<1>,
        calculate::<2>,
        calculate::<3>,
        calculate::<4>,
        compared::<5>,
        compared::<6>,
        compared::<7>,
        compared::<8>,
        compared::<9>,
        compared::<10>,
    ];
    GUARDS.get(at).map(|guard| (*guard, 2))
}

/// Rego compares values of all kinds, in the order of their kinds; the engine's own instruction fails, and so says "undefined".
fn compared<const N: usize>(_: &Span, _: &[Ref<Expr>], args: &[Value], _: bool) -> anyhow::Result<Value> {
    let name = OPERATIONS[N];
    let [left, right] = args else { anyhow::bail!("{name} compares two values") };
    let is_collection = |value: &Value| matches!(value, Value::Array(_) | Value::Set(_) | Value::Object(_));
    if is_collection(left) && is_collection(right) {
        charge(name, Some(lesser(left, right)))?;
    }
    let operation = match N {
        5 => BoolOp::Eq,
        6 => BoolOp::Ne,
        7 => BoolOp::Lt,
        8 => BoolOp::Le,
        9 => BoolOp::Gt,
        _ => BoolOp::Ge,
    };
    comparison::compare(&operation, left, right)
}

fn calculate<const N: usize>(span: &Span, exprs: &[Ref<Expr>], args: &[Value], _: bool) -> anyhow::Result<Value> {
    let name = OPERATIONS[N];
    let [left, right] = args else { anyhow::bail!("{name} takes two operands") };
    if let (1, Value::Set(a), Value::Set(b)) = (N, left, right) {
        charge(name, Some(deep(left).saturating_add(deep(right))))?;
        return Ok(a.difference(b).into_value());
    }
    // 128 bits: their product still is a number that takes no time.
    let small = |value: &Value| match value {
        Value::Number(it) => !it.is_integer() || it.as_i128().is_some() || it.as_u128().is_some(),
        _ => true,
    };
    charge(name, (small(left) && small(right)).then_some(VALUE))?;
    let operation = match N {
        0 => ArithOp::Add,
        1 => ArithOp::Sub,
        2 => ArithOp::Mul,
        3 => ArithOp::Div,
        _ => ArithOp::Mod,
    };
    let (Some(a), Some(b)) = (exprs.first(), exprs.get(1)) else { anyhow::bail!("{name} takes two operands") };
    numbers::arithmetic_operation(span, &operation, a, b, left.clone(), right.clone(), true).inspect_err(|_| {
        fail(Failure::Failed(name, format!("with {} and {}", types::get_type(left), types::get_type(right))))
    })
}

/// The bytes of a text; of anything else, one value.
fn text(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        _ => VALUE,
    }
}

/// Values in a collection.
fn items(value: &Value) -> usize {
    match value {
        Value::Array(all) => all.len(),
        Value::Set(all) => all.len(),
        Value::Object(all) => all.len(),
        _ => 1,
    }
}

/// All that is in a value, counted until it is more than may be done at all.
fn deep(value: &Value) -> usize {
    deep_to(value, WORK)
}

/// The same, counted until it is more than this.
fn deep_to(value: &Value, most: usize) -> usize {
    fn add(value: &Value, sum: &mut usize, most: usize) {
        *sum += VALUE;
        let mut each = |it: &Value| {
            if *sum <= most {
                add(it, sum, most);
            }
            *sum <= most
        };
        match value {
            Value::String(text) => *sum += text.len(),
            Value::Array(all) => _ = all.iter().all(each),
            Value::Set(all) => _ = all.iter().all(each),
            Value::Object(all) => _ = all.iter().all(|(key, it)| each(key) && each(it)),
            _ => {}
        }
    }
    let mut sum = 0;
    add(value, &mut sum, most);
    sum
}

/// What is in the smaller one of two: so much is looked at where they are compared. The larger one is not counted to its end.
fn lesser(left: &Value, right: &Value) -> usize {
    let mut most = 64 * VALUE;
    loop {
        let least = deep_to(left, most).min(deep_to(right, most));
        if least <= most || most > WORK {
            return least;
        }
        most *= 16;
    }
}

fn all_deep(args: &[Value]) -> Option<usize> {
    Some(args.iter().map(deep).sum())
}

fn all_texts(args: &[Value]) -> Option<usize> {
    Some(args.iter().map(text).sum())
}

fn all_items(args: &[Value]) -> Option<usize> {
    Some(args.iter().map(items).sum::<usize>() * VALUE)
}

fn one(_: &[Value]) -> Option<usize> {
    Some(VALUE)
}

/// Of a function that makes a text of so many bytes.
fn made(bytes: usize) -> Option<usize> {
    (bytes <= TEXT).then_some(bytes)
}

/// Of a function that looks through a text and makes a value of each piece.
fn pieces(args: &[Value]) -> Option<usize> {
    Some(args.iter().map(text).sum::<usize>() * VALUE)
}

/// Of one that compares each of some with each of others.
fn pairs(args: &[Value]) -> Option<usize> {
    let [a, b] = args else { return Some(VALUE) };
    deep(a).checked_mul(items(b).max(1))?.checked_add(deep(b).checked_mul(items(a).max(1))?)
}

fn joined(args: &[Value]) -> Option<usize> {
    let [between, all] = args else { return Some(VALUE) };
    made(text(between).checked_mul(items(all))?.checked_add(deep(all))?)
}

fn replaced(args: &[Value]) -> Option<usize> {
    let [text, old, new] = args else { return Some(VALUE) };
    let [text, old, new] = [text, old, new].map(self::text);
    let most = text.checked_div(old).unwrap_or(text) + 1;
    made(most.checked_mul(new)?.checked_add(text)?)
}

fn matched_and_replaced(args: &[Value]) -> Option<usize> {
    let [subject, pattern, new] = args else { return Some(VALUE) };
    let written = made((text(subject) + 1).checked_mul(text(new) + 1)?)?;
    written.checked_add(pattern_cost(pattern).each(text(subject)))
}

/// Of what is no text, that of none.
fn pattern_cost(pattern: &Value) -> PatternCost {
    PatternCost::of(pattern.as_string().map_or("", |pattern| pattern))
}

fn matched(args: &[Value]) -> Option<usize> {
    let [pattern, rest @ ..] = args else { return Some(VALUE) };
    Some(pattern_cost(pattern).once(rest.iter().map(text).sum()))
}

fn matched_pieces(args: &[Value]) -> Option<usize> {
    let [pattern, subject, ..] = args else { return Some(VALUE) };
    pattern_cost(pattern).each(text(subject)).checked_add(pieces(std::slice::from_ref(subject))?)
}

fn glob_matched(args: &[Value]) -> Option<usize> {
    let [pattern, parted, subject] = args else { return Some(VALUE) };
    // Its machine has no more states than some for each letter.
    let states = text(pattern).checked_mul(text(subject))?.checked_mul(2)?;
    states.checked_add(patterns::BYTE * text(pattern))?.checked_add(deep(parted))
}

/// Of one that looks at each letter of a text whether it is among others.
fn trimmed(args: &[Value]) -> Option<usize> {
    let [subject, letters] = args else { return Some(VALUE) };
    text(subject).checked_mul(text(letters) / 8 + 1)?.checked_add(text(letters))
}

/// Of one that looks for a text at each letter of another one.
fn looked_for(args: &[Value]) -> Option<usize> {
    let [subject, sought] = args else { return Some(VALUE) };
    text(subject).checked_mul(text(sought) / 16 + 1)
}

/// Of one that takes one of them after the other into what it makes, and copies that each time.
fn gathered(args: &[Value]) -> Option<usize> {
    let [all] = args else { return Some(VALUE) };
    deep(all).checked_mul(items(all).max(1))
}

/// A width of four digits and more is no format: it makes a text as long as it says.
fn formatted(args: &[Value]) -> Option<usize> {
    let [Value::String(format), values] = args else { return Some(VALUE) };
    let mut digits = 0;
    for byte in format.bytes() {
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        if digits > 3 && format.contains('%') && !plain_digits(format) {
            return None;
        }
    }
    // What is escaped takes up to six bytes, and each format at most a thousand.
    let formats = format.bytes().filter(|byte| *byte == b'%').count();
    made(format.len().checked_add(deep(values).checked_mul(2)?)?.checked_add(formats.checked_mul(1_000)?)?)
}

/// Do all digits in a row stand outside of formats, such as in `id-12345`?
fn plain_digits(format: &str) -> bool {
    format
        .split('%')
        .skip(1)
        .all(|part| part.trim_start_matches('.').bytes().take_while(u8::is_ascii_digit).count() <= 3)
}

/// A text that is read as a number is made exactly: `1e999999999` is a number of a gigabyte.
fn number_text(args: &[Value]) -> Option<usize> {
    let all_short = args.iter().all(|value| match value {
        Value::String(text) => text.len() <= DIGITS && exponents_are_short(text),
        _ => true,
    });
    all_short.then_some(VALUE)
}

fn exponents_are_short(text: &str) -> bool {
    text.split(['e', 'E'])
        .skip(1)
        .all(|rest| rest.trim_start_matches(['+', '-']).bytes().take_while(u8::is_ascii_digit).count() <= 3)
}

fn json_text(args: &[Value]) -> Option<usize> {
    let [Value::String(text), ..] = args else { return Some(VALUE) };
    if !exponents_are_short(text) {
        return None;
    }
    // A value of its own for each two bytes: `[0,0,…`.
    Some(text.len() * VALUE / 2)
}

fn marshalled(args: &[Value]) -> Option<usize> {
    made(args.iter().map(deep).sum::<usize>())
}

fn sorted(args: &[Value]) -> Option<usize> {
    Some(args.iter().map(deep).sum::<usize>() * 8)
}

/// The engine shifts numbers out of their bits without a word.
fn shifted(args: &[Value]) -> Option<usize> {
    let [Value::Number(number), Value::Number(by)] = args else { return Some(VALUE) };
    let by = by.as_u64().filter(|by| *by <= 64)?;
    let room = number.as_i128()?.unsigned_abs().leading_zeros();
    (u64::from(room) > by).then_some(VALUE)
}

fn digits_in_base(args: &[Value]) -> Option<usize> {
    match args {
        [Value::Number(number), ..]
            if number.as_i128().is_none() && number.as_u128().is_none() && number.is_integer() =>
        {
            None
        }
        _ => Some(VALUE),
    }
}

allowed! {
    "__builtin_sets.intersection" all_deep;
    "__builtin_sets.union" all_deep;
    "abs" digits_in_base;
    "array.concat" all_items;
    "array.reverse" all_items;
    "array.slice" all_items;
    "base64.decode" |args| made(all_texts(args)? * 2);
    "base64.encode" |args| made(all_texts(args)? * 2);
    "base64.is_valid" all_texts;
    "base64url.decode" |args| made(all_texts(args)? * 2);
    "base64url.encode" |args| made(all_texts(args)? * 2);
    "base64url.encode_no_pad" |args| made(all_texts(args)? * 2);
    "bits.and" digits_in_base;
    "bits.lsh" shifted;
    "bits.negate" digits_in_base;
    "bits.or" digits_in_base;
    "bits.rsh" shifted;
    "bits.xor" digits_in_base;
    "ceil" digits_in_base;
    "concat" joined;
    "contains" all_texts;
    "count" all_texts;
    "endswith" all_texts;
    "floor" digits_in_base;
    "format_int" digits_in_base;
    "glob.match" glob_matched;
    "glob.quote_meta" |args| made(all_texts(args)? * patterns::BYTE);
    "hex.decode" all_texts;
    "hex.encode" |args| made(all_texts(args)? * 2);
    "indexof" looked_for;
    "indexof_n" |args| pieces(args)?.checked_add(looked_for(args)?);
    "intersection" all_deep;
    "is_array" one;
    "is_boolean" one;
    "is_null" one;
    "is_number" one;
    "is_object" one;
    "is_set" one;
    "is_string" one;
    "json.filter" pairs;
    "json.is_valid" json_text;
    "json.marshal" marshalled;
    "json.remove" pairs;
    "json.unmarshal" json_text;
    "lower" |args| made(all_texts(args)? * 3);
    "max" all_deep;
    "min" all_deep;
    "net.cidr_contains" all_texts;
    "net.cidr_is_valid" all_texts;
    "object.filter" all_deep;
    "object.get" all_texts;
    "object.keys" all_items;
    "object.remove" all_deep;
    "object.subset" pairs;
    "object.union" all_deep;
    "object.union_n" gathered;
    "regex.find_n" matched_pieces;
    "regex.is_valid" matched;
    "regex.match" matched;
    "regex.replace" matched_and_replaced;
    "regex.split" matched_pieces;
    "replace" replaced;
    "round" digits_in_base;
    "semver.compare" all_texts;
    "semver.is_valid" all_texts;
    "sort" sorted;
    "split" pieces;
    "sprintf" formatted;
    "startswith" all_texts;
    "strings.any_prefix_match" pairs;
    "strings.any_suffix_match" pairs;
    "strings.count" all_texts;
    "strings.reverse" |args| made(all_texts(args)?);
    "substring" all_texts;
    "sum" all_deep;
    "time.add_date" one;
    "time.clock" all_deep;
    "time.date" all_deep;
    "time.diff" all_deep;
    "time.format" all_deep;
    "time.now_ns" one;
    "time.parse_duration_ns" number_text;
    "time.parse_ns" all_texts;
    "time.parse_rfc3339_ns" all_texts;
    "time.weekday" all_deep;
    "to_number" number_text;
    "trim" trimmed;
    "trim_left" trimmed;
    "trim_prefix" all_texts;
    "trim_right" trimmed;
    "trim_space" all_texts;
    "trim_suffix" all_texts;
    "type_name" one;
    "union" gathered;
    "units.parse" number_text;
    "units.parse_bytes" number_text;
    "upper" |args| made(all_texts(args)? * 3);
    "urlquery.decode" all_texts;
    "urlquery.decode_object" pieces;
    "urlquery.encode" |args| made(all_texts(args)? * 3);
    "urlquery.encode_object" |args| made(all_deep(args)? * 3);
    "uuid.parse" all_texts;
}

/// Functions whose result is a text, a number or a boolean, whatever they are given.
const SCALAR: &[&str] = &[
    "abs",
    "base64.decode",
    "base64.encode",
    "base64.is_valid",
    "base64url.decode",
    "base64url.encode",
    "base64url.encode_no_pad",
    "ceil",
    "concat",
    "contains",
    "count",
    "endswith",
    "floor",
    "format_int",
    "glob.match",
    "glob.quote_meta",
    "hex.decode",
    "hex.encode",
    "indexof",
    "is_array",
    "is_boolean",
    "is_null",
    "is_number",
    "is_object",
    "is_set",
    "is_string",
    "json.is_valid",
    "json.marshal",
    "lower",
    "net.cidr_contains",
    "net.cidr_is_valid",
    "object.subset",
    "regex.is_valid",
    "regex.match",
    "regex.replace",
    "replace",
    "round",
    "semver.compare",
    "semver.is_valid",
    "sprintf",
    "startswith",
    "strings.any_prefix_match",
    "strings.any_suffix_match",
    "strings.count",
    "strings.reverse",
    "substring",
    "sum",
    "time.format",
    "to_number",
    "trim",
    "trim_left",
    "trim_prefix",
    "trim_right",
    "trim_space",
    "trim_suffix",
    "type_name",
    "upper",
    "urlquery.decode",
    "urlquery.encode",
    "urlquery.encode_object",
];

/// Does it make no collection, whatever it is given?
pub(super) fn is_scalar(name: &str) -> bool {
    SCALAR.contains(&name)
}

/// Functions of Rego that a policy may not call, and why; a name that ends in a dot stands for all that begin with it.
const REFUSED: &[(&str, &str)] = &[
    ("http.send", "a policy asks nobody else: it decides by the request alone"),
    ("net.lookup_ip_addr", "a policy asks nobody else: it decides by the request alone"),
    ("opa.runtime", "a policy does not see where it runs"),
    ("rand.", "a decision is the same each time it is asked for"),
    ("uuid.rfc4122", "a decision is the same each time it is asked for"),
    ("numbers.range", "it can make more than a request may cost; compare with `>=` and `<=`"),
    ("net.cidr_expand", "it can make more than a request may cost; use net.cidr_contains"),
    ("graph.", "it can cost more than a request may"),
    ("walk", "it can cost more than a request may; name the fields that you mean"),
    ("regex.globs_match", "it can cost more than a request may"),
    ("regex.template_match", "it can cost more than a request may; use regex.match"),
    ("strings.render_template", "it can make more than a request may cost"),
    ("strings.replace_n", "it can make more than a request may cost; use replace"),
    ("json.marshal_with_options", "it can make more than a request may cost; use json.marshal"),
    ("product", "it can make more than a request may cost; multiply with `*`"),
    ("trace", "nobody reads it; try the policy to see which of its lines are true"),
    ("print", "nobody reads it; try the policy to see which of its lines are true"),
    ("crypto.", "it is not among the functions here"),
    ("io.jwt.", "it is not among the functions here: headers are no part of the input"),
    ("yaml.", "it is not among the functions here"),
    ("graphql.", "it is not among the functions here"),
    ("array.flatten", "it is not among the functions here; join two with array.concat"),
    ("json.match_schema", "it is not among the functions here; name the fields that you mean"),
    ("json.patch", "it is not among the functions here; name the fields that you mean"),
    ("json.verify_schema", "it is not among the functions here; name the fields that you mean"),
    ("net.cidr_contains_matches", "it is not among the functions here; use net.cidr_contains behind `some … in …`"),
    ("net.cidr_intersects", "it is not among the functions here; use net.cidr_contains"),
    ("net.cidr_merge", "it is not among the functions here; use net.cidr_contains behind `some … in …`"),
    ("net.cidr_overlap", "Rego v1 has left it out; use net.cidr_contains"),
    ("uri.", "it is not among the functions here: the path is in parts already"),
    ("internal.", "it is not among the functions here"),
    ("rego.", "it is not among the functions here"),
    ("providers.", "it is not among the functions here"),
    ("test.", "it is not among the functions here"),
    ("__", "it is the engine's own"),
];

/// What says the same as a function that is not here: those that Rego v1 has left out, and operations by their names. A rule of a
/// policy may be called so.
const INSTEAD: &[(&str, &str)] = &[
    ("all", "`every x in … { x }`"),
    ("and", "`a & b`"),
    ("any", "`true in …`"),
    ("assign", "`a := b`"),
    ("cast_array", "is_array"),
    ("cast_boolean", "is_boolean"),
    ("cast_null", "is_null"),
    ("cast_object", "is_object"),
    ("cast_set", "is_set"),
    ("cast_string", "is_string"),
    ("div", "`a / b`"),
    ("eq", "`a == b`"),
    ("equal", "`a == b`"),
    ("gt", "`a > b`"),
    ("gte", "`a >= b`"),
    ("lt", "`a < b`"),
    ("lte", "`a <= b`"),
    ("minus", "`a - b`"),
    ("mul", "`a * b`"),
    ("neq", "`a != b`"),
    ("or", "`a | b`"),
    ("plus", "`a + b`"),
    ("re_match", "regex.match"),
    ("rem", "`a % b`"),
    ("set_diff", "`a - b`"),
];

/// What to write in its place.
pub(super) fn instead(name: &str) -> Option<&'static str> {
    INSTEAD.iter().find(|(known, _)| *known == name).map(|(_, instead)| *instead)
}

/// Why a function of Rego may not be called; `None` for one that nobody knows.
pub(super) fn why_refused(name: &str) -> Option<&'static str> {
    let named = |known: &str| {
        known == name
            || ((known.ends_with('.') || known == "__" || known == "numbers.range") && name.starts_with(known))
    };
    let found = REFUSED.iter().find(|(known, _)| named(known)).map(|(_, why)| *why);
    found.or_else(|| (BUILTINS.contains_key(name) && !is_allowed(name)).then_some("it is not among the functions here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_of_the_engine_is_allowed_or_refused_by_name() {
        for name in names() {
            assert!(BUILTINS.contains_key(name), "{name} is none of the engine's");
            assert_eq!(REFUSED.iter().find(|(known, _)| *known == name), None, "{name}");
        }
        assert!(ALLOWED.is_sorted_by_key(|it| it.name));
        assert!(SCALAR.iter().all(|name| is_allowed(name)));
        let mut unsaid: Vec<_> =
            BUILTINS.keys().filter(|name| !is_allowed(name) && why_refused(name).is_none()).collect();
        unsaid.sort();
        assert!(unsaid.is_empty(), "{unsaid:?}");
    }

    /// The functions of the public reference of Rego v1 (OPA 1.x), those that it has left out, and operations by their names.
    const REFERENCE: &str = "abs all and any array.concat array.flatten array.reverse array.slice assign base64.decode \
        base64.encode base64.is_valid base64url.decode base64url.encode base64url.encode_no_pad bits.and bits.lsh \
        bits.negate bits.or bits.rsh bits.xor cast_array cast_boolean cast_null cast_object cast_set cast_string ceil \
        concat contains count crypto.hmac.equal crypto.hmac.md5 crypto.hmac.sha1 crypto.hmac.sha256 crypto.hmac.sha512 \
        crypto.md5 crypto.parse_private_keys crypto.sha1 crypto.sha256 crypto.x509.parse_and_verify_certificates \
        crypto.x509.parse_certificate_request crypto.x509.parse_certificates crypto.x509.parse_keypair \
        crypto.x509.parse_rsa_private_key div endswith eq equal floor format_int glob.match glob.quote_meta \
        graph.reachable graph.reachable_paths graphql.is_valid graphql.parse graphql.parse_and_verify \
        graphql.parse_query graphql.parse_schema graphql.schema_is_valid gt gte hex.decode hex.encode http.send indexof \
        indexof_n intersection io.jwt.decode io.jwt.decode_verify io.jwt.encode_sign io.jwt.encode_sign_raw \
        io.jwt.verify_eddsa io.jwt.verify_es256 io.jwt.verify_hs256 io.jwt.verify_ps256 io.jwt.verify_rs256 is_array \
        is_boolean is_null is_number is_object is_set is_string json.filter json.is_valid json.marshal \
        json.marshal_with_options json.match_schema json.patch json.remove json.unmarshal json.verify_schema lower lt \
        lte max min minus mul neq net.cidr_contains net.cidr_contains_matches net.cidr_expand net.cidr_intersects \
        net.cidr_is_valid net.cidr_merge net.cidr_overlap net.lookup_ip_addr numbers.range numbers.range_step \
        object.filter object.get object.keys object.remove object.subset object.union object.union_n opa.runtime or \
        plus print product providers.aws.sign_req rand.intn re_match regex.find_all_string_submatch_n regex.find_n \
        regex.globs_match regex.is_valid regex.match regex.replace regex.split regex.template_match \
        rego.metadata.chain rego.metadata.rule rego.parse_module rem replace round semver.compare semver.is_valid \
        set_diff sort split sprintf startswith strings.any_prefix_match strings.any_suffix_match strings.count \
        strings.render_template strings.replace_n strings.reverse substring sum time.add_date time.clock time.date \
        time.diff time.format time.now_ns time.parse_duration_ns time.parse_ns time.parse_rfc3339_ns time.weekday \
        to_number trace trim trim_left trim_prefix trim_right trim_space trim_suffix type_name union units.parse \
        units.parse_bytes upper urlquery.decode urlquery.decode_object urlquery.encode urlquery.encode_object uuid.parse \
        uuid.rfc4122 walk yaml.is_valid yaml.marshal yaml.unmarshal";

    #[test]
    fn every_function_of_the_reference_is_allowed_or_refused_by_name() {
        for name in REFERENCE.split_whitespace() {
            let answers = [is_allowed(name), why_refused(name).is_some(), instead(name).is_some()];
            assert_eq!(answers.into_iter().filter(|it| *it).count(), 1, "{name}: {answers:?}");
        }
        for name in names().filter(|name| !name.starts_with("__")) {
            assert!(REFERENCE.split_whitespace().any(|known| known == name), "{name} is not of the reference");
        }
        assert!(INSTEAD.is_sorted_by_key(|it| it.0));
    }

    #[test]
    fn what_would_make_too_much_is_refused_before_it_is_made() {
        let text = |length: usize| Value::from("a".repeat(length));
        for (cost, args) in [
            (replaced as Cost, vec![text(100_000), text(1), text(100_000)]),
            (replaced, vec![text(100_000), text(0), text(100_000)]),
            (formatted, vec![Value::from("%01000000000d"), Value::from(vec![Value::from(1)])]),
            (formatted, vec![Value::from("%.9999d"), Value::from(vec![Value::from(1)])]),
            (number_text, vec![Value::from("1e999999999")]),
            (number_text, vec![Value::from("9".repeat(100))]),
            (json_text, vec![Value::from("[1E+9999999]")]),
            (shifted, vec![Value::from(1), Value::from(1_000_000_000)]),
            (joined, vec![text(100_000), Value::from(vec![Value::from(1); 1_000])]),
            (matched_and_replaced, vec![text(100_000), text(1), text(100_000)]),
            (|args: &[Value]| made(all_texts(args)? * 3), vec![text(2 * TEXT)]),
        ] {
            assert_eq!(cost(&args), None, "{:.80}", format!("{args:?}"));
        }
        let too_much = |cost: Cost, args: &[Value]| cost(args).is_none_or(|cost| cost > WORK);
        let all = |of: &str, length: usize| Value::from(of.repeat(length));
        for (cost, args) in [
            (matched as Cost, vec![Value::from("[01]*1[01]{300}"), all("01", 200_000)]),
            (matched_pieces, vec![Value::from("a.*z|a"), all("a", 100_000), Value::from(-1)]),
            (glob_matched, vec![all("*a", 500), Value::from(vec![Value::from("/")]), all("a", 100_000)]),
            (trimmed, vec![all("a", 100_000), Value::from("b".repeat(100_000) + "a")]),
            (looked_for, vec![all("a", 500_000), Value::from("a".repeat(250_000) + "b")]),
            (gathered, vec![Value::from(vec![Value::from(vec![Value::Null; 300]); 300])]),
        ] {
            assert!(too_much(cost, &args), "{:?} {:.80}", cost(&args), format!("{args:?}"));
        }
        for (cost, args) in [
            (matched as Cost, vec![Value::from("^FEATURE_[A-Z]+$"), all("x", 1_000)]),
            (matched_pieces, vec![Value::from("[^a-z0-9]+"), all("a-", 100), Value::from(-1)]),
            (glob_matched, vec![all("*a", 20), Value::from(vec![Value::from("/")]), all("a", 1_000)]),
            (trimmed, vec![all(" a", 1_000), Value::from(" \t")]),
            (looked_for, vec![all("a", 10_000), all("b", 100)]),
        ] {
            assert!(!too_much(cost, &args), "{:?} {:.80}", cost(&args), format!("{args:?}"));
        }
        assert!(formatted(&[Value::from("id-12345 %s %3d"), Value::from(vec![text(3), Value::from(1)])]).is_some());
        assert!(number_text(&[Value::from("1e10")]).is_some());
    }
}
