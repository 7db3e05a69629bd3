//! One list of everything that is measured, for criterion, for the ratios and for the instruction
//! counts.
//!
//! A [`Case`] is one operation of one contender; cases of one group do the same work and are
//! compared with each other. The first of a group is the reference: the least that any such
//! operation has to do on this machine.

use std::fmt;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::pin_to;

/// Performs an operation so many times, and says how long that took.
pub type Run = Box<dyn FnMut(u64) -> Duration>;

/// One operation of one contender.
pub struct Case {
    /// What is done.
    pub group: &'static str,
    /// By whom.
    pub name: &'static str,
    /// How many threads do it.
    pub threads: usize,
    /// Whether it looks up things in a table that fills the caches.
    pub has_table: bool,
    make: Box<dyn Fn() -> Run>,
}

impl Case {
    /// Of one thread. `make` prepares, and the operation it returns is measured.
    pub fn single<F: FnMut() + 'static>(
        group: &'static str,
        name: &'static str,
        make: impl Fn() -> F + 'static,
    ) -> Self {
        let make = Box::new(move || {
            let mut operation = make();
            Box::new(move |times| measured(times, &mut operation)) as Run
        });
        Self { group, name, threads: 1, has_table: false, make }
    }

    /// Of one thread, as [`single`](Case::single), where one call of the operation does so many: all
    /// numbers are for one of them.
    ///
    /// # Panics
    ///
    /// When it runs, if that takes more than 584 years.
    pub fn batch<F: FnMut() + 'static>(
        group: &'static str,
        name: &'static str,
        size: u64,
        make: impl Fn() -> F + 'static,
    ) -> Self {
        let make = Box::new(move || {
            let mut operation = make();
            Box::new(move |times: u64| {
                let calls = times.div_ceil(size);
                let time = measured(calls, &mut operation).as_nanos();
                let (done, times) = (u128::from(calls * size), u128::from(times));
                let share = if calls == 0 { time } else { time * times / done };
                Duration::from_nanos(u64::try_from(share).expect("less than 584 years"))
            }) as Run
        });
        Self { group, name, threads: 1, has_table: false, make }
    }

    /// Of two threads, each on a core of its own. `share` prepares what they share; `each` makes
    /// the operation of one of them, which is told its core.
    ///
    /// `times` counts the operations of both together, and the time is that from the first start to
    /// the last end: it divides into what one operation costs the system, not how long one takes.
    pub fn pair<S, E, F>(
        group: &'static str,
        name: &'static str,
        share: impl Fn() -> S + 'static,
        each: E,
    ) -> Self
    where
        S: Copy + Send + Sync + 'static,
        E: Fn(S, usize) -> F + Copy + Send + Sync + 'static,
        F: FnMut(),
    {
        Self::crowd(group, name, 2, share, each)
    }

    /// Of so many threads on two cores, as [`pair`](Case::pair).
    pub fn crowd<S, E, F>(
        group: &'static str,
        name: &'static str,
        threads: usize,
        share: impl Fn() -> S + 'static,
        each: E,
    ) -> Self
    where
        S: Copy + Send + Sync + 'static,
        E: Fn(S, usize) -> F + Copy + Send + Sync + 'static,
        F: FnMut(),
    {
        let make = Box::new(move || {
            let shared = share();
            Box::new(move |times| measured_together(times, threads, shared, each)) as Run
        });
        Self { group, name, threads, has_table: false, make }
    }

    /// The same, of which every operation looks up things in a table that fills the caches.
    #[must_use]
    pub fn with_table(self) -> Self {
        Self { has_table: true, ..self }
    }

    /// Prepares it.
    pub fn prepare(&self) -> Run {
        (self.make)()
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.name)
    }
}

/// The loop that is timed, and the function whose instructions are counted.
#[inline(never)]
fn measured(times: u64, operation: &mut impl FnMut()) -> Duration {
    let start = now();
    for _ in 0..times {
        operation();
    }
    start.elapsed()
}

fn measured_together<S: Copy + Send + Sync, F: FnMut()>(
    times: u64,
    threads: usize,
    shared: S,
    each: impl Fn(S, usize) -> F + Copy + Send + Sync,
) -> Duration {
    const WARM_UP: u64 = 1_000;
    let barrier = Barrier::new(threads);
    let run = |core: usize| {
        pin_to(core);
        let mut operation = each(shared, core);
        barrier.wait();
        // The one that was woken arrives late; all are under way once this is over.
        let _not_counted = measured(WARM_UP, &mut operation);
        barrier.wait();
        let start = now();
        let time = measured(times.div_ceil(threads as u64), &mut operation);
        (start, start + time)
    };
    std::thread::scope(|scope| {
        let run = &run;
        let started: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || run(thread % 2))).collect();
        let ended = started.into_iter().map(|thread| thread.join().expect("no case panics"));
        let (from, to) =
            ended.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).expect("a case has threads");
        to.duration_since(from)
    })
}

#[inline]
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
