//! Breaks the code in known ways, one after the other, and demands that a test sees it each time.
//!
//! ```text
//! cargo run --release -p steadfast-tests --bin mutations -- [PART-OF-A-NAME…]
//! ```
//!
//! The files of `tests/mutations` list them, a paragraph each:
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
//! After a `+` line, further `-` lines are another change of the same file; after another `in` line,
//! of another file. Where lines begin does not count. A mutation is applied to a copy of the workspace, in the target
//! folder. It has to compile; then the test has to fail, or not to come to an end. What is not seen,
//! or cannot be applied any more, is an error.
#![expect(clippy::disallowed_methods, reason = "how long compilers and tests take is said")]

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// A test that takes so long has been broken.
const PATIENCE: &str = "90s";
/// For a build, on a busy machine.
const MUCH_PATIENCE: &str = "900s";
/// What `timeout` says then.
const TIMED_OUT: i32 = 124;
/// How many switches that no thread asked for the models look at.
const PREEMPTIONS: &str = "3";

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

#[derive(Debug, Default)]
struct Mutation {
    name: String,
    /// The crate, the test program, the test.
    by: Vec<String>,
    changes: Vec<Change>,
}

/// One of the places where it changes something.
#[derive(Debug, Default)]
struct Change {
    file: String,
    out: Vec<String>,
    put: Vec<String>,
}

/// How a test ended.
enum End {
    /// So many passed.
    Passed(String),
    Failed(String),
    TookTooLong,
}

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(unseen) => {
            eprintln!("FAILED: {unseen} mutations are seen by no test");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How many are not seen.
fn run(wanted: &[String]) -> Result<usize> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no workspace")?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let copy = Copy { root: root.to_owned(), folder: target.join("mutations") };
    copy.refresh()?;
    let mut mutations = read_all(&root.join("tests/mutations"))?;
    let is_wanted = |m: &Mutation| wanted.iter().any(|part| m.name.contains(part.as_str()));
    mutations.retain(|m| wanted.is_empty() || is_wanted(m));
    if mutations.is_empty() {
        return Err("there is no such mutation".into());
    }
    // All of them first: a list that is out of date is seen at once.
    for mutation in &mutations {
        copy.mutated(mutation)?;
    }
    let mut unseen = 0;
    for (number, mutation) in (1..).zip(&mutations) {
        let begin = Instant::now();
        let end = copy.test(mutation)?;
        let took = begin.elapsed().as_secs();
        let by = mutation.by.join(" ");
        print!("{number}/{} {}: ", mutations.len(), mutation.name);
        match end {
            End::Failed(tests) => println!("seen by {by}: {tests} ({took} s)"),
            End::TookTooLong => println!("seen by {by}, which does not end ({took} s)"),
            End::Passed(tests) => {
                unseen += 1;
                println!("NOT SEEN by {by}: {tests} ({took} s)");
            }
        }
    }
    println!("{} mutations, {unseen} of them not seen", mutations.len());
    Ok(unseen)
}

/// The lists of a folder, in the order of their names.
fn read_all(folder: &Path) -> Result<Vec<Mutation>> {
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

/// A copy of the workspace, to be broken.
struct Copy {
    root: PathBuf,
    folder: PathBuf,
}

impl Copy {
    /// Makes it what the workspace is now. Files that are the same are left alone, and what was
    /// compiled of them, too.
    fn refresh(&self) -> Result<()> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.root)
            .output()?;
        if !listed.status.success() {
            return Err("git cannot list the files of the workspace".into());
        }
        let tree = self.folder.join("tree");
        for name in String::from_utf8(listed.stdout)?.split('\0').filter(|name| !name.is_empty()) {
            let Ok(content) = fs::read(self.root.join(name)) else { continue };
            let place = tree.join(name);
            if fs::read(&place).ok().as_ref() != Some(&content) {
                fs::create_dir_all(place.parent().ok_or("a file without a folder")?)?;
                fs::write(&place, content)?;
            }
        }
        Ok(())
    }

    /// The files that a mutation changes, and what they are then.
    fn mutated(&self, mutation: &Mutation) -> Result<BTreeMap<String, String>> {
        let mut files = BTreeMap::new();
        for Change { file, out, put } in &mutation.changes {
            let text = match files.remove(file) {
                Some(text) => text,
                None => {
                    fs::read_to_string(self.root.join(file)).map_err(|e| format!("{file}: {e}"))?
                }
            };
            let mut lines: Vec<&str> = text.lines().collect();
            let is_here = |at: &usize| {
                let here = &lines[*at..];
                here.len() >= out.len() && here.iter().zip(out).all(|(a, b)| a.trim() == b)
            };
            let places: Vec<usize> = (0..lines.len()).filter(is_here).collect();
            let [at] = places[..] else {
                let (name, many) = (&mutation.name, places.len());
                return Err(format!("[{name}] fits {many} places of {file}, not one").into());
            };
            lines.splice(at..at + out.len(), put.iter().map(String::as_str));
            files.insert(file.clone(), lines.join("\n") + "\n");
        }
        Ok(files)
    }

    /// Applies a mutation, tests, and takes it back.
    fn test(&self, mutation: &Mutation) -> Result<End> {
        let tree = self.folder.join("tree");
        let files = self.mutated(mutation)?;
        for (file, text) in &files {
            fs::write(tree.join(file), text)?;
        }
        let end = self.build_and_test(mutation);
        for file in files.keys() {
            fs::write(tree.join(file), fs::read(self.root.join(file))?)?;
        }
        end
    }

    fn build_and_test(&self, mutation: &Mutation) -> Result<End> {
        let log = self.folder.join("log");
        let mut build = self.cargo(mutation, MUCH_PATIENCE, &log)?;
        if !build.arg("--no-run").status()?.success() {
            let said = fs::read_to_string(&log)?;
            return Err(format!("[{}] does not compile:\n{said}", mutation.name).into());
        }
        let mut test = self.cargo(mutation, PATIENCE, &log)?;
        test.args(["--no-fail-fast", "--"]).args(mutation.by.get(2));
        let status = test.status()?;
        if status.code() == Some(TIMED_OUT) {
            return Ok(End::TookTooLong);
        }
        let said = fs::read_to_string(&log)?;
        let tests: Vec<&str> = said
            .lines()
            .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"))
            .collect();
        if !status.success() {
            // One that aborts says no name.
            let names = if tests.is_empty() { "it aborts".to_owned() } else { tests.join(", ") };
            return Ok(End::Failed(names));
        }
        let passed = said.lines().filter(|line| line.ends_with(" ... ok")).count();
        if passed == 0 {
            return Err(format!("[{}]: there is no test {:?}", mutation.name, mutation.by).into());
        }
        Ok(End::Passed(format!("{passed} passed")))
    }

    /// The tests of a mutation.
    fn cargo(&self, mutation: &Mutation, patience: &str, log: &Path) -> Result<Command> {
        let [krate, program, ..] = &mutation.by[..] else { return Err("by whom?".into()) };
        let manifest = self.folder.join("tree/crates").join(krate).join("Cargo.toml");
        let is_loom = program == "loom";
        // It ends the test as well, not only `cargo`.
        let mut cargo = Command::new("timeout");
        cargo.arg(patience).arg(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["test", "--release", "--manifest-path"]).arg(manifest);
        if program == "unit" {
            cargo.arg("--lib");
        } else {
            cargo.args(["--test", program]);
        }
        let out = File::create(log)?;
        cargo
            .env("CARGO_TARGET_DIR", self.folder.join(if is_loom { "loom" } else { "tests" }))
            .env("CARGO_INCREMENTAL", "1")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env("LOOM_MAX_PREEMPTIONS", PREEMPTIONS)
            .env("RUSTFLAGS", if is_loom { "--cfg loom" } else { "" })
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stderr(out.try_clone()?)
            .stdout(out);
        Ok(cargo)
    }
}
