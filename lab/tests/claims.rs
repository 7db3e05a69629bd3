//! What simulations show, and what would have to be true of any.

use clap::Parser as _;
use steadfast_lab::cli::Arguments;
use steadfast_lab::{Error, Report};

fn try_report(arguments: &str) -> Result<Report, Error> {
    let words = std::iter::once("steadfast-lab").chain(arguments.split_whitespace());
    let parsed = Arguments::try_parse_from(words).expect("the arguments are right");
    parsed.command.report().map(|report| report.expect("it reports"))
}

fn report(arguments: &str) -> Report {
    try_report(arguments).expect("the configuration is right")
}

/// The number that a result begins with.
fn number(report: &Report, name: &str) -> u64 {
    let text = report.value(name).unwrap_or_else(|| panic!("no {name:?} in {:?}", report.rows));
    let digits = text.split([' ', '/']).next().unwrap_or_default().replace(',', "");
    digits.parse().unwrap_or_else(|_| panic!("{name} is {text:?}"))
}

/// The number in a row and a column of a list.
fn cell(report: &Report, row: &str, column: &str) -> u64 {
    let list = &report.lists[0];
    let place = list.head.iter().position(|name| name == column).expect("the column is there");
    let row = list.rows.iter().find(|cells| cells[0] == row).expect("the row is there");
    row[place].replace(',', "").parse().expect("it is a number")
}

#[test]
fn grants_never_exceed_the_burst_and_what_has_come() {
    for pattern in ["steady", "poisson", "bursts", "wave"] {
        for (seconds, seed) in [(1, 1), (2, 2), (7, 3), (30, 4)] {
            let report = report(&format!(
                "bucket --rate 50/s --burst 30 --asked 200/s --arrivals {pattern} --duration {seconds}s --seed {seed}"
            ));
            let (asked, granted) = (number(&report, "asked"), number(&report, "granted"));
            assert!(granted <= 30 + 50 * seconds, "{granted} of {asked}, {pattern}, {seconds} s");
            assert_eq!(granted + number(&report, "refused"), asked);
        }
    }
}

#[test]
fn bursts_have_the_rate_that_was_asked_for_whatever_their_size() {
    for (rate, every, asked) in [
        ("1/s", "100ms", 10),
        ("3/s", "500ms", 30),
        ("30/s", "10ms", 300),
        ("0.5/s", "3s", 5),
        ("7/s", "2s", 70),
        ("0/s", "1s", 0),
    ] {
        let report = report(&format!(
            "bucket --arrivals bursts --asked {rate} --every {every} --duration 10s"
        ));
        // The last burst may be one that is larger for those that were smaller.
        assert!(
            number(&report, "asked").abs_diff(asked) <= 1,
            "{rate}, {every}: {:?}",
            report.rows
        );
    }
}

#[test]
fn overload_gets_the_burst_and_the_whole_rate() {
    let report =
        report("bucket --rate 50/s --burst 30 --asked 5000/s --arrivals steady --duration 10s");
    assert_eq!(number(&report, "granted"), 30 + 500 - 1, "the last one comes when it is over");
}

#[test]
fn traffic_below_the_limit_is_not_refused() {
    let report =
        report("bucket --rate 100/s --burst 1 --asked 100/s --arrivals steady --duration 60s");
    assert_eq!((number(&report, "asked"), number(&report, "refused")), (6_000, 0));
    assert_eq!(report.value("longest run of refusals"), Some("none"));
}

#[test]
fn a_larger_burst_refuses_no_more() {
    let refused = |burst| {
        number(
            &report(&format!("bucket --burst {burst} --arrivals wave --duration 60s")),
            "refused",
        )
    };
    let refusals = [1, 5, 25, 125, 625].map(refused);
    assert!(refusals.is_sorted_by(|more, less| more >= less), "{refusals:?}");
    assert!(refusals[0] > refusals[4]);
}

#[test]
fn those_who_queue_wait_as_long_as_the_queue_is() {
    // 600 come in ten seconds, of which 20 + 500 are served in that time: the last one waits for 80 of them.
    let report =
        report("bucket --rate 50/s --burst 20 --asked 60/s --arrivals steady --duration 10s");
    let wait = report.value("wait, had they queued").expect("it is there");
    assert!(wait.ends_with("1.6 s (p99), 1.62 s (longest)"), "{wait}");
}

#[test]
fn the_burst_that_refuses_nobody_is_the_smallest_that_does() {
    for pattern in ["steady", "poisson", "bursts", "wave"] {
        for (burst, cost) in [(1, 1), (20, 1), (30, 7)] {
            let traffic =
                format!("bucket --rate 100/s --asked 110/s --arrivals {pattern} --duration 20s");
            let refusing = |burst: u64| report(&format!("{traffic} --burst {burst} --cost {cost}"));
            let enough = number(&refusing(burst), "a burst that refuses nobody");
            assert_eq!(number(&refusing(enough), "refused"), 0, "{pattern}, {burst}, {cost}");
            assert!(
                number(&refusing(enough - 1), "refused") > 0,
                "{pattern}, {burst}, {cost}: {enough}"
            );
        }
    }
}

#[test]
fn a_breaker_saves_failures_and_lets_the_service_come_back() {
    let report = report("breaker --outage 10s..20s --failing 100% --failures 0");
    let (failures, saved) =
        (number(&report, "of these, failures"), number(&report, "failures saved"));
    assert!(saved * 10 > failures * 8, "{saved} of {failures}");
    assert_eq!(number(&report, "trips"), 1);
    assert_eq!(number(&report, "rejected"), saved + number(&report, "successes lost"));
    let closed = report.lists[0].rows[0].last().expect("a trip has cells");
    assert!(closed.starts_with("20.") || closed.starts_with("21"), "{closed}");
}

#[test]
fn a_healthy_service_is_never_cut_off() {
    let report = report("breaker --failures 5% --outage 50s..51s --duration 40s --calls 500/s");
    assert_eq!((number(&report, "trips"), number(&report, "rejected")), (0, 0));
}

#[test]
fn a_breaker_that_counts_slow_calls_opens_though_nothing_fails() {
    let report =
        report("breaker --slow-rate 50% --slow 80% --failures 0 --failing 0 --duration 20s");
    assert_eq!(number(&report, "of these, failures"), 0);
    assert!(number(&report, "rejected") > 0);
    assert!(report.lists[0].rows[0][2].contains("slow"), "{:?}", report.lists[0].rows[0]);
}

#[test]
fn full_jitter_has_a_lower_peak_than_none() {
    for seed in 1..=5 {
        let report = report(&format!("backoff --seed {seed}"));
        let peak = |kind| cell(&report, kind, "most retries in 100 ms");
        assert_eq!(peak("none"), 1_000, "all of them at once");
        assert!(peak("full") * 2 < peak("none"));
        assert!(peak("full") < peak("a tenth") && peak("full") < peak("equal"));
        assert_eq!(cell(&report, "full", "left"), 0);
        assert!(cell(&report, "none", "left") > 0, "they come together, and only some are served");
    }
}

#[test]
fn clients_that_may_not_try_again_give_up() {
    let report = report("backoff --max-retries 2 --outage 1h");
    assert_eq!(cell(&report, "full", "retries"), 2_000);
    assert_eq!(cell(&report, "full", "gave up"), 1_000);
}

#[test]
fn every_number_of_a_stream_is_accounted_for() {
    for seed in 1..=5 {
        let report = report(&format!(
            "gaps --loss 5% --late 5% --twice 5% --request-after 20ms --seed {seed}"
        ));
        let of = |name| number(&report, name);
        let fates = ["of these, filled", "of these, lost", "of these, missing still"].map(of);
        assert_eq!(fates.iter().sum::<u64>(), of("numbers that were missing"));
        // Each arrival is one thing: those that open a gap are in nobody's place.
        let told =
            ["in order", "gaps", "of these, filled", "duplicates", "too late to be told"].map(of);
        assert_eq!(told.iter().sum::<u64>(), of("arrivals"));
    }
}

#[test]
fn requests_fill_what_would_be_missing_for_ever() {
    let missing = |arguments: &str| {
        let report = report(&format!("gaps --loss 5% --late 0 --max-gaps 10000 {arguments}"));
        number(&report, "of these, missing still") + number(&report, "of these, lost")
    };
    assert!(missing("--request-after 20ms --requests 10") * 10 < missing(""));
}

#[test]
fn what_is_delayed_beyond_the_end_of_time_comes_never() {
    let report = report("gaps --late 50% --late-by 584000000000y --loss 0 --twice 0");
    assert_eq!(number(&report, "of these, filled"), 0);
    let again = self::report("dedup --repeated 50% --after 584000000000y --duration 5s");
    assert_eq!(number(&again, "duplicates"), 0);
}

#[test]
fn shares_are_told_as_they_were_given() {
    for (arguments, words) in [
        ("gaps --loss 7% --late 0.07 --twice 29%", ": 7 % get lost, 7 % are late, 29 % come twice"),
        ("dedup --repeated 7%", ": 7 % of them come again"),
        ("breaker --failure-rate 7% --slow-rate 14%", " 7 % failures of 100 calls or 14 % slow"),
    ] {
        let report = report(arguments);
        let told = format!("{}: {}", report.title, report.note);
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn a_perfect_network_has_no_gaps() {
    let report = report("gaps --loss 0 --late 0 --twice 0");
    assert_eq!(number(&report, "in order"), number(&report, "arrivals"));
    assert_eq!(number(&report, "gaps"), 0);
}

#[test]
fn numbers_that_wrap_are_one_stream() {
    let report = report("gaps --width 8 --loss 0 --late 0 --twice 0 --duration 10s");
    assert_eq!(number(&report, "in order"), 10_000);
}

#[test]
fn a_window_that_is_large_enough_misses_no_duplicate() {
    let large = report("dedup --capacity 100000 --repeated 20% --duration 30s");
    assert_eq!(number(&large, "duplicates missed, that 400,000 ids show"), 0);
    assert_eq!(number(&large, "fresh") + number(&large, "duplicates"), number(&large, "ids"));
    let small = report("dedup --capacity 1000 --repeated 20% --duration 30s");
    assert!(number(&small, "duplicates") < number(&large, "duplicates"));
    assert!(number(&small, "duplicates missed, that 4,000 ids show") > 0);
}

#[test]
fn what_is_forgotten_in_time_is_not_forgotten_early() {
    let report = report("dedup --capacity 100000 --ttl 2s --duration 20s");
    assert!(number(&report, "forgotten as their time was over") > 10_000);
    assert_eq!(number(&report, "forgotten early, for others"), 0);
}

#[test]
fn the_same_seed_is_the_same_report() {
    for arguments in
        ["bucket", "breaker", "backoff", "gaps --request-after 9ms", "dedup --duration 9s"]
    {
        let drawn = |seed: u64| {
            let report = report(&format!("{arguments} --seed {seed}"));
            (report.to_string(), report.figure.expect("a picture").to_svg().expect("it is drawn"))
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7).0, drawn(8).0, "{arguments}");
    }
}

#[test]
fn a_configuration_that_cannot_be_is_refused_in_its_crates_own_words() {
    for (arguments, words) in [
        ("bucket --rate 0/s", "rate of 0 tokens"),
        ("bucket --burst 0", "burst of 0 tokens"),
        ("bucket --burst 5 --cost 6", "cost of 6 tokens"),
        ("bucket --per-id 0", "capacity of 0 keys"),
        ("breaker --consecutive 0", "0 failures in a row"),
        ("breaker --break 0s", "break of 0 s"),
        ("backoff --base 0s", "base of 0"),
        ("backoff --base 10s --cap 1s", "base of 10s above the cap of 1s"),
        ("gaps --width 65", "numbers of 65 bits"),
        ("gaps --max-gaps 0", "0 gaps"),
        ("dedup --capacity 0", "1 to 67108864"),
        ("dedup --capacity 4000000000", "1 to 67108864"),
        ("dedup --capacity 40000000000", "1 to 67108864"),
        ("dedup --ttl 0s", "TTL of zero"),
    ] {
        let error = try_report(arguments).expect_err(arguments).to_string();
        assert!(error.contains(words), "{arguments}: {error}");
    }
}
