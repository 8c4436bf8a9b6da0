//! The number contract over random compositions: in whatever company, order, steps, threads and
//! instructions a prompt is answered, its tokens and the bits of its logits are the same.

use std::path::Path;

use super::tests::{Folder, answer_of, test_model};
use super::tiny::{self, Family, Random};
use super::{Engine, Part, Request, Sampling, Settings, tiers};
use crate::base::{Completion, Digest};

/// The id of the prompt that all compositions have.
const ASKED: u64 = 0;

/// What must never differ.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    completion: Completion,
    /// Of the logits of each sampled token.
    logits: Vec<Digest>,
}

/// What compositions are drawn from.
struct Draw<'a> {
    path: &'a Path,
    /// Bytes that an engine may be given: little room means other orders and dropped prefixes.
    memory: [u64; 2],
    /// Answers of mates are at most so long.
    answer_max: u32,
    random: Random,
    /// Of the engine drawn last. Where steps are small, company is: every step reads all weights.
    step_rows: usize,
}

impl<'a> Draw<'a> {
    fn new(path: &'a Path, memory: [u64; 2], answer_max: u32, seed: u64) -> Draw<'a> {
        Draw { path, memory, answer_max, random: Random(seed), step_rows: 1 }
    }

    fn below(&mut self, end: usize) -> usize {
        (self.random.next() % end as u64) as usize
    }

    /// Small numbers as often as large ones, up to `max`.
    fn size(&mut self, max: usize) -> usize {
        let top = 1 << self.below(max.ilog2() as usize + 1);
        1 + self.below(top.min(max))
    }

    fn engine(&mut self) -> Engine {
        let tiers = tiers();
        // The first and slowest one is the portable code; one engine in sixteen is enough of it.
        let fast = if tiers.len() > 1 && self.below(16) > 0 { &tiers[1..] } else { &tiers[..1] };
        let tier = fast[self.below(fast.len())];
        self.step_rows = self.size(512);
        let settings = Settings {
            threads: 1 + self.below(4),
            slots: self.size(64),
            step_rows: self.step_rows,
            share_prefixes: self.below(2) == 0,
            context_tokens: tiny::CONTEXT,
            tier: Some(tier.into()),
            ..Settings::new(self.memory[self.below(2)], "2026-01-31")
        };
        Engine::load(self.path, &settings, &mut |_, _| {}).unwrap()
    }

    /// A request that shares all, the document, the system text or nothing with `asked`.
    fn mate(&mut self, id: u64, asked: &Request) -> Request {
        let words = ["tenant ", "pays ", "the rent ", "in advance, ", "and ", "on the first. "];
        let count = self.size(16);
        let text: String = (0..count).map(|_| words[self.below(words.len())]).collect();
        let mut request = Request {
            id,
            answer_tokens_max: 1 + self.below(self.answer_max as usize) as u32,
            ..asked.clone()
        };
        let likeness = self.below(5);
        if likeness > 0 {
            request.task = text.as_str().into();
        }
        if likeness > 1 {
            request.document = text.repeat(1 + self.below(3)).into();
        }
        if likeness > 2 {
            request.system = if likeness == 3 { "".into() } else { "You write.".into() };
        }
        if self.below(4) == 0 {
            request.sampling = Sampling::Seeded { seed: id, temperature: 0.9, top_p: 0.9 };
        }
        if self.below(4) == 0 {
            request.form = vec![Part::Pattern("[a-z ]{3,12}".into())];
        }
        request
    }

    /// `asked` among 1 to 64 others, in random order.
    fn company(&mut self, asked: &Request) -> Vec<Request> {
        let mates = self.size(64.min(2 * self.step_rows));
        let mut requests: Vec<_> = (1..=mates as u64).map(|id| self.mate(id, asked)).collect();
        requests.insert(self.below(mates + 1), asked.clone());
        requests
    }

    /// Answers `requests`, some joining while others run. After `stop` steps what waits is cancelled
    /// and asked again; with `kill` everything is lost instead, and none is returned.
    fn answer(
        &mut self,
        engine: &mut Engine,
        requests: &[Request],
        stop: Option<(usize, bool)>,
    ) -> Option<Outcome> {
        let at_once = self.size(requests.len());
        let mut waiting: Vec<&Request> = requests.iter().rev().collect();
        let mut completion = None;
        for step in 0.. {
            for _ in 0..at_once.min(waiting.len()) {
                engine.submit(waiting.pop().expect("counted").clone()).unwrap();
            }
            if engine.idle() && waiting.is_empty() {
                break;
            }
            for done in engine.step() {
                if done.id == ASKED {
                    completion = Some(done);
                }
            }
            match stop {
                Some((after, true)) if after == step => return None,
                Some((after, false)) if after == step => {
                    let again = engine.cancel_waiting();
                    waiting.extend(requests.iter().filter(|one| again.contains(&one.id)));
                }
                _ => {}
            }
        }
        Some(outcome(engine, completion.expect("everything was answered")))
    }
}

/// The completion with the digests of its logits; what of it was shared is a fact of the schedule.
fn outcome(engine: &mut Engine, mut completion: Completion) -> Outcome {
    completion.shared_tokens = 0;
    let trace = std::mem::take(&mut engine.trace);
    let own = trace.into_iter().filter(|((id, _), _)| *id == ASKED);
    Outcome { completion, logits: own.map(|(_, digest)| digest).collect() }
}

/// The different outcomes of `asked` over `count` compositions, the one of `asked` alone first.
fn outcomes(draw: &mut Draw, asked: &Request, count: usize) -> Vec<Outcome> {
    let plain = Settings {
        context_tokens: tiny::CONTEXT,
        tier: Some(tiers()[0].into()),
        ..Settings::new(draw.memory[0].max(draw.memory[1]), "2026-01-31")
    };
    let mut alone = Engine::load(draw.path, &plain, &mut |_, _| {}).unwrap();
    let completion = answer_of(&mut alone, asked);
    let mut found = vec![outcome(&mut alone, completion)];
    let mut engine = draw.engine();
    for _ in 0..count {
        if draw.below(6) == 0 {
            engine = draw.engine();
        }
        let company = draw.company(asked);
        let stop = (draw.below(4) == 0).then(|| (draw.below(12), draw.below(2) == 0));
        let outcome = match draw.answer(&mut engine, &company, stop) {
            Some(outcome) => outcome,
            None => {
                engine = draw.engine();
                draw.answer(&mut engine, &company, None).expect("nothing stops it")
            }
        };
        if !found.contains(&outcome) {
            found.push(outcome);
        }
    }
    found
}

fn asked([system, document, task]: [&str; 3], answer_tokens_max: u32) -> Request {
    Request {
        id: ASKED,
        system: system.into(),
        document: document.into(),
        task: task.into(),
        form: vec![Part::Text],
        answer_tokens_max,
        sampling: Sampling::Greedy,
    }
}

#[test]
fn a_thousand_random_compositions_of_one_prompt_give_one_output() {
    let folder = Folder::new("compositions");
    for (family, seed) in [(Family::SmolLm2, 1), (Family::Qwen2, 2)] {
        let path = folder.tiny(family, &tiny::MIXED);
        let mut draw = Draw::new(&path, [32 << 20, 1 << 30], 6, seed);
        let texts = ["Answer.", "The agreement of the parties is of the first of March. ", "Who?"];
        let asked = asked(texts, 12);
        let found = outcomes(&mut draw, &asked, 500);
        assert_eq!(found.len(), 1, "{family:?}: different outputs");
        assert_eq!(found[0].logits.len(), 12, "every token was sampled");
    }
}

/// NIGHTCLERK_COMPOSITIONS (100) of them. Beside it: tests/bench/distinct_outputs.py.
#[test]
#[ignore = "by hand: takes minutes; prints how many different outputs NIGHTCLERK_TEST_MODEL gives"]
fn random_compositions_of_a_real_prompt_give_one_output() {
    let count = std::env::var("NIGHTCLERK_COMPOSITIONS").map_or(100, |n| n.parse().unwrap());
    let path = test_model();
    let mut draw = Draw::new(&path, [1 << 30, 3 << 30], 32, 3);
    let document = "This Services Agreement is made as of 1 March 2024 by and between Northwind Supply \
         Inc., a Delaware corporation, and Blue Harbor LLC. Northwind pays 12,000 dollars in advance on \
         the first day of each quarter, and Blue Harbor keeps the warehouse open on working days. ";
    let texts = [
        "You answer from the document.",
        document,
        "Who are the parties, and what does each of them owe?",
    ];
    let found = outcomes(&mut draw, &asked(texts, 48), count);
    println!(
        "{} different outputs of {count} compositions: {}",
        found.len(),
        found[0].completion.text
    );
    assert_eq!(found.len(), 1);
}
