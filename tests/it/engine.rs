//! The engine from outside: a tiny model's facts, and a real model's answers in company and alone.

use std::path::PathBuf;
use std::sync::Arc;

use nightclerk::base::{Completion, Stop};
use nightclerk::engine::{Engine, Part, Request, Sampling, Settings, tiny};

fn test_model() -> PathBuf {
    let path = std::env::var_os("NIGHTCLERK_TEST_MODEL");
    path.expect("NIGHTCLERK_TEST_MODEL names no SmolLM2-135M GGUF; tests/run.sh sets it").into()
}

fn load(settings: Settings) -> Engine {
    Engine::load(&test_model(), &settings, &mut |_, _| {}).unwrap()
}

fn settings() -> Settings {
    Settings { context_tokens: 1024, slots: 8, ..Settings::new(1 << 30, "2026-01-31") }
}

fn answer(engine: &mut Engine, requests: &[Request]) -> Vec<Completion> {
    for request in requests {
        engine.submit(request.clone()).unwrap();
    }
    let mut completions = Vec::new();
    while !engine.idle() {
        completions.extend(engine.step());
    }
    completions.sort_by_key(|completion| completion.id);
    completions
}

#[test]
fn a_tiny_model_says_what_it_is_and_loads_with_progress() {
    let path = std::env::temp_dir().join(format!("nightclerk-tiny-{}.gguf", std::process::id()));
    tiny::write(&path, tiny::Family::Qwen2, 1).unwrap();
    let mut seen = Vec::new();
    let progress = &mut |done, total| seen.push((done, total));
    let engine = Engine::load(&path, &Settings::new(1 << 30, "2026-01-31"), progress).unwrap();
    let facts = engine.facts();
    assert_eq!((facts.family.as_str(), facts.name.as_str()), ("qwen2", "tiny Qwen2"));
    assert_eq!(facts.licence.as_deref(), Some("cc0-1.0"));
    assert_eq!((facts.context, facts.vocabulary), (tiny::CONTEXT, tiny::VOCABULARY));
    assert_eq!(facts.types.values().sum::<u64>(), facts.parameters);
    // 2 layers × 2 heads × 64 elements × key and value × 2 bytes.
    assert_eq!(facts.kv_bytes_per_token, 1024);
    assert!(engine.counter().count("the agreement") > 0);
    assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0), "progress goes on");
    assert!(seen.iter().all(|(done, total)| done <= total && *total == facts.weights_bytes));
    let again = serde_json::to_value(facts).unwrap();
    assert_eq!(again["tokenizer_digest"].as_str().unwrap().len(), 64);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn smollm2_answers_alone_as_in_company_and_quotes_only_what_is_there() {
    let document: Arc<str> = "This Services Agreement is made on 1 March 2024 between Northwind \
        Traders Ltd. and Fabrikam GmbH. The liability of either party shall not exceed EUR 250,000. \
        This agreement is governed by the laws of England and Wales."
        .into();
    let ask = |id: u64, task: &str, form: Vec<Part>| Request {
        id,
        system: "You answer from the document.".into(),
        document: document.clone(),
        task: task.into(),
        form,
        answer_tokens_max: 24,
        sampling: Sampling::Greedy,
    };
    let quote = || vec![Part::Quote { words_max: 8 }, Part::Literal("\n".into())];
    let requests = [
        ask(0, "Which law governs the agreement? Quote it.", quote()),
        ask(1, "When was it made? Quote it.", quote()),
        ask(2, "Say in one sentence what the document is.", vec![Part::Text]),
        ask(
            3,
            "Is it a lease?",
            vec![Part::Choice { options: vec!["yes".into(), "no".into()], ends: None }],
        ),
    ];
    let together = answer(&mut load(settings()), &requests);
    for completion in &together[..2] {
        let part = &completion.parts[0];
        let place = part.place.clone().expect("a quote has a place");
        assert_eq!(part.text, document[place]);
        assert_eq!(completion.stop, Stop::End);
    }
    assert!(together[1..].iter().any(|completion| completion.shared_tokens > 50));
    assert!(["yes", "no"].contains(&together[3].text.as_str()));
    let mut one = load(Settings { slots: 1, threads: 1, step_rows: 48, ..settings() });
    for (request, together) in requests.iter().zip(&together) {
        let alone = answer(&mut one, std::slice::from_ref(request)).remove(0);
        assert_eq!(
            alone.answer_digest, together.answer_digest,
            "{} | {}",
            alone.text, together.text
        );
        assert_eq!((&alone.text, &alone.parts), (&together.text, &together.parts));
    }
}
