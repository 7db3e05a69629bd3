//! The heap, counted; and what the system says of the process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, and how many bytes are taken from it.
pub(crate) struct Counting {
    live: AtomicUsize,
}

impl Counting {
    pub(crate) const fn new() -> Self {
        Self { live: AtomicUsize::new(0) }
    }

    /// Bytes allocated and not yet freed.
    pub(crate) fn live(&self) -> usize {
        // ORDERING: Relaxed; it is read when nobody is at work.
        self.live.load(Ordering::Relaxed)
    }
}

// SAFETY: everything is left to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // ORDERING: Relaxed; a count publishes nothing. So below.
        self.live.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise, handed on. So below.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.live.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What the process has in memory now, and had at most, in KiB; `None` where there is no `/proc`.
pub(crate) fn resident() -> Option<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}
