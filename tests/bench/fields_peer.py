#!/usr/bin/env python3
"""The plain way to extract fields, to stand beside `nightclerk run`: pdftotext, chunks of 6,000 characters,
all fields in one JSON-schema question a chunk to llama-server, the first answer wins.

usage: LLAMA=folder/of/llama-server MODEL=file.gguf fields_peer.py FIELD,… PDF… > records.jsonl

The fields' questions are those of prompts/contract-terms.toml. Writes a record a document, with `source.path`
and `fields`, as scorers of records read them; on standard error, the seconds from the loaded model to the last
answer. Needs Python 3.11 and pdftotext.
"""
import json
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path

sys.dont_write_bytecode = True
from server import llama_server

ROOT = Path(__file__).resolve().parents[2]
ENV = os.environ.get
CHUNK_CHARACTERS = 6000
AT_ONCE = 8
INSTRUCTION = (
    "Answer each question from the document above in JSON: the quote that states it, word for word, and the "
    "value; null where the document does not state it."
)


def chunks(pdf):
    text = subprocess.run(["pdftotext", pdf, "-"], capture_output=True, check=True).stdout.decode(errors="replace")
    return [text[at : at + CHUNK_CHARACTERS] for at in range(0, len(text), CHUNK_CHARACTERS)]


def question(system, fields, chunk):
    text = {"type": "string", "maxLength": 600}
    stated = {
        "type": "object",
        "properties": {"quote": text, "value": text},
        "required": ["quote", "value"],
        "additionalProperties": False,
    }
    schema = {
        "type": "object",
        "properties": {field["name"]: {"anyOf": [{"type": "null"}, stated]} for field in fields},
        "required": [field["name"] for field in fields],
        "additionalProperties": False,
    }
    asked = "\n".join(f"{field['name']}: {field['question']}" for field in fields)
    document = f"<document>\n{chunk}\n</document>\n\n{INSTRUCTION}\n\n{asked}"
    messages = [{"role": "system", "content": system}, {"role": "user", "content": document}]
    form = {"type": "json_schema", "json_schema": {"name": "fields", "schema": schema}}
    return {"messages": messages, "temperature": 0, "max_tokens": 1024, "response_format": form}


def answered(reply):
    try:
        return json.loads(reply["choices"][0]["message"]["content"])
    except ValueError:
        return {}  # it ran into its limit of tokens, and this way of asking has no better answer to that


def record(pdf, fields, answers):
    found = {}
    for field in fields:
        first = next((one[field["name"]] for one in answers if one.get(field["name"])), None)
        evidence = [{"quote": first["quote"]}] if first else []
        found[field["name"]] = {"value": first["value"] if first else None, "evidence": evidence}
    return {"source": {"path": Path(pdf).name}, "fields": found}


def main():
    names, pdfs = sys.argv[1].split(","), sys.argv[2:]
    task = tomllib.loads((ROOT / "prompts/contract-terms.toml").read_text())
    fields = [field for field in task["field"] if field["name"] in names]
    asked = [(pdf, question(task["system"], fields, chunk)) for pdf in pdfs for chunk in chunks(pdf)]
    threads = ENV("THREADS", "2")
    options = ["-np", AT_ONCE, "-c", AT_ONCE * 4096, "-t", threads, "-tb", threads]
    with llama_server(ENV("LLAMA"), ENV("MODEL"), options) as server:
        begun = time.monotonic()
        replies = server.ask_all("/v1/chat/completions", [body for _, body in asked], AT_ONCE)
        print(f"{len(pdfs)} documents in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    for pdf in pdfs:
        answers = [answered(reply) for (of, _), reply in zip(asked, replies) if of == pdf]
        print(json.dumps(record(pdf, fields, answers)))


main()
