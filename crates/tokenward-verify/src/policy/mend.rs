//! What the engine's compiler leaves out of Rego, put into its programs.
//!
//! The reference says that a name which is given nothing ends the body it stands in, that what a comprehension asks for ends
//! one turn of it, that `else` comes after whatever has not held, and that a rule has one value. Of all that the compiler
//! leaves out a part, and each of those parts turns a no into a yes somewhere below a `not`. So instructions are put in where
//! they are missing; what each is for stands beside it, and `tests/policy_meaning.rs` holds what they are to do.
//!
//! All jumps go to places in the program, and so are told the new ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regorus::Value;
use regorus::rvm::Instruction;
use regorus::rvm::instructions::{BuiltinCallParams, ComprehensionMode, GuardMode, LoopMode, LoopStartParams};
use regorus::rvm::program::{BuiltinInfo, Program, RuleType};

use super::builtins::{MEMBER, SAME};

/// Mends a program. `None` where it becomes longer than one may be.
pub(super) fn mend(program: &mut Program) -> Option<()> {
    let old = std::mem::take(&mut program.instructions);
    let (late, unnamed) = (LateInputs::of(&old), unnamed_arguments(program, &old));
    let loops = program.instruction_data.loop_params.len();
    let registers = program.rule_infos.iter().map(|rule| rule.num_registers).collect();
    // Where each instruction is now, and which of the ends of loops are not ours.
    let (mut places, mut nexts) = (Vec::with_capacity(old.len() + 1), Vec::new());
    let code = Vec::with_capacity(old.len() + old.len() / 4);
    let mut mended = Mended {
        program: &mut *program,
        old: &old,
        late,
        registers,
        code,
        body: None,
        loops: 0,
        comprehensions: Vec::new(),
    };
    for (at, instruction) in old.iter().enumerate() {
        places.push(mended.code.len());
        for register in unnamed.get(&at).into_iter().flatten() {
            mended.code.push(defined(*register));
        }
        mended.take(at, *instruction)?;
        if matches!(instruction, Instruction::LoopNext { .. }) {
            nexts.push(mended.code.len().saturating_sub(1));
        }
    }
    places.push(mended.code.len());
    let code = std::mem::take(&mut mended.code);
    program.instructions = code;
    moved(program, &places, &nexts, loops)
}

/// Tells all that jumps, or is jumped to, the new places. Loops from `loops` on are ours, and know them.
fn moved(program: &mut Program, places: &[usize], nexts: &[usize], loops: usize) -> Option<()> {
    let to = |at: usize| places.get(at).copied();
    let short = |at: u16| to(usize::from(at)).and_then(|at| u16::try_from(at).ok());
    let long = |at: u32| to(usize::try_from(at).ok()?).and_then(|at| u32::try_from(at).ok());
    for next in nexts {
        if let Some(Instruction::LoopNext { body_start, loop_end }) = program.instructions.get_mut(*next) {
            (*body_start, *loop_end) = (short(*body_start)?, short(*loop_end)?);
        }
    }
    for it in program.instruction_data.loop_params.iter_mut().take(loops) {
        (it.body_start, it.loop_end) = (short(it.body_start)?, short(it.loop_end)?);
    }
    for it in &mut program.instruction_data.comprehension_begin_params {
        (it.body_start, it.comprehension_end) = (short(it.body_start)?, short(it.comprehension_end)?);
    }
    for rule in &mut program.rule_infos {
        let bodies = |all: &Vec<u32>| all.iter().map(|at| long(*at)).collect::<Option<Vec<u32>>>();
        let definitions: Option<Vec<Vec<u32>>> = rule.definitions.iter().map(bodies).collect();
        rule.definitions = Arc::new(definitions?);
        for block in rule.destructuring_blocks.iter_mut().flatten() {
            *block = long(*block)?;
        }
    }
    for at in program.entry_points.values_mut() {
        *at = to(*at)?;
    }
    program.main_entry_point = long(program.main_entry_point)?;
    program.validate_limits().ok()
}

/// Goes on only where a register has a value.
fn defined(register: u8) -> Instruction {
    Instruction::Guard { register, mode: GuardMode::NotUndefined }
}

/// The input is loaded once for a body, where it is first named. Where that is within a loop or a comprehension that has no
/// turn, it is never loaded, and all that is looked for behind it is not found: so it is loaded first.
struct LateInputs {
    /// Bodies that load it so late, by their first instruction, and into which register.
    begins: BTreeMap<usize, u8>,
    /// The instructions that do.
    loads: BTreeSet<usize>,
}

impl LateInputs {
    fn of(old: &[Instruction]) -> Self {
        let mut all = Self { begins: BTreeMap::new(), loads: BTreeSet::new() };
        let (mut body, mut is_within) = (None, false);
        for (at, instruction) in old.iter().enumerate() {
            match *instruction {
                Instruction::RuleInit { .. } => (body, is_within) = (Some(at), false),
                Instruction::RuleReturn {} => body = None,
                Instruction::LoopStart { .. } | Instruction::ComprehensionBegin { .. } => is_within = true,
                Instruction::LoadInput { dest } if is_within => {
                    if let Some(begin) = body {
                        all.begins.insert(begin, dest);
                        all.loads.insert(at);
                    }
                }
                _ => {}
            }
        }
        all
    }
}

/// An argument that a function does not name (`f(_)`) is looked at by nothing, so that it would be called with none: the registers
/// of those, by the instruction with which the arguments are taken.
fn unnamed_arguments(program: &Program, old: &[Instruction]) -> BTreeMap<usize, Vec<u8>> {
    let mut all = BTreeMap::new();
    for rule in &program.rule_infos {
        let Some(function) = &rule.function_info else { continue };
        // The first register is that of the result.
        let registers = 1..=u8::try_from(function.num_params).unwrap_or(u8::MAX);
        for begin in rule.destructuring_blocks.iter().flatten().filter_map(|at| usize::try_from(*at).ok()) {
            let block = old.get(begin..).unwrap_or_default().iter();
            let block = block.take_while(|it| !matches!(it, Instruction::DestructuringSuccess {}));
            let named: BTreeSet<u8> = block
                .filter_map(|it| match it {
                    Instruction::Move { src, .. } => Some(*src),
                    _ => None,
                })
                .collect();
            all.insert(begin, registers.clone().filter(|register| !named.contains(register)).collect());
        }
    }
    all
}

/// The body of a rule.
#[derive(Clone, Copy)]
struct Body {
    rule: usize,
    /// The register of what it gives.
    result: u8,
    /// Does an `else` stand before or behind it?
    has_else: bool,
    /// Is it of a rule that has one value, and no set?
    is_value: bool,
}

/// A comprehension that is not closed yet.
struct Open {
    /// A register that nothing else uses.
    spare: u8,
    result: u8,
    is_object: bool,
    /// The loop that stands around its body, and where that begins.
    params: usize,
    begin: u16,
}

struct Mended<'a> {
    program: &'a mut Program,
    old: &'a [Instruction],
    late: LateInputs,
    /// How many registers each rule has by itself.
    registers: Vec<u8>,
    code: Vec<Instruction>,
    body: Option<Body>,
    /// Loops around the present instruction.
    loops: usize,
    comprehensions: Vec<Open>,
}

impl Mended<'_> {
    fn take(&mut self, at: usize, instruction: Instruction) -> Option<()> {
        match instruction {
            Instruction::RuleInit { result_reg, rule_index } => {
                self.begin(at, usize::from(rule_index), result_reg);
                self.code.push(instruction);
                if let Some(dest) = self.late.begins.get(&at) {
                    self.code.push(Instruction::LoadInput { dest: *dest });
                }
            }
            Instruction::LoadInput { .. } if self.late.loads.contains(&at) => {}
            Instruction::RuleReturn {} => {
                // A loop without a turn that held ends as one that held; so `else` would never be looked at.
                if let Some(body) = self.body.take()
                    && body.has_else
                    && body.is_value
                {
                    self.code.push(defined(body.result));
                }
                self.code.push(instruction);
            }
            Instruction::LoopStart { .. } => {
                self.loops += 1;
                self.code.push(instruction);
            }
            Instruction::LoopNext { .. } => {
                self.loops = self.loops.saturating_sub(1);
                self.code.push(instruction);
            }
            Instruction::ComprehensionBegin { params_index } => {
                self.code.push(instruction);
                self.open(params_index)?;
            }
            Instruction::ComprehensionEnd {} => {
                self.close()?;
                self.code.push(instruction);
            }
            Instruction::ComprehensionYield { value_reg, key_reg } => {
                self.yielded(value_reg, key_reg)?;
                self.code.push(instruction);
            }
            Instruction::Move { dest, src } => self.moved(at, dest, src)?,
            Instruction::Contains { dest, collection, value } if !self.is_asked_at_once(at, dest) => {
                // In what is not there nothing is, and nothing is not in it either: it is undefined, and not false.
                self.call(MEMBER, dest, value, collection)?;
            }
            Instruction::ArrayCreate { params_index } => {
                let constant = self.constant_array(params_index);
                self.code.push(constant.unwrap_or(instruction));
            }
            other => self.code.push(other),
        }
        Some(())
    }

    fn begin(&mut self, at: usize, rule: usize, result: u8) {
        let info = self.program.rule_infos.get(rule);
        let is_one_of = |bodies: &Vec<u32>| bodies.len() > 1 && bodies.iter().any(|it| usize::try_from(*it) == Ok(at));
        let has_else = info.is_some_and(|info| info.definitions.iter().any(is_one_of));
        let is_value = info.is_some_and(|info| info.rule_type == RuleType::Complete);
        self.body = Some(Body { rule, result, has_else, is_value });
        self.loops = 0;
    }

    /// What does not hold goes on with the next turn of the innermost loop. In a comprehension that has none before it, that would
    /// be a loop outside of it, or none at all: so there is one around its body, with one turn.
    fn open(&mut self, params_index: u16) -> Option<()> {
        let params = self.program.instruction_data.get_comprehension_begin_params(params_index)?;
        // The engine keeps two registers for comprehensions that go through a collection by themselves, which those of Rego do not.
        let (spare, held, result) = (params.value_reg, params.key_reg, params.result_reg);
        let is_object = matches!(params.mode, ComprehensionMode::Object);
        let literal_idx = self.literal(Value::from(vec![Value::Null]))?;
        let params = self.program.instruction_data.loop_params.len();
        self.code.push(Instruction::Load { dest: spare, literal_idx });
        self.code.push(Instruction::LoopStart { params_index: u16::try_from(params).ok()? });
        let begin = u16::try_from(self.code.len()).ok()?;
        self.program.instruction_data.loop_params.push(LoopStartParams {
            mode: LoopMode::ForEach,
            collection: spare,
            key_reg: spare,
            value_reg: spare,
            result_reg: held,
            body_start: begin,
            loop_end: begin,
        });
        self.comprehensions.push(Open { spare, result, is_object, params, begin });
        Some(())
    }

    fn close(&mut self) -> Option<()> {
        let open = self.comprehensions.pop()?;
        let end = u16::try_from(self.code.len() + 1).ok()?;
        self.code.push(Instruction::LoopNext { body_start: open.begin, loop_end: end });
        self.program.instruction_data.loop_params.get_mut(open.params)?.loop_end = end;
        Some(())
    }

    /// What is not there is no part of a collection, and a name in an object has one value.
    fn yielded(&mut self, value: u8, key: Option<u8>) -> Option<()> {
        let open = self.comprehensions.last()?;
        let (spare, container, is_object) = (open.spare, open.result, open.is_object);
        if !self.is_constant(value) {
            self.code.push(defined(value));
        }
        let Some(key) = key.filter(|_| is_object) else { return Some(()) };
        self.code.push(defined(key));
        self.code.push(Instruction::Index { dest: spare, container, key });
        self.call(SAME, spare, spare, value)
    }

    /// A name is given a value, or a rule: there must be one, and of a rule it must be the same in each turn of a loop.
    fn moved(&mut self, at: usize, dest: u8, src: u8) -> Option<()> {
        let (instruction, is_constant) = (Instruction::Move { dest, src }, self.is_constant(src));
        let of_rule = self.body.filter(|body| body.result == dest && self.comprehensions.is_empty());
        let Some(body) = of_rule else {
            self.code.push(instruction);
            let is_guarded = matches!(
                self.old.get(at + 1),
                Some(Instruction::Guard { register, mode: GuardMode::NotUndefined }) if *register == dest
            );
            if !is_constant && !is_guarded {
                self.code.push(defined(dest));
            }
            return Some(());
        };
        if !is_constant && body.is_value {
            if self.loops > 0 || body.has_else {
                self.code.push(defined(src));
            }
            if self.loops > 0 {
                let spare = self.spare(body.rule)?;
                self.call(SAME, spare, body.result, src)?;
            }
        }
        self.code.push(instruction);
        Some(())
    }

    /// Is it only asked whether it holds, or does not? Then undefined and false are the same.
    fn is_asked_at_once(&self, at: usize, dest: u8) -> bool {
        match (self.old.get(at + 1), self.old.get(at + 2)) {
            (Some(Instruction::Guard { register, mode: GuardMode::Condition }), _) => *register == dest,
            (
                Some(Instruction::Not { dest: negated, operand }),
                Some(Instruction::Guard { register, mode: GuardMode::Condition }),
            ) => *operand == dest && register == negated,
            _ => false,
        }
    }

    /// Was this register just given a value that stands in the policy?
    fn is_constant(&self, register: u8) -> bool {
        match self.code.last() {
            Some(Instruction::Load { dest, .. } | Instruction::LoadBool { dest, .. }) => *dest == register,
            _ => false,
        }
    }

    /// An array of what is known before any request is made once.
    fn constant_array(&mut self, params_index: u16) -> Option<Instruction> {
        let params = self.program.instruction_data.get_array_create_params(params_index)?;
        let (dest, elements) = (params.dest, params.element_registers());
        let begin = self.code.len().checked_sub(elements.len())?;
        let mut values = Vec::with_capacity(elements.len());
        for (load, register) in self.code.get(begin..)?.iter().zip(elements) {
            match load {
                Instruction::Load { dest, literal_idx } if dest == register => {
                    values.push(self.program.literals.get(usize::from(*literal_idx))?.clone());
                }
                _ => return None,
            }
        }
        let literal_idx = self.literal(Value::from(values))?;
        self.code.truncate(begin);
        Some(Instruction::Load { dest, literal_idx })
    }

    fn literal(&mut self, value: Value) -> Option<u16> {
        let literals = &mut self.program.literals;
        let at = literals.iter().position(|it| *it == value).unwrap_or(literals.len());
        if at == literals.len() {
            literals.push(value);
        }
        u16::try_from(at).ok()
    }

    /// One more register of a rule.
    fn spare(&mut self, rule: usize) -> Option<u8> {
        let spare = *self.registers.get(rule)?;
        let all = spare.checked_add(1)?;
        self.program.rule_infos.get_mut(rule)?.num_registers = all;
        self.program.max_rule_window_size = self.program.max_rule_window_size.max(all);
        Some(spare)
    }

    /// A call of one of our functions, which stand beside the engine's.
    fn call(&mut self, name: &str, dest: u8, left: u8, right: u8) -> Option<()> {
        let table = &mut self.program.builtin_info_table;
        let at = table.iter().position(|it| it.name == name).unwrap_or(table.len());
        if at == table.len() {
            table.push(BuiltinInfo { name: name.to_owned(), num_args: 2 });
        }
        let builtin_index = u16::try_from(at).ok()?;
        let mut args = [0; 8];
        (args[0], args[1]) = (left, right);
        let calls = &mut self.program.instruction_data.builtin_call_params;
        let params_index = u16::try_from(calls.len()).ok()?;
        calls.push(BuiltinCallParams { dest, builtin_index, num_args: 2, args });
        self.code.push(Instruction::BuiltinCall { params_index });
        Some(())
    }
}
