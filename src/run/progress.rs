//! What is told of a run while it works: one calm screen on a terminal, dated lines elsewhere, JSON lines
//! for programs, a file for a monitoring system. What the run came to is the cli's to say.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::closing::DocumentEnd;
use super::metrics::Metrics;
use crate::audit::Counts;
use crate::base::{Clock, Outcome, duration, one_line};

/// Lines for a person are so far apart at least, those for programs and the file of metrics, and what is
/// drawn on a screen.
const LINE_EVERY: Duration = Duration::from_secs(60);
const STATUS_EVERY: Duration = Duration::from_secs(10);
const DRAW_EVERY: Duration = Duration::from_millis(250);

/// Speed is that of the last minute.
const SPEED_OVER: Duration = Duration::from_secs(60);

/// Outcomes that a screen shows.
const RECENT_MAX: usize = 4;

/// Cells of the bar: what forty columns leave.
const BAR_CELLS: u64 = 10;

/// What a run works off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum What {
    #[default]
    Documents,
    /// Of a batch.
    Requests,
}

impl What {
    fn word(self) -> &'static str {
        match self {
            What::Documents => "documents",
            What::Requests => "requests",
        }
    }
}

/// How far the run is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    pub what: What,
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
    /// Questions that are being answered at once, how many that may be, and questions that wait.
    pub running: usize,
    pub slots: usize,
    pub waiting: usize,
}

/// What is said of a standing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sight {
    pub(super) standing: Standing,
    pub(super) counts: Counts,
    /// What is being done.
    pub(super) stage: String,
    /// Prompt and answer tokens a second, of the last minute.
    pub(super) speed: (f64, f64),
    pub(super) elapsed: Duration,
    /// None before the first answer.
    pub(super) left: Option<Duration>,
}

/// Shows a run's standing.
pub struct Progress {
    face: Face,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    metrics: Option<Metrics>,
}

enum Face {
    Screen(Screen),
    Lines,
    Json,
    Silent,
}

struct State {
    sight: Sight,
    began: Duration,
    /// When something was last told of the standing, and when the metrics were written.
    told_at: Option<Duration>,
    written_at: Option<Duration>,
    /// When the engine began, so that reading and loading do not count in what is left.
    engine_since: Option<Duration>,
    /// Prompt and answer tokens at times of the last minute.
    speeds: VecDeque<(Duration, u64, u64)>,
}

impl Progress {
    /// For a person on standard error: a screen where it is a terminal that can have one, else lines.
    pub fn new(clock: Arc<dyn Clock>, silent: bool) -> Progress {
        let face = match silent {
            true => Face::Silent,
            false => Screen::new().map_or(Face::Lines, Face::Screen),
        };
        Progress::with(face, clock)
    }

    /// For programs: JSON lines on standard output.
    pub fn json(clock: Arc<dyn Clock>) -> Progress {
        Progress::with(Face::Json, clock)
    }

    fn with(face: Face, clock: Arc<dyn Clock>) -> Progress {
        let state = State {
            sight: Sight::default(),
            began: clock.elapsed(),
            told_at: None,
            written_at: None,
            engine_since: None,
            speeds: VecDeque::new(),
        };
        Progress { face, clock, state: Mutex::new(state), metrics: None }
    }

    /// Keeps a file of metrics besides.
    pub fn and_metrics(self, metrics: Metrics) -> Progress {
        Progress { metrics: Some(metrics), ..self }
    }

    /// Tells what is being done, many times a second if need be: only a screen shows it.
    pub fn show(&self, message: &str) {
        if let Face::Screen(screen) = &self.face {
            screen.stage(message);
        }
    }

    /// Tells something once: a stage that begins, for instance.
    pub fn say(&self, message: &str) {
        let mut state = self.state();
        state.sight.stage = message.to_owned();
        match &self.face {
            Face::Screen(screen) => screen.stage(message),
            Face::Lines => self.line(message),
            Face::Json => self.status(&mut state),
            Face::Silent => {}
        }
    }

    /// Tells how a document ended, but for one that was not due.
    pub(super) fn document(&self, end: &DocumentEnd) {
        let mut state = self.state();
        *state.sight.counts.of_mut(end.outcome) += 1;
        if end.outcome == Outcome::Unchanged {
            return;
        }
        match &self.face {
            Face::Screen(screen) => screen.document(end),
            Face::Lines => self.line(&match end.reason.as_str() {
                "" => format!("{}: {}", end.outcome, end.path),
                reason => format!("{}: {}: {reason}", end.outcome, end.path),
            }),
            Face::Json => {
                let mut message = json!({ "message_type": "document", "time": self.now() });
                merge(&mut message, json!(end));
                message_line(&message);
            }
            Face::Silent => {}
        }
    }

    /// Changes the standing and tells it where it is time to.
    pub fn update(&self, change: impl FnOnce(&mut Standing)) {
        let mut state = self.state();
        change(&mut state.sight.standing);
        let now = self.clock.elapsed();
        state.look(now);
        let due =
            |every: Duration| state.told_at.is_none_or(|told| now.saturating_sub(told) >= every);
        match &self.face {
            Face::Screen(screen) if due(DRAW_EVERY) => {
                state.told_at = Some(now);
                let end = state.sight.left.map(|left| local_time(self.clock.now(), left));
                screen.standing(&state.sight, end);
            }
            Face::Lines if due(LINE_EVERY) => {
                state.told_at = Some(now);
                self.line(&state.sight.sentence());
            }
            Face::Json if due(STATUS_EVERY) => self.status(&mut state),
            _ => {}
        }
        if state.written_at.is_none_or(|at| now.saturating_sub(at) >= STATUS_EVERY) {
            state.written_at = Some(now);
            self.write_metrics(&state.sight, None);
        }
    }

    /// Takes the screen away; lines stay.
    pub fn finish(&self) {
        if let Face::Screen(screen) = &self.face {
            screen.clear();
        }
    }

    /// The run is over, with this exit code.
    pub fn ended(&self, exit_code: u8) {
        self.finish();
        self.write_metrics(&self.state().sight, Some(exit_code));
    }

    fn write_metrics(&self, sight: &Sight, exit_code: Option<u8>) {
        let Some(metrics) = &self.metrics else { return };
        if let Err(error) = metrics.write(sight, self.clock.now(), exit_code) {
            // The night is worth more than its metrics.
            self.line(&format!("the metrics cannot be written: {error}"));
        }
    }

    fn status(&self, state: &mut State) {
        state.told_at = Some(self.clock.elapsed());
        let mut message = json!({ "message_type": "status", "time": self.now() });
        merge(&mut message, state.sight.facts());
        message_line(&message);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> String {
        self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    fn line(&self, message: &str) {
        // Nobody may be listening any more; the night goes on.
        let _ = writeln!(io::stderr().lock(), "{} {}", self.now(), one_line(message));
    }
}

/// A line of JSON on standard output. Nobody may be listening any more; the night goes on.
fn message_line(message: &serde_json::Value) {
    let _ = writeln!(io::stdout().lock(), "{message}");
}

fn merge(message: &mut serde_json::Value, more: serde_json::Value) {
    if let (Some(message), serde_json::Value::Object(more)) = (message.as_object_mut(), more) {
        message.extend(more);
    }
}

/// What the clocks here will show.
fn local_time(now: Timestamp, left: Duration) -> String {
    let left = SignedDuration::try_from(left).unwrap_or(SignedDuration::MAX);
    let end = now.checked_add(left).unwrap_or(Timestamp::MAX);
    end.to_zoned(TimeZone::system()).strftime("%H:%M").to_string()
}

impl State {
    /// Brings speed and time left up to date.
    fn look(&mut self, now: Duration) {
        let Standing { prompt_tokens, answer_tokens, .. } = self.sight.standing;
        if self.speeds.back().is_none_or(|(at, ..)| now.saturating_sub(*at).as_secs() >= 1) {
            self.speeds.push_back((now, prompt_tokens, answer_tokens));
        }
        while self.speeds.len() > 2
            && self.speeds.get(1).is_some_and(|(at, ..)| now.saturating_sub(*at) >= SPEED_OVER)
        {
            self.speeds.pop_front();
        }
        if let Some((at, prompt, answer)) = self.speeds.front() {
            let seconds = now.saturating_sub(*at).as_secs_f64();
            let per_second =
                |tokens: u64| if seconds < 1.0 { 0.0 } else { tokens as f64 / seconds };
            let read = per_second(prompt_tokens.saturating_sub(*prompt));
            self.sight.speed = (read, per_second(answer_tokens.saturating_sub(*answer)));
        }
        let since = *self.engine_since.get_or_insert(now);
        let worked = now.saturating_sub(since).as_secs_f64();
        let left = share_done(&self.sight.standing).map(|share| worked * (1.0 - share) / share);
        self.sight.left = left.and_then(|left| Duration::try_from_secs_f64(left).ok());
        self.sight.elapsed = now.saturating_sub(self.began);
    }
}

impl Sight {
    /// For a line.
    fn sentence(&self) -> String {
        let Standing { documents, documents_done, pages_done, running, slots, waiting, .. } =
            self.standing;
        let left = match self.left {
            Some(left) => format!("about {} left", duration(left.as_secs() as f64)),
            None => "time left unknown yet".to_owned(),
        };
        let (read, written) = self.speed;
        format!(
            "{documents_done}/{documents} {}, {pages_done} pages, {read:.0} prompt + {written:.1} answer \
             tokens/s, batch {running} of {slots}, {waiting} waiting, {left}",
            self.standing.what.word()
        )
    }

    /// For a program.
    fn facts(&self) -> serde_json::Value {
        let Standing { documents, documents_done, pages_done, .. } = self.standing;
        json!({
            "stage": self.stage,
            "seconds_elapsed": self.elapsed.as_secs(),
            "seconds_remaining": self.left.map(|left| left.as_secs()),
            "percent_done": share_done(&self.standing).map(|share| (share * 1000.0).round() / 1000.0),
            "documents": documents,
            "documents_done": documents_done,
            "error_count": self.to_look_at(),
            "pages_done": pages_done,
            "prompt_tokens": self.standing.prompt_tokens,
            "answer_tokens": self.standing.answer_tokens,
            "tokens_per_second": ((self.speed.0 + self.speed.1) * 10.0).round() / 10.0,
            "running": self.standing.running,
            "slots": self.standing.slots,
            "waiting": self.standing.waiting,
        })
    }

    /// Documents that a person must look at.
    fn to_look_at(&self) -> u64 {
        let Counts { partial, refused, failed, quarantined, .. } = self.counts;
        partial + refused + failed + quarantined
    }

    /// For a screen: each line is short, so that a narrow terminal cuts nothing that matters.
    fn lines(&self, end: Option<String>) -> [String; 4] {
        let Standing { documents, documents_done, pages_done, running, slots, waiting, .. } =
            self.standing;
        let share = share_done(&self.standing).unwrap_or(0.0).clamp(0.0, 1.0);
        let cells = (share * BAR_CELLS as f64).floor() as usize;
        let bar = "█".repeat(cells) + &"░".repeat(BAR_CELLS as usize - cells);
        let left = match (self.left, end) {
            (Some(left), Some(end)) => format!("{} left, {end}", duration(left.as_secs() as f64)),
            _ => "no answer yet".to_owned(),
        };
        let look = match self.to_look_at() {
            0 => String::new(),
            count => format!(", {count} to look at"),
        };
        [
            format!("{:>3.0} % {bar} {left}", share * 100.0),
            format!("{} {documents_done} of {documents}{look}", self.standing.what.word()),
            format!("pages {pages_done}, {:.0} tokens a second", self.speed.0 + self.speed.1),
            format!("batch {running} of {slots}, {waiting} waiting"),
        ]
    }
}

/// A few lines of a terminal, written over in place. No colours: words say what matters.
struct Screen {
    all: MultiProgress,
    stage: ProgressBar,
    /// The standing's, then those of the last outcomes; made when they are first needed.
    lines: Mutex<Vec<ProgressBar>>,
    recent: Mutex<VecDeque<String>>,
}

impl Screen {
    /// None where standard error is no terminal, or one that cannot move its cursor (`TERM=dumb`).
    fn new() -> Option<Screen> {
        let target = ProgressDrawTarget::stderr_with_hz(8);
        if target.is_hidden() {
            return None;
        }
        let all = MultiProgress::with_draw_target(target);
        let stage = all.add(Screen::bar());
        Some(Screen { all, stage, lines: Mutex::default(), recent: Mutex::default() })
    }

    fn bar() -> ProgressBar {
        let bar = ProgressBar::no_length();
        bar.with_style(ProgressStyle::with_template("{wide_msg}").expect("it is constant"))
    }

    fn stage(&self, message: &str) {
        self.stage.set_message(message.to_owned());
    }

    fn document(&self, end: &DocumentEnd) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == RECENT_MAX {
            recent.pop_front();
        }
        // A name may hold what moves a cursor.
        let line = format!("{:<11} {} {}", end.outcome, end.path, end.reason);
        recent.push_back(one_line(&line).into_owned());
    }

    fn standing(&self, sight: &Sight, end: Option<String>) {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let told = sight.lines(end).into_iter().chain(recent.iter().cloned());
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, message) in told.enumerate() {
            if at == lines.len() {
                lines.push(self.all.add(Screen::bar()));
            }
            lines[at].set_message(message);
        }
    }

    fn clear(&self) {
        // A terminal that has gone away needs no clearing.
        let _ = self.all.clear();
    }
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
    fn speed_is_that_of_the_last_minute() {
        let clock: Arc<dyn Clock> = Arc::new(crate::base::SystemClock::new());
        let progress = Progress::new(clock, true);
        let mut state = progress.state();
        for second in 0..200 {
            // Ten times as fast after a slow beginning.
            let tokens = if second < 100 { second } else { 100 + (second - 100) * 10 };
            state.sight.standing.prompt_tokens = tokens;
            state.look(Duration::from_secs(second));
        }
        assert_eq!(state.sight.speed, (10.0, 0.0));
        assert!(state.speeds.len() <= 62, "{}", state.speeds.len());
    }

    #[test]
    fn the_lines_of_a_screen_fit_forty_columns() {
        let standing = Standing {
            documents: 5000,
            documents_done: 4711,
            pages_done: 123_456,
            bytes: 100,
            bytes_read: 100,
            questions_done: 9,
            running: 2,
            slots: 16,
            waiting: 1234,
            ..Standing::default()
        };
        let counts = Counts { failed: 12, ..Counts::default() };
        let left = Some(Duration::from_secs(36_000));
        let sight = Sight { standing, counts, left, speed: (999.0, 99.0), ..Sight::default() };
        let lines = sight.lines(Some("06:00".into()));
        let widths = lines.each_ref().map(|line| line.chars().count());
        assert!(widths.iter().all(|width| *width <= 40), "{lines:?}");
        assert_eq!(lines[1], "documents 4711 of 5000, 12 to look at");
    }
}
