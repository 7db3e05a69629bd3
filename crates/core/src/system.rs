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

static ALARMS: Mutex<Alarms> = Mutex::new(Alarms::new());
static SERVER: OnceLock<Thread> = OnceLock::new();

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
        let earlier = alarm.0.take();
        if at <= self.now() {
            cancel(earlier);
            waker.wake_by_ref();
            return;
        }
        let new = (at != Instant::MAX).then(|| waker.clone());
        let (litter, first) = {
            let mut alarms = ALARMS.lock();
            let litter = earlier.and_then(|key| alarms.remove(key));
            let before = alarms.first();
            alarm.0 = new.map(|waker| alarms.insert(at, waker));
            (litter, alarm.0.is_some() && before.is_none_or(|before| at < before))
        };
        drop(litter);
        if first {
            SERVER.get_or_init(start).unpark();
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
    let litter = key.and_then(|key| ALARMS.lock().remove(key));
    drop(litter);
}

fn start() -> Thread {
    let thread = thread::Builder::new().name("steadfast-timer".into()).spawn(serve);
    thread.expect("the operating system refused the timer thread").thread().clone()
}

/// The thread: wakes what is due, sleeps until the next, is unparked when an earlier one comes.
fn serve() {
    let mut due = Vec::new();
    loop {
        let next = {
            let mut alarms = ALARMS.lock();
            alarms.take_due(SystemClock.now(), &mut due);
            alarms.first()
        };
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
