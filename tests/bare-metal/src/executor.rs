//! An executor: polls the tasks that were woken, and sleeps when there is none.

use alloc::boxed::Box;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Waker};

use portable_atomic::{AtomicBool, Ordering};
use portable_atomic_util::Arc;
use portable_atomic_util::task::Wake;

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(task: Arc<Self>) {
        // ORDERING: Release partners with the Acquire in `run`: the task sees why it was woken.
        task.0.store(true, Ordering::Release);
    }
}

/// Runs all tasks until each but the first, which may go on for ever, has ended.
pub fn run<'a, const N: usize>(tasks: [Pin<Box<dyn Future<Output = ()> + 'a>>; N]) {
    let mut tasks = tasks.map(|task| Some((task, Arc::new(Woken(AtomicBool::new(true))))));
    while tasks.iter().skip(1).any(Option::is_some) {
        for slot in &mut tasks {
            // ORDERING: Acquire partners with the Release in `wake`; what is stored publishes nothing.
            let woken = |task: &Arc<Woken>| task.0.swap(false, Ordering::Acquire);
            if let Some((task, waker)) = slot.as_mut().filter(|(_, task)| woken(task)) {
                let waker = Waker::from(Arc::clone(waker));
                if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                    *slot = None;
                }
            }
        }
        // Nobody can be woken between the look and the sleep, which an interrupt that is held back ends.
        cortex_m::interrupt::free(|_| {
            // ORDERING: Relaxed; only whether to look again.
            if !tasks.iter().flatten().any(|(_, task)| task.0.load(Ordering::Relaxed)) {
                cortex_m::asm::wfi();
            }
        });
    }
}
