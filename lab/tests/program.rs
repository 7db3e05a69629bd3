//! The program, from its arguments to its exit code.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;

fn lab(arguments: &[&str], input: &[u8]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_steadfast-lab"));
    let program = program.args(arguments).stdin(Stdio::piped());
    let mut child =
        program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // Whoever refuses its arguments reads nothing.
    let _closed = child.stdin.take().expect("it was asked for").write_all(input);
    child.wait_with_output().expect("it ends")
}

fn words(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it writes text");
    (text(&output.stdout), text(&output.stderr))
}

/// A file of this name in a folder for tests.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn a_trace_from_a_file_is_answered_by_a_table_and_a_picture() {
    let (trace, picture) = (file("calls.csv.gz"), file("calls.svg"));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    for n in 0..3_000 {
        let status = if (1_000..2_000).contains(&n) { 503 } else { 200 };
        writeln!(encoder, "{}.{:02},{status}", n / 100, n % 100).expect("into memory");
    }
    std::fs::write(&trace, encoder.finish().expect("into memory")).expect("a file");
    let (trace, out) = (trace.to_string_lossy(), picture.to_string_lossy());
    let output = lab(&["breaker", "--trace", &trace, "--outcome-column", "2", "--out", &out], b"");
    let (table, errors) = words(&output);
    assert_eq!((output.status.code(), errors.as_str()), (Some(0), ""));
    assert!(table.contains("1,000  (33.3 %)"), "{table}");
    assert!(table.contains("lines used") && table.contains("3,000"), "{table}");
    let picture = std::fs::read_to_string(picture).expect("it was drawn");
    assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
}

#[test]
fn a_trace_may_come_from_standard_input() {
    let output = lab(&["bucket", "--burst", "1", "--rate", "1/s", "--trace", "-"], b"1\n1.5\n2\n");
    let (table, _) = words(&output);
    assert_eq!(output.status.code(), Some(0));
    assert!(table.contains("2  (66.7 %)"), "{table}");
}

#[test]
fn every_id_has_a_bucket_of_its_own_if_asked() {
    let input = b"time,client\n1,a\n1,b\n1,a\n1,c\n";
    let output =
        lab(&["bucket", "--rate", "1/s", "--burst", "1", "--per-id", "2", "--trace", "-"], input);
    let (table, _) = words(&output);
    assert!(table.contains("granted                             2  (50.0 %)"), "{table}");
    assert!(table.contains("too many ids"), "{table}");
}

#[test]
fn duplicates_and_gaps_of_a_trace_are_found() {
    let input = b"time,id,seq\n1,x,1\n2,y,2\n3,x,5\n4,z,3\n5,z,4\n6,z,4\n";
    let (ids, _) = words(&lab(&["dedup", "--trace", "-"], input));
    assert!(ids.contains("3  (50.0 %)"), "{ids}");
    let (numbers, _) = words(&lab(&["gaps", "--trace", "-"], input));
    assert!(numbers.contains("2  (100.00 %)"), "both that were missing have come: {numbers}");
}

#[test]
fn calls_of_a_trace_that_failed_are_tried_again() {
    let input = b"time,status\n1,200\n1,500\n1,500\n";
    let (table, _) = words(&lab(&["backoff", "--served", "1000/s", "--trace", "-"], input));
    assert!(table.contains("clients     2"), "{table}");
}

#[test]
fn bad_lines_are_shown_with_numbers_and_the_rest_is_used() {
    let input = b"1\nx\n2\n\ny\n";
    let (table, _) = words(&lab(&["bucket", "--trace", "-"], input));
    assert!(table.contains("line 2: \"x\" is no time"), "{table}");
    assert!(table.contains("line 5: \"y\" is no time"), "{table}");
    assert!(table.contains("empty lines"), "{table}");
}

#[test]
fn all_bad_lines_are_shown_on_request() {
    let input = "x\n".repeat(50) + "1\n";
    let (table, errors) = words(&lab(&["bucket", "--trace", "-"], input.as_bytes()));
    assert!(table.contains("and 40 more: --all-bad-lines shows them") && errors.is_empty());
    let (table, errors) =
        words(&lab(&["bucket", "--trace", "-", "--all-bad-lines"], input.as_bytes()));
    assert_eq!(errors.lines().count(), 50);
    assert!(!table.contains("more:"), "{table}");
}

#[test]
fn a_trace_without_a_usable_line_is_a_failure() {
    for input in ["", "x\ny\n", "time\n"] {
        let output = lab(&["bucket", "--trace", "-"], input.as_bytes());
        assert_eq!(output.status.code(), Some(1), "{input:?}");
        assert!(words(&output).1.contains("no line of the trace could be used"));
    }
}

#[test]
fn mistakes_in_the_arguments_have_an_exit_code_of_their_own() {
    for (arguments, reason) in [
        (&["bucket", "--rate", "fast"][..], "no rate"),
        (&["bucket", "--burst", "0"], "burst of 0 tokens"),
        (&["bucket", "--trace", "/nowhere/at/all"], "cannot be read"),
        (&["bucket", "--trace", "-", "--asked", "5/s"], "cannot be used with"),
        (&["bucket", "--out", "picture.gif"], ".svg"),
        (&["bucket", "--asked", "5/0s"], "no time at all"),
        (&["bucket", "--arrivals", "bursts", "--every", "0s"], "no time at all"),
        (&["bucket", "--arrivals", "wave", "--every", "0ms"], "no time at all"),
        (&["bucket", "--trace", "-", "--time-column", "when"], "has no column \"when\""),
        (&["pictures", "/nowhere/at/all", "--out", "picture.svg"], "no --out"),
        (&["bucket", "--trace", "-", "--delimiter", "ab"], "one character"),
        (&["nothing"], "unrecognized"),
        (&[], "Usage"),
    ] {
        let output = lab(arguments, b"1\n");
        let (_, errors) = words(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(reason), "{arguments:?}: {errors}");
    }
}

#[test]
fn a_column_that_the_header_lacks_is_one_mistake_and_no_table() {
    let input = b"time,CLIENT\n1,a\n2,b\n";
    for (column, code) in [("client", 0), ("2", 0), ("clint", 2)] {
        let output =
            lab(&["dedup", "--id-column", column, "--trace", "-", "--header", "true"], input);
        let (table, errors) = words(&output);
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert_eq!((table.is_empty(), errors.lines().count()), (code == 2, usize::from(code == 2)));
        assert!(
            code == 0 || errors.contains("\"time,CLIENT\", has no column \"clint\""),
            "{errors}"
        );
    }
}

#[test]
fn nobody_who_reads_is_no_failure() {
    let input = "x\n".repeat(50) + "1\n";
    let mut child = Command::new(env!("CARGO_BIN_EXE_steadfast-lab"))
        .args(["bucket", "--trace", "-", "--all-bad-lines"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop((child.stdout.take(), child.stderr.take()));
    // It reads what it does not understand once both are closed.
    let mut stdin = child.stdin.take().expect("it was asked for");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

/// A breaker that opens at two failures in a row for 5 s, and these calls; each test has a picture of its own.
fn broken(picture: &str, calls: &str) -> String {
    let arguments =
        ["breaker", "--consecutive", "2", "--unit", "s", "--close-after", "1", "--trace", "-"];
    let out = file(picture);
    let output =
        lab(&[&arguments[..], &["--out", &out.to_string_lossy()]].concat(), calls.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", words_of(&output));
    words(&output).0
}

/// What stands behind a name.
fn value<'a>(table: &'a str, name: &str) -> &'a str {
    let line = table.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix("  "));
    line.unwrap_or_else(|| panic!("no {name:?} in {table}")).trim()
}

#[test]
fn ignored_calls_are_rejected_like_all_others_and_are_no_successes() {
    let open = "time,outcome\n1,error\n1,error\n".to_owned();
    let table = broken("ignored.svg", &(open + &"2,ignored\n".repeat(98)));
    assert_eq!(value(&table, "rejected"), "98  (98.0 %)");
    assert_eq!(value(&table, "successes lost"), "0");
    let picture = std::fs::read_to_string(file("ignored.svg")).expect("it was drawn");
    assert!(picture.contains(">ignored<"));
}

#[test]
fn a_break_is_over_when_it_is_though_nobody_calls() {
    let table = broken("over.svg", "time,outcome\n0,error\n0,error\n3600,ok\n");
    assert_eq!(value(&table, "time open"), "5 s  (0.1 %)");
    assert_eq!(value(&table, "time half-open"), "59.9 min  (99.9 %)");
}

#[test]
fn the_most_retries_are_found_wherever_their_100_ms_begin() {
    let peak = |second: &str| {
        let input = format!("time,outcome\n0,error\n{second},error\n");
        let arguments = "backoff --growth constant --base 95ms --unit s --trace -";
        let output = lab(&arguments.split(' ').collect::<Vec<_>>(), input.as_bytes());
        let table = words(&output).0;
        value(&table, "none").split(' ').next().map(str::to_owned)
    };
    assert_eq!(peak("0.01").as_deref(), Some("2"), "95 ms and 105 ms");
    assert_eq!(peak("0.099").as_deref(), Some("2"));
    assert_eq!(peak("0.1").as_deref(), Some("1"));
}

#[test]
fn a_picture_that_cannot_be_written_is_told_after_the_table() {
    let output = lab(&["bucket", "--out", "/nowhere/at/all.svg"], b"");
    let (table, errors) = words(&output);
    assert_eq!(output.status.code(), Some(3));
    assert!(table.contains("granted") && errors.contains("/nowhere/at/all.svg"), "{errors}");
}

/// Nothing that a trace says is too odd: times that leap and step back, numbers from all over, too many ids.
#[test]
fn no_trace_makes_a_simulation_fail() {
    let mut rng = fastrand::Rng::with_seed(5);
    for turn in 0..4 {
        let mut text = String::new();
        let mut at = 1e9;
        for _ in 0..1_000 {
            at += match rng.u8(..8) {
                0 => rng.f64() * 1e7,
                1 => -rng.f64() * 1e7,
                2 => -rng.f64() * 100.0,
                _ => rng.f64(),
            };
            let sequence = if rng.bool() { rng.u64(..) } else { rng.u64(..100) };
            let outcome = ["ok", "err", "slow", "ignored", "?"][rng.usize(..5)];
            writeln!(text, "{at:.3},{},{sequence},{outcome}", rng.u8(..)).expect("into memory");
        }
        for arguments in [
            "bucket --burst 5",
            "bucket --per-id 3 --burst 5",
            "breaker --consecutive 2 --slow-rate 10% --window 60s --break-cap 60s --ramp-up 9s",
            "backoff --growth fibonacci",
            "gaps --request-after 1s --max-jump 1000 --max-late 50 --max-gaps 9",
            "gaps --width 8",
            "dedup --capacity 50 --ttl 9s --renew --wide --dense",
        ] {
            let words = [arguments, "--unit", "s", "--trace", "-"].join(" ");
            let output = lab(&words.split(' ').collect::<Vec<_>>(), text.as_bytes());
            assert_eq!(output.status.code(), Some(0), "{turn}, {arguments}: {}", words_of(&output));
        }
    }
}

fn words_of(output: &Output) -> String {
    words(output).1
}

/// Runs what stands behind each `$` of the page, and compares what it prints with what stands below.
/// `LAB_WRITE_SESSIONS=1` writes the page instead.
#[test]
fn the_sessions_of_the_readme_are_what_the_program_prints() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = root.join("lab/README.md");
    let page = std::fs::read_to_string(&path).expect("it is there");
    let begin = "<!-- session -->\n```text\n$ ";
    let mut parts = page.split(begin);
    let mut written = parts.next().unwrap_or_default().to_owned();
    let mut sessions = 0;
    for part in parts {
        let (command, rest) = part.split_once('\n').expect("a command is a line");
        let (_, rest) = rest.split_once("```\n").expect("a session ends");
        let (_, arguments) = command.split_once(" -- ").expect("arguments come after it");
        let output = Command::new(env!("CARGO_BIN_EXE_steadfast-lab"))
            .args(arguments.split_whitespace())
            .current_dir(&root)
            .output()
            .expect("it runs");
        write!(written, "{begin}{command}\n{}```\n{rest}", words(&output).0).expect("into memory");
        sessions += 1;
    }
    assert!(sessions >= 2);
    if std::env::var_os("LAB_WRITE_SESSIONS").is_some() {
        std::fs::write(&path, &written).expect("it can be written");
    }
    let page = std::fs::read_to_string(&path).expect("it is there");
    assert_eq!(
        page, written,
        "run the tests with LAB_WRITE_SESSIONS=1, and look at what is different"
    );
}
