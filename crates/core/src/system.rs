//! The operating system's monotonic clock, and the one thread that serves its alarms.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::thread::{self, Thread};
use std::time::Duration;
use std::vec::Vec;

use parking_lot::Mutex;

use crate::alarms::{Alarms, Key};
use crate::monotonic;
use crate::time::{Clock, Instant, SystemClock, Timer};
use crate::unwind::completes;

/// A pending call-back of the [`SystemClock`].
#[derive(Debug, Default)]
pub struct SystemAlarm(Option<Key>);

/// What the thread serves.
struct Pending {
    alarms: Alarms,
    /// When the thread looks next, if nobody unparks it: whoever sets an alarm for later than that
    /// need not.
    looks_at: Instant,
}

static PENDING: Mutex<Pending> =
    Mutex::new(Pending { alarms: Alarms::new(), looks_at: Instant::ZERO });
static SERVER: OnceLock<Thread> = OnceLock::new();

/// The first reading, less one, so that 0 can stand for "not read yet". The coarse clock's, if that was
/// read first.
static ORIGIN: AtomicU64 = AtomicU64::new(0);

impl Clock for SystemClock {
    #[inline]
    fn now(&self) -> Instant {
        since_origin(monotonic::nanos())
    }
}

/// The instant of a reading.
#[inline]
pub(crate) fn since_origin(reading: u64) -> Instant {
    // ORDERING: Relaxed; the origin is one number, and whoever sets it publishes nothing else.
    let origin = match ORIGIN.load(Ordering::Relaxed) {
        0 => first_use(reading),
        origin => origin,
    };
    Instant::from_nanos(reading.saturating_sub(origin))
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
        let earlier = alarm.0.take();
        if at <= self.now() {
            cancel(earlier);
            waker.wake_by_ref();
            return;
        }
        if at == Instant::MAX {
            cancel(earlier);
            return;
        }
        let new = waker.clone();
        let server = SERVER.get_or_init(start);
        let (litter, unseen) = {
            let mut pending = PENDING.lock();
            let litter = earlier.and_then(|key| pending.alarms.remove(key));
            alarm.0 = Some(pending.alarms.insert(at, new));
            (litter, pending.has_to_look(at))
        };
        drop(litter);
        if unseen {
            server.unpark();
        }
    }

    #[inline]
    fn system_time_until(&self, until: Instant) -> Option<Duration> {
        Some(until.saturating_duration_since(self.now()))
    }
}

impl Drop for SystemAlarm {
    fn drop(&mut self) {
        cancel(self.0.take());
    }
}

fn cancel(key: Option<Key>) {
    let litter = key.and_then(|key| PENDING.lock().alarms.remove(key));
    drop(litter);
}

fn start() -> Thread {
    let thread = thread::Builder::new().name("steadfast-timer".into()).spawn(serve);
    thread.expect("the operating system refused the timer thread").thread().clone()
}

impl Pending {
    /// Whether the thread has to be unparked to see an alarm at `at`. Then it will look at once, and
    /// nobody else needs to unpark it before it has.
    fn has_to_look(&mut self, at: Instant) -> bool {
        let unseen = at < self.looks_at;
        if unseen {
            self.looks_at = Instant::ZERO;
        }
        unseen
    }

    /// Takes what is due at `now`, and says when the next is.
    fn take_due(&mut self, now: Instant, due: &mut Vec<Waker>) -> Option<Instant> {
        self.alarms.take_due(now, due);
        let first = self.alarms.first();
        // Whoever has wakers to wake comes back before it parks.
        let parks_until = first.unwrap_or(Instant::MAX);
        self.looks_at = if due.is_empty() { parks_until } else { Instant::ZERO };
        first
    }
}

/// The thread: wakes what is due, sleeps until the next, is unparked when an earlier one comes.
fn serve() {
    let mut due = Vec::new();
    loop {
        let next = PENDING.lock().take_due(SystemClock.now(), &mut due);
        if due.is_empty() {
            match next {
                // An alarm set since the lock was released has unparked this thread already, and an
                // unpark is kept for the next park: it returns at once.
                Some(next) => {
                    thread::park_timeout(next.saturating_duration_since(SystemClock.now()));
                }
                None => thread::park(),
            }
        }
        for waker in due.drain(..) {
            // A waker that panics has reported it; the others are still due.
            let _reported = completes(|| waker.wake());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel};
    use std::task::Wake;

    use super::*;

    struct Report(Sender<&'static str>, &'static str);

    impl Wake for Report {
        fn wake(self: Arc<Self>) {
            self.0.send(self.1).expect("the test listens");
            assert_ne!(self.1, "panics", "as announced");
        }
    }

    fn after(duration: Duration) -> Instant {
        SystemClock.now().saturating_add(duration)
    }

    #[test]
    fn alarms_ring_in_order_and_a_panicking_waker_stops_nobody() {
        let (sender, rung) = channel();
        let waker = |name| Waker::from(Arc::new(Report(sender.clone(), name)));
        let mut alarms: Vec<_> = (0..4).map(|_| SystemClock.alarm()).collect();
        SystemClock.set(&mut alarms[0], after(Duration::from_millis(30)), &waker("last"));
        SystemClock.set(&mut alarms[1], after(Duration::from_millis(20)), &waker("panics"));
        SystemClock.set(&mut alarms[2], after(Duration::from_secs(3_600)), &waker("moved"));
        SystemClock.set(&mut alarms[2], after(Duration::from_millis(10)), &waker("first"));
        SystemClock.set(&mut alarms[3], after(Duration::from_millis(15)), &waker("dropped"));
        drop(alarms.pop());
        let order: Vec<_> = rung.iter().take(3).collect();
        assert_eq!(order, ["first", "panics", "last"]);
    }

    #[test]
    fn an_alarm_that_is_moved_to_later_hides_none_before_it() {
        let (sender, rung) = channel();
        let waker = |name| Waker::from(Arc::new(Report(sender.clone(), name)));
        let (mut moved, mut other) = (SystemClock.alarm(), SystemClock.alarm());
        for _ in 0..20 {
            SystemClock.set(&mut moved, after(Duration::from_millis(2)), &waker("too early"));
            SystemClock.set(&mut moved, after(Duration::from_secs(3_600)), &waker("later"));
            SystemClock.set(&mut other, after(Duration::from_millis(3)), &waker("before it"));
            assert_eq!(rung.recv(), Ok("before it"));
        }
    }

    #[test]
    fn an_alarm_in_the_past_rings_at_once_and_one_at_the_end_of_time_never() {
        let (sender, rung) = channel();
        let waker = Waker::from(Arc::new(Report(sender, "rang")));
        let mut alarm = SystemClock.alarm();
        SystemClock.set(&mut alarm, Instant::MAX, &waker);
        assert!(rung.try_recv().is_err());
        SystemClock.set(&mut alarm, Instant::ZERO, &waker);
        assert_eq!(rung.try_recv(), Ok("rang"));
    }
}
