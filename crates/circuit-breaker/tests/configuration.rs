//! What can be configured, what cannot, and how it is written in a file, one claim a test.

#![cfg(all(feature = "std", not(loom)))]
#![expect(clippy::large_types_passed_by_value, reason = "a configuration is built once")]

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use steadfast_circuit_breaker::state::{State, Terms};
use steadfast_circuit_breaker::{
    AtomicU64, CircuitBreaker, Config, ConfigError, EveryError, Judged, Keyed, MAX_CALLS,
    MAX_CONSECUTIVE, MAX_PROBES, MAX_SLICES, MIN_SLICE, Permit, Phase, Window,
};
use steadfast_core::{Clock, Instant, ManualClock, SystemClock};

const NANOSECOND: Duration = Duration::from_nanos(1);
/// The longest that is counted in nanoseconds.
const LONGEST: Duration = Duration::from_nanos(u64::MAX - 1);
const TOO_LONG: Duration = Duration::from_nanos(u64::MAX);

const ONE: Config = Config::new().consecutive_failures(1);
const SLOW: Config = Config::new().slow_rate(0.5, Window::calls(10));

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// However it is built, it is refused, and the message says all of `parts`.
fn rejected(config: Config, expected: ConfigError, parts: &[&str]) {
    let error = config.terms().expect_err("invalid");
    assert_eq!(format!("{error:?}"), format!("{expected:?}"), "NaN is not equal to itself");
    for built in [
        config.build().map(|_| ()),
        config.build_with(ManualClock::new()).map(|_| ()),
        config.build_seeded((), 1).map(|_| ()),
        config.build_in([const { AtomicU64::new(0) }; 64], (), 1).map(|_| ()),
        Keyed::<u32>::new(config, 8).map(|_| ()),
    ] {
        assert_eq!(format!("{:?}", built.expect_err("invalid")), format!("{expected:?}"));
    }
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is missing in {message:?}");
    }
    let panic = std::panic::catch_unwind(|| config.build_static::<64>()).map(|_| ());
    let panic = panic.expect_err("invalid");
    let message = panic.downcast_ref::<String>().expect("a message");
    assert!(!message.is_empty());
}

fn accepted(config: Config) -> Terms {
    config.terms().expect("valid")
}

fn failing(rate: f64, window: Window) -> Config {
    Config::new().failure_rate(rate, window)
}

mod numbers {
    use super::*;

    #[test]
    fn a_rule_there_must_be() {
        rejected(Config::new(), ConfigError::NoRule, &["consecutive_failures", "failure_rate"]);
        rejected(Config::new().counted(true), ConfigError::NoRule, &[]);
        accepted(Config::default());
    }

    #[test]
    fn failures_in_a_row_from_1_to_the_most() {
        for failures in [0, MAX_CONSECUTIVE + 1, u32::MAX] {
            let error = ConfigError::ConsecutiveOutOfRange { failures, max: MAX_CONSECUTIVE };
            let given = failures.to_string();
            rejected(Config::new().consecutive_failures(failures), error, &[&given, "16777215"]);
        }
        accepted(Config::new().consecutive_failures(1));
        accepted(Config::new().consecutive_failures(MAX_CONSECUTIVE));
    }

    #[test]
    fn rates_from_a_billionth_to_1() {
        let impossible = [
            0.0,
            -0.0,
            -0.5,
            1.000_000_001,
            1.0 + f64::EPSILON,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE,
            9.9e-10,
        ];
        for rate in impossible {
            let error = ConfigError::RateOutOfRange { rate };
            let given = rate.to_string();
            for window in [Window::calls(10), Window::time(secs(10))] {
                rejected(failing(rate, window), error, &[&given, "at most 1"]);
                let slow = Config::new().slow_rate(rate, window).slow_after(secs(1));
                rejected(slow, error, &[]);
            }
            rejected(ONE.close_by_rate(rate, 10), error, &[]);
            let error = ConfigError::ShareOutOfRange { share: rate };
            rejected(ONE.ramp_up(rate, secs(1)), error, &[&given, "at most 1"]);
        }
        for rate in [1.1e-9, 1e-9, 0.5, 1.0, 1.0 - f64::EPSILON] {
            accepted(failing(rate, Window::calls(10)));
            accepted(ONE.close_by_rate(rate, 10));
            accepted(ONE.ramp_up(rate, secs(1)));
        }
        // In whole billionths, rounded down.
        assert_eq!(
            accepted(failing(0.3, Window::calls(10))),
            accepted(failing(0.1 + 0.2, Window::calls(10)))
        );
    }

    #[test]
    fn windows_of_1_call_to_the_most() {
        for calls in [0, MAX_CALLS + 1, u32::MAX] {
            let error = ConfigError::CallsOutOfRange { calls, max: MAX_CALLS };
            rejected(failing(0.5, Window::calls(calls)), error, &["10000"]);
        }
        for calls in [1, MAX_CALLS] {
            let terms = accepted(failing(0.5, Window::calls(calls)));
            assert_eq!(terms.words(), 2 + 1 + calls as usize);
        }
    }

    #[test]
    fn a_window_of_calls_has_no_slices() {
        let window = Window::calls(10).slices(1);
        rejected(failing(0.5, window), ConfigError::SlicesOfCalls, &["slices"]);
    }

    #[test]
    fn slices_from_1_to_the_most() {
        for slices in [0, MAX_SLICES + 1, u32::MAX] {
            let error = ConfigError::SlicesOutOfRange { slices, max: MAX_SLICES };
            rejected(failing(0.5, Window::time(secs(10)).slices(slices)), error, &["1000"]);
        }
        for slices in [1, MAX_SLICES] {
            let terms = accepted(failing(0.5, Window::time(secs(10)).slices(slices)));
            assert_eq!(terms.words(), 2 + 1 + 2 * slices as usize);
        }
    }

    #[test]
    fn slices_of_10_microseconds_at_least() {
        let short = MIN_SLICE.saturating_sub(NANOSECOND);
        for (length, slices) in [(Duration::ZERO, 1), (short, 1), (short * 10, 10)] {
            let error = ConfigError::SliceTooShort { length, slices };
            rejected(failing(0.5, Window::time(length).slices(slices)), error, &["10 µs"]);
        }
        accepted(failing(0.5, Window::time(MIN_SLICE).slices(1)));
        accepted(failing(0.5, Window::time(MIN_SLICE * 10)));
    }

    #[test]
    fn a_minimum_of_1_call_to_the_window() {
        for window in [Window::calls(10), Window::time(secs(10))] {
            let zero = failing(0.5, window.minimum(0));
            rejected(zero, ConfigError::ZeroMinimum, &["at least 1"]);
            accepted(failing(0.5, window.minimum(1)));
        }
        let error = ConfigError::MinimumAboveWindow { minimum: 11, calls: 10 };
        rejected(failing(0.5, Window::calls(10).minimum(11)), error, &["11", "10"]);
        accepted(failing(0.5, Window::calls(10).minimum(10)));
        accepted(failing(0.5, Window::time(secs(10)).minimum(u32::MAX)));
    }

    #[test]
    fn slow_needs_a_rate_and_a_threshold() {
        rejected(SLOW, ConfigError::RateWithoutSlow, &["slow_after"]);
        rejected(ONE.slow_after(secs(1)), ConfigError::SlowWithoutRate, &["slow_rate"]);
        rejected(SLOW.slow_after(Duration::ZERO), ConfigError::ZeroSlowAfter, &["above 0"]);
        accepted(SLOW.slow_after(NANOSECOND));
        accepted(SLOW.slow_after(LONGEST));
    }

    #[test]
    fn durations_of_at_most_584_years() {
        for duration in [TOO_LONG, Duration::MAX] {
            let error = ConfigError::TooLong { duration };
            rejected(failing(0.5, Window::time(duration)), error, &["584 years"]);
            rejected(SLOW.slow_after(duration), error, &[]);
            rejected(ONE.break_duration(duration), error, &[]);
            rejected(ONE.ramp_up(0.5, duration), error, &[]);
        }
        accepted(failing(0.5, Window::time(LONGEST)));
        accepted(ONE.break_duration(LONGEST));
        accepted(ONE.ramp_up(0.5, LONGEST));
        // These only have to be long enough.
        accepted(ONE.reset_after(Duration::MAX).max_hint(Duration::MAX));
        accepted(ONE.probe_timeout(Duration::MAX));
    }

    #[test]
    fn zero_durations_would_make_no_sense() {
        rejected(ONE.break_duration(Duration::ZERO), ConfigError::ZeroBreak, &["above 0"]);
        let never = steadfast_backoff::Config::constant(Duration::ZERO);
        rejected(ONE.growing_break(never), ConfigError::ZeroBreak, &["above 0"]);
        accepted(ONE.growing_break(never.floor(NANOSECOND)));
        let error = ConfigError::ZeroProbeTimeout;
        rejected(ONE.probe_timeout(Duration::ZERO), error, &["above 0"]);
        rejected(ONE.ramp_up(0.5, Duration::ZERO), ConfigError::ZeroRampUp, &["above 0"]);
        accepted(ONE.break_duration(NANOSECOND).probe_timeout(NANOSECOND));
        accepted(ONE.ramp_up(0.5, NANOSECOND));
        accepted(ONE.reset_after(Duration::ZERO).max_hint(Duration::ZERO));
    }

    #[test]
    fn probes_and_successes_from_1_to_255() {
        assert_eq!(MAX_PROBES, 255);
        for n in [0, 256, u32::MAX] {
            let probes = ConfigError::ProbesOutOfRange { probes: n, max: MAX_PROBES };
            rejected(ONE.probes(n), probes, &["255"]);
            rejected(ONE.close_by_rate(0.5, n), probes, &["255"]);
            let successes = ConfigError::SuccessesOutOfRange { successes: n, max: MAX_PROBES };
            rejected(ONE.close_after(n), successes, &["255"]);
        }
        for n in [1, 255] {
            assert_eq!(accepted(ONE.probes(n)).words(), 2 * n as usize);
            accepted(ONE.close_after(n));
            accepted(ONE.close_by_rate(0.5, n));
        }
    }

    #[test]
    fn the_delays_of_a_growing_break_are_checked() {
        let delays = steadfast_backoff::Config::exponential(Duration::ZERO);
        let error = delays.build().expect_err("invalid");
        let message = error.to_string();
        rejected(ONE.growing_break(delays), ConfigError::Break(error), &[&message]);
        let source = std::error::Error::source(&ConfigError::Break(error)).map(ToString::to_string);
        assert_eq!(source, Some(message));
    }

    #[test]
    fn the_last_of_two_settings_for_the_same_counts() {
        let growing = steadfast_backoff::Config::linear(secs(1));
        let fixed = accepted(ONE.break_duration(secs(3)));
        assert_eq!(accepted(ONE.growing_break(growing).break_duration(secs(3))), fixed);
        assert_ne!(accepted(ONE.break_duration(secs(3)).growing_break(growing)), fixed);
        let after = accepted(ONE.close_after(7));
        assert_eq!(accepted(ONE.close_by_rate(0.5, 7).close_after(7)), after);
        assert_ne!(accepted(ONE.close_after(7).close_by_rate(0.5, 7)), after);
    }
}

mod memory {
    use super::*;

    #[test]
    fn too_few_words_are_refused_and_as_many_as_needed_are_not() {
        let config = ONE.probes(2).failure_rate(0.5, Window::calls(3));
        let terms = accepted(config);
        assert_eq!(terms.words(), 8);
        let error = ConfigError::MemoryTooSmall { given: 7, needed: 8 };
        let seven = State::new(terms, [const { Cell::new(0) }; 7]).map(|_| ());
        assert_eq!(seven, Err(error));
        assert_eq!(error.to_string(), "7 words of memory: this configuration needs 8");
        assert!(State::new(terms, [const { Cell::new(0) }; 8]).is_ok());
        let seven = config.build_in([const { AtomicU64::new(0) }; 7], (), 0).map(|_| ());
        assert_eq!(seven, Err(error));
        assert!(config.build_in([const { AtomicU64::new(0) }; 9], (), 0).is_ok());
        let slice = [const { AtomicU64::new(0) }; 8];
        assert!(config.build_in(&slice[..], (), 0).is_ok());
        let too_small = std::panic::catch_unwind(|| config.build_static::<7>()).map(|_| ());
        assert!(too_small.is_err());
    }

    const CONFIG: Config = Config::new()
        .consecutive_failures(2)
        .failure_rate(0.5, Window::calls(4))
        .slow_rate(0.5, Window::time(secs(60)).slices(2))
        .slow_after(secs(1))
        .growing_break(steadfast_backoff::Config::exponential(secs(1_000)))
        .ramp_up(0.1, secs(10))
        .counted(true)
        .name("static");
    const WORDS: usize = match CONFIG.terms() {
        Ok(terms) => terms.words(),
        Err(_) => 0,
    };
    static BREAKER: CircuitBreaker<SystemClock, [AtomicU64; WORDS]> = CONFIG.build_static();

    #[derive(Clone, Copy)]
    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> Instant {
            Instant::from_nanos(5)
        }
    }

    static ON_A_CLOCK_OF_ITS_OWN: CircuitBreaker<Stopped, [AtomicU64; WORDS]> =
        CONFIG.build_static_with(Stopped, 7);

    #[test]
    fn a_static_breaker_can_have_a_clock_and_a_seed_of_ones_own() {
        let breaker = &ON_A_CLOCK_OF_ITS_OWN;
        let other = CONFIG.build_seeded(Stopped, 7).expect("valid");
        for _ in 0..2 {
            assert!(breaker.call(|| Err::<(), _>(())).is_err());
            assert!(other.call(|| Err::<(), _>(())).is_err());
        }
        assert_eq!(breaker.phase(), Phase::Open);
        let refusal = breaker.try_acquire().map(|_| ());
        assert_eq!(refusal, other.try_acquire().map(|_| ()), "the same break from the same seed");
    }

    #[test]
    fn a_static_breaker_does_what_others_do() {
        assert_eq!(WORDS, 2 + 5 + 5);
        assert_eq!(BREAKER.name(), Some("static"));
        assert_eq!(BREAKER.call(|| Ok::<_, ()>(7)), Ok(7));
        for _ in 0..2 {
            assert!(BREAKER.call(|| Err::<(), _>(())).is_err());
        }
        assert_eq!(BREAKER.phase(), Phase::Open);
        let refused = BREAKER.try_acquire().expect_err("open");
        assert!(refused.retry_after() > Some(secs(900)));
        assert_eq!(BREAKER.metrics().counted.map(|counted| counted.rejected), Some(1));
        let task = std::thread::spawn(|| BREAKER.try_acquire().is_err());
        assert!(task.join().expect("no panic"));
    }

    #[test]
    fn a_breaker_needs_no_more_words_than_it_says() {
        for config in [
            ONE,
            ONE.probes(255),
            ONE.failure_rate(0.5, Window::calls(1)),
            ONE.failure_rate(0.5, Window::time(secs(10)).slices(1)),
            CONFIG,
        ] {
            let terms = accepted(config);
            let words: Box<[Cell<u64>]> = (0..terms.words()).map(|_| Cell::new(0)).collect();
            let state = State::new(terms, words).expect("just enough");
            assert_eq!(state.phase(Instant::ZERO), Phase::Closed);
            assert_eq!(state.terms(), &terms);
        }
    }
}

mod types {
    use super::*;

    #[test]
    fn what_is_shared_is_send_and_sync() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<CircuitBreaker>();
        shared::<CircuitBreaker<ManualClock, [AtomicU64; 4]>>();
        shared::<Arc<CircuitBreaker>>();
        shared::<Permit<Arc<CircuitBreaker>>>();
        shared::<Permit<&'static CircuitBreaker>>();
        shared::<Judged<Arc<CircuitBreaker>, EveryError>>();
        shared::<steadfast_circuit_breaker::Calling<Arc<CircuitBreaker>, (), EveryError>>();
        shared::<steadfast_circuit_breaker::Acquire<Arc<CircuitBreaker>>>();
        shared::<steadfast_circuit_breaker::Changes>();
        shared::<steadfast_circuit_breaker::Observed>();
        shared::<Keyed<String>>();
        shared::<Config>();
        shared::<Window>();
        shared::<Terms>();
        shared::<ConfigError>();
        shared::<steadfast_circuit_breaker::TryAcquireError>();
        shared::<steadfast_circuit_breaker::AcquireError>();
        shared::<steadfast_circuit_breaker::KeyedError>();
        shared::<steadfast_circuit_breaker::Metrics>();
    }

    #[test]
    fn what_has_a_single_owner_can_be_sent() {
        fn sent<T: Send>() {}
        sent::<State<[Cell<u64>; 4]>>();
        sent::<State<Box<[Cell<u64>]>>>();
    }

    #[test]
    fn errors_are_errors() {
        fn error<T: std::error::Error>() {}
        error::<ConfigError>();
        error::<steadfast_circuit_breaker::TryAcquireError>();
        error::<steadfast_circuit_breaker::AcquireError>();
        error::<steadfast_circuit_breaker::CallError<std::io::Error>>();
        error::<steadfast_circuit_breaker::KeyedError>();
        error::<steadfast_circuit_breaker::KeyedCallError<std::io::Error>>();
    }

    #[test]
    fn a_configuration_is_a_value() {
        let config = ONE.name("quotes");
        let copy = config;
        assert_eq!(config, copy);
        assert_ne!(config, ONE);
        assert!(format!("{config:?}").contains("quotes"));
    }
}

#[cfg(feature = "serde")]
mod files {
    use super::*;

    const FULL: Config = Config::new()
        .consecutive_failures(5)
        .failure_rate(0.5, Window::calls(100).minimum(20))
        .failure_rate(0.25, Window::time(secs(60)).slices(12))
        .slow_rate(0.75, Window::calls(50))
        .slow_rate(1.0, Window::time(secs(30)).minimum(7))
        .slow_after(Duration::from_millis(1_500))
        .break_duration(secs(90))
        .reset_after(secs(3_600))
        .max_hint(secs(120))
        .probes(3)
        .close_by_rate(0.4, 5)
        .probe_timeout(Duration::from_millis(250))
        .ramp_up(0.125, secs(20))
        .max_waiters(17)
        .counted(true);

    fn read(text: &str) -> Result<Config, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn everything_comes_back_but_the_name() {
        let growing = steadfast_backoff::Config::exponential(secs(1)).cap(secs(60));
        let configs = [
            ONE,
            FULL,
            Config::default(),
            FULL.growing_break(growing),
            FULL.close_after(7),
            SLOW.slow_after(NANOSECOND),
            ONE.break_duration(LONGEST).max_hint(Duration::from_secs(u64::MAX)),
        ];
        for config in configs {
            let text = serde_json::to_string(&config).expect("can be written");
            assert_eq!(read(&text), Ok(config), "{text}");
            let named = serde_json::to_string(&config.name("x")).expect("can be written");
            assert_eq!(named, text);
        }
    }

    #[test]
    fn durations_are_written_as_humans_do() {
        let text = serde_json::to_value(FULL).expect("can be written");
        assert_eq!(text["slow_after"], "1s 500ms");
        assert_eq!(text["break_duration"], "1m 30s");
        assert_eq!(text["reset_after"], "1h");
        assert_eq!(text["probe_timeout"], "250ms");
        assert_eq!(text["ramp_up"]["over"], "20s");
        assert_eq!(text["failure_rate"][0]["window"]["calls"], 100);
        assert_eq!(text["failure_rate"][1]["window"]["time"], "1m");
        assert_eq!(text["close_by_rate"]["probes"], 5);
        assert!(text.get("close_after").is_none());
    }

    #[test]
    fn a_file_says_what_it_changes_and_the_rest_is_as_in_new() {
        assert_eq!(read(r#"{"consecutive_failures": 1}"#), Ok(ONE));
        let text = r#"{
            "failure_rate": [{"rate": 0.5, "window": {"time": "1m", "slices": 6}}],
            "break_duration": "10s",
            "close_after": 1
        }"#;
        let config =
            failing(0.5, Window::time(secs(60)).slices(6)).break_duration(secs(10)).close_after(1);
        assert_eq!(read(text), Ok(config));
    }

    #[test]
    fn what_cannot_be_built_cannot_be_read() {
        for (text, part) in [
            ("{}", "no rule"),
            (r#"{"consecutive_failures": 0}"#, "give 1 to"),
            (r#"{"consecutive_failures": -1}"#, "-1"),
            (r#"{"consecutive_failures": 1, "probes": 0}"#, "0 probes"),
            (r#"{"consecutive_failures": 1, "break_duration": "0s"}"#, "a break of 0 s"),
            (r#"{"consecutive_failures": 1, "break_duration": "soon"}"#, "expected a duration"),
            (r#"{"consecutive_failures": 1, "break_duration": 5}"#, "duration"),
            (r#"{"consecutive_failures": 1, "breaks": "5s"}"#, "unknown field `breaks`"),
            (r#"{"consecutive_failures": 1, "name": "x"}"#, "unknown field `name`"),
            (r#"{"failure_rate": [{"rate": 2.0, "window": {"calls": 9}}]}"#, "a rate of 2"),
            (r#"{"failure_rate": [{"rate": 0.5, "window": {}}]}"#, "either `calls` or `time`"),
            (
                r#"{"failure_rate": [{"rate": 0.5, "window": {"calls": 9, "time": "1s"}}]}"#,
                "either `calls` or `time`",
            ),
            (
                r#"{"failure_rate": [{"rate": 0.5, "window": {"calls": 9, "slice": 1}}]}"#,
                "unknown field `slice`",
            ),
            (
                r#"{"failure_rate": [{"rate": 0.5, "window": {"calls": 9}},
                                     {"rate": 0.6, "window": {"calls": 8}}]}"#,
                "failure_rate twice",
            ),
            (
                r#"{"slow_after": "1s",
                    "slow_rate": [{"rate": 0.5, "window": {"time": "9s"}},
                                  {"rate": 0.6, "window": {"time": "8s"}}]}"#,
                "slow_rate twice",
            ),
            (r#"{"consecutive_failures": 1, "slow_after": "1s"}"#, "slow_after without"),
            (
                r#"{"consecutive_failures": 1, "close_after": 1,
                    "close_by_rate": {"rate": 0.5, "probes": 5}}"#,
                "both close_after and close_by_rate",
            ),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(part), "{part:?} is missing in {error:?}");
        }
        let growing = steadfast_backoff::Config::exponential(secs(1));
        let mut both = serde_json::to_value(ONE.growing_break(growing)).expect("can be written");
        both["break_duration"] = "5s".into();
        let error = serde_json::from_value::<Config>(both).expect_err("both").to_string();
        assert!(error.contains("both break_duration and growing_break"), "{error}");
    }
}
