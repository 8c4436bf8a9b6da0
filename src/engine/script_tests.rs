//! Scripts driven by hand and by chance.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::*;
use crate::engine::tokenizer::tests::{small_model, tiny_spm};

fn forms(metadata: &HashMap<String, candle_core::quantized::gguf_file::Value>) -> Forms {
    Forms::new(Arc::new(Tokenizer::from_gguf(metadata).unwrap()))
}

/// A vocabulary of single letters, some longer pieces, and bytes for the rest.
fn tiny() -> Forms {
    let pieces = [
        ("▁", -9.0),
        ("a", -9.0),
        ("b", -9.0),
        ("ab", -1.0),
        ("▁a", -2.0),
        ("▁ab", -1.5),
        ("ba", -3.0),
        (".", -9.0),
        (",", -9.0),
        (".▁a", -3.5),
        ("\n", -9.0),
        ("-", -9.0),
        ("1", -9.0),
        ("1,", -4.0),
        (",1", -4.0),
        ("漢", -9.0),
        ("漢字", -4.5),
        ("▁(", -2.5),
        ("é", -9.0),
        ("a\u{301}", -5.0),
    ];
    forms(&tiny_spm(&pieces))
}

fn script(forms: &Forms, form: &Form, document: &Arc<str>) -> Result<Script, FormError> {
    Ok(forms.begin(&forms.compile(form, document)?, 0))
}

fn allowed(script: &mut Script) -> Vec<u32> {
    let mask = script.mask().to_vec();
    let tokens: Vec<u32> = (0..mask.len() as u32 * 64)
        .filter(|&t| mask[t as usize / 64] >> (t % 64) & 1 == 1)
        .collect();
    let count = script.shared.tokenizer.vocabulary_size() as u32;
    assert!((0..count).all(|t| script.allows(t) == tokens.contains(&t)), "mask and allows differ");
    tokens
}

/// Writes `text` in the tokenizer's own tokens, forced ones included.
fn write(script: &mut Script, text: &str) -> Progress {
    let mut progress = Progress::Continue;
    for token in script.shared.tokenizer.clone().encode_continuing(text) {
        assert!(script.allows(token), "{token} of {text:?}");
        progress = script.accept(token, 100);
    }
    progress
}

fn force(script: &mut Script) -> Progress {
    let mut progress = Progress::Continue;
    for token in script.forced() {
        assert!(script.allows(token));
        progress = script.accept(token, FORCED);
    }
    progress
}

fn literal(text: &str) -> Part {
    Part::Literal(text.into())
}

fn choice(options: &[&str], ends: Option<usize>) -> Part {
    Part::Choice { options: options.iter().map(|&option| option.into()).collect(), ends }
}

const END: u32 = 2;

#[test]
fn an_answer_of_all_parts_is_cut_where_its_parts_meet() {
    let forms = forms(&small_model());
    let document: Arc<str> = "This Lease is governed by the laws of Denmark.".into();
    let schema = serde_json::json!({"type": "object", "properties": {"cap": {"type": "integer"}},
        "required": ["cap"], "additionalProperties": false});
    let form = vec![
        literal("Stated: "),
        choice(&["yes", "no"], Some(1)),
        literal("\nQuote: \""),
        Part::Quote { words_max: 8 },
        literal("\"\nDate: "),
        Part::Pattern("[0-9]{4}-[0-9]{2}".into()),
        literal("\n"),
        Part::Json(Arc::new(schema)),
        literal("\n"),
        Part::Text,
    ];
    let mut script = script(&forms, &form, &document).unwrap();
    assert_eq!(force(&mut script), Progress::Continue);
    assert_eq!(allowed(&mut script).len(), 2);
    write(&mut script, "yes");
    force(&mut script);
    write(&mut script, "governed by the laws of Denmark");
    write(&mut script, "\"\n");
    force(&mut script);
    write(&mut script, "2026-01");
    force(&mut script);
    assert_eq!(script.current, 7);
    force(&mut script);
    assert!(String::from_utf8_lossy(&script.written).starts_with("{\"cap"));
    for text in ["\":", "12", "}"] {
        if !String::from_utf8_lossy(&script.written).ends_with(':') || text != "\":" {
            write(&mut script, text);
        }
    }
    force(&mut script);
    write(&mut script, "Fine.");
    assert_eq!(script.accept(END, 50), Progress::Finished(Stop::End));
    assert_eq!(script.mask().iter().sum::<u64>(), 0);
    let (text, parts) = script.finish(Stop::End);
    assert_eq!(
        text,
        "Stated: yes\nQuote: \"governed by the laws of Denmark\"\nDate: 2026-01\n{\"cap\":12}\nFine."
    );
    assert_eq!(parts.len(), form.len());
    assert_eq!(parts[3].place, Some(14..45));
    let margins: Vec<Option<i64>> = parts.iter().map(|part| part.margin_milli).collect();
    let (forced, chosen) = (None, Some(100));
    let expected =
        [forced, chosen, forced, chosen, forced, chosen, forced, chosen, forced, Some(50)];
    assert_eq!(margins[..4], expected[..4]);
    assert_eq!(margins[5], chosen);
    assert_eq!(margins[9], expected[9]);
}

#[test]
fn a_choice_may_end_the_answer() {
    let forms = forms(&small_model());
    let form = vec![choice(&["stated", "not stated"], Some(1)), literal(": "), Part::Text];
    let mut script = script(&forms, &form, &"".into()).unwrap();
    assert_eq!(write(&mut script, "not stated"), Progress::Finished(Stop::End));
    let (text, parts) = script.finish(Stop::End);
    assert_eq!((text.as_str(), parts.len()), ("not stated", 1));
}

#[test]
fn the_rest_of_a_decided_choice_is_forced() {
    let forms = forms(&small_model());
    let form = vec![choice(&["governed by state law", "not found anywhere"], None)];
    let mut script = script(&forms, &form, &"".into()).unwrap();
    let first = allowed(&mut script)[0];
    assert_eq!(script.accept(first, 7), Progress::Continue);
    assert_eq!(force(&mut script), Progress::Finished(Stop::End));
    assert_eq!(script.finish(Stop::End).1[0].margin_milli, Some(7));
}

#[test]
fn an_answer_cut_short_says_how_far_it_came() {
    let forms = tiny();
    let form = vec![literal("ab"), Part::Quote { words_max: 3 }, literal("b")];
    let mut script = script(&forms, &form, &"ab, ab-a".into()).unwrap();
    force(&mut script);
    write(&mut script, "ab-");
    let (text, parts) = script.finish(Stop::Length);
    assert_eq!(text, "abab-");
    assert_eq!((parts.len(), parts[1].place.clone()), (2, None));
}

#[test]
fn forms_that_nothing_could_end_are_refused() {
    let forms = tiny();
    let refused = |form: Form, document: &str| script(&forms, &form, &document.into()).err();
    let quote = Part::Quote { words_max: 3 };
    assert_eq!(refused(vec![], "a"), Some(FormError::Empty));
    assert_eq!(refused(vec![literal("")], "a"), Some(FormError::Empty));
    assert_eq!(refused(vec![quote.clone()], " - "), Some(FormError::NothingToQuote));
    assert_eq!(refused(vec![choice(&["a", "a"], None)], ""), Some(FormError::Options));
    let open = vec![quote.clone(), literal(""), Part::Text];
    assert_eq!(refused(open, "a"), Some(FormError::NoBoundary { part: 0 }));
    assert_eq!(refused(vec![Part::Text, literal("a")], ""), Some(FormError::TextNotLast));
    assert!(matches!(refused(vec![Part::Pattern("(".into())], ""), Some(FormError::Grammar(_))));
    assert_eq!(refused(vec![quote, literal(""), literal("b")], "a"), None);
}

#[test]
fn free_text_holds_no_control_token() {
    let forms = forms(&small_model());
    let mut script = script(&forms, &vec![Part::Text], &"".into()).unwrap();
    let tokens = allowed(&mut script);
    let tokenizer = &forms.shared.tokenizer;
    assert!(tokens.iter().all(|&t| tokenizer.is_plain(t) || tokenizer.is_end(t)));
    assert!(tokens.contains(&END) && tokens.len() > 49_000);
}

#[test]
fn a_quote_takes_a_space_before_its_first_word() {
    let forms = tiny();
    let mut script = script(&forms, &vec![Part::Quote { words_max: 1 }], &"ba ab".into()).unwrap();
    let spaced = forms.shared.tokenizer.encode_continuing(" ab");
    assert_eq!(spaced.len(), 1);
    assert_eq!(script.accept(spaced[0], 1), Progress::Finished(Stop::End));
    let (text, parts) = script.finish(Stop::End);
    assert_eq!((text.as_str(), parts[0].place.clone()), ("ab", Some(3..5)));
}

#[test]
fn a_script_can_go_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Script>();
    is_send::<Forms>();
}

#[test]
fn forms_about_one_document_share_its_passages_as_long_as_one_of_them_waits() {
    let forms = tiny();
    let quote = |words_max| vec![Part::Quote { words_max }, literal(".")];
    let document = |text: &str| Arc::<str>::from(text);
    let first = forms.compile(&quote(1), &document("ab ba")).unwrap();
    let again = forms.compile(&quote(3), &document("ab ba")).unwrap();
    let passages = |form: &CompiledForm| match &form.parts[0] {
        Compiled::Quote { passages, .. } => Arc::clone(passages),
        _ => unreachable!("it begins with a quote"),
    };
    assert!(Arc::ptr_eq(&passages(&first), &passages(&again)));
    drop((first, again));
    let other = forms.compile(&quote(1), &document("ba")).unwrap();
    assert_eq!(forms.shared.passages.lock().unwrap().len(), 1, "what nobody needs is forgotten");
    drop(other);
}

fn document() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b",
        "ab",
        "ba",
        " ",
        " ",
        " ",
        "  ",
        "\n",
        ".",
        ",",
        "-",
        "1",
        "1,1",
        "漢",
        "字",
        "é",
        "e\u{301}",
        "\u{301}",
        "’",
        "'",
        "(",
        "𝄞",
        "_",
        "\u{200d}",
        "ไทย",
        "👍",
    ]);
    prop::collection::vec(piece, 1..24).prop_map(|pieces| pieces.concat())
}

/// Word edges said another way: no quote may part what these characters hold together.
fn is_torn(before: Option<char>, after: Option<char>) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == 'é' || c == '_';
    let (Some(before), Some(after)) = (before, after) else { return false };
    is_letter(before) && is_letter(after)
        || matches!(after, '\u{301}' | '\u{200d}') && !before.is_whitespace()
}

fn words_in(text: &str) -> usize {
    crate::engine::quote::units(text).iter().filter(|unit| unit.is_word).count()
}

thread_local!(static TINY: Forms = tiny());

proptest! {
    // What failed once is kept as a test here, not in a file beside the sources.
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn whatever_is_chosen_a_quote_is_verbatim(
        text in document(),
        words_max in 1..5usize,
        choices in prop::collection::vec(0..1000usize, 200),
    ) {
        TINY.with(|forms| {
            let document: Arc<str> = text.as_str().into();
            let form = vec![Part::Quote { words_max }];
            let Ok(mut script) = script(forms, &form, &document) else {
                prop_assert!(!text.contains(|c: char| c.is_alphanumeric()));
                return Ok(());
            };
            let mut choices = choices.into_iter();
            loop {
                let tokens = allowed(&mut script);
                prop_assert!(!tokens.is_empty(), "dead end");
                let choice = choices.next().unwrap_or(0);
                if let Progress::Finished(stop) = script.accept(tokens[choice % tokens.len()], 0) {
                    prop_assert_eq!(stop, Stop::End);
                    break;
                }
            }
            let (_, parts) = script.finish(Stop::End);
            let place = parts[0].place.clone().expect("a finished quote has a place");
            let quote = &text[place.clone()];
            prop_assert_eq!(quote, &parts[0].text);
            prop_assert!(!quote.starts_with(char::is_whitespace));
            prop_assert!(!quote.ends_with(char::is_whitespace));
            prop_assert!((1..=words_max).contains(&words_in(quote)));
            let (before, after) = (&text[..place.start], &text[place.end..]);
            prop_assert!(!is_torn(before.chars().last(), quote.chars().next()));
            prop_assert!(!is_torn(quote.chars().last(), after.chars().next()));
            Ok(())
        })?;
    }

    #[test]
    fn every_passage_between_word_edges_can_be_quoted(text in document(), words_max in 1..5usize) {
        TINY.with(|forms| {
            let document: Arc<str> = text.as_str().into();
            let form = vec![Part::Quote { words_max }];
            let units = crate::engine::quote::units(&text);
            for first in &units {
                for last in &units {
                    let Some(passage) = text.get(first.range.start..last.range.end) else { continue };
                    let count = units.iter().filter(|unit| {
                        unit.is_word && unit.range.start >= first.range.start
                            && unit.range.end <= last.range.end
                    }).count();
                    let is_trimmed = passage.trim() == passage && !passage.is_empty();
                    if !is_trimmed || !(1..=words_max).contains(&count) {
                        continue;
                    }
                    let mut script = script(forms, &form, &document).unwrap();
                    if write(&mut script, passage) == Progress::Continue {
                        script.accept(END, 0);
                    }
                    let (_, parts) = script.finish(Stop::End);
                    prop_assert_eq!(&parts[0].text, passage);
                    prop_assert!(parts[0].place.is_some());
                }
            }
            Ok(())
        })?;
    }
}

/// By hand: how long masks take on a real text of some 3,000 tokens. NIGHTCLERK_TOKENS_MODEL,
/// NIGHTCLERK_TOKENS_TEXT.
#[test]
#[ignore = "needs a model and a text named in the environment"]
fn masks_of_a_long_document_are_quick() {
    let model = std::env::var("NIGHTCLERK_TOKENS_MODEL").unwrap();
    let path = std::env::var("NIGHTCLERK_TOKENS_TEXT").unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let mut cut = text.len().min(13_000);
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    let document: Arc<str> = text[..cut].into();
    let clock = std::time::Instant::now;
    let metadata = crate::engine::tokenizer::tests::metadata(model.as_ref());
    let start = clock();
    let tokenizer = Arc::new(Tokenizer::from_gguf(&metadata).unwrap());
    eprintln!("tokenizer {:?}", start.elapsed());
    let start = clock();
    Trie::new(&tokenizer);
    eprintln!("trie {:?}", start.elapsed());
    let start = clock();
    let forms = Forms::new(tokenizer);
    eprintln!("forms {:?}", start.elapsed());
    let schema = serde_json::json!({"type": "object", "properties": {
        "parties": {"type": "array", "items": {"type": "string"}, "maxItems": 5},
        "date": {"type": ["string", "null"]}}, "required": ["parties", "date"],
        "additionalProperties": false});
    let quote = Part::Quote { words_max: 40 };
    for part in [quote.clone(), quote, Part::Json(Arc::new(schema))] {
        let form = vec![part, literal("\n")];
        let start = clock();
        let mut script = script(&forms, &form, &document).unwrap();
        eprintln!("script {:?}", start.elapsed());
        for step in 0..40 {
            let start = clock();
            let mask = script.mask().to_vec();
            let took = start.elapsed();
            let forced = script.forced();
            let ones: Vec<u32> = (0..mask.len() as u32 * 64)
                .filter(|&t| mask[t as usize / 64] >> (t % 64) & 1 == 1)
                .collect();
            let token = forced.first().copied().unwrap_or(ones[ones.len() * 7 / 11]);
            if step < 6 || took.as_millis() > 0 {
                eprintln!("mask {step}: {took:?}, {} tokens", ones.len());
            }
            if script.accept(token, 0) != Progress::Continue || script.current > 0 {
                break;
            }
        }
        eprintln!("{:?}", script.finish(Stop::Length).0);
    }
}
