//! The shipped task files, as `jobs` understands them and as the questions they come to.

use std::path::Path;

use nightclerk::chunk::Chunk;
use nightclerk::jobs::{FieldType, Places, Plan, TaskKind, load_in};
use nightclerk::prompt::{Part, Passage, ask_field, ask_summary};

use crate::support::Folder;

/// The shipped prompts in a plan of their own.
fn shipped() -> Plan {
    let folder = Folder::new("answers");
    let prompts = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
    for name in ["summary.toml", "contract-terms.toml"] {
        folder.write(name, std::fs::read(prompts.join(name)).expect("shipped"));
    }
    folder.write("inbox/a.txt", "a");
    let jobs = folder.write(
        "jobs.toml",
        "output = \"out\"\n[model]\npath = \"m.gguf\"\n\
         sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n\
         [audit]\norigin = \"example.com/a\"\nkey_dir = \"keys\"\n\
         [[job]]\nname = \"a\"\ninput = { inbox = \"inbox\" }\n\
         tasks = [\"summary.toml\", \"contract-terms.toml\"]\n",
    );
    let below = |name: &str| Some(folder.path().join(name));
    let places = Places { home: below("home"), cache: below("cache"), state: below("state") };
    load_in(&jobs, None, &places).unwrap_or_else(|error| panic!("{}", error.report(false)))
}

#[test]
fn the_shipped_tasks_read_a_document_once() {
    let plan = shipped();
    let [summary, terms] = plan.jobs[0].tasks.as_slice() else { panic!("two tasks") };
    assert_eq!(summary.system, terms.system, "else nothing of the prompt is shared");
    assert_eq!(summary.chunk_tokens, terms.chunk_tokens);
    let chunk = Chunk {
        number: 1,
        text: "Made between Acme and Bolt.".into(),
        pieces: Vec::new(),
        tokens: 5,
        repeated: 0,
    };
    let passage = Passage::new(&chunk, 1);
    let first = ask_summary(1, summary, &passage);
    let TaskKind::Extract { fields } = &terms.kind else { panic!("terms are extracted") };
    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(
        names,
        ["parties", "agreement_date", "expiration_date", "governing_law", "cap_on_liability"]
    );
    for field in fields {
        let request = ask_field(2, terms, field, &passage);
        assert_eq!(request.document, first.document);
        assert!(request.task.contains(&field.question));
        assert!(matches!(request.form[0], Part::Choice { ends: Some(0), .. }));
        assert!(matches!(request.form[2], Part::Quote { .. }), "no value without a quote");
    }
    assert_eq!((fields[0].value, fields[0].many), (FieldType::Party, true));
}
