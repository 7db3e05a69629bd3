//! The deduplicator: every id is fresh once, and committed once; claims are exclusive, and all places come
//! back.
//!
//! While the clock is still no lease ends, so that an id has one holder. In chaos leases end under their
//! holders: then two may have claimed an id, and still one commits it.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use steadfast_core::ManualClock;
use steadfast_deduplicator::{
    Acquire, AcquireError, Acquired, Claim, Claims, Config, Deduplicator, SipKeys,
};

use crate::laws::Tally;
use crate::subject::{Subject, Work};
use crate::weather::{Chaos, Weather};
use crate::worker::{Held, Worker};

type Keyed = Claims<u64, ManualClock, SipKeys>;

/// Ids of one turn; the window has room for all of them, so that none is forgotten.
const IDS: usize = 1 << 16;
/// Workers ask for one of the last so many ids, and meet there.
const CLOSE: u64 = 8;
const MAX_CLAIMS: u32 = 8;

/// What became of an id, in its bits.
const HELD: u8 = 1;
const TO_BE_COMMITTED: u8 = 2;
const COMMITTED: u8 = 4;
const SEEN: u8 = 8;

pub(crate) struct DedupSoak {
    claims: Arc<Keyed>,
    seen: Deduplicator<ManualClock, SipKeys>,
    chaos: Chaos,
    tally: Arc<Tally>,
    weather: Mutex<Weather>,
    held: Held,
    /// The number of ids of this turn so far, and what became of each.
    next: AtomicU64,
    ids: Vec<AtomicU8>,
}

impl DedupSoak {
    pub(crate) fn new(tally: Arc<Tally>, random: &mut Rng) -> Self {
        let chaos = Chaos::new();
        let config = Config::new(2 * IDS)
            .shards(1 << random.u8(..3))
            .lease(Duration::from_millis(100))
            .max_claims(MAX_CLAIMS);
        let keys = SipKeys::from_seed(random.u64(..));
        let seen = config.build_with(chaos.clock.clone(), keys).expect("valid");
        let claims = config.claims_with(chaos.clock.clone(), keys).expect("valid");
        Self {
            claims: Arc::new(claims),
            seen,
            chaos,
            tally,
            weather: Mutex::new(Weather::Still),
            held: Held::default(),
            next: AtomicU64::new(0),
            ids: (0..IDS).map(|_| AtomicU8::new(0)).collect(),
        }
    }

    fn weather(&self) -> Weather {
        *self.weather.lock().expect("nobody panics with it")
    }

    /// Sets bits of an id. Those that were set before.
    fn set(&self, id: u64, bits: u8) -> u8 {
        self.slot(id).fetch_or(bits, SeqCst)
    }

    fn clear(&self, id: u64, bits: u8) {
        self.slot(id).fetch_and(!bits, SeqCst);
    }

    fn slot(&self, id: u64) -> &AtomicU8 {
        &self.ids[usize::try_from(id).expect("an index")]
    }

    fn with(&self, bit: u8) -> usize {
        self.ids.iter().filter(|id| id.load(SeqCst) & bit != 0).count()
    }

    /// One of the newest ids, or another one.
    fn id(&self, random: &mut Rng) -> u64 {
        let next = if random.u8(..16) == 0 {
            self.next.fetch_add(1, SeqCst)
        } else {
            self.next.load(SeqCst)
        };
        next.saturating_sub(random.u64(..CLOSE)).min(IDS as u64 - 1)
    }

    fn see(&self, id: u64) {
        let is_fresh = self.seen.insert(&id).is_fresh();
        let was_fresh = if is_fresh { self.set(id, SEEN) & SEEN != 0 } else { false };
        self.tally.law(!was_fresh, || format!("id {id} was fresh twice"));
    }

    async fn step(&self, worker: &mut Worker, weather: Weather) {
        let id = self.id(&mut worker.random);
        self.see(id);
        let acquired = if worker.random.u8(..4) == 0 {
            Acquired::try_new(Arc::clone(&self.claims), &id).ok()
        } else {
            let mut wait = Acquire::new(Arc::clone(&self.claims), &id);
            if weather == Weather::Chaos && worker.random.bool() {
                wait = wait.timeout(Duration::from_micros(worker.random.u64(..20_000)));
            }
            match worker.end(wait).await {
                None => return,
                Some(Err(AcquireError::TimedOut)) => return self.tally.timed_out.one(),
                Some(answer) => answer.ok(),
            }
        };
        match acquired {
            None => self.tally.refused.one(),
            Some(Acquired::Duplicate(duplicate)) => {
                let value = duplicate.value.as_deref().copied();
                self.tally.law(value == Some(id), || format!("id {id} gave {value:?}"));
                let bits = self.slot(id).load(SeqCst);
                self.tally.law(bits & TO_BE_COMMITTED != 0, || {
                    format!("id {id} is a duplicate, and nobody committed it")
                });
            }
            Some(Acquired::Claim(claim)) => {
                self.tally.granted.one();
                return self.use_claim(id, claim, worker, weather).await;
            }
        }
        worker.rest().await;
    }

    async fn use_claim(
        &self,
        id: u64,
        claim: Claim<Arc<Keyed>>,
        worker: &mut Worker,
        weather: Weather,
    ) {
        if weather == Weather::Still {
            let bits = self.set(id, HELD);
            self.tally.law(bits & (HELD | COMMITTED) == 0, || {
                format!("id {id} was claimed while held or after its commit ({bits:b})")
            });
            let held = self.held.add(1);
            self.tally.law(held <= u64::from(MAX_CLAIMS), || format!("{held} claims are held"));
        }
        worker.hold().await;
        let is_committed = worker.random.bool();
        let panics = worker.random.u8(..16) == 0;
        if weather == Weather::Still {
            self.held.sub(1);
            self.clear(id, HELD);
        }
        if is_committed {
            self.set(id, TO_BE_COMMITTED);
            let committed = claim.commit_with(id).is_ok();
            if committed {
                let bits = self.set(id, COMMITTED);
                self.tally.law(bits & COMMITTED == 0, || format!("id {id} was committed twice"));
            }
            self.tally.law(committed || weather == Weather::Chaos, || {
                format!("the claim on id {id} was lost, and no time has passed")
            });
        } else if panics {
            worker.panic_with(claim);
        } else {
            drop(claim);
        }
    }
}

impl Subject for DedupSoak {
    fn begin(&self, weather: Weather) {
        self.claims.clear();
        self.seen.clear();
        self.chaos.forward(Duration::from_secs(7_200), |_| {});
        self.held.set(0);
        self.next.store(0, SeqCst);
        for id in &self.ids {
            id.store(0, SeqCst);
        }
        *self.weather.lock().expect("nobody panics with it") = weather;
    }

    fn work(self: Arc<Self>, mut worker: Worker) -> Work {
        Box::pin(async move {
            let weather = self.weather();
            while worker.goes_on() {
                self.step(&mut worker, weather).await;
            }
        })
    }

    fn disturb(&self, random: &mut Rng) {
        self.chaos.step(random, |_| {});
        let in_flight = self.claims.in_flight();
        self.tally.law(in_flight <= MAX_CLAIMS, || format!("{in_flight} claims are held"));
    }

    fn release(&self) {
        self.chaos.end_sleeps(|_| {});
    }

    fn settle(&self) {
        let in_flight = self.claims.in_flight();
        self.tally.law(in_flight == 0, || format!("{in_flight} places did not come back"));
        let (remembered, committed) = (self.claims.len(), self.with(COMMITTED));
        self.tally.law(remembered == committed, || {
            format!("{committed} ids were committed, {remembered} are remembered")
        });
        let (remembered, seen) = (self.seen.len(), self.with(SEEN));
        self.tally.law(remembered == seen, || format!("{seen} ids seen, {remembered} remembered"));
    }
}
