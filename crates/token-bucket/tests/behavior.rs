//! What the documentation of `Rate`, `Config`, `TokenBucket` and `TryAcquireError` promises, one
//! claim a test. Waiting has its own files.

#![cfg(not(loom))]

use std::thread;
use std::time::Duration;

use steadfast_core::{Clock, Instant, ManualClock, SystemClock};
use steadfast_token_bucket::state::{Decision, Limits, MAX_STEP_BACK, State, TOP, Word};
use steadfast_token_bucket::{Config, ConfigError, Rate, Stats, TokenBucket, TryAcquireError};

const NANOSECOND: Duration = Duration::from_nanos(1);
const CENTURY: u64 = 36_525 * 86_400 * SECOND;
const SECOND: u64 = 1_000_000_000;

const fn ns(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

const fn ms(millis: u64) -> Instant {
    ns(millis * 1_000_000)
}

const fn s(secs: u64) -> Instant {
    ns(secs * SECOND)
}

fn denied(retry_at: Instant, now: Instant) -> Result<(), TryAcquireError> {
    Err(TryAcquireError::Denied { retry_at, now })
}

fn build(config: Config, now: Instant) -> TokenBucket<()> {
    config.build_at((), now).expect("a valid configuration")
}

fn per_second(tokens: u64, burst: u64) -> TokenBucket<()> {
    build(Config::new(Rate::per_second(tokens)).burst(burst), Instant::ZERO)
}

mod rates {
    use super::*;

    #[test]
    fn equal_rates_are_the_same_number() {
        assert_eq!(Rate::per_minute(60), Rate::per_second(1));
        assert_eq!(Rate::per_hour(3_600), Rate::per_minute(60));
        assert_eq!(Rate::per_day(24), Rate::per_hour(1));
        assert_eq!(
            Rate::new(33, Duration::from_secs(100)),
            Rate::new(66, Duration::from_secs(200))
        );
        assert_ne!(Rate::per_minute(61), Rate::per_second(1));
    }

    #[test]
    fn equality_is_exact_at_the_extremes() {
        let most = Rate::new(u64::MAX, Duration::MAX);
        assert_eq!(most, most);
        assert_ne!(most, Rate::new(u64::MAX - 1, Duration::MAX));
        assert_ne!(most, Rate::new(u64::MAX, Duration::MAX.saturating_sub(NANOSECOND)));
        assert_ne!(Rate::new(u64::MAX, NANOSECOND), Rate::new(u64::MAX - 1, NANOSECOND));
    }

    #[test]
    fn a_rate_that_is_no_number_equals_no_other() {
        let neither = Rate::new(0, Duration::ZERO);
        assert_eq!(neither, neither);
        for other in [Rate::per_second(0), Rate::new(1, Duration::ZERO), Rate::per_second(1)] {
            assert_ne!(neither, other);
            assert_ne!(other, neither);
        }
        assert_ne!(Rate::per_second(0), Rate::new(1, Duration::ZERO));
        assert_eq!(Rate::per_second(0), Rate::per_minute(0));
    }

    #[test]
    fn a_rate_keeps_and_prints_what_was_given() {
        let rate = Rate::per_minute(90);
        assert_eq!((rate.tokens(), rate.period()), (90, Duration::from_secs(60)));
        assert_eq!(format!("{rate:?}"), "90 per 60s");
    }
}

mod configurations {
    use super::*;

    /// The error, and that its message says all of `parts`.
    fn rejected(config: Config, expected: ConfigError, parts: &[&str]) {
        let error = config.state(Instant::ZERO).expect_err("invalid");
        assert_eq!(error, expected);
        assert_eq!(config.build_at((), Instant::ZERO).expect_err("invalid"), expected);
        let message = error.to_string();
        for part in parts {
            assert!(message.contains(part), "{part:?} is missing in {message:?}");
        }
    }

    fn accepted(config: Config) -> State {
        config.state(Instant::ZERO).expect("valid")
    }

    #[test]
    fn a_bucket_begins_full_with_the_tokens_of_its_rate() {
        let bucket = build(Config::new(Rate::per_minute(90)), s(7));
        assert_eq!((bucket.burst(), bucket.available_at(s(7))), (90, 90));
        assert_eq!(bucket.rate(), Rate::per_minute(90));
        assert!(!bucket.is_closed());
    }

    #[test]
    fn the_rate_in_force_is_in_lowest_terms() {
        let bucket = build(Config::new(Rate::per_minute(90)), s(7));
        let rate = bucket.rate();
        assert_eq!((rate.tokens(), rate.period()), (3, Duration::from_secs(2)));
    }

    #[test]
    fn initial_sets_the_first_tokens() {
        let config = Config::new(Rate::per_second(1)).burst(10);
        assert_eq!(build(config.initial(0), s(3)).available_at(s(3)), 0);
        assert_eq!(build(config.initial(4), s(3)).available_at(s(3)), 4);
        assert_eq!(build(config.initial(4), s(3)).available_at(s(4)), 5);
        assert_eq!(build(config, s(3)).available_at(s(3)), 10);
    }

    #[test]
    fn zero_tokens_are_rejected() {
        rejected(
            Config::new(Rate::per_second(0)),
            ConfigError::ZeroRate,
            &["0 tokens", "at least 1"],
        );
        accepted(Config::new(Rate::per_second(1)));
    }

    #[test]
    fn a_period_of_zero_is_rejected() {
        let config = |period| Config::new(Rate::new(1, period));
        rejected(
            config(Duration::ZERO),
            ConfigError::ZeroPeriod,
            &["period of 0", "at least 1 ns"],
        );
        accepted(config(NANOSECOND));
    }

    #[test]
    fn a_period_beyond_what_an_instant_measures_is_rejected() {
        let config = |period| Config::new(Rate::new(u64::MAX, period)).burst(1);
        let longest = Duration::from_nanos(u64::MAX);
        accepted(config(longest));
        let period = longest + NANOSECOND;
        rejected(
            config(period),
            ConfigError::PeriodTooLong { period },
            &["18446744073.709551616s", "584 years", "2^64 - 1 ns"],
        );
        let period = Duration::MAX;
        rejected(config(period), ConfigError::PeriodTooLong { period }, &[]);
    }

    #[test]
    fn rates_up_to_68_billion_in_a_nanosecond_are_accepted() {
        let config = |tokens| Config::new(Rate::new(tokens, NANOSECOND)).burst(1);
        accepted(config((1 << 36) - 1));
        rejected(
            config(1 << 36),
            ConfigError::UnrepresentableRate { tokens: 1 << 36, period: NANOSECOND },
            &["68719476736 per 1ns", "at most 68 billion tokens", "every 2 years", "round it"],
        );
        let expected = ConfigError::UnrepresentableRate { tokens: u64::MAX, period: NANOSECOND };
        rejected(config(u64::MAX), expected, &[]);
    }

    #[test]
    fn a_token_every_two_years_is_accepted() {
        let config = |nanos| Config::new(Rate::new(1, Duration::from_nanos(nanos)));
        accepted(config(2 * 366 * 86_400 * SECOND));
        let longest = TOP - (1 << 20);
        accepted(config(longest));
        let period = Duration::from_nanos(longest + 1);
        rejected(
            config(longest + 1),
            ConfigError::UnrepresentableRate { tokens: 1, period },
            &["1 per 72057594.03687936s"],
        );
    }

    #[test]
    fn a_rate_is_judged_in_lowest_terms() {
        let year = 365 * 86_400;
        accepted(Config::new(Rate::new(7 << 40, Duration::from_secs(7 * year))).burst(1));
        accepted(Config::new(Rate::new(u64::MAX, Duration::from_nanos(u64::MAX))).burst(1));
    }

    #[test]
    fn a_burst_out_of_range_is_rejected() {
        let config = |burst| Config::new(Rate::per_second(1)).burst(burst);
        let max = (TOP - (1 << 20)) / SECOND;
        assert_eq!(accepted(config(max)).limits().burst(), max);
        accepted(config(1));
        for burst in [0, max + 1, u64::MAX] {
            let message = format!("burst of {burst} tokens");
            let expected = ConfigError::BurstOutOfRange { burst, max };
            rejected(config(burst), expected, &[&message, "give 1 to 72057594"]);
        }
    }

    #[test]
    fn the_largest_burst_is_granted_exactly_once() {
        let max = (TOP - (1 << 20)) / SECOND;
        let bucket = per_second(1, max);
        assert_eq!(bucket.try_acquire_at(max, s(5)), Ok(()));
        assert_eq!(bucket.try_acquire_at(1, s(5)), denied(s(6), s(5)));
        assert_eq!(bucket.available_at(s(5 + max)), max);
    }

    #[test]
    fn a_default_burst_out_of_range_is_rejected() {
        let config = Config::new(Rate::per_second(999_999_937));
        let Err(ConfigError::BurstOutOfRange { burst: 999_999_937, max }) = config.limits() else {
            panic!("{:?}", config.limits());
        };
        accepted(config.burst(max));
    }

    #[test]
    fn an_initial_fill_above_the_burst_is_rejected() {
        let config = |initial| Config::new(Rate::per_second(1)).burst(5).initial(initial);
        accepted(config(5));
        rejected(
            config(6),
            ConfigError::InitialAboveBurst { initial: 6, burst: 5 },
            &["initial fill of 6 tokens", "0 to the burst, 5"],
        );
        let expected = ConfigError::InitialAboveBurst { initial: u64::MAX, burst: 5 };
        rejected(config(u64::MAX), expected, &[]);
    }

    #[test]
    fn the_messages_of_the_companions_say_value_and_range() {
        let batch = ConfigError::BatchOutOfRange { batch: 9, burst: 5 }.to_string();
        assert_eq!(batch, "batch of 9 tokens: give 1 to the burst, 5");
        let keys = ConfigError::CapacityOutOfRange { capacity: 0, max: 77 }.to_string();
        assert_eq!(keys, "capacity of 0 keys: give 1 to 77");
    }

    #[test]
    fn no_configuration_panics() {
        let numbers = [0, 1, 2, 3, (1 << 20) - 1, 1 << 36, SECOND, 1 << 56, u64::MAX - 1, u64::MAX];
        let periods = numbers.map(Duration::from_nanos);
        for period in periods.into_iter().chain([Duration::MAX, Duration::from_secs(u64::MAX)]) {
            for tokens in numbers {
                for burst in numbers {
                    let config = Config::new(Rate::new(tokens, period)).burst(burst);
                    for config in [config, config.initial(0), config.initial(u64::MAX)] {
                        for now in [Instant::ZERO, Instant::MAX] {
                            if let Ok(bucket) = config.build_at((), now) {
                                assert!(bucket.available_at(now) <= burst);
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn configurations_compare_by_what_they_mean() {
        let config = Config::new(Rate::per_second(1)).burst(5);
        assert_eq!(config, Config::new(Rate::per_minute(60)).burst(5));
        assert_ne!(config, config.burst(6));
        assert_ne!(config, config.initial(0));
        assert_ne!(config, config.counted(true));
        assert_ne!(config, config.max_waiters(1));
        assert!(format!("{config:?}").contains("1 per 1s"));
    }

    #[test]
    fn limits_name_burst_and_rate() {
        let limits = Config::new(Rate::per_minute(90)).burst(7).limits().expect("valid");
        assert_eq!((limits.burst(), limits.rate()), (7, Rate::per_minute(90)));
    }
}

mod requests {
    use super::*;

    #[test]
    fn a_burst_is_granted_and_not_a_token_more() {
        let bucket = per_second(10, 3);
        for _ in 0..3 {
            assert_eq!(bucket.try_acquire_at(1, s(1)), Ok(()));
        }
        assert_eq!(bucket.try_acquire_at(1, s(1)), denied(ms(1_100), s(1)));
    }

    #[test]
    fn denied_request_keeps_tokens() {
        let bucket = per_second(10, 5);
        bucket.try_acquire_at(2, s(1)).expect("full");
        let before = bucket.snapshot();
        assert_eq!(bucket.try_acquire_at(4, s(1)), denied(ms(1_100), s(1)));
        assert_eq!(bucket.snapshot(), before);
        assert_eq!(bucket.try_acquire_at(3, s(1)), Ok(()));
    }

    #[test]
    fn retry_at_is_the_first_instant_that_grants() {
        let bucket = build(Config::new(Rate::new(7, Duration::from_secs(11))).burst(5), s(1));
        bucket.try_acquire_at(5, s(1)).expect("full");
        // 3 tokens take 33/7 s.
        let retry_at = s(1).saturating_add(Duration::from_nanos(4_714_285_715));
        assert_eq!(bucket.try_acquire_at(3, s(1)), denied(retry_at, s(1)));
        let early = retry_at.saturating_sub(NANOSECOND);
        assert_eq!(bucket.try_acquire_at(3, early), denied(retry_at, early));
        assert_eq!(bucket.try_acquire_at(3, retry_at), Ok(()));
    }

    #[test]
    fn more_than_the_burst_is_never_granted() {
        let bucket = per_second(10, 5);
        for n in [6, u64::MAX / 2, u64::MAX] {
            for now in [Instant::ZERO, s(1_000), Instant::MAX] {
                let never = bucket.try_acquire_at(n, now).expect_err("never");
                assert_eq!(never, TryAcquireError::ExceedsBurst { burst: 5 });
            }
        }
        assert_eq!(bucket.available_at(Instant::ZERO), 5);
    }

    #[test]
    fn taking_nothing_succeeds_in_an_empty_bucket() {
        let bucket = per_second(10, 5);
        bucket.try_acquire_at(5, s(1)).expect("full");
        assert_eq!(bucket.try_acquire_at(0, s(1)), Ok(()));
        assert_eq!(bucket.try_acquire_at(1, s(1)), denied(ms(1_100), s(1)));
        // A clock that stepped back is no reason either.
        assert_eq!(bucket.try_acquire_at(0, Instant::ZERO), Ok(()));
    }

    #[test]
    fn up_to_takes_what_is_there() {
        let bucket = per_second(10, 5);
        assert_eq!(bucket.try_acquire_up_to_at(3, s(1)), 3);
        assert_eq!(bucket.try_acquire_up_to_at(u64::MAX, s(1)), 2);
        assert_eq!(bucket.try_acquire_up_to_at(1, s(1)), 0);
        assert_eq!(bucket.try_acquire_up_to_at(0, s(9)), 0);
        assert_eq!(bucket.try_acquire_up_to_at(u64::MAX, ms(1_299)), 2);
    }

    #[test]
    fn looking_takes_nothing() {
        let bucket = per_second(10, 5);
        bucket.try_acquire_at(4, s(1)).expect("full");
        let before = bucket.snapshot();
        assert_eq!(bucket.available_at(ms(1_199)), 2);
        assert_eq!(bucket.ready_at(1, s(1)), Ok(s(1)));
        assert_eq!(bucket.ready_at(3, s(1)), Ok(ms(1_200)));
        assert_eq!(bucket.ready_at(6, s(1)), Err(TryAcquireError::ExceedsBurst { burst: 5 }));
        assert_eq!(bucket.snapshot(), before);
    }

    #[test]
    fn tokens_overflow_at_the_burst() {
        let bucket = per_second(10, 5);
        bucket.try_acquire_at(5, s(1)).expect("full");
        assert_eq!(bucket.available_at(ms(1_499)), 4);
        for late in [ms(1_500), s(2), s(2_000_000)] {
            assert_eq!(bucket.available_at(late), 5);
        }
    }

    #[test]
    fn every_thread_shares_a_static_bucket() {
        static LIMIT: TokenBucket<()> =
            Config::new(Rate::per_second(1)).burst(1_000).build_static_with(());
        let take = || (0..400).filter(|_| LIMIT.try_acquire_at(1, Instant::ZERO).is_ok()).count();
        let taken: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(taken, 1_000);
    }

    #[test]
    fn a_static_bucket_begins_full_at_the_origin() {
        static LIMIT: TokenBucket = Config::new(Rate::per_day(1)).build_static();
        assert_eq!(LIMIT.available_at(Instant::ZERO), 1);
        assert_eq!(LIMIT.try_acquire_at(1, Instant::ZERO), Ok(()));
        assert_eq!(LIMIT.ready_at(1, s(1)), Ok(s(86_400)));
    }

    #[test]
    #[should_panic(expected = "rate of 0 tokens")]
    fn an_invalid_static_bucket_panics_with_the_reason() {
        let _bucket = Config::new(Rate::per_second(0)).build_static();
    }

    #[test]
    fn methods_without_a_time_read_the_buckets_clock() {
        let clock = ManualClock::starting_at(s(50));
        let config = Config::new(Rate::per_second(10)).burst(5);
        let bucket = config.build_with(clock.clone()).expect("valid");
        assert_eq!(bucket.available(), 5);
        assert_eq!(bucket.try_acquire(4), Ok(()));
        assert_eq!(bucket.try_acquire(2), denied(ms(50_100), s(50)));
        clock.advance(Duration::from_millis(100));
        assert_eq!(bucket.try_acquire_up_to(9), 2);
        clock.advance(Duration::from_millis(200));
        bucket.reconfigure(&Config::new(Rate::per_second(1)).burst(5)).expect("valid");
        clock.advance(Duration::from_secs(1));
        assert_eq!(bucket.available(), 3);
        assert_eq!(bucket.clock().now(), ms(51_300));
    }

    #[cfg(feature = "std")]
    #[test]
    fn new_makes_a_full_bucket_on_the_system_clock() {
        let bucket = TokenBucket::new(Rate::per_day(2)).expect("valid");
        assert_eq!(bucket.try_acquire(2), Ok(()));
        assert!(bucket.try_acquire(1).is_err());
        assert_eq!(TokenBucket::new(Rate::per_day(0)).expect_err("invalid"), ConfigError::ZeroRate);
    }

    #[test]
    fn the_machine_and_the_bucket_decide_alike() {
        let config = Config::new(Rate::per_second(10)).burst(2);
        let (bucket, state) = (build(config, s(1)), config.state(s(1)).expect("valid"));
        assert_eq!(bucket.snapshot(), state);
        let (decision, state) = state.take(2, s(1));
        assert_eq!((decision, bucket.try_acquire_at(2, s(1))), (Decision::Granted, Ok(())));
        assert_eq!(bucket.snapshot(), state);
    }
}

mod clocks {
    use super::*;

    #[test]
    fn a_standing_clock_accrues_nothing() {
        let bucket = per_second(1_000_000, 2);
        assert_eq!(bucket.try_acquire_up_to_at(9, s(1)), 2);
        for _ in 0..10_000 {
            assert_eq!(bucket.try_acquire_at(1, s(1)), denied(ns(SECOND + 1_000), s(1)));
        }
    }

    #[test]
    fn a_jump_ahead_by_centuries_fills_the_bucket_once() {
        for tokens in [1, 1_000_003, 600_000_000] {
            let bucket = per_second(tokens, 5);
            for now in [ns(CENTURY), ns(CENTURY + 1), ns(5 * CENTURY), Instant::MAX] {
                let fill = if now == ns(CENTURY + 1) { 0 } else { 5 };
                assert_eq!(bucket.available_at(now), fill, "{tokens} at {now:?}");
                assert_eq!(bucket.try_acquire_up_to_at(9, now), fill);
            }
        }
    }

    #[test]
    fn the_end_of_time_grants_what_is_there_and_then_never() {
        for tokens in [1, 999_999_937] {
            let bucket = per_second(tokens, 5);
            assert_eq!(bucket.try_acquire_at(5, Instant::MAX), Ok(()));
            let refusal = bucket.try_acquire_at(1, Instant::MAX);
            assert_eq!(refusal, denied(Instant::MAX, Instant::MAX));
            assert_eq!(bucket.ready_at(5, Instant::MAX), Ok(Instant::MAX));
        }
    }

    #[test]
    fn a_bucket_that_begins_at_the_end_of_time_works() {
        let bucket = build(Config::new(Rate::per_second(999_999_937)).burst(5), Instant::MAX);
        assert_eq!(bucket.try_acquire_up_to_at(9, Instant::MAX), 5);
        assert_eq!(bucket.try_acquire_up_to_at(9, Instant::MAX), 0);
    }

    #[test]
    fn a_small_step_back_denies_until_the_clock_is_back() {
        let bucket = per_second(1, 5);
        bucket.try_acquire_at(5, s(100)).expect("full");
        let before = bucket.snapshot();
        for now in [s(99), s(40)] {
            assert_eq!(bucket.try_acquire_at(1, now), denied(s(101), now));
            assert_eq!((bucket.available_at(now), bucket.try_acquire_up_to_at(1, now)), (0, 0));
            assert_eq!(bucket.ready_at(2, now), Ok(s(102)));
        }
        assert_eq!(bucket.snapshot(), before, "it accrued nothing and lost nothing");
        assert_eq!(bucket.try_acquire_at(1, s(101)), Ok(()));
    }

    // Units by which the clock is behind do not fit 64 bits at such rates.
    #[test]
    fn a_small_step_back_at_a_high_rate_is_denied_until_exactly_then() {
        let bucket = per_second(999_999_937, 5);
        bucket.try_acquire_at(5, s(100)).expect("full");
        let retry_at = ns(100 * SECOND + 2);
        assert_eq!(bucket.try_acquire_at(1, s(40)), denied(retry_at, s(40)));
        assert_eq!(bucket.try_acquire_at(1, retry_at), Ok(()));
    }

    #[test]
    fn a_large_step_back_is_believed_and_finds_the_bucket_empty() {
        let bucket = per_second(1, 5);
        bucket.try_acquire_at(5, s(1_000)).expect("full");
        let back = s(1_000).saturating_sub(MAX_STEP_BACK).saturating_sub(NANOSECOND);
        let retry_at = back.saturating_add(Duration::from_secs(1));
        assert_eq!(bucket.available_at(back), 0);
        assert_eq!(bucket.try_acquire_at(1, back), denied(retry_at, back));
        assert_eq!(bucket.try_acquire_at(1, retry_at), Ok(()));
    }

    // The refusal itself has to begin the new frame: otherwise the bucket would be refused for as
    // long as the clock is behind, an hour here.
    #[test]
    fn a_large_step_back_never_wedges_the_bucket() {
        let emptied = || {
            let bucket = per_second(10, 5);
            bucket.try_acquire_at(5, s(3_700)).expect("full");
            bucket
        };
        let bucket = emptied();
        assert_eq!(bucket.try_acquire_at(5, s(100)), denied(ms(100_500), s(100)));
        assert_eq!(bucket.available_at(ms(100_300)), 3);
        assert_eq!(bucket.try_acquire_at(5, ms(100_500)), Ok(()));

        let bucket = emptied();
        let taken: u64 =
            (0..=20).map(|i| bucket.try_acquire_up_to_at(9, ms(100_000 + i * 50))).sum();
        assert_eq!(taken, 10);

        // As good at the end of time, where frames are short.
        let bucket = build(Config::new(Rate::per_second(10)).burst(5), Instant::MAX);
        bucket.try_acquire_at(5, Instant::MAX).expect("full");
        let back = Instant::MAX.saturating_sub(Duration::from_secs(100));
        let retry_at = back.saturating_add(Duration::from_millis(100));
        assert_eq!(bucket.try_acquire_at(1, back), denied(retry_at, back));
        assert_eq!(bucket.try_acquire_at(1, retry_at), Ok(()));
    }

    #[test]
    fn a_full_bucket_far_behind_its_clock_gives_no_second_burst() {
        let bucket = per_second(1, 5);
        assert_eq!(bucket.try_acquire_up_to_at(9, s(1_000)), 5);
        assert_eq!(bucket.try_acquire_up_to_at(9, s(10)), 0);
        assert_eq!(bucket.try_acquire_up_to_at(9, s(12)), 2);
    }

    #[test]
    fn a_clock_that_trembles_gives_nothing_away() {
        let bucket = per_second(1_000, 10);
        let mut granted = 0;
        for i in 0..10_000_u64 {
            let now = ms(1_000 + i - 7 * (i % 2));
            granted += bucket.try_acquire_up_to_at(9, now);
        }
        // Full at the first request; the last instant is 9.999 s after the origin of the trembling.
        assert_eq!(granted, 10 + 9_998, "exactly burst + rate × elapsed");
    }
}

mod refunds {
    use super::*;

    #[test]
    fn a_refund_gives_back_what_was_taken() {
        let bucket = per_second(1, 10);
        bucket.try_acquire_at(8, s(1)).expect("full");
        bucket.refund(3);
        assert_eq!(bucket.available_at(s(1)), 5);
    }

    #[test]
    fn a_refund_never_fills_above_the_burst() {
        // 2^55 tokens of 10^9 units wrap around to nothing.
        for n in [1, 8, 9, 1 << 55, u64::MAX / 2, u64::MAX] {
            let bucket = per_second(1, 10);
            bucket.refund(n);
            assert_eq!(bucket.available_at(Instant::ZERO), 10);
            bucket.try_acquire_at(8, s(1)).expect("full");
            bucket.refund(n);
            assert_eq!(bucket.available_at(s(1)), n.saturating_add(2).min(10));
            bucket.refund(8);
            assert_eq!(bucket.available_at(s(1)), 10);
            assert_eq!(bucket.try_acquire_up_to_at(u64::MAX, s(1)), 10);
            assert_eq!(bucket.try_acquire_at(1, s(1)), denied(s(2), s(1)));
        }
    }

    #[test]
    fn a_refund_adds_to_what_accrued_meanwhile() {
        let bucket = per_second(1, 10);
        bucket.try_acquire_at(10, s(1)).expect("full");
        bucket.refund(4);
        assert_eq!(bucket.available_at(s(4)), 7);
        assert_eq!(bucket.available_at(s(7)), 10);
        assert_eq!(bucket.available_at(s(8)), 10);
    }

    #[test]
    fn a_refund_of_nothing_changes_nothing() {
        let bucket = per_second(1, 10);
        bucket.try_acquire_at(10, s(1)).expect("full");
        let before = bucket.snapshot();
        bucket.refund(0);
        assert_eq!(bucket.snapshot(), before);
    }
}

mod reconfiguration {
    use super::*;

    fn config(tokens: u64, burst: u64) -> Config {
        Config::new(Rate::per_second(tokens)).burst(burst)
    }

    #[test]
    fn time_up_to_the_change_is_settled_at_the_old_rate() {
        let bucket = build(config(10, 100).initial(0), Instant::ZERO);
        bucket.reconfigure_at(&config(1, 100), s(5)).expect("valid");
        assert_eq!(bucket.available_at(s(5)), 50);
        assert_eq!(bucket.available_at(s(6)), 51);
        assert_eq!((bucket.rate(), bucket.burst()), (Rate::per_second(1), 100));
    }

    #[test]
    fn fractions_of_a_token_are_carried_over() {
        let bucket = build(Config::new(Rate::per_minute(6)).burst(1).initial(0), Instant::ZERO);
        bucket.reconfigure_at(&config(1, 1), s(5)).expect("valid");
        assert_eq!(bucket.ready_at(1, s(5)), Ok(ms(5_500)), "half a token was there");
    }

    #[test]
    fn a_fraction_is_rounded_down() {
        let third = Rate::new(1, Duration::from_nanos(3));
        let bucket = build(Config::new(third).burst(1).initial(0), Instant::ZERO);
        // 2/3 of a token are 1/2 where halves are the smallest unit.
        let half = Rate::new(1, Duration::from_nanos(2));
        bucket.reconfigure_at(&Config::new(half).burst(1), ns(2)).expect("valid");
        assert_eq!(bucket.ready_at(1, ns(2)), Ok(ns(3)));
        bucket.reconfigure_at(&Config::new(Rate::new(1, NANOSECOND)), ns(2)).expect("valid");
        assert_eq!(bucket.ready_at(1, ns(2)), Ok(ns(3)));
        assert_eq!(bucket.available_at(ns(2)), 0);
    }

    #[test]
    fn tokens_above_the_new_burst_are_lost() {
        let bucket = build(config(10, 100), Instant::ZERO);
        bucket.reconfigure_at(&config(10, 7), s(1)).expect("valid");
        assert_eq!(bucket.available_at(s(1)), 7);
        bucket.reconfigure_at(&config(10, 100), s(1)).expect("valid");
        assert_eq!(bucket.available_at(s(1)), 7, "and do not come back");
    }

    #[test]
    fn a_larger_burst_gives_no_tokens() {
        let bucket = build(config(1, 5), Instant::ZERO);
        bucket.try_acquire_at(2, Instant::ZERO).expect("full");
        bucket.reconfigure_at(&config(1, 500), Instant::ZERO).expect("valid");
        assert_eq!((bucket.available_at(Instant::ZERO), bucket.available_at(s(400))), (3, 403));
    }

    #[test]
    fn an_invalid_change_leaves_the_bucket_as_it_was() {
        let bucket = build(config(10, 5), Instant::ZERO);
        bucket.try_acquire_at(3, s(1)).expect("full");
        let before = bucket.snapshot();
        assert_eq!(bucket.reconfigure_at(&config(0, 5), s(9)), Err(ConfigError::ZeroRate));
        let burst = bucket.reconfigure_at(&config(1, 0), s(9));
        assert!(matches!(burst, Err(ConfigError::BurstOutOfRange { burst: 0, .. })));
        assert_eq!(bucket.snapshot(), before);
    }

    #[test]
    fn the_initial_fill_and_counting_are_not_looked_at() {
        let bucket = build(config(10, 5), Instant::ZERO);
        let other = config(10, 9).initial(1_000_000).counted(true);
        bucket.reconfigure_at(&other, Instant::ZERO).expect("valid but for the initial fill");
        assert_eq!(bucket.available_at(Instant::ZERO), 5);
        assert_eq!(bucket.stats().granted, None);
    }

    #[test]
    fn a_hundred_changes_at_one_instant_give_nothing_away() {
        let bucket = build(config(10, 5), Instant::ZERO);
        bucket.try_acquire_at(5, s(1)).expect("full");
        for i in 0..100 {
            bucket.reconfigure_at(&config(1 + i, 5), s(1)).expect("valid");
            assert_eq!(bucket.try_acquire_up_to_at(9, s(1)), 0);
        }
    }

    #[test]
    fn a_closed_bucket_stays_closed() {
        let bucket = build(config(10, 5), Instant::ZERO);
        bucket.close();
        bucket.reconfigure_at(&config(1, 5), s(1)).expect("valid");
        assert!(bucket.is_closed());
        assert_eq!(bucket.try_acquire_at(1, s(1)), Err(TryAcquireError::Closed));
    }
}

mod closing {
    use super::*;

    #[test]
    fn a_closed_bucket_refuses_everything_for_ever() {
        let bucket = per_second(10, 5);
        bucket.close();
        bucket.close();
        assert!(bucket.is_closed());
        for n in [0, 1, 6, u64::MAX] {
            for now in [Instant::ZERO, s(1_000), Instant::MAX] {
                assert_eq!(bucket.try_acquire_at(n, now), Err(TryAcquireError::Closed));
                assert_eq!(bucket.ready_at(n, now), Err(TryAcquireError::Closed));
            }
        }
        assert_eq!(bucket.try_acquire_up_to_at(9, s(1)), 0);
    }

    #[test]
    fn a_refund_does_not_open_a_closed_bucket() {
        let bucket = per_second(10, 5);
        bucket.close();
        bucket.refund(u64::MAX);
        assert_eq!(bucket.try_acquire_at(1, s(1)), Err(TryAcquireError::Closed));
    }
}

mod errors {
    use super::*;

    fn after(nanos: u64) -> TryAcquireError {
        TryAcquireError::Denied { retry_at: ns(5 + nanos), now: ns(5) }
    }

    #[test]
    fn whole_seconds_are_rounded_up_and_at_least_one() {
        for (nanos, secs) in [
            (0, 1),
            (1, 1),
            (SECOND - 1, 1),
            (SECOND, 1),
            (SECOND + 1, 2),
            (2 * SECOND, 2),
            (u64::MAX - 5, 18_446_744_074),
        ] {
            assert_eq!(after(nanos).retry_after_secs_ceil(), Some(secs), "{nanos} ns");
        }
    }

    #[test]
    fn retry_after_is_exact() {
        assert_eq!(after(0).retry_after(), Some(Duration::ZERO));
        assert_eq!(after(SECOND + 1).retry_after(), Some(Duration::from_nanos(SECOND + 1)));
    }

    #[test]
    fn never_has_no_retry() {
        assert!(!after(1).is_never());
        for never in [TryAcquireError::ExceedsBurst { burst: 5 }, TryAcquireError::Closed] {
            assert!(never.is_never());
            assert_eq!((never.retry_after(), never.retry_after_secs_ceil()), (None, None));
        }
    }

    #[test]
    fn messages_say_what_to_do() {
        assert_eq!(after(250_000_000).to_string(), "not enough tokens: retry in 250ms");
        let exceeds = TryAcquireError::ExceedsBurst { burst: 5 }.to_string();
        assert!(exceeds.ends_with("ask for at most 5"), "{exceeds}");
        assert_eq!(TryAcquireError::Closed.to_string(), "the bucket is closed");
    }

    #[test]
    fn errors_are_errors() {
        fn is_error<E: std::error::Error + Copy + Send + Sync + 'static>() {}
        is_error::<TryAcquireError>();
        is_error::<ConfigError>();
    }
}

/// What other rate limiters get wrong, and this one must not.
mod peers {
    use super::*;

    /// A limiter that rounds 1.67 ns a token to 1 ns grants 1,000 million.
    #[test]
    fn six_hundred_million_a_second_are_not_66_percent_more() {
        let bucket = per_second(600_000_000, 60_000);
        let granted: u64 =
            (0..=20_000).map(|i| bucket.try_acquire_up_to_at(u64::MAX, ns(i * 50_001))).sum();
        // 20,000 × 50,001 ns are 1.00002 s.
        assert_eq!(granted, 60_000 + 600_012_000);
    }

    /// `n × nanoseconds per token` wraps around to next to nothing.
    #[test]
    fn a_huge_request_is_not_granted_by_overflow() {
        for period in [1, 3, SECOND, 86_400 * SECOND] {
            let config = Config::new(Rate::new(1, Duration::from_nanos(period))).burst(5);
            let bucket = build(config, Instant::ZERO);
            let wraps = (u64::MAX / period).saturating_add(1);
            for n in [wraps, wraps.saturating_add(1), 1 << 32, 1 << 56, 1 << 63, u64::MAX] {
                let never = Err(TryAcquireError::ExceedsBurst { burst: 5 });
                assert_eq!(bucket.try_acquire_at(n, s(1)), never, "{n} at 1 per {period} ns");
            }
            assert_eq!(bucket.available_at(s(1)), 5);
        }
    }

    /// A limiter that keeps time in whole microseconds and begins anew at each poll loses 0.9 of
    /// 1.9 µs.
    #[test]
    fn one_a_second_is_not_half_when_polled_every_two_microseconds() {
        let bucket = per_second(1, 1);
        let mut granted = Vec::new();
        let mut now = 0;
        while now < 2 * SECOND + 1_900 {
            if bucket.try_acquire_at(1, ns(now)).is_ok() {
                granted.push(now);
            }
            now += 1_900;
        }
        // Each time the first poll that is a second or more after the one before.
        assert_eq!(granted, [0, 1_000_000_400, 2_000_000_800]);
    }

    /// A limiter that begins anew at each poll loses the fraction of a token.
    #[test]
    fn late_polls_lose_nothing_below_the_burst() {
        let bucket = per_second(10, 10);
        assert_eq!(bucket.try_acquire_up_to_at(99, Instant::ZERO), 10);
        // 8.5 tokens accrue between two polls: half a token stays behind at every other.
        let granted: u64 = (1..=1_000).map(|i| bucket.try_acquire_up_to_at(99, ms(850 * i))).sum();
        assert_eq!(granted, 8_500);
    }

    /// A limiter on a 32-bit count of milliseconds wraps after 49.7 days; in nanoseconds, as `i64`,
    /// after 292 years.
    #[test]
    fn a_process_may_run_for_centuries() {
        for years in [1, 2, 100, 292, 293, 584] {
            let now = ns(CENTURY / 100 * years);
            let bucket = per_second(1, 2);
            assert_eq!(bucket.try_acquire_up_to_at(9, now), 2, "after {years} years");
            let next = now.saturating_add(Duration::from_secs(1));
            assert_eq!(bucket.try_acquire_at(1, now), denied(next, now));
            assert_eq!(bucket.try_acquire_at(1, next), Ok(()));
        }
    }

    /// Floating point loses single tokens beyond 2⁵³.
    #[test]
    fn single_tokens_count_in_the_largest_bucket() {
        let config = Config::new(Rate::new(1, NANOSECOND));
        let max = TOP - (1 << 20);
        let bucket = build(config.burst(max), Instant::ZERO);
        bucket.try_acquire_at(max - 1, Instant::ZERO).expect("full");
        assert_eq!(bucket.try_acquire_up_to_at(u64::MAX, Instant::ZERO), 1);
        assert_eq!(bucket.try_acquire_up_to_at(u64::MAX, ns(max - 1)), max - 1);
    }
}

mod outside {
    use super::*;

    #[test]
    fn debug_shows_rate_and_burst() {
        let bucket = build(Config::new(Rate::per_minute(90)).burst(7), Instant::ZERO);
        let text = format!("{bucket:?}");
        for part in ["3 per 2s", "burst: 7", "closed: false"] {
            assert!(text.contains(part), "{part:?} is missing in {text}");
        }
        bucket.close();
        assert!(format!("{bucket:?}").contains("closed: true"));
        let state = format!("{:?}", bucket.snapshot());
        for part in ["3 per 2s", "burst: 7", "level: ", "generation: ", "closed: true"] {
            assert!(state.contains(part), "{part:?} is missing in {state}");
        }
    }

    #[test]
    fn public_types_are_send_and_sync() {
        fn shared<T: Send + Sync + Unpin + 'static>() {}
        shared::<TokenBucket>();
        shared::<TokenBucket<ManualClock>>();
        shared::<(SystemClock, Config, ConfigError, Rate, Stats, TryAcquireError)>();
        shared::<(State, Limits, Word, Decision)>();
    }

    #[test]
    fn a_counted_bucket_counts_tokens_and_refusals() {
        let bucket = build(Config::new(Rate::per_second(1)).burst(5).counted(true), Instant::ZERO);
        assert_eq!((bucket.stats().granted, bucket.stats().refused), (Some(0), Some(0)));
        bucket.try_acquire_at(2, Instant::ZERO).expect("full");
        assert_eq!(bucket.try_acquire_up_to_at(9, Instant::ZERO), 3);
        assert_eq!((bucket.stats().granted, bucket.stats().refused), (Some(5), Some(0)));
        assert!(bucket.try_acquire_at(1, Instant::ZERO).is_err());
        assert!(bucket.try_acquire_at(6, Instant::ZERO).is_err());
        assert_eq!(bucket.try_acquire_up_to_at(9, Instant::ZERO), 0);
        bucket.close();
        assert!(bucket.try_acquire_at(1, Instant::ZERO).is_err());
        assert_eq!((bucket.stats().granted, bucket.stats().refused), (Some(5), Some(4)));
    }

    #[test]
    fn a_bucket_counts_nothing_unless_asked_to() {
        let bucket = per_second(1, 5);
        bucket.try_acquire_at(5, Instant::ZERO).expect("full");
        assert!(bucket.try_acquire_at(1, Instant::ZERO).is_err());
        assert_eq!((bucket.stats().granted, bucket.stats().refused), (None, None));
    }
}
