//! One line of a batch's results, in the format of OpenAI's Batch API. A function of the request, the
//! model and the jobs file: there is no time in it, and no number that company in a batch would change.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::call::Refusal;
use crate::base::{Completion, Digest, Stop};

/// What every line says alike.
pub(super) struct Letterhead {
    /// The model's file.
    pub(super) model: String,
    pub(super) model_sha256: Digest,
    /// The day that the jobs file states, in Unix time: the API's `created`, which clients want.
    pub(super) created: i64,
}

impl Letterhead {
    pub(super) fn new(model: String, model_sha256: Digest, date: &str) -> Letterhead {
        // Checked by `jobs`.
        let day: Option<Date> = date.parse().ok();
        let start = day.and_then(|day| day.to_zoned(TimeZone::UTC).ok());
        let created = start.map_or(0, |start| start.timestamp().as_second());
        Letterhead { model, model_sha256, created }
    }

    /// The answer to the request `custom_id` of line `number`.
    pub(super) fn answered(&self, number: usize, custom_id: &str, done: &Completion) -> Value {
        let finish_reason = match done.stop {
            Stop::End => "stop",
            Stop::Length => "length",
            Stop::DeadEnd | Stop::Fault => {
                let error = json!({
                    "message": "the model could not go on within the form that response_format asks for",
                    "type": "server_error",
                    "param": "response_format",
                    "code": "answer_broken_off",
                });
                return response(number, custom_id, 500, json!({ "error": error }));
            }
        };
        let id =
            Digest::of_parts([done.prompt_digest.0.as_slice(), done.answer_digest.0.as_slice()]);
        let (prompt, answer) = (done.prompt_tokens, done.answer_tokens);
        let body = json!({
            "id": format!("chatcmpl-{}", &id.to_string()[..24]),
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": done.text, "refusal": null },
                "logprobs": null,
                "finish_reason": finish_reason,
            }],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": answer,
                "total_tokens": u64::from(prompt) + u64::from(answer),
            },
            "system_fingerprint": format!("fp_{}", &self.model_sha256.to_string()[..12]),
        });
        response(number, custom_id, 200, body)
    }

    /// Why a line has no answer. `custom_id` where it has one.
    pub(super) fn refused(
        &self,
        number: usize,
        custom_id: Option<&str>,
        refusal: &Refusal,
    ) -> Value {
        let Refusal { is_line, code, param, message } = refusal;
        match custom_id {
            Some(custom_id) if !is_line => {
                let error = json!({
                    "message": message,
                    "type": "invalid_request_error",
                    "param": param,
                    "code": code,
                });
                response(number, custom_id, 400, json!({ "error": error }))
            }
            _ => json!({
                "id": id(number),
                "custom_id": custom_id,
                "response": null,
                "error": { "code": code, "message": message, "line": number },
            }),
        }
    }
}

fn id(number: usize) -> String {
    format!("batch_req_{number}")
}

fn response(number: usize, custom_id: &str, status: u16, body: Value) -> Value {
    json!({
        "id": id(number),
        "custom_id": custom_id,
        "response": { "status_code": status, "request_id": format!("req_{number}"), "body": body },
        "error": null,
    })
}
