//! The retry budget against an oracle in whole numbers, and what it is for: a dead server.

#![cfg(not(loom))]

use std::time::Duration;

use steadfast_backoff::{Budget, BudgetConfig, ConfigError};
use steadfast_core::Instant;
use steadfast_token_bucket::Rate;

const RETRY: u128 = 1 << 20;

fn build(config: BudgetConfig) -> Budget {
    config.build().expect("a valid budget")
}

fn withdrawals(budget: &Budget, now: Instant) -> u32 {
    let mut count = 0;
    while budget.try_withdraw_at(now) {
        count += 1;
    }
    count
}

/// ⌊ratio × 2²⁰⌋, from the bits of the ratio: none is above 1,000.
fn units(ratio: f64) -> u128 {
    let (exponent, fraction) = (ratio.to_bits() >> 52 & 0x7FF, ratio.to_bits() & ((1 << 52) - 1));
    // Subnormal numbers are far below one unit.
    let mantissa = if exponent == 0 { 0 } else { u128::from(fraction | 1 << 52) };
    // mantissa × 2^(exponent - 1075 + 20)
    match 1_055_u64.checked_sub(exponent) {
        Some(right @ 0..128) => mantissa >> right,
        Some(_) => 0,
        None => mantissa << (exponent - 1_055),
    }
}

#[test]
fn it_begins_empty_and_a_refusal_takes_nothing() {
    let budget = build(BudgetConfig::new(0.5));
    assert!(!budget.try_withdraw_at(Instant::MAX));
    budget.deposit();
    assert!(!budget.try_withdraw_at(Instant::ZERO));
    budget.deposit();
    assert_eq!(budget.balance(), 1);
    assert!(budget.try_withdraw_at(Instant::ZERO));
    assert_eq!(budget.balance(), 0);
}

#[test]
fn a_ratio_is_rounded_down_to_whole_units() {
    let unit = 1.0 / f64::from(1 << 20);
    let after = |ratio, calls: u32| {
        let budget = build(BudgetConfig::new(ratio));
        (0..calls).for_each(|_| budget.deposit());
        withdrawals(&budget, Instant::ZERO)
    };
    assert_eq!(after(unit, (1 << 20) - 1), 0);
    assert_eq!(after(unit, 1 << 20), 1);
    assert_eq!(after(unit * 0.999, 1 << 20), 0);
    assert_eq!(after(0.1, 10), 0);
    assert_eq!(after(0.1, 11), 1);
    assert_eq!(after(0.0, 1_000), 0);
    assert_eq!(after(-0.0, 1_000), 0);
    assert_eq!(after(3.0, 7), 21);
}

#[test]
fn a_long_good_time_saves_up_the_burst_and_no_more() {
    for burst in [1, 7, 100] {
        let budget = build(BudgetConfig::new(0.1).burst(burst));
        (0..10_000).for_each(|_| budget.deposit());
        assert_eq!((budget.balance(), withdrawals(&budget, Instant::ZERO)), (burst, burst));
    }
    let budget = build(BudgetConfig::new(0.1));
    (0..10_000).for_each(|_| budget.deposit());
    assert_eq!(budget.balance(), 100);
    let most = build(BudgetConfig::new(1_000.0).burst(1 << 20));
    (0..2_000).for_each(|_| most.deposit());
    assert_eq!(most.balance(), 1 << 20);
}

#[test]
fn the_minimum_is_there_from_the_beginning_and_taken_first() {
    let config = BudgetConfig::new(1.0).minimum(Rate::per_second(3));
    let budget = build(config);
    budget.deposit();
    assert_eq!(budget.balance(), 1, "those of the minimum are not counted");
    for _ in 0..3 {
        assert!(budget.try_withdraw_at(Instant::ZERO));
        assert_eq!(budget.balance(), 1);
    }
    assert!(budget.try_withdraw_at(Instant::ZERO));
    assert_eq!((budget.balance(), withdrawals(&budget, Instant::ZERO)), (0, 0));
    let second = Instant::from_nanos(1_000_000_000);
    assert_eq!(withdrawals(&budget, second), 3);
    assert_eq!(withdrawals(&budget, Instant::ZERO), 0, "nothing comes of a clock that steps back");
}

#[test]
fn a_budget_that_cannot_be_is_refused_with_what_is_allowed() {
    let error = |config: BudgetConfig| config.build().map(|_| ()).unwrap_err();
    for ratio in [f64::NAN, -0.1, -f64::MIN_POSITIVE, 1_000.1, f64::INFINITY, f64::NEG_INFINITY] {
        let refused = error(BudgetConfig::new(ratio));
        assert!(
            matches!(refused, ConfigError::RatioOutOfRange { given } if given.to_bits() == ratio.to_bits()),
            "{ratio} {refused}"
        );
    }
    let config = BudgetConfig::new(0.1);
    for given in [0, (1 << 20) + 1, u32::MAX] {
        let expected = ConfigError::BurstOutOfRange { given, max: 1 << 20 };
        assert_eq!(error(config.burst(given)), expected);
    }
    let refused = error(config.minimum(Rate::new(0, Duration::from_secs(1))));
    assert!(matches!(refused, ConfigError::Minimum(_)), "{refused}");
    assert!(config.burst(1 << 20).build().is_ok());
    assert!(BudgetConfig::new(1_000.0).burst(1).build().is_ok());
}

#[test]
fn a_static_budget_is_the_same_as_one_that_is_built() {
    static BUDGET: Budget =
        BudgetConfig::new(0.5).burst(3).minimum(Rate::per_second(1)).build_static();
    let built = build(BudgetConfig::new(0.5).burst(3).minimum(Rate::per_second(1)));
    for budget in [&BUDGET, &built] {
        (0..50).for_each(|_| budget.deposit());
        assert_eq!(withdrawals(budget, Instant::ZERO), 4);
    }
    assert_eq!(format!("{BUDGET:?}"), format!("{built:?}"));
}

#[test]
#[should_panic(expected = "ratio outside 0 to 1000")]
fn a_static_budget_that_cannot_be_panics() {
    let _ = BudgetConfig::new(f64::NAN).build_static();
}

mod properties {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use steadfast_test_support::properties::effort;

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Op {
        Deposit(u16),
        Withdraw,
        Advance(u16),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            (1_u16..40).prop_map(Op::Deposit),
            Just(Op::Withdraw),
            Just(Op::Withdraw),
            (0_u16..400).prop_map(Op::Advance),
        ];
        vec(op, 0..100)
    }

    fn ratios() -> impl Strategy<Value = f64> {
        prop_oneof![
            0.0..=1.0,
            0.0..=1_000.0,
            any::<f64>().prop_filter("in range", |ratio| (0.0..=1_000.0).contains(ratio)),
            (0_u32..50).prop_map(|sixteenths| f64::from(sixteenths) / 16.0),
        ]
    }

    proptest! {
        #![proptest_config(effort(4))]

        #[test]
        fn every_unit_is_accounted_for(
            ratio in ratios(),
            burst in 1_u32..50,
            minimum in proptest::option::of((1_u64..5, 1_u64..1_000)),
            ops in ops(),
        ) {
            let mut config = BudgetConfig::new(ratio).burst(burst);
            if let Some((tokens, period)) = minimum {
                config = config.minimum(Rate::new(tokens, Duration::from_nanos(period)));
            }
            let budget = build(config);
            // The minimum in tokens times its period.
            let (tokens, period) = minimum.unwrap_or((0, 1));
            let (mut balance, mut level) = (0, tokens * period);
            let (mut since, mut now) = (0, 0);
            for op in ops {
                match op {
                    Op::Deposit(calls) => for _ in 0..calls {
                        budget.deposit();
                        balance = (balance + units(ratio)).min(u128::from(burst) * RETRY);
                    },
                    Op::Advance(by) => now += u64::from(by),
                    Op::Withdraw => {
                        level = (tokens * period).min(level + (now - since) * tokens);
                        since = now;
                        let expected = if level >= period {
                            level -= period;
                            true
                        } else if balance >= RETRY {
                            balance -= RETRY;
                            true
                        } else {
                            false
                        };
                        prop_assert_eq!(budget.try_withdraw_at(Instant::from_nanos(now)), expected);
                    }
                }
                prop_assert_eq!(u128::from(budget.balance()), balance / RETRY);
            }
        }
    }
}

/// A thousand clients call a server that is dead.
#[cfg(feature = "std")]
mod outage {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use steadfast_backoff::{Config, GaveUp, Policy};

    use super::*;

    const CLIENTS: u64 = 1_000;
    const CALLS: u64 = 40;
    const POLICY: Policy = Config::constant(Duration::ZERO).max_retries(3).build_static();

    /// What `calls` are worth at most, in whole retries.
    fn worth(ratio: f64, calls: u64) -> u64 {
        u64::try_from(units(ratio) * u128::from(calls) / RETRY).expect("not so many")
    }

    #[test]
    fn without_a_budget_every_call_is_multiplied() {
        let requests = Cell::new(0);
        for _ in 0..CLIENTS {
            let op = |_| {
                requests.set(requests.get() + 1);
                Err::<(), _>("dead")
            };
            let error = POLICY.retry(op).wait().unwrap_err();
            assert_eq!(error.reason, GaveUp::RetriesExhausted);
        }
        assert_eq!(requests.get(), 4 * CLIENTS);
    }

    #[test]
    fn a_dead_server_sees_exactly_the_ratio_more_than_the_calls() {
        for ratio in [0.0, 0.1, 0.25, 1.0] {
            let budget = build(BudgetConfig::new(ratio));
            let requests = Cell::new(0);
            let mut gave_up_empty = 0;
            for _ in 0..CLIENTS * CALLS {
                let op = |_| {
                    requests.set(requests.get() + 1);
                    Err::<(), _>("dead")
                };
                let error = POLICY.retry(op).budget(&budget).wait().unwrap_err();
                assert_eq!(error.outcome, Some(Err("dead")));
                gave_up_empty += u64::from(error.reason == GaveUp::BudgetEmpty);
            }
            assert_eq!(requests.get(), CLIENTS * CALLS + worth(ratio, CLIENTS * CALLS));
            assert_eq!(gave_up_empty, CLIENTS * CALLS);
        }
    }

    #[test]
    fn many_threads_together_send_no_more_than_the_ratio_allows() {
        let (ratio, threads) = (0.1, 4);
        let budget = build(BudgetConfig::new(ratio).burst(1 << 20));
        let requests = AtomicU64::new(0);
        let client = || {
            for _ in 0..CALLS {
                let op = |_| {
                    requests.fetch_add(1, Ordering::Relaxed);
                    Err::<(), _>("dead")
                };
                let error = POLICY.retry(op).budget(&budget).wait().unwrap_err();
                assert_ne!(error.reason, GaveUp::NotRetryable);
            }
        };
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..CLIENTS / threads).for_each(|_| client()));
            }
        });
        let calls = CLIENTS * CALLS;
        let retries = requests.load(Ordering::Relaxed) - calls;
        let left = u64::from(budget.balance());
        assert_eq!(retries + left, worth(ratio, calls), "none is lost, none invented");
    }

    #[test]
    fn what_was_saved_up_before_the_outage_is_the_burst_at_most() {
        let budget = build(BudgetConfig::new(0.1).burst(50));
        for _ in 0..CLIENTS * CALLS {
            assert_eq!(POLICY.retry(Ok::<_, ()>).budget(&budget).wait(), Ok(0));
        }
        let requests = Cell::new(0);
        for _ in 0..CLIENTS {
            let op = |_| {
                requests.set(requests.get() + 1);
                Err::<(), _>("dead")
            };
            let _ = POLICY.retry(op).budget(&budget).wait();
        }
        // The first deposit finds it full.
        let retries = requests.get() - CLIENTS;
        assert!((50 + worth(0.1, CLIENTS - 1)).abs_diff(retries) <= 1, "{retries}");
        assert!(retries <= 50 + worth(0.1, CLIENTS));
    }

    #[test]
    fn a_call_is_deposited_once_however_often_it_is_tried() {
        let budget = build(BudgetConfig::new(2.0));
        let result = POLICY.retry(Err::<(), _>).budget(&budget).wait();
        let error = result.unwrap_err();
        assert_eq!((error.attempts, error.reason), (3, GaveUp::BudgetEmpty));
    }

    #[test]
    fn nothing_is_withdrawn_for_a_retry_that_does_not_come() {
        let budget = build(BudgetConfig::new(1.0));
        let hour = Duration::from_secs(3_600);
        let retry = || POLICY.retry(Err::<(), _>).budget(&budget);
        let _ = retry().when(|_| false).wait();
        let _ = retry().hint(|_| Some(hour)).max_hint(hour).timeout(hour).wait();
        let once = Config::constant(Duration::ZERO).max_retries(0).build().unwrap();
        let _ = once.retry(Err::<(), _>).budget(&budget).wait();
        assert_eq!(budget.balance(), 3);
    }
}
