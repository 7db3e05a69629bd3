//! Instructions an operation, counted by callgrind.
//!
//! Only the measured loop is counted, not what prepares it. Valgrind hides the kernel's vDSO, so a reading
//! of the operating system's clock counts as the few instructions up to a system call.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cases;

/// Times a case runs under callgrind.
const TIMES: u64 = 100_000;

/// What takes too long to prepare: under valgrind, the eight million inserts before moka is measured have not
/// come to an end in ten minutes.
const TOO_SLOW: [&str; 1] = ["dedup/moka"];

/// What went wrong, in words.
pub type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// How many instructions an operation takes, of every case of one thread that begins like one of these.
///
/// # Errors
///
/// If the program `instructions` is not there, or valgrind is not.
pub fn table(wanted: &[String]) -> Result<String> {
    let program = program()?;
    let mut text = "| case | instructions |\n|---|--:|\n".to_owned();
    for case in cases().iter().filter(|case| case.threads == 1) {
        let case = format!("{case:?}");
        let is_wanted =
            wanted.is_empty() || wanted.iter().any(|name| case.starts_with(name.as_str()));
        if !is_wanted || TOO_SLOW.contains(&case.as_str()) {
            continue;
        }
        // What is around the loop is less than one of so many.
        let each = (count(&program, &case)? + TIMES / 2) / TIMES;
        eprintln!("  {case}: {each}");
        let _ = writeln!(text, "| {case} | {each} |");
    }
    Ok(text)
}

/// The program `instructions`, which is beside this one.
fn program() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("instructions");
    if !path.exists() {
        return Err(format!("{} is not built: build with --bins", path.display()).into());
    }
    Ok(path)
}

/// Instructions of the measured loop.
fn count(program: &Path, case: &str) -> Result<u64> {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*measured*"])
        .arg(program)
        .args([case, &TIMES.to_string()])
        .output()
        .map_err(|error| format!("valgrind counts instructions: {error}"))?;
    let said = String::from_utf8_lossy(&run.stderr);
    if !run.status.success() {
        return Err(format!("{case}: {said}").into());
    }
    let count =
        said.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, n)| n.trim());
    count.and_then(|n| n.parse().ok()).ok_or_else(|| format!("valgrind: {said}").into())
}
