//! Compiling a policy, and asking it.
//!
//! A policy becomes a program of the engine's register machine once, when it is written or loaded; a question runs it. Nothing
//! but the value `true`, made without a failure and within all limits, is a yes.

use std::cell::Cell;
use std::num::{NonZeroU32, NonZeroUsize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::instructions::BuiltinCallParams;
use regorus::rvm::program::{BuiltinInfo, Program, RuleInfo, RuleType};
use regorus::rvm::vm::{ExecutionMode, VmError};
use regorus::rvm::{Instruction, RegoVM};
use regorus::utils::limits::{ExecutionTimerConfig, PolicyLengthConfig};
use regorus::{Engine, Value, unstable};
use tokenward_core::{Error, Result};

use super::body::RequestBody;
use super::builtins::{self, Failure};
use super::explain::{FILE, explain};
use super::input::{self, PolicyInput};
use super::plain::PlainPolicy;
use super::problem::PolicyProblem;
use super::reads::{BodyReads, Reads};
use super::{check, mend, scan};

/// The line that the engine wants first. It is one, so that its lines are ours and one more.
const PACKAGE: &str = "package policy\n";
const ENTRY: &str = "data.policy.allow";
/// Instructions of one evaluation.
pub const POLICY_INSTRUCTIONS: usize = 20_000;
/// How long one evaluation may take.
pub const POLICY_TIME: Duration = Duration::from_millis(5);
/// How often one is begun that takes longer. The engine looks at the clock of the wall: on a busy machine the thread may have
/// waited for its turn all that time, and a request must not be denied for that.
const TRIES: usize = 3;
/// Instructions between two looks at the clock.
const CLOCK_INTERVAL: NonZeroU32 = NonZeroU32::new(16).unwrap();
/// The stack of the thread that compiles: what is accepted needs a small part of it.
const COMPILE_STACK: usize = 64 * 1024 * 1024;

/// The largest body of a request that is answered plainly, and after which a machine is kept: what its registers hold is there
/// until the next question.
const KEPT_BODY: usize = 16 * 1024;

/// A machine, and the program that it has.
struct Machine {
    program: Arc<Program>,
    machine: RegoVM,
}

thread_local! {
    /// The machine of this thread, while nothing runs on it. One that failed is not kept.
    static MACHINE: Cell<Option<Box<Machine>>> = const { Cell::new(None) };
}

/// A compiled policy. Cheap to clone.
#[derive(Clone)]
pub struct Policy {
    program: Arc<Program>,
    /// What it looks at of its input.
    reads: Arc<Reads>,
    /// The same in few words, where it says no more than those can.
    plain: Option<Arc<PlainPolicy>>,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("instructions", &self.program.instructions.len()).finish_non_exhaustive()
    }
}

/// What a policy says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// `allow` is true.
    Allowed,
    /// `allow` is false.
    Denied,
    /// No rule for `allow` holds.
    Undefined,
    /// `allow` is neither true nor false.
    NotBoolean,
    /// It could not be asked to the end; the text says why.
    Failed(String),
}

impl Judgement {
    /// Is it a yes?
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        *self == Self::Allowed
    }
}

impl Policy {
    /// Compiles what was taken when it was written. It takes milliseconds at most, of a thread and a stack of its own.
    pub fn compile(source: &str) -> Result<Result<Self, PolicyProblem>> {
        Self::compiled(source, false)
    }

    /// Compiles what somebody writes now: besides, all that it looks for in its input must be there.
    pub fn compile_new(source: &str) -> Result<Result<Self, PolicyProblem>> {
        Self::compiled(source, true)
    }

    fn compiled(source: &str, is_new: bool) -> Result<Result<Self, PolicyProblem>> {
        if let Err(problem) = scan::scan(source) {
            return Ok(Err(problem));
        }
        with_stack(|| compile(source, is_new))
    }

    /// What it says of a request.
    #[must_use]
    pub fn ask(&self, asked: &PolicyInput<'_>) -> Judgement {
        let body = match self.body(asked) {
            Ok(body) => body,
            Err(why) => return Judgement::Failed(why.to_owned()),
        };
        let keep = !matches!(asked.body, RequestBody::Whole(bytes) if bytes.len() > KEPT_BODY);
        if keep && self.plain.as_ref().is_some_and(|plain| plain.allows(asked, &body)) {
            #[cfg(debug_assertions)]
            self.hold_against_engine(asked, body);
            return Judgement::Allowed;
        }
        self.judge(asked, body, keep)
    }

    /// In a build for tests, a plain yes is what the engine says, where a busy machine leaves it the time.
    #[cfg(debug_assertions)]
    fn hold_against_engine(&self, asked: &PolicyInput<'_>, body: Value) {
        let said = self.judge(asked, body, true);
        let late = matches!(&said, Judgement::Failed(why) if why.starts_with("It takes longer"));
        assert!(late || said.is_allowed(), "allowed plainly, and {said:?} by the engine: {asked:?}");
    }

    /// What the engine says.
    fn judge(&self, asked: &PolicyInput<'_>, body: Value, keep: bool) -> Judgement {
        self.run(0, input::value(asked, &self.reads, body), asked.now.0.saturating_mul(1_000), keep)
    }

    /// What the engine alone says.
    #[cfg(test)]
    pub(super) fn ask_engine(&self, asked: &PolicyInput<'_>) -> Judgement {
        self.body(asked).map_or_else(|why| Judgement::Failed(why.to_owned()), |body| self.judge(asked, body, true))
    }

    /// Which of so many entries say yes. `None` where it cannot be asked, or takes longer than `patience`.
    pub(super) fn ask_each(&self, entries: usize, asked: &PolicyInput<'_>, patience: Duration) -> Option<Vec<bool>> {
        let input = input::value(asked, &self.reads, self.body(asked).ok()?);
        let (now_ns, begun) = (asked.now.0.saturating_mul(1_000), Instant::now());
        let mut said = Vec::with_capacity(entries);
        for entry in 0..entries {
            if begun.elapsed() > patience {
                return None;
            }
            said.push(self.run(entry, input.clone(), now_ns, false).is_allowed());
        }
        Some(said)
    }

    /// The body, as far as it looks at it.
    fn body(&self, asked: &PolicyInput<'_>) -> Result<Value, &'static str> {
        // RFC 9110 §9.3.1: a body of these means nothing.
        let bodiless = matches!(asked.method, "GET" | "HEAD" | "OPTIONS");
        if matches!(asked.body, RequestBody::Unknown) && !bodiless && self.reads.body != BodyReads::Nothing {
            return Err("It asks for the body of the request, which was not passed on");
        }
        input::body(asked.body, &self.reads.body)
    }

    /// `entry` is the rule that is asked, and `keep` whether the machine may stay for the next question.
    fn run(&self, entry: usize, input: Value, now_ns: i64, keep: bool) -> Judgement {
        let mut machine = self.machine(keep);
        let (mut result, mut failure);
        let mut left = TRIES;
        loop {
            machine.machine.set_input(input.clone());
            // Nothing of the machine is looked at again after a panic.
            let run = || catch_unwind(AssertUnwindSafe(|| machine.machine.execute_entry_point_by_index(entry)));
            let (ended, failed) = builtins::metered(now_ns, run);
            let Ok(ended) = ended else {
                return Judgement::Failed("A function that it calls broke off".to_owned());
            };
            (result, failure) = (ended, failed);
            left -= 1;
            if left == 0 || failure.is_some() || !matches!(result, Err(VmError::TimeLimitExceeded { .. })) {
                break;
            }
        }
        if keep && failure.is_none() && result.is_ok() {
            machine.machine.set_input(Value::Null);
            MACHINE.set(Some(machine));
        }
        match (result, failure) {
            (_, Some(Failure::TooMuch(name))) => {
                Judgement::Failed(format!("`{name}` was asked for more than a request may cost"))
            }
            (_, Some(Failure::Failed(name, why))) => Judgement::Failed(format!("`{name}` failed: {why}")),
            (Err(VmError::InstructionLimitExceeded { .. }), None) => {
                Judgement::Failed(format!("It takes more than {POLICY_INSTRUCTIONS} steps"))
            }
            (Err(VmError::TimeLimitExceeded { .. }), None) => {
                Judgement::Failed(format!("It takes longer than {} ms", POLICY_TIME.as_millis()))
            }
            (Err(error), None) => Judgement::Failed(error.to_string().chars().take(200).collect()),
            (Ok(Value::Bool(true)), None) => Judgement::Allowed,
            (Ok(Value::Bool(false)), None) => Judgement::Denied,
            (Ok(Value::Undefined), None) => Judgement::Undefined,
            (Ok(_), None) => Judgement::NotBoolean,
        }
    }

    /// A machine with the program. The engine empties registers and caches at the start of every run, so that nothing of one
    /// request is there for the next (a test holds it); making a machine takes as long as asking a small policy. One that is not
    /// kept is asked about so much that a single step may take long: it looks at the clock before each.
    fn machine(&self, keep: bool) -> Box<Machine> {
        if keep && let Some(mut kept) = MACHINE.take() {
            if !Arc::ptr_eq(&kept.program, &self.program) {
                kept.program = Arc::clone(&self.program);
                kept.machine.load_program(Arc::clone(&self.program));
            }
            return kept;
        }
        let mut machine = RegoVM::new();
        machine.set_max_instructions(POLICY_INSTRUCTIONS);
        machine.set_execution_timer_config(Some(ExecutionTimerConfig {
            limit: POLICY_TIME,
            check_interval: if keep { CLOCK_INTERVAL } else { NonZeroU32::MIN },
        }));
        machine.set_execution_mode(ExecutionMode::RunToCompletion);
        // The guards tell failures, under all circumstances. Strict, the machine would take null for none of Rego's values.
        machine.set_strict_builtin_errors(false);
        machine.load_program(Arc::clone(&self.program));
        Box::new(Machine { program: Arc::clone(&self.program), machine })
    }
}

/// Does it on a thread with a stack of its own, as compiling needs it.
pub(super) fn with_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("policy".to_owned()).stack_size(COMPILE_STACK);
        let thread = builder
            .spawn_scoped(scope, work)
            .map_err(|cause| Error::unavailable(format!("The server cannot begin a thread: {cause}. Try again.")))?;
        // A panic of the engine's is a fault of ours to have let it come to that.
        thread.join().map_err(|_| Error::internal("the compiler of policies panicked"))
    })
}

fn compile(source: &str, is_new: bool) -> Result<Policy, PolicyProblem> {
    let (engine, module) = parse(source)?;
    check::check(&module, source, is_new)?;
    if is_new {
        check::check_names(&module, source)?;
    }
    let mut policy = program(engine, &module, source, &[ENTRY])?;
    policy.plain = PlainPolicy::of(&module).map(Arc::new);
    Ok(policy)
}

/// The engine with a text, and its syntax tree.
pub(super) fn parse(source: &str) -> Result<(Engine, unstable::Ref<unstable::Module>), PolicyProblem> {
    let told = |error: &dyn std::fmt::Display| explain(source, &error.to_string());
    let mut engine = Engine::new();
    let length = NonZeroUsize::new(source.len() + PACKAGE.len() + 1).unwrap_or(NonZeroUsize::MIN);
    engine.set_policy_length_config(PolicyLengthConfig {
        // The text as a whole is bounded; how it is broken into lines is its author's.
        max_col: NonZeroU32::new(u32::MAX).unwrap_or(NonZeroU32::MIN),
        max_file_bytes: length,
        max_lines: length,
    });
    engine.add_policy(FILE.to_owned(), format!("{PACKAGE}{source}")).map_err(|error| told(&error))?;
    let [module] = engine.get_modules().as_slice() else {
        return Err(PolicyProblem::whole("The policy is not one module"));
    };
    let module = module.clone();
    Ok((engine, module))
}

/// Its program, which is asked for these rules. The tree was checked, or is made of parts of one that was.
pub(super) fn program(
    mut engine: Engine,
    module: &unstable::Module,
    source: &str,
    entries: &[&str],
) -> Result<Policy, PolicyProblem> {
    let told = |error: &dyn std::fmt::Display| explain(source, &error.to_string());
    let reads = Arc::new(Reads::of(module));
    let compiled = engine.compile_with_entrypoint(&ENTRY.into()).map_err(|error| told(&error))?;
    let program = Compiler::compile_from_policy(&compiled, entries).map_err(|error| told(&error))?;
    let mut program = Arc::try_unwrap(program).unwrap_or_else(|shared| Program::clone(&shared));
    one_value_each(module, &program, source)?;
    load_constants(&mut program);
    mend::mend(&mut program).ok_or_else(|| {
        PolicyProblem::whole("The policy is too long, or one of its rules").help("Ask for what requests have in common")
    })?;
    guard(&mut program)?;
    slim(&mut program);
    Ok(Policy { program: Arc::new(program), reads, plain: None })
}

/// Of two definitions of a rule that hold at once and give different values, the engine takes neither and says "undefined",
/// which a `not` turns into a yes. So all definitions of a rule give one value.
fn one_value_each(module: &unstable::Module, program: &Program, source: &str) -> Result<(), PolicyProblem> {
    let several = |rule: &&RuleInfo| {
        rule.definitions.len() > 1 && rule.rule_type == RuleType::Complete && !rule.early_exit_on_first_success
    };
    if let Some(partial) = program.rule_infos.iter().find(|rule| rule.rule_type == RuleType::PartialObject) {
        let problem = format!("`{}` is a rule for a part of an object", plain(&partial.name));
        return Err(PolicyProblem::whole(problem).help("Make the object in one piece: `{key: value | …}`"));
    }
    let Some(rule) = program.rule_infos.iter().find(several) else { return Ok(()) };
    let name = plain(&rule.name);
    let problem =
        format!("The definitions of `{name}` give different values, and which one counts where two hold is not said");
    let named = |it: &&unstable::Ref<unstable::Rule>| {
        it.span().text().split(|c: char| !c.is_alphanumeric() && c != '_').next() == Some(name)
    };
    let at = module.policy.iter().filter(named).nth(1);
    let problem = match at {
        Some(rule) => PolicyProblem::at_told(source, rule.span().line.saturating_sub(1), rule.span().col, problem),
        None => PolicyProblem::whole(problem),
    };
    Err(problem.help(match name {
        "allow" => "Leave those out that give false: what no rule for `allow` allows is denied",
        _ => "Write one definition with `else := …`, which says their order",
    }))
}

fn plain(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// A rule such as `reads := {"GET", "HEAD"}` is a value that is known before any request: it is loaded where it is used, which
/// costs a small part of the call that the engine makes of it.
fn load_constants(program: &mut Program) {
    let constant = |rule: &RuleInfo| {
        let [bodies] = rule.definitions.as_slice() else { return None };
        let [begin] = bodies.as_slice() else { return None };
        let begin = usize::try_from(*begin).ok()?;
        let plain = rule.rule_type == RuleType::Complete
            && rule.function_info.is_none()
            && rule.destructuring_blocks.iter().all(Option::is_none);
        match *program.instructions.get(begin..begin + 4)? {
            [
                Instruction::RuleInit { .. },
                Instruction::Load { dest, literal_idx },
                Instruction::Move { dest: result, src },
                Instruction::RuleReturn {},
            ] if plain && src == dest && result == rule.result_reg => Some(literal_idx),
            _ => None,
        }
    };
    let constants: Vec<Option<u16>> = program.rule_infos.iter().map(constant).collect();
    for instruction in &mut program.instructions {
        if let Instruction::CallRule { dest, rule_index } = *instruction
            && let Some(literal_idx) = constants.get(usize::from(rule_index)).copied().flatten()
        {
            *instruction = Instruction::Load { dest, literal_idx };
        }
    }
}

/// Where a value is compared with one that stands in the policy: that costs no more than the policy is long, and the engine's
/// own instruction says the same as the guard.
fn beside_a_literal(program: &Program) -> Vec<bool> {
    let mut all = vec![false; program.instructions.len()];
    for (at, pair) in program.instructions.windows(2).enumerate() {
        all[at + 1] = match pair {
            [
                Instruction::Load { dest, .. },
                Instruction::Eq { left, right, .. } | Instruction::Ne { left, right, .. },
            ] => left == dest || right == dest,
            _ => false,
        };
    }
    all
}

/// Puts our guards in the place of the engine's functions, and of its operations.
fn guard(program: &mut Program) -> Result<(), PolicyProblem> {
    let missing = |name: &str| PolicyProblem::whole(format!("`{name}` cannot be used in a policy"));
    let mut guards = Vec::with_capacity(program.builtin_info_table.len());
    for info in &program.builtin_info_table {
        guards.push(builtins::guard(&info.name).ok_or_else(|| missing(&info.name))?);
    }
    let cheap = beside_a_literal(program);
    for (at, name) in builtins::OPERATIONS.into_iter().enumerate() {
        let mut own = None;
        for (instruction, _) in program.instructions.iter_mut().zip(&cheap).filter(|(_, cheap)| !**cheap) {
            let (dest, left, right) = match *instruction {
                Instruction::Add { dest, left, right } if at == 0 => (dest, left, right),
                Instruction::Sub { dest, left, right } if at == 1 => (dest, left, right),
                Instruction::Mul { dest, left, right } if at == 2 => (dest, left, right),
                Instruction::Div { dest, left, right } if at == 3 => (dest, left, right),
                Instruction::Mod { dest, left, right } if at == 4 => (dest, left, right),
                Instruction::Eq { dest, left, right } if at == 5 => (dest, left, right),
                Instruction::Ne { dest, left, right } if at == 6 => (dest, left, right),
                Instruction::Lt { dest, left, right } if at == 7 => (dest, left, right),
                Instruction::Le { dest, left, right } if at == 8 => (dest, left, right),
                Instruction::Gt { dest, left, right } if at == 9 => (dest, left, right),
                Instruction::Ge { dest, left, right } if at == 10 => (dest, left, right),
                Instruction::HostAwait { .. } | Instruction::VirtualDataDocumentLookup { .. } => {
                    return Err(missing("data"));
                }
                _ => continue,
            };
            let builtin_index = match own {
                Some(index) => index,
                None => {
                    guards.push(builtins::operation(at).ok_or_else(|| missing(name))?);
                    program.builtin_info_table.push(BuiltinInfo { name: name.to_owned(), num_args: 2 });
                    *own.insert(u16::try_from(guards.len() - 1).map_err(|_| missing(name))?)
                }
            };
            let mut args = [0; 8];
            (args[0], args[1]) = (left, right);
            let calls = &mut program.instruction_data.builtin_call_params;
            let params_index = u16::try_from(calls.len()).map_err(|_| missing(name))?;
            calls.push(BuiltinCallParams { dest, builtin_index, num_args: 2, args });
            *instruction = Instruction::BuiltinCall { params_index };
        }
    }
    program.resolved_builtins = guards;
    Ok(())
}

/// Leaves out what only messages need: thousands of programs are in memory at once.
fn slim(program: &mut Program) {
    program.sources = Vec::new();
    program.instruction_spans = Vec::new();
    program.rule_tree = Value::new_object();
    // The engine copies what it knows of a rule with each call of it; an empty list costs nothing there, and means "none".
    for rule in &mut program.rule_infos {
        rule.name = String::new();
        if rule.destructuring_blocks.iter().all(Option::is_none) {
            rule.destructuring_blocks = Vec::new();
        }
        if !rule.else_bodies.iter().flatten().any(|is_else| *is_else) {
            rule.else_bodies = Vec::new();
        }
        if let Some(function) = &mut rule.function_info {
            function.param_names = Vec::new();
        }
    }
    // Its name is copied with each question, and nobody asks by it. One without a letter costs nothing.
    let entries: Vec<usize> = program.entry_points.values().copied().collect();
    let name = |at: usize| if at == 0 { String::new() } else { at.to_string() };
    program.entry_points = entries.into_iter().enumerate().map(|(at, place)| (name(at), place)).collect();
    program.instructions.shrink_to_fit();
    program.literals.shrink_to_fit();
    // A machine makes a value of it whenever it gets another program.
    let metadata = &mut program.metadata;
    (metadata.compiler_version, metadata.compiled_at, metadata.source_info) = Default::default();
    metadata.annotations = Default::default();
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokenward_core::{Time, Uuid};

    use super::*;

    fn compiled(source: &str) -> Policy {
        Policy::compile(source).unwrap().unwrap_or_else(|problem| panic!("{problem}\n{source}"))
    }

    fn refused(source: &str) -> PolicyProblem {
        Policy::compile(source).unwrap().expect_err(source)
    }

    fn ask(policy: &Policy, method: &str, path: &[&str], body: &[u8]) -> Judgement {
        let path: Vec<String> = path.iter().map(|it| (*it).to_owned()).collect();
        policy.ask(&PolicyInput {
            method,
            path: &path,
            body: RequestBody::Whole(body),
            organization: Uuid::from_u128(1),
            project: Some(Uuid::from_u128(2)),
            environment: Some(Uuid::from_u128(3)),
            cluster: None,
            token: Uuid::from_u128(5),
            token_name: "ci",
            now: Time(1_795_562_400_000_000),
        })
    }

    fn says(body: &str) -> Judgement {
        ask(&compiled(body), "POST", &["api", "environment", "x"], br#"{"key":"FEATURE_A","n":7,"list":[1,2,3]}"#)
    }

    #[test]
    fn a_policy_allows_what_it_says_and_nothing_else() {
        let source = "allow if {\n\tinput.request.method in {\"GET\", \"HEAD\"}\n\tinput.request.path[1] == \"environment\"\n}\n\n\
                      allow if {\n\tinput.request.method == \"POST\"\n\tstartswith(input.request.body.key, \"FEATURE_\")\n}\n";
        let policy = compiled(source);
        assert_eq!(ask(&policy, "GET", &["api", "environment"], b""), Judgement::Allowed);
        assert_eq!(ask(&policy, "GET", &["api", "project"], b""), Judgement::Undefined);
        assert_eq!(ask(&policy, "POST", &["api"], br#"{"key":"FEATURE_X"}"#), Judgement::Allowed);
        assert_eq!(ask(&policy, "POST", &["api"], br#"{"key":"SECRET"}"#), Judgement::Undefined);
        assert_eq!(ask(&policy, "POST", &["api"], b""), Judgement::Undefined);
        assert_eq!(says("default allow := false\nallow if input.token.name == \"x\""), Judgement::Denied);
        assert_eq!(says("allow := 1"), Judgement::NotBoolean);
        assert_eq!(says("allow := \"true\""), Judgement::NotBoolean);
    }

    #[test]
    fn a_failure_is_a_no_under_not_as_well() {
        for body in [
            "allow if not to_number(input.request.body.key) == 1",
            "bad if json.unmarshal(input.request.body.key)\nallow if not bad",
            "allow if not 1 / (input.request.body.n - 7) == 1",
            "allow if not input.request.body.key - 1 == 0",
            "allow if not input.request.body.n % 0 == 1",
            "allow if not concat(\"\", input.request.body.n) == \"\"",
            "allow if not startswith(input.request.body.n, \"7\")",
            "allow if count([1 | time.parse_ns(\"x\", input.request.body.key)]) == 0",
            "allow if not sprintf(\"%099999999999d\", [1]) == \"\"",
            "allow if not bits.lsh(1, 4000000000) == 0",
        ] {
            assert!(matches!(says(body), Judgement::Failed(_)), "{body}: {:?}", says(body));
        }
    }

    #[test]
    fn nothing_grows_beyond_what_a_request_may_cost() {
        let doubled: String = (1..=20).map(|n| format!("s{n} := concat(\"\", [s{}, s{}])\n", n - 1, n - 1)).collect();
        let squared: String = (1..=20).map(|n| format!("n{n} := n{} * n{}\n", n - 1, n - 1)).collect();
        for body in [
            format!("s0 := \"{}\"\n{doubled}allow if not s20 == \"\"", "x".repeat(100)),
            format!("n0 := 1000000007\n{squared}allow if not n20 == 1"),
            "allow if count([1 | some a in input.request.path; some b in input.request.path; some c in input.request.path; \
             some d in input.request.path; some e in input.request.path; some f in input.request.path; \
             some g in input.request.path; some h in input.request.path; some i in input.request.path; \
             a == \"nothing\"]) == 0"
                .to_owned(),
        ] {
            let policy = compiled(&body);
            // The shortest of some: a busy machine may stop any of them in the middle.
            let mut least = Duration::MAX;
            for _ in 0..5 {
                let begun = Instant::now();
                let said = ask(&policy, "GET", &["a", "b", "c", "d", "e", "f"], b"");
                least = least.min(begun.elapsed());
                assert!(matches!(said, Judgement::Failed(_)), "{said:?}: {body}");
            }
            assert!(least < Duration::from_millis(250), "{least:?}");
        }
    }

    #[test]
    fn what_a_policy_may_not_say_is_told_with_its_place() {
        for (source, line, part) in [
            ("allow if http.send({\"url\": \"x\"})", Some(1), "http.send"),
            ("allow if {\n\tnumbers.range(1, 10)\n}", Some(2), "numbers.range"),
            ("allow if rand.intn(\"x\", 2) == 1", Some(1), "rand.intn"),
            ("allow if print(\"x\")", Some(1), "print"),
            ("allow if trace(\"x\")", Some(1), "trace"),
            ("allow if __builtin_host_await(1, 2)", Some(1), "engine's own"),
            ("allow if strtswith(input.request.method, \"G\")", Some(1), "There is no function"),
            ("allow if startswith(input.request.method)", Some(1), "takes 2 arguments, and here are 1"),
            ("allow if data.other.allow", Some(1), "no `data`"),
            ("allow if data.policy.allow", Some(1), "no `data`"),
            ("import data.x\nallow := true", Some(1), "cannot be imported"),
            ("allow if input.request.method == \"GET\" with input as {}", Some(1), "`with`"),
            ("default allow := true\nallow := false if input.token.name == \"x\"", Some(1), "every request"),
            ("allow contains \"x\" if true", Some(1), "a set or a function"),
            ("allow(x) := true", Some(1), "a set or a function"),
            ("allow[x] := true if some x in [1]", Some(1), "part of a document"),
            ("allow.x := true", Some(1), "part of a document"),
            ("p[x] := 1 if some x in [1]\nallow := true", Some(1), "part of a document"),
            ("input := {}\nallow := true", Some(1), "cannot be shadowed"),
            ("allow if {\n\tsome input in [1]\n}", Some(2), "cannot be the name"),
            ("f(input) := input.x\nallow if f({\"x\": true})", Some(1), "cannot be the name"),
            ("startswith(a, b) := true\nallow if startswith(1, 2)", Some(1), "a function of Rego"),
            ("a if b\nb if a\nallow if a", Some(2), "in a circle"),
            ("f(x) := f(x)\nallow if f(1)", Some(1), "in a circle"),
            ("x := 1 if input.a\nx := 2 if input.b\nallow if not x", Some(2), "different values"),
            ("f(1) := 1\nf(2) := 2\nallow if f(1) == 1", Some(2), "different values"),
            ("allow { input.x }", Some(1), "`if` keyword"),
            ("allow if {\n\tx == 1\n}", Some(2), "x"),
            ("allow if {\n\tinput.x ==\n}", None, ""),
            ("alow if input.x", None, "no rule `allow`"),
            ("allow :=", None, ""),
            ("allow if {}", Some(1), "Nothing stands in these braces"),
            ("allow if {\n\t# input.token.name == \"ci\"\n}", Some(1), "Nothing stands in these braces"),
            ("ok := true if { }\nallow if ok", Some(1), "Nothing stands in these braces"),
            ("allow if {\n\tnot input.request.path[_] == \"x\"\n}", Some(2), "`_` would be any part"),
            ("allow if not startswith(input.request.path[_], \"x\")", Some(1), "`_` would be any part"),
            ("allow if {\n\tsome i\n\tnot input.request.path[i] == \"x\"\n}", Some(3), "`i` gets its value nowhere"),
            ("allow if not tru", Some(1), "`tru` gets its value nowhere"),
            ("allow if { x := 1; count([y | y := x; not input.request.path[z] == y]) == 1 }", Some(1), "`z` gets"),
            ("allow if every x in [1] { not x == input.request.path[_] }", Some(1), "`_` would be any part"),
            ("f(x) := y if { y := x; not y == z }\nallow if f(1) == 1", Some(1), "`z` gets"),
        ] {
            let problem = refused(source);
            assert!(problem.to_string().contains(part), "{source}\n{problem}");
            if let Some(line) = line {
                assert_eq!(problem.line, Some(line), "{source}\n{problem}");
            }
        }
    }

    #[test]
    fn what_other_languages_and_older_policies_have_is_told_with_what_rego_has() {
        for (source, line, column, part) in [
            ("allow if input.token.name == \"a\" && true", 1, None, "Rego has no `and`"),
            ("allow if {\n\tinput.token.name == \"a\" and true\n}", 2, Some(26), "Rego has no `and`"),
            ("allow if {\n\tinput.token.name == \"a\" || true\n}", 2, None, "Rego has no `or`"),
            ("allow if input.token.name == \"ü\" or true", 1, Some(34), "Rego has no `or`"),
            ("allow if {\n\t!input.token.name\n}", 2, Some(2), "Write `not`"),
            ("// Reads\nallow := true", 1, Some(1), "begins with #"),
            ("allow := true\nimport rego.v1", 2, Some(1), "Imports stand before"),
            ("import rego.v1\nimport rego.v1\nallow := true", 2, None, "Leave one of them out"),
            ("import input.request\nallow := true", 1, None, "cannot be imported"),
            ("allow {\n\ttrue\n}", 1, None, "`if`"),
            ("deny[msg] {\n\tmsg := \"x\"\n}\nallow := true", 1, None, "`if`"),
            ("allow = true\nallow = false if input.token.name == \"a\"", 2, None, "what no rule for `allow` allows"),
            ("allow if re_match(\"a\", input.token.name)", 1, Some(10), "Write regex.match"),
            ("allow if any([true])", 1, Some(10), "`true in …`"),
            ("allow if input.token.name == 'ci'", 1, Some(30), "\"quotes\""),
            ("package tokens\nimport rego.v1\nallow := true", 1, Some(1), "Delete the line"),
            ("\u{feff}allow := true", 1, Some(1), "UTF-8 without it"),
            ("x := \"Grüße\"\nallow if { x == \"Grüße\"; strtswith(x, \"G\") }", 2, Some(26), "`startswith`"),
        ] {
            let problem = refused(source);
            assert!(problem.to_string().contains(part), "{source}\n{problem}");
            assert_eq!(problem.line, Some(line), "{source}\n{problem}");
            assert!(column.is_none_or(|column| problem.column == Some(column)), "{source}\n{problem}");
        }
    }

    #[test]
    fn a_policy_is_written_as_editors_and_people_write_it() {
        let body =
            "\t# Reads Grüße.\n\tinput.request.method == \"GET\" # or not\n    input.request.path[1] == \"Grüße\"\n";
        for source in [
            format!("allow if {{\n{body}}}\n"),
            format!("import rego.v1\n\nallow if {{\n{body}}}\n"),
            format!("import future.keywords\nallow if {{\n{body}}}\n"),
            format!("import future.keywords.if\nimport future.keywords.in\nallow if {{\n{body}}}\n"),
            format!("import rego.v1\ndefault allow := false\nallow if {{\n{body}}}\n"),
            format!("default allow = false\nallow = true if {{\n{body}}}\n"),
            format!("allow := ok if {{\n\tok := true\n{body}}}"),
            format!("ok if {{\n{body}}}\nallow if ok"),
            format!(
                "deny contains \"no\" if input.request.method != \"GET\"\nallow if {{\n\tcount(deny) == 0\n{body}}}"
            ),
            format!("is(method) if method == \"GET\"\nallow if {{\n\tis(input.request.method)\n{body}}}"),
            format!("allow if {{\n{body}}} else := false"),
            format!("# METADATA\n# title: Reads\nallow if {{\n{body}}}"),
        ] {
            for source in [source.replace('\n', "\r\n"), source] {
                let policy = compiled(&source);
                let asked = |method: &str, part: &str| ask(&policy, method, &["api", part], b"").is_allowed();
                assert!(asked("GET", "Grüße") && !asked("POST", "Grüße") && !asked("GET", "Gruesse"), "{source}");
            }
        }
    }

    #[test]
    fn what_stands_under_not_may_have_its_value_from_anywhere_else() {
        for (source, allows) in [
            ("bad if input.request.path[_] == \"x\"\nallow if not bad", true),
            ("bad if input.request.path[_] == \"b\"\nallow if not bad", false),
            ("allow if not \"b\" in input.request.path", false),
            ("allow if { some x in input.request.path; not x == \"api\" }", true),
            ("allow if { some i; input.request.path[i] == \"b\"; not i == 0 }", true),
            ("allow if every x in input.request.path { not x == \"b\" }", false),
            ("allow if not count([x | x := input.request.path[_]; x == \"c\"]) == 1", true),
            ("is(x) if not x == \"b\"\nallow if is(\"a\")", true),
            (
                "others contains x if { some x in input.request.path; not x == \"b\" }\nallow if not \"b\" in others",
                true,
            ),
            ("allow if not {\"x\" | input.request.path[_] == \"b\"} == set()", true),
        ] {
            assert_eq!(ask(&compiled(source), "GET", &["api", "b"], b"").is_allowed(), allows, "{source}");
        }
    }

    #[test]
    fn what_is_written_now_looks_only_for_what_the_input_has() {
        let new = |source: &str| Policy::compile_new(source).unwrap();
        for (source, told) in [
            ("allow if not input.request.metod == \"DELETE\"", "line 1, column 28: `input.request` has no `metod`"),
            ("allow if not input.request.metod == \"DELETE\"", "Did you mean `method`?"),
            (
                "allow if {\n\tinput.request.headers[\"x-admin\"]\n}",
                "line 2, column 16: `input.request` has no `headers`",
            ),
            ("allow if input.request.headers.admin", "It has body, method, path"),
            ("allow if input.method == \"GET\"", "`input` has no `method`"),
            ("allow if input.resource.environment == \"x\"", "`input.resource` has no `environment`"),
            ("allow if input.qovery_metadata.projectid == \"x\"", "Did you mean `project_id`?"),
            ("allow if input.token.user == \"x\"", "`input.token` has no `user`"),
        ] {
            let problem = new(source).expect_err(source).to_string();
            assert!(problem.contains(told), "{source}\n{problem}");
            // What is kept is not taken out of service for it.
            assert!(Policy::compile(source).unwrap().is_ok(), "{source}");
        }
        for good in ["allow if input.request.body.anything.at.all", "allow if input.resource.service_id == null"] {
            assert!(new(good).is_ok(), "{good}");
        }
        assert!(new("allow if {").is_err());
    }

    #[test]
    fn nothing_of_one_request_is_there_for_the_next() {
        let first = compiled("x := input.request.body.x\nallow if x == 1");
        let second = compiled("x := input.request.body.x\nallow if not x");
        for _ in 0..3 {
            assert_eq!(ask(&first, "POST", &["a"], b"{\"x\":1}"), Judgement::Allowed);
            assert_eq!(ask(&first, "POST", &["a"], b"{}"), Judgement::Undefined);
            assert_eq!(ask(&first, "POST", &["a"], b"{\"x\":2}"), Judgement::Undefined);
            assert_eq!(ask(&second, "POST", &["a"], b"{}"), Judgement::Allowed);
            assert_eq!(ask(&second, "POST", &["a"], b"{\"x\":1}"), Judgement::Undefined);
            // One that is broken off, and one after it.
            let endless = compiled(&format!("s := \"{}\"\nallow if replace(s, \"x\", s) == \"\"", "x".repeat(4_000)));
            assert!(matches!(ask(&endless, "POST", &["a"], b"{}"), Judgement::Failed(_)));
        }
    }

    #[test]
    fn the_time_is_that_of_the_request() {
        assert_eq!(says("allow if time.now_ns() == 1795562400000000000"), Judgement::Allowed);
    }

    #[test]
    fn a_body_that_nobody_passed_on_is_not_taken_for_none() {
        let asked = |source: &str, method: &str, body: RequestBody<'_>| {
            let path = ["x".to_owned()];
            compiled(source)
                .ask(&PolicyInput {
                    method,
                    path: &path,
                    body,
                    organization: Uuid::nil(),
                    project: None,
                    environment: None,
                    cluster: None,
                    token: Uuid::nil(),
                    token_name: "x",
                    now: Time(0),
                })
                .is_allowed()
        };
        for sees in [
            "allow if not input.request.body.x",
            "allow if not input[\"request\"][\"b\\u006fdy\"].x",
            "allow if { r := input.request; not r.body.x }",
        ] {
            assert!(!asked(sees, "POST", RequestBody::Unknown), "{sees}");
            assert!(asked(sees, "GET", RequestBody::Unknown), "{sees}");
            assert!(asked(sees, "POST", RequestBody::Whole(b"")), "{sees}");
            assert!(!asked(sees, "POST", RequestBody::Unreadable), "{sees}");
        }
        assert!(asked("allow if input.request.method == \"POST\"", "POST", RequestBody::Unknown));
        for not_json in [&b"x"[..], b"{\"a\":1,\"a\":2}", b"{\"a\":1}{}", b"\xff", b"1e999", b"[1"] {
            assert!(!asked("allow := true", "POST", RequestBody::Whole(not_json)), "{not_json:?}");
        }
        assert!(!asked("allow := true", "POST", RequestBody::Whole(&[b' '; POLICY_BODY_TEST])));
    }

    const POLICY_BODY_TEST: usize = super::super::body::POLICY_BODY + 1;

    #[test]
    fn what_is_constant_is_loaded_and_compared_without_a_call() {
        let calls = |source: &str| {
            let program = compiled(source).program;
            let count = |of: fn(&&Instruction) -> bool| program.instructions.iter().filter(of).count();
            (
                count(|it| matches!(it, Instruction::CallRule { .. })),
                count(|it| matches!(it, Instruction::BuiltinCall { .. })),
            )
        };
        let allows = |source: &str, method: &str| ask(&compiled(source), method, &["a"], b"").is_allowed();
        // The first call is that of `allow`.
        let constants = "reads := {\"GET\", \"HEAD\"}\nmethod := \"GET\"\n";
        let source = format!("{constants}allow if {{ input.request.method in reads; input.request.method == method }}");
        assert_eq!(calls(&source), (1, 0));
        assert!(allows(&source, "GET") && !allows(&source, "HEAD"));
        // Two values from outside are compared with the guard that knows what it costs.
        assert_eq!(calls("allow if input.request.method == input.token.name"), (1, 1));
        assert_eq!(calls("allow if input.request.path == [\"a\", input.token.name]"), (1, 1));
        // A value with a condition is none that is known before.
        let sometimes = "method := \"GET\" if input.token.name == \"ci\"\nallow if input.request.method == method";
        assert_eq!(calls(sometimes), (2, 1));
        let either = "default method := \"HEAD\"\nmethod := \"GET\" if input.token.name == \"x\"\nallow if input.request.method == method";
        assert_eq!(calls(either), (2, 1));
        assert!(allows(either, "HEAD") && !allows(either, "GET"));
        let no = "off := false\nallow if not off";
        assert!(allows(no, "GET") && !allows("off := false\nallow if off", "GET"));
    }

    #[test]
    fn a_policy_of_twenty_lines_takes_little_room() {
        let lines: String = (0..20)
            .map(|n| format!("allow if {{ input.request.path[1] == \"p{n}\"; input.request.method == \"GET\" }}\n"))
            .collect();
        let program = compiled(&lines).program;
        let bytes =
            program.instructions.len() * size_of::<Instruction>() + program.literals.len() * 64 + size_of::<Program>();
        assert!(bytes < 40 * 1024, "{bytes}");
    }
}
