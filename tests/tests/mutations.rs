//! The lists of mutations are about the code as it is, and complete.
//!
//! Whether each is seen takes long, and is what `ci/mutations.sh` finds out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use steadfast_tests::mutations::{Mutation, Result, read_all};

/// What is above `Relaxed`, and thus there for a reason.
const ORDERS: [&str; 4] =
    ["Ordering::Acquire", "Ordering::Release", "Ordering::AcqRel", "Ordering::SeqCst"];
/// How far behind the comment on a race a mutation of it may be, in lines.
const NEAR: usize = 8;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package of a workspace")
}

fn mutations() -> Vec<Mutation> {
    read_all(&root().join("tests/mutations")).unwrap()
}

/// The files of the crates' `src` folders.
fn sources() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|krate| krate.unwrap().path().join("src"))
        .collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                files.push(entry);
            }
        }
    }
    files.sort();
    files
}

/// The lines of a file that mutations take out, by their index.
fn taken_out(file: &str, text: &str, mutations: &[Mutation]) -> BTreeSet<usize> {
    let lines: Vec<&str> = text.lines().collect();
    mutations
        .iter()
        .flat_map(|mutation| &mutation.changes)
        .filter(|change| change.file == file)
        // Where another change of the same mutation made its lines, they are not there before.
        .filter_map(|change| change.place(&lines).ok())
        .flatten()
        .collect()
}

/// The places of the crates' sources that `missing` finds, given the lines of a file, and which of them
/// are taken out; and of how many.
fn find(
    missing: impl Fn(&[&str], &BTreeSet<usize>) -> (usize, Vec<usize>),
) -> (usize, Vec<String>) {
    let mutations = mutations();
    let mut all = 0;
    let mut places = Vec::new();
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let (count, found) = missing(&lines, &taken_out(name, &text, &mutations));
        all += count;
        places.extend(found.iter().map(|at| format!("{name}:{}: {}", at + 1, lines[*at].trim())));
    }
    (all, places)
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

#[test]
fn every_mutation_fits_one_place_of_the_code() -> Result<()> {
    for mutation in mutations() {
        mutation.applied(root())?;
    }
    Ok(())
}

#[test]
fn every_mutation_has_its_own_name() {
    let mutations = mutations();
    let names: BTreeSet<&str> = mutations.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names.len(), mutations.len());
}

#[test]
fn every_order_above_relaxed_is_weakened_by_a_mutation() {
    let (all, missing) = find(|lines, taken| {
        let strong =
            |line: &str| !is_comment(line) && ORDERS.iter().any(|order| line.contains(order));
        let places: Vec<usize> = (0..lines.len()).filter(|at| strong(lines[*at])).collect();
        (places.len(), places.into_iter().filter(|at| !taken.contains(at)).collect())
    });
    assert!(all > 0, "there is none");
    assert!(missing.is_empty(), "no mutation weakens {missing:#?}");
}

#[test]
fn every_race_that_is_looked_at_again_is_tried_by_a_mutation() {
    let (all, missing) = find(|lines, taken| {
        let races: Vec<usize> = (0..lines.len())
            .filter(|at| is_comment(lines[*at]) && lines[*at].contains("RACE:"))
            .collect();
        let is_tried = |at: &usize| {
            let code = (*at..lines.len()).find(|at| !is_comment(lines[*at])).unwrap_or(*at);
            taken.range(at.saturating_sub(2)..code + NEAR).next().is_some()
        };
        (races.len(), races.into_iter().filter(|at| !is_tried(at)).collect())
    });
    assert!(all > 0, "there is none");
    assert!(missing.is_empty(), "no mutation tries {missing:#?}");
}
