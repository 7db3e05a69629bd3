//! How the timer thread sleeps: until an instant that others may move forward while it does.
//!
//! A [`Sleeper`] works beside a lock, which guards what there is to wake up for. The thread goes to
//! sleep with the lock held, which is released while it sleeps; whoever brings its time forward holds
//! the lock too. So nobody can come in between what the thread saw last and its sleep, and of two who
//! bring the time forward the earlier one wins, if each of them compares under the lock.
//!
//! Times are readings of [`monotonic::nanos`](crate::monotonic::nanos), and [`FOREVER`] is none.
//!
//! | system | the thread sleeps in | its time is brought forward by |
//! |---|---|---|
//! | Linux | `read` of a `timerfd` | setting the timer: the thread sleeps on |
//! | Linux, if there is no `timerfd` to be had | a condition variable | waking the thread, which sleeps again |
//! | others | a condition variable | as above |

#[cfg(target_os = "linux")]
pub(crate) use self::linux::Sleeper;
#[cfg(not(target_os = "linux"))]
pub(crate) use self::parking::Sleeper;

/// Until somebody brings the time forward.
pub(crate) const FOREVER: u64 = u64::MAX;

#[cfg(target_os = "linux")]
mod linux {
    use parking_lot::MutexGuard;

    use super::parking;
    use super::timerfd::TimerFd;

    /// A timer of the kernel's, or a condition variable if the process can have none.
    pub(crate) enum Sleeper {
        Timer(TimerFd),
        Parking(parking::Sleeper),
    }

    impl Sleeper {
        /// The best that the system has.
        pub(crate) fn new() -> Self {
            TimerFd::new().map_or_else(|_| Self::parking(), Self::Timer)
        }

        /// What works everywhere.
        pub(crate) fn parking() -> Self {
            Self::Parking(parking::Sleeper::parking())
        }

        /// Releases the lock and sleeps until `until`, or what it is brought forward to. May return
        /// early.
        pub(crate) fn sleep<T>(&self, guard: &mut MutexGuard<'_, T>, until: u64) {
            match self {
                Self::Timer(timer) => timer.sleep(guard, until),
                Self::Parking(parking) => parking.sleep(guard, until),
            }
        }

        /// Brings the time of a sleeping thread forward to `until`. Call it with the lock held.
        pub(crate) fn bring_forward(&self, until: u64) {
            match self {
                Self::Timer(timer) => timer.set(until),
                Self::Parking(parking) => parking.bring_forward(until),
            }
        }
    }
}

#[cfg(target_os = "linux")]
mod timerfd {
    use parking_lot::MutexGuard;
    use rustix::fd::OwnedFd;
    use rustix::io;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    use super::FOREVER;

    /// How long after the time asked for the timer expires: the slack that the kernel gives a thread
    /// that sleeps, and a `timerfd` not. What falls due meanwhile is served at the same wake-up.
    const SLACK_NS: u64 = 50_000;

    /// A timer that a thread reads, which blocks it until the timer expires.
    ///
    /// Setting it forgets that it has expired. But while the thread sleeps it is only ever set to
    /// something earlier: if the former time has come, then so has the new one.
    pub(crate) struct TimerFd(OwnedFd);

    impl TimerFd {
        /// Fails if the process has no descriptor left, or a sandbox forbids one of the calls: each
        /// of them is tried here.
        pub(crate) fn new() -> io::Result<Self> {
            let timer = Self(timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?);
            timer.try_set(0)?;
            timer.try_read()?;
            Ok(timer)
        }

        pub(crate) fn sleep<T>(&self, guard: &mut MutexGuard<'_, T>, until: u64) {
            // Otherwise the timer has expired and is off. If it is not, because what it was set for was
            // cancelled, the thread wakes once for nothing, which is cheaper than switching it off.
            if until != FOREVER {
                self.set(until);
            }
            let read = MutexGuard::unlocked(guard, || self.try_read());
            read.expect("nobody closes the timer's descriptor");
        }

        pub(crate) fn set(&self, until: u64) {
            self.try_set(until.saturating_add(SLACK_NS))
                .expect("nobody closes the timer's descriptor");
        }

        fn try_set(&self, until: u64) -> io::Result<()> {
            let it_value = timespec(until);
            let value = Itimerspec { it_interval: Timespec::default(), it_value };
            timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &value).map(drop)
        }

        fn try_read(&self) -> io::Result<()> {
            match io::read(&self.0, &mut [0; size_of::<u64>()]) {
                // A signal: the thread looks again, as after any wake-up.
                Ok(_) | Err(io::Errno::INTR) => Ok(()),
                Err(error) => Err(error),
            }
        }
    }

    /// A time for the kernel, to which zero means to switch the timer off, and which on 32-bit systems
    /// may know no more seconds than an `i32` has.
    #[expect(clippy::cast_possible_wrap, reason = "a u64 has 18 thousand million seconds")]
    fn timespec(nanos: u64) -> Timespec {
        const LONGEST: u64 = i32::MAX as u64;
        let nanos = nanos.clamp(1, LONGEST * 1_000_000_000);
        Timespec {
            tv_sec: (nanos / 1_000_000_000) as _,
            // OK: less than 10^9.
            tv_nsec: (nanos % 1_000_000_000) as _,
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn no_time_switches_the_timer_off_and_none_overflows() {
            let parts = |nanos| (timespec(nanos).tv_sec, timespec(nanos).tv_nsec);
            assert_eq!(parts(0), (0, 1));
            assert_eq!(parts(1), (0, 1));
            assert_eq!(parts(5_000_000_007), (5, 7));
            assert_eq!(parts(u64::MAX - 1), (i64::from(i32::MAX), 0));
        }
    }
}

mod parking {
    use std::time::Duration;

    use parking_lot::{Condvar, MutexGuard};

    use super::FOREVER;
    use crate::monotonic;

    /// A condition variable.
    pub(crate) struct Sleeper(Condvar);

    impl Sleeper {
        /// The best that the system has.
        #[cfg(not(target_os = "linux"))]
        pub(crate) fn new() -> Self {
            Self::parking()
        }

        /// What works everywhere.
        pub(crate) fn parking() -> Self {
            Self(Condvar::new())
        }

        /// Releases the lock and sleeps until `until`, or until it is brought forward. May return
        /// early.
        pub(crate) fn sleep<T>(&self, guard: &mut MutexGuard<'_, T>, until: u64) {
            if until == FOREVER {
                self.0.wait(guard);
            } else {
                let left = until.saturating_sub(monotonic::nanos());
                self.0.wait_for(guard, Duration::from_nanos(left));
            }
        }

        /// Wakes a sleeping thread, which has to look until when it may sleep now. Call it with the
        /// lock held.
        pub(crate) fn bring_forward(&self, _until: u64) {
            self.0.notify_one();
        }
    }
}
