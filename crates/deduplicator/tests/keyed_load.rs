//! Many threads at few ids, with claims that are dropped, leaked, late, and lost in panics: the work of each
//! id is committed once a TTL all the same.
#![cfg(all(feature = "std", not(loom)))]
#![allow(missing_docs, reason = "tests")]

use std::collections::BTreeMap;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use steadfast_core::{Instant, ManualClock};
use steadfast_deduplicator::{
    AcquireError, Acquired, Claim, Claims, Config, Duplicate, SipKeys, TryAcquireError,
};

const THREADS: u64 = 8;
const OPERATIONS: u64 = 20_000;
const IDS: u64 = 50;
const TTL: Duration = Duration::from_millis(40);
const LEASE: Duration = Duration::from_millis(20);
const MAX_CLAIMS: u32 = 40;

type Keyed = Claims<Value, ManualClock>;

/// Which commit it is of, and something that says how many there are.
struct Value {
    serial: u64,
    _alive: Arc<()>,
}

/// Which commit was seen when.
type Commits = Mutex<BTreeMap<Instant, u64>>;

struct Load {
    claims: Keyed,
    clock: ManualClock,
    commits: Vec<Commits>,
    serial: AtomicU64,
    committed: AtomicU64,
    duplicates: AtomicU64,
    alive: Arc<()>,
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % limit
    }
}

impl Load {
    fn new() -> Self {
        let clock = ManualClock::new();
        let config = Config::new(1_000).ttl(TTL).lease(LEASE).max_claims(MAX_CLAIMS);
        let claims = config.claims_with(clock.clone(), SipKeys::from_seed(1)).unwrap();
        Self {
            claims,
            clock,
            commits: (0..IDS).map(|_| Commits::default()).collect(),
            serial: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            alive: Arc::new(()),
        }
    }

    /// One commit a moment.
    fn saw(&self, id: u64, duplicate: &Duplicate<Value>) {
        let serial = duplicate.value.as_ref().expect("all are committed with one").serial;
        let at = usize::try_from(id).unwrap();
        let known =
            *self.commits[at].lock().unwrap().entry(duplicate.committed_at).or_insert(serial);
        assert_eq!(known, serial, "id {id} was committed twice at once");
    }

    fn commits(&self, id: u64, claim: Claim<&Keyed>) {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let value = Value { serial, _alive: Arc::clone(&self.alive) };
        if claim.commit_with(value).is_ok() {
            self.committed.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(duplicate) = self.claims.peek(&id) {
            self.saw(id, &duplicate);
        }
    }

    fn works(&self, id: u64, mut claim: Claim<&Keyed>, random: &mut Random) {
        match random.below(100) {
            0..=59 => self.commits(id, claim),
            60..=79 => drop(claim),
            80..=81 => mem::forget(claim),
            82..=83 => {
                let work = AssertUnwindSafe(|| {
                    let _claim = claim;
                    // Without a report.
                    resume_unwind(Box::new(()));
                });
                assert!(catch_unwind(work).is_err());
            }
            84..=89 => {
                // Late, unless nobody else has asked.
                self.clock.advance(LEASE);
                self.commits(id, claim);
            }
            90..=94 => {
                if claim.extend().is_ok() {
                    self.commits(id, claim);
                }
            }
            _ => {
                thread::yield_now();
                self.commits(id, claim);
            }
        }
    }

    fn got(&self, id: u64, acquired: Acquired<&Keyed>, random: &mut Random) {
        match acquired {
            Acquired::Claim(claim) => self.works(id, claim, random),
            Acquired::Duplicate(duplicate) => {
                self.duplicates.fetch_add(1, Ordering::Relaxed);
                self.saw(id, &duplicate);
            }
        }
    }

    fn operates(&self, random: &mut Random) {
        let id = random.below(IDS);
        match random.below(40) {
            0..=35 => match self.claims.try_acquire(&id) {
                Ok(acquired) => self.got(id, acquired, random),
                Err(TryAcquireError::InFlight { .. }) => {}
                Err(error) => assert_eq!(error, TryAcquireError::Full { max_claims: MAX_CLAIMS }),
            },
            kind => {
                let wait = self.claims.acquire(&id);
                let wait = if kind == 39 { wait } else { wait.timeout(LEASE / 2) };
                match wait.wait() {
                    Ok(acquired) => self.got(id, acquired, random),
                    Err(AcquireError::TimedOut) => assert_ne!(kind, 39),
                    Err(error) => assert_eq!(error, AcquireError::Full { max_claims: MAX_CLAIMS }),
                }
            }
        }
    }
}

#[test]
fn the_work_of_each_id_is_committed_once_a_ttl() {
    let load = Load::new();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let threads: Vec<_> = (1..=THREADS)
            .map(|seed| {
                let load = &load;
                scope.spawn(move || {
                    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                    (0..OPERATIONS).for_each(|_| load.operates(&mut random));
                })
            })
            .collect();
        let ticker = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                load.clock.advance(Duration::from_micros(100));
                thread::yield_now();
            }
        });
        let results: Vec<_> = threads.into_iter().map(thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::Relaxed);
        ticker.join().unwrap();
        assert!(results.iter().all(Result::is_ok));
    });

    let Load { claims, clock, commits, committed, duplicates, alive, .. } = load;
    for (id, commits) in commits.into_iter().enumerate() {
        let times: Vec<_> = commits.into_inner().unwrap().into_keys().collect();
        for two in times.windows(2) {
            let apart = two[1].saturating_duration_since(two[0]);
            assert!(apart >= TTL, "id {id} was committed {apart:?} after it was");
        }
    }
    let stats = claims.stats();
    assert_eq!((stats.fresh, stats.evicted), (committed.into_inner(), 0));
    assert_eq!(stats.duplicates, duplicates.into_inner());
    assert!(stats.fresh > IDS && stats.duplicates > IDS);

    // Those that were leaked can be had again, and then nothing is left.
    clock.advance(LEASE + TTL);
    for id in 0..IDS {
        assert!(claims.try_acquire(&id).unwrap().claim().is_some());
    }
    assert_eq!(claims.in_flight(), 0, "C3");
    assert!(claims.is_empty());
    claims.clear();
    assert_eq!(Arc::strong_count(&alive), 1, "no value is kept");
}
