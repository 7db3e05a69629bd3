//! What a tracker is to believe, how much it remembers, and when to ask again for what is missing.

use steadfast_backoff::Policy;

use crate::gaps::Gap;
use crate::state::State;
#[cfg(feature = "alloc")]
use crate::state::{Heap, Notes};
use crate::width::Width;

/// How many gaps a tracker on the heap remembers unless something else is said.
const DEFAULT_GAPS: u32 = 256;
/// The most gaps that a tracker can remember.
pub const MAX_GAPS: u32 = 65_536;

/// The configuration of a tracker, and its builder.
///
/// Without settings: 64-bit numbers that begin with whatever comes first, every jump is believed, 256
/// gaps, nothing is requested again, and no gap is too large to be filled.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use steadfast_sequence_tracker::{Config, Width};
///
/// // RTP, as RFC 3550 recommends it.
/// let rtp = Config::new().width(Width::U16).max_jump(3_000).max_late(100);
///
/// // An exchange's feed: ask again after 5 ms, twice; a hole of 1,000 wants a snapshot.
/// let delays = steadfast_backoff::Config::exponential(Duration::from_millis(5)).max_retries(2);
/// let feed = Config::new().starts_at(1).request(delays).resync_at(1_000);
/// # rtp.terms()?;
/// # feed.terms()?;
/// # Ok::<(), steadfast_sequence_tracker::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "crate::data::Data", into = "crate::data::Data"))]
#[must_use = "a configuration does nothing until it is built"]
pub struct Config {
    pub(crate) width: Width,
    pub(crate) starts_at: Option<u64>,
    pub(crate) max_jump: Option<u64>,
    pub(crate) max_late: Option<u64>,
    pub(crate) max_gaps: u32,
    pub(crate) request: Option<steadfast_backoff::Config>,
    pub(crate) resync_at: Option<u64>,
}

/// A checked [`Config`]: what the pure machine is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    pub(crate) width: Width,
    pub(crate) starts_at: Option<u64>,
    /// `u64::MAX`: every jump is believed.
    pub(crate) max_jump: u64,
    pub(crate) max_late: u64,
    pub(crate) max_gaps: u32,
    pub(crate) request: Option<Policy>,
    pub(crate) resync_at: Option<u64>,
}

impl Terms {
    /// Whether a gap of so many numbers is not worth filling.
    pub(crate) fn wants_resync(&self, len: u64) -> bool {
        self.resync_at.is_some_and(|missing| len >= missing)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// 64-bit numbers, and all defaults.
    pub const fn new() -> Self {
        Self {
            width: Width::U64,
            starts_at: None,
            max_jump: None,
            max_late: None,
            max_gaps: DEFAULT_GAPS,
            request: None,
            resync_at: None,
        }
    }

    /// How many bits a number has on the wire. Narrower ones than 64 bits wrap, and mean the nearest
    /// number to the right edge.
    pub const fn width(mut self, width: Width) -> Self {
        self.width = width;
        self
    }

    /// The number that has to come first: if a later one does, what is before it is missing.
    ///
    /// Without it, the first number that comes is the first.
    pub const fn starts_at(mut self, first: u64) -> Self {
        self.starts_at = Some(first);
        self
    }

    /// A number that is further than this above the right edge is not believed at once: it is a suspect,
    /// and the stream restarts there if the number after it comes as well (RFC 3550, A.1). A range is as
    /// far away as its last number, and what is [announced](crate::State::announce) has to be believed,
    /// too.
    ///
    /// There is one suspect at a time, and it does not expire: the next one takes its place, and a
    /// restart, a reset or a snapshot ends it.
    pub const fn max_jump(mut self, jump: u64) -> Self {
        self.max_jump = Some(jump);
        self
    }

    /// The same for a number that is further than this below the right edge, unless it is missing: the
    /// sender may have begun anew. At least 1, and more than copies come late: those of two numbers in a
    /// row would be a restart.
    ///
    /// Before the first number, it counts from where the stream [starts](Config::starts_at). Numbers that
    /// wrap go on below 0 before the first turn: of 16 bits, 65,535 is 6 below 5. Those are late like any
    /// other, and suspects if they are too late. Without this setting nothing is: a sender who begins anew
    /// below the right edge is not believed until he comes to it.
    pub const fn max_late(mut self, late: u64) -> Self {
        self.max_late = Some(late);
        self
    }

    /// How many gaps it remembers: 1 to [`MAX_GAPS`]. When there is one more, the lowest is abandoned,
    /// and the answer says so. It takes 48 bytes a gap.
    ///
    /// Filling one in the middle moves half of the list at most, and opening one when it is full all of
    /// it: with 256 gaps that is next to nothing, with 65,536 it is 3 MB.
    pub const fn max_gaps(mut self, gaps: u32) -> Self {
        self.max_gaps = gaps;
        self
    }

    /// When to [request](crate::State::due) what is missing: after the first of these delays, and
    /// again after the next, for as many times as they have retries. A gap that is still open after the
    /// last one's delay is given up; so is one that is older than `max_elapsed`.
    pub const fn request(mut self, delays: steadfast_backoff::Config) -> Self {
        self.request = Some(delays);
        self
    }

    /// A gap of at least so many numbers is not worth filling: fetch a snapshot. See
    /// [`needs_resync`](crate::State::needs_resync).
    pub const fn resync_at(mut self, missing: u64) -> Self {
        self.resync_at = Some(missing);
        self
    }

    /// The checked numbers.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names what was given and what is allowed.
    pub const fn terms(&self) -> Result<Terms, ConfigError> {
        let max = self.width.max();
        if let Some(first) = self.starts_at {
            if first > max {
                return Err(ConfigError::StartOutOfRange { first, max });
            }
        }
        // Half of all numbers is as far as a number can be from the edge.
        let most = if self.width.bits() == 64 { u64::MAX } else { max / 2 };
        let max_jump = match self.max_jump {
            Some(jump) if jump == 0 || jump > most => {
                return Err(ConfigError::JumpOutOfRange { jump, max: most });
            }
            Some(jump) => jump,
            None => u64::MAX,
        };
        let max_late = match self.max_late {
            Some(late) if late == 0 || late > most => {
                return Err(ConfigError::LateOutOfRange { late, max: most });
            }
            Some(late) => late,
            None => u64::MAX,
        };
        if self.max_gaps == 0 || self.max_gaps > MAX_GAPS {
            return Err(ConfigError::GapsOutOfRange { gaps: self.max_gaps, max: MAX_GAPS });
        }
        let request = match self.request {
            Some(delays) => match delays.build() {
                Ok(policy) => Some(policy),
                Err(error) => return Err(ConfigError::Request(error)),
            },
            None => None,
        };
        if let Some(0) = self.resync_at {
            return Err(ConfigError::ZeroResync);
        }
        let Self { width, starts_at, max_gaps, resync_at, .. } = *self;
        Ok(Terms { width, starts_at, max_jump, max_late, max_gaps, request, resync_at })
    }

    /// The pure machine, with its gaps on the heap.
    ///
    /// # Errors
    ///
    /// If there can be no such tracker.
    #[cfg(feature = "alloc")]
    pub fn state(self) -> Result<State, ConfigError> {
        self.state_with(())
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn state_with<N: Notes>(self, notes: N) -> Result<State<Heap, N>, ConfigError> {
        let terms = self.terms()?;
        // OK: at most 65,536.
        let gaps = (0..terms.max_gaps).map(|_| Gap::EMPTY).collect();
        Ok(State::with_terms(terms, gaps, notes))
    }

    /// The pure machine, with its gaps in memory of yours: an array or a slice of
    /// [`Gap::EMPTY`]. `max_gaps` is not looked at: there are as many as there are places.
    ///
    /// # Errors
    ///
    /// If there can be no such tracker.
    pub fn state_in<S>(self, gaps: S) -> Result<State<S>, ConfigError>
    where
        S: AsRef<[Gap]> + AsMut<[Gap]>,
    {
        let most = u32::try_from(gaps.as_ref().len()).unwrap_or(u32::MAX);
        let terms = self.max_gaps(most).terms()?;
        Ok(State::with_terms(terms, gaps, ()))
    }
}

/// Why there can be no such tracker or width.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No such width.
    #[error("numbers of {bits} bits: give 2 to 64")]
    WidthOutOfRange {
        /// What was given.
        bits: u32,
    },
    /// The first number is none of the width.
    #[error("starts at {first}: give at most {max}, the largest number of that width")]
    StartOutOfRange {
        /// What was given.
        first: u64,
        /// The largest number of the width.
        max: u64,
    },
    /// Nothing, or more than half of all numbers, can be no jump.
    #[error("a jump of {jump}: give at least 1, and at most {max}, half of all numbers")]
    JumpOutOfRange {
        /// What was given.
        jump: u64,
        /// The most that it may be.
        max: u64,
    },
    /// What is not late at all, or by more than half of all numbers, cannot be too late.
    #[error("{late} numbers late: give at least 1, and at most {max}, half of all numbers")]
    LateOutOfRange {
        /// What was given.
        late: u64,
        /// The most that it may be.
        max: u64,
    },
    /// No gaps, or too many.
    #[error("{gaps} gaps: give 1 to {max}")]
    GapsOutOfRange {
        /// What was given.
        gaps: u32,
        /// The most that it may be.
        max: u32,
    },
    /// When to request what is missing.
    #[error("requests that cannot be repeated so: {0}")]
    Request(#[source] steadfast_backoff::ConfigError),
    /// Everything would want a snapshot.
    #[error("resync at a gap of 0: give at least 1")]
    ZeroResync,
}
