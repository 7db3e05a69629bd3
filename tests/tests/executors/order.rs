//! Who is served next, and who is not.

use std::sync::mpsc::TryRecvError;
use std::sync::{Arc, Mutex};

use steadfast::ManualClock;
use steadfast_sequence_tracker::{Acquire, Config};

use crate::crowd::{CROWD, Crowd, Kind, One, each_of_four};
use crate::watched;

each_of_four! {
    in_order: are_given_in_the_order_of_asking_to_all_executors;
    newcomer: are_not_given_to_a_newcomer_while_any_executor_waits;
}

fn in_order<P: One>() {
    watched(|| {
        let (crowd, one) = (Crowd::new(), P::new());
        let first = one.take();
        let order = Arc::new(Mutex::new(Vec::new()));
        let served: Vec<_> = (0..CROWD)
            .map(|place| {
                let (owner, order) = (Arc::clone(&one), Arc::clone(&order));
                crowd.join(Kind::of(place), one.ask(), move |output| {
                    let held = owner.held(output).unwrap();
                    order.lock().unwrap().push(place);
                    drop(held);
                })
            })
            .collect();
        assert!(order.lock().unwrap().is_empty(), "it is held");
        drop(first);
        for served in served {
            served.recv().unwrap();
        }
        assert_eq!(*order.lock().unwrap(), (0..CROWD).collect::<Vec<_>>());
        drop(one.take());
    });
}

fn newcomer<P: One>() {
    watched(|| {
        let (crowd, one) = (Crowd::new(), P::new());
        for place in 0..CROWD {
            let held = one.take();
            let kind = Kind::of(place);
            let owner = Arc::clone(&one);
            let waits = crowd.join(kind, one.ask(), move |output| owner.held(output).unwrap());
            let owner = Arc::clone(&one);
            // It asks in the moment in which it is free, and is behind all the same.
            let newcomer = crowd
                .join(Kind::of(place + 1), one.ask(), move |output| owner.held(output).unwrap());
            drop(held);
            let held = waits.recv().unwrap();
            assert_eq!(newcomer.try_recv().err(), Some(TryRecvError::Empty), "{kind:?} has it");
            drop(held);
            drop(newcomer.recv().unwrap());
        }
    });
}

#[test]
fn each_number_ends_the_waits_for_it_on_all_executors_and_no_other() {
    watched(|| {
        let crowd = Crowd::new();
        let tracker = Arc::new(Config::new().build_with(ManualClock::new()).unwrap());
        tracker.record(0);
        // The last are the first to ask.
        let mut waits: Vec<_> = (0..2 * CROWD)
            .rev()
            .map(|place| {
                let wait = Acquire::new(Arc::clone(&tracker), 1 + place as u64 / 2);
                crowd.join(Kind::of(place), wait, |output| output)
            })
            .collect();
        for number in 1..=CROWD as u64 {
            for wait in &waits {
                assert_eq!(wait.try_recv(), Err(TryRecvError::Empty), "before {number}");
            }
            tracker.record(number);
            for _ in 0..2 {
                assert_eq!(waits.pop().unwrap().recv(), Ok(Ok(number)));
            }
        }
        assert!(waits.is_empty());
    });
}
