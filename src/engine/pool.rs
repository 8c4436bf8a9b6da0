//! Stand-in for the kernels' pool of threads, behind the same signature.

use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) struct Pool {
    threads: usize,
}

impl Pool {
    pub(super) fn new(threads: usize) -> Pool {
        Pool { threads: threads.max(1) }
    }

    /// Calls `f` once with every number below `tasks`, in any order and on any thread.
    pub(super) fn run(&self, tasks: usize, f: &(dyn Fn(usize) + Sync)) {
        let threads = self.threads.min(tasks);
        if threads <= 1 {
            return (0..tasks).for_each(f);
        }
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let task = next.fetch_add(1, Ordering::Relaxed);
                if task >= tasks {
                    return;
                }
                f(task);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
    }
}
