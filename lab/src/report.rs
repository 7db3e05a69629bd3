//! What came of it: a table in the terminal, and a picture.

use std::fmt;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use crate::plot::Figure;

/// What a simulation found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What was simulated, in a line.
    pub title: String,
    /// What the traffic was.
    pub note: String,
    /// Names and values, in order.
    pub rows: Vec<(String, String)>,
    /// Lists of more than one column.
    pub lists: Vec<List>,
    /// What is said about the lines that could not be used.
    pub bad_lines: Vec<String>,
    /// Whether there was a trace, and none of its lines could be used.
    pub unusable: bool,
    /// The picture.
    pub figure: Option<Figure>,
}

/// A table with a head.
#[derive(Debug, Clone)]
pub struct List {
    /// The names of the columns.
    pub head: Vec<String>,
    /// As many cells a row.
    pub rows: Vec<Vec<String>>,
}

impl Report {
    /// Without results yet: what was simulated, and with what traffic.
    pub fn new(title: impl Into<String>, note: impl Into<String>) -> Self {
        Self { title: title.into(), note: note.into(), ..Self::default() }
    }

    /// A picture with the same title, without panels yet.
    pub fn empty_figure(&self) -> Figure {
        Figure::new(&self.title).note(&self.note)
    }

    /// One more result.
    pub fn row(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.rows.push((name.into(), value.into()));
    }

    /// The result of this name, if there is one.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.rows.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n", self.title, self.note)?;
        let mut table = Table::new();
        table.load_preset(NOTHING);
        for (name, value) in &self.rows {
            table.add_row([name, value]);
        }
        write_table(f, &table)?;
        for list in &self.lists {
            writeln!(f)?;
            let mut table = Table::new();
            table.load_preset(NOTHING);
            table.set_header(&list.head);
            for row in &list.rows {
                table.add_row(row);
            }
            let is_number = |text: &String| !text.starts_with(char::is_alphabetic);
            for (place, column) in table.column_iter_mut().enumerate().skip(1) {
                if list.rows.iter().all(|row| row.get(place).is_none_or(is_number)) {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
            write_table(f, &table)?;
        }
        if !self.bad_lines.is_empty() {
            writeln!(f, "\nNot used:")?;
            for line in &self.bad_lines {
                writeln!(f, "  {line}")?;
            }
        }
        Ok(())
    }
}

/// Without the blanks at the ends of lines.
fn write_table(f: &mut fmt::Formatter<'_>, table: &Table) -> fmt::Result {
    table.lines().try_for_each(|line| writeln!(f, "{}", line.trim_end()))
}
