//! What the patterns of regular expressions may cost, by their text: to be made into a machine, and to be looked for.
//!
//! The engine bounds how large the machine may become, but neither how long its classes of characters take to be made (each
//! `\pL` is hundreds of ranges, and without regard to case a range is gone through character by character), nor that it may
//! take as many steps for each character as it has states.

/// Bytes that one evaluation may read and write in functions, about.
pub(super) const WORK: usize = 4 * 1024 * 1024;
/// What one byte of a pattern takes to be made, about.
pub(super) const BYTE: usize = 64;
/// What one state takes.
const STATE: usize = 16;
/// What a class of characters of all writing takes, and what it takes to go through all characters.
const CLASS: usize = 16 * 1024;
const ALL: usize = WORK / 4;
/// States of a class of all writing; of one that goes beyond ASCII in another way; of one character.
const CLASS_STATES: usize = 300;
const WIDE_STATES: usize = 12;
const LETTER_STATES: usize = 4;
/// The engine makes no machine of more states.
const MOST: usize = 4_096;

/// What a pattern costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PatternCost {
    /// To be made.
    pub(super) make: usize,
    /// States of its machine, at most.
    pub(super) states: usize,
    /// How far it may look ahead before it knows that nothing begins here, in bytes.
    reach: usize,
}

impl PatternCost {
    /// By its text; it need not be one that can be used.
    pub(super) fn of(pattern: &str) -> Self {
        let mut reader = Reader::of(pattern);
        reader.read();
        let states = reader.total.saturating_add(2).min(MOST);
        let gone_through = if folds(pattern) { reader.wide.saturating_mul(ALL) } else { 0 };
        let make = BYTE.saturating_mul(pattern.len()).saturating_add(STATE * states);
        let make = make.saturating_add(reader.classes.saturating_mul(CLASS)).saturating_add(gone_through);
        Self { make, states, reach: if reader.is_endless { usize::MAX } else { states } }
    }

    /// To be looked for once in so many bytes.
    pub(super) fn once(self, bytes: usize) -> usize {
        self.make.saturating_add(self.states.saturating_mul(bytes).saturating_mul(2))
    }

    /// To be looked for again behind each place where it was found.
    pub(super) fn each(self, bytes: usize) -> usize {
        let ahead = bytes.min(self.reach).max(2);
        self.make.saturating_add(self.states.saturating_mul(bytes).saturating_mul(ahead))
    }
}

/// Is the case of letters without regard anywhere in it?
fn folds(pattern: &str) -> bool {
    let is_flag = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'-';
    pattern.split("(?").skip(1).any(|rest| rest.bytes().take_while(is_flag).any(|it| it == b'i'))
}

/// Reads a pattern once, and counts.
struct Reader<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    /// States of the groups around the present one, before it.
    around: Vec<usize>,
    /// States of the present group, and of its last part.
    total: usize,
    last: usize,
    /// Classes of all writing.
    classes: usize,
    /// Classes that may be nearly all characters.
    wide: usize,
    is_endless: bool,
}

impl<'a> Reader<'a> {
    fn of(pattern: &'a str) -> Self {
        let rest = pattern.chars().peekable();
        Self { rest, around: Vec::new(), total: 0, last: 0, classes: 0, wide: 0, is_endless: false }
    }

    fn read(&mut self) {
        while let Some(c) = self.rest.next() {
            match c {
                '\\' => {
                    let states = self.escaped();
                    self.part(states);
                }
                '[' => {
                    let states = self.class();
                    self.part(states);
                }
                '.' => self.part(WIDE_STATES),
                '(' => {
                    self.around.push(self.total);
                    (self.total, self.last) = (0, 0);
                    if self.rest.next_if_eq(&'?').is_some() {
                        // Flags, or a name.
                        while self.rest.next_if(|it| !matches!(it, ':' | ')' | '>')).is_some() {}
                    }
                }
                ')' => {
                    let group = self.total;
                    self.total = self.around.pop().unwrap_or_default();
                    self.part(group.saturating_add(1));
                }
                '*' | '+' => (self.total, self.is_endless) = (self.total.saturating_add(1), true),
                '?' | '|' => self.total = self.total.saturating_add(1),
                '{' => self.repeated(),
                c if c.is_ascii() => self.part(1),
                _ => self.part(LETTER_STATES),
            }
        }
        // What is not closed counts as well.
        self.total = self.around.iter().fold(self.total, |sum, it| sum.saturating_add(*it));
    }

    fn part(&mut self, states: usize) {
        self.last = states;
        self.total = self.total.saturating_add(states);
    }

    /// Behind a backslash.
    fn escaped(&mut self) -> usize {
        match self.rest.next() {
            Some('p' | 'P') => {
                (self.classes, self.wide) = (self.classes + 1, self.wide + 1);
                if !self.skip_braces() {
                    // `\pL`: its name is one letter.
                    self.rest.next();
                }
                CLASS_STATES
            }
            Some('x' | 'u' | 'U') => {
                self.skip_braces();
                LETTER_STATES
            }
            Some('D' | 'W' | 'S') => WIDE_STATES,
            _ => LETTER_STATES,
        }
    }

    /// Passes over what stands in braces, where they stand here.
    fn skip_braces(&mut self) -> bool {
        let is_there = self.rest.next_if_eq(&'{').is_some();
        while is_there && self.rest.next().is_some_and(|it| it != '}') {}
        is_there
    }

    /// Up to the bracket that closes a class.
    fn class(&mut self) -> usize {
        let (mut depth, mut is_first, mut states) = (1_usize, true, 1);
        if self.rest.next_if_eq(&'^').is_some() {
            states = WIDE_STATES;
        }
        while depth > 0 {
            let Some(c) = self.rest.next() else { break };
            match c {
                ']' if !is_first => depth -= 1,
                '[' => {
                    depth += 1;
                    // `[:alpha:]` is short; all else in brackets may be nearly everything.
                    let is_named = self.rest.peek() == Some(&':');
                    let mut ahead = self.rest.clone();
                    if !is_named || ahead.nth(1) == Some('^') {
                        self.wide += 1;
                        states = states.max(WIDE_STATES);
                    }
                }
                '\\' => {
                    let is_plain = matches!(self.rest.peek(), Some('d' | 'w' | 's'));
                    let is_mark = self.rest.peek().is_some_and(|it| it.is_ascii_punctuation());
                    let inner = self.escaped();
                    if !is_plain && !is_mark {
                        (self.wide, states) = (self.wide + 1, states.max(inner).max(WIDE_STATES));
                    }
                }
                c if !c.is_ascii() => (self.wide, states) = (self.wide + 1, states.max(WIDE_STATES)),
                _ => {}
            }
            is_first = false;
        }
        states
    }

    /// Behind an opening brace: `{3}`, `{3,}`, `{3,9}`, or nothing of that kind.
    fn repeated(&mut self) {
        let (mut numbers, mut digits) = (Vec::new(), String::new());
        loop {
            match self.rest.next() {
                Some(c) if c.is_ascii_digit() => digits.push(c),
                // The engine passes over blanks here.
                Some(c) if c.is_whitespace() => {}
                Some(c @ (',' | '}')) => {
                    numbers.push(digits.parse::<usize>().ok());
                    digits.clear();
                    if c == '}' {
                        break;
                    }
                }
                _ => break,
            }
        }
        if numbers.len() > 1 && numbers.last() == Some(&None) {
            self.is_endless = true;
        }
        let most = numbers.into_iter().flatten().max().unwrap_or(1).max(1);
        let all = self.last.saturating_mul(most);
        self.total = self.total.saturating_add(all.saturating_sub(self.last));
        self.last = all;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_counted_as_often_as_they_are_repeated() {
        for (pattern, least, most) in [
            ("^FEATURE_[A-Z]+$", 10, 20),
            ("^[a-z0-9-]{1,63}$", 63, 80),
            ("(a{100}){10}", 1_000, 1_100),
            ("(((a{100}){100}){100}){100}", MOST, MOST),
            ("(?i:^x{2,}$)", 4, 12),
            (r"\pL{3}", 3 * CLASS_STATES, 4 * CLASS_STATES),
            ("[^/]*", WIDE_STATES, 2 * WIDE_STATES),
            ("((((", 0, 10),
            ("x{99999999999999999999}", 1, 10),
        ] {
            let states = PatternCost::of(pattern).states;
            assert!((least..=most).contains(&states), "{pattern}: {states}");
        }
    }

    #[test]
    fn what_takes_long_to_be_made_costs_more_than_there_is() {
        for bomb in [r"\pL".repeat(300), format!("[{}]", r"\pL".repeat(300)), format!("(?i){}", r"\PL".repeat(5))] {
            assert!(PatternCost::of(&bomb).once(0) > WORK, "{bomb:.40}");
        }
        for bomb in [r"(?i)[x\D]", r"(?i)[\x{1}-\x{10FFFF}]", "(?i)[ -\u{10FFFF}]", "(?i)[x[^a]]", "(?i)[[:^alpha:]]"] {
            assert!(PatternCost::of(&bomb.repeat(5)).once(0) > WORK, "{bomb}");
        }
        for usual in [r"(?i)^feature[_-][a-z\d]+$", "(?i)^[[:alnum:]_-]{1,63}$", r"^(\d{1,3}\.){3}\d{1,3}$", "(?P<i>a)"]
        {
            assert!(PatternCost::of(usual).once(256) < WORK / 16, "{usual}");
        }
    }

    #[test]
    fn what_is_looked_for_again_and_again_costs_as_often_as_it_looks_ahead() {
        let (plain, endless) = (PatternCost::of("ab"), PatternCost::of("a.*b"));
        assert!(plain.each(100_000) < WORK && endless.each(100_000) > WORK);
        assert!(endless.once(1_000) < WORK && endless.each(200) < WORK);
        assert!(PatternCost::of("[01]*1[01]{500}").once(1_000_000) > WORK);
        assert!(PatternCost::of("[01]*1[01]{ 500\t}").once(1_000_000) > WORK);
    }
}
