//! What shapes an answer, as one digest. A document is due again when it or its own digest changes, and
//! for no other reason: not for a new program, not for more threads.

use std::collections::BTreeMap;

use crate::assemble::{MadeWith, OcrFacts};
use crate::base::{Digest, Format};
use crate::jobs::{Job, Plan};
use crate::{engine, extract, prompt};

/// What shapes the answers about a document of `format`, before the model is loaded: the tokenizer's
/// and the template's digests are still empty. They are inside the model's file, so its digest covers
/// them.
pub(super) fn made_with(plan: &Plan, job: &Job, format: Format) -> MadeWith {
    let tasks = job.tasks_for(format);
    let tasks: BTreeMap<String, Digest> =
        tasks.map(|task| (task.name.clone(), task.digest)).collect();
    MadeWith {
        model: plan.model.sha256,
        tokenizer: Digest([0; 32]),
        template: Digest([0; 32]),
        tasks,
        text_rules: extract::TEXT_RULES,
        number_rules: engine::NUMBER_RULES,
        prompt_rules: prompt::PROMPT_RULES,
        ocr: None,
        transcript: None,
    }
}

/// What else shapes them where pages of the document are recognized. A document without such pages does
/// not depend on it, and is not due again for it.
pub(super) fn with_ocr(made_with: &MadeWith, ocr: &OcrFacts) -> MadeWith {
    MadeWith { ocr: Some(Box::new(ocr.clone())), ..made_with.clone() }
}

/// The digest that stands for all of it in the log.
pub(super) fn digest(plan: &Plan, made_with: &MadeWith) -> Digest {
    let rules = [made_with.text_rules, made_with.number_rules, made_with.prompt_rules];
    let mut parts: Vec<Vec<u8>> = vec![b"nightclerk/shape/1".to_vec(), made_with.model.0.to_vec()];
    parts.extend(rules.iter().map(|rules| rules.to_le_bytes().to_vec()));
    parts.push(plan.engine.date.clone().into_bytes());
    for (name, digest) in &made_with.tasks {
        parts.push(name.clone().into_bytes());
        parts.push(digest.0.to_vec());
    }
    if let Some(OcrFacts { program, languages, data }) = made_with.ocr.as_deref() {
        parts.push(b"ocr".to_vec());
        parts.push(program.clone().into_bytes());
        parts.push(languages.clone().into_bytes());
        parts.push(data.0.to_vec());
    }
    Digest::of_parts(parts.iter().map(Vec::as_slice))
}
