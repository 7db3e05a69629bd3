//! The operating system's monotonic clock, and the one thread that serves its alarms.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::thread;
use std::time::Duration;
use std::vec::Vec;

use parking_lot::{Mutex, MutexGuard};

use crate::alarms::{Alarms, Key};
use crate::monotonic;
use crate::sleeper::{FOREVER, Sleeper};
use crate::time::{Clock, Instant, SystemClock, Timer};
use crate::unwind::completes;

/// A pending call-back of the [`SystemClock`].
#[derive(Debug, Default)]
pub struct SystemAlarm(Option<Key>);

/// The alarms of the process and the thread that serves them, from the first alarm on and for ever.
static SERVER: OnceLock<Arc<Server>> = OnceLock::new();

/// The first reading, less one, so that 0 can stand for "not read yet".
static ORIGIN: AtomicU64 = AtomicU64::new(0);

impl Clock for SystemClock {
    #[inline]
    fn now(&self) -> Instant {
        let reading = monotonic::nanos();
        // ORDERING: Relaxed; the origin is one number, and whoever sets it publishes nothing else.
        let origin = match ORIGIN.load(Ordering::Relaxed) {
            0 => first_use(reading),
            origin => origin,
        };
        Instant::from_nanos(reading.saturating_sub(origin))
    }
}

#[cold]
fn first_use(reading: u64) -> u64 {
    let origin = reading.saturating_sub(1).max(1);
    // ORDERING: Relaxed; as in `now`. Of several first users, one sets it for all.
    match ORIGIN.compare_exchange(0, origin, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => origin,
        Err(earlier) => earlier,
    }
}

impl Timer for SystemClock {
    type Alarm = SystemAlarm;

    fn alarm(&self) -> SystemAlarm {
        SystemAlarm::default()
    }

    fn set(&self, alarm: &mut SystemAlarm, at: Instant, waker: &Waker) {
        if at <= self.now() {
            cancel(alarm);
            waker.wake_by_ref();
        } else if at == Instant::MAX {
            cancel(alarm);
        } else {
            SERVER.get_or_init(start).set(&mut alarm.0, at, waker);
        }
    }

    #[inline]
    fn system_time_until(&self, until: Instant) -> Option<Duration> {
        Some(until.saturating_duration_since(self.now()))
    }
}

impl Drop for SystemAlarm {
    fn drop(&mut self) {
        cancel(self);
    }
}

fn cancel(alarm: &mut SystemAlarm) {
    if let (Some(key), Some(server)) = (alarm.0.take(), SERVER.get()) {
        server.cancel(key);
    }
}

fn start() -> Arc<Server> {
    Server::start(Sleeper::new())
}

/// What [`monotonic::nanos`] shows when the clock shows `at`.
fn reading_at(at: Instant) -> u64 {
    // ORDERING: Relaxed; as in `now`. Whoever has an instant to set an alarm for has read the clock,
    // and a timer thread that does not see the origin yet wakes too early and looks again.
    ORIGIN.load(Ordering::Relaxed).saturating_add(at.as_nanos())
}

/// Wakes tasks at instants: a list under a lock, and a thread.
struct Server {
    pending: Mutex<Pending>,
    sleeper: Sleeper,
}

struct Pending {
    alarms: Alarms,
    /// By when the thread looks at the alarms again: [`Instant::ZERO`] while it is awake, since it
    /// looks before it sleeps.
    looks_at: Instant,
}

impl Server {
    fn start(sleeper: Sleeper) -> Arc<Self> {
        let pending = Pending { alarms: Alarms::new(), looks_at: Instant::ZERO };
        let server = Arc::new(Self { pending: Mutex::new(pending), sleeper });
        let thread = thread::Builder::new().name("steadfast-timer".into());
        let served = Arc::clone(&server);
        thread
            .spawn(move || served.serve())
            .expect("the operating system refused the timer thread");
        server
    }

    /// Has `waker` woken at `at`, instead of what `alarm` was set to.
    fn set(&self, alarm: &mut Option<Key>, at: Instant, waker: &Waker) {
        let waker = waker.clone();
        let earlier = alarm.take();
        let litter = {
            let mut pending = self.pending.lock();
            let litter = earlier.and_then(|key| pending.alarms.remove(key));
            *alarm = Some(pending.alarms.insert(at, waker));
            if at < pending.looks_at {
                pending.looks_at = at;
                self.sleeper.bring_forward(reading_at(at));
            }
            litter
        };
        drop(litter);
    }

    fn cancel(&self, key: Key) {
        let litter = self.pending.lock().alarms.remove(key);
        drop(litter);
    }

    /// The thread: wakes what is due, and sleeps until the next.
    fn serve(&self) {
        let mut due = Vec::new();
        let mut pending = self.pending.lock();
        loop {
            pending.alarms.take_due(SystemClock.now(), &mut due);
            if due.is_empty() {
                let next = pending.alarms.first();
                pending.looks_at = next.unwrap_or(Instant::MAX);
                self.sleeper.sleep(&mut pending, next.map_or(FOREVER, reading_at));
                pending.looks_at = Instant::ZERO;
            } else {
                MutexGuard::unlocked(&mut pending, || {
                    for waker in due.drain(..) {
                        // A waker that panics has reported it; the others are still due.
                        let _reported = completes(|| waker.wake());
                    }
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::task::Wake;

    use super::*;

    struct Report(Sender<(&'static str, Instant)>, &'static str);

    impl Wake for Report {
        fn wake(self: Arc<Self>) {
            self.0.send((self.1, SystemClock.now())).expect("the test listens");
            assert_ne!(self.1, "panics", "as announced");
        }
    }

    fn after(duration: Duration) -> Instant {
        SystemClock.now().saturating_add(duration)
    }

    /// What a test listens to.
    struct Bells(Sender<(&'static str, Instant)>, Receiver<(&'static str, Instant)>);

    impl Bells {
        fn new() -> Self {
            let (sender, receiver) = channel();
            Self(sender, receiver)
        }

        fn waker(&self, name: &'static str) -> Waker {
            Waker::from(Arc::new(Report(self.0.clone(), name)))
        }

        /// The next that rings; a lost alarm ends the test.
        fn next(&self) -> (&'static str, Instant) {
            self.1.recv_timeout(Duration::from_secs(20)).expect("an alarm was lost")
        }

        fn silent(&self) -> bool {
            self.1.try_recv().is_err()
        }
    }

    /// A server for each way to sleep. Its thread ends with the process.
    fn servers() -> [Arc<Server>; 2] {
        [Sleeper::new(), Sleeper::parking()].map(Server::start)
    }

    impl Server {
        /// Waits until the thread sleeps with nothing before `until` to look at.
        fn falls_asleep(&self, until: Instant) {
            while self.pending.lock().looks_at != until {
                thread::yield_now();
            }
        }
    }

    #[test]
    fn alarms_ring_in_order_and_a_panicking_waker_stops_nobody() {
        let bells = Bells::new();
        let mut alarms: Vec<_> = (0..4).map(|_| SystemClock.alarm()).collect();
        SystemClock.set(&mut alarms[0], after(Duration::from_millis(30)), &bells.waker("last"));
        SystemClock.set(&mut alarms[1], after(Duration::from_millis(20)), &bells.waker("panics"));
        SystemClock.set(&mut alarms[2], after(Duration::from_secs(3_600)), &bells.waker("moved"));
        SystemClock.set(&mut alarms[2], after(Duration::from_millis(10)), &bells.waker("first"));
        SystemClock.set(&mut alarms[3], after(Duration::from_millis(15)), &bells.waker("dropped"));
        drop(alarms.pop());
        assert_eq!([(); 3].map(|()| bells.next().0), ["first", "panics", "last"]);
    }

    #[test]
    fn an_alarm_in_the_past_rings_at_once_and_one_at_the_end_of_time_never() {
        let bells = Bells::new();
        let mut alarm = SystemClock.alarm();
        SystemClock.set(&mut alarm, Instant::MAX, &bells.waker("rang"));
        assert!(bells.silent());
        SystemClock.set(&mut alarm, Instant::ZERO, &bells.waker("rang"));
        assert!(!bells.silent());
    }

    #[test]
    fn an_earlier_alarm_reaches_a_sleeping_thread_and_one_past_too() {
        for server in servers() {
            let bells = Bells::new();
            server.falls_asleep(Instant::MAX);
            let [mut last, mut later, mut soon, mut past] = [None; 4];
            // The kernel knows no such time.
            let end = Instant::from_nanos(u64::MAX - 1);
            server.set(&mut last, end, &bells.waker("last"));
            server.falls_asleep(end);
            let hour = after(Duration::from_secs(3_600));
            server.set(&mut later, hour, &bells.waker("later"));
            server.falls_asleep(hour);
            let at = after(Duration::from_millis(2));
            server.set(&mut soon, at, &bells.waker("soon"));
            let (name, rang) = bells.next();
            assert!(name == "soon" && rang >= at);
            server.falls_asleep(hour);
            // Due when it was about to be set.
            server.set(&mut past, Instant::ZERO, &bells.waker("past"));
            assert_eq!(bells.next().0, "past");
            // The former time was not forgotten for it.
            server.falls_asleep(hour);
            assert!(bells.silent());
        }
    }

    #[test]
    fn a_cancelled_alarm_is_silent_and_those_behind_it_ring() {
        for server in servers() {
            let bells = Bells::new();
            let (mut first, mut second) = (None, None);
            server.set(&mut first, after(Duration::from_millis(2)), &bells.waker("first"));
            server.set(&mut second, after(Duration::from_millis(4)), &bells.waker("second"));
            server.cancel(first.expect("it was set"));
            assert_eq!(bells.next().0, "second");
        }
    }

    #[test]
    fn of_many_alarms_set_in_any_order_each_rings_and_none_early() {
        for server in servers() {
            let bells = Bells::new();
            let start = after(Duration::from_millis(1));
            let mut times: Vec<_> = (0..300)
                .map(|k| start.saturating_add(Duration::from_micros(k * 7_919 % 5_000)))
                .collect();
            for at in &times {
                server.set(&mut None, *at, &bells.waker("one of many"));
            }
            times.sort_unstable();
            for at in times {
                assert!(bells.next().1 >= at);
            }
            assert!(bells.silent());
        }
    }

    #[test]
    fn alarms_of_many_threads_are_not_lost() {
        for server in servers() {
            thread::scope(|scope| {
                for thread in 0..4 {
                    let server = &server;
                    scope.spawn(move || {
                        let bells = Bells::new();
                        for round in 0..100 {
                            let us = (thread * 37 + round * 61) % 150;
                            let at = after(Duration::from_micros(us));
                            server.set(&mut None, at, &bells.waker("mine"));
                            assert!(bells.next().1 >= at);
                        }
                    });
                }
            });
        }
    }
}
