//! The parts of a run, threads and tasks: which of them are at work, and how the others ended.
//!
//! Whoever waits for them waits until a deadline: a part that hangs is an answer, too.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;
use std::{io, thread};

use tokio::runtime::Runtime;

use crate::error::FeedError;

/// All that were begun.
#[derive(Debug)]
pub(crate) struct Parts {
    sender: Sender<Ended>,
    ended: Receiver<Ended>,
    begun: u64,
    running: BTreeMap<&'static str, u64>,
    failures: Vec<Failure>,
}

/// How they ended.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    pub(crate) begun: u64,
    pub(crate) failures: Vec<Failure>,
}

/// Parts that did not end well.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Failure {
    pub(crate) part: &'static str,
    pub(crate) reason: String,
}

#[derive(Debug)]
struct Ended {
    part: &'static str,
    result: Result<(), FeedError>,
}

/// Says how a part ended, even if it panics.
struct Part {
    name: &'static str,
    sender: Sender<Ended>,
    result: Result<(), FeedError>,
}

impl Parts {
    pub(crate) fn new() -> Self {
        let (sender, ended) = mpsc::channel();
        Self { sender, ended, begun: 0, running: BTreeMap::new(), failures: Vec::new() }
    }

    pub(crate) fn thread(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<(), FeedError> + Send + 'static,
    ) -> io::Result<()> {
        let part = self.begin(name);
        thread::Builder::new().name(name.into()).spawn(move || part.ends(work()))?;
        Ok(())
    }

    pub(crate) fn task(
        &mut self,
        runtime: &Runtime,
        name: &'static str,
        work: impl Future<Output = Result<(), FeedError>> + Send + 'static,
    ) {
        let part = self.begin(name);
        runtime.spawn(async move { part.ends(work.await) });
    }

    fn begin(&mut self, name: &'static str) -> Part {
        self.begun += 1;
        *self.running.entry(name).or_default() += 1;
        Part { name, sender: self.sender.clone(), result: Err(FeedError::Panicked) }
    }

    pub(crate) fn are_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// Waits for one that ends, for so long.
    pub(crate) fn wait(&mut self, time: Duration) {
        match self.ended.recv_timeout(time) {
            Ok(Ended { part, result }) => {
                if let Some(left) = self.running.get_mut(part) {
                    *left -= 1;
                }
                self.running.retain(|_, left| *left > 0);
                if let Err(error) = result {
                    self.failures.push(Failure { part, reason: error.to_string() });
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }

    /// Waits no longer.
    pub(crate) fn end(mut self) -> Ends {
        for (part, left) in self.running {
            for _ in 0..left {
                self.failures.push(Failure { part, reason: "has not ended".to_owned() });
            }
        }
        Ends { begun: self.begun, failures: self.failures }
    }
}

impl Part {
    fn ends(mut self, result: Result<(), FeedError>) {
        self.result = result;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let result = std::mem::replace(&mut self.result, Ok(()));
        // Nobody listens any more if the run was given up.
        let _nobody = self.sender.send(Ended { part: self.name, result });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_fail_panic_or_hang_are_told_apart() {
        let mut parts = Parts::new();
        let (release, held) = mpsc::channel::<()>();
        parts.thread("good", || Ok(())).expect("a thread");
        parts.thread("bad", || Err(FeedError::Cut)).expect("a thread");
        parts.begin("panics");
        parts.thread("hangs", move || held.recv().map_err(|_| FeedError::Cut)).expect("a thread");
        while parts.running.len() > 1 {
            parts.wait(Duration::from_secs(10));
        }
        assert!(parts.are_running());
        let mut ends = parts.end();
        drop(release);
        ends.failures.sort_unstable();
        let failures: Vec<_> =
            ends.failures.iter().map(|failure| (failure.part, failure.reason.as_str())).collect();
        assert_eq!(
            failures,
            [
                ("bad", "the server cut this client off: its quota was exceeded"),
                ("hangs", "has not ended"),
                ("panics", "it panicked"),
            ]
        );
        assert_eq!(ends.begun, 4);
    }
}
