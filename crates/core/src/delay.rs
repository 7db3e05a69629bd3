//! `embedded-hal-async` delays.

use alloc::vec::Vec;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embedded_hal_async::delay::DelayNs;

use crate::alarms::{Alarms, Key};
use crate::sync::Mutex;
use crate::time::{Clock, Instant, Timer};

/// A [`Timer`] made of a clock and one hardware delay.
///
/// A delay is a peripheral: there is one, and using it takes `&mut`. So one task of yours owns it
/// and [`run`](DelayTimer::run)s the timer; every waiting line in the program shares it. Refer to
/// the timer by `&'static DelayTimer<…>`, which is a timer too.
///
/// Without that task nobody is woken at an instant; refunds and closes still wake.
///
/// # Examples
///
/// ```
/// use embedded_hal_async::delay::DelayNs;
/// use steadfast_core::{Clock, DelayTimer, Instant};
///
/// # #[derive(Clone, Copy)]
/// # struct Ticks;
/// # impl Clock for Ticks {
/// #     fn now(&self) -> Instant { Instant::ZERO }
/// # }
/// static TIMER: DelayTimer<Ticks> = DelayTimer::new(Ticks);
///
/// // Spawn this once.
/// async fn timer_task(mut delay: impl DelayNs) {
///     TIMER.run(&mut delay).await;
/// }
/// ```
pub struct DelayTimer<C> {
    clock: C,
    server: Mutex<Server>,
}

struct Server {
    alarms: Alarms,
    /// The waker of the task in `run`.
    runner: Option<Waker>,
    /// An alarm was set that is earlier than the one that is being slept for.
    earlier: bool,
}

/// A pending call-back of a [`DelayTimer`]. It is cancelled by being set to
/// [`Instant::MAX`], or left to wake somebody for nothing.
#[derive(Debug, Default)]
pub struct DelayAlarm(Option<Key>);

impl<C> DelayTimer<C> {
    crate::const_unless_loom! {
        /// A timer over `clock`, whose alarms ring while [`run`](DelayTimer::run) is polled.
        pub const fn new(clock: C) -> Self {
            let server = Server { alarms: Alarms::new(), runner: None, earlier: false };
            Self { clock, server: Mutex::new(server) }
        }
    }
}

impl<C: Clock> DelayTimer<C> {
    /// Serves the alarms with `delay`, which must measure the same time as the clock. Never
    /// returns; dropping the future pauses the timer until it is run again.
    pub async fn run(&self, delay: &mut impl DelayNs) {
        loop {
            let now = self.clock.now();
            let (due, next) = self.server.with(|server| {
                let mut due = Vec::new();
                server.alarms.take_due(now, &mut due);
                server.earlier = false;
                (due, server.alarms.first())
            });
            for waker in due {
                waker.wake();
            }
            let nanos = next.map(|at| at.as_nanos().saturating_sub(self.clock.now().as_nanos()));
            let mut sleep = pin!(delay_for(delay, nanos));
            poll_fn(
                |cx| {
                    if self.interrupted(cx) { Poll::Ready(()) } else { sleep.as_mut().poll(cx) }
                },
            )
            .await;
        }
    }

    /// Whether an earlier alarm was set since the sleep began; if not, it will wake this task.
    fn interrupted(&self, cx: &Context<'_>) -> bool {
        let waker = cx.waker().clone();
        let (litter, earlier) =
            self.server.with(|server| (server.runner.replace(waker), server.earlier));
        drop(litter);
        earlier
    }
}

/// Sleeps for `nanos`, or for ever. The trait takes 32 bits: of a longer sleep this is the first
/// 4 s, after which the loop looks at the clock.
async fn delay_for(delay: &mut impl DelayNs, nanos: Option<u64>) {
    match nanos {
        None => core::future::pending().await,
        Some(nanos) => {
            let nanos = u32::try_from(nanos).unwrap_or(u32::MAX);
            delay.delay_ns(nanos).await;
        }
    }
}

impl<C: Clock> Clock for DelayTimer<C> {
    fn now(&self) -> Instant {
        self.clock.now()
    }
}

impl<C: Clock> Timer for DelayTimer<C> {
    type Alarm = DelayAlarm;

    fn alarm(&self) -> DelayAlarm {
        DelayAlarm::default()
    }

    fn set(&self, alarm: &mut DelayAlarm, at: Instant, waker: &Waker) {
        let new = (at != Instant::MAX).then(|| waker.clone());
        let (litter, runner) = self.server.with(|server| {
            let litter = alarm.0.take().and_then(|key| server.alarms.remove(key));
            let before = server.alarms.first();
            alarm.0 = new.map(|waker| server.alarms.insert(at, waker));
            let earlier = alarm.0.is_some() && before.is_none_or(|before| at < before);
            server.earlier |= earlier;
            (litter, if earlier { server.runner.take() } else { None })
        });
        drop(litter);
        if let Some(runner) = runner {
            runner.wake();
        }
    }
}

impl<C: fmt::Debug> fmt::Debug for DelayTimer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelayTimer").field("clock", &self.clock).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::ManualClock;

    /// A delay that sleeps on a manual clock.
    struct ManualDelay(ManualClock);

    impl DelayNs for ManualDelay {
        async fn delay_ns(&mut self, ns: u32) {
            let at = self.0.now().saturating_add(Duration::from_nanos(ns.into()));
            let mut alarm = self.0.alarm();
            poll_fn(|cx| {
                if self.0.now() >= at {
                    return Poll::Ready(());
                }
                self.0.set(&mut alarm, at, cx.waker());
                Poll::Pending
            })
            .await;
        }
    }

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            // ORDERING: Relaxed; one thread counts and looks.
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn an_earlier_alarm_interrupts_the_delay_and_both_ring() {
        let clock = ManualClock::new();
        let timer = DelayTimer::new(clock.clone());
        let mut delay = ManualDelay(clock.clone());
        let mut run = pin!(timer.run(&mut delay));
        let (runner, rung) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let (runner_waker, waker) = (Waker::from(runner.clone()), Waker::from(rung.clone()));
        let mut poll = || {
            assert!(run.as_mut().poll(&mut Context::from_waker(&runner_waker)).is_pending());
            // ORDERING: Relaxed; one thread counts and looks.
            rung.0.load(Ordering::Relaxed)
        };
        let (mut late, mut early) = (timer.alarm(), timer.alarm());
        // Ten seconds: longer than one delay can be.
        timer.set(&mut late, Instant::from_nanos(10_000_000_000), &waker);
        assert_eq!(poll(), 0);
        timer.set(&mut early, Instant::from_nanos(1_000_000_000), &waker);
        // ORDERING: Relaxed; one thread counts and looks.
        assert_eq!(runner.0.load(Ordering::Relaxed), 1, "the runner is told");
        assert_eq!(poll(), 0);
        clock.advance(Duration::from_secs(1));
        assert_eq!(poll(), 1);
        for _ in 0..8 {
            clock.advance(Duration::from_secs(1));
            assert_eq!(poll(), 1);
        }
        clock.advance(Duration::from_secs(1));
        assert_eq!(poll(), 2);
    }
}
