//! What stands around the forward: that a step of it asks the system for no memory, and by hand which
//! share of a night it takes and what proposals bring, with the questions of this repository's own
//! `jobs.toml` on the documents of `fixtures/inbox`.
//!
//!     NIGHTCLERK_SPEED_MODEL=FILE [NIGHTCLERK_SPEED_SLOTS=16] [NIGHTCLERK_SPEED_ONLY=nda] \
//!     cargo test --release --test it flow:: -- --ignored --nocapture

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nightclerk::base::{Completion, Limits, SystemClock, TokenCounter};
use nightclerk::engine::{Engine, Part, Request, Sampling, Settings, tiny};
use nightclerk::jobs::{self, TaskKind};
use nightclerk::prompt::Passage;
use nightclerk::{chunk, extract, intake, prompt};

use crate::support::{Folder, repository};

/// The system's allocator, counted for each thread on its own.
struct Counted;

#[global_allocator]
static COUNTED: Counted = Counted;

thread_local!(static ALLOCATIONS: Cell<u64> = const { Cell::new(0) });

fn count() {
    // A thread that is ending may still allocate.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

#[expect(unsafe_code, reason = "the trait asks for it; everything is the system's")]
// SAFETY: every call is passed on as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[test]
fn a_step_that_only_goes_on_asks_for_no_memory() {
    let folder = Folder::new("flow-memory");
    let path = folder.path().join("tiny.gguf");
    tiny::write(&path, tiny::Family::Qwen2, 1).unwrap();
    let document: Arc<str> = "the rent of the parties is due on the first day ".repeat(4).into();
    for speculate in [false, true] {
        // One thread, which is this one: what it asks for is all there is.
        let settings = Settings {
            threads: 1,
            slots: 4,
            speculate,
            ..Settings::new(1 << 30, jobs::DATE_DEFAULT)
        };
        let mut engine = Engine::load(&path, &settings, &mut |_, _| {}).unwrap();
        let seeded = Sampling::Seeded { seed: 5, temperature: 0.8, top_p: 0.9 };
        let quote = vec![Part::Quote { words_max: 99 }, Part::Literal("\n".into())];
        let forms = [
            (vec![Part::Text], Sampling::Greedy),
            (vec![Part::Text], seeded),
            (quote, Sampling::Greedy),
        ];
        for (id, (form, sampling)) in (0..).zip(forms) {
            let task = format!("Question {id}").into();
            let (system, document) = ("You read.".into(), document.clone());
            let answer_tokens_max = 250;
            engine
                .submit(Request { id, system, document, task, form, answer_tokens_max, sampling })
                .unwrap();
        }
        let mut steady = 0;
        for step in 0.. {
            if engine.idle() {
                break;
            }
            let before = ALLOCATIONS.get();
            let finished = engine.step();
            let asked = ALLOCATIONS.get() - before;
            // The first steps read the prompts and fill what is kept.
            if step >= 8 && finished.is_empty() {
                steady += 1;
                assert_eq!(asked, 0, "step {step}");
            }
        }
        assert!(steady > 20, "only {steady} steps");
        assert!(speculate == (engine.progress().proposals_kept > 0));
    }
}

/// Everything that the first night asks first, document by document; `only` is part of a path.
fn questions(counter: &dyn TokenCounter, only: &str) -> Vec<Request> {
    let plan = jobs::load(&repository("jobs.toml")).unwrap();
    let job = &plan.jobs[0];
    let inventory = intake::walk(&plan, job, &SystemClock::new()).unwrap();
    let mut requests = Vec::new();
    for source in inventory.sources.iter().filter(|source| source.path.contains(only)) {
        let tasks = || job.tasks.iter().filter(|task| task.formats.contains(&source.format));
        let Some(budget) = tasks().map(|task| task.chunk_tokens).min() else { continue };
        let bytes = fs::read(&source.file).unwrap();
        let read = extract::extract(
            &bytes,
            source.format,
            &extract::Options::default(),
            &Limits::default(),
        );
        let chunks = chunk::split(&read.unwrap().output, budget, counter).chunks;
        for chunk in &chunks {
            let passage = Passage::new(chunk, chunks.len());
            for task in tasks() {
                let id = requests.len() as u64;
                match &task.kind {
                    TaskKind::Summarize { .. } => {
                        requests.push(prompt::ask_note(id, task, &passage, 45));
                    }
                    TaskKind::Extract { fields } => {
                        let ask = |(i, field)| prompt::ask_field(id + i, task, field, &passage);
                        requests.extend((0..).zip(fields).map(ask));
                    }
                }
            }
        }
    }
    requests
}

fn answer(engine: &mut Engine, requests: &[Request]) -> (Vec<Completion>, Duration) {
    let start = Instant::now();
    requests.iter().for_each(|request| engine.submit(request.clone()).unwrap());
    let mut completions = Vec::new();
    while !engine.idle() {
        completions.extend(engine.step());
    }
    completions.sort_by_key(|completion| completion.id);
    completions.iter_mut().for_each(|completion| completion.shared_tokens = 0);
    (completions, start.elapsed())
}

fn named(name: &str, usual: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| usual.to_owned())
}

/// The model that NIGHTCLERK_SPEED_MODEL names, and the questions that are asked of it.
fn night(speculate: bool) -> (Engine, Vec<Request>) {
    let slots = named("NIGHTCLERK_SPEED_SLOTS", "16").parse().unwrap();
    let settings = Settings {
        slots,
        speculate,
        context_tokens: 4096,
        ..Settings::new(4 << 30, jobs::DATE_DEFAULT)
    };
    let model = PathBuf::from(std::env::var_os("NIGHTCLERK_SPEED_MODEL").unwrap());
    let mut engine = Engine::load(&model, &settings, &mut |_, _| {}).unwrap();
    engine.watch();
    let requests = questions(engine.counter().as_ref(), &named("NIGHTCLERK_SPEED_ONLY", ""));
    (engine, requests)
}

#[test]
#[ignore = "by hand: NIGHTCLERK_SPEED_MODEL names a model; prints where the time of a night goes"]
fn what_stands_between_forwards_takes_a_small_share() {
    let (mut engine, requests) = night(true);
    let (completions, took) = answer(&mut engine, &requests);
    let tokens: u32 = completions.iter().map(|completion| completion.answer_tokens).sum();
    eprintln!("{} questions, {tokens} tokens, {:?}", requests.len(), engine.progress());
    for (operation, spent) in engine.spent() {
        let share = 100.0 * spent.as_secs_f64() / took.as_secs_f64();
        eprintln!("{operation:20} {:9.1} ms {share:6.2} %", spent.as_secs_f64() * 1000.0);
    }
    eprintln!("{:20} {:9.1} ms", "all", took.as_secs_f64() * 1000.0);
}

#[test]
#[ignore = "by hand: NIGHTCLERK_SPEED_MODEL names a model; prints what proposals bring, three rounds"]
fn proposals_bring_time_and_change_nothing() {
    let ((mut with, requests), (mut without, _)) = (night(true), night(false));
    for _ in 0..3 {
        let before = with.progress();
        let (ours, took) = answer(&mut with, &requests);
        let now = with.progress();
        let (proposed, kept) =
            (now.proposed_rows - before.proposed_rows, now.proposals_kept - before.proposals_kept);
        let (plain, plain_took) = answer(&mut without, &requests);
        assert_eq!(ours, plain);
        let tokens: u32 = ours.iter().map(|completion| completion.answer_tokens).sum();
        eprintln!(
            "{tokens} tokens: {:.2} s with ({proposed} proposed, {kept} kept, {} steps), {:.2} s \
             without, ratio {:.2}",
            took.as_secs_f64(),
            now.steps - before.steps,
            plain_took.as_secs_f64(),
            plain_took.as_secs_f64() / took.as_secs_f64(),
        );
    }
}
