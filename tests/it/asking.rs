//! Questions outside of a night: one on one document, and a batch in the format of OpenAI's Batch API. With
//! a tiny model of random weights.

use std::collections::BTreeSet;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::night::{contract, office};
use crate::support::{Folder, nightclerk, told};

fn ask(folder: &Folder, more: &[&str]) -> Output {
    let args = ["ask", "--prompt", "Who pays the rent, and how much of it?"].iter().chain(more);
    nightclerk(folder.path(), args).output().expect("the program starts")
}

#[test]
fn a_question_is_answered_with_words_of_the_document_and_leaves_no_trace() {
    let folder = office("ask", 1);
    let long = (0..60).map(contract).collect::<String>();
    folder.write("long.txt", &long);
    folder.write("short.txt", "The tenant pays the rent.");
    let before = folder.files();
    for file in ["short.txt", "long.txt"] {
        let facts = ask(&folder, &[file, "--format", "json"]);
        assert!(matches!(facts.status.code(), Some(0 | 3)), "{}", told(&facts));
        let facts: Value = serde_json::from_slice(&facts.stdout).unwrap();
        // Whatever random weights decide: a quote stands where it is said to.
        let text = folder.read(file);
        let evidence = facts["evidence"].as_array().unwrap();
        for one in evidence {
            let place = |key: &str| one[key].as_u64().unwrap() as usize;
            assert_eq!(text[place("start")..place("end")], *one["quote"].as_str().unwrap());
        }
        let shown = &facts["shown"];
        assert_eq!(shown.is_null(), file != "long.txt", "longer than the context: {facts}");
        assert!(facts["prompt_tokens"].as_u64().unwrap() <= 1024, "{facts}");
        // A person sees the same, and sees it again.
        let said = ask(&folder, &[file]);
        assert_eq!(said.stdout, ask(&folder, &[file]).stdout);
        let said = String::from_utf8(said.stdout).unwrap();
        let answer = facts["answer"].as_str().unwrap().replace(char::is_control, "\u{fffd}");
        assert!(said.contains(&answer), "{answer:?} in {said:?}");
        assert_eq!(said.contains("page 1: “"), !evidence.is_empty(), "{said}");
    }
    // Another model needs no jobs file.
    let file = "short.txt";
    let other = ask(&folder, &[file, "--model", "tiny.gguf", "-c", "nowhere.toml"]);
    assert_eq!(other.stdout, ask(&folder, &[file]).stdout, "{}", told(&other));
    assert_eq!(folder.files(), before, "nothing is written");
    let missing = ask(&folder, &["nowhere.txt"]);
    assert_eq!(missing.status.code(), Some(1), "{}", told(&missing));
}

fn request(name: &str, body: Value) -> String {
    let url = "/v1/chat/completions";
    json!({ "custom_id": name, "method": "POST", "url": url, "body": body }).to_string() + "\n"
}

fn say(text: &str, more: Value) -> Value {
    let mut body = json!({
        "model": "gpt-4o-mini",
        "messages": [{ "role": "system", "content": "Be brief." }, { "role": "user", "content": text }],
        "max_tokens": 12,
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn batch(folder: &Folder, input: &str, output: &str) -> Output {
    let args = ["run", "--batch", input, "--output", output];
    nightclerk(folder.path(), args).output().expect("the program starts")
}

fn results(folder: &Folder, name: &str) -> Vec<Value> {
    folder.read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_batch_is_answered_line_by_line_in_its_order_and_errors_are_lines_too() {
    let folder = office("batch", 1);
    let schema = json!({
        "type": "object", "properties": { "ok": { "type": "boolean" } }, "required": ["ok"],
        "additionalProperties": false,
    });
    let form = json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": schema } });
    let lines = [
        request("greedy", say("Name a colour.", json!({ "temperature": 0 }))),
        request("seeded", say("Name a colour.", json!({ "temperature": 1.2, "seed": 7 }))),
        "not json\n".to_owned(),
        "\n".to_owned(),
        request("form", say("Is it so?", json!({ "response_format": form, "max_tokens": 40 }))),
        request("greedy", say("The same name again.", json!({}))),
        request("tools", say("x", json!({ "tools": [{ "type": "function" }] }))),
        request("long", say(&"word ".repeat(3000), json!({}))),
        request(
            "schema",
            say(
                "x",
                json!({ "response_format": { "type": "json_schema", "json_schema":
            { "schema": { "type": "no such type" } } } }),
            ),
        ),
        request("open", say("Go on.", json!({ "max_tokens": null, "temperature": 0 }))),
    ];
    folder.write("in.jsonl", lines.concat());
    let output = batch(&folder, "in.jsonl", "out.jsonl");
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(
        told(&output).contains("9 requests: 4 answered, 5 refused, 0 left"),
        "{}",
        told(&output)
    );
    let found = results(&folder, "out.jsonl");
    let names: Vec<&str> =
        found.iter().map(|line| line["custom_id"].as_str().unwrap_or("-")).collect();
    assert_eq!(
        names,
        ["greedy", "seeded", "-", "form", "greedy", "tools", "long", "schema", "open"]
    );
    let ids: BTreeSet<&str> = found.iter().map(|line| line["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), found.len());
    for at in [0, 1, 3, 8] {
        let response = &found[at]["response"];
        assert_eq!((&response["status_code"], &found[at]["error"]), (&200.into(), &Value::Null));
        let body = &response["body"];
        assert_eq!(body["object"], "chat.completion");
        assert_eq!(body["choices"][0]["message"]["role"], "assistant");
        let usage = |key: &str| body["usage"][key].as_u64().unwrap();
        assert_eq!(usage("total_tokens"), usage("prompt_tokens") + usage("completion_tokens"));
        let by_limit = body["choices"][0]["finish_reason"] == "length";
        assert!(
            !by_limit || at == 8 || usage("completion_tokens") == if at == 3 { 40 } else { 12 }
        );
        assert!(usage("total_tokens") <= 1024, "within the context: {body}");
    }
    let text = found[3]["response"]["body"]["choices"][0]["message"]["content"].as_str().unwrap();
    let answer: Value = serde_json::from_str(text).expect("the form that was asked for");
    assert!(answer["ok"].is_boolean(), "{answer}");
    let code = |at: usize| {
        let of_line = &found[at]["error"]["code"];
        let of_body = &found[at]["response"]["body"]["error"];
        assert!(of_line.is_string() || of_body["type"] == "invalid_request_error", "{}", found[at]);
        of_line.as_str().or(of_body["code"].as_str()).unwrap().to_owned()
    };
    assert_eq!(code(2), "invalid_json_line");
    assert_eq!(code(4), "duplicate_custom_id");
    assert_eq!(code(5), "unsupported_parameter");
    assert_eq!(code(6), "context_length_exceeded");
    assert_eq!(code(7), "invalid_json_schema");

    // Results are never written over, and are the same bytes again: alone in a step as in company.
    let whole = folder.read("out.jsonl");
    let again = batch(&folder, "in.jsonl", "out.jsonl");
    assert_eq!(again.status.code(), Some(1), "{}", told(&again));
    let jobs = folder.read("jobs.toml");
    folder.write(
        "jobs.toml",
        jobs.replace("slots = 8", "slots = 1").replace("threads = 2", "threads = 1"),
    );
    batch(&folder, "in.jsonl", "alone.jsonl");
    assert_eq!(folder.read("alone.jsonl"), whole);
    assert!(!folder.files().iter().any(|name| name.contains(".part") || name.contains("tmp")));
}

#[test]
fn a_batch_that_is_stopped_goes_on_where_it_was_and_ends_in_the_same_bytes() {
    let folder = office("stopped", 1);
    let jobs = folder.read("jobs.toml");
    folder.write("jobs.toml", jobs.replace("slots = 8", "slots = 1"));
    let ask =
        |number: usize| say(&contract(number), json!({ "temperature": 0, "max_tokens": 200 }));
    folder.write(
        "in.jsonl",
        (0..60).map(|number| request(&number.to_string(), ask(number))).collect::<String>(),
    );
    let mut args =
        nightclerk(folder.path(), ["run", "--batch", "in.jsonl", "--output", "out.jsonl"]);
    let child = args.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let part = folder.path().join("out.jsonl.part");
    let begun = Instant::now();
    let lines = || std::fs::read_to_string(&part).map_or(0, |text| text.lines().count());
    while lines() < 4 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is answered");
        std::thread::sleep(Duration::from_millis(5));
    }
    let stopped = std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(stopped.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", told(&output));
    assert!(!folder.path().join("out.jsonl").exists(), "whole or not at all");
    assert!(lines() < 61, "some are left");
    let rest = batch(&folder, "in.jsonl", "out.jsonl");
    assert_eq!(rest.status.code(), Some(0), "{}", told(&rest));
    assert!(told(&rest).contains("by an earlier start"), "{}", told(&rest));
    batch(&folder, "in.jsonl", "at-once.jsonl");
    assert_eq!(folder.read("out.jsonl"), folder.read("at-once.jsonl"));
    assert_eq!(results(&folder, "out.jsonl").len(), 60);
}
