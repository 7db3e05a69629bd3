//! The lists of `tests/mutations`: ways to break the code, each of which some test has to see.
//!
//! They are tried by the program `mutations`. The tests of this package look after the lists: each fits
//! the code as it is, and none is missing that has to be there.
//!
//! ```text
//! # A comment.
//! [what is broken, which is its name]
//! in the file that is changed
//! by the crate, the test program, and (unless all are to run) the test that sees it
//! - lines that are taken out: they stand there, one below the other, exactly once
//! + lines that come in their place
//! ```
//!
//! After a `+` line, further `-` lines are another change of the same file; after another `in` line, of
//! another file. Where lines begin does not count.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::ops::Range;
use std::path::Path;

/// What went wrong, in words.
pub type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// A way to break the code.
#[derive(Debug, Default)]
pub struct Mutation {
    /// What is broken.
    pub name: String,
    /// The crate, the test program, the test.
    pub by: Vec<String>,
    /// Where, in this order.
    pub changes: Vec<Change>,
}

/// One of the places where a mutation changes something.
#[derive(Debug, Default)]
pub struct Change {
    /// From the workspace's root.
    pub file: String,
    /// The lines that are taken out.
    pub out: Vec<String>,
    /// The lines that come in their place.
    pub put: Vec<String>,
}

impl Mutation {
    /// The files that it changes, and what they are then.
    ///
    /// # Errors
    /// When lines to be taken out are not there exactly once.
    pub fn applied(&self, root: &Path) -> Result<BTreeMap<String, String>> {
        let mut files = BTreeMap::new();
        for change in &self.changes {
            let text = match files.remove(&change.file) {
                Some(text) => text,
                None => read(root, &change.file)?,
            };
            let mut lines: Vec<&str> = text.lines().collect();
            let place = change.place(&lines).map_err(|many| {
                format!("[{}] fits {many} places of {}, not one", self.name, change.file)
            })?;
            lines.splice(place, change.put.iter().map(String::as_str));
            files.insert(change.file.clone(), lines.join("\n") + "\n");
        }
        Ok(files)
    }
}

impl Change {
    /// Where its lines are among these; or how often they are there, if not once.
    ///
    /// # Errors
    /// The number of places, if that is not one.
    pub fn place(&self, lines: &[&str]) -> Result<Range<usize>, usize> {
        let is_here = |at: &usize| {
            let here = &lines[*at..];
            here.len() >= self.out.len() && here.iter().zip(&self.out).all(|(a, b)| a.trim() == b)
        };
        match (0..lines.len()).filter(is_here).collect::<Vec<_>>()[..] {
            [at] => Ok(at..at + self.out.len()),
            ref places => Err(places.len()),
        }
    }
}

/// A file of the workspace.
fn read(root: &Path, file: &str) -> Result<String> {
    fs::read_to_string(root.join(file)).map_err(|e| format!("{file}: {e}").into())
}

/// The lists of a folder, in the order of their names.
///
/// # Errors
/// When a line is none of a list, or a mutation says too little.
pub fn read_all(folder: &Path) -> Result<Vec<Mutation>> {
    let mut files =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let mut all: Vec<Mutation> = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        for (number, line) in (1..).zip(text.lines()) {
            let wrong = || format!("{}:{number}: {line}", file.display());
            let line = line.trim();
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                all.push(Mutation { name: name.to_owned(), ..Mutation::default() });
                continue;
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mutation = all.last_mut().ok_or_else(wrong)?;
            let (key, rest) = line.split_at(line.find(' ').unwrap_or(line.len()));
            let rest = rest.trim();
            match (key, mutation.changes.last_mut()) {
                ("in", _) => {
                    mutation.changes.push(Change { file: rest.to_owned(), ..Change::default() });
                }
                ("by", _) => mutation.by = rest.split_whitespace().map(str::to_owned).collect(),
                ("-", Some(change)) if !change.put.is_empty() => {
                    let (file, out) = (change.file.clone(), vec![rest.to_owned()]);
                    mutation.changes.push(Change { file, out, put: Vec::new() });
                }
                ("-", Some(change)) => change.out.push(rest.to_owned()),
                ("+", Some(change)) => change.put.push(rest.to_owned()),
                _ => return Err(wrong().into()),
            }
        }
    }
    for mutation in &all {
        let says_what = mutation.changes.iter().all(|change| !change.out.is_empty());
        if mutation.changes.is_empty() || !says_what || !matches!(mutation.by.len(), 2 | 3) {
            return Err(format!("`{}` says too little", mutation.name).into());
        }
    }
    Ok(all)
}
