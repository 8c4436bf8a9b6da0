#!/usr/bin/env python3
"""One night of contracts, by nightclerk and by llama-server sent the same prompts: see night.sh, which
starts this and says what it reads from the environment. Needs Python 3 and nothing else.
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
from server import llama_server

ROOT = Path(__file__).resolve().parents[2]
ENV = os.environ.get
OURS = Path(ENV("NIGHTCLERK", ROOT / "target/release/nightclerk"))
THREADS = ENV("THREADS", "2")
# With the five of prompts/contract-terms.toml, the eight main fields.
MORE_FIELDS = """
[[field]]
name = "document_name"
question = "What is the name or title of this contract?"
type = "text"
quote_words_max = 20

[[field]]
name = "effective_date"
question = "On what date does this contract take effect?"
type = "date"
quote_words_max = 30

[[field]]
name = "anti_assignment"
question = "Does this contract restrict a party from assigning it, or require consent to an assignment?"
type = "text"
quote_words_max = 60
"""
JOBS = """
output = "out"
[model]
path = "{model}"
sha256 = "{sha256}"
[engine]
threads = {threads}
memory = "{memory}"
context_tokens = {context}
[audit]
origin = "example.com/night"
key_dir = "keys"
[[job]]
name = "contracts"
input = {{ inbox = "inbox" }}
include = ["**/*"]
tasks = ["summary.toml", "terms.toml"]
settle = "0s"
"""


def say(text):
    print(text, file=sys.stderr, flush=True)


def lay_out(folder, contracts, model):
    """A folder as an office would have it: contracts, tasks, jobs.toml."""
    (folder / "inbox").mkdir()
    for contract in contracts:
        shutil.copy(contract, folder / "inbox")
    shutil.copy(ROOT / "prompts/summary.toml", folder)
    terms = (ROOT / "prompts/contract-terms.toml").read_text() + MORE_FIELDS
    (folder / "terms.toml").write_text(terms)
    digest = hashlib.sha256()
    with open(model, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    (folder / "jobs.toml").write_text(
        JOBS.format(
            model=model.resolve(),
            sha256=digest.hexdigest(),
            threads=THREADS,
            memory=ENV("MEMORY", "6GiB"),
            context=int(ENV("CONTEXT", "4096")),
        )
    )


def our_night(folder):
    """Wall time of the whole run, and every question with its answer."""
    start = time.monotonic()
    command = [OURS, "run", "-c", folder / "jobs.toml", "--transcript", folder / "transcript", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.monotonic() - start
    if done.returncode not in (0, 3):
        sys.exit(f"error: nightclerk ended with {done.returncode}:\n{done.stderr[-2000:]}")
    asked, answered = [], {}
    for line in (folder / "transcript").read_text().splitlines():
        event = json.loads(line)
        if "asked" in event:
            asked.append(event)
        else:
            answered[event["answered"]] = event
    return seconds, [one for one in asked if one["asked"] in answered], answered


def their_night(model, asked, answered, same_length):
    """Wall time from the server's start to its last answer, and the answers."""
    at_once = int(ENV("PARALLEL", "16"))
    context = at_once * int(ENV("CONTEXT", "4096"))
    options = ["-np", at_once, "-c", context, "-t", THREADS, "-tb", THREADS, "-fa", "on"]
    options += ENV("SERVER_OPTIONS", "").split()
    bodies = []
    for one in asked:
        messages = [
            {"role": "system", "content": one["system"]},
            {"role": "user", "content": one["document"] + one["task"]},
        ]
        body = {"messages": messages, "max_tokens": one["answer_tokens_max"], "temperature": 0, "cache_prompt": True}
        if same_length:
            body |= {"max_tokens": answered[one["asked"]]["answer_tokens"], "ignore_eos": True}
        bodies.append(body)
    start = time.monotonic()
    with llama_server(ENV("LLAMA"), model, options) as server:
        loaded = time.monotonic() - start
        answers = server.ask_all("/v1/chat/completions", bodies, at_once)
        seconds = time.monotonic() - start
        return seconds, loaded, [answer["usage"] for answer in answers], server.options


def main():
    folder, model = Path(sys.argv[1]), Path(ENV("MODEL"))
    contracts = sorted(path for path in folder.iterdir() if path.is_file())[: int(ENV("COUNT", "1000000"))]
    same_length = ENV("ANSWERS", "free") == "same"
    if os.getloadavg()[0] >= 1:
        say(f"warning: the load of this machine is {os.getloadavg()[0]:.1f}; other work will show in the numbers")
    with tempfile.TemporaryDirectory(dir=ENV("SCRATCH")) as place:
        place = Path(place)
        lay_out(place, contracts, model)
        say(f"{len(contracts)} contracts: nightclerk")
        our_seconds, asked, answered = our_night(place)
    say(f"{our_seconds:.1f} s; {len(asked)} questions: llama-server")
    their_seconds, loaded, usage, options = their_night(model, asked, answered, same_length)
    ours = [answered[one["asked"]] for one in asked]
    # Ours cuts at the seam between document and question, so that all questions share the document.
    apart = max(abs(one["prompt_tokens"] - use["prompt_tokens"]) for one, use in zip(ours, usage))
    total = lambda all, key: sum(one[key] for one in all)
    result = {
        "documents": len(contracts),
        "questions": len(asked),
        "prompt_tokens_apart_at_most": apart,
        "answers": "as many tokens as ours" if same_length else "free, within the same limits",
        "ours": {
            "seconds": our_seconds,
            "prompt_tokens": total(ours, "prompt_tokens"),
            "answer_tokens": total(ours, "answer_tokens"),
        },
        "theirs": {
            "seconds": their_seconds,
            "of_them_loading": loaded,
            "prompt_tokens": total(usage, "prompt_tokens"),
            "answer_tokens": total(usage, "completion_tokens"),
        },
    }
    if ENV("RESULT"):
        Path(ENV("RESULT")).write_text(json.dumps(result))
    lines = [
        f"{len(contracts)} contracts, {model.name}, {THREADS} threads: a summary and eight fields of each, {len(asked)} "
        f"questions; a prompt has at most {apart} token(s) more on one side (the seam between document and "
        f"question). llama-server {options}, its "
        f"prompt cache on, all prompts known from the start; answers {result['answers']}, without a grammar (ours "
        "are held to their form). Wall time from the start of the program, with loading; ours also reads the "
        "documents, writes records and log, and ends.\n",
        "| | seconds | prompt tokens | answer tokens |",
        "|---|---:|---:|---:|",
    ]
    for name, side in (("llama-server", "theirs"), ("nightclerk", "ours")):
        one = result[side]
        lines.append(f"| {name} | {one['seconds']:.1f} | {one['prompt_tokens']} | {one['answer_tokens']} |")
    lines.append(f"| ratio | {their_seconds / our_seconds:.2f} | | |")
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if ENV("RECORD"):
        Path(ENV("RECORD")).write_text(text)


main()
