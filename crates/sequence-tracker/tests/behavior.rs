//! What the documentation promises, one claim a test. The oracles are in `tests/model.rs`.

#![cfg(all(feature = "std", not(loom)))]

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use steadfast_backoff::{Jitter as Spread, Random};
use steadfast_core::{Instant, ManualClock};
use steadfast_sequence_tracker::{
    Acquire, AcquireError, Arrival, Batch, Changes, Config, ConfigError, Due, Freshness, Gap,
    Jitter, MAX_GAPS, Nack, RangeError, ReplayWindow, Run, SequenceTracker, SharedReplayWindow,
    State, Stats, Width, nacks,
};

const ZERO: Instant = Instant::ZERO;

const fn ns(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

const fn ms(millis: u64) -> Instant {
    ns(millis * 1_000_000)
}

const fn run(first: u64, last: u64) -> Run {
    Run { first, last }
}

const fn ahead(missing: u64) -> Arrival {
    Arrival::Ahead { missing, abandoned: None }
}

const fn filled(remaining: u64) -> Arrival {
    Arrival::Filled { remaining, abandoned: None }
}

fn state<const N: usize>(config: Config) -> State<[Gap; N]> {
    config.state_in([Gap::EMPTY; N]).expect("a valid configuration")
}

fn shared(config: Config) -> SequenceTracker<ManualClock> {
    config.build_with(ManualClock::new()).expect("a valid configuration")
}

fn feed<const N: usize>(config: Config, numbers: &[u64]) -> State<[Gap; N]> {
    let mut state = state(config);
    for &number in numbers {
        state.record(number, ZERO);
    }
    state
}

fn missing<const N: usize>(state: &State<[Gap; N]>) -> Vec<RangeInclusive<u64>> {
    state.missing().collect()
}

fn delays(millis: u64) -> steadfast_backoff::Config {
    steadfast_backoff::Config::constant(Duration::from_millis(millis))
}

fn all_due<const N: usize>(state: &mut State<[Gap; N]>, now: Instant) -> Vec<Due> {
    let mut rng = Random::from_seed(7);
    state.due(now, &mut rng).collect()
}

mod widths {
    use super::*;

    /// The nearest number, found by looking at all.
    fn nearest(bits: u32, number: u64, near: u64) -> u64 {
        let period = 1_i128 << bits;
        let near = i128::from(near);
        let turn = usize::try_from(period).unwrap();
        let all = (i128::from(number)..near + 2 * period).step_by(turn);
        u64::try_from(all.min_by_key(|n| ((n - near).abs(), -n)).unwrap()).unwrap()
    }

    #[test]
    fn eight_bits_mean_the_nearest_number_and_of_two_the_larger() {
        for near in 0..1_024 {
            for number in 0..256 {
                let extended = Width::U8.extend(number, near);
                assert_eq!(extended, Some(nearest(8, number, near)), "{number} near {near}");
            }
        }
        assert_eq!(Width::U8.extend(128, 256), Some(384), "a tie");
    }

    #[test]
    fn small_widths_do_so_too() {
        for bits in 2..8 {
            let width = Width::new(bits).unwrap();
            for near in 0..300 {
                for number in 0..=width.max() {
                    assert_eq!(width.extend(number, near), Some(nearest(bits, number, near)));
                }
            }
        }
    }

    #[test]
    fn at_the_end_of_all_numbers_there_is_only_the_one_below() {
        for number in 0..256 {
            let wide = Width::U8.extend(number, u64::MAX).unwrap();
            assert_eq!(wide, u64::MAX - 255 + number);
        }
        assert_eq!(Width::U64.extend(0, u64::MAX), Some(0));
        assert_eq!(Width::U64.extend(u64::MAX, 0), Some(u64::MAX));
    }

    /// RFC 9000, A.3, as it is written there.
    fn decode_packet_number(largest: u64, truncated: u64, bits: u32) -> u64 {
        let (expected, win) = (i128::from(largest) + 1, 1_i128 << bits);
        let (half, mask) = (win / 2, win - 1);
        let candidate = (expected & !mask) | i128::from(truncated);
        let decoded = if candidate <= expected - half && candidate < (1 << 62) - win {
            candidate + win
        } else if candidate > expected + half && candidate >= win {
            candidate - win
        } else {
            candidate
        };
        u64::try_from(decoded).unwrap()
    }

    #[test]
    fn packet_numbers_of_quic_are_decoded_as_rfc_9000_does() {
        assert_eq!(Width::U16.extend(0x9b32, 0xa82f_30ea + 1), Some(0xa82f_9b32));
        for bits in [8, 16, 24, 32] {
            let width = Width::new(bits).unwrap();
            let mut random = 1_u64;
            for _ in 0..20_000 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let largest = random >> (2 + random % 40);
                let number = (random >> 7) & width.max();
                let expected = decode_packet_number(largest, number, bits);
                assert_eq!(width.extend(number, largest + 1), Some(expected));
            }
        }
    }

    /// RFC 3711, 3.3.1: the index of a packet is guessed from the roll-over counter.
    #[test]
    fn indices_of_srtp_are_guessed_as_rfc_3711_does() {
        let guess = |roc: u64, s_l: u64, seq: u64| {
            let v = if s_l < 32_768 {
                if seq.saturating_sub(s_l) > 32_768 { roc - 1 } else { roc }
            } else if s_l - 32_768 > seq {
                roc + 1
            } else {
                roc
            };
            seq + (v << 16)
        };
        for s_l in (0..65_536_u64).step_by(251) {
            for seq in (0..65_536_u64).step_by(241) {
                let near = (5 << 16) + s_l;
                // Half a turn away both are as good; the RFC stays in the turn then.
                if s_l.abs_diff(seq) != 32_768 {
                    assert_eq!(Width::U16.extend(seq, near), Some(guess(5, s_l, seq)));
                }
            }
        }
    }

    #[test]
    fn numbers_that_are_too_wide_are_none() {
        for bits in 2..64 {
            let width = Width::new(bits).unwrap();
            assert_eq!(width.extend(width.max() + 1, 0), None);
            assert!(width.extend(width.max(), 0).is_some());
            assert_eq!((width.bits(), width.max()), (bits, (1 << bits) - 1));
            assert_eq!(width.truncate(width.max() + 2), 1);
        }
        assert_eq!(Width::U64.max(), u64::MAX);
        assert_eq!(Width::new(48), Ok(Width::U48));
    }

    #[test]
    fn a_late_number_from_before_the_first_turn_is_too_old() {
        let mut state = feed::<4>(Config::new().width(Width::U16), &[5]);
        assert_eq!(state.record(65_535, ZERO), Arrival::TooOld);
        assert_eq!(state.record(6, ZERO), Arrival::Next);
        assert!(state.announce(65_530, ZERO).unwrap() == Batch::default());
        assert_eq!(state.right_edge(), Some(6));
        assert_eq!(state.record_range(65_533..=65_535, ZERO).unwrap().too_old, 3);
        assert_eq!(state.stats().too_old, 4);
        // As in RFC 3550, two of them are no restart either.
        let rtp = Config::new().width(Width::U16).max_jump(3_000).max_late(100);
        let mut state = feed::<4>(rtp, &[5, 65_534, 65_535]);
        assert_eq!(state.record(6, ZERO), Arrival::Next);
        assert_eq!(state.record(65_536 - 94, ZERO), Arrival::TooOld, "100 below 6");
        assert_eq!(state.record(65_536 - 95, ZERO), Arrival::Suspect);
    }

    #[test]
    fn a_stream_that_begins_anew_below_its_first_turn_restarts() {
        let rtp = Config::new().width(Width::U16).max_jump(3_000).max_late(100);
        let joined = Arrival::Restart { lost: 0 };
        // It joins where it does not start, and it begins anew with the edge at 5.
        for (mut state, edge) in
            [(feed::<4>(rtp.starts_at(1), &[]), None), (feed(rtp, &[1, 2, 3, 4, 5]), Some(5))]
        {
            assert_eq!(state.record(60_000, ZERO), Arrival::Suspect);
            assert_eq!(state.right_edge(), edge);
            assert_eq!(state.record(60_001, ZERO), joined);
            assert_eq!(state.record(60_002, ZERO), Arrival::Next);
            assert_eq!(state.right_edge(), Some(60_002));
            assert_eq!(state.record(5, ZERO), Arrival::Suspect, "that is ahead, and far");
        }
        let mut state = feed::<4>(rtp, &[5]);
        assert!(state.record_range(60_000..=60_009, ZERO).unwrap().suspect);
        let batch = state.record_linked(60_009, 60_012..=60_014, ZERO).unwrap();
        assert_eq!((batch.restarted, batch.fresh), (Some(0), 5));
        assert_eq!((state.stats().skipped, state.right_edge()), (2, Some(60_014)));
    }

    #[test]
    fn a_restart_at_zero_begins_at_zero_also_by_a_link_from_below() {
        let strict = Config::new().width(Width::U16).max_late(1);
        let mut state = feed::<4>(strict, &[5, 65_535]);
        let batch = state.record_linked(65_535, 0..=0, ZERO).unwrap();
        assert_eq!((batch.restarted, state.right_edge()), (Some(0), Some(0)));
        assert_eq!(state.record(1, ZERO), Arrival::Next);
    }

    #[test]
    fn a_range_across_zero_is_too_old_below_it_and_counts_above_it() {
        let rtp = Config::new().width(Width::U16).max_jump(3_000).max_late(100);
        let mut state = state::<4>(rtp.starts_at(0));
        state.record(5, ZERO);
        let batch = state.record_range(RangeInclusive::new(65_534, 1), ZERO).unwrap();
        assert_eq!((batch.too_old, batch.filled, batch.duplicates), (2, 2, 0));
        assert_eq!(missing(&state), [2..=4]);
        // From -6: -5 to 2 do not exist, of which 2 was missing; 3 and 4 have come, and 5 had.
        let batch = state.record_linked(65_530, 3..=5, ZERO).unwrap();
        let counts = (batch.too_old, batch.filled, batch.duplicates);
        assert_eq!(counts, (5, 3, 3));
        assert_eq!((state.stats().skipped, state.stats().received()), (1, 5));
        let batch = state.record_linked(65_535, 0..=9, ZERO).unwrap();
        assert_eq!((batch.fresh, batch.duplicates), (4, 6));
        let mut state = feed::<4>(rtp, &[5]);
        let far = state.record_range(RangeInclusive::new(65_534, 3_006), ZERO).unwrap();
        assert!(far.suspect, "its end is 3,001 above the edge");
    }

    #[test]
    fn a_stream_of_sixteen_bits_wraps_again_and_again() {
        let mut state = state::<4>(Config::new().width(Width::U16));
        for number in 65_000..400_000_u64 {
            if number % 1_000 == 7 {
                state.give_up_below(number);
            } else {
                state.record(number & 0xffff, ZERO);
            }
        }
        assert_eq!(state.right_edge(), Some(399_999));
        assert_eq!(state.extend(0), Some(393_216));
        assert_eq!(state.record_range(RangeInclusive::new(65_534, 1), ZERO).unwrap().too_old, 4);
    }
}

mod configuration {
    use super::*;

    #[test]
    fn everything_has_its_bounds() {
        let terms = |config: Config| config.terms().map(|_| ());
        for bits in [0, 1, 65, u32::MAX] {
            assert_eq!(Width::new(bits), Err(ConfigError::WidthOutOfRange { bits }));
        }
        assert!(Width::new(2).is_ok() && Width::new(64).is_ok());
        let narrow = Config::new().width(Width::U8);
        assert_eq!(terms(narrow.starts_at(255)), Ok(()));
        let error = ConfigError::StartOutOfRange { first: 256, max: 255 };
        assert_eq!(terms(narrow.starts_at(256)), Err(error));
        for jump in [0, 128] {
            let error = ConfigError::JumpOutOfRange { jump, max: 127 };
            assert_eq!(terms(narrow.max_jump(jump)), Err(error));
        }
        assert_eq!(terms(narrow.max_jump(127).max_late(127)), Ok(()));
        assert_eq!(terms(narrow.max_jump(1).max_late(1)), Ok(()));
        for late in [0, 128] {
            let error = ConfigError::LateOutOfRange { late, max: 127 };
            assert_eq!(terms(narrow.max_late(late)), Err(error));
        }
        assert_eq!(terms(Config::new().max_jump(u64::MAX).max_late(u64::MAX)), Ok(()));
        for gaps in [0, MAX_GAPS + 1, u32::MAX] {
            let error = ConfigError::GapsOutOfRange { gaps, max: 65_536 };
            assert_eq!(terms(Config::new().max_gaps(gaps)), Err(error));
        }
        assert_eq!(terms(Config::new().max_gaps(1)), Ok(()));
        assert_eq!(terms(Config::new().max_gaps(MAX_GAPS)), Ok(()));
        assert_eq!(terms(Config::new().resync_at(0)), Err(ConfigError::ZeroResync));
        assert_eq!(terms(Config::new().resync_at(1)), Ok(()));
        let never = steadfast_backoff::Config::exponential(Duration::from_millis(1)).factor(-1.0);
        let error = Config::new().request(never).terms().unwrap_err();
        assert!(matches!(error, ConfigError::Request(_)));
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn memory_of_yours_has_its_bounds_too() {
        let error = Config::new().state_in([Gap::EMPTY; 0]).unwrap_err();
        assert_eq!(error, ConfigError::GapsOutOfRange { gaps: 0, max: MAX_GAPS });
        let too_many = vec![Gap::EMPTY; 65_537];
        let error = Config::new().state_in(too_many).unwrap_err();
        assert_eq!(error, ConfigError::GapsOutOfRange { gaps: 65_537, max: MAX_GAPS });
        let mut memory = [Gap::EMPTY; 2];
        let mut state = Config::new().max_gaps(9).state_in(&mut memory[..]).unwrap();
        for number in [1, 3, 5] {
            state.record(number, ZERO);
        }
        let abandoned = Some(run(2, 2));
        assert_eq!(state.record(7, ZERO), Arrival::Ahead { missing: 1, abandoned });
    }

    #[test]
    fn errors_say_what_is_allowed() {
        let error = Config::new().max_gaps(0).build().unwrap_err();
        assert_eq!(error.to_string(), "0 gaps: give 1 to 65536");
        assert_eq!(Width::new(1).unwrap_err().to_string(), "numbers of 1 bits: give 2 to 64");
        let error = RangeError::Backwards { first: 3, last: 2 };
        assert_eq!(error.to_string(), "a range from 3 to 2 runs backwards");
    }

    #[cfg(feature = "serde")]
    #[test]
    fn it_is_data() {
        let full = Config::new()
            .width(Width::U16)
            .starts_at(7)
            .max_jump(3_000)
            .max_late(100)
            .max_gaps(9)
            .request(delays(5).max_retries(2))
            .resync_at(50);
        for config in [Config::new(), full] {
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
        }
        assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), Config::new());
        let read = serde_json::from_str::<Config>;
        assert!(read(r#"{"width":1}"#).unwrap_err().to_string().contains("numbers of 1 bits"));
        assert!(read(r#"{"max_gaps":0}"#).unwrap_err().to_string().contains("0 gaps"));
        assert!(read(r#"{"max_gap":1}"#).is_err());
        assert!(read(r#"{"width":16}"#).unwrap() == Config::new().width(Width::U16));
    }

    #[test]
    fn types_are_what_they_can_be() {
        fn sent<T: Send + Sync + Unpin>() {}
        sent::<SequenceTracker>();
        sent::<SharedReplayWindow<33>>();
        sent::<State>();
        sent::<State<[Gap; 3]>>();
        sent::<Changes>();
        sent::<Acquire<Arc<SequenceTracker>>>();
        sent::<Acquire<&SequenceTracker>>();
        sent::<Config>();
        sent::<AcquireError>();
    }

    #[test]
    fn debug_shows_what_is_meant() {
        let mut window = ReplayWindow::<1>::new();
        window.record(7);
        window.record(5);
        assert_eq!(format!("{window:?}"), "ReplayWindow { right_edge: Some(7), seen: 2 }");
        let window = SharedReplayWindow::<33>::new();
        window.record(9);
        assert_eq!(format!("{window:?}"), "SharedReplayWindow { right_edge: Some(9), .. }");
        let tracker = shared(Config::new());
        tracker.record(41);
        assert!(format!("{tracker:?}").starts_with("SequenceTracker { state: State {"));
        assert!(format!("{tracker:?}").contains("next: 42"));
        let wait = format!("{:?}", tracker.acquire(50).timeout(Duration::from_secs(1)));
        assert_eq!(wait, "Acquire { number: 50, limit: Timeout(1s), .. }");
        assert!(format!("{:?}", tracker.changes()).contains("Reader"));
    }
}

mod gaps {
    use super::*;

    #[test]
    fn a_jump_of_a_billion_costs_the_same_as_a_jump_of_two() {
        let mut state = feed::<8>(Config::new(), &[0]);
        let jump = 1_000_000_000;
        for n in 1..=100_000_u64 {
            let missing = jump - 1;
            assert!(matches!(
                state.record(n * jump, ZERO),
                Arrival::Ahead { missing: found, .. } if found == missing
            ));
        }
        assert_eq!(state.missing_count(), 8 * (jump - 1));
        assert_eq!(state.stats().abandoned, (100_000 - 8) * (jump - 1));
        let middle = 100_000 * jump - jump / 2;
        assert!(state.record(middle, ZERO).is_fresh());
        assert_eq!(state.gaps().len(), 8);
    }

    #[test]
    fn a_late_number_splits_a_gap() {
        let mut state = feed::<8>(Config::new(), &[1, 10]);
        assert_eq!(state.record(5, ZERO), filled(7));
        assert_eq!(missing(&state), [2..=4, 6..=9]);
        assert_eq!(state.record(2, ZERO), filled(6));
        assert_eq!(state.record(9, ZERO), filled(5));
        assert_eq!(missing(&state), [3..=4, 6..=8]);
        assert_eq!(state.record(5, ZERO), Arrival::Duplicate);
        assert_eq!(state.record(0, ZERO), Arrival::TooOld);
    }

    #[test]
    fn a_batch_is_one_step() {
        let mut state = feed::<8>(Config::new(), &[1, 5, 9]);
        let batch = state.record_range(0..=20, ZERO).unwrap();
        let expected =
            Batch { fresh: 17, filled: 6, duplicates: 3, too_old: 1, ..Batch::default() };
        assert_eq!(batch, expected);
        assert_eq!((state.contiguous_through(), state.missing_count()), (Some(20), 0));
        let batch = state.record_range(31..=u64::MAX, ZERO).unwrap();
        assert_eq!((batch.missing, batch.fresh), (10, u64::MAX - 30));
        assert_eq!(state.right_edge(), Some(u64::MAX));
        let backwards = state.record_range(RangeInclusive::new(3, 2), ZERO);
        assert_eq!(backwards, Err(RangeError::Backwards { first: 3, last: 2 }));
    }

    #[test]
    fn a_range_of_a_width_that_is_too_wide_is_an_error() {
        let mut state = state::<2>(Config::new().width(Width::U8));
        let error = RangeError::OutOfRange { number: 256, bits: 8 };
        assert_eq!(state.record_range(256..=257, ZERO), Err(error));
        assert_eq!(state.record_range(2..=256, ZERO), Err(error));
        assert_eq!(state.announce(256, ZERO), Err(error));
        assert_eq!(state.record_linked(256, 2..=3, ZERO), Err(error));
        assert_eq!(state.record(256, ZERO), Arrival::OutOfRange);
        assert_eq!(state.record_in(1, 256, ZERO), Arrival::OutOfRange);
        assert_eq!(state.record_range(RangeInclusive::new(254, 1), ZERO).unwrap().fresh, 4);
        assert_eq!(state.right_edge(), Some(257));
    }

    #[test]
    fn at_the_bound_the_lowest_gap_is_abandoned_and_reported() {
        let mut state = feed::<2>(Config::new(), &[1, 5, 9]);
        let abandoned = Some(run(2, 4));
        assert_eq!(state.record(11, ZERO), Arrival::Ahead { missing: 1, abandoned });
        assert_eq!(missing(&state), [6..=8, 10..=10]);
        assert_eq!(state.record(3, ZERO), Arrival::TooOld);
        assert_eq!(state.stats().abandoned, 3);
        // A split needs a place, too: the lower part is the lowest of all.
        let abandoned = Some(run(6, 6));
        assert_eq!(state.record(7, ZERO), Arrival::Filled { remaining: 2, abandoned });
        assert_eq!(missing(&state), [8..=8, 10..=10]);
        assert_eq!(state.contiguous_through(), Some(7));
    }

    #[test]
    fn heartbeats_one_after_the_other_are_one_missing_range() {
        let mut state = feed::<8>(Config::new().resync_at(5), &[1]);
        for number in 2..=5 {
            let batch = state.announce(number, ns(number / 2)).unwrap();
            assert_eq!(batch, Batch { missing: 1, ..Batch::default() });
        }
        let ages: Vec<_> = state.gaps().iter().map(|gap| (gap.run(), gap.since())).collect();
        let each = [(run(2, 3), ns(1)), (run(4, 5), ns(2))];
        assert_eq!((missing(&state), ages), (vec![2..=5], each.to_vec()));
        assert!(state.missing().rev().eq([2..=5]));
        assert!(!state.needs_resync());
        assert_eq!(state.record(7, ZERO), ahead(1));
        assert_eq!(missing(&state), [2..=6]);
        assert!(state.needs_resync(), "together they are 5");
        state.resynced(1);
        assert!(state.needs_resync(), "still");
        assert_eq!(state.announce(3, ZERO).unwrap(), Batch::default(), "known to exist");
    }

    #[test]
    fn numbers_noticed_later_are_requested_and_given_up_later() {
        let once = Config::new().request(delays(5).max_retries(1));
        let mut state = feed::<2>(once, &[1]);
        state.announce(3, ZERO).unwrap();
        let request = |first, last, attempt| Due::Request { run: run(first, last), attempt };
        assert_eq!(all_due(&mut state, ms(5)), [request(2, 3, 0)]);
        state.announce(4, ms(6)).unwrap();
        assert_eq!(missing(&state), [2..=4]);
        assert_eq!(all_due(&mut state, ms(10)), [Due::GaveUp { run: run(2, 3) }]);
        assert_eq!(all_due(&mut state, ms(11)), [request(4, 4, 0)], "it was never requested");
        assert_eq!(all_due(&mut state, ms(16)), [Due::GaveUp { run: run(4, 4) }]);
        // By age.
        let young = delays(5).unlimited().max_elapsed(Duration::from_millis(20));
        let mut state = feed::<2>(Config::new().request(young), &[1, 3]);
        state.announce(4, ms(19)).unwrap();
        assert_eq!(all_due(&mut state, ms(20)), [Due::GaveUp { run: run(2, 2) }]);
        assert_eq!(missing(&state), [4..=4]);
    }

    #[test]
    fn heartbeats_that_go_on_do_not_keep_a_gap_from_being_given_up() {
        let mut state = feed::<4>(Config::new().request(delays(5).max_retries(2)), &[1]);
        let mut given_up = 0;
        for number in 2..200 {
            state.announce(number, ms(number)).unwrap();
            for due in all_due(&mut state, ms(number)) {
                if let Due::GaveUp { run } = due {
                    assert!(run.last + 10 <= number, "too early: {run:?} at {number}");
                    assert!(run.first + 35 >= number, "too late: {run:?} at {number}");
                    given_up += run.len();
                }
            }
        }
        assert!(given_up > 150 && state.stats().abandoned == given_up, "{given_up}");
    }

    #[test]
    fn at_the_bound_gaps_that_adjoin_become_one_before_any_is_abandoned() {
        let config = Config::new().request(delays(5).unlimited());
        let runs = |state: &State<[Gap; 3]>| state.gaps().iter().map(Gap::run).collect::<Vec<_>>();
        let mut state = feed::<3>(config, &[1]);
        state.announce(3, ms(0)).unwrap();
        state.announce(4, ms(1)).unwrap();
        assert_eq!(all_due(&mut state, ms(5)).len(), 1);
        state.announce(5, ms(6)).unwrap();
        assert_eq!(state.announce(6, ms(7)).unwrap().abandoned, None);
        assert_eq!(runs(&state), [run(2, 3), run(4, 4), run(5, 6)]);
        assert_eq!(state.gaps()[2].since(), ms(7), "as the younger");
        // A split makes them one, too; and so does another gap.
        assert_eq!(state.record(2, ms(8)), filled(4));
        assert_eq!(state.record(9, ms(8)), ahead(2));
        assert_eq!(runs(&state), [run(3, 3), run(4, 4), run(5, 8)]);
        assert_eq!(state.record(6, ms(8)), filled(5));
        assert_eq!(runs(&state), [run(3, 3), run(4, 5), run(7, 8)]);
        assert_eq!(state.record(11, ms(9)), ahead(1));
        assert_eq!(runs(&state), [run(3, 5), run(7, 8), run(10, 10)]);
        assert_eq!(state.gaps()[0].requests(), 0);
        let abandoned = Some(run(3, 5));
        assert_eq!(state.record(13, ms(9)), Arrival::Ahead { missing: 1, abandoned });
        // The one that is opened with the highest, if no others adjoin.
        let mut state = feed::<1>(config, &[1, 3]);
        assert_eq!(state.announce(4, ms(1)).unwrap().abandoned, Some(run(2, 2)));
        assert_eq!(state.announce(5, ms(2)).unwrap().abandoned, None);
        assert_eq!(state.gaps()[0].run(), run(4, 5));
    }

    #[test]
    fn heartbeats_before_the_first_number_count_from_where_it_starts() {
        for first in [0, 1] {
            let mut state = state::<2>(Config::new().starts_at(first));
            assert_eq!(state.announce(5, ZERO).unwrap().missing, 6 - first);
            assert_eq!(state.right_edge(), Some(5));
            assert_eq!(missing(&state), [first..=5]);
            assert_eq!(state.record(first, ZERO), filled(5 - first));
        }
        let mut state = state::<2>(Config::new());
        assert_eq!(state.announce(5, ZERO).unwrap(), Batch::default());
        assert_eq!(state.record(9, ZERO), Arrival::First);
    }

    #[test]
    fn all_numbers_can_be_missing() {
        let mut state = state::<2>(Config::new().starts_at(0));
        state.announce(u64::MAX, ZERO).unwrap();
        assert_eq!((state.missing_count(), state.contiguous_through()), (u64::MAX, None));
        assert!(!state.needs_resync(), "nobody asked for that");
        assert_eq!(state.record(7, ZERO), filled(u64::MAX));
        assert_eq!(state.record(8, ZERO), filled(u64::MAX - 1));
        assert_eq!(state.record(8, ZERO), Arrival::Duplicate);
        assert_eq!(missing(&state), [0..=6, 9..=u64::MAX]);
        assert_eq!(state.record_range(0..=u64::MAX, ZERO).unwrap().filled, u64::MAX - 1);
        assert_eq!(state.missing_count(), 0);
        // In two gaps.
        let mut state = self::state::<2>(Config::new().starts_at(0));
        state.announce(9, ZERO).unwrap();
        state.announce(u64::MAX, ns(1)).unwrap();
        assert_eq!(missing(&state), [0..=u64::MAX]);
        assert_eq!(state.record_range(10..=u64::MAX, ZERO).unwrap().filled, u64::MAX - 9);
        assert_eq!((missing(&state), state.missing_count()), (vec![0..=9], 10));
    }

    #[test]
    fn the_last_number_of_all_is_too_old_once_it_is_settled() {
        let ends: [fn(&mut State<[Gap; 2]>); 3] = [
            |state| state.resynced(u64::MAX),
            |state| {
                state.announce(u64::MAX, ZERO).unwrap();
                assert_eq!(state.give_up_below(u64::MAX), 4, "but not the last");
                assert_eq!(state.clone().record(u64::MAX, ZERO), filled(0));
                state.resynced(u64::MAX);
            },
            |state| {
                let mut rng = Random::from_seed(1);
                state.announce(u64::MAX, ZERO).unwrap();
                assert_eq!(state.due(ms(5), &mut rng).count(), 1);
                assert_eq!(state.due(ms(10), &mut rng).count(), 1, "given up");
            },
        ];
        for end in ends {
            let config = Config::new().request(delays(5).max_retries(1));
            let mut state = feed::<2>(config, &[u64::MAX - 5]);
            end(&mut state);
            assert_eq!(state.missing_count(), 0);
            assert_eq!(state.record(u64::MAX, ZERO), Arrival::TooOld);
            let batch = state.record_range(u64::MAX - 6..=u64::MAX, ZERO).unwrap();
            assert_eq!((batch.too_old, batch.duplicates), (7, 0));
        }
    }

    #[test]
    fn what_is_lost_stays_so_until_it_is_covered() {
        let mut state = feed::<2>(Config::new(), &[1, 3, 5]);
        assert_eq!(state.lost(), None);
        state.record(7, ZERO);
        assert_eq!(state.lost(), Some(run(2, 2)), "at the bound");
        state.give_up_below(7);
        assert_eq!(state.lost(), Some(run(2, 6)), "2, 4 and 6");
        state.resynced(2);
        assert_eq!(state.lost(), Some(run(3, 6)), "the last of them is");
        assert_eq!(state.skip_to(7), 0);
        assert_eq!(state.lost(), None);
        state.record(9, ZERO);
        state.give_up_below(9);
        assert_eq!(state.lost(), Some(run(8, 8)));
        state.reset();
        assert_eq!((state.lost(), state.stats().abandoned), (None, 4));
    }

    #[test]
    fn what_is_announced_has_to_be_believed_and_so_has_the_end_of_a_range() {
        let config = Config::new().max_jump(10);
        let mut state = feed::<4>(config, &[1]);
        let suspect = Batch { suspect: true, ..Batch::default() };
        assert_eq!(state.announce(12, ZERO).unwrap(), suspect);
        assert_eq!((state.right_edge(), state.missing_count()), (Some(1), 0));
        assert_eq!(state.record_range(2..=12, ZERO).unwrap(), suspect);
        assert_eq!(state.record_linked(1, 2..=12, ZERO).unwrap(), suspect);
        assert_eq!(state.stats().skipped, 0);
        assert_eq!(state.announce(11, ZERO).unwrap().missing, 10, "as far as is believed");
        assert_eq!(state.record(100, ZERO), Arrival::Suspect);
        assert_eq!(state.announce(100, ZERO).unwrap(), suspect);
        assert_eq!(state.record(101, ZERO), Arrival::Restart { lost: 10 });
        let mut state = self::state::<4>(config.starts_at(1));
        assert_eq!(state.announce(12, ZERO).unwrap(), suspect);
        assert_eq!(state.right_edge(), None);
        assert_eq!(state.announce(11, ZERO).unwrap().missing, 11);
    }

    #[test]
    fn a_range_over_many_gaps_is_one_step() {
        let numbers: Vec<u64> = (0..=60).step_by(2).collect();
        for (first, last) in [(3, 40), (4, 41), (0, 60), (9, 9), (10, 10), (50, 60)] {
            let mut state = feed::<30>(Config::new(), &numbers);
            let odd = (first..=last).filter(|n| n % 2 == 1).count() as u64;
            assert_eq!(state.record_range(first..=last, ZERO).unwrap().filled, odd);
            let left = (0..60).filter(|n| n % 2 == 1 && !(first..=last).contains(n));
            assert!(state.missing().eq(left.map(|n| n..=n)), "{first} to {last}");
        }
    }

    #[test]
    fn nothing_comes_after_the_last_number_of_all() {
        let mut state = feed::<2>(Config::new(), &[u64::MAX - 1, u64::MAX]);
        assert_eq!(state.right_edge(), Some(u64::MAX));
        assert_eq!(state.record(u64::MAX, ZERO), Arrival::Duplicate);
        assert_eq!(state.record(0, ZERO), Arrival::TooOld);
        assert_eq!(state.skip_to(u64::MAX), 0);
        state.resynced(u64::MAX);
        assert_eq!(state.give_up_below(u64::MAX), 0);
        assert_eq!(state.announce(u64::MAX, ZERO).unwrap(), Batch::default());
        assert_eq!(state.stats().received(), 2);
        let tracker = shared(Config::new());
        tracker.record(u64::MAX - 1);
        assert_eq!(tracker.record(u64::MAX), Arrival::Next);
        assert_eq!(tracker.record(u64::MAX), Arrival::Duplicate);
        assert_eq!(tracker.acquire(u64::MAX).wait(), Ok(u64::MAX));
    }

    #[test]
    fn a_snapshot_through_the_last_number_brings_none() {
        let mut state = state::<2>(Config::new());
        state.resynced(u64::MAX);
        assert_eq!(state.contiguous_through(), Some(u64::MAX));
        assert_eq!(state.stats().received(), 0);
        assert_eq!([5, u64::MAX].map(|number| state.record(number, ZERO)), [Arrival::TooOld; 2]);
    }

    #[test]
    fn what_is_given_up_is_lost_and_what_is_skipped_is_not() {
        let mut state = feed::<8>(Config::new(), &[1, 4, 8]);
        assert_eq!(state.give_up_below(4), 2);
        assert_eq!(state.record(3, ZERO), Arrival::TooOld);
        assert_eq!(state.skip_to(7), 2);
        assert_eq!(missing(&state), [7..=7]);
        assert_eq!(state.skip_to(12), 4, "7, and 9 to 11");
        assert_eq!(state.record(12, ZERO), Arrival::Next);
        let stats = state.stats();
        assert_eq!((stats.abandoned, stats.skipped, stats.received()), (2, 6, 4));
        assert_eq!((state.give_up_below(0), state.skip_to(0)), (0, 0));
        assert_eq!(state.give_up_below(u64::MAX), 0);
        assert_eq!(state.record(13, ZERO), Arrival::Next, "nothing above the edge is given up");
    }

    #[test]
    fn fix_gap_fill_and_sequence_reset() {
        let mut state = feed::<8>(Config::new().starts_at(1), &[1, 2]);
        assert_eq!(state.record(8, ZERO), ahead(5), "resend 3 to 7");
        assert_eq!(state.record(3, ZERO), filled(4));
        // SequenceReset-GapFill: 4 to 6 were heartbeats.
        assert_eq!(state.skip_to(7), 3);
        assert_eq!(state.record(7, ZERO), filled(0));
        assert_eq!(state.contiguous_through(), Some(8));
        assert_eq!(state.reset(), 0);
        assert_eq!(state.record(1, ZERO), Arrival::First);
    }

    #[test]
    fn a_skip_before_the_first_number_moves_the_start_forward_only() {
        let mut state = state::<2>(Config::new().starts_at(100));
        assert_eq!(state.skip_to(50), 0);
        state.resynced(20);
        assert_eq!(state.contiguous_through(), Some(99));
        assert_eq!(state.record(100, ZERO), Arrival::First);
        let tracker = shared(Config::new());
        tracker.resynced(100);
        assert_eq!(tracker.acquire(100).wait(), Ok(100), "the snapshot has it");
        let late = tracker.acquire(103).deadline(ZERO).wait();
        assert_eq!(late, Err(AcquireError::TimedOut { missing: vec![101..=103] }));
        assert_eq!(tracker.record(102), ahead(1));
    }

    #[test]
    fn resync_stays_until_resynced() {
        let mut state = feed::<8>(Config::new().resync_at(3), &[1, 4]);
        assert!(!state.needs_resync(), "2 are missing");
        state.record(8, ZERO);
        assert!(state.needs_resync());
        state.record_range(5..=7, ZERO).unwrap();
        assert!(state.needs_resync(), "it stays so");
        state.resynced(8);
        assert!(!state.needs_resync());
        state.record(20, ZERO);
        state.resynced(9);
        assert!(state.needs_resync(), "a snapshot that old is none: 10 to 19 are missing");
        state.resynced(17);
        assert!(!state.needs_resync());
        assert_eq!(missing(&state), [18..=19]);
        state.announce(30, ZERO).unwrap();
        state.reset();
        assert!(!state.needs_resync());
    }
}

mod links {
    use super::*;

    const FIRST: Arrival = Arrival::First;

    #[test]
    fn depth_updates_of_binance() {
        // The snapshot's lastUpdateId is 160; events with u below that are dropped, the first has
        // U <= 161 <= u, and each names the last u before it.
        let mut book = state::<8>(Config::new());
        book.resynced(160);
        assert_eq!(book.record_linked(150, 151..=155, ZERO).unwrap().fresh, 0);
        let batch = book.record_linked(155, 157..=161, ZERO).unwrap();
        assert_eq!((batch.fresh, batch.too_old), (1, 5));
        assert_eq!(book.record_linked(161, 165..=170, ZERO).unwrap().missing, 0);
        assert_eq!(book.contiguous_through(), Some(170));
        assert_eq!(book.record_linked(180, 182..=190, ZERO).unwrap().missing, 10);
        assert_eq!(missing(&book), [171..=180]);
        let stats = book.stats();
        assert_eq!((stats.received(), stats.skipped), (1 + 6 + 9, 3 + 1));
    }

    #[test]
    fn sequence_ids_of_okx() {
        let mut book = state::<8>(Config::new());
        // A snapshot: prevSeqId is -1. Then 10 -> 15, a heartbeat 15 -> 15, and 15 -> 3, a reset.
        assert_eq!(book.record(10, ZERO), FIRST);
        assert_eq!(book.record_linked(10, 15..=15, ZERO).unwrap().fresh, 5);
        assert_eq!(book.record_linked(15, 15..=15, ZERO), Ok(Batch::default()));
        assert!(matches!(
            book.record_linked(15, 3..=3, ZERO),
            Err(RangeError::Backwards { first: 15, last: 3 })
        ));
        assert_eq!(book.reset(), 0);
        assert_eq!(book.record(3, ZERO), FIRST);
        assert_eq!(book.record_linked(3, 5..=5, ZERO).unwrap().fresh, 2);
        // 5 -> 9 is lost.
        assert_eq!(book.record_linked(9, 12..=12, ZERO).unwrap().missing, 4);
        assert_eq!(book.record_linked(5, 9..=9, ZERO).unwrap().filled, 4);
        assert_eq!(book.contiguous_through(), Some(12));
        assert_eq!(book.stats().lost(), 0);
        assert_eq!(book.stats().received(), 6, "10, 15; 3, 5, 12, 9");
    }

    #[test]
    fn a_message_that_names_itself_as_its_predecessor_is_harmless_and_shows_what_is_missing() {
        for stale in [5, 15] {
            let mut book = feed::<8>(Config::new(), &[5, 15]);
            let before = book.stats();
            let alive = book.record_linked(stale, stale..=stale, ZERO);
            assert_eq!((alive, book.stats()), (Ok(Batch::default()), before));
        }
        let mut book = feed::<8>(Config::new().max_jump(100), &[15]);
        let alive = book.record_linked(18, 18..=18, ZERO).unwrap();
        assert_eq!(alive, Batch { missing: 3, ..Batch::default() });
        assert_eq!(missing(&book), [16..=18]);
        assert_eq!(book.record_linked(15, 18..=18, ZERO).unwrap().filled, 3);
        assert!(book.record_linked(200, 200..=200, ZERO).unwrap().suspect);
        let mut book = state::<8>(Config::new());
        assert_eq!(book.record_linked(18, 18..=18, ZERO), Ok(Batch::default()));
        let wrong = book.record_linked(18, 18..=19, ZERO);
        assert_eq!(wrong, Err(RangeError::Backwards { first: 18, last: 18 }));
    }

    #[test]
    fn packets_of_moldudp64() {
        // A header has the first number and how many messages; with none it is a heartbeat, that
        // names the next number.
        let mut feed = state::<8>(Config::new().starts_at(1));
        assert_eq!(feed.record_range(1..=3, ZERO).unwrap().fresh, 3);
        assert_eq!(feed.announce(4 - 1, ZERO).unwrap().missing, 0);
        assert_eq!(feed.announce(7 - 1, ZERO).unwrap().missing, 3);
        assert_eq!(missing(&feed), [4..=6]);
        assert_eq!(feed.record_range(4..=8, ZERO).unwrap().filled, 3);
        assert_eq!(feed.contiguous_through(), Some(8));
    }

    #[test]
    fn before_the_first_number_a_link_covers_what_does_not_exist() {
        let mut state = state::<2>(Config::new().starts_at(5));
        assert_eq!(state.record_linked(4, 8..=9, ZERO).unwrap().missing, 0);
        assert_eq!(state.contiguous_through(), Some(9));
        assert_eq!((state.stats().received(), state.stats().skipped), (2, 3));
    }

    #[test]
    fn numbers_that_do_not_exist_are_not_received() {
        let mut state = feed::<4>(Config::new(), &[4, 7, 8]);
        let batch = state.record_linked(4, 7..=8, ZERO).unwrap();
        assert_eq!((batch.filled, batch.duplicates), (2, 2));
        assert_eq!((state.stats().received(), state.stats().skipped), (3, 2));
    }

    #[test]
    fn links_wrap_as_numbers_do() {
        let mut state = feed::<2>(Config::new().width(Width::U16), &[65_534]);
        assert_eq!(
            state.record_linked(65_534, RangeInclusive::new(65_535, 1), ZERO).unwrap().fresh,
            3
        );
        assert_eq!(state.record_linked(1, 3..=4, ZERO).unwrap().fresh, 3);
        assert_eq!(state.contiguous_through(), Some(65_540));
        // Half a turn ahead of 10 is the most that is ahead, and it is the predecessor that counts.
        let mut state = feed::<2>(Config::new().width(Width::U8), &[10]);
        assert_eq!(state.record_linked(138, 139..=140, ZERO).unwrap().missing, 128);
        let mut state = feed::<2>(Config::new().width(Width::U16), &[65_535]);
        assert_eq!(state.record_linked(65_535, 0..=0, ZERO).unwrap().fresh, 1);
    }
}

mod restarts {
    use super::*;

    fn rtp() -> Config {
        Config::new().width(Width::U16).max_jump(3_000).max_late(100)
    }

    #[test]
    fn a_jump_is_believed_when_the_next_number_confirms_it() {
        let mut state = feed::<4>(rtp(), &[10, 12]);
        assert_eq!(state.record(12 + 3_000, ZERO), ahead(2_999), "as far as is believed");
        assert_eq!(state.record(30_000, ZERO), Arrival::Suspect);
        assert_eq!(state.record(30_005, ZERO), Arrival::Suspect, "another one");
        assert_eq!(state.record(3_013, ZERO), Arrival::Next, "the old run goes on meanwhile");
        assert_eq!(state.record(30_006, ZERO), Arrival::Restart { lost: 3_000 });
        assert_eq!(state.record(30_007, ZERO), Arrival::Next);
        assert_eq!(state.record(30_005, ZERO), Arrival::TooOld, "it was not counted");
        let stats = state.stats();
        assert_eq!((stats.restarts, stats.abandoned, stats.missing), (1, 3_000, 0));
        assert_eq!(stats.received(), 4 + 2);
    }

    #[test]
    fn a_number_that_is_too_late_is_a_suspect_too() {
        let mut state = feed::<4>(rtp(), &[5_000]);
        assert_eq!(state.record(4_900, ZERO), Arrival::TooOld, "as late as is believed");
        assert_eq!(state.record(4_899, ZERO), Arrival::Suspect);
        assert_eq!(state.record(4_900, ZERO), Arrival::TooOld, "it is believed by itself");
        assert_eq!(state.record(20, ZERO), Arrival::Suspect);
        assert_eq!(state.record(21, ZERO), Arrival::Restart { lost: 0 });
    }

    #[test]
    fn a_range_can_confirm_a_restart() {
        let mut state = feed::<4>(Config::new().max_jump(10), &[1, 3]);
        assert!(state.record_range(100..=109, ZERO).unwrap().suspect);
        let batch = state.record_range(110..=119, ZERO).unwrap();
        assert_eq!((batch.restarted, batch.fresh), (Some(1), 10));
    }

    #[test]
    fn half_a_turn_away_the_next_number_confirms_it_too() {
        let mut state = feed::<4>(Config::new().width(Width::U8).max_jump(9).max_late(9), &[0]);
        for number in 1..=255 {
            state.record(number, ZERO);
        }
        // 255 + 128, and nearer from below after the edge has moved on.
        assert_eq!(state.record(127, ZERO), Arrival::Suspect);
        assert_eq!(state.record(0, ZERO), Arrival::Next);
        assert_eq!(state.record(1, ZERO), Arrival::Next);
        assert_eq!(state.record(128, ZERO), Arrival::Restart { lost: 0 });
    }

    #[test]
    fn a_snapshot_ends_a_suspicion() {
        let mut state = feed::<4>(Config::new().max_jump(10), &[1, 100]);
        state.resynced(1);
        assert_eq!(state.record(101, ZERO), Arrival::Suspect);
    }

    #[test]
    fn a_higher_epoch_resets_and_a_lower_one_is_too_old() {
        let mut state = state::<4>(Config::new());
        assert_eq!(state.record_in(3, 10, ZERO), Arrival::First);
        assert_eq!(state.stats().restarts, 0, "the first epoch ends none");
        assert_eq!(state.record_in(3, 13, ZERO), ahead(2));
        assert_eq!(state.record_in(4, 1, ZERO), Arrival::Reset { lost: 2, missing: 0 });
        assert_eq!(state.record_in(3, 11, ZERO), Arrival::TooOld);
        assert_eq!(state.record_in(4, 2, ZERO), Arrival::Next);
        let stats = state.stats();
        assert_eq!((stats.restarts, stats.too_old, stats.received()), (1, 1, 4));
        let mut state = feed::<4>(Config::new().starts_at(1), &[1, 2]);
        assert_eq!(state.record_in(1, 4, ZERO), Arrival::Reset { lost: 0, missing: 3 });
        assert_eq!(missing(&state), [1..=3], "it has to start at 1 again");
    }

    #[test]
    fn what_an_epoch_lost_is_told_by_the_first_number_of_the_next_that_counts() {
        let config = Config::new().starts_at(100).max_jump(10).max_late(50);
        let old = [100, 103];
        // Too old, and a suspect, before one that counts.
        let mut state = feed::<4>(config, &old);
        assert_eq!(state.record_in(1, 99, ZERO), Arrival::TooOld);
        assert_eq!(state.record_in(1, 500, ZERO), Arrival::Suspect);
        assert_eq!(state.record_in(1, 102, ZERO), Arrival::Reset { lost: 2, missing: 2 });
        assert_eq!(state.record_in(1, 103, ZERO), Arrival::Next);
        // A restart within the new epoch.
        let mut state = feed::<4>(config, &old);
        assert_eq!(state.record_in(1, 500, ZERO), Arrival::Suspect);
        assert_eq!(state.record_in(1, 501, ZERO), Arrival::Reset { lost: 2, missing: 0 });
        assert_eq!(state.record_in(1, 700, ZERO), Arrival::Suspect);
        assert_eq!(state.record_in(1, 701, ZERO), Arrival::Restart { lost: 0 });
        // An epoch of which nothing counts.
        let mut state = feed::<4>(config, &old);
        assert_eq!(state.record_in(1, 500, ZERO), Arrival::Suspect);
        assert_eq!(state.record_in(2, 100, ZERO), Arrival::Reset { lost: 2, missing: 0 });
        assert_eq!(state.stats().abandoned, 2);
    }

    #[test]
    fn the_first_epoch_keeps_what_a_snapshot_covers() {
        let mut state = state::<4>(Config::new());
        state.resynced(100);
        assert_eq!(state.record_in(7, 103, ZERO), ahead(2));
    }

    #[test]
    fn a_number_that_is_none_begins_no_epoch() {
        let mut state = feed::<4>(Config::new().width(Width::U8), &[1]);
        assert_eq!(state.record_in(9, 256, ZERO), Arrival::OutOfRange);
        assert_eq!(state.record_in(0, 2, ZERO), Arrival::Next);
    }
}

mod requests {
    use super::*;

    fn request(first: u64, last: u64, attempt: u32) -> Due {
        Due::Request { run: run(first, last), attempt }
    }

    #[test]
    fn gaps_are_requested_again_and_given_up() {
        let delays =
            steadfast_backoff::Config::exponential(Duration::from_millis(5)).max_retries(2);
        let mut state = state::<4>(Config::new().request(delays));
        state.record(1, ZERO);
        state.record(4, ms(1));
        assert_eq!(state.next_due(), Some(ms(1)), "it has not been asked yet");
        assert_eq!(all_due(&mut state, ms(1)), []);
        assert_eq!(state.next_due(), Some(ms(6)));
        assert_eq!(all_due(&mut state, ns(5_999_999)), []);
        assert_eq!(all_due(&mut state, ms(6)), [request(2, 3, 0)]);
        assert_eq!(all_due(&mut state, ms(6)), [], "once");
        assert_eq!(state.gaps()[0].requests(), 1);
        assert_eq!(state.next_due(), Some(ms(16)));
        assert_eq!(state.record(3, ms(7)), filled(1));
        assert_eq!(all_due(&mut state, ms(16)), [request(2, 2, 1)]);
        assert_eq!(all_due(&mut state, ns(35_999_999)), []);
        assert_eq!(all_due(&mut state, ms(36)), [Due::GaveUp { run: run(2, 2) }]);
        assert_eq!((state.next_due(), state.contiguous_through()), (None, Some(4)));
        assert_eq!(state.record(2, ms(40)), Arrival::TooOld);
    }

    #[test]
    fn the_lowest_gap_is_given_up_first() {
        let config = Config::new().request(delays(5).max_retries(1));
        let mut state = feed::<4>(config, &[1]);
        state.record(3, ms(10));
        // The clock was set back: the upper gap is older.
        state.record(5, ms(2));
        assert_eq!(all_due(&mut state, ms(12)), [request(4, 4, 0)]);
        assert_eq!(all_due(&mut state, ms(15)), [request(2, 2, 0)]);
        assert_eq!(all_due(&mut state, ms(17)), []);
        assert_eq!(state.next_due(), Some(ms(20)), "not before the lower one");
        let given_up = [Due::GaveUp { run: run(2, 2) }, Due::GaveUp { run: run(4, 4) }];
        assert_eq!(all_due(&mut state, ms(20)), given_up);
    }

    #[test]
    fn one_that_is_to_be_given_up_is_not_requested_meanwhile() {
        let delays = delays(5).unlimited().max_elapsed(Duration::from_millis(20));
        let mut state = feed::<4>(Config::new().request(delays), &[1]);
        state.record(3, ms(10));
        state.record(5, ms(2));
        assert_eq!(all_due(&mut state, ms(22)), [request(2, 2, 0)]);
        assert_eq!(state.next_due(), Some(ms(27)));
        let given_up = [Due::GaveUp { run: run(2, 2) }, Due::GaveUp { run: run(4, 4) }];
        assert_eq!(all_due(&mut state, ms(30)), given_up);
    }

    #[test]
    fn a_gap_that_is_too_old_is_given_up() {
        let delays = delays(50).unlimited().max_elapsed(Duration::from_millis(70));
        let mut state = feed::<4>(Config::new().request(delays), &[1, 3]);
        assert_eq!(all_due(&mut state, ms(50)), [request(2, 2, 0)]);
        assert_eq!(state.next_due(), Some(ms(70)), "before the next request");
        assert_eq!(all_due(&mut state, ns(69_999_999)), []);
        assert_eq!(all_due(&mut state, ms(70)), [Due::GaveUp { run: run(2, 2) }]);
    }

    #[test]
    fn the_end_of_all_times_is_never() {
        let mut state = feed::<4>(Config::new().request(delays(5).unlimited()), &[1, 3]);
        assert_eq!(all_due(&mut state, Instant::MAX), [request(2, 2, 0)]);
        assert_eq!(state.next_due(), None);
    }

    #[test]
    fn a_clock_that_steps_back_makes_gaps_young() {
        let mut state = state::<4>(Config::new().request(delays(5)));
        state.record(1, ms(100));
        state.record(3, ms(100));
        assert_eq!(all_due(&mut state, ms(10)), []);
        assert_eq!(state.gaps()[0].since(), ms(10));
        assert_eq!(all_due(&mut state, ms(15)), [request(2, 2, 0)]);
    }

    #[test]
    fn jitter_spreads_requests() {
        let spread = delays(10).jitter(Spread::Full);
        let mut state = feed::<4>(Config::new().request(spread), &[1, 3, 5, 7]);
        let mut random = Random::from_seed(1);
        let mut times = [None; 3];
        for time in 0..=10 {
            for due in state.due(ms(time), &mut random) {
                let Due::Request { run, .. } = due else { continue };
                let first = &mut times[usize::try_from(run.first / 2 - 1).unwrap()];
                *first = first.or(Some(time));
            }
        }
        assert!(times.iter().all(Option::is_some), "at the longest delay at the latest");
        assert!(times[0] != times[1] || times[1] != times[2], "{times:?}");
    }

    #[test]
    fn a_delay_of_nothing_does_not_make_a_request_endless() {
        let spread = delays(10).jitter(Spread::Full).unlimited();
        let mut state = feed::<4>(Config::new().request(spread), &[1, 3, 5]);
        let mut none = || 0;
        assert_eq!(state.due(ms(1), &mut none).count(), 2);
        assert_eq!(state.due(ms(1), &mut none).count(), 0, "not at the same instant");
        assert_eq!(state.next_due(), Some(ns(1_000_001)));
        assert_eq!(state.due(ns(1_000_001), &mut none).count(), 2);
        assert_eq!(state.due(Instant::MAX, &mut none).count(), 2);
        assert_eq!((state.due(Instant::MAX, &mut none).count(), state.next_due()), (0, None));
    }

    #[test]
    fn what_is_left_of_a_list_that_is_dropped_is_due_still() {
        let mut state = feed::<4>(Config::new().request(delays(5)), &[1, 3, 5, 7]);
        let mut rng = Random::from_seed(1);
        assert_eq!(state.due(ms(5), &mut rng).next(), Some(request(2, 2, 0)));
        assert_eq!(all_due(&mut state, ms(5)), [request(4, 4, 0), request(6, 6, 0)]);
    }

    #[test]
    fn looking_after_gaps_takes_one_look_at_each() {
        let mut draws = 0_u32;
        let spread = delays(5).jitter(Spread::Full).max_retries(1);
        let mut state = Config::new().max_gaps(1_000).request(spread).state().unwrap();
        (0..=1_000).for_each(|n| _ = state.record(2 * n, ZERO));
        let mut rng = || {
            draws += 1;
            0
        };
        assert_eq!(state.due(ms(5), &mut rng).count(), 1_000);
        assert_eq!(draws, 2_000, "until the first request, and until the second");
        assert_eq!(state.due(ms(10), &mut || 0).count(), 1_000, "given up");
    }

    #[test]
    fn nobody_asks_for_nothing() {
        let mut state = feed::<4>(Config::new(), &[1, 3]);
        assert_eq!((state.next_due(), all_due(&mut state, Instant::MAX)), (None, vec![]));
    }
}

mod reports {
    use super::*;

    /// All acknowledgements, found by looking at each number.
    fn packed(numbers: &[u64]) -> Vec<Nack> {
        let mut nacks: Vec<(u64, Nack)> = Vec::new();
        for &number in numbers {
            match nacks.last_mut() {
                Some((first, nack)) if number - *first <= 16 => {
                    nack.blp |= 1 << (number - *first - 1);
                }
                _ => nacks
                    .push((number, Nack { pid: u16::try_from(number & 0xffff).unwrap(), blp: 0 })),
            }
        }
        nacks.into_iter().map(|(_, nack)| nack).collect()
    }

    #[test]
    fn nacks_are_packed_as_tightly_as_possible() {
        let mut random = 9_u64;
        for round in 0..2_000_u64 {
            let mut numbers = Vec::new();
            let mut number = if round % 2 == 0 { 65_400 } else { u64::MAX - 200 };
            while number < u64::MAX - 3 && numbers.len() < 120 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let step = if random >> 60 < 9 { 1 } else { 1 + (random >> 40) % (round % 30 + 1) };
                number = number.saturating_add(step);
                numbers.push(number);
            }
            if number == u64::MAX - 3 {
                numbers.push(u64::MAX);
            }
            let mut runs: Vec<Run> = Vec::new();
            for &number in &numbers {
                match runs.last_mut() {
                    Some(run) if run.last + 1 == number => run.last = number,
                    _ => runs.push(run(number, number)),
                }
            }
            numbers.dedup();
            assert!(nacks(runs).eq(packed(&numbers)), "{numbers:?}");
        }
    }

    #[test]
    fn nacks_reach_the_last_number_of_all() {
        let last = Nack { pid: 65_535, blp: 0 };
        assert!(nacks([run(u64::MAX, u64::MAX)]).eq([last]));
        assert!(
            nacks([run(u64::MAX - 17, u64::MAX)]).eq([Nack { pid: 65_518, blp: 0xffff }, last])
        );
        assert_eq!(nacks([run(0, u64::MAX)]).take(1_000).count(), 1_000);
        assert_eq!(nacks([]).next(), None);
    }

    /// RFC 3550, A.8, as it is written there.
    #[test]
    fn jitter_is_that_of_rfc_3550() {
        let cut = |n: u64| u32::try_from(n & 0xffff_ffff).unwrap();
        let mut jitter = Jitter::new(90_000);
        let (mut random, mut before, mut scaled) = (3_u64, None, 0_u32);
        for n in 0..10_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let arrival = n * 20_000_000 + (random >> 44);
            let timestamp = cut(n * 1_800 + 4_294_000_000);
            jitter.record(ns(arrival), timestamp);
            let transit = cut(arrival * 9 / 100_000).wrapping_sub(timestamp);
            let transit = i32::from_ne_bytes(transit.to_ne_bytes());
            if let Some(before) = before {
                let d = transit.wrapping_sub(before).unsigned_abs();
                scaled = scaled + d - ((scaled + 8) >> 4);
            }
            before = Some(transit);
            assert_eq!(jitter.units(), scaled >> 4);
        }
        assert!(jitter.units() > 5);
        let mut wild = Jitter::new(u32::MAX);
        for n in 0..100_u32 {
            wild.record(if n % 2 == 0 { ZERO } else { Instant::MAX }, n.wrapping_mul(0x8000_0000));
        }
    }

    #[test]
    fn displacement_is_that_of_numbers_that_were_late() {
        let mut state = feed::<4>(Config::new(), &[1, 2, 3, 6]);
        state.record_range(2..=4, ZERO).unwrap();
        let stats = state.stats();
        assert_eq!((stats.reordered, stats.largest_displacement, stats.duplicates), (1, 2, 2));
        state.record(5, ZERO);
        assert_eq!(state.stats().largest_displacement, 2);
    }

    #[test]
    fn loss_is_that_of_rfc_3550() {
        let mut state = feed::<8>(Config::new(), &[1, 2, 4, 4, 8]);
        let first = state.stats();
        assert_eq!((first.expected, first.received(), first.lost()), (8, 4, 4));
        assert_eq!(first.rtp_lost(), 3, "the duplicate was received");
        assert_eq!(first.fraction_lost_since(&Stats::default()), 96);
        state.record_range(9..=16, ZERO).unwrap();
        assert_eq!(state.stats().fraction_lost_since(&first), 0);
        state.record(3, ZERO);
        assert_eq!(state.stats().fraction_lost_since(&first), 0, "less than nothing");
        let before = state.stats();
        state.announce(116, ZERO).unwrap();
        assert_eq!(state.stats().fraction_lost_since(&before), 255, "all");
        for _ in 0..200 {
            state.record(1, ZERO);
        }
        assert!(state.stats().rtp_lost() < 0);
        assert_eq!(before.fraction_lost_since(&before), 0);
        state.record(1 << 40, ZERO);
        assert_eq!(state.stats().rtp_lost(), 0x7f_ffff);
        let many = Stats { duplicates: u64::MAX, ..Stats::default() };
        assert_eq!(many.rtp_lost(), -0x80_0000);
    }

    #[test]
    fn only_what_was_not_seen_is_fresh() {
        let (missing, lost) = (1, 0);
        for fresh in [Arrival::First, Arrival::Next, ahead(missing), filled(0)] {
            assert!(fresh.is_fresh());
        }
        assert!(Arrival::Restart { lost }.is_fresh());
        assert!(Arrival::Reset { lost, missing }.is_fresh());
        let stale = [Arrival::Duplicate, Arrival::TooOld, Arrival::Suspect, Arrival::OutOfRange];
        assert!(!stale.into_iter().any(Arrival::is_fresh));
        assert!(Freshness::Fresh.is_fresh() && !Freshness::Duplicate.is_fresh());
        assert!(!Freshness::TooOld.is_fresh());
    }
}

#[test]
fn a_clock_that_was_far_ahead_puts_a_request_off_by_the_cap_at_most() {
    let second = Duration::from_secs(1);
    let delays = steadfast_backoff::Config::constant(second).cap(second * 2).unlimited();
    let mut state = Config::new().request(delays).state_in([Gap::EMPTY; 2]).unwrap();
    let at = |secs: u64| Instant::ZERO.saturating_add(Duration::from_secs(secs));
    let run = Run { first: 2, last: 4 };
    state.record(1, at(10));
    state.record(5, at(10));
    let far = at(300_000_000);
    assert_eq!(state.due(far, &mut || 0).next(), Some(Due::Request { run, attempt: 0 }));
    assert_eq!(state.due(at(11), &mut || 0).next(), None);
    assert_eq!(state.next_due(), Some(at(12)));
    assert_eq!(state.due(at(12), &mut || 0).next(), Some(Due::Request { run, attempt: 1 }));
}

#[test]
fn what_is_missing_is_believed_however_late_it_comes() {
    let config = Config::new().width(Width::U16).max_jump(3_000).max_late(100);
    let mut state = config.state_in([Gap::EMPTY; 4]).unwrap();
    for number in (1_000..=1_009).chain(1_020..=1_199) {
        state.record(number, Instant::ZERO);
    }
    for number in 1_010..=1_019 {
        assert!(matches!(state.record(number, Instant::ZERO), Arrival::Filled { .. }));
    }
    assert_eq!(state.record(1_200, Instant::ZERO), Arrival::Next);
    assert_eq!(state.record(1_010, Instant::ZERO), Arrival::Suspect, "not missing any more");
}
