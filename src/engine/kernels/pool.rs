//! The one pool of threads under every matrix product and every row-wise step. It hands out task
//! numbers and nothing else: what a task computes may not depend on who computes it.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Turns of the spin loop before a worker parks: some 50 µs, the gap between two products of one
/// forward step; longer would burn the cores that parse documents.
const SPINS_BEFORE_PARK: usize = 4096;

/// Turns of the spin loop before the caller, its own tasks done, yields to a worker that lost its core.
const SPINS_BEFORE_YIELD: usize = 1024;

/// Set in `Shared::gate` while a job may be entered; the bits below count the workers inside.
const OPEN: usize = 1 << (usize::BITS - 1);

/// Persistent worker threads that share the tasks of one caller at a time.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held while a job runs: a second caller waits.
    turn: Mutex<()>,
}

struct Shared {
    gate: AtomicUsize,
    /// Number of jobs opened so far; a worker enters each at most once to any effect.
    epoch: AtomicUsize,
    /// The next task of the open job.
    next: AtomicUsize,
    job: UnsafeCell<Job>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Whether the pool is being dropped.
    stop: Mutex<bool>,
    wake: Condvar,
    parked: AtomicUsize,
}

#[derive(Clone, Copy)]
struct Job {
    tasks: usize,
    task: *const (dyn Fn(usize) + Sync),
}

// SAFETY: `job` is written only by the caller that holds `turn` while the gate is closed and empty,
// and read only by workers counted in the gate; `task` points to a `Sync` closure that outlives them.
unsafe impl Sync for Shared {}
// SAFETY: as above; nothing in `Shared` belongs to one thread.
unsafe impl Send for Shared {}

impl Pool {
    /// A pool in which `threads` threads compute, the caller of `run` being one of them; 0: one per
    /// core.
    pub fn new(threads: usize) -> Pool {
        let threads = match threads {
            0 => thread::available_parallelism().map_or(1, |n| n.get()),
            n => n,
        };
        let nothing: &(dyn Fn(usize) + Sync) = &|_| {};
        let shared = Arc::new(Shared {
            gate: AtomicUsize::new(0),
            epoch: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            job: UnsafeCell::new(Job { tasks: 0, task: nothing }),
            panic: Mutex::new(None),
            stop: Mutex::new(false),
            wake: Condvar::new(),
            parked: AtomicUsize::new(0),
        });
        let workers = (1..threads)
            .map(|number| {
                let shared = Arc::clone(&shared);
                thread::Builder::new()
                    .name(format!("nightclerk-{number}"))
                    .spawn(move || shared.work())
                    .expect("the system refuses another thread")
            })
            .collect();
        Pool { shared, workers, turn: Mutex::new(()) }
    }

    /// Threads that compute, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task` once with every number below `tasks`, in any order and on any thread, and returns
    /// when all are done. A panic of a task is raised again here. A task may not call `run`.
    pub fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        if tasks <= 1 || self.workers.is_empty() {
            return (0..tasks).for_each(task);
        }
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &*self.shared;
        // SAFETY: only the lifetime is erased; every worker has left the gate before this returns.
        let task = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync)>(
                task,
            )
        };
        let job = Job { tasks, task };
        // SAFETY: the gate is closed and empty (the end of the last `run`) and `turn` is ours.
        unsafe { *shared.job.get() = job };
        shared.next.store(0, Ordering::Relaxed);
        shared.gate.store(OPEN, Ordering::SeqCst);
        shared.epoch.fetch_add(1, Ordering::SeqCst);
        if shared.parked.load(Ordering::SeqCst) > 0 {
            // Taking the lock orders this after the check that a parking worker makes under it.
            drop(shared.stop.lock().unwrap_or_else(PoisonError::into_inner));
            shared.wake.notify_all();
        }
        shared.take_tasks(job);
        shared.gate.fetch_and(!OPEN, Ordering::SeqCst);
        let mut spins = 0;
        while shared.gate.load(Ordering::Acquire) != 0 {
            spins += 1;
            if spins < SPINS_BEFORE_YIELD { std::hint::spin_loop() } else { thread::yield_now() }
        }
        let panic = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(turn);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Cuts `out` into chunks of `size` items (the last may be shorter) and calls `task` once with each
    /// chunk and its number.
    pub fn run_chunks<T: Send>(
        &self,
        out: &mut [T],
        size: usize,
        task: &(dyn Fn(usize, &mut [T]) + Sync),
    ) {
        let len = out.len();
        let base = SharedMut(out.as_mut_ptr());
        self.run(len.div_ceil(size), &|number| {
            let from = number * size;
            // SAFETY: from..from + length lies within `out`, and no other number has any of it.
            let chunk =
                unsafe { std::slice::from_raw_parts_mut(base.at(from), size.min(len - from)) };
            task(number, chunk);
        });
    }

    /// Cuts `out` at each of `ends`, which ascend, and calls `task` once with each part and its number.
    pub fn run_parts<T: Send>(
        &self,
        out: &mut [T],
        ends: &[usize],
        task: &(dyn Fn(usize, &mut [T]) + Sync),
    ) {
        assert!(ends.is_sorted() && ends.last().is_none_or(|&end| end <= out.len()));
        let base = SharedMut(out.as_mut_ptr());
        self.run(ends.len(), &|number| {
            let from = number.checked_sub(1).map_or(0, |before| ends[before]);
            // SAFETY: from..end lies within `out`, and no other number has any of it.
            let part =
                unsafe { std::slice::from_raw_parts_mut(base.at(from), ends[number] - from) };
            task(number, part);
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        *self.shared.stop.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.wake.notify_all();
        // A spinning worker parks soon and sees the flag then.
        for worker in self.workers.drain(..) {
            worker.join().expect("a worker catches what its tasks raise");
        }
    }
}

/// A buffer whose parts are written by different tasks.
pub(super) struct SharedMut<T>(pub *mut T);

// SAFETY: whoever dereferences `at` answers for the parts being disjoint.
unsafe impl<T: Send> Sync for SharedMut<T> {}

impl<T> SharedMut<T> {
    /// The address of item `index`, which the caller knows to lie within the buffer.
    pub(super) fn at(&self, index: usize) -> *mut T {
        self.0.wrapping_add(index)
    }
}

impl Shared {
    fn work(&self) {
        let mut seen = 0;
        while let Some(epoch) = self.wait_for_job(seen) {
            seen = epoch;
            if self.enter() {
                // SAFETY: we are counted in the gate, so the job stays as it was when it opened.
                let job = unsafe { *self.job.get() };
                self.take_tasks(job);
                self.gate.fetch_sub(1, Ordering::Release);
            }
        }
    }

    /// The number of jobs once it differs from `seen`, or none when the pool ends.
    fn wait_for_job(&self, seen: usize) -> Option<usize> {
        for _ in 0..SPINS_BEFORE_PARK {
            let epoch = self.epoch.load(Ordering::Acquire);
            if epoch != seen {
                return Some(epoch);
            }
            std::hint::spin_loop();
        }
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        self.parked.fetch_add(1, Ordering::SeqCst);
        let epoch = loop {
            let epoch = self.epoch.load(Ordering::SeqCst);
            if *stop {
                break None;
            }
            if epoch != seen {
                break Some(epoch);
            }
            stop = self.wake.wait(stop).unwrap_or_else(PoisonError::into_inner);
        };
        self.parked.fetch_sub(1, Ordering::SeqCst);
        epoch
    }

    /// Counts the caller into the open job; false when it has closed already.
    fn enter(&self) -> bool {
        self.gate
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |gate| {
                (gate & OPEN != 0).then(|| gate + 1)
            })
            .is_ok()
    }

    fn take_tasks(&self, job: Job) {
        // SAFETY: `run` does not return, and so the closure lives, while anyone is in here.
        let task = unsafe { &*job.task };
        let result = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                if number >= job.tasks {
                    break;
                }
                task(number);
            }
        }));
        if let Err(panic) = result {
            // Nobody needs the rest.
            self.next.store(job.tasks, Ordering::Relaxed);
            self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_whatever_the_number_of_threads() {
        for threads in 1..=4 {
            let pool = Pool::new(threads);
            assert_eq!(pool.threads(), threads);
            for round in 0..2000 {
                let tasks = round % 17;
                let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                pool.run(tasks, &|i| {
                    counts[i].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1), "{threads} {round}");
            }
        }
    }

    #[test]
    fn workers_that_parked_are_woken() {
        let pool = Pool::new(3);
        for _ in 0..20 {
            thread::sleep(std::time::Duration::from_millis(2));
            let sum = AtomicUsize::new(0);
            pool.run(100, &|i| {
                sum.fetch_add(i, Ordering::Relaxed);
            });
            assert_eq!(sum.load(Ordering::Relaxed), 4950);
        }
    }

    #[test]
    fn chunks_cover_the_buffer_without_overlap() {
        let pool = Pool::new(2);
        let mut out = vec![0usize; 103];
        pool.run_chunks(&mut out, 10, &|number, chunk| {
            for (i, v) in chunk.iter_mut().enumerate() {
                *v += number * 10 + i + 1;
            }
        });
        assert!(out.iter().enumerate().all(|(i, v)| *v == i + 1));
    }

    #[test]
    fn parts_of_any_length_are_each_given_once() {
        let pool = Pool::new(3);
        let mut out = vec![0usize; 20];
        pool.run_parts(&mut out, &[0, 3, 3, 10, 19], &|number, part| part.fill(number));
        assert_eq!(out, [1, 1, 1, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 0]);
    }

    #[test]
    fn a_panic_of_a_task_reaches_the_caller_and_the_pool_works_on() {
        let pool = Pool::new(2);
        let raised = catch_unwind(AssertUnwindSafe(|| {
            pool.run(8, &|i| assert!(i != 5, "task five"));
        }));
        assert!(raised.is_err());
        let sum = AtomicUsize::new(0);
        pool.run(8, &|i| {
            sum.fetch_add(i, Ordering::Relaxed);
        });
        assert_eq!(sum.load(Ordering::Relaxed), 28);
    }
}
