//! The shipped task files, as `jobs` understands them and as the questions they come to.

use std::path::Path;

use nightclerk::jobs::{FieldType, Places, QuoteForm, Read, Task, TaskKind, load_in};
use nightclerk::prompt::{Part, ask_check, shown};

use crate::support::Folder;

/// A shipped task file as understood.
fn shipped(name: &str) -> std::sync::Arc<Task> {
    let folder = Folder::new("answers");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts").join(name);
    folder.write("task.toml", std::fs::read(file).expect("shipped"));
    folder.write("inbox/a.txt", "a");
    let jobs = folder.write(
        "jobs.toml",
        "output = \"out\"\n[model]\npath = \"m.gguf\"\n\
         sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n\
         [audit]\norigin = \"example.com/a\"\nkey_dir = \"keys\"\n\
         [[job]]\nname = \"a\"\ninput = { inbox = \"inbox\" }\ntasks = [\"task.toml\"]\n",
    );
    let below = |name: &str| Some(folder.path().join(name));
    let places = Places { home: below("home"), cache: below("cache"), state: below("state") };
    let plan = load_in(&jobs, None, &places);
    plan.unwrap_or_else(|error| panic!("{}", error.report(false))).jobs[0].tasks[0].clone()
}

#[test]
fn every_shipped_field_is_asked_of_one_passage_and_about_its_quote() {
    let summary = shipped("summary.toml");
    for name in ["contract-terms.toml", "nda-terms.toml", "invoice.toml", "patient-letter.toml"] {
        let task = shipped(name);
        assert_eq!(task.system, summary.system, "{name}: else nothing of the prompt is shared");
        assert_eq!(
            (task.read, task.chunk_tokens),
            (Read::Relevant, summary.chunk_tokens),
            "{name}"
        );
        let TaskKind::Extract { fields } = &task.kind else { panic!("{name} extracts") };
        for field in fields {
            let found_by_form = matches!(field.value, FieldType::Title | FieldType::Party);
            assert_eq!(field.phrases.is_empty(), found_by_form, "{name}: {}", field.name);
            let passage = shown("Made on May 1, 2020.");
            let request = ask_check(1, &task, field, &passage, "May 1, 2020");
            let about_quote = request.task.contains("May 1, 2020");
            assert_eq!(about_quote, field.quote == QuoteForm::Value, "{name}: {}", field.name);
            assert!(matches!(&request.form[..], [Part::Choice { .. }]), "one word is answered");
        }
    }
}

#[test]
fn what_nda_s_share_with_contracts_is_asked_by_the_same_rules() {
    let fields = |name: &str| match &shipped(name).kind {
        TaskKind::Extract { fields } => fields.clone(),
        TaskKind::Summarize { .. } => panic!("{name} extracts"),
    };
    let contracts = fields("contract-terms.toml");
    let shared: Vec<_> = fields("nda-terms.toml")
        .into_iter()
        .filter_map(|nda| {
            Some((contracts.iter().find(|field| field.name == nda.name)?.clone(), nda))
        })
        .collect();
    assert_eq!(shared.len(), 7);
    for (contract, nda) in shared {
        assert_eq!(format!("{contract:?}"), format!("{nda:?}"));
    }
}

#[test]
fn the_contract_s_terms_are_those_that_reviews_are_scored_by() {
    let task = shipped("contract-terms.toml");
    let TaskKind::Extract { fields } = &task.kind else { panic!("terms are extracted") };
    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    let scored = "document_name parties agreement_date effective_date expiration_date renewal_term \
                  notice_to_terminate_renewal governing_law anti_assignment cap_on_liability \
                  termination_for_convenience change_of_control audit_rights exclusivity non_compete \
                  insurance license_grant ip_ownership_assignment minimum_commitment \
                  revenue_or_profit_sharing";
    assert_eq!(names, scored.split_whitespace().collect::<Vec<_>>());
}
