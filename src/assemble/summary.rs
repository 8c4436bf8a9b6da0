//! A summary on its way: what each of its questions is asked of, what was said, the tree that joins notes
//! until they are as long as was asked for, and the finished text with the passages it rests on.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use super::candidates::number_before;
use super::claims::Ground;
use super::clauses::{Clause, Clauses};
use super::evidence::{LEXICAL, evidence};
use super::fidelity::departs;
use super::lexical::{Place, Sentences, content, key, sentences_of, squeeze};
use super::normal::{amounts, dates, durations};
use super::record::{Evidence, FactCheck, Point, Summary, TableFacts};
use crate::base::{TokenCounter, Warning};
use crate::chunk::{Chunk, sentences};
use crate::extract::Document;
use crate::jobs::{Aspect, DayOrder, FieldType, Position};
use crate::prompt::shown;

/// Passages that an aspect is asked of, and words of all of them.
const PASSAGES_MAX: usize = 5;
const PASSAGE_WORDS_MAX: usize = 420;
/// Words of a passage: fewer are a heading or a line of a form.
const PASSAGE_WORDS_MIN: usize = 6;
/// Passages that stand for themselves, and words of each.
const VERBATIM_MAX: usize = 2;
const VERBATIM_WORDS_MAX: usize = 40;
/// Content words of a sentence under which it says almost nothing.
const CONTENT_MIN: usize = 5;
/// Passages of an aspect that may stand for themselves where no sentence rests on them.
const UNSAID_MAX: usize = 3;
/// A passage that holds an amount, a date or a length of time where the aspect is of one weighs so much
/// more.
const OF_TYPE: u64 = 2;
/// Words of one answer, at least and at most.
const OPENING_WORDS: (usize, usize) = (20, 60);
const ASPECT_WORDS: (usize, usize) = (12, 45);
const NOTE_WORDS: (usize, usize) = (15, 45);
/// Tokens of a reduce step's document that are not notes: its frame.
const FRAME_TOKENS: usize = 16;
/// Bytes at its beginning in which a document says of what kind it is.
const OPENING_BYTES: usize = 400;
/// How a model says that there is nothing to say.
const NOTHING: [&str; 14] = [
    "does not specify",
    "does not mention",
    "does not state",
    "does not provide",
    "does not contain",
    "does not include",
    "do not specify",
    "do not mention",
    "not specified",
    "not mentioned",
    "not stated",
    "not provided",
    "no information",
    "no mention",
];

/// One question of a summary. Their order is the order of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    /// An aspect (index) of the task.
    Aspect { aspect: usize },
    /// What a table's facts come to.
    Table,
    /// A note on a chunk (index).
    Note { chunk: usize },
    /// A group of the notes of one level of the tree.
    Reduce { level: usize, group: usize },
}

/// A sentence of an answer, held against what the model was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub text: String,
    /// Figures and names in it.
    pub stated: u32,
    /// Those that are not in what was shown, as written.
    pub unsupported: Vec<String>,
}

/// The sentences of `text`, held against `ground`.
pub(super) fn checked(text: &str, ground: &Ground, order: Option<DayOrder>) -> Vec<Checked> {
    let whole = sentences(text).into_iter().map(|range| text[range].trim().to_owned());
    let checked = whole.filter(|text| !text.is_empty()).map(|text| {
        let (stated, unsupported) = ground.check(&text, order);
        Checked { text, stated, unsupported }
    });
    checked.collect()
}

pub(super) fn unsupported(said: &[Checked]) -> Vec<String> {
    let mut named: Vec<String> = Vec::new();
    for word in said.iter().flat_map(|one| &one.unsupported) {
        if !named.contains(word) {
            named.push(word.clone());
        }
    }
    named
}

fn word_count(text: &str) -> usize {
    text.split_whitespace().count()
}

/// What an aspect is asked of.
pub(super) struct Basis {
    /// In the document's order.
    pub places: Vec<Place>,
    /// As the model is shown it; none of the opening, which is shown as its chunk, and of an aspect whose
    /// passages stand for themselves.
    pub shown: Option<Arc<str>>,
}

/// Notes on a run of chunks, as one.
#[derive(Clone, Debug)]
pub(super) struct Partial {
    /// Indices of the chunks.
    pub chunks: Range<usize>,
    pub said: Vec<Checked>,
}

impl Partial {
    /// The note on all that `partials` are of: `said`, or where the model gave none, theirs one after the
    /// other.
    fn joined(partials: &[Partial], said: Option<Vec<Checked>>) -> Partial {
        let first = partials.iter().map(|partial| partial.chunks.start).min().unwrap_or(0);
        let last = partials.iter().map(|partial| partial.chunks.end).max().unwrap_or(0);
        let theirs = || partials.iter().flat_map(|one| one.said.iter().cloned()).collect();
        Partial { chunks: first..last, said: said.unwrap_or_else(theirs) }
    }

    fn words(&self) -> usize {
        self.said.iter().map(|one| word_count(&one.text)).sum()
    }

    /// As the reduce step reads it, in at most `budget` tokens, and whether sentences had to go.
    fn text(&self, budget: usize, counter: &dyn TokenCounter) -> (String, usize, bool) {
        let of = match self.chunks.len() {
            1 => format!("[part {}]", self.chunks.end),
            _ => format!("[parts {} to {}]", self.chunks.start + 1, self.chunks.end),
        };
        let mut said: Vec<&str> = self.said.iter().map(|one| one.text.as_str()).collect();
        let all = said.len();
        loop {
            let text = format!("{of} {}", said.join(" "));
            let tokens = counter.count(&text);
            if tokens <= budget || said.pop().is_none() {
                return (text, tokens, said.len() < all);
            }
        }
    }
}

/// Adjoining notes that the model is asked to make one of.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Indices of the partials.
    pub partials: Range<usize>,
    pub texts: Vec<String>,
    /// Sentences were dropped to make two notes fit.
    pub shortened: bool,
}

/// `partials` in groups of at most `size` that fit `budget` tokens, never one alone but perhaps the last:
/// a note that takes more than half is shortened.
fn groups(
    partials: &[Partial],
    size: usize,
    budget: usize,
    counter: &dyn TokenCounter,
) -> Vec<Group> {
    let budget = budget.saturating_sub(FRAME_TOKENS).max(2);
    let mut groups: Vec<Group> = Vec::new();
    let mut tokens = 0;
    for (index, partial) in partials.iter().enumerate() {
        let (text, cost, shortened) = partial.text(budget / 2, counter);
        match groups.last_mut() {
            Some(group) if group.texts.len() < size && tokens + cost <= budget => {
                group.partials.end = index + 1;
                group.texts.push(text);
                group.shortened |= shortened;
                tokens += cost;
            }
            _ => {
                groups.push(Group { partials: index..index + 1, texts: vec![text], shortened });
                tokens = cost;
            }
        }
    }
    groups
}

/// A summary on its way.
pub(super) struct Draft {
    /// Most words of all of it.
    length: usize,
    /// One for each aspect.
    pub bases: Vec<Basis>,
    /// Titles of aspects that are expected and that no passage speaks of.
    missing: Vec<String>,
    /// Of a document that is tables: the facts, and how the model is shown them.
    pub table: Option<(Vec<TableFacts>, Arc<str>)>,
    pub said: BTreeMap<Line, Vec<Checked>>,
    check: FactCheck,
    /// Levels of the tree that are done; level 0 is the notes on chunks.
    level: usize,
    /// Of the last level done.
    partials: Vec<Partial>,
    /// Of the level that is asked now.
    pub groups: Vec<Group>,
    /// Notes were shortened to fit.
    pub shortened: bool,
    pub finished: bool,
}

impl Draft {
    pub(super) fn new(
        length: usize,
        aspects: &[Aspect],
        chunks: &[Chunk],
        clauses: &Clauses,
    ) -> Draft {
        let opening = chunks
            .first()
            .map_or("", |chunk| &chunk.text[..chunk.text.floor_char_boundary(OPENING_BYTES)]);
        let opening = key(opening);
        let bases: Vec<Basis> =
            aspects.iter().map(|aspect| basis(aspect, chunks, clauses)).collect();
        let holds = |words: &String| opening.contains(&key(words));
        let missing = aspects.iter().zip(&bases).filter(|(aspect, basis)| {
            basis.places.is_empty() && aspect.expected_in.iter().any(holds)
        });
        let missing = missing.map(|(aspect, _)| aspect.field.name.clone()).collect();
        Draft {
            length,
            bases,
            missing,
            table: None,
            said: BTreeMap::new(),
            check: FactCheck::default(),
            level: 0,
            partials: Vec::new(),
            groups: Vec::new(),
            shortened: false,
            finished: false,
        }
    }

    /// What is asked first.
    pub(super) fn first(&self, aspects: &[Aspect], chunks: usize) -> Vec<Line> {
        if self.table.is_some() {
            return vec![Line::Table];
        }
        let mut lines = Vec::new();
        for (aspect, (of, basis)) in aspects.iter().zip(&self.bases).enumerate() {
            if !of.verbatim && !basis.places.is_empty() {
                lines.push(Line::Aspect { aspect });
            }
        }
        lines.extend((0..chunks).map(|chunk| Line::Note { chunk }));
        lines
    }

    /// Words that the answer to `line` may have.
    pub(super) fn words(&self, line: Line, aspects: &[Aspect]) -> usize {
        let opens = |aspect: &Aspect| aspect.field.position == Position::Opening;
        let asked = aspects.iter().zip(&self.bases).filter(|(aspect, basis)| {
            !aspect.verbatim && !opens(aspect) && !basis.places.is_empty()
        });
        let (share, (least, most)) = match line {
            Line::Aspect { aspect } if opens(&aspects[aspect]) => (self.length / 5, OPENING_WORDS),
            Line::Aspect { .. } => (self.length / (2 * asked.count().max(1)), ASPECT_WORDS),
            Line::Table => (self.length / 4, OPENING_WORDS),
            Line::Note { .. } | Line::Reduce { .. } => (self.length / 4, NOTE_WORDS),
        };
        share.clamp(least, most)
    }

    /// Chunks that the answer to a reduce step is about.
    pub(super) fn chunks_of(&self, group: usize) -> Range<usize> {
        let partials = self.groups.get(group).map_or(0..0, |group| group.partials.clone());
        Partial::joined(&self.partials[partials], None).chunks
    }

    /// Takes the answers to a question: the first, and the second where it was asked once more. What names
    /// less that is not borne out is kept.
    pub(super) fn settle(
        &mut self,
        line: Line,
        first: Option<Vec<Checked>>,
        again: Option<Vec<Checked>>,
    ) {
        let wrong = |said: &[Checked]| said.iter().map(|one| one.unsupported.len()).sum::<usize>();
        let before = first.as_deref().unwrap_or_default();
        self.check.first_stated += before.iter().map(|one| one.stated).sum::<u32>();
        self.check.first_unsupported += wrong(before) as u32;
        self.check.asked_again += u32::from(wrong(before) > 0);
        let better = again.filter(|again| wrong(again) < wrong(before));
        if let Some(said) = better.or(first) {
            self.said.insert(line, said);
        }
    }

    /// Once a level of the tree is answered whole: the groups to be asked next, by index. None: the notes
    /// are as short as was asked for, or are one.
    pub(super) fn climb(
        &mut self,
        aspects: &[Aspect],
        chunks: &[Chunk],
        budget: usize,
        counter: &dyn TokenCounter,
    ) -> Vec<Line> {
        if self.level == 0 {
            let note = |chunk: usize| self.said.get(&Line::Note { chunk }).cloned();
            let notes = (0..chunks.len()).filter_map(|chunk| Some((chunk, note(chunk)?)));
            self.partials =
                notes.map(|(chunk, said)| Partial { chunks: chunk..chunk + 1, said }).collect();
        } else {
            let level = self.level;
            let groups = self.groups.iter().enumerate();
            let done = groups.map(|(group, of)| match &self.partials[of.partials.clone()] {
                [alone] => alone.clone(),
                several => {
                    let said = self.said.get(&Line::Reduce { level, group }).cloned();
                    Partial::joined(several, said)
                }
            });
            self.partials = done.collect();
        }
        let room = self.room(aspects, chunks);
        let words: usize = self.partials.iter().map(Partial::words).sum();
        self.groups.clear();
        if words > room && self.partials.len() > 1 {
            let note = self.words(Line::Reduce { level: 0, group: 0 }, aspects);
            let size = self.partials.len().div_ceil((room / note).max(1)).max(2);
            self.groups = groups(&self.partials, size, budget, counter);
        }
        self.finished = self.groups.is_empty() || self.groups.len() == self.partials.len();
        if self.finished {
            return Vec::new();
        }
        self.level += 1;
        let several = self.groups.iter().enumerate().filter(|(_, group)| group.texts.len() > 1);
        self.shortened |= several.clone().any(|(_, group)| group.shortened);
        several.map(|(group, _)| Line::Reduce { level: self.level, group }).collect()
    }

    /// Words that are left for notes: a fourth of all at least.
    fn room(&self, aspects: &[Aspect], chunks: &[Chunk]) -> usize {
        let lines = self.lines(aspects, chunks);
        let said = lines.iter().filter(|line| !matches!(line.rank, Rank::Unsaid(_)));
        let said: usize = said.map(|line| word_count(&line.checked.text)).sum();
        self.length.saturating_sub(said).max(self.length / 4)
    }

    /// What was said of the aspects, sentence by sentence.
    fn lines(&self, aspects: &[Aspect], chunks: &[Chunk]) -> Vec<Sentence> {
        let mut lines = Vec::new();
        for (index, (aspect, basis)) in aspects.iter().zip(&self.bases).enumerate() {
            let about = aspect.field.name.as_str();
            if aspect.verbatim {
                for (rank, place) in basis.places.iter().enumerate() {
                    let rank = if rank == 0 { Rank::Aspect } else { Rank::MoreOfAspect };
                    lines.push(Sentence::verbatim(rank, about, place, chunks));
                }
                continue;
            }
            let opens = aspect.field.position == Position::Opening;
            let said = self.said.get(&Line::Aspect { aspect: index });
            let rank = if opens { Rank::Opening } else { Rank::Aspect };
            push_said(&mut lines, said, rank, about, &basis.places);
            if !opens {
                let unsaid = basis.places.iter().take(UNSAID_MAX).enumerate();
                lines.extend(unsaid.map(|(nth, place)| {
                    Sentence::verbatim(Rank::Unsaid(nth), about, place, chunks)
                }));
            }
        }
        lines
    }

    /// The finished summary: of all sentences the most important that its length takes, each with the
    /// passages it rests on. One that rests on none is left out, and a warning repeats it; there is one,
    /// too, for each figure and name that is not borne out.
    pub(super) fn finish(
        &self,
        aspects: &[Aspect],
        document: &Document,
        (chunks, headings): (&[Chunk], &[Heading]),
        warnings: &mut Vec<Warning>,
    ) -> Summary {
        let mut lines = self.lines(aspects, chunks);
        push_said(&mut lines, self.said.get(&Line::Table), Rank::Opening, "", &[]);
        // Where no aspect says what the document is, the first note has to.
        let mut opens = lines.iter().all(|line| line.rank != Rank::Opening);
        for partial in &self.partials {
            let mut among = sentences_of(chunks, partial.chunks.clone());
            among.retain(|(chunk, range)| !is_signature(&chunks[*chunk].text[range.clone()]));
            let about = title(headings, chunks, &partial.chunks);
            let rank = if opens { Rank::Opening } else { Rank::Note };
            push_said(&mut lines, Some(&partial.said), rank, &about, &among);
            opens = false;
        }
        let mut support = Support { document, chunks, indexed: None };
        support.speak_for(&mut lines);
        support.say_once(&mut lines);
        let kept = kept(lines, self.length);
        let mut summary = Summary {
            text: String::new(),
            evidence: Vec::new(),
            unsupported: Vec::new(),
            points: Vec::new(),
            missing: self.missing.clone(),
            tables: self.table.as_ref().map_or(Vec::new(), |(facts, _)| facts.clone()),
            check: self.check,
        };
        for line in kept {
            let found = support.passages(&line);
            let opens = line.rank == Rank::Opening;
            let Checked { text, stated, unsupported } = line.checked;
            if found.is_empty() && !opens {
                let about = if line.about.is_empty() { "a part" } else { &line.about };
                let message =
                    format!("summary: left out of {about}, no passage supports it: {text}");
                warnings.push(Warning::document(message));
                continue;
            }
            summary.check.stated += stated;
            summary.check.unsupported += unsupported.len() as u32;
            let place = match opens {
                true => "its beginning".to_owned(),
                false => format!("point {}", summary.points.len() + 1),
            };
            if found.is_empty() && self.table.is_none() {
                let message = format!("summary: no sentence of the document supports {place}");
                warnings.push(Warning::document(message));
            }
            for word in &unsupported {
                let message = format!(
                    "summary: {place} names “{word}”, which what it was made from does not"
                );
                warnings.push(Warning::document(message));
            }
            if opens {
                if !summary.text.is_empty() {
                    summary.text.push(' ');
                }
                summary.text.push_str(&text);
                summary.evidence.extend(found);
                summary.unsupported.extend(unsupported);
            } else {
                summary.points.push(Point {
                    about: line.about,
                    text,
                    evidence: found,
                    unsupported,
                });
            }
        }
        summary
    }
}

/// How soon a sentence finds room in the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Opening,
    Aspect,
    Note,
    MoreOfAspect,
    /// A passage (by number) that was shown for an aspect and that no sentence rests on: a small model leaves out
    /// much of what it is shown.
    Unsaid(usize),
    MoreOfNote,
}

/// A sentence that may stand in the summary.
struct Sentence {
    rank: Rank,
    about: String,
    checked: Checked,
    /// Passages that it can rest on: one list for all sentences of an answer.
    among: Rc<[Place]>,
    /// Whether it is its one passage, word for word.
    verbatim: bool,
}

impl Sentence {
    fn verbatim(rank: Rank, about: &str, place: &Place, chunks: &[Chunk]) -> Sentence {
        let passage = squeeze(&chunks[place.0].text[place.1.clone()]);
        let checked = verbatim(&passage[number_before(&passage)..]);
        let (about, among) = (about.to_owned(), Rc::from([place.clone()]));
        Sentence { rank, about, checked, among, verbatim: true }
    }
}

fn push_said(
    lines: &mut Vec<Sentence>,
    said: Option<&Vec<Checked>>,
    rank: Rank,
    about: &str,
    among: &[Place],
) {
    let more = match rank {
        Rank::Aspect => Rank::MoreOfAspect,
        Rank::Note => Rank::MoreOfNote,
        other => other,
    };
    let says = |one: &&Checked| {
        let text = one.text.to_lowercase();
        !NOTHING.iter().any(|words| text.contains(words))
    };
    let among: Rc<[Place]> = among.into();
    for (at, one) in said.into_iter().flatten().filter(says).enumerate() {
        lines.push(Sentence {
            rank: if at == 0 { rank } else { more },
            about: about.to_owned(),
            checked: one.clone(),
            among: among.clone(),
            verbatim: false,
        });
    }
}

/// The sentences that `length` words take, by rank, in their own order; of two that say the same, the
/// first. The first of all is kept whatever its length.
fn kept(lines: Vec<Sentence>, length: usize) -> Vec<Sentence> {
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by_key(|at| (lines[*at].rank, *at));
    let (mut words, mut seen) = (0, BTreeSet::new());
    let mut taken = BTreeSet::new();
    for at in order {
        let text = &lines[at].checked.text;
        let more = word_count(text);
        if (words + more <= length || taken.is_empty()) && seen.insert(key(text)) {
            words += more;
            taken.insert(at);
        }
    }
    let lines = lines.into_iter().enumerate();
    lines.filter(|(at, _)| taken.contains(at)).map(|(_, line)| line).collect()
}

/// What sentences rest on. Those of one answer stand side by side, and their passages are indexed once.
struct Support<'a> {
    document: &'a Document,
    chunks: &'a [Chunk],
    indexed: Option<(Rc<[Place]>, Sentences)>,
}

impl Support<'_> {
    fn places(&mut self, line: &Sentence) -> Vec<Place> {
        let known = self.indexed.take().filter(|(among, _)| Rc::ptr_eq(among, &line.among));
        let new = || (line.among.clone(), Sentences::new(self.chunks, &line.among));
        let (_, index) = self.indexed.insert(known.unwrap_or_else(new));
        index.supporting(&line.checked.text)
    }

    /// In the place of sentences that say almost nothing of the passage that they rest on ("It may renew"), or
    /// something else, puts the passage itself.
    fn speak_for(&mut self, lines: &mut [Sentence]) {
        let chunks = self.chunks;
        let text = |(chunk, range): &Place| squeeze(&chunks[*chunk].text[range.clone()]);
        let own = |line: &&mut Sentence| line.rank != Rank::Opening && !line.verbatim;
        for line in lines.iter_mut().filter(own) {
            let places = self.places(line);
            let Some(best) = places.first() else { continue };
            let passages: Vec<String> = places.iter().map(text).collect();
            let said = content(&line.checked.text).len();
            let says_little = said < CONTENT_MIN && content(&passages[0]).len() > said;
            if says_little || departs(&line.checked.text, &passages.join(" ")) {
                *line = Sentence::verbatim(line.rank, &line.about, best, chunks);
            }
        }
    }

    /// Leaves out passages that sentences rest on already, and sentences whose passage stands there word for word.
    fn say_once(&mut self, lines: &mut Vec<Sentence>) {
        let unsaid = |line: &Sentence| matches!(line.rank, Rank::Unsaid(_));
        let (mut told, mut repeated) = (BTreeSet::new(), BTreeSet::new());
        let key = |(chunk, range): &Place| (*chunk, range.start, range.end);
        let bases: Vec<Vec<Place>> = lines.iter().map(|line| self.places(line)).collect();
        for (line, places) in lines.iter().zip(&bases) {
            if unsaid(line) || line.rank == Rank::Opening {
                continue;
            }
            told.extend(places.iter().map(key));
            if line.verbatim {
                repeated.extend(places.iter().map(key));
            }
        }
        let mut bases = bases.iter();
        lines.retain(|line| {
            let first = bases.next().and_then(|places| places.first()).map(key);
            match line.rank {
                Rank::Opening => true,
                Rank::Unsaid(_) => first.is_none_or(|first| !told.contains(&first)),
                _ => line.verbatim || first.is_none_or(|first| !repeated.contains(&first)),
            }
        });
    }

    fn passages(&mut self, line: &Sentence) -> Vec<Evidence> {
        let places = self.places(line).into_iter();
        let of = |(chunk, range): Place| {
            evidence(self.document, &self.chunks[chunk], range, Some(LEXICAL))
        };
        places.flat_map(of).collect()
    }
}

/// A passage that stands for itself, or its first words where it is too long to be repeated.
fn verbatim(passage: &str) -> Checked {
    let words: Vec<&str> = passage.split(' ').collect();
    let text = match words.len() > VERBATIM_WORDS_MAX {
        true => format!("{} …", words[..VERBATIM_WORDS_MAX].join(" ")),
        false => passage.to_owned(),
    };
    Checked { text, stated: 0, unsupported: Vec::new() }
}

/// What an aspect is asked of: where the document opens, or the clauses that its phrases rank highest.
fn basis(aspect: &Aspect, chunks: &[Chunk], clauses: &Clauses) -> Basis {
    if aspect.field.position == Position::Opening {
        let places = sentences_of(chunks, 0..chunks.len().min(1));
        return Basis { places, shown: None };
    }
    let text = |clause: &Clause| &chunks[clause.chunk].text[clause.range.clone()];
    let hits = clauses.ranked(&aspect.field).into_iter();
    let hits = hits.filter(|hit| {
        let text = text(clauses.get(hit.clause));
        word_count(text) >= PASSAGE_WORDS_MIN && !is_signature(text)
    });
    let weighed = hits.map(|hit| {
        let of_type = is_of(aspect.field.value, text(clauses.get(hit.clause)));
        (hit.score * if of_type { OF_TYPE } else { 1 }, hit.clause)
    });
    let mut weighed: Vec<(u64, usize)> = weighed.collect();
    weighed.sort_by_key(|(score, clause)| (std::cmp::Reverse(*score), *clause));
    let best = weighed.first().map_or(0, |(score, _)| *score);
    weighed.retain(|(score, _)| 4 * score >= best);
    weighed.truncate(if aspect.verbatim { VERBATIM_MAX } else { PASSAGES_MAX });
    let mut words = 0;
    weighed.retain(|(_, clause)| {
        let first = words == 0;
        words += word_count(text(clauses.get(*clause)));
        first || words <= PASSAGE_WORDS_MAX
    });
    if !aspect.verbatim {
        weighed.sort_by_key(|(_, clause)| *clause);
    }
    let taken = weighed.iter().map(|(_, clause)| clauses.get(*clause));
    let places = taken.clone().map(|clause| (clause.chunk, clause.range.clone())).collect();
    let mut parts: Vec<&str> = Vec::new();
    let mut last = None;
    for clause in taken {
        let heading = clause.heading.clone().map(|heading| (clause.chunk, heading));
        if let Some((chunk, range)) = heading.clone().filter(|_| heading != last) {
            parts.push(&chunks[chunk].text[range]);
        }
        last = heading;
        parts.push(text(clause));
    }
    let shown = (!aspect.verbatim).then(|| shown(&parts.join("\n")));
    Basis { places, shown }
}

/// Whether a passage is one of those that a document is signed in.
fn is_signature(passage: &str) -> bool {
    let text = passage.to_lowercase();
    let holds = |mark: &str| text.contains(mark);
    let line = || holds("----") || holds("____");
    holds("/s/")
        || holds("in witness whereof")
        || holds("signature page")
        || text.starts_with("by:")
        || holds("name:") && (holds("title:") || line())
}

/// Whether what looks like a heading is the beginning of a signature: "By" and a line.
fn is_signed_under(heading: &str) -> bool {
    is_signature(heading) || heading.split(' ').next() == Some("By")
}

/// Whether a passage holds what is read out of passages of this type.
fn is_of(value: FieldType, passage: &str) -> bool {
    match value {
        FieldType::Money => !amounts(passage).is_empty() || passage.contains('%'),
        FieldType::Date => !dates(passage, None).is_empty() || !durations(passage).is_empty(),
        FieldType::Duration => !durations(passage).is_empty(),
        _ => false,
    }
}

/// A heading of the document.
pub(super) struct Heading {
    chunk: usize,
    text: String,
}

/// Headings that are named of a part; of more, the first and the last.
const HEADINGS_MAX: usize = 3;
const HEADING_CHARS_MAX: usize = 60;

/// The headings that stand over clauses, in order.
pub(super) fn headings(chunks: &[Chunk], clauses: &Clauses) -> Vec<Heading> {
    let mut found: Vec<Heading> = Vec::new();
    let mut last = None;
    for clause in (0..clauses.len()).map(|at| clauses.get(at)) {
        let place = clause.heading.clone().map(|range| (clause.chunk, range));
        if let Some((chunk, range)) = place.clone().filter(|_| place != last) {
            let text = squeeze(&chunks[chunk].text[range]);
            let signed = is_signed_under(&text);
            let text = text.trim_end_matches(['.', ':', '-', ' ']);
            if text.chars().count() <= HEADING_CHARS_MAX && !signed {
                found.push(Heading { chunk, text: text.to_owned() });
            }
        }
        last = place;
    }
    found
}

/// What a part of a document is called: its headings, or the one that it goes on under, or its pages.
fn title(headings: &[Heading], chunks: &[Chunk], part: &Range<usize>) -> String {
    let own: Vec<&str> = headings
        .iter()
        .filter(|heading| part.contains(&heading.chunk))
        .map(|heading| heading.text.as_str())
        .collect();
    match own.as_slice() {
        [] => match headings.iter().rev().find(|heading| heading.chunk < part.start) {
            Some(before) => format!("{}, continued", before.text),
            None => pages(chunks, part),
        },
        [.., last] if own.len() > HEADINGS_MAX => format!("{} to {last}", own[0]),
        few => few.join("; "),
    }
}

fn pages(chunks: &[Chunk], part: &Range<usize>) -> String {
    let of = chunks[part.clone()].iter().filter_map(Chunk::pages);
    let (first, last) = of.fold((u32::MAX, 0), |(a, b), (c, d)| (a.min(c), b.max(d)));
    match first == last {
        true => format!("page {first}"),
        false if first < last => format!("pages {first} to {last}"),
        false => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_no_heading_and_by_laws_are_one() {
        for signed in ["By", "By ________", "By: /s/ Ada Poe", "IN WITNESS WHEREOF"] {
            assert!(is_signed_under(signed), "{signed}");
        }
        for heading in ["By-laws", "Bylaws of the Company", "3. Payment"] {
            assert!(!is_signed_under(heading), "{heading}");
        }
    }

    fn sentence(rank: Rank, text: &str) -> Sentence {
        let checked = Checked { text: text.into(), stated: 0, unsupported: Vec::new() };
        Sentence { rank, about: String::new(), checked, among: Rc::from([]), verbatim: false }
    }

    #[test]
    fn a_summary_is_as_long_as_asked_and_what_matters_most_stays() {
        let lines = || {
            vec![
                sentence(Rank::Opening, "It is a lease."),
                sentence(Rank::Aspect, "Rent is due monthly."),
                sentence(Rank::MoreOfAspect, "It is paid in advance."),
                sentence(Rank::Note, "The roof is the landlord's."),
                sentence(Rank::MoreOfNote, "Rent is due monthly."),
            ]
        };
        let texts = |length| -> Vec<String> {
            kept(lines(), length).into_iter().map(|line| line.checked.text).collect()
        };
        assert_eq!(
            texts(13),
            ["It is a lease.", "Rent is due monthly.", "The roof is the landlord's."]
        );
        assert_eq!(texts(100).len(), 4, "nothing is said twice");
        assert_eq!(texts(1), ["It is a lease."], "never nothing");
    }
}
