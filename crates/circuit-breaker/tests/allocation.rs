//! Neither a permit nor a result allocates, whatever it leads to.

#![cfg(all(feature = "std", not(loom)))]

use std::future::{Future, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use steadfast_circuit_breaker::{CircuitBreaker, Config, Outcome, Phase, Window};
use steadfast_core::{Instant, SystemClock};
use steadfast_test_support::allocations::{Counting, allocations_of_the_second as allocations};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const fn s(secs: u64) -> Instant {
    Instant::from_nanos(secs * 1_000_000_000)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// All rules, and everything that has something to decide.
fn breaker() -> CircuitBreaker {
    let window = Window::time(secs(60)).minimum(3);
    Config::new()
        .consecutive_failures(3)
        .failure_rate(1.0, Window::calls(100).minimum(50))
        .failure_rate(1.0, window)
        .slow_rate(1.0, Window::calls(100).minimum(50))
        .slow_rate(1.0, window.minimum(50))
        .slow_after(secs(2))
        .growing_break(steadfast_backoff::Config::exponential(secs(1)))
        .probes(2)
        .close_after(2)
        .ramp_up(0.5, secs(10))
        .counted(true)
        .name("quotes")
        .build_with(SystemClock)
        .expect("valid")
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(Box::new(7_u8))), 1);
}

#[test]
fn a_whole_circle_allocates_nothing() {
    let breaker = breaker();
    let permit = |now| breaker.try_acquire_at(now).expect("admitted");
    let circle = allocations(|| {
        breaker.reset_at(s(0));
        for _ in 0..200 {
            permit(s(1)).success_at(s(1));
        }
        permit(s(1)).ignore();
        drop(permit(s(1)));
        let mut hangs = permit(s(1));
        hangs.note_slow_at(s(9));
        hangs.success_at(s(9));
        for _ in 0..3 {
            permit(s(10)).failure_at(s(10));
        }
        assert_eq!(breaker.phase_at(s(10)), Phase::Open);
        assert!(breaker.try_acquire_at(s(10)).is_err());
        permit(s(11)).report_at(Outcome::Failure { retry_after: Some(secs(5)) }, s(11));
        let probes = [permit(s(16)), permit(s(16))];
        assert!(breaker.try_acquire_at(s(16)).is_err());
        for probe in probes {
            probe.success_at(s(16));
        }
        assert_eq!(breaker.phase_at(s(16)), Phase::Closed);
        assert!(breaker.try_acquire_at(s(16)).is_ok());
        assert!(breaker.try_acquire_at(s(16)).is_err());
        breaker.force_open_at(s(17));
        assert!(breaker.try_acquire_at(s(17)).is_err());
        breaker.force_closed_at(s(17));
        let metrics = breaker.metrics_at(s(17));
        assert_eq!(metrics.phase, Phase::ForcedClosed);
    });
    assert_eq!(circle, 0);
}

#[test]
fn a_call_allocates_nothing() {
    let breaker = breaker();
    let calls = allocations(|| {
        breaker.reset();
        assert_eq!(breaker.call(|| Ok::<_, ()>(7)), Ok(7));
        assert!(breaker.call(|| Err::<(), _>(())).is_err());
        let mut call = pin!(breaker.call_async(ready(Ok::<_, ()>(7))));
        let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(Ok(7)));
        let mut wait = pin!(breaker.acquire());
        let polled = wait.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_ready(), "nobody waits while it is closed");
    });
    assert_eq!(calls, 0);
}
