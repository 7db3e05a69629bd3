//! The loom models of the crates, as they stand in `crates/*/tests/loom.rs`.
//!
//! The program `models` runs each alone and writes the table in `tests/MODELS.md`; a test of this package
//! sees that it names all of them.

use std::fs;
use std::path::Path;

use crate::mutations::Result;

/// The table, from the workspace's root.
pub const TABLE: &str = "tests/MODELS.md";

/// A model: a test in one crate's `tests/loom.rs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The crate's folder.
    pub krate: String,
    /// The test, whose name is the claim.
    pub name: String,
    /// How far the search goes.
    pub bound: Bound,
}

/// How many switches that no thread asked for are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// One.
    One,
    /// One less than the run allows.
    OneLess,
    /// As many as the run allows.
    Full,
}

impl Bound {
    /// The number, if the run allows `max`.
    pub fn of(self, max: usize) -> usize {
        match self {
            Self::One => 1.min(max),
            Self::OneLess => max.saturating_sub(1).max(1),
            Self::Full => max,
        }
    }
}

impl Model {
    /// The claim, in words.
    pub fn claim(&self) -> String {
        self.name.replace('_', " ")
    }
}

/// A function of a file: its name, whether it is a test, and its text.
struct Function<'a> {
    name: &'a str,
    is_test: bool,
    text: String,
}

/// All models, in the order of crates' names and of the files.
///
/// # Errors
/// When the files cannot be read.
pub fn read_all(root: &Path) -> Result<Vec<Model>> {
    let mut crates = fs::read_dir(root.join("crates"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    crates.sort();
    let mut models = Vec::new();
    for folder in crates {
        let Ok(text) = fs::read_to_string(folder.join("tests/loom.rs")) else { continue };
        let krate = folder.file_name().and_then(|name| name.to_str()).ok_or("no name")?;
        let functions = functions(&text);
        for function in functions.iter().filter(|function| function.is_test) {
            let (krate, name) = (krate.to_owned(), function.name.to_owned());
            models.push(Model { krate, name, bound: bound(function, &functions) });
        }
    }
    Ok(models)
}

/// The functions of a file, formatted as they are here: each ends at a brace in the first column.
fn functions(text: &str) -> Vec<Function<'_>> {
    let mut functions: Vec<Function<'_>> = Vec::new();
    let (mut is_test, mut is_inside) = (false, false);
    for line in text.lines() {
        if is_inside {
            let text = &mut functions.last_mut().expect("it has begun").text;
            text.push_str(line);
            text.push('\n');
            is_inside = line != "}";
        } else if line == "#[test]" {
            is_test = true;
        } else if let Some((name, _)) = line
            .trim_start_matches("const ")
            .strip_prefix("fn ")
            .and_then(|rest| rest.split_once(['(', '<']))
        {
            is_inside = !line.ends_with('}') && !line.ends_with(';');
            functions.push(Function { name, is_test, text: String::new() });
            is_test = false;
        }
    }
    functions
}

/// What a model, or what it calls, says of its bound.
fn bound(function: &Function<'_>, all: &[Function<'_>]) -> Bound {
    let own = if function.text.contains("bound.min(1)") {
        Bound::One
    } else if function.text.contains("bound.saturating_sub(1)") {
        Bound::OneLess
    } else {
        Bound::Full
    };
    let called = all.iter().filter(|other| {
        other.name != function.name && !other.is_test && calls(&function.text, other.name)
    });
    called.map(|other| bound(other, all)).chain([own]).min().unwrap_or(own)
}

fn calls(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(is_part) && text[at + name.len()..].starts_with('('))
}
