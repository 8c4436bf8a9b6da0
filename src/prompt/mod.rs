//! Task + chunk → `Request`: the one door between the document world and the token world. What is
//! asked and how the answer's parts are read back stand together here; what the answers are worth
//! is `assemble`'s to say.
//!
//! A prompt is system, then document, then task, so that all questions on a chunk share its KV. The
//! document stands between `<document>` and `</document>`, and the question comes after both: what a
//! document says of instructions is content. The opening tag is part of the request's document text,
//! where quotes are chosen from; `Passage` takes it off again.

mod question;
mod reply;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use crate::chunk::Chunk;
pub use crate::engine::{Form, Part, Request, Sampling};
use crate::jobs::{Aspect, Field, FieldType, Task, TaskKind};

pub use question::{ask_question, is_not_said, question_texts, read_question};
pub use reply::{CheckReply, FieldReply, Found, read_check, read_field, read_line};

/// Version of the rules that make prompts out of tasks and chunks, and of the forms of answers. A
/// change makes documents due again.
pub const PROMPT_RULES: u32 = 6;

/// Passages that one answer may give for a field with several values.
const MANY_MAX: usize = 4;

const NOT_STATED: &str = "Not stated";
const STATED: &str = "Stated";
const DONE: &str = "No more";
const MORE: &str = "Stated too";

/// A chunk as every question about it sees it. Questions on one chunk clone it, and so share the
/// text's allocation and the engine's KV.
#[derive(Clone, Debug)]
pub struct Passage {
    document: Arc<str>,
    /// The chunk's text in `document`.
    text: Range<usize>,
}

impl Passage {
    /// Chunk `chunk` of a document cut into `of`.
    pub fn new(chunk: &Chunk, of: usize) -> Passage {
        let open = match of {
            0 | 1 => "<document>\n".to_owned(),
            _ => format!("<document part=\"{} of {of}\">\n", chunk.number),
        };
        let text = open.len()..open.len() + chunk.text.len();
        Passage { document: (open + &chunk.text).into(), text }
    }

    /// What a request about the chunk shows.
    pub fn document(&self) -> &Arc<str> {
        &self.document
    }

    /// The chunk's bytes that the bytes `place` of the request's document text are; none where they
    /// lie in the frame.
    pub fn in_chunk(&self, place: &Range<usize>) -> Option<Range<usize>> {
        let start = place.start.clamp(self.text.start, self.text.end);
        let end = place.end.clamp(self.text.start, self.text.end);
        (start < end).then(|| start - self.text.start..end - self.text.start)
    }
}

/// Asks for one field in one chunk: whether it is stated, the quote that states it, the value. What
/// differs between fields comes last, where small models heed it best. A party's name is its own
/// quote: asked for both, a small model goes on to the party's address or officer.
pub fn ask_field(id: u64, task: &Task, field: &Field, passage: &Passage) -> Request {
    let quoted = |answer: &str| {
        format!("Quote: \"the words of the document that say it\"\nAnswer: {answer}")
    };
    let shape = match field.value {
        FieldType::Party => "Name: \"the name as the document writes it\"".to_owned(),
        FieldType::YesNo => quoted("Yes or No"),
        FieldType::Choice => quoted(&format!("one of: {}", field.options.join(", "))),
        _ => quoted("the answer"),
    };
    let next = match field.many {
        true => format!("\n{MORE}, and the next one, or {DONE}"),
        false => String::new(),
    };
    // The way to answer stands before the way not to: told of "not stated" first, the 1.5B model
    // said it of nearly everything. Nothing follows the question for the same reason.
    let text = format!(
        "\n</document>\n\n{}\n\nIf the document answers it, reply:\n{STATED}\n{shape}{next}\nIf it does \
         not, reply:\n{NOT_STATED}\n\nQuestion: {}",
        task.instruction, field.question,
    );
    request(id, task, &passage.document, text, field_form(field))
}

/// Asks of one candidate, `quote` in the passage that `document` shows, whether it is what the field
/// asks for: yes or no, one token.
pub fn ask_check(id: u64, task: &Task, field: &Field, document: &Arc<str>, quote: &str) -> Request {
    let check = match &field.check {
        Some(check) => check.replace("{quote}", quote),
        None if field.value == FieldType::Choice => {
            format!("{} One of: {}; or {NOT_STATED}", field.question, field.options.join(", "))
        }
        None => format!("Does the passage above answer this: {}", field.question),
    };
    let text = format!("\n</document>\n\n{}\n\nQuestion: {check}", task.instruction);
    let form = match field.value {
        FieldType::Choice => {
            let options = field.options.iter().map(|option| option.as_str().into());
            vec![Part::Choice { options: options.chain([NOT_STATED.into()]).collect(), ends: None }]
        }
        _ => vec![Part::Choice { options: vec!["Yes".into(), "No".into()], ends: None }],
    };
    request(id, task, document, text, form)
}

/// A passage as `ask_check` shows it.
pub fn shown(passage: &str) -> Arc<str> {
    format!("<document>\n{passage}").into()
}

/// Asks for a note on one chunk, of at most `words` words.
pub fn ask_note(id: u64, task: &Task, passage: &Passage, words: usize) -> Request {
    summarizing(id, task, &passage.document, &task.instruction, words)
}

/// Asks what `document` (passages as `shown` frames them, or a whole `Passage`) says of an aspect.
pub fn ask_aspect(
    id: u64,
    task: &Task,
    document: &Arc<str>,
    aspect: &Aspect,
    words: usize,
) -> Request {
    let TaskKind::Summarize { aspect_instruction, .. } = &task.kind else {
        return summarizing(id, task, document, &aspect.field.question, words);
    };
    let question = format!("{aspect_instruction}\n\nQuestion: {}", aspect.field.question);
    summarizing(id, task, document, &question, words)
}

/// Asks for one note out of several on adjoining parts.
pub fn ask_reduce(id: u64, task: &Task, notes: &[String], words: usize) -> Request {
    let instruction = match &task.kind {
        TaskKind::Summarize { reduce_instruction, .. } => reduce_instruction,
        TaskKind::Extract { .. } => &task.instruction,
    };
    summarizing(id, task, &shown(&notes.join("\n")), instruction, words)
}

/// Asks what a table is, of its facts and first rows.
pub fn ask_table(id: u64, task: &Task, facts: &Arc<str>, words: usize) -> Request {
    let instruction = match &task.kind {
        TaskKind::Summarize { table_instruction, .. } => table_instruction,
        TaskKind::Extract { .. } => &task.instruction,
    };
    summarizing(id, task, facts, instruction, words)
}

/// The same question once more, now that its first answer held `unsupported` figures and names.
pub fn ask_again(id: u64, asked: &Request, unsupported: &[String]) -> Request {
    let named: Vec<String> = unsupported.iter().map(|word| format!("\"{word}\"")).collect();
    let task = format!(
        "{}\n\nAn earlier answer named {}, which the document above does not say. Leave that out, and \
         name only what stands in the document.",
        asked.task,
        named.join(", ")
    );
    Request { id, task: task.into(), ..asked.clone() }
}

/// A question that a line of text answers.
fn summarizing(id: u64, task: &Task, document: &Arc<str>, question: &str, words: usize) -> Request {
    let text =
        format!("\n</document>\n\n{question}\n\nAnswer in at most {words} words, on one line.");
    let line = format!("[^\\n]{{1,{}}}", line_chars(words));
    request(id, task, document, text, vec![Part::Pattern(line.into())])
}

/// Characters of a line that may have `words` words: room for long ones, none for a second text.
fn line_chars(words: usize) -> usize {
    10 * words
}

fn request(id: u64, task: &Task, document: &Arc<str>, text: String, form: Form) -> Request {
    Request {
        id,
        system: task.system.clone(),
        document: document.clone(),
        task: text.into(),
        form,
        answer_tokens_max: task.answer_tokens_max,
        sampling: Sampling::Greedy,
    }
}

/// Parts: the decision; then for each passage a literal, the quote, a literal, the value (but for a
/// party, which is its quote); and where there may be several, a decision before each further
/// passage. `read_field` counts on this order.
fn field_form(field: &Field) -> Form {
    let mut form =
        vec![Part::Choice { options: vec![NOT_STATED.into(), STATED.into()], ends: Some(0) }];
    // A line ends where the model would end it: `"` and the line end are often one token.
    let (before, after, line_end) = match field.value {
        FieldType::Party if field.many => ("Name: \"", "\"\n", ""),
        FieldType::Party => ("Name: \"", "\"", ""),
        _ => ("Quote: \"", "\"\nAnswer: ", "\n"),
    };
    for number in 1..=if field.many { MANY_MAX } else { 1 } {
        if number > 1 {
            let options = [DONE, MORE].map(|word| format!("{line_end}{word}").into());
            form.push(Part::Choice { options: options.into(), ends: Some(0) });
        }
        form.push(Part::Literal(format!("\n{before}").into()));
        form.push(Part::Quote { words_max: field.quote_words_max });
        form.push(Part::Literal(after.into()));
        form.extend(value_part(field));
    }
    form
}

/// The value's part; none where the quote is the value.
fn value_part(field: &Field) -> Option<Part> {
    Some(match field.value {
        FieldType::Party => return None,
        FieldType::YesNo => Part::Choice { options: vec!["Yes".into(), "No".into()], ends: None },
        FieldType::Choice => {
            let options = field.options.iter().map(|option| option.as_str().into()).collect();
            Part::Choice { options, ends: None }
        }
        FieldType::Text | FieldType::Place | FieldType::Title | FieldType::Table => {
            Part::Pattern("[^\\n]{1,300}".into())
        }
        FieldType::Date | FieldType::Duration | FieldType::Money => {
            Part::Pattern("[^\\n]{1,100}".into())
        }
    })
}
