//! What stands around the forward, by hand: the share of a night that it takes, with the questions of
//! this repository's own `jobs.toml` on the documents of `fixtures/inbox`.
//!
//!     NIGHTCLERK_SPEED_MODEL=FILE [NIGHTCLERK_SPEED_SLOTS=16] [NIGHTCLERK_SPEED_ONLY=nda] \
//!     cargo test --release --test it flow:: -- --ignored --nocapture

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nightclerk::base::{Completion, Limits, SystemClock, TokenCounter};
use nightclerk::engine::{Engine, Request, Settings};
use nightclerk::jobs::{self, TaskKind};
use nightclerk::prompt::Passage;
use nightclerk::{chunk, extract, intake, prompt};

use crate::support::repository;

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
                        requests.push(prompt::ask_summary(id, task, &passage));
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

#[test]
#[ignore = "by hand: NIGHTCLERK_SPEED_MODEL names a model; prints where the time of a night goes"]
fn what_stands_between_forwards_takes_a_small_share() {
    let model = PathBuf::from(std::env::var_os("NIGHTCLERK_SPEED_MODEL").unwrap());
    let only = std::env::var("NIGHTCLERK_SPEED_ONLY").unwrap_or_default();
    let slots = std::env::var("NIGHTCLERK_SPEED_SLOTS").map_or(16, |slots| slots.parse().unwrap());
    let settings =
        Settings { slots, context_tokens: 4096, ..Settings::new(4 << 30, jobs::DATE_DEFAULT) };
    let mut engine = Engine::load(&model, &settings, &mut |_, _| {}).unwrap();
    engine.watch();
    let requests = questions(engine.counter().as_ref(), &only);
    let (completions, took) = answer(&mut engine, &requests);
    let tokens: u32 = completions.iter().map(|completion| completion.answer_tokens).sum();
    eprintln!("{} questions, {tokens} tokens, {:?}", requests.len(), engine.progress());
    for (operation, spent) in engine.spent() {
        let share = 100.0 * spent.as_secs_f64() / took.as_secs_f64();
        eprintln!("{operation:20} {:9.1} ms {share:6.2} %", spent.as_secs_f64() * 1000.0);
    }
    eprintln!("{:20} {:9.1} ms", "all", took.as_secs_f64() * 1000.0);
}
