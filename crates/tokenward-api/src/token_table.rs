//! Files of tokens of another system: tables as spreadsheets write them (RFC 4180), with the names of the columns in the first
//! line, or an object of JSON a line. Read by the command line, and by the console.

use serde_json::{Map, Value};
use tokenward_core::Uuid;

/// A row, and the line in which it begins.
pub struct TableRow {
    /// The line, counted from 1.
    pub line: usize,
    /// What it says, by the names of the columns.
    pub fields: Map<String, Value>,
}

/// The rows of a text in either form. The error is a sentence.
pub fn rows(text: &str) -> Result<Vec<TableRow>, String> {
    let start = text.trim_start_matches('\u{feff}').trim_start();
    if start.starts_with('{') { objects(text) } else { table(text) }
}

fn objects(text: &str) -> Result<Vec<TableRow>, String> {
    let mut rows = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line_number = at + 1;
        if line.trim().is_empty() {
            continue;
        }
        // What the parser says of a text could repeat a secret.
        let fields = serde_json::from_str(line).map_err(|_| format!("Line {line_number} is no object of JSON."))?;
        rows.push(TableRow { line: line_number, fields });
    }
    Ok(rows)
}

/// A cell, and whether it is the last of its record.
struct Cell {
    text: String,
    ends: bool,
}

/// What is left of a table, and in which line that is.
struct Rest<'a> {
    text: &'a str,
    line: usize,
    separator: char,
}

impl Rest<'_> {
    /// The next cell; `None` at the end.
    fn cell(&mut self) -> Result<Option<Cell>, String> {
        if self.text.is_empty() {
            return Ok(None);
        }
        let mut text = String::new();
        if let Some(quoted) = self.text.strip_prefix('"') {
            let begun = self.line;
            self.text = quoted;
            loop {
                let Some(at) = self.text.find('"') else {
                    return Err(format!("The quotes of a cell that begins in line {begun} do not end."));
                };
                text.push_str(&self.text[..at]);
                self.line += self.text[..at].matches('\n').count();
                self.text = &self.text[at + 1..];
                match self.text.strip_prefix('"') {
                    Some(rest) => self.text = rest,
                    None => break,
                }
                text.push('"');
            }
        } else {
            let end = self.text.find([self.separator, '\n']).unwrap_or(self.text.len());
            text.push_str(self.text[..end].trim_end_matches('\r'));
            self.text = &self.text[end..];
        }
        self.text = self.text.strip_prefix('\r').unwrap_or(self.text);
        if let Some(rest) = self.text.strip_prefix(self.separator) {
            self.text = rest;
            // What ends behind a separator has one more cell, which is empty.
            if rest.is_empty() {
                self.text = "\n";
            }
            return Ok(Some(Cell { text, ends: false }));
        }
        if let Some(rest) = self.text.strip_prefix('\n') {
            (self.text, self.line) = (rest, self.line + 1);
        } else if !self.text.is_empty() {
            return Err(format!("In line {}, something stands behind the quotes of a cell.", self.line));
        }
        Ok(Some(Cell { text, ends: true }))
    }

    /// The cells of the next record, and the line in which it begins.
    fn record(&mut self) -> Result<Option<(usize, Vec<String>)>, String> {
        let line = self.line;
        let mut cells = Vec::new();
        while let Some(Cell { text, ends }) = self.cell()? {
            cells.push(text);
            if ends {
                return Ok(Some((line, cells)));
            }
        }
        Ok((!cells.is_empty()).then_some((line, cells)))
    }
}

/// The rows of a table.
fn table(text: &str) -> Result<Vec<TableRow>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let head = text.lines().next().unwrap_or_default();
    // Spreadsheets of some languages write semicolons.
    let separator = if head.contains(';') && !head.contains(',') { ';' } else { ',' };
    let mut rest = Rest { text, line: 1, separator };
    let Some((_, columns)) = rest.record()? else { return Ok(Vec::new()) };
    let columns: Vec<String> = columns.iter().map(|it| it.trim().to_ascii_lowercase()).collect();
    if let Some(twice) = columns.iter().enumerate().find(|(at, it)| columns[..*at].contains(it)) {
        return Err(format!("There are two columns `{}`.", twice.1));
    }
    let mut rows = Vec::new();
    while let Some((line, cells)) = rest.record()? {
        if cells.iter().all(String::is_empty) {
            continue;
        }
        if cells.len() != columns.len() {
            return Err(format!("Line {line} has {} cells, and the first line {}.", cells.len(), columns.len()));
        }
        let fields: Map<String, Value> = columns.iter().cloned().zip(cells.into_iter().map(Value::from)).collect();
        rows.push(TableRow { line, fields });
    }
    Ok(rows)
}

/// Several words: a list of texts, or in a cell with spaces or commas between.
pub fn words(said: Option<&Value>) -> Result<Vec<String>, &'static str> {
    match said {
        Some(Value::String(text)) => {
            Ok(text.split([' ', ',']).filter(|it| !it.is_empty()).map(str::to_owned).collect())
        }
        other => list(other),
    }
}

/// Several names or ids: a list of texts, or in a cell with commas between. Ids may have spaces between, as in a table that was
/// exported.
pub fn names(said: Option<&Value>) -> Result<Vec<String>, &'static str> {
    let Some(Value::String(text)) = said else { return list(said) };
    let mut all = Vec::new();
    for part in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
        if part.split_whitespace().all(|it| Uuid::parse_str(it).is_ok()) {
            all.extend(part.split_whitespace().map(str::to_owned));
        } else {
            all.push(part.to_owned());
        }
    }
    Ok(all)
}

/// A list of texts. An empty one would mean nowhere, and be taken for everywhere.
fn list(said: Option<&Value>) -> Result<Vec<String>, &'static str> {
    match said {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(all)) if all.is_empty() => {
            Err("is an empty list; leave it out where nothing is to be narrowed")
        }
        Some(Value::Array(all)) => {
            let texts: Option<Vec<String>> = all.iter().map(|it| it.as_str().map(|it| it.trim().to_owned())).collect();
            texts.ok_or("is neither a list of texts nor one text")
        }
        Some(_) => Err("is neither a list of texts nor one text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(usize, Vec<String>)>, String> {
        let of_one = |row: TableRow| {
            let cells =
                row.fields.into_iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
            (row.line, cells.collect())
        };
        rows(text).map(|all| all.into_iter().map(of_one).collect())
    }

    #[test]
    fn cells_have_quotes_commas_and_lines() {
        let all = read("a,b\n1,\"x, \"\"y\"\"\nz\"\n\n2,\r\n\"3\",\"\"").unwrap();
        let expected: Vec<(usize, Vec<String>)> = vec![
            (2, vec!["a=1".into(), "b=x, \"y\"\nz".into()]),
            (5, vec!["a=2".into(), "b=".into()]),
            (6, vec!["a=3".into(), "b=".into()]),
        ];
        assert_eq!(all, expected);
        assert_eq!(read("\u{feff}A; b \n1;2,3\n").unwrap(), [(2, vec!["a=1".to_owned(), "b=2,3".to_owned()])]);
        assert_eq!(read("\n{\"a\":\"1\"}\n").unwrap(), [(2, vec!["a=1".to_owned()])]);
        assert!(read("").unwrap().is_empty() && read("a,b\n").unwrap().is_empty());
        assert_eq!(read("a,b\n1,").unwrap(), [(2, vec!["a=1".to_owned(), "b=".to_owned()])]);
    }

    #[test]
    fn a_cell_has_several_words_names_or_ids() {
        use serde_json::json;

        let id = "0193614c-2a00-7c41-9f3a-000000000001";
        let ids = format!("{id} {id}");
        for (said, expected) in [
            (json!("invoices:read, *:read token:verify"), vec!["invoices:read", "*:read", "token:verify"]),
            (json!(["a:b"]), vec!["a:b"]),
            (json!(""), vec![]),
            (json!(null), vec![]),
        ] {
            assert_eq!(words(Some(&said)).unwrap(), expected, "{said}");
        }
        for (said, expected) in [
            (json!("the shop, bank/staging"), vec!["the shop", "bank/staging"]),
            (json!(ids), vec![id, id]),
            (json!(["the shop"]), vec!["the shop"]),
        ] {
            assert_eq!(names(Some(&said)).unwrap(), expected, "{said}");
        }
        for said in [json!([]), json!([1]), json!({}), json!(1)] {
            assert!(words(Some(&said)).is_err() && names(Some(&said)).is_err(), "{said}");
        }
        assert!(names(None).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_table_is_told_with_its_line() {
        for (text, said) in [
            ("a,b\n1", "Line 2 has 1 cells"),
            ("a,b\n1,2\n1,2,3\n", "Line 3 has 3 cells"),
            ("a,b\n1,\"x\n", "line 2 do not end"),
            ("a,b\n1,\"x\"y\n", "In line 2"),
            ("a,A\n", "two columns `a`"),
        ] {
            let told = read(text).unwrap_err();
            assert!(told.contains(said), "{text:?}: {told}");
        }
    }
}
