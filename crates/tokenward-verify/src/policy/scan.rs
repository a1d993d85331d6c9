//! The first look at a policy, before the engine's parser sees it.
//!
//! The parser takes twice as long for each level of nested brackets, goes one call deeper for each sign before a number,
//! and builds a tree as deep as an expression has operators, which is taken down by recursion as well. So what the parser is
//! given is bounded here, by a lexer that splits a text exactly as the engine's does and keeps nothing.

use super::problem::PolicyProblem;

/// Characters of a policy (contract §4.3).
pub const POLICY_CHARACTERS: usize = 65_536;
/// Brackets in brackets.
pub const POLICY_NESTING: usize = 8;
/// Operators, fields and indexes in one expression.
pub const POLICY_CHAIN: usize = 100;
/// Texts and numbers: the engine compares each with all before it.
pub const POLICY_LITERALS: usize = 2_000;
/// Steps of the parser: a token counts twice for each bracket that it stands in.
const PARSER_STEPS: u64 = 600_000;
/// Characters of a number, and digits of its exponent: it is made exactly, however large it is.
const NUMBER_LENGTH: usize = 40;
const EXPONENT_DIGITS: usize = 3;

/// What a token is to the one after it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// An operand has ended: a name, a text, a number, a closed bracket. Another one begins another expression.
    Operand,
    /// It goes on.
    Operator,
}

/// Looks at a policy. What is taken here, the parser reads in bounded time, memory and depth.
pub fn scan(source: &str) -> Result<(), PolicyProblem> {
    if source.trim().is_empty() {
        return Err(PolicyProblem::whole("The policy is empty").help("It must define `allow`"));
    }
    let characters = source.chars().count();
    if characters > POLICY_CHARACTERS {
        let problem = format!("The policy has {characters} characters; at most {POLICY_CHARACTERS} are allowed");
        return Err(
            PolicyProblem::whole(problem).help("Ask for what requests have in common, and not for each by itself")
        );
    }
    check_characters(source)?;
    Scanner { source, bytes: source.as_bytes(), at: 0, open: Vec::new(), chain: 0, minuses: 0, literals: 0, steps: 0 }
        .run()
}

/// What people see must be what is decided by: nothing in the text may hide or turn a part of it.
fn check_characters(source: &str) -> Result<(), PolicyProblem> {
    if source.starts_with('\u{FEFF}') {
        return Err(PolicyProblem::at_byte(source, 0, "Here is a byte order mark, which nobody sees")
            .help("Save the file as UTF-8 without it"));
    }
    let mut characters = source.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let problem = match c {
            '\n' | '\t' => continue,
            '\r' if characters.peek().is_some_and(|(_, next)| *next == '\n') => continue,
            '\r' => "a carriage return without a line feed, which some programs show as a new line and others do not",
            c if c.is_control() => "a control character",
            // Those that turn the direction of writing, and those that nobody sees (Trojan Source, CVE-2021-42574).
            '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' => {
                "an invisible character, or one that turns the direction of writing"
            }
            _ => continue,
        };
        return Err(PolicyProblem::at_byte(source, at, format!("Here is {problem}")).help("Delete it"));
    }
    Ok(())
}

struct Scanner<'a> {
    source: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// The brackets that are open: what closes each, where it stands, and how long the expression around it is.
    open: Vec<(u8, usize, usize)>,
    /// How long the present expression is.
    chain: usize,
    /// Minus signs in a row.
    minuses: usize,
    literals: usize,
    steps: u64,
}

impl Scanner<'_> {
    fn run(mut self) -> Result<(), PolicyProblem> {
        let mut last = Last::Operator;
        // Right behind the last token, or behind a space?
        let mut touches = false;
        while let Some(&byte) = self.bytes.get(self.at) {
            let begin = self.at;
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.at += 1;
                    touches = false;
                    continue;
                }
                b'#' => {
                    let rest = &self.bytes[begin..];
                    self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                    touches = false;
                    continue;
                }
                _ => {}
            }
            self.step(begin)?;
            let was_minus = self.minuses;
            self.minuses = 0;
            last = match byte {
                b'"' => {
                    self.string()?;
                    self.literal(begin, last)?
                }
                b'`' => {
                    let rest = self.bytes.get(begin + 1..).unwrap_or_default();
                    let Some(end) = rest.iter().position(|byte| *byte == b'`') else {
                        return Err(self
                            .problem(begin, "The text that begins here has no end")
                            .help("Close it with a `"));
                    };
                    self.at = begin + end + 2;
                    self.literal(begin, last)?
                }
                b'0'..=b'9' => {
                    self.number()?;
                    self.literal(begin, last)?
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(last)?,
                b'(' | b'[' | b'{' => {
                    // A call or an index goes on with the expression before it.
                    if last == Last::Operand && touches && byte != b'{' {
                        self.longer(begin)?;
                    } else if last == Last::Operand {
                        self.chain = 0;
                    }
                    self.open(byte)?;
                    Last::Operator
                }
                b')' | b']' | b'}' => {
                    self.close(byte)?;
                    Last::Operand
                }
                b',' | b';' => {
                    self.at += 1;
                    self.chain = 0;
                    Last::Operator
                }
                b':' => {
                    self.at += if self.bytes.get(begin + 1) == Some(&b'=') { 2 } else { 1 };
                    self.chain = 0;
                    Last::Operator
                }
                b'=' if self.bytes.get(begin + 1) != Some(&b'=') => {
                    self.at += 1;
                    self.chain = 0;
                    Last::Operator
                }
                b'-' => {
                    self.at += 1;
                    self.minuses = was_minus + 1;
                    if self.minuses > 2 {
                        return Err(self
                            .problem(begin, "Here are three minus signs in a row")
                            .help("Write one, or none"));
                    }
                    self.longer(begin)?;
                    Last::Operator
                }
                b'=' | b'<' | b'>' | b'!' => {
                    self.at += if self.bytes.get(begin + 1) == Some(&b'=') { 2 } else { 1 };
                    self.longer(begin)?;
                    Last::Operator
                }
                b'+' | b'*' | b'/' | b'%' | b'|' | b'&' | b'.' => {
                    self.at += 1;
                    self.longer(begin)?;
                    Last::Operator
                }
                _ => {
                    let shown = self.source.get(begin..).and_then(|rest| rest.chars().next()).unwrap_or('?');
                    let problem = format!("`{shown}` has no meaning in Rego here");
                    return Err(self.problem(begin, problem).help("Texts stand in \"quotes\", remarks behind #"));
                }
            };
            touches = true;
        }
        match self.open.last() {
            None => Ok(()),
            Some(&(close, at, _)) => {
                let close = char::from(close);
                Err(self.problem(at, "This bracket is never closed").help(format!("Close it with a {close}")))
            }
        }
    }

    fn problem(&self, byte: usize, problem: impl Into<String>) -> PolicyProblem {
        PolicyProblem::at_byte(self.source, byte, problem)
    }

    /// One more token. Those in brackets are read once more for each of them.
    fn step(&mut self, at: usize) -> Result<(), PolicyProblem> {
        self.steps += 1 << self.open.len();
        if self.steps > PARSER_STEPS {
            let problem = "So much stands in brackets within brackets up to here that it would take too long to read";
            return Err(self.problem(at, problem).help("Nest less, or say less there"));
        }
        Ok(())
    }

    /// The present expression goes on.
    fn longer(&mut self, at: usize) -> Result<(), PolicyProblem> {
        self.chain += 1;
        if self.chain > POLICY_CHAIN {
            let problem = format!("This expression has more than {POLICY_CHAIN} operators, fields and indexes");
            return Err(self.problem(at, problem).help("Split it: give a part of it a name with `:=`"));
        }
        Ok(())
    }

    fn literal(&mut self, at: usize, last: Last) -> Result<Last, PolicyProblem> {
        self.literals += 1;
        if self.literals > POLICY_LITERALS {
            let problem = format!("The policy has more than {POLICY_LITERALS} texts and numbers");
            return Err(self.problem(at, problem).help("Ask for what they have in common, such as a prefix"));
        }
        if last == Last::Operand {
            self.chain = 0;
        }
        Ok(Last::Operand)
    }

    fn open(&mut self, byte: u8) -> Result<(), PolicyProblem> {
        if self.open.len() == POLICY_NESTING {
            let problem = format!(
                "This is the {}th bracket within brackets; at most {POLICY_NESTING} are allowed",
                POLICY_NESTING + 1
            );
            return Err(self.problem(self.at, problem).help("Give what is inside a name, as a rule of its own"));
        }
        let close = match byte {
            b'(' => b')',
            b'[' => b']',
            _ => b'}',
        };
        self.open.push((close, self.at, self.chain));
        self.chain = 0;
        self.at += 1;
        Ok(())
    }

    fn close(&mut self, byte: u8) -> Result<(), PolicyProblem> {
        match self.open.pop() {
            Some((close, _, chain)) if close == byte => {
                self.chain = chain;
                self.at += 1;
                Ok(())
            }
            Some((close, ..)) => {
                let (close, byte) = (char::from(close), char::from(byte));
                let problem = format!("`{byte}` closes nothing here: the bracket that is open closes with `{close}`");
                Err(self.problem(self.at, problem))
            }
            None => Err(self.problem(self.at, format!("`{}` closes nothing: no bracket is open", char::from(byte)))),
        }
    }

    /// A text in quotes, up to its end. What is wrong inside it, the engine says.
    fn string(&mut self) -> Result<(), PolicyProblem> {
        let begin = self.at;
        self.at += 1;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(b'\n') | None => {
                    return Err(self.problem(begin, "The text that begins here has no end").help("Close it with a \""));
                }
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(())
    }

    fn number(&mut self) -> Result<(), PolicyProblem> {
        let begin = self.at;
        let digits =
            |from: usize| self.bytes[from.min(self.bytes.len())..].iter().take_while(|it| it.is_ascii_digit()).count();
        let mut end = begin + 1;
        if self.bytes[begin] != b'0' {
            end += digits(end);
        }
        if self.bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
            end += 1 + digits(end + 1);
        }
        let mut exponent = 0;
        if matches!(self.bytes.get(end), Some(b'e' | b'E')) {
            end += 1;
            if matches!(self.bytes.get(end), Some(b'+' | b'-')) {
                end += 1;
            }
            exponent = digits(end);
            end += exponent;
        }
        self.at = end;
        if end - begin > NUMBER_LENGTH || exponent > EXPONENT_DIGITS {
            return Err(self.problem(begin, "This number is too large to be decided by"));
        }
        Ok(())
    }

    fn word(&mut self, last: Last) -> Result<Last, PolicyProblem> {
        let begin = self.at;
        let rest = &self.bytes[begin..];
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        self.at += length;
        // Behind a dot a word is the name of a field, whatever it says.
        let is_field = begin > 0 && self.bytes[begin - 1] == b'.';
        match &rest[..length] {
            b"in" if !is_field => {
                self.longer(begin)?;
                Ok(Last::Operator)
            }
            b"package" if !is_field => Err(self
                .problem(begin, "A policy has no `package`: each one is in a package of its own")
                .help("Delete the line")),
            _ => {
                if last == Last::Operand {
                    self.chain = 0;
                }
                Ok(Last::Operand)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(source: &str) -> String {
        scan(source).expect_err(source).problem
    }

    #[test]
    fn a_usual_policy_is_taken() {
        let source = "# Reads\nallow if {\n\tinput.request.method in {\"GET\", \"HEAD\"}\n\tnot startswith(input.request.path[1], `x`)\n\t\
                      x := [y | some y in input.request.path; y != \"-\"][0]\n\tx == -1.5e3 - 2\n}\n";
        assert_eq!(scan(source), Ok(()));
    }

    #[test]
    fn nine_brackets_are_one_too_many_and_eight_are_not() {
        assert_eq!(scan(&format!("allow := {}{}", "[".repeat(8), "]".repeat(8))), Ok(()));
        for open in ["[", "{", "(", "set(", "[{"] {
            assert!(refused(&format!("allow := {}", open.repeat(9))).contains("9th bracket"), "{open}");
        }
        assert_eq!(
            scan(&format!("allow := \"{}\" # {}", "[".repeat(9), "{".repeat(9))),
            Ok(()),
            "in a text, in a remark"
        );
    }

    #[test]
    fn a_long_expression_is_refused_however_it_is_written() {
        for (link, end) in
            [("1 +", "1"), ("1\n+\n", "1"), ("x.", "y"), ("x in ", "y"), ("(1) *", "1"), ("x\n#\n==", "x")]
        {
            assert!(refused(&format!("allow := {}{end}", link.repeat(120))).contains("100 operators"), "{link}");
        }
        assert!(refused(&format!("allow := x{}", "[0]".repeat(120))).contains("100 operators"));
        assert!(refused("allow := ---1").contains("minus"));
        assert!(refused("allow := - - -x").contains("minus"));
        let many: String = (0..400).map(|n| format!("a{n} := input.b.c == {n}\n")).collect();
        assert_eq!(scan(&many), Ok(()), "expressions behind one another are not one");
    }

    #[test]
    fn what_the_parser_would_read_again_and_again_is_bounded() {
        let many = format!("allow := {}{}1{}", "[".repeat(8), "1,".repeat(10_000), "]".repeat(8));
        assert!(refused(&many).contains("too long to read") || refused(&many).contains("2000 texts"));
        let names = format!("allow := {}{}x{}", "[".repeat(8), "x,".repeat(10_000), "]".repeat(8));
        assert!(refused(&names).contains("too long to read"));
    }

    #[test]
    fn what_hides_a_part_of_the_text_is_refused() {
        for hidden in ["\0", "\u{202E}", "\u{200B}", "\u{FEFF}", "\rx", "\u{1b}", "\u{2028}", "\u{2066}"] {
            assert!(refused(&format!("allow := false # {hidden}\nallow := true")).starts_with("Here is"), "{hidden:?}");
        }
        assert_eq!(scan("allow := true\r\n"), Ok(()));
        assert!(refused("\u{FEFF}allow := true").contains("byte order mark"));
    }

    #[test]
    fn a_package_line_and_other_slips_are_told() {
        assert!(refused("package policy\nallow := true").contains("no `package`"));
        assert_eq!(scan("allow if input.package == 1"), Ok(()));
        assert!(refused("").contains("empty"));
        assert!(refused(" \n# only a remark".trim_start_matches(|_| true)).contains("empty"));
        assert!(refused("allow if { x").contains("never closed"));
        assert!(refused("allow if x }").contains("closes nothing"));
        assert!(refused("allow if (x]").contains("closes with `)`"));
        assert!(refused("allow := \"x").contains("no end"));
        assert!(refused("allow := `x").contains("no end"));
        assert!(refused("allow := 1e9999").contains("too large"));
        assert!(refused("allow := §").contains("`§`"));
        assert!(refused(&"x".repeat(65_537)).contains("65537 characters"));
    }
}
