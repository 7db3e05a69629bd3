//! Breaks the code in known ways, one after the other, and demands that a test sees it each time.
//!
//! ```text
//! cargo run --release -p steadfast-tests --bin mutations -- [PART-OF-A-NAME…]
//! ```
//!
//! The files of `tests/mutations` list them: see [`steadfast_tests::mutations`]. A mutation is applied to a
//! copy of the workspace, in the target folder. It has to compile; then the test has to fail, or not to
//! come to an end. What is not seen, or cannot be applied any more, is an error.
#![expect(clippy::disallowed_methods, reason = "how long compilers and tests take is said")]

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use steadfast_tests::mutations::{Mutation, Result, read_all};

/// A test that takes so long has been broken.
const PATIENCE: &str = "90s";
/// For a build, on a busy machine.
const MUCH_PATIENCE: &str = "900s";
/// What `timeout` says then.
const TIMED_OUT: i32 = 124;
/// How many switches that no thread asked for the models look at.
const PREEMPTIONS: &str = "3";

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
        mutation.applied(&copy.root)?;
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
        let mut places = BTreeSet::new();
        for name in String::from_utf8(listed.stdout)?.split('\0').filter(|name| !name.is_empty()) {
            let Ok(content) = fs::read(self.root.join(name)) else { continue };
            let place = tree.join(name);
            places.insert(place.clone());
            if fs::read(&place).ok().as_ref() != Some(&content) {
                fs::create_dir_all(place.parent().ok_or("a file without a folder")?)?;
                fs::write(&place, content)?;
            }
        }
        remove_others(&tree, &places)
    }

    /// Applies a mutation, tests, and takes it back.
    fn test(&self, mutation: &Mutation) -> Result<End> {
        let tree = self.folder.join("tree");
        let files = mutation.applied(&self.root)?;
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

/// Removes the files of a folder that are not among these: they were removed from the workspace.
fn remove_others(folder: &Path, files: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, files)?;
        } else if !files.contains(&path) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
