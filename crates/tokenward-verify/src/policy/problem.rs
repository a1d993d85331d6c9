//! What is wrong with a policy, for whoever wrote it: where, what, and what to do.

use std::fmt;

/// Why a policy is not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyProblem {
    /// The line, from 1; `None` where it is about the whole text.
    pub line: Option<u32>,
    /// The column in it, in characters from 1.
    pub column: Option<u32>,
    /// What is wrong.
    pub problem: String,
    /// What to do about it, where there is more to say.
    pub help: Option<String>,
    /// The line itself.
    pub excerpt: Option<String>,
}

/// Characters of a line that are shown.
const EXCERPT: usize = 120;

impl PolicyProblem {
    /// A problem of the whole text.
    pub(super) fn whole(problem: impl Into<String>) -> Self {
        Self { line: None, column: None, problem: problem.into(), help: None, excerpt: None }
    }

    /// A problem at this place of `source`: a line and a column, both from 1.
    pub(super) fn at(source: &str, line: u32, column: u32, problem: impl Into<String>) -> Self {
        let shown = |text: &str| text.chars().take(EXCERPT).collect::<String>();
        let excerpt = source.lines().nth(line.saturating_sub(1) as usize).map(shown);
        Self { line: Some(line), column: Some(column), problem: problem.into(), help: None, excerpt }
    }

    /// The same where the engine says the column: a tab counts four there, and a letter in quotes as many as it has bytes.
    pub(super) fn at_told(source: &str, line: u32, told: u32, problem: impl Into<String>) -> Self {
        let (mut row, mut here, mut column) = (1_u32, 1_u32, 1_u32);
        let mut within = Within::Code;
        for c in source.chars() {
            if row == line && (here >= told || c == '\n') {
                break;
            }
            if c == '\n' {
                (row, here, column) = (row + 1, 1, 1);
            } else {
                here += match within {
                    _ if c == '\t' => 4,
                    // A letter has four bytes at most.
                    Within::Quotes { .. } => u32::try_from(c.len_utf8()).unwrap_or(1),
                    _ => 1,
                };
                column += 1;
            }
            within = within.after(c);
        }
        Self::at(source, line, column, problem)
    }

    /// A problem at this byte of `source`.
    pub(super) fn at_byte(source: &str, byte: usize, problem: impl Into<String>) -> Self {
        let before = source.get(..byte).unwrap_or(source);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self::at(source, u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX), problem)
    }

    /// The same with what to do.
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Where in a policy a character stands.
#[derive(Clone, Copy)]
enum Within {
    Code,
    Remark,
    /// Whether the next character is escaped.
    Quotes {
        escaped: bool,
    },
    Backticks,
}

impl Within {
    /// Behind this character.
    fn after(self, c: char) -> Self {
        match (self, c) {
            (Self::Code, '"') => Self::Quotes { escaped: false },
            (Self::Code, '`') => Self::Backticks,
            (Self::Code, '#') => Self::Remark,
            (Self::Quotes { escaped: false }, '\\') => Self::Quotes { escaped: true },
            (Self::Quotes { escaped: false }, '"') | (Self::Backticks, '`') => Self::Code,
            (Self::Quotes { .. } | Self::Remark, '\n') => Self::Code,
            (Self::Quotes { .. }, _) => Self::Quotes { escaped: false },
            (other, _) => other,
        }
    }
}

impl fmt::Display for PolicyProblem {
    /// `line 3, column 7: … . Do this.`, and on the next lines the source with a mark below.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.problem)?;
        if let Some(help) = &self.help {
            write!(f, ". {help}")?;
        }
        if let (Some(line), Some(column), Some(excerpt)) = (self.line, self.column, &self.excerpt) {
            let number = line.to_string();
            // A tab is as wide as it is shown: the mark goes below by the same characters.
            let mark: String = excerpt
                .chars()
                .take(column.saturating_sub(1) as usize)
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            write!(f, "\n{number} | {excerpt}\n{:>width$} | {mark}^", "", width = number.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tab_is_one_character_wherever_the_engine_counts_it_as_four() {
        let source = "allow if {\n\tx\t== 1\n}";
        for (told, column) in [(1, 1), (5, 2), (10, 4), (11, 5)] {
            assert_eq!(PolicyProblem::at_told(source, 2, told, "x").column, Some(column), "{told}");
        }
    }

    #[test]
    fn a_letter_in_quotes_is_one_character_wherever_the_engine_counts_its_bytes() {
        // What the engine says of the `!` in each last line, and where it is.
        for (source, line, told, column) in [
            ("x == \"Grüße\"; !", 1, 17, 15),
            ("x == \"\\\"ü\"; !", 1, 14, 13),
            ("x == `Grüße`; !", 1, 15, 15),
            ("# \"\nx == \"ü\"; !", 2, 12, 11),
            ("x == `\nü` == \"ü\"; !", 2, 13, 12),
        ] {
            let text: Vec<char> = source.lines().nth(line as usize - 1).unwrap().chars().collect();
            assert_eq!(text[column - 1], '!', "{source}");
            let problem = PolicyProblem::at_told(source, line, told, "x");
            assert_eq!(problem.column, Some(column as u32), "{source}");
        }
    }

    #[test]
    fn a_problem_shows_the_line_and_a_mark_below() {
        let source = "allow if {\n\tinput.request.metod == \"GET\"\n}";
        let problem =
            PolicyProblem::at_byte(source, source.find("metod").unwrap(), "is not known").help("Say `method`");
        assert_eq!((problem.line, problem.column), (Some(2), Some(16)));
        let shown = problem.to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "line 2, column 16: is not known. Say `method`");
        assert_eq!(lines[1], "2 | \tinput.request.metod == \"GET\"");
        assert_eq!(lines[2], "  | \t              ^");
    }
}
