//! Which documents a night still takes in: all, or with a deadline those that are predicted to be finished
//! by then. Also when to stop, by a signal or because the time is up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::deadline::Deadline;
use super::pace::{Effort, Meter, Pace};
use super::signal::StopFlag;
use crate::base::limits::FINISH_MARGIN_PERCENT;
use crate::base::{Clock, Completion, TokenCounter, duration};
use crate::engine::{Part, Request};

/// Questions whose tokens are remembered.
const QUESTIONS_KNOWN_MAX: usize = 10_000;

/// Shared by the night's threads.
pub(super) struct Admission {
    stop: StopFlag,
    deadline: Option<Deadline>,
    clock: Arc<dyn Clock>,
    /// From the beginning to the deadline.
    whole: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    meter: Meter,
    /// Of all documents taken in, and what of it is done.
    taken: Effort,
    done: Effort,
    /// The most tokens of the answers that are not finished, by request.
    answers: BTreeMap<u64, u32>,
    /// Tokens of the texts that documents are asked.
    questions: BTreeMap<Arc<str>, u64>,
}

impl Admission {
    /// `pace` is what is known of this model on this machine.
    pub(super) fn new(
        stop: StopFlag,
        deadline: Option<Deadline>,
        clock: Arc<dyn Clock>,
        pace: Option<Pace>,
    ) -> Admission {
        let state = State { meter: Meter::new(pace), ..State::default() };
        let whole = deadline.map_or(Duration::MAX, |deadline| deadline.left(&*clock));
        Admission { stop, deadline, clock, whole, state: Mutex::new(state) }
    }

    /// Why nothing is begun any more; none while the night goes on.
    pub(super) fn over(&self) -> Option<&'static str> {
        if self.stop.is_set() {
            return Some("the run was asked to stop");
        }
        let up = self.deadline.is_some_and(|deadline| deadline.left(&*self.clock).is_zero());
        up.then_some("the time was up")
    }

    /// Takes a document in by what is asked about it.
    ///
    /// # Errors
    /// Why not: it is predicted to be finished too late.
    pub(super) fn take(
        &self,
        requests: &[Request],
        counter: &dyn TokenCounter,
    ) -> Result<(), String> {
        let mut state = self.state();
        let effort = effort(requests, counter, &mut state.questions);
        if let Some(deadline) = self.deadline
            && let Some(pace) = state.meter.pace()
        {
            let left = deadline.left(&*self.clock);
            let before = state.taken.minus(state.done);
            let needed = |effort| with_margin(pace.time(effort));
            if needed(before.plus(effort)) > left {
                let way_out = match needed(effort) > self.whole {
                    true => "longer than the whole night, it needs a run without --until",
                    false => "the next run takes it first",
                };
                return Err(format!(
                    "it takes about {} and {} are left for it: {way_out}",
                    duration(needed(effort).as_secs_f64()),
                    duration(left.saturating_sub(needed(before)).as_secs_f64()),
                ));
            }
        }
        state.taken = state.taken.plus(effort);
        Ok(())
    }

    pub(super) fn asked(&self, request: &Request) {
        self.state().answers.insert(request.id, longest_answer(request));
    }

    pub(super) fn answered(&self, completion: &Completion) {
        let mut state = self.state();
        if let Some(max) = state.answers.remove(&completion.id) {
            state.done.answer_tokens_max += u64::from(max);
            state.meter.answer(completion.answer_tokens, max);
        }
    }

    /// Learns from one step of the engine.
    pub(super) fn stepped(&self, prompt_tokens: u64, answer_tokens: u64, took: Duration) {
        let mut state = self.state();
        state.done.prompt_tokens += prompt_tokens;
        state.meter.step(prompt_tokens, answer_tokens, took);
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// What all documents taken in asked for, and the pace as it is known now.
    pub(super) fn account(&self) -> (Effort, Option<Pace>) {
        let state = self.state();
        (state.taken, state.meter.pace())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A predicted time with what a night near its end adds to it.
pub(super) fn with_margin(time: Duration) -> Duration {
    let seconds = time.as_secs_f64() * f64::from(100 + FINISH_MARGIN_PERCENT) / 100.0;
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// What questions on one document ask of the engine: each chunk is read once, each question once.
/// `known` remembers the questions' own lengths.
pub(super) fn effort(
    requests: &[Request],
    counter: &dyn TokenCounter,
    known: &mut BTreeMap<Arc<str>, u64>,
) -> Effort {
    let mut effort = Effort::default();
    // A question that quotes its document is of no use to another.
    if known.len() > QUESTIONS_KNOWN_MAX {
        known.clear();
    }
    let mut chunk: Option<&Arc<str>> = None;
    for request in requests {
        // The questions on a chunk follow one another and share its text.
        if chunk.is_none_or(|chunk| !Arc::ptr_eq(chunk, &request.document)) {
            effort.prompt_tokens += counter.count(&request.document) as u64;
            chunk = Some(&request.document);
        }
        let count = || counter.count(&request.task) as u64;
        effort.prompt_tokens += *known.entry(request.task.clone()).or_insert_with(count);
        effort.answer_tokens_max += u64::from(longest_answer(request));
    }
    effort
}

/// The most tokens that the answer may have. Where it is one of given words it has far fewer than its limit: no
/// token is shorter than a byte, and one ends it.
fn longest_answer(request: &Request) -> u32 {
    let longest = |part: &Part| match part {
        Part::Literal(words) => Some(words.len()),
        Part::Choice { options, .. } => options.iter().map(|option| option.len()).max(),
        Part::Quote { .. } | Part::Pattern(_) | Part::Json(_) | Part::Text => None,
    };
    let bytes: Option<usize> = request.form.iter().map(longest).sum();
    let tokens = bytes.and_then(|bytes| u32::try_from(bytes + 1).ok());
    tokens.map_or(request.answer_tokens_max, |tokens| tokens.min(request.answer_tokens_max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Sampling;

    #[test]
    fn yes_or_no_is_not_foretold_as_long_as_a_text() {
        let request = |form| Request {
            id: 0,
            system: "".into(),
            document: "".into(),
            task: "".into(),
            form,
            answer_tokens_max: 60,
            sampling: Sampling::Greedy,
        };
        let yes_or_no = || Part::Choice { options: vec!["yes".into(), "no".into()], ends: None };
        assert_eq!(longest_answer(&request(vec![yes_or_no()])), 4);
        assert_eq!(longest_answer(&request(vec![Part::Literal("a: ".into()), yes_or_no()])), 7);
        assert_eq!(longest_answer(&request(vec![yes_or_no(), Part::Text])), 60);
        assert_eq!(longest_answer(&request(vec![Part::Literal("x".repeat(99).into())])), 60);
    }
}
