//! What the documentation of `Config`, `Jitter`, `Policy` and `Delays` promises, one claim a test.
//! Their numbers in general are in `tests/policy_model.rs`.

#![cfg(not(loom))]

use std::time::Duration;

use steadfast_backoff::{Config, ConfigError, Jitter, Policy, Random};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn s(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

fn first<const N: usize>(config: Config) -> [Duration; N] {
    let policy = config.max_retries(u32::try_from(N).expect("few")).build().expect("valid");
    let delays: Vec<_> = policy.delays(|| 0).collect();
    delays.try_into().expect("as many delays as retries")
}

mod growth {
    use super::*;

    #[test]
    fn exponential_doubles_by_default() {
        assert_eq!(first(Config::exponential(ms(300))), [300, 600, 1_200, 2_400].map(ms));
    }

    #[test]
    fn a_factor_is_exactly_the_number_given() {
        assert_eq!(first(Config::exponential(ms(1)).factor(1.5)), [1_000, 1_500, 2_250].map(us));
        assert_eq!(first(Config::exponential(s(1)).factor(1.0)), [1, 1, 1].map(s));
        // 1.1 is 1.100000000000000088…, which shows at the 16th digit.
        let long = Config::exponential(ns(10_000_000_000_000_000_000)).factor(1.1);
        assert_eq!(first::<2>(long)[1], ns(11_000_000_000_000_000_888));
    }

    fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn halves_of_a_nanosecond_are_rounded_up() {
        assert_eq!(first(Config::exponential(ns(1)).factor(1.5)), [1, 2, 2, 3, 5].map(ns));
    }

    #[test]
    fn linear_adds_the_base_each_time() {
        assert_eq!(first(Config::linear(ms(200))), [200, 400, 600, 800].map(ms));
    }

    #[test]
    fn fibonacci_adds_the_two_before() {
        assert_eq!(first(Config::fibonacci(ms(10))), [10, 10, 20, 30, 50, 80].map(ms));
    }

    #[test]
    fn constant_stays_and_may_be_nothing() {
        assert_eq!(first(Config::constant(ms(7))), [7, 7, 7].map(ms));
        assert_eq!(first(Config::constant(Duration::ZERO)), [0, 0].map(ms));
    }

    #[test]
    fn a_function_is_asked_with_each_number() {
        let config = Config::from_fn(|n| s(u64::from(n) * u64::from(n)));
        let policy = config.floor(s(2)).cap(s(10)).max_retries(5).build().unwrap();
        assert_eq!(policy.delays(|| 0).collect::<Vec<_>>(), [2, 2, 4, 9, 10].map(s));
        assert_eq!(policy.delay(u32::MAX, &mut || 0), s(10));
    }

    #[test]
    fn a_function_may_give_more_than_can_be_counted() {
        let policy = Config::from_fn(|_| Duration::MAX).build().unwrap();
        assert_eq!(policy.delay(0, &mut || 0), ns(u64::MAX));
    }

    #[test]
    fn what_overflows_is_the_cap() {
        for config in [
            Config::exponential(ns(1)),
            Config::exponential(ns(1)).factor(1.1),
            Config::exponential(ns(1)).factor(f64::MAX),
            Config::linear(s(10_000_000)),
            Config::fibonacci(ns(1)),
        ] {
            let capped = config.cap(s(u64::from(u32::MAX))).build().unwrap();
            assert_eq!(capped.delay(u32::MAX, &mut || 0), capped.cap());
            let free = config.build().unwrap();
            assert_eq!(free.delay(u32::MAX, &mut || 0), ns(u64::MAX));
        }
    }
}

mod bounds {
    use super::*;

    #[test]
    fn by_default_there_are_three_retries_no_bounds_and_no_jitter() {
        let policy = Config::exponential(s(1)).build().unwrap();
        assert_eq!((policy.max_retries(), policy.max_elapsed()), (Some(3), None));
        assert_eq!((policy.floor(), policy.cap()), (Duration::ZERO, ns(u64::MAX)));
        let policy_delays = |bits| policy.delays(move || bits).collect::<Vec<_>>();
        assert_eq!(policy_delays(0), [1, 2, 4].map(s));
        assert_eq!(policy_delays(u64::MAX), [1, 2, 4].map(s));
    }

    #[test]
    fn what_is_shorter_than_the_floor_is_the_floor() {
        let config = Config::exponential(s(1)).floor(s(3));
        assert_eq!(first(config), [3, 3, 4, 8].map(s));
    }

    #[test]
    fn what_is_longer_than_the_cap_is_the_cap() {
        assert_eq!(first(Config::exponential(s(1)).cap(s(5))), [1, 2, 4, 5, 5].map(s));
        assert_eq!(first(Config::constant(s(5)).cap(s(5))), [5].map(s));
    }

    #[test]
    fn no_retries_are_no_delays() {
        let policy = Config::constant(s(1)).max_retries(0).build().unwrap();
        let mut delays = policy.delays(|| 0);
        assert_eq!((delays.size_hint(), delays.is_empty()), ((0, Some(0)), true));
        assert_eq!((delays.next(), delays.next()), (None, None));
    }

    #[test]
    fn without_a_limit_the_size_has_no_upper_bound_and_never_changes() {
        let policy = Config::exponential(s(1)).unlimited().build().unwrap();
        let mut delays = policy.delays(|| 0);
        for _ in 0..100 {
            assert_eq!((delays.size_hint(), delays.len()), ((usize::MAX, None), usize::MAX));
            assert!(delays.next().is_some());
        }
        assert_eq!(delays.next(), Some(policy.cap()));
    }

    #[test]
    fn the_size_is_exact() {
        let policy = Config::constant(s(1)).max_retries(u32::MAX).build().unwrap();
        let mut delays = policy.delays(|| 0);
        let all = u32::MAX as usize;
        assert_eq!(delays.size_hint(), (all, Some(all)));
        assert!(delays.next().is_some());
        assert_eq!(delays.size_hint(), (all - 1, Some(all - 1)));
    }

    #[test]
    fn a_policy_is_a_constant_and_a_copy() {
        const POLICY: Policy =
            Config::exponential(ms(300)).factor(1.5).jitter(Jitter::Fraction(0.2)).build_static();
        let copy = POLICY;
        assert_eq!(copy, POLICY);
        assert_ne!(copy, Config::exponential(ms(300)).build().unwrap());
    }
}

mod errors {
    use super::*;

    /// The error, and that its message says all of `parts`.
    fn rejected(config: Config, expected: ConfigError, parts: &[&str]) {
        let error = config.build().expect_err("invalid");
        assert_eq!(error, expected);
        let message = error.to_string();
        for part in parts {
            assert!(message.contains(part), "{part:?} is missing in {message:?}");
        }
    }

    #[test]
    fn a_growth_from_nothing_is_rejected() {
        for config in [Config::linear, Config::exponential, Config::fibonacci] {
            rejected(config(Duration::ZERO), ConfigError::ZeroBase, &["base of 0", "above 0"]);
        }
    }

    #[test]
    fn a_factor_below_1_or_not_finite_is_rejected() {
        for (factor, text) in [
            (0.999, "0.999"),
            (1.0 - f64::EPSILON / 2.0, "0.99999"),
            (0.0, "0"),
            (-0.0, "-0"),
            (-2.0, "-2"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            let error = ConfigError::FactorOutOfRange { factor };
            rejected(Config::exponential(s(1)).factor(factor), error, &[text, "at least 1"]);
        }
        let error = Config::exponential(s(1)).factor(f64::NAN).build().unwrap_err();
        assert!(matches!(error, ConfigError::FactorOutOfRange { factor } if factor.is_nan()));
        assert!(error.to_string().contains("NaN"));
    }

    #[test]
    fn a_factor_is_for_exponential_growth_alone() {
        for config in [Config::constant, Config::linear, Config::fibonacci] {
            let error = ConfigError::NoFactor { factor: 1.5 };
            rejected(config(s(1)).factor(1.5), error, &["1.5", "exponential"]);
        }
    }

    #[test]
    fn a_fraction_outside_0_to_1_is_rejected() {
        for (fraction, text) in [(1.000_000_1, "1.0000001"), (-0.1, "-0.1"), (f64::INFINITY, "inf")]
        {
            let error = ConfigError::FractionOutOfRange { fraction };
            let config = Config::constant(s(1)).jitter(Jitter::Fraction(fraction));
            rejected(config, error, &[text, "0 to 1"]);
        }
        let error = Config::constant(s(1)).jitter(Jitter::Fraction(f64::NAN)).build().unwrap_err();
        assert!(matches!(error, ConfigError::FractionOutOfRange { fraction } if fraction.is_nan()));
        for fraction in [0.0, -0.0, 1.0, f64::MIN_POSITIVE] {
            assert!(Config::constant(s(1)).jitter(Jitter::Fraction(fraction)).build().is_ok());
        }
    }

    #[test]
    fn bounds_that_exclude_each_other_are_rejected() {
        let error = ConfigError::CapBelowFloor { cap: s(2), floor: s(3) };
        rejected(Config::constant(s(1)).floor(s(3)).cap(s(2)), error, &["2s", "3s"]);
        let error = ConfigError::BaseAboveCap { base: s(3), cap: s(2) };
        rejected(Config::exponential(s(3)).cap(s(2)), error, &["3s", "2s"]);
        let custom = Config::from_fn(|_| s(9)).floor(s(3)).cap(s(2)).build().map(|_| ());
        assert_eq!(custom, Err(ConfigError::CapBelowFloor { cap: s(2), floor: s(3) }));
        assert!(Config::constant(s(2)).floor(s(2)).cap(s(2)).build().is_ok());
    }

    #[test]
    fn durations_of_more_than_64_bits_are_rejected() {
        for duration in [Duration::MAX, ns(u64::MAX) + ns(1)] {
            let error = ConfigError::TooLong { duration };
            for config in [
                Config::constant(duration),
                Config::exponential(duration),
                Config::constant(s(1)).floor(duration),
                Config::constant(s(1)).cap(duration),
            ] {
                rejected(config, error, &["584 years"]);
            }
        }
        assert!(Config::exponential(ns(u64::MAX)).cap(ns(u64::MAX)).build().is_ok());
    }

    #[test]
    fn no_time_at_all_is_rejected() {
        let config = Config::constant(s(1)).max_elapsed(Duration::ZERO);
        rejected(config, ConfigError::ZeroMaxElapsed, &["0 s", "0 retries"]);
        assert!(Config::constant(s(1)).max_elapsed(Duration::MAX).build().is_ok());
    }

    #[test]
    #[should_panic(expected = "base above the cap")]
    fn the_static_build_says_why() {
        let _ = Config::constant(s(2)).cap(s(1)).build_static();
    }
}

/// Distributions, each with a fixed seed, so that a test passes always or never.
mod chance {
    use super::*;

    const DRAWS: u32 = 20_000;
    /// Of the Kolmogorov–Smirnov statistic, times the root of the number of draws: exceeded by
    /// chance once in 10,000 seeds (√(-½ ln(p/2))).
    const CRITICAL: f64 = 2.226;

    fn draws(policy: &Policy, attempt: u32, previous: Option<Duration>, seed: u64) -> Vec<f64> {
        let mut rng = Random::from_seed(seed);
        (0..DRAWS).map(|_| policy.delay_after(attempt, previous, &mut rng).as_secs_f64()).collect()
    }

    /// That they are distributed uniformly between the two.
    fn uniform(mut draws: Vec<f64>, low: f64, high: f64) {
        draws.sort_by(f64::total_cmp);
        let n = f64::from(DRAWS);
        let mut distance = 0_f64;
        for (i, draw) in (0..DRAWS).zip(&draws) {
            let expected = (draw - low) / (high - low);
            let steps = (f64::from(i) / n, f64::from(i + 1) / n);
            distance = distance.max((expected - steps.0).abs()).max((steps.1 - expected).abs());
        }
        let statistic = distance * n.sqrt();
        assert!(statistic < CRITICAL, "{statistic} for {low} to {high}");
        // Of a uniform variable, 3.9 standard deviations are exceeded once in 10,000 seeds.
        let mean = draws.iter().sum::<f64>() / n;
        let deviation = (mean - f64::midpoint(low, high)) / ((high - low) / (12.0 * n).sqrt());
        assert!(deviation.abs() < 3.9, "mean of {mean}: {deviation} for {low} to {high}");
        assert!(low <= draws[0] && draws[draws.len() - 1] <= high);
    }

    fn policy(jitter: Jitter) -> Policy {
        Config::exponential(s(1)).cap(s(10)).jitter(jitter).build().unwrap()
    }

    #[test]
    fn full_jitter_is_uniform_from_0_to_the_delay() {
        uniform(draws(&policy(Jitter::Full), 2, None, 1), 0.0, 4.0);
    }

    #[test]
    fn equal_jitter_is_uniform_in_the_upper_half() {
        uniform(draws(&policy(Jitter::Equal), 2, None, 2), 2.0, 4.0);
    }

    #[test]
    fn a_fraction_is_uniform_on_both_sides_of_the_delay() {
        uniform(draws(&policy(Jitter::Fraction(0.25)), 2, None, 3), 3.0, 5.0);
        uniform(draws(&policy(Jitter::Fraction(1.0)), 2, None, 4), 0.0, 8.0);
    }

    #[test]
    fn decorrelated_jitter_is_uniform_up_to_three_times_the_delay_before() {
        let policy = policy(Jitter::Decorrelated);
        uniform(draws(&policy, 0, None, 5), 1.0, 3.0);
        uniform(draws(&policy, 9, Some(ms(1_500)), 6), 1.0, 4.5);
        uniform(draws(&policy, 9, Some(s(3)), 7), 1.0, 9.0);
    }

    #[test]
    fn at_the_cap_delays_are_still_spread_as_evenly() {
        for (seed, jitter, low) in [
            (8, Jitter::Full, 0.0),
            (9, Jitter::Equal, 5.0),
            (10, Jitter::Fraction(0.2), 8.0),
            (11, Jitter::Decorrelated, 1.0),
        ] {
            let policy = policy(jitter);
            for attempt in [4, 40, u32::MAX] {
                let drawn = draws(&policy, attempt, Some(s(10)), seed);
                assert!(drawn.iter().filter(|&&delay| delay >= 10.0).count() <= 1, "{jitter:?}");
                uniform(drawn, low, 10.0);
            }
        }
    }

    #[test]
    fn at_the_floor_delays_are_spread_over_what_is_left() {
        let config = Config::constant(s(4)).floor(s(3));
        for (seed, jitter, high) in
            [(12, Jitter::Full, 4.0), (13, Jitter::Equal, 4.0), (14, Jitter::Fraction(0.5), 6.0)]
        {
            uniform(draws(&config.jitter(jitter).build().unwrap(), 0, None, seed), 3.0, high);
        }
    }

    #[test]
    fn each_decorrelated_delay_is_uniform_given_the_one_before() {
        let policy = policy(Jitter::Decorrelated);
        let many = Config::exponential(s(1)).cap(s(10)).jitter(Jitter::Decorrelated);
        let mut previous = 1.0_f64;
        let delays = many.max_retries(DRAWS).build().unwrap().delays(Random::from_seed(15));
        let ranks = delays.map(|delay| {
            let delay = delay.as_secs_f64();
            let high = (3.0 * previous).min(policy.cap().as_secs_f64());
            previous = delay;
            (delay - 1.0) / (high - 1.0)
        });
        uniform(ranks.collect(), 0.0, 1.0);
    }

    #[test]
    fn decorrelated_by_number_draws_those_before_it() {
        let policy = policy(Jitter::Decorrelated);
        for attempt in [0, 1, 7, 100, 1_000] {
            let mut delays = Config::exponential(s(1)).cap(s(10)).jitter(Jitter::Decorrelated);
            delays = delays.unlimited();
            let mut in_order = delays.build().unwrap().delays(Random::from_seed(16));
            let by_number = policy.delay(attempt, &mut Random::from_seed(16));
            assert_eq!(in_order.nth(attempt as usize), Some(by_number));
        }
    }

    #[test]
    fn a_seed_repeats_and_another_does_not() {
        let policy = Config::constant(s(1)).jitter(Jitter::Full).max_retries(20).build().unwrap();
        let delays = |seed| policy.delays(Random::from_seed(seed)).collect::<Vec<_>>();
        assert_eq!(delays(1), delays(1));
        assert_ne!(delays(1), delays(2));
    }

    #[cfg(feature = "std")]
    #[test]
    fn generators_that_seed_themselves_differ() {
        use steadfast_backoff::Rng;

        assert_ne!(Random::new().next_u64(), Random::new().next_u64());
    }
}

#[cfg(feature = "serde")]
mod data {
    use super::*;

    fn read(text: &str) -> Config {
        serde_json::from_str(text).expect(text)
    }

    fn round(text: &str, config: Config) {
        assert_eq!(read(text), config);
        assert_eq!(serde_json::to_string(&config).unwrap(), text);
    }

    #[test]
    fn configuration_is_read_and_written_as_humans_do() {
        let full = Config::exponential(ms(100)).factor(2.0).cap(s(30)).jitter(Jitter::Full);
        round(
            r#"{"growth":"exponential","base":"100ms","factor":2.0,"cap":"30s","jitter":"full","max_retries":5}"#,
            full.max_retries(5),
        );
        let config = Config::linear(s(1)).floor(ms(10)).jitter(Jitter::Fraction(0.2));
        round(
            r#"{"growth":"linear","base":"1s","floor":"10ms","jitter":{"fraction":0.2},"max_retries":"unlimited","max_elapsed":"1m 40s"}"#,
            config.unlimited().max_elapsed(s(100)),
        );
        for (name, jitter) in [
            ("none", Jitter::None),
            ("equal", Jitter::Equal),
            ("decorrelated", Jitter::Decorrelated),
        ] {
            let text =
                format!(r#"{{"growth":"constant","base":"0s","jitter":"{name}","max_retries":0}}"#);
            round(&text, Config::constant(Duration::ZERO).jitter(jitter).max_retries(0));
        }
    }

    #[test]
    fn only_growth_and_base_are_needed() {
        assert_eq!(read(r#"{"growth":"fibonacci","base":"250ms"}"#), Config::fibonacci(ms(250)));
    }

    #[test]
    fn bad_input_is_refused_when_it_is_read() {
        let refused = |rest: &str| {
            let text = format!(r#"{{"growth":"exponential","base":"1s"{rest}}}"#);
            serde_json::from_str::<Config>(&text).expect_err(&text).to_string()
        };
        for (rest, message) in [
            (r#","factor":0.5"#, "factor of 0.5"),
            (r#","cap":"10ms""#, "above the cap"),
            (r#","jitter":{"fraction":1.5}"#, "fraction of 1.5"),
            (r#","max_elapsed":"0s""#, "at most 0 s elapsed"),
            (r#","floor":"1s","floor":"1s""#, "duplicate field"),
            (r#","cop":"10s""#, "unknown field"),
            (r#","jitter":"much""#, "unknown variant"),
            (r#","cap":"soon""#, "expected a duration"),
            (r#","max_retries":"endless""#, r#"a whole number, or "unlimited""#),
            (r#","max_retries":-1"#, r#"a whole number, or "unlimited""#),
        ] {
            let error = refused(rest);
            assert!(error.contains(message), "{error}");
        }
    }
}
