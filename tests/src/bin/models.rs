//! Runs each loom model alone and writes the table of them: `tests/MODELS.md`.
//!
//! ```text
//! cargo run --release -p steadfast-tests --bin models
//! ```
#![expect(clippy::disallowed_methods, reason = "how long the models take is said")]

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use steadfast_tests::models::{Model, TABLE, read_all};
use steadfast_tests::mutations::Result;

/// How many switches that no thread asked for are tried, as in `ci/loom.sh`.
const PREEMPTIONS: usize = 3;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no workspace")?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let models = read_all(root)?;
    let mut programs = BTreeMap::new();
    let mut rows = Vec::new();
    for model in &models {
        if !programs.contains_key(&model.krate) {
            programs.insert(&model.krate, program(root, &target, &model.krate)?);
        }
        let took = time(&programs[&model.krate], model)?;
        println!("{} {}: {:.2} s", model.krate, model.name, took.as_secs_f64());
        rows.push((model, took));
    }
    fs::write(root.join(TABLE), table(&rows))?;
    println!("{} models, {TABLE}", rows.len());
    Ok(())
}

/// The compiled models of a crate.
fn program(root: &Path, target: &Path, krate: &str) -> Result<PathBuf> {
    let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["test", "--release", "--no-run", "--test", "loom", "--manifest-path"])
        .arg(root.join("crates").join(krate).join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", target.join("loom"))
        .env("RUSTFLAGS", "--cfg loom")
        .output()?;
    let said = String::from_utf8_lossy(&built.stderr);
    if !built.status.success() {
        return Err(format!("the models of {krate} do not compile:\n{said}").into());
    }
    // "  Executable tests/loom.rs (/target/…/loom-0123)".
    let path = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Executable tests/loom.rs (")?.strip_suffix(')'));
    Ok(path.ok_or_else(|| format!("where are the models of {krate}?\n{said}"))?.into())
}

/// How long a model takes alone.
fn time(program: &Path, model: &Model) -> Result<Duration> {
    let begin = Instant::now();
    let end = Command::new(program)
        .args(["--exact", &model.name])
        .env("LOOM_MAX_PREEMPTIONS", PREEMPTIONS.to_string())
        .output()?;
    let took = begin.elapsed();
    let said = String::from_utf8_lossy(&end.stdout);
    if !end.status.success() || !said.contains("test result: ok. 1 passed") {
        return Err(format!("{} of {} does not hold:\n{said}", model.name, model.krate).into());
    }
    Ok(took)
}

fn table(rows: &[(&Model, Duration)]) -> String {
    let mut text = format!(
        "# The loom models

{} models run the code of the crates under every interleaving and every order of memory that C11 allows, with
up to so many switches that no thread asked for (the bound). A model's name is what it checks.
The times are of one run each on a machine that did other things, too. This page is made by
`cargo run --release -p steadfast-tests --bin models`; `ci/loom.sh` runs all models, and
[`mutations`](mutations) lists the errors that they have to see.
",
        rows.len()
    );
    let mut krate = "";
    for (model, took) in rows {
        if krate != model.krate {
            krate = &model.krate;
            let _ =
                write!(text, "\n## {krate}\n\n| what is checked | bound | time |\n|---|--:|--:|\n");
        }
        let secs = took.as_secs_f64();
        let time = if secs < 0.1 { "< 0.1 s".to_owned() } else { format!("{secs:.1} s") };
        let (claim, bound) = (model.claim(), model.bound.of(PREEMPTIONS));
        let _ = writeln!(text, "| {claim} | {bound} | {time} |");
    }
    text
}
