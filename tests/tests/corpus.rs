//! Every input that the fuzzer kept (`fuzz/corpus`), as a test of its own kind: none may fail again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use steadfast_tests::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// What is in a folder, in order.
fn entries(folder: &Path) -> BTreeSet<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("readable").path()).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let stem = |path: PathBuf| path.file_stem()?.to_str().map(str::to_owned);
    entries(folder).into_iter().map(|path| stem(path).expect("a name")).collect()
}

fn replay(name: &str) {
    let (_, run) = TARGETS.into_iter().find(|target| target.0 == name).expect("a target");
    let inputs = entries(&fuzz().join("corpus").join(name));
    assert!(inputs.len() >= 10, "{} inputs for {name}", inputs.len());
    for path in inputs {
        let input = fs::read(&path).expect("readable");
        // Printed only if it fails.
        println!("{}", path.display());
        run(&input);
    }
}

#[test]
fn backoff_does_what_its_oracle_says_on_every_kept_input() {
    replay("backoff");
}

#[test]
fn circuit_breaker_does_what_its_oracle_says_on_every_kept_input() {
    replay("circuit_breaker");
}

#[test]
fn deduplicator_does_what_its_oracle_says_on_every_kept_input() {
    replay("deduplicator");
}

#[test]
fn keys_have_their_buckets_on_every_kept_input() {
    replay("keyed");
}

#[test]
fn policies_do_what_their_oracle_says_on_every_kept_input() {
    replay("policy");
}

#[test]
fn retries_do_what_their_oracle_says_on_every_kept_input() {
    replay("retry");
}

#[test]
fn sequence_tracker_does_what_its_oracle_says_on_every_kept_input() {
    replay("sequence_tracker");
}

#[test]
fn token_bucket_does_what_its_oracle_says_on_every_kept_input() {
    replay("token_bucket");
}

#[test]
fn waits_for_claims_do_what_plain_queues_say_on_every_kept_input() {
    replay("deduplicator_waits");
}

#[test]
fn waits_at_a_circuit_breaker_do_what_a_plain_queue_says_on_every_kept_input() {
    replay("circuit_breaker_waits");
}

#[test]
fn waits_at_a_backoff_do_what_a_plain_queue_says_on_every_kept_input() {
    replay("backoff_waits");
}

#[test]
fn waits_for_numbers_end_as_they_should_on_every_kept_input() {
    replay("sequence_tracker_waits");
}

#[test]
fn waits_at_a_token_bucket_do_what_a_plain_queue_says_on_every_kept_input() {
    replay("token_bucket_waits");
}

#[test]
fn every_target_is_a_program_and_has_a_corpus() {
    let targets = TARGETS.map(|(name, _)| name.to_owned());
    assert_eq!(names(&fuzz().join("fuzz_targets")), targets);
    assert_eq!(names(&fuzz().join("corpus")), targets);
}

#[test]
fn no_bytes_and_any_bytes_mean_something() {
    for (_, run) in TARGETS {
        run(&[]);
        for byte in 0..=u8::MAX {
            run(&[byte; 64]);
        }
    }
}
