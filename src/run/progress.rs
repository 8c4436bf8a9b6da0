//! What a person sees while the run works: a bar on a terminal, dated lines elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::base::{Clock, Outcome};

/// Without a terminal, a line at least this often.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// How far the run is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    pub documents: usize,
    pub documents_done: usize,
    pub pages_done: u64,
    /// Bytes of the inputs, the only size known of a document before it is read.
    pub bytes: u64,
    /// Of those, bytes of documents whose questions are with the engine or answered.
    pub bytes_read: u64,
    pub questions_done: u64,
    /// Prompt and answer tokens that the engine has worked off.
    pub prompt_tokens: u64,
    pub answer_tokens: u64,
    pub running: usize,
    pub waiting: usize,
}

/// Shows a run's standing on standard error.
pub struct Progress {
    face: Face,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

enum Face {
    Bar(ProgressBar),
    Lines,
    Silent,
}

struct State {
    standing: Standing,
    line_at: Duration,
    /// When the engine began, so that reading and loading do not count in its speed.
    engine_since: Option<Duration>,
}

impl Progress {
    pub fn new(clock: Arc<dyn Clock>, silent: bool) -> Progress {
        let face = if silent {
            Face::Silent
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(4));
            let style = ProgressStyle::with_template("{spinner} {wide_msg}");
            bar.set_style(style.expect("the template is constant"));
            Face::Bar(bar)
        } else {
            Face::Lines
        };
        let state =
            State { standing: Standing::default(), line_at: clock.elapsed(), engine_since: None };
        Progress { face, clock, state: Mutex::new(state) }
    }

    /// Tells what is being done, many times a second if need be: only a terminal shows it.
    pub fn show(&self, message: &str) {
        if let Face::Bar(bar) = &self.face {
            bar.set_message(message.to_owned());
        }
    }

    /// Tells something once: a stage that begins, for instance.
    pub fn say(&self, message: &str) {
        match &self.face {
            Face::Bar(bar) => bar.set_message(message.to_owned()),
            Face::Lines => self.line(message),
            Face::Silent => {}
        }
    }

    /// Marks a document as ended.
    pub fn document(&self, path: &str, outcome: Outcome, reason: &str) {
        let message = match reason {
            "" => format!("{outcome}: {path}"),
            reason => format!("{outcome}: {path}: {reason}"),
        };
        match &self.face {
            Face::Bar(bar) => bar.println(message),
            Face::Lines => self.line(&message),
            Face::Silent => {}
        }
    }

    /// Changes the standing and shows it where it is time to.
    pub fn update(&self, change: impl FnOnce(&mut Standing)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state.standing);
        let now = self.clock.elapsed();
        let since = *state.engine_since.get_or_insert(now);
        let message = describe(&state.standing, now.saturating_sub(since));
        match &self.face {
            Face::Bar(bar) => bar.set_message(message),
            Face::Lines if now.saturating_sub(state.line_at) >= LINE_EVERY => {
                state.line_at = now;
                self.line(&message);
            }
            Face::Lines | Face::Silent => {}
        }
    }

    /// Takes the bar away; lines stay.
    pub fn finish(&self) {
        if let Face::Bar(bar) = &self.face {
            bar.finish_and_clear();
        }
    }

    fn line(&self, message: &str) {
        let now = self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ");
        // Nobody may be listening any more; the night goes on.
        let _ = writeln!(std::io::stderr().lock(), "{now} {message}");
    }
}

fn describe(standing: &Standing, worked: Duration) -> String {
    let seconds = worked.as_secs_f64();
    let per_second = |tokens: u64| if seconds < 1.0 { 0.0 } else { tokens as f64 / seconds };
    let left = match share_done(standing) {
        Some(share) => format!("about {} left", minutes(seconds * (1.0 - share) / share)),
        None => "time left unknown yet".to_owned(),
    };
    format!(
        "{}/{} documents, {} pages, {:.0} prompt + {:.1} answer tokens/s, {} running, {} waiting, {left}",
        standing.documents_done,
        standing.documents,
        standing.pages_done,
        per_second(standing.prompt_tokens),
        per_second(standing.answer_tokens),
        standing.running,
        standing.waiting,
    )
}

/// The share of the work that is done: questions answered (a running one counts half) of those known,
/// taken for all documents by the bytes that have been read. None before the first answer.
fn share_done(standing: &Standing) -> Option<f64> {
    if standing.questions_done == 0 || standing.bytes_read == 0 {
        return None;
    }
    let running = standing.running as f64 / 2.0;
    let done = standing.questions_done as f64 + running;
    let known = done + running + standing.waiting as f64;
    let all = known * (standing.bytes as f64 / standing.bytes_read as f64).max(1.0);
    Some(done / all)
}

/// Seconds as a person says them: 42 s, 3 min, 2 h 05 min.
pub fn minutes(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..=89 => format!("{whole} s"),
        90..=5399 => format!("{} min", (whole + 30) / 60),
        _ => format!("{} h {:02} min", (whole + 30) / 3600, (whole + 30) % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_counts_documents_that_nobody_has_read_yet() {
        let mut standing = Standing { questions_done: 10, waiting: 10, ..Standing::default() };
        assert_eq!(share_done(&standing), None, "nothing is read");
        (standing.bytes, standing.bytes_read) = (400, 400);
        assert_eq!(share_done(&standing), Some(0.5));
        standing.bytes_read = 100;
        assert_eq!(share_done(&standing), Some(0.125));
    }

    #[test]
    fn time_is_told_in_the_unit_that_fits() {
        assert_eq!(minutes(42.4), "42 s");
        assert_eq!(minutes(150.0), "3 min");
        assert_eq!(minutes(7500.0), "2 h 05 min");
    }
}
