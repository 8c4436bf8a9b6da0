//! The questions of a summary: what is asked first, what is asked once more because it was not borne out,
//! and what follows once all is answered.

use std::sync::Arc;

use super::{Ask, Step, Work};
use crate::assemble::claims::Ground;
use crate::assemble::clauses::Clauses;
use crate::assemble::columns;
use crate::assemble::summary::{Draft, Line, checked, headings, unsupported};
use crate::base::TokenCounter;
use crate::jobs::{Aspect, DayOrder, Task, TaskKind};
use crate::prompt::{self, Request};

impl Work {
    /// Asks about the aspects and the chunks of every summary, or about the tables.
    pub(super) fn first_lines(
        &mut self,
        clauses: &Clauses,
        counter: &dyn TokenCounter,
        ids: &mut dyn FnMut() -> u64,
    ) -> Vec<Request> {
        let mut requests = Vec::new();
        for task in 0..self.tasks.len() {
            let asked = self.tasks[task].clone();
            let TaskKind::Summarize { length, .. } = &asked.kind else { continue };
            let (aspects, chunks) = (aspects(&asked), &self.chunked.chunks);
            self.headings = headings(chunks, clauses);
            let mut draft = Draft::new(*length, aspects, chunks, clauses);
            if columns::is_tabular(self.source.format) && !chunks.is_empty() {
                draft.table = self.table(task, counter);
            }
            for line in draft.first(aspects, chunks.len()) {
                requests.push(self.ask_line(task, &draft, line, ids()));
            }
            self.drafts.insert(task, draft);
        }
        requests
    }

    /// The tables' facts, and as many of them as fit with as many of the first rows.
    fn table(
        &self,
        task: usize,
        counter: &dyn TokenCounter,
    ) -> Option<(Vec<crate::assemble::TableFacts>, Arc<str>)> {
        let tables = columns::tables(&self.document);
        let facts = columns::facts(&tables, self.order(task));
        if facts.is_empty() {
            return None;
        }
        let mut text = String::new();
        for line in facts.iter().flat_map(columns::lines) {
            let longer = text.clone() + &line + "\n";
            if counter.count(&longer) > self.budget {
                break;
            }
            text = longer;
        }
        let room = self.budget.saturating_sub(counter.count(&text));
        let rows = columns::sample(&tables, &|rows| counter.count(rows) <= room);
        Some((facts, prompt::shown(&(text + &rows))))
    }

    fn order(&self, task: usize) -> Option<DayOrder> {
        self.tasks[task].day_order.or(self.day_order)
    }

    fn ask_line(&mut self, task: usize, draft: &Draft, line: Line, id: u64) -> Request {
        self.open.insert(id, Ask::first(task, Step::Line(line)));
        self.line_request(task, draft, line, id)
    }

    /// A line's question: the same each time.
    fn line_request(&self, task: usize, draft: &Draft, line: Line, id: u64) -> Request {
        let asked = &self.tasks[task];
        let words = draft.words(line, aspects(asked));
        match line {
            Line::Aspect { aspect } => {
                let opening = || self.passages[0].document();
                let shown = draft.bases[aspect].shown.as_ref().unwrap_or_else(opening);
                prompt::ask_aspect(id, asked, shown, &aspects(asked)[aspect], words)
            }
            Line::Note { chunk } => prompt::ask_note(id, asked, &self.passages[chunk], words),
            Line::Reduce { group, .. } => {
                let notes = draft.groups.get(group).map_or(&[][..], |group| &group.texts);
                prompt::ask_reduce(id, asked, notes, words)
            }
            Line::Table => {
                let shown = draft.table.as_ref().map_or_else(|| "".into(), |table| table.1.clone());
                prompt::ask_table(id, asked, &shown, words)
            }
        }
    }

    /// What an answer to `line` has to be borne out by: what the model was shown, or of notes that it
    /// joins, the text that they are on.
    fn ground(&self, task: usize, draft: &Draft, line: Line) -> Ground {
        let text = match line {
            Line::Aspect { aspect } => match &draft.bases[aspect].shown {
                Some(shown) => shown.to_string(),
                None => self.chunked.chunks[0].text.clone(),
            },
            Line::Note { chunk } => self.chunked.chunks[chunk].text.clone(),
            Line::Reduce { group, .. } => {
                let chunks = &self.chunked.chunks[draft.chunks_of(group)];
                chunks.iter().map(|chunk| chunk.text.as_str()).collect::<Vec<_>>().join("\n")
            }
            Line::Table => {
                draft.table.as_ref().map_or_else(String::new, |table| table.1.to_string())
            }
        };
        Ground::new(&text, self.order(task))
    }

    /// Once a line is answered: asks it once more where the first answer is not borne out, and the next
    /// level of the tree where nothing else is open.
    pub(super) fn line_on(
        &mut self,
        ask: Ask,
        line: Line,
        counter: &dyn TokenCounter,
        ids: &mut dyn FnMut() -> u64,
    ) -> Vec<Request> {
        let Some(mut draft) = self.drafts.remove(&ask.task) else { return Vec::new() };
        let ground = self.ground(ask.task, &draft, line);
        let answer = |again: bool| {
            let text = prompt::read_line(self.answers.get(&Ask { again, ..ask })?)?;
            Some(checked(&text, &ground, self.order(ask.task)))
        };
        let (first, again) = (answer(false), answer(true));
        let unborne = unsupported(first.as_deref().unwrap_or_default());
        let mut requests = Vec::new();
        if !ask.again && !unborne.is_empty() {
            let question = self.line_request(ask.task, &draft, line, 0);
            let request = prompt::ask_again(ids(), &question, &unborne);
            self.open.insert(request.id, Ask { again: true, ..ask });
            requests.push(request);
        } else {
            draft.settle(line, first, again);
            let waits = |ask_: &Ask| ask_.task == ask.task && matches!(ask_.step, Step::Line(_));
            if !self.open.values().any(waits) {
                let asked = self.tasks[ask.task].clone();
                let chunks = &self.chunked.chunks;
                let next = draft.climb(aspects(&asked), chunks, self.budget, counter);
                for line in next {
                    requests.push(self.ask_line(ask.task, &draft, line, ids()));
                }
            }
        }
        self.drafts.insert(ask.task, draft);
        requests
    }
}

fn aspects(task: &Task) -> &[Aspect] {
    match &task.kind {
        TaskKind::Summarize { aspects, .. } => aspects,
        TaskKind::Extract { .. } => &[],
    }
}
