//! Task + chunk → `Request`: the one door between the document world and the token world. What is
//! asked and how the answer's parts are read back stand together here; what the answers are worth
//! is `assemble`'s to say.
//!
//! A prompt is system, then document, then task, so that all questions on a chunk share its KV. The
//! document stands between `<document>` and `</document>`, and the question comes after both: what a
//! document says of instructions is content. The opening tag is part of the request's document text,
//! where quotes are chosen from; `Passage` takes it off again.

mod reply;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use serde_json::json;

use crate::chunk::Chunk;
pub use crate::engine::{Form, Part, Request, Sampling};
use crate::jobs::{Field, FieldType, Task, TaskKind};

pub use reply::{
    CheckReply, FieldReply, Found, SummaryReply, read_check, read_field, read_summary,
};

/// Version of the rules that make prompts out of tasks and chunks, and of the forms of answers. A
/// change makes documents due again.
pub const PROMPT_RULES: u32 = 2;

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
    let shape = match field.value {
        FieldType::Party => "Name: \"the name as the document writes it\"",
        FieldType::YesNo => "Quote: \"the words of the document that say it\"\nAnswer: Yes or No",
        _ => "Quote: \"the words of the document that say it\"\nAnswer: the answer",
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

/// Asks for a summary of one chunk.
pub fn ask_summary(id: u64, task: &Task, passage: &Passage) -> Request {
    let text = format!("\n</document>\n\n{}\n\n{}", task.instruction, json_words(task));
    request(id, task, &passage.document, text, summary_form(task))
}

/// Asks for one summary out of partial ones, each rendered by `partial_text`.
pub fn ask_reduce(id: u64, task: &Task, partials: &[String]) -> Request {
    let document = format!("<document>\n{}", partials.join("\n")).into();
    let instruction = match &task.kind {
        TaskKind::Summarize { reduce_instruction, .. } => reduce_instruction,
        TaskKind::Extract { .. } => &task.instruction,
    };
    let text = format!("\n</document>\n\n{instruction}\n\n{}", json_words(task));
    request(id, task, &document, text, summary_form(task))
}

/// A partial summary as the reduce step reads it. `of` says which part of the document it is about.
pub fn partial_text(of: &str, summary: &SummaryReply) -> String {
    let mut text = format!("[{of}] {}\n", summary.text);
    for point in &summary.points {
        text.push_str("- ");
        text.push_str(point);
        text.push('\n');
    }
    text
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

fn points_max(task: &Task) -> usize {
    match task.kind {
        TaskKind::Summarize { points_max, .. } => points_max.max(1),
        TaskKind::Extract { .. } => 1,
    }
}

fn json_words(task: &Task) -> String {
    format!(
        "Reply in JSON: {{\"summary\": \"two to five sentences\", \"points\": [\"one fact in one \
         sentence\"]}}. At most {} points, each with its names, dates and amounts.",
        points_max(task)
    )
}

/// The most characters of a summary's text, and of one of its points.
///
/// Set so that an answer is whole within the task's limit of tokens even where figures
/// and names make two characters of each: half of it for the text, half for the points.
pub fn summary_lengths(task: &Task) -> (usize, usize) {
    let text = (task.answer_tokens_max as usize).max(80);
    (text, (text / points_max(task)).clamp(60, 300))
}

fn summary_form(task: &Task) -> Form {
    let (text, point) = summary_lengths(task);
    vec![Part::Json(Arc::new(json!({
        "type": "object",
        "properties": {
            "summary": { "type": "string", "minLength": 1, "maxLength": text },
            "points": {
                "type": "array",
                "items": { "type": "string", "minLength": 1, "maxLength": point },
                "minItems": 1,
                "maxItems": points_max(task),
            },
        },
        "required": ["summary", "points"],
        "additionalProperties": false,
    })))]
}
