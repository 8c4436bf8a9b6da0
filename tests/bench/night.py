#!/usr/bin/env python3
"""One night of contracts, by nightclerk and by llama-server sent the same prompts: see night.sh, which
starts this and says what it reads from the environment. Needs Python 3 and nothing else.
"""
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
import office
from server import llama_server

ROOT = Path(__file__).resolve().parents[2]
ENV = os.environ.get
OURS = Path(ENV("NIGHTCLERK", ROOT / "target/release/nightclerk"))
THREADS = ENV("THREADS", "2")
# The eight main fields of prompts/contract-terms.toml.
MAIN_FIELDS = (
    "document_name", "parties", "agreement_date", "effective_date", "expiration_date", "governing_law",
    "anti_assignment", "cap_on_liability",
)


def say(text):
    print(text, file=sys.stderr, flush=True)


def chosen(folder):
    """Contracts of mixed length: ordered by size and cut into COUNT parts, one of each part by SEED."""
    files = [path for path in folder.iterdir() if path.is_file()]
    most = int(ENV("BYTES_MAX", "0")) or max(path.stat().st_size for path in files)
    files = sorted((path for path in files if path.stat().st_size <= most), key=lambda path: (path.stat().st_size, path.name))
    count = min(int(ENV("COUNT", "0")) or len(files), len(files))
    source = random.Random(int(ENV("SEED", "1")))
    cuts = [part * len(files) // count for part in range(count + 1)]
    return [source.choice(files[start:end]) for start, end in zip(cuts, cuts[1:])]


def lay_out(folder, contracts, model):
    """A folder as an office would have it: contracts, tasks, jobs.toml."""
    settings = {"threads": THREADS, "memory": ENV("MEMORY", "6GiB"), "context": int(ENV("CONTEXT", "4096"))}
    office.lay_out(folder, model, MAIN_FIELDS, tasks=("summary.toml", "terms.toml"), **settings)
    for contract in contracts:
        shutil.copy(contract, folder / "inbox")
    shutil.copy(ROOT / "prompts/summary.toml", folder)


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


def one_round(contracts, model, same_length):
    """Both nights, ours first: what each took, and what was asked."""
    with tempfile.TemporaryDirectory(dir=ENV("SCRATCH")) as place:
        lay_out(Path(place), contracts, model)
        say(f"{len(contracts)} contracts: nightclerk")
        our_seconds, asked, answered = our_night(Path(place))
    say(f"{our_seconds:.1f} s; {len(asked)} questions: llama-server")
    their_seconds, loaded, usage, options = their_night(model, asked, answered, same_length)
    say(f"{their_seconds:.1f} s")
    ours = [answered[one["asked"]] for one in asked]
    # Ours cuts at the seam between document and question, so that all questions share the document.
    apart = max(abs(one["prompt_tokens"] - use["prompt_tokens"]) for one, use in zip(ours, usage))
    total = lambda all, key: sum(one[key] for one in all)
    return {
        "questions": [(one["system"], one["document"], one["task"]) for one in asked],
        "apart": apart,
        "options": options,
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


def main():
    folder, model = Path(sys.argv[1]), Path(ENV("MODEL"))
    contracts = chosen(folder)
    same_length = ENV("ANSWERS", "free") == "same"
    load = os.getloadavg()[0]
    if load >= 1:
        say(f"warning: the load of this machine is {load:.1f}; other work will show in the numbers")
    rounds = [one_round(contracts, model, same_length) for _ in range(int(ENV("ROUNDS", "1")))]
    if any(sorted(one["questions"]) != sorted(rounds[0]["questions"]) for one in rounds):
        sys.exit("error: two rounds of nightclerk did not ask the same")
    middle = lambda side: statistics.median(one[side]["seconds"] for one in rounds)
    first = rounds[0]
    questions = len(first["questions"])
    told = "as many tokens as ours" if same_length else "free, within the same limits"
    result = {
        "documents": len(contracts),
        "questions": questions,
        "prompt_tokens_apart_at_most": first["apart"],
        "answers": told,
        **{side: {**first[side], "seconds": middle(side)} for side in ("ours", "theirs")},
    }
    if ENV("RESULT"):
        Path(ENV("RESULT")).write_text(json.dumps(result))
    names = ", ".join(f"{path.name} ({path.stat().st_size} bytes)" for path in contracts)
    lines = [
        f"{len(contracts)} contracts ({names}), {model.name}, {THREADS} threads, load before the start {load:.1f}: "
        f"a summary and eight fields of each, {questions} "
        f"questions; a prompt has at most {first['apart']} token(s) more on one side (the seam between document and "
        f"question). llama-server {first['options']}, its "
        f"prompt cache on, all prompts known from the start; answers {told}, without a grammar (ours "
        "are held to their form). Wall time from the start of the program, with loading; ours also reads the "
        f"documents, writes records and log, and ends. Medians of {len(rounds)} round(s), in turn.\n",
        "| | seconds | of each round | prompt tokens | answer tokens |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, side in (("llama-server", "theirs"), ("nightclerk", "ours")):
        each = ", ".join(f"{one[side]['seconds']:.1f}" for one in rounds)
        one = result[side]
        lines.append(f"| {name} | {one['seconds']:.1f} | {each} | {one['prompt_tokens']} | {one['answer_tokens']} |")
    lines.append(f"| ratio | {middle('theirs') / middle('ours'):.2f} | | | |")
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if ENV("RECORD"):
        Path(ENV("RECORD")).write_text(text)


main()
