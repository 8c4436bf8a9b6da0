//! One line of a batch file in the format of OpenAI's Batch API, understood: `custom_id`, `method`, `url`
//! and the `body` of `/v1/chat/completions`. What would change an answer and is not known here is
//! refused, never passed over.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::engine::{Part, Request, Sampling};

/// The only endpoint there is.
const URL: &str = "/v1/chat/completions";

/// Keys of a body that change no word of an answer.
const WITHOUT_EFFECT: [&str; 8] = [
    "metadata",
    "model",
    "prompt_cache_key",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
    "verbosity",
];

/// A request that can be answered.
#[derive(Clone, Debug)]
pub(super) struct Call {
    system: Arc<str>,
    user: Arc<str>,
    form: Part,
    sampling: Sampling,
    /// None: what the context leaves.
    pub(super) answer_tokens_max: Option<u32>,
}

/// Why a line is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The line is no request at all; else its body is one that cannot be answered.
    pub(super) is_line: bool,
    pub(super) code: &'static str,
    /// The key of the body that is at fault.
    pub(super) param: Option<String>,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn line(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { is_line: true, code, param: None, message: message.into() }
    }

    pub(super) fn body(code: &'static str, param: &str, message: impl Into<String>) -> Refusal {
        Refusal { is_line: false, code, param: Some(param.to_owned()), message: message.into() }
    }
}

/// The request's name, where the line has one, and the request.
pub(super) fn read(line: &[u8]) -> (Option<String>, Result<Call, Refusal>) {
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(error) => {
            let message = format!("not a line of JSON: {error}");
            return (None, Err(Refusal::line("invalid_json_line", message)));
        }
    };
    let custom_id = value["custom_id"].as_str().map(str::to_owned);
    (custom_id.clone(), call(&value, custom_id.is_some()))
}

fn call(line: &Value, is_named: bool) -> Result<Call, Refusal> {
    if !is_named {
        return Err(Refusal::line("missing_required_parameter", "custom_id: a text is needed"));
    }
    if line["method"] != "POST" {
        return Err(Refusal::line("invalid_method", "method: only \"POST\" is known"));
    }
    if line["url"] != URL {
        return Err(Refusal::line("invalid_url", format!("url: only {URL:?} is answered here")));
    }
    let Some(body) = line["body"].as_object() else {
        return Err(Refusal::line("missing_required_parameter", "body: an object is needed"));
    };
    let (system, user) = messages(body.get("messages").unwrap_or(&Value::Null))?;
    let call = Call {
        system: system.into(),
        user: user.into(),
        form: form(body.get("response_format").unwrap_or(&Value::Null))?,
        sampling: sampling(body)?,
        answer_tokens_max: answer_tokens_max(body)?,
    };
    match body.iter().find(|(key, value)| !is_known(key, value)) {
        Some((key, value)) => Err(Refusal::body(
            "unsupported_parameter",
            key,
            format!("{key}: {value} is not supported here"),
        )),
        None => Ok(call),
    }
}

/// Whether a key is read here, or says no more than what is done anyway.
fn is_known(key: &str, value: &Value) -> bool {
    let is_empty = match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        _ => false,
    };
    match key {
        "messages"
        | "max_tokens"
        | "max_completion_tokens"
        | "temperature"
        | "top_p"
        | "seed"
        | "response_format" => true,
        "n" => is_empty || *value == json!(1),
        "presence_penalty" | "frequency_penalty" => is_empty || value.as_f64() == Some(0.0),
        "tool_choice" => is_empty || *value == "none" || *value == "auto",
        _ => is_empty || WITHOUT_EFFECT.contains(&key),
    }
}

/// System text and user text.
fn messages(messages: &Value) -> Result<(String, String), Refusal> {
    let invalid = |message: &str| Refusal::body("invalid_value", "messages", message);
    let Some(messages) = messages.as_array().filter(|messages| !messages.is_empty()) else {
        return Err(invalid("messages: a list with at least one message is needed"));
    };
    let (mut system, mut user): (Vec<String>, Option<String>) = (Vec::new(), None);
    for message in messages {
        let text = content(&message["content"]).map_err(|message| invalid(&message))?;
        match message["role"].as_str() {
            Some("system" | "developer") if user.is_none() => system.push(text),
            Some("user") if user.is_none() => user = Some(text),
            _ => {
                return Err(Refusal::body(
                    "unsupported_messages",
                    "messages",
                    "messages: system messages and then one user message are taken; conversations of \
                     several turns are not",
                ));
            }
        }
    }
    let user = user.ok_or_else(|| invalid("messages: there is no user message"))?;
    Ok((system.join("\n\n"), user))
}

/// A message's text: as such, or in parts.
fn content(content: &Value) -> Result<String, String> {
    let part = |part: &Value| match (part["type"].as_str(), part["text"].as_str()) {
        (Some("text"), Some(text)) => Ok(text.to_owned()),
        (kind, _) => Err(format!(
            "messages: a part of type {:?} is not supported here, only \"text\"",
            kind.unwrap_or_default()
        )),
    };
    match content {
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => parts.iter().map(part).collect(),
        _ => Err("messages: content must be a text".to_owned()),
    }
}

/// What the answer must look like.
fn form(format: &Value) -> Result<Part, Refusal> {
    let invalid = |message: &str| Err(Refusal::body("invalid_value", "response_format", message));
    match (format["type"].as_str(), format["json_schema"].get("schema")) {
        _ if format.is_null() => Ok(Part::Text),
        (Some("text"), _) => Ok(Part::Text),
        (Some("json_object"), _) => Ok(Part::Json(Arc::new(json!({ "type": "object" })))),
        (Some("json_schema"), Some(schema)) => Ok(Part::Json(Arc::new(schema.clone()))),
        (Some("json_schema"), None) => {
            invalid("response_format.json_schema.schema: a schema is needed")
        }
        _ => invalid("response_format.type: text, json_object and json_schema are known"),
    }
}

/// As the API has it where nothing is said: temperature 1 and top_p 1. Without a seed it is 0, so that
/// an answer repeats all the same.
fn sampling(body: &Map<String, Value>) -> Result<Sampling, Refusal> {
    let number = |key: &str| match body.get(key).filter(|value| !value.is_null()) {
        None => Ok(1.0),
        Some(value) => value.as_f64().ok_or_else(|| {
            Refusal::body("invalid_type", key, format!("{key}: a number is needed"))
        }),
    };
    let (temperature, top_p) = (number("temperature")?, number("top_p")?);
    let range = |key, message| Err(Refusal::body("invalid_value", key, message));
    if !(0.0..=2.0).contains(&temperature) {
        return range("temperature", "temperature: a number from 0 to 2 is needed");
    }
    if !(top_p > 0.0 && top_p <= 1.0) {
        return range("top_p", "top_p: a number above 0 and at most 1 is needed");
    }
    let seed = match body.get("seed").filter(|value| !value.is_null()) {
        None => 0,
        Some(value) => match (value.as_u64(), value.as_i64()) {
            (Some(seed), _) => seed,
            (None, Some(seed)) => seed.cast_unsigned(),
            (None, None) => {
                return Err(Refusal::body("invalid_type", "seed", "seed: an integer is needed"));
            }
        },
    };
    Ok(match temperature {
        0.0 => Sampling::Greedy,
        _ => Sampling::Seeded { seed, temperature: temperature as f32, top_p: top_p as f32 },
    })
}

fn answer_tokens_max(body: &Map<String, Value>) -> Result<Option<u32>, Refusal> {
    for key in ["max_completion_tokens", "max_tokens"] {
        let Some(value) = body.get(key).filter(|value| !value.is_null()) else { continue };
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
        return match count.filter(|count| *count > 0) {
            Some(count) => Ok(Some(count)),
            None => Err(Refusal::body(
                "invalid_value",
                key,
                format!("{key}: a whole number above 0 is needed"),
            )),
        };
    }
    Ok(None)
}

impl Call {
    /// For the engine.
    pub(super) fn request(&self, id: u64, answer_tokens_max: u32) -> Request {
        Request {
            id,
            system: self.system.clone(),
            document: "".into(),
            task: self.user.clone(),
            form: vec![self.form.clone()],
            answer_tokens_max,
            sampling: self.sampling,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut Value)) -> Refusal {
        let mut line = json!({
            "custom_id": "a", "method": "POST", "url": URL,
            "body": { "model": "gpt-4o", "messages": [{ "role": "user", "content": "Hi" }] },
        });
        assert!(read(line.to_string().as_bytes()).1.is_ok());
        change(&mut line);
        read(line.to_string().as_bytes()).1.expect_err("it was made wrong")
    }

    #[test]
    fn what_would_be_answered_otherwise_than_asked_is_refused_by_name() {
        let of_body = |key: &str, value: Value| {
            let refusal = refusal(|line| line["body"][key] = value);
            assert!(!refusal.is_line, "{refusal:?}");
            (refusal.code, refusal.param.unwrap_or_default())
        };
        for (key, value, code) in [
            ("n", json!(2), "unsupported_parameter"),
            ("stop", json!(["\n"]), "unsupported_parameter"),
            ("tools", json!([{ "type": "function" }]), "unsupported_parameter"),
            ("logit_bias", json!({ "1": 5 }), "unsupported_parameter"),
            ("temperature", json!(3), "invalid_value"),
            ("temperature", json!("hot"), "invalid_type"),
            ("top_p", json!(0), "invalid_value"),
            ("max_tokens", json!(0), "invalid_value"),
            ("seed", json!(1.5), "invalid_type"),
            ("response_format", json!({ "type": "xml" }), "invalid_value"),
            ("messages", json!([]), "invalid_value"),
            ("messages", json!([{ "role": "system", "content": "x" }]), "invalid_value"),
            (
                "messages",
                json!([{ "role": "user", "content": "x" }, { "role": "assistant", "content": "y" }]),
                "unsupported_messages",
            ),
            (
                "messages",
                json!([{ "role": "user", "content": [{ "type": "image_url" }] }]),
                "invalid_value",
            ),
        ] {
            assert_eq!(of_body(key, value), (code, key.to_owned()));
        }
        for (key, value) in [("url", "/v1/embeddings"), ("method", "GET")] {
            assert!(refusal(|line| line[key] = value.into()).is_line);
        }
        assert_eq!(read(b"{").1.unwrap_err().code, "invalid_json_line");
        assert_eq!(refusal(|line| line["custom_id"] = 7.into()).code, "missing_required_parameter");
    }

    #[test]
    fn a_body_says_how_it_is_sampled_and_what_it_looks_like() {
        let body = json!({
            "messages": [
                { "role": "system", "content": "You are brief." },
                { "role": "user", "content": [{ "type": "text", "text": "Sum " }, { "type": "text", "text": "up." }] },
            ],
            "temperature": 0.5, "seed": -1, "max_completion_tokens": 9, "n": 1, "stream": false, "user": "me",
            "response_format": { "type": "json_schema", "json_schema": { "schema": { "type": "number" } } },
        });
        let line = json!({ "custom_id": "a", "method": "POST", "url": URL, "body": body });
        let (name, call) = read(line.to_string().as_bytes());
        let call = call.unwrap();
        let request = call.request(3, call.answer_tokens_max.unwrap());
        assert_eq!(name.as_deref(), Some("a"));
        assert_eq!((&*request.system, &*request.document), ("You are brief.", ""));
        assert_eq!((&*request.task, request.answer_tokens_max), ("Sum up.", 9));
        let seeded = Sampling::Seeded { seed: u64::MAX, temperature: 0.5, top_p: 1.0 };
        assert_eq!(request.sampling, seeded);
        let [Part::Json(schema)] = &request.form[..] else { panic!("{:?}", request.form) };
        assert_eq!(**schema, json!({ "type": "number" }));
    }
}
