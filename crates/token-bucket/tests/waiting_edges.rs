//! Waits at the edges of the protocol: clocks that step back, limits given late, places that are
//! called and not polled, runtimes that go idle.
#![cfg(feature = "std")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use steadfast_core::{Clock, Instant, ManualClock, SystemAlarm, SystemClock, Timer, TokioClock};
use steadfast_test_support::task::Task;
use steadfast_token_bucket::{Acquire, AcquireError, Config, Rate, TokenBucket};

type Bucket<C> = Arc<TokenBucket<C>>;

type Guest<C> = Task<Acquire<Bucket<C>>>;

/// Polled, and found pending.
fn joins<C: Timer>(bucket: &Bucket<C>, n: u64) -> Guest<C> {
    Task::of(Acquire::new(Arc::clone(bucket), n)).pending()
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Ten a second, and empty.
fn empty(burst: u64) -> Config {
    Config::new(Rate::per_second(10)).burst(burst).initial(0)
}

fn manual(config: Config) -> (Bucket<ManualClock>, ManualClock) {
    let clock = ManualClock::starting_at(Instant::from_nanos(1_000_000_000_000_000));
    (Arc::new(config.build_with(clock.clone()).unwrap()), clock)
}

#[test]
fn whoever_joins_behind_a_called_place_that_is_not_polled_is_served() {
    let (bucket, clock) = manual(empty(3));
    let (mut first, called) = (joins(&bucket, 1), joins(&bucket, 1));
    clock.advance(ms(200));
    assert!(first.poll().is_ready());
    assert_eq!(called.wakes(), 1);
    let mut late = joins(&bucket, 1);
    clock.advance(ms(100));
    assert_eq!(late.wakes(), 1, "three have come in for two");
    assert!(late.poll().is_ready());
}

#[test]
fn a_thread_behind_a_called_place_survives_a_spurious_unpark() {
    let bucket = Arc::new(empty(3).build().unwrap());
    let (mut first, _called) = (joins(&bucket, 1), joins(&bucket, 1));
    let (sender, served) = channel();
    let behind = Arc::clone(&bucket);
    let thread = thread::spawn(move || sender.send(behind.acquire(1).wait()).unwrap());
    while bucket.available() < 2 || bucket.stats().line.waiting < 3 {
        thread::yield_now();
    }
    assert!(first.poll().is_ready());
    thread.thread().unpark();
    assert_eq!(served.recv_timeout(Duration::from_secs(5)), Ok(Ok(())));
}

#[test]
fn a_limit_given_after_the_first_poll_counts() {
    let never = Config::new(Rate::per_hour(1)).burst(1).initial(0);
    let (bucket, clock) = manual(never);
    let deadline = clock.now().saturating_add(ms(50));
    let mut timeout = joins(&bucket, 1).with(|wait| wait.timeout(ms(50)));
    let mut limited = joins(&bucket, 1).with(|wait| wait.deadline(deadline));
    assert!(timeout.poll().is_pending() && limited.poll().is_pending());
    clock.advance(ms(50));
    assert_eq!((timeout.wakes(), limited.wakes()), (1, 1));
    assert!(matches!(timeout.poll(), Poll::Ready(Err(AcquireError::TimedOut { .. }))));
    assert!(matches!(limited.poll(), Poll::Ready(Err(AcquireError::TimedOut { .. }))));
}

#[test]
fn a_far_step_back_of_the_clock_is_noticed_when_somebody_joins() {
    let (bucket, clock) = manual(empty(10));
    let mut head = joins(&bucket, 1);
    clock.set_now(clock.now().saturating_sub(Duration::from_secs(86_400)));
    let _second = joins(&bucket, 1);
    clock.advance(ms(100));
    assert_eq!(head.wakes(), 1, "within a token of the new time, not a day later");
    // It is the first to ask in turn: from now on the bucket believes the clock.
    assert!(head.poll().is_pending());
    clock.advance(ms(100));
    assert!(head.poll().is_ready());
}

#[test]
fn a_timeout_says_when_it_could_have_been() {
    let (bucket, clock) = manual(empty(2));
    let _called = joins(&bucket, 2);
    clock.advance(Duration::from_secs(1));
    let wait = bucket.acquire(1).timeout(Duration::ZERO).wait();
    match wait {
        Err(AcquireError::TimedOut { ready_at }) => assert!(ready_at < Instant::MAX),
        other => panic!("{other:?}"),
    }
}

#[test]
fn ten_thousand_waits_with_one_deadline_end_without_a_pause() {
    let (bucket, clock) = manual(Config::new(Rate::per_hour(1)).burst(1).initial(0));
    let years = Duration::from_secs(3_600 * 24 * 3_650);
    let mut guests: Vec<_> = (0..10_000)
        .map(|_| {
            let wait = Acquire::new(Arc::clone(&bucket), 1).timeout(years);
            Task::of(wait).pending()
        })
        .collect();
    clock.advance(years * 2);
    let mut ended = 0;
    let began = SystemClock.now();
    while let Some(next) = guests.iter().position(|guest| guest.wakes() > 0) {
        let _served_or_late = guests.swap_remove(next).poll();
        ended += 1;
    }
    assert_eq!(ended, 10_000);
    let took = SystemClock.now().saturating_duration_since(began);
    assert!(took < Duration::from_secs(15), "quadratic work takes minutes: {took:?}");
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

#[test]
fn an_alarm_made_in_an_idle_tokio_runtime_is_not_used_in_another() {
    let (sender, served) = channel();
    thread::spawn(move || {
        let bucket = Arc::new(empty(1).build_with(TokioClock).unwrap());
        let idle = current_thread();
        idle.block_on(bucket.acquire(1)).unwrap();
        current_thread().block_on(bucket.acquire(1)).unwrap();
        sender.send(()).unwrap();
        drop(idle);
    });
    assert_eq!(served.recv_timeout(Duration::from_secs(5)), Ok(()));
}

#[test]
fn a_tokio_runtime_that_goes_idle_does_not_take_the_alarm_of_another_with_it() {
    let bucket = Arc::new(empty(1).build_with(TokioClock).unwrap());
    let (sender, served) = channel();
    let (hold, release) = channel::<()>();
    let first = Arc::clone(&bucket);
    thread::spawn(move || {
        let runtime = current_thread();
        runtime.block_on(first.acquire(1)).unwrap();
        // Alive, and not driven.
        let _dropped = release.recv();
    });
    while bucket.stats().line.waiting < 1 {
        thread::yield_now();
    }
    thread::spawn(move || {
        current_thread().block_on(bucket.acquire(1)).unwrap();
        sender.send(()).unwrap();
    });
    assert_eq!(served.recv_timeout(Duration::from_secs(5)), Ok(()));
    drop(hold);
}

/// Wall time: advances with the system's, and is set back by an hour after so many readings.
#[derive(Clone)]
struct Wall(Arc<AtomicUsize>);

impl Clock for Wall {
    fn now(&self) -> Instant {
        let left = self.0.load(Ordering::SeqCst);
        self.0.store(left.saturating_sub(1), Ordering::SeqCst);
        let ahead = if left == 0 { ms(0) } else { Duration::from_secs(3_600) };
        SystemClock.now().saturating_add(Duration::from_secs(100_000)).saturating_add(ahead)
    }
}

impl Timer for Wall {
    type Alarm = SystemAlarm;

    fn alarm(&self) -> SystemAlarm {
        SystemClock.alarm()
    }

    fn set(&self, alarm: &mut SystemAlarm, at: Instant, waker: &Waker) {
        let until = at.saturating_duration_since(self.now());
        SystemClock.set(alarm, SystemClock.now().saturating_add(until), waker);
    }

    fn system_time_until(&self, until: Instant) -> Option<Duration> {
        let now = SystemClock.now().saturating_add(Duration::from_secs(103_600));
        Some(until.saturating_duration_since(now))
    }
}

#[test]
fn a_clock_that_is_set_back_while_a_wait_spins_does_not_keep_the_thread() {
    for readings in 1..12 {
        let (sender, polled) = channel();
        thread::spawn(move || {
            let clock = Wall(Arc::new(AtomicUsize::new(usize::MAX)));
            let config = Config::new(Rate::per_second(2_000)).burst(1).initial(0);
            let bucket = Arc::new(config.build_with(clock.clone()).unwrap());
            let mut guest = joins(&bucket, 1);
            let turn = bucket.snapshot().ready_at(1, clock.now());
            while clock.now().saturating_add(Duration::from_micros(50)) < turn {}
            clock.0.store(readings, Ordering::SeqCst);
            let _served_or_not = guest.poll();
            sender.send(()).unwrap();
        });
        assert_eq!(polled.recv_timeout(Duration::from_secs(5)), Ok(()), "after {readings}");
    }
}
